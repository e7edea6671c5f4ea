//! What hangs on a store elsewhere in the file system: links to its secrets, and copies of them.
//! Put in place after the new generation is, removed when it is no longer wanted. A link is never put over
//! anything that is somebody else's. A copy is what the configuration wants to be that file, so it is put over
//! a regular file whoever made it, and over nothing else.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::state::{Mark, State};
use super::{StoreSpec, Trouble};
use crate::fsx::directory::{has, holds, is_file, is_link, unfinished};
use crate::fsx::{Attributes, Directory, ReachError, Way, reach, system};
use crate::plaintext::Plaintext;

/// The places outside of one store.
pub(super) struct Outside<'a> {
    pub(super) store: &'a StoreSpec,
    /// The device of the store, where it has one of its own.
    pub(super) device: Option<u64>,
    /// What the last run noted.
    pub(super) before: &'a State,
    /// Whether nothing is to be changed.
    pub(super) dry: bool,
}

impl Outside<'_> {
    /// Whether a path can be one outside of the store.
    ///
    /// # Errors
    /// [`Trouble`] where it cannot.
    pub(super) fn check(&self, path: &Path) -> Result<(), Trouble> {
        let plain = path.is_absolute()
            && path
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !plain || path.file_name().is_none() {
            return Err(Trouble::NotPlain { path: path.to_owned() });
        }
        let inside = [&self.store.link, &self.store.mount_point]
            .iter()
            .any(|folder| path.starts_with(folder) || folder.starts_with(path));
        if inside { Err(Trouble::InStore { path: path.to_owned() }) } else { Ok(()) }
    }

    /// Puts a link to `target` at a path.
    ///
    /// # Errors
    /// [`Trouble`]; what was there still is.
    pub(super) fn link(
        &self,
        path: &Path,
        target: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Trouble> {
        let Some((folder, name)) = self.way(path)? else { return Ok(()) };
        let problem = |doing| move |e| Trouble::io(path, doing, e);
        let stat = folder.look(name).map_err(problem("look at"))?;
        match &stat {
            None => {}
            Some(stat) if is_link(stat) => {
                let there = folder.read_link(name).map_err(problem("read"))?;
                if there == target {
                    let owned = owner.is_none_or(|owner| owner == (stat.st_uid, stat.st_gid));
                    if !owned && !self.dry {
                        let given = folder.own_link(name, target, owner);
                        given.map_err(problem("set the owner of"))?;
                    }
                    return Ok(());
                }
                self.may_replace_link(path, &there)?;
            }
            Some(stat) if self.is_own_copy(path, stat) => {}
            Some(stat) => return Err(foreign(path, stat)),
        }
        if self.dry {
            return Ok(());
        }
        let new = unfinished(name);
        folder.unlink(&new).map_err(problem("make"))?;
        let made = folder.put_link(&new, target, owner);
        let made = made.and_then(|()| give_name(&folder, &new, name, stat.is_none()));
        made.map_err(|e| {
            let _gone = folder.unlink(&new);
            problem("make")(e)
        })
    }

    /// Writes a file that is to be at a path, unless it is there just so. Returns by what it is
    /// known again, and what is to be committed.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is left over then.
    pub(super) fn copy(
        &self,
        path: &Path,
        content: &Plaintext,
        attributes: Attributes,
    ) -> Result<(Option<Mark>, Option<StagedCopy>), Trouble> {
        let Some((folder, name)) = self.way(path)? else { return Ok((None, None)) };
        let problem = |doing| move |e| Trouble::io(path, doing, e);
        let stat = folder.look(name).map_err(problem("look at"))?;
        match &stat {
            None => {}
            Some(stat) if is_link(stat) => {
                let there = folder.read_link(name).map_err(problem("read"))?;
                self.may_replace_link(path, &there)?;
            }
            Some(stat) if is_file(stat) => {
                let same = has(stat, attributes)
                    && stat.st_nlink == 1
                    && folder
                        .open(name)
                        .and_then(|file| {
                            file.map_or(Ok(false), |mut file| holds(&mut file, content))
                        })
                        .map_err(problem("read"))?;
                if same {
                    return Ok((Some(Mark::of(stat)), None));
                }
            }
            Some(stat) => return Err(foreign(path, stat)),
        }
        if self.dry {
            return Ok((None, None));
        }
        let new = unfinished(name);
        folder.unlink(&new).map_err(problem("make"))?;
        let sync = !folder.is_memory().map_err(problem("look at the folder of"))?;
        let put = folder.put(&new, content, attributes, sync);
        let made = put.map_err(|e| {
            let _half = folder.unlink(&new);
            problem("write")(e)
        })?;
        let (path, name) = (path.to_owned(), name.to_owned());
        let staged =
            StagedCopy { folder, path, name, new, fresh: stat.is_none(), sync, named: false };
        Ok((Some(Mark::of(&made)), Some(staged)))
    }

    /// Removes a link, if it is still ours.
    ///
    /// # Errors
    /// [`Trouble`]; it is there then.
    pub(super) fn remove_link(&self, path: &Path, target: &Path) -> Result<(), Trouble> {
        let Some((folder, name)) = existing(path)? else { return Ok(()) };
        let problem = |e| Trouble::io(path, "remove", e);
        let stat = folder.look(name).map_err(problem)?;
        let ours = match stat {
            Some(stat) if is_link(&stat) => {
                self.is_ours(&folder.read_link(name).map_err(problem)?, target)
            }
            Some(_) | None => false,
        };
        if !self.dry {
            folder.unlink(&unfinished(name)).map_err(problem)?;
            if ours {
                folder.unlink(name).map_err(problem)?;
            }
        }
        Ok(())
    }

    /// Removes a copy, if it is as we made it.
    ///
    /// # Errors
    /// [`Trouble`]; it is there then.
    pub(super) fn remove_copy(&self, path: &Path, marks: &[Mark]) -> Result<(), Trouble> {
        let Some((folder, name)) = existing(path)? else { return Ok(()) };
        let problem = |e| Trouble::io(path, "remove", e);
        if !self.dry {
            folder.unlink(&unfinished(name)).map_err(problem)?;
        }
        match folder.look(name).map_err(problem)? {
            // One that was only about to be made is not ours.
            Some(stat) if is_file(&stat) && !marks.is_empty() => {
                if !marks.contains(&Mark::of(&stat)) {
                    return Err(Trouble::Altered { path: path.to_owned() });
                }
                if self.dry { Ok(()) } else { folder.unlink(name).map_err(problem) }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The folder of a path and its name in it; `None` where it would be made first.
    fn way<'p>(&self, path: &'p Path) -> Result<Option<(Directory, &'p OsStr)>, Trouble> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Trouble::NotPlain { path: path.to_owned() });
        };
        let folder = match reach(parent, Way { create: !self.dry, guarded: false }) {
            Err(ReachError::Missing { .. }) if self.dry => return Ok(None),
            other => other.map_err(Trouble::Way)?,
        };
        let stat = folder.stat().map_err(|e| Trouble::io(parent, "look at", e))?;
        // The way may lead into the store by other names than its own.
        if self.device == Some(system::device(&stat)) {
            return Err(Trouble::InStore { path: path.to_owned() });
        }
        Ok(Some((folder, name)))
    }

    /// A link holds no data. One that leads to something that vanishes with a reboot anyway, or
    /// to nothing, or that is ours gives way; one that somebody made to files of theirs does not.
    fn may_replace_link(&self, path: &Path, there: &Path) -> Result<(), Trouble> {
        let noted = self.before.links.get(path).map_or(path, PathBuf::as_path);
        let ours = self.is_ours(there, noted);
        let fleeting = VOLATILE.iter().any(|folder| there.starts_with(folder));
        if ours || fleeting || rustix::fs::stat(path).is_err() {
            return Ok(());
        }
        Err(Trouble::Foreign { path: path.to_owned(), what: "a link to something else" })
    }

    /// Whether a link that leads there is one that we made.
    fn is_ours(&self, there: &Path, noted: &Path) -> bool {
        there == noted
            || there.starts_with(&self.store.link)
            || there.starts_with(&self.store.mount_point)
    }

    fn is_own_copy(&self, path: &Path, stat: &Stat) -> bool {
        let marks = self.before.copies.get(path);
        is_file(stat) && marks.is_some_and(|marks| marks.contains(&Mark::of(stat)))
    }
}

/// A copy that is written but has not its name yet.
pub(super) struct StagedCopy {
    folder: Directory,
    path: PathBuf,
    name: OsString,
    new: OsString,
    /// Whether nothing had the name.
    fresh: bool,
    sync: bool,
    named: bool,
}

impl StagedCopy {
    /// Where it is to be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// [`Trouble`]; what was there still is.
    pub(super) fn commit(mut self) -> Result<(), Trouble> {
        let named = give_name(&self.folder, &self.new, &self.name, self.fresh);
        named.map_err(|e| Trouble::io(&self.path, "write", e))?;
        self.named = true;
        // It is in place, whatever the disk says.
        let _later = if self.sync { self.folder.sync() } else { Ok(()) };
        Ok(())
    }
}

impl Drop for StagedCopy {
    fn drop(&mut self) {
        if !self.named {
            let _next_run_does = self.folder.unlink(&self.new);
        }
    }
}

/// Where nothing was, nothing that came meanwhile is replaced either.
fn give_name(folder: &Directory, from: &OsStr, to: &OsStr, new: bool) -> std::io::Result<()> {
    if new { folder.rename_new(from, to) } else { folder.rename(from, to) }
}

fn existing(path: &Path) -> Result<Option<(Directory, &OsStr)>, Trouble> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    match reach(parent, Way { create: false, guarded: false }) {
        Ok(folder) => Ok(Some((folder, name))),
        // A folder that is gone or is no folder any more holds nothing of ours.
        Err(ReachError::Missing { .. } | ReachError::NotAFolder { .. }) => Ok(None),
        Err(e) => Err(Trouble::Way(e)),
    }
}

fn foreign(path: &Path, stat: &Stat) -> Trouble {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something",
    };
    Trouble::Foreign { path: path.to_owned(), what }
}

/// Folders in memory, where other ways of keeping secrets put theirs.
pub(super) const VOLATILE: [&str; 3] = ["/run", "/var/run", "/dev/shm"];
