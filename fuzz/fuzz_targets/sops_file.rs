//! Any text of each kind is a sops file or refused, and opening it with a key ends with an error or
//! a document.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::data_key::DataKey;
use secretctl::format::sops::file::{MacCheck, SopsFile, Writer};
use secretctl::format::sops::store::Store;
use secretctl::plaintext::Plaintext;

fuzz_target!(|data: &[u8]| {
    for store in [Store::Yaml, Store::Json, Store::Dotenv, Store::Ini, Store::Binary] {
        let Ok(file) = SopsFile::read(store, Plaintext::copy_of(data)) else { continue };
        let _found = file.in_the_open();
        // test-only
        let Some(key) = DataKey::from_plaintext(Plaintext::copy_of(&[7; 32])) else { return };
        let Ok(opened) = file.open(&key, MacCheck::Ignore) else { continue };
        let _document = opened.document(&Writer::Lossless, store);
        let _texts = opened.into_texts();
    }
});
