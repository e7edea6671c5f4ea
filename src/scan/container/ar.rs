//! `ar`: static libraries and Debian packages, with the long names of GNU and BSD. Streams.

use std::io;

use super::super::level::Level;
use super::Trouble;
use super::tar::Visit;

const HEADER: usize = 60;
/// Most bytes of the table of long names.
const TABLE: u64 = 4 << 20;

/// Hands out every member, as `tar::each` does.
pub(crate) fn each(level: &mut Level<'_, '_>, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    level.skip(8)?;
    let mut table = Vec::new();
    loop {
        let mut header = [0_u8; HEADER];
        match level.fill_exact(&mut header) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && !level.has_failed() => {
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        }
        if header.get(58..) != Some(b"`\n") {
            return Err(Trouble::damaged("a header is wrong"));
        }
        let text =
            |from: usize, to: usize| header.get(from..to).unwrap_or_default().trim_ascii_end();
        let number =
            |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|t| t.parse::<u64>().ok());
        let name = text(0, 16);
        let mut size = number(text(48, 58)).ok_or(Trouble::damaged("a size is wrong"))?;
        let odd = size & 1;
        if name == b"//" && size <= TABLE {
            table = level.take_exact(usize::try_from(size).unwrap_or_default())?;
        } else {
            let name = if let Some(length) = name.strip_prefix(b"#1/").and_then(number)
                && length <= size.min(4096)
            {
                size = size.saturating_sub(length);
                level.take_exact(usize::try_from(length).unwrap_or_default())?
            } else if let Some(at) = name.strip_prefix(b"/").and_then(number) {
                let from =
                    table.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
                from.split(|byte| *byte == b'/' || *byte == b'\n')
                    .next()
                    .unwrap_or_default()
                    .to_vec()
            } else {
                name.strip_suffix(b"/").unwrap_or(name).to_vec()
            };
            visit(&name, size, level)?;
        }
        // The last member of some archives lacks its padding.
        if odd == 1 && !level.peek(1)?.is_empty() {
            level.skip(1)?;
        }
    }
}
