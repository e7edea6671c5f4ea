//! What keeps a store path alive: the shortest way to it from a root of the garbage collector, over
//! what refers to what. Reads links and the database; starts nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use super::store::{Known, Pairs, Places, is_derivation, top};

/// The way from a root to a store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The link that is the root.
    pub root: PathBuf,
    /// Names of store paths, from the one that the root leads to, to the one asked about.
    pub paths: Vec<String>,
}

/// The roots of a store: each store path that a link of `gcroots` or `profiles` leads to.
#[derive(Debug, Default)]
pub struct Roots(HashMap<String, PathBuf>);

impl Roots {
    /// Reads the links. Those that cannot be read are left out: a missing chain hides no finding.
    pub fn read(places: &Places, logical: &str) -> Self {
        let mut roots = Self::default();
        for folder in ["gcroots", "profiles"] {
            roots.add_folder(places, logical, &places.state.join(folder), 0);
        }
        roots
    }

    fn add_folder(&mut self, places: &Places, logical: &str, folder: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => self.add_link(places, logical, &path, &path, 0),
                Ok(kind) if kind.is_dir() && depth < 8 => {
                    self.add_folder(places, logical, &path, depth.saturating_add(1));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn add_link(
        &mut self,
        places: &Places,
        logical: &str,
        shown: &Path,
        link: &Path,
        depth: usize,
    ) {
        let Ok(target) = std::fs::read_link(link) else { return };
        let target = link.parent().unwrap_or(link).join(target);
        let name = top(&places.folder, &target).or_else(|| top(Path::new(logical), &target));
        if let Some(name) = name {
            // The most telling of several: a profile, not the link that stands for it.
            let better = |old: &PathBuf| shown.components().count() < old.components().count();
            if self.0.get(name).is_none_or(better) {
                self.0.insert(name.to_owned(), shown.to_owned());
            }
        } else if depth < 8 {
            let shown = if shown.to_string_lossy().contains("/auto/") { &target } else { shown };
            self.add_link(places, logical, shown, &target, depth.saturating_add(1));
        }
    }

    /// The shortest chain to a store path; `None` where nothing keeps it.
    pub fn chain(&self, known: &Known, referrers: &Pairs, name: &str) -> Option<Chain> {
        let chain = self.chain_of(known, referrers, name);
        if chain.is_some() || !is_derivation(name) {
            return chain;
        }
        // Nix keeps the derivations of what it keeps.
        let drv = known.full(name);
        let mut outputs: Vec<&str> = known
            .all()
            .filter(|registered| registered.deriver == Some(&drv))
            .map(|registered| registered.name)
            .collect();
        outputs.sort_unstable();
        let mut chain = outputs.iter().find_map(|name| self.chain_of(known, referrers, name))?;
        chain.paths.push(name.to_owned());
        Some(chain)
    }

    fn chain_of(&self, known: &Known, referrers: &Pairs, name: &str) -> Option<Chain> {
        if let Some(root) = self.0.get(name) {
            return Some(Chain { root: root.clone(), paths: vec![name.to_owned()] });
        }
        let start = known.of(name)?.id;
        let mut seen = HashSet::from([start]);
        let mut waiting = VecDeque::from([vec![start]]);
        while let Some(way) = waiting.pop_front() {
            let last = way.last()?;
            for next in referrers.of(*last) {
                if !seen.insert(next) {
                    continue;
                }
                let way: Vec<i64> = way.iter().copied().chain([next]).collect();
                let root = known.name(next).and_then(|name| self.0.get(name));
                if let Some(root) = root {
                    let name = |id: &i64| known.name(*id).map(str::to_owned);
                    let paths = way.iter().rev().filter_map(name).collect();
                    return Some(Chain { root: root.clone(), paths });
                }
                waiting.push_back(way);
            }
        }
        None
    }
}
