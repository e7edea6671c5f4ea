//! Why an edit of `secretctl.yaml` was not made; in every case the text is as it was.

use std::fmt;

use crate::place::Place;

use super::error::RulesError;

/// Why an edit was not made.
#[derive(Debug)]
pub enum EditError {
    /// The text is wrong already, or would be with this edit.
    Rules(RulesError),
    /// The name is taken.
    Exists {
        /// The name.
        name: String,
        /// Where it is declared.
        place: Place,
    },
    /// The name is not where it should go from.
    NotThere {
        /// The name.
        name: String,
        /// The section or list.
        place: String,
    },
    /// The reader is in the list already.
    AlreadyThere {
        /// The name.
        name: String,
        /// The list.
        place: String,
    },
    /// There is no such rule or group.
    NoSuch {
        /// What was looked for.
        what: String,
    },
    /// Lists in which the reader is the only one.
    WouldBeEmpty {
        /// The reader.
        name: String,
        /// The lists and where the name stands in them.
        lists: Vec<(String, Place)>,
    },
    /// The text is laid out in a way that this cannot edit.
    Layout {
        /// The file.
        file: Place,
    },
}

impl EditError {
    /// A step that the user can take.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Rules(error) => error.hint(),
            Self::Exists { .. } => Some("remove it first, or choose another name".to_owned()),
            Self::WouldBeEmpty { .. } => {
                Some("give these another reader, or remove them, first".to_owned())
            }
            Self::Layout { .. } => Some("make the change by hand; nothing was written".to_owned()),
            Self::NotThere { .. } | Self::AlreadyThere { .. } | Self::NoSuch { .. } => None,
        }
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(error) => error.fmt(f),
            Self::Exists { name, place } => {
                write!(f, "`{name}` is declared already at {place}")
            }
            Self::NotThere { name, place } => write!(f, "`{name}` is not in {place}"),
            Self::AlreadyThere { name, place } => write!(f, "`{name}` is in {place} already"),
            Self::NoSuch { what } => write!(f, "there is no {what}"),
            Self::WouldBeEmpty { name, lists } => {
                write!(f, "cannot remove `{name}`: it is the only reader in some places")?;
                lists.iter().try_for_each(|(list, place)| write!(f, "\n  {list}: {place}"))
            }
            Self::Layout { file } => {
                write!(f, "cannot edit `{file}` in place: it is laid out in an unusual way")
            }
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rules(error) => Some(error),
            Self::Exists { .. }
            | Self::NotThere { .. }
            | Self::AlreadyThere { .. }
            | Self::NoSuch { .. }
            | Self::WouldBeEmpty { .. }
            | Self::Layout { .. } => None,
        }
    }
}
