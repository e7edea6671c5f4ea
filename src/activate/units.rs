//! Restarts and reloads of units whose secrets changed, asked for after the new generation is
//! in place. What systemd answers never undoes an installation.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::publish::memory;
use super::state::{FILE, State};
use super::{Problem, Published, Target, Trouble};
use crate::fsx;
use crate::process::capture::{ProcessError, capture};

/// How units are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By `systemctl`, at once.
    Systemctl {
        /// Units of the user who runs this.
        user: bool,
    },
    /// By lists that `switch-to-configuration` reads when the activation scripts are done.
    Lists {
        /// The folder of the lists, `/run/nixos`.
        folder: PathBuf,
        /// Lists of what would be done.
        dry: bool,
    },
    /// Not at all: there is no systemd.
    Nobody,
}

impl How {
    /// Decides by the environment: `variable` looks one up, `exists` whether a path is there.
    ///
    /// `switch-to-configuration` sets `NIXOS_ACTION` for activation scripts, which must leave
    /// units to it. A unit may have inherited that from nobody, but a switch may well run inside
    /// of one, so `INVOCATION_ID` says nothing; whoever wants units restarted at once in spite of
    /// `NIXOS_ACTION` sets `SOPS_RESTART_UNITS_VIA_SYSTEMCTL`, as the units of sops-nix do.
    pub fn decide(
        system: bool,
        variable: &dyn Fn(&str) -> Option<OsString>,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if !system {
            let manager = set("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("systemd"));
            return match manager {
                Some(folder) if exists(&folder) => Self::Systemctl { user: true },
                Some(_) | None => Self::Nobody,
            };
        }
        let lists = PathBuf::from("/run/nixos");
        let action = set("NIXOS_ACTION");
        let at_once = set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL").is_some_and(|value| value == "1");
        if action.is_some() && !at_once && exists(&lists) {
            let dry = action.is_some_and(|action| action == "dry-activate");
            return Self::Lists { folder: lists, dry };
        }
        if exists(Path::new("/run/systemd/system")) {
            Self::Systemctl { user: false }
        } else if exists(&lists) {
            Self::Lists { folder: lists, dry: false }
        } else {
            Self::Nobody
        }
    }
}

/// Asks for the restarts and reloads of what was published, all stores in one go, along with
/// those that an earlier run was killed before. After a dry run only dry lists are written.
///
/// To be called while the stores are still held.
pub fn request(how: &How, done: &[(&Target, &Published)]) -> Vec<Problem> {
    let mut troubles = Vec::new();
    let mut collect = |of: fn(&Published) -> &BTreeSet<String>| {
        let all: BTreeSet<&str> =
            done.iter().flat_map(|(_, published)| of(published)).map(String::as_str).collect();
        let (good, bad): (Vec<&str>, Vec<&str>) = all.into_iter().partition(|unit| is_name(unit));
        let named = |unit: &str| Trouble::UnitName { unit: unit.to_owned() };
        troubles.extend(bad.into_iter().map(named));
        good
    };
    let restart = collect(|published| &published.restart);
    let reload = collect(|published| &published.reload);
    // Whoever is restarted has no need to be reloaded.
    let reload: Vec<&str> = reload.into_iter().filter(|unit| !restart.contains(unit)).collect();
    let dry = done.iter().all(|(_, published)| published.dry);
    match how {
        How::Lists { folder, dry: of_dry } if dry == *of_dry => {
            let prefix = if dry { "dry-activation" } else { "activation" };
            troubles.extend(append(folder, &format!("{prefix}-restart-list"), &restart));
            troubles.extend(append(folder, &format!("{prefix}-reload-list"), &reload));
        }
        _ if dry => {}
        How::Systemctl { user } => {
            troubles.extend(systemctl(*user, "try-restart", "restart", &restart));
            troubles.extend(systemctl(*user, "try-reload-or-restart", "reload", &reload));
        }
        How::Lists { .. } | How::Nobody => {
            let units: Vec<String> =
                restart.iter().chain(&reload).map(|unit| (*unit).to_owned()).collect();
            if !units.is_empty() {
                troubles.push(Trouble::NoSystemd { units });
            }
        }
    }
    for (target, published) in done {
        if let Err(trouble) = forget(target, published) {
            troubles.push(trouble);
        }
    }
    troubles.into_iter().map(|trouble| Problem { name: None, trouble }).collect()
}

/// Whether systemd could have a unit of that name; anything else would be an option or a second
/// line of a list.
fn is_name(unit: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    unit.len() <= 255 && unit.contains('.') && !unit.starts_with('-') && unit.chars().all(plain)
}

fn append(folder: &Path, name: &str, units: &[&str]) -> Option<Trouble> {
    if units.is_empty() {
        return None;
    }
    let path = folder.join(name);
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let append = || -> io::Result<()> {
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644))?;
        // At once, so that lists of several programs do not mix.
        std::fs::File::from(file).write_all(format!("{}\n", units.join("\n")).as_bytes())
    };
    append().err().map(|e| Trouble::io(&path, "write", e))
}

/// One call for all units. systemd goes on behind one that it does not know.
fn systemctl(user: bool, verb: &str, doing: &'static str, units: &[&str]) -> Option<Trouble> {
    if units.is_empty() {
        return None;
    }
    let mut arguments: Vec<OsString> = Vec::new();
    if user {
        arguments.push("--user".into());
    }
    arguments.extend(["--no-block", "--no-ask-password", verb, "--"].map(OsString::from));
    arguments.extend(units.iter().map(OsString::from));
    let run = |program: &str| {
        capture(Path::new("/"), OsStr::new(program), &arguments, PATIENCE, MOST_SAID)
    };
    let output = match run("systemctl") {
        // The PATH of a unit may be anything.
        Err(ProcessError::Missing { program }) => {
            run(OF_NIXOS).map_err(|_| ProcessError::Missing { program })
        }
        other => other,
    };
    match output {
        Err(error) => Some(Trouble::Systemctl(error)),
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<String> = said
                .lines()
                .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
                .filter(|line| !line.trim().is_empty())
                .collect();
            let said = if lines.is_empty() { output.status.to_string() } else { lines.join("; ") };
            Some(Trouble::Units { doing, said })
        }
    }
}

/// Notes that nobody is to be told any more.
fn forget(target: &Target, published: &Published) -> Result<(), Trouble> {
    if published.dry || published.restart.is_empty() && published.reload.is_empty() {
        return Ok(());
    }
    let path = &target.store.mount_point;
    let problem = |e| Trouble::io(path, "note in", e);
    let Ok(Some(mounted)) = fsx::probe(path, memory(target), target.system) else { return Ok(()) };
    let mut notes = State::read(&mounted.folder, FILE.as_ref()).map_err(problem)?;
    notes.restart.clear();
    notes.reload.clear();
    notes.write(&mounted.folder, FILE.as_ref(), !mounted.memory).map_err(problem)
}

const PATIENCE: Duration = Duration::from_mins(1);
const MOST_SAID: usize = 64 << 10;
/// Where NixOS has it, whatever the PATH.
const OF_NIXOS: &str = "/run/current-system/systemd/bin/systemctl";

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(system: bool, variables: &[(&str, &str)], paths: &[&str]) -> How {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        How::decide(system, &variable, &|path| paths.contains(&path.to_str().unwrap()))
    }

    #[test]
    fn units_are_reached_as_the_surroundings_say() {
        let (nixos, systemd) = ("/run/nixos", "/run/systemd/system");
        let lists = |dry| How::Lists { folder: nixos.into(), dry };
        let switch = ("NIXOS_ACTION", "switch");
        let at_once = How::Systemctl { user: false };
        for (variables, paths, expected) in [
            (&[][..], &[nixos, systemd][..], at_once.clone()),
            (&[("INVOCATION_ID", "1")], &[nixos, systemd], at_once.clone()),
            (&[switch], &[nixos, systemd], lists(false)),
            (&[switch, ("INVOCATION_ID", "1")], &[nixos, systemd], lists(false)),
            (&[("NIXOS_ACTION", "dry-activate")], &[nixos, systemd], lists(true)),
            (
                &[switch, ("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1")],
                &[nixos, systemd],
                at_once.clone(),
            ),
            (&[switch], &[systemd], at_once),
            (&[], &[nixos], lists(false)),
            (&[switch], &[], How::Nobody),
        ] {
            assert_eq!(decide(true, variables, paths), expected, "{variables:?} {paths:?}");
        }
        let user = [("XDG_RUNTIME_DIR", "/run/user/1000")];
        let there = ["/run/user/1000/systemd"];
        assert_eq!(decide(false, &user, &there), How::Systemctl { user: true });
        assert_eq!(decide(false, &user, &[]), How::Nobody);
        assert_eq!(decide(false, &[], &there), How::Nobody);
    }

    #[test]
    fn names_of_units_are_no_options_and_no_second_line() {
        for good in ["nginx.service", "a@b-c.socket", "dev-disk\\x2d1.device"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["--all", "-H.x", "a b.service", "a.service\nb.service", "", "nginx", "../a.x"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn lists_are_appended_to_and_links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let published = Published {
            restart: ["a.service", "b.service", "no\nunit.service"].map(str::to_owned).into(),
            reload: ["b.service", "c.service"].map(str::to_owned).into(),
            dry: true,
            ..Published::default()
        };
        let store = super::super::StoreSpec {
            mount_point: temp.path().join("none"),
            link: temp.path().join("link"),
            filesystem: super::super::Filesystem::Directory,
            allow_swap: false,
            allow_disk: true,
            keep: 1,
            mode: 0o751,
            gid: 0,
        };
        let target = Target { store, system: false, lasting: None };
        let how = |dry| How::Lists { folder: temp.path().to_owned(), dry };
        let read = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        for _ in 0..2 {
            let problems = request(&how(true), &[(&target, &published)]);
            assert!(
                matches!(&problems[..], [Problem { trouble: Trouble::UnitName { .. }, .. }]),
                "{problems:?}"
            );
        }
        let restart = read("dry-activation-restart-list");
        assert_eq!(restart, "a.service\nb.service\na.service\nb.service\n");
        assert_eq!(read("dry-activation-reload-list"), "c.service\nc.service\n");
        // A dry run beside a real switch has nobody to tell.
        request(&how(false), &[(&target, &published)]);
        request(&How::Nobody, &[(&target, &published)]);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
        std::fs::write(temp.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink("precious", temp.path().join("activation-restart-list"))
            .unwrap();
        let real = Published { dry: false, ..published };
        let problems = request(&how(false), &[(&target, &real)]);
        assert!(problems.iter().any(|problem| matches!(problem.trouble, Trouble::Io { .. })));
        assert_eq!(read("precious"), "x");
        assert_eq!(read("activation-reload-list"), "c.service\n");
    }
}
