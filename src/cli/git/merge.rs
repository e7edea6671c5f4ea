//! `secretctl git merge` and `secretctl git resolve`

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::context::{Context, file_failures, variable};
use super::super::edit::editor_is_set;
use super::super::explain::{Around, Failure, problem, quoted};
use super::super::{Done, Outcome, ui};
use super::{asked, git_failure, merge_sops, top};
use crate::format::age::Encrypted;
use crate::format::sops::file::Writer;
use crate::fsx::read_limited;
use crate::plaintext::Plaintext;
use crate::process::git::merge_texts;
use crate::process::{EditRequest, EditSession, Editor};
use crate::work::secret::{self, Kind};
use crate::work::sops::MAX_FILE;
use crate::work::{Job, edit};

/// Merge two versions of a secret file, for git
///
/// The content of an age file is merged line by line and encrypted for the readers that the rules
/// name now; that of a sops file value by value, for the readers that both sides come to. What
/// contradicts is for the editor, where there is one and a terminal; otherwise ours stays, and git
/// is told of a conflict.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// What both come from (%O)
    base: PathBuf,
    /// Ours, which becomes the result (%A)
    ours: PathBuf,
    /// Theirs (%B)
    theirs: PathBuf,
    /// Length of the marks around what contradicts (%L)
    marker_size: u8,
    /// The file in the work tree (%P)
    path: PathBuf,
}

/// Resolve the conflict of a merge in the editor
///
/// The plaintext is where the editor alone sees it. Afterwards, `git add` the file.
#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// Secret file that git says is in conflict
    file: PathBuf,
}

impl Merge {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let name = context.absolute(&self.path);
        let mut versions = Vec::new();
        for file in [&self.base, &self.ours, &self.theirs] {
            let bytes = read_limited(file, MAX_FILE);
            let shown = ui::shown(file);
            versions.push(bytes.map_err(|e| Failure::new(format!("cannot read `{shown}`: {e}")))?);
        }
        // git takes the result from its own file and puts it in place itself.
        let target = context.absolute(&self.ours);
        let marker_size = self.marker_size;
        let work = Work { context, name: &name, target: &target, marker_size, resolving: false };
        let shown = ui::shown(&name);
        let places = match work.merge(&versions)? {
            Ended::Written => {
                ui::say(&format!(
                    "merged `{shown}`; if the rules changed too, run `secretctl rekey` after the \
                     merge"
                ));
                return Ok(Done::Clean);
            }
            Ended::Conflict(places) => places,
        };
        ui::say(&format!(
            "`{shown}` has changes that contradict each other{places}; ours was kept"
        ));
        ui::say(&format!("hint: run `secretctl git resolve {}`", quoted(&shown)));
        Ok(Done::Found)
    }
}

impl Resolve {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let name = context.absolute(&self.file);
        let _lock = context.lock_for(&name, "git resolve")?;
        let top = top(context)?;
        let shown = ui::shown(&name);
        let inside = name
            .strip_prefix(&top)
            .map_err(|_| Failure::new(format!("`{shown}` is not in the work tree")))?;
        let mut versions = Vec::new();
        for stage in 1..=3 {
            let mut blob = OsString::from(format!(":{stage}:"));
            blob.push(inside);
            let arguments = [OsStr::new("cat-file"), OsStr::new("blob"), &blob];
            match asked(context, &arguments) {
                Ok(bytes) => versions.push(bytes),
                // Both sides may have made the file.
                Err(_) if stage == 1 => versions.push(Vec::new()),
                Err(_) => {
                    return Err(Failure::new(format!("`{shown}` is not in conflict")).into());
                }
            }
        }
        let marker_size = MARKER;
        let work = Work { context, name: &name, target: &name, marker_size, resolving: true };
        match work.merge(&versions)? {
            Ended::Written => {
                ui::say(&format!("resolved `{shown}`; now run `git add {}`", quoted(&shown)));
                Ok(Done::Clean)
            }
            Ended::Conflict(places) => {
                let what = "still has changes that contradict each other";
                Err(Failure::new(format!("`{shown}` {what}{places}"))
                    .hint("run this on a terminal, or set EDITOR, and leave no marks in the text")
                    .into())
            }
        }
    }
}

/// How a merge ended.
pub(super) enum Ended {
    /// The result is in its place.
    Written,
    /// Something contradicts, and nobody said how it is to be; where it is, for people.
    Conflict(String),
}

/// A merge of one file.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) context: &'a Context,
    /// The file as people know it.
    pub(super) name: &'a Path,
    /// Where the result goes.
    pub(super) target: &'a Path,
    /// Length of the marks around what contradicts.
    pub(super) marker_size: u8,
    /// Whether the user has asked to settle what contradicts.
    pub(super) resolving: bool,
}

impl Work<'_> {
    /// Merges and writes the result.
    fn merge(self, versions: &[Vec<u8>]) -> Result<Ended, Vec<Failure>> {
        let is_age = |bytes: &Vec<u8>| Encrypted::read(bytes.as_slice()).is_ok();
        let [base, ours, theirs] = versions else { return Ok(Ended::Conflict(String::new())) };
        if !is_age(ours) && !is_age(theirs) {
            return merge_sops::merge(self, [base, ours, theirs]);
        }
        let (_, job) = self.context.job(self.name)?;
        let job = Job { path: self.target.to_owned(), ..job };
        let done = merge(self, &job, versions)?;
        Ok(if done { Ended::Written } else { Ended::Conflict(String::new()) })
    }
}

/// Merges and writes the result to the file of the job; `false` where something contradicts and
/// nobody said how it is to be.
fn merge(work: Work<'_>, job: &Job, versions: &[Vec<u8>]) -> Result<bool, Vec<Failure>> {
    let Work { context, name, marker_size, .. } = work;
    let mut keys = context.keys();
    let mut contents = Vec::new();
    let mut kind = Kind::Age { armored: false };
    for (number, version) in versions.iter().enumerate() {
        if version.is_empty() {
            contents.push(Plaintext::default());
            continue;
        }
        let opened = secret::open_bytes(version, &name.display().to_string(), &mut keys.keyring);
        let opened = opened.map_err(|error| {
            let around = Around { tried: keys.tried(), needs: &job.expected };
            problem(&error, name, &around)
        })?;
        if number == OURS {
            kind = opened.file;
        }
        contents.push(opened.content);
    }
    let [base, ours, theirs] = contents.as_slice() else { return Ok(false) };
    let write = |content: &Plaintext| {
        edit::replace(job, content, &kind, &keys, &Writer::Lossless)
            .map_err(|error| file_failures(&[error], &keys, &[job]))
    };
    if ours.same_as(theirs) || base.same_as(theirs) {
        return write(ours).map(|()| true);
    }
    if base.same_as(ours) {
        return write(theirs).map(|()| true);
    }
    let merged = merge_texts(&context.folders, [base, ours, theirs], marker_size)
        .map_err(|error| git_failure(&error))?;
    match merged {
        None => Ok(false),
        Some(merged) if !merged.conflicts => write(&merged.content).map(|()| true),
        Some(merged) => match decided(work, &merged.content, &|_| None)? {
            Some(content) => write(&content).map(|()| true),
            None => Ok(false),
        },
    }
}

/// Has the user resolve what contradicts; `None` where there is no terminal or editor, or where
/// marks are left. `check` says what is wrong with a content.
pub(super) fn decided(
    work: Work<'_>,
    conflicted: &Plaintext,
    check: &dyn Fn(&Plaintext) -> Option<String>,
) -> Result<Option<Plaintext>, Failure> {
    let Work { context, name, marker_size, resolving, .. } = work;
    let can_edit = io::stdin().is_terminal() || resolving && editor_is_set();
    if !can_edit {
        return Ok(None);
    }
    let Ok(editor) = Editor::from_environment(&variable) else { return Ok(None) };
    let request = EditRequest {
        file_name: &edit::inner_name(name),
        editor: &editor,
        folders: &context.folders,
        insecure_tmp: false,
        shared: false,
        interrupts: &context.interrupts,
    };
    let mut session = EditSession::open(request, conflicted);
    loop {
        session.run_editor().map_err(|error| {
            Failure::new(error.to_string()).maybe_hint(error.remedy().map(str::to_owned))
        })?;
        if has_marks(session.content(), marker_size) {
            return Ok(None);
        }
        let Some(wrong) = check(session.content()) else { break };
        let question = format!("the text is not well formed ({wrong}); open the editor again?");
        let again = context.plugins().ask.confirm(&question, "yes", Some("no"));
        if !again.unwrap_or(false) {
            return Err(Failure::new(format!("the text is not well formed: {wrong}"))
                .hint("nothing was written; run the command again"));
        }
    }
    #[expect(clippy::disallowed_methods, reason = "the session keeps its own")]
    let content = Plaintext::copy_of(session.content().expose());
    Ok(Some(content))
}

/// Whether a line is a mark of git's around what contradicts.
#[expect(clippy::disallowed_methods, reason = "looked through for marks")]
fn has_marks(content: &Plaintext, marker_size: u8) -> bool {
    let marks = ["<", "|", ">"].map(|mark| mark.repeat(usize::from(marker_size)).into_bytes());
    let lines = content.expose().split(|byte| *byte == b'\n');
    lines.into_iter().any(|line| {
        marks.iter().any(|mark| line.strip_prefix(&mark[..]).is_some_and(|r| r.starts_with(b" ")))
    })
}

/// The place of ours among the versions.
const OURS: usize = 1;
/// git's usual length of marks.
const MARKER: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_seen_at_the_beginning_of_lines_only() {
        let seen = |text: &str| has_marks(&Plaintext::copy_of(text.as_bytes()), 7);
        assert!(
            seen("a\n<<<<<<< ours\nb\n") && seen("||||||| before") && seen("x\n>>>>>>> theirs")
        );
        assert!(!seen("<<<<<<<\n") && !seen(" <<<<<<< ours") && !seen("=======\n"));
    }
}
