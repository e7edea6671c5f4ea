//! As `sops-install-secrets`, the program of sops-nix: its manifest, flags, environment and exit codes.
//! What it installs is the same; what loses secrets there does not happen here, and messages are ours.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::activate::accounts::{Accounts, System};
use crate::activate::check::check;
use crate::activate::manifest::sops_nix::{self, Converted, RENDERED, STORE, Surroundings};
use crate::activate::manifest::types::AbsolutePath;
use crate::activate::manifest::{Manifest, Owner, Plugin, read};
use crate::activate::values::When;
use crate::activate::{Name, Published};
use crate::cli::context::variable;
use crate::cli::explain::{Failure, activate as explain};
use crate::cli::target::{Log, Run, runtime_folder};
use crate::cli::ui;
use crate::process::find_program;

/// Runs with the arguments behind the program name.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            ui::say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            ui::say(&format!("{PROGRAM}: {what}\n{USAGE}"));
            return ExitCode::FAILURE;
        }
    };
    let log = Log::text();
    match run(&options, &log) {
        Ok(code) => code,
        Err(failures) => {
            for failure in &failures {
                log.error(failure);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, log: &Log) -> Result<ExitCode, Vec<Failure>> {
    let file = &options.manifest;
    let path = variable("PATH").unwrap_or_default();
    // Where it is built, there is no session.
    let stand_in = PathBuf::from("/run/user/0");
    let runtime = runtime_folder().or((options.check != Check::Off).then_some(stand_in));
    let gpg = variable("SOPS_GPG_EXEC").map(PathBuf::from);
    let gpg = gpg.or_else(|| find_program(OsStr::new("gpg"), &path));
    let around = Surroundings { runtime: runtime.as_deref(), gpg };
    let read = read(file).map_err(|error| explain::manifest(&error))?;
    let converted =
        sops_nix::parse(file, &read, &around).map_err(|error| explain::manifest(&error))?;
    let Converted { mut manifest, keys_in_store } = converted;
    for key in &keys_in_store {
        let what = format!(
            "the private key `{}` lies in the Nix store, where everybody can read it",
            ui::shown(key)
        );
        log.warn(&Failure::new(what).hint("take it for known, and name a key that lies elsewhere"));
    }
    match options.check {
        Check::Manifest => return Ok(ExitCode::SUCCESS),
        Check::SopsFile => return Ok(run_check(&manifest, log)),
        Check::Off => {}
    }
    manifest.plugins = plugins(&path);
    settle_group(&mut manifest, options.ignore_passwd);
    let dry = variable("NIXOS_ACTION").is_some_and(|action| action == "dry-activate");
    // The first time there is nothing that could have changed.
    let before = manifest.stores.get(STORE).is_some_and(|store| store.link.as_path().exists());
    let mut run = Run {
        manifest: &manifest,
        when: When::Normal,
        dry,
        root_owns_all: options.ignore_passwd || dry,
    };
    loop {
        let carried = run.carry_out(log)?;
        for store in carried.stores.iter().filter(|_| before) {
            if manifest.logging.changes {
                let lines = changes(&store.published);
                ui::print(&lines).map_err(|error| ui::stdout_failure(&error))?;
            }
            if dry {
                would("restart", &store.published.restart);
                would("reload", &store.published.reload);
            }
        }
        // What this machine opens is in place, whatever services do now.
        if carried.waits_for_network() {
            run.when = When::Network;
        } else {
            return Ok(if carried.is_unfinished() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
    }
}

fn run_check(manifest: &Manifest, log: &Log) -> ExitCode {
    let problems = check(manifest).problems;
    for problem in &problems {
        log.error(&explain::check_problem(problem));
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Its module makes `PATH` of the folders of the plugins that the configuration names.
fn plugins(path: &OsStr) -> Vec<Plugin> {
    let mut seen = BTreeSet::new();
    let mut plugins = Vec::new();
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let Some(name) = file.to_str().and_then(|file| file.strip_prefix("age-plugin-")) else {
                continue;
            };
            let program = AbsolutePath::new(entry.path());
            if let (Ok(program), true) = (program, seen.insert(name.to_owned())) {
                plugins.push(Plugin { name: name.to_owned(), program });
            }
        }
    }
    plugins
}

/// The folders are of the group `keys`, else of `nogroup`.
fn settle_group(manifest: &mut Manifest, ignore_passwd: bool) {
    let system = System::default();
    let known = |name: &&str| system.group(name).is_some();
    let group = ["keys", "nogroup"].into_iter().filter(|_| !ignore_passwd).find(known);
    let group = group.map_or(Owner::Number(0), |name| Owner::Name(name.to_owned()));
    if let Some(store) = manifest.stores.get_mut(STORE) {
        store.group = group;
    }
}

/// The lines that its users and their tests know.
fn changes(published: &Published) -> String {
    let mut text = String::new();
    for (noun, rendered) in [("secret", false), ("rendered secret", true)] {
        let kinds = [
            (&published.added, "adding", "would add"),
            (&published.changed, "modifying", "would modify"),
            (&published.removed, "removing", "would remove"),
        ];
        for (names, now, would) in kinds {
            let mut names: Vec<&str> = names.iter().filter_map(|name| of(name, rendered)).collect();
            names.sort_unstable();
            let verb = if published.dry { would } else { now };
            let plural = if names.len() == 1 { "" } else { "s" };
            if !names.is_empty() {
                let names = names.join(", ");
                let _infallible = writeln!(text, "{verb} {noun}{plural}: {names}");
            }
        }
    }
    text
}

/// The name without the folder of templates, where it is one or is not, as is wanted.
fn of(name: &Name, rendered: bool) -> Option<&str> {
    let inside = name.as_str().strip_prefix(RENDERED).and_then(|rest| rest.strip_prefix('/'));
    if rendered { inside } else { Some(name.as_str()).filter(|_| inside.is_none()) }
}

fn would(verb: &str, units: &BTreeSet<String>) {
    for unit in units {
        ui::say(&format!("would {verb} {unit}"));
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    check: Check,
    ignore_passwd: bool,
    manifest: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Manifest,
    SopsFile,
    Off,
}

impl Options {
    /// As Go's `flag` reads them: one dash or two, the value behind `=` or in the next argument.
    /// `None` where help is asked for.
    fn parse(arguments: &[OsString]) -> Result<Option<Self>, String> {
        let mut options = (Check::Off, false);
        let mut rest = arguments.iter();
        let mut files: Vec<&OsString> = Vec::new();
        while let Some(argument) = rest.next() {
            let text = argument.to_str().unwrap_or_default();
            if text == "--" {
                files.extend(rest);
                break;
            }
            let flag = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
            let Some(flag) = flag.filter(|flag| !flag.is_empty()) else {
                // The first that is no flag ends them.
                files.push(argument);
                files.extend(rest);
                break;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            match name {
                "h" | "help" => return Ok(None),
                "ignore-passwd" => {
                    options.1 = match value.as_deref() {
                        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
                        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
                        Some(other) => return Err(format!("-ignore-passwd cannot be {other:?}")),
                    };
                }
                "check-mode" => {
                    let next = || rest.next().and_then(|next| next.to_str()).map(str::to_owned);
                    options.0 = match value.or_else(next).as_deref() {
                        Some("manifest") => Check::Manifest,
                        Some("sopsfile") => Check::SopsFile,
                        Some("off") => Check::Off,
                        Some(other) => {
                            return Err(format!(
                                "invalid value provided for -check-mode flag: {other}"
                            ));
                        }
                        None => return Err("flag needs an argument: -check-mode".to_owned()),
                    };
                }
                other => return Err(format!("flag provided but not defined: -{other}")),
            }
        }
        match files.as_slice() {
            [manifest] => {
                let (check, ignore_passwd) = options;
                Ok(Some(Self { check, ignore_passwd, manifest: Path::new(manifest).to_owned() }))
            }
            // The original ends with 0 here, and a unit without a manifest seems to work.
            [] => Err("no manifest was given".to_owned()),
            _ => Err("one manifest alone can be given".to_owned()),
        }
    }
}

const PROGRAM: &str = "sops-install-secrets";
const USAGE: &str = "Usage: sops-install-secrets [OPTION] manifest.json\n  -check-mode string\n        \
                     Look at the configuration without installing it (\"manifest\", \"sopsfile\", \
                     \"off\") (default \"off\")\n  -ignore-passwd\n        Don't look up anything in \
                     /etc/passwd: everything is owned by root:root, or by the user in user mode";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let options = |check, ignore_passwd| {
            Ok(Some(Options { check, ignore_passwd, manifest: PathBuf::from("m") }))
        };
        assert_eq!(parsed(&["m"]), options(Check::Off, false));
        assert_eq!(parsed(&["-check-mode=manifest", "m"]), options(Check::Manifest, false));
        assert_eq!(parsed(&["--check-mode", "sopsfile", "m"]), options(Check::SopsFile, false));
        assert_eq!(parsed(&["-ignore-passwd", "m"]), options(Check::Off, true));
        assert_eq!(parsed(&["-ignore-passwd=false", "--", "m"]), options(Check::Off, false));
        assert_eq!(parsed(&["-h"]), Ok(None));
        assert_eq!(ui::clean(USAGE), USAGE);
        for bad in [
            &["-check-mode=no", "m"][..],
            &["-check-mode"],
            &["-other", "m"],
            &[],
            &["m", "-ignore-passwd"],
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }
}
