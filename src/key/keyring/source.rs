//! Where identities come from: files, variables, and commands that print them. Reads them; what
//! becomes of them is the keyring's.
//!
//! sops runs a command once for each recipient that it tries, with `SOPS_AGE_RECIPIENT`. Here it
//! runs for one, and again for the others while something is still locked; once it gives the same
//! for two of them, it is not asked again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fsx::read::read_plaintext;
use crate::key::identity::{self, Entry, IdentityError, MAX_IDENTITY_FILE};
use crate::plaintext::Plaintext;
use crate::process::identity_command::identity_command;

/// Where identities may be.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// Whether the user named it; a default that is not there is no problem.
        explicit: bool,
    },
    /// The identities themselves, between blanks.
    Inline {
        /// The variable that holds them.
        name: String,
        /// Its value.
        text: Arc<Plaintext>,
    },
    /// A command that prints them.
    Command {
        /// The variable that names it.
        name: String,
        /// Its words, as a shell splits them.
        line: String,
    },
}

/// Identities, or why there are none; `None` where nobody expects any.
pub(super) type Content = Option<Result<Vec<Entry>, String>>;

impl Source {
    /// A file that the user named.
    pub fn named(path: PathBuf) -> Self {
        Self::File { path, explicit: true }
    }

    /// A file in a usual place, which need not be there.
    pub fn usual(path: PathBuf) -> Self {
        Self::File { path, explicit: false }
    }

    /// The path of the file, or the name of the variable.
    pub fn name(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Inline { name, .. } | Self::Command { name, .. } => name.clone(),
        }
    }

    /// Reads it, a command for the first of `wanted`.
    pub(super) fn content(
        &self,
        commands: &mut Commands,
        path: &OsStr,
        wanted: &[String],
    ) -> Content {
        match self {
            Self::File { path, explicit } => match read_plaintext(path, MAX_IDENTITY_FILE) {
                Ok(content) => Some(described(identity::parse(&content))),
                Err(error) => {
                    let absent = error.kind() == std::io::ErrorKind::NotFound;
                    (*explicit || !absent).then(|| Err(format!("not read: {error}")))
                }
            },
            Self::Inline { text, .. } => Some(described(identity::parse_words(text))),
            Self::Command { name, line } => {
                let mut command = Command {
                    name: name.clone(),
                    line: line.clone(),
                    asked: BTreeSet::new(),
                    last: None,
                    constant: false,
                };
                let content = command.run(path, wanted.first());
                commands.0.push(command);
                content
            }
        }
    }
}

/// The commands that were run, since they may say something else for another recipient.
#[derive(Default)]
pub(super) struct Commands(Vec<Command>);

struct Command {
    name: String,
    line: String,
    asked: BTreeSet<String>,
    last: Option<Result<Plaintext, String>>,
    /// Whether it gives the same for all.
    constant: bool,
}

impl Commands {
    /// Runs one for a recipient that it was not run for; `None` when there is none left. What it
    /// gave before is not given again.
    pub(super) fn again(&mut self, path: &OsStr, wanted: &[String]) -> Option<(String, Content)> {
        for command in self.0.iter_mut().filter(|command| !command.constant) {
            let next = wanted.iter().find(|recipient| !command.asked.contains(*recipient));
            if let Some(recipient) = next {
                return Some((command.name.clone(), command.run(path, Some(recipient))));
            }
        }
        None
    }
}

impl Command {
    fn run(&mut self, path: &OsStr, recipient: Option<&String>) -> Content {
        self.asked.extend(recipient.cloned());
        let said =
            identity_command(&self.line, path, recipient.map(String::as_str), MAX_IDENTITY_FILE);
        let said = said.map_err(|error| error.to_string());
        self.constant = match (&said, &self.last) {
            (Ok(now), Some(Ok(before))) => now.same_as(before),
            (Err(now), Some(Err(before))) => now == before,
            (Ok(_) | Err(_), _) => false,
        };
        let content = match &said {
            Ok(_) | Err(_) if self.constant => None,
            Ok(text) => Some(described(identity::parse(text))),
            Err(reason) => Some(Err(reason.clone())),
        };
        self.last = Some(said);
        content
    }
}

fn described(entries: Result<Vec<Entry>, IdentityError>) -> Result<Vec<Entry>, String> {
    entries.map_err(|error| error.to_string())
}
