//! Any file of identities gives keys or an error; what an identity says of itself can be read again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::key::Recipient;
use secretctl::key::identity::{self, Entry};
use secretctl::plaintext::Plaintext;

fuzz_target!(|data: &[u8]| {
    let content = Plaintext::copy_of(data);
    for entries in [identity::parse(&content), identity::parse_words(&content)] {
        for entry in entries.into_iter().flatten() {
            let Entry::Ready(identity) = entry else { continue };
            if let Some(recipient) = identity.recipient() {
                assert!(Recipient::parse(recipient.canonical()).is_ok_and(|r| r == recipient));
            }
            if let Some(text) = identity.age_text() {
                assert!(identity::parse(&text).is_ok_and(|entries| entries.len() == 1));
            }
        }
    }
});
