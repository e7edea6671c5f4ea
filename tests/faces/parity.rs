//! Our faces and the modules that they stand in for, option by option. What is written down of the
//! originals is in `nixos-module/tests/parity`; so is why we differ where we do.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::nix::{Nix, project};

pub(crate) const PAGE: &str = "docs/reference/option-parity.md";
const ORIGINALS: [&str; 4] = ["agenix", "sops-nix", "secrix", "agenix-rekey"];

/// All that was found: the page, and what is amiss.
pub(crate) struct Comparison {
    pub(crate) page: String,
    pub(crate) problems: Vec<String>,
}

pub(crate) fn compared(nix: &Nix) -> Comparison {
    let ours = nix.value(&format!("import {}", project("nixos-module/tests/parity/ours.nix")));
    let reasons = read("differences");
    let mut page = INTRODUCTION.to_owned();
    let mut problems = Vec::new();
    for original in ORIGINALS {
        let facts = read(original);
        let text = |field: &str| facts[field].as_str().unwrap();
        let short = &text("commit")[..12];
        write!(
            page,
            "\n## {original}\n\n`{}` at `{short}` ({}).\n",
            text("repository"),
            text("date")
        )
        .unwrap();
        for (system, theirs) in facts["options"].as_object().unwrap() {
            let reasons = &reasons[original][system];
            table(
                &mut page,
                &mut problems,
                [original, system],
                theirs,
                &ours[original][system],
                reasons,
            );
        }
    }
    Comparison { page, problems }
}

fn table(
    page: &mut String,
    problems: &mut Vec<String>,
    [original, system]: [&str; 2],
    theirs: &Value,
    ours: &Value,
    reasons: &Value,
) {
    write!(
        page,
        "\n### {original} on {system}\n\n| option | type | default | here |\n|---|---|---|---|\n"
    )
    .unwrap();
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    };
    let all: BTreeSet<String> = &names(theirs) | &names(ours);
    for name in &all {
        let (their, our) = (&theirs[name], &ours[name]);
        let reason = reasons[name].as_str();
        let here = match (their == our, reason) {
            (true, None) => "the same".to_owned(),
            (false, Some(reason)) => told(their, our, reason),
            (true, Some(_)) => {
                problems
                    .push(format!("{original}, {system}: {name} is the same, take its reason out"));
                continue;
            }
            (false, None) => {
                problems.push(format!("{original}, {system}: {name}: theirs {their}, ours {our}"));
                continue;
            }
        };
        let shown = if their.is_null() { our } else { their };
        writeln!(
            page,
            "| `{name}` | {} | {} | {here} |",
            cell(shown["type"].as_str().unwrap()),
            cell(shown["default"].as_str().unwrap())
        )
        .unwrap();
    }
    for name in names(reasons) {
        if !all.contains(&name) {
            problems.push(format!("{original}, {system}: there is no {name} to differ"));
        }
    }
}

fn told(their: &Value, our: &Value, reason: &str) -> String {
    let mut differs = Vec::new();
    if their.is_null() {
        differs.push("not there in the original".to_owned());
    } else if our.is_null() {
        differs.push("**not there**".to_owned());
    } else {
        for field in ["type", "default"] {
            if their[field] != our[field] {
                differs.push(format!("{field} {}", cell(our[field].as_str().unwrap())));
            }
        }
    }
    format!("{}: {reason}", differs.join(", "))
}

/// A text as code in a table.
fn cell(text: &str) -> String {
    let text =
        text.replace("string (with check: non-empty without trailing slash)", "string, checked");
    format!("`{}`", text.replace('|', "\\|").replace("store:", "/nix/store/…-"))
}

fn read(name: &str) -> Value {
    let path = project(&format!("nixos-module/tests/parity/{name}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const INTRODUCTION: &str = "# Option parity

The options of agenix, sops-nix, secrix and agenix-rekey, each with its type and default, and what they are
here, where the modules `nixosModules.{agenix,sops-nix,secrix,agenix-rekey}` and those for home-manager and
nix-darwin stand in for the originals. This page is made by `tests/faces.rs`, which evaluates our
modules and compares them with what was written down of the originals at the commits below; it fails where
we differ without a reason.

Defaults are those of a host with openssh enabled, with `NAME` as the name of a secret, a template or a
service; `none` means that the option has to be set.
";
