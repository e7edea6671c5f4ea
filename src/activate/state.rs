//! What a run notes for the next: which links and copies outside of the store are ours, and
//! which units were not told yet. Holds paths and names, never content.
//!
//! The file lies beside the generations, where only root can write. What is about to be done is
//! noted before it is done, so that nothing is ours without a note.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use super::Published;
use crate::fsx::directory::unfinished;
use crate::fsx::{Attributes, Directory};
use crate::plaintext::Plaintext;

/// Notes of the last run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// Links outside of the store, and where they lead.
    pub(super) links: BTreeMap<PathBuf, PathBuf>,
    /// Copies outside of the store; without a mark where one was about to be made, and with two
    /// where one was about to be replaced.
    pub(super) copies: BTreeMap<PathBuf, Vec<Mark>>,
    /// Units to be restarted of which systemd was not told yet.
    pub(super) restart: BTreeSet<String>,
    /// The same for reloads.
    pub(super) reload: BTreeSet<String>,
}

/// By what a file is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    inode: u64,
    size: i64,
    seconds: i64,
    nanoseconds: u64,
}

impl Mark {
    #[expect(clippy::unnecessary_cast, reason = "the types differ among architectures")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            seconds: stat.st_mtime as i64,
            nanoseconds: stat.st_mtime_nsec as u64,
        }
    }
}

impl State {
    /// Reads the notes; there are none at first.
    ///
    /// # Errors
    /// `InvalidData` where it is none of ours, or what the system says.
    pub(super) fn read(folder: &Directory, name: &OsStr) -> io::Result<Self> {
        let Some(mut file) = folder.open(name)? else { return Ok(Self::new()) };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(&mut file, LIMIT), &mut bytes)?;
        let state: Self = serde_json::from_slice(&bytes)?;
        if state.version == VERSION { Ok(state) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Nothing.
    pub(super) fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    /// Units that are to be told of what is published.
    pub(super) fn pending(&mut self, published: &Published) {
        self.restart.clone_from(&published.restart);
        self.reload.clone_from(&published.reload);
    }

    /// Adds links and copies that are noted elsewhere.
    pub(super) fn join(&mut self, other: &Self) {
        for (path, leads) in &other.links {
            self.links.entry(path.clone()).or_insert_with(|| leads.clone());
        }
        for (path, marks) in &other.copies {
            self.copies.entry(path.clone()).or_default().extend(marks);
        }
    }

    /// Replaces the notes.
    ///
    /// # Errors
    /// What the system says; the old notes are there then.
    pub(super) fn write(&self, folder: &Directory, name: &OsStr, sync: bool) -> io::Result<()> {
        let text = Plaintext::new(serde_json::to_vec(self)?);
        let new = unfinished(name);
        folder.unlink(&new)?;
        let attributes = Attributes { owner: None, mode: 0o600 };
        let written = folder.put(&new, &text, attributes, sync);
        if let Err(e) = written.and_then(|_| folder.rename(&new, name)) {
            let _gone = folder.unlink(&new);
            return Err(e);
        }
        if sync {
            // A note that comes back after a power cut is better than a link without one.
            folder.sync()?;
        }
        Ok(())
    }
}

/// The file of the notes in the folder of generations.
pub(super) const FILE: &str = ".secretctl-state.json";
const VERSION: u32 = 1;
const LIMIT: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsx::{Way, reach};

    #[test]
    fn notes_come_back_and_broken_ones_are_told() {
        let temp = tempfile::tempdir().unwrap();
        let at = std::fs::canonicalize(temp.path()).unwrap();
        let way = Way { create: false, guarded: false };
        let store = reach(&at, way).unwrap().again().unwrap();
        let name = OsStr::new(FILE);
        assert_eq!(State::read(&store, name).unwrap(), State::new());
        let mut state = State::new();
        state.links.insert("/etc/a\n".into(), "/run/secrets/a".into());
        state.copies.insert("/etc/b".into(), vec![Mark::of(&store.stat().unwrap())]);
        state.copies.insert("/etc/c".into(), vec![]);
        state.restart.insert("a.service".to_owned());
        state.write(&store, name, true).unwrap();
        assert_eq!(State::read(&store, name).unwrap(), state);
        assert_eq!(store.list().unwrap(), [FILE]);
        for broken in ["", "{}", r#"{"version":2,"links":{},"copies":{},"restart":[],"reload":[]}"#]
        {
            std::fs::write(at.join(FILE), broken).unwrap();
            assert!(State::read(&store, name).is_err(), "{broken}");
        }
    }
}
