//! What is found does not depend on how the text is cut, Base64 that is followed outwards included.
#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use secretctl::plaintext::Plaintext;
use secretctl::scan::matcher::{Hit, Matcher};
use secretctl::scan::needle::{Known, Needles};

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let values: [&[u8]; 3] = [b"q7Rk2mVw9ZtB4nXc8LdP", b"p&\"4s\\s<w>'0%r$ {d}", &[0xd7; 40]];
    let known = values.iter().map(|value| Known {
        file: String::new(),
        key_path: String::new(),
        value: Plaintext::copy_of(value),
    });
    Matcher::new(&Needles::of(known.collect()).0, false)
});

fuzz_target!(|data: &[u8]| {
    let Some(([low, high], data)) = data.split_first_chunk() else { return };
    let chunk = u16::from_le_bytes([*low, *high]);
    let mut whole: Vec<Hit> = Vec::new();
    MATCHER.searcher().whole(data, &mut |hit| whole.push(hit));
    let mut pieces: Vec<Hit> = Vec::new();
    let mut search = MATCHER.searcher();
    for chunk in data.chunks(usize::from(chunk).max(1)) {
        search.feed(chunk, &mut |hit| pieces.push(hit));
    }
    search.end(&mut |hit| pieces.push(hit));
    whole.sort();
    pieces.sort();
    assert_eq!(whole, pieces);
    assert!(whole.iter().all(|hit| hit.offset + u64::from(hit.length) <= data.len() as u64));
});
