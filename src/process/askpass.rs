//! Passphrases from a program that the user names in `SECRETCTL_ASKPASS`, for scripts and
//! desktops: it gets the prompt as its only argument and prints the passphrase.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{clean_command, locate, pipe};
use crate::plaintext::Plaintext;

/// Asks `program`, a path or a name in `path` (the form of `$PATH`), for a passphrase; one
/// newline at the end is not part of it.
///
/// # Errors
/// [`AskpassError`].
pub fn askpass(program: &OsStr, prompt: &str, path: &OsStr) -> Result<Plaintext, AskpassError> {
    let named = PathBuf::from(program);
    let Some(file) = locate(program, path) else {
        return Err(AskpassError::NotFound { program: named });
    };
    let mut command = clean_command(&file, &[]);
    command.arg(prompt);
    let (status, answer, said) = pipe::ask(command, MOST, PATIENCE)
        .map_err(|source| AskpassError::Io { program: named.clone(), source })?;
    match status {
        None => Err(AskpassError::TimedOut { program: named }),
        Some(status) if status.success() => Ok(without_newline(&answer)),
        Some(_) => Err(AskpassError::Refused { program: named, said }),
    }
}

#[expect(clippy::disallowed_methods, reason = "the newline is not part of the passphrase")]
fn without_newline(answer: &Plaintext) -> Plaintext {
    let bytes = answer.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    Plaintext::copy_of(bytes.strip_suffix(b"\r").unwrap_or(bytes))
}

/// Why there is no passphrase.
#[derive(Debug)]
pub enum AskpassError {
    /// There is no such program.
    NotFound {
        /// What `SECRETCTL_ASKPASS` says.
        program: PathBuf,
    },
    /// It ended with an exit code that is not 0: the user cancelled, most likely.
    Refused {
        /// What `SECRETCTL_ASKPASS` says.
        program: PathBuf,
        /// What it said on stderr.
        said: String,
    },
    /// No answer within ten minutes.
    TimedOut {
        /// What `SECRETCTL_ASKPASS` says.
        program: PathBuf,
    },
    /// It cannot be run, or printed more than 64 KiB.
    Io {
        /// What `SECRETCTL_ASKPASS` says.
        program: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl fmt::Display for AskpassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotFound { program }
        | Self::Refused { program, .. }
        | Self::TimedOut { program }
        | Self::Io { program, .. }) = self;
        let program = program.display();
        match self {
            Self::NotFound { .. } => {
                write!(f, "there is no program `{program}`, which `SECRETCTL_ASKPASS` names")
            }
            Self::Refused { said, .. } if said.is_empty() => {
                write!(f, "the program `{program}` gave no passphrase")
            }
            Self::Refused { said, .. } => {
                write!(f, "the program `{program}` gave no passphrase: {said}")
            }
            Self::TimedOut { .. } => {
                write!(f, "the program `{program}` gave no passphrase within ten minutes")
            }
            Self::Io { source, .. } => write!(f, "cannot ask the program `{program}`: {source}"),
        }
    }
}

impl std::error::Error for AskpassError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotFound { .. } | Self::Refused { .. } | Self::TimedOut { .. } => None,
        }
    }
}

const MOST: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_answer_loses_one_newline_and_a_refusal_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ask it");
        let script = "#!/bin/sh\n[ \"$1\" = 'PIN: ' ] || { echo 'no \x1b[1mway' >&2; exit 1; }\n\
            printf 'pass word\\n\\n'\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().as_os_str();
        let answer = askpass(OsStr::new("ask it"), "PIN: ", path).unwrap();
        assert!(answer.same_as(&Plaintext::copy_of(b"pass word\n")));
        let error = askpass(program.as_os_str(), "other", path).unwrap_err().to_string();
        assert!(error.contains("gave no passphrase: no ") && !error.contains('\u{1b}'), "{error}");
        assert!(matches!(
            askpass(OsStr::new("nothing"), "", path),
            Err(AskpassError::NotFound { .. })
        ));
    }
}
