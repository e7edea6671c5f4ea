//! `secretctl edit`

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, WriterOption, file_failures, variable};
use super::encrypt::{STDIN, begins_as_age, once_more};
use super::explain::{Failure, quoted};
use super::status::left_over_key;
use super::{Done, Outcome, ui};
use crate::format::keys::Keys;
use crate::format::sops::file::{self, Writer};
use crate::format::sops::store::Store;
use crate::plaintext::Plaintext;
use crate::process::{EditRequest, EditSession, Editor};
use crate::work::edit::{self, EditFailure, Ending};
use crate::work::secret::{Kind, MAX_IN_MEMORY, Opened};
use crate::work::{Job, syntax};

/// Edit a secret file, or make a new one
///
/// Opens the editor on a file in memory that no other process sees. Data on standard input is
/// the new content instead, and the old content is then not read.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// Secret files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Accept empty content from standard input
    #[arg(long)]
    allow_empty: bool,
    /// Where there is no file system in memory, edit on disk
    #[arg(long)]
    insecure_tmp: bool,
    #[command(flatten)]
    writer: WriterOption,
}

impl Edit {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let input = if io::stdin().is_terminal() { None } else { Some(stdin()?) };
        let input = input.filter(|input| !input.is_empty() || self.allow_empty);
        if input.is_none() && !io::stdin().is_terminal() && !editor_is_set() {
            return Err(Failure::new("standard input is empty, and nothing was changed")
                .hint(
                    "the command before the pipe may have failed; set EDITOR to edit without a \
                     terminal, or pass `--allow-empty` to mean it",
                )
                .into());
        }
        if input.is_some() && self.files.len() > 1 {
            return Err(Failure::new("standard input can be the content of one file only").into());
        }
        for file in &self.files {
            let _lock = context.lock_for(file, &format!("edit {}", ui::shown(file)))?;
            let job = context.job_to_change(file)?;
            let ending = match &input {
                Some(content) => replace(context, &job, content, &self.writer.of(&job))?,
                None => self.with_editor(context, &job)?,
            };
            let shown = ui::shown(&job.path);
            match ending {
                Ending::Written if input.as_ref().is_some_and(Plaintext::is_empty) => {
                    ui::say(&format!("`{shown}` is empty now"));
                }
                Ending::Written => {}
                Ending::Unchanged => ui::say(&format!("`{shown}` was not changed")),
                Ending::NotCreated => ui::say(&format!("`{shown}` was not created: it is empty")),
            }
        }
        Ok(Done::Clean)
    }

    fn with_editor(&self, context: &Context, job: &Job) -> Result<Ending, Vec<Failure>> {
        let editor = Editor::from_environment(&variable)
            .map_err(|error| Failure::new(error.to_string()).hint(error.remedy()))?;
        let mut keys = context.keys();
        let writer = self.writer.of(job);
        let old = edit::before(job, &mut keys, &writer)
            .map_err(|error| file_failures(&[error], &keys, &[job]))?;
        let ending = in_editor(context, job, old.as_ref(), &editor, self.insecure_tmp, &writer)
            .map_err(|error| edit_failures(&error, &keys, job))?;
        if let (Ending::Written, Some(old)) = (ending, &old) {
            tell_of_strangers(job, &old.file);
        }
        Ok(ending)
    }
}

/// Whether a variable names an editor, which then runs without a terminal too.
pub(crate) fn editor_is_set() -> bool {
    ["SECRETCTL_EDITOR", "VISUAL", "EDITOR"].iter().any(|name| variable(name).is_some())
}

/// Runs an editor on a secret until its content can be written, or the user gives up.
pub(crate) fn in_editor(
    context: &Context,
    job: &Job,
    old: Option<&Opened>,
    editor: &Editor,
    insecure_tmp: bool,
    writer: &Writer,
) -> Result<Ending, EditFailure> {
    let request = EditRequest {
        file_name: &edit::inner_name(&job.path),
        editor,
        folders: &context.folders,
        insecure_tmp,
        shared: false,
        interrupts: &context.interrupts,
    };
    let empty = Plaintext::default();
    let mut session = EditSession::open(request, old.map_or(&empty, |old| &old.content));
    edit::with_editor(job, old, &mut session, &context.keys(), writer)
}

/// Explains what stopped an edit.
pub(crate) fn edit_failures(error: &EditFailure, keys: &Keys<'_>, job: &Job) -> Vec<Failure> {
    match error {
        EditFailure::File(error) => file_failures(std::slice::from_ref(error), keys, &[job]),
        EditFailure::Editor(error) => {
            let hint = error.remedy().map(str::to_owned);
            Failure::new(error.to_string()).maybe_hint(hint).into()
        }
    }
}

/// Says, in a line, who can read what was written although its rule does not name them.
pub(crate) fn tell_of_strangers(job: &Job, file: &Kind) {
    let strangers = file.strangers(job);
    if strangers.is_empty() {
        return;
    }
    let mut names: Vec<String> = strangers.iter().take(SHOWN).map(left_over_key).collect();
    match strangers.len().saturating_sub(SHOWN) {
        0 => {}
        more => names.push(format!("{more} more")),
    }
    let (file, names) = (ui::shown(&job.path), names.join(", "));
    let command = format!("secretctl rekey {}", quoted(&file));
    ui::say(&format!(
        "note: `{file}` can be read by {names}, whom its rule does not name; run `{command}`"
    ));
}

fn replace(
    context: &Context,
    job: &Job,
    content: &Plaintext,
    writer: &Writer,
) -> Result<Ending, Vec<Failure>> {
    if let Some(place) = syntax::error(&edit::inner_name(&job.path), content) {
        ui::say(&format!("warning: the new content is not well formed at {place}"));
    }
    if is_encrypted(job, content) {
        once_more(STDIN);
    }
    let mut keys = context.keys();
    let done = edit::kind_of(job, &mut keys, writer).and_then(|file| {
        edit::replace(job, content, &file, &keys, writer)?;
        tell_of_strangers(job, &file);
        Ok(())
    });
    done.map(|()| Ending::Written).map_err(|error| file_failures(&[error], &keys, &[job]))
}

#[expect(clippy::disallowed_methods, reason = "whether it is encrypted already is looked at")]
fn is_encrypted(job: &Job, content: &Plaintext) -> bool {
    let store = Store::of_path(Path::new(&edit::inner_name(&job.path)));
    begins_as_age(content.expose()) || file::is_encrypted(store, content).unwrap_or(false)
}

/// All of standard input.
pub(crate) fn stdin() -> Result<Plaintext, Failure> {
    Plaintext::read_from(&mut io::stdin().lock(), MAX_IN_MEMORY).map_err(|error| {
        Failure::new(format!("standard input cannot be taken as content: {error}"))
            .hint("content of at most 64 MiB can be edited; `encrypt` takes any size")
    })
}

/// Most readers that are named.
const SHOWN: usize = 3;
