//! The lossless writer: changed values and comments are put where the old ones stood, metadata is
//! cut out or put in, and every other byte stays. The result is read again: what is not read as
//! it was meant is an error, never a file.

use std::ops::Range;

use super::metadata;
use super::same::{self, Comments};
use super::write::{self, Place};
use crate::format::sops::store::{MetadataEdit, Step, StoreError};
use crate::format::sops::tree::{
    Comment, Document, Leaf, ListItem, Map, MapItem, Node, Spot, Style, Tree, Write,
};
use crate::plaintext::Plaintext;

/// New bytes for old ones.
pub(super) struct Change {
    pub(super) span: Range<usize>,
    pub(super) with: Plaintext,
}

/// Puts changed values back.
pub(super) fn splice(
    text: &str,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    // A comment behind a block scalar can belong elsewhere once that is a line: then it stays a
    // block scalar.
    attempt(text, tree, metadata, false).or_else(|error| {
        if error.way.is_empty() { attempt(text, tree, metadata, true) } else { Err(error) }
    })
}

fn attempt(
    text: &str,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
    keep_blocks: bool,
) -> Result<Plaintext, StoreError> {
    let newline = newline(text);
    let mut splicer =
        Splicer { text, newline, step: 2, keep_blocks, way: Vec::new(), changes: Vec::new() };
    for document in &tree.documents {
        splicer.step = step(text, document);
        splicer.map(&document.root)?;
        let change = match metadata {
            MetadataEdit::Keep => None,
            MetadataEdit::Remove => metadata::remove(text, document),
            MetadataEdit::Put(map) => {
                let known = document.metadata.is_some();
                let step = step_or(text, document, if known { 2 } else { 4 });
                Some(metadata::put(text, document, map, step, newline)?)
            }
        };
        splicer.changes.extend(change);
    }
    let out = apply(text, splicer.changes)?;
    let comments = match metadata {
        // What was decrypted is bound to no container any more.
        MetadataEdit::Remove => Comments::Anywhere,
        MetadataEdit::Keep | MetadataEdit::Put(_) => Comments::InPlace,
    };
    checked(out, tree, comments)
}

/// The text, where it is read as the tree.
pub(super) fn checked(
    out: Plaintext,
    meant: &Tree,
    comments: Comments,
) -> Result<Plaintext, StoreError> {
    match super::read(&out) {
        Ok(read) if same::same(meant, &read, comments) => Ok(out),
        Ok(_) | Err(_) => Err(StoreError {
            way: Vec::new(),
            what: "the layout of the document does not let this be written in place",
            canonical_can: true,
        }),
    }
}

/// The text with the changes, which must not overlap.
pub(super) fn apply(text: &str, mut changes: Vec<Change>) -> Result<Plaintext, StoreError> {
    changes.sort_by_key(|change| (change.span.start, change.span.end));
    let added: usize = changes.iter().map(|change| change.with.len()).sum();
    let mut out = Plaintext::with_capacity(text.len().saturating_add(added));
    let mut from = 0;
    for change in &changes {
        let kept = text.get(from..change.span.start);
        let kept = kept.ok_or_else(|| StoreError::new("two changes meet at one place"))?;
        out.extend(kept.as_bytes());
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        out.extend(change.with.expose());
        from = change.span.end;
    }
    out.extend(text.get(from..).unwrap_or_default().as_bytes());
    Ok(out)
}

/// The line break of a text.
pub(super) fn newline(text: &str) -> &'static str {
    match text.find('\n').and_then(|at| text.get(..at)) {
        Some(line) if line.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Columns of one level, as the document has them.
pub(super) fn step(text: &str, document: &Document) -> usize {
    step_or(text, document, 2)
}

fn step_or(text: &str, document: &Document, default: usize) -> usize {
    let maps = document.root.entries().filter_map(|entry| match &entry.value {
        Node::Map(map) => map.entries().next().map(|child| (entry.key_span.start, child)),
        Node::List(_) | Node::Leaf(_) => None,
    });
    let of_metadata = document.metadata.as_ref().and_then(|map| {
        let base =
            document.root.entries().next().map_or(0, |entry| column(text, entry.key_span.start));
        map.entries().next().map(|child| (base, column(text, child.key_span.start)))
    });
    let mut pairs =
        maps.map(|(outer, child)| (column(text, outer), column(text, child.key_span.start)));
    let step = pairs
        .find_map(|(outer, inner)| inner.checked_sub(outer).filter(|step| (2..=9).contains(step)));
    let of_metadata = of_metadata.and_then(|(outer, inner)| inner.checked_sub(outer));
    step.or(of_metadata.filter(|step| (2..=9).contains(step))).unwrap_or(default)
}

/// Characters before a byte on its line.
pub(super) fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
    before.get(line..).unwrap_or_default().trim_start_matches('\u{feff}').chars().count()
}

struct Splicer<'a> {
    text: &'a str,
    newline: &'static str,
    step: usize,
    /// Whether a block scalar is to be one still when its text is one line.
    keep_blocks: bool,
    way: Vec<Step>,
    changes: Vec<Change>,
}

impl Splicer<'_> {
    fn error(&self, what: &'static str) -> StoreError {
        StoreError { way: self.way.clone(), what, canonical_can: true }
    }

    fn map(&mut self, map: &Map) -> Result<(), StoreError> {
        for item in &map.items {
            match item {
                MapItem::Comment(comment) => self.comment(comment)?,
                MapItem::Entry(entry) => {
                    self.way.push(Step::Key(entry.key.clone()));
                    self.node(&entry.value)?;
                    self.way.pop();
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), StoreError> {
        match node {
            Node::Map(map) => self.map(map),
            Node::List(list) => {
                let mut index = 0_usize;
                for item in &list.items {
                    match item {
                        ListItem::Comment(comment) => self.comment(comment)?,
                        ListItem::Value(node) => {
                            self.way.push(Step::Index(index));
                            self.node(node)?;
                            self.way.pop();
                            index = index.saturating_add(1);
                        }
                    }
                }
                Ok(())
            }
            Node::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn alone<'s>(&self, spot: Option<&'s Spot>) -> Result<&'s Spot, StoreError> {
        let spot = spot.ok_or_else(|| self.error("the value was not read from this text"))?;
        if spot.shared {
            return Err(self.error(
                "an alias, an anchor or a merge key uses this value elsewhere too, so it cannot be changed alone",
            ));
        }
        Ok(spot)
    }

    fn leaf(&mut self, leaf: &Leaf) -> Result<(), StoreError> {
        if matches!(leaf.write, Write::Keep) {
            return Ok(());
        }
        let spot = self.alone(leaf.spot.as_ref())?;
        let mut span = spot.span.clone();
        if let Some(start) = foreign_tag(self.text, span.start) {
            span.start = start;
        }
        let place = place(self.text, spot, self.step, self.newline);
        let mut with = Plaintext::default();
        if spot.style == Style::Absent {
            if !absent_can(self.text, span.start) {
                return Err(self.error("there is no place for a value here"));
            }
            with.extend(b" ");
        }
        match &leaf.write {
            #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
            Write::Token(token) => match token.expose() {
                quoted @ [b'"' | b'\'', ..] => with.extend(quoted),
                bare if spot.flow => with.extend_with(&write::string(bare, &place)),
                bare => with.extend(bare),
            },
            Write::Keep | Write::Value => {
                with.extend_with(&write::value(&leaf.value, &place));
            }
        }
        let is_block = matches!(spot.style, Style::Literal | Style::Folded);
        let written_as_block = with.len() > 1 && starts_with(&with, b"|");
        if is_block && self.keep_blocks && !written_as_block && !starts_with(&with, b"\"") {
            let (indicators, header) = block_header(self.text, &span);
            let indent = spot.indent.saturating_sub(1).saturating_add(self.step);
            let mut lines = Plaintext::copy_of(self.newline.as_bytes());
            lines.extend(" ".repeat(indent).as_bytes());
            lines.extend_with(&with);
            let start = span.start;
            self.changes.push(Change { span: start..indicators, with: Plaintext::copy_of(b"|-") });
            self.changes.push(Change { span: header..span.end, with: lines });
            return Ok(());
        }
        self.changes.extend(in_place_of(self.text, is_block, span, with));
        Ok(())
    }

    fn comment(&mut self, comment: &Comment) -> Result<(), StoreError> {
        let text = match &comment.write {
            Write::Keep => return Ok(()),
            Write::Value => &comment.text,
            Write::Token(token) => token,
        };
        let spot = self.alone(comment.spot.as_ref())?;
        if !self.text.get(spot.span.clone()).is_some_and(|old| old.starts_with(['#', '-'])) {
            return Err(self.error("a comment cannot stand here"));
        }
        let indent = column(self.text, spot.span.start);
        let mut with = Plaintext::copy_of(b"#");
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        for (i, line) in text.expose().split(|b| *b == b'\n').enumerate() {
            if i > 0 {
                with.extend(self.newline.as_bytes());
                with.extend(" ".repeat(indent).as_bytes());
                with.extend(b"# ");
            }
            with.extend(line);
        }
        self.changes.push(Change { span: spot.span.clone(), with });
        Ok(())
    }
}

trait ExtendWith {
    fn extend_with(&mut self, other: &Plaintext);
}

impl ExtendWith for Plaintext {
    #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
    fn extend_with(&mut self, other: &Plaintext) {
        self.extend(other.expose());
    }
}

#[expect(clippy::disallowed_methods, reason = "the quotes are told by the first byte")]
fn starts_with(text: &Plaintext, first: &[u8]) -> bool {
    text.expose().starts_with(first)
}

/// Where the indicators of a block scalar end, and its first line.
fn block_header(text: &str, span: &Range<usize>) -> (usize, usize) {
    let own = text.get(span.clone()).unwrap_or_default();
    let line = own.split(['\n', '\r']).next().unwrap_or_default();
    let indicators = line.len().saturating_sub(
        line.trim_start_matches([
            '|', '>', '+', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
        ])
        .len(),
    );
    (span.start.saturating_add(indicators), span.start.saturating_add(line.len()))
}

/// A value for what stood there; the comment in the first line of a block scalar stays.
pub(super) fn in_place_of(
    text: &str,
    is_block: bool,
    span: Range<usize>,
    with: Plaintext,
) -> Vec<Change> {
    let (indicators, header) = block_header(text, &span);
    let has_comment = text.get(indicators..header).is_some_and(|rest| rest.contains('#'));
    if !is_block || !has_comment {
        return vec![Change { span, with }];
    }
    vec![
        Change { span: span.start..indicators, with },
        Change { span: header..span.end, with: Plaintext::default() },
    ]
}

/// What can be written at a spot.
pub(super) fn place(text: &str, spot: &Spot, step: usize, newline: &'static str) -> Place {
    let column = spot.indent.saturating_sub(1).saturating_add(step);
    let has_comment = matches!(spot.style, Style::Literal | Style::Folded) && {
        let (indicators, header) = block_header(text, &spot.span);
        text.get(indicators..header).is_some_and(|rest| rest.contains('#'))
    };
    let block = (!spot.flow && !has_comment && write::room_for_block(text, spot.span.end, column))
        .then_some((column, step));
    Place { old: spot.style, flow: spot.flow, block, newline }
}

/// Whether a value can be added behind this byte: after `:`, `-`, or what names the value.
pub(super) fn absent_can(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let word = before.rsplit([' ', '\t', '\n']).next().unwrap_or_default();
    before.ends_with([':', '-']) || word.starts_with(['&', '!'])
}

/// Where a tag begins that says another kind than text, and so cannot stay before a ciphertext.
pub(super) fn foreign_tag(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?.trim_end_matches([' ', '\t']);
    let start = before.rfind([' ', '\t', '\n', ',', '[', '{']).map_or(0, |i| i.saturating_add(1));
    let word = before.get(start..)?;
    ["!!binary", "!!bool", "!!int", "!!float", "!!null", "!!timestamp"]
        .contains(&word)
        .then_some(start)
}
