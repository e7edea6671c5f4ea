//! Private keys by their structure.

use super::super::armor::{self, Block, Kind};
use super::super::shape::ShapeKind;
use super::super::{base64, der, entropy};
use super::{Shape, high, low, run};
use crate::key::bech32;

/// The most that a key takes, decoded.
const MAX_KEY: usize = 12 << 10;
/// Bits in fewer than which 32 bytes are no key.
const KEY_BITS: u32 = 100;

/// `-----BEGIN …-----`
pub(super) fn armored(text: &[u8], at: usize) -> Option<Shape> {
    let block = armor::block(text, at, MAX_KEY)?;
    of_block(&block, block.range.clone())
}

fn of_block(block: &Block<'_>, range: std::ops::Range<usize>) -> Option<Shape> {
    let openssh = block.label == b"OPENSSH PRIVATE KEY";
    let pgp = block.label == b"PGP PRIVATE KEY BLOCK";
    Some(match block.kind() {
        Kind::Private(_) if openssh => high(ShapeKind::OpensshKey, range),
        Kind::Private(_) if pgp => high(ShapeKind::PgpKey, range),
        Kind::Private(_) => high(ShapeKind::PemPrivateKey, range),
        Kind::Sealed(_) if openssh => low(ShapeKind::OpensshEncryptedKey, range),
        Kind::Sealed(_) if pgp => low(ShapeKind::PgpKey, range),
        Kind::Sealed(_) => low(ShapeKind::PemEncryptedKey, range),
        Kind::Public | Kind::Unknown => return None,
    })
}

/// A block in armor inside of Base64.
pub(super) fn armored_twice(text: &[u8], at: usize) -> Option<Shape> {
    let (inner, end) = base64::decode(text, at, MAX_KEY.saturating_mul(3) / 2);
    let block = armor::block(&inner, 0, MAX_KEY)?;
    of_block(&block, at..end)
}

/// The bytes of a key of OpenSSH, without armor.
pub(super) fn openssh(text: &[u8], at: usize) -> Option<Shape> {
    let blob = run(text, at, MAX_KEY, |_| true);
    let range = at..at.saturating_add(blob.len().min(64));
    Some(match der::openssh(blob)? {
        der::Key::Open(_) => high(ShapeKind::OpensshKey, range),
        der::Key::Encrypted(_) => low(ShapeKind::OpensshEncryptedKey, range),
    })
}

/// `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…`
pub(super) fn age(text: &[u8], at: usize) -> Option<Shape> {
    let (hrp, data, length) = upper_bech32(text, at)?;
    let range = at..at.saturating_add(length);
    match (hrp.as_str(), data) {
        ("age-secret-key-", 32) => Some(high(ShapeKind::AgeIdentity, range)),
        ("age-secret-key-pq-", 32) => Some(high(ShapeKind::AgeHybridIdentity, range)),
        _ => None,
    }
}

/// `AGE-PLUGIN-NAME-1…`: it names a key in a device, or holds one that the device has sealed.
pub(super) fn age_plugin(text: &[u8], at: usize) -> Option<Shape> {
    let (hrp, _, length) = upper_bech32(text, at)?;
    (hrp.len() > "age-plugin-".len() && hrp.ends_with('-'))
        .then(|| low(ShapeKind::AgePluginIdentity, at..at.saturating_add(length)))
}

/// The human-readable part, how many bytes of data, and how long it all is.
fn upper_bech32(text: &[u8], at: usize) -> Option<(String, usize, usize)> {
    let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    let word = run(text, at, 4096, legal);
    let word = std::str::from_utf8(word).ok()?;
    let (hrp, data) = bech32::decode(word)?;
    Some((hrp, data.len(), word.len()))
}

/// A key file of `PuTTY`: a header, and private lines further on.
pub(super) fn putty(text: &[u8], at: usize) -> Option<Shape> {
    let rest = text.get(at..)?;
    let version = rest.get("PuTTY-User-Key-File-".len()..)?;
    if !matches!(version, [b'1'..=b'3', b':', ..]) {
        return None;
    }
    let after = |label: &[u8]| {
        let behind = armor::find(rest, label)?.checked_add(label.len())?;
        rest.get(behind..).map(|value| (behind, value))
    };
    let (_, encryption) = after(b"Encryption: ")?;
    let (lines, _) = after(b"Private-Lines: ")?;
    let count = run(rest, lines, 4, |byte| byte.is_ascii_digit());
    let body = lines.checked_add(count.len())?;
    let (private, end) = base64::decode(rest, body, MAX_KEY);
    if count.is_empty() || private.len() < 16 {
        return None;
    }
    let range = at..at.checked_add(end)?;
    let open = encryption.starts_with(b"none");
    Some(if open { high(ShapeKind::PuttyKey, range) } else { low(ShapeKind::PuttyKey, range) })
}

/// `PrivateKey = ` and 32 bytes in Base64.
pub(super) fn wireguard(text: &[u8], at: usize) -> Option<Shape> {
    let name = run(text, at, 16, |byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
    let sign = |byte: u8| matches!(byte, b' ' | b'\t' | b'=' | b':' | b'"' | b'\'' | b'\\' | b'>');
    let start = at.checked_add(name.len())?;
    let between = run(text, start, 12, sign);
    if !between.iter().any(|byte| matches!(byte, b'=' | b':' | b'>')) {
        return None;
    }
    let start = start.checked_add(between.len())?;
    let key = run(text, start, 45, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
    });
    if key.len() != 44 {
        return None;
    }
    let (key, end) = base64::decode(key, 0, 33);
    (end == 43 && key.len() == 32 && entropy::of_bytes(&key) >= KEY_BITS)
        .then(|| high(ShapeKind::WireguardKey, at..start.saturating_add(44)))
}
