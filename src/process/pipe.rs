//! A child and its pipes, for programs that are asked one question or talked to for a while.
//! Killed when dropped.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::plaintext::Plaintext;

/// A running child. What it says on stderr is kept up to a limit and the rest thrown away.
pub(crate) struct Running {
    pub(crate) child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts `command` with stdout and stderr piped; stdin as the command has it.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let listener = child.stderr.take().map(|stderr| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || listen(stderr, &said))
        });
        Ok(Self { child, said, listener })
    }

    /// Waits at most `patience`; `None` when that was not enough, and the child is killed.
    pub(crate) fn wait(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let ended = ended_by(&mut self.child, Instant::now().checked_add(patience))?;
        if ended.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(ended)
    }

    /// What the child said on stderr so far, on one line and without control characters.
    pub(crate) fn complaint(&mut self) -> String {
        // Waits for the last words, but not for a grandchild that keeps the pipe open.
        let deadline = Instant::now().checked_add(Duration::from_millis(200));
        while self.listener.as_ref().is_some_and(|listener| !listener.is_finished())
            && deadline.is_some_and(|deadline| Instant::now() < deadline)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        clean(&String::from_utf8_lossy(&said))
    }

    /// The last line of that which is not empty.
    fn last_line(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        text.lines().map(clean).rfind(|line| !line.is_empty()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _dead = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// What a program that ended by itself, or was ended, had to say.
pub(crate) struct Answer {
    /// How it ended; `None` when it was killed after its time.
    pub(crate) status: Option<ExitStatus>,
    /// All of its stdout.
    pub(crate) stdout: Plaintext,
    /// Its stderr on one line, without control characters.
    pub(crate) said: String,
    /// The last line of its stderr that is not empty, the same way.
    pub(crate) last_line: String,
}

/// Runs a program that reads nothing, and gives back its outcome and its stdout.
pub(crate) fn ask(
    command: Command,
    limit: usize,
    patience: Duration,
) -> io::Result<(Option<ExitStatus>, Plaintext, String)> {
    let answer = talk(command, None, limit, patience)?;
    Ok((answer.status, answer.stdout, answer.said))
}

/// Runs a program that reads `input`, if there is one, and gives back its outcome and its stdout.
pub(crate) fn talk(
    mut command: Command,
    input: Option<&Plaintext>,
    limit: usize,
    patience: Duration,
) -> io::Result<Answer> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut running = Running::start(command)?;
    let stdout = running.child.stdout.take();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let read = stdout.map(|mut stdout| Plaintext::read_from(&mut stdout, limit));
        sender.send(read.unwrap_or_else(|| Ok(Plaintext::default())))
    });
    if let (Some(mut stdin), Some(input)) = (running.child.stdin.take(), input) {
        #[expect(clippy::disallowed_methods, reason = "the program is handed its input")]
        let input = Plaintext::copy_of(input.expose());
        #[expect(clippy::disallowed_methods, reason = "the program is handed its input")]
        // A program that does not read all of it says by its status whether that is bad.
        std::thread::spawn(move || stdin.write_all(input.expose()).is_ok());
    }
    let deadline = Instant::now().checked_add(patience);
    let mut status = running.wait(patience)?;
    let mut stdout = Plaintext::default();
    if status.is_some() {
        // What the program started may keep the pipe open after it.
        let left = deadline.map_or(patience, |it| it.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left) {
            Ok(read) => stdout = read?,
            Err(_) => status = None,
        }
    }
    let (said, last_line) = (running.complaint(), running.last_line());
    Ok(Answer { status, stdout, said, last_line })
}

/// Waits for the end of a child until a moment, or without one as long as it takes; `None` when it has
/// not ended.
pub(super) fn ended_by(
    child: &mut Child,
    deadline: Option<Instant>,
) -> io::Result<Option<ExitStatus>> {
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Ok(ended);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Text of another program, fit for a terminal: control characters become blanks, and blanks
/// at the ends go.
pub(crate) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let plain: String = text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect();
    plain.trim().to_owned()
}

fn listen(mut stderr: ChildStderr, said: &Mutex<Vec<u8>>) {
    let mut chunk = [0_u8; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = COMPLAINT.saturating_sub(said.len()).min(count);
        said.extend_from_slice(chunk.get(..room).unwrap_or_default());
    }
}

/// As much of stderr as fits into an error message.
const COMPLAINT: usize = 2048;
