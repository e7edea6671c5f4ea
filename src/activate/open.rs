//! Opens what a manifest names: each file is read once and its key found once, however many values
//! of it are wanted, and files are opened side by side. Nobody is asked for anything, and key
//! services only where the caller hands some in.

mod problem;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

pub use problem::OpenProblem;
pub(super) use problem::readers;

use super::manifest::{Format, Key, Manifest, Source};
use super::value;
use crate::format::age::{AgeError, Encrypted, Whole};
use crate::format::keys::Keys;
use crate::format::sops::data_key::{self, DataKey, DecryptionOrder};
use crate::format::sops::file::{self, MacCheck, SopsFile, Writer};
use crate::format::sops::store::{Layout, Store};
use crate::format::sops::unlock::{self, MAX_FILE, UnlockError};
use crate::fsx::read_committed_plaintext;
use crate::key::keyring::{self, Keyring, Sealed, Tried, Unopened};
use crate::key::service::Services;
use crate::key::{Allowed, NoAsk, Pgp, Plugins};
use crate::plaintext::Plaintext;

/// What became of the sources.
#[derive(Debug, Default)]
pub struct Opened {
    files: BTreeMap<FileId, Result<(), OpenProblem>>,
    values: BTreeMap<Source, Result<Plaintext, OpenProblem>>,
    /// Where private keys were looked for.
    pub tried: Vec<Tried>,
    /// What it took.
    pub counts: Counts,
}

/// What it took to open the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many times a file was read.
    pub reads: usize,
    /// How many times a file key or data key was looked for.
    pub unwraps: usize,
}

/// A file, and what the manifest says it is.
type FileId = (PathBuf, Format);

impl Opened {
    /// The value of a source.
    ///
    /// # Errors
    /// [`OpenProblem`].
    pub fn value(&self, source: &Source) -> Result<&Plaintext, &OpenProblem> {
        match self.values.get(source) {
            Some(value) => value.as_ref(),
            None => match self.files.get(&(source.file.clone(), source.format)) {
                Some(Err(problem)) => Err(problem),
                Some(Ok(())) | None => Err(&OpenProblem::NotAsked),
            },
        }
    }
}

/// Opens one source, and reads private keys for it anew.
///
/// # Errors
/// [`OpenProblem`].
pub fn open_one(manifest: &Manifest, source: &Source) -> Result<Plaintext, OpenProblem> {
    open_with_keys(manifest, source).0
}

/// As [`open_one`], with what was tried.
pub fn open_with_keys(
    manifest: &Manifest,
    source: &Source,
) -> (Result<Plaintext, OpenProblem>, Vec<Tried>) {
    let sources = BTreeSet::from([source.clone()]);
    let mut opened = open_all(manifest, &sources, Services::off());
    let value = opened.values.remove(source).unwrap_or_else(|| {
        let file = opened.files.remove(&(source.file.clone(), source.format));
        Err(file.and_then(Result::err).unwrap_or(OpenProblem::NotAsked))
    });
    (value, opened.tried)
}

/// Opens sources with the private keys of the manifest, and what those do not open through key
/// services that may be asked.
pub fn open_all(manifest: &Manifest, sources: &BTreeSet<Source>, services: Services) -> Opened {
    let mut wanted: BTreeMap<FileId, Vec<Option<&Key>>> = BTreeMap::new();
    for source in sources {
        let file = (source.file.clone(), source.format);
        wanted.entry(file).or_default().push(source.key.as_ref());
    }
    let counters = Counters::default();
    let mut ready = Vec::new();
    let mut files = BTreeMap::new();
    let read = |(path, format): &FileId| {
        counters.reads.fetch_add(1, Ordering::Relaxed);
        read(path, *format)
    };
    let ids: Vec<&FileId> = wanted.keys().collect();
    let texts: Vec<_> = ids.par_iter().map(|id| read(id)).collect();
    for (id, text) in ids.into_iter().zip(texts) {
        match text {
            Ok(text) => ready.push((id, text)),
            Err(problem) => {
                files.insert(id.clone(), Err(problem));
            }
        }
    }
    let mut allowed = Allowed::default();
    for plugin in &manifest.plugins {
        allowed.add_program(&plugin.name, plugin.program.as_path());
    }
    let plugins = Plugins { allowed: &allowed, path: OsStr::new(""), ask: &NoAsk };
    let mut keys = keys(manifest, plugins, services);
    let keys_found = find_keys(&ready, &mut keys, &counters);

    let work: Vec<_> = ready.into_iter().zip(keys_found).collect();
    let opened: Vec<_> = work.into_par_iter().map(|one| open_file(one, &wanted)).collect();
    let mut values = BTreeMap::new();
    for (id, outcome) in opened {
        match outcome {
            Ok(found) => {
                for (key, value) in found {
                    let (file, format) = id.clone();
                    values.insert(Source { file, format, key }, value);
                }
                files.insert(id.clone(), Ok(()));
            }
            Err(problem) => {
                files.insert(id.clone(), Err(problem));
            }
        }
    }
    let tried = keys.tried().to_vec();
    Opened { files, values, tried, counts: counters.read() }
}

/// Decrypts one file and takes the values that are wanted out of it.
fn open_file<'w>(
    ((id, text), key): ((&'w FileId, Text), Result<FoundKey, OpenProblem>),
    wanted: &BTreeMap<FileId, Vec<Option<&Key>>>,
) -> (&'w FileId, Result<Values, OpenProblem>) {
    let asked = wanted.get(id).map(Vec::as_slice).unwrap_or_default();
    let content = key.and_then(|key| decrypt(text, key));
    (id, content.map(|content| content.values(&id.0, asked)))
}

#[derive(Default)]
struct Counters {
    reads: AtomicUsize,
    unwraps: AtomicUsize,
}

impl Counters {
    fn read(&self) -> Counts {
        Counts {
            reads: self.reads.load(Ordering::Relaxed),
            unwraps: self.unwraps.load(Ordering::Relaxed),
        }
    }
}

/// The private keys of a manifest, none of which has been read yet.
fn keys<'p>(manifest: &Manifest, plugins: Plugins<'p>, services: Services) -> Keys<'p> {
    let named =
        |one: &super::manifest::Identity| keyring::Source::named(one.file.as_path().to_owned());
    let sources = manifest.identities.iter().map(named).collect();
    let pgp = match &manifest.gnupg {
        Some(gnupg) => Pgp::unattended(gnupg.program.as_path(), gnupg.home.as_path()),
        None => Pgp::off(),
    };
    Keys {
        keyring: Keyring::new(sources, plugins).with_pgp(),
        pgp,
        services,
        order: DecryptionOrder::default(),
    }
}

/// A file that was read and is still encrypted.
pub(super) enum Text {
    /// An age file.
    Age(Whole),
    /// A sops file.
    Sops(Box<SopsFile>),
}

/// Reads a file and finds out what it is.
pub(super) fn read(path: &Path, format: Format) -> Result<Text, OpenProblem> {
    let text = read_committed_plaintext(path, MAX_FILE).map_err(OpenProblem::Read)?;
    #[expect(clippy::disallowed_methods, reason = "an age file is no plaintext")]
    let age = Encrypted::read(text.expose()).and_then(|file| file.into_whole(MAX_FILE as u64));
    let store = match (age, format) {
        (Ok(Some(whole)), Format::Auto | Format::Age) => return Ok(Text::Age(whole)),
        (Ok(None), _) => {
            return Err(OpenProblem::Read(std::io::ErrorKind::FileTooLarge.into()));
        }
        (Ok(Some(_)), said) => return Err(OpenProblem::IsAge { said }),
        (Err(AgeError::NotAge), Format::Age) => {
            let store = unlock::store_of(path, &text);
            let sops = file::is_encrypted(store, &text).unwrap_or(false);
            return Err(if sops { OpenProblem::IsSops } else { OpenProblem::NotEncrypted });
        }
        (Err(error), Format::Age) | (Err(error @ AgeError::Header(_)), Format::Auto) => {
            return Err(OpenProblem::Age(error));
        }
        (Err(error @ AgeError::Armor(_)), Format::Auto) if !is_sops(path, &text) => {
            return Err(OpenProblem::Age(error));
        }
        (Err(_), Format::Auto) => unlock::store_of(path, &text),
        (Err(_), Format::Yaml) => Store::Yaml,
        (Err(_), Format::Json) => Store::Json,
        (Err(_), Format::Dotenv) => Store::Dotenv,
        (Err(_), Format::Ini) => Store::Ini,
        (Err(_), Format::Binary) => Store::Binary,
    };
    let file = unlock::parse(text, store).map_err(|error| match error {
        UnlockError::NotEncrypted => OpenProblem::NotEncrypted,
        UnlockError::Locked(locked) => OpenProblem::Locked(locked),
        UnlockError::Sops(error) => OpenProblem::Sops(error),
    })?;
    if !file.metadata().is_encrypted() {
        return Err(OpenProblem::NotEncrypted);
    }
    Ok(Text::Sops(Box::new(file)))
}

fn is_sops(path: &Path, text: &Plaintext) -> bool {
    file::is_encrypted(unlock::store_of(path, text), text).unwrap_or(false)
}

/// What opens a file.
enum FoundKey {
    Age(age_core::format::FileKey),
    Sops(DataKey),
}

/// The keys of all files, in their order; age files first go through one keyring together, then
/// sops files.
fn find_keys(
    files: &[(&FileId, Text)],
    keys: &mut Keys<'_>,
    counters: &Counters,
) -> Vec<Result<FoundKey, OpenProblem>> {
    counters.unwraps.fetch_add(files.len(), Ordering::Relaxed);
    let (mut sealed, mut locked) = (Vec::new(), Vec::new());
    let names: Vec<String> = files.iter().map(|(id, _)| id.0.display().to_string()).collect();
    for ((_, text), name) in files.iter().zip(&names) {
        match text {
            Text::Age(whole) => sealed.push(Sealed { name, stanzas: &whole.header.stanzas }),
            Text::Sops(file) => locked.push(file.metadata()),
        }
    }
    let of_age = if sealed.is_empty() { Vec::new() } else { keys.keyring.unwrap_all(&sealed) };
    let of_sops = if locked.is_empty() { Vec::new() } else { data_key::unwrap(&locked, keys) };
    let (mut of_age, mut of_sops) = (of_age.into_iter(), of_sops.into_iter());
    let one = |(_, text): &(&FileId, Text)| match text {
        Text::Age(whole) => {
            let found = of_age.next().unwrap_or(Err(Unopened::NoMatch));
            found.map(FoundKey::Age).map_err(|why| OpenProblem::Unopened {
                why,
                readers: problem::readers(&whole.header.stanzas),
            })
        }
        Text::Sops(_) => match of_sops.next() {
            Some(found) => found.map(FoundKey::Sops).map_err(OpenProblem::Locked),
            None => Err(OpenProblem::NotAsked),
        },
    };
    files.iter().map(one).collect()
}

/// A decrypted file.
enum Content {
    Age(Plaintext),
    Sops(Box<file::Opened>),
}

fn decrypt(text: Text, key: FoundKey) -> Result<Content, OpenProblem> {
    match (text, key) {
        (Text::Age(whole), FoundKey::Age(key)) => {
            whole.decrypt(&key).map(Content::Age).map_err(OpenProblem::Age)
        }
        (Text::Sops(file), FoundKey::Sops(key)) => {
            let opened = file.open(&key, MacCheck::Verify).map_err(OpenProblem::Sops)?;
            Ok(Content::Sops(Box::new(opened)))
        }
        (Text::Age(_), FoundKey::Sops(_)) | (Text::Sops(_), FoundKey::Age(_)) => {
            Err(OpenProblem::NotAsked)
        }
    }
}

type Values = Vec<(Option<Key>, Result<Plaintext, OpenProblem>)>;

impl Content {
    /// The values at these ways.
    fn values(self, path: &Path, asked: &[Option<&Key>]) -> Values {
        let mut values = Vec::with_capacity(asked.len());
        match self {
            Self::Sops(opened) => {
                let empty = crate::format::sops::tree::Map::default();
                let (root, store) = (opened.root().unwrap_or(&empty), opened.store());
                for key in asked {
                    let value = match key {
                        Some(_) if store == Store::Binary => Err(OpenProblem::NoParts),
                        Some(key) => value::at(root, store, key),
                        None => whole(&opened),
                    };
                    values.push((key.cloned(), value));
                }
            }
            Self::Age(content) => {
                let keys = asked.iter().copied().flatten();
                let inside = inner_store(path);
                if keys.clone().next().is_some() {
                    match inside.read_plain(&content) {
                        _ if inside == Store::Binary => {
                            values.extend(
                                keys.map(|key| (Some(key.clone()), Err(OpenProblem::NoParts))),
                            );
                        }
                        Ok(tree) => {
                            let root = tree.documents.into_iter().next();
                            let root = root.map(|document| document.root).unwrap_or_default();
                            values.extend(
                                keys.map(|key| (Some(key.clone()), value::at(&root, inside, key))),
                            );
                        }
                        Err(error) => values.extend(keys.map(|key| {
                            let error = error.clone();
                            (Some(key.clone()), Err(OpenProblem::Content { inside, error }))
                        })),
                    }
                }
                if asked.contains(&None) {
                    values.push((None, Ok(content)));
                }
            }
        }
        values
    }
}

/// The whole document, as sops prints it.
fn whole(opened: &file::Opened) -> Result<Plaintext, OpenProblem> {
    let writer = Writer::Canonical(Layout::default());
    opened.document(&writer, opened.store()).map_err(OpenProblem::Sops)
}

/// What is in an age file, as far as its name tells: `db.yaml.age`.
pub(super) fn inner_store(path: &Path) -> Store {
    let inner = path.extension().is_some_and(|end| end == "age").then(|| path.with_extension(""));
    inner.as_deref().map_or(Store::Binary, Store::of_path)
}
