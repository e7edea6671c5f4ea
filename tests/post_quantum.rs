//! Post-quantum readers and others never share a file: the weaker ones would undo the protection.

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

use common::{Fleet, is_there};

/// Test only.
const IDENTITY: &str =
    "AGE-SECRET-KEY-PQ-1XZ0H382JMQWL3ZEKUM55U66WEZNU9RQPKGR5VTQJSSWD9Z3L9Z6S4L7YU7";

#[test]
fn a_reader_of_another_kind_is_not_added_to_what_is_there() {
    if !is_there("ssh-keygen") {
        return;
    }
    let fleet = Fleet::new();
    let identity = fleet.root().join("identity");
    fs::write(&identity, IDENTITY).unwrap();
    let identity = identity.to_str().unwrap();
    let shown = String::from_utf8(fleet.run(&["keys", "show", identity]).done().stdout).unwrap();
    let (post_quantum, ssh) = (shown.trim(), fleet.public("web1"));
    let rules = |readers: &str| {
        let text = format!(
            "users:\n  eve: {post_quantum}\nhosts:\n  web1: {ssh}\nsecrets:\n  - {{path: a.age,              readers: [{readers}]}}\n"
        );
        fs::write(fleet.path("secretctl.yaml"), text).unwrap();
    };
    let web1 = fleet.key("web1");
    for (first, both) in [("eve", "eve, web1"), ("web1", "web1, eve")] {
        rules(first);
        fleet.put("a.age", b"x");
        let before = fs::read(fleet.path("a.age")).unwrap();
        rules(both);
        let keys = ["--identity", identity, "--identity", web1.to_str().unwrap()];
        fleet
            .run(&[&["rekey"], &keys[..]].concat())
            .ended(2)
            .says("its readers mix post-quantum keys");
        assert_eq!(fs::read(fleet.path("a.age")).unwrap(), before);
    }
}
