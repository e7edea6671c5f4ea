//! What git is about to commit: the blobs of its index, not the files of the work tree.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::context::Context;
use super::super::explain::Failure;
use crate::process::git::{GitError, GitOutput, git};
use crate::scan::dig::{Digger, Shared};
use crate::scan::finding::Finding;
use crate::scan::walk::Walked;

/// Looks through every file that was added or changed.
#[expect(clippy::disallowed_methods, reason = "what is about to be committed is searched")]
pub(super) fn look(
    context: &Context,
    shared: &Shared<'_>,
    walked: &mut Walked,
) -> Result<(), Failure> {
    let top = asked(context, &["rev-parse", "--show-toplevel"].map(OsStr::new))?;
    let top = PathBuf::from(OsStr::from_bytes(top.stdout.expose().trim_ascii_end()));
    let arguments =
        ["diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=AMT"];
    let raw = asked(context, &arguments.map(OsStr::new))?;
    let mut fields = raw.stdout.expose().split(|byte| *byte == 0);
    let mut digger = Digger::new(shared);
    // `:OLDMODE NEWMODE OLDBLOB NEWBLOB STATUS`, and the path.
    while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
        let mut about = about.split(|byte| *byte == b' ').skip(1);
        let mode = about.next().unwrap_or_default();
        let blob = OsStr::from_bytes(about.nth(1).unwrap_or_default());
        let path = top.join(OsStr::from_bytes(path));
        // A submodule is a commit of another repository.
        if mode.starts_with(b"160") {
            continue;
        }
        let content = asked(context, &[OsStr::new("cat-file"), OsStr::new("blob"), blob])?;
        let content = content.stdout.expose();
        let (_, found, gaps) = digger.file(&mut &*content, None);
        walked.files = walked.files.saturating_add(1);
        walked.bytes = walked.bytes.saturating_add(content.len() as u64);
        walked.gaps.extend(gaps.into_iter().map(|gap| (path.clone(), gap)));
        for dug in found {
            let mut finding = Finding::of(dug, &path);
            if finding.chain.is_empty() {
                let end = usize::try_from(finding.offset).unwrap_or(usize::MAX);
                let before = content.get(..end).unwrap_or_default();
                finding.line = Some(before.split(|byte| *byte == b'\n').count() as u64);
            }
            walked.findings.push(finding);
        }
    }
    Ok(())
}

fn asked(context: &Context, arguments: &[&OsStr]) -> Result<GitOutput, Failure> {
    let output =
        git(&context.here, arguments).map_err(|error: GitError| Failure::new(error.to_string()))?;
    if output.code == Some(0) {
        return Ok(output);
    }
    let command: Vec<OsString> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let command = command.join(OsStr::new(" "));
    Err(Failure::new(format!("`git {}` failed: {}", command.to_string_lossy(), output.said)))
}
