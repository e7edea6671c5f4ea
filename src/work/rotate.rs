//! Rotating: new keys for files whose readers may stay the same. The plan alone; it is carried out
//! as a rekey is.

use std::path::{Path, PathBuf};

use super::rekey::{Action, Step};
use super::status::State;
use super::{Expected, FileError, Job, Problem, sops};
use crate::format::sops::metadata::Metadata;
use crate::format::sops::store::Store;
use crate::key::wrapping::WrappingKey;
use crate::place::Place;
use crate::rules::Source;
use crate::rules::sops::{Layout, NamedKey, SopsReaders};

/// What a sops file says of its own readers, for one that no rule is about.
///
/// # Errors
/// [`Problem::Absent`], [`Problem::NotEncrypted`], [`Problem::Sops`].
pub fn by_itself(path: PathBuf) -> Result<Job, Problem> {
    let file = sops::read(&path, Store::of_path(&path))?;
    let metadata = file.metadata();
    let readers = readers(metadata, &path);
    let mut expected: Vec<Expected> = Vec::new();
    for named in readers.groups.iter().flatten() {
        let Some(recipient) = named.key.recipient() else { continue };
        if !expected.iter().any(|known| known.recipient == *recipient) {
            expected.push(Expected {
                reader: named.reader.clone(),
                recipient: recipient.clone(),
                place: named.place.clone(),
            });
        }
    }
    Ok(Job {
        expected: expected.into(),
        armor: None,
        anonymous: false,
        sops: Some(readers.into()),
        source: Source::Sops,
        place: Place::file(&path),
        base: path.parent().unwrap_or(Path::new("/")).to_owned(),
        path,
    })
}

fn readers(metadata: &Metadata, path: &Path) -> SopsReaders {
    let named = |key: WrappingKey| {
        let reader = key.recipient().map_or_else(|| key.shown(), crate::key::Recipient::short);
        NamedKey { key, reader, place: Place::file(path) }
    };
    let groups = metadata.wrapping_keys().into_iter();
    SopsReaders {
        groups: groups.map(|group| group.into_iter().map(named).collect()).collect(),
        threshold: metadata.shamir_threshold,
        selector: None,
        mac_only_encrypted: metadata.mac_only_encrypted,
        layout: Layout::default(),
    }
}

/// What stands in the way apart from the [obstacles](super::rekey::obstacles) of a rekey: files
/// that are not there. What is encrypted is encrypted anew.
pub fn absent(steps: &[Step]) -> Vec<FileError> {
    let missing = |step: &Step| {
        let absent = matches!(step.file.state, State::Absent) && step.action == Action::Keep;
        absent.then(|| FileError { path: step.file.job.path.clone(), problem: Problem::Absent })
    };
    steps.iter().filter_map(missing).collect()
}
