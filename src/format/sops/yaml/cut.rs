//! Which bytes an entry takes with it when it goes: in a block its lines, in `{…}` one comma.

use std::ops::Range;

/// The bytes to cut for an entry or item; `own` begins with its key or `-`.
pub(super) fn entry(text: &str, own: Range<usize>, flow: bool) -> Range<usize> {
    if flow { in_flow(text, own) } else { lines(text, own) }
}

/// Whole lines; at the end of a text without a last line break, the one before them too.
fn lines(text: &str, own: Range<usize>) -> Range<usize> {
    let before = text.get(..own.start).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
    let indented = text.get(start..own.start).unwrap_or_default();
    let start = if indented.starts_with('\u{feff}') { start.saturating_add(3) } else { start };
    let rest = text.get(own.end..).unwrap_or_default();
    if let Some(i) = rest.find('\n') {
        return start..own.end.saturating_add(i).saturating_add(1);
    }
    let kept = text.get(..start).unwrap_or_default();
    let kept = kept.strip_suffix('\n').unwrap_or(kept);
    kept.strip_suffix('\r').unwrap_or(kept).len()..text.len()
}

/// With the comma behind it, else with the one before.
fn in_flow(text: &str, own: Range<usize>) -> Range<usize> {
    let before = text.get(..own.start).unwrap_or_default();
    let rest = text.get(own.end..).unwrap_or_default();
    let behind = rest.trim_start();
    let kept = before.trim_end();
    if behind.starts_with(',') {
        let comma = rest.len().saturating_sub(behind.len());
        let end = own.end.saturating_add(comma).saturating_add(1);
        if kept.ends_with(',') {
            return kept.len()..end;
        }
        let space = text.get(end..).unwrap_or_default();
        let space = space.len().saturating_sub(space.trim_start_matches(' ').len());
        return own.start..end.saturating_add(space);
    }
    match kept.strip_suffix(',') {
        Some(kept) => kept.len()..own.end,
        None => own,
    }
}
