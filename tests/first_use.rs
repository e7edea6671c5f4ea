//! What somebody sees who uses the program for the first time, and makes the usual mistakes.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test stops at the first surprise"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use curve25519_dalek::{EdwardsPoint, Scalar};

const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";
/// Private half of nobody's key; test only.
const PRIVATE: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQy
-----END OPENSSH PRIVATE KEY-----
";

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::cargo_bin("secretctl")
        .unwrap()
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.join("home"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.display()), "")
    };
    Said {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn repository(rules: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    fs::write(folder.path().join("secretctl.yaml"), rules).unwrap();
    folder
}

#[test]
fn a_secret_in_the_open_is_found_even_without_a_rule() {
    let folder = repository(&format!("users:\n  alice: {ALICE}\n"));
    fs::write(folder.path().join("db.age"), "hunter2\n").unwrap();
    let said = run(folder.path(), &["status"]);
    assert_eq!(
        said.stdout,
        "FILE    READERS  STATE\n\
         db.age  -        NOT ENCRYPTED\n    \
         it has the name of a secret, but its content is in the open\n"
    );
    assert_eq!(said.code, 1);
}

#[test]
fn a_private_key_where_a_public_one_belongs_is_one_error() {
    let folder = repository("users: {}\n");
    fs::write(folder.path().join("id_ed25519"), PRIVATE).unwrap();
    let said = run(folder.path(), &["user", "add", "alice", "--key", "id_ed25519"]);
    assert_eq!(
        said.stderr,
        "error: `id_ed25519` is a private key\n\
         hint: name the public key: the `.pub` file beside an SSH key, or what `age-keygen -y` or \
         `secretctl keys show` prints of the file\n"
    );
    assert_eq!(said.code, 2);
}

#[test]
fn a_file_without_a_rule_comes_with_the_rule_to_add() {
    let folder = repository("users: {}\n");
    let said = run(folder.path(), &["status", "secrets/my db.age"]);
    assert!(
        said.stderr.ends_with(
            "hint: add under `secrets` in `secretctl.yaml`: \
             `- {path: \"secrets/my db.age\", readers: [NAME]}`\n"
        ),
        "{}",
        said.stderr
    );
    let rules = format!(
        "users:\n  alice: {ALICE}\nsecrets:\n  - {{path: \"secrets/my db.age\", readers: [alice]}}\n"
    );
    fs::write(folder.path().join("secretctl.yaml"), rules).unwrap();
    assert_eq!(run(folder.path(), &["status", "secrets/my db.age"]).code, 0);
}

#[test]
fn the_rule_to_add_is_right_for_odd_names_too() {
    let odd =
        ["no", "1.age", "~", "- x", "a\\b.age", "all*.age", "[x]{y}?.age", "a # b", "-", "%x"];
    for name in odd {
        let folder = repository("users: {}\n");
        fs::write(folder.path().join(name), "").unwrap();
        let said = run(folder.path(), &["status", "--", name]);
        let rule = said.stderr.rsplit_once("`- ").unwrap().1.trim_end().trim_end_matches('`');
        let rule = rule.replace("NAME", &format!("\"{ALICE}\""));
        fs::write(folder.path().join("secretctl.yaml"), format!("secrets:\n  - {rule}\n")).unwrap();
        let again = run(folder.path(), &["status", "--", name]);
        assert!(again.stdout.contains("NOT ENCRYPTED"), "{name}: {rule}\n{}", again.stderr);
    }
}

/// Its armor is none of age, so nothing about it is broken: it was never encrypted.
#[test]
fn a_private_key_in_the_open_is_not_encrypted() {
    let rules =
        format!("users:\n  alice: {ALICE}\nsecrets:\n  - {{path: \"*\", readers: [alice]}}\n");
    for key in ["openssh.ed25519", "rsa.pkcs8.pem", "gpg.rsa.asc"] {
        let folder = repository(&rules);
        let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/keys").join(key);
        fs::copy(key, folder.path().join("host.age")).unwrap();
        let said = run(folder.path(), &["status", "host.age"]);
        assert!(said.stdout.contains("NOT ENCRYPTED"), "{}{}", said.stdout, said.stderr);
        assert_eq!(said.code, 1);
    }
    // Armor of age that is damaged is another matter.
    let folder = repository(&rules);
    fs::write(folder.path().join("host.age"), "-----BEGIN AGE ENCRYPTED MESSAGE-----\n").unwrap();
    let said = run(folder.path(), &["status", "host.age"]);
    assert!(!said.stdout.contains("NOT ENCRYPTED"), "{}", said.stdout);
}

#[test]
fn a_folder_without_secrets_is_no_file_without_a_rule() {
    let folder = repository("users: {}\n");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let said = run(folder.path(), &["status", "empty"]);
    assert!(said.stderr.contains("hint: it is a folder"), "{}", said.stderr);
    assert!(!said.stderr.contains("{path:"), "{}", said.stderr);
}

#[test]
fn the_first_user_may_be_whom_the_rules_lack() {
    let folder = repository("defaultEncryptKeys: []\nsecrets:\n  - path: db.age\n");
    let add = ["user", "add", "alice", "--recipient", ALICE, "--no-rekey"];
    let before = fs::read(folder.path().join("secretctl.yaml")).unwrap();
    let said = run(folder.path(), &add);
    assert!(said.stderr.contains("nobody could read `db.age`"), "{}", said.stderr);
    assert_eq!((said.code, fs::read(folder.path().join("secretctl.yaml")).unwrap()), (2, before));
    let said = run(folder.path(), &[&add[..], &["--to", "defaultEncryptKeys"]].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(run(folder.path(), &["status"]).stdout.contains("db.age  alice"));
}

#[test]
fn a_reader_without_a_name_is_not_named_twice() {
    let folder = repository(&format!("secrets:\n  - {{path: db.age, readers: [{ALICE}]}}\n"));
    let sealed = run(folder.path(), &["encrypt", "-o", "db.age", "secretctl.yaml"]);
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let said = run(folder.path(), &["decrypt", "--identity", "nowhere", "db.age"]);
    assert_eq!(
        said.stderr,
        "error: cannot decrypt `db.age`: there is no identity to try\n  \
         tried: nowhere (not read: No such file or directory (os error 2))\n  \
         needs: ssh-ed25519 SHA256:18nav1zf.. (secretctl.yaml:2:30)\n\
         hint: name one of these keys with `--identity FILE`, or run `secretctl rekey db.age` \
         where one of them is\n"
    );
}

#[test]
fn many_readers_stay_in_their_column() {
    let mut rules = String::from("hosts:\n");
    for host in 0..12_u8 {
        writeln!(rules, "  web-server-{host}: {}", key(host)).unwrap();
    }
    let names: Vec<String> = (0..12).map(|host| format!("web-server-{host}")).collect();
    writeln!(rules, "secrets:\n  - path: db.age\n    readers: [{}]", names.join(", ")).unwrap();
    let folder = repository(&rules);
    let said = run(folder.path(), &["status"]);
    assert!(said.stdout.lines().count() > 3, "{}", said.stdout);
    assert!(said.stdout.lines().all(|line| line.len() < 90), "{}", said.stdout);
}

#[test]
fn the_rules_nearest_to_the_file_hold() {
    let folder = repository(&format!("secrets:\n  - {{path: \"**\", readers: [{ALICE}]}}\n"));
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let rules = format!("users:\n  bob: {ALICE}\nsecrets:\n  - {{path: x.age, readers: [bob]}}\n");
    fs::write(inner.join("secretctl.yaml"), rules).unwrap();
    let said = run(folder.path(), &["status", "inner/x.age"]);
    assert!(said.stdout.contains("inner/x.age  bob"), "{}{}", said.stdout, said.stderr);
}

#[test]
fn a_program_that_lies_in_the_repository_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    fs::write(folder.path().join("secrets.nix"), "{ }").unwrap();
    let trap = folder.path().join("nix-instantiate");
    fs::write(&trap, "#!/bin/sh\ntouch caught\n").unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [".", "", ":"] {
        let output = Command::cargo_bin("secretctl")
            .unwrap()
            .arg("status")
            .current_dir(folder.path())
            .env("PATH", path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(!folder.path().join("caught").exists());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("hint: install Nix"), "{stderr}");
    }
}

/// An ed25519 public key as OpenSSH writes it.
fn key(number: u8) -> String {
    let mut data = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    data.extend(EdwardsPoint::mul_base(&Scalar::from(number + 1)).compress().as_bytes());
    format!("ssh-ed25519 {}", BASE64_STANDARD.encode(data))
}
