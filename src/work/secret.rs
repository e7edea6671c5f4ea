//! One secret file: open it, seal new content for the readers of its rule.

use std::io::{BufRead, Write};
use std::path::Path;

use age_core::format::FileKey;

use super::compare::{LeftOver, compare_sops};
use super::links::leads_out;
use super::sops::{self, Unlocked};
use super::{FileError, Job, Problem, seal_into, status};
use crate::format::age::{self, AgeError, Encrypted, readers};
use crate::format::keys::Keys;
use crate::format::sops::file::{MacCheck, SopsError, Writer};
use crate::format::sops::store::Store;
use crate::fsx::{Staged, replace::Staging, sweep};
use crate::key::identity::wrap_with_passphrase;
use crate::key::keyring::{Keyring, Sealed};
use crate::key::wrap::{Request, WrapError, wrap_all};
use crate::key::{Plugins, Recipient};
use crate::plaintext::Plaintext;

/// Most bytes of a secret that is held in memory, as editing does: 64 MiB.
pub const MAX_IN_MEMORY: usize = 64 * 1024 * 1024;

/// A decrypted file.
pub struct Opened {
    /// The content.
    pub content: Plaintext,
    /// What the file is.
    pub file: Kind,
}

/// What a secret file is, or is to become.
pub enum Kind {
    /// An age file.
    Age {
        /// Whether it is armored.
        armored: bool,
    },
    /// A sops file that is there already.
    Sops(Box<Unlocked>),
    /// A sops file that is to be made.
    NewSops(Store),
}

impl Kind {
    /// Who reads a sops file and stays, although its rule does not name them. The readers of an
    /// age file become those of the rule when it is written.
    pub fn strangers(&self, job: &Job) -> Vec<LeftOver> {
        match (self, &job.sops) {
            (Self::Sops(file), Some(readers)) => {
                compare_sops(file.opened.metadata(), readers, &job.expected, &[]).left_over
            }
            (Self::Age { .. } | Self::Sops(_) | Self::NewSops(_), _) => Vec::new(),
        }
    }
}

/// Decrypts a file into memory; a sops file in the way of the writer.
///
/// # Errors
/// [`FileError`], with [`Problem::Absent`] where there is no file.
pub fn open(path: &Path, keys: &mut Keys<'_>, writer: &Writer) -> Result<Opened, FileError> {
    open_as(path, None, keys, writer)
}

/// As [`open`], where a sops file may be of another kind than its name says.
///
/// # Errors
/// As [`open`].
pub fn open_as(
    path: &Path,
    store: Option<Store>,
    keys: &mut Keys<'_>,
    writer: &Writer,
) -> Result<Opened, FileError> {
    let error = |problem| FileError { path: path.to_owned(), problem };
    match status::open(path) {
        Ok(mut encrypted) => {
            let name = path.display().to_string();
            let file_key = unwrap(&encrypted, &name, &mut keys.keyring).map_err(error)?;
            let content = encrypted.decrypt(&file_key).map_err(|e| error(Problem::Age(e)))?;
            Ok(Opened { content, file: Kind::Age { armored: encrypted.armored } })
        }
        Err(AgeError::NotAge) => {
            let store = store.unwrap_or_else(|| Store::of_path(path));
            open_sops(path, store, keys, writer).map_err(error)
        }
        Err(other) => Err(error(other.into())),
    }
}

fn open_sops(
    path: &Path,
    store: Store,
    keys: &mut Keys<'_>,
    writer: &Writer,
) -> Result<Opened, Problem> {
    let file = sops::read(path, store)?;
    let unlocked = sops::unlock(file, keys, MacCheck::Verify)?;
    let store = unlocked.opened.store();
    let content = unlocked.opened.document(writer, store).map_err(Problem::Sops)?;
    Ok(Opened { content, file: Kind::Sops(Box::new(unlocked)) })
}

/// Decrypts the bytes of an age file, which `name` names, into memory.
///
/// # Errors
/// [`Problem`].
pub fn open_bytes(bytes: &[u8], name: &str, keyring: &mut Keyring<'_>) -> Result<Opened, Problem> {
    let mut encrypted = Encrypted::read(bytes)?;
    let file_key = unwrap(&encrypted, name, keyring)?;
    let content = encrypted.decrypt(&file_key).map_err(Problem::Age)?;
    Ok(Opened { content, file: Kind::Age { armored: encrypted.armored } })
}

/// Decrypts a stream to a sink. What has been written is authentic even when this fails.
///
/// # Errors
/// [`Problem`] for the file that `name` names.
pub fn decrypt_stream(
    source: impl BufRead,
    name: &str,
    keyring: &mut Keyring<'_>,
    sink: &mut dyn Write,
) -> Result<(), Problem> {
    let mut encrypted = Encrypted::read(source)?;
    let file_key = unwrap(&encrypted, name, keyring)?;
    encrypted.decrypt_to(&file_key, sink).map_err(Problem::Age)
}

/// Who is to read what is encrypted.
pub enum To<'a> {
    /// These keys; `listed` says whether the file lists them.
    Recipients {
        /// Each once.
        keys: &'a [Recipient],
        /// Whether the header lists their fingerprints.
        listed: bool,
    },
    /// Whoever knows this.
    Passphrase(&'a Plaintext),
}

/// Encrypts a stream to a sink.
///
/// # Errors
/// [`Problem`], before anything is written where it concerns the readers.
pub fn encrypt_stream(
    source: &mut dyn std::io::Read,
    to: &To<'_>,
    armored: bool,
    plugins: &Plugins<'_>,
    sink: &mut dyn Write,
) -> Result<(), Problem> {
    let file_key = age::new_file_key().map_err(|e| Problem::Age(AgeError::Read(e)))?;
    let stanzas = stanzas(&file_key, to, plugins)?;
    age::seal(&file_key, &stanzas, armored, source, sink).map_err(Problem::Age)
}

/// Encrypts content for the readers of a rule, or in a sops file for those that it has, and stages
/// it; [`Staged::commit`] puts it in place.
///
/// # Errors
/// [`FileError`]; the target is untouched.
pub fn seal(
    job: &Job,
    content: &Plaintext,
    file: &Kind,
    keys: &Keys<'_>,
    writer: &Writer,
) -> Result<Staged, FileError> {
    let error = |problem| FileError { path: job.path.clone(), problem };
    if let Some(real) = job.leads_out() {
        return Err(error(Problem::LeadsOut { real }));
    }
    let sealed = match file {
        Kind::Age { armored } => return seal_age(job, content, *armored, &keys.plugins()),
        Kind::Sops(before) => {
            let wanted = job.sops.as_ref();
            let wanted = wanted.map(|said| sops::rule(said.selector.as_ref()).unwrap_or_default());
            sops::seal_again(content, before, wanted.as_ref(), writer)
        }
        Kind::NewSops(store) => {
            let readers = job.sops.as_ref().ok_or_else(|| error(Problem::NoSopsRule))?;
            sops::seal_new(content, *store, readers, keys, writer)
        }
    };
    // What cannot be read is the content, not the file.
    let sealed = sealed.map_err(|problem| match (problem, file) {
        (Problem::Sops(SopsError::Parse(error)), Kind::Sops(before)) => {
            Problem::Content { store: before.opened.store(), error }
        }
        (Problem::Sops(SopsError::Parse(error)), Kind::NewSops(store)) => {
            Problem::Content { store: *store, error }
        }
        (problem, _) => problem,
    });
    stage(&job.path, &sealed.map_err(error)?).map_err(error)
}

/// Removes what a killed run left beside a file, and stages bytes for it there. Not for several
/// files at once: what one of them has parked would be swept away by the next.
///
/// # Errors
/// [`Problem::LeadsOut`], [`Problem::Replace`].
pub fn stage(path: &Path, bytes: &[u8]) -> Result<Staged, Problem> {
    if let Some(real) = leads_out(path, None) {
        return Err(Problem::LeadsOut { real });
    }
    path.parent().map(sweep);
    stage_one_of_many(path, bytes)
}

/// Stages the bytes of a file beside it.
///
/// # Errors
/// [`Problem::Replace`].
pub fn stage_one_of_many(path: &Path, bytes: &[u8]) -> Result<Staged, Problem> {
    let staging = Staging { create_parents: true, ..Staging::default() };
    let mut staged = Staged::with(path, staging).map_err(Problem::Replace)?;
    staged.put(bytes).map_err(Problem::Replace)?;
    staged.finish().map_err(Problem::Replace)?;
    Ok(staged)
}

fn seal_age(
    job: &Job,
    content: &Plaintext,
    armored: bool,
    plugins: &Plugins<'_>,
) -> Result<Staged, FileError> {
    let error = |problem| FileError { path: job.path.clone(), problem };
    let file_key = age::new_file_key().map_err(|e| error(Problem::Age(AgeError::Read(e))))?;
    let to = To::Recipients { keys: &job.recipients(), listed: !job.anonymous };
    let stanzas = stanzas(&file_key, &to, plugins).map_err(error)?;
    job.path.parent().map(sweep);
    let staging = Staging { create_parents: true, ..Staging::default() };
    let mut staged = Staged::with(&job.path, staging).map_err(|e| error(Problem::Replace(e)))?;
    seal_into(&file_key, &stanzas, armored, content, &mut staged).map_err(error)?;
    Ok(staged)
}

/// The problem of a stream whose destination is a staged file.
pub fn of_sink(problem: Problem, staged: &Staged) -> Problem {
    if let Problem::Age(error @ AgeError::Write(_)) = problem {
        super::sink_error(error, staged)
    } else {
        problem
    }
}

fn unwrap(
    encrypted: &Encrypted<'_>,
    name: &str,
    keyring: &mut Keyring<'_>,
) -> Result<FileKey, Problem> {
    let sealed = Sealed { name, stanzas: &encrypted.header.stanzas };
    let answer = keyring.unwrap_all(&[sealed]).into_iter().next();
    answer.unwrap_or(Err(crate::key::keyring::Unopened::NoMatch)).map_err(Problem::Unopened)
}

fn stanzas(
    file_key: &FileKey,
    to: &To<'_>,
    plugins: &Plugins<'_>,
) -> Result<Vec<age_core::format::Stanza>, Problem> {
    match to {
        To::Passphrase(passphrase) => wrap_with_passphrase(file_key, passphrase)
            .ok_or(Problem::Wrap(WrapError::PassphraseNotText)),
        To::Recipients { keys, listed } => {
            let request = Request { file_key, recipients: keys, labels: None };
            let wrapped = wrap_all(&[request], plugins).into_iter().next();
            let mut stanzas =
                wrapped.unwrap_or(Err(WrapError::NoRecipient)).map_err(Problem::Wrap)?;
            if *listed {
                stanzas.push(readers::stanza(*keys));
            }
            if stanzas.len() > age::header::MAX_STANZAS {
                return Err(Problem::TooManyReaders);
            }
            Ok(stanzas)
        }
    }
}
