//! Prints INI as sops does through ini.v1: `=` in one column, an empty line between sections, each
//! comment above what it belongs to.
//!
//! Byte for byte, even where the text is read as something else (a value with both line breaks and
//! `"""`); but not with a key or section that would be lost.

use std::collections::HashMap;

use super::quote::{as_printed, key_name, trim};
use super::{METADATA, UNNAMED, bytes, metadata_keys};
use crate::format::sops::convert::{refusal, to_text};
use crate::format::sops::store::StoreError;
use crate::format::sops::tree::{Map, MapItem, Node, Tree};
use crate::plaintext::Plaintext;

/// Prints a document as sops does.
pub(in crate::format::sops) fn print(
    tree: &Tree,
    metadata: Option<&Map>,
) -> Result<Plaintext, StoreError> {
    let mut sections = Vec::new();
    for entry in tree.documents.iter().flat_map(|document| document.root.entries()) {
        if metadata.is_some() && entry.key == METADATA {
            return Err(refusal(&[METADATA], "this section is for the metadata"));
        }
        let Node::Map(map) = &entry.value else {
            return Err(refusal(&[&entry.key], "INI has no value outside of a section"));
        };
        sections.push(Section::of(&entry.key, map)?);
    }
    if let Some(metadata) = metadata {
        sections.push(Section::of_metadata(metadata)?);
    }
    let mut out = Plaintext::default();
    let last = sections.len().saturating_sub(1);
    for (number, section) in sections.iter().enumerate() {
        section.print(&mut out, number == 0, number == last)?;
    }
    Ok(out)
}

/// A section to be printed.
#[derive(Default)]
pub(super) struct Section {
    name: String,
    comment: Option<Plaintext>,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    value: Plaintext,
    comment: Option<Plaintext>,
}

impl Section {
    /// As sops makes it of a map: the first item may be the section's comment; of more than one
    /// behind a key the last stays.
    pub(super) fn of(name: &str, map: &Map) -> Result<Self, StoreError> {
        let mut section = Self { name: name.to_owned(), ..Self::default() };
        let mut known = HashMap::new();
        let mut last: Option<usize> = None;
        for (number, item) in map.items.iter().enumerate() {
            match item {
                MapItem::Comment(comment) => {
                    let text = Some(Plaintext::copy_of(bytes(&comment.text)));
                    if number == 0 {
                        section.comment = text;
                    } else if let Some(key) = last.and_then(|at| section.keys.get_mut(at)) {
                        key.comment = text;
                    }
                }
                MapItem::Entry(entry) => {
                    let Node::Leaf(leaf) = &entry.value else {
                        let what = "a section of INI has no room for maps and lists";
                        return Err(refusal(&[name, &entry.key], what));
                    };
                    let value = to_text(&leaf.value);
                    let at = *known.entry(entry.key.as_str()).or_insert(section.keys.len());
                    if let Some(key) = section.keys.get_mut(at) {
                        key.value = value;
                    } else {
                        let key = Key { name: entry.key.clone(), value, comment: None };
                        section.keys.push(key);
                    }
                    last = Some(at);
                }
            }
        }
        Ok(section)
    }

    pub(super) fn of_metadata(metadata: &Map) -> Result<Self, StoreError> {
        let key = |(name, value)| Key { name, value, comment: None };
        let keys = metadata_keys(metadata)?.into_iter().map(key).collect();
        Ok(Self { name: METADATA.to_owned(), comment: None, keys })
    }

    pub(super) fn print(
        &self,
        out: &mut Plaintext,
        first: bool,
        last: bool,
    ) -> Result<(), StoreError> {
        for line in self.comment.iter().flat_map(lines).filter(|_| self.has_comment()) {
            print_comment(out, line, false);
        }
        if !first || self.name.to_uppercase() != UNNAMED {
            check_name(&self.name)?;
            for part in [b"[", self.name.as_bytes(), b"]\n"] {
                out.extend(part);
            }
        } else if self.keys.is_empty() {
            return Ok(());
        } else if self.name != UNNAMED {
            return Err(refusal(&[&self.name], "the first section would lose its name"));
        }
        let names: Result<Vec<String>, _> =
            self.keys.iter().map(|key| printed_key(&self.name, &key.name)).collect();
        let names = names?;
        let width = names.iter().map(String::len).max().unwrap_or(0);
        for (key, name) in self.keys.iter().zip(&names) {
            for line in key.comment.iter().filter(|text| !text.is_empty()).flat_map(lines) {
                print_comment(out, line, true);
            }
            out.extend(name.as_bytes());
            out.extend(" ".repeat(width.saturating_sub(name.len())).as_bytes());
            out.extend(b" = ");
            out.extend(bytes(&as_printed(bytes(&key.value))));
            out.extend(b"\n");
        }
        if !last {
            out.extend(b"\n");
        }
        Ok(())
    }

    fn has_comment(&self) -> bool {
        self.comment.as_ref().is_some_and(|text| !text.is_empty())
    }
}

/// A key as it is printed, if reading gives the same.
///
/// # Errors
/// A key that INI cannot have.
pub(super) fn printed_key(section: &str, key: &str) -> Result<String, StoreError> {
    let printed = if key.contains(['"', '=', ':']) {
        format!("`{key}`")
    } else if key.contains('`') {
        format!("\"\"\"{key}\"\"\"")
    } else {
        key.to_owned()
    };
    let lost = key == "-" || printed.starts_with(['#', ';', '[']) || printed.contains('\n');
    let line = format!("{printed} = ");
    if !lost && key_name(line.as_bytes()).is_ok_and(|found| found.name == key) {
        return Ok(printed);
    }
    Err(refusal(&[section, key], "INI cannot have this key"))
}

/// # Errors
/// A name that INI cannot have.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.contains('\n') {
        return Err(refusal(&[name], "INI cannot have a section of this name"));
    }
    Ok(())
}

fn lines(text: &Plaintext) -> impl Iterator<Item = &[u8]> {
    bytes(text).split(|byte| *byte == b'\n')
}

fn print_comment(out: &mut Plaintext, line: &[u8], trimmed: bool) {
    if let [mark @ (b'#' | b';'), text @ ..] = line {
        out.extend(&[*mark, b' ']);
        out.extend(trim(text));
    } else {
        out.extend(b"; ");
        out.extend(if trimmed { trim(line) } else { line });
    }
    out.extend(b"\n");
}
