//! Any text is a document of YAML or refused; written back unchanged it is the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::store::{MetadataEdit, Store};
use secretctl::plaintext::Plaintext;

fuzz_target!(|data: &[u8]| {
    let text = Plaintext::copy_of(data);
    if let Ok(tree) = Store::Yaml.read(&text) {
        let same = Store::Yaml.splice(&text, &tree, MetadataEdit::Keep);
        assert!(same.is_ok_and(|same| same.same_as(&text)));
    }
});
