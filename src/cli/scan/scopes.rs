//! Where to look: options and the environment of Nix to roots of a walk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::context::{Context, variable};
use super::super::explain::Failure;
use super::super::ui::shown;
use super::{PlaceOptions, option_file};
use crate::scan::cause::Scope;
use crate::scan::dig::{Digger, Shared};
use crate::scan::finding::Finding;
use crate::scan::gap::{Gap, Limits, Why};
use crate::scan::plan::{Filter, Plan, closure, list, outputs_of};
use crate::scan::signature::{CACHE_NIXOS_ORG, TrustedKey};
use crate::scan::store::{self, Places, top};
use crate::scan::walk::Walked;

/// The keys of caches that are trusted.
pub(super) fn trusted(more: &[String], all: bool) -> Result<Vec<TrustedKey>, Failure> {
    if all {
        return Ok(Vec::new());
    }
    let texts = std::iter::once(CACHE_NIXOS_ORG).chain(more.iter().map(String::as_str));
    let parse = |text: &str| {
        TrustedKey::parse(text).map_err(|error| {
            // What is no public key may be a secret one, which is not to be repeated.
            Failure::new(format!("cannot use a `--trusted-key`: {error}"))
                .hint("it is `NAME:BASE64`, as in `trusted-public-keys` of nix.conf")
        })
    };
    texts.map(parse).collect()
}

/// The store that the options or the environment of Nix name.
pub(super) fn store(options: &PlaceOptions) -> Places {
    let named = options.store.clone().flatten();
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = named {
        let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
        return Places::of(&folder, None, None);
    }
    let folder = absolute("NIX_STORE_DIR").unwrap_or_else(|| PathBuf::from("/nix/store"));
    Places::of(&folder, absolute("NIX_STATE_DIR"), absolute("NIX_LOG_DIR"))
}

/// Where it is remembered what was looked through.
pub(super) fn memory_folder() -> Option<PathBuf> {
    let state = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = state {
        return Some(state.join("secretctl/scan"));
    }
    if let Some(state) = variable("STATE_DIRECTORY").map(PathBuf::from) {
        return Some(state);
    }
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/secretctl/scan"));
    }
    variable("HOME").map(|home| PathBuf::from(home).join(".local/state/secretctl/scan"))
}

/// The names of what is remembered.
pub(super) struct Sets {
    /// What was looked through, for these needles and this store.
    pub(super) clean: String,
    /// Signatures, for these trusted keys.
    pub(super) verified: String,
}

impl Sets {
    pub(super) fn new(
        needles: &[u8; 32],
        limits: Limits,
        places: &Places,
        keys: &[TrustedKey],
    ) -> Self {
        let keys: Vec<String> = keys.iter().map(TrustedKey::text).collect();
        let verified = Sha256::digest(keys.join("\n"));
        Self {
            clean: clean(needles, limits, places, env!("CARGO_PKG_VERSION"), ENGINE),
            verified: format!("signed-{:.32}", hex::encode(verified)),
        }
    }
}

/// What another program, or another engine in it, has looked through is in a set of another name.
fn clean(
    needles: &[u8; 32],
    limits: Limits,
    places: &Places,
    version: &str,
    engine: u64,
) -> String {
    let mut hash = Sha256::new();
    hash.update(needles);
    hash.update(version);
    for number in [limits.depth as u64, limits.bytes, limits.ratio, engine] {
        hash.update(number.to_le_bytes());
    }
    hash.update(places.folder.as_os_str().as_encoded_bytes());
    format!("clean-{:.32}", hex::encode(hash.finalize()))
}

/// The roots that the options name; the store where they name none.
pub(super) fn plan(
    context: &Context,
    paths: &[PathBuf],
    options: &PlaceOptions,
    places: &Places,
    filter: &Filter<'_>,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let nothing_named = paths.is_empty()
        && options.closure.is_empty()
        && options.logs.is_none()
        && options.eval_cache.is_none()
        && options.boot.is_none()
        && options.cache.is_empty()
        && options.nar.is_none()
        && !options.staged
        && !options.post_build_hook;
    if options.store.is_some() && options.closure.is_empty() || nothing_named {
        plan.add_store(places, None, filter);
    }
    if !options.closure.is_empty() {
        let names = closure_names(&options.closure, places, &mut plan)?;
        plan.add_store(places, Some(names), filter);
    }
    if options.post_build_hook {
        let names = built(places)?;
        plan.add_store(places, Some(names), filter);
    }
    if let Some(folder) = &options.logs {
        let folder = folder.as_deref().map(real).transpose()?;
        plan.add_logs(folder.as_ref().unwrap_or(&places.logs), filter);
    }
    if let Some(folder) = &options.eval_cache {
        let folders = match folder {
            Some(folder) => vec![folder.clone()],
            None => eval_caches(&mut plan.failed),
        };
        for folder in folders {
            plan.add_folder(real(&folder)?, Scope::EvaluationCache);
        }
    }
    if let Some(folder) = &options.boot {
        let folder = folder.clone().unwrap_or_else(|| PathBuf::from("/boot"));
        plan.add_folder(real(&folder)?, Scope::Boot);
    }
    for folder in &options.cache {
        plan.add_cache(&real(folder)?, filter);
    }
    for path in paths {
        plan.add_plain(real(&context.here.join(path))?);
    }
    Ok(plan)
}

/// Links to what the user names are followed, and none after that.
fn real(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(path)
        .map_err(|error| Failure::new(format!("cannot look at `{}`: {error}", shown(path))))
}

/// The names of what a build has made, and of its derivation, by the environment of the hook.
fn built(places: &Places) -> Result<Vec<Vec<u8>>, Failure> {
    let listed = variable("OUT_PATHS").map(|list| list.to_string_lossy().into_owned());
    let listed = listed.unwrap_or_default();
    let mut paths: Vec<PathBuf> = listed.split_ascii_whitespace().map(PathBuf::from).collect();
    let drv = variable("DRV_PATH").map(PathBuf::from);
    if let Some(drv) = drv {
        // Nix 2.8 leaves the list of outputs empty.
        if paths.is_empty() {
            let outputs = outputs_of(&drv).map_err(|error| {
                Failure::new(format!("cannot tell what `{}` has made: {error}", shown(&drv)))
            })?;
            paths.extend(outputs);
        }
        paths.push(drv);
    }
    let name = |path: &PathBuf| {
        let name = top(&places.folder, path).map(|name| name.as_bytes().to_vec());
        name.ok_or_else(|| {
            let store = shown(&places.folder);
            Failure::new(format!("`{}` is not in the store `{store}`", shown(path)))
        })
    };
    let names: BTreeSet<Vec<u8>> = paths.iter().map(name).collect::<Result<_, _>>()?;
    let names: Vec<Vec<u8>> = names.into_iter().collect();
    if names.is_empty() {
        return Err(Failure::new("neither `OUT_PATHS` nor `DRV_PATH` is set")
            .hint("`--post-build-hook` is for the hook that Nix runs after a build"));
    }
    Ok(names)
}

/// The names of store paths and all that they refer to.
fn closure_names(
    paths: &[PathBuf],
    places: &Places,
    plan: &mut Plan,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut names = Vec::new();
    let folder = std::fs::canonicalize(&places.folder).unwrap_or_else(|_| places.folder.clone());
    for path in paths {
        let real = real(path)?;
        let name = top(&folder, &real).ok_or_else(|| {
            let what = format!("`{}` is not in the store `{}`", shown(path), shown(&places.folder));
            Failure::new(what).hint("name a store path, or a link to one such as `result`")
        })?;
        names.push(name.to_owned());
    }
    let unknown = |error: io::Error| {
        let database = places.state.join("db/db.sqlite");
        let database = shown(&database);
        Failure::new(format!("cannot tell what the paths refer to: `{database}`: {error}"))
    };
    let known = store::known(places).map_err(unknown)?;
    for name in &names {
        if known.of(name).is_none() {
            let what = format!("`{}/{name}` is no valid path of the store", shown(&places.folder));
            return Err(Failure::new(what).hint("look at it alone: `secretctl scan PATH`"));
        }
    }
    let references = store::references(places).map_err(unknown)?;
    let names = closure(&known, &references, &names);
    plan.known = Some(known);
    Ok(names)
}

/// The evaluation caches of this user, or of everybody. What cannot be listed goes to `failed`.
fn eval_caches(failed: &mut Vec<(PathBuf, String)>) -> Vec<PathBuf> {
    let mut list = |folder: &Path| {
        list(folder, failed).unwrap_or_else(|error| {
            let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            if !absent.contains(&error.kind()) {
                failed.push((folder.to_owned(), error.to_string()));
            }
            Vec::new()
        })
    };
    // of Nix alone (2.34.8 heeds it), and of everything
    let mut caches: Vec<PathBuf> =
        variable("NIX_CACHE_HOME").map(PathBuf::from).into_iter().collect();
    caches.extend(variable("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("nix")));
    let mut homes: Vec<PathBuf> = variable("HOME").map(PathBuf::from).into_iter().collect();
    if rustix::process::geteuid().is_root() {
        homes.push(PathBuf::from("/root"));
        homes.extend(list(Path::new("/home")));
    }
    caches.extend(homes.into_iter().map(|home| home.join(".cache/nix")));
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("eval-cache"))
    };
    let found: BTreeSet<PathBuf> =
        caches.iter().flat_map(|cache| list(cache)).filter(is_ours).collect();
    found.into_iter().collect()
}

/// Looks through a stream.
pub(super) fn stream(nar: &Path, shared: &Shared<'_>, walked: &mut Walked) -> Result<(), Failure> {
    let mut source: Box<dyn Read> = if nar.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(nar).map_err(|e| option_file("--nar", nar, &e.to_string()))?;
        Box::new(opened)
    };
    let name =
        if nar.as_os_str() == "-" { PathBuf::from("standard input") } else { nar.to_owned() };
    let mut digger = Digger::new(shared);
    let (read, found, gaps) = digger.file(&mut source, None);
    walked.files = walked.files.saturating_add(1);
    walked.bytes = walked.bytes.saturating_add(read.as_ref().copied().unwrap_or_default());
    walked.gaps.extend(gaps.into_iter().map(|gap| (name.clone(), gap)));
    if let Err(error) = read {
        let why = Why::Unreadable(error.to_string());
        walked.gaps.push((name.clone(), Gap { chain: Vec::new(), why }));
    }
    if !digger.met_nar() {
        let why = "no whole NAR came, as `nix-store --dump` makes one".to_owned();
        walked.gaps.push((name.clone(), Gap { chain: Vec::new(), why: Why::Unreadable(why) }));
    }
    for dug in found {
        walked.findings.push(Finding::of(dug, &name));
    }
    Ok(())
}

/// Raised when what is looked at inside of files changes.
const ENGINE: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_for_one_set_of_needles_limits_store_version_and_engine() {
        let usual = Limits::default();
        let [store, other] =
            ["/nix/store", "/a/store"].map(|folder| Places::of(Path::new(folder), None, None));
        let deep = Limits { depth: 13, ..usual };
        let names = [
            clean(&[0; 32], usual, &store, "1.0.0", 3),
            clean(&[1; 32], usual, &store, "1.0.0", 3),
            clean(&[0; 32], deep, &store, "1.0.0", 3),
            clean(&[0; 32], usual, &other, "1.0.0", 3),
            clean(&[0; 32], usual, &store, "1.0.1", 3),
            clean(&[0; 32], usual, &store, "1.0.0", 4),
        ];
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let now = Sets::new(&[0; 32], usual, &store, &[]).clean;
        assert_eq!(now, clean(&[0; 32], usual, &store, env!("CARGO_PKG_VERSION"), ENGINE));
    }
}
