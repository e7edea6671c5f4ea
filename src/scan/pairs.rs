//! Lines that give a name a value: environment files, INI, properties, `WireGuard`, netrc.

use zeroize::Zeroizing;

use super::base64;
use super::literal::{self, Pattern, Scalar, group};

/// A line of a text; a value in brackets or quotes may take several.
pub(super) struct Line<'t> {
    /// From 1.
    pub(super) number: usize,
    /// All of it.
    pub(super) text: &'t str,
    /// The name and the value that it gives it.
    pub(super) pair: Option<(&'t str, &'t str)>,
}

impl Line<'_> {
    /// The way to it, of which no part is of the text.
    pub(super) fn path(&self, path: &str) -> String {
        super::split::join(path, &format!("line {}", self.number))
    }
}

/// The lines of a text, without empty ones.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut number, mut failed) = (text, 1_usize, 0);
    while !rest.is_empty() {
        let mut end = rest.find('\n').unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        let assigned = if is_comment(line.trim()) { None } else { assignment(line) };
        let pair = assigned.and_then(|(name, at)| {
            let value = rest.get(at..)?;
            let read = if failed < MOST_FAILED { literal::read(value) } else { None };
            let Some((_, length)) = read else {
                failed = failed.saturating_add(u8::from(value.starts_with(literal::BEGINS)));
                return Some((name, rest.get(at..end)?.trim()));
            };
            let last = at.saturating_add(length);
            end = rest.get(last..)?.find('\n').map_or(rest.len(), |it| last.saturating_add(it));
            Some((name, value.get(..length)?))
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

/// Of a text with more values that begin as a list and are none, no value takes several lines.
const MOST_FAILED: u8 = 16;

/// The head of a section, which gives nothing a value.
pub(super) fn is_head(line: &str) -> bool {
    static HEAD: Pattern = Pattern::new(r"\A\[[^,]*\](?: +#.*)?\z");
    HEAD.fits(line)
}

/// `name = value`, with a name that looks like one, and where the value begins. A name that begins with
/// a digit or has quotes is one only before quotes and brackets.
fn assignment(line: &str) -> Option<(&str, usize)> {
    static NAME: Pattern = Pattern::new(concat!(
        r"\A\s*(?:export )?(?:([A-Za-z_][A-Za-z0-9_./: -]{0,79}?)\s*=\s*|",
        r#"((?:[A-Za-z0-9_./: -]|"[^"]*"|'[^']*'){1,80}?)\s*=\s*["'\[{])"#,
    ));
    let found = NAME.first(line)?;
    let (name, quoted) = (group(&found, 1), group(&found, 2));
    let at = found.get(0)?.end().checked_sub(usize::from(quoted.is_some()))?;
    // a token that ends with the padding of Base64 is no assignment
    let padding = line.get(at..)?.trim().bytes().all(|byte| byte == b'=');
    (!padding).then_some((name.or(quoted)?.trim(), at))
}

/// The value of `name: value`.
pub(super) fn entry(line: &str) -> Option<&str> {
    static ENTRY: Pattern = Pattern::new(r#"\A[A-Za-z0-9_."'-]+: +(.+)\z"#);
    group(&ENTRY.first(line)?, 1)
}

/// The password of `user:password`, of a line of `.pgpass`, or the hash of one of `shadow`. What is an
/// address, a URL, a path of Windows or a line of `passwd` has none.
pub(super) fn password(line: &str) -> Option<Scalar<'_>> {
    static PASSWORD: Pattern = Pattern::new(concat!(
        r"\A(?:(?:[^:\\]|\\.)+:(?:\*|[0-9]{2,5}):(?:(?:[^:\\]|\\.)+:){2}((?:[^:\\]|\\.)+)|",
        r"[A-Za-z_][A-Za-z0-9_.@+$-]{0,63}:(?:(\$[^:$]+\$[^:]*\$[^:]+)(?::.*)?|",
        r"((?:[^:\s/]|/[^/])[^:]*(?::[^:]*){0,4})))\z",
    ));
    static ESCAPES: Pattern = Pattern::new(r"\\([:\\])");
    // thousands of lines have none
    let found = line.contains(':').then(|| PASSWORD.first(line))??;
    let drive = line.get(1..3).is_some_and(|it| matches!(it, ":\\" | ":/"));
    let other = group(&found, 3).filter(|_| !drive);
    let written = group(&found, 1).or(group(&found, 2)).or(other)?;
    let escapes = found.get(1).is_some().then_some(&ESCAPES);
    Some(Scalar { way: "password", written, escapes })
}

/// Whether a text may be a map of YAML: a first line `name:`, and no YAML that is only a text.
pub(super) fn looks_like_yaml(text: &str) -> bool {
    static FIRST: Pattern = Pattern::new(concat!(
        r"\A(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t]*",
        r#"(?:---[ \t\r]*(?:\n|\z)|[A-Za-z0-9_."'-]+:(?:[ \t\r\n]|\z))"#,
    ));
    FIRST.fits(text)
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
