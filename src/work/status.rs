//! The state of secret files against the rules, told from headers alone: no private key is read.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::compare::{Comparison, compare, compare_sops};
use super::{Expected, Job, Problem, sops};
use crate::format::age::{AgeError, Encrypted, Whole};
use crate::format::sops::select;
use crate::format::sops::store::Store;

/// How a secret file stands to its rule.
#[derive(Debug)]
pub enum State {
    /// Exactly the readers of the rule.
    Current,
    /// Known to differ.
    Stale(Comparison),
    /// As far as can be seen it fits; some readers cannot be told without opening it.
    Unknown(Comparison),
    /// There is a rule but no file.
    Absent,
    /// The content is in the open.
    NotEncrypted,
    /// It is a sops file in which a value is plain that should be encrypted; the place, for people.
    PartlyPlain(String),
    /// It is an age file that cannot be used, or it cannot be read.
    Broken(AgeError),
    /// It is a sops file that cannot be used; a clause.
    BrokenSops(String),
}

impl State {
    /// What follows from the header of a file.
    pub(super) fn of(comparison: Comparison) -> Self {
        if comparison.is_stale() {
            Self::Stale(comparison)
        } else if comparison.unknown.is_empty() {
            Self::Current
        } else {
            Self::Unknown(comparison)
        }
    }
}

/// One file, its rule and its state.
#[derive(Debug)]
pub struct Inspected {
    /// The rule's side.
    pub job: Job,
    /// The file's side.
    pub state: State,
    /// What kind of sops file it is, if it is one.
    pub store: Option<Store>,
    /// What the sops file and its rule say is encrypted, where they differ. A rekey leaves that, so
    /// that it is no part of the state.
    pub selection: Option<Selection>,
    /// Whether the file is armored.
    pub armored: bool,
    /// The file as it was before its header was read.
    pub stamp: Option<Stamp>,
    /// Whether the name is that of a symbolic link.
    pub link: bool,
    /// The file, where it is small and may have to be changed.
    pub whole: Option<Whole>,
}

/// Two ways to choose the values that are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// That of the file.
    pub file: select::Rule,
    /// That of the rules.
    pub rules: select::Rule,
}

/// What tells a file from what another program puts in its place: device, inode, size, time of
/// the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64, u64, u64, i64, i64);

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self(data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec())
    }
}

/// The stamp of a file as it is now.
pub fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().as_ref().map(Stamp::of)
}

/// Looks at the headers of many files. `known` is everybody whom the rules name.
pub fn inspect_all(jobs: Vec<Job>, known: &[Expected]) -> Vec<Inspected> {
    let room = AtomicU64::new(MOST_KEPT);
    jobs.into_par_iter()
        .enumerate()
        .map(|(number, job)| {
            if number.is_multiple_of(GROWN) {
                grow_heap();
            }
            inspect(job, known, &room)
        })
        .collect()
}

/// Makes room for the headers of some files. The heap of a thread grows page by page in glibc, each
/// time with a system call for which all threads wait; what is given back to it is used for smaller things.
fn grow_heap() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(HEAP)));
}

/// Looks at one header. `room` is how many bytes of files may still be kept in memory.
fn inspect(job: Job, known: &[Expected], room: &AtomicU64) -> Inspected {
    let other = |job, state, stamp, link| Inspected {
        job,
        state,
        store: None,
        selection: None,
        armored: false,
        stamp,
        link,
        whole: None,
    };
    let (file, data, link) = match open_file(&job.path) {
        Ok(opened) => opened,
        Err(AgeError::Read(e)) if e.kind() == ErrorKind::NotFound => {
            return other(job, State::Absent, None, false);
        }
        Err(error) => {
            let link = job.path.is_symlink();
            return other(job, State::Broken(error), None, link);
        }
    };
    let stamp = Some(Stamp::of(&data));
    let size = data.len();
    let encrypted = match read_ahead(file, size).and_then(Encrypted::read) {
        Ok(encrypted) => encrypted,
        Err(AgeError::NotAge) => {
            let store = Store::of_path(&job.path);
            let (state, selection) = sops_state(&job, store, known);
            let is_sops = !matches!(state, State::NotEncrypted);
            let store = is_sops.then_some(store);
            return Inspected { store, selection, ..other(job, state, stamp, link) };
        }
        Err(error) => return other(job, State::Broken(error), stamp, link),
    };
    let comparison = compare(&encrypted.header.stanzas, &job.expected, known, job.anonymous);
    let state = State::of(comparison);
    let armored = encrypted.armored;
    let changes = matches!(state, State::Stale(_) | State::Unknown(_));
    let keep = changes && size <= SMALL && take(room, size);
    // What cannot be read here is read again, and the error told, where it is needed.
    let whole = if keep { encrypted.into_whole(SMALL).ok().flatten() } else { None };
    Inspected { job, state, store: None, selection: None, armored, stamp, link, whole }
}

/// How a file that is no age file stands to its rule.
fn sops_state(job: &Job, store: Store, known: &[Expected]) -> (State, Option<Selection>) {
    let file = match sops::read(&job.path, store) {
        Ok(file) => file,
        Err(Problem::NotEncrypted) => return (State::NotEncrypted, None),
        Err(Problem::Age(error)) => return (State::Broken(error), None),
        Err(Problem::Sops(error)) => return (State::BrokenSops(error.to_string()), None),
        Err(_) => return (State::Absent, None),
    };
    match file.in_the_open() {
        Ok(None) => {}
        Ok(Some((document, way))) => {
            return (State::PartlyPlain(sops::place(document, &way)), None);
        }
        Err(error) => return (State::BrokenSops(error.to_string()), None),
    }
    let Some(readers) = &job.sops else {
        let what = "is a sops file, and its rule is about age files".to_owned();
        return (State::BrokenSops(what), None);
    };
    let comparison = compare_sops(file.metadata(), readers, &job.expected, known);
    let meant = |rule: Option<select::Rule>| {
        rule.filter(|rule| !rule.text().is_empty()).unwrap_or_default()
    };
    let rules = meant(sops::rule(readers.selector.as_ref()));
    let selection = Selection { file: meant(file.metadata().rule.clone()), rules };
    let differs = selection.file != selection.rules && store != Store::Binary;
    (State::of(comparison), differs.then_some(selection))
}

fn take(room: &AtomicU64, size: u64) -> bool {
    let less = |left: u64| left.checked_sub(size);
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

/// Opens an age file as far as its header.
///
/// # Errors
/// As [`Encrypted::read`]; anything but a regular file is [`AgeError::Read`].
pub fn open(path: &Path) -> Result<Encrypted<'static>, AgeError> {
    let (file, ..) = open_file(path)?;
    Encrypted::read(BufReader::with_capacity(16 * 1024, file))
}

/// A regular file, and whether its name is that of a link to it.
fn open_file(path: &Path) -> Result<(File, Metadata, bool), AgeError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut opened = rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty());
    let link = matches!(opened, Err(Errno::LOOP));
    if link {
        opened = rustix::fs::open(path, flags, Mode::empty());
    }
    let file = File::from(opened.map_err(|e| AgeError::Read(e.into()))?);
    let data = file.metadata().map_err(AgeError::Read)?;
    if data.is_dir() {
        return Err(AgeError::Read(ErrorKind::IsADirectory.into()));
    }
    // A pipe would keep us waiting, and nothing could be put in its place.
    if !data.is_file() {
        let error = io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
        return Err(AgeError::Read(error));
    }
    Ok((file, data, link))
}

/// A file from its beginning; a small one is read at once.
fn read_ahead(mut file: File, size: u64) -> Result<Box<dyn BufRead>, AgeError> {
    let length = usize::try_from(size.min(SMALL)).unwrap_or_default();
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        match file.read(bytes.get_mut(read..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(more) => read = read.saturating_add(more),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(AgeError::Read(e)),
        }
    }
    bytes.truncate(read);
    // One that changes its size meanwhile is noticed by its stamp.
    Ok(if size <= SMALL {
        Box::new(Cursor::new(bytes))
    } else {
        Box::new(Cursor::new(bytes).chain(BufReader::with_capacity(16 * 1024, file)))
    })
}

/// Files for which the heap is made to grow at once, and by how many bytes: less than what glibc gives
/// back to the system.
const GROWN: usize = 16;
const HEAP: usize = 112 << 10;
/// Bytes of a file that may be kept in memory until it is changed.
const SMALL: u64 = 16 * 1024;
/// Bytes of all files together that are kept; what comes after is read again.
const MOST_KEPT: u64 = 32 * 1024 * 1024;
