//! What is really built of a configuration: the check of the manifest, with the program of this
//! project, and that no plaintext is anywhere in what comes out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::common::{Fleet, PROGRAM};
use super::nix::{Nix, nixos, versions};

/// A host with secrets of a fleet, whose files stand beside the store of a Nix.
struct Host {
    nix: Nix,
    fleet: Fleet,
}

impl Host {
    fn all() -> Vec<Self> {
        versions().into_iter().map(Self::new).collect()
    }

    fn new(nix: Nix) -> Self {
        let programs = nix.folder().join("package/bin");
        fs::create_dir_all(&programs).unwrap();
        symlink(PROGRAM, programs.join("secretctl")).unwrap();
        Self { nix, fleet: Fleet::new() }
    }

    /// A file for the host, as its rules have it.
    fn put(&self, name: &str, content: &str) {
        let file = format!("secrets/{name}");
        self.fleet.put(&file, content.as_bytes());
        fs::copy(self.fleet.path(file), self.nix.folder().join(name)).unwrap();
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.nix.folder().join(name), content).unwrap();
    }

    /// A file for somebody else.
    fn put_foreign(&self, name: &str, content: &str) {
        let public = self.fleet.public("stranger");
        let file = self.nix.folder().join(name);
        let arguments = ["encrypt", "-r", &public, "-o", file.to_str().unwrap()];
        self.fleet.feed(&arguments, content.as_bytes()).done();
    }

    /// The host with some of its options.
    fn with(&self, options: &str) -> String {
        let package = self.nix.folder().join("package");
        nixos(&format!(
            "[ ({{ config, ... }}: {{ services.openssh.enable = true; secretctl.package = {{ type = \
             \"derivation\"; name = \"package\"; outPath = \"{}\"; }}; secretctl.hostPublicKey = \
             \"{}\"; imports = [ ({{ lib, pkgs, ... }}: {{ {options} }}) ]; }}) ]",
            package.display(),
            self.fleet.public("web1")
        ))
    }

    /// Builds its system.
    fn build(&self, options: &str) -> Result<std::path::PathBuf, String> {
        self.nix.build(&format!("{}.config.system.build.toplevel", self.with(options)))
    }

    /// Why its system is not built.
    fn error(&self, options: &str) -> String {
        match self.build(options) {
            Ok(system) => panic!("{options} is built: {}", system.display()),
            Err(error) => error,
        }
    }

    fn store_has(&self, needle: &str) -> bool {
        let store = self.nix.store();
        store.exists() && holds(&store, needle.as_bytes())
    }
}

/// Whether a file below a folder has these bytes in it.
pub(crate) fn holds(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            false
        } else if path.is_dir() {
            holds(&path, needle)
        } else {
            fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
        }
    })
}

const GOOD: &str = "
    secretctl.secrets.token.file = ./token.age;
    secretctl.secrets.armored = { file = ./armored.age; format = \"armored\"; };
    secretctl.secrets.\"db/password\" = { file = ./db.yaml; key = \"database/password\"; };
    secretctl.secrets.whole.file = ./db.yaml;
    secretctl.secrets.hash = { file = ./token.age; early = true; };
    secretctl.templates.\"app.env\".content = \"TOKEN=${config.secretctl.placeholder.token}\";
    secretctl.services.web.secrets.tls.file = ./token.age;
";

/// Every kind of source, each with the canary as its value.
fn with_canaries(host: &Host, canary: &str) {
    host.put("token.age", canary);
    host.put("db.yaml", &format!("database:\n    password: {canary}\n"));
    let file = host.nix.folder().join("armored.age");
    let public = host.fleet.public("web1");
    let arguments = ["encrypt", "--armor", "-r", &public, "-o", file.to_str().unwrap()];
    host.fleet.feed(&arguments, canary.as_bytes()).done();
}

/// Neither an evaluated derivation, a unit, the manifest nor anything that is built holds a value.
#[test]
fn no_plaintext_at_build() {
    let canary = "canary-of-the-modules-7f3a";
    for host in Host::all() {
        with_canaries(&host, canary);
        let system = host.build(GOOD).unwrap_or_else(|error| panic!("{error}"));
        assert!(system.join("secretctl.service").exists());
        // All that Nix has made of it, derivations included, is in this store.
        assert!(!host.store_has(canary));
        let out = host.nix.value(&format!("{}.out", host.with(GOOD))).to_string();
        assert!(out.contains("secretctl-manifest.json") && !out.contains(canary));
        // The search would find it.
        let found = format!(
            "{GOOD} secretctl.secrets.token.testValue = \"{canary}\"; secretctl.useTestValues = true;"
        );
        host.build(&found).unwrap_or_else(|error| panic!("{error}"));
        assert!(host.store_has(canary));
    }
}

/// The checked manifest is the one that the units name.
#[test]
fn a_good_manifest_is_built_and_read() {
    for host in Host::all() {
        with_canaries(&host, "value");
        let system = host.build(GOOD).unwrap_or_else(|error| panic!("{error}"));
        let unit = fs::read_to_string(system.join("secretctl.service")).unwrap();
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let manifest = start.rsplit_once(' ').unwrap().1;
        assert!(Path::new(manifest).is_file(), "{manifest}");
        let run = host.fleet.run(&["activate", "--check", manifest]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    }
}

/// What is text is refused before it could get to the store.
#[test]
fn plaintext_is_refused_during_evaluation() {
    let canary = "canary-in-plain-5d2e";
    let cases = [
        ("plain.yaml", "password: canary\n", "", ""),
        ("plain.json", "{ \"password\": \"canary\" }\n", "", ""),
        ("plain.env", "PASSWORD=canary\n", "", ""),
        ("plain.ini", "[a]\npassword = canary\n", "", ""),
        ("plain.bin", "canary", "binary", ""),
        ("plain.age", "canary", "armored", ""),
        ("plain.asc", "canary", "", ""),
        // Words alone do not make it encrypted.
        ("words.yaml", "sops:\n    note: ENC[ canary\n", "", ""),
        ("service.yaml", "password: canary\n", "", "services.web."),
    ];
    for host in Host::all() {
        for (name, content, format, place) in cases {
            host.write(name, &content.replace("canary", canary));
            let format = if format.is_empty() {
                String::new()
            } else {
                format!("secretctl.{place}secrets.x.format = \"{format}\";")
            };
            let options = format!("secretctl.{place}secrets.x.file = ./{name}; {format}");
            let option = format!("`secretctl.{place}secrets.x.file` is not encrypted");
            for expression in
                ["out.manifestPath", "out.units", "config.system.build.toplevel.drvPath"]
            {
                let whole = format!("{}.{expression}", host.with(&options));
                let Err(error) = host.nix.eval(&whole) else { panic!("{name}: {expression}") };
                assert!(error.contains(&option), "{name}: {expression}: {error}");
                assert!(!error.contains(canary), "{error}");
            }
            assert!(host.error(&options).contains(&option));
            assert!(!host.store_has(canary), "{name}");
        }
    }
}

/// What Nix cannot read, and what only the program knows, is refused by the build.
#[test]
fn what_could_not_be_installed_is_not_built() {
    for host in Host::all() {
        with_canaries(&host, "value");
        host.put_foreign("foreign.age", "value");
        host.write("plain.age", "a password\0of bytes\n");
        host.write("plain", "a password\n");
        host.write(
            "half.yaml",
            "a: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]\nsops: {}\n",
        );
        // what is refused, by which option, and why
        let cases = [
            ("secrets.x.file = ./plain.age;", "secrets.x", "is not encrypted"),
            ("secrets.x.file = ./plain;", "secrets.x", "is not encrypted"),
            ("secrets.x.file = ./half.yaml;", "secrets.x", "half.yaml"),
            ("secrets.x.file = ./foreign.age;", "secrets.x", "not among the readers"),
            (
                "services.web.secrets.x.file = ./foreign.age;",
                "services.web.secrets.x",
                "not among the readers",
            ),
            (
                "secrets.x = { file = ./db.yaml; key = \"database/missing\"; };",
                "secrets.x",
                "no value `database/missing`",
            ),
            ("secrets.x = { file = ./db.yaml; format = \"age\"; };", "secrets.x", "db.yaml"),
            ("templates.x.content = \"<secretctl:nobody>\";", "templates.x", "nobody"),
        ];
        for (declared, option, reason) in cases {
            let error = host.error(&format!("{GOOD} secretctl.{declared}"));
            for part in [&format!("(secretctl.{option})"), reason] {
                assert!(error.contains(part), "{declared}: {part}: {error}");
            }
        }
        // Without the public key nobody can know.
        let unknown = format!(
            "{GOOD} secretctl.hostPublicKey = lib.mkForce null; secretctl.secrets.x.file = ./foreign.age;"
        );
        host.build(&unknown).unwrap_or_else(|error| panic!("{error}"));
        // And who does not want it checked, has it not checked.
        let unchecked = "secretctl.validation.enable = false; secretctl.secrets.x.file = ./plain;";
        host.build(unchecked).unwrap_or_else(|error| panic!("{error}"));
    }
}
