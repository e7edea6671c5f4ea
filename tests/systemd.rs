//! A real systemd, booted: the units and the manifest that the modules evaluate to, on the oldest and the
//! newest version. One machine goes through a boot, switches and a reboot; each test looks at one
//! thing that came of it.
//!
//! Needs root and `systemd-nspawn`; elsewhere it says that it is skipped. `systemd/host.nix` is the host,
//! `systemd/guest.rs` the machine.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;
#[path = "systemd/guest.rs"]
mod guest;
#[path = "systemd/network.rs"]
mod network;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "modules/nix.rs"]
mod nix;
#[allow(
    dead_code,
    unreachable_pub,
    clippy::arithmetic_side_effects,
    clippy::format_push_string,
    reason = "other tests use the rest"
)]
#[path = "services/server.rs"]
mod server;
#[path = "systemd/sops_nix.rs"]
mod sops_nix;

use std::sync::OnceLock;

use common::Fleet;
use guest::{Debian, Guest, Report};
use nix::{nixos, project};
use serde_json::Value;

/// The value of most secrets, which must be nowhere but in their files.
const CANARY: &str = "canary-7f3a9c";
const PASSWORD: &str = "deep-\"canary\"-51c2";
const OTHER: &str = "other-canary-90ab";
const HASH: &str = "$y$j9T$one$0000000000000000000000000000000000000000001";
const HASH_2: &str = "$y$j9T$two$0000000000000000000000000000000000000000002";

/// The life of one machine.
struct Life {
    boot: Report,
    reboot: Report,
}

/// The same life of machines with all versions of systemd, lived once for all tests.
fn lives() -> &'static [Life] {
    static LIVES: OnceLock<Option<Vec<Life>>> = OnceLock::new();
    let live = || {
        if nix::versions().is_empty() {
            return Vec::new();
        }
        let generations = [1, 2, 3].map(evaluated);
        let all = guest::all();
        all.iter().map(|debian| Life::of(debian, &generations)).collect()
    };
    let lives = LIVES.get_or_init(|| std::panic::catch_unwind(live).ok());
    lives.as_ref().expect("the machines did not live, as the first of these tests tells")
}

impl Life {
    fn of(debian: &Debian, generations: &[Value]) -> Self {
        let guest = host(debian);
        for (number, out) in (1..).zip(generations) {
            guest.generation(number, out);
        }
        let boot = guest.boot(include_str!("systemd/life.sh"));
        let reboot = guest.boot(include_str!("systemd/reboot.sh"));
        Self { boot, reboot }
    }
}

/// What the modules make of the host.
fn evaluated(generation: usize) -> Value {
    evaluated_with(generation, "")
}

/// As [`evaluated`], with another module; nothing where there is no Nix, which says so.
fn evaluated_with(generation: usize, more: &str) -> Value {
    evaluated_from("tests/systemd/host.nix", generation, more)
}

fn evaluated_from(host: &str, generation: usize, more: &str) -> Value {
    let Some(nix) = nix::versions().pop() else { return Value::Null };
    let host = project(host);
    // As releases have it that can refuse a switch.
    let checks = "({ lib, ... }: { options.system.preSwitchChecks = lib.mkOption { type = \
                  lib.types.attrsOf lib.types.str; default = { }; }; })";
    let modules =
        format!("[ {host} {{ _module.args.generation = {generation}; }} {checks} {more} ]");
    let out = nix.value(&format!("{}.out", nixos(&modules))).to_string();
    // The place of a store that a machine has.
    let out = out.replace(nix.store().to_str().unwrap(), "/nix/store");
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["assertions"], Value::Array(Vec::new()));
    out
}

/// A machine with the key of `web1`, users, and all sources.
fn host(debian: &Debian) -> Guest {
    let fleet = Fleet::new();
    for (name, content) in [
        ("plain.age", CANARY),
        ("other.age", OTHER),
        ("changing.age", "first"),
        ("changing-2.age", "second"),
        ("alice.age", HASH),
        ("alice-2.age", HASH_2),
    ] {
        fleet.put(&format!("secrets/{name}"), content.as_bytes());
    }
    let document = format!("db:\n  password: {PASSWORD:?}\n  port: 5432\n");
    fleet.put("secrets/all.yaml", document.as_bytes());
    // The same as sops files of one value.
    for (name, content) in [
        ("plain.age", CANARY),
        ("changing.age", "first"),
        ("changing-2.age", "second"),
        ("alice.age", HASH),
    ] {
        let name = format!("secrets/sops-{name}");
        let keys = fleet.public("web1");
        let seal = ["encrypt", "--input-type", "binary", "-r", &keys, "-o", &name];
        fleet.feed(&seal, content.as_bytes()).done();
    }
    let strange = ["encrypt", "-r", &fleet.public("stranger"), "-o", "secrets/strange.age"];
    fleet.feed(&strange, b"never").done();

    let guest = Guest::new(debian);
    for file in common::files_below(&fleet.path("secrets")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        guest.copy(&file, &format!("/srv/{name}"), 0o444);
    }
    guest.copy(&fleet.key("web1"), "/etc/ssh/ssh_host_ed25519_key", 0o600);
    guest.put("/usr/lib/sysusers.d/guest.conf", USERS, 0o644);
    guest
}

const USERS: &str =
    "u app 990 - /\nu alice 1001 - /\nu bob 1002 - /\nu nosy 1003 - /\ng readers 991\ng keys 992\n";

/// Runs a check on every machine.
fn each(check: impl Fn(&Life)) {
    if lives().is_empty() {
        println!("skipped: there is no systemd to boot here");
    }
    lives().iter().for_each(check);
}

#[test]
fn secrets_are_in_memory_with_their_owners_and_modes() {
    each(|Life { boot, .. }| {
        boot.is("filesystem", "ramfs");
        boot.is("folder", "751 root keys");
        boot.is(
            "modes",
            "400 0 0 plain\n440 990 991 named\n640 1234 1235 numeric\n400 0 0 nested/deep",
        );
        boot.is("values", &format!("{CANARY}\n{CANARY}\n{CANARY}\n{PASSWORD}"));
        boot.is("linked", &format!("/run/secrets/linked {CANARY}"));
        boot.is("copied", &format!("regular file 400 990 {CANARY}"));
        boot.failed("nosy-reads");
        boot.failed("nosy-lists");
        boot.succeeded("app-reads");
    });
}

#[test]
fn templates_are_filled_and_escaped() {
    each(|Life { boot, .. }| {
        let password = serde_json::to_string(PASSWORD).unwrap();
        let text = format!("name = \"app\"\npassword = {password}\nchanging = first");
        boot.is("template", &text);
        boot.is("template-mode", "400 990");
    });
}

#[test]
fn early_secrets_become_password_hashes() {
    each(|Life { boot, .. }| {
        // systemd-sysusers by a credential, and a unit in the way of userborn by the file.
        boot.is("shadow-alice", HASH);
        boot.is("shadow-bob", HASH);
        boot.succeeded("early-before-users");
    });
}

#[test]
fn whoever_comes_after_sees_its_secret() {
    each(|Life { boot, reboot }| {
        for report in [boot, reboot] {
            report.is("first", CANARY);
            report.is("ordinary", CANARY);
            report.is("target", "active");
        }
    });
}

#[test]
fn a_service_has_its_secrets_while_it_runs() {
    each(|Life { boot, .. }| {
        boot.failed("credentials-before");
        boot.succeeded("app-start");
        boot.has("app-seen", &[&format!("./token:{CANARY}"), &format!("./db:{PASSWORD}")]);
        boot.failed("nosy-reads-credential");
        boot.succeeded("app-stop");
        boot.failed("credentials-after");
        boot.is("other-seen", &format!("./token:{OTHER}"));
        boot.has("instance-seen", &[&format!("./token:{CANARY}")]);
        // The longest names that the manifest may have.
        boot.has("long-seen", &[CANARY]);
        // No value is in the usual place of secrets.
        boot.is("nowhere-else", "");
    });
}

#[test]
fn a_service_gets_what_its_file_holds_when_it_starts() {
    each(|Life { boot, .. }| boot.is("other-seen-2", &format!("./token:{CANARY}")));
}

#[test]
fn a_dynamic_user_has_its_secrets_alone() {
    each(|Life { boot, .. }| {
        boot.succeeded("dynamic-start");
        boot.has("dynamic-seen", &[&format!("./token:{CANARY}")]);
        boot.failed("nosy-reads-dynamic");
    });
}

#[test]
fn a_unit_before_all_others_has_its_secrets() {
    each(|Life { boot, reboot }| {
        for report in [boot, reboot] {
            report.has("early-asker-seen", &[&format!("./token:{CANARY}")]);
        }
    });
}

#[test]
fn a_storm_of_restarts_is_answered() {
    each(|Life { boot, .. }| {
        boot.is("storm", "");
        boot.has("storm-seen", &[&format!("./token:{CANARY}")]);
        boot.is("socket-after-storm", "active");
    });
}

#[test]
fn a_service_gets_nothing_that_it_was_not_granted() {
    each(|Life { boot, .. }| {
        boot.failed("greedy-start");
        boot.is("greedy-result", "243");
        boot.failed("greedy-seen");
        boot.has("credentials-errors", &["greedy.service does not get its credential `token`"]);
    });
}

#[test]
fn a_service_without_its_secret_fails_and_says_why() {
    each(|Life { boot, .. }| {
        boot.failed("failing-start");
        boot.is("failing-result", "243");
        boot.failed("failing-seen");
        boot.has(
            "credentials-errors",
            &[
                "failing.service does not get its credential `token`: cannot decrypt \
                 `/srv/strange.age`: the one identity does not fit",
                "needs: ssh-ed25519",
                "/etc/ssh/ssh_host_ed25519_key",
            ],
        );
    });
}

#[test]
fn root_in_one_service_does_not_get_the_secrets_of_another() {
    each(|Life { boot, .. }| {
        boot.is("impostor-of-itself", CANARY);
        boot.is("impostor", "more than 1 MiB of nothing");
        boot.is("impostor-outside", "more than 1 MiB of nothing");
        boot.has(
            "credentials-warnings",
            &["a process in impostor.service asked for `token` of app.service"],
        );
    });
}

#[test]
fn each_decryption_is_logged_by_name() {
    each(|Life { boot, .. }| {
        boot.has(
            "credentials-log",
            &[
                "app.service got its credential `token`",
                "dynamic.service got its credential `token`",
            ],
        );
    });
}

#[test]
fn no_value_is_in_the_journal() {
    each(|Life { boot, reboot }| {
        for report in [boot, reboot] {
            for value in [CANARY, OTHER, "deep-"] {
                assert!(!report.get("journal").contains(value), "{value}");
            }
        }
    });
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    each(|Life { boot, .. }| {
        boot.has("dry", &["changing", "removed", "restarted.service", "reloaded.service"]);
        boot.is("dry-before", boot.get("dry-after"));
    });
}

/// Early secrets, secrets and what services ask for are tried, before anything is stopped.
#[test]
fn a_switch_to_what_could_not_be_decrypted_is_refused() {
    each(|Life { boot, .. }| {
        // One service of the host never gets its secret.
        boot.failed("dry");
        boot.has("dry", &["for: credential `token` of `failing.service`"]);
        boot.succeeded("dry-sound");
        boot.failed("dry-early");
        boot.has("dry-early", &["/srv/alice-2.age"]);
    });
}

#[test]
fn a_switch_without_changes_restarts_nothing() {
    each(|Life { boot, .. }| {
        boot.succeeded("same");
        boot.is("same-counts", "1 1 1 1");
    });
}

#[test]
fn a_switch_changes_what_changed_and_restarts_whom_it_concerns() {
    each(|Life { boot, .. }| {
        boot.succeeded("switch");
        boot.is("changed", "second");
        boot.has("template-changed", &["changing = second"]);
        boot.is("restarted-2", "start\nstart");
        boot.is("reloaded-2", "start\nreload");
        boot.is("templated-2", "start\nstart");
        boot.is("untouched-2", "start");
        // Not running, and not to be started.
        boot.is("sleeping-2", "");
        boot.is("target-2", "active");
    });
}

#[test]
fn removed_secrets_and_old_generations_go() {
    each(|Life { boot, .. }| {
        boot.failed("removed");
        boot.failed("removed-link");
        boot.is("generations", boot.get("generation-of-link"));
    });
}

#[test]
fn a_changed_password_hash_reaches_the_users() {
    each(|Life { boot, .. }| boot.is("shadow-bob-2", HASH_2));
}

#[test]
fn a_failing_secret_keeps_its_last_value_and_fails_the_unit() {
    each(|Life { boot, .. }| {
        boot.failed("switch-3");
        boot.is("unit-3", "failed");
        boot.has("failed-3", &["secretctl.service"]);
        // It was reached, and whoever needs it goes on with the last values.
        boot.is("target-3", "active");
        boot.succeeded("needs-3");
        boot.is("linked-3", CANARY);
        boot.failed("failing-3");
        // The others are as they should be.
        boot.is("values-3", &format!("{CANARY}\nsecond"));
        boot.has(
            "secretctl-errors",
            &["strange.age", "failing", "linked", "/etc/ssh/ssh_host_ed25519_key"],
        );
        boot.succeeded("back");
        boot.is("target-4", "active");
    });
}

#[test]
fn a_file_on_the_machine_is_read_at_each_switch() {
    each(|Life { boot, .. }| {
        boot.succeeded("again");
        boot.is("again-changing", "first");
        // Nothing was stopped for it.
        boot.is("again-after", boot.get("again-before"));
        boot.succeeded("again-back");
    });
}

#[test]
fn a_reboot_puts_everything_in_place_again() {
    each(|Life { reboot, .. }| {
        reboot.is("values", &format!("{CANARY}\nsecond\n{PASSWORD}"));
        reboot.is("linked", CANARY);
        reboot.is("shadow-bob", HASH_2);
        reboot.is("unit", "active");
    });
}

#[test]
fn the_services_are_hardened() {
    each(|Life { boot, .. }| {
        for unit in ["secretctl-early", "secretctl", "secretctl-credentials", "secretctl-scan"] {
            let text = boot.get(&format!("security-{unit}"));
            let (_, level) = text.rsplit_once(": ").unwrap();
            let level: f64 = level.split(' ').next().unwrap().parse().unwrap();
            assert!(level < 2.5, "{unit}: {text}");
        }
        // What they hold in memory is not swapped.
        boot.is("swap", "0");
        // Whoever installs the secrets could not mount anything.
        boot.is("secretctl-capabilities", "cap_chown cap_dac_override cap_fowner");
    });
}

#[test]
fn the_store_is_looked_through_and_a_leak_fails_the_unit() {
    each(|Life { boot, .. }| {
        boot.has("scan-timer", &["OnCalendar=*-*-* 00:00:00", "next_elapse="]);
        boot.is("scan-timer-active", "active");
        boot.is("scan-clean", "0");
        boot.is("scan-clean-state", "inactive");
        boot.is("scan-memory", "600 root\n700 root");
        for leak in ["scan-leak", "scan-leak-boot"] {
            boot.is(leak, "1");
            boot.is(&format!("{leak}-state"), "failed");
        }
        boot.has(
            "scan-log",
            &[
                "leak: the secret `/srv/plain.age`",
                "0c7n7yp4lmrlzyjdvh1jmjrdglqccyj8-app.conf",
                "leak: the secret `/srv/all.yaml`",
                "/boot/initrd",
            ],
        );
        boot.is("scan-damaged", "2");
        boot.is("scan-damaged-state", "failed");
        boot.is("scan-again", "0");
    });
}

/// Without a boot: what `systemd-analyze` makes of the text of the units. Those that run programs of
/// others are less cut off.
#[test]
fn the_text_of_the_units_is_rated_well() {
    if !common::is_there("systemd-analyze") {
        return;
    }
    let services = "{ secretctl.keyServices.enable = true; }";
    let programs = "{ secretctl.gnupg.home = \"/root/.gnupg\"; secretctl.services.app.secrets = { }; \
                    secretctl.keyServices.enable = true; }";
    let local = [
        "secretctl-early",
        "secretctl",
        "secretctl-again",
        "secretctl-credentials",
        "secretctl-scan",
    ];
    let network = ["secretctl-network"];
    for (more, units, most) in [
        ("", &local[..], "24"),
        (programs, &local, "27"),
        (services, &network, "29"),
        (programs, &network, "29"),
    ] {
        let out = evaluated_with(1, more);
        let folder = tempfile::tempdir().unwrap();
        for unit in units {
            let unit = format!("{unit}.service");
            // Nothing to look at where there is no Nix.
            let Some(text) = out["units"][&unit].as_str() else { continue };
            let text = text.replace("/opt/secretctl/bin/secretctl", "/bin/true");
            let file = folder.path().join(&unit);
            std::fs::write(&file, text).unwrap();
            let output = std::process::Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager", "--threshold", most])
                .arg(&file)
                .output()
                .unwrap();
            assert!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// systemd prepares these below /tmp, which is mounted or emptied while our services start: now and then
/// a boot was without secrets.
#[test]
fn no_service_needs_tmp_to_start() {
    let out = evaluated(1);
    for unit in ["secretctl-early.service", "secretctl.service", "secretctl-credentials.service"] {
        let text = out["units"][unit].as_str().unwrap_or_default();
        for setting in
            ["PrivateDevices", "PrivateNetwork", "PrivateTmp", "ProcSubset", "ProtectProc"]
        {
            assert!(!text.contains(setting), "{unit}: {setting}");
        }
    }
}

/// The kernel ends the connections of a process that is killed, and systemd would take that for the end of an
/// empty credential.
#[test]
fn who_asks_a_process_that_is_killed_fails_instead_of_starting_with_nothing() {
    let plugin = "{ secretctl.identities = [ \"/etc/slow\" ]; secretctl.plugins = [ { type = \"derivation\"; \
                  name = \"age-plugin-slow\"; pname = \"age-plugin-slow\"; outPath = \"/opt/slow\"; } ]; }";
    let out = evaluated_with(1, plugin);
    let hrp = bech32::Hrp::parse("age-plugin-slow-").unwrap();
    let identity = bech32::encode::<bech32::Bech32>(hrp, b"").unwrap().to_uppercase();
    for debian in guest::all().into_iter().filter(|_| !out.is_null()) {
        let guest = host(&debian);
        guest.generation(1, &out);
        guest.put("/etc/slow", format!("{identity}\n"), 0o600);
        let slow = "#!/bin/sh\n: >/run/secretctl/slow\nexec sleep 1000\n";
        guest.put("/opt/slow/bin/age-plugin-slow", slow, 0o755);
        let boot = guest.boot(include_str!("systemd/killed.sh"));
        boot.is("result", "243");
        boot.failed("seen");
        boot.has("errors", &["ended before it had answered 1 who asked"]);
        // Whoever comes then is answered.
        boot.has("app-seen", &[&format!("./token:{CANARY}")]);
        boot.is("kept", "0");
    }
}

#[test]
fn with_a_failing_secret_the_machine_boots_and_the_target_is_not_reached() {
    let out = evaluated(3);
    for debian in guest::all().into_iter().filter(|_| !out.is_null()) {
        let guest = host(&debian);
        guest.generation(1, &out);
        let boot = guest.boot(include_str!("systemd/failing.sh"));
        boot.is("states", "failed\ninactive\nactive");
        boot.failed("secret");
        boot.failed("link");
        boot.is("others", CANARY);
    }
}

#[test]
fn without_its_key_the_machine_boots_and_the_target_is_not_reached() {
    let out = evaluated(1);
    for debian in guest::all().into_iter().filter(|_| !out.is_null()) {
        let guest = host(&debian);
        guest.generation(1, &out);
        std::fs::remove_file(guest.path("/etc/ssh/ssh_host_ed25519_key")).unwrap();
        let boot = guest.boot(include_str!("systemd/failing.sh"));
        boot.is("states", "failed\ninactive\nactive");
        boot.failed("app");
        boot.failed("secret");
        boot.failed("others");
        boot.has("errors", &["/etc/ssh/ssh_host_ed25519_key", "plain"]);
    }
}
