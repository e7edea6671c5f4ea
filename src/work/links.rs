//! Where files really are, links followed: each folder is looked up once. And whether links or names
//! in a repository lead out of it, which everybody asks who is about to write.
//! For one short piece of work, since folders may be moved meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Job;
use crate::rules::{Source, clean};

/// What was looked up so far.
#[derive(Debug, Default)]
pub struct Links {
    folders: HashMap<PathBuf, Option<PathBuf>>,
    roots: HashMap<PathBuf, Vec<PathBuf>>,
    /// The folder of the last file that is no link and lies inside, and the folder and kind of its rules.
    inside: Option<(PathBuf, PathBuf, Source)>,
}

/// Where a file is that is about to be written, if its name is in a repository, or without one in the
/// folder `base` of rules, and the file is not: whoever can write to the repository can put a link
/// there.
pub fn leads_out(path: &Path, base: Option<&Path>) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    Links::default().outside(&clean(&path), followed(&path)?, base, false)
}

impl Links {
    /// The file itself, which need not exist; `link` says whether its name may be that of a link.
    pub fn real(&mut self, path: &Path, link: bool) -> Option<PathBuf> {
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !link => Some(self.folder(folder)?.join(name)),
            _ => followed(path),
        }
    }

    /// The file itself, where it is outside of the repository in which its name or its rule is.
    /// Nobody may have us seal a file of another repository for the readers of this one.
    pub fn lead_out(&mut self, job: &Job, link: bool) -> Option<PathBuf> {
        // As is its neighbour, so is it.
        let beside = |(folder, base, source): &(PathBuf, PathBuf, Source)| {
            job.path.parent() == Some(folder) && job.base == *base && job.source == *source
        };
        if !link && self.inside.as_ref().is_some_and(beside) {
            return None;
        }
        let real = self.real(&job.path, link)?;
        // These name single files, with `..` or absolute; the others are about what is below them.
        let by_name = matches!(job.source, Source::Agenix | Source::Flake);
        let outside = self.outside(&job.path, real, Some(&job.base), by_name);
        if let (false, None, Some(folder)) = (link, &outside, job.path.parent()) {
            self.inside = Some((folder.to_owned(), job.base.clone(), job.source));
        }
        outside
    }

    /// `real`, where one of the repositories that `named` is in does not hold it. All of them have to:
    /// a folder that a link makes look like one of them may be a repository of its own.
    fn outside(
        &mut self,
        named: &Path,
        real: PathBuf,
        base: Option<&Path>,
        by_name: bool,
    ) -> Option<PathBuf> {
        let mut roots = self.roots(named.parent()?);
        let inside = roots.is_empty() && base.is_some_and(|base| named.starts_with(base));
        if (by_name || inside)
            && let Some(base) = base.and_then(followed)
        {
            let root = base.ancestors().find(|folder| is_repository(folder)).map(Path::to_owned);
            roots.extend(root.or_else(|| inside.then_some(base)));
        }
        roots.iter().any(|root| !real.starts_with(root)).then_some(real)
    }

    fn folder(&mut self, folder: &Path) -> Option<PathBuf> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let real = followed(folder);
        self.folders.insert(folder.to_owned(), real.clone());
        real
    }

    /// The repositories that a folder is in, going by its name.
    fn roots(&mut self, folder: &Path) -> Vec<PathBuf> {
        if let Some(known) = self.roots.get(folder) {
            return known.clone();
        }
        let named = folder.ancestors().filter(|folder| is_repository(folder));
        let roots: Vec<PathBuf> = named.filter_map(followed).collect();
        self.roots.insert(folder.to_owned(), roots.clone());
        roots
    }
}

fn is_repository(folder: &Path) -> bool {
    folder.join(".git").exists()
}

/// Where an absolute path leads, as far as it exists; `None` for links that lead in a circle.
fn followed(path: &Path) -> Option<PathBuf> {
    let parts = |path: &Path| {
        let parts = path.components().rev().map(|part| part.as_os_str().to_owned());
        parts.collect::<Vec<_>>()
    };
    let (mut real, mut left, mut links) = (PathBuf::new(), parts(path), 0_usize);
    while let Some(part) = left.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        match std::fs::read_link(&next) {
            Ok(_) if links == MOST_LINKS => return None,
            Ok(target) => {
                links = links.saturating_add(1);
                left.extend(parts(&target));
            }
            Err(_) => real = next,
        }
    }
    Some(real)
}

/// More than are followed when a file is replaced, each by way of as many.
const MOST_LINKS: usize = 2_000;
