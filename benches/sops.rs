//! Inner loops of sops files: ten thousand keys, one large value.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a measurement that meets an error has failed"
)]

use std::fmt::Write;

use divan::{Bencher, black_box};
use secretctl::format::sops::data_key::DataKey;
use secretctl::format::sops::file::{
    MacCheck, Opened, Sealing, SopsFile, VersionRule, Writer, seal,
};
use secretctl::format::sops::store::{Layout, Store};
use secretctl::plaintext::Plaintext;

fn main() {
    divan::main();
}

/// A file of sops, for its metadata.
const FILE: &[u8] = include_bytes!("../testdata/sops/3.13.3-plain.json");
const STORES: [Store; 3] = [Store::Json, Store::Yaml, Store::Dotenv];

fn key() -> DataKey {
    // test-only
    DataKey::from_plaintext(Plaintext::copy_of(&[7; 32])).unwrap()
}

fn document(store: Store, keys: usize) -> Plaintext {
    let mut text = String::new();
    if store == Store::Json {
        text.push_str("{\n");
    }
    for index in 0..keys {
        match store {
            Store::Json => {
                let comma = if index + 1 == keys { "" } else { "," };
                writeln!(text, "\t\"key{index}\": \"value {index} of many\"{comma}").unwrap();
            }
            Store::Yaml => writeln!(text, "key{index}: value {index} of many").unwrap(),
            Store::Dotenv | Store::Ini | Store::Binary => {
                writeln!(text, "key{index}=value {index} of many").unwrap();
            }
        }
    }
    if store == Store::Json {
        text.push_str("}\n");
    }
    Plaintext::new(text.into_bytes())
}

fn sealed(store: Store, text: &Plaintext, before: Option<&Opened>, writer: &Writer) -> Vec<u8> {
    let file = SopsFile::read(Store::Json, Plaintext::copy_of(FILE)).unwrap();
    let sealing = Sealing {
        input: store,
        output: store,
        metadata: file.metadata(),
        key: &key(),
        before,
        wanted: None,
        writer,
        now: "2026-11-21T10:00:00Z",
        version: VersionRule::Keep,
    };
    seal(text, &sealing).unwrap()
}

fn opened(store: Store, text: &[u8]) -> Opened {
    let file = SopsFile::read(store, Plaintext::copy_of(text)).unwrap();
    file.open(&key(), MacCheck::Verify).unwrap()
}

#[divan::bench(args = STORES)]
fn encrypt_10k_keys(bencher: Bencher<'_, '_>, store: Store) {
    let text = document(store, 10_000);
    bencher.bench(|| sealed(store, black_box(&text), None, &Writer::Lossless));
}

#[divan::bench(args = STORES)]
fn decrypt_10k_keys(bencher: Bencher<'_, '_>, store: Store) {
    let text = sealed(store, &document(store, 10_000), None, &Writer::Lossless);
    bencher.bench(|| opened(store, black_box(&text)).document(&Writer::Lossless, store).unwrap());
}

#[divan::bench(args = STORES)]
fn decrypt_10k_keys_canonical(bencher: Bencher<'_, '_>, store: Store) {
    let text = sealed(store, &document(store, 10_000), None, &Writer::Lossless);
    let writer = Writer::Canonical(Layout::default());
    bencher.bench(|| opened(store, black_box(&text)).document(&writer, store).unwrap());
}

#[divan::bench(args = STORES)]
fn edit_10k_keys(bencher: Bencher<'_, '_>, store: Store) {
    let text = document(store, 10_000);
    let before = opened(store, &sealed(store, &text, None, &Writer::Lossless));
    bencher.bench(|| sealed(store, black_box(&text), Some(&before), &Writer::Lossless));
}

#[divan::bench(args = [1, 20])]
fn encrypt_binary_mib(bencher: Bencher<'_, '_>, size: usize) {
    let text = Plaintext::new(vec![0xA5; size << 20]);
    bencher.bench(|| sealed(Store::Binary, black_box(&text), None, &Writer::Lossless));
}

#[divan::bench(args = [1, 20])]
fn decrypt_binary_mib(bencher: Bencher<'_, '_>, size: usize) {
    let text = Plaintext::new(vec![0xA5; size << 20]);
    let text = sealed(Store::Binary, &text, None, &Writer::Lossless);
    let writer = Writer::Lossless;
    bencher.bench(|| opened(Store::Binary, black_box(&text)).document(&writer, Store::Binary));
}
