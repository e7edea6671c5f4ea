//! Any text is a `.narinfo` file or none, and none leads out of its cache.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::scan::narinfo::NarInfo;
use secretctl::scan::signature::{CACHE_NIXOS_ORG, TrustedKey};

fuzz_target!(|text: &str| {
    if let Some(info) = NarInfo::parse(text) {
        assert!(!info.url.starts_with('/') && !info.url.split('/').any(|part| part == ".."));
        if let Ok(key) = TrustedKey::parse(CACHE_NIXOS_ORG) {
            info.is_signed(&[key]);
        }
    }
    let _ = TrustedKey::parse(text);
});
