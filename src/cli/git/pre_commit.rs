//! `secretctl git pre-commit`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::context::{Context, rules_failure};
use super::super::explain::Failure;
use super::super::{Done, Outcome, ui};
use super::{asked, git_failure, top};
use crate::format::age::Encrypted;
use crate::format::sops::file::is_encrypted;
use crate::format::sops::store::Store;
use crate::plaintext::Plaintext;
use crate::process::git::git;
use crate::rules::Wanted;

/// Refuse a commit of what the rules say is secret and is not encrypted
///
/// For the hook that `git install --hook` sets. Looks at what is about to be committed, not at
/// the work tree, and needs no private key. Where there are no rules, nothing is secret.
#[derive(Debug, Args)]
pub(super) struct PreCommit {}

impl PreCommit {
    pub(super) fn run(context: &Context) -> Outcome {
        let top = top(context)?;
        let staged = staged(context)?;
        if staged.is_empty() || context.rules_folder(&top).is_none() {
            return Ok(Done::Clean);
        }
        let rules = context.rules(Wanted::All)?;
        let mut failures: Vec<Failure> = rules.problems.iter().map(rules_failure).collect();
        for (path, blob) in staged {
            let file = top.join(&path);
            match rules.for_file(&file) {
                Ok(None) => {}
                Err(error) => failures.push(rules_failure(&error)),
                Ok(Some(_)) => {
                    let arguments = [OsStr::new("cat-file"), OsStr::new("blob"), &blob];
                    let output = git(&context.here, &arguments).map_err(|e| git_failure(&e))?;
                    if !encrypted(&path, &output.stdout) {
                        failures.push(in_the_open(&file));
                    }
                }
            }
        }
        if failures.is_empty() { Ok(Done::Clean) } else { Err(failures) }
    }
}

fn in_the_open(file: &Path) -> Failure {
    let shown = ui::shown(file);
    Failure::new(format!("`{shown}` would be committed in the open: the rules say it is secret"))
        .hint("unstage it with `git restore --staged`, and put it in place with `secretctl edit`")
}

/// Paths from the root, each with its blob: regular files that were added or changed.
fn staged(context: &Context) -> Result<Vec<(PathBuf, OsString)>, Failure> {
    let arguments =
        ["diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=AMT"];
    let raw = asked(context, &arguments.map(OsStr::new))?;
    let mut fields = raw.split(|byte| *byte == 0);
    let mut staged = Vec::new();
    // `:OLDMODE NEWMODE OLDBLOB NEWBLOB STATUS`, and the path.
    while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
        let mut about = about.split(|byte| *byte == b' ').skip(1);
        let mode = about.next().unwrap_or_default();
        let blob = about.nth(1).unwrap_or_default();
        if mode.starts_with(b"100") {
            staged.push((OsStr::from_bytes(path).into(), OsStr::from_bytes(blob).to_owned()));
        }
    }
    Ok(staged)
}

/// Whether a content is an age file or a sops document.
#[expect(clippy::disallowed_methods, reason = "what should be encrypted is looked at")]
fn encrypted(path: &Path, content: &Plaintext) -> bool {
    Encrypted::read(content.expose()).is_ok()
        || is_encrypted(Store::of_path(path), content).unwrap_or(false)
}
