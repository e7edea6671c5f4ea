//! Any bytes are a pack or refused, sealed rightly or not; any text can be decoded.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::scan::pack::{Pack, PackKey, PackSearch};

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (mut pack, text) = input;
    let key = PackKey::new([1; 32]);
    assert!(
        Pack::parse(&pack, &key, 0).is_err() || pack.ends_with(&key.seal(&pack[..pack.len() - 32]))
    );
    pack.splice(..0, *b"secretctl-pack 1\n");
    pack.extend(key.seal(&pack));
    if let Ok(pack) = Pack::parse(&pack, &key, 0) {
        let mut search = PackSearch::new(&pack, &key);
        search.feed(&text, &mut |_| {});
        search.end(&mut |_| {});
    }
});
