//! `sops edit`, with and without the metadata.

use std::io::{self, BufRead};

use super::desk::{Content, Desk, some_document};
use super::invocation::{Edit, Target};
use super::recipe::{Ruling, recipe};
use super::refusals::{self, Doing, of_wrapping};
use super::resolve::refusal;
use super::{Code, Done, Refusal};
use crate::cli::context::variable;
use crate::cli::ui;
use crate::format::keys::Keys;
use crate::format::sops::data_key::DataKey;
use crate::format::sops::example::example;
use crate::format::sops::file::{VersionRule, Writer};
use crate::format::sops::metadata::Metadata;
use crate::format::sops::store::Layout;
use crate::plaintext::Plaintext;
use crate::process::{EditError, EditRequest, EditSession, Editor, find_program};
use crate::work::sops::{self, Started, Unlocked};
use crate::work::{Problem, sops_metadata};

pub(super) fn run(edit: &Edit) -> Done {
    let Edit { settings, subject, opening, .. } = edit;
    let desk = Desk::new(settings, Some(opening))?;
    let _lock = desk.lock(subject, &Target::InPlace)?;
    let writer = desk.writer(subject)?;
    let layout = match &writer {
        Writer::Canonical(layout) => *layout,
        Writer::Lossless => Layout::default(),
    };
    let mut keys = desk.context.keys();
    let exists = subject.file.as_ref().is_some_and(|file| desk.context.here.join(file).exists());
    let (file, document, ruling) = if exists {
        let before = desk.open(subject, opening, &mut keys)?;
        let document = before.opened.document(&writer, subject.input).map_err(|error| {
            refusals::of(&Problem::Sops(error), Doing::Opening, &subject.name, &[])
        })?;
        (File::Old(Box::new(before)), document, None)
    } else {
        let ruling = Ruling::find(&desk, subject)?;
        let recipe = recipe(&edit.keys, &edit.selection, subject.input, ruling.as_ref())?;
        let started = recipe.start(&keys).map_err(|error| unwrappable(&error, edit))?;
        (File::New(Box::new(started)), example(subject.input, &layout), ruling)
    };
    let draft = Draft { edit, file, keys, writer, layout };
    let text = draft.shown(document)?;
    let sealed = draft.until_it_fits(&desk, &text)?;
    drop(text);
    let done = desk.put(subject, &Target::InPlace, &Plaintext::new(sealed), Content::Sealed)?;
    if let Some(ruling) = ruling.filter(|_| edit.keys.group.is_empty()) {
        ruling.tell();
    }
    Ok(done)
}

/// What is being edited.
enum File {
    Old(Box<Unlocked>),
    New(Box<Started>),
}

impl File {
    fn metadata(&self) -> &Metadata {
        match self {
            Self::Old(before) => before.opened.metadata(),
            Self::New(started) => &started.metadata,
        }
    }

    fn key(&self) -> &DataKey {
        match self {
            Self::Old(before) => &before.key,
            Self::New(started) => &started.key,
        }
    }
}

/// A file on its way through the editor.
struct Draft<'a> {
    edit: &'a Edit,
    file: File,
    keys: Keys<'a>,
    writer: Writer,
    layout: Layout,
}

impl Draft<'_> {
    /// What the editor gets.
    fn shown(&self, document: Plaintext) -> Result<Plaintext, Refusal> {
        if !self.edit.show_metadata {
            return Ok(document);
        }
        let (metadata, store) = (self.file.metadata(), self.edit.subject.input);
        let joined = sops_metadata::join(&document, metadata, store, &self.layout);
        joined.map_err(|error| refusals::of(&error, Doing::Sealing, &self.edit.subject.name, &[]))
    }

    /// Runs the editor until what it leaves can be encrypted.
    fn until_it_fits(&self, desk: &Desk, text: &Plaintext) -> Result<Vec<u8>, Refusal> {
        let name = &self.edit.subject.file.clone().unwrap_or_default();
        let request = EditRequest {
            file_name: name.file_name().unwrap_or_default(),
            editor: &editor()?,
            folders: &desk.context.folders,
            insecure_tmp: false,
            shared: false,
            interrupts: &desk.context.interrupts,
        };
        let mut session = EditSession::open(request, text);
        loop {
            session.run_editor().map_err(|error| failed(&error))?;
            if session.content().same_as(text) {
                return Err(refusal(Code::NotModified, "File has not changed, exiting."));
            }
            match self.sealed(session.content()) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => {
                    let name = &self.edit.subject.name;
                    let refusal = refusals::of(&error, Doing::Sealing, name, &[]);
                    ui::say(&refusal.text);
                    ui::say("Press enter to return to the editor, or Ctrl+C to exit.");
                    // Without anybody to press it there is nobody to mend the file either.
                    let pressed = io::stdin().lock().read_until(b'\n', &mut Vec::new());
                    if pressed.is_ok_and(|bytes| bytes > 0) {
                        continue;
                    }
                    return Err(refusal);
                }
            }
        }
    }

    fn sealed(&self, text: &Plaintext) -> Result<Vec<u8>, Problem> {
        let subject = &self.edit.subject;
        if !self.edit.show_metadata {
            return self.seal(text, self.file.metadata());
        }
        let (document, edited) = sops_metadata::split(text, subject.input, &self.layout)?;
        let (old, key) = (self.file.metadata(), self.file.key());
        self.seal(&document, &sops_metadata::reform(old, edited, key, &self.keys)?)
    }

    fn seal(&self, document: &Plaintext, metadata: &Metadata) -> Result<Vec<u8>, Problem> {
        let (input, output) = (self.edit.subject.input, self.edit.subject.output);
        some_document(document, input)?;
        let (writer, version) = (&self.writer, VersionRule::Raise);
        match &self.file {
            File::Old(before) => {
                sops::seal_for(document, before, metadata, output, writer, version)
            }
            File::New(started) => {
                sops::seal_with(document, metadata, &started.key, (input, output), writer)
            }
        }
    }
}

/// The editor by the variables of sops, else one of those that it looks for.
fn editor() -> Result<Editor, Refusal> {
    let path = variable("PATH").unwrap_or_default();
    let none = |what: &dyn std::fmt::Display| {
        refusal(Code::Editor, format!("Could not run editor: {what}"))
    };
    let named = ["SOPS_EDITOR", "EDITOR"].iter().find_map(|name| Some((*name, variable(name)?)));
    if let Some((name, text)) = named {
        return Editor::parse(&text, name, &path).map_err(|error| none(&error));
    }
    let found =
        ["vim", "nano", "vi"].iter().find(|name| find_program(name.as_ref(), &path).is_some());
    let Some(name) = found else {
        return Err(none(
            &"no editor available: neither SOPS_EDITOR nor EDITOR is set, and there is no vim, \
              nano or vi",
        ));
    };
    Editor::parse(name.as_ref(), "PATH", &path).map_err(|error| none(&error))
}

fn failed(error: &EditError) -> Refusal {
    let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    if matches!(error, EditError::NoPlace(_) | EditError::Put(_)) {
        let text = format!("Could not create temporary file: {error}{remedy}");
        return refusal(Code::Output, text);
    }
    refusal(Code::Editor, format!("Could not run editor: {error}{remedy}"))
}

fn unwrappable(error: &Problem, edit: &Edit) -> Refusal {
    let Problem::Rewrap(error) = error else {
        return refusals::of(error, Doing::Sealing, &edit.subject.name, &[]);
    };
    let why = of_wrapping(error);
    let text = format!("Error encrypting the data key with one or more master keys: [{why}]");
    refusal(Code::NoKey, text)
}
