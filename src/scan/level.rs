//! One stream of bytes on its way to whoever takes it apart: what passes is searched, once. A file is
//! the lowest level; what a decoder makes of it is the next. Knows no format.
//!
//! What was read stands in a buffer of fixed size that is wiped.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use zeroize::Zeroizing;

use super::eyes::Eyes;
use super::form::Form;
use super::matcher::{Hit, What};

/// Where bytes come from.
pub(crate) trait Source {
    /// As [`Read::read`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many bytes from here on are a hole of a sparse file, which is passed over.
    fn hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }

    /// Whether it is known that nothing follows.
    fn is_over(&self) -> bool {
        false
    }
}

impl<R: Read + ?Sized> Source for R {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// What was found in one stream: each kind once, where it was first met.
#[derive(Debug, Default)]
pub(crate) struct Spots(BTreeMap<(What, Form), Spot>);

/// The first place of something, and how often it was met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    /// Bytes from the start of the stream.
    pub(crate) offset: u64,
    /// How many times.
    pub(crate) count: u64,
    /// Whether all of them may be chance.
    pub(crate) weak: bool,
}

impl Spots {
    fn add(&mut self, hit: Hit, base: u64) {
        let offset = base.saturating_add(hit.offset);
        let new = Spot { offset, count: 0, weak: hit.weak };
        let spot = self.0.entry((hit.what, hit.form)).or_insert(new);
        spot.offset = spot.offset.min(offset);
        spot.count = spot.count.saturating_add(1);
        spot.weak &= hit.weak;
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Spots {
    type Item = ((What, Form), Spot);
    type IntoIter = std::collections::btree_map::IntoIter<(What, Form), Spot>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Room for what is read, from the start of a page on: into a place a few bytes behind one, the
/// system copies far more slowly on some processors (docs/performance.md).
struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new(size: usize) -> Self {
        let bytes = vec![0; size.saturating_add(PAGE)];
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self { bytes: Zeroizing::new(bytes), start, end: start.saturating_add(size) }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }
}

/// What a level needs and leaves for the next one: a buffer and a search.
pub(crate) struct Kit<'m> {
    buffer: Buffer,
    search: Eyes<'m>,
    /// Bytes taken so far.
    position: Rc<Cell<u64>>,
}

impl<'m> Kit<'m> {
    /// With a buffer of this size.
    pub(crate) fn new(size: usize, search: Eyes<'m>) -> Self {
        Self { buffer: Buffer::new(size), search, position: Rc::default() }
    }

    /// Searches what is in memory as a whole.
    pub(crate) fn whole(&mut self, bytes: &[u8]) -> Spots {
        let mut spots = Spots::default();
        self.search.whole(bytes, &mut |hit| spots.add(hit, 0));
        spots
    }
}

/// A stream that is searched while it is read.
pub(crate) struct Level<'a, 'm> {
    source: &'a mut dyn Source,
    kit: Kit<'m>,
    start: usize,
    end: usize,
    /// The source has ended, or failed.
    over: bool,
    failed: Option<io::ErrorKind>,
    /// Where the search began.
    base: u64,
    /// Nothing is searched: somebody else looks at the same bytes.
    quiet: bool,
    spots: Spots,
}

impl<'a, 'm> Level<'a, 'm> {
    /// From the beginning.
    pub(crate) fn new(source: &'a mut dyn Source, kit: Kit<'m>) -> Self {
        kit.position.set(0);
        Self {
            source,
            start: 0,
            end: 0,
            over: false,
            failed: None,
            base: 0,
            quiet: false,
            spots: Spots::default(),
            kit,
        }
    }

    /// Up to `most` bytes that come next, without taking them.
    pub(crate) fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        let most = most.min(self.kit.buffer.len());
        if self.kit.buffer.len().saturating_sub(self.start) < most {
            self.kit.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        while self.end.saturating_sub(self.start) < most && !self.over {
            let filled = self.fill();
            // what came before it is there still
            if self.start == self.end {
                filled?;
            }
        }
        let end = self.end.min(self.start.saturating_add(most));
        Ok(self.kit.buffer.get(self.start..end).unwrap_or_default())
    }

    /// Bytes taken so far; for who cannot hold the level.
    pub(crate) fn counter(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.kit.position)
    }

    /// Bytes taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.kit.position.get()
    }

    /// Whether the source has said that it is over.
    fn fill(&mut self) -> io::Result<()> {
        let room = self.kit.buffer.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            return Ok(());
        }
        loop {
            match self.source.read(room) {
                Ok(0) => {
                    self.over = true;
                    return Ok(());
                }
                Ok(read) => {
                    self.end = self.end.saturating_add(read);
                    self.over = self.source.is_over();
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.over = true;
                    self.failed = Some(error.kind());
                    return Err(error);
                }
            }
        }
    }

    /// From here on somebody else searches, or again nobody does.
    pub(crate) fn hush(&mut self, quiet: bool) {
        if quiet != self.quiet {
            self.restart();
            self.quiet = quiet;
        }
    }

    /// Ends the search and begins a new one here.
    fn restart(&mut self) {
        let (base, spots) = (self.base, &mut self.spots);
        self.kit.search.end(&mut |hit| spots.add(hit, base));
        self.base = self.kit.position.get();
    }

    /// Reads all that is left. Where the source has failed, nothing is.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
            let hole = self.source.hole()?;
            if hole > 0 {
                self.pass_hole(hole);
            }
        }
    }

    /// What is searched ends in zeros and begins with zeros there, as it does in the file.
    fn pass_hole(&mut self, hole: u64) {
        let zeros = [0_u8; EDGE];
        let edge = usize::try_from(hole).unwrap_or(EDGE).min(EDGE);
        let zeros = zeros.get(..edge).unwrap_or_default();
        let behind = self.kit.position.get().saturating_add(hole);
        self.search(zeros);
        self.restart();
        self.base = behind.saturating_sub(edge as u64);
        self.kit.position.set(behind);
        self.search(zeros);
    }

    fn search(&mut self, bytes: &[u8]) {
        if !self.quiet {
            let (base, spots) = (self.base, &mut self.spots);
            self.kit.search.feed(bytes, &mut |hit| spots.add(hit, base));
        }
    }

    /// The next bytes, exactly as many; for what is small.
    pub(crate) fn take_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::with_capacity(length.min(SMALL));
        let wanted = length as u64;
        let read = Read::take(&mut *self, wanted).read_to_end(&mut taken)?;
        if read < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(taken) }
    }

    /// As many bytes as asked, into a buffer.
    pub(crate) fn fill_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        Read::read_exact(self, buffer)
    }

    /// Passes over bytes; they are searched like any.
    pub(crate) fn skip(&mut self, mut length: u64) -> io::Result<()> {
        while length > 0 {
            let have = self.fill_buf()?.len() as u64;
            if have == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let part = have.min(length);
            self.consume(usize::try_from(part).unwrap_or(usize::MAX));
            length = length.saturating_sub(part);
        }
        Ok(())
    }

    /// The next bytes as a stream of their own; whoever reads it searches it.
    pub(crate) fn member(&mut self, length: u64) -> Member<'_, 'a, 'm> {
        self.hush(true);
        Member { level: self, left: length, short: false }
    }

    /// What was found, and what serves the next level.
    pub(crate) fn finish(mut self) -> (Spots, Kit<'m>) {
        self.restart();
        (self.spots, self.kit)
    }

    /// Whether what feeds this level has failed, so that nothing follows from a short end.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

impl Read for Level<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let length = have.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), have.get(..length)) {
            to.copy_from_slice(from);
        }
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Level<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            if let Some(kind) = self.failed {
                return Err(kind.into());
            }
            (self.start, self.end) = (0, 0);
            if !self.over {
                self.fill()?;
            }
        }
        Ok(self.kit.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, length: usize) {
        let end = self.end.min(self.start.saturating_add(length));
        if !self.quiet {
            let taken = self.kit.buffer.get(self.start..end).unwrap_or_default();
            let (base, spots) = (self.base, &mut self.spots);
            let found = &mut |hit| spots.add(hit, base);
            if self.over && end == self.end && self.kit.position.get() == base {
                // all that there is
                self.kit.search.whole(taken, found);
            } else {
                self.kit.search.feed(taken, found);
            }
        }
        let taken = end.saturating_sub(self.start) as u64;
        self.kit.position.set(self.kit.position.get().saturating_add(taken));
        self.start = end;
    }
}

/// Part of a level that stands for a stream of its own.
pub(crate) struct Member<'l, 'a, 'm> {
    level: &'l mut Level<'a, 'm>,
    left: u64,
    short: bool,
}

impl Member<'_, '_, '_> {
    /// Passes over what was not read. Tells whether all of it was there.
    pub(crate) fn finish(self) -> io::Result<()> {
        if self.short {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.level.skip(self.left)?;
        self.level.hush(false);
        Ok(())
    }
}

impl Read for Member<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = Read::read(self.level, buffer.get_mut(..most).unwrap_or_default())?;
        self.short |= read == 0;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Bytes of a page of memory, or a part of one.
const PAGE: usize = 4096;
/// Zeros of a hole that are searched on each of its sides.
const EDGE: usize = 64;
/// Room that is made before anything was read.
const SMALL: usize = 64 * 1024;
