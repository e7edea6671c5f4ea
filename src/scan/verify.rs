//! Compares a pattern with the text at a place where the filter saw a window of it.

use std::ops::Range;

use super::base64;
use super::forms::{Check, Forms, Pattern};
use super::hex;

/// How far before and behind its window what belongs to a pattern may reach, in bytes.
pub(super) fn reach(forms: &Forms, pattern: &Pattern) -> usize {
    let length = forms.bytes(pattern).len();
    match (pattern.check, forms.unit(pattern.unit)) {
        (Check::Around(_), Some(unit)) => base64::reach(forms.value(unit).len()),
        (Check::AroundHex(_), Some(unit)) => hex::reach(forms.value(unit).len()),
        // the two bytes beside a word
        _ => length.saturating_add(2),
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
        Check::Word => is_word(text, start, end).then_some(start..end),
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
