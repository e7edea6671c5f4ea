//! The data key of a file: found with an identity or `gpg` ([`unwrap`]), wrapped for every reader
//! ([`wrap()`]), and shared among groups of them. Knows no document; whether it is the right one is
//! told by the MAC alone.

mod locked;
mod order;
mod unwrap;
mod wrap;

use std::io;

use crate::key;
use crate::plaintext::Plaintext;

pub use locked::{Locked, LockedGroup, LockedKey, Reason};
pub use order::{DecryptionOrder, OrderError};
pub use unwrap::unwrap;
pub use wrap::{Rewrap, RewrapError, wrap};

/// Bytes of a data key.
pub const DATA_KEY: usize = 32;

/// The key that the values of a file are encrypted with.
#[derive(Debug)]
pub struct DataKey {
    key: Plaintext,
    /// The shares that it was put together from, by group; none where it was not.
    shares: Vec<Option<Plaintext>>,
}

impl DataKey {
    /// A random one.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = vec![0; DATA_KEY];
        key::fill_random(&mut bytes)?;
        Ok(Self { key: Plaintext::new(bytes), shares: Vec::new() })
    }

    /// One that was unwrapped; `None` where it is not 32 bytes.
    pub fn from_plaintext(bytes: Plaintext) -> Option<Self> {
        (bytes.len() == DATA_KEY).then_some(Self { key: bytes, shares: Vec::new() })
    }

    /// Its bytes, for the cipher.
    pub fn plaintext(&self) -> &Plaintext {
        &self.key
    }
}

#[cfg(test)]
mod tests;
