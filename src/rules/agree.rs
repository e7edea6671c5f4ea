//! Whether two rules for one file say the same: readers, and what matters for sops files.

use std::collections::BTreeSet;

use crate::key::ssh::age_recipient;
use crate::key::wrapping::WrappingKey;

use super::sops::DEFAULT_SUFFIX;
use super::{Reader, Rule, Rules, Selector, SelectorKind, SopsRule, Source};

/// A key for comparison. People give sops the age form of SSH keys of hosts: the same reader.
fn comparable(key: &WrappingKey) -> String {
    match key {
        WrappingKey::Age(recipient) => {
            age_recipient(recipient).as_ref().unwrap_or(recipient).canonical().to_owned()
        }
        WrappingKey::AgeUnknown(_)
        | WrappingKey::Pgp(_)
        | WrappingKey::Kms { .. }
        | WrappingKey::GcpKms(_)
        | WrappingKey::AzureKv { .. }
        | WrappingKey::HcVault { .. }
        | WrappingKey::HcKms(_) => format!("{key:?}"),
    }
}

/// What two rules for one file disagree about.
pub(super) fn disagreement(one: (&Rules, &Rule), other: (&Rules, &Rule)) -> Option<String> {
    let is_of_sops = one.0.source == Source::Sops || other.0.source == Source::Sops;
    let text = |key: &WrappingKey| {
        let own = if let WrappingKey::Age(recipient) = key { Some(recipient) } else { None };
        let own = own.filter(|_| !is_of_sops).map(|recipient| recipient.canonical().to_owned());
        own.unwrap_or_else(|| comparable(key))
    };
    let keys = |(rules, rule): (&Rules, &Rule)| -> BTreeSet<String> {
        rules.readers_of(rule).flat_map(Reader::keys).map(|key| text(&key)).collect()
    };
    let (one_keys, other_keys) = (keys(one), keys(other));
    if one_keys != other_keys {
        let names = |(rules, rule): (&Rules, &Rule), without: &BTreeSet<String>| {
            let only = rules
                .readers_of(rule)
                .filter(|reader| reader.keys().any(|key| !without.contains(&text(&key))));
            let names: Vec<&str> = only.map(|reader| reader.name.as_str()).collect();
            names.join(", ")
        };
        let sides =
            [("one", names(one, &other_keys)), ("other", names(other, &one_keys))].into_iter();
        let sides = sides.filter(|(_, names)| !names.is_empty());
        let sides: Vec<_> = sides.map(|(which, n)| format!("only the {which} names {n}")).collect();
        return Some(sides.join(", "));
    }
    if is_of_sops {
        return sops_disagreement(&one.1.sops, &other.1.sops).map(str::to_owned);
    }
    (one.1.armor.unwrap_or_default() != other.1.armor.unwrap_or_default())
        .then(|| "only one of them asks for armor".to_owned())
}

/// As [`disagreement`], of what is for sops files alone. Who says nothing does not disagree.
fn sops_disagreement(one: &SopsRule, other: &SopsRule) -> Option<&'static str> {
    if *one == SopsRule::default() || *other == SopsRule::default() {
        return None;
    }
    let default =
        Selector { kind: SelectorKind::UnencryptedSuffix, text: DEFAULT_SUFFIX.to_owned() };
    let selector = |rule: &SopsRule| rule.selector.clone().unwrap_or_else(|| default.clone());
    if selector(one) != selector(other) {
        Some("they choose different values to encrypt")
    } else if one.mac_only_encrypted != other.mac_only_encrypted {
        Some("only one of them asks for `mac_only_encrypted`")
    } else {
        None
    }
}
