//! cpio: the formats `newc` and `crc` of initrds, and `odc`. Streams.

use super::super::level::Level;
use super::Trouble;
use super::tar::Visit;

/// Most bytes of a name.
const NAME: u64 = 64 * 1024;
const LAST: &[u8] = b"TRAILER!!!";

/// Hands out every regular member, as `tar::each` does. Ends behind the trailer.
pub(crate) fn each(level: &mut Level<'_, '_>, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    loop {
        let magic = level.take_exact(6)?;
        let header = match magic.as_slice() {
            b"070701" | b"070702" => new_header(level)?,
            b"070707" => old_header(level)?,
            _ => return Err(Trouble::damaged("a header is wrong")),
        };
        if !(1..=NAME).contains(&header.name) {
            return Err(Trouble::damaged("the length of a name is wrong"));
        }
        let mut name = level.take_exact(usize::try_from(header.name).unwrap_or_default())?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        pad(level, header.aligned, header.length.saturating_add(header.name))?;
        if name == LAST {
            return Ok(());
        }
        // Links of the old formats have their target as content, and so they are searched too.
        visit(&name, header.size, level)?;
        pad(level, header.aligned, header.size)?;
    }
}

struct Header {
    name: u64,
    size: u64,
    /// Bytes of the header itself.
    length: u64,
    /// Whether name and content end at multiples of four.
    aligned: bool,
}

fn new_header(level: &mut Level<'_, '_>) -> Result<Header, Trouble> {
    let fields = level.take_exact(104)?;
    let field = |index: usize| number(&fields, index.saturating_mul(8), 8, 16);
    Ok(Header { size: field(6)?, name: field(11)?, length: 110, aligned: true })
}

fn old_header(level: &mut Level<'_, '_>) -> Result<Header, Trouble> {
    let fields = level.take_exact(70)?;
    Ok(Header {
        name: number(&fields, 53, 6, 8)?,
        size: number(&fields, 59, 11, 8)?,
        length: 76,
        aligned: false,
    })
}

fn number(fields: &[u8], start: usize, length: usize, radix: u32) -> Result<u64, Trouble> {
    let text = fields.get(start..start.saturating_add(length)).unwrap_or_default();
    let text = std::str::from_utf8(text).unwrap_or_default();
    u64::from_str_radix(text, radix).map_err(|_| Trouble::damaged("a number is wrong"))
}

fn pad(level: &mut Level<'_, '_>, aligned: bool, length: u64) -> Result<(), Trouble> {
    let fill = if aligned { length.wrapping_neg() & 3 } else { 0 };
    Ok(level.skip(fill)?)
}
