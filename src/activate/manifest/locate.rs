//! Where in the text of a manifest a field stands, for faults that are found only when all of it
//! has been read; and which field stands at a place, for those that end the reading.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Line and column, from 1, of the value that a field path such as `secrets[3].name` leads to; of
/// the last part of the way that is there. `(0, 0)` where the text is no JSON.
pub(super) fn position(text: &[u8], field: &str) -> (usize, usize) {
    let Ok(mut here) = serde_json::from_slice::<&RawValue>(text) else { return (0, 0) };
    for step in steps(here, field) {
        here = step;
    }
    let offset = start_of(here, text);
    let before = text.get(..offset).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count();
    (line, column.saturating_add(1))
}

/// The way to the value, or to the key, that ends at or behind a place; empty for the whole, and where
/// the text is no JSON.
pub(super) fn field(text: &[u8], line: usize, column: usize) -> String {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let place = before.saturating_add(column);
    let mut way = String::new();
    let mut here = serde_json::from_slice::<&RawValue>(text).ok();
    while let Some(value) = here {
        // the first that does not end before the place
        let reaches =
            |value: &&RawValue| start_of(value, text).saturating_add(value.get().len()) >= place;
        here = if let Ok(Entries(entries)) = serde_json::from_str(value.get()) {
            entries.into_iter().find(|(_, value)| reaches(value)).map(|(key, value)| {
                way.push_str(if way.is_empty() { "" } else { "." });
                way.push_str(&key);
                value
            })
        } else {
            let values: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            (0_usize..).zip(values).find(|(_, value)| reaches(value)).map(|(index, value)| {
                let _infallible = write!(way, "[{index}]");
                value
            })
        };
    }
    way
}

/// Where a part of a text begins in it.
fn start_of(part: &RawValue, text: &[u8]) -> usize {
    part.get().as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

/// The values on the way, as far as it leads.
fn steps<'t>(root: &'t RawValue, field: &str) -> Vec<&'t RawValue> {
    let mut found = Vec::new();
    let (mut here, mut rest) = (root, field);
    while !rest.is_empty() {
        let next = if let Some(inside) = rest.strip_prefix('[') {
            let Some((index, behind)) = inside.split_once(']') else { break };
            rest = behind;
            item(here, index)
        } else {
            entry(here, rest.trim_start_matches('.')).map(|(value, behind)| {
                rest = behind;
                value
            })
        };
        let Some(value) = next else { break };
        found.push(value);
        here = value;
    }
    found
}

fn item<'t>(list: &'t RawValue, index: &str) -> Option<&'t RawValue> {
    let values: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    values.get(index.parse::<usize>().ok()?).copied()
}

/// The value of the longest key that the rest of the way begins with: keys may hold dots.
fn entry<'t, 'f>(map: &'t RawValue, rest: &'f str) -> Option<(&'t RawValue, &'f str)> {
    let Entries(entries) = serde_json::from_str(map.get()).ok()?;
    let fits = |key: &str| {
        let behind = rest.strip_prefix(key)?;
        (behind.is_empty() || behind.starts_with(['.', '['])).then_some(behind)
    };
    let found = entries.iter().filter_map(|(key, value)| Some((*value, fits(key)?)));
    found.min_by_key(|(_, behind)| behind.len())
}

/// What a map holds, in its order, twice what is there twice.
struct Entries<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Deserialize<'t> for Entries<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'t> Visitor<'t> for EntriesVisitor {
    type Value = Entries<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}

#[derive(Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let text = "{\n  \"secrets\": [\n    {\"name\": \"ä\", \"links\": [\"/a\", \"/b\"]}\n  ],\n \
                    \"services\": {\"a.service\": {\"x\": 1}}}";
        for (field, wanted) in [
            ("", (1, 1)),
            ("secrets", (2, 14)),
            ("secrets[0].name", (3, 14)),
            ("secrets[0].links[1]", (3, 35)),
            ("services.a.service.x", (5, 34)),
            ("secrets[0].nothing", (3, 5)),
            ("secrets[7]", (2, 14)),
        ] {
            assert_eq!(position(text.as_bytes(), field), wanted, "{field}");
        }
        assert_eq!(position(b"{", "a"), (0, 0));
    }

    #[test]
    fn places_have_fields() {
        let text = "{\n  \"secrets\": [\n    {\"name\": 1, \"name\": 2}, [3]\n  ],\n \"x\": {}}";
        for (line, column, wanted) in [
            (1, 1, "secrets"),
            (3, 13, "secrets[0].name"),
            (3, 23, "secrets[0].name"),
            (3, 24, "secrets[0]"),
            (3, 28, "secrets[1][0]"),
            (5, 6, "x"),
            (5, 9, ""),
        ] {
            assert_eq!(field(text.as_bytes(), line, column), wanted, "{line}:{column}");
        }
        assert_eq!(field(b"{", 1, 1), "");
    }
}
