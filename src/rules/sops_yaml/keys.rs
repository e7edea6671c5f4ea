//! The keys of a creation rule: flat lists and key groups, each key a reader with the best name
//! that the file gives it.

use std::collections::BTreeMap;

use crate::key::wrapping::WrappingKey;

use super::super::build::unique;
use super::super::error::ProblemKind;
use super::super::yaml::{Kind, Node};
use super::super::{Group, Reader, ReaderKind, key_text};
use super::Sops;

/// The lists of keys of a rule without groups, in the order in which sops joins them.
pub(super) const FLAT_FIELDS: &[&str] =
    &["age", "pgp", "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault_transit_uri"];
const GROUP_FIELDS: &[&str] =
    &["merge", "age", "pgp", "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault"];
const KMS_FIELDS: &[&str] = &["arn", "role", "context", "aws_profile"];
const AZURE_FIELDS: &[&str] = &["vaultUrl", "key", "version"];
/// Where the name of a reader comes from; the best is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The key itself, or the comment of an SSH key.
    Key,
    /// A comment of the file.
    Remark,
    /// A YAML anchor.
    Anchor,
}

/// One key as it was said.
struct Text<'n> {
    text: String,
    /// Place and names.
    node: &'n Node,
}

impl Sops<'_> {
    /// The keys of a rule without groups.
    pub(super) fn flat(&mut self, fields: &[(&str, &Node)]) -> Vec<usize> {
        let value = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let profile = value("aws_profile")
            .and_then(|node| self.reading.string(node, "`aws_profile`").map(|said| said.text));
        let profile = profile.unwrap_or_default();
        let mut readers = Vec::new();
        for name in FLAT_FIELDS.iter().copied() {
            let Some(node) = value(name) else { continue };
            let parse = |text: &str| match name {
                "pgp" => key_text::pgp(text),
                "kms" => key_text::kms(text, &profile),
                "gcp_kms" => key_text::gcp_kms(text),
                "hckms" => key_text::hckms(text),
                "azure_keyvault" => key_text::azure(text),
                _ => key_text::vault(text),
            };
            readers.extend(self.texts(node, name, true, &parse));
        }
        unique(readers)
    }

    /// The keys of a group, those of merged groups first.
    pub(super) fn group(&mut self, node: &Node) -> Vec<usize> {
        let fields = self.fields(node, "a key group", GROUP_FIELDS);
        let mut readers = Vec::new();
        for name in GROUP_FIELDS.iter().copied() {
            let Some((_, node)) = fields.iter().find(|(n, _)| *n == name) else { continue };
            match name {
                "merge" => {
                    for group in self.items(node, "`merge`") {
                        readers.extend(self.group(group));
                    }
                }
                "age" => readers.extend(self.texts(node, name, true, &key_text::pgp)),
                "pgp" => readers.extend(self.texts(node, name, false, &key_text::pgp)),
                "hc_vault" => readers.extend(self.texts(node, name, false, &key_text::vault)),
                _ => {
                    for item in self.items(node, &format!("`{name}`")) {
                        let key = self.structured(item, name);
                        readers.extend(key.and_then(|key| self.known(key, name, item, None)));
                    }
                }
            }
        }
        unique(readers)
    }

    /// A key of a group that is written as a mapping.
    fn structured(&mut self, item: &Node, list: &str) -> Option<Result<WrappingKey, &'static str>> {
        let known: &'static [&'static str] = match list {
            "kms" => KMS_FIELDS,
            "gcp_kms" => &["resource_id"],
            "hckms" => &["key_id"],
            _ => AZURE_FIELDS,
        };
        let before = self.reading.problems.len();
        let fields = self.fields(item, &format!("each element of `{list}`"), known);
        let mut texts = BTreeMap::new();
        let mut context = BTreeMap::new();
        for (name, node) in fields {
            if name == "context" {
                for (key, value) in self.reading.entries(node, "`context`") {
                    let value = self.reading.string(value, "each value of `context`");
                    let key = key.text().unwrap_or_default().to_owned();
                    context.extend(value.map(|said| (key, said.text)));
                }
            } else if let Some(said) = self.reading.string(node, &format!("`{name}`")) {
                texts.insert(name, said.text);
            }
        }
        if self.reading.problems.len() > before {
            return None;
        }
        let mut take = |name: &str| texts.remove(name).unwrap_or_default();
        Some(match list {
            "kms" => {
                let role = Some(take("role")).filter(|role| !role.is_empty());
                key_text::kms_of(take("arn"), role, context, &take("aws_profile"))
            }
            "gcp_kms" => key_text::gcp_kms(&take("resource_id")),
            "hckms" => key_text::hckms(&take("key_id")),
            _ => key_text::azure_of(&take("vaultUrl"), &take("key"), &take("version")),
        })
    }

    /// The readers of a text or a list of texts, `split` at commas. `parse` is for all but age.
    fn texts(
        &mut self,
        node: &Node,
        list: &str,
        split: bool,
        parse: &dyn Fn(&str) -> Result<WrappingKey, &'static str>,
    ) -> Vec<usize> {
        let nodes: Vec<&Node> = match &node.kind {
            Kind::List { items, .. } => items.iter().collect(),
            Kind::Scalar { .. } | Kind::Map { .. } => vec![node],
        };
        let mut texts = Vec::new();
        for node in nodes {
            let what = format!("each key of `{list}`");
            let Some(said) = self.text(node, &what) else { continue };
            let parts = said.split(|c| split && c == ',').map(str::trim);
            let parts = parts.filter(|part| !part.is_empty());
            texts.extend(parts.map(|part| Text { text: part.to_owned(), node }));
        }
        let mut readers = Vec::new();
        for Text { text, node } in texts {
            readers.extend(match list {
                "age" => self.age(&text, node),
                _ => self.known(parse(&text), list, node, None),
            });
        }
        if let (Some(name), Kind::List { .. }) = (&node.anchor, &node.kind) {
            let group = Group {
                name: name.clone(),
                members: unique(readers.clone()),
                place: self.reading.at(node),
            };
            if !self.rules.groups.contains(&group) {
                self.rules.groups.push(group);
            }
        }
        readers
    }

    /// A text, or a number that stands for one.
    fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = node.text().filter(|_| !node.is_null());
        if text.is_none() {
            let expected = "a string: one list in another can be joined by `merge` in `key_groups` \
                            alone";
            let plain = "a string";
            let is_list = matches!(node.kind, Kind::List { .. });
            self.reading.wrong(node, what, if is_list { expected } else { plain });
        }
        text
    }

    fn age(&mut self, text: &str, node: &Node) -> Option<usize> {
        match self.keys.parse(text) {
            Ok(recipient) => {
                let comment = recipient.comment().map(str::to_owned);
                let comment = comment.or_else(|| Some(recipient.short()));
                self.known(Ok(WrappingKey::Age(recipient)), "age", node, comment)
            }
            Err(source) => {
                let owner = owner(node, "age");
                self.reading.say(node, ProblemKind::Key { owner, source });
                None
            }
        }
    }

    /// The reader with a key, declared where it is new.
    fn known(
        &mut self,
        key: Result<WrappingKey, &'static str>,
        list: &str,
        node: &Node,
        own_name: Option<String>,
    ) -> Option<usize> {
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                let owner = owner(node, list);
                self.reading.say(node, ProblemKind::OtherKey { owner, why });
                return None;
            }
        };
        let (rank, name) = match (&node.anchor, &node.remark) {
            (Some(anchor), _) => (Rank::Anchor, anchor.clone()),
            (None, Some(remark)) => (Rank::Remark, remark.clone()),
            (None, None) => (Rank::Key, own_name.unwrap_or_else(|| key.name())),
        };
        let place = self.reading.at(node);
        let found = self.rules.readers.iter().position(|r| r.keys().next().as_ref() == Some(&key));
        if let Some(index) = found {
            if let (Some(known), Some(reader)) =
                (self.ranks.get_mut(index), self.rules.readers.get_mut(index))
                && *known < rank
            {
                *known = rank;
                (reader.name, reader.place) = (name, place);
            }
            return Some(index);
        }
        let mut reader = Reader {
            name,
            kind: ReaderKind::Key,
            recipients: Vec::new(),
            sops_only: Vec::new(),
            place,
        };
        if let WrappingKey::Age(recipient) = key {
            reader.recipients.push(recipient);
        } else {
            reader.sops_only.push(key);
        }
        self.rules.readers.push(reader);
        self.ranks.push(rank);
        self.ranks.len().checked_sub(1)
    }
}

/// Whose key it is, for messages.
fn owner(node: &Node, list: &str) -> String {
    match &node.anchor {
        Some(name) => format!("the key `{name}`"),
        None => format!("a key of `{list}`"),
    }
}
