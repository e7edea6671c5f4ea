//! Tests of our own rules file: one happy text, then each error once.

use super::*;
use crate::rules::{Pattern, ReaderKind};

const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";
const AGE: &str = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t";

fn parsed(text: &str) -> Rules {
    parse(text, Path::new("/repo/secretctl.yaml")).unwrap()
}

fn problems(text: &str) -> String {
    let error = parse(text, Path::new("secretctl.yaml")).unwrap_err();
    let RulesError::Problems { problems, .. } = error else { panic!("{error}") };
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn names(rules: &Rules, path: &str) -> Vec<String> {
    let rule = rules.find(Path::new(path)).unwrap();
    rules.readers_of(rule).map(|reader| reader.name.clone()).collect()
}

fn fleet() -> String {
    format!(
        "# our fleet\nusers:\n  alice: {ALICE} alice@laptop # hers\n  bob: ['{ALICE}', {AGE}]\n\
         hosts:\n  web1: {AGE}\n  \"db1\": |\n    {ALICE} root@db1\ngroups:\n  ops: [alice, \
         '@deep']\n  deep: bob\ndefaultEncryptKeys: ['@ops']\nsecrets:\n- path: \
         secrets/web/**\n  readers: [web1]\n  armor: true\n- path: ./secrets//db.yaml\n  readers: \
         db1\n  encryptedRegex: ^(password|token)$\n- {{ path: x.age, readers: [\"{ALICE} \
         carol\"], anonymous: true }}\n- path: masters.age\n"
    )
}

#[test]
fn reads_all_that_a_file_can_say() {
    let rules = parsed(&fleet());
    assert_eq!(rules.base, Path::new("/repo"));
    assert_eq!(names(&rules, "/repo/secrets/web/a/b.age"), ["web1", "alice", "bob"]);
    assert_eq!(names(&rules, "/repo/secrets/db.yaml"), ["db1", "alice", "bob"]);
    assert_eq!(names(&rules, "/repo/x.age"), ["carol", "alice", "bob"]);
    assert_eq!(names(&rules, "/repo/masters.age"), ["alice", "bob"]);
    assert!(rules.find(Path::new("/repo/other.age")).is_none());
    assert!(rules.find(Path::new("/x.age")).is_none());

    let [web, db, x, _] = &rules.rules[..] else { panic!() };
    assert_eq!((web.armor, web.anonymous, x.anonymous), (Some(true), false, true));
    let selector = db.sops.selector.as_ref().unwrap();
    assert_eq!(selector.kind, SelectorKind::EncryptedRegex);
    assert_eq!(selector.text, "^(password|token)$");
    assert!(matches!(&db.pattern, Pattern::File(path) if path == Path::new("secrets/db.yaml")));
    assert_eq!(db.place.to_string(), "/repo/secretctl.yaml:17:9");
    let carol = rules.readers_of(x).next().unwrap();
    assert_eq!(carol.kind, ReaderKind::Key);
    assert_eq!(rules.groups[0].members, rules.masters);
}

#[test]
fn the_first_match_wins_whether_glob_or_file() {
    let file = "- {path: a/b.age, readers: [file]}";
    let glob = "- {path: a/*, readers: [glob]}";
    let hosts = format!("hosts: {{file: {AGE}, glob: {AGE}}}\nsecrets:\n");
    let rules = parsed(&format!("{hosts}{file}\n{glob}\n"));
    assert_eq!(names(&rules, "/repo/a/b.age"), ["file"]);
    assert_eq!(names(&rules, "/repo/a/c.age"), ["glob"]);
    assert!(rules.find(Path::new("/repo/a/c/d.age")).is_none());
    let rules = parsed(&format!("{hosts}{glob}\n{file}\n"));
    assert_eq!(names(&rules, "/repo/a/b.age"), ["glob"]);
}

#[test]
fn odd_files_are_still_files() {
    assert!(parsed("").rules.is_empty());
    assert!(parsed("# nothing yet\n").rules.is_empty());
    assert!(parsed("---\nusers:\nhosts: ~\nsecrets: []\n...\n").rules.is_empty());
    let crlf = fleet().replace('\n', "\r\n");
    assert_eq!(parsed(&format!("\u{feff}{crlf}")).rules.len(), 4);
}

#[test]
fn all_problems_are_collected_each_with_its_place() {
    let text = format!(
        "users:\n  alice: {ALICE}\n  alice: {ALICE}\n  bad: ssh-ed25519 AAAA\n  '@at': {AGE}\n\
         hosts:\n  bad: {AGE}\n  none: []\n  ecdsa: ecdsa-sha2-nistp256 AAAA x\nhostz: \
         {{}}\ngroups:\n  a: [b]\n  b: [a]\n  c: [alise]\ndefaultEncryptKeys: {{}}\nsecrets:\n- \
         path: ../x.age\n  readers: [alice]\n- path: /etc/x.age\n  readers: [alice]\n- path: \
         'a[.age'\n  readers: [alice]\n- path: y.age\n  reader: [alice]\n- readers: [nobody]\n- \
         path: z/\n  readers: [AGE-SECRET-KEY-1QQQ]\n- path: [q]\n- path: w\n  readers: \
         [alice]\n  armor: 'true'\n- word\n"
    );
    insta::assert_snapshot!(problems(&text));
}

#[test]
fn what_rules_do_not_use_of_yaml_is_refused() {
    let say = |text: &str| problems(text).trim().to_owned();
    insta::assert_snapshot!(
        [
            say("users: &a {}\nhosts: *a\n"),
            say("users: !set {}\n"),
            say("users: {}\n---\nhosts: {}\n"),
            say("users: {a: b\n"),
            say("users:\n\ta: b\n"),
            say("- users\n"),
            say(&"- ".repeat(50)),
            say("? [a]\n: b\n"),
            say("groups: {a: [~]}\n"),
        ]
        .join("\n")
    );
}

#[test]
fn a_chain_of_groups_has_an_end() {
    let groups = (0..100).map(|i| format!("  g{i}: [g{0}, g{0}]", i + 1));
    let lines: Vec<String> = groups.collect();
    let text = format!("groups:\n{}\n  g100: []\n", lines.join("\n"));
    assert!(problems(&text).contains("more than 64 deep"));
}

#[test]
fn a_file_that_is_too_large_or_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    std::fs::write(&file, b"users: {}\n# \xff\n").unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("not UTF-8"));
    std::fs::write(&file, vec![b' '; SIZE_LIMIT + 1]).unwrap();
    assert!(matches!(load(&file).unwrap_err(), RulesError::TooLarge { .. }));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(load(&file).unwrap_err(), RulesError::Read { .. }));
}

#[test]
fn one_problem_is_told_with_its_remedy() {
    let error = parse("hostz: {}\n", Path::new("secretctl.yaml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no field `hostz`; did you mean `hosts`?\n  at: secretctl.yaml:1:1"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("known here: users, hosts, groups, defaultEncryptKeys, secrets")
    );
}

#[test]
fn rules_for_sops_files_choose_values_and_name_keys_of_every_kind() {
    let arn = "arn:aws:kms:eu-west-1:107501996527:key/612d5f0a";
    let rules = parsed(&format!(
        "users:\n  alice: [{AGE}, 'pgp:FBC7 B9E2', pgp:FBC7B9E2]\nhosts:\n  cloud: {arn}\nsecrets:\n- \
         path: a.yaml\n  readers: [alice, cloud, 'hckms:tr-west-1:k', 'hckms:tr-west-1:k']\n  \
         unencryptedCommentRegex: ^open\n  macOnlyEncrypted: true\n"
    ));
    let rule = rules.find(Path::new("/repo/a.yaml")).unwrap();
    let readers = rules.wrapping(rule);
    let told: Vec<_> =
        readers.groups[0].iter().map(|k| (&*k.reader, k.key.kind().name())).collect();
    assert_eq!(
        told,
        [("alice", "age"), ("alice", "pgp"), ("cloud", "kms"), ("tr-west-1:k", "hckms")]
    );
    assert_eq!(readers.groups.len(), 1);
    assert_eq!(readers.selector.unwrap().kind, SelectorKind::UnencryptedCommentRegex);
    assert!(readers.mac_only_encrypted);
    for kind in SelectorKind::ALL {
        let name = kind.native_name();
        let rules = parsed(&format!("secrets: [{{path: a, readers: ['{AGE}'], {name}: x}}]\n"));
        assert_eq!(rules.rules[0].sops.selector.as_ref().unwrap().kind, kind);
    }
}

#[test]
fn mistakes_of_rules_for_sops_files_have_their_places() {
    insta::assert_snapshot!(problems(&format!(
        "users:\n  alice: [{AGE}, 'pgp:', 'arn:aws:iam::1:role/x']\nsecrets:\n- path: a\n  readers: \
         [alice, 'https://v/x']\n  encryptedRegex: (a\n- path: b\n  readers: [alice]\n  \
         encryptedSuffix: _e\n  unencryptedSuffix: _u\n- path: c\n  readers: [alice]\n  \
         encryptedRegexp: a\n"
    )));
}
