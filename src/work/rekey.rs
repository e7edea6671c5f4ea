//! Rekeying: make the readers of files those of the rules.
//!
//! A plan first; then all files are opened, all are sealed into temporaries beside their
//! targets, and only when every one of them is safe on the disk are they renamed. Any failure
//! before the first rename leaves the tree as it was.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use age_core::format::{FileKey, Stanza};
use rayon::prelude::*;

use super::compare::Comparison;
use super::links::Links;
use super::rekey_sops;
use super::status::{self, Inspected, State};
use super::{FileError, Problem};
use crate::format::age::{self, AgeError, readers};
use crate::format::keys::Keys;
use crate::fsx::{CommitError, LastFolder, Staged, Staging, commit_all, sweep};
use crate::key::keyring::{Keyring, Sealed};
use crate::key::stanza::Stanzas;
use crate::key::wrap::{Request, WrapError, wrap_all};
use crate::key::{Plugins, Recipient};
use crate::process::Interrupts;

/// What is to be done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Keep,
    /// A new header over the same content: readers are added, nobody is removed.
    Header(Vec<Recipient>),
    /// A new file key and everything encrypted anew.
    Reseal,
}

/// One file of a plan.
#[derive(Debug)]
pub struct Step {
    /// The file and its state.
    pub file: Inspected,
    /// What is to be done.
    pub action: Action,
}

/// Decides what to do with each file. `force` encrypts everything anew.
pub fn plan(files: Vec<Inspected>, force: bool) -> Vec<Step> {
    let step = |file: Inspected| {
        let action = decide(&file, force);
        Step { file, action }
    };
    files.into_par_iter().map(step).collect()
}

fn decide(file: &Inspected, force: bool) -> Action {
    let encrypted = matches!(file.state, State::Current | State::Stale(_) | State::Unknown(_));
    match &file.state {
        _ if force && encrypted => Action::Reseal,
        // Where plugins alone read it, nothing tells whether the new readers may stand beside them.
        State::Stale(c) if file.store.is_some() && c.only_adds() => Action::Header(Vec::new()),
        State::Stale(c)
            if c.only_adds() && (c.missing.is_empty() || labels_beside(file, c).is_some()) =>
        {
            Action::Header(c.missing.iter().map(|e| e.recipient.clone()).collect())
        }
        State::Stale(_) => Action::Reseal,
        // Nothing that we may write into an anonymous file would make it tell more the next time.
        State::Unknown(_) if !file.job.anonymous => Action::Reseal,
        State::Unknown(_)
        | State::Current
        | State::Absent
        | State::NotEncrypted
        | State::PartlyPlain(_)
        | State::Broken(_)
        | State::BrokenSops(_) => Action::Keep,
    }
}

/// The labels of the readers who are there already.
fn labels_beside(file: &Inspected, comparison: &Comparison) -> Option<BTreeSet<String>> {
    let mut kept = file.job.expected.iter().filter(|who| !comparison.missing.contains(who));
    kept.find_map(|who| who.recipient.labels())
}

/// What stands in the way of any rekey: files that a rule names but that are no age files.
pub fn obstacles(steps: &[Step]) -> Vec<FileError> {
    let mut links = Links::default();
    let obstacle = |step: &Step| {
        let job = &step.file.job;
        let problem = match &step.file.state {
            State::NotEncrypted => Problem::NotEncrypted,
            State::Broken(error) => broken(&job.path, error),
            State::PartlyPlain(place) => Problem::Broken(format!(
                "its rule says that it is encrypted, and it is not: {place}"
            )),
            State::BrokenSops(what) => Problem::Broken(what.clone()),
            State::Current | State::Stale(_) | State::Unknown(_) | State::Absent => {
                let changes = step.action != Action::Keep;
                Problem::LeadsOut {
                    real: changes.then(|| links.lead_out(job, step.file.link)).flatten()?,
                }
            }
        };
        Some(FileError { path: job.path.clone(), problem })
    };
    steps.iter().filter_map(obstacle).collect()
}

/// A file that cannot be read may well be sound.
fn broken(path: &Path, error: &AgeError) -> Problem {
    let AgeError::Read(source) = error else { return Problem::Broken(error.to_string()) };
    let same = source.raw_os_error().map(io::Error::from_raw_os_error);
    let error = same.unwrap_or_else(|| io::Error::new(source.kind(), source.to_string()));
    Problem::Input { path: path.to_owned(), error }
}

/// Whether anybody loses access by a step, so that the value itself should change too.
pub fn removes(comparison: &Comparison) -> bool {
    !comparison.left_over.is_empty()
}

/// How a plan is carried out.
pub struct Means<'m, 'k> {
    /// What opens the files.
    pub keys: &'m mut Keys<'k>,
    /// Whether sops files are written as sops prints them.
    pub canonical: bool,
    /// The signal handlers of the process.
    pub interrupts: &'m Interrupts,
    /// Called once for each file that is sealed.
    pub progress: &'m (dyn Fn() + Sync),
}

/// Carries out a plan and gives the files that were written, in order.
///
/// # Errors
/// All files that failed. Nothing has been written then, unless a rename itself failed, which
/// [`Problem::HalfDone`] says.
pub fn carry_out(steps: &[Step], means: Means<'_, '_>) -> Result<Vec<PathBuf>, Vec<FileError>> {
    let Means { keys, canonical, interrupts, progress } = means;
    let steps: Vec<&Step> = steps.iter().filter(|step| step.action != Action::Keep).collect();
    let mut ready = prepare_age(&steps, keys)?;
    ready.extend(rekey_sops::prepare(&steps, keys)?);
    ready.sort_unstable_by_key(|(index, _)| *index);
    // Nobody is asked from here on, and there are temporaries to be removed. Once the first of
    // them is in place, the rest follows whatever comes.
    let postponed = interrupts.postpone().map_err(|error| {
        let first = steps.first().map(|step| file_error(step, Problem::Signals(error)));
        Vec::from_iter(first)
    })?;
    let work: Vec<_> = steps.iter().zip(ready).collect();
    let last = LastFolder::default();
    let staged: Vec<Result<Staged, FileError>> = work
        .into_par_iter()
        .map(|(step, (_, ready))| {
            if let Some(signal) = postponed.came() {
                return Err(file_error(step, Problem::Interrupted(signal)));
            }
            let staged = match ready {
                Ready::Reseal { old, new, stanzas } => reseal(step, &last, &old, &new, stanzas),
                Ready::Extend { key, read, added } => {
                    extend(step, &last, &key, old_stanzas(step, read.as_ref()), &added)
                }
                Ready::Sops(file) => file.stage(&step.file.job, canonical),
            };
            progress();
            let parked = staged.and_then(|mut staged| {
                staged.park().map_err(Problem::Replace)?;
                Ok(staged)
            });
            parked.map_err(|problem| file_error(step, problem))
        })
        .collect();
    // what changed meanwhile may not open any more, and is told as that
    let staged = all(staged).or_else(|errors| unchanged(&steps).and(Err(errors)))?;
    if let (Some(signal), Some(step)) = (postponed.came(), steps.first()) {
        return Err(vec![file_error(step, Problem::Interrupted(signal))]);
    }
    unchanged(&steps)?;
    commit_all(staged).map_err(|CommitError { path, source, done }| {
        let problem = match done {
            0 => Problem::Replace(source),
            done => Problem::HalfDone { done, error: source },
        };
        vec![FileError { path, problem }]
    })
}

/// All that a file needs to be sealed without asking anybody.
pub(super) enum Ready {
    /// An age file, encrypted anew.
    Reseal {
        /// The key of the file as it is.
        old: FileKey,
        /// The key that it gets.
        new: FileKey,
        /// That key for its readers.
        stanzas: Vec<Stanza>,
    },
    /// An age file with more readers.
    Extend {
        /// Its key.
        key: FileKey,
        /// Its stanzas, where the inspection did not keep them.
        read: Option<Stanzas>,
        /// The stanzas that it gets.
        added: Vec<Stanza>,
    },
    /// A sops file.
    Sops(Box<rekey_sops::Prepared>),
}

/// What is ready, by the number of its step.
pub(super) type Prepared = Vec<(usize, Ready)>;

/// Finds and makes the keys of all age files.
fn prepare_age(steps: &[&Step], keys: &mut Keys<'_>) -> Result<Prepared, Vec<FileError>> {
    let is_age = |(_, step): &(usize, &&Step)| step.file.store.is_none();
    let (numbers, steps): (Vec<usize>, Vec<&Step>) =
        steps.iter().enumerate().filter(is_age).map(|(number, step)| (number, *step)).unzip();
    let old_keys = open_all(&steps, &mut keys.keyring)?;
    let new_keys = new_keys(&steps)?;
    let stanzas = wrap(&steps, &old_keys, &new_keys, &keys.plugins())?;
    let ready = old_keys.into_iter().zip(new_keys).zip(stanzas);
    let ready = ready.map(|(((read, old), new), stanzas)| match new {
        Some(new) => Ready::Reseal { old, new, stanzas },
        None => Ready::Extend { key: old, read, added: stanzas },
    });
    Ok(numbers.into_iter().zip(ready).collect())
}

/// That every file still is what the plan was made for: people take long over a passphrase, and
/// other programs know nothing of our lock.
fn unchanged(steps: &[&Step]) -> Result<(), Vec<FileError>> {
    let same = |step: &&Step| {
        let is_same = status::stamp(&step.file.job.path) == step.file.stamp;
        if is_same { Ok(()) } else { Err(file_error(step, Problem::Changed)) }
    };
    all(steps.par_iter().map(same).collect()).map(drop)
}

/// The stanzas, where the inspection did not keep them, and the file key.
type Opened = (Option<Stanzas>, FileKey);

/// Finds the file key of every file, or names all files for which there is none.
fn open_all(steps: &[&Step], keyring: &mut Keyring<'_>) -> Result<Vec<Opened>, Vec<FileError>> {
    let headers: Vec<Result<Option<Stanzas>, FileError>> = steps
        .par_iter()
        .map(|step| {
            if step.file.whole.is_some() {
                return Ok(None);
            }
            let opened = status::open(&step.file.job.path);
            opened
                .map(|encrypted| Some(encrypted.header.stanzas))
                .map_err(|error| file_error(step, broken(&step.file.job.path, &error)))
        })
        .collect();
    let headers = all(headers)?;
    let names: Vec<String> =
        steps.iter().map(|step| step.file.job.path.display().to_string()).collect();
    let stanzas = steps.iter().zip(&headers).map(|(step, read)| old_stanzas(step, read.as_ref()));
    let sealed: Vec<Sealed<'_>> =
        names.iter().zip(stanzas).map(|(name, stanzas)| Sealed { name, stanzas }).collect();
    let keys = keyring.unwrap_all(&sealed);
    let paired = keys.into_iter().zip(headers).zip(steps);
    all(paired
        .map(|((key, stanzas), step)| match key {
            Ok(key) => Ok((stanzas, key)),
            Err(unopened) => Err(file_error(step, Problem::Unopened(unopened))),
        })
        .collect())
}

/// The stanzas of a file as it is: kept from the inspection, or read later.
fn old_stanzas<'a>(step: &'a Step, read: Option<&'a Stanzas>) -> &'a Stanzas {
    let kept = step.file.whole.as_ref().map(|whole| &whole.header.stanzas);
    kept.or(read).unwrap_or(const { &Stanzas::NONE })
}

/// A new file key for each file that is encrypted anew.
fn new_keys(steps: &[&Step]) -> Result<Vec<Option<FileKey>>, Vec<FileError>> {
    let key = |step: &&Step| match step.action {
        Action::Reseal => age::new_file_key()
            .map(Some)
            .map_err(|error| file_error(step, Problem::Age(AgeError::Read(error)))),
        Action::Keep | Action::Header(_) => Ok(None),
    };
    all(steps.iter().map(key).collect())
}

/// The new stanzas of every file: all of them where it is encrypted anew, else those added.
fn wrap(
    steps: &[&Step],
    old: &[Opened],
    new: &[Option<FileKey>],
    plugins: &Plugins<'_>,
) -> Result<Vec<Vec<Stanza>>, Vec<FileError>> {
    let recipients: Vec<Vec<Recipient>> = steps
        .iter()
        .map(|step| match &step.action {
            Action::Header(added) => added.clone(),
            Action::Reseal | Action::Keep => step.file.job.recipients(),
        })
        .collect();
    let mut wrapped: Vec<Vec<Stanza>> = Vec::with_capacity(steps.len());
    let wanted: Vec<usize> = (0..steps.len())
        .filter(|index| recipients.get(*index).is_some_and(|r| !r.is_empty()))
        .collect();
    let requests: Vec<Request<'_>> = wanted
        .iter()
        .filter_map(|index| {
            let (_, old) = old.get(*index)?;
            let file_key = new.get(*index)?.as_ref().unwrap_or(old);
            let labels = steps.get(*index).and_then(|step| kept_labels(step));
            Some(Request { file_key, recipients: recipients.get(*index)?, labels })
        })
        .collect();
    let mut results = wrap_all(&requests, plugins).into_iter();
    let mut errors = Vec::new();
    for (step, recipients) in steps.iter().zip(&recipients) {
        // Nothing was asked for these: a header that only hides its list, or nobody to read.
        let result = match (&step.action, recipients.is_empty()) {
            (Action::Header(_), true) => Ok(Vec::new()),
            (_, true) => Err(WrapError::NoRecipient),
            (_, false) => results.next().unwrap_or(Err(WrapError::NoRecipient)),
        };
        match result {
            Ok(stanzas) => wrapped.push(stanzas),
            Err(error) => errors.push(file_error(step, Problem::Wrap(error))),
        }
    }
    if errors.is_empty() { Ok(wrapped) } else { Err(errors) }
}

/// The labels that a new reader must share, where the old stanzas stay.
fn kept_labels(step: &Step) -> Option<BTreeSet<String>> {
    match (&step.action, &step.file.state) {
        (Action::Header(_), State::Stale(comparison)) => labels_beside(&step.file, comparison),
        _ => None,
    }
}

/// Everything anew: new key, new nonce, new stanzas. The content of the file is in memory
/// meanwhile.
fn reseal(
    step: &Step,
    last: &LastFolder,
    old: &FileKey,
    new: &FileKey,
    mut stanzas: Vec<Stanza>,
) -> Result<Staged, Problem> {
    let job = &step.file.job;
    if !job.anonymous {
        stanzas.push(readers::stanza(job.expected.iter().map(|who| &who.recipient)));
    }
    let mut encrypted = status::open(&job.path).map_err(Problem::Age)?;
    let content = encrypted.decrypt(old).map_err(Problem::Age)?;
    let staged = Staged::after(last, &job.path, Staging::default());
    let mut staged = staged.map_err(Problem::Replace)?;
    super::seal_into(new, &stanzas, step.file.armored, &content, &mut staged)?;
    Ok(staged)
}

/// A new header over the old payload, after the old header and payload have been authenticated:
/// nothing forged is carried over.
fn extend(
    step: &Step,
    last: &LastFolder,
    file_key: &FileKey,
    old: &Stanzas,
    added: &[Stanza],
) -> Result<Staged, Problem> {
    let job = &step.file.job;
    let armored = step.file.armored;
    let list = || readers::stanza(job.expected.iter().map(|who| &who.recipient));
    let listed = (!job.anonymous).then(list);
    let kept = old.iter().filter(|stanza| stanza.tag() != readers::STANZA).count();
    let count = kept.saturating_add(added.len()).saturating_add(usize::from(listed.is_some()));
    if count > age::header::MAX_STANZAS {
        return Err(Problem::TooManyReaders);
    }
    let added = added.iter().chain(&listed);
    let begin = || Staged::after(last, &job.path, Staging::default()).map_err(Problem::Replace);
    let mut staged;
    if let Some(whole) = &step.file.whole {
        let bytes = whole.rewrap(file_key, added, armored).map_err(Problem::Age)?;
        staged = begin()?;
        staged.put(&bytes).map_err(Problem::Replace)?;
    } else {
        let mut encrypted = status::open(&job.path).map_err(Problem::Age)?;
        if encrypted.header.stanzas != *old {
            return Err(Problem::Changed);
        }
        encrypted.decrypt_to(file_key, &mut io::sink()).map_err(Problem::Age)?;
        let mut again = status::open(&job.path).map_err(Problem::Age)?;
        staged = begin()?;
        let mut sink = BufWriter::with_capacity(16 * 1024, &mut staged);
        let header = &encrypted.header;
        let written = age::rewrap(file_key, header, added, armored, again.payload(), &mut sink)
            .and_then(|()| sink.flush().map_err(AgeError::Write));
        drop(sink);
        written.map_err(|error| super::sink_error(error, &staged))?;
    }
    staged.finish().map_err(Problem::Replace)?;
    Ok(staged)
}

/// Removes what a killed run left beside the files.
pub fn sweep_folders(steps: &[Step]) {
    let there = steps.iter().map(|step| &step.file);
    let mut places: Vec<_> = there.filter(|file| !matches!(file.state, State::Absent)).collect();
    // Of neighbours, one is enough.
    places.dedup_by(|a, b| !(a.link || b.link) && a.job.path.parent() == b.job.path.parent());
    let mut links = Links::default();
    let real = places.into_iter().filter_map(|file| links.real(&file.job.path, file.link));
    let folders: BTreeSet<PathBuf> =
        real.filter_map(|path| path.parent().map(Path::to_owned)).collect();
    for folder in folders {
        sweep(&folder);
    }
}

pub(super) fn file_error(step: &Step, problem: Problem) -> FileError {
    FileError { path: step.file.job.path.clone(), problem }
}

/// All values, or all errors.
pub(super) fn all<T>(results: Vec<Result<T, FileError>>) -> Result<Vec<T>, Vec<FileError>> {
    let mut values = Vec::with_capacity(results.len());
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;
