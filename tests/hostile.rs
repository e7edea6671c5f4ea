//! What goes wrong around the program: inputs, files, disks, names, terminals. After any failure
//! the secret files are what they were, and nothing is left beside them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use common::{Fleet, PROGRAM, Run, finish, identity_of, is_root};

const DB: &str = "secrets/db.age";

/// Runs something that must fail with exit code 2 and leave the repository as it was.
#[track_caller]
fn refused(fleet: &Fleet, run: impl FnOnce(&Fleet) -> Run) -> Run {
    let state = |fleet: &Fleet| {
        let files = common::files_below(&fleet.path("."));
        let kept = files.into_iter().filter(|f| f.is_file() && !f.ends_with("secretctl.lock"));
        kept.map(|file| (identity_of(&file), file)).collect::<Vec<_>>()
    };
    let before = state(fleet);
    let run = run(fleet).ended(2);
    assert!(before == state(fleet), "something changed");
    assert!(!run.stderr.contains('\u{1b}'), "raw escapes: {}", run.stderr);
    run
}

/// A shell with the program as `$0`.
fn shell(fleet: &Fleet, script: &str) -> Run {
    let mut command = fleet.around(Path::new("/bin/bash"), &["-c", script, PROGRAM]);
    command.env("SECRETCTL_IDENTITY", fleet.key("alice"));
    finish(command, b"")
}

/// The same as a user without rights.
fn as_nobody(fleet: &Fleet, script: &str) -> Option<Run> {
    if !is_root() {
        return Some(shell(fleet, script));
    }
    if !common::is_there("setpriv") {
        return None;
    }
    // The build folder may be closed to other users.
    let program = fleet.root().join("bin/secretctl");
    if !program.exists() {
        common::copy_program(&program);
    }
    fleet.key("alice");
    let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(fleet.root()).status();
    assert!(chown.unwrap().success());
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script];
    let mut command = fleet.around(Path::new("setpriv"), &user);
    command.arg(program).env("SECRETCTL_IDENTITY", fleet.key("alice"));
    Some(finish(command, b""))
}

// -- several files ---------------------------------------------------------------------------

#[test]
fn one_file_that_cannot_be_opened_stops_all_and_all_such_are_named() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age", "secrets/c.age", "secrets/d.age"]);
    for name in ["secrets/b.age", "secrets/d.age"] {
        let stranger = fleet.public("stranger");
        fleet.feed(&["encrypt", "-r", &stranger, "-o", name], b"x").done();
    }
    fleet.rules(&format!("  db1: {}\n", fleet.public("db1")));
    fleet.run(&["host", "add", "db1x", "-r", &fleet.public("db1"), "--no-rekey"]);
    let run = refused(&fleet, |fleet| fleet.run(&["rekey", "--force"]));
    let run = run.says("`secrets/b.age`").says("`secrets/d.age`").says("none was changed");
    assert!(!run.stderr.contains("`secrets/a.age`"), "{}", run.stderr);
}

#[test]
fn a_broken_file_stops_a_rekey() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    let bytes = fs::read(fleet.path("secrets/b.age")).unwrap();
    fs::write(fleet.path("secrets/b.age"), &bytes[..60]).unwrap();
    refused(&fleet, |fleet| fleet.run(&["rekey", "--force"])).says("`secrets/b.age`");
}

#[test]
fn damaged_content_stops_a_rekey_before_anything_is_written() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    let mut bytes = fs::read(fleet.path("secrets/b.age")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(fleet.path("secrets/b.age"), &bytes).unwrap();
    refused(&fleet, |fleet| fleet.run(&["rekey", "--force"])).says("`secrets/b.age`");
    // The same where only a header is to be written.
    let db1 = fleet.public("db1");
    fleet.run(&["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--no-rekey"]).done();
    refused(&fleet, |fleet| fleet.run(&["rekey"])).says("`secrets/b.age`");
}

/// Files that are too large to be kept in memory are read again, armored ones too.
#[test]
fn a_reader_is_added_to_files_of_any_size() {
    let fleet = Fleet::with(&["secrets/small.age"]);
    let content = "a line of many\n".repeat(10_000);
    fleet.feed(&["encrypt", "-o", "secrets/large.age"], content.as_bytes()).done();
    fleet.feed(&["encrypt", "--armor", "-o", "secrets/text.age"], content.as_bytes()).done();
    fleet.feed(&["encrypt", "--armor", "-o", "secrets/word.age"], b"short").done();
    let db1 = fleet.public("db1");
    fleet.run(&["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--no-rekey"]).done();
    fleet.run(&["rekey"]).done().says("rekeyed 4 of 4 files");
    let key = fleet.key("db1");
    let key = key.to_str().unwrap();
    for (name, whole) in [("large", content.as_str()), ("text", &content), ("word", "short")] {
        let file = format!("secrets/{name}.age");
        let read = fleet.run(&["decrypt", "-i", key, &file]).done();
        assert_eq!(read.stdout, whole.as_bytes(), "{name}");
        let armored = fs::read(fleet.path(&file)).unwrap().starts_with(b"-----BEGIN AGE");
        assert_eq!(armored, name != "large", "{name}");
    }
    fleet.run(&["rekey", "--check"]).done();
}

#[test]
fn plaintext_under_a_rule_stops_a_rekey() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    fs::write(fleet.path("secrets/b.age"), "password").unwrap();
    refused(&fleet, |fleet| fleet.run(&["rekey", "--force"]))
        .says("`secrets/b.age` is not encrypted");
}

#[test]
fn a_missing_file_is_no_obstacle() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    let rules = rules.replace("secrets:\n", "secrets:\n  - path: gone.age\n");
    fs::write(fleet.path("secretctl.yaml"), rules).unwrap();
    fleet.run(&["rekey", "--force"]).done().says("gone.age: does not exist yet");
}

#[test]
fn more_files_than_descriptors_are_rekeyed() {
    let fleet = Fleet::with(&["secrets/0.age"]);
    for index in 1..200 {
        fs::copy(fleet.path("secrets/0.age"), fleet.path(format!("secrets/{index}.age"))).unwrap();
    }
    shell(&fleet, "ulimit -n 64; exec \"$0\" rekey --force").done().says("rekeyed 200 of 200");
    assert_eq!(fleet.litter(), Vec::<std::path::PathBuf>::new());
}

// -- input -----------------------------------------------------------------------------------

#[test]
fn a_pipe_that_gives_nothing_changes_nothing() {
    let fleet = Fleet::with(&[DB]);
    for script in [
        "false | \"$0\" edit secrets/db.age",
        "false | \"$0\" encrypt -o secrets/db.age",
        "\"$0\" edit secrets/db.age </dev/null",
        "\"$0\" edit secrets/db.age <&-",
        "\"$0\" encrypt -o secrets/db.age <&-",
        "\"$0\" edit secrets/db.age </",
        "\"$0\" encrypt -o secrets/db.age </",
    ] {
        let run = refused(&fleet, |fleet| shell(fleet, script));
        assert!(run.stderr.contains("standard input"), "{script}: {}", run.stderr);
    }
    shell(&fleet, "\"$0\" edit --allow-empty secrets/db.age </dev/null").done();
    assert_eq!(fleet.open(DB, "web1").unwrap(), b"");
}

#[test]
fn a_closed_input_does_not_become_another_file() {
    let fleet = Fleet::with(&[DB]);
    // Descriptor 0 would be the next file that is opened.
    shell(&fleet, "\"$0\" decrypt secrets/db.age <&-").done();
    shell(&fleet, "\"$0\" rekey --force <&- >&- 2>&-").done();
    assert_eq!(fleet.open(DB, "alice").unwrap(), DB.as_bytes());
}

#[test]
fn endless_and_odd_inputs_are_refused() {
    let fleet = Fleet::with(&[DB]);
    for (arguments, word) in [
        (&["decrypt", "-i", "/dev/zero", DB][..], "/dev/zero"),
        (&["decrypt", "-i", "/", DB], "directory"),
        (&["decrypt", "secrets"], "`secrets`"),
        (&["edit", "secrets"], "`secrets`"),
        (&["keys", "show", "/dev/zero"], "/dev/zero"),
        (&["encrypt", "-R", "/dev/zero", "secretctl.yaml"], "/dev/zero"),
        (&["--rules", "/dev/zero", "rekey"], "/dev/zero"),
        (&["--rules", "secrets", "rekey"], "secrets"),
        (&["--rules", "nowhere.yaml", "rekey"], "nowhere.yaml"),
    ] {
        let run = refused(&fleet, |fleet| fleet.feed(arguments, b"x"));
        assert!(run.stderr.contains(word), "{arguments:?}: {}", run.stderr);
    }
    shell(&fleet, "\"$0\" decrypt < /dev/zero").ended(2);
}

#[test]
fn a_huge_header_is_refused_soon() {
    let fleet = Fleet::new();
    let script = "{ echo age-encryption.org/v1; yes -- '-> x'; } | \"$0\" decrypt";
    shell(&fleet, script).ended(2).says("2 MiB");
}

#[test]
fn a_pipe_with_the_name_of_a_secret_blocks_nobody() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, fleet.path("secrets/p.age"), kind, mode, 0).unwrap();
    for arguments in [&["rekey", "--force", "secrets/p.age"][..], &["edit", "secrets/p.age"]] {
        let mut command = fleet.command(arguments);
        command.env("EDITOR", "true");
        let run = finish(command, if arguments[0] == "edit" { b"x" } else { b"" });
        let run = run.ended(2).says("secrets/p.age");
        assert!(run.stderr.contains("not a regular file"), "{}", run.stderr);
    }
    fleet.run(&["status", "secrets/p.age"]).ended(1);
    fleet.run(&["rekey", "--force"]).done().says("rekeyed 1 of 1");
}

// -- editors ---------------------------------------------------------------------------------

#[test]
fn an_editor_that_fails_changes_nothing() {
    let fleet = Fleet::with(&[DB]);
    let edit = |fleet: &Fleet, script: &str| fleet.edit(&["edit", DB], script);
    refused(&fleet, |f| edit(f, "echo new >\"$1\"; exit 3")).says("exit code 3");
    refused(&fleet, |f| edit(f, "echo new >\"$1\"; kill -9 $$")).says("signal 9");
    refused(&fleet, |f| edit(f, "rm \"$1\"")).says("left no file");
    refused(&fleet, |f| edit(f, "rm \"$1\"; mkdir \"$1\"")).says("editor");
    refused(&fleet, |f| edit(f, "rm \"$1\"; ln -s /etc/passwd \"$1\"")).says("editor");
    refused(&fleet, |f| edit(f, "rm \"$1\"; mkfifo \"$1\"")).says("editor");
    let missing = |f: &Fleet| {
        let mut command = f.command(&["edit", DB]);
        command.env("EDITOR", "no-such-editor");
        finish(command, b"")
    };
    refused(&fleet, missing).says("no-such-editor");
}

#[test]
fn an_editor_that_replaces_the_file_by_a_rename_is_understood() {
    let fleet = Fleet::with(&[DB]);
    fleet.edit(&["edit", DB], "echo new >\"$1.new\"; mv \"$1.new\" \"$1\"").done();
    assert_eq!(fleet.open(DB, "web1").unwrap(), b"new\n");
}

#[test]
fn an_editor_that_changes_nothing_leaves_the_file_alone() {
    let fleet = Fleet::with(&[DB]);
    let before = identity_of(&fleet.path(DB));
    fleet.edit(&["edit", DB], "touch \"$1\"").done().says("not changed");
    assert_eq!(before, identity_of(&fleet.path(DB)));
    fleet.edit(&["edit", "secrets/new.age"], "true").done().says("not created");
    assert!(!fleet.path("secrets/new.age").exists());
}

#[test]
fn an_emptied_file_in_the_editor_is_taken_at_its_word() {
    let fleet = Fleet::with(&[DB]);
    fleet.edit(&["edit", DB], ": >\"$1\"").done();
    assert_eq!(fleet.open(DB, "web1").unwrap(), b"");
}

// -- files, folders, disks -------------------------------------------------------------------

#[test]
fn mode_and_link_of_a_secret_are_kept() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    let mode = |name: &str| fs::metadata(fleet.path(name)).unwrap().permissions().mode() & 0o7777;
    fs::set_permissions(fleet.path("secrets/a.age"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(fleet.path("secrets/b.age"), Permissions::from_mode(0o640)).unwrap();
    symlink("a.age", fleet.path("secrets/link.age")).unwrap();
    for run in [
        fleet.run(&["rekey", "--force"]),
        fleet.feed(&["edit", "secrets/link.age"], b"by link"),
        fleet.edit(&["edit", "secrets/b.age"], "echo more >>\"$1\""),
        fleet.run(&["rekey", "--force", "secrets/link.age"]),
    ] {
        run.done();
        assert_eq!((mode("secrets/a.age"), mode("secrets/b.age")), (0o600, 0o640));
        assert_eq!(fs::read_link(fleet.path("secrets/link.age")).unwrap(), Path::new("a.age"));
    }
    assert_eq!(fleet.open("secrets/a.age", "web1").unwrap(), b"by link");
}

#[test]
fn a_link_out_of_the_repository_is_no_way_round_the_rules() {
    let fleet = Fleet::with(&[DB]);
    let outside = fleet.root().join("outside.age");
    fs::copy(fleet.path(DB), &outside).unwrap();
    symlink(&outside, fleet.path("secrets/out.age")).unwrap();
    symlink("nowhere.age", fleet.path("secrets/dangling.age")).unwrap();
    symlink("loop.age", fleet.path("secrets/loop.age")).unwrap();
    let run = fleet.run(&["status"]);
    assert!(matches!(run.code, 0 | 1), "{}", run.stderr);
    refused(&fleet, |f| f.feed(&["edit", "secrets/loop.age"], b"x")).says("secrets/loop.age");
    let before = fs::read(&outside).unwrap();
    for arguments in [
        ["edit", "secrets/out.age"].as_slice(),
        &["rekey", "--force", "secrets/out.age"],
        // behind a neighbour that is none
        &["rekey", "--force", "secrets"],
        &["encrypt", "-o", "secrets/out.age"],
    ] {
        refused(&fleet, |f| f.feed(arguments, b"x")).says("leads out of the repository");
        assert_eq!(fs::read(&outside).unwrap(), before, "{arguments:?}");
    }
    assert_eq!(fs::read(fleet.path(DB)).unwrap(), before);
}

/// A link can be committed, to a file or folder outside that is there or is not yet.
#[test]
fn no_command_writes_out_of_the_repository_through_its_links() {
    let fleet = Fleet::with(&[DB]);
    let outside = fleet.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    symlink("../outside/file", fleet.path("file")).unwrap();
    symlink("../outside/new", fleet.path("new.yaml")).unwrap();
    symlink("not/../../outside/new", fleet.path("odd")).unwrap();
    symlink("../outside", fleet.path("folder")).unwrap();
    symlink("../../outside", fleet.path("secrets/folder")).unwrap();
    symlink("../../outside/new", fleet.path("secrets/new.age")).unwrap();
    symlink("../../outside/new", fleet.path("secrets/new.yaml")).unwrap();
    let alice = fleet.public("alice");
    let key = alice.as_str();
    let state = || {
        let files = common::files_below(&outside);
        files.into_iter().map(|file| (identity_of(&file), file)).collect::<Vec<_>>()
    };
    let before = state();
    for arguments in [
        &["decrypt", DB, "-o", "file"][..],
        &["decrypt", DB, "-o", "odd"],
        &["decrypt", DB, "-o", "./secrets/../new.yaml"],
        &["decrypt", DB, "-o", "folder/new"],
        &["encrypt", "-r", key, "-o", "file"],
        &["encrypt", "-r", key, "-o", "folder/more/new"],
        &["encrypt", "-r", key, "--type", "sops", "-o", "new.yaml"],
        &["encrypt", "-o", "secrets/new.age"],
        &["encrypt", "-o", "secrets/new.yaml"],
        &["edit", "secrets/new.age"],
        &["edit", "secrets/new.yaml"],
        &["edit", "secrets/folder/new.age"],
    ] {
        let run = refused(&fleet, |fleet| fleet.feed(arguments, b"a: b\n"));
        assert!(
            run.stderr.contains("leads out of the repository"),
            "{arguments:?}: {}",
            run.stderr
        );
        assert!(before == state(), "{arguments:?}");
    }
    // The rules themselves.
    let rules = outside.join("secretctl.yaml");
    fs::rename(fleet.path("secretctl.yaml"), &rules).unwrap();
    symlink(&rules, fleet.path("secretctl.yaml")).unwrap();
    let before = state();
    refused(&fleet, |fleet| fleet.run(&["host", "add", "db1", "-r", key, "--no-rekey"]))
        .says("leads out of the repository");
    assert!(before == state());
}

#[test]
fn links_inside_of_the_repository_and_of_no_repository_are_followed() {
    let fleet = Fleet::with(&[DB]);
    fs::create_dir(fleet.path("kept")).unwrap();
    symlink("../kept", fleet.path("secrets/folder")).unwrap();
    symlink("../kept/new.age", fleet.path("secrets/new.age")).unwrap();
    symlink("kept/plain", fleet.path("plain")).unwrap();
    fleet.put("secrets/folder/a.age", b"a");
    fleet.put("secrets/new.age", b"new");
    fleet.run(&["decrypt", DB, "-o", "plain"]).done();
    assert_eq!(fs::read(fleet.path("kept/plain")).unwrap(), DB.as_bytes());
    assert_eq!(fleet.open("kept/a.age", "web1").unwrap(), b"a");
    assert_eq!(fleet.open("kept/new.age", "web1").unwrap(), b"new");
    // The way to the repository may be one, and so may what is in none.
    symlink(fleet.path("."), fleet.root().join("way")).unwrap();
    let file = fleet.root().join("way/secrets/b.age");
    fleet.put(file.to_str().unwrap(), b"b");
    assert_eq!(fleet.open("secrets/b.age", "web1").unwrap(), b"b");
    symlink("tmp/out", fleet.root().join("out")).unwrap();
    let out = fleet.root().join("out");
    fleet.run(&["decrypt", DB, "-o", out.to_str().unwrap()]).done();
    assert_eq!(fs::read(fleet.root().join("tmp/out")).unwrap(), DB.as_bytes());
}

#[test]
fn rules_in_nix_name_no_file_of_another_repository() {
    if !common::is_there("nix-instantiate") {
        return;
    }
    let fleet = Fleet::new();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    fs::create_dir_all(fleet.root().join("other/.git")).unwrap();
    let (alice, web1) = (fleet.public("alice"), fleet.public("web1"));
    let file = fleet.root().join("other/a.age");
    let file = file.to_str().unwrap();
    fleet.feed(&["encrypt", "-r", &alice, "-o", file], b"theirs").done();
    fleet.feed(&["encrypt", "-r", &alice, "-o", "in.age"], b"ours").done();
    let before = identity_of(Path::new(file));
    for name in ["../../other/a.age", file] {
        let rules = format!("{{ \"{name}\".publicKeys = [ \"{alice}\" \"{web1}\" ]; }}");
        fs::write(fleet.path("secrets/secrets.nix"), rules).unwrap();
        for arguments in [&["rekey"][..], &["rekey", "--force"]] {
            refused(&fleet, |fleet| fleet.run(arguments)).says("leads out of the repository");
        }
        assert!(before == identity_of(Path::new(file)));
    }
    let rules = format!("{{ \"../in.age\".publicKeys = [ \"{alice}\" \"{web1}\" ]; }}");
    fs::write(fleet.path("secrets/secrets.nix"), rules).unwrap();
    fleet.run(&["rekey"]).done();
    assert_eq!(fleet.open("in.age", "web1").unwrap(), b"ours");
}

#[test]
fn a_file_that_nobody_may_write_is_left_alone() {
    let fleet = Fleet::with(&[DB, "secrets/a.age"]);
    fs::set_permissions(fleet.path(DB), Permissions::from_mode(0o444)).unwrap();
    refused(&fleet, |f| f.feed(&["edit", DB], b"x")).says("chmod u+w");
    refused(&fleet, |f| f.edit(&["edit", DB], "echo x >\"$1\"")).says("chmod u+w");
    refused(&fleet, |f| f.run(&["rekey", "--force"])).says("chmod u+w");
    refused(&fleet, |f| f.feed(&["encrypt", "-o", DB], b"x")).says("chmod u+w");
    fs::set_permissions(fleet.path("secretctl.yaml"), Permissions::from_mode(0o444)).unwrap();
    let key = fleet.public("db1");
    refused(&fleet, |f| f.run(&["host", "add", "db1", "-r", &key])).says("chmod u+w");
}

#[test]
fn a_user_without_rights_gets_by_and_loses_nothing() {
    let fleet = Fleet::with(&[DB]);
    let Some(run) = as_nobody(&fleet, "echo new | \"$0\" edit secrets/db.age") else { return };
    run.done();
    let script = "EDITOR='sed -i s/new/newer/' \"$0\" edit secrets/db.age";
    as_nobody(&fleet, script).unwrap().done();
    as_nobody(&fleet, "\"$0\" decrypt secrets/db.age | grep -q newer").unwrap().done();
    for (script, word) in [
        ("chmod 500 secrets; \"$0\" rekey --force", "secrets"),
        ("chmod 500 secrets; echo x | \"$0\" edit secrets/db.age", "secrets"),
        ("chmod 700 secrets; chmod 0 secrets/db.age; \"$0\" rekey --force", "ermission"),
        ("chmod 0 secrets/db.age; echo | EDITOR=true \"$0\" edit secrets/db.age", "chmod u+w"),
        ("chmod 0 secrets; \"$0\" rekey --force", "ermission"),
        ("chmod 0 secretctl.yaml; \"$0\" rekey", "ermission"),
    ] {
        let run = as_nobody(&fleet, script).unwrap();
        assert_eq!(run.code, 2, "{script}: {}", run.stderr);
        assert!(run.stderr.contains(word), "{script}: {}", run.stderr);
        fs::set_permissions(fleet.path("secrets"), Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(fleet.path(DB), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(fleet.open(DB, "web1").unwrap(), b"newer\n", "{script}");
        assert!(fleet.litter().is_empty(), "{script}");
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    // A disk of 64 KiB, seen by this shell alone.
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" 2>/dev/null || exit 77
        cp -r . \"$1\"; cd \"$1\" && \"$0\" rekey --force || exit 70
        cksum secrets/* >../before
        head -c 200000 /dev/urandom | \"$0\" edit secrets/a.age; [ $? = 2 ] || exit 71
        head -c 200000 /dev/urandom | \"$0\" encrypt -o secrets/new.age; [ $? = 2 ] || exit 72
        cat /dev/zero >filler 2>/dev/null
        \"$0\" rekey --force; [ $? = 2 ] || exit 73
        \"$0\" host add x -r \"$KEY\" --no-rekey; [ $? = 2 ] || exit 74
        cksum secrets/* | cmp - ../before || exit 75
        [ -z \"$(find . -name '.secretctl-*')\" ] || exit 76";
    let mount = fleet.root().join("tmp/disk");
    fs::create_dir(&mount).unwrap();
    let mut command = fleet.around(Path::new("unshare"), &["-rm", "bash", "-c", script, PROGRAM]);
    command.arg(&mount).env("SECRETCTL_IDENTITY", fleet.key("alice"));
    command.env("KEY", fleet.public("db1"));
    let run = finish(command, b"");
    if run.code == 77 || run.stderr.contains("unshare failed") {
        println!("skipped: no user namespaces here");
        return;
    }
    run.done().says("no space is left");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let fleet = Fleet::with(&[DB]);
    let script =
        "ulimit -f 16; trap '' XFSZ; head -c 100000 /dev/zero | \"$0\" edit secrets/db.age";
    refused(&fleet, |fleet| shell(fleet, script)).says("secrets/db.age");
    let script = "ulimit -f 16; head -c 100000 /dev/zero | \"$0\" edit secrets/db.age";
    let before = identity_of(&fleet.path(DB));
    assert_ne!(shell(&fleet, script).code, 0);
    assert_eq!(before, identity_of(&fleet.path(DB)));
}

// -- names -----------------------------------------------------------------------------------

#[test]
fn odd_names_work_everywhere() {
    let names: [&[u8]; 7] = [
        b"secrets/with space.age",
        b"secrets/new\nline.age",
        b"secrets/-rf.age",
        b"secrets/\xff\xfe.age",
        b"secrets/\x1b[2Jcls.age",
        b"secrets/'quote\".age",
        "secrets/\u{202e}ega.age".as_bytes(),
    ];
    let fleet = Fleet::new();
    for name in names {
        let name = OsStr::from_bytes(name);
        let mut command = fleet.command(&["edit", "--"]);
        command.arg(name);
        finish(command, b"old").done();
        let mut command = fleet.command(&["edit", "--"]);
        command.arg(name).env("EDITOR", fleet.script("editor", "printf new >\"$1\""));
        finish(command, b"").done();
        assert_eq!(fleet.open(name, "web1").unwrap(), b"new");
    }
    let db1 = fleet.public("db1");
    fleet.run(&["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--yes"]).done();
    for name in names {
        assert_eq!(fleet.open(OsStr::from_bytes(name), "db1").unwrap(), b"new");
        let mut command = fleet.command(&["rekey", "--force", "--"]);
        let run = finish(
            {
                command.arg(OsStr::from_bytes(name));
                command
            },
            b"",
        )
        .done();
        assert!(!run.stderr.contains(['\u{1b}', '\u{202e}']), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    }
    let run = fleet.run(&["status"]).done();
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    assert_eq!(text.lines().count(), 8, "{text}");
    fleet.run(&["status", "--json"]).done();
    assert_eq!(fs::read_dir(fleet.path("secrets")).unwrap().count(), 7);
}

#[test]
fn a_name_cannot_pass_for_a_line_of_ours() {
    let fleet = Fleet::new();
    fleet.put("secrets/x\nhint: do evil.age", b"x");
    fs::set_permissions(fleet.path("secrets/x\nhint: do evil.age"), Permissions::from_mode(0o444))
        .unwrap();
    for arguments in [
        &["rekey", "--force"][..],
        &["edit", "secrets/x\nhint: do evil.age"],
        &["decrypt", "secrets/y\nhint: do evil.age"],
        &["edit", "y\nhint: do evil.age"],
        &["--rules", "y\nhint: do evil.yaml", "status"],
        &["host", "add", "y\nhint: do evil", "-r", "y\nhint: do evil"],
        &["host", "remove", "y\nhint: do evil"],
    ] {
        let run = fleet.feed(arguments, b"x").ended(2);
        assert!(!run.stderr.contains("\nhint: do evil"), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_leading_hyphen_without_dashes_is_usage() {
    let fleet = Fleet::new();
    fleet.run(&["edit", "-rf.age"]).ended(2);
}

#[test]
fn escapes_in_comments_and_names_of_readers_are_shown_not_obeyed() {
    let fleet = Fleet::with(&[DB]);
    let evil = format!("{}\u{1b}]0;owned\u{7}", fleet.public("evil"));
    fs::write(fleet.path("evil.pub"), &evil).unwrap();
    for arguments in [
        &["host", "add", "evil", "-k", "evil.pub", "--to", "secrets/**", "--yes"][..],
        &["host", "list"],
        &["keys", "show", "evil.pub"],
        &["status"],
        &["rekey", "--force"],
        &["host", "add", "e\u{1b}[1mvil", "-k", "evil.pub", "--no-rekey"],
        &["host", "remove", "e\u{1b}[1mvil"],
        &["decrypt", "e\u{1b}[1mvil"],
        &["encrypt", "-r", "@e\u{1b}[1mvil"],
        &["encrypt", "-r", "e\u{1b}[1mvil"],
        &["--plugin", "e\u{1b}[1mvil", "--rules", "\u{1b}[1m", "rekey"],
        &["--e\u{1b}[1mvil"],
        &["e\u{1b}[1mvil"],
        &["user", "add", "x", "-k", "\u{1b}[1m"],
        &["--nix-arg", "\u{1b}[1m", "status"],
    ] {
        let run = fleet.feed(arguments, b"x");
        let said = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
        assert!(!said.contains(['\u{1b}', '\u{7}']), "{arguments:?}: {said:?}");
    }
}

// -- the world around ------------------------------------------------------------------------

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let fleet = Fleet::with(&[DB]);
    for command in [
        "decrypt secrets/db.age",
        "encrypt -r \"$KEY\" secretctl.yaml",
        "status",
        "status --json",
        "rekey --json",
        "keys show",
        "keys convert key.pub",
        "host list",
        "user list",
        "completions bash",
        "man",
        "--help",
        "--version",
        "edit --help",
    ] {
        fs::write(fleet.path("key.pub"), fleet.public("alice")).unwrap();
        let run = |redirect: &str| {
            shell(&fleet, &format!("KEY='{}'; \"$0\" {command} {redirect}", fleet.public("alice")))
        };
        run(">/dev/null").done();
        let full = run(">/dev/full");
        assert_eq!(full.code, 2, "{command} >/dev/full: {}", full.stderr);
        assert!(full.stderr.contains("standard output"), "{command}: {}", full.stderr);
        let closed = run(">&-");
        assert_ne!(closed.code, 101, "{command} >&-: {}", closed.stderr);
        let gone = run("2>&1 | true; exit ${PIPESTATUS[0]}");
        assert_eq!(gone.code, 0, "{command} | true: {}", gone.stderr);
        let deaf = run("2>/dev/full >/dev/null");
        assert_eq!(deaf.code, 0, "{command} 2>/dev/full: {}", deaf.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_in_the_middle_is_no_error() {
    let fleet = Fleet::new();
    fleet.put("secrets/big.age", &vec![b'x'; 3_000_000]);
    let run = shell(&fleet, "\"$0\" decrypt secrets/big.age | head -c 10; exit ${PIPESTATUS[0]}");
    let run = run.done();
    assert_eq!((run.stdout.len(), run.stderr.as_str()), (10, ""));
}

#[test]
fn without_a_home_and_with_odd_variables_it_works() {
    let fleet = Fleet::with(&[DB]);
    for script in [
        "unset HOME TMPDIR XDG_RUNTIME_DIR; \"$0\" rekey --force",
        "HOME= TMPDIR= XDG_RUNTIME_DIR= \"$0\" rekey --force",
        "HOME=relative TMPDIR=also XDG_RUNTIME_DIR=this XDG_CACHE_HOME=x \"$0\" rekey --force",
        "HOME=/nowhere TMPDIR=/nowhere XDG_RUNTIME_DIR=/nowhere \"$0\" rekey --force",
        "unset HOME PATH; echo new | \"$0\" edit secrets/db.age",
        "unset HOME; EDITOR=true \"$0\" edit secrets/db.age",
        "export $'HOME=\\xff'; \"$0\" rekey --force",
    ] {
        let run = shell(&fleet, script);
        assert_eq!(run.code, 0, "{script}: {}", run.stderr);
    }
    assert_eq!(fleet.open(DB, "web1").unwrap(), b"new\n");
    let run = shell(&fleet, "unset HOME SECRETCTL_IDENTITY; \"$0\" decrypt secrets/db.age");
    run.ended(2).says("identit");
}

#[test]
fn a_working_directory_that_is_gone_is_told() {
    let fleet = Fleet::with(&[DB]);
    let script = "mkdir gone; cd gone; rmdir ../gone; \"$0\" status";
    shell(&fleet, script).ended(2).says("working directory");
}

#[test]
fn wrong_arguments_are_usage_errors_with_a_way_out() {
    let fleet = Fleet::with(&[DB]);
    for arguments in [
        &["nonsense"][..],
        &["edit"],
        &["edit", "--nonsense", DB],
        &["rekey", "--check=1"],
        &["host"],
        &["host", "add"],
        &["host", "nonsense"],
        &["host", "add", "x", "--scan", "a", "--key", "b"],
        &["host", "add", "x", "--fingerprint", "a"],
        &["host", "add", "x", "--yes", "--no-rekey"],
        &["user", "remove"],
        &["keys"],
        &["completions", "tcsh"],
        &["encrypt", "-p", "-r", "x"],
        &["--error-format", "xml", "status"],
        &["decrypt", "a", "b"],
        &["init", "x"],
        &["--identity"],
        &["edit", DB, "secrets/other.age"],
        &["host", "add", "", "-r", "x"],
        &["host", "remove", "nobody"],
        &["edit", ""],
        &["edit", "/"],
        &["edit", "."],
        &["edit", "secrets/"],
        &["edit", "secrets/.."],
        &["edit", "../outside.age"],
        &["rekey", ""],
        &["rekey", "/nowhere"],
        &["status", "nowhere"],
        &["decrypt", ""],
        &["decrypt", "nowhere"],
        &["encrypt", "nowhere", "-r", "x"],
        &["encrypt", "-o", "", "secretctl.yaml"],
        &["encrypt", "-o", "secrets", "secretctl.yaml"],
        &["decrypt", "-o", "secrets", DB],
        &["decrypt", "-o", "", DB],
        &["decrypt", "-o", "nowhere/x", DB],
    ] {
        let run = refused(&fleet, |fleet| fleet.feed(arguments, b"x"));
        assert!(run.stderr.len() > 20, "{arguments:?}: {}", run.stderr);
        assert!(
            run.stderr.starts_with("error: ") || run.stderr.contains("Usage:"),
            "{}",
            run.stderr
        );
    }
    let none = finish(fleet.bare(&[]), b"");
    assert!(none.code == 2 && none.stderr.contains("Usage:"), "{}", none.stderr);
}

#[test]
fn a_private_key_in_the_wrong_place_is_not_repeated() {
    let fleet = Fleet::with(&[DB]);
    for key in ["AGE-SECRET-KEY-1QPZRY9X8GF2", "age-secret-key-1qpzry9x8gf2"] {
        let named = format!("@{key}");
        for format in ["text", "json"] {
            for arguments in [
                &["decrypt", "-i", key, DB][..],
                &["decrypt", key],
                &["encrypt", "-R", key],
                &["encrypt", "-r", key],
                &["encrypt", "-r", &named],
                &["keys", "show", key],
                &["host", "add", key, "-r", &fleet.public("web1")],
                &["host", "remove", key],
                &["--rules", key, "status"],
                &["rekey", key],
                &["decrypt", DB, key],
                &[key],
            ] {
                let run = fleet.feed(&[&["--error-format", format], arguments].concat(), b"x");
                let said = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
                let said = said.to_ascii_uppercase();
                assert!(run.code == 2 && !said.contains("QPZRY"), "{arguments:?}: {said}");
            }
        }
        let mut command = fleet.bare(&["decrypt", DB]);
        command.env("SECRETCTL_IDENTITY", key);
        let run = finish(command, b"").ended(2);
        assert!(!run.stderr.to_ascii_uppercase().contains("QPZRY"), "{}", run.stderr);
    }
}

#[test]
fn names_make_no_lines_of_ours_and_no_escapes_in_json() {
    let fleet = Fleet::new();
    let name = "secrets/x\nhint: run evil\u{9b}2J\u{202e}.age";
    symlink(Path::new(name).file_name().unwrap(), fleet.path(name)).unwrap();
    for format in ["text", "json"] {
        let run = fleet.feed(&["--error-format", format, "edit", name], b"x").ended(2);
        assert!(!run.stderr.contains("\nhint: run evil"), "{}", run.stderr);
        assert!(!run.stderr.contains(['\u{9b}', '\u{202e}']), "{:?}", run.stderr);
    }
}

#[test]
fn a_glob_of_many_braces_is_an_error() {
    let fleet = Fleet::with(&[DB]);
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    let glob = format!("{}a{}", "{".repeat(50_000), "}".repeat(50_000));
    let rules = rules.replace("secrets/**", &format!("\"{glob}\""));
    fs::write(fleet.path("secretctl.yaml"), rules).unwrap();
    fleet.run(&["status"]).ended(2).says("nested too deeply");
}

#[test]
fn nix_that_is_offered_to_be_copied_evaluates_nothing_of_others() {
    if !common::is_there("nix-instantiate") {
        return;
    }
    let fleet = Fleet::new();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    fs::write(fleet.path("secrets.nix"), "{ }").unwrap();
    let key = format!("{} x${{y}}\"; z = \"\\", fleet.public("web1"));
    let run = fleet.run(&["host", "add", "a${b}", "-r", &key]).ended(2);
    let run = run.says(r#""a\${b}" = "ssh-ed25519"#).says(r#"x\${y}\"; z = \"\\";"#);
    assert!(!run.stderr.contains('\''), "{}", run.stderr);
    let run = fleet.edit(&["edit", "a${b}.age"], "true").ended(2);
    run.says(r#""a\${b}.age".publicKeys"#);
}

#[test]
fn a_file_that_changes_while_a_passphrase_is_asked_for_stops_a_rekey() {
    let fleet = Fleet::with(&[DB, "secrets/a.age"]);
    fleet.locked_key("carol", "pass");
    fleet.rules("");
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    let with_carol = |rules: &str| {
        rules.replace("readers: [web1]", &format!("readers: [web1, '{}']", fleet.public("carol")))
    };
    fs::write(fleet.path("secretctl.yaml"), with_carol(&rules)).unwrap();
    fleet.run(&["rekey", "--force"]).done();
    fs::copy(fleet.path(DB), fleet.path("pulled")).unwrap();
    fleet.run(&["rekey", "--force"]).done();
    let pull = fleet.script(
        "pull",
        "cp pulled secrets/db.age.new; mv secrets/db.age.new secrets/db.age; echo pass",
    );
    let other = fs::read(fleet.path("secrets/a.age")).unwrap();
    let mut command = fleet.bare(&["rekey", "--force"]);
    command.env("SECRETCTL_IDENTITY", fleet.key("carol")).env("SECRETCTL_ASKPASS", pull);
    finish(command, b"").ended(2).says("`secrets/db.age` was changed meanwhile");
    assert_eq!(fs::read(fleet.path(DB)).unwrap(), fs::read(fleet.path("pulled")).unwrap());
    assert_eq!(fs::read(fleet.path("secrets/a.age")).unwrap(), other);
    assert!(fleet.litter().is_empty());
}

// -- another user of the machine -------------------------------------------------------------

/// Runs a shell script as a user, the program as `$0`, in a folder where everybody may make
/// files. `None` where this process cannot become other users.
fn as_user(fleet: &Fleet, user: u32, script: &str) -> Option<Run> {
    if !is_root() || !common::is_there("setpriv") {
        println!("skipped: needs root and setpriv");
        return None;
    }
    let open = fleet.root().join("open");
    let program = open.join("secretctl");
    if !program.exists() {
        fs::set_permissions(fleet.root(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(&open).unwrap();
        common::copy_program(&program);
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    }
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let words = [&uid, &gid, "--clear-groups", "bash", "-c", script];
    let mut command = fleet.around(Path::new("setpriv"), &words);
    command.arg(program).current_dir(&open).env_remove("XDG_RUNTIME_DIR");
    command.env("HOME", &open).env("TMPDIR", &open).env("PUBLIC", fleet.public("alice"));
    Some(finish(command, b""))
}

const VICTIM: u32 = 4001;
const ATTACKER: u32 = 4002;

#[test]
fn rules_that_others_put_above_a_folder_do_not_count() {
    let fleet = Fleet::new();
    let plant = "mkdir .git; echo x >.git/HEAD; chmod 777 .git; printf 'users:\\n  m: %s\\nsecrets:\\n\
                 - {path: \"**\", readers: [m]}\\n' \"$PUBLIC\" >secretctl.yaml; chmod 644 *.yaml";
    let Some(run) = as_user(&fleet, ATTACKER, plant) else { return };
    run.done();
    // In the folder itself and below it.
    for folder in [".", "work"] {
        let script = format!("mkdir -p {folder}; cd {folder}; echo top | \"$0\" encrypt -o x.age");
        as_user(&fleet, VICTIM, &script).unwrap().ended(2).says("no rules found");
    }
    // Nor is their lock ours to wait for.
    as_user(&fleet, ATTACKER, ">.git/secretctl.lock; chmod 666 .git/secretctl.lock")
        .unwrap()
        .done();
    let script = "exec 9<>.git/secretctl.lock; flock 9; cd work; cp ../secretctl.yaml .; \
                  echo x | timeout 20 \"$0\" edit x.age";
    as_user(&fleet, VICTIM, script).unwrap().done();
}

#[test]
fn nix_of_others_is_not_run() {
    let fleet = Fleet::new();
    if !common::is_there("nix-instantiate") {
        return;
    }
    let plant = "mkdir .git secrets theirs; echo x >.git/HEAD; \
                 echo '{ \"x.age\".publicKeys = [ (throw \"EVALUATED\") ]; }' >secrets.nix; \
                 cp secrets.nix secrets/; cp secrets.nix theirs/; chmod -R a+rX .";
    let Some(_partly) = as_user(&fleet, ATTACKER, plant) else { return };
    fleet.put("secrets/x.age", b"x");
    fs::copy(fleet.path("secrets/x.age"), fleet.root().join("open/theirs/x.age")).unwrap();
    let script = "mkdir -p work; cp theirs/x.age work; cp theirs/x.age .; ran=0; \
                  mkdir bin; printf '#!/bin/sh\\n>>%s/ran' \"$PWD\" >bin/nix-instantiate; \
                  chmod +x bin/*; export PATH=\"$PWD/bin:$PATH\"; \
                  for file in x.age work/x.age theirs/x.age; do \"$0\" decrypt $file; done; \
                  \"$0\" status; cd work; \"$0\" status; test ! -e ../ran";
    as_user(&fleet, VICTIM, script).unwrap().done();
}

/// That nothing opens a file is told without running the rules of whoever wrote it.
#[test]
fn who_only_decrypts_runs_no_rules() {
    let fleet = Fleet::with(&[DB]);
    fs::copy(fleet.path("secretctl.yaml"), fleet.root().join("rules")).unwrap();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    for (name, text) in [
        ("secrets.nix", "{ \"secrets/db.age\".publicKeys = [ ]; }"),
        ("flake.nix", "{ outputs = _: { secretctl = { version = 1; }; }; }"),
    ] {
        fs::write(fleet.path(name), text).unwrap();
    }
    let ran = fleet.root().join("tmp/ran");
    for name in ["nix", "nix-instantiate"] {
        fleet.script(name, &format!("echo ran >>'{}'; exit 1", ran.display()));
    }
    let stranger = fleet.key("stranger");
    let stranger = stranger.to_str().unwrap();
    for arguments in [
        &["decrypt", "-i", stranger, DB][..],
        &["decrypt", "-i", stranger, DB, "-o", "out"],
        &["get", "-i", stranger, DB, "/a"],
        &["exec", "-i", stranger, DB, "--", "true"],
        &["exec", "-i", stranger, "--file", DB, "--", "cat", "{}"],
    ] {
        refused(&fleet, |fleet| fleet.run(arguments)).says("cannot decrypt `secrets/db.age`");
        assert!(!ran.exists(), "{arguments:?}");
    }
    fleet.run(&["status"]).ended(2);
    assert!(ran.exists());
    // Rules that are data are read.
    fs::copy(fleet.root().join("rules"), fleet.path("secretctl.yaml")).unwrap();
    refused(&fleet, |fleet| fleet.run(&["decrypt", "-i", stranger, DB]))
        .says("alice, ssh-ed25519 SHA256:");
}

#[test]
fn plaintext_goes_to_a_private_file_whatever_was_there() {
    let fleet = Fleet::with(&[DB]);
    let out = fleet.path("out");
    fs::write(&out, "old").unwrap();
    fs::set_permissions(&out, Permissions::from_mode(0o666)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&out, Some(ATTACKER), Some(ATTACKER)).unwrap();
    }
    fleet.run(&["decrypt", DB, "-o", "out"]).done();
    let found = fs::metadata(&out).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o600);
    assert_eq!(
        (found.uid(), found.gid()),
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    );
    assert_eq!(fs::read(out).unwrap(), DB.as_bytes());
}

#[test]
fn links_that_others_put_into_an_open_folder_are_not_followed() {
    let fleet = Fleet::new();
    let plant = "mkdir theirs; >theirs/o; chmod 777 theirs; chmod 666 theirs/o; ln -s theirs/o out";
    let Some(run) = as_user(&fleet, ATTACKER, plant) else { return };
    run.done();
    for command in ["encrypt -r \"$PUBLIC\"", "encrypt --armor -r \"$PUBLIC\""] {
        let script = format!("echo top | \"$0\" {command} -o out");
        as_user(&fleet, VICTIM, &script).unwrap().ended(2).says("a link of another user");
    }
    as_user(
        &fleet,
        VICTIM,
        "ln -s mine own; echo top | \"$0\" encrypt -r \"$PUBLIC\" -o own; test -s mine",
    )
    .unwrap()
    .done();
}
