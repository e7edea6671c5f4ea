//! LZMA files, the format before xz, as `lzma-specification.txt` of the LZMA SDK has it; with the properties that
//! programs write (`lc` 3, `lp` 0, `pb` 2), which the mark of the format demands.
//!
//! The library that reads xz has a reader for these, too. It takes what follows, as in an initrd, with what
//! it decodes, and 28 KB of program.

use std::io::{self, BufRead, Read};

/// Decodes such a file, and takes no byte behind it.
pub(crate) struct Lzma<'a> {
    source: &'a mut dyn BufRead,
    /// Bytes of the source that were used and are not taken yet.
    used: usize,
    range: u32,
    code: u32,
    /// The chances of zeros, in parts of 2048.
    chances: Vec<u16>,
    /// What the last symbols were.
    state: usize,
    /// The distances of the last matches, less one.
    distances: [usize; 4],
    window: Vec<u8>,
    /// Most bytes of the window, and where the next one goes.
    size: usize,
    at: usize,
    /// What it is to refer to something further back.
    further: io::ErrorKind,
    made: u64,
    /// Where the header tells it.
    left: Option<u64>,
    /// Bytes of the last match that are still to be made.
    pending: usize,
    over: bool,
    failed: Option<io::Error>,
}

enum Symbol {
    Literal(u8),
    Match,
    End,
}

impl<'a> Lzma<'a> {
    /// Reads the header. However large a window it asks for, no more than `most` bytes are held: what refers to
    /// something further back ends in `OutOfMemory`.
    pub(crate) fn new(source: &'a mut dyn BufRead, most: u64) -> io::Result<Self> {
        let mut header = [0; HEADER];
        source.read_exact(&mut header)?;
        let [0x5d, d0, d1, d2, d3, s0, s1, s2, s3, s4, s5, s6, s7, 0, c0, c1, c2, c3] = header
        else {
            return Err(wrong());
        };
        let asked = u64::from(u32::from_le_bytes([d0, d1, d2, d3])).max(1 << 12);
        let size = asked.min(most);
        let left = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        Ok(Self {
            source,
            used: 0,
            range: u32::MAX,
            code: u32::from_be_bytes([c0, c1, c2, c3]),
            chances: vec![1 << 10; CHANCES],
            state: 0,
            distances: [0; 4],
            window: Vec::new(),
            size: usize::try_from(size).unwrap_or(usize::MAX),
            further: if asked > most {
                io::ErrorKind::OutOfMemory
            } else {
                io::ErrorKind::InvalidData
            },
            at: 0,
            made: 0,
            left: (left != u64::MAX).then_some(left),
            pending: 0,
            over: false,
            failed: None,
        })
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        let complete = self.left == Some(0);
        if self.pending == 0 {
            if complete {
                self.normalize()?;
                self.over |= self.code == 0;
            }
            if self.over {
                return Ok(None);
            }
            match self.symbol()? {
                Symbol::Literal(byte) if !complete => return Ok(Some(self.put(byte))),
                Symbol::End if complete || self.left.is_none() => {
                    self.normalize()?;
                    self.over = true;
                    return if self.code == 0 { Ok(None) } else { Err(wrong()) };
                }
                Symbol::Match if !complete => {}
                Symbol::Literal(_) | Symbol::Match | Symbol::End => return Err(wrong()),
            }
        } else if complete {
            return Err(wrong());
        }
        self.pending = self.pending.saturating_sub(1);
        let byte = self.back(self.distance());
        Ok(Some(self.put(byte)))
    }

    fn put(&mut self, byte: u8) -> u8 {
        match self.window.get_mut(self.at) {
            Some(old) => *old = byte,
            None => self.window.push(byte),
        }
        self.at = self.at.saturating_add(1);
        if self.at >= self.size {
            self.at = 0;
        }
        self.made = self.made.saturating_add(1);
        self.left = self.left.map(|left| left.saturating_sub(1));
        byte
    }

    /// The byte before the last `distance` ones.
    fn back(&self, distance: usize) -> u8 {
        let before = distance.saturating_add(1);
        let at = if before > self.at { self.at.saturating_add(self.window.len()) } else { self.at };
        self.window.get(at.wrapping_sub(before)).copied().unwrap_or_default()
    }

    fn distance(&self) -> usize {
        let [last, ..] = self.distances;
        last
    }

    fn symbol(&mut self) -> io::Result<Symbol> {
        let place = usize::try_from(self.made & 3).unwrap_or_default();
        let (state, both) = (self.state, self.state << 4 | place);
        let short = state < 7;
        if self.bit(IS_MATCH | both)? == 0 {
            return Ok(Symbol::Literal(self.literal()?));
        }
        let length = if self.bit(IS_REPEATED | state)? == 0 {
            self.distances.rotate_right(1);
            self.state = if short { 7 } else { 10 };
            let length = self.length(LENGTHS, place)?;
            let distance = self.new_distance(length)?;
            if let Some(last) = self.distances.first_mut() {
                *last = distance;
            }
            if u32::try_from(distance) == Ok(u32::MAX) {
                return Ok(Symbol::End);
            }
            length.saturating_add(2)
        } else {
            let mut which = 0_usize;
            while which < 3 && self.bit(IS_OLDER.saturating_add(which << 4) | state)? == 1 {
                which = which.saturating_add(1);
            }
            if which == 0 && self.bit(IS_LONG | both)? == 0 {
                self.state = if short { 9 } else { 11 };
                1
            } else {
                self.distances.get_mut(..=which).unwrap_or_default().rotate_right(1);
                self.state = if short { 8 } else { 11 };
                self.length(REPEATED_LENGTHS, place)?.saturating_add(2)
            }
        };
        let distance = self.distance();
        if distance as u64 >= self.made {
            return Err(wrong());
        }
        if distance >= self.size {
            return Err(self.further.into());
        }
        self.pending = length;
        Ok(Symbol::Match)
    }

    fn literal(&mut self) -> io::Result<u8> {
        let context = usize::from(self.back(0) >> 5);
        let base = LITERALS.saturating_add(context.saturating_mul(0x300));
        let mut symbol = 1_usize;
        if self.state >= 7 {
            // behind a match, guided by the byte that would have gone on with it
            let mut guide = usize::from(self.back(self.distance()));
            while symbol < 0x100 {
                guide <<= 1;
                let guided = guide & 0x100;
                let bit = self.bit(base.saturating_add(0x100).saturating_add(guided | symbol))?;
                symbol = symbol << 1 | bit;
                if guided >> 8 != bit {
                    break;
                }
            }
        }
        while symbol < 0x100 {
            symbol = symbol << 1 | self.bit(base.saturating_add(symbol))?;
        }
        self.state = match self.state {
            0..4 => 0,
            state @ 4..10 => state.saturating_sub(3),
            state => state.saturating_sub(6),
        };
        Ok(u8::try_from(symbol & 0xff).unwrap_or_default())
    }

    /// Of a match, less two.
    fn length(&mut self, base: usize, place: usize) -> io::Result<usize> {
        let (start, place, bits) = if self.bit(base)? == 0 {
            (0, 32 | place << 3, 3)
        } else if self.bit(base | 1)? == 0 {
            (8, 64 | place << 3, 3)
        } else {
            (16, 256, 8)
        };
        Ok(self.tree(base | place, bits)?.saturating_add(start))
    }

    fn new_distance(&mut self, length: usize) -> io::Result<usize> {
        let slot = self.tree(SLOTS | length.min(3) << 6, 6)?;
        if slot < 4 {
            return Ok(slot);
        }
        let bits = (slot >> 1).saturating_sub(1);
        let high = (2 | slot & 1) << bits;
        if slot < 14 {
            return Ok(high | self.reverse_tree(MIDDLE | slot << 6, bits)?);
        }
        let mut middle = 0;
        for _ in 4..bits {
            self.normalize()?;
            self.range >>= 1;
            let is_one = self.code >= self.range;
            if is_one {
                self.code = self.code.wrapping_sub(self.range);
            }
            middle = middle << 1 | usize::from(is_one);
        }
        Ok(high | middle << 4 | self.reverse_tree(LOW, 4)?)
    }

    fn tree(&mut self, base: usize, bits: usize) -> io::Result<usize> {
        let mut node = 1;
        for _ in 0..bits {
            node = node << 1 | self.bit(base.saturating_add(node))?;
        }
        Ok(node ^ 1 << bits)
    }

    fn reverse_tree(&mut self, base: usize, bits: usize) -> io::Result<usize> {
        let (mut node, mut value) = (1, 0);
        for shift in 0..bits {
            let bit = self.bit(base.saturating_add(node))?;
            node = node << 1 | bit;
            value |= bit << shift;
        }
        Ok(value)
    }

    fn bit(&mut self, which: usize) -> io::Result<usize> {
        self.normalize()?;
        let chance = self.chances.get_mut(which).ok_or_else(wrong)?;
        let bound = (self.range >> 11).saturating_mul(u32::from(*chance));
        if self.code < bound {
            self.range = bound;
            *chance = chance.saturating_add(2048_u16.saturating_sub(*chance) >> 5);
            Ok(0)
        } else {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
            *chance = chance.saturating_sub(*chance >> 5);
            Ok(1)
        }
    }

    fn normalize(&mut self) -> io::Result<()> {
        if self.range >> 24 == 0 {
            let mut have = self.source.fill_buf()?;
            // all at once would be late for who counts, each alone is slow
            if self.used >= have.len().min(PIECE) {
                self.source.consume(self.used);
                self.used = 0;
                have = self.source.fill_buf()?;
            }
            let byte = have.get(self.used).ok_or(io::ErrorKind::UnexpectedEof)?;
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(*byte);
            self.used = self.used.saturating_add(1);
        }
        Ok(())
    }
}

impl Drop for Lzma<'_> {
    fn drop(&mut self) {
        self.source.consume(self.used);
    }
}

impl Read for Lzma<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut read = 0_usize;
        for to in buffer {
            match self.next() {
                Ok(Some(byte)) => *to = byte,
                Ok(None) => break,
                Err(error) if read == 0 => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
            read = read.saturating_add(1);
        }
        Ok(read)
    }
}

fn wrong() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Properties, size of the window, size of the content, and the first bytes of the code, of which one is
/// always zero.
const HEADER: usize = 18;
/// Bytes that are taken at once.
const PIECE: usize = 1 << 10;
/// Where the chances of each kind begin. Each has room up to a power of two, so that a place in it is set with
/// `|`.
const IS_MATCH: usize = 0;
const IS_LONG: usize = 256;
const IS_REPEATED: usize = 512;
const IS_OLDER: usize = 528;
const SLOTS: usize = 768;
const LENGTHS: usize = 1024;
const REPEATED_LENGTHS: usize = 1536;
const LOW: usize = 576;
const MIDDLE: usize = 2048;
const LITERALS: usize = 3072;
/// Eight contexts of literals.
const CHANCES: usize = LITERALS + 8 * 0x300;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]
mod tests {
    use std::io::Write;

    use lzma_rust2::{LzmaOptions, LzmaReader, LzmaWriter};

    use super::*;

    /// Made by other code; with the size in the header, the mark of the end, or both.
    fn packed(content: &[u8], window: u32, size: bool, mark: bool) -> Vec<u8> {
        let mut options = LzmaOptions::with_preset(6);
        options.dict_size = window;
        let size = size.then_some(content.len() as u64);
        let mut writer = LzmaWriter::new(Vec::new(), &options, true, mark, size).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    /// What comes out, what it ended in, and what is left of the source.
    fn unpacked(mut source: &[u8], most: u64) -> (Vec<u8>, Option<io::ErrorKind>, usize) {
        let mut content = Vec::new();
        let failed = Lzma::new(&mut source, most).and_then(|mut decoder| {
            let mut piece = [0; 77];
            loop {
                let read = decoder.read(&mut piece)?;
                if read == 0 {
                    return Ok(());
                }
                content.extend_from_slice(&piece[..read]);
            }
        });
        (content, failed.err().map(|error| error.kind()), source.len())
    }

    /// Letters, runs, and repetitions near and far.
    fn content(length: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut content: Vec<u8> = Vec::new();
        while content.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (kind, far, many) = (state >> 62, (state >> 20) as usize, (state >> 50) as usize);
            let many = 1 + many % 300;
            if kind == 0 || content.is_empty() {
                content.extend(state.to_le_bytes());
            } else if kind == 1 {
                content.extend(std::iter::repeat_n(b'x', many));
            } else {
                let from = content.len() - 1 - far % content.len();
                content.extend_from_within(from..content.len().min(from + many));
            }
        }
        content.truncate(length);
        content
    }

    #[test]
    fn what_others_pack_comes_out_and_what_follows_is_left() {
        for length in [0, 1, 2, 300, 5000, 200_000] {
            for (size, mark) in [(true, false), (false, true), (true, true)] {
                for window in [1 << 12, 3 << 15, 1 << 23] {
                    let content = content(length);
                    let mut source = packed(&content, window, size, mark);
                    source.extend_from_slice(b"what follows");
                    let (made, failed, left) = unpacked(&source, 64 << 20);
                    assert!(made == content, "{length} {size} {mark} {window}");
                    assert_eq!((failed, left), (None, 12), "{length} {size} {mark} {window}");
                }
            }
        }
    }

    #[test]
    fn a_window_is_held_up_to_the_limit_and_no_further() {
        let mut content = content(6000);
        content.extend_from_within(..3000);
        let source = packed(&content, 1 << 23, false, true);
        let (made, failed, _) = unpacked(&source, 4096);
        assert!(made.len() > 4096 && content.starts_with(&made), "{}", made.len());
        assert_eq!(failed, Some(io::ErrorKind::OutOfMemory));
        let mut lying = source.clone();
        lying[1..5].copy_from_slice(&4096_u32.to_le_bytes());
        let (same, failed, _) = unpacked(&lying, 64 << 20);
        assert_eq!((same == made, failed), (true, Some(io::ErrorKind::InvalidData)));
        // asked for, and not needed
        let mut lying = packed(&content, 1 << 13, false, true);
        lying[1..5].copy_from_slice(&(1_u32 << 31).to_le_bytes());
        assert_eq!(unpacked(&lying, 1 << 13), (content, None, 0));
    }

    /// Other code makes the same of it.
    #[test]
    fn damage_is_met_where_others_meet_it() {
        let source = packed(&content(4000), 1 << 12, false, true);
        let mut failures = 0;
        for header in [0, 13] {
            let mut other = source.clone();
            other[header] ^= 1;
            assert_eq!(unpacked(&other, 64 << 20).1, Some(io::ErrorKind::InvalidData));
        }
        for at in 14..source.len() {
            let mut damaged = source.clone();
            damaged[at] ^= 1 << (at % 8);
            let (made, failed, _) = unpacked(&damaged, 64 << 20);
            let mut other = Vec::new();
            let mut reader = LzmaReader::new_mem_limit(&damaged[..], u32::MAX, None).unwrap();
            reader.set_defer_errors(true);
            let others = reader.read_to_end(&mut other);
            // which ends the symbol with bytes that are not there
            let same = match failed {
                Some(io::ErrorKind::UnexpectedEof) => other.starts_with(&made),
                _ => made == other,
            };
            assert!(same, "{at}: {} {}", made.len(), other.len());
            failures += usize::from(failed.is_some());
            // whether the code is over is not looked at there
            assert!(others.is_ok() || failed.is_some(), "{at}");
        }
        assert!(failures > source.len() / 2, "{failures}");
        for length in 0..source.len() {
            let failed = unpacked(&source[..length], 64 << 20).1;
            assert_eq!(failed, Some(io::ErrorKind::UnexpectedEof), "{length}");
        }
    }

    #[test]
    fn any_bytes_do_no_harm() {
        let mut state = 7_u64;
        for _ in 0..300 {
            let mut code = b"\x5d\0\x10\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0".to_vec();
            while code.len() < 300 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                code.push((state >> 56) as u8);
            }
            let (made, failed, _) = unpacked(&code, 4096);
            assert!(made.len() < 200_000 && failed.is_some());
        }
    }
}
