//! Goes through folders and files on all processors: by descriptors, never following a link, each
//! file read once however many names it has. What cannot be read is a gap, never passed over.
//!
//! Tasks wait in one list, the newest first, so that few folders are open at a time however deep or
//! wide the tree is.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::dig::{Digger, Dug, Shared};
use super::file::{self, About, small};
use super::finding::Finding;
use super::gap::{Gap, Why};
use super::links::{First, Links};
use super::sibling::{LARGEST, Place, beside};
use super::store;
use crate::fsx::system;

/// Where a walk begins: a store path, or anything that the user names.
#[derive(Debug)]
pub struct Root {
    /// The path.
    pub path: PathBuf,
    /// What is known of it beforehand by whoever asks for the walk.
    pub tag: usize,
    found: AtomicBool,
    incomplete: AtomicBool,
}

impl Root {
    /// Not looked at yet.
    pub fn new(path: PathBuf, tag: usize) -> Self {
        Self { path, tag, found: AtomicBool::new(false), incomplete: AtomicBool::new(false) }
    }

    /// Whether all of it was looked at and nothing was found.
    pub fn is_clean(&self) -> bool {
        !self.found.load(Ordering::Relaxed) && !self.incomplete.load(Ordering::Relaxed)
    }
}

/// What a walk has come to.
#[derive(Debug, Default)]
pub struct Walked {
    /// In no order.
    pub findings: Vec<Finding>,
    /// Files in the open, each with the encrypted one; in no order.
    pub siblings: Vec<(Finding, PathBuf)>,
    /// What was not looked at, in no order.
    pub gaps: Vec<(PathBuf, Gap)>,
    /// Files that were read.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// How far a walk is; for whoever watches.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files that were read.
    pub files: AtomicU64,
    /// Bytes that were read.
    pub bytes: AtomicU64,
    /// Roots that were begun.
    pub roots: AtomicU64,
}

/// Walks through everything below the roots on `threads` threads.
pub(crate) fn walk<'m>(
    shared: &'m Shared<'m>,
    roots: Vec<Arc<Root>>,
    threads: usize,
    counters: &Counters,
) -> Walked {
    let queue = Queue::new(roots);
    let links = Links::default();
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                let worker = || Worker::new(shared, &queue, &links, counters).run();
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker)
            })
            .collect();
        let mut results = Vec::new();
        if workers.iter().all(Result::is_err) {
            // No thread is to be had: this one does it.
            results.push(Worker::new(shared, &queue, &links, counters).run());
        }
        results.extend(workers.into_iter().flatten().filter_map(|worker| worker.join().ok()));
        results
    });
    let mut all = Walked::default();
    for mut one in results {
        all.findings.append(&mut one.findings);
        all.siblings.append(&mut one.siblings);
        all.gaps.append(&mut one.gaps);
        all.files = all.files.saturating_add(one.files);
        all.bytes = all.bytes.saturating_add(one.bytes);
    }
    links.spread(&mut all.findings);
    all
}

/// An open folder.
struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
    /// Whether every user can come as far as here.
    open_to_all: bool,
    depth: usize,
}

enum Task {
    Root(Arc<Root>),
    Folder { root: Arc<Root>, parent: Arc<Folder>, name: OsString },
    Files { root: Arc<Root>, parent: Arc<Folder>, names: Names },
}

/// Entries of a folder, all names in one piece.
#[derive(Default)]
struct Names {
    /// Each with a line break behind it, as it is searched.
    text: Vec<u8>,
    entries: Vec<Entry>,
}

/// A name, by where it begins and ends, and what it is of.
#[derive(Clone, Copy)]
struct Entry(usize, usize, FileType);

impl Names {
    fn add(&mut self, name: &[u8], kind: FileType) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.entries.push(Entry(start, self.text.len(), kind));
        self.text.push(b'\n');
    }

    fn each(&self) -> impl Iterator<Item = (&OsStr, FileType)> {
        self.entries.iter().map(|entry| self.entry(*entry))
    }

    fn entry(&self, Entry(start, end, kind): Entry) -> (&OsStr, FileType) {
        (OsStr::from_bytes(self.text.get(start..end).unwrap_or_default()), kind)
    }

    /// Takes the last [`BATCH`] of them off.
    fn batch(&mut self) -> Self {
        let last = self.entries.split_off(self.entries.len().saturating_sub(BATCH));
        let mut batch = Self::default();
        for (name, kind) in last.into_iter().map(|entry| self.entry(entry)) {
            batch.add(name.as_bytes(), kind);
        }
        batch
    }
}

/// What is still to be done.
struct Queue {
    tasks: Mutex<Tasks>,
    wake: Condvar,
}

struct Tasks {
    /// The newest last.
    waiting: Vec<Task>,
    roots: std::vec::IntoIter<Arc<Root>>,
    /// Tasks that somebody works on.
    running: usize,
    /// Who has nothing to do and waits.
    idle: usize,
}

impl Queue {
    fn new(roots: Vec<Arc<Root>>) -> Self {
        let tasks = Tasks { waiting: Vec::new(), roots: roots.into_iter(), running: 0, idle: 0 };
        Self { tasks: Mutex::new(tasks), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, tasks: Vec<Task>) {
        if !tasks.is_empty() {
            let mut all = self.lock();
            all.waiting.extend(tasks);
            if all.idle > 0 {
                self.wake.notify_all();
            }
        }
    }

    /// The next task; `None` when all are done. `done` says that the one before is.
    fn next(&self, done: bool) -> Option<Task> {
        let mut tasks = self.lock();
        if done {
            tasks.running = tasks.running.saturating_sub(1);
        }
        loop {
            let next = tasks.waiting.pop();
            if let Some(task) = next.or_else(|| tasks.roots.next().map(Task::Root)) {
                tasks.running = tasks.running.saturating_add(1);
                return Some(task);
            }
            if tasks.running == 0 {
                self.wake.notify_all();
                return None;
            }
            tasks.idle = tasks.idle.saturating_add(1);
            tasks = self.wake.wait(tasks).unwrap_or_else(PoisonError::into_inner);
            tasks.idle = tasks.idle.saturating_sub(1);
        }
    }
}

struct Worker<'w, 'm> {
    shared: &'m Shared<'m>,
    digger: Digger<'m>,
    queue: &'w Queue,
    links: &'w Links,
    counters: &'w Counters,
    walked: Walked,
    list: Vec<MaybeUninit<u8>>,
    /// Room for the next folder.
    names: Names,
}

impl<'w, 'm> Worker<'w, 'm> {
    fn new(
        shared: &'m Shared<'m>,
        queue: &'w Queue,
        links: &'w Links,
        counters: &'w Counters,
    ) -> Self {
        let list = vec![MaybeUninit::uninit(); LIST];
        let (walked, names) = (Walked::default(), Names::default());
        Self { shared, digger: Digger::new(shared), queue, links, counters, walked, list, names }
    }

    fn run(mut self) -> Walked {
        let mut done = false;
        while let Some(task) = self.queue.next(done) {
            done = true;
            // one task that stops by a fault of ours must not end the run, nor go unsaid
            if catch_unwind(AssertUnwindSafe(|| self.carry_out(&task))).is_err() {
                self.digger = Digger::new(self.shared);
                let (root, path) = match &task {
                    Task::Root(root) => (root, root.path.clone()),
                    Task::Folder { root, parent, name } => (root, joined(parent, name)),
                    Task::Files { root, parent, .. } => (root, parent.path.clone()),
                };
                self.gap(root, path, Gap { chain: Vec::new(), why: Why::Stopped });
            }
        }
        self.walked
    }

    fn carry_out(&mut self, task: &Task) {
        match task {
            Task::Root(root) => {
                self.counters.roots.fetch_add(1, Ordering::Relaxed);
                self.root(root);
            }
            Task::Folder { root, parent, name } => self.folder(root, parent, name),
            Task::Files { root, parent, names } => {
                for (name, kind) in names.each() {
                    self.entry(root, parent, name, kind);
                }
            }
        }
    }

    fn root(&mut self, root: &Arc<Root>) {
        let path = root.path.clone();
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return self.open_folder(root, rustix::fs::CWD, Path::new("/"), path, true, 0);
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let flags = system::STEPS | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty());
        let open_to_all = folder.ancestors().all(|one| {
            let one = if one.as_os_str().is_empty() { Path::new(".") } else { one };
            rustix::fs::stat(one).is_ok_and(|about| about.st_mode & 0o001 != 0)
        });
        match opened {
            Ok(descriptor) => {
                let path = folder.to_owned();
                let parent = Arc::new(Folder { descriptor, path, open_to_all, depth: 0 });
                let dug = self.digger.text(name.as_bytes());
                self.named(root, &parent, name, dug);
                self.siblings(root, &parent, [name]);
                self.entry(root, &parent, name, FileType::Unknown);
            }
            Err(error) => self.unreadable(root, path, error),
        }
    }

    fn folder(&mut self, root: &Arc<Root>, parent: &Arc<Folder>, name: &OsStr) {
        let path = joined(parent, name);
        let depth = parent.depth.saturating_add(1);
        let descriptor = parent.descriptor.as_fd();
        self.open_folder(root, descriptor, Path::new(name), path, parent.open_to_all, depth);
    }

    fn open_folder(
        &mut self,
        root: &Arc<Root>,
        parent: std::os::fd::BorrowedFd<'_>,
        name: &Path,
        path: PathBuf,
        open_to_all: bool,
        depth: usize,
    ) {
        if depth > DEEPEST {
            return self.gap(root, path, Gap { chain: Vec::new(), why: Why::TooDeep });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(parent, name, flags, Mode::empty());
        let opened = opened.and_then(|fd| rustix::fs::fstat(&fd).map(|about| (fd, about)));
        match opened {
            Ok((descriptor, about)) => {
                let open_to_all = open_to_all && about.st_mode & 0o001 != 0;
                let readable = open_to_all && about.st_mode & 0o004 != 0;
                let folder = Arc::new(Folder { descriptor, path, open_to_all, depth });
                self.list(root, &folder, readable);
            }
            Err(error) => self.unreadable(root, path, error),
        }
    }

    /// Looks at the files of a folder and leaves its folders to whoever is free.
    fn list(&mut self, root: &Arc<Root>, folder: &Arc<Folder>, readable: bool) {
        let mut names = std::mem::take(&mut self.names);
        let mut folders = Vec::new();
        let listed = each_entry(folder.descriptor.as_fd(), &mut self.list, |name, kind| {
            if matches!(name.to_bytes(), b"." | b"..") {
                return;
            }
            names.add(name.to_bytes(), kind);
            if kind == FileType::Directory {
                folders.push(OsStr::from_bytes(name.to_bytes()).to_owned());
            }
        });
        if let Err(error) = listed {
            self.unreadable(root, folder.path.clone(), error);
        }
        let dug = self.digger.text(&names.text);
        for one in dug {
            self.found(root, &folder.path, one, readable, true, None);
        }
        let files = names.each().filter(|(_, kind)| *kind != FileType::Directory);
        self.siblings(root, folder, files.map(|(name, _)| name));
        // Those for others first: the newest are taken first, and folders are better held back.
        let mut tasks: Vec<Task> = folders
            .into_iter()
            .rev()
            .map(|name| Task::Folder { root: Arc::clone(root), parent: Arc::clone(folder), name })
            .collect();
        names.entries.retain(|Entry(.., kind)| *kind != FileType::Directory);
        while names.entries.len() > BATCH {
            let (root, parent) = (Arc::clone(root), Arc::clone(folder));
            tasks.push(Task::Files { root, parent, names: names.batch() });
        }
        self.queue.add(tasks);
        for (name, kind) in names.each() {
            self.entry(root, folder, name, kind);
        }
        if names.text.len() < LIST {
            names.text.clear();
            names.entries.clear();
            self.names = names;
        }
    }

    fn entry(&mut self, root: &Arc<Root>, parent: &Arc<Folder>, name: &OsStr, kind: FileType) {
        let kind = if kind == FileType::Unknown {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            match rustix::fs::statat(&parent.descriptor, name, flags) {
                Ok(about) => FileType::from_raw_mode(about.st_mode),
                Err(error) => return self.unreadable(root, joined(parent, name), error),
            }
        } else {
            kind
        };
        match kind {
            FileType::RegularFile => self.file(root, parent, name),
            FileType::Directory => self.folder(root, parent, name),
            FileType::Symlink => self.link(root, parent, name),
            // Nothing is kept in these.
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {}
        }
    }

    /// Looks whether files are the plaintext of others that are kept encrypted.
    fn siblings<'n>(
        &mut self,
        root: &Root,
        folder: &Folder,
        names: impl IntoIterator<Item = &'n OsStr>,
    ) {
        let Some(siblings) = self.shared.siblings else { return };
        let (descriptor, path) = (folder.descriptor.as_fd(), &folder.path);
        let is_hashed = |name: &str| store::human_name(name) != name;
        let is_store_path = || path.file_name().and_then(OsStr::to_str).is_some_and(is_hashed);
        let place = match root.path.strip_prefix(path) {
            Ok(rest) if !rest.as_os_str().is_empty() => Place::Alone,
            Ok(_) => Place::Top,
            Err(_) if is_store_path() => Place::Top,
            Err(_) => Place::Deep,
        };
        let mut found = BTreeMap::new();
        for name in names.into_iter().filter_map(OsStr::to_str) {
            // What is alone is looked at alone.
            let beside = || (place != Place::Alone).then(|| beside(descriptor, path, name))?;
            let read = || small(descriptor, name, LARGEST);
            let copied = siblings.copied(path, name, place, read);
            let copied = copied.map(|(about, encrypted)| (name.to_owned(), about, encrypted));
            for (name, about, encrypted) in beside().into_iter().chain(copied) {
                found.entry(name).or_insert((about, encrypted));
            }
        }
        for (name, (about, encrypted)) in found {
            root.found.store(true, Ordering::Relaxed);
            let readable_by_all = folder.open_to_all && about.mode & 0o004 != 0;
            let file = Finding::file(&path.join(name));
            let finding = Finding { root: root.tag, readable_by_all, ..file };
            self.walked.siblings.push((finding, encrypted));
        }
    }

    fn link(&mut self, root: &Arc<Root>, parent: &Arc<Folder>, name: &OsStr) {
        match rustix::fs::readlinkat(&parent.descriptor, name, Vec::new()) {
            Ok(target) => {
                let dug = self.digger.text(target.as_bytes());
                self.named(root, parent, name, dug);
            }
            Err(error) => self.unreadable(root, joined(parent, name), error),
        }
    }

    fn named(&mut self, root: &Arc<Root>, parent: &Folder, name: &OsStr, dug: Vec<Dug>) {
        let path = joined(parent, name);
        for one in dug {
            self.found(root, &path, one, parent.open_to_all, true, None);
        }
    }

    fn file(&mut self, root: &Arc<Root>, parent: &Arc<Folder>, name: &OsStr) {
        let opened = match file::open(parent.descriptor.as_fd(), name) {
            Ok(Some(opened)) => opened,
            // Something else has taken its place, and is none of ours.
            Ok(None) => return,
            Err(error) => return self.unreadable(root, joined(parent, name), error),
        };
        let about = opened.about;
        if about.has_more_names {
            let path = joined(parent, name);
            match self.links.enter(about.id, &path) {
                First::Yes => {}
                First::No { found, incomplete } => {
                    if found {
                        root.found.store(true, Ordering::Relaxed);
                    }
                    if incomplete {
                        root.incomplete.store(true, Ordering::Relaxed);
                    }
                    return;
                }
            }
        }
        let looked = file::look(&mut self.digger, self.shared, &opened);
        self.walked.files = self.walked.files.saturating_add(1);
        self.walked.bytes = self.walked.bytes.saturating_add(looked.bytes);
        self.counters.files.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(looked.bytes, Ordering::Relaxed);
        if looked.found.is_empty() && looked.gaps.is_empty() {
            if about.has_more_names {
                self.links.done(about.id, false, false);
            }
            return;
        }
        let path = joined(parent, name);
        let readable = parent.open_to_all && about.mode & 0o004 != 0;
        if about.has_more_names {
            self.links.done(about.id, !looked.found.is_empty(), !looked.gaps.is_empty());
        }
        for (one, line) in looked.found {
            self.found(root, &path, one, readable, false, line.map(|line| (line, about)));
        }
        for gap in looked.gaps {
            self.gap(root, path.clone(), gap);
        }
    }

    fn found(
        &mut self,
        root: &Root,
        path: &Path,
        dug: Dug,
        readable_by_all: bool,
        in_name: bool,
        line: Option<(u64, About)>,
    ) {
        root.found.store(true, Ordering::Relaxed);
        let Dug { chain, what, form, spot } = dug;
        self.walked.findings.push(Finding {
            root: root.tag,
            files: vec![path.to_owned()],
            chain,
            what: Some(what),
            form,
            offset: spot.offset,
            line: line.map(|(line, _)| line),
            count: spot.count,
            weak: spot.weak,
            readable_by_all,
            in_name,
        });
    }

    fn unreadable(&mut self, root: &Root, path: PathBuf, error: Errno) {
        let why = Why::Unreadable(std::io::Error::from(error).to_string());
        self.gap(root, path, Gap { chain: Vec::new(), why });
    }

    fn gap(&mut self, root: &Root, path: PathBuf, gap: Gap) {
        root.incomplete.store(true, Ordering::Relaxed);
        self.walked.gaps.push((path, gap));
    }
}

fn joined(parent: &Folder, name: &OsStr) -> PathBuf {
    parent.path.join(name)
}

/// Tells of each entry of a folder, in the order of the system.
#[cfg(target_os = "linux")]
fn each_entry(
    folder: BorrowedFd<'_>,
    room: &mut [MaybeUninit<u8>],
    mut tell: impl FnMut(&CStr, FileType),
) -> Result<(), Errno> {
    let mut list = rustix::fs::RawDir::new(folder, room);
    while let Some(entry) = list.next() {
        let entry = entry?;
        tell(entry.file_name(), entry.file_type());
    }
    Ok(())
}

/// Tells of each entry of a folder, in the order of the system.
#[cfg(not(target_os = "linux"))]
fn each_entry(
    folder: BorrowedFd<'_>,
    _room: &mut [MaybeUninit<u8>],
    mut tell: impl FnMut(&CStr, FileType),
) -> Result<(), Errno> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        tell(entry.file_name(), entry.file_type());
    }
    Ok(())
}

/// Files of a folder that one thread looks at without handing some to others.
const BATCH: usize = 64;
/// Bytes of a list of names that the system gives at once.
const LIST: usize = 32 << 10;
/// Decoders and containers in containers take some.
const STACK: usize = 16 << 20;
/// Folders in folders.
const DEEPEST: usize = 4096;
