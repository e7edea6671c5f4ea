//! A whole sops file: read, open, put the plaintext document out, seal a changed one. Knows no path.
//!
//! Follows `cmd/sops` of sops 3.13 where it says what a file must hold; the wire format is in
//! [`super::crypt`], [`super::value`] and the stores.

use super::bared::{self, Bared};
use super::crypt::{self, Job};
use super::data_key::DataKey;
pub use super::error::SopsError;
use super::in_the_open::Found;
use super::metadata::{Metadata, MetadataError, VERSION};
use super::select::{Rule, Selector};
use super::stash::Stash;
use super::store::{Layout, MetadataEdit, Step, Store, StoreError};
use super::tree::{Document, Entry, Leaf, Map, MapItem, Node, Tree, Value};
use super::value::{Cipher, Kind, ValueError};
use super::{canonical, convert, extract, in_the_open, number, time};
use crate::plaintext::Plaintext;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Every byte stays but those of values that change. Only where a document is written as
    /// what it was read as; elsewhere, canonical in the usual layout.
    Lossless,
    /// As sops prints it.
    Canonical(Layout),
}

/// Whether a file with a wrong MAC is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacCheck {
    /// Never.
    Verify,
    /// As others; what it says may have been put together by somebody without the key.
    Ignore,
}

/// Whether the version in the metadata changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRule {
    /// It stays (`set`, `unset`, `rotate`); one that is missing is put.
    Keep,
    /// It becomes ours where ours is newer (`encrypt`, `edit`).
    Raise,
}

/// A file as it was read: its keys are known, its values are not.
#[derive(Debug)]
pub struct SopsFile {
    store: Store,
    text: Plaintext,
    tree: Tree,
    metadata: Metadata,
}

/// A file whose values were decrypted.
#[derive(Debug)]
pub struct Opened {
    store: Store,
    text: Plaintext,
    tree: Tree,
    metadata: Metadata,
    cipher: Cipher,
    comments_left: usize,
    /// What the rule in the metadata would lay bare, of what it says is encrypted.
    bared: Option<Bared>,
}

/// What a document is sealed with.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// What the document is.
    pub input: Store,
    /// What the file becomes.
    pub output: Store,
    /// Who can read it and what is encrypted. MAC, time and version are put in here.
    pub metadata: &'a Metadata,
    /// The key of the values, wrapped in the metadata.
    pub key: &'a DataKey,
    /// The file that it replaces: where the key is the same, unchanged values keep their
    /// ciphertext.
    pub before: Option<&'a Opened>,
    /// What the rules say is encrypted: nothing that is new is left plain against it.
    pub wanted: Option<&'a Rule>,
    /// How the file is written.
    pub writer: &'a Writer,
    /// The time, RFC 3339 in UTC.
    pub now: &'a str,
    /// Whether the version becomes ours.
    pub version: VersionRule,
}

/// Whether a text is a sops file: metadata with a version and a MAC (`sops filestatus`).
///
/// # Errors
/// A text that is no document of its kind.
pub fn is_encrypted(store: Store, text: &Plaintext) -> Result<bool, SopsError> {
    let tree = store.read(text).map_err(SopsError::Parse)?;
    let metadata = tree.documents.first().and_then(|document| document.metadata.as_ref());
    Ok(metadata.and_then(|map| Metadata::read(map).ok()).is_some_and(|metadata| {
        metadata.version.is_some_and(|version| !version.is_empty())
            && metadata.mac.is_some_and(|mac| !mac.is_empty())
    }))
}

impl SopsFile {
    /// Reads a file; no key is needed.
    ///
    /// # Errors
    /// [`SopsError::Parse`], [`SopsError::NotEncrypted`], [`SopsError::Metadata`].
    pub fn read(store: Store, text: Plaintext) -> Result<Self, SopsError> {
        let tree = store.read(&text).map_err(SopsError::Parse)?;
        let map = tree.documents.first().and_then(|document| document.metadata.as_ref());
        let metadata = Metadata::read(map.ok_or(SopsError::NotEncrypted)?)?;
        Ok(Self { store, text, tree, metadata })
    }

    /// What it is.
    pub fn store(&self) -> Store {
        self.store
    }

    /// Who can read it, and what is encrypted.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The values of the first document, most of them encrypted.
    pub fn root(&self) -> Option<&Map> {
        self.tree.documents.first().map(|document| &document.root)
    }

    /// The metadata once more, to be changed.
    ///
    /// # Errors
    /// As [`SopsFile::read`].
    pub fn metadata_again(&self) -> Result<Metadata, SopsError> {
        let map = self.tree.documents.first().and_then(|document| document.metadata.as_ref());
        Ok(Metadata::read(map.ok_or(SopsError::NotEncrypted)?)?)
    }

    /// The first value that is plain although the rule of the file says that it is encrypted; no
    /// key is needed.
    ///
    /// # Errors
    /// What lets nobody open it, as far as that is seen without a key: [`SopsError::Selector`],
    /// [`SopsError::NoMac`], [`SopsError::Metadata`].
    pub fn in_the_open(&self) -> Result<Option<Found>, SopsError> {
        sealed_mac(&self.metadata)?;
        let selector = Selector::new(self.metadata.rule.as_ref())?;
        let passed_over = self.tree.documents.iter().position(|document| document.passed_over);
        let passed_over = passed_over.map(|document| (document, Vec::new()));
        Ok(passed_over.or_else(|| in_the_open::by_rule(&self.tree, &selector)))
    }

    /// The first value that is plain and was encrypted in another version of the file, and is not
    /// plain `elsewhere` too.
    pub fn opens_up(&self, before: &Self, elsewhere: Option<&Self>) -> Option<Found> {
        in_the_open::than(&self.tree, &before.tree, elsewhere.map(|file| &file.tree))
    }

    /// Decrypts every value and checks the MAC.
    ///
    /// # Errors
    /// [`SopsError::Selector`], [`SopsError::Key`], [`SopsError::Value`], [`SopsError::NoMac`],
    /// [`SopsError::Mac`].
    pub fn open(mut self, key: &DataKey, check: MacCheck) -> Result<Opened, SopsError> {
        let selector = Selector::new(self.metadata.rule.as_ref())?;
        let cipher = Cipher::new(key);
        let mac_only_encrypted = self.metadata.mac_only_encrypted;
        let job = Job { selector: &selector, mac_only_encrypted, cipher: &cipher, exact: false };
        let stored = stored_mac(&self.metadata, &cipher);
        let done = crypt::decrypt(&mut self.tree, job).map_err(|failed| {
            let fits = failed.done > 0 || stored.is_ok();
            if failed.what == ValueError::Tampered && !fits {
                SopsError::Key
            } else {
                SopsError::of_value(failed)
            }
        })?;
        if check == MacCheck::Verify && !stored?.same_as(&done.mac) {
            return Err(SopsError::Mac);
        }
        let bared = bared::of_opened(&self.tree, &selector);
        // what was decrypted is printed as sops would print it, by the lossless writer too
        number::as_sops(&mut self.tree, self.store);
        let Self { store, text, tree, metadata } = self;
        let comments_left = done.comments_left;
        Ok(Opened { store, text, tree, metadata, cipher, comments_left, bared })
    }

    /// The file with other metadata: for keys that are wrapped anew, with the same data key.
    /// Values, MAC and time stay.
    ///
    /// # Errors
    /// [`SopsError::Store`].
    pub fn with_metadata(
        &self,
        metadata: &Metadata,
        writer: &Writer,
        output: Store,
    ) -> Result<Vec<u8>, SopsError> {
        let map = metadata.to_map();
        let text = match layout_of(writer, self.store, output) {
            None => self.store.splice(&self.text, &self.tree, MetadataEdit::Put(&map))?,
            Some(layout) => {
                let tree = self.tree.copy();
                canonical::print_sealed(tree, &map, self.store, output, &layout)?
            }
        };
        Ok(bytes(&text))
    }
}

impl Opened {
    /// What it is.
    pub fn store(&self) -> Store {
        self.store
    }

    /// Who can read it, and what is encrypted.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What it holds.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// How many comments look encrypted and could not be decrypted; they are in the document as
    /// they stand in the file.
    pub fn comments_left(&self) -> usize {
        self.comments_left
    }

    /// The document without metadata.
    ///
    /// # Errors
    /// [`SopsError::Store`]: what the output cannot say.
    pub fn document(&self, writer: &Writer, output: Store) -> Result<Plaintext, SopsError> {
        let layout = match writer {
            // there is nothing but the value, and no need for another of it
            _ if output == Store::Binary && self.store == Store::Binary => {
                return Ok(output.print(&self.tree, None, &Layout::default())?);
            }
            Writer::Lossless if output == self.store => {
                return Ok(output.splice(&self.text, &self.tree, MetadataEdit::Remove)?);
            }
            Writer::Lossless => Layout::default(),
            Writer::Canonical(layout) => *layout,
        };
        let mut tree = canonical::tree(self.tree.copy(), self.store, output)?;
        tree.documents.iter_mut().for_each(|document| canonical::part_comments(&mut document.root));
        Ok(output.print(&tree, None, &layout)?)
    }

    /// One value of the first document: a text as it is, a map as a document, anything else as
    /// the output writes it.
    ///
    /// # Errors
    /// [`SopsError::Missing`], [`SopsError::Store`].
    pub fn extract(
        mut self,
        way: &[Step],
        output: Store,
        layout: &Layout,
    ) -> Result<Plaintext, SopsError> {
        let root =
            self.tree.documents.first_mut().map(|document| std::mem::take(&mut document.root));
        let missing = || SopsError::Missing { way: way.to_vec() };
        let mut root = root.unwrap_or_default();
        canonical::part_comments(&mut root);
        let node = extract::take(Node::Map(root), way).ok_or_else(missing)?;
        extract::print(node, self.store, output, layout)
            .map_err(|error| SopsError::Store(StoreError { way: way.to_vec(), ..error }))
    }

    /// The values of the first document.
    pub fn root(&self) -> Option<&Map> {
        self.tree.documents.first().map(|document| &document.root)
    }

    /// The values of the first document by their keys, each as one text; null is an empty one.
    ///
    /// # Errors
    /// A map or list, with the way to it.
    pub fn into_texts(self) -> Result<Vec<(String, Plaintext)>, StoreError> {
        let first = self.tree.documents.into_iter().next();
        convert::texts(first.map(|document| document.root).unwrap_or_default())
    }

    /// Refuses to have written by the rule of this file what that would lay bare.
    fn keeps_all(&self, metadata: &Metadata) -> Result<(), SopsError> {
        match &self.bared {
            Some(bared) if self.store != Store::Binary && metadata.rule == self.metadata.rule => {
                Err(SopsError::Bares(bared.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The file with every value encrypted under a new key, which the metadata holds.
    ///
    /// # Errors
    /// [`SopsError::Bares`], [`SopsError::Store`], [`SopsError::Selector`], [`SopsError::Random`].
    pub fn rotate(
        mut self,
        key: &DataKey,
        metadata: &Metadata,
        writer: &Writer,
        output: Store,
        now: &str,
    ) -> Result<Vec<u8>, SopsError> {
        self.keeps_all(metadata)?;
        let version = VersionRule::Keep;
        let how = Encrypting { store: self.store, metadata, key, now, version, exact: false };
        let layout = layout_of(writer, self.store, output);
        if layout.is_some() {
            let documents = self.tree.documents.iter_mut();
            documents.for_each(|document| canonical::part_comments(&mut document.root));
        }
        let map = encrypt(&mut self.tree, &how, None)?;
        let text = match layout {
            None => self.store.splice(&self.text, &self.tree, MetadataEdit::Put(&map))?,
            Some(layout) => canonical::print_sealed(self.tree, &map, self.store, output, &layout)?,
        };
        drop(self.text);
        Ok(bytes(&text))
    }
}

/// The layout of the canonical writer; `None` where the text can be changed in place.
fn layout_of(writer: &Writer, store: Store, output: Store) -> Option<Layout> {
    match writer {
        Writer::Lossless if store == output => None,
        Writer::Lossless => Some(Layout::default()),
        Writer::Canonical(layout) => Some(*layout),
    }
}

/// Encrypts a document.
///
/// # Errors
/// [`SopsError::Parse`], [`SopsError::AlreadyEncrypted`], [`SopsError::NoDocument`],
/// [`SopsError::Selector`], [`SopsError::Value`], [`SopsError::Store`], [`SopsError::Random`],
/// [`SopsError::Bares`], [`SopsError::BaresNew`].
pub fn seal(document: &Plaintext, sealing: &Sealing<'_>) -> Result<Vec<u8>, SopsError> {
    seal_with(document, sealing, &[])
}

/// As [`seal`], for a document that others went into as well: where their key is the same, values
/// that the file before has not keep their ciphertext.
///
/// # Errors
/// As [`seal`].
pub fn seal_with(
    document: &Plaintext,
    sealing: &Sealing<'_>,
    others: &[&Opened],
) -> Result<Vec<u8>, SopsError> {
    let Sealing { input, output, metadata, key, before, wanted, writer, now, version } = *sealing;
    let mut tree = input.read_plain(document).map_err(SopsError::Parse)?;
    if tree.documents.is_empty() {
        return Err(SopsError::NoDocument);
    }
    // a key of that name would be taken for the metadata, whatever is below it
    let taken = |entry: &Entry| match output {
        Store::Dotenv => entry.key.starts_with("sops_"),
        Store::Yaml | Store::Json | Store::Ini | Store::Binary => entry.key == "sops",
    };
    let encrypted =
        |document: &Document| document.metadata.is_some() || document.root.entries().any(taken);
    if let Some(document) = tree.documents.iter().position(encrypted) {
        return Err(SopsError::AlreadyEncrypted { document });
    }
    for opened in before.into_iter().chain(others.iter().copied()) {
        opened.keeps_all(metadata)?;
    }
    if let Some(before) = before {
        let usual = Rule::default();
        let own = metadata.rule.as_ref().unwrap_or(&usual);
        if let Some(wanted) = wanted.filter(|wanted| output != Store::Binary && *wanted != own) {
            let [own, wanted] = [own, wanted].map(|rule| Selector::new(Some(rule)));
            let bared = bared::of_new(&before.tree, &tree, &own?, &wanted?);
            bared.map_or(Ok(()), |bared| Err(SopsError::BaresNew(bared)))?;
        }
    }
    let mut stash: Option<Stash<'_>> = None;
    let of_key = |opened: &&Opened| opened.cipher.is_of(key);
    for opened in before.into_iter().chain(others.iter().copied()).filter(of_key) {
        match &mut stash {
            Some(stash) => stash.add(&opened.text, &opened.tree),
            None => stash = Some(Stash::new(&opened.text, &opened.tree)?),
        }
    }
    // the canonical writer rounds as sops does
    let exact = *writer == Writer::Lossless;
    let how = Encrypting { store: input, metadata, key, now, version, exact };
    let map = encrypt(&mut tree, &how, stash.as_mut())?;
    drop(stash);
    let layout = match writer {
        Writer::Lossless if input == output && input != Store::Binary => {
            return Ok(bytes(&output.splice(document, &tree, MetadataEdit::Put(&map))?));
        }
        Writer::Lossless => Layout::default(),
        Writer::Canonical(layout) => *layout,
    };
    Ok(bytes(&canonical::print_sealed(tree, &map, input, output, &layout)?))
}

/// How a tree is encrypted.
struct Encrypting<'a> {
    store: Store,
    metadata: &'a Metadata,
    key: &'a DataKey,
    now: &'a str,
    version: VersionRule,
    /// Whether a number that sops would round is refused.
    exact: bool,
}

/// Encrypts a tree; its metadata with MAC, time and version.
fn encrypt(
    tree: &mut Tree,
    how: &Encrypting<'_>,
    stash: Option<&mut Stash<'_>>,
) -> Result<Map, SopsError> {
    let Encrypting { store, metadata, key, now, version, exact } = *how;
    // a rule that leaves out the one value of a binary file would leave all of it plain
    let whole = store == Store::Binary;
    let rule = if whole { None } else { metadata.rule.as_ref() };
    let selector = Selector::new(rule)?;
    let mac_only_encrypted = metadata.mac_only_encrypted && !whole;
    let cipher = Cipher::new(key);
    let job = Job { selector: &selector, mac_only_encrypted, cipher: &cipher, exact };
    let done = crypt::encrypt(tree, job, stash)?.map_err(SopsError::of_value)?;
    let bound = time::without_fraction(now).ok_or_else(no_time)?;
    let mac = cipher.encrypt(Kind::Str, mac_bytes(&done.mac), bound.as_bytes())?;

    let mut map = metadata.to_map();
    if whole {
        map.items.retain(|item| !is_rule_of_parts(item));
    } else if metadata.rule.is_none() {
        let rule = Rule::default();
        put(&mut map, rule.name(), Leaf::text(rule.text()));
    }
    put(&mut map, "lastmodified", Leaf::text(&bound));
    put(&mut map, "mac", Leaf::new(Value::Str(mac)));
    put(&mut map, "version", Leaf::text(version.apply(metadata.version.as_deref())));
    Ok(map)
}

/// The encrypted MAC, and the time that it is bound to.
fn sealed_mac(metadata: &Metadata) -> Result<(&str, String), SopsError> {
    let mac = metadata.mac.as_deref().filter(|mac| !mac.is_empty()).ok_or(SopsError::NoMac)?;
    let bound = time::without_fraction(&metadata.last_modified).ok_or_else(no_time)?;
    Ok((mac, bound))
}

/// What the file says its MAC is.
fn stored_mac(metadata: &Metadata, cipher: &Cipher) -> Result<Plaintext, SopsError> {
    let (mac, bound) = sealed_mac(metadata)?;
    match cipher.decrypt(mac.as_bytes(), bound.as_bytes()) {
        Ok((_, mac)) => Ok(mac),
        Err(_) => Err(SopsError::Mac),
    }
}

fn no_time() -> SopsError {
    SopsError::Metadata(MetadataError { field: "lastmodified".to_owned(), what: "is no time" })
}

/// Sets a field, where the alphabet has it.
fn put(map: &mut Map, key: &str, value: Leaf) {
    let field = map.items.iter_mut().find_map(|item| match item {
        MapItem::Entry(entry) if entry.key == key => Some(entry),
        MapItem::Entry(_) | MapItem::Comment(_) => None,
    });
    if let Some(field) = field {
        field.value = Node::Leaf(value);
        return;
    }
    let later = |item: &MapItem| matches!(item, MapItem::Entry(entry) if entry.key.as_str() > key);
    let at = map.items.iter().position(later).unwrap_or(map.items.len());
    let mut one = Map::default();
    one.push(key, Node::Leaf(value));
    map.items.splice(at..at, one.items);
}

/// Fields that make no sense where there is one value.
fn is_rule_of_parts(item: &MapItem) -> bool {
    let MapItem::Entry(entry) = item else { return false };
    match entry.key.as_str() {
        "unencrypted_suffix" => {
            !matches!(&entry.value, Node::Leaf(Leaf { value: Value::Str(text), .. })
                if matches!(Rule::default(), Rule::UnencryptedSuffix(usual)
                    if text.same_as(&Plaintext::copy_of(usual.as_bytes()))))
        }
        "encrypted_suffix"
        | "encrypted_regex"
        | "unencrypted_regex"
        | "encrypted_comment_regex"
        | "unencrypted_comment_regex"
        | "mac_only_encrypted" => true,
        _ => false,
    }
}

impl VersionRule {
    /// The version that is written for a file that has this one.
    fn apply(self, old: Option<&str>) -> &str {
        match (self, old.filter(|old| !old.is_empty())) {
            (Self::Keep, Some(old)) => old,
            (Self::Raise, Some(old)) if numbers(old) >= numbers(VERSION) => old,
            (Self::Keep | Self::Raise, _) => VERSION,
        }
    }
}

/// The numbers of a version; `None`, the least of all, for what is none.
fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut parts = version.split(['-', '+']).next()?.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    let all = (next()?, next()?, next()?);
    parts.next().is_none().then_some(all)
}

#[expect(clippy::disallowed_methods, reason = "a sealed file is ciphertext, which goes to disk")]
fn bytes(text: &Plaintext) -> Vec<u8> {
    text.expose().to_vec()
}

#[expect(clippy::disallowed_methods, reason = "the MAC is encrypted")]
fn mac_bytes(mac: &Plaintext) -> &[u8] {
    mac.expose()
}

#[cfg(test)]
mod tests;
