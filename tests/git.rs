//! `secretctl git` in real repositories: diffs and merges by content, the hook, and what is left
//! alone.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{Fleet, PROGRAM, Run, finish, identity_of, is_there};

const DB: &str = "secrets/db.age";

/// A fleet in a real repository, in which git calls us.
struct Repo(Fleet);

impl Repo {
    fn new() -> Option<Self> {
        if !is_there("git") {
            return None;
        }
        let repo = Self(Fleet::new());
        symlink(PROGRAM, repo.0.root().join("bin/secretctl")).unwrap();
        repo.git(&["init", "-q", "-b", "main", "."]).done();
        repo.0.run(&["git", "install", "--attributes"]).done();
        repo.0.put(DB, b"one\ntwo\nthree\nfour\n");
        repo.commit("begin");
        Some(repo)
    }

    fn program() -> PathBuf {
        let path = std::env::var_os("PATH").unwrap();
        std::env::split_paths(&path).map(|f| f.join("git")).find(|file| file.is_file()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let who = ["-c", "user.name=test", "-c", "user.email=test@test", "-c", "gc.auto=0"];
        let mut command = self.0.around(&Self::program(), &[&who[..], arguments].concat());
        command.env("SECRETCTL_IDENTITY", self.0.key("alice")).env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    fn git(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments), b"")
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]).done();
        self.git(&["commit", "-q", "-m", message]).done();
    }

    /// Two branches, with a content each.
    fn diverge(&self, ours: &[u8], theirs: &[u8]) {
        self.git(&["checkout", "-q", "-b", "theirs"]).done();
        self.0.put(DB, theirs);
        self.commit("theirs");
        self.git(&["checkout", "-q", "main"]).done();
        self.0.put(DB, ours);
        self.commit("ours");
    }

    /// No file of the work tree or of git holds a text, packed objects apart.
    #[track_caller]
    fn nothing_holds(&self, text: &str) {
        for file in common::files_below(self.0.root()) {
            if file.is_symlink() {
                continue;
            }
            let bytes = fs::read(&file).unwrap_or_default();
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{text} in {}", file.display());
        }
        let notes = self.git(&["for-each-ref", "refs/notes"]).done();
        assert!(notes.stdout.is_empty());
    }
}

#[test]
fn a_diff_shows_contents_and_keeps_none() {
    let Some(repo) = Repo::new() else { return };
    repo.0.put(DB, b"one\nCANARY-git-2\nthree\nfour\n");
    let diff = String::from_utf8(repo.git(&["diff"]).done().stdout).unwrap();
    assert!(diff.contains("-two\n+CANARY-git-2\n three\n"), "{diff}");
    repo.commit("change");
    let log = String::from_utf8(repo.git(&["log", "-p", "-1"]).done().stdout).unwrap();
    assert!(log.contains("+CANARY-git-2\n"), "{log}");
    repo.nothing_holds("CANARY-git-2");
}

#[test]
fn who_cannot_decrypt_sees_that_something_changed() {
    let Some(repo) = Repo::new() else { return };
    repo.0.put(DB, b"other\n");
    let mut command = repo.command(&["diff"]);
    command.env("SECRETCTL_IDENTITY", repo.0.key("stranger"));
    let diff = String::from_utf8(finish(command, b"").done().stdout).unwrap();
    assert!(diff.contains("-[encrypted, SHA-256 ") && diff.contains("+[encrypted, SHA-256 "));
    assert!(!diff.contains("two") && !diff.contains("other"), "{diff}");
}

#[test]
fn what_was_not_encrypted_once_is_shown_as_it_was() {
    let Some(repo) = Repo::new() else { return };
    fs::write(repo.0.path("old.age"), "plain\n").unwrap();
    let run = repo.0.run(&["git", "textconv", "old.age"]).done();
    assert_eq!(run.stdout, b"plain\n");
}

#[test]
fn two_branches_that_changed_different_lines_merge() {
    let Some(repo) = Repo::new() else { return };
    repo.diverge(b"CANARY-ours\ntwo\nthree\nfour\n", b"one\ntwo\nthree\nCANARY-theirs\n");
    repo.git(&["merge", "-q", "theirs", "-m", "merge"]).done();
    let merged = b"CANARY-ours\ntwo\nthree\nCANARY-theirs\n";
    for reader in ["alice", "web1"] {
        assert_eq!(repo.0.open(DB, reader).unwrap(), merged);
    }
    assert!(repo.git(&["status", "--porcelain"]).done().stdout.is_empty());
    assert!(repo.0.litter().is_empty());
    repo.nothing_holds("CANARY-");
}

#[test]
fn a_rebase_merges_too() {
    let Some(repo) = Repo::new() else { return };
    repo.diverge(b"ours\ntwo\nthree\nfour\n", b"one\ntwo\nthree\ntheirs\n");
    repo.git(&["rebase", "-q", "theirs"]).done();
    assert_eq!(repo.0.open(DB, "alice").unwrap(), b"ours\ntwo\nthree\ntheirs\n");
}

#[test]
fn a_contradiction_keeps_ours_and_says_how_to_resolve_it() {
    let Some(repo) = Repo::new() else { return };
    repo.diverge(b"CANARY-ours\ntwo\nthree\nfour\n", b"CANARY-theirs\ntwo\nthree\nfour\n");
    let before = fs::read(repo.0.path(DB)).unwrap();
    let run = repo.git(&["merge", "theirs"]).ended(1);
    let all = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
    assert!(all.contains("secretctl git resolve secrets/db.age"), "{all}");
    assert!(all.contains("CONFLICT"), "{all}");
    assert_eq!(fs::read(repo.0.path(DB)).unwrap(), before);
    repo.nothing_holds("CANARY-");
    // Without a terminal nobody is asked, but an editor that is set runs.
    repo.0.run(&["git", "resolve", DB]).ended(2).says("or set EDITOR");
    repo.0.edit(&["git", "resolve", DB], "exit 0").ended(2).says("leave no marks");
    assert_eq!(fs::read(repo.0.path(DB)).unwrap(), before);
    let settled = "printf 'settled\\ntwo\\nthree\\nfour\\n' > \"$1\"";
    repo.0.edit(&["git", "resolve", DB], settled).done().says("resolved");
    assert_eq!(repo.0.open(DB, "web1").unwrap(), b"settled\ntwo\nthree\nfour\n");

    let editor = repo.0.script(
        "editor",
        "grep -q '^<<<<<<< ours$' \"$1\" && grep -q '^CANARY-theirs$' \"$1\" || exit 9\n\
         printf 'both\\ntwo\\nthree\\nfour\\n' > \"$1\"",
    );
    let mut command = repo.0.command(&["git", "resolve", DB]);
    command.env("EDITOR", editor).stdin(Stdio::inherit());
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    session.exp_string("resolved").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(repo.0.open(DB, "web1").unwrap(), b"both\ntwo\nthree\nfour\n");
    repo.commit("merge");
    repo.0.run(&["git", "resolve", DB]).ended(2).says("is not in conflict");
}

#[test]
fn a_merge_that_cannot_decrypt_is_a_conflict() {
    let Some(repo) = Repo::new() else { return };
    repo.diverge(b"ours\ntwo\nthree\nfour\n", b"one\ntwo\nthree\ntheirs\n");
    let before = fs::read(repo.0.path(DB)).unwrap();
    let mut command = repo.command(&["merge", "theirs"]);
    command.env("SECRETCTL_IDENTITY", repo.0.key("stranger"));
    let run = finish(command, b"");
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("cannot decrypt `secrets/db.age`"), "{}", run.stderr);
    assert_eq!(fs::read(repo.0.path(DB)).unwrap(), before);
}

#[test]
fn the_hook_stops_plaintext_where_a_secret_belongs() {
    let Some(repo) = Repo::new() else { return };
    let run = repo.0.run(&["git", "install", "--hook"]).done();
    run.says("show and merge secret files in this repository").says("/hooks/pre-commit`");
    let hook = repo.0.path(".git/hooks/pre-commit");
    assert_eq!(fs::metadata(&hook).unwrap().permissions().mode() & 0o777, 0o755);
    let set = identity_of(&hook);
    let run = repo.0.run(&["git", "install", "--hook"]).done();
    assert!(!run.stderr.contains("wrote"), "{}", run.stderr);
    assert_eq!(identity_of(&hook), set);

    fs::write(repo.0.path("secrets/new.age"), "CANARY-hook\n").unwrap();
    fs::write(repo.0.path("readme"), "nothing secret\n").unwrap();
    repo.git(&["add", "-A"]).done();
    // The work tree does not count.
    repo.0.put("secrets/other.age", b"x");
    fs::remove_file(repo.0.path("secrets/new.age")).unwrap();
    let run = repo.git(&["commit", "-q", "-m", "leak"]).ended(1);
    assert!(
        run.stderr.contains("`secrets/new.age` would be committed in the open"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("CANARY") && !run.stderr.contains("readme"), "{}", run.stderr);
    repo.git(&["add", "-A"]).done();
    repo.git(&["commit", "-q", "-m", "fine"]).done();
}

#[test]
fn a_hook_of_somebody_else_is_left_alone() {
    let Some(repo) = Repo::new() else { return };
    let hook = repo.0.path(".git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    let before = identity_of(&hook);
    let run = repo.0.run(&["git", "install", "--hook"]).ended(2);
    assert!(run.stderr.contains("secretctl git pre-commit || exit 1"), "{}", run.stderr);
    assert_eq!(identity_of(&hook), before);
}

#[test]
fn installing_twice_changes_nothing_and_outside_of_git_nothing_at_all() {
    let Some(repo) = Repo::new() else { return };
    let files = [".gitattributes", ".git/config"].map(|name| repo.0.path(name));
    let read = || files.each_ref().map(|file| fs::read(file).unwrap());
    let before = read();
    repo.0.run(&["git", "install", "--attributes"]).done();
    assert_eq!(read(), before);
    fs::write(&files[0], "*.txt text").unwrap();
    repo.0.run(&["git", "install"]).done().says("--attributes");
    repo.0.run(&["git", "install", "--attributes"]).done().says("wrote `").says(".gitattributes`");
    let text = fs::read_to_string(&files[0]).unwrap();
    assert_eq!(text, "*.txt text\n*.age -text diff=secretctl merge=secretctl\n");

    let mut outside = repo.0.command(&["git", "install"]);
    outside.current_dir(repo.0.root().join("tmp"));
    finish(outside, b"").ended(2).says("run this in the work tree");
    assert!(!Path::new(&repo.0.root().join("home/.gitconfig")).exists());
}

/// git does not follow such a link; a pattern that is a name of a file would be a line of the other.
#[test]
fn attributes_that_are_a_link_are_not_written() {
    let Some(repo) = Repo::new() else { return };
    let outside = repo.0.root().join("home/.bashrc");
    fs::write(&outside, "# mine\n").unwrap();
    for to in ["../home/.bashrc", "../home/new", "secretctl.yaml"] {
        let _gone = fs::remove_file(repo.0.path(".gitattributes"));
        symlink(to, repo.0.path(".gitattributes")).unwrap();
        let before = fs::read(repo.0.path("secretctl.yaml")).unwrap();
        repo.0.run(&["git", "install", "--attributes"]).ended(2).says("is a link");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "# mine\n");
        assert!(!repo.0.root().join("home/new").exists());
        assert_eq!(fs::read(repo.0.path("secretctl.yaml")).unwrap(), before);
    }
}

#[test]
fn names_that_look_like_options_are_names() {
    let Some(repo) = Repo::new() else { return };
    let rules = fs::read_to_string(repo.0.path("secretctl.yaml")).unwrap();
    let rules = rules.replace("secrets:\n", "secrets:\n  - path: \"*.age\"\n    readers: [web1]\n");
    fs::write(repo.0.path("secretctl.yaml"), rules).unwrap();
    let names = ["--help.age", "-iX.age"];
    let put = |text: &[u8]| names.map(|name| repo.0.put(name, text));
    put(b"one\ntwo\nthree\n");
    repo.commit("names");
    repo.git(&["checkout", "-q", "-b", "theirs"]).done();
    put(b"one\ntwo\ntheirs\n");
    let diff = String::from_utf8(repo.git(&["diff"]).done().stdout).unwrap();
    assert_eq!(diff.matches("-three\n+theirs\n").count(), 2, "{diff}");
    repo.commit("theirs");
    repo.git(&["checkout", "-q", "main"]).done();
    put(b"ours\ntwo\nthree\n");
    repo.commit("ours");
    repo.git(&["merge", "-q", "theirs", "-m", "merge"]).done();
    for name in names {
        assert_eq!(repo.0.open(name, "web1").unwrap(), b"ours\ntwo\ntheirs\n", "{name}");
    }
}
