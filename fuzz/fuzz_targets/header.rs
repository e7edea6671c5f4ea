//! Any bytes behind the first line of an age file give a header or an error.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::age::Header;

fuzz_target!(|data: &[u8]| {
    let text = [b"age-encryption.org/v1\n", data].concat();
    if let Ok(header) = Header::read(&mut text.as_slice()) {
        assert!((1..=1024).contains(&header.stanzas.len()));
    }
});
