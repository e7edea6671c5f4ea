//! A home with SSH keys and a repository of secrets, made for one test, and programs run in it:
//! ours under each of its names, and the tools that it stands in for.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// For those that must have worked.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

pub struct Desk {
    folder: tempfile::TempDir,
}

/// Whether a program that the test needs is missing; with `SECRETCTL_TEST_STRICT` that fails.
pub fn lacks(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = !std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if missing {
        let strict = std::env::var_os("SECRETCTL_TEST_STRICT").is_some_and(|value| value != "0");
        assert!(!strict, "{program} is not installed");
        println!("skipped: {program} is not installed");
    }
    missing
}

/// A tool that an environment variable names. `needed` ones must be there if
/// `SECRETCTL_TEST_STRICT` is set.
pub fn peer(variable: &str, needed: bool) -> Option<PathBuf> {
    let program = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    if program.is_none() {
        let strict = std::env::var_os("SECRETCTL_TEST_STRICT").is_some_and(|value| value != "0");
        assert!(!(needed && strict), "{variable} names no program");
        println!("skipped: {variable} names no program");
    }
    program
}

impl Desk {
    /// With `~/.ssh/id_ed25519`, whose public line is `<ME>` in rules, and `keys/stranger`,
    /// `<STRANGER>`. `None` where Nix or ssh-keygen is missing.
    pub fn new() -> Option<Self> {
        if lacks("nix-instantiate") || lacks("ssh-keygen") {
            return None;
        }
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["home/.ssh", "repo/keys", "bin", "tmp"] {
            fs::create_dir_all(desk.root().join(folder)).unwrap();
        }
        let program = assert_cmd::cargo::cargo_bin("secretctl");
        for name in ["agenix", "ragenix"] {
            symlink(&program, desk.root().join("bin").join(name)).unwrap();
        }
        desk.keygen("home/.ssh/id_ed25519", &["-t", "ed25519", "-N", ""]);
        desk.keygen("repo/keys/stranger", &["-t", "ed25519", "-N", ""]);
        Some(desk)
    }

    pub fn root(&self) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap()
    }

    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// A path in the repository.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join("repo").join(name)
    }

    /// Makes a key pair, at a path relative to the root.
    pub fn keygen(&self, path: &str, arguments: &[&str]) -> PathBuf {
        let path = self.root().join(path);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-C", "test only", "-f"])
            .arg(&path)
            .args(arguments)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        path
    }

    /// The first two words of a `.pub` file.
    pub fn public(&self, path: &str) -> String {
        let line = fs::read_to_string(self.root().join(format!("{path}.pub"))).unwrap();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Writes a file of the repository, `<ME>` and `<STRANGER>` replaced.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = text.replace("<ME>", &self.public("home/.ssh/id_ed25519"));
        fs::write(&path, text.replace("<STRANGER>", &self.public("repo/keys/stranger"))).unwrap();
        path
    }

    /// A script to be named by `EDITOR`; `$1` is the file.
    pub fn editor(&self, script: &str) -> String {
        let count = fs::read_dir(self.root().join("bin")).unwrap().count();
        let path = self.root().join(format!("bin/editor-{count}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Our program by one of its names.
    pub fn ours(&self, name: &str) -> PathBuf {
        match name {
            "secretctl" => assert_cmd::cargo::cargo_bin("secretctl"),
            name => self.root().join("bin").join(name),
        }
    }

    /// A command in the repository, with a clean environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("TMPDIR", self.root().join("tmp"))
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("NIX_")))
            .current_dir(self.path(""));
        command
    }

    /// Runs one of our names on empty standard input.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Ran {
        self.run_with(&self.ours(name), arguments, &[], b"")
    }

    /// Runs a program with an environment and standard input.
    pub fn run_with(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> Ran {
        let mut command = self.command(program);
        command.args(arguments).envs(environment.iter().copied());
        finish(command, input)
    }

    /// Runs a program on a terminal; `out` is all that it shows there.
    pub fn on_terminal(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Ran {
        let code = self.root().join("code");
        let mut command = self.command(Path::new("/bin/sh"));
        command
            .args(["-c", r#""$@"; echo $? > "$CODE""#, "sh"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .env("CODE", &code)
            .env("TERM", "dumb");
        let mut session = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
        let out = session.exp_eof().unwrap();
        session.process().wait().unwrap();
        let code = fs::read_to_string(code).unwrap().trim().parse().unwrap();
        Ran { code, out, err: String::new() }
    }

    /// Makes a secret with our own command.
    pub fn secret(&self, name: &str, content: &str) -> PathBuf {
        let ours = self.ours("agenix");
        self.run_with(&ours, &["-e", name], &[], content.as_bytes()).ok();
        self.path(name)
    }

    /// Makes a secret that only the given public key reads, whatever the rules say.
    pub fn secret_for(&self, key: &str, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        let arguments = ["encrypt", "-r", key, "-o", path.to_str().unwrap()];
        self.run_with(&self.ours("secretctl"), &arguments, &[], content.as_bytes()).ok();
        path
    }

    /// What a secret holds, read without any rules.
    #[track_caller]
    pub fn content(&self, name: &str) -> String {
        let path = self.path(name);
        self.run("secretctl", &["decrypt", path.to_str().unwrap()]).ok().out
    }

    /// Content and mode of every file of the repository, to see that nothing was changed.
    pub fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>, u32)> {
        files_below(self.path(""))
    }

    /// Fails if a text stands in any file of the repository, the home or the temporary folder.
    #[track_caller]
    pub fn assert_nowhere(&self, text: &str) {
        for folder in ["repo", "home", "tmp"] {
            for (path, content, _) in files_below(self.root().join(folder)) {
                let found = content.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!found, "`{text}` stands in {}", path.display());
            }
        }
    }
}

fn files_below(folder: PathBuf) -> Vec<(PathBuf, Vec<u8>, u32)> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                files.push((path.clone(), fs::read(&path).unwrap(), mode));
            }
        }
    }
    files.sort();
    files
}

/// Runs a command to its end.
pub fn finish(mut command: Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever does not read its standard input closes it.
    let _closed = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether a file begins as an armored age file does.
pub fn is_armored(path: impl AsRef<OsStr>) -> bool {
    fs::read(path.as_ref()).unwrap().starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
}
