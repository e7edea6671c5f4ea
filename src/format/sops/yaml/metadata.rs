//! Metadata cut out of a text and put into it: a last entry of its own lines, or of `{…}` where
//! the whole document is one.

use super::print;
use super::splice::{Change, column};
use crate::format::sops::store::StoreError;
use crate::format::sops::tree::{Document, ListItem, Map, MapItem, Node, Value};
use crate::plaintext::Plaintext;

/// Cuts it out; of a document that holds nothing else, `{}` is left.
pub(super) fn remove(text: &str, document: &Document) -> Option<Change> {
    let span = document.metadata_span.clone()?;
    let mut with = Plaintext::default();
    if document.root.items.is_empty() && brace(text, document).is_none() {
        with.extend(b"{}");
        with.extend(break_at_end(text.get(span.clone()).unwrap_or_default()).as_bytes());
    }
    Some(Change { span, with })
}

/// Replaces it, or puts it at the end.
pub(super) fn put(
    text: &str,
    document: &Document,
    map: &Map,
    step: usize,
    newline: &str,
) -> Result<Change, StoreError> {
    let is_empty = document.root.entries().next().is_none();
    if let Some(open) = brace(text, document) {
        let end = document.span.end;
        let close = closing_brace(text, open, end)
            .ok_or_else(|| StoreError::new("the end of `{…}` is not clear"))?;
        if is_empty && document.metadata.is_none() && column(text, open) == 0 {
            let lines = lines(map, 0, step, newline);
            return Ok(Change { span: open..close.saturating_add(1), with: lines });
        }
        let inside = text.get(..close).unwrap_or_default();
        let mut with = Plaintext::default();
        let span = if let Some(span) = document.metadata_span.clone() {
            span
        } else {
            let last = inside.trim_end().len();
            last..last
        };
        let before = text.get(..span.start).unwrap_or_default().trim_end();
        let old = text.get(span.clone()).unwrap_or_default();
        let after_comma = before.ends_with(',');
        let first = before.ends_with('{');
        let old_comma = old.trim_end().ends_with(',');
        if after_comma {
            with.extend(b" ");
        } else if !first {
            with.extend(b", ");
        }
        with.extend(b"sops: ");
        flow_map(&mut with, map);
        if old_comma || span.is_empty() && after_comma {
            with.extend(b",");
        }
        return Ok(Change { span, with });
    }
    let base = document.root.entries().next().map_or(0, |entry| column(text, entry.key_span.start));
    let lines = lines(map, base, step, newline);
    let mut with = Plaintext::default();
    let span = document.metadata_span.clone().unwrap_or(document.span.end..document.span.end);
    let old = text.get(span.clone()).unwrap_or_default();
    let before = text.get(..span.start).unwrap_or_default();
    let at_line_start = before.is_empty() || before.ends_with('\n') || before == "\u{feff}";
    if !at_line_start {
        with.extend(newline.as_bytes());
    }
    #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
    with.extend(lines.expose());
    let ends_line = if span.is_empty() { at_line_start } else { !break_at_end(old).is_empty() };
    if ends_line || span.end < text.len() {
        with.extend(newline.as_bytes());
    }
    Ok(Change { span, with })
}

fn break_at_end(text: &str) -> &'static str {
    if text.ends_with("\r\n") {
        "\r\n"
    } else if text.ends_with('\n') {
        "\n"
    } else {
        ""
    }
}

/// The entry on its lines, without the last line break.
fn lines(map: &Map, base: usize, step: usize, newline: &str) -> Plaintext {
    let printed = print::print_entry("sops", map, step);
    let mut out = Plaintext::with_capacity(printed.len().saturating_mul(2));
    #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
    let bytes = printed.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if i > 0 {
            out.extend(newline.as_bytes());
        }
        if !line.is_empty() {
            out.extend(" ".repeat(base).as_bytes());
            out.extend(line);
        }
    }
    out
}

/// Where the document begins, if it is one `{…}`.
pub(super) fn brace(text: &str, document: &Document) -> Option<usize> {
    let mut at = document.span.start;
    loop {
        let rest = text.get(at..document.span.end)?;
        let kept = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']);
        at = at.saturating_add(rest.len().saturating_sub(kept.len()));
        match kept.as_bytes().first()? {
            b'{' => return Some(at),
            b'#' => at = at.saturating_add(kept.find('\n')?),
            _ => return None,
        }
    }
}

/// The last brace before which all is the document's and behind which there are comments only.
fn closing_brace(text: &str, open: usize, end: usize) -> Option<usize> {
    let mut upto = end;
    loop {
        let inside = text.get(open..upto)?;
        let at = open.saturating_add(inside.rfind('}')?);
        let rest = text.get(at.saturating_add(1)..end)?;
        let line = text.get(..at)?.rfind('\n').map_or(0, |i| i.saturating_add(1));
        let commented = text.get(line.max(open)..at)?.contains(" #")
            || text.get(line..at)?.trim_start().starts_with('#');
        let clear = rest.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        if clear && !commented {
            return Some(at);
        }
        upto = at;
    }
}

fn flow_map(out: &mut Plaintext, map: &Map) {
    out.extend(b"{");
    let mut first = true;
    for item in &map.items {
        let MapItem::Entry(entry) = item else { continue };
        if !first {
            out.extend(b", ");
        }
        first = false;
        out.extend(flow_key(&entry.key).as_bytes());
        out.extend(b": ");
        flow_node(out, &entry.value);
    }
    out.extend(b"}");
}

/// A key as it can stand anywhere.
pub(super) fn flow_key(key: &str) -> String {
    let simple = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && key.starts_with(|c: char| c.is_ascii_alphabetic())
        && super::style::is_plain_text(key.as_bytes());
    if simple {
        return key.to_owned();
    }
    let mut quoted = Plaintext::default();
    super::style::double(&mut quoted, key);
    #[expect(clippy::disallowed_methods, reason = "keys are no secret")]
    String::from_utf8_lossy(quoted.expose()).into_owned()
}

/// A value on one line, as it can stand in `{…}`.
pub(super) fn flow_node(out: &mut Plaintext, node: &Node) {
    match node {
        Node::Map(map) => flow_map(out, map),
        Node::List(list) => {
            out.extend(b"[");
            let mut first = true;
            for item in &list.items {
                let ListItem::Value(node) = item else { continue };
                if !first {
                    out.extend(b", ");
                }
                first = false;
                flow_node(out, node);
            }
            out.extend(b"]");
        }
        Node::Leaf(leaf) => {
            let place = super::write::Place {
                old: match leaf.value {
                    Value::Str(_) => crate::format::sops::tree::Style::Double,
                    Value::Null
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::Float(_)
                    | Value::Time(_) => crate::format::sops::tree::Style::Plain,
                },
                flow: true,
                block: None,
                newline: "\n",
            };
            let written = super::write::value(&leaf.value, &place);
            #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
            out.extend(written.expose());
        }
    }
}
