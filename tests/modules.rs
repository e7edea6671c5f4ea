//! The modules for NixOS, home-manager and nix-darwin, evaluated with real Nix, the oldest and the
//! newest: options, assertions, manifest, units and their order, and what is built of them.
//!
//! nixpkgs' `lib` is that of the folder `NIXPKGS_LIB`, or without that the small one in
//! `nixos-module/tests`; both give the same snapshots. After a change of the options:
//! `cargo test --test modules -- --ignored bless`.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

#[path = "modules/builds.rs"]
mod builds;
mod common;
#[path = "modules/nix.rs"]
mod nix;

use std::fmt::Write;
use std::fs;

use nix::{Nix, evaluated, nixos, project, versions};
use serde_json::Value;

const PAGE: &str = "docs/reference/options.md";

/// Compares without the expression, which says nothing that the text does not.
macro_rules! snapshot {
    ($name:literal, $text:expr) => {
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($name, $text));
    };
}

/// A host of `nixos-module/tests/hosts`, with more modules.
fn host(name: &str, more: &str) -> String {
    format!("([ {} ] ++ {more})", project(&format!("nixos-module/tests/hosts/{name}")))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Everything that a system is told, to be read as text.
fn written(nix: &Nix, out: &Value) -> String {
    let mut text = String::new();
    for (name, unit) in out["units"].as_object().unwrap() {
        writeln!(text, "=== {name}\n{}", unit.as_str().unwrap().trim_end()).unwrap();
    }
    for part in ["links", "activation", "preSwitchChecks", "warnings", "manifest"] {
        let shown = match &out[part] {
            Value::String(shown) => shown.trim_end().to_owned(),
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => serde_json::to_string_pretty(value).unwrap(),
        };
        writeln!(text, "=== {part}\n{shown}").unwrap();
    }
    nix.redact(&text)
}

#[test]
fn a_host_has_units_and_a_manifest() {
    for nix in versions() {
        let modules = host("everything.nix", "[ { services.userborn.enable = true; } ]");
        let out = nix.value(&format!("{}.out", nixos(&modules)));
        assert_eq!(texts(&out["assertions"]), [""; 0]);
        snapshot!("nixos", written(&nix, &out));
    }
}

#[test]
fn home_manager_has_a_service_of_the_user() {
    for nix in versions() {
        let home = evaluated("home-manager", "home-manager.nix", &host("home.nix", "[ ]"));
        let out = nix.value(&format!("{home}.out"));
        assert_eq!(texts(&out["assertions"]), [""; 0]);
        snapshot!("home_manager", nix.redact(&serde_json::to_string_pretty(&out).unwrap()));
    }
}

#[test]
fn macs_have_a_daemon_and_an_agent() {
    for nix in versions() {
        let mac = evaluated("nix-darwin", "darwin.nix", &host("mac.nix", "[ ]"));
        let out = nix.value(&format!("{mac}.out"));
        assert_eq!(texts(&out["assertions"]), [""; 0]);
        snapshot!("nix_darwin", nix.redact(&serde_json::to_string_pretty(&out).unwrap()));
        let home = evaluated("home-manager", "home-manager.nix", &host("home.nix", "[ ]"));
        let home = home.replacen("system =", "platform = \"aarch64-darwin\"; system =", 1);
        let out = nix.value(&format!("{home}.out"));
        let agent = &out["agents"]["secretctl"]["config"];
        let arguments = texts(&agent["ProgramArguments"]);
        assert!(
            arguments[2].starts_with("set -e; /bin/wait4path /nix/store; exec /opt/secretctl/")
        );
        assert_eq!(out["manifest"]["stores"]["secrets"]["filesystem"], "ramfs");
        assert_eq!(out["manifest"]["mode"], "user");
        assert_eq!(
            (&out["units"], &out["activation"]),
            (&serde_json::json!({}), &serde_json::json!({}))
        );
    }
}

/// However users are made, what they are made with is there before.
#[test]
fn early_secrets_are_there_before_users_are() {
    let early = "{ secretctl.secrets.hash = { file = x.age; early = true; }; users.users.alice = \
                 { group = \"users\"; hashedPasswordFile = config.secretctl.secrets.hash.path; }; }"
        .replace("x.age", &project("testdata/age/age-1.3.2-post-quantum.age"));
    let late = "{ secretctl.secrets.late.file = x.age; }"
        .replace("x.age", &project("testdata/age/age-1.1.1-ssh-ed25519.age"));
    let of = |users: &str, more: &str| {
        let base = "secretctl.package = pkgs.age; services.openssh.enable = true;";
        nixos(&format!("[ ({{ config, pkgs, ... }}: {{ {base} {users} imports = [ {more} ]; }}) ]"))
    };
    let early = format!("({{ config, ... }}: {early})");
    for nix in versions() {
        let value = nix.value(&format!(
            "{{ userborn = {}.out; sysusers = {}.out; script = {}.out; none = {}.out; scriptNone = {}.out; }}",
            of("services.userborn.enable = true;", &early),
            of("systemd.sysusers.enable = true;", &early),
            of("", &early),
            of("services.userborn.enable = true;", &late),
            of("", &late),
        ));
        for (users, unit) in
            [("userborn", "userborn.service"), ("sysusers", "systemd-sysusers.service")]
        {
            let out = &value[users];
            assert_eq!(texts(&out["assertions"]), [""; 0]);
            assert!(!out["activation"].as_str().unwrap().contains("secretctl"));
            // A changed hash makes users anew.
            let text = out["units"][unit].as_str().unwrap();
            assert!(text.contains("X-Restart-Triggers="), "{text}");
            assert!(value["none"]["units"].get(unit).is_none());
            let early = out["units"]["secretctl-early.service"].as_str().unwrap();
            for before in [unit, "sysinit-reactivation.target", "secretctl.service"] {
                assert!(line(early, "Before=").contains(before), "{early}");
            }
            let normal = out["units"]["secretctl.service"].as_str().unwrap();
            assert!(line(normal, "After=").contains(unit), "{normal}");
        }
        let script = value["script"]["activation"].as_str().unwrap();
        let place = |what: &str| script.find(what).unwrap_or_else(|| panic!("{what}: {script}"));
        assert!(place("snippet specialfs") < place("/bin/secretctl activate --early "));
        assert!(place("/bin/secretctl activate --early ") < place("update-users-groups"));
        // Without early secrets, nothing waits for the keys: their file system may wait for users.
        let early = value["none"]["units"]["secretctl-early.service"].as_str().unwrap();
        assert!(!early.contains("RequiresMountsFor="), "{early}");
        // Nothing is there that the release does not need.
        assert!(!value["scriptNone"]["activation"].as_str().unwrap().contains("secretctl"));
    }
}

fn line<'a>(unit: &'a str, start: &str) -> &'a str {
    unit.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {unit}"))
}

/// The order is one that can be kept: no unit waits for one that waits for it.
#[test]
fn nothing_waits_for_itself() {
    for nix in versions() {
        let modules = host("everything.nix", "[ { systemd.sysusers.enable = true; } ]");
        let out = nix.value(&format!("{}.out.units", nixos(&modules)));
        let mut before: Vec<(String, String)> = Vec::new();
        // what systemd itself says of its units
        for (one, other) in [
            ("systemd-sysusers.service", "systemd-tmpfiles-setup-dev.service"),
            ("systemd-tmpfiles-setup-dev.service", "local-fs-pre.target"),
            ("local-fs-pre.target", "local-fs.target"),
            ("local-fs.target", "sysinit.target"),
            ("systemd-remount-fs.service", "local-fs-pre.target"),
            ("sysinit.target", "sockets.target"),
            ("sockets.target", "basic.target"),
            ("basic.target", "web.service"),
            ("basic.target", "worker@.service"),
        ] {
            before.push((one.into(), other.into()));
        }
        for (name, text) in out.as_object().unwrap() {
            for line in text.as_str().unwrap().lines() {
                for (start, is_before) in [("Before=", true), ("After=", false)] {
                    let others = line.strip_prefix(start).unwrap_or_default();
                    for other in others.split_whitespace() {
                        let pair = (name.clone(), other.to_owned());
                        before.push(if is_before { pair } else { (pair.1, pair.0) });
                    }
                }
            }
        }
        // Whatever nothing is before can go first; in the end all must have gone.
        while let Some(free) = before
            .iter()
            .map(|(one, _)| one.clone())
            .find(|one| before.iter().all(|(_, other)| other != one))
        {
            before.retain(|(one, _)| *one != free);
        }
        assert!(before.is_empty(), "{before:?}");
    }
}

#[test]
fn keys_are_found_where_impermanence_keeps_them() {
    let module = |option: &str, item: &str| {
        format!(
            "({{ lib, pkgs, ... }}: {{ options.{option} = lib.mkOption {{ type = \
             lib.types.attrsOf lib.types.anything; default = {{ }}; }}; config = {{ \
             secretctl.package = pkgs.age; services.openssh.enable = true; {option}.\"/persist\" \
             = {{ persistentStoragePath = \"/persist\"; {item} }}; }}; }})"
        )
    };
    let cases = [
        (
            "environment.persistence",
            "files = [ { filePath = \"/etc/ssh/ssh_host_ed25519_key\"; } ];",
        ),
        ("environment.persistence", "directories = [ { dirPath = \"/etc/ssh\"; } ];"),
        (
            "environment.persistence",
            "enable = false; directories = [ { dirPath = \"/etc/ssh\"; } ];",
        ),
        ("preservation.preserveAt", "files = [ { file = \"/etc/ssh/ssh_host_ed25519_key\"; } ];"),
        ("preservation.preserveAt", "directories = [ { directory = \"/etc\"; } \"/var\" ];"),
    ];
    let both = ["/persist/etc/ssh/ssh_host_rsa_key", "/persist/etc/ssh/ssh_host_ed25519_key"];
    let one = ["/etc/ssh/ssh_host_rsa_key", "/persist/etc/ssh/ssh_host_ed25519_key"];
    let none = ["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"];
    for nix in versions() {
        let mut list = String::new();
        for (option, item) in cases {
            write!(list, "({}.out) ", nixos(&format!("[ {} ]", module(option, item)))).unwrap();
        }
        let outs = nix.value(&format!("[ {list} ]"));
        for (out, expected) in outs.as_array().unwrap().iter().zip([one, both, none, one, both]) {
            let keys = out["manifest"]["identities"].as_array().unwrap();
            let keys: Vec<&str> = keys.iter().map(|key| key["file"].as_str().unwrap()).collect();
            assert_eq!(keys, expected);
            let unit = out["units"]["secretctl.service"].as_str().unwrap();
            for key in expected {
                assert!(unit.contains(&format!("RequiresMountsFor={key}\n")), "{unit}");
            }
        }
    }
}

#[test]
fn a_scan_is_told_odd_names_and_gpg_may_lock_its_home() {
    let odd = "[ { secretctl = {
      package = { type = \"derivation\"; name = \"x\"; outPath = \"/opt/x\"; };
      identities = [ \"/var/lib/my keys/100%\" ]; gnupg.home = \"/root/gnu pg\";
      scan = { enable = true; trustedKeys = [ \"it's:$HOME %h\" ]; };
    }; } ]";
    for nix in versions() {
        let out = nix.value(&format!("{}.out", nixos(odd)));
        let unit = out["units"]["secretctl-scan.service"].as_str().unwrap();
        for line in [
            "RequiresMountsFor=\"/var/lib/my keys/100%%\"",
            "RequiresMountsFor=\"/root/gnu pg\"",
            "ReadWritePaths=\"-/root/gnu pg\"",
        ] {
            assert!(unit.lines().any(|other| other == line), "{line}\n{unit}");
        }
        let start = line(unit, "ExecStart=");
        assert!(start.ends_with(" \"--trusted-key=it's:$$HOME %%h\""), "{start}");
        assert!(start.starts_with("ExecStart=/opt/x/bin/secretctl scan --manifest /"), "{start}");
    }
}

#[test]
fn the_switch_is_checked_where_the_release_can() {
    let checks = "({ lib, pkgs, ... }: { options.system.preSwitchChecks = lib.mkOption { type = \
                  lib.types.attrsOf lib.types.str; default = { }; }; })";
    for nix in versions() {
        let base = "{ secretctl.package = { type = \"derivation\"; name = \"x\"; outPath = \"/opt/x\"; }; }";
        let age = project("testdata/age/age-1.3.2-post-quantum.age");
        let early = format!(
            "{{ secretctl.secrets.x = {{ file = {age}; early = true; }}; services.openssh.enable = true; }}"
        );
        let value = nix.value(&format!(
            "{{ with_ = {}.out; early = {}.out; without = {}.out; }}",
            nixos(&format!("[ {checks} {base} ]")),
            nixos(&format!("[ {checks} {base} {early} ]")),
            nixos(&format!("[ {base} ]"))
        ));
        let lines = |case: &str| {
            let text = nix.redact(value[case]["preSwitchChecks"]["secretctl"].as_str().unwrap());
            let lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        let begin = "[ -d /run/systemd/system ] || exit 0";
        let run = "/opt/x/bin/secretctl activate";
        let early =
            format!("{run} --early --dry-run /nix/store/…-secretctl-manifest.json || exit 1");
        let normal = format!("{run} --dry-run /nix/store/…-secretctl-manifest.json");
        assert_eq!(lines("with_"), [begin, &normal]);
        assert_eq!(lines("early"), [begin, &early, &normal]);
        assert_eq!(value["without"]["preSwitchChecks"], serde_json::json!({}));
    }
}

/// Each module of the flake is one import.
#[test]
fn the_modules_of_the_flake_evaluate() {
    let expression = r#"
        let
          outputs = (import FLAKE).outputs { self = { }; nixpkgs = { lib = import LIB; legacyPackages = { }; }; };
          package = { type = "derivation"; name = "package"; outPath = "/opt/package"; };
          of = system: all: builtins.mapAttrs (name: module:
            let
              # stands beside that of agenix, as the original does
              beside = if name == "agenix-rekey" then [ all.agenix ] else [ ];
              evaluated = import EVAL { inherit system; modules = [ module { secretctl.package = package; } ] ++ beside; };
            in { inherit (evaluated.out.manifest) version mode; inherit (evaluated.out) assertions; }) all;
        in {
          nixos = of "nixos" outputs.nixosModules;
          home = of "home-manager" outputs.homeModules;
          darwin = of "nix-darwin" outputs.darwinModules;
        }"#
    .replace("FLAKE", &project("flake.nix"))
    .replace("LIB", &project("nixos-module/tests/lib"))
    .replace("EVAL", &project("nixos-module/tests/eval.nix"));
    let ours = ["agenix", "agenix-rekey", "default", "secretctl", "sops-nix"];
    for nix in versions() {
        let value = nix.value(&expression);
        for (system, mode, more) in [
            ("nixos", "system", &["secrix"] as &[_]),
            ("home", "user", &[]),
            ("darwin", "system", &[]),
        ] {
            let modules = value[system].as_object().unwrap();
            let names: Vec<&str> = modules.keys().map(String::as_str).collect();
            let mut expected = [&ours[..], more].concat();
            expected.sort_unstable();
            assert_eq!(names, expected, "{system}");
            for (name, module) in modules {
                assert_eq!(module["version"], 1, "{system} {name}");
                assert_eq!(module["mode"], mode, "{system} {name}");
            }
        }
    }
}

/// The last secret that goes leaves units that take it away, and no memory mounted.
#[test]
fn nothing_is_mounted_for_nothing() {
    for nix in versions() {
        let units = nix.value(&format!(
            "{}.out.units",
            nixos("[ ({ pkgs, ... }: { secretctl.package = pkgs.age; }) ]")
        ));
        let names: Vec<&String> = units.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "secretctl-complete.service",
                "secretctl-early.service",
                "secretctl.service",
                "secretctl.target"
            ]
        );
    }
}

/// The tests in virtual machines, which do not run here: each of their machines and scripts evaluates.
#[test]
fn the_tests_in_virtual_machines_evaluate() {
    for nix in versions() {
        // The real library needs a newer Nix than the oldest for packages.
        if std::env::var_os("NIXPKGS_LIB").is_some()
            && nix.value("builtins ? readFileType") == Value::Bool(false)
        {
            continue;
        }
        let tests = nix.value(&format!(
            "builtins.mapAttrs (_: test: test.text) (import {} {{ inherit (import {} {{ }}) pkgs; }})",
            project("nixos-module/tests/vm"),
            project("nixos-module/tests/eval.nix")
        ));
        let tests = tests.as_object().unwrap();
        assert!(tests.len() > 10, "{:?}", tests.keys());
        for (name, script) in tests {
            assert!(script.as_str().unwrap().contains("machine.wait_for_unit("), "{name}");
        }
    }
}

/// What only a key service opens has a unit of its own, which nothing local waits for.
#[test]
fn secrets_of_key_services_come_with_the_network() {
    let remote = "password: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\nsops:\n    hc_vault:\n        \
                  - enc: vault:v1:AA==\n    version: 3.13.3\n";
    let base = "secretctl.package = { type = \"derivation\"; name = \"x\"; outPath = \"/opt/x\"; }; \
                services.openssh.enable = true;";
    let on = "secretctl.keyServices.enable = true; secretctl.keyServices.environment.HTTPS_PROXY = \
              \"http://a%40b:3128\";";
    for nix in versions() {
        let file = nix.folder().join("remote.yaml");
        fs::write(&file, remote).unwrap();
        let file = file.display();
        let local = project("testdata/age/age-1.3.2-post-quantum.age");
        let of = |face: &str, more: &str| {
            let wiring = if face.is_empty() { "nixos.nix" } else { "compat/sops.nix" };
            let module = format!("[ ({{ ... }}: {{ {base} {more} }}) ]");
            format!("{}.out", evaluated("nixos", wiring, &module))
        };
        let secret = |more: &str| format!("secretctl.secrets.far = {{ file = {file}; {more} }};");
        let value = nix.value(&format!(
            "{{ off = {}; on = {}; early = {}; credential = {}; local = {}; token = {}; face = {}; }}",
            of("", &secret("")),
            of("", &format!("{} {on}", secret(""))),
            of("", &format!("{} {on}", secret("early = true;"))),
            of("", &format!("{on} secretctl.services.a.secrets.far.file = {file};")),
            of("", &format!("secretctl.secrets.near.file = {local};")),
            of("", &format!("{on} secretctl.keyServices.environment.VAULT_TOKEN = \"x\";")),
            of(
                "sops",
                &format!(
                    "sops.defaultSopsFile = {file}; sops.secrets.password = {{ }}; sops.environment.VAULT_ADDR = \"https://v\";"
                )
            ),
        ));
        let only = |case: &str, text: &str| {
            let messages = texts(&value[case]["assertions"]);
            assert!(messages.len() == 1 && messages[0].contains(text), "{case}: {messages:?}");
        };
        only("off", "set `secretctl.keyServices.enable = true`");
        only("early", "before there is a network");
        only("credential", "not asked when a service starts");
        only("token", "`secretctl.keyServices.environmentFiles`");
        assert_eq!(value["local"]["manifest"]["keyServices"], false);
        assert!(value["local"]["units"].get("secretctl-network.service").is_none());
        for case in ["on", "face"] {
            let out = &value[case];
            assert_eq!(texts(&out["assertions"]), [""; 0], "{case}");
            assert_eq!(out["manifest"]["keyServices"], true);
            let unit = out["units"]["secretctl-network.service"].as_str().unwrap();
            assert!(line(unit, "Wants=").contains("network-online.target"), "{unit}");
            for after in ["network-online.target", "secretctl.service"] {
                assert!(line(unit, "After=").contains(after), "{unit}");
            }
            assert!(line(unit, "ExecStart=").contains(" activate --network "), "{unit}");
            assert!(unit.contains("RestrictAddressFamilies=AF_INET\n"), "{unit}");
            // `%` begins a specifier.
            assert_eq!(unit.contains("HTTPS_PROXY=http://a%%40b:3128"), case == "on", "{unit}");
            assert!(!unit.contains("IPAddressDeny"), "{unit}");
            // Nothing else knows of the network.
            for (name, text) in out["units"].as_object().unwrap() {
                let waits = text.as_str().unwrap().contains("network");
                assert!(!waits || name.starts_with("secretctl-network"), "{name}: {text}");
            }
        }
        let unit = value["face"]["units"]["secretctl-network.service"].as_str().unwrap();
        assert!(unit.contains("VAULT_ADDR=https://v"), "{unit}");
    }
}

/// As written for sops-nix: what only a key service opens needs no option, and is asked for beside what does not.
#[test]
fn homes_and_macs_ask_key_services_beside_what_opens_there() {
    let remote = "password: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\nsops:\n    kms:\n        \
                  - arn: x\n    version: 3.13.3\n";
    for nix in versions() {
        let file = nix.folder().join("remote.yaml");
        fs::write(&file, remote).unwrap();
        let of = |system: &str, face: &str, more: &str| {
            let module = format!(
                "[ {{ secretctl.package = {{ type = \"derivation\"; name = \"x\"; outPath = \"/opt/x\"; \
                 }}; sops = {{ defaultSopsFile = {}; age.keyFile = \"/home/alice/key\"; secrets.password \
                 = {{ }}; {more} }}; }} ]",
                file.display()
            );
            evaluated(system, &format!("compat/sops-{face}.nix"), &module)
        };
        let region = "environment.AWS_REGION = \"eu-west-1\";";
        let agent = of("home-manager", "home", region).replacen(
            "system =",
            "platform = \"aarch64-darwin\"; system =",
            1,
        );
        let value = nix.value(&format!(
            "{{ home = {}.out; agent = {agent}.out; mac = {}.out; refused = {}.out.assertions; }}",
            of("home-manager", "home", region),
            of("nix-darwin", "darwin", region),
            of("home-manager", "home", "environment.AWS_SECRET_ACCESS_KEY = \"x\";"),
        ));
        for case in ["home", "agent", "mac"] {
            assert_eq!(texts(&value[case]["assertions"]), [""; 0], "{case}");
            assert_eq!(value[case]["manifest"]["keyServices"], true, "{case}");
        }
        let unit = &value["home"]["units"]["secretctl-network"];
        assert!(texts(&unit["Service"]["Environment"]).contains(&"AWS_REGION=eu-west-1"), "{unit}");
        for (name, other) in value["home"]["units"].as_object().unwrap() {
            let waits = other.to_string().contains("network");
            assert!(!waits || name == "secretctl-network", "{name}: {other}");
        }
        for launched in [
            &value["agent"]["agents"]["secretctl-network"]["config"],
            &value["mac"]["daemons"]["secretctl-network"]["serviceConfig"],
        ] {
            assert_eq!(launched["EnvironmentVariables"]["AWS_REGION"], "eu-west-1");
            assert!(texts(&launched["ProgramArguments"])[2].contains(" activate --network "));
        }
        let refused = texts(&value["refused"]);
        assert!(refused[0].contains("`secretctl.keyServices.environmentFiles`"), "{refused:?}");
    }
}

/// launchd knows no files of variables: a shell reads them, and runs nothing of what they say.
#[test]
fn variables_for_key_services_are_no_code_on_macs() {
    let nix = versions().pop();
    let Some(nix) = nix else { return };
    let file = nix.folder().join("variables and more");
    let lines = "# said\n\nONE=a b*\nexport FOUR=canary\nA-B=canary\n5=canary\nTWO='x' $(touch ran)\nno \
                 variable\n THREE=3\nLAST=`id`";
    fs::write(&file, lines).unwrap();
    let module = format!(
        "[ {} {{ secretctl.keyServices.environmentFiles = nixpkgs.lib.mkForce [ \"{}\" ]; }} ]",
        project("nixos-module/tests/hosts/mac.nix"),
        file.display()
    )
    .replace(
        "nixpkgs.lib.mkForce",
        &format!("(import {}).mkForce", project("nixos-module/tests/lib")),
    );
    let out = nix.value(&format!("{}.out", evaluated("nix-darwin", "darwin.nix", &module)));
    let launched = &out["daemons"]["secretctl-network"]["serviceConfig"];
    let script = texts(&launched["ProgramArguments"])[2].replace("/bin/wait4path", "test -n");
    assert!(!script.contains(['&', '<']), "{script}");
    let (script, _) = script.split_once("/opt/secretctl").unwrap();
    let run = |shell: &[&str], script: &str| {
        let mut command = std::process::Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin");
        command.current_dir(nix.folder()).output().ok()
    };
    // That of macOS is bash.
    for shell in [&["/bin/sh"][..], &["bash", "--posix"]] {
        let Some(output) = run(shell, &format!("{script} /usr/bin/env")) else { continue };
        let text = String::from_utf8(output.stdout).unwrap();
        let shells = ["PATH=", "PWD=", "SHLVL=", "_="];
        let own = |line: &&str| !shells.iter().any(|name| line.starts_with(name));
        let mut lines: Vec<&str> = text.lines().filter(own).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["LAST=`id`", "ONE=a b*", "TWO='x' $(touch ran)"]);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
    assert!(!nix.folder().join("ran").exists());
    // Without the file nobody is asked.
    fs::remove_file(file).unwrap();
    let output = run(&["/bin/sh"], &format!("{script} /usr/bin/env")).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
}

/// Every assertion, all told at once.
#[test]
fn what_does_not_fit_is_told_at_once() {
    let age = project("testdata/age/age-1.3.2-post-quantum.age");
    let yaml = project("testdata/sops/3.13.3-plain.yaml");
    for nix in versions() {
        let folder = nix.folder();
        fs::write(folder.join("plain.yaml"), "password: sesame\n").unwrap();
        fs::copy(&age, folder.join("good.age")).unwrap();
        fs::copy(&yaml, folder.join("good.yaml")).unwrap();
        let text = fs::read_to_string(project("nixos-module/tests/hosts/wrong.nix")).unwrap();
        fs::write(folder.join("wrong.nix"), text).unwrap();
        let here = format!("[ {} ]", folder.join("wrong.nix").display());
        let out = nix.value(&format!("{}.out.assertions", nixos(&here)));
        snapshot!("assertions", nix.redact(&texts(&out).join("\n")));
        let error = nix.eval(&format!("{}.config.system.build.toplevel.outPath", nixos(&here)));
        let error = error.unwrap_err();
        for message in texts(&out) {
            assert!(error.contains(message), "{message}\n---\n{error}");
        }
    }
}

/// Values that no option takes; the message names the option.
#[test]
fn values_of_the_wrong_kind_are_refused() {
    let cases = [
        ("secretctl.secrets.a.mode = \"0999\";", "secretctl.secrets.a.mode"),
        ("secretctl.secrets.a.mode = \"4755\";", "secretctl.secrets.a.mode"),
        ("secretctl.secrets.a.mode = \"u=r\";", "secretctl.secrets.a.mode"),
        ("secretctl.secrets.a.owner = \"a:b\";", "secretctl.secrets.a.owner"),
        ("secretctl.secrets.a.owner = -1;", "secretctl.secrets.a.owner"),
        ("secretctl.secrets.a.format = \"toml\";", "secretctl.secrets.a.format"),
        ("secretctl.secrets.a.path = \"etc/x\";", "secretctl.secrets.a.path"),
        ("secretctl.secrets.a.name = \"a\\nb\";", "secretctl.secrets.a.name"),
        (
            "secretctl.secrets.a.restartUnits = [ \"a b.service\" ];",
            "secretctl.secrets.a.restartUnits",
        ),
        ("secretctl.secrets.a.file = \"x.age\";", "secretctl.secrets.a.file"),
        ("secretctl.secrets.a.unknown = 1;", "secretctl.secrets.a.unknown"),
        ("secretctl.hostPublicKey = \"AGE-SECRET-KEY-1X\";", "secretctl.hostPublicKey"),
        ("secretctl.defaultEncryptKeys.a = \"x\";", "secretctl.defaultEncryptKeys.a"),
        ("secretctl.stores.secrets.filesystem = \"ext4\";", "secretctl.stores.secrets.filesystem"),
        (
            "secretctl.stores.secrets.keepGenerations = -1;",
            "secretctl.stores.secrets.keepGenerations",
        ),
        ("secretctl.services.a.secrets.b.path = \"/x\";", "secretctl.services.a.secrets.b.path"),
        ("secretctl.placeholder.a = \"x\";", "secretctl.placeholder"),
        // private keys that would be copied to the store
        ("secretctl.identities = [ ./key ];", "secretctl.identities"),
        ("secretctl.identities = [ \"${./key}\" ];", "secretctl.identities"),
        ("secretctl.identities = [ \"key\" ];", "secretctl.identities"),
        ("secretctl.gnupg.home = ./.;", "secretctl.gnupg.home"),
        (
            "secretctl.keyServices.environmentFiles = [ ./key ];",
            "secretctl.keyServices.environmentFiles",
        ),
    ];
    let age = project("testdata/age/age-1.3.2-post-quantum.age");
    for nix in versions() {
        fs::write(nix.folder().join("key"), "AGE-SECRET-KEY-1 the canary\n").unwrap();
        for (wrong, option) in cases {
            let file = if wrong.contains(".a.file") || !wrong.contains("secrets.a.") {
                String::new()
            } else {
                format!("secretctl.secrets.a.file = {age};")
            };
            let services = format!("secretctl.services.a.secrets.b.file = {age};");
            let base = format!("secretctl.package = pkgs.age; {file} {services}");
            let module =
                format!("[ ({{ pkgs, ... }}: {{ imports = [ {{ {base} }} {{ {wrong} }} ]; }}) ]");
            // whatever is not in the manifest is looked at too
            let all = format!(
                "let e = {}; s = e.config.secretctl; in builtins.deepSeq [ s.services s.secrets \
                 s.defaultEncryptKeys s.placeholder s.keyServices ] e.out.manifest",
                nixos(&module)
            );
            let Err(error) = nix.eval(&all) else { panic!("{wrong} is taken") };
            assert!(error.contains(&format!("`{option}")), "{wrong}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
        assert!(!nix.store().exists() || !builds::holds(&nix.store(), b"the canary"));
    }
}

#[test]
fn the_page_of_the_options_is_up_to_date() {
    for nix in versions() {
        let page = page(&nix);
        let written = fs::read_to_string(project(PAGE)).unwrap_or_default();
        assert!(
            page == written,
            "{PAGE} is stale: run `cargo test --test modules -- --ignored bless` and look at it"
        );
    }
}

/// Not a check: writes the page of the options.
#[test]
#[ignore = "it writes into the repository"]
fn bless() {
    let nix = versions().pop().unwrap();
    fs::write(project(PAGE), page(&nix)).unwrap();
}

fn page(nix: &Nix) -> String {
    let lib = "(import ./nixos-module/tests/eval.nix { }).lib".replace("./", &project(""));
    let page =
        nix.value(&format!("import {} {{ lib = {lib}; }}", project("nixos-module/reference.nix")));
    page.as_str().unwrap().to_owned()
}

/// What the tests of this file say, they say of every option.
#[test]
fn the_host_of_the_tests_sets_every_option() {
    let host = fs::read_to_string(project("nixos-module/tests/hosts/everything.nix")).unwrap();
    let page = fs::read_to_string(project(PAGE)).unwrap();
    let mut count = 0;
    for section in page.split("\n## `").skip(1) {
        let (name, text) = section.split_once('`').unwrap();
        if !text.contains("\n- read-only\n") {
            let last = name.rsplit('.').next().unwrap();
            assert!(host.contains(last), "`{name}` is not in the host of the tests");
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}
