//! Which patterns are looked for together, with which window and stride, and by which of their
//! windows each is known.
//!
//! The shortest pattern of a group sets its stride, so a few short ones must not hold up all; but
//! two groups are two looks at the text. What is cheaper is reckoned for every cut by length.

use crate::{LOAD, STRIDES, WORDS};

/// How a group looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Bytes of a window, at most [`LOAD`].
    pub(crate) width: usize,
    /// Bytes from look to look.
    pub(crate) stride: usize,
    /// Words of the table of windows, one of [`WORDS`].
    pub(crate) words: usize,
}

/// The widths of windows to choose from.
const WIDTHS: [usize; 4] = [4, 5, 6, 8];
/// Lengths beyond which a cut brings nothing.
const LONGEST_CUT: usize = 40;
/// What a look takes, in picoseconds. Measured, as the others.
const LOOK: u64 = 650;
/// What one takes that begins with a known pair, by the size of the table of windows: what is read
/// drives the larger ones out of the second cache.
const SIFT: [u64; 7] = [800, 900, 1050, 1200, 1800, 2500, 4500];
/// What one takes that passes that table for nothing.
const PASS: u64 = 10_000;

/// The cheapest plan for patterns of these lengths, which are in order: one group or two, each with
/// how many patterns it takes.
pub(crate) fn plans(lengths: &[usize]) -> Vec<(Plan, usize)> {
    let Some(shortest) = lengths.first() else { return Vec::new() };
    let (one, cost) = cheapest(*shortest, lengths.len());
    let mut best = (vec![(one, lengths.len())], cost);
    let mut previous = *shortest;
    for (short, length) in lengths.iter().enumerate() {
        if *length == previous || *length > LONGEST_CUT {
            continue;
        }
        previous = *length;
        let long = lengths.len().saturating_sub(short);
        let (first, first_cost) = cheapest(*shortest, short);
        let (second, second_cost) = cheapest(*length, long);
        let cost = first_cost.saturating_add(second_cost);
        if cost < best.1 {
            best = (vec![(first, short), (second, long)], cost);
        }
    }
    best.0
}

/// The plan for so many patterns of at least `length` bytes, with the time for a kilobyte.
fn cheapest(length: usize, count: usize) -> (Plan, u64) {
    let none = Plan { width: length.clamp(1, 4), stride: 1, words: WORDS[0] };
    WIDTHS
        .into_iter()
        .flat_map(|width| WORDS.into_iter().zip(SIFT).map(move |size| (width, size)))
        .filter_map(|(width, (words, sift))| {
            let room = length.checked_sub(width)?.saturating_add(1);
            let stride = STRIDES.iter().copied().rev().find(|stride| *stride <= room)?;
            let windows = (count.saturating_mul(stride) as u64).saturating_mul(MILLION);
            // of a million looks, so many begin with a known pair
            let pairs = (windows / 13_000).min(3 * MILLION / 10);
            // of a million of those, so many pass by chance: two bits, and what is common in texts
            let bits = words.saturating_mul(64) as u64;
            let full = windows.saturating_mul(2).checked_div(bits)?.min(MILLION);
            let texts = windows >> width.saturating_mul(6);
            let passes = full.saturating_mul(full) / MILLION;
            let passes = passes.saturating_add(texts).min(MILLION);
            let sift = sift.saturating_add(passes.saturating_mul(PASS) / MILLION);
            let look = LOOK.saturating_add(pairs.saturating_mul(sift) / MILLION);
            let cost = look.saturating_mul(1024).checked_div(stride as u64)?;
            Some((Plan { width, stride, words }, cost))
        })
        .min_by_key(|(_, cost)| *cost)
        .unwrap_or((none, u64::MAX / 4))
}

const MILLION: u64 = 1_000_000;

/// Where the windows of a pattern begin that other texts are least likely to have: the first of the
/// best.
pub(crate) fn rarest(bytes: &[u8], plan: Plan) -> usize {
    let covered = plan.stride.saturating_add(plan.width).saturating_sub(1);
    // where the pattern is long enough, a whole load tells the first window from others
    let behind = LOAD.saturating_sub(covered);
    let loads = bytes.len().checked_sub(behind).filter(|_| bytes.len() >= LOAD);
    let bytes = loads.and_then(|loads| bytes.get(..loads)).unwrap_or(bytes);
    let pairs = covered.saturating_sub(1);
    let all = || bytes.windows(2).map(rarity_of);
    let mut rarity = all().take(pairs).fold(0, u32::wrapping_add);
    let mut best = (rarity, 0);
    // each pair enters the span at its end and leaves it at its start
    for (start, (enters, leaves)) in (1..).zip(all().skip(pairs).zip(all())) {
        rarity = rarity.wrapping_add(enters).wrapping_sub(leaves);
        if rarity > best.0 {
            best = (rarity, start);
        }
    }
    best.1
}

fn rarity_of(pair: &[u8]) -> u32 {
    let [a, b] = *pair else { return 0 };
    let of = |byte: u8| RARITIES.get(usize::from(byte)).copied().map_or(0, u32::from);
    if a == b { 0 } else { of(a).wrapping_add(of(b)) }
}

const RARITIES: [u8; 256] = rarities();

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "evaluated when the program is built"
)]
const fn rarities() -> [u8; 256] {
    // the last one stays as it is
    let mut all = [0; 256];
    let mut byte = 0_u8;
    while byte < 0xff {
        all[byte as usize] = match byte {
            0 | b' ' => 0,
            b'a'..=b'z' => 2,
            b'0'..=b'9' | b'A'..=b'Z' => 3,
            _ => 4,
        };
        byte += 1;
    }
    all
}
