//! Atomic replacement: the new content is staged in a file beside its target, synced, and
//! renamed over it. Whatever happens, the target is whole, old or new.
//!
//! While it is written, the new content has no name wherever the file system allows that, so
//! that nothing is left of it however the process ends. It gets one just before the rename, or
//! when it is parked so that many can wait for each other.
//!
//! A symbolic link is followed to its final file, which is replaced; the link stays. Mode and
//! (where the system lets us) owner are those of the file that is replaced.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::{random_name, system};

mod folder;
mod many;

pub use folder::LastFolder;
use folder::OpenFolder;
pub use many::{CommitError, commit_all};

/// How a file is staged.
#[derive(Debug, Clone, Copy)]
pub struct Staging {
    /// Make the folders that the target needs, as `mkdir -p` does.
    pub create_parents: bool,
    /// Mode of a file that did not exist, before the umask.
    pub new_mode: u32,
    /// The content is plaintext: the mode is 0600 and the owner this user, whatever was there.
    pub private: bool,
}

impl Default for Staging {
    fn default() -> Self {
        Self { create_parents: false, new_mode: 0o644, private: false }
    }
}

/// New content on its way to a target. Dropped without [`Staged::commit`], it leaves nothing.
///
/// The temporary has mode 0600 from the start, and a lock before it has a name, so that [`sweep`] in
/// another process tells it from what a killed process left behind.
#[derive(Debug)]
pub struct Staged {
    /// The temporary and its folder; `None` while it is parked.
    open: Option<(File, Arc<OpenFolder>)>,
    folder_path: PathBuf,
    /// Device and inode of the folder.
    folder_is: (u64, u64),
    /// The name of the temporary, once it has one.
    temporary: Option<OsString>,
    name: OsString,
    shown: PathBuf,
    replaced: Option<Stat>,
    new_mode: u32,
    private: bool,
    finished: bool,
    committed: bool,
}

impl Staged {
    /// Begins the replacement of `target` in a folder that exists.
    ///
    /// # Errors
    /// [`ReplaceError`]; nothing has been written then.
    pub fn new(target: &Path) -> Result<Self, ReplaceError> {
        Self::with(target, Staging::default())
    }

    /// Begins the replacement of `target`.
    ///
    /// # Errors
    /// [`ReplaceError`]; nothing has been written then but, if asked for, the parent folders.
    pub fn with(target: &Path, staging: Staging) -> Result<Self, ReplaceError> {
        Self::after(&LastFolder::default(), target, staging)
    }

    /// As [`Staged::with`], for one of many files.
    ///
    /// # Errors
    /// As [`Staged::with`].
    pub fn after(last: &LastFolder, target: &Path, staging: Staging) -> Result<Self, ReplaceError> {
        let open = |path: &Path| last.open(path, staging.create_parents);
        let (mut folder_path, mut name) = folder_and_name(target, target)?;
        let mut folder = open(&folder_path)?;
        let mut found = look_at(&folder.file, &name, target)?;
        if found.is_some_and(|stat| kind(&stat) == FileType::Symlink) {
            (folder_path, name) = final_file(target)?;
            folder = open(&folder_path)?;
            found = look_at(&folder.file, &name, target)?;
        }
        let replaced = found.map(|stat| replaceable(stat, target)).transpose()?;
        let (file, temporary) = match folder.unnamed() {
            Some(file) => (file, None),
            None => {
                create_temporary(&folder.file, &folder_path).map(|(f, name)| (f, Some(name)))?
            }
        };
        Ok(Self {
            folder_is: folder.is,
            open: Some((file, folder)),
            folder_path,
            temporary,
            name,
            shown: target.to_owned(),
            replaced,
            new_mode: staging.new_mode,
            private: staging.private,
            finished: false,
            committed: false,
        })
    }

    /// Whether the target did not exist when the replacement began.
    pub fn is_new(&self) -> bool {
        self.replaced.is_none()
    }

    /// The target as it was given.
    pub fn target(&self) -> &Path {
        &self.shown
    }

    /// Writes bytes, with the error that says what to do; [`Write`] serves streams.
    ///
    /// # Errors
    /// [`ReplaceError::DiskFull`] or [`ReplaceError::Io`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), ReplaceError> {
        self.write_all(bytes).map_err(|source| self.write_error(source))
    }

    /// Turns an error of [`Write`] into the one that says what to do.
    pub fn write_error(&self, source: io::Error) -> ReplaceError {
        io_error(&self.shown, &self.folder_path, "write", source)
    }

    /// Gives the temporary its final mode and owner and syncs it to the disk. After this only
    /// the rename is left.
    ///
    /// # Errors
    /// [`ReplaceError::DiskFull`] or [`ReplaceError::Io`].
    pub fn finish(&mut self) -> Result<(), ReplaceError> {
        let Some((file, _)) = &self.open else { return Ok(()) };
        if self.finished {
            return Ok(());
        }
        let mode = match &self.replaced {
            _ if self.private => 0o600,
            Some(stat) => {
                // Only root can give files away; the group may be one of ours.
                let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                if rustix::fs::fchown(file, Some(owner), Some(group)).is_err() {
                    let _not_ours = rustix::fs::fchown(file, None, Some(group));
                }
                system::permissions(stat) & 0o777
            }
            None => self.new_mode & !umask(),
        };
        rustix::fs::fchmod(file, system::mode(mode))
            .map_err(|e| self.error("set the mode of", e.into()))?;
        file.sync_all().map_err(|e| self.error("sync", e))?;
        self.finished = true;
        Ok(())
    }

    /// Finishes the temporary, gives it a name and closes it, so that any number of them can
    /// wait. It has no lock then: only for who holds the lock of the repository.
    ///
    /// # Errors
    /// As [`Staged::finish`].
    pub fn park(&mut self) -> Result<(), ReplaceError> {
        self.finish()?;
        self.give_name()?;
        self.open = None;
        Ok(())
    }

    /// Puts the new content in place, finishing it first if need be, and syncs the folder.
    ///
    /// # Errors
    /// [`ReplaceError`]; after an error of the last step, the sync of the folder, the new
    /// content is in place but may not survive a power cut.
    pub fn commit(mut self) -> Result<(), ReplaceError> {
        self.finish()?;
        self.lock();
        self.give_name()?;
        self.rename(&self.folder()?)?;
        self.sync_folder()
    }

    /// So that no sweep takes a temporary for abandoned.
    fn lock(&self) {
        if let (Some((file, _)), None) = (&self.open, &self.temporary) {
            let _without_locks_nothing_sweeps =
                rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        }
    }

    fn give_name(&mut self) -> Result<(), ReplaceError> {
        let (Some((file, folder)), None) = (&self.open, &self.temporary) else { return Ok(()) };
        let name = link_temporary(file, &folder.file)
            .map_err(|e| io_error(&self.shown, &self.folder_path, "replace", e))?;
        self.temporary = Some(name);
        Ok(())
    }

    fn rename(&mut self, folder: &File) -> Result<(), ReplaceError> {
        let temporary = self.temporary.as_deref().unwrap_or_default();
        rustix::fs::renameat(folder, temporary, folder, &*self.name)
            .map_err(|e| self.error("replace", e.into()))?;
        self.committed = true;
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), ReplaceError> {
        match rustix::fs::fsync(&self.folder()?) {
            // Some file systems cannot sync folders; there is nothing more to be done there.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::ROFS) => Ok(()),
            Err(e) => Err(self.error("sync the folder of", e.into())),
        }
    }

    /// The folder, which must be the one that it was.
    fn folder(&self) -> Result<File, ReplaceError> {
        if let Some((_, folder)) = &self.open {
            return folder.file.try_clone().map_err(|e| folder_error(&self.folder_path, e));
        }
        let folder = OpenFolder::open(&self.folder_path, false)?;
        if folder.is == self.folder_is {
            Ok(folder.file)
        } else {
            Err(folder_error(&self.folder_path, io::Error::other("it was replaced")))
        }
    }

    fn error(&self, doing: &'static str, source: io::Error) -> ReplaceError {
        io_error(&self.shown, &self.folder_path, doing, source)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.open {
            Some((file, _)) => file.write(bytes),
            None => Err(io::Error::other("it is finished")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let (false, Some(temporary)) = (self.committed, &self.temporary)
            && let Ok(folder) = self.folder()
        {
            let _gone = rustix::fs::unlinkat(&folder, &**temporary, AtFlags::empty());
        }
    }
}

/// Whether a file of this name is a temporary of ours, which is no one's secret file.
pub fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// Removes the temporaries that killed processes left in a folder, and says how many. Those of
/// running processes are locked and stay. Problems are of no matter: the next run tries again.
pub fn sweep(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut removed = 0_usize;
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name())) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(file) = rustix::fs::open(entry.path(), flags, Mode::empty()) else { continue };
        let ours = rustix::fs::fstat(&file).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && stat.st_uid == rustix::process::geteuid().as_raw()
        });
        let abandoned = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if ours && abandoned && std::fs::remove_file(entry.path()).is_ok() {
            removed = removed.saturating_add(1);
        }
    }
    removed
}

/// Why a file cannot be replaced.
#[derive(Debug)]
pub enum ReplaceError {
    /// No one may write the file: whoever took the permission away meant it.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// A folder, device or pipe.
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Symbolic links that lead round in a circle.
    LinkLoop {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link of somebody else in a folder where everybody may make files.
    ForeignLink {
        /// The link.
        path: PathBuf,
    },
    /// The folder of the target does not exist.
    MissingFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// No file can be made in the folder of the target.
    FolderReadOnly {
        /// The folder.
        folder: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// No space, or none within the quota.
    DiskFull {
        /// The folder.
        folder: PathBuf,
    },
    /// Anything else.
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done, a verb.
        doing: &'static str,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl ReplaceError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::ReadOnly { path } => {
                format!(
                    "allow it with `chmod u+w -- {}`",
                    shell_words::quote(&path.to_string_lossy())
                )
            }
            Self::NotAFile { .. } => "name a regular file".to_owned(),
            Self::LinkLoop { .. } => "remove one of the links".to_owned(),
            Self::ForeignLink { .. } => "name a file in a folder of your own".to_owned(),
            Self::MissingFolder { folder } => format!(
                "make it with `mkdir -p -- {}`",
                shell_words::quote(&folder.to_string_lossy())
            ),
            Self::FolderReadOnly { .. } => {
                "run as the owner of the folder, or allow writing there".to_owned()
            }
            Self::DiskFull { .. } => "free some space there and run again".to_owned(),
            Self::Io { .. } => return None,
        })
    }
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly { path } => {
                write!(f, "cannot replace `{}`: its mode lets nobody write it", path.display())
            }
            Self::NotAFile { path } => {
                write!(f, "cannot replace `{}`: it is not a regular file", path.display())
            }
            Self::LinkLoop { path } => {
                write!(f, "cannot replace `{}`: its links lead in a circle", path.display())
            }
            Self::ForeignLink { path } => {
                write!(f, "cannot replace `{}`: it is a link of another user", path.display())
            }
            Self::MissingFolder { folder } => {
                write!(f, "there is no folder `{}`", folder.display())
            }
            Self::FolderReadOnly { folder, source } => {
                write!(f, "cannot make a file in folder `{}`: {source}", folder.display())
            }
            Self::DiskFull { folder } => {
                write!(f, "no space is left on the disk of folder `{}`", folder.display())
            }
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for ReplaceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::FolderReadOnly { source, .. } | Self::Io { source, .. } => Some(source),
            Self::ReadOnly { .. }
            | Self::NotAFile { .. }
            | Self::LinkLoop { .. }
            | Self::ForeignLink { .. }
            | Self::MissingFolder { .. }
            | Self::DiskFull { .. } => None,
        }
    }
}

/// Follows links to the file that is to be replaced, which need not exist: its folder and name.
fn final_file(target: &Path) -> Result<(PathBuf, OsString), ReplaceError> {
    let mut path = target.to_owned();
    for _ in 0..MOST_LINKS {
        let (folder, name) = folder_and_name(&path, target)?;
        match std::fs::read_link(&path) {
            Ok(_) if is_planted(&folder, &path) => {
                return Err(ReplaceError::ForeignLink { path });
            }
            Ok(link) => path = folder.join(link),
            Err(_) => return Ok((folder, name)),
        }
    }
    Err(ReplaceError::LinkLoop { path: target.to_owned() })
}

/// The folder and the name of a path to a file.
fn folder_and_name(path: &Path, shown: &Path) -> Result<(PathBuf, OsString), ReplaceError> {
    // `a/..` and `a/` name folders; a path that ends so has no file to replace.
    let (Some(name), false) = (path.file_name(), path.as_os_str().as_bytes().ends_with(b"/"))
    else {
        return Err(ReplaceError::NotAFile { path: shown.to_owned() });
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    Ok((folder, name.to_owned()))
}

/// Whether somebody else put a link into a folder where everybody may make files. The kernel
/// refuses to follow such links, where it is set up so; those that are followed here it does
/// not see.
fn is_planted(folder: &Path, link: &Path) -> bool {
    let Ok(around) = rustix::fs::stat(folder) else { return false };
    let Ok(stat) = rustix::fs::lstat(link) else { return false };
    let us = rustix::process::geteuid().as_raw();
    around.st_mode & 0o002 != 0 && ![us, 0, around.st_uid].contains(&stat.st_uid)
}

/// What stands at a name, a link itself; `None` where nothing does.
fn look_at(folder: &File, name: &OsStr, shown: &Path) -> Result<Option<Stat>, ReplaceError> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => {
            Err(ReplaceError::Io { path: shown.to_owned(), doing: "look at", source: e.into() })
        }
    }
}

/// The state of the file that is to be replaced.
fn replaceable(stat: Stat, shown: &Path) -> Result<Stat, ReplaceError> {
    let path = shown.to_owned();
    if kind(&stat) != FileType::RegularFile {
        return Err(ReplaceError::NotAFile { path });
    }
    if stat.st_mode & 0o222 == 0 { Err(ReplaceError::ReadOnly { path }) } else { Ok(stat) }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Gives a temporary its name.
fn link_temporary(file: &File, folder: &File) -> io::Result<OsString> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    loop {
        let name = OsString::from(format!("{PREFIX}{}{SUFFIX}", random_name(12)?));
        let linked = folder::link_by_descriptor(file, folder, &name)
            .or_else(|_| rustix::fs::linkat(CWD, &path, folder, &*name, AtFlags::SYMLINK_FOLLOW));
        match linked {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn create_temporary(folder: &File, folder_path: &Path) -> Result<(File, OsString), ReplaceError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let unique = random_name(12).map_err(|e| folder_error(folder_path, e))?;
        let name = OsString::from(format!("{PREFIX}{unique}{SUFFIX}"));
        match rustix::fs::openat(folder, &*name, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => {
                let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
                // A sweep may have come between the two calls and taken the file away.
                let linked = rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink > 0);
                // Where locks do not exist (some network file systems), nothing sweeps either.
                if linked && !matches!(locked, Err(Errno::AGAIN)) {
                    return Ok((File::from(file), name));
                }
            }
            Err(Errno::EXIST) => {}
            Err(e) => return Err(folder_error(folder_path, e.into())),
        }
    }
}

fn folder_error(folder: &Path, source: io::Error) -> ReplaceError {
    let folder = folder.to_owned();
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => ReplaceError::MissingFolder { folder },
        Some(Errno::NOSPC | Errno::DQUOT) => ReplaceError::DiskFull { folder },
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            ReplaceError::FolderReadOnly { folder, source }
        }
        Some(_) | None => ReplaceError::Io { path: folder, doing: "use the folder", source },
    }
}

fn io_error(path: &Path, folder: &Path, doing: &'static str, source: io::Error) -> ReplaceError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => ReplaceError::DiskFull { folder: folder.to_owned() },
        Some(_) | None => ReplaceError::Io { path: path.to_owned(), doing, source },
    }
}

/// The umask, read without changing it even for a moment, since other threads create files.
fn umask() -> u32 {
    let status = super::read_limited(Path::new("/proc/self/status"), 1 << 16).unwrap_or_default();
    let field = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Umask:"));
    let text = field.and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default();
    u32::from_str_radix(text.trim(), 8).unwrap_or(0o022)
}

const PREFIX: &str = ".secretctl-";
const SUFFIX: &str = ".tmp";
/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests;
