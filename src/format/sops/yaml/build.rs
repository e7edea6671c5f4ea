//! Nodes to the tree of sops: comments flattened into the containers that sops puts them in
//! (`stores/yaml/store.go`), aliases spread, values resolved, metadata taken out.

use std::collections::HashSet;
use std::ops::Range;

use granit_parser::ScalarStyle;

use super::comments::Lines;
use super::parse::{Id, Node as Parsed, Nodes, What};
use super::scalar;
use super::scan::error_at;
use crate::format::sops::store::ParseError;
use crate::format::sops::tree::{
    Comment, Document, Entry, Leaf, List, ListItem, MAX_DEPTH, MAX_NODES, Map, MapItem, Node, Spot,
    Style, Tree, Value, Write,
};
use crate::plaintext::Plaintext;

/// Builds the tree; the values of nodes that no alias names are taken out of them.
pub(super) fn build(text: &str, mut nodes: Nodes) -> Result<Tree, ParseError> {
    let documents = std::mem::take(&mut nodes.documents);
    let mut builder = Builder { text, nodes, count: 0, spread: 0 };
    let mut tree = Tree::default();
    for parsed in documents {
        let mut items = Vec::new();
        let context = Context { depth: 0, shared: false, indent: 0 };
        builder.comments(&mut items, &parsed.head, false, context, MapItem::Comment)?;
        builder.root(&mut items, parsed.root, context)?;
        builder.comments(&mut items, &parsed.foot, false, context, MapItem::Comment)?;
        let mut document =
            Document { root: Map { items }, span: parsed.span, ..Document::default() };
        builder.take_metadata(&mut document, parsed.root);
        tree.documents.push(document);
    }
    Ok(tree)
}

struct Builder<'a> {
    text: &'a str,
    nodes: Nodes,
    count: usize,
    /// Values that aliases bring.
    spread: usize,
}

#[derive(Debug, Clone, Copy)]
struct Context {
    depth: usize,
    shared: bool,
    indent: usize,
}

/// The parts of a node that its parent looks at.
struct Sides {
    head: Lines,
    line: Lines,
    foot: Lines,
    /// Scalars and aliases: their comments are the parent's.
    simple: bool,
    start: usize,
}

impl Builder<'_> {
    fn error(&self, at: usize, what: &'static str) -> ParseError {
        error_at(self.text, at, what)
    }

    fn count(&mut self, at: usize) -> Result<(), ParseError> {
        self.count = self.count.saturating_add(1);
        if self.count > MAX_NODES {
            return Err(self.error(at, "the document has too many values, aliases spread out"));
        }
        Ok(())
    }

    fn comments<T>(
        &mut self,
        into: &mut Vec<T>,
        lines: &Lines,
        inline: bool,
        context: Context,
        wrap: fn(Comment) -> T,
    ) -> Result<(), ParseError> {
        for span in lines.iter().flatten() {
            self.count(span.start)?;
            let text = self.text.get(span.start.saturating_add(1)..span.end).unwrap_or_default();
            into.push(wrap(Comment {
                text: Plaintext::copy_of(text.as_bytes()),
                spot: Some(Spot {
                    span: span.clone(),
                    style: Style::Plain,
                    flow: false,
                    indent: context.indent,
                    shared: context.shared,
                }),
                inline,
                write: Write::Keep,
            }));
        }
        Ok(())
    }

    fn sides(&self, id: Id) -> Sides {
        let Some(node) = self.nodes.all.get(id) else {
            let none = Lines::new;
            return Sides { head: none(), line: none(), foot: none(), simple: true, start: 0 };
        };
        Sides {
            head: node.head.clone(),
            line: node.line.clone(),
            foot: node.foot.clone(),
            simple: matches!(node.what, What::Scalar(..) | What::Alias(_)),
            start: node.span.start,
        }
    }

    /// The root of a document: a map, or nothing.
    fn root(
        &mut self,
        items: &mut Vec<MapItem>,
        id: Id,
        context: Context,
    ) -> Result<(), ParseError> {
        let Some(node) = self.nodes.all.get(id) else { return Ok(()) };
        let at = node.span.start;
        match &node.what {
            What::Map(_) => self.map(items, id, false, self.within(context, id)),
            What::List(_) => Err(self.error(at, "the document is a list; sops needs a map")),
            What::Alias(_) => Err(self.error(at, "the document is an alias; sops needs a map")),
            What::Scalar(..) => {
                let sides = self.sides(id);
                match self.leaf(id, context)?.value {
                    Value::Null => {
                        for lines in [&sides.head, &sides.line, &sides.foot] {
                            self.comments(items, lines, false, context, MapItem::Comment)?;
                        }
                        Ok(())
                    }
                    Value::Bool(_)
                    | Value::Int(_)
                    | Value::Float(_)
                    | Value::Time(_)
                    | Value::Str(_) => {
                        Err(self.error(at, "the document is a single value; sops needs a map"))
                    }
                }
            }
        }
    }

    fn within(&self, context: Context, id: Id) -> Context {
        let used = self.nodes.all.get(id).is_some_and(|node| node.used);
        Context { shared: context.shared || used, ..context }
    }

    fn node(&mut self, id: Id, handled: bool, context: Context) -> Result<Node, ParseError> {
        let Some(node) = self.nodes.all.get(id) else {
            return Ok(Node::Leaf(Leaf::new(Value::Null)));
        };
        let at = node.span.start;
        self.count(at)?;
        if context.shared {
            self.spread = self.spread.saturating_add(1);
        }
        if self.spread > MAX_SPREAD {
            return Err(self.error(at, "aliases bring too many values"));
        }
        if context.depth > MAX_DEPTH {
            return Err(self.error(at, "values are nested too deeply, aliases spread out"));
        }
        let context = self.within(context, id);
        let deeper = Context { depth: context.depth.saturating_add(1), ..context };
        match self.nodes.all.get(id).map(|node| &node.what) {
            Some(What::List(_)) => Ok(Node::List(self.list(id, handled, deeper)?)),
            Some(What::Map(_)) => {
                let mut items = Vec::new();
                self.map(&mut items, id, handled, deeper)?;
                Ok(Node::Map(Map { items }))
            }
            Some(What::Alias(target)) => {
                let target = *target;
                self.node(target, false, Context { shared: true, ..deeper })
            }
            Some(What::Scalar(..)) | None => Ok(Node::Leaf(self.leaf(id, context)?)),
        }
    }

    fn list(&mut self, id: Id, handled: bool, context: Context) -> Result<List, ParseError> {
        let sides = self.sides(id);
        let mut items = Vec::new();
        let wrap = ListItem::Comment;
        if !handled {
            self.comments(&mut items, &sides.head, false, context, wrap)?;
            self.comments(&mut items, &sides.line, false, context, wrap)?;
        }
        let children = match self.nodes.all.get(id).map(|node| &node.what) {
            Some(What::List(children)) => children.clone(),
            _ => Vec::new(),
        };
        for child in children {
            let sides = self.sides(child);
            self.comments(&mut items, &sides.head, false, context, wrap)?;
            self.comments(&mut items, &sides.line, true, context, wrap)?;
            items.push(match self.node(child, true, context)? {
                Node::Leaf(leaf) => self.old_comment(leaf),
                node @ (Node::Map(_) | Node::List(_)) => ListItem::Value(node),
            });
            self.comments(&mut items, &sides.foot, false, context, wrap)?;
        }
        if !handled {
            self.comments(&mut items, &sides.foot, false, context, wrap)?;
        }
        Ok(List { items })
    }

    /// Before 3.13.3 sops wrote the comments of a list as its items.
    fn old_comment(&self, leaf: Leaf) -> ListItem {
        let Value::Str(text) = &leaf.value else { return ListItem::Value(Node::Leaf(leaf)) };
        #[expect(clippy::disallowed_methods, reason = "a ciphertext is told by its first bytes")]
        let bytes = text.expose();
        if !bytes.starts_with(b"ENC[AES256_GCM,") || !bytes.ends_with(b",type:comment]") {
            return ListItem::Value(Node::Leaf(leaf));
        }
        let mut spot = leaf.spot;
        if let Some(spot) = &mut spot {
            let before = self.text.get(..spot.span.start).unwrap_or_default();
            let item = before.trim_end_matches([' ', '\t']);
            if !spot.flow && item.ends_with('-') {
                spot.span.start = item.len().saturating_sub(1);
            }
        }
        let Value::Str(text) = leaf.value else {
            return ListItem::Value(Node::Leaf(Leaf::new(Value::Null)));
        };
        ListItem::Comment(Comment { text, spot, inline: false, write: Write::Keep })
    }

    fn map(
        &mut self,
        items: &mut Vec<MapItem>,
        id: Id,
        handled: bool,
        context: Context,
    ) -> Result<(), ParseError> {
        let sides = self.sides(id);
        let wrap = MapItem::Comment;
        if !handled {
            self.comments(items, &sides.head, false, context, wrap)?;
            self.comments(items, &sides.line, false, context, wrap)?;
        }
        let pairs = match self.nodes.all.get(id).map(|node| &node.what) {
            Some(What::Map(pairs)) => pairs.clone(),
            _ => Vec::new(),
        };
        let mut seen = HashSet::with_capacity(pairs.len());
        for (key_id, value_id) in pairs {
            let (key, value) = (self.sides(key_id), self.sides(value_id));
            self.comments(items, &key.head, false, context, wrap)?;
            self.comments(items, &key.line, false, context, wrap)?;
            if value.simple {
                self.comments(items, &value.head, false, context, wrap)?;
                self.comments(items, &value.line, true, context, wrap)?;
            }
            let (name, key_span) = self.key(key_id)?;
            if !seen.insert(name.clone()) {
                return Err(self.error(key.start, "this key stands in the map twice"));
            }
            let node = self.node(value_id, value.simple, context)?;
            if name == "<<" && self.is_plain(key_id) && !merges(&node) {
                return Err(self.error(value.start, "a merge key takes a map or a list of maps"));
            }
            items.push(MapItem::Entry(Entry { key: name, key_span, value: node }));
            if value.simple {
                self.comments(items, &value.foot, false, context, wrap)?;
            }
            self.comments(items, &key.foot, false, context, wrap)?;
        }
        if !handled {
            self.comments(items, &sides.foot, false, context, wrap)?;
        }
        Ok(())
    }

    fn is_plain(&self, id: Id) -> bool {
        matches!(
            self.nodes.all.get(id).map(|node| &node.what),
            Some(What::Scalar(Some(ScalarStyle::Plain), _))
        )
    }

    fn key(&mut self, id: Id) -> Result<(String, Range<usize>), ParseError> {
        const NO_TEXT: &str = "keys must be text: put this one in quotes";
        let Some(node) = self.nodes.all.get(id) else { return Ok((String::new(), 0..0)) };
        let span = node.span.clone();
        let target = if let What::Alias(target) = node.what { target } else { id };
        self.count(span.start)?;
        if !matches!(self.nodes.all.get(target).map(|node| &node.what), Some(What::Scalar(..))) {
            return Err(self.error(span.start, NO_TEXT));
        }
        let leaf = self.leaf(target, Context { depth: 0, shared: true, indent: 0 })?;
        let Value::Str(text) = leaf.value else { return Err(self.error(span.start, NO_TEXT)) };
        #[expect(clippy::disallowed_methods, reason = "keys are no secret")]
        let name = String::from_utf8(text.expose().to_vec());
        Ok((name.map_err(|_| self.error(span.start, "this key is no text"))?, span))
    }

    fn leaf(&mut self, id: Id, context: Context) -> Result<Leaf, ParseError> {
        let Some(node) = self.nodes.all.get_mut(id) else { return Ok(Leaf::new(Value::Null)) };
        let shared = context.shared || node.used;
        let What::Scalar(style, text) = &mut node.what else {
            return Ok(Leaf::new(Value::Null));
        };
        let text = if shared { copy(text) } else { std::mem::take(text) };
        let style = match style {
            None => Style::Absent,
            Some(ScalarStyle::SingleQuoted) => Style::Single,
            Some(ScalarStyle::DoubleQuoted) => Style::Double,
            Some(ScalarStyle::Literal) => Style::Literal,
            Some(ScalarStyle::Folded) => Style::Folded,
            Some(_) => Style::Plain,
        };
        let quoted = !matches!(style, Style::Plain | Style::Absent);
        let spot = spot(node, style, shared);
        let at = node.span.start;
        let value = scalar::value(text, quoted, node.tag.as_deref());
        let value = value.map_err(|what| self.error(at, what))?;
        Ok(Leaf { value, spot: Some(spot), write: Write::Keep })
    }

    /// Takes the map under `sops` out of the root.
    fn take_metadata(&self, document: &mut Document, root: Id) {
        let found = document.root.items.iter().position(|item| {
            matches!(item, MapItem::Entry(Entry { key, value: Node::Map(_), .. }) if key == "sops")
        });
        let Some(at) = found else { return };
        let MapItem::Entry(Entry { value: Node::Map(metadata), .. }) =
            document.root.items.remove(at)
        else {
            return;
        };
        document.metadata = Some(metadata);
        let Some(Parsed { what: What::Map(pairs), flow, .. }) = self.nodes.all.get(root) else {
            return;
        };
        let pair = pairs.iter().find(|(key, _)| {
            let key = self.nodes.all.get(*key).map(|node| node.span.clone());
            key.and_then(|span| self.text.get(span))
                .is_some_and(|key| key.trim_matches(['"', '\'']) == "sops")
        });
        if let Some((key, value)) = pair {
            let start = self.nodes.all.get(*key).map_or(0, |node| node.span.start);
            let end = self.end(*value, 0);
            document.metadata_span = Some(super::cut::entry(self.text, start..end, *flow));
        }
    }

    /// The last byte of a node.
    fn end(&self, id: Id, depth: usize) -> usize {
        let Some(node) = self.nodes.all.get(id) else { return 0 };
        if depth > MAX_DEPTH {
            return node.span.end;
        }
        let deeper = depth.saturating_add(1);
        let last = match &node.what {
            What::List(items) => items.last(),
            What::Map(pairs) => pairs.last().map(|(_, value)| value),
            What::Scalar(..) | What::Alias(_) => None,
        };
        last.map_or(node.span.end, |last| self.end(*last, deeper).max(node.span.end))
    }
}

/// Most values that anchors and aliases bring; go-yaml stops at about as many.
const MAX_SPREAD: usize = 400_000;

fn merges(node: &Node) -> bool {
    match node {
        Node::Map(_) => true,
        Node::List(list) => list.values().all(|item| matches!(item, Node::Map(_))),
        Node::Leaf(_) => false,
    }
}

fn spot(node: &Parsed, style: Style, shared: bool) -> Spot {
    Spot { span: node.span.clone(), style, flow: node.flow, indent: node.indent, shared }
}

fn copy(text: &Plaintext) -> Plaintext {
    #[expect(clippy::disallowed_methods, reason = "an alias says the value once more")]
    Plaintext::copy_of(text.expose())
}
