//! Called as `sops`: the command line of sops 3.13.
//!
//! Both grammars, its exit codes and its variables of the environment. Different from sops: an
//! option that would be dropped without a word counts or is refused ([`grammar`]), `--version`
//! asks no server, and `publish`, `keyservice`, `--keyservice`, `--background` and the audit log
//! are not offered, which is said.

#[expect(dead_code, reason = "most come from the work on documents")]
mod code;
mod grammar;
mod help;
#[expect(dead_code, reason = "read by who carries out the commands")]
mod invocation;
mod options;
mod resolve;
mod table;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

pub(crate) use code::Code;
use grammar::Read;
use invocation::{
    Decrypt, Edit, Encrypt, ExecEnv, ExecFile, FileStatus, GroupsAdd, GroupsDelete, Invocation,
    Rotate, Set, Unset, UpdateKeys,
};
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

/// Carries out an invocation: what needs no document here, the rest by [`HANDS`].
fn run(invocation: Invocation) -> Done {
    match invocation {
        Invocation::Version => print(&help::version()),
        Invocation::Help(topic) => print(&help::help(topic)),
        Invocation::Completion(shell) => print(help::completion(shell)),
        Invocation::Candidates(words) => {
            print(&words.into_iter().map(|word| word + "\n").collect::<String>())
        }
        Invocation::Edit(edit) => hand_over(HANDS.edit, edit),
        Invocation::Encrypt(encrypt) => hand_over(HANDS.encrypt, encrypt),
        Invocation::Decrypt(decrypt) => hand_over(HANDS.decrypt, decrypt),
        Invocation::Rotate(rotate) => hand_over(HANDS.rotate, rotate),
        Invocation::Set(set) => hand_over(HANDS.set, set),
        Invocation::Unset(unset) => hand_over(HANDS.unset, unset),
        Invocation::UpdateKeys(update) => hand_over(HANDS.update_keys, update),
        Invocation::ExecEnv(exec) => hand_over(HANDS.exec_env, exec),
        Invocation::ExecFile(exec) => hand_over(HANDS.exec_file, exec),
        Invocation::FileStatus(status) => hand_over(HANDS.file_status, status),
        Invocation::GroupsAdd(add) => hand_over(HANDS.groups_add, add),
        Invocation::GroupsDelete(delete) => hand_over(HANDS.groups_delete, delete),
    }
}

fn hand_over<T>(hand: Option<fn(T) -> Done>, what: T) -> Done {
    match hand {
        Some(hand) => hand(what),
        None => Err(resolve::not_offered("this command")),
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

/// Who carries out the commands on documents.
struct Hands {
    edit: Option<fn(Edit) -> Done>,
    encrypt: Option<fn(Encrypt) -> Done>,
    decrypt: Option<fn(Decrypt) -> Done>,
    rotate: Option<fn(Rotate) -> Done>,
    set: Option<fn(Set) -> Done>,
    unset: Option<fn(Unset) -> Done>,
    update_keys: Option<fn(UpdateKeys) -> Done>,
    exec_env: Option<fn(ExecEnv) -> Done>,
    exec_file: Option<fn(ExecFile) -> Done>,
    file_status: Option<fn(FileStatus) -> Done>,
    groups_add: Option<fn(GroupsAdd) -> Done>,
    groups_delete: Option<fn(GroupsDelete) -> Done>,
}

const HANDS: Hands = Hands {
    edit: None,
    encrypt: None,
    decrypt: None,
    rotate: None,
    set: None,
    unset: None,
    update_keys: None,
    exec_env: None,
    exec_file: None,
    file_status: None,
    groups_add: None,
    groups_delete: None,
};

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
