//! Where something was said: file, line, column, Nix attribute. Knows nothing else.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file, for error messages and for naming the source of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: PathBuf,
    /// Line, from 1; 0 where only the file is known.
    pub line: usize,
    /// Column in characters, from 1; 0 where only the line is known.
    pub column: usize,
    /// Attribute path inside the file, where the source has one (`"db.age".publicKeys`).
    pub attribute: Option<String>,
}

impl Place {
    /// A whole file.
    pub fn file(file: &Path) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, attribute: None }
    }

    /// A line and column (both from 1) of a file.
    pub fn at(file: &Path, line: usize, column: usize) -> Self {
        Self { file: file.to_owned(), line, column, attribute: None }
    }

    /// An attribute of a Nix file, whose line is not known.
    pub fn attribute(file: &Path, attribute: &str) -> Self {
        Self { attribute: Some(attribute.to_owned()), ..Self::file(file) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        if let Some(attribute) = &self.attribute {
            write!(f, " ({attribute})")?;
        }
        Ok(())
    }
}
