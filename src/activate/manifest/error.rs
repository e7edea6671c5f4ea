//! What is wrong with a manifest: the file, the line, the field. Never a value of a secret: a
//! manifest has none but those for tests.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::locate;

/// Why a manifest cannot be used.
#[derive(Debug)]
pub enum ManifestError {
    /// It cannot be read.
    Read {
        /// The manifest.
        file: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// It breaks rules.
    Faults {
        /// The manifest.
        file: PathBuf,
        /// All that were found, at least one.
        faults: Vec<Fault>,
    },
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1; 0 where it is not known.
    pub line: usize,
    /// From 1; 0 where it is not known.
    pub column: usize,
    /// The way to the value: `secrets[3].name`; empty for the whole.
    pub field: String,
    /// A clause.
    pub what: String,
}

impl ManifestError {
    /// Faults with the places of their fields.
    pub(super) fn located(file: &Path, text: &[u8], faults: Vec<(String, String)>) -> Self {
        let left_out = faults.len().saturating_sub(MOST_FAULTS);
        let place = |(field, what): (String, String)| {
            let (line, column) = locate::position(text, &field);
            Fault { line, column, field, what }
        };
        let mut faults: Vec<Fault> = faults.into_iter().take(MOST_FAULTS).map(place).collect();
        if left_out > 0 {
            let what = format!("{left_out} more faults are not told");
            faults.push(Fault { line: 0, column: 0, field: String::new(), what });
        }
        Self::Faults { file: file.to_owned(), faults }
    }
}

/// Whoever has more of them corrects these first.
const MOST_FAULTS: usize = 50;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            // The end of a line that has nothing in it is before its first column.
            write!(f, "{}:{}: ", self.line, self.column.max(1))?;
        }
        if !self.field.is_empty() {
            write!(f, "`{}`: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => {
                write!(f, "cannot read the manifest `{}`: {source}", file.display())
            }
            Self::Faults { file, faults } => {
                write!(f, "the manifest `{}` cannot be used", file.display())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Faults { .. } => None,
        }
    }
}
