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
    if !is_there(shell) {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap();
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

/// Whether a program is here; in strict mode it must be.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(there || std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "{program} is missing");
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
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
fn fish_completes_commands_options_and_values() {
    let script = "source $argv[1]; complete -C 'secretctl rek'; complete -C 'secretctl rekey --dr'; \
                  complete -C 'secretctl completions z'; complete -C 'secretctl host rem'; \
                  complete -C 'secretctl rekey --error-format j'";
    let Some(text) = ask("fish", &["--no-config"], script) else { return };
    let words: Vec<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(words, ["rekey", "--dry-run", "zsh", "remove", "json"], "{text}");
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

/// The completions of zsh are made while somebody types: on a terminal of its own (`zsh/zpty`), where
/// Tab lists them.
#[test]
fn zsh_completes_commands_options_and_values() {
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        say() { zpty -w shell "$1"; }
        # Reads until the text has come.
        until_text() {
          local piece all= tries=0
          while [[ $all != *"$1"* ]]; do
            if zpty -r -t shell piece; then
              all+=$piece
            elif ! zpty -t shell || (( ++tries > 1500 )); then
              print -r -- "no $1 in: $all"
              exit 1
            else
              sleep 0.02
            fi
          done
          REPLY=$all
        }
        say "PS1='' PS2=''; unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste"
        say "fpath=(${1:h} \$fpath); autoload -Uz compinit; compinit -D -u"
        say "zstyle ':completion:*' verbose no; LISTMAX=1000"
        # What is on the line when Tab has completed it, instead of running it. What is typed is
        # echoed: the marks must not be in it.
        say 'take() { print -r -- "BEG""IN:$BUFFER:EN""D"; BUFFER=; zle accept-line }'
        say 'zle -N take; bindkey "^X" take'
        say "print rea''dy"
        until_text ready
        for line in 'secretctl rek' 'secretctl rekey --dr' 'secretctl completions z' \
          'secretctl host rem' 'secretctl --error-format j'; do
          zpty -w -n shell "$line"$'\t'
          zpty -w -n shell $'\x18'
          until_text ':END'
          print -r -- "${${REPLY##*BEGIN:}%%:END*}"
        done
        zpty -d shell
    "#;
    let Some(text) = ask("zsh", &["-f"], script) else { return };
    let expected = "secretctl rekey \nsecretctl rekey --dry-run \nsecretctl completions zsh \n\
                    secretctl host remove \nsecretctl --error-format json \n";
    assert_eq!(text, expected);
}
