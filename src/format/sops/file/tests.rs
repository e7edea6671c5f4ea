//! Whole files, those of sops among them.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;
use crate::format::sops::store::Way;

const NOW: &str = "2026-11-21T10:00:00Z";
const ALL: [&str; 13] = [
    "plain.json",
    "plain.yaml",
    "plain.env",
    "plain.ini",
    "plain.bin",
    "encrypted_regex.json",
    "unencrypted_regex.json",
    "encrypted_suffix.json",
    "unencrypted_suffix.json",
    "mac_only.json",
    "encrypted_regex.yaml",
    "encrypted_comment_regex.yaml",
    "unencrypted_comment_regex.yaml",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sops")
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn text_of(name: &str) -> Plaintext {
    Plaintext::new(bytes_of(name))
}

#[expect(clippy::disallowed_methods, reason = "test")]
fn shown(text: &Plaintext) -> String {
    String::from_utf8_lossy(text.expose()).into_owned()
}

fn store_of(name: &str) -> Store {
    Store::of_path(Path::new(name))
}

fn plain_of(name: &str) -> Plaintext {
    let ending = name.rsplit_once('.').unwrap().1;
    text_of(&format!("plain.{ending}"))
}

fn read(store: Store, text: &[u8]) -> SopsFile {
    SopsFile::read(store, Plaintext::copy_of(text)).unwrap()
}

/// Of the first key of a file, which is one of age.
fn key_of(file: &SopsFile) -> DataKey {
    let keys = std::fs::read_to_string(folder().join("key.txt")).unwrap();
    let key: age::x25519::Identity =
        keys.lines().find(|line| line.starts_with("AGE-")).unwrap().parse().unwrap();
    let armor = age::armor::ArmoredReader::new(file.metadata().groups[0][0].enc.as_bytes());
    let decryptor = age::Decryptor::new(armor).unwrap();
    let mut bytes = Vec::new();
    let mut reader = decryptor.decrypt(std::iter::once(&key as &dyn age::Identity)).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    DataKey::from_plaintext(Plaintext::new(bytes)).unwrap()
}

fn open(store: Store, text: &[u8]) -> Result<Opened, SopsError> {
    let file = SopsFile::read(store, Plaintext::copy_of(text))?;
    let key = key_of(&file);
    file.open(&key, MacCheck::Verify)
}

fn other_key() -> DataKey {
    // test-only
    DataKey::from_plaintext(Plaintext::copy_of(&[9; 32])).unwrap()
}

fn sealing<'a>(store: Store, file: &'a SopsFile, key: &'a DataKey) -> Sealing<'a> {
    Sealing {
        input: store,
        output: store,
        metadata: file.metadata(),
        key,
        before: None,
        wanted: None,
        writer: &Writer::Lossless,
        now: NOW,
        version: VersionRule::Keep,
    }
}

/// Lines of the one that are not lines of the other.
fn new_lines<'a>(before: &str, after: &'a str) -> Vec<&'a str> {
    let old: std::collections::HashSet<&str> = before.lines().collect();
    after.lines().filter(|line| !old.contains(line)).map(str::trim).collect()
}

#[test]
fn opens_what_sops_wrote_and_prints_the_document_as_sops_does() {
    for version in ["3.13.1", "3.13.3"] {
        for name in ALL {
            let opened = open(store_of(name), &bytes_of(&format!("{version}-{name}"))).unwrap();
            let canonical = Writer::Canonical(Layout::default());
            let document = opened.document(&canonical, store_of(name)).unwrap();
            assert_eq!(shown(&document), shown(&plain_of(name)), "{version} {name}");
            assert_eq!(opened.comments_left(), 0);
        }
    }
}

#[test]
fn what_is_sealed_is_opened_again() {
    for name in ALL {
        let text = bytes_of(&format!("3.13.3-{name}"));
        let theirs = read(store_of(name), &text);
        let key = key_of(&theirs);
        for writer in [Writer::Lossless, Writer::Canonical(Layout::default())] {
            let sealing = Sealing { writer: &writer, ..sealing(store_of(name), &theirs, &key) };
            let sealed = seal(&plain_of(name), &sealing).unwrap();
            let opened = read(store_of(name), &sealed).open(&key, MacCheck::Verify).unwrap();
            assert_eq!(opened.metadata().last_modified, NOW);
            let document = opened.document(&Writer::Lossless, store_of(name)).unwrap();
            if writer == Writer::Lossless {
                assert_eq!(shown(&document), shown(&plain_of(name)), "{name}");
            }
            let document = opened.document(&writer, store_of(name)).unwrap();
            assert_eq!(shown(&document), shown(&plain_of(name)), "{name}");
        }
    }
}

#[test]
fn unchanged_values_keep_their_ciphertext() {
    for name in ALL {
        for writer in [Writer::Lossless, Writer::Canonical(Layout::default())] {
            let text = bytes_of(&format!("3.13.3-{name}"));
            let opened = open(store_of(name), &text).unwrap();
            let theirs = read(store_of(name), &text);
            let key = key_of(&theirs);
            let sealing = Sealing {
                before: Some(&opened),
                writer: &writer,
                ..sealing(store_of(name), &theirs, &key)
            };
            let document = opened.document(&writer, store_of(name)).unwrap();
            let sealed = String::from_utf8(seal(&document, &sealing).unwrap()).unwrap();
            let before = String::from_utf8(text).unwrap();
            let mut new = new_lines(&before, &sealed);
            // a comment of a list is no item any more, but its ciphertext is the same; and what
            // YAML prints as `1` was a float, and is whole when it is read again
            new.retain(|line| !line.strip_prefix('#').is_some_and(|line| before.contains(line)));
            new.retain(|line| !line.starts_with("f: "));
            let place = |line: &&str| !line.contains("mac") && !line.contains("lastmodified");
            assert!(!new.iter().any(place), "{name} {writer:?}: {new:#?}");
            assert_eq!(new.len(), 2, "{name}: {new:#?}");
        }
    }
}

#[test]
fn under_another_key_no_ciphertext_is_kept() {
    let text = bytes_of("3.13.3-plain.json");
    let opened = open(Store::Json, &text).unwrap();
    let (theirs, key) = (read(Store::Json, &text), other_key());
    let sealing = Sealing { before: Some(&opened), ..sealing(Store::Json, &theirs, &key) };
    let sealed = seal(&text_of("plain.json"), &sealing).unwrap();
    read(Store::Json, &sealed).open(&key, MacCheck::Verify).unwrap();
}

#[test]
fn one_change_is_one_line() {
    let text = bytes_of("3.13.3-plain.json");
    let opened = open(Store::Json, &text).unwrap();
    let theirs = read(Store::Json, &text);
    let key = key_of(&theirs);
    let sealing = Sealing { before: Some(&opened), ..sealing(Store::Json, &theirs, &key) };
    // a third item before two that are the same
    let document =
        shown(&text_of("plain.json")).replacen("\"same\",", "\"new\",\n\t\t\t\"same\",", 1);
    let sealed = seal(&Plaintext::new(document.into_bytes()), &sealing).unwrap();
    let (before, sealed) = (String::from_utf8(text).unwrap(), String::from_utf8(sealed).unwrap());
    assert_eq!(new_lines(&before, &sealed).len(), 3);
}

#[test]
fn a_file_that_was_cut_off_or_is_none_is_refused() {
    let text = bytes_of("3.13.3-plain.json");
    let cut = SopsFile::read(Store::Json, Plaintext::copy_of(&text[..text.len() / 2]));
    assert!(matches!(cut.unwrap_err(), SopsError::Parse(_)));
    let plain = SopsFile::read(Store::Json, text_of("plain.json"));
    assert!(matches!(plain.unwrap_err(), SopsError::NotEncrypted));
    let text = String::from_utf8(bytes_of("3.13.3-plain.yaml")).unwrap();
    let half = &text[..text.find("sops:\n").unwrap()];
    let cut = SopsFile::read(Store::Yaml, Plaintext::copy_of(half.as_bytes()));
    assert!(matches!(cut.unwrap_err(), SopsError::NotEncrypted));
}

fn changed(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes_of("3.13.3-plain.json")).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_mac_that_is_gone_or_does_not_fit_is_refused() {
    let gone = changed("\"mac\":", "\"other\":");
    assert!(matches!(open(Store::Json, &gone).unwrap_err(), SopsError::NoMac));
    let swapped = changed("\"mac\": \"ENC[AES256_GCM,data:", "\"mac\": \"ENC[AES256_GCM,data:AAAA");
    assert!(matches!(open(Store::Json, &swapped).unwrap_err(), SopsError::Mac));
    let year = changed("\"lastmodified\": \"20", "\"lastmodified\": \"19");
    assert!(matches!(open(Store::Json, &year).unwrap_err(), SopsError::Mac));
    for text in [gone, swapped, year] {
        let file = read(Store::Json, &text);
        let key = key_of(&file);
        assert!(file.open(&key, MacCheck::Ignore).is_ok());
    }
    let plain = changed("\"shown\"", "\"other\"");
    assert!(matches!(open(Store::Json, &plain).unwrap_err(), SopsError::Mac));
}

#[test]
fn times_of_the_same_second_are_the_same() {
    for (from, to) in [
        ("Z\",\n\t\t\"mac\"", "+00:00\",\n\t\t\"mac\""),
        ("Z\",\n\t\t\"mac\"", ".25Z\",\n\t\t\"mac\""),
    ] {
        open(Store::Json, &changed(from, to)).unwrap();
    }
}

#[test]
fn an_error_names_the_place_and_no_value() {
    let error = open(Store::Json, &changed("\"int\": \"ENC[", "\"int\": \"hunter2")).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.starts_with("`[\"int\"]` is not encrypted"), "{text}");
    assert!(!text.contains("hunter2"));
}

#[test]
fn the_wrong_key_is_told_from_a_changed_file() {
    let file = read(Store::Json, &bytes_of("3.13.3-plain.json"));
    assert!(matches!(file.open(&other_key(), MacCheck::Ignore).unwrap_err(), SopsError::Key));
}

#[test]
fn versions_that_are_missing_or_odd_are_taken() {
    for (from, to) in [
        ("\"version\": \"3.13.3\"", "\"version\": \"main\""),
        ("\"version\": \"3.13.3\"", "\"versions\": 1"),
    ] {
        open(Store::Json, &changed(from, to)).unwrap();
    }
    let ours = Some(VERSION);
    assert_eq!(Some(VersionRule::Raise.apply(Some("3.9.0"))), ours);
    assert_eq!(Some(VersionRule::Raise.apply(Some("main"))), ours);
    assert_eq!(Some(VersionRule::Keep.apply(None)), ours);
    assert_eq!(VersionRule::Raise.apply(Some("v99.0.0-rc1")), "v99.0.0-rc1");
    assert_eq!(VersionRule::Keep.apply(Some("main")), "main");
}

#[test]
fn what_has_metadata_is_not_sealed() {
    let text = text_of("3.13.3-plain.json");
    let (file, key) = (read(Store::Json, &bytes_of("3.13.3-plain.json")), other_key());
    let error = seal(&text, &sealing(Store::Json, &file, &key)).unwrap_err();
    assert!(matches!(error, SopsError::AlreadyEncrypted { document: 0 }));
    for (store, text) in [
        (Store::Json, "{\"sops\": {}}"),
        (Store::Ini, "[sops]\na = 1\n"),
        (Store::Dotenv, "sops_x=1\n"),
    ] {
        let text = Plaintext::copy_of(text.as_bytes());
        let error = seal(&text, &sealing(store, &file, &key)).unwrap_err();
        assert!(matches!(error, SopsError::AlreadyEncrypted { document: 0 }), "{error}");
    }
    // a binary document is whatever bytes it is
    assert!(seal(&text, &sealing(Store::Binary, &file, &key)).is_ok());
}

#[test]
fn files_are_told_from_documents() {
    let state = |text: &[u8]| is_encrypted(Store::Json, &Plaintext::copy_of(text));
    assert!(state(&bytes_of("3.13.3-plain.json")).unwrap());
    assert!(!state(&bytes_of("plain.json")).unwrap());
    assert!(!state(&changed("\"mac\":", "\"other\":")).unwrap());
    assert!(!state(&changed("\"version\": \"3.13.3\"", "\"versions\": 1")).unwrap());
    assert!(state(b"{").is_err());
}

#[test]
fn a_binary_file_is_encrypted_whatever_the_rule() {
    let key = other_key();
    let mut file = read(Store::Binary, &bytes_of("3.13.3-plain.bin"));
    file.metadata.rule = Some(Rule::EncryptedRegex("^other".into()));
    file.metadata.mac_only_encrypted = true;
    let document = text_of("plain.env");
    let sealed = seal(&document, &sealing(Store::Binary, &file, &key)).unwrap();
    let text = String::from_utf8(sealed.clone()).unwrap();
    assert!(!text.contains("USER") && !text.contains("other") && !text.contains("mac_only"));
    let opened = read(Store::Binary, &sealed).open(&key, MacCheck::Verify).unwrap();
    assert!(opened.document(&Writer::Lossless, Store::Binary).unwrap().same_as(&document));
}

#[test]
fn rotation_changes_every_value() {
    for name in ["plain.json", "plain.yaml", "plain.env", "plain.ini", "plain.bin"] {
        for writer in [Writer::Lossless, Writer::Canonical(Layout::default())] {
            let text = bytes_of(&format!("3.13.3-{name}"));
            let (file, key) = (read(store_of(name), &text), other_key());
            let opened = open(store_of(name), &text).unwrap();
            let rotated = opened.rotate(&key, file.metadata(), &writer, file.store(), NOW).unwrap();
            let after = String::from_utf8(rotated.clone()).unwrap();
            for value in String::from_utf8(text).unwrap().split("ENC[").skip(1) {
                assert!(!after.contains(value.split(']').next().unwrap()), "{name}");
            }
            let opened = read(store_of(name), &rotated).open(&key, MacCheck::Verify).unwrap();
            let document = opened.document(&writer, store_of(name)).unwrap();
            assert_eq!(shown(&document), shown(&plain_of(name)), "{name}");
        }
    }
}

#[test]
fn new_metadata_leave_values_and_mac() {
    for name in ["plain.json", "plain.yaml", "plain.env", "plain.ini", "plain.bin"] {
        for writer in [Writer::Lossless, Writer::Canonical(Layout::default())] {
            let text = bytes_of(&format!("3.13.3-{name}"));
            let file = read(store_of(name), &text);
            let same = file.with_metadata(file.metadata(), &writer, file.store()).unwrap();
            assert_eq!(String::from_utf8(same).unwrap(), String::from_utf8(text).unwrap());
        }
    }
}

#[test]
fn values_are_extracted_as_sops_does() {
    let key = |key: &str| Step::Key(key.to_owned());
    let extract = |way: &[Step], output| {
        let opened = open(Store::Json, &bytes_of("3.13.3-plain.json")).unwrap();
        opened.extract(way, output, &Layout::default()).map(|text| shown(&text))
    };
    let deep = [key("hidden_s"), key("deep")];
    for (way, output, expected) in [
        (vec![key("apple")], Store::Json, "a plain word"),
        (vec![key("apple")], Store::Dotenv, "a plain word"),
        (vec![key("int")], Store::Json, "42"),
        (vec![key("large")], Store::Json, "1e+21"),
        (vec![key("bool")], Store::Ini, "true"),
        (vec![key("nothing")], Store::Json, "null"),
        (deep.to_vec(), Store::Json, "[\n\t\"same\",\n\t\"same\",\n\t{\n\t\t\"k\": -7\n\t}\n]"),
        ([&deep[..], &[Step::Index(2)]].concat(), Store::Json, "{\n\t\"k\": -7\n}\n"),
        ([&deep[..], &[Step::Index(2), key("k")]].concat(), Store::Json, "-7"),
        (vec![key("meta_unencrypted")], Store::Dotenv, "count=3\npublic=shown\n"),
        (vec![key("large")], Store::Yaml, "1e+21\n"),
        (deep.to_vec(), Store::Yaml, "- same\n- same\n- k: -7\n"),
    ] {
        assert_eq!(extract(&way, output).unwrap(), expected, "{way:?} {output}");
    }
    for way in [vec![key("pear")], vec![Step::Index(0)], vec![key("apple"), key("x")]] {
        let error = extract(&way, Store::Json).unwrap_err();
        assert!(matches!(error, SopsError::Missing { .. }));
    }
    let refused = [(vec![key("int")], Store::Dotenv), (deep.to_vec(), Store::Ini)];
    for (way, output) in refused {
        let error = extract(&way, output).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{}`", Way(&way))), "{error}");
    }
}

#[test]
fn nothing_secret_is_in_debug() {
    let text = bytes_of("3.13.3-plain.json");
    let opened = open(Store::Json, &text).unwrap();
    assert!(!format!("{opened:?}").contains("plain word"));
    assert_eq!(format!("{:?}", Cipher::new(&other_key())), "Cipher(..)");
    assert!(!format!("{:?}", other_key()).contains('9'));
}

/// Sign, digits without zeros at either end, and where the point stands: the same for all ways to
/// write a number.
#[expect(clippy::arithmetic_side_effects, reason = "numbers of a few digits")]
fn decimal(text: &str) -> (bool, String, i64) {
    let lower = text.to_ascii_lowercase();
    let bare = lower.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = bare.split_once('e').unwrap_or((bare, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let before = i64::try_from(whole.len()).unwrap() + exponent.parse::<i64>().unwrap();
    let point = before - i64::try_from(all.len() - digits.len()).unwrap();
    let digits = digits.trim_end_matches('0').to_owned();
    let point = if digits.is_empty() { 0 } else { point };
    (lower.starts_with('-'), digits, point)
}

/// What becomes of a number that is encrypted and decrypted; `None` where it is refused.
fn there_and_back(store: Store, number: &str) -> Option<String> {
    let (before, after) = if store == Store::Json { ("{\"n\": ", "}\n") } else { ("n: ", "\n") };
    let document = Plaintext::copy_of(format!("{before}{number}{after}").as_bytes());
    let key = other_key();
    let shape =
        read(store, &bytes_of(&format!("3.13.3-plain.{}", store.to_string().to_lowercase())));
    let sealed = match seal(&document, &sealing(store, &shape, &key)) {
        Ok(sealed) => sealed,
        Err(error) => {
            assert!(error.to_string().contains("number"), "{number}: {error}");
            return None;
        }
    };
    let opened = read(store, &sealed).open(&key, MacCheck::Verify).unwrap();
    let text = shown(&opened.document(&Writer::Lossless, store).unwrap());
    Some(
        text.trim_start_matches(['{', '\n', '\t', ' '])
            .trim_end_matches(['}', '\n'])
            .replace(['"', ' '], "")
            .replace("n:", ""),
    )
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// The text of a number may change, as sops writes it, but not the number: what would lose a
    /// digit is refused.
    #[test]
    fn no_number_loses_a_digit(
        minus in proptest::bool::ANY,
        number in "(0|[1-9][0-9]{0,18})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?",
    ) {
        let number = format!("{}{number}", if minus { "-" } else { "" });
        for store in [Store::Yaml, Store::Json] {
            if let Some(back) = there_and_back(store, &number) {
                let same = decimal(&back) == decimal(&number);
                // go-yaml knows no zero with a sign but that of a float.
                let zero = decimal(&number).1.is_empty() && decimal(&back).1.is_empty();
                proptest::prop_assert!(same || zero, "{store}: {number} {back}");
            }
        }
    }

    /// A 64-bit float holds any fifteen digits: such a number is never refused.
    #[test]
    fn fifteen_digits_are_kept(digits in 0_u64..1_000_000_000_000_000, exponent in -290..290_i32) {
        for store in [Store::Yaml, Store::Json] {
            let number = format!("{digits}.0e{exponent}");
            let back = there_and_back(store, &number);
            proptest::prop_assert_eq!(back.map(|back| decimal(&back)), Some(decimal(&number)));
        }
    }
}
