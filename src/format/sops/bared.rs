//! What writing a file would lay bare: metadata stand outside of the MAC, so that whoever can
//! write to a repository can change the rule in a file, and wait for somebody with the key to
//! write the file anew. Encrypts nothing and decides nothing: it names the first such value.
//!
//! Rules of sops that look at comments see them encrypted when a file is read and plain when it is
//! written. So a rule can be made that fits the file, MAC and all, and leaves everything plain
//! the next time; [`of_opened`] finds that out. A rule that is as it was for all that is there and
//! leaves plain what comes next is [`of_new`]'s.

use std::collections::HashMap;

use super::select::Selector;
use super::store::Step;
use super::tree::{Tree, Value, Write};
use super::value;
use super::walk::{Met, What, walk};

/// A value in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bared {
    /// The document, from 0.
    pub document: usize,
    /// The way to it; to what it stands in, where it is a comment.
    pub way: Vec<Step>,
}

/// The first value of a tree, or else comment, just decrypted, that the same rule would not encrypt
/// again.
pub(super) fn of_opened(tree: &Tree, selector: &Selector) -> Option<Bared> {
    if !selector.looks_at_comments() {
        return None;
    }
    let decrypted = |write: &Write| matches!(write, Write::Value);
    let (mut value, mut comment) = (None, None);
    walk(tree, &[selector], &mut |document, way, scopes, what| {
        let (found, bare) = match what {
            What::Leaf(_, write) => {
                (&mut value, decrypted(write) && !scopes.iter().all(Met::encrypts))
            }
            What::Comment(text, write) => {
                let kept = scopes.iter().all(|met| met.encrypts_comment(text));
                (&mut comment, decrypted(write) && !kept)
            }
        };
        if bare && found.is_none() {
            *found = Some(Bared { document, way: way.to_vec() });
        }
    });
    value.or(comment)
}

/// The first value of a new tree that the rule of its file leaves plain, another rule would
/// encrypt, and that did not stand in the same place of the old tree.
pub(super) fn of_new(old: &Tree, new: &Tree, own: &Selector, wanted: &Selector) -> Option<Bared> {
    let mut known: HashMap<(usize, Vec<u8>), Vec<&Value>> = HashMap::new();
    walk(old, &[own], &mut |document, way, scopes, what| {
        if let What::Leaf(value, _) = what
            && !scopes.iter().any(Met::encrypts)
        {
            known.entry((document, place(way))).or_default().push(value);
        }
    });
    let mut found = None;
    walk(new, &[own, wanted], &mut |document, way, scopes, what| {
        let (What::Leaf(value, _), [own, wanted]) = (what, scopes) else { return };
        if found.is_some() || own.encrypts() || !wanted.encrypts() || is_nothing(value) {
            return;
        }
        let before = known.get(&(document, place(way)));
        if !before.is_some_and(|values| values.iter().any(|old| same(old, value))) {
            found = Some(Bared { document, way: way.to_vec() });
        }
    });
    found
}

/// The keys of a way: items of a list share their place.
fn place(way: &[Step]) -> Vec<u8> {
    let mut place = Vec::new();
    for step in way {
        if let Step::Key(key) = step {
            place.extend_from_slice(&key.len().to_le_bytes());
            place.extend_from_slice(key.as_bytes());
        }
    }
    place
}

/// What is never encrypted: nulls and empty texts.
fn is_nothing(value: &Value) -> bool {
    value::bytes_of(value)
        .is_ok_and(|bytes| bytes.is_none_or(|(_, bytes)| bytes.slice().is_empty()))
}

fn same(old: &Value, new: &Value) -> bool {
    match (value::bytes_of(old), value::bytes_of(new)) {
        (Ok(Some((_, old))), Ok(Some((_, new)))) => old.slice() == new.slice(),
        _ => false,
    }
}
