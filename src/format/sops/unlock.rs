//! A sops file from its bytes to its values: read it, find its data key, decrypt. Reads no path.

use std::fmt;
use std::path::Path;

use super::data_key::{self, DataKey, Locked};
use super::file::{self, MacCheck, Opened, SopsError, SopsFile};
use super::store::Store;
use crate::format::keys::Keys;
use crate::plaintext::Plaintext;

/// Most bytes of a sops file, whose values are in Base64: 96 MiB.
pub const MAX_FILE: usize = 96 * 1024 * 1024;

/// A decrypted file and the key of its values.
#[derive(Debug)]
pub struct Unlocked {
    /// The values.
    pub opened: Opened,
    /// The key that they were encrypted with.
    pub key: DataKey,
}

/// Reads a file; no key is needed.
///
/// # Errors
/// [`UnlockError::NotEncrypted`], [`UnlockError::Sops`].
pub fn parse(text: Plaintext, store: Store) -> Result<SopsFile, UnlockError> {
    // Any file is binary; an encrypted one is JSON.
    let is_binary = store == Store::Binary;
    SopsFile::read(store, text).map_err(|error| {
        let plain = matches!(error, SopsError::NotEncrypted)
            || is_binary && matches!(error, SopsError::Parse(_));
        if plain { UnlockError::NotEncrypted } else { UnlockError::Sops(error) }
    })
}

/// What kind of document an encrypted text is: what its name says, and where that says nothing,
/// what is in it.
pub fn store_of(name: &Path, text: &Plaintext) -> Store {
    let named = Store::of_path(name);
    let is_whole = |text| {
        let tree = Store::Binary.read(text).unwrap_or_default();
        let root = tree.documents.first().map(|document| &document.root);
        root.is_some_and(|root| root.entries().all(|entry| entry.key == "data"))
    };
    if named != Store::Binary || is_whole(text) {
        return named;
    }
    let others = [Store::Json, Store::Yaml, Store::Ini, Store::Dotenv];
    let fits = |store: &Store| file::is_encrypted(*store, text).unwrap_or(false);
    others.into_iter().find(fits).unwrap_or(named)
}

/// Finds the data key of a file and decrypts its values.
///
/// # Errors
/// [`UnlockError::Locked`], [`UnlockError::Sops`].
pub fn unlock(
    file: SopsFile,
    keys: &mut Keys<'_>,
    check: MacCheck,
) -> Result<Unlocked, UnlockError> {
    let key = key_of(&file, keys)?;
    let opened = file.open(&key, check).map_err(UnlockError::Sops)?;
    Ok(Unlocked { opened, key })
}

/// The data key of a file.
///
/// # Errors
/// [`UnlockError::Locked`].
pub fn key_of(file: &SopsFile, keys: &mut Keys<'_>) -> Result<DataKey, UnlockError> {
    let mut found = data_key::unwrap(&[file.metadata()], keys);
    found.pop().ok_or(UnlockError::NotEncrypted)?.map_err(UnlockError::Locked)
}

/// Why a text was not decrypted.
#[derive(Debug)]
pub enum UnlockError {
    /// It is not encrypted.
    NotEncrypted,
    /// No key opens it.
    Locked(Locked),
    /// It cannot be read or decrypted.
    Sops(SopsError),
}

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEncrypted => f.write_str("it is not encrypted"),
            Self::Locked(error) => error.fmt(f),
            Self::Sops(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UnlockError {}
