//! From a manifest and opened values to what is put in place, store by store. Pure: decides and does
//! nothing. A secret that cannot be had does not hold up the others: its last good value stays.

use super::accounts::Accounts;
use super::manifest::{self, Manifest, Mode, Owner, Secret, Template, Unit, paths};
use super::target::{Content, Piece, StoreSpec, Target};
use super::template::{TemplateError, Wanted};
use super::values::{self, ValueProblem, Values, When, Work};
use super::{Name, OpenProblem};
use crate::plaintext::Plaintext;

/// What is to be decided about.
pub struct Request<'a, 'm> {
    /// The manifest.
    pub manifest: &'m Manifest,
    /// What this phase installs.
    pub work: &'a Work<'m>,
    /// The values.
    pub values: &'a Values<'m>,
    /// The phase.
    pub when: When,
    /// Who knows users and groups; `None` where everything is root's.
    pub accounts: Option<&'a dyn Accounts>,
}

/// What is to be done.
pub struct Plan<'a, 'm> {
    /// Each store of the phase.
    pub stores: Vec<StorePlan<'m>>,
    /// What cannot be done.
    pub problems: Vec<PlanProblem<'a, 'm>>,
    /// What only a key service opens, and is left to the run that asks it.
    pub waiting: Vec<Subject<'m>>,
    /// Owners that are not known yet.
    pub deferred: Vec<Deferred<'m>>,
}

/// What is to be done in one store.
pub struct StorePlan<'m> {
    /// The name of the store.
    pub name: &'m str,
    /// Where it lies.
    pub target: Target,
    /// What is to be in it.
    pub pieces: Vec<Piece>,
}

/// A secret or template that is not installed anew.
pub struct PlanProblem<'a, 'm> {
    /// Which.
    pub what: Subject<'m>,
    /// Why.
    pub why: Why<'a, 'm>,
}

/// A secret or a template.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'m> {
    /// A secret.
    Secret(&'m Secret),
    /// A template.
    Template(&'m Template),
}

/// Why something is not installed anew.
#[derive(Debug)]
pub enum Why<'a, 'm> {
    /// Its source was not opened, which [`super::Opened`] tells more of.
    Source,
    /// A key service has to be asked for it, which is done when there is a network.
    Network,
    /// What comes behind opening failed.
    Value(&'a ValueProblem),
    /// The template cannot be filled in.
    Render(TemplateError),
    /// The system knows no such user.
    NoUser(&'m str),
    /// The system knows no such group.
    NoGroup(&'m str),
}

/// A secret that is left to root until its owner is known.
#[derive(Debug, Clone, Copy)]
pub struct Deferred<'m> {
    /// The secret or template; `None` where it is the folder of the store.
    pub what: Option<Subject<'m>>,
    /// The store.
    pub store: &'m str,
    /// The user or group.
    pub owner: &'m str,
}

impl<'m> Subject<'m> {
    /// Its name in its store.
    pub fn name(&self) -> &'m Name {
        match self {
            Self::Secret(one) => &one.name,
            Self::Template(one) => &one.name,
        }
    }

    /// Its store.
    pub fn store(&self) -> &'m str {
        match self {
            Self::Secret(one) => &one.store,
            Self::Template(one) => &one.store,
        }
    }

    /// Whether a run without it fails.
    pub fn required(&self) -> bool {
        match self {
            Self::Secret(one) => one.required,
            Self::Template(one) => one.required,
        }
    }

    fn owners(&self) -> (&'m Owner, &'m Owner) {
        match self {
            Self::Secret(one) => (&one.owner, &one.group),
            Self::Template(one) => (&one.owner, &one.group),
        }
    }

    fn piece(&self, content: Content, (uid, gid): (u32, u32)) -> Piece {
        let (name, mode, links, copies, restart, reload) = match self {
            Self::Secret(one) => (
                &one.name,
                one.mode,
                &one.links,
                &one.copies,
                &one.restart_units,
                &one.reload_units,
            ),
            Self::Template(one) => (
                &one.name,
                one.mode,
                &one.links,
                &one.copies,
                &one.restart_units,
                &one.reload_units,
            ),
        };
        let names = |units: &[Unit]| units.iter().map(|unit| unit.as_str().to_owned()).collect();
        Piece {
            name: name.clone(),
            content,
            uid,
            gid,
            mode: mode.0,
            links: paths(links),
            copies: paths(copies),
            restart: names(restart),
            reload: names(reload),
        }
    }
}

/// The stores of a phase.
pub fn targets<'m>(
    manifest: &'m Manifest,
    when: When,
    accounts: Option<&dyn Accounts>,
) -> Vec<(&'m str, Target)> {
    let now = manifest.stores.iter().filter(|(_, store)| when.fills(store.phase));
    now.map(|(name, store)| {
        let group = folder_group(manifest, store, accounts).unwrap_or(0);
        (name.as_str(), target(manifest, store, group))
    })
    .collect()
}

/// The group of the folders of a store; `None` where it is not known.
fn folder_group(
    manifest: &Manifest,
    store: &manifest::Store,
    accounts: Option<&dyn Accounts>,
) -> Option<u32> {
    let Some(accounts) = accounts.filter(|_| manifest.mode == Mode::System) else {
        return Some(0);
    };
    match &store.group {
        Owner::Number(number) => Some(*number),
        Owner::Name(group) => accounts.group(group),
    }
}

/// Decides.
pub fn plan<'a, 'm>(request: &Request<'a, 'm>) -> Plan<'a, 'm> {
    let mut plan = Plan {
        stores: Vec::new(),
        problems: Vec::new(),
        waiting: Vec::new(),
        deferred: Vec::new(),
    };
    for (name, store) in &request.manifest.stores {
        // Root's where the group is not known: everybody may pass through the folders anyway.
        let early = request.when == When::Early;
        let unknown = folder_group(request.manifest, store, request.accounts).is_none();
        if let Owner::Name(owner) = &store.group
            && request.when.fills(store.phase)
            && unknown
            && !early
        {
            plan.deferred.push(Deferred { what: None, store: name, owner });
        }
    }
    for (name, target) in targets(request.manifest, request.when, request.accounts) {
        plan.stores.push(StorePlan { name, target, pieces: Vec::new() });
    }
    for secret in &request.work.secrets {
        let value = request.values.value(secret).map(values::copy);
        let what = Subject::Secret(secret);
        let unopened = || if request.waits(what, secret) { Why::Network } else { Why::Source };
        let value = value.map_err(|why| why.map_or_else(unopened, Why::Value));
        plan.add(request, what, value);
    }
    for (template, parsed) in &request.work.templates {
        let what = Subject::Template(template);
        let waits = |wanted: Wanted| {
            let secret = request.manifest.secret(&wanted.store, &wanted.name);
            secret.is_some_and(|secret| request.waits(what, secret))
        };
        let value = match parsed {
            Ok(parsed) if parsed.wanted().any(waits) => Err(Why::Network),
            Ok(parsed) => {
                let find = |store: &str, name: &Name| {
                    let secret = request.manifest.secret(store, name)?;
                    request.values.value(secret).ok()
                };
                parsed.render(find).map_err(Why::Render)
            }
            Err(problem) => Err(Why::Value(problem)),
        };
        plan.add(request, what, value);
    }
    plan
}

impl<'m> Request<'_, 'm> {
    /// Whether something waits for a secret that a key service has to open.
    fn waits(&self, what: Subject<'m>, secret: &'m Secret) -> bool {
        let store = self.manifest.stores.get(what.store());
        store.is_some_and(|store| self.when.may_wait(self.manifest, store.phase))
            && matches!(self.values.value(secret), Err(None))
            && self.values.opened.value(&secret.source()).is_err_and(OpenProblem::awaits_service)
    }
}

impl<'a, 'm> Plan<'a, 'm> {
    fn add(
        &mut self,
        request: &Request<'a, 'm>,
        what: Subject<'m>,
        value: Result<Plaintext, Why<'a, 'm>>,
    ) {
        let owners = self.owners(request, what);
        let (content, owners) = match (value, owners) {
            (Ok(value), Ok(owners)) => (Content::Bytes(value), owners),
            (Err(Why::Network), Ok(owners)) => {
                self.waiting.push(what);
                (Content::Keep, owners)
            }
            (Err(why), Ok(owners)) => {
                self.problems.push(PlanProblem { what, why });
                (Content::Keep, owners)
            }
            // Whatever access it gives today, it goes on giving.
            (value, Err(why)) => {
                let other = value.err().filter(|why| !matches!(why, Why::Network));
                self.problems.extend(other.map(|why| PlanProblem { what, why }));
                self.problems.push(PlanProblem { what, why });
                (Content::KeepAsIs, (0, 0))
            }
        };
        let store = self.stores.iter_mut().find(|store| store.name == what.store());
        if let Some(store) = store {
            store.pieces.push(what.piece(content, owners));
        }
    }

    /// The numbers of owner and group.
    fn owners(
        &mut self,
        request: &Request<'a, 'm>,
        what: Subject<'m>,
    ) -> Result<(u32, u32), Why<'a, 'm>> {
        let Some(accounts) = request.accounts.filter(|_| request.manifest.mode == Mode::System)
        else {
            return Ok((0, 0));
        };
        let (owner, group) = what.owners();
        let early = request.when == When::Early;
        let mut number = |owner: &'m Owner, found: &dyn Fn(&str) -> Option<u32>| match owner {
            Owner::Number(number) => Ok(*number),
            Owner::Name(name) => match found(name) {
                Some(number) => Ok(number),
                None if early => {
                    let deferred = Deferred { what: Some(what), store: what.store(), owner: name };
                    self.deferred.push(deferred);
                    Ok(0)
                }
                None => Err(name.as_str()),
            },
        };
        let user = number(owner, &|name| accounts.user(name)).map_err(Why::NoUser)?;
        let group = number(group, &|name| accounts.group(name)).map_err(Why::NoGroup)?;
        Ok((user, group))
    }
}

fn target(manifest: &Manifest, store: &manifest::Store, gid: u32) -> Target {
    let spec = StoreSpec {
        mount_point: store.mount_point.as_path().to_owned(),
        link: store.link.as_path().to_owned(),
        filesystem: store.filesystem.carried_out(),
        allow_swap: store.allow_swap,
        allow_disk: store.allow_disk,
        keep: store.keep_generations,
        mode: store.mode.0,
        gid,
    };
    Target { store: spec, system: manifest.mode == Mode::System, lasting: None }
}

#[cfg(test)]
mod tests;
