//! The lock of a repository: two runs that write do so one after the other.
//!
//! A `flock`, so that the kernel releases it however its holder ends. The file lies in the git
//! folder, or in a folder of this user where there is none; never among the user's files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::Folders;
use super::directory::{Directory, is_file};

/// Held until dropped. Taking the same lock twice in one process waits for ever.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Whether who holds it stands in the file.
    signed: bool,
}

impl Lock {
    /// Takes the lock of the repository at or above `root`, and waits for it if need be;
    /// `waiting` is told once who holds it. `command` is what others are told while we do.
    ///
    /// # Errors
    /// [`LockError`]; waiting alone is none.
    pub fn acquire(
        root: &Path,
        command: &str,
        folders: &Folders,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, LockError> {
        let path = lock_path(root, folders)?;
        let mut told = false;
        loop {
            let mut file = open(&path)?;
            let problem = |source: Errno| LockError::io(&path, "lock", source.into());
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::AGAIN) => {
                    if !told {
                        waiting(&holder(&mut file));
                        told = true;
                    }
                    match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                        Ok(()) => {}
                        Err(Errno::INTR) => continue,
                        Err(e) => return Err(problem(e)),
                    }
                }
                Err(e) => return Err(problem(e)),
            }
            // Someone may have removed the file meanwhile: then ours locks nothing.
            if same_file(&file, &path) {
                return Ok(Self::signed(file, command));
            }
        }
    }

    /// Takes the lock that is the file `name` in a folder (`shown`, for messages) that nobody else can
    /// write to, and waits for it for `patience` at most. Where the folder is on a read-only file
    /// system the folder itself is locked, which tells nobody who holds it.
    ///
    /// # Errors
    /// [`LockError`]; [`LockError::Busy`] where waiting was of no use.
    pub fn acquire_in(
        (folder, shown): (&Directory, &Path),
        name: &OsStr,
        command: &str,
        patience: Duration,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, LockError> {
        let path = shown.join(name);
        let deadline = Instant::now().checked_add(patience);
        let mut told = false;
        loop {
            let (mut file, ours) = open_in(folder, name, &path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if !ours => return Ok(Self { file, signed: false }),
                Ok(()) if is_entry(&file, folder, name) => return Ok(Self::signed(file, command)),
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::INTR) => {
                    let holder = holder(&mut file);
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(LockError::Busy { path, holder, patience });
                    }
                    if !told {
                        waiting(&holder);
                        told = true;
                    }
                    std::thread::sleep(BREATH);
                }
                Err(e) => return Err(LockError::io(&path, "lock", e.into())),
            }
        }
    }

    /// As [`Lock::acquire`] for several folders: each lock once, and in the same order for
    /// everybody, so that no two programs wait for each other.
    ///
    /// # Errors
    /// [`LockError`]; waiting alone is none.
    pub fn acquire_all(
        roots: &[PathBuf],
        command: &str,
        folders: &Folders,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Vec<Self>, LockError> {
        let mut by_path: BTreeMap<PathBuf, &Path> = BTreeMap::new();
        for root in roots {
            by_path.insert(lock_path(root, folders)?, root);
        }
        by_path.into_values().map(|root| Self::acquire(root, command, folders, waiting)).collect()
    }

    fn signed(file: File, command: &str) -> Self {
        let mut lock = Self { file, signed: true };
        // Who holds it is only told; a full file system must not end the run.
        let _untold = lock.sign(command);
        lock
    }

    fn sign(&mut self, command: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        // who held it before was read
        self.file.rewind()?;
        let pid = std::process::id();
        self.file.write_all(format!("{pid} {command}\n").as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock goes with the descriptor; the name only would mislead.
        if self.signed {
            let _stale = self.file.set_len(0);
        }
    }
}

/// Why the lock cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// The file or folder of the lock belongs to somebody else, who could keep us out with it.
    Foreign {
        /// The file or folder.
        path: PathBuf,
    },
    /// Somebody else has it for longer than we wait.
    Busy {
        /// The file.
        path: PathBuf,
        /// Who has it.
        holder: String,
        /// How long we waited.
        patience: Duration,
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

impl LockError {
    fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Foreign { path } => Some(format!(
                "look who made it, then remove it: `rm -r -- {}`",
                shell_words::quote(&path.to_string_lossy())
            )),
            Self::Busy { .. } => Some("wait for its end, or end it, then run again".to_owned()),
            Self::Io { .. } => None,
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { path } => {
                write!(f, "cannot take the lock: `{}` belongs to somebody else", path.display())
            }
            Self::Busy { path, holder, patience } => write!(
                f,
                "the lock `{}` is held by {holder} for more than {} seconds",
                path.display(),
                patience.as_secs()
            ),
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} the lock file `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Foreign { .. } | Self::Busy { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

fn lock_path(root: &Path, folders: &Folders) -> Result<PathBuf, LockError> {
    let root = std::fs::canonicalize(root).map_err(|e| LockError::io(root, "find", e))?;
    // A `.git` that somebody else put above a folder of ours is theirs to lock.
    let owner = std::fs::metadata(&root).map_err(|e| LockError::io(&root, "look at", e))?.uid();
    let hands = [0, owner, rustix::process::geteuid().as_raw()];
    let ours = |folder: &Path| {
        let git = std::fs::symlink_metadata(folder.join(".git"));
        git.is_ok_and(|git| hands.contains(&git.uid()))
    };
    let mut folders_above = root.ancestors().filter(|folder| ours(folder));
    if let Some(git) = folders_above.find_map(git_folder)
        && rustix::fs::access(&git, rustix::fs::Access::WRITE_OK).is_ok()
    {
        return Ok(git.join("secretctl.lock"));
    }
    let folder = match &folders.runtime {
        Some(runtime) if own_folder(runtime).is_ok() => runtime.join("secretctl"),
        Some(_) | None => {
            let user = rustix::process::geteuid().as_raw();
            folders.temporary.join(format!("secretctl-{user}"))
        }
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LockError::io(&folder, "make the folder of", e));
        }
        Ok(()) | Err(_) => own_folder(&folder)?,
    }
    let name = hex::encode(Sha256::digest(root.as_os_str().as_encoded_bytes()));
    Ok(folder.join(format!("{name:.32}.lock")))
}

/// The git folder of a work tree: `.git`, or where the file `.git` of a second work tree or a
/// submodule points to.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let git = folder.join(".git");
    let found = if git.is_dir() {
        git
    } else {
        let text = super::read_limited(&git, 8192).ok()?;
        let path = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
        folder.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path))
    };
    found.join("HEAD").is_file().then_some(found)
}

/// A folder that is ours alone, and no link.
fn own_folder(folder: &Path) -> Result<(), LockError> {
    let metadata = std::fs::symlink_metadata(folder)
        .map_err(|e| LockError::io(folder, "look at the folder of", e))?;
    let ours = metadata.is_dir()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.mode() & 0o022 == 0;
    ours.then_some(()).ok_or_else(|| LockError::Foreign { path: folder.to_owned() })
}

fn open(path: &Path) -> Result<File, LockError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(LockError::Foreign { path: path.to_owned() }),
        Err(e) => return Err(LockError::io(path, "open", e.into())),
    };
    let problem = |e: Errno| LockError::io(path, "look at", e.into());
    let stat = rustix::fs::fstat(&file).map_err(problem)?;
    let parent = rustix::fs::stat(path.parent().unwrap_or(path)).map_err(problem)?;
    let us = rustix::process::geteuid();
    // What has a second name may be any file of root's that somebody else gave this one.
    if us.is_root() && stat.st_nlink != 1 {
        return Err(LockError::Foreign { path: path.to_owned() });
    }
    // Root works in the repositories of others; what it makes there is to stay theirs.
    if us.is_root() && stat.st_uid == 0 && parent.st_uid != 0 {
        let (owner, group) = (Uid::from_raw(parent.st_uid), Gid::from_raw(parent.st_gid));
        let _stays_ours = rustix::fs::fchown(&file, Some(owner), Some(group));
    }
    let ours = [us.as_raw(), parent.st_uid].contains(&stat.st_uid);
    if !ours || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(LockError::Foreign { path: path.to_owned() });
    }
    Ok(file)
}

/// The lock file of a folder, or the folder itself (`false`) where there can be none.
fn open_in(folder: &Directory, name: &OsStr, path: &Path) -> Result<(File, bool), LockError> {
    let problem = |e: io::Error| LockError::io(path, "open", e);
    let foreign = || LockError::Foreign { path: path.to_owned() };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    // Somebody else's pipe or device is not even opened.
    match folder.look(name).map_err(problem)? {
        Some(stat) if !is_file(&stat) || stat.st_uid != rustix::process::geteuid().as_raw() => {
            return Err(foreign());
        }
        Some(_) | None => {}
    }
    match rustix::fs::openat(folder.descriptor(), name, flags, mode) {
        Ok(file) => Ok((File::from(file), true)),
        Err(Errno::LOOP) => Err(foreign()),
        Err(Errno::ROFS) => {
            let folder = folder.again().map_err(problem)?;
            Ok((File::from(folder.into_descriptor()), false))
        }
        Err(e) => Err(problem(e.into())),
    }
}

/// Whether the file still has that name: someone may have removed it, and then it locks nothing.
fn is_entry(file: &File, folder: &Directory, name: &OsStr) -> bool {
    let (Ok(held), Ok(Some(named))) = (rustix::fs::fstat(file), folder.look(name)) else {
        return false;
    };
    (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
}

fn same_file(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (rustix::fs::fstat(file), rustix::fs::lstat(path)) else {
        return false;
    };
    (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
}

/// Who holds the lock, cleaned for a terminal: the file may hold anything.
fn holder(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let _unread = file.take(200).read_to_end(&mut bytes);
    let text: String =
        String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect();
    match text.split_once(' ') {
        Some((pid, command)) if pid.parse::<u32>().is_ok() => {
            format!("process {pid} (`{command}`)")
        }
        Some(_) | None => "another process".to_owned(),
    }
}

/// Between two looks at a lock that is held.
const BREATH: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn folders(at: &Path) -> Folders {
        Folders { runtime: None, memory: at.to_owned(), temporary: at.to_owned() }
    }

    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(".git")).unwrap();
        std::fs::write(root.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        root
    }

    #[test]
    fn the_second_waits_and_is_told_who_holds_it() {
        let root = repository();
        let places = folders(root.path());
        let mut nobody = |_: &str| panic!("nothing to wait for");
        let first = Lock::acquire(root.path(), "secretctl rekey", &places, &mut nobody).unwrap();
        let (say, heard) = mpsc::channel();
        let second = std::thread::spawn({
            let (path, places) = (root.path().to_owned(), places.clone());
            move || {
                let mut told = |who: &str| say.send(who.to_owned()).unwrap();
                Lock::acquire(&path, "secretctl edit", &places, &mut told).map(drop)
            }
        });
        let who = heard.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(who, format!("process {} (`secretctl rekey`)", std::process::id()));
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
        assert_eq!(std::fs::read(root.path().join(".git/secretctl.lock")).unwrap(), b"");
    }

    #[test]
    fn second_work_trees_and_folders_without_git_are_not_littered() {
        let main = repository();
        let tree = tempfile::tempdir().unwrap();
        let place = main.path().join(".git/worktrees/tree");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("HEAD"), "ref: refs/heads/b\n").unwrap();
        std::fs::write(tree.path().join(".git"), format!("gitdir: {}\n", place.display())).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let places = folders(elsewhere.path());
        assert_eq!(lock_path(tree.path(), &places).unwrap(), place.join("secretctl.lock"));
        let bare = tempfile::tempdir().unwrap();
        drop(Lock::acquire(bare.path(), "x", &places, &mut |_| ()).unwrap());
        assert_eq!(std::fs::read_dir(bare.path()).unwrap().count(), 0);
    }

    #[test]
    fn waiting_has_an_end_and_tells_for_whom() {
        let temp = tempfile::tempdir().unwrap();
        let at = std::fs::canonicalize(temp.path()).unwrap();
        let way = crate::fsx::Way { create: false, guarded: false };
        let folder = crate::fsx::reach(&at, way).unwrap();
        let take = |patience: u64, told: &mut Vec<String>| {
            let patience = Duration::from_millis(patience);
            let mut waiting = |who: &str| told.push(who.to_owned());
            Lock::acquire_in((&folder, &at), OsStr::new("lock"), "first", patience, &mut waiting)
        };
        let mut told = Vec::new();
        let first = take(0, &mut told).unwrap();
        assert!(told.is_empty());
        let error = take(30, &mut told).unwrap_err();
        let who = format!("process {} (`first`)", std::process::id());
        assert_eq!(told, std::slice::from_ref(&who));
        assert!(matches!(&error, LockError::Busy { holder, .. } if *holder == who), "{error}");
        drop(first);
        std::fs::remove_file(at.join("lock")).unwrap();
        drop(take(0, &mut told).unwrap());
        std::fs::remove_file(at.join("lock")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, at.join("lock"), FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(take(0, &mut told), Err(LockError::Foreign { .. })));
    }

    #[test]
    fn a_second_name_of_a_file_is_no_lock_of_root() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root has more to lose than the lock");
            return;
        }
        let root = repository();
        let precious = root.path().join("precious");
        std::fs::write(&precious, "content").unwrap();
        std::fs::hard_link(&precious, root.path().join(".git/secretctl.lock")).unwrap();
        let error = Lock::acquire(root.path(), "x", &folders(root.path()), &mut |_| ());
        assert!(matches!(error, Err(LockError::Foreign { .. })), "{error:?}");
        assert_eq!(std::fs::read(precious).unwrap(), b"content");
    }

    #[test]
    fn links_are_not_followed() {
        let root = repository();
        let target = root.path().join("precious");
        std::fs::write(&target, "content").unwrap();
        std::os::unix::fs::symlink(&target, root.path().join(".git/secretctl.lock")).unwrap();
        let error = Lock::acquire(root.path(), "x", &folders(root.path()), &mut |_| ());
        assert!(matches!(error, Err(LockError::Foreign { .. })));
        assert_eq!(std::fs::read(target).unwrap(), b"content");
    }
}
