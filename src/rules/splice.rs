//! Edits of YAML text by its bytes: entries and items come and go, all else stays as it was.
//!
//! Whoever uses this parses the result again and compares: a layout that is not foreseen here
//! gives `None` or a text that does not say what was meant, never silent damage.

use std::ops::Range;

use super::yaml::{Kind, Node};

/// A piece of the text and what takes its place.
#[derive(Debug)]
pub(super) struct Splice {
    range: Range<usize>,
    with: String,
}

fn put(at: usize, with: String) -> Splice {
    Splice { range: at..at, with }
}

fn cut(range: Range<usize>) -> Splice {
    Splice { range, with: String::new() }
}

/// The text with all pieces replaced; `None` where they overlap.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut result = String::new();
    let mut done = 0;
    for Splice { range, with } in splices {
        result.push_str(text.get(done..range.start)?);
        result.push_str(&with);
        done = range.end;
    }
    result.push_str(text.get(done..)?);
    Some(result)
}

/// A name, plain where that is safe.
pub(super) fn name(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    let lower = text.to_ascii_lowercase();
    let means_something = matches!(
        lower.as_str(),
        "y" | "n" | "yes" | "no" | "true" | "false" | "on" | "off" | "null"
    );
    if is_word && !means_something { text.to_owned() } else { quoted(text) }
}

/// A string in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut result = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let code = format!("\\u{:04X}", u32::from(c));
                result.push_str(&code);
            }
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

/// Several strings in brackets.
pub(super) fn brackets(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// The line end that the text uses.
fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        Some(_) | None => "\n",
    }
}

/// Adds an entry, `key: value`, further lines of it indented by two, behind the last one of a
/// mapping that has entries, or of one in braces. `key` is the key that the mapping belongs to.
pub(super) fn add_entry(text: &str, key: &Node, map: &Node, entry: &str) -> Option<Vec<Splice>> {
    match &map.kind {
        Kind::Map { entries, flow } => match (entries.last(), flow) {
            (Some((_, last)), true) => Some(vec![put(last.bytes.end, format!(", {entry}"))]),
            (Some(_), false) => {
                let (first, _) = entries.first()?;
                let indent = first.column.checked_sub(1)?;
                is_indent(text, first).or(dash(text, first).map(|_| ()))?;
                Some(vec![new_lines(text, map.bytes.end, indent, entry)])
            }
            (None, _)
                if text.get(map.bytes.clone()) == Some("{}") && is_indent(text, key).is_some() =>
            {
                // The usual `hosts: {}` becomes a block, which is what people go on writing.
                let colon = colon(text, key)?;
                let between = text.get(colon..map.bytes.start)?;
                if between == " " {
                    let mut splices = vec![cut(colon..map.bytes.end)];
                    splices.push(new_lines(
                        text,
                        map.bytes.end,
                        key.column.saturating_add(1),
                        entry,
                    ));
                    Some(splices)
                } else {
                    Some(vec![put(map.bytes.start.saturating_add(1), entry.to_owned())])
                }
            }
            (None, _) => Some(vec![put(map.bytes.start.saturating_add(1), entry.to_owned())]),
        },
        Kind::Scalar { .. } if map.is_null() => begin_block(text, key, map, entry),
        Kind::Scalar { .. } | Kind::List { .. } => None,
    }
}

/// Writes the first line or lines of a block under a key that has no value yet.
fn begin_block(text: &str, key: &Node, null: &Node, lines: &str) -> Option<Vec<Splice>> {
    is_indent(text, key)?;
    let colon = colon(text, key)?;
    let mut splices = Vec::new();
    if null.bytes.end > colon {
        splices.push(cut(colon..null.bytes.end));
    }
    let from = null.bytes.end.max(colon);
    splices.push(new_lines(text, from, key.column.saturating_add(1), lines));
    Some(splices)
}

/// Adds a section to the whole document.
pub(super) fn add_section(text: &str, root: Option<&Node>, section: &str) -> Option<Vec<Splice>> {
    let end = line_end(text);
    let mut indent = 0;
    if let Some(root) = root {
        let Kind::Map { entries, flow } = &root.kind else { return None };
        let rest = text.get(root.bytes.end..)?;
        let is_talk = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        // What follows on the last value's own line can only be a comment.
        if entries.is_empty() {
            return Some(vec![put(root.bytes.start.saturating_add(1), section.to_owned())]);
        }
        if *flow || !rest.lines().skip(1).all(is_talk) {
            return add_entry(text, root, root, section);
        }
        indent = entries.first()?.0.column.checked_sub(1)?;
    }
    let glue = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    let body = indented(section, indent, end);
    Some(vec![put(text.len(), format!("{glue}{body}{end}"))])
}

/// Takes one entry out of a mapping. `key` is the key that the mapping belongs to.
pub(super) fn remove_entry(
    text: &str,
    key: &Node,
    map: &Node,
    index: usize,
) -> Option<Vec<Splice>> {
    let Kind::Map { entries, flow } = &map.kind else { return None };
    let (entry, value) = entries.get(index)?;
    let own = entry.bytes.start..value.bytes.end.max(entry.bytes.end);
    if *flow {
        let before = index.checked_sub(1).and_then(|i| entries.get(i)).map(|(_, v)| v.bytes.end);
        let after = entries.get(index.saturating_add(1)).map(|(k, _)| k.bytes.start);
        return Some(vec![cut(flow_range(text, &own, before, after))]);
    }
    is_indent(text, entry)?;
    let mut splices = vec![cut(whole_lines(text, &own)?)];
    if entries.len() == 1 {
        splices.push(put(colon(text, key)?, " {}".to_owned()));
    }
    Some(splices)
}

/// Adds an item to a list, or makes a list of a single value.
pub(super) fn add_item(text: &str, key: &Node, list: &Node, item: &str) -> Option<Vec<Splice>> {
    match &list.kind {
        Kind::List { items, flow: true } => Some(vec![match items.last() {
            Some(behind) => put(behind.bytes.end, format!(", {item}")),
            None => put(list.bytes.start.saturating_add(1), item.to_owned()),
        }]),
        Kind::List { items, flow: false } => {
            let indent = dash(text, items.last()?)?;
            Some(vec![new_lines(text, list.bytes.end, indent, &format!("- {item}"))])
        }
        Kind::Scalar { .. } if list.is_null() => {
            let colon = colon(text, key)?;
            let range = colon..list.bytes.end.max(colon);
            Some(vec![Splice { range, with: format!(" [{item}]") }])
        }
        Kind::Scalar { text: only, .. } => {
            let with = format!("[{}, {item}]", name(only));
            Some(vec![Splice { range: list.bytes.clone(), with }])
        }
        Kind::Map { .. } => None,
    }
}

/// Takes one item out of a list that has others.
pub(super) fn remove_item(text: &str, list: &Node, index: usize) -> Option<Vec<Splice>> {
    let Kind::List { items, flow } = &list.kind else { return None };
    let item = items.get(index)?;
    let range = if *flow {
        let before = index.checked_sub(1).and_then(|i| items.get(i)).map(|item| item.bytes.end);
        let after = items.get(index.saturating_add(1)).map(|item| item.bytes.start);
        flow_range(text, &item.bytes, before, after)
    } else {
        dash(text, item)?;
        whole_lines(text, &item.bytes)?
    };
    Some(vec![cut(range)])
}

/// Lines put behind the line that `after` is in.
fn new_lines(text: &str, after: usize, indent: usize, lines: &str) -> Splice {
    let end = line_end(text);
    put(end_of_line(text, after), format!("{end}{}", indented(lines, indent, end)))
}

fn indented(lines: &str, indent: usize, end: &str) -> String {
    let lines: Vec<_> = lines.lines().map(|line| format!("{:indent$}{line}", "")).collect();
    lines.join(end)
}

/// Where the line of an offset ends, its line end not included.
fn end_of_line(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    from.saturating_add(line.strip_suffix('\r').unwrap_or(line).len())
}

/// The lines of a range, with the line end before them instead of the one behind.
fn whole_lines(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let before = text.get(..range.start)?;
    let start = before.rfind('\n')?;
    let start = if before.get(..start)?.ends_with('\r') { start.checked_sub(1)? } else { start };
    Some(start..end_of_line(text, range.end))
}

/// What goes when something between braces or brackets goes.
fn flow_range(
    text: &str,
    own: &Range<usize>,
    before: Option<usize>,
    after: Option<usize>,
) -> Range<usize> {
    match (before, after) {
        (Some(before), _) => before..own.end,
        (None, Some(after)) => own.start..after,
        (None, None) => {
            let rest = text.get(own.end..).unwrap_or_default();
            let blanks = rest.len().saturating_sub(rest.trim_start().len());
            let comma = rest.get(blanks..).is_some_and(|rest| rest.starts_with(','));
            let more = if comma { blanks.saturating_add(1) } else { 0 };
            own.start..own.end.saturating_add(more)
        }
    }
}

/// The offset behind the colon of a key.
fn colon(text: &str, key: &Node) -> Option<usize> {
    let rest = text.get(key.bytes.end..)?;
    let blanks = rest.len().checked_sub(rest.trim_start_matches(' ').len())?;
    rest.get(blanks..)?
        .starts_with(':')
        .then(|| key.bytes.end.saturating_add(blanks).saturating_add(1))
}

/// That nothing but blanks stands before a node on its line.
fn is_indent(text: &str, node: &Node) -> Option<()> {
    line_before(text, node)?.trim_start_matches('\u{feff}').chars().all(|c| c == ' ').then_some(())
}

/// The column, from 0, of the dash of an item that begins on the dash's line.
fn dash(text: &str, item: &Node) -> Option<usize> {
    let before = line_before(text, item)?.trim_end_matches(' ');
    let indent = before.strip_suffix('-')?;
    indent.chars().all(|c| c == ' ').then_some(indent.len())
}

fn line_before<'t>(text: &'t str, node: &Node) -> Option<&'t str> {
    text.get(..node.bytes.start)?.rsplit('\n').next()
}
