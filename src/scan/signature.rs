//! Signatures of binary caches: which store paths somebody else has built, and so cannot hold a
//! secret of ours. Verified here, over what Nix signs (`path-info.cc`, `ValidPathInfo::fingerprint`).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

/// A key that is trusted to sign only what it has built itself, with no secret of ours in it.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    name: String,
    key: VerifyingKey,
}

/// The key of `cache.nixos.org`.
pub const CACHE_NIXOS_ORG: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

/// Why a text is no public key of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// There is no name, or no colon behind it.
    NoName,
    /// It is not 32 bytes of Base64.
    NotAKey,
    /// It is the secret key.
    Secret,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "it does not begin with a name and a colon",
            Self::NotAKey => "what follows the name is no public key in Base64",
            Self::Secret => "it is the secret key of a cache, and belongs nowhere but there",
        })
    }
}

impl std::error::Error for KeyError {}

impl TrustedKey {
    /// Reads `NAME:BASE64`, as `trusted-public-keys` of Nix has it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, key) = text.trim().split_once(':').ok_or(KeyError::NoName)?;
        if name.is_empty() {
            return Err(KeyError::NoName);
        }
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::NotAKey)?;
        if bytes.len() == 64 {
            return Err(KeyError::Secret);
        }
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::NotAKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAKey)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// Its name and bytes, for telling sets of keys apart.
    pub fn text(&self) -> String {
        format!("{}:{}", self.name, STANDARD.encode(self.key.as_bytes()))
    }

    fn signed(&self, fingerprint: &str, signature: &str) -> bool {
        let Some((name, signature)) = signature.split_once(':') else { return false };
        let bytes = STANDARD.decode(signature).ok().filter(|_| name == self.name);
        let Some(Ok(bytes)) = bytes.map(<[u8; 64]>::try_from) else { return false };
        self.key.verify_strict(fingerprint.as_bytes(), &Signature::from_bytes(&bytes)).is_ok()
    }
}

/// What a cache signs.
#[derive(Debug)]
pub struct Fingerprint<'a> {
    /// The full name of the store path.
    pub path: &'a str,
    /// The hash of the NAR, as `sha256:` and hexadecimal digits or Nix's Base32.
    pub hash: &'a str,
    /// Bytes of the NAR.
    pub size: u64,
    /// Full names of the paths that it refers to.
    pub references: Vec<&'a str>,
}

impl Fingerprint<'_> {
    /// Whether one of the keys has made one of the signatures over this.
    pub fn is_signed<'s>(
        &self,
        mut signatures: impl Iterator<Item = &'s str>,
        keys: &[TrustedKey],
    ) -> bool {
        let Some(text) = self.text() else { return false };
        signatures.any(|signature| keys.iter().any(|key| key.signed(&text, signature)))
    }

    fn text(&self) -> Option<String> {
        let digits = self.hash.strip_prefix("sha256:")?;
        let hash = match digits.len() {
            64 => base32(&hex::decode(digits).ok()?),
            52 => digits.to_owned(),
            _ => return None,
        };
        let mut references = self.references.clone();
        references.sort_unstable();
        references.dedup();
        let references = references.join(",");
        Some(format!("1;{};sha256:{hash};{};{references}", self.path, self.size))
    }
}

/// Whether a signature by one of the keys is there at all; the cheap question before
/// [`Fingerprint::is_signed`].
pub fn names_a_key<'s>(signatures: impl Iterator<Item = &'s str>, keys: &[TrustedKey]) -> bool {
    let mut names = signatures.filter_map(|signature| Some(signature.split_once(':')?.0));
    names.any(|name| keys.iter().any(|key| key.name == name))
}

/// Nix's Base32: its own alphabet, from the last bits to the first.
fn base32(bytes: &[u8]) -> String {
    let length = bytes.len().saturating_mul(8).div_ceil(5);
    let digit = |index: usize| {
        let bit = index.saturating_mul(5);
        let (byte, shift) = (bit / 8, bit % 8);
        let low = u16::from(bytes.get(byte).copied().unwrap_or_default());
        let high = u16::from(bytes.get(byte.saturating_add(1)).copied().unwrap_or_default());
        let value = usize::from((high << 8 | low) >> shift & 31);
        ALPHABET.get(value).copied().map_or('0', char::from)
    };
    (0..length).rev().map(digit).collect()
}

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
