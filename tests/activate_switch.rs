//! `secretctl activate` from boot to boot: what each switch changes, whom it restarts, and what
//! is left when it is killed or runs several times at once.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{PROGRAM, Run, finish, is_root, is_there};
use rayon::prelude::*;
use serde_json::{Value, json};
use target::{Host, summary};

/// A `systemctl` that notes what it is asked.
fn systemctl(host: &Host) {
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{}\ncase \" $* \" in *' nosuch.service '*)\n\
         echo 'Failed to try-restart nosuch.service: Unit nosuch.service not found.' >&2; exit 5\n\
         esac\n",
        host.at("asked")
    );
    let file = host.file("bin/systemctl", script.as_bytes());
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs an activation that finds our `systemctl`, with more of an environment.
fn switch(host: &Host, manifest: &Value, options: &[&str], more: &[(&str, &str)]) -> Run {
    finish(with_systemctl(host, host.activation(manifest, options), more), b"")
}

fn with_systemctl(host: &Host, mut command: Command, more: &[(&str, &str)]) -> Command {
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", host.at("bin"))).envs(more.iter().copied());
    command
}

/// What was asked of systemd since the last time.
fn asked(host: &Host) -> String {
    let path = host.root().join("asked");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _none = fs::remove_file(path);
    text.replace("--no-block --no-ask-password ", "")
}

/// One sops file and one age file, with units, links and copies.
fn manifest(host: &Host, [a, b]: [&str; 2]) -> Value {
    let age = host.age_of("host");
    let yaml = host.sops(&format!("{a}-{b}.yaml"), &format!("a: {a}\nb: {b}\n"), &[&age]);
    let whole = host.age(&format!("{a}.age"), a.as_bytes(), &[&host.public("host")]);
    let out = |name: &str| host.at(&format!("run/out/{name}"));
    host.manifest(&[
        json!({ "name": "a", "file": yaml, "key": ["a"], "restartUnits": ["a.service", "both.service"],
                "links": [out("a")] }),
        json!({ "name": "b", "file": yaml, "key": ["b"], "reloadUnits": ["b.service", "both.service"] }),
        json!({ "name": "whole", "file": whole, "mode": "0440", "copies": [out("whole")],
                "restartUnits": ["nosuch.service"] }),
    ])
}

#[test]
fn a_switch_restarts_whom_it_concerns() {
    let Some(host) = Host::new() else { return };
    systemctl(&host);
    switch(&host, &manifest(&host, ["1", "1"]), &[], &[]).done();
    assert_eq!(asked(&host), "");
    switch(&host, &manifest(&host, ["1", "1"]), &[], &[]).done();
    assert_eq!(asked(&host), "");
    // Only `b` changed.
    let run = switch(&host, &manifest(&host, ["1", "2"]), &["--json"], &[]).done();
    assert_eq!(asked(&host), "try-reload-or-restart -- b.service both.service\n");
    let changed = &summary(&run)["stores"]["secrets"];
    assert_eq!(
        (&changed["changed"], &changed["unchanged"]),
        (&json!(["b"]), &json!(["a", "whole"]))
    );
    // A unit that systemd does not know is named, and nothing is undone.
    let run = switch(&host, &manifest(&host, ["2", "2"]), &[], &[]).done();
    run.says("Unit nosuch.service not found.");
    assert_eq!(asked(&host), "try-restart -- a.service both.service nosuch.service\n");
    assert_eq!((host.installed("a"), host.installed("whole")), ("2".into(), "2".into()));
    // Other permissions are no news for whoever runs.
    let mut other = manifest(&host, ["2", "2"]);
    other["secrets"][0]["mode"] = json!("0444");
    let run = switch(&host, &other, &["--json"], &[]).done();
    assert_eq!(summary(&run)["stores"]["secrets"]["changed"], json!(["a"]));
    assert_eq!(asked(&host), "");
}

#[test]
fn an_activation_script_leaves_units_to_the_switch() {
    let Some(host) = Host::new() else { return };
    systemctl(&host);
    host.sh("mkdir -p /run/nixos");
    switch(&host, &manifest(&host, ["1", "1"]), &[], &[("NIXOS_ACTION", "boot")]).done();
    assert_eq!(host.sh("ls -A /run/nixos"), "");
    let next = manifest(&host, ["2", "2"]);
    switch(&host, &next, &["--dry-run"], &[("NIXOS_ACTION", "dry-activate")]).done();
    let lists = "cd /run/nixos && tail -n +1 *; rm *";
    let restart = "a.service\nboth.service\nnosuch.service\n";
    assert_eq!(
        host.sh(lists),
        format!(
            "==> dry-activation-reload-list <==\nb.service\n\n\
             ==> dry-activation-restart-list <==\n{restart}"
        )
    );
    assert_eq!(host.installed("a"), "1");
    // A switch may itself run in a unit.
    let action = [("NIXOS_ACTION", "switch"), ("INVOCATION_ID", "0123456789abcdef")];
    switch(&host, &next, &[], &action).done();
    assert_eq!(
        host.sh(lists),
        format!(
            "==> activation-reload-list <==\nb.service\n\n==> activation-restart-list <==\n{restart}"
        )
    );
    assert_eq!(asked(&host), "");
}

#[test]
fn secrets_go_with_all_that_hung_on_them_the_last_one_too() {
    let Some(host) = Host::new() else { return };
    let mut all = manifest(&host, ["1", "1"]);
    host.activate(&all, &[]).done();
    let out = |host: &Host| host.sh(&format!("ls -A {}", host.at("run/out")));
    assert_eq!(out(&host), "a\nwhole\n");
    let secrets = all["secrets"].as_array_mut().unwrap();
    secrets.remove(0);
    let run = host.activate(&all, &["--dry-run"]).done();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "secrets: would remove a\n");
    assert_eq!(out(&host), "a\nwhole\n");
    host.activate(&all, &[]).done();
    assert_eq!(out(&host), "whole\n");
    all["secrets"] = json!([]);
    host.activate(&all, &[]).done();
    assert_eq!(out(&host), "");
    assert_eq!(host.sh(&format!("ls -A {}/", host.at("run/secrets"))), "");
    let left = host.sh(&format!("find {} -type f", host.at("run/secrets.d")));
    assert_eq!(left.trim(), host.at("run/secrets.d/.secretctl-state.json"));
}

#[test]
fn a_copy_of_a_secret_that_went_while_the_machine_was_off_goes() {
    let Some(host) = Host::new() else { return };
    let mut all = manifest(&host, ["1", "1"]);
    let copy = host.at("etc/copy");
    all["secrets"][2]["copies"] = json!([copy]);
    let state = host.at("home/state");
    let run = |manifest: &Value| {
        switch(&host, manifest, &[], &[("STATE_DIRECTORY", state.as_str())]).done();
    };
    run(&all);
    assert_eq!(host.sh(&format!("cat {copy}")), "1");
    let (store, link) = (host.at("run/secrets.d"), host.at("run/secrets"));
    host.sh(&format!("umount {store} 2>/dev/null; rm -rf {store} {link}"));
    all["secrets"].as_array_mut().unwrap().remove(2);
    run(&all);
    assert!(!host.has(&copy));
}

#[test]
fn several_runs_at_once_wait_for_each_other() {
    let Some(host) = Host::new() else { return };
    let manifest = manifest(&host, ["1", "1"]);
    let file = host.write(&manifest);
    let start = || {
        let mut command = host.inside(Path::new(PROGRAM), &["activate", &file]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<_> = (0..6).map(|_| start()).collect();
    for run in runs {
        Run::from(run.wait_with_output().unwrap()).done();
    }
    assert_eq!(host.installed("whole"), "1");
    assert_eq!(host.sh(&format!("ls {}", host.at("run/secrets.d"))), "6\n");
    if is_root() {
        let mounts = host.sh(&format!("grep -c ' {} ' /proc/mounts", host.at("run/secrets.d")));
        assert_eq!(mounts, "1\n");
    }
}

/// All that changes something.
const CALLS: &str = "write,mount,?mkdir,mkdirat,fchmod,fchown,fchownat,?symlink,symlinkat,?rename,\
    renameat,?renameat2,?rmdir,?unlink,unlinkat,ftruncate,flock,execve";

/// `strace` with these options around an activation.
fn traced(host: &Host, options: &[&str], file: &str) -> Command {
    let all = [&["-f", "-qq"], options, &[PROGRAM, "activate", file]].concat();
    let mut command = with_systemctl(host, host.inside(Path::new("strace"), &all), &[]);
    command.env("RAYON_NUM_THREADS", "1");
    command
}

/// Every system call from the lock on, as its name and its number among those of its name and
/// thread.
fn steps(host: &Host, file: &str) -> BTreeSet<(String, usize)> {
    let log = host.at("trace");
    finish(traced(host, &["-o", &log, "-e", &format!("trace=openat,{CALLS}")], file), b"").done();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    let mut locked = false;
    for line in fs::read_to_string(log).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        let count = counts.entry((thread.to_owned(), name.to_owned())).or_default();
        *count += 1;
        locked |= rest.contains(".secrets.d.lock");
        if locked && name != "openat" {
            steps.insert((name.to_owned(), *count));
        }
    }
    steps
}

#[test]
fn killed_at_any_step_the_secrets_are_whole_and_the_next_run_tells_the_units() {
    let Some(host) = Host::new() else { return };
    let works = is_there("strace")
        && finish(host.inside(Path::new("strace"), &["-f", "-o", "/dev/null", "true"]), b"").code
            == 0;
    if !works {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "strace may not trace");
        println!("skipped: strace may not trace here");
        return;
    }
    systemctl(&host);
    let (old, new) = (manifest(&host, ["old", "old"]), manifest(&host, ["new", "new"]));
    let at = |manifest: &Value, name: &str, age: &str| {
        let text = manifest.to_string().replace(&host.at("run"), &host.at(&format!("run/{name}")));
        host.file(&format!("manifests/{name}-{age}"), text.as_bytes())
    };
    let run = |file: &str| {
        let command = host.inside(Path::new(PROGRAM), &["activate", file]);
        finish(with_systemctl(&host, command, &[]), b"").done();
    };
    run(&at(&old, "trial", "old"));
    let steps: Vec<_> = steps(&host, &at(&new, "trial", "new")).into_iter().collect();
    assert!(steps.len() > 40, "{steps:?}");
    // Each of these ends by a kill, or before that step: what other threads do is not the same
    // each time.
    let kills: usize = steps
        .par_iter()
        .map(|(call, number)| {
            let name = format!("{call}-{number}");
            run(&at(&old, &name, "old"));
            let inject = format!("inject={call}:signal=KILL:when={number}");
            let options = ["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
            let file = at(&new, &name, "new");
            let killed = finish(traced(&host, &options, &file), b"").code != 0;
            let read =
                |path: &str| host.sh(&format!("cat {}", host.at(&format!("run/{name}/{path}"))));
            let all = ["a", "b", "whole"].map(|secret| read(&format!("secrets/{secret}")));
            assert!(
                all.iter().all(|one| one == "old") || all.iter().all(|one| one == "new"),
                "{name}: {all:?}"
            );
            run(&file);
            for path in ["secrets/a", "secrets/b", "secrets/whole", "out/a", "out/whole"] {
                assert_eq!(read(path), "new", "{name}: {path}");
            }
            let left = host.sh(&format!("cd {} && find . | sort", host.at(&format!("run/{name}"))));
            let store = left.lines().filter(|line| line.starts_with("./secrets.d/")).count();
            assert_eq!(store, 5, "{name}: {left}");
            assert_eq!(left.lines().count(), 5 + 7, "{name}: {left}");
            usize::from(killed)
        })
        .sum();
    assert!(kills > 30, "{kills}");
    // Whoever was killed before the units were told, was followed by one that told them.
    let told = asked(&host);
    let told =
        told.lines().filter(|line| *line == "try-restart -- a.service both.service nosuch.service");
    assert!(told.count() > steps.len(), "{}", steps.len());
}
