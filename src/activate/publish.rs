//! One store from its pieces: a new generation is made beside the current one, published by one
//! rename, and then whatever hangs on it is put in place.
//!
//! Killed at any moment, the link of the store leads to the old or to the new generation, whole;
//! the next run removes what is left over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use super::book::Book;
use super::compare::{Outcome, Verdict, as_is, compare, last};
use super::generation::{self, Fresh, numbers};
use super::outside::{Ours, arrange};
use super::place::{Place, Standing};
use super::state::State;
use super::{Filesystem, Hold, Name, Piece, Problem, PublishError, Target, Trouble};
use crate::fsx::{self, Attributes, Directory, Memory, Mounted};

/// What a run did, or would do.
#[derive(Debug, Default)]
pub struct Published {
    /// Secrets that were not there before.
    pub added: Vec<Name>,
    /// Secrets whose content, owner or permissions changed.
    pub changed: Vec<Name>,
    /// Secrets that are no longer there.
    pub removed: Vec<Name>,
    /// Secrets that are as they were.
    pub unchanged: Vec<Name>,
    /// Secrets that have their last good content, since there is no new one.
    pub kept: Vec<Name>,
    /// Secrets that are not in place.
    pub missing: Vec<Name>,
    /// Units to be restarted: their secrets are new or have new content.
    pub restart: BTreeSet<String>,
    /// Units to be reloaded.
    pub reload: BTreeSet<String>,
    /// What went wrong beside.
    pub problems: Vec<Problem>,
    /// Whether nothing was done, only compared.
    pub dry: bool,
}

/// Puts `pieces`, all that the store is to hold, into a new generation and publishes it. Without
/// a hold nothing is written, and the outcome is what would be done.
///
/// A piece that cannot be put in place is a [`Problem`] and does not hold up the others. Units
/// are not told yet: see [`super::units::request`]. None is to be restarted where there was no
/// generation before, which is so after a boot.
///
/// # Errors
/// [`PublishError`]; everything is as it was then.
pub fn publish(
    target: &Target,
    pieces: Vec<Piece>,
    hold: Option<&Hold>,
) -> Result<Published, PublishError> {
    let (store, dry) = (&target.store, hold.is_none());
    let _also = hold.map(|hold| hold.also(target)).transpose()?;
    let place = Place::look(target, dry)?;
    let wanted = memory(target);
    let mut mounted =
        fsx::probe(&store.mount_point, wanted, target.system).map_err(PublishError::Mount)?;
    let mut run = Run { target, published: Published { dry, ..Published::default() } };
    if mounted.is_none() && pieces.is_empty() && Book::is_new(target) {
        return Ok(run.published);
    }
    if !dry {
        #[cfg(target_os = "macos")]
        if wanted == Memory::Ramfs {
            attach_ram_disk(target)?;
        }
        let made = fsx::mount(&store.mount_point, wanted, folders(target), target.system);
        mounted = Some(made.map_err(PublishError::Mount)?);
    }
    let folder = mounted.as_ref().map(|mounted| &mounted.folder);
    let (mut book, before, trouble) = Book::open(target, mounted.as_ref());
    if let Some(trouble) = trouble {
        run.problem(None, trouble);
    }
    let previous = run.previous(folder, place.standing)?;
    let mut outcomes = compare(previous.as_ref(), pieces, target.system);
    let mut number = None;
    if let (Some(mounted), false) = (&mounted, dry) {
        number = Some(run.renew(
            mounted,
            &place,
            previous.as_ref(),
            &mut outcomes,
            &before,
            &mut book,
        )?);
    } else {
        run.tell(&mut outcomes, previous.as_ref(), &before);
    }
    let (ours, problems) =
        arrange(target, &outcomes, mounted.as_ref(), &mut book, &before, dry, &run.published);
    run.published.problems.extend(problems);
    if let (Some(mounted), Some(number)) = (&mounted, number) {
        run.settle(mounted, number, ours, &mut book);
    }
    Ok(run.published)
}

struct Run<'a> {
    target: &'a Target,
    published: Published,
}

impl Run<'_> {
    /// The generation that the link leads to, if it is there.
    fn previous(
        &self,
        store: Option<&Directory>,
        standing: Standing,
    ) -> Result<Option<Directory>, PublishError> {
        let (Some(store), Standing::Generation(number)) = (store, standing) else {
            return Ok(None);
        };
        match store.enter(OsStr::new(&number.to_string())) {
            Ok(folder) => Ok(Some(folder)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(PublishError::io(&self.generation(number), "open", e)),
        }
    }

    /// Makes the new generation and lets the link lead to it.
    fn renew(
        &mut self,
        mounted: &Mounted,
        place: &Place,
        previous: Option<&Directory>,
        outcomes: &mut [Outcome],
        before: &State,
        book: &mut Book<'_>,
    ) -> Result<u64, PublishError> {
        let (store, sync) = (&mounted.folder, !mounted.memory);
        let spec = &self.target.store;
        let problem = |doing| move |e| PublishError::io(&spec.mount_point, doing, e);
        let mut highest = 0;
        if let Standing::Generation(current) = place.standing {
            generation::sweep(store, current).map_err(problem("clean up in"))?;
            highest = current;
        }
        let numbers = numbers(store).map_err(problem("list"))?;
        let number = numbers.last().map_or(highest, |last| highest.max(*last)).saturating_add(1);
        let fresh = Fresh::begin(store, folders(self.target), sync);
        let fresh = fresh.map_err(problem("make a new generation in"))?;
        for outcome in &mut *outcomes {
            lay(&fresh, outcome, previous).map_err(problem("write a secret to"))?;
        }
        self.tell(outcomes, previous, before);
        // What is about to be made is noted first.
        let mut notes = before.clone();
        notes.pending(&self.published);
        for outcome in outcomes.iter().filter(|outcome| outcome.in_place()) {
            let leads = spec.link.join(outcome.name.as_path());
            for path in &outcome.links {
                notes.links.entry(path.clone()).or_insert_with(|| leads.clone());
            }
            for path in &outcome.copies {
                notes.copies.entry(path.clone()).or_default();
            }
        }
        book.write(&notes).map_err(problem("note links in"))?;
        fresh.finish(number).map_err(problem("finish the new generation in"))?;
        if let Err(e) = place.publish(&spec.link, &spec.mount_point, number, sync) {
            let _next_run_does = store.remove(OsStr::new(&number.to_string()));
            return Err(e);
        }
        Ok(number)
    }

    /// Notes what is ours now, and removes old generations.
    fn settle(&mut self, mounted: &Mounted, number: u64, ours: Ours, book: &mut Book<'_>) {
        let spec = &self.target.store;
        let mut notes = State::new();
        (notes.links, notes.copies) = (ours.links, ours.copies);
        notes.pending(&self.published);
        if let Err(e) = book.write(&notes) {
            self.problem(None, Trouble::io(&spec.mount_point, "note links in", e));
        }
        if let Err((old, e)) = generation::prune(&mounted.folder, number, spec.keep) {
            let path = self.generation(old);
            self.problem(None, Trouble::io(&path, "remove the old generation", e));
        }
    }

    /// Sorts the outcomes into what people and units are told.
    fn tell(&mut self, outcomes: &mut [Outcome], previous: Option<&Directory>, before: &State) {
        let told = &mut self.published;
        for outcome in &mut *outcomes {
            if let Some(trouble) = outcome.trouble.take() {
                told.problems.push(Problem { name: Some(outcome.name.clone()), trouble });
            }
            let list = match outcome.verdict {
                Verdict::Added => &mut told.added,
                Verdict::Changed | Verdict::Regranted => &mut told.changed,
                Verdict::Unchanged => &mut told.unchanged,
                Verdict::Kept => &mut told.kept,
                Verdict::Missing => &mut told.missing,
            };
            list.push(outcome.name.clone());
            if previous.is_some() && outcome.is_news() {
                told.restart.extend(outcome.restart.iter().cloned());
                told.reload.extend(outcome.reload.iter().cloned());
            }
        }
        // A run that was killed after it published told nobody.
        told.restart.extend(before.restart.iter().cloned());
        told.reload.extend(before.reload.iter().cloned());
        let Some(previous) = previous else { return };
        match generation::names(previous) {
            Ok(names) => {
                let wanted: BTreeSet<&Name> =
                    outcomes.iter().map(|outcome| &outcome.name).collect();
                told.removed = names.into_iter().filter(|name| !wanted.contains(name)).collect();
            }
            Err(e) => {
                let trouble = Trouble::io(&self.target.store.link, "list", e);
                self.problem(None, trouble);
            }
        }
    }

    fn problem(&mut self, name: Option<Name>, trouble: Trouble) {
        self.published.problems.push(Problem { name, trouble });
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.target.store.mount_point.join(number.to_string())
    }
}

/// Writes a secret to the new generation. Where that fails for a reason of its own, its last
/// content stays, as it was.
fn lay(fresh: &Fresh<'_>, outcome: &mut Outcome, previous: Option<&Directory>) -> io::Result<()> {
    let Some(content) = &outcome.content else { return Ok(()) };
    let error = match fresh.lay(&outcome.name, content, outcome.attributes) {
        Ok(()) => return Ok(()),
        Err(e) => e,
    };
    let (uid, gid) = outcome.attributes.owner.unwrap_or_default();
    let is = |kinds: [io::ErrorKind; 2]| kinds.contains(&error.kind());
    outcome.trouble = Some(if is([io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory]) {
        Trouble::Clash
    } else if is([io::ErrorKind::InvalidInput, io::ErrorKind::PermissionDenied]) {
        Trouble::Owner { uid, gid, source: error }
    } else {
        return Err(error);
    });
    (outcome.content, outcome.verdict) = (None, Verdict::Missing);
    if let Ok(Some((content, stat))) = last(previous, &outcome.name) {
        let attributes = as_is(&stat, outcome.attributes.owner.is_some());
        if fresh.lay(&outcome.name, &content, attributes).is_ok() {
            outcome.attributes = attributes;
            (outcome.content, outcome.verdict) = (Some(content), Verdict::Kept);
        }
    }
    Ok(())
}

/// There is no ramfs: what stands for one is made by programs of the system.
#[cfg(target_os = "macos")]
fn attach_ram_disk(target: &Target) -> Result<(), PublishError> {
    let path = &target.store.mount_point;
    crate::process::ram_disk::attach(path, folders(target)).map_err(|source| PublishError::Io {
        path: path.clone(),
        doing: "attach a disk in memory to",
        source,
    })
}

/// What is to be mounted. Without root it is a folder, whatever the manifest says.
pub(super) fn memory(target: &Target) -> Memory {
    let store = &target.store;
    match store.filesystem {
        // A disk in memory needs no root.
        Filesystem::Ramfs if target.system || cfg!(target_os = "macos") => Memory::Ramfs,
        Filesystem::Tmpfs if target.system => Memory::Tmpfs { allow_swap: store.allow_swap },
        Filesystem::Ramfs | Filesystem::Tmpfs | Filesystem::Directory => {
            Memory::Folder { allow_disk: store.allow_disk }
        }
    }
}

/// Owner and permissions of the folders of a store.
fn folders(target: &Target) -> Attributes {
    let owner = target.system.then_some((0, target.store.gid));
    Attributes { owner, mode: target.store.mode }
}
