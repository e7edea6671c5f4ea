//! Compressed streams: how much memory one needs, and the limits of what comes out of it.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::super::gap::{Limit, Limits, MOST_MEMORY};
use super::Kind;

/// Bytes from the start of a stream that tell its window.
pub(crate) const START: usize = 1536;

/// How far back a compressed stream refers, in bytes, which is what its decoder holds in memory. 0
/// where it is little for every stream of the kind, or not known.
pub(crate) fn window(kind: Kind, start: &[u8]) -> u64 {
    match kind {
        Kind::Zstd => zstd_window(start),
        Kind::Xz => xz_window(start).unwrap_or_default(),
        // no more is held, whatever it asks for
        Kind::Lzma => lzma_window(start).min(MOST_MEMORY),
        Kind::Gzip
        | Kind::Bzip2
        | Kind::Zlib
        | Kind::Deflate
        | Kind::Cpio
        | Kind::Tar
        | Kind::Zip
        | Kind::Nar
        | Kind::Ar
        | Kind::Squashfs
        | Kind::Sqlite
        | Kind::Derivation
        | Kind::GitPack => 0,
    }
}

/// RFC 8878, 3.1.1.1.
fn zstd_window(start: &[u8]) -> u64 {
    let descriptor = start.get(4).copied().unwrap_or_default();
    if descriptor & 0x20 == 0 {
        let window = u64::from(start.get(5).copied().unwrap_or_default());
        let base = 1_u64 << (10_u64.saturating_add(window >> 3));
        return base.saturating_add((base >> 3).saturating_mul(window & 7));
    }
    let at = [5, 6, 7, 9].get(usize::from(descriptor & 3)).copied().unwrap_or(5);
    let length = [1, 2, 4, 8].get(usize::from(descriptor >> 6)).copied().unwrap_or(1_usize);
    let mut size = [0_u8; 8];
    for (to, from) in size.iter_mut().zip(start.get(at..).unwrap_or_default().iter().take(length)) {
        *to = *from;
    }
    u64::from_le_bytes(size)
}

/// The dictionary of the first block (`xz-file-format.txt`, 3.1 and 5.3.1).
fn xz_window(start: &[u8]) -> Option<u64> {
    let header = start.get(12..)?;
    let flags = *header.get(1)?;
    let mut rest = header.get(2..)?;
    for present in [flags & 0x40, flags & 0x80] {
        if present != 0 {
            multibyte(&mut rest)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (id, length) = (multibyte(&mut rest)?, multibyte(&mut rest)?);
        let properties = rest.get(..usize::try_from(length).ok()?)?;
        if id == 0x21 {
            let bits = u32::from(*properties.first()?);
            let shift = (bits >> 1).saturating_add(11);
            return if bits >= 40 {
                Some(u64::MAX)
            } else {
                Some(u64::from(2 | bits & 1) << shift)
            };
        }
        rest = rest.get(properties.len()..)?;
    }
    None
}

fn lzma_window(start: &[u8]) -> u64 {
    let header = start.get(1..5).and_then(|four| four.first_chunk().copied());
    u32::from_le_bytes(header.unwrap_or_default()).into()
}

fn multibyte(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A decoder that counts what it has made.
pub(crate) trait Counts: Read {
    /// All bytes so far.
    fn made(&self) -> u64;
}

impl<R: BufRead> Counts for flate2::bufread::ZlibDecoder<R> {
    fn made(&self) -> u64 {
        self.total_out()
    }
}

impl<R: BufRead> Counts for flate2::bufread::DeflateDecoder<R> {
    fn made(&self) -> u64 {
        self.total_out()
    }
}

impl<R: BufRead> Counts for bzip2::bufread::BzDecoder<R> {
    fn made(&self) -> u64 {
        self.total_out()
    }
}

/// Gives what a decoder has made before it failed, and then the error.
pub(crate) struct Salvage<D> {
    decoder: D,
    given: u64,
    failed: Option<io::Error>,
}

impl<D: Counts> Salvage<D> {
    pub(crate) fn new(decoder: D) -> Self {
        Self { decoder, given: 0, failed: None }
    }
}

impl<D: Counts> Read for Salvage<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let read = match self.decoder.read(buffer) {
            Ok(read) => read,
            Err(error) => {
                let more = self.decoder.made().saturating_sub(self.given);
                let more = usize::try_from(more).unwrap_or(0).min(buffer.len());
                if more == 0 {
                    return Err(error);
                }
                self.failed = Some(error);
                more
            }
        };
        self.given = self.given.saturating_add(read as u64);
        Ok(read)
    }
}

/// Reads what a decoder makes, within limits.
pub(crate) struct Guard<'a> {
    decoder: &'a mut dyn Read,
    /// Bytes taken by the decoder, and how many there were before it.
    taken: Rc<Cell<u64>>,
    before: u64,
    /// Bytes that came out of this one.
    pub(crate) given: u64,
    /// And out of all in the same file.
    all: Rc<Cell<u64>>,
    limits: &'a Limits,
    /// The limit that was reached.
    pub(crate) cut: Option<Limit>,
    /// Told as soon as what came before it was given.
    failed: Option<io::Error>,
}

impl<'a> Guard<'a> {
    /// `taken` counts what the decoder takes, `all` what comes out of all decoders of a file.
    pub(crate) fn new(
        decoder: &'a mut dyn Read,
        taken: Rc<Cell<u64>>,
        all: Rc<Cell<u64>>,
        limits: &'a Limits,
    ) -> Self {
        let before = taken.get();
        Self { decoder, taken, before, given: 0, all, limits, cut: None, failed: None }
    }
}

impl Read for Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0_usize;
        while self.failed.is_none()
            && let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty())
        {
            // what a decoder makes in the call that fails is lost with most of them
            let room = rest.len().min(STEP);
            match self.decoder.read(rest.get_mut(..room).unwrap_or_default()) {
                Ok(0) => break,
                Ok(more) => read = read.saturating_add(more),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        if read == 0
            && let Some(error) = self.failed.take()
        {
            if error.kind() == io::ErrorKind::OutOfMemory {
                self.cut = Some(Limit::Memory);
            }
            return Err(error);
        }
        self.given = self.given.saturating_add(read as u64);
        self.all.set(self.all.get().saturating_add(read as u64));
        let taken = self.taken.get().saturating_sub(self.before).max(1);
        if self.all.get() > self.limits.bytes {
            self.cut = Some(Limit::Bytes);
        } else if self.given > FREE && self.given > taken.saturating_mul(self.limits.ratio) {
            self.cut = Some(Limit::Ratio);
        }
        if self.cut.is_some() {
            self.failed = Some(io::Error::other("a limit"));
        }
        Ok(read)
    }
}

/// Bytes that a decoder is asked for at once.
const STEP: usize = 4 << 10;
/// Bytes that may come out of anything.
const FREE: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_from_headers() {
        // `zstd -19 --long=27`, `zstd -3` of 100 bytes, `xz -9`, made by these programs.
        assert_eq!(window(Kind::Zstd, b"\x28\xb5\x2f\xfd\x04\x88"), 128 << 20);
        assert_eq!(window(Kind::Zstd, b"\x28\xb5\x2f\xfd\x24\x64"), 100);
        let xz = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x1c\0\0\0";
        assert_eq!(window(Kind::Xz, xz), 64 << 20);
        assert_eq!(window(Kind::Xz, b"\xfd7zXZ\0"), 0);
    }
}
