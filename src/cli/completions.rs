//! `secretctl completions`

use std::fmt::Write;

use clap::Args;
use clap_complete::{Shell, generate};

use super::{Done, Outcome, command, ui};

/// Print the completions for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Outcome {
        let mut text = Vec::new();
        generate(self.shell, &mut command(), "secretctl", &mut text);
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if self.shell == Shell::Fish {
            text.push_str(&values_for_fish(&command()));
        }
        ui::print(&text).map_err(|e| ui::stdout_failure(&e))?;
        Ok(Done::Clean)
    }
}

/// The values of arguments without a dash, which the generator for fish leaves out. All of them are plain
/// words.
fn values_for_fish(command: &clap::Command) -> String {
    let mut text = String::new();
    for subcommand in command.get_subcommands() {
        let values = subcommand.get_positionals().flat_map(clap::Arg::get_possible_values);
        let values: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() {
            let (name, values) = (subcommand.get_name(), values.join(" "));
            let _infallible = writeln!(
                text,
                "complete -c secretctl -n \"__fish_secretctl_using_subcommand {name}\" -f -a '{values}'"
            );
        }
    }
    text
}
