//! `secretctl get`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::context::Context;
use super::explain::{Around, Failure, problem};
use super::kinds::{DocumentType, InputType, inner_store};
use super::{Done, Outcome, ui};
use crate::format::sops::file::Writer;
use crate::format::sops::store::Store;
use crate::plaintext::Plaintext;
use crate::work::secret::{self, Kind, Opened};
use crate::work::way::Way;
use crate::work::{Problem, parts};

/// Print one value of a secret file
///
/// Of a sops file, or of an age file that holds a document: what is inside of `x.yaml.age` is YAML.
/// A text, number or the like is printed as it is, without a line end; a map or list as a
/// document. Needs no rules.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Secret file
    file: PathBuf,
    /// Way to the value: `/db/hosts/0`, or `["db"]["hosts"][0]` as sops has it. Without it, the
    /// whole is printed
    way: Option<String>,
    #[command(flatten)]
    input: InputType,
    /// Print a map or list as this
    #[arg(long, value_name = "TYPE")]
    output_type: Option<DocumentType>,
}

impl Get {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let way = parse_way(self.way.as_deref().unwrap_or_default())?;
        let path = context.absolute(&self.file);
        let mut keys = context.keys();
        let value = secret::open_as(&path, self.input.store(), &mut keys, &Writer::Lossless)
            .map_err(|error| error.problem)
            .and_then(|opened| {
                let store = store_of(&opened, &self.file, self.input);
                let output = self.output_type.map_or(store, DocumentType::store);
                parts::get(opened.content, store, &way, output)
            });
        let value = value.map_err(|error| {
            let locked = matches!(error, Problem::Locked(_) | Problem::Unopened(_));
            let needs = if locked { context.needs(&self.file) } else { Vec::new() };
            problem(&error, &path, &Around { tried: keys.tried(), needs: &needs })
        })?;
        print(&value).map_err(|error| ui::stdout_failure(&error))?;
        Ok(Done::Clean)
    }
}

/// What the content of an opened file is.
pub(crate) fn store_of(opened: &Opened, file: &std::path::Path, input: InputType) -> Store {
    match &opened.file {
        Kind::Sops(unlocked) => unlocked.opened.store(),
        Kind::NewSops(store) => *store,
        Kind::Age { .. } => input.store().unwrap_or_else(|| inner_store(file)),
    }
}

/// Reads a way to a value.
pub(crate) fn parse_way(text: &str) -> Result<Way, Failure> {
    Way::parse(text).map_err(|error| {
        Failure::new(format!("cannot use the way `{}`: {error}", ui::clean(text)))
            .hint("it is `/db/hosts/0`, or `[\"db\"][\"hosts\"][0]` as sops has it")
    })
}

#[expect(clippy::disallowed_methods, reason = "the value is what was asked for")]
fn print(value: &Plaintext) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(value.expose()).and_then(|()| stdout.flush()) {
        Err(error) if ui::gone(&error) => Ok(()),
        written => written,
    }
}
