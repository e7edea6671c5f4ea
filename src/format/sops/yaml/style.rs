//! How go-yaml v3 writes a text: which quotes it takes (`encode.go`, `stringv`, and
//! `yaml_emitter_analyze_scalar` of `emitterc.go`) and what stands between them.
//!
//! Knows no tree and no indentation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::comments::break_width;
use super::scalar::{Resolved, resolve};
use crate::format::sops::tree::Style;
use crate::plaintext::Plaintext;

/// What a text allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) multiline: bool,
    pub(super) plain_in_flow: bool,
    pub(super) plain_in_block: bool,
    pub(super) single: bool,
    pub(super) block: bool,
}

/// A text ready to be written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) tag: &'static str,
    pub(super) style: Style,
    pub(super) text: Plaintext,
}

/// How go-yaml writes a text as a value in a block.
pub(super) fn choose(bytes: &[u8], simple_key: bool) -> Written {
    let (tag, text) = match std::str::from_utf8(bytes) {
        Ok("<<") => ("!!merge", Plaintext::copy_of(b"<<")),
        Ok(_) => ("", Plaintext::copy_of(bytes)),
        Err(_) => ("!!binary", packed(bytes)),
    };
    #[expect(clippy::disallowed_methods, reason = "the style is told by the characters")]
    let shown = text.expose();
    let allowed = analyze(shown);
    let style = if shown.contains(&b'\n') {
        if allowed.block && !simple_key { Style::Literal } else { Style::Double }
    } else if !tag.is_empty() {
        Style::Plain
    } else if !is_plain_text(bytes) {
        Style::Double
    } else if simple_key && allowed.multiline {
        // A line break of Unicode in a key.
        Style::Double
    } else if allowed.plain_in_block && !(shown.is_empty()) {
        Style::Plain
    } else if allowed.single {
        Style::Single
    } else {
        Style::Double
    };
    Written { tag, style, text }
}

/// Whether a text without quotes is read as the same text: no number, truth, time, nothing.
pub(super) fn is_plain_text(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    resolve(text) == Resolved::Text && !is_old_bool(text) && !is_base_60(text)
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `1:30`, which YAML 1.1 read as 90.
fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut parts = rest.split(':');
    let first = parts.next().unwrap_or_default();
    if !first.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return false;
    }
    while let Some(part) = parts.next() {
        let part = match (part.split_once('.'), parts.peek()) {
            (Some((whole, fraction)), None) => {
                if !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
                    return false;
                }
                whole
            }
            _ => part,
        };
        match part.as_bytes() {
            [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'] => {}
            _ => return false,
        }
    }
    true
}

/// Base64 in lines of 70 where it is longer than one.
fn packed(bytes: &[u8]) -> Plaintext {
    let whole = Plaintext::new(STANDARD.encode(bytes).into_bytes());
    if whole.len() < 70 {
        return whole;
    }
    let mut lines =
        Plaintext::with_capacity(whole.len().saturating_add(whole.len() / 70).saturating_add(1));
    #[expect(clippy::disallowed_methods, reason = "split into lines")]
    for line in whole.expose().chunks(70) {
        lines.extend(line);
        lines.extend(b"\n");
    }
    lines
}

/// Looks at every character.
pub(super) fn analyze(value: &[u8]) -> Allowed {
    let mut allowed = Allowed {
        multiline: false,
        plain_in_flow: !value.is_empty(),
        plain_in_block: true,
        single: true,
        block: !value.is_empty(),
    };
    let at = |i: usize| value.get(i).copied().unwrap_or(0);
    let (mut in_flow, mut in_block) = (true, true);
    if value.starts_with(b"---") || value.starts_with(b"...") {
        (in_flow, in_block) = (false, false);
    }
    let (mut space_before, mut break_before) = (false, false);
    let mut blank_before = true;
    let mut outer = false;
    let mut odd = false;
    let mut i = 0_usize;
    while i < value.len() {
        let first = at(i);
        let width = width(first);
        let next = i.saturating_add(width);
        let blank_after = next >= value.len() || matches!(at(next), b' ' | b'\t');
        let (flow, block) = match (first, i) {
            (
                b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
                | b'"' | b'%' | b'@' | b'`',
                0,
            ) => (false, false),
            (b'?', 0) | (b':', _) => (false, !blank_after),
            (b'-', 0) => (!blank_after, !blank_after),
            (b',' | b'?' | b'[' | b']' | b'{' | b'}', _) => (false, true),
            (b'#', _) => (!blank_before, !blank_before),
            _ => (true, true),
        };
        in_flow &= flow;
        in_block &= block;
        let is_break = break_width(value, i) > 0;
        if first == b'\t' {
            odd = true;
        } else if !is_printable(value, i) {
            odd = true;
            allowed.block = false;
        }
        let ends = i == 0 || next >= value.len();
        if first == b' ' {
            outer |= ends;
            if next >= value.len() {
                allowed.block = false;
            }
            if break_before {
                allowed.single = false;
            }
        } else if is_break {
            allowed.multiline = true;
            outer |= ends;
            if space_before {
                odd = true;
                allowed.block = false;
            }
        }
        (space_before, break_before) = (first == b' ', is_break && first != b' ');
        blank_before = is_break || matches!(first, b' ' | b'\t');
        i = next;
    }
    if odd {
        allowed.single = false;
    }
    if outer || odd || allowed.multiline || !allowed.single {
        (in_flow, in_block) = (false, false);
    }
    allowed.plain_in_flow &= in_flow;
    allowed.plain_in_block &= in_block;
    allowed
}

/// `'…'`
pub(super) fn single(out: &mut Plaintext, value: &[u8]) {
    out.extend(b"'");
    for (i, part) in value.split(|b| *b == b'\'').enumerate() {
        if i > 0 {
            out.extend(b"''");
        }
        out.extend(part);
    }
    out.extend(b"'");
}

/// `"…"`
pub(super) fn double(out: &mut Plaintext, text: &str) {
    out.extend(b"\"");
    // go-yaml looks for the mark of a byte order at the start of the text, whatever the place.
    let all = text.starts_with('\u{feff}');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (i, c) in text.char_indices() {
        let escaped =
            all || !is_printable(bytes, i) || break_width(bytes, i) > 0 || matches!(c, '"' | '\\');
        if escaped {
            out.extend(bytes.get(plain_from..i).unwrap_or_default());
            escape(out, c);
            plain_from = i.saturating_add(c.len_utf8());
        }
    }
    out.extend(bytes.get(plain_from..).unwrap_or_default());
    out.extend(b"\"");
}

fn escape(out: &mut Plaintext, c: char) {
    let short: &[u8] = match c {
        '\0' => b"\\0",
        '\x07' => b"\\a",
        '\x08' => b"\\b",
        '\t' => b"\\t",
        '\n' => b"\\n",
        '\x0b' => b"\\v",
        '\x0c' => b"\\f",
        '\r' => b"\\r",
        '\x1b' => b"\\e",
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{85}' => b"\\N",
        '\u{a0}' => b"\\_",
        '\u{2028}' => b"\\L",
        '\u{2029}' => b"\\P",
        _ => b"",
    };
    if !short.is_empty() {
        out.extend(short);
        return;
    }
    let code = u32::from(c);
    let (mark, digits) = match code {
        0..=0xFF => (b'x', 2_u32),
        0x100..=0xFFFF => (b'u', 4),
        _ => (b'U', 8),
    };
    out.extend(&[b'\\', mark]);
    for place in (0..digits).rev() {
        let digit = code.checked_shr(place.saturating_mul(4)).unwrap_or(0) & 0xF;
        let digit = char::from_digit(digit, 16).unwrap_or('0').to_ascii_uppercase();
        out.extend(&[u8::try_from(digit).unwrap_or(b'0')]);
    }
}

/// What stands behind the `|`: an indentation where the text begins with space, and what becomes
/// of the line breaks at its end.
pub(super) fn literal_hints(value: &[u8], indent: usize) -> String {
    let mut hints = String::new();
    if value.first() == Some(&b' ') || break_width(value, 0) > 0 {
        hints.push_str(&indent.to_string());
    }
    let ends_with_break = |value: &[u8]| {
        let one = value.last().is_some_and(|b| matches!(b, b'\n' | b'\r'));
        let two = value.len() >= 2 && break_width(value, value.len().saturating_sub(2)) == 2;
        let three = value.len() >= 3 && break_width(value, value.len().saturating_sub(3)) == 3;
        if one {
            1
        } else if two {
            2
        } else if three {
            3
        } else {
            0
        }
    };
    let width = ends_with_break(value);
    let before = value.get(..value.len().saturating_sub(width)).unwrap_or_default();
    if width == 0 {
        hints.push('-');
    } else if before.is_empty() || ends_with_break(before) > 0 {
        hints.push('+');
    }
    hints
}

/// Bytes of a character by its first byte.
fn width(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
        _ => 1,
    }
}

/// What go-yaml writes without an escape.
fn is_printable(bytes: &[u8], i: usize) -> bool {
    let at = |n: usize| bytes.get(i.saturating_add(n)).copied().unwrap_or(0);
    match at(0) {
        0x0A | 0x20..=0x7E | 0xC3..=0xEC | 0xEE => true,
        0xC2 => at(1) >= 0xA0,
        0xED => at(1) < 0xA0,
        0xEF => !(at(1) == 0xBB && at(2) == 0xBF || at(1) == 0xBF && matches!(at(2), 0xBE | 0xBF)),
        _ => false,
    }
}
