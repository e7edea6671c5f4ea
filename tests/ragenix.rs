//! Called as `ragenix`: what scripts and people who are used to ragenix rely on.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;

use desk::{Desk, Ran, is_armored};

const RULES: &str = r#"{
  "b/token.age".publicKeys = [ "<ME>" "<STRANGER>" ];
  "a.age".publicKeys = [ "<ME>" ];
  "later.age".publicKeys = [ "<ME>" ];
}"#;

fn fleet() -> Option<Desk> {
    let desk = Desk::new()?;
    desk.write("secrets.nix", RULES);
    desk.secret("b/token.age", "token\n");
    desk.secret("a.age", "a\n");
    Some(desk)
}

fn edit(desk: &Desk, editor: &str, arguments: &[&str], input: &[u8]) -> Ran {
    desk.run_with(&desk.ours("ragenix"), arguments, &[("EDITOR", editor)], input)
}

#[test]
fn an_unchanged_file_is_left_and_named_on_stdout() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    let ran = edit(&desk, "true", &["--edit", "a.age"], b"").ok();
    let path = desk.path("a.age");
    assert_eq!(ran.out, format!("{} wasn't changed, skipping re-encryption.\n", path.display()));
    assert_eq!((ran.err.as_str(), desk.snapshot()), ("", before));
}

#[test]
fn an_edit_says_nothing() {
    let Some(desk) = fleet() else { return };
    let ran = edit(&desk, "sed -i 's|.*|new words|'", &["-e", "b/token.age"], b"ignored").ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(desk.content("b/token.age"), "new words\n");
    let ran = desk.run("ragenix", &["-e", "a.age", "--editor", "sed -i s/a/z/"]).ok();
    assert_eq!((ran.out.as_str(), desk.content("a.age").as_str()), ("", "z\n"));
}

#[test]
fn a_new_file_is_armored() {
    let Some(desk) = fleet() else { return };
    let content = desk.write("content", "fresh");
    let editor = format!("cp {}", content.display());
    let ran = edit(&desk, &editor, &["-e", "./later.age"], b"").ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    let text = fs::read_to_string(desk.path("later.age")).unwrap();
    assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert!(text.ends_with("-----END AGE ENCRYPTED FILE-----\n"));
    assert_eq!(desk.content("later.age"), "fresh");
}

#[test]
fn a_new_file_is_made_of_stdin() {
    let Some(desk) = fleet() else { return };
    assert_eq!(edit(&desk, "-", &["-e", "later.age"], b"piped").ok().out, "");
    assert_eq!(edit(&desk, "cat", &["-e", "later.age"], b"").ok().out.get(..5), Some("piped"));
}

/// A home without keys.
fn elsewhere(desk: &Desk) -> String {
    desk.root().join("elsewhere").to_str().unwrap().to_owned()
}

#[test]
fn stdin_replaces_a_file_that_cannot_be_read() {
    let Some(desk) = fleet() else { return };
    let ours = desk.ours("ragenix");
    let home = elsewhere(&desk);
    let nobody = [("EDITOR", " - "), ("HOME", home.as_str())];
    desk.run_with(&ours, &["-e", "a.age"], &nobody, b"replaced").ok();
    assert_eq!(desk.content("a.age"), "replaced");
}

#[test]
fn the_edited_file_and_its_folder_are_private() {
    let Some(desk) = fleet() else { return };
    let editor =
        desk.editor(r#"stat -c %a "$1" "$(dirname "$1")"; readlink -f "$1"; printf x >> "$1""#);
    let ran = edit(&desk, &editor, &["-e", "a.age"], b"").ok();
    assert!(ran.out.starts_with("600\n700\n/"), "{ran:?}");
    desk.assert_nowhere("a\nx");
}

#[test]
fn a_rekey_names_every_file_in_order() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    let key = desk.home().join(".ssh/id_ed25519");
    let ran = desk.run("ragenix", &["--rekey", "--identity", key.to_str().unwrap()]).ok();
    let [a, b, later] = ["a.age", "b/token.age", "later.age"].map(|name| desk.path(name));
    assert_eq!(
        ran.out,
        format!(
            "Rekeying {}\nRekeying {}\nDoes not exist, ignored: {}\n",
            a.display(),
            b.display(),
            later.display()
        )
    );
    assert_eq!(ran.err, "");
    assert!(is_armored(&a) && is_armored(&b) && desk.snapshot() != before);
    assert_eq!(desk.content("b/token.age"), "token\n");
}

#[test]
fn named_identities_are_added_to_the_default_ones() {
    let Some(desk) = fleet() else { return };
    desk.run("ragenix", &["-r"]).ok();
    desk.run("ragenix", &["-i", "keys/stranger", "keys/stranger", "-r"]).ok();
    let ours = desk.ours("ragenix");
    desk.write("secrets.nix", r#"{ "b/token.age".publicKeys = [ "<STRANGER>" ]; }"#);
    let greedy = ["-r", "-i", "keys/stranger", "secrets.nix"];
    let ran = desk.run_with(&ours, &greedy, &[("HOME", &elsewhere(&desk))], b"");
    assert!(ran.code == 1 && ran.err.contains("`secrets.nix` is no identity"), "{ran:?}");
    desk.run_with(&ours, &greedy[..3], &[("HOME", &elsewhere(&desk))], b"").ok();
}

#[test]
fn without_any_identity_a_rekey_is_refused() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    let ran = desk.run_with(&desk.ours("ragenix"), &["-r"], &[("HOME", &elsewhere(&desk))], b"");
    assert!(ran.err.contains("No usable identity or identities"), "{ran:?}");
    assert_eq!((ran.code, ran.out.as_str(), desk.snapshot()), (1, "", before));
}

#[test]
fn identities_that_fit_nothing_change_nothing() {
    let Some(desk) = fleet() else { return };
    desk.write("one", "");
    desk.write("two", "# nothing\n");
    let before = desk.snapshot();
    let arguments = ["-r", "-i", "one", "two"];
    let ran = desk.run_with(&desk.ours("ragenix"), &arguments, &[("HOME", &elsewhere(&desk))], b"");
    assert!(ran.code == 1 && ran.err.contains("No matching keys found"), "{ran:?}");
    assert_eq!(desk.snapshot(), before);
}

#[test]
fn the_schema_is_printed() {
    let Some(desk) = Desk::new() else { return };
    let ours = desk.run("ragenix", &["--schema"]).ok().out;
    assert_eq!(desk.run("ragenix", &["-s"]).ok().out, ours);
    let schema: serde_json::Value = serde_json::from_str(&ours).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    if let Some(theirs) = desk::peer("SECRETCTL_TEST_RAGENIX", false) {
        assert_eq!(desk.run_with(&theirs, &["--schema"], &[], b"").ok().out, ours);
    }
}

#[test]
fn rules_that_break_the_schema_are_rejected() {
    let Some(desk) = Desk::new() else { return };
    let reject = |rules: &str| {
        desk.write("secrets.nix", rules);
        let ran = edit(&desk, "true", &["-e", "x"], b"");
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        if let Some(theirs) = desk::peer("SECRETCTL_TEST_RAGENIX", false) {
            let theirs = desk.run_with(&theirs, &["-e", "x"], &[("EDITOR", "true")], b"");
            assert_eq!((theirs.code, &theirs.err), (1, &ran.err));
        }
        ran.err
    };
    assert_eq!(
        reject(r#"{ x = "words"; }"#),
        "error: secrets rules are invalid: './secrets.nix'\n - /x: \"words\" is not of type \
         \"object\"\n"
    );
    let twice = reject(r#"{ "a/b~.age".publicKeys = [ "k" "k" ]; x.publicKeys = [ ]; y = { }; }"#);
    assert!(twice.contains("/a~1b~0.age/publicKeys: [\"k\",\"k\"] has non-unique elements"));
    reject("[ ]");
    fs::remove_file(desk.path("secrets.nix")).unwrap();
    let ran = edit(&desk, "true", &["-e", "x"], b"");
    assert!(ran.code == 1 && ran.err.ends_with("./secrets.nix does not exist!\n"), "{ran:?}");
}

#[test]
fn a_key_that_is_none_is_named() {
    let Some(desk) = Desk::new() else { return };
    desk.write("secrets.nix", r#"{ "x.age".publicKeys = [ "<ME>" "no-key abc" ]; }"#);
    desk.secret_for(&desk.public("home/.ssh/id_ed25519"), "x.age", "old");
    let before = desk.snapshot();
    for arguments in [&["-e", "x.age"][..], &["-r"]] {
        let ran = edit(&desk, "true", arguments, b"");
        assert!(ran.code == 1 && ran.err.contains("Invalid recipient: no-key abc\n"), "{ran:?}");
        assert!(ran.err.contains("ssh-ed25519, ssh-rsa or an X25519 public key"), "{ran:?}");
        assert_eq!(desk.snapshot(), before);
    }
}

#[test]
fn names_are_relative_to_the_folder_of_the_rules() {
    let Some(desk) = Desk::new() else { return };
    desk.write("deep/rules.nix", r#"{ "x.age".publicKeys = [ "<ME>" ]; }"#);
    let rules = ("RULES", "deep/rules.nix");
    let run = |arguments: &[&str]| {
        let environment = [rules, ("EDITOR", "-")];
        desk.run_with(&desk.ours("ragenix"), arguments, &environment, b"x")
    };
    let ran = run(&["-e", "x.age"]);
    assert!(ran.code == 1 && ran.err.contains("No rule for the given file x.age"), "{ran:?}");
    run(&["-e", "deep/x.age"]).ok();
    assert_eq!(desk.content("deep/x.age"), "x");
    let rekeyed = desk.run("ragenix", &["-r", "--rules", "./deep/rules.nix"]).ok();
    assert_eq!(rekeyed.out, format!("Rekeying {}\n", desk.path("deep/x.age").display()));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let Some(desk) = fleet() else { return };
    for wrong in [&[][..], &["-e", "a.age"], &["-r", "-s"], &["-r", "a.age"], &["-r", "--what"]] {
        let ran = desk.run("ragenix", wrong);
        assert!(ran.code == 2 && ran.out.is_empty() && !ran.err.is_empty(), "{wrong:?} {ran:?}");
    }
    assert!(desk.run("ragenix", &["-V"]).ok().out.starts_with("ragenix "));
    assert!(desk.run("ragenix", &["-h"]).ok().out.contains("--identity <PRIVATE_KEY>..."));
    assert!(desk.run("ragenix", &["-rv"]).ok().out.contains("a.age"));
}

#[test]
fn the_tool_itself_reads_what_we_write_and_the_other_way_round() {
    let Some(desk) = fleet() else { return };
    let Some(theirs) = desk::peer("SECRETCTL_TEST_RAGENIX", false) else { return };
    desk.run("ragenix", &["-r"]).ok();
    desk.run_with(&theirs, &["-r"], &[], b"").ok();
    desk.run("ragenix", &["-r"]).ok();
    let cat = [("EDITOR", "cat")];
    let read = desk.run_with(&theirs, &["-e", "b/token.age"], &cat, b"").ok();
    assert!(read.out.starts_with("token\n"), "{read:?}");
    desk.run_with(&theirs, &["-e", "a.age"], &[("EDITOR", "-")], b"theirs").ok();
    assert_eq!(desk.content("a.age"), "theirs");
}
