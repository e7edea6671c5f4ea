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
    feed(folder, arguments, "")
}

fn feed(folder: &Path, arguments: &[&str], input: &str) -> Said {
    let output = Command::cargo_bin("secretctl")
        .unwrap()
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.join("home"))
        .write_stdin(input)
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

/// A repository with rules of sops and one sops file of them, and the text of that.
fn sops_repository() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    let rules = format!(
        "creation_rules:\n  - path_regex: secrets/.*\\.yaml$\n    age: {ALICE}\n  - age: {ALICE}\n"
    );
    fs::write(folder.path().join(".sops.yaml"), rules).unwrap();
    fs::write(folder.path().join("any.yaml"), "a: b\n").unwrap();
    let content = "db: sesame\nport: 5432\n";
    let sealed = feed(folder.path(), &["encrypt", "-o", "secrets/o.yaml"], content);
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let text = fs::read_to_string(folder.path().join("secrets/o.yaml")).unwrap();
    (folder, text)
}

#[test]
fn what_rules_of_sops_say_is_secret_is_found_in_the_open() {
    let (folder, text) = sops_repository();
    assert_eq!(run(folder.path(), &["rekey", "--check"]).code, 0);
    fs::write(folder.path().join("secrets/.sops.yaml"), "creation_rules: []\n").unwrap();
    fs::write(folder.path().join("secrets/p.yaml"), "db: sesame\n").unwrap();
    let said = run(folder.path(), &["status"]);
    assert!(said.stdout.contains("secrets/p.yaml  ssh-"), "{}", said.stdout);
    assert_eq!((said.stdout.matches("NOT ENCRYPTED").count(), said.code), (1, 1));
    let said = run(folder.path(), &["rekey", "--check"]);
    assert!(said.stderr.starts_with("error: `secrets/p.yaml` is not enc"), "{}", said.stderr);
    assert_eq!(said.code, 2);
    // What it has nothing to do with does not keep a rekey from its work.
    let said = run(folder.path(), &["rekey"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, "1 file has the right readers\n"));
    assert_eq!(fs::read_to_string(folder.path().join("secrets/o.yaml")).unwrap(), text);
}

#[test]
fn a_sops_file_that_nobody_opens_so_is_not_said_to_be_right() {
    let (folder, text) = sops_repository();
    let line = |key: &str| text.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
    for (text, state, table, place) in [
        (
            text.replace(line("port: "), "port: 5432"),
            "partly-plain",
            "PARTLY PLAIN\n    in the open: `[\"port\"]`\n",
            "`[\"port\"]`",
        ),
        (text.replace(line("mac: "), ""), "broken", "broken\n", "has no MAC"),
        (text.replace(line("mac: "), "    mac: \"\""), "broken", "broken\n", "has no MAC"),
        (
            text.replace(line("lastmodified: "), "    lastmodified: yesterday"),
            "broken",
            "broken\n",
            "`sops.lastmodified` is no time",
        ),
    ] {
        fs::write(folder.path().join("secrets/o.yaml"), text).unwrap();
        let said = run(folder.path(), &["status"]);
        assert!(said.stdout.contains(table), "{}", said.stdout);
        assert_eq!(said.code, 1, "{}", said.stdout);
        let json = run(folder.path(), &["status", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["files"][0]["state"], state);
        assert!(json["files"][0]["reason"].as_str().unwrap().contains(place), "{json}");
        let said = run(folder.path(), &["rekey", "--check"]);
        assert!(said.stderr.contains(place) && said.code == 2, "{}", said.stderr);
    }
}

#[test]
fn rules_that_say_nothing_or_cannot_be_read_are_told_of() {
    let folder = repository("users: {}\n");
    let said = run(folder.path(), &["status"]);
    assert!(said.stderr.starts_with("note: there is no rule yet"), "{}", said.stderr);
    for arguments in [&["status", "--rules", "nope"], &["status", "--rules", "nope.yaml"]] {
        let said = run(folder.path(), arguments);
        assert!(said.stderr.contains("do not exist\nhint: rules come from"), "{}", said.stderr);
        assert_eq!(said.code, 2);
    }
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let said = run(&inner, &["init"]);
    assert!(said.stderr.starts_with("warning: there are rules in `"), "{}", said.stderr);
    let rules = inner.join("secretctl.yaml");
    fs::remove_file(&rules).unwrap();
    std::os::unix::fs::symlink("nowhere", &rules).unwrap();
    let unreadable = |why: &str| {
        let said = run(&inner, &["status"]);
        assert!(
            said.stderr.contains("cannot read") && said.stderr.contains(why),
            "{}",
            said.stderr
        );
        assert_eq!(said.code, 2);
    };
    unreadable("No such file");
    fs::remove_file(&rules).unwrap();
    fs::create_dir(&rules).unwrap();
    unreadable("not a regular file");
    fs::remove_dir(&rules).unwrap();
    Command::new("mkfifo").arg(&rules).assert().success();
    unreadable("not a regular file");
}

#[test]
fn plaintext_does_not_take_the_place_of_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str| {
        let file = folder.path().join(name);
        let words = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"];
        Command::new("ssh-keygen").args(words).arg(&file).assert().success();
        fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_owned()
    };
    let rules = format!(
        "users:\n  me: {}\n  you: {}\nsecrets:\n  - {{path: \"*.age\", readers: [me]}}\n",
        key("me"),
        key("you")
    );
    fs::create_dir(folder.path().join(".git")).unwrap();
    fs::write(folder.path().join("secretctl.yaml"), &rules).unwrap();
    let sealed = feed(folder.path(), &["edit", "a.age"], "sesame");
    assert_eq!((sealed.code, sealed.stderr.as_str()), (0, ""));
    fs::hard_link(folder.path().join("a.age"), folder.path().join("same")).unwrap();
    let before = fs::read(folder.path().join("a.age")).unwrap();
    fs::copy(folder.path().join("a.age"), folder.path().join("other")).unwrap();
    let decrypt =
        |output: &str| run(folder.path(), &["decrypt", "-i", "me", "a.age", "-o", output]);
    for (output, why) in [
        ("a.age", "would be replaced by what is in it"),
        ("./same", "would be replaced by what is in it"),
        ("new.age", "is a secret file, and what"),
        ("other", "is a secret file, and what"),
    ] {
        let said = decrypt(output);
        assert!(said.stderr.contains(why) && said.code == 2, "{}", said.stderr);
    }
    assert_eq!(fs::read(folder.path().join("a.age")).unwrap(), before);
    assert!(!folder.path().join("new.age").exists());
    assert_eq!(decrypt("-").stdout, "sesame");
    let said = feed(folder.path(), &["decrypt"], "x\n");
    assert!(said.stderr.starts_with("error: `standard input` is not enc"), "{}", said.stderr);
    let said = feed(folder.path(), &["edit", "--allow-empty", "empty.age"], "");
    assert_eq!((said.code, said.stderr.as_str()), (0, "`empty.age` is empty now\n"));
    assert_eq!(decrypt("plain").code, 0);
    let said = feed(folder.path(), &["encrypt", "-r", ALICE, "-a", "-o", "-"], "sesame");
    assert!(said.stdout.starts_with("-----BEGIN AGE"), "{}", said.stderr);
    assert!(!folder.path().join("-").exists());

    // What is encrypted already may be meant to be encrypted once more, but seldom is.
    let once_more = "is encrypted already, and is encrypted once more as it is\n";
    for said in [
        run(folder.path(), &["encrypt", "-r", ALICE, "-a", "a.age"]),
        feed(folder.path(), &["encrypt", "-r", ALICE, "-a"], &said.stdout),
        feed(folder.path(), &["edit", "b.age"], &said.stdout),
    ] {
        assert!(said.stderr.ends_with(once_more) && said.code == 0, "{}", said.stderr);
    }
    // What merely begins with a hyphen is no armor.
    for said in [
        feed(folder.path(), &["encrypt", "-r", ALICE, "-a"], "- a\n- b\n"),
        feed(folder.path(), &["edit", "b.age"], "- a\n- b\n"),
    ] {
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    }

    // What is shown of a key can be compared with what others print of it.
    let shown = run(folder.path(), &["keys", "show", "-i", "me"]).stdout;
    let print = Command::new("ssh-keygen").arg("-lf").arg(folder.path().join("me.pub")).output();
    let print = print.unwrap();
    let print = String::from_utf8(print.stdout).unwrap();
    assert!(shown.contains(print.split(' ').nth(1).unwrap()), "{shown} {print}");
    let said = feed(folder.path(), &["set", "--string", "a.age", "/x"], "");
    assert!(said.stderr.contains("`''` as VALUE is an empty text"), "{}", said.stderr);
    fs::write(folder.path().join("empty.json"), "").unwrap();
    let said = run(folder.path(), &["activate", "--check", "empty.json"]);
    assert!(said.stderr.contains("1:1: ") && said.code == 2, "{}", said.stderr);

    // Who opens the file is not who is to open it.
    fs::write(folder.path().join("secretctl.yaml"), rules.replace("[me]", "[you]")).unwrap();
    let said = run(folder.path(), &["decrypt", "-i", "you", "a.age"]);
    let (now, later) =
        said.stderr.split_once("needs: key with fingerprint ").unwrap().1.split_once('\n').unwrap();
    assert!(now.ends_with(", which its rule does not name"), "{now}");
    assert!(later.trim_start().starts_with("you, ssh-ed25519 "), "{later}");
    assert!(later.lines().next().unwrap().ends_with(", not yet"), "{later}");
}

#[test]
fn a_key_under_two_names_and_a_new_group_are_told_of() {
    let folder = repository(&format!("users:\n  alice: {ALICE}\n"));
    let add = |name: &str, more: &[&str]| {
        run(folder.path(), &[&["host", "add", name, "--no-rekey"], more].concat())
    };
    let said = add("web1", &["--recipient", ALICE, "--to", "web"]);
    assert!(said.stderr.contains("in the new group `web`, which no rule names"), "{}", said.stderr);
    assert!(said.stderr.contains("the key of `web1` is also that of `alice`"), "{}", said.stderr);
    let (key, other) = (key(1), key(2));
    let said = add("web2", &["--recipient", &key, "--to", "wbe"]);
    assert!(said.stderr.contains("names yet; did you mean `web`?"), "{}", said.stderr);
    let said = add("web3", &["--recipient", &key, "--to", "defaultEncryptKey"]);
    assert!(said.stderr.contains("did you mean `defaultEncryptKeys`?"), "{}", said.stderr);
    assert_eq!(said.code, 2);
    let said = run(folder.path(), &["user", "remove", "alice", "--no-rekey"]);
    assert!(said.stderr.contains("the key of `alice` is also that of `web1`"), "{}", said.stderr);

    fs::write(folder.path().join("web4.pub"), &other).unwrap();
    let print = add("web4", &["--key", "web4.pub", "--fingerprint", "SHA256:x"]);
    assert!(print.stderr.contains("expected: SHA256:x") && print.code == 2, "{}", print.stderr);
    let print = print.stderr.split_once("another key: ").unwrap().1.lines().next().unwrap();
    let said = add("web4", &["--key", "web4.pub", "--fingerprint", print]);
    assert_eq!(said.code, 0, "{}", said.stderr);
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
