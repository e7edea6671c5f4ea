//! Changes of an INI text that leave every other byte.

use std::collections::HashMap;
use std::ops::Range;

use super::print::{Section as Printed, check_name, printed_key};
use super::quote::{faithful, line_end};
use super::scan::{Key, Piece, Scan, Section};
use super::{METADATA, UNNAMED, bytes};
use crate::format::sops::convert::{refusal, to_text};
use crate::format::sops::store::{MetadataEdit, Step, StoreError};
use crate::format::sops::text::{self, Edits, part};
use crate::format::sops::tree::{Comment, Leaf, Map, MapItem, Node, Style, Tree, Value, Write};
use crate::plaintext::Plaintext;

/// Puts changed values back. Where metadata is put into a text that has none, a text in which sops
/// passes something over is refused: it can neither stay readable nor be kept in the file.
pub(in crate::format::sops) fn splice(
    text: &Plaintext,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    let text = bytes(text);
    let scan = scan(text)?;
    let mut edits = Edits::default();
    let places = places(&scan);
    for section in tree.documents.iter().flat_map(|document| document.root.entries()) {
        let Node::Map(map) = &section.value else {
            return Err(refusal(&[&section.key], "INI has no value outside of a section"));
        };
        for item in &map.items {
            match item {
                MapItem::Comment(comment) => {
                    change_comment(text, comment, &places, &mut edits)
                        .map_err(|what| by_canonical(&[&section.key], what))?;
                }
                MapItem::Entry(entry) => {
                    let way = [section.key.as_str(), entry.key.as_str()];
                    let Node::Leaf(leaf) = &entry.value else {
                        let what = "a section of INI has no room for maps and lists";
                        return Err(refusal(&way, what));
                    };
                    change_value(text, leaf, &mut edits)
                        .map_err(|what| by_canonical(&way, what))?;
                }
            }
        }
    }
    change_metadata(text, scan, metadata, &mut edits)?;
    let spliced = edits.apply(text)?;
    if says(&spliced, tree) {
        return Ok(spliced);
    }
    Err(by_canonical(&[], "the comments and values of this INI cannot be told apart when changed"))
}

/// Whether reading a text gives the values of the tree; those written as tokens are not compared.
fn says(text: &Plaintext, tree: &Tree) -> bool {
    let Ok(again) = super::read(text) else { return false };
    let sections = |tree| {
        let of_tree: &Tree = tree;
        of_tree.documents.iter().flat_map(|document| document.root.entries())
    };
    sections(tree).count() == sections(&again).count()
        && sections(tree).zip(sections(&again)).all(|(old, new)| match (&old.value, &new.value) {
            (Node::Map(old_map), Node::Map(new_map)) => {
                old.key == new.key
                    && old_map.entries().count() == new_map.entries().count()
                    && old_map
                        .entries()
                        .zip(new_map.entries())
                        .all(|(old, new)| old.key == new.key && is_same(&old.value, &new.value))
            }
            (_, _) => false,
        })
}

fn is_same(old: &Node, new: &Node) -> bool {
    match (old, new) {
        (Node::Leaf(Leaf { write: Write::Token(_), .. }), Node::Leaf(_)) => true,
        (Node::Leaf(old), Node::Leaf(new)) => to_text(&old.value).same_as(&to_text(&new.value)),
        (_, _) => false,
    }
}

/// Sets one value.
pub(in crate::format::sops) fn set(
    text: &Plaintext,
    way: &[Step],
    value: &Node,
) -> Result<Plaintext, StoreError> {
    let text = bytes(text);
    let scan = scan(text)?;
    let (name, key) = keys_of(way)?;
    if name == METADATA {
        return Err(refusal(&[name], "this section is for the metadata"));
    }
    let section = scan.sections.iter().find(|section| section.name == name);
    let mut edits = Edits::default();
    match (key, value) {
        (Some(key), Node::Leaf(leaf)) => {
            let value = to_text(&leaf.value);
            if let Some(section) = section {
                set_key(text, section, key, &value, &mut edits)?;
            } else {
                let mut map = Map::default();
                map.push(key, Node::Leaf(Leaf::new(Value::Str(value))));
                append(text, &new_section(name, &map)?, &mut edits);
            }
        }
        (None, Node::Map(map)) => {
            if let Some(section) = section {
                for key in &section.keys {
                    key.all_lines().for_each(|lines| edits.cut(lines));
                }
                let lines = new_section(name, map)?;
                let lines = bytes(&lines);
                let header = if name == UNNAMED { 0 } else { line_end(lines, 0) };
                edits.insert(section.end, Plaintext::copy_of(part(lines, &(header..lines.len()))));
            } else {
                append(text, &new_section(name, map)?, &mut edits);
            }
        }
        (Some(key), Node::Map(_) | Node::List(_)) => {
            return Err(refusal(&[name, key], "a section of INI has no room for maps and lists"));
        }
        (None, Node::Leaf(_) | Node::List(_)) => {
            return Err(refusal(&[name], "INI has no value outside of a section"));
        }
    }
    edits.apply(text)
}

/// Removes one value, or one section; comments before it stay.
pub(in crate::format::sops) fn unset(
    text: &Plaintext,
    way: &[Step],
) -> Result<Option<Plaintext>, StoreError> {
    let text = bytes(text);
    let scan = scan(text)?;
    let (name, key) = keys_of(way)?;
    let section = scan.sections.iter().find(|section| section.name == name);
    let Some(section) = section else { return Ok(None) };
    let mut edits = Edits::default();
    if let Some(key) = key {
        let key = section.keys.iter().find(|known| known.name == key);
        let Some(key) = key else { return Ok(None) };
        key.all_lines().for_each(|lines| edits.cut(lines));
    } else {
        edits.cut(section.room(text));
    }
    edits.apply(text).map(Some)
}

fn scan(text: &[u8]) -> Result<Scan, StoreError> {
    Scan::of(text).map_err(|_| StoreError::new("the text is no INI"))
}

fn keys_of(way: &[Step]) -> Result<(&str, Option<&str>), StoreError> {
    match way {
        [Step::Key(section)] => Ok((section, None)),
        [Step::Key(section), Step::Key(key)] => Ok((section, Some(key))),
        [] | [Step::Index(_), ..] | [_, Step::Index(_), ..] | [_, _, _, ..] => {
            let what = "INI has a section and a key, no lists";
            Err(StoreError { way: way.to_vec(), what, canonical_can: false })
        }
    }
}

fn by_canonical(way: &[&str], what: &'static str) -> StoreError {
    StoreError { canonical_can: true, ..refusal(way, what) }
}

/// A comment of the text.
#[derive(Clone, Copy)]
struct Place<'a> {
    pieces: &'a [Piece],
    /// Where the header begins that it belongs to.
    header: Option<usize>,
}

/// Each comment by where it begins.
fn places(scan: &Scan) -> HashMap<usize, Place<'_>> {
    let of_keys = scan.sections.iter().flat_map(|section| &section.keys);
    let of_keys = of_keys.filter_map(|key| Some((key.remark.as_ref()?, None)));
    let of_sections = scan
        .sections
        .iter()
        .filter_map(|section| Some((section.remark.as_ref()?, Some(section.span.start))));
    let start = |pieces: &[Piece]| pieces.first().map_or(0, |piece| piece.span.start);
    of_sections
        .chain(of_keys)
        .map(|(remark, header)| (start(&remark.pieces), Place { pieces: &remark.pieces, header }))
        .collect()
}

fn change_value(text: &[u8], leaf: &Leaf, edits: &mut Edits) -> Result<(), &'static str> {
    let spot = || leaf.spot.as_ref().ok_or("a new value has no place in the text yet");
    match &leaf.write {
        Write::Keep => {}
        Write::Token(token) => {
            edits.replace(spot()?.span.clone(), Plaintext::copy_of(bytes(token)));
        }
        Write::Value => {
            let spot = spot()?;
            edits.replace(spot.span.clone(), written(text, &spot.span, spot.style, leaf)?);
        }
    }
    Ok(())
}

fn written(
    text: &[u8],
    span: &Range<usize>,
    style: Style,
    leaf: &Leaf,
) -> Result<Plaintext, &'static str> {
    let value = to_text(&leaf.value);
    let behind = part(text, &(span.end..line_end(text, span.end)));
    let found = faithful(bytes(&value), style, super::quote::without_space_behind(behind));
    found.ok_or("INI cannot hold this value so that it is read as the same")
}

/// One line is written where the first piece stands, the other pieces go.
fn change_comment(
    text: &[u8],
    comment: &Comment,
    places: &HashMap<usize, Place<'_>>,
    edits: &mut Edits,
) -> Result<(), &'static str> {
    let new = match &comment.write {
        Write::Keep => return Ok(()),
        Write::Value => bytes(&comment.text),
        Write::Token(token) => bytes(token),
    };
    let spot = comment.spot.as_ref().ok_or("a new comment has no place in the text yet")?;
    let place = places.get(&spot.span.start).ok_or("the comment is not in the text")?;
    let (first, rest) = place.pieces.split_first().ok_or("the comment is not in the text")?;
    let mut lines = new.split(|byte| *byte == b'\n');
    let inline = first.line.is_none();
    // a bracket would end the header
    let above = place.header.filter(|_| inline && (new.contains(&b']') || new.contains(&b'\n')));
    if inline && above.is_none() && new.contains(&b'\n') {
        return Err("a comment behind a value is one line");
    }
    let old = part(text, &first.span);
    let of_mark = |byte: &&u8| old.first() == Some(byte) || **byte == b' ';
    let mark = old.iter().take_while(of_mark).count();
    let mark = part(old, &(0..mark.max(1)));
    let mut out = Plaintext::copy_of(mark);
    if !mark.ends_with(b" ") && !new.is_empty() && mark.len() == old.len() {
        out.extend(b" ");
    }
    out.extend(lines.next().unwrap_or_default());
    for line in lines {
        out.extend(b"\n");
        if !line.trim_ascii_start().starts_with(b"#") && !line.trim_ascii_start().starts_with(b";")
        {
            out.extend(b"; ");
        }
        out.extend(line);
    }
    if let Some(header) = above {
        out.extend(text::line_end(text).as_bytes());
        edits.insert(header, out);
        edits.cut(first.span.clone());
    } else {
        edits.replace(first.span.clone(), out);
    }
    for piece in rest {
        edits.cut(piece.line.clone().unwrap_or(piece.span.clone()));
    }
    Ok(())
}

fn change_metadata(
    text: &[u8],
    scan: Scan,
    edit: MetadataEdit<'_>,
    edits: &mut Edits,
) -> Result<(), StoreError> {
    let place = scan.sections.iter().find(|section| section.name == METADATA);
    match (edit, place) {
        (MetadataEdit::Keep, _) | (MetadataEdit::Remove, None) => {}
        (MetadataEdit::Remove, Some(section)) => {
            edits.cut(section.room(text));
            // no MAC covers them
            scan.passed_over(text).into_iter().for_each(|span| edits.cut(span));
        }
        (MetadataEdit::Put(metadata), Some(section)) => {
            let mut out = Plaintext::default();
            let last = section.span.end == text.len();
            Printed::of_metadata(metadata)?.print(&mut out, false, last)?;
            edits.replace(section.span.clone(), out);
        }
        (MetadataEdit::Put(metadata), None) => {
            for section in &scan.sections {
                // the value of the last in the place of the first: no line says that
                if let Some(key) = section.keys.iter().find(|key| !key.earlier.is_empty()) {
                    let way = [section.name.as_str(), key.name.as_str()];
                    return Err(by_canonical(&way, "this key stands there twice"));
                }
            }
            let mut out = Plaintext::default();
            Printed::of_metadata(metadata)?.print(&mut out, false, true)?;
            append(text, &out, edits);
            let blank = |span: &Range<usize>| part(text, span).trim_ascii().is_empty();
            if !scan.junk.iter().all(blank) {
                return Err(by_canonical(
                    &[],
                    "a comment behind the last key of this INI, or text behind a header, has no place in \
                     a sops file: put it as a comment before a key",
                ));
            }
            scan.junk.into_iter().for_each(|span| edits.cut(span));
        }
    }
    Ok(())
}

fn new_section(name: &str, map: &Map) -> Result<Plaintext, StoreError> {
    check_name(name)?;
    let section = Printed::of(name, map)?;
    let mut out = Plaintext::default();
    section.print(&mut out, name == UNNAMED, true)?;
    Ok(out)
}

/// Puts a section at the end, with an empty line before it.
fn append(text: &[u8], section: &Plaintext, edits: &mut Edits) {
    let end = text::line_end(text);
    let mut out = Plaintext::default();
    if !text.is_empty() {
        if !text.ends_with(b"\n") {
            out.extend(end.as_bytes());
        }
        out.extend(end.as_bytes());
    }
    out.extend(bytes(section));
    edits.insert(text.len(), out);
}

fn set_key(
    text: &[u8],
    section: &Section,
    name: &str,
    value: &Plaintext,
    edits: &mut Edits,
) -> Result<(), StoreError> {
    let lost = || refusal(&[&section.name, name], "INI cannot hold this value");
    if let Some(key) = section.keys.iter().find(|key| key.name == name) {
        let behind = part(text, &(key.span.end..line_end(text, key.span.end)));
        let behind = super::quote::without_space_behind(behind);
        let written = faithful(bytes(value), key.style, behind).ok_or_else(lost)?;
        edits.replace(key.span.clone(), written);
        return Ok(());
    }
    let written = faithful(bytes(value), Style::Plain, b"").ok_or_else(lost)?;
    let end = text::line_end(text);
    let before = part(text, &(0..section.end));
    let mut line = Plaintext::default();
    if section.end > section.span.start && !before.ends_with(b"\n") {
        line.extend(end.as_bytes());
    }
    let printed = printed_key(&section.name, name)?;
    line.extend(printed.as_bytes());
    line.extend(delimiter(text, section.keys.last(), printed.len()).as_bytes());
    line.extend(bytes(&written));
    line.extend(end.as_bytes());
    edits.insert(section.end, line);
    Ok(())
}

/// `=` as beside the key before, in its column where that can be.
fn delimiter(text: &[u8], before: Option<&Key>, length: usize) -> String {
    let Some(key) = before else { return " = ".to_owned() };
    let between = part(text, &(key.name_span.end..key.span.start));
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let padding = between.iter().take_while(|byte| space(byte)).count();
    let left = match (padding, key.name_span.len().saturating_add(padding)) {
        (0, _) => 0,
        (_, column) => column.saturating_sub(length).max(1),
    };
    let right = if between.last().is_some_and(space) { " " } else { "" };
    format!("{}={right}", " ".repeat(left))
}
