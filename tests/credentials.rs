//! `secretctl credentials` as systemd starts it, without a systemd: the socket is passed, and askers have
//! addresses of its form. What it grants is looked at by `systemd.rs`, since it believes only who is
//! in the control group of a unit.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{PROGRAM, Run};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

const EMPTY: &str = "{\"version\": 1}";

/// A manifest and a socket.
struct Place {
    folder: TempDir,
    listener: UnixListener,
}

impl Place {
    fn new(manifest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        Self { folder, listener }
    }

    /// Starts the program by a shell that says what it passes.
    fn start(&self, passed: &str, options: &str) -> std::process::Child {
        self.start_with(passed, options, Stdio::piped())
    }

    fn start_with(&self, passed: &str, options: &str, stdout: Stdio) -> std::process::Child {
        let script = format!(
            "exec 3<&0 4<&0; {passed} exec {PROGRAM} credentials {options} {}",
            self.folder.path().join("manifest.json").display()
        );
        let socket: OwnedFd = self.listener.try_clone().unwrap().into();
        Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::from(socket))
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, passed: &str, options: &str) -> Run {
        self.start(passed, options).wait_with_output().unwrap().into()
    }

    /// Asks as systemd does for a service.
    fn ask(&self, what: &str) -> UnixStream {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let fd = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}{count:08x}/unit/{what}", std::process::id());
        bind(&fd, &SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
        let path = self.folder.path().join("socket");
        connect(&fd, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        fd.into()
    }
}

/// Whether systemd would fail the service.
fn is_refused(stream: UnixStream) -> bool {
    let mut bytes = Vec::new();
    stream.take(1024 * 1024 + 1).read_to_end(&mut bytes).unwrap();
    bytes.len() > 1024 * 1024 && bytes.iter().all(|byte| *byte == 0)
}

const PASSED: &str = "LISTEN_FDS=1 LISTEN_PID=$$";

#[test]
fn it_ends_of_itself_when_nobody_asks() {
    let run = Place::new(EMPTY).run(PASSED, "--idle 1").done();
    assert_eq!((run.stdout, run.stderr), (Vec::new(), String::new()));
}

#[test]
fn it_ends_when_it_is_told_to() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let place = Place::new(EMPTY);
        let mut child = place.start(PASSED, "--idle 1000");
        // It answers, so it is ready to be stopped.
        assert!(is_refused(place.ask("app.service/db")));
        kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert!(child.wait().unwrap().success(), "{signal:?}");
    }
}

#[test]
fn who_is_in_no_unit_is_refused_and_told_of() {
    let place = Place::new(
        "{\"version\": 1, \"services\": {\"nobody.service\": {\"credentials\": \
         {\"db\": {\"file\": \"/nowhere\"}}}}}",
    );
    let child = place.start(PASSED, "--idle 1");
    assert!(is_refused(place.ask("nobody.service/db")));
    let run = Run::from(child.wait_with_output().unwrap()).done();
    run.says("refused: ").says("asked for `db` of nobody.service");
}

/// systemd takes whatever came before the end of a connection for the credential. So it keeps connections,
/// and who was not answered is refused by the next process. The test is systemd here.
#[test]
fn killed_in_the_middle_of_an_answer_it_leaves_nobody_with_a_part_of_it() {
    let place = Place::new(EMPTY);
    let notify = place.folder.path().join("notify");
    let notified = std::os::unix::net::UnixDatagram::bind(&notify).unwrap();
    let passed = format!("NOTIFY_SOCKET={} {PASSED}", notify.display());
    let mut child = place.start(&passed, "--idle 1000");
    let mut asked = place.ask("app.service/db");
    // A refusal, of which a part fits into the socket.
    let mut begin = [0; 4096];
    asked.read_exact(&mut begin).unwrap();
    let kept = received(&notified);
    kill_process(rustix::process::Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    asked.set_nonblocking(true).unwrap();
    let mut part = 0;
    let error = loop {
        match asked.read(&mut [0; 4096]) {
            Ok(0) => panic!("an end after {part} bytes"),
            Ok(more) => part += more,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(part < 1024 * 1024, "{part}");
    asked.set_nonblocking(false).unwrap();

    let passed = format!("exec 4<&1; exec 1>&2; {}", PASSED.replace("FDS=1", "FDS=2"));
    let child = place.start_with(&passed, "--idle 1", Stdio::from(kept));
    assert!(is_refused(asked));
    // Others are answered as ever.
    assert!(is_refused(place.ask("app.service/db")));
    let run = Run::from(child.wait_with_output().unwrap()).done();
    run.says("ended before it had answered 1 who asked");
}

/// The descriptor that a process has systemd keep.
fn received(notified: &std::os::unix::net::UnixDatagram) -> OwnedFd {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 64];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    let mut into = [std::io::IoSliceMut::new(&mut text)];
    let message = rustix::net::recvmsg(notified, &mut into, &mut rights, flags).unwrap();
    assert_eq!(&text[..message.bytes], b"FDSTORE=1");
    let mut kept = Vec::new();
    for message in rights.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(fds) = message {
            kept.extend(fds);
        }
    }
    kept.pop().unwrap()
}

#[test]
fn a_broken_manifest_fails_who_asks_and_the_run() {
    let place = Place::new("{\"version\": 1, \"services\": 7}");
    let child = place.start(PASSED, "--idle 1");
    assert!(is_refused(place.ask("app.service/db")));
    let run = Run::from(child.wait_with_output().unwrap()).ended(1);
    run.says("manifest.json").says("services");
}

#[test]
fn without_its_socket_it_does_not_start() {
    let place = Place::new(EMPTY);
    for (passed, why) in [
        ("", "systemd passed no socket"),
        ("LISTEN_FDS=1", "systemd passed no socket"),
        ("LISTEN_FDS=1 LISTEN_PID=1", "systemd passed no socket"),
        ("LISTEN_FDS=2 LISTEN_PID=$$", "systemd passed 2 sockets"),
        ("exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$", "is no local stream"),
    ] {
        place.run(passed, "").ended(2).says(why).says("hint: this is run by");
    }
}
