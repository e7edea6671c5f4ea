//! `sops rotate`

use super::desk::{Content, Desk};
use super::invocation::Rotate;
use super::recipe::parsed;
use super::refusals::{self, Doing};
use super::{Done, Refusal};
use crate::cli::ui;
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;
use crate::work::{Problem, sops};

pub(super) fn run(rotate: &Rotate) -> Done {
    let Rotate { settings, subject, opening, add, remove, target } = rotate;
    let desk = Desk::new(settings, Some(opening))?;
    let parse = |named: &[_]| named.iter().map(parsed).collect::<Result<Vec<_>, Refusal>>();
    let (add, remove) = (parse(add)?, parse(remove)?);
    let _lock = desk.lock(subject, target)?;
    let mut keys = desk.context.keys();
    let file = desk.file(subject)?;
    let failed = |error: Problem, doing| refusals::of(&error, doing, &subject.name, &[]);
    let metadata =
        file.metadata_again().map_err(|error| failed(Problem::Sops(error), Doing::Opening))?;
    let mut groups = metadata.wrapping_keys();
    if let Some(first) = groups.first_mut() {
        first.extend(add);
    }
    for key in &remove {
        if !take(&mut groups, key) {
            ui::say(&format!("warning: the file has no key `{}` to remove", key.shown()));
        }
    }
    let file = desk.unlock(file, subject, opening, &mut keys)?;
    let writer = desk.writer(subject)?;
    let bytes = sops::rotate(file, metadata, groups, subject.output, &writer, &keys);
    let bytes = bytes.map_err(|error| failed(error, Doing::Sealing))?;
    desk.put(subject, target, &Plaintext::new(bytes), Content::Sealed)
}

/// Takes a key out of all groups; whether it was there.
fn take(groups: &mut [Vec<WrappingKey>], key: &WrappingKey) -> bool {
    let count = |groups: &[Vec<WrappingKey>]| groups.iter().map(Vec::len).sum::<usize>();
    let before = count(groups);
    for group in &mut *groups {
        group.retain(|other| !other.same(key));
    }
    count(groups) < before
}
