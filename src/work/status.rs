//! The state of secret files against the rules, told from headers alone: no private key is read.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};

use super::compare::{Comparison, compare};
use super::{Expected, Job};
use crate::format::age::{AgeError, Encrypted};

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
    /// It is an age file that cannot be used, or it cannot be read.
    Broken(AgeError),
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
    /// Whether the file is armored.
    pub armored: bool,
    /// The file as it was before its header was read.
    pub stamp: Option<Stamp>,
}

/// What tells a file from what another program puts in its place: device, inode, size, time of
/// the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64, u64, u64, i64, i64);

/// The stamp of a file as it is now.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some(Stamp(data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}

/// Looks at the headers of many files. `known` is everybody whom the rules name.
pub fn inspect_all(jobs: Vec<Job>, known: &[Expected]) -> Vec<Inspected> {
    jobs.into_par_iter().map(|job| inspect(job, known)).collect()
}

/// Looks at one header.
pub fn inspect(job: Job, known: &[Expected]) -> Inspected {
    let stamp = stamp(&job.path);
    let encrypted = match open(&job.path) {
        Ok(encrypted) => encrypted,
        Err(AgeError::Read(e)) if e.kind() == ErrorKind::NotFound => {
            return Inspected { job, state: State::Absent, armored: false, stamp };
        }
        Err(AgeError::NotAge) => {
            return Inspected { job, state: State::NotEncrypted, armored: false, stamp };
        }
        Err(error) => return Inspected { job, state: State::Broken(error), armored: false, stamp },
    };
    let comparison = compare(&encrypted.header.stanzas, &job.expected, known, job.anonymous);
    let state = State::of(comparison);
    Inspected { job, state, armored: encrypted.armored, stamp }
}

/// Opens an age file as far as its header.
///
/// # Errors
/// As [`Encrypted::read`]; anything but a regular file is [`AgeError::Read`].
pub fn open(path: &Path) -> Result<Encrypted<'static>, AgeError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|e| AgeError::Read(e.into()))?;
    let file = File::from(file);
    let kind = file.metadata().map_err(AgeError::Read)?.file_type();
    if kind.is_dir() {
        return Err(AgeError::Read(ErrorKind::IsADirectory.into()));
    }
    // A pipe would keep us waiting, and nothing could be put in its place.
    if !kind.is_file() {
        let error = io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
        return Err(AgeError::Read(error));
    }
    Encrypted::read(BufReader::with_capacity(16 * 1024, file))
}
