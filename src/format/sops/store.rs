//! The five kinds of documents that sops encrypts, and what each of their modules can do: read a
//! text into a tree, print a tree as sops prints it, put changed values back into the text, and
//! set or remove one value of a text. Knows no key and no path but for its extension.

use std::fmt;
use std::path::Path;

use super::tree::{Map, Node, Tree};
use super::{binary, dotenv, ini, json, yaml};
use crate::plaintext::Plaintext;

/// A kind of document (`--input-type` and `--output-type` of sops).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// `.yaml`, `.yml`
    Yaml,
    /// `.json`
    Json,
    /// `.env`
    Dotenv,
    /// `.ini`
    Ini,
    /// Anything else: JSON with the whole file as one value, `data`.
    Binary,
}

/// What the canonical writer leaves to the rules (`stores` of `.sops.yaml`, `--indent`).
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

/// What becomes of the metadata when values are put back into a text.
#[derive(Debug, Clone, Copy)]
pub enum MetadataEdit<'a> {
    /// It stays as it is.
    Keep,
    /// It is cut out.
    Remove,
    /// It is replaced, or put at the end of every document where there is none.
    Put(&'a Map),
}

/// One step of the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list, from 0, comments not counted.
    Index(usize),
}

impl Store {
    /// By the end of the name, as sops does: what is not known is binary.
    pub fn of_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            Some("env") => Self::Dotenv,
            Some("ini") => Self::Ini,
            Some(_) | None => Self::Binary,
        }
    }

    /// By the name that sops gives it on its command line.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "dotenv" => Some(Self::Dotenv),
            "ini" => Some(Self::Ini),
            "binary" => Some(Self::Binary),
            _ => None,
        }
    }

    /// Reads a document that is or may be encrypted: metadata is taken out of the root.
    ///
    /// # Errors
    /// [`ParseError`] with the place.
    pub fn read(self, text: &Plaintext) -> Result<Tree, ParseError> {
        match self {
            Self::Yaml => yaml::read(text),
            Self::Json | Self::Binary => json::read(text),
            Self::Dotenv => dotenv::read(text),
            Self::Ini => ini::read(text),
        }
    }

    /// Reads a document that is not encrypted. As [`Store::read`], but a binary one is its bytes.
    ///
    /// # Errors
    /// [`ParseError`] with the place.
    pub fn read_plain(self, text: &Plaintext) -> Result<Tree, ParseError> {
        match self {
            Self::Binary => Ok(binary::read_plain(text)),
            Self::Yaml | Self::Json | Self::Dotenv | Self::Ini => self.read(text),
        }
    }

    /// Prints a tree as the newest sops prints it, byte for byte, with metadata where given. A
    /// binary document without metadata is its `data` alone.
    ///
    /// # Errors
    /// What this kind of document cannot say.
    pub fn print(
        self,
        tree: &Tree,
        metadata: Option<&Map>,
        layout: &Layout,
    ) -> Result<Plaintext, StoreError> {
        match self {
            Self::Yaml => yaml::print(tree, metadata, layout.yaml_indent),
            Self::Json => json::print(tree, metadata, layout.json_indent),
            Self::Dotenv => dotenv::print(tree, metadata),
            Self::Ini => ini::print(tree, metadata),
            Self::Binary => binary::print(tree, metadata, layout.binary_indent),
        }
    }

    /// Puts the changed values of a tree back into the text it was read from; every other byte
    /// stays.
    ///
    /// # Errors
    /// Where a value cannot be changed alone.
    pub fn splice(
        self,
        text: &Plaintext,
        tree: &Tree,
        metadata: MetadataEdit<'_>,
    ) -> Result<Plaintext, StoreError> {
        match self {
            Self::Yaml => yaml::splice(text, tree, metadata),
            Self::Json => json::splice(text, tree, metadata),
            Self::Dotenv => dotenv::splice(text, tree, metadata),
            Self::Ini => ini::splice(text, tree, metadata),
            Self::Binary => binary::splice(text, tree, metadata),
        }
    }

    /// Sets one value of a document that is not encrypted, in its first document; keys that are
    /// missing on the way are made, an index behind the last item appends.
    ///
    /// # Errors
    /// A way that leads through a value without parts; a value that this kind cannot hold.
    pub fn set(
        self,
        text: &Plaintext,
        way: &[Step],
        value: &Node,
    ) -> Result<Plaintext, StoreError> {
        match self {
            Self::Yaml => yaml::set(text, way, value),
            Self::Json => json::set(text, way, value),
            Self::Dotenv => dotenv::set(text, way, value),
            Self::Ini => ini::set(text, way, value),
            Self::Binary => binary::set(way, value),
        }
    }

    /// Removes one value of a document that is not encrypted; `None` where it is not there.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn unset(self, text: &Plaintext, way: &[Step]) -> Result<Option<Plaintext>, StoreError> {
        match self {
            Self::Yaml => yaml::unset(text, way),
            Self::Json => json::unset(text, way),
            Self::Dotenv => dotenv::unset(text, way),
            Self::Ini => ini::unset(text, way),
            Self::Binary => Err(StoreError::new("a binary document has no parts")),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yaml => "YAML",
            Self::Json => "JSON",
            Self::Dotenv => "dotenv",
            Self::Ini => "INI",
            Self::Binary => "binary",
        })
    }
}

/// A text that is no document of its kind. Never holds any of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1; 0 where it is about the whole.
    pub line: usize,
    /// Column in characters, from 1; 0 where only the line is known.
    pub column: usize,
    /// A clause that says what is wrong.
    pub what: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}", self.line)?;
            if self.column > 0 {
                write!(f, ", column {}", self.column)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(self.what)
    }
}

impl std::error::Error for ParseError {}

/// What a kind of document cannot hold, or cannot change alone. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    /// Keys and indices on the way to the value; empty where it is about the whole.
    pub way: Vec<Step>,
    /// A clause that says what is wrong.
    pub what: &'static str,
    /// Whether the canonical writer could do it.
    pub canonical_can: bool,
}

impl StoreError {
    /// About the whole document.
    pub fn new(what: &'static str) -> Self {
        Self { way: Vec::new(), what, canonical_can: false }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.way.is_empty() {
            write!(f, "`{}`: ", Way(&self.way))?;
        }
        f.write_str(self.what)
    }
}

impl std::error::Error for StoreError {}

/// A way, as sops writes it: `["a"][0]`.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a>(pub &'a [Step]);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.0 {
            match step {
                Step::Key(key) => write!(f, "[{}]", serde_json::Value::from(key.as_str()))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
