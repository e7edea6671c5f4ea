//! What goes wrong with files, in the exit codes of sops and in its words where programs that call
//! it may look for them.

use super::resolve::refusal;
use super::{Code, Refusal};
use crate::cli::explain::{Around, problem};
use crate::cli::ui;
use crate::format::age::AgeError;
use crate::format::sops::data_key::RewrapError;
use crate::format::sops::file::SopsError;
use crate::format::sops::store::StoreError;
use crate::fsx::ReplaceError;
use crate::key::keyring::Tried;
use crate::work::Problem;

use std::path::Path;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Reading or decrypting a file.
    Opening,
    /// Encrypting a document.
    Sealing,
}

/// Explains a problem with a file; `tried` is where identities were looked for.
pub(super) fn of(error: &Problem, doing: Doing, file: &Path, tried: &[Tried]) -> Refusal {
    match error {
        Problem::Absent => {
            let file = ui::shown(file);
            refusal(Code::Input, format!("Error reading file: there is no file `{file}`"))
        }
        Problem::Age(AgeError::Read(error)) => of_reading(error),
        Problem::NotEncrypted | Problem::Sops(SopsError::NotEncrypted) => {
            refusal(Code::Generic, "sops metadata not found")
        }
        Problem::Sops(error) => of_file(error, doing),
        Problem::Locked(locked) => refusal(Code::NoKey, locked.sops_text(tried)),
        Problem::Rewrap(error) => {
            let why = of_wrapping(error);
            refusal(Code::Generic, format!("Could not generate data key: [{why}]"))
        }
        Problem::Replace(error) => of_writing(error),
        other => {
            let around = Around { tried, needs: &[] };
            refusal(Code::Generic, problem(other, file, &around).text())
        }
    }
}

/// Why a data key cannot be wrapped.
pub(super) fn of_wrapping(error: &RewrapError) -> String {
    match error {
        RewrapError::NoGroup | RewrapError::EmptyGroup { .. } => {
            "empty key group provided".to_owned()
        }
        other => match other.remedy() {
            Some(remedy) => format!("{other}; {remedy}"),
            None => other.to_string(),
        },
    }
}

fn of_file(error: &SopsError, doing: Doing) -> Refusal {
    let sealing = doing == Doing::Sealing;
    match error {
        SopsError::Parse(error) if sealing => {
            refusal(Code::Input, format!("Error unmarshalling file: {error}"))
        }
        SopsError::Parse(_) | SopsError::Metadata(_) | SopsError::NotEncrypted => {
            refusal(Code::Generic, format!("Error unmarshalling input: {error}"))
        }
        SopsError::AlreadyEncrypted { document: 0 } => refusal(Code::AlreadyEncrypted, ENCRYPTED),
        SopsError::AlreadyEncrypted { .. } => {
            refusal(Code::Dump, format!("Could not marshal tree: the file {error}"))
        }
        SopsError::NoDocument => refusal(
            Code::NoDocument,
            "File cannot be completely empty, it must contain at least one document",
        ),
        SopsError::Store(error) => of_printing(error, doing),
        SopsError::Bares(_) | SopsError::BaresNew(_) => {
            refusal(Code::EncryptTree, format!("Error encrypting tree: {error}"))
        }
        SopsError::Selector(_) | SopsError::Value { .. } | SopsError::Key if sealing => {
            refusal(Code::EncryptTree, format!("Error encrypting tree: {error}"))
        }
        SopsError::Selector(_) | SopsError::Value { .. } | SopsError::Key => {
            refusal(Code::DecryptTree, format!("Error decrypting tree: {error}"))
        }
        SopsError::Missing { .. } => {
            refusal(Code::Generic, format!("error truncating tree: {error}"))
        }
        SopsError::Mac => refusal(Code::Mac, format!("MAC mismatch. {error}")),
        SopsError::NoMac => {
            refusal(Code::Mac, "MAC mismatch. File has no MAC, so changes could not be seen")
        }
        SopsError::Random(_) => {
            refusal(Code::Generic, format!("Could not generate data key: {error}"))
        }
    }
}

/// What the wanted kind of document cannot hold.
pub(super) fn of_printing(error: &StoreError, doing: Doing) -> Refusal {
    let what = match doing {
        Doing::Opening => "Error dumping file",
        Doing::Sealing => "Could not marshal tree",
    };
    refusal(Code::Dump, format!("{what}: {error}"))
}

/// An input that cannot be read.
pub(super) fn of_reading(error: &std::io::Error) -> Refusal {
    refusal(Code::Input, format!("Error reading file: {error}"))
}

/// A file that cannot be put in place.
pub(super) fn of_writing(error: &ReplaceError) -> Refusal {
    let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    refusal(Code::Output, format!("Could not open file for writing: {error}{remedy}"))
}

/// The first line is sops's.
const ENCRYPTED: &str = "\
The file you have provided contains a top-level entry called 'sops', or for flat file formats \
top-level entries starting with 'sops_'.
It is encrypted already (then `sops edit FILE` changes it), or this entry needs another name.";
