//! Editing in private: a test program that is its own parent process, room and judge, since
//! the room is the same program started again, before it has any thread.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unnecessary_wraps,
    clippy::unwrap_used,
    reason = "a test, without the attribute by which the lints know one"
)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use secretctl::fsx::Folders;
use secretctl::plaintext::Plaintext;
use secretctl::process::{EditRequest, EditSession, Editor, Interrupts, edit_room, harden};

type Test = (&'static str, fn(&Stage) -> Result<(), String>);

const TESTS: [Test; 10] = [
    ("the_editor_works_on_a_ramfs_that_nobody_else_sees", private),
    ("an_unprivileged_user_gets_a_ramfs_too", unprivileged),
    ("without_namespaces_a_folder_in_memory_serves", forbidden),
    ("an_editor_that_hands_over_gets_a_folder_in_memory", shared),
    ("a_disk_is_refused_unless_wanted", disk),
    ("sigkill_of_the_parent_takes_editor_and_plaintext_along", killed),
    ("sigterm_of_the_parent_removes_the_folder", terminated),
    ("sigint_is_for_the_editor", interrupted),
    ("an_editor_that_fails_is_an_error_and_its_text_is_kept", failing),
    ("odd_names_reach_the_editor_whole", names),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = edit_room::serve(&arguments) {
        return code;
    }
    if arguments.get(1).is_some_and(|word| word == "edit") {
        return edit(&arguments[2..]);
    }
    if arguments.iter().any(|word| word == "--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&str> =
        arguments[1..].iter().filter_map(|w| w.to_str()).filter(|w| !w.starts_with('-')).collect();
    let mut failed = 0;
    for (name, test) in TESTS {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word)) {
            continue;
        }
        match test(&Stage::new()) {
            Ok(()) => println!("test {name} ... ok"),
            Err(reason) if reason.starts_with("skipped") => println!("test {name} ... {reason}"),
            Err(reason) => {
                failed += 1;
                println!("test {name} ... FAILED\n    {reason}");
            }
        }
    }
    ExitCode::from(failed)
}

/// The parent process: `edit MODE NAME EDITOR`, twice with the mode `twice`; prints where it
/// was edited and the content, or the error.
fn edit(arguments: &[OsString]) -> ExitCode {
    let [mode, name, editor] = arguments else { return ExitCode::from(64) };
    let interrupts = Interrupts::new();
    harden().unwrap();
    let variables = |name: &str| std::env::var_os(name);
    let mut folders = Folders::from_environment(&variables);
    if mode == "disk" || mode == "insecure" {
        folders =
            Folders { runtime: None, memory: "/var/tmp".into(), temporary: "/var/tmp".into() };
    }
    let editor = Editor::parse(editor, "EDITOR", OsStr::new("/usr/bin:/bin")).unwrap();
    let request = EditRequest {
        file_name: name,
        editor: &editor,
        folders: &folders,
        insecure_tmp: mode == "insecure",
        shared: mode != "private" && mode != "twice",
        interrupts: &interrupts,
    };
    let mut session = EditSession::open(request, &Plaintext::copy_of(CANARY.as_bytes()));
    if mode == "twice" {
        println!("{}", session.run_editor().unwrap_err());
    }
    match session.run_editor() {
        Ok(place) => {
            let text = String::from_utf8_lossy(session.content().expose()).into_owned();
            println!("{place:?}\n{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}\n{}", error.remedy().unwrap_or_default());
            ExitCode::from(2)
        }
    }
}

/// A folder of the test with an editor in it, readable by every user.
struct Stage {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = folder.path().join("program");
        fs::copy("/proc/self/exe", &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn editor(&self, script: &str) -> PathBuf {
        let path = self.path("editor");
        let at = self.folder.path().display();
        fs::write(&path, format!("#!/bin/sh\nat={at}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn edit(&self, mode: &str, script: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["edit", mode, "db.yaml"]).arg(self.editor(script));
        command
    }

    fn start(&self, mode: &str) -> Child {
        // Says who it is only once it has seen the text.
        let script = "grep -q canary-7f3a \"$1\" && echo $$ >$at/new && mv $at/new $at/pid
            echo \"$1\" >$at/where
            trap 'echo int >$at/int' INT
            while [ -d $at ] && [ ! -e $at/done ]; do sleep 0.05; done";
        let child = self.edit(mode, script).stdout(Stdio::piped()).spawn().unwrap();
        wait_for(|| self.path("where").exists());
        assert!(self.path("pid").exists(), "the editor saw its text");
        child
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default().trim().to_owned()
    }
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn expect(what: &str, output: &Output, parts: &[&str]) -> Result<(), String> {
    let text = text(output);
    let all = parts.iter().all(|part| text.contains(part));
    if all { Ok(()) } else { Err(format!("{what}: {text}")) }
}

/// Replaces the file by rename, as editors do, and notes what kind of place it is in.
const CHANGE: &str = "stat -f -c %T \"$1\" >$at/kind; stat -c '%a %u' \"$1\" >$at/mode
    echo \"$1\" >$at/where; umask >$at/umask; ls -A \"$(dirname \"$1\")\" >$at/files
    printf 'edited ' >\"$1.new\"; cat \"$1\" >>\"$1.new\"; mv \"$1.new\" \"$1\"";

fn ramfs(stage: &Stage, output: &Output) -> Result<(), String> {
    expect("outcome", output, &["Namespace", "edited canary-7f3a"])?;
    if stage.read("kind") != "ramfs" || !stage.read("mode").starts_with("600 ") {
        return Err(format!("{} {}", stage.read("kind"), stage.read("mode")));
    }
    let (files, umask) = (stage.read("files"), stage.read("umask"));
    if files != "db.yaml" || umask != "0077" {
        return Err(format!("beside the file: {files}, umask: {umask}"));
    }
    nothing_left(&stage.read("where"))
}

fn nothing_left(path: &str) -> Result<(), String> {
    let folders = fs::read_dir("/dev/shm").unwrap().flatten();
    let left: Vec<_> = folders
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("secretctl"))
        .filter(|entry| grep(&entry.path()))
        .collect();
    if path.is_empty() || Path::new(path).exists() || !left.is_empty() {
        return Err(format!("left behind: `{path}`, {left:?}"));
    }
    Ok(())
}

fn grep(folder: &Path) -> bool {
    Command::new("grep")
        .args(["-rqF", CANARY])
        .arg(folder)
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn private(stage: &Stage) -> Result<(), String> {
    let mut child = stage.start("private");
    let seen = Path::new(&stage.read("where")).exists();
    fs::write(stage.path("done"), "").unwrap();
    child.wait().unwrap();
    if seen {
        return Err("the file can be seen from outside".to_owned());
    }
    ramfs(stage, &stage.edit("private", CHANGE).output().unwrap())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn unprivileged(stage: &Stage) -> Result<(), String> {
    if !is_root() {
        return Err("skipped: the test before was it".to_owned());
    }
    let inner = stage.edit("private", CHANGE);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    ramfs(stage, &output)?;
    let mode = stage.read("mode");
    if mode == "600 65534" { Ok(()) } else { Err(mode) }
}

fn forbidden(stage: &Stage) -> Result<(), String> {
    // A user namespace that allows no further ones, and no mounting.
    let inner = stage.edit("private", CHANGE);
    let output = Command::new("unshare")
        .args(["-Ur", "sh", "-c"])
        .arg(
            "echo 0 >/proc/sys/user/max_user_namespaces || exit 77; \
            exec setpriv --bounding-set=-sys_admin \"$@\"",
        )
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        return Err("skipped: /proc/sys cannot be written in this container".to_owned());
    }
    expect("outcome", &output, &["Memory(\"/dev/shm/secretctl-", "edited canary-7f3a"])?;
    nothing_left(&stage.read("where"))
}

fn shared(stage: &Stage) -> Result<(), String> {
    let output = stage.edit("shared", CHANGE).output().unwrap();
    expect("outcome", &output, &["Memory(", "edited canary-7f3a"])?;
    if stage.read("kind") != "tmpfs" {
        return Err(stage.read("kind"));
    }
    nothing_left(&stage.read("where"))
}

fn disk(stage: &Stage) -> Result<(), String> {
    let output = stage.edit("disk", CHANGE).output().unwrap();
    expect("refusal", &output, &["no folder in memory", "on a disk", "--insecure-tmp"])?;
    let output = stage.edit("insecure", CHANGE).output().unwrap();
    expect("wanted", &output, &["Disk(\"/var/tmp/secretctl-", "edited canary-7f3a"])?;
    nothing_left(&stage.read("where"))
}

fn killed(stage: &Stage) -> Result<(), String> {
    let mut child = stage.start("private");
    let editor = PathBuf::from(format!("/proc/{}/root", stage.read("pid")));
    let found = grep(&editor.join("dev/shm"));
    child.kill().unwrap();
    child.wait().unwrap();
    if !found {
        return Err("the search does not find the text while it is there".to_owned());
    }
    wait_for(|| !editor.exists());
    if editor.exists() {
        return Err("the editor lives on".to_owned());
    }
    nothing_left(&stage.read("where"))
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

fn terminated(stage: &Stage) -> Result<(), String> {
    let mut child = stage.start("shared");
    let place = stage.read("where");
    let seen = Path::new(&place).exists();
    signal(&child, "TERM");
    let status = child.wait().unwrap();
    if !seen {
        return Err("no file while it is edited".to_owned());
    }
    fs::write(stage.path("done"), "").unwrap();
    if status.success() || Path::new(&place).parent().unwrap().exists() {
        return Err(format!("{status}, {place}"));
    }
    Ok(())
}

fn interrupted(stage: &Stage) -> Result<(), String> {
    let child = stage.start("private");
    signal(&child, "INT");
    assert!(
        Command::new("kill").args(["-s", "INT", &stage.read("pid")]).status().unwrap().success()
    );
    wait_for(|| stage.path("int").exists());
    fs::write(stage.path("done"), "").unwrap();
    expect("outcome", &child.wait_with_output().unwrap(), &["Namespace", CANARY])
}

fn failing(stage: &Stage) -> Result<(), String> {
    let script = "if [ -e $at/again ]; then exit 0; fi; touch $at/again
        echo more >>\"$1\"; exit 3";
    let output = stage.edit("twice", script).output().unwrap();
    expect("outcome", &output, &["ended with exit code 3", "Namespace", "canary-7f3a\nmore"])?;
    let output = stage.edit("private", "rm \"$1\"").output().unwrap();
    expect("removed", &output, &["left no file", "SECRETCTL_EDIT_DIR=shared"])?;
    let output = stage.edit("private", "kill -9 $$").output().unwrap();
    expect("killed", &output, &["ended by signal 9"])?;
    let path = stage.editor("");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    let mut command = Command::new(&stage.program);
    let output = command.args(["edit", "private", "x"]).arg(path).output().unwrap();
    expect("not started", &output, &["cannot start the editor", "No such file"])
}

fn names(stage: &Stage) -> Result<(), String> {
    use std::os::unix::ffi::OsStrExt;
    for name in [&b"-rf"[..], b"a b\nc.yaml", b"\xff\xfe", b"folder/x.json"] {
        let script = "printf %s \"$1\" >$at/where; printf ' edited' >>\"$1\"";
        let mut command = Command::new(&stage.program);
        command.args(["edit", "private"]).arg(OsStr::from_bytes(name)).arg(stage.editor(script));
        expect("outcome", &command.output().unwrap(), &["Namespace", "canary-7f3a\n edited"])?;
        let last = name.rsplit(|byte| *byte == b'/').next().unwrap();
        if !fs::read(stage.path("where")).unwrap().ends_with(&[b"/", last].concat()) {
            return Err(format!("{name:?}"));
        }
    }
    Ok(())
}

const CANARY: &str = "canary-7f3a\n";
