//! The metadata of a sops file: who holds the data key, which values are encrypted, the MAC.
//!
//! Follows `stores/stores.go` and `stores/metadata.go` of sops 3.13; reads that of every version
//! since 3.0, and as loosely as sops does: numbers for texts, `null` for lists. What is not known
//! is kept. Knows no format: stores hand it a tree and get one back.

mod entry;

use std::collections::BTreeMap;
use std::fmt;

use super::select;
use super::tree::{Leaf, List, ListItem, Map, Node, Value};
use crate::key::wrapping::{WrappingKey, WrappingKind};
use crate::plaintext::Plaintext;

/// The version of sops whose shape is written, and that a file gets which has none.
pub const VERSION: &str = "3.13.3";

/// The metadata of a file.
#[derive(Debug)]
pub struct Metadata {
    /// Groups of keys; one, where there is no sharing.
    pub groups: Vec<Vec<WrappedKey>>,
    /// How many groups are needed, where the file says so.
    pub shamir_threshold: Option<usize>,
    /// RFC 3339, as it stands.
    pub last_modified: String,
    /// The encrypted MAC; `None` where there is none.
    pub mac: Option<String>,
    /// Whether the MAC is over encrypted values alone.
    pub mac_only_encrypted: bool,
    /// Which values are encrypted; `None` where the file says nothing, as those of binary files
    /// do, which is the default.
    pub rule: Option<select::Rule>,
    /// The version of sops, or of whoever wrote it; may be missing.
    pub version: Option<String>,
    /// Fields that we do not know.
    pub unknown: Vec<(String, Node)>,
    /// Fields of groups that we do not know, by the number of the group; such as keys of kinds
    /// that are yet to come.
    pub unknown_of_groups: BTreeMap<usize, Vec<(String, Node)>>,
}

/// The data key, or a share of it, for one key.
#[derive(Debug)]
pub struct WrappedKey {
    /// The key.
    pub key: WrappingKey,
    /// What it holds, as it stands.
    pub enc: String,
    /// When it was wrapped, RFC 3339; age keys have none.
    pub created_at: Option<String>,
    /// The recipient as it stands, where we would write it in another way.
    pub spelling: Option<String>,
    /// Fields that we do not know.
    pub unknown: Vec<(String, Node)>,
}

impl Metadata {
    /// That of a new file, without keys and MAC: `key::data_key` and who encrypts fill it.
    pub fn new(rule: Option<select::Rule>, last_modified: &str) -> Self {
        Self {
            groups: Vec::new(),
            shamir_threshold: None,
            last_modified: last_modified.to_owned(),
            mac: None,
            mac_only_encrypted: false,
            rule,
            version: Some(VERSION.to_owned()),
            unknown: Vec::new(),
            unknown_of_groups: BTreeMap::new(),
        }
    }

    /// From the tree that a store took out of a document.
    ///
    /// # Errors
    /// [`MetadataError`], which names the field.
    pub fn read(map: &Map) -> Result<Self, MetadataError> {
        let mut fields = Fields::of(map, "");
        let direct = read_group(&mut fields)?;
        let mut unknown_of_groups = BTreeMap::new();
        // Lists at the top win, and what they win over goes, as with sops.
        let listed = fields.maps("key_groups")?;
        let groups = if direct.is_empty() {
            let mut groups = Vec::with_capacity(listed.len());
            for (index, (name, group)) in listed.into_iter().enumerate() {
                let mut fields = Fields::of(group, &name);
                groups.push(read_group(&mut fields)?);
                let rest = fields.rest();
                if !rest.is_empty() {
                    unknown_of_groups.insert(index, rest);
                }
            }
            groups
        } else {
            vec![direct]
        };
        let metadata = Self {
            groups,
            shamir_threshold: fields.number("shamir_threshold")?.filter(|number| *number > 0),
            last_modified: fields.text("lastmodified")?.unwrap_or_default(),
            mac: fields.text("mac")?,
            mac_only_encrypted: fields.flag("mac_only_encrypted")?,
            rule: read_rule(&mut fields)?,
            version: fields.text("version")?,
            unknown_of_groups,
            unknown: fields.rest(),
        };
        if metadata.last_modified.is_empty() {
            return Err(MetadataError::at("lastmodified", "is missing"));
        }
        // Each is tried in turn, and what gpg holds takes a process.
        if metadata.keys().nth(MAX_KEYS).is_some() {
            return Err(MetadataError::at("", "they name more than 4,096 keys"));
        }
        if metadata.groups.len() > MAX_GROUPS {
            return Err(MetadataError::at("key_groups", "has more groups than there are shares"));
        }
        if metadata.keys().next().is_none() {
            return Err(MetadataError::at("", "they name no key that could open the file"));
        }
        Ok(metadata)
    }

    /// As the newest sops writes it: in the order of the alphabet, empty fields left out.
    pub fn to_map(&self) -> Map {
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut put = |name: &str, node: Node| fields.push((name.to_owned(), node));
        if let [group] = self.groups.as_slice() {
            for kind in WrappingKind::ALL {
                let list = list_of(group, kind);
                if !list.items.is_empty() {
                    put(kind.name(), Node::List(list));
                }
            }
        } else {
            let groups = self.groups.iter().enumerate().map(|(index, group)| {
                let unknown = self.unknown_of_groups.get(&index);
                ListItem::Value(Node::Map(map_of_group(group, unknown)))
            });
            put("key_groups", Node::List(List { items: groups.collect() }));
        }
        put("lastmodified", text(&self.last_modified));
        put("mac", text(self.mac.as_deref().unwrap_or_default()));
        if self.mac_only_encrypted {
            put("mac_only_encrypted", Node::Leaf(Leaf::new(Value::Bool(true))));
        }
        if let Some(threshold) = self.shamir_threshold.filter(|threshold| *threshold > 0) {
            let digits = Plaintext::copy_of(threshold.to_string().as_bytes());
            put("shamir_threshold", Node::Leaf(Leaf::new(Value::Int(digits))));
        }
        if let Some(rule) = &self.rule {
            put(rule.name(), text(rule.text()));
        }
        put("version", text(self.version.as_deref().unwrap_or(VERSION)));
        // What was beside the keys of the one group there was is beside them again.
        let of_group = self.unknown_of_groups.get(&0).filter(|_| self.groups.len() == 1);
        for (name, node) in self.unknown.iter().chain(of_group.into_iter().flatten()) {
            put(name, copy(node));
        }
        sorted(fields)
    }

    /// All keys, those of the first group first.
    pub fn keys(&self) -> impl Iterator<Item = &WrappedKey> {
        self.groups.iter().flatten()
    }

    /// The keys of each group, to be changed and given to `data_key::wrap`.
    pub fn wrapping_keys(&self) -> Vec<Vec<WrappingKey>> {
        let keys = |group: &Vec<WrappedKey>| group.iter().map(|key| key.key.clone()).collect();
        self.groups.iter().map(keys).collect()
    }

    /// Removes a key from all groups, and says from how many. It does not lose what it has read
    /// already, and may have kept the data key.
    pub fn remove(&mut self, key: &WrappingKey) -> usize {
        let before = self.keys().count();
        for group in &mut self.groups {
            group.retain(|entry| !entry.key.same(key));
        }
        before.saturating_sub(self.keys().count())
    }

    /// How many groups must give their share: one, where there is but one group.
    pub fn needed_groups(&self) -> usize {
        match self.groups.len() {
            0 | 1 => 1,
            count => self.shamir_threshold.unwrap_or(count).clamp(2, count),
        }
    }

    /// Whether sops takes it for that of an encrypted file (`filestatus`).
    pub fn is_encrypted(&self) -> bool {
        self.mac.is_some() && self.version.is_some()
    }
}

fn read_group(fields: &mut Fields<'_>) -> Result<Vec<WrappedKey>, MetadataError> {
    let mut group = Vec::new();
    for kind in WrappingKind::ALL {
        for (name, entry) in fields.maps(kind.name())? {
            group.push(entry::read(kind, Fields::of(entry, &name))?);
        }
    }
    Ok(group)
}

fn read_rule(fields: &mut Fields<'_>) -> Result<Option<select::Rule>, MetadataError> {
    use select::Rule;
    let kinds: [fn(String) -> Rule; 6] = [
        Rule::UnencryptedSuffix,
        Rule::EncryptedSuffix,
        Rule::UnencryptedRegex,
        Rule::EncryptedRegex,
        Rule::UnencryptedCommentRegex,
        Rule::EncryptedCommentRegex,
    ];
    let mut rule = None;
    for kind in kinds {
        let name = kind(String::new()).name();
        if let Some(text) = fields.text(name)? {
            if rule.is_some() {
                return Err(MetadataError::at(name, "stands beside another rule of its kind"));
            }
            rule = Some(kind(text));
        }
    }
    Ok(rule)
}

fn list_of(group: &[WrappedKey], kind: WrappingKind) -> List {
    let of_kind = group.iter().filter(|entry| entry.key.kind() == kind);
    List { items: of_kind.map(|entry| ListItem::Value(Node::Map(entry::print(entry)))).collect() }
}

fn map_of_group(group: &[WrappedKey], unknown: Option<&Vec<(String, Node)>>) -> Map {
    let mut fields = Vec::new();
    for kind in WrappingKind::ALL {
        let list = list_of(group, kind);
        // These two are there even when they are empty.
        if !list.items.is_empty() || matches!(kind, WrappingKind::Age | WrappingKind::HcVault) {
            fields.push((kind.name().to_owned(), Node::List(list)));
        }
    }
    fields.extend(unknown.into_iter().flatten().map(|(name, node)| (name.clone(), copy(node))));
    sorted(fields)
}

/// The fields of a map that are not read yet. Of duplicates the last counts, as with sops.
struct Fields<'a> {
    place: String,
    left: BTreeMap<&'a str, &'a Node>,
}

impl<'a> Fields<'a> {
    fn of(map: &'a Map, place: &str) -> Self {
        let left = map.entries().map(|entry| (entry.key.as_str(), &entry.value)).collect();
        Self { place: place.to_owned(), left }
    }

    fn name(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }

    fn error(&self, field: &str, what: &'static str) -> MetadataError {
        MetadataError { field: self.name(field), what }
    }

    /// A text; `None` for one that is missing, `null` or empty.
    fn text(&mut self, field: &str) -> Result<Option<String>, MetadataError> {
        match self.left.remove(field) {
            None => Ok(None),
            Some(Node::Leaf(leaf)) => {
                let text = text_of(&leaf.value).ok_or_else(|| self.error(field, "is not text"))?;
                Ok(Some(text).filter(|text| !text.is_empty()))
            }
            // sops takes an empty list or map for nothing, for those were written once.
            Some(node) if is_empty(node) => Ok(None),
            Some(_) => Err(self.error(field, "is a list or map and should be a text")),
        }
    }

    fn number(&mut self, field: &str) -> Result<Option<usize>, MetadataError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let digits = text.strip_suffix(".0").unwrap_or(&text);
        digits.parse().map(Some).map_err(|_| self.error(field, "is not a number of groups"))
    }

    /// `1 t T true TRUE True` and any number but 0 are true.
    fn flag(&mut self, field: &str) -> Result<bool, MetadataError> {
        let Some(text) = self.text(field)? else { return Ok(false) };
        match text.as_str() {
            "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            number => match number.parse::<f64>() {
                Ok(number) => Ok(number != 0.0),
                Err(_) => Err(self.error(field, "is neither true nor false")),
            },
        }
    }

    /// A list of maps, each with its name; one map alone stands for a list of one.
    fn maps(&mut self, field: &str) -> Result<Vec<(String, &'a Map)>, MetadataError> {
        let name = self.name(field);
        match self.left.remove(field) {
            None => Ok(Vec::new()),
            Some(node) if is_empty(node) => Ok(Vec::new()),
            Some(Node::Map(map)) => Ok(vec![(name, map)]),
            Some(Node::List(list)) => {
                let mut maps = Vec::new();
                for (index, item) in list.values().enumerate() {
                    let place = format!("{name}[{index}]");
                    match item {
                        Node::Map(map) => maps.push((place, map)),
                        Node::Leaf(_) | Node::List(_) => {
                            return Err(MetadataError { field: place, what: "is not a map" });
                        }
                    }
                }
                Ok(maps)
            }
            Some(Node::Leaf(_)) => Err(MetadataError { field: name, what: "is not a list" }),
        }
    }

    /// A map of texts.
    fn texts(&mut self, field: &str) -> Result<BTreeMap<String, String>, MetadataError> {
        let place = self.name(field);
        match self.left.remove(field) {
            None => Ok(BTreeMap::new()),
            Some(Node::Map(map)) => {
                let mut fields = Fields::of(map, &place);
                let names: Vec<&str> = fields.left.keys().copied().collect();
                let mut texts = BTreeMap::new();
                for name in names {
                    texts.insert(name.to_owned(), fields.text(name)?.unwrap_or_default());
                }
                Ok(texts)
            }
            Some(node) if is_empty(node) => Ok(BTreeMap::new()),
            Some(_) => Err(MetadataError { field: place, what: "is not a map" }),
        }
    }

    /// Copies of all that was not asked for.
    fn rest(self) -> Vec<(String, Node)> {
        self.left.into_iter().map(|(name, node)| (name.to_owned(), copy(node))).collect()
    }
}

/// Whether a node is `null`, an empty text, or a list or map without anything.
fn is_empty(node: &Node) -> bool {
    match node {
        Node::Map(map) => map.entries().next().is_none(),
        Node::List(list) => list.values().next().is_none(),
        Node::Leaf(leaf) => text_of(&leaf.value).is_some_and(|text| text.is_empty()),
    }
}

/// A value as sops turns it into a text; `None` for bytes that are none.
#[expect(clippy::disallowed_methods, reason = "metadata are no secret")]
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Int(text) | Value::Float(text) | Value::Time(text) | Value::Str(text) => {
            String::from_utf8(text.expose().to_vec()).ok()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "metadata are no secret")]
fn copy(node: &Node) -> Node {
    let same = |text: &Plaintext| Plaintext::copy_of(text.expose());
    match node {
        Node::Leaf(leaf) => Node::Leaf(Leaf::new(match &leaf.value {
            Value::Null => Value::Null,
            Value::Bool(flag) => Value::Bool(*flag),
            Value::Int(text) => Value::Int(same(text)),
            Value::Float(text) => Value::Float(same(text)),
            Value::Time(text) => Value::Time(same(text)),
            Value::Str(text) => Value::Str(same(text)),
        })),
        Node::List(list) => {
            let items = list.values().map(|item| ListItem::Value(copy(item))).collect();
            Node::List(List { items })
        }
        Node::Map(map) => {
            let mut copied = Map::default();
            for entry in map.entries() {
                copied.push(&entry.key, copy(&entry.value));
            }
            Node::Map(copied)
        }
    }
}

fn text(text: &str) -> Node {
    Node::Leaf(Leaf::text(text))
}

/// In the order of the alphabet; of two fields of one name the first stays.
fn sorted(mut fields: Vec<(String, Node)>) -> Map {
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields.dedup_by(|(later, _), (first, _)| later == first);
    let mut map = Map::default();
    for (name, node) in fields {
        map.push(&name, node);
    }
    map
}

/// Most keys of a file.
const MAX_KEYS: usize = 4096;
/// Most groups of keys: the number of a share is a byte that is not 0.
const MAX_GROUPS: usize = 255;

/// A field of the metadata that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataError {
    /// Its name, `kms[0].arn`; empty where it is about the whole.
    pub field: String,
    /// A clause that says what is wrong; its subject is the field.
    pub what: &'static str,
}

impl MetadataError {
    fn at(field: &str, what: &'static str) -> Self {
        Self { field: field.to_owned(), what }
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "the metadata of sops are of no use: {}", self.what),
            field => write!(f, "`{field}` in the metadata of sops {}", self.what),
        }
    }
}

impl std::error::Error for MetadataError {}

#[cfg(test)]
mod tests;
