//! `rekey --dry-run` says what would be done, needs no key and changes nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{Fleet, files_below, identity_of};

#[test]
fn a_dry_run_says_what_a_rekey_does_and_changes_nothing() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    fleet.run(&["rekey", "--dry-run"]).done().says("2 files have the right readers");
    let key = fleet.public("db1");
    let arguments = ["host", "add", "db1", "-r", &key, "--to", "secrets/**", "--no-rekey"];
    fleet.run(&arguments).done();
    fleet.put("secrets/c.age", b"c");
    let state = || {
        let files = files_below(fleet.root());
        files.into_iter().map(|file| (identity_of(&file), file)).collect::<Vec<_>>()
    };
    let before = state();
    let looks = |arguments: &[&str]| {
        let mut command = fleet.command(arguments);
        // No key opens anything here.
        command.env("SECRETCTL_IDENTITY", fleet.root().join("none"));
        let run = common::finish(command, b"");
        assert!(before == state(), "{arguments:?}");
        assert!(fleet.litter().is_empty());
        run
    };
    for option in ["-n", "--dry-run"] {
        let run = looks(&["rekey", option]).done();
        for line in ["secrets/a.age: +db1", "secrets/b.age: +db1", "1 file has the right readers"] {
            assert!(run.stderr.lines().any(|said| said == line), "{line}: {}", run.stderr);
        }
        assert!(!run.stderr.contains("rekeyed") && run.stdout.is_empty(), "{}", run.stderr);
    }
    let run = looks(&["rekey", "--dry-run", "secrets/b.age"]).done();
    assert!(!run.stderr.contains("a.age"), "{}", run.stderr);
    let run = looks(&["rekey", "--dry-run", "--force"]).done();
    assert!(run.stderr.contains("secrets/c.age: to be encrypted anew"), "{}", run.stderr);
    let run = looks(&["rekey", "--dry-run", "--json"]).done();
    let plan: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let actions: Vec<_> = plan["files"].as_array().unwrap().iter().map(|f| &f["action"]).collect();
    assert_eq!(actions, ["add-readers", "add-readers", "keep"]);
    assert!(plan["files"].as_array().unwrap().iter().all(|file| file["written"] == false));
    // With `--check` the exit code tells.
    looks(&["rekey", "--dry-run", "--check"]).ended(1);

    fleet.run(&["rekey"]).done().says("rekeyed 2 of 3 files");
    assert_eq!(fleet.open("secrets/a.age", "db1").unwrap(), b"secrets/a.age");
}
