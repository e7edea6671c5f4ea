//! STREAM, the payload of an age file (C2SP `age.md`, "Payload"): a nonce of 16 bytes, then
//! chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under its number.
//!
//! Chunks are independent, so several are worked on at once; memory stays at one batch.

use std::io::{self, Read, Write};

use age_core::format::FileKey;
use age_core::primitives::hkdf;
use age_core::secrecy::ExposeSecret;
use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Tag};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Bytes of plaintext in a chunk.
const CHUNK: usize = 64 * 1024;
/// Bytes of the authentication tag behind each chunk.
const TAG: usize = 16;
const SEALED: usize = CHUNK + TAG;
/// Chunks in memory at once: 1 MiB.
const BATCH: usize = 16;
/// Bytes of the nonce before the first chunk.
pub(crate) const NONCE: usize = 16;

/// Why a payload could not be opened.
#[derive(Debug)]
pub enum StreamError {
    /// The file ends before the nonce does.
    NoNonce,
    /// A chunk is forged, damaged, missing or out of order; everything before it was released.
    Chunk {
        /// Its number, from 0.
        number: u64,
    },
    /// The source could not be read.
    Read(io::Error),
    /// The destination could not be written.
    Write(io::Error),
}

/// Encrypts all of `source`, nonce first.
pub(crate) fn seal(
    file_key: &FileKey,
    nonce: &[u8; NONCE],
    source: &mut dyn Read,
    sink: &mut dyn Write,
) -> Result<(), StreamError> {
    sink.write_all(nonce).map_err(StreamError::Write)?;
    let cipher = cipher(file_key, nonce);
    let mut plain = Batch::new(CHUNK);
    let mut sealed = vec![0_u8; SEALED];
    let mut number = 0;
    loop {
        let end = plain.fill(source)?;
        let chunks = plain.chunks(end);
        let count = chunks.len();
        let last = if end { count.checked_sub(1) } else { None };
        sealed.resize(sealed.len().max(count.saturating_mul(SEALED)), 0);
        let work = |(index, (chunk, out)): (usize, (&&[u8], &mut [u8]))| {
            let (body, rest) = out.split_at_mut_checked(chunk.len())?;
            body.copy_from_slice(chunk);
            let nonce = chunk_nonce(number, index, last == Some(index));
            let tag = cipher.encrypt_in_place_detached(&nonce.into(), &[], body).ok()?;
            rest.get_mut(..TAG)?.copy_from_slice(&tag);
            Some(chunk.len().saturating_add(TAG))
        };
        let pairs = chunks.par_iter().zip(sealed.par_chunks_mut(SEALED)).enumerate();
        let lengths: Option<Vec<usize>> = if count > 1 {
            pairs.map(work).collect()
        } else {
            run_here(&chunks, &mut sealed, work)
        };
        let lengths = lengths.ok_or(StreamError::Chunk { number })?;
        for (out, length) in sealed.chunks(SEALED).zip(lengths) {
            sink.write_all(out.get(..length).unwrap_or_default()).map_err(StreamError::Write)?;
        }
        if end {
            return Ok(());
        }
        number = number.saturating_add(count as u64);
        plain.keep_rest();
    }
}

/// Decrypts to the end of `source`. What is written to `sink` is authentic, but the whole is
/// only complete when the result is `Ok`.
pub(crate) fn open(
    file_key: &FileKey,
    source: &mut dyn Read,
    sink: &mut dyn Write,
) -> Result<(), StreamError> {
    let nonce = read_nonce(source)?;
    let cipher = cipher(file_key, &nonce);
    let mut sealed = Batch::new(SEALED);
    let mut number: u64 = 0;
    loop {
        let end = sealed.fill(source)?;
        let ready = sealed.ready_mut(end);
        let count = ready.len().div_ceil(SEALED);
        let last = if end { count.checked_sub(1) } else { None };
        let work = |(index, chunk): (usize, &mut [u8])| {
            let length = chunk.len().checked_sub(TAG)?;
            let first = index == 0 && number == 0;
            let full = length == CHUNK;
            let (body, tag) = chunk.split_at_mut_checked(length)?;
            let tag = Tag::from_slice(tag);
            let mut fits = |last: bool| {
                let nonce = chunk_nonce(number, index, last);
                // The tag is checked first: a chunk that does not open stays as it is.
                cipher.decrypt_in_place_detached(&nonce.into(), &[], body, tag).is_ok()
            };
            let is_last = last == Some(index);
            if fits(is_last) {
                // Only a payload that is empty as a whole may end with an empty chunk.
                (length > 0 || first).then_some((length, true))
            } else {
                // An authentic chunk in a place where the payload should go on, or end.
                (full && fits(!is_last)).then_some((length, false))
            }
        };
        let opened: Vec<Option<(usize, bool)>> = if count > 1 {
            ready.par_chunks_mut(SEALED).enumerate().map(work).collect()
        } else {
            ready.chunks_mut(SEALED).enumerate().map(work).collect()
        };
        for (index, (chunk, opened)) in ready.chunks(SEALED).zip(opened).enumerate() {
            let number = number.saturating_add(index as u64);
            let Some((length, in_place)) = opened else {
                return Err(StreamError::Chunk { number });
            };
            let body = chunk.get(..length).unwrap_or_default();
            sink.write_all(body).map_err(StreamError::Write)?;
            if !in_place {
                return Err(StreamError::Chunk { number: number.saturating_add(1) });
            }
        }
        if end {
            return if count == 0 { Err(StreamError::Chunk { number }) } else { Ok(()) };
        }
        number = number.saturating_add(count as u64);
        sealed.keep_rest();
    }
}

/// One chunk alone needs no other thread.
fn run_here<'a>(
    chunks: &'a [&'a [u8]],
    sealed: &'a mut [u8],
    work: impl Fn((usize, (&&'a [u8], &mut [u8]))) -> Option<usize>,
) -> Option<Vec<usize>> {
    chunks.iter().zip(sealed.chunks_mut(SEALED)).enumerate().map(work).collect()
}

fn read_nonce(source: &mut dyn Read) -> Result<[u8; NONCE], StreamError> {
    let mut nonce = [0; NONCE];
    source.read_exact(&mut nonce).map_err(|error| {
        let short = error.kind() == io::ErrorKind::UnexpectedEof;
        if short { StreamError::NoNonce } else { StreamError::Read(error) }
    })?;
    Ok(nonce)
}

fn cipher(file_key: &FileKey, nonce: &[u8; NONCE]) -> ChaCha20Poly1305 {
    let key = Zeroizing::new(hkdf(nonce, b"payload", file_key.expose_secret()));
    ChaCha20Poly1305::new(key.as_slice().into())
}

/// Number as 11 bytes big endian, then 1 for the last chunk.
fn chunk_nonce(first: u64, index: usize, last: bool) -> [u8; 12] {
    let number = u128::from(first).saturating_add(index as u128);
    let wide = (number << 8) | u128::from(last);
    let mut nonce = [0; 12];
    nonce.copy_from_slice(wide.to_be_bytes().last_chunk::<12>().unwrap_or(&[0; 12]));
    nonce
}

/// A buffer of up to [`BATCH`] chunks and one byte more, which tells whether a chunk is the last.
struct Batch {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
    chunk: usize,
}

impl Batch {
    fn new(chunk: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::new()), filled: 0, chunk }
    }

    fn full(&self) -> usize {
        self.chunk.saturating_mul(BATCH)
    }

    /// Reads until the batch is full or the source ends; says whether it ended.
    fn fill(&mut self, source: &mut dyn Read) -> Result<bool, StreamError> {
        let limit = self.full().saturating_add(1);
        loop {
            if self.filled == limit {
                return Ok(false);
            }
            if self.filled == self.bytes.len() {
                // Small files stay in a small buffer; a copy of the old one would not be wiped.
                let size = if self.bytes.is_empty() { self.chunk.saturating_add(1) } else { limit };
                let mut grown = Zeroizing::new(vec![0; size]);
                if let Some(start) = grown.get_mut(..self.filled) {
                    start.copy_from_slice(&self.bytes);
                }
                self.bytes = grown;
            }
            match source.read(self.bytes.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => return Ok(true),
                Ok(n) => self.filled = self.filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(StreamError::Read(e)),
            }
        }
    }

    /// How many bytes are chunks now: all at the end, else all but the one read ahead.
    fn ready(&self, end: bool) -> usize {
        if end { self.filled } else { self.full() }
    }

    /// The chunks; at the end of an empty source one empty chunk.
    fn chunks(&self, end: bool) -> Vec<&[u8]> {
        let ready = self.bytes.get(..self.ready(end)).unwrap_or_default();
        if ready.is_empty() { vec![&[]] } else { ready.chunks(self.chunk).collect() }
    }

    fn ready_mut(&mut self, end: bool) -> &mut [u8] {
        let ready = self.ready(end);
        self.bytes.get_mut(..ready).unwrap_or_default()
    }

    /// Moves the byte that was read ahead to the front.
    fn keep_rest(&mut self) {
        let full = self.full();
        let ahead = self.bytes.get(full).copied();
        if let (Some(ahead), Some(first)) = (ahead, self.bytes.first_mut()) {
            *first = ahead;
        }
        self.filled = self.filled.saturating_sub(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FileKey {
        FileKey::new(Box::new([5; 16]))
    }

    #[test]
    fn every_length_around_the_borders_round_trips() {
        let borders = [0, 1, CHUNK, CHUNK * 2, CHUNK * BATCH, CHUNK * (BATCH + 1)];
        for length in borders.iter().flat_map(|&l| [l.saturating_sub(1), l, l + 1]) {
            let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut sealed = Vec::new();
            seal(&key(), &[1; NONCE], &mut plain.as_slice(), &mut sealed).unwrap();
            let chunks = length.div_ceil(CHUNK).max(1);
            assert_eq!(sealed.len(), NONCE + length + chunks * TAG);
            let mut opened = Vec::new();
            open(&key(), &mut sealed.as_slice(), &mut opened).unwrap();
            assert_eq!(opened, plain, "length {length}");
        }
    }

    #[test]
    fn a_cut_or_flipped_payload_releases_only_what_is_authentic() {
        let plain = vec![7; CHUNK * 3 + 10];
        let mut sealed = Vec::new();
        seal(&key(), &[1; NONCE], &mut plain.as_slice(), &mut sealed).unwrap();
        let cut = &sealed[..NONCE + SEALED * 2];
        let mut opened = Vec::new();
        let error = open(&key(), &mut &*cut, &mut opened).unwrap_err();
        assert!(matches!(error, StreamError::Chunk { number: 2 }));
        assert_eq!(opened.len(), CHUNK * 2);
        sealed[NONCE + SEALED + 3] ^= 1;
        let mut opened = Vec::new();
        assert!(open(&key(), &mut sealed.as_slice(), &mut opened).is_err());
        assert_eq!(opened.len(), CHUNK);
    }
}
