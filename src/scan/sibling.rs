//! Plaintext of what is kept encrypted: beside the encrypted file, with a name that says so, or in
//! another tree at the place of a file that the rules know. Tells it by names and keys, and never
//! hands out a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use memchr::memmem;
use zeroize::Zeroizing;

use super::file::{About, small};
use super::pairs::is_comment;
use super::store::human_name;
use crate::format::age::{AgeError, Encrypted};
use crate::format::sops::file::is_encrypted;
use crate::format::sops::store::Store;
use crate::format::sops::tree::{Entry, Node, Tree, Value};
use crate::format::sops::unlock::store_of;
use crate::format::sops::value::looks_encrypted;
use crate::plaintext::Plaintext;

/// The encrypted files with keys that the rules know, by the names that their plaintext may have.
#[derive(Default)]
pub(crate) struct Siblings(BTreeMap<String, Vec<Known>>);

#[derive(Clone)]
struct Known {
    path: PathBuf,
    /// That it lies in; `None` for the folder of the rules itself.
    folder: Option<OsString>,
    keys: Keys,
}

/// The keys of the root, sorted, and whether something below each is encrypted.
type Keys = Vec<(Zeroizing<String>, bool)>;

/// Where a file lies in what is scanned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is all that is looked at, or all of a store path.
    Alone,
    /// In the folder where a tree begins.
    Top,
    /// Deeper.
    Deep,
}

impl Siblings {
    /// A file of the rules, with its bytes and the way to it from their folder; of an age file also
    /// what is in it, where that was opened.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        way: &Path,
        text: &Plaintext,
        opened: Option<&Plaintext>,
    ) {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else { return };
        let plain = pair(name).filter(|(_, encrypted)| encrypted == name).map(|(plain, _)| plain);
        let keys = match (is_age(text), opened, &plain) {
            (true, Some(opened), Some(plain)) => tree(plain, opened).map(|tree| keys(&tree, true)),
            (true, ..) => None,
            (false, ..) => sops_keys(name, text),
        };
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return };
        let folder = way.parent().and_then(Path::file_name).map(OsStr::to_owned);
        let known = Known { path: path.to_owned(), folder, keys };
        let own = name.strip_suffix(".age").is_none().then(|| name.to_owned());
        for name in own.into_iter().chain(plain) {
            self.0.entry(name).or_default().push(known.clone());
        }
    }

    /// All that they are told by, one after the other.
    pub(crate) fn identity(&self, tell: &mut dyn FnMut(&[u8])) {
        for (name, known) in
            self.0.iter().flat_map(|(name, all)| all.iter().map(move |k| (name, k)))
        {
            tell(name.as_bytes());
            tell(known.path.as_os_str().as_encoded_bytes());
            tell(known.folder.as_deref().unwrap_or_default().as_encoded_bytes());
            for (key, sealed) in &known.keys {
                tell(key.as_bytes());
                tell(&[u8::from(*sealed)]);
            }
        }
    }

    /// The encrypted file that this one is the plaintext of, by name, place and keys. It is read,
    /// with what else is to be known of it, where name and place fit.
    pub(crate) fn copied<T>(
        &self,
        folder: &Path,
        name: &str,
        place: Place,
        read: impl FnOnce() -> Option<(Plaintext, T)>,
    ) -> Option<(T, PathBuf)> {
        // A store path that is a file has its hash in its name.
        let known = match place {
            Place::Alone => self.0.get(human_name(name)),
            Place::Top | Place::Deep => self.0.get(name),
        };
        let fits = |known: &&Known| match (place, &known.folder) {
            (Place::Alone, _) | (Place::Top, None) => true,
            (_, Some(lies_in)) => folder.file_name() == Some(lies_in),
            (Place::Deep, None) => false,
        };
        let mut fitting = known?.iter().filter(fits).peekable();
        fitting.peek()?;
        let (text, about) = read()?;
        let keys = keys(&tree(name, &text)?, true);
        let same = |known: &&Known| {
            keys.iter().map(|(key, _)| key).eq(known.keys.iter().map(|(key, _)| key))
                && is_open(name, &text, &known.keys)
        };
        Some((about, fitting.find(same)?.path.clone()))
    }
}

/// The file in the open, where this name and another one in its folder are a pair.
pub(crate) fn beside(
    folder: BorrowedFd<'_>,
    path: &Path,
    name: &str,
) -> Option<(String, About, PathBuf)> {
    let (plain, encrypted) = pair(name)?;
    let (text, about) = small(folder, &plain, LARGEST)?;
    let (sealed, _) = small(folder, &encrypted, LARGEST)?;
    let keys = if is_age(&sealed) { Vec::new() } else { sops_keys(&encrypted, &sealed)? };
    let open = is_open(&plain, &text, &keys);
    open.then(|| (plain, about, path.join(encrypted)))
}

/// The names of plaintext and of the encrypted file, where this is one of them and says so.
fn pair(name: &str) -> Option<(String, String)> {
    if let Some(plain) = name.strip_suffix(".age") {
        return Some((plain.to_owned(), name.to_owned()));
    }
    if let Some(mark) = ENCRYPTED.into_iter().find(|mark| name.contains(mark)) {
        return Some((name.replacen(mark, ".", 1), name.to_owned()));
    }
    let (stem, suffix) = name.rsplit_once('.')?;
    if DECRYPTED.contains(&suffix) {
        return Some((name.to_owned(), stem.to_owned()));
    }
    let (stem, mark) = stem.rsplit_once('.')?;
    DECRYPTED.contains(&mark).then(|| (name.to_owned(), format!("{stem}.{suffix}")))
}

#[expect(clippy::disallowed_methods, reason = "a header of age is looked for")]
fn is_age(text: &Plaintext) -> bool {
    !matches!(Encrypted::read(text.expose()), Err(AgeError::NotAge))
}

/// The keys of a sops file, none where it has no structure; `None` where it is no sops file.
fn sops_keys(name: &str, text: &Plaintext) -> Option<Keys> {
    let store = store_of(Path::new(name), text);
    if !is_encrypted(store, text).ok()? {
        return None;
    }
    Some(tree(name, text).map(|tree| keys(&tree, false)).unwrap_or_default())
}

/// `None` for a text without keys.
fn tree(name: &str, text: &Plaintext) -> Option<Tree> {
    let store = Store::of_path(Path::new(name));
    if store == Store::Binary { None } else { store.read(text).ok() }
}

fn entries(tree: &Tree) -> impl Iterator<Item = &Entry> {
    tree.documents.iter().flat_map(|document| document.root.entries())
}

fn keys(tree: &Tree, all_sealed: bool) -> Keys {
    let of = |entry: &Entry| {
        let sealed = all_sealed || Values::of([&entry.value]).encrypted;
        (Zeroizing::new(entry.key.clone()), sealed)
    };
    let mut keys: Keys = entries(tree).map(of).collect();
    keys.sort_unstable_by(|a, b| (&*a.0, !a.1).cmp(&(&*b.0, !b.1)));
    keys.dedup_by(|a, b| a.0 == b.0);
    keys
}

/// Whether a text is not encrypted, and is more than an example: something stands where the file
/// with these keys has something encrypted.
#[expect(
    clippy::disallowed_methods,
    reason = "looks for what is encrypted and what is a placeholder"
)]
fn is_open(name: &str, text: &Plaintext, known: &Keys) -> bool {
    if is_age(text) || memmem::find(text.expose(), b"ENC[").is_some() {
        return false;
    }
    if let Some(tree) = tree(name, text) {
        let in_the_open = |key: &str| known.iter().any(|(one, sealed)| **one == *key && !sealed);
        let secret = entries(&tree).filter(|entry| !in_the_open(&entry.key));
        let values = Values::of(secret.map(|entry| &entry.value));
        // A template without a password may have a port.
        return values.real || values.numbers && !values.texts;
    }
    let Ok(text) = std::str::from_utf8(text.expose()) else { return true };
    let is_real = |line: &str| {
        let value = line.split_once(['=', ':']).map_or(line, |(_, value)| value);
        !is_comment(line.trim()) && !is_placeholder(value)
    };
    text.lines().any(is_real)
}

/// What there is among values.
#[derive(Default)]
struct Values {
    encrypted: bool,
    /// Texts, and places where one could stand.
    texts: bool,
    /// Texts that are no placeholders.
    real: bool,
    numbers: bool,
}

impl Values {
    fn of<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> Self {
        let mut values = Self::default();
        nodes.into_iter().for_each(|node| values.add(node));
        values
    }

    #[expect(clippy::disallowed_methods, reason = "it is looked whether a value is there")]
    fn add(&mut self, node: &Node) {
        match node {
            Node::Map(map) => map.entries().for_each(|entry| self.add(&entry.value)),
            Node::List(list) => list.values().for_each(|node| self.add(node)),
            Node::Leaf(leaf) => match &leaf.value {
                Value::Null => self.texts = true,
                Value::Bool(_) => {}
                Value::Int(_) | Value::Float(_) | Value::Time(_) => self.numbers = true,
                Value::Str(text) => {
                    let text = text.expose();
                    self.texts = true;
                    self.encrypted |= looks_encrypted(text);
                    self.real |= !std::str::from_utf8(text).is_ok_and(is_placeholder);
                }
            },
        }
    }
}

/// Whether a text stands where a value is to be put.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'', ',', ';']);
    let framed = |(open, close)| text.starts_with(open) && text.ends_with(close);
    if text.chars().all(|c| "xX*.-_#?".contains(c)) || FRAMES.into_iter().any(framed) {
        return true;
    }
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    text.len() <= LONGEST_PLACEHOLDER && PLACEHOLDERS.iter().any(|word| lower.contains(word))
}

const ENCRYPTED: [&str; 3] = [".enc.", ".sops.", ".encrypted."];
const DECRYPTED: [&str; 4] = ["dec", "plain", "decrypted", "clear"];
const FRAMES: [(&str, &str); 4] = [("<", ">"), ("${", "}"), ("{{", "}}"), ("$(", ")")];
const PLACEHOLDERS: [&str; 13] = [
    "change-me",
    "change_me",
    "changeme",
    "change me",
    "dummy",
    "example",
    "insert",
    "placeholder",
    "redacted",
    "replace",
    "todo",
    "your-",
    "your_",
];
const LONGEST_PLACEHOLDER: usize = 64;
/// Larger files are not compared.
pub(crate) const LARGEST: usize = 1 << 20;
