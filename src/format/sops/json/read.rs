//! Reads a JSON text into a tree with the place of every value. Changes nothing.
//!
//! Follows RFC 8259 as `encoding/json` reads it: duplicate keys stay, half of a surrogate pair is
//! U+FFFD. Stricter than sops where it would lose something: wrong UTF-8, and text behind a
//! document that is not encrypted.

use std::ops::Range;

use super::METADATA;
use crate::format::sops::number;
use crate::format::sops::store::ParseError;
use crate::format::sops::text::{fault, part};
use crate::format::sops::tree::{
    Document, Entry, Leaf, List, ListItem, MAX_DEPTH, MAX_NODES, Map, MapItem, Node, Spot, Style,
    Tree, Value, Write,
};
use crate::plaintext::Plaintext;

/// Reads a document.
#[expect(clippy::disallowed_methods, reason = "the text is parsed into values that are wiped")]
pub(in crate::format::sops) fn read(text: &Plaintext) -> Result<Tree, ParseError> {
    let text = text.expose();
    let mut reader = Reader { scanner: Scanner { text, at: 0 }, nodes: 0 };
    let document = reader.document()?;
    Ok(Tree { documents: vec![document] })
}

/// Goes over the text.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl Scanner<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.step();
        }
    }

    /// Passes a byte if it is there.
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.step();
        }
        there
    }

    pub(super) fn fault(&self, what: &'static str) -> ParseError {
        let cut = self.at >= self.text.len();
        fault(self.text, self.at, if cut { "the text ends here, in the middle" } else { what })
    }

    /// A string, with its quotes.
    pub(super) fn string(&mut self, what: &'static str) -> Result<Range<usize>, ParseError> {
        let start = self.at;
        if !self.pass(b'"') {
            return Err(self.fault(what));
        }
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.step();
                    self.escape()?;
                }
                Some(0x20..) => self.step(),
                Some(..0x20) | None => {
                    return Err(self.fault("a control character in a string"));
                }
            }
        }
        self.step();
        let span = start..self.at;
        if let Err(error) = std::str::from_utf8(part(self.text, &span)) {
            let at = start.saturating_add(error.valid_up_to());
            return Err(fault(self.text, at, "not UTF-8"));
        }
        Ok(span)
    }

    /// A number, as JSON has them.
    fn number(&mut self) -> Result<Range<usize>, ParseError> {
        let start = self.at;
        self.pass(b'-');
        if !self.pass(b'0') {
            self.digits()?;
        }
        if self.pass(b'.') {
            self.digits()?;
        }
        if self.pass(b'e') || self.pass(b'E') {
            let _signed = self.pass(b'+') || self.pass(b'-');
            self.digits()?;
        }
        Ok(start..self.at)
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        if self.at == start { Err(self.fault("not a number of JSON")) } else { Ok(()) }
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.step();
                Ok(())
            }
            Some(b'u') => {
                for _ in 0..4 {
                    self.step();
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.fault("an escape that JSON does not have"));
                    }
                }
                self.step();
                Ok(())
            }
            Some(_) | None => Err(self.fault("an escape that JSON does not have")),
        }
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }
}

/// Whether it is a number as JSON has them.
pub(super) fn is_number(digits: &[u8]) -> bool {
    let mut scanner = Scanner { text: digits, at: 0 };
    scanner.number().is_ok_and(|span| span.end == digits.len())
}

/// What a string says, given with its quotes.
pub(super) fn unescape(written: &[u8]) -> Plaintext {
    let end = written.len().saturating_sub(1);
    let mut rest = part(written, &(1..end));
    let mut out = Plaintext::with_capacity(rest.len());
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend(part(rest, &(0..at)));
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        let Some((kind, behind)) = rest.split_first() else { break };
        rest = behind;
        match kind {
            b'b' => out.extend(b"\x08"),
            b'f' => out.extend(b"\x0c"),
            b'n' => out.extend(b"\n"),
            b'r' => out.extend(b"\r"),
            b't' => out.extend(b"\t"),
            b'u' => {
                let (letter, used) = unicode(rest);
                out.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(used..).unwrap_or_default();
            }
            other => out.extend(&[*other]),
        }
    }
    out.extend(rest);
    out
}

/// The character of what stands behind `\u`, and how many bytes say it.
fn unicode(rest: &[u8]) -> (char, usize) {
    let unit = |from: usize| {
        let digits = rest.get(from..from.saturating_add(4))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let Some(first) = unit(0) else { return (char::REPLACEMENT_CHARACTER, 4) };
    let second = if rest.get(4..6) == Some(b"\\u") { unit(6) } else { None };
    if let (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) = (first, second) {
        let point = 0x1_0000_u32.saturating_add((first & 0x3FF) << 10 | low & 0x3FF);
        return (char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    nodes: usize,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Document, ParseError> {
        let text = self.scanner.text;
        if text.starts_with(b"\xEF\xBB\xBF") {
            return Err(fault(text, 0, "JSON does not begin with a byte order mark"));
        }
        self.scanner.space();
        let start = self.scanner.at;
        if self.scanner.peek() != Some(b'{') {
            return Err(self.scanner.fault("the whole is to be one object, `{…}`"));
        }
        let mut root = self.map(1)?;
        let end = self.scanner.at;
        let (metadata, metadata_span) = self.take_metadata(&mut root, start..end)?;
        self.scanner.space();
        // sops does not look at it; what is encrypted already is read as sops reads it
        let passed_over = self.scanner.peek().is_some();
        if passed_over && metadata.is_none() {
            return Err(self.scanner.fault("text behind the end of the document"));
        }
        Ok(Document { root, metadata, span: start..end, metadata_span, passed_over })
    }

    fn take_metadata(
        &self,
        root: &mut Map,
        span: Range<usize>,
    ) -> Result<(Option<Map>, Option<Range<usize>>), ParseError> {
        let text = self.scanner.text;
        let is_metadata = |item: &MapItem| matches!(item, MapItem::Entry(e) if e.key == METADATA);
        let Some(index) = root.items.iter().position(is_metadata) else { return Ok((None, None)) };
        let MapItem::Entry(entry) = root.items.remove(index) else { return Ok((None, None)) };
        if let Some(MapItem::Entry(second)) = root.items.iter().find(|item| is_metadata(item)) {
            return Err(fault(text, second.key_span.start, "`sops` stands there twice"));
        }
        let Node::Map(map) = entry.value else {
            return Err(fault(text, entry.key_span.start, "`sops` is no object"));
        };
        let outline = super::splice::Outline::of(text, span.start);
        Ok((Some(map), outline.and_then(|outline| outline.room_of(index))))
    }

    fn node(&mut self, depth: usize) -> Result<Node, ParseError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(self.scanner.fault("too many values"));
        }
        let start = self.scanner.at;
        let (value, style) = match self.scanner.peek() {
            Some(b'{') => return self.map(depth.saturating_add(1)).map(Node::Map),
            Some(b'[') => return self.list(depth.saturating_add(1)).map(Node::List),
            Some(b'"') => {
                let span = self.scanner.string("")?;
                (Value::Str(unescape(part(self.scanner.text, &span))), Style::Double)
            }
            Some(b'-' | b'0'..=b'9') => (self.number()?, Style::Plain),
            Some(_) | None => (self.word()?, Style::Plain),
        };
        let span = start..self.scanner.at;
        let spot = Some(Spot { span, style, flow: false, indent: 0, shared: false });
        Ok(Node::Leaf(Leaf { value, spot, write: Write::Keep }))
    }

    fn map(&mut self, depth: usize) -> Result<Map, ParseError> {
        self.open(depth)?;
        let mut map = Map::default();
        self.scanner.space();
        if self.scanner.pass(b'}') {
            return Ok(map);
        }
        loop {
            self.scanner.space();
            let key_span = self.scanner.string("a key in quotes is missing here")?;
            let key = key(part(self.scanner.text, &key_span));
            self.scanner.space();
            if !self.scanner.pass(b':') {
                return Err(self.scanner.fault("`:` is missing here"));
            }
            self.scanner.space();
            let value = self.node(depth)?;
            map.items.push(MapItem::Entry(Entry { key, key_span, value }));
            self.scanner.space();
            if self.scanner.pass(b'}') {
                return Ok(map);
            }
            if !self.scanner.pass(b',') {
                return Err(self.scanner.fault("`,` or `}` is missing here"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<List, ParseError> {
        self.open(depth)?;
        let mut list = List::default();
        self.scanner.space();
        if self.scanner.pass(b']') {
            return Ok(list);
        }
        loop {
            self.scanner.space();
            list.items.push(ListItem::Value(self.node(depth)?));
            self.scanner.space();
            if self.scanner.pass(b']') {
                return Ok(list);
            }
            if !self.scanner.pass(b',') {
                return Err(self.scanner.fault("`,` or `]` is missing here"));
            }
        }
    }

    fn open(&mut self, depth: usize) -> Result<(), ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.scanner.fault("too many levels"));
        }
        self.scanner.step();
        Ok(())
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.scanner.at;
        let span = self.scanner.number()?;
        let digits = part(self.scanner.text, &span);
        let shown = std::str::from_utf8(digits).unwrap_or_default();
        if let Ok(whole) = shown.parse::<i64>() {
            // Go has no negative zero among integers
            let shown = if whole == 0 { b"0" } else { digits };
            return Ok(Value::Int(Plaintext::copy_of(shown)));
        }
        if number::parse(shown).is_none() {
            return Err(fault(self.scanner.text, start, "a number too large"));
        }
        Ok(Value::Float(Plaintext::copy_of(digits)))
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        let rest = self.scanner.text.get(self.scanner.at..).unwrap_or_default();
        let words: [(&[u8], Value); 3] =
            [(b"true", Value::Bool(true)), (b"false", Value::Bool(false)), (b"null", Value::Null)];
        match words.into_iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, value)) => {
                self.scanner.at = self.scanner.at.saturating_add(word.len());
                Ok(value)
            }
            None => Err(self.scanner.fault("a value is missing here")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "keys are no secrets, and text by now")]
pub(super) fn key(written: &[u8]) -> String {
    String::from_utf8_lossy(unescape(written).expose()).into_owned()
}
