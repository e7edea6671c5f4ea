//! What is remembered of a `secrets.nix`: an answer is used again as long as nothing that it was
//! made from has changed, and no longer. With each Nix that is there.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

// test-only
const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";

/// A repository, a cache, and a Nix that counts how often it is run.
struct Repository {
    folder: tempfile::TempDir,
}

/// How often Nix was run for an answer.
#[derive(Debug, PartialEq, Eq)]
enum From {
    Memory,
    OneRun,
    MoreRuns,
}

impl Repository {
    fn new(nix: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["repo/.git", "home", "bin"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let repository = Self { folder };
        let script = format!(
            "#!/bin/sh\necho run >>'{}'\nexec '{}' \"$@\"\n",
            repository.folder.path().join("runs").display(),
            nix.display()
        );
        let program = repository.folder.path().join("bin/nix-instantiate");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }

    /// `<ALICE>` stands for a key.
    fn write(&self, name: &str, text: &str) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.replace("<ALICE>", ALICE)).unwrap();
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (String, From) {
        let runs = self.folder.path().join("runs");
        fs::write(&runs, "").unwrap();
        let old = std::env::var("PATH").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_secretctl"));
        command.current_dir(self.path("")).args(arguments);
        command.env("PATH", format!("{}:{old}", self.folder.path().join("bin").display()));
        command.env("HOME", self.folder.path().join("home"));
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command.env_remove("RULES").envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let from = match fs::read_to_string(runs).unwrap().lines().count() {
            0 => From::Memory,
            1 => From::OneRun,
            _ => From::MoreRuns,
        };
        (String::from_utf8(text).unwrap(), from)
    }

    /// Who reads `a.age`, and how often Nix was run for that.
    fn ask(&self) -> (String, From) {
        let (text, from) = self.run(&["status"], &[]);
        let line = text.lines().find_map(|line| line.strip_prefix("a.age "));
        (line.unwrap_or(&text).trim().replace(" no file", "").trim().to_owned(), from)
    }

    #[track_caller]
    fn gives(&self, readers: &str, from: From) {
        assert_eq!(self.ask(), (readers.to_owned(), from));
    }

    fn entries(&self) -> Vec<PathBuf> {
        let Ok(found) = fs::read_dir(self.folder.path().join("cache/secretctl")) else {
            return Vec::new();
        };
        found.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Runs a test with the old and the new Nix, or with that of `PATH`.
fn with_each_nix(test: impl Fn(&Repository)) {
    let named = ["SECRETCTL_TEST_NIX_OLD", "SECRETCTL_TEST_NIX_NEW"].map(std::env::var_os);
    let mut programs: Vec<PathBuf> = named
        .into_iter()
        .flatten()
        .map(|nix| Path::new(&nix).with_file_name("nix-instantiate"))
        .collect();
    if programs.is_empty() {
        let path = std::env::var_os("PATH").unwrap();
        programs.extend(std::env::split_paths(&path).map(|folder| folder.join("nix-instantiate")));
        programs.retain(|program| program.is_file());
        programs.truncate(1);
    }
    if programs.is_empty() {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "nix-instantiate is missing");
        println!("skipped: nix-instantiate is not installed");
    }
    for program in programs {
        println!("with {}", program.display());
        test(&Repository::new(&program));
    }
}

#[test]
fn an_answer_is_used_again_until_something_that_was_read_changes() {
    with_each_nix(|repository| {
        let write = |name: &str, text: &str| repository.write(name, text);
        write(
            "secrets.nix",
            r#"
            let
              inherit (import ./lib) all key;
              extra = if builtins.pathExists ./more.nix then __map key [ "more" ] else [ ];
              files = builtins.attrNames (builtins.readDir ./keys);
              web = builtins.readFile ./keys/web.pub;
              again = with builtins; __readFile (toString ./keys + "/web.pub");
            in
            assert again == web;
            all (extra ++ [ web ] ++ map key files)
            "#,
        );
        write(
            "lib/default.nix",
            r#"{
              key = import ./key.nix;
              all = publicKeys: { "a.age" = { inherit publicKeys; }; "b.age" = { inherit publicKeys; }; };
            }"#,
        );
        write("lib/key.nix", "name: \"<ALICE> all\"");
        write("keys/web.pub", "<ALICE> web\n");
        repository.gives("web", From::OneRun);
        repository.gives("web", From::Memory);
        // What was not read does not matter.
        write("other.nix", "throw \"never\"");
        write("b.age", "");
        repository.gives("web", From::Memory);

        write("keys/web.pub", "<ALICE> sea\n");
        repository.gives("sea", From::OneRun);
        repository.gives("sea", From::Memory);
        // Of the same size, in the same moment, with the old time.
        let time = fs::metadata(repository.path("keys/web.pub")).unwrap().modified().unwrap();
        write("keys/web.pub", "<ALICE> tea\n");
        let file = fs::File::options().append(true).open(repository.path("keys/web.pub")).unwrap();
        file.set_modified(time).unwrap();
        repository.gives("tea", From::OneRun);
        // A file that only `readDir` sees.
        write("keys/new.pub", "");
        repository.gives("tea", From::OneRun);
        repository.gives("tea", From::Memory);
        fs::remove_file(repository.path("keys/new.pub")).unwrap();
        repository.gives("tea", From::OneRun);
        // Something that only `pathExists` sees.
        write("more.nix", "");
        repository.gives("all", From::OneRun);
        repository.gives("all", From::Memory);
        // An import of an import.
        write("lib/key.nix", "name: \"<ALICE> imported\"");
        repository.gives("imported", From::OneRun);
        repository.gives("imported", From::Memory);
        // What was right before is not remembered: one entry a file.
        write("lib/key.nix", "name: \"<ALICE> all\"");
        repository.gives("all", From::OneRun);
        assert_eq!(repository.entries().len(), 1);
        write("secrets.nix", "{ \"a.age\".publicKeys = [ \"<ALICE> me\" ]; }");
        repository.gives("me", From::OneRun);
    });
}

#[test]
fn links_are_part_of_what_was_read() {
    with_each_nix(|repository| {
        let relink = |target: &str, link: &str| {
            let link = repository.path(link);
            let _ = fs::remove_file(&link);
            symlink(target, link).unwrap();
        };
        for (folder, name) in [("one", "first"), ("two", "other")] {
            // The two files are the same; what they import is not.
            repository.write(&format!("{folder}/keys.nix"), "import ./name.nix");
            repository.write(&format!("{folder}/name.nix"), &format!("[ \"<ALICE> {name}\" ]"));
        }
        relink("one/keys.nix", "keys.nix");
        relink("one", "folder");
        repository.write("secrets.nix", "{ \"a.age\".publicKeys = import ./keys.nix; }");
        // Links are looked at before and after, which takes a second run.
        repository.gives("first", From::MoreRuns);
        repository.gives("first", From::Memory);
        relink("two/keys.nix", "keys.nix");
        repository.gives("other", From::MoreRuns);
        repository.gives("other", From::Memory);

        repository.write("secrets.nix", "{ \"a.age\".publicKeys = import ./folder/name.nix; }");
        repository.gives("first", From::MoreRuns);
        relink("two", "folder");
        repository.gives("other", From::MoreRuns);
        repository.gives("other", From::Memory);
        // Out of the repository, and the content there.
        let outside = repository.folder.path().join("outside.nix");
        fs::write(&outside, format!("[ \"{ALICE} out\" ]")).unwrap();
        relink("../outside.nix", "keys.nix");
        repository.write("secrets.nix", "{ \"a.age\".publicKeys = import ./keys.nix; }");
        repository.gives("out", From::MoreRuns);
        repository.gives("out", From::Memory);
        fs::write(&outside, format!("[ \"{ALICE} now\" ]")).unwrap();
        repository.gives("now", From::MoreRuns);
        repository.gives("now", From::Memory);
        // `secrets.nix` itself.
        repository.write("real/secrets.nix", "{ \"a.age\".publicKeys = [ \"<ALICE> real\" ]; }");
        relink("real/secrets.nix", "secrets.nix");
        repository.gives("real", From::OneRun);
        repository.gives("real", From::Memory);
    });
}

#[test]
fn what_depends_on_anything_else_is_never_remembered() {
    with_each_nix(|repository| {
        repository.write("key.pub", "<ALICE> alice");
        repository.write("keys/default.nix", "{ get = builtins.getEnv; }");
        for value in [
            "builtins.getEnv \"NIX_TEST_NAME\"",
            "__getEnv \"NIX_TEST_NAME\"",
            "builtins.${\"get\" + \"Env\"} \"NIX_TEST_NAME\"",
            "(builtins.tryEval (with builtins; getEnv \"NIX_TEST_NAME\")).value",
            "(import ./keys).get \"NIX_TEST_NAME\"",
            "(builtins.scopedImport { } ./keys).get \"NIX_TEST_NAME\"",
            "if builtins.currentTime > 1 then \"1\" else \"0\"",
            "if builtins.any (s: s == __currentSystem) [ \"x\" ] then \"1\" else \"0\"",
            "toString (builtins.length __nixPath)",
            // What is put into the store has its content in its name.
            "builtins.substring 0 5 (baseNameOf \"${./key.pub}\")",
            "toString (builtins.stringLength (__toJSON ./key.pub))",
            "baseNameOf (builtins.toFile \"x\" \"y\")",
            "builtins.substring 0 1 (builtins.readFile \"${./.}/key.pub\")",
        ] {
            repository.write(
                "secrets.nix",
                &format!("{{ \"a.age\".publicKeys = [ \"<ALICE> x${{{value}}}\" ]; }}"),
            );
            for name in ["one", "two"] {
                let (text, from) = repository.run(&["status"], &[("NIX_TEST_NAME", name)]);
                assert_ne!(from, From::Memory, "{value}: {text}");
                assert!(text.contains("a.age"), "{value}: {text}");
                assert!(!text.contains("secretctl: "), "{value}: {text}");
                let wanted = format!("x{name} ");
                let depends = value.contains("NIX_TEST_NAME");
                assert_eq!(text.contains(&wanted), depends, "{value}: {text}");
            }
            assert!(repository.entries().is_empty(), "{value}");
        }
        // Nor with further arguments for Nix.
        repository.write("secrets.nix", "{ \"a.age\".publicKeys = [ \"<ALICE> me\" ]; }");
        for _ in 0..2 {
            let arguments =
                ["status", "--nix-arg", "--option", "--nix-arg", "cores", "--nix-arg", "1"];
            assert_eq!(repository.run(&arguments, &[]).1, From::OneRun);
        }
        assert!(repository.entries().is_empty());
    });
}

#[test]
fn what_is_broken_is_not_remembered_and_told_as_ever() {
    with_each_nix(|repository| {
        for (text, error) in [
            (
                "{ \"a.age\".publicKeys = throw \"not yet\"; \"b.age\".publicKeys = [ ]; }",
                "not yet",
            ),
            ("{ \"a.age\".publicKeys = [ (import ./none.nix) ]; }", "none.nix"),
            ("{ config }: { }", "its value is a function"),
            ("{ a = ", "syntax error"),
        ] {
            repository.write("secrets.nix", text);
            for _ in 0..2 {
                let (said, from) = repository.run(&["status"], &[]);
                assert!(said.contains(error) && from != From::Memory, "{said}");
            }
        }
        assert!(repository.entries().is_empty());
        // A key that is none is an error of ours: Nix need not be asked for it again.
        repository.write("secrets.nix", "{ \"a.age\".publicKeys = [ \"ssh-ed25519 AAAA\" ]; }");
        let (first, _) = repository.run(&["status"], &[]);
        let (second, from) = repository.run(&["status"], &[]);
        assert_eq!((first, From::Memory), (second, from));
    });
}

#[test]
fn an_entry_is_taken_only_whole_and_from_a_folder_of_our_own() {
    with_each_nix(|repository| {
        repository.write("secrets.nix", "{ \"a.age\".publicKeys = [ \"<ALICE> me\" ]; }");
        repository.gives("me", From::OneRun);
        let entry = repository.entries().pop().unwrap();
        let folder = entry.parent().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&entry), mode(folder)), (0o600, 0o700));
        let whole = fs::read_to_string(&entry).unwrap();
        // What is in the entry is what is used.
        fs::write(&entry, whole.replace(" me\"", " kept\"")).unwrap();
        repository.gives("kept", From::Memory);
        for broken in ["", "{}", "null", &whole[..whole.len() / 2], &whole.replace('[', "{")] {
            fs::write(&entry, broken).unwrap();
            repository.gives("me", From::OneRun);
            repository.gives("me", From::Memory);
        }
        fs::write(&entry, whole.replace(" me\"", " kept\"")).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o722)).unwrap();
        repository.gives("me", From::OneRun);
        fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
        // Of another Nix, or with another configuration.
        repository.gives("kept", From::Memory);
        let (text, from) = repository.run(&["status"], &[("NIX_CONFIG", "cores = 1")]);
        assert!(text.contains(" me ") && from == From::OneRun, "{text}");
    });
}

#[test]
fn old_entries_go_and_strange_files_stay() {
    with_each_nix(|repository| {
        let folder = repository.folder.path().join("cache/secretctl");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_hours(40 * 24);
        for name in ["agenix-old.json", "flake-old.json", "own.json", ".entry-left"] {
            fs::write(folder.join(name), "").unwrap();
            let file = fs::File::options().append(true).open(folder.join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        for number in 0..120 {
            fs::write(folder.join(format!("agenix-{number}.json")), "").unwrap();
        }
        repository.write("secrets.nix", "{ \"a.age\".publicKeys = [ \"<ALICE> me\" ]; }");
        repository.gives("me", From::OneRun);
        let left = repository.entries();
        assert_eq!(left.len(), 101, "{left:?}");
        assert!(folder.join("own.json").exists() && !folder.join("flake-old.json").exists());
        repository.gives("me", From::Memory);
    });
}

#[test]
fn a_single_file_uses_what_is_remembered_and_else_needs_only_its_own_attribute() {
    with_each_nix(|repository| {
        let rules = |other: &str| {
            let text = format!(
                "{{ \"../a.age\".publicKeys = [ \"<ALICE> me\" ]; \"x.age\".publicKeys = {other}; }}"
            );
            repository.write("rules/secrets.nix", &text);
        };
        let encrypt = |file: &str| {
            let arguments = ["--rules", "rules/secrets.nix", "edit", file];
            repository.run(&arguments, &[("EDITOR", "false")])
        };
        rules("[ \"<ALICE> you\" ]");
        // Nothing is remembered of an answer for one file.
        assert_ne!(encrypt("a.age").1, From::Memory);
        assert!(repository.entries().is_empty());
        repository.run(&["--rules", "rules/secrets.nix", "status"], &[]);
        for file in ["a.age", "rules/x.age", "none.age"] {
            let (text, from) = encrypt(file);
            assert_eq!(from, From::Memory, "{text}");
            assert_eq!(text.contains("no rule is about"), file == "none.age", "{text}");
        }
        // A neighbour that cannot even be evaluated.
        rules("[ (import ./none.nix) ]");
        let (text, _) = encrypt("a.age");
        assert!(!text.contains("none.nix"), "{text}");
    });
}

#[test]
fn rules_do_not_build() {
    with_each_nix(|repository| {
        repository.write(
            "secrets.nix",
            r#"{ "a.age".publicKeys = import (derivation {
              name = "x"; system = builtins.currentSystem; builder = "/bin/sh";
              args = [ "-c" "echo '[ ]' >$out" ];
            }); }"#,
        );
        let (text, _) = repository.run(&["status"], &[]);
        assert!(text.contains("rules are evaluated without builds"), "{text}");
    });
}
