//! Finds the sections, keys, values and comments of an INI text, each with its place, and what ini.v1
//! passes over: `junk`. Makes no tree and changes nothing.
//!
//! Follows `parser.go` of gopkg.in/ini.v1 1.67 with sections that may come twice.

use std::collections::HashMap;
use std::ops::Range;

use super::quote::{self, Found, comment_start};
use super::{METADATA, UNNAMED};
use crate::format::sops::store::ParseError;
use crate::format::sops::text::{line_fault, part};
use crate::format::sops::tree::{MAX_NODES, Style};
use crate::plaintext::Plaintext;

/// A text, taken apart.
pub(super) struct Scan {
    /// In order; the first is the unnamed one.
    pub(super) sections: Vec<Section>,
    /// What has no part in the document: comments behind the last key, text behind headers and
    /// behind keys in quotes.
    pub(super) junk: Vec<Range<usize>>,
}

pub(super) struct Section {
    pub(super) name: String,
    pub(super) name_span: Range<usize>,
    pub(super) remark: Option<Remark>,
    pub(super) keys: Vec<Key>,
    /// From the header to where the comment of the next section begins.
    pub(super) span: Range<usize>,
    /// The end of its header and of each of its keys.
    pub(super) end: usize,
}

pub(super) struct Key {
    pub(super) name: String,
    pub(super) name_span: Range<usize>,
    pub(super) value: Plaintext,
    pub(super) span: Range<usize>,
    pub(super) style: Style,
    pub(super) remark: Option<Remark>,
    /// The lines of key and value.
    pub(super) lines: Range<usize>,
    /// The lines of keys of this name before, which count for nothing.
    pub(super) earlier: Vec<Range<usize>>,
}

impl Key {
    /// All lines that say something about it.
    pub(super) fn all_lines(&self) -> impl Iterator<Item = Range<usize>> {
        std::iter::once(&self.lines).chain(&self.earlier).cloned()
    }
}

/// A run of comments.
pub(super) struct Remark {
    /// Without what the first begins with.
    pub(super) text: Plaintext,
    /// Not empty.
    pub(super) pieces: Vec<Piece>,
}

/// A comment on one line.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// From `#` or `;` on, without space at the end.
    pub(super) span: Range<usize>,
    /// Its line, where it stands there alone.
    pub(super) line: Option<Range<usize>>,
    /// What ini.v1 takes for its text.
    raw: Range<usize>,
}

impl Scan {
    pub(super) fn of(text: &[u8]) -> Result<Self, ParseError> {
        let mut at = if text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let mut scanner = Scanner {
            text,
            sections: vec![Section::new(UNNAMED.to_owned(), 0..0, at, None, at)],
            known: HashMap::new(),
            pending: Vec::new(),
            junk: Vec::new(),
            nodes: 0,
        };
        while at < text.len() {
            at = scanner.line(at)?;
        }
        let Scanner { mut sections, mut junk, pending, .. } = scanner;
        junk.extend(pending.into_iter().filter_map(|piece| piece.line));
        if let Some(last) = sections.last_mut() {
            last.span.end = text.len();
        }
        Ok(Self { sections, junk })
    }

    /// Values that count for nothing: of a key that comes again, behind headers, and behind keys in
    /// quotes. Without those of the metadata.
    pub(super) fn passed_over(&self, text: &[u8]) -> Vec<Range<usize>> {
        let room = self.sections.iter().find(|section| section.name == METADATA);
        let room = room.map_or(0..0, |section| section.room(text));
        let earlier = self.sections.iter().flat_map(|section| &section.keys);
        let earlier = earlier.flat_map(|key| &key.earlier);
        let is_value = |span: &&Range<usize>| {
            let text = part(text, span).trim_ascii();
            !matches!(text.first(), None | Some(b'#' | b';')) && !room.contains(&span.start)
        };
        earlier.chain(&self.junk).filter(is_value).cloned().collect()
    }
}

impl Section {
    fn new(
        name: String,
        name_span: Range<usize>,
        start: usize,
        remark: Option<Remark>,
        end: usize,
    ) -> Self {
        Self { name, name_span, remark, keys: Vec::new(), span: start..end, end }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    sections: Vec<Section>,
    /// The keys of the last section.
    known: HashMap<String, usize>,
    pending: Vec<Piece>,
    junk: Vec<Range<usize>>,
    nodes: usize,
}

impl Scanner<'_> {
    /// Takes a line, and those that its value goes on over; where the next begins.
    fn line(&mut self, at: usize) -> Result<usize, ParseError> {
        let end = quote::line_end(self.text, at);
        let line = part(self.text, &(at..end));
        let start = at.saturating_add(quote::space_before(line));
        let Some(first) = self.text.get(start).filter(|_| start < end) else { return Ok(end) };
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(line_fault(self.text, start, "too many values"));
        }
        match first {
            b'#' | b';' => {
                self.note(start..end, Some(at..end));
                Ok(end)
            }
            b'[' => self.section(at, start..end),
            _ => self.key(at, start..end),
        }
    }

    fn note(&mut self, raw: Range<usize>, line: Option<Range<usize>>) {
        let length = quote::without_space_behind(part(self.text, &raw)).len();
        self.pending.push(Piece { span: raw.start..raw.start.saturating_add(length), line, raw });
    }

    fn section(&mut self, at: usize, line: Range<usize>) -> Result<usize, ParseError> {
        let error = |what| line_fault(self.text, line.start, what);
        let content = part(self.text, &line);
        let close = content.iter().rposition(|byte| *byte == b']');
        let close = line.start.saturating_add(close.ok_or_else(|| error("a header without `]`"))?);
        let name_span = line.start.saturating_add(1)..close;
        let name = std::str::from_utf8(part(self.text, &name_span));
        let name = name.map_err(|_| error("a name that is no UTF-8"))?.to_owned();
        if name.is_empty() {
            return Err(error("a header without a name"));
        }
        let above = self.pending.iter().find_map(|piece| piece.line.clone());
        self.trailing(close.saturating_add(1)..line.end);
        let remark = self.remark();
        if let Some(last) = self.sections.last_mut() {
            last.span.end = above.map_or(at, |line| line.start);
        }
        self.known.clear();
        self.sections.push(Section::new(name, name_span, at, remark, line.end));
        Ok(line.end)
    }

    fn key(&mut self, at: usize, line: Range<usize>) -> Result<usize, ParseError> {
        let error = |what| line_fault(self.text, line.start, what);
        let found = quote::key_name(part(self.text, &line)).map_err(error)?;
        let shift = |span: Range<usize>| {
            line.start.saturating_add(span.start)..line.start.saturating_add(span.end)
        };
        if found.name == "-" {
            return Err(error("the key `-`, which sops encrypts so that nothing decrypts it"));
        }
        let name_span = shift(found.span);
        if let Some(skipped) = found.skipped {
            self.junk.push(shift(skipped));
        }
        let value_at = line.start.saturating_add(found.behind);
        let Found { value, span, style, comment, next } =
            quote::value(self.text, value_at..line.end).map_err(error)?;
        if let Some(raw) = comment {
            self.note(raw, None);
        }
        let remark = self.remark();
        let (name, lines, earlier) = (found.name, at..next, Vec::new());
        let key = Key { name, name_span, value, span, style, remark, lines, earlier };
        self.add(key);
        Ok(next)
    }

    /// Of two keys with one name, the place of the first and the value of the last count.
    fn add(&mut self, mut key: Key) {
        let Some(section) = self.sections.last_mut() else { return };
        section.end = key.lines.end;
        let known = self.known.get(&key.name).and_then(|index| section.keys.get_mut(*index));
        if let Some(known) = known {
            std::mem::swap(known, &mut key);
            known.earlier = key.earlier;
            known.earlier.push(key.lines);
            return;
        }
        self.known.insert(key.name.clone(), section.keys.len());
        section.keys.push(key);
    }

    /// What stands behind the header of a section.
    fn trailing(&mut self, rest: Range<usize>) {
        let content = part(self.text, &rest);
        let comment = comment_start(content);
        let other = quote::without_space_behind(
            content.get(..comment.unwrap_or(content.len())).unwrap_or_default(),
        );
        if quote::space_before(other) < other.len() {
            self.junk.push(rest.start..rest.start.saturating_add(other.len()));
        }
        if let Some(comment) = comment {
            self.note(rest.start.saturating_add(comment)..rest.end, None);
        }
    }

    /// The comments so far, as one.
    fn remark(&mut self) -> Option<Remark> {
        let pieces = std::mem::take(&mut self.pending);
        let mut all = Plaintext::default();
        for piece in &pieces {
            all.extend(part(self.text, &piece.raw));
        }
        let text = quote::without_space_behind(super::bytes(&all));
        let kept = match text.first()? {
            b';' => text.iter().position(|byte| !matches!(byte, b';' | b' ')),
            b'#' => text.iter().position(|byte| !matches!(byte, b'#' | b' ')),
            _ => Some(0),
        };
        let text = Plaintext::copy_of(kept.and_then(|at| text.get(at..)).unwrap_or_default());
        Some(Remark { text, pieces })
    }
}
