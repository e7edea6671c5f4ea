//! What a service said when it refused, made fit for a message: one line, not long, and nothing of
//! it where it repeats something secret.

use serde::Deserialize;

use super::text::{Text, parsed};
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// Words of a service, where they are fit to be repeated.
#[expect(clippy::disallowed_methods, reason = "looked for, so that it is not repeated")]
pub(super) fn said(words: &str, secrets: &[&Plaintext]) -> String {
    let words = words.trim();
    let words = beginning(words);
    // A part tells too much as well.
    let repeats = |secret: &[u8]| {
        let length = secret.len().min(PART);
        let parts = || secret.windows(length);
        secret.len() >= LEAST
            && words.as_bytes().windows(length).any(|word| parts().any(|part| part == word))
    };
    if secrets.iter().any(|secret| repeats(secret.expose())) {
        return String::new();
    }
    let line = on_one_line(words.lines().next().unwrap_or_default());
    if line.chars().count() <= MOST {
        return line;
    }
    let mut short: String = line.chars().take(MOST).collect();
    short.push('…');
    short
}

/// More than is repeated, so that what is cut off cannot be the rest of something secret; not all that
/// there may be, since each secret is looked for in it.
fn beginning(words: &str) -> &str {
    let end = words.char_indices().nth(5 * MOST).map_or(words.len(), |(at, _)| at);
    words.get(..end).unwrap_or_default()
}

/// A code of a service: no more than letters, digits and a few marks, and nothing secret.
pub(super) fn code(code: &str, secrets: &[&Plaintext]) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    said(&code.chars().filter(fits).take(60).collect::<String>(), secrets)
}

/// The code of a refusal of OAuth 2.0 (RFC 6749, section 5.2); nothing where it is another answer.
pub(super) fn oauth_code(answer: &Plaintext, secrets: &[&Plaintext]) -> String {
    let refusal = parsed::<Refusal<'_>>(answer);
    refusal.map(|refusal| code(&refusal.error, secrets)).unwrap_or_default()
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Text<'a>,
}

/// Code and words.
pub(super) fn both(first: &str, words: &str, secrets: &[&Plaintext]) -> String {
    let (first, words) = (code(first, secrets), said(words, secrets));
    match (first.is_empty(), words.is_empty()) {
        (true, _) => words,
        (_, true) => first,
        _ => format!("{first}: {words}"),
    }
}

/// Bytes of a secret that are not repeated, wherever they stand in it.
const PART: usize = 12;
/// Characters that are repeated at the most.
const MOST: usize = 200;
/// Bytes from which on something is worth hiding.
const LEAST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_on_one_line_and_without_secrets() {
        let token = Plaintext::copy_of(b"hvs.canary");
        assert_eq!(
            said(" permission\u{1b}[1m denied \nat line 2", &[&token]),
            "permission\\u{1b}[1m denied "
        );
        assert_eq!(said("bad token hvs.canary", &[&token]), "");
        let long = Plaintext::copy_of(b"hvs.0123456789abcdefghijklmnop");
        assert_eq!(said("bad token 456789abcdefgh...", &[&long]), "");
        assert_eq!(both("Denied", "bad token 0123456789abcd", &[&long]), "Denied");
        assert_eq!(both("hvs.0123456789abcdefghijklmnop", "no", &[&long]), "no");
        assert_eq!(code("Acc ess\u{1b}<b>", &[]), "Accessb");
        assert_eq!(said(&"x".repeat(500), &[]).chars().count(), 201);
        assert_eq!(said(&format!("{} hvs.canary", "x".repeat(MOST - 5)), &[&token]), "");
        assert_eq!(beginning(&"é".repeat(1 << 19)).chars().count(), 5 * MOST);
        assert_eq!(said(&"é".repeat(1 << 19), &[&long]).chars().count(), 201);
    }
}
