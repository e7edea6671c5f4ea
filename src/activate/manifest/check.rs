//! What several fields of a manifest say together. Gives every fault with the way to its field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::types::{Format, TargetPath};
use super::{Manifest, types};
use crate::activate::Name;
use crate::key::Recipient;
use crate::key::recipient::is_plugin_name;

/// A field and what is wrong with it.
type Faults = Vec<(String, String)>;

impl Manifest {
    /// Everything that is wrong.
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        if self.stores.len() > MOST_STORES {
            faults.push(("stores".to_owned(), format!("there are more than {MOST_STORES}")));
            return faults;
        }
        self.check_stores(&mut faults);
        self.check_names(&mut faults);
        self.check_targets(&mut faults);
        self.check_contents(&mut faults);
        self.check_keys(&mut faults);
        self.check_services(&mut faults);
        faults
    }

    /// Two stores in one place would remove each other's secrets.
    fn check_stores(&self, faults: &mut Faults) {
        let mut places: Vec<(&str, &str, &Path)> = Vec::new();
        for (name, store) in &self.stores {
            let pair = [("mountPoint", &store.mount_point), ("link", &store.link)];
            for (field, path) in pair {
                let path = path.as_path();
                for (other, other_field, taken) in &places {
                    let inside = path.starts_with(taken) || taken.starts_with(path);
                    if inside {
                        faults.push((
                            format!("stores.{name}.{field}"),
                            format!(
                                "`{}` and `{}`, the {other_field} of the store `{other}`, lie in \
                                 one another",
                                path.display(),
                                taken.display()
                            ),
                        ));
                    }
                }
                places.push((name, field, path));
            }
        }
    }

    /// A name may be there once in its store, and not be the folder of another.
    fn check_names(&self, faults: &mut Faults) {
        let secrets = self.secrets.iter().map(|one| (&one.store, &one.name));
        let templates = self.templates.iter().map(|one| (&one.store, &one.name));
        let all = [
            ("secrets", secrets.collect::<Vec<_>>()),
            ("templates", templates.collect::<Vec<_>>()),
        ];
        let mut taken: BTreeMap<(&str, &str), String> = BTreeMap::new();
        for (kind, pieces) in &all {
            for (index, (store, name)) in pieces.iter().enumerate() {
                let field = format!("{kind}[{index}]");
                if !self.stores.contains_key(*store) {
                    faults.push((format!("{field}.store"), format!("there is no store `{store}`")));
                }
                let before = taken.insert((store.as_str(), name.as_str()), field.clone());
                if let Some(before) = before {
                    faults.push((format!("{field}.name"), format!("{before} has this name too")));
                }
            }
        }
        for ((store, name), field) in &taken {
            let folders = name.match_indices('/').filter_map(|(at, _)| name.get(..at));
            for folder in folders {
                if let Some(other) = taken.get(&(*store, folder)) {
                    faults.push((
                        format!("{field}.name"),
                        format!("`{folder}` cannot be a folder, since {other} is a file"),
                    ));
                }
            }
        }
    }

    /// Links and copies lie outside of all stores, each once.
    fn check_targets(&self, faults: &mut Faults) {
        let secrets = self.secrets.iter().map(|one| (&one.links, &one.copies));
        let templates = self.templates.iter().map(|one| (&one.links, &one.copies));
        let all = [
            ("secrets", secrets.collect::<Vec<_>>()),
            ("templates", templates.collect::<Vec<_>>()),
        ];
        let mut taken: BTreeSet<&Path> = BTreeSet::new();
        for (kind, pieces) in &all {
            for (index, (links, copies)) in pieces.iter().enumerate() {
                for (field, list) in [("links", *links), ("copies", *copies)] {
                    for (at, path) in list.iter().enumerate() {
                        let what = self.wrong_target(path, &mut taken);
                        faults.extend(
                            what.map(|what| (format!("{kind}[{index}].{field}[{at}]"), what)),
                        );
                    }
                }
            }
        }
    }

    fn wrong_target<'m>(
        &'m self,
        path: &'m TargetPath,
        taken: &mut BTreeSet<&'m Path>,
    ) -> Option<String> {
        let path = path.as_path();
        if !taken.insert(path) {
            return Some(format!("`{}` is there twice", path.display()));
        }
        for (name, store) in &self.stores {
            for own in [store.mount_point.as_path(), store.link.as_path()] {
                if path.starts_with(own) {
                    return Some(format!(
                        "`{}` is inside of the store `{name}`, whose files are named by `name`",
                        path.display()
                    ));
                }
                if own.starts_with(path) {
                    return Some(format!("`{}` is a folder of the store `{name}`", path.display()));
                }
            }
        }
        None
    }

    /// What is in secrets and templates.
    fn check_contents(&self, faults: &mut Faults) {
        for (index, secret) in self.secrets.iter().enumerate() {
            if secret.format == Format::Binary && secret.key.is_some() {
                faults.push((format!("secrets[{index}].key"), NO_KEYS.to_owned()));
            }
        }
        for (index, template) in self.templates.iter().enumerate() {
            let what = match (&template.content, &template.file) {
                (Some(_), None) | (None, Some(_)) => continue,
                (Some(_), Some(_)) => "it has both a `content` and a `file`",
                (None, None) => "it has neither a `content` nor a `file`",
            };
            faults.push((format!("templates[{index}]"), what.to_owned()));
        }
        for (text, placeholder) in &self.placeholders {
            let types::Placeholder { store, secret } = placeholder;
            let field = format!("placeholders.{text}");
            if text.is_empty() {
                faults.push((field, "an empty text can stand for nothing".to_owned()));
            } else if text.starts_with(OWN_PLACEHOLDER) {
                faults.push((field, format!("`{OWN_PLACEHOLDER}…>` stands for secrets by name")));
            } else if self.secret(store, secret).is_none() {
                faults.push((field, format!("the store `{store}` has no secret `{secret}`")));
            }
        }
    }

    fn check_keys(&self, faults: &mut Faults) {
        for (index, key) in self.host_public_keys.iter().enumerate() {
            if let Err(error) = Recipient::parse(key.trim()) {
                faults.push((format!("hostPublicKeys[{index}]"), error.to_string()));
            }
        }
        let mut names = BTreeSet::new();
        for (index, plugin) in self.plugins.iter().enumerate() {
            let field = || format!("plugins[{index}].name");
            if !is_plugin_name(&plugin.name) {
                faults.push((field(), "no plugin can have this name".to_owned()));
            } else if !names.insert(plugin.name.to_ascii_lowercase()) {
                faults.push((field(), "the plugin is there twice".to_owned()));
            }
        }
    }

    fn check_services(&self, faults: &mut Faults) {
        for (unit, service) in &self.services {
            let field = format!("services.{unit}");
            let is_service = unit.ends_with(".service") && types::Unit::new(unit).is_some();
            if !is_service {
                faults.push((field.clone(), "this is no name of a service".to_owned()));
            }
            for (name, credential) in &service.credentials {
                let field = format!("{field}.credentials.{name}");
                // systemd takes what a file may be called, and cuts at `:`.
                let plain = Name::new(name).is_ok() && !name.contains(['/', ':']);
                if !plain {
                    faults.push((field.clone(), "no credential can have this name".to_owned()));
                }
                if unit.len().saturating_add(name.len()) > MOST_IN_AN_ADDRESS {
                    faults.push((
                        field.clone(),
                        format!(
                            "the names of service and credential are longer than the \
                             {MOST_IN_AN_ADDRESS} bytes that systemd has for both"
                        ),
                    ));
                }
                if credential.format == Format::Binary && credential.key.is_some() {
                    faults.push((format!("{field}.key"), NO_KEYS.to_owned()));
                }
            }
        }
    }
}

/// Each is compared with each.
const MOST_STORES: usize = 64;
/// systemd asks from a socket whose address, of 108 bytes, holds both names.
const MOST_IN_AN_ADDRESS: usize = 83;
const NO_KEYS: &str = "a file of the format `binary` has no keys";
/// How our own placeholders begin.
pub(super) const OWN_PLACEHOLDER: &str = "<secretctl:";
