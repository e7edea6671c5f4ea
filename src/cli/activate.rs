//! `secretctl activate`: puts the secrets of a manifest in place on this machine.

use std::path::PathBuf;

use clap::Args;

use super::explain::{Failure, activate as explain};
use super::target::{Log, Run, runtime_folder};
use super::{Common, Done, Outcome, ui};
use crate::activate::check::check;
use crate::activate::manifest::Manifest;
use crate::activate::values::When;

/// Put the secrets of a manifest in place on this machine
///
/// Meant for the units that the `NixOS` module makes. Decrypts with the private keys that the manifest
/// names and asks nobody, but with `--network` key services. A secret that cannot be decrypted keeps its last good value, and the others
/// are installed. Exit codes: 0 all in place; 1 some were kept or are missing; 2 nothing was changed.
#[derive(Debug, Args)]
pub(crate) struct Activate {
    /// The manifest, JSON
    manifest: PathBuf,
    /// Fill the stores that are needed before users exist, and no others
    #[arg(long)]
    early: bool,
    /// Fill the other stores once more, and ask key services for what no key of this machine opens,
    /// if the manifest allows it
    #[arg(long, conflicts_with = "early")]
    network: bool,
    /// Decrypt everything, what services would ask for too, and say what would change; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Look at the manifest and its files without any private key, as at build time: everything is
    /// encrypted, the values are there, and this machine is among the readers
    #[arg(long, conflicts_with_all = ["early", "network", "dry_run"])]
    check: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

impl Activate {
    pub(crate) fn run(&self, common: &Common) -> Outcome {
        if !common.identities.is_empty() || !common.plugins.is_empty() {
            return Err(Failure::new("`activate` takes its keys and plugins from the manifest")
                .hint("leave out `--identity` and `--plugin`")
                .into());
        }
        let runtime = runtime_folder();
        // Where it is built, there is no session.
        let session = if self.check { Some(PathBuf::from("/run/user/0")) } else { runtime };
        let manifest = Manifest::load(&self.manifest, session.as_deref())
            .map_err(|error| explain::manifest(&error))?;
        if self.check {
            return self.run_check(&manifest, common);
        }
        if self.network && !manifest.key_services {
            return Err(Failure::new("the manifest does not allow key services")
                .hint("set `secretctl.keyServices.enable`, or leave out `--network`")
                .into());
        }
        let log = Log::new(common);
        let run = Run {
            manifest: &manifest,
            when: match (self.early, self.network) {
                (true, _) => When::Early,
                (false, true) => When::Network,
                (false, false) => When::Normal,
            },
            dry: self.dry_run,
            root_owns_all: false,
        };
        let outcome = run.carry_out(&log)?;
        if self.json {
            ui::print(&format!("{}\n", outcome.json())).map_err(|e| ui::stdout_failure(&e))?;
        } else if self.dry_run {
            ui::print(&outcome.changes()).map_err(|e| ui::stdout_failure(&e))?;
        } else if manifest.logging.changes {
            for line in outcome.changes().lines() {
                log.info(line);
            }
        }
        Ok(if outcome.is_unfinished() { Done::Found } else { Done::Clean })
    }

    fn run_check(&self, manifest: &Manifest, common: &Common) -> Outcome {
        let report = check(manifest);
        let failures = report.problems.iter().map(explain::check_problem);
        let failures: Vec<Failure> = failures.collect();
        if self.json {
            let unsure: Vec<String> =
                report.unsure.iter().map(|file| file.display().to_string()).collect();
            let summary = serde_json::json!({
                "files": report.files, "problems": failures.len(), "unsure": unsure,
            });
            ui::print(&format!("{summary}\n")).map_err(|e| ui::stdout_failure(&e))?;
        }
        let log = Log::new(common);
        if failures.is_empty() {
            if !manifest.host_public_keys.is_empty() && !report.unsure.is_empty() {
                log.info(&explain::unsure(&report.unsure));
            }
            return Ok(Done::Clean);
        }
        for failure in &failures {
            log.error(failure);
        }
        Ok(Done::Found)
    }
}
