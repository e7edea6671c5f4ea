//! What whole-program tests share: a repository in a private folder, keys made by `ssh-keygen`,
//! and the program run in an environment of which every variable is known. Never the real home.

#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "each test uses a part of it")]

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_secretctl");

/// No run may take longer: what hangs is killed and fails its test.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A repository with rules, and around it a home and all folders that the program may use.
///
/// `alice` is a master key, `web1` reads `secrets/**`.
pub struct Fleet {
    folder: tempfile::TempDir,
}

/// What became of a run.
pub struct Run {
    /// Exit code, or the negated signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Fleet {
    /// Rules and keys; no secret yet.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("fleet-").tempdir().unwrap();
        let fleet = Self { folder };
        for name in ["repo/.git", "repo/secrets", "keys", "home", "tmp", "run", "bin"] {
            fs::create_dir_all(fleet.root().join(name)).unwrap();
        }
        fs::set_permissions(fleet.root().join("run"), Permissions::from_mode(0o700)).unwrap();
        fs::write(fleet.path(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fleet.rules("");
        fleet
    }

    /// As [`Fleet::new`], with secret files of which each has its own name as content.
    pub fn with(secrets: &[&str]) -> Self {
        let fleet = Self::new();
        for name in secrets {
            fleet.put(name, name.as_bytes());
        }
        fleet
    }

    /// The same once more, elsewhere.
    pub fn copy(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("fleet-").tempdir().unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.root().join(".")).arg(folder.path());
        assert!(copy.status().unwrap().success());
        Self { folder }
    }

    /// The usual rules, with more below `hosts`.
    pub fn rules(&self, hosts: &str) {
        let text = format!(
            "users:\n  alice: {}\nhosts:\n  web1: {}\n{hosts}defaultEncryptKeys: [alice]\n\
             secrets:\n  - path: secrets/**\n    readers: [web1]\n",
            self.public("alice"),
            self.public("web1")
        );
        fs::write(self.path("secretctl.yaml"), text).unwrap();
    }

    /// The folder around everything.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the repository.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join("repo").join(name)
    }

    /// The private key of somebody.
    pub fn key(&self, name: &str) -> PathBuf {
        let file = self.root().join("keys").join(name);
        if !file.exists() {
            self.make_key(&file, "");
        }
        file
    }

    /// A private key behind a passphrase.
    pub fn locked_key(&self, name: &str, passphrase: &str) -> PathBuf {
        let file = self.root().join("keys").join(name);
        self.make_key(&file, passphrase);
        file
    }

    fn make_key(&self, file: &Path, passphrase: &str) {
        let comment = format!("{}@test-only", file.file_name().unwrap().to_str().unwrap());
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-C", &comment, "-f"])
            .arg(file)
            .env("HOME", self.root().join("home"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// The public key of somebody, a line without its end.
    pub fn public(&self, name: &str) -> String {
        let file = self.key(name).with_extension("pub");
        fs::read_to_string(file).unwrap().trim_end().to_owned()
    }

    /// The program with a known environment, in the repository, nothing on its input, nobody's
    /// identity.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        self.around(Path::new(PROGRAM), arguments)
    }

    /// Another program in the same environment.
    pub fn around(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir(self.path(".")).stdin(Stdio::null());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ours = std::iter::once(self.root().join("bin"));
        command
            .env("PATH", std::env::join_paths(ours.chain(std::env::split_paths(&path))).unwrap());
        for (name, folder) in [("HOME", "home"), ("TMPDIR", "tmp"), ("XDG_RUNTIME_DIR", "run")] {
            command.env(name, self.root().join(folder));
        }
        command
    }

    /// As [`Fleet::bare`], with the key of `alice`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.env("SECRETCTL_IDENTITY", self.key("alice"));
        command
    }

    /// Runs the program as `alice`.
    pub fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments), b"")
    }

    /// Runs the program as `alice` with data on its input.
    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> Run {
        finish(self.command(arguments), input)
    }

    /// Runs the program as `alice` with an editor of this shell script, whose `$1` is the file.
    pub fn edit(&self, arguments: &[&str], script: &str) -> Run {
        let mut command = self.command(arguments);
        command.env("EDITOR", self.script("editor", script));
        finish(command, b"")
    }

    /// A program on the `PATH` of the runs.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let file = self.root().join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// Writes a secret by the rules.
    pub fn put(&self, name: &str, content: &[u8]) {
        self.feed(&["edit", "--", name], content).done();
    }

    /// Decrypts a secret with somebody's key; the error where that is not possible.
    pub fn open(&self, name: impl AsRef<OsStr>, who: &str) -> Result<Vec<u8>, String> {
        let mut command = self.bare(&["decrypt", "--"]);
        command.arg(name).env("SECRETCTL_IDENTITY", self.key(who));
        let run = finish(command, b"");
        if run.code == 0 { Ok(run.stdout) } else { Err(run.stderr) }
    }

    /// Everything in the repository that is no secret, no rules file and not git's.
    pub fn litter(&self) -> Vec<PathBuf> {
        files_below(&self.path("."))
            .into_iter()
            .filter(|file| file.to_string_lossy().contains(".secretctl-"))
            .collect()
    }

    /// A text with what differs from run to run taken out.
    pub fn redact(&self, text: &str) -> String {
        let root = self.root().to_str().unwrap();
        let mut text = text.replace(root, "[FLEET]");
        for (start, end, mark) in [
            ("SHA256:", &[' ', ',', ')', '\n'][..], "SHA256:[…]"),
            ("fingerprint ", &[','], "fingerprint […]"),
            ("process ", &[' '], "process […]"),
        ] {
            let mut parts = text.split(start);
            let mut redacted = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                redacted.push_str(mark);
                redacted.push_str(part.find(end).map_or("", |at| &part[at..]));
            }
            text = redacted;
        }
        text
    }
}

impl Run {
    /// Exit code 0 or a panic.
    #[track_caller]
    pub fn done(self) -> Self {
        self.ended(0)
    }

    /// This exit code or a panic.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stderr: {}", self.stderr);
        self
    }

    /// Something on stderr or a panic.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in: {}", self.stderr);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let status = output.status;
        Self {
            code: status.code().unwrap_or_else(|| status.signal().map_or(0, i32::wrapping_neg)),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Puts a copy of the program where other users can run it. Another process writes it: while one of ours has
/// it open, so has whatever another test is just starting, and nobody can run what somebody writes.
pub fn copy_program(to: &Path) {
    let copied = Command::new("cp").args([Path::new(PROGRAM), to]).status().unwrap();
    assert!(copied.success(), "{}", to.display());
}

/// Runs a command to its end.
pub fn finish(command: Command, input: &[u8]) -> Run {
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(PATIENCE).write_stdin(input).output().unwrap().into()
}

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => files.push(entry.path()),
            }
        }
    }
    files.sort();
    files
}

/// Bytes, inode and mode of a file: what must not change.
pub fn identity_of(file: &Path) -> (Vec<u8>, u64, u32) {
    let metadata = fs::symlink_metadata(file).unwrap();
    (fs::read(file).unwrap(), metadata.ino(), metadata.mode())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a program is there; a test that needs it is skipped by name, or fails where all must
/// be there.
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(there || std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "{program} is missing");
    if !there {
        println!("skipped: `{program}` is missing");
    }
    there
}
