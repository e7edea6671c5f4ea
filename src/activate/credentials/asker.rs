//! Who asks. systemd connects from the abstract address `<random>/unit/<unit>/<credential>`, which
//! anybody can take; what proves it is kept by the kernel: the asker is root, and its process is in
//! the control group of the very unit that it names. So even root inside of one unit, where
//! its capabilities do not reach further, gets the credentials of that unit at most.
//!
//! The number of a process may be another's by the time it is looked at; so what counts is the process
//! that the kernel noted with the connection, which must live on until it was looked at.

use std::fmt;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;

use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, PidfdFlags, Uid, pidfd_open};

use crate::fsx::read_limited;

/// A unit that is started, and the credential that it is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The unit, `app@x.service` for an instance.
    pub unit: String,
    /// The name of the credential.
    pub credential: String,
}

/// Why an asker is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// Its address is not one of systemd.
    Address(Option<String>),
    /// It does not run as root.
    User {
        /// What it asks for.
        asker: Asker,
        /// The user.
        uid: u32,
    },
    /// It is in another unit, or in none.
    Unit {
        /// What it asks for.
        asker: Asker,
        /// Where it is.
        is_in: Option<String>,
    },
    /// What the kernel knows of it could not be read.
    Unknown(Asker),
}

/// The machine as it shows who asks.
#[derive(Debug, Clone)]
pub struct Host {
    /// The user as whom systemd asks: root.
    pub root: Uid,
    /// Where processes show, `/proc`.
    pub processes: PathBuf,
}

impl Host {
    /// This machine.
    pub fn this() -> Self {
        Self { root: Uid::ROOT, processes: "/proc".into() }
    }

    /// Finds out who asks.
    ///
    /// # Errors
    /// [`Unproven`].
    pub fn prove(&self, stream: &UnixStream, address: &SocketAddr) -> Result<Asker, Unproven> {
        let name = address.as_abstract_name();
        let asker = name.and_then(Asker::parse).ok_or_else(|| {
            Unproven::Address(name.map(|name| String::from_utf8_lossy(name).into_owned()))
        })?;
        let Ok(peer) = socket_peercred(stream) else { return Err(Unproven::Unknown(asker)) };
        if peer.uid != self.root {
            return Err(Unproven::User { asker, uid: peer.uid.as_raw() });
        }
        let process = process_of(stream, peer.pid);
        let groups = self.groups(peer.pid);
        // As long as it lives nobody else has its number.
        let Some(groups) = groups.filter(|_| process.is_some_and(|process| lives(&process))) else {
            return Err(Unproven::Unknown(asker));
        };
        let own = self.groups(Pid::INIT).unwrap_or_default();
        let is_in = unit_of(&groups, &own);
        if is_in.as_deref() == Some(&asker.unit) {
            Ok(asker)
        } else {
            Err(Unproven::Unit { asker, is_in })
        }
    }

    /// The control groups of a process, cgroups(7).
    fn groups(&self, process: Pid) -> Option<String> {
        let folder = self.processes.join(process.as_raw_pid().to_string());
        let text = read_limited(&folder.join("cgroup"), MAX_GROUPS).ok()?;
        String::from_utf8(text).ok()
    }
}

/// A hold on the process that has connected, with the number that it had then.
fn process_of(stream: &UnixStream, number: Pid) -> Option<OwnedFd> {
    match getsockopt(stream, PeerPidfd) {
        Ok(process) => Some(process),
        // Before Linux 6.5: whoever has the number now, which is moments later.
        Err(nix::errno::Errno::ENOPROTOOPT) => pidfd_open(number, PidfdFlags::empty()).ok(),
        // It is gone.
        Err(_) => None,
    }
}

/// Whether a process has not ended, as `pidfd_open(2)` has it.
fn lives(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)) == Ok(0)
}

impl Asker {
    /// From an abstract address.
    fn parse(name: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(name).ok()?.split('/');
        let (random, unit_word) = (parts.next()?, parts.next()?);
        let (unit, credential) = (parts.next()?, parts.next()?);
        let is_random = !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sound = parts.next().is_none()
            && is_random
            && unit_word == "unit"
            && !unit.is_empty()
            && !credential.is_empty();
        sound.then(|| Self { unit: unit.to_owned(), credential: credential.to_owned() })
    }

    /// The names under which a manifest may grant something to the unit: its own, then that of
    /// its template.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let template = self.unit.split_once('@').and_then(|(name, rest)| {
            let (_, suffix) = rest.rsplit_once('.')?;
            Some(format!("{name}@.{suffix}"))
        });
        std::iter::once(self.unit.clone()).chain(template)
    }
}

/// The unit of a process by its control groups; those of the first process say where the tree of
/// units begins, which in a container need not be the root.
fn unit_of(groups: &str, first: &str) -> Option<String> {
    // The unified hierarchy, and the one of systemd's own where that is not used.
    ["0::", ":name=systemd:"].into_iter().find_map(|hierarchy| {
        let path = path_in(groups, hierarchy)?;
        let root = path_in(first, hierarchy).unwrap_or_default();
        let root = root.strip_suffix("/init.scope").unwrap_or(root);
        let below = path.strip_prefix(root).filter(|below| below.starts_with('/'))?;
        let mut parts = below.split('/').filter(|part| !part.is_empty());
        let unit = parts.find(|part| part.strip_suffix(".slice").is_none())?;
        // systemd puts this before names that the kernel uses itself.
        Some(unit.strip_prefix('_').unwrap_or(unit).to_owned())
    })
}

fn path_in<'a>(groups: &'a str, hierarchy: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (before, path) = line.split_once(hierarchy)?;
        before.bytes().all(|byte| byte.is_ascii_digit()).then_some(path)
    })
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(None) => {
                f.write_str("somebody who is not systemd asked for a credential")
            }
            Self::Address(Some(address)) => {
                write!(f, "somebody who is not systemd asked, as `{address}`")
            }
            Self::User { asker, uid } => write!(
                f,
                "the user {uid} asked for `{}` of {}, which only systemd may",
                asker.credential, asker.unit
            ),
            Self::Unit { asker, is_in } => write!(
                f,
                "a process {} asked for `{}` of {}, which only systemd may when it starts that unit",
                is_in
                    .as_ref()
                    .map_or("outside of all units".to_owned(), |unit| format!("in {unit}")),
                asker.credential,
                asker.unit
            ),
            Self::Unknown(asker) => write!(
                f,
                "who asked for `{}` of {} cannot be found out, or is gone",
                asker.credential, asker.unit
            ),
        }
    }
}

/// Most bytes of what the kernel tells of control groups: a line for each of some twelve.
const MAX_GROUPS: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "9:name=systemd:/init.scope\n8:pids:/\n0::/init.scope\n";

    #[test]
    fn the_unit_is_below_the_slices() {
        for (groups, unit) in [
            ("0::/system.slice/app.service\n", Some("app.service")),
            ("0::/system.slice/system-a6.slice/a6@x-y.service\n", Some("a6@x-y.service")),
            ("0::/foo.slice/foo-bar.slice/a8.service/payload\n", Some("a8.service")),
            // Its name is one of the kernel's.
            ("0::/system.slice/_memory.service\n", Some("memory.service")),
            ("0::/system.slice/__memory.service\n", Some("_memory.service")),
            ("9:name=systemd:/system.slice/a.service\n8:pids:/\n", Some("a.service")),
            ("9:name=systemd:/\n0::/system.slice/a.service\n", Some("a.service")),
            ("0::/\n", None),
            ("0::/system.slice\n", None),
            ("", None),
        ] {
            assert_eq!(unit_of(groups, FIRST).as_deref(), unit, "{groups}");
        }
    }

    #[test]
    fn the_tree_of_units_may_begin_elsewhere() {
        let first = "0::/machine/c1/init.scope\n";
        let unit = |groups| unit_of(groups, first);
        assert_eq!(unit("0::/machine/c1/system.slice/a.service\n").as_deref(), Some("a.service"));
        assert_eq!(unit("0::/machine/c2/system.slice/a.service\n"), None);
        assert_eq!(unit("0::/machine/c1system.slice/a.service\n"), None);
    }

    #[test]
    fn instances_have_the_name_of_their_template_too() {
        let names = |unit: &str| {
            let asker = Asker { unit: unit.to_owned(), credential: String::new() };
            asker.names().collect::<Vec<_>>()
        };
        assert_eq!(names("a@x.y@z.service"), ["a@x.y@z.service", "a@.service"]);
        assert_eq!(names("a.service"), ["a.service"]);
    }

    #[test]
    fn addresses_have_one_form() {
        let parse = |text: &str| Asker::parse(text.as_bytes());
        let asker = parse("ab0fcd35dcd1920/unit/app@x.service/tls.key").unwrap();
        assert_eq!((&*asker.unit, &*asker.credential), ("app@x.service", "tls.key"));
        for wrong in [
            "",
            "/unit/a/b",
            "xyz/unit/a/b",
            "1/user/a/b",
            "1/unit/a",
            "1/unit/a/b/c",
            "1/unit//b",
            "1/unit/a/",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(Asker::parse(b"1/unit/\xff/b"), None);
    }
}
