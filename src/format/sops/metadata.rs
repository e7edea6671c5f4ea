//! The metadata of a sops file: who holds the data key, which values are encrypted, the MAC.
//!
//! Follows `stores/stores.go` and `stores/metadata.go` of sops 3.13; reads that of every version
//! since 3.0. What is not known is kept. Knows no format: stores hand it a tree and get one back.

use super::select;
use super::tree::{Map, Node};
use crate::key::wrapping::WrappingKey;

/// The metadata of a file.
#[derive(Debug)]
pub struct Metadata {
    /// Groups of keys; one, where there is no sharing.
    pub groups: Vec<Vec<WrappedKey>>,
    /// How many groups are needed, where the file says so.
    pub shamir_threshold: Option<usize>,
    /// RFC 3339, as it stands.
    pub last_modified: String,
    /// The encrypted MAC; `None` where there is none.
    pub mac: Option<String>,
    /// Whether the MAC is over encrypted values alone.
    pub mac_only_encrypted: bool,
    /// Which values are encrypted; the default where the file says nothing.
    pub rule: Option<select::Rule>,
    /// The version of sops, or of whoever wrote it; may be missing.
    pub version: Option<String>,
    /// Fields that we do not know.
    pub unknown: Vec<(String, Node)>,
}

/// The data key, or a share of it, for one key.
#[derive(Debug)]
pub struct WrappedKey {
    /// The key.
    pub key: WrappingKey,
    /// What it holds, as it stands.
    pub enc: String,
    /// When it was wrapped, RFC 3339; age keys have none.
    pub created_at: Option<String>,
    /// Fields that we do not know.
    pub unknown: Vec<(String, Node)>,
}

impl Metadata {
    /// From the tree that a store took out of a document.
    ///
    /// # Errors
    /// [`MetadataError`], which names the field.
    pub fn read(_map: &Map) -> Result<Self, MetadataError> {
        Err(MetadataError { field: String::new(), what: "not read yet" })
    }

    /// As the newest sops writes it: in the order of the alphabet, empty fields left out.
    pub fn to_map(&self) -> Map {
        Map::default()
    }
}

/// A field of the metadata that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataError {
    /// Its name, `kms[0].arn`.
    pub field: String,
    /// A clause that says what is wrong.
    pub what: &'static str,
}
