//! Memory mounted for secrets: a ramfs, or a tmpfs that is not swapped. Never a second one over
//! the first, and nothing of anybody else is hidden under it or taken over.

#[cfg(target_os = "linux")]
use std::ffi::CString;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::mount::MountFlags;

use super::directory::{Attributes, Directory, is_folder};
use super::reach::{ReachError, Users, Way, reach};
use super::system::Kind;

/// What is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// A ramfs.
    Ramfs,
    /// A tmpfs with `noswap`.
    Tmpfs {
        /// Whether one without will do where the kernel does not know it.
        allow_swap: bool,
    },
    /// A folder on whatever there is.
    Folder {
        /// Whether that may be a disk.
        allow_disk: bool,
    },
}

/// A folder for secrets, ready.
#[derive(Debug)]
pub struct Mounted {
    /// The folder.
    pub folder: Directory,
    /// Whether it is a file system of its own.
    pub own: bool,
    /// Whether it is in memory.
    pub memory: bool,
}

/// Mounts what is to be there, unless it is there already. `guarded`: see [`Way::guarded`].
///
/// # Errors
/// [`MountError`]; nothing is mounted or hidden then.
pub fn mount(
    path: &Path,
    wanted: Memory,
    attributes: Attributes,
    guarded: bool,
) -> Result<Mounted, MountError> {
    let way = Way { create: true, guarded };
    let (parent, name) = parent(path, way)?;
    let problem = |doing| move |e| MountError::io(path, doing, e);
    let folder = match parent.look(&name).map_err(problem("look at"))? {
        None => parent.make(&name, attributes).map_err(|e| MountError::making(path, e))?,
        Some(_) => enter(&parent, &name, path)?,
    };
    let mut found = judge(path, &parent, folder, wanted)?;
    if !found.own && wanted_type(wanted).is_some() {
        if !found.folder.list().map_err(problem("list"))?.is_empty() {
            return Err(MountError::NotEmpty { path: path.to_owned() });
        }
        attach(path, &found.folder, wanted, attributes)?;
        // The descriptor is of what lies under it now.
        found = judge(path, &parent, enter(&parent, &name, path)?, wanted)?;
        if !found.own {
            return Err(MountError::Foreign {
                path: path.to_owned(),
                what: "not what was mounted",
            });
        }
    }
    found.folder.set(attributes).map_err(problem("set owner and permissions of"))?;
    Ok(found)
}

/// What [`mount()`] would find, without a change to anything. `None` where it would make it.
///
/// # Errors
/// [`MountError`], as far as it can be told in advance.
pub fn probe(path: &Path, wanted: Memory, guarded: bool) -> Result<Option<Mounted>, MountError> {
    let (parent, name) = match parent(path, Way { create: false, guarded }) {
        Err(MountError::Way(ReachError::Missing { .. })) => return Ok(None),
        other => other?,
    };
    let problem = |doing| move |e| MountError::io(path, doing, e);
    if parent.look(&name).map_err(problem("look at"))?.is_none() {
        return Ok(None);
    }
    let found = judge(path, &parent, enter(&parent, &name, path)?, wanted)?;
    if found.own || wanted_type(wanted).is_none() {
        return Ok(Some(found));
    }
    if found.folder.list().map_err(problem("list"))?.is_empty() {
        Ok(None)
    } else {
        Err(MountError::NotEmpty { path: path.to_owned() })
    }
}

/// The folder that a path lies in, and its name there.
fn parent(path: &Path, way: Way) -> Result<(Directory, OsString), MountError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(MountError::NotAFolder { path: path.to_owned() });
    };
    Ok((reach(parent, way).map_err(MountError::Way)?, name.to_owned()))
}

fn enter(parent: &Directory, name: &OsStr, path: &Path) -> Result<Directory, MountError> {
    match parent.look(name) {
        Ok(Some(stat)) if is_folder(&stat) => {}
        Ok(_) => return Err(MountError::NotAFolder { path: path.to_owned() }),
        Err(e) => return Err(MountError::io(path, "look at", e)),
    }
    parent.enter(name).map_err(|e| MountError::io(path, "open", e))
}

/// Whether a folder that is there will do as it is, or to be mounted on.
fn judge(
    path: &Path,
    parent: &Directory,
    folder: Directory,
    wanted: Memory,
) -> Result<Mounted, MountError> {
    let problem = |e| MountError::io(path, "look at", e);
    let (around, stat) = (parent.stat().map_err(problem)?, folder.stat().map_err(problem)?);
    if !Users::of_this_process().guard(&stat) {
        return Err(MountError::Owner { path: path.to_owned(), user: stat.st_uid });
    }
    let kind = kind(&folder).map_err(problem)?;
    let own = around.st_dev != stat.st_dev;
    let memory = kind != Kind::Other;
    match wanted {
        Memory::Folder { allow_disk } if !memory && !allow_disk => {
            Err(MountError::Disk { path: path.to_owned() })
        }
        Memory::Folder { .. } => Ok(Mounted { folder, own, memory }),
        Memory::Ramfs | Memory::Tmpfs { .. } if !own => Ok(Mounted { folder, own, memory }),
        Memory::Ramfs | Memory::Tmpfs { .. } if !memory => {
            Err(MountError::Foreign { path: path.to_owned(), what: "something that is no memory" })
        }
        Memory::Ramfs | Memory::Tmpfs { .. } => {
            // Either kind will do where it is not swapped: it changes with the next boot.
            let allow_swap = matches!(wanted, Memory::Tmpfs { allow_swap: true });
            if kind == Kind::Tmpfs && !allow_swap && !is_unswapped(&stat) {
                return Err(MountError::Swapped { path: path.to_owned() });
            }
            Ok(Mounted { folder, own, memory })
        }
    }
}

/// What a folder lies on.
#[cfg(target_os = "linux")]
fn kind(folder: &Directory) -> io::Result<Kind> {
    folder.filesystem()
}

/// What a folder lies on: a disk in memory is known by the mark in it, since only we can make one there.
#[cfg(not(target_os = "linux"))]
fn kind(folder: &Directory) -> io::Result<Kind> {
    let marked = folder.look(OsStr::new(RAM_DISK_MARK))?.is_some();
    Ok(if marked { Kind::Ramfs } else { Kind::Other })
}

/// The name of the file that marks a disk in memory.
pub const RAM_DISK_MARK: &str = ".secretctl-memory";

/// Only programs of the system can do it there, which a room that starts programs has done before.
#[cfg(not(target_os = "linux"))]
fn attach(
    path: &Path,
    _folder: &Directory,
    wanted: Memory,
    _attributes: Attributes,
) -> Result<(), MountError> {
    let Some(kind) = wanted_type(wanted) else { return Ok(()) };
    let source = io::ErrorKind::Unsupported.into();
    Err(MountError::Forbidden { path: path.to_owned(), kind, source })
}

#[cfg(target_os = "linux")]
fn attach(
    path: &Path,
    folder: &Directory,
    wanted: Memory,
    attributes: Attributes,
) -> Result<(), MountError> {
    let Some(kind) = wanted_type(wanted) else { return Ok(()) };
    // By descriptor, so that nothing that is renamed meanwhile is mounted on.
    let through = PathBuf::from(format!("/proc/self/fd/{}", folder.descriptor().as_raw_fd()));
    let place = if through.exists() { through.as_path() } else { path };
    let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    let attach = |extra: &str| {
        let options = format!("mode={:04o}{extra}", attributes.mode);
        let options = CString::new(options).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount("secretctl", place, kind, flags, Some(options.as_c_str()))
    };
    let attached = match wanted {
        Memory::Ramfs | Memory::Folder { .. } => attach(""),
        Memory::Tmpfs { allow_swap } => match attach(",noswap") {
            Err(Errno::INVAL) if allow_swap => attach(""),
            Err(Errno::INVAL) => return Err(MountError::NoNoswap { path: path.to_owned() }),
            other => other,
        },
    };
    match attached {
        Ok(()) => Ok(()),
        Err(source @ (Errno::PERM | Errno::ACCESS | Errno::NODEV)) => {
            Err(MountError::Forbidden { path: path.to_owned(), kind, source: source.into() })
        }
        Err(e) => Err(MountError::io(path, "mount memory on", e.into())),
    }
}

fn wanted_type(wanted: Memory) -> Option<&'static str> {
    match wanted {
        Memory::Ramfs => Some("ramfs"),
        Memory::Tmpfs { .. } => Some("tmpfs"),
        Memory::Folder { .. } => None,
    }
}

/// Whether the tmpfs that a file is on is mounted with `noswap`, as far as `/proc` tells.
fn is_unswapped(stat: &Stat) -> bool {
    let device = super::system::device_numbers(stat);
    let mounts = super::read_limited(Path::new("/proc/self/mountinfo"), 16 << 20);
    let mounts = String::from_utf8_lossy(&mounts.unwrap_or_default()).into_owned();
    mounts.lines().any(|line| {
        super::reach::options_of(line, &device)
            .is_some_and(|options| options.split(',').any(|option| option == "noswap"))
    })
}

/// Why there is no place for secrets.
#[derive(Debug)]
pub enum MountError {
    /// The way there.
    Way(ReachError),
    /// A file or a link is where the folder is to be.
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder belongs to somebody else, or others may write to it.
    Owner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        user: u32,
    },
    /// The folder has something in it that a mount would hide.
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Something else is mounted there.
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A tmpfs that may be swapped is mounted there.
    Swapped {
        /// The folder.
        path: PathBuf,
    },
    /// The kernel knows no tmpfs with `noswap`.
    NoNoswap {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is on a disk.
    Disk {
        /// The folder.
        path: PathBuf,
    },
    /// The system does not allow the mount.
    Forbidden {
        /// The folder.
        path: PathBuf,
        /// What was to be mounted.
        kind: &'static str,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// The folder cannot be made on a read-only file system.
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// Anything else.
    Io {
        /// The folder.
        path: PathBuf,
        /// What was being done, a verb.
        doing: &'static str,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl MountError {
    fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }

    fn making(path: &Path, source: io::Error) -> Self {
        if Errno::from_io_error(&source) == Some(Errno::ROFS) {
            Self::ReadOnly { path: path.to_owned() }
        } else {
            Self::io(path, "make", source)
        }
    }

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        let quoted = |path: &Path| shell_words::quote(&path.to_string_lossy()).into_owned();
        Some(match self {
            Self::Way(error) => return error.remedy(),
            Self::NotAFolder { path } | Self::NotEmpty { path } => format!(
                "move what is there away, or name another `mountPoint`: `ls -la -- {}`",
                quoted(path)
            ),
            Self::Owner { path, .. } => {
                format!("find out who made it, then `rmdir -- {}`", quoted(path))
            }
            Self::Foreign { path, .. } => {
                format!("`umount -- {}`, or name another `mountPoint`", quoted(path))
            }
            Self::Swapped { path } => {
                format!("`umount -- {}` and run again, or allow it with `allowSwap`", quoted(path))
            }
            Self::NoNoswap { .. } => {
                "use `filesystem = \"ramfs\"`, or allow swapping with `allowSwap`".to_owned()
            }
            Self::Disk { .. } => {
                "name a `mountPoint` in memory, or allow the disk with `allowDisk`".to_owned()
            }
            Self::Forbidden { .. } => {
                "in a container without the right to mount, use `filesystem = \
                                       \"directory\"` on a tmpfs of the container"
                    .to_owned()
            }
            Self::ReadOnly { .. } => {
                "let the folder be part of the image, or mount a tmpfs around it first".to_owned()
            }
            Self::Io { .. } => return None,
        })
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Way(error) => error.fmt(f),
            Self::NotAFolder { path } => write!(f, "`{}` is no folder", path.display()),
            Self::Owner { path, user } => write!(
                f,
                "the folder `{}` belongs to user {user}, or others may write to it",
                path.display()
            ),
            Self::NotEmpty { path } => write!(
                f,
                "the folder `{}` is not empty, and a mount would hide what is in it",
                path.display()
            ),
            Self::Foreign { path, what } => {
                write!(f, "what is mounted on `{}` is {what}", path.display())
            }
            Self::Swapped { path } => {
                write!(f, "the tmpfs on `{}` may be swapped to a disk", path.display())
            }
            Self::NoNoswap { path } => write!(
                f,
                "this kernel cannot keep the tmpfs on `{}` from being swapped (Linux 6.4 can)",
                path.display()
            ),
            Self::Disk { path } => write!(f, "the folder `{}` is on a disk", path.display()),
            Self::Forbidden { path, kind, source } => {
                write!(f, "may not mount a {kind} on `{}`: {source}", path.display())
            }
            Self::ReadOnly { path } => write!(
                f,
                "cannot make the folder `{}`: the file system is read-only",
                path.display()
            ),
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for MountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Way(error) => Some(error),
            Self::Forbidden { source, .. } | Self::Io { source, .. } => Some(source),
            Self::NotAFolder { .. }
            | Self::Owner { .. }
            | Self::NotEmpty { .. }
            | Self::Foreign { .. }
            | Self::Swapped { .. }
            | Self::NoNoswap { .. }
            | Self::Disk { .. }
            | Self::ReadOnly { .. } => None,
        }
    }
}
