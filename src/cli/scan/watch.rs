//! How far a scan is, on a terminal: a line that is written over and taken away in the end.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::words::bytes;
use crate::scan::walk::Counters;

/// A thread that writes the line, where somebody sees it.
pub(super) struct Watch {
    thread: Option<JoinHandle<()>>,
    ended: Arc<(Mutex<bool>, Condvar, AtomicBool)>,
}

impl Watch {
    /// Begins to write, of so many roots.
    pub(super) fn start(counters: &Arc<Counters>, roots: usize) -> Self {
        let ended = Arc::new((Mutex::new(false), Condvar::new(), AtomicBool::new(false)));
        let thread = io::stderr().is_terminal().then(|| {
            let (counters, ended) = (Arc::clone(counters), Arc::clone(&ended));
            std::thread::spawn(move || {
                let (lock, wake, shown) = &*ended;
                let mut over = lock.lock().unwrap_or_else(PoisonError::into_inner);
                while !*over {
                    let waited = wake.wait_timeout(over, INTERVAL);
                    (over, _) = waited.unwrap_or_else(PoisonError::into_inner);
                    if !*over {
                        shown.store(true, Ordering::Relaxed);
                        let line = line(&counters, roots);
                        let _nobody_listens = write!(io::stderr(), "\r{CLEAR_LINE}{line}");
                    }
                }
            })
        });
        Self { thread, ended }
    }

    /// Takes the line away.
    pub(super) fn stop(self) {
        let (lock, wake, shown) = &*self.ended;
        *lock.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        if let Some(thread) = self.thread {
            let _ended = thread.join();
        }
        if shown.load(Ordering::Relaxed) {
            let _nobody_listens = write!(io::stderr(), "\r{CLEAR_LINE}");
        }
    }
}

fn line(counters: &Counters, roots: usize) -> String {
    let files = counters.files.load(Ordering::Relaxed);
    let read = bytes(counters.bytes.load(Ordering::Relaxed));
    let begun = counters.roots.load(Ordering::Relaxed);
    if roots > 1 {
        let percent = begun.saturating_mul(100).checked_div(roots as u64).unwrap_or_default();
        let filled = usize::try_from(percent / 5).unwrap_or_default().min(20);
        let bar =
            format!("[{}{}]", "#".repeat(filled), "-".repeat(20_usize.saturating_sub(filled)));
        format!("{bar} {begun} of {roots} paths, {files} files, {read}")
    } else {
        format!("{files} files, {read}")
    }
}

const INTERVAL: Duration = Duration::from_millis(100);
/// ECMA-48, erase in line.
const CLEAR_LINE: &str = "\u{1b}[K";
