//! Tests of [`super`] with the real plugins of age, found in the folder that
//! `SECRETCTL_TEST_PEERS` names, or in `PATH`.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use super::*;
use crate::key::{NoAsk, Recipient};
use crate::process::{clean_command, find_program};

/// A real program, or `None` with a note.
fn peer(name: &str) -> Option<PathBuf> {
    let peers = std::env::var_os("SECRETCTL_TEST_PEERS").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        find_program(OsStr::new(name), &peers).or_else(|| find_program(OsStr::new(name), &path));
    if found.is_none() {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "{name} is missing");
        println!("skipped: there is no {name}");
    }
    found
}

fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder with a program that counts its starts before it becomes the real one.
fn counting(name: &str, real: &Path, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (at, real) = (folder.path().display(), real.display());
    program(folder.path(), name, &format!("echo x >>{at}/starts\n{more}\nexec {real} \"$@\""));
    folder
}

fn starts(folder: &tempfile::TempDir) -> usize {
    std::fs::read_to_string(folder.path().join("starts")).unwrap_or_default().lines().count()
}

fn run(program: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = clean_command(program, &[])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn keys(count: u8) -> Vec<FileKey> {
    (0..count).map(|i| FileKey::new(Box::new([i; 16]))).collect()
}

fn same(a: &FileKey, b: &FileKey) -> bool {
    a.expose_secret() == b.expose_secret()
}

#[test]
fn fifty_files_go_through_one_process() {
    let (Some(keygen), Some(real)) = (peer("age-keygen"), peer("age-plugin-pq")) else { return };
    let secret = run(&keygen, &["-pq"], "");
    let recipient = run(&keygen, &["-y"], &secret);
    if secret.is_empty() {
        println!("skipped: this age-keygen knows no -pq");
        return;
    }
    let identity = run(&real, &["-identity"], &secret);
    let identity = identity.lines().find(|line| line.starts_with("AGE-PLUGIN-PQ-1")).unwrap();
    let identity = Plaintext::copy_of(identity.as_bytes());
    let folder = counting("age-plugin-pq", &real, "");
    let allowed = Allowed::parse("pq");
    let plugins = Plugins { allowed: &allowed, path: folder.path().as_os_str(), ask: &NoAsk };

    let keys = keys(50);
    let recipient: Recipient = Recipient::parse(&recipient).unwrap();
    let mut headers: Vec<Vec<Stanza>> =
        keys.iter().map(|key| recipient.wrap(key).unwrap().unwrap().stanzas).collect();
    headers.push(vec![Stanza { tag: "other".into(), args: vec!["x".into()], body: vec![1, 2] }]);
    let headers: Vec<Stanzas> = headers.iter().map(Stanzas::from_iter).collect();
    let parts: Vec<&Stanzas> = headers.iter().collect();
    let results = plugins.unwrap_batch("pq", &[&identity], &parts).unwrap();
    assert_eq!(results.len(), 51);
    for (result, key) in results.iter().zip(&keys) {
        assert!(same(result.as_ref().unwrap(), key));
    }
    assert_eq!(results.last().unwrap().as_ref().err(), Some(&PluginFileError::NoMatch));
    assert_eq!(starts(&folder), 1);

    let all: Vec<&FileKey> = keys.iter().collect();
    let wrapped = plugins.wrap_batch("pq", &[recipient.canonical()], &[], &all).unwrap();
    assert_eq!(wrapped.len(), 50);
    assert_eq!(starts(&folder), 2);
    assert_eq!(wrapped[7].labels, BTreeSet::from(["postquantum".to_owned()]));
    let headers: Vec<Stanzas> =
        wrapped.iter().map(|one| Stanzas::from_iter(&one.stanzas)).collect();
    let parts: Vec<&Stanzas> = headers.iter().collect();
    let results = plugins.unwrap_batch("pq", &[&identity], &parts).unwrap();
    assert!(results.iter().zip(&keys).all(|(result, key)| same(result.as_ref().unwrap(), key)));
}

#[test]
fn a_plugin_that_takes_one_file_at_a_time_serves_many() {
    let Some(real) = peer("age-plugin-batchpass") else { return };
    // Each file gets a label of its own, so that the plugin refuses several at once.
    let more = "export AGE_PASSPHRASE=horse AGE_PASSPHRASE_WORK_FACTOR=10";
    let folder = counting("age-plugin-batchpass", &real, more);
    let allowed = Allowed::parse("BatchPass");
    let plugins = Plugins { allowed: &allowed, path: folder.path().as_os_str(), ask: &NoAsk };
    let identity = crate::key::bech32::encode("age-plugin-batchpass-", b"").unwrap();
    let identity = Plaintext::new(identity.to_ascii_uppercase().into_bytes());
    let keys = keys(3);
    let all: Vec<&FileKey> = keys.iter().collect();
    let wrapped = plugins.wrap_batch("batchpass", &[], &[&identity], &all).unwrap();
    let headers: Vec<Stanzas> =
        wrapped.iter().map(|one| Stanzas::from_iter(&one.stanzas)).collect();
    let parts: Vec<&Stanzas> = headers.iter().collect();
    let results = plugins.unwrap_batch("batchpass", &[&identity], &parts).unwrap();
    assert!(results.iter().zip(&keys).all(|(result, key)| same(result.as_ref().unwrap(), key)));
}

#[derive(Default)]
struct Script(Mutex<Vec<String>>);

impl Ask for Script {
    fn secret(&self, prompt: &str) -> Option<Plaintext> {
        self.0.lock().unwrap().push(format!("secret {prompt}"));
        Some(Plaintext::copy_of(b"1234"))
    }
    fn line(&self, prompt: &str) -> Option<String> {
        self.0.lock().unwrap().push(format!("line {prompt}"));
        None
    }
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.lock().unwrap().push(format!("confirm {message} {yes} {no:?}"));
        Some(false)
    }
    fn message(&self, text: &str) -> bool {
        self.0.lock().unwrap().push(format!("message {text}"));
        true
    }
}

/// Runs a plugin that is a shell script on two files with a stanza each; what it wrote down.
fn scripted(script: &str, ask: &dyn Ask) -> (Outcome, String) {
    let folder = tempfile::tempdir().unwrap();
    let read = "until [ \"$line\" = '-> done' ]; do read -r line; done; read -r line\n\
        answer() { read -r line && echo \"$line\" >>$at/log; read -r line; echo \"$line\" >>$at/log; }";
    let at = folder.path().display();
    program(folder.path(), "age-plugin-x", &format!("at={at}\n{read}\n{script}"));
    let path: OsString =
        std::env::join_paths(["relative", ".", folder.path().to_str().unwrap()]).unwrap();
    let allowed = Allowed::parse("y, x");
    let plugins = Plugins { allowed: &allowed, path: &path, ask };
    let one = Stanza { tag: "t".into(), args: vec![], body: vec![] };
    let (a, b) = (Stanzas::from_iter([&one]), Stanzas::from_iter([&one]));
    let identity = Plaintext::copy_of(b"AGE-PLUGIN-X-1");
    let outcome = plugins.unwrap_batch("X", &[&identity], &[&a, &b]);
    (outcome, std::fs::read_to_string(folder.path().join("log")).unwrap_or_default())
}

type Outcome = Result<Vec<Result<FileKey, PluginFileError>>, PluginError>;

#[test]
fn questions_reach_the_user_clean_and_answers_the_plugin() {
    // "touch<ESC>[1m me", "PIN", "plug in", "skip", "name", a key of zeros
    let script = "printf -- '-> msg\\ndG91Y2gbWzFtIG1l\\n'; answer
        printf -- '-> request-secret\\nUElO\\n'; answer
        printf -- '-> confirm cGx1ZyBpbg c2tpcA\\nUElO\\n'; answer
        printf -- '-> request-public\\nbmFtZQ\\n'; answer
        printf -- '-> grease-42 x\\n\\n'; answer
        printf -- '-> file-key 1\\nAAAAAAAAAAAAAAAAAAAAAA\\n'; answer
        printf -- '-> error stanza 0 0\\nUElO\\n'; answer
        printf -- '-> done\\n\\n'";
    let ask = Script::default();
    let (outcome, log) = scripted(script, &ask);
    let files = outcome.unwrap();
    assert_eq!(files[0].as_ref().err(), Some(&PluginFileError::Stanza { message: "PIN".into() }));
    assert!(same(files[1].as_ref().unwrap(), &FileKey::new(Box::new([0; 16]))));
    assert_eq!(
        *ask.0.lock().unwrap(),
        [
            "message age-plugin-x: touch [1m me",
            "secret age-plugin-x: PIN",
            "confirm age-plugin-x: PIN plug in Some(\"skip\")",
            "line age-plugin-x: name",
        ]
    );
    assert_eq!(
        log,
        "-> ok\n\n-> ok\nMTIzNA\n-> ok no\n\n-> fail\n\n-> unsupported\n\n-> ok\n\n-> ok\n\n"
    );
}

#[test]
fn plugins_that_break_the_rules_are_errors() {
    for (script, part) in [
        ("echo 'no \x1b[31mkey here' >&2; exit 1", "ended early: no  [31mkey here"),
        ("echo hello", "a command that is no stanza"),
        ("printf -- '-> file-key 2\\nAAAAAAAAAAAAAAAAAAAAAA\\n'; answer", "unknown file"),
        ("printf -- '-> file-key 0\\nAAAA\\n'; answer", "not 16 bytes"),
        ("printf -- '-> x '; yes | tr -d '\\n'", "more than 256 KiB"),
    ] {
        let (outcome, _) = scripted(script, &NoAsk);
        let error = outcome.err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
    let (outcome, _) = scripted(
        "printf -- '-> error internal\\nUElO\\n'; answer; printf -- '-> done\\n\\n'",
        &NoAsk,
    );
    let failed = PluginFileError::Failed { messages: vec!["PIN".into()] };
    assert!(outcome.unwrap().iter().all(|file| file.as_ref().err() == Some(&failed)));
}

#[test]
fn only_allowed_plugins_from_absolute_folders_run() {
    let allowed = Allowed::parse("pq,../x,");
    assert!(allowed.permits("PQ", &NoAsk) && !allowed.permits("../x", &NoAsk));
    let plugins = Plugins { allowed: &allowed, path: OsStr::new("."), ask: &NoAsk };
    let error = plugins.unwrap_batch("yubikey", &[], &[]).err().unwrap();
    assert!(matches!(error, PluginError::NotAllowed { .. }));
    assert!(error.remedy().unwrap().contains("SECRETCTL_PLUGINS=yubikey"));
    for name in ["../x", "", "a/b"] {
        let error = plugins.wrap_batch(name, &[], &[], &[]).err().unwrap();
        assert!(matches!(error, PluginError::NotAllowed { .. }), "{error}");
    }
    let error = plugins.unwrap_batch("pq", &[], &[]).err().unwrap();
    assert_eq!(error.to_string(), "there is no program `age-plugin-pq` in PATH");
}
