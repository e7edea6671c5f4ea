//! Any bytes are taken for compressed streams of every kind without harm.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::scan::probe::Probe;
use std::sync::LazyLock;

static PROBE: LazyLock<Probe> = LazyLock::new(|| Probe::new(b"ghx_5Wm8vKq2TzRb9LpNc4XdYf7HsJ"));

fuzz_target!(|data: &[u8]| {
    let marks: [&[u8]; 7] = [
        b"",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01",
        b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
        b"\x28\xb5\x2f\xfd",
        b"BZh9\x31\x41\x59\x26\x53\x59",
        b"x\x9c",
    ];
    for mark in marks {
        PROBE.look(&[mark, data].concat());
    }
});
