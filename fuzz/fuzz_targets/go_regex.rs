//! Any text is a regular expression of Go or refused, and what it becomes can be used at once.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::go_regex;

fuzz_target!(|text: &str| {
    if let Ok(regex) = go_regex::compile(text) {
        let _either = regex.is_match(text.as_bytes());
        // an expression is one of Go also as a part of another
        let whole = !text.contains(['\\', '{']) && text.len() < 200;
        assert!(!whole || go_regex::compile(&format!("(?:{text})?")).is_ok());
    }
});
