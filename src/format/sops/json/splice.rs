//! Changes of a JSON text that leave every other byte: values written anew, members put in and
//! taken out, laid out as what stands beside them.

use std::ops::Range;

use super::METADATA;
use super::print::{Layout, Printer};
use super::read::{Scanner, key, read};
use crate::format::sops::convert::refusal;
use crate::format::sops::store::{MetadataEdit, Step, StoreError};
use crate::format::sops::text::{Edits, line_end, part};
use crate::format::sops::tree::{Leaf, ListItem, Map, MapItem, Node, Tree, Write};
use crate::plaintext::Plaintext;

/// Puts changed values back.
pub(in crate::format::sops) fn splice(
    text: &Plaintext,
    tree: &Tree,
    metadata: MetadataEdit<'_>,
) -> Result<Plaintext, StoreError> {
    let text = bytes(text);
    let mut edits = Edits::default();
    for document in &tree.documents {
        changes_of_map(&document.root, &mut edits)?;
    }
    let root = || root(text).ok_or(StoreError::new("the text is no JSON object"));
    match metadata {
        MetadataEdit::Keep => {}
        MetadataEdit::Remove => {
            let root = root()?;
            if let Some(room) = root.find(METADATA).and_then(|index| root.room_of(index)) {
                edits.cut(room);
            }
            // no MAC covers what may stand there
            let behind = root.span.end..text.len();
            if !part(text, &behind).trim_ascii().is_empty() {
                edits.cut(behind);
            }
        }
        MetadataEdit::Put(map) => {
            let root = root()?;
            let mut printer = Printer::new(root.layout(text, &root));
            if let Some(member) = root.find(METADATA).and_then(|index| root.members.get(index)) {
                printer.map(map)?;
                edits.replace(member.value.clone(), printer.out);
            } else {
                printer.key(METADATA);
                printer.map(map)?;
                root.append(text, &root, &printer.out, &mut edits);
            }
        }
    }
    edits.apply(text)
}

/// Sets one value.
pub(in crate::format::sops) fn set(
    text: &Plaintext,
    way: &[Step],
    value: &Node,
) -> Result<Plaintext, StoreError> {
    let at_way = |what| StoreError { way: way.to_vec(), what, canonical_can: false };
    if way.first() == Some(&Step::Key(METADATA.to_owned())) {
        return Err(at_way("this key is for the metadata"));
    }
    let (text, root) = checked(text)?;
    let mut edits = Edits::default();
    let mut outline = root.clone();
    for (depth, step) in way.iter().enumerate() {
        let rest = way.get(depth.saturating_add(1)..).unwrap_or_default();
        let found = outline.step(step).map_err(at_way)?;
        let mut printer = Printer::new(outline.layout(text, &root));
        match found.and_then(|index| outline.members.get(index)) {
            None => {
                if let Step::Key(key) = step {
                    printer.key(key);
                }
                printer.at_end_of(rest, value)?;
                outline.append(text, &root, &printer.out, &mut edits);
                return edits.apply(text);
            }
            Some(member) if rest.is_empty() => {
                printer.node(value)?;
                edits.replace(member.value.clone(), printer.out);
                return edits.apply(text);
            }
            Some(member) => {
                let inner = Outline::of(text, member.value.start);
                outline = inner.ok_or_else(|| at_way("the way leads through a single value"))?;
            }
        }
    }
    Err(at_way("a way with a key is needed"))
}

/// Removes one value.
pub(in crate::format::sops) fn unset(
    text: &Plaintext,
    way: &[Step],
) -> Result<Option<Plaintext>, StoreError> {
    let at_way = |what| StoreError { way: way.to_vec(), what, canonical_can: false };
    let (text, mut outline) = checked(text)?;
    let Some((last, before)) = way.split_last() else {
        return Err(at_way("a way with a key is needed"));
    };
    for step in before {
        let found = outline.step(step).map_err(at_way)?;
        let Some(member) = found.and_then(|index| outline.members.get(index)) else {
            return Ok(None);
        };
        let inner = Outline::of(text, member.value.start);
        outline = inner.ok_or_else(|| at_way("the way leads through a single value"))?;
    }
    let found = outline.step(last).map_err(at_way)?;
    let Some(room) = found.and_then(|index| outline.room_of(index)) else { return Ok(None) };
    let mut edits = Edits::default();
    edits.cut(room);
    edits.apply(text).map(Some)
}

/// Where the members of an object or list stand.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    /// From the bracket to the bracket.
    span: Range<usize>,
    object: bool,
    members: Vec<Member>,
}

/// A member of an object, or an item of a list.
#[derive(Debug, Clone)]
struct Member {
    /// Empty in lists.
    key: String,
    /// From the key on.
    start: usize,
    value: Range<usize>,
}

impl Outline {
    /// Of the object or list that begins there, in a text that was read before.
    pub(super) fn of(text: &[u8], at: usize) -> Option<Self> {
        let object = match text.get(at)? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        let mut scanner = Scanner { text, at: at.saturating_add(1) };
        let mut members = Vec::new();
        loop {
            scanner.space();
            if scanner.pass(b'}') || scanner.pass(b']') {
                return Some(Self { span: at..scanner.at, object, members });
            }
            scanner.pass(b',');
            scanner.space();
            let (start, mut name) = (scanner.at, String::new());
            if object {
                name = key(part(text, &scanner.string("").ok()?));
                scanner.space();
                scanner.pass(b':');
                scanner.space();
            }
            let value = scanner.at;
            pass_value(&mut scanner)?;
            members.push(Member { key: name, start, value: value..scanner.at });
        }
    }

    /// What is cut for a text without a member: with the comma that belongs to it.
    pub(super) fn room_of(&self, index: usize) -> Option<Range<usize>> {
        let member = self.members.get(index)?;
        let before = index.checked_sub(1).and_then(|index| self.members.get(index));
        let after = self.members.get(index.saturating_add(1));
        Some(match (before, after) {
            (Some(before), _) => before.value.end..member.value.end,
            (None, Some(after)) => member.start..after.start,
            (None, None) => self.span.start.saturating_add(1)..self.span.end.saturating_sub(1),
        })
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.members.iter().position(|member| self.object && member.key == key)
    }

    fn step(&self, step: &Step) -> Result<Option<usize>, &'static str> {
        match (step, self.object) {
            (Step::Key(key), true) => Ok(self.find(key)),
            (Step::Index(index), false) => Ok(Some(*index).filter(|i| *i < self.members.len())),
            (Step::Key(_), false) => Err("the way has a key where the text has a list"),
            (Step::Index(_), true) => Err("the way has a number where the text has an object"),
        }
    }

    /// Whether each member has a line of its own.
    fn is_lines(&self, text: &[u8]) -> bool {
        self.members.last().is_some_and(|last| part(text, &self.gap(last)).contains(&b'\n'))
    }

    /// The space before the last member.
    fn gap(&self, last: &Member) -> Range<usize> {
        let before = self.members.len().checked_sub(2).and_then(|index| self.members.get(index));
        before.map_or(self.span.start.saturating_add(1), |before| before.value.end)..last.start
    }

    /// How a member of it is laid out.
    fn layout(&self, text: &[u8], root: &Self) -> Layout {
        let end = line_end(text);
        let unit = root.unit(text);
        match (self.members.last(), &unit) {
            (Some(last), _) if self.is_lines(text) => {
                Layout::lines(unit.unwrap_or("\t".to_owned()), indent_of(text, last.start), end)
            }
            (None, Some(unit)) => {
                let base = indent_of(text, self.span.start) + unit;
                Layout::lines(unit.clone(), base, end)
            }
            (None, None) if root.members.is_empty() => {
                Layout::lines("\t".to_owned(), "\t".to_owned(), end)
            }
            (_, _) => {
                let spaced = self.spaced_colon(text).or_else(|| root.spaced_colon(text));
                let gap = self.members.last().filter(|_| self.members.len() > 1);
                let wide = gap.map_or(spaced != Some(false), |last| self.gap(last).len() > 1);
                Layout {
                    unit: None,
                    base: String::new(),
                    end,
                    colon: if spaced == Some(false) { ":" } else { ": " },
                    comma: if wide { ", " } else { "," },
                }
            }
        }
    }

    /// What a level is indented by, seen at the root; `None` where all is one line.
    fn unit(&self, text: &[u8]) -> Option<String> {
        let last = self.members.last().filter(|_| self.is_lines(text))?;
        let (indent, base) =
            (indent_of(text, last.start), indent_of(text, self.span.end.saturating_sub(1)));
        Some(indent.strip_prefix(&base).unwrap_or(&indent).to_owned())
    }

    fn spaced_colon(&self, text: &[u8]) -> Option<bool> {
        let first = self.members.first().filter(|_| self.object)?;
        Some(text.get(first.value.start.checked_sub(1)?) != Some(&b':'))
    }

    /// Puts a printed member behind the last.
    fn append(&self, text: &[u8], root: &Self, member: &Plaintext, edits: &mut Edits) {
        let layout = self.layout(text, root);
        let mut out = Plaintext::default();
        if !self.members.is_empty() {
            out.extend(layout.comma.as_bytes());
        }
        if layout.unit.is_some() {
            out.extend(layout.end.as_bytes());
            out.extend(layout.base.as_bytes());
        }
        out.extend(bytes(member));
        if let Some(last) = self.members.last() {
            edits.insert(last.value.end, out);
            return;
        }
        if layout.unit.is_some() {
            out.extend(layout.end.as_bytes());
            out.extend(indent_of(text, self.span.start).as_bytes());
        }
        edits.replace(self.span.start.saturating_add(1)..self.span.end.saturating_sub(1), out);
    }
}

/// What the line is indented by that has this byte.
fn indent_of(text: &[u8], at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let line = text.get(start..).unwrap_or_default();
    line.iter().take_while(|b| matches!(b, b' ' | b'\t')).map(|b| char::from(*b)).collect()
}

fn pass_value(scanner: &mut Scanner<'_>) -> Option<()> {
    let mut depth = 0_usize;
    loop {
        match scanner.peek()? {
            b'"' => {
                scanner.string("").ok()?;
            }
            bracket @ (b'{' | b'[') => {
                scanner.pass(bracket);
                depth = depth.saturating_add(1);
            }
            bracket @ (b'}' | b']') => {
                scanner.pass(bracket);
                depth = depth.checked_sub(1)?;
            }
            separator @ (b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') => {
                scanner.pass(separator);
                continue;
            }
            _ => {
                let start = scanner.at;
                while let Some(other @ (b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E')) =
                    scanner.peek()
                {
                    scanner.pass(other);
                }
                if scanner.at == start {
                    return None;
                }
            }
        }
        if depth == 0 {
            return Some(());
        }
    }
}

/// The root of a text that is known to be JSON.
fn root(text: &[u8]) -> Option<Outline> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.space();
    Outline::of(text, scanner.at)
}

fn checked(text: &Plaintext) -> Result<(&[u8], Outline), StoreError> {
    let wrong = StoreError::new("the text is no JSON object");
    read(text).map_err(|_| wrong.clone())?;
    let text = bytes(text);
    Ok((text, root(text).ok_or(wrong)?))
}

fn changes_of_map(map: &Map, edits: &mut Edits) -> Result<(), StoreError> {
    for item in &map.items {
        if let MapItem::Entry(entry) = item {
            let with_key = |mut error: StoreError| {
                error.way.insert(0, Step::Key(entry.key.clone()));
                error
            };
            changes_of(&entry.value, edits).map_err(with_key)?;
        }
    }
    Ok(())
}

fn changes_of(node: &Node, edits: &mut Edits) -> Result<(), StoreError> {
    match node {
        Node::Map(map) => changes_of_map(map, edits),
        Node::List(list) => list.items.iter().try_for_each(|item| match item {
            ListItem::Value(node) => changes_of(node, edits),
            ListItem::Comment(_) => Ok(()),
        }),
        Node::Leaf(leaf) => change_of(leaf, edits),
    }
}

fn change_of(leaf: &Leaf, edits: &mut Edits) -> Result<(), StoreError> {
    let written = match &leaf.write {
        Write::Keep => return Ok(()),
        Write::Token(token) => Plaintext::copy_of(bytes(token)),
        Write::Value => {
            let one_line = Layout::lines(String::new(), String::new(), "\n");
            let mut printer = Printer::new(one_line);
            printer.leaf(leaf)?;
            printer.out
        }
    };
    let spot = leaf.spot.as_ref().ok_or_else(|| {
        let error = refusal(&[], "a new value has no place in the text yet");
        StoreError { canonical_can: true, ..error }
    })?;
    edits.replace(spot.span.clone(), written);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "from one text that is wiped into another")]
fn bytes(text: &Plaintext) -> &[u8] {
    text.expose()
}
