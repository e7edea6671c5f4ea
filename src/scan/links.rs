//! Files with several names: looked at once, reported under each name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::finding::Finding;

/// Device and inode.
pub(crate) type Id = (u64, u64);

/// Whether a name is the first of its file that was met.
pub(crate) enum First {
    /// It is: the file is to be looked at, and [`Links::done`] told what came of it.
    Yes,
    /// It is not.
    No {
        /// Something was found, or is being looked for still.
        found: bool,
        /// It could not all be looked at.
        incomplete: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Busy,
    Clean,
    Found,
    Incomplete,
}

/// The files with several names that were met so far.
#[derive(Default)]
pub(crate) struct Links {
    states: Mutex<HashMap<Id, State>>,
    /// The first name of a file and the others, where something is or may be in it.
    names: Mutex<HashMap<Id, Vec<PathBuf>>>,
}

impl Links {
    /// Meets a name. While another thread looks at the file, it counts as one where something was
    /// found: what is remembered of a store path must never be better than the truth.
    pub(crate) fn enter(&self, id: Id, path: &Path) -> First {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.get(&id).copied();
        if state == Some(State::Clean) {
            return First::No { found: false, incomplete: false };
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.entry(id).or_default().push(path.to_owned());
        match state {
            None => {
                states.insert(id, State::Busy);
                First::Yes
            }
            Some(state) => First::No {
                found: matches!(state, State::Found | State::Busy),
                incomplete: matches!(state, State::Incomplete | State::Busy),
            },
        }
    }

    /// A file was looked at.
    pub(crate) fn done(&self, id: Id, found: bool, incomplete: bool) {
        let state = match (found, incomplete) {
            (_, true) => State::Incomplete,
            (true, false) => State::Found,
            (false, false) => State::Clean,
        };
        self.states.lock().unwrap_or_else(PoisonError::into_inner).insert(id, state);
        if state == State::Clean {
            self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }

    /// Gives each finding all names of its file.
    pub(crate) fn spread(self, findings: &mut [Finding]) {
        let names = self.names.into_inner().unwrap_or_else(PoisonError::into_inner);
        let groups: HashMap<PathBuf, Vec<PathBuf>> = names
            .into_values()
            .filter_map(|mut group| {
                let first = group.first()?.clone();
                group.sort_unstable();
                Some((first, group))
            })
            .collect();
        for finding in findings.iter_mut().filter(|finding| !finding.in_name) {
            if let Some(group) = finding.files.first().and_then(|first| groups.get(first)) {
                finding.files.clone_from(group);
            }
        }
    }
}
