//! Finds the data keys of many files at once: every identity is loaded once, every plugin started
//! once, every passphrase asked for once.
//!
//! Any key of a group opens it. All that a group holds for age keys is looked at together; only
//! where that leads to something broken, one by one. What is broken or foreign is passed over,
//! and said where nothing else opens the group.

use std::collections::BTreeSet;
use std::sync::Mutex;

use age_core::format::FileKey;
use rayon::prelude::*;

use super::locked::{Locked, LockedGroup, LockedKey, Reason, Unusable};
use super::order::DecryptionOrder;
use super::{DATA_KEY, DataKey};
use crate::format::age::Encrypted;
use crate::format::keys::Keys;
use crate::format::sops::metadata::{Metadata, WrappedKey};
use crate::format::sops::shamir;
use crate::key::keyring::{Answer, Keyring, Sealed, Unopened};
use crate::key::pgp::Pgp;
use crate::key::pgp::message::Work;
use crate::key::service::{Services, ToUnwrap};
use crate::key::stanza::Stanzas;
use crate::key::wrapping::WrappingKind;
use crate::plaintext::Plaintext;

/// Finds the data keys of many files; the answers are in the order of the files.
///
/// Identities that need nothing come before those that ask somebody, and of groups no more are
/// opened than are needed where that would ask.
pub fn unwrap(files: &[&Metadata], keys: &mut Keys<'_>) -> Vec<Result<DataKey, Locked>> {
    let mut files: Vec<File<'_>> = files.iter().map(|metadata| File::new(metadata)).collect();
    for kinds in keys.order.steps() {
        match kinds {
            [WrappingKind::Age] => try_age(&mut files, &mut keys.keyring),
            [WrappingKind::Pgp] => try_pgp(&mut files, &mut keys.keyring, &keys.pgp),
            services => try_services(&mut files, services, &keys.services),
        }
    }
    keys.keyring.expect(Vec::new());
    files.into_iter().map(|file| file.finish(&keys.order)).collect()
}

struct File<'m> {
    metadata: &'m Metadata,
    groups: Vec<Group<'m>>,
}

struct Group<'m> {
    keys: &'m [WrappedKey],
    /// How long what the keys hold must be.
    length: usize,
    secret: Option<Plaintext>,
    reasons: Vec<(&'m WrappedKey, Reason)>,
    /// Whether all identities were tried, and those who own them asked.
    asked: bool,
    tried_pgp: bool,
}

impl<'m> File<'m> {
    fn new(metadata: &'m Metadata) -> Self {
        let share = usize::from(metadata.groups.len() > 1);
        let length = DATA_KEY.saturating_add(share);
        let group = |keys| Group {
            keys,
            length,
            secret: None,
            reasons: Vec::new(),
            asked: false,
            tried_pgp: false,
        };
        let groups = metadata.groups.iter().map(|keys| group(keys.as_slice())).collect();
        Self { metadata, groups }
    }

    /// The groups that are still to be opened; none where enough of them are open.
    fn missing(&mut self) -> impl Iterator<Item = &mut Group<'m>> {
        let enough = self.is_enough();
        self.groups.iter_mut().filter(move |group| !enough && group.secret.is_none())
    }

    /// Of the groups that are to be opened as many as are lacking, and never one twice.
    fn next_to_ask(&mut self) -> impl Iterator<Item = &mut Group<'m>> {
        let lacking = self.lacking();
        let groups = self.groups.iter_mut().filter(|g| g.secret.is_none() && !g.asked);
        groups.take(lacking).map(Group::asking)
    }

    fn lacking(&self) -> usize {
        let open = self.groups.iter().filter(|group| group.secret.is_some()).count();
        self.metadata.needed_groups().saturating_sub(open)
    }

    fn is_enough(&self) -> bool {
        self.lacking() == 0
    }

    fn finish(self, order: &DecryptionOrder) -> Result<DataKey, Locked> {
        let mut locked = Locked::of(self.metadata);
        if self.is_enough() {
            let shares: Vec<Option<Plaintext>> =
                self.groups.into_iter().map(|group| group.secret).collect();
            return put_together(shares).map_err(|unusable| {
                locked.unusable = Some(unusable);
                locked
            });
        }
        for group in self.groups {
            let opened = group.secret.is_some();
            let keys = if opened { Vec::new() } else { group.failures(order) };
            locked.groups.push(LockedGroup { opened, keys });
        }
        Err(locked)
    }
}

fn put_together(mut shares: Vec<Option<Plaintext>>) -> Result<DataKey, Unusable> {
    let (key, shares) = if shares.len() == 1 {
        (shares.pop().flatten().unwrap_or_default(), Vec::new())
    } else {
        let known: Vec<&Plaintext> = shares.iter().flatten().collect();
        (shamir::combine(&known).map_err(Unusable::Shares)?, shares)
    };
    let length = key.len();
    let key = DataKey::from_plaintext(key).ok_or(Unusable::Length(length))?;
    Ok(DataKey { shares, ..key })
}

impl<'m> Group<'m> {
    fn keys_of(&self, kind: WrappingKind) -> impl Iterator<Item = &'m WrappedKey> + use<'m> {
        self.keys.iter().filter(move |entry| entry.key.kind() == kind)
    }

    fn asking(&mut self) -> &mut Self {
        self.asked = true;
        self
    }

    /// Takes what a key gave, or why it gave nothing.
    fn take(&mut self, entry: &'m WrappedKey, secret: Result<Plaintext, Reason>) {
        let reason = match secret {
            Ok(secret) if secret.len() == self.length => {
                self.secret = Some(secret);
                return;
            }
            Ok(secret) => Reason::Length(secret.len()),
            Err(reason) => reason,
        };
        if !self.reasons.iter().any(|(known, _)| std::ptr::eq(*known, entry)) {
            self.reasons.push((entry, reason));
        }
    }

    /// All its keys in the order in which they were tried, each with the reason.
    fn failures(mut self, order: &DecryptionOrder) -> Vec<LockedKey> {
        let mut failures = Vec::with_capacity(self.keys.len());
        let in_order = order.kinds().iter().flat_map(|kind| self.keys_of(*kind));
        for entry in in_order.collect::<Vec<_>>() {
            let known = self.reasons.iter().position(|(known, _)| std::ptr::eq(*known, entry));
            let reason = known.map(|at| self.reasons.swap_remove(at).1);
            let reason = reason.unwrap_or(Reason::NoMatch);
            failures.push(LockedKey { key: entry.key.clone(), reason });
        }
        failures
    }
}

fn try_age(files: &mut [File<'_>], keyring: &mut Keyring<'_>) {
    let quiet = files.iter_mut().flat_map(File::missing).collect();
    open_with(quiet, keyring, Asking::Nobody);
    loop {
        let groups: Vec<&mut Group<'_>> = files.iter_mut().flat_map(File::next_to_ask).collect();
        if groups.is_empty() {
            return;
        }
        open_with(groups, keyring, Asking::Anybody);
    }
}

/// Whether somebody may be asked for a passphrase or the like.
#[derive(Clone, Copy)]
enum Asking {
    Nobody,
    Anybody,
}

impl Asking {
    fn file_keys(self, keyring: &mut Keyring<'_>, sealed: &[Sealed<'_>]) -> Vec<Answer> {
        match self {
            Self::Nobody => keyring.unwrap_quietly(sealed),
            Self::Anybody => keyring.unwrap_all(sealed).into_iter().map(Some).collect(),
        }
    }
}

/// Opens groups with identities.
fn open_with(mut groups: Vec<&mut Group<'_>>, keyring: &mut Keyring<'_>, asking: Asking) {
    groups.retain(|group| group.keys_of(WrappingKind::Age).next().is_some());
    keyring.expect(recipients(&groups));
    let stanzas: Vec<Stanzas> = groups.iter_mut().map(|group| group.stanzas()).collect();
    let sealed: Vec<Sealed<'_>> = stanzas.iter().map(to_open).collect();
    let mut unclear = Vec::new();
    for (group, answer) in groups.into_iter().zip(asking.file_keys(keyring, &sealed)) {
        match answer {
            None | Some(Err(Unopened::NoMatch)) => {}
            Some(Ok(file_key)) if group.open_first(&file_key) => {}
            Some(Ok(_) | Err(Unopened::BrokenStanza | Unopened::TooMuchWork)) => {
                unclear.push(group);
            }
        }
    }
    if unclear.is_empty() {
        return;
    }
    // Something among them is broken or forged, and must not stand in the way of the others.
    let mut files = Vec::new();
    for (index, group) in unclear.iter().enumerate() {
        let entries = group.keys_of(WrappingKind::Age);
        files.extend(entries.filter_map(|entry| Some((index, entry, read(entry).ok()?))));
    }
    let sealed = files.iter().map(|(.., file)| to_open(&file.header.stanzas));
    let sealed: Vec<Sealed<'_>> = sealed.collect();
    let answers = asking.file_keys(keyring, &sealed);
    drop(sealed);
    for ((index, entry, mut file), answer) in files.into_iter().zip(answers) {
        let secret = match answer {
            None | Some(Err(Unopened::NoMatch)) => continue,
            Some(Ok(file_key)) => file.decrypt(&file_key).map_err(Reason::Age),
            Some(Err(Unopened::BrokenStanza)) => Err(Reason::Broken("a stanza is malformed")),
            Some(Err(Unopened::TooMuchWork)) => Err(Reason::Broken("it needs too much work")),
        };
        if let Some(group) = unclear.get_mut(index) {
            group.take(entry, secret);
        }
    }
}

impl Group<'_> {
    /// The stanzas of all that it holds for age keys; what cannot be read is noted.
    fn stanzas(&mut self) -> Stanzas {
        let mut stanzas = Stanzas::default();
        for entry in self.keys_of(WrappingKind::Age) {
            match read(entry) {
                Ok(file) => stanzas.append(&file.header.stanzas),
                Err(reason) => self.take(entry, Err(reason)),
            }
        }
        stanzas
    }

    /// Whether a file key opens one of the things that it holds for age keys; it belongs to the
    /// one whose header it made.
    fn open_first(&mut self, file_key: &FileKey) -> bool {
        let files = self.keys_of(WrappingKind::Age).filter_map(|entry| read(entry).ok());
        for mut file in files.filter(|file| file.header.verify(file_key)) {
            if let Ok(secret) = file.decrypt(file_key)
                && secret.len() == self.length
            {
                self.secret = Some(secret);
                return true;
            }
        }
        false
    }
}

fn to_open(stanzas: &Stanzas) -> Sealed<'_> {
    Sealed { name: "the data key", stanzas }
}

/// What a file holds for an age key.
fn read(entry: &WrappedKey) -> Result<Encrypted<'_>, Reason> {
    if entry.enc.is_empty() {
        return Err(Reason::Empty);
    }
    let file = Encrypted::read(entry.enc.as_bytes()).map_err(Reason::Age)?;
    // Nobody is to be asked for the passphrase of a key that is none.
    if file.header.stanzas.iter().any(|stanza| stanza.tag() == "scrypt") {
        return Err(Reason::Broken("it is encrypted with a passphrase"));
    }
    Ok(file)
}

/// Whom the groups are for, each once.
fn recipients(groups: &[&mut Group<'_>]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let entries = groups.iter().flat_map(|group| group.keys_of(WrappingKind::Age));
    let names = entries.map(|entry| entry.key.name());
    names.filter(|name| seen.insert(name.clone())).collect()
}

/// Opens what the keys of PGP hold with those that are here, else has `gpg` do it, those first that
/// opened something already. One file goes ahead of the others, so that no passphrase is asked for
/// more than once at a time.
fn try_pgp(files: &mut [File<'_>], keyring: &mut Keyring<'_>, pgp: &Pgp) {
    let with_pgp = |file: &&mut File<'_>| {
        let keys = file.metadata.keys();
        keys.into_iter().any(|entry| entry.key.kind() == WrappingKind::Pgp) && !file.is_enough()
    };
    let mut files = files.iter_mut().filter(with_pgp);
    let Some(first) = files.next() else { return };
    let ours = keyring.pgp_keys();
    let lucky = Mutex::new(BTreeSet::new());
    let attempt = |file: &mut File<'_>| {
        let mut work = Work::default();
        while let Some(group) = file.missing().find(|group| !group.tried_pgp) {
            group.tried_pgp = true;
            let mut entries: Vec<&WrappedKey> = group.keys_of(WrappingKind::Pgp).collect();
            if let Ok(lucky) = lucky.lock() {
                entries.sort_by_key(|entry| !lucky.contains(&entry.key.name()));
            }
            for entry in entries {
                let secret = match entry.enc.as_str() {
                    "" => Err(Reason::Empty),
                    enc => pgp.decrypt(enc, ours, &mut work).map_err(Reason::Pgp),
                };
                group.take(entry, secret);
                if group.secret.is_some() {
                    if let Ok(mut lucky) = lucky.lock() {
                        lucky.insert(entry.key.name());
                    }
                    break;
                }
            }
        }
    };
    attempt(first);
    files.collect::<Vec<_>>().into_par_iter().for_each(attempt);
}

/// Asks key services: all that any of the keys of these kinds holds for a group that is still
/// locked, side by side. Whatever opens a group first, nobody waits for the others.
fn try_services(files: &mut [File<'_>], kinds: &[WrappingKind], services: &Services) {
    // File, group and entry, in the order of the files.
    let mut asked: Vec<(usize, usize, &WrappedKey)> = Vec::new();
    for (at, file) in files.iter_mut().enumerate().filter(|(_, file)| !file.is_enough()) {
        let locked = file.groups.iter_mut().enumerate().filter(|(_, group)| group.secret.is_none());
        for (number, group) in locked {
            let entries: Vec<_> = kinds.iter().flat_map(|kind| group.keys_of(*kind)).collect();
            for entry in entries {
                if entry.enc.is_empty() {
                    group.take(entry, Err(Reason::Empty));
                } else {
                    asked.push((at, number, entry));
                }
            }
        }
    }
    let questions: Vec<ToUnwrap<'_>> =
        asked.iter().map(|(.., entry)| (&entry.key, entry.enc.as_str())).collect();
    services.unwrap(&questions, &mut |index, answer| {
        let Some((at, number, entry)) = asked.get(index) else { return Vec::new() };
        let Some(file) = files.get_mut(*at) else { return Vec::new() };
        if let Some(group) = file.groups.get_mut(*number) {
            group.take(entry, answer.map_err(Reason::Service));
        }
        let enough = file.is_enough();
        let is_open = |of: usize| file.groups.get(of).is_some_and(|group| group.secret.is_some());
        let (begin, end) =
            (asked.partition_point(|(of, ..)| of < at), asked.partition_point(|(of, ..)| of <= at));
        let entries = asked.iter().enumerate().take(end).skip(begin);
        entries.filter(|(_, (_, of, _))| enough || is_open(*of)).map(|(index, _)| index).collect()
    });
}
