//! Finds the sources of rules for a file or folder, loads them, and answers for single files.
//!
//! The search goes upwards to the root of the repository (the folder with `.git`). Without a
//! repository it ends below the first folder that belongs to somebody else, since rules that
//! others can write decide who reads the secrets, and Nix runs them. So neither rules nor `.git`
//! count that somebody else put into a folder where everybody may, such as `/tmp`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fsx::replace::is_temporary;
use crate::process::capture::ProcessError;

use super::error::RulesError;
use super::{Pattern, Rule, Rules, agenix, cache, clean, flake, native};

/// What the caller needs to know about.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Every rule.
    All,
    /// The rule of one file, an absolute path: what else is broken does not matter.
    File(&'a Path),
}

/// Where to look for rules, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The secret file or the working directory, absolute.
    pub start: &'a Path,
    /// Rules that the user named; nothing else is looked for then.
    pub explicit: Option<&'a Path>,
    /// The folder that names in `secrets.nix` are relative to; its own folder if not given.
    pub base: Option<&'a Path>,
    /// What is needed.
    pub wanted: Wanted<'a>,
    /// Further options of Nix, such as `--override-input`.
    pub nix_options: &'a [String],
    /// Folder for results of Nix, used where they are known to be still true, and for a store
    /// of sources where the user may not use the store of the machine.
    pub cache: Option<&'a Path>,
}

/// The rules of every source that was found.
#[derive(Debug)]
pub struct RuleSet {
    /// In the order native, agenix, flake.
    pub sources: Vec<Rules>,
    /// What is wrong with single rules, which are left out of `sources`.
    pub problems: Vec<RulesError>,
    /// What the user should hear of: warnings of Nix, files outside of the flake.
    pub notes: Vec<String>,
}

/// Finds and loads the rules for a request.
///
/// # Errors
/// [`RulesError::NoRules`] where there are none, any other where a source as a whole is broken.
pub fn load(request: &Request<'_>) -> Result<RuleSet, RulesError> {
    let mut set = RuleSet { sources: Vec::new(), problems: Vec::new(), notes: Vec::new() };
    if let Some(explicit) = request.explicit {
        set.add(&request.start.join(explicit), request)?;
        return Ok(set);
    }
    let found = discover(request.start);
    let one_of_many = found.len() > 1;
    for file in found {
        match set.add(&file, request) {
            // A flake may speak of us and still keep its rules elsewhere.
            Err(RulesError::NoOutput { .. }) => {}
            // A module that happens to be called `secrets.nix` is nobody's rules, and without
            // Nix the other sources still hold.
            Err(
                error @ (RulesError::NotAttributes { .. }
                | RulesError::Process { source: ProcessError::Missing { .. }, .. }),
            ) if one_of_many => set.problems.push(error),
            other => other?,
        }
    }
    if set.sources.is_empty() {
        let start = request.start.to_owned();
        return Err(set.problems.pop().unwrap_or(RulesError::NoRules { start }));
    }
    Ok(set)
}

/// The nearest file of each kind from `start` upwards.
pub fn discover(start: &Path) -> Vec<PathBuf> {
    let start = clean(start);
    let folder = if start.is_dir() { Some(start.as_path()) } else { start.parent() };
    let folders = upwards(folder.unwrap_or(Path::new("/")));
    let nearest = |names: &[&str]| {
        let candidates = folders.iter().flat_map(|f| names.iter().map(move |name| f.join(name)));
        let ours = |file: &PathBuf| {
            file.is_file() && is_trusted(file) && file.parent().is_some_and(is_trusted)
        };
        candidates.into_iter().find(ours)
    };
    let agenix_names = [agenix::FILE_NAME, "secrets/secrets.nix"];
    let mut found: Vec<PathBuf> = nearest(&[native::FILE_NAME]).into_iter().collect();
    found.extend(nearest(&agenix_names));
    // Asking Nix takes a while: only a flake that speaks of us is asked.
    found.extend(
        nearest(&[flake::FILE_NAME])
            .filter(|file| native::read(file).is_ok_and(|text| text.contains("secretctl"))),
    );
    found
}

impl RuleSet {
    /// The rule for a file, given by its absolute path.
    ///
    /// # Errors
    /// [`RulesError::Conflict`] where two sources claim the file and disagree.
    pub fn for_file(&self, absolute: &Path) -> Result<Option<(&Rules, &Rule)>, RulesError> {
        let mut first: Option<(&Rules, &Rule)> = None;
        for rules in &self.sources {
            let Some(rule) = rules.find(absolute) else { continue };
            match first {
                None => first = Some((rules, rule)),
                Some(before) => {
                    if let Some(what) = disagreement(before, (rules, rule)) {
                        return Err(RulesError::Conflict {
                            file: absolute.to_owned(),
                            places: Box::new([before.1.place.clone(), rule.place.clone()]),
                            what,
                        });
                    }
                }
            }
        }
        Ok(first)
    }

    /// The folders that rules are about, none of them inside another.
    pub fn roots(&self) -> Vec<&Path> {
        let bases: BTreeSet<&Path> =
            self.sources.iter().map(|rules| rules.base.as_path()).collect();
        let mut roots: Vec<&Path> = Vec::new();
        for base in bases {
            if !roots.iter().any(|root| base.starts_with(root)) {
                roots.push(base);
            }
        }
        roots
    }

    /// Every file that a rule names, existing or not, and every existing one that a glob
    /// matches: absolute, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn secret_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = BTreeSet::new();
        let mut has_globs = false;
        for rules in &self.sources {
            for rule in &rules.rules {
                match &rule.pattern {
                    Pattern::File(path) => {
                        files.insert(rules.base.join(path));
                    }
                    Pattern::Glob(_) => has_globs = true,
                }
            }
        }
        if has_globs {
            self.walk(&mut |file| {
                if self.sources.iter().any(|rules| rules.find(&file).is_some()) {
                    files.insert(file);
                }
            })?;
        }
        Ok(files.into_iter().collect())
    }

    /// Files below the roots that look like secrets (by name or content) and have no rule:
    /// absolute, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn unclaimed(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = BTreeSet::new();
        self.walk(&mut |file| {
            let claimed = self.sources.iter().any(|rules| rules.find(&file).is_some());
            if !claimed && looks_like_secret(&file) {
                files.insert(file);
            }
        })?;
        Ok(files.into_iter().collect())
    }

    fn add(&mut self, file: &Path, request: &Request<'_>) -> Result<(), RulesError> {
        let file =
            clean(&if file.is_dir() { file.join(flake::FILE_NAME) } else { file.to_owned() });
        let extension = file.extension().unwrap_or_default();
        if extension == "yaml" || extension == "yml" {
            self.sources.push(native::load(&file)?);
        } else if file.file_name().is_some_and(|name| name == flake::FILE_NAME) {
            let key = cache::Key::of_flake(&file, request);
            let store = request.cache.map(|cache| cache.join("store"));
            let (rules, notes) =
                flake::load_cached(&file, request.nix_options, key.as_ref(), store.as_deref())?;
            self.sources.push(rules);
            self.notes.extend(notes);
        } else if extension == "nix" {
            let own = file.parent().unwrap_or(Path::new("/"));
            let base = request.base.unwrap_or(own);
            let Request { wanted, nix_options, cache, .. } = *request;
            let (rules, problems) = agenix::load(&file, base, wanted, nix_options, cache)?;
            self.sources.push(rules);
            self.problems.extend(problems);
        } else {
            return Err(RulesError::UnknownKind { file });
        }
        Ok(())
    }

    /// Visits every regular file (and link to one) below the roots but the rules files.
    fn walk(&self, visit: &mut dyn FnMut(PathBuf)) -> io::Result<()> {
        let mut folders: Vec<PathBuf> = self.roots().into_iter().map(Path::to_owned).collect();
        while let Some(folder) = folders.pop() {
            let named = |source: io::Error| {
                io::Error::new(source.kind(), format!("{}: {source}", folder.display()))
            };
            for entry in fs::read_dir(&folder).map_err(named)? {
                let entry = entry.map_err(named)?;
                let kind = entry.file_type().map_err(named)?;
                let path = entry.path();
                if kind.is_dir() {
                    if entry.file_name() != ".git" {
                        folders.push(path);
                    }
                } else if (kind.is_file() || (kind.is_symlink() && path.is_file()))
                    && !self.sources.iter().any(|rules| rules.file == path)
                    && !is_temporary(&entry.file_name())
                {
                    visit(path);
                }
            }
        }
        Ok(())
    }
}

/// `start` and the folders above it, as far as rules are looked for.
fn upwards(start: &Path) -> Vec<PathBuf> {
    let all: Vec<PathBuf> = start.ancestors().map(Path::to_owned).collect();
    let owner = |folder: &Path| fs::metadata(folder).map(|data| data.uid()).ok();
    let first = all.iter().find_map(|folder| owner(folder));
    let same_hands = |folder: &PathBuf| match owner(folder) {
        Some(uid) => uid == 0 || uid == me() || Some(uid) == first,
        None => true,
    };
    let root = all
        .iter()
        .take_while(|folder| same_hands(folder))
        .position(|folder| folder.join(".git").exists() && is_trusted(&folder.join(".git")));
    if let Some(root) = root {
        return all.into_iter().take(root.saturating_add(1)).collect();
    }
    let is_mine = |folder: &Path| owner(folder) == Some(me());
    // The folder itself was chosen by the user, whoever owns it; it may also not exist yet.
    let above = all.into_iter().enumerate();
    above
        .take_while(|(index, folder)| *index == 0 || !folder.exists() || is_mine(folder))
        .map(|(_, folder)| folder)
        .collect()
}

/// Whether a file or folder can be from nobody but those who hold its folder: in a folder where
/// everybody may make files, only what this user or root made.
fn is_trusted(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    let open = fs::metadata(folder).is_ok_and(|data| data.mode() & 0o002 != 0);
    !open || fs::symlink_metadata(path).is_ok_and(|data| [0, me()].contains(&data.uid()))
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What two rules for one file disagree about.
fn disagreement(one: (&Rules, &Rule), other: (&Rules, &Rule)) -> Option<String> {
    let keys = |(rules, rule): (&Rules, &Rule)| -> BTreeSet<String> {
        let recipients = rules.readers_of(rule).flat_map(|reader| reader.recipients.iter());
        recipients.map(|recipient| recipient.canonical().to_owned()).collect()
    };
    let (one_keys, other_keys) = (keys(one), keys(other));
    if one_keys != other_keys {
        let names = |(rules, rule): (&Rules, &Rule), without: &BTreeSet<String>| {
            let only = rules.readers_of(rule).filter(|reader| {
                reader.recipients.iter().any(|key| !without.contains(key.canonical()))
            });
            let names: Vec<&str> = only.map(|reader| reader.name.as_str()).collect();
            names.join(", ")
        };
        let sides =
            [("one", names(one, &other_keys)), ("other", names(other, &one_keys))].into_iter();
        let sides = sides.filter(|(_, names)| !names.is_empty());
        let sides: Vec<_> = sides.map(|(which, n)| format!("only the {which} names {n}")).collect();
        return Some(sides.join(", "));
    }
    (one.1.armor.unwrap_or_default() != other.1.armor.unwrap_or_default())
        .then(|| "only one of them asks for armor".to_owned())
}

fn looks_like_secret(file: &Path) -> bool {
    if file.extension().is_some_and(|extension| extension == "age") {
        return true;
    }
    let mut begin = Vec::new();
    let read = File::open(file).and_then(|file| file.take(64).read_to_end(&mut begin));
    read.is_ok()
        && (begin.starts_with(b"age-encryption.org/v1\n")
            || begin.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"))
}
