//! Repositories of agenix as people have them: `status` and `rekey --check` work in them without
//! any private key, and a rekey changes no more than it must.
//!
//! Everything is real: the keys are made by `ssh-keygen` and `age-keygen`, the files by `age`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// A repository beside a folder of keys: `alice`, `web` and `db` are SSH keys, `backup` is an age
/// key.
struct Repository {
    folder: tempfile::TempDir,
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Repository {
    /// `None`, after saying so, where a program is missing.
    fn new() -> Option<Self> {
        for program in ["nix-instantiate", "age", "age-keygen", "ssh-keygen"] {
            let path = std::env::var_os("PATH").unwrap();
            if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
                assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "{program} missing");
                println!("skipped: {program} is missing");
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let repository = Self { folder };
        for name in ["home", "keys", "repo", "repo/.git"] {
            fs::create_dir(repository.folder.path().join(name)).unwrap();
        }
        for name in ["alice", "web", "db"] {
            let comment = format!("{name}@example.org");
            let file = repository.key(name);
            let file = file.to_str().unwrap();
            repository
                .run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f", file]);
        }
        let file = repository.key("backup");
        repository.run("age-keygen", &["-o", file.to_str().unwrap()]);
        let public = repository.run("age-keygen", &["-y", file.to_str().unwrap()]).stdout;
        fs::write(repository.key("backup.pub"), public).unwrap();
        Some(repository)
    }

    fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join("keys").join(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }

    /// Writes a file; `<alice>` stands for the public key of Alice, and so on.
    fn with(self, name: &str, text: &str) -> Self {
        let mut text =
            text.replace("<repo>", self.path("").to_str().unwrap().trim_end_matches('/'));
        for name in ["alice", "web", "db", "backup"] {
            let key = fs::read_to_string(self.key(&format!("{name}.pub"))).unwrap();
            text = text.replace(&format!("<{name}>"), key.trim_end());
        }
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self
    }

    /// Encrypts a file with the real age, as agenix does.
    fn sealed(self, name: &str, readers: &[&str]) -> Self {
        self.seal(name, readers, &[])
    }

    fn seal(self, name: &str, readers: &[&str], options: &[&str]) -> Self {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let keys: Vec<PathBuf> =
            readers.iter().map(|reader| self.key(&format!("{reader}.pub"))).collect();
        let mut arguments = vec!["-e", "-o", file.to_str().unwrap()];
        arguments.extend(options);
        for key in &keys {
            arguments.extend(["-R", key.to_str().unwrap()]);
        }
        let plain = self.folder.path().join("plain");
        fs::write(&plain, format!("content of {name}\n")).unwrap();
        arguments.push(plain.to_str().unwrap());
        self.run("age", &arguments);
        self
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Said {
        let said = self.try_run(program, arguments, "");
        assert_eq!(said.code, 0, "{program} {arguments:?}: {}", said.stderr);
        said
    }

    fn try_run(&self, program: &str, arguments: &[&str], folder: &str) -> Said {
        let mut command = if program == "secretctl" {
            Command::cargo_bin("secretctl").unwrap()
        } else {
            Command::new(program)
        };
        let nix =
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NIX_"));
        let output = command
            .args(arguments)
            .current_dir(self.path(folder))
            .env_clear()
            .envs(nix)
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path().join("home"))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn secretctl(&self, arguments: &[&str]) -> Said {
        self.try_run("secretctl", arguments, "")
    }

    /// File and state of each row of `status`, run in a folder of the repository. There is no
    /// private key to be had.
    fn states(&self, folder: &str) -> Vec<String> {
        let said = self.try_run("secretctl", &["status", "--json"], folder);
        assert!(said.code < 2, "{}", said.stderr);
        let value: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let root = self.path("");
        let short = |path: &serde_json::Value| {
            Path::new(path.as_str().unwrap()).strip_prefix(&root).unwrap().display().to_string()
        };
        let mut states = Vec::new();
        for file in value["files"].as_array().unwrap() {
            states.push(format!("{} {}", short(&file["file"]), file["state"].as_str().unwrap()));
        }
        for file in value["withoutRule"].as_array().unwrap() {
            states.push(format!("{} no rule", short(file)));
        }
        assert_eq!(self.try_run("secretctl", &["rekey", "--check"], folder).code, said.code);
        states
    }
}

#[test]
fn a_plain_repository() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with(
            "secrets.nix",
            r#"
            let
              alice = "<alice>";
              users = [ alice ];
              web = "<web>";
              db = "<db>";
              systems = [ web db ];
            in
            {
              "secret1.age".publicKeys = [ alice web ];
              "secret2.age".publicKeys = users ++ systems;
              "not-yet.age".publicKeys = users;
            }"#,
        )
        .sealed("secret1.age", &["alice", "web"])
        .sealed("secret2.age", &["alice", "web"])
        .sealed("stray.age", &["alice"]);
    assert_eq!(
        repository.states(""),
        ["not-yet.age absent", "secret1.age ok", "secret2.age stale", "stray.age no rule"]
    );
    let said = repository.secretctl(&["status", "secret2.age"]);
    assert!(said.stdout.contains("missing: db@example.org cannot read it"), "{}", said.stdout);
}

#[test]
fn keys_that_are_imported_read_and_made_by_functions() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with("keys/users/alice.pub", "<alice>\n")
        .with(
            "keys/hosts.nix",
            r#"{ web = "<web>"; db = { publicKey = "<db>"; tags = [ "x" ]; }; }"#,
        )
        .with(
            "keys/lib.nix",
            "{ for = keys: extra: { publicKeys = keys ++ extra; armor = true; }; }",
        )
        .with(
            "secrets.nix",
            r#"
            with builtins;
            let
              inherit (import ./keys/lib.nix) for;
              hosts = import ./keys/hosts.nix;
              users = map (f: readFile (./keys/users + "/${f}")) (attrNames (readDir ./keys/users));
              keyOf = h: if isAttrs h then h.publicKey else h;
              named = listToAttrs (map (name: {
                name = "hosts/${name}/id.age";
                value = for users [ (keyOf hosts.${name}) ];
              }) (attrNames hosts));
            in
            named // rec {
              "shared.age" = for users (map keyOf (attrValues hosts));
              "copy.age" = self."shared.age" or { publicKeys = users; };
              self = { };
            }"#,
        )
        .seal("hosts/web/id.age", &["alice", "web"], &["--armor"])
        .seal("hosts/db/id.age", &["alice", "web"], &["--armor"])
        .seal("shared.age", &["alice", "web", "db"], &["--armor"])
        .sealed("copy.age", &["alice"]);
    assert_eq!(
        repository.states("hosts/web"),
        ["copy.age ok", "hosts/db/id.age stale", "hosts/web/id.age ok", "shared.age ok"]
    );
    let said = repository.secretctl(&["status", "hosts/db/id.age"]);
    assert!(said.stdout.contains("missing: db@example.org"), "{}", said.stdout);
    assert!(said.stdout.contains("left over: web@example.org"), "{}", said.stdout);
}

#[test]
fn rules_in_a_folder_used_from_the_root() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with(
            "secrets/secrets.nix",
            r#"
            {
              "wifi.age".publicKeys = [ "<alice>" "<web>" ];
              "./mail/dkim.age".publicKeys = [ "<alice>" ];
              "<repo>/secrets/absolute.age".publicKeys = [ "<alice>" "<db>" ];
            }"#,
        )
        .sealed("secrets/wifi.age", &["alice", "web"])
        .sealed("secrets/mail/dkim.age", &["alice", "db"])
        .sealed("secrets/absolute.age", &["alice", "db"]);
    let all = ["secrets/absolute.age ok", "secrets/mail/dkim.age stale", "secrets/wifi.age ok"];
    for folder in ["", "secrets", "secrets/mail"] {
        assert_eq!(repository.states(folder), all, "in {folder:?}");
    }
    let said = repository.secretctl(&["status", "secrets/mail/dkim.age"]);
    assert!(said.stdout.contains("left over: db@example.org"), "{}", said.stdout);
}

#[test]
fn age_keys_do_not_tell_whose_they_are() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with(
            "secrets.nix",
            r#"
            {
              "some.age".publicKeys = [ "<alice>" "<backup>" ];
              "none.age".publicKeys = [ "<alice>" "<backup>" ];
              "more.age".publicKeys = [ "<alice>" ];
            }"#,
        )
        .sealed("some.age", &["alice", "backup"])
        .sealed("none.age", &["alice"])
        .sealed("more.age", &["alice", "backup"]);
    assert_eq!(repository.states(""), ["more.age stale", "none.age stale", "some.age unknown"]);
    let said = repository.secretctl(&["status"]);
    assert!(
        said.stdout.contains("left over: 1 X25519 more than the rules give"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("cannot be told without opening it"), "{}", said.stdout);

    // Once written by us, a file tells.
    let alice = repository.key("alice");
    repository.run("secretctl", &["rekey", "--identity", alice.to_str().unwrap()]);
    assert_eq!(repository.states(""), ["more.age ok", "none.age ok", "some.age ok"]);
    let backup = repository.key("backup");
    for name in ["some.age", "none.age"] {
        let said = repository.run("age", &["-d", "-i", backup.to_str().unwrap(), name]);
        assert_eq!(said.stdout, format!("content of {name}\n"));
    }
    let file = ["-d", "-i", backup.to_str().unwrap(), "more.age"];
    assert_ne!(repository.try_run("age", &file, "").code, 0);
}

#[test]
fn what_is_broken_is_named_with_its_place() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with(
            "secrets.nix",
            r#"
            let web = "<web>"; in
            {
              "good.age".publicKeys = [ "<alice>" web ];
              "typo.age".publicKeys = [ "ssh-ed25519 AAAAC3Nza" ];
              "nested.age".publicKeys = [ [ web ] ];
              "throws.age".publicKeys = [ (throw "no such host") ];
              meta.note = "people keep other things here";
            }"#,
        )
        .sealed("good.age", &["alice", "web"]);
    let said = repository.secretctl(&["status"]);
    assert_eq!(said.code, 2);
    for text in
        ["\"typo.age\"", "\"nested.age\"", "\"throws.age\"", "no such host", "secrets.nix:5"]
    {
        assert!(said.stderr.contains(text), "{text} is not in\n{}", said.stderr);
    }
    // One file does not suffer from its neighbours.
    let said = repository.secretctl(&["status", "good.age"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
}

#[test]
fn names_that_are_odd_and_files_that_are_no_age_files() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with(
            "secrets.nix",
            r#"
            let keys = [ "<alice>" ]; in
            {
              "with space.age".publicKeys = keys;
              "-dash.age".publicKeys = keys;
              "no-suffix".publicKeys = keys;
              "dollar$ \${x} \"quote\".age".publicKeys = keys;
              "plain.age".publicKeys = keys;
            }"#,
        )
        .sealed("with space.age", &["alice"])
        .sealed("-dash.age", &["alice"])
        .sealed("no-suffix", &["alice"])
        .sealed("dollar$ ${x} \"quote\".age", &["alice"])
        .with("plain.age", "hunter2\n");
    let said = repository.secretctl(&["status"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stdout.matches("  ok\n").count(), 4, "{}", said.stdout);
    assert!(said.stdout.contains("NOT ENCRYPTED"), "{}", said.stdout);
    assert_eq!(repository.secretctl(&["rekey", "--check"]).code, 2);
    assert_eq!(repository.secretctl(&["status", "--", "-dash.age", "with space.age"]).code, 0);
}

#[test]
fn names_relative_to_the_root_show_as_the_guide_says() {
    let Some(repository) = Repository::new() else { return };
    // Used as `RULES=secrets/secrets.nix agenix -e secrets/wifi.age` from the root.
    let repository = repository
        .with("secrets/secrets.nix", r#"{ "secrets/wifi.age".publicKeys = [ "<alice>" ]; }"#)
        .sealed("secrets/wifi.age", &["alice"]);
    let said = repository.secretctl(&["status"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(
        repository.states(""),
        ["secrets/secrets/wifi.age absent", "secrets/wifi.age no rule"]
    );
}

#[test]
fn a_rekey_changes_what_it_must_and_no_more() {
    let Some(repository) = Repository::new() else { return };
    let repository = repository
        .with(
            "secrets.nix",
            r#"
            {
              "fine.age".publicKeys = [ "<alice>" ];
              "stale.age".publicKeys = [ "<alice>" "<db>" ];
              "foreign.age".publicKeys = [ "<web>" "<db>" ];
            }"#,
        )
        .sealed("fine.age", &["alice"])
        .sealed("stale.age", &["alice"])
        .sealed("foreign.age", &["web"]);
    let read = |name: &str| fs::read(repository.path(name)).unwrap();
    let before = ["fine.age", "stale.age", "foreign.age"].map(read);
    let alice = repository.key("alice");
    let web = repository.key("web");
    let (alice, web) = (alice.to_str().unwrap(), web.to_str().unwrap());

    // One cannot be opened: none is changed, and it is named.
    let said = repository.secretctl(&["rekey", "--identity", alice]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("`foreign.age`"), "{}", said.stderr);
    assert_eq!(["fine.age", "stale.age", "foreign.age"].map(read), before);

    repository.run("secretctl", &["rekey", "--identity", alice, "--identity", web]);
    let after = ["fine.age", "stale.age", "foreign.age"].map(read);
    assert_eq!(after[0], before[0]);
    for (old, new) in before.iter().zip(&after).skip(1) {
        assert_ne!(old, new);
        assert_eq!(payload(old), payload(new), "a reader was merely added");
    }
    for (name, key) in [("stale.age", "alice"), ("stale.age", "db"), ("foreign.age", "db")] {
        let key = repository.key(key);
        let said = repository.run("age", &["-d", "-i", key.to_str().unwrap(), name]);
        assert_eq!(said.stdout, format!("content of {name}\n"));
    }

    // A reader who is removed means that everything is encrypted anew.
    let repository = repository.with("secrets.nix", r#"{ "stale.age".publicKeys = [ "<db>" ]; }"#);
    let said = repository.run("secretctl", &["rekey", "--identity", alice]);
    assert!(said.stderr.contains("Change the values themselves too"), "{}", said.stderr);
    let new = fs::read(repository.path("stale.age")).unwrap();
    assert_ne!(payload(&after[1]), payload(&new));
    let arguments = ["-d", "-i", alice, "stale.age"];
    assert_ne!(repository.try_run("age", &arguments, "").code, 0);
}

/// What follows the line of the MAC.
fn payload(file: &[u8]) -> &[u8] {
    let mac = file.windows(5).position(|window| window == b"\n--- ").unwrap();
    let rest = &file[mac + 5..];
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
    &rest[end + 1..]
}
