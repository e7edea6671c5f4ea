//! The folder of a file that is replaced, opened once for many of its files.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(target_os = "linux")]
use rustix::fs::AtFlags;
use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use super::{ReplaceError, folder_error};
use crate::fsx::system;

/// An open folder.
#[derive(Debug)]
pub(super) struct OpenFolder {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Device and inode.
    pub(super) is: (u64, u64),
    /// Whether a file without a name can get one later.
    pub(super) names_later: bool,
}

impl OpenFolder {
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, ReplaceError> {
        if create {
            std::fs::create_dir_all(path).map_err(|e| folder_error(path, e))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let file = opened.map(File::from).map_err(|e| folder_error(path, e.into()))?;
        let is = inode(&file).map_err(|e| folder_error(path, e.into()))?;
        let names_later = rustix::fs::access("/proc/self/fd", Access::EXISTS).is_ok();
        Ok(Self { file, path: path.to_owned(), is, names_later })
    }

    /// A temporary without a name; `None` where the file system or the lack of `/proc` forbids it.
    #[cfg(target_os = "linux")]
    pub(super) fn unnamed(&self) -> Option<File> {
        if !self.names_later {
            return None;
        }
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.file, ".", flags, Mode::from_raw_mode(0o600));
        file.ok().map(File::from)
    }

    /// There are none; no folder says that it could have some.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn unnamed(&self) -> Option<File> {
        debug_assert!(!self.names_later);
        None
    }
}

/// Gives a file without a name its name: the short way, which root may go, and everybody with Linux 6.10.
#[cfg(target_os = "linux")]
pub(super) fn link_by_descriptor(file: &File, folder: &File, name: &OsStr) -> Result<(), Errno> {
    rustix::fs::linkat(file, "", folder, name, AtFlags::EMPTY_PATH)
}

/// There is none.
#[cfg(not(target_os = "linux"))]
pub(super) fn link_by_descriptor(_file: &File, _folder: &File, _name: &OsStr) -> Result<(), Errno> {
    Err(Errno::NOTSUP)
}

/// The folder of the last of many replacements, which most often is that of the next one.
#[derive(Debug, Default)]
pub struct LastFolder(Mutex<Option<Arc<OpenFolder>>>);

impl LastFolder {
    pub(super) fn open(&self, path: &Path, create: bool) -> Result<Arc<OpenFolder>, ReplaceError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = last.as_ref().filter(|folder| folder.path == path) {
            return Ok(Arc::clone(same));
        }
        let opened = Arc::new(OpenFolder::open(path, create)?);
        *last = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

fn inode(folder: &File) -> Result<(u64, u64), Errno> {
    rustix::fs::fstat(folder).map(|stat| (system::device(&stat), stat.st_ino))
}
