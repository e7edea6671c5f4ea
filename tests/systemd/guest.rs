//! A Debian with systemd, booted by `systemd-nspawn` from a copy of a root folder. A script in it does
//! what an administrator would, and writes down what it sees; tests read that afterwards.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::{PROGRAM, is_root, is_there};

/// One root folder to boot copies of.
#[derive(Debug, Clone)]
pub(crate) struct Debian {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    root: PathBuf,
}

/// All that can be booted here. Says by name what is skipped.
pub(crate) fn all() -> Vec<Debian> {
    let strict = std::env::var_os("SECRETCTL_TEST_STRICT").is_some();
    if !is_root() || !is_there("systemd-nspawn") {
        assert!(!strict, "booting systemd needs root and systemd-nspawn");
        println!("skipped: booting systemd needs root and systemd-nspawn");
        return Vec::new();
    }
    let mut found = Vec::new();
    for name in ["SECRETCTL_TEST_SYSTEMD_OLD", "SECRETCTL_TEST_SYSTEMD_NEW"] {
        if let Some(root) = std::env::var_os(name) {
            found.push(Debian { name, root: root.into() });
        } else {
            assert!(!strict, "{name} is not set");
            println!("skipped: {name} is not set (`. scripts/setup test` sets it)");
        }
    }
    found
}

/// A machine with a disk of its own.
pub(crate) struct Guest {
    debian: Debian,
    folder: tempfile::TempDir,
}

/// What a script has written down: texts by name.
pub(crate) struct Report {
    guest: &'static str,
    texts: BTreeMap<String, String>,
    log: String,
}

impl Guest {
    /// A machine with the program in `/opt/secretctl`, which was never booted.
    pub(crate) fn new(debian: &Debian) -> Self {
        let folder = tempfile::Builder::new().prefix("guest-").tempdir().unwrap();
        let guest = Self { debian: debian.clone(), folder };
        for name in ["disk", "work", "root"] {
            fs::create_dir(guest.folder.path().join(name)).unwrap();
            set_mode(&guest.folder.path().join(name), 0o755);
        }
        guest.folder_in("/opt/secretctl/bin");
        let target = guest.path("/opt/secretctl");
        let copied = Command::new("cp").arg("-a").arg(program()).arg(target.join("lib")).status();
        assert!(copied.unwrap().success());
        for name in ["secretctl", "sops-install-secrets"] {
            symlink("../lib/secretctl", target.join("bin").join(name)).unwrap();
        }
        guest.put("/etc/hostname", "guest\n", 0o644);
        guest
    }

    /// A file as the machine has it when it is off.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let whole = self.folder.path().join("whole");
        let disk = if whole.exists() { whole } else { self.folder.path().join("disk") };
        disk.join(path.trim_start_matches('/'))
    }

    fn folder_in(&self, path: &str) {
        let mut folder = self.path("");
        for part in path.trim_matches('/').split('/') {
            folder.push(part);
            if !folder.exists() {
                fs::create_dir(&folder).unwrap();
                set_mode(&folder, 0o755);
            }
        }
    }

    /// Writes a file to its disk.
    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        self.folder_in(path.rsplit_once('/').unwrap().0);
        fs::write(self.path(path), content).unwrap();
        set_mode(&self.path(path), mode);
    }

    /// Copies a file to its disk.
    pub(crate) fn copy(&self, from: &Path, path: &str, mode: u32) {
        self.put(path, fs::read(from).unwrap(), mode);
    }

    /// Makes a link on its disk.
    #[allow(dead_code, reason = "not all tests that boot machines need links")]
    pub(crate) fn link(&self, target: &str, path: &str) {
        self.folder_in(path.rsplit_once('/').unwrap().0);
        symlink(target, self.path(path)).unwrap();
    }

    /// Puts what modules evaluate to into `/generations/NUMBER`, units and manifest.
    pub(crate) fn generation(&self, number: usize, out: &Value) {
        let folder = format!("/generations/{number}");
        for (name, text) in out["units"].as_object().unwrap() {
            let text = text.as_str().unwrap();
            // What only adds to a unit of systemd's own lies beside it, as on NixOS.
            let adds = self.debian.root.join("usr/lib/systemd/system").join(name).exists();
            let file = if adds { format!("{name}.d/overrides.conf") } else { name.clone() };
            self.put(&format!("{folder}/{file}"), text, 0o644);
        }
        for (folder_of_links, names) in out["links"].as_object().unwrap() {
            let links = format!("{folder}/{folder_of_links}");
            self.folder_in(&links);
            for name in names.as_array().unwrap() {
                let name = name.as_str().unwrap();
                symlink(format!("../{name}"), self.path(&links).join(name)).unwrap();
            }
        }
        if let Some(check) = out["preSwitchChecks"]["secretctl"].as_str() {
            self.put(&format!("{folder}/pre-switch"), check, 0o644);
        }
        let manifest = serde_json::to_string_pretty(&out["manifest"]).unwrap();
        self.put(out["manifestPath"].as_str().unwrap(), manifest, 0o444);
        self.put(&format!("{folder}/sysinit-reactivation.target"), REACTIVATION, 0o644);
        let path = out["manifestPath"].as_str().unwrap();
        symlink(path, self.path(&format!("{folder}/manifest.json"))).unwrap();
        if number == 1 {
            self.folder_in("/etc/systemd");
            symlink(folder, self.path(CURRENT)).unwrap();
        }
    }

    /// Boots, runs a script when everything is up, and powers off.
    pub(crate) fn boot(&self, script: &str) -> Report {
        let _gone = fs::remove_dir_all(self.path("/report"));
        self.folder_in("/report");
        self.put("/script", format!("{PRELUDE}\n{script}\n"), 0o755);
        self.put("/etc/systemd/system/script.service", SCRIPT_UNIT, 0o644);
        self.folder_in("/etc/systemd/system/multi-user.target.wants");
        let wanted = self.path("/etc/systemd/system/multi-user.target.wants/script.service");
        if fs::symlink_metadata(&wanted).is_err() {
            symlink("../script.service", wanted).unwrap();
        }
        let here = self.folder.path();
        let output = Command::new("timeout")
            .args(["-k", "5", "120", "unshare", "--mount", "--propagation", "private"])
            .args(["sh", "-c", BOOT, "sh"])
            .args([&self.debian.root, &here.join("disk"), &here.join("work"), &here.join("root")])
            .args([&here.join("whole"), Path::new(here.file_name().unwrap())])
            // The hierarchy that newer versions insist on.
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let journal = fs::read(self.path("/report/journal")).unwrap_or_default();
        let journal = String::from_utf8_lossy(&journal);
        let telling = |line: &&str| TELLING.iter().any(|word| line.contains(word));
        let log: Vec<&str> = journal.lines().filter(telling).collect();
        let mut report = Report {
            guest: self.debian.name,
            texts: BTreeMap::new(),
            log: format!("{}\n{}", log.join("\n"), String::from_utf8_lossy(&output.stderr)),
        };
        for entry in fs::read_dir(self.path("/report")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = fs::read(entry.path()).unwrap_or_default();
            report.texts.insert(name, String::from_utf8_lossy(&text).into_owned());
        }
        let so_far: Vec<_> = report.texts.keys().collect();
        let log = &report.log;
        assert!(report.texts.contains_key("finished"), "no end of the script: {so_far:?}\n{log}");
        report
    }
}

impl Report {
    /// What a command of the script printed, without the last line end.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> &str {
        let text = self.texts.get(name);
        text.unwrap_or_else(|| panic!("{}: no `{name}` in the report:\n{}", self.guest, self.log))
            .trim_end_matches('\n')
    }

    /// Whether a text is this.
    #[track_caller]
    pub(crate) fn is(&self, name: &str, expected: &str) {
        assert_eq!(self.get(name), expected, "{}: {name}\n{}", self.guest, self.log);
    }

    /// Whether all of these are in a text.
    #[track_caller]
    pub(crate) fn has(&self, name: &str, parts: &[&str]) {
        for part in parts {
            let text = self.get(name);
            assert!(text.contains(part), "{}: no `{part}` in {name}: {text}", self.guest);
        }
    }

    /// Whether the command of that name succeeded.
    #[track_caller]
    pub(crate) fn succeeded(&self, name: &str) {
        let (code, text) = (self.get(&format!("{name}.code")), self.get(name));
        assert_eq!(code, "0", "{}: {name}: {text}\n{}", self.guest, self.log);
    }

    /// Whether the command of that name failed.
    #[track_caller]
    pub(crate) fn failed(&self, name: &str) {
        assert_ne!(self.get(&format!("{name}.code")), "0", "{}: {name}", self.guest);
    }
}

/// The program with the libraries of this machine, which may be newer than those of the guest.
fn program() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        // A folder of this test, made anew each time: nobody would remove one of this run.
        let test = std::env::current_exe().unwrap();
        let test = test.file_name().unwrap().to_str().unwrap();
        // without the hash that cargo puts behind the name
        let name = test.rsplit_once('-').map_or(test, |(name, _)| name);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-of-{name}"));
        let _none = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        set_mode(&folder, 0o755);
        let program = folder.join("secretctl");
        fs::copy(PROGRAM, &program).unwrap();
        let listed = Command::new("ldd").arg(PROGRAM).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let mut loader = String::new();
        for file in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let name = Path::new(file).file_name().unwrap();
            fs::copy(file, folder.join(name)).unwrap();
            if name.to_str().unwrap().starts_with("ld-") {
                loader = format!("{LIBRARIES}/{}", name.to_str().unwrap());
            }
        }
        let patched = Command::new("patchelf")
            .args(["--set-interpreter", &loader, "--force-rpath", "--set-rpath", LIBRARIES])
            .arg(&program)
            .status();
        assert!(patched.unwrap().success(), "patchelf");
        folder
    };
    FOLDER.get_or_init(make)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Lines of the journal that tell why a test fails have one of these words.
const TELLING: [&str; 5] = ["secretctl", "ailed", "rror", "sysusers", "cycle"];
const LIBRARIES: &str = "/opt/secretctl/lib";
/// Where systemd finds the units of a generation.
const CURRENT: &str = "/etc/systemd/system.control";

/// NixOS has this target for units that a switch runs again before all others.
const REACTIVATION: &str = "[Unit]\nDescription=Reactivate sysinit units\n";

/// The disk over the root, or where that cannot be, a copy of the root with the disk in it.
const BOOT: &str = r#"
set -e
if [ -d "$5" ] || ! mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"; then
  if [ ! -d "$5" ]; then
    cp -a "$1" "$5.new"
    cp -a "$2/." "$5.new"
    mv "$5.new" "$5"
  fi
  mount --bind "$5" "$4"
fi
exec systemd-nspawn --quiet --directory="$4" --boot --register=no --keep-unit --console=pipe \
  --private-network --machine="$6" --hostname=guest
"#;

const SCRIPT_UNIT: &str = "[Unit]\nAfter=multi-user.target\n\
    [Service]\nType=simple\nExecStart=/script\nExecStopPost=/bin/systemctl poweroff --no-block\n";

/// What scripts may use.
const PRELUDE: &str = r#"#!/bin/sh
# say NAME COMMAND...: what it prints, and how it ends
say() {
  name=$1
  shift
  "$@" >"/report/$name" 2>&1
  echo $? >"/report/$name.code"
}

# as NAME COMMAND...: the same as another user, who is in no group of others
as() {
  user=$1
  shift
  setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
}

# switch NUMBER: what NixOS does of a switch that matters here. Changed services that run are
# stopped, the units of the new generation come in place, those of sysinit run again, and what
# was stopped is started.
switch() {
  new=/generations/$1 old=$(readlink /etc/systemd/system.control)
  stop= restart=
  for file in "$new"/*.service "$new"/*.d/overrides.conf; do
    [ -e "$file" ] || continue
    unit=${file#"$new/"}
    unit=${unit%.d/overrides.conf}
    [ "${unit%@.service}" = "$unit" ] || continue
    cmp -s "$file" "$old/${file#"$new/"}" && continue
    systemctl is-active --quiet "$unit" || continue
    if grep -q '^X-RestartIfChanged=false' "$file"; then
      :
    elif grep -q '^X-StopIfChanged=false' "$file"; then
      restart="$restart $unit"
    else
      stop="$stop $unit"
    fi
  done
  for file in "$old"/*.service "$old"/*.socket "$old"/*.mount; do
    [ -e "$new/${file##*/}" ] || [ ! -e "$file" ] || systemctl stop "${file##*/}"
  done
  [ -z "$stop" ] || systemctl stop $stop
  systemctl reset-failed
  ln -sfn "$new" /etc/systemd/system.control
  systemctl daemon-reload
  systemctl restart sysinit-reactivation.target
  status=$?
  [ -z "$restart" ] || systemctl restart $restart
  [ -z "$stop" ] || systemctl start $stop
  systemctl start sysinit.target sockets.target multi-user.target
  return $status
}

finish() {
  journalctl --boot --no-pager >/report/journal 2>&1
  sync
  echo >/report/finished
}
trap finish EXIT
systemctl is-system-running --wait >/report/running 2>&1
"#;
