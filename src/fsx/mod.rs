//! The file system: limited reads, atomic replacement, private memory-backed folders, locks.

pub mod directory;
pub mod lock;
pub mod mount;
pub mod namespace;
pub mod private_dir;
pub mod reach;
pub mod read;
pub mod replace;
pub mod system;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

pub use directory::{Attributes, Directory};
pub use lock::{Lock, LockError};
pub use mount::{Memory, MountError, Mounted, mount, probe};
pub use private_dir::{Folder, PrivateDir, PrivateDirError};
pub use reach::{ReachError, Way, reach};
pub use read::{read_committed, read_committed_plaintext, read_limited, read_plaintext};
pub use replace::{CommitError, LastFolder, ReplaceError, Staged, Staging, commit_all, sweep};

/// The folders of the system that this room may put things into.
#[derive(Debug, Clone)]
pub struct Folders {
    /// `$XDG_RUNTIME_DIR`, where it is set: memory, of this user alone.
    pub runtime: Option<PathBuf>,
    /// `/dev/shm`: memory, shared by all users.
    pub memory: PathBuf,
    /// `$TMPDIR` or `/tmp`: most likely a disk.
    pub temporary: PathBuf,
}

impl Folders {
    /// From the environment; `variable` looks one up. Relative paths count as not set.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let absolute =
            |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            runtime: absolute("XDG_RUNTIME_DIR"),
            memory: PathBuf::from("/dev/shm"),
            temporary: absolute("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")),
        }
    }
}

/// Fills `bytes` from the random source of the system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    system::fill_random(bytes)
}

/// `length` random characters of Base32's alphabet, for names that nobody can guess.
fn random_name(length: usize) -> io::Result<String> {
    let mut bytes = vec![0_u8; length];
    fill_random(&mut bytes)?;
    let letter = |byte: u8| {
        char::from(
            b"abcdefghijklmnopqrstuvwxyz234567".get(usize::from(byte % 32)).map_or(b'a', |c| *c),
        )
    };
    Ok(bytes.into_iter().map(letter).collect())
}
