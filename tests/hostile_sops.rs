//! sops files that somebody without the key has changed, since they can write to the repository:
//! what such a file makes us do. It must not lay a secret bare, take the memory or the day, or
//! speak in our name.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{Fleet, PROGRAM, Run, finish, identity_of};

const FILE: &str = "secrets/app.yaml";
const PLAIN: &str =
    "# for the app\npassword: canary1\ndb:\n    # of the db\n    pw: canary2\nkeys:\n- canary3\n";

/// Rules of sops for `alice`, and one file.
fn desk() -> Fleet {
    let fleet = Fleet::new();
    fs::remove_file(fleet.path("secretctl.yaml")).unwrap();
    ruled(&fleet, "");
    fleet.feed(&["encrypt", "-o", FILE], PLAIN.as_bytes()).done();
    fleet
}

fn ruled(fleet: &Fleet, more: &str) {
    let rules = format!("creation_rules:\n  - age: {}\n{more}", fleet.public("alice"));
    fs::write(fleet.path(".sops.yaml"), rules).unwrap();
}

/// Changes the text of a file, as whoever can write to the repository.
#[track_caller]
fn tamper(fleet: &Fleet, name: &str, old: &str, new: &str) {
    let text = fs::read_to_string(fleet.path(name)).unwrap();
    assert!(text.contains(old), "{text}");
    fs::write(fleet.path(name), text.replacen(old, new, 1)).unwrap();
}

/// Has the rule in the file be another one.
fn rule(fleet: &Fleet, rule: &str) {
    tamper(fleet, FILE, "    unencrypted_suffix: _unencrypted\n", &format!("    {rule}\n"));
}

/// The program under the name of sops.
fn sops(fleet: &Fleet, arguments: &[&str]) -> Run {
    let name = fleet.root().join("bin/sops");
    if !name.exists() {
        symlink(PROGRAM, &name).unwrap();
    }
    let mut command = fleet.around(&name, arguments);
    command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", fleet.key("alice"));
    finish(command, b"")
}

/// Runs something that must fail and leave the file as it was.
#[track_caller]
fn refused(fleet: &Fleet, run: impl FnOnce(&Fleet) -> Run) -> Run {
    let before = identity_of(&fleet.path(FILE));
    let run = run(fleet);
    assert_ne!(run.code, 0);
    assert!(before == identity_of(&fleet.path(FILE)), "the file was written");
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

// -- secrets laid bare by the next who writes ------------------------------------------------

/// Comments are encrypted when the rule is followed for reading, and plain when it is for
/// writing: this one fits the file, MAC and all, and names every comment the next time.
#[test]
fn a_rule_about_comments_that_was_put_into_a_file_lays_nothing_bare() {
    for regex in ["'^ '", "'^[^E]'", "'(?i)THE (app|db)'"] {
        let fleet = desk();
        rule(&fleet, &format!("unencrypted_comment_regex: {regex}"));
        assert_eq!(fleet.run(&["decrypt", FILE]).done().stdout, PLAIN.as_bytes());
        let what = "is encrypted and would not be again";
        for arguments in [
            &["set", FILE, "/new", "1"][..],
            &["unset", FILE, "/keys"],
            &["rotate", FILE],
            &["rekey", "--force", FILE],
        ] {
            refused(&fleet, |fleet| fleet.run(arguments)).ended(2).says(what);
        }
        refused(&fleet, |fleet| fleet.edit(&["edit", FILE], "echo 'x: y' >> \"$1\"")).says(what);
        refused(&fleet, |fleet| fleet.feed(&["encrypt", "-o", FILE], b"# the app\na: canary4\n"));
        for arguments in [
            &["set", FILE, "[\"new\"]", "1"][..],
            &["unset", FILE, "[\"keys\"]"],
            &["rotate", "-i", FILE],
        ] {
            refused(&fleet, |fleet| sops(fleet, arguments)).ended(23).says(what);
        }
    }
}

#[test]
fn a_rule_about_comments_from_the_beginning_is_followed() {
    let fleet = desk();
    ruled(&fleet, "    unencrypted_comment_regex: public\n");
    let name = "secrets/other.yaml";
    fleet.feed(&["encrypt", "-o", name], b"# public\na: seen\n# not\nb: canary\n").done();
    fleet.run(&["set", name, "/c", "2"]).done();
    fleet.run(&["rotate", name]).done();
    // What the user lays bare is.
    fleet.edit(&["edit", name], "sed -i 's/# not/# public too/' \"$1\"").done();
    let text = fs::read_to_string(fleet.path(name)).unwrap();
    assert!(text.starts_with("# public\na: seen\n# public too\nb: canary\nc: ENC["), "{text}");
}

/// The rule names all that is there, so that the file is as it was, and leaves out what comes.
#[test]
fn what_is_new_is_not_left_plain_against_the_rules() {
    let fleet = desk();
    rule(&fleet, "encrypted_regex: ^(password|db|keys)$");
    assert_eq!(fleet.run(&["decrypt", FILE]).code, 0);
    let what = "`[\"token\"]` is new and would not be encrypted";
    refused(&fleet, |fleet| fleet.run(&["set", FILE, "/token", "\"canary4\""])).says(what);
    let script = "echo 'token: canary4' >> \"$1\"";
    refused(&fleet, |fleet| fleet.edit(&["edit", FILE], script)).says(what);
    fleet.run(&["set", FILE, "/password", "\"canary5\""]).done();
    fleet.run(&["set", FILE, "/db/more", "\"canary5\""]).done();
    assert!(!fs::read_to_string(fleet.path(FILE)).unwrap().contains("canary"));
    // The rules may say so themselves.
    ruled(&fleet, "    encrypted_regex: ^(password|db|keys)$\n");
    fleet.run(&["set", FILE, "/token", "\"seen\""]).done();
    // What is plain already stays so when the rules become stricter.
    ruled(&fleet, "");
    fleet.run(&["set", FILE, "/password", "\"canary6\""]).done();
    fleet.edit(&["edit", FILE], "sed -i 's/canary6/canary7/' \"$1\"").done();
    refused(&fleet, |fleet| fleet.run(&["set", FILE, "/token", "\"canary4\""])).says(what);
}

#[test]
fn who_is_put_into_a_file_without_rules_does_not_get_its_new_key_in_silence() {
    let fleet = desk();
    fs::remove_file(fleet.path(".sops.yaml")).unwrap();
    let stranger = fleet.public("stranger");
    let key = stranger.rsplit_once(' ').unwrap().0;
    let entry = format!("\nsops:\n    age:\n        - enc: x\n          recipient: {key}\n");
    tamper(&fleet, FILE, "\nsops:\n    age:\n", &entry);
    fleet.run(&["rotate", FILE]).done().says("it is for whom it names, ").says(key);
}

#[test]
fn a_file_does_not_decide_what_a_command_runs() {
    let fleet = desk();
    let script = fleet.script("evil", "echo evil");
    for name in [
        "LD_PRELOAD",
        "PATH",
        "HOME",
        "IFS",
        "BASH_ENV",
        "BASH_FUNC_true%%",
        "PROMPT_COMMAND",
        "GLIBC_TUNABLES",
        "GCONV_PATH",
        "NODE_OPTIONS",
        "PERL5OPT",
        "PERLLIB",
        "PYTHONPATH",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "GIT_SSH_COMMAND",
        "LESSOPEN",
        "EDITOR",
        "OPENSSL_CONF",
        "SSL_CERT_FILE",
        "https_proxy",
        "ALL_PROXY",
        "CURL_CA_BUNDLE",
        "XDG_CONFIG_HOME",
    ] {
        let text = format!("fine: x\n{name}: {}\n", script.display());
        fleet.feed(&["encrypt", "-o", "secrets/env.yaml"], text.as_bytes()).done();
        let run = fleet.run(&["exec", "secrets/env.yaml", "--", "bash", "-c", "true"]).ended(2);
        assert!(run.stdout.is_empty());
        run.says("would decide what the command runs").says(name);
    }
    let arguments = ["exec", "--env", "BASH_ENV=/BASH_ENV", "secrets/env.yaml", "--", "true"];
    let text = format!("BASH_ENV: {}\n", script.display());
    fleet.feed(&["encrypt", "-o", "secrets/env.yaml"], text.as_bytes()).done();
    fleet.run(&arguments).done();
    let text = "NODE_ENV: production\nPROXY: x\nGITHUB_TOKEN: y\nDATABASE_URL: z\n";
    fleet.feed(&["encrypt", "-o", "secrets/env.yaml"], text.as_bytes()).done();
    fleet.run(&["exec", "secrets/env.yaml", "--", "true"]).done();
}

#[test]
fn sops_writes_no_file_out_of_a_repository_through_its_links() {
    let fleet = desk();
    let outside = fleet.root().join("outside.yaml");
    fs::write(&outside, "mine: 1\n").unwrap();
    fs::write(fleet.path("plain.yaml"), "a: b\n").unwrap();
    symlink(&outside, fleet.path("link.yaml")).unwrap();
    symlink("../new.yaml", fleet.path("new.yaml")).unwrap();
    let out = |name| ["encrypt", "--output", name, "plain.yaml"];
    for arguments in [
        &out("link.yaml")[..],
        &out("new.yaml"),
        &["encrypt", "-i", "link.yaml"],
        &["decrypt", "--output", "link.yaml", FILE],
    ] {
        refused(&fleet, |fleet| sops(fleet, arguments)).says("leads out of the repository");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine: 1\n", "{arguments:?}");
        assert!(!fleet.root().join("new.yaml").exists());
    }
    // Outside of a repository it does as sops does.
    fs::remove_dir_all(fleet.path(".git")).unwrap();
    sops(&fleet, &["encrypt", "-i", "link.yaml"]).done();
    assert!(fs::read_to_string(&outside).unwrap().contains("ENC["));
}

// -- time and memory -------------------------------------------------------------------------

fn json(metadata: &str) -> String {
    format!(
        "{{\"a\": \"b\", \"sops\": {{{metadata}, \"lastmodified\": \"2026-11-21T10:00:00Z\", \
         \"mac\": \"x\", \"version\": \"3.13.3\"}}}}"
    )
}

#[test]
fn more_keys_and_groups_than_anybody_has_are_refused_at_once() {
    let fleet = desk();
    let keys = |count: usize| {
        let key = |n: usize| format!("{{\"recipient\": \"age1{n}\", \"enc\": \"\"}}");
        format!("\"age\": [{}]", (0..count).map(key).collect::<Vec<_>>().join(","))
    };
    fs::write(fleet.path("a.json"), json(&keys(4_097))).unwrap();
    fleet.run(&["decrypt", "a.json"]).ended(2).says("more than 4,096 keys");
    fs::write(fleet.path("a.json"), json(&keys(4_096))).unwrap();
    fleet.run(&["decrypt", "a.json"]).ended(2).says("cannot decrypt `a.json`");
    let group = format!("{{{}}}", keys(1));
    let groups = format!("\"key_groups\": [{}]", vec![group; 256].join(","));
    fs::write(fleet.path("a.json"), json(&groups)).unwrap();
    fleet.run(&["decrypt", "a.json"]).ended(2).says("more groups than there are shares");
}

#[test]
fn documents_of_10000_levels_and_bombs_end_in_an_error() {
    let fleet = desk();
    let sealed = fs::read_to_string(fleet.path(FILE)).unwrap();
    let metadata = &sealed[sealed.find("sops:\n").unwrap()..];
    let deep = 10_000;
    let yaml = [
        format!("a: {}{}\n", "[".repeat(deep), "]".repeat(deep)),
        format!("a: {}1{}\n", "{a: ".repeat(deep), "}".repeat(deep)),
        format!("a:\n  {}x\n", "- ".repeat(deep)),
        format!("{}x\n", "? ".repeat(deep)),
        (0..1_000).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n"),
        "a: &a [*a]\n".to_owned(),
        (0..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
            let ten = vec![format!("*a{n}"); 10].join(",");
            format!("{text}a{0}: &a{0} [{ten}]\n", n + 1)
        }),
        (0..20).fold("a0: &a0 {x: 1}\n".to_owned(), |text, n| {
            let ten = vec![format!("*a{n}"); 10].join(",");
            format!("{text}a{0}: &a{0}\n  <<: [{ten}]\n  k{0}: 1\n", n + 1)
        }),
        "a: \"x\\0y\"\n".to_owned(),
        "a: 1\na: 2\n".to_owned(),
        "sops: {}\n".to_owned(),
    ];
    for text in yaml {
        fs::write(fleet.path("a.yaml"), format!("{text}{metadata}")).unwrap();
        let run = fleet.run(&["decrypt", "a.yaml"]).ended(2);
        assert!(run.stdout.is_empty() && run.stderr.starts_with("error: "), "{}", run.stderr);
    }
    for text in [
        format!("{{\"a\":{}{}}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep)),
    ] {
        fs::write(fleet.path("a.json"), text).unwrap();
        fleet.run(&["decrypt", "a.json"]).ended(2).says("too many levels");
    }
    for name in ["x__list_999999999__map_a", &format!("a{}", "__map_b".repeat(deep))] {
        fs::write(fleet.path("a.env"), format!("A=b\nsops_{name}=1\n")).unwrap();
        fleet.run(&["decrypt", "a.env"]).ended(2).says("cannot read `a.env`");
        fs::write(fleet.path("a.ini"), format!("a = b\n[sops]\n{name} = 1\n")).unwrap();
        fleet.run(&["decrypt", "a.ini"]).ended(2).says("cannot read `a.ini`");
    }
}

/// A document with more values than anybody has is given up before they are made. The limit is half of
/// what a document takes that has just as many as are allowed.
#[test]
fn lists_without_end_do_not_take_the_memory() {
    let fleet = desk();
    let alice = fleet.public("alice");
    let limited = "ulimit -d 250000 && exec \"$0\" \"$@\"";
    for text in [
        format!("a: [{}a]\n", "a,".repeat(1_100_000)),
        format!("a:\n{}", "- a\n".repeat(1_100_000)),
    ] {
        fs::write(fleet.path("a.yaml"), text).unwrap();
        let arguments = ["-c", limited, PROGRAM, "encrypt", "--type", "sops", "a.yaml"];
        let arguments = [&arguments[..], &["-r", &alice]].concat();
        let run = finish(fleet.around("/bin/sh".as_ref(), &arguments), b"").ended(2);
        run.says("the document has too many values");
    }
}

/// Expressions of which each is small enough, and all of them are not.
#[test]
fn large_expressions_of_rules_together_do_not_take_the_memory() {
    let fleet = desk();
    let rule = |number: usize| {
        format!("  - path_regex: ^{number}((a{{1,900}}){{1,9}}){{1,2}}$\n    age: {}\n", "AGE")
    };
    let rules = (0..500).map(rule).collect::<String>().replace("AGE", &fleet.public("alice"));
    fs::write(fleet.path(".sops.yaml"), format!("creation_rules:\n{rules}")).unwrap();
    let limited = "ulimit -d 500000 && exec \"$0\" \"$@\"";
    let arguments = ["-c", limited, PROGRAM, "encrypt", "-o", "secrets/new.yaml"];
    let run = finish(fleet.around("/bin/sh".as_ref(), &arguments), b"a: b\n").ended(2);
    run.says(".sops.yaml:").says("has no room: with those before it");
}

// -- words in our mouth ----------------------------------------------------------------------

#[test]
fn names_of_keys_stay_on_their_line() {
    let fleet = desk();
    let name = "x\\u001b[2J\\nhint: run this";
    for kind in [
        format!("\"age\": [{{\"recipient\": \"{name}\", \"enc\": \"x\"}}]"),
        format!("\"pgp\": [{{\"fp\": \"{name}\", \"enc\": \"\"}}]"),
        format!("\"gcp_kms\": [{{\"resource_id\": \"{name}\", \"enc\": \"x\"}}]"),
    ] {
        fs::write(fleet.path(FILE), json(&kind)).unwrap();
        fs::rename(fleet.path(FILE), fleet.path("secrets/a.json")).unwrap();
        for run in [
            fleet.run(&["decrypt", "secrets/a.json"]),
            fleet.run(&["status", "secrets/a.json"]),
            sops(&fleet, &["decrypt", "secrets/a.json"]),
        ] {
            let said = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
            assert!(!said.contains('\u{1b}'), "{said:?}");
            let ours = |line: &str| line.trim_start().starts_with("hint: run this");
            assert!(!said.lines().any(ours), "{said}");
        }
    }
    assert!(!Path::new(&fleet.path(FILE)).exists());
}
