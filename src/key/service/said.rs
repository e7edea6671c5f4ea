//! What a service said when it refused, made fit for a message: one line, not long, and nothing of
//! it where it repeats something secret.

use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// Words of a service, where they are fit to be repeated.
#[expect(clippy::disallowed_methods, reason = "looked for, so that it is not repeated")]
pub(super) fn said(words: &str, secrets: &[&Plaintext]) -> String {
    let words = words.trim();
    let repeats = secrets.iter().any(|secret| {
        let secret = secret.expose();
        secret.len() >= LEAST && words.as_bytes().windows(secret.len()).any(|part| part == secret)
    });
    if repeats {
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
        assert_eq!(said(&"x".repeat(500), &[]).chars().count(), 201);
    }
}
