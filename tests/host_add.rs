//! Adding a host: the key that it shows is believed only once somebody has compared it, and the
//! rekey that follows is offered where there is one.
//!
//! `ssh-keyscan` is played by a script here, since a real one needs a host that answers.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;

use std::fs;

use common::{Fleet, PROGRAM, is_there};
use rexpect::session::{PtySession, spawn_command};

/// A fleet in which `ssh-keyscan` shows the key of `web2`; its fingerprint.
fn fleet() -> Option<(Fleet, String)> {
    if !is_there("ssh-keygen") {
        return None;
    }
    let fleet = Fleet::with(&["secrets/db.age"]);
    let public = fleet.public("web2");
    fleet.script("ssh-keyscan", &format!("echo '# comment'; echo 'web2.example {public}'"));
    let shown = fleet.run(&["host", "add", "web2", "--scan", "web2.example"]).ended(2);
    let print = shown.stderr.split_whitespace().find(|word| word.starts_with("SHA256:"));
    let print = print.unwrap().to_owned();
    Some((fleet, print))
}

fn rules(fleet: &Fleet) -> String {
    fs::read_to_string(fleet.path("secretctl.yaml")).unwrap()
}

fn on_terminal(fleet: &Fleet, arguments: &[&str]) -> PtySession {
    let mut command = fleet.around(PROGRAM.as_ref(), arguments);
    command.env("SECRETCTL_IDENTITY", fleet.key("alice")).env("NO_COLOR", "1");
    // The session gives it a terminal.
    command.stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(20_000)).unwrap()
}

#[test]
fn without_anybody_to_compare_it_a_scanned_key_is_refused() {
    let Some((fleet, _)) = fleet() else { return };
    let before = rules(&fleet);
    let run = fleet.run(&["host", "add", "web2", "--scan", "web2.example"]).ended(2);
    run.says("nobody is there to confirm the key").says("--fingerprint SHA256:");
    let wrong = ["host", "add", "web2", "--scan", "web2.example", "--fingerprint", "SHA256:x"];
    fleet.run(&wrong).ended(2).says("the host shows another key");
    assert_eq!(rules(&fleet), before);
}

#[test]
fn a_scanned_key_with_the_expected_fingerprint_is_taken() {
    let Some((fleet, print)) = fleet() else { return };
    fleet.run(&["host", "add", "web2", "--scan", "web2.example", "--fingerprint", &print]).done();
    assert!(rules(&fleet).contains(fleet.public("web2").split(' ').nth(1).unwrap()));
}

#[test]
fn a_scanned_key_is_shown_and_taken_when_confirmed() {
    let Some((fleet, print)) = fleet() else { return };
    let before = rules(&fleet);
    let add = ["host", "add", "web2", "--scan", "web2.example", "--to", "secrets/**"];
    let mut session = on_terminal(&fleet, &add);
    session.exp_string(&print).unwrap();
    session.exp_string("is it the same?").unwrap();
    session.send_line("no").unwrap();
    session.exp_string("was not confirmed").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(rules(&fleet), before);

    let mut session = on_terminal(&fleet, &add);
    session.exp_string("is it the same?").unwrap();
    session.send_line("yes").unwrap();
    session.exp_string("secrets/db.age: +web2").unwrap();
    session.exp_string("rekey now?").unwrap();
    session.send_line("yes").unwrap();
    session.exp_string("rekeyed 1 of 1 files").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(fleet.open("secrets/db.age", "web2").unwrap(), b"secrets/db.age");
}

#[test]
fn no_rekey_is_offered_where_none_is_needed() {
    let Some((fleet, _)) = fleet() else { return };
    let key = fleet.key("web2").with_extension("pub");
    let mut session = on_terminal(&fleet, &["host", "add", "web2", "--key", key.to_str().unwrap()]);
    let said = session.exp_eof().unwrap();
    assert!(said.contains("1 file has the right readers"), "{said}");
    assert!(!said.contains("rekey"), "{said}");
}
