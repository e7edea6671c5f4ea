//! Lines that give a name a value: environment files, INI, properties, `WireGuard`, netrc.

use zeroize::Zeroizing;

use super::base64;

/// The assignments of a text of which every line is one, a comment or a section. `None` in place of a
/// value is a comment.
pub(super) fn assignments(text: &str) -> Option<Vec<(&str, Option<&str>)>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || (line.starts_with('[') && line.ends_with(']')) {
            continue;
        }
        if is_comment(line) {
            found.push(("", None));
            continue;
        }
        let (name, value) = assignment(line)?;
        found.push((name, Some(value)));
    }
    found.iter().any(|(_, value)| value.is_some()).then_some(found)
}

/// `name = value`, with a name that looks like one.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | ' ');
    let fits = !name.is_empty() && name.len() <= 80 && name.chars().all(legal);
    // a token that ends with the padding of Base64 is no assignment
    let padding = value.chars().all(|c| c == '=');
    (fits && !padding && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .then_some((name, value.trim()))
}

/// Whether a text may be a map of YAML: a first line `name:`, and no YAML that is only a text.
pub(super) fn looks_like_yaml(text: &str) -> bool {
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).is_some_and(
        |line| {
            line == "---"
                || line.split_once(':').is_some_and(|(name, value)| {
                    let legal = |c: char| {
                        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'')
                    };
                    !name.is_empty()
                        && name.chars().all(legal)
                        && (value.is_empty() || value.starts_with(' '))
                })
        },
    )
}

/// A line that is left out.
pub(super) fn is_comment(line: &str) -> bool {
    line.starts_with("# ")
        || line == "#"
        || line.starts_with("//")
        || line.starts_with("; ")
        || (line.starts_with('#') && line.contains(' '))
}

/// Without the quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

/// The passwords of a netrc file, by their machines.
pub(super) fn netrc(text: &str) -> Option<Vec<(&str, &str)>> {
    if !is_netrc(text) {
        return None;
    }
    let mut words = text.split_ascii_whitespace().skip(1);
    let mut machine = text.split_ascii_whitespace().nth(1).unwrap_or("default");
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "machine" => machine = words.next().unwrap_or("default"),
            "password" => found.push((machine, words.next()?)),
            "login" | "account" => drop(words.next()),
            _ => {}
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Whether a text begins as a netrc file does.
pub(super) fn is_netrc(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    matches!(words.next(), Some("machine" | "default")) && words.any(|word| word == "password")
}

/// The 32 bytes of a key of `WireGuard`, which other tools write too.
pub(super) fn wireguard(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() != 44 || !text.ends_with('=') {
        return None;
    }
    let (key, end) = base64::decode(text.as_bytes(), 0, 33);
    (key.len() == 32 && end == 43).then_some(key)
}
