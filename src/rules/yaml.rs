//! YAML as a tree in which each node knows its bytes.
//!
//! [`parse`] takes the small part that our own rules file is written in: mappings, lists and
//! scalars. Anchors, aliases, tags and further documents are refused: they would make "who may
//! read what" harder to see than it has to be. [`parse_all`] takes what people write into
//! `.sops.yaml`: there, anchors are the names of keys. Aliases and merge keys (`<<`) are followed,
//! tags are passed over and only the first document counts, as go-yaml does for sops.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle};

/// Our own rules file needs five levels.
const DEPTH_LIMIT: usize = 16;
/// Key groups of sops may be merged out of others.
const DEPTH_LIMIT_OF_ALL: usize = 64;
/// Aliases of aliases would grow without end.
const NODE_LIMIT: usize = 200_000;
/// Of a comment that serves as a name.
const REMARK_LIMIT: usize = 60;

/// A node and the bytes that it covers, comments and line ends after it not included.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Of [`parse_all`]: `name` of `&name`, where the node bears one or an alias led to it.
    pub(super) anchor: Option<String>,
    /// Of [`parse_all`]: the comment behind a scalar in the same line.
    pub(super) remark: Option<String>,
    pub(super) bytes: Range<usize>,
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Scalar { text: String, plain: bool },
    List { items: Vec<Node>, flow: bool },
    Map { entries: Vec<(Node, Node)>, flow: bool },
}

/// Why a text is not in that part of YAML, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) what: String,
}

impl Node {
    /// Nothing there, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The value of a key of a mapping.
    pub(super) fn value(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value of a mapping.
    pub(super) fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        let Kind::Map { entries, .. } = &self.kind else { return None };
        entries.iter().find(|(k, _)| k.text() == Some(key))
    }

    /// How many nodes there are in it, itself included, and how deep they are nested.
    fn measure(&self) -> (usize, usize) {
        let children: Vec<&Node> = match &self.kind {
            Kind::Scalar { .. } => Vec::new(),
            Kind::List { items, .. } => items.iter().collect(),
            Kind::Map { entries, .. } => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
        };
        children.into_iter().map(Node::measure).fold((1, 1), |(count, height), (more, high)| {
            (count.saturating_add(more), height.max(high.saturating_add(1)))
        })
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::List { .. } | Kind::Map { .. } => None,
        }
    }
}

/// The one document of a text; `None` where it holds nothing but comments.
pub(super) fn parse(text: &str) -> Result<Option<Node>, SyntaxError> {
    let mut events = Events::new(text, None);
    let mut root = None;
    while let Some((event, span)) = events.next()? {
        if event.is_node() {
            root = Some(events.node(event, &span, 0)?);
        } else if matches!(event, Event::DocumentStart(..)) && root.is_some() {
            return Err(error(&span, "a second document begins here; one is enough"));
        }
    }
    Ok(root.filter(|root| !root.is_null()))
}

/// The first document of a text that may hold all that YAML has; `None` where there is nothing.
pub(super) fn parse_all(text: &str) -> Result<Option<Node>, SyntaxError> {
    let mut events = Events::new(text, Some(Anchors::default()));
    while let Some((event, span)) = events.next()? {
        if event.is_node() {
            let root = events.node(event, &span, 0)?;
            return Ok(Some(root).filter(|root| !root.is_null()));
        }
    }
    Ok(None)
}

struct Events<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// `None` where there may be none.
    anchors: Option<Anchors>,
    /// An event that was looked at too early.
    back: Option<(Event<'a>, Span)>,
}

/// What aliases may refer to.
#[derive(Default)]
struct Anchors {
    nodes: HashMap<usize, Node>,
    /// How many nodes there are so far, copies included.
    count: usize,
}

impl<'a> Events<'a> {
    fn new(text: &'a str, anchors: Option<Anchors>) -> Self {
        let mut options = Options::default();
        options.emit_anchor_events = anchors.is_some();
        let parser = Parser::new_from_str_with_options(text, options);
        Self { text, parser, anchors, back: None }
    }

    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        if let Some(back) = self.back.take() {
            return Ok(Some(back));
        }
        for event in self.parser.by_ref() {
            match event {
                Ok((Event::Comment(..), _)) => {}
                Ok(pair) => return Ok(Some(pair)),
                Err(error) => {
                    return Err(SyntaxError {
                        line: error.marker().line(),
                        column: error.marker().col().saturating_add(1),
                        what: explained(&error.info(), self.anchors.is_some()),
                    });
                }
            }
        }
        Ok(None)
    }

    fn expect(&mut self, after: &Span) -> Result<(Event<'a>, Span), SyntaxError> {
        self.next()?.ok_or_else(|| error(after, "the text ends inside this value"))
    }

    /// The name of the anchor of the node that was just begun.
    fn anchor_name(&mut self) -> Result<Option<String>, SyntaxError> {
        match self.next()? {
            Some((Event::Anchor(_, name), _)) => Ok(Some(name.into_owned())),
            other => {
                self.back = other;
                Ok(None)
            }
        }
    }

    fn node(&mut self, event: Event<'_>, span: &Span, depth: usize) -> Result<Node, SyntaxError> {
        let limit = if self.anchors.is_some() { DEPTH_LIMIT_OF_ALL } else { DEPTH_LIMIT };
        if depth > limit {
            return Err(error(span, "values are nested too deeply here"));
        }
        self.count(1, span)?;
        if event.tag().is_some() && self.anchors.is_none() {
            return Err(error(span, "tags (`!name`) are not for rules: write the value alone"));
        }
        let deeper = depth.saturating_add(1);
        let mut end = span.end;
        let mut name = None;
        let (kind, anchor) = match event {
            Event::Scalar(value, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                (Kind::Scalar { text: value.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                name = self.anchor_name()?;
                let mut items = Vec::new();
                loop {
                    match self.expect(span)? {
                        (Event::SequenceEnd, last) => {
                            end = last.end;
                            break;
                        }
                        (event, at) => items.push(self.node(event, &at, deeper)?),
                    }
                }
                (Kind::List { items, flow: style == StructureStyle::Flow }, anchor)
            }
            Event::MappingStart(style, anchor, _) => {
                name = self.anchor_name()?;
                let mut entries = Vec::new();
                loop {
                    match self.expect(span)? {
                        (Event::MappingEnd, last) => {
                            end = last.end;
                            break;
                        }
                        (event, at) => {
                            let key = self.node(event, &at, deeper)?;
                            let (event, at) = self.expect(span)?;
                            entries.push((key, self.node(event, &at, deeper)?));
                        }
                    }
                }
                if self.anchors.is_some() {
                    entries = self.merged(entries, span)?;
                }
                (Kind::Map { entries, flow: style == StructureStyle::Flow }, anchor)
            }
            // The parser hands out nothing else where a value belongs.
            Event::Alias(_) | _ => {
                let id = if let Event::Alias(id) = event { id } else { 0 };
                return self.copy(id, span, depth);
            }
        };
        if anchor != 0 && self.anchors.is_none() {
            return Err(error(span, "anchors (`&name`) are not for rules: use a group instead"));
        }
        if anchor != 0 && matches!(kind, Kind::Scalar { .. }) {
            name = self.anchor_name()?;
        }
        let bytes = self.bytes(&kind, span, end);
        let remark = match &kind {
            Kind::Scalar { .. } if self.anchors.is_some() => self.remark(bytes.end),
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } => None,
        };
        let (line, column) = (span.start.line(), span.start.col().saturating_add(1));
        let node = Node { kind, anchor: name, remark, bytes, line, column };
        if let (Some(anchors), true) = (&mut self.anchors, anchor != 0) {
            anchors.nodes.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The bytes of a node.
    fn bytes(&self, kind: &Kind, span: &Span, end: granit_parser::Marker) -> Range<usize> {
        let start = span.start.byte_offset().unwrap_or_default();
        match kind {
            // The end of a block collection is where the next thing begins; its own last byte is
            // that of its last child.
            Kind::List { items, flow: false } => {
                start..items.last().map_or(start, |item| item.bytes.end)
            }
            Kind::Map { entries, flow: false } => {
                start..entries.last().map_or(start, |(_, value)| value.bytes.end)
            }
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } => {
                let end = end.byte_offset().unwrap_or(start);
                let own = self.text.get(start..end).unwrap_or_default().trim_end().len();
                start..start.saturating_add(own)
            }
        }
    }

    /// What an alias stands for.
    fn copy(&mut self, id: usize, span: &Span, depth: usize) -> Result<Node, SyntaxError> {
        let Some(anchors) = &self.anchors else {
            return Err(error(span, "aliases (`*name`) are not for rules: repeat the value"));
        };
        let Some(node) = anchors.nodes.get(&id).cloned() else {
            return Err(error(span, "this alias stands inside of what it refers to"));
        };
        let (count, height) = node.measure();
        if depth.saturating_add(height) > DEPTH_LIMIT_OF_ALL {
            return Err(error(span, "values are nested too deeply here"));
        }
        self.count(count, span)?;
        Ok(node)
    }

    fn count(&mut self, more: usize, span: &Span) -> Result<(), SyntaxError> {
        let Some(anchors) = &mut self.anchors else { return Ok(()) };
        anchors.count = anchors.count.saturating_add(more);
        if anchors.count > NODE_LIMIT {
            return Err(error(span, "aliases make this text too large"));
        }
        Ok(())
    }

    /// The entries of a mapping with what its merge keys bring: own ones come first.
    fn merged(
        &mut self,
        entries: Vec<(Node, Node)>,
        span: &Span,
    ) -> Result<Vec<(Node, Node)>, SyntaxError> {
        let is_merge =
            |key: &Node| matches!(&key.kind, Kind::Scalar { text, plain: true } if text == "<<");
        let (merges, mut own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| is_merge(key));
        let mut seen: HashSet<String> =
            own.iter().filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
        for (key, value) in merges {
            let sources = match value.kind {
                Kind::List { items, .. } => items.into_iter().map(|item| item.kind).collect(),
                kind @ (Kind::Map { .. } | Kind::Scalar { .. }) => vec![kind],
            };
            for source in sources {
                let Kind::Map { entries, .. } = source else {
                    let what = "`<<` takes a mapping, an alias of one, or a list of them";
                    return Err(SyntaxError {
                        line: key.line,
                        column: key.column,
                        what: what.to_owned(),
                    });
                };
                self.count(entries.len(), span)?;
                own.extend(
                    entries.into_iter().filter(|(key, _)| {
                        key.text().is_none_or(|name| seen.insert(name.to_owned()))
                    }),
                );
            }
        }
        Ok(own)
    }

    /// The comment behind a value that ends at a byte, if it stands in the same line.
    fn remark(&self, end: usize) -> Option<String> {
        let rest = self.text.get(end..)?.lines().next()?;
        let rest = rest.trim_start_matches([' ', '\t', ',', ']', '}']);
        let words: String = rest.strip_prefix('#')?.chars().filter(|c| !c.is_control()).collect();
        let words = words.trim_matches([' ', '#', '-', ':']);
        let short: String = words.chars().take(REMARK_LIMIT).collect();
        Some(short).filter(|short| !short.is_empty())
    }
}

/// What the parser says, and what it says of the mistake that globs invite.
fn explained(what: &str, has_aliases: bool) -> String {
    match what.contains("unknown anchor") {
        true if has_aliases => "this alias (`*name`) has no anchor (`&name`) before it".to_owned(),
        true => "a text that begins with `*` must be in quotes".to_owned(),
        false => format!("this is not YAML: {what}"),
    }
}

fn error(span: &Span, what: &str) -> SyntaxError {
    SyntaxError {
        line: span.start.line(),
        column: span.start.col().saturating_add(1),
        what: what.to_owned(),
    }
}
