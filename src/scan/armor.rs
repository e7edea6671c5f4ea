//! Private keys in armor (PEM, OpenSSH, OpenPGP): the block, also inside of other texts, and its
//! private parts. No public part and no comment is ever given.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{base64, der, pgp};

/// The names of the private parts of a key, and their bytes.
pub(super) type SecretParts<'a> = Vec<(&'static str, &'a [u8])>;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// The most that a label has.
const LABEL: usize = 40;
/// Most lines of headers.
const HEADERS: usize = 8;
/// Bytes of a key that nobody meets by chance.
const ENOUGH: usize = 12;

/// A block in armor.
pub(super) struct Block<'a> {
    /// What stands behind BEGIN.
    pub(super) label: &'a [u8],
    /// From BEGIN to END.
    pub(super) range: Range<usize>,
    /// The decoded body.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Whether a header says that it is encrypted (old PEM).
    pub(super) sealed: bool,
}

/// What a block is.
pub(super) enum Kind<'a> {
    /// A private key in the open.
    Private(SecretParts<'a>),
    /// A private key, encrypted.
    Sealed(&'a [u8]),
    /// A certificate, a public key, a message.
    Public,
    /// Nothing that is understood.
    Unknown,
}

/// The block that begins at `at`.
pub(super) fn block(text: &[u8], at: usize, limit: usize) -> Option<Block<'_>> {
    let rest = text.get(at..)?.strip_prefix(BEGIN)?;
    let head = rest.get(..LABEL.saturating_add(DASHES.len()).min(rest.len()))?;
    let label = head.get(..find(head, DASHES)?)?;
    let known = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    if label.is_empty() || !label.iter().all(known) {
        return None;
    }
    let mut place =
        at.checked_add(BEGIN.len())?.checked_add(label.len())?.checked_add(DASHES.len())?;
    let mut sealed = false;
    for _ in 0..HEADERS {
        let line = base64::over_breaks(text, place);
        let run = text.get(line..)?;
        let end = run.iter().take(200).position(|byte| matches!(byte, b'\n' | b'\r' | b'\\'));
        let header = run.get(..end?)?;
        if !header.contains(&b':') {
            break;
        }
        sealed |= find(header, b"ENCRYPTED").is_some();
        place = line.saturating_add(header.len());
    }
    let (body, place) = base64::decode(text, place, limit);
    // a checksum of OpenPGP, and what is left of the padding
    let tail = text.get(place..)?;
    let tail = tail.get(..tail.len().min(64))?;
    let end = place.checked_add(find(tail, END)?)?;
    let closing = text.get(end.checked_add(END.len())?..)?;
    if !closing.starts_with(label) {
        return None;
    }
    let end = end.checked_add(END.len())?.checked_add(label.len())?.checked_add(DASHES.len())?;
    Some(Block { label, range: at..end.min(text.len()), body, sealed })
}

impl Block<'_> {
    /// What the body is, by its structure.
    pub(super) fn kind(&self) -> Kind<'_> {
        let private =
            self.label.ends_with(b"PRIVATE KEY") || self.label.ends_with(b"PRIVATE KEY BLOCK");
        if !private {
            return Kind::Public;
        }
        if self.sealed {
            return Kind::Sealed(&self.body);
        }
        let key = match self.label {
            b"OPENSSH PRIVATE KEY" => der::openssh(&self.body),
            b"PGP PRIVATE KEY BLOCK" => pgp::key(&self.body),
            _ => der::key(&self.body),
        };
        match key {
            Some(der::Key::Open(parts)) => Kind::Private(parts),
            Some(der::Key::Encrypted(sealed)) => Kind::Sealed(sealed),
            None => Kind::Unknown,
        }
    }

    /// The line of the armor that holds most of a part of the body, where that is enough to know the
    /// part by; `text` is what the block stands in.
    pub(super) fn line_of<'t>(&self, text: &'t [u8], part: &[u8]) -> Option<&'t [u8]> {
        let start = find(&self.body, part)?;
        let wanted = start..start.saturating_add(part.len());
        let mut digits = 0_usize;
        let lines = text.get(self.range.clone())?.split(|byte| *byte == b'\n');
        let overlaps = lines.map(<[u8]>::trim_ascii).filter_map(|line| {
            // the ends of the armor, and its headers
            if line.starts_with(b"-----") || line.contains(&b':') {
                return None;
            }
            let begin = digits.saturating_mul(3) / 4;
            digits = digits.saturating_add(line.len());
            let end = (digits.saturating_mul(3) / 4).min(wanted.end);
            Some((end.saturating_sub(begin.max(wanted.start)), line))
        });
        let (most, line) = overlaps.max_by_key(|(length, _)| *length)?;
        (most >= ENOUGH).then_some(line)
    }
}

/// The private lines of a key file of `PuTTY`, decoded.
pub(super) fn putty(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    text.strip_prefix("PuTTY-User-Key-File-")?;
    let (_, private) = text.split_once("Private-Lines: ")?;
    let mut lines = private.lines();
    let count = lines.next()?.trim().parse().ok()?;
    let end = lines.nth(count).and_then(|line| private.find(line)).unwrap_or(private.len());
    let (_, body) = private.get(..end)?.split_once('\n')?;
    let (key, _) = base64::decode(body.as_bytes(), 0, body.len());
    (!key.is_empty()).then_some(key)
}

/// Where `what` first stands.
pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}
