//! The canonical writer: a tree as the emitter of go-yaml v3 writes it for sops (`emitterc.go`,
//! `encode.go`, `stores/yaml/store.go`), with its ways of joining, moving and losing comments.
//!
//! Decides nothing about values: numbers and times are printed as they stand.

use super::style;
use crate::format::sops::tree::{
    Comment, Leaf, List, ListItem, Map, MapItem, Node, Style, Tree, Value,
};
use crate::plaintext::Plaintext;

/// All documents; `metadata` becomes the last entry of each.
pub(super) fn print(tree: &Tree, metadata: Option<&Map>, indent: usize) -> Plaintext {
    let mut emitter = Emitter::new(indent);
    for (i, document) in tree.documents.iter().enumerate() {
        emitter.document(&document.root, metadata, i == 0);
    }
    emitter.out
}

/// One entry on lines of its own, for a document that has it not yet.
pub(super) fn print_entry(key: &str, value: &Map, indent: usize) -> Plaintext {
    let mut emitter = Emitter::new(indent);
    let children = [Child {
        key: Some(key),
        value: Content::Map(value, None),
        head: vec![],
        line: vec![],
        foot: vec![],
    }];
    emitter.indent = Some(0);
    emitter.entries(&children);
    emitter.write_indent();
    emitter.out
}

/// One value on its own, as it stands in a block.
pub(super) fn print_value(value: &Node, indent: usize) -> Plaintext {
    let mut emitter = Emitter::new(indent);
    emitter.indent = Some(0);
    match value {
        Node::Map(map) => emitter.body(&Content::Map(map, None)),
        Node::List(list) => emitter.body(&Content::List(list)),
        Node::Leaf(leaf) => emitter.scalar(leaf, 0),
    }
    emitter.write_indent();
    emitter.out
}

/// Lines of comments, each with its `#`.
type Lines<'a> = Vec<&'a Plaintext>;

#[derive(Clone, Copy)]
enum Content<'a> {
    /// With what is added at its end.
    Map(&'a Map, Option<&'a Map>),
    List(&'a List),
    Leaf(&'a Leaf),
}

/// An entry or item with the comments that sops gives its nodes.
struct Child<'a> {
    key: Option<&'a str>,
    value: Content<'a>,
    head: Lines<'a>,
    line: Lines<'a>,
    foot: Lines<'a>,
}

/// A container: its own head, then its children.
struct Children<'a> {
    head: Lines<'a>,
    all: Vec<Child<'a>>,
}

struct Emitter<'a> {
    out: Plaintext,
    step: usize,
    column: usize,
    /// `None` before the root.
    indent: Option<usize>,
    whitespace: bool,
    indention: bool,
    foot_indent: Option<usize>,
    head: Lines<'a>,
    line: Lines<'a>,
    /// The line comment that was left when a key began.
    key_line: Lines<'a>,
    foot: Lines<'a>,
    tail: Lines<'a>,
}

impl<'a> Emitter<'a> {
    fn new(indent: usize) -> Self {
        Self {
            out: Plaintext::default(),
            // What libyaml takes where the number is out of its range.
            step: if (2..=9).contains(&indent) { indent } else { 2 },
            column: 0,
            indent: None,
            whitespace: true,
            indention: true,
            foot_indent: None,
            head: Vec::new(),
            line: Vec::new(),
            key_line: Vec::new(),
            foot: Vec::new(),
            tail: Vec::new(),
        }
    }

    fn document(&mut self, root: &'a Map, metadata: Option<&'a Map>, first: bool) {
        self.indent = None;
        if !first {
            self.write_indent();
            self.indicator("---", true, false, false);
            self.write_indent();
        }
        if !self.head.is_empty() {
            self.process_head();
            self.put_break();
        }
        let root = Content::Map(root, metadata);
        self.begin(&root);
        self.process_head();
        self.process_line();
        self.process_foot();
        self.body(&root);
        self.indent = None;
        self.foot_indent = Some(0);
        self.process_foot();
        self.foot_indent = None;
        self.write_indent();
    }

    /// The comments of the event that begins a container.
    fn begin(&mut self, value: &Content<'a>) {
        let head = own_head(value);
        if !head.is_empty() {
            self.head = head;
        }
    }

    /// What follows the beginning of a container.
    fn body(&mut self, value: &Content<'a>) {
        let outer = self.indent;
        match value {
            Content::Map(map, last) => {
                let children = map_children(map, *last).all;
                if children.is_empty() {
                    self.indicator("{", true, true, false);
                    self.indent = Some(self.next_indent(false));
                    self.process_head();
                    self.indent = outer;
                    self.indicator("}", false, false, false);
                    self.process_line();
                    self.process_foot();
                } else {
                    if outer.is_none() {
                        self.indent = Some(0);
                    }
                    self.entries(&children);
                }
            }
            Content::List(list) => {
                let children = list_children(list).all;
                if children.is_empty() {
                    self.indicator("[", true, true, false);
                    if self.column == 0 {
                        self.write_indent();
                    }
                    self.indicator("]", false, false, false);
                    self.process_line();
                    self.process_foot();
                } else {
                    self.items(&children);
                }
            }
            Content::Leaf(_) => {}
        }
        self.indent = outer;
    }

    /// The indentation of a container or text in an item of a list, or in an entry of a map.
    fn next_indent(&self, in_list: bool) -> usize {
        match self.indent {
            None => self.step,
            Some(indent) if in_list => indent.saturating_add(2),
            Some(indent) => indent
                .saturating_add(self.step)
                .checked_div(self.step)
                .unwrap_or(0)
                .saturating_mul(self.step),
        }
    }

    fn entries(&mut self, children: &[Child<'a>]) {
        let own = self.indent;
        let mut tail = Lines::new();
        for child in children {
            let key = child.key.unwrap_or_default();
            if !child.head.is_empty() {
                self.head.clone_from(&child.head);
            }
            if !tail.is_empty() {
                self.tail = std::mem::take(&mut tail);
            }
            self.process_head();
            self.write_indent();
            if !self.line.is_empty() {
                self.key_line = std::mem::take(&mut self.line);
            }
            let simple = self.key(key);
            if simple {
                self.indicator(":", false, false, false);
            } else {
                self.write_indent();
                self.indicator(":", true, false, true);
            }
            self.child(child, false);
            self.indent = own;
            tail.clone_from(&child.foot);
        }
        if !tail.is_empty() {
            self.tail = tail;
        }
        self.process_head();
    }

    fn items(&mut self, children: &[Child<'a>]) {
        let own = self.indent;
        for child in children {
            // What stands before a container and at its start is one comment.
            let mut head = child.head.clone();
            head.append(&mut own_head(&child.value));
            if !head.is_empty() {
                self.head = head;
            }
            self.process_head();
            self.write_indent();
            self.indicator("-", true, false, true);
            self.child(child, true);
            self.indent = own;
        }
    }

    fn child(&mut self, child: &Child<'a>, in_list: bool) {
        if let Content::Leaf(leaf) = child.value {
            if !child.line.is_empty() {
                self.line.clone_from(&child.line);
            }
            if !in_list && self.line.is_empty() {
                self.line = std::mem::take(&mut self.key_line);
            }
            if in_list && !child.foot.is_empty() {
                self.foot.clone_from(&child.foot);
            }
            let indent = self.next_indent(in_list);
            self.scalar(leaf, indent);
            self.process_line();
            self.process_foot();
            return;
        }
        if !in_list {
            self.begin(&child.value);
            std::mem::swap(&mut self.line, &mut self.key_line);
            self.process_line();
            std::mem::swap(&mut self.line, &mut self.key_line);
        }
        self.process_line();
        self.process_foot();
        let empty = match child.value {
            Content::Map(map, last) => map_children(map, last).all.is_empty(),
            Content::List(list) => list_children(list).all.is_empty(),
            Content::Leaf(_) => true,
        };
        let comments = |emitter: &mut Self| {
            if !child.line.is_empty() {
                emitter.line.clone_from(&child.line);
            }
            if in_list && !child.foot.is_empty() {
                emitter.foot.clone_from(&child.foot);
            }
        };
        if empty {
            // The event that ends it is the next one, so its comments are there in time.
            comments(self);
            self.body(&child.value);
            return;
        }
        self.indent = Some(self.next_indent(in_list));
        self.body(&child.value);
        comments(self);
    }

    /// Writes a key; `false` where it had to be written behind `?`.
    fn key(&mut self, key: &str) -> bool {
        let allowed = style::analyze(key.as_bytes());
        let tag = if key == "<<" { 7 } else { 0 };
        let simple = !allowed.multiline && key.len().saturating_add(tag) <= 128;
        if !simple {
            self.indicator("?", true, false, true);
        }
        let indent = self.next_indent(false);
        let mut written = style::choose(key.as_bytes(), simple);
        if key.is_empty() {
            written.style = Style::Double;
        }
        self.text(&written, indent);
        simple
    }

    fn scalar(&mut self, leaf: &Leaf, indent: usize) {
        let plain = |text: &[u8]| style::Written {
            tag: "",
            style: Style::Plain,
            text: Plaintext::copy_of(text),
        };
        let written = match &leaf.value {
            Value::Null => plain(b"null"),
            Value::Bool(true) => plain(b"true"),
            Value::Bool(false) => plain(b"false"),
            #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
            Value::Int(text) | Value::Time(text) => plain(text.expose()),
            #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
            Value::Float(text) => match text.expose() {
                b"+Inf" | b"Inf" => plain(b".inf"),
                b"-Inf" => plain(b"-.inf"),
                b"NaN" => plain(b".nan"),
                text => plain(text),
            },
            #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
            Value::Str(text) => style::choose(text.expose(), false),
        };
        self.text(&written, indent);
    }

    fn text(&mut self, written: &style::Written, indent: usize) {
        if !written.tag.is_empty() {
            if !self.whitespace {
                self.put(b" ");
            }
            self.put(written.tag.as_bytes());
            self.whitespace = false;
            self.indention = false;
        }
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        let bytes = written.text.expose();
        let shown = std::str::from_utf8(bytes).unwrap_or_default();
        match written.style {
            Style::Literal => {
                let hints = style::literal_hints(bytes, self.step);
                self.indicator("|", true, false, false);
                self.put(hints.as_bytes());
                if self.line.is_empty() {
                    self.put_break();
                } else {
                    self.process_line();
                }
                self.whitespace = true;
                self.literal(bytes, indent);
                return;
            }
            Style::Plain => {
                if !bytes.is_empty() && !self.whitespace {
                    self.put(b" ");
                }
                self.put(bytes);
            }
            Style::Single => {
                if !self.whitespace {
                    self.put(b" ");
                }
                let mut quoted = Plaintext::default();
                style::single(&mut quoted, bytes);
                self.put_all(&quoted);
            }
            Style::Double | Style::Folded | Style::Absent => {
                if !self.whitespace {
                    self.put(b" ");
                }
                let mut quoted = Plaintext::default();
                style::double(&mut quoted, shown);
                self.put_all(&quoted);
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn literal(&mut self, bytes: &[u8], indent: usize) {
        let outer = self.indent;
        self.indent = Some(indent);
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let (line, ends) = match line.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (line, false),
            };
            if !line.is_empty() {
                self.write_indent();
                self.put(line);
                self.indention = false;
            }
            if ends {
                self.put_break();
            }
        }
        self.indent = outer;
    }

    fn put_all(&mut self, text: &Plaintext) {
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        self.put(text.expose());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
        self.column = self.column.saturating_add(bytes.len());
    }

    fn put_break(&mut self) {
        self.out.extend(b"\n");
        self.column = 0;
        self.indention = true;
    }

    fn indicator(&mut self, text: &str, needs_space: bool, is_space: bool, is_indention: bool) {
        if needs_space && !self.whitespace {
            self.put(b" ");
        }
        self.put(text.as_bytes());
        self.whitespace = is_space;
        self.indention = self.indention && is_indention;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || self.column == indent && !self.whitespace {
            self.put_break();
        }
        if self.foot_indent == Some(indent) {
            self.put_break();
        }
        if let Some(missing) = indent.checked_sub(self.column) {
            self.put(" ".repeat(missing).as_bytes());
        }
        self.whitespace = true;
        self.foot_indent = None;
    }

    fn process_head(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.write_indent();
            self.comment(&tail);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.write_indent();
            self.comment(&head);
        }
    }

    fn process_line(&mut self) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            if !self.whitespace {
                self.put(b" ");
            }
            self.comment(&line);
        }
    }

    fn process_foot(&mut self) {
        if !self.foot.is_empty() {
            let foot = std::mem::take(&mut self.foot);
            self.write_indent();
            self.comment(&foot);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
    }

    fn comment(&mut self, lines: &[&Plaintext]) {
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                self.write_indent();
            }
            self.put(b"#");
            #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
            let text = line.expose();
            for (i, part) in text.split(|b| *b == b'\n').enumerate() {
                if i > 0 {
                    self.put_break();
                    if part.is_empty() {
                        continue;
                    }
                    self.write_indent();
                    if !part.starts_with(b"#") {
                        self.put(b"# ");
                    }
                }
                self.put(part);
            }
            self.indention = false;
            self.put_break();
            self.whitespace = true;
        }
    }
}

/// The comments at the start of a container.
fn own_head<'a>(value: &Content<'a>) -> Lines<'a> {
    match value {
        Content::Map(map, last) => map_children(map, *last).head,
        Content::List(list) => list_children(list).head,
        Content::Leaf(_) => Lines::new(),
    }
}

/// Comments before an entry are its head, or the map's before the first; those behind the last
/// are its foot.
fn map_children<'a>(map: &'a Map, last: Option<&'a Map>) -> Children<'a> {
    let entries = map.items.iter().map(|item| match item {
        MapItem::Comment(comment) => Err(comment),
        MapItem::Entry(entry) => Ok((Some(entry.key.as_str()), value_of(&entry.value))),
    });
    children(entries.chain(last.map(|last| Ok((Some("sops"), Content::Map(last, None))))))
}

fn list_children(list: &List) -> Children<'_> {
    children(list.items.iter().map(|item| match item {
        ListItem::Comment(comment) => Err(comment),
        ListItem::Value(node) => Ok((None, value_of(node))),
    }))
}

fn value_of(node: &Node) -> Content<'_> {
    match node {
        Node::Map(map) => Content::Map(map, None),
        Node::List(list) => Content::List(list),
        Node::Leaf(leaf) => Content::Leaf(leaf),
    }
}

type Item<'a> = Result<(Option<&'a str>, Content<'a>), &'a Comment>;

fn children<'a>(items: impl Iterator<Item = Item<'a>>) -> Children<'a> {
    let mut children = Children { head: Vec::new(), all: Vec::new() };
    let (mut head, mut line) = (Lines::new(), Lines::new());
    for item in items {
        match item {
            Err(comment) if comment.inline => line.push(&comment.text),
            Err(comment) => head.push(&comment.text),
            Ok((key, value)) => {
                if children.all.is_empty() {
                    children.head = std::mem::take(&mut head);
                }
                children.all.push(Child {
                    key,
                    value,
                    head: std::mem::take(&mut head),
                    line: std::mem::take(&mut line),
                    foot: Vec::new(),
                });
            }
        }
    }
    head.append(&mut line);
    match children.all.last_mut() {
        Some(last) => last.foot = head,
        None => children.head = head,
    }
    children
}
