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
    /// Lines with keys that cannot be used (of another type, revoked, of an authority), beside
    /// usable ones of the same host.
    pub skipped: Vec<BadLine>,
}

/// Reads a list. Blank lines and lines that begin with `#` do not count.
///
/// # Errors
/// All bad lines. A key of an unusable type is one, and so is one that is revoked or of an authority,
/// unless the list has a usable key for the same host: hosts offer several, and one is enough.
/// A key that some line revokes is used for no host.
pub fn parse(text: &str) -> Result<List, Vec<BadLine>> {
    let mut list = List::default();
    let mut unusable = Vec::new();
    let mut revoked = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index.saturating_add(1);
        if let Some((error, hosts, key)) = marked(line) {
            if error == RecipientError::Revoked {
                match Recipient::parse(key) {
                    Ok(recipient) => revoked.push(recipient),
                    Err(RecipientError::Unsupported { .. }) => {}
                    // Which key is it?
                    Err(error) => {
                        bad.push(BadLine { line: number, error });
                        continue;
                    }
                }
            }
            unusable.push((Some(hosts.to_owned()), BadLine { line: number, error }));
            continue;
        }
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
    let (kept, dropped) =
        list.recipients.into_iter().partition(|listed| !revoked.contains(&listed.recipient));
    list.recipients = kept;
    unusable.extend(
        dropped.into_iter().map(|Listed { line, host, .. }| {
            (host, BadLine { line, error: RecipientError::Revoked })
        }),
    );
    for (host, line) in unusable {
        if list.serves(host.as_deref()) { list.skipped.push(line) } else { bad.push(line) }
    }
    list.skipped.sort_unstable_by_key(|line| line.line);
    bad.sort_unstable_by_key(|line| line.line);
    if bad.is_empty() { Ok(list) } else { Err(bad) }
}

impl List {
    /// Whether there is a key for the hosts of a line, or for one of them; `*` is any.
    fn serves(&self, hosts: Option<&str>) -> bool {
        self.recipients.iter().any(|listed| match (listed.host.as_deref(), hosts) {
            (_, Some("*")) => true,
            (Some(served), Some(hosts)) => {
                served.split(',').any(|one| hosts.split(',').any(|other| one == other))
            }
            (served, hosts) => served == hosts,
        })
    }
}

/// What the mark of a `known_hosts` line means, its hosts and its key.
fn marked(line: &str) -> Option<(RecipientError, &str, &str)> {
    let (mark, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    let error = match mark {
        "@revoked" => RecipientError::Revoked,
        "@cert-authority" => RecipientError::Authority,
        _ => return None,
    };
    let (hosts, key) = rest.trim_start().split_once(|c: char| c.is_ascii_whitespace())?;
    Some((error, hosts, key.trim_start()))
}

/// The lines of a `known_hosts` file about one host, and those that revoke a key of it under
/// whatever name.
pub fn of_host(text: &str, host: &str) -> String {
    let words = |line: &'_ str| -> Vec<String> {
        let mut words: Vec<_> = line.split_ascii_whitespace().map(ToOwned::to_owned).collect();
        words.retain(|word| !word.starts_with('@'));
        words
    };
    let is_named = |line: &str| words(line).first().is_some_and(|hosts| names_host(hosts, host));
    let keys: BTreeSet<String> = text
        .lines()
        .filter(|line| is_named(line))
        .filter_map(|l| words(l).into_iter().nth(2))
        .collect();
    let revokes = |line: &str| {
        line.trim_start().starts_with("@revoked")
            && words(line).get(2).is_some_and(|key| keys.contains(key))
    };
    let lines: Vec<&str> = text.lines().filter(|line| is_named(line) || revokes(line)).collect();
    lines.join("\n")
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
    fn a_revoked_key_is_never_used_and_another_one_may_serve() {
        // test-only
        const OTHER: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPkIzCXOn/LxUGR4UQnFCvzDN0J8KNLTmCEiZ6nMpUqX";
        for text in [
            format!("@revoked web1 {ED}\nweb1 {ED}\nweb1 {OTHER}"),
            format!("web1,10.0.0.1 {ED}\nweb1,10.0.0.1 {OTHER}\n@revoked *\t{ED} why"),
            format!("web1 {OTHER}\n@revoked web1 {ED}\n@revoked web1 {EC}"),
            format!("@cert-authority *  {ED}\nweb1 {OTHER}"),
            format!("{ED}\n{OTHER}\n@revoked * {ED}"),
        ] {
            let list = parse(&text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
            let keys: Vec<&str> = list.recipients.iter().map(|l| l.recipient.canonical()).collect();
            assert_eq!(keys, [OTHER], "{text}");
            assert!(
                !list.skipped.is_empty() && list.skipped.is_sorted_by_key(|l| l.line),
                "{text}"
            );
        }
        for (text, lines) in [
            (format!("@revoked web1 {ED}\nweb1 {ED}"), vec![1, 2]),
            // The key that is left is of another host.
            (format!("web1 {ED}\nweb2 {OTHER}\n@revoked * {ED}"), vec![1]),
            (format!("@cert-authority *.example {ED}\nweb1 {OTHER}"), vec![1]),
            // A key that cannot be read may be any.
            (format!("web1 {OTHER}\n@revoked * ssh-ed25519 AAAAC3NzaC1lZD"), vec![2]),
            (format!("web1 {OTHER}\n@revoked"), vec![2]),
        ] {
            let bad: Vec<usize> = parse(&text).unwrap_err().iter().map(|bad| bad.line).collect();
            assert_eq!(bad, lines, "{text}");
        }
        let text = format!("@revoked * {ED}\nweb1 {ED}\nweb1 {OTHER}\nweb2 {ED}\n@revoked * {EC}");
        let of_host = of_host(&text, "web1");
        assert_eq!(of_host, format!("@revoked * {ED}\nweb1 {ED}\nweb1 {OTHER}"));
        assert_eq!(parse(&of_host).unwrap().recipients.len(), 1);
    }

    #[test]
    fn hosts_are_matched_by_name() {
        assert!(names_host("web1,10.0.0.1", "10.0.0.1"));
        assert!(names_host("[web1]:2222", "web1"));
        assert!(!names_host("web11", "web1"));
    }
}
