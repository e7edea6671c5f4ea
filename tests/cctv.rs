//! The age vectors of C2SP/CCTV, each through the program: exit status, every byte released, and
//! the class of the failure.
//!
//! The vectors are not kept here: `SECRETCTL_TEST_CCTV` names their folder (`scripts/setup` finds
//! it), and whatever is in it is run. The format of a vector is that of the README beside them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Vectors that are not passed, each with its reason. The list may only get shorter: a vector in it
/// that passes fails the test.
const UNSUPPORTED: &[(&str, &str)] = &[];

/// For vectors that name no key: one that fits nothing. Test only.
const STRANGER: &str = "AGE-SECRET-KEY-1HGEE77SDCHQCDX9VYF5RL5FENQQLWDDN3F9A0QKNTUMMKRYSTNESVYTYLX";

#[test]
fn every_vector_is_opened_or_refused_as_it_says() {
    let Some(folder) = std::env::var_os("SECRETCTL_TEST_CCTV").map(PathBuf::from) else {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "SECRETCTL_TEST_CCTV not set");
        println!("skipped: the vectors of C2SP/CCTV are missing");
        return;
    };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let outcomes: BTreeMap<String, Option<String>> = files
        .par_iter()
        .filter_map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let vector = Vector::parse(&std::fs::read(file).unwrap())?;
            Some((name, vector.run().err()))
        })
        .collect();
    assert!(outcomes.len() >= 100, "only {} vectors in {}", outcomes.len(), folder.display());

    let unsupported: BTreeMap<_, _> = UNSUPPORTED.iter().copied().collect();
    let mut report = String::new();
    for (name, outcome) in &outcomes {
        match (outcome, unsupported.get(name.as_str())) {
            (Some(why), None) => writeln!(report, "{name}: {why}").unwrap(),
            (None, Some(_)) => {
                writeln!(report, "{name}: passes now: take it off the list").unwrap();
            }
            (Some(_), Some(reason)) => println!("{name}: unsupported: {reason}"),
            (None, None) => {}
        }
    }
    for name in unsupported.keys().filter(|name| !outcomes.contains_key(**name)) {
        writeln!(report, "{name}: is no vector: take it off the list").unwrap();
    }
    println!("{} vectors, {} of them unsupported", outcomes.len(), unsupported.len());
    assert!(report.is_empty(), "\n{report}");
}

/// What a vector says must happen.
struct Vector {
    /// `success` or the kind of failure.
    expect: String,
    /// SHA-256, in hexadecimal, of what is released.
    payload: Option<String>,
    identities: Vec<String>,
    passphrases: Vec<String>,
    age: Vec<u8>,
}

impl Vector {
    /// `None` where the vector uses a key that is not known here, as its format asks.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an empty line");
        let mut vector = Self {
            expect: String::new(),
            payload: None,
            identities: Vec::new(),
            passphrases: Vec::new(),
            age: bytes[end..].get(2..).unwrap_or_default().to_vec(),
        };
        for line in std::str::from_utf8(&bytes[..end]).unwrap().lines() {
            let (key, value) = line.split_once(": ").expect("`key: value`");
            match key {
                "expect" => value.clone_into(&mut vector.expect),
                "payload" => vector.payload = Some(value.to_owned()),
                "identity" => vector.identities.push(value.to_owned()),
                "passphrase" => vector.passphrases.push(value.to_owned()),
                "compressed" if value == "zlib" => {
                    vector.age = miniz_oxide::inflate::decompress_to_vec_zlib(&vector.age).unwrap();
                }
                "armored" | "comment" | "file key" => {}
                _ => return None,
            }
        }
        Some(vector)
    }

    /// Opens the vector with the program.
    fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vector.age");
        std::fs::write(&file, &self.age).unwrap();
        let mut command = assert_cmd::Command::cargo_bin("secretctl").unwrap();
        command
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("SECRETCTL_ASKPASS", self.askpass(folder.path()))
            .current_dir(folder.path())
            .args(["decrypt", "--error-format", "json"])
            .timeout(Duration::from_mins(2));
        if self.passphrases.is_empty() || !self.identities.is_empty() {
            command.arg("--identity").arg(self.identity_file(folder.path()));
        }
        let output = command.arg(&file).output().unwrap();
        self.judge(&output)
    }

    /// A file with the identities of the vector.
    fn identity_file(&self, folder: &Path) -> PathBuf {
        let file = folder.join("identity");
        let keys = match self.identities.as_slice() {
            [] => STRANGER.to_owned(),
            identities => identities.join("\n"),
        };
        std::fs::write(&file, keys + "\n").unwrap();
        file
    }

    /// A program that prints the first passphrase of the vector, and fails where there is none.
    fn askpass(&self, folder: &Path) -> PathBuf {
        let answer = folder.join("passphrase");
        if let Some(passphrase) = self.passphrases.first() {
            std::fs::write(&answer, format!("{passphrase}\n")).unwrap();
        }
        let program = folder.join("askpass");
        std::fs::write(&program, format!("#!/bin/sh\nexec cat '{}'\n", answer.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        program
    }

    fn judge(&self, output: &std::process::Output) -> Result<(), String> {
        let errors = String::from_utf8_lossy(&output.stderr);
        let class = match self.expect.as_str() {
            "success" => None,
            "header failure" => Some("header"),
            "armor failure" => Some("armor"),
            "HMAC failure" => Some("hmac"),
            "no match" => Some("no-match"),
            "payload failure" => Some("payload"),
            other => return Err(format!("expects `{other}`, which this test does not know")),
        };
        let Some(code) = output.status.code() else {
            return Err(format!("ended by a signal or by the time limit: {errors}"));
        };
        if (code == 0) != class.is_none() {
            return Err(format!("expects {}, ended with {code}: {errors}", self.expect));
        }
        if class.is_some() && class_of(&errors).as_deref() != class {
            return Err(format!("expects the class {class:?}: {errors}"));
        }
        let released = match (class, &self.payload) {
            (None | Some("payload"), Some(payload)) => payload.clone(),
            _ => hexadecimal(&Sha256::digest(b"")),
        };
        if hexadecimal(&Sha256::digest(&output.stdout)) != released {
            return Err(format!("released {} bytes, not those it should", output.stdout.len()));
        }
        Ok(())
    }
}

/// The `class` of the one line of JSON that reports the failure.
fn class_of(errors: &str) -> Option<String> {
    errors
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|report| report.get("class")?.as_str().map(str::to_owned))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
