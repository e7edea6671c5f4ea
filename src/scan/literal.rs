//! Values as TOML writes them, and what is near to it: texts in quotes, lists, tables on one line. Reads
//! what it can and checks nothing.

use std::sync::OnceLock;

use regex::{Captures, Regex};
use zeroize::Zeroizing;

/// A regular expression that is made when it is first used.
pub(super) struct Pattern(&'static str, OnceLock<Option<Regex>>);

impl Pattern {
    pub(super) const fn new(text: &'static str) -> Self {
        Self(text, OnceLock::new())
    }

    pub(super) fn get(&self) -> Option<&Regex> {
        self.1.get_or_init(|| Regex::new(self.0).ok()).as_ref()
    }

    /// Whether it fits anywhere.
    pub(super) fn fits(&self, text: &str) -> bool {
        self.get().is_some_and(|regex| regex.is_match(text))
    }

    /// The first place that fits; none in what is too long for what is looked for.
    pub(super) fn first<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        if text.len() > LONGEST { None } else { self.get()?.captures(text) }
    }
}

/// What a group took.
pub(super) fn group<'t>(found: &Captures<'t>, number: usize) -> Option<&'t str> {
    found.get(number).map(|it| it.as_str())
}

/// A text, or a word without quotes.
#[derive(Clone, Copy)]
pub(super) struct Scalar<'t> {
    /// The key before it; nothing where there is none.
    pub(super) way: &'t str,
    /// As it stands there, without the quotes.
    pub(super) written: &'t str,
    /// The escapes that may be in it.
    pub(super) escapes: Option<&'static Pattern>,
}

/// Texts in quotes of TOML, words, brackets, and what stands behind a key.
static TOKENS: Pattern = Pattern::new(concat!(
    r#"(?s)"""((?:[^\\]|\\.)*?"{0,2})"""|"((?:[^"\\]|\\.)*)"|'''(.*?'{0,2})'''|'([^']*)'|"#,
    r#"([^\s,;=:#\[\]{}"']+)|([\[{])|([\]}])|([=:])|#[^\n]*|[,;]"#,
));
static BEHIND: Pattern = Pattern::new(r"\A[,;]?[ \t\r]*(?:[ \t]#[^\n]*)?(?:\n|\z)");

/// What a value in quotes or brackets begins with.
pub(super) const BEGINS: [char; 4] = ['"', '\'', '[', '{'];
/// Most bytes of one.
const LONGEST: usize = 64 << 10;

/// The value that `text` begins with, in quotes or brackets, if it is whole and the last of its line:
/// what is in it, and how many bytes it takes.
pub(super) fn read(text: &str) -> Option<(Vec<Scalar<'_>>, usize)> {
    if !text.starts_with(BEGINS) {
        return None;
    }
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    let mut scalars: Vec<Scalar<'_>> = Vec::new();
    let (mut depth, mut way) = (0_usize, "");
    for token in TOKENS.get()?.captures_iter(text) {
        let all = token.get(0)?;
        // a quote that nothing closes is passed over
        if scalars.is_empty() && depth == 0 && all.start() > 0 {
            return None;
        }
        match (1..9).find_map(|kind| Some((kind, group(&token, kind)?))) {
            Some((6, _)) => depth = depth.checked_add(1)?,
            Some((7, _)) => depth = depth.checked_sub(1)?,
            Some((8, _)) => way = scalars.pop()?.written,
            Some((kind, written)) => {
                scalars.push(Scalar { way, written, escapes: (kind < 3).then_some(&ESCAPES) });
                way = "";
            }
            None => {}
        }
        if depth == 0 {
            let last = BEHIND.fits(text.get(all.end()..)?);
            return last.then_some((scalars, all.end()));
        }
    }
    None
}

/// Escapes of TOML, JSON and shells.
static ESCAPES: Pattern = Pattern::new(
    r#"\\(?:([btnfre"'\\/$`])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|[ \t\r]*\n\s*)"#,
);

/// A text with what its escapes stand for: the first group is a name, all others are digits.
pub(super) fn unescaped(escapes: &Pattern, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut from = 0;
    for escape in escapes.get()?.captures_iter(text) {
        let all = escape.get(0)?;
        out.extend_from_slice(text.get(from..all.start())?.as_bytes());
        from = all.end();
        let radix = if all.as_str().starts_with("&#") && escape.get(2).is_some() { 10 } else { 16 };
        let digits = (2..5).find_map(|number| group(&escape, number));
        let number = digits.unwrap_or_default().chars().fold(0_u32, |number, digit| {
            number.wrapping_mul(radix).wrapping_add(digit.to_digit(radix).unwrap_or_default())
        });
        let decoded = match group(&escape, 1) {
            Some("b") => '\u{8}',
            Some("t") => '\t',
            Some("n") => '\n',
            Some("f") => '\u{c}',
            Some("r") => '\r',
            Some("e") => '\u{1b}',
            Some("lt") => '<',
            Some("gt") => '>',
            Some("amp") => '&',
            Some("quot") => '"',
            Some("apos") => '\'',
            Some(name) => name.chars().next()?,
            None if digits.is_none() => continue,
            None => char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER),
        };
        out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(text.get(from..)?.as_bytes());
    (from > 0).then_some(out)
}
