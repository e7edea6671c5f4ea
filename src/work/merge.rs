//! The three-way merge of documents, value by value: what has to be taken over from the other side
//! or removed for both sides' changes to be in ours, and where they contradict each other. Changes
//! nothing itself and copies no value.
//!
//! Maps are merged key by key, lists as a whole. Comments are not merged: where the other side
//! changed some, that is told.

use std::collections::HashMap;

use crate::format::sops::store::Step;
use crate::format::sops::tree::{Comment, ListItem, Map, MapItem, Node, Tree, Value};
use crate::plaintext::Plaintext;
use crate::work::way;

/// A place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Which document, from 0.
    pub document: usize,
    /// The way in it; empty for all of it.
    pub way: Vec<Step>,
}

/// What a merge comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// What to do with ours, in order. Complete only where there is no conflict.
    pub changes: Vec<Change>,
    /// Values that both sides changed, each in its own way.
    pub conflicts: Vec<Spot>,
    /// Maps and lists of which the other side changed comments, which stay as ours has them.
    pub comments: Vec<Spot>,
}

/// One change of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The value becomes that of the other side.
    Take(Spot),
    /// The value goes.
    Remove(Spot),
}

/// Compares ours and theirs with what both were made from.
pub fn merge(base: &Tree, ours: &Tree, theirs: &Tree) -> Merge {
    let mut merge = Merge::default();
    let [count, mine, other] = [base, ours, theirs].map(|tree| tree.documents.len());
    if mine != other || (count != mine && count != 0) {
        // Which document became which is not to be known.
        if !same_tree(ours, theirs) && !same_tree(base, theirs) {
            merge.conflicts.push(Spot { document: 0, way: Vec::new() });
        }
        return merge;
    }
    let empty = Map::default();
    for (document, (ours, theirs)) in ours.documents.iter().zip(&theirs.documents).enumerate() {
        let base = base.documents.get(document).map_or(&empty, |document| &document.root);
        let mut walk = Walk { document, way: Vec::new(), merge: &mut merge };
        walk.maps(base, &ours.root, &theirs.root);
    }
    merge
}

/// Whether two trees are the same, comments and the order of keys apart.
pub fn same_tree(a: &Tree, b: &Tree) -> bool {
    a.documents.len() == b.documents.len()
        && a.documents.iter().zip(&b.documents).all(|(a, b)| same_map(&a.root, &b.root))
}

/// What ours comes to with the changes; `None` where they do not belong to these trees.
pub fn applied(ours: &Tree, theirs: &Tree, changes: &[Change]) -> Option<Tree> {
    let mut tree = ours.copy();
    for change in changes {
        let (spot, node) = match change {
            Change::Take(spot) => {
                let root = &theirs.documents.get(spot.document)?.root;
                (spot, Some(way::find(root, &spot.way)?.copy()))
            }
            Change::Remove(spot) => (spot, None),
        };
        put(&mut tree.documents.get_mut(spot.document)?.root, &spot.way, node)?;
    }
    Some(tree)
}

/// Sets or removes one value.
fn put(map: &mut Map, way: &[Step], node: Option<Node>) -> Option<()> {
    let (Step::Key(key), rest) = way.split_first()? else { return None };
    let is_it = |item: &MapItem| matches!(item, MapItem::Entry(entry) if entry.key == *key);
    let at = map.items.iter().position(is_it);
    if !rest.is_empty() {
        let MapItem::Entry(entry) = map.items.get_mut(at?)? else { return None };
        let Node::Map(inner) = &mut entry.value else { return None };
        return put(inner, rest, node);
    }
    match (at, node) {
        (None, Some(node)) => map.push(key, node),
        (Some(at), None) => drop(map.items.remove(at)),
        (Some(at), Some(node)) => {
            let MapItem::Entry(entry) = map.items.get_mut(at)? else { return None };
            entry.value = node;
        }
        (None, None) => return None,
    }
    Some(())
}

struct Walk<'a> {
    document: usize,
    way: Vec<Step>,
    merge: &'a mut Merge,
}

impl Walk<'_> {
    fn maps(&mut self, base: &Map, ours: &Map, theirs: &Map) {
        if [base, ours, theirs].into_iter().any(has_twice) {
            let spot = self.spot();
            if same_map(ours, theirs) || same_map(base, theirs) {
                return;
            }
            // All of a document cannot be set.
            if same_map(base, ours) && !spot.way.is_empty() {
                self.merge.changes.push(Change::Take(spot));
            } else {
                self.merge.conflicts.push(spot);
            }
            return;
        }
        self.comments([base, ours, theirs].map(comments_of_map));
        let sides = [base, ours, theirs].map(index);
        let [_, mine, _] = &sides;
        let added = theirs.entries().filter(|entry| !mine.contains_key(entry.key.as_str()));
        for entry in ours.entries().chain(added) {
            let key = entry.key.as_str();
            self.way.push(Step::Key(key.to_owned()));
            self.values(sides.each_ref().map(|side| side.get(key).copied()));
            self.way.pop();
        }
    }

    fn values(&mut self, [base, ours, theirs]: [Option<&Node>; 3]) {
        if same_value(ours, theirs) || same_value(base, theirs) {
            // Comments of what has no change that counts may have changed all the same.
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                self.all_comments(base, ours, theirs);
            }
            return;
        }
        let spot = self.spot();
        match (base, ours, theirs) {
            // Also where ours is as it was: its comments and its layout may not be.
            (Some(Node::Map(base)), Some(Node::Map(ours)), Some(Node::Map(theirs))) => {
                self.maps(base, ours, theirs);
            }
            _ if same_value(base, ours) => self.merge.changes.push(match theirs {
                Some(_) => Change::Take(spot),
                None => Change::Remove(spot),
            }),
            (None, Some(Node::Map(ours)), Some(Node::Map(theirs))) => {
                self.maps(&Map::default(), ours, theirs);
            }
            _ => self.merge.conflicts.push(spot),
        }
    }

    /// Looks at comments alone, in values that are the same but for them.
    fn all_comments(&mut self, base: Option<&Node>, ours: &Node, theirs: &Node) {
        match (ours, theirs) {
            (Node::Map(ours), Node::Map(theirs)) => {
                let empty = Map::default();
                let base = if let Some(Node::Map(base)) = base { base } else { &empty };
                self.comments([base, ours, theirs].map(comments_of_map));
                let [base, ours] = [base, ours].map(index);
                for entry in theirs.entries() {
                    let key = entry.key.as_str();
                    let Some(mine) = ours.get(key) else { continue };
                    self.way.push(Step::Key(key.to_owned()));
                    self.all_comments(base.get(key).copied(), mine, &entry.value);
                    self.way.pop();
                }
            }
            (Node::List(_), Node::List(_)) => {
                let before = base.map(comments_of_list).unwrap_or_default();
                self.comments([before, comments_of_list(ours), comments_of_list(theirs)]);
            }
            _ => {}
        }
    }

    fn comments(&mut self, [base, ours, theirs]: [Vec<&Plaintext>; 3]) {
        let same = |a: &[&Plaintext], b: &[&Plaintext]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b))
        };
        if !same(&theirs, &base) && !same(&theirs, &ours) {
            let spot = self.spot();
            self.merge.comments.push(spot);
        }
    }

    fn spot(&self) -> Spot {
        Spot { document: self.document, way: self.way.clone() }
    }
}

/// Whether two values are the same, comments apart.
fn same_value(a: Option<&Node>, b: Option<&Node>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether two values are the same, comments and the order of keys apart.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (Node::Map(a), Node::Map(b)) => same_map(a, b),
        (Node::List(a), Node::List(b)) => {
            a.values().count() == b.values().count()
                && a.values().zip(b.values()).all(|(a, b)| same(a, b))
        }
        (Node::Leaf(a), Node::Leaf(b)) => same_leaf(&a.value, &b.value),
        (Node::Map(_) | Node::List(_) | Node::Leaf(_), _) => false,
    }
}

fn same_leaf(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b))
        | (Value::Float(a), Value::Float(b))
        | (Value::Time(a), Value::Time(b))
        | (Value::Str(a), Value::Str(b)) => a.same_as(b),
        (
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Time(_)
            | Value::Str(_),
            _,
        ) => false,
    }
}

/// The order of keys does not count, unless one is there twice.
fn same_map(a: &Map, b: &Map) -> bool {
    if has_twice(a) || has_twice(b) {
        return a.entries().count() == b.entries().count()
            && a.entries()
                .zip(b.entries())
                .all(|(a, b)| a.key == b.key && same(&a.value, &b.value));
    }
    let theirs = index(b);
    a.entries().count() == theirs.len()
        && a.entries().all(|entry| {
            theirs.get(entry.key.as_str()).is_some_and(|value| same(&entry.value, value))
        })
}

fn has_twice(map: &Map) -> bool {
    index(map).len() != map.entries().count()
}

fn index(map: &Map) -> HashMap<&str, &Node> {
    map.entries().map(|entry| (entry.key.as_str(), &entry.value)).collect()
}

fn comments_of_map(map: &Map) -> Vec<&Plaintext> {
    map.items
        .iter()
        .filter_map(|item| match item {
            MapItem::Comment(Comment { text, .. }) => Some(text),
            MapItem::Entry(_) => None,
        })
        .collect()
}

fn comments_of_list(node: &Node) -> Vec<&Plaintext> {
    let Node::List(list) = node else { return Vec::new() };
    list.items
        .iter()
        .filter_map(|item| match item {
            ListItem::Comment(Comment { text, .. }) => Some(text),
            ListItem::Value(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sops::tree::{Document, Write};

    fn tree(json: &str) -> Tree {
        let value = way::value(&Plaintext::copy_of(json.as_bytes())).unwrap();
        let Node::Map(root) = value else { panic!("no map") };
        Tree { documents: vec![Document { root, ..Document::default() }] }
    }

    /// `+` and `-` for what is taken and removed, `!` for conflicts, `#` for comments.
    fn told(merge: &Merge) -> Vec<String> {
        let show = |sign: &str, spot: &Spot| {
            let keys = spot.way.iter().map(|step| match step {
                Step::Key(key) => key.clone(),
                Step::Index(index) => index.to_string(),
            });
            format!("{sign}{}", keys.collect::<Vec<_>>().join("."))
        };
        let changes = merge.changes.iter().map(|change| match change {
            Change::Take(spot) => show("+", spot),
            Change::Remove(spot) => show("-", spot),
        });
        let conflicts = merge.conflicts.iter().map(|spot| show("!", spot));
        changes.chain(conflicts).chain(merge.comments.iter().map(|spot| show("#", spot))).collect()
    }

    fn merged(base: &str, ours: &str, theirs: &str) -> Vec<String> {
        told(&merge(&tree(base), &tree(ours), &tree(theirs)))
    }

    #[test]
    fn changes_of_different_values_go_together() {
        let base = r#"{"a": 1, "b": {"c": "x", "d": [1]}, "e": null}"#;
        let ours = r#"{"a": 2, "b": {"c": "x", "d": [1]}, "e": null}"#;
        let theirs = r#"{"a": 1, "b": {"c": "y", "d": [1, 2], "new": true}}"#;
        assert_eq!(merged(base, ours, theirs), ["+b.c", "+b.d", "+b.new", "-e"]);
        let ours = r#"{"a": 2, "b": {"c": "x", "d": [1], "mine": 0}, "e": null}"#;
        assert_eq!(merged(base, ours, theirs), ["+b.c", "+b.d", "+b.new", "-e"]);
    }

    #[test]
    fn what_we_changed_and_they_did_not_stays() {
        let base = r#"{"a": 1, "b": 2, "c": [1]}"#;
        for ours in [base, r#"{"b": 3, "c": [2]}"#, "{}"] {
            assert!(merged(base, ours, base).is_empty());
        }
    }

    #[test]
    fn the_same_change_on_both_sides_is_none() {
        let base = r#"{"a": 1, "b": 2}"#;
        let both = r#"{"a": "x", "c": {"d": []}}"#;
        assert!(merged(base, both, both).is_empty());
        let turned = r#"{"c": {"d": []}, "a": "x"}"#;
        assert!(merged(base, both, turned).is_empty());
    }

    #[test]
    fn what_contradicts_is_a_conflict() {
        let base = r#"{"a": 1, "l": [1], "m": {"k": 1}, "n": {"k": 1}}"#;
        let ours = r#"{"a": 2, "l": [1, 2], "n": 5, "new": {"x": 1, "y": 1}}"#;
        let theirs =
            r#"{"a": 3, "l": [0, 1], "m": {"k": 2}, "n": {"k": 2}, "new": {"x": 1, "y": 2}}"#;
        assert_eq!(merged(base, ours, theirs), ["!a", "!l", "!n", "!new.y", "!m"]);
        assert_eq!(merged(r#"{"a": 1}"#, r#"{"a": "1"}"#, r#"{"a": true}"#), ["!a"]);
    }

    #[test]
    fn a_key_that_is_there_twice_makes_its_map_one_value() {
        let base = r#"{"m": {"k": 1, "k": 2}, "o": 1}"#;
        let theirs = r#"{"m": {"k": 1, "k": 3}, "o": 1}"#;
        assert_eq!(merged(base, base, theirs), ["+m"]);
        let ours = r#"{"m": {"k": 0, "k": 2}, "o": 1}"#;
        assert_eq!(merged(base, ours, theirs), ["!m"]);
    }

    #[test]
    fn without_a_common_ancestor_only_contradictions_stop() {
        let none = Tree::default();
        let told = |ours, theirs| told(&merge(&none, &tree(ours), &tree(theirs)));
        assert_eq!(told(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#), ["+b"]);
        assert_eq!(told(r#"{"a": 1}"#, r#"{"a": 2}"#), ["!a"]);
    }

    #[test]
    fn other_numbers_of_documents_are_told_apart_only_where_one_side_changed() {
        let two = || Tree { documents: vec![Document::default(), Document::default()] };
        let one = tree(r#"{"a": 1}"#);
        assert_eq!(told(&merge(&one, &two(), &one)), [""; 0]);
        assert_eq!(told(&merge(&one, &two(), &tree(r#"{"a": 2}"#))), ["!"]);
    }

    #[test]
    fn comments_that_they_changed_are_told() {
        let with = |comments: &[&str], json: &str| {
            let mut tree = tree(json);
            let Some(MapItem::Entry(entry)) = tree.documents[0].root.items.first_mut() else {
                panic!("no entry")
            };
            let Node::Map(map) = &mut entry.value else { panic!("no map") };
            map.items.extend(comments.iter().map(|text| {
                MapItem::Comment(Comment {
                    text: Plaintext::copy_of(text.as_bytes()),
                    spot: None,
                    inline: false,
                    write: Write::Keep,
                })
            }));
            tree
        };
        let json = r#"{"m": {"k": 1}}"#;
        let merged = |base: &[&str], ours: &[&str], theirs: &[&str]| {
            told(&merge(&with(base, json), &with(ours, json), &with(theirs, json)))
        };
        assert_eq!(merged(&[], &["x"], &[]), [""; 0]);
        assert_eq!(merged(&[], &["x"], &["x"]), [""; 0]);
        assert_eq!(merged(&["x"], &["x"], &["y"]), ["#m"]);
    }

    #[test]
    fn large_maps_take_linear_time() {
        let json = |change: &str| {
            let entries = (0..20_000).map(|n| format!("\"key{n}\": \"{change}\""));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        };
        assert_eq!(merged(&json("a"), &json("a"), &json("b")).len(), 20_000);
    }
}
