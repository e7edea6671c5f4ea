//! Runs that are killed or interrupted at every step, and runs at the same time: every file is
//! whole, old or new, the next run finishes the work, and nothing is left behind.
//!
//! There is no hook in the program: `strace` delivers the signal at the chosen system call.

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

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Fleet, PROGRAM, Run, finish, is_there, wait_until};
use rayon::prelude::*;

/// All that writes, and what comes between.
const CALLS: &str = "?open,openat,write,fsync,fchmod,fchown,linkat,?renameat,?renameat2,unlinkat,\
    ?unlink,ftruncate,flock";

const NONE: Vec<PathBuf> = Vec::new();

/// `strace` with these options around the program. One worker, so that steps have an order.
fn traced(fleet: &Fleet, options: &[&str], arguments: &[&str]) -> std::process::Command {
    let all = [&["-f", "-qq"], options, &[PROGRAM], arguments].concat();
    let mut command = fleet.around(Path::new("strace"), &all);
    command.env("SECRETCTL_IDENTITY", fleet.key("alice")).env("RAYON_NUM_THREADS", "1");
    command
}

/// Whether `strace` works here; it does not in some containers.
fn strace_works(fleet: &Fleet) -> bool {
    if !is_there("strace") {
        return false;
    }
    let works = finish(traced(fleet, &["-o", "/dev/null"], &["--version"]), b"").code == 0;
    assert!(works || std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "strace may not trace");
    if !works {
        println!("skipped: strace may not trace here");
    }
    works
}

/// Every system call from the lock of the repository to the end, as its name and its number
/// among those of its name and thread.
fn steps(fleet: &Fleet, arguments: &[&str], input: &[u8]) -> BTreeSet<(String, usize)> {
    let fleet = fleet.copy();
    let log = fleet.root().join("tmp/trace");
    let options = ["-o", log.to_str().unwrap(), "-e", &format!("trace={CALLS}")];
    finish(traced(&fleet, &options, arguments), input).done();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    let mut locked = false;
    for line in fs::read_to_string(log).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        let count = counts.entry((thread.to_owned(), name.to_owned())).or_default();
        *count += 1;
        locked |= rest.contains("secretctl.lock");
        if locked {
            steps.insert((name.to_owned(), *count));
        }
    }
    steps
}

/// Kills a copy of the fleet at every step, each time judges what is left, and says how often.
fn killed_everywhere(
    fleet: &Fleet,
    arguments: &[&str],
    input: &[u8],
    judge: impl Fn(&Fleet) + Sync,
) -> usize {
    let steps: Vec<_> = steps(fleet, arguments, input).into_iter().collect();
    assert!(steps.len() > 8, "{steps:?}");
    let kill = |(call, number): &(String, usize)| {
        let fleet = fleet.copy();
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let trace = format!("trace={call}");
        let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        let run = finish(traced(&fleet, &options, arguments), input);
        let context = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&fleet)));
        assert!(context.is_ok(), "after a kill at {call} number {number}");
        usize::from(run.code != 0)
    };
    steps.par_iter().map(kill).sum()
}

/// Secrets of which one gains a reader, one loses one, one is armored and one has no news.
fn stale() -> Fleet {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    let (alice, web1, gone) = (fleet.public("alice"), fleet.public("web1"), fleet.public("gone"));
    let loses = ["encrypt", "-r", &alice, "-r", &web1, "-r", &gone, "-o", "secrets/loses.age"];
    fleet.feed(&loses, b"secrets/loses.age").done();
    let armored = ["encrypt", "-a", "-r", &alice, "-o", "secrets/armored.age"];
    fleet.feed(&armored, b"secrets/armored.age").done();
    fs::write(fleet.path("secrets/.secretctl-abandoned.tmp"), "half").unwrap();
    fleet.key("db1");
    fleet
}

const SECRETS: [&str; 4] =
    ["secrets/a.age", "secrets/b.age", "secrets/loses.age", "secrets/armored.age"];

#[track_caller]
fn whole(fleet: &Fleet) {
    for name in SECRETS {
        assert_eq!(fleet.open(name, "alice").unwrap(), name.as_bytes());
    }
}

#[track_caller]
fn finished(fleet: &Fleet, readers: &[&str]) {
    fleet.run(&["status"]).done();
    assert_eq!(fleet.litter(), NONE);
    for name in SECRETS {
        for who in readers {
            assert_eq!(fleet.open(name, who).unwrap(), name.as_bytes());
        }
        assert!(fleet.open(name, "gone").is_err());
    }
}

#[test]
fn a_rekey_that_is_killed_at_any_step_leaves_whole_files_and_the_next_finishes() {
    let fleet = stale();
    if !strace_works(&fleet) {
        return;
    }
    let db1 = fleet.public("db1");
    fleet.run(&["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--no-rekey"]).done();
    let kills = killed_everywhere(&fleet, &["rekey"], b"", |fleet| {
        whole(fleet);
        fleet.run(&["rekey"]).done();
        finished(fleet, &["alice", "web1", "db1"]);
    });
    assert!(kills > 30, "{kills}");
}

#[test]
fn an_edit_that_is_killed_at_any_step_leaves_the_old_or_the_new_content() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    if !strace_works(&fleet) {
        return;
    }
    let name = "secrets/a.age";
    let kills = killed_everywhere(&fleet, &["edit", name], b"new", |fleet| {
        let content = fleet.open(name, "web1").unwrap();
        assert!(content == name.as_bytes() || content == b"new");
        fleet.put(name, b"new");
        assert_eq!(fleet.open(name, "web1").unwrap(), b"new");
        fleet.run(&["rekey", "--force"]).done();
        assert_eq!(fleet.litter(), NONE);
    });
    assert!(kills > 8, "{kills}");
}

#[test]
fn a_new_host_whose_addition_is_killed_is_there_or_not() {
    let fleet = stale();
    if !strace_works(&fleet) {
        return;
    }
    let db1 = fleet.public("db1");
    let add = ["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--yes"];
    let kills = killed_everywhere(&fleet, &add, b"", |fleet| {
        whole(fleet);
        let hosts = String::from_utf8(fleet.run(&["host", "list"]).done().stdout).unwrap();
        if !hosts.contains("db1") {
            fleet.run(&add).done();
        }
        // What a killed run left beside the rules goes with the next change of them.
        fleet.run(&["host", "add", "other", "-r", &fleet.public("web1"), "--no-rekey"]).done();
        fleet.run(&["rekey"]).done();
        finished(fleet, &["alice", "web1", "db1"]);
    });
    assert!(kills > 30, "{kills}");
}

#[test]
fn a_signal_before_the_first_rename_leaves_everything_as_it_was() {
    let fleet = stale();
    if !strace_works(&fleet) {
        return;
    }
    fs::remove_file(fleet.path("secrets/.secretctl-abandoned.tmp")).unwrap();
    for signal in ["INT", "TERM", "HUP", "QUIT"] {
        for step in ["fsync:when=1", "fsync:when=4", "linkat:when=2", "fchmod:when=3"] {
            let fleet = fleet.copy();
            let before = fs::read(fleet.path("secrets/a.age")).unwrap();
            let (call, when) = step.split_once(':').unwrap();
            let inject = format!("inject={call}:signal={signal}:{when}");
            let trace = format!("trace={call}");
            let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
            let run = finish(traced(&fleet, &options, &["rekey", "--force"]), b"");
            assert!(run.code < 0 || run.code > 128, "{signal} {step}: {} {}", run.code, run.stderr);
            assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
            assert_eq!(fleet.litter(), NONE, "{signal} {step}");
            assert!(fs::read(fleet.path("secrets/a.age")).unwrap() == before, "{signal} {step}");
        }
    }
}

#[test]
fn a_signal_after_the_first_rename_comes_too_late() {
    let fleet = stale();
    if !strace_works(&fleet) {
        return;
    }
    let inject = "inject=?renameat,?renameat2:signal=INT:when=2";
    let options = ["-o", "/dev/null", "-e", "trace=?renameat,?renameat2", "-e", inject];
    finish(traced(&fleet, &options, &["rekey"]), b"").done();
    finished(&fleet, &["alice", "web1"]);
}

#[test]
fn an_encryption_that_is_interrupted_leaves_nothing() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-KILL", 9)] {
        let mut command = fleet.command(&["encrypt", "-o", "secrets/a.age"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // More than a pipe holds: the program is in the middle of it when all is written.
        child.stdin.as_mut().unwrap().write_all(&vec![b'x'; 300_000]).unwrap();
        let status = kill(&mut child, signal);
        assert_eq!(status, Some(number));
        assert_eq!(fleet.litter(), NONE);
        assert_eq!(fleet.open("secrets/a.age", "web1").unwrap(), b"secrets/a.age");
    }
}

fn kill(child: &mut Child, signal: &str) -> Option<i32> {
    let pid = child.id().to_string();
    std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    child.wait().unwrap().signal()
}

#[test]
fn what_nohup_made_deaf_stays_deaf() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    let script = "trap '' HUP; exec \"$0\" encrypt -o secrets/a.age";
    let mut command = fleet.around(Path::new("sh"), &["-c", script, PROGRAM]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&vec![b'x'; 300_000]).unwrap();
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(fleet.open("secrets/a.age", "web1").unwrap().len(), 300_000);
}

// -- at the same time ------------------------------------------------------------------------

/// An edit that holds the lock until [`Busy::end`].
struct Busy<'a> {
    fleet: &'a Fleet,
    child: Child,
}

impl<'a> Busy<'a> {
    fn begin(fleet: &'a Fleet) -> Self {
        let root = fleet.root().display();
        let script = format!(
            "touch {root}/ready; until [ -e {root}/go ]; do sleep 0.01; done; echo first >\"$1\""
        );
        let mut command = fleet.command(&["edit", "secrets/a.age"]);
        let child = command.env("EDITOR", fleet.script("slow", &script)).spawn().unwrap();
        wait_until("the editor", || fleet.root().join("ready").exists());
        Self { fleet, child }
    }

    fn end(mut self) {
        fs::write(self.fleet.root().join("go"), "").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// A second run, which must say that it waits and for whom.
fn waiting(fleet: &Fleet, arguments: &[&str], input: &[u8]) -> Child {
    let mut command = fleet.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let line = fleet.redact(&line);
    assert_eq!(line, "waiting for the lock, held by process […] (`edit secrets/a.age`)\n");
    std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    child
}

#[test]
fn the_second_run_waits_says_for_whom_and_loses_nothing() {
    for arguments in [&["rekey", "--force"][..], &["rekey", "--force", "secrets/a.age"]] {
        let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
        let busy = Busy::begin(&fleet);
        let mut second = waiting(&fleet, arguments, b"");
        busy.end();
        assert!(second.wait().unwrap().success());
        assert_eq!(fleet.open("secrets/a.age", "web1").unwrap(), b"first\n");
    }
}

#[test]
fn a_run_that_waited_goes_by_the_rules_as_they_are_then() {
    for (arguments, input, content) in [
        (&["rekey"][..], &b""[..], &b"first\n"[..]),
        (&["edit", "secrets/a.age"], b"second", b"second"),
    ] {
        let fleet = Fleet::with(&["secrets/a.age"]);
        let busy = Busy::begin(&fleet);
        let mut second = waiting(&fleet, arguments, input);
        fs::write(fleet.path("new.yaml"), {
            let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
            let rules = rules.replace("[web1]", "[web1, db1]");
            rules.replace("hosts:\n", &format!("hosts:\n  db1: {}\n", fleet.public("db1")))
        })
        .unwrap();
        fs::rename(fleet.path("new.yaml"), fleet.path("secretctl.yaml")).unwrap();
        busy.end();
        assert!(second.wait().unwrap().success());
        assert_eq!(fleet.open("secrets/a.age", "db1").unwrap(), content, "{arguments:?}");
        fleet.run(&["status"]).done();
    }
}

#[test]
fn the_lock_is_one_without_git_too() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    fs::remove_dir_all(fleet.path(".git")).unwrap();
    let busy = Busy::begin(&fleet);
    let mut all = waiting(&fleet, &["rekey", "--force"], b"");
    let db1 = fleet.public("db1");
    let mut rules = waiting(&fleet, &["host", "add", "db1", "-r", &db1, "--no-rekey"], b"");
    busy.end();
    assert!(all.wait().unwrap().success() && rules.wait().unwrap().success());
    assert_eq!(fleet.open("secrets/a.age", "web1").unwrap(), b"first\n");
}

#[test]
fn an_encryption_by_the_rules_waits_for_a_rekey() {
    let fleet = Fleet::with(&["secrets/a.age"]);
    let busy = Busy::begin(&fleet);
    let mut second = waiting(&fleet, &["encrypt", "-o", "secrets/a.age"], b"second");
    busy.end();
    assert!(second.wait().unwrap().success());
    assert_eq!(fleet.open("secrets/a.age", "web1").unwrap(), b"second");
}

#[test]
fn hosts_that_are_added_at_once_are_all_there() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    let names: Vec<String> = (0..8).map(|index| format!("h{index}")).collect();
    for name in &names {
        fleet.key(name);
    }
    let runs: Vec<Child> = names
        .iter()
        .map(|name| {
            let key = fleet.public(name);
            let add = ["host", "add", name, "-r", &key, "--to", "secrets/**", "--yes"];
            fleet.command(&add).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        Run::from(run.wait_with_output().unwrap()).done();
    }
    fleet.run(&["status"]).done();
    for name in &names {
        assert_eq!(fleet.open("secrets/a.age", name).unwrap(), b"secrets/a.age");
        assert_eq!(fleet.open("secrets/b.age", name).unwrap(), b"secrets/b.age");
    }
}

#[test]
fn an_editor_of_a_second_file_gets_its_signals_too() {
    let fleet = Fleet::with(&["secrets/a.age", "secrets/b.age"]);
    // INT is for the editor; the parent of the editor is the program.
    let script = "kill -INT $PPID; kill -QUIT $PPID; sleep 0.05; echo edited >\"$1\"";
    fleet.edit(&["edit", "secrets/a.age", "secrets/b.age"], script).done();
    assert_eq!(fleet.open("secrets/b.age", "web1").unwrap(), b"edited\n");
}
