//! What every command needs: identities, plugins, rules, folders. Read from the options and the
//! environment once.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;

use super::Common;
use super::explain::{Around, Failure, file_error, nix_string, problem, replace_error};
use super::ui::{Terminal, clean, say, shown};
use crate::format::keys::Keys;
use crate::format::sops::data_key::DecryptionOrder;
use crate::format::sops::file::Writer;
use crate::fsx::{Folders, Lock, Staged};
use crate::key::keyring::{Keyring, Source};
use crate::key::pgp::Pgp;
use crate::key::service::{Services, Surroundings};
use crate::key::{Allowed, Plugins};
use crate::plaintext::Plaintext;
use crate::process::Interrupts;
use crate::rules::{
    self, Rule, RuleSet, Rules, RulesError, Source as RulesSource, Wanted, native_edit,
};
use crate::work::links::leads_out;
use crate::work::sops;
use crate::work::{Expected, FileError, Job, Problem, everybody, rotate};

/// Options and environment, resolved.
pub(crate) struct Context {
    sources: Vec<Source>,
    allowed: Allowed,
    path: OsString,
    terminal: Terminal,
    /// The signal handlers of the process.
    pub(crate) interrupts: Interrupts,
    rules: Option<PathBuf>,
    nix_args: Vec<String>,
    /// Folders of the system.
    pub(crate) folders: Folders,
    /// The working directory, absolute.
    pub(crate) here: PathBuf,
    cache: Option<PathBuf>,
    order: DecryptionOrder,
    /// Whether credentials of key services go to any address that a file names.
    trusting: bool,
    /// Notes of the rules that were shown.
    told: Mutex<BTreeSet<String>>,
}

impl Context {
    /// From options and environment.
    pub(crate) fn new(common: &Common) -> Result<Self, Failure> {
        let here = std::env::current_dir()
            .map_err(|e| Failure::new(format!("the working directory cannot be used: {e}")))?;
        let listed = variable("SECRETCTL_PLUGINS").unwrap_or_default();
        let mut allowed = Allowed::parse(&listed.to_string_lossy());
        for name in &common.plugins {
            allowed.add(name);
        }
        let interrupts = Interrupts::new();
        let order = variable("SOPS_DECRYPTION_ORDER").unwrap_or_default();
        let order = DecryptionOrder::parse(&order.to_string_lossy())
            .map_err(|error| Failure::new(format!("SOPS_DECRYPTION_ORDER: {error}")))?;
        Ok(Self {
            sources: sources(&common.identities),
            allowed,
            path: variable("PATH").unwrap_or_default(),
            terminal: Terminal {
                askpass: variable("SECRETCTL_ASKPASS"),
                interrupts: interrupts.clone(),
            },
            interrupts,
            // an empty variable is none
            rules: common
                .rules
                .as_ref()
                .filter(|path| !path.is_empty())
                .map(|path| here.join(path)),
            nix_args: common.nix_args.clone(),
            folders: Folders::from_environment(&variable),
            here,
            cache: cache_folder(),
            order,
            trusting: false,
            told: Mutex::default(),
        })
    }

    /// The same with other identities, and none but these.
    pub(crate) fn with_identities(self, sources: Vec<Source>) -> Self {
        Self { sources, ..self }
    }

    /// Whom to ask and which plugins may run.
    pub(crate) fn plugins(&self) -> Plugins<'_> {
        Plugins { allowed: &self.allowed, path: &self.path, ask: &self.terminal }
    }

    /// A keyring that has loaded nothing yet.
    pub(crate) fn keyring(&self) -> Keyring<'_> {
        Keyring::new(self.sources.clone(), self.plugins())
    }

    /// What opens secret files, with nothing loaded yet.
    pub(crate) fn keys(&self) -> Keys<'_> {
        let pgp = Pgp::from_environment(&variable);
        let (path, trusting) = (self.path.clone(), self.trusting);
        let services = Services::new(move || surroundings(&path, trusting));
        Keys { keyring: self.keyring(), pgp, services, order: self.order.clone() }
    }

    /// The same with another order of decryption than that of the environment.
    pub(crate) fn with_order(self, order: DecryptionOrder) -> Self {
        Self { order, ..self }
    }

    /// The same, trusting the addresses of files with credentials of key services, as sops does.
    pub(crate) fn trusting(self) -> Self {
        Self { trusting: true, ..self }
    }

    /// The rules for one file, or all that are found from the working directory upwards.
    pub(crate) fn rules(&self, wanted: Wanted<'_>) -> Result<RuleSet, Failure> {
        self.try_rules(wanted).map_err(|error| rules_failure(&error))
    }

    /// As [`Context::rules`], for whom the kind of error matters.
    pub(crate) fn try_rules(&self, wanted: Wanted<'_>) -> Result<RuleSet, RulesError> {
        let start = match wanted {
            Wanted::File(file) => file.parent().unwrap_or(&self.here),
            Wanted::All => &self.here,
        };
        self.rules_from(start, wanted, true)
    }

    fn rules_from(
        &self,
        start: &Path,
        wanted: Wanted<'_>,
        evaluate: bool,
    ) -> Result<RuleSet, RulesError> {
        let request = rules::Request {
            start,
            here: &self.here,
            explicit: self.rules.as_deref(),
            base: None,
            wanted,
            nix_options: &self.nix_args,
            cache: self.cache.as_deref(),
            evaluate,
        };
        let rules = rules::load(&request)?;
        for note in &rules.notes {
            if self.told.lock().is_ok_and(|mut told| told.insert(note.clone())) {
                say(&format!("warning: {note}"));
            }
        }
        Ok(rules)
    }

    /// What the rules say of one file; an error where they say nothing.
    pub(crate) fn job(&self, file: &Path) -> Result<(RuleSet, Job), Failure> {
        let path = self.absolute(file);
        let rules = self.rules(Wanted::File(&path))?;
        let found = rules.for_file(&path).map_err(|error| rules_failure(&error))?;
        let Some((source, rule)) = found else { return Err(no_rule(&path, &rules)) };
        let job = Job::new(path, source, rule);
        Ok((rules, job))
    }

    /// As [`Context::job`], and as in sops where no rule is about a sops file that is there: it keeps
    /// the readers that it names.
    pub(crate) fn job_to_change(&self, file: &Path) -> Result<Job, Failure> {
        let path = self.absolute(file);
        let no_rule = match self.try_rules(Wanted::File(&path)) {
            Ok(rules) => match rules.for_file(&path).map_err(|error| rules_failure(&error))? {
                Some((source, rule)) => return Ok(Job::new(path, source, rule)),
                None => no_rule(&path, &rules),
            },
            Err(error @ RulesError::NoRules { .. }) => rules_failure(&error),
            Err(error) => return Err(rules_failure(&error)),
        };
        rotate::by_itself(path).map_err(|_| no_rule)
    }

    /// As [`Context::job`], with every rule read where all of them can be: the header of the file
    /// may name somebody whom only another rule knows.
    fn job_among_all(&self, file: &Path) -> Result<(RuleSet, Job), Failure> {
        let path = self.absolute(file);
        match self.rules_from(path.parent().unwrap_or(&self.here), Wanted::All, true) {
            Ok(rules) if rules.problems.is_empty() => {
                if let Ok(Some((source, rule))) = rules.for_file(&path) {
                    let job = Job::new(path, source, rule);
                    return Ok((rules, job));
                }
            }
            Ok(_) | Err(_) => {}
        }
        self.job(file)
    }

    /// Who is to read a file, for the message that nothing opens it. Problems do not matter.
    /// Whoever only decrypts a file of somebody else does not mean to run their rules, so that Nix is not
    /// asked.
    pub(crate) fn needs(&self, file: &Path) -> Vec<Expected> {
        let path = self.absolute(file);
        let folder = path.parent().and_then(|folder| std::fs::metadata(folder).ok());
        let me = rustix::process::geteuid().as_raw();
        if self.rules.is_none() && folder.is_none_or(|folder| ![0, me].contains(&folder.uid())) {
            return Vec::new();
        }
        let expected =
            |source: &Rules, rule: &Rule| Job::new(path.clone(), source, rule).expected.to_vec();
        self.without_nix(&path, expected).unwrap_or_default()
    }

    /// Something of the rule about a file, as far as that is known without running Nix. Problems
    /// with the rules do not matter.
    fn without_nix<T>(&self, path: &Path, of: impl FnOnce(&Rules, &Rule) -> T) -> Option<T> {
        let start = path.parent().unwrap_or(&self.here);
        let rules = self.rules_from(start, Wanted::File(path), false).ok()?;
        let (source, rule) = rules.for_file(path).ok()??;
        Some(of(source, rule))
    }

    /// That the output of a command goes where its name says, and no link of the repository, or
    /// without one of the folder of the rules, leads out of it.
    pub(crate) fn stays_inside(&self, output: &Path) -> Result<(), Problem> {
        match leads_out(output, self.rules_folder(output).as_deref()) {
            Some(real) => Err(Problem::LeadsOut { real }),
            None => Ok(()),
        }
    }

    /// Whether the rules make a file secret. Problems with them do not matter, none of Nix are run,
    /// and a rule of `.sops.yaml` without `path_regex` makes nothing secret.
    pub(crate) fn is_secret(&self, file: &Path) -> bool {
        let names_it = |_: &Rules, rule: &Rule| !matches!(rule.pattern, rules::Pattern::Every);
        self.without_nix(&self.absolute(file), names_it).unwrap_or(false)
    }

    /// Takes the lock that guards the rules for a file or folder and the secrets that they name.
    /// To be had before the rules are read: what waited with old rules would undo the work of
    /// whom it waited for.
    pub(crate) fn lock_for(&self, path: &Path, command: &str) -> Result<Lock, Failure> {
        self.lock(&self.root_for(path), command)
    }

    /// As [`Context::lock_for`], for who stands in for a tool without locks: it waits a while
    /// before it says so.
    pub(crate) fn lock_quietly(&self, path: &Path, command: &str) -> Result<Lock, Failure> {
        let got = Arc::new(AtomicBool::new(false));
        let lock = self.lock_told(&self.root_for(path), command, &mut |holder| {
            let (got, holder) = (Arc::clone(&got), holder.to_owned());
            std::thread::spawn(move || {
                std::thread::sleep(PATIENCE);
                if !got.load(Ordering::Relaxed) {
                    told_to_wait(&holder);
                }
            });
        });
        got.store(true, Ordering::Relaxed);
        lock
    }

    fn root_for(&self, path: &Path) -> PathBuf {
        self.rules_folder(path).unwrap_or_else(|| {
            let path = self.absolute(path);
            path.parent().unwrap_or(&path).to_owned()
        })
    }

    /// The folder of the rules for a file or folder, without reading them.
    pub(crate) fn rules_folder(&self, path: &Path) -> Option<PathBuf> {
        let path = self.absolute(path);
        let start = if path.is_dir() { path.as_path() } else { path.parent()? };
        let found = || rules::discover::discover(start, &self.here).into_iter().next();
        let file = self.rules.clone().or_else(found)?;
        if file.is_dir() { Some(file) } else { file.parent().map(Path::to_owned) }
    }

    /// Takes the lock of the repository that a folder is in or will be in; says so if it must wait.
    pub(crate) fn lock(&self, root: &Path, command: &str) -> Result<Lock, Failure> {
        self.lock_told(root, command, &mut told_to_wait)
    }

    fn lock_told(
        &self,
        root: &Path,
        command: &str,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Lock, Failure> {
        let root = root.ancestors().find(|folder| folder.is_dir()).unwrap_or(&self.here);
        Lock::acquire(root, command, &self.folders, waiting)
            .map_err(|error| Failure::new(error.to_string()).maybe_hint(error.remedy()))
    }

    /// As [`Context::lock_for`], for several files.
    pub(crate) fn locks_for(&self, paths: &[PathBuf], command: &str) -> Result<Vec<Lock>, Failure> {
        let root = |path: &PathBuf| {
            let path = self.absolute(path);
            let root = self.rules_folder(&path).unwrap_or(path);
            root.ancestors().find(|folder| folder.is_dir()).unwrap_or(&self.here).to_owned()
        };
        let roots: Vec<PathBuf> = paths.iter().map(root).collect();
        let mut waiting = |holder: &str| say(&format!("waiting for the lock, held by {holder}"));
        Lock::acquire_all(&roots, command, &self.folders, &mut waiting)
            .map_err(|error| Failure::new(error.to_string()).maybe_hint(error.remedy()))
    }

    /// Absolute, without `.` and `..`, as the rules name it.
    pub(crate) fn absolute(&self, file: &Path) -> PathBuf {
        rules::clean(&self.here.join(file))
    }
}

fn told_to_wait(holder: &str) {
    say(&format!("waiting for the lock, held by {holder}"));
}

/// How long a wait may be that nobody is told of.
const PATIENCE: Duration = Duration::from_secs(2);

/// Explains an error of the rules.
pub(crate) fn rules_failure(error: &RulesError) -> Failure {
    Failure::of_text(&error.to_string()).maybe_hint(error.hint())
}

/// Puts a rules file in place.
pub(crate) fn write_rules(file: &Path, text: &str) -> Result<(), Failure> {
    write(file, file.parent(), text.as_bytes())
}

/// Puts a file in place, if that is where its name says: in its repository, or without one in `base`.
pub(crate) fn write(file: &Path, base: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(real) = leads_out(file, base) {
        return Err(problem(&Problem::LeadsOut { real }, file, &Around::default()));
    }
    let written = Staged::new(file).and_then(|mut staged| {
        staged.put(bytes)?;
        staged.commit()
    });
    written.map_err(|error| replace_error(&error))
}

/// Explains errors of files, each with who was to read it.
pub(crate) fn file_failures(errors: &[FileError], keys: &Keys<'_>, jobs: &[&Job]) -> Vec<Failure> {
    let explain = |error: &FileError| {
        let job = jobs.iter().find(|job| job.path == error.path);
        let needs = job.map(|job| &*job.expected).unwrap_or_default();
        file_error(error, &Around { tried: keys.tried(), needs })
    };
    errors.iter().map(explain).collect()
}

/// The identities that the user names, those that variables of sops name, and the usual places
/// where the user names none.
fn sources(explicit: &[PathBuf]) -> Vec<Source> {
    let mut sources: Vec<Source> = explicit.iter().cloned().map(Source::named).collect();
    if sources.is_empty()
        && let Some(list) = variable("SECRETCTL_IDENTITY")
    {
        let paths = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
        sources.extend(paths.map(Source::named));
    }
    let named = !sources.is_empty();
    let (ready, commands) = sops_sources();
    sources.extend(ready);
    if !named {
        sources.extend(usual_places());
    }
    sources.extend(commands);
    sources
}

fn usual_places() -> impl Iterator<Item = Source> {
    let mut paths = Vec::new();
    if let Some(config) = folder("XDG_CONFIG_HOME", ".config") {
        paths.push(config.join("secretctl/identities"));
        paths.push(config.join("sops/age/keys.txt"));
    }
    if let Some(home) = variable("HOME").map(PathBuf::from) {
        paths.push(home.join(".ssh/id_ed25519"));
        paths.push(home.join(".ssh/id_rsa"));
    }
    paths.push("/etc/ssh/ssh_host_ed25519_key".into());
    paths.push("/etc/ssh/ssh_host_rsa_key".into());
    paths.into_iter().map(Source::usual)
}

/// The identities that variables of sops name, and apart from them the commands that print some:
/// they may ask somebody, so they come last.
fn sops_sources() -> (Vec<Source>, Vec<Source>) {
    let mut sources = Vec::new();
    if let Some(text) = variable("SOPS_AGE_KEY") {
        let text = Arc::new(Plaintext::new(text.into_vec()));
        sources.push(Source::Inline { name: "SOPS_AGE_KEY".to_owned(), text });
    }
    for name in ["SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"] {
        sources.extend(variable(name).map(PathBuf::from).map(Source::named));
    }
    let command = |name: &str| {
        let line = variable(name)?.to_string_lossy().into_owned();
        Some(Source::Command { name: name.to_owned(), line })
    };
    let commands = ["SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"];
    (sources, commands.into_iter().filter_map(command).collect())
}

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What key services find around them; `trusting` says whether credentials go to any address that
/// a file names.
pub(crate) fn surroundings(path: &OsStr, trusting: bool) -> Surroundings {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    Surroundings {
        variables: std::env::vars_os().filter_map(text).collect(),
        home: variable("HOME").map(PathBuf::from),
        path: path.to_owned(),
        trusting,
    }
}

/// Where results of Nix are remembered.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    folder("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("secretctl"))
}

/// An XDG base folder, or its default below `$HOME`.
fn folder(name: &str, default: &str) -> Option<PathBuf> {
    let set = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(default)))
}

/// How sops files are written.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WriterOption {
    /// Write a sops file as sops prints it, with its indent and quotes and without empty lines,
    /// instead of changing only the values that change
    #[arg(long)]
    pub(crate) canonical: bool,
}

impl WriterOption {
    /// Every byte stays but those of values that change.
    pub(crate) const LOSSLESS: Self = Self { canonical: false };

    /// The writer for the file of a rule.
    pub(crate) fn of(self, job: &Job) -> Writer {
        sops::writer(self.canonical, job)
    }
}

/// The secret files that a command is about.
pub(crate) struct Selection {
    /// The rules.
    pub(crate) rules: RuleSet,
    /// One for each file, sorted by path.
    pub(crate) jobs: Vec<Job>,
    /// Everybody whom the rules name.
    pub(crate) known: Vec<Expected>,
}

impl Context {
    /// All files that the rules know, or those of them that are named or lie below a named
    /// folder.
    pub(crate) fn select(&self, paths: &[PathBuf]) -> Result<Selection, Vec<Failure>> {
        self.select_of(paths, RuleSet::secret_files)
    }

    /// As [`Context::select`], with what the rules of sops say is secret and is in the open.
    pub(crate) fn select_with_plain(&self, paths: &[PathBuf]) -> Result<Selection, Vec<Failure>> {
        self.select_of(paths, RuleSet::secret_and_plain_files)
    }

    fn select_of(
        &self,
        paths: &[PathBuf],
        list: fn(&RuleSet) -> io::Result<Vec<PathBuf>>,
    ) -> Result<Selection, Vec<Failure>> {
        if let [file] = paths
            && !file.is_dir()
        {
            let (rules, job) = self.job_among_all(file)?;
            let known = everybody(&rules);
            return Ok(Selection { rules, jobs: vec![job], known });
        }
        let rules = self.rules(Wanted::All)?;
        if !rules.problems.is_empty() {
            return Err(rules.problems.iter().map(rules_failure).collect());
        }
        let files =
            list(&rules).map_err(|e| Failure::new(format!("cannot list the secret files: {e}")))?;
        let wanted: Vec<PathBuf> = paths.iter().map(|path| self.absolute(path)).collect();
        let mut jobs: Vec<Job> = Vec::new();
        let mut failures = Vec::new();
        let mut last = None;
        for file in files {
            if !wanted.is_empty() && !wanted.iter().any(|path| file.starts_with(path)) {
                continue;
            }
            match rules.for_file(&file) {
                Ok(Some((source, rule))) => {
                    let same = last.is_some_and(|last| std::ptr::eq(last, rule));
                    jobs.push(match jobs.last() {
                        Some(job) if same => Job { path: file, ..job.clone() },
                        Some(_) | None => Job::new(file, source, rule),
                    });
                    last = Some(rule);
                }
                Ok(None) => {}
                Err(error) => failures.push(rules_failure(&error)),
            }
        }
        for path in &wanted {
            if !jobs.iter().any(|job| job.path.starts_with(path)) {
                failures.push(no_rule(path, &rules));
            }
        }
        let known = everybody(&rules);
        if failures.is_empty() { Ok(Selection { rules, jobs, known }) } else { Err(failures) }
    }
}

fn no_rule(path: &Path, rules: &RuleSet) -> Failure {
    let mut failure = Failure::new(format!("no rule is about `{}`", shown(path)));
    for source in &rules.sources {
        let count = match source.rules.len() {
            // Of `secrets.nix`, no more is evaluated than one file needs.
            _ if source.source == RulesSource::Agenix => "no such rule".to_owned(),
            1 => "1 rule".to_owned(),
            count => format!("{count} rules"),
        };
        failure = failure.detail(format!(
            "{} has {count}, relative to {}",
            shown(&source.file),
            source.base.display()
        ));
    }
    for problem in &rules.problems {
        failure = failure.detail(problem.to_string());
    }
    failure.hint(rule_to_add(path, rules))
}

/// The rule that is missing, as its source would have it.
fn rule_to_add(path: &Path, rules: &RuleSet) -> String {
    let source = rules.sources.iter().find(|source| path.starts_with(&source.base));
    let Some(source) = source else {
        return "the file lies outside of the folder that the rules are about".to_owned();
    };
    if path.is_dir() {
        return "it is a folder: name a secret file in it".to_owned();
    }
    let inside = path.strip_prefix(&source.base).map(Path::to_owned).unwrap_or_default();
    let (name, file) = (shown(&inside), shown(&source.file));
    match source.source {
        RulesSource::Native => format!(
            "add under `secrets` in `{file}`: `- {{path: {}, readers: [NAME]}}`",
            clean(&native_edit::path_text(&inside.to_string_lossy()))
        ),
        RulesSource::Agenix => {
            format!("add to `{file}`: `{}.publicKeys = [ NAME ];`", nix_string(&name))
        }
        RulesSource::Sops => format!(
            "add under `creation_rules` in `{file}`: `- {{path_regex: {}, age: KEY}}`",
            clean(&native_edit::path_text(&format!("^{}$", regex::escape(&name))))
        ),
        RulesSource::Flake => format!(
            "declare it in the configuration of a host: `secretctl.secrets.NAME.file = ./{name};`"
        ),
    }
}
