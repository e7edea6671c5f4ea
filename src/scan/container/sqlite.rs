//! Databases of `SQLite` (file format 3, `fileformat2.html`): the rows of every table, each in one
//! piece. In the file, a long one is cut at the ends of pages. Writes nothing and takes no locks.

use std::collections::HashMap;
use std::io::{self, Read};

use super::Trouble;
use super::random::Random;

/// What is done with the rows of a table.
pub(crate) type Visit<'v> = dyn FnMut(Vec<u8>, &mut dyn Read) -> Result<(), Trouble> + 'v;

/// Hands out the rows of every table, many at once.
pub(crate) fn each(file: &dyn Random, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    let database = Database::new(file, None)?;
    for (name, root) in database.tables()? {
        let mut rows = zeroize::Zeroizing::new(Vec::with_capacity(ROWS));
        let mut told = Ok(());
        database.rows(root, &mut |_, payload| {
            if rows.len().saturating_add(payload.len()) > ROWS && !rows.is_empty() {
                told = visit(name.clone().into_bytes(), &mut rows.as_slice());
                rows.clear();
            }
            // each value as a text of its own, which the head of a record is not
            match record(payload) {
                Some(values) => values.into_iter().for_each(|value| {
                    if let Value::Bytes(bytes) = value {
                        rows.extend_from_slice(bytes);
                        rows.push(b'\n');
                    }
                }),
                None => rows.extend_from_slice(payload),
            }
            told.is_ok()
        })?;
        told?;
        visit(name.into_bytes(), &mut rows.as_slice())?;
    }
    Ok(())
}

/// A database, with what stands in its log and not yet in itself.
pub(crate) struct Database<'a> {
    file: &'a dyn Random,
    log: Option<Log<'a>>,
    page: usize,
    /// Bytes of a page that hold something.
    usable: usize,
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// Nothing.
    Null,
    /// A number.
    Int(i64),
    /// A number with a fraction, a text or bytes: as they stand there.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A text.
    pub(crate) fn text(self) -> Option<&'a str> {
        if let Self::Bytes(bytes) = self { std::str::from_utf8(bytes).ok() } else { None }
    }

    /// A whole number.
    pub(crate) fn int(self) -> Option<i64> {
        if let Self::Int(number) = self { Some(number) } else { None }
    }
}

/// What is done with a row: its number and its record. False ends the walk.
type Row<'v> = dyn FnMut(i64, &[u8]) -> bool + 'v;

impl<'a> Database<'a> {
    /// Reads the header; `log` is the write-ahead log beside it.
    pub(crate) fn new(file: &'a dyn Random, log: Option<&'a dyn Random>) -> Result<Self, Trouble> {
        let header = file.bytes_at(0, 100)?;
        let page = be(header.get(16..18));
        let page = if page == 1 { 65536 } else { usize::try_from(page).unwrap_or_default() };
        if !page.is_power_of_two() || page < 512 {
            return Err(Trouble::damaged("the size of its pages is wrong"));
        }
        let usable = page.saturating_sub(usize::from(header.get(20).copied().unwrap_or_default()));
        if usable < 480 {
            return Err(Trouble::damaged("its pages have no room"));
        }
        let log = log.and_then(|log| Log::read(log, page));
        Ok(Self { file, log, page, usable })
    }

    /// Every table and the page of its root.
    pub(crate) fn tables(&self) -> Result<Vec<(String, u32)>, Trouble> {
        let mut tables = vec![("sqlite_schema".to_owned(), 1)];
        self.rows(1, &mut |_, payload| {
            let Some(values) = record(payload) else { return true };
            let text = |index: usize| values.get(index).and_then(|value| value.text());
            let root = values.get(3).and_then(|value| value.int());
            let root = root.and_then(|root| u32::try_from(root).ok()).filter(|root| *root > 0);
            if let (Some("table"), Some(name), Some(root)) = (text(0), text(1), root) {
                tables.push((name.to_owned(), root));
            }
            true
        })?;
        Ok(tables)
    }

    /// Every row of a table. Pages that refer to each other in a circle are damage.
    pub(crate) fn rows(&self, root: u32, visit: &mut Row<'_>) -> Result<(), Trouble> {
        let pages = self.file.length().checked_div(self.page as u64).unwrap_or_default();
        let mut left = pages.saturating_add(1);
        if let Some(log) = &self.log {
            left = left.saturating_add(log.pages.len() as u64);
        }
        let mut pages = vec![root];
        let mut payload = zeroize::Zeroizing::new(Vec::new());
        while let Some(number) = pages.pop() {
            left = left.checked_sub(1).ok_or(Trouble::damaged("its pages form a circle"))?;
            let bytes = self.page(number)?;
            let page = Page::new(&bytes, number).ok_or(wrong())?;
            if page.is_interior {
                pages.push(page.right);
            }
            let mut children = Vec::new();
            for index in 0..page.cells {
                let mut cell = page.cell(index).ok_or(wrong())?;
                if page.is_interior {
                    children.push(u32::try_from(be(cell.get(..4))).unwrap_or_default());
                    cell = cell.get(4..).unwrap_or_default();
                    if page.is_table {
                        continue;
                    }
                }
                let length = varint(&mut cell).ok_or(wrong())?;
                let row = if page.is_table { varint(&mut cell).ok_or(wrong())? } else { 0 };
                let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST);
                let length = length.ok_or(Trouble::damaged("a row is too long"))?;
                let local = self.local(length, page.is_table);
                payload.clear();
                payload.extend_from_slice(cell.get(..local).ok_or(wrong())?);
                let next = be(cell.get(local..local.saturating_add(4)));
                self.overflow(u32::try_from(next).unwrap_or_default(), length, &mut payload)?;
                if !visit(row.cast_signed(), &payload) {
                    return Ok(());
                }
            }
            pages.extend(children.into_iter().rev());
        }
        Ok(())
    }

    /// Bytes of a record that stand in the page itself.
    fn local(&self, length: usize, is_table: bool) -> usize {
        let share = |of: usize| {
            let part = self.usable.saturating_sub(12).saturating_mul(of);
            part.checked_div(255).unwrap_or_default().saturating_sub(23)
        };
        let most = if is_table { self.usable.saturating_sub(35) } else { share(64) };
        if length <= most {
            return length;
        }
        let least = share(32);
        let rest = length.saturating_sub(least).checked_rem(self.usable.saturating_sub(4));
        let local = least.saturating_add(rest.unwrap_or_default());
        if local <= most { local } else { least }
    }

    fn overflow(&self, mut next: u32, length: usize, payload: &mut Vec<u8>) -> Result<(), Trouble> {
        while payload.len() < length {
            let page = self.page(next)?;
            let left = length.saturating_sub(payload.len());
            let end = self.usable.min(left.saturating_add(4));
            payload.extend_from_slice(page.get(4..end).ok_or(wrong())?);
            next = u32::try_from(be(page.get(..4))).unwrap_or_default();
        }
        Ok(())
    }

    fn page(&self, number: u32) -> Result<Vec<u8>, Trouble> {
        if let Some(log) = &self.log
            && let Some(offset) = log.pages.get(&number)
        {
            return Ok(log.file.bytes_at(*offset, self.page)?);
        }
        let before = u64::from(number).checked_sub(1).ok_or(wrong())?;
        Ok(self.file.bytes_at(before.saturating_mul(self.page as u64), self.page)?)
    }
}

fn wrong() -> Trouble {
    Trouble::damaged("a page is wrong")
}

struct Page<'a> {
    bytes: &'a [u8],
    is_interior: bool,
    is_table: bool,
    cells: usize,
    right: u32,
    header: usize,
}

impl<'a> Page<'a> {
    fn new(bytes: &'a [u8], number: u32) -> Option<Self> {
        let start = if number == 1 { 100 } else { 0 };
        let header = bytes.get(start..)?;
        let (is_interior, is_table) = match header.first()? {
            2 => (true, false),
            5 => (true, true),
            10 => (false, false),
            13 => (false, true),
            _ => return None,
        };
        let cells = usize::try_from(be(header.get(3..5))).ok()?;
        let right = u32::try_from(be(header.get(8..12))).ok()?;
        let length = if is_interior { 12 } else { 8 };
        Some(Self {
            bytes,
            is_interior,
            is_table,
            cells,
            right,
            header: start.saturating_add(length),
        })
    }

    fn cell(&self, index: usize) -> Option<&'a [u8]> {
        let at = self.header.checked_add(index.checked_mul(2)?)?;
        let offset = usize::try_from(be(self.bytes.get(at..at.checked_add(2)?))).ok()?;
        self.bytes.get(offset..)
    }
}

/// The values of a record.
pub(crate) fn record(payload: &[u8]) -> Option<Vec<Value<'_>>> {
    let mut header = payload;
    let length = usize::try_from(varint(&mut header)?).ok()?;
    let used = payload.len().checked_sub(header.len())?;
    let mut types = header.get(..length.checked_sub(used)?)?;
    let mut body = payload.get(length..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            text => usize::try_from(text.saturating_sub(12) / 2).ok()?,
        };
        let (bytes, rest) = body.split_at_checked(size)?;
        body = rest;
        values.push(match kind {
            0 => Value::Null,
            8 => Value::Int(0),
            9 => Value::Int(1),
            1..=6 => Value::Int(signed(bytes)),
            _ => Value::Bytes(bytes),
        });
    }
    Some(values)
}

fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    bytes.iter().fold(start, |number: i64, byte| number << 8 | i64::from(*byte))
}

/// Big-endian; 0 where there is nothing.
fn be(bytes: Option<&[u8]>) -> u64 {
    let bytes = bytes.unwrap_or_default();
    bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for index in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if index == 8 {
            return Some(number << 8 | u64::from(*byte));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

/// The pages that stand in a write-ahead log, as of its last commit.
struct Log<'a> {
    file: &'a dyn Random,
    /// Where the content of a page stands.
    pages: HashMap<u32, u64>,
}

impl<'a> Log<'a> {
    /// `None` where the log holds nothing that counts.
    fn read(file: &'a dyn Random, page: usize) -> Option<Self> {
        let header = file.bytes_at(0, 32).ok()?;
        let big = match be(header.get(..4)) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        if usize::try_from(be(header.get(8..12))).ok()? != page {
            return None;
        }
        let mut sum = checksum((0, 0), header.get(..24)?, big);
        let salts = header.get(16..24)?;
        let mut pages = HashMap::new();
        let mut pending = Vec::new();
        let mut offset = 32_u64;
        let length = page.checked_add(24)?;
        while let Ok(frame) = file.bytes_at(offset, length) {
            let (head, content) = frame.split_at_checked(24)?;
            sum = checksum(checksum(sum, head.get(..8)?, big), content, big);
            let said = (be(head.get(16..20)), be(head.get(20..24)));
            if head.get(8..16)? != salts || said != (sum.0.into(), sum.1.into()) {
                break;
            }
            pending.push((u32::try_from(be(head.get(..4))).ok()?, offset.checked_add(24)?));
            if be(head.get(4..8)) != 0 {
                pages.extend(pending.drain(..));
            }
            offset = offset.checked_add(length as u64)?;
        }
        Some(Self { file, pages })
    }
}

/// The checksum of logs, over words of four bytes.
fn checksum(start: (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    bytes.chunks_exact(8).fold(start, |(a, b), chunk| {
        let word = |at: usize| {
            let word = chunk.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
            let word = word.unwrap_or_default();
            if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        let a = a.wrapping_add(word(0)).wrapping_add(b);
        (a, b.wrapping_add(word(4)).wrapping_add(a))
    })
}

/// An error of reading, for who has only that.
pub(crate) fn as_io(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::Read(error) => error,
        Trouble::Damaged(what) => io::Error::new(io::ErrorKind::InvalidData, what),
        Trouble::NotThis | Trouble::Limit(_) | Trouble::Told => io::ErrorKind::InvalidData.into(),
    }
}

/// Bytes of rows that are handed out at once.
const ROWS: usize = 256 << 10;
/// Most bytes of one row.
const LONGEST: usize = 64 << 20;
