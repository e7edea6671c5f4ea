//! The merge of sops files for git: opens the three versions, has them merged, writes the result,
//! and says where they contradict each other. Names places, never values.

use std::path::Path;

use super::super::context::{Context, rules_failure};
use super::super::explain::{Around, Failure, problem, quoted, replace_error};
use super::super::ui;
use super::git_failure;
use super::merge::{Ended, Work, decided};
use crate::format::keys::Keys;
use crate::format::sops::store::Step;
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;
use crate::process::git::merge_texts;
use crate::rules::{RulesError, Wanted};
use crate::work::merge::Spot;
use crate::work::merge_readers::Readers;
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
    // The rules may be Nix: they are asked only where it matters.
    let newcomers = opened.newcomers();
    let rule = if newcomers.is_empty() { None } else { readers_by_rule(context, name)? };
    let sealed = match opened.seal(&document, &keys, false, rule.as_ref()) {
        Err(Refused::Metadata(what)) if resolving => {
            let file = quoted(&ui::shown(name));
            ui::say(&format!("note: {what}: as one side has it; run `secretctl rekey {file}`"));
            opened.seal(&document, &keys, true, rule.as_ref())
        }
        Err(Refused::Strangers(left_out)) if resolving => {
            let names = names(&left_out);
            ui::say(&format!("note: left out, since the rules do not name them: {names}"));
            opened.seal(&document, &keys, true, rule.as_ref())
        }
        done => done,
    };
    let sealed = sealed.map_err(|error| refused(context, &error, name, &keys))?;
    if rule.is_none() && !newcomers.is_empty() {
        let shown = ui::shown(name);
        let names = newcomers.iter().map(|key| format!("+{}", key.shown()));
        let names = names.collect::<Vec<_>>().join(" ");
        ui::say(&format!("no rule is about `{shown}`, and one side adds readers: {names}"));
    }
    let staged = secret::stage(target, &sealed);
    let staged = staged.map_err(|error| problem(&error, name, &Around::default()))?;
    staged.commit().map_err(|error| replace_error(&error))?;
    Ok(Ended::Written)
}

/// Who is to read a file by its rule; `None` where none is about it.
fn readers_by_rule(context: &Context, name: &Path) -> Result<Option<Readers>, Failure> {
    let rules = match context.try_rules(Wanted::File(name)) {
        Err(RulesError::NoRules { .. }) => return Ok(None),
        rules => rules.map_err(|error| rules_failure(&error))?,
    };
    let found = rules.for_file(name).map_err(|error| rules_failure(&error))?;
    Ok(found.map(|(source, rule)| Readers::by_rule(&source.wrapping(rule))))
}

fn names(keys: &[WrappingKey]) -> String {
    keys.iter().map(WrappingKey::shown).collect::<Vec<_>>().join(", ")
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
            "run `secretctl git resolve {file}`, which keeps those of one side, and then \
                     `secretctl rekey {file}`"
        )),
        Refused::Strangers(keys) => {
            let what = "one side adds readers whom its rule does not name";
            Failure::new(format!("`{shown}` was not merged: {what}: {}", names(keys))).hint(
                format!(
                    "name them in the rules if they are to read it, and run `secretctl git resolve \
                     {file}`, which leaves out whom the rules do not name; or take one side with \
                     `git checkout --ours {file}`"
                ),
            )
        }
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
