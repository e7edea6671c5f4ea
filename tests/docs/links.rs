//! Links between the pages.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A line for each relative link whose file or heading does not exist.
pub(crate) fn broken(pages: &[PathBuf]) -> Vec<String> {
    let mut headings: HashMap<PathBuf, BTreeSet<String>> = HashMap::new();
    let mut problems = Vec::new();
    for page in pages {
        for link in links(page) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = target(page, file);
            let mut problem = |what| problems.push(format!("{}: {link}: {what}", page.display()));
            if !target.exists() {
                problem("there is no such file");
            } else if !anchor.is_empty() {
                let known = headings.entry(target.clone()).or_insert_with(|| anchors(&target));
                if !known.contains(anchor) {
                    problem("there is no such heading");
                }
            }
        }
    }
    problems
}

/// The pages that no chain of links from `start` reaches.
pub(crate) fn unreachable(start: &Path, pages: &[PathBuf]) -> Vec<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut next = vec![fs::canonicalize(start).unwrap()];
    while let Some(page) = next.pop() {
        if page.extension().is_some_and(|e| e == "md") && reached.insert(page.clone()) {
            for link in links(&page) {
                let file = link.split('#').next().unwrap_or_default();
                next.extend(fs::canonicalize(target(&page, file)));
            }
        }
    }
    let is_stray = |page: &&PathBuf| !reached.contains(&fs::canonicalize(page).unwrap());
    pages.iter().filter(is_stray).cloned().collect()
}

fn target(page: &Path, file: &str) -> PathBuf {
    if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) }
}

/// Targets of the relative links of a page; code is left out.
fn links(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut found = Vec::new();
    for line in prose(&text) {
        let without_code: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for rest in without_code.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            let is_elsewhere = link.contains("://") || link.starts_with("mailto:");
            if !is_elsewhere {
                found.push(link.to_owned());
            }
        }
    }
    found
}

/// The anchors of the headings of a page, as the usual hosts of repositories make them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = prose(&text).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept =
                title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines
}
