//! Remembers what Nix made of rules, where that is certain to be still true.
//!
//! Nix evaluates a locked flake purely: the result depends on the source tree, on the lock and on
//! Nix. The key is a hash of all of these; anything that cannot be hashed cheaply (a huge tree, a
//! worktree whose index lies elsewhere, inputs that are not locked) means no cache. For
//! `secrets.nix` see [`super::confined`], which keeps its results here too.
//! Entries hold public keys and file names only. One that cannot be read is made anew.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::process::find_program;

use super::discover::Request;

const FILE_COUNT_LIMIT: usize = 10_000;
const BYTE_LIMIT: u64 = 64 << 20;
const ENTRY_LIMIT: u64 = 64 << 20;
/// One entry a rules file: so many repositories are remembered, and for so long.
const ENTRY_COUNT: usize = 100;
const ENTRY_AGE: Duration = Duration::from_hours(24 * 30);

/// The place of the one entry for a rules file.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    file: PathBuf,
}

impl Slot {
    /// In the cache folder, if that is ours alone.
    pub(super) fn new(cache: &Path, kind: &str, rules: &Path) -> Option<Self> {
        let folder = own_folder(cache)?;
        let name = Sha256::digest(rules.as_os_str().as_bytes());
        let file = folder.join(format!("{kind}-{}.json", hex::encode(name)));
        Some(Self { folder, file })
    }

    /// The entry; `None` where there is none that can be read.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let mut bytes = Vec::new();
        File::open(&self.file).ok()?.take(ENTRY_LIMIT).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Puts an entry in the place of the one before, and drops those of long ago.
    pub(super) fn write<T: Serialize>(&self, entry: &T) -> Option<()> {
        let entry = serde_json::to_vec(entry).ok()?;
        if u64::try_from(entry.len()).ok()? > ENTRY_LIMIT {
            return None;
        }
        let mut file = tempfile::Builder::new().prefix(".entry-").tempfile_in(&self.folder).ok()?;
        file.write_all(&entry).ok()?;
        file.persist(&self.file).ok()?;
        self.drop_old()
    }

    /// Keeps the newest entries, and of these none that is old: it may be of a repository that is
    /// no more.
    fn drop_old(&self) -> Option<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder).ok()? {
            let Ok(entry) = entry else { continue };
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_entry = (name.starts_with("agenix-") || name.starts_with("flake-"))
                && name.ends_with(".json");
            if (is_entry || name.starts_with(".entry-"))
                && let Ok(data) = entry.metadata()
                && data.is_file()
            {
                entries.push((data.modified().ok()?, entry.path()));
            }
        }
        entries.sort_unstable();
        let now = SystemTime::now();
        for (index, (written, file)) in entries.iter().rev().enumerate() {
            let is_old = now.duration_since(*written).is_ok_and(|age| age > ENTRY_AGE);
            if index >= ENTRY_COUNT || is_old {
                let _ = fs::remove_file(file);
            }
        }
        Some(())
    }
}

/// A hash over named parts.
pub(super) struct State(Sha256);

impl State {
    /// With the version of this program in it.
    pub(super) fn new() -> Self {
        let mut state = Self(Sha256::new());
        state.part(b"version", env!("CARGO_PKG_VERSION").as_bytes());
        state
    }

    /// Adds a part.
    pub(super) fn part(&mut self, name: &[u8], content: &[u8]) {
        for bytes in [name, content] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
    }

    /// Adds which program of Nix that is; `None` where it is not found.
    pub(super) fn nix(&mut self, program: &OsStr) -> Option<()> {
        let nix = find_program(program, &std::env::var_os("PATH")?)?;
        let nix = fs::canonicalize(nix).ok()?;
        let data = fs::metadata(&nix).ok()?;
        let stamp = format!("{} {} {}", data.size(), data.mtime(), data.ino());
        self.part(nix.as_os_str().as_bytes(), stamp.as_bytes());
        Some(())
    }

    /// Adds what the environment and the configuration may tell Nix, and the meaning of `~`.
    pub(super) fn environment(&mut self) {
        let mut variables: Vec<_> = std::env::vars_os().collect();
        variables.retain(|(name, _)| {
            let name = name.as_bytes();
            name == b"HOME" || name.starts_with(b"NIX_") || name.starts_with(b"XDG_CONFIG_")
        });
        variables.sort_unstable();
        for (name, value) in variables {
            self.part(name.as_bytes(), value.as_bytes());
        }
        let system = fs::read("/etc/nix/nix.conf").unwrap_or_default();
        self.part(b"nix.conf", &system);
    }

    /// The hash.
    pub(super) fn end(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// What a flake gave and the state of the world that it belongs to.
#[derive(Debug)]
pub(super) struct Key {
    slot: Slot,
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
        let slot = Slot::new(request.cache?, "flake", flake)?;
        let root = flake.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
        let lock = fs::read_to_string(flake.with_file_name("flake.lock")).ok()?;
        // A folder outside of the repository may have changed since it was locked.
        let lock: serde_json::Value = serde_json::from_str(&lock).ok()?;
        let inputs = lock.get("nodes")?.as_object()?;
        if inputs.values().any(|node| node.pointer("/locked/type").is_some_and(|t| t == "path")) {
            return None;
        }
        let state = state(root, flake)?;
        Some(Self { slot, flake: flake.to_owned(), root: root.to_owned(), state })
    }

    /// What was kept for exactly this state.
    pub(super) fn read(&self) -> Option<(serde_json::Value, Vec<String>)> {
        let entry: Entry = self.slot.read()?;
        (entry.state == self.state).then_some((entry.value, entry.notes))
    }

    /// Keeps a result, unless something changed while it was worked out. That it cannot be kept
    /// is no error.
    pub(super) fn write(&self, value: &serde_json::Value, notes: &[String]) -> Option<()> {
        if state(&self.root, &self.flake)? != self.state {
            return None;
        }
        let (value, notes) = (value.clone(), notes.to_vec());
        self.slot.write(&Entry { state: self.state.clone(), value, notes })
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
    let mut state = State::new();
    state.part(b"flake", flake.as_os_str().as_bytes());
    state.nix(OsStr::new("nix"))?;

    // Which files git knows, and which commit this is.
    let git = root.join(".git");
    for name in ["index", "HEAD", "packed-refs"] {
        state.part(name.as_bytes(), &fs::read(git.join(name)).unwrap_or_default());
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    if let Some(name) = head.trim().strip_prefix("ref: ") {
        state.part(b"ref", &fs::read(git.join(name)).unwrap_or_default());
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
        state.part(file.as_os_str().as_bytes(), &kind);
        state.part(b"content", &content);
    }
    Some(state.end())
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
    files.sort_unstable();
    Some(files)
}
