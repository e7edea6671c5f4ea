//! Credentials of units, answered over a socket while systemd starts them. Each is decrypted when
//! it is asked for and forgotten when it was sent.
//!
//! systemd connects as root from inside the control group of the unit that it starts and tells unit
//! and credential in its own address (`asker`). It takes an answer of nothing for an empty
//! credential and starts the unit, so a connection must never be closed without an answer: what is
//! refused gets more bytes than systemd accepts, and the unit fails (`answer`).
//!
//! Knows no manifest: whoever serves gives the function that opens. systemd.exec(5),
//! `LoadCredential=`.

mod answer;
mod asker;

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::plaintext::Plaintext;
pub use answer::MAX_CREDENTIAL;
use answer::{Connection, Parked, Sent};
pub use asker::{Asker, Host, Unproven};

/// Bounds of one run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long nobody needs to ask before the run ends.
    pub idle: Duration,
    /// How long an asker may take to read its answer before it gets no more of it.
    pub patience: Duration,
    /// How many are answered at once; others wait in the socket.
    pub at_once: usize,
}

/// Why an asker gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The manifest does not give this credential to this unit.
    NotGranted,
    /// It could not be decrypted; whoever opens has told why.
    Failed,
}

/// What happened, for the log.
#[derive(Debug)]
pub enum Event {
    /// A credential was sent.
    Given(Asker),
    /// The unit gets none, and fails.
    Refused(Asker, Denied),
    /// It is larger than systemd takes.
    TooLarge(Asker),
    /// Somebody asked who is not systemd in the name of a unit.
    Unproven(Unproven),
    /// The asker read so slowly that it gets no more.
    Slow(Asker),
    /// The asker went away before it had everything.
    Gone(Asker),
    /// A connection could not be taken.
    NoConnection(io::Error),
}

/// What serving needs; shared by all threads.
#[derive(Clone, Copy)]
pub struct Serving<'a> {
    /// Who may ask.
    pub host: &'a Host,
    /// Bounds.
    pub limits: Limits,
    /// Decrypts for an asker that is proven.
    pub open: &'a (dyn Fn(&Asker) -> Result<Plaintext, Denied> + Sync),
    /// Writes the log.
    pub tell: &'a (dyn Fn(&Event) + Sync),
}

/// Answers until nobody has asked for a while, or until `stop` can be read; what was begun is
/// finished first.
///
/// # Errors
/// What the system says of the socket.
pub fn serve(
    listener: &UnixListener,
    stop: BorrowedFd<'_>,
    serving: Serving<'_>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let work = Work::new();
    let (askers, taken) = mpsc::channel::<(Busy<'_>, Connection)>();
    let taken = Mutex::new(taken);
    std::thread::scope(|scope| {
        let (mut threads, mut stopping) = (0_usize, false);
        // Moved in, so that the threads end with this loop.
        let askers = askers;
        while let Some(wait) = work.wait(serving.limits, stopping) {
            let mut room = !stopping && work.parked() < MAX_PARKED;
            // A connection is taken only when a thread is free for it: it could not be given back.
            if room && work.busy() >= threads {
                let spawned = (threads < serving.limits.at_once).then(|| {
                    let thread = std::thread::Builder::new();
                    thread.spawn_scoped(scope, || work_off(&taken, serving))
                });
                match spawned {
                    Some(Ok(_)) => threads = threads.saturating_add(1),
                    Some(Err(error)) if threads == 0 => return Err(error),
                    Some(Err(_)) | None => room = false,
                }
            }
            let listener = room.then_some(listener);
            let Some(listener) = wait_for(listener, stop, wait, &mut stopping)? else { continue };
            match listener.accept() {
                Ok((stream, address)) => {
                    let connection = Connection::new(stream, address);
                    // Does not fail as long as there is a thread.
                    let _kept = askers.send((work.begin(), connection));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    (serving.tell)(&Event::NoConnection(error));
                    // Too many open files, say: others have to end first.
                    std::thread::sleep(STEP);
                }
            }
        }
        Ok(())
    })
}

/// One thread: answers one asker after the other.
fn work_off(taken: &Mutex<Receiver<(Busy<'_>, Connection)>>, serving: Serving<'_>) {
    loop {
        let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((busy, connection)) = next else { return };
        // What breaks on one file is no reason to leave the others without an answer; the
        // connection is refused when it is dropped.
        let answer = AssertUnwindSafe(move || busy.answer(connection, serving));
        let _told_by_the_hook = std::panic::catch_unwind(answer);
    }
}

/// Waits until somebody asks. Sets `stopping` when the run is to end.
fn wait_for<'l>(
    listener: Option<&'l UnixListener>,
    stop: BorrowedFd<'_>,
    wait: Duration,
    stopping: &mut bool,
) -> io::Result<Option<&'l UnixListener>> {
    let wait = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    let mut watched = Vec::with_capacity(2);
    watched.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
    if !*stopping {
        watched.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
    }
    match poll(&mut watched, Some(&wait)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut happened = watched.iter().map(|one| !one.revents().is_empty());
    let asked = listener.filter(|_| happened.next().unwrap_or(false));
    *stopping |= happened.next().unwrap_or(false);
    Ok(asked.filter(|_| !*stopping))
}

/// Whether the next attempt may do better at once: the asker went away again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

struct Work(Mutex<State>);

struct State {
    busy: usize,
    parked: Vec<Parked>,
    last: Instant,
}

impl Work {
    fn new() -> Self {
        Self(Mutex::new(State { busy: 0, parked: Vec::new(), last: Instant::now() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> usize {
        self.state().busy
    }

    fn parked(&self) -> usize {
        self.state().parked.len()
    }

    /// How long to wait for the next asker; `None` when the run is over.
    fn wait(&self, limits: Limits, stopping: bool) -> Option<Duration> {
        let mut state = self.state();
        state.parked.retain(Parked::is_there);
        if state.busy > 0 || !state.parked.is_empty() {
            return Some(STEP);
        }
        let left = limits.idle.saturating_sub(state.last.elapsed());
        (!stopping && !left.is_zero()).then_some(left)
    }

    fn begin(&self) -> Busy<'_> {
        let mut state = self.state();
        state.busy = state.busy.saturating_add(1);
        Busy(self)
    }
}

/// Counts as work until it is dropped.
struct Busy<'a>(&'a Work);

impl Busy<'_> {
    fn answer(self, connection: Connection, serving: Serving<'_>) {
        let Serving { host, limits, open, tell } = serving;
        let asker = match host.prove(connection.stream(), connection.address()) {
            Ok(asker) => asker,
            Err(unproven) => {
                tell(&Event::Unproven(unproven));
                return self.refuse(connection, limits);
            }
        };
        let event = match open(&asker) {
            Ok(secret) if secret.len() > MAX_CREDENTIAL => Event::TooLarge(asker),
            Err(denied) => Event::Refused(asker, denied),
            Ok(secret) => {
                let sent = connection.give(&secret, limits.patience);
                // Not to be held while others are waited for.
                drop(secret);
                tell(&match sent {
                    Sent::All => Event::Given(asker),
                    Sent::Gone => Event::Gone(asker),
                    Sent::Slow(parked) => {
                        self.park(parked);
                        Event::Slow(asker)
                    }
                });
                return;
            }
        };
        tell(&event);
        self.refuse(connection, limits);
    }

    fn refuse(&self, connection: Connection, limits: Limits) {
        if let Sent::Slow(parked) = connection.refuse(limits.patience) {
            self.park(parked);
        }
    }

    fn park(&self, parked: Parked) {
        self.0.state().parked.push(parked);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy = state.busy.saturating_sub(1);
        state.last = Instant::now();
    }
}

/// How often is looked whether those who are busy have ended.
const STEP: Duration = Duration::from_millis(50);
/// Most connections that nobody reads from.
const MAX_PARKED: usize = 256;

#[cfg(test)]
mod tests;
