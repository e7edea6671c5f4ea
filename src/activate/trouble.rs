//! What can go wrong when a generation is made: with one secret, or with all of them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Name;
use crate::fsx::{LockError, MountError, ReachError};
use crate::process::capture::ProcessError;

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
    /// Where a link or a copy is to be there is something of somebody else.
    Foreign {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The path of a link or a copy has parts that are no names.
    NotPlain {
        /// The path.
        path: PathBuf,
    },
    /// The way to a link or a copy.
    Way(ReachError),
    /// A link or a copy is to be inside of the store, whose content is made of names alone.
    InStore {
        /// The path.
        path: PathBuf,
    },
    /// Two secrets want the same path.
    Taken {
        /// The path.
        path: PathBuf,
        /// Who has it.
        by: Name,
    },
    /// A copy that is no longer wanted was changed by somebody since it was made.
    Altered {
        /// The copy.
        path: PathBuf,
    },
    /// The name is also that of a folder of other secrets, or of another secret.
    Clash,
    /// Owner and group cannot be given.
    Owner {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// What an earlier run noted about its links and copies cannot be read.
    Notes {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The name of a unit cannot be one.
    UnitName {
        /// The name.
        unit: String,
    },
    /// `systemctl` cannot be run.
    Systemctl(ProcessError),
    /// `systemctl` did not do all that it was asked for.
    Units {
        /// What it was asked to do.
        doing: &'static str,
        /// What it said.
        said: String,
    },
    /// There is no systemd that could be asked.
    NoSystemd {
        /// The units that use changed secrets.
        units: Vec<String>,
    },
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
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Foreign { path, .. } => {
                format!("look what it is, then move it away: `mv -- {0} {0}.old`", quoted(path))
            }
            Self::Way(error) => return error.remedy(),
            Self::NotPlain { .. } => "name a path from `/` on, without `..`".to_owned(),
            Self::InStore { .. } => {
                "choose another `name`, or a path outside of the store".to_owned()
            }
            Self::Taken { .. } => "give each secret a path of its own".to_owned(),
            Self::Altered { path } => {
                format!("if it is of no use any more, `rm -- {}`", quoted(path))
            }
            Self::Clash => "choose another `name` for one of them".to_owned(),
            Self::Owner { .. } => "name a user and a group of this machine".to_owned(),
            Self::Notes { .. } => {
                "look for links and copies of secrets that are no longer wanted".to_owned()
            }
            Self::UnitName { .. } => "name units in full, as in `nginx.service`".to_owned(),
            Self::Units { .. } => {
                "compare the names in `restartUnits` and `reloadUnits` with `systemctl list-units`"
                    .to_owned()
            }
            Self::NoSystemd { units } => format!("restart them: {}", units.join(", ")),
            Self::Systemctl(_) | Self::Io { .. } => return None,
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { path, what } => {
                write!(f, "`{}` is {what} that is not ours, and was left alone", path.display())
            }
            Self::Way(error) => error.fmt(f),
            Self::NotPlain { path } => {
                write!(f, "`{}` cannot be the place of a link or a copy", path.display())
            }
            Self::InStore { path } => write!(f, "`{}` is inside of the store", path.display()),
            Self::Taken { path, by } => {
                write!(f, "`{}` is the place of secret `{by}` already", path.display())
            }
            Self::Altered { path } => write!(
                f,
                "the copy `{}` is no longer wanted, but was changed by somebody and was left alone",
                path.display()
            ),
            Self::Clash => f.write_str("its name clashes with that of another secret"),
            Self::Owner { uid, gid, source } => {
                write!(f, "cannot give it to user {uid} and group {gid}: {source}")
            }
            Self::Notes { path, source } => write!(
                f,
                "cannot read `{}`, which tells links and copies of earlier runs: {source}",
                path.display()
            ),
            Self::UnitName { unit } => {
                write!(f, "`{}` cannot be the name of a unit", unit.escape_debug())
            }
            Self::Systemctl(error) => write!(f, "cannot ask systemd: {error}"),
            Self::Units { doing, said } => write!(f, "systemd did not {doing} all units: {said}"),
            Self::NoSystemd { units } => {
                write!(f, "there is no systemd to tell about {} units", units.len())
            }
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Way(error) => Some(error),
            Self::Systemctl(error) => Some(error),
            Self::Owner { source, .. } | Self::Notes { source, .. } | Self::Io { source, .. } => {
                Some(source)
            }
            Self::Foreign { .. }
            | Self::NotPlain { .. }
            | Self::InStore { .. }
            | Self::Taken { .. }
            | Self::Altered { .. }
            | Self::Clash
            | Self::UnitName { .. }
            | Self::Units { .. }
            | Self::NoSystemd { .. } => None,
        }
    }
}

/// Why no new generation could be made. The one that was there is as it was.
#[derive(Debug)]
pub enum PublishError {
    /// There is no place for generations.
    Mount(MountError),
    /// Another run is busy.
    Lock(LockError),
    /// The way to the link of the store.
    Way(ReachError),
    /// Where the link of the store is to be there is something of somebody else.
    Place {
        /// The link.
        link: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// There is no room for another generation.
    Full {
        /// The folder of generations.
        mount_point: PathBuf,
    },
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

impl PublishError {
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full { mount_point: path.to_owned() }
        } else {
            Self::Io { path: path.to_owned(), doing, source }
        }
    }

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Mount(error) => return error.remedy(),
            Self::Lock(error) => return error.remedy(),
            Self::Way(error) => return error.remedy(),
            Self::Place { link, .. } => format!(
                "if nothing needs it, move it away: `mv -- {0} {0}.old`; or name another `path`",
                quoted(link)
            ),
            Self::Full { .. } => {
                "use `filesystem = \"ramfs\"`, which has no limit, or keep fewer generations"
                    .to_owned()
            }
            Self::Io { .. } => return None,
        })
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount(error) => error.fmt(f),
            Self::Lock(error) => error.fmt(f),
            Self::Way(error) => error.fmt(f),
            Self::Place { link, what } => {
                write!(f, "`{}` is {what} and no link of ours", link.display())
            }
            Self::Full { mount_point } => {
                write!(f, "no space is left in `{}`", mount_point.display())
            }
            Self::Io { path, doing, source } => {
                write!(f, "cannot {doing} `{}`: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Mount(error) => Some(error),
            Self::Lock(error) => Some(error),
            Self::Way(error) => Some(error),
            Self::Io { source, .. } => Some(source),
            Self::Place { .. } | Self::Full { .. } => None,
        }
    }
}

fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}
