//! `secretctl exec`: what the command gets, what becomes of signals and exit codes, and that
//! nothing is left behind.

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

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Fleet, finish, is_root, is_there, wait_until};
use rustix::process::{Pid, Signal, kill_process};

const CANARY: &str = "CANARY-exec-41c7";

fn fleet() -> Fleet {
    let fleet = Fleet::new();
    fleet.put("secrets/token.age", format!("{CANARY}\n").as_bytes());
    fleet.put("secrets/config.json.age", b"{\"key\": \"CANARY-exec-41c7\"}\n");
    fleet
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[test]
fn a_whole_content_is_a_variable_and_no_argument() {
    let fleet = fleet();
    let script = "printf '[%s]' \"$TOKEN\"; tr '\\0' ' ' < /proc/$$/cmdline; \
                  tr '\\0' ' ' < /proc/$PPID/cmdline";
    let run = fleet.run(&["exec", "TOKEN=secrets/token.age", "--", "sh", "-c", script]).done();
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.starts_with(&format!("[{CANARY}]")), "{text}");
    assert_eq!(text.matches(CANARY).count(), 1, "{text}");
    assert!(run.stderr.is_empty(), "{}", run.stderr);
}

#[test]
fn the_rest_of_the_environment_is_there_or_not() {
    let fleet = fleet();
    let env = |more: &[&str]| {
        let command = [&["exec", "A=secrets/token.age"], more, &["--", "env"]].concat();
        let mut command = fleet.command(&command);
        command.env("OTHER", "1");
        String::from_utf8(finish(command, b"").done().stdout).unwrap()
    };
    let all = env(&[]);
    assert!(all.contains("OTHER=1\n") && all.contains(&format!("A={CANARY}\n")), "{all}");
    assert_eq!(env(&["--pristine"]), format!("A={CANARY}\n"));
}

#[test]
fn values_of_documents_are_variables_of_their_names() {
    let fleet = fleet();
    fleet.put("secrets/app.env.age", b"# of the app\nUSER_NAME=app\nPASSWORD=a=b #c\n");
    fleet
        .put("secrets/db.json.age", br#"{"db": {"hosts": ["h1", "h2"], "port": 5432}, "n": 1.50}"#);
    let env = |arguments: &[&str]| {
        let run = fleet.run(&[&["exec", "--pristine"], arguments, &["--", "env"]].concat()).done();
        let text = String::from_utf8(run.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(env(&["secrets/app.env.age"]), ["PASSWORD=a=b #c", "USER_NAME=app"]);
    let picked = ["--env", "HOST=/db/hosts/1", "--env", "PORT=[\"db\"][\"port\"]", "--env", "N=/n"];
    let picked = [&picked[..], &["secrets/db.json.age"]].concat();
    assert_eq!(env(&picked), ["HOST=h2", "N=1.50", "PORT=5432"]);
    let refused =
        |arguments: &[&str]| fleet.run(&[&["exec"], arguments, &["--", "true"]].concat()).ended(2);
    refused(&["secrets/db.json.age"]).says("`[\"db\"]` is a map or a list");
    refused(&["--env", "A=/db", "secrets/db.json.age"]).says("is a map or a list");
    refused(&["--env", "A=/db/user", "secrets/db.json.age"])
        .says("has no value `[\"db\"][\"user\"]`");
    refused(&["--env", "A=db", "secrets/db.json.age"]).says("cannot use `--env A=db`");
    fleet.put("secrets/bad.json.age", b"{\"a\": CANARY-exec-41c7}");
    let run = refused(&["secrets/bad.json.age"]).says("is no JSON: line 1");
    assert!(!run.stderr.contains("CANARY"), "{}", run.stderr);
}

#[test]
fn exit_codes_and_signals_are_the_commands() {
    let fleet = fleet();
    let run =
        |script: &str| fleet.run(&["exec", "A=secrets/token.age", "--", "sh", "-c", script]).code;
    assert_eq!(run("exit 0"), 0);
    assert_eq!(run("exit 7"), 7);
    assert_eq!(run("kill -TERM $$"), 128 + 15);
    assert_eq!(run("kill -KILL $$"), 128 + 9);
    let missing = ["exec", "A=secrets/token.age", "--", "no-such-program"];
    fleet.run(&missing).ended(2).says("there is no program `no-such-program` on PATH");
    let nobody = ["exec", "A=secrets/missing.age", "--", "touch", "ran"];
    fleet.run(&nobody).ended(2).says("there is no file");
    assert!(!fleet.path("ran").exists());
}

#[test]
fn signals_are_passed_on() {
    let fleet = fleet();
    let signals =
        [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];
    for (number, signal) in signals.into_iter().enumerate() {
        let ready = fleet.path(format!("ready{number}"));
        let script = format!(
            "trap 'echo got; exit 42' {}; touch {}; while :; do sleep 0.01; done",
            signal.as_raw(),
            ready.display()
        );
        let mut command =
            fleet.command(&["exec", "A=secrets/token.age", "--", "sh", "-c", &script]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        wait_until("the command has begun", || ready.exists());
        kill_process(pid(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(42), "{signal:?}");
        assert_eq!(output.stdout, b"got\n", "{signal:?}");
    }
}

#[test]
fn a_file_can_be_opened_by_its_path_again_and_again() {
    let fleet = fleet();
    let script = "cat \"$1\"; cat \"$1\"; stat -L -c %a \"$1\"; echo \"$1\"";
    let read = |how: &str| {
        let start = ["exec", how, "secrets/config.json.age", "--", "sh", "-c", script, "sh", "{}"];
        let text = String::from_utf8(fleet.run(&start).done().stdout).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines[..2], [lines[0].clone(), lines[0].clone()], "{text}");
        assert_eq!(lines[0], format!("{{\"key\": \"{CANARY}\"}}"));
        (lines[2].clone(), PathBuf::from(&lines[3]))
    };
    let (mode, path) = read("--file");
    assert_eq!((mode.as_str(), path.parent().unwrap()), ("400", Path::new("/proc/self/fd")));
    assert!(is_empty(&fleet.root().join("run")));
    let (mode, path) = read("--private-file");
    assert_eq!((mode.as_str(), path.file_name().unwrap()), ("600", "config.json".as_ref()));
    assert!(!path.exists() && !path.parent().unwrap().exists());
}

/// Root may open it to write, but it is sealed.
#[test]
fn nobody_changes_an_inherited_file() {
    let fleet = fleet();
    let script =
        "{ echo more >>\"$1\"; } 2>/dev/null || echo refused; : 2>/dev/null >\"$1\"; cat \"$1\"";
    let start = ["exec", "--file", "secrets/token.age", "--", "bash", "-c", script, "bash", "{}"];
    if !is_there("bash") {
        return;
    }
    assert_eq!(fleet.run(&start).done().stdout, format!("refused\n{CANARY}\n").as_bytes());
}

#[test]
fn inherited_files_outlive_the_process_that_made_them() {
    let fleet = fleet();
    let both = ["exec", "--file", "A=secrets/token.age", "B=secrets/config.json.age"];
    let script = ["--", "sh", "-c", "cat \"$A\" \"$B\"; echo $$"];
    let mut command = fleet.command(&[&both[..], &["--same-process"], &script].concat());
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    let text = format!("{CANARY}\n{{\"key\": \"{CANARY}\"}}\n{id}\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), text);
    let named = ["exec", "--private-file", "--same-process", "A=secrets/token.age", "--", "true"];
    fleet.run(&named).ended(2).says("cannot be used with");
}

/// As on a system without `memfd_create`.
#[test]
fn without_such_files_it_is_a_private_one() {
    let fleet = fleet();
    if !is_root() || !is_there("strace") {
        println!("skipped: strace as root is needed to take a system call away");
        assert!(!is_root() || std::env::var_os("SECRETCTL_TEST_STRICT").is_none());
        return;
    }
    let run = |more: &[&str]| {
        let start = ["-qq", "-o", "/dev/null", "-e", "inject=memfd_create:error=ENOSYS"];
        let program = [common::PROGRAM, "exec", "--file", "secrets/token.age"];
        let mut command = fleet.around("strace".as_ref(), &[&start[..], &program, more].concat());
        command.env("SECRETCTL_IDENTITY", fleet.key("alice"));
        finish(command, b"")
    };
    let text =
        String::from_utf8(run(&["--", "sh", "-c", "cat {}; echo {}"]).done().stdout).unwrap();
    assert!(text.starts_with(CANARY) && text.ends_with("/token\n"), "{text}");
    run(&["--same-process", "--", "cat", "{}"]).ended(2).says("leave out `--same-process`");
    assert!(is_empty(&fleet.root().join("run")));
}

#[test]
fn a_variable_can_hold_the_path_of_a_file() {
    let fleet = fleet();
    let run = |how: &str, script: &str| {
        let start = ["exec", how, "A=secrets/token.age", "B=secrets/config.json.age", "--"];
        let run = fleet.run(&[&start[..], &["sh", "-c", script]].concat()).done();
        String::from_utf8(run.stdout).unwrap()
    };
    let contents = format!("{CANARY}\n{{\"key\": \"{CANARY}\"}}\n");
    assert_eq!(run("--file", "cat \"$A\" \"$B\""), contents);
    let script = "cat \"$A\" \"$B\"; ls \"$(dirname \"$B\")\"; echo \"$A\"";
    let text = run("--private-file", script);
    let (content, path) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(content, format!("{contents}config.json"));
    assert!(!Path::new(path).parent().unwrap().exists());
    let pathless = ["exec", "--file", "secrets/token.age", "--", "true"];
    fleet.run(&pathless).ended(2).says("does not get the path");
    let two =
        ["exec", "--file", "secrets/token.age", "A=secrets/config.json.age", "--", "echo", "{}"];
    fleet.run(&two).ended(2).says("one file only");
}

#[test]
fn sigkill_takes_the_file_along() {
    let fleet = fleet();
    let ready = fleet.path("ready");
    let script = format!("echo \"$1\" > {0}.new; mv {0}.new {0}; read line", ready.display());
    let mut command = fleet.command(&[
        "exec",
        "--private-file",
        "secrets/token.age",
        "--",
        "sh",
        "-c",
        &script,
        "sh",
        "{}",
    ]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    wait_until("the command has begun", || ready.exists());
    let file = PathBuf::from(fs::read_to_string(&ready).unwrap().trim_end());
    assert_eq!(fs::read(&file).unwrap(), format!("{CANARY}\n").as_bytes());
    let folder = file.parent().unwrap();
    let mode = fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    kill_process(pid(&child), Signal::KILL).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    wait_until("the folder is gone", || !folder.exists());
}

#[test]
fn sigterm_is_for_the_command_and_the_file_goes() {
    let fleet = fleet();
    let ready = fleet.path("ready");
    let script = format!(
        "trap 'cat \"$1\"; echo \"$1\"; exit 3' TERM; touch {}; while :; do sleep 0.01; done",
        ready.display()
    );
    let mut command = fleet.command(&[
        "exec",
        "--private-file",
        "secrets/token.age",
        "--",
        "sh",
        "-c",
        &script,
        "sh",
        "{}",
    ]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the command has begun", || ready.exists());
    kill_process(pid(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    let (content, path) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(content, CANARY);
    assert!(!Path::new(path).parent().unwrap().exists());
}

#[test]
fn the_same_process_becomes_the_command() {
    let fleet = fleet();
    let script = "echo $$ $A";
    let mut command =
        fleet.command(&["exec", "--same-process", "A=secrets/token.age", "--", "sh", "-c", script]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{id} {CANARY}\n"));
}

#[test]
fn what_no_variable_can_hold_is_refused_by_name() {
    let fleet = fleet();
    fleet.put("secrets/nul.age", b"CANARY-exec-41c7\0");
    let run = fleet.run(&["exec", "A=secrets/nul.age", "--", "true"]).ended(2);
    assert!(run.stderr.contains("the value of `A` holds a NUL byte"), "{}", run.stderr);
    assert!(!run.stderr.contains("CANARY"), "{}", run.stderr);
    fleet.put("secrets/large.age", &vec![b'x'; 200_000]);
    fleet.run(&["exec", "A=secrets/large.age", "--", "true"]).ended(2).says("too large");
    fleet.run(&["exec", "secrets/token.age", "--", "true"]).ended(2).says("has no named values");
}

#[test]
fn another_user_gets_his_own_rights_and_no_others() {
    let fleet = fleet();
    let command = |more: &[&str]| {
        let start = ["exec", "--user", "nobody", "TOKEN=secrets/token.age"];
        fleet.run(&[&start[..], more].concat())
    };
    if !is_there("getent") || !is_there("id") {
        return;
    }
    if !is_root() {
        command(&["--", "true"]).ended(2).says("only root");
        return;
    }
    let script = "id -un; id -G; echo $USER $TOKEN";
    for way in [&[][..], &["--same-process"]] {
        let run = command(&[way, &["--", "sh", "-c", script]].concat()).done();
        let text = String::from_utf8(run.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!([lines[0], lines[2]], ["nobody", &format!("nobody {CANARY}")], "{text}");
        assert!(!lines[1].split(' ').any(|group| group == "0"), "{text}");
    }
    for how in ["--file", "--private-file"] {
        let start = ["exec", "--user", "nobody", how, "secrets/token.age", "--", "cat", "{}"];
        assert_eq!(fleet.run(&start).done().stdout, format!("{CANARY}\n").as_bytes());
    }
    let nobody = ["exec", "--user", "no-such-user", "A=secrets/token.age", "--", "true"];
    fleet.run(&nobody).ended(2).says("there is no user `no-such-user`");
}

#[test]
fn what_is_typed_reaches_the_command_once() {
    let fleet = fleet();
    let script = "trap 'echo INT' INT; echo begun; read a; read b; echo \"<$a|$b>\"";
    let mut command = fleet.command(&["exec", "A=secrets/token.age", "--", "bash", "-c", script]);
    command.stdin(Stdio::inherit());
    if !is_there("bash") {
        return;
    }
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    session.exp_string("begun").unwrap();
    session.send_control('c').unwrap();
    session.exp_string("INT").unwrap();
    session.send_line("one").unwrap();
    session.send_line("two").unwrap();
    let rest = session.exp_eof().unwrap();
    assert!(!rest.contains("INT"), "{rest}");
    assert!(rest.contains("one") && rest.contains("two"), "{rest}");
}

/// What a process sends to us alone is for the command too, also where a terminal could have sent it.
#[test]
fn what_a_process_sends_reaches_a_command_at_the_terminal_once() {
    let fleet = fleet();
    let script = "trap 'echo got INT' INT; trap 'echo got QUIT' QUIT; trap 'echo got HUP' HUP; \
                  echo begun $PPID; read a; read b; read c; read d; echo \"<$d>\"";
    let mut command = fleet.command(&["exec", "A=secrets/token.age", "--", "bash", "-c", script]);
    command.stdin(Stdio::inherit());
    if !is_there("bash") {
        return;
    }
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    session.exp_string("begun ").unwrap();
    let ours = session.read_line().unwrap().trim_end().parse().unwrap();
    let ours = Pid::from_raw(ours).unwrap();
    let mut before = String::new();
    for (signal, name) in [(Signal::INT, "INT"), (Signal::QUIT, "QUIT"), (Signal::HUP, "HUP")] {
        kill_process(ours, signal).unwrap();
        before.push_str(&session.exp_string(&format!("got {name}")).unwrap());
    }
    for line in ["one", "two", "three", "four"] {
        session.send_line(line).unwrap();
    }
    let rest = session.exp_eof().unwrap();
    assert!(!before.contains("got") && !rest.contains("got"), "{before}{rest}");
    assert!(rest.contains("four"), "{rest}");
}
