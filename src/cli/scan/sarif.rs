//! The report as SARIF 2.1.0 (OASIS), which code hosting shows.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::ui;
use super::allow::Verdict;
use super::machine::{kind, severity};
use super::told::{Leak, Told};
use super::words;
use crate::scan::finding::Inside;

/// The whole document.
pub(super) fn document(told: &Told) -> String {
    let mut kinds: Vec<String> = told.leaks.iter().map(|leak| kind(&leak.found)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let rules: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "id": kind,
                "shortDescription": { "text": "A secret stands in the open" },
                "help": { "text": words::REMEDIES.join("\n") },
                "defaultConfiguration": { "level": "error" },
            })
        })
        .collect();
    let results: Vec<Value> = told.leaks.iter().map(|leak| result(leak, &kinds)).collect();
    let notification = |level: &str, text: &str| json!({ "level": level, "message": { "text": without_links(text) } });
    let missed = told.incomplete().map(|missed| format!("{}: {}", missed.place(), missed.why));
    let mut notifications: Vec<Value> = missed.map(|text| notification("error", &text)).collect();
    let complete = notifications.is_empty();
    let closed = told.closed.iter().map(|(_, why)| why.clone());
    let not_searched = told.not_searched.iter().map(words::not_searched);
    let notes = closed.chain(not_searched).chain(told.notes.iter().cloned());
    notifications.extend(notes.map(|text| notification("note", &text)));
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "secretctl",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{
                "executionSuccessful": complete,
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
            "columnKind": "utf16CodeUnits",
        }],
    });
    ui::plain_json(&format!("{document:#}")) + "\n"
}

fn result(leak: &Leak, kinds: &[String]) -> Value {
    let finding = &leak.finding;
    let rule = kind(&leak.found);
    let index = kinds.iter().position(|kind| *kind == rule);
    let level = if severity(leak) == "high" { "error" } else { "warning" };
    let message = format!(
        "{} stands in the open ({}){}. {}. Rotate it first; then {}.",
        words::found(leak),
        words::spot(finding),
        if finding.chain.is_empty() {
            String::new()
        } else {
            format!(" in {}", Inside(&finding.chain))
        },
        words::cause(&leak.cause),
        words::fix(&leak.cause)
    );
    let locations: Vec<Value> = finding.files.iter().map(|file| location(leak, file)).collect();
    let mut result = json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": level,
        "message": { "text": without_links(&message) },
        "locations": locations,
        "partialFingerprints": { "secretctl/v1": leak.id },
        "properties": {
            "cause": leak.cause.word(),
            "readableByAll": finding.readable_by_all,
            "form": finding.form.words(),
        },
    });
    let suppression = match &leak.verdict {
        Verdict::Allowed(reason) => Some(json!({ "kind": "external", "justification": reason })),
        Verdict::Known => Some(json!({ "kind": "external", "justification": "in the baseline" })),
        Verdict::New | Verdict::Over(_) => None,
    };
    if let (Some(suppression), Some(object)) = (suppression, result.as_object_mut()) {
        object.insert("suppressions".to_owned(), json!([suppression]));
    }
    result
}

fn location(leak: &Leak, file: &std::path::Path) -> Value {
    let here = std::env::current_dir().unwrap_or_default();
    let uri = match file.strip_prefix(&here) {
        Ok(inner) => encoded(&inner.to_string_lossy()),
        Err(_) => format!("file://{}", encoded(&file.to_string_lossy())),
    };
    let region = match leak.finding.line {
        Some(line) => json!({ "startLine": line }),
        None if leak.finding.chain.is_empty() => {
            json!({ "byteOffset": leak.finding.offset, "byteLength": 0 })
        }
        None => return json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } }),
    };
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri }, "region": region } })
}

/// A message in which no name makes a link (SARIF 2.1.0, 3.11.6).
fn without_links(text: &str) -> String {
    text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

/// A path in a URI (RFC 3986).
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _infallible = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
