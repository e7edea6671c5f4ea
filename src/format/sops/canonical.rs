//! What a tree must be for the canonical writers to print it as sops would: what is of another kind
//! turned into this one, numbers in the digits of sops. Knows no key and no text.

use super::store::{Layout, Store, StoreError};
use super::tree::{Comment, Leaf, List, ListItem, Map, MapItem, Node, Tree, Value, Write};
use super::{convert, number, value};
use crate::plaintext::Plaintext;

/// A tree for a document without metadata.
pub(super) fn tree(tree: Tree, from: Store, to: Store) -> Result<Tree, StoreError> {
    let mut tree = convert::to_store(tree, from, to)?;
    number::as_sops(&mut tree, to);
    Ok(tree)
}

/// Gives comments lines of their own that stood behind a value and were decrypted: with its
/// ciphertext, sops loses where a comment stood.
pub(super) fn part_comments(map: &mut Map) {
    for item in &mut map.items {
        match item {
            MapItem::Comment(comment) => part_comment(comment),
            MapItem::Entry(entry) => part_in_node(&mut entry.value),
        }
    }
}

pub(super) fn part_in_node(node: &mut Node) {
    match node {
        Node::Map(map) => part_comments(map),
        Node::List(list) => {
            for item in &mut list.items {
                match item {
                    ListItem::Comment(comment) => part_comment(comment),
                    ListItem::Value(node) => part_in_node(node),
                }
            }
        }
        Node::Leaf(_) => {}
    }
}

fn part_comment(comment: &mut Comment) {
    if matches!(comment.write, Write::Value) {
        comment.inline = false;
    }
}

/// Prints an encrypted document.
pub(super) fn print_sealed(
    tree: Tree,
    metadata: &Map,
    from: Store,
    to: Store,
    layout: &Layout,
) -> Result<Plaintext, StoreError> {
    let mut tree = self::tree(tree, from, to)?;
    for document in &mut tree.documents {
        document.root.items.iter_mut().for_each(in_map_item);
    }
    to.print(&tree, Some(metadata), layout)
}

fn in_map_item(item: &mut MapItem) {
    if let MapItem::Entry(entry) = item {
        in_node(&mut entry.value);
    }
}

fn in_node(node: &mut Node) {
    match node {
        Node::Map(map) => map.items.iter_mut().for_each(in_map_item),
        Node::List(list) => in_list(list),
        Node::Leaf(_) => {}
    }
}

/// sops writes an encrypted comment of a list as one of its items.
#[expect(clippy::disallowed_methods, reason = "encrypted comments are told by how they begin")]
fn in_list(list: &mut List) {
    for item in &mut list.items {
        match item {
            ListItem::Value(node) => in_node(node),
            ListItem::Comment(comment) if value::looks_encrypted(comment.text.expose()) => {
                let text = std::mem::take(&mut comment.text);
                *item = ListItem::Value(Node::Leaf(Leaf::new(Value::Str(text))));
            }
            ListItem::Comment(_) => {}
        }
    }
}
