//! `sops encrypt`

use super::Done;
use super::desk::{Content, Desk, some_document};
use super::invocation::Encrypt;
use super::recipe::{Ruling, recipe};
use super::refusals::{self, Doing};
use crate::plaintext::Plaintext;
use crate::work::Problem;

pub(super) fn run(encrypt: &Encrypt) -> Done {
    let Encrypt { settings, subject, keys, selection, target } = encrypt;
    let desk = Desk::new(settings, None)?;
    let _lock = desk.lock(subject, target)?;
    let ruling = Ruling::find(&desk, subject)?;
    let recipe = recipe(keys, selection, subject.input, ruling.as_ref())?;
    let writer = desk.writer(subject)?;
    let text = desk.text(subject)?;
    let failed = |error: Problem| refusals::of(&error, Doing::Sealing, &subject.name, &[]);
    some_document(&text, subject.input).map_err(failed)?;
    let sealed = recipe
        .start(&desk.context.keys())
        .and_then(|started| started.seal(&text, (subject.input, subject.output), &writer));
    let sealed = sealed.map_err(failed)?;
    let done = desk.put(subject, target, &Plaintext::new(sealed), Content::Sealed)?;
    if let Some(ruling) = ruling.filter(|_| keys.group.is_empty()) {
        ruling.tell();
    }
    Ok(done)
}
