//! Any text behind the first line of an armored file gives bytes or an error.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::age::Encrypted;

fuzz_target!(|data: &[u8]| {
    let text = [b"-----BEGIN AGE ENCRYPTED FILE-----\n", data].concat();
    if let Ok(mut file) = Encrypted::read(text.as_slice()) {
        let _damaged = std::io::copy(file.payload(), &mut std::io::sink());
    }
});
