//! What setting or removing a value makes of a tree: the measure for what it makes of a text.

use crate::format::sops::store::{Step, StoreError};
use crate::format::sops::tree::{
    Entry, Leaf, List, ListItem, Map, MapItem, Node, Tree, Value, Write,
};
use crate::plaintext::Plaintext;

/// A value in the containers of a way.
pub(super) fn nested(way: &[Step], value: &Node) -> Node {
    way.iter().rev().fold(copy(value), |inner, step| match step {
        Step::Key(key) => {
            let mut map = Map::default();
            map.push(key, inner);
            Node::Map(map)
        }
        Step::Index(_) => Node::List(List { items: vec![ListItem::Value(inner)] }),
    })
}

/// Sets a value of the first document.
pub(super) fn set(tree: &mut Tree, way: &[Step], value: &Node) -> Result<(), StoreError> {
    let Some(document) = tree.documents.first_mut() else {
        return Err(StoreError::new("there is no document"));
    };
    if way.first().is_some_and(|step| *step == Step::Key("sops".to_owned())) {
        return Err(StoreError::new("`sops` is the place of the metadata"));
    }
    let Some((Step::Key(key), rest)) = way.split_first() else {
        return Err(StoreError::new("the document is a map: the way must begin with a key"));
    };
    set_in_map(&mut document.root, key, rest, value).map_err(|what| StoreError {
        way: way.to_vec(),
        what,
        canonical_can: false,
    })
}

fn set_in_map(map: &mut Map, key: &str, rest: &[Step], value: &Node) -> Result<(), &'static str> {
    let found = map.items.iter_mut().find_map(|item| match item {
        MapItem::Entry(entry) if entry.key == key => Some(&mut entry.value),
        MapItem::Entry(_) | MapItem::Comment(_) => None,
    });
    if let Some(node) = found {
        return set_in_node(node, rest, value);
    }
    map.push(key, nested(rest, value));
    Ok(())
}

fn set_in_node(node: &mut Node, way: &[Step], value: &Node) -> Result<(), &'static str> {
    let Some((step, rest)) = way.split_first() else {
        *node = copy(value);
        return Ok(());
    };
    match (node, step) {
        (Node::Map(map), Step::Key(key)) => set_in_map(map, key, rest, value),
        (Node::List(list), Step::Index(index)) => {
            let found = list.items.iter_mut().filter_map(|item| match item {
                ListItem::Value(node) => Some(node),
                ListItem::Comment(_) => None,
            });
            if let Some(node) = found.into_iter().nth(*index) {
                return set_in_node(node, rest, value);
            }
            list.items.push(ListItem::Value(nested(rest, value)));
            Ok(())
        }
        (node @ Node::Leaf(Leaf { value: Value::Null, .. }), _) => {
            *node = nested(way, value);
            Ok(())
        }
        (Node::Leaf(_), _) => Err("the way leads through a value without parts"),
        (Node::Map(_) | Node::List(_), _) => Err("a map takes a key here, and a list an index"),
    }
}

/// Removes a value of the first document; `false` where it is not there.
pub(super) fn unset(tree: &mut Tree, way: &[Step]) -> Result<bool, StoreError> {
    let Some(document) = tree.documents.first_mut() else { return Ok(false) };
    let Some((Step::Key(key), rest)) = way.split_first() else {
        return Err(StoreError::new("the document is a map: the way must begin with a key"));
    };
    unset_in_map(&mut document.root, key, rest).map_err(|what| StoreError {
        way: way.to_vec(),
        what,
        canonical_can: false,
    })
}

fn unset_in_map(map: &mut Map, key: &str, rest: &[Step]) -> Result<bool, &'static str> {
    let at =
        map.items.iter().position(|item| matches!(item, MapItem::Entry(entry) if entry.key == key));
    let Some(at) = at else { return Ok(false) };
    if rest.is_empty() {
        map.items.remove(at);
        return Ok(true);
    }
    match map.items.get_mut(at) {
        Some(MapItem::Entry(entry)) => unset_in_node(&mut entry.value, rest),
        _ => Ok(false),
    }
}

fn unset_in_node(node: &mut Node, way: &[Step]) -> Result<bool, &'static str> {
    match (node, way) {
        (Node::Map(map), [Step::Key(key), rest @ ..]) => unset_in_map(map, key, rest),
        (Node::List(list), [Step::Index(index), rest @ ..]) => {
            let values = list.items.iter().enumerate();
            let at = values
                .filter(|(_, item)| matches!(item, ListItem::Value(_)))
                .nth(*index)
                .map(|(at, _)| at);
            let Some(at) = at else { return Ok(false) };
            if rest.is_empty() {
                list.items.remove(at);
                return Ok(true);
            }
            match list.items.get_mut(at) {
                Some(ListItem::Value(node)) => unset_in_node(node, rest),
                _ => Ok(false),
            }
        }
        (Node::Leaf(_), _) => Err("the way leads through a value without parts"),
        (Node::Map(_) | Node::List(_), _) => Err("a map takes a key here, and a list an index"),
    }
}

/// The same value once more, without its comments.
fn copy(node: &Node) -> Node {
    match node {
        Node::Map(map) => Node::Map(Map {
            items: map
                .entries()
                .map(|entry| {
                    MapItem::Entry(Entry {
                        key: entry.key.clone(),
                        key_span: 0..0,
                        value: copy(&entry.value),
                    })
                })
                .collect(),
        }),
        Node::List(list) => Node::List(List {
            items: list.values().map(|node| ListItem::Value(copy(node))).collect(),
        }),
        Node::Leaf(leaf) => {
            Node::Leaf(Leaf { value: copy_value(&leaf.value), spot: None, write: Write::Value })
        }
    }
}

fn copy_value(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(is) => Value::Bool(*is),
        Value::Int(text) => Value::Int(copy_text(text)),
        Value::Float(text) => Value::Float(copy_text(text)),
        Value::Time(text) => Value::Time(copy_text(text)),
        Value::Str(text) => Value::Str(copy_text(text)),
    }
}

fn copy_text(text: &Plaintext) -> Plaintext {
    #[expect(clippy::disallowed_methods, reason = "copied into a plaintext")]
    Plaintext::copy_of(text.expose())
}
