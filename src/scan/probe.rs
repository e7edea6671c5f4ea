//! Looks through bytes in memory, for who tries readers of containers on any input.

use super::dig::{Digger, Shared};
use super::eyes::Wanted;
use super::gap::Limits;
use super::matcher::Matcher;
use super::needle::{Known, Needles};
use crate::plaintext::Plaintext;

/// Looks for one value, with small limits.
pub struct Probe(Matcher);

impl Probe {
    /// For this value.
    pub fn new(value: &[u8]) -> Self {
        let value = Plaintext::copy_of(value);
        let known = Known { file: String::new(), key_path: String::new(), value };
        Self(Matcher::new(&Needles::of(vec![known]).0, false))
    }

    /// How often the value is found in the bytes and in the containers in them, and how many parts
    /// could not be looked at.
    pub fn look(&self, bytes: &[u8]) -> (usize, usize) {
        let limits = Limits { depth: 6, bytes: 8 << 20, ratio: 500 };
        let mut shared = Shared::new(Wanted { matcher: &self.0, pack: None }, limits);
        // So small that inputs of a fuzzer meet their edges.
        shared.buffer = 2 << 10;
        let (_, found, gaps) = Digger::new(&shared).file(&mut &*bytes, None);
        (found.len(), gaps.len())
    }
}
