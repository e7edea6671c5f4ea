//! Runs `gpg`, which holds PGP keys and asks for their passphrases by itself: bytes in, bytes out.
//! Knows nothing of what they mean.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{clean_command, locate, pipe};
use crate::plaintext::Plaintext;

/// Runs `program`, a path or a name in `path` (the form of `$PATH`), with arguments on `input`;
/// gives what it prints, at most `limit` bytes.
///
/// It gets the variables that `gpg`, its agent and pinentry know, and so much time.
///
/// # Errors
/// [`GpgError`].
pub fn gpg(
    program: &OsStr,
    path: &OsStr,
    args: &[OsString],
    input: &Plaintext,
    limit: usize,
    patience: Duration,
) -> Result<Plaintext, GpgError> {
    let name = || PathBuf::from(program);
    let file = locate(program, path).ok_or_else(|| GpgError::NotFound { program: name() })?;
    let mut command = clean_command(&file, &ENVIRONMENT);
    command.args(args);
    // gpg asks its stdin which terminal this is, and that is our pipe.
    if std::env::var_os("GPG_TTY").is_none()
        && let Ok(terminal) = rustix::termios::ttyname(io::stdin(), Vec::new())
        && let Ok(terminal) = terminal.into_string()
    {
        command.env("GPG_TTY", terminal);
    }
    let answer = pipe::talk(command, Some(input), limit, patience)
        .map_err(|source| GpgError::Io { program: name(), source })?;
    match answer.status {
        None => Err(GpgError::TimedOut { program: name(), after: patience }),
        Some(status) if status.success() => Ok(answer.stdout),
        Some(_) => Err(GpgError::Refused { program: name(), said: answer.last_line }),
    }
}

/// Why gpg gave nothing.
#[derive(Debug)]
pub enum GpgError {
    /// There is no such program.
    NotFound {
        /// `gpg`, or what `SOPS_GPG_EXEC` says.
        program: PathBuf,
    },
    /// It ended with an exit code that is not 0.
    Refused {
        /// `gpg`, or what `SOPS_GPG_EXEC` says.
        program: PathBuf,
        /// The last line that it said on stderr.
        said: String,
    },
    /// No answer in the time that it had.
    TimedOut {
        /// `gpg`, or what `SOPS_GPG_EXEC` says.
        program: PathBuf,
        /// The time.
        after: Duration,
    },
    /// It cannot be run, or printed too much.
    Io {
        /// `gpg`, or what `SOPS_GPG_EXEC` says.
        program: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl GpgError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => {
                Some("install GnuPG (`gnupg`, `pkgs.gnupg`), or set SOPS_GPG_EXEC to its program")
            }
            Self::Refused { .. } | Self::TimedOut { .. } | Self::Io { .. } => None,
        }
    }
}

impl fmt::Display for GpgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program } => {
                write!(f, "there is no program `{}`", program.display())
            }
            Self::Refused { program, said } if said.is_empty() => {
                write!(f, "`{}` ended with an error and gave no reason", program.display())
            }
            // It puts its name before all that it says.
            Self::Refused { said, .. } => f.write_str(said),
            Self::TimedOut { program, after } => {
                let seconds = after.as_secs();
                write!(f, "`{}` gave no answer within {seconds} seconds", program.display())
            }
            Self::Io { program, source } => {
                write!(f, "cannot run `{}`: {source}", program.display())
            }
        }
    }
}

impl std::error::Error for GpgError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotFound { .. } | Self::Refused { .. } | Self::TimedOut { .. } => None,
        }
    }
}

const ENVIRONMENT: [&str; 4] = ["GNUPGHOME", "GPG_*", "PINENTRY_*", "SSH_TTY"];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_gpg_that_hangs_is_ended_with_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let (program, id) = (folder.path().join("gpg"), folder.path().join("id"));
        let script = format!("#!/bin/sh\necho $$ >{}\nexec sleep 1000\n", id.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (begin, patience) = (Instant::now(), Duration::from_secs(2));
        let path = std::env::var_os("PATH").unwrap();
        let error = gpg(program.as_os_str(), &path, &[], &Plaintext::default(), 10, patience);
        let error = error.unwrap_err();
        assert!(matches!(&error, GpgError::TimedOut { after, .. } if *after == patience));
        assert!(error.to_string().ends_with("gave no answer within 2 seconds"), "{error}");
        assert!(begin.elapsed() >= patience && begin.elapsed() < Duration::from_secs(100));
        let id = std::fs::read_to_string(id).unwrap();
        assert!(!std::path::Path::new("/proc").join(id.trim()).exists());
    }
}
