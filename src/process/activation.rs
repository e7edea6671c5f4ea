//! What systemd hands to a program that it starts: a socket that somebody has connected to, and the
//! signal to stop. `sd_listen_fds(3)`.

use std::fmt;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};

use listenfd::ListenFd;
use signal_hook::consts::{SIGINT, SIGTERM};

/// The socket that this process was started for.
///
/// # Errors
/// [`NotActivated`].
pub fn listener() -> Result<UnixListener, NotActivated> {
    // The crate takes any descriptors where the variable does not say whom they are for.
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|id| id == std::process::id().to_string());
    if !for_us {
        return Err(NotActivated::NoSocket);
    }
    let mut passed = ListenFd::from_env();
    if passed.len() > 1 {
        return Err(NotActivated::Several(passed.len()));
    }
    let taken = passed.take_unix_listener(0).map_err(NotActivated::NotUnix)?;
    taken.ok_or(NotActivated::NoSocket)
}

/// Something that can be read once the process is told to stop, and does not end of itself then.
///
/// # Errors
/// What the system says.
pub fn told_to_stop() -> io::Result<UnixStream> {
    let (told, teller) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, teller.try_clone()?)?;
    }
    Ok(told)
}

/// Why there is no socket.
#[derive(Debug)]
pub enum NotActivated {
    /// systemd passed none, or to another process.
    NoSocket,
    /// It passed several.
    Several(usize),
    /// It is none of local streams that listens.
    NotUnix(io::Error),
}

impl fmt::Display for NotActivated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket => f.write_str("systemd passed no socket"),
            Self::Several(n) => write!(f, "systemd passed {n} sockets, and there is to be one"),
            Self::NotUnix(error) => {
                write!(f, "the socket that systemd passed is no local stream: {error}")
            }
        }
    }
}

impl std::error::Error for NotActivated {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotUnix(error) => Some(error),
            Self::NoSocket | Self::Several(_) => None,
        }
    }
}
