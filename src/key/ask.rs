//! Asking the user: passphrases, confirmations. The command line answers from the terminal or a
//! program; the target has one that never answers.

use crate::plaintext::Plaintext;

/// Somebody who may be asked. `None` always means that there was no answer.
pub trait Ask: Sync {
    /// A passphrase or PIN, not echoed.
    fn secret(&self, prompt: &str) -> Option<Plaintext>;
    /// A line of text, echoed.
    fn line(&self, prompt: &str) -> Option<String>;
    /// A choice between `yes` and, where there is one, `no`.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool>;
    /// Something to know while waiting, such as a request to touch a device.
    fn message(&self, text: &str);
}

/// Never answers.
pub struct Nobody;

impl Ask for Nobody {
    fn secret(&self, _prompt: &str) -> Option<Plaintext> {
        None
    }

    fn line(&self, _prompt: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _text: &str) {}
}
