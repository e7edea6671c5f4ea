//! A number that is read is the same number in each of the ways that it is printed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::number;

fuzz_target!(|text: &str| {
    if let Some(value) = number::parse(text) {
        let bits = |value: f64| if value.is_nan() { 0 } else { value.to_bits() };
        if let Some(json) = number::json(text) {
            // digits of a number are no secret of the fuzzer's
            #[allow(clippy::disallowed_methods, reason = "compared with what they came from")]
            let digits = String::from_utf8_lossy(json.expose()).into_owned();
            assert!(number::parse(&digits).is_some_and(|again| bits(again) == bits(value)));
        }
    }
});
