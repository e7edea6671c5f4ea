//! Errors for people: what happened, where, what to do. The only place with their wording.

pub(super) mod activate;
mod sops;

use std::path::Path;

use super::ui::{shown, shown_place};
use crate::format::age::AgeError;
use crate::format::sops::data_key::Locked;
use crate::fsx::ReplaceError;
use crate::key::keyring::{Tried, Unopened};
use crate::key::wrap::WrapError;
use crate::key::wrapping::WrappingKind;
use crate::work::compare::{Comparison, LeftOver, compare};
use crate::work::{Expected, FileError, Problem, status};

/// An error as it is shown.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// One line, lower case, no period.
    pub(crate) headline: String,
    /// Indented below.
    pub(crate) details: Vec<String>,
    /// A step that the user can take.
    pub(crate) hint: Option<String>,
    /// For machines: `header`, `armor`, `hmac`, `no-match`, `payload`, else `error`.
    pub(crate) class: Class,
    /// The signal that is to end the process once this was shown.
    pub(crate) signal: Option<i32>,
}

/// What kind of failure it is, for `--error-format json`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The header of an age file breaks a rule.
    Header,
    /// The armor does.
    Armor,
    /// The header was changed.
    Hmac,
    /// No identity fits.
    NoMatch,
    /// The content is damaged.
    Payload,
    /// Anything else.
    #[default]
    Error,
}

impl Class {
    /// The word in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Armor => "armor",
            Self::Hmac => "hmac",
            Self::NoMatch => "no-match",
            Self::Payload => "payload",
            Self::Error => "error",
        }
    }
}

impl Failure {
    /// An error of one line.
    pub(crate) fn new(headline: impl Into<String>) -> Self {
        Self { headline: headline.into(), ..Self::default() }
    }

    /// From a text of several lines: the headline, and the details below it.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut lines = text.lines();
        let failure = Self::new(lines.next().unwrap_or_default());
        lines.fold(failure, |failure, line| failure.detail(line.strip_prefix("  ").unwrap_or(line)))
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do, where there is something.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds a line below the headline.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        // A name with a line end in it must not pass for a line of ours.
        let mut text = format!("error: {}", self.headline.replace('\n', "\\n"));
        for line in self.details.iter().flat_map(|detail| detail.lines()) {
            text.push_str("\n  ");
            text.push_str(line);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(&hint.replace('\n', "\\n"));
        }
        text
    }
}

/// What is known around a file error.
#[derive(Default)]
pub(crate) struct Around<'a> {
    /// What was tried to open the file.
    pub(crate) tried: &'a [Tried],
    /// Who is to read it, where the rules are known.
    pub(crate) needs: &'a [Expected],
}

/// Explains what went wrong with one file.
pub(crate) fn file_error(error: &FileError, around: &Around<'_>) -> Failure {
    problem(&error.problem, &error.path, around)
}

/// Explains a problem with the file at `path`.
pub(crate) fn problem(problem: &Problem, path: &Path, around: &Around<'_>) -> Failure {
    let file = shown(path);
    match problem {
        Problem::Absent => Failure::new(format!("there is no file `{file}`")),
        Problem::NotEncrypted => Failure {
            class: Class::Header,
            ..Failure::new(format!("`{file}` is not encrypted"))
        }
        .hint(
            "if it holds a secret, take it for known, replace the value, and encrypt the new one",
        ),
        Problem::Broken(what) => {
            Failure { class: Class::Header, ..Failure::new(format!("cannot use `{file}`: {what}")) }
                .hint("restore it from git")
        }
        Problem::Unopened(unopened) => unopened_file(unopened, path, around),
        Problem::Age(error) => age_error(error, &file),
        Problem::Wrap(error) => wrap_error(error, &file),
        Problem::Sops(error) => sops::error(error, &file),
        Problem::Locked(locked) => sops::locked(locked, &file, around),
        Problem::Rewrap(error) => sops::rewrap_error(error, &file),
        Problem::NoSopsRule => {
            Failure::new(format!("`{file}` is a sops file, and its rule is about age files"))
                .hint("give it a rule in a `.sops.yaml` or `secretctl.yaml`")
        }
        Problem::NotSops => Failure::new(format!("`{file}` is an age file, which has no other type"))
            .hint("`--output-type` is about sops files"),
        Problem::NoParts => {
            Failure::new(format!("the content of `{file}` has no parts that could be named"))
                .hint("`secretctl decrypt` and `edit` are about all of it; `--input-type` says what it is if its name does not")
        }
        Problem::Content { store, error } => {
            Failure::new(format!("the content of `{file}` is no {store}: {error}"))
        }
        Problem::Replace(error) => replace_error(error),
        Problem::HalfDone { done, error } => {
            let headline = format!("`{file}` could not be put in place for good");
            Failure::new(format!("{headline}; other files that are: {done}"))
                .detail(error.to_string())
                .hint("every file is whole, old or new; run the same command again to finish")
        }
        Problem::Changed => {
            Failure::new(format!("`{file}` was changed meanwhile by another program"))
                .hint("nothing was written; run the command again")
        }
        Problem::LeadsOut { real } => {
            Failure::new(format!("`{file}` leads out of the repository, to `{}`", shown(real)))
                .hint(
                    "name that file where it is, under its own rules, or put one in the place of the link",
                )
        }
        Problem::Input { path, error } => {
            Failure::new(format!("cannot read `{}`: {error}", shown(path)))
        }
        Problem::Signals(error) => Failure::new(format!("signals cannot be handled: {error}")),
        Problem::Interrupted(signal) => Failure {
            signal: Some(*signal),
            ..Failure::new("interrupted, and nothing was changed")
        },
        Problem::Output(error) => super::ui::stdout_failure(error),
        Problem::EmptyInput => Failure::new("standard input is empty, and nothing was written")
            .hint("the command before the pipe may have failed; `--allow-empty` means it"),
        Problem::TooManyReaders => {
            Failure::new(format!("`{file}` would have more than 1024 stanzas, which age refuses"))
                .hint("let the hosts of a group share a key, or split the secret")
        }
    }
}

fn unopened_file(unopened: &Unopened, path: &Path, around: &Around<'_>) -> Failure {
    let file = shown(path);
    match unopened {
        Unopened::BrokenStanza => Failure {
            class: Class::Header,
            ..Failure::new(format!("cannot decrypt `{file}`: a stanza in its header is malformed"))
        }
        .hint("restore it from git"),
        Unopened::TooMuchWork => Failure {
            class: Class::Header,
            ..Failure::new(format!(
                "cannot decrypt `{file}`: its passphrase needs more than 2^22 rounds of scrypt"
            ))
        },
        Unopened::NoMatch => no_match(path, &file, around),
    }
}

fn no_match(path: &Path, file: &str, around: &Around<'_>) -> Failure {
    let headline = no_match_headline(file, around);
    let mut failure = Failure { class: Class::NoMatch, ..Failure::new(headline) };
    failure = tried_lines(failure, around);
    let said = |needs: &Expected, not_yet: &str| {
        let key = needs.recipient.short();
        let name = if needs.reader == key { "" } else { &format!("{}, ", needs.reader) };
        format!("{name}{key} ({}){not_yet}", shown_place(&needs.place))
    };
    // The file may be older than its rule.
    let header = status::open(path).map(|encrypted| encrypted.header.stanzas).ok();
    let compared = header.map(|stanzas| compare(&stanzas, around.needs, around.needs, false));
    let Comparison { missing, left_over, .. } = compared.unwrap_or_default();
    let (later, now): (Vec<_>, Vec<_>) =
        around.needs.iter().partition(|needs| missing.contains(needs));
    let now = now.into_iter().map(|needs| said(needs, ""));
    let others = left_over.iter().filter_map(other_reader).filter(|_| !around.needs.is_empty());
    let later = later.into_iter().map(|needs| said(needs, ", not yet"));
    failure = needs_lines(failure, now.chain(others).chain(later));
    let remedy = around.tried.iter().find_map(|tried| tried.remedy.clone());
    if let Some(remedy) = remedy {
        failure.hint(remedy)
    } else if around.needs.is_empty() {
        failure.hint("name the private key with `--identity FILE`")
    } else {
        failure.hint(format!(
            "name one of these keys with `--identity FILE`, or run `secretctl rekey {}` where one \
             of them is",
            quoted(file)
        ))
    }
}

/// Somebody who reads a file although its rule does not name them, as far as its header tells.
fn other_reader(left: &LeftOver) -> Option<String> {
    let who = match left {
        LeftOver::Tag { kind, tag } => format!("{kind} key with tag {}", hex::encode(tag)),
        LeftOver::Fingerprint(print) => format!("key with fingerprint {}", hex::encode(print)),
        LeftOver::Known(_) | LeftOver::Key(_) | LeftOver::Anonymous { .. } => return None,
    };
    Some(format!("{who}, which its rule does not name"))
}

/// As [`no_match_headline`], for a sops file: identities are not to blame where none could fit.
fn locked_headline(locked: &Locked, file: &str, around: &Around<'_>) -> String {
    let kinds = locked.groups.iter().flat_map(|group| &group.keys).map(|entry| entry.key.kind());
    let kinds: Vec<WrappingKind> = kinds.collect();
    let none_of_age = !kinds.is_empty() && !kinds.contains(&WrappingKind::Age);
    if none_of_age && !kinds.contains(&WrappingKind::Pgp) {
        format!("cannot decrypt `{file}`: no key service opens it")
    } else if none_of_age {
        format!("cannot decrypt `{file}`: none of its keys opens it")
    } else {
        no_match_headline(file, around)
    }
}

fn no_match_headline(file: &str, around: &Around<'_>) -> String {
    let keys =
        around.tried.iter().filter_map(|t| t.what.as_ref().ok()).map(Vec::len).sum::<usize>();
    match keys {
        0 => format!("cannot decrypt `{file}`: there is no identity to try"),
        1 => format!("cannot decrypt `{file}`: the one identity does not fit"),
        n => format!("cannot decrypt `{file}`: none of {n} identities fits"),
    }
}

fn tried_lines(mut failure: Failure, around: &Around<'_>) -> Failure {
    for (index, tried) in around.tried.iter().enumerate() {
        let what = match &tried.what {
            Ok(keys) => keys.join(", "),
            Err(reason) => reason.clone(),
        };
        let label = if index == 0 { "tried:" } else { "      " };
        failure = failure.detail(format!("{label} {} ({what})", tried.source));
    }
    failure
}

fn needs_lines(mut failure: Failure, needs: impl Iterator<Item = String>) -> Failure {
    for (index, needs) in needs.enumerate() {
        let label = if index == 0 { "needs:" } else { "      " };
        failure = failure.detail(format!("{label} {needs}"));
    }
    failure
}

fn age_error(error: &AgeError, file: &str) -> Failure {
    let class = match error {
        AgeError::NotAge | AgeError::Header(_) => Class::Header,
        AgeError::Armor(_) => Class::Armor,
        AgeError::Mac => Class::Hmac,
        AgeError::Payload { .. } => Class::Payload,
        AgeError::Read(_) | AgeError::Write(_) => Class::Error,
    };
    let failure = Failure { class, ..Failure::new(format!("cannot decrypt `{file}`: {error}")) };
    match error {
        AgeError::Read(error) => Failure::new(format!("cannot read `{file}`: {error}")),
        AgeError::Write(error) => Failure::new(format!("cannot write `{file}`: {error}")),
        AgeError::NotAge
        | AgeError::Header(_)
        | AgeError::Armor(_)
        | AgeError::Mac
        | AgeError::Payload { .. } => failure.hint("restore it from git"),
    }
}

/// Explains why a file cannot be replaced.
pub(crate) fn replace_error(error: &ReplaceError) -> Failure {
    Failure::new(error.to_string()).maybe_hint(error.remedy())
}

fn wrap_error(error: &WrapError, file: &str) -> Failure {
    let hint = match error {
        WrapError::NoRecipient => Some("give its rule at least one reader".to_owned()),
        WrapError::Mixed => {
            Some("give every reader of this file a post-quantum key, or none".to_owned())
        }
        WrapError::Recipient { error, .. } => error.remedy(),
        WrapError::Plugin { error } => error.remedy(),
        WrapError::PassphraseNotText => None,
    };
    Failure::new(format!("cannot encrypt `{file}`: {error}")).maybe_hint(hint)
}

/// A name as a shell takes it.
pub(crate) fn quoted(name: &str) -> String {
    shell_words::quote(name).into_owned()
}

/// A text as Nix takes it, for lines that the user copies: nothing in it is evaluated.
pub(crate) fn nix_string(text: &str) -> String {
    let text = super::ui::clean(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace("${", "\\${"))
}
