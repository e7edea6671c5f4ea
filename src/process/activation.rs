//! What systemd hands to a program that it starts: a socket that somebody has connected to, and the
//! signal to stop. `sd_listen_fds(3)`. And what it keeps for a program that is started again,
//! `sd_pid_notify_with_fds(3)`.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketType, sendmsg_addr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// What this process was started with.
#[derive(Debug)]
pub struct Activated {
    /// The socket that it was started for.
    pub listener: UnixListener,
    /// The connections that an earlier process had [kept](Keeper) and did not close itself.
    pub left: Vec<UnixStream>,
}

/// Takes what systemd has passed.
///
/// # Errors
/// [`NotActivated`].
pub fn activated() -> Result<Activated, NotActivated> {
    // The crate takes any descriptors where the variable does not say whom they are for.
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|id| id == std::process::id().to_string());
    if !for_us {
        return Err(NotActivated::NoSocket);
    }
    let mut passed = ListenFd::from_env();
    let listener = passed.take_unix_listener(0).map_err(NotActivated::NotUnix)?;
    let listener = listener.ok_or(NotActivated::NoSocket)?;
    let (family, kind) = (AddressFamily::UNIX.as_raw(), SocketType::STREAM.as_raw());
    let mut left = Vec::new();
    // Sockets come first, then what was kept.
    for at in 1..passed.len() {
        let taken = passed.take_custom::<OwnedFd>(at, family.into(), kind.cast_signed(), "stream");
        let Some(fd) = taken.map_err(NotActivated::NotUnix)? else { continue };
        if socket_acceptconn(&fd).unwrap_or(false) {
            return Err(NotActivated::Several(passed.len()));
        }
        left.push(UnixStream::from(fd));
    }
    Ok(Activated { listener, left })
}

/// Has systemd keep connections beside this process, so that they do not end with it however it ends:
/// the next process gets them. One that was shut down is no longer kept.
#[derive(Debug)]
pub struct Keeper(Option<(UnixDatagram, SocketAddrUnix)>);

impl Keeper {
    /// What the unit allows with `FileDescriptorStoreMax=`.
    pub fn of_this_unit() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|address| {
            match address.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddrUnix::new_abstract_name(name).ok(),
                None => SocketAddrUnix::new(address.as_bytes()).ok(),
            }
        });
        Self(address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address))))
    }

    /// Hands over a connection; from then on it is kept even if this process is gone.
    pub fn keep(&self, connection: &UnixStream) {
        let Some((socket, address)) = &self.0 else { return };
        let fds: [BorrowedFd<'_>; 1] = [connection.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(&fds));
        let text = [IoSlice::new(b"FDSTORE=1")];
        // Where systemd does not take it, the connection is as it would be without.
        let _kept = sendmsg_addr(socket, address, &text, &mut rights, SendFlags::NOSIGNAL);
    }
}

/// Something that can be read once the process is told to stop, and does not end of itself then: by
/// whatever systemd takes for a good end, after which it keeps nothing.
///
/// # Errors
/// What the system says.
pub fn told_to_stop() -> io::Result<UnixStream> {
    let (told, teller) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
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
