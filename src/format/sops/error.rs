//! What can be wrong with a sops file, each in one clause with its place. Never holds a value.

use std::{fmt, io};

pub use super::bared::Bared;
use super::crypt;
use super::metadata::MetadataError;
use super::select::SelectorError;
use super::store::{ParseError, Step, StoreError, Way};
use super::value::ValueError;

/// What is wrong with a file. Never holds a value.
#[derive(Debug)]
pub enum SopsError {
    /// It is no document of its kind.
    Parse(ParseError),
    /// It has no metadata of sops.
    NotEncrypted,
    /// A document that is to be encrypted has metadata of sops already.
    AlreadyEncrypted {
        /// From 0.
        document: usize,
    },
    /// There is nothing to encrypt.
    NoDocument,
    /// Its metadata makes no sense.
    Metadata(MetadataError),
    /// It cannot be written so.
    Store(StoreError),
    /// Its rule cannot be followed.
    Selector(SelectorError),
    /// A value cannot be decrypted or encrypted.
    Value {
        /// The document, from 0.
        document: usize,
        /// The way to it; to what it stands in, where it is a comment.
        way: Vec<Step>,
        /// What is wrong with it.
        what: ValueError,
        /// How many more there are.
        others: usize,
    },
    /// There is no value at this way.
    Missing {
        /// The way.
        way: Vec<Step>,
    },
    /// What is encrypted would be written plain by the rule in the file: somebody changed it.
    Bares(Bared),
    /// What is new would be written plain by the rule in the file, and encrypted by the rules.
    BaresNew(Bared),
    /// The data key opens neither the MAC nor any value.
    Key,
    /// It was changed without the key.
    Mac,
    /// It has no MAC, or lost it.
    NoMac,
    /// The system has no random bytes to give.
    Random(io::Error),
}

impl SopsError {
    pub(super) fn of_value(failed: crypt::Failed) -> Self {
        let crypt::Failed { document, way, what, others, .. } = failed;
        Self::Value { document, way, what, others }
    }
}

impl fmt::Display for SopsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::NotEncrypted => f.write_str("has no metadata of sops"),
            Self::AlreadyEncrypted { document: 0 } => {
                f.write_str("has metadata of sops already, at the key `sops`")
            }
            Self::AlreadyEncrypted { document } => {
                write!(f, "has metadata of sops already in document {}", document.saturating_add(1))
            }
            Self::NoDocument => f.write_str("has no document in it"),
            Self::Metadata(error) => write!(f, "`sops.{}` {}", error.field, error.what),
            Self::Store(error) => error.fmt(f),
            Self::Selector(error) => error.fmt(f),
            Self::Bares(Bared { document, way }) => {
                spot(f, *document, way)?;
                f.write_str(
                    " is encrypted and would not be again: the rule in the file was changed",
                )
            }
            Self::BaresNew(Bared { document, way }) => {
                spot(f, *document, way)?;
                f.write_str(
                    " is new and would not be encrypted: the rule in the file is not that of the \
                     rules, which encrypts it",
                )
            }
            Self::Value { document, way, what, others } => {
                spot(f, *document, way)?;
                write!(f, " {what}")?;
                match others {
                    0 => Ok(()),
                    _ => write!(f, " ({others} more like it)"),
                }
            }
            Self::Missing { way } => write!(f, "`{}` is not there", Way(way)),
            Self::Key => f.write_str("the data key fits neither the MAC nor any value"),
            Self::Mac => f.write_str("the MAC does not fit: the file was changed without the key"),
            Self::NoMac => f.write_str("has no MAC, so changes could not be seen"),
            Self::Random(_) => f.write_str("the system has no random bytes to give"),
        }
    }
}

fn spot(f: &mut fmt::Formatter<'_>, document: usize, way: &[Step]) -> fmt::Result {
    if document > 0 {
        write!(f, "document {}: ", document.saturating_add(1))?;
    }
    match way {
        [] => f.write_str("the top of the document"),
        way => write!(f, "`{}`", Way(way)),
    }
}

impl std::error::Error for SopsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Random(error) => Some(error),
            Self::Parse(_)
            | Self::NotEncrypted
            | Self::AlreadyEncrypted { .. }
            | Self::NoDocument
            | Self::Metadata(_)
            | Self::Store(_)
            | Self::Selector(_)
            | Self::Value { .. }
            | Self::Missing { .. }
            | Self::Bares(_)
            | Self::BaresNew(_)
            | Self::Key
            | Self::Mac
            | Self::NoMac => None,
        }
    }
}

impl From<MetadataError> for SopsError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}

impl From<StoreError> for SopsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SelectorError> for SopsError {
    fn from(error: SelectorError) -> Self {
        Self::Selector(error)
    }
}

impl From<io::Error> for SopsError {
    fn from(error: io::Error) -> Self {
        Self::Random(error)
    }
}
