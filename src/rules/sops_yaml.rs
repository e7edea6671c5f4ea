//! The rules of sops, `.sops.yaml`: creation rules, key groups, selectors, stores.
//!
//! Follows `config/config.go` of sops 3.13. Three things are different on purpose: keys that
//! stand twice in a rule are written once, a field that sops does not know is told of, and a rule
//! that is broken blocks its own files alone. The name of a YAML anchor is the name of its key.

mod keys;

use std::path::Path;

use crate::go_regex::Expressions;
use crate::place::Place;

use super::build::{Keys, nearest, unique};
use super::error::{Problem, ProblemKind, RulesError};
use super::reading::{Reading, syntax};
use super::yaml::{self, Kind, Node};
use super::{Layout, Pattern, Rule, Rules, Selector, SelectorKind, SopsRule, Source, native};
use keys::{FLAT_FIELDS, Rank};

/// The name of the file.
pub const FILE_NAME: &str = ".sops.yaml";
/// What people call it, and sops does not read.
pub const WRONG_NAME: &str = ".sops.yml";

const ROOT_FIELDS: &[&str] = &["creation_rules", "destination_rules", "stores"];
const RULE_FIELDS: &[&str] = &[
    "path_regex",
    "age",
    "pgp",
    "kms",
    "aws_profile",
    "gcp_kms",
    "hckms",
    "azure_keyvault",
    "hc_vault_transit_uri",
    "key_groups",
    "shamir_threshold",
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
    "mac_only_encrypted",
];
const DESTINATION_FIELDS: &[&str] = &[
    "path_regex",
    "s3_bucket",
    "s3_prefix",
    "gcs_bucket",
    "gcs_prefix",
    "vault_path",
    "vault_address",
    "vault_kv_mount_name",
    "vault_kv_version",
    "recreation_rule",
    "omit_extensions",
];
const STORE_FIELDS: &[&str] = &["dotenv", "ini", "json", "json_binary", "yaml"];
/// Wider than anybody indents.
const INDENT_LIMIT: i64 = 64;

/// What a `.sops.yaml` says.
#[derive(Debug)]
pub struct SopsYaml {
    /// `None` where there is no `creation_rules`: sops then does as if there was no file.
    pub rules: Option<Rules>,
    /// How the canonical writer indents; also in the rules.
    pub layout: Layout,
    /// `destination_rules`, which are for publishing.
    pub destinations: Option<Place>,
    /// What the user should hear of, such as fields that sops does not know.
    pub notes: Vec<String>,
}

/// Reads a rules file, given by its absolute path; its patterns are relative to its folder.
///
/// # Errors
/// [`RulesError::Read`], [`RulesError::TooLarge`], or problems outside of single rules.
pub fn load(file: &Path) -> Result<SopsYaml, RulesError> {
    parse(&native::read(file)?, file)
}

/// Parses the text of a rules file that lies at `file`, which must be absolute.
///
/// # Errors
/// [`RulesError::Problems`] where it is no YAML, or with what is wrong outside of single rules.
pub fn parse(text: &str, file: &Path) -> Result<SopsYaml, RulesError> {
    let root = yaml::parse_all(text).map_err(|error| syntax(file, error))?;
    let base = file.parent().unwrap_or(Path::new("/"));
    let mut sops = Sops {
        reading: Reading::new(file),
        notes: Vec::new(),
        rules: Rules::new(Source::Sops, file.to_owned(), base.to_owned()),
        ranks: Vec::new(),
        keys: Keys::default(),
        expressions: Expressions::default(),
    };
    let (mut has_rules, mut destinations) = (false, None);
    let fields = root.as_ref().map(|root| sops.root(root)).unwrap_or_default();
    for (name, value) in fields {
        match name {
            "creation_rules" => {
                has_rules = true;
                sops.creation_rules(value);
            }
            "destination_rules" => {
                destinations = Some(sops.reading.at(value));
                for item in sops.items(value, "`destination_rules`") {
                    sops.fields(item, "a destination rule", DESTINATION_FIELDS);
                }
            }
            _ => sops.stores(value),
        }
    }
    let Sops { reading: Reading { problems, .. }, mut rules, notes, .. } = sops;
    if !problems.is_empty() {
        return Err(RulesError::Problems { file: file.to_owned(), problems });
    }
    let layout = rules.layout;
    rules.groups.dedup_by(|a, b| a.name == b.name && a.members == b.members);
    Ok(SopsYaml { rules: has_rules.then_some(rules), layout, destinations, notes })
}

/// A `.sops.yaml` that is being read.
struct Sops<'a> {
    /// Its problems are those of the rule that is being read, or of the file.
    reading: Reading<'a>,
    notes: Vec<String>,
    rules: Rules,
    /// How good the names of the readers are.
    ranks: Vec<Rank>,
    keys: Keys,
    expressions: Expressions,
}

impl Sops<'_> {
    /// The known fields of the whole. People keep anchors under names of their own here, so only
    /// what looks like a slip is told of.
    fn root<'n>(&mut self, root: &'n Node) -> Vec<(&'n str, &'n Node)> {
        let mut known = Vec::new();
        for (key, value) in self.reading.entries(root, "the rules file") {
            match key.text() {
                Some(name) if ROOT_FIELDS.contains(&name) => known.push((name, value)),
                name => {
                    let name = name.unwrap_or_default();
                    if let Some(meant) = nearest(name, ROOT_FIELDS.iter().copied()) {
                        self.unknown(key, name, Some(meant));
                    }
                }
            }
        }
        known.retain(|(_, value)| !value.is_null());
        known
    }

    fn creation_rules(&mut self, node: &Node) {
        // An empty item is none for go-yaml, and no rule about every file.
        let items = self.items(node, "`creation_rules`").iter().filter(|item| !item.is_null());
        for item in items {
            let outside = std::mem::take(&mut self.reading.problems);
            let mut rule = self.rule(item);
            rule.problems = std::mem::replace(&mut self.reading.problems, outside);
            self.rules.push(rule);
        }
    }

    fn rule(&mut self, item: &Node) -> Rule {
        let fields = self.fields(item, "a creation rule", RULE_FIELDS);
        let value = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let pattern = value("path_regex").map_or(Pattern::Every, |node| self.path(node));
        let selector = self.selector(&fields);
        let mac_only_encrypted = value("mac_only_encrypted").is_some_and(|node| self.flag(node));
        let mut groups = Vec::new();
        if let Some(node) = value("key_groups") {
            let items = self.items(node, "`key_groups`").iter().filter(|item| !item.is_null());
            groups.extend(items.map(|group| self.group(group)));
        }
        if groups.is_empty() {
            groups.push(self.flat(&fields));
        } else {
            for (name, node) in fields.iter().filter(|(name, _)| FLAT_FIELDS.contains(name)) {
                let place = self.reading.at(node);
                self.notes.push(format!(
                    "{place}: sops passes over `{name}` where a rule has `key_groups`"
                ));
            }
        }
        let threshold = value("shamir_threshold").and_then(|node| self.threshold(node, &groups));
        let readers = unique(groups.iter().flatten().copied().collect());
        let groups = if groups.len() > 1 { groups } else { Vec::new() };
        if let Some(empty) = groups.iter().position(Vec::is_empty) {
            let number = empty.saturating_add(1);
            let node = value("key_groups").unwrap_or(item);
            self.reading.say(node, ProblemKind::EmptyGroup { number });
        }
        Rule {
            pattern,
            readers,
            armor: None,
            anonymous: false,
            sops: SopsRule { groups, threshold, selector, mac_only_encrypted },
            problems: Vec::new(),
            place: self.reading.at(item),
        }
    }

    /// The files. A broken expression is about all of them, as sops fails with all that come to
    /// it.
    fn path(&mut self, node: &Node) -> Pattern {
        let Some(said) = self.reading.string(node, "`path_regex`") else { return Pattern::Every };
        if said.text.is_empty() {
            return Pattern::Every;
        }
        match self.expressions.compile(&said.text) {
            Ok(regex) => Pattern::Regex(regex),
            Err(why) => {
                self.reading.say(node, ProblemKind::BadRegex { text: said.text, why });
                Pattern::Every
            }
        }
    }

    fn selector(&mut self, fields: &[(&str, &Node)]) -> Option<Selector> {
        let mut chosen: Option<Selector> = None;
        for (name, node) in fields {
            let kind = SelectorKind::ALL.into_iter().find(|kind| kind.name() == *name);
            let Some(kind) = kind else { continue };
            let said = self.reading.string(node, &format!("`{name}`"));
            let Some(said) = said.filter(|said| !said.text.is_empty()) else { continue };
            if let Some(first) = &chosen {
                let (first, second) = (first.kind.name(), kind.name());
                self.reading.say(node, ProblemKind::Selectors { first, second });
                continue;
            }
            if let (true, Err(why)) = (kind.is_regex(), self.expressions.compile(&said.text)) {
                self.reading.say(node, ProblemKind::BadRegex { text: said.text.clone(), why });
            }
            chosen = Some(Selector { kind, text: said.text });
        }
        chosen
    }

    fn threshold(&mut self, node: &Node, groups: &[Vec<usize>]) -> Option<usize> {
        let count = groups.len();
        let number = node.text().and_then(|text| text.parse::<usize>().ok());
        let Some(number) = number else {
            self.reading.wrong(node, "`shamir_threshold`", "a number");
            return None;
        };
        if count > 1 && number != 0 && !(2..=count).contains(&number) {
            self.reading.say(node, ProblemKind::Threshold { threshold: number, groups: count });
        }
        Some(number).filter(|number| *number > 0)
    }

    fn stores(&mut self, node: &Node) {
        for (name, store) in self.fields(node, "`stores`", STORE_FIELDS) {
            let known: &'static [&'static str] =
                if matches!(name, "dotenv" | "ini") { &[] } else { &["indent"] };
            for (_, node) in self.fields(store, &format!("`stores.{name}`"), known) {
                let what = format!("`stores.{name}.indent`");
                let Some(number) = node.text().and_then(|text| text.parse::<i64>().ok()) else {
                    self.reading.wrong(node, &what, "a number of spaces");
                    continue;
                };
                let least = if name == "yaml" { 0 } else { -1 };
                if !(least..=INDENT_LIMIT).contains(&number) {
                    // sops fails with it as late as it writes such a document.
                    let place = self.reading.at(node);
                    self.notes.push(format!(
                        "{place}: {what} must be from {least} to {INDENT_LIMIT}, and is passed over"
                    ));
                    continue;
                }
                let spaces = usize::try_from(number).ok();
                let layout = &mut self.rules.layout;
                match name {
                    // 0 is as if nothing was said.
                    "yaml" => layout.yaml_indent = spaces.filter(|n| *n > 0).unwrap_or(4),
                    "json" => layout.json_indent = spaces,
                    _ => layout.binary_indent = spaces,
                }
            }
        }
    }

    /// The fields of a mapping that sops knows and that are not empty; the others are told of.
    fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &'static [&'static str],
    ) -> Vec<(&'n str, &'n Node)> {
        let mut fields = Vec::new();
        if node.is_null() {
            return fields;
        }
        for (key, value) in self.reading.entries(node, what) {
            match key.text() {
                Some(name) if known.contains(&name) => fields.push((name, value)),
                name => {
                    let name = name.unwrap_or_default();
                    self.unknown(key, name, nearest(name, known.iter().copied()));
                }
            }
        }
        fields.retain(|(_, value)| !value.is_null());
        fields
    }

    fn unknown(&mut self, key: &Node, name: &str, meant: Option<String>) {
        let place = self.reading.at(key);
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        let note = format!("{place}: sops has no field `{name}` here and passes over it{meant}");
        // A merge key brings one mapping into many.
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::List { items, .. } => items,
            Kind::Scalar { .. } if node.is_null() => &[],
            Kind::Scalar { .. } | Kind::Map { .. } => {
                self.reading.wrong(node, what, "a list");
                &[]
            }
        }
    }

    /// A truth value in the words that go-yaml takes.
    fn flag(&mut self, node: &Node) -> bool {
        match node.text() {
            Some("true" | "True" | "TRUE" | "y" | "Y" | "yes" | "on") => true,
            Some("false" | "False" | "FALSE" | "n" | "N" | "no" | "off") => false,
            Some(_) | None => {
                self.reading.wrong(node, "`mac_only_encrypted`", "`true` or `false`");
                false
            }
        }
    }
}

/// A problem of a single rule, as an error of its file.
pub(super) fn rule_error(rules: &Rules, problems: &[Problem]) -> RulesError {
    RulesError::Problems { file: rules.file.clone(), problems: problems.to_vec() }
}

#[cfg(test)]
#[path = "sops_yaml_tests.rs"]
mod tests;
