//! The inner loops of age files: `cargo bench`. Whole processes beside the peers are measured by
//! `scripts/bench`.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a measurement that meets an error has failed"
)]

use std::hint::black_box;
use std::io;

use age_core::format::{FileKey, Stanza};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use secretctl::format::age::{self, Encrypted};
use secretctl::key::Recipient;
use secretctl::key::identity::{self, Entry, Identity, Outcome};
use secretctl::key::stanza::{StanzaRef, Stanzas};
use secretctl::plaintext::Plaintext;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

fn main() {
    divan::main();
}

/// A key pair that only serves to measure.
fn pair(number: u16) -> (Recipient, Identity) {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    let key = PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&seed)), "").unwrap();
    let text = key.to_openssh(LineEnding::LF).unwrap();
    let entry = identity::parse(&Plaintext::copy_of(text.as_bytes())).unwrap().remove(0);
    let Entry::Ready(identity) = entry else { unreachable!("the key is not encrypted") };
    (Recipient::from_ssh(key.public_key()).unwrap(), identity)
}

fn file_key() -> FileKey {
    FileKey::new(Box::new([1; 16]))
}

fn stanzas(count: u16) -> Vec<Stanza> {
    let wrap = |number| pair(number).0.wrap(&file_key()).unwrap().unwrap().stanzas.remove(0);
    (0..count).map(wrap).collect()
}

/// A file key to one ssh-ed25519 recipient whose tweak is known already.
#[divan::bench]
fn wrap_ssh_ed25519(bencher: Bencher<'_, '_>) {
    let (recipient, _) = pair(0);
    let file_key = file_key();
    bencher.bench(|| recipient.wrap(black_box(&file_key)).unwrap());
}

/// The same by the `age` crate.
#[divan::bench]
fn wrap_ssh_ed25519_age_crate(bencher: Bencher<'_, '_>) {
    let recipient: ::age::ssh::Recipient = pair(0).0.canonical().parse().unwrap();
    let file_key = file_key();
    bencher.bench(|| ::age::Recipient::wrap_file_key(&recipient, black_box(&file_key)).unwrap());
}

/// The one stanza of a header that is ours.
#[divan::bench]
fn unwrap_ssh_ed25519(bencher: Bencher<'_, '_>) {
    let (_, identity) = pair(0);
    let stanzas = Stanzas::from_iter(&stanzas(1));
    let stanza = stanzas.iter().next().unwrap();
    bencher.bench(|| matches!(identity.unwrap(black_box(stanza)), Outcome::Opened(_)));
}

/// Reading a header and looking for our stanza, which is the last.
#[divan::bench(args = [10, 100, 1000])]
fn header_with_stanzas(bencher: Bencher<'_, '_>, count: u16) {
    let mut file = Vec::new();
    age::seal(&file_key(), &stanzas(count), false, &mut io::empty(), &mut file).unwrap();
    let (_, identity) = pair(count - 1);
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let header = Encrypted::read(black_box(file.as_slice())).unwrap().header;
        let opened = |stanza: StanzaRef<'_>| matches!(identity.unwrap(stanza), Outcome::Opened(_));
        assert!(header.stanzas.iter().any(opened));
    });
}

/// 16 MiB through STREAM.
#[divan::bench]
fn seal_payload(bencher: Bencher<'_, '_>) {
    let (plain, stanzas, key) = (vec![0; 16 << 20], stanzas(1), file_key());
    bencher.counter(BytesCount::new(plain.len())).bench(|| {
        age::seal(&key, &stanzas, false, &mut plain.as_slice(), &mut io::sink()).unwrap();
    });
}

/// 16 MiB back.
#[divan::bench]
fn open_payload(bencher: Bencher<'_, '_>) {
    let mut file = Vec::new();
    age::seal(&file_key(), &stanzas(1), false, &mut vec![0; 16 << 20].as_slice(), &mut file)
        .unwrap();
    let key = file_key();
    bencher.counter(BytesCount::new(16_usize << 20)).bench(|| {
        Encrypted::read(file.as_slice()).unwrap().decrypt_to(&key, &mut io::sink()).unwrap();
    });
}
