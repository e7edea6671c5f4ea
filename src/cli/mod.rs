//! The command line: parse, call, print. The only user of stdout, stderr and exit codes. One
//! command, one file.

mod activate;
mod compat;
mod completions;
mod context;
#[cfg(target_os = "linux")]
mod credentials;
mod decrypt;
mod edit;
mod encrypt;
mod exec;
mod explain;
mod get;
mod git;
mod init;
mod keys;
mod kinds;
mod man;
mod progress;
mod reader;
mod rekey;
mod rotate;
mod scan;
mod set;
mod status;
mod target;
mod ui;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use context::Context;
use explain::Failure;

use crate::process::{edit_room, secret_file};

/// Keeps the secrets of a fleet encrypted in git, readable only by the hosts and people that the
/// rules name.
#[derive(Debug, Parser)]
#[command(name = "secretctl", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Private key to decrypt with: an age identity file or an SSH private key. May be given
    /// several times; the default keys are not tried then
    #[arg(short, long = "identity", value_name = "FILE", global = true)]
    identities: Vec<PathBuf>,
    /// Rules file (`secretctl.yaml`, `secrets.nix`, or a folder with `flake.nix`) instead of the
    /// ones found from the file upwards
    #[arg(long, value_name = "FILE", global = true, env = "RULES", hide_env_values = true)]
    rules: Option<OsString>,
    /// Allow the program `age-plugin-NAME` to run; also `SECRETCTL_PLUGINS=NAME,NAME`
    #[arg(long = "plugin", value_name = "NAME", global = true)]
    plugins: Vec<String>,
    /// Further argument for Nix, such as `--override-input`; for rules that Nix evaluates
    #[arg(long = "nix-arg", value_name = "ARG", global = true, allow_hyphen_values = true)]
    nix_args: Vec<String>,
    /// How errors are written to stderr
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    error_format: ErrorFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ErrorFormat {
    /// For people
    Text,
    /// One JSON object a line: `class`, `message`, `details`, `hint`
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Edit(edit::Edit),
    Encrypt(encrypt::Encrypt),
    Decrypt(decrypt::Decrypt),
    Get(get::Get),
    Set(set::Set),
    Unset(set::Unset),
    Rotate(rotate::Rotate),
    Rekey(rekey::Rekey),
    Status(status::Status),
    Host(reader::Host),
    User(reader::User),
    Scan(Box<scan::Scan>),
    Exec(exec::Exec),
    Git(git::Git),
    Activate(activate::Activate),
    Keys(keys::Keys),
    #[cfg(target_os = "linux")]
    Credentials(credentials::Credentials),
    Completions(completions::Completions),
    Man(man::Man),
}

/// What defines the command of this name, as [`Command`] has it. One that is not here works too,
/// at the cost of defining all the others.
fn definition(name: &str) -> Option<fn(clap::Command) -> clap::Command> {
    Some(match name {
        "init" => init::Init::augment_args,
        "edit" => edit::Edit::augment_args,
        "encrypt" => encrypt::Encrypt::augment_args,
        "decrypt" => decrypt::Decrypt::augment_args,
        "get" => get::Get::augment_args,
        "set" => set::Set::augment_args,
        "unset" => set::Unset::augment_args,
        "rotate" => rotate::Rotate::augment_args,
        "rekey" => rekey::Rekey::augment_args,
        "status" => status::Status::augment_args,
        "host" => reader::Host::augment_args,
        "user" => reader::User::augment_args,
        "keys" => keys::Keys::augment_args,
        #[cfg(target_os = "linux")]
        "credentials" => credentials::Credentials::augment_args,
        "completions" => completions::Completions::augment_args,
        "man" => man::Man::augment_args,
        "scan" => scan::Scan::augment_args,
        "exec" => exec::Exec::augment_args,
        "git" => git::Git::augment_args,
        "activate" => activate::Activate::augment_args,
        _ => return None,
    })
}

/// How a command ends when it does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Exit code 0.
    Clean,
    /// Exit code 1: something was found.
    Found,
    /// The exit code of a program that ran in our place.
    Child(u8),
}

/// Exit code 2, with what to say.
type Outcome = Result<Done, Vec<Failure>>;

/// Runs the program with its whole argument vector, program name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some(code) = edit_room::serve(&arguments).or_else(|| secret_file::serve(&arguments)) {
        return code;
    }
    if let Err(error) = crate::process::harden() {
        ui::say(&format!("warning: this process cannot be kept from core dumps: {error}"));
    }
    if let Some(code) = compat::stand_in(&arguments) {
        return code;
    }
    match parse(arguments) {
        Ok((common, command)) => {
            finish(run(&common, command), common.error_format == ErrorFormat::Json)
        }
        Err(error) => usage(&error),
    }
}

/// The definition of the whole command line, for help, completions and man pages.
pub fn command() -> clap::Command {
    Command::augment_subcommands(Cli::command())
}

/// Defining every command takes longer than decrypting a file, so where the first argument names
/// one, that one alone is defined.
fn parse(arguments: Vec<OsString>) -> Result<(Common, Command), clap::Error> {
    let named = arguments.get(1).and_then(|first| first.to_str());
    let alone = named.and_then(|name| Some((name.to_owned(), definition(name)?)));
    let definitions = match alone {
        Some((name, define)) => Cli::command().subcommand(define(clap::Command::new(name))),
        None => command(),
    };
    let mut matches = definitions.try_get_matches_from(arguments)?;
    let common = Cli::from_arg_matches_mut(&mut matches)?.common;
    Ok((common, Command::from_arg_matches_mut(&mut matches)?))
}

fn run(common: &Common, command: Command) -> Outcome {
    // only for those that look at what is around them
    let context = || Context::new(common);
    match command {
        Command::Init(init::Init {}) => init::Init::run(&context()?),
        Command::Host(command) => command.run(&context()?),
        Command::User(command) => command.run(&context()?),
        Command::Edit(command) => command.run(&context()?),
        Command::Encrypt(command) => command.run(&context()?),
        Command::Decrypt(command) => command.run(&context()?),
        Command::Get(command) => command.run(&context()?),
        Command::Set(command) => command.run(&context()?),
        Command::Unset(command) => command.run(&context()?),
        Command::Rotate(command) => command.run(&context()?),
        Command::Rekey(command) => command.run(&context()?),
        Command::Status(command) => command.run(&context()?),
        Command::Git(command) => command.run(&context()?),
        Command::Scan(command) => command.run(&context()?),
        Command::Exec(command) => command.run(&context()?),
        Command::Keys(command) => command.run(&context()?),
        Command::Activate(command) => command.run(common),
        #[cfg(target_os = "linux")]
        Command::Credentials(command) => command.run(common),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

fn finish(outcome: Outcome, json: bool) -> ExitCode {
    match outcome {
        Ok(Done::Clean) => ExitCode::SUCCESS,
        Ok(Done::Found) => ExitCode::from(1),
        Ok(Done::Child(code)) => ExitCode::from(code),
        Err(failures) => {
            for failure in &failures {
                ui::fail(failure, json);
            }
            if let Some(signal) = failures.iter().find_map(|failure| failure.signal) {
                crate::process::obey(signal);
            }
            ExitCode::from(2)
        }
    }
}

/// Help and version go to stdout with exit code 0, errors of usage to stderr with 2.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let plain = error.render().to_string();
        if plain.contains("PRIVATE KEY") || plain.contains("AGE-SECRET-KEY-") {
            let failure = Failure::new("an argument is a private key, which is not repeated here")
                .hint("other users see arguments: take it for known, and name files instead");
            return finish(Err(failure.into()), false);
        }
        if ui::clean(&plain) == plain {
            let _nobody_listens = error.print();
        } else {
            ui::say(plain.trim_end());
        }
        return ExitCode::from(2);
    }
    match error.print() {
        Err(error) if !ui::gone(&error) => finish(Err(ui::stdout_failure(&error).into()), false),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

impl From<Failure> for Vec<Failure> {
    fn from(failure: Failure) -> Self {
        vec![failure]
    }
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 something found (a stale file, say); 2 wrong usage \
or an error, and nothing was changed unless the message says so.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }

    /// A command that is defined alone is the one that all of them have.
    #[test]
    fn every_command_has_its_definition() {
        let mut all = super::command();
        all.build();
        for whole in all.get_subcommands().filter(|one| one.get_name() != "help") {
            let name = whole.get_name().to_owned();
            let define = super::definition(&name).expect(&name);
            let mut alone = super::Cli::command().subcommand(define(clap::Command::new(&name)));
            alone.build();
            let help = alone.find_subcommand(&name).unwrap().clone().render_long_help().to_string();
            assert_eq!(help, whole.clone().render_long_help().to_string());
        }
    }
}
