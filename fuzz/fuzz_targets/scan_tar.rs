//! Any bytes are taken for a tar without harm: as they are, and with a header whose checksum is right.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::scan::probe::Probe;
use std::sync::LazyLock;

static PROBE: LazyLock<Probe> = LazyLock::new(|| Probe::new(b"ghx_5Wm8vKq2TzRb9LpNc4XdYf7HsJ"));

fuzz_target!(|data: &[u8]| {
    PROBE.look(data);
    let mut tar = data.to_vec();
    tar.resize(tar.len().max(1024), 0);
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    PROBE.look(&tar);
});
