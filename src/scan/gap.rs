//! What was not looked at, and why. Any of it makes a run incomplete.

use std::fmt;

use super::container::Kind;
use super::finding::Step;

/// How far containers are taken apart.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Containers in containers.
    pub depth: usize,
    /// Bytes that come out of one file, all its compressed members together.
    pub bytes: u64,
    /// Times the size that a member was compressed to.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 12, bytes: 64 << 30, ratio: 2000 }
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::depth`].
    Depth,
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::ratio`].
    Ratio,
    /// A decoder would need more than [`MOST_MEMORY`], or those that are one in another twice that.
    Memory,
}

/// Most memory for one decoder, or for one file in a container that must be held as a whole: 64 MiB.
pub const MOST_MEMORY: u64 = 64 << 20;

/// Why something was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It cannot be read; what the system says.
    Unreadable(String),
    /// It was another file each time it was looked at.
    Changed,
    /// A limit.
    Limit(Limit),
    /// A container breaks the rules of its kind; a clause.
    Damaged(Kind, String),
    /// It is behind a password.
    Sealed,
    /// It is packed in a way that is not known here.
    Unknown(u16),
    /// It packs files in a format that is not taken apart here.
    Format(&'static str),
    /// What takes it apart has stopped by an error of its own.
    Stopped,
    /// Folders are too deep in folders.
    TooDeep,
}

impl Why {
    /// One word for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Changed => "changed",
            Self::Limit(Limit::Depth) => "limit-depth",
            Self::Limit(Limit::Bytes) => "limit-bytes",
            Self::Limit(Limit::Ratio) => "limit-ratio",
            Self::Limit(Limit::Memory) => "limit-memory",
            Self::Damaged(..) => "damaged",
            Self::Sealed => "password",
            Self::Unknown(_) => "unknown-packing",
            Self::Format(_) => "unknown-format",
            Self::Stopped => "stopped",
            Self::TooDeep => "too-deep",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Self::Changed => f.write_str("it changed each time it was read"),
            Self::Limit(Limit::Depth) => f.write_str("containers are nested deeper than the limit"),
            Self::Limit(Limit::Bytes) => f.write_str("more bytes come out of it than the limit"),
            Self::Limit(Limit::Ratio) => {
                f.write_str("it grows more than the limit when decompressed")
            }
            Self::Limit(Limit::Memory) => {
                f.write_str("it needs more than 64 MiB of memory, or 128 MiB with what it is in")
            }
            Self::Damaged(kind, what) => write!(f, "it is damaged {kind}: {what}"),
            Self::Sealed => f.write_str("it is behind a password"),
            Self::Unknown(method) => write!(f, "it is packed with method {method}, not known here"),
            Self::Format(name) => {
                write!(f, "{name} is not taken apart, only its bytes were searched")
            }
            Self::Stopped => f.write_str("what takes it apart has stopped by an error of its own"),
            Self::TooDeep => f.write_str("folders are nested too deep"),
        }
    }
}

/// One thing that was not looked at, inside of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The way to it inside of the file; empty for the file itself.
    pub chain: Vec<Step>,
    /// Why.
    pub why: Why,
}
