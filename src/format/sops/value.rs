//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`. Knows no document.
//!
//! Follows `aes/cipher.go` of sops: Base64 with padding, a nonce of 32 bytes where we write, of
//! any usual length where we read. Errors never hold a value.

use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use aes_gcm::aead::consts::{U8, U12, U16, U24, U32, U64};
use aes_gcm::aead::generic_array::{ArrayLength, GenericArray};
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Tag};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::data_key::DataKey;
use super::tree::Value;
use super::{number, time};
use crate::key;
use crate::plaintext::Plaintext;

/// What an encrypted value was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, or any bytes.
    Str,
    /// A whole number.
    Int,
    /// Any number.
    Float,
    /// `True` or `False`.
    Bool,
    /// RFC 3339.
    Time,
    /// A comment.
    Comment,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueError {
    /// A text that is not `ENC[…]` where one is expected.
    NotEncrypted,
    /// A number, a boolean or a time where `ENC[…]` is expected.
    NotText,
    /// `ENC[…]` with parts that are missing or are no Base64.
    Malformed,
    /// A nonce of a length that nobody uses.
    Nonce,
    /// It was changed, or belongs to another place or another key.
    Tampered,
    /// A type that is not known.
    Type,
    /// A comment where a value is expected.
    Comment,
    /// What is inside is not of its type.
    Content(Kind),
    /// A number that sops would round.
    Digits,
    /// A comment whose ciphertext the rule takes for one that stays plain.
    Ambiguous,
}

impl Kind {
    /// The name behind `type:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Comment => "comment",
        }
    }

    /// By its name; `bytes`, of before sops 1.0 was rewritten, is text.
    fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"str" | b"bytes" => Some(Self::Str),
            b"int" => Some(Self::Int),
            b"float" => Some(Self::Float),
            b"bool" => Some(Self::Bool),
            b"time" => Some(Self::Time),
            b"comment" => Some(Self::Comment),
            _ => None,
        }
    }
}

/// The parts of `ENC[…]`, not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Base64 of the ciphertext.
    pub data: &'a [u8],
    /// Base64 of the nonce.
    pub nonce: &'a [u8],
    /// Base64 of the tag.
    pub tag: &'a [u8],
    /// The name of the type.
    pub kind: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes what the pattern of sops takes and can be Base64; what follows the last `]` of the
    /// line is ignored. Each byte is looked at once.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (data, rest) = until_comma(rest, b"iv:")?;
        let (nonce, rest) = until_comma(rest, b"tag:")?;
        let (tag, rest) = until_comma(rest, b"type:")?;
        let line = rest.split(|b| *b == b'\n').next()?;
        let kind = line.get(..line.iter().rposition(|b| *b == b']')?)?;
        Some(Self { data, nonce, tag, kind })
    }
}

/// Whether a text looks like an encrypted value, whatever is in it.
pub fn looks_encrypted(text: &[u8]) -> bool {
    text.starts_with(PREFIX)
}

/// What comes before the next comma, which must be followed by the name of the next part.
fn until_comma<'a>(text: &'a [u8], next: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let comma = text.iter().position(|b| *b == b',').filter(|at| *at > 0)?;
    let (part, rest) = text.split_at_checked(comma)?;
    Some((part, rest.strip_prefix(b",")?.strip_prefix(next)?))
}

/// Encrypts and decrypts values with one data key, whose schedule is made once.
pub struct Cipher {
    key: Plaintext,
    gcm: AesGcm<Aes256, U32>,
    nonces: Mutex<Nonces>,
}

impl Cipher {
    /// For the values of one file.
    #[expect(clippy::disallowed_methods, reason = "the cipher is made of the data key")]
    pub fn new(key: &DataKey) -> Self {
        let bytes = key.plaintext().expose();
        Self {
            key: Plaintext::copy_of(bytes),
            gcm: AesGcm::new(GenericArray::from_slice(bytes)),
            nonces: Mutex::new(Nonces::default()),
        }
    }

    /// Whether it was made of this key.
    pub fn is_of(&self, key: &DataKey) -> bool {
        self.key.same_as(key.plaintext())
    }

    /// What is inside of `ENC[…]`, which `place` must have been bound to.
    ///
    /// # Errors
    /// All but [`ValueError::Content`], [`ValueError::NotText`] and [`ValueError::Ambiguous`].
    pub fn decrypt(&self, text: &[u8], place: &[u8]) -> Result<(Kind, Plaintext), ValueError> {
        if !looks_encrypted(text) {
            return Err(ValueError::NotEncrypted);
        }
        let parts = Parts::parse(text).ok_or(ValueError::Malformed)?;
        let nonce = decode(parts.nonce)?;
        let tag = decode(parts.tag)?;
        if tag.len() != TAG {
            return Err(ValueError::Malformed);
        }
        let mut data = decode(parts.data)?;
        let tag = Tag::from_slice(&tag);
        let opened = match nonce.len() {
            32 => self.gcm.decrypt_in_place_detached(
                GenericArray::from_slice(&nonce),
                place,
                &mut data,
                tag,
            ),
            8 => self.open_with::<U8>(&nonce, place, &mut data, tag),
            12 => self.open_with::<U12>(&nonce, place, &mut data, tag),
            16 => self.open_with::<U16>(&nonce, place, &mut data, tag),
            24 => self.open_with::<U24>(&nonce, place, &mut data, tag),
            64 => self.open_with::<U64>(&nonce, place, &mut data, tag),
            _ => return Err(ValueError::Nonce),
        };
        opened.map_err(|_| ValueError::Tampered)?;
        let data = Plaintext::new(data);
        Ok((Kind::of_name(parts.kind).ok_or(ValueError::Type)?, data))
    }

    /// Writes `ENC[…]`, bound to `place`.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn encrypt(&self, kind: Kind, plain: &[u8], place: &[u8]) -> io::Result<Plaintext> {
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        let mut data = plain.to_vec();
        let tag = self
            .gcm
            .encrypt_in_place_detached(&GenericArray::from(nonce), place, &mut data)
            .map_err(|_| io::ErrorKind::FileTooLarge)?;
        Ok(write(kind, &data, &nonce, &tag))
    }

    fn open_with<N: ArrayLength<u8>>(
        &self,
        nonce: &[u8],
        place: &[u8],
        data: &mut [u8],
        tag: &Tag,
    ) -> Result<(), aes_gcm::Error> {
        self.other::<N>().decrypt_in_place_detached(
            GenericArray::from_slice(nonce),
            place,
            data,
            tag,
        )
    }

    #[expect(clippy::disallowed_methods, reason = "the cipher is made of the data key")]
    fn other<N: ArrayLength<u8>>(&self) -> AesGcm<Aes256, N> {
        AesGcm::new(GenericArray::from_slice(self.key.expose()))
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

/// Random bytes, asked for in portions.
#[derive(Default)]
struct Nonces {
    pool: Vec<u8>,
}

impl Nonces {
    fn next(&mut self) -> io::Result<[u8; NONCE]> {
        if self.pool.is_empty() {
            self.pool.resize(NONCE * 64, 0);
            if let Err(error) = key::fill_random(&mut self.pool) {
                self.pool.clear();
                return Err(error);
            }
        }
        let rest = self.pool.len().saturating_sub(NONCE);
        let nonce = self.pool.get(rest..).and_then(|bytes| bytes.try_into().ok());
        self.pool.truncate(rest);
        nonce.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn decode(text: &[u8]) -> Result<Vec<u8>, ValueError> {
    BASE64.decode(text).map_err(|_| ValueError::Malformed)
}

fn write(kind: Kind, data: &[u8], nonce: &[u8], tag: &[u8]) -> Plaintext {
    let length = data.len().div_ceil(3).saturating_mul(4).saturating_add(160);
    let mut text = String::with_capacity(length);
    for (name, bytes) in [("ENC[AES256_GCM,data:", data), (",iv:", nonce), (",tag:", tag)] {
        text.push_str(name);
        BASE64.encode_string(bytes, &mut text);
    }
    text.push_str(",type:");
    text.push_str(kind.name());
    text.push(']');
    Plaintext::new(text.into_bytes())
}

/// What was decrypted, as a value of its type.
///
/// # Errors
/// [`ValueError::Content`], and [`ValueError::Comment`] since that is none.
#[expect(clippy::disallowed_methods, reason = "what was decrypted is read as its type says")]
pub fn typed(kind: Kind, plain: Plaintext) -> Result<Value, ValueError> {
    let wrong = ValueError::Content(kind);
    if kind == Kind::Str {
        return Ok(Value::Str(plain));
    }
    let text = str::from_utf8(plain.expose()).map_err(|_| wrong)?;
    match kind {
        Kind::Str => Ok(Value::Str(plain)),
        Kind::Int => {
            let number: i64 = text.parse().map_err(|_| wrong)?;
            Ok(Value::Int(Plaintext::new(number.to_string().into_bytes())))
        }
        Kind::Float => number::fixed(text).map(|_| Value::Float(plain)).ok_or(wrong),
        Kind::Bool => match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(wrong),
        },
        Kind::Time => time::with_fraction(text).map(|_| Value::Time(plain)).ok_or(wrong),
        Kind::Comment => Err(ValueError::Comment),
    }
}

/// The bytes that are encrypted and hashed for a value; `None` for null, which is neither.
#[derive(Debug)]
pub enum Bytes<'a> {
    /// As they stand in the value.
    Own(&'a Plaintext),
    /// Words.
    Word(&'static str),
    /// Made anew.
    Made(Plaintext),
}

impl Bytes<'_> {
    /// The bytes.
    #[expect(clippy::disallowed_methods, reason = "values are hashed and encrypted")]
    pub fn slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes.expose(),
            Self::Word(word) => word.as_bytes(),
            Self::Made(bytes) => bytes.expose(),
        }
    }
}

/// Its type, and the bytes that are encrypted and hashed for it, as sops makes them: it reads
/// numbers and times before it hashes them, and would encrypt other bytes under a nonce that it
/// remembers if ours were not the same. `None` for null, which has none.
///
/// # Errors
/// [`ValueError::Content`] for a number or time that sops does not take.
pub fn bytes_of(value: &Value) -> Result<Option<(Kind, Bytes<'_>)>, ValueError> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(true) => (Kind::Bool, Bytes::Word("True")),
        Value::Bool(false) => (Kind::Bool, Bytes::Word("False")),
        Value::Int(text) => (Kind::Int, made(Kind::Int, text)?),
        Value::Float(text) => (Kind::Float, made(Kind::Float, text)?),
        Value::Time(text) => (Kind::Time, made(Kind::Time, text)?),
        Value::Str(text) => (Kind::Str, Bytes::Own(text)),
    }))
}

/// Whether sops keeps all digits of a value.
#[expect(clippy::disallowed_methods, reason = "the digits of a number are counted")]
pub fn is_exact(value: &Value) -> bool {
    let Value::Float(text) = value else { return true };
    str::from_utf8(text.expose()).is_ok_and(number::is_exact)
}

#[expect(clippy::disallowed_methods, reason = "numbers and times are hashed as Go prints them")]
fn made(kind: Kind, text: &Plaintext) -> Result<Bytes<'_>, ValueError> {
    let plain = str::from_utf8(text.expose()).map_err(|_| ValueError::Content(kind))?;
    let own = |text: String| Plaintext::new(text.into_bytes());
    let printed = match kind {
        Kind::Int => plain.parse::<i64>().ok().map(|number| own(number.to_string())),
        Kind::Float => number::fixed(plain),
        Kind::Time => time::with_fraction(plain).map(own),
        Kind::Str | Kind::Bool | Kind::Comment => None,
    };
    printed.map(Bytes::Made).ok_or(ValueError::Content(kind))
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEncrypted => "is not encrypted, though the rule of the file says that it is",
            Self::NotText => "is a plain value, though the rule of the file says that it is encrypted",
            Self::Malformed => "is cut off or damaged",
            Self::Nonce => "has a nonce of a length that is not known",
            Self::Tampered => "was changed or moved after it was encrypted",
            Self::Type => "has a type that is not known",
            Self::Comment => "is an encrypted comment where a value belongs",
            Self::Content(Kind::Int) => "is no whole number of 64 bits, as its type says",
            Self::Content(Kind::Float) => "is no number, as its type says",
            Self::Content(Kind::Bool) => "is neither true nor false, as its type says",
            Self::Content(Kind::Time) => "is no time, as its type says",
            Self::Content(Kind::Str | Kind::Comment) => "is not what its type says",
            Self::Digits => {
                "is a number with more digits than sops keeps (64-bit floats): quote it, to have it \
                 kept as text"
            }
            Self::Ambiguous => {
                "is a comment whose ciphertext matches `unencrypted_comment_regex`: it could not be read again"
            }
        })
    }
}

impl std::error::Error for ValueError {}

const PREFIX: &[u8] = b"ENC[AES256_GCM,data:";
/// Bytes of the nonces that we write.
const NONCE: usize = 32;
const TAG: usize = 16;
/// As Go decodes: bits that are left over do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

#[cfg(test)]
mod tests;
