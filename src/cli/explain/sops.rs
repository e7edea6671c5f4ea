//! Errors of sops files for people.

use super::{Around, Class, Failure, needs_lines, quoted, tried_lines};
use crate::format::sops::data_key::{Locked, RewrapError};
use crate::format::sops::file::SopsError;
use crate::format::sops::store::Way;
use crate::format::sops::value::ValueError;
use crate::key::wrapping::{WrappingKey, WrappingKind};
use crate::work::Expected;

/// Explains what is wrong with a sops file.
pub(super) fn error(error: &SopsError, file: &str) -> Failure {
    let (class, what, hint) = match error {
        SopsError::Missing { way } => {
            return Failure::new(format!("`{file}` has no value `{}`", Way(way)));
        }
        SopsError::Parse(_) => {
            (Class::Header, "cannot read", Some("if it was encrypted once, restore it from git"))
        }
        SopsError::NotEncrypted | SopsError::Metadata(_) => (Class::Header, "cannot use", GIT),
        SopsError::AlreadyEncrypted { .. } => (
            Class::Error,
            "cannot encrypt",
            Some("`secretctl edit` changes an encrypted file; a key of one's own cannot be `sops`"),
        ),
        SopsError::NoDocument => (Class::Error, "cannot encrypt", None),
        SopsError::Store(error) if error.canonical_can => {
            (Class::Error, "cannot write", Some("`--canonical` writes it as sops does"))
        }
        SopsError::Store(_) | SopsError::Random(_) => (Class::Error, "cannot write", None),
        SopsError::Selector(_) => (Class::Error, "cannot use", None),
        SopsError::Value { what: ValueError::Ambiguous | ValueError::Digits, .. } => {
            (Class::Error, "cannot encrypt", None)
        }
        SopsError::Value { .. } => (Class::Payload, "cannot decrypt", GIT),
        SopsError::Bares(_) => (
            Class::Payload,
            "cannot write",
            Some("somebody without the key may have changed its metadata: restore it from git"),
        ),
        SopsError::BaresNew(_) => (
            Class::Error,
            "cannot write",
            Some(
                "restore its metadata from git; or else, where the rules are right, decrypt the \
                 file, remove it, and encrypt it anew",
            ),
        ),
        SopsError::Key => (Class::Hmac, "cannot decrypt", GIT),
        SopsError::Mac | SopsError::NoMac => (
            Class::Hmac,
            "cannot decrypt",
            Some("somebody without the key may have changed it: restore it from git"),
        ),
    };
    // These begin with what the file has or has not.
    let about_it = matches!(
        error,
        SopsError::NotEncrypted
            | SopsError::AlreadyEncrypted { .. }
            | SopsError::NoMac
            | SopsError::NoDocument
    );
    let it = if about_it { "it " } else { "" };
    let failure = Failure { class, ..Failure::new(format!("{what} `{file}`: {it}{error}")) };
    failure.maybe_hint(hint.map(str::to_owned))
}

/// What to do about a file that was sound once.
const GIT: Option<&str> = Some("restore it from git");

/// Explains why the data key of a sops file was not found.
pub(super) fn locked(locked: &Locked, file: &str, around: &Around<'_>) -> Failure {
    if let Some(unusable) = &locked.unusable {
        let failure = Failure::new(format!("cannot decrypt `{file}`: {unusable}"));
        return Failure { class: Class::Header, ..failure }.hint("restore it from git");
    }
    let open = locked.groups.iter().filter(|group| group.opened).count();
    let headline = if locked.groups.len() > 1 {
        format!(
            "cannot decrypt `{file}`: {open} of the {} key groups that it takes open it",
            locked.needed
        )
    } else {
        super::locked_headline(locked, file, around)
    };
    let mut failure = Failure { class: Class::NoMatch, ..Failure::new(headline) };
    failure = tried_lines(failure, around);
    for entry in locked.notable() {
        failure = failure.detail(format!("tried: {} ({})", entry.key.shown(), entry.reason));
    }
    failure = needs_lines(failure, locked.needs().map(|key| need(key, around.needs)));
    let remedy = around.tried.iter().find_map(|tried| tried.remedy.clone());
    let remedy = remedy.or_else(|| locked.remedy());
    let none_of_age = locked.needs().all(|key| key.kind() != WrappingKind::Age);
    failure.hint(remedy.unwrap_or_else(|| {
        if none_of_age {
            return format!(
                "run `secretctl rekey {}` where one of these keys can be used",
                quoted(file)
            );
        }
        format!(
            "name one of these keys with `--identity FILE`, or run `secretctl rekey {}` where one \
             of them is",
            quoted(file)
        )
    }))
}

/// The key, with the name of its reader where the rules know it.
fn need(key: &WrappingKey, known: &[Expected]) -> String {
    let who = known.iter().find(|who| Some(&who.recipient) == key.recipient());
    who.map_or_else(
        || key.recipient().map_or_else(|| key.shown(), crate::key::Recipient::short),
        Expected::label,
    )
}

/// Explains why a data key cannot be given to the readers of a file.
pub(super) fn rewrap_error(error: &RewrapError, file: &str) -> Failure {
    Failure::new(format!("cannot encrypt `{file}`: {error}")).maybe_hint(error.remedy())
}
