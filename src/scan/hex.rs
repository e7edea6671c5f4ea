//! Hexadecimal that may be broken into lines.
//!
//! As with Base64, pieces are searched, and what is around one that was found is compared. Two that
//! are side by side and together no longer than a line are enough: no break is in both.

use std::ops::Range;

use super::base64::{self, GAP};
use super::escape::{self, Written};

/// Bytes of a piece: `openssl -text` writes 15 a line.
const PIECE: usize = 8;
/// Bytes of a piece of a text, which is seen in the lines of `xxd -p` at most: 30 bytes.
const TEXT_PIECE: usize = 12;

/// What is searched for a value: one piece of it after the other, each with its place in the value.
/// None, where the whole of it is.
///
/// A text, which may be one of thousands, has pieces in one writing alone.
pub(super) fn pieces(value: &[u8], upper: bool, between: Option<u8>) -> Vec<(u32, Written)> {
    let text = std::str::from_utf8(value).is_ok();
    let piece = if text { TEXT_PIECE } else { PIECE };
    if value.len() < piece.saturating_mul(2) || (text && (upper || between.is_some())) {
        return Vec::new();
    }
    // what many values have in common is at their ends
    let start = (value.len() / 2).saturating_sub(piece);
    [start, start.saturating_add(piece)]
        .into_iter()
        .filter_map(|at| {
            let piece = value.get(at..at.saturating_add(piece))?;
            Some((u32::try_from(at).ok()?, escape::hex(piece, upper, between)))
        })
        .collect()
}

/// How far from a piece its value may reach, in bytes of text.
pub(super) fn reach(value: usize) -> usize {
    value.saturating_mul(5).saturating_add(4 * GAP)
}

/// Whether the piece at `at` of `text`, which begins at byte `first` of `value`, is one of it: where
/// all of it stands, if so.
pub(super) fn follow(text: &[u8], at: usize, first: u32, value: &[u8]) -> Option<Range<usize>> {
    let (before, rest) = value.split_at_checked(usize::try_from(first).ok()?)?;
    let mut start = at;
    for byte in before.iter().rev() {
        for half in [byte & 15, byte >> 4] {
            start = digit_before(text, start)?;
            (half_of(*text.get(start)?)? == half).then_some(())?;
        }
    }
    let mut end = at;
    for byte in rest {
        for half in [byte >> 4, byte & 15] {
            end = digit_behind(text, end)?;
            (half_of(*text.get(end)?)? == half).then_some(())?;
            end = end.checked_add(1)?;
        }
    }
    Some(start..end)
}

/// Where the digit before `end` is, over a colon and breaks.
fn digit_before(text: &[u8], end: usize) -> Option<usize> {
    let mut at = base64::before_breaks(text, end);
    if let Some(colon) = at.checked_sub(1).filter(|it| text.get(*it) == Some(&b':')) {
        at = base64::before_breaks(text, colon);
    }
    at.checked_sub(1).filter(|at| end.saturating_sub(*at) <= GAP)
}

/// Where the digit at or behind `start` is.
fn digit_behind(text: &[u8], start: usize) -> Option<usize> {
    let mut at = base64::over_breaks(text, start);
    if text.get(at) == Some(&b':') {
        at = base64::over_breaks(text, at.checked_add(1)?);
    }
    (at.saturating_sub(start) <= GAP).then_some(at)
}

fn half_of(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}
