//! What was found and where. Never holds the value, nor anything that could be used to test a guess.

use std::fmt;
use std::path::{Path, PathBuf};

use super::container::Kind;
use super::dig::Dug;
use super::form::Form;
use super::matcher::What;

/// One step into a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Out of a compression.
    Packed(Kind),
    /// To a member of a container, by its name.
    Member(Kind, Vec<u8>),
}

/// A way into a file for people: `!etc/x` for a member, nothing for a mere compression.
pub struct Inside<'a>(pub &'a [Step]);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.0 {
            if let Step::Member(_, name) = step {
                write!(f, "!{}", String::from_utf8_lossy(name))?;
            }
        }
        Ok(())
    }
}

/// Something that was found in one file.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The tag of the root that it was found below.
    pub root: usize,
    /// The file, and the others that are links to it.
    pub files: Vec<PathBuf>,
    /// The way to it inside of the file.
    pub chain: Vec<Step>,
    /// What was found; nothing but the file itself where there is none.
    pub what: Option<What>,
    /// In which form.
    pub form: Form,
    /// Bytes from the start of the file, or of what the chain leads to.
    pub offset: u64,
    /// The line, from 1, where it stands in a text that is no member of anything.
    pub line: Option<u64>,
    /// How often it stands there.
    pub count: u64,
    /// Whether it may be chance.
    pub weak: bool,
    /// Whether every user can read it.
    pub readable_by_all: bool,
    /// Whether it is a name, or the target of a link, and not content.
    pub in_name: bool,
}

impl Finding {
    /// In what is no file of a walk: a stream, a blob.
    pub(crate) fn of(dug: Dug, path: &Path) -> Self {
        let Dug { chain, what, form, spot } = dug;
        let count = spot.count;
        Self {
            chain,
            what: Some(what),
            form,
            offset: spot.offset,
            count,
            weak: spot.weak,
            ..Self::file(path)
        }
    }

    /// A whole file.
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            root: usize::MAX,
            files: vec![path.to_owned()],
            chain: Vec::new(),
            what: None,
            form: Form::Raw,
            offset: 0,
            line: None,
            count: 1,
            weak: false,
            readable_by_all: false,
            in_name: false,
        }
    }
}
