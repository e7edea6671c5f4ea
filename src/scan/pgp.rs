//! As much of `OpenPGP` as tells the secret numbers of a secret key packet from the public ones
//! (RFC 9580, sections 4.2, 5.5 and 9.1).

use super::der::Key;

/// The first secret key packet.
pub(super) fn key(bytes: &[u8]) -> Option<Key<'_>> {
    let mut rest = bytes;
    loop {
        let (tag, body, behind) = packet(rest)?;
        if matches!(tag, 5 | 7) {
            return secret(body);
        }
        rest = behind;
    }
}

fn packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let (tag, width) = if first & 0x40 == 0 {
        (
            (first >> 2) & 15,
            match first & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => return Some(((first >> 2) & 15, rest, &[])),
            },
        )
    } else {
        (
            first & 0x3f,
            match rest.first()? {
                0..=191 => 1,
                192..=223 => 0,
                224..=254 => return None,
                255 => 5,
            },
        )
    };
    let (length, rest) = if width == 0 {
        let (pair, rest) = rest.split_first_chunk::<2>()?;
        let pair = usize::from(u16::from_be_bytes(*pair));
        (pair.checked_sub(192 << 8)?.checked_add(192)?, rest)
    } else {
        let (digits, rest) = rest.split_at_checked(width)?;
        let digits = if width == 5 { digits.get(1..)? } else { digits };
        (digits.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
    };
    let (body, behind) = rest.split_at_checked(length)?;
    Some((tag, body, behind))
}

fn secret(body: &[u8]) -> Option<Key<'_>> {
    let (version, rest) = body.split_first()?;
    let rest = rest.get(4..)?;
    let (algorithm, mut rest) = rest.split_first()?;
    if *version == 6 {
        rest = rest.get(4..)?;
    }
    // the public numbers come first
    rest = match algorithm {
        1..=3 => numbers(rest, 2)?,
        16 => numbers(rest, 3)?,
        17 => numbers(rest, 4)?,
        18 => {
            let rest = numbers(short(rest)?, 1)?;
            short(rest)?
        }
        19 | 22 => numbers(short(rest)?, 1)?,
        25 | 27 => rest.get(32..)?,
        26 => rest.get(56..)?,
        28 => rest.get(57..)?,
        _ => return None,
    };
    let (usage, rest) = rest.split_first()?;
    if *usage != 0 {
        return Some(Key::Encrypted(rest)).filter(|_| rest.len() >= 16);
    }
    let own = match algorithm {
        25 | 27 => rest.get(..32)?,
        26 => rest.get(..56)?,
        28 => rest.get(..57)?,
        _ => number(rest)?.0,
    };
    (own.len() >= 16).then(|| Key::Open(vec![("secret number", own)]))
}

/// Behind so many numbers.
fn numbers(bytes: &[u8], count: usize) -> Option<&[u8]> {
    (0..count).try_fold(bytes, |rest, _| number(rest).map(|(_, behind)| behind))
}

fn number(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))
}

/// Behind a field with its length in one byte.
fn short(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first()?;
    rest.get(usize::from(*length)..)
}
