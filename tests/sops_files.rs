//! What we seal is read and changed by the real sops, and what it changed by us.
//!
//! `SECRETCTL_TEST_SOPS_OLD` and `SECRETCTL_TEST_SOPS_NEW` name the programs (see
//! `scripts/setup`).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod desk;

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use secretctl::format::sops::data_key::DataKey;
use secretctl::format::sops::file::{
    MacCheck, Opened, Sealing, SopsFile, VersionRule, Writer, seal,
};
use secretctl::format::sops::store::{Layout, Store};
use secretctl::plaintext::Plaintext;

const NAMES: [&str; 13] = [
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
const WRITERS: [Writer; 2] = [
    Writer::Lossless,
    Writer::Canonical(Layout { yaml_indent: 4, json_indent: None, binary_indent: None }),
];

#[test]
fn sops_reads_what_we_seal() {
    for sops in peers() {
        for name in NAMES.into_iter().filter(|name| can_read(&sops, name)) {
            for writer in WRITERS {
                let (file, key) = theirs(name);
                let sealed = seal(&plain(name), &sealing(name, &file, &key, &writer)).unwrap();
                let document = decrypted(&sops, name, &sealed);
                assert_eq!(document, text(&plain(name)), "{} {name} {writer:?}", sops.display());
            }
        }
    }
}

#[test]
fn sops_reads_what_we_changed() {
    for sops in peers() {
        for name in NAMES.into_iter().filter(|name| can_read(&sops, name)) {
            for writer in WRITERS {
                let (file, key) = theirs(name);
                let before = opened(name, &bytes(&format!("3.13.3-{name}")), &key);
                let sealing =
                    Sealing { before: Some(&before), ..sealing(name, &file, &key, &writer) };
                let document = before.document(&writer, store(name)).unwrap();
                let sealed = seal(&document, &sealing).unwrap();
                let document = decrypted(&sops, name, &sealed);
                assert_eq!(document, text(&plain(name)), "{} {name} {writer:?}", sops.display());
            }
        }
    }
}

#[test]
fn sops_reads_what_we_rotated() {
    for sops in peers() {
        for name in NAMES.into_iter().filter(|name| can_read(&sops, name)) {
            for writer in WRITERS {
                let (file, key) = theirs(name);
                let before = opened(name, &bytes(&format!("3.13.3-{name}")), &key);
                // the same key stands in for a new one, which somebody had to wrap
                let rotated =
                    before.rotate(&key, file.metadata(), &writer, file.store(), NOW).unwrap();
                let document = decrypted(&sops, name, &rotated);
                assert_eq!(document, text(&plain(name)), "{} {name} {writer:?}", sops.display());
            }
        }
    }
}

#[test]
fn we_read_what_sops_changed_in_ours() {
    for sops in peers() {
        for (name, index) in [
            ("plain.json", r#"["int"]"#),
            ("plain.yaml", r#"["b"]"#),
            ("plain.env", r#"["USER"]"#),
            ("plain.ini", r#"["db"]["user"]"#),
        ] {
            if !can_read(&sops, name) {
                continue;
            }
            let (file, key) = theirs(name);
            let sealed = seal(&plain(name), &sealing(name, &file, &key, &WRITERS[1])).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::write(&path, &sealed).unwrap();
            let output = run(&sops, &["set", path.to_str().unwrap(), index, "\"changed\""]);
            assert!(output.status.success(), "{name}: {output:?}");
            let changed = fs::read(&path).unwrap();
            let document = opened(name, &changed, &key).document(&WRITERS[1], store(name)).unwrap();
            assert_eq!(new_lines(&text(&plain(name)), &text(&document)), 1, "{name}");
            // the value, the MAC and the time: sops found the same bytes in all other values
            let old = String::from_utf8(sealed).unwrap();
            assert_eq!(new_lines(&old, &String::from_utf8(changed).unwrap()), 3, "{name}");
        }
    }
}

fn peers() -> Vec<PathBuf> {
    let variables = ["SECRETCTL_TEST_SOPS_OLD", "SECRETCTL_TEST_SOPS_NEW"];
    variables.into_iter().filter_map(|variable| desk::peer(variable, true)).collect()
}

/// sops 3.13.1 cannot read the INI files of 3.13.3: it wants line ends in keys that are wrapped.
fn can_read(sops: &Path, name: &str) -> bool {
    let old =
        std::env::var_os("SECRETCTL_TEST_SOPS_OLD").is_some_and(|old| sops == Path::new(&old));
    !(old && store(name) == Store::Ini)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sops")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn plain(name: &str) -> Plaintext {
    Plaintext::new(bytes(&format!("plain.{}", name.rsplit_once('.').unwrap().1)))
}

fn text(document: &Plaintext) -> String {
    String::from_utf8_lossy(document.expose()).into_owned()
}

fn store(name: &str) -> Store {
    Store::of_path(Path::new(name))
}

/// A file of sops, for its rule, its wrapped key, and that key.
fn theirs(name: &str) -> (SopsFile, DataKey) {
    let text = Plaintext::new(bytes(&format!("3.13.3-{name}")));
    let file = SopsFile::read(store(name), text).unwrap();
    let keys = fs::read_to_string(folder().join("key.txt")).unwrap();
    let key: age::x25519::Identity =
        keys.lines().find(|line| line.starts_with("AGE-")).unwrap().parse().unwrap();
    let armor = age::armor::ArmoredReader::new(file.metadata().groups[0][0].enc.as_bytes());
    let decryptor = age::Decryptor::new(armor).unwrap();
    let mut reader = decryptor.decrypt(std::iter::once(&key as &dyn age::Identity)).unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    (file, DataKey::from_plaintext(Plaintext::new(bytes)).unwrap())
}

fn sealing<'a>(
    name: &str,
    file: &'a SopsFile,
    key: &'a DataKey,
    writer: &'a Writer,
) -> Sealing<'a> {
    Sealing {
        input: store(name),
        output: store(name),
        metadata: file.metadata(),
        key,
        before: None,
        wanted: None,
        writer,
        now: NOW,
        version: VersionRule::Keep,
    }
}

fn opened(name: &str, text: &[u8], key: &DataKey) -> Opened {
    let file = SopsFile::read(store(name), Plaintext::copy_of(text)).unwrap();
    file.open(key, MacCheck::Verify).unwrap()
}

fn decrypted(sops: &Path, name: &str, sealed: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, sealed).unwrap();
    let output = run(sops, &["decrypt", path.to_str().unwrap()]);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {name}: {shown}", sops.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(sops: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(sops);
    command.env_clear().env("HOME", "/nonexistent").env("SOPS_DISABLE_VERSION_CHECK", "true");
    command.env("SOPS_AGE_KEY_FILE", folder().join("key.txt"));
    command.args(arguments).output().unwrap()
}

fn new_lines(before: &str, after: &str) -> usize {
    let old: HashSet<&str> = before.lines().collect();
    after.lines().filter(|line| !old.contains(line)).count()
}

const NOW: &str = "2026-11-21T10:00:00Z";
