//! Any bytes as a message for PGP keys, as what is in one, and as a file of private keys, give
//! something or an error.
#![no_main]
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use libfuzzer_sys::fuzz_target;
use secretctl::key::pgp::message::{self, Work};
use secretctl::key::pgp::secret::{Exported, SecretKey};

static KEYS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let file = include_bytes!("../../testdata/pgp/cv25519.asc");
    Exported::read(file).map(|exported| exported.keys).unwrap_or_default()
});

fuzz_target!(|data: &[u8]| {
    assert_eq!(KEYS.len(), 1);
    let open = |text: &str| message::open(text, &KEYS, &mut Work::default());
    match data {
        [0, binary @ ..] => {
            let text = BASE64_STANDARD.encode(binary);
            let _maybe = open(&format!(
                "-----BEGIN PGP MESSAGE-----\n\n{text}\n-----END PGP MESSAGE-----\n"
            ));
        }
        [1, packets @ ..] => {
            if let Ok(content) = message::content(packets) {
                assert!(content.len() <= packets.len().max(64 * 1024));
            }
        }
        file => {
            let _maybe = open(&String::from_utf8_lossy(file));
            if let Ok(exported) = Exported::read(file) {
                for key in exported.keys {
                    assert_eq!(key.fingerprint.to_string().len(), 40);
                }
            }
        }
    }
});
