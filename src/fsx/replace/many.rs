//! Many files at once: none is put in place before all of them can be.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{ReplaceError, Staged};

/// Puts many files in place: all are parked before the first is renamed, and each folder is
/// synced once. Gives back the targets in their order. Of two contents for one file, the later stays.
///
/// # Errors
/// The target that failed and its error, with how many were replaced all the same. Where these are
/// none, nothing has changed.
pub fn commit_all(mut staged: Vec<Staged>) -> Result<Vec<PathBuf>, CommitError> {
    let error = |one: &Staged, source| (one.shown.clone(), source);
    let mut failed = None;
    for one in &mut staged {
        if let Err(source) = one.park() {
            return Err(CommitError { path: one.shown.clone(), source, done: 0 });
        }
    }
    let same_folder =
        |a: &Staged, b: &Staged| (&a.folder_path, a.folder_is) == (&b.folder_path, b.folder_is);
    for group in staged.chunk_by_mut(same_folder) {
        let Some(first) = group.first() else { continue };
        let each_once = {
            let mut names = HashSet::new();
            group.iter().all(|one| names.insert(one.name.as_os_str()))
        };
        let renamed = match first.folder() {
            Ok(folder) => {
                let rename = |one: &mut Staged| {
                    let renamed = one.rename(&folder);
                    renamed.map_err(|source| error(one, source))
                };
                if each_once {
                    group.par_iter_mut().try_for_each(rename)
                } else {
                    group.iter_mut().try_for_each(rename)
                }
            }
            Err(source) => Err(error(first, source)),
        };
        if let Err(error) = renamed {
            failed = Some(error);
            break;
        }
    }
    let mut synced: Vec<&Path> = Vec::new();
    for one in staged.iter().filter(|one| one.committed) {
        if !synced.contains(&one.folder_path.as_path()) {
            if let Err(source) = one.sync_folder() {
                failed = failed.or(Some(error(one, source)));
            }
            synced.push(&one.folder_path);
        }
    }
    let done = staged.iter().filter(|one| one.committed).map(|one| one.shown.clone());
    let done: Vec<PathBuf> = done.collect();
    match failed {
        None => Ok(done),
        Some((path, source)) => {
            let done = done.iter().filter(|one| **one != path).count();
            Err(CommitError { path, source, done })
        }
    }
}

/// Why not all of many files were put in place.
#[derive(Debug)]
pub struct CommitError {
    /// The target that failed.
    pub path: PathBuf,
    /// The reason.
    pub source: ReplaceError,
    /// How many others are in place.
    pub done: usize,
}
