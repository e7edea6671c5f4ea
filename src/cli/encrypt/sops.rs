//! The part of `secretctl encrypt` that makes sops files.

use std::io::{self, Write};
use std::path::Path;

use super::{Encrypt, FileType, named, source};
use crate::cli::context::{Context, file_failures};
use crate::cli::explain::{Around, Failure, problem};
use crate::cli::{Done, Outcome, ui};
use crate::format::sops::file::{SopsError, Writer};
use crate::format::sops::store::{Layout, Store};
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;
use crate::work::secret::{self, Kind, MAX_IN_MEMORY};
use crate::work::{Job, Problem, edit, sops, status};

impl Encrypt {
    /// Whether a sops file is to be made: because it is said, because of a type that age files do
    /// not have, or because the rules or the file in its place have it so. `job` is what the rules
    /// say of the output.
    pub(super) fn makes_sops(&self, job: Option<&Job>) -> bool {
        match (self.kind, job) {
            (Some(kind), _) => kind == FileType::Sops,
            (None, None) => self.names_recipients() && self.input_type.is_some(),
            (None, Some(job)) if status::open(&job.path).is_ok() => false,
            (None, Some(job)) => matches!(job.new_kind(), Kind::NewSops(_)) || is_sops(&job.path),
        }
    }

    /// Makes a sops file.
    pub(super) fn run_sops(&self, context: &Context) -> Outcome {
        let age_only = [(self.armor, "--armor"), (self.anonymous, "--anonymous")];
        if let Some((_, option)) = age_only.iter().find(|(given, _)| *given) {
            let what = format!("`{option}` is about age files, and this is to be a sops file");
            return Err(Failure::new(what).hint("`--type age` makes an age file").into());
        }
        let content = self.content()?;
        if self.names_recipients() {
            return self.for_recipients(context, &content);
        }
        let Some(output) = &self.output else { return Err(super::nobody().into()) };
        let _lock = context.lock_for(output, "encrypt")?;
        let (_, job) = context.job(output)?;
        let writer = self.writer.of(&job);
        let mut keys = context.keys();
        let result = self.kind(&job, &mut keys, &writer).and_then(|kind| {
            let store = match &kind {
                Kind::Sops(unlocked) => unlocked.opened.store(),
                Kind::NewSops(store) => *store,
                Kind::Age { .. } => Store::of_path(&job.path),
            };
            let error = |problem| crate::work::FileError { path: job.path.clone(), problem };
            let content = self.as_document(content, store).map_err(error)?;
            edit::replace(&job, &content, &kind, &keys, &writer)
        });
        result.map(|()| Done::Clean).map_err(|error| file_failures(&[error], &keys, &[&job]))
    }

    /// What the file becomes. One that is in its place already keeps the ciphertext of what does
    /// not change.
    fn kind(
        &self,
        job: &Job,
        keys: &mut crate::format::keys::Keys<'_>,
        writer: &Writer,
    ) -> Result<Kind, crate::work::FileError> {
        let kind = if self.in_place { job.new_kind() } else { edit::kind_of(job, keys, writer)? };
        Ok(match kind {
            Kind::Age { .. } => Kind::NewSops(Store::of_path(&job.path)),
            kind @ (Kind::Sops(_) | Kind::NewSops(_)) => kind,
        })
    }

    fn for_recipients(&self, context: &Context, content: &Plaintext) -> Outcome {
        let recipients = named(context, &self.recipients, &self.recipients_files)?;
        let name = self.output.as_deref().unwrap_or(Path::new("standard output"));
        let source = self.file.as_deref().unwrap_or(Path::new("standard input"));
        let by_name = || self.output.as_deref().or(self.file.as_deref()).map(Store::of_path);
        let input = self.input_type.map(super::DocumentType::store).or_else(by_name);
        let input = input.unwrap_or(Store::Binary);
        let store = self.output.as_deref().map_or(input, Store::of_path);
        let explain = |error: Problem| {
            if let Problem::Sops(SopsError::Parse(error)) = error {
                let error = Problem::Content { store: input, error };
                return problem(&error, source, &Around::default());
            }
            problem(&error, name, &Around::default())
        };
        let keys = context.keys();
        let writer = if self.writer.canonical {
            Writer::Canonical(Layout::default())
        } else {
            Writer::Lossless
        };
        let group = recipients.into_iter().map(WrappingKey::Age).collect();
        let recipe = sops::Recipe { groups: vec![group], ..sops::Recipe::default() };
        let sealed = recipe
            .start(&keys)
            .and_then(|started| started.seal(content, (input, store), &writer))
            .map_err(explain)?;
        match &self.output {
            None => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(&sealed).and_then(|()| stdout.flush()) {
                    Err(error) if !ui::gone(&error) => Err(ui::stdout_failure(&error).into()),
                    Ok(()) | Err(_) => Ok(Done::Clean),
                }
            }
            Some(output) => {
                let under_rules = context.rules_folder(output).is_some();
                let _lock = under_rules.then(|| context.lock_for(output, "encrypt")).transpose()?;
                let staged = secret::stage(output, &sealed).map_err(explain)?;
                staged.commit().map_err(|error| explain(Problem::Replace(error)))?;
                Ok(Done::Clean)
            }
        }
    }

    fn content(&self) -> Result<Plaintext, Failure> {
        let name = self.file.as_deref().unwrap_or(Path::new("standard input"));
        let mut source = source(self.file.as_deref(), self.allow_empty)
            .map_err(|error| problem(&error, name, &Around::default()))?;
        Plaintext::read_from(&mut *source, MAX_IN_MEMORY).map_err(|error| {
            Failure::new(format!("cannot read `{}`: {error}", ui::shown(name)))
                .hint("a sops file holds at most 64 MiB; `--type age` takes any size")
        })
    }

    /// The content as a document of the kind that the file is.
    fn as_document(&self, content: Plaintext, store: Store) -> Result<Plaintext, Problem> {
        match self.input_type.map(super::DocumentType::store) {
            Some(input) if input != store => sops::convert(&content, input, store),
            Some(_) | None => Ok(content),
        }
    }
}

/// Whether there is a sops file.
pub(super) fn is_sops(path: &Path) -> bool {
    sops::read(path, Store::of_path(path)).is_ok()
}
