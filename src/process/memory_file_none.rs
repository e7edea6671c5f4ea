//! Where there are no decrypted files without a name: nothing is ever made.

use std::io;
use std::path::PathBuf;

use super::Account;
use crate::plaintext::Plaintext;

/// There is none.
#[derive(Debug)]
pub(super) enum MemoryFile {}

impl MemoryFile {
    /// Never makes one.
    #[expect(clippy::unnecessary_wraps, reason = "as where there are some")]
    pub(super) fn create(
        _content: &Plaintext,
        _user: Option<&Account>,
    ) -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Where whoever has the descriptor finds it.
    pub(super) fn path(&self) -> PathBuf {
        match *self {}
    }

    /// Leaves it open in what is started from now on.
    pub(super) fn hand_on(&self) -> io::Result<()> {
        match *self {}
    }

    /// Has it closed again in what is started from now on.
    pub(super) fn take_back(&self) -> io::Result<()> {
        match *self {}
    }
}
