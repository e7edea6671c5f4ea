//! A store of Nix: what is in its folder and what its database knows, together. The database is
//! read as a file, with its log and without locks, so that no user needs rights of its owner.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::container::random::Disk;
use super::container::sqlite::{Database, Value, as_io, record};

/// Where a store is.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of the store on this disk.
    pub folder: PathBuf,
    /// The folder with the database and the roots.
    pub state: PathBuf,
    /// The folder of build logs.
    pub logs: PathBuf,
}

impl Places {
    /// The store that `folder` is, or that lies below it as it does below `/`. `state` and `logs`
    /// are what the environment of Nix says.
    pub fn of(folder: &Path, state: Option<PathBuf>, logs: Option<PathBuf>) -> Self {
        let below = folder.join("nix/store");
        if below.is_dir() {
            let var = folder.join("nix/var");
            return Self { folder: below, state: var.join("nix"), logs: var.join("log/nix") };
        }
        let beside = folder.parent().unwrap_or(folder);
        let state = state.unwrap_or_else(|| {
            let candidates = [beside.join("var/nix"), beside.join("var"), beside.join("state")];
            let found = candidates.iter().find(|one| one.join("db/db.sqlite").exists());
            found.or(candidates.first()).cloned().unwrap_or_default()
        });
        let logs = logs.unwrap_or_else(|| {
            let candidates =
                [beside.join("var/log/nix"), beside.join("log/nix"), beside.join("log")];
            let found = candidates.iter().find(|one| one.join("drvs").exists());
            found.or(candidates.first()).cloned().unwrap_or_default()
        });
        Self { folder: folder.to_owned(), state, logs }
    }

    fn database(&self) -> PathBuf {
        self.state.join("db/db.sqlite")
    }
}

/// What the database knows of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered<'k> {
    /// Its number, which references use.
    pub id: i64,
    /// Its name in the folder of the store.
    pub name: &'k str,
    /// The SHA-256 of its NAR; `None` where the database has another hash.
    pub hash: Option<[u8; 32]>,
    /// Bytes of its NAR.
    pub size: u64,
    /// The derivation that made it.
    pub deriver: Option<&'k str>,
    /// Its signatures, as `NAME:BASE64`, with spaces between them.
    pub signatures: &'k str,
}

/// The paths that a database knows: of a large store some hundred thousand.
#[derive(Debug, Default)]
pub struct Known {
    /// In the order of their numbers.
    rows: Vec<Row>,
    /// Name, deriver and signatures of one after the other.
    texts: String,
    /// Places in `rows` in the order of names, each with how the name begins.
    by_name: Vec<(u64, usize)>,
    /// What Nix calls the folder of the store, which is another name than on this disk for a store
    /// below another root. Empty where nothing is known.
    pub logical: String,
}

#[derive(Debug)]
struct Row {
    id: i64,
    hash: Option<[u8; 32]>,
    size: u64,
    /// Where its texts begin, and where each ends.
    start: usize,
    ends: [usize; 3],
}

impl Known {
    /// The path of this name.
    pub fn of(&self, name: &str) -> Option<Registered<'_>> {
        let asked = (beginning(name), name);
        let found = self.by_name.binary_search_by(|(beginning, row)| {
            let other = || self.rows.get(*row).map_or("", |row| self.registered(row).name);
            beginning.cmp(&asked.0).then_with(|| other().cmp(asked.1))
        });
        let (_, row) = self.by_name.get(found.ok()?)?;
        self.rows.get(*row).map(|row| self.registered(row))
    }

    /// The name of the path of this number.
    pub fn name(&self, id: i64) -> Option<&str> {
        let found = self.rows.binary_search_by_key(&id, |row| row.id);
        self.rows.get(found.ok()?).map(|row| self.registered(row).name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Registered<'_>> {
        self.rows.iter().map(|row| self.registered(row))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What Nix calls the path of this name.
    pub fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.logical)
    }

    fn add(&mut self, mut row: Row, texts: [&str; 3]) {
        row.start = self.texts.len();
        row.ends = texts.map(|text| {
            self.texts.push_str(text);
            self.texts.len()
        });
        self.rows.push(row);
    }

    fn sort(&mut self) {
        self.rows.sort_by_key(|row| row.id);
        let name = |row: usize| self.rows.get(row).map_or("", |row| self.registered(row).name);
        let mut all: Vec<(u64, usize)> =
            (0..self.rows.len()).map(|row| (beginning(name(row)), row)).collect();
        all.sort_unstable_by(|one, other| {
            one.0.cmp(&other.0).then_with(|| name(one.1).cmp(name(other.1)))
        });
        self.by_name = all;
    }

    fn registered(&self, row: &Row) -> Registered<'_> {
        let [name, deriver, signatures] = row.ends;
        let text = |from: usize, to: usize| self.texts.get(from..to).unwrap_or_default();
        Registered {
            id: row.id,
            name: text(row.start, name),
            hash: row.hash,
            size: row.size,
            deriver: Some(text(name, deriver)).filter(|deriver| !deriver.is_empty()),
            signatures: text(deriver, signatures),
        }
    }
}

/// How a name begins, in the order of names.
fn beginning(name: &str) -> u64 {
    name.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// What refers to what, by numbers.
#[derive(Debug, Default)]
pub struct References(Vec<(i64, i64)>);

impl References {
    fn new(mut pairs: Vec<(i64, i64)>) -> Self {
        pairs.sort_unstable();
        Self(pairs)
    }

    /// What a path refers to.
    pub fn of(&self, id: i64) -> impl Iterator<Item = i64> + '_ {
        let first = self.0.partition_point(|(from, _)| *from < id);
        let rest = self.0.get(first..).unwrap_or_default();
        rest.iter().take_while(move |(from, _)| *from == id).map(|(_, to)| *to)
    }

    /// From each path to those that refer to it.
    #[must_use]
    pub fn turned(self) -> Self {
        Self::new(self.0.into_iter().map(|(from, to)| (to, from)).collect())
    }
}

/// The names in the folder of a store, but those that Nix keeps for itself.
///
/// # Errors
/// What the system says.
pub fn names(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().as_bytes().to_vec();
        // `.links` holds other names of the same files, which count as found under each; see `orphans`.
        if name != b".links" && name != b"lost+found" {
            names.push(name);
        }
    }
    Ok(names)
}

/// Files that the optimiser of a store keeps though no store path has them any more: a collection of
/// garbage that was stopped leaves them.
///
/// # Errors
/// What the system says.
pub fn orphans(links: &Path) -> io::Result<Vec<PathBuf>> {
    let mut orphans = Vec::new();
    for link in std::fs::read_dir(links)? {
        let link = link?;
        match link.metadata() {
            Ok(data) if data.nlink() == 1 => orphans.push(link.path()),
            Ok(_) => {}
            // gone meanwhile
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    orphans.sort_unstable();
    Ok(orphans)
}

/// Reads the paths of a database.
///
/// # Errors
/// What the system says; `NotFound` where there is none; `InvalidData` where it is damaged, or was
/// written to each time it was read.
pub fn known(places: &Places) -> io::Result<Known> {
    steadily(&places.database(), &mut |database| {
        let mut known = Known::default();
        rows(database, "ValidPaths", &mut |id, values| {
            let text = |index: usize| values.get(index).and_then(|value| value.text());
            let Some((folder, name)) = text(1).and_then(|path| path.rsplit_once('/')) else {
                return;
            };
            if known.logical.is_empty() {
                folder.clone_into(&mut known.logical);
            }
            let size = values.get(5).and_then(|value| value.int()).unwrap_or_default();
            let hash = text(2).and_then(sha256_of);
            let size = u64::try_from(size).unwrap_or_default();
            let row = Row { id, hash, size, start: 0, ends: [0; 3] };
            known.add(row, [name, text(4).unwrap_or_default(), text(7).unwrap_or_default()]);
        })?;
        known.sort();
        Ok(known)
    })
}

/// Reads what refers to what.
///
/// # Errors
/// As [`known`].
pub fn references(places: &Places) -> io::Result<References> {
    steadily(&places.database(), &mut |database| {
        let mut pairs = Vec::new();
        rows(database, "Refs", &mut |_, values| {
            let number = |index: usize| values.get(index).and_then(|value| value.int());
            pairs.extend(number(0).zip(number(1)));
        })?;
        Ok(References::new(pairs))
    })
}

fn rows(
    database: &Database<'_>,
    table: &str,
    visit: &mut dyn FnMut(i64, &[Value<'_>]),
) -> io::Result<()> {
    let tables = database.tables().map_err(as_io)?;
    let root = tables.iter().find(|(name, _)| name == table).map(|(_, root)| *root);
    let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("it has no table {table}"));
    let mut whole = true;
    let read = database.rows(root.ok_or_else(missing)?, &mut |row, payload| {
        match record(payload) {
            Some(values) => visit(row, &values),
            None => whole = false,
        }
        whole
    });
    read.map_err(as_io)?;
    if whole { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "a row is damaged")) }
}

/// Reads a database that others may write to: what was read while it changed does not count.
fn steadily<T>(path: &Path, read: &mut dyn FnMut(&Database<'_>) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::InvalidData);
    for _ in 0..ATTEMPTS {
        let before = stamp(path)?;
        let file = File::open(path)?;
        let log = match File::open(log_of(path)) {
            Ok(log) => Some(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let file = (&file, file.metadata()?.len());
        let log = log.as_ref().map(|log| Ok::<_, io::Error>((log, log.metadata()?.len())));
        let log = log.transpose()?;
        let disk = Disk::new(file.0, file.1);
        let log = log.map(|(log, length)| Disk::new(log, length));
        let log = log.as_ref().map(|log| log as _);
        let result = Database::new(&disk, log).map_err(as_io).and_then(|database| read(&database));
        if stamp(path)? == before {
            return result;
        }
        if let Err(error) = result {
            last = error;
        }
    }
    Err(last)
}

/// What changes when a database or its log does.
fn stamp(path: &Path) -> io::Result<[Option<(u64, i64, i64)>; 2]> {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &Path| match std::fs::metadata(path) {
        Ok(about) => Ok(Some((about.len(), about.mtime(), about.mtime_nsec()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let file = of(path)?;
    if file.is_none() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok([file, of(&log_of(path))?])
}

fn sha256_of(hash: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash.strip_prefix("sha256:")?, &mut bytes).ok()?;
    Some(bytes)
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// The store path that a path lies in, by its name in the folder of the store.
pub fn top<'p>(folder: &Path, path: &'p Path) -> Option<&'p str> {
    let inner = path.strip_prefix(folder).ok()?;
    inner.components().next()?.as_os_str().to_str()
}

/// Whether a name is that of a derivation.
pub fn is_derivation(name: &str) -> bool {
    name.strip_suffix(".drv").is_some()
}

/// The name of a store path behind its hash.
pub fn human_name(name: &str) -> &str {
    match name.split_at_checked(33) {
        Some((hash, rest)) if hash.ends_with('-') => rest,
        _ => name,
    }
}

const ATTEMPTS: usize = 5;
