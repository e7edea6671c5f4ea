//! Any answer of a key service is read or refused, in words that are one short line.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::key::service::read_answer;

fuzz_target!(|data: &[u8]| {
    let secret = "canary-of-whoever-asked";
    for status in [200, 400, 401, 403, 503] {
        for error in read_answer(status, data, secret) {
            let said = error.to_string();
            assert!(!said.chars().any(char::is_control), "{said:?}");
            assert!(said.chars().count() < 2_000, "{said:?}");
            assert!(!said.contains(secret), "{said:?}");
        }
    }
});
