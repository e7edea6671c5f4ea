//! The vectors of sops, texts that are none, and what is written is read.

use proptest::prelude::*;

use super::*;

/// `aes/cipher_test.go` of sops: `foo` at `bar:`, key 32 times `f` (test-only).
const FOO: &str = "ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,\
                   tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]";

fn cipher() -> Cipher {
    Cipher::new(&DataKey::from_plaintext(Plaintext::copy_of(&[b'f'; 32])).unwrap())
}

fn open(text: &str) -> Result<Plaintext, ValueError> {
    cipher().decrypt(text.as_bytes(), b"bar:").map(|(_, plain)| plain)
}

#[expect(clippy::disallowed_methods, reason = "test")]
fn text(plain: &Plaintext) -> &str {
    str::from_utf8(plain.expose()).unwrap()
}

#[test]
fn reads_the_vector_of_sops() {
    let (kind, plain) = cipher().decrypt(FOO.as_bytes(), b"bar:").unwrap();
    assert_eq!((kind, text(&plain)), (Kind::Str, "foo"));
    assert_eq!(cipher().decrypt(FOO.as_bytes(), b"").unwrap_err(), ValueError::Tampered);
}

#[test]
fn takes_what_the_pattern_of_sops_takes() {
    for also in [format!("{FOO}\r"), format!("{FOO}  # more"), format!("{FOO}\n]]")] {
        assert_eq!(text(&open(&also).unwrap()), "foo");
    }
    let bytes = FOO.replace("type:str", "type:bytes");
    assert_eq!(text(&open(&bytes).unwrap()), "foo");
    for (broken, error) in [
        (String::new(), ValueError::NotEncrypted),
        ("hello".to_owned(), ValueError::NotEncrypted),
        (format!(" {FOO}"), ValueError::NotEncrypted),
        ("ENC[AES256_GCM,data:".to_owned(), ValueError::Malformed),
        (FOO.replace("data:oYyi", "data:"), ValueError::Malformed),
        (FOO.replace("oYyi", "oYy"), ValueError::Malformed),
        (FOO.replace(",iv:", ",vi:"), ValueError::Malformed),
        (FOO.replace("type:str]", "type:str"), ValueError::Malformed),
        (FOO.replace("t5z2Z023Up0kxwCgw1gNxg==", "t5z2"), ValueError::Malformed),
        (FOO.replace("MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=", "MyID"), ValueError::Nonce),
        (FOO.replace("oYyi", "oYyj"), ValueError::Tampered),
        (FOO.replace("t5z2", "t5z3"), ValueError::Tampered),
        (FOO.replace("MyID", "MyIE"), ValueError::Tampered),
        (FOO.replace("type:str", "type:text"), ValueError::Type),
        (format!("{FOO}]"), ValueError::Type),
    ] {
        assert_eq!(open(&broken).unwrap_err(), error, "{broken}");
    }
    for length in 0..FOO.len() {
        assert!(open(&FOO[..length]).is_err(), "{length}");
    }
}

/// Made with the Python package `cryptography` 48.0.0: `foo` at `bar:`, the same key, the bytes
/// of the nonce counted from 1.
#[test]
fn reads_nonces_of_other_lengths() {
    for other in OTHER_NONCES {
        assert_eq!(text(&open(other).unwrap()), "foo", "{other}");
    }
}

#[test]
fn nonces_are_long_and_never_the_same() {
    let cipher = cipher();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..300 {
        let text = cipher.encrypt(Kind::Str, b"a", b"").unwrap();
        #[expect(clippy::disallowed_methods, reason = "test")]
        let nonce = Parts::parse(text.expose()).unwrap().nonce.to_vec();
        assert_eq!(BASE64.decode(&nonce).unwrap().len(), NONCE);
        assert!(seen.insert(nonce));
    }
}

#[test]
fn values_are_what_sops_makes_of_them() {
    let value = |kind, plain: &str| typed(kind, Plaintext::copy_of(plain.as_bytes()));
    for (kind, plain, expected) in [
        (Kind::Int, "42", "42"),
        (Kind::Int, "+007", "7"),
        (Kind::Int, "-9223372036854775808", "-9223372036854775808"),
        (Kind::Float, "1e21", "1000000000000000000000"),
        (Kind::Float, "1.50", "1.5"),
        (Kind::Float, "-0", "-0"),
        (Kind::Float, "+Inf", "+Inf"),
        (Kind::Float, "NaN", "NaN"),
        (Kind::Bool, "1", "True"),
        (Kind::Bool, "FALSE", "False"),
        (Kind::Time, "2024-01-01T00:00:00.50Z", "2024-01-01T00:00:00.5Z"),
        (Kind::Str, " a\n", " a\n"),
    ] {
        let value = value(kind, plain).unwrap();
        let (same, bytes) = bytes_of(&value).unwrap().unwrap();
        assert_eq!((same, bytes.slice()), (kind, expected.as_bytes()));
    }
    for (kind, plain) in [
        (Kind::Int, "1.0"),
        (Kind::Int, "9223372036854775808"),
        (Kind::Int, " 1"),
        (Kind::Int, ""),
        (Kind::Float, "one"),
        (Kind::Float, "1e400"),
        (Kind::Bool, "yes"),
        (Kind::Time, "today"),
    ] {
        assert_eq!(value(kind, plain).unwrap_err(), ValueError::Content(kind), "{plain}");
    }
    assert_eq!(value(Kind::Comment, "x").unwrap_err(), ValueError::Comment);
    assert!(bytes_of(&Value::Null).unwrap().is_none());
    let long = Value::Int(Plaintext::copy_of(b"9223372036854775808"));
    assert_eq!(bytes_of(&long).unwrap_err(), ValueError::Content(Kind::Int));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", cipher()), "Cipher(..)");
}

proptest! {
    #[test]
    fn what_is_encrypted_is_read_again(plain: Vec<u8>, place: Vec<u8>) {
        let cipher = cipher();
        let text = cipher.encrypt(Kind::Comment, &plain, &place).unwrap();
        #[expect(clippy::disallowed_methods, reason = "test")]
        let text = text.expose();
        if plain.is_empty() {
            prop_assert_eq!(cipher.decrypt(text, &place).unwrap_err(), ValueError::Malformed);
        } else {
            let (kind, again) = cipher.decrypt(text, &place).unwrap();
            prop_assert_eq!(kind, Kind::Comment);
            prop_assert!(again.same_as(&Plaintext::new(plain)));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "ENC\\[AES256_GCM,data:[a-z=,:]{0,9}(,iv:.{0,3})?(,tag:.{0,3})?(,type:.{0,9})?\\]?.{0,5}") {
        prop_assert!(open(&text).is_err());
    }
}

const OTHER_NONCES: [&str; 6] = [
    "ENC[AES256_GCM,data:9TZM,iv:AQIDBAUGBwg=\
     ,tag:xOS7Lfgam/q80rPjKsb1rQ==,type:str]",
    "ENC[AES256_GCM,data:9fBr,iv:AQIDBAUGBwgJCgsM\
     ,tag:8sZYQdvtvTkquvL6PeS0lg==,type:str]",
    "ENC[AES256_GCM,data:EIrz,iv:AQIDBAUGBwgJCgsMDQ4PEA==\
     ,tag:bRN2QqjCSTTbI7fL8JvIIA==,type:str]",
    "ENC[AES256_GCM,data:2fFc,iv:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY\
     ,tag:o4bM7Uz3/hVOuMnBtT7u6w==,type:str]",
    "ENC[AES256_GCM,data:jDdm,iv:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\
     ,tag:KTwci2L75tKOtS6vxPxGnA==,type:str]",
    "ENC[AES256_GCM,data:PPMs,iv:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/QA==\
     ,tag:u3Mvpb1bY4gCI+j1MFfNjA==,type:str]",
];
