//! Finds values that are plain where they should be encrypted, without any key: what a rule says,
//! and what another file with the same values has. Changes and decrypts nothing.

use std::collections::HashMap;

use super::select::Selector;
use super::store::Step;
use super::tree::{Map, Node, Tree, Value};
use super::value::looks_encrypted;
use super::walk::{Met, What, walk};

/// A document, from 0, and the way to a value in it.
pub type Found = (usize, Vec<Step>);

/// The first value that a selector says is encrypted and is not.
pub(super) fn by_rule(tree: &Tree, selector: &Selector) -> Option<Found> {
    let mut found = None;
    walk(tree, &[selector], &mut |document, way, met, what| {
        if let What::Leaf(value, _) = what
            && found.is_none()
            && met.iter().all(Met::encrypts)
            && is_plain(value)
        {
            found = Some((document, way.to_vec()));
        }
    });
    found
}

/// The first value that is encrypted in the one tree and plain at the same place in the other,
/// unless it is plain `elsewhere` too.
pub(super) fn than(after: &Tree, before: &Tree, elsewhere: Option<&Tree>) -> Option<Found> {
    for (document, (after, before)) in after.documents.iter().zip(&before.documents).enumerate() {
        let mut way = Vec::new();
        let elsewhere = elsewhere.and_then(|tree| tree.documents.get(document));
        if maps(&after.root, &before.root, elsewhere.map(|found| &found.root), &mut way) {
            return Some((document, way));
        }
    }
    None
}

fn maps(after: &Map, before: &Map, elsewhere: Option<&Map>, way: &mut Vec<Step>) -> bool {
    let [before, elsewhere] = [Some(before), elsewhere].map(index);
    for entry in after.entries() {
        let Some(old) = before.get(entry.key.as_str()) else { continue };
        way.push(Step::Key(entry.key.clone()));
        if nodes(&entry.value, old, elsewhere.get(entry.key.as_str()).copied(), way) {
            return true;
        }
        way.pop();
    }
    false
}

fn index(map: Option<&Map>) -> HashMap<&str, &Node> {
    let entries = map.into_iter().flat_map(Map::entries);
    entries.map(|entry| (entry.key.as_str(), &entry.value)).collect()
}

fn nodes(after: &Node, before: &Node, elsewhere: Option<&Node>, way: &mut Vec<Step>) -> bool {
    match (after, before) {
        (Node::Map(after), Node::Map(before)) => {
            let elsewhere = elsewhere.and_then(|node| match node {
                Node::Map(map) => Some(map),
                Node::List(_) | Node::Leaf(_) => None,
            });
            maps(after, before, elsewhere, way)
        }
        // What stands for what is not to be known: items share one place.
        (after, before) => {
            let opened = has(before, is_sealed) && has(after, is_plain) && !has(before, is_plain);
            opened && !elsewhere.is_some_and(|node| has(node, is_plain))
        }
    }
}

fn has(node: &Node, what: fn(&Value) -> bool) -> bool {
    match node {
        Node::Map(map) => map.entries().any(|entry| has(&entry.value, what)),
        Node::List(list) => list.values().any(|item| has(item, what)),
        Node::Leaf(leaf) => what(&leaf.value),
    }
}

/// Empty texts and nulls are never encrypted.
#[expect(clippy::disallowed_methods, reason = "whether it looks encrypted, and nothing else")]
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Str(text) => !text.is_empty() && !looks_encrypted(text.expose()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => true,
    }
}

#[expect(clippy::disallowed_methods, reason = "whether it looks encrypted, and nothing else")]
fn is_sealed(value: &Value) -> bool {
    matches!(value, Value::Str(text) if looks_encrypted(text.expose()))
}
