//! Rules of sops: which file they are found for, how they stand beside other sources, and that we
//! read `.sops.yaml` as the real sops does.
//!
//! `SECRETCTL_TEST_SOPS_NEW` names the real one. All keys are test-only.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secretctl::key::wrapping::WrappingKey;
use secretctl::rules::{Request, RuleSet, RulesError, Source, Wanted, load, sops};

const ALICE: &str = "age1yeegckjfl59gza84q5ev943nch3uyxan8xc6cmac8ftx3j27wpns5ygmrg";
const BOB: &str = "age13tr6mwvzzwtqg846f6grv6l56fq8xkpggxeyyvve75yrv3svvcqqnjg46c";
const WEB: &str = "age19wc3lrrlsf02gd3elcmcnefczgr4pj4p9lq0wvskftenmpkydqush8pu3l";
/// An SSH key and what ssh-to-age makes of it.
const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";

/// A repository with what is written into it.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.with("repo/.git/HEAD", "ref: refs/heads/main\n")
    }

    fn with(self, name: &str, text: &str) -> Self {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, filled(text)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> Result<RuleSet, RulesError> {
        let file = self.path(name);
        let start = file.parent().unwrap();
        load(&request(start, &self.path("repo"), Wanted::File(&file)))
    }

    fn all(&self) -> RuleSet {
        load(&request(&self.path("repo"), &self.path("repo"), Wanted::All)).unwrap()
    }

    /// The names of the readers of a file.
    fn readers(&self, name: &str) -> Result<Vec<String>, RulesError> {
        let set = self.file(name)?;
        let Some((rules, rule)) = set.for_file(&self.path(name))? else { return Ok(Vec::new()) };
        Ok(rules.readers_of(rule).map(|reader| reader.name.clone()).collect())
    }

    /// An error about a file, without the folder that it names.
    fn error(&self, name: &str) -> String {
        let text = self.readers(name).unwrap_err().to_string();
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn request<'a>(start: &'a Path, here: &'a Path, wanted: Wanted<'a>) -> Request<'a> {
    Request {
        start,
        here,
        explicit: None,
        base: None,
        wanted,
        nix_options: &[],
        cache: None,
        evaluate: true,
    }
}

fn filled(text: &str) -> String {
    let ssh = secretctl::key::Recipient::parse(SSH).unwrap();
    let converted = secretctl::key::ssh::age_recipient(&ssh).unwrap();
    let keys = [
        ("<ALICE>", ALICE),
        ("<BOB>", BOB),
        ("<WEB>", WEB),
        ("<SSH>", SSH),
        ("<CONVERTED>", converted.canonical()),
    ];
    keys.iter().fold(text.to_owned(), |text, (name, key)| text.replace(name, key))
}

const ENCRYPTED: &str = "a: ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\nsops:\n    mac: x\n";

#[test]
fn rules_are_found_from_the_file_and_then_from_the_working_directory() {
    let rules = "creation_rules:\n- {path_regex: secrets/, age: &near <ALICE>}\n";
    let repository = Repository::new()
        .with("repo/.sops.yaml", "creation_rules:\n- age: &root <BOB>\n")
        .with("repo/team/.sops.yaml", rules)
        .with("other/.git/HEAD", "")
        .with("other/x.yaml", "");
    assert_eq!(repository.readers("repo/a.yaml").unwrap(), ["root"]);
    assert_eq!(repository.readers("repo/team/secrets/a.yaml").unwrap(), ["near"]);
    assert_eq!(repository.readers("repo/team/a.yaml").unwrap(), [""; 0], "the nearest file holds");
    assert_eq!(repository.readers("other/x.yaml").unwrap(), ["root"], "by the working directory");
}

#[test]
fn rules_that_are_named_are_the_only_ones() {
    let repository = Repository::new()
        .with("repo/.sops.yaml", "creation_rules:\n- age: &root <BOB>\n")
        .with("repo/x.sops.yaml", "creation_rules:\n- age: &named <ALICE>\n")
        .with("repo/ci.yml", "# ours\n\"creation_rules\":\n- age: &ci <WEB>\n")
        .with(
            "repo/native.yaml",
            "hosts: {native: <WEB>}\nsecrets: [{path: a.yaml, readers: native}]\n",
        );
    let file = repository.path("repo/a.yaml");
    for (name, reader) in [
        ("x.sops.yaml", "named"),
        ("ci.yml", "ci"),
        (".sops.yaml", "root"),
        ("native.yaml", "native"),
    ] {
        let explicit = repository.path(&format!("repo/{name}"));
        let folder = repository.path("repo");
        let request =
            Request { explicit: Some(&explicit), ..request(&folder, &folder, Wanted::File(&file)) };
        let set = load(&request).unwrap();
        let (rules, rule) = set.for_file(&file).unwrap().unwrap();
        assert_eq!(rules.readers_of(rule).next().unwrap().name, reader);
    }
}

#[test]
fn a_misnamed_file_is_told_of() {
    let repository = Repository::new().with("repo/.sops.yml", "creation_rules: []\n");
    let error = repository.file("repo/a.yaml").unwrap_err().to_string();
    assert!(error.starts_with("no rules found"), "{error}");
    assert!(error.ends_with("rules of sops must be called `.sops.yaml`"), "{error}");
    let repository = repository.with("repo/.sops.yaml", "creation_rules:\n- age: <ALICE>\n");
    let notes = repository.file("repo/a.yaml").unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].ends_with("rules of sops must be called `.sops.yaml`"), "{}", notes[0]);
    assert!(notes[0].contains("repo/.sops.yml` is passed over"), "{}", notes[0]);
}

#[test]
fn a_broken_rule_blocks_its_own_files_alone() {
    let repository = Repository::new().with(
        "repo/.sops.yaml",
        "creation_rules:\n- {path_regex: ^bad/, age: <ALICE>x}\n- {path_regex: ^good/, age: &a \
         <ALICE>}\n",
    );
    assert_eq!(repository.readers("repo/good/a.yaml").unwrap(), ["a"]);
    assert_eq!(
        repository.error("repo/bad/a.yaml"),
        "a key of `age`: the recipient cannot be used: its Bech32 checksum does not fit: it is \
         mistyped or cut short\n  at: repo/.sops.yaml:2:28"
    );
    assert_eq!(repository.all().problems.len(), 1);
}

#[test]
fn a_file_without_creation_rules_is_no_source() {
    let repository = Repository::new().with("repo/.sops.yaml", "stores: {yaml: {indent: 2}}\n");
    let error = repository.file("repo/a.yaml").unwrap_err();
    assert!(matches!(error, RulesError::NoRules { .. }));
    assert!(error.to_string().ends_with("it has no `creation_rules`"), "{error}");
    let repository = repository.with("repo/.sops.yaml", "creation_rules: []\n");
    assert_eq!(repository.readers("repo/a.yaml").unwrap(), [""; 0]);
}

#[test]
fn other_sources_may_say_the_same() {
    let native = "hosts: {web1: <SSH>}\nusers: {alice: <ALICE>}\nsecrets:\n- {path: '**', readers: \
                  [web1, alice]}\n";
    let repository = Repository::new().with("repo/secretctl.yaml", native).with(
        "repo/.sops.yaml",
        "creation_rules:\n- age: [<CONVERTED>, <ALICE>]\n  encrypted_regex: ^password$\n",
    );
    let set = repository.file("repo/a.yaml").unwrap();
    let (rules, rule) = set.for_file(&repository.path("repo/a.yaml")).unwrap().unwrap();
    assert_eq!(rules.source, Source::Sops, "it knows more of sops files");
    assert_eq!(rules.wrapping(rule).selector.unwrap().text, "^password$");

    let set = repository.all();
    let (rules, _) = set.for_file(&repository.path("repo/a.age")).unwrap().unwrap();
    assert_eq!(rules.source, Source::Native, "rules of sops are not about age files");

    let other = native.replace("[web1, alice]}", "[web1, alice], encryptedRegex: ^token$}");
    let repository = repository.with("repo/secretctl.yaml", &other);
    assert_eq!(
        repository.error("repo/a.yaml"),
        "two sources of rules disagree about `repo/a.yaml`: they choose different values to \
         encrypt\n  one: repo/secretctl.yaml:4:10\n  other: repo/.sops.yaml:2:3"
    );
    let repository =
        repository.with("repo/secretctl.yaml", &native.replace("[web1, alice]", "alice"));
    assert!(repository.error("repo/a.yaml").contains("only the other names"));
}

#[test]
fn a_broken_file_of_sops_does_not_stand_in_the_way_of_an_age_file() {
    let repository = Repository::new()
        .with("repo/secretctl.yaml", "users: {a: <ALICE>}\nsecrets: [{path: '**', readers: a}]\n")
        .with("repo/.sops.yaml", "creation_rules: [\n");
    assert_eq!(repository.readers("repo/x.age").unwrap(), ["a"]);
    assert!(repository.file("repo/x.yaml").is_err());
}

#[test]
fn a_reader_of_an_age_file_needs_a_key_of_age() {
    let repository = Repository::new().with(
        "repo/secretctl.yaml",
        "users:\n  alice: [<ALICE>, pgp:AA]\n  carol: pgp:BB\nsecrets:\n- {path: '*', readers: [alice, \
         carol]}\n",
    );
    assert_eq!(repository.readers("repo/x.yaml").unwrap(), ["alice", "carol"]);
    assert_eq!(
        repository.error("repo/x.age"),
        format!(
            "`carol` has no key that could open `repo/x.age`, which is encrypted with age\n  at: \
             repo/secretctl.yaml:3:3"
        )
    );
}

#[test]
fn secret_files_are_those_that_sops_has_encrypted() {
    let repository = Repository::new()
        .with(
            "repo/.sops.yaml",
            "creation_rules:\n- {path_regex: ^secrets/, age: <ALICE>}\n- \
              {path_regex: ^all/.*, age: <ALICE>}\n",
        )
        .with("repo/secrets/a.yaml", ENCRYPTED)
        .with("repo/secrets/plain.yaml", "a: b\n")
        .with("repo/secrets/README.md", "sops: {lastmodified: x}\n")
        .with("repo/secrets/x.age", "age-encryption.org/v1\n")
        .with("repo/all/b.yaml", ENCRYPTED)
        .with("repo/stray.yaml", ENCRYPTED)
        .with("repo/.git/c.yaml", ENCRYPTED);
    let names = |files: Vec<PathBuf>| -> Vec<String> {
        let root = repository.path("repo");
        files.iter().map(|f| f.strip_prefix(&root).unwrap().display().to_string()).collect()
    };
    let set = repository.all();
    assert_eq!(names(set.secret_files().unwrap()), ["all/b.yaml", "secrets/a.yaml"]);
    assert_eq!(names(set.unclaimed().unwrap()), ["secrets/x.age", "stray.yaml"]);
}

#[test]
fn secret_files_are_in_the_order_of_their_paths() {
    let rules = |path: &str| {
        format!("secrets:\n- {{path: \"{path}\", readers: [alice]}}\nusers: {{alice: <ALICE>}}\n")
    };
    let repository = Repository::new()
        .with("repo/secretctl.yaml", &rules("**/*.age"))
        .with("repo/b/z.age", "")
        .with("repo/b.age", "")
        .with("repo/b-b/x.age", "")
        .with("repo/b/a/x.age", "")
        .with("repo/a.age", "");
    let files = repository.all().secret_files().unwrap();
    let names = ["a.age", "b/a/x.age", "b/z.age", "b-b/x.age", "b.age"];
    assert_eq!(files, names.map(|name| repository.path("repo").join(name)));
    assert!(files.is_sorted());
}

/// Rules, the path of a file below them, and nothing else: both programs must agree on who reads
/// the file and which values are encrypted.
const TABLE: &[(&str, &[&str])] = &[
    ("creation_rules:\n- age: <ALICE>\n", &["a.json", "x/b.json"]),
    ("creation_rules:\n- age: '<ALICE>,<BOB>'\n- age: <WEB>\n", &["a.json"]),
    ("creation_rules:\n- age: [<ALICE>, '<BOB>, <WEB>']\n", &["a.json"]),
    ("creation_rules:\n- age: >-\n    <ALICE>,\n    <BOB>,\n", &["a.json"]),
    ("creation_rules:\n- age: '<ALICE>,<ALICE>'\n", &["a.json"]),
    ("creation_rules:\n- age: <SSH>\n", &["a.json"]),
    (
        "creation_rules:\n- {path_regex: ^secrets/, age: <ALICE>}\n- {path_regex: 'b\\.json$', age: \
         <BOB>}\n- {path_regex: /x/, age: <WEB>}\n",
        &["secrets/a.json", "x/secrets/a.json", "x/b.json", "q/x/a.json", "a.json", "x/a.json"],
    ),
    ("creation_rules:\n- {path_regex: '', age: <ALICE>}\n", &["a.json"]),
    ("creation_rules:\n- {path_regex: ~, age: <ALICE>}\n", &["a.json"]),
    (
        "creation_rules:\n- {path_regex: '^[[:alpha:]]+\\d{2,}[.]json', age: <ALICE>}\n",
        &["ab12.json", "ab1.json", "a\u{661}\u{662}.json"],
    ),
    ("creation_rules:\n- {path_regex: '^\\Qa+b\\E', age: <ALICE>}\n", &["a+b.json", "aab.json"]),
    (
        "creation_rules:\n- {path_regex: '^[a&&b[]\\.json', age: <ALICE>}\n",
        &["&.json", "[.json", "c.json"],
    ),
    ("creation_rules:\n- {path_regex: '^a{b', age: <ALICE>}\n", &["a{b.json", "ab.json"]),
    ("creation_rules:\n- {path_regex: '(?i)^DB\\b', age: <ALICE>}\n", &["db.json", "dbx.json"]),
    ("creation_rules:\n- {path_regex: '(?=a)', age: <ALICE>}\n- age: <BOB>\n", &["a.json"]),
    (
        "creation_rules:\n- {path_regex: a, age: <ALICE>}\n- {path_regex: '(', age: <BOB>}\n",
        &["a.json", "b.json"],
    ),
    ("creation_rules:\n- {path_regex: a, age: nonsense}\n- age: <BOB>\n", &["a.json", "b.json"]),
    ("creation_rules: []\n", &["a.json"]),
    ("creation_rules:\n- {path_regex: nothing, age: <ALICE>}\n", &["a.json"]),
    (
        "keys:\n- &alice <ALICE>\n- &bob <BOB>\ncreation_rules:\n- key_groups:\n  - age: [*alice, *bob]\n",
        &["a.json"],
    ),
    (
        "x: &base {age: <ALICE>, encrypted_regex: ^a$}\ncreation_rules:\n- <<: *base\n  path_regex: a\n- <<: \
      [{age: <BOB>}, *base]\n",
        &["a.json", "b.json"],
    ),
    (
        "creation_rules:\n- key_groups:\n  - age: [<ALICE>, <ALICE>]\n  - merge:\n    - age: [<BOB>]\n      merge: \
      [{age: [<WEB>]}]\n    - age: [<WEB>]\n    age: ['<ALICE>,<BOB>']\n",
        &["a.json"],
    ),
    (
        "creation_rules:\n- shamir_threshold: 2\n  key_groups:\n  - age: [<ALICE>]\n  - age: [<BOB>]\n  - age: \
      [<WEB>]\n",
        &["a.json"],
    ),
    (
        "creation_rules:\n- shamir_threshold: 1\n  key_groups:\n  - age: [<ALICE>]\n  - age: [<BOB>]\n",
        &["a.json"],
    ),
    (
        "creation_rules:\n- shamir_threshold: 3\n  key_groups:\n  - age: [<ALICE>]\n  - age: [<BOB>]\n",
        &["a.json"],
    ),
    ("creation_rules:\n- shamir_threshold: 7\n  age: <ALICE>\n", &["a.json"]),
    ("creation_rules:\n- key_groups:\n  - age: [<ALICE>]\n  - age: []\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, key_groups: []}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, key_groups: [{age: [<BOB>]}]}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, encrypted_regex: ^a$}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, unencrypted_regex: ^a$}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, encrypted_suffix: _e}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, unencrypted_suffix: _u}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, encrypted_comment_regex: a}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, unencrypted_comment_regex: a}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, encrypted_suffix: a, encrypted_regex: b}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, encrypted_suffix: '', encrypted_regex: b}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, mac_only_encrypted: true}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, mac_only_encrypted: on}\n", &["a.json"]),
    ("creation_rules:\n- {age: <ALICE>, unheard_of: true}\n", &["a.json"]),
    ("creation_rules:\n- age: <ALICE>\n  age: <BOB>\n", &["a.json"]),
    ("creation_rules:\n- {age: [[<ALICE>]]}\n", &["a.json"]),
    ("creation_rules:\n- {age: [<ALICE>, '']}\n", &["a.json"]),
    ("creation_rules:\n-\n- age: <ALICE>\n", &["a.json"]),
    ("creation_rules:\n- key_groups:\n  -\n  - age: [<ALICE>]\n", &["a.json"]),
    ("stores: {yaml: {indent: -1}}\ncreation_rules:\n- age: <ALICE>\n", &["a.json"]),
    // Anchors as people lay them out.
    (
        "keys:\n- &users:\n  - &alice <ALICE>\n- &hosts:\n  - &web <WEB>\ncreation_rules:\n- age: *alice\n  \
         path_regex: ^a\n- key_groups:\n  - age:\n    - *web\n    - *alice\n",
        &["a.json", "b.json"],
    ),
    (
        "keys:\n- &users\n  age:\n  - &alice <ALICE>\n- &hosts\n  age: [&web <WEB>]\n- &all\n  <<: [*hosts, \
         *users]\ncreation_rules:\n- path_regex: ^a\n  key_groups:\n  - <<: *all\n- key_groups:\n  - merge: \
         [*users, *hosts]\n",
        &["a.json", "b.json"],
    ),
    ("creation_rules: {}\n", &["a.json"]),
    ("creation_rules:\n- age: <ALICE>\n---\ncreation_rules:\n- age: <BOB>\n", &["a.json"]),
    ("creation_rules:\n- age: !!str <ALICE>\n", &["a.json"]),
];

/// Where sops is known to be harder to please: it fails with these, and we take them.
const HARDER: &[&str] = &[
    // One empty text in a list of recipients.
    "creation_rules:\n- {age: [<ALICE>, '']}\n",
];

#[test]
fn sops_reads_the_same_out_of_the_same_rules() {
    let Some(program) = desk::peer("SECRETCTL_TEST_SOPS_NEW", true) else { return };
    let (mut written, mut refused) = (0, 0);
    for (rules, paths) in TABLE {
        let repository = Repository::new().with("repo/.sops.yaml", rules);
        for path in *paths {
            let ours = ours(&repository, path);
            let theirs = theirs(&program, &repository, path);
            *(if theirs.is_some() { &mut written } else { &mut refused }) += 1;
            if HARDER.contains(rules) {
                assert!(theirs.is_none() && ours.is_some(), "{rules}{path}: no longer so");
            } else {
                assert_eq!(ours, theirs, "{rules}{path}");
            }
        }
    }
    assert!(written > 30 && refused > 15, "the table shows both: {written}, {refused}");
}

/// What a file would be written with: keys of each group, how many groups are needed, how values
/// are chosen. `None` where it cannot be written.
type Facts = Option<(Vec<BTreeSet<String>>, Option<u64>, (String, String), bool)>;

fn ours(repository: &Repository, path: &str) -> Facts {
    let file = repository.path("repo").join(path);
    let set =
        load(&request(&repository.path("repo"), &repository.path("repo"), Wanted::File(&file)));
    let set = set.ok()?;
    let (rules, rule) = set.for_file(&file).ok()??;
    let readers = rules.wrapping(rule);
    let groups = readers.groups.iter().map(|group| {
        group.iter().map(|named| {
            let WrappingKey::Age(recipient) = &named.key else { panic!("{:?}", named.key) };
            recipient.canonical().to_owned()
        })
    });
    let selector = readers.selector.map(|s| (s.kind.name().to_owned(), s.text));
    let default = || ("unencrypted_suffix".to_owned(), sops::DEFAULT_SUFFIX.to_owned());
    // What sops writes where the rule leaves it out.
    let several = (readers.groups.len() > 1).then_some(readers.groups.len());
    Some((
        groups.map(Iterator::collect).collect(),
        readers.threshold.or(several).map(|number| number as u64),
        selector.unwrap_or_else(default),
        readers.mac_only_encrypted,
    ))
}

fn theirs(program: &Path, repository: &Repository, path: &str) -> Facts {
    let mut command = Command::new(program);
    command
        .args(["encrypt", "--input-type", "json", "--output-type", "json", "--filename-override"])
        .arg(path)
        .env_clear()
        .env("HOME", repository.path("home"))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(repository.path("repo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"a\": \"b\"}").unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return None;
    }
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let metadata = &document["sops"];
    let keys = |group: &serde_json::Value| -> BTreeSet<String> {
        let keys = group["age"].as_array().unwrap().iter();
        keys.map(|key| key["recipient"].as_str().unwrap().to_owned()).collect()
    };
    let groups = match metadata["key_groups"].as_array() {
        Some(groups) => groups.iter().map(keys).collect(),
        None => vec![keys(metadata)],
    };
    let selector = metadata
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with("encrypted_") || name.starts_with("unencrypted_"));
    let (name, text) = selector.unwrap();
    Some((
        groups,
        metadata["shamir_threshold"].as_u64(),
        (name.clone(), text.as_str().unwrap().to_owned()),
        metadata["mac_only_encrypted"].as_bool().unwrap_or_default(),
    ))
}
