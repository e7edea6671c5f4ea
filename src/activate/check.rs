//! What can be known of a manifest without any private key, at build time: every source is there and
//! encrypted, the values that are asked for are in it, and this machine is among its readers. Changes
//! nothing and needs no rights.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::manifest::{Format, Key, Manifest, Source};
use super::open::{OpenProblem, Text, inner_store, read, readers};
use super::plan::Subject;
use super::template::Parsed;
use super::value;
use super::values::{ValueProblem, parse};
use crate::format::age::readers as listed;
use crate::format::sops::metadata::{Metadata, WrappedKey};
use crate::format::sops::store::{Step, Store};
use crate::key::Recipient;
use crate::key::ssh::{age_recipient, pgp_fingerprint};
use crate::key::stanza::{StanzaRef, Stanzas};
use crate::key::wrapping::WrappingKind;

/// What was found.
#[derive(Debug, Default)]
pub struct Report<'m> {
    /// What is wrong.
    pub problems: Vec<CheckProblem<'m>>,
    /// Files of which it cannot be told without a key whether this machine reads them.
    pub unsure: Vec<PathBuf>,
    /// How many files were looked at.
    pub files: usize,
}

/// Something that is wrong.
#[derive(Debug)]
pub struct CheckProblem<'m> {
    /// The file; `None` for a template.
    pub file: Option<PathBuf>,
    /// Who has it as a source.
    pub users: Vec<User<'m>>,
    /// What is wrong.
    pub what: Wrong,
}

/// Who uses a source.
#[derive(Debug, Clone, Copy)]
pub enum User<'m> {
    /// A secret or template.
    Piece(Subject<'m>),
    /// A credential of a unit.
    Credential {
        /// The unit.
        unit: &'m str,
        /// The credential.
        name: &'m str,
        /// The option that declares it.
        option: Option<&'m str>,
    },
}

/// Kinds of [`CheckProblem`].
#[derive(Debug)]
pub enum Wrong {
    /// The source cannot be used.
    Source(OpenProblem),
    /// A value in a sops file is not encrypted, although the file says so.
    InTheOpen(Vec<Step>),
    /// This machine is not among the readers of the file, who are these.
    NotAReader(Vec<String>),
    /// The template cannot be filled in.
    Template(ValueProblem),
}

/// Looks at everything that a manifest names.
pub fn check(manifest: &Manifest) -> Report<'_> {
    let mut report = Report::default();
    let mut files: BTreeMap<(PathBuf, Format), Vec<(Source, User<'_>)>> = BTreeMap::new();
    let secrets = manifest.secrets.iter();
    let secrets = secrets.filter(|one| !(manifest.test_values && one.test_value.is_some()));
    let secrets = secrets.map(|one| (one.source(), User::Piece(Subject::Secret(one))));
    let credentials = manifest.credentials().map(|(unit, name, one)| {
        let option = one.option.as_deref();
        (one.source(), User::Credential { unit, name, option })
    });
    for (source, user) in secrets.chain(credentials) {
        files.entry((source.file.clone(), source.format)).or_default().push((source, user));
    }
    let host = Host::of(manifest);
    for ((path, format), sources) in files {
        report.files = report.files.saturating_add(1);
        report.check_file(path, format, &sources, &host);
    }
    for template in &manifest.templates {
        if let Err(problem) = parse(template, manifest).map(|_: Parsed| ()) {
            let users = vec![User::Piece(Subject::Template(template))];
            report.problems.push(CheckProblem {
                file: None,
                users,
                what: Wrong::Template(problem),
            });
        }
    }
    report
}

impl<'m> Report<'m> {
    fn check_file(
        &mut self,
        path: PathBuf,
        format: Format,
        sources: &[(Source, User<'m>)],
        host: &Host,
    ) {
        let all = || sources.iter().map(|(_, user)| *user).collect::<Vec<_>>();
        let problem = |users, what| CheckProblem { file: Some(path.clone()), users, what };
        let text = match read(&path, format) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(problem(all(), Wrong::Source(error)));
                return;
            }
        };
        let keyed = sources.iter().filter_map(|(source, user)| Some((source.key.as_ref()?, user)));
        for (key, user) in keyed {
            if let Err(error) = has(&text, &path, key) {
                self.problems.push(problem(vec![*user], Wrong::Source(error)));
            }
        }
        let reads = match &text {
            Text::Age(whole) => host.reads_age(&whole.header.stanzas),
            Text::Sops(file) => {
                match file.in_the_open() {
                    Ok(None) => {}
                    Ok(Some((_, way))) => {
                        self.problems.push(problem(all(), Wrong::InTheOpen(way)));
                    }
                    Err(error) => {
                        let what = Wrong::Source(OpenProblem::Sops(error));
                        self.problems.push(problem(all(), what));
                    }
                }
                host.reads_sops(file.metadata())
            }
        };
        match reads {
            Reads::Yes => {}
            Reads::Unsure => self.unsure.push(path),
            Reads::No => {
                let readers = match &text {
                    Text::Age(whole) => readers(&whole.header.stanzas),
                    Text::Sops(file) => file.metadata().keys().map(|one| one.key.shown()).collect(),
                };
                self.problems.push(problem(all(), Wrong::NotAReader(readers)));
            }
        }
    }
}

/// Whether a value is there; keys are not encrypted.
fn has(text: &Text, path: &std::path::Path, key: &Key) -> Result<(), OpenProblem> {
    match text {
        Text::Age(_) if inner_store(path) == Store::Binary => Err(OpenProblem::NoParts),
        // What is in it cannot be seen.
        Text::Age(_) => Ok(()),
        Text::Sops(file) if file.store() == Store::Binary => Err(OpenProblem::NoParts),
        Text::Sops(file) => {
            let missing = |found| OpenProblem::Missing { key: key.clone(), found };
            let root = file.root().ok_or_else(|| missing(0))?;
            value::find(root, key.steps()).map(drop).map_err(missing)
        }
    }
}

/// Whether this machine reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Yes,
    No,
    Unsure,
}

/// The public keys of this machine.
struct Host {
    /// Each also as the age key that `ssh-to-age` makes of it.
    keys: Vec<Recipient>,
    /// Those that `ssh-to-pgp` makes of them.
    pgp: Vec<String>,
    gnupg: bool,
    plugins: bool,
    services: bool,
}

impl Host {
    fn of(manifest: &Manifest) -> Self {
        let given = manifest.host_public_keys.iter();
        let given: Vec<Recipient> =
            given.filter_map(|key| Recipient::parse(key.trim()).ok()).collect();
        let derived: Vec<Recipient> = given.iter().filter_map(age_recipient).collect();
        let pgp = given.iter().filter_map(pgp_fingerprint).map(|one| one.to_string()).collect();
        let keys = given.into_iter().chain(derived).collect();
        Self {
            keys,
            pgp,
            gnupg: manifest.gnupg.is_some(),
            plugins: !manifest.plugins.is_empty(),
            services: manifest.key_services,
        }
    }

    /// From the header: SSH keys by their tags, others by the list of readers, where there is one.
    fn reads_age(&self, stanzas: &Stanzas) -> Reads {
        if self.keys.is_empty() {
            return Reads::Unsure;
        }
        let tags: Vec<String> =
            self.keys.iter().filter_map(Recipient::ssh_tag).map(encoded).collect();
        let tagged = |stanza: StanzaRef<'_>| {
            let mut args = stanza.args();
            stanza.tag().starts_with("ssh-")
                && args.next().is_some_and(|tag| tags.iter().any(|own| own == tag))
        };
        if stanzas.iter().any(tagged) {
            return Reads::Yes;
        }
        if let Some(list) = listed::parse(stanzas) {
            let ours = self.keys.iter().any(|key| list.contains(&key.fingerprint()));
            return if ours { Reads::Yes } else { Reads::No };
        }
        let ssh = |tag: &str| tag.starts_with("ssh-") || tag == "scrypt";
        let mut carriers = stanzas.iter().filter(|stanza| listed::carries_key(*stanza));
        // Whose the others are, only their keys tell.
        if carriers.any(|stanza| !ssh(stanza.tag())) { Reads::Unsure } else { Reads::No }
    }

    /// From the metadata, which name every key.
    fn reads_sops(&self, metadata: &Metadata) -> Reads {
        if self.keys.is_empty() {
            return Reads::Unsure;
        }
        let ours = |entry: &WrappedKey| {
            entry.key.recipient().is_some_and(|recipient| self.keys.contains(recipient))
                || entry.key.kind() == WrappingKind::Pgp
                    && self.pgp.iter().any(|one| one.eq_ignore_ascii_case(&entry.key.name()))
        };
        let perhaps = |entry: &WrappedKey| {
            let plugin = entry.key.recipient().is_some_and(|one| one.plugin().is_some());
            ours(entry)
                || self.gnupg && entry.key.kind() == WrappingKind::Pgp
                || self.plugins && plugin
                || self.services && !entry.key.kind().is_local()
        };
        let groups = |test: &dyn Fn(&WrappedKey) -> bool| {
            metadata.groups.iter().filter(|group| group.iter().any(test)).count()
        };
        let needed = metadata.needed_groups();
        if groups(&ours) >= needed {
            Reads::Yes
        } else if groups(&perhaps) >= needed {
            Reads::Unsure
        } else {
            Reads::No
        }
    }
}

fn encoded(tag: [u8; 4]) -> String {
    BASE64_STANDARD_NO_PAD.encode(tag)
}
