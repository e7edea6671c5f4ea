//! Numbers as Go prints them, so that we and sops compute the same MAC. Knows no document.

/// As `strconv.FormatFloat(…, 'f', -1, 64)` prints what `strconv.ParseFloat` reads; `None` for
/// what is no number.
pub fn fixed(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number: f64 = text.parse().ok()?;
    if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.is_infinite() {
        return None;
    }
    Some(if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        number.to_string()
    })
}
