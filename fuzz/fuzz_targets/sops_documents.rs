//! Any text of each kind gives a document or an error; a document put back unchanged is its text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::store::{Layout, MetadataEdit, Store};
use secretctl::plaintext::Plaintext;

fuzz_target!(|data: &[u8]| {
    let text = Plaintext::copy_of(data);
    for store in [Store::Json, Store::Dotenv, Store::Ini] {
        let Ok(tree) = store.read(&text) else { continue };
        let same = store.splice(&text, &tree, MetadataEdit::Keep);
        assert!(same.is_ok_and(|same| same.same_as(&text)));
        if let Ok(printed) = store.print(&tree, None, &Layout::default()) {
            let _maybe_lossy = store.read(&printed);
        }
    }
});
