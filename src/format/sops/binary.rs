//! Binary documents: JSON with the whole file as one value, `data`. Knows no key.

use super::store::{MetadataEdit, Step, StoreError};
use super::tree::{Map, Node, Tree};
use crate::plaintext::Plaintext;

/// Any bytes as one value.
pub(super) fn read_plain(_text: &Plaintext) -> Tree {
    Tree::default()
}

/// Prints a document as sops does.
pub(super) fn print(
    _tree: &Tree,
    _metadata: Option<&Map>,
    _indent: Option<usize>,
) -> Result<Plaintext, StoreError> {
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

/// Replaces the whole.
pub(super) fn set(_way: &[Step], _value: &Node) -> Result<Plaintext, StoreError> {
    Err(StoreError::new("not set yet"))
}
