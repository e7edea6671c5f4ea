//! Runs the program that a secret is changed by before it is installed: it finds the value in the
//! file that `$inFile` names, in memory and for it alone, and prints what is to be installed. What it
//! says on stderr is not repeated, since it may quote the value.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secret_file::{Kind, SecretFile, SecretFileError};
use super::{clean_command, pipe};
use crate::fsx::Folders;
use crate::plaintext::Plaintext;

/// Runs `program` on a value.
///
/// # Errors
/// [`TransformError`].
pub fn transform(
    program: &Path,
    value: &Plaintext,
    folders: &Folders,
) -> Result<Plaintext, TransformError> {
    let name = || program.to_owned();
    #[expect(clippy::disallowed_methods, reason = "the program is to read it")]
    let value = Plaintext::copy_of(value.expose());
    let file = SecretFile::create(Kind::Named, folders, OsStr::new("value"), value, None)
        .map_err(|source| TransformError::Place { source })?;
    let mut command = clean_command(program, &[]);
    command.env("inFile", file.path()).current_dir("/");
    let answer = pipe::talk(command, None, MOST, PATIENCE)
        .map_err(|source| TransformError::Io { program: name(), source })?;
    match answer.status {
        Some(status) if status.success() => Ok(answer.stdout),
        Some(status) => Err(TransformError::Failed { program: name(), code: status.code() }),
        None => Err(TransformError::TimedOut { program: name() }),
    }
}

/// Why there is no changed value.
#[derive(Debug)]
pub enum TransformError {
    /// There is no place for the value.
    Place {
        /// Why.
        source: SecretFileError,
    },
    /// The program cannot be run, or printed too much.
    Io {
        /// The program.
        program: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// It ended with an error.
    Failed {
        /// The program.
        program: PathBuf,
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
    },
    /// It took longer than a minute.
    TimedOut {
        /// The program.
        program: PathBuf,
    },
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { source } => write!(f, "there is no place for its value: {source}"),
            Self::Io { program, source } => {
                write!(f, "its program `{}` cannot be run: {source}", program.display())
            }
            Self::Failed { program, code: Some(code) } => {
                write!(f, "its program `{}` ended with the exit code {code}", program.display())
            }
            Self::Failed { program, code: None } => {
                write!(f, "its program `{}` was ended by a signal", program.display())
            }
            Self::TimedOut { program } => {
                write!(f, "its program `{}` did not end within a minute", program.display())
            }
        }
    }
}

impl std::error::Error for TransformError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Place { source } => Some(source),
            Self::Io { source, .. } => Some(source),
            Self::Failed { .. } | Self::TimedOut { .. } => None,
        }
    }
}

const PATIENCE: Duration = Duration::from_mins(1);
const MOST: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn run(script: &str) -> Result<Plaintext, TransformError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("change");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let folders = Folders::from_environment(&|_| None);
        transform(&program, &Plaintext::copy_of(b"canary\n"), &folders)
    }

    #[test]
    fn a_value_goes_through_its_program() {
        let changed = run("tr a-z A-Z <\"$inFile\"; stat -c %a \"$inFile\" | cut -c1-3").unwrap();
        assert!(changed.same_as(&Plaintext::copy_of(b"CANARY\n600\n")));
    }

    #[test]
    fn what_it_says_is_not_repeated() {
        let error = run("cat \"$inFile\" >&2; exit 3").unwrap_err().to_string();
        assert!(
            error.ends_with("ended with the exit code 3") && !error.contains("canary"),
            "{error}"
        );
    }
}
