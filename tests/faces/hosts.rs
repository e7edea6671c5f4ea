//! The configurations of `nixos-module/tests/faces` in a folder of their own, with secrets beside them
//! that the test key of `testdata` opens.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::nix::{Nix, project};

/// What the secrets hold, by the name of their file.
pub(crate) const AGE: [(&str, &str); 12] = [
    ("plain.age", "plain\n"),
    ("hash.age", "$6$salt$hash"),
    ("owned.age", "owned"),
    ("numbered.age", "numbered"),
    ("linked.age", "linked"),
    ("copied.age", "copied"),
    ("renamed.age", "renamed"),
    ("hyphen.age", ""),
    ("wifi", "wifi"),
    ("system-password", "system"),
    ("one-password", "the first"),
    ("two-password", "the second"),
];
pub(crate) const DYNAMIC: (&str, &str) = ("dynamic-password", "made up\n");
const SOPS: [(&str, &str); 5] = [
    ("host.yaml", "db:\n  password: sesame\n  token: t0ken\nhash: $6$salt$sops\n"),
    ("other.json", "{\"a\": {\"b\": \"nested\"}, \"number\": 1}\n"),
    ("app.env", "A=1\nB=two\n"),
    ("app.ini", "[part]\nkey = value\n"),
    ("bytes.bin", "\u{0}\u{1}bytes"),
];

/// Puts configurations and secrets into the folder of a Nix, and gives that.
pub(crate) fn prepared(nix: &Nix) -> PathBuf {
    let folder = nix.folder();
    let configurations = fs::read_dir(project("nixos-module/tests/faces")).unwrap();
    for entry in configurations {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    fs::create_dir_all(folder.join("secrets")).unwrap();
    let key = project("testdata/age/ssh_ed25519.pub");
    fs::copy(&key, folder.join("host.pub")).unwrap();
    for (name, content) in AGE.iter().chain([&DYNAMIC]) {
        let file = folder.join("secrets").join(name);
        let file = file.to_str().unwrap();
        run(&folder, "secretctl", &["encrypt", "-R", &key, "-o", file], content);
    }
    let key = run(&folder, "secretctl", &["keys", "convert", &key], "");
    fs::write(folder.join(".sops.yaml"), format!("creation_rules:\n  - age: {}\n", key.trim()))
        .unwrap();
    for (name, content) in SOPS {
        let file = folder.join("secrets").join(name);
        fs::write(&file, content).unwrap();
        run(&folder, "sops", &["encrypt", "-i", file.to_str().unwrap()], "");
    }
    folder
}

/// The folder of a package whose `bin/secretctl` is the program of this build.
pub(crate) fn package(nix: &Nix) -> PathBuf {
    let folder = nix.folder().join("package");
    let program = folder.join("bin/secretctl");
    if !program.exists() {
        fs::create_dir_all(folder.join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_secretctl"), program).unwrap();
    }
    folder
}

/// Our program, by a name that it answers to.
fn run(folder: &Path, name: &str, arguments: &[&str], input: &str) -> String {
    let program = folder.join("bin").join(name);
    if !program.exists() {
        fs::create_dir_all(folder.join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_secretctl"), &program).unwrap();
    }
    let stdin = folder.join("stdin");
    fs::write(&stdin, input).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder);
    if input.is_empty() && arguments[0] == "encrypt" && name == "secretctl" {
        command.arg("--allow-empty");
    }
    let output = command.stdin(fs::File::open(stdin).unwrap()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
