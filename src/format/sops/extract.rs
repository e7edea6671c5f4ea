//! One value of a document, as `sops decrypt --extract` prints it. Knows no key.
//!
//! Follows `TreeBranch.Truncate` of sops, but that comments of a list are not counted.

use super::canonical;
use super::store::{Layout, Step, Store, StoreError};
use super::tree::{Document, Leaf, ListItem, Map, MapItem, Node, Tree, Value};
use crate::plaintext::Plaintext;

/// Takes the value at a way out of a document.
pub fn take(node: Node, way: &[Step]) -> Option<Node> {
    let Some((step, rest)) = way.split_first() else {
        return Some(node);
    };
    let part = match (node, step) {
        (Node::Map(map), Step::Key(key)) => map.items.into_iter().find_map(|item| match item {
            MapItem::Entry(entry) if entry.key == *key => Some(entry.value),
            MapItem::Entry(_) | MapItem::Comment(_) => None,
        }),
        (Node::List(list), Step::Index(index)) => list
            .items
            .into_iter()
            .filter_map(|item| match item {
                ListItem::Value(node) => Some(node),
                ListItem::Comment(_) => None,
            })
            .nth(*index),
        (Node::Map(_) | Node::List(_) | Node::Leaf(_), _) => None,
    };
    take(part?, rest)
}

/// Prints it: a text as it is, a map as a document, anything else as the output writes it.
///
/// # Errors
/// What the output cannot say.
pub fn print(
    node: Node,
    store: Store,
    output: Store,
    layout: &Layout,
) -> Result<Plaintext, StoreError> {
    match node {
        Node::Leaf(Leaf { value: Value::Str(text), .. }) => Ok(text),
        Node::Map(root) => output.print(&as_sops(root, store, output)?, None, layout),
        Node::List(_) if output == Store::Ini => {
            Err(StoreError::new("it is a list, which INI cannot hold"))
        }
        Node::List(_) | Node::Leaf(_) => print_part(node, store, output, layout),
    }
}

/// As [`print()`], for a value that stays where it is; in its own kind of document.
///
/// # Errors
/// What that cannot say.
pub fn print_copy(node: &Node, store: Store) -> Result<Plaintext, StoreError> {
    let mut copy = node.copy();
    canonical::part_in_node(&mut copy);
    print(copy, store, store, &Layout::default())
}

/// What is no document of its own is printed as the one value of a map, which is cut off.
fn print_part(
    node: Node,
    store: Store,
    output: Store,
    layout: &Layout,
) -> Result<Plaintext, StoreError> {
    let mut root = Map::default();
    root.push("x", node);
    match output {
        Store::Yaml => {
            let tree = as_sops(root, store, Store::Yaml)?;
            let printed = Store::Yaml.print(&tree, None, layout)?;
            Ok(outdent(&printed, b"x:", b"", layout.yaml_indent))
        }
        Store::Json | Store::Ini => {
            let tree = as_sops(root, store, Store::Json)?;
            let printed = Store::Json.print(&tree, None, layout)?;
            Ok(outdent(&printed, b"\"x\":", b"\n}\n", layout.json_indent.unwrap_or(1)))
        }
        Store::Dotenv => Err(StoreError::new("it is no text, and dotenv has nothing else")),
        Store::Binary => {
            Err(StoreError::new("it is no text, and a binary document is nothing else"))
        }
    }
}

fn as_sops(root: Map, store: Store, output: Store) -> Result<Tree, StoreError> {
    let tree = Tree { documents: vec![Document { root, ..Document::default() }] };
    // Numbers that are not to be turned into those of sops have been already, where they ever are.
    if store == output { Ok(tree) } else { canonical::tree(tree, store, output) }
}

/// What stands between two texts, each further line moved to the left.
#[expect(clippy::disallowed_methods, reason = "a printed value is cut out of what is round it")]
fn outdent(printed: &Plaintext, before: &[u8], after: &[u8], indent: usize) -> Plaintext {
    let text = printed.expose();
    let start = text.windows(before.len()).position(|bytes| bytes == before);
    let text = text.get(start.unwrap_or(0).saturating_add(before.len())..).unwrap_or_default();
    let text = text.strip_suffix(after).unwrap_or(text);
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let mut out = Plaintext::with_capacity(text.len());
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let cut = if number == 0 { 0 } else { blanks.min(indent) };
        out.extend(line.get(cut..).unwrap_or_default());
    }
    match text.first() {
        Some(b'\n') => Plaintext::copy_of(out.expose().get(1..).unwrap_or_default()),
        Some(_) | None => out,
    }
}
