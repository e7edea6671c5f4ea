//! How far a long run is, on a terminal. Must not be used for anything that the user has to know:
//! what it writes is gone when the run ends.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts files on stderr, where that is a terminal and there are enough of them to wonder.
pub(crate) struct Progress {
    total: usize,
    done: AtomicUsize,
    /// When the last count was written, if one was; `None` where none is to be.
    last: Option<Mutex<Option<Instant>>>,
}

impl Progress {
    /// The first file that is done is told at once, others not more often than people can read.
    pub(crate) fn new(total: usize) -> Self {
        let watched = total >= ENOUGH && io::stderr().is_terminal();
        let last = watched.then(Mutex::default);
        Self { total, done: AtomicUsize::new(0), last }
    }

    /// One file more is done.
    pub(crate) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let Some(Ok(mut last)) = self.last.as_ref().map(Mutex::try_lock) else { return };
        if last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            *last = Some(Instant::now());
            let _nobody_listens = write!(io::stderr(), "\r{done} of {} files", self.total);
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        if self.last.is_some() {
            let _nobody_listens = write!(io::stderr(), "\r{CLEAR_LINE}");
        }
    }
}

const ENOUGH: usize = 20;
const INTERVAL: Duration = Duration::from_millis(100);
/// ECMA-48, erase in line.
const CLEAR_LINE: &str = "\u{1b}[K";
