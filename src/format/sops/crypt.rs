//! Goes through a tree and decrypts or encrypts its values, with the MAC over all of them. Knows
//! no text and no metadata.
//!
//! Follows `sops.go` (`Tree.Encrypt`, `Tree.Decrypt`): a value is bound to the keys on its way, a
//! comment to what it stands in; items of a list share their place. The MAC is SHA-512 over the
//! values in order, without nulls and comments.

use std::io;

use sha2::{Digest, Sha512};

use super::select::{Scope, Selector};
use super::stash::Stash;
use super::store::Step;
use super::tree::{
    Comment, Document, Leaf, List, ListItem, Map, MapItem, Node, Tree, Value, Write,
};
use super::value::{self, Cipher, Kind, Parts, ValueError};
use crate::plaintext::Plaintext;

/// How to go through a tree.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Which values are encrypted.
    pub selector: &'a Selector,
    /// Whether the MAC is over encrypted values alone.
    pub mac_only_encrypted: bool,
    /// The cipher.
    pub cipher: &'a Cipher,
    /// Whether a number that sops would round is refused.
    pub exact: bool,
}

/// What came out of it.
#[derive(Debug)]
pub struct Done {
    /// In hexadecimal, large letters; it tells whether values are the same, so it is plaintext.
    pub mac: Plaintext,
    /// Comments that look encrypted and were left, since they could not be decrypted.
    pub comments_left: usize,
}

/// Values that could not be done.
#[derive(Debug)]
pub struct Failed {
    /// The document of the first, from 0.
    pub document: usize,
    /// The way to the first.
    pub way: Vec<Step>,
    /// What is wrong with it.
    pub what: ValueError,
    /// How many more there are.
    pub others: usize,
    /// How many values were done.
    pub done: usize,
}

/// Decrypts every value that is encrypted, all documents in turn.
///
/// # Errors
/// The first value that cannot be decrypted, after all have been tried.
pub fn decrypt(tree: &mut Tree, job: Job<'_>) -> Result<Done, Failed> {
    let mut walk = Walk::new(job, Work::Decrypt);
    walk.documents(tree);
    walk.finish(tree)
}

/// Encrypts every value that the rule names, all documents in turn. A value that the stash knows
/// gets the ciphertext that it had.
///
/// # Errors
/// The first value that cannot be encrypted, or no random bytes.
pub fn encrypt(
    tree: &mut Tree,
    job: Job<'_>,
    stash: Option<&mut Stash<'_>>,
) -> io::Result<Result<Done, Failed>> {
    let mut walk = Walk::new(job, Work::Encrypt(stash));
    walk.documents(tree);
    match walk.no_random.take() {
        Some(error) => Err(error),
        None => Ok(walk.finish(tree)),
    }
}

enum Work<'a, 'b> {
    Decrypt,
    Encrypt(Option<&'a mut Stash<'b>>),
}

struct Walk<'a, 'b> {
    job: Job<'a>,
    work: Work<'a, 'b>,
    hash: Sha512,
    /// Each key of the way with a colon behind it.
    place: Vec<u8>,
    /// The document, and the position in each map and list of the way.
    at: Vec<usize>,
    failed: Option<(Vec<usize>, ValueError)>,
    others: usize,
    done: usize,
    comments_left: usize,
    no_random: Option<io::Error>,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(job: Job<'a>, work: Work<'a, 'b>) -> Self {
        let mut hash = Sha512::new();
        if job.mac_only_encrypted {
            hash.update(MAC_ONLY_ENCRYPTED);
        }
        Self {
            job,
            work,
            hash,
            place: Vec::new(),
            at: Vec::new(),
            failed: None,
            others: 0,
            done: 0,
            comments_left: 0,
            no_random: None,
        }
    }

    fn documents(&mut self, tree: &mut Tree) {
        for (index, document) in tree.documents.iter_mut().enumerate() {
            self.at.push(index);
            self.map(&mut document.root, Scope::default());
            self.at.pop();
        }
    }

    fn finish(self, tree: &Tree) -> Result<Done, Failed> {
        let Some((at, what)) = self.failed else {
            let mac = hexadecimal(&self.hash.finalize());
            return Ok(Done { mac, comments_left: self.comments_left });
        };
        let (document, at) = at.split_first().unwrap_or((&0, &[]));
        let way = tree.documents.get(*document).map(|found| way(found, at)).unwrap_or_default();
        Err(Failed { document: *document, way, what, others: self.others, done: self.done })
    }

    fn node(&mut self, node: &mut Node, scope: Scope) {
        match node {
            Node::Map(map) => self.map(map, scope),
            Node::List(list) => self.list(list, scope),
            Node::Leaf(leaf) => {
                if let Err(what) = self.leaf(leaf, scope) {
                    self.fail(what);
                }
            }
        }
    }

    fn map(&mut self, map: &mut Map, scope: Scope) {
        let mut run = scope;
        for (index, item) in map.items.iter_mut().enumerate() {
            self.at.push(index);
            match item {
                MapItem::Comment(comment) => run = self.comment(comment, run),
                MapItem::Entry(entry) => {
                    let length = self.place.len();
                    self.place.extend_from_slice(entry.key.as_bytes());
                    self.place.push(b':');
                    self.node(&mut entry.value, self.job.selector.below(run, &entry.key));
                    self.place.truncate(length);
                    run = scope;
                }
            }
            self.at.pop();
        }
    }

    fn list(&mut self, list: &mut List, scope: Scope) {
        if matches!(self.work, Work::Decrypt) {
            list.items.iter_mut().for_each(take_for_comment);
        }
        let mut run = scope;
        for (index, item) in list.items.iter_mut().enumerate() {
            self.at.push(index);
            match item {
                ListItem::Comment(comment) => run = self.comment(comment, run),
                ListItem::Value(node) => {
                    self.node(node, run);
                    run = scope;
                }
            }
            self.at.pop();
        }
    }

    /// Decrypts or encrypts a comment; the scope of what follows it. The rule looks at comments
    /// as they stand before that, as sops does.
    #[expect(
        clippy::disallowed_methods,
        reason = "rules look at comments, which are encrypted too"
    )]
    fn comment(&mut self, comment: &mut Comment, scope: Scope) -> Scope {
        let text = comment.text.expose();
        let after = self.job.selector.after(scope, text);
        if text.is_empty() || !self.job.selector.encrypts_comment(scope, text) {
            return after;
        }
        let place = if self.place.is_empty() { b":" } else { self.place.as_slice() };
        match &mut self.work {
            Work::Decrypt => match self.job.cipher.decrypt(text, place) {
                Ok((_, plain)) => {
                    comment.text = plain;
                    comment.write = Write::Value;
                    // sops forgets it where it decrypts, and prints the comment above.
                    comment.inline = false;
                    self.done = self.done.saturating_add(1);
                }
                // one that an older sops left plain, or that somebody wrote into the file
                Err(_) if !value::looks_encrypted(text) => {}
                Err(_) => self.comments_left = self.comments_left.saturating_add(1),
            },
            Work::Encrypt(stash) => {
                let known = stash.as_mut().and_then(|s| s.take(place, Kind::Comment, text));
                let text = match known {
                    Some(known) => known.text,
                    None => match self.job.cipher.encrypt(Kind::Comment, text, place) {
                        Ok(text) => text,
                        Err(error) => {
                            self.no_random = Some(error);
                            return after;
                        }
                    },
                };
                if self.job.selector.mistakes(text.expose()) {
                    self.fail(ValueError::Ambiguous);
                }
                comment.text = text;
                comment.write = Write::Value;
            }
        }
        after
    }

    fn leaf(&mut self, leaf: &mut Leaf, scope: Scope) -> Result<(), ValueError> {
        let encrypted = self.job.selector.encrypts(scope);
        if encrypted && matches!(self.work, Work::Decrypt) {
            self.decrypt_leaf(leaf)?;
        }
        let bytes = value::bytes_of(&leaf.value).map_err(|error| match (error, &self.work) {
            (ValueError::Content(Kind::Int), Work::Encrypt(_)) => ValueError::Digits,
            (error, _) => error,
        });
        let Some((kind, bytes)) = bytes? else {
            return Ok(());
        };
        let bytes = bytes.slice();
        if encrypted || !self.job.mac_only_encrypted {
            self.hash.update(bytes);
        }
        let Work::Encrypt(stash) = &mut self.work else {
            return Ok(());
        };
        if !encrypted || bytes.is_empty() {
            return Ok(());
        }
        if self.job.exact && !value::is_exact(&leaf.value) {
            return Err(ValueError::Digits);
        }
        let known = stash.as_mut().and_then(|stash| stash.take(&self.place, kind, bytes));
        let (text, write) = match known {
            Some(known) => known.at(leaf.spot.as_ref()),
            None => match self.job.cipher.encrypt(kind, bytes, &self.place) {
                Ok(text) => (text, Write::Value),
                Err(error) => {
                    self.no_random = Some(error);
                    return Ok(());
                }
            },
        };
        leaf.value = Value::Str(text);
        leaf.write = write;
        Ok(())
    }

    /// Empty texts and nulls are never encrypted.
    #[expect(clippy::disallowed_methods, reason = "values are decrypted where they stand")]
    fn decrypt_leaf(&mut self, leaf: &mut Leaf) -> Result<(), ValueError> {
        let (kind, plain) = match &leaf.value {
            Value::Null => return Ok(()),
            Value::Str(text) if text.is_empty() => return Ok(()),
            Value::Str(text) => self.job.cipher.decrypt(text.expose(), &self.place)?,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {
                return Err(ValueError::NotText);
            }
        };
        leaf.value = value::typed(kind, plain)?;
        leaf.write = Write::Value;
        self.done = self.done.saturating_add(1);
        Ok(())
    }

    fn fail(&mut self, what: ValueError) {
        if self.failed.is_none() {
            self.failed = Some((self.at.clone(), what));
        } else {
            self.others = self.others.saturating_add(1);
        }
    }
}

/// sops writes an encrypted comment of a list as an item. It is a comment again before the rule
/// looks at comments, or those after it would be judged by other comments than when they were
/// encrypted.
#[expect(clippy::disallowed_methods, reason = "encrypted items of lists are told by their type")]
fn take_for_comment(item: &mut ListItem) {
    let ListItem::Value(Node::Leaf(leaf)) = item else { return };
    let Value::Str(text) = &mut leaf.value else { return };
    if Parts::parse(text.expose()).is_some_and(|parts| parts.kind == b"comment") {
        let text = std::mem::take(text);
        let (spot, write) = (leaf.spot.take(), Write::Keep);
        *item = ListItem::Comment(Comment { text, spot, inline: false, write });
    }
}

/// The keys and indices of a way.
fn way(document: &Document, at: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some((first, rest)) = at.split_first() else {
        return steps;
    };
    let mut node = step_into_map(&document.root, *first, &mut steps);
    for index in rest {
        node = match node {
            Some(Node::Map(map)) => step_into_map(map, *index, &mut steps),
            Some(Node::List(list)) => step_into_list(list, *index, &mut steps),
            Some(Node::Leaf(_)) | None => None,
        };
    }
    steps
}

fn step_into_map<'a>(map: &'a Map, index: usize, steps: &mut Vec<Step>) -> Option<&'a Node> {
    let MapItem::Entry(entry) = map.items.get(index)? else {
        return None;
    };
    steps.push(Step::Key(entry.key.clone()));
    Some(&entry.value)
}

fn step_into_list<'a>(list: &'a List, index: usize, steps: &mut Vec<Step>) -> Option<&'a Node> {
    let is_value = |item: &&ListItem| matches!(item, ListItem::Value(_));
    let ListItem::Value(node) = list.items.get(index)? else {
        return None;
    };
    steps.push(Step::Index(list.items.iter().take(index).filter(is_value).count()));
    Some(node)
}

fn hexadecimal(bytes: &[u8]) -> Plaintext {
    let mut text = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16).map(|c| c.to_ascii_uppercase() as u8));
        }
    }
    Plaintext::new(text)
}

/// What a MAC over encrypted values alone begins with: SHA-256 of `sops`.
const MAC_ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

#[cfg(test)]
mod tests;
