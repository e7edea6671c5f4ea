//! Finds the sources of rules for a file or folder, loads them, and answers for single files.
//!
//! The search goes upwards to the root of the repository (the folder with `.git`). Without a
//! repository it ends below the first folder that belongs to somebody else, since rules that
//! others can write decide who reads the secrets, and Nix runs them. So neither rules nor `.git`
//! count that somebody else put into a folder where everybody may, such as `/tmp`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fsx::replace::is_temporary;
use crate::process::capture::ProcessError;

use super::agree::disagreement;
use super::error::{Problem, ProblemKind, RulesError};
use super::looks::{Looks, is_age_name};
use super::{
    Pattern, Reader, Rule, Rules, SopsRule, Source, agenix, cache, clean, flake, native, sops_yaml,
};

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
    /// The working directory, absolute: `.sops.yaml` is looked for from here upwards too, where
    /// there is none from `start` upwards.
    pub here: &'a Path,
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
    /// Whether Nix may be run. Where not, rules in Nix are passed over, unless what they came to is in
    /// the cache.
    pub evaluate: bool,
}

/// The rules of every source that was found.
#[derive(Debug)]
pub struct RuleSet {
    /// In the order native, agenix, flake, sops.
    pub sources: Vec<Rules>,
    /// What is wrong with single rules: those of agenix are left out of `sources`, those of sops
    /// are in it and claim their files.
    pub problems: Vec<RulesError>,
    /// What the user should hear of: warnings of Nix, files outside of the flake, fields that
    /// sops does not know.
    pub notes: Vec<String>,
}

/// Finds and loads the rules for a request.
///
/// # Errors
/// [`RulesError::NoRules`] where there are none, any other where a source as a whole is broken.
pub fn load(request: &Request<'_>) -> Result<RuleSet, RulesError> {
    let mut set = RuleSet { sources: Vec::new(), problems: Vec::new(), notes: Vec::new() };
    if let Some(explicit) = request.explicit {
        let file = request.start.join(explicit);
        if matches!(file.try_exists(), Ok(false)) {
            return Err(RulesError::Nowhere { file });
        }
        set.add(&file, request)?;
        return Ok(set);
    }
    let found = discover(request.start, request.here);
    let one_of_many = found.len() > 1;
    let is_for_age = matches!(request.wanted, Wanted::File(file) if is_age_name(file));
    for file in found {
        // What is wrong there shall not stand in the way of a file that it is not about.
        if is_for_age && one_of_many && is_sops_yaml(&file) {
            continue;
        }
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
    if !is_for_age {
        set.notes.extend(misnamed(request.start, request.here));
    }
    if set.sources.is_empty() {
        let start = request.start.to_owned();
        return Err(set.problems.pop().unwrap_or(RulesError::NoRules { start, notes: set.notes }));
    }
    Ok(set)
}

/// The nearest file of each kind from `start` upwards; of sops, else from `here` upwards.
pub fn discover(start: &Path, here: &Path) -> Vec<PathBuf> {
    let folders = upwards_of(start);
    let agenix_names = [agenix::FILE_NAME, "secrets/secrets.nix"];
    let mut found: Vec<PathBuf> = nearest(&folders, &[native::FILE_NAME]).into_iter().collect();
    found.extend(nearest(&folders, &agenix_names));
    // Asking Nix takes a while: only a flake that speaks of us is asked.
    found.extend(
        nearest(&folders, &[flake::FILE_NAME])
            .filter(|file| native::read(file).is_ok_and(|text| text.contains("secretctl"))),
    );
    found.extend(sops_file(start, here));
    found
}

/// The nearest `.sops.yaml` from `start` upwards, or else from `here`, where sops begins.
pub fn sops_file(start: &Path, here: &Path) -> Option<PathBuf> {
    let names = [sops_yaml::FILE_NAME];
    nearest(&upwards_of(start), &names).or_else(|| nearest(&upwards_of(here), &names))
}

/// As [`sops_file`], but where there is none, above the repository too: as far up as sops looks.
pub fn sops_file_above(start: &Path, here: &Path) -> Option<PathBuf> {
    let above: Vec<PathBuf> = here.ancestors().take(100).map(Path::to_owned).collect();
    let ours =
        |file: &PathBuf| fs::metadata(file).is_ok_and(|data| [0, me()].contains(&data.uid()));
    sops_file(start, here).or_else(|| nearest(&above, &[sops_yaml::FILE_NAME]).filter(ours))
}

/// Says of a `.sops.yml`, which sops does not read, that it is not read.
fn misnamed(start: &Path, here: &Path) -> Option<String> {
    let names = [sops_yaml::WRONG_NAME];
    let file = nearest(&upwards_of(start), &names);
    let file = file.or_else(|| nearest(&upwards_of(here), &names))?;
    let (file, name) = (file.display(), sops_yaml::FILE_NAME);
    Some(format!("`{file}` is passed over: rules of sops must be called `{name}`"))
}

fn upwards_of(start: &Path) -> Vec<PathBuf> {
    let start = clean(start);
    let folder = if start.is_dir() { Some(start.as_path()) } else { start.parent() };
    upwards(folder.unwrap_or(Path::new("/")))
}

fn nearest(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    let mut candidates = folders.iter().flat_map(|f| names.iter().map(move |name| f.join(name)));
    // Our own are not passed over for others because they cannot be read.
    let is_there = |file: &PathBuf| {
        file.is_file() || file.ends_with(native::FILE_NAME) && file.symlink_metadata().is_ok()
    };
    candidates
        .find(|file| is_there(file) && is_trusted(file) && file.parent().is_some_and(is_trusted))
}

impl RuleSet {
    /// The rule for a file, given by its absolute path.
    ///
    /// # Errors
    /// [`RulesError::Conflict`] where two sources claim the file and disagree;
    /// [`RulesError::Problems`] where its rule is broken or cannot be for an age file.
    pub fn for_file(&self, absolute: &Path) -> Result<Option<(&Rules, &Rule)>, RulesError> {
        let mut best: Option<(&Rules, &Rule)> = None;
        for (rules, rule) in self.claims(absolute) {
            if !rule.problems.is_empty() {
                return Err(sops_yaml::rule_error(rules, &rule.problems));
            }
            let Some(before) = best else {
                best = Some((rules, rule));
                continue;
            };
            if let Some(what) = disagreement(before, (rules, rule)) {
                return Err(RulesError::Conflict {
                    file: absolute.to_owned(),
                    places: Box::new([before.1.place.clone(), rule.place.clone()]),
                    what,
                });
            }
            // Who agrees on the readers and knows more of sops has it.
            if rules.source == Source::Sops && before.1.sops == SopsRule::default() {
                best = Some((rules, rule));
            }
        }
        if let (Some((rules, rule)), true) = (best, is_age_name(absolute)) {
            let useless = |reader: &&Reader| reader.recipients.is_empty();
            let problems = rules.readers_of(rule).filter(useless).map(|reader| Problem {
                place: reader.place.clone(),
                kind: ProblemKind::NotForAge {
                    reader: reader.name.clone(),
                    path: absolute.to_owned(),
                },
            });
            let problems: Vec<Problem> = problems.collect();
            if !problems.is_empty() {
                return Err(sops_yaml::rule_error(rules, &problems));
            }
        }
        Ok(best)
    }

    /// The rules that are about a file. Those of sops often match every path, but never an age
    /// file: one by its name, or by the rules of agenix, which knows no others.
    fn claims(&self, file: &Path) -> impl Iterator<Item = (&Rules, &Rule)> {
        let found = |rules: &'_ Rules| rules.find(file).is_some();
        let is_age = is_age_name(file)
            || self.sources.iter().any(|rules| rules.source == Source::Agenix && found(rules));
        let sources = self.sources.iter().filter(move |r| !(is_age && r.source == Source::Sops));
        sources.filter_map(move |rules| rules.find(file).map(|rule| (rules, rule)))
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
    /// matches, or an expression of sops if sops has encrypted it: absolute, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn secret_files(&self) -> io::Result<Vec<PathBuf>> {
        self.files(false)
    }

    /// As [`RuleSet::secret_files`], and every file that an expression of sops matches and nobody
    /// has encrypted. A rule of sops without an expression makes nothing secret.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn secret_and_plain_files(&self) -> io::Result<Vec<PathBuf>> {
        self.files(true)
    }

    fn files(&self, plain_too: bool) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut has_patterns = false;
        let looks = Looks::new();
        for rules in &self.sources {
            for rule in &rules.rules {
                match &rule.pattern {
                    Pattern::File(path) => {
                        files.push(rules.base.join(path));
                    }
                    Pattern::Glob(_) | Pattern::Regex(_) | Pattern::Every => has_patterns = true,
                }
            }
        }
        // what the walk gives is in order, and in no two roots
        let in_order = files.is_empty();
        if has_patterns {
            self.walk(&mut |file| {
                let names = |(rules, rule): (&Rules, &Rule)| {
                    rules.source != Source::Sops
                        || plain_too && matches!(rule.pattern, Pattern::Regex(_))
                };
                let is_rules = file.file_name().is_some_and(|name| name == sops_yaml::FILE_NAME);
                let is_named = !is_rules && self.claims(&file).any(names);
                if is_named || (self.claims(&file).next().is_some() && looks.like_sops(&file)) {
                    files.push(file);
                }
            })?;
        }
        if !in_order {
            files.sort();
            files.dedup();
        }
        Ok(files)
    }

    /// Files below the roots that look like secrets (by name or content) and have no rule:
    /// absolute, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn unclaimed(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let looks = Looks::new();
        self.walk(&mut |file| {
            if self.claims(&file).next().is_none() && looks.like_secret(&file) {
                files.push(file);
            }
        })?;
        Ok(files)
    }

    fn add(&mut self, file: &Path, request: &Request<'_>) -> Result<(), RulesError> {
        let is_flake = file.is_dir() && !file.ends_with(native::FILE_NAME);
        let file = clean(&if is_flake { file.join(flake::FILE_NAME) } else { file.to_owned() });
        let extension = file.extension().unwrap_or_default();
        if is_sops_yaml(&file) {
            let said = sops_yaml::load(&file)?;
            self.notes.extend(said.notes);
            match said.rules {
                Some(rules) => {
                    let broken = rules.rules.iter().filter(|rule| !rule.problems.is_empty());
                    let errors = broken.map(|rule| sops_yaml::rule_error(&rules, &rule.problems));
                    // Of one file, its rule will tell.
                    if matches!(request.wanted, Wanted::All) {
                        self.problems.extend(errors);
                    }
                    self.sources.push(rules);
                }
                None => self.notes.push(format!(
                    "`{}` says nothing of readers: it has no `creation_rules`",
                    file.display()
                )),
            }
        } else if extension == "yaml" || extension == "yml" {
            self.sources.push(native::load(&file)?);
        } else if file.file_name().is_some_and(|name| name == flake::FILE_NAME) {
            let key = cache::Key::of_flake(&file, request);
            if !request.evaluate && key.as_ref().and_then(cache::Key::read).is_none() {
                return Ok(());
            }
            let store = request.cache.map(|cache| cache.join("store"));
            let (rules, notes) =
                flake::load_cached(&file, request.nix_options, key.as_ref(), store.as_deref())?;
            self.sources.push(rules);
            self.notes.extend(notes);
        } else if extension == "nix" {
            let own = file.parent().unwrap_or(Path::new("/"));
            let base = request.base.unwrap_or(own);
            let Request { wanted, nix_options, cache, evaluate, .. } = *request;
            let (rules, problems) = if evaluate {
                agenix::load(&file, base, wanted, nix_options, cache)?
            } else {
                match agenix::remembered(&file, base, nix_options, cache) {
                    Some(known) => known,
                    None => return Ok(()),
                }
            };
            self.sources.push(rules);
            self.problems.extend(problems);
        } else {
            return Err(RulesError::UnknownKind { file });
        }
        Ok(())
    }

    /// Visits every regular file (and link to one) below the roots but the rules files, in the order
    /// of their paths.
    fn walk(&self, visit: &mut dyn FnMut(PathBuf)) -> io::Result<()> {
        let roots = self.roots().into_iter().rev();
        let mut waiting: Vec<(PathBuf, bool)> = roots.map(|root| (root.to_owned(), true)).collect();
        while let Some((path, is_folder)) = waiting.pop() {
            if !is_folder {
                visit(path);
                continue;
            }
            let named = |source: io::Error| {
                io::Error::new(source.kind(), format!("{}: {source}", path.display()))
            };
            let mut entries = Vec::new();
            for entry in fs::read_dir(&path).map_err(named)? {
                let entry = entry.map_err(named)?;
                let kind = entry.file_type().map_err(named)?;
                entries.push((entry.file_name(), kind));
            }
            entries.sort_unstable_by(|a, b| b.0.cmp(&a.0));
            for (name, kind) in entries {
                let inner = path.join(&name);
                let wanted = if kind.is_dir() {
                    name != ".git"
                } else {
                    (kind.is_file() || (kind.is_symlink() && inner.is_file()))
                        && !self.sources.iter().any(|rules| rules.file == inner)
                        && !is_temporary(&name)
                };
                if wanted {
                    waiting.push((inner, kind.is_dir()));
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

/// Whether a rules file is of sops: by its name, or by what stands in it.
fn is_sops_yaml(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if name == native::FILE_NAME || !(name.ends_with(".yaml") || name.ends_with(".yml")) {
        return false;
    }
    let is_root_of_sops =
        |line: &str| line.trim_start_matches(['"', '\'']).starts_with("creation_rules");
    name.ends_with(sops_yaml::FILE_NAME)
        || name.ends_with(sops_yaml::WRONG_NAME)
        || native::read(file).is_ok_and(|text| text.lines().any(is_root_of_sops))
}
