//! Messages and keys that real programs made, and what becomes of them when they are damaged.

use std::path::PathBuf;

use super::message::{OpenError, Work, open};
use super::packet::{Malformed, dearmor};
use super::secret::{Exported, Fingerprint, SecretKey};
use super::*;
use crate::key::identity::{self, Entry, Identity, IdentityError};
use crate::key::{Recipient, ssh};

const SSH_TO_PGP: &str = "674A5BA1C7B0F1CBD0158B5F6DF10FD430999EFF";

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    std::fs::read(folder.join(name)).unwrap()
}

fn message(name: &str) -> String {
    String::from_utf8(file(&format!("pgp/{name}.asc"))).unwrap()
}

fn exported(name: &str) -> Vec<SecretKey> {
    Exported::read(&file(name)).unwrap().keys
}

fn ssh_rsa() -> Vec<SecretKey> {
    let entries = identity::parse(&Plaintext::new(file("pgp/ssh_rsa"))).unwrap();
    let Some(Entry::Ready(key @ Identity::Ssh(_))) = entries.into_iter().next() else { panic!() };
    key.pgp().into_iter().collect()
}

fn opens(message: &str, keys: &[SecretKey]) -> Result<Plaintext, OpenError> {
    open(message, keys, &mut Work::default())
}

/// A message in armor, without a checksum.
fn armored(binary: &[u8]) -> String {
    use base64::Engine;
    let text = base64::prelude::BASE64_STANDARD.encode(binary);
    format!("-----BEGIN PGP MESSAGE-----\n\n{text}\n-----END PGP MESSAGE-----\n")
}

fn of_gpg() -> Vec<(&'static str, Vec<SecretKey>)> {
    let rsa = || exported("pgp/rsa2048.gpg");
    let curve = || exported("pgp/cv25519.asc");
    vec![
        ("gpg-2.2.40-rsa2048", rsa()),
        ("gpg-2.2.40-rsa2048-hidden", rsa()),
        ("gpg-2.2.40-cv25519", curve()),
        ("gpg-2.2.40-cv25519-bzip2", curve()),
        ("gpg-2.2.40-ssh_rsa", ssh_rsa()),
        ("gpg-2.4.7-cv25519-ocb", curve()),
        ("gpg-2.4.7-rsa2048-ocb-aes128", rsa()),
        ("gpg-2.4.7-cv25519-ocb-pieces", curve()),
    ]
}

fn content(name: &str) -> Plaintext {
    let times = if name.ends_with("pieces") { 9 } else { 1 };
    Plaintext::new(b"secretctl test-only data key 32b".repeat(times))
}

#[test]
fn what_gpg_makes_opens() {
    for (name, keys) in of_gpg() {
        assert!(opens(&message(name), &keys).unwrap().same_as(&content(name)), "{name}");
    }
}

#[test]
fn what_was_changed_or_cut_does_not() {
    for (name, keys) in of_gpg() {
        let binary = dearmor(&message(name), "MESSAGE").unwrap();
        // Each use of an RSA key takes its time without optimisation.
        let step = if name.contains("cv25519") { 1 } else { 17 };
        for at in (0..binary.len()).step_by(step) {
            // What stands before the encrypted numbers may differ.
            let mut changed = binary.to_vec();
            changed[at] ^= 4;
            if let Ok(opened) = opens(&armored(&changed), &keys) {
                assert!(opened.same_as(&content(name)) && at < 16, "{name} at {at}");
            }
            assert!(opens(&armored(&binary[..at]), &keys).is_err(), "{name} cut at {at}");
        }
        let mut longer = binary.to_vec();
        *longer.last_mut().unwrap() ^= 1;
        assert_eq!(opens(&armored(&longer), &keys).unwrap_err(), OpenError::Damaged);
    }
}

#[test]
fn a_wrong_key_of_the_same_number_and_a_wrong_sum_are_told_alike() {
    let binary = dearmor(&message("gpg-2.2.40-rsa2048-hidden"), "MESSAGE").unwrap();
    let others = ssh_rsa();
    assert_eq!(opens(&armored(&binary), &others).unwrap_err(), OpenError::Damaged);
    let mut changed = binary.to_vec();
    // In the RSA number, then in the content.
    for at in [60, binary.len() - 30] {
        changed[at] ^= 1;
        let error = opens(&armored(&changed), &exported("pgp/rsa2048.gpg")).unwrap_err();
        assert_eq!(error, OpenError::Damaged);
    }
}

#[test]
fn a_message_for_others_names_them_and_us() {
    let error = opens(&message("gpg-2.2.40-cv25519"), &ssh_rsa()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "no identity fits: it is for the PGP key 54DB9ED95BFD66E8, and here is {SSH_TO_PGP}"
        )
    );
    let error = opens(&message("gpg-2.2.40-cv25519"), &[]).unwrap_err().to_string();
    assert!(error.ends_with(", and there is none here"), "{error}");
}

#[test]
fn without_a_checksum_nothing_is_opened() {
    let keys = exported("pgp/cv25519.asc");
    let mut binary = dearmor(&message("gpg-2.2.40-cv25519"), "MESSAGE").unwrap().to_vec();
    let at = binary.iter().position(|byte| *byte == 0xD2).unwrap();
    for (tag, error) in [
        (9, OpenError::Unprotected),
        (11, OpenError::Malformed(Malformed("it is no encrypted message"))),
        // The bytes of one kind of packet as the other.
        (20, OpenError::Damaged),
    ] {
        binary[at] = 0xC0 | tag;
        assert_eq!(opens(&armored(&binary), &keys).unwrap_err(), error);
    }
}

#[test]
fn work_is_bounded() {
    let binary = dearmor(&message("gpg-2.2.40-cv25519"), "MESSAGE").unwrap().to_vec();
    let at = binary.iter().position(|byte| *byte == 0xD2).unwrap();
    let (key, content) = binary.split_at(at);
    let many = |count: usize| armored(&[&key.repeat(count), content].concat());
    let keys = exported("pgp/cv25519.asc");
    let mut work = Work::default();
    assert!(open(&many(60), &keys, &mut work).is_ok());
    assert_eq!(open(&many(5), &keys, &mut work).unwrap_err(), OpenError::TooMuchWork);
}

#[test]
fn content_that_unpacks_without_end_is_refused() {
    use std::io::Write as _;
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![0; 1 << 20]).unwrap();
    let packed = [&[0xA3, 2][..], &packer.finish().unwrap()].concat();
    let error = message::content(&packed).unwrap_err().to_string();
    assert!(error.contains("more than a data key takes"), "{error}");
    // Packed twice.
    let twice = [&[0xA3, 0, 0xA3, 0, 0xCB, 6, b'b', 0, 0, 0, 0, 0][..]].concat();
    assert!(message::content(&twice).unwrap_err().to_string().contains("no content"));
    assert!(message::content(&twice[2..]).unwrap().is_empty());
    let literal = [0xCB, 8, b'b', 1, b'n', 0, 0, 0, 0, b'k'];
    assert!(message::content(&literal).unwrap().same_as(&Plaintext::copy_of(b"k")));
}

#[test]
fn ssh_keys_have_the_fingerprint_that_ssh_to_pgp_prints() {
    let public =
        Recipient::parse(str::from_utf8(&file("pgp/ssh_rsa.pub")).unwrap().trim()).unwrap();
    assert_eq!(ssh::pgp_fingerprint(&public).unwrap().to_string(), SSH_TO_PGP);
    assert_eq!(ssh_rsa()[0].fingerprint.to_string(), SSH_TO_PGP);
    let other = Recipient::parse(str::from_utf8(&file("age/ssh_ed25519.pub")).unwrap().trim());
    assert_eq!(ssh::pgp_fingerprint(&other.unwrap()), None);
    assert_eq!(Fingerprint::of_ssh_rsa(&[], &[1]), None);
    assert_eq!(Fingerprint::of_ssh_rsa(&vec![1; 10_000], &[1]), None);
}

#[test]
fn files_of_private_keys() {
    let of = |name: &str| {
        let names =
            exported(name).iter().map(|key| key.fingerprint.to_string()).collect::<Vec<_>>();
        names.join(" ")
    };
    assert_eq!(of("pgp/rsa2048.gpg"), "6AE041DAFC61A84827AD6CDCB524CEAF282D313B");
    assert_eq!(of("pgp/cv25519.asc"), "83564765EF3D9FAE46CF6AA554DB9ED95BFD66E8");
    let refused = |content: &[u8]| match identity::parse(&Plaintext::copy_of(content)) {
        Err(error) => error,
        Ok(_) => panic!(),
    };
    assert_eq!(refused(&file("pgp/locked.asc")), IdentityError::LockedPgp);
    assert!(!refused(&file("keys/gpg.public.asc")).to_string().is_empty());
    let whole = file("pgp/rsa2048.gpg");
    for at in 1..whole.len() {
        refused(&whole[..at.min(900)]);
    }
    // A public half of another key, a private half that was changed, a sum that was not.
    for at in [20, 300, 700, 900] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        refused(&changed);
    }
}

/// Numbers that are no RSA key, and keys that are too small to decrypt anything.
#[test]
fn odd_rsa_keys_are_refused_or_open_nothing() {
    let number = |value: u8| match value {
        0 => vec![0, 0],
        _ => vec![0, 8 - u8::try_from(value.leading_zeros()).unwrap(), value],
    };
    let hidden = message("gpg-2.2.40-rsa2048-hidden");
    let tiny = [&[0xC1, 13, 3][..], &[0; 8], &[1, 0, 2, 2], &[0xD2, 3, 1, 0, 0]].concat();
    let mut usable = 0;
    for value in 0..=u16::MAX {
        let [one, two] = value.to_be_bytes();
        let (p, q, e, d) = (one >> 4, one & 15, two >> 4, two & 15);
        let secret = [number(d), number(p), number(q), number(1)].concat();
        let sum: u16 = secret.iter().map(|byte| u16::from(*byte)).sum();
        let public = [&[4, 0, 0, 0, 0, 1][..], &number(p * q), &number(e)].concat();
        let body = [&public[..], &[0], &secret, &sum.to_be_bytes()].concat();
        let packet = [&[0xC5, u8::try_from(body.len()).unwrap()][..], &body].concat();
        let Ok(exported) = Exported::read(&packet) else { continue };
        usable += exported.keys.len();
        for message in [&hidden, &armored(&tiny)] {
            assert_eq!(opens(message, &exported.keys).unwrap_err(), OpenError::Damaged);
        }
    }
    assert!(usable > 0, "some are keys");
}
