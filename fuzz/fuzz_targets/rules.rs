//! Any rules file gives rules or problems, each within the file.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::rules::native;

fuzz_target!(|text: &str| {
    if let Ok(rules) = native::parse(text, std::path::Path::new("/secretctl.yaml")) {
        assert!(rules.rules.iter().all(|rule| rules.readers_of(rule).count() <= text.len()));
    }
});
