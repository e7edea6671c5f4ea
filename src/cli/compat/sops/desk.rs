//! What every command on documents works with: identities, the file, the layout, the way out.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::invocation::{Opening, Settings, Subject, Target};
use super::refusals::{self, Doing, of_reading, of_writing};
use super::resolve::refusal;
use super::{Code, Done, Refusal};
use crate::cli::context::Context;
use crate::cli::explain::Failure;
use crate::cli::{Common, ErrorFormat, ui};
use crate::format::keys::Keys;
use crate::format::sops::data_key::DecryptionOrder;
use crate::format::sops::file::{MacCheck, SopsError, SopsFile, Writer};
use crate::format::sops::store::{Layout, Store};
use crate::fsx::replace::Staging;
use crate::fsx::{Lock, Staged, read_plaintext};
use crate::key::wrapping::WrappingKind;
use crate::plaintext::Plaintext;
use crate::rules;
use crate::work::Problem;
use crate::work::links::leads_out;
use crate::work::sops::{self, Unlocked};

/// What a command works with.
pub(super) struct Desk {
    /// Identities, folders, signals.
    pub(super) context: Context,
    settings: Settings,
}

impl Desk {
    /// For a command that opens files in the given way, if it says one.
    pub(super) fn new(settings: &Settings, opening: Option<&Opening>) -> Result<Self, Refusal> {
        let common = Common {
            identities: Vec::new(),
            rules: None,
            plugins: Vec::new(),
            nix_args: Vec::new(),
            error_format: ErrorFormat::Text,
        };
        let context = Context::new(&common)?.trusting();
        let context = match opening {
            Some(opening) => context.with_order(order(&opening.order)),
            None => context,
        };
        Ok(Self { context, settings: settings.clone() })
    }

    /// The text of a file or of standard input.
    pub(super) fn text(&self, subject: &Subject) -> Result<Plaintext, Refusal> {
        let text = match &subject.file {
            Some(file) => read_plaintext(&self.context.here.join(file), sops::MAX_FILE),
            None => Plaintext::read_from(&mut io::stdin().lock(), sops::MAX_FILE),
        };
        text.map_err(|error| of_reading(&error))
    }

    /// An encrypted file.
    pub(super) fn file(&self, subject: &Subject) -> Result<SopsFile, Refusal> {
        let text = self.text(subject)?;
        sops::parse(text, subject.input)
            .map_err(|error| refusals::of(&error, Doing::Opening, &subject.name, &[]))
    }

    /// A decrypted file.
    pub(super) fn open(
        &self,
        subject: &Subject,
        opening: &Opening,
        keys: &mut Keys<'_>,
    ) -> Result<Unlocked, Refusal> {
        Self::unlock(self.file(subject)?, subject, opening, keys)
    }

    /// The same for a file that was read.
    pub(super) fn unlock(
        file: SopsFile,
        subject: &Subject,
        opening: &Opening,
        keys: &mut Keys<'_>,
    ) -> Result<Unlocked, Refusal> {
        let check = if opening.ignore_mac { MacCheck::Ignore } else { MacCheck::Verify };
        sops::unlock(file, keys, check)
            .map_err(|error| refusals::of(&error, Doing::Opening, &subject.name, keys.tried()))
    }

    /// How the result is written. Rules that cannot be read do not stand in the way: they matter
    /// for the indentation alone.
    pub(super) fn writer(&self, subject: &Subject) -> Result<Writer, Refusal> {
        let file = self.rules_file(&subject.name);
        let said = file.and_then(|file| rules::sops_yaml::load(&file).ok());
        let layout = said.map(|said| sops::layout_of(&said.layout)).unwrap_or_default();
        self.indented(layout, subject.output).map(Writer::Canonical)
    }

    /// The rules for a file, by its name.
    pub(super) fn rules_file(&self, name: &Path) -> Option<std::path::PathBuf> {
        let here = &self.context.here;
        match &self.settings.config {
            Some(config) => Some(here.join(config)),
            None => rules::discover::sops_file_above(&self.context.absolute(name), here),
        }
    }

    fn indented(&self, layout: Layout, output: Store) -> Result<Layout, Refusal> {
        let Some(indent) = self.settings.indent else { return Ok(layout) };
        let spaces = usize::try_from(indent).ok();
        if spaces.is_none_or(|spaces| spaces > MAX_INDENT) && output == Store::Yaml || indent < -1 {
            let text = format!("Error dumping file: --indent {indent} is no indentation");
            return Err(refusal(Code::Dump, text));
        }
        // 0 is as if nothing was said, but in JSON.
        let yaml_indent = spaces.filter(|spaces| *spaces > 0).unwrap_or(layout.yaml_indent);
        Ok(Layout { yaml_indent, json_indent: spaces, binary_indent: spaces })
    }

    /// Keeps others of us from the file and its rules while it is changed.
    pub(super) fn lock(&self, subject: &Subject, target: &Target) -> Result<Option<Lock>, Refusal> {
        if *target != Target::InPlace {
            return Ok(None);
        }
        Ok(Some(
            self.context
                .lock_quietly(&subject.name, &format!("sops {}", ui::shown(&subject.name)))?,
        ))
    }

    /// Puts a result where it is wanted.
    pub(super) fn put(
        &self,
        subject: &Subject,
        target: &Target,
        content: &Plaintext,
        kind: Content,
    ) -> Done {
        let path = match (target, &subject.file) {
            (Target::InPlace, Some(file)) | (Target::File(file), _) => self.context.here.join(file),
            (Target::InPlace, None) | (Target::Stdout, _) => {
                return match sops::write(content, &mut io::stdout().lock()) {
                    Err(error) if !ui::gone(&error) => Err(of_stream("standard output", &error)),
                    _ => Ok(ExitCode::SUCCESS),
                };
            }
        };
        if let Some(real) = leads_out(&path, None) {
            return Err(refusals::of(&Problem::LeadsOut { real }, Doing::Sealing, &path, &[]));
        }
        if is_stream(&path) {
            let sink = OpenOptions::new().write(true).open(&path);
            return sink
                .and_then(|mut sink| sops::write(content, &mut sink))
                .map(|()| ExitCode::SUCCESS)
                .map_err(|error| of_stream(&ui::shown(&path), &error));
        }
        let new_mode = if kind == Content::Plain { 0o600 } else { Staging::default().new_mode };
        let staged = Staged::with(&path, Staging { new_mode, ..Staging::default() });
        let mut staged = staged.map_err(|error| of_writing(&error))?;
        let written = sops::write(content, &mut staged);
        written.map_err(|error| of_writing(&staged.write_error(error)))?;
        staged.commit().map_err(|error| of_writing(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses what sops takes for no document at all; to us it would be an empty one.
pub(super) fn some_document(text: &Plaintext, store: Store) -> Result<(), Problem> {
    if store == Store::Yaml && text.is_empty() {
        return Err(Problem::Sops(SopsError::NoDocument));
    }
    Ok(())
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A new file of it is for this user alone.
    Plain,
    /// An encrypted file.
    Sealed,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        refusal(Code::Generic, failure.text())
    }
}

fn of_stream(name: &str, error: &io::Error) -> Refusal {
    refusal(Code::Output, format!("Could not write to {name}: {error}"))
}

/// What is no file that could be replaced.
fn is_stream(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"].iter().any(|it| path.starts_with(it))
        || std::fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir())
}

fn order(kinds: &[WrappingKind]) -> DecryptionOrder {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    DecryptionOrder::parse(&names.join(",")).unwrap_or_default()
}

const MAX_INDENT: usize = 64;
