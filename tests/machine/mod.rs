//! A machine of its own for each test of what is installed on the target: the test starts itself
//! again in a mount namespace, with an empty tmpfs on `/run`, and goes on in there.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use secretctl::activate::{
    Content, Filesystem, Hold, Name, Piece, Problem, PublishError, Published, StoreSpec, Target,
    hold, publish,
};
use secretctl::plaintext::Plaintext;

/// Runs `body` on a machine of its own. `test` is the name of the calling test.
#[track_caller]
pub fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    let flags: &[&str] = if root { &["-m"] } else { &["-U", "-r", "-m"] };
    if !namespaces_work(flags) {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(flags).args(["--propagation", "private", "sh", "-c", BEGIN, "sh"]);
    run(command, test, temp.path(), &std::env::current_exe().unwrap());
}

/// As [`inside`], for a user who is not root outside, whatever the caller is.
#[track_caller]
pub fn inside_without_privilege(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return inside(test, body);
    }
    let mut works = somebody();
    if !works.args(["unshare", "-Urm", "true"]).output().is_ok_and(|output| output.status.success())
    {
        skip("no unprivileged user namespaces here");
        return;
    }
    let mut command = somebody();
    command.args([
        "unshare",
        "-U",
        "-r",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        BEGIN,
        "sh",
    ]);
    as_somebody(command, test);
}

/// Runs `body` as a user who is not root, on this machine as it is.
#[track_caller]
pub fn as_user(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
    } else if rustix::process::geteuid().is_root() {
        as_somebody(somebody(), test);
    } else {
        let temp = tempfile::tempdir().unwrap();
        run(Command::new("env"), test, temp.path(), &std::env::current_exe().unwrap());
    }
}

fn somebody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "4711", "--regid", "4711", "--clear-groups"]);
    command
}

#[track_caller]
fn as_somebody(command: Command, test: &str) {
    let temp = tempfile::tempdir().unwrap();
    rustix::fs::chown(temp.path(), Some(rustix::fs::Uid::from_raw(4711)), None).unwrap();
    // Where the tests are built, others may have no access.
    let program = temp.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    run(command, test, temp.path(), &program);
}

#[track_caller]
fn run(mut command: Command, test: &str, temp: &Path, program: &Path) {
    let bin = temp.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    let log = "#!/bin/sh\necho \"$@\" >>/run/asked\n\
        case \" $* \" in *' no-such.service '*)\n\
        echo 'Failed to try-restart no-such.service: Unit no-such.service not found.' >&2\n\
        exit 5;; esac\n";
    fs::write(&systemctl, log).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    command.arg(program).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(INSIDE, temp).env("PATH", format!("{}:{path}", bin.display()));
    command.env("LC_ALL", "C").current_dir("/");
    let output = command.output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "no test is called {test}:\n{stdout}");
    if stdout.contains("skipped:") {
        println!("{stdout}");
    }
}

fn namespaces_work(flags: &[&str]) -> bool {
    let works = Command::new("unshare").args(flags).arg("true").output();
    if works.is_ok_and(|output| output.status.success()) {
        return true;
    }
    skip("no mount namespaces here");
    false
}

/// Says that a test is skipped, which is a failure where all must run.
pub fn skip(why: &str) {
    assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "{why}");
    println!("skipped: {why}");
}

/// A folder on whatever the temporary folder of this machine is on.
pub fn disk() -> PathBuf {
    let temp = PathBuf::from(std::env::var_os(INSIDE).unwrap());
    fs::canonicalize(temp).unwrap()
}

/// The store of these tests.
pub fn target() -> Target {
    Target {
        store: StoreSpec {
            mount_point: "/run/secrets.d".into(),
            link: "/run/secrets".into(),
            filesystem: Filesystem::Ramfs,
            allow_swap: false,
            allow_disk: false,
            keep: 1,
            mode: 0o751,
            gid: 0,
        },
        system: true,
        lasting: None,
    }
}

/// A secret of root that nobody else can read.
pub fn piece(name: &str, content: &str) -> Piece {
    Piece {
        name: Name::new(name).unwrap(),
        content: Content::Bytes(Plaintext::copy_of(content.as_bytes())),
        uid: 0,
        gid: 0,
        mode: 0o400,
        links: Vec::new(),
        copies: Vec::new(),
        restart: Vec::new(),
        reload: Vec::new(),
    }
}

pub fn linked(name: &str, content: &str, link: &str) -> Piece {
    Piece { links: vec![link.into()], ..piece(name, content) }
}

pub fn copied(name: &str, content: &str, copy: &str) -> Piece {
    Piece { copies: vec![copy.into()], ..piece(name, content) }
}

pub fn kept(name: &str) -> Piece {
    Piece { content: Content::Keep, ..piece(name, "") }
}

pub fn take(target: &Target) -> Hold {
    hold(&[target], "a test", &mut |_| ()).unwrap()
}

pub fn try_install(target: &Target, pieces: Vec<Piece>) -> Result<Published, PublishError> {
    let hold = hold(&[target], "a test", &mut |_| ())?;
    publish(target, pieces, Some(&hold))
}

#[track_caller]
pub fn install(target: &Target, pieces: Vec<Piece>) -> Published {
    try_install(target, pieces).unwrap()
}

/// Installs where nothing may go wrong.
#[track_caller]
pub fn install_well(target: &Target, pieces: Vec<Piece>) -> Published {
    let published = install(target, pieces);
    assert_eq!(said(&published.problems), Vec::<String>::new());
    published
}

/// Problems as people would read them.
pub fn said(problems: &[Problem]) -> Vec<String> {
    let say = |problem: &Problem| match &problem.name {
        Some(name) => format!("{name}: {}", problem.trouble),
        None => problem.trouble.to_string(),
    };
    problems.iter().map(say).collect()
}

pub fn strings(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

#[track_caller]
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Permissions, owner and group of a path, which is not followed.
#[track_caller]
pub fn rights(path: impl AsRef<Path>) -> (u32, u32, u32) {
    let stat = fs::symlink_metadata(path.as_ref()).unwrap();
    (stat.mode() & 0o7777, stat.uid(), stat.gid())
}

/// The names in a folder.
#[track_caller]
pub fn entries(folder: impl AsRef<Path>) -> Vec<String> {
    let names = fs::read_dir(folder.as_ref()).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The generations of the store.
pub fn generations() -> Vec<String> {
    let mut all = entries("/run/secrets.d");
    all.retain(|name| name != ".secretctl-state.json");
    all
}

/// The lines of mountinfo about a path.
pub fn mounts(path: &str) -> Vec<String> {
    let all = read("/proc/self/mountinfo");
    let on = |line: &&str| line.split(' ').nth(4) == Some(path);
    all.lines().filter(on).map(str::to_owned).collect()
}

/// Everything below a folder with its rights, target or content, for comparison.
pub fn picture(folder: impl AsRef<Path>) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![folder.as_ref().to_owned()];
    while let Some(path) = left.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let what = if stat.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
            String::new()
        } else if stat.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if stat.is_file() {
            format!("{:?} {}.{}", fs::read(&path).unwrap(), stat.mtime(), stat.mtime_nsec())
        } else {
            String::new()
        };
        all.push(format!("{} {:?} {} {what}", path.display(), rights(&path), stat.ino()));
    }
    all.sort();
    all
}

#[track_caller]
pub fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
pub fn umount(path: &str) {
    assert!(Command::new("umount").arg(path).status().unwrap().success());
}

const INSIDE: &str = "SECRETCTL_TEST_INSIDE";
const BEGIN: &str = "mount -t tmpfs -o mode=0755 none /run && exec \"$@\"";
