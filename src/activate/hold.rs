//! One run at a time for a store: the lock is a file beside its folder of generations, which
//! the kernel releases however a run ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{PublishError, Target};
use crate::fsx::{Lock, Way, reach};

/// Stores that are ours until this is dropped.
#[derive(Debug)]
pub struct Hold {
    command: String,
    locks: BTreeMap<PathBuf, Lock>,
}

/// Takes the locks of all stores of a run, and waits for other runs for two minutes at most.
/// Meant to be held from before the first secret is opened until the units were told, so that
/// a slow run does not publish over a later one; a run that asks over a network looks instead whether
/// another came in between. `command` is what others are told meanwhile;
/// `waiting` is told who holds a lock.
///
/// # Errors
/// [`PublishError::Lock`], or where the folder beside cannot be made.
pub fn hold(
    targets: &[&Target],
    command: &str,
    waiting: &mut dyn FnMut(&str),
) -> Result<Hold, PublishError> {
    // In the same order for everybody, so that no two runs wait for each other.
    let mount_points: BTreeMap<&Path, &Target> =
        targets.iter().map(|target| (target.store.mount_point.as_path(), *target)).collect();
    let mut held = Hold { command: command.to_owned(), locks: BTreeMap::new() };
    for (mount_point, target) in mount_points {
        let lock = take(target, command, PATIENCE, waiting)?;
        held.locks.insert(mount_point.to_owned(), lock);
    }
    Ok(held)
}

impl Hold {
    /// The lock of a store that was not among those, if it is needed.
    pub(super) fn also(&self, target: &Target) -> Result<Option<Lock>, PublishError> {
        if self.locks.contains_key(&target.store.mount_point) {
            return Ok(None);
        }
        take(target, &self.command, PATIENCE, &mut |_| ()).map(Some)
    }
}

fn take(
    target: &Target,
    command: &str,
    patience: Duration,
    waiting: &mut dyn FnMut(&str),
) -> Result<Lock, PublishError> {
    let mount_point = &target.store.mount_point;
    let parent = mount_point.parent().unwrap_or(mount_point);
    let mut name = OsString::from(".");
    name.push(mount_point.file_name().unwrap_or_default());
    name.push(".lock");
    let way = Way { create: true, guarded: target.system };
    let folder = reach(parent, way).map_err(PublishError::Way)?;
    Lock::acquire_in((&folder, parent), &name, command, patience, waiting)
        .map_err(PublishError::Lock)
}

const PATIENCE: Duration = Duration::from_mins(2);
