//! Any bytes are taken for databases of `SQLite` without harm, as they are and behind the mark of the kind.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::scan::probe::Probe;
use std::sync::LazyLock;

static PROBE: LazyLock<Probe> = LazyLock::new(|| Probe::new(b"ghx_5Wm8vKq2TzRb9LpNc4XdYf7HsJ"));

fuzz_target!(|data: &[u8]| {
    PROBE.look(data);
    PROBE.look(&[b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20".as_slice(), data].concat());
});
