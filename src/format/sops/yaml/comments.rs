//! Which token a comment belongs to, as go-yaml v3 decides it while it scans (`scannerc.go`,
//! `yaml_parser_scan_comments` and its neighbours): the head of what follows, the line of what
//! stands before it, or the foot of what ended. The path of a comment's container is what its
//! ciphertext is bound to, so this has to be the same decision byte for byte, odd cases included.
//!
//! Knows no tree.

use std::ops::Range;

/// Where the scanner stands.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    pub(super) index: usize,
    pub(super) line: usize,
    /// In characters.
    pub(super) column: usize,
    /// Line breaks since the last character that was none, and no blank.
    newlines: usize,
}

/// Comment lines, from the `#` on; `None` is an empty line between them.
pub(super) type Lines = Vec<Option<Range<usize>>>;

/// Which side of a node a comment stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Head,
    Line,
    Foot,
}

#[derive(Debug)]
struct Found {
    side: Side,
    /// The token must begin here or later.
    token: usize,
    /// Where the search began, the comment (column from 1), and the end.
    scan: usize,
    start: usize,
    column: usize,
    end: usize,
    lines: Lines,
}

/// All comments of a text, in the order they are met.
#[derive(Debug, Default)]
pub(super) struct Comments {
    found: Vec<Found>,
    taken: usize,
}

/// Where the blocks end that one token ends.
#[derive(Debug)]
pub(super) struct Ends {
    at: isize,
}

impl Cursor {
    /// Goes to a byte.
    pub(super) fn advance(&mut self, text: &str, to: usize) {
        let bytes = text.as_bytes();
        while self.index < to {
            self.step(bytes);
        }
    }

    /// Over blanks and line breaks.
    pub(super) fn skip_space(&mut self, bytes: &[u8]) {
        while is_blank(byte(bytes, self.index)) || break_width(bytes, self.index) > 0 {
            self.step(bytes);
        }
    }

    /// One character or line break.
    fn step(&mut self, bytes: &[u8]) {
        let width = break_width(bytes, self.index);
        if width > 0 {
            self.index = self.index.saturating_add(width);
            self.line = self.line.saturating_add(1);
            self.column = 0;
            self.newlines = self.newlines.saturating_add(1);
            return;
        }
        let first = byte(bytes, self.index);
        if !is_blank(first) {
            self.newlines = 0;
        }
        let width = match first {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        self.index = self.index.saturating_add(width);
        self.column = self.column.saturating_add(1);
    }

    /// To the end of the line.
    fn skip_line(&mut self, bytes: &[u8]) {
        while self.index < bytes.len() && break_width(bytes, self.index) == 0 {
            self.step(bytes);
        }
    }
}

impl Comments {
    /// What the comments up to a token are, taken out: `(head, line, foot)` lines to be added.
    pub(super) fn take_until(&mut self, token: usize, stays: bool) -> Vec<(Side, Lines)> {
        let mut taken = Vec::new();
        while let Some(comment) = self.found.get_mut(self.taken) {
            if comment.token > token || (stays && comment.side == Side::Head) {
                break;
            }
            taken.push((comment.side, std::mem::take(&mut comment.lines)));
            self.taken = self.taken.saturating_add(1);
        }
        taken
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.found.len() <= self.taken
    }

    /// The comment behind a token on its line.
    pub(super) fn line(&mut self, bytes: &[u8], cursor: &mut Cursor, token: usize) {
        if cursor.newlines > 0 {
            return;
        }
        let mut at = cursor.index;
        while is_blank(byte(bytes, at)) && at.saturating_sub(cursor.index) < WINDOW {
            at = at.saturating_add(1);
        }
        if byte(bytes, at) == b'#' {
            while cursor.index < at {
                cursor.step(bytes);
            }
            cursor.skip_line(bytes);
            self.push_line(token, at..cursor.index);
        }
    }

    /// The comment on the first line of a block scalar.
    pub(super) fn block_header(&mut self, bytes: &[u8], start: usize) {
        let mut at = start.saturating_add(1);
        while matches!(byte(bytes, at), b'+' | b'-' | b'0'..=b'9' | b' ' | b'\t') {
            at = at.saturating_add(1);
        }
        if byte(bytes, at) == b'#' {
            let mut end = at;
            while end < bytes.len() && break_width(bytes, end) == 0 {
                end = end.saturating_add(1);
            }
            self.push_line(start, at..end);
        }
    }

    fn push_line(&mut self, token: usize, range: Range<usize>) {
        self.found.push(Found {
            side: Side::Line,
            token,
            scan: 0,
            start: range.start,
            column: 0,
            end: 0,
            lines: vec![Some(range)],
        });
    }

    /// What stands between two tokens: blanks, line breaks, comments. `last` is where the token
    /// before begins.
    pub(super) fn between(
        &mut self,
        bytes: &[u8],
        cursor: &mut Cursor,
        last: usize,
        last_is_value: bool,
        indent: Option<usize>,
        flow: bool,
    ) {
        let scan = (cursor.index, cursor.line);
        loop {
            if cursor.column == 0 && bytes.get(cursor.index..).is_some_and(|b| b.starts_with(BOM)) {
                cursor.step(bytes);
            }
            while is_blank(byte(bytes, cursor.index)) {
                cursor.step(bytes);
            }
            if byte(bytes, cursor.index) == b'#' {
                let indent = indent.unwrap_or_default();
                self.run(bytes, cursor, scan, (last, last_is_value), indent, flow);
            }
            if break_width(bytes, cursor.index) == 0 {
                return;
            }
            cursor.step(bytes);
        }
    }

    /// A run of comments, with the empty lines among them.
    fn run(
        &mut self,
        bytes: &[u8],
        cursor: &mut Cursor,
        scan: (usize, usize),
        (last, last_is_value): (usize, bool),
        indent: usize,
        flow: bool,
    ) {
        let (mut scan, scan_line) = scan;
        let mut token = last;
        let mut recent_empty = false;
        let mut first_empty = cursor.newlines <= 1;
        let mut line = cursor.line;
        let mut column = cursor.column;
        let mut lines: Lines = Vec::new();
        // Line, and column from 1, where the lines at hand begin.
        let mut start = (0_usize, 0_usize, 0_usize);
        // A comment on this line is still the foot of what stands before.
        let foot_line = (scan_line > 0).then(|| {
            let line = cursor.line.saturating_add(1).saturating_sub(cursor.newlines);
            if cursor.newlines == 0 && cursor.column > 1 { line.saturating_add(1) } else { line }
        });
        let mut peek = 0_usize;
        while peek < WINDOW {
            column = column.saturating_add(1);
            let at = cursor.index.saturating_add(peek);
            let here = byte(bytes, at);
            if is_blank(here) {
                peek = peek.saturating_add(1);
                continue;
            }
            let closes = flow && matches!(here, b']' | b'}');
            let is_end = at >= bytes.len();
            let is_break = break_width(bytes, at) > 0;
            let foot = |token: usize,
                        scan: usize,
                        lines: &mut Lines,
                        start: (usize, usize, usize)| Found {
                side: Side::Foot,
                token,
                scan,
                start: start.0,
                column: start.2,
                end: at,
                lines: std::mem::take(lines),
            };
            if closes || is_end || is_break {
                if closes || !recent_empty {
                    let dedented = start.2.saturating_sub(1) < indent;
                    let after = Some(start.1) == foot_line && !last_is_value || dedented;
                    if closes || first_empty && after {
                        if !lines.is_empty() {
                            if dedented {
                                token = start.0;
                            }
                            self.found.push(foot(token, scan, &mut lines, start));
                            scan = at;
                            token = at;
                        }
                    } else if !lines.is_empty() && !is_end {
                        lines.push(None);
                    }
                }
                if !is_break {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line = line.saturating_add(1);
                peek = peek.saturating_add(1);
                continue;
            }
            if !lines.is_empty() && column.saturating_sub(1) < indent && column != start.2 {
                self.found.push(foot(token, scan, &mut lines, start));
                scan = at;
                token = at;
            }
            if here != b'#' {
                break;
            }
            if lines.is_empty() {
                start = (at, line, column);
            }
            recent_empty = false;
            while cursor.index < at {
                cursor.step(bytes);
            }
            cursor.skip_line(bytes);
            lines.push(Some(at..cursor.index));
            // The first byte of the line break is passed over: of CR LF the LF is met again, as
            // an empty line.
            peek = 1;
            column = 0;
            line = cursor.line;
        }
        if !lines.is_empty() {
            self.found.push(Found {
                side: Side::Head,
                token: start.0,
                scan,
                start: start.0,
                column: start.2,
                end: cursor.index.saturating_add(peek).saturating_sub(1),
                lines,
            });
        }
    }

    /// Where one more block ends: before the comments that stand at its column.
    pub(super) fn end_of_block(&self, ends: &mut Ends, indent: usize) -> usize {
        let mut stop = ends.at;
        for comment in self.found.iter().rev() {
            if comment.lines.is_empty() || comment.side == Side::Line || signed(comment.end) < stop
            {
                break;
            }
            if comment.column == indent.saturating_add(1) {
                ends.at = signed(comment.start);
            }
            stop = signed(comment.scan);
        }
        usize::try_from(ends.at).unwrap_or_default()
    }
}

impl Ends {
    /// Of the blocks that one token ends, searched from where the scanner began.
    pub(super) fn from(scan: usize) -> Self {
        Self { at: signed(scan).saturating_sub(1) }
    }
}

fn signed(offset: usize) -> isize {
    isize::try_from(offset).unwrap_or(isize::MAX)
}

/// The byte, or NUL behind the end.
fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The bytes of the line break of YAML 1.1 that stands here; 0 where none does.
pub(super) fn break_width(bytes: &[u8], at: usize) -> usize {
    match (byte(bytes, at), byte(bytes, at.saturating_add(1)), byte(bytes, at.saturating_add(2))) {
        (b'\r', b'\n', _) | (0xC2, 0x85, _) => 2,
        (b'\r' | b'\n', ..) => 1,
        (0xE2, 0x80, 0xA8 | 0xA9) => 3,
        _ => 0,
    }
}

const BOM: &[u8] = "\u{feff}".as_bytes();
/// How far go-yaml looks ahead for comments.
const WINDOW: usize = 512;
