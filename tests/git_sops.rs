//! `secretctl git` for sops files in real repositories: merges by value, what is shown and what is
//! not, attributes and the hook. The real sops reads what a merge comes to.
//!
//! `SECRETCTL_TEST_SOPS_NEW` names it.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;
mod desk;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Fleet, PROGRAM, Run, finish, is_there};

const YAML: &str = "secrets/db.yaml";
const DOCUMENT: &str =
    "# who may\nuser: admin\npassword: one\n\nports: [1, 2]\nnested:\n  a: x # of a\n  b: bb\n";

/// A fleet in a real repository, in which git calls us.
struct Repo(Fleet);

impl Repo {
    fn new(files: &[(&str, &str)]) -> Option<Self> {
        if !is_there("git") {
            return None;
        }
        let repo = Self(Fleet::new());
        symlink(PROGRAM, repo.0.root().join("bin/secretctl")).unwrap();
        repo.git(&["init", "-q", "-b", "main", "."]).done();
        for (name, text) in files {
            repo.0.put(name, text.as_bytes());
        }
        repo.0.run(&["git", "install", "--attributes"]).done();
        repo.commit("begin");
        Some(repo)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = std::env::var_os("PATH").unwrap();
        let git = std::env::split_paths(&path)
            .map(|f| f.join("git"))
            .find(|file| file.is_file())
            .unwrap();
        let who = ["-c", "user.name=test", "-c", "user.email=test@test", "-c", "gc.auto=0"];
        let mut command = self.0.around(&git, &[&who[..], arguments].concat());
        command.env("SECRETCTL_IDENTITY", self.0.key("alice")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_EDITOR", "true");
        command
    }

    fn git(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments), b"")
    }

    fn git_of_stranger(&self, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        command.env("SECRETCTL_IDENTITY", self.0.key("stranger"));
        finish(command, b"")
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]).done();
        self.git(&["commit", "-q", "-m", message]).done();
    }

    /// Two branches, on each of which something is done.
    fn diverge(&self, ours: impl FnOnce(&Self), theirs: impl FnOnce(&Self)) {
        self.git(&["checkout", "-q", "-b", "theirs"]).done();
        theirs(self);
        self.commit("theirs");
        self.git(&["checkout", "-q", "main"]).done();
        ours(self);
        self.commit("ours");
    }

    /// Replaces a text in the document of a file.
    #[track_caller]
    fn change(&self, name: &str, from: &str, to: &str) {
        let old = self.document(name);
        assert!(old.contains(from), "{from} in {old}");
        self.0.put(name, old.replace(from, to).as_bytes());
    }

    /// What a file decrypts to, as alice.
    #[track_caller]
    fn document(&self, name: &str) -> String {
        let run = self.0.run(&["git", "textconv", name]).done();
        assert_eq!(run.stderr, "");
        String::from_utf8(run.stdout).unwrap()
    }

    /// Whether somebody can decrypt a file.
    fn reads(&self, name: &str, who: &str) -> bool {
        let mut command = self.0.bare(&["git", "textconv", name]);
        command.env("SECRETCTL_IDENTITY", self.0.key(who));
        !finish(command, b"").done().stderr.contains("is shown encrypted")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path(name)).unwrap()
    }

    /// The line of a file that has a key, in one version.
    #[track_caller]
    fn line_at(&self, commit: &str, name: &str, key: &str) -> String {
        let shown = self.git(&["cat-file", "blob", &format!("{commit}:{name}")]).done();
        let text = String::from_utf8(shown.stdout).unwrap();
        let is_it = |line: &&str| line.trim_start_matches([' ', '"']).starts_with(key);
        text.lines().find(is_it).unwrap_or_else(|| panic!("{key}")).to_owned()
    }

    #[track_caller]
    fn merges(&self) {
        self.git(&["merge", "-q", "theirs", "-m", "merge"]).done();
        assert!(self.git(&["status", "--porcelain"]).done().stdout.is_empty());
        assert!(self.0.litter().is_empty());
    }

    /// What the real sops makes of a file; `None` where there is none.
    #[track_caller]
    fn sops(&self, name: &str) -> Option<String> {
        let sops = desk::peer("SECRETCTL_TEST_SOPS_NEW", true)?;
        let file = self.0.path(name);
        let mut command = self.0.around(&sops, &["decrypt", file.to_str().unwrap()]);
        command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", self.0.key("alice"));
        Some(String::from_utf8(finish(command, b"").done().stdout).unwrap())
    }

    /// No file of the work tree, of git or of the folders for temporary files holds a text.
    #[track_caller]
    fn nothing_holds(&self, text: &str) {
        for file in common::files_below(self.0.root()) {
            if file.is_symlink() || file.starts_with(self.0.root().join("bin")) {
                continue;
            }
            let bytes = fs::read(&file).unwrap_or_default();
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{text} in {}", file.display());
        }
    }

    /// Runs `git resolve` on a terminal with an editor of this script.
    fn resolve(&self, name: &str, script: &str) {
        let editor = self.0.script("editor", script);
        let mut command = self.0.command(&["git", "resolve", name]);
        command.env("EDITOR", editor).stdin(Stdio::inherit());
        let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
        session.exp_string("resolved").unwrap();
        session.exp_eof().unwrap();
    }
}

#[test]
fn changes_of_different_values_merge_and_keep_their_ciphertexts() {
    for (name, document, [ours, theirs]) in [
        (YAML, DOCUMENT, ["user", "password"]),
        (
            "secrets/db.json",
            "{\n  \"user\": \"admin\",\n  \"password\": \"one\",\n  \"k\": 1\n}\n",
            ["user", "password"],
        ),
        ("secrets/db.env", "# who\nuser=admin\npassword=one\nk=1\n", ["user", "password"]),
        ("secrets/db.ini", "[s]\nuser = admin\npassword = one\nk = 1\n", ["user", "password"]),
    ] {
        let Some(repo) = Repo::new(&[(name, document)]) else { return };
        repo.diverge(
            |repo| repo.change(name, "admin", "CANARY-ours"),
            |repo| repo.change(name, "one", "CANARY-theirs"),
        );
        repo.merges();
        let wanted = document.replace("admin", "CANARY-ours").replace("one", "CANARY-theirs");
        assert_eq!(repo.document(name), wanted);
        let line = |commit, key| repo.line_at(commit, name, key);
        assert_eq!(line("HEAD", ours), line("HEAD~1", ours), "{name}");
        assert_eq!(line("HEAD", theirs), line("theirs", theirs), "{name}");
        let mac = if name.ends_with("env") { "sops_mac" } else { "mac" };
        let of_both = if name == YAML { "a: ENC" } else { "k" };
        assert_eq!(line("HEAD", of_both), line("HEAD~2", of_both), "{name}");
        assert_ne!(line("HEAD", mac), line("theirs", mac), "{name}");
        if let Some(document) = repo.sops(name) {
            assert!(document.contains("CANARY-ours") && document.contains("CANARY-theirs"));
        }
        repo.nothing_holds("CANARY-");
    }
}

#[test]
fn what_they_added_and_removed_comes_with_its_comments() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(
        |repo| repo.change(YAML, "admin", "root"),
        |repo| {
            repo.change(YAML, "  b: bb\n", "  # about c\n  c: [p, {q: z}]\n");
            repo.change(YAML, "ports: [1, 2]\n", "");
        },
    );
    repo.merges();
    let document = repo.document(YAML);
    assert_eq!(
        document,
        "# who may\nuser: root\npassword: one\n\nnested:\n  a: x # of a\n  # about c\n  c: [\"p\", {q: \"z\"}]\n"
    );
    assert!(repo.sops(YAML).is_none_or(|document| document.contains("user: root")));
}

#[test]
fn comments_that_do_not_merge_are_told_of() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(
        |repo| repo.change(YAML, "# who may\n", "# mine\n"),
        |repo| {
            repo.change(YAML, "# who may\n", "# CANARY theirs\n");
            repo.change(YAML, "  b: bb", "  b: cc");
        },
    );
    let run = repo.git(&["merge", "theirs", "-m", "merge"]).done();
    assert!(run.stderr.contains("comments of theirs in `secrets/db.yaml` were left out"));
    assert!(!run.stderr.contains("CANARY"), "{}", run.stderr);
    assert_eq!(repo.document(YAML), DOCUMENT.replace("who may", "mine").replace("b: bb", "b: cc"));
}

#[test]
fn documents_after_the_first_merge_too() {
    let text = "a: one\nb: two\n---\nc: three\nd: four\ne: five\nf: six\n";
    let Some(repo) = Repo::new(&[(YAML, text)]) else { return };
    repo.diverge(
        |repo| repo.change(YAML, "three", "ours"),
        |repo| repo.change(YAML, "six", "theirs"),
    );
    repo.merges();
    assert_eq!(repo.document(YAML), text.replace("three", "ours").replace("six", "theirs"));
    repo.sops(YAML);
}

#[test]
fn whole_files_merge_by_lines() {
    let name = "secrets/list";
    fs_rules_and(name, |repo| {
        repo.diverge(
            |repo| repo.change(name, "one", "ours"),
            |repo| repo.change(name, "four", "theirs"),
        );
        repo.merges();
        assert_eq!(repo.document(name), "ours\ntwo\nthree\ntheirs\n");
        assert_eq!(repo.sops(name).unwrap_or(repo.document(name)), "ours\ntwo\nthree\ntheirs\n");
    });
}

/// A repository with a `.sops.yaml` and a binary file.
fn fs_rules_and(name: &str, test: impl FnOnce(&Repo)) {
    if !is_there("git") {
        return;
    }
    let repo = Repo(Fleet::new());
    symlink(PROGRAM, repo.0.root().join("bin/secretctl")).unwrap();
    repo.git(&["init", "-q", "-b", "main", "."]).done();
    fs::remove_file(repo.0.path("secretctl.yaml")).unwrap();
    let rules = format!(
        "creation_rules:\n  - path_regex: ^secrets/\n    age: {}\n",
        repo.0.public("alice")
    );
    fs::write(repo.0.path(".sops.yaml"), rules).unwrap();
    repo.0.put(name, b"one\ntwo\nthree\nfour\n");
    repo.0.run(&["git", "install", "--attributes", "--hook"]).done();
    repo.commit("begin");
    test(&repo);
}

#[test]
fn a_contradiction_keeps_ours_and_is_resolved_in_the_editor() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(
        |repo| {
            repo.change(YAML, "one", "CANARY-ours");
            repo.change(YAML, "x # of a", "ours # of a");
        },
        |repo| {
            repo.change(YAML, "one", "CANARY-theirs");
            repo.change(YAML, "b: bb", "b: cc");
        },
    );
    let before = repo.text(YAML);
    let run = repo.git(&["merge", "theirs"]).ended(1);
    let all = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
    assert!(all.contains("contradict each other at `[\"password\"]`; ours was kept"), "{all}");
    assert!(all.contains("secretctl git resolve secrets/db.yaml"), "{all}");
    assert!(all.contains("CONFLICT") && !all.contains("CANARY"), "{all}");
    assert_eq!(repo.text(YAML), before);
    repo.nothing_holds("CANARY-");
    repo.0.run(&["git", "resolve", YAML]).ended(2).says("still has changes");
    assert_eq!(repo.text(YAML), before);

    repo.resolve(
        YAML,
        "grep -q '^<<<<<<< ours$' \"$1\" && grep -q CANARY-theirs \"$1\" || exit 9\n\
         sed -i -e '/^<<<<<<< /d' -e '/^|||||||/,/^>>>>>>> /d' -e 's/CANARY-ours/CANARY-both/' \
         \"$1\"",
    );
    let document = repo.document(YAML);
    // What does not contradict was not asked about.
    let ours = DOCUMENT.replace("one", "CANARY-both").replace("x # of a", "ours # of a");
    assert_eq!(document, ours.replace("b: bb", "b: cc"));
    // Nobody changed it, on the way to here either.
    repo.commit("merge");
    assert_eq!(repo.line_at("HEAD", YAML, "user"), repo.line_at("HEAD~2", YAML, "user"));
    repo.nothing_holds("CANARY-");
    assert!(repo.sops(YAML).is_none_or(|document| document.contains("password: CANARY-both")));
    repo.0.run(&["git", "resolve", YAML]).ended(2).says("is not in conflict");
}

fn rules(repo: &Repo, hosts: &[&str]) {
    let all: Vec<String> =
        hosts.iter().map(|name| format!("  {name}: {}\n", repo.0.public(name))).collect();
    let text = format!(
        "users:\n  alice: {}\nhosts:\n{}defaultEncryptKeys: [alice]\n\
         secrets:\n  - path: secrets/**\n    readers: [{}]\n",
        repo.0.public("alice"),
        all.concat(),
        hosts.join(", ")
    );
    fs::write(repo.0.path("secretctl.yaml"), text).unwrap();
    repo.0.run(&["rekey"]).done();
}

#[test]
fn a_reader_added_on_one_side_and_a_value_changed_on_the_other() {
    for added_by_us in [true, false] {
        let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
        let add = |repo: &Repo| rules(repo, &["web1", "web2"]);
        let change = |repo: &Repo| repo.change(YAML, "one", "new");
        if added_by_us {
            repo.diverge(add, change);
        } else {
            repo.diverge(change, add);
        }
        let side = if added_by_us { "HEAD" } else { "theirs" };
        let entry = repo.git(&["cat-file", "blob", &format!("{side}:{YAML}")]).done().stdout;
        let entry = String::from_utf8(entry).unwrap();
        repo.merges();
        assert!(["alice", "web1", "web2"].iter().all(|who| repo.reads(YAML, who)));
        assert!(!repo.reads(YAML, "stranger"));
        assert_eq!(repo.document(YAML), DOCUMENT.replace("one", "new"));
        // What the new reader was given stays as it is.
        let wrapped = |text: &str| text.lines().filter(|l| !l.contains(':')).collect::<String>();
        assert_eq!(wrapped(&repo.text(YAML)), wrapped(&entry));
        repo.0.run(&["rekey", "--check"]).done();
        repo.sops(YAML);
    }
}

#[test]
fn a_reader_removed_on_one_side_and_a_value_changed_in_a_file_that_moved_on_the_other() {
    for removed_by_us in [true, false] {
        let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
        rules(&repo, &["web1", "web2"]);
        repo.commit("two readers");
        let remove = |repo: &Repo| rules(repo, &["web1"]);
        let change = |repo: &Repo| {
            repo.change(YAML, "one", "CANARY-new");
            repo.git(&["mv", YAML, "secrets/moved.yaml"]).done();
        };
        if removed_by_us {
            repo.diverge(remove, change);
        } else {
            repo.diverge(change, remove);
        }
        repo.git(&["merge", "-q", "-Xfind-renames=20%", "theirs", "-m", "merge"]).done();
        let moved = "secrets/moved.yaml";
        assert_eq!(repo.document(moved), DOCUMENT.replace("one", "CANARY-new"));
        assert!(repo.reads(moved, "web1") && !repo.reads(moved, "web2"), "{removed_by_us}");
        // The key of the side that removed somebody, not the one that they have.
        let key = if removed_by_us { "HEAD~1" } else { "theirs" };
        assert_eq!(repo.line_at("HEAD", moved, "user:"), repo.line_at(key, YAML, "user:"));
        repo.sops(moved);
        repo.nothing_holds("CANARY-");
    }
}

#[test]
fn both_sides_removed_a_reader_and_the_file_gets_a_new_key() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    rules(&repo, &["web1", "web2", "web3"]);
    repo.commit("readers");
    repo.diverge(|repo| rules(repo, &["web1", "web2"]), |repo| rules(repo, &["web1", "web3"]));
    // The rules themselves contradict each other.
    repo.git(&["merge", "theirs"]).ended(1);
    let status = repo.git(&["status", "--porcelain", "--", YAML]).done();
    assert_eq!(String::from_utf8(status.stdout).unwrap(), format!("M  {YAML}\n"));
    assert!(repo.reads(YAML, "web1"));
    assert!(!repo.reads(YAML, "web2") && !repo.reads(YAML, "web3"));
    assert_eq!(repo.document(YAML), DOCUMENT);
    let user = |text: &str| text.lines().find(|l| l.starts_with("user:")).unwrap().to_owned();
    let merged = user(&repo.text(YAML));
    assert_ne!(merged, repo.line_at("HEAD", YAML, "user:"));
    assert_ne!(merged, repo.line_at("theirs", YAML, "user:"));
    repo.sops(YAML);
}

/// Adds an entry to the metadata, which nobody needs a key for, and which opens nothing.
fn add_stranger(repo: &Repo) {
    let (text, key) = (repo.text(YAML), repo.0.public("stranger"));
    let key = key.rsplit_once(' ').unwrap().0;
    let entry = format!("\nsops:\n  age:\n    - enc: x\n      recipient: {key}\n");
    assert!(text.contains("\nsops:\n  age:\n"), "{text}");
    fs::write(repo.0.path(YAML), text.replacen("\nsops:\n  age:\n", &entry, 1)).unwrap();
}

#[test]
fn who_was_put_into_one_side_without_a_key_is_not_given_that_of_the_other() {
    let rotate = |repo: &Repo| drop(repo.0.run(&["rotate", YAML]).done());
    for by_us in [false, true] {
        let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
        if by_us {
            repo.diverge(add_stranger, rotate);
        } else {
            repo.diverge(rotate, add_stranger);
        }
        let before = repo.text(YAML);
        let run = repo.git(&["merge", "theirs"]).ended(1);
        let told = "one side adds readers whom its rule does not name: ssh-ed25519 ";
        assert!(run.stderr.contains(told), "{}", run.stderr);
        assert_eq!(repo.text(YAML), before);
        repo.0.run(&["git", "resolve", YAML]).done().says("left out, since the rules do not");
        assert!(repo.reads(YAML, "web1") && !repo.reads(YAML, "stranger"), "{by_us}");
        assert!(!repo.text(YAML).contains("enc: x"));
        assert_eq!(repo.document(YAML), DOCUMENT);
        repo.0.run(&["rekey", "--check"]).done();
    }
    // Whom the rules name is given it.
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(|repo| rules(repo, &["web1", "web2"]), rotate);
    repo.merges();
    assert!(repo.reads(YAML, "web2") && repo.reads(YAML, "alice"));
}

#[test]
fn where_no_rule_tells_who_reads_a_merge_tells_whom_it_adds() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    fs::remove_file(repo.0.path("secretctl.yaml")).unwrap();
    repo.commit("no rules");
    repo.diverge(|repo| drop(repo.0.run(&["rotate", YAML]).done()), add_stranger);
    let run = repo.git(&["merge", "theirs", "-m", "merge"]).done();
    assert!(run.stderr.contains("one side adds readers: +ssh-ed25519 "), "{}", run.stderr);
}

/// Rules of sops with groups of readers, of which two are needed.
fn groups(repo: &Repo, groups: &[&[&str]]) {
    let group = |names: &&[&str]| {
        let keys = names.iter().map(|name| format!("          - {}\n", repo.0.public(name)));
        format!("      - age:\n{}", keys.collect::<String>())
    };
    let one = groups.len() == 1;
    let groups: String = groups.iter().map(group).collect();
    let threshold = if one { "" } else { "    shamir_threshold: 2\n" };
    let text =
        format!("creation_rules:\n  - path_regex: ^secrets/\n{threshold}    key_groups:\n{groups}");
    fs::write(repo.0.path(".sops.yaml"), text).unwrap();
}

#[test]
fn groups_of_keys_that_both_sides_changed_stay_those_of_one_side_until_a_rekey() {
    if !is_there("git") {
        return;
    }
    let repo = Repo(Fleet::new());
    symlink(PROGRAM, repo.0.root().join("bin/secretctl")).unwrap();
    repo.git(&["init", "-q", "-b", "main", "."]).done();
    fs::remove_file(repo.0.path("secretctl.yaml")).unwrap();
    groups(&repo, &[&["alice"]]);
    repo.0.put(YAML, DOCUMENT.as_bytes());
    repo.0.run(&["git", "install", "--attributes"]).done();
    repo.commit("begin");
    repo.diverge(
        |repo| {
            groups(repo, &[&["alice", "web1"], &["alice", "web1"]]);
            repo.0.run(&["rekey"]).done();
            repo.change(YAML, "one", "CANARY-ours");
        },
        |repo| {
            groups(repo, &[&["alice", "web2"], &["alice", "web2"], &["alice"]]);
            repo.0.run(&["rekey"]).done();
            repo.change(YAML, "b: bb", "b: cc");
        },
    );
    let before = repo.text(YAML);
    let run = repo.git(&["merge", "theirs"]).ended(1);
    let all = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
    let told = "both sides of `secrets/db.yaml` changed the groups of keys, in different ways";
    assert!(all.contains(told) && all.contains("secretctl git resolve secrets/db.yaml"), "{all}");
    assert_eq!(repo.text(YAML), before);
    // The rules contradict each other too; these are what the two come to.
    groups(&repo, &[&["alice", "web1", "web2"], &["alice", "web1", "web2"], &["alice"]]);
    let run = repo.0.run(&["git", "resolve", YAML]).done();
    run.says("the groups of keys: as one side has it; run `secretctl rekey secrets/db.yaml`");
    let document = DOCUMENT.replace("one", "CANARY-ours").replace("b: bb", "b: cc");
    assert_eq!(repo.document(YAML), document);
    let readers = |who: [&str; 4]| who.map(|who| repo.reads(YAML, who));
    let all = ["alice", "web1", "web2", "stranger"];
    // Not as ours has it: who is in two of its groups would read with other groups than the rules say.
    assert_eq!(readers(all), [true, false, true, false]);
    repo.0.run(&["rekey", "--check"]).ended(1);
    repo.0.run(&["rekey", YAML]).done();
    assert_eq!(readers(all), [true, true, true, false]);
    assert_eq!(repo.document(YAML), document);
    repo.0.run(&["rekey", "--check"]).done();
    repo.commit("merge");
    repo.sops(YAML);
    repo.nothing_holds("CANARY-");
}

/// Adds a key of a service, which cannot be used here, to the metadata, as if sops had wrapped the
/// data key for it.
fn add_service(repo: &Repo) {
    let entry = "sops:\n  kms:\n    - arn: arn:aws:kms:eu-west-1:111:key/test-only\n      \
                 created_at: \"2026-01-01T00:00:00Z\"\n      enc: AQICAHtest\n      \
                 aws_profile: \"\"\n";
    let text = repo.text(YAML);
    assert!(text.contains("\nsops:\n  age:\n"), "{text}");
    fs::write(repo.0.path(YAML), text.replace("sops:\n", entry)).unwrap();
    assert!(repo.reads(YAML, "alice"));
}

#[test]
fn a_key_of_a_service_stays_and_a_new_data_key_is_not_made_without_it() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(|repo| repo.change(YAML, "one", "two"), add_service);
    repo.merges();
    assert_eq!(repo.line_at("HEAD", YAML, "enc: AQ"), repo.line_at("theirs", YAML, "enc: AQ"));
    assert_eq!(repo.document(YAML), DOCUMENT.replace("one", "two"));

    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    rules(&repo, &["web1", "web2", "web3"]);
    add_service(&repo);
    repo.commit("readers");
    let remove = |hosts: &'static [&str]| {
        move |repo: &Repo| {
            let text = repo.text("secretctl.yaml");
            rules(repo, hosts);
            fs::write(repo.0.path("secretctl.yaml"), text).unwrap();
            add_service(repo);
        }
    };
    repo.diverge(remove(&["web1", "web2"]), remove(&["web1", "web3"]));
    let before = repo.text(YAML);
    let run = repo.git(&["merge", "theirs"]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("cannot encrypt `secrets/db.yaml`"), "{}", run.stderr);
    assert!(run.stderr.contains("arn:aws:kms:eu-west-1:111:key/test-only"), "{}", run.stderr);
    assert_eq!(repo.text(YAML), before);
}

#[test]
fn a_value_is_not_opened_up_by_a_comment_that_was_left_out() {
    if !is_there("git") {
        return;
    }
    let Some(sops) = desk::peer("SECRETCTL_TEST_SOPS_NEW", true) else { return };
    let Some(repo) = Repo::new(&[]) else { return };
    let file = repo.0.path(YAML);
    fs::write(&file, "# note\na: plain\nb: plain\n").unwrap();
    let key = repo.0.public("alice");
    let arguments = ["-e", "-i", "--encrypted-comment-regex", "sec:", "--age", &key];
    let arguments = [&arguments[..], &[file.to_str().unwrap()]].concat();
    finish(repo.0.around(&sops, &arguments), b"").done();
    repo.0.run(&["git", "install", "--attributes"]).done();
    repo.commit("sops");
    repo.diverge(
        |repo| repo.change(YAML, "# note\n", "# mine\n"),
        |repo| {
            repo.change(YAML, "# note\na: plain", "# sec: it\na: CANARY-secret");
        },
    );
    repo.nothing_holds("CANARY-");
    let run = repo.git(&["merge", "theirs"]).ended(1);
    assert!(run.stderr.contains("would leave `[\"a\"]` unencrypted"), "{}", run.stderr);
    repo.nothing_holds("CANARY-");
}

/// The rule in a file needs no key to be changed: here it names all that is there, and the merge
/// takes the change over.
#[test]
fn a_value_is_not_opened_up_by_a_rule_that_the_other_side_changed() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(
        |repo| repo.change(YAML, "user: admin\n", "user: admin\ntoken: CANARY-secret\n"),
        |repo| {
            let rule = "encrypted_regex: ^(user|password|ports|nested)$";
            let text = repo.text(YAML).replace("unencrypted_suffix: _unencrypted", rule);
            assert!(text.contains(rule), "{text}");
            fs::write(repo.0.path(YAML), text).unwrap();
            repo.document(YAML);
        },
    );
    let run = repo.git(&["merge", "theirs"]).ended(1);
    assert!(run.stderr.contains("would leave `[\"token\"]` unencrypted"), "{}", run.stderr);
    repo.nothing_holds("CANARY-");
}

#[test]
fn git_shows_plaintext_where_it_is_asked_and_keeps_none() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.change(YAML, "one", "CANARY-two");
    let shown = |arguments: &[&str]| String::from_utf8(repo.git(arguments).done().stdout).unwrap();
    let diff = shown(&["diff"]);
    assert!(diff.contains("-password: one\n+password: CANARY-two\n"), "{diff}");
    assert!(!diff.contains("ENC[") && !diff.contains("lastmodified"), "{diff}");
    assert!(!shown(&["diff", "--no-textconv"]).contains("CANARY"));
    assert!(!shown(&["status", "-v", "--no-column"]).contains("CANARY-three"));
    repo.git(&["stash", "-q"]).done();
    repo.nothing_holds("CANARY-");
    assert_eq!(repo.document(YAML), DOCUMENT);
    assert!(shown(&["stash", "show", "-p", "--textconv"]).contains("+password: CANARY-two"));
    // A stash goes onto what has changed meanwhile.
    repo.change(YAML, "admin", "root");
    repo.commit("root");
    repo.git(&["stash", "pop", "-q"]).done();
    let both = DOCUMENT.replace("admin", "root").replace("one", "CANARY-two");
    assert_eq!(repo.document(YAML), both);
    repo.commit("two");
    assert!(shown(&["log", "-p", "-1"]).contains("+password: CANARY-two"));
    repo.nothing_holds("CANARY-");

    let diff = repo.git_of_stranger(&["log", "-p", "-1"]).done();
    let text = String::from_utf8(diff.stdout).unwrap();
    assert!(text.contains("+password: ENC[") && !text.contains("CANARY"), "{text}");
    assert!(diff.stderr.contains("is shown encrypted"), "{}", diff.stderr);
}

#[test]
fn rebase_and_cherry_pick_merge_too() {
    for how in ["rebase", "cherry-pick"] {
        let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
        repo.diverge(
            |repo| repo.change(YAML, "one", "two"),
            |repo| repo.change(YAML, "  b: bb", "  b: cc"),
        );
        repo.git(&[how, "theirs"]).done();
        let both = DOCUMENT.replace("one", "two").replace("b: bb", "b: cc");
        assert_eq!(repo.document(YAML), both, "{how}");
        repo.sops(YAML);
    }
}

#[test]
fn without_an_identity_a_merge_is_a_conflict_and_can_be_left() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(
        |repo| repo.change(YAML, "one", "two"),
        |repo| repo.change(YAML, "b: bb", "b: cc"),
    );
    let before = repo.text(YAML);
    let run = repo.git_of_stranger(&["merge", "theirs"]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("cannot decrypt `secrets/db.yaml`"), "{}", run.stderr);
    assert!(run.stderr.contains("nothing was merged"), "{}", run.stderr);
    assert_eq!(repo.text(YAML), before);
    let status = repo.git(&["status", "--porcelain"]).done();
    assert_eq!(String::from_utf8(status.stdout).unwrap(), format!("UU {YAML}\n"));
    // Whoever has one finishes it, and whoever has none leaves it.
    repo.git(&["merge", "--abort"]).done();
    assert!(repo.git(&["status", "--porcelain"]).done().stdout.is_empty());
    repo.git_of_stranger(&["merge", "theirs"]);
    repo.0.run(&["git", "resolve", YAML]).done().says("resolved");
    repo.commit("merge");
    assert_eq!(repo.document(YAML), DOCUMENT.replace("one", "two").replace("b: bb", "b: cc"));
}

#[test]
fn a_side_that_is_not_encrypted_is_no_merge() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    repo.diverge(
        |repo| repo.change(YAML, "one", "two"),
        |repo| fs::write(repo.0.path(YAML), DOCUMENT).unwrap(),
    );
    let before = repo.text(YAML);
    let run = repo.git(&["merge", "theirs"]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("is not encrypted in theirs"), "{}", run.stderr);
    assert_eq!(repo.text(YAML), before);
}

#[test]
fn attributes_name_the_sops_files_of_the_rules() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT), ("secrets/a b/c.json", "{\"k\": 1}\n")]) else {
        return;
    };
    let text = repo.text(".gitattributes");
    let line = |pattern: &str| format!("{pattern} -text diff=secretctl merge=secretctl\n");
    let wanted = ["*.age", "\"/secrets/a b/*.json\"", "/secrets/*.yaml"].map(line).concat();
    assert_eq!(text, wanted);
    let run = repo.git(&["check-attr", "merge", "--", YAML, "secrets/a b/c.json", "x.yaml"]).done();
    let told = String::from_utf8(run.stdout).unwrap();
    assert_eq!(told.matches("merge: secretctl").count(), 2, "{told}");
    repo.0.run(&["git", "install", "--attributes"]).done();
    assert_eq!(repo.text(".gitattributes"), wanted);
    repo.0.put("secrets/x.env", b"A=1\n");
    repo.0.run(&["git", "install"]).done().says("/secrets/*.env -text");
}

#[test]
fn the_hook_looks_into_sops_files() {
    let files = [YAML, "secrets/db.env", "secrets/db.json"];
    let Some(repo) = Repo::new(&[
        (YAML, DOCUMENT),
        ("secrets/db.env", "A=1\nB=2\n"),
        ("secrets/db.json", "{\"a\": \"x\"}\n"),
    ]) else {
        return;
    };
    repo.0.run(&["git", "install", "--hook"]).done();
    let old = files.map(|name| repo.text(name));
    let commit = |code: i32| {
        repo.git(&["add", "-A"]).done();
        repo.git(&["commit", "-q", "-m", "leak"]).ended(code)
    };
    for (name, text) in files.iter().zip(["a: CANARY\n", "A=CANARY\n", "{\"a\": \"CANARY\"}\n"]) {
        fs::write(repo.0.path(name), text).unwrap();
        // Only what is in the index counts.
        repo.git(&["add", "-A"]).done();
        fs::remove_file(repo.0.path(name)).unwrap();
        let run = repo.git(&["commit", "-q", "-m", "leak"]).ended(1);
        assert!(run.stderr.contains(&format!("`{name}` would be committed in the open")));
        repo.git(&["reset", "-q", "--hard"]).done();
    }
    // Somebody wrote a value into an encrypted file.
    for (name, old, from, to, place) in [
        (YAML, &old[0], "nested:\n", "nested:\n  new: CANARY\n", "[\"nested\"][\"new\"]"),
        ("secrets/db.env", &old[1], "A=", "NEW=CANARY\nA=", "[\"NEW\"]"),
        ("secrets/db.json", &old[2], "{", "{\"new\": \"CANARY\",", "[\"new\"]"),
    ] {
        fs::write(repo.0.path(name), old.replacen(from, to, 1)).unwrap();
        let run = commit(1);
        let wanted = format!("`{name}` would be committed with a value in the open, at `{place}`");
        assert!(run.stderr.contains(&wanted), "{}", run.stderr);
        assert!(!run.stderr.contains("CANARY"));
        repo.git(&["reset", "-q", "--hard"]).done();
    }
    repo.change(YAML, "one", "two");
    commit(0);
}

#[test]
fn the_hook_knows_binary_files_and_rules_of_sops() {
    let name = "secrets/list";
    fs_rules_and(name, |repo| {
        fs::write(repo.0.path(name), "CANARY\n").unwrap();
        fs::write(repo.0.path("readme"), "nothing secret\n").unwrap();
        repo.git(&["add", "-A"]).done();
        let run = repo.git(&["commit", "-q", "-m", "leak"]).ended(1);
        assert!(run.stderr.contains("`secrets/list` would be committed in the open"));
        assert!(!run.stderr.contains("readme") && !run.stderr.contains("CANARY"));
        repo.git(&["reset", "-q", "--hard"]).done();
        repo.change(name, "two", "2");
        repo.commit("fine");
        // A rule about everything makes nothing secret, and the rules are none themselves.
        let rules = format!("creation_rules:\n  - age: {}\n", repo.0.public("alice"));
        fs::write(repo.0.path(".sops.yaml"), rules).unwrap();
        fs::write(repo.0.path("readme"), "nothing secret\n").unwrap();
        repo.commit("rules");
    });
}

#[test]
fn what_textconv_prints_is_told_by_the_name_and_else_by_the_content() {
    let Some(repo) = Repo::new(&[(YAML, DOCUMENT)]) else { return };
    let copy = |name: &str| -> PathBuf {
        let file = repo.0.root().join("tmp").join(name);
        fs::copy(repo.0.path(YAML), &file).unwrap();
        file
    };
    for name in ["AbC_db.yaml", "no-ending"] {
        let file = copy(name);
        assert_eq!(repo.document(file.to_str().unwrap()), DOCUMENT, "{name}");
    }
    // A MAC that does not fit: shown encrypted, with a note, and git goes on.
    let file = copy("broken.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let cut = text.replacen("user: ENC", "other: ENC", 1);
    fs::write(&file, &cut).unwrap();
    let run = repo.0.run(&["git", "textconv", file.to_str().unwrap()]).done();
    assert!(run.stdout == cut.as_bytes() && run.stderr.contains("is shown encrypted"));
}
