//! `secretctl activate --check`: what is found at build time, without keys and rights.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod common;
mod target;

use std::path::Path;

use common::{PROGRAM, Run, finish};
use serde_json::{Value, json};
use target::{Host, summary};

/// As a build sees it: nothing of the machine but the files.
fn check(host: &Host, manifest: &Value) -> Run {
    let file = host.write(manifest);
    finish(host.program(Path::new(PROGRAM), &["activate", "--check", "--json", &file]), b"")
}

#[test]
fn a_sound_manifest_needs_no_keys() {
    let Some(host) = Host::new() else { return };
    let (ssh, age) = (host.public("host"), host.age_of("host"));
    let yaml = host.sops("a.yaml", "a:\n    b: c\n", &[&age]);
    let mut manifest = host.manifest(&[
        json!({ "name": "ssh", "file": host.age("ssh.age", b"x", &[&ssh]) }),
        json!({ "name": "age", "file": host.age("age.age", b"x", &[&age]) }),
        json!({ "name": "sops", "file": yaml, "key": ["a", "b"], "owner": "nobody-yet" }),
        json!({ "name": "native", "file": host.sops("b.json", "{\"k\": 1}", &[&ssh]), "key": ["k"] }),
        json!({ "name": "test", "file": "/nowhere", "testValue": "x" }),
    ]);
    manifest["testValues"] = json!(true);
    manifest["services"] = json!({ "a.service": { "credentials": { "c": { "file": yaml } } } });
    manifest["hostPublicKeys"] = json!([format!("{ssh}\n")]);
    let private = std::fs::read(host.key("host")).unwrap();
    std::fs::remove_file(host.key("host")).unwrap();
    let run = check(&host, &manifest).done();
    assert_eq!(summary(&run), json!({ "files": 4, "problems": 0, "unsure": [] }));
    // Nothing was written anywhere.
    assert_eq!(host.sh(&format!("ls -A {}", host.at("run"))), "");
    std::fs::write(host.root().join("keys/host"), private).unwrap();
}

#[test]
fn every_fault_of_a_source_is_found() {
    let Some(host) = Host::new() else { return };
    let age = host.age_of("host");
    let yaml = host.sops("a.yaml", "a: b\n", &[&age]);
    let plain = host.file("files/plain.yaml", b"a: canary\n");
    let binary = host.file("files/plain.bin", b"canary\0\xff");
    let bared = std::fs::read_to_string(&yaml).unwrap();
    let start = bared.find("ENC[").unwrap();
    let end = start + bared[start..].find(']').unwrap() + 1;
    let bared = format!("{}canary{}", &bared[..start], &bared[end..]);
    let bared = host.file("files/bared.yaml", bared.as_bytes());
    let mut manifest = host.manifest(&[
        json!({ "name": "plain", "file": plain, "key": ["a"] }),
        json!({ "name": "binary", "file": binary }),
        json!({ "name": "armorless", "file": plain, "format": "age" }),
        json!({ "name": "gone", "file": "/nowhere" }),
        json!({ "name": "key", "file": yaml, "key": ["x", "y"] }),
        json!({ "name": "format", "file": yaml, "format": "age" }),
        json!({ "name": "bared", "file": bared, "key": ["a"] }),
    ]);
    manifest["templates"] = json!([
        { "name": "t", "store": "secrets", "content": "<secretctl:nothing>" },
    ]);
    manifest["services"] = json!({
        "web.service": { "credentials": { "tls": { "file": yaml, "key": ["z"] } } },
    });
    let run = check(&host, &manifest).ended(1);
    for said in [
        "plain.yaml` is not encrypted",
        "for: secret `plain`",
        "plain.bin` is not encrypted",
        "for: secret `armorless`",
        "cannot read `/nowhere`",
        "a.yaml`: it has no value `x/y`",
        "a.yaml`: it is a sops file, and its format is said to be `age`",
        "bared.yaml` has its value `[\"a\"]` in the open",
        "template `t`: line 1, column 1: the placeholder of `nothing`",
        "for: credential `tls` of `web.service`",
    ] {
        assert!(run.stderr.contains(said), "no `{said}` in: {}", run.stderr);
    }
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
}

#[test]
fn a_machine_that_is_no_reader_is_found() {
    let Some(host) = Host::new() else { return };
    let (ssh, age) = (host.public("other"), host.age_of("other"));
    let anonymous = host.at("files/anonymous.age");
    let arguments = ["encrypt", "--anonymous", "-r", &age, "-o", &anonymous];
    finish(host.program(Path::new(PROGRAM), &arguments), b"x").done();
    let mut manifest = host.manifest(&[
        json!({ "name": "tag", "file": host.age("tag.age", b"x", &[&ssh]) }),
        json!({ "name": "listed", "file": host.age("listed.age", b"x", &[&age]) }),
        json!({ "name": "sops", "file": host.sops("a.yaml", "a: b\n", &[&age]), "key": ["a"] }),
        json!({ "name": "anonymous", "file": anonymous }),
    ]);
    // Where the key is not known, nothing is said.
    check(&host, &manifest).done();
    manifest["hostPublicKeys"] = json!([host.public("host")]);
    let run = check(&host, &manifest).ended(1);
    for file in ["tag.age", "listed.age", "a.yaml"] {
        let said = format!("files/{file}`");
        assert!(run.stderr.contains(&said), "no `{said}` in: {}", run.stderr);
    }
    assert_eq!(run.stderr.matches("this machine is not among the readers").count(), 3);
    assert!(run.stderr.contains(&format!("needs: {age}")), "{}", run.stderr);
    assert_eq!(summary(&run)["unsure"], json!([anonymous]));
    // Whoever has the key of another machine finds nothing.
    manifest["hostPublicKeys"] = json!([ssh]);
    check(&host, &manifest).done();
}
