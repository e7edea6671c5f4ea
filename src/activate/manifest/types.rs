//! The parts of a manifest. Single words check themselves when they are read (`words`); what concerns
//! several fields is in `check`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer};

pub(super) use super::words::NIX_STORE;
pub use super::words::{
    AbsolutePath, FileMode, IdentityPath, Key, Owner, TargetPath, TestValue, Unit, Version,
};
use crate::activate::{self, Name};

/// Whose secrets these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Of the machine: root sets owners and mounts file systems.
    #[default]
    System,
    /// Of one user: everything belongs to whoever runs it. Paths may begin with `%r`, the folder
    /// of the session.
    User,
}

/// When a store is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Before users exist, with `--early`.
    Early,
    /// When users exist.
    #[default]
    Normal,
    /// Both times. The first time, owners that are not known yet are left to root.
    Both,
}

/// What generations lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Filesystem {
    /// Memory that is never swapped.
    #[default]
    Ramfs,
    /// Memory that is mounted `noswap`.
    Tmpfs,
    /// What is there already.
    Directory,
}

/// A place for secrets: numbered generations and a link to the current one.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Store {
    /// When it is filled.
    #[serde(default)]
    pub phase: Phase,
    /// The folder of the generations.
    pub mount_point: TargetPath,
    /// The link to the current generation.
    pub link: TargetPath,
    /// What generations lie on.
    #[serde(default)]
    pub filesystem: Filesystem,
    /// Whether memory that may be swapped will do where the kernel has no `noswap`.
    #[serde(default)]
    pub allow_swap: bool,
    /// Whether `directory` may be on a disk.
    #[serde(default)]
    pub allow_disk: bool,
    /// How many generations stay, the current one included; 0 for all of them.
    #[serde(default = "one")]
    pub keep_generations: u32,
    /// Permissions of the folders.
    #[serde(default = "FileMode::of_folders")]
    pub mode: FileMode,
    /// The group of the folders.
    #[serde(default)]
    pub group: Owner,
}

/// A file of private keys.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// An age identity file, an SSH private key, or what `gpg --export-secret-keys` writes, without a
    /// passphrase. Never in the Nix store.
    pub file: IdentityPath,
    /// What it is used for.
    #[serde(default)]
    pub kind: IdentityKind,
}

/// What an identity is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum IdentityKind {
    /// For all that it can be used for; an ssh-ed25519 key also as the age key that `ssh-to-age`
    /// makes of it, and an ssh-rsa key as the PGP key that `ssh-to-pgp` makes of it.
    #[default]
    Any,
}

/// A program that holds keys (`age-plugin-NAME`).
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plugin {
    /// The `NAME` of `age-plugin-NAME`.
    pub name: String,
    /// The program.
    pub program: AbsolutePath,
}

/// How `gpg` is run.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gnupg {
    /// The folder of its keys.
    pub home: AbsolutePath,
    /// The program.
    pub program: AbsolutePath,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The encrypted file.
    pub file: PathBuf,
    /// What it is.
    pub format: Format,
    /// Which of its values; `None` for its whole content.
    pub key: Option<Key>,
}

/// A secret that is installed as a file.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// Its path inside of the store.
    #[serde(deserialize_with = "name")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub name: Name,
    /// The store.
    pub store: String,
    /// The encrypted file.
    pub file: AbsolutePath,
    /// What the encrypted file is.
    #[serde(default)]
    pub format: Format,
    /// The way to one value of a document, a step an item: a key of a map, or the number of an item
    /// of a list, from 0. Null for the whole content.
    #[serde(default)]
    pub key: Option<Key>,
    /// The owner of the installed file.
    #[serde(default)]
    pub owner: Owner,
    /// Its group.
    #[serde(default)]
    pub group: Owner,
    /// Its permissions.
    #[serde(default)]
    pub mode: FileMode,
    /// Further links to it.
    #[serde(default)]
    pub links: Vec<TargetPath>,
    /// Real files with the same content, owner and permissions.
    #[serde(default)]
    pub copies: Vec<TargetPath>,
    /// Whether the run fails where this one does.
    #[serde(default = "yes")]
    pub required: bool,
    /// Units to restart when it changed.
    #[serde(default)]
    pub restart_units: Vec<Unit>,
    /// Units to reload when it changed.
    #[serde(default)]
    pub reload_units: Vec<Unit>,
    /// A program that finds the value in the file named by `$inFile`, and whose output is
    /// installed instead.
    #[serde(default)]
    pub transform: Option<AbsolutePath>,
    /// A value that is no secret, for machines without keys.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub test_value: Option<TestValue>,
    /// The option that declares it, which messages name.
    #[serde(default)]
    pub option: Option<String>,
}

/// A file with secrets put into it.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// Its path inside of the store.
    #[serde(deserialize_with = "name")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub name: Name,
    /// The store.
    pub store: String,
    /// The text, with placeholders. Either this or `file`.
    #[serde(default)]
    pub content: Option<String>,
    /// A file with the text.
    #[serde(default)]
    pub file: Option<AbsolutePath>,
    /// The owner of the installed file.
    #[serde(default)]
    pub owner: Owner,
    /// Its group.
    #[serde(default)]
    pub group: Owner,
    /// Its permissions.
    #[serde(default)]
    pub mode: FileMode,
    /// Further links to it.
    #[serde(default)]
    pub links: Vec<TargetPath>,
    /// Real files with the same content, owner and permissions.
    #[serde(default)]
    pub copies: Vec<TargetPath>,
    /// Units to restart when it changed.
    #[serde(default)]
    pub restart_units: Vec<Unit>,
    /// Units to reload when it changed.
    #[serde(default)]
    pub reload_units: Vec<Unit>,
    /// Whether the run fails where this one does.
    #[serde(default = "yes")]
    pub required: bool,
    /// The option that declares it, which messages name.
    #[serde(default)]
    pub option: Option<String>,
}

/// The secret that a text stands for in templates.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placeholder {
    /// The store of the secret.
    pub store: String,
    /// Its name.
    #[serde(deserialize_with = "name")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub secret: Name,
}

/// A unit with credentials.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// The credentials, by the name that systemd has for them.
    #[serde(default)]
    pub credentials: BTreeMap<String, Credential>,
}

/// A secret that one unit gets.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// The encrypted file.
    pub file: AbsolutePath,
    /// What the encrypted file is.
    #[serde(default)]
    pub format: Format,
    /// As for secrets.
    #[serde(default)]
    pub key: Option<Key>,
    /// The option that declares it, which messages name.
    #[serde(default)]
    pub option: Option<String>,
}

/// What is told beside errors.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Which private keys were read.
    #[serde(default = "yes")]
    pub keys: bool,
    /// Which secrets were added, changed and removed.
    #[serde(default = "yes")]
    pub changes: bool,
}

/// What an encrypted file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// What its content says.
    #[default]
    Auto,
    /// An age file.
    Age,
    /// A sops file: YAML.
    Yaml,
    /// A sops file: JSON.
    Json,
    /// A sops file: `KEY=value`.
    Dotenv,
    /// A sops file: INI.
    Ini,
    /// A sops file around one content of any kind.
    Binary,
}
impl Secret {
    /// Where its value comes from.
    pub fn source(&self) -> Source {
        let Self { file, format, key, .. } = self;
        Source { file: file.as_path().to_owned(), format: *format, key: key.clone() }
    }
}

impl Credential {
    /// Where its value comes from.
    pub fn source(&self) -> Source {
        let Self { file, format, key, option: _ } = self;
        Source { file: file.as_path().to_owned(), format: *format, key: key.clone() }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self { keys: true, changes: true }
    }
}

impl Filesystem {
    /// In the words of whoever mounts it.
    pub fn carried_out(self) -> activate::Filesystem {
        match self {
            Self::Ramfs => activate::Filesystem::Ramfs,
            Self::Tmpfs => activate::Filesystem::Tmpfs,
            Self::Directory => activate::Filesystem::Directory,
        }
    }
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    Name::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}
