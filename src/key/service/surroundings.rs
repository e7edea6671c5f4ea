//! What the key services of a run find around them: variables, the home, files and programs, and
//! which addresses the user allows. All credentials come in by here; nothing goes out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ALLOWED, TIME};
use crate::fsx::read_plaintext;
use crate::plaintext::Plaintext;

/// The environment of a run.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// All variables that are text.
    pub variables: HashMap<String, String>,
    /// The home of the user.
    pub home: Option<PathBuf>,
    /// The value of `$PATH`.
    pub path: OsString,
    /// Whether credentials go to any address that a file names, as sops has it.
    pub trusting: bool,
}

impl Surroundings {
    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of some variables.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.variable(name))
    }

    /// A file below the home.
    pub fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path))
    }

    /// A file of credentials, of at most 1 MiB.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&self, path: &Path) -> std::io::Result<Plaintext> {
        read_plaintext(path, MOST)
    }

    /// The time for everything about one question to a service.
    pub fn patience(&self) -> Duration {
        let named = self.variable(TIME).and_then(|text| text.parse().ok());
        named.filter(|seconds| (1..=600).contains(seconds)).map_or(PATIENCE, Duration::from_secs)
    }

    /// Whether the user names an address: itself, or all below it.
    pub fn allows(&self, address: &str) -> bool {
        let listed = self.variable(ALLOWED).unwrap_or_default();
        listed.split([',', ' ']).any(|one| {
            let one = one.trim().trim_end_matches('/');
            !one.is_empty() && address.trim_end_matches('/') == one
        })
    }
}

const MOST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
