//! What was looked through before, with nothing found: store paths and logs never change, so they
//! need not be read again for the same needles. And which store paths were seen to be signed.
//!
//! Kept in a folder that its owner alone can enter. Nothing in it is derived from a secret but the
//! name of a set of needles, an HMAC under a random key that is kept there too.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::fsx::{Staged, Staging};

/// What stands for a store path with its content, or for a log.
pub type Mark = [u8; 32];

/// Many marks. They are hashes already, of which a part is as good as another hash.
pub type Marks = HashSet<Mark, BuildHasherDefault<Part>>;

/// The first bytes of a mark.
#[derive(Debug, Default)]
pub struct Part(u64);

impl Hasher for Part {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first));
    }

    // How long a mark is.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The folder of the memory.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    key: [u8; 32],
}

impl Memory {
    /// Opens the folder, or makes it and a new key.
    ///
    /// # Errors
    /// What the system says; `PermissionDenied` where others can enter the folder or own it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)?;
        let about = std::fs::symlink_metadata(folder)?;
        let me = rustix::process::geteuid().as_raw();
        if !about.is_dir() || about.uid() != me || about.mode() & 0o077 != 0 {
            let why = "others can enter it, or it belongs to somebody else";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let path = folder.join("key");
        let key = match read_key(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => new_key(&path)?,
            Err(error) => return Err(error),
        };
        Ok(Self { folder: folder.to_owned(), key })
    }

    /// The random key of this memory.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// All marks of a set. What cannot be read counts as not there.
    pub fn load(&self, set: &str) -> Marks {
        let mut bytes = Vec::new();
        let opened = File::open(self.path(set));
        let read = opened.and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        let Some(marks) = bytes.strip_prefix(MAGIC).filter(|_| read.is_ok()) else {
            return Marks::default();
        };
        // Of a file that was cut, none counts.
        if !marks.len().is_multiple_of(MARK) {
            return Marks::default();
        }
        marks.chunks_exact(MARK).filter_map(|mark| mark.try_into().ok()).collect()
    }

    /// Replaces the marks of a set, and forgets sets that were not used for long.
    ///
    /// # Errors
    /// What the system says.
    pub fn store(&self, set: &str, marks: &Marks) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(marks.len().saturating_mul(MARK).saturating_add(16));
        bytes.extend_from_slice(MAGIC);
        for mark in marks {
            bytes.extend_from_slice(mark);
        }
        let staging = Staging { private: true, ..Staging::default() };
        let staged = Staged::with(&self.path(set), staging).and_then(|mut staged| {
            staged.put(&bytes)?;
            staged.commit()
        });
        staged.map_err(|error| io::Error::other(error.to_string()))?;
        self.forget(set);
        Ok(())
    }

    /// Adds marks to a set.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&self, set: &str, marks: &Marks) -> io::Result<()> {
        let mut all = self.load(set);
        let before = all.len();
        all.extend(marks);
        if all.len() == before { Ok(()) } else { self.store(set, &all) }
    }

    /// Keeps the sets that were written last.
    fn forget(&self, used: &str) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let mut sets: Vec<(std::time::SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| is_set(&entry.file_name()) && entry.file_name() != OsStr::new(used))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        sets.sort_unstable();
        let old = sets.len().saturating_sub(MOST_SETS);
        for (_, path) in sets.into_iter().take(old) {
            // One that stays costs room and nothing else.
            let _kept = std::fs::remove_file(path);
        }
    }

    fn path(&self, set: &str) -> PathBuf {
        self.folder.join(set)
    }
}

fn is_set(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("clean-") || name.starts_with("signed-")
}

/// The mark of parts, of which none can be taken for two.
pub fn mark(parts: &[&[u8]]) -> Mark {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn read_key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.len() != 32 {
        // Cut when it was written: whatever it named is forgotten with it.
        return Err(io::ErrorKind::NotFound.into());
    }
    file.read_exact(&mut key)?;
    Ok(key)
}

fn new_key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    crate::fsx::fill_random(&mut key)?;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    Ok(key)
}

const MAGIC: &[u8] = b"secretctl scan 1\n";
const MARK: usize = 32;
/// 8 million marks.
const MOST_BYTES: u64 = 256 << 20;
/// Sets that are kept beside the one in use.
const MOST_SETS: usize = 8;
