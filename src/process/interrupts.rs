//! INT, QUIT, TERM and HUP where the process must put something in order before it ends as it
//! would have: plaintext in a folder, temporaries beside their targets, a terminal without echo.
//! While an editor runs, INT and QUIT are for the editor; a command that runs with secrets gets
//! them all.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::exfiltrator::{Exfiltrator, SignalOnly, WithOrigin};
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Cause;

/// The handlers of the process, installed when first needed; as long as nothing is held or
/// postponed the signals do what they always do. One value per process, of which clones are the
/// same.
#[derive(Debug, Clone)]
pub struct Interrupts {
    default: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
    /// The signals that have a handler, once they have it.
    heeded: Arc<Mutex<Option<Vec<i32>>>>,
}

impl Interrupts {
    /// Handlers that are not installed yet.
    #[expect(clippy::new_without_default, reason = "there is one of them, made on purpose")]
    pub fn new() -> Self {
        Self {
            default: Arc::new(AtomicBool::new(true)),
            last: Arc::new(AtomicUsize::new(0)),
            heeded: Arc::default(),
        }
    }

    /// Installs the handlers, once. Signals that the process was started to ignore, as `nohup`
    /// does, stay ignored.
    fn install(&self) -> io::Result<Vec<i32>> {
        let mut installed = self.heeded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heeded) = &*installed {
            return Ok(heeded.clone());
        }
        let ignored = ignored();
        let heeded: Vec<i32> =
            SIGNALS.into_iter().filter(|signal| ignored & mask(*signal) == 0).collect();
        // Once a handler was installed, the default action never comes back of itself.
        for signal in &heeded {
            signal_hook::flag::register_conditional_default(*signal, Arc::clone(&self.default))?;
            let number = usize::try_from(*signal).unwrap_or_default();
            signal_hook::flag::register_usize(*signal, Arc::clone(&self.last), number)?;
        }
        *installed = Some(heeded.clone());
        Ok(heeded)
    }

    /// From now on, while an editor runs: INT and QUIT do nothing, TERM and HUP remove
    /// `folder` before they end the process.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn hold(&self, folder: Option<&Path>) -> io::Result<Held> {
        let folder = folder.map(Path::to_owned);
        self.watch(&[SIGTERM, SIGHUP], move || {
            if let Some(folder) = &folder {
                let _gone = std::fs::remove_dir_all(folder);
            }
        })
    }

    /// From now on, `action` comes before the end that a signal brings.
    ///
    /// # Errors
    /// What the system says.
    pub fn before_end(&self, action: impl Fn() + Send + 'static) -> io::Result<Held> {
        self.watch(&SIGNALS, action)
    }

    /// From now on, while a child runs in our place: signals that may be meant for it, those of
    /// its window too, go to `send`, and none ends this process.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn pass_on(&self, send: impl Fn(i32, Sender) + Send + 'static) -> io::Result<Held> {
        let ignored = ignored();
        let more = [SIGUSR1, SIGUSR2, SIGWINCH];
        let more = more.into_iter().filter(|signal| ignored & mask(*signal) == 0);
        let heeded = self.install()?;
        let heeded: Vec<i32> = heeded.into_iter().chain(more).collect();
        self.listen::<WithOrigin>(&heeded, move |origin| {
            let kernel = matches!(origin.cause, Cause::Kernel);
            send(origin.signal, if kernel { Sender::Kernel } else { Sender::Process });
        })
    }

    fn watch(
        &self,
        endings: &'static [i32],
        action: impl Fn() + Send + 'static,
    ) -> io::Result<Held> {
        self.listen::<SignalOnly>(&self.install()?, move |signal| {
            if endings.contains(&signal) {
                action();
                obey(signal);
            }
        })
    }

    fn listen<What>(
        &self,
        to: &[i32],
        each: impl Fn(What::Output) + Send + 'static,
    ) -> io::Result<Held>
    where
        What: Exfiltrator + Default + 'static,
        What::Storage: Send + Sync,
    {
        let mut signals = SignalsInfo::<What>::new(to)?;
        let handle = signals.handle();
        let thread = std::thread::Builder::new().spawn(move || {
            for signal in signals.forever() {
                each(signal);
            }
        })?;
        self.default.store(false, Ordering::SeqCst);
        Ok(Held { default: Arc::clone(&self.default), handle, thread: Some(thread) })
    }

    /// From now on signals are only noted, for work in small steps that asks after each.
    ///
    /// # Errors
    /// What the system says.
    pub fn postpone(&self) -> io::Result<Postponed> {
        self.install()?;
        self.last.store(0, Ordering::SeqCst);
        self.default.store(false, Ordering::SeqCst);
        Ok(Postponed { default: Arc::clone(&self.default), last: Arc::clone(&self.last) })
    }
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The kernel, as when a key is typed at the terminal: to the whole group of processes.
    Kernel,
    /// A process, or nobody knows.
    Process,
}

/// Gives the signals back when dropped; whoever does that asks before what [`Postponed::came`].
#[derive(Debug)]
pub struct Postponed {
    default: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
}

impl Postponed {
    /// The signal that came, if any.
    pub fn came(&self) -> Option<i32> {
        i32::try_from(self.last.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

impl Drop for Postponed {
    fn drop(&mut self) {
        self.default.store(true, Ordering::SeqCst);
    }
}

/// Ends the process as a signal does that nobody handles.
pub fn obey(signal: i32) {
    let _unreachable = signal_hook::low_level::emulate_default_handler(signal);
}

/// Gives the signals back when dropped.
#[derive(Debug)]
pub struct Held {
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

/// The signals that this process was started to ignore, as a mask of bits.
fn ignored() -> u64 {
    let status = crate::fsx::read_limited(Path::new("/proc/self/status"), 1 << 16);
    let status = status.unwrap_or_default();
    let field = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"SigIgn:"));
    let text = field.and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default();
    u64::from_str_radix(text.trim(), 16).unwrap_or_default()
}

fn mask(signal: i32) -> u64 {
    let bit = u32::try_from(signal).unwrap_or_default().saturating_sub(1);
    1_u64.checked_shl(bit).unwrap_or_default()
}

const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
