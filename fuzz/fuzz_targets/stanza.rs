//! A stanza that is read is written as it was.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::key::stanza::{parse_stanza, write_stanza};

fuzz_target!(|data: &[u8]| {
    if let Ok(Some((stanza, rest))) = parse_stanza(data) {
        let mut written = Vec::new();
        write_stanza(&mut written, &stanza);
        assert_eq!([&written, rest].concat(), data);
    }
});
