//! Remembers which ciphertext a value had, so that unchanged values keep theirs and a change is
//! small in a diff. Decrypts nothing.
//!
//! sops remembers one nonce for each place and value; here, equal items of a list keep theirs in
//! order. What is remembered is a whole ciphertext, so no nonce is ever used for two values.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use sha2::{Digest, Sha256};

use super::tree::{Comment, List, ListItem, Map, MapItem, Node, Spot, Tree, Value, Write};
use super::value::{self, Kind, Parts};
use crate::key;
use crate::plaintext::Plaintext;

/// The ciphertexts of an opened file.
#[derive(Debug)]
pub struct Stash<'a> {
    salt: [u8; 32],
    known: HashMap<[u8; 32], VecDeque<Place<'a>>>,
    /// All ciphertexts of the texts before the one that is read.
    seen: HashSet<&'a [u8]>,
}

/// Where a ciphertext stands, and in which text.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    text: &'a Plaintext,
    spot: &'a Spot,
}

/// A ciphertext that a value had.
#[derive(Debug)]
pub struct Known<'a> {
    /// `ENC[…]`
    pub text: Plaintext,
    /// As it stood in the text, quotes included, with where it stood.
    token: &'a [u8],
    spot: &'a Spot,
}

impl<'a> Stash<'a> {
    /// Of a text, and its tree after decryption.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn new(text: &'a Plaintext, tree: &'a Tree) -> io::Result<Self> {
        let mut salt = [0; 32];
        key::fill_random(&mut salt)?;
        let mut stash = Self { salt, known: HashMap::new(), seen: HashSet::new() };
        stash.add(text, tree);
        Ok(stash)
    }

    /// Adds those of another file with the same key, which count where those before have none
    /// left. One that both have counts once.
    pub fn add(&mut self, text: &'a Plaintext, tree: &'a Tree) {
        let mut reading = Reading { stash: self, text, new: Vec::new() };
        let mut place = Vec::new();
        for document in &tree.documents {
            reading.map(&document.root, &mut place);
        }
        let new = reading.new;
        self.seen.extend(new);
    }

    /// The first ciphertext that is left for a value at a place.
    pub fn take(&mut self, place: &[u8], kind: Kind, plain: &[u8]) -> Option<Known<'a>> {
        let name = self.name(place, kind, plain);
        let Place { text, spot } = self.known.get_mut(&name)?.pop_front()?;
        let token = token(text, spot)?;
        Some(Known { text: Plaintext::copy_of(ciphertext(token)?), token, spot })
    }

    /// Whole floats stand in a document as integers do.
    fn name(&self, place: &[u8], kind: Kind, plain: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.salt)
            .chain_update(place.len().to_le_bytes())
            .chain_update(place)
            .chain_update(if kind == Kind::Float { Kind::Int } else { kind }.name())
            .chain_update([0])
            .chain_update(plain)
            .finalize()
            .into()
    }
}

/// Goes through a text's tree.
struct Reading<'s, 'a> {
    stash: &'s mut Stash<'a>,
    text: &'a Plaintext,
    /// The ciphertexts of this text, which may have the same one twice.
    new: Vec<&'a [u8]>,
}

impl<'a> Reading<'_, 'a> {
    fn node(&mut self, node: &'a Node, place: &mut Vec<u8>) {
        match node {
            Node::Map(map) => self.map(map, place),
            Node::List(list) => self.list(list, place),
            Node::Leaf(leaf) => {
                if let (Write::Value, Some(spot)) = (&leaf.write, &leaf.spot) {
                    self.leaf(&leaf.value, spot, place);
                }
            }
        }
    }

    fn map(&mut self, map: &'a Map, place: &mut Vec<u8>) {
        for item in &map.items {
            match item {
                MapItem::Comment(comment) => self.comment(comment, place),
                MapItem::Entry(entry) => {
                    let length = place.len();
                    place.extend_from_slice(entry.key.as_bytes());
                    place.push(b':');
                    self.node(&entry.value, place);
                    place.truncate(length);
                }
            }
        }
    }

    fn list(&mut self, list: &'a List, place: &mut Vec<u8>) {
        for item in &list.items {
            match item {
                ListItem::Comment(comment) => self.comment(comment, place),
                ListItem::Value(node) => self.node(node, place),
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "comments are hashed with a salt to be found again"
    )]
    fn comment(&mut self, comment: &'a Comment, place: &[u8]) {
        if let (Write::Value, Some(spot)) = (&comment.write, &comment.spot) {
            let place = if place.is_empty() { b":" } else { place };
            self.remember(place, Kind::Comment, comment.text.expose(), spot);
        }
    }

    fn leaf(&mut self, value: &'a Value, spot: &'a Spot, place: &[u8]) {
        if let Ok(Some((kind, bytes))) = value::bytes_of(value) {
            self.remember(place, kind, bytes.slice(), spot);
        }
    }

    fn remember(&mut self, place: &[u8], kind: Kind, plain: &[u8], spot: &'a Spot) {
        let Some(text) = token(self.text, spot).and_then(ciphertext) else { return };
        if self.stash.seen.contains(text) {
            return;
        }
        self.new.push(text);
        let name = self.stash.name(place, kind, plain);
        self.stash.known.entry(name).or_default().push_back(Place { text: self.text, spot });
    }
}

impl Known<'_> {
    /// The ciphertext, and what the lossless writer is to do with it at a place: its old bytes,
    /// quotes and all, where they mean the same there.
    pub fn at(self, spot: Option<&Spot>) -> (Plaintext, Write) {
        let write = match spot {
            Some(spot) if spot.flow == self.spot.flow => {
                Write::Token(Plaintext::copy_of(self.token))
            }
            Some(_) | None => Write::Value,
        };
        (self.text, write)
    }
}

#[expect(clippy::disallowed_methods, reason = "a ciphertext is taken from the text it stands in")]
fn token<'a>(text: &'a Plaintext, spot: &Spot) -> Option<&'a [u8]> {
    text.expose().get(spot.span.clone())
}

/// The ciphertext in a token, where it stands there in one piece and without escapes.
fn ciphertext(token: &[u8]) -> Option<&[u8]> {
    let start = token.windows(4).take(4).position(|bytes| bytes == b"ENC[")?;
    let end = token.iter().rposition(|byte| *byte == b']')?.checked_add(1)?;
    let text = token.get(start..end)?;
    let plain = text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    (plain && Parts::parse(text).is_some()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sops::data_key::DataKey;
    use crate::format::sops::tree::{Document, Leaf, Style};
    use crate::format::sops::value::Cipher;

    fn spot(start: usize, end: usize, flow: bool) -> Spot {
        Spot { span: start..end, style: Style::Double, flow, indent: 0, shared: false }
    }

    #[expect(clippy::disallowed_methods, reason = "test")]
    fn bytes(text: &Plaintext) -> &[u8] {
        text.expose()
    }

    /// A text of lines, and the tree of a list with the plaintext `same` in each line.
    fn list(lines: &[Vec<u8>]) -> (Plaintext, Tree) {
        let mut text = Plaintext::default();
        let mut items = Vec::new();
        for line in lines {
            let start = text.len();
            text.extend(line);
            let mut leaf = Leaf::text("same");
            leaf.spot = Some(spot(start, text.len(), false));
            items.push(ListItem::Value(Node::Leaf(leaf)));
            text.extend(b"\n");
        }
        let mut root = Map::default();
        root.push("l", Node::List(List { items }));
        let document = Document { root, ..Document::default() };
        (text, Tree { documents: vec![document] })
    }

    fn ciphertexts(count: usize) -> Vec<Vec<u8>> {
        // test-only
        let key = DataKey::from_plaintext(Plaintext::copy_of(&[7; 32])).unwrap();
        let cipher = Cipher::new(&key);
        let one = || bytes(&cipher.encrypt(Kind::Str, b"same", b"l:").unwrap()).to_vec();
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn equal_items_of_a_list_keep_theirs_in_order() {
        let old = ciphertexts(3);
        let (text, tree) = list(&old);
        let mut stash = Stash::new(&text, &tree).unwrap();
        for expected in &old {
            let known = stash.take(b"l:", Kind::Str, b"same").unwrap();
            assert_eq!(bytes(&known.text), expected.as_slice());
        }
        assert!(stash.take(b"l:", Kind::Str, b"same").is_none());
    }

    #[test]
    fn those_of_another_file_come_after_and_once() {
        let (old, new) = (ciphertexts(3), ciphertexts(1));
        let (text, tree) = list(&old);
        let (other, other_tree) = list(&[&old[1..2], &new, &old[..1]].concat());
        let mut stash = Stash::new(&text, &tree).unwrap();
        stash.add(&other, &other_tree);
        for expected in old.iter().chain(&new) {
            let known = stash.take(b"l:", Kind::Str, b"same").unwrap();
            assert_eq!(bytes(&known.text), expected.as_slice());
        }
        assert!(stash.take(b"l:", Kind::Str, b"same").is_none());
    }

    #[test]
    fn another_place_type_or_value_has_none() {
        let (text, tree) = list(&ciphertexts(1));
        let mut stash = Stash::new(&text, &tree).unwrap();
        assert!(stash.take(b"m:", Kind::Str, b"same").is_none());
        assert!(stash.take(b"l:", Kind::Comment, b"same").is_none());
        assert!(stash.take(b"l:", Kind::Str, b"other").is_none());
        assert!(stash.take(b"l:", Kind::Str, b"same").is_some());
    }

    #[test]
    fn quotes_stay_where_they_mean_the_same() {
        let old = ciphertexts(1).remove(0);
        let quoted = [b"\"", old.as_slice(), b"\""].concat();
        let (text, tree) = list(&[quoted.clone(), quoted.clone()]);
        let mut stash = Stash::new(&text, &tree).unwrap();
        let (enc, write) =
            stash.take(b"l:", Kind::Str, b"same").unwrap().at(Some(&spot(0, 1, false)));
        assert_eq!(bytes(&enc), old);
        assert!(matches!(write, Write::Token(token) if bytes(&token) == quoted));
        let (_, write) = stash.take(b"l:", Kind::Str, b"same").unwrap().at(Some(&spot(0, 1, true)));
        assert!(matches!(write, Write::Value));
    }

    #[test]
    fn what_is_escaped_or_folded_is_not_used() {
        let old = String::from_utf8(ciphertexts(1).remove(0)).unwrap();
        for line in [old.replace(",iv", "\\u002civ"), old.replace(",iv", "\n ,iv"), "x".into()] {
            let (text, tree) = list(&[line.into_bytes()]);
            assert!(Stash::new(&text, &tree).unwrap().known.is_empty());
        }
    }
}
