//! `-> secretctl-readers v1`: the fingerprints of all recipients of a file, so that a stale file
//! can be told without any private key. Unknown stanza types are skipped by every
//! implementation of age, and the MAC of the header covers it.
//!
//! It is a hint, never a proof: whoever holds the file key can write it. So it is only believed
//! where the other stanzas of the header agree with it.

use age_core::format::Stanza;

use crate::key::Recipient;
use crate::key::stanza::{StanzaRef, Stanzas};

/// The type word.
pub const STANZA: &str = "secretctl-readers";
const VERSION: &str = "v1";

/// First 8 bytes of SHA-256 over a canonical recipient.
pub type Fingerprint = [u8; 8];

/// The stanza for these recipients; sorted, each once.
pub fn stanza<'a>(recipients: impl IntoIterator<Item = &'a Recipient>) -> Stanza {
    let mut prints: Vec<Fingerprint> = recipients.into_iter().map(Recipient::fingerprint).collect();
    prints.sort_unstable();
    prints.dedup();
    Stanza {
        tag: STANZA.to_owned(),
        args: vec![VERSION.to_owned()],
        body: prints.into_iter().flatten().collect(),
    }
}

/// The fingerprints that a header lists, sorted, each once. `None` where it lists none, lists them in a version
/// that we do not know, or more than once.
pub fn parse(stanzas: &Stanzas) -> Option<Vec<Fingerprint>> {
    let mut listed = stanzas.iter().filter(|stanza| stanza.tag() == STANZA);
    let (Some(only), None) = (listed.next(), listed.next()) else { return None };
    let body = only.body();
    if !only.args().eq([VERSION]) || !body.len().is_multiple_of(8) {
        return None;
    }
    let mut prints = body.as_chunks::<8>().0.to_vec();
    prints.sort_unstable();
    prints.dedup();
    Some(prints)
}

/// Whether a stanza carries a file key, as far as can be told: not our list, no grease.
pub fn carries_key(stanza: StanzaRef<'_>) -> bool {
    stanza.tag() != STANZA && !stanza.tag().ends_with("-grease")
}
