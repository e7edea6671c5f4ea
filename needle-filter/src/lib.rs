//! The filter in front of an exact comparison: one look at every so many bytes.
//!
//! A pattern of at least L bytes covers L-w+1 neighbouring windows of w bytes, so it is enough to
//! look at every (L-w+1)th window of the text, if that many windows of each pattern are known. A look
//! is one bit of a table of pairs that stays in the nearest cache; what passes is listed, without a
//! branch that could be guessed wrongly, and looked up in tables of whole windows, all of a list
//! together. Of which pattern a window is, the first one of that pattern tells, a few bytes before it.
//! What is found there is for the caller to compare byte by byte.
//!
//! The tables are made of parts of secrets and are wiped.

mod plan;

use plan::Plan;
use zeroize::Zeroizing;

/// Bytes of one load; the most that a window has.
pub const LOAD: usize = 8;
/// Looks between two checks whether there is text and room for more.
const BATCH: usize = 16;
/// Places that are listed before they are looked up.
const LIST: usize = 1 << 8;
/// An odd number without pattern (of the golden ratio).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND_MULTIPLIER: u64 = 0xD6E8_FEB8_6659_FD93;
/// Sizes of the table of windows in words of 64 bits, known when the program is built, so that no
/// index needs to be checked.
pub(crate) const WORDS: [usize; 7] = [1 << 9, 1 << 12, 1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 18];
/// Words of the table of pairs.
const PAIRS: usize = 1 << 10;
/// Bytes that are looked at in one go, so that places fit in 32 bits; the rest is looked at one by one.
const FARTHEST: usize = 1 << 30;

/// Patterns that are entered together.
const TOGETHER: usize = 8;

/// A window of one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the pattern.
    pub pattern: u32,
    /// Where the window is in it.
    pub at: u32,
}

/// Patterns that are looked for together.
pub struct Group {
    plan: Plan,
    /// Which bits of a load belong to the window.
    mask: u64,
    /// One bit for each pair of bytes that a window begins with.
    pairs: Zeroizing<Vec<u64>>,
    /// Two bits of a word for each window.
    bits: Zeroizing<Vec<u64>>,
    /// Two others, for what passes by chance.
    second: Zeroizing<Vec<u64>>,
    /// Which bits of a load tell the first window of a pattern from others.
    first_mask: u64,
    /// For the first window of each pattern a tag that tells it from others, at the place that its
    /// hash gives or the next free one; 0 is free, as most are. Small, to stay in a near cache.
    tags: Zeroizing<Vec<u8>>,
    /// Which it is: the last one of those that have the same tag there.
    numbers: Vec<u32>,
    /// The first windows, each with the one before it that has the same tag: patterns may begin alike
    /// by the thousand.
    firsts: Vec<(Place, u32)>,
}

/// No first window.
const NONE: u32 = u32::MAX;

/// The strides that there is code for.
macro_rules! strides {
    ($($stride:literal)*) => {
        pub(crate) const STRIDES: &[usize] = &[$($stride),*];

        impl Group {
            fn batches_of_stride(
                &self,
                text: &[u8],
                from: usize,
                to: usize,
                found: &mut dyn FnMut(usize, Place),
            ) -> usize {
                match self.plan.stride {
                    $($stride => self.batches::<$stride>(text, from, to, found),)*
                    _ => from,
                }
            }
        }
    };
}

strides!(1 2 3 4 5 6 7 8 9 10 11 12 13 16 20 25);

/// The groups that find all of `patterns`.
pub fn groups(patterns: &[&[u8]]) -> Vec<Group> {
    let mut order: Vec<(u32, &[u8])> = (0..).zip(patterns.iter().copied()).collect();
    order.sort_unstable_by_key(|(index, bytes)| (bytes.len(), *index));
    let lengths: Vec<usize> = order.iter().map(|(_, bytes)| bytes.len()).collect();
    let mut rest = order.as_slice();
    plan::plans(&lengths)
        .into_iter()
        .map(|(plan, count)| {
            let (chosen, longer) = rest.split_at(count.min(rest.len()));
            rest = longer;
            Group::new(plan, chosen)
        })
        .collect()
}

impl Group {
    fn new(plan: Plan, patterns: &[(u32, &[u8])]) -> Self {
        let count = patterns.len().saturating_mul(plan.stride);
        let slots = patterns.len().saturating_mul(4).max(4).next_power_of_two();
        let mask = u64::MAX >> (64_usize.saturating_sub(plan.width.saturating_mul(8)));
        let long = patterns.iter().all(|(_, bytes)| bytes.len() >= LOAD);
        let mut group = Self {
            plan,
            mask,
            // a window of one byte is of no pair
            pairs: Zeroizing::new(vec![if plan.width < 2 { u64::MAX } else { 0 }; PAIRS]),
            bits: Zeroizing::new(vec![0; plan.words]),
            second: Zeroizing::new(vec![0; (count / 8).next_power_of_two().max(2)]),
            first_mask: if long { u64::MAX } else { mask },
            tags: Zeroizing::new(vec![0; slots]),
            numbers: vec![0; slots],
            firsts: Vec::with_capacity(patterns.len()),
        };
        for some in patterns.chunks(TOGETHER) {
            group.enter(some);
        }
        group
    }

    /// Enters the windows of the next patterns.
    fn enter(&mut self, patterns: &[(u32, &[u8])]) {
        let plan = self.plan;
        let mut firsts = [0; TOGETHER];
        for (first, (_, bytes)) in firsts.iter_mut().zip(patterns) {
            *first = plan::rarest(bytes, plan);
        }
        let windows = || {
            patterns.iter().zip(firsts).flat_map(move |((_, bytes), first)| {
                let all = first..first.saturating_add(plan.stride);
                all.map(|at| load(bytes.get(at..).unwrap_or_default()))
            })
        };
        // the table is far away: all of the places are asked for before the first is needed
        let near = windows().fold(0, |bits, load| {
            let (word, _) = self.second(hash(load & self.mask));
            let word = usize::try_from(word).ok().and_then(|word| self.second.get(word));
            bits ^ word.copied().unwrap_or(0)
        });
        std::hint::black_box(near);
        for load in windows() {
            self.add(load);
        }
        for ((pattern, bytes), first) in patterns.iter().zip(firsts) {
            let key = self.key(load(bytes.get(first..).unwrap_or_default()));
            let new = tag_of(key);
            let mut slot = self.slot(key);
            while self.tags.get(slot).is_some_and(|tag| *tag != 0 && *tag != new) {
                slot = self.after(slot);
            }
            if let (Some(tag), Some(number)) = (self.tags.get_mut(slot), self.numbers.get_mut(slot))
            {
                let before = if *tag == new { *number } else { NONE };
                *tag = new;
                *number = u32::try_from(self.firsts.len()).unwrap_or(NONE);
                let at = u32::try_from(first).unwrap_or(u32::MAX);
                self.firsts.push((Place { pattern: *pattern, at }, before));
            }
        }
    }

    fn add(&mut self, load: u64) {
        let hash = hash(load & self.mask);
        let pair = load & 0xffff;
        set(&mut self.pairs, pair >> 6, 1 << (pair & 63));
        let shift = 64_u32.saturating_sub(self.plan.words.trailing_zeros());
        let (first, other) = two_bits(hash);
        set(&mut self.bits, hash >> shift, 1 << first | 1 << other);
        let (word, both) = self.second(hash);
        set(&mut self.second, word, both);
    }

    /// What the first window of a pattern is known by.
    fn key(&self, load: u64) -> u64 {
        hash(load & self.first_mask)
    }

    /// The word of the second table, and its two bits for a window.
    #[inline]
    fn second(&self, hash: u64) -> (u64, u64) {
        let other = (hash ^ (hash >> 29)).wrapping_mul(SECOND_MULTIPLIER);
        let shift = 64_u32.saturating_sub(self.second.len().trailing_zeros());
        (other >> shift, 1 << ((other >> 6) & 63) | 1 << ((other >> 12) & 63))
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
    pub fn stride(&self) -> usize {
        self.plan.stride
    }

    /// Looks at `text` from `from` on, before `to`. Tells each window that is known, by where it
    /// is in the text.
    pub fn look(&self, text: &[u8], from: usize, to: usize, found: &mut dyn FnMut(usize, Place)) {
        // the first window of a pattern may stand before the one that is seen
        let mut at = from.min(self.plan.stride);
        let begin = from.saturating_sub(at);
        let text = text.get(begin..).unwrap_or_default();
        let to = to.saturating_sub(begin);
        let found = &mut |at: usize, place| found(at.wrapping_add(begin), place);
        at = self.batches_of_stride(text, at, to, found);
        while at < to {
            let rest = text.get(at..).unwrap_or_default();
            if rest.len() >= self.plan.width && self.may_begin(rest) {
                self.compare(text, at, found);
            }
            at = at.wrapping_add(self.plan.stride);
        }
    }

    /// Whether a known window begins with the same pair.
    fn may_begin(&self, text: &[u8]) -> bool {
        let pair = text.first_chunk().map(|pair| u16::from_le_bytes(*pair));
        pair.is_none_or(|pair| {
            self.pairs.get(usize::from(pair >> 6)).is_some_and(|word| word >> (pair & 63) & 1 == 1)
        })
    }

    /// The looks that can be made in whole batches. Gives where it stopped.
    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "constants, indices of no more bits than a table has, and places before \
                  `FARTHEST`; checks would cost a third of the speed"
    )]
    fn batches<const STRIDE: usize>(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut dyn FnMut(usize, Place),
    ) -> usize {
        let Ok(pairs) = <&[u64; PAIRS]>::try_from(self.pairs.as_slice()) else { return from };
        let to = to.min(FARTHEST);
        let mut at = from;
        let mut list = [0_u32; LIST];
        let mut listed = 0;
        while at + STRIDE * BATCH <= to
            && let Some(batch) = text.get(at..at + STRIDE * (BATCH - 1) + LOAD)
        {
            // each is written, and kept if its pair is known
            for number in 0..BATCH {
                let pair = batch.get(number * STRIDE..).and_then(|rest| rest.first_chunk());
                let pair = pair.map_or(0, |pair| u16::from_le_bytes(*pair));
                list[listed & (LIST - 1)] = (at + number * STRIDE) as u32;
                listed += usize::from(pairs[usize::from(pair >> 6)] >> (pair & 63) & 1 == 1);
            }
            if listed > LIST - BATCH {
                self.sift(text, &mut list[..listed], found);
                listed = 0;
            }
            at += STRIDE * BATCH;
        }
        // fewer than a batch, for which there is room in the list
        while at < to
            && let Some(load) = text.get(at..at + LOAD)
        {
            list[listed & (LIST - 1)] = at as u32;
            listed += usize::from(self.may_begin(load));
            at += STRIDE;
        }
        self.sift(text, &mut list[..listed], found);
        at
    }

    /// Compares those of the places whose windows the table has.
    fn sift(&self, text: &[u8], places: &mut [u32], found: &mut dyn FnMut(usize, Place)) {
        let kept = match WORDS.iter().position(|words| *words == self.bits.len()) {
            Some(0) => self.known::<{ WORDS[0] }>(text, places),
            Some(1) => self.known::<{ WORDS[1] }>(text, places),
            Some(2) => self.known::<{ WORDS[2] }>(text, places),
            Some(3) => self.known::<{ WORDS[3] }>(text, places),
            Some(4) => self.known::<{ WORDS[4] }>(text, places),
            Some(5) => self.known::<{ WORDS[5] }>(text, places),
            Some(6) => self.known::<{ WORDS[6] }>(text, places),
            _ => places.len(),
        };
        for place in places.iter().take(kept) {
            self.compare(text, usize::try_from(*place).unwrap_or(usize::MAX), found);
        }
    }

    /// Moves the places whose windows the table has to the front. Gives how many there are.
    #[inline(never)]
    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "indices of no more bits than the table has, and of no more places than there are"
    )]
    fn known<const WORDS: usize>(&self, text: &[u8], places: &mut [u32]) -> usize {
        let Ok(bits) = <&[u64; WORDS]>::try_from(self.bits.as_slice()) else { return 0 };
        let shift = 64 - WORDS.trailing_zeros();
        let mut kept = 0;
        for at in 0..places.len() {
            let place = places[at];
            let start = place as usize;
            let window = text.get(start..start + LOAD).and_then(|bytes| bytes.first_chunk());
            let hash = hash(window.map_or(0, |it| u64::from_le_bytes(*it)) & self.mask);
            let (first, other) = two_bits(hash);
            let word = bits[(hash >> shift) as usize];
            places[kept] = place;
            // no branch that could be guessed wrongly
            kept += usize::from(word >> first & (word >> other) & 1 == 1);
        }
        kept
    }

    /// Tells of which patterns the window at `at` may be: of those whose first window is where it
    /// must be.
    fn compare(&self, text: &[u8], at: usize, found: &mut dyn FnMut(usize, Place)) {
        let rest = |at: usize| text.get(at..).unwrap_or_default();
        let (word, both) = self.second(hash(load(rest(at)) & self.mask));
        let word = usize::try_from(word).ok().and_then(|word| self.second.get(word));
        if word.is_none_or(|word| word & both != both) {
            return;
        }
        let before = at.saturating_sub(self.plan.stride.saturating_sub(1));
        for first in before..=at {
            let key = self.key(load(rest(first)));
            let mut slot = self.slot(key);
            while let Some(tag) = self.tags.get(slot).filter(|tag| **tag != 0) {
                if *tag == tag_of(key) {
                    self.tell(slot, first, found);
                }
                slot = self.after(slot);
            }
        }
    }

    /// Tells of all patterns of a slot.
    #[cold]
    fn tell(&self, slot: usize, at: usize, found: &mut dyn FnMut(usize, Place)) {
        let mut number = self.numbers.get(slot).copied().unwrap_or(NONE);
        while let Ok(index) = usize::try_from(number)
            && let Some((place, before)) = self.firsts.get(index)
        {
            found(at, *place);
            number = *before;
        }
    }
}

fn set(table: &mut [u64], word: u64, bits: u64) {
    if let Some(word) = usize::try_from(word).ok().and_then(|word| table.get_mut(word)) {
        *word |= bits;
    }
}

/// The bytes from a window on as a number; what is missing is zero.
#[inline]
fn load(rest: &[u8]) -> u64 {
    if let Some(bytes) = rest.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    let mut all = [0; LOAD];
    for (to, from) in all.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_le_bytes(all)
}

#[inline]
fn hash(window: u64) -> u64 {
    window.wrapping_mul(MULTIPLIER)
}

/// Which bits of a word of the first table stand for a window. The word is told by the highest bits.
#[inline]
fn two_bits(hash: u64) -> (u64, u64) {
    (hash >> 40 & 63, hash >> 34 & 63)
}

/// Never 0.
#[expect(clippy::cast_possible_truncation, reason = "the middle of the hash is what is wanted")]
fn tag_of(hash: u64) -> u8 {
    (hash >> 20) as u8 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all groups together tell of a text that is looked at in blocks.
    fn found(groups: &[Group], text: &[u8], block: usize) -> Vec<(usize, u32)> {
        let mut all = Vec::new();
        for group in groups {
            let mut done = 0;
            while done < text.len() {
                let end = done.saturating_add(block).min(text.len());
                let first = done.next_multiple_of(group.stride());
                group.look(text, first, end, &mut |at, place| {
                    let start = at.checked_sub(usize::try_from(place.at).unwrap());
                    all.extend(start.map(|start| (start, place.pattern)));
                });
                done = end;
            }
        }
        all
    }

    /// Bytes without order, of an alphabet of `letters`.
    fn random(state: &mut u64, length: usize, letters: u64) -> Vec<u8> {
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            u8::try_from(state.checked_rem(letters).unwrap()).unwrap()
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn a_pattern_of_any_length_is_found_wherever_it_stands() {
        let mut state = 1;
        for length in 1..=70 {
            for letters in [2, 256] {
                let pattern = random(&mut state, length, letters);
                let groups = groups(&[&pattern]);
                for at in 0..80 {
                    for behind in [0, 1, 9, 200] {
                        let mut text = random(&mut state, at, 256);
                        text.extend_from_slice(&pattern);
                        text.extend(random(&mut state, behind, 256));
                        let found = found(&groups, &text, 64);
                        assert!(found.contains(&(at, 0)), "{length} {letters} {at} {behind}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_of_very_many_patterns_is_found() {
        let mut state = 2;
        for count in [1, 30, 1_000, 40_000] {
            let patterns: Vec<Vec<u8>> =
                (0..count).map(|number| random(&mut state, 6 + number % 60, 62)).collect();
            let slices: Vec<&[u8]> = patterns.iter().map(Vec::as_slice).collect();
            let groups = groups(&slices);
            let mut text = random(&mut state, 17, 256);
            let mut expected = Vec::new();
            for (number, pattern) in (0..).zip(&patterns) {
                expected.push((text.len(), number));
                text.extend_from_slice(pattern);
            }
            let found: std::collections::HashSet<_> =
                found(&groups, &text, 32 << 10).into_iter().collect();
            assert!(expected.iter().all(|one| found.contains(one)), "{count}");
        }
    }

    #[test]
    fn little_passes_by_chance() {
        let mut state = 3;
        let patterns: Vec<Vec<u8>> = (0..20_000).map(|_| random(&mut state, 24, 62)).collect();
        let slices: Vec<&[u8]> = patterns.iter().map(Vec::as_slice).collect();
        let text = random(&mut state, 1 << 20, 62);
        let found = found(&groups(&slices), &text, 32 << 10);
        assert!(found.len() < 100, "{}", found.len());
    }

    #[test]
    fn many_patterns_may_begin_and_end_alike() {
        let mut state = 4;
        let number = 30_000_u32;
        let patterns: Vec<Vec<u8>> = (0..number)
            .map(|number| format!("https://[same]/{number:08}/of.all!").into_bytes())
            .chain((0..number).map(|_| b"/the-same-throughout/".to_vec()))
            .collect();
        let slices: Vec<&[u8]> = patterns.iter().map(Vec::as_slice).collect();
        let groups = groups(&slices);
        let mut text = random(&mut state, 33, 256);
        text.extend_from_slice(&patterns[17]);
        let found = found(&groups, &text, 64);
        assert!(found.contains(&(33, 17)));
        assert!(found.len() <= patterns.len());
    }

    #[test]
    fn nothing_is_found_with_no_pattern() {
        assert!(groups(&[]).is_empty());
    }
}
