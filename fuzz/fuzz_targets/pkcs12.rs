//! Any bytes as PKCS#12, and as what a MAC in it vouches for, give keys and certificates or are refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::key::service::read_pkcs12;

fuzz_target!(|data: &[u8]| {
    for password in ["test-only", ""] {
        for (keys, certificates) in read_pkcs12(data, password).into_iter().flatten() {
            assert!(keys + certificates <= data.len());
        }
    }
});
