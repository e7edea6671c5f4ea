//! `secretctl set` and `secretctl unset`

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, WriterOption, file_failures};
use super::edit::{stdin, tell_of_strangers};
use super::explain::Failure;
use super::get::{parse_way, store_of};
use super::kinds::InputType;
use super::{Done, Outcome, ui};
use crate::format::sops::store::Store;
use crate::format::sops::tree::{Leaf, Node, Value};
use crate::plaintext::Plaintext;
use crate::work::secret::{self, MAX_IN_MEMORY};
use crate::work::way::{self, Way};
use crate::work::{FileError, Problem, edit, parts};

/// Set one value of a secret file
///
/// Of a sops file, or of an age file that holds a document: what is inside of `x.yaml.age` is YAML.
/// Maps that are missing on the way are made; an index behind the last item appends. Everything
/// else stays as it is written. Nothing is written where the value is that already.
///
/// Other users see the arguments of programs: give a secret on standard input or with
/// `--value-file`, not as VALUE. On a terminal it is asked for without being shown.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Secret file
    file: PathBuf,
    /// Way to the value: `/db/hosts/0`, or `["db"]["hosts"][0]` as sops has it
    way: String,
    /// The value in JSON, such as `"text"`, `5` or `["a", "b"]`. Without it, it is read from
    /// standard input. Other users see it here
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
    /// Read the value from this file
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    value_file: Option<PathBuf>,
    /// The value is a text as it stands, not JSON
    #[arg(long)]
    string: bool,
    #[command(flatten)]
    input: InputType,
    #[command(flatten)]
    writer: WriterOption,
}

/// Remove one value from a secret file
///
/// Everything else stays as it is written. Nothing is written where there is no such value.
#[derive(Debug, Args)]
pub(crate) struct Unset {
    /// Secret file
    file: PathBuf,
    /// Way to the value: `/db/hosts/0`, or `["db"]["hosts"][0]` as sops has it
    way: String,
    #[command(flatten)]
    input: InputType,
    #[command(flatten)]
    writer: WriterOption,
}

impl Set {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let way = way_to_part(&self.way)?;
        let value = self.value(context)?;
        let value = if self.string {
            Node::Leaf(Leaf::new(Value::Str(value)))
        } else {
            way::value(&value).map_err(|error| {
                Failure::new(format!("cannot use the value: {error}"))
                    .hint("a text stands in quotes, `'\"text\"'`, or is given with `--string`")
            })?
        };
        let file = Target { file: &self.file, input: self.input, writer: self.writer };
        let changed = file
            .change(context, "set", &|content, store| parts::set(content, store, &way, &value))?;
        if !changed {
            let shown = ui::shown(&context.absolute(&self.file));
            ui::say(&format!("`{shown}` has this value already, and was not changed"));
        }
        Ok(Done::Clean)
    }

    fn value(&self, context: &Context) -> Result<Plaintext, Failure> {
        if let Some(value) = &self.value {
            return Ok(Plaintext::copy_of(value.as_bytes()));
        }
        if let Some(path) = self.value_file.as_deref().filter(|path| *path != Path::new("-")) {
            let read = File::open(path)
                .and_then(|mut file| Plaintext::read_from(&mut file, MAX_IN_MEMORY));
            let shown = ui::shown(path);
            return read.map_err(|error| Failure::new(format!("cannot read `{shown}`: {error}")));
        }
        if io::stdin().is_terminal() {
            let what = if self.string { "Value" } else { "Value, in JSON" };
            let given = context.plugins().ask.secret(what);
            return given.ok_or_else(|| Failure::new("no value was given"));
        }
        let value = stdin()?;
        if value.is_empty() {
            let empty = if self.string { "`''` as VALUE" } else { "`'\"\"'`" };
            let hint =
                format!("the command before the pipe may have failed; {empty} is an empty text");
            return Err(Failure::new("standard input is empty, and nothing was changed").hint(hint));
        }
        if self.string && is_a_line(&value) {
            ui::say("warning: the value ends with a line end, which `printf %s` does not add");
        }
        Ok(value)
    }
}

impl Unset {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let way = way_to_part(&self.way)?;
        let file = Target { file: &self.file, input: self.input, writer: self.writer };
        let changed =
            file.change(context, "unset", &|content, store| parts::unset(content, store, &way))?;
        if !changed {
            let shown = ui::shown(&context.absolute(&self.file));
            ui::say(&format!("`{shown}` has no such value, and was not changed"));
        }
        Ok(Done::Clean)
    }
}

/// A file that is to change.
struct Target<'a> {
    file: &'a Path,
    input: InputType,
    writer: WriterOption,
}

/// The content after a change; `None` where there is none.
type Change<'a> = dyn Fn(&Plaintext, Store) -> Result<Option<Plaintext>, Problem> + 'a;

impl Target<'_> {
    /// Whether there was anything to change.
    fn change(
        &self,
        context: &Context,
        command: &str,
        change: &Change<'_>,
    ) -> Result<bool, Vec<Failure>> {
        let command = format!("{command} {}", ui::shown(self.file));
        let _lock = context.lock_for(self.file, &command)?;
        let job = context.job_to_change(self.file)?;
        let writer = self.writer.of(&job);
        let mut keys = context.keys();
        let error = |problem| FileError { path: job.path.clone(), problem };
        let changed =
            secret::open_as(&job.path, self.input.store(), &mut keys, &writer).and_then(|opened| {
                let store = store_of(&opened, &job.path, self.input);
                let new = change(&opened.content, store).map_err(error)?;
                let Some(new) = new else { return Ok(false) };
                edit::replace(&job, &new, &opened.file, &keys, &writer)?;
                tell_of_strangers(&job, &opened.file);
                Ok(true)
            });
        changed.map_err(|error| file_failures(&[error], &keys, &[&job]))
    }
}

fn way_to_part(text: &str) -> Result<Way, Failure> {
    let way = parse_way(text)?;
    if way.is_whole() {
        return Err(Failure::new("the way leads to no value: it is empty")
            .hint("`secretctl edit` changes the whole content"));
    }
    Ok(way)
}

#[expect(clippy::disallowed_methods, reason = "how the value ends is looked at")]
fn is_a_line(value: &Plaintext) -> bool {
    let ends = value.expose().iter().position(|byte| *byte == b'\n');
    ends.is_some_and(|at| at.saturating_add(1) == value.len())
}
