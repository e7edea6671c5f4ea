//! Folders for plaintext that an editor works on: nobody else can enter them, and they are not
//! on a disk unless the user said so.
//!
//! A [`PrivateDir`] is the fallback for editors that hand the file to another process, or
//! where there are no namespaces; [`super::namespace`] makes the better place.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::reach::Users;
use super::system::{self, Kind};
use super::{Folders, random_name};
use crate::plaintext::Plaintext;

/// An open folder; files in it are reached through the descriptor alone, so that it works for
/// a folder that has no path of ours.
#[derive(Debug)]
pub struct Folder(File);

impl Folder {
    /// Opens a folder that is no link and belongs to us alone.
    ///
    /// # Errors
    /// `PermissionDenied` where others can enter it, or what the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::checked(rustix::fs::open(path, FOLDER, Mode::empty())?.into())
    }

    /// Opens a folder inside this one, under the same conditions.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_inside(&self, name: &OsStr) -> io::Result<Self> {
        Self::checked(rustix::fs::openat(&self.0, name, FOLDER, Mode::empty())?.into())
    }

    /// Whether the folder is on a ramfs, which is never swapped.
    pub fn is_ramfs(&self) -> bool {
        system::kind(&self.0).is_ok_and(|kind| kind == Kind::Ramfs)
    }

    /// Whether the folder is in memory.
    pub fn is_memory(&self) -> bool {
        system::kind(&self.0).is_ok_and(|kind| kind != Kind::Other)
    }

    /// Whether there is an entry of that name.
    pub fn has(&self, name: &OsStr) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Makes a file of mode 0600 that did not exist.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` included.
    pub fn put(&self, name: &OsStr, content: &Plaintext) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o600))?;
        #[expect(clippy::disallowed_methods, reason = "the user edits the content in this file")]
        File::from(file).write_all(content.expose())
    }

    /// Reads a regular file; `None` where there is none of that name.
    ///
    /// # Errors
    /// `FileTooLarge` above `limit` bytes, `InvalidInput` for links and other things that are
    /// no regular file, or what the system says.
    pub fn take(&self, name: &OsStr, limit: usize) -> io::Result<Option<Plaintext>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Plaintext::read_from(&mut File::from(file), limit).map(Some)
    }

    fn checked(file: File) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&file)?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if ours && system::permissions(&stat) & OTHERS == 0 {
            Ok(Self(file))
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

/// A folder of our own that is removed with all it holds when the value is dropped. What a
/// killed process left behind goes when the next one makes a folder.
#[derive(Debug)]
pub struct PrivateDir {
    folder: Folder,
    path: PathBuf,
}

impl PrivateDir {
    /// Makes a folder in memory: in `$XDG_RUNTIME_DIR`, else in `/dev/shm`; on a disk only if
    /// `insecure_tmp` says so.
    ///
    /// # Errors
    /// [`PrivateDirError`] with the reason for each place that was tried.
    pub fn create(folders: &Folders, insecure_tmp: bool) -> Result<Self, PrivateDirError> {
        let mut tried = Vec::new();
        for base in folders.runtime.iter().chain([&folders.memory]) {
            match Self::create_in(base, true) {
                Ok(made) => return Ok(made),
                Err(source) => tried.push((base.clone(), source)),
            }
        }
        if insecure_tmp {
            match Self::create_in(&folders.temporary, false) {
                Ok(made) => return Ok(made),
                Err(source) => tried.push((folders.temporary.clone(), source)),
            }
        }
        Err(PrivateDirError { tried, insecure_tmp })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Gives the folder and a file in it to another user, for a child that runs as one.
    ///
    /// # Errors
    /// What the system says; only root may.
    pub fn give(&self, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&self.folder.0, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::fchown(&self.folder.0, uid, gid)?;
        Ok(())
    }

    fn create_in(base: &Path, memory: bool) -> io::Result<Self> {
        let stat = rustix::fs::stat(base)?;
        // Who owns the folder around ours can rename it away, and so can everybody without the
        // sticky bit.
        if !Users::of_this_process().guard(&stat) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        sweep(base);
        loop {
            let path = base.join(format!("{PREFIX}{}", random_name(16)?));
            DirBuilder::new().mode(0o700).create(&path)?;
            match locked(&path) {
                Ok(folder) if memory && !folder.is_memory() => {
                    let _still_empty = std::fs::remove_dir(&path);
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is on a disk"));
                }
                Ok(folder) => return Ok(Self { folder, path }),
                // A sweep came between the two calls and takes the folder away.
                Err(Errno::AGAIN | Errno::NOENT) => {}
                Err(e) => {
                    let _still_empty = std::fs::remove_dir(&path);
                    return Err(e.into());
                }
            }
        }
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.path);
    }
}

/// There is no place for plaintext.
#[derive(Debug)]
pub struct PrivateDirError {
    /// The places and why each cannot be used.
    pub tried: Vec<(PathBuf, io::Error)>,
    insecure_tmp: bool,
}

impl PrivateDirError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        (!self.insecure_tmp).then_some(
            "mount a tmpfs on /dev/shm, or accept plaintext on the disk with `--insecure-tmp`",
        )
    }
}

impl fmt::Display for PrivateDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no folder in memory for the plaintext")?;
        for (number, (path, source)) in self.tried.iter().enumerate() {
            let before = if number == 0 { " (" } else { "; " };
            write!(f, "{before}`{}`: {source}", path.display())?;
        }
        if self.tried.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl std::error::Error for PrivateDirError {}

/// A name under which an editor may see a file: the last part of `name`, or a stand-in.
pub fn plain_name(name: &OsStr) -> OsString {
    match Path::new(name).file_name() {
        Some(last) if last.as_bytes().len() <= 255 => last.to_owned(),
        Some(_) | None => OsString::from("secret"),
    }
}

/// Opens a new folder and takes its lock, which tells everybody that it is in use.
fn locked(path: &Path) -> Result<Folder, Errno> {
    let folder = Folder(rustix::fs::open(path, FOLDER, Mode::empty())?.into());
    rustix::fs::flock(&folder.0, FlockOperation::NonBlockingLockExclusive)?;
    let is_there = rustix::fs::stat(path).is_ok();
    if is_there { Ok(folder) } else { Err(Errno::NOENT) }
}

/// Removes folders of killed processes: private, locked by nobody, and ours or, for root, given to a child
/// of another user.
fn sweep(base: &Path) {
    let us = rustix::process::geteuid();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let random = name.as_bytes().strip_prefix(PREFIX.as_bytes());
        if random.is_none_or(|random| random.len() != 16) {
            continue;
        }
        let Ok(folder) = rustix::fs::open(entry.path(), FOLDER, Mode::empty()) else { continue };
        let Ok(stat) = rustix::fs::fstat(&folder) else { continue };
        let ours = stat.st_uid == us.as_raw();
        if system::permissions(&stat) & OTHERS != 0
            || !(ours || us.is_root())
            || rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            continue;
        }
        let _gone = if ours {
            std::fs::remove_dir_all(entry.path())
        } else {
            empty(&folder).and_then(|()| std::fs::remove_dir(entry.path()))
        };
    }
}

/// Removes the files of a folder. Its owner could do the same: what is in folders in there need not be theirs.
fn empty(folder: &OwnedFd) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let _stays = rustix::fs::unlinkat(folder, entry?.file_name(), AtFlags::empty());
    }
    Ok(())
}

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
const PREFIX: &str = "secretctl-";

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(memory: &str) -> Folders {
        Folders {
            runtime: None,
            memory: PathBuf::from(memory),
            temporary: PathBuf::from("/var/tmp"),
        }
    }

    #[test]
    fn content_goes_in_and_comes_back() {
        let private = PrivateDir::create(&folders("/dev/shm"), false).unwrap();
        let name = OsStr::new("db.yaml");
        private.folder().put(name, &Plaintext::copy_of(b"old")).unwrap();
        let file = private.path().join(name);
        std::fs::remove_file(&file).unwrap();
        assert!(private.folder().take(name, 10).unwrap().is_none());
        std::fs::write(&file, "new").unwrap();
        let taken = private.folder().take(name, 10).unwrap().unwrap();
        assert!(taken.same_as(&Plaintext::copy_of(b"new")));
        let path = private.path().to_owned();
        drop(private);
        assert!(!path.exists());
    }

    #[test]
    fn a_link_in_place_of_the_file_is_not_read() {
        let private = PrivateDir::create(&folders("/dev/shm"), false).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", private.path().join("x")).unwrap();
        assert!(private.folder().take(OsStr::new("x"), 1 << 20).is_err());
    }

    #[test]
    fn disks_are_refused_unless_wanted() {
        let error = PrivateDir::create(&folders("/var/tmp"), false).unwrap_err();
        assert!(error.to_string().contains("on a disk"), "{error}");
        assert!(error.remedy().unwrap().contains("--insecure-tmp"));
        assert!(PrivateDir::create(&folders("/var/tmp"), true).is_ok());
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_in_use_stays() {
        let base = tempfile::tempdir_in("/dev/shm").unwrap();
        let places = folders(base.path().to_str().unwrap());
        let left = base.path().join("secretctl-aaaaaaaaaaaaaaaa");
        DirBuilder::new().mode(0o700).create(&left).unwrap();
        std::fs::write(left.join("x"), "x").unwrap();
        let used = PrivateDir::create(&places, false).unwrap();
        assert!(!left.exists());
        let _second = PrivateDir::create(&places, false).unwrap();
        assert!(used.path().exists());
    }

    #[test]
    fn root_removes_what_was_given_to_a_child_of_another_user() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root gives folders away");
            return;
        }
        let base = tempfile::tempdir_in("/dev/shm").unwrap();
        let folder = |name: &str| {
            let path = base.path().join(format!("secretctl-{name}"));
            DirBuilder::new().mode(0o700).create(&path).unwrap();
            std::fs::write(path.join("x"), "x").unwrap();
            std::os::unix::fs::chown(&path, Some(4711), Some(4711)).unwrap();
            path
        };
        let (left, used) = (folder("aaaaaaaaaaaaaaaa"), folder("bbbbbbbbbbbbbbbb"));
        let (theirs, other) = (folder("cccccccccccccccc"), folder("not-random"));
        // What root put there, and they moved.
        std::fs::create_dir(theirs.join("of-root")).unwrap();
        std::fs::write(theirs.join("of-root/precious"), "x").unwrap();
        let lock = File::open(&used).unwrap();
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        sweep(base.path());
        assert!(!left.exists());
        for stays in [used.join("x"), theirs.join("of-root/precious"), other.join("x")] {
            assert!(stays.exists(), "{}", stays.display());
        }
    }

    #[test]
    fn names_are_plain() {
        for (name, plain) in
            [("a/b.yaml", "b.yaml"), ("..", "secret"), ("", "secret"), ("-x", "-x")]
        {
            assert_eq!(plain_name(OsStr::new(name)), plain);
        }
    }
}
