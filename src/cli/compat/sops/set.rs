//! `sops set` and `sops unset`

use std::io;
use std::process::ExitCode;

use super::desk::{Content, Desk};
use super::invocation::{NewValue, Opening, Set, Subject, Target, Unset};
use super::refusals::{self, Doing, of_reading};
use super::resolve::{json_value, refusal};
use super::{Code, Done, Refusal};
use crate::format::sops::file::{VersionRule, Writer};
use crate::format::sops::store::{Layout, Step, Store, StoreError, Way};
use crate::format::sops::tree::{Map, Node};
use crate::fsx::read_plaintext;
use crate::plaintext::Plaintext;
use crate::work::sops::{self, Unlocked};
use crate::work::{Problem, secret};

pub(super) fn set(set: Set) -> Done {
    let Set { settings, subject, opening, way, value, idempotent } = set;
    let desk = Desk::new(&settings, Some(&opening))?;
    let value = value_of(&desk, value)?;
    let _lock = desk.lock(&subject, &Target::InPlace)?;
    let (before, document, writer) = open(&desk, &subject, &opening)?;
    let steps = way.steps(&Map::default());
    let changed = subject.input.set(&document, &steps, &value).map_err(|e| of_way(&e))?;
    if idempotent && same(subject.input, &document, &changed) {
        return Ok(ExitCode::SUCCESS);
    }
    replace(&desk, &subject, &before, &changed, &writer)
}

pub(super) fn unset(unset: &Unset) -> Done {
    let Unset { settings, subject, opening, way, idempotent } = unset;
    let desk = Desk::new(settings, Some(opening))?;
    let _lock = desk.lock(subject, &Target::InPlace)?;
    let (before, document, writer) = open(&desk, subject, opening)?;
    let steps = way.steps(&Map::default());
    match subject.input.unset(&document, &steps).map_err(|error| of_way(&error))? {
        Some(changed) => replace(&desk, subject, &before, &changed, &writer),
        None if *idempotent => Ok(ExitCode::SUCCESS),
        None => Err(not_found(&steps)),
    }
}

fn open(
    desk: &Desk,
    subject: &Subject,
    opening: &Opening,
) -> Result<(Unlocked, Plaintext, Writer), Refusal> {
    let mut keys = desk.context.keys();
    let before = desk.open(subject, opening, &mut keys)?;
    let writer = desk.writer(subject)?;
    let document = before
        .opened
        .document(&writer, subject.input)
        .map_err(|error| refusals::of(&Problem::Sops(error), Doing::Opening, &subject.name, &[]))?;
    Ok((before, document, writer))
}

fn replace(
    desk: &Desk,
    subject: &Subject,
    before: &Unlocked,
    document: &Plaintext,
    writer: &Writer,
) -> Done {
    let (metadata, version) = (before.opened.metadata(), VersionRule::Keep);
    let sealed = sops::seal_for(document, before, metadata, subject.output, writer, version);
    let sealed =
        sealed.map_err(|error| refusals::of(&error, Doing::Sealing, &subject.name, &[]))?;
    desk.put(subject, &Target::InPlace, &Plaintext::new(sealed), Content::Sealed)
}

fn value_of(desk: &Desk, value: NewValue) -> Result<Node, Refusal> {
    let text = match value {
        NewValue::Given(node) => return Ok(node),
        NewValue::File(path) => {
            read_plaintext(&desk.context.here.join(path), secret::MAX_IN_MEMORY)
        }
        NewValue::Stdin => Plaintext::read_from(&mut io::stdin().lock(), secret::MAX_IN_MEMORY),
    };
    json_value(&text.map_err(|error| of_reading(&error))?)
}

/// Whether two documents have the same values, however they are written.
fn same(store: Store, one: &Plaintext, other: &Plaintext) -> bool {
    let printed = |text: &Plaintext| {
        let tree = store.read_plain(text).ok()?;
        store.print(&tree, None, &Layout::default()).ok()
    };
    match (printed(one), printed(other)) {
        (Some(one), Some(other)) => one.same_as(&other),
        _ => false,
    }
}

fn of_way(error: &StoreError) -> Refusal {
    refusal(Code::Set, format!("Cannot change the value: {error}"))
}

fn not_found(steps: &[Step]) -> Refusal {
    refusal(Code::Generic, format!("Key not found: {}", Way(steps)))
}
