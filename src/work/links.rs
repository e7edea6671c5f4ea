//! Where files really are, links followed: each folder is looked up once.
//! For one short piece of work, since folders may be moved meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Job;

/// What was looked up so far.
#[derive(Debug, Default)]
pub struct Links {
    folders: HashMap<PathBuf, Option<PathBuf>>,
    roots: HashMap<PathBuf, Option<PathBuf>>,
}

impl Links {
    /// The file itself, which must exist; `link` says whether its name is that of a link.
    pub fn real(&mut self, path: &Path, link: bool) -> Option<PathBuf> {
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !link => Some(self.folder(folder)?.join(name)),
            _ => std::fs::canonicalize(path).ok(),
        }
    }

    /// The file itself, where a rule names it inside the repository but links lead out of it.
    /// Nobody may have us seal a file of another repository for the readers of this one.
    pub fn lead_out(&mut self, job: &Job, link: bool) -> Option<PathBuf> {
        let real = self.real(&job.path, link)?;
        let root = self.root(&job.base)?;
        let named_inside = job.path.starts_with(&job.base);
        (named_inside && !real.starts_with(root)).then_some(real)
    }

    fn folder(&mut self, folder: &Path) -> Option<PathBuf> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let real = std::fs::canonicalize(folder).ok();
        self.folders.insert(folder.to_owned(), real.clone());
        real
    }

    /// The repository that a folder is in, or the folder.
    fn root(&mut self, base: &Path) -> Option<&Path> {
        if !self.roots.contains_key(base) {
            let real = std::fs::canonicalize(base).ok();
            let root = real.map(|real| {
                let root = real.ancestors().find(|folder| folder.join(".git").exists());
                root.unwrap_or(&real).to_owned()
            });
            self.roots.insert(base.to_owned(), root);
        }
        self.roots.get(base)?.as_deref()
    }
}
