//! The only holder of decrypted bytes. Wiped on drop; one way out, [`Plaintext::expose`].
//!
//! No `Clone`, `Display`, `Serialize` or `Deref`, so that no copy is made by accident.

use std::fmt;
use std::io::{self, Read};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Decrypted or decryptable bytes: the content of a secret, a private key, a passphrase.
#[derive(Default)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes over `bytes`; they are wiped when the value is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// An empty value with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::new(Vec::with_capacity(capacity))
    }

    /// Copies a slice, for parts of other plaintexts.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// Appends bytes. Growth moves to a new buffer and wipes the old one.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = Zeroizing::new(grown);
        }
        self.0.extend_from_slice(bytes);
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// `FileTooLarge` when there are more than `limit` bytes, or the error of the reader.
    pub fn read_from(reader: &mut dyn Read, limit: usize) -> io::Result<Self> {
        let mut all = Self::with_capacity(4096);
        let mut chunk = Zeroizing::new([0_u8; 4096]);
        loop {
            match reader.read(chunk.as_mut_slice()) {
                Ok(0) => return Ok(all),
                Ok(n) => all.extend(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            if all.len() > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in constant time (the length is not hidden).
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// The bytes. Each use is a door, carries a reason, and is counted by
    /// `tests/architecture.rs`.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Plaintext::copy_of(b"canary")), "Plaintext(..)");
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let mut source: &[u8] = &[7; 5000];
        let error = Plaintext::read_from(&mut source, 4999).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let mut source: &[u8] = &[7; 5000];
        assert_eq!(Plaintext::read_from(&mut source, 5000).unwrap().len(), 5000);
    }

    #[test]
    fn growth_keeps_the_bytes() {
        let mut text = Plaintext::default();
        for i in 0..100_u8 {
            text.extend(&[i]);
        }
        assert!(text.same_as(&Plaintext::new((0..100).collect())));
    }
}
