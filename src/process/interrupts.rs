//! INT, QUIT, TERM and HUP while plaintext lies in a folder: the folder goes first, then the
//! process ends as it would have. While an editor runs, INT and QUIT are for the editor.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// The handlers of the process; unless an editor runs the signals do what they
/// always do. One value per process.
#[derive(Debug)]
pub struct Interrupts {
    default: Arc<AtomicBool>,
}

impl Interrupts {
    /// Installs the handlers.
    ///
    /// # Errors
    /// What the system says.
    pub fn install() -> io::Result<Self> {
        let default = Arc::new(AtomicBool::new(true));
        // Once a handler was installed, the default action never comes back of itself.
        for signal in SIGNALS {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&default))?;
        }
        Ok(Self { default })
    }

    /// From now on, while an editor runs: INT and QUIT do nothing, TERM and HUP remove
    /// `folder` before they end the process.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn hold(&self, folder: Option<&Path>) -> io::Result<Held> {
        let mut signals = Signals::new(SIGNALS)?;
        let handle = signals.handle();
        let folder = folder.map(Path::to_owned);
        let thread = std::thread::Builder::new().spawn(move || {
            for signal in signals.forever() {
                if [SIGTERM, SIGHUP].contains(&signal) {
                    end(folder.as_ref(), signal);
                }
            }
        })?;
        self.default.store(false, Ordering::SeqCst);
        Ok(Held { default: Arc::clone(&self.default), handle, thread: Some(thread) })
    }
}

/// Gives the signals back when dropped.
pub(super) struct Held {
    default: Arc<AtomicBool>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
        self.default.store(true, Ordering::SeqCst);
    }
}

fn end(folder: Option<&PathBuf>, signal: i32) {
    if let Some(folder) = folder {
        let _gone = std::fs::remove_dir_all(folder);
    }
    let _unreachable = signal_hook::low_level::emulate_default_handler(signal);
}

const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
