//! Keys that live in a program of their own, `age-plugin-NAME` (C2SP `age-plugin.md`): all
//! files of a run go through one process, so that there is one PIN and one touch.
//!
//! Which program runs is said by data (a recipient in a repository, an identity file), so only
//! the names that the user allowed are started, from absolute folders of `PATH`. A plugin gets
//! the common variables of the environment, `AGE_…`, `PCSCLITE_…` and `TPM2…`, and no more.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use zeroize::Zeroize;

use super::ask::Ask;
use super::recipient::{Wrapped, is_plugin_name};
use super::stanza::{Stanzas, is_argument};
use crate::plaintext::Plaintext;
use wire::{Command, Connection, Outgoing};

/// The names of the plugins that the user allows.
#[derive(Debug, Default)]
pub struct Allowed {
    names: BTreeSet<String>,
    /// The programs of those that are not looked for on `PATH`.
    programs: BTreeMap<String, PathBuf>,
    /// What the user answered in this run.
    answers: Mutex<BTreeMap<String, bool>>,
}

impl Allowed {
    /// From names, in any case, separated by commas or blanks, as `SECRETCTL_PLUGINS` has them.
    pub fn parse(names: &str) -> Self {
        let mut allowed = Self::default();
        for name in names.split([',', ' ']) {
            allowed.add(name);
        }
        allowed
    }

    /// Allows one more, if its name is one that a plugin may have.
    pub fn add(&mut self, name: &str) {
        if is_plugin_name(name) {
            self.names.insert(name.to_ascii_lowercase());
        }
    }

    /// Allows one more, which is this program and no other.
    pub fn add_program(&mut self, name: &str, program: &Path) {
        self.add(name);
        self.programs.insert(name.to_ascii_lowercase(), program.to_owned());
    }

    /// The program of a plugin, where it is said which.
    fn program(&self, name: &str) -> Option<PathBuf> {
        self.programs.get(name).cloned()
    }

    /// Whether a plugin may be started: it is on the list, or the user says so, once a run.
    fn permits(&self, name: &str, ask: &dyn Ask) -> bool {
        let name = name.to_ascii_lowercase();
        if self.names.contains(&name) {
            return true;
        }
        let Ok(mut answers) = self.answers.lock() else { return false };
        *answers.entry(name).or_insert_with_key(|name| {
            let question = format!(
                "a key asks for the program `age-plugin-{name}`; may it run on this machine?"
            );
            ask.confirm(&question, "yes", Some("no")).unwrap_or(false)
        })
    }
}

/// What it takes to start plugins.
#[derive(Clone, Copy)]
pub struct Plugins<'a> {
    /// Which may be started.
    pub allowed: &'a Allowed,
    /// The value of `$PATH`.
    pub path: &'a OsStr,
    /// Who is asked for PINs.
    pub ask: &'a dyn Ask,
}

impl Plugins<'_> {
    /// Opens the file keys of many files with one process of the plugin `name`: for each of
    /// `headers`, the stanzas of one file, its file key or why there is none.
    ///
    /// # Errors
    /// [`PluginError`] when the plugin cannot be used at all.
    pub fn unwrap_batch(
        &self,
        name: &str,
        identities: &[&Plaintext],
        headers: &[&Stanzas],
    ) -> Result<Vec<Result<FileKey, PluginFileError>>, PluginError> {
        let mut connection = Connection::start(self, name, "identity-v1")?;
        let mut outgoing = Outgoing::default();
        add_identities(&mut outgoing, name, identities)?;
        for (index, stanzas) in headers.iter().enumerate() {
            let index = index.to_string();
            for stanza in stanzas.iter() {
                let mut arguments = vec![index.as_str(), stanza.tag()];
                arguments.extend(stanza.args());
                outgoing.add("recipient-stanza", &arguments, &stanza.body());
            }
        }
        connection.send_phase(outgoing)?;
        let mut keys: Vec<Option<FileKey>> = headers.iter().map(|_| None).collect();
        let mut broken: Vec<Option<String>> = headers.iter().map(|_| None).collect();
        let mut complaints = Vec::new();
        while let Some(command) = next(&mut connection, self.ask, &complaints)? {
            match command {
                Command::FileKey { file, mut body } => {
                    let key = file_key(&body);
                    body.zeroize();
                    let key = key.ok_or_else(|| connection.broken("a file key is not 16 bytes"))?;
                    match keys.get_mut(file) {
                        Some(place @ None) => *place = Some(key),
                        Some(Some(_)) => return Err(connection.broken("two keys for one file")),
                        None => return Err(connection.broken("a key for an unknown file")),
                    }
                }
                Command::StanzaError { file, message } => match broken.get_mut(file) {
                    Some(place) => *place = Some(message),
                    None => return Err(connection.broken("an error for an unknown file")),
                },
                Command::Error { message } => complaints.push(message),
                Command::Stanza { .. } | Command::Labels(_) => {
                    return Err(connection.broken("an answer that belongs to encryption"));
                }
            }
        }
        connection.finish();
        let results = keys.into_iter().zip(broken).map(|(key, broken)| match (key, broken) {
            (Some(key), None) => Ok(key),
            (_, Some(message)) => Err(PluginFileError::Stanza { message }),
            (None, None) if complaints.is_empty() => Err(PluginFileError::NoMatch),
            (None, None) => Err(PluginFileError::Failed { messages: complaints.clone() }),
        });
        Ok(results.collect())
    }

    /// Encrypts the file keys of many files to `recipients` and `identities` of the plugin
    /// `name`, with one process where the plugin can do that.
    ///
    /// # Errors
    /// [`PluginError`]; there are no stanzas then, not even for some of the files.
    pub fn wrap_batch(
        &self,
        name: &str,
        recipients: &[&str],
        identities: &[&Plaintext],
        file_keys: &[&FileKey],
    ) -> Result<Vec<Wrapped>, PluginError> {
        let whole = |all: &[Wrapped]| all.iter().all(|wrapped| !wrapped.stanzas.is_empty());
        let broken =
            || PluginError::Protocol { name: name.to_owned(), what: "no stanza for a file" };
        let first = self.wrap_once(name, recipients, identities, file_keys);
        let usable = match &first {
            Ok(all) => whole(all),
            Err(PluginError::Refused { .. } | PluginError::Ended { .. }) => false,
            Err(
                PluginError::NotAllowed { .. }
                | PluginError::NotFound { .. }
                | PluginError::NotStarted { .. }
                | PluginError::NotAWord { .. }
                | PluginError::TimedOut { .. }
                | PluginError::Protocol { .. },
            ) => return first,
        };
        if usable {
            return first;
        }
        if file_keys.len() < 2 {
            return first.and(Err(broken()));
        }
        // Some plugins know of one file only, and those for passphrases give each file a label
        // of its own.
        let mut each = Vec::with_capacity(file_keys.len());
        for file_key in file_keys {
            each.extend(self.wrap_once(name, recipients, identities, &[file_key])?);
        }
        if whole(&each) { Ok(each) } else { Err(broken()) }
    }

    fn wrap_once(
        &self,
        name: &str,
        recipients: &[&str],
        identities: &[&Plaintext],
        file_keys: &[&FileKey],
    ) -> Result<Vec<Wrapped>, PluginError> {
        let mut connection = Connection::start(self, name, "recipient-v1")?;
        let mut outgoing = Outgoing::default();
        for recipient in recipients {
            if !is_argument(recipient.as_bytes()) {
                return Err(PluginError::NotAWord { name: name.to_owned() });
            }
            outgoing.add("add-recipient", &[recipient], b"");
        }
        add_identities(&mut outgoing, name, identities)?;
        outgoing.add("extension-labels", &[], b"");
        for file_key in file_keys {
            outgoing.add("wrap-file-key", &[], file_key.expose_secret());
        }
        connection.send_phase(outgoing)?;
        let most = recipients.len().saturating_add(identities.len());
        let mut files: Vec<Vec<Stanza>> = file_keys.iter().map(|_| Vec::new()).collect();
        let mut labels = None;
        let mut complaints = Vec::new();
        while let Some(command) = next(&mut connection, self.ask, &complaints)? {
            match command {
                Command::Stanza { file, stanza } => match files.get_mut(file) {
                    Some(stanzas) if stanzas.len() < most => stanzas.push(stanza),
                    Some(_) => return Err(connection.broken("more stanzas than recipients")),
                    None => return Err(connection.broken("a stanza for an unknown file")),
                },
                Command::Labels(these) if labels.is_none() => labels = Some(these),
                Command::Labels(_) => return Err(connection.broken("labels twice")),
                Command::Error { message } => complaints.push(message),
                Command::FileKey { mut body, .. } => {
                    body.zeroize();
                    return Err(connection.broken("an answer that belongs to decryption"));
                }
                Command::StanzaError { .. } => {
                    return Err(connection.broken("an answer that belongs to decryption"));
                }
            }
        }
        connection.finish();
        if !complaints.is_empty() {
            return Err(PluginError::Refused { name: name.to_owned(), messages: complaints });
        }
        let labels = labels.unwrap_or_default();
        let wrapped = |stanzas| Wrapped { stanzas, labels: labels.clone() };
        Ok(files.into_iter().map(wrapped).collect())
    }
}

/// Why a plugin gave no key for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginFileError {
    /// No stanza of the file is for these identities.
    NoMatch,
    /// A stanza is for the plugin, but broken.
    Stanza {
        /// What the plugin said, cleaned.
        message: String,
    },
    /// The plugin met an error that has to do with no file alone.
    Failed {
        /// What the plugin said, cleaned.
        messages: Vec<String>,
    },
}

impl fmt::Display for PluginFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatch => f.write_str("no stanza of the file is for this identity"),
            Self::Stanza { message } => write!(f, "a stanza of the file is broken: {message}"),
            Self::Failed { messages } => f.write_str(&messages.join("; ")),
        }
    }
}

impl std::error::Error for PluginFileError {}

/// Why a plugin cannot be used.
#[derive(Debug)]
pub enum PluginError {
    /// The user has not allowed it.
    NotAllowed {
        /// The plugin.
        name: String,
    },
    /// It is not installed.
    NotFound {
        /// The plugin.
        name: String,
    },
    /// It cannot be started.
    NotStarted {
        /// The plugin.
        name: String,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// A recipient or identity for it holds blanks or bytes beyond ASCII.
    NotAWord {
        /// The plugin.
        name: String,
    },
    /// It ended in the middle of the talk.
    Ended {
        /// The plugin.
        name: String,
        /// What it said on stderr, cleaned.
        said: String,
    },
    /// It said nothing for so long that nobody waits any more.
    TimedOut {
        /// The plugin.
        name: String,
        /// How long it had.
        after: Duration,
    },
    /// It broke the rules of the protocol.
    Protocol {
        /// The plugin.
        name: String,
        /// How, a noun.
        what: &'static str,
    },
    /// It said that it cannot encrypt.
    Refused {
        /// The plugin.
        name: String,
        /// What it said, cleaned.
        messages: Vec<String>,
    },
}

impl PluginError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NotAllowed { name } => Some(format!(
                "if you trust the program `age-plugin-{name}` on this machine, allow it with \
                `--plugin {name}` or `SECRETCTL_PLUGINS={name}`"
            )),
            Self::NotFound { name } => {
                Some(format!("install `age-plugin-{name}` into a folder of PATH"))
            }
            Self::NotStarted { .. }
            | Self::NotAWord { .. }
            | Self::Ended { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::Refused { .. } => None,
        }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { name } => {
                write!(f, "the plugin `{name}` is needed and was not allowed to run")
            }
            Self::NotFound { name } => {
                write!(f, "there is no program `age-plugin-{name}` in PATH")
            }
            Self::NotStarted { name, source } => {
                write!(f, "cannot start `age-plugin-{name}`: {source}")
            }
            Self::NotAWord { name } => {
                write!(f, "a recipient or identity of the plugin `{name}` is not visible ASCII")
            }
            Self::Ended { name, said } if said.is_empty() => {
                write!(f, "`age-plugin-{name}` ended early")
            }
            Self::Ended { name, said } => write!(f, "`age-plugin-{name}` ended early: {said}"),
            Self::TimedOut { name, after } => {
                let seconds = after.as_secs();
                write!(f, "`age-plugin-{name}` gave no answer within {seconds} seconds")
            }
            Self::Protocol { name, what } => {
                write!(f, "`age-plugin-{name}` broke the plugin protocol: {what}")
            }
            Self::Refused { name, messages } => {
                write!(f, "`age-plugin-{name}` cannot encrypt: {}", messages.join("; "))
            }
        }
    }
}

impl std::error::Error for PluginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotStarted { source, .. } => Some(source),
            Self::NotAllowed { .. }
            | Self::NotFound { .. }
            | Self::NotAWord { .. }
            | Self::Ended { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::Refused { .. } => None,
        }
    }
}

/// The next command. A plugin that reported errors may end without another word.
fn next(
    connection: &mut Connection,
    ask: &dyn Ask,
    complaints: &[String],
) -> Result<Option<Command>, PluginError> {
    match connection.next(ask) {
        Err(PluginError::Ended { .. }) if !complaints.is_empty() => Ok(None),
        other => other,
    }
}

fn add_identities(
    outgoing: &mut Outgoing,
    name: &str,
    identities: &[&Plaintext],
) -> Result<(), PluginError> {
    for identity in identities {
        #[expect(clippy::disallowed_methods, reason = "the plugin is handed its identity")]
        let word = identity.expose();
        match std::str::from_utf8(word) {
            Ok(word) if is_argument(word.as_bytes()) => outgoing.add("add-identity", &[word], b""),
            Ok(_) | Err(_) => return Err(PluginError::NotAWord { name: name.to_owned() }),
        }
    }
    Ok(())
}

fn file_key(body: &[u8]) -> Option<FileKey> {
    FileKey::try_init_with_mut(|key| {
        if body.len() != key.len() {
            return Err(());
        }
        key.copy_from_slice(body);
        Ok(())
    })
    .ok()
}

#[cfg(test)]
mod tests;
