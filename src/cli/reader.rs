//! `secretctl host` and `secretctl user`: who is declared in the rules.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::context::{Context, rules_failure, write_rules};
use super::encrypt::named;
use super::explain::{Failure, nix_string};
use super::rekey::Rekey;
use super::{Done, Outcome, ui};
use crate::fsx::{read_limited, sweep};
use crate::key::{Recipient, RecipientError, list};
use crate::process::keyscan;
use crate::rules::native_edit::{EditError, Edited, List, Section, add_reader, remove_reader};
use crate::rules::{Reader, ReaderKind, Rules, Source, Wanted, native as native_rules};

/// Add, remove and list hosts
#[derive(Debug, Args)]
pub(crate) struct Host {
    #[command(subcommand)]
    action: HostAction,
}

/// Add, remove and list users
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Debug, Subcommand)]
enum HostAction {
    /// Declare a host, and rekey what it may now read
    Add(AddHost),
    /// Take a host out of the rules, and rekey what it could read
    Remove(Remove),
    /// Print the hosts and their keys
    List,
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// Declare a user, and rekey what they may now read
    Add(Add),
    /// Take a user out of the rules, and rekey what they could read
    Remove(Remove),
    /// Print the users and their keys
    List,
}

#[derive(Debug, Args)]
struct AddHost {
    #[command(flatten)]
    add: Add,
    /// Ask the host itself with `ssh-keyscan`; the fingerprint is shown and must be confirmed
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["key_files", "keys", "known_hosts"])]
    scan: Option<String>,
    /// Take the keys of the host NAME from a `known_hosts` file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_files", "keys"])]
    known_hosts: Option<PathBuf>,
    /// Trust only a key with this fingerprint (`SHA256:…`); `--scan` then does not ask
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
}

#[derive(Debug, Args)]
struct Add {
    /// Name
    name: String,
    /// File of public keys (`ssh_host_ed25519_key.pub`); `-` reads standard input, as from
    /// `https://github.com/NAME.keys`. May be given several times
    #[arg(short, long = "key", value_name = "FILE")]
    key_files: Vec<PathBuf>,
    /// Public key itself. May be given several times
    #[arg(short = 'r', long = "recipient", value_name = "KEY")]
    keys: Vec<String>,
    /// Also add the name to this list of readers: a group, which may be new, the path of a rule,
    /// or `defaultEncryptKeys`. May be given several times
    #[arg(long = "to", value_name = "LIST")]
    lists: Vec<String>,
    #[command(flatten)]
    then: Then,
}

#[derive(Debug, Args)]
struct Remove {
    /// Name
    name: String,
    #[command(flatten)]
    then: Then,
}

#[derive(Debug, Args)]
struct Then {
    /// Rekey without asking
    #[arg(short, long)]
    yes: bool,
    /// Do not rekey and do not ask
    #[arg(long, conflicts_with = "yes")]
    no_rekey: bool,
}

impl Host {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.action {
            HostAction::Add(add) => {
                let keys = add.keys(context)?;
                add.add.run(context, Section::Hosts, &keys)
            }
            HostAction::Remove(remove) => remove.run(context, Section::Hosts),
            HostAction::List => show(context, ReaderKind::Host),
        }
    }
}

impl User {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.action {
            UserAction::Add(add) => {
                let keys = add.given(context)?;
                add.run(context, Section::Users, &keys)
            }
            UserAction::Remove(remove) => remove.run(context, Section::Users),
            UserAction::List => show(context, ReaderKind::User),
        }
    }
}

impl AddHost {
    fn keys(&self, context: &Context) -> Result<Vec<Recipient>, Vec<Failure>> {
        let keys = match (&self.scan, &self.known_hosts) {
            (Some(address), _) => return self.scan(context, address).map_err(Vec::from),
            (None, Some(file)) => known(file, &self.add.name)?,
            (None, None) => self.add.given(context)?,
        };
        let other = |key: &&Recipient| Some(key.ssh_fingerprint()) != self.fingerprint;
        match keys.iter().find(other).filter(|_| self.fingerprint.is_some()) {
            Some(other) => {
                Err(self.another(&other.ssh_fingerprint(), "this is another key").into())
            }
            None => Ok(keys),
        }
    }

    /// The fingerprint is not the one that is wanted.
    fn another(&self, print: &str, what: &str) -> Failure {
        let expected = self.fingerprint.as_deref().unwrap_or_default();
        Failure::new(format!("{what}: {print}"))
            .detail(format!("expected: {}", ui::clean(expected)))
            .hint("do not trust it before you know why")
    }

    /// An answer from the network is believed only when the user compared its fingerprint.
    fn scan(&self, context: &Context, address: &str) -> Result<Vec<Recipient>, Failure> {
        let path = super::context::variable("PATH").unwrap_or_default();
        let text = keyscan(address, &path).map_err(|error| {
            Failure::new(error.to_string()).maybe_hint(error.remedy().map(str::to_owned))
        })?;
        let found = list::parse(&text).map_err(|_| {
            Failure::new(format!("`{}` offers no key that age can use", ui::clean(address)))
                .hint("make an ed25519 host key there: `ssh-keygen -A`")
        })?;
        let recipient = preferred(found.recipients)
            .ok_or_else(|| Failure::new(format!("`{}` did not answer", ui::clean(address))))?;
        let print = recipient.ssh_fingerprint();
        if let Some(expected) = &self.fingerprint {
            return if *expected == print {
                Ok(vec![recipient])
            } else {
                Err(self.another(&print, "the host shows another key"))
            };
        }
        ui::say(&format!("{} shows this key: {print}", ui::clean(address)));
        ui::say("compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host");
        match context.plugins().ask.confirm("is it the same?", "yes", Some("no")) {
            Some(true) => Ok(vec![recipient]),
            Some(false) => Err(Failure::new("the key was not confirmed, so nothing was changed")),
            None => Err(Failure::new("nobody is there to confirm the key, so nothing was changed")
                .hint("run this on a terminal, or pass `--fingerprint SHA256:…`")),
        }
    }
}

impl Add {
    /// Keys from files and the command line.
    fn given(&self, context: &Context) -> Result<Vec<Recipient>, Vec<Failure>> {
        if self.key_files.is_empty() && self.keys.is_empty() {
            return Err(Failure::new(format!("no key is given for `{}`", ui::clean(&self.name)))
                .hint("name a file with `--key FILE`, or a key with `--recipient KEY`")
                .into());
        }
        named(context, &self.keys, &self.key_files)
    }

    fn run(&self, context: &Context, section: Section, keys: &[Recipient]) -> Outcome {
        let texts: Vec<String> = keys.iter().map(with_comment).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let Some(file) = native(context)? else {
            return Err(in_nix(context, &self.name, &texts).into());
        };
        let lists: Vec<List<'_>> = self.lists.iter().map(|list| list_of(list)).collect();
        change(context, &file, &self.name, |text| {
            add_reader(text, &file, section, &self.name, &texts, &lists)
        })?;
        self.then.run(context)
    }
}

impl Remove {
    fn run(&self, context: &Context, section: Section) -> Outcome {
        let Some(file) = native(context)? else {
            return Err(in_nix(context, &self.name, &[]).into());
        };
        change(context, &file, &self.name, |text| remove_reader(text, &file, section, &self.name))?;
        self.then.run(context)
    }
}

impl Then {
    /// Offers the rekey that follows from a change of the rules.
    fn run(&self, context: &Context) -> Outcome {
        let later = || {
            ui::say("hint: run `secretctl rekey` to make the files follow");
            Ok(Done::Clean)
        };
        if self.no_rekey {
            return later();
        }
        let mut yes = self.yes;
        if !yes && std::io::stdin().is_terminal() {
            if Rekey::look().run(context)? == Done::Clean {
                return Ok(Done::Clean);
            }
            let ask = context.plugins().ask;
            yes = ask.confirm("rekey now?", "yes", Some("no")).unwrap_or(false);
        }
        if yes { Rekey::all().run(context) } else { later() }
    }
}

/// The `secretctl.yaml` in force; `None` where the rules come from Nix.
fn native(context: &Context) -> Result<Option<PathBuf>, Failure> {
    let rules = match context.try_rules(Wanted::All) {
        Ok(rules) => rules,
        Err(error) => {
            // The edit may bring what is missing; its result is checked.
            let curable = error.only_lacks_readers().filter(|file| is_native(file));
            return curable.map(|file| Some(file.to_owned())).ok_or_else(|| rules_failure(&error));
        }
    };
    let native = rules.sources.iter().find(|source| source.source == Source::Native);
    Ok(native.map(|source| source.file.clone()))
}

fn is_native(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Edits the rules file under the lock of its repository; `name` is whom that is about.
fn change(
    context: &Context,
    file: &Path,
    name: &str,
    edit: impl FnOnce(&str) -> Result<Edited, EditError>,
) -> Result<(), Failure> {
    let shown = ui::shown(file);
    let _lock = context.lock_for(file, "edit the rules")?;
    let bytes = read_limited(file, list::MAX_LIST)
        .map_err(|e| Failure::new(format!("cannot read `{shown}`: {e}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(format!("`{shown}` is not UTF-8 text")))?;
    file.parent().map(sweep);
    let edited = edit(&text).map_err(|error| edit_failure(&error))?;
    write_rules(file, &edited.text)?;
    for (what, place) in &edited.touched {
        match place {
            Some(place) => ui::say(&format!("{}:{}: {what}", ui::shown(&place.file), place.line)),
            None => ui::say(&format!("{shown}: {what}")),
        }
    }
    for other in same_key([&text, &edited.text], file, name) {
        ui::say(&format!("warning: the key of `{name}` is also that of `{other}`"));
    }
    Ok(())
}

/// Who else the rules name has a key of somebody whom they name now, or named before.
fn same_key(texts: [&str; 2], file: &Path, name: &str) -> Vec<String> {
    let [before, now] = texts
        .map(|text| native_rules::parse(text, file).map(|rules| rules.readers).unwrap_or_default());
    let of_it = before.iter().chain(&now).filter(|reader| reader.name == name);
    let keys: Vec<&Recipient> = of_it.flat_map(|reader| &reader.recipients).collect();
    let has_one = |reader: &&Reader| reader.recipients.iter().any(|key| keys.contains(&key));
    let others = now.iter().filter(|reader| reader.name != name).filter(has_one);
    others.map(|reader| reader.name.clone()).collect()
}

fn edit_failure(error: &EditError) -> Failure {
    if let EditError::Rules(error) = error {
        return rules_failure(error);
    }
    Failure::of_text(&error.to_string()).maybe_hint(error.hint())
}

/// The rules are a program: its author edits it.
fn in_nix(context: &Context, name: &str, keys: &[&str]) -> Failure {
    let rules = context.rules(Wanted::All);
    let file = rules.ok().and_then(|r| r.sources.first().map(|s| ui::shown(&s.file)));
    let file = file.unwrap_or_else(|| "the rules".to_owned());
    let mut failure = Failure::new(format!("the rules are in `{file}`, which only you can edit"));
    for key in keys {
        failure = failure.detail(format!("{} = {};", nix_name(name), nix_string(key)));
    }
    if keys.is_empty() {
        failure.hint(format!("take `{}` out of it, then run `secretctl rekey`", ui::clean(name)))
    } else {
        failure.hint(format!(
            "put the line above into it, add {} to the `publicKeys` of its secrets, then run \
             `secretctl rekey`",
            nix_name(name)
        ))
    }
}

/// A name as Nix takes it.
fn nix_name(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if plain { name.to_owned() } else { nix_string(name) }
}

fn list_of(name: &str) -> List<'_> {
    match name {
        "defaultEncryptKeys" => List::Masters,
        path if path.contains(['/', '.', '*']) => List::Rule(path),
        group => List::Group(group),
    }
}

/// The keys of one host in a `known_hosts` file.
fn known(file: &Path, host: &str) -> Result<Vec<Recipient>, Vec<Failure>> {
    let shown = ui::shown(file);
    let bytes = read_limited(file, list::MAX_LIST)
        .map_err(|e| Failure::new(format!("cannot read `{shown}`: {e}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let found = list::parse(&list::of_host(&text, host)).map_err(|bad| {
        let explain = |bad: list::BadLine| {
            Failure::new(format!("`{shown}`, key of {}: {}", ui::clean(host), bad.error))
                .maybe_hint(bad.error.remedy())
        };
        bad.into_iter().map(explain).collect::<Vec<_>>()
    })?;
    if found.skipped.iter().any(|line| line.error == RecipientError::Revoked) {
        ui::say(&format!("warning: `{shown}`: a key of {} is revoked, not used", ui::clean(host)));
    }
    preferred(found.recipients).map(|recipient| vec![recipient]).ok_or_else(|| {
        Failure::new(format!("`{shown}` has no key of a host called `{}`", ui::clean(host)))
            .hint("hashed names cannot be searched; `ssh-keygen -F NAME` prints the line")
            .into()
    })
}

/// One key of a host: ed25519 where it has one.
fn preferred(found: Vec<list::Listed>) -> Option<Recipient> {
    let mut keys: Vec<Recipient> = found.into_iter().map(|listed| listed.recipient).collect();
    keys.sort_by_key(|key| key.stanza_type() != Some("ssh-ed25519"));
    keys.into_iter().next()
}

fn with_comment(recipient: &Recipient) -> String {
    match recipient.comment() {
        Some(comment) => format!("{} {}", recipient.canonical(), ui::clean(comment)),
        None => recipient.canonical().to_owned(),
    }
}

fn show(context: &Context, kind: ReaderKind) -> Outcome {
    let rules = context.rules(Wanted::All)?;
    let mut text = String::new();
    let wanted = |source: &Rules, found: ReaderKind| {
        let has_no_kinds = matches!(source.source, Source::Agenix | Source::Sops);
        found == kind || (has_no_kinds && found == ReaderKind::Key)
    };
    for source in &rules.sources {
        for reader in source.readers.iter().filter(|reader| wanted(source, reader.kind)) {
            for key in reader.keys() {
                let name = ui::clean(&reader.name).replace('\n', " ");
                let _infallible = writeln!(text, "{name}\t{}", ui::clean(&key.shown()));
            }
        }
    }
    ui::print(&text).map_err(|e| ui::stdout_failure(&e))?;
    Ok(Done::Clean)
}
