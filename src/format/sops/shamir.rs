//! Shamir's secret sharing over GF(2^8), as Vault and sops do it, byte for byte: each byte of the
//! secret is the value at 0 of a random polynomial, and a share is the values at `x`, then `x`.
//!
//! Follows `shamir/shamir.go` of sops; the field is that of AES. No branch and no table depends on
//! a secret. Knows no key. It cannot tell a forged share: who combines them checks the result.

use std::{fmt, io};

use zeroize::Zeroizing;

use crate::key;
use crate::plaintext::Plaintext;

/// Splits a secret into as many shares, of which `threshold` are needed; their `x` count from 1.
///
/// # Errors
/// [`ShamirError`], for numbers that are out of range or a system without random bytes.
#[expect(clippy::disallowed_methods, reason = "the secret is split into shares")]
pub fn split(
    secret: &Plaintext,
    shares: usize,
    threshold: usize,
) -> Result<Vec<Plaintext>, ShamirError> {
    let last = u8::try_from(shares).map_err(|_| ShamirError::TooMany)?;
    if threshold < 2 || threshold > shares {
        return Err(ShamirError::Threshold { threshold, shares });
    }
    let secret = secret.expose();
    let degree = threshold.saturating_sub(1);
    // The coefficients of each byte, from the highest down to that of x.
    let mut coefficients = Zeroizing::new(vec![0; degree.saturating_mul(secret.len())]);
    key::fill_random(&mut coefficients).map_err(ShamirError::Random)?;
    let share = |x: u8| {
        let mut share = Plaintext::with_capacity(secret.len().saturating_add(1));
        for (byte, polynomial) in secret.iter().zip(coefficients.chunks_exact(degree)) {
            let above = polynomial.iter().fold(0, |value, next| multiply(value, x) ^ next);
            share.extend(&[multiply(above, x) ^ byte]);
        }
        share.extend(&[x]);
        share
    };
    Ok((1..=last).map(share).collect())
}

/// The secret that these shares make, all of them used.
///
/// # Errors
/// [`ShamirError`], for shares that cannot be of one secret.
pub fn combine(shares: &[&Plaintext]) -> Result<Plaintext, ShamirError> {
    value_at(shares, 0)
}

/// The share with another `x`, out of as many shares as the secret needs.
///
/// # Errors
/// As [`combine`].
pub fn share_at(shares: &[&Plaintext], x: u8) -> Result<Plaintext, ShamirError> {
    let mut share = value_at(shares, x)?;
    share.extend(&[x]);
    Ok(share)
}

/// The `x` of a share.
#[expect(clippy::disallowed_methods, reason = "the number of a share is no secret")]
pub fn x_of(share: &Plaintext) -> Option<u8> {
    share.expose().last().copied()
}

/// Lagrange's interpolation of every byte at `x`.
#[expect(clippy::disallowed_methods, reason = "shares are put together")]
fn value_at(shares: &[&Plaintext], x: u8) -> Result<Plaintext, ShamirError> {
    let mut points = Vec::with_capacity(shares.len());
    for share in shares {
        let Some((at, values)) = share.expose().split_last() else {
            return Err(ShamirError::Unlike);
        };
        points.push((*at, values));
    }
    let [(_, first), _, ..] = points.as_slice() else { return Err(ShamirError::TooFew) };
    let length = first.len();
    if length == 0 || points.iter().any(|(_, values)| values.len() != length) {
        return Err(ShamirError::Unlike);
    }
    let mut weights = Vec::with_capacity(points.len());
    for (index, (at, _)) in points.iter().enumerate() {
        let others = points.iter().enumerate().filter(|(other, _)| *other != index);
        let (mut above, mut below) = (1, 1);
        for (_, (other, _)) in others {
            above = multiply(above, x ^ other);
            below = multiply(below, at ^ other);
        }
        // The value at 0 is the secret, which is nobody's share.
        if below == 0 || *at == 0 {
            return Err(ShamirError::Same);
        }
        weights.push(multiply(above, inverse(below)));
    }
    let mut secret = Plaintext::with_capacity(length.saturating_add(1));
    for byte in 0..length {
        let terms = points.iter().zip(&weights).map(|((_, values), weight)| {
            multiply(values.get(byte).copied().unwrap_or_default(), *weight)
        });
        secret.extend(&[terms.fold(0, |sum, term| sum ^ term)]);
    }
    Ok(secret)
}

/// The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0_u8;
    for bit in (0..8).rev() {
        let carry = (product >> 7).wrapping_neg() & 0x1b;
        product = (product << 1) ^ carry ^ (((b >> bit) & 1).wrapping_neg() & a);
    }
    product
}

/// The power 254, which is the inverse of all but 0.
fn inverse(a: u8) -> u8 {
    // 254 is 2 + 4 + … + 128.
    let mut power = a;
    let mut product = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}

/// Why a secret cannot be split or put together.
#[derive(Debug)]
pub enum ShamirError {
    /// More than 255 shares.
    TooMany,
    /// A threshold below 2 or above the number of shares.
    Threshold {
        /// How many are to be enough.
        threshold: usize,
        /// How many there are to be.
        shares: usize,
    },
    /// Fewer than 2 shares.
    TooFew,
    /// Shares of secrets of other lengths, or no shares at all.
    Unlike,
    /// Two shares with the same number, or one with the number 0.
    Same,
    /// The system has no random bytes to give.
    Random(io::Error),
}

impl fmt::Display for ShamirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => f.write_str("a key cannot be shared among more than 255 groups"),
            Self::Threshold { threshold, shares } => write!(
                f,
                "a threshold of {threshold} for {shares} groups is not possible: it is at least 2 \
                 and at most the number of groups"
            ),
            Self::TooFew => f.write_str("one share alone makes no key"),
            Self::Unlike => f.write_str("the shares of the groups are not of one key"),
            Self::Same => f.write_str("two groups hold the same share"),
            Self::Random(error) => write!(f, "the system has no random bytes: {error}"),
        }
    }
}

impl std::error::Error for ShamirError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Random(error) => Some(error),
            Self::TooMany | Self::Threshold { .. } | Self::TooFew | Self::Unlike | Self::Same => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, 4.2 and 4.2.1.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        assert_eq!(inverse(0x53), 0xca);
        assert!((1..=255).all(|a| multiply(a, inverse(a)) == 1));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let secret = Plaintext::copy_of(&[1; 32]);
        for (shares, threshold) in [(2, 3), (3, 1), (3, 0), (0, 0), (1, 1), (256, 2)] {
            split(&secret, shares, threshold).unwrap_err();
        }
        let shares = split(&secret, 3, 2).unwrap();
        combine(&[&shares[0]]).unwrap_err();
        combine(&[]).unwrap_err();
        combine(&[&shares[0], &shares[0]]).unwrap_err();
        combine(&[&shares[0], &Plaintext::copy_of(&[5; 12])]).unwrap_err();
        combine(&[&shares[0], &Plaintext::copy_of(&[0; 33])]).unwrap_err();
        combine(&[&Plaintext::default(), &Plaintext::default()]).unwrap_err();
    }

    proptest! {
        #[test]
        fn enough_shares_make_the_secret_and_the_other_shares(
            secret in prop::collection::vec(any::<u8>(), 1..40),
            (count, threshold) in (2_usize..12).prop_flat_map(|n| (Just(n), 2..=n)),
            start in 0_usize..2,
        ) {
            let secret = Plaintext::new(secret);
            let shares = split(&secret, count, threshold).unwrap();
            let mut some: Vec<&Plaintext> = shares.iter().collect();
            some.rotate_left(start);
            prop_assert!(combine(&some).unwrap().same_as(&secret));
            let left: Vec<&Plaintext> = some.split_off(threshold);
            prop_assert!(combine(&some).unwrap().same_as(&secret));
            for share in left {
                let x = x_of(share).unwrap();
                prop_assert!(share_at(&some, x).unwrap().same_as(share));
            }
        }

        #[test]
        fn one_share_too_few_makes_something_else(
            secret in prop::collection::vec(any::<u8>(), 16..40),
            threshold in 3_usize..8,
        ) {
            let secret = Plaintext::new(secret);
            let shares = split(&secret, threshold, threshold).unwrap();
            let some: Vec<&Plaintext> = shares.iter().skip(1).collect();
            prop_assert!(!combine(&some).unwrap().same_as(&secret));
        }
    }
}
