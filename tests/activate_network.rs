//! Secrets that key services open, on machines of their own: what opens there never waits for them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests run programs and may panic, and use a part of what they share"
)]

mod common;
#[path = "services/server.rs"]
mod server;
mod target;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Run, finish};
use serde_json::{Value, json};
use server::{Reply, Server, kept};
use target::{Host, summary};

const TOKEN: &str = "hvs.canary-token-of-the-host";

/// A machine, and a transit engine that can be told to refuse.
struct Fleet {
    host: Host,
    server: Server,
    refuses: Arc<AtomicBool>,
    /// Whether an answer takes its time.
    waits: Arc<AtomicBool>,
}

impl Fleet {
    fn new() -> Option<Self> {
        let (refuses, waits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (told, slow) = (Arc::clone(&refuses), Arc::clone(&waits));
        let server = Server::new(move |asked| {
            while slow.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            if told.load(Ordering::Relaxed) || asked.header("x-vault-token") != TOKEN {
                return Reply::json(403, &json!({"errors": ["permission denied"]}));
            }
            kept(asked)
        });
        Some(Self { host: Host::new()?, server, refuses, waits })
    }

    fn with_token(&self, command: &mut Command) {
        command.env("VAULT_ADDR", self.server.url()).env("VAULT_TOKEN", TOKEN);
    }

    /// A sops file that the service opens, and perhaps others.
    fn file(&self, name: &str, content: &str, more: &[&str]) -> String {
        let path = self.host.file(&format!("files/{name}"), content.as_bytes());
        let key = format!("{}/v1/transit/keys/fleet", self.server.url());
        let arguments = [&["encrypt", "-i", "--hc-vault-transit", &key], more, &[&path]].concat();
        let mut command = self.host.program(&self.host.root().join("bin/sops"), &arguments);
        self.with_token(&mut command);
        finish(command, b"").done();
        self.server.asked();
        path
    }

    /// A run that has the token of the service.
    fn network(&self, manifest: &Value, options: &[&str]) -> Run {
        let mut command = self.host.activation(manifest, &[&["--network"], options].concat());
        self.with_token(&mut command);
        finish(command, b"")
    }
}

fn manifest(fleet: &Fleet) -> Value {
    let host = &fleet.host;
    let near = host.age("near.age", b"near", &[&host.age_of("host")]);
    let far = fleet.file("far.yaml", "key: far\n", &[]);
    let both = fleet.file("both.yaml", "key: both\n", &["--age", &host.age_of("host")]);
    let mut manifest = host.manifest(&[
        json!({ "name": "near", "file": near }),
        json!({ "name": "far", "file": far, "key": ["key"], "restartUnits": ["a.service"] }),
        json!({ "name": "both", "file": both, "key": ["key"] }),
    ]);
    manifest["keyServices"] = json!(true);
    manifest["templates"] = json!([
        { "name": "mixed", "store": "secrets", "content": "<secretctl:near>-<secretctl:far>" },
        { "name": "local", "store": "secrets", "content": "<secretctl:near>-<secretctl:both>" },
    ]);
    manifest
}

#[test]
fn what_opens_here_does_not_wait() {
    let Some(fleet) = Fleet::new() else { return };
    let (host, manifest) = (&fleet.host, manifest(&fleet));
    let run = host.activate(&manifest, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("left until key services are asked over the network"));
    assert!(run.stderr.contains("secret `far`") && run.stderr.contains("template `mixed`"));
    assert_eq!(host.installed("near"), "near");
    assert_eq!(host.installed("both"), "both");
    assert_eq!(host.installed("local"), "near-both");
    assert!(!host.has(&host.at("run/secrets/far")) && !host.has(&host.at("run/secrets/mixed")));
    assert_eq!(fleet.server.asked().len(), 0);

    let run = fleet.network(&manifest, &["--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let store = &summary(&run)["stores"]["secrets"];
    assert_eq!(store["added"], json!(["far", "mixed"]));
    assert_eq!(store["changed"], json!([]));
    assert_eq!(host.installed("far"), "far");
    assert_eq!(host.installed("mixed"), "near-far");
    // One question, about the one file that nothing here opens.
    assert_eq!(fleet.server.count(&["decrypt", "encrypt"]), [1, 0]);

    // A switch leaves what is there, and nobody is told of a change.
    let run = host.activate(&manifest, &["--json"]).done();
    let store = &summary(&run)["stores"]["secrets"];
    assert_eq!((&store["changed"], &store["removed"]), (&json!([]), &json!([])));
    assert_eq!(store["restart"], json!([]));
    assert_eq!(host.installed("far"), "far");
    assert_eq!(fleet.server.asked().len(), 0);
    // Before a switch, nobody is asked either.
    host.activate(&manifest, &["--dry-run"]).done();
    assert_eq!(fleet.server.asked().len(), 0);
}

#[test]
fn a_service_that_fails_touches_nothing_else() {
    let Some(fleet) = Fleet::new() else { return };
    let (host, manifest) = (&fleet.host, manifest(&fleet));
    host.activate(&manifest, &[]).done();
    fleet.network(&manifest, &[]).done();
    fleet.file("far.yaml", "key: newer\n", &[]);
    host.age("near.age", b"next", &[&host.age_of("host")]);
    host.activate(&manifest, &[]).done();
    assert_eq!(host.installed("mixed"), "near-far");
    fleet.refuses.store(true, Ordering::Relaxed);
    let run = fleet.network(&manifest, &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("far (its last good value stays)"), "{}", run.stderr);
    assert!(run.stderr.contains("the transit engine of Vault refused (HTTP 403)"));
    assert!(run.stderr.contains("transit/keys/fleet") && !run.stderr.contains(TOKEN));
    assert_eq!(host.installed("near"), "next");
    assert_eq!(host.installed("far"), "far");
    assert_eq!(host.installed("mixed"), "near-far");
    fleet.refuses.store(false, Ordering::Relaxed);
    let run = fleet.network(&manifest, &["--json"]).done();
    let store = &summary(&run)["stores"]["secrets"];
    assert_eq!(store["changed"], json!(["far", "mixed"]));
    assert_eq!(store["restart"], json!(["a.service"]));
    assert_eq!(host.installed("mixed"), "next-newer");
}

/// Nor does a run that waits for a service put what it had read before over what was installed meanwhile.
#[test]
fn whoever_asks_a_slow_service_keeps_nobody_from_installing() {
    let Some(fleet) = Fleet::new() else { return };
    let (host, manifest) = (&fleet.host, manifest(&fleet));
    host.activate(&manifest, &[]).done();
    fleet.waits.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| fleet.network(&manifest, &[]));
        let begin = Instant::now();
        while fleet.server.asked().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(20), "nobody asked");
            std::thread::sleep(Duration::from_millis(20));
        }
        host.age("near.age", b"next", &[&host.age_of("host")]);
        let begin = Instant::now();
        host.activate(&manifest, &[]).done();
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        assert_eq!(host.installed("near"), "next");
        fleet.waits.store(false, Ordering::Relaxed);
        asking.join().unwrap().done();
    });
    assert_eq!(host.installed("near"), "next");
    assert_eq!(host.installed("mixed"), "next-far");
}

#[test]
fn services_are_asked_only_where_the_manifest_says_so() {
    let Some(fleet) = Fleet::new() else { return };
    let (host, mut manifest) = (&fleet.host, manifest(&fleet));
    manifest["keyServices"] = json!(false);
    let mut command = host.activation(&manifest, &[]);
    fleet.with_token(&mut command);
    let run = finish(command, b"");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("the transit engine of Vault is not asked here"), "{}", run.stderr);
    assert!(run.stderr.contains("secretctl.keyServices.enable"), "{}", run.stderr);
    assert_eq!(host.installed("near"), "near");
    let run = fleet.network(&manifest, &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("the manifest does not allow key services"), "{}", run.stderr);
    // What is wanted before users exist cannot wait.
    manifest["keyServices"] = json!(true);
    manifest["stores"]["secrets"]["phase"] = json!("early");
    let mut command = host.activation(&manifest, &["--early"]);
    fleet.with_token(&mut command);
    assert_eq!(finish(command, b"").code, 1);
    // An address that only the file names gets no token.
    manifest["stores"]["secrets"]["phase"] = json!("normal");
    let mut command = host.activation(&manifest, &["--network"]);
    command.env("VAULT_TOKEN", TOKEN);
    let run = finish(command, b"");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("is not allowed"), "{}", run.stderr);
    assert_eq!(fleet.server.asked().len(), 0);
}

/// The program of sops-nix asks in its one run; here, what opens without is in place by then.
#[test]
fn a_manifest_of_sops_nix_has_both_in_one_run() {
    let Some(fleet) = Fleet::new() else { return };
    let host = &fleet.host;
    let near = host.sops("near.yaml", "key: near\n", &[&host.age_of("host")]);
    let far = fleet.file("far.yaml", "key: far\n", &[]);
    let manifest = json!({
        "secrets": [
            { "name": "near", "sopsFile": near, "key": "key", "format": "yaml", "mode": "0400" },
            { "name": "far", "sopsFile": far, "key": "key", "format": "yaml", "mode": "0400" },
        ],
        "secretsMountPoint": host.at("run/secrets.d"),
        "symlinkPath": host.at("run/secrets"),
        "ageSshKeyPaths": [host.key("host")],
        "userMode": !common::is_root(),
    });
    let run = |token: &str| {
        let file = host.write(&manifest);
        let program = host.root().join("bin/sops-install-secrets");
        let mut command = host.inside(&program, &["-ignore-passwd", &file]);
        command.env("VAULT_ADDR", fleet.server.url()).env("VAULT_TOKEN", token);
        finish(command, b"")
    };
    let refused = run("hvs.another-canary");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("refused (HTTP 403)"), "{}", refused.stderr);
    assert_eq!(host.installed("near"), "near");
    assert!(!host.has(&host.at("run/secrets/far")));
    run(TOKEN).done();
    assert_eq!((host.installed("near"), host.installed("far")), ("near".into(), "far".into()));
}
