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

/// Reads tokens one by one.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token>,
    pub(super) next: usize,
    pub(super) comments: Comments,
    pub(super) head: Lines,
    pub(super) line: Lines,
    pub(super) foot: Lines,
    pub(super) stem: Option<Lines>,
    pub(super) nodes: Nodes,
    pub(super) anchors: BTreeMap<String, Id>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) flow: usize,
    pub(super) indents: Vec<usize>,
}

/// What ends a list or map, or comes next in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peek {
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
    pub(super) fn peek(&mut self) -> Peek {
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
            Kind::StreamStart
            | Kind::FlowSequenceStart
            | Kind::FlowMappingStart
            | Kind::Alias(_)
            | Kind::Anchor(_)
            | Kind::Tag(..) => Peek::Other,
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

    pub(super) fn skip(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    pub(super) fn start(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.start)
    }

    pub(super) fn error(&self, what: &'static str) -> ParseError {
        error_at(self.text, self.start(), what)
    }

    /// Comments so far, for the event that go-yaml gives them to.
    pub(super) fn comments(&mut self) -> [Lines; 3] {
        self.stem = None;
        [
            std::mem::take(&mut self.head),
            std::mem::take(&mut self.line),
            std::mem::take(&mut self.foot),
        ]
    }

    pub(super) fn stream(&mut self) -> Result<(), ParseError> {
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

    pub(super) fn document(&mut self, implicit: bool) -> Result<(), ParseError> {
        let mut begin = if implicit { 0 } else { self.start() };
        let mut head = Lines::new();
        self.tags.clear();
        if implicit {
            head = self.split_head();
        } else {
            while self.peek() == Peek::Directive {
                if let Some(Token { kind: Kind::Directive(Some(tag)), .. }) =
                    self.tokens.get(self.next)
                {
                    let (handle, prefix) = &**tag;
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
        let ends = [Peek::Directive, Peek::DocumentStart, Peek::DocumentEnd, Peek::StreamEnd];
        let ends = if implicit { &[] } else { ends.as_slice() };
        let root = self.node_or_empty(ends, true, false, 0)?;
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
    pub(super) fn split_head(&mut self) -> Lines {
        let Some(at) = self.head.iter().rposition(Option::is_none).filter(|at| *at > 0) else {
            return Lines::new();
        };
        let rest = self.head.split_off(at.saturating_add(1));
        let mut head = std::mem::replace(&mut self.head, rest);
        head.pop();
        head
    }

    pub(super) fn add(&mut self, what: What, span: Range<usize>, tag: Option<String>) -> Id {
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

    pub(super) fn set_comments(&mut self, id: Id, [head, line, foot]: [Lines; 3]) {
        if let Some(node) = self.nodes.all.get_mut(id) {
            node.head = head;
            node.line = line;
            node.foot = foot;
        }
    }

    /// A value that is not written, behind the token before.
    pub(super) fn empty(&mut self) -> Id {
        let at = self.next.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |t| t.end);
        self.add(What::Scalar(None, Plaintext::default()), at..at, None)
    }

    /// What stands here, or nothing where one of these tokens follows.
    pub(super) fn node_or_empty(
        &mut self,
        ends: &[Peek],
        block: bool,
        indentless: bool,
        depth: usize,
    ) -> Result<Id, ParseError> {
        if ends.contains(&self.peek()) {
            return Ok(self.empty());
        }
        self.node(block, indentless, depth)
    }

    pub(super) fn node(
        &mut self,
        block: bool,
        indentless: bool,
        depth: usize,
    ) -> Result<Id, ParseError> {
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

    pub(super) fn anchor(&mut self, id: Id, anchor: Option<String>) {
        if let Some(name) = anchor {
            self.anchors.insert(name, id);
        }
    }

    pub(super) fn scalar(&mut self) -> (ScalarStyle, Plaintext) {
        match self.tokens.get_mut(self.next).map(|token| &mut token.kind) {
            Some(Kind::Scalar(style, value)) => (*style, std::mem::take(value)),
            _ => (ScalarStyle::Plain, Plaintext::default()),
        }
    }

    /// `&anchor` and `!tag`, in any order.
    pub(super) fn properties(&mut self) -> Result<(Option<String>, Option<String>), ParseError> {
        let (mut anchor, mut tag) = (None, None);
        for _ in 0..2 {
            self.peek();
            match self.tokens.get_mut(self.next).map(|token| &mut token.kind) {
                Some(Kind::Anchor(name)) if anchor.is_none() => {
                    anchor = Some(std::mem::take(name));
                }
                Some(Kind::Tag(parts)) if tag.is_none() => {
                    let (handle, suffix) = std::mem::take(&mut **parts);
                    tag = Some(self.tag(&handle, &suffix)?);
                }
                _ => break,
            }
            self.skip();
        }
        Ok((anchor, tag))
    }

    pub(super) fn tag(&self, handle: &str, suffix: &str) -> Result<String, ParseError> {
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
}

/// Without the blank lines behind it, which are not written with it even where `+` counts them.
fn block_scalar_end(text: &str, start: usize, end: usize) -> usize {
    let own = text.get(start..end).unwrap_or_default();
    let mut kept = own;
    while let Some(at) = kept.rfind('\n') {
        if !kept.get(at..).unwrap_or_default().trim().is_empty() {
            break;
        }
        kept = kept.get(..at).unwrap_or_default();
    }
    start.saturating_add(kept.strip_suffix('\r').unwrap_or(kept).len())
}

/// Characters before a byte on its line.
pub(super) fn column_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind(['\n', '\r']).map_or(0, |i| i.saturating_add(1));
    let line = before.get(line..).unwrap_or_default().trim_start_matches('\u{feff}');
    line.chars().count()
}
