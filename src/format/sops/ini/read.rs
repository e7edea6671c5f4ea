//! Reads an INI text into a tree, in the order that sops has: a section's comment first, a key's
//! comment behind the key. Changes nothing.

use super::scan::{Remark, Scan, Section};
use super::{METADATA, bytes};
use crate::format::sops::flatten::unflatten;
use crate::format::sops::store::ParseError;
use crate::format::sops::text::{line_fault, part};
use crate::format::sops::tree::{
    Comment, Document, Entry, Leaf, Map, MapItem, Node, Spot, Style, Tree, Value, Write,
};
use crate::plaintext::Plaintext;

/// Reads a document.
pub(in crate::format::sops) fn read(text: &Plaintext) -> Result<Tree, ParseError> {
    let text = bytes(text);
    let scan = Scan::of(text)?;
    let passed_over = !scan.passed_over(text).is_empty();
    let mut document = Document { span: 0..text.len(), passed_over, ..Document::default() };
    for section in scan.sections {
        if section.name == METADATA {
            let error = |what| line_fault(text, section.span.start, what);
            if document.metadata.is_some() {
                return Err(error("the section `sops` stands there twice"));
            }
            document.metadata_span = Some(section.room(text));
            document.metadata = Some(metadata(&section).map_err(error)?);
        } else {
            let key_span = section.name_span.clone();
            let (key, value) = (section.name.clone(), Node::Map(map(section)));
            document.root.items.push(MapItem::Entry(Entry { key, key_span, value }));
        }
    }
    Ok(Tree { documents: vec![document] })
}

impl Section {
    /// What is cut for a text without it: with the empty line before it.
    pub(super) fn room(&self, text: &[u8]) -> std::ops::Range<usize> {
        let before = part(text, &(0..self.span.start));
        let start = match before {
            [.., b'\n', b'\r', b'\n'] => self.span.start.saturating_sub(2),
            [.., b'\n', b'\n'] => self.span.start.saturating_sub(1),
            _ => self.span.start,
        };
        start..self.span.end
    }
}

fn metadata(section: &Section) -> Result<Map, &'static str> {
    let flat = section.keys.iter().map(|key| (key.name.clone(), with_line_breaks(&key.value)));
    unflatten(flat.collect())
}

/// `\n` in two characters is a line break. Versions 3.13.0 and 3.13.1 wrote real ones.
fn with_line_breaks(value: &Plaintext) -> Plaintext {
    let mut rest = bytes(value);
    let mut out = Plaintext::with_capacity(rest.len());
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\\n") {
        out.extend(part(rest, &(0..at)));
        out.extend(b"\n");
        rest = rest.get(at.saturating_add(2)..).unwrap_or_default();
    }
    out.extend(rest);
    out
}

fn map(section: Section) -> Map {
    let mut map = Map::default();
    map.items.extend(section.remark.map(comment));
    for key in section.keys {
        let spot = Some(spot(key.span, key.style));
        let leaf = Leaf { value: Value::Str(key.value), spot, write: Write::Keep };
        let (key_span, value) = (key.name_span, Node::Leaf(leaf));
        map.items.push(MapItem::Entry(Entry { key: key.name, key_span, value }));
        map.items.extend(key.remark.map(comment));
    }
    map
}

fn comment(remark: Remark) -> MapItem {
    let first = remark.pieces.first();
    let inline = first.is_some_and(|piece| piece.line.is_none());
    let spot = first.map(|piece| spot(piece.span.clone(), Style::Plain));
    MapItem::Comment(Comment { text: remark.text, spot, inline, write: Write::Keep })
}

fn spot(span: std::ops::Range<usize>, style: Style) -> Spot {
    Spot { span, style, flow: false, indent: 0, shared: false }
}
