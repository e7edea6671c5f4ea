//! The data keys of sops files in other hands: we open what the real sops wraps with age and PGP
//! keys and shares among groups, and it opens what we wrap; and the identities of sops's variables.
//!
//! `SECRETCTL_TEST_SOPS_OLD` and `SECRETCTL_TEST_SOPS_NEW` name sops, and `gpg` is on the `PATH`.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use age::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use desk::{Ran, finish, lacks, peer};
use secretctl::format::keys::Keys;
use secretctl::format::sops::data_key::{DataKey, DecryptionOrder, Locked, Rewrap, unwrap, wrap};
use secretctl::format::sops::metadata::Metadata;
use secretctl::format::sops::tree::{Leaf, List, ListItem, Map, Node, Value};
use secretctl::key::keyring::{Keyring, Source};
use secretctl::key::service::Services;
use secretctl::key::wrapping::WrappingKey;
use secretctl::key::{Allowed, NoAsk, Pgp, Plugins, Recipient};
use secretctl::plaintext::Plaintext;
use serde_json::{Value as Json, json};

const NOW: &str = "2026-01-02T03:04:05Z";
const CONTENT: &str = r#"{"a": "canary", "b": {"c": 12}}"#;

/// A folder that is the home, with keys in it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Drop for Bench {
    /// The agent of this home would stay for a minute.
    fn drop(&mut self) {
        let _no_agent = self.command(Path::new("gpgconf"), &["--kill", "all"]).output();
    }
}

/// A private key and its public half.
struct Key {
    name: String,
    file: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sops-").tempdir().unwrap();
        fs::create_dir(folder.path().join("gnupg")).unwrap();
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path().join("gnupg"), private).unwrap();
        let bench = Self { folder };
        // What our library runs as `gpg`: its environment is that of the test.
        let script =
            format!("#!/bin/sh\nGNUPGHOME='{}' exec gpg \"$@\"\n", bench.path("gnupg").display());
        fs::write(bench.path("gpg"), script).unwrap();
        fs::set_permissions(bench.path("gpg"), fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GNUPGHOME", self.path("gnupg"))
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .current_dir(self.folder.path())
            .args(arguments);
        command
    }

    fn age_key(&self, name: &str) -> Key {
        let identity = age::x25519::Identity::generate();
        let file = self.write(name, identity.to_string().expose_secret());
        Key { name: identity.to_public().to_string(), file }
    }

    /// An SSH key; its line has a comment.
    fn ssh_key(&self, name: &str) -> Key {
        let file = self.path(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "test only", "-f"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(made.status.success());
        let line = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        Key { name: line.trim().to_owned(), file }
    }

    /// A PGP key in the home; its fingerprint.
    fn pgp_key(&self, name: &str) -> String {
        let user = format!("test only <{name}@example.org>");
        let gpg = |arguments: &[&str]| {
            let batch = [&["--batch", "--passphrase", ""], arguments].concat();
            finish(self.command(Path::new("gpg"), &batch), b"").ok().out
        };
        gpg(&["--quick-generate-key", &user, "ed25519", "default", "never"]);
        let listed = gpg(&["--with-colons", "-K", &user]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        let fingerprint = line.split(':').nth(9).unwrap().to_owned();
        gpg(&["--quick-add-key", &fingerprint, "cv25519", "encr", "never"]);
        fingerprint
    }

    fn pgp(&self) -> Pgp {
        let program = self.path("gpg").into_os_string();
        Pgp::new(Some(program), &std::env::var_os("PATH").unwrap())
    }

    /// sops with these identities alone, and PGP keys where `gnupg` says so.
    fn sops(&self, sops: &Path, arguments: &[&str], identities: &[&Key], gnupg: bool) -> Ran {
        let mut command = self.command(sops, arguments);
        let texts = identities.iter().map(|key| fs::read_to_string(&key.file).unwrap());
        let (ssh, age): (Vec<String>, Vec<String>) =
            texts.partition(|text| text.starts_with("-----"));
        if !age.is_empty() {
            command.env("SOPS_AGE_KEY", age.join(" "));
        }
        if let [key] = ssh.as_slice() {
            command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", self.write("ssh", key));
        }
        if !gnupg {
            command.env("GNUPGHOME", self.path("none"));
        }
        finish(command, b"")
    }

    /// What we find with these identities, and PGP where `gnupg` says so.
    fn open(&self, file: &Metadata, identities: &[&Key], gnupg: bool) -> Result<DataKey, Locked> {
        let allowed = Allowed::default();
        let sources = identities.iter().map(|key| Source::named(key.file.clone())).collect();
        let keyring = Keyring::new(sources, plugins(&allowed));
        let none = Pgp::new(None, "/nonexistent".as_ref());
        let pgp = if gnupg { self.pgp() } else { none };
        unwrap(&[file], &mut all_keys(keyring, pgp)).remove(0)
    }

    #[track_caller]
    fn give(
        &self,
        metadata: &mut Metadata,
        data_key: &DataKey,
        groups: Vec<Vec<WrappingKey>>,
        threshold: Option<usize>,
        fresh: bool,
    ) {
        let allowed = Allowed::default();
        let request = Rewrap { metadata, data_key, fresh, groups, threshold };
        wrap(vec![request], &plugins(&allowed), (&self.pgp(), &Services::off()), NOW)
            .remove(0)
            .unwrap();
    }
}

fn all_keys(keyring: Keyring<'_>, pgp: Pgp) -> Keys<'_> {
    Keys { keyring, pgp, services: Services::off(), order: DecryptionOrder::default() }
}

fn plugins(allowed: &Allowed) -> Plugins<'_> {
    Plugins { allowed, path: "".as_ref(), ask: &NoAsk }
}

fn age_of(key: &Key) -> WrappingKey {
    WrappingKey::Age(Recipient::parse(&key.name).unwrap())
}

/// Both programs that are there.
fn peers() -> Vec<PathBuf> {
    let variables = ["SECRETCTL_TEST_SOPS_OLD", "SECRETCTL_TEST_SOPS_NEW"];
    variables.iter().filter_map(|variable| peer(variable, true)).collect()
}

fn node(json: &Json) -> Node {
    match json {
        Json::Null => Node::Leaf(Leaf::new(Value::Null)),
        Json::Bool(flag) => Node::Leaf(Leaf::new(Value::Bool(*flag))),
        Json::Number(number) => {
            let digits = Plaintext::new(number.to_string().into_bytes());
            Node::Leaf(Leaf::new(Value::Int(digits)))
        }
        Json::String(text) => Node::Leaf(Leaf::text(text)),
        Json::Array(items) => Node::List(List {
            items: items.iter().map(|item| ListItem::Value(node(item))).collect(),
        }),
        Json::Object(_) => Node::Map(map(json)),
    }
}

fn map(json: &Json) -> Map {
    let mut map = Map::default();
    for (key, value) in json.as_object().unwrap() {
        map.push(key, node(value));
    }
    map
}

fn back(node: &Node) -> Json {
    let text = |text: &Plaintext| String::from_utf8(text.expose().to_vec()).unwrap();
    match node {
        Node::Leaf(leaf) => match &leaf.value {
            Value::Null => Json::Null,
            Value::Bool(flag) => json!(flag),
            Value::Int(digits) => json!(text(digits).parse::<i64>().unwrap()),
            Value::Float(value) | Value::Time(value) | Value::Str(value) => json!(text(value)),
        },
        Node::List(list) => list.values().map(back).collect(),
        Node::Map(map) => {
            map.entries().map(|entry| (entry.key.clone(), back(&entry.value))).collect()
        }
    }
}

/// A file of sops with other metadata.
fn with(document: &Json, metadata: &Metadata) -> String {
    let mut document = document.clone();
    document["sops"] = back(&Node::Map(metadata.to_map()));
    document.to_string()
}

/// Whether a data key is the right one: it opens the MAC and the value `a`.
#[track_caller]
fn fits(key: &DataKey, document: &Json) {
    let cipher = AesGcm::<Aes256, U32>::new_from_slice(key.plaintext().expose()).unwrap();
    let open = |value: &Json, aad: &str| {
        let text = value.as_str().unwrap();
        let part = |name: &str| {
            let rest = text.split_once(name).unwrap().1;
            BASE64_STANDARD.decode(rest.split(',').next().unwrap()).unwrap()
        };
        let sealed = [part("data:"), part("tag:")].concat();
        let payload = Payload { msg: &sealed, aad: aad.as_bytes() };
        cipher.decrypt(Nonce::<U32>::from_slice(&part("iv:")), payload).unwrap()
    };
    assert_eq!(open(&document["a"], "a:"), b"canary");
    let metadata = &document["sops"];
    let mac = open(&metadata["mac"], metadata["lastmodified"].as_str().unwrap());
    assert_eq!(mac.len(), 128);
}

fn parse(ran: Ran) -> (Json, Metadata) {
    let document: Json = serde_json::from_str(&ran.ok().out).unwrap();
    let metadata = Metadata::read(&map(&document["sops"])).unwrap();
    // What the peers write is what we would.
    assert_eq!(back(&Node::Map(metadata.to_map())), document["sops"]);
    (document, metadata)
}

#[test]
fn age_and_pgp_keys_of_one_group() {
    if lacks("gpg") || lacks("ssh-keygen") {
        return;
    }
    let bench = Bench::new();
    bench.write("plain.json", CONTENT);
    let (age, ssh, late) = (bench.age_key("age"), bench.ssh_key("id"), bench.age_key("late"));
    let pgp = bench.pgp_key("one");
    for sops in peers() {
        let recipients = format!("{},{}", age.name, ssh.name);
        let arguments = ["encrypt", "--age", &recipients, "--pgp", &pgp, "plain.json"];
        let (document, mut metadata) = parse(bench.sops(&sops, &arguments, &[], true));
        for (identities, gnupg) in [(&[&age][..], false), (&[&ssh], false), (&[], true)] {
            fits(&bench.open(&metadata, identities, gnupg).unwrap(), &document);
        }
        let locked = bench.open(&metadata, &[&late], false).unwrap_err();
        let names: Vec<String> = locked.needs().map(WrappingKey::name).collect();
        let ssh_name = ssh.name.strip_suffix(" test only").unwrap();
        assert_eq!(names, [age.name.as_str(), ssh_name, pgp.as_str()]);
        assert_eq!(locked.notable().count(), 1, "that there is no gpg");

        // A reader more, and then a new data key's worth of entries; sops opens both.
        let key = bench.open(&metadata, &[&age], false).unwrap();
        for fresh in [false, true] {
            let mut groups = metadata.wrapping_keys();
            groups[0].push(age_of(&late));
            bench.give(&mut metadata, &key, groups, None, fresh);
            bench.write("ours.json", &with(&document, &metadata));
            let opens = |identities: &[&Key], gnupg| {
                let ran = bench.sops(&sops, &["decrypt", "ours.json"], identities, gnupg).ok();
                assert!(ran.out.contains("canary"));
            };
            opens(&[&age], false);
            opens(&[&ssh], false);
            opens(&[&late], false);
            opens(&[], true);
            fits(&bench.open(&metadata, &[], true).unwrap(), &document);
        }
    }
}

#[test]
fn groups_with_a_threshold() {
    if lacks("gpg") {
        return;
    }
    let bench = Bench::new();
    let (first, last, late) = (bench.age_key("a"), bench.age_key("b"), bench.age_key("c"));
    let pgp = bench.pgp_key("one");
    bench.write("plain.json", CONTENT);
    let rules = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}]\n      - pgp: \
         [{pgp}]\n      - age: [{}]\n",
        first.name, last.name
    );
    bench.write(".sops.yaml", &rules);
    let pairs = [
        (&[&first][..], true),
        (&[&last], true),
        (&[&first, &last], false),
        (&[&first, &last], true),
    ];
    for sops in peers() {
        let (document, mut metadata) =
            parse(bench.sops(&sops, &["encrypt", "plain.json"], &[], true));
        for (identities, gnupg) in pairs {
            fits(&bench.open(&metadata, identities, gnupg).unwrap(), &document);
        }
        for (identities, gnupg) in [(&[&first][..], false), (&[&late], true)] {
            let locked = bench.open(&metadata, identities, gnupg).unwrap_err();
            assert_eq!((locked.needed, locked.groups.len()), (2, 3));
        }
        let sops_opens = |metadata: &Metadata, identities: &[&Key], gnupg| {
            bench.write("ours.json", &with(&document, metadata));
            let ran = bench.sops(&sops, &["decrypt", "ours.json"], identities, gnupg);
            ran.code == 0 && ran.out.contains("canary")
        };

        // A key for a group that is locked to us: its share is made out of the others.
        let key = bench.open(&metadata, &[&first], true).unwrap();
        let mut groups = metadata.wrapping_keys();
        groups[2].push(age_of(&late));
        bench.give(&mut metadata, &key, groups, Some(2), false);
        assert!(sops_opens(&metadata, &[&late, &first], false));
        assert!(sops_opens(&metadata, &[&late], true));
        assert!(!sops_opens(&metadata, &[&late, &last], false), "one group, one share");

        // All shared anew, by us.
        let groups = metadata.wrapping_keys();
        bench.give(&mut metadata, &key, groups.clone(), Some(2), true);
        for (identities, gnupg) in pairs {
            assert!(sops_opens(&metadata, identities, gnupg));
        }
        bench.give(&mut metadata, &key, groups, None, true);
        assert!(!sops_opens(&metadata, &[&first, &last], false));
        assert!(sops_opens(&metadata, &[&first, &last], true));
    }
}

#[test]
fn a_plugin_is_started_once_for_all_files_and_groups() {
    let bench = Bench::new();
    let (other, mine) = (bench.age_key("other"), bench.age_key("mine"));
    // A plugin that keeps no secret: its stanzas hold the file key as it is.
    let script = r#"#!/bin/sh
echo "$1" >> "$0.log"
case $1 in
*=recipient-v1)
    while read -r a kind rest; do
        [ "$kind" = wrap-file-key ] && { read -r body; keys="$keys $body"; }
        [ "$kind" = done ] && break
    done
    read -r _; index=0
    for body in $keys; do
        printf -- '-> recipient-stanza %s plain\n%s\n' $index "$body"; read -r _; read -r _
        index=$((index + 1))
    done;;
*)
    read -r _; found=
    while read -r a kind file tag rest; do
        [ "$kind" = done ] && break
        [ "$kind" = recipient-stanza ] && { read -r body; }
        [ "$tag" = plain ] && case $found in *" $file:"*) ;; *) found="$found $file:$body";; esac
    done
    read -r _
    for one in $found; do
        printf -- '-> file-key %s\n%s\n' "${one%%:*}" "${one#*:}"; read -r _; read -r _
    done;;
esac
printf -- '-> done\n\n'
"#;
    let program = bench.write("age-plugin-plain", script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let code = |prefix: &str, data: &[u8]| {
        let prefix = bech32::Hrp::parse(prefix).unwrap();
        bech32::encode::<bech32::Bech32>(prefix, data).unwrap()
    };
    let identity = code("age-plugin-plain-", &[1]).to_uppercase();
    let identity = Key { name: code("age1plain", &[1]), file: bench.write("plugin", &identity) };

    let path = std::env::join_paths(
        std::iter::once(bench.path(""))
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let (allowed, path) = (Allowed::parse("plain"), path.unwrap());
    let plugins = Plugins { allowed: &allowed, path: &path, ask: &NoAsk };
    let keys: Vec<DataKey> = (0..5).map(|_| DataKey::random().unwrap()).collect();
    let mut files: Vec<Metadata> = keys.iter().map(|_| Metadata::new(None, NOW)).collect();
    let [by_plugin, by_other, by_mine] = [&identity, &other, &mine].map(age_of);
    let requests = files.iter_mut().zip(&keys).enumerate().map(|(index, (metadata, data_key))| {
        let groups = match index {
            0 => vec![vec![by_plugin.clone()], vec![by_other.clone()], vec![by_mine.clone()]],
            _ => vec![vec![by_other.clone(), by_plugin.clone()]],
        };
        Rewrap { metadata, data_key, fresh: true, groups, threshold: Some(2) }
    });
    for answer in wrap(requests.collect(), &plugins, (&bench.pgp(), &Services::off()), NOW) {
        answer.unwrap();
    }
    let log = bench.path("age-plugin-plain.log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "--age-plugin=recipient-v1\n");
    fs::remove_file(&log).unwrap();

    let sources = [&identity, &mine].map(|key| Source::named(key.file.clone()));
    let keyring = Keyring::new(sources.to_vec(), plugins);
    let files: Vec<&Metadata> = files.iter().collect();
    let answers = unwrap(&files, &mut all_keys(keyring, bench.pgp()));
    for (answer, key) in answers.into_iter().zip(&keys) {
        assert!(answer.unwrap().plaintext().same_as(key.plaintext()));
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), "--age-plugin=identity-v1\n");
}

#[test]
fn the_message_that_nothing_opens_has_the_frame_of_sops() {
    let bench = Bench::new();
    let keys = [bench.age_key("a"), bench.age_key("b"), bench.age_key("c")];
    bench.write("plain.json", CONTENT);
    // Reasons are the programs' own; what is around them is not.
    let frame = |text: &str| {
        let lines = text.trim_end().lines().filter(|line| !line.starts_with("    "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for sops in peers() {
        for groups in [vec![vec![0, 1]], vec![vec![0], vec![1, 2]]] {
            let group = |group: &Vec<usize>| {
                let names: Vec<&str> = group.iter().map(|index| &*keys[*index].name).collect();
                format!("      - age: [{}]\n", names.join(", "))
            };
            let groups: String = groups.iter().map(group).collect();
            bench.write(".sops.yaml", &format!("creation_rules:\n  - key_groups:\n{groups}"));
            let (document, metadata) =
                parse(bench.sops(&sops, &["encrypt", "plain.json"], &[], false));
            bench.write("file.json", &document.to_string());
            let theirs = bench.sops(&sops, &["decrypt", "file.json"], &[], false);
            let ours = bench.open(&metadata, &[], false).unwrap_err();
            assert_eq!((theirs.code, frame(&theirs.err)), (128, frame(&ours.sops_text(&[]))));
        }
    }
}

#[test]
fn identities_are_where_the_variables_of_sops_say() {
    if lacks("ssh-keygen") {
        return;
    }
    let bench = Bench::new();
    let (age, other, ssh) = (bench.age_key("age"), bench.age_key("other"), bench.ssh_key("id"));
    let program = assert_cmd::cargo::cargo_bin("secretctl");
    let encrypt = |key: &Key| {
        let arguments = ["encrypt", "-r", &key.name, "-o", "secret.age"];
        finish(bench.command(&program, &arguments), b"canary").ok();
    };
    let decrypt = |variables: &[(&str, String)], arguments: &[&str]| {
        let arguments = [&["decrypt", "secret.age"], arguments].concat();
        let mut command = bench.command(&program, &arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        finish(command, b"")
    };
    let text = |key: &Key| fs::read_to_string(&key.file).unwrap();
    let file = |key: &Key| key.file.to_str().unwrap().to_owned();
    encrypt(&age);
    let both = format!("# both\n{} {}", text(&other), text(&age));
    let command = format!("sh -c 'test -z \"$SOPS_AGE_RECIPIENT\" && cat \"{}\"'", file(&age));
    for variable in [
        ("SOPS_AGE_KEY", both),
        ("SOPS_AGE_KEY_FILE", file(&age)),
        ("SOPS_AGE_KEY_CMD", command.clone()),
    ] {
        assert_eq!(decrypt(std::slice::from_ref(&variable), &[]).ok().out, "canary");
        // One that the user names is tried first, and does not stand in the way.
        assert_eq!(decrypt(&[variable], &["-i", &file(&other)]).ok().out, "canary");
    }
    let ran = decrypt(
        &[
            ("SOPS_AGE_KEY", text(&other)),
            ("SOPS_AGE_KEY_FILE", "absent".to_owned()),
            ("SOPS_AGE_KEY_CMD", "no-such-program".to_owned()),
            ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "sh -c 'echo not unlocked >&2; exit 3'".to_owned()),
        ],
        &[],
    );
    assert_ne!(ran.code, 0);
    let short = Recipient::parse(&other.name).unwrap().short();
    for said in [
        &*format!("SOPS_AGE_KEY ({short})"),
        "absent (not read: ",
        "SOPS_AGE_KEY_CMD (there is no program `no-such-program`)",
        "SOPS_AGE_SSH_PRIVATE_KEY_CMD (`sh` gave nothing: not unlocked)",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    encrypt(&ssh);
    for variable in [
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", file(&ssh)),
        ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", format!("cat '{}'", file(&ssh))),
    ] {
        assert_eq!(decrypt(&[variable], &[]).ok().out, "canary");
    }
}
