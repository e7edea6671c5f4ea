//! The values that a run needs: which sources are to be opened for a phase, and what is installed in
//! the end, once a value for tests or a program of the secret had its say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Name;
use super::manifest::{Manifest, Phase, Secret, Source, Template};
use super::open::{Opened, open_all};
use super::template::{Parsed, TemplateError};
use crate::fsx::{Folders, read_committed};
use crate::key::service::Services;
use crate::plaintext::Plaintext;
use crate::process::transform::{TransformError, transform};

/// Which part of starting up this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before users exist.
    Early,
    /// When users exist.
    Normal,
    /// When there is a network: all of [`When::Normal`] again, and key services are asked.
    Network,
}

impl When {
    /// Whether a store is filled now.
    pub fn fills(self, phase: Phase) -> bool {
        match (self, phase) {
            (_, Phase::Both)
            | (Self::Early, Phase::Early)
            | (Self::Normal | Self::Network, Phase::Normal) => true,
            (Self::Early, Phase::Normal) | (Self::Normal | Self::Network, Phase::Early) => false,
        }
    }

    /// Whether what is not opened now may be once there is a network.
    pub fn may_wait(self, manifest: &Manifest, phase: Phase) -> bool {
        manifest.key_services && self != Self::Network && Self::Network.fills(phase)
    }
}

/// What a phase installs.
pub struct Work<'m> {
    /// The secrets of its stores.
    pub secrets: Vec<&'m Secret>,
    /// The templates of its stores, in parts.
    pub templates: Vec<(&'m Template, Result<Parsed, ValueProblem>)>,
    /// Secrets of other stores that its templates need.
    extra: Vec<&'m Secret>,
}

impl<'m> Work<'m> {
    /// Finds what a phase installs. Reads the files of templates.
    pub fn of(manifest: &'m Manifest, when: When) -> Self {
        let now = |store: &String| {
            manifest.stores.get(store).is_some_and(|store| when.fills(store.phase))
        };
        let secrets: Vec<&Secret> = manifest.secrets.iter().filter(|one| now(&one.store)).collect();
        let templates = manifest.templates.iter().filter(|one| now(&one.store));
        let templates: Vec<_> = templates.map(|one| (one, parse(one, manifest))).collect();
        let mut extra: Vec<&Secret> = Vec::new();
        let wanted = templates.iter().filter_map(|(_, parsed)| parsed.as_ref().ok());
        for wanted in wanted.flat_map(Parsed::wanted) {
            if let Some(secret) = manifest.secret(&wanted.store, &wanted.name)
                && !now(&secret.store)
                && !extra.iter().any(|known| std::ptr::eq(*known, secret))
            {
                extra.push(secret);
            }
        }
        Self { secrets, templates, extra }
    }

    /// Every secret whose value is needed.
    fn needed(&self) -> impl Iterator<Item = &'m Secret> {
        self.secrets.iter().chain(&self.extra).copied()
    }

    /// What is to be opened.
    fn sources(&self, manifest: &Manifest) -> BTreeSet<Source> {
        let for_tests = |secret: &Secret| manifest.test_values && secret.test_value.is_some();
        self.needed().filter(|secret| !for_tests(secret)).map(Secret::source).collect()
    }
}

pub(super) fn parse(template: &Template, manifest: &Manifest) -> Result<Parsed, ValueProblem> {
    let parsed = match (&template.content, &template.file) {
        (Some(content), _) => Parsed::parse(content.as_bytes(), manifest),
        (None, Some(file)) => {
            let text = read_committed(file.as_path(), MAX_TEMPLATE).map_err(|source| {
                ValueProblem::TemplateFile { file: file.as_path().to_owned(), source }
            })?;
            Parsed::parse(&text, manifest)
        }
        (None, None) => Parsed::parse(b"", manifest),
    };
    parsed.map_err(ValueProblem::Template)
}

/// Values by store and name.
pub struct Values<'m> {
    /// What was opened.
    pub opened: Opened,
    /// What is installed in the place of what was opened.
    other: BTreeMap<(&'m str, &'m Name), Result<Plaintext, ValueProblem>>,
}

impl<'m> Values<'m> {
    /// Opens everything that a phase needs and has it transformed.
    pub fn of(
        manifest: &'m Manifest,
        work: &Work<'m>,
        folders: &Folders,
        services: Services,
    ) -> Self {
        let opened = open_all(manifest, &work.sources(manifest), services);
        let mut other = BTreeMap::new();
        for secret in work.needed() {
            let test = secret.test_value.as_ref().filter(|_| manifest.test_values);
            let value = match (test, &secret.transform) {
                (Some(test), _) => Some(Ok(copy(&test.0))),
                (None, Some(program)) => match opened.value(&secret.source()) {
                    Ok(value) => {
                        let changed = transform(program.as_path(), value, folders);
                        Some(changed.map_err(ValueProblem::Transform))
                    }
                    Err(_) => None,
                },
                (None, None) => None,
            };
            other.extend(value.map(|value| ((secret.store.as_str(), &secret.name), value)));
        }
        Self { opened, other }
    }

    /// What is installed for a secret.
    ///
    /// # Errors
    /// `None` where its source was not opened, which [`Opened::value`] tells more of.
    pub fn value(&self, secret: &'m Secret) -> Result<&Plaintext, Option<&ValueProblem>> {
        match self.other.get(&(secret.store.as_str(), &secret.name)) {
            Some(value) => value.as_ref().map_err(Some),
            None => self.opened.value(&secret.source()).map_err(|_| None),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "copied from one plaintext to another")]
pub(super) fn copy(text: &Plaintext) -> Plaintext {
    Plaintext::copy_of(text.expose())
}

/// Why there is nothing to install, apart from what happens when sources are opened.
#[derive(Debug)]
pub enum ValueProblem {
    /// The program of the secret failed.
    Transform(TransformError),
    /// The template cannot be filled in.
    Template(TemplateError),
    /// The text of the template cannot be read.
    TemplateFile {
        /// Where it is.
        file: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
}

impl fmt::Display for ValueProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transform(error) => error.fmt(f),
            Self::Template(error) => error.fmt(f),
            Self::TemplateFile { file, source } => {
                write!(f, "its text `{}` cannot be read: {source}", file.display())
            }
        }
    }
}

impl std::error::Error for ValueProblem {}

/// Most bytes of the text of a template.
const MAX_TEMPLATE: usize = 16 * 1024 * 1024;
