//! One value as text for the place that it is to stand at: the quotes that were there, else what
//! go-yaml v3 would take, else double quotes.
//!
//! Knows no tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::style;
use crate::format::sops::tree::{Style, Value};
use crate::plaintext::Plaintext;

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// How the value that stood there was written.
    pub(super) old: Style,
    pub(super) flow: bool,
    /// Columns for the lines of a block scalar, and for the hint in its first line; `None` where
    /// none can stand.
    pub(super) block: Option<(usize, usize)>,
    pub(super) newline: &'static str,
}

/// The text of a value.
pub(super) fn value(value: &Value, place: &Place) -> Plaintext {
    let plain = |text: &[u8]| Plaintext::copy_of(text);
    match value {
        Value::Null => plain(b"null"),
        Value::Bool(true) => plain(b"true"),
        Value::Bool(false) => plain(b"false"),
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        Value::Int(text) | Value::Time(text) => plain(text.expose()),
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        Value::Float(text) => match text.expose() {
            b"+Inf" | b"Inf" => plain(b".inf"),
            b"-Inf" => plain(b"-.inf"),
            b"NaN" => plain(b".nan"),
            text => plain(text),
        },
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        Value::Str(text) => string(text.expose(), place),
    }
}

/// The text of a string.
pub(super) fn string(bytes: &[u8], place: &Place) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len().saturating_add(8));
    let Ok(text) = std::str::from_utf8(bytes) else {
        out.extend(b"!!binary ");
        out.extend(STANDARD.encode(bytes).as_bytes());
        return out;
    };
    let allowed = style::analyze(bytes);
    let is_text = style::is_plain_text(bytes) && !bytes.is_empty() && bytes != b"<<";
    let single = allowed.single && !allowed.multiline;
    let plain = is_text && if place.flow { allowed.plain_in_flow } else { allowed.plain_in_block };
    match (place.old, place.block) {
        (Style::Single, _) if single => style::single(&mut out, bytes),
        (Style::Single | Style::Double, _) => style::double(&mut out, text),
        (_, Some(block)) if allowed.block && bytes.contains(&b'\n') && is_simple(bytes) => {
            literal(&mut out, bytes, block, place.newline);
        }
        _ if plain => out.extend(bytes),
        _ if single && is_text && !place.flow => style::single(&mut out, bytes),
        _ => style::double(&mut out, text),
    }
    out
}

/// Whether a block scalar of this text needs no hint of its indentation, and no `+`: that would
/// make the empty lines that follow a part of it.
fn is_simple(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"\n") && !bytes.starts_with(b" ") && !bytes.ends_with(b"\n\n")
}

/// `|`, without the last line break, which stands behind the place already.
fn literal(out: &mut Plaintext, bytes: &[u8], (column, step): (usize, usize), newline: &str) {
    out.extend(b"|");
    out.extend(style::literal_hints(bytes, step).as_bytes());
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for line in lines.split(|b| *b == b'\n') {
        out.extend(newline.as_bytes());
        if !line.is_empty() {
            out.extend(" ".repeat(column).as_bytes());
            out.extend(line);
        }
    }
}

/// Where a block scalar could stand whose lines begin at a column: at the end of a line, before
/// nothing that would be read as one more line of it.
pub(super) fn room_for_block(text: &str, end: usize, column: usize) -> bool {
    let rest = text.get(end..).unwrap_or_default();
    let Some(rest) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) else {
        return false;
    };
    for line in rest.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let blanks = line.len().saturating_sub(line.trim_start_matches(' ').len());
        if blanks == line.len() {
            if blanks > column {
                return false;
            }
            continue;
        }
        return blanks < column && !line.starts_with('\t');
    }
    true
}
