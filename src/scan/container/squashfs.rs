//! squashfs 4.0 (`Documentation/filesystems/squashfs.rst`): every regular file, by its path. The
//! blocks may be compressed by gzip, xz or zstd.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::rc::Rc;

use super::super::gap::MOST_MEMORY;
use super::Trouble;
use super::lzma::Lzma;
use super::random::Random;
use super::sqlite::Visit;

/// Hands out every regular file.
pub(crate) fn each(file: &dyn Random, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    let image = Image::new(file)?;
    let root = image.number(32, 8)?;
    let mut folders = vec![(Vec::new(), root)];
    // A folder is entered once, so that one that holds itself comes to an end.
    let mut left = image.number(4, 4)?.saturating_add(1);
    while let Some((path, at)) = folders.pop() {
        left = left.checked_sub(1).ok_or(Trouble::damaged("its folders form a circle"))?;
        for (name, at, kind) in image.entries(at)? {
            let mut path = path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            match kind {
                1 if path.len() <= LONGEST_PATH => folders.push((path, at)),
                1 => return Err(Trouble::damaged("its folders are nested too deep")),
                2 => visit(path, &mut image.content(at)?)?,
                _ => {}
            }
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Packer {
    Gzip,
    Lzma,
    Xz,
    Zstd,
}

struct Image<'a> {
    file: &'a dyn Random,
    header: Vec<u8>,
    packer: Packer,
    block: usize,
    /// Blocks of inodes and folders that were read last.
    read: RefCell<HashMap<u64, Block>>,
    /// The last block of ends of files.
    ends: RefCell<Option<(u64, Rc<Vec<u8>>)>>,
}

/// A decompressed block, and where the next one begins.
type Block = (Rc<Vec<u8>>, u64);

impl<'a> Image<'a> {
    fn new(file: &'a dyn Random) -> Result<Self, Trouble> {
        let header = file.bytes_at(0, 96)?;
        let short = |at: usize| little(header.get(at..at.saturating_add(2)));
        let packer = match short(20) {
            1 => Packer::Gzip,
            2 => Packer::Lzma,
            4 => Packer::Xz,
            6 => Packer::Zstd,
            _ => return Err(Trouble::damaged("its compression is not gzip, lzma, xz or zstd")),
        };
        let log = short(22);
        if short(28) != 4 || !(12..=20).contains(&log) {
            return Err(Trouble::damaged("its header is wrong"));
        }
        let block = 1_usize << log;
        let (read, ends) = (RefCell::default(), RefCell::default());
        Ok(Self { file, header, packer, block, read, ends })
    }

    fn number(&self, at: usize, length: usize) -> Result<u64, Trouble> {
        let bytes = self.header.get(at..at.saturating_add(length)).ok_or(wrong())?;
        Ok(little(Some(bytes)))
    }

    fn unpack(&self, mut packed: &[u8], most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = most as u64;
        match self.packer {
            Packer::Gzip => {
                flate2::bufread::ZlibDecoder::new(packed).take(limit).read_to_end(&mut bytes)
            }
            Packer::Lzma => {
                let mut decoder: &mut dyn Read = &mut Lzma::new(&mut packed, MOST_MEMORY)?;
                Read::take(&mut decoder, limit).read_to_end(&mut bytes)
            }
            Packer::Xz => {
                let memory = u32::try_from(MOST_MEMORY >> 10).unwrap_or(u32::MAX);
                let reader = lzma_rust2::XzReader::new_mem_limit(packed, false, memory);
                reader.take(limit).read_to_end(&mut bytes)
            }
            Packer::Zstd => {
                ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, MOST_MEMORY)
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?
                    .take(limit)
                    .read_to_end(&mut bytes)
            }
        }?;
        Ok(bytes)
    }

    /// A block of inodes, folders or tables.
    fn block(&self, at: u64) -> Result<Block, Trouble> {
        if let Some((bytes, next)) = self.read.borrow().get(&at) {
            return Ok((Rc::clone(bytes), *next));
        }
        let head = little(Some(&self.file.bytes_at(at, 2)?));
        let length = usize::try_from(head & 0x7fff).unwrap_or_default();
        let bytes = self.file.bytes_at(at.saturating_add(2), length)?;
        let bytes = if head & 0x8000 == 0 { self.unpack(&bytes, METADATA)? } else { bytes };
        if bytes.is_empty() {
            return Err(wrong());
        }
        let next = at.saturating_add(2).saturating_add(length as u64);
        let block = (Rc::new(bytes), next);
        let mut read = self.read.borrow_mut();
        if read.len() >= BLOCKS {
            read.clear();
        }
        read.insert(at, (Rc::clone(&block.0), next));
        Ok(block)
    }

    /// Reads on from a place in the blocks of inodes or folders.
    fn cursor(&self, block: u64, offset: usize) -> Cursor<'_, 'a> {
        Cursor { image: self, block, offset }
    }

    fn inode(&self, at: u64) -> Result<Cursor<'_, 'a>, Trouble> {
        let table = self.number(64, 8)?;
        let offset = usize::try_from(at & 0xffff).unwrap_or_default();
        Ok(self.cursor(table.saturating_add(at >> 16), offset))
    }

    /// What stands in a folder: name, inode, and 1 for a folder, 2 for a regular file.
    fn entries(&self, at: u64) -> Result<Vec<(Vec<u8>, u64, u64)>, Trouble> {
        let mut inode = self.inode(at)?;
        let kind = inode.number(2)?;
        inode.skip(14)?;
        let (block, size, offset) = match kind {
            1 => {
                let block = inode.number(4)?;
                inode.skip(4)?;
                let size = inode.number(2)?;
                (block, size, inode.number(2)?)
            }
            8 => {
                inode.skip(4)?;
                let (size, block) = (inode.number(4)?, inode.number(4)?);
                inode.skip(6)?;
                (block, size, inode.number(2)?)
            }
            _ => return Err(Trouble::damaged("a folder is none")),
        };
        // Three bytes more than there are, for `.` and `..`.
        let mut left = size.saturating_sub(3);
        let start = self.number(72, 8)?.saturating_add(block);
        let mut list = self.cursor(start, usize::try_from(offset).unwrap_or_default());
        let mut entries = Vec::new();
        while left > 0 {
            let count = list.number(4)?.saturating_add(1);
            let block = list.number(4)?;
            list.skip(4)?;
            left = left.saturating_sub(12);
            if count > 256 {
                return Err(Trouble::damaged("a folder is wrong"));
            }
            for _ in 0..count {
                let offset = list.number(2)?;
                list.skip(2)?;
                let kind = list.number(2)?;
                let length = list.number(2)?.saturating_add(1);
                let name = list.bytes(usize::try_from(length).unwrap_or_default())?;
                left = left.saturating_sub(length.saturating_add(8));
                entries.push((name, block << 16 | offset, kind));
            }
            if entries.len() > MOST_ENTRIES {
                return Err(Trouble::damaged("a folder has too many entries"));
            }
        }
        Ok(entries)
    }

    fn content(&self, at: u64) -> Result<Content<'_, 'a>, Trouble> {
        let mut inode = self.inode(at)?;
        let kind = inode.number(2)?;
        inode.skip(14)?;
        let (start, size, fragment, offset);
        match kind {
            2 => {
                (start, fragment) = (inode.number(4)?, inode.number(4)?);
                (offset, size) = (inode.number(4)?, inode.number(4)?);
            }
            9 => {
                (start, size) = (inode.number(8)?, inode.number(8)?);
                inode.skip(12)?;
                (fragment, offset) = (inode.number(4)?, inode.number(4)?);
                inode.skip(4)?;
            }
            _ => return Err(Trouble::damaged("a file is none")),
        }
        let whole = size.checked_div(self.block as u64).unwrap_or_default();
        let has_end = fragment != u64::from(u32::MAX);
        let rest = !has_end && !size.is_multiple_of(self.block as u64);
        let blocks = whole.saturating_add(rest.into());
        let end = has_end.then_some((fragment, usize::try_from(offset).unwrap_or(usize::MAX)));
        Ok(Content {
            image: self,
            sizes: inode,
            blocks,
            at: start,
            left: size,
            end,
            ready: Vec::new(),
            used: 0,
        })
    }

    /// The block that holds ends of files.
    fn end(&self, index: u64) -> Result<Rc<Vec<u8>>, Trouble> {
        if let Some((held, bytes)) = &*self.ends.borrow()
            && *held == index
        {
            return Ok(Rc::clone(bytes));
        }
        let table = self.number(80, 8)?.saturating_add((index / 512).saturating_mul(8));
        let block = little(Some(&self.file.bytes_at(table, 8)?));
        let offset = usize::try_from((index % 512).saturating_mul(16)).unwrap_or_default();
        let mut entry = self.cursor(block, offset);
        let (start, size) = (entry.number(8)?, entry.number(4)?);
        let bytes = Rc::new(self.data(start, size)?);
        *self.ends.borrow_mut() = Some((index, Rc::clone(&bytes)));
        Ok(bytes)
    }

    /// A block of content, of which the size tells whether it is compressed.
    fn data(&self, start: u64, size: u64) -> Result<Vec<u8>, Trouble> {
        let length = usize::try_from(size & 0xff_ffff).unwrap_or_default();
        if length > self.block {
            return Err(Trouble::damaged("a block is too long"));
        }
        let bytes = self.file.bytes_at(start, length)?;
        Ok(if size & 0x100_0000 == 0 { self.unpack(&bytes, self.block)? } else { bytes })
    }
}

struct Cursor<'i, 'a> {
    image: &'i Image<'a>,
    block: u64,
    offset: usize,
}

impl Cursor<'_, '_> {
    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::with_capacity(length.min(METADATA));
        while bytes.len() < length {
            let (block, next) = self.image.block(self.block)?;
            let left = length.saturating_sub(bytes.len());
            let have = block.get(self.offset..).unwrap_or_default();
            let part = have.get(..left.min(have.len())).unwrap_or_default();
            bytes.extend_from_slice(part);
            self.offset = self.offset.saturating_add(part.len());
            if self.offset >= block.len() {
                (self.block, self.offset) = (next, self.offset.saturating_sub(block.len()));
            }
        }
        Ok(bytes)
    }

    fn skip(&mut self, length: usize) -> Result<(), Trouble> {
        self.bytes(length).map(|_| ())
    }

    fn number(&mut self, length: usize) -> Result<u64, Trouble> {
        Ok(little(Some(&self.bytes(length)?)))
    }
}

/// The content of a file, block after block.
struct Content<'i, 'a> {
    image: &'i Image<'a>,
    sizes: Cursor<'i, 'a>,
    blocks: u64,
    at: u64,
    left: u64,
    end: Option<(u64, usize)>,
    ready: Vec<u8>,
    used: usize,
}

impl Content<'_, '_> {
    fn next(&mut self) -> Result<Vec<u8>, Trouble> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.image.block);
        if self.blocks > 0 {
            self.blocks = self.blocks.saturating_sub(1);
            let size = self.sizes.number(4)?;
            let start = self.at;
            self.at = start.saturating_add(size & 0xff_ffff);
            // A block of zeros is not there at all.
            let mut bytes = if size == 0 { vec![0; most] } else { self.image.data(start, size)? };
            bytes.truncate(most);
            return Ok(bytes);
        }
        let Some((index, offset)) = self.end.take() else { return Err(wrong()) };
        let end = self.image.end(index)?;
        let bytes = end.get(offset..offset.saturating_add(most)).ok_or(wrong())?;
        Ok(bytes.to_vec())
    }
}

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used >= self.ready.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.ready = self.next().map_err(super::sqlite::as_io)?;
            self.used = 0;
            if self.ready.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.left = self.left.saturating_sub(self.ready.len() as u64);
        }
        let have = self.ready.get(self.used..).unwrap_or_default();
        let length = have.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), have.get(..length)) {
            to.copy_from_slice(from);
        }
        self.used = self.used.saturating_add(length);
        Ok(length)
    }
}

fn wrong() -> Trouble {
    Trouble::damaged("a table is wrong")
}

fn little(bytes: Option<&[u8]>) -> u64 {
    let bytes = bytes.unwrap_or_default();
    bytes.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
}

const METADATA: usize = 8192;
/// Blocks of inodes and folders that are kept: 4 MiB.
const BLOCKS: usize = 512;
const LONGEST_PATH: usize = 4096;
const MOST_ENTRIES: usize = 1_000_000;
