//! Binary documents: JSON with the whole file as one value, `data`. Knows no key.
//!
//! Follows `BinaryStore` of sops (`stores/json/store.go`).

use super::convert::to_text;
use super::json;
use super::store::{Layout, MetadataEdit, Step, StoreError};
use super::tree::{Document, Leaf, Map, Node, Tree, Value};
use crate::plaintext::Plaintext;

const DATA: &str = "data";

/// Any bytes as one value.
pub(super) fn read_plain(text: &Plaintext) -> Tree {
    let mut root = Map::default();
    root.push(DATA, Node::Leaf(Leaf::new(Value::Str(copy(text)))));
    let span = 0..text.len();
    Tree { documents: vec![Document { root, span, ..Document::default() }] }
}

/// Prints a document as sops does.
pub(super) fn print(
    tree: &Tree,
    metadata: Option<&Map>,
    indent: Option<usize>,
) -> Result<Plaintext, StoreError> {
    match metadata {
        Some(_) => json::print(tree, metadata, indent),
        None => Ok(copy(data(tree)?.1)),
    }
}

/// Puts changed values back.
pub(super) fn splice(
    text: &Plaintext,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    let was_json = data(tree)?.0.spot.is_some();
    match metadata {
        MetadataEdit::Put(_) | MetadataEdit::Keep if was_json => json::splice(text, tree, metadata),
        MetadataEdit::Put(map) => print(tree, Some(map), Layout::default().binary_indent),
        MetadataEdit::Keep | MetadataEdit::Remove => print(tree, None, None),
    }
}

/// Replaces the whole.
pub(super) fn set(way: &[Step], value: &Node) -> Result<Plaintext, StoreError> {
    let whole = match way {
        [] => true,
        [Step::Key(key)] => key == DATA,
        [Step::Index(_)] | [_, _, ..] => false,
    };
    match value {
        Node::Leaf(leaf) if whole => Ok(to_text(&leaf.value)),
        Node::Leaf(_) | Node::Map(_) | Node::List(_) => {
            let what = "a binary document is one text";
            Err(StoreError { way: way.to_vec(), what, canonical_can: false })
        }
    }
}

fn data(tree: &Tree) -> Result<(&Leaf, &Plaintext), StoreError> {
    let found = tree.documents.first().and_then(|document| document.root.find(DATA));
    match found {
        Some(Node::Leaf(leaf)) => match &leaf.value {
            Value::Str(text) => Ok((leaf, text)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {
                Err(StoreError::new("`data` is no text, so this is no binary document"))
            }
        },
        Some(Node::Map(_) | Node::List(_)) | None => {
            Err(StoreError::new("there is no text `data`, so this is no binary document"))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "from one text that is wiped into another")]
fn copy(text: &Plaintext) -> Plaintext {
    Plaintext::copy_of(text.expose())
}
