//! Looks for the fingerprints of a pack in bytes that come in chunks, as they are and decoded.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::super::form::Form;
use super::super::matcher::{Hit, What};
use super::super::rolling::Rolling;
use super::{Entry, Pack, PackId, PackKey, ROLLING_BITS, fingerprint, views};

/// Bytes that are looked at together.
const BLOCK: usize = 64 << 10;
/// Bits of the beginning of a rolling hash that is looked at first.
const COARSE_BITS: u32 = 17;
/// Bytes of the last block that are looked at again: the longest window in the longest escapes.
const OVERLAP: usize = 2 << 10;

/// A search through one stream at a time.
pub struct PackSearch {
    lengths: Vec<Length>,
    fingerprints: Zeroizing<[u8; 32]>,
    kept: Zeroizing<Vec<u8>>,
    base: u64,
    /// An entry is told once a stream.
    told: BTreeSet<PackId>,
}

/// All entries of one length.
struct Length {
    bytes: usize,
    rolling: Rolling,
    /// One bit for each beginning of a rolling hash that occurs, small enough for the nearest cache.
    coarse: Vec<u64>,
    /// One bit for each rolling hash that occurs.
    bits: Vec<u64>,
    entries: BTreeMap<u32, Vec<Entry>>,
}

impl PackSearch {
    /// Prepares the search; one for each thread.
    pub fn new(pack: &Pack, key: &PackKey) -> Self {
        let mut lengths: BTreeMap<usize, Length> = BTreeMap::new();
        for entry in &pack.entries {
            let length = lengths.entry(entry.length).or_insert_with(|| Length {
                bytes: entry.length,
                rolling: key.rolling(entry.length),
                coarse: vec![0; 1 << (COARSE_BITS - 6)],
                bits: vec![0; 1 << (ROLLING_BITS - 6)],
                entries: BTreeMap::new(),
            });
            let (word, bit) = place(entry.rolling);
            if let Some(word) = length.bits.get_mut(word) {
                *word |= bit;
            }
            let (word, bit) = place(entry.rolling >> (ROLLING_BITS - COARSE_BITS));
            if let Some(word) = length.coarse.get_mut(word) {
                *word |= bit;
            }
            length.entries.entry(entry.rolling).or_default().push(*entry);
        }
        Self {
            lengths: lengths.into_values().collect(),
            fingerprints: key.fingerprints(),
            kept: Zeroizing::new(Vec::with_capacity(2 * BLOCK)),
            base: 0,
            told: BTreeSet::new(),
        }
    }

    /// The next bytes.
    pub fn feed(&mut self, chunk: &[u8], found: &mut dyn FnMut(Hit)) {
        for piece in chunk.chunks(BLOCK) {
            self.kept.extend_from_slice(piece);
            if self.kept.len() >= BLOCK {
                self.block(found);
                let gone = self.kept.len().saturating_sub(OVERLAP);
                self.kept.drain(..gone);
                self.base = self.base.saturating_add(gone as u64);
            }
        }
    }

    /// The stream is over: tells what is left and starts again at offset 0.
    pub fn end(&mut self, found: &mut dyn FnMut(Hit)) {
        self.block(found);
        self.kept.clear();
        self.base = 0;
        self.told.clear();
    }

    fn block(&mut self, found: &mut dyn FnMut(Hit)) {
        let kept = Zeroizing::new(std::mem::take(&mut *self.kept));
        let base = self.base;
        let mut told = std::mem::take(&mut self.told);
        views::each(&kept, &mut |view, start| {
            self.look(view, &mut |id, at| {
                if told.insert(id) {
                    let inside = start.unwrap_or(at);
                    found(Hit {
                        what: What::Fingerprint(id),
                        form: Form::Fingerprint,
                        offset: base.saturating_add(inside as u64),
                        length: 0,
                        weak: false,
                    });
                }
            });
        });
        self.told = told;
        self.kept = kept;
    }

    fn look(&self, view: &[u8], found: &mut dyn FnMut(PackId, usize)) {
        for length in &self.lengths {
            length.rolling.each(view, ROLLING_BITS, &mut |at, hash| {
                let (word, bit) = place(hash >> (ROLLING_BITS - COARSE_BITS));
                if length.coarse.get(word).is_none_or(|word| word & bit == 0) {
                    return;
                }
                let (word, bit) = place(hash);
                if length.bits.get(word).is_none_or(|word| word & bit == 0) {
                    return;
                }
                let end = at.saturating_add(length.bytes);
                let Some(window) = view.get(at..end) else { return };
                let print = fingerprint(&self.fingerprints, window);
                for entry in length.entries.get(&hash).into_iter().flatten() {
                    if entry.fingerprint == print {
                        found(entry.id, at);
                    }
                }
            });
        }
    }
}

/// The word of a hash in the table, and its bit.
fn place(hash: u32) -> (usize, u64) {
    (usize::try_from(hash >> 6).unwrap_or(usize::MAX), 1 << (hash & 63))
}
