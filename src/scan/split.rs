//! Takes a value apart: what in it is secret by itself, and what is not.
//!
//! A file of lines `KEY=value` is not met as a whole when it leaks, but value by value; of a private
//! key only the private numbers are secret, since its public ones stand in the open by right.

use super::armor::{self, Kind};
use super::entropy::{self, Strength};
use super::escape;
use super::forms::MAX_UNIT;
use super::literal::{self, Scalar};
use super::markup;
use super::names;
use super::needle::Why;
use super::pairs::{self, Line};
use super::urls;
use crate::format::sops::store::Store;
use crate::format::sops::tree::{ListItem, Map, MapItem, Node};
use crate::format::sops::value;
use crate::key::bech32;
use crate::plaintext::Plaintext;

/// The most that a key in armor takes, decoded.
const MAX_KEY: usize = 64 << 10;
/// Most parts of a value; a file with more is data, not secrets.
const MAX_PARTS: usize = 20_000;

/// Most files in files.
const DEEPEST: usize = 16;

/// A part of a value.
#[derive(Debug)]
pub(super) struct Part {
    /// The way to the value, and the part behind it.
    pub(super) path: String,
    /// The part, or why it is none to search.
    pub(super) value: Result<Plaintext, Why>,
}

/// All parts of the value at `path`.
pub(super) fn parts(path: &str, value: &Plaintext) -> Vec<Part> {
    #[expect(clippy::disallowed_methods, reason = "a value is taken apart by what is in it")]
    let bytes = value.expose();
    let mut parts = Parts { all: Vec::new(), depth: 0 };
    parts.document(path, bytes);
    if parts.all.len() > MAX_PARTS {
        parts.all.truncate(MAX_PARTS);
        parts.all.push(Part { path: path.to_owned(), value: Err(Why::TooMany) });
    }
    parts.all
}

struct Parts {
    all: Vec<Part>,
    /// Files in files.
    depth: usize,
}

impl Parts {
    fn push(&mut self, path: &str, value: Result<&[u8], Why>) {
        // one more tells that there were too many
        if self.all.len() <= MAX_PARTS {
            let value = value.map(Plaintext::copy_of);
            self.all.push(Part { path: path.to_owned(), value });
        }
    }

    /// A value that may be a file of many.
    fn document(&mut self, path: &str, bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.binary(path, bytes);
            return;
        };
        let text = text.trim();
        if text.is_empty() {
            self.push(path, Err(Why::Empty));
            return;
        }
        let rest = self.keys(path, text);
        #[expect(clippy::disallowed_methods, reason = "what is left beside the keys is looked at")]
        let rest = match &rest {
            Some(rest) => std::str::from_utf8(rest.expose()).unwrap_or_default().trim(),
            None => text,
        };
        if !rest.is_empty() {
            self.text(path, rest);
        }
    }

    /// Bytes that are no text: a key in DER, or anything.
    fn binary(&mut self, path: &str, bytes: &[u8]) {
        match super::der::key(bytes).or_else(|| super::pgp::key(bytes)) {
            Some(super::der::Key::Open(private)) => {
                for (name, part) in private {
                    self.push(&join(path, name), Ok(part));
                }
            }
            Some(super::der::Key::Encrypted(sealed)) => self.push(path, Ok(sealed)),
            None => self.push(path, Ok(bytes)),
        }
    }

    /// Keys in armor and identities of age. Gives what is left, where there was any.
    fn keys(&mut self, path: &str, text: &str) -> Option<Plaintext> {
        let mut rest = Plaintext::with_capacity(text.len());
        let mut at = 0;
        let mut found = false;
        while let Some(begin) = text.get(at..).and_then(|rest| rest.find("-----BEGIN ")) {
            let begin = at.saturating_add(begin);
            let Some(block) = armor::block(text.as_bytes(), begin, MAX_KEY) else {
                let next = begin.saturating_add(1);
                rest.extend(text.as_bytes().get(at..next).unwrap_or_default());
                at = next;
                continue;
            };
            found = true;
            rest.extend(text.as_bytes().get(at..begin).unwrap_or_default());
            at = block.range.end;
            let secret = match block.kind() {
                Kind::Private(private) => {
                    for (name, part) in &private {
                        self.push(&join(path, name), Ok(part));
                    }
                    private.first().map(|(_, part)| *part)
                }
                Kind::Sealed(sealed) => {
                    self.push(&join(path, "encrypted key"), Ok(sealed));
                    Some(sealed)
                }
                Kind::Public => {
                    self.push(path, Err(Why::Public));
                    None
                }
                Kind::Unknown => {
                    self.push(&join(path, "key"), Ok(&block.body));
                    Some(block.body.as_slice())
                }
            };
            // a key in armor leaks as a text, too: in Base64 once more, in UTF-16
            if let Some(line) = secret.and_then(|part| block.line_of(text.as_bytes(), part)) {
                self.push(&join(path, "armored key"), Ok(line));
            }
        }
        rest.extend(text.as_bytes().get(at..).unwrap_or_default());
        found.then_some(rest)
    }

    /// Text beside the keys: documents of known kinds, else lines.
    fn text(&mut self, path: &str, text: &str) {
        if text.lines().nth(1).is_none() {
            return self.line(path, text);
        }
        if let Some(key) = armor::putty(text) {
            self.push(path, Err(Why::Public));
            return self.push(&join(path, "private key"), Ok(&key));
        }
        if self.structured(path, text) {
            return;
        }
        for line in pairs::lines(text) {
            let path = line.path(path);
            for one in line.text.lines().map(str::trim) {
                if pairs::is_comment(one) {
                    self.push(&path, Err(Why::Comment));
                } else if !one.is_empty() {
                    self.leaf(&path, one);
                }
            }
            self.inside(&path, &line);
        }
        // short ones together may be long enough
        if text.len() <= MAX_UNIT && !text.lines().any(|line| pairs::is_comment(line.trim())) {
            self.push(path, Ok(text.as_bytes()));
        }
    }

    /// What a line among others that are of no known kind seems to give a name. That name may be a
    /// part of a secret, so it is not told.
    fn inside(&mut self, path: &str, line: &Line<'_>) {
        let (name, value) = match line.pair {
            Some(pair) => pair,
            None => ("", pairs::entry(line.text).unwrap_or_default()),
        };
        let whole = value.starts_with(literal::BEGINS) || !value.contains(char::is_whitespace);
        let open = names::is_name(name, value) || names::is_public_key(name, value);
        if whole && !open && !value.starts_with('=') && !pairs::is_comment(line.text) {
            let before = self.all.len();
            self.value(path, value);
            self.keep(before, true);
        }
    }

    /// Of the parts from `before` on, which are of something that is looked for as a whole, those that
    /// can be looked for.
    fn keep(&mut self, before: usize, weak: bool) {
        let mut at = 0_usize;
        self.all.retain(|part| {
            at = at.saturating_add(1);
            at <= before || is_strong(part, weak)
        });
    }

    /// A single line: what it assigns, and all of it where that alone cannot be looked for. A value
    /// that has a name already is what it is.
    fn line(&mut self, path: &str, text: &str) {
        let document =
            path.is_empty() || text.starts_with(['{', '[', '<']) || pairs::is_netrc(text);
        let before = self.all.len();
        if !document || !self.structured(path, text) {
            return self.leaf(path, text);
        }
        if !self.has_strong(before) {
            self.leaf(path, text);
        }
    }

    fn has_strong(&self, before: usize) -> bool {
        self.all.get(before..).unwrap_or_default().iter().any(|part| is_strong(part, false))
    }

    /// A document of a known kind; whether it is one.
    fn structured(&mut self, path: &str, text: &str) -> bool {
        if let Some(found) = pairs::netrc(text) {
            for (name, password) in found {
                self.leaf(&join(path, name), password);
            }
            return true;
        }
        if text.starts_with(['{', '[']) && self.tree(path, Store::Json, text) {
            return true;
        }
        let before = self.all.len();
        if text.starts_with(['{', '[']) && self.literal(path, text) && self.has_strong(before) {
            return true;
        }
        if self.markup(path, text) && self.has_strong(before) {
            return true;
        }
        let lines = pairs::lines(text);
        let beside = |line: &Line<'_>| pairs::is_comment(line.text) || pairs::is_head(line.text);
        if lines.iter().any(|line| line.pair.is_some())
            && lines.iter().all(|line| line.pair.is_some() || beside(line))
        {
            for line in lines {
                match line.pair {
                    Some((name, value)) => {
                        self.value(&join(path, name), value);
                        // it may be a password that has an equals sign in it
                        if let Some(scalar) = pairs::password(line.text) {
                            let before = self.all.len();
                            self.scalar(path, scalar);
                            self.keep(before, true);
                        }
                    }
                    None if pairs::is_head(line.text) => {}
                    None => self.push(path, Err(Why::Comment)),
                }
            }
            return true;
        }
        self.passwords(path, &lines)
            || (pairs::looks_like_yaml(text) && self.tree(path, Store::Yaml, text))
    }

    /// Lines of a user and a password each; whether they are.
    fn passwords(&mut self, path: &str, lines: &[Line<'_>]) -> bool {
        let others = lines.iter().filter(|line| !pairs::is_comment(line.text));
        let found = others.map(|line| Some((line, pairs::password(line.text)?)));
        let found: Option<Vec<_>> = found.collect();
        let Some(found) = found.filter(|_| lines.len() > 1) else { return false };
        for (line, scalar) in found {
            // the name of the user may be a part of a secret
            let path = line.path(path);
            let before = self.all.len();
            self.scalar(&path, scalar);
            if !self.has_strong(before) {
                self.leaf(&path, line.text);
            }
        }
        if lines.iter().any(|line| pairs::is_comment(line.text)) {
            self.push(path, Err(Why::Comment));
        }
        true
    }

    /// The texts and attributes of XML; whether it is that.
    fn markup(&mut self, path: &str, text: &str) -> bool {
        let Some(pieces) = markup::pieces(text) else { return false };
        for (scalar, why) in pieces {
            match why {
                None => self.scalar(path, scalar),
                Some(why) => self.push(path, Err(why)),
            }
        }
        true
    }

    /// What stands behind a name.
    fn value(&mut self, path: &str, text: &str) {
        let before = self.all.len();
        let split = self.literal(path, text);
        if !split || (text.starts_with(['[', '{']) && !self.has_strong(before)) {
            self.leaf(path, text);
        }
    }

    /// What stands in quotes and brackets; whether it is that.
    fn literal(&mut self, path: &str, text: &str) -> bool {
        let Some((scalars, _)) = literal::read(text).filter(|(_, length)| *length == text.len())
        else {
            return false;
        };
        for scalar in scalars {
            self.scalar(path, scalar);
        }
        true
    }

    /// A text, and how it was written where that is no form of it.
    fn scalar(&mut self, path: &str, scalar: Scalar<'_>) {
        let Scalar { way, written, escapes } = scalar;
        let path = &if way.is_empty() { path.to_owned() } else { join(path, way) };
        let decoded = escapes.and_then(|escapes| literal::unescaped(escapes, written));
        let decoded = decoded.as_ref().and_then(|it| std::str::from_utf8(it).ok());
        let Some(decoded) = decoded else { return self.lines_or_leaf(path, written) };
        self.lines_or_leaf(path, decoded);
        let forms = if decoded.len() > MAX_UNIT { Vec::new() } else { escape::all(decoded) };
        if !forms.iter().any(|(_, form)| form.as_slice() == written.as_bytes()) {
            let before = self.all.len();
            self.lines_or_leaf(path, written);
            self.keep(before, true);
        }
    }

    /// A file within a file, or a text.
    fn lines_or_leaf(&mut self, path: &str, text: &str) {
        if text.trim().contains('\n') && self.depth < DEEPEST {
            self.depth = self.depth.saturating_add(1);
            self.document(path, text.as_bytes());
            self.depth = self.depth.saturating_sub(1);
        } else {
            self.leaf(path, text.trim());
        }
    }

    /// The leaves of a document; whether it is one.
    fn tree(&mut self, path: &str, store: Store, text: &str) -> bool {
        let Ok(tree) = store.read(&Plaintext::copy_of(text.as_bytes())) else { return false };
        let before = self.all.len();
        for document in &tree.documents {
            self.map(path, &document.root);
        }
        self.all.len() > before
    }

    fn map(&mut self, path: &str, map: &Map) {
        for item in &map.items {
            match item {
                MapItem::Comment(_) => self.push(path, Err(Why::Comment)),
                MapItem::Entry(entry) => self.node(&join(path, &entry.key), &entry.value),
            }
        }
    }

    fn node(&mut self, path: &str, node: &Node) {
        match node {
            Node::Map(map) => self.map(path, map),
            Node::List(list) => {
                for (number, item) in list.items.iter().enumerate() {
                    match item {
                        ListItem::Comment(_) => self.push(path, Err(Why::Comment)),
                        ListItem::Value(node) => self.node(&join(path, &number.to_string()), node),
                    }
                }
            }
            Node::Leaf(leaf) => {
                let Ok(Some((_, bytes))) = value::bytes_of(&leaf.value) else {
                    return self.push(path, Err(Why::Empty));
                };
                match std::str::from_utf8(bytes.slice()) {
                    Ok(text) => self.lines_or_leaf(path, text),
                    Err(_) => self.binary(path, bytes.slice()),
                }
            }
        }
    }

    /// A text of one line, with what is secret inside of it.
    fn leaf(&mut self, path: &str, text: &str) {
        let text = pairs::unquoted(text.trim());
        if text.is_empty() {
            return self.push(path, Err(Why::Empty));
        }
        if text.starts_with("-----BEGIN ") && self.escaped_key(path, text) {
            return;
        }
        if let Some((hrp, data)) = bech32::decode(text) {
            if hrp.starts_with("age1") {
                return self.push(path, Err(Why::Public));
            }
            if hrp.starts_with("age-secret-key-") {
                self.push(&join(path, "key"), Ok(&data));
                return self.push(path, Ok(text.as_bytes()));
            }
        }
        if names::is_public_key(path, text) {
            return self.push(path, Err(Why::Public));
        }
        if let Some(password) = urls::password(text) {
            self.push(&join(path, "password"), Ok(&password));
            return;
        }
        if let Some((password, token)) = urls::basic(text) {
            self.push(&join(path, "password"), Ok(&password));
            return self.push(path, Ok(token.as_bytes()));
        }
        if names::is_name(path, text) {
            return self.push(path, Err(Why::Name));
        }
        let token = urls::bearer(text).unwrap_or(text);
        self.push(path, Ok(token.as_bytes()));
        if let Some(scalar) = pairs::password(token) {
            let before = self.all.len();
            self.scalar(path, scalar);
            self.keep(before, path.is_empty());
        }
        if let Some(key) = pairs::wireguard(token) {
            self.push(&join(path, "key"), Ok(&key));
        }
    }

    /// A key in armor that was put on one line.
    fn escaped_key(&mut self, path: &str, text: &str) -> bool {
        let before = self.all.len();
        self.keys(path, text);
        self.all.len() > before
    }
}

/// Whether it is searched everywhere, or as a whole word at least.
#[expect(clippy::disallowed_methods, reason = "its strength is estimated")]
fn is_strong(part: &Part, or_weak: bool) -> bool {
    part.value.as_ref().is_ok_and(|value| match entropy::strength(value.expose()) {
        Strength::Strong => true,
        Strength::Weak => or_weak,
        Strength::None(_) => false,
    })
}

/// A way, and a step of it.
pub(super) fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") }
}
