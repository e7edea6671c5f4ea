//! The data key of a file: found with an identity or `gpg`, wrapped for every reader, and shared
//! among groups of them. The place where key services plug in. Knows no document.

use std::io;

use crate::key;
use crate::plaintext::Plaintext;

/// Bytes of a data key.
pub const DATA_KEY: usize = 32;

/// The key that the values of a file are encrypted with.
#[derive(Debug)]
pub struct DataKey(Plaintext);

impl DataKey {
    /// A random one.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = vec![0; DATA_KEY];
        key::fill_random(&mut bytes)?;
        Ok(Self(Plaintext::new(bytes)))
    }

    /// One that was unwrapped; `None` where it is not 32 bytes.
    pub fn from_plaintext(bytes: Plaintext) -> Option<Self> {
        (bytes.len() == DATA_KEY).then_some(Self(bytes))
    }

    /// Its bytes, for the cipher.
    pub fn plaintext(&self) -> &Plaintext {
        &self.0
    }
}
