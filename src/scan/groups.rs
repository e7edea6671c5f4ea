//! Which patterns are looked for together, with which window and stride, and by which of their
//! windows each is known.
//!
//! The shortest pattern of a group sets its stride, so a few short ones must not hold up all; but
//! two groups are two looks at the text. What is cheaper is reckoned for every cut by length.

use super::filter::{Group, Plan, STRIDES, WORDS};
use super::forms::{Forms, Pattern};

/// The widths of windows to choose from.
const WIDTHS: [usize; 4] = [4, 5, 6, 8];
/// Lengths beyond which a cut brings nothing.
const LONGEST_CUT: usize = 40;
/// What one look takes by the size of the table, in picoseconds; what it takes more in a crowd; and
/// what comes of one that passes for nothing, without and in a crowd. Measured.
const LOOKS: [u64; 6] = [800, 850, 900, 1000, 1200, 1900];
const LISTING: u64 = 400;
const PASS: [u64; 2] = [25_000, 7_000];

/// The groups that find all patterns.
pub(super) fn of(forms: &Forms) -> Vec<Group> {
    let mut order: Vec<u32> = (0_u32..).zip(forms.patterns()).map(|(index, _)| index).collect();
    let length = |index: &u32| pattern(forms, *index).map_or(0, |it| forms.bytes(it).len());
    order.sort_unstable_by_key(|index| (length(index), *index));
    let lengths: Vec<usize> = order.iter().map(length).collect();
    plans(&lengths)
        .into_iter()
        .scan(0_usize, |from, (plan, count)| {
            let to = from.saturating_add(count);
            let chosen = order.get(*from..to).unwrap_or_default();
            *from = to;
            Some(group(forms, plan, chosen))
        })
        .collect()
}

fn pattern(forms: &Forms, index: u32) -> Option<&Pattern> {
    forms.patterns().get(usize::try_from(index).ok()?)
}

fn group(forms: &Forms, plan: Plan, chosen: &[u32]) -> Group {
    let windows: Vec<_> = chosen
        .iter()
        .filter_map(|index| {
            let bytes = forms.bytes(pattern(forms, *index)?);
            Some((*index, bytes, rarest(bytes, plan)))
        })
        .collect();
    Group::new(plan, &windows)
}

/// The cheapest plan: one group or two, each with how many patterns it takes, by length.
fn plans(lengths: &[usize]) -> Vec<(Plan, usize)> {
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
    let none = Plan { width: length.clamp(1, 4), stride: 1, words: WORDS[0], crowded: false };
    WIDTHS
        .into_iter()
        .flat_map(|width| tables().map(move |table| (width, table)))
        .filter_map(|(width, (words, look, crowded))| {
            let room = length.checked_sub(width)?.saturating_add(1);
            let stride = STRIDES.into_iter().rev().find(|stride| *stride <= room)?;
            let windows = (count.saturating_mul(stride) as u64).saturating_mul(1_000_000);
            // of a million looks, so many pass by chance: the table, and what is common in texts
            let table = windows.checked_div(words.saturating_mul(64) as u64)?;
            let texts = windows >> width.saturating_mul(6);
            let passes = table.saturating_add(texts).min(1_000_000);
            let [alone, listed] = PASS.map(|pass| passes.saturating_mul(pass) / 1_000_000);
            let more = if crowded { listed.saturating_add(LISTING) } else { alone };
            let cost = look.saturating_add(more).saturating_mul(1024).checked_div(stride as u64)?;
            Some((Plan { width, stride, words, crowded }, cost))
        })
        .min_by_key(|(_, cost)| *cost)
        .unwrap_or((none, u64::MAX / 4))
}

/// The tables, by words, with what a look takes, and whether for a crowd.
fn tables() -> impl Iterator<Item = (usize, u64, bool)> {
    let sizes = WORDS.into_iter().zip(LOOKS).enumerate();
    sizes.flat_map(|(size, (words, look))| {
        [false, true]
            .into_iter()
            .filter(move |crowded| size >= 2 || !crowded)
            .map(move |crowded| (words, look, crowded))
    })
}

/// Where the windows of a pattern begin that other texts are least likely to have: the first of the
/// best.
fn rarest(bytes: &[u8], plan: Plan) -> usize {
    let pairs = plan.stride.saturating_add(plan.width).saturating_sub(2);
    let mut rarity = 0_u32;
    let mut best = (0, 0);
    let behind = bytes.iter().zip(bytes.iter().skip(1)).map(Some);
    let behind = std::iter::repeat_n(None, pairs).chain(behind);
    let ahead = bytes.iter().zip(bytes.iter().skip(1));
    // each pair enters the span at its end and leaves it at its start
    for (end, (enters, leaves)) in (1_usize..).zip(ahead.zip(behind)) {
        rarity = rarity.saturating_add(rarity_of(enters));
        rarity = rarity.saturating_sub(leaves.map_or(0, rarity_of));
        if end >= pairs && rarity > best.0 {
            best = (rarity, end.saturating_sub(pairs));
        }
    }
    best.1
}

fn rarity_of((a, b): (&u8, &u8)) -> u32 {
    if a == b { 0 } else { rarity_of_byte(*a).saturating_add(rarity_of_byte(*b)) }
}

fn rarity_of_byte(byte: u8) -> u32 {
    match byte {
        0 | b' ' | 0xff => 0,
        b'a'..=b'z' => 2,
        b'0'..=b'9' | b'A'..=b'Z' => 3,
        _ => 4,
    }
}
