//! Regular expressions as sops reads them: those of Go (RE2), unanchored. The `regex` crate is of
//! the same family; where the two read one text differently, it is rewritten first.
//!
//! Follows the syntax page of Go's `regexp/syntax`. What `regex` alone knows is let through.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Compiles an expression of Go.
///
/// # Errors
/// A clause that says what is wrong.
pub fn compile(text: &str) -> Result<Regex, String> {
    Regex::new(&translated(text)).map_err(|error| {
        let regex::Error::Syntax(words) = error else { return "it is too large".to_owned() };
        // Its own words are in the last line, behind a picture of the expression.
        let last = words.lines().next_back().unwrap_or_default();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    })
}

/// The same in the syntax of the `regex` crate.
fn translated(text: &str) -> String {
    let mut rest = text.chars().peekable();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut rest, &mut out, false),
            '[' => class(&mut rest, &mut out),
            '{' if !is_repetition(&rest) => out.push_str(r"\{"),
            other => out.push(other),
        }
    }
    out
}

/// What follows a `\`. Perl's classes are of ASCII in Go.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    let Some(c) = rest.next() else { return out.push('\\') };
    let ascii = match c.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\f\r ",
        'w' => "0-9A-Za-z_",
        _ => "",
    };
    match c {
        'd' | 's' | 'w' if in_class => out.push_str(ascii),
        'd' | 's' | 'w' => out.extend(["[", ascii, "]"]),
        'D' | 'S' | 'W' => out.extend(["[^", ascii, "]"]),
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        'Q' => quoted(rest, out),
        'p' | 'P' | 'x' if rest.peek() == Some(&'{') => {
            out.extend(['\\', c]);
            for inside in rest.by_ref() {
                out.push(inside);
                if inside == '}' {
                    break;
                }
            }
        }
        '0'..='7' => octal(c, rest, out),
        c if c.is_ascii_punctuation() && !"<>".contains(c) => out.extend(['\\', c]),
        // `\<` is no word boundary there.
        '<' | '>' => out.push(c),
        other => out.extend(['\\', other]),
    }
}

/// `\Q…\E`: the text itself.
fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut literal = String::new();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        literal.push(c);
    }
    out.push_str(&regex::escape(&literal));
}

/// `\0`, `\012`, `\123`: a character by its number. `\1` alone would refer back, which neither can.
fn octal(first: char, rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut digits = String::from(first);
    while digits.len() < 3 {
        let Some(digit) = rest.next_if(|c| ('0'..='7').contains(c)) else { break };
        digits.push(digit);
    }
    match u32::from_str_radix(&digits, 8) {
        Ok(number) if first == '0' || digits.len() > 1 => {
            let _infallible = write!(out, r"\x{{{number:x}}}");
        }
        Ok(_) | Err(_) => out.extend(["\\", &digits]),
    }
}

/// The rest of a class in brackets: no classes inside of it, and no `&&`, `--` and `~~`.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    while let Some(c) = rest.next() {
        match c {
            ']' if !is_first => return out.push(']'),
            '\\' => escape(rest, out, true),
            '[' if rest.peek() == Some(&':') => named(rest, out),
            '-' if rest.peek() == Some(&'-') => {
                rest.next();
                out.push_str(if is_first { r"\--" } else { r"-\-" });
            }
            ']' | '[' | '&' | '~' => out.extend(['\\', c]),
            other => out.push(other),
        }
        is_first = false;
    }
}

/// `[:alpha:]` inside a class, or a `[` that means itself.
fn named(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut ahead = rest.clone();
    ahead.next();
    let name: String = ahead.by_ref().take_while(|c| *c != ':').take(10).collect();
    let is_name = name.chars().all(|c| c == '^' || c.is_ascii_lowercase());
    if is_name && ahead.next() == Some(']') {
        out.extend(["[:", &name, ":]"]);
        *rest = ahead;
    } else {
        out.push_str(r"\[");
    }
}

/// Whether `n}`, `n,}` or `n,m}` follows; any other `{` means itself.
fn is_repetition(rest: &Peekable<Chars<'_>>) -> bool {
    let inside: String = rest.clone().take_while(|c| *c != '}').take(20).collect();
    let closed = rest.clone().any(|c| c == '}');
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
    closed && !least.is_empty() && is_number(least) && is_number(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads_and_as_go_does() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (r"secrets/[^/]+\.(yaml|json|env)$", &["secrets/a.yaml"], &["secrets/a/b.yaml"]),
            (r"^\d+\.yaml$", &["12.yaml"], &["\u{661}.yaml"]),
            (r"^[\w-]+$", &["a_b-c"], &["\u{e4}"]),
            (r"^[^\W]$", &["a"], &["-"]),
            (r"\bdb\b", &["x/db.y"], &["xdb"]),
            (r"a\/b\_\-\<c\>", &["a/b_-<c>"], &["a/b"]),
            (r"\Qa.b[c\E+$", &["a.b[c", "a.b[cc"], &["axb[c"]),
            ("[[a&&b]$", &["[", "&"], &["c"]),
            ("^[]a]$", &["]", "a"], &["b"]),
            ("^[[:alpha:]~~-]+$", &["ab~-"], &["1"]),
            ("^[^]]$", &["a"], &["]"]),
            ("^a{b}{2}$", &["a{b}}"], &["a{b}"]),
            (r"^\101\x{42}\z", &["AB"], &["A"]),
            ("(?i)DB", &["my.Db"], &["x"]),
            (r"^\p{Greek}\pL$", &["\u{3b1}a"], &["aa"]),
            ("", &["", "all"], &[]),
        ];
        for (text, yes, no) in cases {
            let regex = compile(text).unwrap();
            for path in *yes {
                assert!(regex.is_match(path), "{text} {path}");
            }
            for path in *no {
                assert!(!regex.is_match(path), "{text} {path}");
            }
        }
    }

    #[test]
    fn says_in_a_clause_what_is_wrong() {
        for (text, what) in [
            ("(a", "unclosed group"),
            ("[a", "unclosed character class"),
            ("*", "repetition operator missing expression"),
            (r"(?<!\d)", "look-around, including look-ahead and look-behind, is not supported"),
            (r"\K", "unrecognized escape sequence"),
            (r"(a)\1", "backreferences are not supported"),
            ("a\\", "incomplete escape sequence, reached end of pattern prematurely"),
            ("((a{1000}){1000}){1000}", "it is too large"),
        ] {
            assert_eq!(compile(text).unwrap_err(), what, "{text}");
        }
    }
}
