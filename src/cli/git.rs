//! `secretctl git`: what git calls to show and to merge secret files, and before a commit; and the
//! command that tells git so.
//!
//! Plaintext goes to standard output for `textconv`, which git's own pager shows, and to no file:
//! merging is done in memory, and what contradicts is shown in the editor's private place, never
//! in the work tree.

mod install;
mod merge;
mod merge_sops;
mod patterns;
mod pre_commit;

pub(crate) use pre_commit::{Blob, staged};

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use super::context::Context;
use super::explain::{Around, Failure, problem};
use super::{Done, Outcome, ui};
use crate::format::age::AgeError;
use crate::format::keys::Keys;
use crate::fsx::read_limited;
use crate::process::git::{GitError, GitOutput, git};
use crate::work::Problem;
use crate::work::secret;
use crate::work::sops::{self, MAX_FILE};

/// Let git show and merge secret files by their content
#[derive(Debug, Args)]
pub(crate) struct Git {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::Install),
    Textconv(Textconv),
    Merge(merge::Merge),
    Resolve(merge::Resolve),
    PreCommit(pre_commit::PreCommit),
}

impl Git {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Command::Install(command) => command.run(context),
            Command::Textconv(command) => command.run(context),
            Command::Merge(command) => command.run(context),
            Command::Resolve(command) => command.run(context),
            Command::PreCommit(pre_commit::PreCommit {}) => pre_commit::PreCommit::run(context),
        }
    }
}

/// Print a file decrypted, for `git diff` and `git log -p`
///
/// An age file that cannot be decrypted here is shown as one line that changes with the file, and a
/// sops file as it is, so that git goes on.
#[derive(Debug, Args)]
struct Textconv {
    /// File that git made of one version
    file: PathBuf,
}

impl Textconv {
    fn run(self, context: &Context) -> Outcome {
        let bytes = read_limited(&self.file, MAX_FILE).map_err(|error| {
            Failure::new(format!("cannot read `{}`: {error}", ui::shown(&self.file)))
        })?;
        let mut keys = context.keys();
        let mut stdout = io::stdout().lock();
        let name = self.file.display().to_string();
        let done = secret::decrypt_stream(bytes.as_slice(), &name, &mut keys.keyring, &mut stdout);
        let written = match done {
            Err(Problem::Age(AgeError::Write(error))) => Err(error),
            Err(Problem::NotEncrypted) => self.sops_file(&bytes, &mut keys, &mut stdout),
            Err(error) => {
                let around = Around { tried: keys.tried(), needs: &[] };
                let why = problem(&error, &self.file, &around).headline;
                let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(&bytes));
                let hash = u32::from_be_bytes([a, b, c, d]);
                writeln!(stdout, "[encrypted, SHA-256 {hash:08x}…: {}]", ui::clean(&why))
            }
            Ok(()) => Ok(()),
        };
        match written.and_then(|()| stdout.flush()) {
            Err(error) if !ui::gone(&error) => Err(ui::stdout_failure(&error).into()),
            Ok(()) | Err(_) => Ok(Done::Clean),
        }
    }

    /// What is no age file: a document of sops, or a version from before the file was encrypted.
    #[expect(clippy::disallowed_methods, reason = "git asks for it, to show what changed")]
    fn sops_file(
        &self,
        bytes: &[u8],
        keys: &mut Keys<'_>,
        stdout: &mut dyn Write,
    ) -> io::Result<()> {
        match sops::document_of(&self.file, bytes, keys) {
            Ok(document) => stdout.write_all(document.expose()),
            Err(error) => {
                if !matches!(error, Problem::NotEncrypted) {
                    let around = Around { tried: keys.tried(), needs: &[] };
                    let why = problem(&error, &self.file, &around).headline;
                    ui::say(&format!("note: {why}; it is shown encrypted"));
                }
                stdout.write_all(bytes)
            }
        }
    }
}

/// Runs git where the command was called and wants it to work; what it printed, as text.
#[expect(clippy::disallowed_methods, reason = "paths and settings, which git prints")]
fn asked(context: &Context, arguments: &[&OsStr]) -> Result<Vec<u8>, Failure> {
    Ok(printed(context, arguments)?.stdout.expose().to_vec())
}

/// The content of a blob.
pub(crate) fn blob(context: &Context, name: &OsStr) -> Result<GitOutput, Failure> {
    printed(context, &[OsStr::new("cat-file"), OsStr::new("blob"), name])
}

fn printed(context: &Context, arguments: &[&OsStr]) -> Result<GitOutput, Failure> {
    let output = git(&context.here, arguments).map_err(|error| git_failure(&error))?;
    if output.code == Some(0) {
        return Ok(output);
    }
    let what = arguments.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    Err(Failure::new(format!("`git {what}` failed: {}", output.said)))
}

/// The root of the work tree.
pub(crate) fn top(context: &Context) -> Result<PathBuf, Failure> {
    let printed = asked(context, &["rev-parse", "--show-toplevel"].map(OsStr::new))
        .map_err(|failure| failure.hint("run this in the work tree of a git repository"))?;
    Ok(path_of(&printed))
}

fn path_of(line: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(OsStr::from_bytes(line.strip_suffix(b"\n").unwrap_or(line)))
}

fn git_failure(error: &GitError) -> Failure {
    Failure::new(error.to_string())
}
