//! The link of a store, which names the current generation: looked at before anything is done,
//! and changed by one rename.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::generation::{number, number_of};
use super::{PublishError, Target};
use crate::fsx::directory::{is_folder, is_link, unfinished};
use crate::fsx::{Directory, ReachError, Way, reach};

/// What stands where the link is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing, or a link that leads to no generation of this store.
    Nothing,
    /// A link to a generation.
    Generation(u64),
    /// An empty folder, which may go.
    Empty,
}

/// The place of the link.
pub(super) struct Place {
    /// Its folder; `None` in a dry run where there is none.
    folder: Option<Directory>,
    name: OsString,
    /// What is there.
    pub(super) standing: Standing,
}

impl Place {
    /// Looks at it.
    ///
    /// # Errors
    /// [`PublishError::Place`] where there is something that must not be replaced, and others.
    pub(super) fn look(target: &Target, dry: bool) -> Result<Self, PublishError> {
        let (link, mount_point) = (&target.store.link, &target.store.mount_point);
        let (Some(parent), Some(name)) = (link.parent(), link.file_name()) else {
            return Err(refuse(link, "a folder"));
        };
        let name = name.to_owned();
        let folder = match reach(parent, Way { create: !dry, guarded: target.system }) {
            Err(ReachError::Missing { .. }) if dry => {
                return Ok(Self { folder: None, name, standing: Standing::Nothing });
            }
            other => other.map_err(PublishError::Way)?,
        };
        let standing = stands(&folder, &name, link, mount_point)?;
        Ok(Self { folder: Some(folder), name, standing })
    }

    /// Lets the link lead to a generation.
    ///
    /// # Errors
    /// [`PublishError`]; it leads where it led before then.
    pub(super) fn publish(
        &self,
        link: &Path,
        mount_point: &Path,
        number: u64,
        sync: bool,
    ) -> Result<(), PublishError> {
        let problem = |e| PublishError::io(link, "make the link", e);
        let Some(folder) = &self.folder else { return Ok(()) };
        let new = unfinished(&self.name);
        folder.unlink(&new).map_err(problem)?;
        folder.put_link(&new, &mount_point.join(number.to_string()), None).map_err(problem)?;
        let published = match self.standing {
            Standing::Empty => folder.remove_empty(&self.name),
            Standing::Nothing | Standing::Generation(_) => Ok(()),
        };
        match published.and_then(|()| folder.rename(&new, &self.name)) {
            Ok(()) => {
                // It is published, whatever the disk says.
                let _later = if sync { folder.sync() } else { Ok(()) };
                Ok(())
            }
            Err(e) => {
                let _gone = folder.unlink(&new);
                Err(problem(e))
            }
        }
    }
}

fn stands(
    folder: &Directory,
    name: &OsStr,
    link: &Path,
    mount_point: &Path,
) -> Result<Standing, PublishError> {
    let problem = |e| PublishError::io(link, "look at", e);
    match folder.look(name).map_err(problem)? {
        None => Ok(Standing::Nothing),
        Some(stat) if is_link(&stat) => {
            let target = folder.read_link(name).map_err(problem)?;
            let target = link.parent().unwrap_or(link).join(target);
            if let Some(number) = number_of(&target, mount_point) {
                return Ok(Standing::Generation(number));
            }
            // A generation of a store that lay elsewhere, or nothing: it may go.
            let generation = target.file_name().is_some_and(|name| number(name).is_some());
            if generation || rustix::fs::stat(link).is_err() {
                Ok(Standing::Nothing)
            } else {
                Err(refuse(link, "a link to something else"))
            }
        }
        Some(stat) if is_folder(&stat) => {
            if folder.enter(name).and_then(|inside| inside.list()).map_err(problem)?.is_empty() {
                Ok(Standing::Empty)
            } else {
                Err(refuse(link, "a folder that is not empty"))
            }
        }
        Some(_) => Err(refuse(link, "a file")),
    }
}

fn refuse(link: &Path, what: &'static str) -> PublishError {
    PublishError::Place { link: link.to_owned(), what }
}
