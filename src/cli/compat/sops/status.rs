//! `sops filestatus`

use super::desk::Desk;
use super::invocation::FileStatus;
use super::resolve::refusal;
use super::{Code, Done, print};
use crate::format::sops::file;

pub(super) fn run(status: &FileStatus) -> Done {
    let FileStatus { settings, subject } = status;
    let desk = Desk::new(settings, None)?;
    let failed = |what: &str| {
        refusal(
            Code::Generic,
            format!("cannot check file status: cannot load encrypted file: {what}"),
        )
    };
    let text = desk.text(subject).map_err(|refusal| failed(&refusal.text))?;
    let encrypted =
        file::is_encrypted(subject.input, &text).map_err(|error| failed(&error.to_string()))?;
    print(&format!("{{\"encrypted\":{encrypted}}}\n"))
}
