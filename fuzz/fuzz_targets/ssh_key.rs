//! Any bytes in the armor of a private SSH key, or behind the name of a public one, give a key or an
//! error.
#![no_main]
use base64::prelude::{BASE64_STANDARD, Engine as _};
use libfuzzer_sys::fuzz_target;
use secretctl::key::identity::{self, Entry};
use secretctl::key::{Recipient, list};
use secretctl::plaintext::Plaintext;

const PRIVATE: [&str; 4] =
    ["OPENSSH PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];
const PUBLIC: [&str; 4] = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss"];

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let text = BASE64_STANDARD.encode(rest);
    if let Some(label) = PRIVATE.get(usize::from(*first)) {
        let mut pem = format!("-----BEGIN {label}-----\n").into_bytes();
        let width = if *first == 0 { 70 } else { 64 };
        for line in text.as_bytes().chunks(width) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
        for entry in identity::parse(&Plaintext::new(pem)).into_iter().flatten() {
            if let Entry::Ready(identity) = entry {
                assert!(identity.recipient().is_some());
            }
        }
    } else if let Some(name) = PUBLIC.get(usize::from(*first) - PRIVATE.len()) {
        let line = format!("{name} {text} test-only");
        if let Ok(recipient) = Recipient::parse(&line) {
            assert!(Recipient::parse(recipient.canonical()).is_ok_and(|again| again == recipient));
        }
        let _maybe = list::parse(&format!("host {line}\n"));
    }
});
