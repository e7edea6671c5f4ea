//! The part of a rekey that is about sops files: data keys found and wrapped for all of them at
//! once, then each file written with its new metadata, its values too where it gets a new key.

use rayon::prelude::*;

use super::rekey::{self, Action, Ready, Step, all, file_error};
use super::{FileError, Job, Problem, secret, sops};
use crate::format::keys::Keys;
use crate::format::sops::data_key::{self, DataKey, Rewrap};
use crate::format::sops::file::{MacCheck, SopsError, SopsFile};
use crate::format::sops::metadata::Metadata;
use crate::format::sops::store::Store;
use crate::fsx::Staged;

/// A file, its key, and what it becomes.
pub(super) struct Prepared {
    store: Store,
    key: DataKey,
    /// A new key, where somebody loses access or all is encrypted anew.
    new: Option<DataKey>,
    metadata: Metadata,
    now: String,
}

/// Finds the data keys of all sops files and wraps them, or new ones, for the readers of the rules.
pub(super) fn prepare(
    steps: &[&Step],
    keys: &mut Keys<'_>,
) -> Result<rekey::Prepared, Vec<FileError>> {
    let numbered = steps.iter().enumerate();
    let found: Vec<(usize, &Step, Store)> =
        numbered.filter_map(|(number, step)| Some((number, *step, step.file.store?))).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let files: Vec<Result<SopsFile, FileError>> = found
        .par_iter()
        .map(|(_, step, store)| {
            sops::read(&step.file.job.path, *store).map_err(|error| file_error(step, error))
        })
        .collect();
    let files = all(files)?;
    let metadata: Vec<&Metadata> = files.iter().map(SopsFile::metadata).collect();
    let old = data_key::unwrap(&metadata, keys);
    let old = old
        .into_iter()
        .zip(&found)
        .map(|(key, (_, step, _))| key.map_err(|locked| file_error(step, Problem::Locked(locked))));
    let old = all(old.collect())?;
    let now = sops::now();
    let mut ready = Vec::with_capacity(files.len());
    for (((_, step, store), file), key) in found.iter().zip(&files).zip(old) {
        ready.push(one(step, *store, file, key, &now).map_err(|e| file_error(step, e)));
    }
    let mut ready = all(ready)?;
    let requests = ready.iter_mut().zip(&found).map(|(ready, (_, step, _))| {
        let readers = step.file.job.sops.as_deref();
        Rewrap {
            metadata: &mut ready.metadata,
            data_key: ready.new.as_ref().unwrap_or(&ready.key),
            fresh: ready.new.is_some(),
            groups: readers.map(sops::groups).unwrap_or_default(),
            threshold: readers.and_then(|readers| readers.threshold),
        }
    });
    let wrapped = data_key::wrap(requests.collect(), &keys.plugins(), keys.outside(), &now);
    let wrapped = wrapped.into_iter().zip(&found);
    all(wrapped
        .map(|(result, (_, step, _))| {
            result.map_err(|error| file_error(step, Problem::Rewrap(error)))
        })
        .collect())?;
    let numbers = found.iter().map(|(number, ..)| *number);
    Ok(numbers.zip(ready).map(|(number, file)| (number, Ready::Sops(Box::new(file)))).collect())
}

fn one(
    step: &Step,
    store: Store,
    file: &SopsFile,
    key: DataKey,
    now: &str,
) -> Result<Prepared, Problem> {
    let random = |error| Problem::Sops(SopsError::Random(error));
    let new = match step.action {
        Action::Reseal => Some(DataKey::random().map_err(random)?),
        Action::Keep | Action::Header(_) => None,
    };
    let metadata = file.metadata_again().map_err(Problem::Sops)?;
    Ok(Prepared { store, key, new, metadata, now: now.to_owned() })
}

impl Prepared {
    /// Writes the file beside itself, after its values and MAC have been checked under its key.
    pub(super) fn stage(&self, job: &Job, canonical: bool) -> Result<Staged, Problem> {
        let writer = &sops::writer(canonical, job);
        let file = sops::read(&job.path, self.store)?;
        let bytes = if let Some(new) = &self.new {
            let opened = file.open(&self.key, MacCheck::Verify).map_err(Problem::Sops)?;
            opened.rotate(new, &self.metadata, writer, self.store, &self.now)
        } else {
            let bytes = file.with_metadata(&self.metadata, writer, self.store);
            file.open(&self.key, MacCheck::Verify).map_err(Problem::Sops)?;
            bytes
        };
        secret::stage_one_of_many(&job.path, &bytes.map_err(Problem::Sops)?)
    }
}
