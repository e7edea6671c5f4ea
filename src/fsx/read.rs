//! Whole files into memory, never more than a limit. FIFOs, `/dev/stdin` and process
//! substitutions are read like files; folders and disks are not.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::plaintext::Plaintext;

/// Reads a file that holds nothing secret.
///
/// # Errors
/// `FileTooLarge` when there are more than `limit` bytes, or what the system says.
pub fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let (file, size) = open(path, limit)?;
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
    let file = File::open(path)?;
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
    fn folders_are_refused() {
        let error = read_plaintext(Path::new("/"), 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
