//! Serving without systemd: askers with addresses of its form, and control groups in a folder.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
use rustix::process::Uid;
use tempfile::TempDir;

use super::*;

/// A machine with a socket, on which this process is in a unit of that name.
struct Machine {
    folder: TempDir,
    host: Host,
}

impl Machine {
    fn new(unit: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host { root: rustix::process::getuid(), processes: folder.path().to_owned() };
        let machine = Self { folder, host };
        machine.is_in(unit);
        machine.process(1, "1:cpu:/\n0::/container/init.scope\n");
        machine
    }

    fn is_in(&self, unit: &str) {
        let groups = format!("1:cpu:/\n0::/container/system.slice/system-a.slice/{unit}/sub\n");
        self.process(std::process::id(), &groups);
    }

    fn process(&self, id: u32, groups: &str) {
        let folder = self.folder.path().join(id.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cgroup"), groups).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Connects from an address.
    fn from(&self, name: &str) -> UnixStream {
        asker_at(&self.socket(), Some(name))
    }

    /// Connects as systemd does, for a unit and a credential.
    fn ask(&self, what: &str) -> UnixStream {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.from(&format!("{:x}{count:08x}/unit/{what}", std::process::id()))
    }

    /// Serves while `ask` runs; gives the log, one line an event, in order of the alphabet.
    fn serve(
        &self,
        limits: Limits,
        open: &(dyn Fn(&Asker) -> Result<Plaintext, Denied> + Sync),
        ask: impl FnOnce(),
    ) -> Vec<String> {
        let log = Mutex::new(Vec::new());
        let tell = |event: &Event| log.lock().unwrap().push(format!("{event:?}"));
        self.serve_and_tell(limits, open, &tell, ask);
        let mut log = log.into_inner().unwrap();
        // The asker has its answer before that is told.
        log.sort();
        log
    }

    fn serve_and_tell(
        &self,
        limits: Limits,
        open: &(dyn Fn(&Asker) -> Result<Plaintext, Denied> + Sync),
        tell: &(dyn Fn(&Event) + Sync),
        ask: impl FnOnce(),
    ) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (stop, stopper) = UnixStream::pair().unwrap();
        let serving = Serving { host: &self.host, limits, open, keep: &|_| (), tell };
        std::thread::scope(|scope| {
            let served = scope.spawn(|| serve(&listener, Vec::new(), stop.as_fd(), serving));
            ask();
            drop(stopper);
            served.join().unwrap().unwrap();
        });
    }
}

fn bound(name: Option<&str>) -> OwnedFd {
    let fd: OwnedFd = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    if let Some(name) = name {
        bind(&fd, &SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
    }
    fd
}

fn asker_at(path: &Path, name: Option<&str>) -> UnixStream {
    let fd = bound(name);
    connect(&fd, &SocketAddrUnix::new(path).unwrap()).unwrap();
    fd.into()
}

/// What systemd makes of an answer: it reads one byte more than it takes, and closes.
fn taken(stream: UnixStream) -> Option<Vec<u8>> {
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_CREDENTIAL).unwrap().saturating_add(1);
    stream.take(most).read_to_end(&mut bytes).unwrap();
    (bytes.len() <= MAX_CREDENTIAL).then_some(bytes)
}

#[expect(clippy::unnecessary_wraps, reason = "the form of functions that open")]
fn always(_: &Asker) -> Result<Plaintext, Denied> {
    Ok(Plaintext::copy_of(b"value"))
}

const LIMITS: Limits =
    Limits { idle: Duration::from_mins(1), patience: Duration::from_mins(1), at_once: 4 };

#[test]
fn a_unit_gets_its_credential_and_another_does_not() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| {
        if asker.credential == "mine" {
            Ok(Plaintext::copy_of(b"value"))
        } else {
            Err(Denied::NotGranted)
        }
    };
    let log = machine.serve(LIMITS, &open, || {
        assert_eq!(taken(machine.ask("app.service/mine")).as_deref(), Some(&b"value"[..]));
        assert_eq!(taken(machine.ask("app.service/other")), None);
    });
    assert_eq!(log.len(), 2);
    assert!(log[0].starts_with("Given") && log[1].starts_with("Refused"), "{log:?}");
    assert!(!log.concat().contains("value"), "{log:?}");
}

#[test]
fn an_empty_credential_is_given_and_is_not_a_refusal() {
    let machine = Machine::new("app.service");
    let open = |_: &Asker| Ok(Plaintext::default());
    machine.serve(LIMITS, &open, || {
        assert_eq!(taken(machine.ask("app.service/empty")).as_deref(), Some(&b""[..]));
    });
}

#[test]
fn who_names_another_unit_is_refused_and_nothing_is_opened() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| panic!("opened for {asker:?}");
    let log = machine.serve(LIMITS, &open, || {
        assert_eq!(taken(machine.ask("other.service/db")), None);
        // A group of that name inside of the own one, which root in a unit can make.
        assert_eq!(taken(machine.ask("sub/db")), None);
    });
    let unit = "is_in: Some(\"app.service\")";
    assert!(
        log.iter().all(|line| line.starts_with("Unproven(Unit") && line.contains(unit)),
        "{log:?}"
    );
    assert_eq!(log.len(), 2);
}

#[test]
fn addresses_that_are_not_of_systemd_are_refused() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| panic!("opened for {asker:?}");
    let log = machine.serve(LIMITS, &open, || {
        let process = std::process::id();
        for form in ["-1/user/app.service/db", "-2/unit/app.service", "-3/unit/app.service/db"] {
            assert_eq!(taken(machine.from(&format!("{process}{form}"))), None, "{form}");
        }
        assert_eq!(taken(machine.from(&format!("{process}/unit/app.service"))), None);
        assert_eq!(taken(asker_at(&machine.socket(), None)), None);
    });
    assert!(log.iter().all(|line| line.starts_with("Unproven(Address")), "{log:?}");
    assert_eq!(log.len(), 5);
}

#[test]
fn another_user_is_refused() {
    let mut machine = Machine::new("app.service");
    machine.host.root = Uid::from_raw(rustix::process::getuid().as_raw().wrapping_add(1));
    let log = machine.serve(LIMITS, &|asker| panic!("opened for {asker:?}"), || {
        assert_eq!(taken(machine.ask("app.service/db")), None);
    });
    assert!(log[0].starts_with("Unproven(User"), "{log:?}");
}

#[test]
fn many_at_once_all_get_their_own() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| Ok(Plaintext::copy_of(asker.credential.as_bytes()));
    let log = machine.serve(LIMITS, &open, || {
        let askers: Vec<_> =
            (0..60).map(|n| (n, machine.ask(&format!("app.service/c{n}")))).collect();
        for (n, stream) in askers.into_iter().rev() {
            assert_eq!(taken(stream).unwrap(), format!("c{n}").into_bytes());
        }
    });
    assert_eq!(log.len(), 60);
}

#[test]
fn one_that_does_not_read_holds_up_nobody_and_never_sees_an_end() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| {
        if asker.credential == "small" { always(asker) } else { Err(Denied::NotGranted) }
    };
    let limits = Limits { patience: Duration::from_millis(50), at_once: 1, ..LIMITS };
    machine.serve(limits, &open, || {
        let hanging = machine.ask("app.service/refused");
        assert_eq!(taken(machine.ask("app.service/small")).unwrap(), b"value");
        assert_eq!(taken(hanging), None);
    });
}

#[test]
fn a_unit_that_asks_and_does_not_read_leaves_room_for_the_others() {
    let machine = Machine::new("app.service");
    let limits = Limits { at_once: 8, ..LIMITS };
    let (end, ended) = (Mutex::new(false), std::sync::Condvar::new());
    let open = |asker: &Asker| {
        if asker.credential == "slow" {
            let wait = ended.wait_while(end.lock().unwrap(), |end| !*end);
            drop(wait.unwrap());
        }
        always(asker)
    };
    let crowded = AtomicUsize::new(0);
    let tell = |event: &Event| {
        if matches!(event, Event::Refused(_, Denied::Crowded)) {
            crowded.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut answer = None;
    machine.serve_and_tell(limits, &open, &tell, || {
        // In the name of another unit, then in its own.
        let asked = ["other.service/slow", "app.service/slow"].map(|asked| [asked; 100]);
        let kept: Vec<_> = asked.as_flattened().iter().map(|asked| machine.ask(asked)).collect();
        // The number of a process is looked at when the connection is taken.
        let begun = Instant::now();
        while crowded.load(Ordering::Relaxed) < 36 && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        machine.is_in("other.service");
        let asker = machine.ask("other.service/fast");
        asker.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut bytes = Vec::new();
        answer = Some((&asker).read_to_end(&mut bytes).map(|_| bytes));
        *end.lock().unwrap() = true;
        ended.notify_all();
        drop(kept);
    });
    assert_eq!(answer.unwrap().unwrap(), b"value");
    assert_eq!(crowded.load(Ordering::Relaxed), 36);
}

#[test]
fn who_has_the_number_of_one_that_asked_and_ended_gets_nothing() {
    const CONNECT: &str = "SECRETCTL_TEST_CONNECT";
    let name =
        "activate::credentials::tests::who_has_the_number_of_one_that_asked_and_ended_gets_nothing";
    if let Some(path) = std::env::var_os(CONNECT) {
        connect(std::io::stdin(), &SocketAddrUnix::new(Path::new(&path)).unwrap()).unwrap();
        return;
    }
    let machine = Machine::new("attacker.service");
    let listener = UnixListener::bind(machine.socket()).unwrap();
    let asker = bound(Some("1f/unit/app.service/db"));
    #[expect(clippy::disallowed_methods, reason = "another process has to ask")]
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CONNECT, machine.socket())
        .stdin(asker.try_clone().unwrap())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(process.wait().unwrap().success());
    // As if systemd had given the number to one that it starts.
    machine.process(process.id(), "0::/container/system.slice/app.service\n");
    let (stop, stopper) = UnixStream::pair().unwrap();
    let log = Mutex::new(Vec::new());
    let tell = |event: &Event| log.lock().unwrap().push(format!("{event:?}"));
    let open = |asker: &Asker| panic!("opened for {asker:?}");
    let serving =
        Serving { host: &machine.host, limits: LIMITS, open: &open, keep: &|_| (), tell: &tell };
    std::thread::scope(|scope| {
        let served = scope.spawn(|| serve(&listener, Vec::new(), stop.as_fd(), serving));
        let taken = taken(asker.into());
        drop(stopper);
        served.join().unwrap().unwrap();
        assert_eq!(taken, None);
    });
    let log = log.into_inner().unwrap();
    assert!(log[0].starts_with("Unproven(Unknown"), "{log:?}");
}

#[test]
fn a_credential_is_as_large_as_systemd_takes() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| {
        let more = usize::from(asker.credential == "larger");
        Ok(Plaintext::new(vec![b'x'; MAX_CREDENTIAL.saturating_add(more)]))
    };
    let log = machine.serve(LIMITS, &open, || {
        assert_eq!(taken(machine.ask("app.service/large")).unwrap().len(), MAX_CREDENTIAL);
        assert_eq!(taken(machine.ask("app.service/larger")), None);
    });
    assert!(log[0].starts_with("Given") && log[1].starts_with("TooLarge"), "{log:?}");
}

#[test]
fn what_breaks_while_it_is_opened_is_refused_and_the_next_is_answered() {
    let machine = Machine::new("app.service");
    let open = |asker: &Asker| {
        assert!(asker.credential != "bad", "a bug");
        always(asker)
    };
    let limits = Limits { at_once: 1, ..LIMITS };
    machine.serve(limits, &open, || {
        assert_eq!(taken(machine.ask("app.service/bad")), None);
        assert_eq!(taken(machine.ask("app.service/good")).unwrap(), b"value");
    });
}

#[test]
fn what_was_begun_is_finished_when_the_end_is_asked_for() {
    let machine = Machine::new("app.service");
    let (begun, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let open = |asker: &Asker| {
        begun.wait();
        wait.wait();
        always(asker)
    };
    let listener = UnixListener::bind(machine.socket()).unwrap();
    let (stop, stopper) = UnixStream::pair().unwrap();
    let serving =
        Serving { host: &machine.host, limits: LIMITS, open: &open, keep: &|_| (), tell: &|_| {} };
    std::thread::scope(|scope| {
        let served = scope.spawn(|| serve(&listener, Vec::new(), stop.as_fd(), serving));
        let asker = machine.ask("app.service/db");
        begun.wait();
        drop(stopper);
        wait.wait();
        assert_eq!(taken(asker).unwrap(), b"value");
        served.join().unwrap().unwrap();
    });
}

#[test]
fn it_ends_when_nobody_asks() {
    let machine = Machine::new("app.service");
    let listener = UnixListener::bind(machine.socket()).unwrap();
    let (stop, _stopper) = UnixStream::pair().unwrap();
    let limits = Limits { idle: Duration::from_millis(20), ..LIMITS };
    let serving =
        Serving { host: &machine.host, limits, open: &always, keep: &|_| (), tell: &|_| {} };
    serve(&listener, Vec::new(), stop.as_fd(), serving).unwrap();
}
