//! Base64 of a value that stands somewhere inside of what was encoded.
//!
//! Three alignments are possible. Each character stands for six bits; those that hold bits of the
//! value alone are known beforehand, and pieces of them are what is searched, short enough that a
//! line break leaves one whole (values of fewer than 11 bytes are too short for two pieces). A piece that was found is followed outwards, over line breaks and
//! what texts put there, and every bit of the value is compared.

use std::ops::Range;

use base64::Engine;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use zeroize::Zeroizing;

use super::escape::Written;

/// Most characters of a piece.
const PIECE: usize = 24;
/// Fewest characters of a piece, where there is more than one.
const SHORTEST: usize = 7;
/// Most pieces of a value at one alignment: lines of texts are not longer than three of them.
const PIECES: usize = 6;
/// Most bytes between two characters: a line break in escapes, and an indent.
pub(super) const GAP: usize = 40;

/// A piece of a value at one alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// How many bytes of something else come before the value in its group of three.
    pub(super) before: u8,
    /// Which character of the encoding the piece begins with.
    pub(super) first: u32,
}

/// The pieces of `value`, with their text.
pub(super) fn pieces(value: &[u8]) -> Vec<(Piece, Written)> {
    let mut all = Vec::new();
    for before in 0..3 {
        let mut behind = Zeroizing::new(Vec::with_capacity(value.len().saturating_add(before)));
        behind.resize(before, 0);
        behind.extend_from_slice(value);
        let text = whole(&behind, false, false);
        for range in cut(whole_characters(value.len(), before)) {
            let first = u32::try_from(range.start).unwrap_or(u32::MAX);
            let piece = Piece { before: u8::try_from(before).unwrap_or(0), first };
            let plain = text.get(range).unwrap_or_default();
            all.push((piece, Zeroizing::new(plain.to_vec())));
            // both alphabets, where they differ
            if plain.iter().any(|letter| matches!(letter, b'+' | b'/')) {
                all.push((piece, Zeroizing::new(plain.iter().copied().map(for_urls).collect())));
            }
        }
    }
    all
}

/// The whole of `value`, with its padding.
pub(super) fn whole(value: &[u8], url: bool, pad: bool) -> Written {
    let engine = match (url, pad) {
        (false, false) => BASE64_STANDARD_NO_PAD,
        (false, true) => BASE64_STANDARD,
        (true, false) => BASE64_URL_SAFE_NO_PAD,
        (true, true) => BASE64_URL_SAFE,
    };
    Zeroizing::new(engine.encode(value).into_bytes())
}

/// How far from a piece its value may reach, in bytes of text.
pub(super) fn reach(value: usize) -> usize {
    value.saturating_mul(2).saturating_add(4 * GAP)
}

/// Whether the piece at `at` of `text` is one of `value`: where all of it stands, if so.
pub(super) fn follow(text: &[u8], at: usize, piece: Piece, value: &[u8]) -> Option<Range<usize>> {
    let before = usize::from(piece.before);
    let first = usize::try_from(piece.first).ok()?;
    let all = touched_characters(value.len(), before);
    let fits = |met: u8, number: usize| {
        let (bits, known) = sextet(value, before, number);
        met & known == bits
    };
    let mut start = at;
    for number in (all.start..first).rev() {
        let (met, place) = back(text, start)?;
        if !fits(met, number) {
            return None;
        }
        start = place;
    }
    let mut end = at;
    for number in first..all.end {
        let (met, behind) = forth(text, end)?;
        if !fits(met, number) {
            return None;
        }
        end = behind;
    }
    Some(start..end)
}

/// Decodes from `at` on, over line breaks, up to what is no Base64 or to `limit` bytes. Gives
/// where it ended.
pub(super) fn decode(text: &[u8], at: usize, limit: usize) -> (Written, usize) {
    let room = text.len().saturating_sub(at).min(limit);
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut end = at;
    while let Some((value, behind)) = forth(text, end)
        // the dashes of an armor are no Base64 for URLs
        && !text.get(behind.saturating_sub(1)..).is_some_and(|rest| rest.starts_with(b"--"))
        && out.len() < room
    {
        bits = (bits << 6) | u32::from(value);
        count = count.saturating_add(6);
        if count >= 8 {
            count = count.saturating_sub(8);
            out.push((bits >> count).to_le_bytes()[0]);
            bits &= !(u32::MAX << count);
        }
        end = behind;
    }
    (out, end)
}

/// The six bits of the character before `end`, over what may stand between, and where it begins.
fn back(text: &[u8], end: usize) -> Option<(u8, usize)> {
    let at = before_breaks(text, end);
    let head = text.get(..at)?;
    if let Some((written, bits)) = ESCAPED.iter().find(|(it, _)| head.ends_with(it.as_bytes())) {
        return Some((*bits, at.checked_sub(written.len())?));
    }
    let at = at.checked_sub(1).filter(|at| end.saturating_sub(*at) <= GAP)?;
    Some((value_of(*text.get(at)?)?, at))
}

/// The six bits of the character at or behind `start`, over what may stand between, and its end.
fn forth(text: &[u8], start: usize) -> Option<(u8, usize)> {
    let at = over_breaks(text, start);
    if at.saturating_sub(start) > GAP {
        return None;
    }
    let rest = text.get(at..)?;
    if let Some((written, bits)) = ESCAPED.iter().find(|(it, _)| rest.starts_with(it.as_bytes())) {
        return Some((*bits, at.checked_add(written.len())?));
    }
    Some((value_of(*rest.first()?)?, at.checked_add(1)?))
}

/// Before what may stand between two characters.
pub(super) fn before_breaks(text: &[u8], end: usize) -> usize {
    let mut at = end;
    while let Some(head) = text.get(..at)
        && let Some(gap) = BREAKS.iter().find(|gap| head.ends_with(gap.as_bytes()))
    {
        at = at.saturating_sub(gap.len());
    }
    at
}

/// Behind what may stand between two characters.
pub(super) fn over_breaks(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(rest) = text.get(at..)
        && !rest.first().is_some_and(u8::is_ascii_alphanumeric)
        && !ESCAPED.iter().any(|(written, _)| rest.starts_with(written.as_bytes()))
        && let Some(gap) = BREAKS.iter().find(|gap| rest.starts_with(gap.as_bytes()))
    {
        at = at.saturating_add(gap.len());
    }
    at
}

/// The two characters that are neither letter nor digit, in escapes.
const ESCAPED: [(&str, u8); 14] = [
    ("%2B", 62),
    ("%2b", 62),
    ("%2F", 63),
    ("%2f", 63),
    ("\\u002b", 62),
    ("\\u002B", 62),
    ("\\u002f", 63),
    ("\\u002F", 63),
    ("&#43;", 62),
    ("&#x2b;", 62),
    ("&#x2B;", 62),
    ("&#47;", 63),
    ("&#x2f;", 63),
    ("&#x2F;", 63),
];

/// What stands between two characters where Base64 is broken into lines, in texts within texts.
/// Longer ones first.
const BREAKS: [&str; 24] = [
    "\\u000a", "\\u000A", "\\u000d", "\\u000D", "&#xA;", "&#xa;", "&#xD;", "&#xd;", "&#10;",
    "&#13;", "%0A", "%0a", "%0D", "%0d", "\\n", "\\r", "\\t", "\n", "\r", "\t", " ", "\\", "\"",
    "'",
];

/// The characters that hold bits of the value alone.
fn whole_characters(length: usize, before: usize) -> Range<usize> {
    let start = before.saturating_mul(8).div_ceil(6);
    let end = before.saturating_add(length).saturating_mul(8) / 6;
    start..end.max(start)
}

/// The characters that hold any bits of the value.
fn touched_characters(length: usize, before: usize) -> Range<usize> {
    let start = before.saturating_mul(8) / 6;
    let end = before.saturating_add(length).saturating_mul(8).div_ceil(6);
    start..end
}

/// Cuts into pieces of much the same length.
fn cut(all: Range<usize>) -> Vec<Range<usize>> {
    let count = all.len().div_ceil(PIECE).max(2).min(all.len() / SHORTEST).max(1);
    let length = all.len().checked_div(count).unwrap_or(0);
    (0..count.min(PIECES))
        .map(|number| {
            let start = all.start.saturating_add(number.saturating_mul(length));
            start..start.saturating_add(length)
        })
        .collect()
}

/// The six bits of a character, and which of them belong to the value.
fn sextet(value: &[u8], before: usize, number: usize) -> (u8, u8) {
    let (mut bits, mut known) = (0, 0);
    for bit in 0..6 {
        let place = number.saturating_mul(6).saturating_add(bit);
        let byte = (place / 8).checked_sub(before).and_then(|at| value.get(at));
        bits <<= 1;
        known <<= 1;
        if let Some(byte) = byte {
            bits |= (byte << (place % 8)) >> 7;
            known |= 1;
        }
    }
    (bits, known)
}

fn for_urls(letter: u8) -> u8 {
    match letter {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    }
}

/// The six bits that a character stands for, of either alphabet.
pub(super) fn value_of(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character.wrapping_sub(b'A'),
        b'a'..=b'z' => character.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => character.wrapping_sub(b'0').wrapping_add(52),
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}
