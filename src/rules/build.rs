//! From what a source says (names, key texts, paths) to [`Rules`]: names are looked up, groups
//! spread out, keys parsed once each, paths checked. Every problem is collected.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use globset::GlobBuilder;

use crate::go_regex::Expressions;
use crate::key::wrapping::WrappingKey;
use crate::key::{Recipient, RecipientError};
use crate::place::Place;

use super::error::{Problem, ProblemKind};
use super::{
    Group, Pattern, Reader, ReaderKind, Rule, Rules, Selector, SelectorKind, SopsRule, Source,
    clean, key_text,
};

/// Groups inside groups inside groups.
const GROUP_DEPTH_LIMIT: usize = 64;
/// Alternatives inside alternatives of a glob.
const BRACE_DEPTH_LIMIT: usize = 16;

/// A text and where it stands. Two are equal when the texts are.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) place: Place,
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A name with its keys or members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    pub(super) name: Said,
    pub(super) values: Vec<Said>,
}

/// A rule as it was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Secret {
    pub(super) path: Said,
    pub(super) readers: Vec<Said>,
    pub(super) selector: Option<(SelectorKind, Said)>,
    pub(super) mac_only_encrypted: bool,
    pub(super) anonymous: bool,
    pub(super) armor: Option<bool>,
}

impl Secret {
    /// A rule without anything.
    pub(super) fn at(place: Place) -> Self {
        Self {
            path: Said { text: String::new(), place },
            readers: Vec::new(),
            selector: None,
            mac_only_encrypted: false,
            anonymous: false,
            armor: None,
        }
    }
}

/// All that a source says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Document {
    pub(super) users: Vec<Named>,
    pub(super) hosts: Vec<Named>,
    pub(super) groups: Vec<Named>,
    pub(super) masters: Vec<Said>,
    pub(super) secrets: Vec<Secret>,
}

/// Parses each distinct key text once.
#[derive(Debug, Default)]
pub(super) struct Keys {
    parsed: HashMap<String, Result<Recipient, RecipientError>>,
}

impl Keys {
    pub(super) fn parse(&mut self, text: &str) -> Result<Recipient, RecipientError> {
        if let Some(known) = self.parsed.get(text) {
            return known.clone();
        }
        let parsed = Recipient::parse(text);
        self.parsed.insert(text.to_owned(), parsed.clone());
        parsed
    }
}

/// Resolves a document into rules.
///
/// # Errors
/// Every problem found, in the order of the file.
pub(super) fn resolve(
    document: &Document,
    source: Source,
    file: &Path,
    base: &Path,
) -> Result<Rules, Vec<Problem>> {
    let mut build = Build {
        rules: Rules::new(source, file.to_owned(), base.to_owned()),
        keys: Keys::default(),
        names: HashMap::new(),
        bare: HashMap::new(),
        spread: HashMap::new(),
        expressions: Expressions::default(),
        problems: Vec::new(),
    };
    build.readers(&document.users, ReaderKind::User);
    build.readers(&document.hosts, ReaderKind::Host);
    for (index, group) in document.groups.iter().enumerate() {
        build.declare(&group.name, Name::Group(index));
    }
    for (index, group) in document.groups.iter().enumerate() {
        let members = build.group(document, index, &group.name, &mut Vec::new());
        let Said { text, place } = &group.name;
        build.rules.groups.push(Group { name: text.clone(), members, place: place.clone() });
    }
    build.rules.masters = build.expand(document, &document.masters, &mut Vec::new());
    for secret in &document.secrets {
        build.secret(document, secret);
    }
    if build.problems.is_empty() {
        Ok(build.rules)
    } else {
        build.problems.sort_by(|a, b| a.place.cmp(&b.place));
        Err(build.problems)
    }
}

/// The known name that a mistyped one probably stands for.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let length = name.chars().count();
    let most = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

#[derive(Debug, Clone, Copy)]
enum Name {
    Reader(usize),
    Group(usize),
}

struct Build {
    rules: Rules,
    keys: Keys,
    names: HashMap<String, (Name, Place)>,
    /// Readers that are known by their key alone, by its canonical text.
    bare: HashMap<String, usize>,
    /// The readers of the groups that were worked out already.
    spread: HashMap<usize, Vec<usize>>,
    expressions: Expressions,
    problems: Vec<Problem>,
}

impl Build {
    fn readers(&mut self, named: &[Named], kind: ReaderKind) {
        for Named { name, values } in named {
            let mut recipients = Vec::new();
            let mut sops_only = Vec::new();
            for key in values {
                let owner = || format!("the key of `{}`", name.text);
                match key_text::of_any_kind(&key.text) {
                    Some(Ok(other)) if sops_only.contains(&other) => continue,
                    Some(Ok(other)) => {
                        sops_only.push(other);
                        continue;
                    }
                    Some(Err(why)) => {
                        self.say(&key.place, ProblemKind::OtherKey { owner: owner(), why });
                        continue;
                    }
                    None => {}
                }
                match self.keys.parse(&key.text) {
                    Ok(recipient) if recipients.contains(&recipient) => {}
                    Ok(recipient) => recipients.push(recipient),
                    Err(source) => {
                        self.say(&key.place, ProblemKind::Key { owner: owner(), source });
                    }
                }
            }
            if values.is_empty() {
                let what = format!("the value of `{}`", name.text);
                let expected = "a public key or a list of them";
                self.say(&name.place, ProblemKind::WrongType { what, expected });
            }
            let index = self.rules.readers.len();
            let Said { text, place } = name.clone();
            self.rules.readers.push(Reader { name: text, kind, recipients, sops_only, place });
            self.declare(name, Name::Reader(index));
        }
    }

    fn declare(&mut self, name: &Said, what: Name) {
        let why = match name.text.chars().next() {
            None => Some("it is empty"),
            Some('@') => Some("`@` stands before a name where it is used, not where it is given"),
            Some(_) if name.text.chars().any(char::is_control) => {
                Some("it holds a control character")
            }
            Some(_) if name.text.trim() != name.text => Some("a blank stands at its edge"),
            Some(_) if looks_like_key(&name.text) => Some("it looks like a public key"),
            Some(_) => None,
        };
        if let Some(why) = why {
            self.say(&name.place, ProblemKind::BadName { name: name.text.clone(), why });
        } else if let Some((_, first)) = self.names.get(&name.text) {
            let (name_text, first) = (name.text.clone(), first.clone());
            self.say(&name.place, ProblemKind::TakenName { name: name_text, first });
        } else {
            self.names.insert(name.text.clone(), (what, name.place.clone()));
        }
    }

    /// The readers that names stand for, groups spread out.
    fn expand(
        &mut self,
        document: &Document,
        names: &[Said],
        chain: &mut Vec<usize>,
    ) -> Vec<usize> {
        let mut members = Vec::new();
        for said in names {
            let name = said.text.strip_prefix('@').unwrap_or(&said.text);
            match self.names.get(name) {
                Some((Name::Reader(index), _)) => members.push(*index),
                Some((Name::Group(index), _)) => {
                    let index = *index;
                    members.extend(self.group(document, index, said, chain));
                }
                None if looks_like_key(&said.text) => members.extend(self.bare_key(said)),
                None => {
                    let meant = nearest(name, self.names.keys().map(String::as_str));
                    let name = name.to_owned();
                    self.say(&said.place, ProblemKind::UnknownReader { name, meant });
                }
            }
        }
        unique(members)
    }

    /// The readers of a group, worked out once; `chain` holds the groups that led here.
    fn group(
        &mut self,
        document: &Document,
        index: usize,
        said: &Said,
        chain: &mut Vec<usize>,
    ) -> Vec<usize> {
        if let Some(done) = self.spread.get(&index) {
            return done.clone();
        }
        if let Some(begin) = chain.iter().position(|above| *above == index) {
            let round = chain.get(begin..).unwrap_or_default().iter().chain([&index]);
            let names = round.filter_map(|i| document.groups.get(*i)).map(|g| g.name.text.clone());
            let chain = names.collect();
            self.say(&said.place, ProblemKind::Cycle { chain });
            return Vec::new();
        }
        let Some(group) = document.groups.get(index) else { return Vec::new() };
        if chain.len() >= GROUP_DEPTH_LIMIT {
            self.say(&said.place, ProblemKind::TooDeep { limit: GROUP_DEPTH_LIMIT });
            return Vec::new();
        }
        chain.push(index);
        let members = self.expand(document, &group.values, chain);
        chain.pop();
        self.spread.insert(index, members.clone());
        members
    }

    fn bare_key(&mut self, said: &Said) -> Option<usize> {
        let owner = "the key given as reader".to_owned();
        match key_text::of_any_kind(&said.text) {
            Some(Ok(key)) => return Some(self.bare_other(key, &said.place)),
            Some(Err(why)) => {
                self.say(&said.place, ProblemKind::OtherKey { owner, why });
                return None;
            }
            None => {}
        }
        match self.keys.parse(&said.text) {
            Ok(recipient) => Some(self.bare_reader(recipient, &said.place)),
            Err(source) => {
                self.say(&said.place, ProblemKind::Key { owner, source });
                None
            }
        }
    }

    fn bare_reader(&mut self, recipient: Recipient, place: &Place) -> usize {
        let next = self.rules.readers.len();
        let index = *self.bare.entry(recipient.canonical().to_owned()).or_insert(next);
        if index == next {
            self.rules.readers.push(key_reader(recipient, place.clone()));
        }
        index
    }

    /// As [`Build::bare_reader`], of a key that serves for sops files alone.
    fn bare_other(&mut self, key: WrappingKey, place: &Place) -> usize {
        let next = self.rules.readers.len();
        let index = *self.bare.entry(format!("{key:?}")).or_insert(next);
        if index == next {
            let (name, kind) = (key.name(), ReaderKind::Key);
            let (recipients, sops_only) = (Vec::new(), vec![key]);
            let place = place.clone();
            self.rules.readers.push(Reader { name, kind, recipients, sops_only, place });
        }
        index
    }

    fn secret(&mut self, document: &Document, secret: &Secret) {
        let mut readers = self.expand(document, &secret.readers, &mut Vec::new());
        readers.extend(&self.rules.masters);
        let readers = unique(readers);
        let place = &secret.path.place;
        let path = secret.path.text.clone();
        if secret.readers.is_empty() && readers.is_empty() {
            self.say(place, ProblemKind::NoReaders { path: path.clone() });
        }
        let selector = secret.selector.as_ref().map(|(kind, said)| {
            if let (true, Err(why)) = (kind.is_regex(), self.expressions.compile(&said.text)) {
                let text = said.text.clone();
                self.say(&said.place, ProblemKind::BadRegex { text, why });
            }
            Selector { kind: *kind, text: said.text.clone() }
        });
        match pattern(&path, self.rules.source == Source::Native) {
            Ok(pattern) => self.rules.push(Rule {
                pattern,
                readers,
                armor: secret.armor,
                anonymous: secret.anonymous,
                sops: SopsRule {
                    selector,
                    mac_only_encrypted: secret.mac_only_encrypted,
                    ..SopsRule::default()
                },
                problems: Vec::new(),
                place: place.clone(),
            }),
            Err(kind) => self.say(place, kind),
        }
    }

    fn say(&mut self, place: &Place, kind: ProblemKind) {
        self.problems.push(Problem { place: place.clone(), kind });
    }
}

/// A reader that is known by its key alone.
pub(super) fn key_reader(recipient: Recipient, place: Place) -> Reader {
    let name = recipient.comment().map_or_else(|| recipient.short(), ToOwned::to_owned);
    let recipients = vec![recipient];
    Reader { name, kind: ReaderKind::Key, recipients, sops_only: Vec::new(), place }
}

/// Whether a text in a list of readers is meant as a key.
fn looks_like_key(text: &str) -> bool {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let is_long_age = first.starts_with("age1") && first.len() > 50;
    let is_ssh = ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| first.starts_with(kind));
    is_long_age
        || text.contains("PRIVATE KEY")
        || (is_ssh && first.len() < text.trim().len())
        || first.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-")
        || key_text::of_any_kind(text).is_some()
}

/// The pattern of a path relative to the base, which may be a glob or names one file.
fn pattern(path: &str, may_be_glob: bool) -> Result<Pattern, ProblemKind> {
    let bad = |why: &str| ProblemKind::BadPath { path: path.to_owned(), why: why.to_owned() };
    if path.starts_with('/') || Path::new(path).components().any(|c| c == Component::ParentDir) {
        return Err(ProblemKind::Escapes { path: path.to_owned() });
    }
    if path.ends_with('/') {
        return Err(bad("it names a folder; add `**` for all that is in it"));
    }
    if path.contains('\0') {
        return Err(bad("it holds a NUL character"));
    }
    let cleaned = clean(Path::new(path));
    let cleaned = cleaned.to_str().unwrap_or_default();
    if cleaned.is_empty() {
        return Err(bad("it is empty"));
    }
    if !may_be_glob || !cleaned.contains(['*', '?', '[', '{', '\\']) {
        return Ok(Pattern::File(cleaned.into()));
    }
    if brace_depth(cleaned) > BRACE_DEPTH_LIMIT {
        return Err(bad("its braces are nested too deeply"));
    }
    let glob = GlobBuilder::new(cleaned).literal_separator(true).backslash_escape(true).build();
    match glob {
        Ok(glob) => Ok(Pattern::Glob(glob.compile_matcher())),
        Err(error) => Err(bad(&error.kind().to_string())),
    }
}

/// How deep braces are nested at most; they are compiled by recursion.
fn brace_depth(glob: &str) -> usize {
    let mut depth = 0_usize;
    let mut most = 0;
    for c in glob.chars() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Without duplicates, the first of each kept.
pub(super) fn unique(mut indices: Vec<usize>) -> Vec<usize> {
    let mut seen = HashSet::new();
    indices.retain(|index| seen.insert(*index));
    indices
}

/// How many characters to insert, delete, replace or swap.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, x) in a.chars().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, y) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let next = column.saturating_add(1);
            let mut best = at(&last, column).saturating_add(usize::from(x != *y));
            best = best.min(at(&last, next).saturating_add(1));
            best = best.min(at(&current, column).saturating_add(1));
            let swapped = column
                .checked_sub(1)
                .filter(|left| b.get(*left) == Some(&x) && previous == Some(*y));
            if let Some(left) = swapped {
                best = best.min(at(&before, left).saturating_add(1));
            }
            current.push(best);
        }
        before = std::mem::replace(&mut last, current);
        previous = Some(x);
    }
    last.last().copied().unwrap_or_default()
}
