//! Completions, asked for in the real shells.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs and may panic"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What a shell says to a script whose first argument is the completion file for it; `None`, after
/// saying so, where it is not installed.
fn ask(shell: &str, options: &[&str], script: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap();
    if !std::env::split_paths(&path).any(|folder| folder.join(shell).is_file()) {
        println!("skipped: {shell} is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_secretctl")).args(["completions", shell]).output();
    // zsh looks for a file of this name.
    let file: PathBuf = folder.path().join("_secretctl");
    fs::write(&file, run.unwrap().stdout).unwrap();
    let mut command = Command::new(shell);
    command.args(options).arg("-c").arg(script);
    if shell != "fish" {
        command.arg(shell);
    }
    command.arg(&file).env_clear().env("PATH", &path).env("HOME", folder.path());
    command.env("TERM", "dumb").current_dir(folder.path());
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{shell}: {text}");
    Some(text)
}

#[test]
fn bash_completes_commands_options_and_values() {
    let script = r#"
        set -u
        . "$1"
        ask() {
          COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
          # as bash calls it: the command, the word, the one before
          eval "$(complete -p secretctl | sed 's/.* -F \([^ ]*\).*/function=\1/')"
          "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
          echo "${COMPREPLY[*]}"
        }
        ask secretctl rek
        ask secretctl rekey --dr
        ask secretctl completions z
        ask secretctl host re
        ask secretctl --error-format j
        ask secretctl nothing-of-ours-
    "#;
    let options = ["--noprofile", "--norc"];
    // The shell is on every machine that builds this.
    let text = ask("bash", &options, script).unwrap();
    assert_eq!(text, "rekey\n--dry-run\nzsh\nremove\njson\n\n");
}

#[test]
fn fish_completes_commands_and_options() {
    let script = "source $argv[1]; complete -C 'secretctl rek'; complete -C 'secretctl rekey --dr'";
    let Some(text) = ask("fish", &["--no-config"], script) else { return };
    let words: Vec<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(words, ["rekey", "--dry-run"], "{text}");
}

#[test]
fn zsh_takes_the_completion_for_that_of_the_program() {
    let script = r"
        fpath=(${1:h} $fpath)
        zsh -n $1 && autoload -Uz compinit && compinit -D -u && echo $_comps[secretctl]
    ";
    let Some(text) = ask("zsh", &["-f"], script) else { return };
    assert_eq!(text, "_secretctl\n");
}
