//! A value that was set is there when the document is read again; a value that was removed is not.
//! The input is a way, a value and a document, each but the last up to a line end.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::format::sops::store::{Step, Store};
use secretctl::plaintext::Plaintext;
use secretctl::work::way::{self, Way};

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\n');
    let (Some(way), Some(value), Some(document)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let Ok(way) = Way::parse(way) else { return };
    let Ok(value) = way::value(&Plaintext::copy_of(value.as_bytes())) else { return };
    let document = Plaintext::copy_of(document.as_bytes());
    for store in [Store::Yaml, Store::Json, Store::Dotenv, Store::Ini] {
        let Ok(tree) = store.read(&document) else { continue };
        let Some(first) = tree.documents.first() else { continue };
        let steps = way.steps(&first.root);
        // An index may be behind the last item, and what is removed has a next one.
        if steps.is_empty() || steps.iter().any(|step| matches!(step, Step::Index(_))) {
            let _either = store.set(&document, &steps, &value);
            let _maybe = store.unset(&document, &steps);
            continue;
        }
        let root_of = |text: &Plaintext| {
            let documents = store.read(text).map(|tree| tree.documents);
            let Ok(documents) = documents else {
                panic!("{store} was written that cannot be read")
            };
            assert_eq!(documents.len().max(1), tree.documents.len().max(1));
            documents.into_iter().next().map(|document| document.root).unwrap_or_default()
        };
        if let Ok(set) = store.set(&document, &steps, &value) {
            assert!(way::find(&root_of(&set), &steps).is_some(), "{store}: it is not there");
        }
        if let Ok(Some(removed)) = store.unset(&document, &steps) {
            assert!(way::find(&root_of(&removed), &steps).is_none(), "{store}: it is still there");
        }
    }
});
