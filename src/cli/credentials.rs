//! `secretctl credentials`: what systemd starts when a unit needs a credential. Its log names what was
//! decrypted for whom, never a value.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::explain::{Failure, activate as explain};
use super::target::Log;
use super::{Common, Done, Outcome};
use crate::activate::credentials::{Asker, Denied, Event, Host, Limits, Serving, serve};
use crate::activate::manifest::{Credential, Manifest};
use crate::activate::open;
use crate::plaintext::Plaintext;
use crate::process::activation::{self, Keeper};

/// Decrypt the credentials of services while systemd starts them
///
/// systemd runs this when a service with `LoadCredential=NAME:/run/secretctl/credentials.socket`
/// starts. It answers what the manifest grants to that service, and ends when nobody asks any more.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// The manifest of this machine
    manifest: PathBuf,
    /// How long nobody needs to ask before it ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    idle: u32,
}

impl Credentials {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let log = Log::new(common);
        let activation::Activated { listener, left } =
            activation::activated().map_err(|error| {
                Failure::new(format!("nobody can ask for credentials: {error}"))
                    .hint("this is run by secretctl-credentials.socket when a service asks")
            })?;
        let cannot = |error: io::Error| {
            Failure::new(format!("cannot wait for those who ask for credentials: {error}"))
        };
        let stop = activation::told_to_stop().map_err(cannot)?;
        // Where the manifest is broken every asker is told so, lest it wait, or start without.
        let manifest = Manifest::load(&self.manifest, None).map_err(|error| {
            log.error(&explain::manifest(&error));
        });
        let open = |asker: &Asker| {
            let manifest = manifest.as_ref().map_err(|()| Denied::Failed)?;
            let granted = granted(manifest, asker).ok_or(Denied::NotGranted)?;
            decrypt(manifest, granted).map_err(|failure| {
                let headline = format!("{}: {}", without(asker), failure.headline);
                log.error(&Failure { headline, ..failure });
                Denied::Failed
            })
        };
        let idle = Duration::from_secs(self.idle.into());
        let limits = Limits { idle, patience: PATIENCE, at_once: AT_ONCE };
        let tell = |event: &Event| tell(&log, event);
        let keeper = Keeper::of_this_unit();
        let keep = |connection: &UnixStream| keeper.keep(connection);
        let host = Host::this();
        let serving = Serving { host: &host, limits, open: &open, keep: &keep, tell: &tell };
        serve(&listener, left, stop.as_fd(), serving).map_err(cannot)?;
        Ok(if manifest.is_ok() { Done::Clean } else { Done::Found })
    }
}

/// What the manifest grants to a unit under this name. An entry of the unit itself is all that counts
/// for it; without one, that of its template.
fn granted<'m>(manifest: &'m Manifest, asker: &Asker) -> Option<&'m Credential> {
    let service = asker.names().find_map(|name| manifest.services.get(&name))?;
    service.credentials.get(&asker.credential)
}

fn decrypt(manifest: &Manifest, granted: &Credential) -> Result<Plaintext, Failure> {
    let source = granted.source();
    let (value, tried) = open::open_with_keys(manifest, &source);
    value.map_err(|problem| explain::open_problem(&problem, &source.file, &tried))
}

fn without(asker: &Asker) -> String {
    format!("{} does not get its credential `{}`", asker.unit, asker.credential)
}

fn tell(log: &Log, event: &Event) {
    match event {
        Event::Given(Asker { unit, credential }) => {
            log.info(&format!("{unit} got its credential `{credential}`"));
        }
        Event::Refused(asker, Denied::NotGranted) => log.error(
            &Failure::new(format!("{}: the manifest does not grant it", without(asker)))
                .hint("declare it under `secretctl.services` for this service"),
        ),
        Event::Refused(asker, Denied::Crowded) => log.warn(&Failure::new(format!(
            "{}: it has asked too often without reading the answer",
            without(asker)
        ))),
        // Told where it failed, or when the manifest was read.
        Event::Refused(_, Denied::Failed) => {}
        Event::TooLarge(asker) => log.error(&Failure::new(format!(
            "{}: it has more than 1 MiB, which systemd does not take",
            without(asker)
        ))),
        Event::Unproven(unproven) => log.warn(&Failure::new(format!("refused: {unproven}"))),
        Event::Slow(asker) => log.error(&Failure::new(format!(
            "{}: it was not read within {} seconds",
            without(asker),
            PATIENCE.as_secs()
        ))),
        Event::Gone(Asker { unit, credential }) => {
            let headline = format!("{unit} was gone before it had its credential `{credential}`");
            log.warn(&Failure::new(headline));
        }
        Event::Left(number) => log.error(
            &Failure::new(format!(
                "an earlier process ended before it had answered {number} who asked: they are refused"
            ))
            .hint("`systemctl --failed` lists these services; start them again"),
        ),
        Event::NoConnection(error) => {
            log.error(&Failure::new(format!("somebody who asks has to wait: {error}")));
        }
    }
}

/// How long somebody may take to read. systemd needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many are answered at once.
const AT_ONCE: usize = 16;
