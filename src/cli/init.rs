//! `secretctl init`

use clap::Args;

use super::context::{Context, write_rules};
use super::explain::Failure;
use super::{Done, Outcome, ui};

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
        write_rules(&file, TEMPLATE)?;
        ui::say(&format!("wrote `{shown}`"));
        ui::say("hint: next, `secretctl user add NAME --key ~/.ssh/id_ed25519.pub`");
        Ok(Done::Clean)
    }
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
