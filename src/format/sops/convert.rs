//! What becomes of a tree that goes from one kind of document into another (`--output-type`), and
//! of a value where there is only text. Knows no text of documents and no key.
//!
//! Follows the `EmitPlainFile` functions and `ValToString` of sops (`stores/`).

use super::number;
use super::store::{Step, Store, StoreError};
use super::tree::{Document, Leaf, Map, MapItem, Node, Tree, Value};
use crate::plaintext::Plaintext;

/// A tree as sops would hand it to another kind of document: numbers in the digits of that kind,
/// values as texts where it has nothing else. Comments stay, the writers without comments pass
/// over them.
///
/// # Errors
/// What the other kind cannot say: maps in dotenv, anything but maps of values in INI. Two things
/// that sops loses without a word are refused too: all documents but the first, and lists and maps
/// in a section of INI.
pub fn to_store(mut tree: Tree, from: Store, to: Store) -> Result<Tree, StoreError> {
    if from == to || from == Store::Json && to == Store::Binary {
        return Ok(tree);
    }
    if tree.documents.len() > 1 && to != Store::Yaml {
        return Err(StoreError::new("only YAML has room for several documents"));
    }
    number::as_sops(&mut tree, to);
    for Document { root, .. } in &mut tree.documents {
        match to {
            Store::Yaml | Store::Json | Store::Binary => {}
            Store::Dotenv => all_text(root, &[], "dotenv has no room for maps and lists")?,
            Store::Ini => sections_of_text(root)?,
        }
    }
    Ok(tree)
}

/// A value as text. Null is `<nil>`, as Go prints it.
#[expect(clippy::disallowed_methods, reason = "from a value into a text that is wiped as well")]
pub(super) fn to_text(value: &Value) -> Plaintext {
    let shown = match value {
        Value::Null => b"<nil>",
        Value::Bool(true) => &b"true"[..],
        Value::Bool(false) => b"false",
        Value::Float(digits) => {
            let normal = std::str::from_utf8(digits.expose()).ok().and_then(number::text);
            return normal.unwrap_or_else(|| Plaintext::copy_of(digits.expose()));
        }
        Value::Time(time) => return to_the_second(time.expose()),
        Value::Int(bytes) | Value::Str(bytes) => bytes.expose(),
    };
    Plaintext::copy_of(shown)
}

/// The values of a map, each as one text; null is an empty one.
pub(super) fn texts(map: Map) -> Result<Vec<(String, Plaintext)>, StoreError> {
    let mut texts = Vec::new();
    for item in map.items {
        let MapItem::Entry(entry) = item else { continue };
        let Node::Leaf(leaf) = entry.value else {
            return Err(refusal(&[&entry.key], "is a map or a list, not one value"));
        };
        let text = match leaf.value {
            Value::Null => Plaintext::default(),
            Value::Str(text) => text,
            other @ (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_)) => {
                to_text(&other)
            }
        };
        texts.push((entry.key, text));
    }
    Ok(texts)
}

/// Without the fraction of the second.
fn to_the_second(time: &[u8]) -> Plaintext {
    let point = time.iter().position(|byte| *byte == b'.').unwrap_or(time.len());
    let (head, tail) = time.split_at_checked(point).unwrap_or((time, b""));
    let zone = tail.iter().skip(1).position(|byte| !byte.is_ascii_digit());
    let mut out = Plaintext::copy_of(head);
    out.extend(zone.and_then(|at| tail.get(at.saturating_add(1)..)).unwrap_or_default());
    out
}

fn sections_of_text(root: &mut Map) -> Result<(), StoreError> {
    for item in &mut root.items {
        let MapItem::Entry(section) = item else { continue };
        let Node::Map(keys) = &mut section.value else {
            return Err(refusal(&[&section.key], "INI has no value outside of a section"));
        };
        all_text(keys, &[&section.key], "a section of INI has no room for maps and lists")?;
    }
    Ok(())
}

fn all_text(map: &mut Map, way: &[&str], what: &'static str) -> Result<(), StoreError> {
    for item in &mut map.items {
        let MapItem::Entry(entry) = item else { continue };
        let Node::Leaf(leaf) = &mut entry.value else {
            return Err(refusal(&[way, &[&entry.key]].concat(), what));
        };
        if !matches!(leaf.value, Value::Str(_)) {
            *leaf = Leaf::new(Value::Str(to_text(&leaf.value)));
        }
    }
    Ok(())
}

pub(super) fn refusal(way: &[&str], what: &'static str) -> StoreError {
    let way = way.iter().map(|key| Step::Key((*key).to_owned())).collect();
    StoreError { way, what, canonical_can: false }
}
