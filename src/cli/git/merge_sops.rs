//! The merge of sops files for git: opens the three versions, has them merged, writes the result,
//! and says where they contradict each other. Names places, never values.

use std::path::Path;

use super::super::context::Context;
use super::super::explain::{Around, Failure, problem, quoted, replace_error};
use super::super::ui;
use super::git_failure;
use super::merge::{Ended, Work, decided};
use crate::format::keys::Keys;
use crate::format::sops::store::Step;
use crate::plaintext::Plaintext;
use crate::process::git::merge_texts;
use crate::work::merge::Spot;
use crate::work::merge_sops::{Merged, Refused, Unusable, Versions};
use crate::work::{Problem, secret, sops};

/// Merges base, ours and theirs.
pub(super) fn merge(work: Work<'_>, versions: [&Vec<u8>; 3]) -> Result<Ended, Vec<Failure>> {
    let Work { context, name, target, marker_size, resolving } = work;
    let mut keys = context.keys();
    let opened = Versions::open(name, versions.map(Vec::as_slice), &mut keys);
    let opened = opened.map_err(|error| unusable(context, &error, name, &keys))?;
    let lines = |texts: [&Plaintext; 3]| {
        let merged = merge_texts(&context.folders, texts, marker_size).ok()??;
        (!merged.conflicts).then_some(merged.content)
    };
    let document = match opened.merge(&lines) {
        Merged::Document(document, comments) => {
            if !comments.is_empty() {
                let shown = ui::shown(name);
                let places = places(&comments);
                ui::say(&format!("note: comments of theirs in `{shown}` were left out{places}"));
            }
            document
        }
        Merged::Conflict(conflict) => {
            let texts = merge_texts(&context.folders, conflict.texts.each_ref(), marker_size);
            let texts = texts.map_err(|error| git_failure(&error))?;
            let check = |document: &Plaintext| opened.check(document);
            let decided = match texts {
                Some(text) => decided(work, &text.content, &check)?,
                None => None,
            };
            match decided {
                Some(document) => document,
                None => return Ok(Ended::Conflict(places(&conflict.places))),
            }
        }
    };
    let sealed = match opened.seal(&document, &keys, false) {
        Err(Refused::Metadata(what)) if resolving => {
            let file = quoted(&ui::shown(name));
            ui::say(&format!("note: {what}: as ours has it; run `secretctl rekey {file}`"));
            opened.seal(&document, &keys, true)
        }
        done => done,
    };
    let sealed = sealed.map_err(|error| refused(context, &error, name, &keys))?;
    let staged = secret::stage(target, &sealed);
    let staged = staged.map_err(|error| problem(&error, name, &Around::default()))?;
    staged.commit().map_err(|error| replace_error(&error))?;
    Ok(Ended::Written)
}

/// ` at WAY, WAY and 3 more`; nothing where it is all of it.
fn places(spots: &[Spot]) -> String {
    let named: Vec<String> = spots
        .iter()
        .filter(|spot| !spot.way.is_empty())
        .take(SHOWN)
        .map(|spot| place(spot.document, &spot.way))
        .collect();
    if named.is_empty() {
        return String::new();
    }
    let more = match spots.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(" at {}{more}", named.join(", "))
}

pub(super) fn place(document: usize, way: &[Step]) -> String {
    ui::clean(&sops::place(document, way))
}

fn unusable(context: &Context, error: &Unusable, name: &Path, keys: &Keys<'_>) -> Failure {
    let Unusable { version, problem: why } = error;
    let shown = ui::shown(name);
    if matches!(why, Problem::NotEncrypted) {
        let file = quoted(&shown);
        return Failure::new(format!("`{shown}` is not encrypted in {version}")).hint(format!(
            "take one side with `git checkout --ours {file}` or `git checkout --theirs {file}`"
        ));
    }
    let needs = context.needs(name);
    let failure = problem(why, name, &Around { tried: keys.tried(), needs: &needs });
    failure.detail(format!("this is about {version}; nothing was merged"))
}

fn refused(context: &Context, error: &Refused, name: &Path, keys: &Keys<'_>) -> Failure {
    let shown = ui::shown(name);
    let file = quoted(&shown);
    match error {
        Refused::Metadata(what) => Failure::new(format!(
            "both sides of `{shown}` changed {what}, in different ways"
        ))
        .hint(format!(
            "run `secretctl git resolve {file}`, which keeps those of ours, and then \
                     `secretctl rekey {file}`"
        )),
        Refused::OpensUp((document, way)) => {
            let place = place(*document, way);
            Failure::new(format!("the merge of `{shown}` would leave {place} unencrypted"))
                .hint("the rule in the file, or a comment, was changed on one side")
        }
        Refused::Problem(error) => {
            let needs = context.needs(name);
            problem(error, name, &Around { tried: keys.tried(), needs: &needs })
        }
    }
}

/// Most places that are named.
const SHOWN: usize = 10;
