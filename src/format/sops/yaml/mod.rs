//! YAML documents, as go-yaml v3 reads and prints them. Knows no key.

mod build;
mod comments;
mod cut;
mod edit;
mod meant;
mod metadata;
mod parse;
mod parse_block;
mod parse_flow;
mod print;
mod same;
mod scalar;
mod scan;
mod splice;
mod style;
mod time;
mod unset;
mod write;

use super::store::{MetadataEdit, ParseError, Step, StoreError};
use super::tree::{Map, Node, Tree};
use crate::plaintext::Plaintext;

/// Reads a document.
pub(super) fn read(text: &Plaintext) -> Result<Tree, ParseError> {
    #[expect(clippy::disallowed_methods, reason = "parsed into plaintexts")]
    let bytes = text.expose();
    read_text(checked(bytes)?)
}

fn read_text(text: &str) -> Result<Tree, ParseError> {
    build::build(text, parse::parse(text, scan::scan(text)?)?)
}

/// The bytes as text, where they are one.
fn checked(bytes: &[u8]) -> Result<&str, ParseError> {
    let whole = |what| ParseError { line: 0, column: 0, what };
    if bytes.starts_with(&[0xFE, 0xFF]) || bytes.starts_with(&[0xFF, 0xFE]) {
        return Err(whole("the text is UTF-16: convert it to UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let good = std::str::from_utf8(good).unwrap_or_default();
        scan::error_at(good, good.len(), "this byte is not UTF-8")
    })?;
    match text.find('\0') {
        Some(at) => Err(scan::error_at(text, at, "a text cannot hold a NUL")),
        None => Ok(text),
    }
}

/// Prints a document as sops does.
#[expect(clippy::unnecessary_wraps, reason = "other kinds of documents cannot hold every value")]
pub(super) fn print(
    tree: &Tree,
    metadata: Option<&Map>,
    indent: usize,
) -> Result<Plaintext, StoreError> {
    Ok(print::print(tree, metadata, indent))
}

/// Puts changed values back.
pub(super) fn splice(
    text: &Plaintext,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    #[expect(clippy::disallowed_methods, reason = "copied into a plaintext")]
    let text = checked(text.expose()).map_err(|error| StoreError::new(error.what))?;
    splice::splice(text, tree, metadata)
}

/// Sets one value.
pub(super) fn set(text: &Plaintext, way: &[Step], value: &Node) -> Result<Plaintext, StoreError> {
    #[expect(clippy::disallowed_methods, reason = "copied into a plaintext")]
    let text = checked(text.expose()).map_err(|error| StoreError::new(error.what))?;
    edit::set(text, way, value)
}

/// Removes one value.
pub(super) fn unset(text: &Plaintext, way: &[Step]) -> Result<Option<Plaintext>, StoreError> {
    #[expect(clippy::disallowed_methods, reason = "copied into a plaintext")]
    let text = checked(text.expose()).map_err(|error| StoreError::new(error.what))?;
    edit::unset(text, way)
}

#[cfg(test)]
mod tests;
