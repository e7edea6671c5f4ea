//! The filter in front of the exact comparison: one look at every so many bytes.
//!
//! A pattern of at least L bytes covers L-w+1 neighbouring windows of w bytes, so it is enough to
//! look at every (L-w+1)th window of the text, if that many windows of each pattern are known. One
//! look is a load of eight bytes, a multiplication and one bit of a table that stays in the cache.
//! What passes is looked up in a table of windows; what is found there is for the caller to
//! compare byte by byte. Knows nothing of forms and streams.
//!
//! The tables are made of parts of secrets and are wiped.

#![expect(clippy::inline_always, reason = "the program is built small; this is its inner loop")]

use zeroize::Zeroizing;

/// Bytes of one load; the most that a window has.
pub(super) const LOAD: usize = 8;
/// Looks that are answered with one branch.
const BATCH: usize = 8;
/// An odd number without pattern (of the golden ratio).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
/// Sizes of the bit table in words of 64 bits, known when the program is built, so that no index
/// needs to be checked.
pub(super) const WORDS: [usize; 6] = [1 << 9, 1 << 12, 1 << 15, 1 << 16, 1 << 17, 1 << 18];
/// Places that are looked up together in a crowd; a power of two.
const LIST: usize = 1 << 10;
const SECOND_MULTIPLIER: u64 = 0xD6E8_FEB8_6659_FD93;
/// The strides that there is code for.
pub(super) const STRIDES: [usize; 12] = [1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 17, 25];
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
    /// Words of the bit table, one of [`WORDS`].
    pub(super) words: usize,
    /// Whether so many looks pass by chance that a branch for them would mostly be guessed
    /// wrongly; not with the first two sizes.
    pub(super) crowded: bool,
}

/// Patterns that are looked for together.
pub(super) struct Group {
    plan: Plan,
    /// Which bits of a load belong to the window.
    mask: u64,
    /// One bit for each window that is known.
    bits: Zeroizing<Vec<u64>>,
    /// Two bits of a word for each window, for what passes the first table by chance.
    second: Zeroizing<Vec<u64>>,
    /// For each window a tag that tells it from others, at the place that its hash gives or the
    /// next free one; 0 is free. Small, so that one look at it is one line of the cache.
    tags: Zeroizing<Vec<u16>>,
    /// Which window it is.
    places: Vec<Place>,
}

impl Group {
    /// Makes the tables. `patterns` are the bytes of each, and where its first window is; each has
    /// room for `stride` windows from there.
    pub(super) fn new(plan: Plan, patterns: &[(u32, &[u8], usize)]) -> Self {
        let mask = u64::MAX >> (64_usize.saturating_sub(plan.width.saturating_mul(8)));
        let count = patterns.len().saturating_mul(plan.stride);
        let slots = count.saturating_mul(5).div_ceil(4).max(4).next_power_of_two();
        let mut group = Self {
            plan,
            mask,
            bits: Zeroizing::new(vec![0; plan.words]),
            second: Zeroizing::new(vec![0; (count / 4).next_power_of_two().max(2)]),
            tags: Zeroizing::new(vec![0; slots]),
            places: vec![Place { pattern: 0, at: 0 }; slots],
        };
        for &(pattern, bytes, first) in patterns {
            for at in first..first.saturating_add(plan.stride) {
                let load = Load::of(bytes.get(at..).unwrap_or_default());
                group.add(&load, Place { pattern, at: u32::try_from(at).unwrap_or(u32::MAX) });
            }
        }
        group
    }

    fn add(&mut self, load: &Load, place: Place) {
        let hash = hash(load.bytes & self.mask);
        let word = hash >> 64_u32.saturating_sub(self.plan.words.trailing_zeros());
        if let Some(word) = usize::try_from(word).ok().and_then(|word| self.bits.get_mut(word)) {
            *word |= 1 << (hash & 63);
        }
        let (word, both) = self.second(hash);
        if let Some(word) = self.second.get_mut(word) {
            *word |= both;
        }
        let mut slot = self.slot(hash);
        while self.tags.get(slot).is_some_and(|tag| *tag != 0) {
            slot = self.after(slot);
        }
        if let (Some(tag), Some(old)) = (self.tags.get_mut(slot), self.places.get_mut(slot)) {
            *tag = load.wide_tag().unwrap_or_else(|| tag_of(hash));
            *old = place;
        }
    }

    /// The word of the second table, and its two bits for a window.
    #[inline(always)]
    fn second(&self, hash: u64) -> (usize, u64) {
        let other = (hash ^ (hash >> 29)).wrapping_mul(SECOND_MULTIPLIER);
        let shift = 64_u32.saturating_sub(self.second.len().trailing_zeros());
        let word = usize::try_from(other >> shift).unwrap_or(0);
        (word, 1 << ((other >> 6) & 63) | 1 << ((other >> 12) & 63))
    }

    /// Where the search for a window begins.
    fn slot(&self, hash: u64) -> usize {
        let shift = 64_u32.saturating_sub(self.tags.len().trailing_zeros());
        usize::try_from(hash >> shift).unwrap_or(0)
    }

    /// Where it goes on.
    fn after(&self, slot: usize) -> usize {
        slot.wrapping_add(1) & self.tags.len().wrapping_sub(1)
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
        let size = WORDS.iter().position(|words| *words == self.bits.len());
        let mut at = match (size, self.plan.crowded) {
            (Some(0), _) => self.by_stride::<{ WORDS[0] }, false>(text, from, to, found),
            (Some(1), _) => self.by_stride::<{ WORDS[1] }, false>(text, from, to, found),
            (Some(2), false) => self.by_stride::<{ WORDS[2] }, false>(text, from, to, found),
            (Some(2), true) => self.by_stride::<{ WORDS[2] }, true>(text, from, to, found),
            (Some(3), false) => self.by_stride::<{ WORDS[3] }, false>(text, from, to, found),
            (Some(3), true) => self.by_stride::<{ WORDS[3] }, true>(text, from, to, found),
            (Some(4), false) => self.by_stride::<{ WORDS[4] }, false>(text, from, to, found),
            (Some(4), true) => self.by_stride::<{ WORDS[4] }, true>(text, from, to, found),
            (Some(5), false) => self.by_stride::<{ WORDS[5] }, false>(text, from, to, found),
            (Some(5), true) => self.by_stride::<{ WORDS[5] }, true>(text, from, to, found),
            (_, _) => from,
        };
        while at < to {
            if text.len().saturating_sub(at) >= self.plan.width {
                self.compare(text, at, found);
            }
            at = at.wrapping_add(self.plan.stride);
        }
    }

    fn by_stride<const WORDS: usize, const CROWDED: bool>(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut dyn FnMut(usize, Place),
    ) -> usize {
        match self.plan.stride {
            1 => self.batches::<WORDS, CROWDED, 1>(text, from, to, found),
            2 => self.batches::<WORDS, CROWDED, 2>(text, from, to, found),
            3 => self.batches::<WORDS, CROWDED, 3>(text, from, to, found),
            4 => self.batches::<WORDS, CROWDED, 4>(text, from, to, found),
            5 => self.batches::<WORDS, CROWDED, 5>(text, from, to, found),
            6 => self.batches::<WORDS, CROWDED, 6>(text, from, to, found),
            8 => self.batches::<WORDS, CROWDED, 8>(text, from, to, found),
            9 => self.batches::<WORDS, CROWDED, 9>(text, from, to, found),
            11 => self.batches::<WORDS, CROWDED, 11>(text, from, to, found),
            13 => self.batches::<WORDS, CROWDED, 13>(text, from, to, found),
            17 => self.batches::<WORDS, CROWDED, 17>(text, from, to, found),
            25 => self.batches::<WORDS, CROWDED, 25>(text, from, to, found),
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
    fn batches<const WORDS: usize, const CROWDED: bool, const STRIDE: usize>(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut dyn FnMut(usize, Place),
    ) -> usize {
        let Ok(bits) = <&[u64; WORDS]>::try_from(self.bits.as_slice()) else { return from };
        let shift = 64 - WORDS.trailing_zeros();
        let mask = self.mask;
        let mut at = from;
        let mut list = [0_u32; LIST];
        let mut listed = 0;
        while at.wrapping_add(STRIDE * BATCH) <= to
            && let Some(batch) = text.get(at..at.wrapping_add(STRIDE * (BATCH - 1) + LOAD))
        {
            // the rest of a word is of no meaning: the last bit tells
            macro_rules! known {
                ($number:literal) => {{
                    let window = batch.get($number * STRIDE..).and_then(|rest| rest.first_chunk());
                    let hash = hash(window.map_or(0, |it| u64::from_le_bytes(*it)) & mask);
                    bits[(hash >> shift) as usize] >> (hash & 63)
                }};
            }
            let known = [
                known!(0),
                known!(1),
                known!(2),
                known!(3),
                known!(4),
                known!(5),
                known!(6),
                known!(7),
            ];
            if CROWDED {
                // no branch that could be guessed wrongly: each is written, and kept if it passed
                for (number, known) in known.iter().enumerate() {
                    list[listed & (LIST - 1)] = at.wrapping_add(number * STRIDE) as u32;
                    listed += (known & 1) as usize;
                }
                if listed > LIST - BATCH {
                    self.compare_all(text, &list[..listed], found);
                    listed = 0;
                }
            } else if known.iter().fold(0, |all, one| all | one) & 1 == 1 {
                for (number, known) in known.iter().enumerate() {
                    if known & 1 == 1 {
                        let place = at.wrapping_add(number * STRIDE) as u32;
                        self.compare_all(text, &[place], found);
                    }
                }
            }
            at = at.wrapping_add(STRIDE * BATCH);
        }
        self.compare_all(text, &list[..listed], found);
        at
    }

    #[inline(never)]
    fn compare_all(&self, text: &[u8], places: &[u32], found: &mut dyn FnMut(usize, Place)) {
        for place in places {
            self.compare(text, usize::try_from(*place).unwrap_or(usize::MAX), found);
        }
    }

    /// Tells what the window at `at` is, if it is one.
    #[inline(always)]
    fn compare(&self, text: &[u8], at: usize, found: &mut dyn FnMut(usize, Place)) {
        let load = Load::of(text.get(at..).unwrap_or_default());
        let hash = hash(load.bytes & self.mask);
        let (word, both) = self.second(hash);
        if self.second.get(word).is_some_and(|word| word & both == both) {
            self.compare_load(&load, hash, at, found);
        }
    }

    #[inline(never)]
    fn compare_load(&self, load: &Load, hash: u64, at: usize, found: &mut dyn FnMut(usize, Place)) {
        let (narrow, wide) = (tag_of(hash), load.wide_tag());
        let mut slot = self.slot(hash);
        while let Some(tag) = self.tags.get(slot).filter(|tag| **tag != 0) {
            if (*tag == narrow || Some(*tag) == wide)
                && let Some(place) = self.places.get(slot)
            {
                found(at, *place);
            }
            slot = self.after(slot);
        }
    }
}

/// The bytes from a window on, of which the window may be fewer.
struct Load {
    bytes: u64,
    /// Whether there were so many.
    whole: bool,
}

impl Load {
    #[inline(always)]
    fn of(rest: &[u8]) -> Self {
        let whole = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        Self { bytes: whole.unwrap_or_else(|| load_short(rest)), whole: whole.is_some() }
    }

    /// Tells more windows apart than their own bytes do: those of digits, say, are met everywhere.
    fn wide_tag(&self) -> Option<u16> {
        self.whole.then(|| tag_of(hash(self.bytes)) ^ WIDE)
    }
}

/// Up to eight bytes as a number; what is missing is zero.
pub(super) fn load_short(bytes: &[u8]) -> u64 {
    let mut all = [0; LOAD];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(all)
}

#[inline(always)]
fn hash(window: u64) -> u64 {
    window.wrapping_mul(MULTIPLIER)
}

/// Never 0, and without [`WIDE`].
#[expect(clippy::cast_possible_truncation, reason = "the middle of the hash is what is wanted")]
fn tag_of(hash: u64) -> u16 {
    (hash >> 20) as u16 & !WIDE | 1
}

/// Of the tag of all bytes of a load, not of a window.
const WIDE: u16 = 2;
