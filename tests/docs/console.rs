//! Runs the blocks of a page that are marked for it, in one shell in a folder of their own.
//!
//! - `<!-- test -->` before a fenced `console` block: each `$ ` line is a command (`> ` continues
//!   it) that must end with 0; what follows is what it prints, stdout and stderr, where `…` stands
//!   for any text and a line of `…` alone for any lines. Before a `sh` block: the block is run.
//! - `<!-- test file: NAME -->`: the fenced block is the content of that file.
//! - `<!-- test` on a line of its own, up to `-->`: commands that the reader does not see.
//! - `<!-- test needs: PROGRAM… -->`: the page is skipped where one of them is missing.
//!
//! `PROJECT` is the folder of this project, and the newest `age` that the tests know comes first.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a page went.
pub(crate) enum Outcome {
    /// All steps did what the page says; how many there were.
    Passed(usize),
    /// A program is missing.
    Skipped(String),
    /// What differs, for people.
    Failed(String),
}

struct Step {
    line: usize,
    script: String,
    /// What is printed; `None` where the page does not say.
    prints: Option<Vec<String>>,
}

/// Runs the marked blocks of a page.
pub(crate) fn run(text: &str, page: &str) -> Outcome {
    let (steps, needs) = parse(text, page);
    if let Some(missing) = needs.iter().find(|program| !is_there(program)) {
        return Outcome::Skipped(missing.clone());
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let work = folder.path().join("work");
    std::fs::create_dir(&home).unwrap();
    std::fs::create_dir(&work).unwrap();
    let mut script = String::from("exec 2>&1 </dev/null\n");
    for (index, step) in steps.iter().enumerate() {
        write!(script, "echo; echo '{BEGIN} {index}'\n{}\necho; echo \"{END} $?\"\n", step.script)
            .unwrap();
    }
    let output = assert_cmd::Command::new("bash")
        .args(["--noprofile", "--norc", "-c", &script])
        .current_dir(&work)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("NIX_") || name == "LLVM_PROFILE_FILE"
        }))
        .env("PATH", path())
        .env("HOME", &home)
        .env("TERM", "dumb")
        .env("PROJECT", env!("CARGO_MANIFEST_DIR"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "Alice"), ("GIT_AUTHOR_EMAIL", "alice@example.org")])
        .envs([("GIT_COMMITTER_NAME", "Alice"), ("GIT_COMMITTER_EMAIL", "alice@example.org")])
        .timeout(Duration::from_mins(2))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match compare(&steps, &text, page) {
        Ok(()) => Outcome::Passed(steps.len()),
        Err(why) => Outcome::Failed(why),
    }
}

fn compare(steps: &[Step], output: &str, page: &str) -> Result<(), String> {
    let mut parts = output.split(BEGIN).skip(1);
    for step in steps {
        let place = format!("{page}:{}", step.line);
        let part = parts.next().ok_or_else(|| format!("{place}: not reached"))?;
        let (_, part) = part.split_once('\n').unwrap_or_default();
        let Some((printed, status)) = part.split_once(END) else {
            return Err(format!("{place}: the shell ended here\n{part}"));
        };
        let status = status.trim();
        let said = format!("{place}: {}\nended with {status} and printed\n{printed}", step.script);
        if status != "0" {
            return Err(said);
        }
        let Some(expected) = &step.prints else { continue };
        let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        if !fits(expected, &printed) {
            return Err(format!("{said}but the page says\n{}", expected.join("\n")));
        }
    }
    Ok(())
}

/// Whether lines are those of a pattern.
fn fits(pattern: &[String], lines: &[&str]) -> bool {
    match (pattern, lines) {
        ([], []) => true,
        ([any, pattern @ ..], _) if any == "…" => {
            (0..=lines.len()).any(|taken| fits(pattern, &lines[taken..]))
        }
        ([first, pattern @ ..], [line, lines @ ..]) => {
            line_fits(first, line) && fits(pattern, lines)
        }
        _ => false,
    }
}

fn line_fits(pattern: &str, line: &str) -> bool {
    let Some((before, after)) = pattern.split_once('…') else { return pattern == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| line_fits(after, &rest[at..]))
}

/// The marked steps of a page, and the programs that it needs.
fn parse(text: &str, page: &str) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut needs) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.strip_prefix("<!-- test") else { continue };
        let mark = mark.trim();
        if mark.is_empty() {
            let hidden: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "-->").collect();
            let script = format!("set -e\n{}\nset +e", hidden.join("\n"));
            steps.push(Step { line: number, script, prints: None });
            continue;
        }
        let mark = mark.strip_suffix("-->").unwrap_or_else(|| panic!("{page}:{number}: no end"));
        if let Some(programs) = mark.strip_prefix("needs:") {
            needs.extend(programs.split_whitespace().map(str::to_owned));
            continue;
        }
        let (number, fence) = lines.next().expect("a block follows a mark");
        let language = fence.strip_prefix("```").expect("a fenced block follows a mark");
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        if let Some(name) = mark.strip_prefix("file:") {
            let name = name.trim();
            let content = block.join("\n");
            let script = format!("cat >'{name}' <<'{END}'\n{content}\n{END}");
            steps.push(Step { line: number, script, prints: None });
        } else if language == "console" {
            steps.extend(console(&block, number));
        } else {
            let script = format!("set -e\n{}\nset +e", block.join("\n"));
            steps.push(Step { line: number, script, prints: None });
        }
    }
    (steps, needs)
}

/// The commands of a `console` block.
fn console(block: &[&str], first: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_command = false;
    for (index, line) in block.iter().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            let line = first + index + 1;
            steps.push(Step { line, script: command.to_owned(), prints: Some(Vec::new()) });
            in_command = true;
            continue;
        }
        let step = steps.last_mut().expect("a console block begins with a command");
        match line.strip_prefix("> ") {
            Some(more) if in_command => write!(step.script, "\n{more}").unwrap(),
            _ => {
                in_command = false;
                step.prints.get_or_insert_default().push(line.trim_end().to_owned());
            }
        }
    }
    for step in &mut steps {
        let prints = step.prints.get_or_insert_default();
        while prints.last().is_some_and(String::is_empty) {
            prints.pop();
        }
    }
    steps
}

/// The built program first, then what the tests have.
pub(crate) fn path() -> std::ffi::OsString {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_secretctl"));
    let mut folders = vec![own.parent().unwrap().to_owned()];
    let newest_age = std::env::var_os("SECRETCTL_TEST_AGE_NEW").map(PathBuf::from);
    folders.extend(newest_age.and_then(|age| age.parent().map(Path::to_owned)));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(folders).unwrap()
}

fn is_there(program: &str) -> bool {
    std::env::split_paths(&path()).any(|folder| folder.join(program).is_file())
}

const BEGIN: &str = "==begin of step==";
const END: &str = "==end of step==";
