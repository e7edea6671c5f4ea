//! Arguments of sops and what they come to.

use std::path::{Path, PathBuf};

use super::invocation::{Decrypt, Encrypt};
use super::invocation::{NewValue, Shell, Target};
use super::*;
use crate::format::sops::select::Rule;
use crate::format::sops::store::{Step, Store};
use crate::format::sops::tree::Map;
use crate::key::wrapping::WrappingKind;

/// Parses where the files `x.yaml` and `x` are there, with variables of the environment.
fn parsed_with(words: &[&str], variables: &[(&str, &str)]) -> Result<Call, Refusal> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let variable = |name: &str| {
        let found = variables.iter().find(|(set, _)| *set == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let exists = |path: &Path| path == Path::new("/here/x.yaml") || path == Path::new("/here/x");
    parse(&words, &Surroundings { variable: &variable, exists: &exists, here: Path::new("/here") })
}

fn parsed(words: &[&str]) -> Call {
    parsed_with(words, &[]).unwrap_or_else(|refusal| panic!("{words:?}: {refusal:?}"))
}

#[track_caller]
fn refused(words: &[&str]) -> (Code, String) {
    let refusal = parsed_with(words, &[]).map(|call| call.invocation).unwrap_err();
    (refusal.code, refusal.text)
}

fn decrypt(words: &[&str]) -> (Decrypt, Vec<String>) {
    let call = parsed(words);
    let Invocation::Decrypt(decrypt) = call.invocation else { panic!("{:?}", call.invocation) };
    (decrypt, call.notes)
}

fn encrypt(words: &[&str], variables: &[(&str, &str)]) -> Encrypt {
    let call = parsed_with(words, variables).unwrap();
    let Invocation::Encrypt(encrypt) = call.invocation else { panic!("{:?}", call.invocation) };
    encrypt
}

#[test]
fn both_grammars_come_to_the_same() {
    let (modern, _) = decrypt(&["decrypt", "x.yaml", "--extract", "[\"a\"][0]", "--ignore-mac"]);
    let (legacy, notes) = decrypt(&["-d", "-extract=[\"a\"][0]", "--ignore-mac", "x.yaml"]);
    assert_eq!(format!("{modern:?}"), format!("{legacy:?}"));
    assert!(notes.is_empty());
    assert!(modern.opening.ignore_mac && modern.target == Target::Stdout);
    let steps = modern.extract.steps(&Map::default());
    assert_eq!(steps, [Step::Key("a".to_owned()), Step::Index(0)]);
    assert_eq!(modern.opening.order, [WrappingKind::Age, WrappingKind::Pgp]);
}

#[test]
fn options_behind_the_file_count_without_a_command_too() {
    let (late, notes) = decrypt(&["x.yaml", "-d", "--output", "out"]);
    assert_eq!(late.target, Target::File("out".into()));
    assert!(notes.is_empty());
    assert_eq!(refused(&["-d", "x.yaml", "--bogus"]).1, "flag provided but not defined: -bogus");
    assert_eq!(refused(&["decrypt", "x.yaml", "--bogus"]).0, Code::Generic);
}

#[test]
fn options_do_not_move_arguments_around() {
    for words in [
        ["set", "x.yaml", "--idempotent", "[\"a\"]", "\"v\""],
        ["set", "--idempotent", "x.yaml", "[\"a\"]", "\"v\""],
        ["set", "x.yaml", "[\"a\"]", "\"v\"", "--idempotent"],
    ] {
        let Invocation::Set(set) = parsed(&words).invocation else { panic!("{words:?}") };
        assert_eq!(set.subject.file, Some("x.yaml".into()));
        assert!(set.idempotent && matches!(set.value, NewValue::Given(_)));
    }
    let Invocation::Set(set) = parsed(&["set", "x", "[0]", "-5"]).invocation else { panic!() };
    assert!(matches!(set.value, NewValue::Given(_)));
    let words = ["set", "x", "--value-file", "[0]", "file"];
    let Invocation::Set(set) = parsed(&words).invocation else { panic!() };
    assert!(matches!(set.value, NewValue::File(path) if path == Path::new("file")));
}

#[test]
fn what_stands_before_a_command_counts_or_is_told() {
    let words = ["--config", "c", "--indent", "-1", "--verbose", "decrypt", "x"];
    let (with, notes) = decrypt(&words);
    assert_eq!((with.settings.config, with.settings.indent), (Some("c".into()), Some(-1)));
    assert!(with.settings.verbose && notes.is_empty());
    let (with, notes) = decrypt(&["--ignore-mac", "decrypt", "x"]);
    assert!(!with.opening.ignore_mac);
    assert_eq!(notes, ["--ignore-mac before `decrypt` has no effect: put it behind the command"]);
    assert!(refused(&["-d", "encrypt", "x"]).1.contains("a command of its own"));
    assert!(
        encrypt(&["--mac-only-encrypted", "encrypt", "x.yaml"], &[]).selection.mac_only_encrypted
    );
    assert!(
        encrypt(&["encrypt", "--mac-only-encrypted", "x.yaml"], &[]).selection.mac_only_encrypted
    );
}

#[test]
fn keys_come_from_options_and_variables_in_the_order_of_sops() {
    let variables = [("SOPS_AGE_RECIPIENTS", "age1a, age1b"), ("SOPS_PGP_FP", "AB CD,")];
    let encrypted = encrypt(&["encrypt", "x.yaml", "-k", "arn:a,arn:b+role"], &variables);
    let names: Vec<_> =
        encrypted.keys.group.iter().map(|key| (key.kind, key.name.as_str())).collect();
    assert_eq!(
        names,
        [
            (WrappingKind::Kms, "arn:a"),
            (WrappingKind::Kms, "arn:b+role"),
            (WrappingKind::Pgp, "AB CD"),
            (WrappingKind::Age, "age1a"),
            (WrappingKind::Age, "age1b"),
        ]
    );
    let encrypted = encrypt(&["-e", "--age", "", "x.yaml"], &variables[..1]);
    assert!(encrypted.keys.group.is_empty());
    let words = ["encrypt", "--kms", "arn:a", "--encryption-context", "a:b,c:d", "x.yaml"];
    assert_eq!(encrypt(&words, &[]).keys.group[0].context["c"], "d");
    let words = ["encrypt", "--encryption-context", "ab", "x.yaml"];
    assert_eq!(refused(&words).0, Code::Context);
    let words = ["encrypt", "--shamir-secret-sharing-threshold", "0", "x.yaml"];
    assert_eq!(encrypt(&words, &[]).keys.threshold, None);
}

#[test]
fn selectors_exclude_each_other_but_in_binary_files() {
    let two = ["encrypt", "--encrypted-regex", "a", "--unencrypted-suffix", "b", "x.yaml"];
    assert_eq!(refused(&two).0, Code::Conflict);
    let words = ["encrypt", "--encrypted-comment-regex", "a", "--unencrypted-regex", "", "x.yaml"];
    let rule = encrypt(&words, &[]).selection.rule;
    assert_eq!(rule, Some(Rule::EncryptedCommentRegex("a".to_owned())));
    let call = parsed(&["encrypt", "--encrypted-regex", "a", "--encrypted-suffix", "b", "x"]);
    assert_eq!(call.notes.len(), 1);
}

#[test]
fn types_go_by_the_option_then_by_the_name() {
    let types = |words: &[&str]| {
        let (decrypt, notes) = decrypt(words);
        (decrypt.subject.input, decrypt.subject.output, notes.len())
    };
    assert_eq!(types(&["decrypt", "x.yaml"]), (Store::Yaml, Store::Yaml, 0));
    assert_eq!(types(&["decrypt", "x", "--input-type", "json"]), (Store::Json, Store::Binary, 0));
    assert_eq!(types(&["decrypt", "x", "--output-type=toml"]), (Store::Binary, Store::Binary, 1));
    let words = ["decrypt", "x", "--filename-override", "a.env"];
    assert_eq!(types(&words), (Store::Dotenv, Store::Dotenv, 0));
    let words = ["decrypt", "--filename-override", "a.ini"];
    let (stdin, _) = decrypt(&words);
    assert_eq!((stdin.subject.file, stdin.subject.input), (None, Store::Ini));
}

#[test]
fn a_rotation_takes_its_keys_in_order() {
    let words =
        ["rotate", "-i", "x.yaml", "--add-age", "age1a", "--rm-pgp", "P,Q", "--add-kms", "K"];
    let Invocation::Rotate(rotate) = parsed(&words).invocation else { panic!() };
    assert_eq!(rotate.target, Target::InPlace);
    let add: Vec<_> = rotate.add.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(add, ["K", "age1a"]);
    assert_eq!(rotate.remove.len(), 2);
}

#[test]
fn groups_are_named_by_repeated_options() {
    let words =
        ["groups", "add", "-f", "x.yaml", "--age", "a,b", "--hckms", "r:u", "--age", "c", "-i"];
    let Invocation::GroupsAdd(add) = parsed(&words).invocation else { panic!() };
    let names: Vec<_> = add.group.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["r:u", "a", "b", "c"]);
    let words = ["groups", "delete", "--file", "x.yaml", "1"];
    let Invocation::GroupsDelete(delete) = parsed(&words).invocation else { panic!() };
    assert_eq!(delete.index, 1);
}

#[test]
fn commands_to_run_get_their_options() {
    let words =
        ["exec-env", "--pristine", "x.yaml", "--user", "nobody", "env -0", "--same-process"];
    let Invocation::ExecEnv(exec) = parsed(&words).invocation else { panic!() };
    assert!(exec.pristine && exec.same_process && exec.command == "env -0");
    assert_eq!(exec.user.as_deref(), Some("nobody"));
    let words = ["exec-file", "--no-fifo", "x", "cat {}", "--filename", "k.json", "--ignore-mac"];
    let Invocation::ExecFile(exec) = parsed(&words).invocation else { panic!() };
    assert!(exec.file_name == "k.json" && exec.opening.ignore_mac && !exec.fifo);
    let Invocation::ExecFile(exec) = parsed(&["exec-file", "x", "c"]).invocation else { panic!() };
    assert!(exec.fifo && exec.file_name == "tmp-file");
    assert_eq!(refused(&["exec-file", "--filename", "a/b", "x", "c"]).0, Code::Generic);
    assert_eq!(refused(&["exec-file", "--filename", "..", "x", "c"]).0, Code::Generic);
    let words = ["exec-env", "--background", "--same-process", "x", "c"];
    assert_eq!(refused(&words).0, Code::Conflict);
}

#[test]
fn what_is_not_offered_is_said() {
    for words in [
        &["publish", "x"][..],
        &["keyservice", "--prompt"],
        &["decrypt", "--keyservice", "tcp://h:1", "x"],
        &["exec-env", "--background", "x", "true"],
    ] {
        let (code, text) = refused(words);
        assert!(code == Code::Generic && text.contains("not offered"), "{words:?}: {text}");
    }
    let variables = [("SOPS_KEYSERVICE", "tcp://h:1")];
    let refusal = parsed_with(&["x.yaml"], &variables).map(|call| call.invocation).unwrap_err();
    assert!(refusal.text.contains("SOPS_KEYSERVICE"));
    assert_eq!(refused(&["decrypt", "--enable-local-keyservice=false", "x"]).0, Code::NoKey);
}

#[test]
fn an_audit_log_is_not_left_out_silently() {
    let exists = |path: &Path| path.starts_with("/here") || path.ends_with("sops/audit.yaml");
    let variable = |_: &str| None;
    let here = Path::new("/here");
    let around = Surroundings { variable: &variable, exists: &exists, here };
    let run = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        parse(&words, &around).map(|call| call.invocation)
    };
    let refusal = run(&["decrypt", "x.yaml"]).unwrap_err();
    assert!(refusal.text.contains("/etc/sops/audit.yaml"), "{}", refusal.text);
    assert!(run(&["x.yaml"]).is_err() && run(&["filestatus", "x.yaml"]).is_ok());
}

#[test]
fn several_files_are_for_updatekeys_only() {
    let Invocation::UpdateKeys(update) = parsed(&["updatekeys", "-y", "a.json", "b"]).invocation
    else {
        panic!()
    };
    let files: Vec<PathBuf> = update.files.into_iter().filter_map(|s| s.file).collect();
    assert_eq!(files, [Path::new("a.json"), Path::new("b")]);
    assert_eq!(decrypt(&["decrypt", "x", "y"]).1.len(), 1);
    assert!(decrypt(&["decrypt", "--", "x"]).1.is_empty());
}

#[test]
fn help_version_and_completions_need_nothing_else() {
    let call = |words: &[&str]| parsed(words).invocation;
    assert!(matches!(call(&["--version", "--config", "x"]), Invocation::Version));
    assert!(matches!(call(&["-v"]), Invocation::Version));
    for words in [&["--help"][..], &["help"], &["h"], &["-d", "-h"], &["groups"], &["help", "set"]]
    {
        assert!(matches!(call(words), Invocation::Help(_)), "{words:?}");
    }
    assert!(matches!(call(&["decrypt", "x", "--help"]), Invocation::Help(_)));
    assert!(matches!(call(&["completion", "zsh"]), Invocation::Completion(Shell::Zsh)));
    let words = |words: &[&str]| {
        let words = [words, &["--generate-bash-completion"]].concat();
        let Invocation::Candidates(found) = call(&words) else { panic!() };
        found
    };
    assert!(words(&[]).contains(&"exec-env".to_owned()));
    assert_eq!(words(&["groups"]), ["add", "delete"]);
    assert!(words(&["decrypt", "--e"]).contains(&"--extract".to_owned()));
    assert!(words(&["decrypt"]).is_empty());
    let first = help::version();
    assert_eq!(first.lines().next(), Some("sops 3.13.3"));
}
