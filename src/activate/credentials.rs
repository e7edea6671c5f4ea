//! Credentials of units, answered over a socket while systemd starts them. Each is decrypted when
//! it is asked for and forgotten when it was sent.
//!
//! systemd connects as root from inside the control group of the unit that it starts and tells unit
//! and credential in its own address (`asker`). It takes an answer of nothing for an empty
//! credential and starts the unit, so a connection must never be closed without an answer: what is
//! refused gets more bytes than systemd accepts, and the unit fails (`answer`). So that none is closed by
//! the kernel either, whoever serves has each kept elsewhere, and hands in what an earlier process left.
//!
//! A unit that is in the hands of somebody else can ask and not read. So no thread waits for who is
//! refused, and each unit has a share of the threads and of the connections that are kept.
//!
//! Knows no manifest: whoever serves gives the function that opens. systemd.exec(5),
//! `LoadCredential=`.

mod answer;
mod asker;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::plaintext::Plaintext;
pub use answer::MAX_CREDENTIAL;
use answer::{Connection, Sent, Unread};
pub use asker::{Asker, Host, Unproven};

/// Bounds of one run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long nobody needs to ask before the run ends.
    pub idle: Duration,
    /// How long an asker may take to read its answer before it gets no more of it.
    pub patience: Duration,
    /// How many are answered at once, a quarter of them for one unit; others wait in the socket.
    pub at_once: usize,
}

/// Why an asker gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The manifest does not give this credential to this unit.
    NotGranted,
    /// It could not be decrypted; whoever opens has told why.
    Failed,
    /// The unit has more connections that it does not read than it may.
    Crowded,
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
    /// An earlier process ended before it had answered so many, which are refused.
    Left(usize),
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
    /// Has a connection kept beyond this process.
    pub keep: &'a (dyn Fn(&UnixStream) + Sync),
    /// Writes the log.
    pub tell: &'a (dyn Fn(&Event) + Sync),
}

/// Answers until nobody has asked for a while, or until `stop` can be read; what was begun is
/// finished first. Those who were `left` may have a part of their answer, and are refused.
///
/// # Errors
/// What the system says of the socket.
pub fn serve(
    listener: &UnixListener,
    left: Vec<UnixStream>,
    stop: BorrowedFd<'_>,
    serving: Serving<'_>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (ready, taken) = mpsc::channel();
    let work = Work::new(ready, serving.limits.at_once);
    if !left.is_empty() {
        (serving.tell)(&Event::Left(left.len()));
    }
    for (number, stream) in left.into_iter().enumerate() {
        // Each alone: they may be of as many units.
        work.keep(Some(format!("/{number}")), Connection::new(stream).refuse());
    }
    let taken = Mutex::new(taken);
    std::thread::scope(|scope| {
        let start = || {
            let thread = std::thread::Builder::new();
            thread.spawn_scoped(scope, || work_off(&taken, &work, serving)).map(drop)
        };
        let served = take_in(listener, stop, serving, &work, &start);
        work.end();
        served
    })
}

/// Takes those who ask, and hands those who are proven to threads, which `start` starts.
fn take_in(
    listener: &UnixListener,
    stop: BorrowedFd<'_>,
    serving: Serving<'_>,
    work: &Work,
    start: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    let (mut unread, mut stopping) = (Vec::new(), false);
    while let Some(wait) = work.wait(&mut unread, serving.limits.idle, stopping) {
        // A connection is taken only when a thread is free for it: it could not be given back.
        let room = !stopping && work.has_room(start)?;
        let listener = room.then_some(listener);
        let Some(listener) = wait_for(listener, stop, &unread, wait, &mut stopping)? else {
            continue;
        };
        match listener.accept() {
            Ok((stream, address)) => {
                (serving.keep)(&stream);
                match serving.host.prove(&stream, &address) {
                    Ok(asker) => admit(
                        Job { asker, connection: Connection::new(stream) },
                        &unread,
                        work,
                        serving,
                    ),
                    Err(unproven) => {
                        (serving.tell)(&Event::Unproven(unproven));
                        work.keep(None, Connection::new(stream).refuse());
                    }
                }
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
}

/// Has an asker answered, unless its unit has too many others that are not.
fn admit(job: Job, unread: &[Kept], work: &Work, serving: Serving<'_>) {
    let of_unit = |kept: &&Kept| kept.of(Some(&job.asker.unit)) && !kept.unread.is_refusal();
    let half = unread.iter().filter(of_unit).count();
    if half.saturating_add(work.of(&job.asker.unit)) < MOST_OF_ONE {
        return work.add(job);
    }
    let unit = job.asker.unit.clone();
    (serving.tell)(&Event::Refused(job.asker, Denied::Crowded));
    work.keep(Some(unit), job.connection.refuse());
}

/// One thread: answers one asker after the other.
fn work_off(taken: &Mutex<Receiver<Job>>, work: &Work, serving: Serving<'_>) {
    loop {
        let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { asker, connection }) = next else { return };
        let busy = Busy { work, unit: asker.unit.clone() };
        // What breaks on one file is no reason to leave the others without an answer; the
        // connection is refused when it is dropped.
        let answer = AssertUnwindSafe(move || busy.answer(asker, connection, serving));
        let _told_by_the_hook = std::panic::catch_unwind(answer);
    }
}

/// Waits until somebody asks. Sets `stopping` when the run is to end.
fn wait_for<'l>(
    listener: Option<&'l UnixListener>,
    stop: BorrowedFd<'_>,
    unread: &[Kept],
    wait: Duration,
    stopping: &mut bool,
) -> io::Result<Option<&'l UnixListener>> {
    let wait = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    let mut watched = Vec::with_capacity(unread.len().saturating_add(2));
    watched.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
    if !*stopping {
        watched.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
    }
    let first = watched.len();
    watched.extend(unread.iter().map(|kept| kept.unread.watched()));
    match poll(&mut watched, Some(&wait)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut happened = watched.iter().take(first).map(|one| !one.revents().is_empty());
    let asked = listener.filter(|_| happened.next().unwrap_or(false));
    *stopping = *stopping || happened.next().unwrap_or(false);
    Ok(asked.filter(|_| !*stopping))
}

/// Whether the next attempt may do better at once: the asker went away again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

/// An asker that is proven.
struct Job {
    asker: Asker,
    connection: Connection,
}

/// A connection that nobody reads from.
struct Kept {
    /// The unit that asked, if it could prove that.
    unit: Option<String>,
    unread: Unread,
}

impl Kept {
    fn of(&self, unit: Option<&str>) -> bool {
        self.unit.as_deref() == unit
    }
}

/// What the threads share.
struct Work(Mutex<State>);

struct State {
    /// To the threads, until the end.
    ready: Option<Sender<Job>>,
    threads: usize,
    at_once: usize,
    /// The units that threads are busy with.
    busy: Vec<String>,
    /// Those whose units have their share of the threads.
    waiting: VecDeque<Job>,
    /// What is to be kept, until the one thread takes it that keeps all.
    kept: Vec<Kept>,
    last: Instant,
}

impl Work {
    fn new(ready: Sender<Job>, at_once: usize) -> Self {
        Self(Mutex::new(State {
            ready: Some(ready),
            threads: 0,
            at_once,
            busy: Vec::new(),
            waiting: VecDeque::new(),
            kept: Vec::new(),
            last: Instant::now(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait for the next asker; `None` when the run is over. Those who do not read get
    /// on as far as they want.
    fn wait(&self, unread: &mut Vec<Kept>, idle: Duration, stopping: bool) -> Option<Duration> {
        let mut state = self.state();
        unread.append(&mut state.kept);
        unread.retain_mut(|kept| kept.unread.go_on());
        thin_out(unread);
        if !(state.busy.is_empty() && state.waiting.is_empty() && unread.is_empty()) {
            return Some(STEP);
        }
        let left = idle.saturating_sub(state.last.elapsed());
        (!stopping && !left.is_zero()).then_some(left)
    }

    /// Whether a thread is free, which is started if need be.
    fn has_room(&self, start: &dyn Fn() -> io::Result<()>) -> io::Result<bool> {
        let mut state = self.state();
        if state.busy.len() < state.threads {
            return Ok(true);
        }
        if state.threads >= state.at_once {
            return Ok(false);
        }
        match start() {
            Ok(()) => state.threads = state.threads.saturating_add(1),
            Err(error) if state.threads == 0 => return Err(error),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// How many of a unit are being answered or wait for that.
    fn of(&self, unit: &str) -> usize {
        let state = self.state();
        let busy = state.busy.iter().filter(|busy| *busy == unit).count();
        let waiting = state.waiting.iter().filter(|job| job.asker.unit == unit).count();
        busy.saturating_add(waiting)
    }

    fn add(&self, job: Job) {
        let mut state = self.state();
        state.waiting.push_back(job);
        state.hand_on();
    }

    fn keep(&self, unit: Option<String>, unread: Option<Unread>) {
        self.state().kept.extend(unread.map(|unread| Kept { unit, unread }));
    }

    /// The threads end with what they have.
    fn end(&self) {
        self.state().ready = None;
    }
}

impl State {
    /// To free threads, whoever's unit has not its share of them yet.
    fn hand_on(&mut self) {
        let share = (self.at_once / 4).max(1);
        while self.busy.len() < self.threads {
            let busy_with = |unit: &str| self.busy.iter().filter(|busy| *busy == unit).count();
            let next = self.waiting.iter().position(|job| busy_with(&job.asker.unit) < share);
            let Some(job) = next.and_then(|next| self.waiting.remove(next)) else { return };
            self.busy.push(job.asker.unit.clone());
            // Does not fail as long as there is a thread.
            let _kept = self.ready.as_ref().map(|ready| ready.send(job));
        }
    }
}

/// Ends the oldest refusals of those who have too many: systemd reads one at once.
fn thin_out(unread: &mut Vec<Kept>) {
    let alike = |unread: &[Kept], unit: Option<&str>| {
        unread.iter().filter(|kept| kept.of(unit) && kept.unread.is_refusal()).count()
    };
    while let Some(oldest) = unread.iter().position(|kept| {
        kept.unread.is_refusal() && alike(unread, kept.unit.as_deref()) > MOST_OF_ONE
    }) {
        unread.remove(oldest);
    }
}

/// A thread that answers an asker of a unit, until it is dropped.
struct Busy<'a> {
    work: &'a Work,
    unit: String,
}

impl Busy<'_> {
    fn answer(self, asker: Asker, connection: Connection, serving: Serving<'_>) {
        let Serving { limits, open, tell, .. } = serving;
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
                    Sent::Slow(unread) => {
                        self.keep(Some(unread));
                        Event::Slow(asker)
                    }
                });
                return;
            }
        };
        tell(&event);
        self.keep(connection.refuse());
    }

    fn keep(&self, unread: Option<Unread>) {
        self.work.keep(Some(self.unit.clone()), unread);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.work.state();
        if let Some(busy) = state.busy.iter().position(|busy| *busy == self.unit) {
            state.busy.swap_remove(busy);
        }
        state.last = Instant::now();
        state.hand_on();
    }
}

/// How often is looked whether those who are busy have ended.
const STEP: Duration = Duration::from_millis(50);
/// Most connections of a unit, or of all who prove nothing, that wait or are kept.
const MOST_OF_ONE: usize = 64;

#[cfg(test)]
mod tests;
