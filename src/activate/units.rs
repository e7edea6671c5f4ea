//! Restarts and reloads of units whose secrets changed, asked for after the new generation is
//! in place. What systemd answers never undoes an installation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Problem, Published, Target};

/// How units are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By `systemctl`, at once.
    Systemctl {
        /// Units of the user who runs this.
        user: bool,
    },
    /// By lists that `switch-to-configuration` reads when the activation scripts are done.
    Lists {
        /// The folder of the lists, `/run/nixos`.
        folder: PathBuf,
        /// Lists of what would be done.
        dry: bool,
    },
    /// Not at all: there is no systemd.
    Nobody,
}

impl How {
    /// Decides by the environment: `variable` looks one up, `exists` whether a path is there.
    pub fn decide(
        _system: bool,
        _variable: &dyn Fn(&str) -> Option<OsString>,
        _exists: &dyn Fn(&Path) -> bool,
    ) -> Self {
        Self::Nobody
    }
}

/// Asks for the restarts and reloads of what was published, all stores in one go, along with
/// those that an earlier run was killed before.
pub fn request(_how: &How, _done: &[(&Target, &Published)]) -> Vec<Problem> {
    Vec::new()
}
