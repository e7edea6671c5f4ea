//! zip, and what is built on it (jar, whl). Streams: members are found by their own headers, one
//! behind the other, so that a directory at the end that lies hides none.

use super::super::gap::Limit;
use super::super::level::Level;
use super::Trouble;

/// Most members, of which each takes 8 bytes of memory.
const MOST_MEMBERS: usize = 1 << 20;
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";

/// How the content of a member is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Stored,
    /// deflate.
    Deflate,
    /// One of the containers that content tells.
    Other,
    /// Behind a password.
    Sealed,
    /// Not known here.
    Unknown(u16),
}

/// A member, whose content comes next.
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: Vec<u8>,
    /// How it is packed.
    pub(crate) packing: Packing,
    /// Bytes of the packed content; `None` where only its end tells.
    pub(crate) length: Option<u64>,
}

/// What is done with a member: all of its content is taken.
pub(crate) type Visit<'v> = dyn FnMut(&Entry, &mut Level<'_, '_>) -> Result<(), Trouble> + 'v;

/// Hands out every member.
pub(crate) fn each(level: &mut Level<'_, '_>, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    let start = level.position();
    // in order, and in one piece: many between the decoders' would scatter those over the memory
    let mut seen = Vec::new();
    while level.peek(4)? == LOCAL {
        if seen.len() >= MOST_MEMBERS {
            return Err(Trouble::Limit(Limit::Memory));
        }
        seen.push(level.position());
        let header = level.take_exact(30)?;
        let short = |at: usize| short(&header, at);
        let long = |at: usize| long(&header, at);
        let name = level.take_exact(usize::from(short(26)))?;
        let extra = level.take_exact(usize::from(short(28)))?;
        let (flags, method, packed, full) = (short(6), short(8), long(18), long(22));
        let wide = (packed == u32::MAX).then(|| wide(&extra, &[full])).flatten();
        let described = flags & 8 != 0;
        // What was made as a stream has its length behind it, and none or zero in front.
        let length = Some(wide.unwrap_or(packed.into())).filter(|l| !described || *l > 0);
        let packing = match method {
            _ if flags & 1 != 0 => Packing::Sealed,
            0 => Packing::Stored,
            8 => Packing::Deflate,
            12 | 93 | 95 => Packing::Other,
            other => Packing::Unknown(other),
        };
        let entry = Entry { name, packing, length };
        if length.is_none() && packing != Packing::Deflate {
            return Err(Trouble::damaged("the length of a member is not known"));
        }
        visit(&entry, level)?;
        if described {
            descriptor(level)?;
        }
    }
    directory(level, start, &seen)
}

/// Who unpacks goes by the directory: each member that it names must be one of those that were `seen`, from
/// the start of the stream or of the zip on.
fn directory(level: &mut Level<'_, '_>, start: u64, seen: &[u64]) -> Result<(), Trouble> {
    while level.peek(4)? == CENTRAL {
        let header = level.take_exact(46)?;
        let (packed, full, at) = (long(&header, 20), long(&header, 24), long(&header, 42));
        level.skip(short(&header, 28).into())?;
        let extra = level.take_exact(usize::from(short(&header, 30)))?;
        level.skip(short(&header, 32).into())?;
        let wide = (at == u32::MAX).then(|| wide(&extra, &[full, packed])).flatten();
        let at = wide.unwrap_or(at.into());
        let is_seen = |at: u64| seen.binary_search(&at).is_ok();
        if !is_seen(at) && !is_seen(at.saturating_add(start)) {
            return Err(Trouble::damaged(
                "its directory names what is no member behind the others",
            ));
        }
    }
    match level.peek(4)? {
        [b'P', b'K', 5, 5 | 6] | [b'P', b'K', 6, 6..=8] => Ok(()),
        _ => Err(Trouble::damaged("something stands between its members, or it is cut short")),
    }
}

fn short(header: &[u8], at: usize) -> u16 {
    let bytes = header.get(at..at.saturating_add(2)).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn long(header: &[u8], at: usize) -> u32 {
    u32::from(short(header, at)) | u32::from(short(header, at.saturating_add(2))) << 16
}

/// A number in the field of zip64, behind those of `before` that are there too.
fn wide(extra: &[u8], before: &[u32]) -> Option<u64> {
    let before = before.iter().filter(|number| **number == u32::MAX).count();
    let mut rest = extra;
    while let Some(([a, b, c, d], more)) = rest.split_first_chunk::<4>() {
        let (id, length) =
            (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        if id == 1 {
            let at = before.saturating_mul(8);
            let bytes = more.get(at..).and_then(|bytes| bytes.first_chunk::<8>())?;
            return Some(u64::from_le_bytes(*bytes));
        }
        rest = more.get(length..).unwrap_or_default();
    }
    None
}

/// Lengths behind a member: with or without a mark, of four or eight bytes each.
fn descriptor(level: &mut Level<'_, '_>) -> Result<(), Trouble> {
    let next = level.peek(28)?;
    let mark = if next.starts_with(DESCRIPTOR) { 4 } else { 0 };
    let ends = [12, 20].map(|length: usize| length.saturating_add(mark));
    let fits = |end: &&usize| next.get(**end..).is_some_and(|rest| rest.starts_with(b"PK"));
    let end = ends.iter().find(fits).copied().unwrap_or_default();
    Ok(level.skip(end as u64)?)
}
