//! Called as `sops`: what every command does to files, with the exit codes of sops. Peers are for
//! `tests/sops_foreign.rs`; `gpg` on the `PATH` is needed for the keys of PGP.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use age::secrecy::ExposeSecret;
use desk::{Ran, finish, lacks};

/// A home with two age keys, the first of them ours, and a folder of files in it.
struct Bench {
    folder: tempfile::TempDir,
    identity: String,
    me: String,
    other: String,
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.path("gnupg").is_dir() {
            let _no_agent = self.command(Path::new("gpgconf"), &["--kill", "all"]).output();
        }
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        symlink(assert_cmd::cargo::cargo_bin("secretctl"), folder.path().join("sops")).unwrap();
        let identity = age::x25519::Identity::generate();
        Self {
            folder,
            me: identity.to_public().to_string(),
            identity: identity.to_string().expose_secret().to_owned(),
            other: age::x25519::Identity::generate().to_public().to_string(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path("files").join(name)
    }

    /// Writes a file; `<ME>` and `<OTHER>` are the keys.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), self.filled(text)).unwrap();
    }

    fn filled(&self, text: &str) -> String {
        text.replace("<ME>", &self.me).replace("<OTHER>", &self.other)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments.iter().map(|argument| self.filled(argument)))
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GNUPGHOME", self.path("gnupg"))
            .current_dir(self.path("files"));
        command
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Ran {
        let mut command = self.command(&self.path("sops"), arguments);
        command.env("SOPS_AGE_KEY", &self.identity).envs(variables.iter().copied());
        finish(command, input.as_bytes())
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[], "")
    }

    /// Writes an encrypted file.
    fn sealed(&self, name: &str, text: &str) {
        self.write(name, text);
        self.run(&["encrypt", "-i", "--age", "<ME>", name]).ok();
    }

    fn decrypted(&self, name: &str) -> String {
        self.run(&["decrypt", name]).ok().out
    }

    /// A run of `edit` in which the editor is a shell script; `$1` is the file.
    fn edit(&self, script: &str, arguments: &[&str], input: &str) -> Ran {
        let editor = self.path("editor");
        fs::write(&editor, format!("#!/bin/sh\n{}\n", self.filled(script))).unwrap();
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = [&["edit"], arguments].concat();
        self.run_with(&arguments, &[("SOPS_EDITOR", editor.to_str().unwrap())], input)
    }

    /// Fails unless a run ends with a code and says something, and leaves all files alone.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], code: i32, says: &str) {
        let before = self.snapshot();
        let ran = self.run(arguments);
        assert!(ran.code == code && ran.err.contains(says), "{arguments:?}: {ran:#?}");
        assert_eq!(self.snapshot(), before, "{arguments:?}");
    }

    fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.path("files")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    }

    /// A PGP key in the home; its fingerprint.
    fn pgp_key(&self, name: &str) -> String {
        let home = self.path("gnupg");
        if !home.is_dir() {
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        }
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
}

const DOCUMENT: &str = "\
# of all
number: 5
text: some words
list:
    - one
    - two
map:
    # of one
    key: value
many: |-
    multi
    line
date: 2024-05-06T00:00:00Z
";

#[test]
fn documents_come_back_as_sops_prints_them() {
    let bench = Bench::new();
    bench.sealed("a.yaml", DOCUMENT);
    assert!(!bench.read("a.yaml").contains("words") && bench.read("a.yaml").contains("number:"));
    assert_eq!(bench.decrypted("a.yaml"), DOCUMENT);
    assert_eq!(bench.run(&["-d", "--extract", r#"["many"]"#, "a.yaml"]).ok().out, "multi\nline");
    let extract = |way: &str| bench.run(&["decrypt", "--extract", way, "a.yaml"]).ok().out;
    assert_eq!(extract(r#"["list"][1]"#), "two");
    assert_eq!(extract(r#"["map"]"#), "# of one\nkey: value\n");
    let narrow = bench.run(&["--indent", "2", "decrypt", "a.yaml"]).ok().out;
    assert!(narrow.contains("list:\n  - one\n"), "{narrow}");
    let json = bench.run(&["decrypt", "--output-type", "json", "a.yaml"]).ok().out;
    assert!(json.starts_with("{\n\t\"number\": 5,\n\t\"text\": \"some words\",\n"), "{json}");
    let stdin = bench.run_with(
        &["encrypt", "--age", "<ME>", "--filename-override", "x.yaml", "--output-type", "json"],
        &[],
        "a: 1\n",
    );
    let read = bench.run_with(&["decrypt", "--filename-override", "x.json"], &[], &stdin.ok().out);
    assert_eq!(read.ok().out, "{\n\t\"a\": 1\n}\n");
    bench.sealed("any.txt", "any \u{0} bytes");
    assert_eq!(bench.decrypted("any.txt"), "any \u{0} bytes");
    bench.sealed("s.yaml", "section:\n    number: 1.50\n    flag: true\n");
    let ini = bench.run(&["decrypt", "--output-type", "ini", "s.yaml"]).ok().out;
    assert_eq!(ini, "[section]\nnumber = 1.5\nflag   = true\n");
}

#[test]
fn failures_have_the_exit_codes_of_sops() {
    let bench = Bench::new();
    bench.sealed("a.yaml", DOCUMENT);
    bench.write("plain.yaml", "a: 1\n");
    bench.write("none.yaml", "");
    bench.write("broken.yaml", "a: [canary\n");
    bench.write("tampered.yaml", &bench.read("a.yaml").replacen("data:", "data:A", 2));
    let cut: String =
        bench.read("a.yaml").split_inclusive('\n').filter(|l| !l.starts_with("text:")).collect();
    bench.write("cut.yaml", &cut);
    let mac = |line: &&str| !line.trim_start().starts_with("mac:");
    let text: String = bench.read("a.yaml").split_inclusive('\n').filter(mac).collect();
    bench.write("nomac.yaml", &text);
    let key = ["encrypt", "--age", "<ME>"];
    let encrypt = |name| [&key[..], &[name]].concat();
    bench.refuses(&["decrypt", "plain.yaml"], 1, "sops metadata not found");
    bench.refuses(&["decrypt", "gone.yaml"], 100, "cannot operate on non-existent file");
    bench.refuses(&encrypt("a.yaml"), 203, "top-level entry called 'sops'");
    bench.refuses(&encrypt("none.yaml"), 92, "at least one document");
    bench.refuses(&encrypt("broken.yaml"), 2, "Error unmarshalling file: line 1");
    bench.refuses(&["decrypt", "tampered.yaml"], 25, "Error decrypting tree");
    bench.refuses(&["decrypt", "cut.yaml"], 51, "MAC mismatch");
    bench.refuses(&["decrypt", "nomac.yaml"], 51, "no MAC");
    bench.run(&["decrypt", "--ignore-mac", "nomac.yaml"]).ok();
    bench.refuses(&["decrypt", "--extract", r#"["zz"]"#, "a.yaml"], 1, r#"["zz"]"#);
    bench.refuses(&["decrypt", "--extract", r#"["text"]["x"]"#, "a.yaml"], 1, "truncating");
    bench.refuses(&["decrypt", "--output-type", "ini", "a.yaml"], 4, "dumping");
    bench.refuses(&["encrypt", "plain.yaml"], 1, "config file not found");
    let kms = "arn:aws:kms:eu-west-1:1:key/x";
    bench.refuses(&["encrypt", "--kms", kms, "plain.yaml"], 1, kms);
    bench.refuses(&["set", "gone.yaml", r#"["a"]"#, "1"], 2, "Error reading file");
    bench.refuses(&["filestatus", "gone.yaml"], 1, "cannot check file status");
    let locked = finish(bench.command(&bench.path("sops"), &["decrypt", "a.yaml"]), b"");
    assert_eq!(locked.code, 128);
    let wanted = ["Failed to get the data key", "Group 0: FAILED", &bench.me, "Recovery failed"];
    assert!(wanted.iter().all(|text| locked.err.contains(text)), "{}", locked.err);
    let all = bench.run(&encrypt("broken.yaml"));
    assert!(!format!("{all:?}").contains("canary"));
}

#[test]
fn values_of_every_kind_are_set_and_removed() {
    let bench = Bench::new();
    bench.sealed("a.yaml", DOCUMENT);
    let before = bench.read("a.yaml");
    let set = |way: &str, value: &str| bench.run(&["set", "a.yaml", way, value]).ok();
    set(r#"["list"]"#, r#"[9007199254740993, {"deep": true}]"#);
    set(r#"["new"]["way"]"#, "-7");
    set(r#"["list"][5]"#, r#""behind""#);
    bench.run_with(&["set", "--value-stdin", "a.yaml", r#"["text"]"#], &[], "\"piped\"").ok();
    bench.write("value", "\"from a file\"");
    bench.run(&["set", "--value-file", "a.yaml", r#"["map"]["key"]"#, "value"]).ok();
    bench.run(&["unset", "a.yaml", r#"["many"]"#]).ok();
    let text = bench.decrypted("a.yaml");
    for part in [
        "list:\n    - 9007199254740993\n    - deep: true\n    - behind\n",
        "new:\n    way: -7\n",
        "text: piped\n",
        "    # of one\n    key: from a file\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("many"));
    let line = |text: &str| text.lines().find(|l| l.starts_with("number:")).unwrap().to_owned();
    assert_eq!(line(&before), line(&bench.read("a.yaml")), "what stays keeps its ciphertext");
    let sealed = bench.read("a.yaml");
    bench.run(&["set", "--idempotent", "a.yaml", r#"["text"]"#, r#""piped""#]).ok();
    bench.run(&["unset", "--idempotent", "a.yaml", r#"["many"]"#]).ok();
    assert_eq!(bench.read("a.yaml"), sealed);
    bench.refuses(&["unset", "a.yaml", r#"["many"]"#], 1, "Key not found");
    bench.refuses(&["unset", "a.yaml", "[]"], 7, "index format");
    bench.refuses(&["set", "a.yaml", r#"["a"]"#, "canary"], 7, "not valid JSON");
    assert_eq!(bench.run(&["filestatus", "a.yaml"]).ok().out, "{\"encrypted\":true}\n");
    assert_eq!(bench.run(&["filestatus", "value"]).code, 1);
    bench.run(&["--set", r#"["text"] "legacy""#, "a.yaml"]).ok();
    assert!(bench.decrypted("a.yaml").contains("text: legacy"));
}

#[test]
fn edits_are_kept_and_broken_ones_end() {
    let bench = Bench::new();
    bench.sealed("a.yaml", DOCUMENT);
    let ran = bench.edit("true", &["a.yaml"], "");
    assert_eq!((ran.code, ran.err.as_str()), (200, "File has not changed, exiting.\n"));
    assert_eq!(bench.edit("exit 3", &["a.yaml"], "").code, 201);
    let before = bench.read("a.yaml");
    let ran = bench.edit("echo 'a: [' > \"$1\"", &["a.yaml"], "");
    assert!(ran.code == 2 && ran.err.contains("Press enter"), "{ran:?}");
    assert_eq!(bench.read("a.yaml"), before);
    let mend = "if grep -q words \"$1\"; then echo 'a: [' > \"$1\"; else echo 'a: b' > \"$1\"; fi";
    bench.edit(mend, &["a.yaml"], "\n").ok();
    assert_eq!(bench.decrypted("a.yaml"), "a: b\n");
    // A new reader, another selector and another value at once.
    let script = "sed -i -e 's/^a: b/a: c\\nplain: d/' -e 's/_unencrypted/plain/' \
                  -e 's/    age:/    age:\\n        - recipient: <OTHER>/' \"$1\"";
    bench.edit(script, &["-s", "a.yaml"], "").ok();
    let sealed = bench.read("a.yaml");
    assert!(sealed.contains("plain: d\n") && sealed.contains("unencrypted_suffix: plain"));
    assert!(sealed.contains(&bench.me) && sealed.contains(&bench.other), "{sealed}");
    assert_eq!(sealed.matches("BEGIN AGE").count(), 2);
    assert_eq!(bench.decrypted("a.yaml"), "a: c\nplain: d\n");
    let gone = bench.edit("sed -i '/^sops:/,$d' \"$1\"", &["-s", "a.yaml"], "");
    assert!(gone.code == 1 && gone.err.contains("metadata not found"), "{gone:?}");
    assert_eq!(bench.read("a.yaml"), sealed);
}

#[test]
fn a_new_file_begins_with_the_example() {
    let bench = Bench::new();
    let age = ["--age", "<ME>"];
    let edit = |name: &str, script: &str| bench.edit(script, &[&age[..], &[name]].concat(), "");
    assert_eq!(edit("new.yaml", "true").code, 200);
    assert!(!bench.file("new.yaml").exists());
    for (name, has) in [
        ("new.yaml", "# Example comment\nexample_array:\n    - example_value1\n"),
        ("new.json", "\t\"example_number\": 1234.56789,\n"),
        ("new.env", "example_multiline=foo\\nbar\\nbaz\n"),
        ("new.ini", "[Welcome!]\nhello       = Hi to SOPS!"),
        ("new", "Hi to SOPS! Edit this file as you please!"),
    ] {
        edit(name, "sed -i s/Welcome.to/Hi.to/\\;s/Hi.to/Hi\\ to/ \"$1\"").ok();
        assert!(bench.decrypted(name).contains(has), "{name}");
    }
    let ran = bench.edit("exit 0", &["--pgp", "0", "other.yaml"], "");
    assert!(ran.code == 128 && ran.err.contains("master keys"), "{ran:?}");
}

#[test]
fn rules_are_found_from_the_file_and_never_stop_a_decryption() {
    let bench = Bench::new();
    let rules = "\
creation_rules:
  - path_regex: both\\.yaml$
    age: <ME>,<OTHER>
    encrypted_regex: ^secret$
  - path_regex: nobody\\.yaml$
  - path_regex: empty\\.yaml$
    key_groups: [{}]
stores:
  yaml: {indent: 2}
";
    bench.write(".sops.yaml", rules);
    for name in ["both.yaml", "nobody.yaml", "empty.yaml", "third.yaml"] {
        bench.write(name, "secret: 1\nother: {a: 2}\n");
    }
    let mut away = bench.command(&bench.path("sops"), &["encrypt"]);
    away.arg(bench.file("both.yaml")).current_dir(bench.folder.path());
    let sealed = finish(away, b"").ok().out;
    assert_eq!(sealed.matches("BEGIN AGE").count(), 2);
    assert!(sealed.contains("\nother:\n  a: 2\n") && sealed.contains("encrypted_regex: ^secret$"));
    for name in ["nobody.yaml", "empty.yaml"] {
        let ran = bench.run(&["encrypt", "-i", name]);
        let text = "Could not generate data key: [empty key group provided]\n";
        assert_eq!((ran.code, ran.err.as_str()), (1, text));
    }
    bench.refuses(&["encrypt", "third.yaml"], 1, "no matching creation rules found");
    // Keys of the environment stand for those of the rule; its selector stays.
    let one = bench.run_with(&["encrypt", "both.yaml"], &[("SOPS_AGE_RECIPIENTS", &bench.me)], "");
    let one = one.ok().out;
    assert!(one.matches("BEGIN AGE").count() == 1 && one.contains("encrypted_regex: ^secret$"));
    let two = ["encrypt", "--encrypted-suffix", "x", "both.yaml"];
    bench.refuses(&two, 8, "cannot use more than one of");
    bench.run(&["encrypt", "-i", "both.yaml"]).ok();
    bench.write(".sops.yaml", "creation_rules: [");
    assert_eq!(bench.decrypted("both.yaml"), "secret: 1\nother:\n    a: 2\n");
    bench.refuses(&["encrypt", "--age", "<ME>", "third.yaml"], 1, "error loading config");
    bench.write("else.yaml", "creation_rules: [{age: <ME>}]\n");
    bench.run(&["--config", "else.yaml", "encrypt", "third.yaml"]).ok();
    bench.run_with(&["-e", "third.yaml"], &[("SOPS_CONFIG", "else.yaml")], "").ok();
}

#[test]
fn readers_come_and_go() {
    let bench = Bench::new();
    bench.sealed("a.yaml", DOCUMENT);
    let text = |bench: &Bench| bench.read("a.yaml").lines().take(3).collect::<Vec<_>>().join("\n");
    let before = text(&bench);
    bench.run(&["rotate", "-i", "--add-age", "<OTHER>", "a.yaml"]).ok();
    assert!(bench.read("a.yaml").contains(&bench.other) && text(&bench) != before);
    bench.run(&["-r", "-i", "--rm-age", "<OTHER>", "a.yaml"]).ok();
    assert!(!bench.read("a.yaml").contains(&bench.other));
    bench.refuses(&["rotate", "-i", "--rm-age", "<ME>", "a.yaml"], 1, "empty key group");

    bench.write(".sops.yaml", "creation_rules: [{age: '<OTHER>,<ME>'}]\n");
    let before = text(&bench);
    bench.refuses(&["updatekeys", "a.yaml"], 1, "--yes");
    let asked = bench.run_with(&["updatekeys", "a.yaml"], &[], "?\ny\n").ok();
    assert!(asked.out.contains(&bench.filled("Group 1\n    <ME>\n+++ <OTHER>\n")), "{asked:?}");
    assert!(text(&bench) == before && bench.read("a.yaml").contains(&bench.other));
    assert!(bench.run(&["updatekeys", "-y", "a.yaml"]).ok().err.contains("already up to date"));
    bench.write(".sops.yaml", "creation_rules: [{age: <ME>}]\n");
    let several = bench.run(&["updatekeys", "-y", "a.yaml", "gone.yaml"]);
    assert!(several.code == 1 && several.err.contains("failed updating 1 key(s)"), "{several:?}");
    assert!(!bench.read("a.yaml").contains(&bench.other));

    bench.run(&["groups", "add", "-i", "-f", "a.yaml", "--age", "<ME>"]).ok();
    assert!(bench.read("a.yaml").contains("shamir_threshold: 2"));
    assert_eq!(bench.decrypted("a.yaml"), DOCUMENT);
    bench.refuses(&["groups", "delete", "-i", "-f", "a.yaml", "7"], 1, "no key group 7");
    bench.refuses(&["groups", "delete", "-i", "-f", "a.yaml", "0"], 1, "impossible to satisfy");
    let one = ["groups", "delete", "-i", "--shamir-secret-sharing-threshold", "1"];
    bench.run(&[&one[..], &["-f", "a.yaml", "0"]].concat()).ok();
    assert!(!bench.read("a.yaml").contains("key_groups"));
    assert_eq!(bench.decrypted("a.yaml"), DOCUMENT);
}

#[test]
fn commands_get_the_values() {
    let bench = Bench::new();
    bench.sealed("a.yaml", "A: 1\nB: x y\nC: null\nD: 1.50\nE: true\n");
    let env = |options: &[&str], command: &str| {
        bench.run(&[&["exec-env"], options, &["a.yaml", command]].concat())
    };
    assert_eq!(env(&[], "echo \"$A $B [$C] $D $E\"").ok().out, "1 x y [] 1.5 true\n");
    assert_eq!(env(&["--pristine"], "echo \"[$HOME]$A\"").ok().out, "[]1\n");
    assert_eq!(env(&["--same-process"], "exit 7").code, 7);
    let file = bench.run(&["exec-file", "a.yaml", "cat {}; cat {} >&2; exit 5"]);
    assert_eq!((file.code, &file.out), (5, &file.err));
    assert_eq!(file.out, bench.decrypted("a.yaml"));
    let kinds = "stat -c '%F %a %n' {}; stat -c %a $(dirname {})";
    let pipe = bench.run(&["exec-file", "a.yaml", kinds]).ok().out.clone();
    assert!(pipe.starts_with("fifo 600 /") && pipe.ends_with("/tmp-file\n700\n"), "{pipe}");
    let plain = bench.run(&["exec-file", "--no-fifo", "a.yaml", kinds]).ok().out.clone();
    assert!(plain.starts_with("regular file 600 /"), "{plain}");
    for text in [pipe, plain] {
        let path = text.split_once('/').unwrap().1.lines().next().unwrap();
        assert!(!Path::new("/").join(path).parent().unwrap().exists(), "{path}");
    }
    let named = ["exec-file", "--no-fifo", "--filename", "k.json", "--output-type", "json"];
    let named = bench.run(&[&named[..], &["a.yaml", "basename {}; head -c 1 {}"]].concat());
    assert_eq!(named.ok().out, "k.json\n{");
    bench.sealed("deep.yaml", "a: {b: 1}\n");
    bench.refuses(&["exec-env", "deep.yaml", "true"], 1, "cannot use complex value");
    bench.sealed("equals.yaml", "a=b: 1\n");
    bench.refuses(&["exec-env", "equals.yaml", "true"], 1, "keys with '='");
}

#[test]
fn what_is_written_is_replaced_in_one_piece() {
    let bench = Bench::new();
    bench.sealed("a.yaml", DOCUMENT);
    fs::set_permissions(bench.file("a.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.yaml", bench.file("link.yaml")).unwrap();
    bench.run(&["set", "link.yaml", r#"["text"]"#, "1"]).ok();
    assert!(fs::symlink_metadata(bench.file("link.yaml")).unwrap().is_symlink());
    let mode = |name: &str| fs::metadata(bench.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("a.yaml"), 0o640);
    bench.run(&["decrypt", "--output", "out.yaml", "a.yaml"]).ok();
    assert_eq!(mode("out.yaml"), 0o600);
    let mut piped = bench.command(Path::new("/bin/sh"), &["-c"]);
    piped.env("SOPS_AGE_KEY", &bench.identity).env("SOPS", bench.path("sops"));
    piped.arg("\"$SOPS\" -d --output /dev/stdout a.yaml > piped.yaml");
    finish(piped, b"").ok();
    assert_eq!(bench.read("piped.yaml"), bench.read("out.yaml"));
    bench.run(&["decrypt", "-i", "a.yaml"]).ok();
    assert_eq!((bench.read("a.yaml"), mode("a.yaml")), (bench.read("out.yaml"), 0o640));
}

#[test]
fn pgp_keys_serve_alone_and_in_groups() {
    if lacks("gpg") {
        return;
    }
    let bench = Bench::new();
    let [one, two] = ["one", "two"].map(|name| bench.pgp_key(name));
    bench.write("a.json", "{\"a\": 2, \"b\": \"x\"}");
    bench.run(&["encrypt", "-i", "--pgp", &one, "a.json"]).ok();
    assert_eq!(bench.decrypted("a.json"), "{\n\t\"a\": 2,\n\t\"b\": \"x\"\n}\n");
    let groups = format!(
        "creation_rules:\n  - path_regex: mine\n    key_groups: [{{pgp: [{one}]}}, {{pgp: [{two}]}}]\n  \
         - key_groups: [{{pgp: [{one}]}}, {{age: [<OTHER>]}}]\n"
    );
    bench.write(".sops.yaml", &groups);
    bench.write("mine.yaml", DOCUMENT);
    bench.write("theirs.yaml", DOCUMENT);
    bench.run(&["encrypt", "-i", "mine.yaml"]).ok();
    assert_eq!(bench.decrypted("mine.yaml"), DOCUMENT);
    bench.run(&["encrypt", "-i", "theirs.yaml"]).ok();
    bench.refuses(&["decrypt", "theirs.yaml"], 128, "Group 0: SUCCESS");
    bench.refuses(&["decrypt", "theirs.yaml"], 128, "Group 1: FAILED");
}
