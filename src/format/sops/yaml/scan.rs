//! A text to the tokens of YAML, each with its bytes, and with the comments that go-yaml v3 sees
//! beside it. Tokens and their texts are those of `granit-parser`; places are found anew, since
//! they have to be those of the characters that a token is written with.
//!
//! Knows no tree and resolves no value.

use granit_parser::{Options, ScalarStyle, ScanError, Scanner, StrInput, TokenType};

use super::comments::{Comments, Cursor, Ends};
use crate::format::sops::store::ParseError;
use crate::format::sops::tree::{MAX_DEPTH, MAX_NODES};
use crate::plaintext::Plaintext;

/// A token and the bytes that it is written with; those that stand for nothing are empty.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The kinds of libyaml.
#[derive(Debug)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    Directive(Option<Box<(String, String)>>),
    DocumentStart,
    DocumentEnd,
    SequenceStart,
    MappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    Entry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    /// Handle and suffix.
    Tag(Box<(String, String)>),
    Scalar(ScalarStyle, Plaintext),
}

/// What a text is made of.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Comments,
}

/// Splits a text.
pub(super) fn scan(text: &str) -> Result<Scanned, ParseError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    // More than we allow, so that the error is ours.
    options.block_nesting_limit = MAX_DEPTH.saturating_add(8);
    options.flow_nesting_limit = MAX_DEPTH.saturating_add(8);
    let mut placer = Placer {
        text,
        cursor: Cursor::default(),
        indents: Vec::new(),
        flow: 0,
        comments: Comments::default(),
        tokens: Vec::new(),
        held: Vec::new(),
        last: (0, Last::Other),
        before_last: 0,
        seen: Seen::default(),
    };
    for token in Scanner::with_options(StrInput::new(text), options) {
        let token = token.map_err(|error| scan_error(text, &error))?;
        let span = token.span();
        let end = span.end.byte_offset().unwrap_or_default();
        let empty = span.start.byte_offset() == Some(end);
        let (_, kind) = token.into_parts();
        placer.place(kind, end, empty)?;
        if placer.seen.nodes() > MAX_NODES {
            return Err(placer.error("the document has too many values"));
        }
    }
    Ok(Scanned { tokens: placer.tokens, comments: placer.comments })
}

/// The place of a byte, for an error.
pub(super) fn error_at(text: &str, offset: usize, what: &'static str) -> ParseError {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i.saturating_add(1));
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default());
    ParseError {
        line: before.split(|b| *b == b'\n').count(),
        column: column.chars().count().saturating_add(1),
        what,
    }
}

fn scan_error(text: &str, error: &ScanError) -> ParseError {
    // What the scanner says may quote the text.
    let offset = error.marker().byte_offset();
    offset.map_or(ParseError { line: error.marker().line(), column: 0, what: NOT_YAML }, |offset| {
        error_at(text, offset, NOT_YAML)
    })
}

const NOT_YAML: &str = "this is not YAML";

/// What the last token was, as far as comments ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Entry,
    FlowEntry,
    Value,
    Other,
}

struct Placer<'a> {
    text: &'a str,
    cursor: Cursor,
    /// Columns of the open block collections.
    indents: Vec<usize>,
    flow: usize,
    comments: Comments,
    tokens: Vec<Token>,
    /// Tokens without characters, that wait for the place of the next one.
    held: Vec<Kind>,
    /// Start and kind of the last token that has characters.
    last: (usize, Last),
    before_last: usize,
    seen: Seen,
}

/// What tells how many values there are at least, before any of them is made: a document with too many
/// is given up while little more than its text is in memory.
#[derive(Debug, Default)]
struct Seen {
    /// `-`
    entries: usize,
    /// `,`, in lists and maps.
    flow_entries: usize,
    /// Those of pairs, which are two.
    keys: usize,
}

impl Seen {
    fn note(&mut self, kind: &Kind) {
        let add = |count: &mut usize, is: bool| *count = count.saturating_add(usize::from(is));
        add(&mut self.entries, matches!(kind, Kind::Entry));
        add(&mut self.flow_entries, matches!(kind, Kind::FlowEntry));
        add(&mut self.keys, matches!(kind, Kind::Key));
    }

    fn nodes(&self) -> usize {
        self.entries.saturating_add(self.flow_entries.max(self.keys.saturating_mul(2)))
    }
}

impl Placer<'_> {
    fn error(&self, what: &'static str) -> ParseError {
        error_at(self.text, self.cursor.index, what)
    }

    /// Gives a token of the scanner its place; `end` is what the scanner says.
    fn place(&mut self, token: TokenType<'_>, end: usize, empty: bool) -> Result<(), ParseError> {
        let kind = match token {
            TokenType::StreamStart => {
                self.push(Kind::StreamStart, 0, 0);
                return Ok(());
            }
            TokenType::StreamEnd => Kind::StreamEnd,
            TokenType::VersionDirective(..) | TokenType::ReservedDirective(..) => {
                Kind::Directive(None)
            }
            TokenType::TagDirective(handle, prefix) => {
                Kind::Directive(Some(Box::new((handle.into_owned(), prefix.into_owned()))))
            }
            TokenType::DocumentStart => Kind::DocumentStart,
            TokenType::DocumentEnd => Kind::DocumentEnd,
            TokenType::BlockSequenceStart => return self.hold(Kind::SequenceStart),
            TokenType::BlockMappingStart => return self.hold(Kind::MappingStart),
            TokenType::BlockEnd => return self.hold(Kind::BlockEnd),
            // A pair alone in a list: go-yaml knows it by its key.
            TokenType::FlowMappingStart | TokenType::FlowMappingEnd if empty => return Ok(()),
            TokenType::Key if empty => return self.hold(Kind::Key),
            TokenType::FlowSequenceStart => Kind::FlowSequenceStart,
            TokenType::FlowSequenceEnd => Kind::FlowSequenceEnd,
            TokenType::FlowMappingStart => Kind::FlowMappingStart,
            TokenType::FlowMappingEnd => Kind::FlowMappingEnd,
            TokenType::BlockEntry => Kind::Entry,
            TokenType::FlowEntry => Kind::FlowEntry,
            TokenType::Key => Kind::Key,
            TokenType::Value => Kind::Value,
            TokenType::Alias(name) => Kind::Alias(name.into_owned()),
            TokenType::Anchor(name) => Kind::Anchor(name.into_owned()),
            TokenType::Tag(handle, suffix) => {
                Kind::Tag(Box::new((handle.into_owned(), suffix.into_owned())))
            }
            TokenType::Scalar(style, text) => {
                Kind::Scalar(style, Plaintext::new(text.into_owned().into_bytes()))
            }
            TokenType::Comment(_) | _ => return Ok(()),
        };
        self.real(kind, end)
    }

    fn hold(&mut self, kind: Kind) -> Result<(), ParseError> {
        self.held.push(kind);
        if self.indents.len().saturating_add(self.held.len()) > MAX_DEPTH.saturating_mul(4) {
            return Err(self.error("values are nested too deeply"));
        }
        Ok(())
    }

    /// A token with characters: what stands before it is skipped, comments are kept.
    fn real(&mut self, kind: Kind, scanner_end: usize) -> Result<(), ParseError> {
        let scan_start = self.cursor.index;
        let last = if self.last.1 == Last::FlowEntry { self.before_last } else { self.last.0 };
        let indent = self.indents.last().copied();
        self.comments.between(
            self.text.as_bytes(),
            &mut self.cursor,
            last,
            self.last.1 == Last::Value,
            indent,
            self.flow > 0,
        );
        let start = self.cursor.index;
        let end = self.end_of(&kind, start, scanner_end)?;
        let kind = unbroken(kind, self.text, end);
        self.place_held(&kind, start, scan_start);
        self.count_flow(&kind);
        let own = self.text.as_bytes().get(start).copied();
        let line_mark = match (own, self.flow > 0) {
            (Some(b':'), false) | (Some(b','), true) => self.last.0,
            _ => start,
        };
        let plain = matches!(kind, Kind::Scalar(ScalarStyle::Plain, _));
        let block = matches!(kind, Kind::Scalar(ScalarStyle::Literal | ScalarStyle::Folded, _));
        let line_comments = !matches!(
            kind,
            Kind::Entry
                | Kind::StreamEnd
                | Kind::Directive(_)
                | Kind::DocumentStart
                | Kind::DocumentEnd
        );
        let now = match kind {
            Kind::Entry => Last::Entry,
            Kind::FlowEntry => Last::FlowEntry,
            Kind::Value => Last::Value,
            Kind::StreamStart
            | Kind::StreamEnd
            | Kind::Directive(_)
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::SequenceStart
            | Kind::MappingStart
            | Kind::BlockEnd
            | Kind::FlowSequenceStart
            | Kind::FlowSequenceEnd
            | Kind::FlowMappingStart
            | Kind::FlowMappingEnd
            | Kind::Key
            | Kind::Alias(_)
            | Kind::Anchor(_)
            | Kind::Tag(..)
            | Kind::Scalar(..) => Last::Other,
        };
        self.push(kind, start, end);
        self.before_last = self.last.0;
        self.last = (start, now);
        let bytes = self.text.as_bytes();
        if block {
            self.comments.block_header(bytes, start);
        }
        self.cursor.advance(self.text, end);
        if plain || block {
            self.cursor.skip_space(bytes);
        }
        if line_comments {
            self.comments.line(bytes, &mut self.cursor, line_mark);
        }
        Ok(())
    }

    /// Where a token ends that begins here; that it can begin so is checked.
    fn end_of(&self, kind: &Kind, start: usize, end: usize) -> Result<usize, ParseError> {
        let bytes = self.text.as_bytes();
        let first = bytes.get(start).copied().unwrap_or(0);
        let one = start.saturating_add(1);
        let (fits, end) = match kind {
            Kind::StreamEnd => (start == bytes.len(), start),
            Kind::Directive(_) => {
                let line = bytes.get(start..).unwrap_or_default();
                let length = line.iter().position(|b| matches!(b, b'\n' | b'\r' | b'#'));
                (first == b'%', start.saturating_add(length.unwrap_or(line.len())))
            }
            Kind::DocumentStart => (first == b'-', start.saturating_add(3)),
            Kind::DocumentEnd => (first == b'.', start.saturating_add(3)),
            Kind::FlowSequenceStart => (first == b'[', one),
            Kind::FlowSequenceEnd => (first == b']', one),
            Kind::FlowMappingStart => (first == b'{', one),
            Kind::FlowMappingEnd => (first == b'}', one),
            Kind::Entry => (first == b'-', one),
            Kind::FlowEntry => (first == b',', one),
            Kind::Key => (first == b'?', one),
            Kind::Value => (first == b':', one),
            Kind::Alias(_) => (first == b'*', end),
            Kind::Anchor(_) => (first == b'&', end),
            Kind::Tag(..) => (first == b'!', end),
            Kind::Scalar(style, _) => match style {
                ScalarStyle::Plain => (end > start, trimmed(bytes, start, end)),
                ScalarStyle::SingleQuoted => {
                    (first == b'\'' && bytes.get(end.saturating_sub(1)) == Some(&b'\''), end)
                }
                ScalarStyle::DoubleQuoted => {
                    (first == b'"' && bytes.get(end.saturating_sub(1)) == Some(&b'"'), end)
                }
                ScalarStyle::Literal | ScalarStyle::Folded => {
                    let line = bytes.get(start..).unwrap_or_default();
                    let header = line.iter().position(|b| matches!(b, b'\n' | b'\r'));
                    let header = start.saturating_add(header.unwrap_or(line.len()));
                    (matches!(first, b'|' | b'>'), end.max(header))
                }
            },
            Kind::StreamStart | Kind::SequenceStart | Kind::MappingStart | Kind::BlockEnd => {
                (true, start)
            }
        };
        if fits && end >= start { Ok(end) } else { Err(self.error(NOT_YAML)) }
    }

    /// Collections that end before a token lie where go-yaml puts their ends; those that begin,
    /// begin with it.
    fn place_held(&mut self, kind: &Kind, start: usize, scan_start: usize) {
        let ends_all = matches!(
            kind,
            Kind::StreamEnd | Kind::DocumentStart | Kind::DocumentEnd | Kind::Directive(_)
        );
        let mut by_column = Ends::from(scan_start);
        let mut by_mark = Ends::from(start);
        for held in std::mem::take(&mut self.held) {
            let at = match held {
                Kind::BlockEnd => {
                    let indent = self.indents.pop().unwrap_or_default();
                    if ends_all && indent <= self.cursor.column {
                        self.comments.end_of_block(&mut by_mark, indent)
                    } else {
                        self.comments.end_of_block(&mut by_column, indent)
                    }
                }
                Kind::SequenceStart | Kind::MappingStart => {
                    self.indents.push(self.cursor.column);
                    start
                }
                Kind::StreamStart
                | Kind::StreamEnd
                | Kind::Directive(_)
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::FlowSequenceStart
                | Kind::FlowSequenceEnd
                | Kind::FlowMappingStart
                | Kind::FlowMappingEnd
                | Kind::Entry
                | Kind::FlowEntry
                | Kind::Key
                | Kind::Value
                | Kind::Alias(_)
                | Kind::Anchor(_)
                | Kind::Tag(..)
                | Kind::Scalar(..) => start,
            };
            self.push(held, at, at);
        }
    }

    fn count_flow(&mut self, kind: &Kind) {
        if matches!(kind, Kind::FlowSequenceStart | Kind::FlowMappingStart) {
            self.flow = self.flow.saturating_add(1);
        } else if matches!(kind, Kind::FlowSequenceEnd | Kind::FlowMappingEnd) {
            self.flow = self.flow.saturating_sub(1);
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        self.seen.note(&kind);
        self.tokens.push(Token { kind, start, end });
    }
}

/// A block scalar that the text ends in without a line break has none at its end.
fn unbroken(kind: Kind, text: &str, end: usize) -> Kind {
    let Kind::Scalar(style @ (ScalarStyle::Literal | ScalarStyle::Folded), value) = kind else {
        return kind;
    };
    if end < text.len() || text.ends_with(['\n', '\r']) {
        return Kind::Scalar(style, value);
    }
    #[expect(clippy::disallowed_methods, reason = "copied into a plaintext")]
    let kept = value.expose().strip_suffix(b"\n").map(Plaintext::copy_of);
    Kind::Scalar(style, kept.unwrap_or(value))
}

fn trimmed(bytes: &[u8], start: usize, end: usize) -> usize {
    let own = bytes.get(start..end).unwrap_or_default();
    let length = own.iter().rposition(|b| !b.is_ascii_whitespace());
    start.saturating_add(length.map_or(0, |i| i.saturating_add(1)))
}
