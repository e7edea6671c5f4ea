//! The Nix packages, really built by Nix, from the files that the package names and no others.
//!
//! There is no nixpkgs in it: `tests/nix` has a small one whose Rust packages are built by the cargo of this
//! machine, offline and without optimisation.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether Nix can build here; says why not.
fn can_build() -> bool {
    if Command::new("nix").arg("--version").output().is_err() {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "nix is missing");
        println!("skipped: nix is not installed");
        return false;
    }
    // A store elsewhere than in /nix is built for in a room in which cargo is not.
    if std::env::var_os("NIX_REMOTE").is_some() || fs::create_dir_all("/nix/var/nix/db").is_err() {
        println!("skipped: the store of nix is closed to this user");
        return false;
    }
    true
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = entry.map(|e| (e.path(), to.join(e.file_name()))).unwrap();
        if source.is_dir() {
            if !source.ends_with("target") && !source.ends_with(".git") {
                copy(&source, &target);
            }
        } else if source.is_file() {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// What this very run of cargo has compiled of other crates need not be compiled once more.
fn take_dependencies(to: &Path) {
    let from = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug");
    if to.exists() || !from.join("deps").exists() {
        return;
    }
    fs::create_dir_all(to.join("deps")).unwrap();
    for part in ["build", ".fingerprint"] {
        let copied = Command::new("cp").arg("-a").arg(from.join(part)).arg(to).status().unwrap();
        assert!(copied.success(), "{part}");
        for entry in fs::read_dir(to.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().contains("secretctl") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }
    // Nothing of ours, and no tests. Cargo removes what it makes anew, so links will do.
    for entry in fs::read_dir(from.join("deps")).unwrap() {
        let (file, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if !name.to_string_lossy().contains("secretctl") && file.extension().is_some() {
            fs::hard_link(&file, to.join("deps").join(name)).unwrap();
        }
    }
}

/// A text as Nix writes it.
fn quoted(text: &str) -> String {
    format!("{text:?}").replace("${", "\\${")
}

#[test]
fn the_packages_are_built_from_the_files_that_they_name() {
    if !can_build() {
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let (project, nixpkgs) = (folder.path().join("project"), folder.path().join("nixpkgs"));
    copy(here, &project);
    // What the package does not name must not get in.
    fs::create_dir_all(project.join(".cargo")).unwrap();
    fs::write(project.join(".cargo/config.toml"), "not of the package").unwrap();
    copy(&here.join("tests/nix"), &nixpkgs);
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let home = |name: &str, folder: &str| match std::env::var(name) {
        Ok(value) => value,
        Err(_) => format!("{}/{folder}", variable("HOME")),
    };
    let path = variable("PATH");
    let bash = std::env::split_paths(&path).map(|folder| folder.join("bash"));
    let bash = bash.into_iter().find(|bash| bash.is_file()).unwrap();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nix-package");
    take_dependencies(&kept.join("debug"));
    let variables = [
        ("PATH", path.as_str()),
        ("CARGO_HOME", &home("CARGO_HOME", ".cargo")),
        ("RUSTUP_HOME", &home("RUSTUP_HOME", ".rustup")),
        ("RUSTUP_TOOLCHAIN", &variable("RUSTUP_TOOLCHAIN")),
        ("keptFolder", kept.to_str().unwrap()),
        // Built by each run.
        ("run", folder.path().to_str().unwrap()),
    ];
    let variables = variables.into_iter().filter(|(_, value)| !value.is_empty());
    let variables: Vec<String> =
        variables.map(|(name, value)| format!("{name} = {};", quoted(value))).collect();
    let variables = variables.concat();
    let bash = quoted(bash.to_str().unwrap());
    let host = format!("{{ bash = {bash}; variables = {{ {variables} }}; }}");
    fs::write(nixpkgs.join("host.nix"), host).unwrap();
    // A user of nixpkgs would say `secretctl.override { buildType = "debug"; }`.
    let package = project.join("nixos-module/package.nix");
    let text = fs::read_to_string(&package).unwrap();
    let debug = text.replace("buildType ? \"release\"", "buildType ? \"debug\"");
    assert_ne!(text, debug);
    fs::write(&package, debug).unwrap();

    let build = |name: &str| -> PathBuf {
        let system = if cfg!(target_arch = "aarch64") { "aarch64-linux" } else { "x86_64-linux" };
        let nixpkgs = format!("path:{}", nixpkgs.display());
        let link = folder.path().join("result");
        let output = Command::new("nix")
            .current_dir(&project)
            .args(["--extra-experimental-features", "nix-command flakes", "build"])
            .args(["--no-write-lock-file", "--override-input", "nixpkgs", &nixpkgs, "--out-link"])
            .arg(&link)
            .args(["--print-build-logs", &format!("path:.#packages.{system}.{name}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::canonicalize(link).unwrap()
    };
    let names = |folder: PathBuf| {
        let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = found.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let said = |program: &Path| {
        let output = Command::new(program).arg("--version").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };

    let package = build("default");
    assert_eq!(names(package.join("bin")), ["secretctl"]);
    let version = format!("secretctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&package.join("bin/secretctl")), version);
    let pages = names(package.join("share/man/man1"));
    for page in ["secretctl.1", "secretctl-edit.1", "secretctl-rekey.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} in {pages:?}");
    }
    for (file, mark) in [
        ("bash-completion/completions/secretctl.bash", "complete -F _secretctl"),
        ("fish/vendor_completions.d/secretctl.fish", "complete -c secretctl"),
        ("zsh/site-functions/_secretctl", "#compdef secretctl"),
    ] {
        let text = fs::read_to_string(package.join("share").join(file)).unwrap();
        assert!(text.contains(mark), "{file}");
    }

    let front_ends = build("secretctl-front-ends");
    assert_eq!(
        names(front_ends.join("bin")),
        ["agenix", "ragenix", "sops", "sops-install-secrets"]
    );
    for name in names(front_ends.join("bin")) {
        let link = front_ends.join("bin").join(&name);
        assert_eq!(fs::canonicalize(&link).unwrap(), package.join("bin/secretctl"));
        let output = Command::new(&link).arg("--help").output().unwrap();
        // Programs in Go print it to the other output.
        let help = [output.stdout, output.stderr].concat();
        let help = String::from_utf8_lossy(&help).into_owned();
        let stands_in = help.contains(&format!("{name} ")) && !help.contains("secretctl rekey");
        assert!(output.status.success() && stands_in, "{name}: {help}");
    }
}
