//! `secretctl git install`

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use clap::Args;

use super::super::context::{Context, write};
use super::super::explain::{Failure, replace_error};
use super::super::{Done, Outcome, ui};
use super::{asked, path_of, patterns, top};
use crate::fsx::{Staged, Staging, read_limited};

/// Set git up to show and merge secret files
///
/// Changes `.git/config` alone, unless an option says more: git takes commands from there and never
/// from a repository.
#[derive(Debug, Args)]
pub(super) struct Install {
    /// For all repositories of this user (`~/.gitconfig`)
    #[arg(long, conflicts_with_all = ["attributes", "hook"])]
    global: bool,
    /// Add the lines that say which files these are to `.gitattributes`; otherwise they are printed
    #[arg(long)]
    attributes: bool,
    /// Set a hook that stops a commit of what the rules say is secret and is not encrypted
    #[arg(long)]
    hook: bool,
}

impl Install {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let scope = if self.global { "--global" } else { "--local" };
        let top = if self.global { None } else { Some(top(context)?) };
        if let Some(file) = top.as_ref().map(|top| top.join(".gitattributes"))
            && file.is_symlink()
        {
            let shown = ui::shown(&file);
            return Err(Failure::new(format!("`{shown}` is a link, which git does not follow"))
                .hint("nothing was set; put a file in its place")
                .into());
        }
        for (name, value) in SETTINGS {
            asked(context, &["config", scope, name, value].map(OsStr::new))?;
        }
        let whose = if self.global { "all repositories of this user" } else { "this repository" };
        ui::say(&format!("git is set up to show and merge secret files in {whose}"));
        let Some(top) = top else {
            ui::say(&format!("add to the `.gitattributes` of a repository: {}", line("*.age")));
            return Ok(Done::Clean);
        };
        let file = top.join(".gitattributes");
        let present = read(&file)?;
        let has = |line: &String| present.lines().any(|present| present.trim() == line);
        let mut missing = vec![line("*.age")];
        missing.extend(patterns::of_sops_files(context, &top).iter().map(|pattern| line(pattern)));
        missing.retain(|line| !has(line));
        match (missing.as_slice(), self.attributes) {
            ([], _) => {}
            (lines, true) => append(&file, present, lines)?,
            (lines, false) => {
                let shown = ui::shown(&file);
                ui::say(&format!("add to `{shown}`, or pass `--attributes`:"));
                for line in lines {
                    ui::say(&ui::clean(line));
                }
            }
        }
        if self.hook {
            hook(context)?;
        }
        Ok(Done::Clean)
    }
}

fn line(pattern: &str) -> String {
    format!("{pattern} {ATTRIBUTES}")
}

fn read(file: &Path) -> Result<String, Failure> {
    let shown = ui::shown(file);
    match read_limited(file, 1 << 20) {
        Ok(bytes) => {
            String::from_utf8(bytes).map_err(|_| Failure::new(format!("`{shown}` is not UTF-8")))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::new(format!("cannot read `{shown}`: {error}"))),
    }
}

fn append(file: &Path, mut text: String, lines: &[String]) -> Result<(), Failure> {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    write(file, None, text.as_bytes())?;
    ui::say(&format!("wrote `{}`", ui::shown(file)));
    Ok(())
}

/// Sets the hook where there is none; one of somebody else stays.
fn hook(context: &Context) -> Result<(), Failure> {
    let printed = asked(context, &["rev-parse", "--git-path", "hooks/pre-commit"].map(OsStr::new))?;
    let file = context.here.join(path_of(&printed));
    let shown = ui::shown(&file);
    let present = read(&file)?;
    if present.contains(COMMAND) {
        return Ok(());
    }
    if !present.is_empty() || file.symlink_metadata().is_ok() {
        return Err(Failure::new(format!(
            "there is a hook already, `{shown}`, and it was left alone"
        ))
        .hint(format!("add this line to it: {COMMAND} || exit 1")));
    }
    let staging = Staging { create_parents: true, new_mode: 0o755, ..Staging::default() };
    let text =
        format!("#!/bin/sh\n# Set by `secretctl git install --hook`.\n{COMMAND} || exit 1\n");
    let written = Staged::with(&file, staging).and_then(|mut staged| {
        staged.put(text.as_bytes())?;
        staged.commit()
    });
    written.map_err(|error| replace_error(&error))?;
    ui::say(&format!("wrote `{shown}`"));
    Ok(())
}

/// What `.git/config` gets. The plaintext that `textconv` prints must not be cached: git would
/// keep it in notes of the repository.
const SETTINGS: [(&str, &str); 4] = [
    ("diff.secretctl.textconv", "secretctl git textconv --"),
    ("diff.secretctl.cachetextconv", "false"),
    ("merge.secretctl.name", "secret files, by their content"),
    ("merge.secretctl.driver", "secretctl git merge %O %A %B %L -- %P"),
];
const ATTRIBUTES: &str = "-text diff=secretctl merge=secretctl";
const COMMAND: &str = "secretctl git pre-commit";
