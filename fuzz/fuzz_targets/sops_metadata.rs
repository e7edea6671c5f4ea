//! The metadata of a sops file: what was read and written once is the same when read again, in
//! each kind of document.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::metadata::Metadata;
use secretctl::format::sops::store::{Layout, Store};
use secretctl::format::sops::tree::{Map, Tree};
use secretctl::plaintext::Plaintext;

fn printed(map: &Map) -> Option<Plaintext> {
    Store::Json.print(&Tree::default(), Some(map), &Layout::default()).ok()
}

fuzz_target!(|data: &[u8]| {
    let text = Plaintext::copy_of(data);
    for store in [Store::Json, Store::Yaml, Store::Dotenv, Store::Ini] {
        let Ok(tree) = store.read(&text) else { continue };
        for map in tree.documents.iter().filter_map(|document| document.metadata.as_ref()) {
            let Ok(metadata) = Metadata::read(map) else { continue };
            let once = metadata.to_map();
            let again = Metadata::read(&once).map(|metadata| metadata.to_map());
            if let (Some(once), Ok(Some(again))) = (printed(&once), again.map(|map| printed(&map)))
            {
                assert!(once.same_as(&again));
            }
            let _keys = metadata.wrapping_keys();
        }
    }
});
