//! Base64 and JSON of requests and answers that carry data keys. Nothing here is kept.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::Trouble;
use super::http::Answer;
use crate::plaintext::Plaintext;

/// A secret as Base64, standard alphabet.
#[expect(clippy::disallowed_methods, reason = "wiped on drop, as it is")]
pub(super) fn encoded(secret: &Plaintext) -> Zeroizing<String> {
    Zeroizing::new(BASE64_STANDARD.encode(secret.expose()))
}

/// The one text of an answer that a question was about: a data key, wrapped or not. Each service
/// has a name of its own for it.
#[derive(Deserialize)]
struct Value<'a> {
    #[serde(
        borrow,
        alias = "CiphertextBlob",
        alias = "Plaintext",
        alias = "ciphertext",
        alias = "plaintext",
        alias = "cipher_text",
        alias = "plain_text"
    )]
    value: Text<'a>,
}

/// What a service made of a data key.
///
/// # Errors
/// [`Trouble::Answer`].
pub(super) fn wrapped(answer: &Answer) -> Result<String, Trouble> {
    let Value { value } = parsed(&answer.body)?;
    if value.is_empty() {
        return Err(Trouble::Answer("there is no ciphertext in it"));
    }
    Ok(value.into_owned())
}

/// The same, which is Base64.
///
/// # Errors
/// [`Trouble::Answer`].
pub(super) fn wrapped_text(answer: &Answer) -> Result<String, Trouble> {
    let text = wrapped(answer)?;
    decoded(&text, &BASE64_STANDARD).map(|_| text)
}

/// The data key that a service gives.
///
/// # Errors
/// [`Trouble::Answer`].
pub(super) fn unwrapped(answer: &Answer, engine: &GeneralPurpose) -> Result<Plaintext, Trouble> {
    let Value { value } = parsed(&answer.body)?;
    decoded(&value, engine)
}

/// What there is to say of an answer of any of the services that give one thing.
pub(super) fn read(answer: &Answer, engine: &GeneralPurpose) -> Vec<Trouble> {
    [wrapped_text(answer).err(), unwrapped(answer, engine).err()].into_iter().flatten().collect()
}

/// What a text of Base64 holds.
///
/// # Errors
/// [`Trouble::Answer`].
pub(super) fn decoded(text: &str, engine: &GeneralPurpose) -> Result<Plaintext, Trouble> {
    let bytes = engine.decode(text).map_err(|_| Trouble::Answer("what it holds is not Base64"))?;
    Ok(Plaintext::new(bytes))
}

/// Parts between which secrets stand, joined into a body.
pub(super) fn body(parts: &[&str]) -> Plaintext {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut body = Plaintext::with_capacity(length);
    for part in parts {
        body.extend(part.as_bytes());
    }
    body
}

/// A text as JSON has it, quotes and all.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as addresses and forms have it.
pub(super) fn escaped(text: &str) -> Zeroizing<String> {
    let mut escaped = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                escaped.push(digit.to_ascii_uppercase());
            }
        }
    }
    escaped
}

/// An answer that is JSON of a known form. What it quotes is not told.
///
/// # Errors
/// [`Trouble::Answer`].
#[expect(
    clippy::disallowed_methods,
    reason = "parsed where it lies; the error tells nothing of it"
)]
pub(super) fn parsed<'a, T: Deserialize<'a>>(answer: &'a Plaintext) -> Result<T, Trouble> {
    serde_json::from_slice(answer.expose())
        .map_err(|_| Trouble::Answer("it is not JSON of the form that is known"))
}

/// A text of an answer, borrowed where it stands without escapes.
pub(super) type Text<'a> = Cow<'a, str>;
