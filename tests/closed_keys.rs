//! Keys that are there and stay closed: the error says how to open them, not that they do not fit.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;

use common::{Fleet, Run, finish};

/// Decrypts as nobody is there to answer.
fn decrypt(fleet: &Fleet, arguments: &[&str]) -> Run {
    let mut command = fleet.bare(arguments);
    command.env("SECRETCTL_ASKPASS", fleet.script("refuse", "exit 1"));
    finish(command, b"").ended(2)
}

#[test]
fn a_key_whose_passphrase_is_not_given_is_named_once() {
    if !common::is_there("ssh-keygen") {
        return;
    }
    let fleet = Fleet::new();
    let key = fleet.locked_key("carol", "sesame");
    let (key, public) = (key.to_str().unwrap().to_owned(), fleet.public("carol"));
    fleet.feed(&["encrypt", "-r", &public, "-o", "a.age"], b"x").done();
    let run = decrypt(&fleet, &["decrypt", "a.age", "-i", &key]);
    run.says("there is no identity to try")
        .says("locked: no passphrase opened it")
        .says("set SECRETCTL_ASKPASS to a program that prints the passphrase");
}

#[test]
fn a_file_with_a_passphrase_asks_for_no_private_key() {
    let fleet = Fleet::new();
    let mut command = fleet.bare(&["encrypt", "--passphrase", "-o", "a.age"]);
    command.env("SECRETCTL_ASKPASS", fleet.script("answer", "echo sesame"));
    finish(command, b"x").done();
    let run = decrypt(&fleet, &["decrypt", "a.age"]);
    assert!(!run.stderr.contains("--identity"), "{}", run.stderr);
    run.says("encrypted with a passphrase").says("SECRETCTL_ASKPASS");
}

#[test]
fn a_plugin_that_is_not_allowed_comes_with_the_option_that_allows_it() {
    let fleet = Fleet::new();
    // An identity of `age-plugin-x`, which holds nothing.
    fleet.script("age-plugin-x", "touch ran");
    let identity = fleet.root().join("identity");
    std::fs::write(&identity, "AGE-PLUGIN-X-1TPLWTE\n").unwrap();
    fleet.put("secrets/a.age", b"x");
    let run = decrypt(&fleet, &["decrypt", "secrets/a.age", "-i", identity.to_str().unwrap()]);
    run.says("was not allowed to run").says("allow it with `--plugin x`");
    assert!(!fleet.path("ran").exists());
}
