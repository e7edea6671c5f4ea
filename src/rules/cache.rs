//! Remembers what a flake evaluates to, where that is certain to be still true.
//!
//! Nix evaluates a locked flake purely: the result depends on the source tree, on the lock and on
//! Nix. The key is a hash of all of these; anything that cannot be hashed cheaply (a huge tree, a
//! worktree whose index lies elsewhere, inputs that are not locked) means no cache. The answer of
//! `secrets.nix` is never kept: it may read any file, and Nix is quick with it.
//! Entries hold public keys and file names only.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::discover::Request;

const FILE_COUNT_LIMIT: usize = 10_000;
const BYTE_LIMIT: u64 = 64 << 20;
const ENTRY_LIMIT: u64 = 64 << 20;

/// A result and the state of the world that it belongs to.
#[derive(Debug)]
pub(super) struct Key {
    folder: PathBuf,
    flake: PathBuf,
    root: PathBuf,
    state: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    state: String,
    value: serde_json::Value,
    notes: Vec<String>,
}

impl Key {
    /// The key for a flake as it is now; `None` where nothing may be kept.
    pub(super) fn of_flake(flake: &Path, request: &Request<'_>) -> Option<Self> {
        if !request.nix_options.is_empty() {
            return None;
        }
        let folder = own_folder(request.cache?)?;
        let root = flake.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
        let lock = fs::read_to_string(flake.with_file_name("flake.lock")).ok()?;
        // A folder outside of the repository may have changed since it was locked.
        let lock: serde_json::Value = serde_json::from_str(&lock).ok()?;
        let inputs = lock.get("nodes")?.as_object()?;
        if inputs.values().any(|node| node.pointer("/locked/type").is_some_and(|t| t == "path")) {
            return None;
        }
        let state = state(root, flake)?;
        Some(Self { folder, flake: flake.to_owned(), root: root.to_owned(), state })
    }

    /// What was kept for exactly this state.
    pub(super) fn read(&self) -> Option<(serde_json::Value, Vec<String>)> {
        let file = File::open(self.file()).ok()?;
        let entry: Entry = serde_json::from_reader(file.take(ENTRY_LIMIT)).ok()?;
        (entry.state == self.state).then_some((entry.value, entry.notes))
    }

    /// Keeps a result, unless something changed while it was worked out. That it cannot be kept
    /// is no error.
    pub(super) fn write(&self, value: &serde_json::Value, notes: &[String]) -> Option<()> {
        if state(&self.root, &self.flake)? != self.state {
            return None;
        }
        let (value, notes) = (value.clone(), notes.to_vec());
        let entry = serde_json::to_vec(&Entry { state: self.state.clone(), value, notes }).ok()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).ok()?;
        file.write_all(&entry).ok()?;
        file.persist(self.file()).ok()?;
        Some(())
    }

    fn file(&self) -> PathBuf {
        let name = Sha256::digest(self.flake.as_os_str().as_bytes());
        self.folder.join(format!("flake-{}.json", hex(&name)))
    }
}

/// The cache folder, if nobody else can put keys into it.
fn own_folder(folder: &Path) -> Option<PathBuf> {
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
    }
    let data = fs::metadata(folder).ok()?;
    let is_mine = data.uid() == rustix::process::geteuid().as_raw() && data.mode() & 0o022 == 0;
    (data.is_dir() && is_mine).then(|| folder.to_owned())
}

/// A hash of all that a pure evaluation can depend on.
fn state(root: &Path, flake: &Path) -> Option<String> {
    let mut hash = Sha256::new();
    let mut part = |name: &[u8], content: &[u8]| {
        for bytes in [name, content] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    };
    part(b"version", env!("CARGO_PKG_VERSION").as_bytes());
    part(b"flake", flake.as_os_str().as_bytes());
    let path = std::env::var_os("PATH")?;
    let nix = std::env::split_paths(&path).map(|p| p.join("nix")).find(|nix| nix.is_file())?;
    let nix = fs::canonicalize(nix).ok()?;
    let data = fs::metadata(&nix).ok()?;
    let stamp = format!("{} {} {}", data.size(), data.mtime(), data.ino());
    part(nix.as_os_str().as_bytes(), stamp.as_bytes());

    // Which files git knows, and which commit this is.
    let git = root.join(".git");
    for name in ["index", "HEAD", "packed-refs"] {
        part(name.as_bytes(), &fs::read(git.join(name)).unwrap_or_default());
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    if let Some(name) = head.trim().strip_prefix("ref: ") {
        part(b"ref", &fs::read(git.join(name)).unwrap_or_default());
    }

    let mut left = BYTE_LIMIT;
    for file in files(root)? {
        let data = fs::symlink_metadata(&file).ok()?;
        let content = if data.is_symlink() {
            fs::read_link(&file).ok()?.into_os_string().into_encoded_bytes()
        } else {
            left = left.checked_sub(data.len())?;
            fs::read(&file).ok()?
        };
        let kind = [u8::from(data.is_symlink()), u8::from(data.mode() & 0o100 != 0)];
        part(file.as_os_str().as_bytes(), &kind);
        part(b"content", &content);
    }
    Some(hex(&hash.finalize()))
}

/// Every regular file and link below the root, in a fixed order; `None` where there are too
/// many.
fn files(root: &Path) -> Option<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).ok()? {
            let entry = entry.ok()?;
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                if entry.path() != root.join(".git") {
                    folders.push(entry.path());
                }
            } else if kind.is_file() || kind.is_symlink() {
                files.push(entry.path());
            }
            if files.len().saturating_add(folders.len()) > FILE_COUNT_LIMIT {
                return None;
            }
        }
    }
    files.sort();
    Some(files)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.extend(char::from_digit(u32::from(byte >> 4), 16));
        text.extend(char::from_digit(u32::from(byte & 15), 16));
        text
    })
}
