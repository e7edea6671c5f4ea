//! Folders by descriptor: each step names one entry and follows no link, so that nothing that
//! is renamed or planted meanwhile leads elsewhere. What `openat2` does for a whole path with
//! `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS` is done here part by part, on every kernel.
//!
//! Files get owner and permissions before their first byte, whatever the umask is.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::system::{self, Kind, permissions};
use crate::plaintext::Plaintext;

/// An open folder. Names given to its methods are single parts of a path.
#[derive(Debug)]
pub struct Directory(OwnedFd);

/// Owner and permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// User and group; `None` leaves them as they come.
    pub owner: Option<(u32, u32)>,
    /// Permissions, exactly.
    pub mode: u32,
}

impl Directory {
    /// The root of the file system.
    ///
    /// # Errors
    /// What the system says, as for all functions here.
    pub fn root() -> io::Result<Self> {
        Ok(Self(rustix::fs::open("/", WALK, Mode::empty())?))
    }

    /// The folder `.`, where a path is relative.
    pub fn here() -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, ".", WALK, Mode::empty())?))
    }

    /// A step down; links are not followed. What comes back is good for further steps, but not
    /// to be listed or changed itself: see [`Directory::enter`].
    pub fn step(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, WALK, Mode::empty())?))
    }

    /// Opens a folder in this one; `NotADirectory` for links.
    pub fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// The folder itself, opened so that it can be listed and changed.
    pub fn again(&self) -> io::Result<Self> {
        self.enter(OsStr::new("."))
    }

    /// Opens a folder in this one, which is made if it is not there.
    pub fn enter_or_make(&self, name: &OsStr, attributes: Attributes) -> io::Result<Self> {
        match self.make(name, attributes) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.enter(name),
            made => made,
        }
    }

    /// Makes a folder that did not exist.
    pub fn make(&self, name: &OsStr, attributes: Attributes) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o700))?;
        let made = self.enter(name)?;
        made.set(attributes)?;
        Ok(made)
    }

    /// Sets owner and permissions of the folder itself.
    pub fn set(&self, attributes: Attributes) -> io::Result<()> {
        set(&self.0, attributes)
    }

    /// What the folder itself is.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.0)?)
    }

    /// What it lies on.
    pub fn filesystem(&self) -> io::Result<Kind> {
        system::kind(&self.0)
    }

    /// Whether it is in memory.
    pub fn is_memory(&self) -> io::Result<bool> {
        Ok(self.filesystem()? != Kind::Other)
    }

    /// Whether a program says what is in it.
    pub(super) fn is_fuse(&self) -> io::Result<bool> {
        system::is_fuse(&self.0)
    }

    /// The descriptor, for system calls that are not here.
    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// As [`Directory::descriptor`], for keeps.
    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// What an entry is, which is not followed; `None` where there is none.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Where a link leads.
    pub fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// The names of all entries, in order.
    pub fn list(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a regular file to read; `None` where there is nothing of that name, `InvalidInput`
    /// for anything else than a regular file.
    pub fn open(&self, name: &OsStr) -> io::Result<Option<File>> {
        // Merely opening a device can do something: look first.
        match self.look(name)? {
            None => return Ok(None),
            Some(stat) if !is_file(&stat) => return Err(io::ErrorKind::InvalidInput.into()),
            Some(_) => {}
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        if is_file(&rustix::fs::fstat(&file)?) {
            Ok(Some(File::from(file)))
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    /// Makes a file that did not exist. It is empty until owner and permissions are set.
    pub fn put(
        &self,
        name: &OsStr,
        content: &Plaintext,
        attributes: Attributes,
        sync: bool,
    ) -> io::Result<Stat> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
        set(&file, attributes)?;
        #[expect(clippy::disallowed_methods, reason = "a secret is installed into its own file")]
        file.write_all(content.expose())?;
        if sync {
            file.sync_all()?;
        }
        Ok(rustix::fs::fstat(&file)?)
    }

    /// Makes a link that did not exist.
    pub fn put_link(
        &self,
        name: &OsStr,
        target: &Path,
        owner: Option<(u32, u32)>,
    ) -> io::Result<()> {
        rustix::fs::symlinkat(target, &self.0, name)?;
        self.own_link(name, target, owner)
    }

    /// Gives a link that leads to `target` to a user and group, and nothing else that has got its
    /// name meanwhile: `InvalidInput` then.
    pub fn own_link(
        &self,
        name: &OsStr,
        target: &Path,
        owner: Option<(u32, u32)>,
    ) -> io::Result<()> {
        let Some((user, group)) = ids(owner)? else { return Ok(()) };
        system::own_link(&self.0, name, target, (user, group))
    }

    /// Gives an entry another name here, over whatever file or link has it.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Gives an entry another name here that nothing has yet.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) if self.look(to)?.is_none() => self.rename(from, to),
            done => Ok(done?),
        }
    }

    /// Removes a file or link; nothing of that name is fine too.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes an empty folder.
    pub fn remove_empty(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes whatever has that name with all that is in it. Links are removed, not followed,
    /// and what is mounted in there ends it.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.remove_below(name, DEEPEST)
    }

    fn remove_below(&self, name: &OsStr, depth: usize) -> io::Result<()> {
        match self.look(name)? {
            None => return Ok(()),
            Some(stat) if !is_folder(&stat) => return self.unlink(name),
            Some(_) => {}
        }
        let left = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
        let folder = self.enter(name)?;
        if folder.stat()?.st_dev != self.stat()?.st_dev {
            return Err(Errno::XDEV.into());
        }
        for entry in folder.list()? {
            folder.remove_below(&entry, left)?;
        }
        self.remove_empty(name)
    }

    /// Waits until the entries of the folder are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.again()?.0)?)
    }
}

/// Whether a file holds exactly these bytes; it is read piece by piece.
///
/// # Errors
/// What the system says.
pub fn holds(file: &mut File, content: &Plaintext) -> io::Result<bool> {
    let mut chunk = Zeroizing::new([0_u8; 8192]);
    #[expect(clippy::disallowed_methods, reason = "compared with the last generation")]
    let mut rest = content.expose();
    loop {
        let count = match file.read(chunk.as_mut_slice()) {
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let read = chunk.get(..count).unwrap_or_default();
        match rest.strip_prefix(read) {
            Some(_) if read.is_empty() => return Ok(rest.is_empty()),
            Some(after) => rest = after,
            None => return Ok(false),
        }
    }
}

/// The name under which what is to be called `name` is made. Always the same, so that the next
/// run finds what a killed one left.
pub fn unfinished(name: &OsStr) -> OsString {
    let hash = hex::encode(Sha256::digest(name.as_bytes()));
    OsString::from(format!(".secretctl-{hash:.16}.new"))
}

/// Whether these are the attributes of a file.
pub fn has(stat: &Stat, attributes: Attributes) -> bool {
    let owner = attributes.owner.is_none_or(|owner| owner == (stat.st_uid, stat.st_gid));
    owner && permissions(stat) == attributes.mode
}

/// Whether it is a regular file.
pub fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Whether it is a folder.
pub fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Whether it is a symbolic link.
pub fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// First the owner, which may clear bits of the permissions, then those.
fn set(file: &impl std::os::fd::AsFd, attributes: Attributes) -> io::Result<()> {
    if let Some((user, group)) = ids(attributes.owner)? {
        rustix::fs::fchown(file, Some(user), Some(group))?;
    }
    rustix::fs::fchmod(file, system::mode(attributes.mode))?;
    Ok(())
}

/// The number of all ones stands for "as it is" in the system's calls, and is no user.
fn ids(owner: Option<(u32, u32)>) -> io::Result<Option<(Uid, Gid)>> {
    match owner {
        None => Ok(None),
        Some((u32::MAX, _) | (_, u32::MAX)) => Err(Errno::INVAL.into()),
        Some((user, group)) => Ok(Some((Uid::from_raw(user), Gid::from_raw(group)))),
    }
}

/// A descriptor for steps alone: needs no permission to read the folder.
const WALK: OFlags =
    system::STEPS.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Deeper than any generation.
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn open(path: &Path) -> Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Directory(rustix::fs::open(path, flags, Mode::empty()).unwrap())
    }

    const OWN: Attributes = Attributes { owner: None, mode: 0o666 };

    #[test]
    fn permissions_are_exact_and_nothing_is_followed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = open(temp.path());
        let name = OsStr::new("x");
        folder.put(name, &Plaintext::copy_of(b"1"), OWN, true).unwrap();
        assert_eq!(fs::metadata(temp.path().join("x")).unwrap().mode() & 0o7777, 0o666);
        assert!(folder.put(name, &Plaintext::copy_of(b"2"), OWN, false).is_err());
        symlink("x", temp.path().join("link")).unwrap();
        symlink(".", temp.path().join("loop")).unwrap();
        let link = OsStr::new("link");
        assert!(folder.put(link, &Plaintext::copy_of(b"2"), OWN, false).is_err());
        assert!(folder.open(link).is_err());
        assert!(folder.enter(OsStr::new("loop")).is_err());
        assert!(folder.step(OsStr::new("loop")).is_err());
        assert_eq!(fs::read(temp.path().join("x")).unwrap(), b"1");
    }

    #[test]
    fn nobody_gets_a_file_by_the_number_that_is_no_user() {
        let temp = tempfile::tempdir().unwrap();
        let attributes = Attributes { owner: Some((u32::MAX, 0)), mode: 0o400 };
        let error =
            open(temp.path()).put(OsStr::new("x"), &Plaintext::default(), attributes, false);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_took_the_place_of_a_link_is_given_to_nobody() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root gives files away");
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("file"), "of root").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("/else", at("elsewhere")).unwrap();
        let (folder, target) = (open(temp.path()), Path::new("/target"));
        for name in ["file", "folder", "elsewhere"] {
            let error = folder.own_link(OsStr::new(name), target, Some((4711, 4712)));
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
            assert_eq!(fs::symlink_metadata(at(name)).unwrap().uid(), 0, "{name}");
        }
        folder.put_link(OsStr::new("link"), target, Some((4711, 4712))).unwrap();
        let link = fs::symlink_metadata(at("link")).unwrap();
        assert_eq!((link.uid(), link.gid()), (4711, 4712));
    }

    #[test]
    fn trees_are_removed_and_links_in_them_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("tree/a/b")).unwrap();
        fs::create_dir(temp.path().join("precious")).unwrap();
        fs::write(temp.path().join("precious/x"), "x").unwrap();
        fs::write(temp.path().join("tree/a/b/x"), "x").unwrap();
        symlink("../../precious", temp.path().join("tree/a/out")).unwrap();
        let folder = open(temp.path());
        folder.remove(OsStr::new("tree")).unwrap();
        folder.remove(OsStr::new("nothing")).unwrap();
        assert_eq!(folder.list().unwrap(), ["precious"]);
        assert!(temp.path().join("precious/x").exists());
    }

    #[test]
    fn contents_are_compared_to_the_last_byte() {
        let temp = tempfile::tempdir().unwrap();
        let long = vec![b'a'; 20_000];
        for (file, content, same) in [
            (&long[..], &long[..], true),
            (&long, &long[1..], false),
            (&long[1..], &long, false),
            (b"", b"", true),
            (b"", b"x", false),
            (b"x", b"", false),
            (b"x", b"y", false),
        ] {
            let path = temp.path().join("file");
            fs::write(&path, file).unwrap();
            let mut file = File::open(&path).unwrap();
            assert_eq!(holds(&mut file, &Plaintext::copy_of(content)).unwrap(), same);
        }
    }

    #[test]
    fn a_pipe_is_no_file_and_opening_does_not_hang() {
        let temp = tempfile::tempdir().unwrap();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, temp.path().join("pipe"), FileType::Fifo, mode, 0).unwrap();
        let error = open(temp.path()).open(OsStr::new("pipe")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
