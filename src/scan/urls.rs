//! Passwords inside of URLs and of HTTP headers.

use zeroize::Zeroizing;

use super::base64;

/// The password of `scheme://user:password@host`, decoded.
pub(super) fn password(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = text.split_once("://")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(legal) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // a password that is not encoded may hold a slash
    let authority = if authority.contains('@') { authority } else { rest };
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then(|| percent_decoded(password))
}

fn percent_decoded(text: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| {
            let digit = char::from(*behind.get(at)?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            out.push((high << 4) | low);
            rest = behind.get(2..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = behind;
        }
    }
    out
}

/// The password of `Basic …`, and the text that stands for user and password.
pub(super) fn basic(text: &str) -> Option<(Zeroizing<Vec<u8>>, &str)> {
    let text = text.strip_prefix("Authorization:").unwrap_or(text).trim();
    let token = text.strip_prefix("Basic ")?.trim();
    let (pair, _) = base64::decode(token.as_bytes(), 0, token.len());
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let password = pair.get(colon.checked_add(1)?..)?;
    (!password.is_empty()).then(|| (Zeroizing::new(password.to_vec()), token))
}

/// The token of `Bearer …`.
pub(super) fn bearer(text: &str) -> Option<&str> {
    let text = text.strip_prefix("Authorization:").unwrap_or(text).trim();
    text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("token ")).map(str::trim)
}
