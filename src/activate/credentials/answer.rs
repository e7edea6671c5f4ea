//! The answer to one asker: the credential, or more than systemd accepts. Never nothing: whatever
//! becomes of a [`Connection`], it is refused unless the credential was sent.
//!
//! An answer that fits into the socket is sent in one go, so that no end of this process makes half
//! a credential of it. One that does not is never ended early: an asker that does not read is
//! parked, its connection open, until it goes away.

use std::io::{ErrorKind, Write};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
    Slow(Parked),
}

/// An asker that was not answered yet.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    address: SocketAddr,
    answered: bool,
}

/// A connection that is kept open so that nobody takes its end for the end of a credential.
#[derive(Debug)]
pub(super) struct Parked(Connection);

impl Connection {
    pub(super) fn new(stream: UnixStream, address: SocketAddr) -> Self {
        Self { stream, address, answered: false }
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub(super) fn address(&self) -> &SocketAddr {
        &self.address
    }

    /// Sends a credential.
    #[expect(clippy::disallowed_methods, reason = "to the unit that the manifest grants it to")]
    pub(super) fn give(mut self, secret: &Plaintext, patience: Duration) -> Sent {
        self.answered = true;
        // As much at once as the system allows, without waiting for the reader.
        let most = MAX_CREDENTIAL.saturating_mul(2);
        let _as_it_is = rustix::net::sockopt::set_socket_send_buffer_size(&self.stream, most);
        let end = self.send(&mut std::iter::once(secret.expose()), patience);
        self.done(end)
    }

    /// Makes systemd refuse the credential.
    pub(super) fn refuse(mut self, patience: Duration) -> Sent {
        let end = self.send_too_much(patience);
        self.done(end)
    }

    fn send_too_much(&mut self, patience: Duration) -> End {
        self.answered = true;
        let piece = vec![0_u8; PIECE];
        self.send(&mut std::iter::repeat_n(piece.as_slice(), TOO_MANY_PIECES), patience)
    }

    fn send(&mut self, pieces: &mut dyn Iterator<Item = &[u8]>, patience: Duration) -> End {
        let end = Instant::now().checked_add(patience);
        for mut piece in pieces {
            while !piece.is_empty() {
                let left =
                    end.map_or(patience, |end| end.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return End::Slow;
                }
                let timed = self.stream.set_write_timeout(Some(left));
                match timed.and_then(|()| self.stream.write(piece)) {
                    Ok(sent) => piece = piece.get(sent..).unwrap_or_default(),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return End::Slow,
                    Err(_) => return End::Gone,
                }
            }
        }
        End::All
    }

    fn done(self, end: End) -> Sent {
        match end {
            End::All => Sent::All,
            End::Gone => Sent::Gone,
            End::Slow => Sent::Slow(Parked(self)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.answered {
            self.send_too_much(AT_A_DROP);
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    All,
    Gone,
    Slow,
}

impl Parked {
    /// Whether the asker still has its end.
    pub(super) fn is_there(&self) -> bool {
        let mut watched = [PollFd::new(&self.0.stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Where the system does not say, it is taken to be there.
        let _unknown = poll(&mut watched, Some(&now));
        !watched.iter().any(|one| one.revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }
}

/// A refusal is sent until the asker has had enough, which systemd has beyond [`MAX_CREDENTIAL`].
/// Should it ever take more, this is much more: 64 MiB.
const TOO_MANY_PIECES: usize = 1024;
const PIECE: usize = 64 * 1024;
/// For an asker whose thread ended before it was answered.
const AT_A_DROP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A connection whose socket holds little, and its other end.
    fn connection() -> (Connection, UnixStream) {
        let (stream, other) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, 4096).unwrap();
        let address = stream.local_addr().unwrap();
        (Connection::new(stream, address), other)
    }

    #[test]
    fn half_a_credential_has_no_end() {
        let (mut connection, mut other) = connection();
        let bytes = vec![b'x'; MAX_CREDENTIAL];
        let end = connection.send(&mut std::iter::once(&*bytes), Duration::from_millis(20));
        connection.answered = true;
        let Sent::Slow(parked) = connection.done(end) else { panic!("it did not fit") };
        assert!(parked.is_there());
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
        assert!(read < MAX_CREDENTIAL, "{read}");
        drop(other);
        assert!(!parked.is_there());
    }

    #[test]
    fn whatever_is_not_answered_is_refused() {
        let (connection, other) = connection();
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
