//! Whole files into memory, never more than a limit. FIFOs, `/dev/stdin` and process
//! substitutions are read like files where the user names them, and are an error where a repository
//! does, whose links lead anywhere; folders and disks are never read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::plaintext::Plaintext;

/// Reads a file that holds nothing secret.
///
/// # Errors
/// `FileTooLarge` when there are more than `limit` bytes, or what the system says.
pub fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    whole(open(path, limit)?, limit)
}

/// As [`read_limited`], of a file that somebody else may have named or made a link to.
///
/// # Errors
/// The same; `InvalidInput` for what is no regular file, which may keep us waiting, and `WouldBlock` where a
/// regular one does, as some in `/proc` do.
pub fn read_committed(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    whole(open_regular(path, limit)?, limit)
}

/// As [`read_committed`], of a file that holds secrets.
///
/// # Errors
/// The same.
pub fn read_committed_plaintext(path: &Path, limit: usize) -> io::Result<Plaintext> {
    Plaintext::read_from(&mut open_regular(path, limit)?.0, limit)
}

fn whole((file, size): (File, usize), limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size);
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads a file that holds secrets; the bytes are in no buffer that outlives them.
///
/// # Errors
/// `FileTooLarge` when there are more than `limit` bytes, or what the system says.
pub fn read_plaintext(path: &Path, limit: usize) -> io::Result<Plaintext> {
    let (mut file, _) = open(path, limit)?;
    Plaintext::read_from(&mut file, limit)
}

fn open(path: &Path, limit: usize) -> io::Result<(File, usize)> {
    sized(File::open(path)?, limit)
}

fn open_regular(path: &Path, limit: usize) -> io::Result<(File, usize)> {
    let check = |is_file: bool| {
        let error = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        is_file.then_some(()).ok_or_else(error)
    };
    // Merely opening a device can do something: look first.
    let metadata = std::fs::metadata(path)?;
    check(metadata.is_file() || metadata.is_dir())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let opened = sized(file, limit)?;
    check(opened.0.metadata()?.is_file())?;
    Ok(opened)
}

fn sized(file: File, limit: usize) -> io::Result<(File, usize)> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.file_type().is_block_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a disk, not a file"));
    }
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if metadata.is_file() && size > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((file, size.min(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_inclusive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("-a\nb ");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        assert_eq!(read_plaintext(&path, 5).unwrap().len(), 5);
        for error in [read_limited(&path, 4).unwrap_err(), read_plaintext(&path, 4).unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        }
    }

    #[test]
    fn endless_files_stop_at_the_limit() {
        let error = read_limited(Path::new("/dev/zero"), 100_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn pipes_are_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, b"through the pipe")
        });
        assert_eq!(read_limited(&path, 100).unwrap(), b"through the pipe");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn what_a_repository_names_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for target in [&pipe, Path::new("/dev/zero"), Path::new("/dev/ptmx")] {
            std::os::unix::fs::symlink(target, &link).unwrap();
            let error = read_committed_plaintext(&link, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{target:?}");
            assert_eq!(read_committed(&link, 100).unwrap_err().kind(), error.kind());
            std::fs::remove_file(&link).unwrap();
        }
        std::fs::write(folder.path().join("file"), "file").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read_committed(&link, 100).unwrap(), b"file");
    }

    #[test]
    fn folders_are_refused() {
        let error = read_plaintext(Path::new("/"), 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
