//! A decrypted file for a child that opens it by a path, as often as it likes, in one of three ways.
//!
//! - [`Kind::Inherited`]: a file without a name (memfd) whose descriptor the child inherits. Nothing of it
//!   can be left. Programs that close what they inherit, hand the path to others or go by the name
//!   cannot use it.
//! - [`Kind::Named`]: a file with mode 0600 in a private folder in memory, which goes when the value
//!   is dropped.
//! - [`Kind::Pipe`]: a named pipe in such a folder; see `secret_pipe`.
//!
//! Where this process is killed before a folder is removed, a helper does it: the same program started
//! again as `__tidy`, which waits for the end of a pipe that only this process holds open. Where
//! both are killed, the next [`PrivateDir`] of the same user in the same place sweeps it; one that was given
//! to another user, that of root.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};

use super::memory_file::MemoryFile;
use super::secret_pipe::Pipe;
use super::{Account, clean_command};
use crate::fsx::private_dir::plain_name;
use crate::fsx::{Folders, PrivateDir, PrivateDirError};
use crate::plaintext::Plaintext;

/// How a child gets at the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By a descriptor that it inherits; by name where the system has no such files.
    Inherited,
    /// By the name of a file.
    Named,
    /// By the name of a pipe.
    Pipe,
}

/// A file that is there as long as the value is.
#[derive(Debug)]
pub struct SecretFile(Form);

#[derive(Debug)]
enum Form {
    Memory(MemoryFile),
    // In this order: the writer ends, and the helper finds nothing left to do.
    Folder { _writer: Option<Pipe>, private: PrivateDir, _helper: Helper, name: OsString },
}

impl SecretFile {
    /// Makes a file, of that name (its last part) if it is to have one, for a child of this user or
    /// another one.
    ///
    /// # Errors
    /// [`SecretFileError`].
    pub fn create(
        kind: Kind,
        folders: &Folders,
        name: &OsStr,
        content: Plaintext,
        user: Option<&Account>,
    ) -> Result<Self, SecretFileError> {
        if kind == Kind::Inherited
            && let Some(file) = MemoryFile::create(&content, user).map_err(SecretFileError::Put)?
        {
            return Ok(Self(Form::Memory(file)));
        }
        // Nobody else can enter the folder of a user's session.
        let runtime = folders.runtime.clone().filter(|_| user.is_none());
        let folders = Folders { runtime, ..folders.clone() };
        let private = PrivateDir::create(&folders, false).map_err(SecretFileError::NoPlace)?;
        let helper = Helper::start(private.path()).map_err(SecretFileError::Helper)?;
        let name = plain_name(name);
        let path = private.path().join(&name);
        let put = if kind == Kind::Pipe {
            Pipe::make(&path)
        } else {
            private.folder().put(&name, &content)
        };
        put.map_err(SecretFileError::Put)?;
        if let Some(user) = user {
            private.give(&name, user.uid, user.gid).map_err(SecretFileError::Put)?;
        }
        let writer =
            (kind == Kind::Pipe).then(|| Pipe::serve(path, content, user.cloned())).transpose();
        let writer = writer.map_err(SecretFileError::Put)?;
        Ok(Self(Form::Folder { _writer: writer, private, _helper: helper, name }))
    }

    /// Where the child finds it.
    pub fn path(&self) -> PathBuf {
        match &self.0 {
            Form::Memory(file) => file.path(),
            Form::Folder { private, name, .. } => private.path().join(name),
        }
    }

    /// Whether it needs nobody who tidies up.
    pub fn is_inherited(&self) -> bool {
        matches!(self.0, Form::Memory(_))
    }

    /// Leaves it to what is started from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn hand_on(&self) -> io::Result<()> {
        match &self.0 {
            Form::Memory(file) => file.hand_on(),
            Form::Folder { .. } => Ok(()),
        }
    }

    /// Leaves it to nothing more that is started.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take_back(&self) -> io::Result<()> {
        match &self.0 {
            Form::Memory(file) => file.take_back(),
            Form::Folder { .. } => Ok(()),
        }
    }
}

/// The process that tidies up after ours.
#[derive(Debug)]
struct Helper(Child);

impl Helper {
    fn start(folder: &Path) -> io::Result<Self> {
        clean_command(Path::new("/proc/self/exe"), &[])
            .arg(SUBCOMMAND)
            .arg(folder)
            .current_dir("/")
            // What is typed at the terminal is not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _reaped = self.0.wait();
    }
}

/// The helper's side, if `arguments` (program name first) ask for it. For the first lines of
/// `main`.
pub fn serve(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, subcommand, folder] = arguments else { return None };
    if subcommand != SUBCOMMAND {
        return None;
    }
    let mut nothing = [0];
    while let Err(error) = io::stdin().read(&mut nothing) {
        if error.kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    let folder = Path::new(folder);
    let gone = !folder.exists() || std::fs::remove_dir_all(folder).is_ok();
    Some(if gone { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why there can be no file.
#[derive(Debug)]
pub enum SecretFileError {
    /// There is no folder in memory.
    NoPlace(PrivateDirError),
    /// The helper cannot be started.
    Helper(io::Error),
    /// The file cannot be written.
    Put(io::Error),
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace(error) => error.fmt(f),
            Self::Helper(error) => write!(f, "cannot start the helper that tidies up: {error}"),
            Self::Put(error) => write!(f, "cannot write the file for the command: {error}"),
        }
    }
}

impl std::error::Error for SecretFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoPlace(error) => Some(error),
            Self::Helper(error) | Self::Put(error) => Some(error),
        }
    }
}

const SUBCOMMAND: &str = "__tidy";
