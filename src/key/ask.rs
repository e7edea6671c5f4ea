//! Questions to the user, for passphrases, PINs and the like. This room has no terminal; who
//! calls it brings something that has one, or [`NoAsk`].

use std::time::Duration;

use crate::plaintext::Plaintext;

/// Someone who can be asked. `None` is the answer where there is nobody.
pub trait Ask: Sync {
    /// A passphrase or PIN, not shown while it is typed.
    fn secret(&self, prompt: &str) -> Option<Plaintext>;
    /// A line that may be shown.
    fn line(&self, prompt: &str) -> Option<String>;
    /// A choice between `yes` and `no`; without `no`, `yes` is all there is to press.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool>;
    /// Something to be told, such as "touch the key"; whether it was.
    fn message(&self, text: &str) -> bool;
    /// How long a program may take that somebody may have to answer; `None` for as long as it
    /// likes.
    fn patience(&self) -> Option<Duration> {
        None
    }
}

/// Asks nobody: for the target, and for everything that runs unattended.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAsk;

impl Ask for NoAsk {
    fn secret(&self, _prompt: &str) -> Option<Plaintext> {
        None
    }

    fn line(&self, _prompt: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _text: &str) -> bool {
        false
    }

    fn patience(&self) -> Option<Duration> {
        Some(UNATTENDED)
    }
}

/// A machine that starts up does not wait longer for a key that nobody touches.
pub(crate) const UNATTENDED: Duration = Duration::from_mins(1);
