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
/// Bytes of the buffer that is enough for most secrets.
const SMALL: usize = 4096;
/// Bytes of the buffer in which most are opened: what is wiped takes its time.
const TINY: usize = 512;
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

/// Encrypts all of `source`, nonce first. Chunks are read to where they are sealed in place.
pub(crate) fn seal(
    file_key: &FileKey,
    nonce: &[u8; NONCE],
    source: &mut dyn Read,
    sink: &mut dyn Write,
) -> Result<(), StreamError> {
    sink.write_all(nonce).map_err(StreamError::Write)?;
    let cipher = cipher(file_key, nonce);
    // Most secrets are small, and what is wiped at the end should be too.
    let mut head = Zeroizing::new(vec![0_u8; SMALL]);
    let length = read_full(source, &mut head)?;
    if length < SMALL {
        let body = head.get_mut(..length).unwrap_or_default();
        let nonce = chunk_nonce(0, 0, true);
        let tag = cipher.encrypt_in_place_detached(&nonce.into(), &[], body);
        let tag = tag.map_err(|_| StreamError::Chunk { number: 0 })?;
        let written = sink.write_all(body).and_then(|()| sink.write_all(&tag));
        return written.map_err(StreamError::Write);
    }
    let source: &mut dyn Read = &mut head.as_slice().chain(source);
    let mut slots = Zeroizing::new(vec![0_u8; SEALED]);
    let mut ahead = None;
    let mut number: u64 = 0;
    loop {
        let (lengths, end) = fill_slots(source, &mut slots, &mut ahead)?;
        let count = lengths.len();
        let last = if end { count.checked_sub(1) } else { None };
        let work = |(index, (slot, length)): (usize, (&mut [u8], &usize))| {
            let (body, rest) = slot.split_at_mut_checked(*length)?;
            let nonce = chunk_nonce(number, index, last == Some(index));
            let tag = cipher.encrypt_in_place_detached(&nonce.into(), &[], body).ok()?;
            rest.get_mut(..TAG)?.copy_from_slice(&tag);
            Some(())
        };
        let sealed: Option<()> = if count > 1 {
            slots.par_chunks_mut(SEALED).zip(&lengths).enumerate().map(work).collect()
        } else {
            slots.chunks_mut(SEALED).zip(&lengths).enumerate().map(work).collect()
        };
        sealed.ok_or(StreamError::Chunk { number })?;
        for (slot, length) in slots.chunks(SEALED).zip(lengths) {
            let sealed = slot.get(..length.saturating_add(TAG)).unwrap_or_default();
            sink.write_all(sealed).map_err(StreamError::Write)?;
        }
        if end {
            return Ok(());
        }
        number = number.saturating_add(count as u64);
        // One chunk was not enough: from here on a whole batch.
        if count == 1 {
            slots = Zeroizing::new(vec![0; SEALED.saturating_mul(BATCH)]);
        }
    }
}

/// Fills the slots with a chunk each and tells their lengths, and whether the source ended.
/// `ahead` is the byte that was read to know it.
fn fill_slots(
    source: &mut dyn Read,
    slots: &mut [u8],
    ahead: &mut Option<u8>,
) -> Result<(Vec<usize>, bool), StreamError> {
    let mut lengths = Vec::with_capacity(BATCH);
    for slot in slots.chunks_mut(SEALED) {
        let body = slot.get_mut(..CHUNK).unwrap_or_default();
        let mut length = 0_usize;
        if let (Some(byte), Some(first)) = (ahead.take(), body.first_mut()) {
            *first = byte;
            length = 1;
        }
        length =
            length.saturating_add(read_full(source, body.get_mut(length..).unwrap_or_default())?);
        // An empty chunk is the payload of an empty file, and nothing else.
        if length > 0 || lengths.is_empty() {
            lengths.push(length);
        }
        if length < CHUNK {
            return Ok((lengths, true));
        }
    }
    let mut byte = [0];
    let end = read_full(source, &mut byte)? == 0;
    *ahead = if end { None } else { byte.first().copied() };
    Ok((lengths, end))
}

/// Reads until the buffer is full or the source ends.
fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, StreamError> {
    let mut filled = 0;
    loop {
        let rest = buffer.get_mut(filled..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(filled);
        }
        match source.read(rest) {
            Ok(0) => return Ok(filled),
            Ok(n) => filled = filled.saturating_add(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(StreamError::Read(e)),
        }
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
    let mut sealed = Batch::new();
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

/// A buffer of up to [`BATCH`] sealed chunks and one byte more, which tells whether a chunk is the last.
struct Batch {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl Batch {
    const FULL: usize = SEALED * BATCH;

    fn new() -> Self {
        Self { bytes: Zeroizing::new(Vec::new()), filled: 0 }
    }

    /// Reads until the batch is full or the source ends; says whether it ended.
    fn fill(&mut self, source: &mut dyn Read) -> Result<bool, StreamError> {
        let limit = Self::FULL.saturating_add(1);
        loop {
            if self.filled == self.bytes.len() {
                // Small files stay in a small buffer; a copy of the old one would not be wiped.
                let size = match self.bytes.len() {
                    0 => TINY,
                    TINY => SMALL,
                    SMALL => SEALED.saturating_add(1),
                    _ => limit,
                };
                let mut grown = Zeroizing::new(vec![0; size]);
                if let Some(start) = grown.get_mut(..self.filled) {
                    start.copy_from_slice(&self.bytes);
                }
                self.bytes = grown;
            }
            let rest = self.bytes.get_mut(self.filled..).unwrap_or_default();
            let wanted = rest.len();
            let read = read_full(source, rest)?;
            self.filled = self.filled.saturating_add(read);
            if read < wanted {
                return Ok(true);
            }
            if self.filled == limit {
                return Ok(false);
            }
        }
    }

    /// How many bytes are chunks now: all at the end, else all but the one read ahead.
    fn ready(&self, end: bool) -> usize {
        if end { self.filled } else { Self::FULL }
    }

    fn ready_mut(&mut self, end: bool) -> &mut [u8] {
        let ready = self.ready(end);
        self.bytes.get_mut(..ready).unwrap_or_default()
    }

    /// Moves the byte that was read ahead to the front.
    fn keep_rest(&mut self) {
        let ahead = self.bytes.get(Self::FULL).copied();
        if let (Some(ahead), Some(first)) = (ahead, self.bytes.first_mut()) {
            *first = ahead;
        }
        self.filled = self.filled.saturating_sub(Self::FULL);
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
        let borders = [0, 1, TINY, SMALL, CHUNK, CHUNK * 2, CHUNK * BATCH, CHUNK * (BATCH + 1)];
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
