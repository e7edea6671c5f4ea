//! How hard a value is to guess, and whether it can be told from chance where it is met.
//!
//! The estimate leans to the low side: what it takes for strong is searched everywhere, so that a
//! wrong guess upwards would bring false alarms. Words of the list, repetitions, sequences and
//! the letter pairs of English count little; changes between kinds of characters count.

use zeroize::Zeroizing;

use super::needle::Why;
use super::words;

/// From so many bits, and bytes, on a value is searched everywhere.
const STRONG_BITS: u32 = 48;
const STRONG_BYTES: usize = 8;
/// From so many on as a whole word only.
const WEAK_BITS: u32 = 28;
const WEAK_BYTES: usize = 5;
/// More need not be looked at.
const ENOUGH: usize = 256;

/// What may be done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Searched everywhere.
    Strong,
    /// Searched as a whole word.
    Weak,
    /// Not searched.
    None(Why),
}

/// What may be done with `value`.
pub(super) fn strength(value: &[u8]) -> Strength {
    let bits = bits(value);
    match value.len() {
        0 => Strength::None(Why::Empty),
        length if length >= STRONG_BYTES && bits >= STRONG_BITS => Strength::Strong,
        length if length >= WEAK_BYTES && bits >= WEAK_BITS => Strength::Weak,
        length if length < WEAK_BYTES => Strength::None(Why::Short),
        _ => Strength::None(Why::Guessable),
    }
}

/// The bits of information of `value`, estimated.
pub(super) fn bits(value: &[u8]) -> u32 {
    let value = value.get(..ENOUGH).unwrap_or(value);
    let tenths = match std::str::from_utf8(value) {
        Ok(text) => of_text(text),
        Err(_) => of_bytes(value).saturating_mul(10),
    };
    // a block that is repeated is the block, and how often
    let once = period(value);
    if once > 0 && once.saturating_mul(2) <= value.len() {
        let block = value.get(..once).unwrap_or_default();
        let times =
            value.len().checked_div(once).and_then(|it| u32::try_from(it).ok()).unwrap_or(1);
        return bits(block).saturating_add(times.ilog2()).min(tenths / 10);
    }
    tenths / 10
}

/// The bits of bytes that are no text: what their distribution gives.
pub(super) fn of_bytes(bytes: &[u8]) -> u32 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let sum: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) * (total / f64::from(*count)).log2())
        .sum();
    tenths(sum) / 10
}

/// Tenths of bits of a text, word by word and character by character.
fn of_text(text: &str) -> u32 {
    let plain = Zeroizing::new(text.chars().map(words::plain).collect::<Vec<char>>());
    let characters = Zeroizing::new(text.chars().collect::<Vec<char>>());
    let mut sum = 0_u32;
    let mut at = 0;
    let mut previous = None;
    while let Some(character) = characters.get(at).copied() {
        let rest = plain.get(at..).unwrap_or_default();
        if let Some(length) = words::longest(rest) {
            let original = characters.get(at..at.saturating_add(length)).unwrap_or_default();
            let same = original.iter().zip(rest).filter(|(a, b)| a == b).count();
            // written otherwise than in the list
            sum = sum.saturating_add(if same == length { 95 } else { 120 });
            at = at.saturating_add(length);
            previous = None;
            continue;
        }
        sum = sum.saturating_add(of_character(previous, character));
        previous = Some(character);
        at = at.saturating_add(1);
    }
    let hexadecimal = characters.iter().all(char::is_ascii_hexdigit)
        && !(characters.iter().any(char::is_ascii_lowercase)
            && characters.iter().any(char::is_ascii_uppercase));
    if hexadecimal {
        let most = u32::try_from(characters.len()).unwrap_or(u32::MAX).saturating_mul(40);
        return sum.min(most);
    }
    sum
}

/// Tenths of bits of a character behind another one.
fn of_character(previous: Option<char>, character: char) -> u32 {
    let own = match character {
        '0'..='9' => 33,
        'a'..='z' | 'A'..='Z' => 47,
        ' ' => 20,
        '!'..='~' => 50,
        _ if character.is_control() => 20,
        _ => 60,
    };
    let Some(before) = previous else { return own };
    let step = u32::from(character).abs_diff(u32::from(before));
    if step == 0 {
        return 8;
    }
    if step == 1 && before.is_ascii_alphanumeric() && character.is_ascii_alphanumeric() {
        return 12;
    }
    if kind(before) != kind(character) {
        return own.saturating_add(10);
    }
    match words::rank(before.to_ascii_lowercase(), character.to_ascii_lowercase()) {
        // 1 + log2(rank + 1)
        Some(rank) => tenths(1.0 + (f64::from(rank) + 1.0).log2()),
        None => own,
    }
}

/// Changes between these cannot be foreseen.
fn kind(character: char) -> u8 {
    match character {
        'a'..='z' => 0,
        'A'..='Z' => 1,
        '0'..='9' => 2,
        _ => 3,
    }
}

/// The length of the block that `value` repeats; its own where it repeats none.
fn period(value: &[u8]) -> usize {
    (1..=value.len() / 2)
        .find(|length| {
            value.iter().zip(value.get(*length..).unwrap_or_default()).all(|(a, b)| a == b)
        })
        .unwrap_or(value.len())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most eight bits for each of a few hundred bytes"
)]
fn tenths(bits: f64) -> u32 {
    (bits * 10.0) as u32
}
