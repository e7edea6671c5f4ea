//! The metadata as a list of keys and texts, for documents without maps in maps:
//! `age__list_0__map_enc`. Knows no format: how line breaks are written is the stores'.
//!
//! Follows `stores/flatten.go` of sops.

use std::collections::BTreeMap;

use super::convert::to_text;
use super::store::StoreError;
use super::tree::{Leaf, List, ListItem, MAX_DEPTH, Map, Node, Value};
use crate::plaintext::Plaintext;

const MAP: &str = "__map_";
const LIST: &str = "__list_";

/// Every value with the way to it as its key. Empty lists, empty maps and nulls vanish.
///
/// # Errors
/// Two values with the same key.
pub(super) fn flatten(map: &Map) -> Result<Vec<(String, Plaintext)>, StoreError> {
    let mut flat = BTreeMap::new();
    let mut order = Vec::new();
    for entry in map.entries() {
        spread(&entry.value, entry.key.clone(), &mut |key, text| {
            order.push(key.clone());
            flat.insert(key, text).is_none()
        })?;
    }
    let take = |key: String| flat.remove(&key).map(|text| (key, text));
    Ok(order.into_iter().filter_map(take).collect())
}

/// The maps and lists that flat keys tell of. Keys come in the order of the alphabet.
///
/// # Errors
/// A clause that says what is wrong.
pub(super) fn unflatten(flat: Vec<(String, Plaintext)>) -> Result<Map, &'static str> {
    let mut root = Branch::default();
    for (key, text) in flat {
        let mut branch = &mut root;
        let steps = steps(&key)?;
        if steps.len() >= MAX_DEPTH {
            return Err("the metadata has too many levels");
        }
        for step in steps {
            branch = match step {
                Step::Key(name) => branch.keys.entry(name).or_default(),
                Step::Index(index) => branch.indices.entry(index).or_default(),
            };
        }
        if branch.text.replace(text).is_some() {
            return Err("a value of the metadata stands there twice");
        }
    }
    match root.into_node()? {
        Node::Map(map) => Ok(map),
        Node::List(_) | Node::Leaf(_) => Err("the metadata has no keys"),
    }
}

fn spread(
    node: &Node,
    key: String,
    found: &mut dyn FnMut(String, Plaintext) -> bool,
) -> Result<(), StoreError> {
    match node {
        Node::Map(map) => {
            for entry in map.entries() {
                spread(&entry.value, format!("{key}{MAP}{}", entry.key), found)?;
            }
        }
        Node::List(list) => {
            for (index, value) in list.values().enumerate() {
                spread(value, format!("{key}{LIST}{index}"), found)?;
            }
        }
        Node::Leaf(Leaf { value: Value::Null, .. }) => {}
        Node::Leaf(leaf) => {
            if !found(key, to_text(&leaf.value)) {
                return Err(StoreError::new("two values of the metadata have the same key"));
            }
        }
    }
    Ok(())
}

enum Step {
    Key(String),
    Index(usize),
}

fn steps(key: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let (mut rest, mut in_list) = (key, false);
    loop {
        let end = [MAP, LIST].iter().filter_map(|mark| rest.find(mark)).min();
        let (name, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        steps.push(if in_list {
            Step::Index(name.parse().map_err(|_| "a list of the metadata has no number")?)
        } else {
            Step::Key(name.to_owned())
        });
        if let Some(next) = behind.strip_prefix(MAP) {
            (rest, in_list) = (next, false);
        } else if let Some(next) = behind.strip_prefix(LIST) {
            (rest, in_list) = (next, true);
        } else {
            return Ok(steps);
        }
    }
}

#[derive(Default)]
struct Branch {
    text: Option<Plaintext>,
    keys: BTreeMap<String, Branch>,
    indices: BTreeMap<usize, Branch>,
}

impl Branch {
    fn into_node(self) -> Result<Node, &'static str> {
        match (self.text, self.keys.is_empty(), self.indices.is_empty()) {
            (Some(text), true, true) => Ok(Node::Leaf(Leaf::new(Value::Str(text)))),
            (None, _, true) => {
                let mut map = Map::default();
                for (key, branch) in self.keys {
                    map.push(&key, branch.into_node()?);
                }
                Ok(Node::Map(map))
            }
            (None, true, false) => {
                let mut list = List::default();
                for (expected, (index, branch)) in self.indices.into_iter().enumerate() {
                    if expected != index {
                        return Err("a list of the metadata is not whole");
                    }
                    list.items.push(ListItem::Value(branch.into_node()?));
                }
                Ok(Node::List(list))
            }
            (None, false, false) | (Some(_), _, _) => {
                Err("a value of the metadata is of two kinds")
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at what it made")]
mod tests {
    use super::*;

    fn flat(pairs: &[(&str, &str)]) -> Vec<(String, Plaintext)> {
        let pair =
            |(key, text): &(&str, &str)| ((*key).to_owned(), Plaintext::copy_of(text.as_bytes()));
        pairs.iter().map(pair).collect()
    }

    fn texts(flat: &[(String, Plaintext)]) -> Vec<(String, String)> {
        let text = |text: &Plaintext| String::from_utf8(text.expose().to_vec()).unwrap();
        flat.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    fn same(map: &Map, pairs: &[(&str, &str)]) -> bool {
        let found = texts(&flatten(map).unwrap());
        found.iter().map(|(key, text)| (key.as_str(), text.as_str())).eq(pairs.iter().copied())
    }

    #[test]
    fn flat_keys_come_back() {
        let pairs = [
            ("age__list_0__map_enc", "a\nb"),
            ("age__list_0__map_recipient", "r"),
            ("age__list_1__map_enc", "c"),
            ("lastmodified", "now"),
            ("weird__list", "x"),
        ];
        let map = unflatten(flat(&pairs)).unwrap();
        assert!(same(&map, &pairs));
    }

    #[test]
    fn lists_go_on_behind_nine() {
        let keys: Vec<String> = (0..12).map(|i| format!("a__list_{i}")).collect();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "x")).collect();
        let map = unflatten(flat(&pairs)).unwrap();
        assert!(same(&map, &pairs));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for pairs in [
            &[("a__list_1", "x")][..],
            &[("a__list_x", "x")],
            &[("a__list_18446744073709551616", "x")],
            &[("a", "x"), ("a", "y")],
            &[("a", "x"), ("a__map_b", "y")],
            &[("a__list_0", "x"), ("a__map_b", "y")],
        ] {
            assert!(unflatten(flat(pairs)).is_err(), "{pairs:?}");
        }
        let deep = ["a__map_"; 300].concat();
        assert!(unflatten(flat(&[(&deep, "x")])).is_err());
    }

    #[test]
    fn two_values_of_one_key_are_refused() {
        let mut inner = Map::default();
        inner.push("b", Node::Leaf(Leaf::text("x")));
        let mut map = Map::default();
        map.push("a__map_b", Node::Leaf(Leaf::text("y")));
        map.push("a", Node::Map(inner));
        assert!(flatten(&map).is_err());
    }
}
