//! INI documents. Knows no key.

use super::store::{MetadataEdit, ParseError, Step, StoreError};
use super::tree::{Map, Node, Tree};
use crate::plaintext::Plaintext;

/// Reads a document.
pub(super) fn read(_text: &Plaintext) -> Result<Tree, ParseError> {
    Err(ParseError { line: 0, column: 0, what: "not read yet" })
}

/// Prints a document as sops does.
pub(super) fn print(_tree: &Tree, _metadata: Option<&Map>) -> Result<Plaintext, StoreError> {
    Err(StoreError::new("not printed yet"))
}

/// Puts changed values back.
pub(super) fn splice(
    _text: &Plaintext,
    _tree: &Tree,
    _metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    Err(StoreError::new("not spliced yet"))
}

/// Sets one value.
pub(super) fn set(
    _text: &Plaintext,
    _way: &[Step],
    _value: &Node,
) -> Result<Plaintext, StoreError> {
    Err(StoreError::new("not set yet"))
}

/// Removes one value.
pub(super) fn unset(_text: &Plaintext, _way: &[Step]) -> Result<Option<Plaintext>, StoreError> {
    Err(StoreError::new("not removed yet"))
}
