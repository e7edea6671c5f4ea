//! `sops set` and `sops unset`

use std::io;
use std::process::ExitCode;

use super::desk::{Content, Desk};
use super::invocation::{NewValue, Opening, Set, Subject, Target, Unset};
use super::refusals::{self, Doing, of_reading};
use super::resolve::{json_value, refusal};
use super::{Code, Done, Refusal};
use crate::format::sops::file::{SopsError, VersionRule, Writer};
use crate::format::sops::store::{Step, Way};
use crate::format::sops::tree::{Map, Node};
use crate::fsx::read_plaintext;
use crate::plaintext::Plaintext;
use crate::work::sops::{self, Unlocked};
use crate::work::{Problem, parts, secret};

pub(super) fn set(set: Set) -> Done {
    let Set { settings, subject, opening, way, value, idempotent } = set;
    let desk = Desk::new(&settings, Some(&opening))?;
    let value = value_of(&desk, value)?;
    let _lock = desk.lock(&subject, &Target::InPlace)?;
    let (before, document, writer) = open(&desk, &subject, &opening)?;
    let changed = parts::set(&document, subject.input, &way, &value);
    match changed.map_err(|error| of_way(&error, &subject))? {
        Some(changed) => replace(&desk, &subject, &before, &changed, &writer),
        None if idempotent => Ok(ExitCode::SUCCESS),
        None => replace(&desk, &subject, &before, &document, &writer),
    }
}

pub(super) fn unset(unset: &Unset) -> Done {
    let Unset { settings, subject, opening, way, idempotent } = unset;
    let desk = Desk::new(settings, Some(opening))?;
    let _lock = desk.lock(subject, &Target::InPlace)?;
    let (before, document, writer) = open(&desk, subject, opening)?;
    let changed = parts::unset(&document, subject.input, way);
    match changed.map_err(|error| of_way(&error, subject))? {
        Some(changed) => replace(&desk, subject, &before, &changed, &writer),
        None if *idempotent => Ok(ExitCode::SUCCESS),
        None => Err(not_found(&way.steps(&Map::default()))),
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

fn of_way(error: &Problem, subject: &Subject) -> Refusal {
    let what = if let Problem::Sops(SopsError::Store(error)) = error {
        error.to_string()
    } else {
        refusals::of(error, Doing::Opening, &subject.name, &[]).text
    };
    refusal(Code::Set, format!("Cannot change the value: {what}"))
}

fn not_found(steps: &[Step]) -> Refusal {
    refusal(Code::Generic, format!("Key not found: {}", Way(steps)))
}
