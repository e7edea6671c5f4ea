//! The page of the command line, from the definitions that the program itself uses.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// The whole page.
pub(crate) fn page() -> String {
    let mut command = secretctl::cli::command();
    command.build();
    let mut page = INTRODUCTION.to_owned();
    let globals: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()).collect();
    for arg in &globals {
        option(&mut page, arg);
    }
    page.push_str("- `-h`, `--help`: a summary of the command; `--help` says more than `-h`.\n");
    page.push_str("- `-V`, `--version`: the version; without a command.\n");
    for sub in commands(&command) {
        describe(&mut page, sub, "secretctl", 2);
    }
    page
}

fn describe(page: &mut String, command: &Command, parent: &str, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    write!(page, "\n{} {name}\n\n", "#".repeat(level)).unwrap();
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    writeln!(page, "{}", sentence(&about)).unwrap();
    let subcommands: Vec<&Command> = commands(command).collect();
    if subcommands.is_empty() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let usage = usage.strip_prefix("secretctl").map_or(usage, str::trim);
        let usage = usage.strip_prefix(&name["secretctl ".len()..]).unwrap_or(usage);
        write!(page, "\n    {name}{usage}\n").unwrap();
    }
    let own = |arg: &&Arg| {
        !arg.is_global_set()
            && !arg.is_hide_set()
            && arg.get_id() != "help"
            && arg.get_id() != "version"
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(own).collect();
    if !arguments.is_empty() {
        page.push('\n');
    }
    for arg in arguments {
        option(page, arg);
    }
    for sub in subcommands {
        describe(page, sub, &name, level + 1);
    }
}

fn option(page: &mut String, arg: &Arg) {
    let mut names = Vec::new();
    if let Some(short) = arg.get_short() {
        names.push(format!("`-{short}`"));
    }
    let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let takes = arg.get_action().takes_values();
    match (arg.get_long(), value) {
        (Some(long), Some(value)) if takes => names.push(format!("`--{long} {value}`")),
        (Some(long), _) => names.push(format!("`--{long}`")),
        (None, value) => {
            names.push(format!("`{}`", value.unwrap_or_else(|| arg.get_id().to_string())));
        }
    }
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
    write!(page, "- {}: {}", names.join(", "), sentence(&help.unwrap_or_default())).unwrap();
    if takes {
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        if !values.is_empty() {
            write!(page, " One of {}.", values.join(", ")).unwrap();
        }
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
        if !defaults.is_empty() {
            write!(page, " Default: {}.", defaults.join(", ")).unwrap();
        }
    }
    if let Some(name) = arg.get_env() {
        write!(page, " Environment: `{}`.", name.display()).unwrap();
    }
    page.push('\n');
}

/// The commands that are shown, in their order.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// Paragraphs of whole sentences; the definitions leave out the last period of the first.
fn sentence(text: &str) -> String {
    let paragraphs: Vec<String> = text.trim().split("\n\n").map(paragraph).collect();
    paragraphs.join("\n\n")
}

fn paragraph(text: &str) -> String {
    let ends = text.is_empty() || text.ends_with(['.', '?', '!']);
    if ends { text.to_owned() } else { format!("{text}.") }
}

const INTRODUCTION: &str = "\
# Command line

Made from the definitions of the program by `cargo test --test docs -- --ignored bless`; do not edit.

`secretctl COMMAND --help` prints the same, `secretctl man --directory DIR` writes manual pages, and
`secretctl completions SHELL` prints completions. What the exit codes mean is in
[exit-codes.md](exit-codes.md), what else is read from the environment in
[environment.md](environment.md).

## Options of every command

";
