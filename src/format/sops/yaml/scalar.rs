//! What a scalar is: text, number, truth, time or nothing, as go-yaml v3 resolves it
//! (`resolve.go`), with the digits of the document kept.
//!
//! Knows no place; reports only that a tag does not fit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::time;
use crate::format::sops::tree::Value;
use crate::plaintext::Plaintext;

/// The kinds that go-yaml tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    /// Decimal digits.
    Int(String),
    Float(String),
    Time(String),
    Text,
}

/// The value of a scalar; `quoted` where it has quotes or is a block scalar.
///
/// # Errors
/// A clause, where the tag does not fit.
pub(super) fn value(
    text: Plaintext,
    quoted: bool,
    tag: Option<&str>,
) -> Result<Value, &'static str> {
    const MISFIT: &str = "the value is not of the kind that its tag says";
    let tag = match tag {
        None | Some("" | "!") => None,
        Some(tag) => Some(tag.strip_prefix("tag:yaml.org,2002:").unwrap_or_else(|| {
            // `!x` of the user: go-yaml leaves the text alone.
            if tag.starts_with('!') { "" } else { tag }
        })),
    };
    #[expect(clippy::disallowed_methods, reason = "a scalar is told by its characters")]
    let bytes = text.expose();
    let as_read = std::str::from_utf8(bytes).unwrap_or_default();
    let resolved = match tag {
        None if quoted => Resolved::Text,
        None => resolve(as_read),
        Some("binary") => {
            let packed: Vec<u8> =
                bytes.iter().copied().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
            let packed = Plaintext::new(packed);
            #[expect(clippy::disallowed_methods, reason = "decoded into a plaintext")]
            let decoded = STANDARD.decode(packed.expose());
            let decoded = decoded.map_err(|_| "the value is not the Base64 that its tag says")?;
            return Ok(Value::Str(Plaintext::new(decoded)));
        }
        Some(kind @ ("bool" | "int" | "float" | "null" | "timestamp")) => {
            let found = if kind == "timestamp" {
                time::parse(as_read).map_or_else(|| resolve(as_read), Resolved::Time)
            } else {
                resolve_untimed(as_read)
            };
            match (kind, found) {
                ("float", Resolved::Int(digits)) if digits.parse::<i64>().is_ok() => {
                    Resolved::Float(digits)
                }
                ("bool", found @ Resolved::Bool(_))
                | ("int", found @ Resolved::Int(_))
                | ("float", found @ Resolved::Float(_))
                | ("null", found @ Resolved::Null)
                | ("timestamp", found @ Resolved::Time(_)) => found,
                _ => return Err(MISFIT),
            }
        }
        Some(_) => Resolved::Text,
    };
    Ok(match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(is) => Value::Bool(is),
        // sops fails on those beyond 64 bits with sign, so they are not rounded to floats either
        Resolved::Int(digits) => Value::Int(Plaintext::new(digits.into_bytes())),
        Resolved::Float(digits) => Value::Float(Plaintext::new(digits.into_bytes())),
        Resolved::Time(time) => Value::Time(Plaintext::new(time.into_bytes())),
        Resolved::Text => Value::Str(text),
    })
}

/// What a plain scalar is.
pub(super) fn resolve(text: &str) -> Resolved {
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Some(time) = time::parse(text)
    {
        return Resolved::Time(time);
    }
    resolve_untimed(text)
}

fn resolve_untimed(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float("NaN".to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float("+Inf".to_owned());
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float("-Inf".to_owned()),
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'.') if is_float(text) => Resolved::Float(text.to_owned()),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            if let Some(digits) = integer(&plain) {
                Resolved::Int(digits)
            } else if is_float(&plain) {
                Resolved::Float(plain)
            } else {
                Resolved::Text
            }
        }
        _ => Resolved::Text,
    }
}

/// Go's `ParseInt` with base 0, then `ParseUint`, as decimal digits.
fn integer(text: &str) -> Option<String> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, text.get(1..)?),
        b'+' => (false, true, text.get(1..)?),
        _ => (false, false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, base).ok()?;
    if negative {
        let value = i128::from(value).checked_neg()?;
        i64::try_from(value).ok().map(|value| value.to_string())
    } else if signed {
        i64::try_from(value).ok().map(|value| value.to_string())
    } else {
        Some(value.to_string())
    }
}

/// Whether a text is a decimal float of YAML that a double can hold.
fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = rest.get(whole..).unwrap_or_default();
    if let Some(after) = rest.strip_prefix('.') {
        let part = after.bytes().take_while(u8::is_ascii_digit).count();
        if whole == 0 && part == 0 {
            return false;
        }
        rest = after.get(part..).unwrap_or_default();
    } else if whole == 0 {
        return false;
    }
    if let Some(power) = rest.strip_prefix(['e', 'E']) {
        let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
    } else if !rest.is_empty() {
        return false;
    }
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        let int = |text: &str| Resolved::Int(text.to_owned());
        let float = |text: &str| Resolved::Float(text.to_owned());
        for (text, is) in [
            ("017", int("15")),
            ("0o17", int("15")),
            ("-0o17", int("-15")),
            ("0x1F", int("31")),
            ("0b101", int("5")),
            ("1_000", int("1000")),
            ("+7", int("7")),
            ("-0", int("0")),
            ("08", float("08")),
            ("9223372036854775808", int("9223372036854775808")),
            ("18446744073709551616", float("18446744073709551616")),
            ("-9223372036854775809", float("-9223372036854775809")),
            ("1e3", float("1e3")),
            (".5", float(".5")),
            ("5.", float("5.")),
            ("1e999", Resolved::Text),
            (".inf", float("+Inf")),
            ("0x", Resolved::Text),
            ("1:30", Resolved::Text),
            ("+-1", Resolved::Text),
            ("yes", Resolved::Text),
            ("<<", Resolved::Text),
            ("2024-01-01", Resolved::Time("2024-01-01T00:00:00Z".to_owned())),
        ] {
            assert_eq!(resolve(text), is, "{text}");
        }
    }
}
