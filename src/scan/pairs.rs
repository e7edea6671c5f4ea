//! Lines that give a name a value: environment files, INI, properties, `WireGuard`, netrc.

use zeroize::Zeroizing;

use super::base64;
use super::literal::{self, Scalar};

/// A line of a text; a value in brackets or quotes may take several.
pub(super) struct Line<'t> {
    /// From 1.
    pub(super) number: usize,
    /// All of it.
    pub(super) text: &'t str,
    /// The name and the value that it gives it.
    pub(super) pair: Option<(&'t str, &'t str)>,
}

/// The lines of a text, without empty ones.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut number) = (text, 1_usize);
    while !rest.is_empty() {
        let mut end = rest.find('\n').unwrap_or(rest.len());
        let assigned = rest.get(..end).filter(|line| !is_comment(line.trim())).and_then(assignment);
        let pair = assigned.and_then(|(name, at)| {
            let value = rest.get(at..)?;
            let Some(literal) = literal::read("", value) else {
                return Some((name, rest.get(at..end)?.trim()));
            };
            let last = at.saturating_add(literal.length);
            end = rest.get(last..)?.find('\n').map_or(rest.len(), |it| last.saturating_add(it));
            Some((name, value.get(..literal.length)?))
        });
        let text = rest.get(..end).unwrap_or_default().trim();
        if !text.is_empty() {
            found.push(Line { number, text, pair });
        }
        number = number.saturating_add(text.lines().count().max(1));
        rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
    }
    found
}

/// The head of a section, which gives nothing a value.
pub(super) fn is_head(line: &str) -> bool {
    let head = line.split_once(" #").map_or(line, |(head, _)| head.trim_end());
    head.starts_with('[') && head.ends_with(']') && !head.contains(',')
}

/// `name = value`, with a name that looks like one, and where the value begins.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let bare = line.trim_start();
    let bare = bare.strip_prefix("export ").unwrap_or(bare);
    let mut quote = None;
    let equals = bare.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        None
    })?;
    let (name, value) = (bare.get(..equals)?.trim(), bare.get(equals.checked_add(1)?..)?);
    let at = line.len().checked_sub(value.trim_start().len())?;
    let value = value.trim();
    let literal = value.starts_with(['"', '\'', '[', '{']);
    let quotes = literal && name.contains(['"', '\'']);
    let legal = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | ' ') || quotes
    };
    let fits = !name.is_empty() && name.len() <= 80 && name.chars().all(legal);
    // a token that ends with the padding of Base64 is no assignment
    let padding = value.chars().all(|c| c == '=');
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    let begins = name.starts_with(begins) || (literal && !name.starts_with(['.', '/', ':', '-']));
    (fits && begins && !padding).then_some((unquoted(name), at))
}

/// The value of `name: value`.
pub(super) fn entry(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(": ")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    (!name.is_empty() && name.chars().all(legal)).then_some(value.trim())
}

/// The password of `user:password`, of a line of `.pgpass`, or the hash of one of `shadow`.
pub(super) fn password(line: &str) -> Option<Scalar<'_>> {
    let scalar = |written, decoded| Some(Scalar { way: "password".to_owned(), written, decoded });
    if let Some(written) = of_pgpass(line) {
        let decoded = written.contains('\\').then(|| {
            let mut out = Zeroizing::new(Vec::with_capacity(written.len()));
            let mut bytes = written.bytes();
            while let Some(byte) = bytes.next() {
                out.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
            }
            out
        });
        return scalar(written, decoded);
    }
    let (user, rest) = line.split_once(':')?;
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+' | '$');
    let fits = user.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && user.len() <= 64
        && user.chars().all(legal);
    if !fits {
        return None;
    }
    if rest.starts_with('$') && rest.matches('$').count() > 2 {
        return scalar(rest.split(':').next()?, None);
    }
    // an address, a URL, a path of Windows, an entry of YAML, a line of `passwd`
    let other = rest.is_empty()
        || rest.starts_with([':', ' ', '\t'])
        || rest.starts_with("//")
        || (user.len() == 1 && rest.starts_with(['\\', '/']))
        || rest.matches(':').count() >= 5;
    if other { None } else { scalar(rest, None) }
}

/// The last of five fields, of which the second is a port. A colon in one has a backslash before it.
fn of_pgpass(line: &str) -> Option<&str> {
    let mut escaped = false;
    let mut colons = line.char_indices().filter(|(_, c)| {
        let colon = *c == ':' && !escaped;
        escaped = *c == '\\' && !escaped;
        colon
    });
    let [first, second, third, fourth] = [(); 4].map(|()| colons.next().map(|(at, _)| at));
    let behind = |colon: Option<usize>| colon?.checked_add(1);
    let port = line.get(behind(first)?..second?)?;
    let is_port = port == "*"
        || ((2..=5).contains(&port.len()) && port.bytes().all(|it| it.is_ascii_digit()));
    let named = first? > 0 && third? > behind(second)? && fourth? > behind(third)?;
    let password = line.get(behind(fourth)?..)?;
    (is_port && named && colons.next().is_none() && !password.is_empty()).then_some(password)
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
