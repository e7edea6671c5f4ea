//! `secretctl git pre-commit`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::context::{Context, rules_failure};
use super::super::explain::Failure;
use super::super::{Done, Outcome, ui};
use super::merge_sops::place;
use super::{asked, blob, top};
use crate::format::age::Encrypted;
use crate::plaintext::Plaintext;
use crate::rules::{Pattern, Wanted};
use crate::work::sops;

/// Refuse a commit of what the rules say is secret and is not encrypted
///
/// For the hook that `git install --hook` sets. Looks at what is about to be committed, not at
/// the work tree, and needs no private key. A sops file in which a value is plain that its own
/// rule says is encrypted is refused as well. Where there are no rules, nothing is secret, and a
/// rule of `.sops.yaml` without `path_regex` makes nothing secret.
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
        for Blob { path, name, .. } in staged.into_iter().filter(|blob| blob.is_file) {
            let file = top.join(&path);
            match rules.for_file(&file) {
                Ok(None) => {}
                Err(error) => failures.push(rules_failure(&error)),
                // Of rules files and the like, `.sops.yaml` often matches the names.
                Ok(Some(_)) if rules.sources.iter().any(|source| source.file == file) => {}
                Ok(Some((_, rule))) => {
                    match state(&path, blob(context, &name)?.stdout) {
                        State::Encrypted => {}
                        // A rule without `path_regex` says who would read what is encrypted.
                        State::Plain if matches!(rule.pattern, Pattern::Every) => {}
                        State::Plain => failures.push(in_the_open(&file)),
                        State::PartlyPlain(place) => failures.push(partly(&file, &place)),
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

/// What is about to be committed under a name.
pub(crate) struct Blob {
    /// From the root of the work tree.
    pub(crate) path: PathBuf,
    /// The name of its content.
    pub(crate) name: OsString,
    /// Whether it is a regular file; a link is kept as what it leads to.
    pub(crate) is_file: bool,
}

/// All that was added or changed but for submodules, which are commits of other repositories.
pub(crate) fn staged(context: &Context) -> Result<Vec<Blob>, Failure> {
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
        if !mode.starts_with(b"160") {
            staged.push(Blob {
                path: OsStr::from_bytes(path).into(),
                name: OsStr::from_bytes(blob).to_owned(),
                is_file: mode.starts_with(b"100"),
            });
        }
    }
    Ok(staged)
}

fn partly(file: &Path, place: &str) -> Failure {
    let shown = ui::shown(file);
    Failure::new(format!("`{shown}` would be committed with a value in the open, at {place}"))
        .hint("unstage it with `git restore --staged`, and enter the value with `secretctl edit`")
}

/// What is about to be committed.
enum State {
    /// An age file, or a sops document of which every value that should be is encrypted.
    Encrypted,
    /// Neither.
    Plain,
    /// A sops document into which somebody wrote; the place, for people.
    PartlyPlain(String),
}

#[expect(clippy::disallowed_methods, reason = "what should be encrypted is looked at")]
fn state(path: &Path, content: Plaintext) -> State {
    if Encrypted::read(content.expose()).is_ok() {
        return State::Encrypted;
    }
    let store = sops::store_of(path, &content);
    match sops::parse(content, store) {
        Ok(file) if file.metadata().is_encrypted() => match file.in_the_open() {
            Ok(Some((document, way))) => State::PartlyPlain(place(document, &way)),
            // A rule that cannot be followed lets nobody tell.
            Ok(None) => State::Encrypted,
            Err(_) => State::Plain,
        },
        Ok(_) | Err(_) => State::Plain,
    }
}
