//! Files of sops for PGP keys on a machine without `gpg`: what the real `gpg` and sops write, opened with
//! exported keys and with SSH keys that `ssh-to-pgp` made PGP keys of.
//!
//! `SECRETCTL_TEST_SOPS_OLD` and `SECRETCTL_TEST_SOPS_NEW` name sops, and
//! `SECRETCTL_TEST_SOPS_INSTALL_SECRETS` the program of sops-nix; `gpg` is on the `PATH`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod common;
mod desk;
mod target;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{PROGRAM, Run, finish, is_root};
use desk::{lacks, peer};
use serde_json::{Value, json};
use target::Host;

/// A machine, and somebody with `gpg` elsewhere.
struct Bench {
    host: Host,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _no_agent = self.elsewhere(Path::new("gpgconf"), &["--kill", "all"]).output();
    }
}

impl Bench {
    fn new() -> Option<Self> {
        if lacks("gpg") {
            return None;
        }
        let bench = Self { host: Host::new()? };
        fs::create_dir(bench.host.at("gnupg")).unwrap();
        fs::set_permissions(bench.host.at("gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        // All that is on the `PATH` of the machine.
        fs::create_dir(bench.host.at("path")).unwrap();
        symlink(which("nsenter"), bench.host.at("path/nsenter")).unwrap();
        Some(bench)
    }

    fn elsewhere(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = self.host.program(program, arguments);
        command.env("GNUPGHOME", self.host.at("gnupg"));
        command
    }

    fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let batch = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
        let all = [&batch, arguments].concat();
        finish(self.elsewhere(Path::new("gpg"), &all), b"").done().stdout
    }

    /// Makes a key, and a subkey where one is named; its fingerprint.
    fn pgp_key(&self, name: &str, kind: &str, usage: &str, subkey: Option<&str>) -> String {
        let user = format!("{name} <{name}@test-only>");
        self.gpg(&["--quick-generate-key", &user, kind, usage, "never"]);
        let listed = String::from_utf8(self.gpg(&["--with-colons", "-K", &user])).unwrap();
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        let fingerprint = line.split(':').nth(9).unwrap().to_owned();
        if let Some(kind) = subkey {
            self.gpg(&["--quick-add-key", &fingerprint, kind, "encr", "never"]);
        }
        fingerprint
    }

    /// The private key in a file of the machine.
    fn exported(&self, fingerprint: &str, options: &[&str]) -> String {
        let secret = self.gpg(&[options, &["--export-secret-keys", fingerprint]].concat());
        self.host.file(&format!("keys/{fingerprint}"), &secret)
    }

    /// The SSH key of the machine that `testdata` has the PGP key of, which `gpg` gets to know; its
    /// file, and its fingerprint as `ssh-to-pgp` prints it.
    fn ssh_key(&self) -> (String, &'static str) {
        let key = self.host.file("keys/ssh_rsa", &fs::read(testdata("ssh_rsa")).unwrap());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        self.gpg(&["--import", testdata("ssh_rsa.ssh-to-pgp.asc").to_str().unwrap()]);
        (key, SSH_RSA)
    }

    /// A file that a real sops wrote.
    fn sops(&self, sops: &Path, name: &str, content: &str, fingerprint: &str) -> String {
        let path = self.host.file(&format!("files/{name}"), content.as_bytes());
        let arguments = ["encrypt", "--in-place", "--pgp", fingerprint, &path];
        finish(self.elsewhere(sops, &arguments), b"").done();
        path
    }

    /// As [`Bench::sops`], with ours, which has `gpg` encrypt the same way.
    fn ours(&self, name: &str, content: &str, fingerprint: &str) -> String {
        self.sops(&self.host.root().join("bin/sops"), name, content, fingerprint)
    }

    /// A manifest with these identities, installing the value `a` of each file by its name.
    fn manifest(&self, identities: &[&str], files: &[(&str, &str)]) -> Value {
        let secret =
            |(name, file): &(&str, &str)| json!({ "name": name, "file": file, "key": ["a"] });
        let mut manifest = self.host.manifest(&files.iter().map(secret).collect::<Vec<_>>());
        manifest["identities"] = identities.iter().map(|file| json!({ "file": file })).collect();
        manifest
    }

    /// A manifest of sops-nix for the same.
    fn of_sops_nix(&self, place: &str, ssh_keys: &[&str], files: &[(&str, &str)]) -> Value {
        let secret = |(name, file): &(&str, &str)| {
            json!({
                "name": name, "key": "a", "sopsFile": file, "format": "yaml", "mode": "0400",
                "owner": null, "uid": 0, "group": null, "gid": 0,
                "path": self.host.at(&format!("{place}/{name}")), "restartUnits": [], "reloadUnits": [],
            })
        };
        json!({
            "secrets": files.iter().map(secret).collect::<Vec<_>>(), "templates": [],
            "placeholderBySecretName": {}, "secretsMountPoint": self.host.at(&format!("{place}.d")),
            "symlinkPath": self.host.at(place), "keepGenerations": 1, "gnupgHome": null,
            "sshKeyPaths": ssh_keys, "ageKeyFile": null, "ageSshKeyPaths": [], "useTmpfs": false,
            "userMode": false, "logging": { "keyImport": true, "secretChanges": true },
        })
    }

    /// Runs a program of ours on the machine, which has no `gpg`.
    fn run(&self, program: &Path, before: &[&str], manifest: &Value) -> Run {
        let file = self.host.write(manifest);
        let mut command = self.host.inside(program, &[before, &[file.as_str()]].concat());
        command.env("PATH", self.host.at("path"));
        finish(command, b"")
    }

    fn activate(&self, manifest: &Value) -> Run {
        self.run(Path::new(PROGRAM), &["activate"], manifest)
    }
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap()
}

const SSH_RSA: &str = "674a5ba1c7b0f1cbd0158b5f6df10fd430999eff";

/// Both programs that are there.
fn peers() -> Vec<PathBuf> {
    let variables = ["SECRETCTL_TEST_SOPS_OLD", "SECRETCTL_TEST_SOPS_NEW"];
    variables.iter().filter_map(|variable| peer(variable, true)).collect()
}

#[test]
fn what_sops_writes_for_pgp_keys_opens_without_gpg() {
    let Some(bench) = Bench::new() else { return };
    let keys = [
        bench.pgp_key("small", "rsa2048", "encr", None),
        bench.pgp_key("large", "rsa4096", "encr", None),
        bench.pgp_key("curve", "ed25519", "sign", Some("cv25519")),
    ];
    let (ssh, ssh_pgp) = bench.ssh_key();
    let mut identities: Vec<String> = Vec::new();
    for (key, options) in keys.iter().zip([&["--armor"][..], &[], &["--armor"]]) {
        identities.push(bench.exported(key, options));
    }
    identities.push(ssh);
    let fingerprints: Vec<&str> =
        keys.iter().map(String::as_str).chain(std::iter::once(ssh_pgp)).collect();
    for (version, sops) in peers().iter().enumerate() {
        for (index, (key, identity)) in fingerprints.iter().zip(&identities).enumerate() {
            let name = format!("{version}-{index}");
            let file =
                bench.sops(sops, &format!("{name}.yaml"), &format!("a: canary {name}\n"), key);
            let manifest = bench.manifest(&[identity], &[(&name, &file)]);
            bench.activate(&manifest).done();
            assert_eq!(bench.host.installed(&name), format!("canary {name}"));
        }
    }
}

#[test]
fn ssh_key_paths_of_sops_nix_open_what_is_for_their_pgp_keys() {
    let Some(bench) = Bench::new() else { return };
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let (ssh, fingerprint) = bench.ssh_key();
    let Some(sops) = peer("SECRETCTL_TEST_SOPS_NEW", true) else { return };
    let file = bench.sops(&sops, "a.yaml", "a: canary\n", fingerprint);
    let secret = [("a", file.as_str())];
    let installed =
        |place: &str| bench.host.sh(&format!("cat {}", bench.host.at(&format!("{place}/a"))));
    let ours = bench.host.root().join("bin/sops-install-secrets");
    let manifest = bench.of_sops_nix("run/ours", &[&ssh], &secret);
    bench.run(&ours, &["-check-mode=sopsfile"], &manifest).done();
    bench.run(&ours, &[], &manifest).done();
    assert_eq!(installed("run/ours"), "canary");

    // The original has `gpg` do it.
    let Some(theirs) = peer("SECRETCTL_TEST_SOPS_INSTALL_SECRETS", true) else { return };
    let manifest = bench.of_sops_nix("run/theirs", &[&ssh], &secret);
    let with_gpg = bench.host.write(&manifest);
    finish(bench.host.inside(&theirs, &[&with_gpg]), b"").done();
    assert_eq!(installed("run/theirs"), "canary");
}

#[test]
fn what_does_not_open_is_told_with_file_and_key() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.pgp_key("curve", "ed25519", "sign", Some("cv25519"));
    let (ssh, ssh_pgp) = bench.ssh_key();
    let file = bench.ours("a.yaml", "a: canary\n", &key);
    let good = fs::read_to_string(&file).unwrap();
    let own = bench.exported(&key, &["--armor"]);
    let refused = |identity: &str| {
        let manifest = bench.manifest(&[identity], &[("a", &file)]);
        let run = bench.activate(&manifest).ended(1);
        assert!(!run.stderr.contains("canary"));
        run.says("`files/a.yaml`").says(&key).says("hint: ")
    };

    refused(&ssh).says(&format!(
        "no identity fits: it is for the PGP key {}, and here is {}",
        subkey(&bench, &key),
        ssh_pgp.to_uppercase()
    ));

    let locked = bench.host.file("keys/locked", &fs::read(testdata("locked.asc")).unwrap());
    refused(&locked).says("the PGP keys in it are behind a passphrase or on a card");

    for (how, said) in [
        (Damage::Change, "it was changed, cut, made for another key"),
        (Damage::Cut, "what the file holds for this key is broken: it is cut short"),
        (Damage::NoMac, "has no protection against changes (no MDC) and is not opened"),
    ] {
        fs::write(&file, how.done_to(&good)).unwrap();
        let run = refused(&own).says(said);
        let remedy =
            if said.contains("MDC") { "`secretctl rotate`" } else { "restore it from git" };
        run.says(remedy);
    }
    fs::write(&file, &good).unwrap();
    bench.activate(&bench.manifest(&[&own], &[("a", &file)])).done();
    assert_eq!(bench.host.installed("a"), "canary");
}

#[test]
fn gpg_is_asked_only_where_no_identity_fits() {
    let Some(bench) = Bench::new() else { return };
    let (ssh, fingerprint) = bench.ssh_key();
    let other = bench.pgp_key("curve", "ed25519", "sign", Some("cv25519"));
    let file = bench.ours("a.yaml", "a: canary\n", fingerprint);
    let foreign = bench.ours("b.yaml", "a: other\n", &other);
    let called = bench.host.at("called");
    let gpg = bench.host.file("gpg", format!("#!/bin/sh\n: >{called}; exit 2\n").as_bytes());
    fs::set_permissions(&gpg, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |files: &[(&str, &str)]| {
        let mut manifest = bench.manifest(&[&ssh], files);
        manifest["gnupg"] = json!({ "home": bench.host.at("home"), "program": gpg });
        bench.activate(&manifest)
    };
    run(&[("a", &file)]).done();
    assert!(!Path::new(&called).exists());
    run(&[("a", &file), ("b", &foreign)]).ended(1).says("files/b.yaml");
    assert!(Path::new(&called).exists());
}

#[test]
fn a_build_knows_the_pgp_key_of_a_host() {
    let Some(bench) = Bench::new() else { return };
    let (ssh, fingerprint) = bench.ssh_key();
    let file = bench.ours("a.yaml", "a: canary\n", fingerprint);
    let mut manifest = bench.manifest(&[&ssh], &[("a", &file)]);
    let mut check = |public: &str| {
        manifest["hostPublicKeys"] = json!([public]);
        bench.host.activate(&manifest, &["--check"])
    };
    let public = fs::read_to_string(testdata("ssh_rsa.pub")).unwrap();
    check(&public).done();
    check(&bench.host.public("host")).ended(1).says("a.yaml").says(fingerprint);
}

#[test]
fn keys_show_what_they_are_for_pgp() {
    let Some(host) = Host::new() else { return };
    let show = |name: &str| {
        let file = testdata(name).display().to_string();
        let run = finish(host.program(Path::new(PROGRAM), &["keys", "show", &file]), b"").done();
        String::from_utf8(run.stdout).unwrap()
    };
    for name in ["ssh_rsa", "ssh_rsa.pub"] {
        let said = show(name);
        assert!(said.ends_with(&format!("\n  as PGP key: {}\n", SSH_RSA.to_uppercase())), "{said}");
    }
    assert_eq!(show("cv25519.asc"), "PGP 83564765EF3D9FAE46CF6AA554DB9ED95BFD66E8\n");
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pgp").join(name)
}

fn subkey(bench: &Bench, key: &str) -> String {
    let listed = String::from_utf8(bench.gpg(&["--with-colons", "-K", key])).unwrap();
    let line = listed.lines().find(|line| line.starts_with("ssb:")).unwrap();
    line.split(':').nth(4).unwrap().to_owned()
}

/// What somebody does to the message in a file.
#[derive(Clone, Copy)]
enum Damage {
    Change,
    Cut,
    /// As a packet of old that has no checksum.
    NoMac,
}

impl Damage {
    fn done_to(self, file: &str) -> String {
        use base64::Engine;
        use base64::prelude::BASE64_STANDARD;
        let begin = "-----BEGIN PGP MESSAGE-----\n";
        let (before, rest) = file.split_once(begin).unwrap();
        let (message, after) = rest.split_once("-----END").unwrap();
        let indent = " ".repeat(before.len() - before.trim_end_matches(' ').len());
        let digits: String =
            message.lines().map(str::trim).filter(|line| !line.starts_with('=')).collect();
        let mut binary = BASE64_STANDARD.decode(digits).unwrap();
        // The packet with the content comes behind that with the key, whose length is one byte.
        let content = binary.get(1).copied().map(|length| usize::from(length) + 2).unwrap();
        match self {
            Self::Change => *binary.last_mut().unwrap() ^= 1,
            Self::Cut => binary.truncate(binary.len() - 9),
            Self::NoMac => *binary.get_mut(content).unwrap() = 0xC9,
        }
        let text = BASE64_STANDARD.encode(binary);
        format!("{before}{begin}\n{indent}{text}\n{indent}-----END{after}")
    }
}
