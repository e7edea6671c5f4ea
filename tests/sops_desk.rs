//! The commands at the desk on sops files, and on age files that hold a document: each on every
//! kind of document, with the real sops as the other reader where it is there
//! (`SECRETCTL_TEST_SOPS_NEW`).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod common;
mod desk;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::{Fleet, files_below, finish, identity_of};
use serde_json::Value as Json;

const YAML: &str = "# of the database\ndb:\n    user: app   # who\n    password: 'old one'\n    \
    ports: [1, 2]\n\nother: keep\n";
const JSON: &str =
    "{\n  \"db\": {\"password\": \"old one\", \"user\": \"app\"},\n  \"other\": 1.5\n}\n";
const DOTENV: &str = "# of the database\nUSER=app\nPASSWORD=old one\n";
const INI: &str = "; of the database\n[db]\nuser = app\npassword = old one\n";
const BINARY: &[u8] = b"\x00\xffany bytes\n";

/// Name, content, and the way to a password in it.
const KINDS: [(&str, &[u8], &str); 6] = [
    ("secrets/a.yaml", YAML.as_bytes(), "/db/password"),
    ("secrets/a.json", JSON.as_bytes(), "/db/password"),
    ("secrets/a.env", DOTENV.as_bytes(), "/PASSWORD"),
    ("secrets/a.ini", INI.as_bytes(), "/db/password"),
    ("secrets/a.yaml.age", YAML.as_bytes(), "/db/password"),
    ("secrets/a.bin", BINARY, ""),
];

/// A fleet with rules for both: those of sops, which are never about `.age` files, and our own.
fn fleet() -> Fleet {
    let fleet = Fleet::new();
    rules(&fleet, &["alice", "web1"]);
    fleet
}

/// Rules for these readers.
fn rules(fleet: &Fleet, readers: &[&str]) {
    let keys: String =
        readers.iter().map(|name| format!("          - {}\n", short(fleet, name))).collect();
    let text = format!(
        "creation_rules:\n  - path_regex: ^secrets/\n    key_groups:\n      - age:\n{keys}"
    );
    fs::write(fleet.path(".sops.yaml"), text).unwrap();
    let keys: String =
        readers.iter().map(|name| format!("  {name}: {}\n", short(fleet, name))).collect();
    let readers = readers.join(", ");
    let text =
        format!("users:\n{keys}secrets:\n  - path: secrets/*.age\n    readers: [{readers}]\n");
    fs::write(fleet.path("secretctl.yaml"), text).unwrap();
}

/// A public key without its comment.
fn short(fleet: &Fleet, name: &str) -> String {
    fleet.public(name).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn put(fleet: &Fleet, name: &str, content: &[u8]) {
    fleet.feed(&["encrypt", "-o", name], content).done();
}

fn read(fleet: &Fleet, name: &str) -> String {
    String::from_utf8(fs::read(fleet.path(name)).unwrap()).unwrap()
}

fn decrypted(fleet: &Fleet, name: &str) -> Vec<u8> {
    fleet.run(&["decrypt", name]).done().stdout
}

/// The real sops reads a file as we do; nothing to say of age files, or where there is no sops.
#[track_caller]
fn sops_agrees(fleet: &Fleet, name: &str) {
    if name.contains(".age") {
        return;
    }
    let Some(sops) = desk::peer("SECRETCTL_TEST_SOPS_NEW", true) else { return };
    let mut command = fleet.around(&sops, &["decrypt", name]);
    command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", fleet.key("alice"));
    command.env("SOPS_DISABLE_VERSION_CHECK", "true");
    let theirs = finish(command, b"").done().stdout;
    let ours = fleet.run(&["decrypt", "--canonical", name]).done().stdout;
    assert_eq!(String::from_utf8_lossy(&theirs), String::from_utf8_lossy(&ours), "{name}");
}

/// Lines that an older text does not have.
fn new_lines(before: &str, after: &str) -> Vec<String> {
    let old: HashSet<&str> = before.lines().collect();
    after.lines().filter(|line| !old.contains(line)).map(str::to_owned).collect()
}

#[test]
fn what_is_encrypted_is_decrypted_as_it_was() {
    let fleet = fleet();
    for (name, content, _) in KINDS {
        put(&fleet, name, content);
        assert_eq!(decrypted(&fleet, name), content, "{name}");
        assert_eq!(fleet.open(name, "web1").unwrap(), content, "{name}");
        let bytes = fs::read(fleet.path(name)).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"old one"), "{name}");
        assert_eq!(name.ends_with(".age"), bytes.starts_with(b"age-encryption.org/"), "{name}");
        sops_agrees(&fleet, name);
        // Its content tells what standard input is, where it is not one of the smaller kinds.
        let kind = match name.rsplit_once('.').unwrap().1 {
            "env" => &["--input-type", "dotenv"][..],
            "ini" => &["--input-type", "ini"],
            "bin" => &["--input-type", "binary"],
            _ => &[],
        };
        let run = fleet.feed(&[&["decrypt"], kind].concat(), &bytes).done();
        assert_eq!(run.stdout, content, "{name}");
        // From a pipe that has a name, too.
        fleet.run(&["decrypt", name, "-o", "out"]).done();
        assert_eq!(fs::read(fleet.path("out")).unwrap(), content, "{name}");
    }
}

#[test]
fn a_document_is_printed_as_another() {
    let fleet = fleet();
    put(&fleet, "secrets/a.yaml", YAML.as_bytes());
    let run = fleet.run(&["decrypt", "--output-type", "json", "secrets/a.yaml"]).done();
    let json: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(json["db"]["password"], "old one");
    let run = fleet.run(&["decrypt", "--output-type", "dotenv", "secrets/a.yaml"]).ended(2);
    assert_eq!(run.stdout, b"");
    put(&fleet, "secrets/a.age", b"x");
    let run = fleet.run(&["decrypt", "--output-type", "json", "secrets/a.age"]).ended(2);
    assert_eq!(run.stdout, b"");
}

#[test]
fn a_yaml_file_may_begin_with_its_mark() {
    let fleet = fleet();
    let content = b"---\na: b\n";
    put(&fleet, "secrets/a.yaml", content);
    assert!(read(&fleet, "secrets/a.yaml").starts_with("---\n"));
    assert_eq!(decrypted(&fleet, "secrets/a.yaml"), content);
    fleet.run(&["status"]).done();
    let bytes = fs::read(fleet.path("secrets/a.yaml")).unwrap();
    assert_eq!(fleet.feed(&["decrypt"], &bytes).done().stdout, content);
}

#[test]
fn encrypting_onto_a_file_keeps_what_does_not_change() {
    let fleet = fleet();
    for (name, content, way) in KINDS {
        put(&fleet, name, content);
        if way.is_empty() || name.ends_with(".age") {
            continue;
        }
        let before = read(&fleet, name);
        let text = std::str::from_utf8(content).unwrap().replace("old one", "new one");
        put(&fleet, name, text.as_bytes());
        let changed = new_lines(&before, &read(&fleet, name));
        assert!(changed.len() <= 3, "{name}: {changed:#?}");
        assert_eq!(decrypted(&fleet, name), text.as_bytes());
        sops_agrees(&fleet, name);
    }
    // What nothing opens gets a new key.
    let arguments = ["encrypt", "-o", "secrets/a.yaml", "-i", "../keys/stranger"];
    fleet.key("stranger");
    fleet.feed(&arguments, b"a: b\n").done();
    assert_eq!(decrypted(&fleet, "secrets/a.yaml"), b"a: b\n");
}

#[test]
fn a_file_is_encrypted_in_its_place() {
    let fleet = fleet();
    for (name, content, _) in KINDS {
        fs::write(fleet.path(name), content).unwrap();
        fleet.run(&["encrypt", "--in-place", name]).done();
        assert_eq!(decrypted(&fleet, name), content, "{name}");
        let before = identity_of(&fleet.path(name));
        fleet.run(&["encrypt", "--in-place", name]).ended(2).says("is encrypted already");
        assert_eq!(identity_of(&fleet.path(name)), before);
        sops_agrees(&fleet, name);
    }
}

#[test]
fn a_sops_file_for_recipients_needs_no_rules() {
    let fleet = Fleet::new();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    let alice = fleet.public("alice");
    let run =
        fleet.feed(&["encrypt", "-r", &alice, "--input-type", "yaml"], YAML.as_bytes()).done();
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.starts_with("# of the database\n") || text.starts_with("#ENC["), "{text}");
    assert_eq!(fleet.feed(&["decrypt"], text.as_bytes()).done().stdout, YAML.as_bytes());
    for (name, content, _) in KINDS {
        if name.ends_with(".age") {
            continue;
        }
        let arguments = ["encrypt", "-r", &alice, "--type", "sops", "-o", name];
        fleet.feed(&arguments, content).done();
        assert_eq!(decrypted(&fleet, name), content, "{name}");
        sops_agrees(&fleet, name);
    }
    let arguments = [
        "encrypt",
        "-r",
        &alice,
        "--type",
        "sops",
        "--input-type",
        "dotenv",
        "-o",
        "secrets/b.json",
    ];
    fleet.feed(&arguments, DOTENV.as_bytes()).done();
    assert_eq!(fleet.run(&["get", "secrets/b.json", "/USER"]).done().stdout, b"app");
    // Without a word of sops, it is an age file as ever.
    let run = fleet.feed(&["encrypt", "-r", &alice], YAML.as_bytes()).done();
    assert!(run.stdout.starts_with(b"age-encryption.org/"));
}

#[test]
fn one_value_is_printed_set_and_removed() {
    let fleet = fleet();
    for (name, content, way) in KINDS {
        put(&fleet, name, content);
        if way.is_empty() {
            assert_eq!(fleet.run(&["get", name]).done().stdout, content);
            for arguments in
                [&["get", name, "/a"][..], &["set", name, "/a", "1"], &["unset", name, "/a"]]
            {
                fleet.run(arguments).ended(2).says("has no parts");
            }
            continue;
        }
        let before = fs::read(fleet.path(name)).unwrap();
        assert_eq!(fleet.run(&["get", name, way]).done().stdout, b"old one", "{name}");

        // The same value writes nothing.
        let old = identity_of(&fleet.path(name));
        fleet.run(&["set", name, way, "\"old one\""]).done().says("has this value already");
        fleet.run(&["unset", name, "/nothing"]).done().says("has no such value");
        assert_eq!(identity_of(&fleet.path(name)), old, "{name}");

        fleet.run(&["set", name, way, "\"new one\""]).done();
        let text = String::from_utf8(content.to_vec()).unwrap().replace("old one", "new one");
        assert_eq!(String::from_utf8(decrypted(&fleet, name)).unwrap(), text, "{name}");
        sops_agrees(&fleet, name);
        if !name.ends_with(".age") {
            let before = String::from_utf8(before).unwrap();
            let changed = new_lines(&before, &read(&fleet, name));
            assert!(changed.len() <= 3, "{name}: {changed:#?}");
        }

        for (arguments, input, wanted) in [
            (&["set", name, way, "--string"][..], "stdin \"x\"", "stdin \"x\""),
            (&["set", name, way], "\"in JSON\"", "in JSON"),
            (&["set", name, way, "--string", "--value-file", "../value"], "", "of a file"),
        ] {
            fs::write(fleet.root().join("value"), "of a file").unwrap();
            fleet.feed(arguments, input.as_bytes()).done();
            assert_eq!(fleet.run(&["get", name, way]).done().stdout, wanted.as_bytes(), "{name}");
            sops_agrees(&fleet, name);
        }
        fleet.run(&["unset", name, way]).done();
        fleet.run(&["get", name, way]).ended(2).says("has no value");
        sops_agrees(&fleet, name);
    }
    assert_eq!(fleet.litter(), Vec::<PathBuf>::new());
}

#[test]
fn set_makes_what_is_missing_and_keeps_the_text_of_numbers() {
    let fleet = fleet();
    for name in ["secrets/a.yaml", "secrets/a.json", "secrets/a.yaml.age"] {
        let content = if name.ends_with(".json") { JSON } else { YAML };
        put(&fleet, name, content.as_bytes());
        fleet.run(&["set", name, "[\"new\"][\"map\"][\"n\"]", "9007199254740993"]).done();
        fleet.run(&["set", name, "/new/list", "[1, {\"x\": null}, \"y\"]"]).done();
        fleet.run(&["set", name, "/new/list/3", "-5"]).done();
        let get =
            |way: &str| String::from_utf8(fleet.run(&["get", name, way]).done().stdout).unwrap();
        assert_eq!(get("/new/map/n"), "9007199254740993", "{name}");
        assert_eq!(get("/new/list/2"), "y", "{name}");
        assert_eq!(get("/new/list/3"), "-5", "{name}");
        assert_eq!(get("/new/list/1/x"), "null", "{name}");
        let json = fleet.run(&["get", name, "/new", "--output-type", "json"]).done().stdout;
        let json: Json = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["list"][3], -5, "{name}");
        sops_agrees(&fleet, name);
    }
}

#[test]
fn canonical_is_what_sops_would_print() {
    let fleet = fleet();
    put(&fleet, "secrets/a.yaml", YAML.as_bytes());
    fleet.run(&["set", "--canonical", "secrets/a.yaml", "/db/user", "\"x\""]).done();
    let Some(sops) = desk::peer("SECRETCTL_TEST_SOPS_NEW", true) else { return };
    let before = read(&fleet, "secrets/a.yaml");
    let mut command = fleet.around(&sops, &["set", "secrets/a.yaml", "[\"other\"]", "\"y\""]);
    command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", fleet.key("alice"));
    finish(command, b"").done();
    let changed = new_lines(&before, &read(&fleet, "secrets/a.yaml"));
    assert!(changed.len() <= 3, "value, MAC and time: {changed:#?}");
}

#[test]
fn rotate_gives_new_keys_and_keeps_values() {
    let fleet = fleet();
    let names: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
    for (name, content, _) in KINDS {
        put(&fleet, name, content);
    }
    let before: Vec<Vec<u8>> = names.iter().map(|n| fs::read(fleet.path(n)).unwrap()).collect();
    let run = fleet.run(&[&["rotate"], &names[..]].concat()).done();
    assert!(run.stderr.contains("rotated 6 files"), "{}", run.stderr);
    for ((name, content, way), before) in KINDS.iter().zip(&before) {
        let after = fs::read(fleet.path(name)).unwrap();
        assert_eq!(decrypted(&fleet, name), *content, "{name}");
        sops_agrees(&fleet, name);
        // Nothing that is encrypted is what it was.
        let kept = ciphertexts(before).intersection(&ciphertexts(&after)).count();
        assert_eq!(kept, 0, "{name}");
        assert!(way.is_empty() || name.ends_with(".age") || ciphertexts(&after).len() > 2);
    }
    // All or none.
    let before: Vec<_> = names.iter().map(|name| identity_of(&fleet.path(name))).collect();
    fs::write(fleet.path("secrets/plain.yaml"), "a: b\n").unwrap();
    for more in ["secrets/plain.yaml", "secrets/nowhere.yaml"] {
        fleet.run(&[&["rotate"], &names[..], &[more]].concat()).ended(2);
        let after: Vec<_> = names.iter().map(|name| identity_of(&fleet.path(name))).collect();
        assert_eq!(before, after);
    }
    // A file that no rule is about keeps its own readers.
    fs::remove_file(fleet.path(".sops.yaml")).unwrap();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    fleet.run(&["rotate", "secrets/a.yaml", "secrets/a.json"]).done();
    assert_eq!(fleet.open("secrets/a.yaml", "web1").unwrap(), YAML.as_bytes());
    sops_agrees(&fleet, "secrets/a.yaml");
    fleet.run(&["rotate", "secrets/a.yaml.age"]).ended(2);
    assert_eq!(fleet.litter(), Vec::<PathBuf>::new());
}

/// All that stands in `ENC[…]`.
fn ciphertexts(file: &[u8]) -> HashSet<String> {
    let text = String::from_utf8_lossy(file).into_owned();
    let found = text.split("ENC[").skip(1);
    found.map(|rest| rest.split(']').next().unwrap().to_owned()).collect()
}

/// The entries of a file's age readers: key and what is wrapped for it.
fn entries(fleet: &Fleet, name: &str) -> Vec<(String, String)> {
    let json: Json = serde_json::from_slice(&fs::read(fleet.path(name)).unwrap()).unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let age = json["sops"]["age"].as_array().unwrap();
    age.iter().map(|entry| (text(&entry["recipient"]), text(&entry["enc"]))).collect()
}

#[test]
fn a_rekey_adds_readers_to_a_whole_tree_and_touches_nothing_else() {
    let fleet = fleet();
    for (name, content, _) in KINDS {
        put(&fleet, name, content);
    }
    let values = |name: &str| ciphertexts(&fs::read(fleet.path(name)).unwrap());
    let before: Vec<_> = KINDS.iter().map(|(name, ..)| values(name)).collect();
    let old = entries(&fleet, "secrets/a.json");
    rules(&fleet, &["alice", "web1", "db1"]);
    let files: Vec<_> = KINDS.iter().map(|(name, ..)| identity_of(&fleet.path(name))).collect();
    // Neither look needs a key.
    for look in ["--check", "--dry-run"] {
        let run = finish(fleet.bare(&["rekey", look]), b"");
        let run = run.ended(i32::from(look == "--check"));
        assert_eq!(run.stderr.matches(": +").count(), 6, "{}", run.stderr);
        let now: Vec<_> = KINDS.iter().map(|(name, ..)| identity_of(&fleet.path(name))).collect();
        assert_eq!(now, files);
    }
    fleet.run(&["rekey"]).done().says("rekeyed 6 of 6 files");
    for ((name, content, _), before) in KINDS.iter().zip(before) {
        assert_eq!(fleet.open(name, "db1").unwrap(), *content, "{name}");
        assert_eq!(values(name), before, "{name}: same values, MAC and time");
        sops_agrees(&fleet, name);
    }
    let new = entries(&fleet, "secrets/a.json");
    assert_eq!(new.len(), 3);
    assert!(old.iter().all(|entry| new.contains(entry)), "who stays is not wrapped for anew");
    fleet.run(&["rekey", "--check"]).done();
}

#[test]
fn whoever_is_removed_has_a_key_that_opens_nothing() {
    let fleet = fleet();
    for (name, content, _) in KINDS {
        put(&fleet, name, content);
    }
    let values = |name: &str| ciphertexts(&fs::read(fleet.path(name)).unwrap());
    let before: Vec<_> = KINDS.iter().map(|(name, ..)| values(name)).collect();
    let old = read(&fleet, "secrets/a.json");
    rules(&fleet, &["alice", "db1"]);
    fleet.run(&["rekey"]).done().says("Change the values themselves");
    for ((name, content, _), before) in KINDS.iter().zip(before) {
        fleet.open(name, "web1").unwrap_err();
        assert_eq!(fleet.open(name, "db1").unwrap(), *content, "{name}");
        assert_eq!(values(name).intersection(&before).count(), 0, "{name}: nothing stays");
        sops_agrees(&fleet, name);
    }
    // The entry that web1 kept leads to a key that fits nothing here.
    let mut forged: Json = serde_json::from_str(&read(&fleet, "secrets/a.json")).unwrap();
    let old: Json = serde_json::from_str(&old).unwrap();
    forged["sops"]["age"] = old["sops"]["age"].clone();
    fs::write(fleet.path("forged.json"), forged.to_string()).unwrap();
    let refused = fleet.open("forged.json", "web1").unwrap_err();
    assert!(refused.contains("the data key fits neither"), "{refused}");
}

#[test]
fn a_tree_of_both_kinds_is_rekeyed_as_a_whole_or_not_at_all() {
    let fleet = fleet();
    for (name, content, _) in KINDS {
        put(&fleet, name, content);
    }
    rules(&fleet, &["alice", "web1", "db1"]);
    let everything = || -> Vec<_> {
        let files = files_below(&fleet.path("secrets"));
        files.iter().map(|file| identity_of(file)).collect()
    };
    // One value of one sops file was changed without the key.
    let sound = read(&fleet, "secrets/a.json");
    let mut tampered: Json = serde_json::from_str(&sound).unwrap();
    let user = tampered["db"]["user"].clone();
    tampered["db"]["password"] = user;
    fs::write(fleet.path("secrets/a.json"), tampered.to_string()).unwrap();
    let before = everything();
    fleet.run(&["rekey"]).ended(2).says("so none was changed");
    assert_eq!(everything(), before);
    // And the same with an age file that is damaged.
    fs::write(fleet.path("secrets/a.json"), sound).unwrap();
    let mut bytes = fs::read(fleet.path("secrets/a.yaml.age")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(fleet.path("secrets/a.yaml.age"), &bytes).unwrap();
    let before = everything();
    fleet.run(&["rekey"]).ended(2).says("so none was changed");
    assert_eq!(everything(), before);
    assert_eq!(fleet.litter(), Vec::<PathBuf>::new());
}

const KMS: &str = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555";

/// A file that a key service reads too; its entry is made up, as nobody asks.
fn with_service(fleet: &Fleet) {
    put(fleet, "secrets/a.json", JSON.as_bytes());
    let mut json: Json = serde_json::from_str(&read(fleet, "secrets/a.json")).unwrap();
    json["sops"]["kms"] = serde_json::json!([
        {"arn": KMS, "created_at": "2026-11-21T10:00:00Z", "enc": "bm90aGluZw==", "aws_profile": ""}
    ]);
    fs::write(fleet.path("secrets/a.json"), json.to_string()).unwrap();
}

fn service_rules(fleet: &Fleet, readers: &[&str]) {
    rules(fleet, readers);
    let text = read(fleet, ".sops.yaml");
    let groups = format!("      - kms:\n          - arn: {KMS}\n        age:\n");
    fs::write(fleet.path(".sops.yaml"), text.replace("      - age:\n", &groups)).unwrap();
}

#[test]
fn entries_of_key_services_stay_and_are_never_faked() {
    let fleet = fleet();
    with_service(&fleet);
    service_rules(&fleet, &["alice", "web1"]);
    let entry = |name: &str| {
        let json: Json = serde_json::from_str(&read(&fleet, name)).unwrap();
        json["sops"]["kms"].clone()
    };
    let kms = entry("secrets/a.json");
    let status = String::from_utf8(fleet.run(&["status"]).done().stdout).unwrap();
    assert!(status.contains("arn:aws:kms"), "{status}");
    // A reader more, an edit and a value: the entry stays as it is.
    service_rules(&fleet, &["alice", "web1", "db1"]);
    fleet.run(&["rekey"]).done();
    fleet.run(&["set", "secrets/a.json", "/db/user", "\"x\""]).done();
    assert_eq!(entry("secrets/a.json"), kms);
    fleet.open("secrets/a.json", "db1").unwrap();
    // A reader less, or a new key, would need the service.
    put(&fleet, "secrets/b.yaml.age", b"a: b\n");
    service_rules(&fleet, &["alice", "web1"]);
    let before =
        ["secrets/a.json", "secrets/b.yaml.age"].map(|name| identity_of(&fleet.path(name)));
    for arguments in [&["rekey"][..], &["rekey", "--force"], &["rotate", "secrets/a.json"]] {
        let run = fleet.run(arguments).ended(2);
        assert!(run.stderr.contains(KMS) && run.stderr.contains("AWS KMS"), "{}", run.stderr);
        let now =
            ["secrets/a.json", "secrets/b.yaml.age"].map(|name| identity_of(&fleet.path(name)));
        assert_eq!(now, before);
    }
}

#[test]
fn status_names_every_reader_of_a_sops_file() {
    let fleet = fleet();
    put(&fleet, "secrets/a.yaml", YAML.as_bytes());
    let pgp = "85D77543B3D624B63CEA9E6DBC17301B491B3F21";
    let text = read(&fleet, ".sops.yaml").replace(
        "      - age:\n",
        &format!("      - pgp: [{pgp}]\n        kms:\n          - arn: {KMS}\n        age:\n"),
    );
    fs::write(fleet.path(".sops.yaml"), text).unwrap();
    let status = String::from_utf8(fleet.run(&["status"]).ended(1).stdout).unwrap();
    assert!(status.contains(&pgp[24..]) && status.contains("arn:aws:kms"), "{status}");
    let json = fleet.run(&["status", "--json"]).ended(1).stdout;
    let json: Json = serde_json::from_slice(&json).unwrap();
    let file = &json["files"][0];
    assert_eq!(file["format"], "sops");
    let keys = |list: &Json| -> Vec<String> {
        let keys = list.as_array().unwrap().iter();
        keys.map(|who| who["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&file["readers"]).len(), 4, "{json:#}");
    for key in [pgp, KMS] {
        assert!(keys(&file["missing"]).iter().any(|missing| missing == key), "{json:#}");
    }
}

#[test]
fn a_file_without_a_rule_keeps_its_readers_in_a_change() {
    let fleet = Fleet::new();
    let alice = fleet.public("alice");
    let web = fleet.public("web1");
    fs::write(fleet.path("editor"), "#!/bin/sh\nsed -i s/two/three/ \"$1\"\n").unwrap();
    fs::set_permissions(fleet.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    // Where there are rules, none of which is about it, and where there are none at all.
    for bare in [false, true] {
        if bare {
            fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
        }
        let arguments = ["encrypt", "-r", &alice, "-r", &web, "--type", "sops", "-o", "x.json"];
        fleet.feed(&arguments, b"{\"a\": \"one\"}").done();
        let before = entries(&fleet, "x.json");
        fleet.run(&["set", "x.json", "/a", "\"two\""]).done();
        let mut command = fleet.command(&["edit", "x.json"]);
        command.env("EDITOR", fleet.path("editor"));
        finish(command, b"").done();
        assert_eq!(fleet.run(&["get", "x.json", "/a"]).done().stdout, b"three");
        assert_eq!(entries(&fleet, "x.json"), before, "nobody's key is wrapped anew");
        // A new file needs a rule.
        let mut command = fleet.command(&["edit", "new.json"]);
        command.env("EDITOR", fleet.path("editor"));
        let run = finish(command, b"").ended(2);
        assert!(run.stderr.contains("rule"), "{}", run.stderr);
        fs::remove_file(fleet.path("x.json")).unwrap();
    }
}

#[test]
fn an_encrypted_file_without_a_rule_is_not_called_open() {
    let fleet = Fleet::new();
    fs::create_dir(fleet.path("elsewhere")).unwrap();
    let alice = fleet.public("alice");
    for (name, content, _) in KINDS.iter().filter(|(name, ..)| !name.ends_with(".age")) {
        let name = name.replace("secrets", "elsewhere");
        fleet.feed(&["encrypt", "-r", &alice, "--type", "sops", "-o", &name], content).done();
    }
    let json = fleet.run(&["status", "--json"]).done().stdout;
    let json: Json = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["withoutRule"].as_array().unwrap().len(), 5, "{json:#}");
    assert_eq!(json["withoutRuleNotEncrypted"], Json::Array(Vec::new()));
    fs::write(fleet.path("elsewhere/a.age"), "open").unwrap();
    let json = fleet.run(&["status", "--json"]).ended(1).stdout;
    let json: Json = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["withoutRuleNotEncrypted"].as_array().unwrap().len(), 1);
}

#[test]
fn status_shows_what_a_file_and_its_rule_say_is_encrypted() {
    let fleet = fleet();
    for name in ["secrets/a.yaml", "secrets/a.bin"] {
        put(&fleet, name, b"password: one\n");
    }
    let status = String::from_utf8(fleet.run(&["status"]).done().stdout).unwrap();
    assert!(!status.contains("chosen by"), "{status}");
    let text = read(&fleet, ".sops.yaml");
    let regex = "path_regex: ^secrets/\n    encrypted_regex: ^(password|token)$\n";
    fs::write(fleet.path(".sops.yaml"), text.replace("path_regex: ^secrets/\n", regex)).unwrap();
    // No rekey changes it, so that it is told and does not count.
    let status = String::from_utf8(fleet.run(&["status"]).done().stdout).unwrap();
    let told = "its values are chosen by `unencrypted_suffix: _unencrypted`; the rules say \
                `encrypted_regex: ^(password|token)$`, for new files\n";
    assert_eq!(status.matches(told).count(), 1, "{status}");
    let json: Json =
        serde_json::from_slice(&fleet.run(&["status", "--json"]).done().stdout).unwrap();
    let of = |name: &str| {
        let files = json["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["file"].as_str().unwrap().ends_with(name));
        file.unwrap()["selector"].clone()
    };
    assert_eq!(of("a.yaml")["file"], "unencrypted_suffix: _unencrypted");
    assert_eq!(of("a.yaml")["rules"], "encrypted_regex: ^(password|token)$");
    assert_eq!(of("a.bin"), Json::Null);
    fleet.run(&["rekey", "--check"]).done();
    put(&fleet, "secrets/new.yaml", b"password: one\nuser: app\n");
    let status = fleet.run(&["status", "secrets/new.yaml"]).done().stdout;
    assert!(!String::from_utf8(status).unwrap().contains("chosen by"));
}

#[test]
fn a_change_tells_of_readers_whom_no_rule_names() {
    let fleet = fleet();
    fs::write(fleet.path("editor"), "#!/bin/sh\nsed -i s/two/three/ \"$1\"\n").unwrap();
    fs::set_permissions(fleet.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["secrets/a.yaml", "secrets/a.json"] {
        put(&fleet, name, b"{\"a\": \"one\", \"b\": 1}\n");
        let run = fleet.run(&["set", name, "/b", "2"]).done();
        assert_eq!(run.stderr, "");
        rules(&fleet, &["alice"]);
        let note = format!("run `secretctl rekey {name}`\n");
        let tells = |stderr: &str| {
            assert!(stderr.contains("can be read by ssh-ed25519 "), "{stderr}");
            assert!(stderr.contains("whom its rule does not name"), "{stderr}");
            assert!(stderr.lines().count() == 1 && stderr.ends_with(&note), "{stderr} {note}");
        };
        tells(&fleet.run(&["set", name, "/a", "\"two\""]).done().stderr);
        tells(&fleet.run(&["unset", name, "/b"]).done().stderr);
        let mut command = fleet.command(&["edit", name]);
        command.env("EDITOR", fleet.path("editor"));
        tells(&finish(command, b"").done().stderr);
        tells(&fleet.feed(&["edit", name], b"{\"a\": \"four\"}\n").done().stderr);
        fleet.run(&["rekey", name]).done();
        assert_eq!(fleet.run(&["set", name, "/a", "\"five\""]).done().stderr, "");
        rules(&fleet, &["alice", "web1"]);
    }
}
