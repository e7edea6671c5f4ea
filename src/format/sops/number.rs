//! Numbers as Go prints and reads them (`strconv`, `encoding/json`, go-yaml), so that we and sops
//! write the same bytes and compute the same MAC. Knows no format of documents.

use zeroize::Zeroizing;

use super::store::Store;
use super::tree::{ListItem, Map, MapItem, Node, Tree, Value};
use crate::plaintext::Plaintext;

/// As sops encrypts and hashes it: `strconv.FormatFloat(x, 'f', -1, 64)`.
pub fn fixed(text: &str) -> Option<Plaintext> {
    Some(Decimal::of(parse(text)?).map_or_else(word, |decimal| decimal.fixed()))
}

/// As `encoding/json` prints it; `None` also for what JSON has no number for.
pub fn json(text: &str) -> Option<Plaintext> {
    let value = parse(text)?;
    let decimal = Decimal::of(value).ok()?;
    let exponential = value != 0.0 && (value.abs() < 1e-6 || value.abs() >= 1e21);
    if exponential { decimal.exponential('e', 1) } else { Some(decimal.fixed()) }
}

/// As go-yaml prints it.
pub fn yaml(text: &str) -> Option<Plaintext> {
    match Decimal::of(parse(text)?) {
        Ok(decimal) => decimal.shortest('e'),
        Err("+Inf") => Some(Plaintext::copy_of(b".inf")),
        Err("-Inf") => Some(Plaintext::copy_of(b"-.inf")),
        Err(_) => Some(Plaintext::copy_of(b".nan")),
    }
}

/// As sops writes it where there is only text (`ValToString`): never like an integer.
pub fn text(text: &str) -> Option<Plaintext> {
    let decimal = match Decimal::of(parse(text)?) {
        Ok(decimal) => decimal,
        Err(name) => return Some(word(name)),
    };
    if decimal.exponent_shown() || decimal.has_fraction() {
        return decimal.shortest('E');
    }
    let mut whole = decimal.fixed();
    whole.extend(b".0");
    Some(whole)
}

/// As `strconv.ParseFloat(text, 64)`; `None` for what is no number or out of range.
pub fn parse(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, text.get(1..)?),
        b'+' => (1.0, text.get(1..)?),
        _ => (1.0, text),
    };
    let lower = Zeroizing::new(digits.to_ascii_lowercase());
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        // Go takes no sign before it
        "nan" if digits.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    if !underscores_part_digits(&lower) {
        return None;
    }
    let bare: Zeroizing<String> = Zeroizing::new(lower.chars().filter(|c| *c != '_').collect());
    let value = match bare.strip_prefix("0x") {
        Some(hex) => hexadecimal(hex)?,
        None if !bare.starts_with(['+', '-'])
            && bare.bytes().all(|b| b.is_ascii_digit() || b".e+-".contains(&b)) =>
        {
            bare.parse::<f64>().ok()?
        }
        None => return None,
    };
    value.is_finite().then_some(sign * value)
}

/// Whether sops keeps all digits of a number: it holds numbers as 64-bit floats. `1.0` and `1e3`
/// are written in another way, but are the same number.
pub fn is_exact(text: &str) -> bool {
    let Some(Ok(kept)) = parse(text).map(Decimal::of) else { return true };
    let lower = Zeroizing::new(text.to_ascii_lowercase().replace('_', ""));
    let bare = lower.trim_start_matches(['+', '-']);
    if bare.starts_with("0x") {
        return true;
    }
    let (mantissa, exponent) = bare.split_once('e').unwrap_or((bare, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = Zeroizing::new([whole, fraction].concat());
    let digits = all.trim_start_matches('0');
    let zeros = all.len().saturating_sub(digits.len());
    let digits = digits.trim_end_matches('0');
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let point = point.saturating_sub(i64::try_from(zeros).unwrap_or(i64::MAX));
    let point = point.saturating_add(exponent.parse().unwrap_or(i64::MAX));
    kept.digits.as_str() == digits && (digits.is_empty() || i64::from(kept.point) == point)
}

/// Makes every number of a tree what sops would write in a document of this kind.
pub fn as_sops(tree: &mut Tree, store: Store) {
    for document in &mut tree.documents {
        in_map(&mut document.root, store);
    }
}

fn in_map(map: &mut Map, store: Store) {
    for item in &mut map.items {
        if let MapItem::Entry(entry) = item {
            in_node(&mut entry.value, store);
        }
    }
}

fn in_node(node: &mut Node, store: Store) {
    match node {
        Node::Map(map) => in_map(map, store),
        Node::List(list) => {
            for item in &mut list.items {
                if let ListItem::Value(node) = item {
                    in_node(node, store);
                }
            }
        }
        Node::Leaf(leaf) => {
            if let Value::Float(digits) = &mut leaf.value
                && let Some(normal) = formatted(digits, store)
            {
                *digits = normal;
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a number is printed anew, into bytes that are wiped"
)]
fn formatted(digits: &Plaintext, store: Store) -> Option<Plaintext> {
    let digits = std::str::from_utf8(digits.expose()).ok()?;
    match store {
        Store::Yaml => yaml(digits),
        Store::Json | Store::Binary => json(digits),
        Store::Dotenv | Store::Ini => text(digits),
    }
}

fn word(name: &str) -> Plaintext {
    Plaintext::copy_of(name.as_bytes())
}

/// The shortest digits that give the number back.
struct Decimal {
    negative: bool,
    /// Without zeros at the ends; none for zero.
    digits: Zeroizing<String>,
    /// Where the point stands in them; may be outside.
    point: i32,
}

impl Decimal {
    /// `Err` with Go's word for what has no digits.
    fn of(value: f64) -> Result<Self, &'static str> {
        if value.is_nan() {
            return Err("NaN");
        }
        if value.is_infinite() {
            return Err(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        let negative = value.is_sign_negative();
        if value == 0.0 {
            return Ok(Self { negative, digits: Zeroizing::default(), point: 0 });
        }
        let shortest = Zeroizing::new(format!("{:e}", value.abs()));
        let (mantissa, _) = shortest.split_once('e').unwrap_or((&shortest, ""));
        let precision = mantissa.len().saturating_sub(2);
        // of two that are as short and as near, Go takes the even one
        let even = Zeroizing::new(format!("{:.precision$e}", value.abs()));
        let is_same =
            even.parse::<f64>().is_ok_and(|again| again.to_bits() == value.abs().to_bits());
        let shown = if is_same { &even } else { &shortest };
        let (mantissa, exponent) = shown.split_once('e').unwrap_or((shown, "0"));
        let digits = Zeroizing::new(mantissa.replace('.', "").trim_end_matches('0').to_owned());
        let exponent: i32 = exponent.parse().unwrap_or_default();
        Ok(Self { negative, digits, point: exponent.saturating_add(1) })
    }

    fn length(&self) -> i32 {
        i32::try_from(self.digits.len()).unwrap_or(i32::MAX)
    }

    fn has_fraction(&self) -> bool {
        self.point < self.length()
    }

    /// Whether Go's `g` with the shortest digits shows an exponent.
    fn exponent_shown(&self) -> bool {
        !self.digits.is_empty() && !(-3..=6).contains(&self.point)
    }

    fn shortest(&self, letter: char) -> Option<Plaintext> {
        if self.exponent_shown() { self.exponential(letter, 2) } else { Some(self.fixed()) }
    }

    fn sign(&self) -> Plaintext {
        Plaintext::copy_of(if self.negative { b"-" } else { b"" })
    }

    fn fixed(&self) -> Plaintext {
        let mut out = self.sign();
        let digits = self.digits.as_bytes();
        let before = usize::try_from(self.point).unwrap_or(0);
        match digits.split_at_checked(before) {
            Some(([], [])) => out.extend(b"0"),
            Some(([], after)) => {
                out.extend(b"0.");
                for _ in self.point..0 {
                    out.extend(b"0");
                }
                out.extend(after);
            }
            Some((whole, [])) => out.extend(whole),
            Some((whole, after)) => {
                for part in [whole, b".", after] {
                    out.extend(part);
                }
            }
            None => {
                out.extend(digits);
                for _ in self.length()..self.point {
                    out.extend(b"0");
                }
            }
        }
        out
    }

    /// With at least so many digits in the exponent.
    fn exponential(&self, letter: char, width: usize) -> Option<Plaintext> {
        let mut out = self.sign();
        let (first, rest) = self.digits.as_bytes().split_first()?;
        out.extend(&[*first]);
        if !rest.is_empty() {
            out.extend(b".");
            out.extend(rest);
        }
        let exponent = self.point.saturating_sub(1);
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend(format!("{letter}{sign}{:0width$}", exponent.unsigned_abs()).as_bytes());
        Some(out)
    }
}

/// Underscores stand between digits, or between the base and digits (`underscoreOK` of Go).
fn underscores_part_digits(digits: &str) -> bool {
    let (prefixed, hex, rest) = match digits.as_bytes() {
        [b'0', b'x', rest @ ..] => (true, true, rest),
        [b'0', b'b' | b'o', rest @ ..] => (true, false, rest),
        all => (false, false, all),
    };
    let is_digit = |b: u8| b.is_ascii_digit() || hex && b.is_ascii_hexdigit();
    let mut last = if prefixed { b'0' } else { b'^' };
    for byte in rest.iter().copied() {
        let class = if is_digit(byte) { b'0' } else { byte };
        if class == b'_' && last != b'0' || last == b'_' && class != b'0' {
            return false;
        }
        last = class;
    }
    last != b'_'
}

/// `1.8p3`, what stands behind `0x`, without underscores.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // what does not fit is out of range in any case
    let size: i64 = unsigned.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000);
    let mut power = if exponent.starts_with('-') { size.saturating_neg() } else { size };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut bits, mut lost) = (0_u64, false);
    for (digits, behind_point) in [(whole, false), (fraction, true)] {
        for digit in digits.chars() {
            let digit = u64::from(digit.to_digit(16)?);
            let fits = bits >> 60 == 0;
            if fits {
                bits = bits << 4 | digit;
            } else {
                lost |= digit != 0;
            }
            power = match (fits, behind_point) {
                (true, true) => power.saturating_sub(4),
                (false, false) => power.saturating_add(4),
                (true, false) | (false, true) => power,
            };
        }
    }
    rounded(bits, lost, power)
}

/// `bits · 2^power`, and a little more where something was lost, rounded half to even.
fn rounded(bits: u64, lost: bool, power: i64) -> Option<f64> {
    if bits == 0 {
        return Some(0.0);
    }
    let zeros = bits.leading_zeros();
    let bits = u128::from(bits) << zeros << 64_u32;
    let top = power.saturating_add(63).saturating_sub(i64::from(zeros));
    if top > 1023 {
        return None;
    }
    // bits below the last that a number of this size has
    let dropped = 75_i64.saturating_add((-1022_i64).saturating_sub(top).max(0));
    let Ok(dropped) = u32::try_from(dropped.min(129)) else { return None };
    let kept = bits.checked_shr(dropped).unwrap_or(0);
    let rest = bits.checked_sub(kept.checked_shl(dropped).unwrap_or(0))?;
    let half = 1_u128.checked_shl(dropped.saturating_sub(1)).unwrap_or(u128::MAX);
    let up = rest > half || rest == half && (lost || kept & 1 == 1);
    let kept = u64::try_from(kept).ok()?.saturating_add(u64::from(up));
    // the first bit of a number that is not tiny is not written but counted into the exponent
    let exponent = u64::try_from(top.saturating_add(1022)).unwrap_or(0);
    let value = f64::from_bits((exponent << 52).checked_add(kept)?);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_a_float_cannot_hold_are_noticed() {
        let exact = "0 -0.0 1.0 1e3 1.50 0.1 6.02e23 1_000.5 1e-7 -17.25 +Inf 0x1p3 0.001";
        for text in exact.split(' ') {
            assert!(is_exact(text), "{text}");
        }
        let lost =
            "12345678901234567890 18446744073709551615 0.12345678901234567891 -9007199254740993.5";
        for text in lost.split(' ') {
            assert!(!is_exact(text), "{text}");
        }
    }
}
