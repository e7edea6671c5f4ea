//! `secretctl completions`

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
        ui::print(&String::from_utf8_lossy(&text)).map_err(|e| ui::stdout_failure(&e))?;
        Ok(Done::Clean)
    }
}
