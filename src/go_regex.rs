//! Regular expressions as Go reads them (RE2, `regexp/syntax`), for the crate `regex`. Matches
//! nothing itself.
//!
//! What the two read alike goes through; what they read differently is spelled out; what Go has
//! not is refused, so that we and sops never encrypt different values by the same rule.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::{Regex, RegexBuilder};

/// Compiles an expression of Go.
///
/// # Errors
/// A clause that says what is wrong.
pub fn compile(text: &str) -> Result<Regex, &'static str> {
    Expressions::default().compile(text)
}

/// The expressions of one file, which are compiled into a limited memory.
#[derive(Debug)]
pub struct Expressions {
    left: usize,
}

impl Default for Expressions {
    fn default() -> Self {
        Self { left: ALL }
    }
}

impl Expressions {
    /// Compiles one more.
    ///
    /// # Errors
    /// As [`compile`], and where there is no room for it.
    pub fn compile(&mut self, text: &str) -> Result<Regex, &'static str> {
        let mut reader = Reader { rest: text.chars().peekable(), out: String::new() };
        reader.read()?;
        // The library does not tell sizes: an expression counts as the first of these that is enough.
        for size in SIZES {
            if size > self.left {
                return Err(NO_ROOM);
            }
            match RegexBuilder::new(&reader.out).size_limit(size).build() {
                Ok(regex) => {
                    self.left = self.left.saturating_sub(size);
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => break,
            }
        }
        Err("is no regular expression that Go takes")
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), &'static str> {
        let mut repeated = false;
        while let Some(c) = self.rest.next() {
            let repeats = match c {
                '*' | '+' | '?' => Some(String::from(c)),
                '{' => self.numbers(),
                _ => None,
            };
            if let Some(repetition) = repeats {
                if repeated {
                    return Err("repeats a repetition");
                }
                self.out.push_str(&repetition);
                if self.rest.next_if_eq(&'?').is_some() {
                    self.out.push('?');
                }
                repeated = true;
                continue;
            }
            repeated = false;
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' | '^' | '$' | '|' | ')' => self.out.push(c),
                _ => self.literal(c),
            }
        }
        Ok(())
    }

    /// A character that stands for itself.
    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
    }

    /// Behind `(`: Go has fewer flags, and no more kinds of groups.
    fn group(&mut self) -> Result<(), &'static str> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if self.rest.next_if_eq(&'P').is_some() {
            self.out.push('P');
            return if self.rest.peek() == Some(&'<') { self.name() } else { Err(GROUP) };
        }
        if self.rest.peek() == Some(&'<') {
            return self.name();
        }
        while let Some(c) = self.rest.next_if(|c| *c != ')' && *c != ':') {
            if !matches!(c, 'i' | 'm' | 's' | 'U' | '-') {
                return Err(GROUP);
            }
            self.out.push(c);
        }
        let end = self.rest.next().ok_or(GROUP)?;
        self.out.push(end);
        Ok(())
    }

    /// From `<` to `>`: letters, digits and `_`.
    fn name(&mut self) -> Result<(), &'static str> {
        for c in self.rest.by_ref() {
            self.out.push(c);
            match c {
                '>' => return Ok(()),
                '<' | '_' => {}
                _ if c.is_ascii_alphanumeric() => {}
                _ => return Err(GROUP),
            }
        }
        Err(GROUP)
    }

    /// Behind `{`: a repetition, which none is where no numbers follow.
    fn numbers(&mut self) -> Option<String> {
        let mut ahead = self.rest.clone();
        let mut text = String::from("{");
        loop {
            let c = ahead.next()?;
            match c {
                '0'..='9' => {}
                ',' if text.len() > 1 && !text.contains(',') => {}
                '}' if text.len() > 1 => break,
                _ => return None,
            }
            text.push(c);
        }
        text.push('}');
        self.rest = ahead;
        Some(text)
    }

    /// Behind `\`.
    fn escape(&mut self) -> Result<(), &'static str> {
        let c = self.rest.next().ok_or("ends with a backslash")?;
        match c {
            'A' => self.out.push_str("\\A"),
            'z' => self.out.push_str("\\z"),
            'b' => self.out.push_str("(?-u:\\b)"),
            'B' => self.out.push_str("(?-u:\\B)"),
            'C' => return Err("has `\\C`, which matches no whole character"),
            'Q' => self.quoted(),
            'p' | 'P' => self.property(c)?,
            _ => {
                if let Some((negated, set)) = perl(c) {
                    let not = if negated { "^" } else { "" };
                    let _ = write!(self.out, "[{not}{set}]");
                } else {
                    let c = self.escaped(c)?;
                    self.literal(c);
                }
            }
        }
        Ok(())
    }

    /// From `\Q` to `\E` or the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`.
    fn property(&mut self, mut p: char) -> Result<(), &'static str> {
        const WHAT: &str = "has a class of characters that is not known";
        let mut name = String::new();
        match self.rest.next() {
            Some('{') => loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some('^') if name.is_empty() => p = if p == 'p' { 'P' } else { 'p' },
                    Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                    _ => return Err(WHAT),
                }
            },
            Some(c) if c.is_ascii_alphabetic() => name.push(c),
            _ => return Err(WHAT),
        }
        if name.is_empty() {
            return Err(WHAT);
        }
        let _ = write!(self.out, "\\{p}{{{name}}}");
        Ok(())
    }

    /// The character that an escape stands for.
    fn escaped(&mut self, c: char) -> Result<char, &'static str> {
        const WHAT: &str = "has an escape that Go does not know";
        let code = match c {
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => return self.hexadecimal().ok_or(WHAT),
            '0'..='7' => return self.octal(c).ok_or(WHAT),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => return Ok(c),
            _ => return Err(WHAT),
        };
        char::from_u32(code).ok_or(WHAT)
    }

    /// `\x7F`, `\x{10FFFF}`.
    fn hexadecimal(&mut self) -> Option<char> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            while let Some(c) = self.rest.next_if(char::is_ascii_hexdigit) {
                digits.push(c);
            }
            self.rest.next_if_eq(&'}')?;
        } else {
            for _ in 0..2 {
                digits.push(self.rest.next_if(char::is_ascii_hexdigit)?);
            }
        }
        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
    }

    /// `\0`, `\012`; `\1` alone would be a reference back, which Go has not.
    fn octal(&mut self, first: char) -> Option<char> {
        let octal = |c: &char| matches!(c, '0'..='7');
        let mut digits = String::from(first);
        if first != '0' {
            self.rest.peek().filter(|c| octal(c))?;
        }
        while let Some(c) = self.rest.next_if(|c| octal(c) && digits.len() < 3) {
            digits.push(c);
        }
        char::from_u32(u32::from_str_radix(&digits, 8).ok()?)
    }

    /// Behind `[`: every character is spelled out, since what Rust takes for sets within sets
    /// are characters of their own in Go.
    fn class(&mut self) -> Result<(), &'static str> {
        const OPEN: &str = "has a class of characters that is not closed";
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or(OPEN)?;
            match c {
                ']' if !first => break,
                '[' if self.rest.peek() == Some(&':') => self.named()?,
                '\\' => {
                    let c = self.rest.next().ok_or(OPEN)?;
                    if let Some((negated, set)) = perl(c) {
                        let not = if negated { "^" } else { "" };
                        let _ = write!(self.out, "[{not}{set}]");
                    } else if matches!(c, 'p' | 'P') {
                        self.property(c)?;
                    } else {
                        let low = self.escaped(c)?;
                        self.range(low)?;
                    }
                }
                _ => self.range(c)?,
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// A character, or a range of them.
    fn range(&mut self, low: char) -> Result<(), &'static str> {
        self.literal(low);
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.peek(), Some(']') | None) {
            return Ok(());
        }
        self.rest.next();
        let high = match self.rest.next() {
            Some('\\') => {
                let c = self.rest.next().unwrap_or_default();
                self.escaped(c)?
            }
            Some(c) => c,
            None => return Ok(()),
        };
        self.out.push('-');
        self.literal(high);
        Ok(())
    }

    /// `[:alpha:]`, `[:^alpha:]`; else the bracket stands for itself.
    fn named(&mut self) -> Result<(), &'static str> {
        let mut ahead = self.rest.clone();
        let mut text = String::from("[");
        while let Some(c) = ahead.next_if(|c| matches!(c, ':' | '^') || c.is_ascii_alphabetic()) {
            text.push(c);
        }
        if ahead.next() != Some(']') || !text.ends_with(':') || text.len() < 4 {
            return self.range('[');
        }
        text.push(']');
        self.out.push_str(&text);
        self.rest = ahead;
        Ok(())
    }
}

/// Letters and digits as they are, all else by its number.
fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{{{:X}}}", u32::from(c));
    }
}

/// `\d`, `\s`, `\w`, which mean ASCII alone in Go, and whether they are turned round.
fn perl(c: char) -> Option<(bool, &'static str)> {
    let set = match c.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r\\x20",
        'w' => "0-9A-Za-z_",
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), set))
}

/// What is said of an expression that is one too many.
pub const NO_ROOM: &str = "has no room: with those before it, it would take too much memory";
const GROUP: &str = "has a group that Go does not know";
/// Bytes of a compiled expression.
const SIZES: [usize; 6] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// Bytes of all of them.
const ALL: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_go_does() {
        for (text, yes, no) in [
            ("pass", "a password", "PASS"),
            ("^(data|stringData)$", "stringData", "metadata"),
            (r"\d", "1", "٣"),
            (r"^\D$", "é", "1"),
            (r"^\w+$", "a_1", "é"),
            (r"^[\w-]+$", "a-b", "é"),
            (r"^[^\W]$", "a", "-"),
            (r"\bkey\b", "ékeyé", "akey"),
            (r"\Qa.b[\E$", "xa.b[", "xaab["),
            (r"\Qa+", "a+", "aa"),
            (r"^[[a]$", "[", "b"),
            (r"^[a&&b]$", "&", "c"),
            (r"^[]a]$", "]", "b"),
            (r"^[^]a]$", "b", "]"),
            (r"^[a-]$", "-", "b"),
            (r"^[+--]$", ",", "a"),
            (r"^[[:alpha:]_]$", "_", "1"),
            (r"^[[:^digit:]]$", "a", "1"),
            (r"^a{2}$", "aa", "a{2}"),
            (r"^a{,2}$", "a{,2}", "aa"),
            (r"^a{b}$", "a{b}", "ab"),
            (r"^\x41\x{42}\103\_\<$", "ABC_<", "ABC"),
            (r"\Aa\z", "a", "ba"),
            (r"(?i:é)", "É", "e"),
            (r"^\pL\p{^Greek}\P{^Greek}$", "aaα", "aαa"),
            (r"(?P<a>x)(?<b>y)", "xy", "x"),
            ("^a.b$", "a b", "a\nb"),
            ("^a#b c$", "a#b c", "a"),
        ] {
            let regex = compile(text).unwrap_or_else(|what| panic!("{text} {what}"));
            assert!(regex.is_match(yes.as_bytes()), "{text} is to match {yes}");
            assert!(!regex.is_match(no.as_bytes()), "{text} is not to match {no}");
        }
    }

    #[test]
    fn refuses_what_go_has_not() {
        for text in [
            "(",
            ")",
            "[a",
            "[z-a]",
            "a**",
            "a+?*",
            "*",
            r"\C",
            r"\Z",
            r"\1",
            r"\e",
            r"\u0041",
            r"\é",
            r"\",
            "(?x)a",
            "(?=a)",
            "(?<!a)",
            "(?P=a)",
            "(?P<a-b>x)",
            r"\pé",
            r"\p{}",
            "a{1001}{1000}{1000}",
            r"[\b]",
            r"[\z]",
            r"\x{110000}",
            r"\xg",
        ] {
            assert!(compile(text).is_err(), "{text}");
        }
    }
}
