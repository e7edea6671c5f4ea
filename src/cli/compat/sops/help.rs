//! What the front end says about itself: help, version, completions.

use std::fmt::Write as _;

use super::grammar::Topic;
use super::invocation::Shell;
use super::table::{COMMANDS, Command, Flag, ROOT, Takes};

/// What `--version` prints. Scripts read the last word of the first line.
pub(super) fn version() -> String {
    let ours = env!("CARGO_PKG_VERSION");
    format!("sops {STANDS_FOR}\nthis is secretctl {ours}, called by the name of sops\n")
}

/// The text about a topic.
pub(super) fn help(topic: Topic) -> String {
    match topic {
        Topic::All => {
            let mut text = String::from(
                "sops - encrypted files whose values can be edited\n\n  sops COMMAND [OPTION]… …\n  \
                 sops [OPTION]… FILE\n\ncommands:\n",
            );
            for command in COMMANDS {
                line(&mut text, &command.words.join(" "), command.about);
            }
            let _infallible = write!(text, "\nwithout a command: {}\n", ROOT.about);
            flags(&mut text, &ROOT);
            let _infallible = write!(text, "\n{}", version());
            text
        }
        Topic::Group(group) => {
            let mut text = format!("sops {group}\n\ncommands:\n");
            for command in COMMANDS.iter().filter(|c| c.words.first() == Some(&group)) {
                line(&mut text, &command.words.join(" "), command.about);
            }
            text
        }
        Topic::Command(command) => about(command),
    }
}

/// The text about one command.
pub(super) fn about(command: &Command) -> String {
    let name = command.words.join(" ");
    let arguments = command.arguments;
    let usage = format!("  sops {name} [OPTION]… {arguments}");
    let mut text = format!("sops {name} - {}\n\n{}\n", command.about, usage.trim_end());
    flags(&mut text, command);
    text
}

fn flags(text: &mut String, command: &Command) {
    text.push_str("\noptions:\n");
    for flag in command.flags.iter().copied().flatten() {
        let about = match flag.variable {
            Some(variable) => format!("{} [{variable}]", flag.about),
            None => flag.about.to_owned(),
        };
        line(text, &names(flag), &about);
    }
}

fn names(flag: &Flag) -> String {
    let names = flag.names.iter().map(|name| {
        let dashes = if name.len() == 1 { "-" } else { "--" };
        format!("{dashes}{name}")
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match flag.takes {
        Takes::Nothing => names,
        Takes::Text | Takes::Each => format!("{names} TEXT"),
        Takes::Number => format!("{names} NUMBER"),
    }
}

fn line(text: &mut String, name: &str, about: &str) {
    let _infallible = writeln!(text, "  {name:<40} {about}");
}

/// Completions that ask the program for the words that may follow.
pub(super) fn completion(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
    }
}

const BASH: &str = r#"# Completions of sops for bash: source <(sops completion bash)
_sops_words() {
    local word=${COMP_WORDS[COMP_CWORD]} before=("${COMP_WORDS[@]:0:COMP_CWORD}")
    [[ $word == -* ]] && before+=("$word")
    mapfile -t COMPREPLY < <(compgen -W "$("${before[@]}" --generate-bash-completion 2>/dev/null)" -- "$word")
}
complete -o default -o bashdefault -F _sops_words sops
"#;

const ZSH: &str = r#"#compdef sops
# Completions of sops for zsh: source <(sops completion zsh)
_sops_words() {
    local word=${words[CURRENT]}
    local -a before=("${(@)words[1,CURRENT-1]}") found
    [[ $word == -* ]] && before+=("$word")
    found=("${(@f)$("${before[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n ${found[1]} ]]; then compadd -a found; else _files; fi
}
compdef _sops_words sops
"#;

/// The version whose command line this is.
const STANDS_FOR: &str = "3.13.3";
