//! Activations that are killed, or whose file system fails, at every step: the secrets are those
//! of the old or of the new generation, whole, and the next run cleans up and tells the units.
//!
//! There is no hook in the program: `strace` kills it, or makes a call fail, at the chosen step.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use machine::*;
use rayon::prelude::*;
use secretctl::activate::{Piece, Target};

/// All that changes something, and what comes between.
const CALLS: &str = "?open,openat,write,mount,?mkdir,mkdirat,?chmod,fchmod,?chown,fchown,fchownat,\
    ?symlink,symlinkat,?rename,renameat,?renameat2,?rmdir,?unlink,unlinkat,ftruncate,flock,fsync";

/// A machine inside of the machine: a store, and folders with links and copies, below one folder.
struct World(PathBuf);

impl World {
    /// With the old generation in place, or as after a boot.
    fn new(name: &str, old: bool) -> Self {
        let world = Self(PathBuf::from("/run").join(name));
        fs::create_dir(&world.0).unwrap();
        if old {
            install_well(&world.target(), world.pieces("old"));
        }
        world
    }

    fn target(&self) -> Target {
        let mut target = target();
        target.store.mount_point = self.0.join("secrets.d");
        target.store.link = self.0.join("secrets");
        target
    }

    fn pieces(&self, age: &str) -> Vec<Piece> {
        let path = |name: &str| self.0.join("out").join(name).to_str().unwrap().to_owned();
        let unit =
            |piece: Piece| Piece { restart: vec![format!("{}.service", piece.name)], ..piece };
        vec![
            unit(linked("a/b", &format!("{age} a"), &path("a"))),
            unit(copied("c", &format!("{age} c"), &path("c"))),
            copied("same", "same", &path("same")),
            linked(&format!("only-{age}"), age, &path(&format!("link-{age}"))),
            copied(&format!("copy-{age}"), age, &path(&format!("copy-{age}"))),
        ]
    }

    /// What is in the store, by name.
    fn secrets(&self) -> Option<BTreeMap<String, String>> {
        let root = self.0.join("secrets");
        fs::symlink_metadata(&root).ok()?;
        let mut all = BTreeMap::new();
        let mut left = vec![root.clone()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    all.insert(name, read(&path));
                }
            }
        }
        Some(all)
    }

    fn of(age: &str) -> BTreeMap<String, String> {
        [
            ("a/b".to_owned(), format!("{age} a")),
            ("c".to_owned(), format!("{age} c")),
            ("same".to_owned(), "same".to_owned()),
            (format!("only-{age}"), age.to_owned()),
            (format!("copy-{age}"), age.to_owned()),
        ]
        .into()
    }

    #[track_caller]
    fn is_whole(&self, old: bool) {
        let secrets = self.secrets();
        let before = old.then(|| Self::of("old"));
        assert!(secrets == before || secrets == Some(Self::of("new")), "{secrets:?}");
        for (name, content) in [("a", "a"), ("c", "c")] {
            if let Ok(there) = fs::read_to_string(self.0.join("out").join(name)) {
                assert!(there == format!("old {content}") || there == format!("new {content}"));
            } else {
                assert!(!old, "{name} is gone");
            }
        }
    }

    /// What a run that nothing happens to leaves.
    #[track_caller]
    fn finished(&self) {
        let published = install_well(&self.target(), self.pieces("new"));
        assert_eq!(self.secrets().unwrap(), Self::of("new"));
        let out = self.0.join("out");
        assert_eq!(entries(&out), ["a", "c", "copy-new", "link-new", "same"]);
        for (name, content) in
            [("a", "new a"), ("c", "new c"), ("link-new", "new"), ("copy-new", "new")]
        {
            assert_eq!(read(out.join(name)), content);
        }
        self.is_tidy();
        let told: Vec<_> = published.restart.iter().map(String::as_str).collect();
        if self.0.to_str().unwrap().contains("old") {
            assert_eq!(told, ["a/b.service", "c.service"]);
        }
    }

    /// What a run leaves from whose configuration all secrets are gone.
    #[track_caller]
    fn emptied(&self) {
        install_well(&self.target(), vec![]);
        assert!(self.secrets().is_none_or(|secrets| secrets.is_empty()));
        if self.0.join("out").exists() {
            assert_eq!(entries(self.0.join("out")), Vec::<String>::new());
        }
        self.is_tidy();
    }

    #[track_caller]
    fn is_tidy(&self) {
        let mut expected = vec![".secrets.d.lock", "out", "secrets", "secrets.d"];
        expected.retain(|name| self.0.join(name).exists());
        assert_eq!(entries(&self.0), expected);
        assert!(mounts(self.0.join("secrets.d").to_str().unwrap()).len() < 2);
        if !self.0.join("secrets.d").exists() {
            return;
        }
        let store = entries(self.0.join("secrets.d"));
        let numbers = store.iter().filter(|name| name.parse::<u64>().is_ok()).count();
        assert!(numbers < 2 && store.len() <= 2, "{store:?}");
    }

    /// The program that installs the new generation, under `strace` with these options.
    fn strace(&self, options: &[&str]) -> String {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq"]).args(options).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "the_child", "--nocapture", "--test-threads=1"]);
        let output = command.env(CHILD, &self.0).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// What is traced: not a test of its own.
#[test]
fn the_child() {
    if let Some(world) = std::env::var_os(CHILD) {
        let world = World(world.into());
        let outcome = match try_install(&world.target(), world.pieces("new")) {
            Ok(published) => said(&published.problems).join("\n"),
            Err(error) => error.to_string(),
        };
        println!("{outcome}");
    }
}

/// Every system call from the lock on, as its name and its number among those of its name and
/// thread.
fn steps(world: &World) -> BTreeSet<(String, usize)> {
    let log = disk().join(world.0.file_name().unwrap());
    world.strace(&["-o", log.to_str().unwrap(), "-e", &format!("trace={CALLS}")]);
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    let mut locked = false;
    for line in fs::read_to_string(log).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        let count = counts.entry((thread.to_owned(), name.to_owned())).or_default();
        *count += 1;
        locked |= rest.contains(".secrets.d.lock");
        if locked {
            steps.insert((name.to_owned(), *count));
        }
    }
    assert!(steps.len() > 40, "{steps:?}");
    steps
}

/// Does something to the program at each of these steps, and judges what is left twice: the same
/// configuration is installed again, and one without secrets.
fn at_every_step(old: bool, what: &str, steps: &BTreeSet<(String, usize)>) {
    let steps: Vec<_> = steps.iter().collect();
    steps.par_iter().for_each(|(call, number)| {
        for again in [true, false] {
            let name = format!("{}-{call}-{number}-{again}", if old { "old" } else { "boot" });
            let world = World::new(&name, old);
            let inject = format!("inject={call}:{what}:when={number}");
            let trace = format!("trace={call}");
            let talk = world.strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject]);
            let judge = || {
                assert!(!talk.contains("panicked at src"), "{talk}");
                world.is_whole(old);
                if again { world.finished() } else { world.emptied() }
            };
            let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge));
            assert!(judged.is_ok(), "{what} at {call} number {number}, again: {again}");
            if Path::new(&world.0).join("secrets.d").exists() {
                let _unmounted =
                    Command::new("umount").arg("-l").arg(world.0.join("secrets.d")).output();
            }
            fs::remove_dir_all(&world.0).unwrap();
        }
    });
}

fn strace_works() -> bool {
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        skip("strace may not trace here");
    }
    works
}

#[test]
fn killed_at_any_step_the_secrets_are_the_old_or_the_new_ones() {
    inside("killed_at_any_step_the_secrets_are_the_old_or_the_new_ones", || {
        if strace_works() {
            let steps = steps(&World::new("trial", true));
            at_every_step(true, "signal=KILL", &steps);
        }
    });
}

#[test]
fn killed_at_any_step_of_a_boot_there_are_all_secrets_or_none() {
    inside("killed_at_any_step_of_a_boot_there_are_all_secrets_or_none", || {
        if strace_works() {
            let steps = steps(&World::new("trial", false));
            at_every_step(false, "signal=KILL", &steps);
        }
    });
}

#[test]
fn a_file_system_that_fails_at_any_step_leaves_the_old_or_the_new_secrets() {
    inside("a_file_system_that_fails_at_any_step_leaves_the_old_or_the_new_secrets", || {
        if strace_works() {
            let mut steps = steps(&World::new("trial", true));
            steps.retain(|(call, _)| call != "openat" && call != "open");
            at_every_step(true, "error=EIO", &steps);
        }
    });
}

const CHILD: &str = "SECRETCTL_TEST_CHILD";
