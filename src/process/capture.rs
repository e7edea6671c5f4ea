//! Runs a child to its end and hands back what it printed: for Nix, git and the like.
//!
//! No shell, no terminal: the child gets nothing on stdin, a small environment, a time limit and
//! a limit on what it may print. It must never see a secret.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use super::find_program;
use super::pipe::ended_by;

/// What a child printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// The first part (at most the limit) of its standard error.
    pub stderr: Vec<u8>,
}

/// Runs `program` with `args` in a folder, with nothing on its input.
///
/// Of the environment only `PATH`, `HOME`, `TMPDIR`, `LANG` and whatever begins with `XDG_` or
/// `NIX_` is kept. `limit_bytes` is for each of stdout and stderr.
///
/// # Errors
/// [`ProcessError`]; an exit status other than 0 is no error here.
pub fn capture(
    folder: &Path,
    program: &OsStr,
    args: &[OsString],
    timeout: Duration,
    limit_bytes: usize,
) -> Result<Output, ProcessError> {
    let deadline = Instant::now().checked_add(timeout);
    let name = || PathBuf::from(program);
    let mut child = start(folder, program, args)?;
    let (sender, receiver) = mpsc::channel();
    if let Some(pipe) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || sender.send((Stream::Out, read_limited(pipe, limit_bytes))));
    }
    if let Some(pipe) = child.stderr.take() {
        thread::spawn(move || sender.send((Stream::Err, read_all_keep(pipe, limit_bytes))));
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let left = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left) {
            Ok((Stream::Out, Ok(Some(bytes)))) => stdout = bytes,
            Ok((Stream::Err, Ok(Some(bytes)))) => stderr = bytes,
            Ok((_, Ok(None))) => {
                end(&mut child);
                return Err(ProcessError::TooMuch { program: name(), limit: limit_bytes });
            }
            Ok((_, Err(source))) => {
                end(&mut child);
                return Err(ProcessError::Talk { program: name(), source });
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child);
                return Err(ProcessError::Timeout { program: name(), after: timeout });
            }
        }
    }
    // It has closed both, which need not be its end.
    match ended_by(&mut child, deadline) {
        Ok(Some(status)) => Ok(Output { status, stdout, stderr }),
        Ok(None) => {
            end(&mut child);
            Err(ProcessError::Timeout { program: name(), after: timeout })
        }
        Err(source) => Err(ProcessError::Talk { program: name(), source }),
    }
}

fn start(folder: &Path, program: &OsStr, args: &[OsString]) -> Result<Child, ProcessError> {
    let name = || PathBuf::from(program);
    // A relative folder of PATH would be one of the repository that the child works in.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = if Path::new(program).components().count() > 1 {
        name()
    } else {
        find_program(program, &path).ok_or_else(|| ProcessError::Missing { program: name() })?
    };
    #[expect(clippy::disallowed_methods, reason = "this room is the one that starts children")]
    let mut command = Command::new(found);
    command.args(args).current_dir(folder).env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound && folder.is_dir() {
            ProcessError::Missing { program: name() }
        } else {
            ProcessError::Start { program: name(), source }
        }
    })
}

enum Stream {
    Out,
    Err,
}

fn is_kept(name: &OsStr) -> bool {
    matches!(name.as_bytes(), b"PATH" | b"HOME" | b"TMPDIR" | b"LANG")
        || name.as_bytes().starts_with(b"XDG_")
        || name.as_bytes().starts_with(b"NIX_")
}

/// `None` when there is more than the limit.
fn read_limited(pipe: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    pipe.take(limit.saturating_add(1) as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|b| b.len() <= limit))
}

/// Keeps the first part and reads the rest away, so that a chatty child does not block.
fn read_all_keep(mut pipe: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    pipe.by_ref().take(limit as u64).read_to_end(&mut bytes)?;
    io::copy(&mut pipe, &mut io::sink())?;
    Ok(Some(bytes))
}

fn end(child: &mut Child) {
    // It may have ended by itself meanwhile; either way it is gone afterwards.
    let _ = child.kill();
    let _ = child.wait();
}

/// Why a child could not be run to its end.
#[derive(Debug)]
pub enum ProcessError {
    /// There is no such program on `PATH`.
    Missing {
        /// Its name.
        program: PathBuf,
    },
    /// It is there but cannot be started.
    Start {
        /// Its name.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Reading from it or waiting for it went wrong.
    Talk {
        /// Its name.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It took too long and was ended.
    Timeout {
        /// Its name.
        program: PathBuf,
        /// The limit.
        after: Duration,
    },
    /// It printed too much and was ended.
    TooMuch {
        /// Its name.
        program: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program } => {
                write!(f, "there is no program `{}` on PATH", program.display())
            }
            Self::Start { program, source } => {
                write!(f, "cannot start `{}`: {source}", program.display())
            }
            Self::Talk { program, source } => {
                write!(f, "lost touch with `{}`: {source}", program.display())
            }
            Self::Timeout { program, after } => write!(
                f,
                "`{}` did not end within {} seconds and was stopped",
                program.display(),
                after.as_secs()
            ),
            Self::TooMuch { program, limit } => {
                write!(f, "`{}` printed more than {limit} bytes and was stopped", program.display())
            }
        }
    }
}

impl std::error::Error for ProcessError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::Talk { source, .. } => Some(source),
            Self::Missing { .. } | Self::Timeout { .. } | Self::TooMuch { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: usize) -> Result<Output, ProcessError> {
        let args = ["-c".into(), script.into()];
        let here = Path::new(".");
        capture(here, OsStr::new("sh"), &args, Duration::from_millis(700), limit)
    }

    #[test]
    fn hands_back_both_streams_and_the_status() {
        let output = run("cat; echo data; echo talk >&2; exit 3", 100).unwrap();
        assert_eq!(output.stdout, b"data\n");
        assert_eq!(output.stderr, b"talk\n");
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn keeps_only_the_named_environment() {
        let output = run("echo $CARGO_MANIFEST_DIR-${PATH:+path}", 100).unwrap();
        assert_eq!(output.stdout, b"-path\n");
    }

    #[test]
    fn stops_a_child_that_takes_or_prints_too_much() {
        assert!(matches!(run("exec sleep 20", 100), Err(ProcessError::Timeout { .. })));
        assert!(matches!(run("exec yes", 100), Err(ProcessError::TooMuch { .. })));
    }

    #[test]
    fn tells_a_missing_program() {
        let (here, program) = (Path::new("."), OsStr::new("no-such-program"));
        let missing = capture(here, program, &[], Duration::MAX, 1).unwrap_err();
        assert_eq!(missing.to_string(), "there is no program `no-such-program` on PATH");
    }
}
