//! sops files: read one, find its data key, seal a document with that key or with a new one.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Job, Problem};
use crate::format::age::AgeError;
use crate::format::keys::Keys;
use crate::format::sops::convert;
use crate::format::sops::data_key::{self, DataKey, Rewrap};
use crate::format::sops::file::{
    self, MacCheck, Sealing, SopsError, SopsFile, VersionRule, Writer,
};
use crate::format::sops::metadata::Metadata;
use crate::format::sops::select::Rule;
use crate::format::sops::store::{Layout, Step, Store, Way};
use crate::format::sops::time;
use crate::format::sops::unlock;
use crate::fsx::read_committed_plaintext;
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;
use crate::rules;
use crate::rules::sops::{Selector, SelectorKind, SopsReaders};

pub use crate::format::sops::unlock::{MAX_FILE, Unlocked, store_of};

/// Reads a file; no key is needed.
///
/// # Errors
/// [`Problem::Absent`], [`Problem::NotEncrypted`], [`Problem::Sops`].
pub fn read(path: &Path, store: Store) -> Result<SopsFile, Problem> {
    let text = read_committed_plaintext(path, MAX_FILE).map_err(|error| {
        let absent = error.kind() == ErrorKind::NotFound;
        if absent { Problem::Absent } else { Problem::Age(AgeError::Read(error)) }
    })?;
    parse(text, store)
}

/// As [`read`], for a text.
///
/// # Errors
/// [`Problem::NotEncrypted`], [`Problem::Sops`].
pub fn parse(text: Plaintext, store: Store) -> Result<SopsFile, Problem> {
    unlock::parse(text, store).map_err(Problem::from)
}

/// A place in a document, from 0, for people.
pub fn place(document: usize, way: &[Step]) -> String {
    match (document, way) {
        (0, []) => "text that is in no value".to_owned(),
        (0, way) => format!("`{}`", Way(way)),
        (_, []) => format!("document {}", document.saturating_add(1)),
        (_, way) => format!("`{}` of document {}", Way(way), document.saturating_add(1)),
    }
}

/// Finds the data key of a file and decrypts its values.
///
/// # Errors
/// [`Problem::Locked`], [`Problem::Sops`].
pub fn unlock(file: SopsFile, keys: &mut Keys<'_>, check: MacCheck) -> Result<Unlocked, Problem> {
    unlock::unlock(file, keys, check).map_err(Problem::from)
}

/// The document in the bytes of a file, every byte of it but encrypted values and metadata.
///
/// # Errors
/// [`Problem::NotEncrypted`], [`Problem::Locked`], [`Problem::Sops`].
pub fn document_of(name: &Path, bytes: &[u8], keys: &mut Keys<'_>) -> Result<Plaintext, Problem> {
    let text = Plaintext::copy_of(bytes);
    let store = store_of(name, &text);
    let opened = unlock(parse(text, store)?, keys, MacCheck::Verify)?.opened;
    opened
        .document(&Writer::Lossless, store)
        .or_else(|_| opened.document(&Writer::Canonical(Layout::default()), store))
        .map_err(Problem::Sops)
}

/// The data key of a file.
///
/// # Errors
/// [`Problem::Locked`].
pub fn key_of(file: &SopsFile, keys: &mut Keys<'_>) -> Result<DataKey, Problem> {
    unlock::key_of(file, keys).map_err(Problem::from)
}

/// Encrypts a document in the place of a file, with its key and for its readers. What is new is
/// not left plain against what the rules say is `wanted` encrypted.
///
/// # Errors
/// [`Problem::Sops`].
pub fn seal_again(
    document: &Plaintext,
    before: &Unlocked,
    wanted: Option<&Rule>,
    writer: &Writer,
) -> Result<Vec<u8>, Problem> {
    let (output, version) = (before.opened.store(), VersionRule::Raise);
    let (metadata, now) = (before.opened.metadata(), now());
    let sealing = Sealing { wanted, ..sealing(before, metadata, output, writer, version, &now) };
    file::seal(document, &sealing).map_err(Problem::Sops)
}

/// As [`seal_again`], with other metadata, which hold the same key, or as a file of another kind.
/// What is encrypted is what the metadata say.
///
/// # Errors
/// [`Problem::Sops`].
pub fn seal_for(
    document: &Plaintext,
    before: &Unlocked,
    metadata: &Metadata,
    output: Store,
    writer: &Writer,
    version: VersionRule,
) -> Result<Vec<u8>, Problem> {
    let now = now();
    let sealing = sealing(before, metadata, output, writer, version, &now);
    file::seal(document, &sealing).map_err(Problem::Sops)
}

fn sealing<'a>(
    before: &'a Unlocked,
    metadata: &'a Metadata,
    output: Store,
    writer: &'a Writer,
    version: VersionRule,
    now: &'a str,
) -> Sealing<'a> {
    Sealing {
        input: before.opened.store(),
        output,
        metadata,
        key: &before.key,
        before: Some(&before.opened),
        wanted: None,
        writer,
        now,
        version,
    }
}

/// Who is to read a new file, and what of it is encrypted.
#[derive(Debug, Default)]
pub struct Recipe {
    /// The keys by group.
    pub groups: Vec<Vec<WrappingKey>>,
    /// How many groups are needed, where that is said.
    pub threshold: Option<usize>,
    /// Which values are encrypted.
    pub rule: Option<Rule>,
    /// Whether the MAC is over encrypted values alone.
    pub mac_only_encrypted: bool,
}

impl Recipe {
    /// What a rule says.
    pub fn of(readers: &SopsReaders) -> Self {
        Self {
            groups: groups(readers),
            threshold: readers.threshold,
            rule: rule(readers.selector.as_ref()),
            mac_only_encrypted: readers.mac_only_encrypted,
        }
    }

    /// A new key, wrapped for the readers.
    ///
    /// # Errors
    /// [`Problem::Rewrap`], [`Problem::Sops`].
    pub fn start(self, keys: &Keys<'_>) -> Result<Started, Problem> {
        let mut metadata = Metadata::new(self.rule, &now());
        metadata.mac_only_encrypted = self.mac_only_encrypted;
        let key = new_key()?;
        wrap(&mut metadata, &key, true, self.groups, self.threshold, keys)?;
        Ok(Started { metadata, key })
    }
}

/// A file that has readers and no content yet.
#[derive(Debug)]
pub struct Started {
    /// Its metadata.
    pub metadata: Metadata,
    /// The key of its values.
    pub key: DataKey,
}

impl Started {
    /// Encrypts its document.
    ///
    /// # Errors
    /// [`Problem::Sops`].
    pub fn seal(
        &self,
        document: &Plaintext,
        stores: (Store, Store),
        writer: &Writer,
    ) -> Result<Vec<u8>, Problem> {
        seal_with(document, &self.metadata, &self.key, stores, writer)
    }
}

/// Encrypts a document, of the first kind into the second, with a key that the metadata hold.
///
/// # Errors
/// [`Problem::Sops`].
pub fn seal_with(
    document: &Plaintext,
    metadata: &Metadata,
    key: &DataKey,
    (input, output): (Store, Store),
    writer: &Writer,
) -> Result<Vec<u8>, Problem> {
    let (now, version) = (&now(), VersionRule::Raise);
    let sealing =
        Sealing { input, output, metadata, key, before: None, wanted: None, writer, now, version };
    file::seal(document, &sealing).map_err(Problem::Sops)
}

/// Encrypts a document with a new key for the readers of a rule.
///
/// # Errors
/// [`Problem::Rewrap`], [`Problem::Sops`].
pub fn seal_new(
    document: &Plaintext,
    store: Store,
    readers: &SopsReaders,
    keys: &Keys<'_>,
    writer: &Writer,
) -> Result<Vec<u8>, Problem> {
    Recipe::of(readers).start(keys)?.seal(document, (store, store), writer)
}

/// A file under a new key, for other readers.
///
/// # Errors
/// [`Problem::Rewrap`], [`Problem::Sops`].
pub fn rotate(
    file: Unlocked,
    metadata: Metadata,
    groups: Vec<Vec<WrappingKey>>,
    output: Store,
    writer: &Writer,
    keys: &Keys<'_>,
) -> Result<Vec<u8>, Problem> {
    let key = new_key()?;
    let (mut metadata, threshold) = (metadata, file.opened.metadata().shamir_threshold);
    wrap(&mut metadata, &key, true, groups, threshold, keys)?;
    file.opened.rotate(&key, &metadata, writer, output, &now()).map_err(Problem::Sops)
}

fn new_key() -> Result<DataKey, Problem> {
    DataKey::random().map_err(|error| Problem::Sops(SopsError::Random(error)))
}

/// Writes decrypted content to where the user wants it.
///
/// # Errors
/// Those of the sink.
#[expect(clippy::disallowed_methods, reason = "the user asked for it there")]
pub fn write(content: &Plaintext, sink: &mut dyn Write) -> std::io::Result<()> {
    sink.write_all(content.expose())?;
    sink.flush()
}

/// Wraps one data key for groups of keys.
///
/// # Errors
/// [`Problem::Rewrap`].
pub fn wrap(
    metadata: &mut Metadata,
    data_key: &DataKey,
    fresh: bool,
    groups: Vec<Vec<WrappingKey>>,
    threshold: Option<usize>,
    keys: &Keys<'_>,
) -> Result<(), Problem> {
    let request = Rewrap { metadata, data_key, fresh, groups, threshold };
    let mut done = data_key::wrap(vec![request], &keys.plugins(), keys.outside(), &now());
    done.pop().unwrap_or(Ok(())).map_err(Problem::Rewrap)
}

/// The keys of a rule by group.
pub fn groups(readers: &SopsReaders) -> Vec<Vec<WrappingKey>> {
    let keys = |group: &Vec<_>| {
        group.iter().map(|named: &crate::rules::sops::NamedKey| named.key.clone()).collect()
    };
    readers.groups.iter().map(keys).collect()
}

/// A document as one of another kind.
///
/// # Errors
/// [`Problem::Content`], [`Problem::Sops`].
pub fn convert(document: &Plaintext, from: Store, to: Store) -> Result<Plaintext, Problem> {
    let tree = from.read_plain(document);
    let tree = tree.map_err(|error| Problem::Content { store: from, error })?;
    let converted = convert::to_store(tree, from, to)
        .and_then(|tree| to.print(&tree, None, &Layout::default()));
    converted.map_err(|error| Problem::Sops(SopsError::Store(error)))
}

/// The writer for the file of a rule.
pub fn writer(canonical: bool, job: &Job) -> Writer {
    if canonical { Writer::Canonical(layout(job.sops.as_deref())) } else { Writer::Lossless }
}

/// The layout of the canonical writer that a rule asks for.
pub fn layout(readers: Option<&SopsReaders>) -> Layout {
    readers.map_or_else(Layout::default, |readers| layout_of(&readers.layout))
}

/// The layout of the canonical writer in the words of the stores.
pub fn layout_of(layout: &rules::Layout) -> Layout {
    Layout {
        yaml_indent: layout.yaml_indent,
        json_indent: layout.json_indent,
        binary_indent: layout.binary_indent,
    }
}

/// What a rule says is encrypted.
pub fn rule(selector: Option<&Selector>) -> Option<Rule> {
    let Selector { kind, text } = selector?;
    let text = text.clone();
    Some(match kind {
        SelectorKind::UnencryptedSuffix => Rule::UnencryptedSuffix(text),
        SelectorKind::EncryptedSuffix => Rule::EncryptedSuffix(text),
        SelectorKind::UnencryptedRegex => Rule::UnencryptedRegex(text),
        SelectorKind::EncryptedRegex => Rule::EncryptedRegex(text),
        SelectorKind::UnencryptedCommentRegex => Rule::UnencryptedCommentRegex(text),
        SelectorKind::EncryptedCommentRegex => Rule::EncryptedCommentRegex(text),
    })
}

/// The time, RFC 3339 in UTC, to the second.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    time::utc(since.as_secs())
}
