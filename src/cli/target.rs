//! Carrying out a manifest, for our own command and for the front end of sops-nix: the stores are
//! held, secrets opened, everything published, units told. What is said goes to stderr, with the
//! levels of journald where that is where it goes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::context::{surroundings, variable};
use super::explain::{Failure, activate as explain};
use super::{Common, ErrorFormat, ui};
use crate::activate::accounts::{Accounts, System};
use crate::activate::manifest::{Manifest, Mode};
use crate::activate::open::{Counts, open_all};
use crate::activate::plan::{self, Plan, Request, StorePlan, Subject};
use crate::activate::units::{self, How};
use crate::activate::values::{Values, When, Work};
use crate::activate::{Hold, Name, Published, hold, publish};
use crate::fsx::Folders;
use crate::key::service::Services;

/// The folder of this user's session.
pub(super) fn runtime_folder() -> Option<PathBuf> {
    variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The folder that systemd keeps for us across boots, where the unit asks for one.
fn state_folder() -> Option<PathBuf> {
    let folders = variable("STATE_DIRECTORY")?;
    std::env::split_paths(&folders).next().filter(|path| path.is_absolute())
}

/// Where messages go.
pub(super) struct Log {
    json: bool,
    journal: bool,
}

impl Log {
    /// As options and environment say.
    pub(super) fn new(common: &Common) -> Self {
        Self { json: common.error_format == ErrorFormat::Json, journal: is_journal() }
    }

    /// For people alone.
    pub(super) fn text() -> Self {
        Self { json: false, journal: is_journal() }
    }

    /// Something that went wrong.
    pub(super) fn error(&self, failure: &Failure) {
        if self.json {
            ui::fail(failure, true);
        } else {
            self.say(3, &failure.text());
        }
    }

    /// Something that went wrong and does not matter that much.
    pub(super) fn warn(&self, failure: &Failure) {
        if self.json {
            ui::fail(failure, true);
        } else {
            let text = failure.text();
            let text = text.strip_prefix("error:").unwrap_or(&text);
            self.say(4, &format!("warning:{text}"));
        }
    }

    /// The one or the other.
    fn either(&self, failure: &Failure, matters: bool) {
        if matters { self.error(failure) } else { self.warn(failure) }
    }

    /// Something to know.
    pub(super) fn info(&self, text: &str) {
        if !self.json {
            self.say(6, text);
        }
    }

    /// journald takes a level at the beginning of each line.
    fn say(&self, level: u8, text: &str) {
        if self.journal {
            let lines = text.lines().map(|line| format!("<{level}>{line}"));
            ui::say(&lines.collect::<Vec<_>>().join("\n"));
        } else {
            ui::say(text);
        }
    }
}

/// Whether stderr is the stream that systemd made for the journal: only it takes levels.
fn is_journal() -> bool {
    let Some(stream) = variable("JOURNAL_STREAM") else { return false };
    let stderr = Path::new("/proc/self/fd/2");
    let Ok(data) = std::fs::metadata(stderr) else { return false };
    stream.to_str() == Some(&format!("{}:{}", data.dev(), data.ino()))
}

/// What is to be done.
pub(super) struct Run<'m> {
    /// The manifest.
    pub(super) manifest: &'m Manifest,
    /// The phase.
    pub(super) when: When,
    /// Whether nothing is written.
    pub(super) dry: bool,
    /// Whether owners are not looked at.
    pub(super) root_owns_all: bool,
}

impl<'m> Run<'m> {
    /// Does it, and tells what goes wrong.
    ///
    /// # Errors
    /// Where nothing was changed.
    pub(super) fn carry_out(&self, log: &Log) -> Result<Carried<'m>, Vec<Failure>> {
        let manifest = self.manifest;
        if self.dry && manifest.test_values {
            return Err(Failure::new("the manifest installs values that are for tests alone")
                .hint("a machine with secrets of its own is built without `useTestValues`")
                .into());
        }
        let folders = Folders::from_environment(&variable);
        let work = Work::of(manifest, self.when);
        let system = System::default();
        let accounts: Option<&dyn Accounts> = (!self.root_owns_all).then_some(&system);
        let values = || Values::of(manifest, &work, &folders, self.services());
        let (held, values) = match self.when {
            When::Early | When::Normal => (self.hold(accounts, log)?, values()),
            When::Network => {
                // Nobody waits for a network in the lock. What was installed meanwhile is newer than what
                // was read before.
                let (before, early) = (self.links(accounts), values());
                let held = self.hold(accounts, log)?;
                let same = self.links(accounts) == before;
                (held, if same { early } else { values() })
            }
        };
        let request = Request { manifest, work: &work, values: &values, when: self.when, accounts };
        let Plan { stores, problems, waiting, deferred } = plan::plan(&request);
        if manifest.logging.keys {
            for line in explain::keys(&values.opened.tried) {
                log.info(&line);
            }
        }
        for failure in explain::deferred(&deferred) {
            // What is filled before users exist is filled again when they do.
            match self.when {
                When::Early => log.info(&failure.headline),
                When::Normal | When::Network => log.warn(&failure),
            }
        }
        if let Some(line) = explain::waiting(&waiting) {
            log.info(&line);
        }
        let mut carried = Carried {
            dry: self.dry,
            stores: Vec::new(),
            counts: values.opened.counts,
            waits: !waiting.is_empty(),
            unfinished: false,
        };
        let mut broken: Vec<Failure> = Vec::new();
        for StorePlan { name, mut target, pieces } in stores {
            target.lasting = state_folder();
            match publish(&target, pieces, held.as_ref()) {
                Ok(published) => carried.stores.push(Store { name, target, published }),
                Err(error) => broken.push(explain::publish(name, &error)),
            }
        }
        let everything = Everything { manifest, stores: &carried.stores };
        let mut unfinished = false;
        for (failure, required) in explain::problems(&problems, &values, &everything) {
            unfinished |= required;
            log.either(&failure, required);
        }
        unfinished |= everything.tell_troubles(log);
        carried.unfinished = unfinished || !broken.is_empty();
        if self.dry && self.when == When::Normal {
            carried.unfinished |= self.tell_credentials(log);
        }
        self.tell_units(&carried.stores, log);
        drop(held);
        if carried.stores.is_empty() && !broken.is_empty() {
            return Err(broken);
        }
        for failure in &broken {
            log.error(failure);
        }
        Ok(carried)
    }

    /// The key services of this run.
    fn services(&self) -> Services {
        match self.when {
            When::Early | When::Normal => Services::off(),
            When::Network => Services::new(|| {
                let path = variable("PATH").unwrap_or_default();
                surroundings(&path, false)
            }),
        }
    }

    /// Where the links of the stores lead to.
    fn links(&self, accounts: Option<&dyn Accounts>) -> Vec<Option<PathBuf>> {
        let targets = plan::targets(self.manifest, self.when, accounts);
        targets.iter().map(|(_, target)| std::fs::read_link(&target.store.link).ok()).collect()
    }

    /// Takes the locks of the stores.
    fn hold(
        &self,
        accounts: Option<&dyn Accounts>,
        log: &Log,
    ) -> Result<Option<Hold>, Vec<Failure>> {
        if self.dry {
            return Ok(None);
        }
        let targets = plan::targets(self.manifest, self.when, accounts);
        let all: Vec<_> = targets.iter().map(|(_, target)| target).collect();
        let mut waiting = |who: &str| log.info(&format!("waiting for {who}"));
        match hold(&all, "activate", &mut waiting) {
            Ok(held) => Ok(Some(held)),
            Err(error) => Err(explain::publish("", &error).into()),
        }
    }

    /// Whether services would not get their credentials when they start.
    fn tell_credentials(&self, log: &Log) -> bool {
        let sources: BTreeSet<_> =
            self.manifest.credentials().map(|(_, _, credential)| credential.source()).collect();
        let opened = open_all(self.manifest, &sources, Services::off());
        let failures = explain::credentials(self.manifest, &opened);
        for failure in &failures {
            log.error(failure);
        }
        !failures.is_empty()
    }

    fn tell_units(&self, stores: &[Store<'_>], log: &Log) {
        let system = self.manifest.mode == Mode::System;
        let how = How::decide(system, &variable, &|path| path.exists());
        let done: Vec<_> = stores.iter().map(|store| (&store.target, &store.published)).collect();
        for problem in units::request(&how, &done) {
            log.warn(&explain::trouble("", &problem));
        }
    }
}

/// What became of the stores.
pub(super) struct Everything<'a, 'm> {
    manifest: &'m Manifest,
    stores: &'a [Store<'m>],
}

impl Everything<'_, '_> {
    /// Tells what went wrong when secrets were put in place; whether something required did.
    fn tell_troubles(&self, log: &Log) -> bool {
        let mut unfinished = false;
        for store in self.stores {
            for problem in &store.published.problems {
                let required = self.required(store.name, problem.name.as_ref());
                unfinished |= required;
                log.either(&explain::trouble(store.name, problem), required);
            }
        }
        unfinished
    }

    /// What there is now of a secret that could not be had.
    pub(super) fn what_is_left(&self, subject: &Subject<'_>) -> &'static str {
        let store = self.stores.iter().find(|store| store.name == subject.store());
        let Some(Store { published, .. }) = store else { return "as it was" };
        let is_in = |list: &[Name]| list.contains(subject.name());
        match (is_in(&published.kept), published.dry) {
            (true, false) => "its last good value stays",
            (true, true) => "its last good value would stay",
            (false, false) => "not in place",
            (false, true) => "would not be in place",
        }
    }

    /// Whether a run fails where something is wrong with this one.
    fn required(&self, store: &str, name: Option<&Name>) -> bool {
        let Some(name) = name else { return true };
        if let Some(secret) = self.manifest.secret(store, name) {
            return secret.required;
        }
        let mut templates = self.manifest.templates.iter();
        templates.find(|one| one.store == store && one.name == *name).is_none_or(|one| one.required)
    }
}

/// What was done to a store.
pub(super) struct Store<'m> {
    /// Its name.
    pub(super) name: &'m str,
    target: crate::activate::Target,
    /// What was done.
    pub(super) published: Published,
}

/// What was done.
pub(super) struct Carried<'m> {
    dry: bool,
    /// Each store.
    pub(super) stores: Vec<Store<'m>>,
    counts: Counts,
    waits: bool,
    unfinished: bool,
}

impl Carried<'_> {
    /// Whether something that is required is not in place as it should be.
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    /// Whether something is left to the run that asks key services.
    pub(super) fn waits_for_network(&self) -> bool {
        self.waits
    }

    /// A line for each kind of change of each store.
    pub(super) fn changes(&self) -> String {
        let mut text = String::new();
        for Store { name, published, .. } in &self.stores {
            let kinds = [
                (&published.added, ["added", "would add"]),
                (&published.changed, ["changed", "would change"]),
                (&published.removed, ["removed", "would remove"]),
            ];
            for (names, [past, would]) in kinds {
                if !names.is_empty() {
                    let verb = if self.dry { would } else { past };
                    let _infallible = writeln!(text, "{name}: {verb} {}", listed(names));
                }
            }
        }
        let units = |of: fn(&Published) -> &BTreeSet<String>| -> BTreeSet<&String> {
            self.stores.iter().flat_map(|store| of(&store.published)).collect()
        };
        let kinds = [
            (units(|published| &published.restart), ["restarting", "would restart"]),
            (units(|published| &published.reload), ["reloading", "would reload"]),
        ];
        for (units, [now, would]) in kinds {
            if !units.is_empty() {
                let verb = if self.dry { would } else { now };
                let units: Vec<&str> = units.into_iter().map(String::as_str).collect();
                let _infallible = writeln!(text, "{verb} {}", units.join(", "));
            }
        }
        text
    }

    /// All of it for machines.
    pub(super) fn json(&self) -> serde_json::Value {
        let names = |names: &[Name]| names.iter().map(Name::to_string).collect::<Vec<String>>();
        let store = |store: &Store<'_>| {
            let published = &store.published;
            let value = serde_json::json!({
                "added": names(&published.added),
                "changed": names(&published.changed),
                "removed": names(&published.removed),
                "unchanged": names(&published.unchanged),
                "kept": names(&published.kept),
                "missing": names(&published.missing),
                "restart": published.restart,
                "reload": published.reload,
            });
            (store.name.to_owned(), value)
        };
        let stores: serde_json::Map<String, serde_json::Value> =
            self.stores.iter().map(store).collect();
        serde_json::json!({
            "dryRun": self.dry,
            "reads": self.counts.reads,
            "unwraps": self.counts.unwraps,
            "stores": stores,
        })
    }
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}
