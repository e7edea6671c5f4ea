//! Called as `ragenix`: the command line of ragenix.
//!
//! Names are relative to the folder of the rules file, files are always armored, `-i` takes
//! several files and adds to the default keys, standard input is the new content only with the
//! editor `-`. Different from ragenix: functions and broken attributes beside the rules do not
//! matter, a rekey replaces all files or none, an empty standard input is refused, a new file
//! is not made where the editor leaves nothing, and there is `-d`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Parser};
use serde_json::Value;

use super::{Desk, Stop, default_identities, empty_input, explicit, finish, piped, schema};
use crate::cli::context::variable;
use crate::cli::explain::Failure;
use crate::cli::{ui, usage};
use crate::key::{Recipient, RecipientError};
use crate::process::Editor;
use crate::rules::{self, outline::outline};
use crate::work::Job;
use crate::work::edit::Ending;

/// Edit and rekey age secret files; this is secretctl, called by the name of ragenix
#[derive(Debug, Parser)]
#[command(name = "ragenix", version = VERSION, max_term_width = 100)]
#[command(group = ArgGroup::new("action").args(["edit", "rekey", "schema", "decrypt"]).required(true))]
struct Options {
    /// Edit FILE with $EDITOR
    #[arg(short, long, value_name = "FILE", requires = "editor")]
    edit: Option<OsString>,
    /// Encrypt every secret anew for the recipients in the rules
    #[arg(short, long)]
    rekey: bool,
    /// Print FILE decrypted
    #[arg(short, long, value_name = "FILE")]
    decrypt: Option<OsString>,
    /// Private keys to decrypt with, beside the default ones
    #[arg(short, long, value_name = "PRIVATE_KEY", num_args = 1..)]
    identity: Vec<PathBuf>,
    /// Say which rules are used
    #[arg(short, long)]
    verbose: bool,
    /// Print the JSON schema of the rules
    #[arg(short, long)]
    schema: bool,
    /// Editor for FILE; `-` takes its new content from standard input
    #[arg(long, env = "EDITOR")]
    editor: Option<OsString>,
    /// Nix file with the recipients of each secret
    #[arg(long, env = "RULES", default_value = "./secrets.nix")]
    rules: PathBuf,
}

/// Runs with all arguments, the program name first.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    match Options::try_parse_from(arguments) {
        Ok(options) => finish(run(&options)),
        Err(error) => usage(&error),
    }
}

fn run(options: &Options) -> Result<(), Stop> {
    if options.schema {
        return print(schema::TEXT);
    }
    let mut identities = explicit(&options.identity);
    identities.extend(default_identities());
    let context = Desk::context(&identities)?;
    let named = if options.rules.as_os_str().is_empty() {
        Path::new("./secrets.nix")
    } else {
        &options.rules
    };
    let rules = rules::clean(&context.here.join(named));
    let outline = checked(&rules, named)?;
    let base = std::fs::canonicalize(rules.parent().unwrap_or(Path::new("/")))
        .map_err(|e| Failure::new(format!("cannot use the folder of the rules: {e}")))?;
    if options.verbose {
        print(&verbose(&base, &outline))?;
    }
    let desk = Desk {
        context,
        rules,
        base,
        identities,
        empty_identities: true,
        no_match: "No matching keys found",
    };
    if let Some(file) = &options.edit {
        let editor = options.editor.clone().unwrap_or_default();
        edit(&desk, file, &editor, &outline)
    } else if let Some(file) = &options.decrypt {
        let job = job(&desk, file, &outline)?;
        check_identities(&desk)?;
        desk.print(job.path)
    } else {
        rekey(&desk, &outline)
    }
}

/// The outline of the rules, which fits the schema.
fn checked(rules: &Path, named: &Path) -> Result<Value, Stop> {
    let named = named.to_string_lossy();
    let wrong = |what: &str| Stop(format!("error: secrets rules are invalid: '{named}'\n{what}"));
    if !rules.exists() {
        return Err(wrong(&format!("{named} does not exist!")));
    }
    let outline = outline(rules, &[])
        .map_err(|error| wrong(&format!("Failed to read {named} as JSON\n{error}")))?;
    let violations = schema::violations(&outline);
    if violations.is_empty() { Ok(outline) } else { Err(wrong(&violations.join("\n"))) }
}

fn verbose(base: &Path, outline: &Value) -> String {
    let mut text = String::new();
    for (name, rule) in outline.as_object().into_iter().flatten() {
        let _infallible = writeln!(text, "{}", ui::clean(&base.join(name).display().to_string()));
        for key in keys(rule) {
            let _infallible = writeln!(text, "    {}", ui::clean(key));
        }
    }
    text
}

fn keys(rule: &Value) -> impl Iterator<Item = &str> {
    let keys = rule.get("publicKeys").and_then(Value::as_array);
    keys.into_iter().flatten().filter_map(Value::as_str)
}

/// The job of a file, always armored. An argument is relative to the working directory.
fn job(desk: &Desk, file: &OsStr, outline: &Value) -> Result<Job, Stop> {
    let mut path = desk.context.absolute(Path::new(file));
    // The base has no links in it; a path to it may.
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        && let Ok(folder) = std::fs::canonicalize(folder)
    {
        path = folder.join(name);
    }
    check_recipients(desk, outline, |named| named == path)?;
    let found = desk.job(&path)?;
    let none = || Failure::new(format!("No rule for the given file {}", file.to_string_lossy()));
    Ok(armored(found.ok_or_else(none)?))
}

fn armored(job: Job) -> Job {
    Job { armor: Some(true), ..job }
}

/// Names the first key that is none, of the rules for these files.
fn check_recipients(
    desk: &Desk,
    outline: &Value,
    wanted: impl Fn(&Path) -> bool,
) -> Result<(), Stop> {
    for (name, rule) in outline.as_object().into_iter().flatten() {
        if !wanted(&rules::clean(&desk.base.join(name))) {
            continue;
        }
        for key in keys(rule) {
            match Recipient::parse(key) {
                // It is not repeated; the rules say where it stands.
                Ok(_) | Err(RecipientError::PrivateKey) => {}
                Err(error) => {
                    return Err(Stop(format!(
                        "error: Invalid recipient: {key}\n  {error}\nhint: {SUGGESTION}"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn check_identities(desk: &Desk) -> Result<(), Stop> {
    if desk.identities.is_empty() {
        return Err(Failure::new("No usable identity or identities")
            .hint("name a private key with `--identity FILE`, or make `~/.ssh/id_ed25519`")
            .into());
    }
    desk.check_identities()
}

fn edit(desk: &Desk, file: &OsStr, editor: &OsStr, outline: &Value) -> Result<(), Stop> {
    let command = format!("ragenix -e {}", file.to_string_lossy());
    if is_stdin(editor) {
        let content = match piped()? {
            Some(content) => content,
            None if io::stdin().is_terminal() => crate::cli::edit::stdin()?,
            None => return Err(empty_input(file)),
        };
        if content.is_empty() {
            return Err(empty_input(file));
        }
        let _lock = desk.lock(&command)?;
        return desk.replace(&job(desk, file, outline)?, &content);
    }
    let path = variable("PATH").unwrap_or_default();
    let editor = Editor::parse(editor, "EDITOR", &path)
        .map_err(|e| Failure::new(e.to_string()).hint(e.remedy()))?;
    let _lock = desk.lock(&command)?;
    let job = job(desk, file, outline)?;
    let shown = job.path.display().to_string();
    if job.path.exists() {
        check_identities(desk)?;
    }
    let old = desk.open(&job)?;
    match desk.with_editor(&job, old.as_ref(), &editor)? {
        Ending::Written => {}
        Ending::Unchanged => {
            print(&format!("{shown} wasn't changed, skipping re-encryption.\n"))?;
        }
        Ending::NotCreated => ui::say(&format!("{shown} wasn't created, since it is empty.")),
    }
    Ok(())
}

fn is_stdin(editor: &OsStr) -> bool {
    editor.to_str().is_some_and(|editor| editor.trim() == "-")
}

fn rekey(desk: &Desk, outline: &Value) -> Result<(), Stop> {
    check_identities(desk)?;
    check_recipients(desk, outline, Path::exists)?;
    let _lock = desk.lock("ragenix -r")?;
    let (existing, absent): (Vec<Job>, Vec<Job>) =
        desk.jobs()?.into_iter().map(armored).partition(|job| job.path.exists());
    let mut lines: Vec<(&Path, &str)> = Vec::new();
    lines.extend(existing.iter().map(|job| (job.path.as_path(), "Rekeying ")));
    lines.extend(absent.iter().map(|job| (job.path.as_path(), "Does not exist, ignored: ")));
    lines.sort_unstable();
    let mut text = String::new();
    for (path, what) in lines {
        let _infallible = writeln!(text, "{what}{}", ui::clean(&path.display().to_string()));
    }
    print(&text)?;
    desk.rekey(existing)
}

fn print(text: &str) -> Result<(), Stop> {
    Ok(ui::print(text).map_err(|error| ui::stdout_failure(&error))?)
}

/// The version of ragenix whose command line this is, and ours.
const VERSION: &str = concat!("0.1.0 (secretctl ", env!("CARGO_PKG_VERSION"), ")");

/// What ragenix says to a key that it cannot use.
const SUGGESTION: &str = "Make sure you use an ssh-ed25519, ssh-rsa or an X25519 public key, \
alternatively install an age plugin which supports your key";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn identities_are_greedy() {
        let words = ["ragenix", "-i", "a", "b", "-r", "--identity", "c"];
        let options = Options::try_parse_from(words).unwrap();
        assert!(options.rekey);
        assert_eq!(options.identity, ["a", "b", "c"].map(PathBuf::from));
    }

    #[test]
    fn a_hyphen_alone_is_standard_input() {
        assert!(is_stdin(OsStr::new(" - ")) && !is_stdin(OsStr::new("- x")));
    }
}
