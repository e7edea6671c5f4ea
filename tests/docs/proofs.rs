//! Tests that a page names as `FILE::NAME`, in the tables whose last column is `test`.

use std::fs;
use std::path::Path;

/// A line for each row without a test, and for each test that does not exist.
pub(crate) fn missing(page: &str, root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut in_table = false;
    for (number, line) in page.lines().enumerate() {
        let is_head = line.starts_with('|') && line.ends_with("| test |");
        in_table = (in_table && line.starts_with('|')) || is_head;
        if !in_table || is_head || line.starts_with("|---") {
            continue;
        }
        let cell = line.trim_end_matches('|').rsplit_once('|').map_or("", |(_, cell)| cell);
        let tests: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let mut problem = |what: &str| problems.push(format!("line {}: {what}", number + 1));
        if tests.is_empty() {
            problem("no test is named");
        }
        for test in tests {
            if !exists(test, root) {
                problem(&format!("there is no test `{test}`"));
            }
        }
    }
    problems
}

fn exists(test: &str, root: &Path) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let text = fs::read_to_string(root.join(file)).unwrap_or_default();
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    // Between the mark and the function there may be attributes and, in a property, nothing else.
    before.rsplit_once("#[test]").is_some_and(|(_, between)| !between.contains("fn "))
}
