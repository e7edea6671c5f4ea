//! A document as sops sees it: maps, lists, values and comments in order, each with its place in
//! the text it was read from, so that a writer can change single values and leave the rest.
//!
//! Follows `TreeBranch` of sops (`sops.go`). Every value is held as [`Plaintext`], encrypted ones
//! too, since nothing tells beforehand which are secret. Knows no format and no key.

use std::ops::Range;

use crate::plaintext::Plaintext;

/// Most levels of maps and lists.
pub const MAX_DEPTH: usize = 256;
/// Most values, entries and comments of a file, aliases spread out.
pub const MAX_NODES: usize = 1_000_000;

/// All documents of a file. Only YAML has more than one.
#[derive(Debug, Default)]
pub struct Tree {
    /// In order.
    pub documents: Vec<Document>,
}

/// One document.
#[derive(Debug, Default)]
pub struct Document {
    /// What the users put into it; without the metadata of sops.
    pub root: Map,
    /// The metadata of sops, where it has some.
    pub metadata: Option<Map>,
    /// The bytes of the document in the text, markers left out.
    pub span: Range<usize>,
    /// The bytes to be cut for a document without metadata.
    pub metadata_span: Option<Range<usize>>,
    /// Whether the text has values that are in no map, and that sops passes over: no MAC covers them.
    pub passed_over: bool,
}

/// A map; duplicate keys stay where the format allows them.
#[derive(Debug, Default)]
pub struct Map {
    /// In order.
    pub items: Vec<MapItem>,
}

/// What stands in a map.
#[derive(Debug)]
pub enum MapItem {
    /// A comment of the map.
    Comment(Comment),
    /// A key and its value.
    Entry(Entry),
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry {
    /// The key, unescaped.
    pub key: String,
    /// Where the key stands in the text.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

/// A list.
#[derive(Debug, Default)]
pub struct List {
    /// In order.
    pub items: Vec<ListItem>,
}

/// What stands in a list.
#[derive(Debug)]
pub enum ListItem {
    /// A comment of the list.
    Comment(Comment),
    /// An item.
    Value(Node),
}

/// A value of any kind.
#[derive(Debug)]
pub enum Node {
    /// A map.
    Map(Map),
    /// A list.
    List(List),
    /// A value without parts.
    Leaf(Leaf),
}

/// A value without parts.
#[derive(Debug)]
pub struct Leaf {
    /// The value.
    pub value: Value,
    /// Where it stands in the text; `None` for what was not read.
    pub spot: Option<Spot>,
    /// What the lossless writer is to do with it.
    pub write: Write,
}

/// A comment.
#[derive(Debug)]
pub struct Comment {
    /// The text after the `#`.
    pub text: Plaintext,
    /// Where it stands in the text, from the `#` on (old list comments: the whole item).
    pub spot: Option<Spot>,
    /// Whether it stands behind a value on its line.
    pub inline: bool,
    /// What the lossless writer is to do with it.
    pub write: Write,
}

/// What the lossless writer does with a value or comment.
#[derive(Debug, Default)]
pub enum Write {
    /// Its bytes stay.
    #[default]
    Keep,
    /// The value is written anew, in a style as near to the old one as can be.
    Value,
    /// These bytes are written (an unchanged ciphertext, with the quotes that it had).
    Token(Plaintext),
}

/// Where a value stands, and how it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Bytes of the text, quotes included, anchors and tags left out.
    pub span: Range<usize>,
    /// How it is written.
    pub style: Style,
    /// Whether it stands inside `[…]` or `{…}` of YAML.
    pub flow: bool,
    /// Columns that a block scalar's lines must be indented by here, at least.
    pub indent: usize,
    /// Whether an alias or a merge key brings it here, or an anchor takes it elsewhere: then it
    /// cannot be changed alone.
    pub shared: bool,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// Not there at all (`key:`).
    Absent,
}

/// A value. Numbers keep the text of the document, so that no digit is lost.
#[derive(Debug)]
pub enum Value {
    /// `null`, never encrypted.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Decimal digits, with `-` where it is negative, that fit 64 bits with sign.
    Int(Plaintext),
    /// A number that Go's `strconv.ParseFloat` takes, in the digits of the document.
    Float(Plaintext),
    /// RFC 3339.
    Time(Plaintext),
    /// Text, or any bytes.
    Str(Plaintext),
}

impl Leaf {
    /// A value that was not read from a text.
    pub fn new(value: Value) -> Self {
        Self { value, spot: None, write: Write::Value }
    }

    /// A text that was not read from a text.
    pub fn text(text: &str) -> Self {
        Self::new(Value::Str(Plaintext::copy_of(text.as_bytes())))
    }
}

impl Tree {
    /// Another of the same values; for writers that change them first.
    #[must_use]
    pub fn copy(&self) -> Self {
        let of_document = |document: &Document| Document {
            root: document.root.copy(),
            metadata: document.metadata.as_ref().map(Map::copy),
            span: document.span.clone(),
            metadata_span: document.metadata_span.clone(),
            passed_over: document.passed_over,
        };
        Self { documents: self.documents.iter().map(of_document).collect() }
    }
}

impl Node {
    /// Another of the same values.
    #[must_use]
    pub fn copy(&self) -> Self {
        match self {
            Self::Map(map) => Self::Map(map.copy()),
            Self::List(list) => Self::List(list.copy()),
            Self::Leaf(leaf) => Self::Leaf(leaf.copy()),
        }
    }
}

impl Leaf {
    fn copy(&self) -> Self {
        let value = match &self.value {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(*value),
            Value::Int(text) => Value::Int(copy(text)),
            Value::Float(text) => Value::Float(copy(text)),
            Value::Time(text) => Value::Time(copy(text)),
            Value::Str(text) => Value::Str(copy(text)),
        };
        Self { value, spot: self.spot.clone(), write: self.write.copy() }
    }
}

impl Comment {
    fn copy(&self) -> Self {
        let (spot, write) = (self.spot.clone(), self.write.copy());
        Self { text: copy(&self.text), spot, inline: self.inline, write }
    }
}

impl Write {
    fn copy(&self) -> Self {
        match self {
            Self::Keep => Self::Keep,
            Self::Value => Self::Value,
            Self::Token(token) => Self::Token(copy(token)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "from one tree, which is wiped, into another")]
fn copy(text: &Plaintext) -> Plaintext {
    Plaintext::copy_of(text.expose())
}

impl Map {
    /// Another of the same values.
    #[must_use]
    pub fn copy(&self) -> Self {
        let of_item = |item: &MapItem| match item {
            MapItem::Comment(comment) => MapItem::Comment(comment.copy()),
            MapItem::Entry(Entry { key, key_span, value }) => MapItem::Entry(Entry {
                key: key.clone(),
                key_span: key_span.clone(),
                value: value.copy(),
            }),
        };
        Self { items: self.items.iter().map(of_item).collect() }
    }

    /// The value of a key: the first, where there are several.
    pub fn find(&self, key: &str) -> Option<&Node> {
        self.entries().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The entries, comments left out.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.iter().filter_map(|item| match item {
            MapItem::Entry(entry) => Some(entry),
            MapItem::Comment(_) => None,
        })
    }

    /// Adds an entry that was not read from a text.
    pub fn push(&mut self, key: &str, value: Node) {
        self.items.push(MapItem::Entry(Entry { key: key.to_owned(), key_span: 0..0, value }));
    }
}

impl List {
    fn copy(&self) -> Self {
        let of_item = |item: &ListItem| match item {
            ListItem::Comment(comment) => ListItem::Comment(comment.copy()),
            ListItem::Value(node) => ListItem::Value(node.copy()),
        };
        Self { items: self.items.iter().map(of_item).collect() }
    }

    /// The items, comments left out.
    pub fn values(&self) -> impl Iterator<Item = &Node> {
        self.items.iter().filter_map(|item| match item {
            ListItem::Value(node) => Some(node),
            ListItem::Comment(_) => None,
        })
    }
}
