//! The talk with one plugin process: framing, limits, and the questions that it may ask.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use age_core::format::Stanza;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::{Zeroize, Zeroizing};

use super::{PluginError, Plugins};
use crate::key::ask::Ask;
use crate::key::recipient::is_plugin_name;
use crate::key::stanza::{parse_stanza, write_parts};
use crate::process::pipe::{Running, clean};
use crate::process::{clean_command, find_program};

/// What a plugin says, apart from its questions.
pub(super) enum Command {
    FileKey { file: usize, body: Vec<u8> },
    Stanza { file: usize, stanza: Stanza },
    Labels(BTreeSet<String>),
    StanzaError { file: usize, message: String },
    Error { message: String },
}

/// The commands of one phase of ours.
#[derive(Default)]
pub(super) struct Outgoing(Vec<Zeroizing<Vec<u8>>>);

impl Outgoing {
    pub(super) fn add(&mut self, tag: &str, arguments: &[&str], body: &[u8]) {
        self.0.push(frame(tag, arguments, body));
    }
}

/// A plugin process that is killed when the value is dropped.
pub(super) struct Connection {
    name: String,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    // Last, so that the pipes are closed first and the child may end of itself.
    running: Running,
    buffer: Zeroizing<Vec<u8>>,
    filled: usize,
    commands: usize,
    /// Until when it may take, and how long that is.
    deadline: Option<(Instant, Duration)>,
}

impl Connection {
    pub(super) fn start(
        plugins: &Plugins<'_>,
        name: &str,
        machine: &str,
    ) -> Result<Self, PluginError> {
        let name = name.to_ascii_lowercase();
        if !is_plugin_name(&name) || !plugins.allowed.permits(&name, plugins.ask) {
            return Err(PluginError::NotAllowed { name: clean(&name) });
        }
        let program = plugins
            .allowed
            .program(&name)
            .or_else(|| find_program(OsStr::new(&format!("age-plugin-{name}")), plugins.path));
        let Some(program) = program else { return Err(PluginError::NotFound { name }) };
        let mut command = clean_command(&program, PASSED);
        command.arg(format!("--age-plugin={machine}")).stdin(Stdio::piped());
        let started = Running::start(command).and_then(|mut running| {
            let stdout = running.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            Ok((running.child.stdin.take(), stdout, running))
        });
        let (stdin, stdout, running) =
            started.map_err(|source| PluginError::NotStarted { name: name.clone(), source })?;
        let buffer = Zeroizing::new(vec![0; LARGEST]);
        let deadline = plugins.ask.patience();
        let deadline = deadline.and_then(|time| Some((Instant::now().checked_add(time)?, time)));
        Ok(Self { name, stdin, stdout, running, buffer, filled: 0, commands: 0, deadline })
    }

    /// Sends a whole phase and its end.
    pub(super) fn send_phase(&mut self, outgoing: Outgoing) -> Result<(), PluginError> {
        let mut pending = Zeroizing::new(Vec::with_capacity(CHUNK));
        for command in outgoing.0.into_iter().chain([frame("done", &[], b"")]) {
            if pending.len().saturating_add(command.len()) > CHUNK {
                self.write(&pending)?;
                pending.zeroize();
            }
            if command.len() > CHUNK {
                self.write(&command)?;
            } else {
                pending.extend_from_slice(&command);
            }
        }
        self.write(&pending)
    }

    /// The next command that is not a question; questions are answered meanwhile. `None` when
    /// the plugin is done.
    pub(super) fn next(&mut self, ask: &dyn Ask) -> Result<Option<Command>, PluginError> {
        loop {
            self.commands = self.commands.saturating_add(1);
            if self.commands > MOST_COMMANDS {
                return Err(self.broken("no end of commands"));
            }
            let mut stanza = self.read()?;
            let result = match stanza.tag.as_str() {
                "done" => return Ok(None),
                "msg" | "confirm" | "request-public" | "request-secret" => {
                    self.question(&stanza, ask).map(|()| None)
                }
                "file-key" => match number(&stanza, 0) {
                    Some(file) => {
                        Ok(Some(Command::FileKey { file, body: std::mem::take(&mut stanza.body) }))
                    }
                    None => Err(self.broken("a file key without the index of its file")),
                },
                "recipient-stanza" => self.recipient_stanza(&mut stanza).map(Some),
                "labels" => Ok(Some(Command::Labels(stanza.args.iter().cloned().collect()))),
                "error" => self.error(&stanza).map(Some),
                _ => self.answer("unsupported", &[], b"").map(|()| None),
            };
            stanza.body.zeroize();
            if let Some(command) = result? {
                match (self.answer("ok", &[], b""), &command) {
                    // Some end as soon as they have reported an error.
                    (Ok(()), _) | (Err(_), Command::Error { .. }) => return Ok(Some(command)),
                    (Err(e), _) => return Err(e),
                }
            }
        }
    }

    /// The plugin broke the protocol.
    pub(super) fn broken(&self, what: &'static str) -> PluginError {
        PluginError::Protocol { name: self.name.clone(), what }
    }

    /// Lets the plugin end of itself, for a moment.
    pub(super) fn finish(mut self) {
        self.stdin = None;
        let _ended = self.running.wait(Duration::from_secs(2));
    }

    fn question(&mut self, stanza: &Stanza, ask: &dyn Ask) -> Result<(), PluginError> {
        let said = clean(&String::from_utf8_lossy(&stanza.body));
        let text = format!("age-plugin-{}: {said}", self.name);
        match stanza.tag.as_str() {
            "request-secret" => match ask.secret(&text) {
                #[expect(clippy::disallowed_methods, reason = "the plugin asked for its PIN")]
                Some(secret) => self.answer("ok", &[], secret.expose()),
                None => self.answer("fail", &[], b""),
            },
            "request-public" => match ask.line(&text) {
                Some(line) => self.answer("ok", &[], line.as_bytes()),
                None => self.answer("fail", &[], b""),
            },
            "confirm" => {
                let label = |index: usize| {
                    let bytes = BASE64_STANDARD_NO_PAD.decode(stanza.args.get(index)?).ok()?;
                    Some(clean(&String::from_utf8_lossy(&bytes)))
                };
                let Some(yes) = label(0) else {
                    return Err(self.broken("a question without an answer to choose"));
                };
                match ask.confirm(&text, &yes, label(1).as_deref()) {
                    Some(true) => self.answer("ok", &["yes"], b""),
                    Some(false) => self.answer("ok", &["no"], b""),
                    None => self.answer("fail", &[], b""),
                }
            }
            _ => self.answer(if ask.message(&text) { "ok" } else { "fail" }, &[], b""),
        }
    }

    fn recipient_stanza(&self, stanza: &mut Stanza) -> Result<Command, PluginError> {
        let file = number(stanza, 0);
        let mut arguments = std::mem::take(&mut stanza.args).into_iter().skip(1);
        match (file, arguments.next()) {
            (Some(file), Some(tag)) => {
                let body = std::mem::take(&mut stanza.body);
                let stanza = Stanza { tag, args: arguments.collect(), body };
                Ok(Command::Stanza { file, stanza })
            }
            (None, _) | (_, None) => Err(self.broken("a stanza without file or type")),
        }
    }

    fn error(&self, stanza: &Stanza) -> Result<Command, PluginError> {
        let message = clean(&String::from_utf8_lossy(&stanza.body));
        match stanza.args.first().map(String::as_str) {
            Some("stanza") => match number(stanza, 1) {
                Some(file) => Ok(Command::StanzaError { file, message }),
                None => Err(self.broken("an error without the index of its file")),
            },
            Some(_) => Ok(Command::Error { message }),
            None => Err(self.broken("an error of no kind")),
        }
    }

    fn answer(&mut self, tag: &str, arguments: &[&str], body: &[u8]) -> Result<(), PluginError> {
        self.write(&frame(tag, arguments, body))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PluginError> {
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes).and_then(|()| stdin.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|_| self.ended())
    }

    fn read(&mut self) -> Result<Stanza, PluginError> {
        loop {
            let held = self.buffer.get(..self.filled).unwrap_or_default();
            match parse_stanza(held) {
                Ok(Some((stanza, rest))) => {
                    let left = rest.len();
                    let begin = self.filled.saturating_sub(left);
                    self.buffer.copy_within(begin..self.filled, 0);
                    self.filled = left;
                    return Ok(stanza);
                }
                Ok(None) if self.filled == self.buffer.len() => {
                    return Err(self.broken("a command of more than 256 KiB"));
                }
                Ok(None) => {}
                Err(_) => return Err(self.broken("a command that is no stanza")),
            }
            self.wait()?;
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match self.stdout.read(free) {
                Ok(count @ 1..) => self.filled = self.filled.saturating_add(count),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Err(self.ended()),
            }
        }
    }

    /// Waits until there is something to read, where somebody has not that much patience.
    fn wait(&self) -> Result<(), PluginError> {
        let Some((deadline, after)) = self.deadline else { return Ok(()) };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            let mut stdout = [PollFd::new(&self.stdout, PollFlags::IN)];
            match poll(&mut stdout, left.as_ref()) {
                Ok(0) => return Err(PluginError::TimedOut { name: self.name.clone(), after }),
                Err(error) if error == rustix::io::Errno::INTR => {}
                // What else there is to say, reading says.
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }

    fn ended(&mut self) -> PluginError {
        self.stdin = None;
        let _ended = self.running.wait(Duration::from_millis(500));
        PluginError::Ended { name: self.name.clone(), said: self.running.complaint() }
    }
}

fn frame(tag: &str, arguments: &[&str], body: &[u8]) -> Zeroizing<Vec<u8>> {
    let words: usize = arguments.iter().map(|word| word.len().saturating_add(1)).sum();
    let size = body.len().saturating_mul(2).saturating_add(words).saturating_add(64);
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    write_parts(&mut out, tag, arguments, body);
    out
}

fn number(stanza: &Stanza, argument: usize) -> Option<usize> {
    stanza.args.get(argument)?.parse().ok()
}

/// The variables that plugins get besides those that all programs get.
const PASSED: &[&str] = &["AGE_*", "AGEDEBUG", "PCSCLITE_*", "TPM2*", "GNUPGHOME"];
/// The largest command that is read; the stanza of a post-quantum recipient has 1.6 KiB.
const LARGEST: usize = 256 << 10;
/// More than a plugin says about the largest repository; a stop for one that never ends.
const MOST_COMMANDS: usize = 1 << 20;
const CHUNK: usize = 32 << 10;
