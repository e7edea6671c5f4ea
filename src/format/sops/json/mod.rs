//! JSON documents. Knows no key.
//!
//! Follows `stores/json` of sops and what Go's `encoding/json` reads and prints.

mod print;
mod read;
mod splice;
#[cfg(test)]
mod tests;

pub(super) use print::print;
pub(super) use read::read;
pub(super) use splice::{set, splice, unset};

/// The member of the root that holds the metadata.
const METADATA: &str = "sops";
