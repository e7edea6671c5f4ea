//! `secretctl keys`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::context::Context;
use super::encrypt::from_file;
use super::explain::Failure;
use super::{Done, Outcome, ui};
use crate::fsx::read_plaintext;
use crate::key::identity::{self, Entry, Identity, MAX_IDENTITY_FILE};
use crate::key::{Recipient, ssh};

/// Show keys, and convert SSH keys to age keys
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the public half of identities, or the keys of files of recipients
    Show {
        /// Files of private or public keys; without any, the identities that would be tried
        files: Vec<PathBuf>,
    },
    /// Convert ssh-ed25519 keys to age keys, as ssh-to-age does
    Convert {
        /// File of public keys or an SSH private key; `-` or nothing reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// The file is a private key: print the age identity. Keep what is printed as safe as the
        /// key itself
        #[arg(long)]
        private_key: bool,
    },
}

impl Keys {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let text = match self.action {
            Action::Show { files } if files.is_empty() => show_default(context),
            Action::Show { files } => {
                let mut text = String::new();
                for file in &files {
                    text.push_str(&show(file)?);
                }
                text
            }
            Action::Convert { file, private_key: true } => return convert_private(context, &file),
            Action::Convert { file, private_key: false } => convert_public(&file)?,
        };
        ui::print(&text).map_err(|e| ui::stdout_failure(&e))?;
        Ok(Done::Clean)
    }
}

fn show_default(context: &Context) -> String {
    let mut keyring = context.keyring().in_full();
    keyring.ready_identities();
    let mut text = String::new();
    for tried in keyring.tried() {
        let what = match &tried.what {
            Ok(keys) => keys.join(", "),
            Err(reason) => reason.clone(),
        };
        let _infallible = writeln!(text, "{}: {}", ui::clean(&tried.source), ui::clean(&what));
    }
    if text.is_empty() {
        text.push_str("no identity in any of the usual places\n");
    }
    text
}

fn show(file: &Path) -> Result<String, Vec<Failure>> {
    let content = read_plaintext(path_of(file), MAX_IDENTITY_FILE)
        .map_err(|e| Failure::new(format!("cannot read `{}`: {e}", ui::shown(file))))?;
    let mut text = String::new();
    match identity::parse(&content) {
        Ok(entries) => {
            for entry in &entries {
                let _infallible = writeln!(text, "{}", describe(entry));
            }
        }
        Err(_) => {
            for recipient in from_file(file)? {
                let _infallible = writeln!(text, "{}", line(&recipient));
            }
        }
    }
    Ok(text)
}

fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Ready(identity) => match identity.recipient() {
            Some(recipient) => line(&recipient),
            None => "a key without a public form".to_owned(),
        },
        Entry::Plugin { name, .. } => format!("an identity of age-plugin-{name}"),
        Entry::Pgp(keys) => {
            let keys: Vec<String> =
                keys.iter().map(|key| format!("PGP {}", key.fingerprint)).collect();
            keys.join("\n")
        }
        Entry::LockedSsh(key) => format!("{}  (behind a passphrase)", line(&key.recipient)),
        Entry::LockedFile(_) => "identities behind a passphrase".to_owned(),
    }
}

fn line(recipient: &Recipient) -> String {
    let comment = recipient.comment().map(|c| format!(" {}", ui::clean(c))).unwrap_or_default();
    let mut text = format!("{}{comment}", recipient.canonical());
    if let Some(age) = ssh::age_recipient(recipient) {
        let _infallible = write!(text, "\n  as age key: {}", age.canonical());
    }
    if let Some(pgp) = ssh::pgp_fingerprint(recipient) {
        let _infallible = write!(text, "\n  as PGP key: {pgp}");
    }
    text
}

fn convert_public(file: &Path) -> Result<String, Vec<Failure>> {
    let mut text = String::new();
    for recipient in from_file(file)? {
        let Some(converted) = ssh::age_recipient(&recipient) else {
            return Err(Failure::new(format!(
                "`{}` cannot be converted: only ssh-ed25519 keys have an age form",
                recipient.short()
            ))
            .hint("age uses ssh-rsa keys as they are; convert the ed25519 key of the same host")
            .into());
        };
        let _infallible = writeln!(text, "{}", converted.canonical());
    }
    Ok(text)
}

#[expect(clippy::disallowed_methods, reason = "the user asked for the private key")]
fn convert_private(context: &Context, file: &Path) -> Outcome {
    let shown = ui::shown(file);
    let failure = |what: &str| Failure::new(format!("cannot convert `{shown}`: {what}"));
    let content = read_plaintext(path_of(file), MAX_IDENTITY_FILE)
        .map_err(|e| Failure::new(format!("cannot read `{shown}`: {e}")))?;
    let entry = identity::parse(&content).map_err(|e| failure(&e.to_string()))?.into_iter().next();
    let identity = match entry {
        Some(Entry::Ready(identity)) => identity,
        Some(Entry::LockedSsh(key)) => {
            let passphrase = context.plugins().ask.secret(&format!("Passphrase for {shown}"));
            let passphrase = passphrase.ok_or_else(|| failure("its passphrase was not given"))?;
            let key = key.open(&passphrase).map_err(|e| failure(&e.to_string()))?;
            Identity::Ssh(Box::new(key))
        }
        Some(Entry::Plugin { .. } | Entry::Pgp(_) | Entry::LockedFile(_)) | None => {
            return Err(failure("it is no SSH private key").into());
        }
    };
    let text =
        identity.age_text().ok_or_else(|| failure("only ssh-ed25519 keys have an age form"))?;
    let mut line = crate::plaintext::Plaintext::with_capacity(text.len().saturating_add(1));
    line.extend(text.expose());
    line.extend(b"\n");
    ui::print(&String::from_utf8_lossy(line.expose())).map_err(|e| ui::stdout_failure(&e))?;
    Ok(Done::Clean)
}

fn path_of(file: &Path) -> &Path {
    if file == Path::new("-") { Path::new("/dev/stdin") } else { file }
}
