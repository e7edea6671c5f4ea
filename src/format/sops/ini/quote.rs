//! Keys and values of INI: where they end, what their quotes say, and how a value is to be written
//! so that it is read as the same. Knows nothing beyond one key and its value.
//!
//! Follows `readKeyName` and `readValue` of gopkg.in/ini.v1 (`parser.go`) and its `file.go`.

use std::ops::Range;

use crate::format::sops::text::part;
use crate::format::sops::tree::Style;
use crate::plaintext::Plaintext;

const BLOCK: &[u8] = b"\"\"\"";

/// A key.
pub(super) struct KeyName {
    pub(super) name: String,
    /// Without quotes.
    pub(super) span: Range<usize>,
    /// Where the delimiter ends.
    pub(super) behind: usize,
    /// What ini.v1 passes over between quotes and delimiter.
    pub(super) skipped: Option<Range<usize>>,
}

/// A value.
pub(super) struct Found {
    pub(super) value: Plaintext,
    /// With its quotes, and what ini.v1 passes over behind them.
    pub(super) span: Range<usize>,
    pub(super) style: Style,
    /// A comment behind it.
    pub(super) comment: Option<Range<usize>>,
    /// Where the next line begins.
    pub(super) next: usize,
}

/// The key of a line that begins with it and has its line feed.
pub(super) fn key_name(line: &[u8]) -> Result<KeyName, &'static str> {
    let quote: &[u8] = match line.first() {
        Some(b'"') if line.len() > 6 && line.starts_with(BLOCK) => BLOCK,
        Some(b'"') => b"\"",
        Some(b'`') => b"`",
        Some(_) | None => b"",
    };
    let from = |at: usize| line.get(at..).unwrap_or_default();
    let delimiter = |at: usize| {
        let found = from(at).iter().position(|byte| matches!(byte, b'=' | b':'));
        found.map(|found| at.saturating_add(found)).ok_or("a line without `=`")
    };
    let (whole, behind, skipped) = if quote.is_empty() {
        let end = delimiter(0)?;
        (0..end, end, None)
    } else {
        let start = quote.len();
        let end = find(from(start), quote).ok_or("a key whose quote does not end")?;
        let end = start.saturating_add(end);
        let closed = end.saturating_add(start);
        let behind = delimiter(closed)?;
        let rest = part(line, &(closed..behind));
        let skipped = (space_before(rest) < rest.len()).then_some(closed..behind);
        (start..end, behind, skipped)
    };
    let content = part(line, &whole);
    let start = whole.start.saturating_add(space_before(content));
    let length = without_space_behind(part(line, &(start..whole.end))).len();
    let span = start..start.saturating_add(length);
    let name = std::str::from_utf8(part(line, &span)).map_err(|_| "a key that is no UTF-8")?;
    if name.is_empty() {
        return Err("a line without a key");
    }
    Ok(KeyName { name: name.to_owned(), span, behind: behind.saturating_add(1), skipped })
}

/// The value in the rest of a line, line feed included, and in lines behind it.
pub(super) fn value(text: &[u8], rest: Range<usize>) -> Result<Found, &'static str> {
    let start = rest.start.saturating_add(space_before(part(text, &rest)));
    let line = part(text, &(start..rest.end));
    let Some(first) = line.first() else {
        let inner = part(text, &rest).iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        let at = rest.start.saturating_add(inner.count());
        return Ok(Found::one_line(text, at..at, at..at, Style::Absent, rest.end));
    };
    if line.len() > 3 && line.starts_with(BLOCK) {
        return quoted(text, start..rest.end, BLOCK);
    }
    if *first == b'`' {
        return quoted(text, start..rest.end, b"`");
    }
    let line = without_space_behind(line);
    let mut end = start.saturating_add(line.len());
    if line.ends_with(b"\\") {
        return Ok(continued(text, start..end, rest.end));
    }
    let comment = comment_start(line).map(|at| start.saturating_add(at)..end);
    if let Some(comment) = &comment {
        let before = part(text, &(start..comment.start));
        end = start.saturating_add(without_space_behind(before).len());
    }
    let whole = start..end;
    let (inner, style) = match part(text, &whole) {
        [quote @ (b'"' | b'\''), inner @ .., last] if last == quote && !inner.contains(quote) => {
            let style = if *quote == b'"' { Style::Double } else { Style::Single };
            (start.saturating_add(1)..end.saturating_sub(1), style)
        }
        [] => (whole.clone(), Style::Absent),
        _ => (whole.clone(), Style::Plain),
    };
    Ok(Found { comment, ..Found::one_line(text, inner, whole, style, rest.end) })
}

impl Found {
    fn one_line(
        text: &[u8],
        inner: Range<usize>,
        span: Range<usize>,
        style: Style,
        next: usize,
    ) -> Self {
        let value = Plaintext::copy_of(part(text, &inner));
        Self { value, span, style, comment: None, next }
    }
}

fn quoted(text: &[u8], line: Range<usize>, quote: &[u8]) -> Result<Found, &'static str> {
    let start = line.start.saturating_add(quote.len());
    let style = if quote == BLOCK { Style::Literal } else { Style::Folded };
    let first = part(text, &(start..line.end));
    if let Some(length) = find_last(first, quote) {
        // what stands behind the quotes is no part of anything
        let whole = without_space_behind(part(text, &line)).len();
        let span = line.start..line.start.saturating_add(whole);
        let inner = start..start.saturating_add(length);
        return Ok(Found::one_line(text, inner, span, style, line.end));
    }
    let mut at = line.end;
    loop {
        let end = line_end(text, at);
        let next = part(text, &(at..end));
        if let Some(close) = find_last(next, quote) {
            let behind = next.get(close.saturating_add(quote.len())..).unwrap_or_default();
            if !without_space_behind(behind).ends_with(b"\\") {
                let close = at.saturating_add(close);
                return Ok(multi_line(text, line.start, start..close, end, style, quote));
            }
        } else if !next.ends_with(b"\n") {
            return Err("a value whose quote does not end");
        }
        if next.is_empty() {
            return Err("a value whose quote does not end");
        }
        at = end;
    }
}

fn multi_line(
    text: &[u8],
    start: usize,
    inner: Range<usize>,
    next: usize,
    style: Style,
    quote: &[u8],
) -> Found {
    let closed = inner.end.saturating_add(quote.len());
    let behind = part(text, &(closed..next));
    let comment = comment_start(behind).map(|at| {
        let from = closed.saturating_add(at);
        let length = without_space_behind(part(text, &(from..next))).len();
        from..from.saturating_add(length)
    });
    let end = comment.as_ref().map_or(next, |comment| comment.start);
    let length = without_space_behind(part(text, &(closed..end))).len();
    let span = start..closed.saturating_add(length);
    Found { comment, ..Found::one_line(text, inner, span, style, next) }
}

fn continued(text: &[u8], first: Range<usize>, mut next: usize) -> Found {
    let mut value = Plaintext::copy_of(part(text, &(first.start..first.end.saturating_sub(1))));
    let mut end = first.end;
    loop {
        let start = next;
        next = line_end(text, start);
        let line = part(text, &(start..next));
        let space = space_before(line);
        let content = without_space_behind(line.get(space..).unwrap_or_default());
        if content.is_empty() {
            break;
        }
        end = start.saturating_add(space).saturating_add(content.len());
        if let Some(before) = content.strip_suffix(b"\\") {
            value.extend(before);
        } else {
            value.extend(content);
            break;
        }
    }
    let (span, style) = (first.start..end, Style::Plain);
    Found { value, span, style, comment: None, next }
}

/// The value in the quotes that ini.v1 writes.
pub(super) fn as_printed(value: &[u8]) -> Plaintext {
    between(printed_quote(value), value)
}

fn printed_quote(value: &[u8]) -> &'static [u8] {
    let has = |bytes: &[u8]| value.iter().any(|byte| bytes.contains(byte));
    if has(b"\n`") {
        BLOCK
    } else if has(b"#;") {
        b"`"
    } else if without_space_behind(value).len() != value.len() || space_before(value) > 0 {
        b"\""
    } else {
        b""
    }
}

/// The value in quotes that give it back where `behind` stands after it: those that it had, those
/// that ini.v1 writes, or the first that do. `None` where none do.
pub(super) fn faithful(value: &[u8], had: Style, behind: &[u8]) -> Option<Plaintext> {
    let before: &[u8] = match had {
        Style::Single => b"'",
        Style::Double => b"\"",
        Style::Literal => BLOCK,
        Style::Folded => b"`",
        Style::Plain | Style::Absent => b"",
    };
    let quotes = [before, printed_quote(value), b"", b"`", b"\"", b"'", BLOCK];
    let mut candidates = quotes.into_iter().map(|quote| between(quote, value));
    candidates.find(|candidate| gives_back(candidate, value, behind))
}

fn gives_back(candidate: &Plaintext, value: &[u8], behind: &[u8]) -> bool {
    let mut line = Plaintext::copy_of(super::bytes(candidate));
    line.extend(behind);
    line.extend(b"\n");
    let end = line.len();
    line.extend(b"x");
    let text = super::bytes(&line);
    let comment = space_before(behind)..behind.len();
    let comment = comment.len();
    self::value(text, 0..line_end(text, 0)).is_ok_and(|found| {
        found.next == end
            && super::bytes(&found.value) == value
            && found.comment.map_or(0, |comment| comment.len()) == comment
    })
}

fn between(quote: &[u8], value: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(value.len().saturating_add(6));
    for part in [quote, value, quote] {
        out.extend(part);
    }
    out
}

/// Where a comment begins.
pub(super) fn comment_start(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b'#' | b';'))
}

/// Where the line ends that this byte stands in, line feed included.
pub(super) fn line_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().position(|byte| *byte == b'\n');
    at.saturating_add(length.map_or(rest.len(), |length| length.saturating_add(1)))
}

/// How many bytes of white space a text begins with, as Unicode has it.
pub(super) fn space_before(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some(length) = (1..=3).find(|length| is_space(rest.get(..*length))) {
        rest = rest.get(length..).unwrap_or_default();
    }
    text.len().saturating_sub(rest.len())
}

/// A text without the white space at its end.
pub(super) fn without_space_behind(text: &[u8]) -> &[u8] {
    let mut rest = text;
    let start = |rest: &[u8], length| rest.len().checked_sub(length);
    let is_last = |rest: &[u8], length| is_space(start(rest, length).and_then(|at| rest.get(at..)));
    while let Some(length) = (1..=3).find(|length| is_last(rest, *length)) {
        rest = start(rest, length).and_then(|end| rest.get(..end)).unwrap_or_default();
    }
    rest
}

/// Whether these bytes are one character of white space.
fn is_space(letter: Option<&[u8]>) -> bool {
    match letter {
        Some([byte]) => matches!(byte, b'\t'..=b'\r' | b' '),
        Some(
            [0xC2, 0x85 | 0xA0] | [0xE1, 0x9A, 0x80] | [0xE2, 0x81, 0x9F] | [0xE3, 0x80, 0x80],
        ) => true,
        Some([0xE2, 0x80, last]) => matches!(last, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF),
        Some(_) | None => false,
    }
}

/// A text without white space around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    without_space_behind(text.get(space_before(text)..).unwrap_or_default())
}

fn find(text: &[u8], quote: &[u8]) -> Option<usize> {
    text.windows(quote.len()).position(|window| window == quote)
}

fn find_last(text: &[u8], quote: &[u8]) -> Option<usize> {
    text.windows(quote.len()).rposition(|window| window == quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_that_of_unicode() {
        for letter in '\0'..=char::MAX {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            assert_eq!(is_space(Some(bytes)), letter.is_whitespace(), "{letter:?}");
        }
        assert_eq!(trim("\u{a0} x\u{2003}\n".as_bytes()), b"x");
        assert_eq!(trim(b"\xA0x\xE2\x80"), b"\xA0x\xE2\x80");
    }
}
