//! sops files: documents whose values are encrypted one by one, with the keys to them in metadata
//! beside them.
//!
//! Follows the wire format of sops 3.13 (`sops.go`, `stores/`, `aes/cipher.go`). [`mod@file`] puts the
//! parts together; the others each do one thing. Knows no path and no terminal.

mod bared;
pub mod binary;
mod canonical;
pub mod convert;
pub mod crypt;
pub mod data_key;
pub mod dotenv;
pub mod error;
pub mod example;
pub mod extract;
pub mod file;
mod flatten;
pub mod in_the_open;
pub mod ini;
pub mod json;
pub mod metadata;
pub mod number;
pub mod secrets;
pub mod select;
pub mod shamir;
pub mod stash;
pub mod store;
#[cfg(test)]
mod store_tests;
mod text;
pub mod time;
pub mod tree;
pub mod unlock;
pub mod value;
pub mod values;
mod walk;
pub mod yaml;
