//! Users of the system, as `getent` and `id` tell of them, so that every source of users counts
//! that the system is set up with.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::capture::{ProcessError, capture};

/// A user whom a child is to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The numbers of all groups.
    pub groups: Vec<u32>,
    /// The home.
    pub home: PathBuf,
}

impl Account {
    /// Looks a user up by name or number.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn find(name: &str) -> Result<Self, AccountError> {
        let unknown = || AccountError::Unknown { name: name.to_owned() };
        if name.is_empty() || name.starts_with('-') {
            return Err(unknown());
        }
        let line = ask("getent", &["passwd", name])?.ok_or_else(unknown)?;
        let (name, uid, gid, home) = entry(&line).ok_or_else(unknown)?;
        let groups = ask("id", &["-G", &name])?.ok_or_else(unknown)?;
        let groups = groups.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        Ok(Self { groups: groups.map_err(|_| unknown())?, name, uid, gid, home })
    }
}

/// The first line of `getent passwd`: name, password, uid, gid, comment, home, shell.
fn entry(line: &str) -> Option<(String, u32, u32, PathBuf)> {
    let mut fields = line.lines().next()?.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = PathBuf::from(fields.nth(1)?);
    Some((name, uid, gid, home))
}

/// What a program prints; `None` where it knows nothing.
fn ask(program: &str, arguments: &[&str]) -> Result<Option<String>, AccountError> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let output = capture(Path::new("/"), OsStr::new(program), &arguments, PATIENCE, LIMIT)
        .map_err(AccountError::Process)?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success());
    Ok(text)
}

/// Why there is no such user.
#[derive(Debug)]
pub enum AccountError {
    /// The system knows none of that name.
    Unknown {
        /// The name.
        name: String,
    },
    /// It cannot be asked.
    Process(ProcessError),
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(f, "there is no user `{name}`"),
            Self::Process(error) => write!(f, "cannot look up the user: {error}"),
        }
    }
}

impl std::error::Error for AccountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unknown { .. } => None,
            Self::Process(error) => Some(error),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const LIMIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_there_and_others_are_not() {
        let root = Account::find("root").unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_str()), (0, 0, "root"));
        assert!(root.groups.contains(&0) && root.home.is_absolute());
        for name in ["", "-h", "nobody of this name"] {
            let error = Account::find(name).unwrap_err();
            assert!(matches!(error, AccountError::Unknown { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn lines_are_read() {
        let read = entry("web:x:100:99:a,b:/var/web:/bin/sh\n");
        assert_eq!(read, Some(("web".to_owned(), 100, 99, PathBuf::from("/var/web"))));
        assert_eq!(entry("web:x:100"), None);
    }
}
