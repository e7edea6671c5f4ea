//! The parts of an encrypted value, put together again, are what was read; none of it opens.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::data_key::DataKey;
use secretctl::format::sops::value::{Cipher, Parts};
use secretctl::plaintext::Plaintext;

fuzz_target!(|data: &[u8]| {
    if let Some(parts) = Parts::parse(data) {
        let [a, b, c, d] = [parts.data, parts.nonce, parts.tag, parts.kind];
        let names: [&[u8]; 5] = [b"ENC[AES256_GCM,data:", b",iv:", b",tag:", b",type:", b"]"];
        let written = [names[0], a, names[1], b, names[2], c, names[3], d, names[4]].concat();
        assert!(data.starts_with(&written));
        assert_eq!(Parts::parse(&written), Some(parts));
    }
    // test-only
    if let Some(key) = DataKey::from_plaintext(Plaintext::copy_of(&[7; 32])) {
        assert!(Cipher::new(&key).decrypt(data, b"a:").is_err());
    }
});
