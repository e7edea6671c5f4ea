//! Data keys with keys made on the spot: who opens what, what stays as it is, and what is passed
//! over. Peers are for `tests/sops_keys.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use age::secrecy::ExposeSecret;

use super::*;
use crate::format::keys::Keys;
use crate::format::sops::metadata::{Metadata, WrappedKey};
use crate::key::keyring::{Keyring, Source};
use crate::key::service::Services;
use crate::key::wrapping::WrappingKey;
use crate::key::{Allowed, Ask, NoAsk, Pgp, Plugins, Recipient};

const NOW: &str = "2026-01-02T03:04:05Z";

/// An age key: the recipient, and the identity as text.
fn pair() -> (WrappingKey, String) {
    let identity = age::x25519::Identity::generate();
    let recipient = Recipient::parse(&identity.to_public().to_string()).unwrap();
    (WrappingKey::Age(recipient), identity.to_string().expose_secret().to_owned())
}

fn plugins<'a>(allowed: &'a Allowed, ask: &'a dyn Ask) -> Plugins<'a> {
    Plugins { allowed, path: OsStr::new(""), ask }
}

fn no_pgp() -> Pgp {
    Pgp::new(None, OsStr::new("/nonexistent"))
}

fn keys(keyring: Keyring<'_>) -> Keys<'_> {
    Keys { keyring, pgp: no_pgp(), services: Services::off(), order: DecryptionOrder::default() }
}

fn open_all(files: &[&Metadata], identities: &[&str]) -> Vec<Result<DataKey, Locked>> {
    let allowed = Allowed::default();
    let text = Arc::new(Plaintext::copy_of(identities.join(" ").as_bytes()));
    let source = Source::Inline { name: "TEST".to_owned(), text };
    unwrap(files, &mut keys(Keyring::new(vec![source], plugins(&allowed, &NoAsk))))
}

fn open(file: &Metadata, identities: &[&str]) -> Result<DataKey, Locked> {
    open_all(&[file], identities).remove(0)
}

#[track_caller]
fn give(file: &mut Metadata, key: &DataKey, fresh: bool, groups: &[&[&WrappingKey]]) {
    try_give(file, key, fresh, groups, None).unwrap();
}

fn try_give(
    file: &mut Metadata,
    key: &DataKey,
    fresh: bool,
    groups: &[&[&WrappingKey]],
    threshold: Option<usize>,
) -> Result<(), RewrapError> {
    let allowed = Allowed::default();
    let groups = groups.iter().map(|group| group.iter().map(|key| (*key).clone()).collect());
    let groups = groups.collect();
    let request = Rewrap { metadata: file, data_key: key, fresh, groups, threshold };
    wrap(vec![request], &plugins(&allowed, &NoAsk), (&no_pgp(), &Services::off()), NOW).remove(0)
}

fn empty() -> Metadata {
    Metadata::new(None, NOW)
}

fn encs(file: &Metadata) -> Vec<Vec<String>> {
    let group = |group: &Vec<WrappedKey>| group.iter().map(|entry| entry.enc.clone()).collect();
    file.groups.iter().map(group).collect()
}

fn kms(arn: &str) -> WrappedKey {
    let (arn, context) = (arn.to_owned(), BTreeMap::new());
    WrappedKey {
        key: WrappingKey::Kms { arn, role: None, context, aws_profile: String::new() },
        enc: "AQIC".to_owned(),
        created_at: Some("2020-01-01T00:00:00Z".to_owned()),
        spelling: None,
        unknown: Vec::new(),
    }
}

#[test]
fn every_reader_opens_and_new_ones_change_nothing_for_the_others() {
    let [(a, of_a), (b, of_b), (c, of_c)] = [pair(), pair(), pair()];
    let key = DataKey::random().unwrap();
    let mut file = empty();
    give(&mut file, &key, true, &[&[&a, &b, &a]]);
    assert_eq!(file.keys().count(), 2, "a key that is named twice gets one entry");
    let before = encs(&file);
    assert!(before[0][0].starts_with("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl"));
    assert!(before[0][0].ends_with("\n-----END AGE ENCRYPTED FILE-----\n"));
    for identity in [&of_a, &of_b] {
        assert!(open(&file, &[identity]).unwrap().plaintext().same_as(key.plaintext()));
    }
    let locked = open(&file, &[&of_c]).unwrap_err();
    assert_eq!(locked.needs().collect::<Vec<_>>(), [&a, &b]);
    assert_eq!(locked.notable().count(), 0);

    let opened = open(&file, &[&of_b]).unwrap();
    give(&mut file, &opened, false, &[&[&c, &b]]);
    let after = encs(&file);
    assert_eq!(after[0][1], before[0][1]);
    assert!(open(&file, &[&of_c]).unwrap().plaintext().same_as(key.plaintext()));
    open(&file, &[&of_a]).unwrap_err();

    let fresh = DataKey::random().unwrap();
    give(&mut file, &fresh, true, &[&[&c, &b]]);
    assert!(encs(&file)[0].iter().all(|enc| !after[0].contains(enc)));
    assert!(open(&file, &[&of_b]).unwrap().plaintext().same_as(fresh.plaintext()));
}

#[test]
fn enough_groups_open_and_a_new_key_gets_the_share_of_its_group() {
    let [(a, of_a), (b, of_b), (c, of_c), (d, of_d)] = [pair(), pair(), pair(), pair()];
    let key = DataKey::random().unwrap();
    let mut file = empty();
    let three: [&[&WrappingKey]; 3] = [&[&a], &[&b], &[&c]];
    try_give(&mut file, &key, true, &three, Some(2)).unwrap();
    assert_eq!((file.needed_groups(), file.shamir_threshold), (2, Some(2)));
    let opens = |file: &Metadata, identities: &[&str]| {
        open(file, identities).is_ok_and(|found| found.plaintext().same_as(key.plaintext()))
    };
    for two in [[&*of_a, &*of_b], [&*of_b, &*of_c], [&*of_c, &*of_a]] {
        assert!(opens(&file, &two));
    }
    assert!(opens(&file, &[&of_a, &of_b, &of_c]));
    let locked = open(&file, &[&of_b]).unwrap_err();
    assert_eq!(locked.to_string(), "1 of its 3 key groups could be opened, and 2 are needed");
    assert_eq!(locked.needs().collect::<Vec<_>>(), [&a, &c]);

    // The third group is locked for who adds a key to it.
    let before = encs(&file);
    let opened = open(&file, &[&of_a, &of_b]).unwrap();
    let grown: [&[&WrappingKey]; 3] = [&[&a], &[&b], &[&c, &d]];
    try_give(&mut file, &opened, false, &grown, Some(2)).unwrap();
    let after = encs(&file);
    assert_eq!((&before[0], &before[1], &before[2][0]), (&after[0], &after[1], &after[2][0]));
    assert!(opens(&file, &[&of_d, &of_a]) && opens(&file, &[&of_d, &of_b]));
    assert!(!opens(&file, &[&of_d, &of_c]), "they have the same share");

    // A group behind the others leaves them as they are too.
    let (late, of_late) = pair();
    let opened = open(&file, &[&of_a, &of_d]).unwrap();
    let four: [&[&WrappingKey]; 4] = [&[&a], &[&b], &[&c, &d], &[&late]];
    try_give(&mut file, &opened, false, &four, Some(2)).unwrap();
    assert_eq!(encs(&file)[..3], after[..]);
    assert!(opens(&file, &[&of_late, &of_a]) && opens(&file, &[&of_late, &of_c]));

    // Another threshold, or one group less, and all is shared anew.
    let opened = open(&file, &[&of_a, &of_b]).unwrap();
    try_give(&mut file, &opened, false, &three, Some(3)).unwrap();
    assert!(encs(&file).iter().flatten().all(|enc| !after.iter().flatten().any(|old| old == enc)));
    assert!(opens(&file, &[&of_a, &of_b, &of_c]) && !opens(&file, &[&of_a, &of_b]));
    let opened = open(&file, &[&of_a, &of_b, &of_c]).unwrap();
    give(&mut file, &opened, false, &[&[&b]]);
    assert!(opens(&file, &[&of_b]) && file.shamir_threshold.is_none());
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let ((a, of_a), (b, _)) = (pair(), pair());
    let key = DataKey::random().unwrap();
    let mut file = empty();
    give(&mut file, &key, true, &[&[&a]]);
    file.groups[0].push(kms("arn:aws:kms:eu-west-1:1:key/x"));
    let before = encs(&file);
    let service = file.groups[0][1].key.clone();
    let opened = open(&file, &[&of_a]).unwrap();

    // The entry of the service stays, and so may readers come and go.
    give(&mut file, &opened, false, &[&[&service, &a, &b]]);
    assert_eq!(encs(&file)[0][..2], [before[0][1].clone(), before[0][0].clone()]);
    assert_eq!(file.groups[0][0].created_at.as_deref(), Some("2020-01-01T00:00:00Z"));

    let before = encs(&file);
    let mut refused = |fresh, groups: &[&[&WrappingKey]], threshold| {
        let error = try_give(&mut file, &opened, fresh, groups, threshold).unwrap_err();
        assert_eq!(encs(&file), before);
        error.to_string()
    };
    let text = "the key `arn:aws:kms:eu-west-1:1:key/x`: AWS KMS is not asked here";
    assert_eq!(refused(true, &[&[&a, &service]], None), text);
    assert_eq!(refused(false, &[&[&a], &[&service]], None), text);
    assert_eq!(refused(false, &[], None), "it would have no key that opens it");
    assert_eq!(refused(false, &[&[&a], &[]], None), "its key group 1 would have no key");
    let text = "a threshold of 3 for 2 groups is not possible: it is at least 2 and at most the \
                number of groups";
    assert_eq!(refused(false, &[&[&a], &[&b]], Some(3)), text);
    let unknown = WrappingKey::AgeUnknown("age1x".to_owned());
    assert_eq!(refused(false, &[&[&a, &unknown]], None), "`age1x` is no age recipient");
    let pgp = WrappingKey::pgp("AB CD");
    assert_eq!(
        refused(false, &[&[&a, &b, &pgp]], None),
        "the PGP key ABCD: there is no program `gpg`"
    );
}

#[test]
fn broken_and_foreign_things_are_passed_over_and_named() {
    let [(a, of_a), (b, _), (c, of_c)] = [pair(), pair(), pair()];
    let key = DataKey::random().unwrap();
    let mut file = empty();
    give(&mut file, &key, true, &[&[&a, &b, &c]]);
    let good = file.groups[0][2].enc.clone();
    let other = {
        let mut other = empty();
        give(&mut other, &DataKey::random().unwrap(), true, &[&[&c]]);
        other.groups.remove(0).remove(0).enc
    };
    let swap = |from: &str| {
        // A byte of the payload, behind the header, in the last line of the armor.
        let mut lines: Vec<&str> = from.lines().collect();
        let at = lines.len() - 2;
        let changed = lines[at].replacen(|c: char| c != 'A', "A", 1);
        lines[at] = &changed;
        format!("{}\n", lines.join("\n"))
    };
    let of_short_key = {
        let secret = Plaintext::copy_of(b"short");
        let mut short = empty();
        give(&mut short, &DataKey { key: secret, shares: Vec::new() }, true, &[&[&c]]);
        short.groups.remove(0).remove(0).enc
    };
    let malformed = {
        let stanza = "age-encryption.org/v1\n-> X25519 AAAA\n\n--- ";
        format!("{stanza}{}\n", "A".repeat(43))
    };
    for (bad, reason) in [
        (swap(&good), "what the file holds for this key is broken: its content is damaged"),
        (of_short_key, "what the file holds for this key is 5 bytes and no key"),
        (malformed, "what the file holds for this key is broken: a stanza is malformed"),
        ("no age file".to_owned(), "what the file holds for this key is broken: it is not an age"),
        (String::new(), "the file holds nothing for this key"),
    ] {
        file.groups[0][0].enc = bad;
        file.groups[0][2].enc.clone_from(&good);
        let opened = open(&file, &[&of_c]).unwrap();
        assert!(opened.plaintext().same_as(key.plaintext()), "{reason}");
        file.groups[0][2].enc.clear();
        let locked = open(&file, &[&of_a, &of_c]).unwrap_err();
        let said = locked.groups[0].keys[0].reason.to_string();
        assert!(said.starts_with(reason), "{said}");
    }
    // Whatever opens is taken, wherever it stands; whether it is right is for the MAC to say.
    file.groups[0][0].enc = other;
    assert!(!open(&file, &[&of_c]).unwrap().plaintext().same_as(key.plaintext()));
}

#[test]
fn an_entry_without_armor_is_taken_for_an_age_file() {
    let (a, of_a) = pair();
    let mut file = empty();
    give(&mut file, &DataKey::random().unwrap(), true, &[&[&a]]);
    file.groups[0][0].enc = "age-encryption.org/v1\n-> X25519 x\n\n--- x\n".to_owned();
    let locked = open(&file, &[&of_a]).unwrap_err();
    let said = locked.groups[0].keys[0].reason.to_string();
    assert!(said.contains("its MAC line is not 32 bytes"), "{said}");
}

/// Counts the questions.
struct Counting(AtomicUsize);

impl Ask for Counting {
    fn secret(&self, _prompt: &str) -> Option<Plaintext> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn line(&self, _prompt: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _text: &str) -> bool {
        true
    }
}

#[test]
fn nobody_is_asked_for_what_is_not_needed() {
    let ((a, of_a), (b, _)) = (pair(), pair());
    let key = DataKey::random().unwrap();
    let mut file = empty();
    give(&mut file, &key, true, &[&[&a, &b]]);
    let folder = tempfile::tempdir().unwrap();
    let locked: PathBuf = folder.path().join("locked");
    let recipient = age::scrypt::Recipient::new("correct horse".to_owned().into());
    let mut armored = Vec::new();
    let armor =
        age::armor::ArmoredWriter::wrap_output(&mut armored, age::armor::Format::AsciiArmor);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
    let mut writer = encryptor.wrap_output(armor.unwrap()).unwrap();
    std::io::Write::write_all(&mut writer, of_a.as_bytes()).unwrap();
    writer.finish().and_then(age::armor::ArmoredWriter::finish).unwrap();
    std::fs::write(&locked, armored).unwrap();

    let (allowed, ask) = (Allowed::default(), Counting(AtomicUsize::new(0)));
    let text = Arc::new(Plaintext::copy_of(of_a.as_bytes()));
    let inline = Source::Inline { name: "TEST".to_owned(), text };
    for (sources, asked) in
        [(vec![Source::named(locked.clone()), inline], 0), (vec![Source::named(locked)], 1)]
    {
        let mut keys = keys(Keyring::new(sources, plugins(&allowed, &ask)));
        let answer = unwrap(&[&file], &mut keys).remove(0);
        assert_eq!((answer.is_ok(), ask.0.load(Ordering::Relaxed)), (asked == 0, asked));
    }
    // An entry behind a passphrase is not asked for, whoever put it there.
    let passphrase = Plaintext::copy_of(b"x");
    let file_key = crate::format::age::new_file_key().unwrap();
    let stanzas = crate::key::identity::wrap_with_passphrase(&file_key, &passphrase).unwrap();
    let mut enc = Vec::new();
    crate::format::age::seal(&file_key, &stanzas, true, &mut b"x".as_slice(), &mut enc).unwrap();
    file.groups[0].truncate(1);
    file.groups[0][0].enc = String::from_utf8(enc).unwrap();
    let mut keys = keys(Keyring::new(Vec::new(), plugins(&allowed, &ask)));
    let locked = unwrap(&[&file], &mut keys).remove(0).unwrap_err();
    assert_eq!(ask.0.load(Ordering::Relaxed), 1);
    let said = locked.groups[0].keys[0].reason.to_string();
    assert!(said.ends_with("it is encrypted with a passphrase"), "{said}");
}

#[test]
fn many_files_are_opened_at_once_each_with_its_own_key() {
    let [(a, of_a), (b, of_b), (c, _)] = [pair(), pair(), pair()];
    let keys: Vec<DataKey> = (0..6).map(|_| DataKey::random().unwrap()).collect();
    let mut files: Vec<Metadata> = keys.iter().map(|_| empty()).collect();
    let readers = [&a, &b, &c];
    for (index, (file, key)) in files.iter_mut().zip(&keys).enumerate() {
        give(file, key, true, &[&[readers[index % 3]]]);
    }
    let all: Vec<&Metadata> = files.iter().collect();
    for (index, answer) in open_all(&all, &[&of_a, &of_b]).into_iter().enumerate() {
        match answer {
            Ok(found) => assert!(found.plaintext().same_as(keys[index].plaintext())),
            Err(_) => assert_eq!(index % 3, 2),
        }
    }
}

#[test]
fn commands_are_told_the_recipients_until_they_repeat_themselves() {
    let [(a, of_a), (b, of_b), (c, _)] = [pair(), pair(), pair()];
    let key = DataKey::random().unwrap();
    let mut file = empty();
    give(&mut file, &key, true, &[&[&c, &a, &b]]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let path = std::env::var_os("PATH").unwrap();
    let allowed = Allowed::default();
    let plugins = Plugins { allowed: &allowed, path: &path, ask: &NoAsk };
    let run = |script: &str| {
        let line = format!("sh -c {}", shell_words::quote(script));
        let source = Source::Command { name: "SOPS_AGE_KEY_CMD".to_owned(), line };
        let mut keys = keys(Keyring::new(vec![source], plugins));
        let answer = unwrap(&[&file], &mut keys).remove(0);
        let asked = std::fs::read_to_string(&log).unwrap_or_default();
        let _absent = std::fs::remove_file(&log);
        let asked: Vec<String> = asked.lines().map(str::to_owned).collect();
        (answer.is_ok(), asked, keys.tried().to_vec())
    };
    let note = format!("echo \"$SOPS_AGE_RECIPIENT\" >> '{}';", log.display());
    let names: BTreeSet<String> = [&a, &b, &c].iter().map(|key| key.name()).collect();
    assert_eq!(names.len(), 3);

    // One that looks the key up: it is asked for one after the other, until the file is open.
    let lookup = format!(
        "{note} case $SOPS_AGE_RECIPIENT in {}) echo {of_a};; {}) echo {of_b};; *) exit 1;; esac",
        a.name(),
        b.name()
    );
    let (opened, asked, _) = run(&lookup);
    assert!(opened);
    assert_eq!(asked, [c.name(), a.name()]);
    // One that gives everything at once is run once.
    let (opened, asked, _) = run(&format!("{note} echo {of_b}"));
    assert!(opened);
    assert_eq!(asked, [c.name()]);
    // One that always fails, or gives what does not fit, is run twice.
    let (opened, asked, tried) = run(&format!("{note} echo locked >&2; exit 1"));
    assert!(!opened);
    assert_eq!((asked.len(), tried.len()), (2, 1));
    assert_eq!(tried[0].what, Err("`sh` gave nothing: locked".to_owned()));
}

#[test]
fn the_long_message_has_the_frame_of_sops() {
    let ((a, _), (b, of_b)) = (pair(), pair());
    let key = DataKey::random().unwrap();
    let mut file = empty();
    give(&mut file, &key, true, &[&[&a]]);
    file.groups[0].push(kms("arn:aws:kms:eu-west-1:1:key/x"));
    let text = open(&file, &[&of_b]).unwrap_err().sops_text(&[]);
    assert_eq!(
        text,
        format!(
            "Failed to get the data key required to decrypt the SOPS file.\n\nGroup 0: FAILED\n  \
             {}: FAILED\n    - | no identity fits\n  \n  arn:aws:kms:eu-west-1:1:key/x: FAILED\n    \
             - | AWS KMS is not asked here\n\nRecovery failed because no master key was \
             able to decrypt the file. In\norder for SOPS to recover the file, at least one key \
             has to be successful,\nbut none were.",
            a.name()
        )
    );
    give(&mut file, &key, true, &[&[&a], &[&b]]);
    let text = open(&file, &[&of_b]).unwrap_err().sops_text(&[]);
    assert!(
        text.contains("Group 0: FAILED\n") && text.contains("\n\nGroup 1: SUCCESS\n\nRecovery")
    );
    assert!(text.contains("a Shamir threshold of\n2, but only 1 part(s) were"), "{text}");
}
