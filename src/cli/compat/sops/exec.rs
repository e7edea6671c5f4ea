//! `sops exec-env` and `sops exec-file`

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use super::desk::Desk;
use super::invocation::{ExecEnv, ExecFile};
use super::refusals::{self, Doing};
use super::resolve::refusal;
use super::{Code, Done, Refusal};
use crate::cli::exec::{failure, filled};
use crate::plaintext::Plaintext;
use crate::process::{Account, ExecRequest, Kind, SecretFile};
use crate::work::Problem;

pub(super) fn env(exec: &ExecEnv) -> Done {
    let ExecEnv { settings, subject, opening, .. } = exec;
    let desk = Desk::new(settings, Some(opening))?;
    let user = account(exec.user.as_deref())?;
    let mut keys = desk.context.keys();
    let opened = desk.open(subject, opening, &mut keys)?.opened;
    drop(keys);
    let secrets = opened.into_texts().map_err(|error| {
        refusal(Code::Generic, format!("cannot use complex value in environment: {error}"))
    })?;
    if let Some((name, _)) = secrets.iter().find(|(name, _)| name.contains('=')) {
        let text = format!("cannot use keys with '=' in environment: {name}");
        return Err(refusal(Code::Generic, text));
    }
    let run = Run { desk: &desk, secrets: &secrets, pristine: exec.pristine, user: user.as_ref() };
    run.shell(&exec.command, exec.same_process)
}

pub(super) fn file(exec: &ExecFile) -> Done {
    let ExecFile { settings, subject, opening, .. } = exec;
    let desk = Desk::new(settings, Some(opening))?;
    let user = account(exec.user.as_deref())?;
    let mut keys = desk.context.keys();
    let opened = desk.open(subject, opening, &mut keys)?.opened;
    drop(keys);
    let content = opened
        .document(&desk.writer(subject)?, subject.output)
        .map_err(|error| refusals::of(&Problem::Sops(error), Doing::Opening, &subject.name, &[]))?;
    let kind = if exec.fifo { Kind::Pipe } else { Kind::Named };
    let folders = &desk.context.folders;
    let made = SecretFile::create(kind, folders, &exec.file_name, content, user.as_ref());
    let made = made.map_err(|error| refusal(Code::Generic, error.to_string()))?;
    let command = filled(&exec.command, &made.path());
    let run = Run { desk: &desk, secrets: &[], pristine: false, user: user.as_ref() };
    run.shell(&command, false)
}

/// A command that is about to run.
struct Run<'a> {
    desk: &'a Desk,
    secrets: &'a [(String, Plaintext)],
    pristine: bool,
    user: Option<&'a Account>,
}

impl Run<'_> {
    fn shell(&self, command: &OsStr, same_process: bool) -> Done {
        let arguments = [OsString::from("-c"), command.to_owned()];
        let &Self { secrets, pristine, user, .. } = self;
        let program = OsStr::new("/bin/sh");
        let arguments = &arguments;
        let (files, inherits_keys) = (&[], true);
        let request =
            ExecRequest { program, arguments, secrets, files, pristine, inherits_keys, user };
        if same_process {
            return Err(failure(&request.replace()).into());
        }
        let code = request.run(&self.desk.context.interrupts);
        code.map(ExitCode::from).map_err(|error| failure(&error).into())
    }
}

fn account(name: Option<&str>) -> Result<Option<Account>, Refusal> {
    let found = name.map(Account::find).transpose();
    found.map_err(|error| refusal(Code::Generic, error.to_string()))
}
