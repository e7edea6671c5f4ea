//! Makes sense of sorted arguments, command by command. Reads no file but looks whether one is
//! there, as sops does at this point, since the exit code depends on it. Single options are in
//! [`super::options`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::grammar::Words;
use super::invocation::{
    Decrypt, Edit, Encrypt, ExecEnv, ExecFile, FileStatus, GroupsAdd, GroupsDelete, Invocation,
    NewValue, Rotate, Set, Shell, Subject, Unset, UpdateKeys,
};
use super::options::{KINDS, named, split};
use super::{Code, Refusal};
use crate::format::sops::tree::Node;
use crate::plaintext::Plaintext;
use crate::work::way::{self, Way};

/// What of the world the meaning of arguments depends on.
pub(crate) struct Surroundings<'a> {
    /// Looks up a variable of the environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Whether there is a file.
    pub(crate) exists: &'a dyn Fn(&Path) -> bool,
    /// The working directory.
    pub(crate) here: &'a Path,
}

/// Makes sense of sorted arguments. Warnings go to `notes`.
pub(super) fn resolve(
    words: &Words,
    around: &Surroundings<'_>,
    notes: &mut Vec<String>,
) -> Result<Invocation, Refusal> {
    let mut desk = Resolver { words, around, notes };
    desk.services()?;
    match words.command.words {
        ["completion", "bash"] => Ok(Invocation::Completion(Shell::Bash)),
        ["completion", "zsh"] => Ok(Invocation::Completion(Shell::Zsh)),
        ["exec-env"] => desk.exec_env().map(Invocation::ExecEnv),
        ["exec-file"] => desk.exec_file().map(Invocation::ExecFile),
        ["filestatus"] => desk.file_status().map(Invocation::FileStatus),
        ["groups", "add"] => desk.groups_add().map(Invocation::GroupsAdd),
        ["groups", "delete"] => desk.groups_delete().map(Invocation::GroupsDelete),
        ["updatekeys"] => desk.update_keys().map(Invocation::UpdateKeys),
        ["decrypt"] => desk.decrypt().map(Invocation::Decrypt),
        ["encrypt"] => desk.encrypt().map(Invocation::Encrypt),
        ["rotate"] => desk.rotate().map(Invocation::Rotate),
        ["edit"] => desk.edit().map(Invocation::Edit),
        ["set"] => desk.set().map(Invocation::Set),
        ["unset"] => desk.unset().map(Invocation::Unset),
        [] => desk.legacy(),
        other => Err(not_offered(&format!("`sops {}`", other.join(" ")))),
    }
}

/// The value of `set`, wherever it came from.
pub(crate) fn json_value(text: &Plaintext) -> Result<Node, Refusal> {
    way::value(text).map_err(|error| {
        refusal(
            Code::Set,
            format!(
                "Value for --set is not valid JSON (line {}, column {})",
                error.line, error.column
            ),
        )
    })
}

pub(super) fn refusal(code: Code, text: impl Into<String>) -> Refusal {
    Refusal { code, text: text.into(), usage: None }
}

pub(super) fn not_offered(what: &str) -> Refusal {
    let text = format!("Error: {what} is not offered by secretctl, which stands in for sops here");
    refusal(Code::Generic, text)
}

/// Works out what one command was told.
pub(super) struct Resolver<'a> {
    pub(super) words: &'a Words,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) notes: &'a mut Vec<String>,
}

impl Resolver<'_> {
    fn legacy(mut self) -> Result<Invocation, Refusal> {
        let [decrypt, encrypt, rotate] =
            ["decrypt", "encrypt", "rotate"].map(|name| self.switch(name));
        let [decrypt, encrypt, rotate] = [decrypt?, encrypt?, rotate?];
        let set = self.text("set")?.filter(|set| !set.is_empty());
        if self.words.rest.is_empty() {
            return Err(no_file());
        }
        self.target()?;
        let file = self.file();
        let modes = [decrypt, encrypt, rotate, set.is_some()];
        if modes.into_iter().filter(|mode| *mode).count() > 1 {
            return Err(refusal(
                Code::Conflict,
                "Error: more than one of --encrypt, --decrypt, --rotate and --set",
            ));
        }
        if !(self.around.exists)(&file) {
            if self.any_change()? {
                return Err(keys_of_missing(&file, "name the keys with `--age` or `--pgp`"));
            }
            if decrypt || encrypt || rotate {
                return Err(missing(&file));
            }
        }
        if decrypt {
            return self.decrypt().map(Invocation::Decrypt);
        }
        if encrypt {
            return self.encrypt().map(Invocation::Encrypt);
        }
        if rotate {
            return self.rotate().map(Invocation::Rotate);
        }
        match set {
            Some(set) => self.set_at_once(&set).map(Invocation::Set),
            None => self.edit().map(Invocation::Edit),
        }
    }

    fn decrypt(&mut self) -> Result<Decrypt, Refusal> {
        let subject = self.subject_or_stdin()?;
        let opening = self.opening()?;
        let extract = self.text("extract")?.unwrap_or_default();
        let extract = Way::parse_index(&extract).map_err(|error| {
            refusal(Code::Way, format!("error parsing --extract path: {error}"))
        })?;
        let target = self.target()?;
        Ok(Decrypt { settings: self.settings()?, subject, opening, extract, target })
    }

    fn encrypt(&mut self) -> Result<Encrypt, Refusal> {
        let subject = self.subject_or_stdin()?;
        let (keys, selection) = (self.keys()?, self.selection(subject.input)?);
        let target = self.target()?;
        Ok(Encrypt { settings: self.settings()?, subject, keys, selection, target })
    }

    fn rotate(&mut self) -> Result<Rotate, Refusal> {
        if self.words.rest.is_empty() {
            return Err(no_file());
        }
        let target = self.target()?;
        let file = self.file();
        if self.any_change()? && !(self.around.exists)(&file) {
            return Err(keys_of_missing(&file, "use `sops edit` to make it"));
        }
        let subject = self.subject()?;
        let opening = self.opening()?;
        let (add, remove) = (self.changes("add-")?, self.changes("rm-")?);
        Ok(Rotate { settings: self.settings()?, subject, opening, add, remove, target })
    }

    fn edit(&mut self) -> Result<Edit, Refusal> {
        if self.words.rest.is_empty() {
            return Err(no_file());
        }
        let subject = self.subject()?;
        Ok(Edit {
            opening: self.opening()?,
            keys: self.keys()?,
            selection: self.selection(subject.input)?,
            show_metadata: self.switch("show-master-keys")?,
            settings: self.settings()?,
            subject,
        })
    }

    fn set(&mut self) -> Result<Set, Refusal> {
        let (file, stdin) = (self.switch("value-file")?, self.switch("value-stdin")?);
        if file && stdin {
            let text = "Error: cannot use both --value-file and --value-stdin";
            return Err(refusal(Code::Generic, text));
        }
        let (way, value) = match (self.words.rest.as_slice(), stdin) {
            ([_, way], true) => (way, NewValue::Stdin),
            ([_, way, value], false) if file => (way, NewValue::File(value.into())),
            ([_, way, value], false) => (way, NewValue::Given(json_value(&given(value))?)),
            _ => {
                let wanted =
                    if stdin { "a file and an index" } else { "a file, an index and a value" };
                return Err(refusal(Code::NoFile, format!("Error: {wanted} are needed")));
            }
        };
        let way = index(way, "set")?;
        self.set_to(way, value, self.switch("idempotent")?)
    }

    /// `--set 'INDEX VALUE'`
    fn set_at_once(&mut self, both: &str) -> Result<Set, Refusal> {
        let (way, value) =
            both.split_once("] ").ok_or_else(|| refusal(Code::Set, "Invalid --set format"))?;
        let value = json_value(&Plaintext::copy_of(value.as_bytes()))?;
        let way = index(OsStr::new(&format!("{way}]")), "--set")?;
        self.set_to(way, NewValue::Given(value), false)
    }

    fn set_to(&mut self, way: Way, value: NewValue, idempotent: bool) -> Result<Set, Refusal> {
        // sops takes it here and never looks at it.
        self.threshold()?;
        Ok(Set {
            subject: self.subject()?,
            opening: self.opening()?,
            settings: self.settings()?,
            way,
            value,
            idempotent,
        })
    }

    fn unset(&mut self) -> Result<Unset, Refusal> {
        let [_, way] = self.words.rest.as_slice() else {
            return Err(refusal(Code::NoFile, "Error: a file and an index are needed"));
        };
        Ok(Unset {
            way: index(way, "unset")?,
            subject: self.subject()?,
            opening: self.opening()?,
            idempotent: self.switch("idempotent")?,
            settings: self.settings()?,
        })
    }

    fn update_keys(&mut self) -> Result<UpdateKeys, Refusal> {
        if self.words.rest.is_empty() {
            return Err(no_file());
        }
        let paths: Vec<PathBuf> = self.words.rest.iter().map(PathBuf::from).collect();
        let input = self.text("input-type")?.unwrap_or_default();
        let files = paths.into_iter().map(|path| {
            let input = self.store(&input, &path);
            Subject { name: path.clone(), file: Some(path), input, output: input }
        });
        Ok(UpdateKeys {
            files: files.collect(),
            yes: self.switch("yes")?,
            threshold: self.threshold()?,
            settings: self.settings()?,
        })
    }

    fn exec_env(&mut self) -> Result<ExecEnv, Refusal> {
        let command = self.shell_command()?;
        let same_process = self.switch("same-process")?;
        self.no_background(same_process)?;
        Ok(ExecEnv {
            subject: self.subject()?,
            opening: self.opening()?,
            user: self.text("user")?.filter(|user| !user.is_empty()),
            pristine: self.switch("pristine")?,
            settings: self.settings()?,
            command,
            same_process,
        })
    }

    fn exec_file(&mut self) -> Result<ExecFile, Refusal> {
        let command = self.shell_command()?;
        self.no_background(false)?;
        let name = self.path("filename").unwrap_or_default();
        let plain = name.components().count() <= 1 && name.file_name() == Some(name.as_os_str());
        if !name.as_os_str().is_empty() && !plain {
            let text = "The name of --filename must be one without folders";
            return Err(refusal(Code::Generic, text));
        }
        let file_name =
            if name.as_os_str().is_empty() { "tmp-file".into() } else { name.into_os_string() };
        Ok(ExecFile {
            subject: self.subject()?,
            opening: self.opening()?,
            user: self.text("user")?.filter(|user| !user.is_empty()),
            settings: self.settings()?,
            fifo: !self.switch("no-fifo")?,
            command,
            file_name,
        })
    }

    fn shell_command(&self) -> Result<OsString, Refusal> {
        match self.words.rest.as_slice() {
            [_, command] => Ok(command.clone()),
            _ => Err(refusal(Code::Generic, "error: a file and a command are needed")),
        }
    }

    fn no_background(&self, same_process: bool) -> Result<(), Refusal> {
        if !self.switch("background")? {
            return Ok(());
        }
        if same_process {
            let text = "Error: The --same-process flag cannot be used with --background";
            return Err(refusal(Code::Conflict, text));
        }
        Err(not_offered("`--background`"))
    }

    fn file_status(&mut self) -> Result<FileStatus, Refusal> {
        if self.words.rest.is_empty() {
            return Err(no_file());
        }
        let path = self.first();
        let input = self.store(&self.text("input-type")?.unwrap_or_default(), &path);
        let subject = Subject { name: path.clone(), file: Some(path), input, output: input };
        Ok(FileStatus { settings: self.settings()?, subject })
    }

    fn groups_add(&mut self) -> Result<GroupsAdd, Refusal> {
        if !self.words.rest.is_empty() {
            return Err(refusal(Code::Generic, "error: no positional arguments allowed"));
        }
        let (aws_profile, context) = self.aws()?;
        let mut group = Vec::new();
        for (flag, kind) in KINDS {
            for value in self.words.values(flag) {
                let value = value.to_string_lossy();
                let names = split(&value);
                group.extend(names.map(|name| named(kind, name, &aws_profile, &context)));
            }
        }
        Ok(GroupsAdd {
            subject: self.subject_of_flag()?,
            threshold: self.threshold()?,
            target: self.target()?,
            settings: self.settings()?,
            group,
        })
    }

    fn groups_delete(&mut self) -> Result<GroupsDelete, Refusal> {
        let [index] = self.words.rest.as_slice() else {
            let text = "error: exactly one positional argument (index) required";
            return Err(refusal(Code::Generic, text));
        };
        let index = index.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            refusal(Code::Generic, "failed to parse [index] argument: it is not a number from 0")
        })?;
        Ok(GroupsDelete {
            subject: self.subject_of_flag()?,
            threshold: self.threshold()?,
            target: self.target()?,
            settings: self.settings()?,
            index,
        })
    }
}

fn index(text: &OsStr, what: &str) -> Result<Way, Refusal> {
    let text = text.to_string_lossy();
    let invalid = |why: &dyn std::fmt::Display| {
        refusal(Code::Set, format!("Invalid {what} index format: {why}"))
    };
    let way = Way::parse_index(&text).map_err(|error| invalid(&error))?;
    if way.is_whole() { Err(invalid(&"it is empty")) } else { Ok(way) }
}

fn no_file() -> Refusal {
    refusal(Code::NoFile, "Error: no file specified")
}

pub(super) fn missing(file: &Path) -> Refusal {
    let file = file.to_string_lossy();
    refusal(Code::NoFile, format!("Error: cannot operate on non-existent file {file:?}"))
}

fn keys_of_missing(file: &Path, instead: &str) -> Refusal {
    let file = file.to_string_lossy();
    let text = format!("Error: cannot add or remove keys on non-existent file {file:?}: {instead}");
    refusal(Code::KeysOfMissing, text)
}

fn given(value: &OsStr) -> Plaintext {
    Plaintext::copy_of(value.as_bytes())
}
