//! `.narinfo` files of binary caches: what a NAR is, where it is, and who has signed it.

use super::signature::{Fingerprint, TrustedKey};

/// What a `.narinfo` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The full name of the store path.
    pub store_path: String,
    /// The NAR, relative to the cache.
    pub url: String,
    /// How it is compressed; `None` where nothing is said, which is bzip2.
    pub compression: Option<String>,
    /// Hash of the NAR, decompressed.
    pub nar_hash: String,
    /// Bytes of the NAR, decompressed.
    pub nar_size: u64,
    /// Names of the paths that it refers to, without the folder of the store.
    pub references: Vec<String>,
    /// The derivation that made it, without the folder of the store.
    pub deriver: Option<String>,
    /// Signatures, as `NAME:BASE64`.
    pub signatures: Vec<String>,
}

impl NarInfo {
    /// Reads one; `None` where something is missing or leads out of the cache.
    pub fn parse(text: &str) -> Option<Self> {
        let mut info = Self {
            store_path: String::new(),
            url: String::new(),
            compression: None,
            nar_hash: String::new(),
            nar_size: 0,
            references: Vec::new(),
            deriver: None,
            signatures: Vec::new(),
        };
        for line in text.lines() {
            let Some((field, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match field {
                "StorePath" => value.clone_into(&mut info.store_path),
                "URL" => value.clone_into(&mut info.url),
                "Compression" => info.compression = Some(value.to_owned()),
                "NarHash" => value.clone_into(&mut info.nar_hash),
                "NarSize" => info.nar_size = value.parse().ok()?,
                "References" => {
                    info.references = value.split_ascii_whitespace().map(str::to_owned).collect();
                }
                "Deriver" => {
                    info.deriver = Some(value.to_owned()).filter(|d| d != "unknown-deriver");
                }
                "Sig" => info.signatures.push(value.to_owned()),
                _ => {}
            }
        }
        let inside = !info.url.starts_with('/') && info.url.split('/').all(|part| part != "..");
        let whole =
            !info.store_path.is_empty() && !info.url.is_empty() && !info.nar_hash.is_empty();
        (inside && whole).then_some(info)
    }

    /// Whether one of the keys has signed it.
    pub fn is_signed(&self, keys: &[TrustedKey]) -> bool {
        let Some((folder, _)) = self.store_path.rsplit_once('/') else { return false };
        let references: Vec<String> =
            self.references.iter().map(|name| format!("{folder}/{name}")).collect();
        let fingerprint = Fingerprint {
            path: &self.store_path,
            hash: &self.nar_hash,
            size: self.nar_size,
            references: references.iter().map(String::as_str).collect(),
        };
        fingerprint.is_signed(self.signatures.iter().map(String::as_str), keys)
    }
}
