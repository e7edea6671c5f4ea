//! What goes wrong in `sops-install-secrets`, defect by defect: here it does not, under its name. Each test
//! says in its comment what it does.
//!
//! Where `SECRETCTL_TEST_SOPS_INSTALL_SECRETS` names the program itself (see `scripts/setup`), the test also
//! shows the defect there, so that the list stays honest: it fails when sops-nix has mended it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests run programs and may panic"
)]

mod common;
mod target;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Run, finish, is_root};
use serde_json::{Value, json};
use target::Host;

/// Which program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    Theirs,
}

/// A machine, both programs, and a manifest for each.
struct Pair {
    host: Host,
    theirs: Option<PathBuf>,
}

impl Pair {
    /// `None` where there are no namespaces, or no root, which the original needs.
    fn new() -> Option<Self> {
        let host = Host::new()?;
        if !is_root() {
            println!("skipped: not root");
            return None;
        }
        let theirs = std::env::var_os("SECRETCTL_TEST_SOPS_INSTALL_SECRETS").map(PathBuf::from);
        if theirs.is_none() {
            assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "no sops-install-secrets");
            println!("sops-install-secrets is not there to be compared with");
        }
        Some(Self { host, theirs })
    }

    fn place(who: Who) -> &'static str {
        match who {
            Who::Ours => "run/ours",
            Who::Theirs => "run/theirs",
        }
    }

    /// A manifest, whose paths are below the place of one of the programs.
    fn manifest(&self, who: Who, secrets: &[Value], templates: &[Value]) -> Value {
        let (host, place) = (&self.host, Self::place(who));
        let mut placeholders = serde_json::Map::new();
        let complete = |list: &[Value], folder: &str| {
            let one = |one: &Value| {
                let mut whole = json!({
                    "path": host.at(&format!("{place}{folder}/{}", one["name"].as_str().unwrap())),
                    "mode": "0400", "owner": null, "uid": 0, "group": null, "gid": 0,
                    "restartUnits": [], "reloadUnits": [], "key": "", "format": "yaml",
                });
                for (field, value) in one.as_object().unwrap() {
                    // A link is for one of the programs.
                    let text = value.as_str().filter(|_| field == "path" || field == "content");
                    let value =
                        text.map_or(value.clone(), |text| json!(text.replace("@PLACE@", place)));
                    whole.as_object_mut().unwrap().insert(field.clone(), value);
                }
                whole
            };
            list.iter().map(one).collect::<Vec<Value>>()
        };
        for secret in secrets {
            let name = secret["name"].as_str().unwrap();
            placeholders.insert(name.to_owned(), json!(placeholder(name)));
        }
        placeholders.insert("early".to_owned(), json!(placeholder("early")));
        json!({
            "secrets": complete(secrets, ""),
            "templates": complete(templates, "/rendered"),
            "placeholderBySecretName": placeholders,
            "secretsMountPoint": host.at(&format!("{place}.d")),
            "symlinkPath": host.at(place),
            "keepGenerations": 1,
            "gnupgHome": "",
            "sshKeyPaths": [],
            "ageKeyFile": "",
            "ageSshKeyPaths": [host.key("host")],
            "useTmpfs": false,
            "userMode": false,
            "logging": { "keyImport": false, "secretChanges": true },
        })
    }

    fn command(&self, who: Who, manifest: &Value, options: &[&str]) -> std::process::Command {
        let place = Self::place(who).replace('/', "-");
        let text = serde_json::to_string_pretty(manifest).unwrap();
        let file = self.host.file(&format!("{place}.json"), text.as_bytes());
        let mut arguments = options.to_vec();
        arguments.push(&file);
        let ours = self.host.root().join("bin/sops-install-secrets");
        let program = match who {
            Who::Ours => &ours,
            Who::Theirs => self.theirs.as_ref().unwrap(),
        };
        let mut command = self.host.inside(program, &arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.host.at("bin")));
        command
    }

    fn run(&self, who: Who, manifest: &Value, options: &[&str]) -> Run {
        finish(self.command(who, manifest, options), b"")
    }

    /// Installs with ours, and with theirs where it is there.
    fn ours(&self, secrets: &[Value], templates: &[Value]) -> Run {
        self.run(Who::Ours, &self.manifest(Who::Ours, secrets, templates), &[])
    }

    fn theirs(&self, secrets: &[Value], templates: &[Value]) -> Option<Run> {
        self.theirs.as_ref()?;
        Some(self.run(Who::Theirs, &self.manifest(Who::Theirs, secrets, templates), &[]))
    }

    fn read(&self, who: Who, name: &str) -> String {
        self.host.sh(&format!("cat '{}/{name}'", self.host.at(Self::place(who))))
    }

    fn has(&self, who: Who, name: &str) -> bool {
        self.host.has(&format!("{}/{name}", self.host.at(Self::place(who))))
    }

    /// Names, modes, owners and contents of all that was installed.
    fn installed(&self, who: Who) -> String {
        let place = self.host.at(Self::place(who));
        self.host.sh(&format!(
            "cd {place}/ && find . -printf '%P %y %m %U:%G\\n' | sort && readlink {place} | sed 's/.*\\///' \
             && find . -type f | sort | while read -r one; do echo \"$one\"; cat \"$one\"; echo; done"
        ))
    }

    fn script(&self, name: &str, text: &str) {
        let file =
            self.host.file(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n").as_bytes());
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn placeholder(name: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(name.as_bytes());
    let hex = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("<SOPS:{hex}:PLACEHOLDER>")
}

#[test]
fn the_same_manifest_gives_the_same_files() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let age = host.age_of("host");
    let yaml = host.sops(
        "a.yaml",
        "# for all\ntop: \"x y\"\nnested:\n  deep:\n    key: |\n      two\n      lines\nempty: \"\"\n",
        &[&age],
    );
    let json = host.sops("a.json", "{\"k\": \"v\", \"n\": 1}", &[&age]);
    let env = host.sops("a.env", "# c\nA=b c\nD='e'\n", &[&age]);
    let ini = host.sops("a.ini", "[s]\nk = v\n", &[&age]);
    let binary = host.sops("a.bin", "\u{1}x\n", &[&age]);
    let secrets = [
        json!({ "name": "top", "sopsFile": yaml, "key": "top" }),
        json!({ "name": "d/deep", "sopsFile": yaml, "key": "nested/deep/key", "mode": "0440" }),
        json!({ "name": "empty", "sopsFile": yaml, "key": "empty", "uid": 12, "gid": 34 }),
        json!({ "name": "whole", "sopsFile": yaml, "owner": "nobody", "group": "nogroup" }),
        json!({ "name": "json", "sopsFile": json, "key": "k", "format": "json" }),
        json!({ "name": "json-whole", "sopsFile": json, "format": "json" }),
        json!({ "name": "env", "sopsFile": env, "format": "dotenv", "key": "ignored" }),
        json!({ "name": "ini", "sopsFile": ini, "format": "ini" }),
        json!({ "name": "bin", "sopsFile": binary, "format": "binary", "path": host.at("@PLACE@.link/bin") }),
    ];
    let content = format!("[{}]{}\n", placeholder("top"), placeholder("d/deep"));
    let templates = [json!({ "name": "t/x", "content": content, "mode": "0444", "uid": 5 })];
    for generation in 1..=2 {
        pair.ours(&secrets, &templates).done();
        let ours = pair.installed(Who::Ours);
        assert!(ours.contains(&format!("\n{generation}\n")), "{ours}");
        let Some(theirs) = pair.theirs(&secrets, &templates) else { continue };
        theirs.done();
        // The folder of templates is of the same group as all others here.
        let theirs = pair.installed(Who::Theirs);
        let folder = theirs.replace("\nrendered d 751 0:0\n", "\nrendered d 751 0:65534\n");
        assert_eq!(ours, folder);
        let link = |who| {
            let path = host.at(&format!("{}.link/bin", Pair::place(who)));
            let target = host.sh(&format!("readlink {path}"));
            target.replace(&host.at(Pair::place(who)), "")
        };
        assert_eq!(link(Who::Ours), link(Who::Theirs));
    }
}

#[test]
fn the_same_lines_tell_of_changes() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let age = host.age_of("host");
    let file = host.sops("a.yaml", "a: 1a\nb: 1b\nc: 1c\n", &[&age]);
    let secret = |name: &str| json!({ "name": name, "sopsFile": file, "key": name });
    let template = |text: &str| json!({ "name": "t", "content": text });
    let both = |secrets: &[Value], templates: &[Value]| {
        let ours = pair.ours(secrets, templates).done();
        let ours = String::from_utf8(ours.stdout).unwrap();
        if let Some(theirs) = pair.theirs(secrets, templates) {
            assert_eq!(ours, String::from_utf8(theirs.done().stdout).unwrap());
        }
        ours
    };
    assert_eq!(both(&[secret("a"), secret("b")], &[template("x")]), "");
    assert_eq!(both(&[secret("a"), secret("b")], &[template("x")]), "");
    host.sops("a.yaml", "a: 2a\nb: 2b\nc: 1c\n", &[&age]);
    assert_eq!(
        both(&[secret("b"), secret("c"), secret("a")], &[template("y")]),
        "adding secret: c\nmodifying secrets: a, b\nmodifying rendered secret: t\n"
    );
    assert_eq!(both(&[secret("a")], &[]), "removing secrets: b, c\nremoving rendered secret: t\n");
}

/// As many decryptions as there are secrets, one of them enough: its cache never holds anything.
#[test]
fn a_file_is_decrypted_once() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let calls = host.at("calls");
    pair.script(
        "gpg",
        &format!(
            "echo call >>{calls}; case \"$*\" in *--encrypt*) echo x$(base64 -w0);; *) \
             cut -c2- | base64 -d;; esac"
        ),
    );
    let file = host.file("files/a.yaml", b"a: 1a\nb: 1b\nc: 1c\n");
    let mut encrypt = host.program(
        &host.root().join("bin/sops"),
        &["encrypt", "--in-place", "--pgp", &"A".repeat(40), &file],
    );
    encrypt.env("SOPS_GPG_EXEC", host.at("bin/gpg"));
    finish(encrypt, b"").done();
    let secrets =
        ["a", "b", "c"].map(|name| json!({ "name": name, "sopsFile": file, "key": name }));
    let counted = |who| {
        let _gone = fs::remove_file(&calls);
        let mut manifest = pair.manifest(who, &secrets, &[]);
        manifest["gnupgHome"] = json!(host.at("home"));
        let mut command = pair.command(who, &manifest, &[]);
        command.env("SOPS_GPG_EXEC", host.at("bin/gpg"));
        finish(command, b"").done();
        assert_eq!(pair.read(who, "c"), "1c");
        fs::read_to_string(&calls).unwrap().lines().count()
    };
    assert_eq!(counted(Who::Ours), 1);
    if pair.theirs.is_some() {
        assert_eq!(counted(Who::Theirs), 3);
    }
}

/// `gpg` is asked before the keys of the machine, and may take its time.
#[test]
fn keys_at_hand_go_before_gpg() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let calls = host.at("calls");
    pair.script(
        "gpg",
        &format!(
            "echo call >>{calls}; case \"$*\" in *--encrypt*) echo x$(base64 -w0);; *) exit 2;; esac"
        ),
    );
    let file = host.file("files/a.yaml", b"a: 1a\n");
    let age = host.age_of("host");
    let mut encrypt = host.program(
        &host.root().join("bin/sops"),
        &["encrypt", "--in-place", "--pgp", &"A".repeat(40), "--age", &age, &file],
    );
    encrypt.env("SOPS_GPG_EXEC", host.at("bin/gpg"));
    finish(encrypt, b"").done();
    let secrets = [json!({ "name": "a", "sopsFile": file, "key": "a" })];
    let called = |who| {
        let _gone = fs::remove_file(&calls);
        let mut manifest = pair.manifest(who, &secrets, &[]);
        manifest["gnupgHome"] = json!(host.at("home"));
        let mut command = pair.command(who, &manifest, &[]);
        command.env("SOPS_GPG_EXEC", host.at("bin/gpg"));
        finish(command, b"").done();
        Path::new(&calls).exists()
    };
    assert!(!called(Who::Ours));
    if pair.theirs.is_some() {
        assert!(called(Who::Theirs));
    }
}

/// Values of nested JSON are "not a dictionary"; numbers, truth, lists and maps are not strings.
#[test]
fn values_of_every_kind_are_installed() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let json = pair.host.sops("a.json", "{\"a\": {\"b\": \"c\"}}", &[&age]);
    let yaml = pair.host.sops("a.yaml", "n: 12\nt: true\nl: [1, 2]\nm:\n  k: v\n", &[&age]);
    for (file, format, key, wanted) in [
        (&json, "json", "a/b", "c"),
        (&yaml, "yaml", "n", "12"),
        (&yaml, "yaml", "t", "true"),
        (&yaml, "yaml", "l", "- 1\n- 2\n"),
        (&yaml, "yaml", "m", "k: v\n"),
    ] {
        let secrets = [json!({ "name": "x", "sopsFile": file, "key": key, "format": format })];
        pair.ours(&secrets, &[]).done();
        assert_eq!(pair.read(Who::Ours, "x"), wanted, "{key}");
        if let Some(theirs) = pair.theirs(&secrets, &[]) {
            assert_eq!(theirs.code, 1, "{key}");
        }
    }
}

/// Permissions are cut by the umask.
#[test]
fn permissions_are_those_of_the_manifest() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: b\n", &[&age]);
    let secrets = [json!({ "name": "x", "sopsFile": file, "key": "a", "mode": "0666" })];
    let modes = |who| {
        let manifest = pair.manifest(who, &secrets, &[]);
        let command = pair.command(who, &manifest, &[]);
        // The same command, behind a umask.
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let script = format!("umask 077; {}", words.join(" "));
        finish(pair.host.program(Path::new("sh"), &["-c", &script]), b"").done();
        let place = pair.host.at(Pair::place(who));
        pair.host.sh(&format!("stat -L -c %a {place}/ {place}/x"))
    };
    assert_eq!(modes(Who::Ours), "751\n666\n");
    if pair.theirs.is_some() {
        assert_eq!(modes(Who::Theirs), "700\n600\n");
    }
}

/// A name leads out of the store, as root.
#[test]
fn names_stay_in_the_store() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: b\n", &[&age]);
    let elsewhere = pair.host.at("etc/@PLACE@");
    let name = "../../escaped";
    let secrets = [json!({ "name": name, "sopsFile": file, "key": "a", "path": elsewhere })];
    pair.ours(&secrets, &[]).ended(1).says("`secrets[0].name`: `../../escaped` cannot be the name");
    assert!(!pair.host.has(&pair.host.at("run/escaped")));
    if let Some(theirs) = pair.theirs(&secrets, &[]) {
        theirs.done();
        assert!(pair.host.has(&pair.host.at("run/escaped")));
    }
}

/// The last of two with one name wins, and a template over a secret.
#[test]
fn names_are_there_once() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: 1\nb: x\n", &[&age]);
    let secret = |name: &str| json!({ "name": name, "sopsFile": file, "key": "b" });
    let twice = [secret("x"), secret("x")];
    pair.ours(&twice, &[]).ended(1).says("`secrets[1].name`: secrets[0] has this name too");
    let hidden = [secret("rendered/t")];
    let template = [json!({ "name": "t", "content": "text" })];
    pair.ours(&hidden, &template).ended(1).says("secrets[0] has this name too");
    let folder = [secret("f"), secret("f/g")];
    pair.ours(&folder, &[]).ended(1).says("`f` cannot be a folder");
    if pair.theirs.is_some() {
        pair.theirs(&twice, &[]).unwrap().done();
        pair.theirs(&hidden, &template).unwrap().done();
        assert_eq!(pair.read(Who::Theirs, "rendered/t"), "text");
    }
}

/// Placeholders in values are replaced too, or not, by chance.
#[test]
fn a_value_is_not_a_template() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let text = format!("a: '{}'\nb: value of b\n", placeholder("b"));
    let file = pair.host.sops("a.yaml", &text, &[&age]);
    let secrets = ["a", "b"].map(|name| json!({ "name": name, "sopsFile": file, "key": name }));
    let content = format!("{} {}", placeholder("a"), placeholder("b"));
    let templates = [json!({ "name": "t", "content": content })];
    let wanted = format!("{} value of b", placeholder("b"));
    for _ in 0..3 {
        pair.ours(&secrets, &templates).done();
        assert_eq!(pair.read(Who::Ours, "rendered/t"), wanted);
    }
    if pair.theirs.is_some() {
        let wrong = (0..60).any(|_| {
            pair.theirs(&secrets, &templates).unwrap().done();
            pair.read(Who::Theirs, "rendered/t") != wanted
        });
        assert!(wrong);
    }
}

/// The placeholder of a secret for users stays in the text as it is.
#[test]
fn a_placeholder_that_stands_for_nothing_is_told() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: b\n", &[&age]);
    let secrets = [json!({ "name": "a", "sopsFile": file, "key": "a" })];
    let templates = [
        json!({ "name": "bad", "content": placeholder("early") }),
        json!({ "name": "good", "content": placeholder("a") }),
    ];
    let run = pair.ours(&secrets, &templates).ended(1);
    run.says(
        "template `rendered/bad`: line 1, column 1: the placeholder of `early` stands for nothing",
    )
    .says("not one of this manifest");
    assert_eq!(pair.read(Who::Ours, "rendered/good"), "b");
    assert!(!pair.has(Who::Ours, "rendered/bad"));
    if let Some(theirs) = pair.theirs(&secrets, &templates) {
        theirs.done();
        assert_eq!(pair.read(Who::Theirs, "rendered/bad"), placeholder("early"));
    }
}

/// Units are restarted before the new secrets are in place, and a unit that does not exist leaves the
/// old ones.
#[test]
fn units_are_told_when_secrets_are_in_place() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let age = host.age_of("host");
    let file = host.sops("a.yaml", "a: old\n", &[&age]);
    let seen = host.at("seen");
    let secrets =
        [json!({ "name": "a", "sopsFile": file, "key": "a", "restartUnits": ["typo.service"] })];
    let mut whoever = vec![Who::Ours];
    whoever.extend(pair.theirs.is_some().then_some(Who::Theirs));
    for who in &whoever {
        pair.run(*who, &pair.manifest(*who, &secrets, &[]), &[]).done();
    }
    host.sops("a.yaml", "a: new\n", &[&age]);
    for who in whoever {
        let place = host.at(Pair::place(who));
        pair.script("systemctl", &format!("echo \"$*\" >{seen}; cat {place}/a >>{seen}; exit 5"));
        let mut command = pair.command(who, &pair.manifest(who, &secrets, &[]), &[]);
        command.env("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        let run = finish(command, b"");
        let seen = fs::read_to_string(&seen).unwrap();
        assert!(seen.contains("try-restart") && seen.contains("typo.service"), "{seen}");
        if who == Who::Ours {
            run.done().says("warning: ");
            assert!(seen.trim_end().ends_with("new"), "{seen}");
            assert_eq!(pair.read(who, "a"), "new");
        } else {
            run.ended(1);
            assert!(seen.trim_end().ends_with("old"), "{seen}");
            assert_eq!(pair.read(who, "a"), "old");
        }
    }
}

/// One unknown owner, one file that cannot be decrypted, one missing key file: nothing is installed.
#[test]
fn what_is_broken_holds_up_nothing_else() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let age = host.age_of("host");
    let good = host.sops("good.yaml", "a: good\n", &[&age]);
    let foreign = host.sops("foreign.yaml", "a: b\n", &[&host.age_of("other")]);
    let fine = json!({ "name": "fine", "sopsFile": good, "key": "a" });
    for (bad, said) in [
        (
            json!({ "name": "bad", "sopsFile": good, "key": "a", "owner": "nobody-here" }),
            "there is no user `nobody-here`",
        ),
        (
            json!({ "name": "bad", "sopsFile": foreign, "key": "a" }),
            "foreign.yaml`: the one identity does not fit",
        ),
        (json!({ "name": "bad", "sopsFile": "/nowhere", "key": "a" }), "cannot read `/nowhere`"),
        (json!({ "name": "bad", "sopsFile": good, "key": "b" }), "it has no value `b`"),
    ] {
        let secrets = [fine.clone(), bad];
        pair.ours(&secrets, &[]).ended(1).says(said);
        assert_eq!(pair.read(Who::Ours, "fine"), "good");
        if let Some(theirs) = pair.theirs(&secrets, &[]) {
            theirs.ended(1);
            assert!(!pair.has(Who::Theirs, "fine"), "{said}");
        }
    }
    let missing = |who| {
        let mut manifest = pair.manifest(who, std::slice::from_ref(&fine), &[]);
        manifest["ageKeyFile"] = json!(host.at("keys/nowhere"));
        // An SSH key that cannot be read stops the original in its tracks, too.
        manifest["sshKeyPaths"] = json!([host.at("keys/nowhere-rsa")]);
        pair.run(who, &manifest, &[])
    };
    missing(Who::Ours).done();
    if pair.theirs.is_some() {
        missing(Who::Theirs).ended(1);
    }
}

/// The private key of the machine stays beside the secrets as a text.
#[test]
fn no_private_key_is_written() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: b\n", &[&age]);
    let secrets = [json!({ "name": "a", "sopsFile": file, "key": "a" })];
    let keys = |who| {
        let place = pair.host.at(Pair::place(who));
        pair.host.sh(&format!("grep -rl AGE-SECRET-KEY- {place}.d || true"))
    };
    pair.ours(&secrets, &[]).done();
    assert_eq!(keys(Who::Ours), "");
    if let Some(theirs) = pair.theirs(&secrets, &[]) {
        theirs.done();
        assert!(keys(Who::Theirs).contains("age-keys.txt"));
    }
}

/// A dry run leaves a generation of secrets behind, and does not look at owners.
#[test]
fn a_dry_run_leaves_nothing() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: old\n", &[&age]);
    let secrets = [json!({ "name": "a", "sopsFile": file, "key": "a" })];
    let generations = |who| {
        let manifest = pair.manifest(who, &secrets, &[]);
        pair.host.sops("a.yaml", "a: old\n", &[&age]);
        pair.run(who, &manifest, &[]).done();
        pair.host.sops("a.yaml", "a: new\n", &[&age]);
        let mut command = pair.command(who, &manifest, &[]);
        command.env("NIXOS_ACTION", "dry-activate");
        let run = finish(command, b"").done();
        assert_eq!(String::from_utf8(run.stdout).unwrap(), "would modify secret: a\n");
        pair.host.sh(&format!("ls {}.d | grep -c '^[0-9]*$'", pair.host.at(Pair::place(who))))
    };
    assert_eq!(generations(Who::Ours), "1\n");
    if pair.theirs.is_some() {
        assert_eq!(generations(Who::Theirs), "2\n");
    }
}

/// Where a folder is in the place of a link, nothing more is done. A file is replaced in either program.
#[test]
fn a_folder_in_the_place_of_a_link_stays() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let age = host.age_of("host");
    let file = host.sops("a.yaml", "a: b\n", &[&age]);
    let secrets = [
        json!({ "name": "a", "sopsFile": file, "key": "a", "path": host.at("etc/folder") }),
        json!({ "name": "b", "sopsFile": file, "key": "a", "path": host.at("etc/@PLACE@/later") }),
        json!({ "name": "c", "sopsFile": file, "key": "a", "path": host.at("etc/mine") }),
    ];
    host.sh(&format!(
        "mkdir {0}/folder && echo x >{0}/folder/x && echo mine >{0}/mine",
        host.at("etc")
    ));
    let run = pair.ours(&secrets, &[]).ended(1);
    run.says("secret `a`: ").says("secret `c`: ");
    assert_eq!(host.sh(&format!("cat {}", host.at("etc/run/ours/later"))), "b");
    // Nor does a file that somebody else made; theirs replaces it.
    assert_eq!(host.sh(&format!("cat {}", host.at("etc/mine"))), "mine\n");
    assert_eq!(host.sh(&format!("cat {}", host.at("etc/folder/x"))), "x\n");
    if let Some(theirs) = pair.theirs(&secrets, &[]) {
        theirs.ended(1);
        assert!(!host.has(&host.at("etc/run/theirs/later")));
    }
}

/// A file that is not encrypted at all passes its look at build time.
#[test]
fn a_file_in_the_open_is_found_at_build_time() {
    let Some(pair) = Pair::new() else { return };
    let file = pair.host.file("files/a.yaml", b"a: canary\n");
    let secrets = [json!({ "name": "a", "sopsFile": file, "key": "a" })];
    let check = |who| pair.run(who, &pair.manifest(who, &secrets, &[]), &["-check-mode=sopsfile"]);
    let run = check(Who::Ours).ended(1).says("files/a.yaml` is not encrypted");
    assert!(!run.stderr.contains("canary"));
    let manifest = pair.manifest(Who::Ours, &secrets, &[]);
    pair.run(Who::Ours, &manifest, &["-check-mode=manifest"]).done();
    if pair.theirs.is_some() {
        check(Who::Theirs).done();
    }
}

/// Without a manifest it does nothing and ends with 0.
#[test]
fn a_missing_manifest_is_an_error() {
    let Some(pair) = Pair::new() else { return };
    let ours = pair.host.program(&pair.host.root().join("bin/sops-install-secrets"), &[]);
    finish(ours, b"").ended(1).says("no manifest was given").says("Usage: ");
    if let Some(theirs) = &pair.theirs {
        finish(pair.host.program(theirs, &[]), b"").done();
    }
}

/// With `-ignore-passwd` nobody is looked up.
#[test]
fn users_need_not_exist_where_they_are_ignored() {
    let Some(pair) = Pair::new() else { return };
    let age = pair.host.age_of("host");
    let file = pair.host.sops("a.yaml", "a: b\n", &[&age]);
    let secrets =
        [json!({ "name": "a", "sopsFile": file, "key": "a", "owner": "nobody-here", "gid": 5 })];
    let owner = |who| {
        pair.run(who, &pair.manifest(who, &secrets, &[]), &["-ignore-passwd"]).done();
        let place = pair.host.at(Pair::place(who));
        pair.host.sh(&format!("stat -L -c '%u:%g %a' {place}/a {place}/"))
    };
    assert_eq!(owner(Who::Ours), "0:0 400\n0:0 751\n");
    if pair.theirs.is_some() {
        assert_eq!(owner(Who::Theirs), owner(Who::Ours));
    }
}

/// A user needs no root: nothing is mounted and nothing given away. The original remakes the same
/// generation without looking at what was there.
#[test]
fn secrets_of_a_user_are_installed() {
    let Some(pair) = Pair::new() else { return };
    let host = &pair.host;
    let age = host.age_of("host");
    let file = host.sops("a.yaml", "a: b\n", &[&age]);
    let secrets = [json!({ "name": "a", "sopsFile": file, "key": "a", "path": "%r/@PLACE@-%%r" })];
    let mut whoever = vec![Who::Ours];
    whoever.extend(pair.theirs.is_some().then_some(Who::Theirs));
    host.sh(&format!("mkdir -p {}", host.at("run/run")));
    for who in whoever {
        let mut manifest = pair.manifest(who, &secrets, &[]);
        manifest["userMode"] = json!(true);
        manifest["secretsMountPoint"] = json!(format!("%r/{}.d", Pair::place(who)));
        let mut command = pair.command(who, &manifest, &[]);
        command.env("XDG_RUNTIME_DIR", host.at("run"));
        finish(command, b"").done();
        assert_eq!(pair.read(who, "a"), "b");
        let link = host.sh(&format!("cat {}/{}-%r", host.at("run"), Pair::place(who)));
        assert_eq!(link, "b");
    }
}
