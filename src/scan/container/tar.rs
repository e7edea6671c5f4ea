//! tar: POSIX ustar and pax, GNU long names, and what came before them. Streams.

use std::io;

use super::super::level::Level;
use super::Trouble;

/// What [`each`] hands out.
pub(crate) type Visit<'v> = dyn FnMut(&[u8], u64, &mut Level<'_, '_>) -> Result<(), Trouble> + 'v;

const BLOCK: usize = 512;
/// Most bytes of a long name or of a pax header.
const LONG: u64 = 1 << 20;

/// Whether a block is the header of a member: its checksum is right.
pub(crate) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk::<BLOCK>() else { return false };
    // The end of the checksum is looked at first: most blocks are none, and this is cheap.
    let said = field(block, 148, 8);
    if !said.iter().all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0)) || block.first() == Some(&0)
    {
        return false;
    }
    let Some(said) = octal(said) else { return false };
    let sum = |sign: fn(u8) -> i64| -> i64 {
        let of = |(at, byte): (usize, &u8)| {
            if (148..156).contains(&at) { 32 } else { sign(*byte) }
        };
        block.iter().enumerate().map(of).sum()
    };
    let said = i64::try_from(said).unwrap_or(-1);
    said != 0 && (sum(i64::from) == said || sum(|byte| i64::from(byte.cast_signed())) == said)
}

/// Hands out every member: its name and size, and the level that stands at its content, of which
/// all must be taken.
pub(crate) fn each(level: &mut Level<'_, '_>, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    let mut long_name: Option<Vec<u8>> = None;
    let mut pax_size: Option<u64> = None;
    let mut first = true;
    loop {
        let mut block = [0_u8; BLOCK];
        match level.fill_exact(&mut block) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && !level.has_failed() => {
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if !is_header(&block) {
            return Err(if first {
                Trouble::NotThis
            } else {
                Trouble::damaged("a header is wrong")
            });
        }
        first = false;
        let kind = *block.get(156).unwrap_or(&0);
        let mut size = number(field(&block, 124, 12)).ok_or(Trouble::damaged("a size is wrong"))?;
        match kind {
            b'L' | b'K' | b'x' | b'g' if size <= LONG => {
                let text = level.take_exact(usize::try_from(size).unwrap_or_default())?;
                pad(level, size)?;
                match kind {
                    b'L' => long_name = Some(until_nul(&text).to_vec()),
                    b'x' => pax(&text, &mut long_name, &mut pax_size),
                    _ => {}
                }
                continue;
            }
            // Links, folders and devices have a size at times, and no content.
            b'1'..=b'6' => size = 0,
            _ => size = pax_size.unwrap_or(size),
        }
        let name = long_name.take().unwrap_or_else(|| plain_name(&block));
        pax_size = None;
        visit(&name, size, level)?;
        pad(level, size)?;
    }
}

/// Passes over what fills the last block.
fn pad(level: &mut Level<'_, '_>, size: u64) -> io::Result<()> {
    let block = BLOCK as u64;
    let rest = size.checked_rem(block).unwrap_or_default();
    if rest == 0 { Ok(()) } else { level.skip(block.saturating_sub(rest)) }
}

fn plain_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(field(block, 0, 100));
    let prefix = until_nul(field(block, 345, 155));
    if field(block, 257, 5) == b"ustar" && !prefix.is_empty() {
        [prefix, b"/", name].concat()
    } else {
        name.to_vec()
    }
}

/// Records of `length key=value\n`.
fn pax(text: &[u8], name: &mut Option<Vec<u8>>, size: &mut Option<u64>) {
    let mut rest = text;
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let digits = rest.get(..space).and_then(|d| std::str::from_utf8(d).ok());
        let Some(length) = digits.and_then(|d| d.parse::<usize>().ok()) else { return };
        let Some(record) = rest.get(space.saturating_add(1)..length.saturating_sub(1)) else {
            return;
        };
        if let Some(value) = record.strip_prefix(b"path=") {
            *name = Some(value.to_vec());
        } else if let Some(value) = record.strip_prefix(b"size=") {
            *size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
        }
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn field(block: &[u8], start: usize, length: usize) -> &[u8] {
    block.get(start..start.saturating_add(length)).unwrap_or_default()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or a number of base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0x80, rest)) => {
            let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            let low: [u8; 8] = low.try_into().ok()?;
            high.iter().all(|byte| *byte == 0).then(|| u64::from_be_bytes(low))
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|c| c == ' ' || c == '\0');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}
