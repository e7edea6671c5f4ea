//! Secrets that only a key service opens, on machines that have a loopback and a service on it.

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::common::{Fleet, PROGRAM, finish};
use crate::guest::{self, Debian, Guest};
use crate::nix::{evaluated, project};
use crate::server::{Server, kept};
use crate::{evaluated_from, nix};

const TOKEN: &str = "hvs.canary-token";

#[test]
fn secrets_of_key_services_come_after_the_network_and_hold_up_no_others() {
    each(|guest| {
        let boot = guest.boot(include_str!("network.sh"));
        boot.is("states", "active\nactive\nactive\nactive");
        boot.is("before-network", "near\nvault.env");
        boot.is("needs-near", "one");
        boot.succeeded("secretctl.target-before-network");
        boot.succeeded("needs-near.service-before-network");
        boot.succeeded("asked-after-network");
        boot.is("values", "one\nfar one\none-far one");
        let level = boot.get("security").rsplit_once(": ").unwrap().1;
        assert!(level.split(' ').next().unwrap().parse::<f64>().unwrap() < 3.0, "{level}");
        boot.is("capabilities", "cap_chown cap_dac_override cap_fowner");
        boot.is("swap", "0");

        // What came over the network stays when what opens here is installed again.
        boot.is("values-again", "one\nfar one\none-far one");
        // A switch has what opens here at once; the rest keeps its last good value, and the unit fails.
        boot.succeeded("switch");
        boot.is("values-silent", "two\nfar one\none-far one");
        boot.is("states-silent", "active\nactive\nactivating\nactive");
        boot.has("errors", &["far (its last good value stays)", "did not answer within 3 s"]);
        boot.succeeded("unheld");
        boot.succeeded("back");
        boot.is("values-back", "two\nfar two\ntwo-far two");
        boot.is("states-back", "active\nactive\nactive\nactive");
        boot.is("needs-far", "far one\nfar two");
        assert!(!boot.get("journal").contains(TOKEN));
    });
}

#[test]
fn a_key_service_that_is_silent_holds_up_a_boot_to_its_limit_and_is_asked_again() {
    each(|guest| {
        guest.put("/etc/silent", "", 0o644);
        let boot = guest.boot(include_str!("silent.sh"));
        boot.is("states", "active\nactive\ninactive\ninactive\nactive");
        boot.is("result", "exit-code");
        boot.is("near", "one");
        boot.failed("far");
        // Three seconds for the question, and what a boot takes on a busy machine.
        assert!(boot.get("took").parse::<u64>().unwrap() < 10_000, "{}", boot.get("took"));
        boot.failed("refused");
        boot.is("near-refused", "one");
        // Nobody does anything: it is asked again, and whoever waits for the target is started.
        boot.is("states-later", "active\nactive\nactive");
        boot.is("needs-far", "far one");
    });
}

#[test]
fn a_user_has_secrets_of_key_services_beside_those_that_open_at_once() {
    let Some(nix) = nix::versions().pop() else { return };
    let server = Server::new(kept);
    let home = format!(
        "[ {} {{ _module.args.address = \"{}\"; }} ]",
        project("tests/systemd/home.nix"),
        server.url()
    );
    let home = evaluated("home-manager", "home-manager.nix", &home);
    let out = nix.value(&format!("{home}.out")).to_string();
    let out = out.replace(nix.store().to_str().unwrap(), "/nix/store");
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["assertions"], Value::Array(Vec::new()));
    for debian in guest::all() {
        let guest = machine(&debian, &server.url(), &[]);
        guest.copy(
            &guest.path("/etc/ssh/ssh_host_ed25519_key"),
            "/home/alice/.ssh/id_ed25519",
            0o600,
        );
        guest.put(out["manifestPath"].as_str().unwrap(), out["manifest"].to_string(), 0o444);
        for (name, unit) in out["units"].as_object().unwrap() {
            guest.put(&format!("{UNITS}/{name}.service"), text(unit), 0o644);
            for target in unit["Install"]["WantedBy"].as_array().unwrap() {
                let links = format!("{UNITS}/{}.wants", target.as_str().unwrap());
                guest.link(&format!("../{name}.service"), &format!("{links}/{name}.service"));
            }
        }
        let parts = ["secretctl", "secretctlNetwork"].map(|part| {
            let part = &out["activation"][part];
            part["data"].as_str().unwrap()
        });
        guest.put("/activation", format!("run() {{ \"$@\"; }}\n{}", parts.concat()), 0o644);
        guest.put("/address", server.url(), 0o644);
        let boot = guest.boot(include_str!("home.sh"));
        boot.succeeded("manager");
        boot.is("states", "active\nactive\nactivating\ninactive");
        boot.is("values", "oneone");
        boot.failed("far");
        boot.failed("nosy");
        // A switch has what opens here, and does not wait for the service.
        boot.succeeded("switch");
        boot.succeeded("switched-soon");
        boot.is("values-2", "two");
        // Without anybody doing anything.
        boot.is("states-later", "active\nactive");
        boot.is("far-later", "far one");
        boot.is("needs-far", "far one");
        boot.is("values-later", "twofar one");
        assert!(!boot.get("journal").contains(TOKEN));
    }
}

/// A unit of home-manager, as it is written.
fn text(unit: &Value) -> String {
    let mut text = String::new();
    for (section, lines) in unit.as_object().unwrap() {
        writeln!(text, "[{section}]").unwrap();
        for (name, value) in lines.as_object().unwrap() {
            for value in value.as_array().unwrap_or(&vec![value.clone()]) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                writeln!(text, "{name}={value}").unwrap();
            }
        }
    }
    text
}

const UNITS: &str = "/home/alice/.config/systemd/user";

/// Runs a check on every machine.
fn each(check: impl Fn(&Guest)) {
    let all = guest::all();
    if all.is_empty() || nix::versions().is_empty() {
        return;
    }
    // The address stays: the machines have a loopback of their own.
    let server = Server::new(kept);
    let generations = [1, 2].map(|generation| {
        let module = format!("{{ _module.args.address = \"{}\"; }}", server.url());
        evaluated_from("tests/systemd/network.nix", generation, &module)
    });
    for debian in all {
        check(&machine(&debian, &server.url(), &generations));
    }
}

fn machine(debian: &Debian, address: &str, generations: &[Value]) -> Guest {
    let fleet = Fleet::new();
    let token = format!("VAULT_TOKEN={TOKEN}\n");
    for (name, content) in [("near", "one"), ("2-near", "two"), ("vault.env", token.as_str())] {
        fleet.put(&format!("secrets/{name}.age"), content.as_bytes());
    }
    let sops = fleet.path("sops");
    symlink(PROGRAM, &sops).unwrap();
    for (name, content) in [("far", "key: far one\n"), ("2-far", "key: far two\n")] {
        let file = fleet.path(format!("secrets/{name}.yaml"));
        std::fs::write(&file, content).unwrap();
        let mut command = Command::new(&sops);
        let key = format!("{address}/v1/transit/keys/fleet");
        command.args(["encrypt", "-i", "--hc-vault-transit", &key]).arg(file);
        command.env("VAULT_ADDR", address).env("VAULT_TOKEN", TOKEN);
        finish(command, b"").done();
    }
    let guest = Guest::new(debian);
    for file in crate::common::files_below(&fleet.path("secrets")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        guest.copy(&file, &format!("/srv/{name}"), 0o444);
    }
    guest.copy(&fleet.key("web1"), "/etc/ssh/ssh_host_ed25519_key", 0o600);
    let users = "u alice 1001 - /home/alice /bin/sh\ng keys 992\n";
    guest.put("/usr/lib/sysusers.d/guest.conf", users, 0o644);
    guest.put("/transit", include_str!("transit.pl"), 0o644);
    for (number, out) in (1..).zip(generations) {
        guest.generation(number, out);
    }
    guest
}
