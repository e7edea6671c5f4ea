//! Values as TOML writes them, and what is near to it: texts in quotes, lists, tables on one line. Reads
//! what it can and checks nothing.

use zeroize::Zeroizing;

use super::split::join;

/// A text, or a word without quotes.
pub(super) struct Scalar<'t> {
    /// The way to it.
    pub(super) way: String,
    /// As it stands there, without the quotes.
    pub(super) written: &'t str,
    /// What it stands for, where that is something else.
    pub(super) decoded: Option<Zeroizing<Vec<u8>>>,
}

/// All that a value holds.
pub(super) struct Literal<'t> {
    /// One, or those of a list or table.
    pub(super) scalars: Vec<Scalar<'t>>,
    /// Bytes that it takes.
    pub(super) length: usize,
}

/// The value that `text` begins with, in quotes or brackets, if it is whole and the last of its line.
pub(super) fn read<'t>(way: &str, text: &'t str) -> Option<Literal<'t>> {
    if !text.starts_with(['"', '\'', '[', '{']) {
        return None;
    }
    let mut reader = Reader { rest: text, found: Vec::new() };
    reader.value(way, DEEPEST)?;
    let behind = reader.rest.lines().next().unwrap_or_default();
    let behind = behind.strip_prefix([';', ',']).unwrap_or(behind);
    let comment = behind.starts_with([' ', '\t']) && behind.trim_start().starts_with('#');
    let length = text.len().saturating_sub(reader.rest.len());
    (comment || behind.trim().is_empty()).then_some(Literal { scalars: reader.found, length })
}

/// Lists in lists.
const DEEPEST: usize = 32;

struct Reader<'t> {
    rest: &'t str,
    found: Vec<Scalar<'t>>,
}

impl<'t> Reader<'t> {
    fn value(&mut self, way: &str, deep: usize) -> Option<()> {
        match self.rest.chars().next()? {
            '"' | '\'' => {
                let (written, decoded) = self.quoted()?;
                self.found.push(Scalar { way: way.to_owned(), written, decoded });
            }
            '[' => self.list(way, ']', deep.checked_sub(1)?)?,
            '{' => self.list(way, '}', deep.checked_sub(1)?)?,
            _ => {
                let end = self.rest.find([',', ';', ']', '}', '\n', '#']);
                let (word, rest) = self.rest.split_at_checked(end?)?;
                self.rest = rest;
                let written = Some(word.trim()).filter(|word| !word.is_empty())?;
                self.found.push(Scalar { way: way.to_owned(), written, decoded: None });
            }
        }
        Some(())
    }

    fn list(&mut self, way: &str, close: char, deep: usize) -> Option<()> {
        self.rest = self.rest.get(1..)?;
        for number in 0_usize.. {
            self.blank();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                break;
            }
            let name = if close == '}' { self.key()? } else { number.to_string() };
            self.blank();
            self.value(&join(way, &name), deep)?;
            self.blank();
            match self.rest.strip_prefix([',', ';']) {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with([close, '"', '[', '{']) => {}
                None => return None,
            }
        }
        Some(())
    }

    /// A key and what is between it and its value.
    fn key(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            let first = self.rest.chars().next()?;
            match first {
                '"' | '\'' => name.push_str(self.quoted()?.0),
                '=' | ':' | '_' | '-' | '.' | '/' | 'a'..='z' | 'A'..='Z' | '0'..='9' => {
                    self.rest = self.rest.get(1..)?;
                    if matches!(first, '=' | ':') {
                        self.rest = self.rest.strip_prefix('>').unwrap_or(self.rest);
                        return Some(name);
                    }
                    name.push(first);
                }
                _ => return None,
            }
        }
    }

    /// Over spaces, breaks and comments.
    fn blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    /// What is between quotes, or between three of them.
    fn quoted(&mut self) -> Option<(&'t str, Option<Zeroizing<Vec<u8>>>)> {
        let triple = ["\"\"\"", "'''"].into_iter().find(|it| self.rest.starts_with(it));
        let delimiter = triple.or(self.rest.get(..1))?;
        let quote = delimiter.chars().next()?;
        let body = self.rest.get(delimiter.len()..)?;
        let mut from = 0_usize;
        let end = loop {
            let at = from.checked_add(body.get(from..)?.find([quote, '\\'])?)?;
            let here = body.get(at..)?;
            if here.starts_with(delimiter) {
                // up to two more are of the text
                let more = here.get(delimiter.len()..)?.chars().take(2);
                let more = more.take_while(|c| triple.is_some() && *c == quote).count();
                break at.checked_add(more)?;
            }
            let escaped = here.chars().nth(1).filter(|_| quote == '"' && here.starts_with('\\'));
            from = at.checked_add(1)?.checked_add(escaped.map_or(0, char::len_utf8))?;
        };
        self.rest = body.get(end.checked_add(delimiter.len())?..)?;
        let written = body.get(..end)?;
        let decoded = (quote == '"' && written.contains('\\')).then(|| unescaped(written));
        Some((written, decoded))
    }
}

/// Without the escapes of TOML, JSON and shells.
fn unescaped(text: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let first = behind.chars().next().unwrap_or('\\');
        let digits = match first {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        rest = behind.get(first.len_utf8()..).unwrap_or_default();
        let number = rest.get(..digits).and_then(|it| u32::from_str_radix(it, 16).ok());
        let decoded = match first {
            'b' => Some('\u{8}'),
            't' => Some('\t'),
            'n' => Some('\n'),
            'f' => Some('\u{c}'),
            'r' => Some('\r'),
            'e' => Some('\u{1b}'),
            '"' | '\'' | '\\' | '/' | '$' | '`' => Some(first),
            '\n' | '\r' | ' ' if behind.trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
                rest = behind.trim_start();
                continue;
            }
            _ => number.and_then(char::from_u32),
        };
        if let Some(decoded) = decoded {
            out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(digits..).unwrap_or_default();
        } else {
            out.push(b'\\');
            rest = behind;
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
