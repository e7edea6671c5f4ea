//! The manifest of sops-nix, turned into ours. Follows the structures of its
//! `sops-install-secrets`: unknown fields do not count, null is the same as not there, an unknown
//! format is YAML, and `%r` in paths of user mode is the folder of the session.
//!
//! Templates lie in the folder `rendered` of the store, as there. What ours refuses is refused
//! here too: names that lead out of the store or are there twice, and links into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::types::{AbsolutePath, IdentityPath, NIX_STORE, TargetPath};
use super::{
    FileMode, Filesystem, Format, Gnupg, Identity, IdentityKind, Key, Logging, Manifest,
    ManifestError, Mode, Owner, Phase, Placeholder, Secret, Store, Template, Unit, Version, decode,
};
use crate::activate::Name;

/// What the manifest does not say, and its program finds by itself.
pub struct Surroundings<'a> {
    /// The folder of the session, for user mode.
    pub runtime: Option<&'a Path>,
    /// The program `gpg`, where there is one.
    pub gpg: Option<PathBuf>,
}

/// A manifest of sops-nix in the words of ours.
#[derive(Debug)]
pub struct Converted {
    /// The manifest.
    pub manifest: Manifest,
    /// Private keys that everybody can read, since they lie in the Nix store.
    pub keys_in_store: Vec<PathBuf>,
}

/// Reads one.
///
/// # Errors
/// [`ManifestError`] with every fault.
pub fn parse(
    path: &Path,
    text: &[u8],
    around: &Surroundings<'_>,
) -> Result<Converted, ManifestError> {
    let foreign: Foreign = decode(path, text)?;
    let mut reading = Reading {
        runtime: foreign.user_mode.then_some(around.runtime).flatten(),
        user: foreign.user_mode,
        faults: Vec::new(),
    };
    let converted = reading.convert(foreign, around);
    let mut faults = reading.faults;
    if let (true, Some(converted)) = (faults.is_empty(), &converted) {
        faults = converted.manifest.check();
    }
    match converted {
        Some(converted) if faults.is_empty() => Ok(converted),
        Some(_) | None => Err(ManifestError::located(path, text, faults)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Foreign {
    #[serde(default, deserialize_with = "or_null")]
    secrets: Vec<ForeignSecret>,
    #[serde(default, deserialize_with = "or_null")]
    templates: Vec<ForeignTemplate>,
    #[serde(default, deserialize_with = "or_null")]
    placeholder_by_secret_name: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    secrets_mount_point: String,
    #[serde(default, deserialize_with = "or_null")]
    symlink_path: String,
    #[serde(default, deserialize_with = "or_null")]
    keep_generations: u32,
    #[serde(default, deserialize_with = "or_null")]
    ssh_key_paths: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    gnupg_home: String,
    #[serde(default, deserialize_with = "or_null")]
    age_key_file: String,
    #[serde(default, deserialize_with = "or_null")]
    age_ssh_key_paths: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    use_tmpfs: bool,
    #[serde(default, deserialize_with = "or_null")]
    user_mode: bool,
    #[serde(default, deserialize_with = "or_null")]
    logging: ForeignLogging,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ForeignLogging {
    #[serde(default, deserialize_with = "or_null")]
    key_import: bool,
    #[serde(default, deserialize_with = "or_null")]
    secret_changes: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForeignSecret {
    #[serde(default, deserialize_with = "or_null")]
    name: String,
    #[serde(default, deserialize_with = "or_null")]
    key: String,
    #[serde(default, deserialize_with = "or_null")]
    sops_file: String,
    #[serde(default, deserialize_with = "or_null")]
    format: String,
    #[serde(flatten)]
    place: ForeignPlace,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForeignTemplate {
    #[serde(default, deserialize_with = "or_null")]
    name: String,
    #[serde(default, deserialize_with = "or_null")]
    content: String,
    #[serde(default, deserialize_with = "or_null")]
    file: String,
    #[serde(flatten)]
    place: ForeignPlace,
}

/// What secrets and templates have in common.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForeignPlace {
    #[serde(default, deserialize_with = "or_null")]
    path: String,
    owner: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    uid: u32,
    group: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    gid: u32,
    #[serde(default, deserialize_with = "or_null")]
    mode: String,
    #[serde(default, deserialize_with = "or_null")]
    restart_units: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    reload_units: Vec<String>,
}

struct Reading<'a> {
    runtime: Option<&'a Path>,
    user: bool,
    faults: Vec<(String, String)>,
}

/// A place in our words.
struct Put {
    owner: Owner,
    group: Owner,
    mode: FileMode,
    links: Vec<TargetPath>,
    restart: Vec<Unit>,
    reload: Vec<Unit>,
}

impl Reading<'_> {
    fn convert(&mut self, foreign: Foreign, around: &Surroundings<'_>) -> Option<Converted> {
        self.check_gnupg(&foreign);
        let mount_point = self.target("secretsMountPoint", &foreign.secrets_mount_point);
        let link = self.target("symlinkPath", &foreign.symlink_path);
        let (mount_point, link) = (mount_point?, link?);
        let secrets = foreign.secrets.into_iter().enumerate();
        let secrets: Vec<Secret> =
            secrets.filter_map(|(index, one)| self.secret(index, one, link.as_path())).collect();
        let templates = foreign.templates.into_iter().enumerate();
        let templates = templates
            .filter_map(|(index, one)| self.template(index, one, link.as_path()))
            .collect();
        let (placeholders, absent) = placeholders(foreign.placeholder_by_secret_name, &secrets);
        let mut keys_in_store = Vec::new();
        let mut identities = Vec::new();
        let files = [
            ("ageSshKeyPaths", foreign.age_ssh_key_paths),
            (
                "ageKeyFile",
                Some(foreign.age_key_file).filter(|file| !file.is_empty()).into_iter().collect(),
            ),
            ("sshKeyPaths", foreign.ssh_key_paths),
        ];
        for (field, files) in files {
            for file in files {
                let path = PathBuf::from(&file);
                if path.starts_with(NIX_STORE) {
                    keys_in_store.push(path.clone());
                }
                if !identities.iter().any(|known: &Identity| known.file.as_path() == path) {
                    if let Err(what) = AbsolutePath::new(path.clone()) {
                        self.faults.push((field.to_owned(), what.to_owned()));
                    }
                    identities.push(Identity { file: IdentityPath(path), kind: IdentityKind::Any });
                }
            }
        }
        let gnupg = self.gnupg(&foreign.gnupg_home, around);
        let ForeignLogging { key_import: keys, secret_changes: changes } = foreign.logging;
        let store = Store {
            phase: Phase::Both,
            mount_point,
            link,
            filesystem: match (self.user, foreign.use_tmpfs) {
                (true, _) => Filesystem::Directory,
                (false, true) => Filesystem::Tmpfs,
                (false, false) => Filesystem::Ramfs,
            },
            // Its own program takes what it gets, so that a host with an old kernel goes on
            // having its secrets; it is told, though.
            allow_swap: true,
            allow_disk: self.user,
            keep_generations: foreign.keep_generations,
            mode: FileMode(0o751),
            group: Owner::Name("keys".to_owned()),
        };
        let manifest = Manifest {
            version: Version,
            mode: if self.user { Mode::User } else { Mode::System },
            test_values: false,
            stores: BTreeMap::from([(STORE.to_owned(), store)]),
            identities,
            plugins: Vec::new(),
            gnupg,
            // As its own program does.
            key_services: true,
            host_public_keys: Vec::new(),
            secrets,
            templates,
            placeholders,
            absent,
            services: BTreeMap::new(),
            logging: Logging { keys, changes },
        };
        Some(Converted { manifest, keys_in_store })
    }

    /// The rule of its program.
    fn check_gnupg(&mut self, foreign: &Foreign) {
        if foreign.gnupg_home.is_empty() {
            return;
        }
        let others = [
            ("sshKeyPaths", !foreign.ssh_key_paths.is_empty()),
            ("ageKeyFile", !foreign.age_key_file.is_empty()),
        ];
        for (field, _) in others.into_iter().filter(|(_, set)| *set) {
            let what = format!(
                "gnupgHome and {field} were specified in the manifest. Both options are mutually \
                 exclusive."
            );
            self.faults.push(("gnupgHome".to_owned(), what));
        }
    }

    fn gnupg(&mut self, home: &str, around: &Surroundings<'_>) -> Option<Gnupg> {
        if home.is_empty() {
            return None;
        }
        let Some(program) = around.gpg.clone() else {
            self.faults.push(("gnupgHome".to_owned(), "there is no program `gpg`".to_owned()));
            return None;
        };
        match (AbsolutePath::new(home.into()), AbsolutePath::new(program)) {
            (Ok(home), Ok(program)) => Some(Gnupg { home, program }),
            (Err(what), _) | (_, Err(what)) => {
                self.faults.push(("gnupgHome".to_owned(), what.to_owned()));
                None
            }
        }
    }

    fn secret(&mut self, index: usize, one: ForeignSecret, store: &Path) -> Option<Secret> {
        let at = format!("secrets[{index}]");
        let name = self.name(&at, &one.name, &one.name);
        let put = self.put(&at, one.place, one.name.as_str(), store);
        let file = AbsolutePath::new(PathBuf::from(&one.sops_file));
        let file =
            file.map_err(|what| self.faults.push((format!("{at}.sopsFile"), what.to_owned())));
        let format = match one.format.as_str() {
            "json" => Format::Json,
            "binary" => Format::Binary,
            "dotenv" => Format::Dotenv,
            "ini" => Format::Ini,
            _ => Format::Yaml,
        };
        let has_keys = matches!(format, Format::Yaml | Format::Json) && !one.key.is_empty();
        let steps = || one.key.split('/').map(str::to_owned).collect();
        let key = has_keys.then(|| Key::new(steps())).flatten();
        let (name, put, file) = (name?, put?, file.ok()?);
        Some(Secret {
            name,
            store: STORE.to_owned(),
            file,
            format,
            key,
            owner: put.owner,
            group: put.group,
            mode: put.mode,
            links: put.links,
            copies: Vec::new(),
            required: true,
            restart_units: put.restart,
            reload_units: put.reload,
            transform: None,
            test_value: None,
            option: None,
        })
    }

    fn template(&mut self, index: usize, one: ForeignTemplate, store: &Path) -> Option<Template> {
        let at = format!("templates[{index}]");
        let name = self.name(&at, &one.name, &format!("{RENDERED}/{}", one.name));
        let put = self.put(&at, one.place, &format!("{RENDERED}/{}", one.name), store);
        let content = Some(one.content).filter(|content| !content.is_empty());
        let file = match content {
            None if !one.file.is_empty() => match AbsolutePath::new(one.file.into()) {
                Ok(file) => Some(file),
                Err(what) => {
                    self.faults.push((format!("{at}.file"), what.to_owned()));
                    None
                }
            },
            _ => None,
        };
        let (name, put) = (name?, put?);
        Some(Template {
            option: None,
            name,
            store: STORE.to_owned(),
            content,
            file,
            owner: put.owner,
            group: put.group,
            mode: put.mode,
            links: put.links,
            copies: Vec::new(),
            restart_units: put.restart,
            reload_units: put.reload,
            required: true,
        })
    }

    fn name(&mut self, at: &str, given: &str, whole: &str) -> Option<Name> {
        // What is checked is what was given, so that it is what the message names.
        match Name::new(given).and_then(|_| Name::new(whole)) {
            Ok(name) => Some(name),
            Err(error) => {
                self.faults.push((format!("{at}.name"), error.to_string()));
                None
            }
        }
    }

    fn put(&mut self, at: &str, one: ForeignPlace, own: &str, store: &Path) -> Option<Put> {
        let fault = |field: &str, what: &str| (format!("{at}.{field}"), what.to_owned());
        let before = self.faults.len();
        let mut links = Vec::new();
        let own = store.join(own);
        if !one.path.is_empty() && self.expand(&one.path).is_some_and(|path| path != own) {
            links.extend(self.target(&format!("{at}.path"), &one.path));
        }
        let mode = u32::from_str_radix(&one.mode, 8).ok().filter(|mode| *mode <= 0o777);
        if mode.is_none() {
            self.faults.push(fault("mode", "these are no permissions in octal digits"));
        }
        let owner = |name: Option<String>, number| match name {
            None => Some(Owner::Number(number)),
            Some(name) => Owner::parse(&name).map(|owner| match owner {
                Owner::Number(_) | Owner::Name(_) => Owner::Name(name),
            }),
        };
        let (user, group) = (owner(one.owner, one.uid), owner(one.group, one.gid));
        for (field, owner) in [("owner", &user), ("group", &group)] {
            if owner.is_none() {
                self.faults.push(fault(field, "this cannot be the name of a user or group"));
            }
        }
        let restart = self.units(&format!("{at}.restartUnits"), one.restart_units);
        let reload = self.units(&format!("{at}.reloadUnits"), one.reload_units);
        let (owner, group, mode) = (user?, group?, FileMode(mode?));
        (self.faults.len() == before).then_some(Put { owner, group, mode, links, restart, reload })
    }

    /// As `systemctl` completes them.
    fn units(&mut self, field: &str, names: Vec<String>) -> Vec<Unit> {
        let mut units = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            if let Some(unit) = Unit::new(&name).or_else(|| Unit::new(&format!("{name}.service"))) {
                units.push(unit);
            } else {
                let what = "this is no name of a unit".to_owned();
                self.faults.push((format!("{field}[{index}]"), what));
            }
        }
        units
    }

    fn target(&mut self, field: &str, text: &str) -> Option<TargetPath> {
        let Some(path) = self.expand(text) else {
            let what = "it names the folder of the session, which this one has none of: \
                        XDG_RUNTIME_DIR is not set";
            self.faults.push((field.to_owned(), what.to_owned()));
            return None;
        };
        TargetPath::new(path)
            .map_err(|what| self.faults.push((field.to_owned(), what.to_owned())))
            .ok()
    }

    /// `%%` is `%` in user mode, and `%r` the folder of the session; `None` where there is none.
    fn expand(&self, text: &str) -> Option<PathBuf> {
        if !self.user {
            return Some(PathBuf::from(text));
        }
        let mut parts = Vec::new();
        for part in text.split("%%") {
            if !part.contains("%r") {
                parts.push(part.to_owned());
                continue;
            }
            parts.push(part.replace("%r", self.runtime?.to_str()?));
        }
        Some(PathBuf::from(parts.join("%")))
    }
}

/// Those of secrets of this manifest, and those of others with their names.
fn placeholders(
    names: BTreeMap<String, String>,
    secrets: &[Secret],
) -> (BTreeMap<String, Placeholder>, BTreeMap<String, String>) {
    let (mut known, mut absent) = (BTreeMap::new(), BTreeMap::new());
    for (name, text) in names {
        match secrets.iter().find(|secret| secret.name.as_str() == name) {
            Some(secret) => {
                let secret = secret.name.clone();
                known.insert(text, Placeholder { store: STORE.to_owned(), secret });
            }
            None => {
                absent.insert(text, name);
            }
        }
    }
    (known, absent)
}

fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The one store of a manifest of sops-nix, by our name.
pub const STORE: &str = "secrets";
/// The folder of templates in it.
pub const RENDERED: &str = "rendered";
