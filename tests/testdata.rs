//! Files that other programs and older versions wrote stay readable, whatever is installed here.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// Each file with the keys that open it and the program that its content names.
const FILES: &[(&str, &[&str], &str)] = &[
    ("age-1.1.1-ssh-ed25519.age", &["ssh_ed25519"], "age 1.1.1"),
    ("age-1.1.1-x25519.age", &["x25519.txt"], "age 1.1.1"),
    ("age-1.3.2-post-quantum.age", &["post-quantum.txt"], "age 1.3.2"),
    ("rage-0.12.1-x25519-crlf.age", &["x25519.txt"], "rage 0.12.1"),
    ("rage-0.12.1-x25519.age", &["x25519.txt"], "rage 0.12.1"),
    ("secretctl-0.1.0-readers.age", &["x25519.txt", "ssh_ed25519"], "secretctl 0.1.0"),
];
const KEYS: &[&str] = &["post-quantum.txt", "ssh_ed25519", "x25519.txt"];

#[test]
fn every_file_opens_with_its_keys_and_no_other() {
    for (file, keys, program) in FILES {
        for key in KEYS {
            let output = decrypt(file, key);
            if keys.contains(key) {
                let content = String::from_utf8(output.stdout).unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                assert_eq!(content, format!("hunter2, made by {program}\n"), "{file}: {errors}");
                assert!(output.status.success(), "{file} with {key}: {errors}");
            } else {
                assert!(output.stdout.is_empty(), "{file} with {key}");
                assert_eq!(output.status.code(), Some(2), "{file} with {key}");
            }
        }
    }
}

#[test]
fn the_files_are_what_the_page_beside_them_says() {
    let mut there: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "age"))
        .collect();
    there.sort();
    assert_eq!(there, FILES.iter().map(|(file, ..)| *file).collect::<Vec<_>>());
    let page = fs::read_to_string(folder().join("README.md")).unwrap();
    for name in there.iter().map(String::as_str).chain(KEYS.iter().copied()) {
        assert!(page.contains(&format!("| `{name}`")), "{name} is not in the page");
    }
    let holds = |file: &str, what: &str| {
        let bytes = fs::read(folder().join(file)).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(what), "{file} has no {what:?}");
    };
    holds("rage-0.12.1-x25519.age", "-grease ");
    holds("rage-0.12.1-x25519-crlf.age", "-----BEGIN AGE ENCRYPTED FILE-----\r\n");
    holds("secretctl-0.1.0-readers.age", "\n-> secretctl-readers v1\n");
}

fn decrypt(file: &str, key: &str) -> Output {
    // Away from any rules, and without a `PATH`: no other program can help.
    let elsewhere = tempfile::tempdir().unwrap();
    Command::cargo_bin("secretctl")
        .unwrap()
        .current_dir(&elsewhere)
        .env_clear()
        .env("HOME", elsewhere.path())
        .args(["decrypt", "--identity"])
        .arg(folder().join(key))
        .arg(folder().join(file))
        .output()
        .unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/age")
}
