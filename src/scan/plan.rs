//! Where a run looks: scopes become roots of a walk, without what is signed and what was looked
//! through before. Reads listings and the database; opens no file that is searched.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::cause::Scope;
use super::container::aterm;
use super::memory::{Mark, Marks, mark};
use super::narinfo::NarInfo;
use super::signature::{Fingerprint, TrustedKey, names_a_key};
use super::store::{self, Known, Pairs, Places, Registered};
use super::walk::Root;

/// What is known of a root beforehand.
#[derive(Debug, Clone)]
pub struct About {
    /// Where it belongs.
    pub scope: Scope,
    /// The name of the store path that it is, or holds.
    pub store_name: Option<String>,
    /// What stands for it in the memory; `None` where it may change.
    pub mark: Option<Mark>,
}

/// What was not looked at because a trusted cache has signed it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signed {
    /// Store paths.
    pub paths: u64,
    /// Bytes of their NARs.
    pub bytes: u64,
}

/// The roots of a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// Where to look; the tag is an index into `about`.
    pub roots: Vec<Arc<Root>>,
    /// What is known of each.
    pub about: Vec<About>,
    /// What is left out as signed.
    pub signed: Signed,
    /// Roots that were looked through before.
    pub remembered: u64,
    /// Marks of all that may be remembered and is there still.
    pub present: Vec<Mark>,
    /// What stands for the folder of links, where it was listed, if nothing is found anywhere.
    pub links: Option<Mark>,
    /// Marks of store paths whose signatures were seen to be right.
    pub verified: Marks,
    /// Things that the user should know, and that leave nothing out.
    pub notes: Vec<String>,
    /// Scopes that could not be listed.
    pub failed: Vec<(PathBuf, String)>,
    /// The database of the store, where it was read.
    pub known: Option<Known>,
}

/// What decides what is left out.
#[derive(Debug)]
pub struct Filter<'a> {
    /// Keys of caches that are trusted; none where everything is to be looked at.
    pub keys: &'a [TrustedKey],
    /// What was looked through before, with the same needles.
    pub clean: &'a Marks,
    /// Signatures that were seen to be right before.
    pub verified: &'a Marks,
}

impl Plan {
    fn add(&mut self, path: PathBuf, about: About) {
        self.roots.push(Arc::new(Root::new(path, self.about.len())));
        self.about.push(about);
    }

    /// A root, unless it was looked through before.
    fn add_unless_clean(&mut self, path: PathBuf, about: About, filter: &Filter<'_>) {
        if let Some(mark) = about.mark {
            self.present.push(mark);
            if filter.clean.contains(&mark) {
                self.remembered = self.remembered.saturating_add(1);
                return;
            }
        }
        self.add(path, about);
    }

    /// A path that the user names.
    pub fn add_plain(&mut self, path: PathBuf) {
        self.add(path, About { scope: Scope::Plain, store_name: None, mark: None });
    }

    /// Everything in a folder that is neither a store nor a cache.
    pub fn add_folder(&mut self, folder: PathBuf, scope: Scope) {
        self.add(folder, About { scope, store_name: None, mark: None });
    }

    /// Every build log of a store. They never change.
    pub fn add_logs(&mut self, logs: &Path, filter: &Filter<'_>) {
        // the folder of all, or `drvs` in it, or a part of that
        let drvs = logs.join("drvs");
        let drvs = if drvs.is_dir() { drvs } else { logs.to_owned() };
        let mut folders = vec![drvs.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound && folder == drvs => return,
                Err(error) => {
                    self.failed.push((folder, error.to_string()));
                    continue;
                }
            };
            for entry in entries {
                let found = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)));
                match found {
                    Ok((path, data)) if data.is_dir() => folders.push(path),
                    Ok((path, data)) => {
                        let numbers =
                            [data.dev(), data.ino(), data.len(), data.mtime().cast_unsigned()];
                        let numbers = numbers.map(u64::to_le_bytes).concat();
                        let mark = mark(&[b"log", path.as_os_str().as_bytes(), &numbers]);
                        let about = About { scope: Scope::Log, store_name: None, mark: Some(mark) };
                        self.add_unless_clean(path, about, filter);
                    }
                    Err(error) => self.failed.push((folder.clone(), error.to_string())),
                }
            }
        }
    }

    /// A store: all that is in its folder, whether its database knows it or not. With `only`, the
    /// store paths of these names.
    pub fn add_store(&mut self, places: &Places, only: Option<Vec<Vec<u8>>>, filter: &Filter<'_>) {
        let whole = only.is_none();
        // before what is in them is listed, so that no change since then goes unseen
        let links = whole.then(|| links_as_they_are(&places.folder, filter.keys));
        let names = match only.map_or_else(|| store::names(&places.folder), Ok) {
            Ok(names) => names,
            Err(error) => {
                self.failed.push((places.folder.clone(), error.to_string()));
                return;
            }
        };
        let known = self.known.take().unwrap_or_else(|| self.read_known(places));
        let judged = names.par_iter().map(|name| judge(name, &known, filter)).collect();
        let judged = self.verify(places, judged, &known, filter);
        let mut unregistered = 0_usize;
        for one in judged {
            match one {
                Judged::Signed { bytes, new } => {
                    self.signed.paths = self.signed.paths.saturating_add(1);
                    self.signed.bytes = self.signed.bytes.saturating_add(bytes);
                    self.verified.extend(new);
                }
                Judged::Clean(mark) => {
                    self.present.push(mark);
                    self.remembered = self.remembered.saturating_add(1);
                }
                Judged::Look { name, registered, mark } => {
                    self.present.extend(mark);
                    unregistered = unregistered.saturating_add(usize::from(!registered));
                    let path = places.folder.join(OsStr::from_bytes(name));
                    let store_name = Some(String::from_utf8_lossy(name).into_owned());
                    self.add(path, About { scope: Scope::Store { registered }, store_name, mark });
                }
            }
        }
        if let Some(links) = links {
            let added = links.and_then(|links| self.add_orphans(&places.folder, links, filter));
            if let Err(error) = added {
                self.failed.push((places.folder.join(".links"), error.to_string()));
            }
            self.compare(&known, names.len(), unregistered);
        }
        self.known = Some(known);
    }

    /// What belongs to no path of a store any more: there is nothing new as long as neither folder has
    /// changed, and then none of a million links is asked for.
    fn add_orphans(
        &mut self,
        folder: &Path,
        links: Option<(Mark, bool)>,
        filter: &Filter<'_>,
    ) -> io::Result<()> {
        let Some((mark, settled)) = links else { return Ok(()) };
        if filter.clean.contains(&mark) {
            self.present.push(mark);
            return Ok(());
        }
        for path in store::orphans(&folder.join(".links"))? {
            let scope = Scope::Store { registered: false };
            self.add(path, About { scope, store_name: None, mark: None });
        }
        self.links = settled.then_some(mark);
        Ok(())
    }

    fn read_known(&mut self, places: &Places) -> Known {
        store::known(places).unwrap_or_else(|error| {
            self.notes.push(format!(
                "the database of the store, `{}`, cannot be read ({error}), so nothing is left out \
                 as signed or as looked through before",
                places.state.join("db/db.sqlite").display()
            ));
            Known::default()
        })
    }

    /// Says where folder and database differ.
    fn compare(&mut self, known: &Known, names: usize, unregistered: usize) {
        if known.is_empty() {
            return;
        }
        if unregistered > 0 {
            self.notes.push(format!(
                "{unregistered} in the folder of the store are not in its database: what a failed \
                 build left, locks and the like; they are looked at"
            ));
        }
        let there = names.saturating_sub(unregistered);
        let gone = known.len().saturating_sub(there);
        if gone > 0 {
            self.notes.push(format!(
                "{gone} paths are in the database of the store and not in its folder"
            ));
        }
    }

    /// Checks the signatures that were not checked before.
    fn verify<'n>(
        &mut self,
        places: &Places,
        judged: Vec<Result<Judged<'n>, Asked<'n>>>,
        known: &Known,
        filter: &Filter<'_>,
    ) -> Vec<Judged<'n>> {
        let asked = judged.iter().any(Result::is_err);
        let references = asked.then(|| store::references(places)).transpose();
        let references = references.unwrap_or_else(|error| {
            self.notes.push(format!("signatures cannot be checked: {error}"));
            None
        });
        let verify = |Asked { registered, mark }: Asked<'n>| {
            let is_signed = references.as_ref().is_some_and(|references| {
                let to = references.of(registered.id).filter_map(|id| known.name(id));
                let to: Vec<String> = to.map(|name| known.full(name)).collect();
                let hash = registered.hash.map(hex::encode).unwrap_or_default();
                let fingerprint = Fingerprint {
                    path: &known.full(registered.name),
                    hash: &format!("sha256:{hash}"),
                    size: registered.size,
                    references: to.iter().map(String::as_str).collect(),
                };
                let signatures = registered.signatures.split_ascii_whitespace();
                fingerprint.is_signed(signatures, filter.keys)
            });
            if is_signed {
                return Judged::Signed { bytes: registered.size, new: Some(mark) };
            }
            unsigned(registered.name.as_bytes(), Some(registered), known, filter)
        };
        judged.into_par_iter().map(|one| one.unwrap_or_else(verify)).collect()
    }

    /// A binary cache in a folder: every file of it, but the NARs that are signed.
    pub fn add_cache(&mut self, folder: &Path, filter: &Filter<'_>) {
        let mut infos: HashMap<PathBuf, Vec<NarInfo>> = HashMap::new();
        let paths = match list(folder, &mut self.failed) {
            Ok(paths) => paths,
            Err(error) => {
                self.failed.push((folder.to_owned(), error.to_string()));
                return;
            }
        };
        let mut others = Vec::new();
        for path in paths {
            if path.extension() == Some(OsStr::new("narinfo")) {
                let text = crate::fsx::read_limited(&path, LONGEST_NARINFO)
                    .inspect_err(|error| self.failed.push((path.clone(), error.to_string())));
                // what is no text is not signed, and names a NAR all the same
                let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default());
                if let Some(info) = NarInfo::parse(&text) {
                    infos.entry(folder.join(&info.url)).or_default().push(info);
                }
            }
            if path.file_name() != Some(OsStr::new("nar")) {
                others.push(path);
            }
        }
        let nars = folder.join("nar");
        match list(&nars, &mut self.failed) {
            Ok(paths) => others.extend(paths),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.failed.push((nars, error.to_string())),
        }
        others.sort_unstable();
        for path in others {
            let infos = infos.get(&path).map(Vec::as_slice).unwrap_or_default();
            if let Some(size) = signed_size(&path, infos, filter.keys) {
                self.signed.paths = self.signed.paths.saturating_add(1);
                self.signed.bytes = self.signed.bytes.saturating_add(size);
                continue;
            }
            let mut compressions = infos.iter().filter_map(|info| info.compression.as_deref());
            if let Some(other) = compressions.find(|name| !UNPACKED.contains(name)) {
                let why = format!(
                    "it is compressed as `{}`, which is not taken apart",
                    other.escape_debug()
                );
                self.failed.push((path.clone(), why));
            }
            let name = infos.first().and_then(|info| info.store_path.rsplit_once('/'));
            let store_name = name.map(|(_, name)| name.to_owned());
            self.add(path, About { scope: Scope::Cache, store_name, mark: None });
        }
    }
}

/// Bytes of a NAR that is left out as signed. Which file it is stands in the part of a `.narinfo` that
/// nobody signs: so whatever names it must be signed and mean the same, and it must be a file, of the right
/// size where that can be seen from outside.
fn signed_size(path: &Path, infos: &[NarInfo], keys: &[TrustedKey]) -> Option<u64> {
    let (first, _) = infos.split_first()?;
    let size = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    let is_right = |info: &NarInfo| {
        info.nar_hash == first.nar_hash
            && (info.compression.as_deref() != Some("none") || info.nar_size == size)
            && info.is_signed(keys)
    };
    infos.iter().all(is_right).then_some(first.nar_size)
}

/// What is in a folder; entries that cannot be read go to `failed`.
///
/// # Errors
/// What the system says of the folder itself.
pub fn list(folder: &Path, failed: &mut Vec<(PathBuf, String)>) -> io::Result<Vec<PathBuf>> {
    let mut path = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry.inspect_err(|error| failed.push((folder.to_owned(), error.to_string())));
        Some(entry.ok()?.path())
    };
    Ok(std::fs::read_dir(folder)?.filter_map(&mut path).collect())
}

/// The names of the store paths that a derivation makes.
///
/// # Errors
/// What the system says; `InvalidData` where the file is no derivation.
pub fn outputs_of(drv: &Path) -> io::Result<Vec<PathBuf>> {
    let text = crate::fsx::read_limited(drv, LONGEST_DRV)?;
    let outputs = aterm::outputs(&text);
    let outputs =
        outputs.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no derivation"))?;
    Ok(outputs.into_iter().map(PathBuf::from).collect())
}

/// What stands for a store and its folder of links with the keys that are trusted, and whether neither folder
/// has changed just now; `None` where there are no links.
fn links_as_they_are(folder: &Path, keys: &[TrustedKey]) -> io::Result<Option<(Mark, bool)>> {
    let links = folder.join(".links");
    let mut numbers = Vec::new();
    let mut settled = true;
    for folder in [folder, &links] {
        let data = match folder.metadata() {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for part in [data.dev(), data.ino()] {
            numbers.extend(part.to_le_bytes());
        }
        for part in [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()] {
            numbers.extend(part.to_le_bytes());
        }
        // a change right after this one may have the same time
        let changed = data.modified().and_then(|time| time.elapsed().map_err(io::Error::other));
        settled &= changed.is_ok_and(|age| age >= TICK);
    }
    let keys = keys.iter().map(TrustedKey::text).collect::<Vec<_>>().join("\n");
    let mark = mark(&[b"links", links.as_os_str().as_bytes(), &numbers, keys.as_bytes()]);
    Ok(Some((mark, settled)))
}

/// What is to be done with a store path.
enum Judged<'n> {
    /// A trusted cache has signed so many bytes; seen now, where there is a mark.
    Signed { bytes: u64, new: Option<Mark> },
    /// It was looked through before.
    Clean(Mark),
    /// It is to be looked at.
    Look { name: &'n [u8], registered: bool, mark: Option<Mark> },
}

/// A store path that a trusted cache may have signed.
struct Asked<'n> {
    registered: Registered<'n>,
    mark: Mark,
}

fn judge<'n>(
    name: &'n [u8],
    known: &'n Known,
    filter: &Filter<'_>,
) -> Result<Judged<'n>, Asked<'n>> {
    let text = std::str::from_utf8(name).ok();
    let registered = text.and_then(|name| known.of(name));
    if let Some(registered) = registered
        && let Some(hash) = registered.hash
        && names_a_key(registered.signatures.split_ascii_whitespace(), filter.keys)
    {
        let size = registered.size.to_le_bytes();
        let mark = mark(&[b"signed", known.logical.as_bytes(), name, hash, &size]);
        if filter.verified.contains(&mark) {
            return Ok(Judged::Signed { bytes: registered.size, new: None });
        }
        return Err(Asked { registered, mark });
    }
    Ok(unsigned(name, registered, known, filter))
}

/// What is to be done with one that no trusted cache has signed.
fn unsigned<'n>(
    name: &'n [u8],
    registered: Option<Registered<'_>>,
    known: &Known,
    filter: &Filter<'_>,
) -> Judged<'n> {
    let hash = registered.and_then(|registered| registered.hash);
    let mark = hash.map(|hash| mark(&[b"path", known.logical.as_bytes(), name, hash]));
    match mark {
        Some(mark) if filter.clean.contains(&mark) => Judged::Clean(mark),
        mark => Judged::Look { name, registered: registered.is_some(), mark },
    }
}

/// The names of store paths and of all that they refer to, and so on; those that the database does
/// not know are left as they are.
pub fn closure(known: &Known, references: &Pairs, names: &[String]) -> Vec<Vec<u8>> {
    let mut closure: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<String> = names.to_vec();
    while let Some(name) = waiting.pop() {
        if let Some(registered) = known.of(&name)
            && !closure.contains(&name)
        {
            let to = references.of(registered.id).filter_map(|id| known.name(id));
            waiting.extend(to.map(str::to_owned));
        }
        closure.insert(name);
    }
    closure.into_iter().map(String::into_bytes).collect()
}

/// The coarsest time of a file system.
const TICK: Duration = Duration::from_secs(2);
const LONGEST_DRV: usize = 64 << 20;
const LONGEST_NARINFO: usize = 1 << 20;
/// Compressions of NARs that are taken apart, as narinfo files name them.
const UNPACKED: [&str; 7] = ["none", "", "xz", "lzma", "bzip2", "gzip", "zstd"];
