//! All that hangs on a store elsewhere: which secret wants which path, what is put there, and
//! what is no longer wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::book::Book;
use super::compare::Outcome;
use super::links::{Outside, StagedCopy};
use super::state::{Mark, State};
use super::{Name, Problem, Published, Target, Trouble};
use crate::fsx::{Mounted, system};

/// What is ours now.
#[derive(Debug, Default)]
pub(super) struct Ours {
    pub(super) links: BTreeMap<PathBuf, PathBuf>,
    pub(super) copies: BTreeMap<PathBuf, Vec<Mark>>,
}

/// Puts links and copies in place and removes stale ones; changes nothing in a dry run.
pub(super) fn arrange(
    target: &Target,
    outcomes: &[Outcome],
    mounted: Option<&Mounted>,
    book: &mut Book<'_>,
    before: &State,
    dry: bool,
    published: &Published,
) -> (Ours, Vec<Problem>) {
    let device = mounted.filter(|mounted| mounted.own);
    let device =
        device.and_then(|mounted| mounted.folder.stat().ok()).map(|stat| system::device(&stat));
    let outside = Outside { store: &target.store, device, before, dry };
    let mut work =
        Work { outside, taken: BTreeMap::new(), ours: Ours::default(), problems: Vec::new() };
    for outcome in outcomes {
        work.links(outcome);
    }
    let staged: Vec<_> = outcomes.iter().flat_map(|outcome| work.copies(outcome)).collect();
    let noted = staged.is_empty() || work.note(book, published);
    for (name, copy) in staged {
        let path = copy.path().to_owned();
        match noted.then(|| copy.commit()) {
            Some(Ok(())) => {}
            Some(Err(trouble)) => {
                work.problem(Some(name), trouble);
                work.keep_marks(&path);
            }
            None => work.keep_marks(&path),
        }
    }
    work.remove_stale(outcomes);
    (work.ours, work.problems)
}

struct Work<'a> {
    outside: Outside<'a>,
    /// Who wants which path.
    taken: BTreeMap<PathBuf, Name>,
    ours: Ours,
    problems: Vec<Problem>,
}

impl Work<'_> {
    fn links(&mut self, outcome: &Outcome) {
        if !outcome.in_place() {
            return;
        }
        let leads = self.outside.store.link.join(outcome.name.as_path());
        for path in &outcome.links {
            let done = match self.claim(path, &outcome.name) {
                Ok(false) => continue,
                Ok(true) => self.outside.link(path, &leads, outcome.attributes.owner),
                Err(trouble) => Err(trouble),
            };
            match done {
                Ok(()) => {
                    self.ours.links.insert(path.clone(), leads.clone());
                }
                Err(trouble) => self.problem(Some(outcome.name.clone()), trouble),
            }
        }
    }

    /// Writes the copies of a secret beside their places.
    fn copies(&mut self, outcome: &Outcome) -> Vec<(Name, StagedCopy)> {
        let mut all = Vec::new();
        for path in &outcome.copies {
            let noted = self.outside.before.copies.get(path).cloned();
            let staged = self.claim(path, &outcome.name).and_then(|claimed| {
                match (&outcome.content, claimed) {
                    (Some(content), true) => self.outside.copy(path, content, outcome.attributes),
                    // The last good copy of a secret that is not in place stays.
                    (None, _) | (_, false) => Ok((None, None)),
                }
            });
            let (mark, staged) = staged.unwrap_or_else(|trouble| {
                self.problem(Some(outcome.name.clone()), trouble);
                (None, None)
            });
            all.extend(staged.map(|staged| (outcome.name.clone(), staged)));
            if let Some(marks) = mark.map(|mark| vec![mark]).or(noted) {
                self.ours.copies.insert(path.clone(), marks);
            }
        }
        all
    }

    /// Notes copies that are about to get their names: by these marks they are known again,
    /// should that be the last that is done. Where it cannot be noted, none is to get its name.
    fn note(&mut self, book: &mut Book<'_>, published: &Published) -> bool {
        let mut notes = self.outside.before.clone();
        notes.pending(published);
        for (path, leads) in &self.ours.links {
            notes.links.insert(path.clone(), leads.clone());
        }
        for (path, marks) in &self.ours.copies {
            notes.copies.entry(path.clone()).or_default().extend(marks);
        }
        let written = book.write(&notes);
        written
            .map_err(|e| {
                let path = &self.outside.store.mount_point;
                self.problem(None, Trouble::io(path, "note copies in", e));
            })
            .is_ok()
    }

    /// What is there is what was there.
    fn keep_marks(&mut self, path: &Path) {
        match self.outside.before.copies.get(path) {
            Some(marks) => self.ours.copies.insert(path.to_owned(), marks.clone()),
            None => self.ours.copies.remove(path),
        };
    }

    /// Claims a path for a secret. `false` where it is the place in the store itself, or is
    /// claimed already.
    fn claim(&mut self, path: &Path, name: &Name) -> Result<bool, Trouble> {
        let store = self.outside.store;
        if path == store.link.join(name.as_path()) {
            return Ok(false);
        }
        self.outside.check(path)?;
        match self.taken.get(path) {
            Some(by) if by == name => Ok(false),
            Some(by) => Err(Trouble::Taken { path: path.to_owned(), by: by.clone() }),
            None => {
                self.taken.insert(path.to_owned(), name.clone());
                Ok(true)
            }
        }
    }

    fn remove_stale(&mut self, outcomes: &[Outcome]) {
        let before = self.outside.before;
        let wanted: BTreeSet<&Path> = outcomes
            .iter()
            .flat_map(|outcome| {
                let links = outcome.links.iter().filter(|_| outcome.in_place());
                links.chain(&outcome.copies).map(PathBuf::as_path)
            })
            .collect();
        for (path, leads) in &before.links {
            if !wanted.contains(path.as_path())
                && let Err(trouble) = self.outside.remove_link(path, leads)
            {
                self.ours.links.insert(path.clone(), leads.clone());
                self.problem(None, trouble);
            }
        }
        for (path, marks) in &before.copies {
            if !wanted.contains(path.as_path())
                && let Err(trouble) = self.outside.remove_copy(path, marks)
            {
                // What was changed is told of once, and is not ours any more.
                if !matches!(trouble, Trouble::Altered { .. }) {
                    self.ours.copies.insert(path.clone(), marks.clone());
                }
                self.problem(None, trouble);
            }
        }
    }

    fn problem(&mut self, name: Option<Name>, trouble: Trouble) {
        self.problems.push(Problem { name, trouble });
    }
}
