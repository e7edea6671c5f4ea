//! The three-way merge of the metadata of sops files: who can read, what is encrypted, and which
//! of the data keys the result has. Pure: wraps and decrypts nothing.

use std::collections::BTreeSet;

use crate::format::sops::metadata::Metadata;
use crate::key::wrapping::WrappingKey;
use crate::rules::SopsReaders;

/// The data key of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichKey {
    /// That of ours, which may be that of theirs too.
    Ours,
    /// That of theirs.
    Theirs,
    /// A new one.
    New,
}

/// Who is to read the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readers {
    /// Groups of keys.
    pub groups: Vec<Vec<WrappingKey>>,
    /// How many groups are needed, as the file says it.
    pub threshold: Option<usize>,
}

/// Which data keys are the same.
#[derive(Debug, Clone, Copy)]
pub struct SameKeys {
    /// Ours and theirs.
    pub sides: bool,
    /// Ours and that of what both come from; `None` where that has none.
    pub ours: Option<bool>,
    /// Theirs and that.
    pub theirs: Option<bool>,
}

impl Readers {
    /// Those of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self { groups: metadata.wrapping_keys(), threshold: metadata.shamir_threshold }
    }

    /// Those of a rule.
    pub fn by_rule(rule: &SopsReaders) -> Self {
        Self { groups: super::sops::groups(rule), threshold: rule.threshold }
    }

    /// Whether both name the same keys in the same groups, and need as many of these.
    pub fn same(&self, other: &Self) -> bool {
        self.needed() == other.needed() && self.names() == other.names()
    }

    /// What both sides come to: whom either side added is in, whom either side removed is not.
    /// `None` where they share the key among groups in different ways.
    pub fn merge(base: Option<&Self>, ours: &Self, theirs: &Self) -> Option<Self> {
        let is_base = |side: &Self| base.is_some_and(|base| base.same(side));
        if ours.same(theirs) || is_base(theirs) {
            return Some(ours.clone());
        }
        if is_base(ours) {
            return Some(theirs.clone());
        }
        let shape = |side: &Self| (side.groups.len(), side.needed());
        if shape(ours) != shape(theirs) || base.is_some_and(|base| shape(base) != shape(ours)) {
            return None;
        }
        let groups = ours.groups.iter().zip(&theirs.groups).enumerate().map(|(index, (a, b))| {
            let before = base.and_then(|base| base.groups.get(index)).map(Vec::as_slice);
            let has = |group: &[WrappingKey], key: &WrappingKey| group.iter().any(|k| k.same(key));
            let stays = |key: &WrappingKey, other: &[WrappingKey]| {
                has(other, key) || !before.is_some_and(|before| has(before, key))
            };
            let mine = a.iter().filter(|key| stays(key, b));
            let added = b.iter().filter(|key| !has(a, key) && stays(key, a));
            mine.chain(added).cloned().collect()
        });
        Some(Self { groups: groups.collect(), threshold: ours.threshold })
    }

    /// Who reads by these and by none of the others: each key in its group, and all of them where the
    /// groups are others, or another number of them is needed.
    pub fn beyond(&self, others: &[&Self]) -> Vec<WrappingKey> {
        let shape = |side: &Self| (side.groups.len(), side.needed());
        let others = others.iter().filter(|other| shape(other) == shape(self));
        let others: Vec<_> = others.collect();
        let knows = |other: &Self, index: usize, key: &WrappingKey| {
            other.groups.get(index).is_some_and(|group| group.iter().any(|known| known.same(key)))
        };
        let mut beyond = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let new = |key: &&WrappingKey| !others.iter().any(|other| knows(other, index, key));
            beyond.extend(group.iter().filter(new).cloned());
        }
        beyond
    }

    /// Whether all of these are among others.
    fn are_among(&self, others: &Self) -> bool {
        let all = |side: &Self| side.names().into_iter().flatten().collect::<BTreeSet<_>>();
        all(self).is_subset(&all(others))
    }

    fn needed(&self) -> usize {
        match self.groups.len() {
            0 | 1 => 1,
            count => self.threshold.unwrap_or(count),
        }
    }

    fn names(&self) -> Vec<BTreeSet<(crate::key::wrapping::WrappingKind, String)>> {
        let of_group = |group: &Vec<WrappingKey>| {
            group.iter().map(|key| (key.kind(), key.name())).collect::<BTreeSet<_>>()
        };
        self.groups.iter().map(of_group).collect()
    }
}

/// Which data key a merge has: the newer of two, and one that nobody knows who was removed on
/// the side that did not change it.
pub fn which_key(same: SameKeys, [ours, theirs, merged]: [&Readers; 3]) -> WhichKey {
    let (which, side) = match (same.sides, same.ours, same.theirs) {
        (true, ..) => return WhichKey::Ours,
        // Both sides made the file.
        (false, None, _) | (false, _, None | Some(true)) => (WhichKey::Ours, ours),
        (false, Some(true), Some(false)) => (WhichKey::Theirs, theirs),
        (false, Some(false), Some(false)) => return WhichKey::New,
    };
    if side.are_among(merged) { which } else { WhichKey::New }
}

/// What a field comes to that has one value; `None` where both sides changed it, each in its own
/// way.
pub fn field<T: PartialEq + Clone>(base: Option<&T>, ours: &T, theirs: &T) -> Option<T> {
    if ours == theirs || base == Some(theirs) {
        Some(ours.clone())
    } else if base == Some(ours) {
        Some(theirs.clone())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(groups: &[&str], threshold: Option<usize>) -> Readers {
        let keys = |group: &&str| group.split_whitespace().map(WrappingKey::pgp).collect();
        Readers { groups: groups.iter().map(keys).collect(), threshold }
    }

    fn merged(base: &str, ours: &str, theirs: &str) -> String {
        let [base, ours, theirs] = [base, ours, theirs].map(|group| readers(&[group], None));
        let merged = Readers::merge(Some(&base), &ours, &theirs).unwrap();
        let names: Vec<String> = merged.groups[0].iter().map(WrappingKey::name).collect();
        names.join(" ")
    }

    #[test]
    fn who_was_added_is_in_and_who_was_removed_is_not() {
        assert_eq!(merged("A B", "A B C", "A B"), "A B C");
        assert_eq!(merged("A B", "A B C", "D A B"), "A B C D");
        assert_eq!(merged("A B", "A", "A B C"), "A C");
        assert_eq!(merged("A B C", "A B", "A C"), "A");
        assert_eq!(merged("A B", "B A", "A B"), "B A");
    }

    #[test]
    fn without_a_common_ancestor_nobody_was_removed() {
        let [ours, theirs] = [readers(&["A B"], None), readers(&["A C"], None)];
        assert_eq!(Readers::merge(None, &ours, &theirs), Some(readers(&["A B C"], None)));
    }

    #[test]
    fn groups_merge_one_by_one_and_only_where_there_are_as_many() {
        let base = readers(&["A", "B"], Some(2));
        let ours = readers(&["A C", "B"], Some(2));
        let theirs = readers(&["A", "B D"], None);
        let both = readers(&["A C", "B D"], Some(2));
        assert_eq!(Readers::merge(Some(&base), &ours, &theirs), Some(both));
        let more = readers(&["A", "B", "E"], Some(2));
        assert_eq!(Readers::merge(Some(&base), &ours, &more), None);
        assert_eq!(Readers::merge(Some(&base), &base, &more), Some(more));
    }

    #[test]
    fn who_is_new_is_so_in_their_group_and_where_fewer_groups_are_needed() {
        let beyond = |all: &Readers, others: &[&Readers]| -> Vec<String> {
            all.beyond(others).iter().map(WrappingKey::name).collect()
        };
        let merged = readers(&["A B", "C"], Some(2));
        assert!(
            beyond(&merged, &[&readers(&["A", "C"], None), &readers(&["B", ""], None)]).is_empty()
        );
        assert_eq!(beyond(&merged, &[&readers(&["A", "B C"], None)]), ["B"]);
        assert_eq!(beyond(&merged, &[&readers(&["A B", "C"], Some(1))]), ["A", "B", "C"]);
        assert_eq!(beyond(&merged, &[&readers(&["A B C"], None)]), ["A", "B", "C"]);
    }

    #[test]
    fn the_newer_key_is_taken_but_for_one_that_somebody_removed_knows() {
        let [ab, a] = [readers(&["A B"], None), readers(&["A"], None)];
        let same = |sides, ours, theirs| SameKeys { sides, ours, theirs };
        let key = |same, readers| which_key(same, readers);
        assert_eq!(key(same(true, Some(true), Some(true)), [&ab, &a, &a]), WhichKey::Ours);
        let theirs_new = same(false, Some(true), Some(false));
        assert_eq!(key(theirs_new, [&ab, &a, &a]), WhichKey::Theirs);
        assert_eq!(key(theirs_new, [&a, &ab, &a]), WhichKey::New);
        assert_eq!(key(same(false, Some(false), Some(true)), [&a, &ab, &a]), WhichKey::Ours);
        assert_eq!(key(same(false, Some(false), Some(false)), [&a, &a, &a]), WhichKey::New);
        assert_eq!(key(same(false, None, None), [&ab, &a, &ab]), WhichKey::Ours);
    }

    #[test]
    fn a_field_is_that_of_the_side_that_changed_it() {
        assert_eq!(field(Some(&1), &1, &2), Some(2));
        assert_eq!(field(Some(&1), &2, &1), Some(2));
        assert_eq!(field(Some(&1), &2, &2), Some(2));
        assert_eq!(field(Some(&1), &2, &3), None);
        assert_eq!(field(None, &2, &3), None);
    }
}
