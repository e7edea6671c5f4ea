//! Any value can be taken apart, and what is kept of it is found where it stands.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::plaintext::Plaintext;
use secretctl::scan::matcher::Matcher;
use secretctl::scan::needle::{Known, Needles};

fuzz_target!(|data: &[u8]| {
    let known =
        Known { file: String::new(), key_path: String::new(), value: Plaintext::copy_of(data) };
    let (needles, _) = Needles::of(vec![known]);
    let matcher = Matcher::new(&needles, false);
    matcher.searcher().whole(data, &mut |_| {});
});
