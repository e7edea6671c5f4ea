//! What a command does: plans first (values in, values out), then carries them out all or
//! nothing. Prints nothing.

pub mod compare;
pub mod decrypt;
pub mod edit;
pub mod known;
pub mod links;
pub mod merge;
pub mod merge_readers;
pub mod merge_sops;
pub mod parts;
pub mod rekey;
mod rekey_sops;
pub mod rotate;
pub mod secret;
pub mod sops;
pub mod sops_metadata;
pub mod status;
pub mod syntax;
pub mod way;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use age_core::format::{FileKey, Stanza};

use crate::format::age::{self, AgeError};
use crate::format::sops::data_key::{Locked, RewrapError};
use crate::format::sops::file::SopsError;
use crate::format::sops::store::{ParseError, Store};
use crate::format::sops::unlock::UnlockError;
use crate::fsx::{ReplaceError, Staged};
use crate::key::Recipient;
use crate::key::keyring::Unopened;
use crate::key::wrap::WrapError;
use crate::place::Place;
use crate::plaintext::Plaintext;
use crate::rules::{RuleSet, Rules, SopsReaders, Source};

/// One key that the rules name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    /// The reader's name.
    pub reader: String,
    /// The key.
    pub recipient: Recipient,
    /// Where the reader was declared.
    pub place: Place,
}

impl Expected {
    /// Name and key for people; the key alone where it has no other name.
    pub fn label(&self) -> String {
        let key = self.recipient.short();
        if self.reader == key { key } else { format!("{} ({key})", self.reader) }
    }
}

/// What the rules say of one secret file.
#[derive(Debug, Clone)]
pub struct Job {
    /// Absolute path.
    pub path: PathBuf,
    /// Who is to read it; each key once. The files of one rule share them.
    pub expected: Arc<[Expected]>,
    /// `Some` where the rule says whether the file is armored.
    pub armor: Option<bool>,
    /// Whether the file is not to list its readers.
    pub anonymous: bool,
    /// Who is to read it and how it is to be written, if it is a sops file; `None` where its rule
    /// can be about age files alone.
    pub sops: Option<Arc<SopsReaders>>,
    /// Where its rules come from.
    pub source: Source,
    /// Where the rule was said.
    pub place: Place,
    /// The folder that the rule's names are relative to.
    pub base: PathBuf,
}

impl Job {
    /// The keys alone.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.expected.iter().map(|e| e.recipient.clone()).collect()
    }

    /// As [`links::Links::lead_out`], for one file.
    pub fn leads_out(&self) -> Option<PathBuf> {
        links::Links::default().lead_out(self, true)
    }

    /// What a file becomes that is not there yet: a sops file where the rules are those of sops
    /// or the name says that it has values of its own, and an age file everywhere else.
    pub fn new_kind(&self) -> secret::Kind {
        let store = Store::of_path(&self.path);
        let is_age = self.path.extension().is_some_and(|suffix| suffix == "age");
        let sops = match self.source {
            Source::Sops => true,
            Source::Native | Source::Flake => store != Store::Binary,
            Source::Agenix => false,
        };
        if sops && !is_age {
            secret::Kind::NewSops(store)
        } else {
            secret::Kind::Age { armored: self.armor.unwrap_or(false) }
        }
    }

    /// What one rule says of one file.
    pub fn new(path: PathBuf, rules: &Rules, rule: &crate::rules::Rule) -> Self {
        let mut expected: Vec<Expected> = Vec::new();
        for reader in rules.readers_of(rule) {
            for recipient in &reader.recipients {
                if !expected.iter().any(|e| e.recipient == *recipient) {
                    expected.push(Expected {
                        reader: reader.name.clone(),
                        recipient: recipient.clone(),
                        place: reader.place.clone(),
                    });
                }
            }
        }
        let (armor, anonymous) = (rule.armor, rule.anonymous);
        Self {
            path,
            expected: expected.into(),
            armor,
            anonymous,
            sops: (rules.source != Source::Agenix).then(|| rules.wrapping(rule).into()),
            source: rules.source,
            place: rule.place.clone(),
            base: rules.base.clone(),
        }
    }
}

/// Everybody whom the rules name anywhere.
pub fn everybody(rules: &RuleSet) -> Vec<Expected> {
    let all = rules.sources.iter().flat_map(|source| &source.readers);
    all.flat_map(|reader| {
        reader.recipients.iter().map(|recipient| Expected {
            reader: reader.name.clone(),
            recipient: recipient.clone(),
            place: reader.place.clone(),
        })
    })
    .collect()
}

/// Encrypts content into a staged file and makes it ready to be put in place.
#[expect(clippy::disallowed_methods, reason = "the content is encrypted")]
fn seal_into(
    file_key: &FileKey,
    stanzas: &[Stanza],
    armored: bool,
    content: &Plaintext,
    staged: &mut Staged,
) -> Result<(), Problem> {
    if stanzas.len() > age::header::MAX_STANZAS {
        return Err(Problem::TooManyReaders);
    }
    age::seal(file_key, stanzas, armored, &mut content.expose(), staged)
        .map_err(|error| sink_error(error, staged))?;
    staged.finish().map_err(Problem::Replace)
}

/// Says of an error of the destination what to do about it.
fn sink_error(error: AgeError, staged: &Staged) -> Problem {
    match error {
        AgeError::Write(error) => Problem::Replace(staged.write_error(error)),
        other @ (AgeError::NotAge
        | AgeError::Header(_)
        | AgeError::Armor(_)
        | AgeError::Mac
        | AgeError::Payload { .. }
        | AgeError::Read(_)) => Problem::Age(other),
    }
}

/// What went wrong with one file.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What.
    pub problem: Problem,
}

/// Kinds of [`FileError`].
#[derive(Debug)]
pub enum Problem {
    /// There is no such file.
    Absent,
    /// The file is not encrypted.
    NotEncrypted,
    /// The age file cannot be used; a clause.
    Broken(String),
    /// No identity opens it.
    Unopened(Unopened),
    /// Its content cannot be decrypted or encrypted.
    Age(AgeError),
    /// It cannot be encrypted to its readers.
    Wrap(WrapError),
    /// It cannot be replaced.
    Replace(ReplaceError),
    /// The sops file cannot be read, decrypted or encrypted.
    Sops(SopsError),
    /// No key opens the sops file.
    Locked(Locked),
    /// The data key cannot be wrapped for its readers.
    Rewrap(RewrapError),
    /// Its rule says nothing of sops files.
    NoSopsRule,
    /// It is an age file where something was asked that sops files alone can do.
    NotSops,
    /// Its content has no named values.
    NoParts,
    /// Its content is no document of its kind.
    Content {
        /// What it should be.
        store: Store,
        /// Where it is not.
        error: ParseError,
    },
    /// Some files were replaced before this one failed.
    HalfDone {
        /// How many.
        done: usize,
        /// Why this one failed.
        error: ReplaceError,
    },
    /// Somebody else changed it meanwhile.
    Changed,
    /// More than 1,024 stanzas, which Go age refuses to read.
    TooManyReaders,
    /// Links, or the name in a rule, lead to a file outside of the repository.
    LeadsOut {
        /// The file itself.
        real: PathBuf,
    },
    /// The content to encrypt cannot be read.
    Input {
        /// Where it is.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A signal came before anything was written.
    Interrupted(i32),
    /// Signals cannot be handled, and files would be left half done.
    Signals(std::io::Error),
    /// Standard input ended before it gave anything.
    EmptyInput,
    /// Standard output cannot be written.
    Output(std::io::Error),
}

impl From<AgeError> for Problem {
    fn from(error: AgeError) -> Self {
        match error {
            AgeError::Read(e) if e.kind() == ErrorKind::NotFound => Self::Absent,
            AgeError::NotAge => Self::NotEncrypted,
            AgeError::Read(_)
            | AgeError::Header(_)
            | AgeError::Armor(_)
            | AgeError::Mac
            | AgeError::Payload { .. }
            | AgeError::Write(_) => Self::Age(error),
        }
    }
}

impl From<UnlockError> for Problem {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::NotEncrypted => Self::NotEncrypted,
            UnlockError::Locked(locked) => Self::Locked(locked),
            UnlockError::Sops(error) => Self::Sops(error),
        }
    }
}
