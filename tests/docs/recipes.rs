//! The commands that a recipe for continuous integration runs, out of its YAML.

/// What stands between a line of a page that begins with `title` and the next title, without indent.
pub(crate) fn section<'t>(page: &'t str, title: &str) -> &'t str {
    let start = page.find(title).unwrap_or_else(|| panic!("no `{title}`"));
    let rest = &page[start + title.len()..];
    let end = ["\n**", "\n## "].iter().filter_map(|next| rest.find(next)).min();
    &rest[..end.unwrap_or(rest.len())]
}

/// Every `run:` of GitHub and every line of a `script:` of GitLab, in order.
pub(crate) fn commands(yaml: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    let mut script = None;
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        let (depth, text) = (indent(line), line.trim());
        if text == "script:" {
            script = Some(depth);
            continue;
        }
        let in_script = script.is_some_and(|script| depth > script);
        script = script.filter(|_| in_script);
        let Some(first) = text.strip_prefix(if in_script { "- " } else { "- run: " }) else {
            continue;
        };
        // What is folded or literal stands deeper than the text of the dash, or of `run:`.
        let least = if in_script { depth + 2 } else { depth + 4 };
        let mut parts = vec![first];
        while let Some(more) = lines.next_if(|line| indent(line) >= least) {
            parts.push(more.trim());
        }
        found.push(if first == "|" { parts[1..].join("\n") } else { parts.join(" ") });
    }
    assert!(!found.is_empty(), "no commands in: {yaml}");
    found
}
