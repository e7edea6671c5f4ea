//! The same files and keys in other hands: old age, new age and rage open what we write, we open
//! what they write, and private keys are taken in every form that ssh-keygen, OpenSSL and age
//! give them. All with the real programs.
//!
//! `SECRETCTL_TEST_AGE_OLD`, `SECRETCTL_TEST_AGE_NEW` and `SECRETCTL_TEST_RAGE` name them (see
//! `scripts/setup`); the other programs of their packages stand beside them.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use desk::{Ran, finish, is_armored, lacks};
use secretctl::key::Recipient;

const PASSPHRASE: &str = "correct horse";
/// What the plugin `age-plugin-tagtest` is asked with.
const TAGTEST: &str = "AGE-PLUGIN-TAGTEST-1CXM4UC";

/// A folder, keys of each kind, and the programs.
struct Bench {
    folder: tempfile::TempDir,
}

struct Key {
    kind: &'static str,
    public: String,
    private: String,
}

impl Bench {
    fn new() -> Option<Self> {
        if lacks("ssh-keygen") {
            return None;
        }
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let answer = bench.file("answer", PASSPHRASE.as_bytes());
        let asked = bench.path("asked");
        let script =
            format!("#!/bin/sh\necho . >> '{}'\ncat '{}'\n", asked.display(), answer.display());
        let askpass = bench.file("askpass", script.as_bytes());
        fs::set_permissions(askpass, fs::Permissions::from_mode(0o700)).unwrap();
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// How often a passphrase was asked for.
    fn asked(&self) -> usize {
        fs::read(self.path("asked")).map_or(0, |dots| dots.len() / 2)
    }

    fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let program = program.as_ref();
        let mut path = vec![program.parent().unwrap().to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("PINENTRY_PROGRAM", "")
            .current_dir(self.folder.path())
            .args(arguments);
        command
    }

    #[track_caller]
    fn run(&self, program: impl AsRef<Path>, arguments: &[&str], input: &[u8]) -> Ran {
        finish(self.command(program, arguments), input)
    }

    /// Our program, which gets the passphrase from a program.
    fn ours(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(assert_cmd::cargo::cargo_bin("secretctl"), arguments);
        command.env("SECRETCTL_ASKPASS", self.path("askpass"));
        finish(command, input)
    }

    /// Runs a program on a terminal and gives the passphrase as often as it is asked for; the
    /// number of times.
    fn on_terminal(&self, program: impl AsRef<Path>, arguments: &[&str]) -> usize {
        let command = self.command(program, arguments);
        let mut session = rexpect::session::spawn_command(command, Some(120_000)).unwrap();
        let mut asked = 0;
        loop {
            let prompt = rexpect::ReadUntil::Regex("(?i)passphrase[^\n]*: ?".parse().unwrap());
            let seen = session.exp_any(vec![prompt, rexpect::ReadUntil::EOF]).unwrap();
            // At the end, all that is left counts as found.
            if !seen.1.trim_end().ends_with(':') {
                session.process().wait().unwrap();
                return asked;
            }
            asked = usize::saturating_add(asked, 1);
            session.send_line(PASSPHRASE).unwrap();
        }
    }

    fn keygen(&self, name: &str, arguments: &[&str]) {
        let all = [&["-q", "-C", "test only", "-f", name], arguments].concat();
        let keygen = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join("ssh-keygen"))
            .find(|program| program.is_file());
        self.run(keygen.unwrap(), &all, b"").ok();
    }

    /// The public line of an SSH key pair.
    fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// An age key, made by the program that comes with a peer; its public half.
    fn age_key(&self, peer: &Path, name: &str, arguments: &[&str]) -> String {
        let program = peer.file_name().unwrap().to_str().unwrap();
        let keygen = peer.with_file_name(format!("{program}-keygen"));
        self.run(keygen, &[arguments, &["-o", name]].concat(), b"").ok();
        let text = fs::read_to_string(self.path(name)).unwrap();
        let line = text.lines().find_map(|line| line.split_once("public key: ")).unwrap();
        line.1.trim().to_owned()
    }

    /// One key of each kind that all programs know.
    fn keys(&self, peer: &Path) -> Vec<Key> {
        self.keygen("ed25519", &["-t", "ed25519", "-N", ""]);
        self.keygen("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
        let ssh = ["ed25519", "rsa"].map(|kind| Key {
            kind,
            public: self.public(kind),
            private: kind.to_owned(),
        });
        let public = self.age_key(peer, "x25519", &[]);
        let age = Key { kind: "x25519", public, private: "x25519".to_owned() };
        ssh.into_iter().chain([age]).collect()
    }
}

/// The other programs that are there, each with its name.
fn peers() -> Vec<(&'static str, PathBuf)> {
    let variables = ["SECRETCTL_TEST_AGE_OLD", "SECRETCTL_TEST_AGE_NEW", "SECRETCTL_TEST_RAGE"];
    variables.into_iter().filter_map(|name| Some((name, desk::peer(name, true)?))).collect()
}

fn new_age() -> Option<PathBuf> {
    desk::peer("SECRETCTL_TEST_AGE_NEW", true)
}

/// Nothing, a line, and several chunks.
fn contents() -> [String; 3] {
    let long = (0..20_000).fold(String::new(), |mut text, n| {
        write!(text, "{n},").unwrap();
        text
    });
    [String::new(), "a secret\n".to_owned(), long]
}

fn lists_readers(file: &Path) -> bool {
    let bytes = fs::read(file).unwrap();
    bytes.windows(23).any(|part| part == b"\n-> secretctl-readers v1".get(..23).unwrap())
}

#[test]
fn others_open_what_we_write() {
    let Some(bench) = Bench::new() else { return };
    for (name, peer) in peers() {
        for key in bench.keys(&peer) {
            for content in contents() {
                for form in [&[][..], &["--armor"]] {
                    let to = ["encrypt", "-r", &key.public, "-o", "ours.age"];
                    let _absent = fs::remove_file(bench.path("ours.age"));
                    let empty = if content.is_empty() { &["--allow-empty"][..] } else { &[] };
                    bench.ours(&[&to, form, empty].concat(), content.as_bytes()).ok();
                    let file = bench.path("ours.age");
                    assert_eq!(is_armored(&file), !form.is_empty());
                    assert!(is_armored(&file) || lists_readers(&file));
                    let read = bench.run(&peer, &["-d", "-i", &key.private, "ours.age"], b"");
                    assert_eq!(read.ok().out, content, "{name} {}", key.kind);
                }
            }
            fs::remove_file(bench.path(&key.private)).unwrap();
        }
    }
}

#[test]
fn we_open_what_others_write() {
    let Some(bench) = Bench::new() else { return };
    for (name, peer) in peers() {
        for key in bench.keys(&peer) {
            for content in contents() {
                let _absent = fs::remove_file(bench.path("theirs.age"));
                let to = ["-r", &key.public, "-o", "theirs.age"];
                bench.run(&peer, &to, content.as_bytes()).ok();
                let open = ["decrypt", "-i", &key.private, "theirs.age"];
                assert_eq!(bench.ours(&open, b"").ok().out, content, "{name} {}", key.kind);

                let armored = bench.run(&peer, &["-a", "-r", &key.public], content.as_bytes()).ok();
                for text in [armored.out.replace('\n', "\r\n"), armored.out.clone()] {
                    bench.file("theirs.age", text.as_bytes());
                    assert_eq!(bench.ours(&open, b"").ok().out, content, "{name} {}", key.kind);
                }
                fs::remove_file(bench.path("theirs.age")).unwrap();
            }
            fs::remove_file(bench.path(&key.private)).unwrap();
        }
    }
}

#[test]
fn a_rekey_of_their_file_is_theirs_to_open() {
    let Some(bench) = Bench::new() else { return };
    for (name, peer) in peers() {
        let keys = bench.keys(&peer);
        let to: Vec<&str> = keys.iter().flat_map(|key| ["-r", key.public.as_str()]).collect();
        bench.run(&peer, &[&to[..4], &["-o", "s.age"]].concat(), b"content").ok();
        let mut users = String::new();
        for key in &keys {
            writeln!(users, "  {}: {}", key.kind, key.public).unwrap();
        }
        let rules = format!(
            "users:\n{users}secrets:\n  - path: s.age\n    readers: [ed25519, rsa, x25519]\n"
        );
        bench.file("secretctl.yaml", rules.as_bytes());
        let rekey = ["rekey", "-i", "ed25519"];
        let ran = bench.ours(&rekey, b"").ok();
        assert!(ran.err.contains("+x25519"), "{name} {ran:?}");
        assert_eq!(bench.ours(&["rekey", "--check"], b"").code, 0);
        for key in &keys {
            let read = bench.run(&peer, &["-d", "-i", &key.private, "s.age"], b"").ok();
            assert_eq!(read.out, "content", "{name} {}", key.kind);
        }
        bench.file("secretctl.yaml", rules.replace("ed25519, rsa, ", "").as_bytes());
        bench.ours(&rekey, b"").ok();
        let read = |key: &Key| bench.run(&peer, &["-d", "-i", &key.private, "s.age"], b"");
        assert_eq!(read(&keys[2]).ok().out, "content");
        assert!(read(&keys[0]).code != 0 && read(&keys[1]).code != 0);
        for key in &keys {
            fs::remove_file(bench.path(&key.private)).unwrap();
        }
        fs::remove_file(bench.path("s.age")).unwrap();
    }
}

/// rage puts a stanza of a random type into every header, which nobody may take for a reader.
#[test]
fn grease_is_no_reader() {
    let Some(bench) = Bench::new() else { return };
    let Some(rage) = desk::peer("SECRETCTL_TEST_RAGE", true) else { return };
    let public = bench.age_key(&rage, "key", &[]);
    bench.keygen("ssh", &["-t", "ed25519", "-N", ""]);
    let ssh = bench.public("ssh");
    bench.file(
        "secretctl.yaml",
        format!("users:\n  me: {ssh}\nsecrets:\n  - path: \"*.age\"\n    readers: [me]\n")
            .as_bytes(),
    );
    for number in 0..20 {
        let name = format!("{number}.age");
        bench.run(&rage, &["-r", &ssh, "-o", &name], name.as_bytes()).ok();
        let bytes = fs::read(bench.path(&name)).unwrap();
        assert!(bytes.windows(7).any(|part| part == b"-grease"));
        assert_eq!(bench.ours(&["decrypt", "-i", "ssh", &name], b"").ok().out, name);
    }
    let ran = bench.ours(&["rekey", "--check"], b"").ok();
    assert!(ran.err.contains("20 files have the right readers"), "{ran:?}");
    bench.run(&rage, &["-r", &ssh, "-r", &public, "-o", "20.age"], b"x").ok();
    assert_eq!(bench.ours(&["rekey", "--check"], b"").code, 1);
}

#[test]
fn passphrases_work_both_ways() {
    let Some(bench) = Bench::new() else { return };
    for form in [&[][..], &["--armor"]] {
        let ours = bench.ours(&[&["encrypt", "-p", "-o", "ours.age"], form].concat(), b"ours");
        ours.ok();
        for (name, peer) in peers() {
            let _absent = fs::remove_file(bench.path("out"));
            let asked = bench.on_terminal(&peer, &["-d", "-o", "out", "ours.age"]);
            assert_eq!(asked, 1, "{name}");
            assert_eq!(fs::read_to_string(bench.path("out")).unwrap(), "ours", "{name}");
        }
    }
    let before = bench.asked();
    bench.file("plain", b"theirs");
    for (index, (name, peer)) in peers().into_iter().enumerate() {
        bench.on_terminal(&peer, &["-p", "-o", "theirs.age", "plain"]);
        let ran = bench.ours(&["decrypt", "theirs.age"], b"").ok();
        assert_eq!(ran.out, "theirs", "{name}");
        assert_eq!(bench.asked(), before + index + 1);
        fs::remove_file(bench.path("theirs.age")).unwrap();
    }
    if let Some(age) = new_age() {
        let mut theirs = bench.command(&age, &["-d", "-j", "batchpass", "ours.age"]);
        theirs.env("AGE_PASSPHRASE", PASSPHRASE);
        assert_eq!(finish(theirs, b"").ok().out, "ours");
        let mut theirs = bench.command(&age, &["-e", "-j", "batchpass", "-o", "theirs.age"]);
        theirs.env("AGE_PASSPHRASE", PASSPHRASE).env("AGE_PASSPHRASE_WORK_FACTOR", "10");
        finish(theirs, b"batch").ok();
        assert_eq!(bench.ours(&["decrypt", "theirs.age"], b"").ok().out, "batch");
    }
}

#[test]
fn post_quantum_keys_work_both_ways() {
    let Some(bench) = Bench::new() else { return };
    let Some(age) = new_age() else { return };
    let public = bench.age_key(&age, "pq", &["-pq"]);
    let other = bench.age_key(&age, "other", &["-pq"]);
    for content in contents() {
        let _absent = fs::remove_file(bench.path("pq.age"));
        let empty = if content.is_empty() { &["--allow-empty"][..] } else { &[] };
        let ours = ["encrypt", "-r", &other, "-r", &public, "-o", "pq.age"];
        bench.ours(&[&ours, empty].concat(), content.as_bytes()).ok();
        assert_eq!(bench.run(&age, &["-d", "-i", "pq", "pq.age"], b"").ok().out, content);
        fs::remove_file(bench.path("pq.age")).unwrap();
        let theirs = ["-r", &public, "-r", &other, "-o", "pq.age"];
        bench.run(&age, &theirs, content.as_bytes()).ok();
        assert_eq!(bench.ours(&["decrypt", "-i", "pq", "pq.age"], b"").ok().out, content);
    }
    // A file is only as good against quantum computers as its weakest stanza.
    let classic = bench.age_key(&age, "classic", &[]);
    let ran = bench.ours(&["encrypt", "-r", &public, "-r", &classic], b"x");
    assert!(ran.code == 2 && ran.err.contains("post-quantum"), "{ran:?}");
}

/// Keys of hardware: everybody can encrypt to them, a plugin opens. The one for tests has its keys
/// built in.
#[test]
fn tagged_keys_are_opened_by_their_plugin() {
    let Some(bench) = Bench::new() else { return };
    let Some(age) = new_age() else { return };
    let plugin = age.with_file_name("age-plugin-tagtest");
    if !plugin.is_file() {
        println!("skipped: age-plugin-tagtest is not there");
        return;
    }
    bench.file("identity", TAGTEST.as_bytes());
    let program = fs::read(fs::canonicalize(plugin).unwrap()).unwrap();
    let program = if program.starts_with(b"#!") { real_program(&age) } else { program };
    for prefix in ["age1tag1", "age1tagpq1"] {
        let public = built_in(&program, prefix).unwrap();
        bench.ours(&["encrypt", "-r", &public, "-o", "tag.age"], b"tagged").ok();
        let read = bench.run(&age, &["-d", "-i", "identity", "tag.age"], b"").ok();
        assert_eq!(read.out, "tagged", "{prefix}");
        let mut ours = bench.command(
            assert_cmd::cargo::cargo_bin("secretctl"),
            &["decrypt", "--plugin", "tagtest", "-i", "identity", "tag.age"],
        );
        let mut path = vec![age.parent().unwrap().to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        ours.env("PATH", std::env::join_paths(path).unwrap());
        assert_eq!(finish(ours, b"").ok().out, "tagged", "{prefix}");
        fs::remove_file(bench.path("tag.age")).unwrap();
    }
}

/// Where the programs beside `age` are scripts that start the real ones.
fn real_program(age: &Path) -> Vec<u8> {
    let root = age.parent().unwrap().with_file_name("root");
    fs::read(root.join("usr/bin/age-plugin-tagtest")).unwrap()
}

/// The recipient that stands in a program, if any.
fn built_in(program: &[u8], prefix: &str) -> Option<String> {
    let starts = program.windows(prefix.len()).enumerate();
    let mut starts = starts.filter(|(_, part)| *part == prefix.as_bytes()).map(|(at, _)| at);
    starts.find_map(|start| {
        let text = program.iter().skip(start).take(2100);
        let text: String =
            text.map_while(|b| b.is_ascii_alphanumeric().then_some(char::from(*b))).collect();
        let ends = (prefix.len()..=text.len()).rev();
        let mut candidates = ends.map(|end| &text[..end]);
        candidates.find(|text| Recipient::parse(text).is_ok()).map(str::to_owned)
    })
}

/// Encrypts to a public key and opens with a private one in another form.
#[track_caller]
fn opens(bench: &Bench, public: &str, private: &str) {
    bench.ours(&["encrypt", "-r", public, "-o", "x.age"], b"content").ok();
    let ran = bench.ours(&["decrypt", "-i", private, "x.age"], b"").ok();
    assert_eq!(ran.out, "content", "{private}");
    fs::remove_file(bench.path("x.age")).unwrap();
}

#[test]
fn private_keys_in_pem_open() {
    let Some(bench) = Bench::new() else { return };
    for form in ["PEM", "PKCS8", "RFC4716"] {
        bench.keygen(form, &["-t", "rsa", "-b", "2048", "-m", form, "-N", ""]);
        opens(&bench, &bench.public(form), form);
    }
    let Some(openssl) = openssl() else { return };
    bench.run(openssl, &["genpkey", "-algorithm", "ed25519", "-out", "pem"], b"").ok();
    let shown = bench.ours(&["keys", "show", "pem"], b"").ok().out;
    let public = shown.lines().next().unwrap();
    opens(&bench, public, "pem");
    if let Some(age) = new_age() {
        bench.ours(&["encrypt", "-r", public, "-o", "x.age"], b"content").ok();
        assert_eq!(bench.run(age, &["-d", "-i", "pem", "x.age"], b"").ok().out, "content");
    }
}

fn openssl() -> Option<PathBuf> {
    if lacks("openssl") {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join("openssl")).find(|p| p.is_file())
}

#[test]
fn openssh_keys_behind_every_cipher_open() {
    let Some(bench) = Bench::new() else { return };
    let ciphers = Command::new("ssh").args(["-Q", "cipher"]).output();
    let ciphers = ciphers.map(|output| String::from_utf8(output.stdout).unwrap());
    let ciphers = ciphers.unwrap_or_else(|_| "aes256-ctr\naes256-cbc\n".to_owned());
    for cipher in ciphers.lines() {
        // Few rounds, so that a test takes no minute.
        let arguments = ["-t", "ed25519", "-Z", cipher, "-a", "2", "-N", PASSPHRASE];
        bench.keygen(cipher, &arguments);
        let before = bench.asked();
        opens(&bench, &bench.public(cipher), cipher);
        assert_eq!(bench.asked(), before + 1, "{cipher}");
    }
    bench.keygen("rsa", &["-t", "rsa", "-b", "2048", "-a", "2", "-N", PASSPHRASE]);
    opens(&bench, &bench.public("rsa"), "rsa");
}

#[test]
fn pkcs8_behind_a_passphrase_opens() {
    let Some(bench) = Bench::new() else { return };
    let Some(openssl) = openssl() else { return };
    bench.keygen("rsa", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""]);
    for (name, how) in [
        ("aes-256", &["-v2", "aes-256-cbc"][..]),
        ("aes-128", &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"]),
        ("scrypt", &["-scrypt", "-scrypt_N", "1024"]),
        ("triple", &["-v2", "des3"]),
    ] {
        let passphrase = format!("pass:{PASSPHRASE}");
        let common = ["pkcs8", "-topk8", "-in", "rsa", "-out", name, "-passout", &passphrase];
        bench.run(&openssl, &[&common, how].concat(), b"").ok();
        opens(&bench, &bench.public("rsa"), name);
    }
    bench.keygen("own", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", PASSPHRASE]);
    opens(&bench, &bench.public("own"), "own");
}

/// What is too weak or too old to be taken is refused with the command that makes it better.
#[test]
fn old_encryption_of_keys_is_named() {
    let Some(bench) = Bench::new() else { return };
    let Some(openssl) = openssl() else { return };
    bench.keygen("old", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", PASSPHRASE]);
    bench.ours(&["encrypt", "-r", &bench.public("old"), "-o", "x.age"], b"content").ok();
    let ran = bench.ours(&["decrypt", "-i", "old", "x.age"], b"");
    assert!(ran.code == 2 && ran.err.contains("ssh-keygen -p -f"), "{ran:?}");
    assert_eq!(bench.asked(), 0);
    bench.keygen("rsa", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""]);
    let passphrase = format!("pass:{PASSPHRASE}");
    for how in [&["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"][..], &["-v1", "PBE-SHA1-3DES"]] {
        let common = ["pkcs8", "-topk8", "-in", "rsa", "-out", "weak", "-passout", &passphrase];
        bench.run(&openssl, &[&common, how].concat(), b"").ok();
        let ran = bench.ours(&["decrypt", "-i", "weak", "x.age"], b"");
        assert!(ran.code == 2 && ran.err.contains("openssl pkcs8 -topk8"), "{how:?} {ran:?}");
    }
}

/// An identity file that is itself encrypted with a passphrase, as all three programs make it.
#[test]
fn encrypted_identity_files_open() {
    let Some(bench) = Bench::new() else { return };
    for (name, peer) in peers() {
        for form in [&[][..], &["-a"]] {
            let public = bench.age_key(&peer, "key", &[]);
            bench.on_terminal(&peer, &[form, &["-p", "-o", "key.age", "key"]].concat());
            fs::remove_file(bench.path("key")).unwrap();
            let before = bench.asked();
            opens(&bench, &public, "key.age");
            assert_eq!(bench.asked(), before + 1, "{name}");
            fs::remove_file(bench.path("key.age")).unwrap();
        }
    }
}

/// What was encrypted to the age key that ssh-to-age makes of a host's SSH key opens with the SSH
/// key itself, also behind a passphrase.
#[test]
fn a_file_for_a_converted_ssh_key_opens_with_the_ssh_key() {
    let Some(bench) = Bench::new() else { return };
    bench.keygen("host", &["-t", "ed25519", "-N", ""]);
    bench.keygen("locked", &["-t", "ed25519", "-a", "2", "-N", PASSPHRASE]);
    for name in ["host", "locked"] {
        let public = bench.ours(&["keys", "convert", &format!("{name}.pub")], b"").ok().out;
        assert!(public.starts_with("age1"));
        opens(&bench, public.trim(), name);
    }
    let public = bench.ours(&["keys", "convert", "host.pub"], b"").ok().out;
    let private = bench.ours(&["keys", "convert", "--private-key", "host"], b"").ok().out;
    bench.file("converted", private.as_bytes());
    for (name, peer) in peers() {
        bench.run(&peer, &["-r", public.trim(), "-o", "x.age"], b"theirs").ok();
        let read = bench.ours(&["decrypt", "-i", "host", "x.age"], b"").ok();
        assert_eq!(read.out, "theirs", "{name}");
        let read = bench.run(&peer, &["-d", "-i", "converted", "x.age"], b"").ok();
        assert_eq!(read.out, "theirs", "{name}");
        fs::remove_file(bench.path("x.age")).unwrap();
    }
}

#[test]
fn one_passphrase_opens_many_files() {
    let Some(bench) = Bench::new() else { return };
    bench.keygen("locked", &["-t", "ed25519", "-a", "2", "-N", PASSPHRASE]);
    // Another key with the same passphrase, which only half of the files need.
    bench.keygen("second", &["-t", "ed25519", "-a", "2", "-N", PASSPHRASE]);
    let rules = format!(
        "users:\n  one: {}\n  two: {}\nsecrets:\n  - path: \"1*.age\"\n    readers: [one]\n  - \
         path: \"*.age\"\n    readers: [two]\n",
        bench.public("locked"),
        bench.public("second")
    );
    bench.file("secretctl.yaml", rules.as_bytes());
    for number in 0..20 {
        bench.ours(&["encrypt", "-o", &format!("{number}.age")], b"x").ok();
    }
    assert_eq!(bench.asked(), 0);
    let rekey = ["rekey", "--force", "-i", "locked", "-i", "second"];
    bench.ours(&rekey, b"").ok();
    assert_eq!(bench.asked(), 1);
    let before = fs::read(bench.path("7.age")).unwrap();
    let asked = bench.on_terminal(assert_cmd::cargo::cargo_bin("secretctl"), &rekey);
    assert_eq!(asked, 1);
    assert_ne!(fs::read(bench.path("7.age")).unwrap(), before);
    // What needs no key asks for none.
    assert_eq!(bench.on_terminal(assert_cmd::cargo::cargo_bin("secretctl"), &["rekey"]), 0);
}
