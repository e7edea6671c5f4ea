//! A decrypted file as a named pipe, which is what `sops exec-file` gives a command: the content passes
//! through and is never in a file. Unlike there, it can be read again: each reader gets a pipe of
//! its own, so that what opens the path while another one reads takes nothing from it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Account;
use super::exec::become_user;
use crate::plaintext::Plaintext;

#[cfg(target_os = "linux")]
fn make_fifo(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType};
    Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)
}

#[cfg(not(target_os = "linux"))]
fn make_fifo(_path: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "named pipes only on Linux"))
}

/// The writer, which ends when the value is dropped.
#[derive(Debug)]
pub(super) struct Pipe {
    path: PathBuf,
    end: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Pipe {
    /// Makes a pipe with mode 0600, which [`Pipe::serve`] writes to.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn make(path: &Path) -> io::Result<()> {
        make_fifo(path)
    }

    /// Writes the content for everyone who opens the pipe to read, with the rights of `user` where there
    /// is one: it owns the folder and could put links there.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn serve(
        path: PathBuf,
        content: Plaintext,
        user: Option<Account>,
    ) -> io::Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let (say, ended) = channel();
        let writer = Writer { path: path.clone(), content, end: Arc::clone(&end) };
        std::thread::Builder::new().spawn(move || {
            if writer.run(user.as_ref()).is_err() {
                // The command is told so instead of waiting.
                let _gone = std::fs::remove_file(&writer.path);
            }
            drop(writer);
            let _nobody_waits = say.send(());
        })?;
        Ok(Self { path, end, ended })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // The writer waits for a reader; it may also wait for one that does not read on, forever.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let _reader = rustix::fs::open(&self.path, flags, Mode::empty());
        let _or_too_late = self.ended.recv_timeout(PATIENCE);
    }
}

struct Writer {
    path: PathBuf,
    content: Plaintext,
    end: Arc<AtomicBool>,
}

impl Writer {
    fn run(&self, user: Option<&Account>) -> io::Result<()> {
        if let Some(user) = user {
            become_user(user)?;
        }
        let next = self.path.with_file_name(NEXT);
        while !self.ends() {
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let pipe = match rustix::fs::open(&self.path, flags, Mode::empty()) {
                Err(Errno::INTR) => continue,
                pipe => pipe?,
            };
            if self.ends() {
                break;
            }
            let renewed = self.renew(&next);
            #[expect(clippy::disallowed_methods, reason = "the command that the user named reads")]
            let _not_read_to_the_end = File::from(pipe).write_all(self.content.expose());
            renewed?;
        }
        Ok(())
    }

    /// Puts a fresh pipe in place for the next reader.
    fn renew(&self, next: &Path) -> io::Result<()> {
        Pipe::make(next)?;
        std::fs::rename(next, &self.path)
    }

    fn ends(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }
}

/// The name of a pipe before it is in place.
const NEXT: &str = ".secretctl-next";
const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn pipe(content: &[u8]) -> (tempfile::TempDir, PathBuf, Pipe) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        Pipe::make(&path).unwrap();
        let pipe = Pipe::serve(path.clone(), Plaintext::copy_of(content), None).unwrap();
        (folder, path, pipe)
    }

    #[test]
    fn every_reader_gets_all() {
        let content = vec![b'x'; 300_000];
        let (_folder, path, _pipe) = pipe(&content);
        for _ in 0..20 {
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
        let mut slow = File::open(&path).unwrap();
        let mut first = [0; 1000];
        slow.read_exact(&mut first).unwrap();
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), content.len() - 1000);
    }

    #[test]
    fn the_writer_ends_with_the_value() {
        let (_folder, _path, idle) = pipe(b"x");
        let (end, writer) = (Arc::clone(&idle.end), Arc::downgrade(&idle.end));
        drop((end, idle));
        assert_eq!(writer.strong_count(), 0);
        // one that does not read on does not hold us up
        let (_folder, path, stuck) = pipe(&vec![b'x'; 300_000]);
        let mut reader = File::open(&path).unwrap();
        reader.read_exact(&mut [0]).unwrap();
        drop(stuck);
    }
}
