//! Findings with all that is known around them: cause, derivation, root, the keyed name of each.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::super::explain::Failure;
use super::allow::{Allow, Verdict};
use super::baseline::Baseline;
use super::packs::Loaded;
use super::words::shape_word;
use crate::process::capture::capture;
use crate::scan::cause::{self, Cause, Scope};
use crate::scan::finding::{Finding, Inside, Step};
use crate::scan::gap::Gap;
use crate::scan::matcher::What;
use crate::scan::needle::{Needles, NotSearched, Origin};
use crate::scan::pack::PackId;
use crate::scan::plan::Plan;
use crate::scan::roots::{Chain, Roots};
use crate::scan::store::{self, Places, human_name, top};
use crate::scan::walk::Walked;

/// What was found, as the report names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A value of these secret files.
    Value(Vec<Origin>),
    /// A shape.
    Shape(crate::scan::shape::ShapeKind, crate::scan::shape::Severity),
    /// An entry of a pack, which only its maker can name.
    Fingerprint(PackId),
    /// The plaintext of this file, by its name and keys.
    Sibling(PathBuf),
}

/// A finding with all that is known around it.
#[derive(Debug)]
pub(super) struct Leak {
    /// What.
    pub(super) found: Found,
    /// Where.
    pub(super) finding: Finding,
    /// The name of the store path.
    pub(super) store_name: Option<String>,
    /// How it came there, probably.
    pub(super) cause: Cause,
    /// The derivation that made the store path.
    pub(super) deriver: Option<String>,
    /// What keeps the store path.
    pub(super) chain: Option<Chain>,
    /// A name that stays the same, and from which nothing follows without the key.
    pub(super) id: String,
    /// Whether it counts.
    pub(super) verdict: Verdict,
}

/// Everything that a run has come to.
pub(super) struct Told {
    /// Sorted by place.
    pub(super) leaks: Vec<Leak>,
    /// What was not looked at, and whether that is allowed.
    pub(super) gaps: Vec<(PathBuf, Gap, Verdict)>,
    /// Places that could not be listed.
    pub(super) failed: Vec<(PathBuf, String)>,
    /// Parts of secrets that are not looked for.
    pub(super) not_searched: Vec<NotSearched>,
    /// Secret files that were not opened, with the reason.
    pub(super) closed: Vec<(String, String)>,
    /// What else the user should know.
    pub(super) notes: Vec<String>,
    /// Secrets that were looked for.
    pub(super) secrets: usize,
    /// Files, bytes; signed paths and bytes; paths that were looked through before.
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) signed: crate::scan::plan::Signed,
    pub(super) remembered: u64,
    /// The key of the names.
    pub(super) key: [u8; 32],
}

impl Told {
    /// Finds out what is around each finding.
    pub(super) fn new(
        plan: Plan,
        walked: Walked,
        (needles, pack): (&Needles, Option<&Loaded>),
        places: &Places,
        key: Option<[u8; 32]>,
    ) -> Result<Self, Failure> {
        let key = match key {
            Some(key) => key,
            None => random_key()?,
        };
        let mut surroundings = Surroundings::new(&plan, places);
        let mut leaks: Vec<Leak> = Vec::new();
        for finding in walked.findings {
            let found = match finding.what {
                Some(What::Needle(id)) => Found::Value(needles.origins(id).to_vec()),
                Some(What::Shape(kind, severity)) => Found::Shape(kind, severity),
                Some(What::Fingerprint(id)) => {
                    let origins = pack.map(|pack| pack.origins(id)).unwrap_or_default();
                    if origins.is_empty() { Found::Fingerprint(id) } else { Found::Value(origins) }
                }
                None => continue,
            };
            leaks.push(surroundings.leak(found, finding, &key));
        }
        for (finding, encrypted) in walked.siblings {
            leaks.push(surroundings.leak(Found::Sibling(encrypted), finding, &key));
        }
        leaks.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut gaps: Vec<_> =
            walked.gaps.into_iter().map(|(path, gap)| (path, gap, Verdict::New)).collect();
        // by bytes: there may be very many
        gaps.sort_by(|a, b| (a.0.as_os_str(), &a.1.chain).cmp(&(b.0.as_os_str(), &b.1.chain)));
        Ok(Self {
            leaks,
            gaps,
            failed: plan.failed,
            not_searched: Vec::new(),
            closed: Vec::new(),
            notes: plan.notes,
            secrets: needles.len().saturating_add(pack.map_or(0, |loaded| loaded.pack.len())),
            files: walked.files,
            bytes: walked.bytes,
            signed: plan.signed,
            remembered: plan.remembered,
            key,
        })
    }

    /// Says of each finding and gap whether it counts.
    pub(super) fn judge(&mut self, allow: Option<&Allow>, baseline: Option<&Baseline>) {
        for leak in &mut self.leaks {
            if baseline.is_some_and(|baseline| baseline.has(&leak.id)) {
                leak.verdict = Verdict::Known;
            } else if let Some(allow) = allow {
                leak.verdict = allow.of_leak(leak);
            }
        }
        for (path, gap, verdict) in &mut self.gaps {
            if let Some(allow) = allow {
                *verdict = allow.of_gap(path, gap);
            }
        }
    }

    /// Findings that count.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Leak> {
        self.leaks.iter().filter(|leak| leak.verdict.counts())
    }

    /// Whether something was found that counts.
    pub(super) fn has_new(&self) -> bool {
        self.counted().next().is_some()
    }

    /// What was not looked at, and is not allowed to be left out.
    pub(super) fn incomplete(&self) -> impl Iterator<Item = Missed<'_>> {
        let gaps = self.gaps.iter().filter(|(_, _, verdict)| verdict.counts());
        let gaps = gaps.map(|(path, gap, _)| Missed { path, chain: &gap.chain, why: &gap.why });
        let failed = self.failed.iter().map(|(path, why)| Missed { path, chain: &[], why });
        failed.chain(gaps)
    }
}

/// Something that was not looked at.
pub(super) struct Missed<'a> {
    path: &'a Path,
    chain: &'a [Step],
    /// Why.
    pub(super) why: &'a dyn Display,
}

impl Missed<'_> {
    /// Where it is.
    pub(super) fn place(&self) -> String {
        format!("{}{}", self.path.display(), Inside(self.chain))
    }
}

fn order(leak: &Leak) -> (bool, Option<&PathBuf>, &[Step], u64) {
    let finding = &leak.finding;
    (finding.weak, finding.files.first(), &finding.chain, finding.offset)
}

/// What is asked about findings, once for each store path.
struct Surroundings<'a> {
    plan: &'a Plan,
    places: &'a Places,
    roots: Option<(Roots, store::Pairs)>,
    derivers: BTreeMap<String, Option<String>>,
    chains: BTreeMap<String, Option<Chain>>,
}

impl<'a> Surroundings<'a> {
    fn new(plan: &'a Plan, places: &'a Places) -> Self {
        let (derivers, chains) = (BTreeMap::new(), BTreeMap::new());
        Self { plan, places, roots: None, derivers, chains }
    }

    fn leak(&mut self, found: Found, finding: Finding, key: &[u8; 32]) -> Leak {
        let about = self.plan.about.get(finding.root);
        let path = finding.files.first().cloned().unwrap_or_default();
        let here = top(&self.places.folder, &path).map(str::to_owned);
        let store_name = here.clone().or_else(|| about.and_then(|about| about.store_name.clone()));
        let scope = match about.map(|about| about.scope) {
            // A path of the store that the user names is one all the same.
            Some(Scope::Plain) if here.is_some() => Scope::Store { registered: true },
            Some(scope) => scope,
            None => Scope::Plain,
        };
        let inner =
            here.as_ref().and_then(|name| path.strip_prefix(self.places.folder.join(name)).ok());
        let inner = inner.unwrap_or(Path::new("")).to_owned();
        let cause = cause::of(scope, store_name.as_deref(), &inner, &finding.chain);
        let (deriver, chain) = match &here {
            Some(name) => (self.deriver(name), self.chain(name)),
            None if scope == Scope::Log => (self.deriver_of_log(&path), None),
            None => (None, None),
        };
        let id = id(key, &found, store_name.as_deref(), &inner, &path, &finding);
        Leak { found, finding, store_name, cause, deriver, chain, id, verdict: Verdict::New }
    }

    fn deriver(&mut self, name: &str) -> Option<String> {
        if let Some(known) = self.derivers.get(name) {
            return known.clone();
        }
        let known = self.plan.known.as_ref().and_then(|known| known.of(name));
        let deriver = match known {
            Some(registered) => registered.deriver.map(str::to_owned),
            None => self.ask(name, "--deriver").into_iter().next(),
        };
        let deriver = deriver.filter(|deriver| deriver != "unknown-deriver");
        self.derivers.insert(name.to_owned(), deriver.clone());
        deriver
    }

    /// A log is named like its derivation, in a folder of the first two letters.
    fn deriver_of_log(&self, log: &Path) -> Option<String> {
        let folder = log.parent()?.file_name()?.to_str()?;
        let rest = log.file_name()?.to_str()?.trim_end_matches(".bz2");
        let name = format!("{folder}{rest}");
        let logical = self.plan.known.as_ref().map(|known| known.logical.clone());
        let logical = logical.filter(|logical| !logical.is_empty());
        let store = logical.unwrap_or_else(|| self.places.folder.to_string_lossy().into_owned());
        store::is_derivation(&name).then(|| format!("{store}/{name}"))
    }

    /// The shortest chain by the database; where that cannot be read, the root that Nix tells.
    fn chain(&mut self, name: &str) -> Option<Chain> {
        if let Some(known) = self.chains.get(name) {
            return known.clone();
        }
        let chain = match &self.plan.known {
            Some(known) if !known.is_empty() => {
                let places = self.places;
                let (roots, referrers) = self.roots.get_or_insert_with(|| {
                    let references = store::references(places).unwrap_or_default();
                    (Roots::read(places, &known.logical), references.turned())
                });
                roots.chain(known, referrers, name)
            }
            Some(_) | None => None,
        };
        let chain = chain.or_else(|| {
            let root = self.ask(name, "--roots").into_iter().next()?;
            let (root, _) = root.split_once(" -> ").unwrap_or((&root, ""));
            Some(Chain { root: root.into(), paths: vec![name.to_owned()] })
        });
        self.chains.insert(name.to_owned(), chain.clone());
        chain
    }

    /// Asks Nix about a store path, where it is there; a few times, since each takes a while.
    fn ask(&self, name: &str, question: &str) -> Vec<String> {
        if self.derivers.len() > MOST_QUESTIONS || self.places.folder != Path::new("/nix/store") {
            return Vec::new();
        }
        let path = self.places.folder.join(name);
        let arguments: [OsString; 3] = ["--query".into(), question.into(), path.into_os_string()];
        let program = OsStr::new("nix-store");
        let output = capture(Path::new("/"), program, &arguments, PATIENCE, LONGEST_ANSWER);
        let output = output.ok().filter(|output| output.status.success());
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// The name of a finding: it survives a new build of the same thing, and says nothing of the value.
fn id(
    key: &[u8; 32],
    found: &Found,
    store_name: Option<&str>,
    inner: &Path,
    path: &Path,
    finding: &Finding,
) -> String {
    let mut parts = Vec::new();
    match found {
        Found::Value(origins) => {
            for origin in origins {
                parts.extend([origin.file.clone(), origin.key_path.clone()]);
            }
        }
        Found::Shape(kind, _) => parts.push(shape_word(*kind)),
        Found::Fingerprint(id) => parts.push(id.to_string()),
        Found::Sibling(_) => parts.push("sibling".to_owned()),
    }
    match store_name {
        Some(name) => {
            parts.extend([human_name(name).to_owned(), inner.to_string_lossy().into_owned()]);
        }
        None => parts.push(path.to_string_lossy().into_owned()),
    }
    for step in &finding.chain {
        parts.push(match step {
            Step::Packed(kind) => kind.word().to_owned(),
            Step::Member(_, name) => String::from_utf8_lossy(name).into_owned(),
        });
    }
    parts.push(finding.form.words().to_owned());
    name_of(key, &parts)
}

fn name_of(key: &[u8; 32], parts: &[String]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    format!("{:.20}", hex::encode(mac.finalize().into_bytes()))
}

/// A key for the names of one run.
pub(super) fn random_key() -> Result<[u8; 32], Failure> {
    let mut key = [0; 32];
    crate::fsx::fill_random(&mut key)
        .map_err(|error| Failure::new(format!("the system gives no random bytes: {error}")))?;
    Ok(key)
}

const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST_ANSWER: usize = 1 << 20;
const MOST_QUESTIONS: usize = 50;
