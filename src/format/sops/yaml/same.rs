//! Whether a text that was written is read as the tree that was meant.

use super::time;
use crate::format::sops::tree::{Comment, Leaf, ListItem, Map, MapItem, Node, Tree, Value, Write};
use crate::plaintext::Plaintext;

/// How comments are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comments {
    /// Each in the container it was in: what its ciphertext is bound to.
    InPlace,
    /// All of them, wherever they went.
    Anywhere,
    /// Not at all.
    Ignored,
}

/// Compares documents, metadata left out.
pub(super) fn same(meant: &Tree, read: &Tree, comments: Comments) -> bool {
    let strict = comments == Comments::InPlace;
    meant.documents.len() == read.documents.len()
        && meant
            .documents
            .iter()
            .zip(&read.documents)
            .all(|(meant, read)| map(&meant.root, &read.root, strict))
        && (comments != Comments::Anywhere || all_comments(meant) == all_comments(read))
}

fn map(meant: &Map, read: &Map, strict: bool) -> bool {
    let entries = meant.entries().count() == read.entries().count()
        && meant
            .entries()
            .zip(read.entries())
            .all(|(meant, read)| meant.key == read.key && node(&meant.value, &read.value, strict));
    entries
        && (!strict
            || lines(meant.items.iter().filter_map(map_comment))
                == lines(read.items.iter().filter_map(map_comment)))
}

fn node(meant: &Node, read: &Node, strict: bool) -> bool {
    match (meant, read) {
        (Node::Map(meant), Node::Map(read)) => map(meant, read, strict),
        (Node::List(meant), Node::List(read)) => {
            meant.values().count() == read.values().count()
                && meant.values().zip(read.values()).all(|(meant, read)| node(meant, read, strict))
                && (!strict
                    || lines(meant.items.iter().filter_map(list_comment))
                        == lines(read.items.iter().filter_map(list_comment)))
        }
        (Node::Leaf(meant), Node::Leaf(read)) => leaf(meant, read),
        _ => false,
    }
}

fn leaf(meant: &Leaf, read: &Leaf) -> bool {
    if let Write::Token(_) = meant.write {
        return matches!(read.value, Value::Str(_));
    }
    match (&meant.value, &read.value) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(meant), Value::Bool(read)) => meant == read,
        (Value::Str(meant), Value::Str(read)) => meant.same_as(read),
        (Value::Time(meant), Value::Time(read)) => {
            time::parse(&shown(meant)) == time::parse(&shown(read))
        }
        (Value::Int(meant) | Value::Float(meant), Value::Int(read) | Value::Float(read)) => {
            let (meant, read) = (shown(meant), shown(read));
            meant == read
                || meant.parse::<f64>().ok().is_some_and(|meant| Some(meant) == read.parse().ok())
        }
        _ => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "compared, and gone")]
fn shown(text: &Plaintext) -> String {
    String::from_utf8_lossy(text.expose()).into_owned()
}

fn map_comment(item: &MapItem) -> Option<&Comment> {
    match item {
        MapItem::Comment(comment) => Some(comment),
        MapItem::Entry(_) => None,
    }
}

fn list_comment(item: &ListItem) -> Option<&Comment> {
    match item {
        ListItem::Comment(comment) => Some(comment),
        ListItem::Value(_) => None,
    }
}

/// A comment of several lines is several comments, once it is written.
fn lines<'a>(comments: impl Iterator<Item = &'a Comment>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for comment in comments {
        let text = match &comment.write {
            Write::Token(token) => token,
            Write::Keep | Write::Value => &comment.text,
        };
        #[expect(clippy::disallowed_methods, reason = "compared, and gone")]
        for (i, line) in text.expose().split(|b| *b == b'\n').enumerate() {
            all.push(if i == 0 { line.to_vec() } else { [b" ", line].concat() });
        }
    }
    all
}

fn all_comments(tree: &Tree) -> Vec<Vec<u8>> {
    fn gather<'a>(map: &'a Map, into: &mut Vec<&'a Comment>) {
        for item in &map.items {
            match item {
                MapItem::Comment(comment) => into.push(comment),
                MapItem::Entry(entry) => gather_node(&entry.value, into),
            }
        }
    }
    fn gather_node<'a>(node: &'a Node, into: &mut Vec<&'a Comment>) {
        match node {
            Node::Map(map) => gather(map, into),
            Node::List(list) => {
                for item in &list.items {
                    match item {
                        ListItem::Comment(comment) => into.push(comment),
                        ListItem::Value(node) => gather_node(node, into),
                    }
                }
            }
            Node::Leaf(_) => {}
        }
    }
    let mut all = Vec::new();
    for document in &tree.documents {
        gather(&document.root, &mut all);
    }
    let mut all = lines(all.into_iter());
    all.sort_unstable();
    all
}
