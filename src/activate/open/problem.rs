//! Why a source was not opened: for one value of a file or for all of them. Holds no value.

use std::fmt;
use std::io;

use crate::activate::manifest::{Format, Key};
use crate::format::age::{AgeError, readers};
use crate::format::sops::data_key::Locked;
use crate::format::sops::file::SopsError;
use crate::format::sops::store::{ParseError, Store, StoreError};
use crate::key::keyring::Unopened;
use crate::key::stanza::Stanzas;

/// Why a source was not opened.
#[derive(Debug)]
pub enum OpenProblem {
    /// The file cannot be read.
    Read(io::Error),
    /// The file is not encrypted.
    NotEncrypted,
    /// It is an age file, and the manifest says otherwise.
    IsAge {
        /// What the manifest says.
        said: Format,
    },
    /// It is a sops file, and the manifest says that it is an age file.
    IsSops,
    /// The age file is broken.
    Age(AgeError),
    /// No identity opens the age file.
    Unopened {
        /// Why not.
        why: Unopened,
        /// Whom it is for, as far as its header tells.
        readers: Vec<String>,
    },
    /// No key opens the sops file.
    Locked(Locked),
    /// The sops file cannot be read or decrypted.
    Sops(SopsError),
    /// The content is no document of the kind that the name of its file says.
    Content {
        /// The kind.
        inside: Store,
        /// Where it is not.
        error: ParseError,
    },
    /// A key was asked for of a content that has none.
    NoParts,
    /// There is no such value.
    Missing {
        /// The way to it.
        key: Key,
        /// How many steps of the way are there.
        found: usize,
    },
    /// The value is null.
    Null {
        /// The way to it.
        key: Key,
    },
    /// The value cannot be printed.
    Print(StoreError),
    /// It is none of the sources that were to be opened.
    NotAsked,
}

impl OpenProblem {
    /// Whether a key service that nobody asked could open it.
    pub fn awaits_service(&self) -> bool {
        matches!(self, Self::Locked(locked) if locked.awaits_service())
    }
}

impl fmt::Display for OpenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("there is no such file")
            }
            Self::Read(error) => write!(f, "it cannot be read: {error}"),
            Self::NotEncrypted => f.write_str("it is not encrypted"),
            Self::IsAge { said } => {
                write!(f, "it is an age file, and its format is said to be `{}`", word(*said))
            }
            Self::IsSops => f.write_str("it is a sops file, and its format is said to be `age`"),
            Self::Age(error) => error.fmt(f),
            Self::Unopened { why, .. } => f.write_str(match why {
                Unopened::NoMatch => "no identity fits",
                Unopened::BrokenStanza => "a stanza in its header is malformed",
                Unopened::TooMuchWork => "its passphrase needs more than 2^22 rounds of scrypt",
            }),
            Self::Locked(error) => error.fmt(f),
            Self::Sops(error) => error.fmt(f),
            Self::Content { inside, error } => write!(f, "its content is no {inside}: {error}"),
            Self::NoParts => f.write_str("its content has no parts that could be named"),
            Self::Missing { key, found } => {
                write!(f, "it has no value `{key}`")?;
                let (there, rest) = key.steps().split_at_checked(*found).unwrap_or_default();
                let next = rest.get(..1).unwrap_or_default();
                match (Key::new(there.to_vec()), Key::new(next.to_vec())) {
                    (Some(there), Some(next)) => write!(f, ": `{there}` has no `{next}`"),
                    _ => Ok(()),
                }
            }
            Self::Null { key } => write!(f, "its value `{key}` is null, which is no secret"),
            Self::Print(error) => error.fmt(f),
            Self::NotAsked => f.write_str("it was not opened"),
        }
    }
}

impl std::error::Error for OpenProblem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Age(error) => Some(error),
            Self::Sops(error) => Some(error),
            Self::Locked(error) => Some(error),
            Self::Print(error) => Some(error),
            Self::NotEncrypted
            | Self::IsAge { .. }
            | Self::IsSops
            | Self::Unopened { .. }
            | Self::Content { .. }
            | Self::NoParts
            | Self::Missing { .. }
            | Self::Null { .. }
            | Self::NotAsked => None,
        }
    }
}

/// Whom a header is for, as far as it tells.
pub(in crate::activate) fn readers(stanzas: &Stanzas) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut anonymous = 0_usize;
    for stanza in stanzas.iter().filter(|stanza| readers::carries_key(*stanza)) {
        let clean = |text: &str| text.escape_debug().to_string();
        match (stanza.tag(), stanza.args().next()) {
            ("ssh-ed25519" | "ssh-rsa", Some(tag)) => {
                found.push(format!("{} (tag {})", stanza.tag(), clean(tag)));
            }
            ("scrypt", _) => found.push("whoever knows its passphrase".to_owned()),
            ("X25519", _) => anonymous = anonymous.saturating_add(1),
            (other, _) => found.push(clean(other)),
        }
    }
    match anonymous {
        0 => {}
        1 => found.push("an age key, which the file does not name".to_owned()),
        n => found.push(format!("{n} age keys, which the file does not name")),
    }
    found
}

/// The word of the manifest.
pub(crate) fn word(format: Format) -> &'static str {
    match format {
        Format::Auto => "auto",
        Format::Age => "age",
        Format::Yaml => "yaml",
        Format::Json => "json",
        Format::Dotenv => "dotenv",
        Format::Ini => "ini",
        Format::Binary => "binary",
    }
}
