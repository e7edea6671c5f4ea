//! Setting and removing one value of a text that is not encrypted: the lines of that value change
//! and no others. What comes out is read again and compared with the tree that was meant.

use super::metadata::{flow_key, flow_node};
use super::parse::{self, Id, Node as Parsed, Nodes, What};
use super::same::Comments;
use super::splice::{
    Change, absent_can, apply, checked, column, foreign_tag, in_place_of, newline, place, step,
};
use super::{meant, print, read_text, scan, write};
use crate::format::sops::store::{Step, StoreError};
use crate::format::sops::tree::{Leaf, MapItem, Node, Spot, Style, Tree, Value};
use crate::plaintext::Plaintext;

/// Sets one value of the first document.
pub(super) fn set(text: &str, way: &[Step], value: &Node) -> Result<Plaintext, StoreError> {
    let mut tree = read_text(text).map_err(|error| StoreError::new(error.what))?;
    let editor = Editor::new(text, &tree)?;
    meant::set(&mut tree, way, value)?;
    let changes = editor.set(way, value)?;
    checked(apply(text, changes)?, &tree, Comments::Ignored)
}

/// Removes one value of the first document.
pub(super) fn unset(text: &str, way: &[Step]) -> Result<Option<Plaintext>, StoreError> {
    let mut tree = read_text(text).map_err(|error| StoreError::new(error.what))?;
    let editor = Editor::new(text, &tree)?;
    if !meant::unset(&mut tree, way)? {
        return Ok(None);
    }
    let changes = editor.unset(way)?;
    checked(apply(text, changes)?, &tree, Comments::Ignored).map(Some)
}

pub(super) struct Editor<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: Nodes,
    newline: &'static str,
    step: usize,
}

/// What a way leads to.
pub(super) enum Found {
    /// The value, and the start of its entry or item.
    Value(Id, usize),
    /// Nothing: the container that lacks it, and where in the way.
    Missing(Id, usize),
}

impl<'a> Editor<'a> {
    fn new(text: &'a str, tree: &Tree) -> Result<Self, StoreError> {
        let scanned = scan::scan(text).map_err(|error| StoreError::new(error.what))?;
        let nodes = parse::parse(text, scanned).map_err(|error| StoreError::new(error.what))?;
        let step = tree.documents.first().map_or(2, |document| step(text, document));
        Ok(Self { text, nodes, newline: newline(text), step })
    }

    pub(super) fn node(&self, id: Id) -> Result<&Parsed, StoreError> {
        self.nodes.all.get(id).ok_or_else(|| StoreError::new("the document is empty"))
    }

    pub(super) fn find(&self, way: &[Step]) -> Result<Found, StoreError> {
        let root = self.nodes.documents.first().map_or(0, |document| document.root);
        let (mut id, mut start) = (root, self.node(root)?.span.start);
        for (at, wanted) in way.iter().enumerate() {
            let node = self.node(id)?;
            let fail = |what, canonical_can| StoreError {
                way: way.get(..at).unwrap_or_default().to_vec(),
                what,
                canonical_can,
            };
            let shared = "an alias or an anchor uses this value elsewhere too";
            if node.used {
                return Err(fail(shared, true));
            }
            let next = match (&node.what, wanted) {
                (What::Map(pairs), Step::Key(key)) => pairs
                    .iter()
                    .find(|(id, _)| self.key(*id).is_some_and(|name| name == *key))
                    .map(|(key, value)| {
                        (*value, self.nodes.all.get(*key).map_or(0, |k| k.span.start))
                    }),
                (What::List(items), Step::Index(index)) => {
                    let item = items.get(*index);
                    item.map(|item| (*item, self.item_start(*item)))
                }
                (What::Alias(_), _) => return Err(fail(shared, true)),
                (What::Scalar(..), _) => return Ok(Found::Missing(id, at)),
                (What::Map(_) | What::List(_), _) => {
                    return Err(fail("a map takes a key here, and a list an index", false));
                }
            };
            match next {
                Some((value, begin)) => (id, start) = (value, begin),
                None => return Ok(Found::Missing(id, at)),
            }
        }
        if self.node(id)?.used {
            return Err(StoreError {
                way: way.to_vec(),
                what: "an alias uses this value elsewhere too",
                canonical_can: true,
            });
        }
        Ok(Found::Value(id, start))
    }

    fn key(&self, id: Id) -> Option<String> {
        match &self.nodes.all.get(id)?.what {
            What::Scalar(_, text) =>
            {
                #[expect(clippy::disallowed_methods, reason = "keys are no secret")]
                String::from_utf8(text.expose().to_vec()).ok()
            }
            What::Alias(target) => match &self.nodes.all.get(*target)?.what {
                What::Scalar(_, text) =>
                {
                    #[expect(clippy::disallowed_methods, reason = "keys are no secret")]
                    String::from_utf8(text.expose().to_vec()).ok()
                }
                What::List(_) | What::Map(_) | What::Alias(_) => None,
            },
            What::List(_) | What::Map(_) => None,
        }
    }

    /// Where the `-` of an item stands, or in `[…]` the item.
    pub(super) fn item_start(&self, id: Id) -> usize {
        let Some(node) = self.nodes.all.get(id) else { return 0 };
        let start = node.span.start;
        if node.flow && self.in_flow_list(id) {
            return start;
        }
        let mut upto = start;
        loop {
            let before = self.text.get(..upto).unwrap_or_default();
            let line = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
            let own = before.get(line..).unwrap_or_default();
            // Behind `-` stand blanks, anchors and tags, or a comment and the end of the line.
            let code = own.split(" #").next().unwrap_or_default();
            if let Some(dash) = dash(code) {
                return line.saturating_add(dash);
            }
            match line.checked_sub(1) {
                Some(end) => upto = end,
                None => return start,
            }
        }
    }

    fn in_flow_list(&self, id: Id) -> bool {
        self.nodes
            .all
            .iter()
            .any(|node| matches!(&node.what, What::List(items) if node.flow && items.contains(&id)))
    }

    /// The last byte of a node.
    pub(super) fn end(&self, id: Id) -> usize {
        let Some(node) = self.nodes.all.get(id) else { return 0 };
        let last = match &node.what {
            What::List(items) => items.last(),
            What::Map(pairs) => pairs.last().map(|(_, value)| value),
            What::Scalar(..) | What::Alias(_) => None,
        };
        last.map_or(node.span.end, |last| self.end(*last).max(node.span.end))
    }

    /// The end of a line, its break left out.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let line = rest.find('\n').map_or(rest, |i| rest.get(..i).unwrap_or_default());
        at.saturating_add(line.strip_suffix('\r').unwrap_or(line).len())
    }

    fn set(&self, way: &[Step], value: &Node) -> Result<Vec<Change>, StoreError> {
        match self.find(way)? {
            Found::Value(id, start) => self.replace(id, start, value),
            Found::Missing(id, at) => {
                let rest = way.get(at.saturating_add(1)..).unwrap_or_default();
                let step = way.get(at).cloned().unwrap_or(Step::Index(0));
                let inner = meant::nested(rest, value);
                match &self.node(id)?.what {
                    What::Map(pairs) => self.add_entry(id, pairs, &step, &inner),
                    What::List(items) => self.add_item(id, items, &inner),
                    What::Scalar(..) | What::Alias(_) => {
                        let whole = meant::nested(&[step], &inner);
                        if at == 0 {
                            return Ok(self.fill_document(&whole));
                        }
                        let start = self.node(id)?.span.start;
                        self.replace(id, start, &whole)
                    }
                }
            }
        }
    }

    /// A first entry of a document without any.
    fn fill_document(&self, value: &Node) -> Vec<Change> {
        let document = self.nodes.documents.first();
        let end = document.map_or(self.text.len(), |document| document.span.end);
        let root = document.and_then(|document| self.nodes.all.get(document.root));
        let mut changes = Vec::new();
        // `null` written out goes.
        if let Some(root) = root.filter(|root| !root.span.is_empty()) {
            changes.push(Change { span: root.span.clone(), with: Plaintext::default() });
        }
        let before = self.text.get(..end).unwrap_or_default();
        let mut with = Plaintext::default();
        if !before.is_empty() && !before.ends_with('\n') {
            with.extend(self.newline.as_bytes());
        }
        self.block_lines(&mut with, value, 0, true);
        with.extend(self.newline.as_bytes());
        changes.push(Change { span: end..end, with });
        changes
    }

    /// A container as lines at a column; the first one without its indentation if `bare`.
    fn block_lines(&self, out: &mut Plaintext, value: &Node, base: usize, bare: bool) {
        let printed = print::print_value(value, self.step);
        #[expect(clippy::disallowed_methods, reason = "the writer of the document")]
        let bytes = printed.expose();
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if i > 0 {
                out.extend(self.newline.as_bytes());
            }
            if !line.is_empty() {
                if i > 0 || !bare {
                    out.extend(" ".repeat(base).as_bytes());
                }
                out.extend(line);
            }
        }
    }

    /// A value behind `key:` or `-`, its blank or line break included; `column` is that of the
    /// key or `-`.
    fn behind(&self, out: &mut Plaintext, value: &Node, at: usize, item: bool) {
        match value {
            Node::Leaf(leaf) => {
                out.extend(b" ");
                self.new_leaf(out, leaf, at);
            }
            _ if is_empty(value) => {
                out.extend(b" ");
                flow_node(out, value);
            }
            _ if item => {
                out.extend(b" ");
                self.block_lines(out, value, at.saturating_add(2), true);
            }
            Node::Map(_) | Node::List(_) => {
                out.extend(self.newline.as_bytes());
                self.block_lines(out, value, at.saturating_add(self.step), false);
            }
        }
    }

    /// A leaf on a line that ends behind it.
    fn new_leaf(&self, out: &mut Plaintext, leaf: &Leaf, at: usize) {
        let block = Some((at.saturating_add(self.step), self.step));
        let place = write::Place { old: Style::Plain, flow: false, block, newline: self.newline };
        extend(out, &write::value(&leaf.value, &place));
    }

    pub(super) fn replace(
        &self,
        id: Id,
        start: usize,
        value: &Node,
    ) -> Result<Vec<Change>, StoreError> {
        let old = self.node(id)?;
        let own = old.span.start..self.end(id);
        let in_block = match old.what {
            What::Scalar(..) | What::Alias(_) => !old.flow,
            // Its own braces do not make its place one of flow.
            What::Map(_) | What::List(_) => !self.inside_flow(id),
        };
        let item = self.text.get(start..).is_some_and(|text| text.starts_with('-'))
            && !self.text.get(start..own.start).is_some_and(|text| text.contains(':'));
        let at = column(self.text, start);
        let is_scalar = matches!(old.what, What::Scalar(..));
        if !in_block {
            let mut with = Plaintext::default();
            if own.is_empty() {
                with.extend(b" ");
            }
            match (value, is_scalar) {
                (Node::Leaf(leaf), true) => extend(&mut with, &self.in_place(old, leaf)),
                _ => flow_node(&mut with, value),
            }
            return Ok(vec![Change { span: own, with }]);
        }
        if let (Node::Leaf(leaf), true) = (value, is_scalar) {
            let mut with = Plaintext::default();
            if own.is_empty() {
                if !absent_can(self.text, own.start) {
                    return Err(StoreError::new("there is no place for a value here"));
                }
                with.extend(b" ");
            }
            extend(&mut with, &self.in_place(old, leaf));
            let is_block = is_block_scalar(old);
            let start = foreign_tag(self.text, own.start).unwrap_or(own.start);
            return Ok(in_place_of(self.text, is_block, start..own.end, with));
        }
        let before = self.text.get(..own.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
        let on_own_line = before.get(line_start..).unwrap_or_default().trim().is_empty();
        if on_own_line && !own.is_empty() {
            // `key:`, perhaps a comment, and the value below.
            return self.replace_below(start, own, value, item, at);
        }
        let kept = before.trim_end_matches([' ', '\t']).len();
        let rest = self.text.get(own.end..self.line_end(own.end)).unwrap_or_default();
        let mut with = Plaintext::default();
        self.behind(&mut with, value, at, item);
        if rest.trim().is_empty() || matches!(value, Node::Leaf(_)) || is_empty(value) {
            return Ok(vec![Change { span: kept..own.end, with }]);
        }
        if item {
            return Err(StoreError {
                way: Vec::new(),
                what: "the comment behind this value would have to move",
                canonical_can: true,
            });
        }
        let line_end = self.line_end(own.end);
        Ok(vec![
            Change { span: kept..own.end, with: Plaintext::default() },
            Change { span: line_end..line_end, with },
        ])
    }

    /// A value that stands on lines below its key.
    fn replace_below(
        &self,
        start: usize,
        own: std::ops::Range<usize>,
        value: &Node,
        item: bool,
        at: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let head = self.text.get(start..own.start).unwrap_or_default();
        let key_line = self.line_end(start);
        let mut code = head.lines().next().unwrap_or_default();
        if let Some(comment) = code.find(" #") {
            code = code.get(..comment).unwrap_or_default();
        }
        let behind = start.saturating_add(code.trim_end().len());
        if !absent_can(self.text, behind) {
            return Err(StoreError {
                way: Vec::new(),
                what: "the value is written in a way that cannot be replaced in place",
                canonical_can: true,
            });
        }
        let mut with = Plaintext::default();
        let end = self.line_end(own.end);
        match value {
            Node::Map(_) | Node::List(_) if !is_empty(value) => {
                let base = if item { at.saturating_add(2) } else { at.saturating_add(self.step) };
                with.extend(self.newline.as_bytes());
                self.block_lines(&mut with, value, base, false);
                Ok(vec![Change { span: key_line..end, with }])
            }
            Node::Map(_) | Node::List(_) | Node::Leaf(_) => {
                let plain = Node::Leaf(Leaf::new(Value::Null));
                let one_line = if let Node::Leaf(leaf) = value {
                    let place = write::Place {
                        old: Style::Plain,
                        flow: false,
                        block: None,
                        newline: self.newline,
                    };
                    write::value(&leaf.value, &place)
                } else {
                    let mut text = Plaintext::default();
                    flow_node(&mut text, if is_empty(value) { value } else { &plain });
                    text
                };
                with.extend(b" ");
                extend(&mut with, &one_line);
                Ok(vec![
                    Change { span: behind..behind, with },
                    Change { span: key_line..end, with: Plaintext::default() },
                ])
            }
        }
    }

    /// A leaf for a leaf.
    fn in_place(&self, old: &Parsed, leaf: &Leaf) -> Plaintext {
        let style = match &old.what {
            What::Scalar(Some(granit_parser::ScalarStyle::SingleQuoted), _) => Style::Single,
            What::Scalar(Some(granit_parser::ScalarStyle::DoubleQuoted), _) => Style::Double,
            _ if is_block_scalar(old) => Style::Literal,
            What::Scalar(..) | What::List(_) | What::Map(_) | What::Alias(_) => Style::Plain,
        };
        let spot = Spot {
            span: old.span.clone(),
            style,
            flow: old.flow,
            indent: old.indent,
            shared: false,
        };
        let place = place(self.text, &spot, self.step, self.newline);
        write::value(&leaf.value, &place)
    }

    fn inside_flow(&self, id: Id) -> bool {
        let Some(node) = self.nodes.all.get(id) else { return false };
        node.flow
            && self.nodes.all.iter().any(|other| {
                other.flow
                    && matches!(other.what, What::Map(_) | What::List(_))
                    && other.span.start < node.span.start
                    && node.span.end < other.span.end
            })
    }

    fn add_entry(
        &self,
        map: Id,
        pairs: &[(Id, Id)],
        step: &Step,
        value: &Node,
    ) -> Result<Vec<Change>, StoreError> {
        let Step::Key(key) = step else {
            return Err(StoreError::new("a map takes a key here, and a list an index"));
        };
        let node = self.node(map)?;
        let Some((last_key, last_value)) = pairs.last() else {
            return self.fill_empty(map, &meant::nested(std::slice::from_ref(step), value));
        };
        let mut with = Plaintext::default();
        if node.flow {
            let end = self.end(*last_value).max(self.end(*last_key));
            with.extend(b", ");
            with.extend(flow_key(key).as_bytes());
            with.extend(b": ");
            flow_node(&mut with, value);
            return Ok(vec![Change { span: end..end, with }]);
        }
        let key_start = self.node(*last_key)?.span.start;
        let key_start = self.explicit(key_start);
        let at = column(self.text, key_start);
        let end = self.line_end(self.end(*last_value).max(self.end(*last_key)));
        with.extend(self.newline.as_bytes());
        with.extend(" ".repeat(at).as_bytes());
        with.extend(self.block_key(key).as_bytes());
        with.extend(b":");
        self.behind(&mut with, value, at, false);
        Ok(vec![Change { span: end..end, with }])
    }

    /// Before `? key`, the `?`.
    pub(super) fn explicit(&self, key_start: usize) -> usize {
        let before = self.text.get(..key_start).unwrap_or_default();
        let code = before.trim_end_matches([' ', '\t']);
        if code.ends_with('?') { code.len().saturating_sub(1) } else { key_start }
    }

    /// A key as go-yaml writes it, where it fits one line.
    fn block_key(&self, key: &str) -> String {
        let place =
            write::Place { old: Style::Plain, flow: false, block: None, newline: self.newline };
        if key == "<<" {
            return "\"<<\"".to_owned();
        }
        #[expect(clippy::disallowed_methods, reason = "keys are no secret")]
        String::from_utf8_lossy(write::string(key.as_bytes(), &place).expose()).into_owned()
    }

    fn add_item(&self, list: Id, items: &[Id], value: &Node) -> Result<Vec<Change>, StoreError> {
        let node = self.node(list)?;
        let Some(last) = items.last() else {
            return self.fill_empty(list, &meant::nested(&[Step::Index(0)], value));
        };
        let mut with = Plaintext::default();
        if node.flow {
            let end = self.end(*last);
            with.extend(b", ");
            flow_node(&mut with, value);
            return Ok(vec![Change { span: end..end, with }]);
        }
        let at = column(self.text, node.span.start);
        let end = self.line_end(self.end(*last));
        with.extend(self.newline.as_bytes());
        with.extend(" ".repeat(at).as_bytes());
        with.extend(b"-");
        self.behind(&mut with, value, at, true);
        Ok(vec![Change { span: end..end, with }])
    }

    /// `{}` or `[]` gets its first value.
    fn fill_empty(&self, id: Id, value: &Node) -> Result<Vec<Change>, StoreError> {
        let root = self.nodes.documents.first().map(|document| document.root);
        let node = self.node(id)?;
        if root == Some(id) {
            let mut with = Plaintext::default();
            self.block_lines(&mut with, value, column(self.text, node.span.start), true);
            return Ok(vec![Change { span: node.span.clone(), with }]);
        }
        let start = self.parent_start(id);
        self.replace(id, start, value)
    }

    /// Where the entry or item begins that holds a value.
    fn parent_start(&self, id: Id) -> usize {
        let key = self.nodes.all.iter().find_map(|node| match &node.what {
            What::Map(pairs) => pairs.iter().find(|(_, value)| *value == id).map(|(key, _)| *key),
            What::Scalar(..) | What::List(_) | What::Alias(_) => None,
        });
        match key.and_then(|key| self.nodes.all.get(key)) {
            Some(key) => key.span.start,
            None => self.item_start(id),
        }
    }
}

/// The last `-` of a line that begins an item.
fn dash(code: &str) -> Option<usize> {
    let mut words = code.trim_end();
    loop {
        if words == "-" || words.ends_with(" -") {
            return words.len().checked_sub(1);
        }
        // An anchor or tag between.
        let start = words.rfind(' ').map_or(0, |i| i.saturating_add(1));
        if !words.get(start..)?.starts_with(['&', '!']) || start == 0 {
            return None;
        }
        words = words.get(..start)?.trim_end();
    }
}

fn is_block_scalar(node: &Parsed) -> bool {
    let block = [granit_parser::ScalarStyle::Literal, granit_parser::ScalarStyle::Folded];
    matches!(&node.what, What::Scalar(Some(style), _) if block.contains(style))
}

fn is_empty(value: &Node) -> bool {
    match value {
        Node::Map(map) => !map.items.iter().any(|item| matches!(item, MapItem::Entry(_))),
        Node::List(list) => list.values().next().is_none(),
        Node::Leaf(_) => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "the writer of the document")]
fn extend(out: &mut Plaintext, more: &Plaintext) {
    out.extend(more.expose());
}
