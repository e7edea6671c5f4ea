//! Called as `agenix`: what scripts and people who are used to agenix rely on.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;
use std::os::unix::fs::symlink;

use desk::{Desk, is_armored};

const RULES: &str = r#"{
  "login.age".publicKeys = [ "<ME>" "<STRANGER>" ];
  "-hyphen.age".publicKeys = [ "<ME>" ];
  "armored.age" = { publicKeys = [ "<ME>" ]; armor = true; };
  "later.age".publicKeys = [ "<ME>" ];
}"#;

fn fleet() -> Option<Desk> {
    let desk = Desk::new()?;
    desk.write("secrets.nix", RULES);
    desk.secret("login.age", "password\n");
    Some(desk)
}

#[test]
fn help_names_the_version_and_no_arguments_are_an_error() {
    let Some(desk) = Desk::new() else { return };
    let help = desk.run("agenix", &["-h"]).ok();
    assert!(help.out.contains("agenix version: 0.15.0"), "{}", help.out);
    assert_eq!(desk.run("agenix", &["--help"]).ok().out, help.out);
    for wrong in [&[][..], &["-x"], &["-e", "a", "b"], &["--version"]] {
        let ran = desk.run("agenix", wrong);
        assert_eq!((ran.code, &ran.out), (1, &help.out), "{wrong:?}");
    }
    let ran = desk.run("agenix", &["-e"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "no FILE specified\n"));
    let ran = desk.run("agenix", &["-r", "-i"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "no PRIVATE_KEY specified\n"));
}

#[test]
fn a_secret_is_printed_with_the_default_key() {
    let Some(desk) = fleet() else { return };
    let ran = desk.run("agenix", &["-d", "login.age"]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("password\n", ""));
    assert_eq!(desk.run("agenix", &["--decrypt", "./login.age", "-v"]).ok().out, "password\n");
}

#[test]
fn a_file_needs_a_rule_even_to_be_printed() {
    let Some(desk) = fleet() else { return };
    fs::copy(desk.path("login.age"), desk.path("other.age")).unwrap();
    for option in ["-d", "-e"] {
        let ran = desk.run_with(
            &desk.ours("agenix"),
            &[option, "other.age"],
            &[("EDITOR", "true")],
            b"new",
        );
        assert_eq!(ran.code, 1);
        assert_eq!(ran.err, "There is no rule for other.age in ./secrets.nix.\n");
    }
    let ran = desk.run("agenix", &["-d", "later.age"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
}

#[test]
fn names_are_relative_to_the_working_directory() {
    let Some(desk) = Desk::new() else { return };
    desk.write("rules/secrets.nix", r#"{ "here.age".publicKeys = [ "<ME>" ]; }"#);
    let ours = desk.ours("agenix");
    let rules = ("RULES", "rules/secrets.nix");
    desk.run_with(&ours, &["-e", "here.age"], &[rules], b"1").ok();
    assert!(desk.path("here.age").exists() && !desk.path("rules/here.age").exists());
    let ran = desk.run_with(&ours, &["-r"], &[rules], b"").ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "rekeying here.age...\n"));
    assert_eq!(desk.content("here.age"), "1");
}

#[test]
fn a_rekey_changes_every_file_and_names_what_is_not_there() {
    let Some(desk) = fleet() else { return };
    desk.secret("armored.age", "armor");
    desk.secret("-hyphen.age", "hyphen");
    let before = desk.snapshot();
    let identity = desk.home().join(".ssh/id_ed25519");
    let ran = desk.run("agenix", &["-r", "-i", identity.to_str().unwrap()]).ok();
    assert_eq!(
        ran.err,
        "rekeying -hyphen.age...\nrekeying armored.age...\nrekeying later.age...\n\
         later.age wasn't created.\nrekeying login.age...\n"
    );
    for (path, content, _) in before {
        let same = fs::read(&path).unwrap() == content;
        assert_eq!(same, path.extension().is_none_or(|e| e != "age"), "{}", path.display());
    }
    assert_eq!(desk.content("login.age"), "password\n");
    assert_eq!(desk.run("agenix", &["-d", "-hyphen.age"]).ok().out, "hyphen");
}

#[test]
fn the_rule_says_whether_a_file_is_armored() {
    let Some(desk) = fleet() else { return };
    assert!(is_armored(desk.secret("armored.age", "1")));
    assert!(!is_armored(desk.path("login.age")));
    let armored = desk.run("ragenix", &["-r"]);
    assert!(is_armored(desk.path("login.age")), "{armored:?}");
    desk.run("agenix", &["-r"]).ok();
    assert!(is_armored(desk.path("armored.age")) && !is_armored(desk.path("login.age")));
}

#[test]
fn an_editor_that_changes_nothing_leaves_the_file() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    let ours = desk.ours("agenix");
    let ran = desk.run_with(&ours, &["-e", "login.age"], &[("EDITOR", "cat")], b"").ok();
    assert_eq!(ran.out, "password\n");
    assert_eq!(ran.err, "login.age wasn't changed, skipping re-encryption.\n");
    let ran = desk.run_with(&ours, &["-e", "login.age"], &[], b"password\n").ok();
    assert_eq!(ran.err, "login.age wasn't changed, skipping re-encryption.\n");
    let ran = desk.run_with(&ours, &["-e", "later.age"], &[("EDITOR", "true")], b"").ok();
    assert_eq!(ran.err, "later.age wasn't created.\n");
    assert_eq!(desk.snapshot(), before);
}

#[test]
fn an_editor_is_run_on_a_terminal() {
    let Some(desk) = fleet() else { return };
    let editor = desk.editor("printf changed > \"$1\"");
    let ours = desk.ours("agenix");
    desk.on_terminal(&ours, &["-e", "login.age"], &[("EDITOR", &editor)]).ok();
    assert_eq!(desk.content("login.age"), "changed");
    // The other variables of our own command do not count.
    let both = [("EDITOR", editor.as_str()), ("VISUAL", "false")];
    desk.on_terminal(&ours, &["-e", "later.age"], &both).ok();
    assert_eq!(desk.content("later.age"), "changed");
}

#[test]
fn the_editor_colon_encrypts_one_file_anew() {
    let Some(desk) = fleet() else { return };
    let before = fs::read(desk.path("login.age")).unwrap();
    let ours = desk.ours("agenix");
    desk.run_with(&ours, &["-e", "login.age"], &[("EDITOR", ":")], b"not this").ok();
    assert_ne!(fs::read(desk.path("login.age")).unwrap(), before);
    assert_eq!(desk.content("login.age"), "password\n");
}

#[test]
fn piped_content_is_read_back_and_left_nowhere() {
    let Some(desk) = fleet() else { return };
    desk.run_with(&desk.ours("agenix"), &["-e", "login.age"], &[], b"canary1234").ok();
    assert_eq!(desk.run("agenix", &["-d", "login.age"]).ok().out, "canary1234");
    desk.assert_nowhere("canary1234");
}

#[test]
fn named_identities_take_the_place_of_the_default_ones() {
    let Some(desk) = fleet() else { return };
    let before = desk.snapshot();
    let bogus = desk.home().join(".ssh/id_rsa");
    fs::write(&bogus, "bogus\n").unwrap();
    let ours = desk.ours("agenix");
    let edit = ["-e", "login.age", "-i"];
    let ran = desk.run_with(&ours, &edit[..2], &[("EDITOR", "cat")], b"");
    assert!(ran.code == 1 && ran.err.contains("id_rsa"), "{ran:?}");
    let mine = desk.home().join(".ssh/id_ed25519");
    let with_mine = [edit.as_slice(), &[mine.to_str().unwrap()]].concat();
    desk.run_with(&ours, &with_mine, &[("EDITOR", "cat")], b"").ok();
    // Another key, which cannot read the file once it is mine alone.
    desk.write("secrets.nix", r#"{ "login.age".publicKeys = [ "<ME>" ]; }"#);
    fs::remove_file(&bogus).unwrap();
    desk.run("agenix", &["-r"]).ok();
    let ran = desk.run("agenix", &["-d", "login.age", "-i", "keys/stranger"]);
    assert!(ran.code == 1 && ran.err.contains("no identity matched"), "{ran:?}");
    assert_eq!(before.len(), desk.snapshot().len());
}

#[test]
fn without_any_identity_it_says_where_one_may_be() {
    let Some(desk) = fleet() else { return };
    let ours = desk.ours("agenix");
    let home = desk.root().join("tmp");
    let home = home.to_str().unwrap();
    let ran = desk.run_with(&ours, &["-d", "login.age"], &[("HOME", home)], b"");
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        format!(
            "No identity found to decrypt login.age. Try adding an SSH key at {home}/.ssh/id_rsa \
             or {home}/.ssh/id_ed25519 or using the --identity flag to specify a file.\n"
        )
    );
}

#[test]
fn a_broken_neighbour_does_not_matter_to_an_edit() {
    let Some(desk) = fleet() else { return };
    let odd = r#"{ "broken.age".publicKeys = throw "x"; f = x: x; helper.a = 1; "#;
    desk.write("secrets.nix", &RULES.replacen('{', odd, 1));
    assert_eq!(desk.run("agenix", &["-d", "login.age"]).ok().out, "password\n");
    let before = desk.snapshot();
    let ran = desk.run("agenix", &["-r"]);
    assert!(ran.code == 1 && ran.err.contains("broken.age"), "{ran:?}");
    assert_eq!(desk.snapshot(), before);
}

#[test]
fn a_folder_of_rules_is_imported_as_nix_does() {
    let Some(desk) = fleet() else { return };
    desk.write("rules/default.nix", RULES);
    let ours = desk.ours("agenix");
    let ran = desk.run_with(&ours, &["-d", "login.age"], &[("RULES", "./rules")], b"");
    assert_eq!(ran.ok().out, "password\n");
    let ran = desk.run_with(&ours, &["-d", "login.age"], &[("RULES", "./none.nix")], b"");
    assert!(ran.code == 1 && ran.err.contains("none.nix"), "{ran:?}");
}

#[test]
fn what_i_cannot_read_i_cannot_replace() {
    let Some(desk) = fleet() else { return };
    desk.secret_for(&desk.public("repo/keys/stranger"), "login.age", "not mine");
    let before = desk.snapshot();
    let ran = desk.run_with(&desk.ours("agenix"), &["-e", "login.age"], &[], b"new");
    assert!(ran.code == 1 && ran.err.contains("no identity matched"), "{ran:?}");
    assert_eq!(desk.snapshot(), before);
}

/// Whatever the name of the program, and without git too.
#[test]
fn two_runs_wait_for_each_other() {
    let Some(desk) = fleet() else { return };
    desk.write("secrets.nix", r#"{ "deep/er.age".publicKeys = [ "<ME>" ]; }"#);
    desk.secret("deep/er.age", "old");
    for other in ["agenix -r", "ragenix -r", "secretctl rekey --force"] {
        let (name, arguments) = other.split_once(' ').unwrap();
        let program = desk.ours(name);
        // The editor's own folder for temporary files would hide the lock.
        let editor = desk.editor(&format!(
            "export TMPDIR={tmp}; timeout 1 {} {arguments} 2> {tmp}/waited; echo . >> \"$1\"",
            program.display(),
            tmp = desk.root().join("tmp").display(),
        ));
        let environment = [("EDITOR", editor.as_str())];
        desk.run_with(&desk.ours("agenix"), &["-e", "deep/er.age"], &environment, b"").ok();
        let waited = fs::read_to_string(desk.root().join("tmp/waited")).unwrap();
        assert!(waited.contains("waiting for the lock"), "{other}: {waited}");
    }
    assert_eq!(desk.content("deep/er.age"), "old.\n.\n.\n");
}

#[test]
fn a_wrapped_program_still_knows_its_name() {
    let Some(desk) = fleet() else { return };
    let wrapped = desk.root().join("bin/.agenix-wrapped");
    symlink(desk.ours("secretctl"), &wrapped).unwrap();
    assert_eq!(desk.run_with(&wrapped, &["-d", "login.age"], &[], b"").ok().out, "password\n");
}

#[test]
fn the_tool_itself_reads_what_we_write_and_the_other_way_round() {
    let Some(desk) = fleet() else { return };
    desk.secret("armored.age", "armored");
    for variable in ["SECRETCTL_TEST_AGENIX", "SECRETCTL_TEST_AGENIX_0_15"] {
        let Some(agenix) = desk::peer(variable, false) else { continue };
        let read = |name| desk.run_with(&agenix, &["-d", name], &[], b"").ok().out;
        assert_eq!(read("login.age"), "password\n");
        assert_eq!(read("armored.age"), "armored");
        desk.run_with(&agenix, &["-e", "login.age"], &[], b"theirs").ok();
        assert_eq!(desk.run("agenix", &["-d", "login.age"]).ok().out, "theirs");
        desk.run("agenix", &["-r"]).ok();
        assert_eq!(read("login.age"), "theirs");
        desk.secret("login.age", "password\n");
    }
}
