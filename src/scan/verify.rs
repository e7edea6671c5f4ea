//! Compares a pattern with the text at a place where the filter saw a window of it.

use std::ops::Range;

use super::base64;
use super::form::Form;
use super::forms::{Check, Forms, Pattern};
use super::hex;

/// How far before and behind its window what belongs to a pattern may reach, in bytes.
pub(super) fn reach(forms: &Forms, pattern: &Pattern) -> usize {
    let length = forms.bytes(pattern).len();
    match (pattern.check, forms.unit(pattern.unit)) {
        (Check::Around(_), Some(unit)) => base64::reach(forms.value(unit).len()),
        (Check::AroundHex(_), Some(unit)) => hex::reach(forms.value(unit).len()),
        // whether it is in a text
        (Check::Word, _) => length.saturating_add(AROUND),
        _ => length,
    }
}

/// Where the value stands in `text`, if the bytes of `pattern` are at `start` and what is around them
/// is right.
pub(super) fn at(
    forms: &Forms,
    pattern: &Pattern,
    text: &[u8],
    start: usize,
) -> Option<Range<usize>> {
    let bytes = forms.bytes(pattern);
    let end = start.checked_add(bytes.len())?;
    if text.get(start..end)? != bytes {
        return None;
    }
    match pattern.check {
        Check::Exact => Some(start..end),
        Check::Word => {
            let wide = (pattern.form == Form::Utf16).then(|| is_little(bytes));
            (is_word(text, start, end) && is_in_text(text, start..end, wide)).then_some(start..end)
        }
        Check::Around(piece) => {
            let unit = forms.unit(pattern.unit)?;
            base64::follow(text, start, piece, forms.value(unit))
        }
        Check::AroundHex(first) => {
            let unit = forms.unit(pattern.unit)?;
            hex::follow(text, start, first, forms.value(unit))
        }
    }
}

/// Bytes of a text on each side that tell that it is one.
const AROUND: usize = 64;
/// Bytes or units there that are of no text: git puts one between the head of an object and a text.
const STRAY: usize = 1;

/// Whether it is a text in which `range` stands: in bytes, or in UTF-16 with its order of bytes.
fn is_in_text(text: &[u8], range: Range<usize>, little: Option<bool>) -> bool {
    let before = text.get(range.start.saturating_sub(AROUND)..range.start).unwrap_or_default();
    let behind = range.end.saturating_add(AROUND).min(text.len());
    let behind = text.get(range.end..behind).unwrap_or_default();
    let stray = match little {
        None => before.iter().chain(behind).filter(|byte| is_control((**byte).into())).count(),
        Some(little) => {
            let unit = |pair: &[u8; 2]| {
                if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) }
            };
            // units end where the range begins
            let (_, before) = before.as_rchunks();
            let units = before.iter().chain(behind.as_chunks().0).map(unit);
            units.filter(|unit| is_control(*unit) || (0xe000..0xf900).contains(unit)).count()
        }
    };
    stray <= STRAY
}

/// Controls that texts and what terminals print have none of.
fn is_control(unit: u16) -> bool {
    unit == 0x7f || (unit < 0x20 && !matches!(unit, 7..=13 | 0x1b))
}

/// The order of the bytes of a text in UTF-16: its first character is hardly one that is zero below.
fn is_little(bytes: &[u8]) -> bool {
    bytes.first() != Some(&0)
}

/// Whether nothing that could be of the same word stands beside it.
fn is_word(text: &[u8], start: usize, end: usize) -> bool {
    let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied();
    let before = byte(start.checked_sub(1));
    // the `n` of `\n` is of no word
    let escape =
        byte(start.checked_sub(2)) == Some(b'\\') && matches!(before, Some(b'n' | b'r' | b't'));
    let joined = |outer: Option<u8>, inner: Option<u8>| {
        outer.is_some_and(of_word) && inner.is_some_and(of_word)
    };
    (escape || !joined(before, byte(Some(start))))
        && !joined(byte(Some(end)), byte(end.checked_sub(1)))
}

fn of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'-' | b'+' | b'/')
}
