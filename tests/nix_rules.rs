//! Rules that Nix evaluates: agenix repositories of every kind that people have, and flakes, all
//! with the real program.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use secretctl::rules::{Request, RuleSet, Rules, RulesError, Wanted, load};

const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";
const WEB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPkIzCXOn/LxUGR4UQnFCvzDN0J8KNLTmCEiZ6nMpUqX";
const PLUGIN: &str = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t";

struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        Self { folder }
    }

    /// `<ALICE>`, `<WEB>` and `<PLUGIN>` stand for keys.
    fn with(self, name: &str, text: &str) -> Self {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = text.replace("<ALICE>", ALICE).replace("<WEB>", WEB);
        fs::write(file, text.replace("<PLUGIN>", PLUGIN)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, wanted: Wanted<'_>) -> Result<RuleSet, RulesError> {
        load(&request(self.folder.path(), wanted, &[]))
    }

    fn all(&self) -> RuleSet {
        self.load(Wanted::All).unwrap()
    }

    fn text(&self, error: &RulesError) -> String {
        let text = error.to_string().replace(self.folder.path().to_str().unwrap(), "");
        let lines: Vec<&str> = text.lines().take_while(|line| !line.contains("at /")).collect();
        lines.join("\n")
    }
}

fn request<'a>(start: &'a Path, wanted: Wanted<'a>, options: &'a [String]) -> Request<'a> {
    // Where the store is closed to the user, sources go into one below this folder.
    let cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")));
    Request {
        start,
        here: start,
        explicit: None,
        base: None,
        wanted,
        nix_options: options,
        cache,
        evaluate: true,
    }
}

fn readers(set: &RuleSet, file: &Path) -> Vec<String> {
    let (rules, rule) = set.for_file(file).unwrap().unwrap();
    rules.readers_of(rule).map(|reader| reader.name.clone()).collect()
}

fn nix_is_missing() -> bool {
    let missing = Command::new("nix-instantiate").arg("--version").output().is_err();
    if missing {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "nix-instantiate is missing");
        println!("skipped: nix-instantiate is not installed");
    }
    missing
}

#[test]
fn odd_rules_of_agenix_work() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new()
        .with("keys/web.pub", "<WEB> root@web\n")
        .with("keys.nix", "{ alice = \"<ALICE> alice@laptop\"; }")
        .with("lib/all.nix", "f: builtins.mapAttrs (name: keys: { publicKeys = f keys; })")
        .with(
            "secrets/secrets.nix",
            r#"
            let
              inherit (import ../keys.nix) alice;
              users = [ alice ];
              hosts = { web = builtins.readFile ../keys/web.pub; };
              systems = builtins.attrValues hosts;
              publicKeys = users ++ systems;
            in
            {
              "one.age" = { inherit publicKeys; armor = true; generator = x: x; };
              "./two.age".publicKeys = users ++ users ++ map (x: x) [ "<PLUGIN>" ];
              "sub/three.age".publicKeys = systems;
              "/abs/olute.age".publicKeys = users;
              "../four words.age".publicKeys = users;
              "no suffix".publicKeys = [ "${alice} again" ];
              helper = { a = 1; };
              keys = users;
              function = x: throw "never";
            }
            // (import ../lib/all.nix (ks: ks ++ users)) { "made.age" = systems; }
            // builtins.listToAttrs (
              map (n: { name = "listed-${toString n}.age"; value.publicKeys = users; }) [ 1 2 ]
            )
            "#,
        );
    let set = repository.all();
    assert!(set.problems.is_empty(), "{:?}", set.problems);
    let read = |name: &str| readers(&set, &repository.path(&format!("secrets/{name}")));
    assert_eq!(read("one.age"), ["alice@laptop", "root@web"]);
    assert_eq!(read("two.age"), ["alice@laptop", "age1yubikey1..3rhl3t"]);
    assert_eq!(read("sub/three.age"), ["root@web"]);
    assert_eq!(read("../four words.age"), ["alice@laptop"]);
    assert_eq!(read("no suffix"), ["alice@laptop"]);
    assert_eq!(read("made.age"), ["root@web", "alice@laptop"]);
    assert_eq!(read("listed-2.age"), ["alice@laptop"]);
    assert_eq!(readers(&set, Path::new("/abs/olute.age")), ["alice@laptop"]);
    assert!(set.for_file(&repository.path("secrets/none.age")).unwrap().is_none());
    let rules = &set.sources[0];
    assert_eq!(rules.rules.len(), 9);
    let one = rules.find(&repository.path("secrets/one.age")).unwrap();
    assert_eq!(one.armor, Some(true));
    let place = one.place.to_string();
    assert!(place.ends_with("secrets/secrets.nix:10:15 (\"one.age\")"), "{place}");
}

#[test]
fn each_broken_attribute_is_named_and_the_others_work() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new().with(
        "secrets.nix",
        r#"
        let k = [ "<ALICE>" ]; in {
          "a-good.age".publicKeys = k;
          "b-throws.age".publicKeys = throw "not yet";
          "c-missing.age".publicKeys = [ (import ./nowhere.nix) ];
          "d-undefined.age".publicKeys = { }.x;
          "e-nested.age".publicKeys = [ k ];
          "f-path.age".publicKeys = [ ./key.pub ];
          "g-empty.age".publicKeys = [ ];
          "h-string.age".publicKeys = "<ALICE>";
          "i-short.age".publicKeys = k ++ [ "ssh-ed25519 AAAA" ];
          "j-bare.age" = k;
          "k-keyless.age" = { };
          "l-armor.age" = { publicKeys = k; armor = "yes"; };
          "m-twice.age".publicKeys = k;
          "./m-twice.age".publicKeys = k ++ [ "<WEB>" ];
          "n-private.age".publicKeys = [ "AGE-SECRET-KEY-1QQQ" ];
          "z-good.age".publicKeys = k;
        }"#,
    );
    let set = repository.all();
    for good in ["a-good.age", "z-good.age", "m-twice.age"] {
        assert!(set.for_file(&repository.path(good)).unwrap().is_some(), "{good}");
    }
    let [error @ RulesError::Problems { problems, .. }] = &set.problems[..] else {
        panic!("{:?}", set.problems)
    };
    let names: Vec<String> =
        problems.iter().map(|problem| problem.place.attribute.clone().unwrap()).collect();
    let text = error.to_string();
    for letter in 'b'..='n' {
        let found = names.iter().filter(|n| n.trim_matches(['"', '.', '/']).starts_with(letter));
        assert_eq!(found.count(), 1, "{letter} in {text}");
    }
    assert_eq!(problems.len(), 13, "{text}");
    for part in [
        "not yet",
        "nowhere.nix",
        "attribute 'x' missing",
        "element 0 of `publicKeys` (now a list) must be a string: lists are joined",
        "element 0 of `publicKeys` (now a path) must be a string: read the file",
        "nobody could read `g-empty.age`",
        "`publicKeys` (now a string) must be a list",
        "element 1 of `publicKeys`: the recipient cannot be used",
        "its value is a list, not a set with `publicKeys`",
        "it has no `publicKeys`",
        "`armor` must be true or false",
        "has a different rule at",
        "this is a private key",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_broken_neighbour_does_not_block_a_single_file() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new().with(
        "secrets.nix",
        r#"{
          "good.age".publicKeys = [ "<ALICE> a" ];
          "./dotted.age".publicKeys = [ "<ALICE> a" ];
          "bad.age".publicKeys = [ (import ./nowhere.nix) ];
          "throws.age".publicKeys = throw "because of ${"x"}";
        }"#,
    );
    for name in ["good.age", "dotted.age"] {
        let file = repository.path(name);
        let set = repository.load(Wanted::File(&file)).unwrap();
        assert_eq!(readers(&set, &file), ["a"]);
        assert!(set.problems.is_empty());
    }
    let none = repository.path("none.age");
    let set = repository.load(Wanted::File(&none)).unwrap();
    assert!(set.for_file(&none).unwrap().is_none());
    let throws = repository.path("throws.age");
    let error = repository.load(Wanted::File(&throws)).unwrap_err();
    assert_eq!(
        repository.text(&error),
        "Nix cannot evaluate `/secrets.nix (\"throws.age\")`\n  error: because of x"
    );
}

#[test]
fn a_single_file_outside_of_the_base_is_found() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new().with(
        "secrets/secrets.nix",
        r#"{
          "../hosts/a b.age".publicKeys = [ "<ALICE>" ];
          "x/../../odd.age".publicKeys = [ "<WEB>" ];
        }"#,
    );
    for name in ["hosts/a b.age", "odd.age"] {
        let file = repository.path(name);
        let rules = repository.path("secrets/secrets.nix");
        let set = load(&Request {
            explicit: Some(&rules),
            ..request(repository.folder.path(), Wanted::File(&file), &[])
        });
        assert_eq!(readers(&set.unwrap(), &file).len(), 1, "{name}");
    }
}

#[test]
fn a_string_of_several_keys_means_all_of_them() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new()
        .with("both.pub", "<ALICE> a\n\n<WEB> w\n")
        .with("secrets.nix", r#"{ "x.age".publicKeys = [ (builtins.readFile ./both.pub) ]; }"#);
    assert_eq!(readers(&repository.all(), &repository.path("x.age")), ["a", "w"]);
    assert!(secretctl::key::Recipient::parse(&format!("{ALICE} a\n{WEB} w")).is_err());
}

#[test]
fn files_that_are_no_rules_as_a_whole_are_refused() {
    if nix_is_missing() {
        return;
    }
    let error = |text: &str| {
        let repository = Repository::new().with("secrets.nix", text);
        let error = repository.load(Wanted::All).unwrap_err();
        repository.text(&error)
    };
    assert_eq!(
        error("{ config, ... }: { }"),
        "`/secrets.nix` must be an attribute set of rules, but its value is a function"
    );
    assert!(error("[ ]").ends_with("its value is a list"));
    assert!(error("{ a = ; }").contains("syntax error"), "{}", error("{ a = ; }"));
    assert!(error("throw \"no\"").contains("error: no"));
    assert!(error("import ./nowhere.nix").contains("nowhere.nix"));
}

#[test]
fn no_name_is_ever_code() {
    if nix_is_missing() {
        return;
    }
    let folder = "a b'\"${throw \"spliced\"}$(touch x)`";
    let name = "x\"${throw \"spliced\"} ''.age";
    let repository = Repository::new().with(
        &format!("{folder}/secrets.nix"),
        r#"{ "x\"\${throw \"spliced\"} ''.age".publicKeys = [ "<ALICE> a" ]; }"#,
    );
    let start = repository.path(folder);
    let file = start.join(name);
    for wanted in [Wanted::All, Wanted::File(&file)] {
        let set = load(&request(&start, wanted, &[])).unwrap();
        assert_eq!(readers(&set, &file), ["a"]);
    }
}

#[test]
fn names_are_relative_to_the_given_base() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new()
        .with("nix/rules.nix", r#"{ "secrets/a.age".publicKeys = [ "<ALICE> a" ]; }"#);
    let file = repository.path("secrets/a.age");
    let rules = repository.path("nix/rules.nix");
    for wanted in [Wanted::All, Wanted::File(&file)] {
        let request = Request {
            explicit: Some(&rules),
            base: Some(repository.folder.path()),
            ..request(repository.folder.path(), wanted, &[])
        };
        let set = load(&request).unwrap();
        assert_eq!(readers(&set, &file), ["a"]);
        assert_eq!(set.secret_files().unwrap(), std::slice::from_ref(&file));
    }
}

#[test]
fn two_sources_must_agree() {
    if nix_is_missing() {
        return;
    }
    let repository = Repository::new()
        .with(
            "secrets.nix",
            r#"{
              "a.age".publicKeys = [ "<ALICE> a" ];
              "b.age".publicKeys = [ "<WEB>" ];
              "c.age".publicKeys = [ "<ALICE>" "<WEB>" ];
            }"#,
        )
        .with(
            "secretctl.yaml",
            "users: {alice: <ALICE>}\nsecrets:\n- {path: '*.age', readers: alice}\n",
        );
    let set = repository.all();
    assert_eq!(readers(&set, &repository.path("a.age")), ["alice"]);
    let error = set.for_file(&repository.path("b.age")).unwrap_err();
    let text = repository.text(&error);
    assert!(text.contains("disagree about `/b.age`"), "{text}");
    assert!(text.contains(": only the one names alice, only the other names ssh-"), "{text}");
    assert!(text.contains("one: /secretctl.yaml:3:10\n  other: /secrets.nix:3:"), "{text}");
    let error = set.for_file(&repository.path("c.age")).unwrap_err();
    let text = repository.text(&error);
    assert!(text.contains("about `/c.age`: only the other names ssh-"), "{text}");
}

#[test]
fn files_are_listed_and_the_unclaimed_ones_found() {
    let repository = Repository::new()
        .with(
            "secretctl.yaml",
            "users: {alice: <ALICE>}\nsecrets:\n- {path: 'in/**', readers: alice}\n- {path: \
             missing.age, readers: alice}\n",
        )
        .with("in/deep/a.age", "")
        .with("in/b", "")
        .with("out/c.age", "")
        .with("out/d", "age-encryption.org/v1\n")
        .with("out/e", "-----BEGIN AGE ENCRYPTED FILE-----\n")
        .with("out/f", "text")
        .with(".git/g.age", "");
    std::os::unix::fs::symlink(repository.path("in"), repository.path("link")).unwrap();
    let set = load(&request(&repository.path("in/deep/a.age"), Wanted::All, &[])).unwrap();
    let shown = |files: Vec<PathBuf>| -> Vec<String> {
        let relative = files.into_iter().map(|file| {
            file.strip_prefix(repository.folder.path()).unwrap().to_str().unwrap().to_owned()
        });
        relative.collect()
    };
    assert_eq!(shown(set.secret_files().unwrap()), ["in/b", "in/deep/a.age", "missing.age"]);
    assert_eq!(shown(set.unclaimed().unwrap()), ["out/c.age", "out/d", "out/e"]);
    assert_eq!(set.roots(), [repository.folder.path()]);
    let empty = Repository::new();
    assert!(matches!(empty.load(Wanted::All), Err(RulesError::NoRules { .. })));
}

/// The small nixpkgs of the tests, with the real `lib` where `NIXPKGS_LIB` names its folder.
struct Nixpkgs {
    folder: tempfile::TempDir,
}

impl Nixpkgs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nix"), folder.path());
        if let Some(lib) = std::env::var_os("NIXPKGS_LIB") {
            copy(Path::new(&lib), &folder.path().join("lib"));
            fs::write(folder.path().join("minilib.nix"), "import ./lib").unwrap();
        }
        Self { folder }
    }

    /// Options of Nix that put it in the place of the real one.
    fn options(&self) -> Vec<String> {
        let nixpkgs = format!("path:{}", self.folder.path().display());
        ["--override-input", "nixpkgs", &nixpkgs].map(ToOwned::to_owned).into()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = entry.map(|e| (e.path(), to.join(e.file_name()))).unwrap();
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

const FLEET: &str = r#"
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs";
  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      foreign = import ./foreign.nix;
      host = module: { inherit (lib.evalModules { modules = [ ./module/options.nix foreign module ]; }) config; };
    in {
      nixosConfigurations = {
        web1 = host {
          secretctl.hostPublicKey = "<WEB> root@web1";
          secretctl.defaultEncryptKeys.alice = "<ALICE> alice@laptop";
          secretctl.secrets.shared.file = ./secrets/shared.age;
          secretctl.services.nginx.secrets.tls.file = ./secrets/tls;
          sops.secrets.s.sopsFile = ./secrets/s.yaml;
        };
        db1 = host {
          secrix.hostPubKey = "<PLUGIN>";
          secrix.defaultEncryptKeys.bob = [ "<ALICE>" ];
          age.secrets.shared = { file = ./secrets/shared.age; rekeyFile = null; };
          age.secrets.outside.file = "/elsewhere/x.age";
          secrix.system.secrets.x.encrypted.file = "${self}/secrets/x";
          secrix.services.pg.secrets.y = { encrypted.file = ./secrets/y; encryptKeys.carol = [ "<WEB> carol" ]; };
        };
        idle = host { };
      };
      secretctl = import ./module/rules.nix self;
    };
}
"#;

const FOREIGN: &str = r#"
{ lib, ... }: {
  options = lib.genAttrs [ "age" "sops" "secrix" ] (_: lib.mkOption { type = lib.types.anything; default = { }; });
}
"#;

fn fleet() -> Repository {
    let repository = Repository::new();
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("nixos-module");
    copy(&module, &repository.path("module"));
    repository
        .with("flake.nix", FLEET)
        .with("foreign.nix", FOREIGN)
        .with("secrets/shared.age", "")
        .with("secrets/tls", "")
        .with("secrets/s.yaml", "")
        .with("secrets/x", "")
        .with("secrets/y", "")
}

#[test]
fn a_flake_gives_rules_from_what_its_hosts_declare() {
    if nix_is_missing() {
        return;
    }
    let repository = fleet();
    // A plain folder is a `path:` flake.
    fs::remove_dir(repository.path(".git")).unwrap();
    let nixpkgs = Nixpkgs::new();
    let options = nixpkgs.options();
    let set = load(&request(repository.folder.path(), Wanted::All, &options)).unwrap();
    let read = |name: &str| readers(&set, &repository.path(&format!("secrets/{name}")));
    assert_eq!(read("shared.age"), ["db1", "web1", "bob", "alice"]);
    assert_eq!(read("tls"), ["web1", "bob", "alice"]);
    assert_eq!(read("s.yaml"), ["web1", "bob", "alice"]);
    assert_eq!(read("x"), ["db1", "bob", "alice"]);
    assert_eq!(read("y"), ["db1", "carol", "bob", "alice"]);
    assert!(
        set.notes.iter().any(|note| note.ends_with("db1: /elsewhere/x.age")),
        "{:?}",
        set.notes
    );
    let Rules { rules, readers, .. } = &set.sources[0];
    assert_eq!((rules.len(), readers.len()), (5, 5));
    assert!(!repository.path("flake.lock").exists());
}

#[test]
fn a_host_without_a_public_key_is_named() {
    if nix_is_missing() {
        return;
    }
    let text = FLEET
        .replace("idle = host { };", "idle = host { secretctl.secrets.a.file = ./secrets/x; };");
    let repository = fleet().with("flake.nix", &text);
    fs::remove_dir(repository.path(".git")).unwrap();
    let nixpkgs = Nixpkgs::new();
    let options = nixpkgs.options();
    let error = load(&request(repository.folder.path(), Wanted::All, &options)).unwrap_err();
    assert!(error.to_string().contains("no public key is known of idle"), "{error}");
}

#[test]
fn rules_of_a_flake_do_not_build() {
    if nix_is_missing() {
        return;
    }
    let system = if cfg!(target_arch = "aarch64") { "aarch64-linux" } else { "x86_64-linux" };
    let repository = Repository::new().with(
        "flake.nix",
        &r#"{ outputs = _: { secretctl = import (derivation {
          name = "x"; system = "SYSTEM"; builder = "/bin/sh";
          args = [ "-c" "echo '{ version = 1; }' >$out" ];
        }); }; }"#
            .replace("SYSTEM", system),
    );
    fs::remove_dir(repository.path(".git")).unwrap();
    let error = load(&request(repository.folder.path(), Wanted::All, &[])).unwrap_err();
    assert!(error.to_string().contains("import-from-derivation"), "{error}");
}

#[test]
fn a_flake_in_git_sees_what_git_knows() {
    if nix_is_missing() || Command::new("git").arg("--version").output().is_err() {
        println!("skipped: git is not installed");
        return;
    }
    let repository = fleet();
    fs::remove_dir(repository.path(".git")).unwrap();
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(repository.folder.path()).args(args).output();
        assert!(output.unwrap().status.success(), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    let nixpkgs = Nixpkgs::new();
    let options = nixpkgs.options();
    let start = repository.path("secrets");
    let set = load(&request(&start, Wanted::All, &options)).unwrap();
    assert_eq!(readers(&set, &repository.path("secrets/tls")), ["web1", "bob", "alice"]);
    // Whoever edits rules has a dirty tree; that is no news.
    assert!(!set.notes.iter().any(|note| note.contains("dirty")), "{:?}", set.notes);
}

#[test]
fn a_package_of_the_same_name_is_not_taken_for_the_rules() {
    if nix_is_missing() {
        return;
    }
    let system = if cfg!(target_arch = "aarch64") { "aarch64-linux" } else { "x86_64-linux" };
    let repository = Repository::new().with(
        "flake.nix",
        &r#"{ outputs = _: {
          packages.SYSTEM.secretctl = derivation { name = "x"; system = "SYSTEM"; builder = "x"; };
          secretctl = { version = 1; hosts.web = "<WEB>"; secrets."a.age".readers = [ "web" ]; };
        }; }"#
            .replace("SYSTEM", system),
    );
    fs::remove_dir(repository.path(".git")).unwrap();
    match load(&request(repository.folder.path(), Wanted::All, &[])) {
        Ok(set) => assert_eq!(readers(&set, &repository.path("a.age")), ["web"]),
        // Old Nix has no way to say which is meant; it must at least not go unnoticed.
        Err(error) => assert!(error.to_string().contains("has a package `secretctl`"), "{error}"),
    }
}

#[test]
fn results_are_kept_only_while_nothing_changed() {
    if nix_is_missing() || Command::new("git").arg("--version").output().is_err() {
        return;
    }
    let flake = |name: &str| {
        format!(
            "{{ outputs = _: {{ secretctl = {{ version = 1; hosts.{name} = \"<WEB>\"; \
             secrets.\"a.age\".readers = [ \"{name}\" ]; }}; }}; }}"
        )
    };
    let repository = Repository::new()
        .with("flake.nix", &flake("web"))
        .with("flake.lock", r#"{ "nodes": { "root": { } }, "root": "root", "version": 7 }"#);
    fs::remove_dir(repository.path(".git")).unwrap();
    let git = |args: &[&str]| {
        Command::new("git").current_dir(repository.folder.path()).args(args).output().unwrap();
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    let caches = tempfile::tempdir().unwrap();
    let cache = caches.path().join("secretctl");
    let file = repository.path("a.age");
    let read = |repository: &Repository| {
        let base = request(repository.folder.path(), Wanted::All, &[]);
        let set = load(&Request { cache: Some(&cache), ..base }).unwrap();
        readers(&set, &file)
    };
    assert_eq!(read(&repository), ["web"]);
    let entry = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    // What is kept is what is used: a mark in the entry shows.
    let kept = fs::read_to_string(&entry).unwrap();
    assert!(kept.contains("\"web\""), "{kept}");
    fs::write(&entry, kept.replace("\"web\"", "\"kept\"")).unwrap();
    assert_eq!(read(&repository), ["kept"]);
    // Any change of the tree makes it worthless, and so does a folder that others can write.
    let repository = repository.with("flake.nix", &flake("db"));
    assert_eq!(read(&repository), ["db"]);
    let kept = fs::read_to_string(&entry).unwrap();
    fs::write(&entry, kept.replace("\"db\"", "\"kept\"")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&cache, mode).unwrap();
    assert_eq!(read(&repository), ["db"]);
}

#[test]
fn the_flake_of_the_project_evaluates() {
    if nix_is_missing() {
        return;
    }
    let eval = ["--extra-experimental-features", "nix-command", "eval", "--expr", "1"];
    if !Command::new("nix").args(eval).output().unwrap().status.success() {
        println!("skipped: the store of nix is closed to this user");
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for name in ["flake.nix", "Cargo.toml", "Cargo.lock"] {
        fs::copy(here.join(name), folder.path().join(name)).unwrap();
    }
    for name in ["nixos-module", "testdata"] {
        copy(&here.join(name), &folder.path().join(name));
    }
    fs::create_dir(folder.path().join("src")).unwrap();
    let nixpkgs = Nixpkgs::new();
    let nix = |args: &[&str]| {
        let output = Command::new("nix")
            .current_dir(folder.path())
            .args(["--extra-experimental-features", "nix-command flakes"])
            .args(args)
            .args(["--no-write-lock-file"])
            .args(nixpkgs.options())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    nix(&["flake", "check", "--no-build"]);
    let shown = nix(&["flake", "show", "--json"]);
    for part in [
        "devShells",
        "packages",
        "overlays",
        "formatter",
        "checks",
        "apps",
        "nixosModules",
        "homeModules",
        "darwinModules",
        "vm-test-run-secretctl-restarts",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}
