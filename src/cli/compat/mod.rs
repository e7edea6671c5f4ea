//! Front ends: called by the file name of another tool (a link to the program), the program takes
//! that tool's arguments and gives its messages and exit codes.
//!
//! They only translate: everything is done by the same work as in our own commands, so that what
//! loses secrets in the other tools does not happen here. What is new with us is a message more
//! or a refusal, never a changed file. Plugins still run only if `SECRETCTL_PLUGINS` names them
//! or the user says so.

mod agenix;
mod install_secrets;
mod ragenix;
mod schema;
mod sops;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::context::{Context, cache_folder, file_failures, rules_failure, variable};
use super::decrypt::Decrypt;
use super::explain::{Class, Failure};
use super::{Common, ErrorFormat, edit, ui};
use crate::format::sops::file::Writer;
use crate::fsx::{Lock, read_plaintext};
use crate::key::identity::{self, IdentityError, MAX_IDENTITY_FILE};
use crate::key::keyring::Source;
use crate::plaintext::Plaintext;
use crate::process::Editor;
use crate::rules::{self, RuleSet, Wanted};
use crate::work::edit::Ending;
use crate::work::secret::Kind;
use crate::work::secret::Opened;
use crate::work::{Job, Problem, rekey, status};

/// Runs as the tool by whose name the program was called, if there is one of that name.
pub(super) fn stand_in(arguments: &[OsString]) -> Option<ExitCode> {
    let (program, rest) = arguments.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    // Nix packages that are wrapped call the program `.NAME-wrapped`.
    match name.trim_start_matches('.').trim_end_matches("-wrapped") {
        "agenix" => Some(agenix::main(rest)),
        "ragenix" => Some(ragenix::main(arguments)),
        "sops" => Some(sops::main(rest)),
        "sops-install-secrets" => Some(install_secrets::main(rest)),
        _ => None,
    }
}

/// What ends a run before its time: text for stderr, printed as it is.
#[derive(Debug)]
struct Stop(String);

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self(failure.text())
    }
}

impl From<Vec<Failure>> for Stop {
    fn from(failures: Vec<Failure>) -> Self {
        Self(failures.iter().map(Failure::text).collect::<Vec<_>>().join("\n"))
    }
}

/// Exit code 0, or 1 with the reason on stderr.
fn finish(result: Result<(), Stop>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop(text)) => {
            ui::say(&text);
            ExitCode::FAILURE
        }
    }
}

/// What a run works with.
struct Desk {
    context: Context,
    /// The rules file, absolute.
    rules: PathBuf,
    /// What names in it are relative to.
    base: PathBuf,
    identities: Vec<Source>,
    /// Whether an identity file without any identity is as good as any.
    empty_identities: bool,
    /// What the tool says where no identity fits; its users may look for it.
    no_match: &'static str,
}

impl Desk {
    /// A context in which `identities` are all there are.
    fn context(identities: &[Source]) -> Result<Context, Failure> {
        let common = Common {
            identities: Vec::new(),
            rules: None,
            plugins: Vec::new(),
            nix_args: Vec::new(),
            error_format: ErrorFormat::Text,
        };
        Ok(Context::new(&common)?.with_identities(identities.to_vec()))
    }

    fn load(&self, wanted: Wanted<'_>) -> Result<RuleSet, Stop> {
        let cache = cache_folder();
        let loaded = rules::agenix::load(&self.rules, &self.base, wanted, &[], cache.as_deref());
        let (rules, problems) = loaded.map_err(|error| rules_failure(&error))?;
        Ok(RuleSet { sources: vec![rules], problems, notes: Vec::new() })
    }

    /// What the rules say of one file, an absolute path; `None` where they say nothing.
    fn job(&self, file: &Path) -> Result<Option<Job>, Stop> {
        let set = self.load(Wanted::File(file))?;
        let found = set.for_file(file).map_err(|error| rules_failure(&error))?;
        match found {
            Some((rules, rule)) => Ok(Some(Job::new(file.to_owned(), rules, rule))),
            None if set.problems.is_empty() => Ok(None),
            None => Err(set.problems.iter().map(rules_failure).collect::<Vec<_>>().into()),
        }
    }

    /// What the rules say of every file that they name.
    fn jobs(&self) -> Result<Vec<Job>, Stop> {
        let set = self.load(Wanted::All)?;
        if !set.problems.is_empty() {
            return Err(set.problems.iter().map(rules_failure).collect::<Vec<_>>().into());
        }
        let files = set.secret_files().map_err(|e| Failure::new(e.to_string()))?;
        let job = |file: PathBuf| {
            let (rules, rule) = set.for_file(&file).ok().flatten()?;
            Some(Job::new(file.clone(), rules, rule))
        };
        Ok(files.into_iter().filter_map(job).collect())
    }

    /// Both tools stop at an identity file that cannot be used, even where another one would do.
    fn check_identities(&self) -> Result<(), Stop> {
        for source in &self.identities {
            let Source::File { path, .. } = source else { continue };
            let shown = ui::shown(path);
            let content = read_plaintext(path, MAX_IDENTITY_FILE)
                .map_err(|e| Failure::new(format!("cannot read the identity `{shown}`: {e}")))?;
            match identity::parse(&content) {
                // Encrypted in the old way of PEM: not for us, but for nobody else a fault.
                Ok(_) | Err(IdentityError::EncryptedPem) => {}
                Err(IdentityError::NoIdentity) if self.empty_identities => {}
                Err(error) => {
                    let failure = Failure::new(format!("`{shown}` is no identity: {error}"));
                    return Err(failure.hint("remove it, or name another with `-i FILE`").into());
                }
            }
        }
        Ok(())
    }

    /// The lock of the rules, the same for every command; for before they are read.
    fn lock(&self, command: &str) -> Result<Lock, Stop> {
        Ok(self.context.lock(self.rules.parent().unwrap_or(&self.base), command)?)
    }

    /// Writes the content of a file to standard output.
    fn print(&self, file: PathBuf) -> Result<(), Stop> {
        let done = Decrypt::to_stdout(file).run(&self.context);
        done.map(|_| ()).map_err(|failures| self.no_match(failures))
    }

    /// The content before an edit; `None` where there is no file.
    fn open(&self, job: &Job) -> Result<Option<Opened>, Stop> {
        let mut keys = self.context.keys();
        let opened = crate::work::edit::before(job, &mut keys, &Writer::Lossless);
        let opened =
            opened.map_err(|error| self.no_match(file_failures(&[error], &keys, &[job])))?;
        Ok(opened.map(|opened| Opened { file: age_file(job), ..opened }))
    }

    fn with_editor(
        &self,
        job: &Job,
        old: Option<&Opened>,
        editor: &Editor,
    ) -> Result<Ending, Stop> {
        edit::in_editor(&self.context, job, old, editor, false, &Writer::Lossless)
            .map_err(|error| edit::edit_failures(&error, &self.context.keys(), job).into())
    }

    fn replace(&self, job: &Job, content: &Plaintext) -> Result<(), Stop> {
        let keys = self.context.keys();
        let writer = Writer::Lossless;
        let done = crate::work::edit::replace(job, content, &age_file(job), &keys, &writer);
        done.map_err(|e| file_failures(&[e], &keys, &[job]).into())
    }

    /// Encrypts files anew, all or none, armored as their jobs say.
    fn rekey(&self, jobs: Vec<Job>) -> Result<(), Stop> {
        let mut files = status::inspect_all(jobs, &[]);
        for file in &mut files {
            file.armored = file.job.armor.unwrap_or(false);
        }
        let steps = rekey::plan(files, true);
        let count = steps.iter().filter(|step| step.action != rekey::Action::Keep).count();
        let jobs: Vec<&Job> = steps.iter().map(|step| &step.file.job).collect();
        let mut keys = self.context.keys();
        let mut errors = rekey::obstacles(&steps);
        if errors.is_empty() {
            let means = rekey::Means {
                keys: &mut keys,
                canonical: false,
                interrupts: &self.context.interrupts,
                progress: &|| {},
            };
            let done = rekey::carry_out(&steps, means);
            errors = done.err().unwrap_or_default();
        }
        if errors.is_empty() {
            return Ok(());
        }
        let mut failures = file_failures(&errors, &keys, &jobs);
        if !errors.iter().any(|e| matches!(e.problem, Problem::HalfDone { .. })) {
            let count = count.max(errors.len());
            failures.push(Failure::new(format!(
                "{} of {count} files cannot be rekeyed, so none was changed",
                errors.len()
            )));
        }
        Err(self.no_match(failures))
    }

    /// Adds the words of the tool where no identity fits.
    fn no_match(&self, failures: Vec<Failure>) -> Stop {
        let fits_not = failures.iter().any(|failure| failure.class == Class::NoMatch);
        let Stop(text) = failures.into();
        let words = self.no_match;
        Stop(if fits_not { format!("{text}\n{words}") } else { text })
    }
}

/// Both tools know age files only.
fn age_file(job: &Job) -> Kind {
    Kind::Age { armored: job.armor.unwrap_or(false) }
}

/// The SSH keys of the user that exist, in the order of both tools.
fn default_identities() -> Vec<Source> {
    let Some(home) = variable("HOME").map(PathBuf::from) else { return Vec::new() };
    let paths = ["id_rsa", "id_ed25519"].map(|name| home.join(".ssh").join(name));
    let existing = paths.into_iter().filter(|path| path.is_file());
    existing.map(Source::usual).collect()
}

fn explicit(paths: &[PathBuf]) -> Vec<Source> {
    paths.iter().cloned().map(Source::named).collect()
}

/// Content from standard input; `None` where it is a terminal or empty.
fn piped() -> Result<Option<Plaintext>, Stop> {
    if io::stdin().is_terminal() {
        return Ok(None);
    }
    Ok(Some(edit::stdin()?).filter(|content| !content.is_empty()))
}

fn empty_input(file: &OsStr) -> Stop {
    let shown = ui::shown(Path::new(file));
    Failure::new(format!("standard input is empty, and `{shown}` was not changed"))
        .hint("the command before the pipe may have failed; set EDITOR to edit without a terminal")
        .into()
}
