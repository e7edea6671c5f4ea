//! Bytes that can be read anywhere: a file, or what was read of a stream.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Read at any place.
pub(crate) trait Random {
    /// Fills the buffer from this place on.
    ///
    /// # Errors
    /// `UnexpectedEof` where there is less.
    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// How many bytes there are.
    fn length(&self) -> u64;

    /// Bytes from a place on, at most a limit.
    fn bytes_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        // No room is made for what is not there.
        if offset.saturating_add(length as u64) > self.length() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.fill_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// A file of a known length.
pub(crate) struct Disk<'a> {
    file: &'a File,
    length: u64,
    asked: Cell<bool>,
}

impl<'a> Disk<'a> {
    /// Of so many bytes.
    pub(crate) fn new(file: &'a File, length: u64) -> Self {
        Self { file, length, asked: Cell::new(false) }
    }

    /// Whether anything was read.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.get()
    }
}

impl Random for Disk<'_> {
    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.asked.set(true);
        self.file.read_exact_at(buffer, offset)
    }

    fn length(&self) -> u64 {
        self.length
    }
}

/// Bytes in memory.
pub(crate) struct Held<'a>(pub(crate) &'a [u8]);

impl Random for Held<'_> {
    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = self.0.get(start..start.saturating_add(buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A stream from a place on.
pub(crate) struct From<'a> {
    /// What is read.
    pub(crate) bytes: &'a dyn Random,
    /// The place of what comes next.
    pub(crate) offset: u64,
    /// Where it ends.
    pub(crate) end: u64,
}

impl io::Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.end.min(self.bytes.length());
        let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        self.bytes.fill_at(buffer.get_mut(..length).unwrap_or_default(), self.offset)?;
        self.offset = self.offset.saturating_add(length as u64);
        Ok(length)
    }
}
