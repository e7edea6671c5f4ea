//! A hash that rolls over bytes under a secret key: of each window of one length, in one pass.
//!
//! A polynomial over the prime field of 2^61 - 1 whose point is a part of the key. Two windows have
//! the same value by chance of length / 2^61; what is given out is a few bits of it, under another
//! part of the key, so that they say nothing to whoever has no key.

/// A Mersenne prime.
const PRIME: u64 = (1 << 61) - 1;

/// The key, and what follows from it for one length of windows.
#[derive(Clone, Copy)]
pub(super) struct Rolling {
    point: u64,
    /// The point to the power of the length.
    leaving: u64,
    length: usize,
    /// Spreads the value before its first bits are taken.
    spread: u64,
}

impl Rolling {
    /// From sixteen bytes of key.
    pub(super) fn new(key: [u8; 16], length: usize) -> Self {
        let (point, spread) = key.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        // neither 0 nor 1, for which windows would look alike
        let point = reduced(number(point)).max(2);
        let leaving = (0..length).fold(1, |power, _| times(power, point));
        Self { point, leaving, length, spread: number(spread) | 1 }
    }

    /// Tells the hash of each window of `text` by where it begins.
    pub(super) fn each(&self, text: &[u8], bits: u32, found: &mut impl FnMut(usize, u32)) {
        let mut sum = 0;
        let ends = text.iter().enumerate();
        let mut begins = (0_usize..).zip(text);
        for (end, byte) in ends {
            // one more than the byte, so that zeros count
            sum = plus(times(sum, self.point), u64::from(*byte).saturating_add(1));
            if end.saturating_add(1) < self.length {
                continue;
            }
            if end >= self.length
                && let Some((_, first)) = begins.next()
            {
                let gone = times(self.leaving, u64::from(*first).saturating_add(1));
                sum = plus(sum, PRIME.saturating_sub(gone));
            }
            let start = end.saturating_add(1).saturating_sub(self.length);
            found(start, self.first_bits(sum, bits));
        }
    }

    /// The hash of one window.
    pub(super) fn of(&self, window: &[u8], bits: u32) -> u32 {
        let sum = window
            .iter()
            .fold(0, |sum, byte| plus(times(sum, self.point), u64::from(*byte).saturating_add(1)));
        self.first_bits(sum, bits)
    }

    fn first_bits(&self, sum: u64, bits: u32) -> u32 {
        let mixed = sum.wrapping_mul(self.spread);
        u32::try_from(mixed >> 64_u32.saturating_sub(bits.min(32))).unwrap_or(u32::MAX)
    }
}

fn reduced(number: u64) -> u64 {
    let sum = (number & PRIME).saturating_add(number >> 61);
    if sum >= PRIME { sum.saturating_sub(PRIME) } else { sum }
}

fn plus(a: u64, b: u64) -> u64 {
    reduced(a.saturating_add(b))
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a).saturating_mul(u128::from(b));
    let low = u64::try_from(product & u128::from(PRIME)).unwrap_or(0);
    let high = u64::try_from(product >> 61).unwrap_or(0);
    plus(low, high)
}
