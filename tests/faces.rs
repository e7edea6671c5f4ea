//! The modules that take the options of agenix, sops-nix, secrix and agenix-rekey, with real Nix, the oldest and the
//! newest: configurations as they are written for the originals, what they lead to, what is refused
//! and why, and what the program makes of it.
//!
//! After a change of the options: `cargo test --test faces -- --ignored bless`.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

#[path = "faces/hosts.rs"]
mod hosts;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "modules/nix.rs"]
mod nix;
#[path = "faces/parity.rs"]
mod parity;
#[path = "faces/target.rs"]
mod target;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use nix::{Nix, project, versions};
use serde_json::{Value, json};

/// Compares without the expression, which says nothing that the text does not.
macro_rules! snapshot {
    ($name:expr, $text:expr) => {
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($name, $text));
    };
}

/// A configuration that is evaluated with faces: `faces` by the names of their files.
struct Host<'a> {
    system: &'a str,
    faces: &'a [&'a str],
    /// Files of `nixos-module/tests/faces`.
    files: &'a [&'a str],
    /// Modules, in Nix.
    more: &'a str,
}

impl Host<'_> {
    /// The expression for it, in a folder that was prepared.
    fn expression(&self, folder: &Path) -> String {
        let mut modules = String::new();
        for face in self.faces {
            let face = project(&format!("nixos-module/compat/{face}.nix"));
            write!(modules, "{face} ").unwrap();
        }
        for file in self.files {
            write!(modules, "{} ", folder.join(file).display()).unwrap();
        }
        format!(
            "(import {eval} {{ system = \"{system}\"; modules = [ {modules} {{ secretctl.package = \
             (import {eval} {{ }}).folder \"{package}\"; }} {more} ]; }})",
            eval = project("nixos-module/tests/eval.nix"),
            system = self.system,
            package = folder.join("package").display(),
            more = self.more,
        )
    }
}

const fn nixos<'a>(faces: &'a [&'a str], files: &'a [&'a str], more: &'a str) -> Host<'a> {
    Host { system: "nixos", faces, files, more }
}

const USERBORN: &str = "{ services.userborn.enable = true; }";

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The parts of a system that a face decides on, to be read as text.
fn written(nix: &Nix, out: &Value, parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        let value = &out[part];
        let shown = value.as_str().map_or_else(
            || serde_json::to_string_pretty(value).unwrap(),
            |text| text.trim_end().to_owned(),
        );
        writeln!(text, "=== {part}\n{shown}").unwrap();
    }
    nix.redact(&text)
}

#[test]
fn the_options_are_those_of_the_originals() {
    for nix in versions() {
        let found = parity::compared(&nix);
        assert!(found.problems.is_empty(), "{}", found.problems.join("\n"));
        let page = fs::read_to_string(project(parity::PAGE)).unwrap_or_default();
        assert!(
            page == found.page,
            "{} is stale: run `cargo test --test faces -- --ignored bless` and look at it",
            parity::PAGE
        );
    }
}

/// Not a check: writes the page.
#[test]
#[ignore = "it writes into the repository"]
fn bless() {
    let nix = versions().pop().unwrap();
    fs::write(project(parity::PAGE), parity::compared(&nix).page).unwrap();
}

#[test]
fn hosts_of_agenix_are_taken() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let of = |more| nixos(&["age"], &["agenix.nix"], more).expression(&folder);
        let value = nix.value(&format!(
            "let script = {}; unit = {}; in {{ inherit (script) out; paths = builtins.mapAttrs (_: s: s.path) \
             script.config.age.secrets; aliases = script.config.systemd.services.secretctl.aliases; \
             unit = {{ inherit (unit.out) assertions activation; manifest = {{ inherit (unit.out.manifest) stores; }}; }}; }}",
            of(""),
            of(USERBORN)
        ));
        assert_eq!(texts(&value["out"]["assertions"]), [""; 0]);
        assert_eq!(texts(&value["unit"]["assertions"]), [""; 0]);
        snapshot!("agenix", written(&nix, &value["out"], &["manifest", "activation", "warnings"]));
        for (name, path) in [
            ("plain", "/run/agenix/plain"),
            ("linked", "/srv/linked"),
            ("copied", "/srv/copied"),
            ("renamed", "/run/agenix/folder/other"),
            ("-hyphen", "/run/agenix/-hyphen"),
        ] {
            assert_eq!(value["paths"][name], path);
        }
        assert_eq!(value["aliases"], json!(["agenix-install-secrets.service"]));
        // Passwords of users work however users are made, and where units make them, no script is left.
        assert_eq!(value["unit"]["manifest"]["stores"]["agenix"]["phase"], "both");
        assert!(!value["unit"]["activation"].as_str().unwrap().contains("agenix"));
        // What comes after a script of agenix comes after the secrets.
        let script = value["out"]["activation"].as_str().unwrap();
        let place = |what: &str| script.find(what).unwrap_or_else(|| panic!("{what}: {script}"));
        let order = [
            "snippet agenixNewGeneration:",
            "snippet secretctlEarly:",
            "snippet agenixInstall:",
            "snippet users:",
            "snippet agenixChown:",
            "snippet agenix:",
        ];
        assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{script}");
    }
}

#[test]
fn hosts_of_sops_nix_are_taken() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let of = |more| nixos(&["sops"], &["sops-nix.nix"], more).expression(&folder);
        let value = nix.value(&format!(
            "let script = {}; unit = {}; in {{ inherit (script) out; sops = {{ inherit \
             (script.config.sops) placeholder; paths = builtins.mapAttrs (_: s: s.path) \
             (script.config.sops.secrets // script.config.sops.templates); hash = \
             script.config.sops.secrets.whole.sopsFileHash; }}; build = builtins.mapAttrs (_: f: builtins.fromJSON (builtins.unsafeDiscardStringContext f.text)) \
             {{ inherit (script.config.system.build) sops-nix-manifest sops-nix-users-manifest; }}; \
             aliases = map (u: script.config.systemd.services.${{u}}.aliases) [ \"secretctl\" \"secretctl-early\" ]; \
             unit = {{ inherit (unit.out) assertions activation; inherit (unit.out.manifest) stores; }}; }}",
            of(""),
            of(USERBORN)
        ));
        assert_eq!(texts(&value["out"]["assertions"]), [""; 0]);
        assert_eq!(texts(&value["unit"]["assertions"]), [""; 0]);
        snapshot!(
            "sops_nix",
            written(&nix, &value["out"], &["manifest", "activation", "warnings"])
        );
        for (name, path) in [
            ("db/password", "/run/secrets/db/password"),
            ("token", "/srv/token"),
            ("hash", "/run/secrets-for-users/hash"),
            ("app.conf", "/srv/app.conf"),
            ("from-file", "/run/secrets/rendered/from-file"),
        ] {
            assert_eq!(value["sops"]["paths"][name], path);
        }
        assert_eq!(
            value["sops"]["placeholder"]["token"],
            "<SOPS:3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0:PLACEHOLDER>"
        );
        let file = fs::read(folder.join("secrets/other.json")).unwrap();
        assert_eq!(value["sops"]["hash"], sha256(&file));
        assert_eq!(
            value["aliases"],
            json!([["sops-install-secrets.service"], ["sops-install-secrets-for-users.service"]])
        );
        // The manifests of the original, for whoever reads those.
        let manifest = &value["build"]["sops-nix-manifest"];
        assert_eq!(manifest["symlinkPath"], "/run/secrets");
        assert_eq!(manifest["logging"], json!({ "keyImport": false, "secretChanges": true }));
        assert_eq!(manifest["secrets"].as_array().unwrap().len(), 8);
        assert_eq!(value["build"]["sops-nix-users-manifest"]["secrets"][0]["name"], "hash");
        // Scripts of the original are there to come after, or units alone install.
        let script = value["out"]["activation"].as_str().unwrap();
        let place = |what: &str| script.find(what).unwrap_or_else(|| panic!("{what}: {script}"));
        let order = [
            "snippet secretctlEarly:",
            "snippet setupSecretsForUsers:",
            "snippet users:",
            "snippet setupSecrets:",
        ];
        assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{script}");
        assert_eq!(value["unit"]["stores"]["secrets"]["phase"], "normal");
        assert_eq!(value["unit"]["stores"]["sops-users"]["phase"], "early");
        assert!(!value["unit"]["activation"].as_str().unwrap().contains("setupSecrets"));
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let mut text = String::new();
    for byte in sha2::Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn hosts_of_secrix_are_taken() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let host = nixos(&["secrix"], &["secrix.nix"], "").expression(&folder);
        let value = nix.value(&format!(
            "let e = {host}; in {{ inherit (e) out; services = builtins.mapAttrs (_: f: \
             builtins.fromJSON (builtins.unsafeDiscardStringContext f.text)) \
             e.config.system.build.secrix-manifests; dropIns = map (p: p.text) \
             e.config.systemd.packages; inherit (e.config.systemd.services.secretctl) aliases; \
             decrypted = let of = builtins.mapAttrs (_: s: removeAttrs s.decrypted [ \"builder\" ]); \
             in {{ system = of e.config.secrix.system.secrets; services = builtins.mapAttrs (_: s: of \
             s.secrets) e.config.secrix.services; }}; }}"
        ));
        assert_eq!(texts(&value["out"]["assertions"]), [""; 0]);
        let mut text = written(&nix, &value["out"], &["manifest", "warnings"]);
        let units = value["out"]["units"].as_object().unwrap();
        let prefixes = ["one", "two", "dynamic", "run-one", "run-dynamic"];
        for (name, unit) in units {
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                writeln!(text, "=== {name}\n{}", unit.as_str().unwrap()).unwrap();
            }
        }
        text.push_str(&written(&nix, &value, &["services", "dropIns", "aliases", "decrypted"]));
        snapshot!("secrix", nix.redact(&text));
        // Equal names are no longer one secret.
        let file = |service: &str| value["services"][service]["secrets"][0]["file"].clone();
        assert_ne!(file("one"), file("two"));
        assert!(file("one").as_str().unwrap().ends_with("-one-password"));
        // A name of its own is what the path says.
        assert_eq!(value["decrypted"]["system"]["password"]["path"], "/run/system-keys/renamed");
        // A made-up user gets a credential; what it is taken from is for root alone.
        assert_eq!(value["decrypted"]["services"]["dynamic"]["password"]["user"], Value::Null);
        let hidden = &value["services"]["dynamic"]["secrets"][0];
        assert_eq!([&hidden["mode"], &hidden["owner"]], [&json!("0400"), &json!(0)]);
    }
}

/// A switch whose services would not get their secrets is refused before anything is stopped.
#[test]
fn secrets_of_services_are_tried_before_a_switch() {
    let checks = "({ lib, ... }: { options.system.preSwitchChecks = lib.mkOption { type = \
                  lib.types.attrsOf lib.types.str; default = { }; }; })";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let host = nixos(&["secrix"], &["secrix.nix"], checks).expression(&folder);
        let checks = nix.value(&format!("{host}.out.preSwitchChecks"));
        let check = nix.redact(checks["secrix"].as_str().unwrap());
        let tried = "[HERE]/package/bin/secretctl activate --dry-run \
                     /nix/store/…-secretctl-manifest.json >/dev/null || exit 1\n";
        assert_eq!(check.matches(tried).count(), 3, "{check}");
    }
}

/// A configuration may come from several of them, and be ours as well.
#[test]
fn all_faces_at_once() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let native = "{ secretctl.secrets.native.file = ./secrets/plain.age; }";
        let host = nixos(
            &["age", "sops", "secrix", "age-rekey"],
            &["agenix.nix", "sops-nix.nix", "secrix.nix"],
            &format!("(import {}/alice.nix) {native}", folder.display()),
        )
        .expression(&folder);
        // One user cannot have two passwords.
        let alice = "{ lib, ... }: { users.users.alice.hashedPasswordFile = lib.mkForce null; }";
        fs::write(folder.join("alice.nix"), alice).unwrap();
        let value = nix.value(&format!(
            "let e = {host}; in {{ inherit (e.out) assertions warnings; secrets = map (s: \
             \"${{s.store}}/${{s.name}}\") e.out.manifest.secrets; identities = map (i: i.file) \
             e.out.manifest.identities; inherit (e.config.systemd.services.secretctl) aliases; }}"
        ));
        snapshot!("all", nix.redact(&serde_json::to_string_pretty(&value).unwrap()));
    }
}

#[test]
fn homes_and_macs_are_taken() {
    let homes = Host {
        system: "home-manager",
        faces: &["age-home", "sops-home"],
        files: &["agenix-home.nix", "sops-nix-home.nix"],
        more: "",
    };
    let macs = Host {
        system: "nix-darwin",
        faces: &["age-darwin", "sops-darwin"],
        files: &["agenix-darwin.nix", "sops-nix-darwin.nix"],
        more: "",
    };
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let known = Host { more: "{ home.uid = 1000; }", ..homes };
        let value = nix.value(&format!(
            "let home = {}; known = {}; mac = {}; in {{ home = {{ inherit (home.out) manifest \
             assertions; units = home.config.systemd.user.services; activation = \
             home.config.home.activation.sops-nix; path = home.config.age.secrets.plain.path; }}; \
             known = known.config.age.secrets.plain.path; mac = {{ inherit (mac.out) manifest \
             assertions; }}; }}",
            homes.expression(&folder),
            known.expression(&folder),
            macs.expression(&folder)
        ));
        // Other programs find it without a shell where the number of the user is known.
        assert_eq!(value["home"]["path"], "${XDG_RUNTIME_DIR}/agenix/plain");
        assert_eq!(value["known"], "/run/user/1000/agenix/plain");
        snapshot!("homes_and_macs", nix.redact(&serde_json::to_string_pretty(&value).unwrap()));
    }
}

/// Whatever cannot be kept is told with the way out, all of it at once, and nothing is built.
#[test]
fn what_cannot_be_kept_is_told() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let yaml = fs::read_to_string(folder.join("secrets/host.yaml")).unwrap();
        // as files of sops that a key service alone can open, or PGP too
        let service =
            yaml.replace("recipient: age1", "resource_id: x").replace("- enc:", "- created_at:");
        fs::write(folder.join("service.yaml"), &service).unwrap();
        fs::write(folder.join("pgp.yaml"), service.replace("BEGIN AGE", "BEGIN PGP MESSAGE"))
            .unwrap();
        // a private key that got into the store
        fs::write(folder.join("master.txt"), "AGE-SECRET-KEY-1TESTONLY\n").unwrap();
        let added = nix.command("nix-store").args(["--add", "master.txt"]).output().unwrap();
        let added = String::from_utf8(added.stdout).unwrap();
        fs::write(folder.join("master.nix"), format!("\"{}\"", added.trim())).unwrap();
        let mut text = String::new();
        for (face, file) in [
            (&["age"][..], "wrong-agenix.nix"),
            (&["sops"], "wrong-sops-nix.nix"),
            (&["secrix"], "wrong-secrix.nix"),
            (&["age", "age-rekey"], "wrong-agenix-rekey.nix"),
        ] {
            let host = nixos(face, &[file], "").expression(&folder);
            let assertions = nix.value(&format!("{host}.out.assertions"));
            let error = nix.eval(&format!("{host}.config.system.build.toplevel.outPath"));
            let error = error.unwrap_err();
            writeln!(text, "=== {file}").unwrap();
            for message in texts(&assertions) {
                assert!(error.contains(message), "{message}\n---\n{error}");
                writeln!(text, "{message}").unwrap();
            }
        }
        snapshot!("wrong", nix.redact(&text));
        // The host key of RSA is one of PGP, too.
        let more = "{ services.openssh.enable = true; sops.defaultSopsFile = ./pgp.yaml; sops.secrets = { pgp = { }; \
                    service.sopsFile = ./service.yaml; }; }";
        let host = nixos(&["sops"], &[], more).expression(&folder);
        let assertions = nix.value(&format!("{host}.out.assertions"));
        let told: Vec<&str> = texts(&assertions);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("`sops.secrets.service.sopsFile` can be opened by key services alone, which are not asked here: add"), "{told:?}");
    }
}

#[test]
fn former_names_of_options_are_taken() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let host = nixos(&["age", "sops", "age-rekey"], &["renamed.nix"], "").expression(&folder);
        let value = nix.value(&format!(
            "let e = {host}; in {{ inherit (e.config.age) identityPaths; gnupg = \
             removeAttrs e.config.sops.gnupg [ \"package\" ]; inherit (e.config.age.rekey) forceRekeyOnSystem extraEncryptionPubkeys; old = \
             baseNameOf e.config.age.secrets.old.rekeyFile; inherit (e.out) manifest; }}"
        ));
        assert_eq!(value["identityPaths"], json!(["/persist/age"]));
        assert_eq!(
            value["gnupg"],
            json!({ "home": "/root/.gnupg", "sshKeyPaths": ["/persist/rsa"] })
        );
        assert_eq!(value["forceRekeyOnSystem"], "x86_64-linux");
        assert_eq!(value["old"], "owned.age");
        let keys = value["manifest"]["identities"].as_array().unwrap();
        let keys: Vec<&str> = keys.iter().map(|key| key["file"].as_str().unwrap()).collect();
        assert_eq!(keys, ["/persist/rsa", "/persist/age"]);
        assert_eq!(value["manifest"]["gnupg"]["home"], "/root/.gnupg");
    }
}

/// What others say of units of the originals is said of ours, which bear these names as well.
#[test]
fn definitions_for_the_units_of_the_originals_are_kept() {
    let more = "{ systemd.services.agenix-install-secrets.after = [ \"one.mount\" ]; \
                systemd.services.sops-install-secrets = { after = [ \"two.mount\" ]; \
                unitConfig.RequiresMountsFor = [ \"/persist\" ]; }; \
                systemd.services.sops-install-secrets-for-users.requires = [ \"three.mount\" ]; }";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let host = nixos(&["age", "sops"], &["agenix.nix"], more).expression(&folder);
        let units = nix.value(&format!("{host}.out.units"));
        let unit = units["secretctl.service"].as_str().unwrap();
        let after = unit.lines().find(|line| line.starts_with("After=")).unwrap();
        assert!(after.contains("one.mount") && after.contains("two.mount"), "{unit}");
        assert!(unit.contains("RequiresMountsFor=/persist\n"), "{unit}");
        let early = units["secretctl-early.service"].as_str().unwrap();
        assert!(early.contains("Requires=three.mount"), "{early}");
    }
}

/// Keys that are mounted late are waited for, unless users need secrets before.
#[test]
fn keys_of_agenix_may_be_mounted_late_where_units_make_users() {
    let late = "fileSystems.\"/keys\" = { }; age.identityPaths = [ \"/keys/host\" ];";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let of = |users: &str| {
            let secret = "age.secrets.plain.file = ./secrets/plain.age;";
            let more = format!("{{ {late} {users} {secret} }}");
            nixos(&["age"], &[], &more).expression(&folder)
        };
        let value = nix.value(&format!(
            "{{ unit = {}.out; script = {}.out.assertions; }}",
            of("services.userborn.enable = true;"),
            of("")
        ));
        assert_eq!(value["unit"]["manifest"]["stores"]["agenix"]["phase"], "normal");
        assert_eq!(texts(&value["unit"]["assertions"]), [""; 0]);
        assert!(texts(&value["script"])[0].contains("neededForBoot"));
    }
}

/// A copy that is made before the file system is mounted would stay below it.
#[test]
fn copies_of_agenix_wait_for_their_file_system() {
    let late = "fileSystems.\"/home\" = { }; services.openssh.enable = true; age.secrets.copy = { file = \
                ./secrets/plain.age; symlink = false; path = \"/home/alice/copy\"; };";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let of = |users: &str| {
            nixos(&["age"], &[], &format!("{{ {late} {users} }}")).expression(&folder)
        };
        let value = nix.value(&format!(
            "{{ unit = {}.out; script = {}.out.assertions; }}",
            of("services.userborn.enable = true;"),
            of("")
        ));
        assert_eq!(value["unit"]["manifest"]["stores"]["agenix"]["phase"], "normal");
        assert_eq!(texts(&value["unit"]["assertions"]), [""; 0]);
        let told = texts(&value["script"]);
        assert!(told[0].contains("fileSystems.\"/home\".neededForBoot = true"), "{told:?}");
    }
}

/// What agenix-rekey made for a host is found by the name that it gives, and `direct` needs no copy.
#[test]
fn hosts_of_agenix_rekey_are_taken() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        // The name of a file: the public key as it was read, with the end of its line, and the source.
        let key = sha256(&fs::read(folder.join("host.pub")).unwrap());
        fs::create_dir(folder.join("rekeyed")).unwrap();
        for (name, source) in [("plain", "plain.age"), ("generated", "owned.age")] {
            let source = folder.join("secrets").join(source);
            let made = sha256(format!("{key}{}", sha256(&fs::read(&source).unwrap())).as_bytes());
            let made = format!("rekeyed/{}-{name}.age", &made[..32]);
            fs::copy(&source, folder.join(made)).unwrap();
        }
        let of =
            |more| nixos(&["age", "age-rekey"], &["agenix-rekey.nix"], more).expression(&folder);
        let value = nix.value(&format!(
            "let local = {}; direct = {}; unknown = {}; script = \
             local.config.age.secrets.generated.generator._script {{ inherit (local) pkgs; }}; in {{ \
             local = local.out; direct = direct.out; unknown = unknown.out; inherit script; \
             secrets = builtins.mapAttrs (_: s: {{ inherit (s) id intermediary; }}) \
             local.config.age.secrets; }}",
            of(""),
            of("({ lib, ... }: { age.rekey.storageMode = lib.mkForce \"direct\"; })"),
            of("({ lib, options, ... }: { age.rekey.hostPubkey = lib.mkForce \
                \"age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq\"; })"),
        ));
        let files = |of: &str| -> Vec<String> {
            assert_eq!(texts(&value[of]["assertions"]), [""; 0], "{of}");
            let secrets = value[of]["manifest"]["secrets"].as_array().unwrap().iter();
            secrets.map(|secret| nix.redact(secret["file"].as_str().unwrap())).collect()
        };
        let local = files("local");
        // What is between others is for no host.
        assert_eq!(local.len(), 2);
        assert!(
            local[0].ends_with("-generated.age") && local[1].ends_with("-plain.age"),
            "{local:?}"
        );
        assert_eq!(files("direct"), ["/nix/store/…-owned.age", "/nix/store/…-plain.age"]);
        let public = fs::read_to_string(folder.join("host.pub")).unwrap();
        assert_eq!(value["local"]["manifest"]["hostPublicKeys"], json!([public.trim()]));
        // A host whose key is not known yet gets nothing, and says so.
        assert_eq!(files("unknown"), [""; 0]);
        assert!(texts(&value["unknown"]["warnings"])[0].contains("age.rekey.hostPubkey"));
        assert!(value["script"].as_str().unwrap().contains("/dev/urandom"));
        assert_eq!(value["secrets"]["between"], json!({ "id": "between", "intermediary": true }));
    }
}

/// Builds the manifest of a host, which has the real program look at it.
fn manifest(nix: &Nix, host: &str) -> String {
    let built = nix.build(&format!("{host}.config.secretctl.manifestFile"));
    built.unwrap_or_else(|error| panic!("{error}")).display().to_string()
}

#[test]
fn what_is_written_for_agenix_is_installed() {
    if !target::is_possible() {
        return;
    }
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        hosts::package(&nix);
        let manifest = manifest(&nix, &nixos(&["age"], &["agenix.nix"], "").expression(&folder));
        let ran = target::run(
            &folder,
            &format!(
                "secretctl activate --early {manifest}
                 readlink /run/agenix
                 show /run/agenix/hash
                 secretctl activate {manifest}
                 show /run/agenix/plain /run/agenix/owned /run/agenix/numbered /run/agenix/in-place
                 show /run/agenix/folder/other /run/agenix/-hyphen /srv/linked /srv/copied
                 readlink /srv/linked || true
                 readlink /srv/copied || echo is a file
                 stat -c '%a %u:%g' /run/agenix.d \"$(readlink /run/agenix)\"
                 grep -c ' /run/agenix.d ramfs ' /proc/mounts"
            ),
        );
        snapshot!("agenix_installed", ran.out);
    }
}

#[test]
fn what_is_written_for_sops_nix_is_installed() {
    if !target::is_possible() {
        return;
    }
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        hosts::package(&nix);
        let manifest = manifest(&nix, &nixos(&["sops"], &["sops-nix.nix"], "").expression(&folder));
        let ran = target::run(
            &folder,
            &format!(
                "secretctl activate --early {manifest}
                 show /run/secrets-for-users/hash
                 secretctl activate {manifest}
                 cd /run/secrets
                 show db/password app/token numbered whole nested environment settings
                 od -c bytes | head -1
                 show rendered/app.conf rendered/from-file
                 readlink /srv/token /srv/app.conf
                 stat -c '%a %u:%g' /run/secrets.d /run/secrets-for-users.d"
            ),
        );
        snapshot!("sops_nix_installed", ran.out);
    }
}

/// Secrets of the system, and what the units of services do, in their order.
#[test]
fn what_is_written_for_secrix_is_installed() {
    if !target::is_possible() {
        return;
    }
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        hosts::package(&nix);
        // The key of the configuration is that of another machine, for which nothing is encrypted.
        let key =
            "({ lib, ... }: { secrix.hostPubKey = lib.mkForce (builtins.readFile ./host.pub); })";
        let host = nixos(&["secrix"], &["secrix.nix"], key).expression(&folder);
        let system = manifest(&nix, &host);
        let of = |service: &str| {
            let built =
                nix.build(&format!("{host}.config.system.build.secrix-manifests.{service}"));
            built.unwrap_or_else(|error| panic!("{error}")).display().to_string()
        };
        let ran = target::run(
            &folder,
            &format!(
                "secretctl activate {system}
                 show /run/system-keys/wifi /run/system-keys/renamed
                 stat -Lc '%a %u:%g' /run/system-keys
                 secretctl activate {one}
                 secretctl activate {two}
                 secretctl activate {dynamic}
                 show /run/one-keys/password /run/two-keys/password
                 show /run/dynamic-keys/for-systemd/password
                 for user in 901:902 903:904; do
                   echo $user: $(setpriv --reuid ${{user%:*}} --regid ${{user#*:}} --clear-groups cat \
                     /run/one-keys/password /run/dynamic-keys/for-systemd/password 2>&1 || true)
                 done
                 find /run/one-keys.d -mindepth 1 -delete
                 rm -f /run/one-keys
                 ls -A /run/one-keys.d /run/one-keys 2>&1 || true",
                one = of("one"),
                two = of("two"),
                dynamic = of("dynamic"),
            ),
        );
        snapshot!("secrix_installed", ran.out);
    }
}

/// The option that is named is the one that was written.
#[test]
fn plaintext_is_refused_by_the_name_of_the_original_option() {
    let more = "{ services.openssh.enable = true; sops.defaultSopsFile = ./plain.yaml; \
                sops.secrets.open = { }; secrix.system.secrets.open.encrypted.file = ./gone; }";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        fs::write(folder.join("plain.yaml"), "open: in the clear\n").unwrap();
        let host = nixos(&["sops", "secrix"], &[], more).expression(&folder);
        let assertions = nix.value(&format!("{host}.out.assertions"));
        let assertions = texts(&assertions).join("\n");
        assert!(
            assertions.contains("`sops.secrets.open.sopsFile` is not encrypted"),
            "{assertions}"
        );
        let gone = "`secrix.system.secrets.open.encrypted.file` is ";
        assert!(assertions.contains(gone), "{assertions}");
    }
}

/// Files that are on the machine alone are neither looked for nor checked here.
#[test]
fn files_of_sops_may_be_on_the_machine_alone() {
    if !target::is_possible() {
        return;
    }
    let more = "{ services.openssh.enable = true; sops = { validateSopsFiles = false; \
                defaultSopsFile = \"/srv/host.yaml\"; secrets.hash = { }; }; }";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        hosts::package(&nix);
        let host = nixos(&["sops"], &[], more).expression(&folder);
        assert_eq!(nix.value(&format!("{host}.out.assertions")), json!([]));
        let manifest = manifest(&nix, &host);
        let install = format!(
            "cp secrets/host.yaml /srv; secretctl activate {manifest}; show /run/secrets/hash"
        );
        let ran = target::run(&folder, &install);
        assert_eq!(ran.out, "/run/secrets/hash 400 0:0: $6$salt$sops|\n");
    }
}

/// The rules of a flake take what a face maps once, by the file that people edit.
#[test]
fn rules_name_the_files_that_were_declared() {
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let host = nixos(&["age", "age-rekey"], &["agenix-rekey.nix"], "").expression(&folder);
        let secrix = nixos(&["secrix"], &["secrix.nix"], "").expression(&folder);
        let rules = nix.value(&format!(
            "(import {} {{ outPath = {}; nixosConfigurations = {{ one = {host}; two = {secrix}; }}; \
             }}).secrets",
            project("nixos-module/rules.nix"),
            folder.display()
        ));
        // Neither what agenix-rekey made for the host, nor what no host gets.
        let both = json!({ "readers": ["two", "alice"] });
        let one = json!({ "readers": ["one"] });
        assert_eq!(
            rules,
            json!({
                "secrets/plain.age": one, "secrets/owned.age": one, "secrets/wifi": both,
                "secrets/system-password": both, "secrets/one-password": both,
                "secrets/two-password": both, "secrets/dynamic-password": both,
            })
        );
    }
}

#[test]
fn the_key_of_sops_nix_is_made_where_it_is_missing() {
    let more = "{ sops = { age.keyFile = \"/var/lib/sops-nix/key.txt\"; age.generateKey = true; \
                useTmpfs = true; defaultSopsFile = ./secrets/host.yaml; secrets.hash.neededForUsers = \
                true; }; }";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let host = nixos(&["sops"], &[], more).expression(&folder);
        let out = nix.value(&format!("{host}.out"));
        assert_eq!(texts(&out["assertions"]), [""; 0]);
        let unit = out["units"]["sops-generate-age-key.service"].as_str().unwrap();
        for line in [
            "ConditionPathExists=!/var/lib/sops-nix/key.txt",
            "UMask=0077",
            "Before=secretctl-early.service secretctl.service shutdown.target",
        ] {
            assert!(unit.contains(line), "{unit}");
        }
        for unit in ["secretctl.service", "secretctl-early.service"] {
            let unit = out["units"][unit].as_str().unwrap();
            assert!(unit.contains("Wants=sops-generate-age-key.service"), "{unit}");
        }
        // When the system starts, there are no units yet.
        let script = out["activation"].as_str().unwrap();
        let made = script.find("age-keygen -o /var/lib/sops-nix/key.txt").unwrap();
        assert!(made < script.find("activate --early").unwrap(), "{script}");
        for store in ["secrets", "sops-users"] {
            let store = &out["manifest"]["stores"][store];
            assert_eq!(
                [&store["filesystem"], &store["allowSwap"]],
                [&json!("tmpfs"), &json!(false)]
            );
        }
    }
}

/// As for hosts, of homes and Macs, and what is told without being refused.
#[test]
fn what_cannot_be_kept_of_homes_and_macs_is_told() {
    let home = "({ pkgs, ... }: { age.package = pkgs.rage; age.secrets.a.file = ./secrets/plain.age; sops = \
                { defaultSopsFile = ./secrets/host.yaml; secrets.hash = { }; gnupg.qubes-split-gpg.enable = \
                true; age.keyFile = \"/home/alice/key\"; environment.QUBES_GPG_DOMAIN = \"vault\"; }; })";
    let mac = "{ age.ageBin = \"/opt/bin/rage\"; age.secrets.a.file = ./secrets/plain.age; \
               launchd.daemons.activate-agenix.serviceConfig.Nice = 5; sops = { defaultSopsFile = \
               ./secrets/host.yaml; secrets.hash = { }; age.generateKey = true; age.keyFile = \
               \"/var/key\"; }; launchd.daemons.sops-install-secrets.serviceConfig.Nice = 5; }";
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        let mut text = String::new();
        for (system, faces, more) in [
            ("home-manager", ["age-home", "sops-home"], home),
            ("nix-darwin", ["age-darwin", "sops-darwin"], mac),
        ] {
            let host = Host { system, faces: &faces, files: &[], more }.expression(&folder);
            let out = nix.value(&format!("{{ inherit ({host}.out) assertions warnings; }}"));
            writeln!(text, "=== {system}").unwrap();
            for part in ["assertions", "warnings"] {
                for message in texts(&out[part]) {
                    writeln!(text, "{part}: {message}").unwrap();
                }
            }
        }
        snapshot!("wrong_homes_and_macs", nix.redact(&text));
    }
}

/// The first switch finds what the originals have left.
#[test]
fn what_the_originals_left_is_taken_over() {
    if !target::is_possible() {
        return;
    }
    for nix in versions() {
        let folder = hosts::prepared(&nix);
        hosts::package(&nix);
        let alice = "({ lib, ... }: { users.users.alice.hashedPasswordFile = lib.mkForce null; })";
        let host = nixos(&["age", "sops"], &["agenix.nix", "sops-nix.nix"], alice);
        let manifest = manifest(&nix, &host.expression(&folder));
        let ran = target::run(
            &folder,
            &format!(
                "for store in agenix secrets; do
                   mkdir /run/$store.d; mount -t ramfs none /run/$store.d
                   mkdir /run/$store.d/5; echo old >/run/$store.d/5/old
                   ln -s /run/$store.d/5 /run/$store
                 done
                 ln -s /run/agenix/linked /srv/linked
                 ln -s /run/secrets/token /srv/token
                 echo old >/srv/copied
                 secretctl activate {manifest} || echo exit code $?
                 readlink /run/agenix /run/secrets
                 show /srv/linked /srv/token /srv/copied
                 ls /run/agenix.d /run/secrets.d"
            ),
        );
        snapshot!("taken_over", format!("{}---\n{}", ran.out, nix.redact(&ran.errors)));
    }
}
