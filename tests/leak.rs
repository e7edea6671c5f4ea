//! A canary in every place where something secret can be: it appears in no output but the one
//! that was asked for, in no file, in no argument and in no environment of a child, during a run
//! and after, whether it succeeds, fails or is killed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;
mod target;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Fleet, Run, files_below, finish, is_root, wait_until};

const SECRET: &str = "CANARY-secret-9f3b1c";
const PASSPHRASE: &str = "CANARY-passphrase-77aa02";
const NEW: &str = "CANARY-new-5d21e8";
/// Of a test that runs beside the others, whose value a child sees in memory for a moment.
const ON_TARGET: &str = "CANARY-target-4be1d7";
const DB: &str = "secrets/db.yaml.age";

/// A fleet whose secret, passphrase and keys are canaries.
struct Coop {
    fleet: Fleet,
    /// All that must not be seen.
    canaries: Vec<Vec<u8>>,
}

impl Coop {
    fn new() -> Self {
        let fleet = Fleet::new();
        fleet.put(DB, format!("password: {SECRET}\n").as_bytes());
        let locked = fleet.locked_key("locked", PASSPHRASE);
        let mut canaries: Vec<Vec<u8>> =
            [SECRET, PASSPHRASE, NEW].iter().map(|text| text.as_bytes().to_vec()).collect();
        for key in [fleet.key("alice"), locked] {
            let text = fs::read_to_string(key).unwrap();
            // The private part begins after the public one; the last full line is all private.
            let lines: Vec<&str> = text.lines().collect();
            canaries.push(lines[lines.len() - 3].as_bytes().to_vec());
        }
        let converted = fleet.run(&["keys", "convert", "--private-key", "../keys/alice"]).done();
        canaries.push(converted.stdout.trim_ascii().to_vec());
        Self { fleet, canaries }
    }

    #[track_caller]
    fn clean(&self, what: &str, bytes: &[u8]) {
        for canary in &self.canaries {
            let found = bytes.windows(canary.len()).any(|window| window == canary);
            let canary = String::from_utf8_lossy(canary);
            assert!(!found, "{canary} in {what}: {}", String::from_utf8_lossy(bytes));
        }
    }

    /// No file that the program may write holds a canary.
    #[track_caller]
    fn files_are_clean(&self) {
        let root = self.fleet.root();
        let me = fs::metadata(root).unwrap().uid();
        let mut files: Vec<PathBuf> = files_below(root);
        for folder in ["/dev/shm", "/var/tmp"] {
            files.extend(files_below(Path::new(folder)).into_iter().filter(|file| {
                fs::symlink_metadata(file)
                    .is_ok_and(|data| data.uid() == me && data.len() < 1 << 20)
            }));
        }
        for file in files {
            let ours = file.starts_with(root.join("keys")) || file.starts_with(root.join("bin"));
            let regular = fs::symlink_metadata(&file).is_ok_and(|data| data.is_file());
            if regular && !ours {
                self.clean(&file.display().to_string(), &fs::read(&file).unwrap_or_default());
            }
        }
    }

    #[track_caller]
    fn silent(&self, arguments: &[&str], run: &Run) {
        let what = arguments.join(" ");
        self.clean(&format!("stdout of {what}"), &run.stdout);
        self.clean(&format!("stderr of {what}"), run.stderr.as_bytes());
    }
}

#[test]
fn no_command_and_no_error_shows_or_leaves_a_secret() {
    let coop = Coop::new();
    let fleet = &coop.fleet;
    let stranger = fleet.key("stranger");
    let stranger = stranger.to_str().unwrap();
    let broken = fleet.path("broken.age");
    let mut bytes = fs::read(fleet.path(DB)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&broken, bytes).unwrap();
    // A private key where a public one belongs, and a secret where a key or rules belong.
    fs::write(fleet.path("plain.yaml"), format!("password: {SECRET}\nx: [\n")).unwrap();
    fs::write(fleet.path("plain.json"), format!("{{\"password\": {SECRET}")).unwrap();
    let private = fs::read_to_string(fleet.key("alice")).unwrap();
    let converted = String::from_utf8(coop.canaries[5].clone()).unwrap();
    let db1 = fleet.public("db1");
    let runs: &[(&[&str], &str)] = &[
        (&["status"], ""),
        (&["status", "--json"], ""),
        (&["rekey", "--force"], ""),
        (&["rekey", "--force", "--json"], ""),
        (&["rekey", "--force", "--error-format", "json", "-i", stranger], ""),
        (&["rekey", "--force", "-i", stranger], ""),
        (&["rekey", "--force", "-i", "plain.yaml"], ""),
        (&["rekey", "--force", "-i", "../keys/locked"], ""),
        (&["decrypt", DB, "-i", stranger], ""),
        (&["decrypt", DB, "-i", "plain.yaml"], ""),
        (&["decrypt", "plain.yaml"], ""),
        (&["decrypt", "broken.age"], ""),
        (&["decrypt", "broken.age", "-o", "out"], ""),
        (&["decrypt", DB, "-o", "nowhere/out"], ""),
        (&["decrypt"], SECRET),
        (&["edit", DB], &format!("password: [{NEW}\n")),
        (&["edit", DB], &format!("password: {NEW}\n")),
        (&["edit", "secrets/x.json.age"], &format!("{{\"password\": {NEW}")),
        (&["edit", "elsewhere.age"], NEW),
        (&["encrypt", "-r", SECRET], NEW),
        (&["encrypt", "-r", &converted], NEW),
        (&["encrypt", "-r", &private], NEW),
        (&["encrypt", "-R", "plain.yaml"], NEW),
        (&["encrypt", "-R", "../keys/alice"], NEW),
        (&["encrypt", "-R", "-"], &private),
        (&["encrypt", "-R", "-"], &converted),
        (&["encrypt", "-r", &db1], NEW),
        (&["encrypt", "-p"], NEW),
        (&["--rules", "plain.yaml", "status"], ""),
        (&["--rules", "../keys/alice", "status"], ""),
        (&["host", "add", "x", "-r", &converted], ""),
        (&["host", "add", "x", "-k", "../keys/alice"], ""),
        (&["host", "add", "x", "-k", "plain.yaml"], ""),
        (&["host", "add", "x", "--known-hosts", "plain.yaml"], ""),
        (&["user", "add", "x", "-k", "-"], &private),
        (&["user", "add", "x", "-k", "-"], &converted),
        (&["keys", "show"], ""),
        (&["keys", "show", "../keys/alice"], ""),
        (&["keys", "show", "../keys/locked"], ""),
        (&["keys", "show", "-"], &private),
        (&["keys", "show", "plain.yaml"], ""),
        (&["keys", "convert", "plain.yaml"], ""),
        (&["keys", "convert", "../keys/alice"], ""),
        (&["keys", "convert", "--private-key", "../keys/locked"], ""),
        (&["keys", "convert", "--private-key", "plain.yaml"], ""),
        (&["host", "add", "db1", "-r", &db1, "--to", "secrets/**", "--yes"], ""),
        (&["host", "remove", "db1", "--yes"], ""),
    ];
    let plain = ["plain.yaml", "plain.json"].map(|name| fleet.path(name));
    for (arguments, input) in runs {
        let run = fleet.feed(arguments, input.as_bytes());
        // What the user typed as an argument may be named, but a secret is better not repeated.
        if !arguments.contains(&SECRET) {
            coop.silent(arguments, &run);
        }
    }
    for file in plain {
        fs::remove_file(file).unwrap();
    }
    coop.files_are_clean();
}

#[test]
fn no_command_on_sops_files_shows_or_leaves_a_secret() {
    let coop = Coop::new();
    let fleet = &coop.fleet;
    let content = format!("{{\"db\": {{\"password\": \"{SECRET}\"}}, \"other\": \"{SECRET}\"}}\n");
    fleet.feed(&["encrypt", "-o", "secrets/a.json"], content.as_bytes()).done();
    let yaml = format!("# {SECRET}\npassword: {SECRET}\nlist: [{SECRET}]\n");
    fleet.feed(&["encrypt", "-o", "secrets/a.yaml"], yaml.as_bytes()).done();
    fleet.feed(&["encrypt", "-o", "secrets/a.env"], format!("A={SECRET}\n").as_bytes()).done();
    fleet.feed(&["encrypt", "-o", "secrets/a.ini"], format!("[a]\nb={SECRET}\n").as_bytes()).done();
    fleet.feed(&["encrypt", "--type", "sops", "-o", "secrets/a.bin"], SECRET.as_bytes()).done();
    let sound = fs::read_to_string(fleet.path("secrets/a.json")).unwrap();
    fs::write(fleet.path("secrets/mac.json"), sound.replacen("\"other\"", "\"another\"", 1))
        .unwrap();
    fs::write(fleet.path("secrets/type.json"), sound.replacen("type:str", "type:int", 1)).unwrap();
    fs::write(fleet.path("secrets/cut.json"), &sound[..sound.len() - 20]).unwrap();
    let stranger = fleet.key("stranger");
    let stranger = stranger.to_str().unwrap();
    let text = format!("\"{NEW}\"");
    let runs: &[(&[&str], &str)] = &[
        (&["status", "--json"], ""),
        (&["decrypt", "secrets/mac.json"], ""),
        (&["decrypt", "secrets/type.json"], ""),
        (&["decrypt", "secrets/cut.json"], ""),
        (&["decrypt", "secrets/a.yaml", "-i", stranger], ""),
        (&["decrypt", "secrets/a.yaml", "--output-type", "dotenv"], ""),
        (&["decrypt", "secrets/a.yaml", "--output-type", "ini"], ""),
        (&["decrypt"], &content),
        (&["decrypt"], &yaml),
        (&["get", "secrets/a.json", "/nowhere"], ""),
        (&["get", "secrets/a.json", "/db/password/more"], ""),
        (&["get", "secrets/a.yaml", "/list", "--output-type", "dotenv"], ""),
        (&["get", "secrets/a.bin", "/x"], ""),
        (&["get", DB, "/nowhere"], ""),
        (&["get", DB, "/password", "--input-type", "json"], ""),
        (&["set", "secrets/a.json", "/db/password"], &text),
        (&["set", "secrets/a.json", "/db/password", "--string"], &format!("{NEW}\n")),
        (&["set", "secrets/a.json", "/db/password"], NEW),
        (&["set", "secrets/a.json", "/db/password"], &format!("{{\"a\": [{NEW}")),
        (&["set", "secrets/a.json", "/db/password/x"], &text),
        (&["set", "secrets/a.env", "/A"], &format!("{{\"x\": {text}}}")),
        (&["set", "secrets/a.env", "/A"], &text),
        (&["set", "secrets/a.ini", "/a/b", "--string"], &format!("{NEW}\n{NEW}")),
        (&["set", "secrets/a.yaml", "/list/0"], &text),
        (&["set", "secrets/mac.json", "/a"], &text),
        (&["set", DB, "/password"], &text),
        (&["unset", "secrets/a.yaml", "/list"], ""),
        (&["unset", "secrets/a.yaml", "/nothing"], ""),
        (&["unset", "secrets/type.json", "/other"], ""),
        (&["edit", "secrets/a.yaml"], &format!("a: [{NEW}\nb: {NEW}")),
        (&["edit", "secrets/a.yaml"], &format!("a: {NEW}\n")),
        (&["encrypt", "-o", "secrets/a.yaml"], &format!("- {NEW}\n")),
        (&["encrypt", "-o", "secrets/a.yaml"], &format!("a: &x {NEW}\nb: *x\n")),
        (&["encrypt", "-o", "secrets/a.yaml"], &format!("sops: {NEW}\n")),
        (&["encrypt", "-o", "secrets/a.env"], NEW),
        (&["encrypt", "-o", "secrets/a.json"], &format!("{{\"a\": {NEW}}}")),
        (&["encrypt", "-o", "secrets/a.json"], &format!("{{\"a\": \"{NEW}\"}}")),
        (&["encrypt", "-r", "@alice", "--type", "sops", "--input-type", "json"], &text),
        (&["encrypt", "--in-place", "secrets/a.json"], ""),
        (&["rotate", "secrets/a.json", "secrets/type.json"], ""),
        (&["rotate", "secrets/a.json", "secrets/a.yaml", "secrets/a.bin", DB], ""),
        (&["rekey", "--force"], ""),
        (&["rekey", "--force", "--json", "-i", stranger], ""),
    ];
    for (arguments, input) in runs {
        coop.silent(arguments, &fleet.feed(arguments, input.as_bytes()));
    }
    for broken in ["mac", "type", "cut"] {
        fs::remove_file(fleet.path(format!("secrets/{broken}.json"))).unwrap();
    }
    fleet.run(&["rekey", "--force"]).done();
    coop.files_are_clean();
    let run = fleet.run(&["get", "secrets/a.env", "/A"]).done();
    assert_eq!((run.stdout.as_slice(), run.stderr.as_str()), (NEW.as_bytes(), ""));
}

#[test]
fn a_scan_shows_and_leaves_no_secret() {
    let coop = Coop::new();
    let fleet = &coop.fleet;
    let ground = tempfile::tempdir().unwrap();
    let text = format!("a: {SECRET}\nb: {SECRET}\n");
    fs::write(ground.path().join("leak"), &text).unwrap();
    // Names have it, too: of a finding, of what cannot be looked at, of a member.
    let named = ground.path().join(format!("at-{SECRET}-x"));
    fs::create_dir(&named).unwrap();
    for name in ["cut.gz".to_owned(), format!("cut-{SECRET}.gz")] {
        fs::write(named.join(name), b"\x1f\x8b\x08\0\0\0\0\0\0\x03").unwrap();
    }
    let member = ground.path().join("member");
    fs::write(&member, format!("GARBAGE\n{SECRET}")).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["-cf", "all.tar", &format!("--transform=s,member,in-{SECRET},"), "member"])
        .current_dir(ground.path())
        .status();
    assert!(tar.unwrap().success());
    let ground = ground.path().to_str().unwrap();
    let state = fleet.root().join("state");
    for more in [
        &[][..],
        &["--json"],
        &["--sarif"],
        &["--heuristics"],
        &["--write-baseline", "baseline.json"],
        &["--all", "--memory", "none"],
        &["--error-format", "json"],
    ] {
        let arguments = [&["scan", ground], more].concat();
        let mut command = fleet.command(&arguments);
        command.env("XDG_STATE_HOME", &state);
        let run = finish(command, b"").ended(2);
        coop.silent(&arguments, &run);
        assert!(run.stderr.contains("cut.gz"), "{}", run.stderr);
    }
    // While it waits for more to search, it holds the needles.
    let mut command = fleet.command(&["scan", "--nar", "-"]);
    command.env("XDG_STATE_HOME", &state).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    wait_until("it reads", || {
        fs::read_to_string(process.join("wchan")).is_ok_and(|place| place.contains("pipe"))
            || fs::read_link(process.join("fd/0")).is_err()
    });
    coop.clean("arguments of a scan", &fs::read(process.join("cmdline")).unwrap());
    coop.clean("environment of a scan", &fs::read(process.join("environ")).unwrap_or_default());
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(core.split_whitespace().skip(4).take(2).all(|limit| limit == "0"), "{core}");
    drop(child.stdin.take());
    let run = Run::from(child.wait_with_output().unwrap());
    // found, and no NAR
    assert_eq!(run.code, 2, "{}", run.stderr);
    coop.silent(&["scan", "--nar", "-"], &run);
    coop.files_are_clean();
}

#[test]
fn only_what_was_asked_for_is_printed() {
    let coop = Coop::new();
    let run = coop.fleet.run(&["decrypt", DB]).done();
    assert_eq!(run.stdout, format!("password: {SECRET}\n").as_bytes());
    assert_eq!(run.stderr, "");
}

#[test]
fn errors_of_syntax_quote_nothing() {
    let coop = Coop::new();
    for (name, text) in [
        (DB, format!("a: [{NEW}\nb: {NEW}")),
        (DB, format!("a: &{NEW} *{NEW}x")),
        (DB, format!("{NEW}: %{NEW}\n\t- {NEW}: @")),
        ("secrets/x.json.age", format!("{{\"{NEW}\": {NEW}}}")),
        ("secrets/x.json.age", format!("\"\\{NEW}\"")),
    ] {
        let run = coop.fleet.feed(&["edit", name], text.as_bytes()).done();
        let script = format!("printf '%s' '{text}x' >\"$1\"");
        let edited = coop.fleet.edit(&["edit", name], &script);
        coop.silent(&["edit"], &run);
        coop.silent(&["edit"], &edited);
    }
    coop.files_are_clean();
}

#[test]
fn children_see_no_secret_in_arguments_or_environment() {
    let coop = Coop::new();
    let fleet = &coop.fleet;
    let seen = fleet.root().join("tmp/seen");
    let dump = format!("cat /proc/$$/cmdline /proc/$$/environ >>'{}'", seen.display());
    let askpass = fleet.script("askpass", &format!("{dump}\necho '{PASSPHRASE}'"));
    let editor = fleet.script("editor", &format!("{dump}\necho 'password: {NEW}' >\"$1\""));
    fleet.rules(&format!("  locked: {}\n", fleet.public("locked")));
    let rules = fs::read_to_string(fleet.path("secretctl.yaml")).unwrap();
    fs::write(fleet.path("secretctl.yaml"), rules.replace("[web1]", "[web1, locked]")).unwrap();
    fleet.run(&["rekey", "--force"]).done();
    let mut command = fleet.bare(&["edit", DB]);
    command.env("SECRETCTL_IDENTITY", fleet.root().join("keys/locked"));
    command.env("SECRETCTL_ASKPASS", &askpass).env("EDITOR", &editor);
    let run = finish(command, b"").done();
    coop.silent(&["edit"], &run);
    assert_eq!(fleet.open(DB, "web1").unwrap(), format!("password: {NEW}\n").as_bytes());
    // A private key in our own environment is for us.
    let identity = std::str::from_utf8(&coop.canaries[5]).unwrap();
    let dump = fleet.script("dump", &dump);
    for (edit_dir, arguments) in [
        ("", &["edit", DB][..]),
        ("shared", &["edit", DB]),
        ("", &["exec", "--file", DB, "--", dump.to_str().unwrap(), "{}"]),
    ] {
        let before = fs::read(&seen).unwrap().len();
        let mut command = fleet.command(arguments);
        command.env("SOPS_AGE_KEY", identity).env("EDITOR", &editor);
        command.env("SECRETCTL_EDIT_DIR", edit_dir);
        let run = finish(command, b"").done();
        coop.silent(arguments, &run);
        assert!(fs::read(&seen).unwrap().len() > before + 100, "{arguments:?}");
    }
    let dumped = fs::read(&seen).unwrap();
    assert!(dumped.len() > 100);
    coop.clean("arguments and environment", &dumped);
    coop.files_are_clean();
}

/// An edit whose editor has changed the file and sleeps.
fn editing(coop: &Coop, variables: &[(&str, &str)]) -> Child {
    let ready = coop.fleet.root().join("tmp/ready");
    let script = format!(
        "printf 'password: {NEW}' >\"$1\"; echo $$ >'{0}.new'; mv '{0}.new' '{0}'; exec sleep 100",
        ready.display()
    );
    let mut command = coop.fleet.command(&["edit", DB]);
    command.env("EDITOR", coop.fleet.script("slow", &script)).envs(variables.iter().copied());
    let child = command.spawn().unwrap();
    wait_until("the editor", || ready.exists());
    child
}

#[test]
fn while_an_editor_runs_and_after_a_kill_nothing_is_on_a_disk() {
    let coop = Coop::new();
    let mut child = editing(&coop, &[]);
    let editor: u32 =
        fs::read_to_string(coop.fleet.root().join("tmp/ready")).unwrap().trim().parse().unwrap();
    coop.files_are_clean();
    for pid in [child.id(), editor] {
        for name in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            coop.clean(name, &bytes);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the end of the editor", || {
        let state = fs::read_to_string(format!("/proc/{editor}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
    coop.files_are_clean();
    assert_eq!(coop.fleet.open(DB, "web1").unwrap(), format!("password: {SECRET}\n").as_bytes());
}

#[test]
fn an_editor_that_hands_over_leaves_nothing_when_it_ends_or_is_ended() {
    for signal in ["-TERM", "-HUP"] {
        let coop = Coop::new();
        let mut child = editing(&coop, &[("SECRETCTL_EDIT_DIR", "shared")]);
        let pid = child.id().to_string();
        std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
        child.wait().unwrap();
        coop.files_are_clean();
    }
}

#[test]
fn a_running_program_leaves_no_core_and_cannot_be_read() {
    let coop = Coop::new();
    let mut child = editing(&coop, &[]);
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    // What is not dumpable belongs to root, whoever runs it.
    let memory = fs::metadata(process.join("mem")).unwrap();
    assert_eq!((memory.uid(), memory.gid()), (0, 0));
    if !is_root() {
        assert!(fs::File::open(process.join("mem")).is_err());
        assert!(fs::read(process.join("environ")).is_err());
    }
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-ABRT", &pid]).status().unwrap();
    let status = child.wait().unwrap();
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&status), "{status}");
    coop.files_are_clean();
}

#[test]
fn a_program_of_an_unprivileged_user_cannot_be_read_by_that_user() {
    if !is_root() || !common::is_there("setpriv") {
        return;
    }
    let coop = Coop::new();
    let fleet = &coop.fleet;
    fs::copy(common::PROGRAM, fleet.root().join("bin/secretctl")).unwrap();
    std::process::Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(fleet.root())
        .status()
        .unwrap();
    let script = "exec 3<&0; secretctl encrypt -o secrets/x.age <&3 & pid=$!
        until [ \"$(stat -c %u /proc/$pid/mem)\" = 0 ]; do
        kill -0 $pid || exit 73; sleep 0.01; done
        cat /proc/$pid/mem >/dev/null 2>&1 && exit 70
        cat /proc/$pid/environ >/dev/null 2>&1 && exit 71
        ls /proc/$pid/fd >/dev/null 2>&1 && exit 72
        kill $pid; exit 0";
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script];
    let mut command = fleet.around(Path::new("setpriv"), &user);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"x").unwrap();
    let status = child.wait().unwrap();
    drop(input);
    assert!(status.success(), "{status}");
}

#[test]
fn vim_leaves_no_trace() {
    let vim = ["vim.tiny", "vim", "vi"].into_iter().find(|name| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    });
    let Some(vim) = vim else {
        println!("skipped: vim is missing");
        return;
    };
    let coop = Coop::new();
    let home = coop.fleet.root().join("home");
    let greedy = "set swapfile directory=~ backup writebackup backupdir=~ viminfo='100,\\\"50\n\
        set updatecount=1\nif has('persistent_undo')\nset undofile undodir=~\nendif\n";
    fs::write(home.join(".vimrc"), greedy).unwrap();
    let mut command = coop.fleet.command(&["edit", DB]);
    let editor = format!("{vim} -e -s -u {0}/.vimrc -S {0}/keys", home.display());
    fs::write(home.join("keys"), "%s/CANARY/CANARY-changed/\nw\n%yank a\nwq\n").unwrap();
    command.env("EDITOR", editor).env("TERM", "dumb");
    finish(command, b"").done();
    let content = coop.fleet.open(DB, "web1").unwrap();
    assert!(String::from_utf8(content).unwrap().contains("CANARY-changed-secret"));
    let mut left: Vec<_> = fs::read_dir(&home).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".vimrc", "keys"]);
    coop.files_are_clean();
}

// -- on the target -----------------------------------------------------------------------------

/// A machine whose secrets are canaries, and runs of every way to succeed and to fail.
#[test]
fn activation_shows_and_leaves_nothing() {
    use serde_json::json;
    let Some(host) = target::Host::new() else { return };
    let (ssh, age) = (host.public("host"), host.age_of("host"));
    let private = fs::read_to_string(host.key("host")).unwrap();
    let lines: Vec<&str> = private.lines().collect();
    let private = lines[lines.len() - 3].as_bytes().to_vec();
    let canaries = [ON_TARGET.as_bytes().to_vec(), private, b"AGE-SECRET-KEY-".to_vec()];
    let clean = |what: &str, bytes: &[u8]| {
        for canary in &canaries {
            let found = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!found, "a canary in {what}: {}", String::from_utf8_lossy(bytes));
        }
    };
    let yaml = host.sops("db.yaml", &format!("a: {ON_TARGET}\nn: null\n"), &[&age]);
    let good = host.age("good.age", ON_TARGET.as_bytes(), &[&ssh]);
    let foreign = host.age("foreign.age", ON_TARGET.as_bytes(), &[&host.public("other")]);
    let inner = host.age("inner.yaml.age", format!("{ON_TARGET}: [").as_bytes(), &[&ssh]);
    let mut broken = fs::read(&good).unwrap();
    *broken.last_mut().unwrap() ^= 1;
    let broken = host.file("files/broken.age", &broken);
    let damaged = fs::read_to_string(&yaml).unwrap().replacen("data:", "data:A", 1);
    let damaged = host.file("files/damaged.yaml", damaged.as_bytes());
    // Tells all that a child can see of its surroundings.
    let told = host.at("told");
    let program = host.file(
        "bin/change",
        format!(
            "#!/bin/sh\n(env; cat /proc/$PPID/cmdline /proc/$PPID/environ; ps ax) >>{told}\n\
             cat \"$inFile\" >&2; cat \"$inFile\"\n"
        )
        .as_bytes(),
    );
    host.sh(&format!("chmod 755 {program}"));
    let secrets = [
        json!({ "name": "good", "file": good, "transform": program }),
        json!({ "name": "value", "file": yaml, "key": ["a"] }),
        json!({ "name": "whole", "file": yaml }),
        json!({ "name": "null", "file": yaml, "key": ["n"] }),
        json!({ "name": "missing", "file": yaml, "key": ["a", "b"] }),
        json!({ "name": "foreign", "file": foreign }),
        json!({ "name": "inner", "file": inner, "key": ["x"] }),
        json!({ "name": "broken", "file": broken }),
        json!({ "name": "damaged", "file": damaged, "key": ["a"] }),
        json!({ "name": "owner", "file": good, "owner": "nobody of this name" }),
        json!({ "name": "link", "file": good, "links": [host.at("etc/folder")] }),
    ];
    host.sh(&format!("mkdir -p {}/x", host.at("etc/folder")));
    let mut manifest = host.manifest(&secrets);
    manifest["templates"] = json!([
        { "name": "t", "store": "secrets", "content": "<secretctl:value>" },
        { "name": "bad", "store": "secrets", "content": "<secretctl:value><secretctl:foreign>" },
    ]);
    let mut unlucky = manifest.clone();
    unlucky["identities"] = json!([{ "file": host.file("files/no-key", ON_TARGET.as_bytes()) }]);
    let runs: [(&serde_json::Value, &[&str]); 7] = [
        (&manifest, &["--dry-run"]),
        (&manifest, &["--dry-run", "--json"]),
        (&manifest, &[]),
        (&manifest, &["--json"]),
        (&manifest, &["--error-format", "json"]),
        (&manifest, &["--check"]),
        (&unlucky, &[]),
    ];
    for (manifest, options) in runs {
        let run = host.activate(manifest, options).ended(1);
        clean(&format!("stdout of {options:?}"), &run.stdout);
        clean(&format!("stderr of {options:?}"), run.stderr.as_bytes());
    }
    assert_eq!(host.installed("value"), ON_TARGET);
    let told = fs::read(told).unwrap();
    assert!(String::from_utf8_lossy(&told).contains("inFile="));
    clean("what a child sees", &told);
    // Where there is a disk, there is nothing: secrets lie in memory that only the machine sees.
    if is_root() {
        let mut files = files_below(host.root());
        files.extend(files_below(Path::new("/dev/shm")));
        files.extend(files_below(Path::new("/var/tmp")));
        for file in files {
            let keys = file.starts_with(host.root().join("keys"));
            let no_key = file.ends_with("files/no-key");
            if fs::symlink_metadata(&file).is_ok_and(|data| data.is_file() && data.len() < 1 << 20)
                && !keys
                && !no_key
            {
                clean(&file.display().to_string(), &fs::read(&file).unwrap_or_default());
            }
        }
    }
}
