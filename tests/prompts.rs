//! Questions on a terminal: how often, what happens after wrong answers, and what is left of the
//! terminal when somebody does not want to answer.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::Fleet;
use rexpect::session::{PtySession, spawn_command};

const PASSPHRASE: &str = "a passphrase";

/// A fleet whose secrets a key behind a passphrase opens.
fn locked() -> Fleet {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age", "secrets/c.age"]);
    fleet.locked_key("locked", PASSPHRASE);
    let key = fleet.public("locked");
    fleet.run(&["host", "add", "locked", "-r", &key, "--to", "secrets/**", "--yes"]).done();
    fleet
}

/// The program on a terminal, started by a shell that lives on.
fn on_terminal(fleet: &Fleet, identity: &str, script: &str) -> PtySession {
    let mut command = fleet.around(std::path::Path::new("bash"), &["-c", script, common::PROGRAM]);
    command.env("SECRETCTL_IDENTITY", fleet.root().join("keys").join(identity)).env("TERM", "dumb");
    command.stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(20_000)).unwrap()
}

#[track_caller]
fn exits(session: &PtySession, code: i32) {
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited") && status.ends_with(&format!(", {code})")), "{status}");
}

#[test]
fn one_passphrase_serves_a_run() {
    let fleet = locked();
    let mut session = on_terminal(&fleet, "locked", "exec \"$0\" rekey --force");
    session.exp_string("Passphrase for").unwrap();
    session.send_line(PASSPHRASE).unwrap();
    let rest = session.exp_eof().unwrap();
    assert!(rest.contains("rekeyed 3 of 3 files"), "{rest}");
    assert!(!rest.contains("Passphrase") && !rest.contains(PASSPHRASE), "{rest}");
    exits(&session, 0);
}

#[test]
fn three_wrong_passphrases_are_enough() {
    let fleet = locked();
    let mut session = on_terminal(&fleet, "locked", "exec \"$0\" decrypt secrets/a.age");
    for _ in 0..3 {
        session.exp_string("Passphrase for").unwrap();
        session.send_line("not it").unwrap();
        session.exp_string("that passphrase does not open it").unwrap();
    }
    let rest = session.exp_eof().unwrap();
    assert!(rest.contains("locked: no passphrase opened it"), "{rest}");
    assert!(!rest.contains("not it"), "{rest}");
    exits(&session, 2);
}

#[test]
fn a_wrong_passphrase_may_be_followed_by_the_right_one() {
    let fleet = locked();
    let mut session = on_terminal(&fleet, "locked", "exec \"$0\" decrypt secrets/a.age");
    for answer in ["not it", PASSPHRASE] {
        session.exp_string("Passphrase for").unwrap();
        session.send_line(answer).unwrap();
    }
    let rest = session.exp_eof().unwrap();
    assert!(rest.contains("secrets/a.age"), "{rest}");
    exits(&session, 0);
}

#[test]
fn ctrl_c_at_a_passphrase_gives_the_terminal_back() {
    let fleet = locked();
    // The shell does not end with its child, and says what became of the terminal.
    let script = "trap : INT; stty echo; before=$(stty -g); \"$0\" decrypt secrets/a.age; \
        echo code=$?; [ \"$before\" = \"$(stty -g)\" ] && echo as before";
    let mut session = on_terminal(&fleet, "locked", script);
    session.exp_string("Passphrase for").unwrap();
    session.send_control('c').unwrap();
    session.exp_string("code=130").unwrap();
    let rest = session.exp_eof().unwrap();
    assert!(rest.contains("as before"), "{rest}");
    assert!(fleet.litter().is_empty());
}

#[test]
fn the_rekey_after_a_new_host_is_offered() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    let key = fleet.public("db1");
    for (answer, opens) in [("no", false), ("yes", true)] {
        let script = format!("exec \"$0\" host add db1{answer} -r '{key}' --to 'secrets/**'");
        let mut session = on_terminal(&fleet, "alice", &script);
        session.exp_string("rekey now? [yes/no]").unwrap();
        session.send_line(answer).unwrap();
        session.exp_eof().unwrap();
        exits(&session, 0);
        assert_eq!(fleet.open("secrets/a.age", "db1").is_ok(), opens, "{answer}");
        if !opens {
            fleet.run(&["host", "remove", "db1no", "--no-rekey"]).done();
        }
    }
}

#[test]
fn a_syntax_error_may_be_corrected_in_the_editor() {
    let fleet = Fleet::new();
    let script = "if [ -s \"$1\" ]; then echo 'a: 1' >\"$1\"; else echo 'a: [' >\"$1\"; fi";
    let editor = fleet.script("editor", script);
    let script = format!("EDITOR={} exec \"$0\" edit secrets/a.yaml.age", editor.display());
    let mut session = on_terminal(&fleet, "alice", &script);
    session.exp_string("not well formed at line").unwrap();
    session.exp_string("[yes/no]").unwrap();
    session.send_line("yes").unwrap();
    session.exp_eof().unwrap();
    exits(&session, 0);
    assert_eq!(fleet.open("secrets/a.yaml.age", "web1").unwrap(), b"a: 1\n");
}

#[test]
fn a_long_rekey_shows_how_far_it_is_and_leaves_nothing_of_that() {
    let names: Vec<String> = (0..25).map(|number| format!("secrets/{number}.age")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fleet = Fleet::with(&names);
    let on = |terminal: &str, arguments: &str| {
        let script = format!("TERM={terminal} exec \"$0\" rekey --force {arguments}");
        let mut session = on_terminal(&fleet, "alice", &script);
        let text = session.exp_eof().unwrap();
        exits(&session, 0);
        text
    };
    let text = on("xterm", "");
    let bar = text.find(" of 25 files").expect(&text);
    // What is cleared is cleared before the last word.
    let cleared = text.rfind("\u{1b}[2K").or_else(|| text.rfind("\u{1b}[K")).expect(&text);
    let last = text.rfind("rekeyed 25 of 25 files").expect(&text);
    assert!(bar < cleared && cleared < last, "{text:?}");
    // Few files are done before anybody wonders.
    assert!(!on("xterm", "secrets/1.age").contains('\u{1b}'));
    // Where nobody looks there is none.
    let run = fleet.run(&["rekey", "--force"]).done().says("rekeyed 25 of 25 files");
    assert!(!run.stderr.contains('\r') && !run.stderr.contains('\u{1b}'), "{}", run.stderr);
}
