//! The answer to one asker: the credential, or more than systemd accepts. Never nothing: whatever
//! becomes of a [`Connection`], it is refused unless the credential was sent.
//!
//! An answer that fits into the socket is sent in one go, so that no end of this process makes half
//! a credential of it. One that does not is never ended early: the connection of an asker that does
//! not read stays open ([`Unread`]) until it goes away. A refusal waits for nobody: what does not
//! fit is sent when there is room.
//!
//! systemd keeps the connection too, lest it end with this process; so it is shut down here.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::plaintext::Plaintext;

/// Most bytes of one credential, systemd's `CREDENTIAL_SIZE_MAX`.
pub const MAX_CREDENTIAL: usize = 1024 * 1024;

/// What became of an answer.
#[derive(Debug)]
pub(super) enum Sent {
    /// Everything is in the socket.
    All,
    /// The asker has closed.
    Gone,
    /// The asker does not read.
    Slow(Unread),
}

/// An asker that was not answered yet; `None` once it was.
#[derive(Debug)]
pub(super) struct Connection(Option<UnixStream>);

/// A connection that is kept open so that nobody takes its end for the end of a credential.
#[derive(Debug)]
pub(super) struct Unread {
    stream: UnixStream,
    /// How much of a refusal is still to be sent; `None` where half a credential is in the socket.
    refusal: Option<usize>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Some(stream))
    }

    /// Sends a credential.
    #[expect(clippy::disallowed_methods, reason = "to the unit that the manifest grants it to")]
    pub(super) fn give(mut self, secret: &Plaintext, patience: Duration) -> Sent {
        let Some(stream) = self.0.take() else { return Sent::Gone };
        // As much at once as the system allows, without waiting for the reader.
        let most = MAX_CREDENTIAL.saturating_mul(2);
        let _as_it_is = rustix::net::sockopt::set_socket_send_buffer_size(&stream, most);
        Self::send(stream, secret.expose(), patience)
    }

    fn send(stream: UnixStream, mut rest: &[u8], patience: Duration) -> Sent {
        let end = Instant::now().checked_add(patience);
        while !rest.is_empty() {
            let left = end.map_or(patience, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Sent::Slow(Unread { stream, refusal: None });
            }
            let timed = stream.set_write_timeout(Some(left));
            match timed.and_then(|()| (&stream).write(rest)) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Sent::Slow(Unread { stream, refusal: None });
                }
                Err(_) => return Sent::Gone,
            }
        }
        let _gone = stream.shutdown(Shutdown::Both);
        Sent::All
    }

    /// Makes systemd refuse the credential, once and as long as it is told to [`Unread::go_on`].
    pub(super) fn refuse(mut self) -> Option<Unread> {
        self.0.take().map(|stream| Unread { stream, refusal: Some(TOO_MUCH) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(stream) = self.0.take() else { return };
        let _refused_as_far_as_it_goes = stream.set_write_timeout(Some(AT_A_DROP));
        let mut unread = Unread { stream, refusal: Some(TOO_MUCH) };
        while unread.send(SendFlags::empty()) {}
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _gone = self.stream.shutdown(Shutdown::Both);
    }
}

impl Unread {
    /// Sends what there is room for; whether the connection is to be kept still.
    pub(super) fn go_on(&mut self) -> bool {
        self.send(SendFlags::DONTWAIT)
    }

    fn send(&mut self, how: SendFlags) -> bool {
        if let Some(left) = &mut self.refusal {
            let piece = ZEROS.get(..*left).unwrap_or(&ZEROS);
            match send(&self.stream, piece, how | SendFlags::NOSIGNAL) {
                Ok(sent) => *left = left.saturating_sub(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if how == SendFlags::DONTWAIT => {}
                Err(_) => return false,
            }
        }
        self.refusal != Some(0) && self.is_there()
    }

    /// What to wait for: room, or that the asker goes away, which is always told.
    pub(super) fn watched(&self) -> PollFd<'_> {
        let room = if self.refusal.is_some() { PollFlags::OUT } else { PollFlags::empty() };
        PollFd::new(&self.stream, room)
    }

    /// Whether it is of no harm that the connection ends.
    pub(super) fn is_refusal(&self) -> bool {
        self.refusal.is_some()
    }

    /// Whether the asker still has its end.
    fn is_there(&self) -> bool {
        let mut watched = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Where the system does not say, it is taken to be there.
        let _unknown = poll(&mut watched, Some(&now));
        !watched.iter().any(|one| one.revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }
}

/// A refusal is sent until the asker has had enough, which systemd has beyond [`MAX_CREDENTIAL`].
/// Should it ever take more, this is much more.
const TOO_MUCH: usize = 64 * 1024 * 1024;
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
/// How long an asker may take for each piece whose thread ended before it was answered.
const AT_A_DROP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn half_a_credential_has_no_end() {
        let (stream, mut other) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, 4096).unwrap();
        let bytes = vec![b'x'; MAX_CREDENTIAL];
        let sent = Connection::send(stream, &bytes, Duration::from_millis(20));
        let Sent::Slow(mut unread) = sent else { panic!("it did fit") };
        assert!(unread.go_on());
        other.set_nonblocking(true).unwrap();
        let mut read = 0_usize;
        let error = loop {
            match other.read(&mut [0; 4096]) {
                Ok(0) => panic!("an end after {read} bytes"),
                Ok(more) => read = read.saturating_add(more),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(unread.go_on());
        assert!(read < MAX_CREDENTIAL, "{read}");
        drop(other);
        assert!(!unread.go_on());
    }

    #[test]
    fn whatever_is_not_answered_is_refused() {
        let (stream, other) = UnixStream::pair().unwrap();
        let connection = Connection::new(stream);
        std::thread::scope(|scope| {
            let read = scope.spawn(|| {
                let mut bytes = Vec::new();
                let most = u64::try_from(MAX_CREDENTIAL).unwrap().saturating_add(1);
                (&other).take(most).read_to_end(&mut bytes).map(|_| bytes.len())
            });
            let dropped = scope.spawn(move || drop(connection));
            assert_eq!(read.join().unwrap().unwrap(), MAX_CREDENTIAL.saturating_add(1));
            other.shutdown(std::net::Shutdown::Both).unwrap();
            dropped.join().unwrap();
        });
    }
}
