//! Texts and attributes of XML, property lists and what is like them. Reads what it can and checks
//! nothing.

use zeroize::Zeroizing;

use super::literal::Scalar;

/// A part of a document.
pub(super) enum Piece<'t> {
    /// Left out.
    Comment,
    /// A name that others go by.
    Name(Scalar<'t>),
    /// A text or the value of an attribute.
    Value(Scalar<'t>),
}

/// The parts of a document; `None` where it is none.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    // what entities of its own stand for is not known here
    if !text.starts_with('<') || text.contains("<!ENTITY") {
        return None;
    }
    let mut reader = Reader { names: Vec::new(), key: None, closed: false, found: Vec::new() };
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        reader.content(before, true);
        rest = if let Some(comment) = tag.strip_prefix("!--") {
            reader.found.push(Piece::Comment);
            comment.split_once("-->")?.1
        } else if let Some(data) = tag.strip_prefix("![CDATA[") {
            let (data, rest) = data.split_once("]]>")?;
            reader.content(data, false);
            rest
        } else if tag.starts_with("!DOCTYPE") || tag.starts_with("?xml") {
            tag.split_once('>')?.1
        } else {
            let (inside, rest) = tag.split_at_checked(end_of_tag(tag)?)?;
            reader.tag(inside)?;
            rest.get(1..)?
        };
    }
    reader.content(rest, true);
    reader.closed.then_some(reader.found)
}

fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

struct Reader<'t> {
    /// Of the elements around.
    names: Vec<&'t str>,
    /// The last key of a property list.
    key: Option<&'t str>,
    /// Whether an element has come to its end.
    closed: bool,
    found: Vec<Piece<'t>>,
}

impl<'t> Reader<'t> {
    fn content(&mut self, text: &'t str, escaped: bool) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if self.names.first() == Some(&"plist") && self.names.last() == Some(&"key") {
            self.key = Some(text);
            return;
        }
        let way = self.key.map_or_else(|| self.way(), str::to_owned);
        let decoded = if escaped { unescaped(text) } else { None };
        self.found.push(Piece::Value(Scalar { way, written: text, decoded }));
    }

    /// All elements but the outermost.
    fn way(&self) -> String {
        self.names.get(1..).filter(|inner| !inner.is_empty()).unwrap_or(&self.names).join("/")
    }

    fn tag(&mut self, inside: &'t str) -> Option<()> {
        if let Some(name) = inside.strip_prefix('/') {
            if let Some(open) = self.names.iter().rposition(|open| *open == name.trim_end()) {
                self.names.truncate(open);
                self.closed = true;
            }
            return Some(());
        }
        let alone = inside.strip_suffix('/');
        let inside = alone.unwrap_or(inside);
        let end = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
        let (name, attributes) = inside.split_at_checked(end)?;
        name.starts_with(|c: char| c.is_alphabetic() || c == '_').then_some(())?;
        self.names.push(name);
        self.attributes(attributes);
        if alone.is_some() {
            self.names.pop();
            self.closed = true;
        }
        Some(())
    }

    fn attributes(&mut self, text: &'t str) {
        let mut all = Vec::new();
        let mut rest = text;
        while let Some((name, behind)) = rest.split_once('=') {
            let behind = behind.trim_start();
            let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''));
            let cut = match quote {
                Some(quote) => behind.get(1..).and_then(|it| it.split_once(quote)),
                None => behind.split_once(|c: char| c.is_ascii_whitespace()),
            };
            let (value, behind) = cut.unwrap_or((behind, ""));
            rest = behind;
            all.push((name.split_ascii_whitespace().last().unwrap_or_default(), value));
        }
        let has_value = all.iter().any(|(name, _)| *name == "value");
        for (name, written) in all {
            let scalar = Scalar {
                way: super::split::join(&self.way(), name),
                written,
                decoded: unescaped(written),
            };
            let is_name = match name {
                "class" | "type" | "version" | "encoding" => true,
                "name" | "id" => super::names::is_label(written),
                "key" => has_value && super::names::is_label(written),
                _ => name.starts_with("xmlns") || name.starts_with("xsi:"),
            };
            self.found.push(if is_name { Piece::Name(scalar) } else { Piece::Value(scalar) });
        }
    }
}

/// Without entities; `None` where there are none.
fn unescaped(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if !text.contains('&') {
        return None;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.extend_from_slice(before.as_bytes());
        let entity = behind.split_once(';').and_then(|(name, behind)| Some((one(name)?, behind)));
        rest = if let Some((character, behind)) = entity {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            behind
        } else {
            out.push(b'&');
            behind
        };
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

fn one(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let hexadecimal = number.strip_prefix(['x', 'X']);
            let number = match hexadecimal {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)
        }
    }
}
