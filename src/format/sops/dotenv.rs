//! dotenv documents: a key and a value on each line, comments, and the metadata as keys that begin
//! with `sops_`. Knows no key of cryptography; errors name the line and never show it.
//!
//! Follows `stores/dotenv` of sops: no quotes, no trimming, `\n` is a line break.

use std::ops::Range;

use super::convert::{refusal, to_text};
use super::flatten::{flatten, unflatten};
use super::store::{MetadataEdit, ParseError, Step, StoreError};
use super::text::{Edits, Line, line_end, line_fault, lines, part};
use super::tree::{
    Comment, Document, Entry, Leaf, MAX_NODES, Map, MapItem, Node, Spot, Style, Tree, Value, Write,
};
use crate::plaintext::Plaintext;

const PREFIX: &str = "sops_";

/// Reads a document.
pub(super) fn read(text: &Plaintext) -> Result<Tree, ParseError> {
    let text = bytes(text);
    let mut root = Map::default();
    let (mut flat, mut flat_lines) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.content.is_empty()) {
        if root.items.len() >= MAX_NODES {
            return Err(line_fault(text, line.content.start, "too many values"));
        }
        match Item::of(text, &line)? {
            Item::Comment(span) => root.items.push(MapItem::Comment(Comment {
                text: Plaintext::copy_of(part(text, &behind(&span, 1))),
                spot: Some(spot(span)),
                inline: false,
                write: Write::Keep,
            })),
            Item::Entry { key, span } => {
                let value = unescape(part(text, &span));
                if let Some(name) = key.strip_prefix(PREFIX) {
                    flat.push((name.to_owned(), value));
                    flat_lines.push(line.whole);
                    continue;
                }
                let key_span = line.content.start..span.start.saturating_sub(1);
                let leaf =
                    Leaf { value: Value::Str(value), spot: Some(spot(span)), write: Write::Keep };
                let (key, value) = (key.to_owned(), Node::Leaf(leaf));
                root.items.push(MapItem::Entry(Entry { key, key_span, value }));
            }
        }
    }
    let (mut metadata, mut metadata_span) = (None, None);
    if let (Some(first), Some(last)) = (flat_lines.first(), flat_lines.last()) {
        let of_line = |what| line_fault(text, first.start, what);
        metadata = Some(unflatten(flat).map_err(of_line)?);
        let whole: usize = flat_lines.iter().map(Range::len).sum();
        let hull = first.start..last.end;
        metadata_span = Some(if hull.len() == whole { hull } else { first.clone() });
    }
    let document =
        Document { root, metadata, span: 0..text.len(), metadata_span, passed_over: false };
    Ok(Tree { documents: vec![document] })
}

/// Prints a document as sops does.
pub(super) fn print(tree: &Tree, metadata: Option<&Map>) -> Result<Plaintext, StoreError> {
    let mut out = Plaintext::default();
    let [document] = tree.documents.as_slice() else {
        return Err(StoreError::new("dotenv has room for one document"));
    };
    for item in &document.root.items {
        match item {
            MapItem::Comment(comment) => {
                out.extend(b"#");
                out.extend(bytes(&comment.text));
            }
            MapItem::Entry(entry) => {
                let Node::Leaf(leaf) = &entry.value else {
                    let what = "dotenv has no room for maps and lists";
                    return Err(refusal(&[&entry.key], what));
                };
                check_key(&entry.key, metadata.is_some())?;
                put(&mut out, &entry.key, &escape(&to_text(&leaf.value)), "");
            }
        }
        out.extend(b"\n");
    }
    if let Some(metadata) = metadata {
        out.extend(bytes(&metadata_lines(metadata)?));
    }
    Ok(out)
}

/// Puts changed values back.
pub(super) fn splice(
    text: &Plaintext,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    let text = bytes(text);
    let mut edits = Edits::default();
    for item in tree.documents.iter().flat_map(|document| &document.root.items) {
        match item {
            MapItem::Comment(comment) => {
                let written = match &comment.write {
                    Write::Keep => continue,
                    Write::Value => &comment.text,
                    Write::Token(token) => token,
                };
                if bytes(written).contains(&b'\n') {
                    return Err(StoreError::new("a comment of dotenv is one line"));
                }
                edits.replace(behind(&place(comment.spot.as_ref(), &[])?, 1), copy(written));
            }
            MapItem::Entry(Entry { key, value: Node::Leaf(leaf), .. }) => {
                let written = match &leaf.write {
                    Write::Keep => continue,
                    // sops writes it all the same
                    Write::Value => faithful(key, &leaf.value)
                        .map_err(|error| StoreError { canonical_can: true, ..error })?,
                    Write::Token(token) => copy(token),
                };
                edits.replace(place(leaf.spot.as_ref(), &[key])?, written);
            }
            MapItem::Entry(entry) => {
                return Err(refusal(&[&entry.key], "dotenv has no room for maps and lists"));
            }
        }
    }
    change_metadata(text, metadata, &mut edits)?;
    edits.apply(text)
}

/// Sets one value.
pub(super) fn set(text: &Plaintext, way: &[Step], value: &Node) -> Result<Plaintext, StoreError> {
    let text = bytes(text);
    let key = only_key(way)?;
    check_key(key, true)?;
    let Node::Leaf(leaf) = value else {
        return Err(refusal(&[key], "dotenv has no room for maps and lists"));
    };
    let written = faithful(key, &leaf.value)?;
    let end = line_end(text);
    let mut edits = Edits::default();
    if let Some((_, span)) = find(text, key) {
        let kept = usize::from(end == "\r\n" && part(text, &span).ends_with(b"\r"));
        edits.replace(span.start..span.end.saturating_sub(kept), written);
    } else {
        let mut line = missing_line_feed(text);
        put(&mut line, key, &written, end);
        edits.insert(text.len(), line);
    }
    edits.apply(text)
}

/// Removes one value.
pub(super) fn unset(text: &Plaintext, way: &[Step]) -> Result<Option<Plaintext>, StoreError> {
    let text = bytes(text);
    let Some((line, _)) = find(text, only_key(way)?) else { return Ok(None) };
    let mut edits = Edits::default();
    edits.cut(line.whole);
    edits.apply(text).map(Some)
}

enum Item<'a> {
    Comment(Range<usize>),
    Entry { key: &'a str, span: Range<usize> },
}

impl<'a> Item<'a> {
    fn of(text: &'a [u8], line: &Line) -> Result<Self, ParseError> {
        let Range { start, end } = line.content;
        let content = part(text, &line.content);
        if content.first() == Some(&b'#') {
            return Ok(Self::Comment(start..end));
        }
        let equals = content.iter().position(|byte| *byte == b'=');
        let equals = equals.ok_or_else(|| line_fault(text, start, "a line without `=`"))?;
        let key = content.get(..equals).and_then(|key| std::str::from_utf8(key).ok());
        let key = key.ok_or_else(|| line_fault(text, start, "a key that is no UTF-8"))?;
        Ok(Self::Entry { key, span: start.saturating_add(equals).saturating_add(1)..end })
    }
}

fn find(text: &[u8], wanted: &str) -> Option<(Line, Range<usize>)> {
    lines(text).find_map(|line| match Item::of(text, &line) {
        Ok(Item::Entry { key, span }) if key == wanted => Some((line, span)),
        Ok(_) | Err(_) => None,
    })
}

fn change_metadata(
    text: &[u8],
    edit: MetadataEdit<'_>,
    edits: &mut Edits,
) -> Result<(), StoreError> {
    if matches!(edit, MetadataEdit::Keep) {
        return Ok(());
    }
    let is_metadata = |line: &Line| part(text, &line.content).starts_with(PREFIX.as_bytes());
    let mut place = None;
    for line in lines(text).filter(is_metadata) {
        place.get_or_insert(line.whole.start);
        edits.cut(line.whole);
    }
    if let MetadataEdit::Put(metadata) = edit {
        let mut written = Plaintext::default();
        if place.is_none() {
            written = missing_line_feed(text);
        }
        // a CR would become part of the values
        written.extend(bytes(&metadata_lines(metadata)?));
        edits.insert(place.unwrap_or(text.len()), written);
    }
    Ok(())
}

fn metadata_lines(metadata: &Map) -> Result<Plaintext, StoreError> {
    let mut out = Plaintext::default();
    for (key, value) in flatten(metadata)? {
        put(&mut out, &format!("{PREFIX}{key}"), &escape(&value), "\n");
    }
    Ok(out)
}

fn put(out: &mut Plaintext, key: &str, written: &Plaintext, end: &str) {
    for part in [key.as_bytes(), b"=", bytes(written), end.as_bytes()] {
        out.extend(part);
    }
}

/// What ends the last line, where nothing does. No CR: it would become part of its value.
fn missing_line_feed(text: &[u8]) -> Plaintext {
    let ended = text.is_empty() || text.ends_with(b"\n");
    Plaintext::copy_of(if ended { b"" } else { b"\n" })
}

/// The value as it is written, if reading gives the same again.
fn faithful(key: &str, value: &Value) -> Result<Plaintext, StoreError> {
    let value = to_text(value);
    let written = escape(&value);
    if unescape(bytes(&written)).same_as(&value) {
        return Ok(written);
    }
    Err(refusal(&[key], "dotenv takes a backslash before `n` for a line break"))
}

fn check_key(key: &str, encrypted: bool) -> Result<(), StoreError> {
    if key.contains(['=', '\n']) || key.starts_with('#') {
        return Err(refusal(&[key], "dotenv cannot have this key"));
    }
    if encrypted && key.starts_with(PREFIX) {
        return Err(refusal(&[key], "keys that begin with `sops_` are for the metadata"));
    }
    Ok(())
}

fn only_key(way: &[Step]) -> Result<&str, StoreError> {
    if let [Step::Key(key)] = way {
        return Ok(key);
    }
    let what = "dotenv has keys alone, no maps and lists";
    Err(StoreError { way: way.to_vec(), what, canonical_can: false })
}

fn escape(value: &Plaintext) -> Plaintext {
    let value = bytes(value);
    let mut out = Plaintext::with_capacity(value.len());
    for (number, line) in value.split(|byte| *byte == b'\n').enumerate() {
        if number > 0 {
            out.extend(b"\\n");
        }
        out.extend(line);
    }
    out
}

fn unescape(mut written: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(written.len());
    while let Some(at) = written.windows(2).position(|pair| pair == b"\\n") {
        out.extend(part(written, &(0..at)));
        out.extend(b"\n");
        written = written.get(at.saturating_add(2)..).unwrap_or_default();
    }
    out.extend(written);
    out
}

fn spot(span: Range<usize>) -> Spot {
    Spot { span, style: Style::Plain, flow: false, indent: 0, shared: false }
}

fn place(spot: Option<&Spot>, way: &[&str]) -> Result<Range<usize>, StoreError> {
    let what = "a new value has no place in the text yet";
    let place = spot.map(|spot| spot.span.clone());
    place.ok_or(StoreError { canonical_can: true, ..refusal(way, what) })
}

fn behind(span: &Range<usize>, count: usize) -> Range<usize> {
    span.start.saturating_add(count).min(span.end)..span.end
}

fn copy(text: &Plaintext) -> Plaintext {
    Plaintext::copy_of(bytes(text))
}

#[expect(clippy::disallowed_methods, reason = "texts and values go from one into the other here")]
fn bytes(text: &Plaintext) -> &[u8] {
    text.expose()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at what it made")]
mod tests {
    use super::*;

    fn text(text: &str) -> Plaintext {
        Plaintext::copy_of(text.as_bytes())
    }

    fn shown(text: &Plaintext) -> String {
        String::from_utf8(text.expose().to_vec()).unwrap()
    }

    fn way(key: &str) -> [Step; 1] {
        [Step::Key(key.to_owned())]
    }

    fn x() -> Node {
        Node::Leaf(Leaf::text("x"))
    }

    #[test]
    fn errors_name_the_line_and_not_its_text() {
        for (dotenv, error) in [
            ("A=1\n\nsecret\n", "line 3: a line without `=`"),
            ("A=1\nsops_a__list_1=x\n", "line 2: a list of the metadata is not whole"),
        ] {
            assert_eq!(read(&text(dotenv)).unwrap_err().to_string(), error);
        }
        let wrong = read(&Plaintext::copy_of(b"\xFF=1")).unwrap_err();
        assert_eq!(wrong.to_string(), "line 1: a key that is no UTF-8");
    }

    #[test]
    fn metadata_lines_may_stand_anywhere() {
        let dotenv = text("sops_mac=m\nA=1\r\n\nsops_version=3\n# c\n");
        let tree = read(&dotenv).unwrap();
        let removed = splice(&dotenv, &tree, MetadataEdit::Remove).unwrap();
        assert_eq!(shown(&removed), "A=1\r\n\n# c\n");
        let mut metadata = Map::default();
        metadata.push("mac", x());
        let put = splice(&dotenv, &tree, MetadataEdit::Put(&metadata)).unwrap();
        assert_eq!(shown(&put), "sops_mac=x\nA=1\r\n\n# c\n");
        let plain = text("A=1");
        let tree = read(&plain).unwrap();
        let put = splice(&plain, &tree, MetadataEdit::Put(&metadata)).unwrap();
        assert_eq!(shown(&put), "A=1\nsops_mac=x\n");
    }

    #[test]
    fn values_are_set_and_removed_in_place() {
        for (dotenv, key, expected) in [
            ("A=1\nB=2\n", "A", "A=x\nB=2\n"),
            ("A=1\r\nB=2\r\n", "A", "A=x\r\nB=2\r\n"),
            ("A=1\r\n", "B", "A=1\r\nB=x\r\n"),
            ("A=1", "B", "A=1\nB=x\n"),
            ("", "B", "B=x\n"),
        ] {
            assert_eq!(shown(&set(&text(dotenv), &way(key), &x()).unwrap()), expected);
        }
        let removed = unset(&text("# c\nA=1\n\nB=2\n"), &way("A")).unwrap();
        assert_eq!(removed.as_ref().map(shown).as_deref(), Some("# c\n\nB=2\n"));
        assert!(unset(&text("A=1\n"), &way("B")).unwrap().is_none());
    }

    #[test]
    fn what_dotenv_cannot_say_is_refused() {
        let error = |key: &str, value: &Node| {
            set(&text("A=1\n"), &way(key), value).unwrap_err().to_string()
        };
        assert_eq!(error("A=", &x()), "`[\"A=\"]`: dotenv cannot have this key");
        assert_eq!(error("#A", &x()), "`[\"#A\"]`: dotenv cannot have this key");
        assert_eq!(
            error("sops_a", &x()),
            "`[\"sops_a\"]`: keys that begin with `sops_` are for the metadata"
        );
        assert_eq!(
            error("A", &Node::Leaf(Leaf::text("a\\nb"))),
            "`[\"A\"]`: dotenv takes a backslash before `n` for a line break"
        );
        assert_eq!(
            error("A", &Node::Map(Map::default())),
            "`[\"A\"]`: dotenv has no room for maps and lists"
        );
        assert!(unset(&text("A=1\n"), &[Step::Index(0)]).is_err());
    }
}
