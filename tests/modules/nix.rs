//! Real Nix, the oldest and the newest that there is, each with a store of its own below a temporary
//! folder, so that nothing of the machine is used or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// One version of Nix and a store for it.
pub(crate) struct Nix {
    /// The folder of its programs; none where they are on the `PATH`.
    programs: Option<PathBuf>,
    room: tempfile::TempDir,
}

/// All versions that are here. Says so where there is none.
pub(crate) fn versions() -> Vec<Nix> {
    let named = ["SECRETCTL_TEST_NIX_OLD", "SECRETCTL_TEST_NIX_NEW"];
    let mut programs: Vec<Option<PathBuf>> = named
        .iter()
        .filter_map(std::env::var_os)
        .map(|nix| Path::new(&nix).parent().map(Path::to_path_buf))
        .collect();
    if programs.is_empty() && Command::new("nix-instantiate").arg("--version").output().is_ok() {
        programs.push(None);
    }
    if programs.is_empty() {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "nix-instantiate is missing");
        println!("skipped: nix-instantiate is not installed");
    }
    programs.into_iter().map(Nix::new).collect()
}

impl Nix {
    fn new(programs: Option<PathBuf>) -> Self {
        let room = tempfile::Builder::new().prefix("nix-").tempdir().unwrap();
        Self { programs, room }
    }

    /// A folder beside the store, for what is evaluated.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = fs::canonicalize(self.room.path()).unwrap().join("input");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Where the store of this Nix is.
    pub(crate) fn store(&self) -> PathBuf {
        fs::canonicalize(self.room.path()).unwrap().join("store")
    }

    /// One of its programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = match &self.programs {
            Some(folder) => Command::new(folder.join(program)),
            None => Command::new(program),
        };
        let room = fs::canonicalize(self.room.path()).unwrap();
        for (name, folder) in [
            ("NIX_STORE_DIR", "store"),
            ("NIX_STATE_DIR", "state"),
            ("NIX_LOG_DIR", "log"),
            ("NIX_CONF_DIR", "configuration"),
            ("HOME", "home"),
            ("XDG_CACHE_HOME", "cache"),
        ] {
            command.env(name, room.join(folder));
        }
        command.env_remove("NIX_REMOTE").env_remove("NIX_PATH").env(
            "NIX_CONFIG",
            "build-users-group =\nsandbox = false\nsubstituters =\n\
             experimental-features = nix-command flakes",
        );
        command.current_dir(self.folder());
        command
    }

    fn run(&self, program: &str, arguments: &[&str], expression: &str) -> Output {
        let file = self.folder().join("expression.nix");
        fs::write(&file, expression).unwrap();
        self.command(program).args(arguments).arg(file).output().unwrap()
    }

    /// The value of an expression, or what Nix said against it.
    pub(crate) fn eval(&self, expression: &str) -> Result<Value, String> {
        let output = self.run("nix-instantiate", &["--eval", "--strict", "--json"], expression);
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }

    /// The value of an expression that has one.
    pub(crate) fn value(&self, expression: &str) -> Value {
        self.eval(expression).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Builds a derivation, or tells what was said against it.
    pub(crate) fn build(&self, expression: &str) -> Result<PathBuf, String> {
        let output = self.run("nix-build", &["--no-out-link"], expression);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() {
            Ok(PathBuf::from(text(output.stdout).trim()))
        } else {
            Err(text(output.stderr))
        }
    }

    /// A text with what differs from run to run taken out.
    pub(crate) fn redact(&self, text: &str) -> String {
        let store = format!("{}/", self.store().display());
        let mut parts = text.split(&store);
        let mut clean = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            clean.push_str("/nix/store/…");
            // the hash: 32 characters
            clean.push_str(part.get(32..).unwrap_or(part));
        }
        clean.replace(self.folder().to_str().unwrap(), "[HERE]")
    }
}

/// The path of something in the project, as Nix writes it.
pub(crate) fn project(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// What modules of NixOS lead to: `modules` is a list of Nix.
pub(crate) fn nixos(modules: &str) -> String {
    evaluated("nixos", "nixos.nix", modules)
}

/// What modules of a system lead to, with our wiring for it.
pub(crate) fn evaluated(system: &str, wiring: &str, modules: &str) -> String {
    format!(
        "(import {eval} {{ system = \"{system}\"; modules = [ {wiring} ] ++ {modules}; }})",
        eval = project("nixos-module/tests/eval.nix"),
        wiring = project(&format!("nixos-module/{wiring}")),
    )
}
