//! Any bytes are a pack or refused, sealed rightly or not; any text can be decoded.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::scan::pack::{Pack, PackKey, PackSearch};

fuzz_target!(|data: &[u8]| {
    let Some((at, data)) = data.split_first() else { return };
    let (entries, text) = data.split_at(data.len() * usize::from(*at) / 256);
    let key = PackKey::new([1; 32]);
    let now = 0;
    if Pack::parse(entries, &key, now).is_ok() {
        let (body, seal) = entries.split_at(entries.len() - 32);
        assert_eq!(seal, key.seal(body));
    }
    let mut sealed = b"secretctl-pack 1\n".to_vec();
    sealed.extend(entries);
    sealed.extend(key.seal(&sealed));
    if let Ok(pack) = Pack::parse(&sealed, &key, now) {
        let mut search = PackSearch::new(&pack, &key);
        search.feed(text, &mut |_| {});
        search.end(&mut |_| {});
    }
});
