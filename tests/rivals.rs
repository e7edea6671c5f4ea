//! What goes wrong in the tools beside which this one stands, defect by defect: here it does
//! not. Each test says in its comment what the other tool does.
//!
//! Where `SECRETCTL_TEST_AGENIX`, `SECRETCTL_TEST_AGENIX_0_15` or `SECRETCTL_TEST_RAGENIX` names
//! the tool itself, the test also shows the defect there, so that the list stays honest. These
//! tools cannot be had without a network and their own build, so their halves may be missing
//! even with `SECRETCTL_TEST_STRICT`; secrix is a flake and only ever has our half.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use desk::{Desk, is_armored, peer};

const AGENIX: &str = "SECRETCTL_TEST_AGENIX";
const AGENIX_0_15: &str = "SECRETCTL_TEST_AGENIX_0_15";
const RAGENIX: &str = "SECRETCTL_TEST_RAGENIX";

/// Two secrets of mine, `a.age` and `b.age`, and a rule for `new.age`.
fn fleet() -> Option<Desk> {
    let desk = Desk::new()?;
    desk.write(
        "secrets.nix",
        r#"{
          "a.age".publicKeys = [ "<ME>" ];
          "b.age".publicKeys = [ "<ME>" ];
          "new.age".publicKeys = [ "<ME>" ];
        }"#,
    );
    desk.secret("a.age", "a");
    desk.secret("b.age", "b");
    Some(desk)
}

/// The tool itself, shown to have the defect, on a desk of its own.
fn theirs(variable: &str, show: impl FnOnce(&Desk, PathBuf)) {
    if let Some(program) = peer(variable, false)
        && let Some(desk) = fleet()
    {
        show(&desk, program);
    }
}

/// agenix takes `RULES` for a Nix expression: without `./` it is an undefined variable. ragenix
/// looks for the folder of such a path, which is empty, and crashes.
#[test]
fn rules_without_a_dot_and_slash() {
    let Some(desk) = fleet() else { return };
    let rules = ("RULES", "secrets.nix");
    let ran = desk.run_with(&desk.ours("agenix"), &["-d", "a.age"], &[rules], b"").ok();
    assert_eq!(ran.out, "a");
    desk.run_with(&desk.ours("ragenix"), &["-r"], &[rules], b"").ok();
    desk.run_with(&desk.ours("secretctl"), &["rekey", "--check"], &[rules], b"").ok();
    theirs(AGENIX, |desk, agenix| {
        let ran = desk.run_with(&agenix, &["-d", "a.age"], &[rules], b"");
        assert!(ran.code != 0 && ran.err.contains("undefined variable"), "{ran:?}");
    });
    theirs(RAGENIX, |desk, ragenix| {
        let ran = desk.run_with(&ragenix, &["-r"], &[rules], b"");
        assert!(ran.code != 0 && ran.err.contains("No such file"), "{ran:?}");
    });
}

/// agenix knows no other spelling of a name than that of the rules.
#[test]
fn one_file_under_two_spellings() {
    let Some(desk) = fleet() else { return };
    let absolute = desk.path("a.age");
    for name in ["./a.age", "keys/../a.age", absolute.to_str().unwrap()] {
        assert_eq!(desk.run("agenix", &["-d", name]).ok().out, "a", "{name}");
    }
    theirs(AGENIX, |desk, agenix| {
        assert_ne!(desk.run_with(&agenix, &["-d", "./a.age"], &[], b"").code, 0);
    });
}

/// agenix puts names into Nix expressions as they are, so that a name can be code.
#[test]
fn a_name_that_is_code() {
    let Some(desk) = fleet() else { return };
    let name = r#"x".publicKeys or (builtins.throw "ran") or rules."a.age"#;
    let ran = desk.run("agenix", &["-d", name]);
    assert!(ran.code == 1 && ran.err.starts_with("There is no rule for "), "{ran:?}");
    theirs(AGENIX, |desk, agenix| {
        let ran = desk.run_with(&agenix, &["-d", name], &[], b"");
        assert!(ran.err.contains("ran"), "{ran:?}");
    });
}

/// agenix replaces the secret with nothing where standard input is empty, with exit code 0: also
/// behind a command that failed.
#[test]
fn an_empty_standard_input() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    for (name, arguments) in [("agenix", ["-e", "a.age"]), ("secretctl", ["edit", "a.age"])] {
        let ran = desk.run(name, &arguments);
        assert!(ran.code != 0 && ran.err.contains("standard input is empty"), "{ran:?}");
        let with_editor = [("EDITOR", "cat")];
        let ran = desk.run_with(&desk.ours(name), &arguments, &with_editor, b"").ok();
        assert_eq!(ran.out, "a");
        assert_eq!(desk.snapshot(), before);
    }
    for variable in [AGENIX, AGENIX_0_15] {
        theirs(variable, |desk, agenix| {
            desk.run_with(&agenix, &["-e", "a.age"], &[("EDITOR", "cat")], b"").ok();
            assert_eq!(desk.content("a.age"), "");
        });
    }
}

/// agenix 0.15.0 empties every secret on a rekey without a terminal, as in CI, with exit code 0.
#[test]
fn a_rekey_without_a_terminal() {
    let Some(desk) = fleet() else { return };
    for arguments in [["agenix", "-r", "-v"], ["ragenix", "-r", "-v"]] {
        desk.run(arguments[0], &arguments[1..]).ok();
        assert_eq!((desk.content("a.age"), desk.content("b.age")), ("a".into(), "b".into()));
    }
    desk.run("secretctl", &["rekey", "--force"]).ok();
    assert_eq!((desk.content("a.age"), desk.content("b.age")), ("a".into(), "b".into()));
    theirs(AGENIX_0_15, |desk, agenix| {
        desk.run_with(&agenix, &["-r"], &[], b"").ok();
        assert_eq!((desk.content("a.age"), desk.content("b.age")), (String::new(), String::new()));
    });
}

/// agenix encrypts whatever an editor leaves, even if it says that it failed.
#[test]
fn an_editor_that_fails() {
    let Some(desk) = fleet() else { return };
    let editor = desk.editor("printf garbage > \"$1\"; exit 1");
    let before = desk.snapshot();
    let cases = [("agenix", ["-e", "a.age"]), ("ragenix", ["-e", "a.age"])];
    for (name, arguments) in cases.into_iter().chain([("secretctl", ["edit", "a.age"])]) {
        let ran = desk.run_with(&desk.ours(name), &arguments, &[("EDITOR", &editor)], b"");
        assert!(ran.code != 0 && ran.err.contains("exit code 1"), "{ran:?}");
        assert_eq!(desk.snapshot(), before);
    }
    theirs(AGENIX, |desk, agenix| {
        let editor = desk.editor("printf garbage > \"$1\"; exit 1");
        desk.on_terminal(&agenix, &["-e", "a.age"], &[("EDITOR", &editor)]).ok();
        assert_eq!(desk.content("a.age"), "garbage");
    });
}

/// agenix and ragenix stop a rekey at the first file that they cannot open; those before it are
/// rewritten then.
#[test]
fn a_rekey_that_cannot_open_one_file() {
    let Some(desk) = fleet() else { return };
    let stranger = desk.public("repo/keys/stranger");
    desk.secret_for(&stranger, "b.age", "not mine");
    desk.secret_for(&stranger, "new.age", "not mine either");
    let before = desk.snapshot();
    for arguments in [&["agenix", "-r"][..], &["ragenix", "-r"], &["secretctl", "rekey", "-f"]] {
        let ran = desk.run(arguments[0], &arguments[1..]);
        assert!(ran.code != 0 && ran.err.contains("none was changed"), "{ran:?}");
        assert!(ran.err.contains("`b.age`") && ran.err.contains("`new.age`"), "{ran:?}");
        assert_eq!(desk.snapshot(), before);
    }
    for variable in [AGENIX, RAGENIX] {
        theirs(variable, |desk, program| {
            desk.secret_for(&desk.public("repo/keys/stranger"), "b.age", "not mine");
            let before = fs::read(desk.path("a.age")).unwrap();
            assert_ne!(desk.run_with(&program, &["-r"], &[], b"").code, 0);
            assert_ne!(fs::read(desk.path("a.age")).unwrap(), before);
        });
    }
}

/// agenix splits the names of a rekey at blanks.
#[test]
fn names_with_blanks() {
    let rules = r#"{ "two words.age".publicKeys = [ "<ME>" ]; }"#;
    let Some(desk) = Desk::new() else { return };
    desk.write("secrets.nix", rules);
    desk.secret("two words.age", "x");
    let ran = desk.run("agenix", &["-r"]).ok();
    assert_eq!(ran.err, "rekeying two words.age...\n");
    desk.run("ragenix", &["-r"]).ok();
    assert_eq!(desk.content("two words.age"), "x");
    theirs(AGENIX, |desk, agenix| {
        desk.write("secrets.nix", rules);
        assert_ne!(desk.run_with(&agenix, &["-r"], &[], b"").code, 0);
    });
}

/// agenix puts a regular file where a link was, and gives it mode 0644.
#[test]
fn links_and_modes() {
    let prepare = |desk: &Desk| {
        fs::create_dir(desk.path("real")).unwrap();
        fs::rename(desk.path("a.age"), desk.path("real/a.age")).unwrap();
        symlink("real/a.age", desk.path("a.age")).unwrap();
        for name in ["real/a.age", "b.age"] {
            fs::set_permissions(desk.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
    let is_link = |desk: &Desk| fs::symlink_metadata(desk.path("a.age")).unwrap().is_symlink();
    let mode = |desk: &Desk, name: &str| fs::metadata(desk.path(name)).unwrap().mode() & 0o777;
    let Some(desk) = fleet() else { return };
    prepare(&desk);
    let ours = desk.ours("agenix");
    desk.run("agenix", &["-r"]).ok();
    desk.run_with(&ours, &["-e", "a.age"], &[], b"edited").ok();
    desk.run("ragenix", &["-r"]).ok();
    desk.run("secretctl", &["rekey", "--force"]).ok();
    assert!(is_link(&desk));
    assert_eq!((mode(&desk, "real/a.age"), mode(&desk, "b.age")), (0o600, 0o600));
    assert_eq!(desk.content("real/a.age"), "edited");
    theirs(AGENIX, |desk, agenix| {
        prepare(desk);
        desk.run_with(&agenix, &["-e", "a.age"], &[], b"edited").ok();
        desk.run_with(&agenix, &["-e", "b.age"], &[], b"edited").ok();
        assert!(!is_link(desk));
        assert_eq!(desk.content("real/a.age"), "a");
        assert_eq!(mode(desk, "b.age"), 0o644);
    });
}

/// agenix (with Go age, which makes no file for an empty plaintext) says of an empty secret that
/// it "wasn't created" and leaves it as it was, for its old readers; ragenix crashes on an edit.
#[test]
fn an_empty_secret() {
    let prepare = |desk: &Desk| {
        let path = desk.path("a.age");
        let me = desk.public("home/.ssh/id_ed25519");
        let arguments = ["encrypt", "--allow-empty", "-r", &me, "-o", path.to_str().unwrap()];
        desk.run("secretctl", &arguments).ok();
        fs::read(path).unwrap()
    };
    let Some(desk) = fleet() else { return };
    for arguments in [&["agenix", "-r"][..], &["ragenix", "-r"], &["secretctl", "rekey", "-f"]] {
        let before = prepare(&desk);
        desk.run(arguments[0], &arguments[1..]).ok();
        assert_ne!(fs::read(desk.path("a.age")).unwrap(), before, "{arguments:?}");
        assert_eq!(desk.content("a.age"), "");
    }
    for name in ["agenix", "ragenix"] {
        let ours = desk.ours(name);
        prepare(&desk);
        let ran = desk.run_with(&ours, &["-e", "a.age"], &[("EDITOR", "true")], b"").ok();
        assert!((ran.out + &ran.err).contains("wasn't changed"));
        let editor = desk.editor("printf full > \"$1\"");
        desk.run_with(&ours, &["-e", "a.age"], &[("EDITOR", &editor)], b"").ok();
        assert_eq!(desk.content("a.age"), "full");
    }
    theirs(AGENIX, |desk, agenix| {
        let before = prepare(desk);
        let ran = desk.run_with(&agenix, &["-r"], &[], b"");
        // Newer age makes the file.
        if fs::read(desk.path("a.age")).unwrap() == before {
            assert!(ran.err.contains("a.age wasn't created."), "{ran:?}");
        }
    });
    theirs(RAGENIX, |desk, ragenix| {
        prepare(desk);
        let ran = desk.run_with(&ragenix, &["-e", "a.age"], &[("EDITOR", "true")], b"");
        assert!(ran.code != 0 && ran.err.contains("No such file"), "{ran:?}");
    });
}

/// agenix crashes on a terminal where no editor is set.
#[test]
fn no_editor_is_set() {
    let Some(desk) = fleet() else { return };
    let folder = desk.root().join("bin");
    fs::copy(desk.editor("printf edited > \"$1\""), folder.join("editor")).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let ours = desk.ours("agenix");
    desk.on_terminal(&ours, &["-e", "a.age"], &[("PATH", &path)]).ok();
    assert_eq!(desk.content("a.age"), "edited");
    theirs(AGENIX, |desk, agenix| {
        let ran = desk.on_terminal(&agenix, &["-e", "a.age"], &[("PATH", &path)]);
        assert!(ran.code != 0 && ran.out.contains("unbound variable"), "{ran:?}");
    });
}

/// ragenix refuses all rules where there is a function anywhere, or an attribute that cannot be
/// evaluated.
#[test]
fn a_function_beside_the_rules() {
    let prepare = |desk: &Desk| {
        desk.write(
            "secrets.nix",
            r#"{
              "a.age" = { publicKeys = [ "<ME>" ]; generator = { pkgs, ... }: "x"; };
              helper = x: x;
              lib.f = x: x;
            }"#,
        );
    };
    let Some(desk) = fleet() else { return };
    prepare(&desk);
    let edit = ["-e", "a.age"];
    let true_ = [("EDITOR", "true")];
    desk.run_with(&desk.ours("agenix"), &edit, &true_, b"").ok();
    desk.run("agenix", &["-r"]).ok();
    desk.run("secretctl", &["rekey", "--check"]).ok();
    // The form of what is no function is still held to the schema: `lib` is no rule.
    let ran = desk.run_with(&desk.ours("ragenix"), &edit, &true_, b"");
    assert!(ran.err.contains("/lib: \"publicKeys\" is a required property"), "{ran:?}");
    let rules = fs::read_to_string(desk.path("secrets.nix")).unwrap();
    desk.write("secrets.nix", &rules.replace("lib.f", "lib = throw \"no\"; f"));
    desk.run_with(&desk.ours("ragenix"), &edit, &true_, b"").ok();
    // Nobody knows whether what throws would have been a rule.
    let ran = desk.run("ragenix", &["-r"]);
    assert!(ran.code == 1 && ran.err.contains("\"lib\""), "{ran:?}");
    desk.write("secrets.nix", &rules.replace("lib.f", "f"));
    desk.run("ragenix", &["-r"]).ok();
    theirs(RAGENIX, |desk, ragenix| {
        prepare(desk);
        let ran = desk.run_with(&ragenix, &edit, &true_, b"");
        assert!(ran.code != 0 && ran.err.contains("as JSON"), "{ran:?}");
    });
}

/// ragenix takes no heed of `armor`: every file that it touches becomes armored. So it is under
/// its name, and under no other.
#[test]
fn armor_against_the_rules() {
    let Some(desk) = fleet() else { return };
    desk.run("ragenix", &["-r"]).ok();
    assert!(is_armored(desk.path("a.age")));
    desk.run("secretctl", &["rekey", "--force"]).ok();
    assert!(is_armored(desk.path("a.age")));
    desk.run("agenix", &["-r"]).ok();
    desk.run("secretctl", &["rekey", "--force"]).ok();
    assert!(!is_armored(desk.path("a.age")));
    theirs(RAGENIX, |desk, ragenix| {
        desk.run_with(&ragenix, &["-r"], &[], b"").ok();
        assert!(is_armored(desk.path("a.age")));
    });
}

/// ragenix with the editor `-` empties the secret behind a command that failed.
#[test]
fn a_pipe_that_fails_before_the_editor_hyphen() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    let stdin = [("EDITOR", "-")];
    let ran = desk.run_with(&desk.ours("ragenix"), &["-e", "a.age"], &stdin, b"");
    assert!(ran.code == 1 && ran.err.contains("standard input is empty"), "{ran:?}");
    assert_eq!(desk.snapshot(), before);
    theirs(RAGENIX, |desk, ragenix| {
        desk.run_with(&ragenix, &["-e", "a.age"], &stdin, b"").ok();
        assert_eq!(desk.content("a.age"), "");
    });
}

/// ragenix leaves a file alone whose recipients are wrong. So do all of ours.
#[test]
fn a_wrong_recipient_leaves_the_file() {
    let Some(desk) = fleet() else { return };
    desk.write("secrets.nix", r#"{ "a.age".publicKeys = [ "<ME>" "age1nonsense" ]; }"#);
    let before = desk.snapshot();
    let editor = desk.editor("printf new > \"$1\"");
    for arguments in [
        &["agenix", "-e", "a.age"][..],
        &["agenix", "-r"],
        &["ragenix", "-e", "a.age"],
        &["ragenix", "-r"],
        &["secretctl", "edit", "a.age"],
        &["secretctl", "rekey"],
    ] {
        let ours = desk.ours(arguments[0]);
        let ran = desk.run_with(&ours, &arguments[1..], &[("EDITOR", &editor)], b"");
        assert!(ran.code != 0 && !ran.err.is_empty(), "{ran:?}");
        assert_eq!(desk.snapshot(), before);
    }
}

/// ragenix has no `-d`, though it is also installed as `agenix`.
#[test]
fn decrypting_to_standard_output() {
    let Some(desk) = fleet() else { return };
    for name in ["agenix", "ragenix"] {
        assert_eq!(desk.run(name, &["-d", "a.age"]).ok().out, "a");
    }
    theirs(RAGENIX, |desk, ragenix| {
        assert_ne!(desk.run_with(&ragenix, &["-d", "a.age"], &[], b"").code, 0);
    });
}

/// secrix: `-r KEY` swallows all arguments behind it, and what a recipient holds is run by a shell.
#[test]
fn recipients_are_arguments_and_no_code() {
    let Some(desk) = fleet() else { return };
    let (me, stranger) = (desk.public("home/.ssh/id_ed25519"), desk.public("repo/keys/stranger"));
    let ours = desk.ours("secretctl");
    let arguments = ["encrypt", "-r", &stranger, "--armor", "-r", &me, "-o", "out.age"];
    desk.run_with(&ours, &arguments, &[], b"x").ok();
    assert!(is_armored(desk.path("out.age")));
    assert_eq!(desk.content("out.age"), "x");
    for code in ["$(touch ran)", "`touch ran`", "; touch ran", "age1x\ntouch ran"] {
        let ran = desk.run_with(&ours, &["encrypt", "-r", code, "-o", "no.age"], &[], b"x");
        assert_eq!(ran.code, 2, "{ran:?}");
    }
    assert!(!desk.path("ran").exists() && !desk.path("no.age").exists());
}

/// secrix ends with exit code 0 for an action that does not exist.
#[test]
fn an_unknown_command() {
    let Some(desk) = Desk::new() else { return };
    assert_eq!(desk.run("secretctl", &["rekye"]).code, 2);
}

/// secrix `encrypt` behind a command that failed makes the secret an empty one.
#[test]
fn a_pipe_that_fails_before_encrypt() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    for arguments in [&["encrypt", "-o", "a.age"][..], &["edit", "a.age"]] {
        assert_eq!(desk.run("secretctl", arguments).code, 2);
        assert_eq!(desk.snapshot(), before);
    }
}

/// secrix writes a file anew when nothing was changed.
#[test]
fn an_edit_that_changes_nothing() {
    let Some(desk) = fleet() else { return };
    let stamp = || {
        let data = fs::metadata(desk.path("a.age")).unwrap();
        (data.ino(), data.mtime_nsec(), fs::read(desk.path("a.age")).unwrap())
    };
    let before = stamp();
    let true_ = [("EDITOR", "true")];
    for (name, arguments) in [
        ("agenix", ["-e", "a.age"]),
        ("ragenix", ["-e", "a.age"]),
        ("secretctl", ["edit", "a.age"]),
    ] {
        desk.run_with(&desk.ours(name), &arguments, &true_, b"").ok();
        assert_eq!(stamp(), before, "{name}");
    }
}

/// secrix edits in `$TMPDIR`, and whoever stops it leaves the plaintext there.
#[test]
fn plaintext_in_the_temporary_folder() {
    let Some(desk) = fleet() else { return };
    desk.secret("a.age", "canary words");
    let editor = desk.editor("grep -q canary \"$1\" && readlink -f \"$1\"; kill -9 $PPID");
    for (name, arguments) in [
        ("agenix", ["-e", "a.age"]),
        ("ragenix", ["-e", "a.age"]),
        ("secretctl", ["edit", "a.age"]),
    ] {
        let ran = desk.run_with(&desk.ours(name), &arguments, &[("EDITOR", &editor)], b"");
        assert_ne!(ran.code, 0, "{ran:?}");
        let file = PathBuf::from(ran.out.trim());
        assert!(file.is_absolute() && !file.starts_with(desk.root()), "{ran:?}");
        assert!(!file.exists(), "{ran:?}");
        desk.assert_nowhere("canary words");
    }
}
