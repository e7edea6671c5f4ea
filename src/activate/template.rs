//! Templates: a text with placeholders, which secrets are put in the place of. One pass from left to
//! right: what was put in is not looked at again. A placeholder that stands for nothing, or for a secret
//! that could not be had, is an error of its template, with the place.

mod filter;

use std::collections::BTreeMap;
use std::fmt;

use super::Name;
use super::manifest::{Manifest, Placeholder};
use crate::plaintext::Plaintext;
use filter::Filter;

/// A template in parts.
#[derive(Debug)]
pub struct Parsed {
    parts: Vec<Part>,
}

/// A part of a template.
#[derive(Debug)]
enum Part {
    /// Text that stays.
    Text(Vec<u8>),
    /// A secret.
    Secret { store: String, name: Name, filters: Vec<Filter>, place: Spot },
}

/// A secret that a template has in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its store.
    pub store: String,
    /// Its name.
    pub name: Name,
}

/// A place in a template, from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Parsed {
    /// Finds the placeholders of a text.
    ///
    /// # Errors
    /// [`TemplateError`] for the first that stands for nothing.
    pub fn parse(text: &[u8], manifest: &Manifest) -> Result<Self, TemplateError> {
        let foreign = Foreign::of(&manifest.placeholders, &manifest.absent);
        let mut parts = Vec::new();
        let (mut at, mut begin) = (0_usize, 0_usize);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let found = if rest.starts_with(OWN) {
                Some(own(text, at, manifest)?)
            } else {
                foreign.find(text, at)?
            };
            let Some((length, part)) = found else {
                at = at.saturating_add(1);
                continue;
            };
            parts.push(Part::Text(text.get(begin..at).unwrap_or_default().to_vec()));
            parts.push(part);
            at = at.saturating_add(length);
            begin = at;
        }
        parts.push(Part::Text(text.get(begin..).unwrap_or_default().to_vec()));
        Ok(Self { parts })
    }

    /// The secrets in it.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Secret { store, name, .. } => {
                Some(Wanted { store: store.clone(), name: name.clone() })
            }
        })
    }

    /// The text with the secrets in it.
    ///
    /// # Errors
    /// [`TemplateError`] for the first that `value` does not have or a filter cannot take.
    pub fn render<'v>(
        &self,
        value: impl Fn(&str, &Name) -> Option<&'v Plaintext>,
    ) -> Result<Plaintext, TemplateError> {
        let mut all = Plaintext::with_capacity(1024);
        for part in &self.parts {
            match part {
                Part::Text(text) => all.extend(text),
                Part::Secret { store, name, filters, place } => {
                    let error = |what| TemplateError { place: *place, what };
                    let value = value(store, name)
                        .ok_or_else(|| error(What::Unreadable { name: name.clone() }))?;
                    let name = || name.clone();
                    put(value, filters, &mut all)
                        .map_err(|filter| error(What::NotText { name: name(), filter }))?;
                }
            }
        }
        Ok(all)
    }
}

/// A secret through its filters to the end of a text.
#[expect(clippy::disallowed_methods, reason = "a secret is put into the template that asks for it")]
fn put(value: &Plaintext, filters: &[Filter], all: &mut Plaintext) -> Result<(), &'static str> {
    let mut filters = filters.iter();
    let Some(first) = filters.next() else {
        all.extend(value.expose());
        return Ok(());
    };
    let mut passed = first.apply(value)?;
    for filter in filters {
        passed = filter.apply(&passed)?;
    }
    all.extend(passed.expose());
    Ok(())
}

/// `<secretctl:NAME|filter>` at this place.
fn own(text: &[u8], at: usize, manifest: &Manifest) -> Result<(usize, Part), TemplateError> {
    let place = spot(text, at);
    let error = |what| TemplateError { place, what };
    let inside = text.get(at.saturating_add(OWN.len())..).unwrap_or_default();
    let end = inside.iter().position(|byte| matches!(byte, b'>' | b'\n'));
    let end = end.filter(|end| inside.get(*end) == Some(&b'>')).ok_or(error(What::Open))?;
    let inside = inside.get(..end).and_then(|inside| std::str::from_utf8(inside).ok());
    let mut words = inside.ok_or(error(What::Open))?.split('|');
    let given = words.next().unwrap_or_default();
    let secret = manifest
        .by_name(given)
        .map_err(|why| error(What::Unknown { text: given.to_owned(), why }))?;
    let mut filters = Vec::new();
    for word in words {
        let filter = Filter::of(word);
        filters.push(filter.ok_or_else(|| error(What::Filter { word: word.to_owned() }))?);
    }
    let (store, name) = (secret.store.clone(), secret.name.clone());
    let length = OWN.len().saturating_add(end).saturating_add(1);
    Ok((length, Part::Secret { store, name, filters, place }))
}

/// Placeholders that other tools made up, by their first byte, so that most of a text is passed over
/// quickly.
struct Foreign<'m> {
    by_first: BTreeMap<u8, Vec<(&'m str, Stands<'m>)>>,
}

#[derive(Clone, Copy)]
enum Stands<'m> {
    For(&'m Placeholder),
    /// For a secret of another manifest.
    Absent(&'m str),
}

impl<'m> Foreign<'m> {
    fn of(known: &'m BTreeMap<String, Placeholder>, absent: &'m BTreeMap<String, String>) -> Self {
        let mut by_first: BTreeMap<u8, Vec<(&str, Stands<'_>)>> = BTreeMap::new();
        let known = known.iter().map(|(text, one)| (text.as_str(), Stands::For(one)));
        let absent = absent.iter().map(|(text, name)| (text.as_str(), Stands::Absent(name)));
        for (text, stands) in known.chain(absent) {
            if let Some(first) = text.bytes().next() {
                by_first.entry(first).or_default().push((text, stands));
            }
        }
        // Where one begins with another, the longer is meant.
        for list in by_first.values_mut() {
            list.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
        Self { by_first }
    }

    fn find(&self, text: &[u8], at: usize) -> Result<Option<(usize, Part)>, TemplateError> {
        let rest = text.get(at..).unwrap_or_default();
        let list = rest.first().and_then(|first| self.by_first.get(first));
        let list = list.map(Vec::as_slice).unwrap_or_default();
        let Some((found, stands)) = list.iter().find(|(one, _)| rest.starts_with(one.as_bytes()))
        else {
            return if looks_like_sops(rest) {
                let word = String::from_utf8_lossy(rest.get(..SOPS_LENGTH).unwrap_or_default());
                let what = What::Unknown { text: word.into(), why: "no secret has it" };
                Err(TemplateError { place: spot(text, at), what })
            } else {
                Ok(None)
            };
        };
        let place = spot(text, at);
        match stands {
            Stands::Absent(name) => {
                let why = "the secret is not one of this manifest";
                let what = What::Unknown { text: (*name).to_owned(), why };
                Err(TemplateError { place, what })
            }
            Stands::For(Placeholder { store, secret }) => {
                let (store, name) = (store.clone(), secret.clone());
                Ok(Some((found.len(), Part::Secret { store, name, filters: Vec::new(), place })))
            }
        }
    }
}

/// `<SOPS:64 hexadecimal digits:PLACEHOLDER>`, which sops-nix would leave as it is.
fn looks_like_sops(rest: &[u8]) -> bool {
    let Some(digits) = rest.strip_prefix(b"<SOPS:") else { return false };
    let hex = |byte: &u8| byte.is_ascii_hexdigit();
    digits.get(..64).is_some_and(|digits| digits.iter().all(hex))
        && digits.get(64..).is_some_and(|end| end.starts_with(b":PLACEHOLDER>"))
}

fn spot(text: &[u8], at: usize) -> Spot {
    let before = text.get(..at).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let line_text = String::from_utf8_lossy(before.get(start..).unwrap_or_default());
    Spot { line, column: line_text.chars().count().saturating_add(1) }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where in its text.
    pub place: Spot,
    /// What.
    pub what: What,
}

/// Kinds of [`TemplateError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A placeholder does not end on its line.
    Open,
    /// It stands for nothing.
    Unknown {
        /// What it names.
        text: String,
        /// A clause.
        why: &'static str,
    },
    /// There is no such filter.
    Filter {
        /// What it is called.
        word: String,
    },
    /// The secret that it stands for could not be had.
    Unreadable {
        /// Its name.
        name: Name,
    },
    /// A filter takes text alone.
    NotText {
        /// The secret.
        name: Name,
        /// The filter.
        filter: &'static str,
    },
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { line, column } = self.place;
        write!(f, "line {line}, column {column}: ")?;
        match &self.what {
            What::Open => f.write_str("a placeholder `<secretctl:…>` does not end on its line"),
            What::Unknown { text, why } => {
                write!(f, "the placeholder of `{}` stands for nothing: {why}", text.escape_debug())
            }
            What::Filter { word } => {
                write!(f, "there is no filter `{}`; there are {}", word.escape_debug(), filter::ALL)
            }
            What::Unreadable { name } => write!(f, "the secret `{name}` in it could not be had"),
            What::NotText { name, filter } => {
                write!(f, "the secret `{name}` is no text, which the filter `{filter}` takes alone")
            }
        }
    }
}

impl std::error::Error for TemplateError {}

/// How our own placeholders begin.
const OWN: &[u8] = b"<secretctl:";
/// Bytes of a placeholder of sops-nix.
const SOPS_LENGTH: usize = 83;

#[cfg(test)]
mod tests;
