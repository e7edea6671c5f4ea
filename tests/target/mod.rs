//! What tests of the target share: a machine of its own in a mount namespace, with keys, encrypted
//! files and a manifest. Nothing of it is seen outside, and it goes when the test ends.

#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "each test uses a part of it")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{PROGRAM, Run, finish, is_root};

/// A `/run` of its own, on which systemd seems to run.
const INSIDE: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/system && echo; \
                      exec sleep 1000";

/// A machine.
pub struct Host {
    folder: tempfile::TempDir,
    /// A process that keeps the namespace.
    holder: Child,
}

impl Host {
    /// One with a host key, `key("host")`; `None`, and a word, where there are no namespaces.
    pub fn new() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("host-").tempdir().unwrap();
        for name in ["run", "keys", "files", "home", "etc", "bin", "dev-shm"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        symlink(PROGRAM, folder.path().join("bin/sops")).unwrap();
        symlink(PROGRAM, folder.path().join("bin/sops-install-secrets")).unwrap();
        let flags: &[&str] = if is_root() { &["-m"] } else { &["-rm"] };
        // Says a line when it is inside.
        let mut holder = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", INSIDE])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = [0];
        let said = std::io::Read::read(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
        if said == 0 {
            assert!(
                std::env::var_os("SECRETCTL_TEST_STRICT").is_none(),
                "there are no namespaces here"
            );
            println!("skipped: no namespaces here");
            let _reaped = holder.wait();
            return None;
        }
        Some(Self { folder, holder })
    }

    /// The folder around everything.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it, as text.
    pub fn at(&self, name: &str) -> String {
        self.root().join(name).display().to_string()
    }

    /// A private SSH key.
    pub fn key(&self, name: &str) -> String {
        let file = self.root().join("keys").join(name);
        if !file.exists() {
            self.keygen(name, &["-t", "ed25519"]);
        }
        file.display().to_string()
    }

    /// A private SSH key of some kind.
    pub fn keygen(&self, name: &str, kind: &[&str]) -> String {
        let file = self.root().join("keys").join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", "test-only", "-f"])
            .arg(&file)
            .args(kind)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        file.display().to_string()
    }

    /// A public SSH key.
    pub fn public(&self, name: &str) -> String {
        fs::read_to_string(format!("{}.pub", self.key(name))).unwrap().trim_end().to_owned()
    }

    /// The age recipient that `ssh-to-age` makes of a key.
    pub fn age_of(&self, name: &str) -> String {
        let recipient = secretctl::key::Recipient::parse(&self.public(name)).unwrap();
        secretctl::key::ssh::age_recipient(&recipient).unwrap().canonical().to_owned()
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// An age file for these recipients.
    pub fn age(&self, name: &str, content: &[u8], to: &[&str]) -> String {
        let path = self.at(&format!("files/{name}"));
        let mut command =
            self.program(Path::new(PROGRAM), &["encrypt", "--allow-empty", "-o", &path]);
        for one in to {
            command.args(["-r", one]);
        }
        let _gone = fs::remove_file(&path);
        finish(command, content).done();
        path
    }

    /// A sops file for these age or SSH recipients, made by our own `sops`.
    pub fn sops(&self, name: &str, content: &str, to: &[&str]) -> String {
        let path = self.file(&format!("files/{name}"), content.as_bytes());
        let arguments = ["encrypt", "--in-place", "--age", &to.join(","), &path];
        finish(self.program(&self.root().join("bin/sops"), &arguments), b"").done();
        path
    }

    /// A program outside of the namespace with a known environment.
    pub fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir(self.root()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.root().join("home"));
        command
    }

    /// A program inside of the namespace.
    pub fn inside(&self, program: &Path, arguments: &[&str]) -> Command {
        let pid = self.holder.id().to_string();
        let mut all = vec!["-m", "-t", &pid];
        if !is_root() {
            all.extend(["-U", "--preserve-credentials"]);
        }
        let here = format!("--wd={}", self.root().display());
        let program = program.display().to_string();
        all.extend([here.as_str(), "--", &program]);
        all.extend(arguments);
        self.program(Path::new("nsenter"), &all)
    }

    /// The output of a shell inside of the namespace.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let run = finish(self.inside(Path::new("sh"), &["-c", script]), b"");
        assert_eq!(run.code, 0, "{script}: {}", run.stderr);
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// Whether something is there inside of the namespace.
    pub fn has(&self, path: &str) -> bool {
        let script = format!("[ -e '{path}' ]");
        finish(self.inside(Path::new("sh"), &["-c", &script]), b"").code == 0
    }

    /// What an installed file holds.
    #[track_caller]
    pub fn installed(&self, name: &str) -> String {
        self.sh(&format!("cat '{}'", self.at(&format!("run/secrets/{name}"))))
    }

    /// A store in memory, where that can be had, with the group of root.
    pub fn store(&self) -> Value {
        let filesystem = if is_root() { "ramfs" } else { "directory" };
        json!({
            "mountPoint": self.at("run/secrets.d"),
            "link": self.at("run/secrets"),
            "filesystem": filesystem,
            "allowDisk": true,
        })
    }

    /// A manifest with one store, the host key and these secrets, of which each lacks no more than
    /// its store.
    pub fn manifest(&self, secrets: &[Value]) -> Value {
        let mut secrets = secrets.to_vec();
        for secret in &mut secrets {
            if secret.get("store").is_none() {
                secret["store"] = json!("secrets");
            }
        }
        json!({
            "version": 1,
            "stores": { "secrets": self.store() },
            "identities": [{ "file": self.key("host") }],
            "secrets": secrets,
        })
    }

    /// Writes a manifest.
    pub fn write(&self, manifest: &Value) -> String {
        self.file("manifest.json", serde_json::to_string_pretty(manifest).unwrap().as_bytes())
    }

    /// Runs `activate` on a manifest.
    pub fn activate(&self, manifest: &Value, options: &[&str]) -> Run {
        finish(self.activation(manifest, options), b"")
    }

    /// As [`Host::activate`], not yet run.
    pub fn activation(&self, manifest: &Value, options: &[&str]) -> Command {
        let file = self.write(manifest);
        let mut arguments = vec!["activate", file.as_str()];
        arguments.extend(options);
        self.inside(Path::new(PROGRAM), &arguments)
    }

    /// Runs our `sops-install-secrets` on a manifest of sops-nix.
    pub fn install_secrets(&self, manifest: &Value, options: &[&str]) -> Run {
        let file = self.write(manifest);
        let mut arguments = options.to_vec();
        arguments.push(&file);
        finish(self.inside(&self.root().join("bin/sops-install-secrets"), &arguments), b"")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _dead = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

/// The summary of a run with `--json`.
#[track_caller]
pub fn summary(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap()
}
