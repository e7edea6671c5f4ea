//! The filter in front of the exact comparison: one look at every so many bytes.
//!
//! A pattern of at least L bytes covers L-w+1 neighbouring windows of w bytes, so it is enough to
//! look at every (L-w+1)th window of the text, if that many windows of each pattern are known. One
//! look is a load of eight bytes, a multiplication and one bit of a table that stays in the cache.
//! What passes is looked up in a table of windows; what is found there is for the caller to
//! compare byte by byte. Knows nothing of forms and streams.
//!
//! The tables are made of parts of secrets and are wiped.

use zeroize::Zeroizing;

/// Bytes of one load; the most that a window has.
pub(super) const LOAD: usize = 8;
/// Looks that are answered with one branch.
const BATCH: usize = 8;
/// An odd number without pattern (of the golden ratio).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
/// Sizes of the bit table in words of 64 bits, known when the program is built, so that no index
/// needs to be checked.
const WORDS: [usize; 5] = [1 << 9, 1 << 12, 1 << 15, 1 << 17, MOST_BITS / 64];
/// The strides that there is code for.
pub(super) const STRIDES: [usize; 12] = [1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 17, 25];
/// Most bits of the table.
pub(super) const MOST_BITS: usize = (1 << 18) * 64;
/// Bits of the table for each window.
const SPARSE: usize = 64;

/// A window of one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the pattern.
    pub(super) pattern: u32,
    /// Where the window is in it.
    pub(super) at: u32,
}

/// How a group looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Bytes of a window, at most [`LOAD`].
    pub(super) width: usize,
    /// Bytes from look to look.
    pub(super) stride: usize,
}

/// Patterns that are looked for together.
pub(super) struct Group {
    plan: Plan,
    /// Which bits of a load belong to the window.
    mask: u64,
    /// One bit for each window that is known.
    bits: Zeroizing<Vec<u64>>,
    /// Where the windows of each bucket begin; one more at the end.
    starts: Vec<u32>,
    /// What tells the windows of a bucket apart.
    tags: Zeroizing<Vec<u32>>,
    places: Vec<Place>,
    bucket_shift: u32,
}

impl Group {
    /// Makes the tables. `patterns` are the bytes of each, and where its first window is; each has
    /// room for `stride` windows from there.
    pub(super) fn new<'a>(
        plan: Plan,
        patterns: &(impl Iterator<Item = (u32, &'a [u8], usize)> + Clone),
    ) -> Self {
        let mask = u64::MAX >> (64_usize.saturating_sub(plan.width.saturating_mul(8)));
        let windows = || {
            patterns.clone().flat_map(move |(pattern, bytes, first)| {
                (first..first.saturating_add(plan.stride)).map(move |at| {
                    let load = load_short(bytes.get(at..).unwrap_or_default()) & mask;
                    (hash(load), Place { pattern, at: u32::try_from(at).unwrap_or(u32::MAX) })
                })
            })
        };
        let count = windows().count();
        let words = size_of_table(count);
        let mut bits = Zeroizing::new(vec![0_u64; words]);
        let bucket_bits = count.max(2).next_power_of_two().trailing_zeros().min(24);
        let bucket_shift = 64_u32.saturating_sub(bucket_bits);
        let buckets = 1_usize << bucket_bits;
        let mut starts = vec![0_u32; buckets.saturating_add(2)];
        for (hash, _) in windows() {
            let word = usize::try_from(hash >> 64_u32.saturating_sub(words.trailing_zeros()))
                .unwrap_or(usize::MAX);
            if let Some(word) = bits.get_mut(word) {
                *word |= 1 << (hash & 63);
            }
            if let Some(start) = starts.get_mut(bucket(hash, bucket_shift).saturating_add(2)) {
                *start = start.saturating_add(1);
            }
        }
        let mut sum = 0_u32;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut tags = Zeroizing::new(vec![0_u32; count]);
        let mut places = vec![Place { pattern: 0, at: 0 }; count];
        for (hash, place) in windows() {
            let Some(next) = starts.get_mut(bucket(hash, bucket_shift).saturating_add(1)) else {
                continue;
            };
            let at = index(*next);
            *next = next.saturating_add(1);
            if let (Some(tag), Some(slot)) = (tags.get_mut(at), places.get_mut(at)) {
                *tag = tag_of(hash);
                *slot = place;
            }
        }
        Self { plan, mask, bits, starts, tags, places, bucket_shift }
    }

    /// Bytes from look to look.
    pub(super) fn stride(&self) -> usize {
        self.plan.stride
    }

    /// Looks at `text` from `from` on, before `to`. Tells each window that is known, by where it
    /// is in the text.
    pub(super) fn look(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut dyn FnMut(usize, Place),
    ) {
        let mut at = match self.bits.len() {
            n if n == WORDS[0] => self.by_stride::<{ WORDS[0] }>(text, from, to, found),
            n if n == WORDS[1] => self.by_stride::<{ WORDS[1] }>(text, from, to, found),
            n if n == WORDS[2] => self.by_stride::<{ WORDS[2] }>(text, from, to, found),
            n if n == WORDS[3] => self.by_stride::<{ WORDS[3] }>(text, from, to, found),
            _ => self.by_stride::<{ WORDS[4] }>(text, from, to, found),
        };
        while at < to {
            if text.len().saturating_sub(at) >= self.plan.width {
                self.compare(text, at, found);
            }
            at = at.wrapping_add(self.plan.stride);
        }
    }

    fn by_stride<const WORDS: usize>(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut dyn FnMut(usize, Place),
    ) -> usize {
        match self.plan.stride {
            1 => self.batches::<WORDS, 1>(text, from, to, found),
            2 => self.batches::<WORDS, 2>(text, from, to, found),
            3 => self.batches::<WORDS, 3>(text, from, to, found),
            4 => self.batches::<WORDS, 4>(text, from, to, found),
            5 => self.batches::<WORDS, 5>(text, from, to, found),
            6 => self.batches::<WORDS, 6>(text, from, to, found),
            8 => self.batches::<WORDS, 8>(text, from, to, found),
            9 => self.batches::<WORDS, 9>(text, from, to, found),
            11 => self.batches::<WORDS, 11>(text, from, to, found),
            13 => self.batches::<WORDS, 13>(text, from, to, found),
            17 => self.batches::<WORDS, 17>(text, from, to, found),
            25 => self.batches::<WORDS, 25>(text, from, to, found),
            _ => from,
        }
    }

    /// The looks that can be made in whole batches. Gives where it stopped.
    #[expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "constants, and an index of no more bits than the table has; checks would cost a \
                  third of the speed"
    )]
    fn batches<const WORDS: usize, const STRIDE: usize>(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut dyn FnMut(usize, Place),
    ) -> usize {
        let Ok(bits) = <&[u64; WORDS]>::try_from(self.bits.as_slice()) else { return from };
        let shift = 64 - WORDS.trailing_zeros();
        let mask = self.mask;
        // the rest of the word is of no meaning: the last bit tells
        let known = |batch: &[u8], number: usize| {
            let window = batch.get(number * STRIDE..).and_then(|rest| rest.first_chunk());
            let hash = hash(window.map_or(0, |bytes| u64::from_le_bytes(*bytes)) & mask);
            bits[(hash >> shift) as usize] >> (hash & 63)
        };
        let mut at = from;
        while at.wrapping_add(STRIDE * BATCH) <= to
            && let Some(batch) = text.get(at..at.wrapping_add(STRIDE * (BATCH - 1) + LOAD))
        {
            let mut passed = 0;
            for number in 0..BATCH {
                passed |= known(batch, number);
            }
            if passed & 1 == 1 {
                for number in 0..BATCH {
                    if known(batch, number) & 1 == 1 {
                        self.compare(text, at.wrapping_add(number * STRIDE), found);
                    }
                }
            }
            at = at.wrapping_add(STRIDE * BATCH);
        }
        at
    }

    #[inline(never)]
    fn compare(&self, text: &[u8], at: usize, found: &mut dyn FnMut(usize, Place)) {
        let hash = hash(load_short(text.get(at..).unwrap_or_default()) & self.mask);
        let bucket = bucket(hash, self.bucket_shift);
        let edge = |bucket: usize| self.starts.get(bucket).copied().map_or(0, index);
        let range = edge(bucket)..edge(bucket.wrapping_add(1));
        let tags = self.tags.get(range.clone()).unwrap_or_default();
        let places = self.places.get(range).unwrap_or_default();
        for (tag, place) in tags.iter().zip(places) {
            if *tag == tag_of(hash) {
                found(at, *place);
            }
        }
    }
}

/// Words of the bit table for so many windows.
fn size_of_table(windows: usize) -> usize {
    let wanted = windows.saturating_mul(SPARSE) / 64;
    WORDS.into_iter().find(|words| *words >= wanted).unwrap_or(MOST_BITS / 64)
}

/// Up to eight bytes as a number; what is missing is zero.
pub(super) fn load_short(bytes: &[u8]) -> u64 {
    let mut all = [0; LOAD];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(all)
}

fn hash(window: u64) -> u64 {
    window.wrapping_mul(MULTIPLIER)
}

fn bucket(hash: u64, shift: u32) -> usize {
    usize::try_from(hash >> shift).unwrap_or(usize::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the middle of the hash is what is wanted")]
fn tag_of(hash: u64) -> u32 {
    (hash >> 16) as u32
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
