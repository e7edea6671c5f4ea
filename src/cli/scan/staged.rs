//! What git is about to commit: the blobs of its index, not the files of the work tree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::super::context::Context;
use super::super::explain::Failure;
use super::super::git::{self, Blob};
use crate::plaintext::Plaintext;
use crate::scan::dig::{Digger, Shared};
use crate::scan::finding::Finding;
use crate::scan::sibling::{LARGEST, Place};
use crate::scan::walk::Walked;

/// Looks through every file that was added or changed.
#[expect(clippy::disallowed_methods, reason = "what is about to be committed is searched")]
pub(super) fn look(
    context: &Context,
    shared: &Shared<'_>,
    walked: &mut Walked,
) -> Result<(), Failure> {
    let top = git::top(context)?;
    let mut digger = Digger::new(shared);
    for Blob { path, name, .. } in git::staged(context)? {
        for dug in path.iter().flat_map(|name| digger.text(name.as_bytes())).collect::<Vec<_>>() {
            let found = Finding::of(dug, &top.join(&path));
            walked.findings.push(Finding { in_name: true, ..found });
        }
        let path = top.join(path);
        let folder = path.parent().unwrap_or(&top);
        let output = git::blob(context, &name)?;
        let content = output.stdout.expose();
        let (_, found, gaps) = digger.file(&mut &*content, None);
        walked.files = walked.files.saturating_add(1);
        walked.bytes = walked.bytes.saturating_add(content.len() as u64);
        let read = || Some((Plaintext::copy_of(content), ()));
        let place = if folder == top { Place::Top } else { Place::Deep };
        let copied = shared.siblings.zip(path.file_name().and_then(OsStr::to_str));
        let copied = copied.filter(|_| content.len() <= LARGEST);
        let copied = copied.and_then(|(known, name)| known.copied(folder, name, place, read));
        walked.siblings.extend(copied.map(|((), encrypted)| (Finding::file(&path), encrypted)));
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
