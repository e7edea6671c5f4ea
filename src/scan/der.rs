//! As much of DER and of the key format of OpenSSH as tells the private numbers of a key from the
//! rest. Nothing is believed: a structure that is not whole is none.

use super::armor::SecretParts;

/// Private numbers are at least so long in a key of any use.
const SHORTEST_NUMBER: usize = 16;
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// What a key holds.
#[derive(Debug)]
pub(super) enum Key<'a> {
    /// In the open: its private parts.
    Open(SecretParts<'a>),
    /// Encrypted: the ciphertext.
    Encrypted(&'a [u8]),
}

/// A key of PKCS#8, PKCS#1 or SEC 1, or an old DSA key.
pub(super) fn key(der: &[u8]) -> Option<Key<'_>> {
    let (outer, _) = value(der, 0x30)?;
    if let Ok((algorithm, rest)) = value(outer, 0x30).ok_or(()) {
        // EncryptedPrivateKeyInfo
        object(algorithm)?;
        return Some(Key::Encrypted(value(rest, 4)?.0))
            .filter(|_| value(rest, 4).is_some_and(|it| it.1.is_empty()));
    }
    let (version, rest) = value(outer, 2)?;
    if let Some((algorithm, rest)) = value(rest, 0x30) {
        object(algorithm)?;
        let (inner, _) = value(rest, 4)?;
        return Some(Key::Open(inside(inner)));
    }
    if version == [1]
        && let Some((scalar, _)) = value(rest, 4)
    {
        return Some(Key::Open(vec![("scalar", scalar)]))
            .filter(|_| scalar.len() >= SHORTEST_NUMBER);
    }
    numbers(outer).map(Key::Open)
}

/// The private key inside of PKCS#8: another structure, or bytes within bytes.
fn inside(inner: &[u8]) -> SecretParts<'_> {
    if let Some(Key::Open(parts)) = (inner.first() == Some(&0x30)).then(|| key(inner)).flatten() {
        return parts;
    }
    // Ed25519 and X25519 have one more string around, DSA a number
    match value(inner, 4).or_else(|| value(inner, 2)) {
        Some((own, [])) => vec![("private key", own)],
        _ => vec![("private key", inner)],
    }
}

/// The private ones of the numbers of RSA (n, e, d, p, q and three more) or DSA (p, q, g, y, x).
fn numbers(outer: &[u8]) -> Option<SecretParts<'_>> {
    let mut numbers = Vec::new();
    let mut rest = outer;
    while !rest.is_empty() && numbers.len() < 10 {
        let (number, behind) = value(rest, 2)?;
        numbers.push(unsigned(number));
        rest = behind;
    }
    let parts: SecretParts<'_> = match numbers.as_slice() {
        [[0] | [], _, _, d, p, q, _, _, _] => vec![("d", *d), ("p", *p), ("q", *q)],
        [[0] | [], _, _, _, _, x] => vec![("x", *x)],
        _ => return None,
    };
    parts.iter().all(|(_, number)| number.len() >= SHORTEST_NUMBER).then_some(parts)
}

/// An object identifier is what an algorithm begins with.
fn object(algorithm: &[u8]) -> Option<()> {
    value(algorithm, 6).map(|_| ())
}

/// The content of the value with this tag that `bytes` begin with, and what is behind it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (short, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7f => (usize::from(*short), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let length = digits.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Without the zero that keeps a number from being negative.
fn unsigned(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => number,
    }
}

/// A key of OpenSSH (`PROTOCOL.key`).
pub(super) fn openssh(blob: &[u8]) -> Option<Key<'_>> {
    let rest = blob.strip_prefix(MAGIC)?;
    let (cipher, rest) = string(rest)?;
    let (_derivation, rest) = string(rest)?;
    let (_options, rest) = string(rest)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*count) != 1 {
        return None;
    }
    let (_public, rest) = string(rest)?;
    let (private, _) = string(rest)?;
    if cipher != b"none" {
        return Some(Key::Encrypted(private)).filter(|_| private.len() >= SHORTEST_NUMBER);
    }
    let (check, rest) = private.split_first_chunk::<8>()?;
    let (first, second) = check.split_at(4);
    if first != second {
        return None;
    }
    let (kind, rest) = string(rest)?;
    let fields = fields(rest);
    let field = |number: usize| fields.get(number).copied().map(unsigned);
    let parts = match kind {
        b"ssh-ed25519" => vec![("seed", field(1)?.get(..32)?)],
        b"ssh-rsa" => vec![("d", field(2)?), ("p", field(4)?), ("q", field(5)?)],
        b"ssh-dss" => vec![("x", field(4)?)],
        b"sk-ssh-ed25519@openssh.com" => vec![("handle", field(3)?)],
        b"sk-ecdsa-sha2-nistp256@openssh.com" => vec![("handle", field(4)?)],
        _ if kind.starts_with(b"ecdsa-sha2-") => vec![("scalar", field(2)?)],
        _ => return None,
    };
    parts.iter().all(|(_, part)| part.len() >= SHORTEST_NUMBER).then_some(Key::Open(parts))
}

/// Strings as long as they follow each other; a flag byte of security keys is stepped over.
fn fields(bytes: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while fields.len() < 8 {
        let Some((field, behind)) = string(rest).or_else(|| string(rest.get(1..)?)) else { break };
        fields.push(field);
        rest = behind;
    }
    fields
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
