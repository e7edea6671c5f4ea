//! Editing one secret: open, let somebody change the content, seal for the readers of the rule.

use std::path::Path;

use super::secret::{self, Kind, Opened};
use super::{FileError, Job, Problem, syntax};
use crate::format::age::AgeError;
use crate::format::keys::Keys;
use crate::format::sops::file::Writer;
use crate::format::sops::store::Store;
use crate::key::Plugins;
use crate::plaintext::Plaintext;
use crate::process::{EditError, EditSession};

/// How an edit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The file holds the new content.
    Written,
    /// The content is as it was; the file was not touched.
    Unchanged,
    /// There was no file, and nothing was entered.
    NotCreated,
}

/// What stopped an edit; the file is as it was.
#[derive(Debug)]
pub enum EditFailure {
    /// The file.
    File(FileError),
    /// The editor.
    Editor(EditError),
}

/// Replaces the content.
///
/// # Errors
/// [`FileError`]; the file is as it was.
pub fn replace(
    job: &Job,
    content: &Plaintext,
    file: &Kind,
    keys: &Keys<'_>,
    writer: &Writer,
) -> Result<(), FileError> {
    let staged = secret::seal(job, content, file, keys, writer)?;
    let path = job.path.clone();
    staged.commit().map_err(|error| FileError { path, problem: Problem::Replace(error) })
}

/// What a file becomes whose content is replaced: an age file stays as armored as it is, and is
/// not opened; a sops file is, so that what does not change keeps its ciphertext, and becomes a
/// new one where nothing opens it.
///
/// # Errors
/// A sops file that cannot be read.
pub fn kind_of(job: &Job, keys: &mut Keys<'_>, writer: &Writer) -> Result<Kind, FileError> {
    match super::status::open(&job.path) {
        Ok(encrypted) => Ok(Kind::Age { armored: encrypted.armored }),
        Err(AgeError::NotAge) => match secret::open(&job.path, keys, writer) {
            Ok(opened) => Ok(opened.file),
            Err(FileError { problem: Problem::NotEncrypted, .. }) => Ok(job.new_kind()),
            Err(FileError { problem: Problem::Locked(_), .. }) => {
                Ok(Kind::NewSops(Store::of_path(&job.path)))
            }
            Err(error) => Err(error),
        },
        Err(_) => Ok(job.new_kind()),
    }
}

/// The content before the edit; an empty one where there is no file yet.
///
/// # Errors
/// [`FileError`].
pub fn before(
    job: &Job,
    keys: &mut Keys<'_>,
    writer: &Writer,
) -> Result<Option<Opened>, FileError> {
    match secret::open(&job.path, keys, writer) {
        Ok(opened) => Ok(Some(opened)),
        Err(FileError { problem: Problem::Absent, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs the editor on a session until its content can be written, or the user gives up.
///
/// # Errors
/// [`EditFailure`]; the file is as it was.
pub fn with_editor(
    job: &Job,
    old: Option<&Opened>,
    session: &mut EditSession<'_>,
    keys: &Keys<'_>,
    writer: &Writer,
) -> Result<Ending, EditFailure> {
    let empty = Plaintext::default();
    let old_content = old.map_or(&empty, |opened| &opened.content);
    let new = job.new_kind();
    let file = old.map_or(&new, |opened| &opened.file);
    let plugins = &keys.plugins();
    loop {
        if let Err(error) = session.run_editor() {
            let changed = !session.content().same_as(old_content);
            if changed && again(plugins, &error.to_string()) {
                continue;
            }
            return Err(EditFailure::Editor(error));
        }
        if session.content().same_as(old_content) {
            return Ok(if old.is_some() { Ending::Unchanged } else { Ending::NotCreated });
        }
        let name = inner_name(&job.path);
        if let Some(place) = syntax::error(&name, session.content())
            && again(plugins, &format!("the new content is not well formed at {place}"))
        {
            continue;
        }
        match replace(job, session.content(), file, keys, writer) {
            Ok(()) => return Ok(Ending::Written),
            Err(error) => {
                let file = job.path.display();
                if !again(plugins, &format!("`{file}` could not be written")) {
                    return Err(EditFailure::File(error));
                }
            }
        }
    }
}

/// The name without the suffix of encryption, so that an editor knows the syntax.
pub fn inner_name(path: &Path) -> std::ffi::OsString {
    let name = path.file_name().unwrap_or_default();
    let inner = Path::new(name);
    match inner.extension() {
        Some(suffix) if suffix == "age" => inner.file_stem().unwrap_or(name).to_owned(),
        Some(_) | None => name.to_owned(),
    }
}

fn again(plugins: &Plugins<'_>, what: &str) -> bool {
    let question = format!("{what}; open the editor again with your changes?");
    plugins.ask.confirm(&question, "yes", Some("no")).unwrap_or(false)
}
