//! `secretctl encrypt`

mod sops;

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::context::{Context, WriterOption};
use super::explain::{Around, Failure, problem};
use super::kinds::DocumentType;
use super::{Done, Outcome, ui};
use crate::format::age::{AgeError, armor};
use crate::fsx::replace::Staging;
use crate::fsx::{Staged, read_limited};
use crate::key::{Recipient, list};
use crate::plaintext::Plaintext;
use crate::rules::{RuleSet, Wanted};
use crate::work::{Job, Problem, secret, status};

/// Encrypt a file
///
/// For the recipients that are named, or else for the readers that the rules give the output
/// file. The rules also tell whether it becomes a sops file or an age file; one that is there
/// already stays what it is, and values of a sops file that do not change keep their ciphertext.
#[derive(Debug, Args)]
pub(crate) struct Encrypt {
    /// File to encrypt; `-` or nothing reads standard input
    file: Option<PathBuf>,
    /// Write to this file instead of standard output, which `-` is. Without recipients, the rule that names it
    /// says who reads it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Recipient: an age string, an SSH public key line, or `@NAME` of a user, host or group of
    /// the rules. May be given several times
    #[arg(short, long = "recipient", value_name = "KEY")]
    recipients: Vec<String>,
    /// File of recipients: age recipients, `.pub`, `authorized_keys`, `known_hosts`, the output of
    /// `ssh-keyscan`; `-` reads standard input. May be given several times
    #[arg(short = 'R', long = "recipients-file", value_name = "FILE")]
    recipients_files: Vec<PathBuf>,
    /// Encrypt with a passphrase instead of recipients
    #[arg(short, long, conflicts_with_all = ["recipients", "recipients_files"])]
    passphrase: bool,
    /// Write ASCII armor
    #[arg(short, long)]
    armor: bool,
    /// Do not list the readers in the file. Without the list, `status` cannot tell who of the
    /// holders of age keys reads it
    #[arg(long)]
    anonymous: bool,
    /// Accept empty content from standard input
    #[arg(long)]
    allow_empty: bool,
    /// Put the encrypted file in the place of FILE. The old content stays on the disk until it is
    /// overwritten, and in git if it was there
    #[arg(long, requires = "file", conflicts_with = "output")]
    in_place: bool,
    /// Make a file of this type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "passphrase")]
    kind: Option<FileType>,
    /// What the content is, for a sops file, where the name does not tell; with recipients, a sops
    /// file is made
    #[arg(long, value_name = "TYPE", conflicts_with = "passphrase")]
    input_type: Option<DocumentType>,
    #[command(flatten)]
    writer: WriterOption,
}

/// A type of secret files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileType {
    /// All of the content is encrypted as one
    Age,
    /// Each value of a document is encrypted by itself
    Sops,
}

/// Who is to read, and how the file is written.
struct Readers {
    keys: Vec<Recipient>,
    listed: bool,
    armor: bool,
}

impl Encrypt {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.file = self.file.filter(|file| file != Path::new("-"));
        self.output = self.output.filter(|output| output != Path::new("-"));
        if self.in_place {
            self.output = Some(self.plain_file()?);
        }
        let by_rules = !self.passphrase && !self.names_recipients();
        let job = match &self.output {
            Some(output) if by_rules => Some(context.job(output)?.1),
            Some(_) | None => None,
        };
        if self.makes_sops(job.as_ref()) {
            return self.run_sops(context);
        }
        let name = self.output.clone().unwrap_or_else(|| PathBuf::from("standard output"));
        let explain = |error: Problem| problem(&error, &name, &Around::default());
        let written = if self.passphrase {
            let passphrase = new_passphrase(context)?;
            let to = secret::To::Passphrase(&passphrase);
            self.write(context, &to, self.armor)
        } else {
            let readers = self.readers(context, job.as_ref())?;
            let to = secret::To::Recipients { keys: &readers.keys, listed: readers.listed };
            self.write(context, &to, readers.armor)
        };
        if let Some(staged) = written.map_err(explain)? {
            // A rekey that has read the old content would put it back.
            let under_rules = context.rules_folder(&name).is_some();
            let _lock = under_rules.then(|| context.lock_for(&name, "encrypt")).transpose()?;
            // Nor would whom it took from the readers stay outside.
            if let (Some(job), Some(output)) = (&job, &self.output)
                && context.job(output)?.1.expected != job.expected
            {
                return Err(explain(Problem::Changed).into());
            }
            staged.commit().map_err(|error| explain(Problem::Replace(error)))?;
        }
        Ok(Done::Clean)
    }

    /// The file that is to be replaced, if it is not encrypted yet.
    fn plain_file(&self) -> Result<PathBuf, Failure> {
        let Some(file) = &self.file else {
            return Err(Failure::new("standard input has no place where the result could be put")
                .hint("name a file, with `--in-place` or `--output`"));
        };
        if is_encrypted(file) {
            let shown = ui::shown(file);
            return Err(Failure::new(format!("`{shown}` is encrypted already"))
                .hint("`secretctl edit` changes it, `secretctl rekey` its readers"));
        }
        Ok(file.clone())
    }

    fn names_recipients(&self) -> bool {
        !self.recipients.is_empty() || !self.recipients_files.is_empty()
    }

    fn readers(&self, context: &Context, job: Option<&Job>) -> Result<Readers, Vec<Failure>> {
        if self.names_recipients() {
            let keys = named(context, &self.recipients, &self.recipients_files)?;
            return Ok(Readers { keys, listed: !self.anonymous, armor: self.armor });
        }
        let Some(job) = job else { return Err(nobody().into()) };
        if let Some(real) = job.leads_out() {
            let error = Problem::LeadsOut { real };
            return Err(problem(&error, &job.path, &Around::default()).into());
        }
        Ok(Readers {
            keys: job.recipients(),
            listed: !(self.anonymous || job.anonymous),
            armor: self.armor || job.armor == Some(true),
        })
    }

    /// Writes to standard output, or to a file that is yet to be put in place.
    fn write(
        &self,
        context: &Context,
        to: &secret::To<'_>,
        armor: bool,
    ) -> Result<Option<Staged>, Problem> {
        let mut source = source(self.file.as_deref(), self.allow_empty)?;
        let plugins = context.plugins();
        match &self.output {
            None => {
                let mut stdout = io::stdout().lock();
                let result = secret::encrypt_stream(&mut source, to, armor, &plugins, &mut stdout)
                    .and_then(|()| stdout.flush().map_err(|e| AgeError::Write(e).into()));
                match result {
                    Err(Problem::Age(AgeError::Write(error))) if ui::gone(&error) => Ok(None),
                    Err(Problem::Age(AgeError::Write(error))) => Err(Problem::Output(error)),
                    result => result.map_err(|e| self.of_source(e)).map(|()| None),
                }
            }
            Some(output) => {
                context.stays_inside(output)?;
                let staging = Staging { create_parents: true, ..Staging::default() };
                let mut staged = Staged::with(output, staging).map_err(Problem::Replace)?;
                secret::encrypt_stream(&mut source, to, armor, &plugins, &mut staged)
                    .map_err(|problem| secret::of_sink(self.of_source(problem), &staged))?;
                Ok(Some(staged))
            }
        }
    }
}

impl Encrypt {
    /// What cannot be read is the content, not the encrypted file.
    fn of_source(&self, problem: Problem) -> Problem {
        if let Problem::Age(AgeError::Read(error)) = problem {
            let file = self.file.clone().filter(|file| file != Path::new("-"));
            Problem::Input { path: file.unwrap_or_else(|| STDIN.into()), error }
        } else {
            problem
        }
    }
}

fn nobody() -> Failure {
    Failure::new("nobody is named who could read the result").hint(
        "name recipients with `--recipient` or `--recipients-file`, or with `--output` a file that \
         the rules know",
    )
}

/// Recipients that the command line names, in its order, each once.
pub(crate) fn named(
    context: &Context,
    texts: &[String],
    files: &[PathBuf],
) -> Result<Vec<Recipient>, Vec<Failure>> {
    let mut keys: Vec<Recipient> = Vec::new();
    let mut failures = Vec::new();
    let mut rules = None;
    for text in texts {
        if let Some(name) = text.strip_prefix('@') {
            let rules = match &mut rules {
                Some(rules) => rules,
                empty @ None => empty.insert(context.rules(Wanted::All)?),
            };
            let found = keys_of(rules, name);
            if found.is_empty() {
                failures.push(
                    Failure::new(format!("no user, host or group is called `{name}`"))
                        .hint("`secretctl user list` and `secretctl host list` print the names"),
                );
            }
            keys.extend(found);
            continue;
        }
        match Recipient::parse(text) {
            Ok(recipient) => keys.push(recipient),
            Err(error) => failures.push(
                Failure::new(format!("cannot use the value of `--recipient`: {error}"))
                    .maybe_hint(error.remedy()),
            ),
        }
    }
    for file in files {
        match from_file(file) {
            Ok(found) => keys.extend(found),
            Err(more) => failures.extend(more),
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    Ok(keys)
}

/// The keys of a user, host or group of any source.
fn keys_of(rules: &RuleSet, name: &str) -> Vec<Recipient> {
    let mut keys = Vec::new();
    for source in &rules.sources {
        let group = source.groups.iter().filter(|group| group.name == name);
        let members = group.flat_map(|group| &group.members).filter_map(|i| source.readers.get(*i));
        let named = source.readers.iter().filter(|reader| reader.name == name);
        keys.extend(members.chain(named).flat_map(|reader| reader.recipients.clone()));
    }
    keys
}

/// The recipients of a file, or of standard input for `-`.
pub(crate) fn from_file(file: &Path) -> Result<Vec<Recipient>, Vec<Failure>> {
    let shown = ui::shown(file);
    let path = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    let bytes = read_limited(path, list::MAX_LIST)
        .map_err(|error| Failure::new(format!("cannot read `{shown}`: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(format!("`{shown}` is not a text of public keys")))?;
    if text.contains("PRIVATE KEY-----") || text.contains("AGE-SECRET-KEY-1") {
        let hint = "name the public key: the `.pub` file beside an SSH key, or what `age-keygen \
                    -y` or `secretctl keys show` prints of the file";
        return Err(Failure::new(format!("`{shown}` is a private key")).hint(hint).into());
    }
    let found = list::parse(&text).map_err(|bad| {
        let explain = |bad: list::BadLine| {
            Failure::new(format!("{shown}:{}: {}", bad.line, bad.error))
                .maybe_hint(bad.error.remedy())
        };
        bad.into_iter().map(explain).collect::<Vec<_>>()
    })?;
    for skipped in &found.skipped {
        ui::say(&format!("warning: {shown}:{}: skipped: {}", skipped.line, skipped.error));
    }
    if found.recipients.is_empty() {
        return Err(Failure::new(format!("`{shown}` holds no recipient")).into());
    }
    Ok(found.recipients.into_iter().map(|listed| listed.recipient).collect())
}

/// A passphrase, asked for twice.
fn new_passphrase(context: &Context) -> Result<Plaintext, Failure> {
    let ask = context.plugins().ask;
    let none = || {
        Failure::new("no passphrase was given")
            .hint("run this on a terminal, or set SECRETCTL_ASKPASS to a program that prints it")
    };
    let first = ask.secret("New passphrase").filter(|p| !p.is_empty()).ok_or_else(none)?;
    let again = ask.secret("The same passphrase again").ok_or_else(none)?;
    if first.same_as(&again) { Ok(first) } else { Err(Failure::new("the passphrases differ")) }
}

/// The content to encrypt. Standard input must have something to give, since an upstream command
/// that failed gives nothing.
fn source(file: Option<&Path>, allow_empty: bool) -> Result<Box<dyn Read>, Problem> {
    let problem = |error| Problem::Input { path: file.unwrap_or(Path::new(STDIN)).into(), error };
    if let Some(path) = file {
        let file = File::open(path).map_err(problem)?;
        // A pipe gives what it has but once.
        let data = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let is_small = |data: &std::fs::Metadata| data.len() <= LOOKED_AT;
        if data.is_some_and(|data| {
            status::open(path).is_ok() || is_small(&data) && sops::is_sops(path)
        }) {
            once_more(&format!("`{}`", ui::shown(path)));
        }
        return Ok(Box::new(file));
    }
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        ui::say("reading from the terminal; Ctrl-D on an empty line ends the content");
    }
    let begin = stdin.fill_buf().map_err(problem)?;
    if begin.is_empty() && !allow_empty {
        return Err(Problem::EmptyInput);
    }
    // what it begins with may be less than a header
    if begins_as_age(begin) {
        once_more(STDIN);
    }
    Ok(Box::new(stdin))
}

/// Whether a content begins as age files do.
pub(crate) fn begins_as_age(begin: &[u8]) -> bool {
    let marks = ["age-encryption.org/", armor::BEGIN];
    marks.iter().any(|mark| begin.starts_with(mark.as_bytes()))
}

/// Whether a file is an age file or a sops file.
fn is_encrypted(file: &Path) -> bool {
    status::open(file).is_ok() || sops::is_sops(file)
}

/// Says that what is encrypted is to be encrypted again, which is seldom meant.
pub(crate) fn once_more(what: &str) {
    ui::say(&format!("warning: {what} is encrypted already, and is encrypted once more as it is"));
}

/// Most bytes of a file that is looked at as a whole before it is encrypted as a stream.
const LOOKED_AT: u64 = 1 << 20;
pub(crate) const STDIN: &str = "standard input";
