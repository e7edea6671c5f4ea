//! How the arguments of sops are read: `urfave/cli` 1.22 over the `flag` package of Go, where `-x`
//! and `--x` are the same.
//!
//! Different from them, because they drop what they do not understand: without a command, options
//! behind the file count; behind a command, an unknown option is an error wherever it stands
//! (`-5` may be a value); and an option never moves arguments around.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::table::{self, COMMANDS, Command, ROOT, Takes};
use super::{Code, Refusal};

/// Arguments, sorted.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) command: &'static Command,
    /// Values of options by their first name.
    given: BTreeMap<&'static str, Vec<OsString>>,
    /// What is no option.
    pub(super) rest: Vec<OsString>,
    /// Warnings.
    pub(super) notes: Vec<String>,
}

/// What the arguments come to before they are looked at closely.
#[derive(Debug)]
pub(super) enum Read {
    Words(Words),
    /// Help on a command, or on a group of them.
    Help(Topic),
    /// Words that may come next.
    Candidates(Vec<String>),
    Version,
}

/// What help is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Topic {
    /// All.
    All,
    /// The commands that begin with a word.
    Group(&'static str),
    /// One command.
    Command(&'static Command),
}

/// Sorts arguments, program name left out.
pub(super) fn read(arguments: &[OsString]) -> Result<Read, Refusal> {
    if let Some((last, before)) = arguments.split_last()
        && last == "--generate-bash-completion"
    {
        return Ok(Read::Candidates(candidates(before)));
    }
    let mut root = Words::new(&ROOT);
    let mut rest = arguments;
    // Up to the first word that is no option: that may be a command.
    while let Some((first, behind)) = rest.split_first() {
        if !is_option(first) || first == "--" {
            break;
        }
        rest = root.option(first, behind)?;
    }
    let Some((first, behind)) = rest.split_first() else {
        return Ok(root.finish());
    };
    match first.to_str() {
        Some("help" | "h") if !root.is_help() => help(behind),
        Some(word) if !root.is_help() && !root.is_version() => match start(word, behind)? {
            Start::Command(command, behind) => {
                let mut words = Words::new(command);
                words.carry(&root)?;
                words.all(behind)?;
                Ok(words.finish())
            }
            Start::Help(topic) => Ok(Read::Help(topic)),
            Start::File => {
                root.all(rest)?;
                Ok(root.finish())
            }
        },
        Some(_) | None => {
            root.all(rest)?;
            Ok(root.finish())
        }
    }
}

enum Start<'a> {
    Command(&'static Command, &'a [OsString]),
    Help(Topic),
    File,
}

/// Finds the command that begins with a word.
fn start<'a>(word: &str, behind: &'a [OsString]) -> Result<Start<'a>, Refusal> {
    if let Some(command) = table::command(&[word]) {
        return Ok(Start::Command(command, behind));
    }
    let Some(group) = group(word) else { return Ok(Start::File) };
    let Some((second, behind)) = behind.split_first() else {
        return Ok(Start::Help(Topic::Group(group)));
    };
    match second.to_str() {
        Some("help" | "h" | "--help" | "-h" | "-help") => Ok(Start::Help(Topic::Group(group))),
        Some(second) if second.starts_with('-') => Err(unknown(second)),
        Some(second) => match table::command(&[word, second]) {
            Some(command) => Ok(Start::Command(command, behind)),
            None => Err(no_topic(second)),
        },
        None => Err(no_topic(&second.to_string_lossy())),
    }
}

fn help(topic: &[OsString]) -> Result<Read, Refusal> {
    let Some(topic) = topic.first() else { return Ok(Read::Help(Topic::All)) };
    let word = topic.to_string_lossy();
    if let Some(command) = table::command(&[&word]) {
        return Ok(Read::Help(Topic::Command(command)));
    }
    match group(&word) {
        Some(group) => Ok(Read::Help(Topic::Group(group))),
        None if matches!(&*word, "help" | "h") => Ok(Read::Help(Topic::All)),
        None => Err(no_topic(&word)),
    }
}

fn group(word: &str) -> Option<&'static str> {
    let first = COMMANDS.iter().filter_map(|command| command.words.first());
    first.copied().find(|first| *first == word && table::is_group(word))
}

fn no_topic(word: &str) -> Refusal {
    Refusal { code: Code::Output, text: format!("No help topic for '{word}'"), usage: None }
}

impl Words {
    fn new(command: &'static Command) -> Self {
        Self { command, given: BTreeMap::new(), rest: Vec::new(), notes: Vec::new() }
    }

    /// Everything there is, options wherever they stand.
    fn all(&mut self, arguments: &[OsString]) -> Result<(), Refusal> {
        let mut arguments = arguments;
        while let Some((first, behind)) = arguments.split_first() {
            arguments = if first == "--" {
                self.rest.extend_from_slice(behind);
                &[]
            } else if is_option(first) && !(self.is_value(first)) {
                self.option(first, behind)?
            } else {
                self.rest.push(first.clone());
                behind
            };
        }
        Ok(())
    }

    /// Whether something with a dash is a negative number behind other arguments.
    fn is_value(&self, argument: &OsStr) -> bool {
        let number = argument.to_str().is_some_and(|text| text.parse::<f64>().is_ok());
        number && !self.rest.is_empty()
    }

    /// Takes one option and its value; what is left behind it.
    fn option<'a>(
        &mut self,
        argument: &OsStr,
        behind: &'a [OsString],
    ) -> Result<&'a [OsString], Refusal> {
        let bytes = argument.as_bytes();
        let shown = argument.to_string_lossy();
        let body = bytes.strip_prefix(b"--").or(bytes.strip_prefix(b"-")).unwrap_or_default();
        if body.starts_with(b"-") || body.starts_with(b"=") {
            return Err(self.usage(format!("bad flag syntax: {shown}")));
        }
        let (name, value) = match body.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, value) = body.split_at(at);
                (name, Some(OsString::from_vec(value.get(1..).unwrap_or_default().to_vec())))
            }
            None => (body, None),
        };
        let name = String::from_utf8_lossy(name);
        let Some(flag) = self.command.flag(&name) else {
            let Refusal { text, .. } = unknown(&name);
            return Err(self.usage(text));
        };
        let first = flag.names.first().copied().unwrap_or_default();
        let (value, behind) = match (flag.takes, value) {
            (_, Some(value)) => (value, behind),
            (Takes::Nothing, None) => ("true".into(), behind),
            (Takes::Text | Takes::Number | Takes::Each, None) => match behind.split_first() {
                Some((value, behind)) => (value.clone(), behind),
                None => return Err(self.usage(format!("flag needs an argument: -{name}"))),
            },
        };
        self.check(&name, flag.takes, &value)?;
        self.given.entry(first).or_default().push(value);
        Ok(behind)
    }

    fn check(&self, name: &str, takes: Takes, value: &OsStr) -> Result<(), Refusal> {
        let shown = value.to_string_lossy();
        let what = match takes {
            Takes::Nothing if truth(&shown).is_none() => "boolean value",
            Takes::Number if number(&shown).is_none() => "value",
            Takes::Nothing | Takes::Number | Takes::Text | Takes::Each => return Ok(()),
        };
        Err(self.usage(format!("invalid {what} {shown:?} for flag -{name}: parse error")))
    }

    /// Options before the command: those that are for all count, the others are not dropped
    /// without a word.
    fn carry(&mut self, root: &Self) -> Result<(), Refusal> {
        let command = self.command.words.join(" ");
        for (name, values) in &root.given {
            let global = table::GLOBAL.iter().any(|flag| flag.names.contains(name));
            match *name {
                "decrypt" | "encrypt" | "rotate" | "set" => {
                    return Err(self.usage(format!(
                        "--{name} is a command of its own and cannot stand before `{command}`"
                    )));
                }
                "disable-version-check" | "check-for-updates" => {}
                name if global || name == "mac-only-encrypted" => {
                    if self.command.flag(name).is_some() {
                        self.given.insert(name, values.clone());
                    }
                }
                name => self.notes.push(format!(
                    "--{name} before `{command}` has no effect: put it behind the command"
                )),
            }
        }
        Ok(())
    }

    fn finish(self) -> Read {
        if self.is_help() {
            let all = self.command.words.is_empty();
            Read::Help(if all { Topic::All } else { Topic::Command(self.command) })
        } else if self.is_version() {
            Read::Version
        } else {
            Read::Words(self)
        }
    }

    fn is_help(&self) -> bool {
        self.given.contains_key("help")
    }

    fn is_version(&self) -> bool {
        self.given.contains_key("version")
    }

    /// All values of an option, in order.
    pub(super) fn values(&self, name: &str) -> &[OsString] {
        debug_assert!(self.command.flag(name).is_some(), "{:?} --{name}", self.command.words);
        self.given.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// An error of usage.
    pub(super) fn usage(&self, text: String) -> Refusal {
        Refusal { code: Code::Generic, text, usage: Some(self.command) }
    }
}

/// Whether an argument is an option; `-` alone is a file.
fn is_option(argument: &OsStr) -> bool {
    let bytes = argument.as_bytes();
    bytes.len() > 1 && bytes.first() == Some(&b'-')
}

fn unknown(name: &str) -> Refusal {
    let name = name.trim_start_matches('-');
    let text = format!("flag provided but not defined: -{name}");
    Refusal { code: Code::Generic, text, usage: None }
}

/// What `strconv.ParseBool` of Go takes.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A decimal number.
pub(super) fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// What may follow, for completions.
fn candidates(before: &[OsString]) -> Vec<String> {
    let words: Vec<&str> = before.iter().filter_map(|word| word.to_str()).collect();
    let plain: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let command = match plain.as_slice() {
        [first, second, ..] if table::is_group(first) => table::command(&[first, second]),
        [first, ..] => table::command(&[first]),
        [] => None,
    };
    if words.last().is_some_and(|word| word.starts_with('-')) {
        let flags = command.unwrap_or(&ROOT).flags.iter().copied().flatten();
        return flags.filter_map(|flag| flag.names.first()).map(|n| format!("--{n}")).collect();
    }
    let (group, at) = match plain.as_slice() {
        [] => (None, 0),
        [group] if table::is_group(group) => (Some(*group), 1),
        _ => return Vec::new(),
    };
    let matching = COMMANDS.iter().filter(|command| {
        group.is_none_or(|group| command.words.first().is_some_and(|first| *first == group))
    });
    let mut names: Vec<String> =
        matching.filter_map(|command| command.words.get(at)).map(|n| (*n).to_owned()).collect();
    names.dedup();
    names
}
