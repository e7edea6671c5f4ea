//! Finds values that are plain where they should be encrypted, without any key: what a rule says,
//! and what another file with the same values has. Changes and decrypts nothing.

use std::collections::HashMap;

use super::select::{Scope, Selector};
use super::store::Step;
use super::tree::{Leaf, List, ListItem, Map, MapItem, Node, Tree, Value};
use super::value::looks_encrypted;

/// A document, from 0, and the way to a value in it.
pub type Found = (usize, Vec<Step>);

/// The first value that a selector says is encrypted and is not.
pub(super) fn by_rule(tree: &Tree, selector: &Selector) -> Option<Found> {
    for (document, found) in tree.documents.iter().enumerate() {
        let mut way = Vec::new();
        if map(&found.root, Scope::default(), selector, &mut way) {
            return Some((document, way));
        }
    }
    None
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

fn node(node: &Node, scope: Scope, selector: &Selector, way: &mut Vec<Step>) -> bool {
    match node {
        Node::Map(found) => map(found, scope, selector, way),
        Node::List(found) => list(found, scope, selector, way),
        Node::Leaf(leaf) => selector.encrypts(scope) && is_plain(leaf),
    }
}

#[expect(clippy::disallowed_methods, reason = "rules look at comments")]
fn map(map: &Map, scope: Scope, selector: &Selector, way: &mut Vec<Step>) -> bool {
    let mut run = scope;
    for item in &map.items {
        match item {
            MapItem::Comment(comment) => run = selector.after(run, comment.text.expose()),
            MapItem::Entry(entry) => {
                way.push(Step::Key(entry.key.clone()));
                if node(&entry.value, selector.below(run, &entry.key), selector, way) {
                    return true;
                }
                way.pop();
                run = scope;
            }
        }
    }
    false
}

#[expect(clippy::disallowed_methods, reason = "rules look at comments")]
fn list(list: &List, scope: Scope, selector: &Selector, way: &mut Vec<Step>) -> bool {
    let mut run = scope;
    let mut index = 0_usize;
    for item in &list.items {
        match item {
            ListItem::Comment(comment) => run = selector.after(run, comment.text.expose()),
            ListItem::Value(value) => {
                way.push(Step::Index(index));
                if node(value, run, selector, way) {
                    return true;
                }
                way.pop();
                index = index.saturating_add(1);
                run = scope;
            }
        }
    }
    false
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

fn has(node: &Node, what: fn(&Leaf) -> bool) -> bool {
    match node {
        Node::Map(map) => map.entries().any(|entry| has(&entry.value, what)),
        Node::List(list) => list.values().any(|item| has(item, what)),
        Node::Leaf(leaf) => what(leaf),
    }
}

/// Empty texts and nulls are never encrypted.
#[expect(clippy::disallowed_methods, reason = "whether it looks encrypted, and nothing else")]
fn is_plain(leaf: &Leaf) -> bool {
    match &leaf.value {
        Value::Null => false,
        Value::Str(text) => !text.is_empty() && !looks_encrypted(text.expose()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => true,
    }
}

#[expect(clippy::disallowed_methods, reason = "whether it looks encrypted, and nothing else")]
fn is_sealed(leaf: &Leaf) -> bool {
    matches!(&leaf.value, Value::Str(text) if looks_encrypted(text.expose()))
}
