//! `secretctl status`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::{Done, Outcome, ui};
use crate::format::age::AgeError;
use crate::format::sops::select::Rule;
use crate::format::sops::store::Store;
use crate::key::Recipient;
use crate::rules::NamedKey;
use crate::work::compare::{Comparison, LeftOver};
use crate::work::secret::Kind;
use crate::work::status::{Inspected, Selection, State, inspect_all};
use crate::work::{Expected, Problem};

/// Show who reads each secret file, and which files differ from the rules
///
/// Needs no private key. Exit code 1 when a file is stale, broken, or not encrypted, or has a value
/// in the open that should be encrypted. Where a sops file says
/// otherwise than the rules which of its values are encrypted, that is shown and does not count, since
/// no rekey changes it.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Files or folders; without any, everything that the rules know
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let selection = context.select_with_plain(&self.paths)?;
        let files = inspect_all(selection.jobs, &selection.known);
        let unclaimed = if self.paths.is_empty() {
            selection.rules.unclaimed().unwrap_or_default()
        } else {
            Vec::new()
        };
        let (open, unclaimed): (Vec<PathBuf>, Vec<PathBuf>) =
            unclaimed.into_iter().partition(|path| is_open(path));
        let text = if self.json {
            let files: Vec<Value> = files.iter().map(|f| Value::Object(state_json(f))).collect();
            let list = |paths: &[PathBuf]| -> Vec<String> {
                paths.iter().map(|path| path_text(path)).collect()
            };
            let (open, unclaimed) = (list(&open), list(&unclaimed));
            let all = json!({
                "files": files,
                "withoutRule": unclaimed,
                "withoutRuleNotEncrypted": open,
            });
            format!("{all:#}\n")
        } else {
            table(&files, &open, &unclaimed)
        };
        ui::print(&text).map_err(|e| ui::stdout_failure(&e))?;
        if selection.rules.sources.iter().all(|source| source.rules.is_empty()) {
            ui::say("note: there is no rule yet, so no file is known to be secret");
            ui::say("hint: `secretctl status FILE` prints the rule that a file lacks");
        }
        let wrong = |file: &Inspected| {
            matches!(
                file.state,
                State::Stale(_)
                    | State::NotEncrypted
                    | State::PartlyPlain(_)
                    | State::Broken(_)
                    | State::BrokenSops(_)
            )
        };
        let found = files.iter().any(wrong) || !open.is_empty();
        Ok(if found { Done::Found } else { Done::Clean })
    }
}

/// Whether a file that has the name of a secret holds something in the open.
fn is_open(path: &Path) -> bool {
    let no_age = matches!(crate::work::status::open(path), Err(AgeError::NotAge));
    let sops = || crate::work::sops::read(path, Store::of_path(path));
    no_age && matches!(sops(), Err(Problem::NotEncrypted))
}

/// A row a file: file, readers, state; below a stale file who is missing and who is left over.
fn table(files: &[Inspected], open: &[PathBuf], unclaimed: &[PathBuf]) -> String {
    let mut rows = vec![["FILE".to_owned(), "READERS".to_owned(), "STATE".to_owned()]];
    let mut notes: Vec<Vec<String>> = vec![Vec::new()];
    for file in files {
        let (state, mut lines) = describe(&file.state);
        lines.extend(file.selection.as_ref().map(selection));
        let mut readers = in_lines(&names(file)).into_iter();
        let first = readers.next().unwrap_or_default();
        rows.push([ui::shown(&file.job.path), first, state.to_owned()]);
        let mut below: Vec<Vec<String>> = Vec::new();
        for more in readers {
            rows.push([String::new(), more, String::new()]);
            below.push(Vec::new());
        }
        notes.extend(below);
        notes.push(lines);
    }
    for path in open {
        rows.push([ui::shown(path), "-".to_owned(), "NOT ENCRYPTED".to_owned()]);
        notes.push(vec!["it has the name of a secret, but its content is in the open".to_owned()]);
    }
    for path in unclaimed {
        rows.push([ui::shown(path), "-".to_owned(), "no rule".to_owned()]);
        notes.push(vec!["no rule says who is to read it; `rekey` leaves it alone".to_owned()]);
    }
    let width = |column: usize| {
        let lengths = rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count());
        lengths.max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for ([file, readers, state], notes) in rows.iter().zip(&notes) {
        let row = format!("{file:first$}  {readers:second$}  {state}");
        let _infallible = writeln!(text, "{}", row.trim_end());
        for note in notes {
            let _infallible = writeln!(text, "    {note}");
        }
    }
    text
}

fn describe(state: &State) -> (&'static str, Vec<String>) {
    match state {
        State::Current => ("ok", Vec::new()),
        State::Stale(comparison) => ("stale", differences(comparison)),
        State::Unknown(comparison) => ("unknown", differences(comparison)),
        State::Absent => ("no file", vec!["a rule names it, but there is no such file".to_owned()]),
        State::NotEncrypted => {
            ("NOT ENCRYPTED", vec!["its content is in the open for all who see it".to_owned()])
        }
        State::PartlyPlain(place) => {
            ("PARTLY PLAIN", vec![ui::clean(&format!("in the open: {place}"))])
        }
        State::Broken(error) => ("broken", vec![error.to_string()]),
        State::BrokenSops(what) => ("broken", vec![what.clone()]),
    }
}

/// That a file does not encrypt what its rule says.
fn selection(selection: &Selection) -> String {
    let [file, rules] = [&selection.file, &selection.rules].map(selector);
    ui::clean(&format!("its values are chosen by `{file}`; the rules say `{rules}`, for new files"))
}

/// As `.sops.yaml` and the metadata of files say it.
fn selector(rule: &Rule) -> String {
    format!("{}: {}", rule.name(), rule.text()).replace('\n', " ")
}

fn differences(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for who in &comparison.missing {
        let key = who.recipient.short();
        let key = if who.reader == key { String::new() } else { format!(" ({key})") };
        lines.push(format!("missing: {} cannot read it{key}", who.reader));
    }
    for (kind, count) in &comparison.some_missing {
        lines.push(format!("missing: {count} of the {kind} readers below cannot read it"));
    }
    for key in &comparison.missing_keys {
        lines.push(format!("missing: {} cannot read it ({})", key.reader, key.key.shown()));
    }
    if comparison.regrouped {
        lines
            .push("its keys are in other groups, or another number of groups is needed".to_owned());
    }
    for left in &comparison.left_over {
        lines.push(format!("left over: {} can still read it", left_over_name(left)));
    }
    for who in &comparison.unknown {
        lines.push(format!(
            "unknown: whether {} can read it cannot be told without opening it",
            who.label()
        ));
    }
    if comparison.listed {
        lines.push("its readers are listed in it, although its rule says `anonymous`".to_owned());
    }
    lines.iter().map(|line| ui::clean(line)).collect()
}

/// A name for somebody who should not be able to read.
pub(crate) fn left_over_name(left: &LeftOver) -> String {
    match left {
        LeftOver::Known(who) => who.label(),
        LeftOver::Tag { kind, tag } => {
            format!("{kind} key with tag {}, in no rule", hex::encode(tag))
        }
        LeftOver::Key(_) => format!("{}, in no rule", left_over_key(left)),
        LeftOver::Fingerprint(print) => {
            format!("a key with fingerprint {}, in no rule", hex::encode(print))
        }
        LeftOver::Anonymous { kind, count } => {
            format!("{count} {kind} more than the rules give")
        }
    }
}

/// The key of somebody who reads a sops file, or, as [`left_over_name`], of another.
pub(crate) fn left_over_key(left: &LeftOver) -> String {
    let LeftOver::Key(name) = left else { return left_over_name(left) };
    let short = Recipient::parse(name).map(|recipient| recipient.short());
    ui::clean(&short.unwrap_or_else(|_| name.clone()))
}

/// State of a file as JSON.
pub(crate) fn state_json(file: &Inspected) -> Map<String, Value> {
    let who = |e: &Expected| json!({ "reader": e.reader, "key": e.recipient.canonical(), "place": e.place.to_string() });
    let list = |all: &[Expected]| Value::Array(all.iter().map(who).collect());
    let mut object = Map::new();
    let state = match &file.state {
        State::Current => "ok",
        State::Stale(_) => "stale",
        State::Unknown(_) => "unknown",
        State::Absent => "absent",
        State::NotEncrypted => "not-encrypted",
        State::PartlyPlain(_) => "partly-plain",
        State::Broken(_) | State::BrokenSops(_) => "broken",
    };
    object.insert("file".into(), json!(path_text(&file.job.path)));
    object.insert("rule".into(), json!(file.job.place.to_string()));
    object.insert("state".into(), json!(state));
    let format = match (&file.state, file.store) {
        (State::Absent | State::NotEncrypted, _) => None,
        (_, Some(_)) => Some("sops"),
        (_, None) => Some("age"),
    };
    object.insert("format".into(), json!(format));
    let key = |named: &NamedKey| json!({ "reader": named.reader, "key": named.key.name(), "place": named.place.to_string() });
    let readers = match sops_keys(file) {
        Some(keys) => Value::Array(keys.map(key).collect()),
        None => list(&file.job.expected),
    };
    object.insert("readers".into(), readers);
    if let State::Stale(comparison) | State::Unknown(comparison) = &file.state {
        let left: Vec<String> = comparison.left_over.iter().map(left_over_name).collect();
        let missing = comparison.missing.iter().map(who);
        let missing = missing.chain(comparison.missing_keys.iter().map(key));
        object.insert("missing".into(), Value::Array(missing.collect()));
        object.insert("regrouped".into(), json!(comparison.regrouped));
        object.insert("someMissing".into(), json!(comparison.some_missing));
        object.insert("leftOver".into(), json!(left));
        object.insert("unknown".into(), list(&comparison.unknown));
    }
    if let Some(Selection { file, rules }) = &file.selection {
        object
            .insert("selector".into(), json!({ "file": selector(file), "rules": selector(rules) }));
    }
    if let State::BrokenSops(what) | State::PartlyPlain(what) = &file.state {
        object.insert("reason".into(), json!(what));
    }
    if let State::Broken(error) = &file.state {
        object.insert("reason".into(), json!(error.to_string()));
    }
    object
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A list of names in lines that fit beside a path.
fn in_lines(names: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let end = if index.saturating_add(1) < names.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.chars().count().saturating_add(name.chars().count()) < MOST => {
                let _infallible = write!(line, " {name}{end}");
            }
            Some(_) | None => lines.push(format!("{name}{end}")),
        }
    }
    lines
}

/// Each reader once, in the order of the rule.
fn names(file: &Inspected) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut add = |name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    match sops_keys(file) {
        Some(keys) => keys.for_each(|named| add(named.reader.as_str())),
        None => file.job.expected.iter().for_each(|who| add(who.reader.as_str())),
    }
    names.into_iter().map(|name| ui::clean(name).replace('\n', " ")).collect()
}

/// All keys of the rule of a sops file, or of one that is to become a sops file.
fn sops_keys(file: &Inspected) -> Option<impl Iterator<Item = &NamedKey>> {
    let is_sops = file.store.is_some()
        || matches!(file.state, State::Absent) && matches!(file.job.new_kind(), Kind::NewSops(_));
    let readers = file.job.sops.as_ref().filter(|_| is_sops)?;
    Some(readers.groups.iter().flatten())
}

/// Characters in a line of readers.
const MOST: usize = 60;
