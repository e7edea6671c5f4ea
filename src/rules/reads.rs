//! What an evaluation has read from files, and whether all of it is still the same.
//!
//! Each read is known by its outcome: the hash of a content, the entries of a folder, whether
//! something is there. The links on the way are known too, since Nix takes the place that a link
//! leads to for the folder of the file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, FileType};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fsx::read_limited;

const CONTENT_LIMIT: usize = 16 << 20;
const COUNT_LIMIT: usize = 10_000;
const LINK_LIMIT: usize = 40;

/// All reads of an evaluation.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reads {
    reads: BTreeSet<Read>,
    links: BTreeMap<PathBuf, PathBuf>,
}

/// What was done, with which path, and what came of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Read(What, PathBuf, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    File,
    Folder,
    Exists,
}

impl Reads {
    /// From the lines that our `import` had Nix print, and the links as they are now; `None` where
    /// something about them is not certain.
    pub(super) fn of_trace(said: &[u8]) -> Option<Self> {
        let mut reads = BTreeSet::new();
        for line in said.split(|byte| *byte == b'\n') {
            if let Some(read) = line.strip_prefix(b"trace: secretctl-read ") {
                reads.insert(serde_json::from_slice(read).ok()?);
                if reads.len() > COUNT_LIMIT {
                    return None;
                }
            }
        }
        let links = links(&reads)?;
        Some(Self { reads, links })
    }

    /// The links on the way to one file, and no read.
    pub(super) fn of_file(file: &Path) -> Option<Self> {
        let mut way = Way::default();
        way.follow(file)?;
        Some(Self { reads: BTreeSet::new(), links: way.links() })
    }

    /// Whether a file is among the contents.
    pub(super) fn names(&self, file: &Path) -> bool {
        self.reads.iter().any(|Read(what, path, _)| *what == What::File && path == file)
    }

    /// Whether each link is one of `other`, and leads to the same place.
    pub(super) fn has_links_of(&self, other: &Self) -> bool {
        self.links.iter().all(|(link, target)| other.links.get(link) == Some(target))
    }

    /// Whether whoever read all this now would see the same.
    pub(super) fn still_hold(&self) -> bool {
        links(&self.reads).is_some_and(|links| links == self.links)
            && self.reads.iter().all(|Read(what, path, seen)| {
                let now = match what {
                    What::File => content(path),
                    What::Folder => entries(path),
                    What::Exists => exists(path),
                };
                now.is_some_and(|now| now == *seen)
            })
    }
}

/// The hash of a content.
fn content(path: &Path) -> Option<String> {
    // Whatever else can be read (a pipe, a device) may wait for ever, and say something else.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    Some(hex::encode(Sha256::digest(read_limited(path, CONTENT_LIMIT).ok()?)))
}

/// The hash of the names in a folder and their kinds, as `builtins.readDir` calls them.
fn entries(path: &Path) -> Option<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).ok()? {
        let entry = entry.ok()?;
        found.push((entry.file_name().as_bytes().to_owned(), kind(entry.file_type().ok()?)));
        if found.len() > COUNT_LIMIT {
            return None;
        }
    }
    found.sort_unstable();
    let parts: Vec<&[u8]> = found.iter().flat_map(|(name, kind)| [name.as_slice(), kind]).collect();
    Some(hex::encode(Sha256::digest(parts.join(&b'/'))))
}

fn kind(kind: FileType) -> &'static [u8] {
    if kind.is_file() {
        b"regular"
    } else if kind.is_dir() {
        b"directory"
    } else if kind.is_symlink() {
        b"symlink"
    } else {
        b"unknown"
    }
}

/// Whether something is there. Of a link that leads nowhere the versions of Nix think differently.
fn exists(path: &Path) -> Option<String> {
    let (itself, target) = (is_there(fs::symlink_metadata(path))?, is_there(fs::metadata(path))?);
    (itself == target).then(|| if itself { "yes" } else { "no" }.to_owned())
}

fn is_there(found: std::io::Result<fs::Metadata>) -> Option<bool> {
    match found {
        Ok(_) => Some(true),
        Err(error) => {
            let is_absent = matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            );
            is_absent.then_some(false)
        }
    }
}

/// Every link on the way to any of the paths.
fn links(reads: &BTreeSet<Read>) -> Option<BTreeMap<PathBuf, PathBuf>> {
    let mut way = Way::default();
    for Read(_, path, _) in reads {
        way.follow(path)?;
    }
    Some(way.links())
}

/// What is known of the ways to files: where each part leads, if it is a link.
#[derive(Default)]
struct Way {
    parts: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl Way {
    /// Goes the way to a path as the system does; `None` where Nix might go another.
    fn follow(&mut self, path: &Path) -> Option<()> {
        let mut here = PathBuf::new();
        let mut ahead: VecDeque<OsString> = path.components().map(owned).collect();
        let mut met = 0_usize;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                here.pop();
                continue;
            }
            here.push(part);
            let target =
                self.parts.entry(here.clone()).or_insert_with_key(|p| fs::read_link(p).ok());
            let Some(target) = target else { continue };
            let is_winding = target.components().any(|part| part == Component::ParentDir);
            // Old Nix takes a `..` after a link for the folder of the link.
            if (is_winding && met > 0) || met >= LINK_LIMIT {
                return None;
            }
            met = met.saturating_add(1);
            here.pop();
            for part in target.components().rev() {
                ahead.push_front(owned(part));
            }
        }
        Some(())
    }

    fn links(self) -> BTreeMap<PathBuf, PathBuf> {
        self.parts.into_iter().filter_map(|(link, target)| Some((link, target?))).collect()
    }
}

fn owned(part: Component<'_>) -> OsString {
    part.as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn trace(lines: &[(&str, &Path, &str)]) -> Vec<u8> {
        let line = |(what, path, seen): &(&str, &Path, &str)| {
            format!("trace: secretctl-read {}\n", serde_json::json!([what, path, seen]))
        };
        lines.iter().map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn each_change_of_what_was_read_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("d/sub")).unwrap();
        fs::write(at("d/a"), "one").unwrap();
        fs::write(at("b"), "one").unwrap();
        symlink("d", at("link")).unwrap();
        let one = hex::encode(Sha256::digest("one"));
        let listed = hex::encode(Sha256::digest("a/regular/sub/directory"));
        let said = trace(&[
            ("file", &at("link/a"), &one),
            ("folder", &at("d"), &listed),
            ("exists", &at("none"), "no"),
            ("exists", &at("b"), "yes"),
        ]);
        let text = [b"evaluating x\n".as_slice(), &said, b"trace: mine\n"].concat();
        let reads = Reads::of_trace(&text).unwrap();
        assert!(reads.still_hold());
        assert!(reads.names(&at("link/a")) && !reads.names(&at("b")));
        let change = |change: &dyn Fn(), back: &dyn Fn()| {
            change();
            assert!(!reads.still_hold());
            back();
            assert!(reads.still_hold());
        };
        change(&|| fs::write(at("d/a"), "two").unwrap(), &|| fs::write(at("d/a"), "one").unwrap());
        change(&|| fs::write(at("d/c"), "").unwrap(), &|| fs::remove_file(at("d/c")).unwrap());
        change(&|| fs::write(at("none"), "").unwrap(), &|| fs::remove_file(at("none")).unwrap());
        change(&|| symlink("nowhere", at("none")).unwrap(), &|| {
            fs::remove_file(at("none")).unwrap();
        });
        change(&|| fs::remove_file(at("b")).unwrap(), &|| fs::write(at("b"), "").unwrap());
        // The same content by another way.
        let relink = |target: &str| {
            fs::remove_file(at("link")).unwrap();
            symlink(at(target), at("link")).unwrap();
        };
        change(&|| relink("d"), &|| {
            fs::remove_file(at("link")).unwrap();
            symlink("d", at("link")).unwrap();
        });
        assert!(!reads.has_links_of(&Reads::of_file(&at("b")).unwrap()));
        assert!(reads.has_links_of(&Reads::of_file(&at("link/a")).unwrap()));
    }

    #[test]
    fn what_is_not_certain_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // A pipe would be waited for.
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), kind, mode, 0).unwrap();
        let empty = hex::encode(Sha256::digest(""));
        let reads = Reads::of_trace(&trace(&[("file", &at("pipe"), &empty)])).unwrap();
        assert!(!reads.still_hold());
        // A link in a folder that is a link, with `..` in it.
        fs::create_dir_all(at("x/y")).unwrap();
        symlink("x/y", at("z")).unwrap();
        symlink("../a", at("x/y/a")).unwrap();
        assert!(Reads::of_trace(&trace(&[("file", &at("z/a"), &empty)])).is_none());
        // Links in a circle, and what is no line of ours.
        symlink("circle", at("circle")).unwrap();
        assert!(Reads::of_file(&at("circle")).is_none());
        assert!(Reads::of_trace(b"trace: secretctl-read [\"other\",\"/x\",\"\"]\n").is_none());
    }
}
