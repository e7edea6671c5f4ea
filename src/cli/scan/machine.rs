//! The report for machines: one JSON object a line.

use serde_json::{Value, json};

use super::super::ui;
use super::told::{Found, Leak, Told};
use super::words;
use crate::scan::finding::{Inside, Step};

/// Findings, gaps, what was not looked for, and a summary last.
pub(super) fn lines(told: &Told) -> String {
    let mut lines: Vec<Value> = told.leaks.iter().map(leak).collect();
    for (path, gap, verdict) in &told.gaps {
        lines.push(json!({
            "type": "gap",
            "path": path.to_string_lossy(),
            "inside": steps(&gap.chain),
            "why": gap.why.word(),
            "message": gap.why.to_string(),
            "state": verdict.word(),
        }));
    }
    for (path, why) in &told.failed {
        lines.push(json!({
            "type": "gap",
            "path": path.to_string_lossy(),
            "inside": [],
            "why": "unreadable",
            "message": why,
            "state": "new",
        }));
    }
    for one in &told.not_searched {
        lines.push(json!({
            "type": "notSearched",
            "secret": { "file": one.file, "keyPath": one.key_path },
            "message": one.why.words(),
        }));
    }
    for (file, why) in &told.closed {
        lines.push(json!({ "type": "notOpened", "file": file, "message": why }));
    }
    for note in &told.notes {
        lines.push(json!({ "type": "note", "message": note }));
    }
    lines.push(json!({
        "type": "summary",
        "findings": told.counted().count(),
        "complete": told.incomplete().next().is_none(),
        "secrets": told.secrets,
        "files": told.files,
        "bytes": told.bytes,
        "signedPaths": told.signed.paths,
        "signedBytes": told.signed.bytes,
        "rememberedPaths": told.remembered,
        "remedies": words::REMEDIES,
    }));
    lines.iter().fold(String::new(), |text, line| text + &ui::plain_json(&line.to_string()) + "\n")
}

fn leak(leak: &Leak) -> Value {
    let finding = &leak.finding;
    let files: Vec<_> = finding.files.iter().map(|file| file.to_string_lossy()).collect();
    let chain = leak
        .chain
        .as_ref()
        .map(|chain| json!({ "root": chain.root.to_string_lossy(), "paths": chain.paths }));
    json!({
        "type": "finding",
        "id": leak.id,
        "state": leak.verdict.word(),
        "kind": kind(&leak.found),
        "secrets": secrets(&leak.found),
        "form": finding.form.words(),
        "weak": finding.weak,
        "severity": severity(leak),
        "files": files,
        "inside": steps(&finding.chain),
        "place": format!("{}{}", files.first().cloned().unwrap_or_default(), Inside(&finding.chain)),
        "offset": finding.offset,
        "line": finding.line,
        "inName": finding.in_name,
        "count": finding.count,
        "readableByAll": finding.readable_by_all,
        "storePath": leak.store_name,
        "deriver": leak.deriver,
        "root": chain,
        "cause": leak.cause.word(),
        "causeText": words::cause(&leak.cause),
        "fix": words::fix(&leak.cause),
    })
}

/// What kind of thing was found.
pub(super) fn kind(found: &Found) -> String {
    match found {
        Found::Value(_) => "secret-value".to_owned(),
        Found::Shape(kind, _) => words::shape_word(*kind),
        Found::Fingerprint(_) => "fingerprint".to_owned(),
        Found::Sibling(_) => "decrypted-sibling".to_owned(),
    }
}

/// `high`, `low` or, for what may be chance, `weak`.
pub(super) fn severity(leak: &Leak) -> &'static str {
    match (&leak.found, leak.finding.weak) {
        (_, true) => "weak",
        (Found::Shape(_, crate::scan::shape::Severity::Low), _) => "low",
        _ => "high",
    }
}

fn secrets(found: &Found) -> Value {
    match found {
        Found::Value(origins) => origins
            .iter()
            .map(|origin| json!({ "file": origin.file, "keyPath": origin.key_path }))
            .collect(),
        Found::Sibling(file) => json!([{ "file": file.to_string_lossy(), "keyPath": "" }]),
        Found::Fingerprint(id) => json!([{ "entry": id.to_string() }]),
        Found::Shape(..) => json!([]),
    }
}

fn steps(chain: &[Step]) -> Vec<Value> {
    let step = |step: &Step| match step {
        Step::Packed(kind) => json!({ "container": kind.word() }),
        Step::Member(kind, name) => {
            json!({ "container": kind.word(), "member": String::from_utf8_lossy(name) })
        }
    };
    chain.iter().map(step).collect()
}
