//! Where notes are kept: all beside the generations, in memory, and those about links and copies
//! on a disk also on that disk, if there is a folder for it. What hangs on secrets that went
//! between two boots goes too then; without such a folder it stays.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::links::VOLATILE;
use super::state::{FILE, State};
use super::{Target, Trouble};
use crate::fsx::{Directory, Mounted, Way, reach};

/// The notes of a store.
pub(super) struct Book<'a> {
    store: Option<&'a Mounted>,
    lasting: Option<Lasting<'a>>,
}

struct Lasting<'a> {
    folder: &'a Path,
    name: OsString,
    way: Way,
    /// What is written there.
    there: State,
}

impl<'a> Book<'a> {
    /// Opens it, and gives what the last run noted.
    pub(super) fn open(
        target: &'a Target,
        store: Option<&'a Mounted>,
    ) -> (Self, State, Option<Trouble>) {
        let mut trouble = None;
        let read =
            store.map_or(Ok(State::new()), |store| State::read(&store.folder, FILE.as_ref()));
        let mut before = read.unwrap_or_else(|source| {
            let path = target.store.mount_point.join(FILE);
            trouble = Some(Trouble::Notes { path, source });
            State::new()
        });
        let lasting = Self::lasting(target);
        if let Some(lasting) = &lasting {
            before.join(&lasting.there);
        }
        (Self { store, lasting }, before, trouble)
    }

    /// What is noted on the disk about a store.
    fn lasting(target: &'a Target) -> Option<Lasting<'a>> {
        let folder = target.lasting.as_deref()?;
        let name = name(&target.store.mount_point)?;
        let way = Way { create: false, guarded: target.system };
        // What cannot be read is written anew.
        let read = reach(folder, way).map_err(|_| io::ErrorKind::NotFound.into());
        let read = read.and_then(|folder| State::read(&folder, &name));
        Some(Lasting { folder, name, way, there: read.unwrap_or_else(|_| State::new()) })
    }

    /// Whether nothing was noted on the disk.
    pub(super) fn is_new(target: &'a Target) -> bool {
        Self::lasting(target).is_none_or(|lasting| lasting.there == State::new())
    }

    /// Notes something.
    ///
    /// # Errors
    /// What the system says about the notes in the store. A disk that cannot be written to ends
    /// nothing.
    pub(super) fn write(&mut self, state: &State) -> io::Result<()> {
        if let Some(store) = self.store {
            state.write(&store.folder, FILE.as_ref(), !store.memory)?;
        }
        if let Some(lasting) = &mut self.lasting {
            let part = on_disk(state);
            if part != lasting.there && lasting.write(&part).is_ok() {
                lasting.there = part;
            }
        }
        Ok(())
    }
}

impl Lasting<'_> {
    fn write(&self, part: &State) -> io::Result<()> {
        let way = Way { create: true, ..self.way };
        let folder: Directory = reach(self.folder, way).map_err(|_| io::ErrorKind::NotFound)?;
        part.write(&folder, &self.name, true)
    }
}

/// What outlives the memory.
fn on_disk(state: &State) -> State {
    let lasts = |path: &PathBuf| !VOLATILE.iter().any(|folder| path.starts_with(folder));
    let mut part = State::new();
    part.links.extend(state.links.iter().filter(|(path, _)| lasts(path)).map(owned));
    part.copies.extend(state.copies.iter().filter(|(path, _)| lasts(path)).map(owned));
    part
}

fn owned<A: Clone, B: Clone>((a, b): (&A, &B)) -> (A, B) {
    (a.clone(), b.clone())
}

/// The file of a store; `None` where its path is too long for a name.
fn name(mount_point: &Path) -> Option<OsString> {
    let mut name = Vec::new();
    for byte in mount_point.as_os_str().as_bytes() {
        match byte {
            b'/' => name.extend(b"%2F"),
            b'%' => name.extend(b"%25"),
            _ => name.push(*byte),
        }
    }
    name.extend(b".json");
    (name.len() <= 200).then(|| OsString::from_vec(name))
}
