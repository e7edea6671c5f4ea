//! One file on disk: opened by its folder, never through a link, read to its end, holes passed over.
//! One that changes while it is read is read again; what one short read gives is taken as of one moment.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::container::random::Disk;
use super::dig::{Digger, Dug, Shared};
use super::gap::{Gap, Why};
use super::level::Source;
use super::links::Id;
use crate::fsx::system;
use crate::plaintext::Plaintext;

/// An open file and what the system says of it.
pub(crate) struct Open {
    file: File,
    /// What the system says.
    pub(crate) about: About,
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    /// Device and inode.
    pub(crate) id: Id,
    /// Whether it has more names than one.
    pub(crate) has_more_names: bool,
    /// Its permissions.
    pub(crate) mode: u32,
    size: u64,
    /// Whether not all of its bytes are on the disk.
    sparse: bool,
    changed: (i64, u64),
}

impl About {
    fn of(stat: &Stat) -> Self {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let held = u64::try_from(stat.st_blocks).unwrap_or(u64::MAX).saturating_mul(512);
        Self {
            id: (system::device(stat), stat.st_ino),
            has_more_names: stat.st_nlink > 1,
            mode: system::kind_and_permissions(stat),
            size,
            sparse: size > SPARSE && held < size,
            changed: system::changed(stat),
        }
    }
}

/// Opens a regular file; `None` where it is something else by now.
pub(crate) fn open(folder: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Open>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let descriptor: OwnedFd =
        rustix::fs::openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&descriptor)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    Ok(Some(Open { file: descriptor.into(), about: About::of(&stat) }))
}

/// All of a regular file of at most so many bytes; `None` where there is no such.
pub(crate) fn small(folder: BorrowedFd<'_>, name: &str, most: usize) -> Option<(Plaintext, About)> {
    let Open { mut file, about } = open(folder, OsStr::new(name)).ok()??;
    (about.size <= most as u64).then_some(())?;
    Some((Plaintext::read_from(&mut file, most).ok()?, about))
}

/// What came of a file.
pub(crate) struct Looked {
    /// With the line, where it stands in a text.
    pub(crate) found: Vec<(Dug, Option<u64>)>,
    /// What was not looked at.
    pub(crate) gaps: Vec<Gap>,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Whether all of it came with one read.
    once: bool,
}

/// Looks through a file.
pub(crate) fn look<'m>(digger: &mut Digger<'m>, shared: &'m Shared<'m>, open: &Open) -> Looked {
    let mut about = open.about;
    for _ in 0..ATTEMPTS {
        let mut looked = attempt(digger, shared, open, about);
        let after = if looked.once {
            Ok(about)
        } else {
            rustix::fs::fstat(&open.file).map(|stat| About::of(&stat))
        };
        match after {
            Ok(after) if (after.size, after.changed) == (about.size, about.changed) => {
                for (dug, line) in &mut looked.found {
                    *line = if dug.chain.is_empty() {
                        line_of(&open.file, dug.spot.offset)
                    } else {
                        None
                    };
                }
                return looked;
            }
            Ok(after) => about = after,
            Err(error) => {
                looked.gaps.push(unreadable(&error.into()));
                return looked;
            }
        }
    }
    // Whatever it is now, it is looked at once more, and the run is not complete.
    let mut looked = attempt(digger, shared, open, about);
    looked.gaps.push(Gap { chain: Vec::new(), why: Why::Changed });
    looked
}

fn attempt<'m>(
    digger: &mut Digger<'m>,
    shared: &'m Shared<'m>,
    open: &Open,
    about: About,
) -> Looked {
    let mut source =
        OnDisk { file: &open.file, at: 0, size: about.size, sparse: about.sparse, reads: 0 };
    let disk = Disk::new(&open.file, about.size);
    // What decodes foreign bytes may have faults; one of them must not end the run.
    let done = catch_unwind(AssertUnwindSafe(|| digger.file(&mut source, Some(&disk))));
    let Ok((read, found, mut gaps)) = done else {
        *digger = Digger::new(shared);
        let gaps = vec![Gap { chain: Vec::new(), why: Why::Stopped }];
        return Looked { found: Vec::new(), gaps, bytes: about.size, once: false };
    };
    let bytes = read.as_ref().copied().unwrap_or_default();
    if let Err(error) = read {
        gaps.push(unreadable(&error));
    }
    let once = source.reads <= 1 && !disk.was_asked();
    Looked { found: found.into_iter().map(|dug| (dug, None)).collect(), gaps, bytes, once }
}

fn unreadable(error: &io::Error) -> Gap {
    Gap { chain: Vec::new(), why: Why::Unreadable(error.to_string()) }
}

/// A file from its beginning to its end.
struct OnDisk<'a> {
    file: &'a File,
    at: u64,
    size: u64,
    sparse: bool,
    reads: u32,
}

impl Source for OnDisk<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over() {
            return Ok(0);
        }
        let room = buffer.len();
        let read = rustix::io::pread(self.file, buffer, self.at)?;
        // What fills the buffer need not be all that there was, and a long read is not of one moment.
        let once = read < room.min(ONE_MOMENT);
        self.reads = self.reads.saturating_add(if once { 1 } else { 2 });
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }

    fn hole(&mut self) -> io::Result<u64> {
        if !self.sparse || self.at >= self.size {
            return Ok(0);
        }
        let data = match rustix::fs::seek(self.file, SeekFrom::Data(self.at)) {
            Ok(data) => data,
            // No data until the end.
            Err(Errno::NXIO) => self.size,
            Err(_) => {
                self.sparse = false;
                self.at
            }
        };
        let hole = data.saturating_sub(self.at);
        self.at = data.max(self.at);
        Ok(hole)
    }

    /// One read is enough for a file that is shorter than the buffer.
    fn is_over(&self) -> bool {
        self.at > 0 && self.at == self.size && !self.sparse
    }
}

/// The line of a place in a text; `None` where it is none.
fn line_of(file: &File, offset: u64) -> Option<u64> {
    use std::os::unix::fs::FileExt;
    let mut buffer = zeroize::Zeroizing::new(vec![0_u8; 64 << 10]);
    let (mut at, mut line) = (0_u64, 1_u64);
    while at < offset.min(LONGEST_TEXT) {
        let most = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
        let end = most.min(buffer.len());
        let read = file.read_at(buffer.get_mut(..end)?, at).ok().filter(|read| *read > 0)?;
        let bytes = buffer.get(..read)?;
        if bytes.contains(&0) {
            return None;
        }
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        line = line.saturating_add(lines).saturating_sub(1);
        at = at.saturating_add(read as u64);
    }
    (at >= offset).then_some(line)
}

/// Smaller files are read, holes and all.
const SPARSE: u64 = 4 << 20;
/// Longer reads are made while others write.
const ONE_MOMENT: usize = 16 << 10;
/// How often a file that changes is read.
const ATTEMPTS: usize = 2;
/// Lines of a longer text are not counted.
const LONGEST_TEXT: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_read_that_meets_the_end_gives_all() {
        let file = tempfile::tempfile().unwrap();
        let (most, room) = (ONE_MOMENT as u64, 128 << 10);
        for (size, room, once) in [
            (100, 101, true),
            (100, 100, false),
            (most - 1, room, true),
            (most, room, false),
            (100_000, room, false),
        ] {
            file.set_len(size).unwrap();
            let mut source = OnDisk { file: &file, at: 0, size, sparse: false, reads: 0 };
            while source.read(&mut vec![0; room]).unwrap() > 0 {}
            assert_eq!(source.reads <= 1, once, "{size} {room}");
        }
    }
}
