//! Times as go-yaml v3 knows them (`parseTimestamp` of `resolve.go`), with what Go's
//! `time.Parse` forgives, printed as RFC 3339 with nanoseconds.

/// The time that a text says, in RFC 3339; `None` where it is none.
pub(super) fn parse(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 5 || !bytes.get(..4)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut rest = Rest(bytes.get(4..)?);
    let year: u32 = text.get(..4)?.parse().ok()?;
    rest.eat(b'-')?;
    let month = rest.number()?;
    rest.eat(b'-')?;
    let day = rest.number()?;
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > days {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.0.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let zoned = matches!(rest.0.first(), Some(b'T' | b't'));
    if zoned {
        rest.skip();
    } else {
        rest.eat(b' ')?;
        while rest.0.first() == Some(&b' ') {
            rest.skip();
        }
    }
    let hour = rest.number()?;
    rest.eat(b':')?;
    let minute = rest.number()?;
    rest.eat(b':')?;
    let second = rest.number()?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = rest.fraction();
    let zone = if zoned { rest.zone()? } else { "Z".to_owned() };
    rest.0.is_empty().then(|| format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn skip(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.0.first() == Some(&byte)).then(|| self.skip())
    }

    fn digit(&mut self) -> Option<u32> {
        let digit = self.0.first().copied().filter(u8::is_ascii_digit)?;
        self.skip();
        Some(u32::from(digit.saturating_sub(b'0')))
    }

    /// One or two digits.
    fn number(&mut self) -> Option<u32> {
        let first = self.digit()?;
        Some(self.digit().map_or(first, |second| first.saturating_mul(10).saturating_add(second)))
    }

    /// Nanoseconds, what is below cut, zeros at the end left out.
    fn fraction(&mut self) -> String {
        let (Some(b'.' | b','), Some(b'0'..=b'9')) = (self.0.first(), self.0.get(1)) else {
            return String::new();
        };
        self.skip();
        let mut digits = String::new();
        while let Some(digit) = self.digit() {
            if digits.len() < 9 {
                digits.push_str(&digit.to_string());
            }
        }
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() { String::new() } else { format!(".{digits}") }
    }

    /// `Z`, or hours and minutes of two digits each.
    fn zone(&mut self) -> Option<String> {
        if self.eat(b'Z').is_some() {
            return Some("Z".to_owned());
        }
        let sign = self.0.first().copied().filter(|b| matches!(b, b'+' | b'-'))?;
        self.skip();
        let hours = self.digit()?.saturating_mul(10).saturating_add(self.digit()?);
        self.eat(b':')?;
        let minutes = self.digit()?.saturating_mul(10).saturating_add(self.digit()?);
        if hours > 24 || minutes > 60 {
            return None;
        }
        let total = hours.saturating_mul(60).saturating_add(minutes);
        if total == 0 {
            return Some("Z".to_owned());
        }
        Some(format!("{}{:02}:{:02}", char::from(sign), total / 60, total % 60))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_those_of_go() {
        for (text, is) in [
            ("2024-01-01", Some("2024-01-01T00:00:00Z")),
            ("2024-1-2", Some("2024-01-02T00:00:00Z")),
            ("2001-12-14t21:59:43.10-05:00", Some("2001-12-14T21:59:43.1-05:00")),
            ("2001-12-14 21:59:43,5", Some("2001-12-14T21:59:43.5Z")),
            ("2001-12-14T21:59:43+00:00", Some("2001-12-14T21:59:43Z")),
            ("2001-12-14T21:59:43", None),
            ("2001-12-14 21:59:43Z", None),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("20240101", None),
        ] {
            assert_eq!(parse(text).as_deref(), is, "{text}");
        }
    }
}
