//! Rules: who may read which secret file, from one of several sources, each rule with the
//! place where it was said. Reads rules; never opens a secret.

pub mod agenix;
mod agree;
mod build;
mod cache;
mod confined;
pub mod discover;
mod edit_error;
mod error;
pub mod flake;
mod key_text;
mod looks;
pub mod native;
pub mod native_edit;
mod nix;
pub mod outline;
mod reading;
mod reads;
pub mod sops;
pub mod sops_yaml;
mod splice;
mod yaml;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

pub use discover::{Request, RuleSet, Wanted, load};
pub use error::{Problem, ProblemKind, RulesError};

pub use key_text::of_kind;
pub use sops::{Layout, NamedKey, Selector, SelectorKind, SopsReaders, SopsRule};

use crate::key::Recipient;
use crate::key::wrapping::WrappingKey;
use crate::place::Place;

/// What a reader is, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderKind {
    /// A person.
    User,
    /// A machine.
    Host,
    /// A bare key that the source gives no name; its name is the comment or the short key. Of
    /// `.sops.yaml`, whose names (anchors) do not tell people from machines, every key.
    Key,
}

/// A named reader of secrets and its public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Name for people.
    pub name: String,
    /// User, host or bare key.
    pub kind: ReaderKind,
    /// Its age and SSH keys. There is at least one key of the one or the other sort.
    pub recipients: Vec<Recipient>,
    /// Its keys of PGP and of key services, which serve for sops files alone.
    pub sops_only: Vec<WrappingKey>,
    /// Where the reader was declared.
    pub place: Place,
}

impl Reader {
    /// All its keys, for a sops file.
    pub fn keys(&self) -> impl Iterator<Item = WrappingKey> {
        let age = self.recipients.iter().cloned().map(WrappingKey::Age);
        age.chain(self.sops_only.iter().cloned())
    }
}

/// Which files a rule is about, relative to [`Rules::base`].
#[derive(Debug, Clone)]
pub enum Pattern {
    /// One file.
    File(PathBuf),
    /// Every file that matches a glob of the native rules (`*` stays inside a folder, `**` does
    /// not).
    Glob(globset::GlobMatcher),
    /// Every file whose path matches a regular expression of `.sops.yaml`, anywhere in it: the
    /// path relative to the base where the file lies below, else the absolute one.
    Regex(regex::bytes::Regex),
    /// Every file: a rule of `.sops.yaml` without `path_regex`.
    Every,
}

/// One rule: the readers of the files that match a pattern.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The files.
    pub pattern: Pattern,
    /// Indices into [`Rules::readers`], master keys included, without duplicates.
    pub readers: Vec<usize>,
    /// `Some` where the rule says whether files are armored.
    pub armor: Option<bool>,
    /// Whether files leave out the list of their readers.
    pub anonymous: bool,
    /// What it says of sops files alone.
    pub sops: SopsRule,
    /// What is wrong with it. Its files are still its own, so that no later rule gets them; they
    /// cannot be written before it is mended.
    pub problems: Vec<Problem>,
    /// Where the rule was said.
    pub place: Place,
}

/// Where rules come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `secretctl.yaml`.
    Native,
    /// agenix: `secrets.nix`.
    Agenix,
    /// sops: `.sops.yaml`.
    Sops,
    /// The `secretctl` output of a flake.
    Flake,
}

/// A named set of readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name for people.
    pub name: String,
    /// Indices into [`Rules::readers`], groups inside it spread out.
    pub members: Vec<usize>,
    /// Where the group was declared.
    pub place: Place,
}

/// The rules of one source.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What kind of source this is.
    pub source: Source,
    /// The rules file itself (`secretctl.yaml`, `secrets.nix`, `.sops.yaml`, `flake.nix`), absolute.
    pub file: PathBuf,
    /// Absolute folder that patterns are relative to.
    pub base: PathBuf,
    /// Everybody who is declared.
    pub readers: Vec<Reader>,
    /// Named sets of them.
    pub groups: Vec<Group>,
    /// The readers of every secret, indices into [`Rules::readers`].
    pub masters: Vec<usize>,
    /// In the order of the source; the first match wins.
    pub rules: Vec<Rule>,
    /// How the canonical writer indents sops files.
    pub layout: Layout,
    exact: HashMap<PathBuf, usize>,
    /// Indices of the rules that do not name one file.
    patterns: Vec<usize>,
}

impl Rules {
    /// Rules of a source, with an index of the files that they name exactly.
    pub fn new(source: Source, file: PathBuf, base: PathBuf) -> Self {
        Self {
            source,
            file,
            base,
            readers: Vec::new(),
            groups: Vec::new(),
            masters: Vec::new(),
            rules: Vec::new(),
            layout: Layout::default(),
            exact: HashMap::new(),
            patterns: Vec::new(),
        }
    }

    /// Adds a rule behind all others.
    pub fn push(&mut self, rule: Rule) {
        let index = self.rules.len();
        match &rule.pattern {
            Pattern::File(path) => {
                self.exact.entry(path.clone()).or_insert(index);
            }
            Pattern::Glob(_) | Pattern::Regex(_) | Pattern::Every => self.patterns.push(index),
        }
        self.rules.push(rule);
    }

    /// The first rule that matches a file, given by its absolute path.
    pub fn find(&self, file: &Path) -> Option<&Rule> {
        let cleaned = (!surely_clean(file)).then(|| clean(file));
        let file = cleaned.as_deref().unwrap_or(file);
        let relative = below(file, &self.base);
        let exact = relative.and_then(|path| self.exact.get(path));
        let exact = exact.or_else(|| self.exact.get(file)).copied();
        let matches = |index: &usize| match self.rules.get(*index).map(|rule| &rule.pattern) {
            Some(Pattern::Glob(glob)) => relative.is_some_and(|path| glob.is_match(path)),
            Some(Pattern::Regex(regex)) => {
                regex.is_match(relative.unwrap_or(file).as_os_str().as_bytes())
            }
            Some(Pattern::Every) => true,
            Some(Pattern::File(_)) | None => false,
        };
        let first = match (exact, self.patterns.iter().copied().find(matches)) {
            (Some(exact), Some(pattern)) => Some(exact.min(pattern)),
            (exact, pattern) => exact.or(pattern),
        };
        first.and_then(|index| self.rules.get(index))
    }

    /// The readers of a rule.
    pub fn readers_of<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a Reader> {
        rule.readers.iter().filter_map(|index| self.readers.get(*index))
    }
}

/// True only of absolute paths that [`clean`] leaves as they are, and of nearly all of those that are
/// looked for.
fn surely_clean(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let follows = |next: &[u8]| matches!(next, [] | [b'/' | b'.', ..]);
    let mut slashes = memchr::memchr_iter(b'/', path);
    path.first() == Some(&b'/')
        && !slashes.any(|at| follows(path.get(at.saturating_add(1)..).unwrap_or_default()))
}

/// The rest of a clean path below a folder.
fn below<'a>(path: &'a Path, folder: &Path) -> Option<&'a Path> {
    let bytes = path.as_os_str().as_bytes().strip_prefix(folder.as_os_str().as_bytes());
    match bytes.and_then(|rest| rest.strip_prefix(b"/")) {
        Some(rest) => Some(Path::new(OsStr::from_bytes(rest))),
        None => path.strip_prefix(folder).ok(),
    }
}

/// A path without `.`, doubled slashes and, as far as names alone can tell, `..`.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(cleaned.components().next_back(), Some(Component::Normal(_))) =>
            {
                cleaned.pop();
            }
            Component::ParentDir if cleaned.has_root() => {}
            Component::Prefix(_)
            | Component::RootDir
            | Component::ParentDir
            | Component::Normal(_) => cleaned.push(component),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_ways_lead_to_the_same(path in "/?[/.a]{0,8}", folder in "/[/.a]{0,4}") {
            let (path, folder) = (Path::new(&path), Path::new(&folder));
            if surely_clean(path) {
                let cleaned = clean(path);
                prop_assert_eq!(cleaned.as_os_str(), path.as_os_str());
                prop_assert_eq!(below(path, folder), path.strip_prefix(folder).ok());
            }
        }
    }
}
