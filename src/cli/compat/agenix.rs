//! Called as `agenix`: the command line of agenix 0.15.
//!
//! Names are relative to the working directory, files are armored where the rule says so, `-i`
//! takes the place of the default keys, data on standard input is the new content. Different from
//! agenix: names may be spelled in any way and hold blanks, `RULES` is a path and never an
//! expression, `-d` of a file that is not there is an error, and nothing is lost where agenix
//! loses it (an empty standard input, an editor that fails, a rekey that stops midway).

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Desk, Stop, default_identities, empty_input, explicit, finish, piped};
use crate::cli::context::variable;
use crate::cli::explain::Failure;
use crate::cli::ui;
use crate::process::Editor;
use crate::rules;
use crate::work::Job;
use crate::work::edit::Ending;

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    file: Option<OsString>,
    identities: Vec<PathBuf>,
    rekey: bool,
    decrypt: bool,
    verbose: bool,
}

/// Why there is nothing to do.
#[derive(Debug, PartialEq, Eq)]
enum Instead {
    /// Help was asked for.
    Help,
    /// The arguments make no sense.
    Usage,
    /// An option lacks its value.
    Lacks(&'static str),
}

/// Runs with the arguments after the program name.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(instead) => {
            let (text, code) = match instead {
                Instead::Help => (help(), ExitCode::SUCCESS),
                Instead::Usage => (help(), ExitCode::FAILURE),
                Instead::Lacks(what) => (format!("no {what} specified\n"), ExitCode::FAILURE),
            };
            return if ui::print(&text).is_ok() { code } else { ExitCode::FAILURE };
        }
    };
    finish(run(&options))
}

fn parse(arguments: &[OsString]) -> Result<Options, Instead> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    if rest.len() == 0 {
        return Err(Instead::Usage);
    }
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("-h" | "--help") => return Err(Instead::Help),
            Some("-e" | "--edit") => {
                options.file = Some(rest.next().ok_or(Instead::Lacks("FILE"))?.clone());
            }
            Some("-d" | "--decrypt") => {
                options.file = Some(rest.next().ok_or(Instead::Lacks("FILE"))?.clone());
                options.decrypt = true;
            }
            Some("-i" | "--identity") => {
                let path = rest.next().ok_or(Instead::Lacks("PRIVATE_KEY"))?;
                options.identities.push(path.into());
            }
            Some("-r" | "--rekey") => options.rekey = true,
            Some("-v" | "--verbose") => options.verbose = true,
            Some(_) | None => return Err(Instead::Usage),
        }
    }
    if options.file.is_none() && !options.rekey {
        return Err(Instead::Lacks("FILE"));
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), Stop> {
    let identities = if options.identities.is_empty() {
        default_identities()
    } else {
        explicit(&options.identities)
    };
    let context = Desk::context(&identities)?;
    let here = context.here.clone();
    let named = variable("RULES").unwrap_or_else(|| DEFAULT_RULES.into());
    let rules = rules_path(&named, &here);
    if !rules.exists() {
        let shown = ui::shown(&rules);
        return Err(Failure::new(format!("there are no rules: `{shown}` does not exist"))
            .hint("run this in the folder of `secrets.nix`, or set RULES to its path")
            .into());
    }
    if options.verbose {
        ui::say(&format!("+ rules: {}", rules.display()));
        for identity in &identities {
            ui::say(&format!("+ identity: {}", identity.name()));
        }
    }
    let desk = Desk {
        context,
        rules,
        base: here,
        identities,
        empty_identities: false,
        no_match: "no identity matched any of the recipients",
    };
    match &options.file {
        _ if options.rekey => rekey(&desk),
        Some(file) if options.decrypt => decrypt(&desk, file, &named),
        Some(file) => edit(&desk, file, &named),
        None => Ok(()),
    }
}

/// `RULES` as the path that Nix would make of it.
fn rules_path(named: &OsStr, here: &Path) -> PathBuf {
    let path = Path::new(named);
    let home = path.strip_prefix("~").ok().zip(variable("HOME"));
    let path = home.map_or_else(|| here.join(path), |(rest, home)| Path::new(&home).join(rest));
    let path = rules::clean(&path);
    if path.is_dir() { path.join("default.nix") } else { path }
}

/// The job of a file, as agenix would write it.
fn job(desk: &Desk, file: &OsStr, rules: &OsStr) -> Result<Job, Stop> {
    let found = desk.job(&desk.context.absolute(Path::new(file)))?;
    let job = found.ok_or_else(|| {
        let [file, rules] = [file, rules].map(OsStr::to_string_lossy);
        Stop(format!("There is no rule for {file} in {rules}."))
    })?;
    Ok(as_ruled(job))
}

/// The rule alone says whether a file is armored, whatever the file is now.
fn as_ruled(job: Job) -> Job {
    Job { armor: Some(job.armor == Some(true)), ..job }
}

fn check_identities(desk: &Desk, file: &str) -> Result<(), Stop> {
    if !desk.identities.is_empty() {
        return desk.check_identities();
    }
    let home = variable("HOME").unwrap_or_default();
    let home = home.to_string_lossy();
    Err(Stop(format!(
        "No identity found to decrypt {file}. Try adding an SSH key at {home}/.ssh/id_rsa or \
         {home}/.ssh/id_ed25519 or using the --identity flag to specify a file."
    )))
}

fn decrypt(desk: &Desk, file: &OsStr, rules: &OsStr) -> Result<(), Stop> {
    let job = job(desk, file, rules)?;
    if job.path.exists() {
        check_identities(desk, &file.to_string_lossy())?;
    }
    desk.print(job.path)
}

fn edit(desk: &Desk, file: &OsStr, rules: &OsStr) -> Result<(), Stop> {
    let shown = file.to_string_lossy();
    let editor_set = variable("EDITOR");
    // agenix's own sign for "encrypt it anew as it is".
    if editor_set.as_deref() == Some(OsStr::new(":")) {
        let _lock = desk.lock(&format!("agenix -e {shown}"))?;
        return rekey_some(desk, vec![job(desk, file, rules)?]);
    }
    let input = piped()?;
    if input.is_none() && editor_set.is_none() && !io::stdin().is_terminal() {
        return Err(empty_input(file));
    }
    let _lock = desk.lock(&format!("agenix -e {shown}"))?;
    let job = job(desk, file, rules)?;
    if job.path.exists() {
        check_identities(desk, &shown)?;
    }
    let old = desk.open(&job)?;
    let ending = match input {
        Some(content) if old.as_ref().is_some_and(|old| old.content.same_as(&content)) => {
            Ending::Unchanged
        }
        Some(content) => desk.replace(&job, &content).map(|()| Ending::Written)?,
        None => desk.with_editor(&job, old.as_ref(), &editor()?)?,
    };
    match ending {
        Ending::Written => {}
        Ending::Unchanged => {
            ui::say(&format!("{shown} wasn't changed, skipping re-encryption."));
        }
        Ending::NotCreated => ui::say(&format!("{shown} wasn't created.")),
    }
    Ok(())
}

/// `EDITOR` alone counts; without one, a usual editor.
fn editor() -> Result<Editor, Failure> {
    let only = |name: &str| match name {
        "SECRETCTL_EDITOR" | "VISUAL" => None,
        name => variable(name),
    };
    Editor::from_environment(&only).map_err(|e| Failure::new(e.to_string()).hint(e.remedy()))
}

fn rekey(desk: &Desk) -> Result<(), Stop> {
    let _lock = desk.lock("agenix -r")?;
    rekey_some(desk, desk.jobs()?)
}

/// Encrypts anew what exists, and says what does not.
fn rekey_some(desk: &Desk, jobs: Vec<Job>) -> Result<(), Stop> {
    let mut existing = Vec::new();
    for job in jobs {
        let name = job.path.strip_prefix(&desk.base).unwrap_or(&job.path).to_owned();
        let name = name.to_string_lossy();
        ui::say(&format!("rekeying {name}..."));
        if job.path.exists() {
            if existing.is_empty() {
                check_identities(desk, &name)?;
            }
            existing.push(as_ruled(job));
        } else {
            ui::say(&format!("{name} wasn't created."));
        }
    }
    desk.rekey(existing)
}

fn help() -> String {
    let ours = env!("CARGO_PKG_VERSION");
    format!(
        "agenix - edit and rekey age secret files

agenix -e FILE [-i PRIVATE_KEY]
agenix -r [-i PRIVATE_KEY]
agenix -d FILE [-i PRIVATE_KEY]

options:
-h, --help                show this text
-e, --edit FILE           edit FILE with $EDITOR
-r, --rekey               encrypt every secret anew for the recipients in the rules
-d, --decrypt FILE        print FILE decrypted
-i, --identity KEY        private key to decrypt with, instead of ~/.ssh/id_rsa and
                          ~/.ssh/id_ed25519; may be given several times
-v, --verbose             say which rules and keys are used

Data on standard input is the new content of FILE; where standard input is no
terminal and empty, $EDITOR is run. RULES names the Nix file with the recipients
of each secret, {DEFAULT_RULES} if it is not set.

agenix version: {STANDS_FOR}
this is secretctl {ours}, called by the name of agenix
"
    )
}

const DEFAULT_RULES: &str = "./secrets.nix";
/// The version of agenix whose command line this is.
const STANDS_FOR: &str = "0.15.0";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, Instead> {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_those_of_agenix() {
        assert_eq!(parsed(&[]), Err(Instead::Usage));
        assert_eq!(parsed(&["-e", "x", "y"]), Err(Instead::Usage));
        assert_eq!(parsed(&["--", "x"]), Err(Instead::Usage));
        assert_eq!(parsed(&["x", "-h"]), Err(Instead::Usage));
        assert_eq!(parsed(&["-e", "x", "--help"]), Err(Instead::Help));
        assert_eq!(parsed(&["-e"]), Err(Instead::Lacks("FILE")));
        assert_eq!(parsed(&["-d", "x", "-i"]), Err(Instead::Lacks("PRIVATE_KEY")));
        let options = parsed(&["-e", "-x", "-i", "a", "--identity", "b", "-v"]).unwrap();
        assert_eq!(options.file, Some("-x".into()));
        assert_eq!(options.identities, [Path::new("a"), Path::new("b")]);
        assert!(!options.rekey && options.verbose && parsed(&["-r"]).unwrap().rekey);
    }

    #[test]
    fn the_rules_are_found_as_nix_finds_them() {
        let here = Path::new("/here");
        for name in ["secrets.nix", "./secrets.nix", "/here/secrets.nix", "../here/secrets.nix"] {
            assert_eq!(rules_path(OsStr::new(name), here), here.join("secrets.nix"));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = rules_path(folder.path().as_os_str(), here);
        assert_eq!(path, folder.path().join("default.nix"));
    }
}
