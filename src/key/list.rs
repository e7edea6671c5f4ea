//! Lists of recipients as they are found in the wild: age recipient files, `.pub` files,
//! `authorized_keys`, `known_hosts`, the output of `ssh-keyscan`, GitHub's `.keys`.

use std::collections::BTreeSet;

use super::recipient::is_ssh_key_type;
use super::{Recipient, RecipientError};

/// Most bytes that a list may have.
pub const MAX_LIST: usize = 4 * 1024 * 1024;

/// One recipient of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The recipient.
    pub recipient: Recipient,
    /// Its line, from 1.
    pub line: usize,
    /// The host patterns of a `known_hosts` or `ssh-keyscan` line.
    pub host: Option<String>,
}

/// A line that gave no recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// Why.
    pub error: RecipientError,
}

/// All recipients of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// In the order of the text, each key once.
    pub recipients: Vec<Listed>,
    /// Lines with keys that age cannot use, beside usable ones of the same host.
    pub skipped: Vec<BadLine>,
}

/// Reads a list. Blank lines and lines that begin with `#` do not count.
///
/// # Errors
/// All bad lines. A key of an unusable type is one, unless the list has a usable key for the
/// same host: hosts offer several, and one is enough.
pub fn parse(text: &str) -> Result<List, Vec<BadLine>> {
    let mut list = List::default();
    let mut unusable = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index.saturating_add(1);
        let (host, parsed) = parse_line(line);
        match parsed {
            Ok(recipient) if list.recipients.iter().any(|l| l.recipient == recipient) => {}
            Ok(recipient) => list.recipients.push(Listed { recipient, line: number, host }),
            Err(error @ RecipientError::Unsupported { .. }) => {
                unusable.push((host, BadLine { line: number, error }));
            }
            Err(error) => bad.push(BadLine { line: number, error }),
        }
    }
    let served: BTreeSet<Option<String>> = list.recipients.iter().map(|l| l.host.clone()).collect();
    for (host, line) in unusable {
        if served.contains(&host) { list.skipped.push(line) } else { bad.push(line) }
    }
    bad.sort_by_key(|line| line.line);
    if bad.is_empty() { Ok(list) } else { Err(bad) }
}

/// Whether the patterns of a `known_hosts` line name this host; hashed ones never do here.
pub fn names_host(patterns: &str, host: &str) -> bool {
    patterns.split(',').any(|pattern| {
        let bare = pattern.strip_prefix('[').and_then(|p| p.split_once("]:")).map(|(h, _)| h);
        bare.unwrap_or(pattern) == host
    })
}

/// The host of a `known_hosts` line, and the key of any line.
fn parse_line(line: &str) -> (Option<String>, Result<Recipient, RecipientError>) {
    if line.starts_with("@revoked") {
        return (None, Err(RecipientError::Revoked));
    }
    if line.starts_with("@cert-authority") || line.starts_with("cert-authority") {
        return (None, Err(RecipientError::Authority));
    }
    match line.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((host, key)) if is_ssh_key_type(key.trim_start()) && !is_options(host) => {
            (Some(host.to_owned()), Recipient::parse(key))
        }
        Some(_) | None => (None, Recipient::parse(line)),
    }
}

/// Whether the first word of a line is the options of an `authorized_keys` line, not a host.
fn is_options(word: &str) -> bool {
    let first = word.split(',').next().unwrap_or_default();
    first.contains(['=', '"'])
        || first == "restrict"
        || first == "cert-authority"
        || first.starts_with("no-")
        || first.ends_with("-forwarding")
        || first == "pty"
        || is_ssh_key_type(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    const EC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHFliOyIZs1gxGF3fmDxFykQhE88wy6AKDGFBfn0R6ZuvRmENABZQa9+pj9hMki+LX0qDJbmHTiWDbYv/cmFt/Q=";

    #[test]
    fn one_key_is_found_in_every_form() {
        for text in [
            ED.to_owned(),
            format!("  {ED}\talice@laptop  "),
            ED.replace(' ', "\t"),
            format!("# host\n\n{ED} c\n"),
            format!("command=\"echo \\\"hi\\\" there\",no-pty {ED} alice"),
            format!("no-pty {ED} alice"),
            format!("web1,10.0.0.1 {ED}"),
            format!("[web1]:2222 {ED}"),
            format!("|1|bHVtcHk=|bHVtcHk= {ED}"),
            format!("web1 {EC}\nweb1 {ED}\n# web1:22 SSH-2.0\n"),
            format!("{EC}\n{ED}\n"),
        ] {
            let list = parse(&text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
            assert_eq!(list.recipients.len(), 1, "{text}");
            assert_eq!(list.recipients[0].recipient.canonical(), ED, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = |text: &str| parse(text).unwrap_err().remove(0).error;
        assert!(matches!(error(EC), RecipientError::Unsupported { .. }));
        assert!(matches!(error(&format!("a {EC}\nb {ED}")), RecipientError::Unsupported { .. }));
        assert_eq!(error(&format!("@revoked * {ED}")), RecipientError::Revoked);
        assert_eq!(error(&format!("@cert-authority * {ED}")), RecipientError::Authority);
        assert_eq!(error(&format!("cert-authority {ED}")), RecipientError::Authority);
        assert_eq!(error("hello world"), RecipientError::NotARecipient);
        assert_eq!(error("-----BEGIN OPENSSH PRIVATE KEY-----"), RecipientError::PrivateKey);
        assert!(matches!(error("ssh-ed25519 AAAAC3NzaC1lZD"), RecipientError::Malformed { .. }));
    }

    #[test]
    fn hosts_are_matched_by_name() {
        assert!(names_host("web1,10.0.0.1", "10.0.0.1"));
        assert!(names_host("[web1]:2222", "web1"));
        assert!(!names_host("web11", "web1"));
    }
}
