//! `sops groups add` and `sops groups delete`

use super::desk::{Content, Desk};
use super::invocation::{GroupsAdd, GroupsDelete, Settings, Subject, Target};
use super::recipe::parsed;
use super::refusals::{self, Doing};
use super::resolve::refusal;
use super::{Code, Done, Refusal};
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;
use crate::work::sops_metadata::{Groups, regroup};
use crate::work::{Problem, sops};

pub(super) fn add(add: &GroupsAdd) -> Done {
    let GroupsAdd { settings, subject, group, threshold, target } = add;
    let group = group.iter().map(parsed).collect::<Result<Vec<_>, Refusal>>()?;
    change(settings, subject, target, *threshold, |mut groups, _| {
        groups.push(group);
        Ok(groups)
    })
}

pub(super) fn delete(delete: &GroupsDelete) -> Done {
    let GroupsDelete { settings, subject, index, threshold, target } = delete;
    change(settings, subject, target, *threshold, |mut groups, needed| {
        if *index >= groups.len() {
            let text = format!(
                "there is no key group {index}: the file has {}, counted from 0",
                groups.len()
            );
            return Err(refusal(Code::Generic, text));
        }
        groups.remove(*index);
        if groups.len() < needed {
            let text = format!(
                "removing this key group will make the Shamir threshold impossible to satisfy: \
                 Shamir threshold is {needed}, but we only have {} key groups",
                groups.len()
            );
            return Err(refusal(Code::Generic, text));
        }
        Ok(groups)
    })
}

fn change(
    settings: &Settings,
    subject: &Subject,
    target: &Target,
    threshold: Option<usize>,
    groups: impl FnOnce(Vec<Vec<WrappingKey>>, usize) -> Result<Vec<Vec<WrappingKey>>, Refusal>,
) -> Done {
    let desk = Desk::new(settings, None)?;
    let _lock = desk.lock(subject, target)?;
    let mut keys = desk.context.keys();
    let file = desk.file(subject)?;
    let of =
        |error: Problem, tried: &[_]| refusals::of(&error, Doing::Opening, &subject.name, tried);
    let threshold = threshold.or(file.metadata().shamir_threshold);
    let groups = groups(file.metadata().wrapping_keys(), threshold.unwrap_or(0))?;
    let key = sops::key_of(&file, &mut keys).map_err(|error| of(error, keys.tried()))?;
    let writer = desk.writer(subject)?;
    let groups = Groups { keys: groups, threshold };
    let bytes = regroup(&file, &key, groups, subject.output, &writer, &keys);
    let bytes = bytes.map_err(|error| of(error, &[]))?;
    desk.put(subject, target, &Plaintext::new(bytes), Content::Sealed)
}
