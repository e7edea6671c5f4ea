//! Names of secrets inside of a store: relative paths that cannot lead out of it.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The name of a secret: a relative path of plain parts (`db/password`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] where a part is empty, `.`, `..` or too long, or the name holds control
    /// characters.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let error = |why| NameError { name: name.to_owned(), why };
        if name.starts_with('/') {
            return Err(error(Why::Absolute));
        }
        if name.chars().any(char::is_control) {
            return Err(error(Why::Control));
        }
        let mut depth = 0_usize;
        for part in name.split('/') {
            depth = depth.saturating_add(1);
            match part {
                "" => return Err(error(Why::Empty)),
                "." | ".." => return Err(error(Why::Dots)),
                _ if part.len() > LONGEST_PART => return Err(error(Why::Long)),
                _ => {}
            }
        }
        if depth > DEEPEST {
            return Err(error(Why::Deep));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a relative path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The folders that it lies in, outermost first, and the last part.
    pub(crate) fn parts(&self) -> (Vec<&OsStr>, &OsStr) {
        let mut parts: Vec<&OsStr> = self.0.split('/').map(OsStr::new).collect();
        let last = parts.pop().unwrap_or_default();
        (parts, last)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// The name.
    pub name: String,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Absolute,
    Control,
    Empty,
    Dots,
    Long,
    Deep,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Absolute => "it begins with `/`",
            Why::Control => "it holds a control character",
            Why::Empty => "a part of it is empty",
            Why::Dots => "`.` and `..` are no names",
            Why::Long => "a part of it is longer than 255 bytes",
            Why::Deep => "it has more than 32 parts",
        };
        write!(f, "`{}` cannot be the name of a secret: {why}", self.name.escape_debug())
    }
}

impl std::error::Error for NameError {}

/// What Linux takes.
const LONGEST_PART: usize = 255;
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for good in ["a", "db/password", "a b", "-rf", "..x", "é", &"x".repeat(255)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        let deep = "a/".repeat(32) + "a";
        for bad in [
            "",
            "/etc/x",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\nb",
            "a\0b",
            &deep,
            &"x".repeat(256),
        ] {
            let error = Name::new(bad).unwrap_err().to_string();
            assert!(error.contains("cannot be the name of a secret"), "{error}");
        }
    }
}
