//! The small part of YAML that our own rules file is written in: mappings, lists and scalars,
//! as a tree in which each node knows its bytes. Anchors, aliases, tags and further documents
//! are refused: they would make "who may read what" harder to see than it has to be.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// The rules file needs five levels.
const DEPTH_LIMIT: usize = 16;

/// A node and the bytes that it covers, comments and line ends after it not included.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) bytes: Range<usize>,
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

#[derive(Debug)]
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
    let mut events = Events { parser: Parser::new_from_str(text) };
    let mut root = None;
    while let Some((event, span)) = events.next()? {
        if event.is_node() {
            root = Some(node(text, &mut events, event, &span, 0)?);
        } else if matches!(event, Event::DocumentStart(..)) && root.is_some() {
            return Err(error(&span, "a second document begins here; one is enough"));
        }
    }
    Ok(root.filter(|root| !root.is_null()))
}

/// What the parser says, and what it says of the mistake that globs invite.
fn explained(what: &str) -> String {
    if what.contains("unknown anchor") {
        "a text that begins with `*` must be in quotes".to_owned()
    } else {
        format!("this is not YAML: {what}")
    }
}

struct Events<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
}

impl<'a> Events<'a> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        for event in self.parser.by_ref() {
            match event {
                Ok((Event::Comment(..), _)) => {}
                Ok(pair) => return Ok(Some(pair)),
                Err(error) => {
                    return Err(SyntaxError {
                        line: error.marker().line(),
                        column: error.marker().col().saturating_add(1),
                        what: explained(&error.info()),
                    });
                }
            }
        }
        Ok(None)
    }

    fn expect(&mut self, after: &Span) -> Result<(Event<'a>, Span), SyntaxError> {
        self.next()?.ok_or_else(|| error(after, "the text ends inside this value"))
    }
}

fn node(
    text: &str,
    events: &mut Events<'_>,
    event: Event<'_>,
    span: &Span,
    depth: usize,
) -> Result<Node, SyntaxError> {
    if depth > DEPTH_LIMIT {
        return Err(error(span, "values are nested too deeply here"));
    }
    if event.tag().is_some() {
        return Err(error(span, "tags (`!name`) are not for rules: write the value alone"));
    }
    let deeper = depth.saturating_add(1);
    let mut end = span.end;
    let (kind, anchor) = match event {
        Event::Scalar(value, style, anchor, _) => {
            let plain = style == ScalarStyle::Plain;
            (Kind::Scalar { text: value.into_owned(), plain }, anchor)
        }
        Event::SequenceStart(style, anchor, _) => {
            let mut items = Vec::new();
            loop {
                match events.expect(span)? {
                    (Event::SequenceEnd, last) => {
                        end = last.end;
                        break;
                    }
                    (event, at) => items.push(node(text, events, event, &at, deeper)?),
                }
            }
            (Kind::List { items, flow: style == StructureStyle::Flow }, anchor)
        }
        Event::MappingStart(style, anchor, _) => {
            let mut entries = Vec::new();
            loop {
                match events.expect(span)? {
                    (Event::MappingEnd, last) => {
                        end = last.end;
                        break;
                    }
                    (event, at) => {
                        let key = node(text, events, event, &at, deeper)?;
                        let (event, at) = events.expect(span)?;
                        entries.push((key, node(text, events, event, &at, deeper)?));
                    }
                }
            }
            (Kind::Map { entries, flow: style == StructureStyle::Flow }, anchor)
        }
        // The parser hands out nothing else where a value belongs.
        Event::Alias(_) | _ => {
            return Err(error(span, "aliases (`*name`) are not for rules: repeat the value"));
        }
    };
    if anchor != 0 {
        return Err(error(span, "anchors (`&name`) are not for rules: use a group instead"));
    }
    let start = span.start.byte_offset().unwrap_or_default();
    let bytes = match &kind {
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
            let own = text.get(start..end).unwrap_or_default().trim_end().len();
            start..start.saturating_add(own)
        }
    };
    Ok(Node { kind, bytes, line: span.start.line(), column: span.start.col().saturating_add(1) })
}

fn error(span: &Span, what: &str) -> SyntaxError {
    SyntaxError {
        line: span.start.line(),
        column: span.start.col().saturating_add(1),
        what: what.to_owned(),
    }
}
