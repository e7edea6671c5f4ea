//! One happy path for each command, and the whole stderr of each of its errors, to be read as
//! text: what happened, where, what to do.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::fmt::Write;
use std::fs;

use common::{Fleet, PROGRAM, files_below, finish, identity_of};

/// Compares without the expression, which says nothing that the text does not.
macro_rules! snapshot {
    ($text:expr) => {
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($text));
    };
}

/// Runs each command on a fleet of its own and writes down what it said.
fn transcript(runs: &[(&[&str], &str)]) -> String {
    let mut text = String::new();
    for (arguments, input) in runs {
        let fleet = prepared();
        let run = fleet.feed(arguments, input.as_bytes());
        let mut stderr = fleet.redact(&run.stderr);
        for name in ["alice", "web1", "db1"] {
            for key in [fleet.public(name), fleet.public(name).rsplit_once(' ').unwrap().0.into()] {
                stderr = stderr.replace(&key, &format!("[KEY OF {name}]"));
            }
        }
        writeln!(
            text,
            "$ secretctl {}\n{}[{}]\n",
            arguments.join(" ").escape_debug(),
            stderr,
            run.code
        )
        .unwrap();
    }
    text
}

/// A fleet with something of everything that can be wrong.
fn prepared() -> Fleet {
    let fleet = Fleet::with(&["secrets/a.age"]);
    let encrypt = |key: &str, name: &str| {
        fleet.feed(&["encrypt", "-r", &fleet.public(key), "-o", name], b"x").done();
    };
    encrypt("stranger", "foreign.age");
    encrypt("alice", "broken.age");
    let mut bytes = fs::read(fleet.path("broken.age")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(fleet.path("broken.age"), &bytes).unwrap();
    fs::write(fleet.path("short.age"), &bytes[..50]).unwrap();
    let forged = String::from_utf8_lossy(&bytes).replace("--- ", "--- A");
    fs::write(fleet.path("forged.age"), forged.as_bytes()).unwrap();
    fs::write(fleet.path("plain.age"), "password\n").unwrap();
    fs::write(fleet.path("alice.pub"), fleet.public("alice")).unwrap();
    fs::write(fleet.path("ecdsa.pub"), "ecdsa-sha2-nistp256 AAAAE2VjZHNh x\n").unwrap();
    fs::create_dir(fleet.path("bad")).unwrap();
    let bad =
        "users:\n  a: nonsense\nsecrets:\n  - path: ../x\n    readers: [b]\n    colour: red\n";
    fs::write(fleet.path("bad/secretctl.yaml"), bad).unwrap();
    fs::create_dir(fleet.path("stale")).unwrap();
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    fs::write(fleet.path("stale/secretctl.yaml"), rules.replace("secrets/**", "\"**.age\""))
        .unwrap();
    fs::write(fleet.path("globs.yaml"), rules.replace("secrets/**", "**.age")).unwrap();
    fs::copy(fleet.path("foreign.age"), fleet.path("stale/foreign.age")).unwrap();
    fleet
}

#[test]
fn errors_of_edit() {
    snapshot!(transcript(&[
        (&["edit", "secrets/a.age"], ""),
        (&["edit", "elsewhere.age"], "x"),
        (&["edit", "secrets/a.age", "secrets/b.age"], "x"),
        (&["edit", "secrets"], "x"),
        (&["edit", "bad/x.age"], "x"),
        (&["edit"], "x"),
    ]));
}

#[test]
fn errors_of_encrypt() {
    snapshot!(transcript(&[
        (&["encrypt"], "x"),
        (&["encrypt", "-r", "nonsense"], "x"),
        (&["encrypt", "-r", "@nobody"], "x"),
        (&["encrypt", "-r", "age1nonsense"], "x"),
        (&["encrypt", "-R", "ecdsa.pub"], "x"),
        (&["encrypt", "-R", "nowhere.pub"], "x"),
        (&["encrypt", "-R", "plain.age"], "x"),
        (&["encrypt", "-r", "@alice", "nowhere"], "x"),
        (&["encrypt", "-r", "@alice"], ""),
        (&["encrypt", "-r", "@alice", "-o", "nowhere/\u{1b}/"], "x"),
        (&["encrypt", "-o", "elsewhere.age"], "x"),
        (&["encrypt", "-p", "-r", "@alice"], "x"),
    ]));
}

#[test]
fn errors_of_decrypt() {
    snapshot!(transcript(&[
        (&["decrypt", "nowhere.age"], ""),
        (&["decrypt", "foreign.age"], ""),
        (&["decrypt", "-i", "../keys/stranger", "secrets/a.age"], ""),
        (&["decrypt", "-i", "nowhere", "secrets/a.age"], ""),
        (&["decrypt", "-i", "alice.pub", "secrets/a.age"], ""),
        (&["decrypt", "broken.age"], ""),
        (&["decrypt", "short.age"], ""),
        (&["decrypt", "forged.age"], ""),
        (&["decrypt", "plain.age"], ""),
        (&["decrypt", "secrets"], ""),
        (&["decrypt"], ""),
        (&["decrypt", "-o", "nowhere/x", "secrets/a.age"], ""),
        (&["--error-format", "json", "decrypt", "foreign.age"], ""),
    ]));
}

#[test]
fn errors_of_rekey_and_status() {
    snapshot!(transcript(&[
        (&["rekey", "elsewhere.age"], ""),
        (&["rekey", "bad"], ""),
        (&["rekey", "--rules", "bad/secretctl.yaml"], ""),
        (&["rekey", "--rules", "stale/secretctl.yaml"], ""),
        (&["rekey", "--rules", "stale/secretctl.yaml", "--check"], ""),
        (&["rekey", "--force", "-i", "../keys/stranger"], ""),
        (&["--error-format", "json", "rekey", "--rules", "stale/secretctl.yaml"], ""),
        (&["rekey", "--rules", "globs.yaml"], ""),
        (&["status", "nowhere"], ""),
        (&["status", "--rules", "nowhere.yaml"], ""),
        (&["status", "--rules", "plain.age"], ""),
    ]));
}

/// Runs each command as `alice` and writes down what it said: nothing is printed, no file changes
/// and no temporary is left, and so with every other command on the same file.
fn refusals(fleet: &Fleet, runs: &[(&[&str], &str)]) -> String {
    let state = || -> Vec<_> {
        let files = files_below(&fleet.path("."));
        files.into_iter().map(|file| (identity_of(&file), file)).collect()
    };
    let before = state();
    let mut text = String::new();
    for (arguments, input) in runs {
        let run = fleet.feed(arguments, input.as_bytes());
        assert_eq!(run.stdout, b"", "{arguments:?}");
        let mut stderr = fleet.redact(&run.stderr);
        for name in ["alice", "web1", "stranger"] {
            let key = fleet.public(name);
            stderr = stderr.replace(key.rsplit_once(' ').unwrap().0, &format!("[KEY OF {name}]"));
        }
        let arguments = arguments.join(" ");
        writeln!(text, "$ secretctl {}\n{stderr}[{}]\n", arguments.escape_debug(), run.code)
            .unwrap();
        assert!(state() == before, "{arguments} changed something");
    }
    text
}

/// A fleet with a sops file and with what becomes of it in the hands of those without the key.
fn tampered() -> Fleet {
    let fleet = Fleet::new();
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    fs::write(fleet.path("secretctl.yaml"), rules.replace("secrets/**", "\"**/*.{yaml,json}\""))
        .unwrap();
    let content = r#"{"a": "CANARY-1", "b": "CANARY-2", "list": ["CANARY-3", "CANARY-4"], "n": 7}"#;
    fleet.feed(&["encrypt", "-o", "secrets/sound.json"], content.as_bytes()).done();
    let sound = fs::read_to_string(fleet.path("secrets/sound.json")).unwrap();
    let values: Vec<String> =
        sound.split('"').filter(|text| text.starts_with("ENC[")).map(str::to_owned).collect();
    let mac = values.last().unwrap();
    let other = values[0].replacen("data:", "data:AA", 1);
    for (name, text) in [
        ("changed", sound.replace(&values[0], &other)),
        (
            "swapped",
            sound.replace(&values[0], "@").replace(&values[1], &values[0]).replace('@', &values[1]),
        ),
        ("renamed", sound.replace("\"a\": \"ENC", "\"c\": \"ENC")),
        ("shorter", sound.replace(&format!(", \"{}\"]", values[3]), "]")),
        ("retyped", sound.replace(&values[0], &values[0].replace("type:str", "type:int"))),
        ("truncated", sound[..sound.len() / 2].to_owned()),
        ("stripped", sound.replace(mac, "")),
        ("plain", content.to_owned()),
        ("nobody", sound.replace("\"version\"", "\"x\"").replace("-----BEGIN AGE", "-----BEGIN X")),
    ] {
        assert_ne!(text, sound, "{name}");
        fs::write(fleet.path(format!("secrets/{name}.json")), text).unwrap();
    }
    fs::write(fleet.path("secrets/alias.yaml"), "a: &x CANARY-1\nb: *x\n").unwrap();
    fs::write(fleet.path("secrets/reserved.yaml"), "sops: CANARY-1\n").unwrap();
    fleet.feed(&["encrypt", "-r", &fleet.public("alice"), "-o", "plain.age"], b"CANARY-1").done();
    fleet
}

#[test]
fn errors_of_sops_files() {
    let fleet = tampered();
    let text = refusals(
        &fleet,
        &[
            (&["decrypt", "secrets/changed.json"], ""),
            (&["decrypt", "secrets/swapped.json"], ""),
            (&["decrypt", "secrets/renamed.json"], ""),
            (&["decrypt", "secrets/shorter.json"], ""),
            (&["decrypt", "secrets/retyped.json"], ""),
            (&["decrypt", "secrets/truncated.json"], ""),
            (&["decrypt", "secrets/stripped.json"], ""),
            (&["decrypt", "secrets/plain.json"], ""),
            (&["decrypt", "secrets/nobody.json"], ""),
            (&["decrypt", "secrets/sound.json", "-i", "../keys/stranger"], ""),
            (&["decrypt", "secrets/sound.json", "--output-type", "ini"], ""),
            (&["decrypt", "secrets/sound.json", "--input-type", "ini"], ""),
            (&["decrypt", "plain.age", "--output-type", "json"], ""),
            (&["decrypt"], "a: CANARY-1\n"),
            (&["decrypt"], "{\"a\": CANARY-1"),
            (&["encrypt", "--in-place", "secrets/alias.yaml"], ""),
            (&["encrypt", "--in-place", "secrets/reserved.yaml"], ""),
            (&["encrypt", "--in-place", "secrets/sound.json"], ""),
            (&["encrypt", "--in-place", "secrets/truncated.json", "--armor"], ""),
            (&["encrypt", "--in-place", "-"], "x"),
            (&["encrypt", "-o", "secrets/new.yaml"], "a: [CANARY-1\nb: CANARY-2\n"),
            (&["encrypt", "-r", "@alice", "--input-type", "dotenv"], "CANARY-1\n"),
        ],
    );
    assert!(!text.contains("CANARY"), "{text}");
    snapshot!(text);
}

#[test]
fn errors_of_get_set_unset_and_rotate() {
    let fleet = tampered();
    let text = refusals(
        &fleet,
        &[
            (&["get", "secrets/sound.json", "/nowhere"], ""),
            (&["get", "secrets/sound.json", "a"], ""),
            (&["get", "secrets/sound.json", "/list", "--output-type", "dotenv"], ""),
            (&["get", "secrets/nowhere.json", "/a"], ""),
            (&["get", "secrets/changed.json", "/b"], ""),
            (&["get", "plain.age", "/a"], ""),
            (&["get", "plain.age", "/a", "--input-type", "json"], ""),
            (&["set", "secrets/sound.json", "/a", "text"], ""),
            (&["set", "secrets/sound.json", "/a"], ""),
            (&["set", "secrets/sound.json", "/a"], "{\"x\": CANARY-1}"),
            (&["set", "secrets/sound.json", "/a", "--value-file", "nowhere"], ""),
            (&["set", "secrets/sound.json", "/a/b", "1"], ""),
            (&["set", "secrets/sound.json", "", "1"], ""),
            (&["set", "secrets/swapped.json", "/a", "1"], ""),
            (&["set", "elsewhere/x.ini", "/a", "1"], ""),
            (&["set", "secrets/nowhere.json", "/a", "1"], ""),
            (&["unset", "secrets/stripped.json", "/a"], ""),
            (&["unset", "secrets/sound.json", "[a]"], ""),
            (&["rotate", "secrets/sound.json", "secrets/changed.json", "secrets/retyped.json"], ""),
            (&["rotate", "secrets/sound.json", "secrets/plain.json"], ""),
            (&["rotate", "secrets/sound.json", "secrets/nowhere.json"], ""),
            (&["rotate", "plain.age"], ""),
            (&["rotate", "secrets/sound.json", "-i", "../keys/stranger"], ""),
        ],
    );
    assert!(!text.contains("CANARY"), "{text}");
    snapshot!(text);
}

#[test]
fn errors_of_readers_keys_and_init() {
    snapshot!(transcript(&[
        (&["host", "add", "db1"], ""),
        (&["host", "add", "web1", "-k", "alice.pub", "--no-rekey"], ""),
        (&["host", "add", "alice", "-k", "alice.pub", "--no-rekey"], ""),
        (&["host", "add", "a b", "-k", "alice.pub", "--no-rekey"], ""),
        (&["host", "add", "db1", "-k", "alice.pub", "--to", "nobody", "--no-rekey"], ""),
        (&["host", "add", "db1", "--known-hosts", "alice.pub"], ""),
        (&["host", "remove", "nobody"], ""),
        (&["user", "remove", "web1"], ""),
        (&["user", "remove", "alice"], ""),
        (&["keys", "show", "nowhere"], ""),
        (&["keys", "show", "plain.age"], ""),
        (&["keys", "convert", "ecdsa.pub"], ""),
        (&["keys", "convert", "--private-key", "alice.pub"], ""),
        (&["init"], ""),
    ]));
}

#[test]
fn every_command_has_a_happy_path() {
    let fleet = Fleet::new();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    let (alice, web1) = (fleet.public("alice"), fleet.public("web1"));
    fleet.run(&["init"]).done();
    fleet.run(&["user", "add", "alice", "-r", &alice, "--to", "defaultEncryptKeys"]).done();
    fleet.run(&["host", "add", "web1", "-r", &web1]).done();
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    let rule = "secrets:\n  - path: secrets/**\n    readers: [web1]\n";
    fs::write(fleet.path("secretctl.yaml"), rules.replace("secrets: []\n", rule)).unwrap();
    fleet.edit(&["edit", "secrets/a.age"], "echo a >\"$1\"").done();
    fleet.feed(&["encrypt", "-o", "secrets/b.age"], b"b").done();
    assert_eq!(fleet.run(&["decrypt", "secrets/a.age"]).done().stdout, b"a\n");
    fleet.run(&["rekey"]).done().says("2 files have the right readers");
    fleet.run(&["rekey", "--check"]).done();
    let status = String::from_utf8(fleet.run(&["status"]).done().stdout).unwrap();
    assert_eq!(status.matches(" ok\n").count(), 2, "{status}");
    for (command, needle) in [
        (&["host", "list"][..], web1.split(' ').nth(1).unwrap()),
        (&["user", "list"], alice.split(' ').nth(1).unwrap()),
        (&["keys", "show"], "alice"),
        (&["keys", "convert", "../keys/alice.pub"], "age1"),
        (&["completions", "bash"], "secretctl"),
        (&["man"], "secretctl"),
    ] {
        let text = String::from_utf8(fleet.run(command).done().stdout).unwrap();
        assert!(text.contains(needle), "{command:?}: {text}");
    }
    let db1 = fleet.public("db1");
    fleet.run(&["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--yes"]).done();
    fleet.run(&["host", "remove", "web1", "--yes"]).done().says("whoever could");
    fleet.open("secrets/a.age", "db1").unwrap();
    fleet.open("secrets/a.age", "web1").unwrap_err();
}

#[test]
fn everything_in_the_help_is_described() {
    let fleet = Fleet::new();
    let mut words: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = words.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let run = finish(fleet.bare(&arguments), b"").done();
        let text = String::from_utf8(run.stdout).unwrap();
        seen += 1;
        let lines: Vec<&str> = text.lines().collect();
        let mut section = "";
        for (index, line) in lines.iter().enumerate() {
            if line.ends_with(':') && !line.starts_with(' ') {
                section = line;
            }
            let trimmed = line.trim_start();
            let entry = line.starts_with("  ")
                && (trimmed.starts_with('-') && !trimmed.starts_with("- ")
                    || trimmed.starts_with(['<', '['])
                        && !trimmed.starts_with("[env")
                        && !trimmed.starts_with("[default")
                        && !trimmed.starts_with("[possible"))
                || (section == "Commands:" && line.starts_with("  ") && !line.starts_with("   "));
            if entry {
                let next = lines.get(index + 1).unwrap_or(&"");
                let described = trimmed.contains("  ") || next.starts_with("          ");
                assert!(described, "{PROGRAM} {arguments:?}: {line}");
            }
            if section == "Commands:" && line.starts_with("  ") && !line.starts_with("   ") {
                let name = trimmed.split(' ').next().unwrap();
                if name != "help" {
                    words.push([command.clone(), vec![name.to_owned()]].concat());
                }
            }
        }
    }
    assert!(seen >= 18, "{seen}");
}
