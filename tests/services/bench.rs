//! A home and a working folder, ours and the real sops in it, and servers that end with the test.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::{Ran, finish, peer};

pub const TEXT: &str = "db:\n    password: canary-value\n    port: 5432\n";

pub struct Bench {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    sops: PathBuf,
}

impl Bench {
    /// `None` where there is no sops.
    pub fn new() -> Option<Self> {
        let sops = peer("SECRETCTL_TEST_SOPS_NEW", true)?;
        let folder = tempfile::tempdir().unwrap();
        for name in ["home/.aws", "work", "bin", "tmp"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let ours = assert_cmd::cargo::cargo_bin("secretctl");
        symlink(ours, folder.path().join("bin/sops")).unwrap();
        let variables = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("SOPS_DISABLE_VERSION_CHECK", "true"),
            ("SECRETCTL_KEY_SERVICES_TIMEOUT", "20"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Some(Self { folder, variables, sops })
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join("home").join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn run(&self, program: &Path, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path().join("home"))
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path(""));
        finish(command, b"")
    }

    /// The real sops.
    pub fn theirs(&self, arguments: &[&str]) -> Ran {
        self.run(&self.sops, arguments)
    }

    /// Ours under the name of sops.
    pub fn ours(&self, arguments: &[&str]) -> Ran {
        self.run(&self.folder.path().join("bin/sops"), arguments)
    }

    /// Ours under its own name.
    pub fn native(&self, arguments: &[&str]) -> Ran {
        self.run(&assert_cmd::cargo::cargo_bin("secretctl"), arguments)
    }

    /// Encrypts with one and decrypts with the other, both ways.
    #[track_caller]
    pub fn both_ways(&self, options: &[&str]) {
        self.write("theirs.yaml", TEXT);
        self.theirs(&[&["encrypt", "-i"], options, &["theirs.yaml"]].concat()).ok();
        assert_eq!(self.ours(&["decrypt", "theirs.yaml"]).ok().out, TEXT);
        assert_eq!(self.native(&["decrypt", "theirs.yaml"]).ok().out, TEXT);
        self.write("ours.yaml", TEXT);
        self.ours(&[&["encrypt", "-i"], options, &["ours.yaml"]].concat()).ok();
        assert!(!self.read("ours.yaml").contains("canary-value"));
        assert_eq!(self.theirs(&["decrypt", "ours.yaml"]).ok().out, TEXT);
    }

    /// What ours says when it cannot open a file, which stays as it is; no secret is in it.
    #[track_caller]
    pub fn refused(&self, name: &str, secrets: &[&str]) -> String {
        let before = (self.read(name), self.files());
        let set = self.native(&["set", name, "/db/password", "\"other\""]);
        let ran = self.native(&["decrypt", name]);
        assert_ne!((ran.code, set.code), (0, 0));
        assert_eq!((self.read(name), self.files()), before);
        let said = format!("{}{}{}{}", ran.out, ran.err, set.out, set.err);
        for secret in secrets.iter().chain(&["canary-value"]) {
            assert!(!said.contains(secret), "{said}");
        }
        ran.err
    }

    /// All files where something is done or may be put for a while.
    fn files(&self) -> Vec<PathBuf> {
        let folders = ["work", "tmp"].map(|name| fs::read_dir(self.folder.path().join(name)));
        let files = folders.into_iter().flat_map(Result::unwrap).map(|one| one.unwrap().path());
        let mut files: Vec<PathBuf> = files.collect();
        files.sort();
        files
    }

    pub fn editor(&mut self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join("bin/editor");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.set("EDITOR", path.to_str().unwrap());
    }
}

/// A program that serves, until the test ends.
pub struct Program {
    child: Child,
    pub port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Program {
    /// Starts it with a free port in its arguments, for `PORT`.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        home: &Path,
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments =
            arguments.iter().map(|word| OsString::from(word.replace("PORT", &port.to_string())));
        let child = Command::new(program)
            .args(arguments)
            .env("HOME", home)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self { child, port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_mins(2), "it does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        program
    }

    /// Asks it something in HTTP 1.0; the body of the answer.
    pub fn ask(&self, method: &str, way: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {way} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}",
            self.port
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{answer}");
        body.to_owned()
    }
}

pub fn moto(bench: &Bench, variables: &[(&str, &str)]) -> Option<Program> {
    let program = peer("SECRETCTL_TEST_MOTO", true)?;
    Some(Program::start(&program, &["-H", "127.0.0.1", "-p", "PORT"], variables, &bench.home("")))
}

const SIGNED: &str = "authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/SERVICE/aws4_request, SignedHeaders=host, Signature=00\r\n";

/// Asks KMS of moto.
pub fn kms(moto: &Program, target: &str, body: &str) -> serde_json::Value {
    let headers = format!(
        "{}content-type: application/x-amz-json-1.1\r\nx-amz-target: TrentService.{target}\r\n",
        SIGNED.replace("SERVICE", "kms")
    );
    serde_json::from_str(&moto.ask("POST", "/", &headers, body)).unwrap_or_default()
}

/// Asks IAM of moto.
pub fn iam(moto: &Program, form: &str) -> String {
    let headers = format!(
        "{}content-type: application/x-www-form-urlencoded\r\n",
        SIGNED.replace("SERVICE", "iam")
    );
    moto.ask("POST", "/", &headers, &format!("{form}&Version=2010-05-08"))
}

/// A new key of moto; its ARN.
pub fn new_key(moto: &Program) -> String {
    let made = kms(moto, "CreateKey", "{}");
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

pub const TOKEN: &str = "canary-token-of-the-root";

/// `OpenBao` with the transit engine, and keys `fleet` and `other` in it.
pub fn bao(bench: &Bench) -> Option<Program> {
    let program = peer("SECRETCTL_TEST_BAO", true)?;
    let token = format!("-dev-root-token-id={TOKEN}");
    let arguments =
        ["server", "-dev", "-dev-no-store-token", &token, "-dev-listen-address=127.0.0.1:PORT"];
    let bao = Program::start(&program, &arguments, &[], &bench.home(""));
    let headers = format!("x-vault-token: {TOKEN}\r\ncontent-type: application/json\r\n");
    // It listens before it is ready.
    std::thread::sleep(Duration::from_secs(2));
    bao.ask("POST", "/v1/sys/mounts/transit", &headers, r#"{"type":"transit"}"#);
    for key in ["fleet", "other"] {
        bao.ask("POST", &format!("/v1/transit/keys/{key}"), &headers, "{}");
    }
    Some(bao)
}
