//! What goes wrong in sops, defect by defect: here it does not, neither under its name nor under
//! our own. Each test says in its comment what sops does.
//!
//! Where `SECRETCTL_TEST_SOPS_NEW` names the tool itself (see `scripts/setup`), the test also shows
//! the defect there, so that the list stays honest: it fails when sops has mended it.

#![expect(
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

mod desk;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use age::secrecy::ExposeSecret;
use desk::{Ran, finish, peer};
use rustix::process::{Pid, Signal, kill_process};

/// A home with an age key, a repository, and our program under the name of sops.
struct Bench {
    folder: tempfile::TempDir,
    key: age::x25519::Identity,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "repo/.git", "bin", "tmp"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let ours = assert_cmd::cargo::cargo_bin("secretctl");
        symlink(ours, folder.path().join("bin/sops")).unwrap();
        let bench = Self { folder, key: age::x25519::Identity::generate() };
        bench.write(".sops.yaml", "creation_rules:\n  - age: <ME>\n");
        bench
    }

    fn me(&self) -> String {
        self.key.to_public().to_string()
    }

    fn root(&self) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap()
    }

    fn sops(&self) -> PathBuf {
        self.root().join("bin/sops")
    }

    /// A path in the repository.
    fn path(&self, name: &str) -> PathBuf {
        self.root().join("repo").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text.replace("<ME>", &self.me())).unwrap();
    }

    /// An executable script in the repository.
    fn script(&self, name: &str, text: &str) -> String {
        self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SOPS_AGE_KEY", self.key.to_string().expose_secret())
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .current_dir(self.path(""));
        command
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Ran {
        finish(self.command(program, arguments), b"")
    }

    fn run_with(&self, program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(program, arguments);
        command.envs(variables.iter().copied());
        finish(command, b"")
    }

    /// Our own name.
    fn own(&self, arguments: &[&str]) -> Ran {
        self.run(&assert_cmd::cargo::cargo_bin("secretctl"), arguments)
    }

    /// Makes an encrypted file for me.
    fn encrypt(&self, program: &Path, name: &str, text: &str) {
        self.write(name, text);
        let me = self.me();
        self.run(program, &["--age", &me, "-e", "-i", name]).ok();
    }

    /// A value, or a whole document where `way` is empty.
    #[track_caller]
    fn value(&self, name: &str, way: &str) -> String {
        let mut arguments = vec!["decrypt", name];
        if !way.is_empty() {
            arguments.extend(["--extract", way]);
        }
        self.run(&self.sops(), &arguments).ok().out
    }
}

/// sops itself, on a bench of its own.
fn theirs(show: impl FnOnce(&Bench, &Path)) {
    if let Some(program) = peer("SECRETCTL_TEST_SOPS_NEW", true) {
        show(&Bench::new(), &program);
    }
}

/// The lines of a text that another does not have.
fn new_lines<'a>(old: &str, new: &'a str) -> Vec<&'a str> {
    new.lines().filter(|line| !old.lines().any(|known| known == *line)).collect()
}

#[track_caller]
fn panics(ran: &Ran) {
    assert!(ran.code != 0 && ran.err.contains("panic:"), "{ran:?}");
}

/// A refusal in words.
#[track_caller]
fn refuses(ran: &Ran, why: &str) {
    assert!(ran.code != 0 && ran.err.contains(why) && !ran.err.contains("panic"), "{ran:?}");
}

const SOME: &str = "a: one\nlist: [x, x, x, y]\nn: 5\nm: {k: v}\n";

// Ways, values and groups -------------------------------------------------------------------------

/// sops crashes where a way goes through a text, has an index below zero, or has none.
#[test]
fn a_way_that_leads_nowhere() {
    let ways = [r#"["list"][-1]"#, r#"["a"]["b"]"#, "[]"];
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", SOME);
    for way in ways {
        refuses(&bench.run(&bench.sops(), &["-d", "--extract", way, "f.yaml"]), "");
        refuses(&bench.own(&["get", "f.yaml", way]), "");
    }
    let before = bench.read("f.yaml");
    refuses(&bench.run(&bench.sops(), &["set", "f.yaml", "[]", "1"]), "nothing between");
    refuses(&bench.own(&["set", "f.yaml", "[]", "1"]), "nothing between");
    assert_eq!(bench.read("f.yaml"), before);
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", SOME);
        for way in ways {
            panics(&bench.run(sops, &["-d", "--extract", way, "f.yaml"]));
        }
        panics(&bench.run(sops, &["set", "f.yaml", "[]", "1"]));
    });
}

/// sops crashes for a group that is not there.
#[test]
fn deleting_a_group_that_is_not_there() {
    let arguments = ["groups", "delete", "-i", "-f", "f.yaml", "7"];
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", SOME);
    let before = bench.read("f.yaml");
    refuses(&bench.run(&bench.sops(), &arguments), "no key group 7");
    assert_eq!(bench.read("f.yaml"), before);
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", SOME);
        panics(&bench.run(sops, &arguments));
    });
}

/// sops sets no lists.
#[test]
fn a_list_is_set() {
    let arguments = ["set", "f.yaml", r#"["list"]"#, r#"["p", {"q": [1]}]"#];
    let bench = Bench::new();
    for own in [true, false] {
        bench.encrypt(&bench.sops(), "f.yaml", SOME);
        let ran = if own { bench.own(&arguments) } else { bench.run(&bench.sops(), &arguments) };
        ran.ok();
        assert_eq!(bench.value("f.yaml", r#"["list"][1]["q"][0]"#).trim(), "1");
    }
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", SOME);
        assert_eq!(bench.run(sops, &arguments).code, 7);
    });
}

/// sops makes a float of every number that is set, and loses its last digits.
#[test]
fn a_whole_number_is_set() {
    let arguments = ["set", "f.yaml", r#"["n"]"#, "9007199254740993"];
    let bench = Bench::new();
    for own in [true, false] {
        bench.encrypt(&bench.sops(), "f.yaml", SOME);
        let ran = if own { bench.own(&arguments) } else { bench.run(&bench.sops(), &arguments) };
        ran.ok();
        assert!(bench.read("f.yaml").contains("type:int]"));
        assert_eq!(bench.value("f.yaml", r#"["n"]"#).trim(), "9007199254740993");
    }
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", SOME);
        bench.run(sops, &arguments).ok();
        assert_eq!(bench.value("f.yaml", r#"["n"]"#).trim(), "9.007199254740992e+15");
    });
}

/// sops reaches no key with a bracket in it.
#[test]
fn a_key_with_a_bracket() {
    let arguments = ["set", "f.yaml", r#"["b[c"]"#, r#""new""#];
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", "\"b[c\": old\n");
    bench.run(&bench.sops(), &arguments).ok();
    assert_eq!(bench.own(&["get", "f.yaml", "/b[c"]).ok().out.trim(), "new");
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", "\"b[c\": old\n");
        assert_eq!(bench.run(sops, &arguments).code, 7);
    });
}

/// sops fails on whole numbers beyond 2^63 in YAML, and rounds them in JSON. We write no rounded
/// number: what a float of the format cannot hold is refused, with what to do.
#[test]
fn a_number_that_the_format_cannot_hold() {
    let text = "a: 18446744073709551615\n";
    let json = "{\"a\": 12345678901234567890}\n";
    let bench = Bench::new();
    bench.write("u.yaml", text);
    bench.write("u.json", json);
    let me = bench.me();
    for (name, kind) in [("u.yaml", "yaml"), ("u.json", "json")] {
        let ran = bench.own(&["encrypt", "--type", "sops", "--input-type", kind, "-r", &me, name]);
        refuses(&ran, "quote it");
    }
    let ran = bench.run(&bench.sops(), &["--age", &me, "-e", "u.yaml"]);
    assert_eq!(ran.code, 23, "{ran:?}");
    refuses(&ran, "quote it");
    bench.encrypt(&bench.sops(), "q.yaml", "a: \"18446744073709551615\"\n");
    assert_eq!(bench.value("q.yaml", r#"["a"]"#), "18446744073709551615");
    theirs(|bench, sops| {
        bench.write("u.yaml", text);
        let ran = bench.run(sops, &["--age", &bench.me(), "-e", "u.yaml"]);
        assert!(ran.code == 23 && ran.err.contains("unknown type: uint64"), "{ran:?}");
        bench.encrypt(sops, "u.json", json);
        assert!(bench.run(sops, &["-d", "u.json"]).ok().out.contains("12345678901234567000"));
    });
}

// Reading -----------------------------------------------------------------------------------------

/// sops crashes on the type of old values.
#[test]
fn a_value_of_the_type_bytes() {
    let prepare = |bench: &Bench, sops: &Path| {
        bench.encrypt(sops, "f.yaml", SOME);
        bench.write("f.yaml", &bench.read("f.yaml").replacen("type:str", "type:bytes", 1));
    };
    let bench = Bench::new();
    prepare(&bench, &bench.sops());
    assert_eq!(bench.value("f.yaml", r#"["a"]"#), "one");
    assert_eq!(bench.own(&["get", "f.yaml", "/a"]).ok().out.trim(), "one");
    theirs(|bench, sops| {
        prepare(bench, sops);
        panics(&bench.run(sops, &["-d", "f.yaml"]));
    });
}

/// sops crashes when it is to keep a value with a nonce of 12 bytes, as its first versions wrote.
#[test]
fn a_value_with_a_short_nonce_is_kept_in_a_change() {
    let set = ["set", "f.yaml", r#"["n"]"#, "6"];
    let bench = Bench::new();
    for own in [true, false] {
        bench.encrypt(&bench.sops(), "f.yaml", SOME);
        bench.shorten_nonce("f.yaml");
        assert_eq!(bench.value("f.yaml", r#"["a"]"#), "one");
        let ran = if own { bench.own(&set) } else { bench.run(&bench.sops(), &set) };
        ran.ok();
        assert_eq!(bench.value("f.yaml", r#"["a"]"#), "one");
    }
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", SOME);
        bench.shorten_nonce("f.yaml");
        bench.run(sops, &["-d", "f.yaml"]).ok();
        panics(&bench.run(sops, &set));
    });
}

impl Bench {
    /// Encrypts the value of `a` again, under a nonce of 12 bytes.
    fn shorten_nonce(&self, name: &str) {
        use aes_gcm::aead::{Aead, KeyInit, Payload};
        use base64::Engine;
        use base64::prelude::BASE64_STANDARD;
        let text = self.read(name);
        let begin = text.find("-----BEGIN AGE").unwrap();
        let end = begin + text[begin..].find("-----END AGE").unwrap();
        let end = end + text[end..].find('\n').unwrap();
        let armor: Vec<&str> = text[begin..end].lines().map(str::trim).collect();
        let armor = armor.join("\n") + "\n";
        let armor = age::armor::ArmoredReader::new(armor.as_bytes());
        let key: &dyn age::Identity = &self.key;
        let decryptor = age::Decryptor::new(armor).unwrap();
        let mut data_key = Vec::new();
        decryptor.decrypt(std::iter::once(key)).unwrap().read_to_end(&mut data_key).unwrap();
        let cipher = aes_gcm::Aes256Gcm::new_from_slice(&data_key).unwrap();
        let nonce = [7; 12];
        let payload = Payload { msg: b"one", aad: b"a:" };
        let sealed = cipher.encrypt(&nonce.into(), payload).unwrap();
        let (data, tag) = sealed.split_at(sealed.len() - 16);
        let [data, nonce, tag] = [data, &nonce, tag].map(|part| BASE64_STANDARD.encode(part));
        let rest = &text[text.find('\n').unwrap()..];
        let value = format!("ENC[AES256_GCM,data:{data},iv:{nonce},tag:{tag},type:str]");
        self.write(name, &format!("a: {value}{rest}"));
    }
}

/// sops takes no time of change without quotes, which YAML tools make of its own.
#[test]
fn a_time_of_change_without_quotes() {
    let prepare = |bench: &Bench, sops: &Path| {
        bench.encrypt(sops, "f.yaml", SOME);
        let lines = bench.read("f.yaml");
        let lines = lines.lines().map(|line| {
            if line.contains("lastmodified") { line.replace('"', "") } else { line.to_owned() }
        });
        bench.write("f.yaml", &lines.map(|line| line + "\n").collect::<String>());
    };
    let bench = Bench::new();
    prepare(&bench, &bench.sops());
    assert_eq!(bench.value("f.yaml", r#"["a"]"#), "one");
    assert_eq!(bench.own(&["get", "f.yaml", "/a"]).ok().out.trim(), "one");
    theirs(|bench, sops| {
        prepare(bench, sops);
        refuses(&bench.run(sops, &["-d", "f.yaml"]), "lastmodified");
    });
}

/// sops reads `.sops.yaml` before it decrypts, and fails where that is broken.
#[test]
fn broken_rules_do_not_block_decryption() {
    let prepare = |bench: &Bench, sops: &Path| {
        bench.encrypt(sops, "f.yaml", SOME);
        bench.write(".sops.yaml", "creation_rules: [ {\n");
    };
    let bench = Bench::new();
    prepare(&bench, &bench.sops());
    bench.run(&bench.sops(), &["-d", "f.yaml"]).ok();
    bench.own(&["decrypt", "f.yaml"]).ok();
    theirs(|bench, sops| {
        prepare(bench, sops);
        refuses(&bench.run(sops, &["-d", "f.yaml"]), "config");
    });
}

/// sops runs the command that prints the key once for each recipient of a file.
#[test]
fn a_command_for_the_key_runs_once() {
    let runs = |bench: &Bench, sops: &Path| {
        let others = [(); 3].map(|()| age::x25519::Identity::generate().to_public().to_string());
        let keys = [others.join(","), bench.me()].join(",");
        bench.write("f.yaml", SOME);
        bench.run(sops, &["--age", &keys, "-e", "-i", "f.yaml"]).ok();
        let script = bench.script("key", "echo >>runs; echo $KEY");
        let key = bench.key.to_string();
        let mut command = bench.command(sops, &["-d", "f.yaml"]);
        command.env_remove("SOPS_AGE_KEY").env("SOPS_AGE_KEY_CMD", script);
        command.env("KEY", key.expose_secret());
        finish(command, b"").ok();
        bench.read("runs").lines().count()
    };
    let bench = Bench::new();
    assert_eq!(runs(&bench, &bench.sops()), 1);
    theirs(|bench, sops| assert_eq!(runs(bench, sops), 4));
}

// What errors show --------------------------------------------------------------------------------

/// sops quotes the line of a dotenv file that it cannot read, and a value that is not encrypted.
#[test]
fn errors_show_no_plaintext() {
    let prepare = |bench: &Bench, sops: &Path| {
        bench.write("f.env", "A=1\ncanary words\n");
        bench.encrypt(sops, "f.yaml", SOME);
        let rest = bench.read("f.yaml");
        let rest = &rest[rest.find('\n').unwrap()..];
        bench.write("f.yaml", &format!("a: canary words{rest}"));
    };
    let bench = Bench::new();
    prepare(&bench, &bench.sops());
    let me = bench.me();
    for ran in [
        bench.run(&bench.sops(), &["--age", &me, "-e", "f.env"]),
        bench.own(&["encrypt", "--type", "sops", "--input-type", "dotenv", "-r", &me, "f.env"]),
        bench.run(&bench.sops(), &["-d", "f.yaml"]),
        bench.own(&["decrypt", "f.yaml"]),
    ] {
        refuses(&ran, "");
        assert!(!ran.err.contains("canary"), "{ran:?}");
    }
    theirs(|bench, sops| {
        prepare(bench, sops);
        refuses(&bench.run(sops, &["--age", &bench.me(), "-e", "f.env"]), "canary words");
        refuses(&bench.run(sops, &["-d", "f.yaml"]), "canary words");
    });
}

// Editing -----------------------------------------------------------------------------------------

/// sops drops every change of an edit that shows the metadata, and says nothing.
#[test]
fn an_edit_with_the_metadata_keeps_the_changes() {
    let edit = |bench: &Bench, sops: &Path| {
        bench.encrypt(sops, "f.yaml", SOME);
        let editor = bench.script("editor", "sed -i s/one/two/ \"$1\"");
        bench.run_with(sops, &["edit", "-s", "f.yaml"], &[("EDITOR", &editor)]).ok();
        bench.value("f.yaml", r#"["a"]"#)
    };
    let bench = Bench::new();
    assert_eq!(edit(&bench, &bench.sops()), "two");
    theirs(|bench, sops| assert_eq!(edit(bench, sops), "one"));
}

/// sops opens the editor again and again where nobody can press enter.
#[test]
fn a_syntax_error_without_a_terminal_ends_an_edit() {
    let runs = |bench: &Bench, sops: &Path, arguments: &[&str]| {
        bench.encrypt(sops, "f.yaml", SOME);
        let before = bench.read("f.yaml");
        let script = "echo >>runs; echo 'a: [' >\"$1\"; [ $(wc -l <runs) -lt 4 ] || kill -9 $PPID";
        let editor = bench.script("editor", &format!("cd {}; {script}", bench.path("").display()));
        assert_ne!(bench.run_with(sops, arguments, &[("EDITOR", &editor)]).code, 0);
        assert_eq!(bench.read("f.yaml"), before);
        let runs = bench.read("runs").lines().count();
        fs::remove_file(bench.path("runs")).unwrap();
        runs
    };
    let bench = Bench::new();
    assert_eq!(runs(&bench, &bench.sops(), &["edit", "f.yaml"]), 1);
    assert_eq!(runs(&bench, &bench.sops(), &["f.yaml"]), 1);
    theirs(|bench, sops| assert_eq!(runs(bench, sops, &["edit", "f.yaml"]), 4));
}

/// sops edits in `$TMPDIR`, on whatever disk that is.
#[test]
fn an_edit_leaves_the_temporary_folder_alone() {
    let place = |bench: &Bench, program: &Path| {
        bench.encrypt(&bench.sops(), "f.yaml", SOME);
        let script = format!("readlink -f \"$1\" >{}", bench.path("place").display());
        let editor = bench.script("editor", &script);
        bench.run_with(program, &["edit", "f.yaml"], &[("EDITOR", &editor)]);
        let place = PathBuf::from(bench.read("place").trim());
        fs::remove_file(bench.path("place")).unwrap();
        place
    };
    let bench = Bench::new();
    for program in [bench.sops(), assert_cmd::cargo::cargo_bin("secretctl")] {
        let place = place(&bench, &program);
        assert!(place.is_absolute() && !place.starts_with(bench.root()), "{place:?}");
    }
    theirs(|bench, sops| assert!(place(bench, sops).starts_with(bench.root().join("tmp"))));
}

/// sops gives equal items of a list one ciphertext, so that an edit changes more than was edited.
#[test]
fn equal_items_of_a_list_keep_their_ciphertexts() {
    let changed = |bench: &Bench, sops: &Path| {
        bench.encrypt(sops, "f.yaml", SOME);
        let before = bench.read("f.yaml");
        bench.run(sops, &["set", "f.yaml", r#"["a"]"#, r#""two""#]).ok();
        let after = bench.read("f.yaml");
        before.lines().zip(after.lines()).filter(|(before, after)| before != after).count()
    };
    let bench = Bench::new();
    // the value, the MAC and, a second later, the time
    let expected = changed(&bench, &bench.sops());
    assert!((2..=3).contains(&expected), "{expected}");
    theirs(|bench, sops| assert!(changed(bench, sops) > 3));
}

/// sops loses empty lines, quotes, flow style and the place of comments at every change.
#[test]
fn a_change_leaves_the_layout() {
    let text = "---\n# note\na: 'one'\n\nm:\n  k: \"v\"   # inline\n\nlist: ['x', \"y\"]\n";
    let bench = Bench::new();
    bench.write("plain.yaml", text);
    bench.own(&["encrypt", "plain.yaml", "-o", "f.yaml"]).ok();
    bench.own(&["set", "f.yaml", "/a", r#""two""#]).ok();
    assert_eq!(bench.own(&["decrypt", "f.yaml"]).ok().out, text.replace("one", "two"));
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", text);
        let decrypted = bench.run(sops, &["-d", "f.yaml"]).ok().out;
        for lost in ["---", "'one'", "\n\n", "['x", "v\"   # inline"] {
            assert!(!decrypted.contains(lost), "{decrypted}");
        }
    });
}

/// sops encrypts every value anew when a whole file is encrypted again.
#[test]
fn encrypting_again_changes_only_what_changed() {
    let changed = |bench: &Bench, encrypt: &dyn Fn() -> Ran| {
        bench.write("plain.yaml", "a: one\nb: two\nc: three\n");
        encrypt().ok();
        let before = bench.read("f.yaml");
        bench.write("plain.yaml", "a: one\nb: 2\nc: three\n");
        encrypt().ok();
        let after = bench.read("f.yaml");
        let changed = new_lines(&before, &after);
        changed.into_iter().filter(|line| line.contains("ENC[")).count()
    };
    let bench = Bench::new();
    // the value and the MAC
    assert_eq!(changed(&bench, &|| bench.own(&["encrypt", "plain.yaml", "-o", "f.yaml"])), 2);
    theirs(|bench, sops| {
        let me = bench.me();
        let arguments = ["encrypt", "--age", &me, "--output", "f.yaml", "plain.yaml"];
        assert_eq!(changed(bench, &|| bench.run(sops, &arguments)), 4);
    });
}

/// sops writes into the file that is there: whoever shares it sees half of it, and a full disk
/// leaves half of it.
#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let prepare = |bench: &Bench, sops: &Path| {
        let long = format!("a: one\nb: {}\n", "x".repeat(4000));
        bench.encrypt(sops, "f.yaml", &long);
        bench.read("f.yaml")
    };
    let limited = |bench: &Bench, program: &Path| {
        let script = r#"ulimit -f 1; exec "$@" set f.yaml '["a"]' '"two"'"#;
        let arguments = ["-c", script, "sh", program.to_str().unwrap()];
        assert_ne!(bench.run(Path::new("/bin/sh"), &arguments).code, 0);
    };
    let bench = Bench::new();
    let before = prepare(&bench, &bench.sops());
    for program in [bench.sops(), assert_cmd::cargo::cargo_bin("secretctl")] {
        limited(&bench, &program);
        assert_eq!(bench.read("f.yaml"), before);
    }
    fs::hard_link(bench.path("f.yaml"), bench.path("g.yaml")).unwrap();
    let inode = || fs::metadata(bench.path("f.yaml")).unwrap().ino();
    let old = inode();
    bench.run(&bench.sops(), &["set", "f.yaml", r#"["a"]"#, r#""two""#]).ok();
    assert_eq!(bench.read("g.yaml"), before);
    assert_ne!(inode(), old);
    theirs(|bench, sops| {
        let before = prepare(bench, sops);
        limited(bench, sops);
        assert!(bench.read("f.yaml").len() < before.len());
    });
}

/// sops encrypts an INI key `-` to a file that nothing decrypts.
#[test]
fn an_ini_key_that_is_a_hyphen() {
    let text = "[s]\n- = 1\nb = 2\n";
    let bench = Bench::new();
    bench.write("f.ini", text);
    let me = bench.me();
    refuses(&bench.run(&bench.sops(), &["--age", &me, "-e", "f.ini"]), "line 2: the key `-`");
    let arguments = ["encrypt", "--type", "sops", "--input-type", "ini", "-r", &me, "f.ini"];
    refuses(&bench.own(&arguments), "line 2: the key `-`");
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.ini", text);
        assert_eq!(bench.run(sops, &["-d", "f.ini"]).code, 51);
    });
}

// Rules and readers -------------------------------------------------------------------------------

/// sops looks for `.sops.yaml` from the working directory, not from the file.
#[test]
fn rules_are_found_from_the_file() {
    let prepare = |bench: &Bench| {
        fs::remove_file(bench.path(".sops.yaml")).unwrap();
        bench.write("deep/.sops.yaml", "creation_rules:\n  - path_regex: ^s/\n    age: <ME>\n");
        bench.write("deep/s/f.yaml", SOME);
    };
    let bench = Bench::new();
    prepare(&bench);
    bench.run(&bench.sops(), &["-e", "deep/s/f.yaml"]).ok();
    bench.own(&["encrypt", "deep/s/f.yaml", "-o", "deep/s/g.yaml"]).ok();
    bench.own(&["rekey", "--check", "deep/s/g.yaml"]).ok();
    theirs(|bench, sops| {
        prepare(bench);
        refuses(&bench.run(sops, &["-e", "deep/s/f.yaml"]), "config file not found");
    });
}

/// sops writes a key that is named twice twice.
#[test]
fn a_recipient_that_is_named_twice_is_written_once() {
    let count = |bench: &Bench, sops: &Path| {
        bench.write("f.yaml", SOME);
        let twice = [bench.me(), bench.me()].join(",");
        let flag = bench.run(sops, &["--age", &twice, "-e", "f.yaml"]).ok().out;
        bench.write(".sops.yaml", "creation_rules:\n  - age: <ME>,<ME>\n");
        let rule = bench.run(sops, &["-e", "f.yaml"]).ok().out;
        [flag, rule].map(|text| text.matches("recipient: ").count())
    };
    let bench = Bench::new();
    assert_eq!(count(&bench, &bench.sops()), [1, 1]);
    bench.own(&["encrypt", "f.yaml", "-o", "g.yaml"]).ok();
    assert_eq!(bench.read("g.yaml").matches("recipient: ").count(), 1);
    theirs(|bench, sops| assert_eq!(count(bench, sops), [2, 2]));
}

/// `sops updatekeys` takes no folder, and tells only with a private key whether a file is stale.
#[test]
fn a_whole_tree_is_checked_without_a_private_key_and_rekeyed() {
    let prepare = |bench: &Bench, sops: &Path| {
        for name in ["s/a.yaml", "s/deep/b.json", "s/c.env"] {
            let text = if name.ends_with("json") { "{\"a\": 1}" } else { "A=1\n" };
            bench.encrypt(sops, name, if name.ends_with("yaml") { SOME } else { text });
        }
        let other = age::x25519::Identity::generate().to_public();
        bench.write(".sops.yaml", &format!("creation_rules:\n  - age: [<ME>, {other}]\n"));
    };
    let without_key = |bench: &Bench, program: &Path, arguments: &[&str]| {
        let mut command = bench.command(program, arguments);
        command.env_remove("SOPS_AGE_KEY");
        finish(command, b"")
    };
    let bench = Bench::new();
    prepare(&bench, &bench.sops());
    let secretctl = assert_cmd::cargo::cargo_bin("secretctl");
    let ran = without_key(&bench, &secretctl, &["rekey", "--check"]);
    assert!(
        ran.code == 1 && ran.err.lines().filter(|line| line.starts_with("s/")).count() == 3,
        "{ran:?}"
    );
    bench.own(&["rekey"]).ok();
    without_key(&bench, &secretctl, &["rekey", "--check"]).ok();
    bench.value("s/deep/b.json", "");
    theirs(|bench, sops| {
        prepare(bench, sops);
        assert_ne!(bench.run(sops, &["updatekeys", "-y", "s"]).code, 0);
        assert_eq!(bench.read("s/a.yaml").matches("recipient: ").count(), 1);
    });
}

/// `sops updatekeys` keeps the data key when it removes a reader, who may have kept it.
#[test]
fn who_is_removed_does_not_keep_the_data_key() {
    let prepare = |bench: &Bench, sops: &Path| {
        let other = age::x25519::Identity::generate().to_public().to_string();
        bench.write("f.yaml", SOME);
        let keys = [bench.me(), other].join(",");
        bench.run(sops, &["--age", &keys, "-e", "-i", "f.yaml"]).ok();
        bench.write(".sops.yaml", "creation_rules:\n  - age: <ME>\n");
        bench.read("f.yaml").lines().next().unwrap().to_owned()
    };
    let first = |bench: &Bench| bench.read("f.yaml").lines().next().unwrap().to_owned();
    let bench = Bench::new();
    let before = prepare(&bench, &bench.sops());
    bench.own(&["rekey"]).ok();
    assert_ne!(first(&bench), before);
    assert_eq!(bench.read("f.yaml").matches("recipient: ").count(), 1);
    assert_eq!(bench.value("f.yaml", r#"["a"]"#), "one");
    theirs(|bench, sops| {
        let before = prepare(bench, sops);
        bench.run(sops, &["updatekeys", "-y", "f.yaml"]).ok();
        assert_eq!(first(bench), before);
        assert_eq!(bench.read("f.yaml").matches("recipient: ").count(), 1);
    });
}

// Running commands --------------------------------------------------------------------------------

/// sops gives a command the text `<nil>` for null.
#[test]
fn null_is_an_empty_variable() {
    let arguments = ["exec-env", "f.yaml", "printf %s \"[$nul]\""];
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", "nul: null\n");
    assert_eq!(bench.run(&bench.sops(), &arguments).ok().out, "[]");
    let own = ["exec", "f.yaml", "--", "sh", "-c", "printf %s \"[$nul]\""];
    assert_eq!(bench.own(&own).ok().out, "[]");
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", "nul: null\n");
        assert_eq!(bench.run(sops, &arguments).ok().out, "[<nil>]");
    });
}

/// A pipe by default, a file with `--no-fifo`, as from sops, whose pipe can be read but once.
#[test]
fn a_pipe_can_be_read_again() {
    let kind = "stat -c %F {}";
    let kinds = |bench: &Bench, program: &Path| {
        bench.encrypt(program, "f.yaml", "a: one\n");
        let pipe = bench.run(program, &["exec-file", "f.yaml", kind]).ok().out;
        let file = bench.run(program, &["exec-file", "--no-fifo", "f.yaml", kind]).ok().out;
        assert_eq!((pipe.as_str(), file.as_str()), ("fifo\n", "regular file\n"));
    };
    let bench = Bench::new();
    kinds(&bench, &bench.sops());
    let twice = bench.run(&bench.sops(), &["exec-file", "f.yaml", "cat {} {}"]).ok().out;
    assert_eq!(twice, "a: one\na: one\n");
    theirs(|bench, sops| {
        kinds(bench, sops);
        let once = "cat {}; timeout 0.3 cat {} || echo nothing";
        let read = bench.run(sops, &["exec-file", "f.yaml", once]).ok().out;
        assert_eq!(read, "a: one\nnothing\n");
    });
}

/// sops keeps signals from the command that it runs, which lives on without it.
#[test]
fn signals_reach_the_command() {
    let script = "trap 'echo got; exit 3' TERM; echo $$ >ready.new; mv ready.new ready; \
                  while [ ! -e end ]; do sleep 0.01; done";
    let run = |bench: &Bench, program: &Path, arguments: &[&str]| {
        bench.encrypt(&bench.sops(), "f.yaml", "a: one\n");
        let mut command = bench.command(program, arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        while !bench.path("ready").exists() {
            std::thread::yield_now();
        }
        kill_process(pid(&child), Signal::TERM).unwrap();
        child
    };
    let bench = Bench::new();
    let own = assert_cmd::cargo::cargo_bin("secretctl");
    for (program, arguments) in [
        (bench.sops(), &["exec-env", "f.yaml", script][..]),
        (bench.sops(), &["exec-file", "f.yaml", script]),
        (own, &["exec", "f.yaml", "--", "sh", "-c", script]),
    ] {
        let output = run(&bench, &program, arguments).wait_with_output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b"got\n"[..]));
        fs::remove_file(bench.path("ready")).unwrap();
    }
    theirs(|bench, sops| {
        let mut child = run(bench, sops, &["exec-env", "f.yaml", script]);
        assert_ne!(child.wait().unwrap().code(), Some(3));
        // The command is there still; it ends by itself now, and has never been told.
        fs::write(bench.path("end"), "").unwrap();
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "");
    });
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// sops takes one text for a shell, and no arguments.
#[test]
fn a_command_gets_its_arguments_as_they_are() {
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", "a: one\n");
    let words = ["--", "printf", "<%s>", "a b", "$HOME", "-x"];
    let ran = bench.own(&[&["exec", "f.yaml"][..], &words].concat()).ok();
    assert_eq!(ran.out, "<a b><$HOME><-x>");
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", "a: one\n");
        assert_ne!(bench.run(sops, &[&["exec-env", "f.yaml"][..], &words].concat()).code, 0);
    });
}

// Options -----------------------------------------------------------------------------------------

/// sops drops options behind the file where there is no command: it prints all that it decrypts.
#[test]
fn options_behind_the_file_count() {
    let arguments = ["-d", "f.yaml", "--extract", r#"["a"]"#];
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", SOME);
    assert_eq!(bench.run(&bench.sops(), &arguments).ok().out, "one");
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", SOME);
        assert!(bench.run(sops, &arguments).ok().out.contains("list:"));
    });
}

/// sops looks for options that its commands do not know.
#[test]
fn options_are_known_where_they_count() {
    let bench = Bench::new();
    bench.encrypt(&bench.sops(), "f.yaml", "a: one\n");
    bench.write("p.yaml", SOME);
    let me = bench.me();
    let cases = [
        &["encrypt", "--mac-only-encrypted", "--age", &me, "p.yaml"][..],
        &["encrypt", "--encrypted-comment-regex", "x", "--age", &me, "p.yaml"],
        &["encrypt", "--indent", "2", "--age", &me, "p.yaml"],
        &["exec-env", "--ignore-mac", "f.yaml", "true"],
        &["decrypt", "--config", "/dev/null", "f.yaml"],
    ];
    for arguments in cases {
        bench.run(&bench.sops(), arguments).ok();
    }
    theirs(|bench, sops| {
        bench.encrypt(sops, "f.yaml", "a: one\n");
        bench.write("p.yaml", SOME);
        for arguments in cases {
            refuses(&bench.run(sops, arguments), "flag provided but not defined");
        }
    });
}

/// sops asks GitHub when it is asked for its version.
#[test]
fn the_version_needs_no_network() {
    let asked = |bench: &Bench, program: &Path| {
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", proxy.local_addr().unwrap());
        let answer = std::thread::spawn(move || {
            let (_, from) = proxy.accept().unwrap();
            from
        });
        let mut command = bench.command(program, &["--version"]);
        command.env_remove("SOPS_DISABLE_VERSION_CHECK").env("HTTPS_PROXY", &address);
        finish(command, b"").ok();
        // Ends the waiting, if nobody else has.
        let own = std::net::TcpStream::connect(address.trim_start_matches("http://"));
        let own = own.and_then(|stream| stream.local_addr());
        own.ok() != Some(answer.join().unwrap())
    };
    let bench = Bench::new();
    assert!(!asked(&bench, &bench.sops()));
    assert!(!asked(&bench, &assert_cmd::cargo::cargo_bin("secretctl")));
    theirs(|bench, sops| assert!(asked(bench, sops)));
}

/// sops loses it without a word.
#[test]
fn an_ini_comment_behind_the_last_key() {
    let text = "[s]\nk = v\n; kept by nobody\n";
    let bench = Bench::new();
    bench.write("a.ini", text);
    let ran = bench.own(&["encrypt", "--in-place", "a.ini"]);
    assert!(ran.code == 2 && ran.err.contains("comment behind the last key"), "{ran:?}");
    assert_eq!(bench.read("a.ini"), text);
    theirs(|bench, program| {
        bench.write("a.ini", text);
        bench.run(program, &["-e", "-i", "a.ini"]).ok();
        let shown = bench.run(program, &["-d", "a.ini"]).ok().out;
        assert!(!shown.contains("kept by nobody"), "{shown}");
    });
}
