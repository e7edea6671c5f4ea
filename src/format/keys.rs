//! All that opens secret files in one run. Opens nothing itself.

use super::sops::data_key::DecryptionOrder;
use crate::key::Plugins;
use crate::key::keyring::{Keyring, Tried};
use crate::key::pgp::Pgp;
use crate::key::service::Services;

/// Identities, `gpg`, key services, and the order in which sops files try them.
pub struct Keys<'a> {
    /// The identities.
    pub keyring: Keyring<'a>,
    /// How `gpg` is run.
    pub pgp: Pgp,
    /// The key services, if they may be asked.
    pub services: Services,
    /// Which kinds of keys are tried first.
    pub order: DecryptionOrder,
}

impl<'a> Keys<'a> {
    /// What was tried so far.
    pub fn tried(&self) -> &[Tried] {
        self.keyring.tried()
    }

    /// How plugins are started and whom to ask.
    pub fn plugins(&self) -> Plugins<'a> {
        self.keyring.plugins()
    }

    /// What wraps for keys that are not of age.
    pub fn outside(&self) -> (&Pgp, &Services) {
        (&self.pgp, &self.services)
    }
}
