//! The rules of agenix, `secrets.nix`: an attribute set of `"<file>".publicKeys` and, at will,
//! `armor`, evaluated by Nix.
//!
//! All rules in one process; for one file only its own attribute, so that a broken neighbour
//! does not block. Where the evaluation of all fails, halves of them are tried, so that each
//! broken attribute is named and the others still work.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::place::Place;

use super::build::{Keys, key_reader};
use super::confined::Memory;
use super::error::{Problem, ProblemKind, RulesError};
use super::{Pattern, Rule, Rules, SopsRule, Source, Wanted, clean, nix};

/// The name of the file.
pub const FILE_NAME: &str = "secrets.nix";

/// With so many broken attributes the rest is not looked for.
const PROCESS_LIMIT: usize = 128;

/// `from` and `to` choose attributes by their order, `wanted` by name; a single one is evaluated
/// plainly, so that its error can be read.
const EXPRESSION: &str = r#"
{ file, from, to, wanted }:
let
  value = import (/. + file);
  names = builtins.attrNames value;
  number = builtins.fromJSON;
  last = if to == "" then builtins.length names else number to;
  range = builtins.genList (i: builtins.elemAt names (i + number from)) (last - number from);
  chosen =
    if wanted == "" then range else builtins.filter (name: value ? ${name}) (number wanted);
  keys = ks:
    if builtins.isList ks then {
      keys = map (k: if builtins.isString k then k else null) ks;
      kinds = map builtins.typeOf (builtins.filter (k: !(builtins.isString k)) ks);
    } else { noList = builtins.typeOf ks; };
  rule = r:
    if !(builtins.isAttrs r) then { noRule = builtins.typeOf r; }
    else if !(r ? publicKeys) then { noRule = "set"; }
    else { armor = r.armor or null; } // keys r.publicKeys;
  place = name:
    let at = builtins.unsafeGetAttrPos name value;
    in if at == null then { } else { inherit (at) file line column; };
  one = name:
    let
      plain = rule value.${name};
      tried = builtins.tryEval (builtins.deepSeq plain plain);
    in {
      inherit name;
      place = place name;
      value = if builtins.length chosen == 1 then plain
        else if tried.success then tried.value else { broken = true; };
    };
in
if !(builtins.isAttrs value) then { noSet = builtins.typeOf value; }
else { names = if chosen == [ ] then names else [ ]; rules = map one chosen; }
"#;

/// What Nix hands back. Plain structures: there may be tens of thousands of keys.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    rules: Vec<Attribute>,
    no_set: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Attribute {
    name: String,
    #[serde(default)]
    place: Position,
    value: Value,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Position {
    file: String,
    line: usize,
    column: usize,
}

/// Exactly one of `keys`, `noRule`, `noList` and `broken` is there.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    /// `null` for what is no string; `kinds` says what these are, in their order.
    keys: Option<Vec<Option<String>>>,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    armor: serde_json::Value,
    no_rule: Option<String>,
    no_list: Option<String>,
    #[serde(default)]
    broken: bool,
}

/// Reads the rules in `file`; names in it are relative to `base`. Both must be absolute.
///
/// Rules that cannot be used are left out and are problems. In the folder `cache` results are
/// remembered where it is certain what they were made from.
///
/// # Errors
/// [`RulesError`] where the file as a whole cannot be used.
pub fn load(
    file: &Path,
    base: &Path,
    wanted: Wanted<'_>,
    nix_options: &[String],
    cache: Option<&Path>,
) -> Result<(Rules, Vec<RulesError>), RulesError> {
    let file = clean(file);
    let mut reading = Reading::new(&file, base, nix_options, cache);
    match wanted {
        Wanted::All => reading.all()?,
        Wanted::File(path) => reading.one(path)?,
    }
    Ok(reading.end())
}

/// As [`load`], but nothing is evaluated: all rules as they are remembered, or `None`.
pub fn remembered(
    file: &Path,
    base: &Path,
    nix_options: &[String],
    cache: Option<&Path>,
) -> Option<(Rules, Vec<RulesError>)> {
    let file = clean(file);
    let mut reading = Reading::new(&file, base, nix_options, cache);
    let known = reading.recall()?;
    reading.take(known);
    Some(reading.end())
}

struct Reading<'a> {
    file: &'a Path,
    options: &'a [String],
    memory: Option<Memory>,
    rules: Rules,
    keys: Keys,
    /// Readers by the canonical text of their key.
    readers: HashMap<String, usize>,
    problems: Vec<Problem>,
    processes: usize,
}

impl<'a> Reading<'a> {
    fn new(file: &'a Path, base: &Path, options: &'a [String], cache: Option<&Path>) -> Self {
        Self {
            file,
            options,
            memory: Memory::of(file, EXPRESSION, options, cache),
            rules: Rules::new(Source::Agenix, file.to_owned(), clean(base)),
            keys: Keys::default(),
            readers: HashMap::new(),
            problems: Vec::new(),
            processes: 0,
        }
    }

    fn end(self) -> (Rules, Vec<RulesError>) {
        let Self { file, rules, problems, .. } = self;
        let file = file.to_owned();
        let problems = (!problems.is_empty()).then_some(RulesError::Problems { file, problems });
        (rules, Vec::from_iter(problems))
    }

    fn all(&mut self) -> Result<(), RulesError> {
        if let Some(attributes) = self.recall() {
            self.take(attributes);
            return Ok(());
        }
        let names: Vec<String>;
        let first = self.ask_and_remember().map_or_else(|| self.ask(0, None, None), Ok);
        let mut ranges = match first {
            Ok((_, attributes)) => {
                names = attributes.iter().map(|attribute| attribute.name.clone()).collect();
                self.take(attributes)
            }
            Err(error @ RulesError::Nix { .. }) => {
                // Is it the file as a whole, or one of its attributes?
                (names, _) = self.ask(0, Some(0), None).map_err(|whole| {
                    if matches!(whole, RulesError::Nix { .. }) { error } else { whole }
                })?;
                vec![(0, names.len())]
            }
            Err(error) => return Err(error),
        };
        while let Some((from, to)) = ranges.pop() {
            if self.processes >= PROCESS_LIMIT {
                let text = format!("{PROCESS_LIMIT} evaluations have met other broken attributes");
                for name in names.get(from..to).unwrap_or_default() {
                    let place = Place::attribute(self.file, &format!("\"{name}\""));
                    self.say(&place, ProblemKind::Evaluation { text: text.clone() });
                }
                continue;
            }
            match self.ask(from, Some(to), None) {
                Ok((_, attributes)) => {
                    let broken = self.take(attributes);
                    ranges.extend(broken.iter().map(|(at, _)| {
                        let begin = from.saturating_add(*at);
                        (begin, begin.saturating_add(1))
                    }));
                }
                Err(RulesError::Nix { text, .. }) if to.saturating_sub(from) <= 1 => {
                    let name = names.get(from).map(String::as_str).unwrap_or_default();
                    let place = Place::attribute(self.file, &format!("\"{name}\""));
                    self.say(&place, ProblemKind::Evaluation { text });
                }
                Err(RulesError::Nix { .. }) => {
                    let middle = from.midpoint(to);
                    ranges.extend([(middle, to), (from, middle)]);
                }
                Err(error) => return Err(error),
            }
        }
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(())
    }

    /// What is remembered of all rules.
    fn recall(&self) -> Option<Vec<Attribute>> {
        self.memory.as_ref()?.recall()
    }

    /// All rules, remembered if nothing is broken; `None` where the plain way has to be gone.
    fn ask_and_remember(&mut self) -> Option<(Vec<String>, Vec<Attribute>)> {
        let memory = self.memory.as_ref()?;
        let file = self.file.as_os_str();
        let arguments = [
            ("file", file),
            ("from", OsStr::new("0")),
            ("to", OsStr::new("")),
            ("wanted", OsStr::new("")),
        ];
        self.processes = self.processes.saturating_add(1);
        let (answer, reads): (Answer, _) = memory.evaluate(EXPRESSION, &arguments)?;
        if answer.no_set.is_some() {
            return None;
        }
        if let Some(reads) = reads
            && !answer.rules.iter().any(|attribute| attribute.value.broken)
        {
            memory.keep(&answer.rules, reads);
        }
        Some((answer.names, answer.rules))
    }

    fn one(&mut self, path: &Path) -> Result<(), RulesError> {
        let path = clean(path);
        let mut names = vec![path.clone()];
        if let Ok(relative) = path.strip_prefix(&self.rules.base) {
            names.extend([relative.to_owned(), Path::new(".").join(relative)]);
        }
        let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
        let wanted = serde_json::Value::from(names.clone()).to_string();
        let shown = path.strip_prefix(&self.rules.base).unwrap_or(&path).display().to_string();
        let place = Place::attribute(self.file, &format!("\"{shown}\""));
        if let Some(known) = self.recall() {
            let base = self.rules.base.clone();
            let (near, far): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|known| names.contains(&known.name.as_str()));
            let far = far.into_iter().filter(|known| clean(&base.join(&known.name)) == path);
            self.take(if near.is_empty() { far.collect() } else { near });
            return Ok(());
        }
        let (all, mut attributes) =
            self.ask(0, None, Some(&wanted)).map_err(|error| error.about(&place))?;
        if attributes.is_empty() {
            // Under a longer spelling, such as `../x.age` for what lies outside of the base?
            let base = &self.rules.base;
            let names = all.iter().filter(|name| clean(&base.join(name)) == path);
            let names: Vec<&str> = names.map(String::as_str).collect();
            if !names.is_empty() {
                let wanted = serde_json::Value::from(names).to_string();
                (_, attributes) =
                    self.ask(0, None, Some(&wanted)).map_err(|error| error.about(&place))?;
            }
        }
        if !self.take(attributes).is_empty() {
            let text = "it throws, and stands there under two names".to_owned();
            self.say(&place, ProblemKind::Evaluation { text });
        }
        Ok(())
    }

    /// One Nix process: the chosen attributes, or the names of all where none is chosen.
    fn ask(
        &mut self,
        from: usize,
        to: Option<usize>,
        wanted: Option<&str>,
    ) -> Result<(Vec<String>, Vec<Attribute>), RulesError> {
        self.processes = self.processes.saturating_add(1);
        let to = to.map(|to| to.to_string()).unwrap_or_default();
        let arguments = [
            ("file", self.file.as_os_str()),
            ("from", OsStr::new(&from.to_string())),
            ("to", OsStr::from_bytes(to.as_bytes())),
            ("wanted", OsStr::new(wanted.unwrap_or_default())),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let arguments: Vec<_> = arguments.iter().map(|(n, v)| (*n, v.as_os_str())).collect();
        let place = Place::file(self.file);
        let answer: Answer = nix::evaluate(EXPRESSION, &arguments, self.options, &place)?;
        match answer.no_set {
            None => Ok((answer.names, answer.rules)),
            Some(found) => Err(RulesError::NotAttributes { file: self.file.to_owned(), found }),
        }
    }

    /// Takes what Nix gave; hands back the positions of what is still to be looked at.
    fn take(&mut self, attributes: Vec<Attribute>) -> Vec<(usize, usize)> {
        let mut broken = Vec::new();
        for (index, Attribute { name, place, value }) in attributes.into_iter().enumerate() {
            let place = self.place(&name, &place);
            if value.broken {
                broken.push((index, index.saturating_add(1)));
            } else if let Some(found) = value.no_rule {
                // Whatever else people keep beside their rules is no problem.
                if has_age_name(&name) {
                    let why = match found.as_str() {
                        "set" => "it has no `publicKeys`".to_owned(),
                        found => format!("its value is a {found}, not a set with `publicKeys`"),
                    };
                    self.say(&place, ProblemKind::NotARule { why });
                }
            } else if let Some(found) = value.no_list {
                let what = format!("`publicKeys` (now a {found})");
                let expected = "a list of public keys";
                self.say(&place, ProblemKind::WrongType { what, expected });
            } else {
                self.rule(&name, place, value);
            }
        }
        broken
    }

    fn place(&self, name: &str, position: &Position) -> Place {
        let attribute = format!("\"{name}\"");
        if Path::new(&position.file) == self.file {
            Place {
                attribute: Some(attribute),
                ..Place::at(self.file, position.line, position.column)
            }
        } else {
            Place::attribute(self.file, &attribute)
        }
    }

    fn rule(&mut self, name: &str, place: Place, value: Value) {
        let Value { keys, kinds, armor, .. } = value;
        let keys = keys.unwrap_or_default();
        if keys.is_empty() {
            return self.say(&place, ProblemKind::NoReaders { path: name.to_owned() });
        }
        if !(armor.is_null() || armor.is_boolean()) {
            let what = "`armor`".to_owned();
            return self.say(&place, ProblemKind::WrongType { what, expected: "true or false" });
        }
        let before = self.problems.len();
        let mut readers = Vec::new();
        let mut kinds = kinds.into_iter();
        for (index, key) in keys.into_iter().enumerate() {
            let key = key.ok_or_else(|| kinds.next().unwrap_or_default());
            readers.extend(self.key(index, key, &place));
        }
        if self.problems.len() > before {
            return;
        }
        let rule = Rule {
            pattern: Pattern::File(self.path(name)),
            readers: super::build::unique(readers),
            armor: armor.as_bool(),
            anonymous: false,
            sops: SopsRule::default(),
            problems: Vec::new(),
            place,
        };
        self.push(name, rule);
    }

    /// A key (or several, a line each, as agenix takes them), or what Nix calls the type of what
    /// stands in its place.
    fn key(&mut self, index: usize, key: Result<String, String>, place: &Place) -> Vec<usize> {
        let owner = || format!("element {index} of `publicKeys`");
        let text = match key {
            Ok(text) => text,
            Err(found) => {
                let expected = match found.as_str() {
                    "list" => "a string: lists are joined with `++`, not put into each other",
                    "path" => "a string: read the file with `builtins.readFile`",
                    _ => "a string",
                };
                let what = format!("{} (now a {found})", owner());
                self.say(place, ProblemKind::WrongType { what, expected });
                return Vec::new();
            }
        };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let lines = if lines.is_empty() { vec![""] } else { lines };
        lines.into_iter().filter_map(|line| self.one_key(line, &owner(), place)).collect()
    }

    fn one_key(&mut self, text: &str, owner: &str, place: &Place) -> Option<usize> {
        match self.keys.parse(text) {
            Ok(recipient) => {
                if let Some(known) = self.readers.get(recipient.canonical()) {
                    return Some(*known);
                }
                let index = self.rules.readers.len();
                self.readers.insert(recipient.canonical().to_owned(), index);
                self.rules.readers.push(key_reader(recipient, place.clone()));
                Some(index)
            }
            Err(source) => {
                self.say(place, ProblemKind::Key { owner: owner.to_owned(), source });
                None
            }
        }
    }

    /// The file that an attribute names: relative to the base where it lies below.
    fn path(&self, name: &str) -> PathBuf {
        let path = clean(&self.rules.base.join(name));
        path.strip_prefix(&self.rules.base).map(Path::to_owned).unwrap_or(path)
    }

    /// Adds a rule, unless another attribute (`./x` beside `x`) says the same or otherwise.
    fn push(&mut self, name: &str, rule: Rule) {
        let file = self.rules.base.join(self.path(name));
        match self.rules.find(&file) {
            Some(other) if other.readers == rule.readers && other.armor == rule.armor => {}
            Some(other) => {
                let (path, other) = (name.to_owned(), other.place.clone());
                self.say(&rule.place, ProblemKind::Contradiction { path, other });
            }
            None => self.rules.push(rule),
        }
    }

    fn say(&mut self, place: &Place, kind: ProblemKind) {
        self.problems.push(Problem { place: place.clone(), kind });
    }
}

fn has_age_name(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "age")
}
