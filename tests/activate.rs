//! `secretctl activate` as a whole, on machines of their own.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod common;
mod target;

use std::fs;
use std::path::Path;

use common::{PROGRAM, finish, is_root};
use serde_json::json;
use target::{Host, summary};

const YAML: &str = "plain: text\nnumber: 9007199254740993\ntruth: true\nnested:\n    key: deep\n    list:\n        \
                    - one\n        - x: 2\n";

#[test]
fn every_format_and_kind_of_key_is_installed() {
    let Some(host) = Host::new() else { return };
    let (ssh, age) = (host.public("host"), host.age_of("host"));
    let rsa = host.keygen("rsa", &["-t", "rsa", "-b", "2048"]);
    let rsa_public = host.public("rsa");
    // A key as OpenSSL writes it, PKCS#8, and one in PKCS#1.
    let pkcs1 = host.keygen("pkcs1", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    let pkcs8 = host.at("keys/pkcs8");
    let made = format!("openssl genpkey -algorithm ed25519 -out {pkcs8} && chmod 600 {pkcs8}");
    host.sh(&made);
    let public = host.sh(&format!("ssh-keygen -y -f {pkcs8} 2>/dev/null || true"));
    let file_key = age_key(&host, "age.txt");
    let mut secrets = vec![
        json!({ "name": "native", "file": host.age("native.age", b"native\n", &[&ssh]) }),
        json!({ "name": "derived", "file": host.age("derived.age", b"derived", &[&age]) }),
        json!({ "name": "armored", "file": host.age("armored.age", b"\0\xff", &[&ssh]) }),
        json!({ "name": "empty", "file": host.age("empty.age", b"", &[&ssh]) }),
        json!({ "name": "rsa", "file": host.age("rsa.age", b"rsa", &[&rsa_public]) }),
        json!({ "name": "pkcs1", "file": host.age("pkcs1.age", b"pkcs1", &[&host.public("pkcs1")]) }),
        json!({ "name": "file", "file": host.age("file.age", b"file", &[&file_key]) }),
    ];
    if public.starts_with("ssh-ed25519 ") {
        secrets.push(json!({
            "name": "pkcs8", "file": host.age("pkcs8.age", b"pkcs8", &[public.trim()]),
        }));
    }
    let yaml = host.sops("db.yaml", YAML, &[&age]);
    for (name, key) in [
        ("plain", json!(["plain"])),
        ("number", json!(["number"])),
        ("truth", json!(["truth"])),
        ("deep/key", json!(["nested", "key"])),
        ("item", json!(["nested", "list", "0"])),
        ("inner", json!(["nested", "list", "1", "x"])),
        ("list", json!(["nested", "list"])),
        ("map", json!(["nested"])),
        ("whole.yaml", json!(null)),
    ] {
        secrets.push(json!({ "name": name, "file": yaml, "key": key }));
    }
    let json = host.sops("db.json", "{\"a\": {\"b\": \"c\"}, \"l\": [1]}", &[&ssh]);
    secrets.push(json!({ "name": "json/b", "file": json, "key": ["a", "b"], "format": "json" }));
    secrets.push(json!({ "name": "json/a", "file": json, "key": ["a"], "format": "json" }));
    let env = host.sops("x.env", "A=b c\nD=e\n", &[&age]);
    secrets.push(json!({ "name": "env/A", "file": env, "key": ["A"] }));
    secrets.push(json!({ "name": "env/all", "file": env, "format": "dotenv" }));
    let ini = host.sops("x.ini", "[s]\nk = v\n", &[&age]);
    secrets.push(json!({ "name": "ini/k", "file": ini, "key": ["s", "k"] }));
    let binary = host.sops("x.bin", "\u{1}binary\n", &[&age]);
    secrets.push(json!({ "name": "bin", "file": binary, "format": "binary" }));
    let inner = host.age("inner.yaml.age", b"k:\n  - v\n", &[&ssh]);
    secrets.push(json!({ "name": "inside", "file": inner, "key": ["k", "0"] }));

    let mut manifest = host.manifest(&secrets);
    manifest["identities"] = json!([
        { "file": host.key("host") },
        { "file": rsa },
        { "file": pkcs1 },
        { "file": pkcs8 },
        { "file": host.at("keys/age.txt") },
    ]);
    host.activate(&manifest, &[]).done();
    for (name, wanted) in [
        ("native", "native\n"),
        ("derived", "derived"),
        ("empty", ""),
        ("rsa", "rsa"),
        ("pkcs1", "pkcs1"),
        ("file", "file"),
        ("plain", "text"),
        ("number", "9007199254740993"),
        ("truth", "true"),
        ("deep/key", "deep"),
        ("item", "one"),
        ("inner", "2"),
        ("list", "- one\n- x: 2\n"),
        ("map", "key: deep\nlist:\n    - one\n    - x: 2\n"),
        ("whole.yaml", YAML),
        ("json/b", "c"),
        ("json/a", "{\n\t\"b\": \"c\"\n}\n"),
        ("env/A", "b c"),
        ("env/all", "A=b c\nD=e\n"),
        ("ini/k", "v"),
        ("bin", "\u{1}binary\n"),
        ("inside", "v"),
    ] {
        assert_eq!(host.installed(name), wanted, "{name}");
    }
    if public.starts_with("ssh-ed25519 ") {
        assert_eq!(host.installed("pkcs8"), "pkcs8");
    }
    let raw = host.sh(&format!("od -An -tx1 {}", host.at("run/secrets/armored")));
    assert_eq!(raw.trim(), "00 ff");
}

/// An age identity in a file; gives its recipient.
fn age_key(host: &Host, name: &str) -> String {
    use age::secrecy::ExposeSecret;
    let identity = age::x25519::Identity::generate();
    let text = format!("# test only\n{}\n", identity.to_string().expose_secret());
    host.file(&format!("keys/{name}"), text.as_bytes());
    identity.to_public().to_string()
}

#[test]
fn each_file_is_read_and_unwrapped_once() {
    let Some(host) = Host::new() else { return };
    let age = host.age_of("host");
    let lines: Vec<String> = (0..50).map(|at| format!("k{at}: v{at}\n")).collect();
    let yaml = host.sops("db.yaml", &lines.concat(), &[&age]);
    let key =
        |at: usize| json!({ "name": format!("k{at}"), "file": yaml, "key": [format!("k{at}")] });
    let mut secrets: Vec<_> = (0..50).map(key).collect();
    let one = host.age("one.age", b"one", &[&age]);
    secrets.push(json!({ "name": "one", "file": one }));
    secrets.push(json!({ "name": "again", "file": one, "mode": "0440" }));
    let run = host.activate(&host.manifest(&secrets), &["--json"]).done();
    let summary = summary(&run);
    assert_eq!((&summary["reads"], &summary["unwraps"]), (&json!(2), &json!(2)));
    assert_eq!(host.installed("k49"), "v49");
    assert_eq!(host.installed("again"), "one");
}

#[test]
fn one_bad_secret_does_not_hold_up_the_others() {
    let Some(host) = Host::new() else { return };
    let ssh = host.public("host");
    let files = ["good", "broken", "foreign", "gone", "plain", "key"];
    for name in files {
        host.age(&format!("{name}.age"), format!("old {name}").as_bytes(), &[&ssh]);
    }
    let yaml = host.sops("db.yaml", "a: old\n", &[&host.age_of("host")]);
    let secret =
        |name: &str| json!({ "name": name, "file": host.at(&format!("files/{name}.age")) });
    let mut secrets: Vec<_> = files.into_iter().map(secret).collect();
    secrets.push(json!({ "name": "value", "file": yaml, "key": ["a"] }));
    host.activate(&host.manifest(&secrets), &[]).done();
    assert_eq!(host.installed("value"), "old");

    host.age("good.age", b"new good", &[&ssh]);
    host.age("foreign.age", b"new foreign", &[&host.public("somebody")]);
    fs::remove_file(host.at("files/gone.age")).unwrap();
    host.file("files/plain.age", b"canary in the open\n");
    let mut broken = fs::read(host.at("files/broken.age")).unwrap();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    host.file("files/broken.age", &broken);
    host.sops("db.yaml", "b: new\n", &[&host.age_of("host")]);
    secrets.push(json!({ "name": "never", "file": host.at("files/foreign.age") }));
    let run = host.activate(&host.manifest(&secrets), &[]).ended(1);
    assert_eq!(host.installed("good"), "new good");
    for name in ["broken", "foreign", "gone", "plain"] {
        assert_eq!(host.installed(name), format!("old {name}"), "{name}");
    }
    assert_eq!(host.installed("value"), "old");
    assert!(!host.has(&host.at("run/secrets/never")));
    for said in [
        "foreign.age`: the one identity does not fit",
        "secrets: foreign (its last good value stays), never (not in place)",
        "tried: ",
        "keys/host (ssh-ed25519 SHA256:",
        "needs: ssh-ed25519 (tag ",
        "hint: give this machine access in the rules, run `secretctl rekey`",
        "gone.age`: there is no such file",
        "plain.age` is not encrypted",
        "broken.age`: its content is damaged",
        "db.yaml`: it has no value `a`",
        "secrets: value (its last good value stays)",
    ] {
        assert!(run.stderr.contains(said), "no `{said}` in: {}", run.stderr);
    }
    assert!(!run.stderr.contains("canary"));

    // The same goes for what nobody requires, which fails nothing.
    for secret in &mut secrets {
        secret["required"] = json!(false);
    }
    let run = host.activate(&host.manifest(&secrets), &[]).done();
    assert!(run.stderr.contains("warning: cannot decrypt") && !run.stderr.contains("error:"));
}

#[test]
fn keys_that_are_missing_are_named() {
    let Some(host) = Host::new() else { return };
    let file = host.age("a.age", b"a", &[&host.public("other")]);
    let locked = host.at("keys/locked");
    host.sh(&format!("ssh-keygen -q -t ed25519 -N secret -f {locked}"));
    let mut manifest = host.manifest(&[json!({ "name": "a", "file": file })]);
    manifest["identities"] = json!([
        { "file": host.at("keys/nowhere") },
        { "file": locked },
        { "file": host.file("keys/garbage", b"canary garbage\n") },
    ]);
    let run = host.activate(&manifest, &[]).ended(1);
    for said in [
        "keys/nowhere (not read: No such file",
        "keys/locked (ssh-ed25519 SHA256:",
        "behind a passphrase",
        "keys/garbage (",
    ] {
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
    manifest["identities"] = json!([]);
    host.activate(&manifest, &[]).ended(1).says("a.age`: there is no identity to try");
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
}

#[test]
fn templates_are_filled_in_once() {
    let Some(host) = Host::new() else { return };
    let ssh = host.public("host");
    let secrets = [
        json!({ "name": "a", "file": host.age("a.age", b"<secretctl:b>\n", &[&ssh]) }),
        json!({ "name": "b", "file": host.age("b.age", b"it's \"b\"\n", &[&ssh]) }),
        json!({ "name": "bad", "file": host.age("bad.age", b"x", &[&host.public("other")]) }),
    ];
    let text = host.file("files/t", b"from a file: <secretctl:b|trim|shell>\n");
    let mut manifest = host.manifest(&secrets);
    manifest["placeholders"] = json!({
        "<SOPS:x>": { "store": "secrets", "secret": "b" },
        "@a@": { "store": "secrets", "secret": "a" },
    });
    manifest["templates"] = json!([
        { "name": "t/one", "store": "secrets", "mode": "0444",
          "content": "[<secretctl:a>|<secretctl:a|trim>|<secretctl:b|trim|json>]@a@<SOPS:x>" },
        { "name": "t/file", "store": "secrets", "file": text },
        { "name": "t/unknown", "store": "secrets", "content": "x\n  <secretctl:c>" },
        { "name": "t/unreadable", "store": "secrets", "content": "<secretctl:bad>" },
        { "name": "t/filter", "store": "secrets", "content": "<secretctl:a|upper>" },
        { "name": "t/open", "store": "secrets", "content": "<secretctl:a" },
        { "name": "t/gone", "store": "secrets", "file": host.at("files/nowhere") },
    ]);
    let run = host.activate(&manifest, &[]).ended(1);
    // What a secret holds is not looked at again.
    assert_eq!(
        host.installed("t/one"),
        "[<secretctl:b>\n|<secretctl:b>|\"it's \\\"b\\\"\"]<secretctl:b>\nit's \"b\"\n"
    );
    assert_eq!(host.installed("t/file"), "from a file: 'it'\\''s \"b\"'\n");
    for said in [
        "template `t/unknown`: line 2, column 3: the placeholder of `c` stands for nothing",
        "template `t/unreadable`: line 1, column 1: the secret `bad` in it could not be had",
        "template `t/filter`: line 1, column 1: there is no filter `upper`",
        "template `t/open`: line 1, column 1: a placeholder `<secretctl:…>` does not end",
        "template `t/gone`: its text",
    ] {
        assert!(run.stderr.contains(said), "no `{said}` in: {}", run.stderr);
    }
    for name in ["t/unknown", "t/unreadable", "t/filter", "t/open", "t/gone"] {
        assert!(!host.has(&host.at(&format!("run/secrets/{name}"))), "{name}");
    }
}

#[test]
fn phases_fill_their_own_stores() {
    let Some(host) = Host::new() else { return };
    let ssh = host.public("host");
    let (early, normal, both) = (
        host.age("early.age", b"early", &[&ssh]),
        host.age("normal.age", b"normal", &[&ssh]),
        host.age("both.age", b"both", &[&ssh]),
    );
    let store = |name: &str, phase: &str| {
        let mut store = host.store();
        store["mountPoint"] = json!(host.at(&format!("run/{name}.d")));
        store["link"] = json!(host.at(&format!("run/{name}")));
        store["phase"] = json!(phase);
        store
    };
    let mut manifest = host.manifest(&[
        json!({ "name": "x", "store": "early", "file": early, "owner": "nobody-yet" }),
        json!({ "name": "x", "store": "secrets", "file": normal }),
        json!({ "name": "x", "store": "both", "file": both, "owner": "nobody-yet", "mode": "0440" }),
    ]);
    manifest["stores"] = json!({
        "early": store("early", "early"),
        "secrets": store("secrets", "normal"),
        "both": store("both", "both"),
    });
    // An early template may have secrets of a later store in it.
    manifest["templates"] = json!([
        { "name": "t", "store": "early", "content": "<secretctl:x>" },
    ]);
    let run = host.activate(&manifest, &["--early"]).done();
    run.says("`nobody-yet` is not known yet, so this is left to root: secret `x`, secret `x`");
    assert_eq!(
        host.sh(&format!("cat {0}/early/x {0}/early/t {0}/both/x", host.at("run"))),
        "earlynormalboth"
    );
    assert!(!host.has(&host.at("run/secrets")));
    assert_eq!(
        host.sh(&format!("stat -L -c '%u %g %a' {}/both/x", host.at("run"))).trim(),
        "0 0 440"
    );

    let run = host.activate(&manifest, &[]).ended(1);
    run.says("secret `x`: there is no user `nobody-yet`");
    assert_eq!(host.installed("x"), "normal");
    // It goes on being what it was.
    assert_eq!(host.sh(&format!("cat {}/both/x", host.at("run"))), "both");

    manifest["secrets"][2]["owner"] = json!("root");
    host.activate(&manifest, &[]).done();
}

#[test]
fn owners_are_looked_up_by_name() {
    let Some(host) = Host::new() else { return };
    if !is_root() {
        return;
    }
    let file = host.age("a.age", b"a", &[&host.public("host")]);
    let secrets = [
        json!({ "name": "name", "file": file, "owner": "nobody", "group": "nogroup", "mode": "0640" }),
        json!({ "name": "number", "file": file, "owner": 12345, "group": 54321, "mode": "666" }),
        json!({ "name": "digits", "file": file, "owner": "12345", "group": "0" }),
        json!({ "name": "user", "file": file, "owner": "nobody of this name" }),
        json!({ "name": "group", "file": file, "group": "no group of this name" }),
    ];
    let mut command = host.activation(&host.manifest(&secrets), &[]);
    command.env("UMASK_IS", "not looked at");
    let run = finish(command, b"").ended(1);
    let stat = |name: &str| {
        let path = host.at(&format!("run/secrets/{name}"));
        host.sh(&format!("stat -L -c '%U %G %u %g %a' {path}"))
    };
    assert!(stat("name").starts_with("nobody nogroup ") && stat("name").ends_with(" 640\n"));
    assert!(stat("number").ends_with("12345 54321 666\n"), "{}", stat("number"));
    assert!(stat("digits").ends_with(" 12345 0 400\n"));
    run.says("secret `user`: there is no user `nobody of this name`")
        .says("secret `group`: there is no group `no group of this name`")
        .says("now: not in place");
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let Some(host) = Host::new() else { return };
    let ssh = host.public("host");
    let a = host.age("a.age", b"a", &[&ssh]);
    let b = host.age("b.age", b"b", &[&ssh]);
    let secret = |name: &str, file: &str| json!({ "name": name, "file": file, "restartUnits": [format!("{name}.service")] });
    let manifest = host.manifest(&[secret("a", &a), secret("b", &b)]);
    let run = host.activate(&manifest, &["--dry-run"]).done();
    assert!(String::from_utf8_lossy(&run.stdout).contains("secrets: would add a, b\n"));
    assert_eq!(host.sh(&format!("ls -A {}", host.at("run"))), "");

    host.activate(&manifest, &[]).done();
    let before = host
        .sh(&format!("cd {} && find . | sort && stat -c '%i %Y' secrets.d/1/a", host.at("run")));
    host.age("a.age", b"changed", &[&ssh]);
    let c = host.age("c.age", b"c", &[&ssh]);
    let bad = host.age("bad.age", b"c", &[&host.public("other")]);
    let later = host.manifest(&[
        secret("a", &a),
        secret("c", &c),
        secret("bad", &bad),
        json!({ "name": "owned", "file": c, "owner": "nobody of this name" }),
    ]);
    let run = host.activate(&later, &["--dry-run"]).ended(1);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(
        said,
        "secrets: would add c\nsecrets: would change a\nsecrets: would remove b\n\
         would restart a.service, c.service\n"
    );
    run.says("there is no user `nobody of this name`").says("bad (would not be in place)");
    let after = host
        .sh(&format!("cd {} && find . | sort && stat -c '%i %Y' secrets.d/1/a", host.at("run")));
    assert_eq!(before, after);

    // What services would ask for when they start.
    let mut manifest = host.manifest(&[secret("a", &a)]);
    manifest["services"] = json!({
        "one.service": { "credentials": { "x": { "file": a }, "y": { "file": bad } } },
        "two.service": { "credentials": { "y": { "file": bad } } },
    });
    let run = host.activate(&manifest, &["--dry-run"]).ended(1);
    let run = run
        .says("bad.age`: the one identity does not fit")
        .says("for: credential `y` of `one.service`, credential `y` of `two.service`");
    assert!(!run.stderr.contains("`x`"), "{}", run.stderr);
    host.activate(&manifest, &[]).done();

    let mut manifest = host.manifest(&[secret("a", &a)]);
    manifest["testValues"] = json!(true);
    host.activate(&manifest, &["--dry-run"]).ended(2).says("for tests alone");
}

#[test]
fn values_for_tests_need_no_keys() {
    let Some(host) = Host::new() else { return };
    let file = host.age("a.age", b"real", &[&host.public("host")]);
    let secrets = [
        json!({ "name": "test", "file": "/nowhere", "testValue": "test\n", "transform": "/nowhere" }),
        json!({ "name": "real", "file": file, "testValue": null }),
    ];
    let mut manifest = host.manifest(&secrets);
    manifest["testValues"] = json!(true);
    host.activate(&manifest, &[]).done();
    assert_eq!(
        (host.installed("test").as_str(), host.installed("real").as_str()),
        ("test\n", "real")
    );
    // Without the switch it is not looked at.
    manifest["testValues"] = json!(false);
    host.activate(&manifest, &[]).ended(1).says("cannot read `/nowhere`");
}

#[test]
fn a_value_is_changed_by_its_program() {
    let Some(host) = Host::new() else { return };
    let file = host.age("a.age", b"canary", &[&host.public("host")]);
    let script = |name: &str, text: &str| {
        let path = host.file(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n").as_bytes());
        host.sh(&format!("chmod 755 {path}"));
        path
    };
    let good = script("good", "printf 'key=%s' \"$(tr a-z A-Z <\"$inFile\")\"");
    let bad = script("bad", "cat \"$inFile\" >&2; exit 7");
    let mut manifest = host.manifest(&[
        json!({ "name": "good", "file": file, "transform": good }),
        json!({ "name": "bad", "file": file, "transform": bad }),
    ]);
    manifest["templates"] = json!([
        { "name": "t", "store": "secrets", "content": "<secretctl:good>" },
    ]);
    let run = host.activate(&manifest, &[]).ended(1);
    assert_eq!(host.installed("good"), "key=CANARY");
    assert_eq!(host.installed("t"), "key=CANARY");
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    run.says("bad` ended with the exit code 7");
}

#[test]
fn a_store_that_holds_nothing_is_not_made() {
    let Some(host) = Host::new() else { return };
    let manifest = host.manifest(&[]);
    host.activate(&manifest, &[]).done();
    assert!(!host.has(&host.at("run/secrets.d")) && !host.has(&host.at("run/secrets")));
    let file = host.age("a.age", b"a", &[&host.public("host")]);
    host.activate(&host.manifest(&[json!({ "name": "a", "file": file })]), &[]).done();
    assert_eq!(host.installed("a"), "a");
    // The last one goes too.
    host.activate(&manifest, &[]).done();
    assert!(!host.has(&host.at("run/secrets/a")));
}

#[test]
fn a_manifest_of_a_user_needs_no_root() {
    let Some(host) = Host::new() else { return };
    let file = host.age("a.age", b"a", &[&host.public("host")]);
    let secrets = [json!({
        "name": "a", "file": file, "owner": "nobody of this name", "links": ["%r/link"],
    })];
    let mut manifest = host.manifest(&secrets);
    manifest["mode"] = json!("user");
    manifest["stores"]["secrets"] = json!({
        "mountPoint": "%r/secrets.d", "link": "%r/secrets", "filesystem": "directory", "allowDisk": true,
    });
    host.activate(&manifest, &[]).ended(2).says("XDG_RUNTIME_DIR is not set");
    let mut command = host.activation(&manifest, &[]);
    command.env("XDG_RUNTIME_DIR", host.at("run"));
    finish(command, b"").done();
    assert_eq!(host.installed("a"), "a");
    assert_eq!(host.sh(&format!("cat {}", host.at("run/link"))), "a");
}

#[test]
fn levels_are_written_to_the_journal_alone() {
    let Some(host) = Host::new() else { return };
    let manifest = host.manifest(&[json!({ "name": "a", "file": "/nowhere" })]);
    host.activate(&manifest, &[]).ended(1).says("error: cannot read `/nowhere`");
    let file = host.write(&manifest);
    let script = format!(
        "export JOURNAL_STREAM=$(stat -L -c %d:%i log); {PROGRAM} activate {file} 2>log; cat log"
    );
    host.file("log", b"");
    let said = host.sh(&format!("cd {} && {script}", host.root().display()));
    assert!(said.starts_with("<3>error: cannot read `/nowhere`"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");
}

#[test]
fn a_broken_manifest_changes_nothing() {
    let Some(host) = Host::new() else { return };
    let file = host.age("a.age", b"a", &[&host.public("host")]);
    let manifest = host.manifest(&[json!({ "name": "a", "file": file })]);
    host.activate(&manifest, &[]).done();
    let mut bad = manifest.clone();
    bad["secrets"][0]["name"] = json!("../../x");
    bad["secrets"][0]["unknown"] = json!(1);
    host.activate(&bad, &[]).ended(2).says("`secrets[0].name`: `../../x` cannot be the name");
    host.activate(&json!({ "version": 2 }), &[]).ended(2).says("version 2 is not known");
    assert_eq!(host.installed("a"), "a");
    let run = finish(host.inside(Path::new(PROGRAM), &["activate", "/nowhere"]), b"");
    run.ended(2).says("cannot read the manifest `/nowhere`");
}

#[test]
fn access_stays_where_an_owner_is_not_known_any_more() {
    let Some(host) = Host::new() else { return };
    if !is_root() {
        return;
    }
    let file = host.age("a.age", b"old", &[&host.public("host")]);
    let secret = |owner: &str| json!({ "name": "a", "file": file, "owner": owner, "mode": "0440" });
    host.activate(&host.manifest(&[secret("nobody")]), &[]).done();
    host.age("a.age", b"new", &[&host.public("host")]);
    host.activate(&host.manifest(&[secret("nobody-here")]), &[])
        .ended(1)
        .says("now: its last good value stays");
    assert_eq!(host.installed("a"), "old");
    let path = host.at("run/secrets/a");
    assert_eq!(host.sh(&format!("stat -L -c '%U %a' {path}")), "nobody 440\n");
}

#[test]
fn plugins_run_only_where_they_are_listed() {
    let Some(host) = Host::new() else { return };
    let file = host.age("a.age", b"a", &[&host.public("other")]);
    let hrp = bech32::Hrp::parse("age-plugin-tester-").unwrap();
    let identity = bech32::encode::<bech32::Bech32>(hrp, &[1, 2, 3]).unwrap().to_uppercase();
    let called = host.at("called");
    let script = |path: &str| {
        let program = host.file(path, format!("#!/bin/sh\necho $0 >>{called}\n").as_bytes());
        host.sh(&format!("chmod 755 {program}"));
        program
    };
    // One on PATH, which nobody listed, and one that is listed.
    script("bin/age-plugin-tester");
    let listed = script("store/bin/age-plugin-tester");
    let mut manifest = host.manifest(&[json!({ "name": "a", "file": file })]);
    manifest["identities"] = json!([{ "file": host.file("keys/p", identity.as_bytes()) }]);
    let run = |manifest: &serde_json::Value| {
        let mut command = host.activation(manifest, &[]);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", host.at("bin")));
        finish(command, b"").ended(1)
    };
    run(&manifest).says("the plugin `tester` is needed and was not allowed to run");
    assert!(!Path::new(&called).exists());
    manifest["plugins"] = json!([{ "name": "tester", "program": listed }]);
    run(&manifest).says("`age-plugin-tester` ended early");
    assert_eq!(fs::read_to_string(&called).unwrap().trim(), listed);
}

#[test]
fn gpg_runs_only_where_it_is_asked_for_and_asks_nobody() {
    let Some(host) = Host::new() else { return };
    let called = host.at("called");
    let gpg = host.file(
        "bin/gpg",
        format!(
            "#!/bin/sh\necho \"$*\" >>{called}; case \"$*\" in *--encrypt*) echo x$(base64 -w0);; *) \
             cut -c2- | base64 -d;; esac\n"
        )
        .as_bytes(),
    );
    host.sh(&format!("chmod 755 {gpg}"));
    let file = host.file("files/a.yaml", b"a: b\n");
    let fingerprint = "A".repeat(40);
    let arguments = ["encrypt", "--in-place", "--pgp", &fingerprint, &file];
    let mut encrypt = host.program(&host.root().join("bin/sops"), &arguments);
    encrypt.env("SOPS_GPG_EXEC", &gpg);
    finish(encrypt, b"").done();
    fs::remove_file(&called).unwrap();

    let mut manifest = host.manifest(&[json!({ "name": "a", "file": file, "key": ["a"] })]);
    let run = host.activate(&manifest, &[]).ended(1);
    run.says("what the file holds for this key is broken: it holds nothing").says(&fingerprint);
    assert!(!Path::new(&called).exists());
    manifest["gnupg"] = json!({ "home": host.at("home"), "program": gpg });
    host.activate(&manifest, &[]).done();
    assert_eq!(host.installed("a"), "b");
    let said = fs::read_to_string(&called).unwrap();
    let wanted = format!("--batch --no-tty --pinentry-mode error --homedir {} ", host.at("home"));
    assert!(said.starts_with(&wanted) && said.lines().count() == 1, "{said}");
}
