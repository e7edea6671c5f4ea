//! A decrypted file without a name (memfd), for a child that inherits its descriptor: nobody can change
//! it, no folder leads to it, and nothing is left of it when the last process that has it ends,
//! however that comes.
//!
//! A child opens it by a path under `/proc/self/fd`, as often as it likes, from the beginning each
//! time. It is not for children that close what they inherit; see [`super::secret_file`].

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, Mode, SealFlags};
use rustix::io::{Errno, FdFlags};
use rustix::process::{Gid, Uid};

use super::Account;
use crate::plaintext::Plaintext;

/// A sealed file, closed in children until [`MemoryFile::hand_on`].
#[derive(Debug)]
pub(super) struct MemoryFile(OwnedFd);

impl MemoryFile {
    /// Makes one for a child of this user or another one; `None` where the system has no such files,
    /// or no paths for them.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn create(content: &Plaintext, user: Option<&Account>) -> io::Result<Option<Self>> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let made = match rustix::fs::memfd_create(NAME, flags | MemfdFlags::NOEXEC_SEAL) {
            // Linux before 6.3
            Err(Errno::INVAL) => rustix::fs::memfd_create(NAME, flags),
            made => made,
        };
        let made = match made {
            Ok(made) => made,
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut file = File::from(out_of_the_way(made)?);
        #[expect(clippy::disallowed_methods, reason = "the command that the user named reads it")]
        file.write_all(content.expose())?;
        rustix::fs::fchmod(&file, Mode::RUSR)?;
        if let Some(user) = user {
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        let seals = SealFlags::GROW | SealFlags::SHRINK | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        let made = Self(file.into());
        Ok(made.path().exists().then_some(made))
    }

    /// Where whoever has the descriptor finds it.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Leaves it open in what is started from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn hand_on(&self) -> io::Result<()> {
        Ok(rustix::io::fcntl_setfd(&self.0, FdFlags::empty())?)
    }

    /// Has it closed again in what is started from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take_back(&self) -> io::Result<()> {
        Ok(rustix::io::fcntl_setfd(&self.0, FdFlags::CLOEXEC)?)
    }
}

/// The same with a number that scripts do not use for their own redirections, where the limit allows.
fn out_of_the_way(file: OwnedFd) -> io::Result<OwnedFd> {
    match rustix::io::fcntl_dupfd_cloexec(&file, FIRST) {
        Ok(high) => Ok(high),
        Err(Errno::INVAL) => Ok(file),
        Err(error) => Err(error.into()),
    }
}

const FIRST: c_int = 100;
/// What `/proc` and tools like `lsof` call it.
const NAME: &str = "secret";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_can_be_read_by_its_path_and_not_changed() {
        let file = MemoryFile::create(&Plaintext::copy_of(b"text"), None).unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::read(file.path()).unwrap(), b"text");
        }
        assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o400);
        let mut own = File::from(file.0.try_clone().unwrap());
        assert!(own.write_all(b"more").is_err());
        assert!(own.set_len(0).is_err());
        assert!(file.0.as_raw_fd() >= FIRST);
    }

    #[test]
    fn a_child_has_it_only_once_it_is_handed_on() {
        let file = MemoryFile::create(&Plaintext::copy_of(b"text"), None).unwrap().unwrap();
        let read = || {
            let cat = super::super::find_program("cat".as_ref(), "/usr/bin:/bin".as_ref());
            super::super::command(&cat.unwrap()).arg(file.path()).output().unwrap().stdout
        };
        assert_eq!(read(), b"");
        file.hand_on().unwrap();
        assert_eq!(read(), b"text");
        file.take_back().unwrap();
        assert_eq!(read(), b"");
    }
}
