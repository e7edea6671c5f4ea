//! Called as `sops`: the command line of sops 3.13.
//!
//! Both grammars, its exit codes and its variables of the environment. Different from sops: an
//! option that would be dropped without a word counts or is refused ([`grammar`]), `--version`
//! asks no server, and `publish`, `keyservice`, `--keyservice`, `--background` and the audit log
//! are not offered, which is said.

mod code;
mod decrypt;
mod desk;
mod edit;
mod encrypt;
mod exec;
mod grammar;
mod groups;
mod help;
mod invocation;
mod options;
mod recipe;
mod refusals;
mod resolve;
mod rotate;
mod set;
mod status;
mod table;
mod update_keys;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

pub(crate) use code::Code;
use grammar::Read;
use invocation::Invocation;
use resolve::Surroundings;
use table::Command;

use crate::cli::context::variable;
use crate::cli::ui;

/// What ends a run before its time.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The exit code.
    pub(crate) code: Code,
    /// For stderr, as it is.
    pub(crate) text: String,
    /// The command whose usage was wrong.
    usage: Option<&'static Command>,
}

/// What the arguments ask for, and what to warn of.
#[derive(Debug)]
struct Call {
    invocation: Invocation,
    notes: Vec<String>,
}

/// How a run ends.
type Done = Result<ExitCode, Refusal>;

/// Runs with the arguments after the program name.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let here = std::env::current_dir().unwrap_or_default();
    let around = Surroundings { variable: &variable, exists: &Path::exists, here: &here };
    let done = parse(arguments, &around).and_then(|call| {
        for note in &call.notes {
            ui::say(&format!("warning: {note}"));
        }
        run(call.invocation)
    });
    match done {
        Ok(code) => code,
        Err(refusal) => refuse(&refusal),
    }
}

/// Makes sense of arguments, program name left out.
fn parse(arguments: &[OsString], around: &Surroundings<'_>) -> Result<Call, Refusal> {
    let mut words = match grammar::read(arguments)? {
        Read::Words(words) => words,
        Read::Help(topic) => return Ok(Invocation::Help(topic).into()),
        Read::Candidates(words) => return Ok(Invocation::Candidates(words).into()),
        Read::Version => return Ok(Invocation::Version.into()),
    };
    let mut notes = std::mem::take(&mut words.notes);
    let invocation = resolve::resolve(&words, around, &mut notes)?;
    Ok(Call { invocation, notes })
}

impl From<Invocation> for Call {
    fn from(invocation: Invocation) -> Self {
        Self { invocation, notes: Vec::new() }
    }
}

/// Carries out an invocation: what needs no document here, the rest by its command.
fn run(invocation: Invocation) -> Done {
    match invocation {
        Invocation::Version => print(&help::version()),
        Invocation::Help(topic) => print(&help::help(topic)),
        Invocation::Completion(shell) => print(help::completion(shell)),
        Invocation::Candidates(words) => {
            print(&words.into_iter().map(|word| word + "\n").collect::<String>())
        }
        Invocation::Edit(edit) => edit::run(&edit),
        Invocation::Encrypt(encrypt) => encrypt::run(&encrypt),
        Invocation::Decrypt(decrypt) => decrypt::run(&decrypt),
        Invocation::Rotate(rotate) => rotate::run(&rotate),
        Invocation::Set(set) => set::set(set),
        Invocation::Unset(unset) => set::unset(&unset),
        Invocation::UpdateKeys(update) => update_keys::run(&update),
        Invocation::ExecEnv(exec) => exec::env(&exec),
        Invocation::ExecFile(exec) => exec::file(&exec),
        Invocation::FileStatus(status) => status::run(&status),
        Invocation::GroupsAdd(add) => groups::add(&add),
        Invocation::GroupsDelete(delete) => groups::delete(&delete),
    }
}

/// Prints data.
fn print(text: &str) -> Done {
    ui::print(text).map(|()| ExitCode::SUCCESS).map_err(|error| Refusal {
        code: Code::Output,
        text: format!("cannot write to standard output: {error}"),
        usage: None,
    })
}

fn refuse(refusal: &Refusal) -> ExitCode {
    match refusal.usage {
        Some(command) => {
            ui::say(&format!("Incorrect Usage: {}\n\n{}", refusal.text, help::about(command)));
        }
        None => ui::say(&refusal.text),
    }
    refusal.code.into()
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
