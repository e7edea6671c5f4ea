//! Where in the text of a manifest a field stands, for faults that are found only when all of it
//! has been read. Works on JSON that was read before.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Line and column, from 1, of the value that a field path such as `secrets[3].name` leads to; of
/// the last part of the way that is there. `(0, 0)` where the text is no JSON.
pub(super) fn position(text: &[u8], field: &str) -> (usize, usize) {
    let Ok(mut here) = serde_json::from_slice::<&RawValue>(text) else { return (0, 0) };
    for step in steps(here, field) {
        here = step;
    }
    let offset = here.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count();
    (line, column.saturating_add(1))
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
    let values: BTreeMap<Key<'_>, &RawValue> = serde_json::from_str(map.get()).ok()?;
    let fits = |key: &Key<'_>| {
        let behind = rest.strip_prefix(key.0.as_ref())?;
        (behind.is_empty() || behind.starts_with(['.', '['])).then_some(behind)
    };
    let found = values.iter().filter_map(|(key, value)| Some((*value, fits(key)?)));
    found.min_by_key(|(_, behind)| behind.len())
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
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
}
