//! `secretctl credentials`: what systemd starts when a unit needs a credential. Its log has the
//! levels of journald and names what was decrypted for whom, never a value.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::explain::{self, Failure};
use super::{Done, Outcome, ui};
use crate::activate::credentials::{Asker, Denied, Event, Host, Limits, Serving, serve};
use crate::activate::manifest::{Credential, Manifest};
use crate::activate::open;
use crate::plaintext::Plaintext;
use crate::process::activation;

/// Decrypt the credentials of units while systemd starts them
///
/// systemd starts this when a unit with `LoadCredential=NAME:/run/secretctl/credentials.socket`
/// starts. It answers what the manifest grants to that unit, and ends when nobody asks any more.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// The manifest of this machine
    manifest: PathBuf,
    /// How long nobody needs to ask before it ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    idle: u32,
}

impl Credentials {
    pub(crate) fn run(self) -> Outcome {
        let listener = activation::listener().map_err(|error| {
            Failure::new(format!("nobody can ask for credentials: {error}"))
                .hint("this is started by secretctl-credentials.socket when a unit asks")
        })?;
        let cannot = |error: std::io::Error| {
            Failure::new(format!("cannot wait for those who ask for credentials: {error}"))
        };
        let stop = activation::told_to_stop().map_err(cannot)?;
        // A broken manifest is told to every unit that asks, lest they start without credentials or
        // wait.
        let manifest = Manifest::load(&self.manifest, None);
        let manifest = manifest.map_err(|error| log(Level::Error, &error.to_string()));
        let open = |asker: &Asker| match &manifest {
            Ok(manifest) => credential(manifest, asker),
            Err(()) => Err(Denied::Failed("the manifest cannot be used, see above".to_owned())),
        };
        let idle = Duration::from_secs(self.idle.into());
        let limits = Limits { idle, patience: PATIENCE, at_once: AT_ONCE };
        let serving = Serving { host: &Host::this(), limits, open: &open, tell: &tell };
        serve(&listener, stop.as_fd(), serving).map_err(cannot)?;
        Ok(if manifest.is_ok() { Done::Clean } else { Done::Found })
    }
}

/// What the manifest grants to a unit under this name, decrypted.
fn credential(manifest: &Manifest, asker: &Asker) -> Result<Plaintext, Denied> {
    let granted = granted(manifest, asker).ok_or(Denied::NotGranted)?;
    let source = granted.source();
    let (value, tried) = open::open_with_keys(manifest, &source);
    value.map_err(|problem| {
        let failure = explain::source_problem(&source.file, &problem, &tried);
        Denied::Failed(failure.text())
    })
}

/// An entry of the unit itself stands for its whole template.
fn granted<'m>(manifest: &'m Manifest, asker: &Asker) -> Option<&'m Credential> {
    let service = asker.names().find_map(|name| manifest.services.get(&name))?;
    service.credentials.get(&asker.credential)
}

fn tell(event: &Event) {
    let (level, text) = match event {
        Event::Given(asker) => (Level::Info, format!("{} got `{}`", asker.unit, asker.credential)),
        Event::Refused(asker, Denied::NotGranted) => (
            Level::Error,
            format!(
                "error: {} does not get `{}`: the manifest does not grant it\n\
                 hint: declare it under `secretctl.services` for this unit",
                asker.unit, asker.credential
            ),
        ),
        Event::Refused(asker, Denied::Failed(why)) => {
            (Level::Error, format!("{} does not get `{}`\n{why}", asker.unit, asker.credential))
        }
        Event::TooLarge(asker) => (
            Level::Error,
            format!(
                "error: {} does not get `{}`: it is larger than the 1 MiB that systemd takes",
                asker.unit, asker.credential
            ),
        ),
        Event::Unproven(unproven) => (Level::Warning, format!("refused: {unproven}")),
        Event::Slow(asker) => (
            Level::Warning,
            format!(
                "{} did not read `{}` within {} seconds and gets no more of it",
                asker.unit,
                asker.credential,
                PATIENCE.as_secs()
            ),
        ),
        Event::Gone(asker) => (
            Level::Warning,
            format!("{} went away before it had `{}`", asker.unit, asker.credential),
        ),
        Event::NoConnection(error) => {
            (Level::Error, format!("error: a connection cannot be taken: {error}"))
        }
    };
    log(level, &text);
}

/// Levels of syslog(3), which journald reads in front of a line.
#[derive(Clone, Copy)]
enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
}

fn log(level: Level, text: &str) {
    let mut lines = String::new();
    for line in ui::clean(text).lines() {
        lines.push_str(&format!("<{}>{line}\n", level as u8));
    }
    let _nobody_listens = std::io::stderr().write_all(lines.as_bytes());
}

/// How long somebody may take to read. systemd needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many are answered at once.
const AT_ONCE: usize = 16;
