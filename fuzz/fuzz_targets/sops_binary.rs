//! Any bytes in a binary document come back; any bytes as one are read or refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::store::{Layout, Store};
use secretctl::plaintext::Plaintext;

fuzz_target!(|data: &[u8]| {
    let bytes = Plaintext::copy_of(data);
    if let Ok(tree) = Store::Binary.read_plain(&bytes) {
        let printed = Store::Binary.print(&tree, None, &Layout::default());
        assert!(printed.is_ok_and(|same| same.same_as(&bytes)));
    }
    if let Ok(tree) = Store::Binary.read(&bytes) {
        let _maybe_without_data = Store::Binary.print(&tree, None, &Layout::default());
    }
});
