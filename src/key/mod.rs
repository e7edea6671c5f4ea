//! Keys: parse, print, compare and load recipients (public) and identities (private).
//!
//! Knows nothing of secret files; it is handed stanzas and hands back file keys.

pub mod ask;
pub(crate) mod bech32;
mod ed25519;
pub mod hybrid;
pub mod identity;
pub mod keyring;
pub mod list;
mod pbes2;
pub mod pgp;
pub mod plugin;
pub mod recipient;
pub mod service;
pub mod ssh;
pub mod stanza;
pub mod wrap;
pub mod wrapping;

pub use ask::{Ask, NoAsk};
pub use pgp::{Pgp, PgpError};
pub use plugin::{Allowed, PluginError, PluginFileError, Plugins};
pub use recipient::{Recipient, RecipientError};

pub(crate) use crate::fsx::fill_random;
