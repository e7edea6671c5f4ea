//! Runs a command in our place, with secrets in its environment: the terminal, the standard streams
//! and the signals are the command's, and its exit code becomes ours.
//!
//! What is typed at the terminal reaches the command without us, since it is in our process group; a
//! signal that a process sends is passed on. The kernel tells which of the two it was.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal};

use super::interrupts::Sender;
use super::{Account, Interrupts, KEYS, SecretFile, command, find_program};
use crate::plaintext::Plaintext;

/// What to run, and with what.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// A path, or a name to look for in the folders of `PATH`.
    pub program: &'a OsStr,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Variables for its environment.
    pub secrets: &'a [(String, Plaintext)],
    /// Files for it.
    pub files: &'a [SecretFile],
    /// Whether the variables are all of its environment.
    pub pristine: bool,
    /// Whether it inherits `SOPS_AGE_KEY`, as sops has it.
    pub inherits_keys: bool,
    /// Another user to run it as.
    pub user: Option<&'a Account>,
}

impl ExecRequest<'_> {
    /// Runs the command to its end; its exit code, or 128 and the number of the signal that
    /// ended it.
    ///
    /// # Errors
    /// [`ExecError`]; the command was not started, or was lost sight of.
    pub fn run(&self, interrupts: &Interrupts) -> Result<u8, ExecError> {
        let command = self.command()?;
        let relay = Arc::new(Relay::default());
        let held = {
            let relay = Arc::clone(&relay);
            interrupts
                .pass_on(move |signal, sender| relay.pass(signal, sender))
                .map_err(ExecError::Signals)?
        };
        let mut child = self.spawn(command).map_err(|source| self.not_started(source))?;
        relay.begin(&child);
        // A key service that nobody waits for any more may still start a program that has credentials.
        self.files.iter().try_for_each(SecretFile::take_back).map_err(ExecError::Files)?;
        let status = child.wait().map_err(ExecError::Lost)?;
        drop(held);
        let code = status.code().or(status.signal().map(|signal| signal.saturating_add(128)));
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
    }

    /// Becomes the command; comes back only where that is not possible.
    pub fn replace(&self) -> ExecError {
        let mut command = match self.command() {
            Ok(command) => command,
            Err(error) => return error,
        };
        if let Some(user) = self.user
            && let Err(error) = become_user(user)
        {
            return ExecError::User { name: user.name.clone(), source: error };
        }
        self.not_started(command.exec())
    }

    fn command(&self) -> Result<Command, ExecError> {
        let found = if Path::new(self.program).components().count() > 1 {
            PathBuf::from(self.program)
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            find_program(self.program, &path).ok_or_else(|| ExecError::Missing {
                program: self.program.to_string_lossy().into_owned(),
            })?
        };
        let mut command = command(&found);
        command.arg0(self.program).args(self.arguments);
        if self.pristine {
            command.env_clear();
        }
        if !self.inherits_keys {
            command.env_remove(KEYS);
        }
        if let Some(user) = self.user {
            command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
        }
        for (name, value) in self.secrets {
            #[expect(clippy::disallowed_methods, reason = "the user wants it in the environment")]
            let value = value.expose();
            if !is_name(name) {
                return Err(ExecError::Name { name: name.clone() });
            }
            if value.contains(&0) {
                return Err(ExecError::Nul { name: name.clone() });
            }
            command.env(name, OsStr::from_bytes(value));
        }
        // The last step, since nothing else that is started shall have them.
        self.files.iter().try_for_each(SecretFile::hand_on).map_err(ExecError::Files)?;
        Ok(command)
    }

    /// Starts it, as the other user where there is one: a thread of its own takes on that user,
    /// and what it starts is the same.
    fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let Some(user) = self.user else { return command.spawn() };
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                become_user(user)?;
                command.spawn()
            });
            thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
        })
    }

    fn not_started(&self, source: io::Error) -> ExecError {
        let program = self.program.to_string_lossy().into_owned();
        match (source.kind(), self.user) {
            (io::ErrorKind::ArgumentListTooLong, _) => ExecError::TooLarge { program },
            (_, Some(user)) => ExecError::User { name: user.name.clone(), source },
            (_, None) => ExecError::Start { program, source },
        }
    }
}

/// Whether a name can be that of a variable.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// Gives this thread the rights of a user and no others, for good.
#[cfg(target_os = "linux")]
pub(super) fn become_user(user: &Account) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Threads have no rights of their own.
#[cfg(not(target_os = "linux"))]
pub(super) fn become_user(_user: &Account) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "another user only on Linux"))
}

/// A child to send signals to: by a descriptor, since its number may be another process's by the
/// time a signal comes; by its number where there are no descriptors of processes.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Running(Result<std::os::fd::OwnedFd, Pid>);

#[cfg(target_os = "linux")]
impl Running {
    fn of(pid: Pid) -> Self {
        use rustix::process::{PidfdFlags, pidfd_open};
        Self(pidfd_open(pid, PidfdFlags::empty()).map_err(|_| pid))
    }

    fn send(&self, signal: Signal) {
        let _ended = match &self.0 {
            Ok(child) => rustix::process::pidfd_send_signal(child, signal),
            Err(pid) => rustix::process::kill_process(*pid, signal),
        };
    }
}

/// A child to send signals to, by its number: there are no descriptors of processes.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Running(Pid);

#[cfg(not(target_os = "linux"))]
impl Running {
    fn of(pid: Pid) -> Self {
        Self(pid)
    }

    fn send(&self, signal: Signal) {
        let _ended = rustix::process::kill_process(self.0, signal);
    }
}

/// The way of signals to the command; those that come before it is there wait for it.
#[derive(Debug, Default)]
struct Relay(Mutex<Early>);

#[derive(Debug, Default)]
struct Early {
    child: Option<Running>,
    waiting: Vec<i32>,
}

impl Relay {
    fn begin(&self, child: &Child) {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let mut early = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        early.child = pid.map(Running::of);
        for signal in std::mem::take(&mut early.waiting) {
            early.send(signal);
        }
    }

    fn pass(&self, signal: i32, sender: Sender) {
        let key = [Signal::INT, Signal::QUIT].iter().any(|key| key.as_raw() == signal);
        let mut early = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if early.child.is_none() {
            early.waiting.push(signal);
        } else if !(key && sender == Sender::Kernel) {
            early.send(signal);
        }
    }
}

impl Early {
    fn send(&self, signal: i32) {
        if let (Some(child), Some(signal)) = (&self.child, Signal::from_named_raw(signal)) {
            child.send(signal);
        }
    }
}

/// Why a command did not run.
#[derive(Debug)]
pub enum ExecError {
    /// There is no such program on `PATH`.
    Missing {
        /// Its name.
        program: String,
    },
    /// It cannot be started.
    Start {
        /// Its name.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// Environment and arguments are larger than the system takes.
    TooLarge {
        /// The name of the program.
        program: String,
    },
    /// It cannot be started as that user.
    User {
        /// The user.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// No variable can be called so.
    Name {
        /// The name.
        name: String,
    },
    /// The value holds a NUL byte.
    Nul {
        /// The name of the variable.
        name: String,
    },
    /// A file cannot be left to it.
    Files(io::Error),
    /// Signals cannot be handled.
    Signals(io::Error),
    /// It was started but cannot be waited for.
    Lost(io::Error),
}

impl ExecError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some("name it with its path, or put its folder on PATH"),
            Self::TooLarge { .. } | Self::Nul { .. } => {
                Some("hand it over as a file: `--file`, with `{}` in the command for its path")
            }
            Self::User { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("only root can run commands as another user")
            }
            Self::Name { .. } => Some("name it yourself: `--env NAME=WAY`"),
            Self::Start { .. }
            | Self::User { .. }
            | Self::Files(_)
            | Self::Signals(_)
            | Self::Lost(_) => None,
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program } => write!(f, "there is no program `{program}` on PATH"),
            Self::Start { program, source } => write!(f, "cannot start `{program}`: {source}"),
            Self::TooLarge { program } => {
                write!(f, "cannot start `{program}`: its environment would be too large")
            }
            Self::User { name, source } => {
                write!(f, "cannot run the command as user `{name}`: {source}")
            }
            Self::Name { name } => {
                write!(f, "`{name}` cannot be the name of a variable of the environment")
            }
            Self::Nul { name } => {
                write!(f, "the value of `{name}` holds a NUL byte, which no variable can hold")
            }
            Self::Files(source) => write!(f, "cannot hand the file to the command: {source}"),
            Self::Signals(source) => write!(f, "cannot handle signals: {source}"),
            Self::Lost(source) => write!(f, "lost touch with the command: {source}"),
        }
    }
}

impl std::error::Error for ExecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. }
            | Self::User { source, .. }
            | Self::Files(source)
            | Self::Signals(source)
            | Self::Lost(source) => Some(source),
            Self::Missing { .. } | Self::TooLarge { .. } | Self::Name { .. } | Self::Nul { .. } => {
                None
            }
        }
    }
}
