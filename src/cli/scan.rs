//! `secretctl scan`

mod allow;
mod baseline;
mod hide;
mod known;
mod machine;
mod packs;
mod people;
mod sarif;
mod scopes;
mod staged;
mod told;
mod watch;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::explain::Failure;
use super::ui::{say, shown};
use super::{Done, Outcome, ui};
use crate::scan::dig::Shared;
use crate::scan::eyes::Wanted;
use crate::scan::gap::Limits;
use crate::scan::matcher::Matcher;
use crate::scan::memory::{Marks, Memory};
use crate::scan::needle::Needles;
use crate::scan::plan::{Filter, Plan};
use crate::scan::walk::{Counters, Walked, walk};
use told::Told;

/// Find secrets that stand in the open in the Nix store, or anywhere else
///
/// Opens the secret files that the rules name, with the identities at hand, and looks for their
/// values in every form that a leak takes, also inside of archives and compressed files. Without a
/// PATH or another place, it looks at the whole store. Never prints a value.
///
/// Exit code 0: nothing found. 1: something was found. 2: an error, or not all could be looked at.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Files and folders to look at
    paths: Vec<PathBuf>,
    #[command(flatten)]
    places: PlaceOptions,
    #[command(flatten)]
    needles: NeedleOptions,
    #[command(flatten)]
    report: ReportOptions,
    /// Look at what a trusted cache has signed, too, and at what was looked through before
    #[arg(long)]
    all: bool,
    /// Trust this key of a binary cache (`NAME:BASE64`) to have built without our secrets what it
    /// has signed, beside that of cache.nixos.org. May be given several times
    #[arg(long = "trusted-key", value_name = "KEY")]
    trusted_keys: Vec<String>,
    /// Remember in this folder what was looked through; `none` remembers nothing
    #[arg(long, value_name = "DIR")]
    memory: Option<PathBuf>,
    /// Most containers in containers
    #[arg(long, value_name = "N")]
    max_depth: Option<usize>,
    /// Most bytes, in MiB, that may come out of one file
    #[arg(long, value_name = "MIB")]
    max_expanded: Option<u64>,
    /// How many times larger a compressed member may get
    #[arg(long, value_name = "N")]
    max_ratio: Option<u64>,
    /// Threads; as many as there are processors
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Where to look.
#[derive(Debug, Args)]
#[command(next_help_heading = "Places")]
struct PlaceOptions {
    /// Every path of the Nix store, of this or of the one in DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "with and without a value, and not given")]
    store: Option<Option<PathBuf>>,
    /// These store paths and all that they refer to: what a push would publish
    #[arg(long, value_name = "PATH", num_args = 1..)]
    closure: Vec<PathBuf>,
    /// The build logs of the store, or those in DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "with and without a value, and not given")]
    logs: Option<Option<PathBuf>>,
    /// What Nix remembers of evaluations; for root, that of all users
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "with and without a value, and not given")]
    eval_cache: Option<Option<PathBuf>>,
    /// What boots this machine: /boot or DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "with and without a value, and not given")]
    boot: Option<Option<PathBuf>>,
    /// A binary cache in a folder
    #[arg(long, value_name = "DIR")]
    cache: Vec<PathBuf>,
    /// A NAR; `-` is standard input
    #[arg(long, value_name = "FILE")]
    nar: Option<PathBuf>,
    /// What git is about to commit
    #[arg(long)]
    staged: bool,
    /// What a build has just made; for `post-build-hook` of Nix, which names it in the environment
    #[arg(long)]
    post_build_hook: bool,
}

/// What to look for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Needles")]
struct NeedleOptions {
    /// Look for what is in this secret file or folder of them, instead of all that the rules know. A
    /// file that is not encrypted is taken as it is. May be given several times
    #[arg(long = "secret-file", value_name = "PATH")]
    secret_files: Vec<PathBuf>,
    /// Look for shapes of secrets as well: private keys, tokens, and what lies decrypted beside an
    /// encrypted file. Needs no identity
    #[arg(long)]
    heuristics: bool,
    /// Look for what the manifest of a host installs, opened with the keys that it names; for root
    /// on that host
    #[arg(long, value_name = "FILE", conflicts_with = "secret_files")]
    manifest: Option<PathBuf>,
    /// Look for the fingerprints of a pack, on a machine that must not hold the secrets
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifest", "secret_files"])]
    pack: Option<PathBuf>,
    /// The key of the pack, which may be encrypted
    #[arg(long, value_name = "FILE", requires = "pack")]
    pack_key: Option<PathBuf>,
    /// Which entry of the pack is which secret, where its maker scans
    #[arg(long, value_name = "FILE", requires = "pack")]
    legend: Option<PathBuf>,
    /// Look at nothing, and write a pack of what can be opened, with its key in FILE.key.age and the
    /// names of its entries in FILE.legend.json
    #[arg(long, value_name = "FILE", conflicts_with = "pack")]
    make_pack: Option<PathBuf>,
    /// Who may use the pack: the public age key of a machine that scans. May be given several times
    #[arg(long = "pack-recipient", value_name = "KEY", requires = "make_pack")]
    pack_recipients: Vec<String>,
    /// Days that the pack may be used
    #[arg(long, value_name = "N", default_value_t = 30, requires = "make_pack")]
    pack_days: u64,
}

/// How to tell.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
struct ReportOptions {
    /// One JSON object a line
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// SARIF 2.1.0, for code hosting
    #[arg(long)]
    sarif: bool,
    /// Findings that are known and wait for their end, each with a reason and a last day
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Leave out what this file lists
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write down everything that is found now
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,
}

impl Scan {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let allow = self.report.allow.as_deref().map(allow::Allow::read).transpose()?;
        let baseline = self.report.baseline.as_deref().map(baseline::Baseline::read).transpose()?;
        let keys = scopes::trusted(&self.trusted_keys, self.all)?;
        let collected = known::collect(context, &self.needles)?;
        if let Some(file) = &self.needles.make_pack {
            return packs::make(context, &self.needles, file, collected);
        }
        let pack = packs::Loaded::read(context, &self.needles)?;
        let memory = self.memory();
        let identity =
            memory.as_ref().map(|memory| known::identity(&collected, memory.key(), &self.needles));
        let (needles, not_searched) = Needles::of(collected.known);
        let has_entries = pack.as_ref().is_some_and(|loaded| !loaded.pack.is_empty());
        if needles.is_empty() && !self.needles.heuristics && !has_entries {
            return Err(known::nothing(&collected.closed, &collected.failed, &not_searched).into());
        }
        let matcher = Matcher::new(&needles, self.needles.heuristics);
        let limits = self.limits();
        let places = scopes::store(&self.places);
        let sets = identity.map(|identity| scopes::Sets::new(&identity, limits, &places, &keys));
        let (clean, verified) = self.remembered(memory.as_ref(), sets.as_ref());
        let filter = Filter { keys: &keys, clean: &clean, verified: &verified };
        let plan = scopes::plan(context, &self.paths, &self.places, &places, &filter)?;
        let pack_of = pack.as_ref().map(|loaded| (&loaded.pack, &loaded.key));
        let wanted = Wanted { matcher: &matcher, pack: pack_of };
        let mut shared = Shared::new(wanted, limits);
        shared.siblings = self.needles.heuristics.then_some(&collected.siblings);
        let mut walked = self.walk(&shared, &plan);
        if let Some(nar) = &self.places.nar {
            scopes::stream(nar, &shared, &mut walked)?;
        }
        if self.places.staged {
            staged::look(context, &shared, &mut walked)?;
        }
        if let (Some(memory), Some(sets)) = (&memory, &sets) {
            // With `--all` nothing was loaded, and the rest is to stay.
            let clean = if self.all { memory.load(&sets.clean) } else { clean };
            Self::remember(memory, sets, &plan, clean);
        }
        let key = baseline.as_ref().map(baseline::Baseline::key);
        // what is written down for others has a key of its own
        let own = memory.as_ref().filter(|_| self.report.write_baseline.is_none());
        let key = key.or(own.map(Memory::key).copied());
        let mut told = Told::new(plan, walked, (&needles, pack.as_ref()), &places, key)?;
        told.not_searched = not_searched;
        told.closed = collected.closed;
        told.failed.extend(collected.failed);
        told.judge(allow.as_ref(), baseline.as_ref());
        hide::hide(&mut told, wanted);
        if let Some(file) = &self.report.write_baseline {
            baseline::write(file, &told)?;
        }
        let text = if self.report.json {
            machine::lines(&told)
        } else if self.report.sarif {
            sarif::document(&told)
        } else {
            people::report(&told)
        };
        ui::print(&text).map_err(|error| ui::stdout_failure(&error))?;
        if !self.report.json && !self.report.sarif {
            people::summary(&told);
        }
        if told.incomplete().next().is_some() {
            return Err(people::not_complete(&told).into());
        }
        Ok(if told.has_new() { Done::Found } else { Done::Clean })
    }

    fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            depth: self.max_depth.unwrap_or(usual.depth),
            bytes: self.max_expanded.map_or(usual.bytes, |mib| mib.saturating_mul(1 << 20)),
            ratio: self.max_ratio.unwrap_or(usual.ratio),
        }
    }

    fn memory(&self) -> Option<Memory> {
        let folder = match &self.memory {
            Some(folder) if folder.as_os_str() == "none" => return None,
            Some(folder) => folder.clone(),
            None => scopes::memory_folder()?,
        };
        Memory::open(&folder)
            .inspect_err(|error| {
                let folder = shown(&folder);
                say(&format!("warning: nothing is remembered in `{folder}`: {error}"));
            })
            .ok()
    }

    fn remembered(&self, memory: Option<&Memory>, sets: Option<&scopes::Sets>) -> (Marks, Marks) {
        match (memory, sets) {
            (Some(memory), Some(sets)) if !self.all => {
                (memory.load(&sets.clean), memory.load(&sets.verified))
            }
            _ => (Marks::default(), Marks::default()),
        }
    }

    fn walk(&self, shared: &Shared<'_>, plan: &Plan) -> Walked {
        let counters = Arc::new(Counters::default());
        let watch = watch::Watch::start(&counters, plan.roots.len());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or(processors);
        let walked = walk(shared, plan.roots.clone(), threads, &counters);
        watch.stop();
        walked
    }

    fn remember(memory: &Memory, sets: &scopes::Sets, plan: &Plan, mut marks: Marks) {
        let before = marks.len();
        let clean = plan.roots.iter().filter(|root| root.is_clean());
        marks.extend(clean.filter_map(|root| plan.about.get(root.tag)?.mark));
        // what is in a path of the store may be an orphan the next time, and neither folder changes
        if plan.roots.iter().all(|root| root.is_clean()) {
            marks.extend(plan.links);
        }
        let mut stored = Ok(());
        if marks.len() > before {
            // What is gone from the store is forgotten when it has become too much.
            if marks.len() > MOST_MARKS {
                let present: Marks = plan.present.iter().copied().collect();
                marks.retain(|mark| present.contains(mark));
            }
            stored = memory.store(&sets.clean, &marks);
        }
        if !plan.verified.is_empty() {
            stored = stored.and_then(|()| memory.add(&sets.verified, &plan.verified));
        }
        if let Err(error) = stored {
            say(&format!("warning: what was looked through is not remembered: {error}"));
        }
    }
}

/// More store paths than any store has.
const MOST_MARKS: usize = 4_000_000;

/// The failure of a file that an option names.
fn option_file(option: &str, file: &std::path::Path, why: &str) -> Failure {
    Failure::new(format!("cannot use `{option} {}`: {why}", shown(file)))
}
