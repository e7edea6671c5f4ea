//! The manifest: what a host is to have in place, as the module wrote it. Version 1 of our own
//! form, JSON without unknown fields; `docs/reference/manifest.md` describes it and
//! `docs/reference/manifest.schema.json` is made from these types.
//!
//! Reads the text and nothing that it names. What was read can be relied upon: names stay inside of
//! their store, nothing is there twice, everything that is referred to is there.

mod check;
mod error;
mod locate;
pub mod sops_nix;
pub mod types;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use error::{Fault, ManifestError};
pub use types::{
    Credential, FileMode, Filesystem, Format, Gnupg, Identity, IdentityKind, Key, Logging, Mode,
    Owner, Phase, Placeholder, Plugin, Secret, Service, Source, Store, Template, TestValue, Unit,
    Version,
};

use super::Name;
use crate::fsx::read_limited;

/// What a host is to have in place.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form: 1.
    pub version: Version,
    /// Whether a whole system is set up or the session of one user.
    #[serde(default)]
    pub mode: Mode,
    /// Whether secrets that have a `testValue` are installed from it. For machines without
    /// keys; a dry run refuses it.
    #[serde(default)]
    pub test_values: bool,
    /// Where secrets lie, by the name that `store` refers to.
    #[serde(default)]
    pub stores: BTreeMap<String, Store>,
    /// Private keys of this machine.
    #[serde(default)]
    pub identities: Vec<Identity>,
    /// Programs that hold keys. No others are started.
    #[serde(default)]
    pub plugins: Vec<Plugin>,
    /// How `gpg` is run; it is not where this is null.
    #[serde(default)]
    pub gnupg: Option<Gnupg>,
    /// Whether key services may be asked over the network, with `--network`.
    #[serde(default)]
    pub key_services: bool,
    /// Public keys of this machine, which `--check` looks for among the readers; none where they
    /// are not known.
    #[serde(default)]
    pub host_public_keys: Vec<String>,
    /// The secrets.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Files with secrets put into them.
    #[serde(default)]
    pub templates: Vec<Template>,
    /// Texts that stand for secrets in templates, beside `<secretctl:NAME>`.
    #[serde(default)]
    pub placeholders: BTreeMap<String, Placeholder>,
    /// Texts that would stand for secrets of other manifests, with the names of those. Only sops-nix
    /// has such.
    #[serde(skip)]
    pub absent: BTreeMap<String, String>,
    /// Secrets that a unit gets as credentials when it starts, by the name of the unit.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    /// What is told beside errors.
    #[serde(default)]
    pub logging: Logging,
}

impl Manifest {
    /// Reads the manifest in a file. `runtime` is the folder of the user's session, which `%r`
    /// stands for in mode `user`.
    ///
    /// # Errors
    /// [`ManifestError`] with every fault that was found.
    pub fn load(path: &Path, runtime: Option<&Path>) -> Result<Self, ManifestError> {
        Self::parse(path, &read(path)?, runtime)
    }

    /// As [`Manifest::load`], for the text of a file.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(path: &Path, text: &[u8], runtime: Option<&Path>) -> Result<Self, ManifestError> {
        let mut manifest: Self = decode(path, text)?;
        let mut faults = manifest.expand(runtime);
        if faults.is_empty() {
            faults = manifest.check();
        }
        if faults.is_empty() {
            return Ok(manifest);
        }
        Err(ManifestError::located(path, text, faults))
    }

    /// The secret that `<secretctl:NAME>` stands for: of the store `secrets`, else of the only
    /// store that has one of this name.
    ///
    /// # Errors
    /// A clause, where there is none or more than one.
    pub fn by_name(&self, name: &str) -> Result<&Secret, &'static str> {
        let mut found = self.secrets.iter().filter(|secret| secret.name.as_str() == name);
        let in_default = found.clone().find(|secret| secret.store == DEFAULT_STORE);
        match (in_default, found.next(), found.next()) {
            (Some(secret), ..) | (None, Some(secret), None) => Ok(secret),
            (None, None, _) => Err("there is no secret of this name"),
            (None, Some(_), Some(_)) => Err("several stores have a secret of this name"),
        }
    }

    /// A secret of a store.
    pub fn secret(&self, store: &str, name: &Name) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.store == store && secret.name == *name)
    }

    /// The credentials of all units, each with its unit and its name.
    pub fn credentials(&self) -> impl Iterator<Item = (&str, &str, &Credential)> {
        self.services.iter().flat_map(|(unit, service)| {
            let all = service.credentials.iter();
            all.map(move |(name, one)| (unit.as_str(), name.as_str(), one))
        })
    }

    /// Every path that may begin with `%r`, put together.
    fn expand(&mut self, runtime: Option<&Path>) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let user = self.mode == Mode::User;
        let mut one = |field: String, path: &mut types::TargetPath| {
            if let Err(what) = path.expand(user, runtime) {
                faults.push((field, what));
            }
        };
        for (name, store) in &mut self.stores {
            one(format!("stores.{name}.mountPoint"), &mut store.mount_point);
            one(format!("stores.{name}.link"), &mut store.link);
        }
        let secrets = self.secrets.iter_mut().map(|one| (&mut one.links, &mut one.copies));
        let templates = self.templates.iter_mut().map(|one| (&mut one.links, &mut one.copies));
        let lists = [("secrets", secrets.collect::<Vec<_>>()), ("templates", templates.collect())];
        for (kind, pieces) in lists {
            for (index, (links, copies)) in pieces.into_iter().enumerate() {
                for (at, path) in links.iter_mut().enumerate() {
                    one(format!("{kind}[{index}].links[{at}]"), path);
                }
                for (at, path) in copies.iter_mut().enumerate() {
                    one(format!("{kind}[{index}].copies[{at}]"), path);
                }
            }
        }
        faults
    }
}

/// The text of a manifest.
///
/// # Errors
/// [`ManifestError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, ManifestError> {
    read_limited(path, MAX_MANIFEST)
        .map_err(|source| ManifestError::Read { file: path.to_owned(), source })
}

/// JSON into values, with the place and the field of what does not fit.
fn decode<'t, T: Deserialize<'t>>(path: &Path, text: &'t [u8]) -> Result<T, ManifestError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let fault = |field: String, error: &serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let what = error.to_string();
        let end = format!(" at line {line} column {column}");
        let what = what.strip_suffix(&end).unwrap_or(&what).to_owned();
        let faults = vec![Fault { line, column, field, what }];
        ManifestError::Faults { file: path.to_owned(), faults }
    };
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        fault(if field == "." { String::new() } else { field }, error.inner())
    })?;
    json.end().map_err(|error| fault(String::new(), &error))?;
    Ok(value)
}

/// The paths among the values as the rest of the program has them.
pub(super) fn paths(list: &[types::TargetPath]) -> Vec<PathBuf> {
    list.iter().map(|path| path.as_path().to_owned()).collect()
}

/// Most bytes of a manifest: a fleet's largest have some hundred secrets of 600 bytes.
const MAX_MANIFEST: usize = 16 * 1024 * 1024;
/// The store that a placeholder means where several have the name.
const DEFAULT_STORE: &str = "secrets";

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
