//! Wraps the data keys of many files for their readers: a plan for all files first, then every
//! plugin and every key of `gpg` is used, and last, where all went well, the metadata change.
//!
//! What a file holds already for a key stays bit for bit while the data key is the same. The same
//! goes for shares: with the shares that opened the file, that of any of its groups is known, so
//! that a new key of a group gets the share that the others have.

use std::sync::Arc;
use std::{fmt, io};

use age_core::format::FileKey;
use rayon::prelude::*;

use super::DataKey;
use crate::format::age::{self, AgeError};
use crate::format::sops::metadata::{Metadata, WrappedKey};
use crate::format::sops::shamir::{self, ShamirError};
use crate::key::pgp::{Pgp, PgpError};
use crate::key::service::{ServiceError, Services, ToWrap, Wrapped};
use crate::key::wrap::{Request, WrapError, wrap_all};
use crate::key::wrapping::WrappingKey;
use crate::key::{Plugins, Recipient};
use crate::plaintext::Plaintext;

/// One file: its data key, and who is to get it.
pub struct Rewrap<'a> {
    /// What the file has; on success it gets the new groups and threshold.
    pub metadata: &'a mut Metadata,
    /// The data key.
    pub data_key: &'a DataKey,
    /// Whether it is another one than the metadata hold, so that nothing of that stays.
    pub fresh: bool,
    /// The groups of keys that are to hold it.
    pub groups: Vec<Vec<WrappingKey>>,
    /// How many groups are to be needed; `None` is all.
    pub threshold: Option<usize>,
}

/// Wraps the data keys of many files; the answers are in their order. `now` is RFC 3339.
///
/// Whether all can be wrapped is found out before any is; metadata change only where the answer is
/// `Ok`.
pub fn wrap(
    requests: Vec<Rewrap<'_>>,
    plugins: &Plugins<'_>,
    (pgp, services): (&Pgp, &Services),
    now: &str,
) -> Vec<Result<(), RewrapError>> {
    let plans: Vec<Result<Plan, RewrapError>> =
        requests.iter().map(|request| Plan::of(request, services)).collect();
    let mut jobs = Vec::new();
    for (file, plan) in plans.iter().enumerate() {
        let Ok(plan) = plan else { continue };
        for (group, places) in plan.groups.iter().enumerate() {
            for (place, what) in places.iter().enumerate() {
                let Place::New(key) = what else { continue };
                let Some(secret) = plan.secret(group, requests.get(file)) else { continue };
                jobs.push(Job { at: (file, group, place), key, secret });
            }
        }
    }
    let mut wrapped = wrap_jobs(&jobs, plugins, pgp, services);
    wrapped.sort_unstable_by_key(|(at, _)| *at);
    drop(jobs);
    let mut wrapped = wrapped.into_iter().peekable();
    let mut answers = Vec::with_capacity(requests.len());
    for (file, (request, plan)) in requests.into_iter().zip(plans).enumerate() {
        let mut encs = Vec::new();
        while let Some((_, enc)) = wrapped.next_if(|((of, ..), _)| *of == file) {
            encs.push(enc);
        }
        answers.push(plan.and_then(|plan| {
            let encs = encs.into_iter().collect::<Result<Vec<Wrapped>, RewrapError>>()?;
            plan.apply(request.metadata, encs, now);
            Ok(())
        }));
    }
    answers
}

/// What becomes of one file.
struct Plan {
    groups: Vec<Vec<Place>>,
    threshold: Option<usize>,
    /// The share of each group that gets a new key; none where there is one group.
    shares: Vec<Option<Plaintext>>,
}

enum Place {
    /// The entry with this number in the same group stays.
    Kept(usize),
    /// The key gets an entry.
    New(WrappingKey),
}

impl Plan {
    fn of(request: &Rewrap<'_>, services: &Services) -> Result<Self, RewrapError> {
        let (old, count) = (&*request.metadata, request.groups.len());
        if count == 0 {
            return Err(RewrapError::NoGroup);
        }
        let threshold = if count == 1 { None } else { Some(request.threshold.unwrap_or(count)) };
        // Groups may be added at the end of those that share the key already.
        let keeps = !request.fresh
            && match threshold {
                None => old.groups.len() == 1,
                Some(needed) => {
                    (2..=count).contains(&old.groups.len()) && old.needed_groups() == needed
                }
            };
        let mut plan = Self { groups: Vec::with_capacity(count), threshold, shares: Vec::new() };
        for (index, keys) in request.groups.iter().enumerate() {
            let old = old.groups.get(index).filter(|_| keeps);
            plan.groups.push(places(keys, old.map(Vec::as_slice).unwrap_or_default()));
        }
        if let Some(needed) = threshold {
            if let Some(shares) = known_shares(request.data_key, &plan).filter(|_| keeps) {
                plan.shares = shares;
            } else {
                // All groups get new shares, so all keys are wrapped anew.
                plan.groups = request.groups.iter().map(|keys| places(keys, &[])).collect();
                let key = request.data_key.plaintext();
                let shares = shamir::split(key, count, needed).map_err(RewrapError::Shares)?;
                plan.shares = shares.into_iter().map(Some).collect();
            }
        }
        for (index, group) in plan.groups.iter().enumerate() {
            if group.is_empty() {
                return Err(RewrapError::EmptyGroup { group: index });
            }
            for place in group {
                if let Place::New(key) = place {
                    check(key, services)?;
                }
            }
        }
        Ok(plan)
    }

    /// What the keys of a group get.
    fn secret<'s>(&'s self, group: usize, of: Option<&'s Rewrap<'_>>) -> Option<&'s Plaintext> {
        match self.threshold {
            None => of.map(|request| request.data_key.plaintext()),
            Some(_) => self.shares.get(group)?.as_ref(),
        }
    }

    /// Puts it into the metadata; `encs` are those of the new places, in order.
    fn apply(self, metadata: &mut Metadata, encs: Vec<Wrapped>, now: &str) {
        let old = std::mem::take(&mut metadata.groups);
        let mut old: Vec<Vec<Option<WrappedKey>>> =
            old.into_iter().map(|group| group.into_iter().map(Some).collect()).collect();
        let mut encs = encs.into_iter();
        for (index, places) in self.groups.into_iter().enumerate() {
            let mut group = Vec::with_capacity(places.len());
            for place in places {
                match place {
                    Place::Kept(at) => {
                        let entry = old.get_mut(index).and_then(|group| group.get_mut(at));
                        group.extend(entry.and_then(Option::take));
                    }
                    Place::New(key) => {
                        group.extend(
                            encs.next().map(|done| entry(done.key.unwrap_or(key), done.enc, now)),
                        );
                    }
                }
            }
            metadata.groups.push(group);
        }
        metadata.shamir_threshold = self.threshold;
        let count = metadata.groups.len();
        metadata.unknown_of_groups.retain(|group, _| *group < count);
    }
}

fn entry(key: WrappingKey, enc: String, now: &str) -> WrappedKey {
    let of_age = matches!(key, WrappingKey::Age(_) | WrappingKey::AgeUnknown(_));
    let created_at = (!of_age).then(|| now.to_owned());
    WrappedKey { key, enc, created_at, spelling: None, unknown: Vec::new() }
}

/// Where each key goes; one that stands there twice goes there once.
fn places(keys: &[WrappingKey], old: &[WrappedKey]) -> Vec<Place> {
    let mut places = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        if keys.iter().take(index).any(|before| before.same(key)) {
            continue;
        }
        let kept = old.iter().position(|entry| entry.key.same(key) && !entry.enc.is_empty());
        places.push(kept.map_or_else(|| Place::New(key.clone()), Place::Kept));
    }
    places
}

/// The share of each group that gets a new key, out of those that opened the file; `None` where
/// they do not tell it for certain.
fn known_shares(key: &DataKey, plan: &Plan) -> Option<Vec<Option<Plaintext>>> {
    let is_new = |place: &Place| matches!(place, Place::New(_));
    if !plan.groups.iter().flatten().any(is_new) {
        return Some(Vec::new());
    }
    let number = |index: usize| u8::try_from(index.checked_add(1)?).ok();
    let mut known = Vec::new();
    for (index, share) in key.shares.iter().enumerate() {
        let Some(share) = share else { continue };
        // Another order of groups would leave it open which share a locked group has.
        if shamir::x_of(share) != number(index) {
            return None;
        }
        known.push(share);
    }
    if known.len() < plan.threshold? {
        return None;
    }
    let mut shares = Vec::with_capacity(plan.groups.len());
    for (index, places) in plan.groups.iter().enumerate() {
        shares.push(if places.iter().any(is_new) {
            let x = number(index)?;
            // At its own x, a share is what the others make of it together with itself.
            Some(shamir::share_at(&known, x).ok()?)
        } else {
            None
        });
    }
    Some(shares)
}

/// Whether anything can be wrapped for a key at all.
fn check(key: &WrappingKey, services: &Services) -> Result<(), RewrapError> {
    if let WrappingKey::AgeUnknown(recipient) = key {
        return Err(RewrapError::Recipient { recipient: recipient.clone() });
    }
    services
        .available(key.kind())
        .map_err(|error| RewrapError::Service { key: Box::new(key.clone()), error })
}

/// One key to be wrapped for, and the place that it has: file, group, number.
struct Job<'a> {
    at: (usize, usize, usize),
    key: &'a WrappingKey,
    secret: &'a Plaintext,
}

impl Job<'_> {
    fn recipient(&self) -> Option<&Recipient> {
        if let WrappingKey::Age(recipient) = self.key { Some(recipient) } else { None }
    }
}

type Done = ((usize, usize, usize), Result<Wrapped, RewrapError>);

fn wrap_jobs(jobs: &[Job<'_>], plugins: &Plugins<'_>, pgp: &Pgp, services: &Services) -> Vec<Done> {
    let mut done = Vec::with_capacity(jobs.len());
    let of_age = jobs.iter().filter_map(|job| Some((job, job.recipient()?)));
    let of_age: Vec<(&Job<'_>, &Recipient)> = of_age.collect();
    done.extend(wrap_age(&of_age, plugins));
    let of_pgp = |job: &Job<'_>| {
        let WrappingKey::Pgp(fingerprint) = job.key else { return None };
        let enc = pgp.encrypt(fingerprint, job.secret).map(plain);
        let failed = |error| RewrapError::Pgp { fingerprint: fingerprint.clone(), error };
        Some((job.at, enc.map_err(failed)))
    };
    done.par_extend(jobs.par_iter().filter_map(of_pgp));
    let others = jobs.iter().filter(|job| !job.key.kind().is_local());
    let others: Vec<&Job<'_>> = others.collect();
    let questions: Vec<ToWrap<'_>> = others.iter().map(|job| (job.key, job.secret)).collect();
    let answers = others.iter().zip(services.wrap(&questions));
    done.extend(answers.map(|(job, answer)| {
        let key = || Box::new(job.key.clone());
        (job.at, answer.map_err(|error| RewrapError::Service { key: key(), error }))
    }));
    done
}

/// What a key made that is the very one that was asked for.
fn plain(enc: String) -> Wrapped {
    Wrapped { enc, key: None }
}

/// An armored age file for each, with a stanza for one recipient.
fn wrap_age(jobs: &[(&Job<'_>, &Recipient)], plugins: &Plugins<'_>) -> Vec<Done> {
    let keys: io::Result<Vec<FileKey>> = jobs.iter().map(|_| age::new_file_key()).collect();
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => {
            let error = Arc::new(error);
            let failed = |job: &Job<'_>| (job.at, Err(RewrapError::Random(Arc::clone(&error))));
            return jobs.iter().map(|(job, _)| failed(job)).collect();
        }
    };
    let mut requests = Vec::with_capacity(jobs.len());
    for (file_key, (_, recipient)) in keys.iter().zip(jobs) {
        let recipients = std::slice::from_ref(*recipient);
        requests.push(Request { file_key, recipients, labels: None });
    }
    let stanzas = wrap_all(&requests, plugins);
    let sealed = stanzas.into_iter().zip(&keys).zip(jobs).map(|((stanzas, key), (job, _))| {
        let enc = stanzas.map_err(RewrapError::Age).and_then(|stanzas| {
            let mut sink = Vec::new();
            #[expect(clippy::disallowed_methods, reason = "the data key is wrapped")]
            let mut secret = job.secret.expose();
            age::seal(key, &stanzas, true, &mut secret, &mut sink).map_err(RewrapError::Seal)?;
            // Armor is ASCII.
            Ok(String::from_utf8_lossy(&sink).into_owned())
        });
        (job.at, enc)
    });
    sealed.map(|(at, enc)| (at, enc.map(plain))).collect()
}

/// Why a data key cannot be wrapped. Nothing of its file has changed then.
#[derive(Debug)]
pub enum RewrapError {
    /// Nobody could read the file.
    NoGroup,
    /// A group without keys.
    EmptyGroup {
        /// Its number, from 0.
        group: usize,
    },
    /// The data key cannot be shared like this.
    Shares(ShamirError),
    /// A recipient that is none.
    Recipient {
        /// As it stands.
        recipient: String,
    },
    /// Nothing can be encrypted to a recipient.
    Age(WrapError),
    /// An age file could not be made.
    Seal(AgeError),
    /// `gpg` cannot encrypt to a key.
    Pgp {
        /// The key.
        fingerprint: String,
        /// The reason.
        error: PgpError,
    },
    /// A key service cannot be used.
    Service {
        /// The key.
        key: Box<WrappingKey>,
        /// The reason.
        error: ServiceError,
    },
    /// The system has no random bytes to give.
    Random(Arc<io::Error>),
}

impl RewrapError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Pgp { error, .. } => error.remedy().map(str::to_owned),
            Self::Service { error, .. } => error.remedy(),
            Self::Age(WrapError::Plugin { error }) => error.remedy(),
            Self::Age(WrapError::Recipient { error, .. }) => error.remedy(),
            Self::NoGroup | Self::EmptyGroup { .. } => Some("give it at least one key".to_owned()),
            Self::Age(WrapError::NoRecipient | WrapError::PassphraseNotText | WrapError::Mixed)
            | Self::Shares(_)
            | Self::Recipient { .. }
            | Self::Seal(_)
            | Self::Random(_) => None,
        }
    }
}

impl fmt::Display for RewrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGroup => f.write_str("it would have no key that opens it"),
            Self::EmptyGroup { group } => write!(f, "its key group {group} would have no key"),
            Self::Shares(error) => error.fmt(f),
            Self::Recipient { recipient } => write!(f, "`{recipient}` is no age recipient"),
            Self::Age(error) => error.fmt(f),
            Self::Seal(error) => write!(f, "its data key cannot be wrapped: {error}"),
            Self::Pgp { fingerprint, error } => write!(f, "the PGP key {fingerprint}: {error}"),
            Self::Service { key, error } => write!(f, "the key `{}`: {error}", key.shown()),
            Self::Random(error) => write!(f, "the system has no random bytes: {error}"),
        }
    }
}

impl std::error::Error for RewrapError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shares(error) => Some(error),
            Self::Age(error) => Some(error),
            Self::Seal(error) => Some(error),
            Self::Pgp { error, .. } => Some(error),
            Self::Service { error, .. } => Some(error),
            Self::Random(error) => Some(error),
            Self::NoGroup | Self::EmptyGroup { .. } | Self::Recipient { .. } => None,
        }
    }
}
