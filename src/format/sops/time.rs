//! Times as Go prints them: what sops hashes, encrypts, and binds the MAC to. Knows no clock.
//!
//! Follows `time.Time.MarshalText` and `time.RFC3339` of Go, which sops uses.

/// With the fraction, as sops encrypts and hashes a time: at most nine digits, no zeros at the
/// end, `Z` where the offset is nothing. `None` for what is no time.
pub fn with_fraction(text: &str) -> Option<String> {
    let time = Parts::parse(text)?;
    let fraction = time.fraction.get(..time.fraction.len().min(9))?.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{}T{}{dot}{fraction}{}", time.date, time.clock, time.offset))
}

/// Without the fraction, as the MAC is bound to `lastmodified`. Takes times that YAML took for
/// its own too: a space for the `T`, small letters.
pub fn without_fraction(text: &str) -> Option<String> {
    let mut text = text.trim().to_ascii_uppercase();
    if text.as_bytes().get(10) == Some(&b' ') {
        text.replace_range(10..11, "T");
    }
    let time = Parts::parse(&text)?;
    Some(format!("{}T{}{}", time.date, time.clock, time.offset))
}

/// Seconds since 1970 in UTC, as `lastmodified` has it.
#[expect(clippy::arithmetic_side_effects, reason = "the parts of a date are small numbers")]
pub fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / DAY, seconds % DAY);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so
    // that the leap day is the last of them.
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let leaps = (of_era / 36_524).saturating_sub(of_era / 146_096);
    let year = of_era.saturating_sub(of_era / 1_460).saturating_add(leaps) / 365;
    let before = (year * 365).saturating_add(year / 4).saturating_sub(year / 100);
    let of_year = of_era.saturating_sub(before);
    let shifted_month = (of_year * 5).saturating_add(2) / 153;
    let day = of_year.saturating_sub((shifted_month * 153).saturating_add(2) / 5).saturating_add(1);
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = (era * 400).saturating_add(year).saturating_add(u64::from(month <= 2));
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

/// The parts of a time that make sense each.
struct Parts<'a> {
    date: &'a str,
    clock: &'a str,
    fraction: &'a str,
    offset: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (date, rest) = (text.get(..10)?, text.get(10..)?.strip_prefix('T')?);
        let (clock, rest) = (rest.get(..8)?, rest.get(8..)?);
        let (year, month, day) = three(date, '-')?;
        let (hour, minute, second) = three(clock, ':')?;
        if day == 0 || day > days(year, month)? || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (fraction, offset) = match rest.strip_prefix('.') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit())?;
                (rest.get(..end).filter(|digits| !digits.is_empty())?, rest.get(end..)?)
            }
            None => ("", rest),
        };
        Some(Self { date, clock, fraction, offset: check_offset(offset)? })
    }
}

/// `Z` and `±hh:mm`; that of nothing is `Z`.
fn check_offset(offset: &str) -> Option<&str> {
    if offset == "Z" {
        return Some(offset);
    }
    let (hour, minute) = offset.strip_prefix(['+', '-'])?.split_once(':')?;
    let (hour, minute) = (number(hour, 2)?, number(minute, 2)?);
    match (hour, minute) {
        (0, 0) => Some("Z"),
        (0..=23, 0..=59) => Some(offset),
        _ => None,
    }
}

/// Three numbers, the first of which is as wide as the text leaves it.
fn three(text: &str, between: char) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(between);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let width = text.len().checked_sub(6)?;
    let all = (number(first, width)?, number(second, 2)?, number(third, 2)?);
    parts.next().is_none().then_some(all)
}

/// So many digits.
fn number(text: &str, width: usize) -> Option<u32> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days of a month of the Gregorian calendar.
fn days(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Seconds in a day.
const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_go_prints_them() {
        for (text, expected) in [
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:00.500Z", "2024-01-01T00:00:00.5Z"),
            ("2024-01-01T00:00:00.1234567899+02:00", "2024-01-01T00:00:00.123456789+02:00"),
            ("2024-02-29T23:59:59.000+00:00", "2024-02-29T23:59:59Z"),
        ] {
            assert_eq!(with_fraction(text).as_deref(), Some(expected));
        }
        for text in [
            "",
            "2024-01-01",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00,5Z",
            "2024-01-01T00:00:00+2:00",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00Z ",
            "20é4-01-01T00:00:00Z",
        ] {
            assert_eq!(with_fraction(text), None, "{text}");
        }
    }

    #[test]
    fn the_mac_is_bound_to_seconds() {
        for text in ["2024-01-01T00:00:00.5Z", "2024-01-01 00:00:00+00:00", "2024-01-01t00:00:00z"]
        {
            assert_eq!(without_fraction(text).as_deref(), Some("2024-01-01T00:00:00Z"));
        }
        assert_eq!(without_fraction("today"), None);
    }

    #[test]
    fn seconds_become_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }
}
