//! INI documents: sections as maps of texts, and the metadata flat in a section of its own. Knows
//! no key of cryptography; errors name the line and never show it.
//!
//! Follows `stores/ini` of sops, and gopkg.in/ini.v1 as sops uses it.

mod print;
mod quote;
mod read;
mod scan;
mod splice;
#[cfg(test)]
mod tests;

pub(super) use print::print;
pub(super) use read::read;
pub(super) use splice::{set, splice, unset};

use super::flatten::flatten;
use super::store::StoreError;
use super::tree::Map;
use crate::plaintext::Plaintext;

/// The section that holds the metadata.
const METADATA: &str = "sops";
/// The section of what stands before the first header.
const UNNAMED: &str = "DEFAULT";

/// The metadata as keys of its section; line breaks are `\n` in two characters.
fn metadata_keys(metadata: &Map) -> Result<Vec<(String, Plaintext)>, StoreError> {
    let mut flat = flatten(metadata)?;
    for (_, text) in &mut flat {
        let mut escaped = Plaintext::default();
        for (number, line) in bytes(text).split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                escaped.extend(b"\\n");
            }
            escaped.extend(line);
        }
        *text = escaped;
    }
    Ok(flat)
}

#[expect(clippy::disallowed_methods, reason = "texts and values go from one into the other here")]
fn bytes(text: &Plaintext) -> &[u8] {
    text.expose()
}
