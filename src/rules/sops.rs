//! What a rule says of sops files alone: groups of keys, which values are encrypted, how the
//! canonical writer indents. In words of `rules` and `key`; `work` hands them on to `format`.

use crate::key::wrapping::WrappingKey;
use crate::place::Place;

use super::{Rule, Rules};

/// What ends the keys of values that stay as they are, where nothing else is said.
pub const DEFAULT_SUFFIX: &str = "_unencrypted";

/// The part of a rule that matters for sops files alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SopsRule {
    /// Indices into [`Rules::readers`], a list for each share of the data key. Empty where the
    /// data key is not split: then the readers of the rule are the one group.
    pub groups: Vec<Vec<usize>>,
    /// How many groups are needed to open a file, where the rule says so.
    pub threshold: Option<usize>,
    /// Which values are encrypted, where the rule says so.
    pub selector: Option<Selector>,
    /// Whether the MAC is over encrypted values alone.
    pub mac_only_encrypted: bool,
}

/// Which values of a document are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// One of the six kinds.
    pub kind: SelectorKind,
    /// The suffix, or the regular expression of Go.
    pub text: String,
}

/// The six ways to choose values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorKind {
    /// All but those below a key that ends so.
    UnencryptedSuffix,
    /// Those below a key that ends so.
    EncryptedSuffix,
    /// All but those below a key that matches.
    UnencryptedRegex,
    /// Those below a key that matches.
    EncryptedRegex,
    /// All but those with a comment that matches.
    UnencryptedCommentRegex,
    /// Those with a comment that matches.
    EncryptedCommentRegex,
}

impl SelectorKind {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::UnencryptedSuffix,
        Self::EncryptedSuffix,
        Self::UnencryptedRegex,
        Self::EncryptedRegex,
        Self::UnencryptedCommentRegex,
        Self::EncryptedCommentRegex,
    ];

    /// The name in `.sops.yaml` and in the metadata of a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    /// The name in `secretctl.yaml`.
    pub fn native_name(self) -> &'static str {
        match self {
            Self::UnencryptedSuffix => "unencryptedSuffix",
            Self::EncryptedSuffix => "encryptedSuffix",
            Self::UnencryptedRegex => "unencryptedRegex",
            Self::EncryptedRegex => "encryptedRegex",
            Self::UnencryptedCommentRegex => "unencryptedCommentRegex",
            Self::EncryptedCommentRegex => "encryptedCommentRegex",
        }
    }

    /// Whether the text is a regular expression.
    pub fn is_regex(self) -> bool {
        !matches!(self, Self::UnencryptedSuffix | Self::EncryptedSuffix)
    }
}

/// How the canonical writer indents (`stores` of `.sops.yaml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Spaces a level of YAML.
    pub yaml_indent: usize,
    /// Spaces a level of JSON; `None` is one tab.
    pub json_indent: Option<usize>,
    /// The same for the JSON of binary files.
    pub binary_indent: Option<usize>,
}

impl Default for Layout {
    fn default() -> Self {
        Self { yaml_indent: 4, json_indent: None, binary_indent: None }
    }
}

/// Who is to read a sops file, and how it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SopsReaders {
    /// One list for each share of the data key; one alone where it is not split. A list is empty
    /// only where it is the one list.
    pub groups: Vec<Vec<NamedKey>>,
    /// How many groups are needed, where the rule says so.
    pub threshold: Option<usize>,
    /// Which values are encrypted, where the rule says so.
    pub selector: Option<Selector>,
    /// Whether the MAC is over encrypted values alone.
    pub mac_only_encrypted: bool,
    /// How the canonical writer indents.
    pub layout: Layout,
}

/// A key with the name of its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// The key.
    pub key: WrappingKey,
    /// The reader's name.
    pub reader: String,
    /// Where the reader was declared.
    pub place: Place,
}

impl Rules {
    /// What a rule of these says of a sops file. Each key is once in a group.
    pub fn wrapping(&self, rule: &Rule) -> SopsReaders {
        let one = [rule.readers.clone()];
        let groups = if rule.sops.groups.is_empty() { &one } else { rule.sops.groups.as_slice() };
        SopsReaders {
            groups: groups.iter().map(|group| self.keys(group)).collect(),
            threshold: rule.sops.threshold,
            selector: rule.sops.selector.clone(),
            mac_only_encrypted: rule.sops.mac_only_encrypted,
            layout: self.layout,
        }
    }

    fn keys(&self, readers: &[usize]) -> Vec<NamedKey> {
        let mut keys: Vec<NamedKey> = Vec::new();
        for reader in readers.iter().filter_map(|index| self.readers.get(*index)) {
            for key in reader.keys() {
                if !keys.iter().any(|named| named.key == key) {
                    let (reader, place) = (reader.name.clone(), reader.place.clone());
                    keys.push(NamedKey { key, reader, place });
                }
            }
        }
        keys
    }
}
