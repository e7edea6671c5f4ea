//! The exit codes of sops (`cmd/sops/codes/codes.go` of 3.13); those that it never uses are left
//! out.

use std::process::ExitCode;

/// Why a run ends other than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Anything without a code of its own, wrong usage too.
    Generic = 1,
    /// The input cannot be read or parsed.
    Input = 2,
    /// The output cannot be written. Also: no help on that topic.
    Output = 3,
    /// The result cannot be printed in the wanted format.
    Dump = 4,
    /// `--encryption-context` is not `key:value,…`.
    Context = 6,
    /// The index or value of `set` or `unset` makes no sense.
    Set = 7,
    /// Options that contradict each other.
    Conflict = 8,
    /// The values cannot be encrypted.
    EncryptTree = 23,
    /// The values cannot be decrypted.
    DecryptTree = 25,
    /// Keys are to be added to or removed from a file that is not there.
    KeysOfMissing = 49,
    /// The MAC is wrong or missing.
    Mac = 51,
    /// The way of `--extract` makes no sense.
    Way = 91,
    /// There is no document in the file.
    NoDocument = 92,
    /// No file is named, or it is not there.
    NoFile = 100,
    /// A kind of key stands twice in the decryption order.
    TwiceInOrder = 112,
    /// No key opens the file.
    NoKey = 128,
    /// An edit changed nothing.
    NotModified = 200,
    /// There is no editor, or it failed.
    Editor = 201,
    /// The file is encrypted already.
    AlreadyEncrypted = 203,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
