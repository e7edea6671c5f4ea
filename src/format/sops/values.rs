//! The values of a document as a program takes them in its environment: one text each.

use std::fmt;

use super::store::{self, Step};
use super::tree::{Map, Node, Value};
use crate::plaintext::Plaintext;

/// One text for each entry of a map, in order; the last counts where a key is there twice. A
/// number stays as it is written, a null is an empty text.
///
/// # Errors
/// [`NotOneValue`] for an entry that has parts.
pub fn of_map(map: &Map) -> Result<Vec<(String, Plaintext)>, NotOneValue> {
    let value = |key: &str, node: &Node| {
        let way = [Step::Key(key.to_owned())];
        Ok((key.to_owned(), of_node(node, &way)?))
    };
    map.entries().map(|entry| value(&entry.key, &entry.value)).collect()
}

/// The text of one value, to which `way` leads.
///
/// # Errors
/// [`NotOneValue`] where it has parts.
pub fn of_node(node: &Node, way: &[Step]) -> Result<Plaintext, NotOneValue> {
    match node {
        Node::Map(_) | Node::List(_) => Err(NotOneValue { way: way.to_vec() }),
        Node::Leaf(leaf) => Ok(match &leaf.value {
            Value::Null => Plaintext::default(),
            Value::Bool(true) => Plaintext::copy_of(b"true"),
            Value::Bool(false) => Plaintext::copy_of(b"false"),
            Value::Int(text) | Value::Float(text) | Value::Time(text) | Value::Str(text) => {
                copy(text)
            }
        }),
    }
}

/// The content of a file as one value: without a line end at its end, of which the shell's
/// `$(…)` takes them all.
#[expect(clippy::disallowed_methods, reason = "copied from one plaintext to another")]
pub fn of_content(content: &Plaintext) -> Plaintext {
    let bytes = content.expose();
    let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |b| b.strip_suffix(b"\r").unwrap_or(b));
    Plaintext::copy_of(bytes)
}

#[expect(clippy::disallowed_methods, reason = "copied from one plaintext to another")]
fn copy(text: &Plaintext) -> Plaintext {
    Plaintext::copy_of(text.expose())
}

/// A map or list where one value is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotOneValue {
    /// Where it is.
    pub way: Vec<Step>,
}

impl fmt::Display for NotOneValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is a map or a list, not one value", store::Way(&self.way))
    }
}

impl std::error::Error for NotOneValue {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sops::store::Store;

    fn map(json: &str) -> Map {
        let tree = Store::Json.read_plain(&Plaintext::copy_of(json.as_bytes())).unwrap();
        tree.documents.into_iter().next().unwrap().root
    }

    #[test]
    fn values_are_texts() {
        let values = of_map(&map(r#"{"a": "x", "b": 1.50, "c": null, "d": true, "e": -7}"#));
        let wanted = [("a", "x"), ("b", "1.50"), ("c", ""), ("d", "true"), ("e", "-7")];
        let values = values.unwrap();
        assert_eq!(values.len(), wanted.len());
        for ((name, value), (key, text)) in values.iter().zip(wanted) {
            assert!(name == key && value.same_as(&Plaintext::copy_of(text.as_bytes())), "{key}");
        }
    }

    #[test]
    fn what_has_parts_is_named() {
        let error = of_map(&map(r#"{"a": 1, "db": {"x": "canary"}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "`[\"db\"]` is a map or a list, not one value");
    }

    #[test]
    fn one_line_end_is_not_part_of_a_content() {
        for (content, value) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", ""), ("\n", "")]
        {
            let value = Plaintext::copy_of(value.as_bytes());
            let content = Plaintext::copy_of(content.as_bytes());
            assert!(of_content(&content).same_as(&value));
        }
    }
}
