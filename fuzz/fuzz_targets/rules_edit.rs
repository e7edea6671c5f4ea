//! A host that was added to rules is in them, and is not when it was removed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::rules::native;
use secretctl::rules::native_edit::{self, Section};
use std::path::Path;

const KEY: &str = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";

const NAME: &str = "fuzzed-host";

fuzz_target!(|text: &str| {
    let file = Path::new("/secretctl.yaml");
    if native::parse(text, file).is_err() {
        return;
    }
    let is_in = |text: &str| {
        let Ok(rules) = native::parse(text, file) else { panic!("what was written is no rules") };
        rules.readers.iter().any(|reader| reader.name == NAME)
    };
    if let Ok(added) = native_edit::add_reader(text, file, Section::Hosts, NAME, &[KEY], &[]) {
        assert!(is_in(&added.text));
        if let Ok(removed) = native_edit::remove_reader(&added.text, file, Section::Hosts, NAME) {
            assert!(!is_in(&removed.text));
        }
    }
});
