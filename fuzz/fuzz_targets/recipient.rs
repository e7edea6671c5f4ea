//! A recipient is the same after it was printed; a list is never more than its lines.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::key::{Recipient, list};

fuzz_target!(|text: &str| {
    if let Ok(recipient) = Recipient::parse(text) {
        assert!(Recipient::parse(recipient.canonical()).is_ok_and(|again| again == recipient));
    }
    if let Ok(found) = list::parse(text) {
        assert!(found.recipients.len() <= text.lines().count());
    }
});
