//! `secretctl man`

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man as Page;

use super::explain::Failure;
use super::{Done, Outcome, command, ui};

/// Print the manual page, or write the pages of all commands into a folder
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder to write `secretctl.1`, `secretctl-edit.1` and so on into
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Outcome {
        if let Some(directory) = &self.directory {
            return clap_mangen::generate_to(command(), directory).map(|()| Done::Clean).map_err(
                |error| {
                    let shown = ui::shown(directory);
                    Failure::new(format!("cannot write manual pages to `{shown}`: {error}")).into()
                },
            );
        }
        let mut text = Vec::new();
        Page::new(command()).render(&mut text).map_err(|e| ui::stdout_failure(&e))?;
        ui::print(&String::from_utf8_lossy(&text)).map_err(|e| ui::stdout_failure(&e))?;
        Ok(Done::Clean)
    }
}
