//! Called as `sops`, wrong arguments end as they end in the real sops: with the same exit code and
//! the same kind of complaint. `SECRETCTL_TEST_SOPS_NEW` names the real one (see `scripts/setup`).

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use desk::{Ran, finish, peer};

/// What is wrong.
#[derive(Debug, PartialEq, Eq)]
enum Class {
    Fine,
    Usage,
    Topic,
    Other,
}

fn class(ran: &Ran) -> Class {
    let all = format!("{}{}", ran.out, ran.err);
    if ran.code == 0 {
        Class::Fine
    } else if all.contains("Incorrect Usage") || all.contains("flag provided but not defined") {
        Class::Usage
    } else if all.contains("No help topic") {
        Class::Topic
    } else {
        Class::Other
    }
}

fn run(program: &Path, folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_clear();
    command.env("HOME", folder).env("SOPS_DISABLE_VERSION_CHECK", "1").env("EDITOR", "false");
    command.envs(variables.iter().copied());
    finish(command, b"")
}

#[test]
fn wrong_arguments_end_as_in_the_real_sops() {
    let Some(real) = peer("SECRETCTL_TEST_SOPS_NEW", true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("sops");
    symlink(assert_cmd::cargo::cargo_bin("secretctl"), &ours).unwrap();
    let place = folder.path().join("place");
    fs::create_dir(&place).unwrap();
    // Some commands look for rules before they look at their arguments.
    fs::write(place.join(".sops.yaml"), "creation_rules:\n  - pgp: F\n").unwrap();
    fs::write(place.join("x.yaml"), "a: 1\n").unwrap();
    let mut wrong = Vec::new();
    for (arguments, variables) in CASES {
        let [theirs, mine] =
            [&real, &ours].map(|program| run(program, &place, arguments, variables));
        if (theirs.code, class(&theirs)) != (mine.code, class(&mine)) {
            wrong
                .push(format!("{arguments:?} {variables:?}\ntheirs: {theirs:#?}\nours: {mine:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_version_is_told_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("sops");
    symlink(assert_cmd::cargo::cargo_bin("secretctl"), &ours).unwrap();
    let ran = run(&ours, folder.path(), &["--version"], &[]).ok();
    assert!(ran.out.starts_with("sops 3."), "{}", ran.out);
    for shell in ["bash", "zsh"] {
        let script = run(&ours, folder.path(), &["completion", shell], &[]).ok().out;
        let file = folder.path().join(shell);
        fs::write(&file, &script).unwrap();
        // Only bash is everywhere.
        if shell == "zsh" && !Path::new("/usr/bin/zsh").exists() {
            println!("skipped: zsh is not installed");
        } else if !desk::lacks(shell) {
            let file = file.to_str().unwrap();
            let mut check = Command::new(shell);
            check.args(["-n", file]);
            finish(check, b"").ok();
        }
    }
}

type Case = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// Arguments, and variables of the environment.
const CASES: &[Case] = &[
    (&[], &[]),
    (&["help"], &[]),
    (&["h"], &[]),
    (&["--help"], &[]),
    (&["-h"], &[]),
    (&["-d", "--help"], &[]),
    (&["help", "decrypt"], &[]),
    (&["help", "groups"], &[]),
    (&["help", "bogus"], &[]),
    (&["decrypt", "--help"], &[]),
    (&["decrypt", "x.yaml", "-h"], &[]),
    (&["groups"], &[]),
    (&["groups", "help"], &[]),
    (&["groups", "bogus"], &[]),
    (&["groups", "--bogus"], &[]),
    (&["completion"], &[]),
    (&["completion", "fish"], &[]),
    (&["-v"], &[]),
    (&["--version"], &[]),
    (&["--bogus"], &[]),
    (&["-de", "x.yaml"], &[]),
    (&["--=x"], &[]),
    (&["---x"], &[]),
    (&["decrypt", "--bogus"], &[]),
    (&["decrypt", "---x"], &[]),
    (&["decrypt", "--=x", "y"], &[]),
    (&["decrypt", "-v"], &[]),
    (&["decrypt", "--encrypted-regex", "a", "x.yaml"], &[]),
    (&["--input-type"], &[]),
    (&["decrypt", "--input-type"], &[]),
    (&["--indent"], &[]),
    (&["--indent", "x", "f"], &[]),
    (&["set", "--shamir-secret-sharing-threshold=x", "a", "b", "c"], &[]),
    (&["decrypt", "--ignore-mac=maybe", "x.yaml"], &[]),
    (&["decrypt", "x.yaml"], &[("SOPS_ENABLE_LOCAL_KEYSERVICE", "maybe")]),
    (&["-d"], &[]),
    (&["-e"], &[]),
    (&["-r"], &[]),
    (&["-s"], &[]),
    (&["-d", "missing"], &[]),
    (&["-e", "missing"], &[]),
    (&["-r", "missing"], &[]),
    (&["-r", "--add-age", "x", "missing"], &[]),
    (&["--rm-pgp", "x", "missing"], &[]),
    (&["-d", "-i", "--output", "a", "x.yaml"], &[]),
    (&["--decryption-order", "age,age", "-d", "x.yaml"], &[]),
    (&["-d", "x.yaml"], &[("SOPS_DECRYPTION_ORDER", "pgp,pgp")]),
    (&["-d", "--extract", "[\"a", "x.yaml"], &[]),
    (&["--set", "x", "x.yaml"], &[]),
    (&["--set", "[\"a\"] {", "x.yaml"], &[]),
    (&["decrypt", "-i"], &[]),
    (&["decrypt", "--in-place", "--output", "x", "x.yaml"], &[]),
    (&["decrypt", "missing"], &[]),
    (&["decrypt", "--", "-x"], &[]),
    (&["decrypt", "--decryption-order", "age,age", "x.yaml"], &[]),
    (&["decrypt", "x.yaml", "--extract", "[a]"], &[]),
    (&["encrypt"], &[]),
    (&["encrypt", "-i"], &[]),
    (&["encrypt", "missing"], &[]),
    (&["encrypt", "--output", "a", "-i", "x.yaml"], &[]),
    (&["encrypt", "--encryption-context", "a", "--pgp", "F", "x.yaml"], &[]),
    (
        &["encrypt", "--encrypted-regex", "a", "--encrypted-suffix", "b", "--pgp", "F", "x.yaml"],
        &[],
    ),
    (&["rotate"], &[]),
    (&["rotate", "--add-age", "x", "missing"], &[]),
    (&["rotate", "-i", "--output", "a", "x.yaml"], &[]),
    (&["edit"], &[]),
    (&["set"], &[]),
    (&["set", "x.yaml"], &[]),
    (&["set", "x.yaml", "[\"a\"]"], &[]),
    (&["set", "x.yaml", "[\"a\"]", "{"], &[]),
    (&["set", "x.yaml", "a", "1"], &[]),
    (&["set", "--value-file", "--value-stdin", "x.yaml", "[\"a\"]"], &[]),
    (&["set", "--value-stdin", "x.yaml", "[\"a\"]", "1"], &[]),
    (&["unset"], &[]),
    (&["unset", "x.yaml"], &[]),
    (&["unset", "x.yaml", "a"], &[]),
    (&["updatekeys"], &[]),
    (&["filestatus"], &[]),
    (&["exec-env"], &[]),
    (&["exec-env", "x.yaml"], &[]),
    (&["exec-env", "x.yaml", "a", "b"], &[]),
    (&["exec-file", "x.yaml"], &[]),
    (&["groups", "add", "x.yaml"], &[]),
    (&["groups", "add", "--bogus"], &[]),
    (&["groups", "delete"], &[]),
    (&["groups", "delete", "-f", "x.yaml"], &[]),
    (&["groups", "delete", "-f", "x.yaml", "one"], &[]),
    (&["groups", "delete", "0"], &[]),
];
