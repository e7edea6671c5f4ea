//! Generations: numbered folders beside each other, of which the link of the store names one.
//! A new one is made under another name that nobody else can enter, and gets its number when it
//! is complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::Stat;

use super::Name;
use crate::fsx::directory::{is_file, is_folder};
use crate::fsx::{Attributes, Directory};
use crate::plaintext::Plaintext;

/// The number that a folder of that name has. Other names are none of our business.
pub(super) fn number(name: &OsStr) -> Option<u64> {
    let text = name.to_str()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && !text.starts_with('0') && text.len() <= MOST_DIGITS;
    plain.then(|| text.parse().ok()).flatten()
}

/// The numbers of all generations of a store, in order.
///
/// # Errors
/// What the system says.
pub(super) fn numbers(store: &Directory) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = store.list()?.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a secret of a generation; `None` where there is none.
///
/// # Errors
/// What the system says, and where it is no regular file.
pub(super) fn find(generation: &Directory, name: &Name) -> io::Result<Option<(File, Stat)>> {
    let (folders, last) = name.parts();
    let mut inner = None;
    for folder in folders {
        let here = inner.as_ref().unwrap_or(generation);
        match here.look(folder)? {
            Some(stat) if is_folder(&stat) => inner = Some(here.enter(folder)?),
            Some(_) | None => return Ok(None),
        }
    }
    let here = inner.as_ref().unwrap_or(generation);
    if here.look(last)?.is_some_and(|stat| is_folder(&stat)) {
        return Ok(None);
    }
    let Some(file) = here.open(last)? else { return Ok(None) };
    let stat = rustix::fs::fstat(&file)?;
    Ok(Some((file, stat)))
}

/// The names of all secrets in a generation.
///
/// # Errors
/// What the system says.
pub(super) fn names(generation: &Directory) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    collect(generation, "", &mut names, DEEPEST)?;
    Ok(names)
}

fn collect(folder: &Directory, before: &str, names: &mut Vec<Name>, left: u32) -> io::Result<()> {
    let Some(left) = left.checked_sub(1) else { return Ok(()) };
    for entry in folder.list()? {
        // What has no such name was not put there by us.
        let Some(part) = entry.to_str() else { continue };
        let Ok(name) = Name::new(&format!("{before}{part}")) else { continue };
        match folder.look(&entry)? {
            Some(stat) if is_file(&stat) => names.push(name),
            Some(stat) if is_folder(&stat) => {
                collect(&folder.enter(&entry)?, &format!("{name}/"), names, left)?;
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// A generation in the making. Dropped without [`Fresh::finish`], it is removed.
pub(super) struct Fresh<'a> {
    store: &'a Directory,
    folder: Directory,
    /// Of the generation and of folders in it.
    attributes: Attributes,
    sync: bool,
    finished: bool,
}

impl<'a> Fresh<'a> {
    /// Begins one, after what a killed run left has been removed.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(
        store: &'a Directory,
        attributes: Attributes,
        sync: bool,
    ) -> io::Result<Self> {
        let name = OsStr::new(UNFINISHED);
        store.remove(name)?;
        let folder = store.make(name, Attributes { owner: None, mode: 0o700 })?;
        Ok(Self { store, folder, attributes, sync, finished: false })
    }

    /// Writes a secret.
    ///
    /// # Errors
    /// What the system says; nothing of that name is there then.
    pub(super) fn lay(
        &self,
        name: &Name,
        content: &Plaintext,
        attributes: Attributes,
    ) -> io::Result<()> {
        let (folders, last) = name.parts();
        let mut inner = None;
        for folder in folders {
            let here = inner.as_ref().unwrap_or(&self.folder);
            inner = Some(here.enter_or_make(folder, self.attributes)?);
        }
        let here = inner.as_ref().unwrap_or(&self.folder);
        if here.look(last)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        match here.put(last, content, attributes, self.sync) {
            Ok(_) if self.sync => here.sync(),
            Ok(_) => Ok(()),
            Err(e) => {
                let _half = here.unlink(last);
                Err(e)
            }
        }
    }

    /// Gives it its number. It is complete, but nothing leads to it yet.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn finish(mut self, number: u64) -> io::Result<Directory> {
        let name = OsString::from(number.to_string());
        if self.sync {
            self.folder.sync()?;
        }
        self.folder.set(self.attributes)?;
        self.store.rename_new(OsStr::new(UNFINISHED), &name)?;
        self.finished = true;
        if self.sync {
            self.store.sync()?;
        }
        self.folder.again()
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let _next_run_does = self.store.remove(OsStr::new(UNFINISHED));
        }
    }
}

/// Removes generations: those that were never published, with a number above the current one.
///
/// # Errors
/// What the system says.
pub(super) fn sweep(store: &Directory, current: u64) -> io::Result<()> {
    for number in numbers(store)?.into_iter().filter(|number| *number > current) {
        store.remove(OsStr::new(&number.to_string()))?;
    }
    Ok(())
}

/// Removes generations that are too old; with `keep` 0 none is.
///
/// # Errors
/// The generation and what the system says. Others are removed nevertheless.
pub(super) fn prune(store: &Directory, current: u64, keep: u32) -> Result<(), (u64, io::Error)> {
    let Some(oldest) = current.checked_sub(u64::from(keep)).filter(|_| keep > 0) else {
        return Ok(());
    };
    let numbers = numbers(store).map_err(|e| (current, e))?;
    let mut outcome = Ok(());
    for number in numbers.into_iter().filter(|number| *number <= oldest) {
        if let Err(e) = store.remove(OsStr::new(&number.to_string())) {
            outcome = Err((number, e));
        }
    }
    outcome
}

/// The number in the target of a link of a store: `<mount_point>/<number>`.
pub(super) fn number_of(target: &Path, mount_point: &Path) -> Option<u64> {
    (target.parent()? == mount_point).then(|| number(target.file_name()?)).flatten()
}

/// The name of a generation in the making.
pub(super) const UNFINISHED: &str = ".secretctl-new";
/// Numbers with more digits are not ours, and could not be counted on.
const MOST_DIGITS: usize = 15;
const DEEPEST: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_generations() {
        for (name, expected) in [
            ("1", Some(1)),
            ("101", Some(101)),
            ("999999999999999", Some(999_999_999_999_999)),
            ("9999999999999999", None),
            ("0", None),
            ("01", None),
            ("", None),
            ("1a", None),
            ("-1", None),
            ("٣", None),
            (UNFINISHED, None),
        ] {
            assert_eq!(number(OsStr::new(name)), expected, "{name}");
        }
        let mount_point = Path::new("/run/secrets.d");
        assert_eq!(number_of(Path::new("/run/secrets.d/7"), mount_point), Some(7));
        for other in ["/run/secrets.d/7/x", "/run/secrets.d", "/run/other.d/7", "7", "/"] {
            assert_eq!(number_of(Path::new(other), mount_point), None, "{other}");
        }
    }
}
