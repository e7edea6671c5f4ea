//! What can go wrong when a generation is made: with one secret, or with all of them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Name;

/// Something that went wrong; everything else was done.
#[derive(Debug)]
pub struct Problem {
    /// The secret that it is about; `None` where it is about the store or the units.
    pub name: Option<Name>,
    /// What it is.
    pub trouble: Trouble,
}

/// What went wrong.
#[derive(Debug)]
pub enum Trouble {
    /// Anything else that the system says.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, a verb.
        doing: &'static str,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl Trouble {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
        }
    }
}

/// Why no new generation could be made. The one that was there is as it was.
#[derive(Debug)]
pub enum PublishError {
    /// What the system says.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, a verb.
        doing: &'static str,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl PublishError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
        }
    }
}
