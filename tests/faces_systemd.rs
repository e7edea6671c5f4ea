//! What is written for agenix, sops-nix and secrix, on a real systemd, the oldest and the newest: units are found by the
//! names that the originals give them, and secrets of services live as long as their services.
//!
//! Needs root and `systemd-nspawn`; elsewhere it says that it is skipped. `systemd/faces.nix` is the host.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "systemd/guest.rs"]
mod guest;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "modules/nix.rs"]
mod nix;

use std::fs;
use std::os::unix::fs::symlink;

use common::Fleet;
use guest::{Debian, Guest, Report};
use nix::{Nix, project};
use serde_json::Value;

const CANARY: &str = "canary-51ab";
const PASSWORD: &str = "sesame-canary";

#[test]
fn faces_live_on_a_real_systemd() {
    for debian in guest::all() {
        let Some(nix) = nix::versions().pop() else { return };
        let machine = machine(&debian, &nix);
        let report = machine.boot(include_str!("systemd/faces.sh"));
        units_of_the_originals_are_found(&report);
        services_have_their_secrets_while_they_run(&report);
        failures_leave_nothing(&report);
        for part in ["journal", "strange.why"] {
            assert!(!report.get(part).contains("canary"), "{part}");
        }
    }
}

fn units_of_the_originals_are_found(report: &Report) {
    report.is("after-all", &format!("{CANARY}{PASSWORD}{CANARY}"));
    report.is("before-users", &format!("{CANARY}{PASSWORD}"));
    report.is("agenix", "440 app:app");
    report.is("agenix.value", CANARY);
    report.is("sops", "400 app:app");
    report.is("template", &format!("password = {PASSWORD}"));
    report.is("wifi", "400 root:root");
}

fn services_have_their_secrets_while_they_run(report: &Report) {
    report.failed("absent");
    report.is("alive", "active\nactive\nactive\nactive");
    // Equal names are different secrets, and no service gets at those of another.
    report.is("one", "app\nfirst canary\nnot mine");
    report.is("two", "271\nsecond canary");
    report.is("dynamic", "made-of-second canary\nnot mine");
    report.is("rights", "400 app:app");
    report.is("memory", "ramfs\nramfs\nramfs");
    report.failed("alice");
    report.failed("alice.dynamic");
    report.has("alice.dynamic", &["Permission denied"]);
    report.is("restarted", "first canary");
    // A restart after a failure finds them too.
    report.is("flaky", "second canary\nsecond canary");
    report.is("flaky.units", "active\nactive");
    // Gone with the service, plaintext and memory alike.
    for folder in ["/run/one-keys", "/run/dynamic-keys", "/run/credentials/dynamic.service"] {
        report.has("gone", &[&format!("'{folder}': No such file")]);
    }
    assert!(!report.get("gone").contains("password"), "{}", report.get("gone"));
    report.is("gone.units", "inactive\ninactive");
    report.is("unmounted", "0");
}

fn failures_leave_nothing(report: &Report) {
    report.failed("failing");
    report.has("failing.gone", &["'/run/failing-keys': No such file"]);
    assert!(!report.get("failing.gone").contains("password"));
    report.failed("strange");
    report.has("strange.units", &["failed"]);
    report.has("strange.why", &["srv/strange`: the one identity does not fit", "password"]);
}

/// A machine with what the host evaluates to.
fn machine(debian: &Debian, nix: &Nix) -> Guest {
    let faces = ["age", "sops", "secrix"];
    let faces = faces.map(|face| project(&format!("nixos-module/compat/{face}.nix"))).join(" ");
    let host = format!(
        "(import {} {{ modules = [ {faces} {} ]; }})",
        project("nixos-module/tests/eval.nix"),
        project("tests/systemd/faces.nix")
    );
    let value = nix.value(&format!(
        "let e = {host}; in {{ inherit (e) out; aliases = builtins.mapAttrs (_: s: s.aliases) \
         e.config.systemd.services; services = builtins.attrNames e.config.secrix.services; }}"
    ));
    // The place of a store that a machine has.
    let here = nix.store();
    let there = |text: &str| text.replace(here.to_str().unwrap(), "/nix/store");
    let value: Value = serde_json::from_str(&there(&value.to_string())).unwrap();
    assert_eq!(value["out"]["assertions"], Value::Array(Vec::new()));

    let guest = sources(debian);
    guest.generation(1, &value["out"]);
    let build = |attribute: &str| nix.build(&format!("{host}.{attribute}")).unwrap();
    let put = |path: &str, mode| {
        guest.put(&there(path), there(&fs::read_to_string(path).unwrap()), mode);
    };
    for service in value["services"].as_array().unwrap() {
        let service = service.as_str().unwrap();
        let manifest = build(&format!("config.system.build.secrix-manifests.{service}"));
        put(manifest.to_str().unwrap(), 0o444);
        let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
        if let Some(builder) = manifest["secrets"][0]["transform"].as_str() {
            put(builder, 0o555);
        }
    }
    let drop_ins = build("config.systemd.packages");
    for file in common::files_below(&drop_ins) {
        let path = format!("/{}", file.strip_prefix(&drop_ins).unwrap().display());
        guest.put(&path, fs::read(file).unwrap(), 0o444);
    }
    for (service, aliases) in value["aliases"].as_object().unwrap() {
        for alias in aliases.as_array().unwrap() {
            let link = guest.path("/generations/1").join(alias.as_str().unwrap());
            symlink(format!("{service}.service"), link).unwrap();
        }
    }
    // Programs that the units name are those of the machine.
    for word in value["out"]["units"].to_string().split(&[' ', '=', '\\'][..]) {
        if let Some((package, _)) = word.split_once("utils/bin/") {
            let link = guest.path(&format!("{package}utils"));
            if fs::symlink_metadata(&link).is_err() {
                symlink("/usr", link).unwrap();
            }
        }
    }
    guest
}

fn sources(debian: &Debian) -> Guest {
    let fleet = Fleet::new();
    fleet.put("secrets/plain.age", CANARY.as_bytes());
    fleet.put("secrets/one.age", b"first canary\n");
    fleet.put("secrets/two.age", b"second canary\n");
    let document = format!("db:\n  password: {PASSWORD}\n");
    fleet.put("secrets/all.yaml", document.as_bytes());
    let strange = ["encrypt", "-r", &fleet.public("stranger"), "-o", "secrets/strange.age"];
    fleet.feed(&strange, b"never").done();
    let guest = Guest::new(debian);
    for (from, to) in [
        ("plain.age", "plain.age"),
        ("one.age", "one"),
        ("two.age", "two"),
        ("strange.age", "strange"),
        ("all.yaml", "all.yaml"),
    ] {
        guest.copy(&fleet.path("secrets").join(from), &format!("/srv/{to}"), 0o444);
    }
    guest.copy(&fleet.key("web1"), "/etc/ssh/ssh_host_ed25519_key", 0o600);
    let users = "u app 990 - /\nu alice 1001 - /\ng keys 992\n";
    guest.put("/usr/lib/sysusers.d/guest.conf", users, 0o644);
    guest
}
