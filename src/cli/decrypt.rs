//! `secretctl decrypt`

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::Context;
use super::explain::{Around, Failure, problem};
use super::kinds::DocumentType;
use super::{Done, Outcome, ui};
use crate::format::age::AgeError;
use crate::format::sops::file::Writer;
use crate::format::sops::store::Layout;
use crate::fsx::Staged;
use crate::fsx::replace::Staging;
use crate::key::keyring::Unopened;
use crate::work::decrypt::{Kinds, decrypt};
use crate::work::{Problem, secret, status};

/// Decrypt a file
///
/// Needs no rules. What is written is authentic; if an age file turns out to be damaged further on,
/// the exit code is 2 and what was written before is incomplete. Of a sops file that is damaged,
/// nothing is written.
#[derive(Debug, Args)]
pub(crate) struct Decrypt {
    /// File to decrypt; `-` or nothing reads standard input, whose content tells what it is
    file: Option<PathBuf>,
    /// Write to this file, with mode 0600, instead of standard output, which `-` is. Not to a
    /// secret file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What a sops file is, where its name does not tell
    #[arg(long, value_name = "TYPE")]
    input_type: Option<DocumentType>,
    /// Print the document of a sops file as this
    #[arg(long, value_name = "TYPE")]
    output_type: Option<DocumentType>,
    /// Print the document of a sops file as sops does, with its indent and quotes, and not as it
    /// was written
    #[arg(long)]
    canonical: bool,
}

impl Decrypt {
    /// Decrypts one file to standard output.
    pub(crate) fn to_stdout(file: PathBuf) -> Self {
        Self {
            file: Some(file),
            output: None,
            input_type: None,
            output_type: None,
            canonical: false,
        }
    }

    pub(crate) fn run(self, context: &Context) -> Outcome {
        let file = self.file.as_ref().filter(|file| *file != Path::new("-"));
        let name = file.cloned().unwrap_or_else(|| PathBuf::from("standard input"));
        let canonical = Writer::Canonical(Layout::default());
        let kinds = Kinds {
            input: self.input_type.map(DocumentType::store),
            name: file.map(PathBuf::as_path),
            output: self.output_type.map(DocumentType::store),
            writer: if self.canonical { canonical } else { Writer::Lossless },
        };
        let output = self.output.as_deref().filter(|output| *output != Path::new("-"));
        if let Some(output) = output {
            keeps_secret(context, file, output)?;
        }
        let mut keys = context.keys();
        let shown = name.display().to_string();
        let mut run = |sink: &mut dyn Write| match &file {
            None => decrypt(io::stdin().lock(), &shown, &kinds, &mut keys, sink),
            Some(path) => decrypt(open(path)?, &shown, &kinds, &mut keys, sink),
        };
        let result = match output {
            Some(output) => context.stays_inside(output).and_then(|()| to_file(output, &mut run)),
            None => to_stdout(&mut run),
        };
        result.map(|()| Done::Clean).map_err(|error| {
            let no_match =
                matches!(error, Problem::Unopened(Unopened::NoMatch) | Problem::Locked(_));
            let needs = match &file {
                Some(path) if no_match => context.needs(path),
                Some(_) | None => Vec::new(),
            };
            let around = Around { tried: keys.tried(), needs: &needs };
            problem(&error, &name, &around).into()
        })
    }
}

/// Refuses to put plaintext in the place of what it comes from, or of what the rules say is secret.
fn keeps_secret(context: &Context, file: Option<&PathBuf>, output: &Path) -> Result<(), Failure> {
    let identity = |path: &Path| {
        let data = path.metadata().ok().filter(Metadata::is_file)?;
        Some((data.dev(), data.ino()))
    };
    let there = identity(output);
    let shown = ui::shown(output);
    if there.is_some() && identity(file.map_or(Path::new("/dev/stdin"), PathBuf::as_path)) == there
    {
        return Err(Failure::new(format!(
            "`{shown}` would be replaced by what is in it, decrypted"
        ))
        .hint("name another file with `--output`; `secretctl edit` changes a secret file"));
    }
    if context.is_secret(output) || there.is_some() && status::open(output).is_ok() {
        return Err(Failure::new(format!(
            "`{shown}` is a secret file, and what is written to it would be in the open"
        ))
        .hint(
            "name another file with `--output`, or encrypt to it: `secretctl encrypt --output`",
        ));
    }
    Ok(())
}

type Run<'a> = dyn FnMut(&mut dyn Write) -> Result<(), Problem> + 'a;

fn open(path: &Path) -> Result<BufReader<File>, Problem> {
    let file = File::open(path).map_err(AgeError::Read)?;
    Ok(BufReader::with_capacity(64 * 1024, file))
}

fn to_stdout(run: &mut Run<'_>) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    let result = run(&mut stdout);
    match (result, stdout.flush()) {
        (Err(Problem::Age(AgeError::Write(error))), _) | (Ok(()), Err(error)) => {
            if ui::gone(&error) { Ok(()) } else { Err(Problem::Output(error)) }
        }
        (result, _) => result,
    }
}

fn to_file(output: &Path, run: &mut Run<'_>) -> Result<(), Problem> {
    let staging = Staging { private: true, ..Staging::default() };
    let mut staged = Staged::with(output, staging).map_err(Problem::Replace)?;
    run(&mut staged).map_err(|problem| secret::of_sink(problem, &staged))?;
    staged.commit().map_err(Problem::Replace)
}
