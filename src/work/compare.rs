//! Who reads a file, compared with who should: from the header alone, without any private key.
//! Pure: takes stanzas and rules, gives a comparison.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::Expected;
use crate::format::age::readers::{self, Fingerprint};
use crate::format::sops::metadata::Metadata;
use crate::key::stanza::{StanzaRef, Stanzas};
use crate::key::wrapping::{WrappingKey, WrappingKind, on_one_line};
use crate::rules::sops::{NamedKey, SopsReaders};

/// Somebody who can read a file although the rules do not say so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOver {
    /// A key that the rules know.
    Known(Expected),
    /// An SSH key that no rule has.
    Tag {
        /// `ssh-ed25519` or `ssh-rsa`.
        kind: String,
        /// First 4 bytes of SHA-256 of the key, as the stanza has it.
        tag: [u8; 4],
    },
    /// A key that no rule has, listed by the file.
    Fingerprint(Fingerprint),
    /// A key that a sops file names: a recipient, fingerprint, or name at a key service.
    Key(String),
    /// Stanzas that do not tell whose they are, more than the rules account for.
    Anonymous {
        /// Type word.
        kind: String,
        /// How many too many.
        count: usize,
    },
}

/// What the header tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Who cannot read the file, but should.
    pub missing: Vec<Expected>,
    /// Who can read the file, but should not.
    pub left_over: Vec<LeftOver>,
    /// Of whom the header does not tell whether they read the file.
    pub unknown: Vec<Expected>,
    /// How many of the unknown are surely missing, by the type of their stanza.
    pub some_missing: BTreeMap<String, usize>,
    /// Whether the file lists its readers although the rules ask it not to.
    pub listed: bool,
    /// Keys of PGP and key services that should hold the data key of a sops file and do not.
    pub missing_keys: Vec<NamedKey>,
    /// Whether a sops file shares its data key among other groups than the rules say, or asks for
    /// another number of them.
    pub regrouped: bool,
}

impl Comparison {
    /// Whether the file is known to differ from the rules.
    pub fn is_stale(&self) -> bool {
        !self.missing.is_empty()
            || !self.left_over.is_empty()
            || self.listed
            || self.regrouped
            || !self.missing_keys.is_empty()
            || !self.some_missing.is_empty()
    }

    /// Whether adding stanzas is all that is needed, and this is certain.
    pub fn only_adds(&self) -> bool {
        self.left_over.is_empty() && self.unknown.is_empty() && !self.regrouped
    }
}

/// Compares a header with the rules. `known` is everybody whom the rules name anywhere.
pub fn compare(
    stanzas: &Stanzas,
    expected: &[Expected],
    known: &[Expected],
    anonymous: bool,
) -> Comparison {
    let listed = readers::parse(stanzas).filter(|list| agrees(stanzas, list, known));
    let mut comparison = match listed {
        Some(list) => by_list(&list, expected, known),
        None => by_tags(stanzas, expected, known),
    };
    comparison.listed = anonymous && stanzas.iter().any(|s| s.tag() == readers::STANZA);
    comparison
}

/// Compares the keys of a sops file with the rules, by the names that sops compares.
pub fn compare_sops(
    metadata: &Metadata,
    readers: &SopsReaders,
    expected: &[Expected],
    known: &[Expected],
) -> Comparison {
    let names =
        |keys: &[WrappingKey]| -> BTreeSet<String> { keys.iter().map(WrappingKey::name).collect() };
    let there = metadata.wrapping_keys();
    let present: Vec<BTreeSet<String>> = there.iter().map(|group| names(group)).collect();
    // A key of Azure that the rules name without a version is the one that the file has.
    let name_of = |key: &WrappingKey| {
        let azure = key.kind() == WrappingKind::AzureKv;
        let same = there.iter().flatten().find(|one| azure && one.same(key));
        same.unwrap_or(key).name()
    };
    let wanted = |group: &Vec<NamedKey>| group.iter().map(|named| name_of(&named.key)).collect();
    let wanted: Vec<BTreeSet<String>> = readers.groups.iter().map(wanted).collect();
    let all_present: BTreeSet<&String> = present.iter().flatten().collect();
    let all_wanted: BTreeSet<&String> = wanted.iter().flatten().collect();

    let mut comparison = Comparison::default();
    for named in readers.groups.iter().flatten() {
        if all_present.contains(&name_of(&named.key)) {
            continue;
        }
        let reader = |e: &&Expected| Some(&e.recipient) == named.key.recipient();
        match expected.iter().find(reader) {
            Some(who) if comparison.missing.contains(who) => {}
            Some(who) => comparison.missing.push(who.clone()),
            None if comparison.missing_keys.contains(named) => {}
            None => comparison.missing_keys.push(named.clone()),
        }
    }
    for name in all_present.difference(&all_wanted) {
        let known = known.iter().find(|e| e.recipient.canonical() == name.as_str());
        let left = known.cloned().map_or_else(|| LeftOver::Key(on_one_line(name)), LeftOver::Known);
        comparison.left_over.push(left);
    }
    // Keys may come and go; where the same are left, they must be in the same groups.
    let both = |groups: &[BTreeSet<String>]| -> Vec<BTreeSet<String>> {
        let kept = |name: &&String| all_present.contains(name) && all_wanted.contains(name);
        groups.iter().map(|group| group.iter().filter(kept).cloned().collect()).collect()
    };
    let needed = match readers.groups.len() {
        0 | 1 => 1,
        count => readers.threshold.unwrap_or(count),
    };
    comparison.regrouped = both(&present) != both(&wanted) || metadata.needed_groups() != needed;
    comparison
}

/// Whether the other stanzas of the header can be those of the listed readers.
fn agrees(stanzas: &Stanzas, list: &[Fingerprint], known: &[Expected]) -> bool {
    let listed = list.len();
    let mut tags = ssh_tags(stanzas);
    let (mut strangers, mut plugins) = (0_usize, 0_usize);
    for print in list {
        let Some(who) = known.iter().find(|e| e.recipient.fingerprint() == *print) else {
            strangers = strangers.saturating_add(1);
            continue;
        };
        if who.recipient.plugin().is_some() {
            plugins = plugins.saturating_add(1);
        } else if let Some(tag) = who.recipient.ssh_tag() {
            let Some(index) = tags.iter().position(|(_, t)| *t == tag) else { return false };
            tags.swap_remove(index);
        }
    }
    let keys = stanzas.iter().filter(|s| readers::carries_key(*s)).count();
    // A plugin may write several stanzas for one recipient.
    let counts_fit = if plugins > 0 || strangers > 0 { keys >= listed } else { keys == listed };
    counts_fit && tags.len() <= strangers
}

fn by_list(list: &[Fingerprint], expected: &[Expected], known: &[Expected]) -> Comparison {
    let has = |e: &&Expected| list.contains(&e.recipient.fingerprint());
    let missing = expected.iter().filter(|e| !has(e)).cloned().collect();
    let left_over = list
        .iter()
        .filter(|print| !expected.iter().any(|e| e.recipient.fingerprint() == **print))
        .map(|print| {
            let known = known.iter().find(|e| e.recipient.fingerprint() == *print);
            known.cloned().map_or(LeftOver::Fingerprint(*print), LeftOver::Known)
        })
        .collect();
    Comparison { missing, left_over, ..Comparison::default() }
}

fn by_tags(stanzas: &Stanzas, expected: &[Expected], known: &[Expected]) -> Comparison {
    let mut result = Comparison::default();
    let mut tags = ssh_tags(stanzas);
    let mut anonymous: BTreeMap<&str, usize> = BTreeMap::new();
    for stanza in stanzas.iter().filter(|s| readers::carries_key(*s) && !is_ssh(*s)) {
        let count = anonymous.entry(stanza.tag()).or_default();
        *count = count.saturating_add(1);
    }
    let mut by_kind: BTreeMap<Option<&str>, Vec<&Expected>> = BTreeMap::new();
    for who in expected {
        match who.recipient.ssh_tag() {
            Some(tag) => match tags.iter().position(|(_, t)| *t == tag) {
                Some(index) => drop(tags.swap_remove(index)),
                None => result.missing.push(who.clone()),
            },
            None => by_kind.entry(who.recipient.stanza_type()).or_default().push(who),
        }
    }
    for (kind, tag) in tags {
        let owner = known.iter().find(|e| e.recipient.ssh_tag() == Some(tag));
        let stranger = || LeftOver::Tag { kind: kind.to_owned(), tag };
        let left = owner.cloned().map_or_else(stranger, LeftOver::Known);
        result.left_over.push(left);
    }
    // Plugins choose their own types, so they are matched with what no other kind explains.
    let for_plugins = by_kind.remove(&None).unwrap_or_default();
    for (kind, who) in by_kind {
        let found = anonymous.remove(kind.unwrap_or_default()).unwrap_or_default();
        result.count(kind.unwrap_or_default(), found, &who);
    }
    let strange: usize = anonymous.values().sum();
    if for_plugins.is_empty() || strange == 0 {
        result.missing.extend(for_plugins.into_iter().cloned());
        for (kind, count) in anonymous {
            result.left_over.push(LeftOver::Anonymous { kind: kind.to_owned(), count });
        }
    } else {
        result.unknown.extend(for_plugins.into_iter().cloned());
    }
    result.missing.sort_unstable();
    result.left_over.sort_unstable();
    result
}

impl Comparison {
    /// Stanzas of one anonymous kind: their number is all that can be compared.
    fn count(&mut self, kind: &str, found: usize, expected: &[&Expected]) {
        if found == 0 {
            self.missing.extend(expected.iter().copied().cloned());
            return;
        }
        self.unknown.extend(expected.iter().copied().cloned());
        if let Some(count) = expected.len().checked_sub(found).filter(|count| *count > 0) {
            self.some_missing.insert(kind.to_owned(), count);
        }
        if let Some(count) = found.checked_sub(expected.len()).filter(|count| *count > 0) {
            self.left_over.push(LeftOver::Anonymous { kind: kind.to_owned(), count });
        }
    }
}

fn is_ssh(stanza: StanzaRef<'_>) -> bool {
    matches!(stanza.tag(), "ssh-ed25519" | "ssh-rsa")
}

/// Type and tag of every ssh stanza.
fn ssh_tags(stanzas: &Stanzas) -> Vec<(&str, [u8; 4])> {
    let mut tags = Vec::with_capacity(stanzas.len());
    for stanza in stanzas.iter().filter(|stanza| is_ssh(*stanza)) {
        let (text, mut tag) = (stanza.args().next().unwrap_or_default(), [0; 4]);
        if BASE64_STANDARD_NO_PAD.decode_slice(text, &mut tag) == Ok(tag.len()) {
            tags.push((stanza.tag(), tag));
        }
    }
    tags
}
