//! Prints JSON as `json.Indent` and `json.Marshal` of Go print it, and pieces of it for texts that
//! are laid out otherwise. Comments are dropped, as sops drops them.

use super::METADATA;
use crate::format::sops::convert::refusal;
use crate::format::sops::number;
use crate::format::sops::store::{Step, StoreError};
use crate::format::sops::tree::{Leaf, Map, Node, Tree, Value};
use crate::plaintext::Plaintext;

/// Prints a document as sops does.
pub(in crate::format::sops) fn print(
    tree: &Tree,
    metadata: Option<&Map>,
    indent: Option<usize>,
) -> Result<Plaintext, StoreError> {
    let [document] = tree.documents.as_slice() else {
        return Err(StoreError::new("JSON has room for one document"));
    };
    if metadata.is_some() && document.root.find(METADATA).is_some() {
        return Err(refusal(&[METADATA], "this key is for the metadata"));
    }
    let unit = indent.map_or_else(|| "\t".to_owned(), |count| " ".repeat(count));
    let mut printer = Printer::new(Layout::lines(unit, String::new(), "\n"));
    printer.members(&document.root, metadata)?;
    printer.out.extend(b"\n");
    Ok(printer.out)
}

/// How a piece is laid out.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// What each level is indented by more; `None`: all on one line.
    pub(super) unit: Option<String>,
    /// What the line is indented by that the piece begins in.
    pub(super) base: String,
    /// What lines end with.
    pub(super) end: &'static str,
    /// Between a key and its value.
    pub(super) colon: &'static str,
    /// Between members.
    pub(super) comma: &'static str,
}

impl Layout {
    pub(super) fn lines(unit: String, base: String, end: &'static str) -> Self {
        Self { unit: Some(unit), base, end, colon: ": ", comma: "," }
    }
}

/// What is printed so far.
pub(super) struct Printer {
    pub(super) out: Plaintext,
    layout: Layout,
    level: usize,
}

impl Printer {
    pub(super) fn new(layout: Layout) -> Self {
        Self { out: Plaintext::default(), layout, level: 0 }
    }

    /// A value with the maps and lists on the way to it.
    pub(super) fn at_end_of(&mut self, way: &[Step], value: &Node) -> Result<(), StoreError> {
        let Some((step, rest)) = way.split_first() else { return self.node(value) };
        self.open(if matches!(step, Step::Key(_)) { b"{" } else { b"[" });
        self.line();
        if let Step::Key(key) = step {
            self.key(key);
        }
        self.at_end_of(rest, value)?;
        self.close(if matches!(step, Step::Key(_)) { b"}" } else { b"]" });
        Ok(())
    }

    pub(super) fn key(&mut self, key: &str) {
        string(&mut self.out, key.as_bytes());
        self.out.extend(self.layout.colon.as_bytes());
    }

    pub(super) fn node(&mut self, node: &Node) -> Result<(), StoreError> {
        match node {
            Node::Map(map) => self.members(map, None),
            Node::Leaf(leaf) => self.leaf(leaf),
            Node::List(list) => {
                let mut values = list.values().peekable();
                if values.peek().is_none() {
                    self.out.extend(b"[]");
                    return Ok(());
                }
                self.open(b"[");
                for (number, value) in values.enumerate() {
                    self.next(number);
                    self.node(value)?;
                }
                self.close(b"]");
                Ok(())
            }
        }
    }

    pub(super) fn map(&mut self, map: &Map) -> Result<(), StoreError> {
        self.members(map, None)
    }

    pub(super) fn leaf(&mut self, leaf: &Leaf) -> Result<(), StoreError> {
        match &leaf.value {
            Value::Null => self.out.extend(b"null"),
            Value::Bool(true) => self.out.extend(b"true"),
            Value::Bool(false) => self.out.extend(b"false"),
            Value::Int(text) => self.out.extend(bytes(text)),
            Value::Float(text) => self.float(bytes(text))?,
            Value::Time(text) | Value::Str(text) => string(&mut self.out, bytes(text)),
        }
        Ok(())
    }

    fn members(&mut self, map: &Map, metadata: Option<&Map>) -> Result<(), StoreError> {
        let mut number = 0_usize;
        for entry in map.entries() {
            if number == 0 {
                self.open(b"{");
            }
            self.next(number);
            number = number.saturating_add(1);
            self.key(&entry.key);
            self.node(&entry.value)?;
        }
        if let Some(metadata) = metadata {
            if number == 0 {
                self.open(b"{");
            }
            self.next(number);
            self.key(METADATA);
            self.members(metadata, None)?;
        } else if number == 0 {
            self.out.extend(b"{}");
            return Ok(());
        }
        self.close(b"}");
        Ok(())
    }

    fn float(&mut self, digits: &[u8]) -> Result<(), StoreError> {
        if super::read::is_number(digits) {
            self.out.extend(digits);
            return Ok(());
        }
        let normal = std::str::from_utf8(digits).ok().and_then(number::json);
        let normal = normal.ok_or(StoreError::new("JSON has no such number"))?;
        self.out.extend(bytes(&normal));
        Ok(())
    }

    fn open(&mut self, bracket: &[u8]) {
        self.out.extend(bracket);
        self.level = self.level.saturating_add(1);
    }

    fn next(&mut self, number: usize) {
        if number > 0 {
            self.out.extend(self.layout.comma.as_bytes());
        }
        self.line();
    }

    fn close(&mut self, bracket: &[u8]) {
        self.level = self.level.saturating_sub(1);
        self.line();
        self.out.extend(bracket);
    }

    fn line(&mut self) {
        let Some(unit) = &self.layout.unit else { return };
        self.out.extend(self.layout.end.as_bytes());
        self.out.extend(self.layout.base.as_bytes());
        for _ in 0..self.level {
            self.out.extend(unit.as_bytes());
        }
    }
}

/// A string as Go escapes it, for HTML too; wrong UTF-8 becomes U+FFFD.
pub(super) fn string(out: &mut Plaintext, text: &[u8]) {
    out.extend(b"\"");
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut done = 0;
        for (at, letter) in valid.char_indices().filter(|(_, letter)| is_escaped(*letter)) {
            out.extend(valid.get(done..at).unwrap_or_default().as_bytes());
            escape(out, letter);
            done = at.saturating_add(letter.len_utf8());
        }
        out.extend(valid.get(done..).unwrap_or_default().as_bytes());
        for _ in chunk.invalid() {
            out.extend(b"\\ufffd");
        }
    }
    out.extend(b"\"");
}

fn is_escaped(letter: char) -> bool {
    matches!(letter, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\x20')
}

fn escape(out: &mut Plaintext, letter: char) {
    match letter {
        '"' => out.extend(b"\\\""),
        '\\' => out.extend(b"\\\\"),
        '\x08' => out.extend(b"\\b"),
        '\x0c' => out.extend(b"\\f"),
        '\n' => out.extend(b"\\n"),
        '\r' => out.extend(b"\\r"),
        '\t' => out.extend(b"\\t"),
        other => out.extend(format!("\\u{:04x}", u32::from(other)).as_bytes()),
    }
}

#[expect(clippy::disallowed_methods, reason = "from values into a text that is wiped as well")]
fn bytes(text: &Plaintext) -> &[u8] {
    text.expose()
}
