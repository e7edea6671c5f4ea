//! Tokens to nodes, by the grammar of libyaml, with comments where go-yaml v3 puts them
//! (`parserc.go` and the node builder of `decode.go`).
//!
//! Resolves no value and spreads no alias.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::ScalarStyle;

use super::comments::{Comments, Lines, Side};
use super::scan::{Kind, Scanned, Token, error_at};
use crate::format::sops::store::ParseError;
use crate::format::sops::tree::MAX_DEPTH;
use crate::plaintext::Plaintext;

/// A node of `Nodes`.
pub(super) type Id = usize;

/// All nodes of a text; aliases name nodes that stand before them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
    pub(super) documents: Vec<Document>,
}

/// A document, its markers left out.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Id,
    pub(super) head: Lines,
    pub(super) foot: Lines,
    pub(super) span: Range<usize>,
}

/// A node with its comments.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) what: What,
    /// The bytes of a scalar or flow collection; of a block collection, its start.
    pub(super) span: Range<usize>,
    /// The full tag.
    pub(super) tag: Option<String>,
    pub(super) head: Lines,
    pub(super) line: Lines,
    pub(super) foot: Lines,
    /// Whether an alias names it.
    pub(super) used: bool,
    /// Inside `[…]` or `{…}`, or such a thing itself.
    pub(super) flow: bool,
    /// Columns of the block that it stands in, plus one.
    pub(super) indent: usize,
}

/// The kinds of nodes.
#[derive(Debug)]
pub(super) enum What {
    /// `None` where nothing is written.
    Scalar(Option<ScalarStyle>, Plaintext),
    List(Vec<Id>),
    Map(Vec<(Id, Id)>),
    Alias(Id),
}

/// Reads all documents.
pub(super) fn parse(text: &str, scanned: Scanned) -> Result<Nodes, ParseError> {
    let mut parser = Parser {
        text,
        tokens: scanned.tokens,
        next: 0,
        comments: scanned.comments,
        head: Lines::new(),
        line: Lines::new(),
        foot: Lines::new(),
        stem: None,
        nodes: Nodes::default(),
        anchors: BTreeMap::new(),
        tags: BTreeMap::new(),
        flow: 0,
        indents: Vec::new(),
    };
    parser.stream()?;
    Ok(parser.nodes)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    comments: Comments,
    head: Lines,
    line: Lines,
    foot: Lines,
    stem: Option<Lines>,
    nodes: Nodes,
    anchors: BTreeMap<String, Id>,
    tags: BTreeMap<String, String>,
    flow: usize,
    indents: Vec<usize>,
}

/// What ends a list or map, or comes next in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peek {
    Key,
    Value,
    Entry,
    FlowEntry,
    BlockEnd,
    FlowSequenceEnd,
    FlowMappingEnd,
    SequenceStart,
    MappingStart,
    Scalar,
    Directive,
    DocumentStart,
    DocumentEnd,
    StreamEnd,
    Other,
}

impl Parser<'_> {
    /// The kind of the next token; comments before it are taken in.
    fn peek(&mut self) -> Peek {
        let Some(token) = self.tokens.get(self.next) else { return Peek::StreamEnd };
        let peek = match token.kind {
            Kind::Key => Peek::Key,
            Kind::Value => Peek::Value,
            Kind::Entry => Peek::Entry,
            Kind::FlowEntry => Peek::FlowEntry,
            Kind::BlockEnd => Peek::BlockEnd,
            Kind::FlowSequenceEnd => Peek::FlowSequenceEnd,
            Kind::FlowMappingEnd => Peek::FlowMappingEnd,
            Kind::SequenceStart => Peek::SequenceStart,
            Kind::MappingStart => Peek::MappingStart,
            Kind::Scalar(..) => Peek::Scalar,
            Kind::Directive(_) => Peek::Directive,
            Kind::DocumentStart => Peek::DocumentStart,
            Kind::DocumentEnd => Peek::DocumentEnd,
            Kind::StreamEnd => Peek::StreamEnd,
            _ => Peek::Other,
        };
        if !self.comments.is_empty() {
            for (side, lines) in self.comments.take_until(token.start, peek == Peek::BlockEnd) {
                match side {
                    Side::Head => self.head.extend(lines),
                    Side::Line => self.line.extend(lines),
                    Side::Foot => self.foot.extend(lines),
                }
            }
        }
        peek
    }

    fn skip(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    fn start(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.start)
    }

    fn error(&self, what: &'static str) -> ParseError {
        error_at(self.text, self.start(), what)
    }

    /// Comments so far, for the event that go-yaml gives them to.
    fn comments(&mut self) -> [Lines; 3] {
        self.stem = None;
        [
            std::mem::take(&mut self.head),
            std::mem::take(&mut self.line),
            std::mem::take(&mut self.foot),
        ]
    }

    fn stream(&mut self) -> Result<(), ParseError> {
        self.skip();
        let mut first = true;
        loop {
            let mut peek = self.peek();
            while !first && peek == Peek::DocumentEnd {
                self.skip();
                peek = self.peek();
            }
            if peek == Peek::StreamEnd {
                if first {
                    let root = self.empty();
                    let [mut head, line, foot] = self.comments();
                    head.extend(line);
                    head.extend(foot);
                    let span = 0..self.text.len();
                    self.nodes.documents.push(Document { root, head, foot: Lines::new(), span });
                }
                return Ok(());
            }
            let implicit = first && !matches!(peek, Peek::Directive | Peek::DocumentStart);
            first = false;
            self.document(implicit)?;
        }
    }

    fn document(&mut self, implicit: bool) -> Result<(), ParseError> {
        let mut begin = if implicit { 0 } else { self.start() };
        let mut head = Lines::new();
        self.tags.clear();
        if implicit {
            head = self.split_head();
        } else {
            while self.peek() == Peek::Directive {
                if let Some(Token { kind: Kind::Directive(Some((handle, prefix))), .. }) =
                    self.tokens.get(self.next)
                {
                    self.tags.insert(handle.clone(), prefix.clone());
                }
                self.skip();
            }
            if self.peek() != Peek::DocumentStart {
                return Err(self.error("a document must begin with `---` here"));
            }
            begin = self.tokens.get(self.next).map_or(begin, |token| token.end);
            self.skip();
        }
        let root = match self.peek() {
            Peek::Directive | Peek::DocumentStart | Peek::DocumentEnd | Peek::StreamEnd
                if !implicit =>
            {
                self.empty()
            }
            _ => self.node(true, false, 0)?,
        };
        let end_kind = self.peek();
        let end = self.start();
        if end_kind == Peek::DocumentEnd {
            self.skip();
        }
        // The comments that the end takes were gathered before its marker was passed.
        let [doc_head, _, doc_foot] = self.comments();
        let foot = if doc_foot.is_empty() { doc_head } else { doc_foot };
        self.nodes.documents.push(Document { root, head, foot, span: begin..end });
        Ok(())
    }

    /// The comments above the last empty line are those of the document.
    fn split_head(&mut self) -> Lines {
        let Some(at) = self.head.iter().rposition(Option::is_none).filter(|at| *at > 0) else {
            return Lines::new();
        };
        let rest = self.head.split_off(at.saturating_add(1));
        let mut head = std::mem::replace(&mut self.head, rest);
        head.pop();
        head
    }

    fn add(&mut self, what: What, span: Range<usize>, tag: Option<String>) -> Id {
        let indent = self.indents.last().map_or(0, |column| column.saturating_add(1));
        self.nodes.all.push(Node {
            what,
            span,
            tag,
            head: Lines::new(),
            line: Lines::new(),
            foot: Lines::new(),
            used: false,
            flow: self.flow > 0,
            indent,
        });
        self.nodes.all.len().saturating_sub(1)
    }

    fn set_comments(&mut self, id: Id, [head, line, foot]: [Lines; 3]) {
        if let Some(node) = self.nodes.all.get_mut(id) {
            node.head = head;
            node.line = line;
            node.foot = foot;
        }
    }

    /// A value that is not written, behind the token before.
    fn empty(&mut self) -> Id {
        let at = self.next.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |t| t.end);
        self.add(What::Scalar(None, Plaintext::default()), at..at, None)
    }

    fn node(&mut self, block: bool, indentless: bool, depth: usize) -> Result<Id, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error("values are nested too deeply"));
        }
        self.peek();
        if let Some(Token { kind: Kind::Alias(name), start, end }) = self.tokens.get(self.next) {
            let span = *start..*end;
            let Some(target) = self.anchors.get(name).copied() else {
                return Err(self.error("no anchor of this name stands before this alias"));
            };
            if let Some(node) = self.nodes.all.get_mut(target) {
                node.used = true;
            }
            let id = self.add(What::Alias(target), span, None);
            let comments = self.comments();
            self.set_comments(id, comments);
            self.skip();
            return Ok(id);
        }
        let (anchor, tag) = self.properties()?;
        let peek = self.peek();
        let start = self.start();
        let kind = self.tokens.get(self.next).map(|token| &token.kind);
        let id = match (peek, kind) {
            (Peek::Entry, _) if indentless => {
                let id = self.add(What::List(Vec::new()), start..start, tag);
                self.anchor(id, anchor);
                self.indentless_list(id, depth)?;
                return Ok(id);
            }
            (Peek::Scalar, _) => {
                let end = self.tokens.get(self.next).map_or(start, |token| token.end);
                let (style, value) = self.scalar();
                let end = if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    block_scalar_end(self.text, start, end)
                } else {
                    end
                };
                let id = self.add(What::Scalar(Some(style), value), start..end, tag);
                let comments = self.comments();
                self.set_comments(id, comments);
                self.skip();
                id
            }
            (_, Some(Kind::FlowSequenceStart | Kind::FlowMappingStart)) => {
                let is_list = matches!(kind, Some(Kind::FlowSequenceStart));
                self.flow = self.flow.saturating_add(1);
                let what = if is_list { What::List(Vec::new()) } else { What::Map(Vec::new()) };
                let id = self.add(what, start..start, tag);
                let [head, ..] = self.comments();
                self.anchor(id, anchor);
                let end =
                    if is_list { self.flow_list(id, depth)? } else { self.flow_map(id, depth)? };
                self.flow = self.flow.saturating_sub(1);
                let [_, line, foot] = self.comments();
                self.set_comments(id, [head, line, foot]);
                if let Some(node) = self.nodes.all.get_mut(id) {
                    node.span.end = end;
                }
                self.skip();
                return Ok(id);
            }
            (Peek::SequenceStart, _) if block => {
                let id = self.add(What::List(Vec::new()), start..start, tag);
                let head = self.stem.take().unwrap_or_default();
                self.set_comments(id, [head, Lines::new(), Lines::new()]);
                self.anchor(id, anchor);
                self.block_list(id, depth)?;
                return Ok(id);
            }
            (Peek::MappingStart, _) if block => {
                let id = self.add(What::Map(Vec::new()), start..start, tag);
                let head = self.stem.take().unwrap_or_default();
                self.set_comments(id, [head, Lines::new(), Lines::new()]);
                self.anchor(id, anchor);
                self.block_map(id, depth)?;
                return Ok(id);
            }
            _ if anchor.is_some() || tag.is_some() => {
                let id = self.empty();
                if let Some(node) = self.nodes.all.get_mut(id) {
                    node.tag = tag;
                }
                id
            }
            _ => return Err(self.error("a value is missing here")),
        };
        self.anchor(id, anchor);
        Ok(id)
    }

    fn anchor(&mut self, id: Id, anchor: Option<String>) {
        if let Some(name) = anchor {
            self.anchors.insert(name, id);
        }
    }

    fn scalar(&mut self) -> (ScalarStyle, Plaintext) {
        match self.tokens.get_mut(self.next).map(|token| &mut token.kind) {
            Some(Kind::Scalar(style, value)) => (*style, std::mem::take(value)),
            _ => (ScalarStyle::Plain, Plaintext::default()),
        }
    }

    /// `&anchor` and `!tag`, in any order.
    fn properties(&mut self) -> Result<(Option<String>, Option<String>), ParseError> {
        let (mut anchor, mut tag) = (None, None);
        for _ in 0..2 {
            self.peek();
            match self.tokens.get_mut(self.next).map(|token| &mut token.kind) {
                Some(Kind::Anchor(name)) if anchor.is_none() => {
                    anchor = Some(std::mem::take(name));
                }
                Some(Kind::Tag(handle, suffix)) if tag.is_none() => {
                    let (handle, suffix) = (std::mem::take(handle), std::mem::take(suffix));
                    tag = Some(self.tag(&handle, &suffix)?);
                }
                _ => break,
            }
            self.skip();
        }
        Ok((anchor, tag))
    }

    fn tag(&self, handle: &str, suffix: &str) -> Result<String, ParseError> {
        if handle.is_empty() {
            return Ok(suffix.to_owned());
        }
        let prefix = match (self.tags.get(handle), handle) {
            (Some(prefix), _) => prefix,
            (None, "!") => "!",
            (None, "!!") => "tag:yaml.org,2002:",
            (None, _) => return Err(self.error("the handle of this tag is not declared")),
        };
        Ok(format!("{prefix}{suffix}"))
    }

    fn push_item(&mut self, list: Id, item: Id) {
        if let Some(What::List(items)) = self.nodes.all.get_mut(list).map(|node| &mut node.what) {
            items.push(item);
        }
    }

    fn push_pair(&mut self, map: Id, key: Id, value: Id) {
        if let Some(What::Map(pairs)) = self.nodes.all.get_mut(map).map(|node| &mut node.what) {
            pairs.push((key, value));
        }
    }

    fn foot_of(&mut self, id: Id) -> Lines {
        self.nodes.all.get_mut(id).map(|node| std::mem::take(&mut node.foot)).unwrap_or_default()
    }

    fn set_foot(&mut self, id: Id, foot: Lines) {
        if let Some(node) = self.nodes.all.get_mut(id) {
            node.foot = foot;
        }
    }

    /// Past a `-`: what was a head before it belongs to a block that begins behind it.
    fn pass_entry(&mut self) {
        let stem = self.head.len();
        self.skip();
        let peek = self.peek();
        if stem > 0 && matches!(peek, Peek::SequenceStart | Peek::MappingStart) {
            let rest = self.head.split_off(stem);
            self.stem = Some(std::mem::replace(&mut self.head, rest));
        }
    }

    fn block_list(&mut self, list: Id, depth: usize) -> Result<(), ParseError> {
        self.indents.push(column_of(self.text, self.start()));
        self.peek();
        self.skip();
        loop {
            match self.peek() {
                Peek::Entry => {
                    self.pass_entry();
                    let item = match self.peek() {
                        Peek::Entry | Peek::BlockEnd => self.empty(),
                        _ => self.node(true, false, depth.saturating_add(1))?,
                    };
                    self.push_item(list, item);
                }
                Peek::BlockEnd => {
                    self.skip();
                    self.indents.pop();
                    return Ok(());
                }
                _ => return Err(self.error("an item of a list must begin with `-` here")),
            }
        }
    }

    fn indentless_list(&mut self, list: Id, depth: usize) -> Result<(), ParseError> {
        while self.peek() == Peek::Entry {
            self.pass_entry();
            let item = match self.peek() {
                Peek::Entry | Peek::Key | Peek::Value | Peek::BlockEnd => self.empty(),
                _ => self.node(true, false, depth.saturating_add(1))?,
            };
            self.push_item(list, item);
        }
        Ok(())
    }

    fn block_map(&mut self, map: Id, depth: usize) -> Result<(), ParseError> {
        let deeper = depth.saturating_add(1);
        self.indents.push(column_of(self.text, self.start()));
        self.peek();
        self.skip();
        let mut prior: Option<Id> = None;
        loop {
            match self.peek() {
                Peek::Key => {
                    self.skip();
                    let key = match self.peek() {
                        Peek::Key | Peek::Value | Peek::BlockEnd => self.empty(),
                        _ => self.node(true, true, deeper)?,
                    };
                    // A foot that comes with a key is that of the entry before.
                    let foot = self.foot_of(key);
                    match prior {
                        Some(prior) if !foot.is_empty() => self.set_foot(prior, foot),
                        _ => self.set_foot(key, foot),
                    }
                    let value = self.block_value(deeper)?;
                    self.move_foot(key, value);
                    self.push_pair(map, key, value);
                    prior = Some(key);
                }
                Peek::BlockEnd => {
                    let [_, line, foot] = self.comments();
                    if let Some(node) = self.nodes.all.get_mut(map) {
                        node.line = line;
                    }
                    match prior {
                        Some(prior) if !foot.is_empty() => self.set_foot(prior, foot),
                        _ => self.set_foot(map, foot),
                    }
                    self.skip();
                    self.indents.pop();
                    return Ok(());
                }
                _ => return Err(self.error("a key is missing here")),
            }
        }
    }

    fn block_value(&mut self, depth: usize) -> Result<Id, ParseError> {
        if self.peek() != Peek::Value {
            return Ok(self.empty());
        }
        self.skip();
        match self.peek() {
            Peek::Key | Peek::Value | Peek::BlockEnd => Ok(self.empty()),
            _ => self.node(true, true, depth),
        }
    }

    /// The foot of a value is that of its key.
    fn move_foot(&mut self, key: Id, value: Id) {
        if self.nodes.all.get(key).is_some_and(|node| node.foot.is_empty()) {
            let foot = self.foot_of(value);
            self.set_foot(key, foot);
        }
    }

    /// Returns the end; its token is left to the caller, who takes the comments.
    fn flow_list(&mut self, list: Id, depth: usize) -> Result<usize, ParseError> {
        let deeper = depth.saturating_add(1);
        self.peek();
        self.skip();
        let mut first = true;
        loop {
            let mut peek = self.peek();
            if peek != Peek::FlowSequenceEnd && !first {
                if peek != Peek::FlowEntry {
                    return Err(self.error("`,` or `]` is missing here"));
                }
                self.skip();
                peek = self.peek();
            }
            first = false;
            match peek {
                Peek::FlowSequenceEnd => return Ok(self.start().saturating_add(1)),
                Peek::Key => {
                    let at = self.start();
                    self.skip();
                    let map = self.add(What::Map(Vec::new()), at..at, None);
                    let key = match self.peek() {
                        Peek::Value | Peek::FlowEntry | Peek::FlowSequenceEnd => self.empty(),
                        _ => self.node(false, false, deeper)?,
                    };
                    let value = self.flow_value(Peek::FlowSequenceEnd, deeper)?;
                    self.move_foot(key, value);
                    self.push_pair(map, key, value);
                    self.push_item(list, map);
                }
                _ => {
                    let item = self.node(false, false, deeper)?;
                    self.push_item(list, item);
                }
            }
        }
    }

    fn flow_map(&mut self, map: Id, depth: usize) -> Result<usize, ParseError> {
        let deeper = depth.saturating_add(1);
        self.peek();
        self.skip();
        let mut first = true;
        loop {
            let mut peek = self.peek();
            if peek != Peek::FlowMappingEnd && !first {
                if peek != Peek::FlowEntry {
                    return Err(self.error("`,` or `}` is missing here"));
                }
                self.skip();
                peek = self.peek();
            }
            first = false;
            let (key, value) = match peek {
                Peek::FlowMappingEnd => return Ok(self.start().saturating_add(1)),
                Peek::Key => {
                    self.skip();
                    let key = match self.peek() {
                        Peek::Value | Peek::FlowEntry | Peek::FlowMappingEnd => self.empty(),
                        _ => self.node(false, false, deeper)?,
                    };
                    (key, self.flow_value(Peek::FlowMappingEnd, deeper)?)
                }
                _ => (self.node(false, false, deeper)?, self.empty()),
            };
            self.move_foot(key, value);
            self.push_pair(map, key, value);
        }
    }

    fn flow_value(&mut self, end: Peek, depth: usize) -> Result<Id, ParseError> {
        if self.peek() == Peek::Value {
            self.skip();
            let peek = self.peek();
            if peek != Peek::FlowEntry && peek != end {
                return self.node(false, false, depth);
            }
        }
        Ok(self.empty())
    }
}

/// Blank lines behind a block scalar are its own only with `+`; the last line break never is.
fn block_scalar_end(text: &str, start: usize, end: usize) -> usize {
    let own = text.get(start..end).unwrap_or_default();
    let header = own.lines().next().unwrap_or_default();
    let header = header.split('#').next().unwrap_or_default();
    if header.contains('+') {
        let kept = own.strip_suffix('\n').map_or(own, |own| own.strip_suffix('\r').unwrap_or(own));
        return start.saturating_add(kept.len());
    }
    let mut kept = own;
    while let Some(at) = kept.rfind('\n') {
        if !kept.get(at..).unwrap_or_default().trim().is_empty() {
            break;
        }
        kept = kept.get(..at).unwrap_or_default();
    }
    start.saturating_add(kept.strip_suffix('\r').unwrap_or(kept).len())
}

fn column_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind(['\n', '\r']).map_or(0, |i| i.saturating_add(1));
    let line = before.get(line..).unwrap_or_default().trim_start_matches('\u{feff}');
    line.chars().count()
}
