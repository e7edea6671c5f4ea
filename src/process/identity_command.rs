//! Identities from a program that the user names in `SOPS_AGE_KEY_CMD` and the like: it prints
//! them, and may be told for which recipient. Credentials of key services from programs of theirs. No shell.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{KEYS, command, locate, pipe};
use crate::plaintext::Plaintext;

/// Runs a command line, its words split as a shell splits them, and gives what it prints, at most
/// `limit` bytes. `recipient` goes into `SOPS_AGE_RECIPIENT`.
///
/// Password managers find their sessions in variables of all names, so that the command gets the
/// whole environment, but for `SOPS_AGE_KEY`, which holds a private key.
///
/// # Errors
/// [`CommandError`].
pub fn identity_command(
    line: &str,
    path: &OsStr,
    recipient: Option<&str>,
    limit: usize,
) -> Result<Plaintext, CommandError> {
    let words = shell_words::split(line).map_err(|_| CommandError::Quotes)?;
    let Some((program, args)) = words.split_first() else { return Err(CommandError::Quotes) };
    let name = || PathBuf::from(program);
    let file = locate(OsStr::new(program), path)
        .ok_or_else(|| CommandError::NotFound { program: name() })?;
    let mut command = command(&file);
    command.args(args).env_remove(KEYS);
    match recipient {
        Some(recipient) => command.env("SOPS_AGE_RECIPIENT", recipient),
        None => command.env_remove("SOPS_AGE_RECIPIENT"),
    };
    run(command, program, limit, PATIENCE)
}

/// Runs a program that gives credentials for a key service, with the whole environment but for
/// `SOPS_AGE_KEY` and with the variables of `told`, and gives what it prints, at most 1 MiB and
/// within `patience`. It starts in `folder`: one that is not known to heed no file around it must start
/// where nobody else puts files.
///
/// # Errors
/// [`CommandError`].
pub fn credential_command(
    program: &str,
    args: &[&str],
    told: &[(&str, &str)],
    folder: &Path,
    path: &OsStr,
    patience: Duration,
) -> Result<Plaintext, CommandError> {
    let name = || PathBuf::from(program);
    let file = locate(OsStr::new(program), path)
        .ok_or_else(|| CommandError::NotFound { program: name() })?;
    let mut command = command(&file);
    command.args(args).envs(told.iter().copied()).env_remove(KEYS).current_dir(folder);
    run(command, program, 1 << 20, patience)
}

fn run(
    command: Command,
    program: &str,
    limit: usize,
    patience: Duration,
) -> Result<Plaintext, CommandError> {
    let name = || PathBuf::from(program);
    let answer = pipe::talk(command, None, limit, patience)
        .map_err(|source| CommandError::Io { program: name(), source })?;
    match answer.status {
        None => Err(CommandError::TimedOut { program: name(), after: patience }),
        Some(status) if status.success() => Ok(answer.stdout),
        Some(_) => Err(CommandError::Refused { program: name(), said: answer.last_line }),
    }
}

/// Why a program gave nothing.
#[derive(Debug)]
pub enum CommandError {
    /// The command line is empty, or a quote in it is not closed.
    Quotes,
    /// There is no such program.
    NotFound {
        /// The first word.
        program: PathBuf,
    },
    /// It ended with an exit code that is not 0.
    Refused {
        /// The first word.
        program: PathBuf,
        /// The last line that it said on stderr.
        said: String,
    },
    /// No answer in time.
    TimedOut {
        /// The first word.
        program: PathBuf,
        /// How long it had.
        after: Duration,
    },
    /// It cannot be run, or printed too much.
    Io {
        /// The first word.
        program: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quotes => f.write_str("it is empty, or has a quote that is not closed"),
            Self::NotFound { program } => write!(f, "there is no program `{}`", program.display()),
            Self::Refused { program, said } if said.is_empty() => {
                write!(f, "`{}` gave nothing", program.display())
            }
            Self::Refused { program, said } => {
                write!(f, "`{}` gave nothing: {said}", program.display())
            }
            Self::TimedOut { program, after } => {
                write!(f, "`{}` gave nothing within {} s", program.display(), after.as_secs())
            }
            Self::Io { program, source } => {
                write!(f, "cannot run `{}`: {source}", program.display())
            }
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Quotes | Self::NotFound { .. } | Self::Refused { .. } | Self::TimedOut { .. } => {
                None
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str, recipient: Option<&str>) -> Result<Plaintext, CommandError> {
        let path = std::env::var_os("PATH").unwrap();
        identity_command(line, &path, recipient, 1000)
    }

    #[test]
    fn words_are_split_without_a_shell_and_the_recipient_is_told() {
        let printed = run("printf '%s;' 'a b' $HOME", None).unwrap();
        assert!(printed.same_as(&Plaintext::copy_of(b"a b;$HOME;")));
        let script = "sh -c 'echo \"$SOPS_AGE_RECIPIENT\"; test -n \"$CARGO_MANIFEST_DIR\"'";
        assert!(run(script, Some("age1x")).unwrap().same_as(&Plaintext::copy_of(b"age1x\n")));
        assert!(run(script, None).unwrap().same_as(&Plaintext::copy_of(b"\n")));
    }

    #[test]
    fn what_went_wrong_is_said_without_what_was_printed() {
        let error = |line: &str| run(line, None).unwrap_err().to_string();
        assert_eq!(error("'"), "it is empty, or has a quote that is not closed");
        assert_eq!(error(" "), "it is empty, or has a quote that is not closed");
        assert_eq!(error("no-such-program x"), "there is no program `no-such-program`");
        let script = "sh -c 'echo canary; echo one >&2; echo not unlocked >&2; exit 1'";
        assert_eq!(error(script), "`sh` gave nothing: not unlocked");
        assert!(matches!(run("yes", None), Err(CommandError::Io { .. })));
    }
}
