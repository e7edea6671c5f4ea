//! `secretctl init`

use std::path::PathBuf;

use clap::Args;

use super::context::{Context, write_rules};
use super::explain::Failure;
use super::{Done, Outcome, ui};
use crate::rules::discover::discover;

/// Write a secretctl.yaml to begin with
///
/// Where a `secrets.nix` is there already, nothing needs to be written: secretctl reads it.
#[derive(Debug, Args)]
pub(crate) struct Init {}

impl Init {
    pub(crate) fn run(context: &Context) -> Outcome {
        let file = context.here.join("secretctl.yaml");
        let shown = ui::shown(&file);
        if file.symlink_metadata().is_ok() {
            return Err(Failure::new(format!("`{shown}` is there already, and was left alone"))
                .hint("`secretctl user add NAME --key FILE` adds a person, `host add` a machine")
                .into());
        }
        if context.here.join("secrets.nix").exists() {
            ui::say(
                "warning: there is a `secrets.nix` here, which secretctl reads as it is. Two \
                 sources must not disagree about a file",
            );
        }
        for above in rules_above(context) {
            ui::say(&format!(
                "warning: there are rules in `{}` too; of each kind, the nearest alone hold for a \
                 file, and two kinds must not disagree about it",
                ui::shown(&above)
            ));
        }
        write_rules(&file, TEMPLATE)?;
        ui::say(&format!("wrote `{shown}`"));
        ui::say("hint: next, `secretctl user add NAME --key ~/.ssh/id_ed25519.pub`");
        Ok(Done::Clean)
    }
}

/// The rules of the folders above, which are in force here.
fn rules_above(context: &Context) -> Vec<PathBuf> {
    let mut found = discover(&context.here, &context.here);
    found.retain(|file| file.parent() != Some(&context.here));
    found
}

const TEMPLATE: &str = "\
# Who may read which secret. `secretctl status` compares the files with these rules,
# `secretctl rekey` makes them agree.

users: {}
hosts: {}
groups: {}

# Readers of every secret, such as the people who administrate the fleet.
defaultEncryptKeys: []

# The first rule whose path matches a file holds. `*` stays inside a folder, `**` does not.
# secrets:
#   - path: secrets/web/**
#     readers: [web1]
secrets: []
";
