//! The metadata of a sops file changed by hand or by command: other readers, other rules, the same
//! data key. Prints nothing.

use super::Problem;
use super::sops::wrap;
use crate::format::keys::Keys;
use crate::format::sops::data_key::DataKey;
use crate::format::sops::file::{SopsError, SopsFile, Writer};
use crate::format::sops::metadata::Metadata;
use crate::format::sops::store::{Layout, Store};
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;

/// A file for other groups of keys. Values, MAC and time stay.
///
/// # Errors
/// [`Problem::Rewrap`], [`Problem::Sops`].
pub fn regroup(
    file: &SopsFile,
    key: &DataKey,
    groups: Groups,
    output: Store,
    writer: &Writer,
    keys: &Keys<'_>,
) -> Result<Vec<u8>, Problem> {
    let mut metadata = file.metadata_again().map_err(Problem::Sops)?;
    wrap(&mut metadata, key, false, groups.keys, groups.threshold, keys)?;
    file.with_metadata(&metadata, writer, output).map_err(Problem::Sops)
}

/// Groups of keys, and how many of them are needed; `None` is all.
#[derive(Debug)]
pub struct Groups {
    /// The keys by group.
    pub keys: Vec<Vec<WrappingKey>>,
    /// How many groups are needed.
    pub threshold: Option<usize>,
}

/// A document with metadata in it, its values not encrypted: for people who edit both.
///
/// # Errors
/// [`Problem::Sops`].
pub fn join(
    document: &Plaintext,
    metadata: &Metadata,
    store: Store,
    layout: &Layout,
) -> Result<Plaintext, Problem> {
    let tree =
        store.read_plain(document).map_err(|error| Problem::Sops(SopsError::Parse(error)))?;
    let printed = store.print(&tree, Some(&metadata.to_map()), layout);
    printed.map_err(|error| Problem::Sops(SopsError::Store(error)))
}

/// Takes apart what [`join`] put together.
///
/// # Errors
/// [`Problem::Sops`], [`Problem::NotEncrypted`] where there is no metadata any more.
pub fn split(
    text: &Plaintext,
    store: Store,
    layout: &Layout,
) -> Result<(Plaintext, Metadata), Problem> {
    let of = Problem::Sops;
    let mut tree = store.read(text).map_err(|error| of(SopsError::Parse(error)))?;
    let first = tree.documents.first().ok_or_else(|| of(SopsError::NoDocument))?;
    let map = first.metadata.as_ref().ok_or(Problem::NotEncrypted)?;
    let metadata = Metadata::read(map).map_err(|error| of(error.into()))?;
    for document in &mut tree.documents {
        document.metadata = None;
    }
    let document = store.print(&tree, None, layout).map_err(|error| of(error.into()))?;
    Ok((document, metadata))
}

/// The metadata of a file with the readers and rules that somebody gave them; what wraps its key
/// comes from the file, or is made.
///
/// # Errors
/// [`Problem::Rewrap`], [`Problem::Sops`].
pub fn reform(
    metadata: &Metadata,
    edited: Metadata,
    key: &DataKey,
    keys: &Keys<'_>,
) -> Result<Metadata, Problem> {
    let copy = Metadata::read(&metadata.to_map());
    let mut reformed = copy.map_err(|error| Problem::Sops(error.into()))?;
    let groups = edited.wrapping_keys();
    wrap(&mut reformed, key, false, groups, edited.shamir_threshold, keys)?;
    reformed.rule = edited.rule;
    reformed.mac_only_encrypted = edited.mac_only_encrypted;
    reformed.version = edited.version;
    reformed.unknown = edited.unknown;
    Ok(reformed)
}
