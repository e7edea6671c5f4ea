//! What is to be done with each secret, by comparison with the previous generation.

use std::path::PathBuf;

use rustix::fs::Stat;

use super::{Content, Name, Piece, Trouble, generation};
use crate::fsx::directory::{has, holds};
use crate::fsx::{Attributes, Directory};
use crate::plaintext::Plaintext;

/// A secret and what becomes of it.
pub(super) struct Outcome {
    pub(super) name: Name,
    /// What is to be in it; `None` where there is nothing to put in place.
    pub(super) content: Option<Plaintext>,
    pub(super) attributes: Attributes,
    pub(super) links: Vec<PathBuf>,
    pub(super) copies: Vec<PathBuf>,
    pub(super) restart: Vec<String>,
    pub(super) reload: Vec<String>,
    pub(super) verdict: Verdict,
    /// Why it cannot be compared or kept, beside its verdict.
    pub(super) trouble: Option<Trouble>,
}

/// What becomes of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not there.
    Added,
    /// It has other content.
    Changed,
    /// Only its owner or permissions are others.
    Regranted,
    /// It is as it was.
    Unchanged,
    /// There is no new content, so the last one stays.
    Kept,
    /// There is no content at all.
    Missing,
}

/// Compares pieces with a generation. Owners count only where they are set.
pub(super) fn compare(
    previous: Option<&Directory>,
    pieces: Vec<Piece>,
    owners: bool,
) -> Vec<Outcome> {
    pieces.into_iter().map(|piece| judge(previous, piece, owners)).collect()
}

fn judge(previous: Option<&Directory>, piece: Piece, owners: bool) -> Outcome {
    let owner = owners.then_some((piece.uid, piece.gid));
    let mut outcome = Outcome {
        name: piece.name,
        content: None,
        attributes: Attributes { owner, mode: piece.mode },
        links: piece.links,
        copies: piece.copies,
        restart: piece.restart,
        reload: piece.reload,
        verdict: Verdict::Missing,
        trouble: None,
    };
    match piece.content {
        Content::Keep | Content::KeepAsIs => match last(previous, &outcome.name) {
            Ok(Some((content, stat))) => {
                (outcome.content, outcome.verdict) = (Some(content), Verdict::Kept);
                if matches!(piece.content, Content::KeepAsIs) {
                    outcome.attributes = as_is(&stat, owners);
                }
            }
            Ok(None) => {}
            Err(trouble) => outcome.trouble = Some(trouble),
        },
        Content::Bytes(content) => {
            match differs(previous, &outcome.name, &content, outcome.attributes) {
                Ok(verdict) => outcome.verdict = verdict,
                // It is replaced anyway.
                Err(_) => outcome.verdict = Verdict::Changed,
            }
            outcome.content = Some(content);
        }
    }
    outcome
}

fn differs(
    previous: Option<&Directory>,
    name: &Name,
    content: &Plaintext,
    attributes: Attributes,
) -> std::io::Result<Verdict> {
    let Some(previous) = previous else { return Ok(Verdict::Added) };
    let Some((mut file, stat)) = generation::find(previous, name)? else {
        return Ok(Verdict::Added);
    };
    if !holds(&mut file, content)? {
        return Ok(Verdict::Changed);
    }
    Ok(if has(&stat, attributes) { Verdict::Unchanged } else { Verdict::Regranted })
}

/// Owner and permissions as they were.
pub(super) fn as_is(stat: &Stat, owners: bool) -> Attributes {
    let owner = owners.then_some((stat.st_uid, stat.st_gid));
    Attributes { owner, mode: crate::fsx::system::permissions(stat) }
}

/// What a secret was in the last generation.
pub(super) fn last(
    previous: Option<&Directory>,
    name: &Name,
) -> Result<Option<(Plaintext, Stat)>, Trouble> {
    let Some(previous) = previous else { return Ok(None) };
    let read = || {
        let Some((mut file, stat)) = generation::find(previous, name)? else { return Ok(None) };
        Plaintext::read_from(&mut file, LARGEST).map(|content| Some((content, stat)))
    };
    read().map_err(|e| Trouble::io(name.as_path(), "read the last content of", e))
}

impl Outcome {
    /// Whether there will be a secret of that name.
    pub(super) fn in_place(&self) -> bool {
        self.content.is_some()
    }

    /// Whether units that use it are to hear of it.
    pub(super) fn is_news(&self) -> bool {
        matches!(self.verdict, Verdict::Added | Verdict::Changed)
    }
}

/// More than is ever installed.
const LARGEST: usize = 1 << 30;
