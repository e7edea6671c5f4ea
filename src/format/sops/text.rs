//! Places in the text of a document, and changes to it that leave every other byte. Knows no format.

use std::ops::Range;

use super::store::{ParseError, StoreError};
use crate::plaintext::Plaintext;

/// A line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// What stands in it, without its end.
    pub(super) content: Range<usize>,
    /// With the line feed, where there is one.
    pub(super) whole: Range<usize>,
}

/// The lines of a text; none is empty behind the last line feed.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Line> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let length = rest.iter().position(|byte| *byte == b'\n');
        let end = start.saturating_add(length.unwrap_or(rest.len()));
        at = end.saturating_add(usize::from(length.is_some()));
        Some(Line { content: start..end, whole: start..at })
    })
}

/// The bytes of a span; none, where it does not lie in the text.
pub(super) fn part<'a>(text: &'a [u8], span: &Range<usize>) -> &'a [u8] {
    text.get(span.clone()).unwrap_or_default()
}

/// An error at a byte of the text.
pub(super) fn fault(text: &[u8], at: usize, what: &'static str) -> ParseError {
    let before = text.get(..at).unwrap_or(text);
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    // characters: bytes that continue one are not counted
    let characters = part(before, &(start..before.len())).iter().filter(|b| **b & 0xC0 != 0x80);
    let column = characters.count().saturating_add(1);
    ParseError { line: line_of(text, at), column, what }
}

/// An error in the line of a byte of the text.
pub(super) fn line_fault(text: &[u8], at: usize, what: &'static str) -> ParseError {
    ParseError { line: line_of(text, at), column: 0, what }
}

/// What its lines end with, by the first.
pub(super) fn line_end(text: &[u8]) -> &'static str {
    match text.iter().position(|byte| *byte == b'\n').and_then(|at| at.checked_sub(1)) {
        Some(before) if text.get(before) == Some(&b'\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

/// Changes of a text, in any order.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, Plaintext)>);

impl Edits {
    /// Puts bytes in the place of others.
    pub(super) fn replace(&mut self, span: Range<usize>, with: Plaintext) {
        self.0.push((span, with));
    }

    /// Puts bytes between others.
    pub(super) fn insert(&mut self, at: usize, text: Plaintext) {
        self.replace(at..at, text);
    }

    /// Takes bytes out.
    pub(super) fn cut(&mut self, span: Range<usize>) {
        self.replace(span, Plaintext::default());
    }

    /// The changed text.
    ///
    /// # Errors
    /// Two changes of one place.
    #[expect(clippy::disallowed_methods, reason = "from one text that is wiped into another")]
    pub(super) fn apply(mut self, text: &[u8]) -> Result<Plaintext, StoreError> {
        self.0.sort_by_key(|(span, _)| (span.start, span.end));
        let grown: usize = self.0.iter().map(|(_, with)| with.len()).sum();
        let mut out = Plaintext::with_capacity(text.len().saturating_add(grown));
        let mut at = 0;
        for (span, with) in &self.0 {
            let kept = text.get(at..span.start).filter(|_| span.end <= text.len());
            out.extend(kept.ok_or(StoreError::new("two changes meet in one place"))?);
            out.extend(with.expose());
            at = span.end;
        }
        out.extend(part(text, &(at..text.len())));
        Ok(out)
    }
}

fn line_of(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.split(|byte| *byte == b'\n').count()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at what it made")]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_between_line_feeds() {
        let spans = |text: &[u8]| lines(text).map(|line| line.content).collect::<Vec<_>>();
        assert!(spans(b"").is_empty());
        assert_eq!(spans(b"a\n\nb"), [0..1, 2..2, 3..4]);
        assert_eq!(spans(b"a\nb\n"), [0..1, 2..3]);
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "a\nä😀x".as_bytes();
        let fault = fault(text, text.len() - 1, "wrong");
        assert_eq!((fault.line, fault.column), (2, 3));
    }

    #[test]
    fn changes_leave_the_rest() {
        let mut edits = Edits::default();
        edits.replace(4..5, Plaintext::copy_of(b"XY"));
        edits.cut(0..1);
        edits.insert(2, Plaintext::copy_of(b"-"));
        assert_eq!(edits.apply(b"abcdef").unwrap().expose(), b"b-cdXYf");
        let mut edits = Edits::default();
        edits.cut(0..3);
        edits.cut(2..4);
        assert!(edits.apply(b"abcdef").is_err());
    }
}
