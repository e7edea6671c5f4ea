//! Runs `git`: its output may be plaintext (what is about to be committed, what a merge comes to)
//! and is kept as such.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use super::pipe::ask;
use super::{clean_command, find_program};
use crate::fsx::{Folders, PrivateDir, PrivateDirError};
use crate::plaintext::Plaintext;

/// How git ended and what it printed.
#[derive(Debug)]
pub struct GitOutput {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: Plaintext,
    /// What it said on stderr, on one line.
    pub said: String,
}

/// Runs git in a folder, with nothing on its input.
///
/// # Errors
/// [`GitError`]; an exit code other than 0 is no error here.
pub fn git(folder: &Path, arguments: &[&OsStr]) -> Result<GitOutput, GitError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = find_program(OsStr::new("git"), &path).ok_or(GitError::Missing)?;
    // Hooks and drivers are told by variables which repository and index they are about.
    let mut command = clean_command(&program, &["GIT_*", "XDG_*"]);
    command.args(arguments).current_dir(folder);
    let (status, stdout, said) = ask(command, LIMIT, PATIENCE).map_err(GitError::Run)?;
    let status = status.ok_or(GitError::Timeout)?;
    Ok(GitOutput { code: status.code(), stdout, said })
}

/// What a merge of texts comes to.
#[derive(Debug)]
pub struct MergedText {
    /// The text, with marks around what contradicts.
    pub content: Plaintext,
    /// Whether something contradicts.
    pub conflicts: bool,
}

/// Merges three texts line by line, as git does, with files in memory alone. `None` where they
/// are no texts.
///
/// # Errors
/// [`GitError`].
pub fn merge_texts(
    folders: &Folders,
    [base, ours, theirs]: [&Plaintext; 3],
    marker_size: u8,
) -> Result<Option<MergedText>, GitError> {
    let private = PrivateDir::create(folders, false).map_err(GitError::NoPlace)?;
    for (name, content) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        private.folder().put(OsStr::new(name), content).map_err(GitError::Run)?;
    }
    let size = OsString::from(format!("--marker-size={marker_size}"));
    let arguments = ["merge-file", "-p", "--diff3", "-L", "ours", "-L", "before", "-L", "theirs"];
    let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    arguments.push(&size);
    arguments.extend(["ours", "base", "theirs"].map(OsStr::new));
    let output = git(private.path(), &arguments)?;
    match output.code {
        Some(0) => Ok(Some(MergedText { content: output.stdout, conflicts: false })),
        // The number of conflicts; 255 is an error, and texts with NUL bytes are one.
        Some(1..=127) => Ok(Some(MergedText { content: output.stdout, conflicts: true })),
        Some(_) if output.said.contains("binary") => Ok(None),
        Some(_) | None => Err(GitError::Failed { said: output.said }),
    }
}

/// Why git could not help.
#[derive(Debug)]
pub enum GitError {
    /// There is no `git` on `PATH`.
    Missing,
    /// It cannot be run.
    Run(io::Error),
    /// It took too long.
    Timeout,
    /// There is no folder in memory for what it works on.
    NoPlace(PrivateDirError),
    /// It says that it failed.
    Failed {
        /// What it said.
        said: String,
    },
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no program `git` on PATH"),
            Self::Run(error) => write!(f, "cannot run git: {error}"),
            Self::Timeout => f.write_str("git did not end within two minutes and was stopped"),
            Self::NoPlace(error) => error.fmt(f),
            Self::Failed { said } => write!(f, "git failed: {said}"),
        }
    }
}

impl std::error::Error for GitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Run(error) => Some(error),
            Self::NoPlace(error) => Some(error),
            Self::Missing | Self::Timeout | Self::Failed { .. } => None,
        }
    }
}

const PATIENCE: Duration = Duration::from_mins(2);
const LIMIT: usize = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> Option<MergedText> {
        let folders =
            Folders { runtime: None, memory: "/dev/shm".into(), temporary: "/var/tmp".into() };
        let texts = [base, ours, theirs].map(|text| Plaintext::copy_of(text.as_bytes()));
        merge_texts(&folders, texts.each_ref(), 7).unwrap()
    }

    #[test]
    fn lines_of_both_sides_go_together() {
        let merge = merged("a\nb\nc\nd\n", "A\nb\nc\nd\n", "a\nb\nc\nD\n").unwrap();
        assert!(!merge.conflicts && merge.content.same_as(&Plaintext::copy_of(b"A\nb\nc\nD\n")));
        assert!(merged("a\n", "b\n", "c\n").unwrap().conflicts);
        assert!(merged("a\0\n", "b\0\n", "c\0\n").is_none());
    }
}
