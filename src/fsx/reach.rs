//! The way to a folder by an absolute path, for a program that may write everywhere: links on
//! the way are followed only where nobody else can have put them there to lead it astray.
//!
//! A link is trusted in a folder that only root and we can write to. Anybody else's link is
//! followed only into a folder that is theirs too, where they could have put things themselves.
//!
//! Where a program of another user makes up what a file system shows (FUSE), it makes up owners too: no
//! folder there is guarded, and no link there is followed.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Stat;
use rustix::io::Errno;

use super::directory::{Attributes, Directory, is_folder, is_link};
use super::system;

/// How to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether folders that are missing are made, for root and with mode 0755.
    pub create: bool,
    /// Whether each folder must be one that nobody else can rename things in.
    pub guarded: bool,
}

/// Goes to a folder.
///
/// # Errors
/// [`ReachError`].
pub fn reach(folder: &Path, way: Way) -> Result<Directory, ReachError> {
    let users = Users::of_this_process();
    let mut walk = Walk {
        here: Directory::root().map_err(|e| ReachError::io(Path::new("/"), e))?,
        at: PathBuf::from("/"),
        rest: VecDeque::new(),
        suspects: 0,
        links: 0,
    };
    if !folder.is_absolute() {
        return Err(ReachError::NotAbsolute { path: folder.to_owned() });
    }
    walk.prepend(folder);
    while let Some(step) = walk.rest.pop_front() {
        match step {
            Step::Down(name) => walk.down(&name, way, users)?,
            Step::Up => {
                let up = walk.here.step(OsStr::new(".."));
                walk.here = up.map_err(|e| ReachError::io(&walk.at, e))?;
                walk.at.pop();
            }
            Step::Judge { link, owner } => {
                walk.suspects = walk.suspects.saturating_sub(1);
                let stat = walk.here.stat().map_err(|e| ReachError::io(&walk.at, e))?;
                if stat.st_uid != owner || users.trusts(owner) && !users.is_us(owner) {
                    return Err(ReachError::Planted { link });
                }
            }
        }
    }
    let stat = walk.here.stat().map_err(|e| ReachError::io(&walk.at, e))?;
    if way.guarded && (!users.guard(&stat) || walk.is_made_up(&stat, users)?) {
        return Err(ReachError::Unguarded { folder: walk.at });
    }
    Ok(walk.here)
}

struct Walk {
    here: Directory,
    /// The same for messages.
    at: PathBuf,
    rest: VecDeque<Step>,
    /// Links of others that are being followed.
    suspects: usize,
    links: usize,
}

enum Step {
    Down(OsString),
    Up,
    /// The end of the way of a link of somebody else.
    Judge {
        link: PathBuf,
        owner: u32,
    },
}

impl Walk {
    fn down(&mut self, name: &OsStr, way: Way, users: Users) -> Result<(), ReachError> {
        let path = self.at.join(name);
        let shown = path.clone();
        let problem = |e| ReachError::io(&shown, e);
        let around = self.here.stat().map_err(problem)?;
        let made_up = self.is_made_up(&around, users)?;
        if way.guarded && (made_up || !users.guard(&around)) {
            return Err(ReachError::Unguarded { folder: self.at.clone() });
        }
        match self.here.look(name).map_err(problem)? {
            None if way.create && self.suspects == 0 => {
                let attributes = Attributes { owner: None, mode: 0o755 };
                let made = self.here.enter_or_make(name, attributes);
                self.here = made.map_err(|e| ReachError::making(&path, e))?;
            }
            None => return Err(ReachError::Missing { folder: path }),
            Some(stat) if is_link(&stat) && made_up => {
                return Err(ReachError::Planted { link: path });
            }
            Some(stat) if is_link(&stat) => {
                self.links = self.links.saturating_add(1);
                if self.links > MOST_LINKS {
                    return Err(ReachError::Loop { link: path });
                }
                let target = self.here.read_link(name).map_err(problem)?;
                if !(users.guard(&around) && users.trusts(stat.st_uid)) {
                    if way.guarded {
                        return Err(ReachError::Planted { link: path });
                    }
                    self.suspects = self.suspects.saturating_add(1);
                    self.rest.push_front(Step::Judge { link: path, owner: stat.st_uid });
                }
                if target.is_absolute() {
                    self.here = Directory::root().map_err(problem)?;
                    self.at = PathBuf::from("/");
                }
                self.prepend(&target);
                return Ok(());
            }
            Some(stat) if is_folder(&stat) => {
                self.here = self.here.step(name).map_err(problem)?;
            }
            Some(_) => return Err(ReachError::NotAFolder { path }),
        }
        self.at = path;
        Ok(())
    }

    /// Whether a program of another user says what is in this folder and whose it is.
    fn is_made_up(&self, here: &Stat, users: Users) -> Result<bool, ReachError> {
        let problem = |e| ReachError::io(&self.at, e);
        if !self.here.is_fuse().map_err(problem)? {
            return Ok(false);
        }
        let mounts = super::read_limited(Path::new("/proc/self/mountinfo"), 16 << 20);
        let mounts = String::from_utf8_lossy(&mounts.map_err(problem)?).into_owned();
        let user = serving_user(&mounts, &system::device_numbers(here));
        Ok(!user.is_some_and(|user| users.trusts(user)))
    }

    fn prepend(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.rest.push_front(Step::Down(name.to_owned())),
                Component::ParentDir => self.rest.push_front(Step::Up),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }
}

/// Who may lead us.
#[derive(Debug, Clone, Copy)]
pub struct Users {
    us: u32,
    /// Inside a user namespace, who owns what belongs to nobody in there: root of the host.
    outside: Option<u32>,
}

impl Users {
    /// Root and whoever runs this.
    pub fn of_this_process() -> Self {
        let map = super::read_limited(Path::new("/proc/self/uid_map"), 4096).unwrap_or_default();
        let map = String::from_utf8_lossy(&map);
        let numbers: Vec<&str> = map.split_whitespace().collect();
        let whole = numbers.is_empty() || numbers == ["0", "0", "4294967295"];
        let us = rustix::process::geteuid().as_raw();
        Self { us, outside: (!whole).then_some(OVERFLOW) }
    }

    /// Whether it is root or we.
    pub fn trusts(self, user: u32) -> bool {
        user == 0 || user == self.us || self.outside == Some(user)
    }

    /// Whether it is we, and we are not root: whoever got us to use a link of ours to a folder
    /// of ours gained nothing.
    fn is_us(self, user: u32) -> bool {
        user == self.us && user != 0
    }

    /// Whether nobody else can rename what is in a folder, or only what is their own.
    pub fn guard(self, folder: &Stat) -> bool {
        let sticky = folder.st_mode & 0o1000 != 0;
        self.trusts(folder.st_uid) && (folder.st_mode & 0o022 == 0 || sticky)
    }
}

/// Why a folder cannot be reached.
#[derive(Debug)]
pub enum ReachError {
    /// The path does not begin with `/`.
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// A folder is not there.
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// Something on the way is neither a folder nor a link.
    NotAFolder {
        /// What it is.
        path: PathBuf,
    },
    /// Too many links.
    Loop {
        /// The last one.
        link: PathBuf,
    },
    /// A link that another user can have put there leads out of what is theirs.
    Planted {
        /// The link.
        link: PathBuf,
    },
    /// Other users can rename things in a folder on the way.
    Unguarded {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder cannot be made because its file system is read-only.
    ReadOnly {
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// Anything else.
    Io {
        /// Where.
        path: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl ReachError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn making(path: &Path, source: io::Error) -> Self {
        if Errno::from_io_error(&source) == Some(Errno::ROFS) {
            Self::ReadOnly { folder: path.to_owned() }
        } else {
            Self::io(path, source)
        }
    }

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotAbsolute { .. } => "name a path that begins with `/`".to_owned(),
            Self::Missing { folder } => format!("make it with `mkdir -p -- {}`", quoted(folder)),
            Self::NotAFolder { path } => {
                format!("move it away, or name another place: `ls -ld -- {}`", quoted(path))
            }
            Self::Loop { .. } => "remove one of the links".to_owned(),
            Self::Planted { link } => {
                format!("name the place itself, or remove the link: `rm -- {}`", quoted(link))
            }
            Self::Unguarded { folder } => format!(
                "let only root write there: `chown root -- {0}` and `chmod go-w -- {0}`",
                quoted(folder)
            ),
            Self::ReadOnly { .. } => {
                "let the folder be part of the image, or mount a tmpfs around it first".to_owned()
            }
            Self::Io { .. } => return None,
        })
    }
}

impl fmt::Display for ReachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute { path } => write!(f, "`{}` is no absolute path", path.display()),
            Self::Missing { folder } => write!(f, "there is no folder `{}`", folder.display()),
            Self::NotAFolder { path } => write!(f, "`{}` is no folder", path.display()),
            Self::Loop { link } => {
                write!(f, "the links on the way to `{}` lead in a circle", link.display())
            }
            Self::Planted { link } => write!(
                f,
                "the link `{}` can have been put there by another user, and leads out of what is \
                 theirs",
                link.display()
            ),
            Self::Unguarded { folder } => {
                write!(f, "other users can write to the folder `{}`", folder.display())
            }
            Self::ReadOnly { folder } => write!(
                f,
                "cannot make the folder `{}`: the file system is read-only",
                folder.display()
            ),
            Self::Io { path, source } => write!(f, "cannot go to `{}`: {source}", path.display()),
        }
    }
}

impl std::error::Error for ReachError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotAbsolute { .. }
            | Self::Missing { .. }
            | Self::NotAFolder { .. }
            | Self::Loop { .. }
            | Self::Planted { .. }
            | Self::Unguarded { .. }
            | Self::ReadOnly { .. } => None,
        }
    }
}

/// Whose program serves the FUSE file system with these numbers, by lines of mountinfo.
fn serving_user(mounts: &str, device: &str) -> Option<u32> {
    let options = mounts.lines().find_map(|line| options_of(line, device))?;
    let user = options.split(',').find_map(|option| option.strip_prefix("user_id="));
    // Without it no program of this machine does: the host of a virtual machine, by virtiofs.
    user.map_or(Some(0), |user| user.parse().ok())
}

/// The options of the file system of a line of mountinfo, if it is that of the device.
pub(super) fn options_of<'a>(line: &'a str, device: &str) -> Option<&'a str> {
    let (mount, filesystem) = line.split_once(" - ")?;
    (mount.split(' ').nth(2)? == device).then_some(())?;
    filesystem.split(' ').nth(2)
}

fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

/// Who owns the files of root inside a user namespace that does not know root.
const OVERFLOW: u32 = 65534;
/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};

    #[cfg(target_os = "linux")]
    use rustix::mount::{MountFlags, mount};

    use super::*;

    const PLAIN: Way = Way { create: false, guarded: false };
    const MAKE: Way = Way { create: true, guarded: false };

    /// The inode that the way leads to.
    fn lead(path: &Path, way: Way) -> Result<u64, ReachError> {
        reach(path, way).map(|folder| folder.stat().unwrap().st_ino)
    }

    #[test]
    fn own_links_are_followed_and_missing_folders_made() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        symlink("real/../real", root.join("near")).unwrap();
        symlink(root.join("near/deep"), root.join("far")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        let deep = fs::metadata(root.join("real/deep")).unwrap().ino();
        assert_eq!(lead(&root.join("far"), PLAIN).unwrap(), deep);
        assert_eq!(lead(&root.join("far/../deep"), PLAIN).unwrap(), deep);
        assert!(matches!(lead(&root.join("circle"), PLAIN), Err(ReachError::Loop { .. })));
        assert!(matches!(lead(&root.join("x/y"), PLAIN), Err(ReachError::Missing { .. })));
        lead(&root.join("near/x/y"), MAKE).unwrap();
        assert_eq!(fs::metadata(root.join("real/x/y")).unwrap().mode() & 0o7777, 0o755);
        fs::write(root.join("file"), "").unwrap();
        assert!(matches!(lead(&root.join("file/x"), MAKE), Err(ReachError::NotAFolder { .. })));
        assert!(matches!(lead(Path::new("a"), MAKE), Err(ReachError::NotAbsolute { .. })));
    }

    #[test]
    fn options_are_those_of_the_device() {
        let line =
            "36 25 0:31 / /run/secrets.d rw,nosuid shared:9 - tmpfs secretctl rw,noswap,mode=751";
        assert_eq!(options_of(line, "0:31"), Some("rw,noswap,mode=751"));
        assert_eq!(options_of(line, "0:3"), None);
        assert_eq!(options_of("nonsense", "0:31"), None);
    }

    #[test]
    fn whose_program_makes_up_a_file_system_is_known() {
        let mounts = "30 25 0:26 / /home rw shared:1 - ext4 /dev/sda1 rw,user_id=7\n\
                      31 30 0:41 / /home/a/mnt rw,nosuid - fuse.sshfs a@b: rw,user_id=1001,group_id=100,allow_other\n\
                      32 30 0:42 / /pool rw - fuse.mergerfs a:b rw,user_id=0,group_id=0,allow_other\n\
                      33 30 0:43 / /host rw - virtiofs host rw\n";
        for (device, user) in
            [("0:41", Some(1001)), ("0:42", Some(0)), ("0:43", Some(0)), ("0:4", None)]
        {
            assert_eq!(serving_user(mounts, device), user, "{device}");
        }
    }

    /// A FUSE file system of the user 1001 at a folder, in which all is said to be root's; `link` in it
    /// leads to `target`.
    #[cfg(target_os = "linux")]
    struct MadeUp(PathBuf);

    #[cfg(target_os = "linux")]
    impl MadeUp {
        fn mount(at: &Path, target: &Path) -> io::Result<Self> {
            use std::io::{Read, Write};
            use std::os::fd::AsRawFd;
            use std::os::unix::ffi::OsStrExt;

            let mut device = fs::File::options().read(true).write(true).open("/dev/fuse")?;
            let options = format!(
                "fd={},rootmode=40000,user_id=1001,group_id=100,allow_other",
                device.as_raw_fd()
            );
            let (flags, options) = (MountFlags::NOSUID, std::ffi::CString::new(options).unwrap());
            mount("made-up", at, "fuse.made-up", flags, Some(options.as_c_str()))?;
            let target = target.as_os_str().as_bytes().to_owned();
            // Numbers and sizes are those of `linux/fuse.h`.
            std::thread::spawn(move || {
                let mut request = vec![0; 1 << 18];
                while let Ok(length) = device.read(&mut request) {
                    let word = |at: usize| {
                        u32::from_ne_bytes(request[at..at.saturating_add(4)].try_into().unwrap())
                    };
                    let zeros = |count: usize| vec![0_u8; count];
                    let attributes = |link: bool| {
                        let mode: u32 = if link { 0o120_777 } else { 0o040_755 };
                        [&zeros(60)[..], &mode.to_ne_bytes(), &[1, 0, 0, 0], &zeros(20)].concat()
                    };
                    let node_of_link = [&[2_u8, 0, 0, 0, 0, 0, 0, 0][..], &zeros(32)].concat();
                    let (error, answer) = match word(4) {
                        1 if request[40..length].starts_with(b"link\0") => {
                            (0, [node_of_link, attributes(true)].concat())
                        }
                        1 => (-2, Vec::new()),
                        2 | 36 | 42 => continue,
                        3 => (0, [zeros(16), attributes(word(16) == 2)].concat()),
                        5 => (0, target.clone()),
                        17 => (0, zeros(80)),
                        26 => {
                            let version = [7_u32, 31].map(u32::to_ne_bytes).concat();
                            (0, [version, zeros(56)].concat())
                        }
                        _ => (-38_i32, Vec::new()),
                    };
                    let length = u32::try_from(answer.len()).unwrap().saturating_add(16);
                    let head = [length.to_ne_bytes(), error.to_ne_bytes()].concat();
                    let _gone = device.write(&[&head[..], &request[8..16], &answer].concat());
                }
            });
            Ok(Self(at.to_owned()))
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for MadeUp {
        fn drop(&mut self) {
            let _gone = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_that_another_user_makes_up_leads_nowhere() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        let (at, target) = (root.join("made-up"), root.join("target"));
        fs::create_dir(&at).unwrap();
        fs::create_dir(&target).unwrap();
        let made_up = match MadeUp::mount(&at, &target) {
            Ok(made_up) => made_up,
            Err(error) => {
                println!("skipped: no FUSE here: {error}");
                return;
            }
        };
        // It is as if root had made the link.
        assert_eq!(fs::symlink_metadata(at.join("link")).unwrap().uid(), 0);
        assert_eq!(fs::read_link(at.join("link")).unwrap(), target);
        let error = lead(&at.join("link/x"), MAKE);
        assert!(matches!(error, Err(ReachError::Planted { .. })), "{error:?}");
        let error = lead(&at, Way { create: false, guarded: true });
        assert!(matches!(error, Err(ReachError::Unguarded { .. })), "{error:?}");
        lead(&at, PLAIN).unwrap();
        drop(made_up);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    }

    #[test]
    fn links_of_others_lead_only_to_what_is_theirs() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root has others to fear here");
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        let (home, trap) = (root.join("home"), root.join("etc"));
        for folder in ["home/real", "etc"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for theirs in [&home, &home.join("real")] {
            lchown(theirs, Some(4711), Some(4711)).unwrap();
        }
        for (name, target) in [("mine", "real"), ("out", "../etc"), ("new", "../etc/new")] {
            symlink(target, home.join(name)).unwrap();
            lchown(home.join(name), Some(4711), Some(4711)).unwrap();
        }
        // One that root made and they moved.
        symlink(&trap, home.join("moved")).unwrap();
        lead(&home.join("mine/x"), MAKE).unwrap();
        for name in ["out", "out/x", "moved", "moved/x"] {
            let error = lead(&home.join(name), MAKE);
            assert!(matches!(error, Err(ReachError::Planted { .. })), "{name}: {error:?}");
        }
        assert!(matches!(lead(&home.join("new"), MAKE), Err(ReachError::Missing { .. })));
        assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
        let guarded = Way { create: true, guarded: true };
        let error = lead(&home, guarded);
        assert!(matches!(error, Err(ReachError::Unguarded { .. })), "{error:?}");
        fs::set_permissions(&trap, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(lead(&trap.join("x"), guarded), Err(ReachError::Unguarded { .. })));
        fs::set_permissions(&trap, Permissions::from_mode(0o1777)).unwrap();
        lead(&trap.join("x"), guarded).unwrap();
    }
}
