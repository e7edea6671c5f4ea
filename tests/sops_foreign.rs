//! The real sops and ours under its name, given the same documents: each decrypts what the other
//! wrote, to the same bytes. Random documents of every kind, every selector.
//!
//! `SECRETCTL_TEST_SOPS_NEW` and `SECRETCTL_TEST_SOPS_OLD` name the real ones (see
//! `scripts/setup`).

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use desk::{Ran, finish, peer};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A folder with an age key, and the programs.
struct Bench {
    folder: tempfile::TempDir,
    new: PathBuf,
    old: PathBuf,
    ours: PathBuf,
}

/// test only
const SECRET: &str = "AGE-SECRET-KEY-1D7C87XTJDNNUHSYNVZU5KRJ4W2YMXAYVV352MGHNNNDYA5LFHJ4QP8WPUU";

impl Bench {
    fn new() -> Option<Self> {
        let new = peer("SECRETCTL_TEST_SOPS_NEW", true)?;
        let old = peer("SECRETCTL_TEST_SOPS_OLD", true)?;
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("sops");
        std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin("secretctl"), &ours).unwrap();
        Some(Self { folder, new, old, ours })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &Path, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SOPS_AGE_KEY", SECRET)
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .current_dir(self.folder.path());
        finish(command, input)
    }

    /// Encrypts a text; `None` where the program will not.
    fn encrypt(&self, program: &Path, kind: &str, rule: &[&str], text: &str) -> Option<String> {
        let mut arguments = vec!["--age", RECIPIENT];
        arguments.extend(rule);
        arguments.extend(["--input-type", kind, "--output-type", kind, "-e", "/dev/stdin"]);
        let ran = self.run(program, &arguments, text.as_bytes());
        (ran.code == 0).then_some(ran.out)
    }

    fn decrypt(&self, program: &Path, kind: &str, text: &str) -> Ran {
        let arguments = ["--input-type", kind, "--output-type", kind, "-d", "/dev/stdin"];
        self.run(program, &arguments, text.as_bytes())
    }

    /// Both programs read what both wrote.
    fn check(&self, kind: &str, rule: &[&str], text: &str) {
        let Some(theirs) = self.encrypt(&self.new, kind, rule, text) else {
            // What they refuse we may take, but never write what they cannot read.
            if let Some(ours) = self.encrypt(&self.ours, kind, rule, text) {
                let read = self.decrypt(&self.new, kind, &ours);
                assert_eq!(read.code, 0, "{kind} {rule:?}\n{text}\n---\n{ours}\n{read:?}");
            }
            return;
        };
        let truth = self.decrypt(&self.new, kind, &theirs);
        if truth.code != 0 {
            return; // one of its own defects
        }
        let read = self.decrypt(&self.ours, kind, &theirs);
        assert!(
            read.code == 0 && read.out == truth.out,
            "we do not read theirs: {kind} {rule:?}\n{text}\n--- theirs\n{theirs}\n--- truth\n{}\n--- we\n{}\n{}",
            truth.out,
            read.out,
            read.err
        );
        let ours = self.encrypt(&self.ours, kind, rule, text);
        let Some(ours) = ours else { panic!("we do not encrypt: {kind} {rule:?}\n{text}") };
        assert_eq!(shape(&ours), shape(&theirs), "another shape: {kind} {rule:?}\n{text}");
        // 3.13.1 cannot read all that the newest writes: then it need not read ours.
        let before = self.decrypt(&self.old, kind, &theirs);
        let old = (before.code == 0 && before.out == truth.out).then_some(&self.old);
        for program in [&self.new, &self.ours].into_iter().chain(old) {
            let read = self.decrypt(program, kind, &ours);
            assert!(
                read.code == 0 && read.out == truth.out,
                "{} does not read ours: {kind} {rule:?}\n{text}\n--- ours\n{ours}\n--- theirs\n{theirs}\n--- truth\n{}\n--- read\n{}\n{}",
                program.display(),
                truth.out,
                read.out,
                read.err
            );
        }
    }
}

/// An encrypted document without what is random in it.
fn shape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("ENC[") {
        let (before, found) = rest.split_at(at);
        let end = found.find(']').map_or(found.len(), |end| end + 1);
        let (value, after) = found.split_at(end);
        let kind = value.split("type:").nth(1).unwrap_or_default();
        let _ = write!(out, "{before}ENC[{kind}");
        rest = after;
    }
    out.push_str(rest);
    // The age file of the data key, and the time.
    let mut skip = false;
    let mut kept = String::new();
    for line in out.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN AGE");
        let ends = line.contains("-----END AGE");
        if begins && ends {
            continue;
        }
        skip |= begins;
        if !skip && !line.contains("lastmodified") {
            kept.push_str(line);
        }
        skip &= !ends;
    }
    kept
}

const RULES: &[&[&str]] = &[
    &[],
    &["--unencrypted-suffix", "_plain"],
    &["--encrypted-suffix", "_secret"],
    &["--unencrypted-regex", "^(b|plain)"],
    &["--encrypted-regex", "^(a|secret)"],
    &["--encrypted-comment-regex", "sops:enc"],
    &["--unencrypted-comment-regex", "sops:clear"],
    &["--mac-only-encrypted", "--encrypted-regex", "^(a|secret)"],
];
/// Of the secret key above.
const RECIPIENT: &str = "age1xh6uqws993qmauy8h7yxpcttlhga55j0sdlzm7vukyfgtjwsss3q268fgp";

// Documents -------------------------------------------------------------------------------------

/// A document that every kind can be printed from.
#[derive(Debug, Clone)]
enum Doc {
    Scalar(String),
    Map(Vec<(String, Doc)>),
    List(Vec<Doc>),
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "a", "b", "plain", "secret", "token", "x_unencrypted", "x_secret", "x_plain", "k1",
            "with space", "q:z", "ünï", "key.with.dots", "UPPER", "a_b",
        ]).prop_map(str::to_owned),
        1 => "[a-z]{1,8}",
    ]
}

/// A scalar as it stands in YAML.
fn yaml_scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "text", "'single quoted'", "\"double \\n quoted\"", "1", "-17", "0x1F", "017", "0o17",
            "0b11", "1_000", "1.5", "1.0", "-0.0", "1e3", "1e21", "6.02e+23", ".5", "true", "false",
            "True", "yes", "no", "on", "null", "~", "''", "\"\"", "2024-01-01",
            "2024-01-01T10:20:30Z", "2001-12-14t21:59:43.10-05:00", "'2024-01-01'", "\"1\"",
            "'true'", "a b c", "http://example.com/x?y=z", "\"tab\\there\"", "\"\\u00e9\\U0001F600\"",
            "'it''s'", "text # no", "- ", "'- x'", "'{a}'", "\"  padded \"", "0777", "1:30", "=", "<<",
            "!!str 12", "!!binary aGVsbG8=", "9223372036854775807", "-9223372036854775808",
            "12345678901234567890123", "ENC[foo]", "'#no comment'", "\"a\\\\b\"", "é",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9 _./+-]{1,20}".prop_map(|text| format!("\"{text}\"")),
        1 => "[ -~]{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ]
}

fn doc(scalar: BoxedStrategy<String>) -> BoxedStrategy<Doc> {
    let leaf = scalar.prop_map(Doc::Scalar).boxed();
    let inner = leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            2 => prop::collection::vec((key(), inner.clone()), 0..5).prop_map(Doc::map),
            1 => prop::collection::vec(inner, 0..5).prop_map(Doc::List),
        ]
    });
    prop::collection::vec((key(), inner), 1..7).prop_map(Doc::map).boxed()
}

impl Doc {
    /// Each key once: sops drops or refuses duplicates.
    fn map(entries: Vec<(String, Self)>) -> Self {
        let mut unique: Vec<(String, Self)> = Vec::new();
        for (key, value) in entries {
            if key != "sops" && !unique.iter().any(|(k, _)| *k == key) {
                unique.push((key, value));
            }
        }
        Self::Map(unique)
    }

    fn json(&self, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    let _ = write!(out, "{comma}{}:", serde_json::Value::from(key.as_str()));
                    value.json(out);
                }
                out.push('}');
            }
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.json(out);
                }
                out.push(']');
            }
        }
    }
}

/// Comments, empty lines and flow style, taken from a stream of numbers.
struct Decor<'a> {
    bytes: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    count: usize,
    calm: bool,
}

impl<'a> Decor<'a> {
    fn new(bytes: &'a [u8], calm: bool) -> Self {
        Self { bytes: bytes.iter().cycle(), count: 0, calm }
    }

    fn next(&mut self, of: u8) -> u8 {
        *self.bytes.next().unwrap() % of
    }

    fn comment(&mut self, indent: usize, out: &mut String) {
        if self.calm {
            return;
        }
        let pad = " ".repeat(indent);
        for _ in 0..self.next(8).saturating_sub(5) {
            self.count += 1;
            let text = match self.next(6) {
                0 => " sops:enc".to_owned(),
                1 => " sops:clear".to_owned(),
                2 => format!("tight {}", self.count),
                3 => "# twice".to_owned(),
                _ => format!(" comment {}", self.count),
            };
            let _ = writeln!(out, "{pad}#{text}");
            if self.next(5) == 0 {
                out.push('\n');
            }
        }
        if self.next(9) == 0 {
            out.push('\n');
        }
    }

    fn inline(&mut self) -> String {
        if self.calm || self.next(7) != 0 {
            return String::new();
        }
        self.count += 1;
        format!(" # inline {}", self.count)
    }

    fn yaml(&mut self, doc: &Doc, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        match doc {
            Doc::Scalar(_) => {}
            Doc::Map(entries) => {
                for (key, value) in entries {
                    self.comment(indent, out);
                    let key = serde_json::Value::from(key.as_str());
                    let _ = write!(out, "{pad}{key}:");
                    self.value(value, indent, out);
                }
                if self.next(4) == 0 {
                    self.comment(indent, out);
                }
            }
            Doc::List(items) => {
                for item in items {
                    self.comment(indent, out);
                    let _ = write!(out, "{pad}-");
                    self.value(item, indent, out);
                }
                if self.next(4) == 0 {
                    self.comment(indent, out);
                }
            }
        }
    }

    fn value(&mut self, value: &Doc, indent: usize, out: &mut String) {
        let empty = match value {
            Doc::Scalar(_) => false,
            Doc::Map(entries) => entries.is_empty(),
            Doc::List(items) => items.is_empty(),
        };
        match value {
            Doc::Scalar(text) if self.next(12) == 0 && !self.calm => {
                let pad = " ".repeat(indent + 2);
                let style = ["|", "|-", "|+", ">", ">-"][usize::from(self.next(5))];
                let _ = write!(out, " {style}\n{pad}first {}\n{pad}second\n", text.len());
            }
            Doc::Scalar(text) => {
                let _ = writeln!(out, " {text}{}", self.inline());
            }
            Doc::Map(_) if empty => out.push_str(" {}\n"),
            Doc::List(_) if empty => out.push_str(" []\n"),
            Doc::Map(_) | Doc::List(_) => {
                let _ = writeln!(out, "{}", self.inline());
                self.yaml(value, indent + 2, out);
            }
        }
    }
}

fn json_scalar() -> BoxedStrategy<String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "1", "-17", "1.5", "1.0", "-0.0", "1e3", "1e21", "6.02e23", "1e-7", "true", "false", "null",
            "\"\"", "\"text\"", "\"<&>\"", "\"\\u2028\"", "\"\\ud83d\\ude00\"", "\"a\\nb\"",
            "9223372036854775807", "-9223372036854775808", "\"2024-01-01T00:00:00Z\"", "0", "-0",
            "\"ENC[foo]\"", "\"# x\"", "123456789.125",
        ]).prop_map(str::to_owned),
        2 => any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
    ]
    .boxed()
}

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(20_260_421),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    TestRunner::new(config)
}

fn rule() -> impl Strategy<Value = &'static [&'static str]> {
    prop::sample::select(RULES)
}

#[test]
fn random_json_documents() {
    let Some(bench) = Bench::new() else { return };
    let strategy = (doc(json_scalar()), rule());
    let result = runner(cases(40)).run(&strategy, |(doc, rule)| {
        let mut text = String::new();
        doc.json(&mut text);
        bench.check("json", rule, &text);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_yaml_documents_without_comments() {
    let Some(bench) = Bench::new() else { return };
    let strategy = (doc(yaml_scalar().boxed()), rule(), any::<[u8; 7]>());
    let result = runner(cases(40)).run(&strategy, |(doc, rule, bytes)| {
        let mut text = String::new();
        Decor::new(&bytes, true).yaml(&doc, 0, &mut text);
        bench.check("yaml", rule, &text);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_yaml_documents_with_comments() {
    let Some(bench) = Bench::new() else { return };
    let docs = prop::collection::vec(doc(yaml_scalar().boxed()), 1..3);
    let strategy = (docs, rule(), prop::collection::vec(any::<u8>(), 61));
    let result = runner(cases(70)).run(&strategy, |(docs, rule, bytes)| {
        let mut decor = Decor::new(&bytes, false);
        let mut text = String::new();
        for (index, doc) in docs.iter().enumerate() {
            text.push_str(if index > 0 { "---\n" } else { "" });
            decor.yaml(doc, 0, &mut text);
        }
        bench.check("yaml", rule, &text);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_dotenv_documents() {
    let Some(bench) = Bench::new() else { return };
    let line = prop_oneof![
        4 => ("[A-Za-z_][A-Za-z0-9_]{0,8}", "[ -~]{0,16}").prop_map(|(k, v)| format!("{k}={v}")),
        1 => "#[ -~]{0,12}",
        1 => Just(String::new()),
        1 => ("[A-Z]{1,5}", "[a-z]{1,5}").prop_map(|(k, v)| format!("{k}={v}\\n{v}\r")),
    ];
    let strategy = (prop::collection::vec(line, 1..12), rule());
    let result = runner(cases(40)).run(&strategy, |(lines, rule)| {
        bench.check("dotenv", rule, &(lines.join("\n") + "\n"));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_ini_documents() {
    let Some(bench) = Bench::new() else { return };
    let line = prop_oneof![
        4 => ("[A-Za-z_][A-Za-z0-9_.]{0,8}", "[!-~]([ -~]{0,12}[!-~])?")
            .prop_map(|(k, v)| format!("{k} = {v}")),
        1 => "[;#][ -~]{0,12}",
        1 => "[a-z]{1,6}".prop_map(|name| format!("[{name}]")),
        1 => Just(String::new()),
        1 => ("[a-z]{1,5}", "[a-z ]{1,9}").prop_map(|(k, v)| format!("{k}=\"{v}\"")),
        1 => ("[a-z]{1,5}", "[a-z]{1,9}").prop_map(|(k, v)| format!("{k}: {v}")),
    ];
    let strategy = (prop::collection::vec(line, 1..12), rule());
    let result = runner(cases(40)).run(&strategy, |(lines, rule)| {
        bench.check("ini", rule, &(lines.join("\n") + "\n"));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_binary_documents() {
    let Some(bench) = Bench::new() else { return };
    let strategy = prop::collection::vec("[ -~\n]{0,30}", 0..8);
    let result = runner(cases(12)).run(&strategy, |parts| {
        bench.check("binary", &[], &parts.concat());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// More for whoever looks for rare differences: `SECRETCTL_TEST_CASES=20` runs 20 times as many.
fn cases(usual: u32) -> u32 {
    let times = std::env::var("SECRETCTL_TEST_CASES").ok().and_then(|text| text.parse().ok());
    usual.saturating_mul(times.unwrap_or(1))
}

/// For tests that need a file by its name.
#[test]
fn every_kind_by_its_name() {
    let Some(bench) = Bench::new() else { return };
    for (name, text) in [
        ("a.yaml", "a: 1\nb: [x, {c: d}]\n"),
        ("a.yml", "a: text\n"),
        ("a.json", "{\"a\": [1, 2.5, null]}"),
        ("a.env", "A=b\n#c\n"),
        ("a.ini", "[s]\na = b\n"),
        ("a.txt", "any \u{0} bytes\n"),
    ] {
        let plain = bench.path(name);
        for (writer, reader) in [(&bench.new, &bench.ours), (&bench.ours, &bench.new)] {
            fs::write(&plain, text).unwrap();
            bench.run(writer, &["--age", RECIPIENT, "-e", "-i", name], b"").ok();
            let truth = bench.run(writer, &["-d", name], b"").ok();
            let read = bench.run(reader, &["-d", name], b"").ok();
            assert_eq!(read.out, truth.out, "{name}");
        }
    }
}

/// Post-quantum keys, which sops takes since it uses age 1.3.
#[test]
fn a_post_quantum_key() {
    let Some(bench) = Bench::new() else { return };
    let Some(age) = peer("SECRETCTL_TEST_AGE_NEW", true) else { return };
    let keygen = age.with_file_name("age-keygen");
    let made = bench.run(&keygen, &["-pq", "-o", "pq.txt"], b"").ok();
    let recipient = made.err.split_whitespace().find(|word| word.starts_with("age1pq1")).unwrap();
    for (writer, reader) in [(&bench.new, &bench.ours), (&bench.ours, &bench.new)] {
        fs::write(bench.path("pq.yaml"), "a: secret\n").unwrap();
        bench.run(writer, &["--age", recipient, "-e", "-i", "pq.yaml"], b"").ok();
        let mut command = Command::new(reader);
        command
            .args(["-d", "pq.yaml"])
            .env_clear()
            .env("HOME", bench.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SOPS_AGE_KEY_FILE", bench.path("pq.txt"))
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .current_dir(bench.folder.path());
        assert_eq!(finish(command, b"").ok().out, "a: secret\n");
    }
}
