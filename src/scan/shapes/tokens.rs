//! Tokens and hashes of services.

use super::super::shape::ShapeKind;
use super::super::{base64, entropy};
use super::{Shape, begins_word, high, low, run};

/// Bits in fewer than which a token is made up for an example.
const TOKEN_BITS: u32 = 60;
/// How far from the name of a key of AWS its secret may stand.
const BESIDE: usize = 300;

/// A classic token of `GitHub`: 30 characters and their checksum.
pub(super) fn github(text: &[u8], at: usize) -> Option<Shape> {
    let body = word(text, at.checked_add(4)?, 255);
    if body.len() != 36 || !begins_word(text, at) {
        return None;
    }
    let (random, check) = body.split_at_checked(30)?;
    (base62(crc32(random)).as_slice() == check)
        .then(|| high(ShapeKind::GithubToken, at..at.saturating_add(40)))
}

/// A fine-grained token of `GitHub`: 22 characters, an underscore, and 59 more. What is written of checksums
/// (github.blog, 2021-04-05, "Behind GitHub's new authentication token formats") is older than these and
/// says nothing of them, so none is asked for.
pub(super) fn github_fine(text: &[u8], at: usize) -> Option<Shape> {
    let start = at.checked_add("github_pat_".len())?;
    let name = word(text, start, 255);
    let between = start.checked_add(name.len())?;
    let body = word(text, between.checked_add(1)?, 255);
    (name.len() == 22
        && text.get(between) == Some(&b'_')
        && body.len() == 59
        && strong(body)
        && begins_word(text, at))
    .then(|| high(ShapeKind::GithubToken, at..between.saturating_add(60)))
}

/// A token of `GitLab`.
pub(super) fn gitlab(text: &[u8], at: usize) -> Option<Shape> {
    let prefix = run(text, at, 6, |byte| byte != b'-').len().checked_add(1)?;
    let start = at.checked_add(prefix)?;
    let body =
        run(text, start, 255, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    ((20..=64).contains(&body.len()) && strong(body) && begins_word(text, at))
        .then(|| high(ShapeKind::GitlabToken, at..start.saturating_add(body.len())))
}

/// A token of Slack: numbers, and something random at the end.
pub(super) fn slack(text: &[u8], at: usize) -> Option<Shape> {
    let start = at.checked_add(5)?;
    let body = run(text, start, 255, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let mut parts = body.split(|byte| *byte == b'-');
    let secret = parts.next_back()?;
    let number = |part: &[u8]| part.len() >= 9 && part.iter().all(u8::is_ascii_digit);
    (secret.len() >= 24 && strong(secret) && parts.any(number) && begins_word(text, at))
        .then(|| high(ShapeKind::SlackToken, at..start.saturating_add(body.len())))
}

/// A live key of Stripe.
pub(super) fn stripe(text: &[u8], at: usize) -> Option<Shape> {
    let start = at.checked_add("sk_live_".len())?;
    let body = word(text, start, 255);
    ((24..=120).contains(&body.len()) && strong(body) && begins_word(text, at))
        .then(|| high(ShapeKind::StripeKey, at..start.saturating_add(body.len())))
}

/// The name of a key of AWS; with something beside it that can be its secret it is of use.
pub(super) fn aws(text: &[u8], at: usize) -> Option<Shape> {
    let name = word(text, at, 64);
    let legal = |byte: &u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(byte);
    if name.len() != 20 || !name.iter().all(legal) || !begins_word(text, at) {
        return None;
    }
    if name.ends_with(b"EXAMPLE") || entropy::bits(name.get(4..)?) < 45 {
        return None;
    }
    let range = at..at.saturating_add(20);
    let from = at.saturating_sub(BESIDE);
    let near = text.get(from..range.end.saturating_add(BESIDE).min(text.len()))?;
    let of_secret = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let secret = near.split(|byte| !of_secret(byte)).any(|word| {
        word.len() == 40
            && strong(word)
            && word.iter().any(u8::is_ascii_lowercase)
            && word.iter().any(u8::is_ascii_uppercase)
            && word.iter().any(u8::is_ascii_digit)
    });
    Some(if secret { high(ShapeKind::AwsKey, range) } else { low(ShapeKind::AwsKey, range) })
}

/// What a JSON Web Token begins with.
#[derive(serde::Deserialize)]
struct Head {
    #[serde(rename = "alg")]
    _algorithm: serde::de::IgnoredAny,
}

/// A signed JSON Web Token.
pub(super) fn jwt(text: &[u8], at: usize) -> Option<Shape> {
    // the cheapest first: one text may have very many places like this
    if !begins_word(text, at) {
        return None;
    }
    let of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let behind_dot = |at: usize| (text.get(at) == Some(&b'.')).then(|| at.checked_add(1))?;
    let head = run(text, at, 2048, of_word);
    let body_at = behind_dot(at.checked_add(head.len())?)?;
    let body = run(text, body_at, 8192, of_word);
    let signature_at = behind_dot(body_at.checked_add(body.len())?)?;
    let signature = run(text, signature_at, 2048, of_word);
    let decoded = |part: &[u8]| base64::decode(part, 0, part.len()).0;
    // read for their structure only: nothing of them is kept
    let known = serde_json::from_slice::<Head>(&decoded(head)).is_ok();
    let body = decoded(body);
    let known = known
        && body.starts_with(b"{")
        && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    (known && signature.len() >= 40 && entropy::bits(signature) >= TOKEN_BITS)
        .then(|| high(ShapeKind::Jwt, at..signature_at.saturating_add(signature.len())))
}

/// `$6$salt$…` and `$y$…$salt$…`, as crypt(5) has them.
pub(super) fn hash(text: &[u8], at: usize) -> Option<Shape> {
    let of_hash = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let old = text.get(at.checked_add(1)?) == Some(&b'6');
    let mut start = at.checked_add(3)?;
    let first = run(text, start, 64, |byte| of_hash(byte) || byte == b'=');
    if !old || first.starts_with(b"rounds=") {
        start = start.checked_add(first.len())?.checked_add(1)?;
    }
    let salt = run(text, start, 90, of_hash);
    let digest_at = start.checked_add(salt.len())?.checked_add(1)?;
    let length = if old { 86 } else { 43 };
    let digest = run(text, digest_at, length, of_hash);
    let ends = !text
        .get(digest_at.checked_add(length)?)
        .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'/');
    let dollar = |at: usize| at.checked_sub(1).and_then(|at| text.get(at)) == Some(&b'$');
    let fits = ends && digest.len() == length && !(old && salt.len() > 16);
    (fits && !salt.is_empty() && dollar(digest_at) && strong(digest))
        .then(|| low(ShapeKind::PasswordHash, at..digest_at.saturating_add(digest.len())))
}

/// Letters and digits from `at` on.
fn word(text: &[u8], at: usize, limit: usize) -> &[u8] {
    run(text, at, limit, |byte| byte.is_ascii_alphanumeric())
}

fn strong(body: &[u8]) -> bool {
    entropy::bits(body) >= TOKEN_BITS
}

/// The checksum of Ethernet and ZIP.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// Six digits of base 62.
fn base62(number: u32) -> [u8; 6] {
    let mut digits = [b'0'; 6];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        let value = (rest % 62).to_le_bytes()[0];
        rest /= 62;
        *digit = match value {
            0..=9 => value.wrapping_add(b'0'),
            10..=35 => value.wrapping_sub(10).wrapping_add(b'A'),
            _ => value.wrapping_sub(36).wrapping_add(b'a'),
        };
    }
    digits
}
