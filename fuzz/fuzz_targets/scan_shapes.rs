//! Any bytes may stand behind the anchor of a shape, and chunks change nothing.
#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use secretctl::scan::matcher::{Hit, Matcher};
use secretctl::scan::needle::Needles;

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(&Needles::default(), true));

fuzz_target!(|data: &[u8]| {
    let mut whole: Vec<Hit> = Vec::new();
    MATCHER.searcher().whole(data, &mut |hit| whole.push(hit));
    let mut pieces: Vec<Hit> = Vec::new();
    let mut search = MATCHER.searcher();
    for chunk in data.chunks(61) {
        search.feed(chunk, &mut |hit| pieces.push(hit));
    }
    search.end(&mut |hit| pieces.push(hit));
    assert_eq!(whole, pieces);
    assert!(whole.iter().all(|hit| hit.offset + u64::from(hit.length) <= data.len() as u64));
});
