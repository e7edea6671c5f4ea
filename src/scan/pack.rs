//! Fingerprint packs: what a machine that must not hold plaintext looks for instead.
//!
//! Whoever has a pack and its key can ask of any guess whether it is one of the secrets. So a secret
//! is in it only if nobody can guess it: at least [`FLOOR_BITS`] bits in one window. There is one
//! window of each secret and no other form of it, since overlapping windows could be guessed one
//! after the other, and every further form would tell more bits; it is the scanner that decodes
//! what it reads. Each pack has a random key of its own and an end. The file is described in
//! `docs/reference/pack-format.md`.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::entropy;
use super::needle::{Known, NotSearched, Origin, Why};
use super::rolling::Rolling;
use super::split;
use crate::plaintext::Plaintext;

mod search;
mod views;

pub use search::PackSearch;

/// Fewest bits of a secret, and of its window.
pub const FLOOR_BITS: u32 = 96;
/// The longest that a pack may be used.
pub const LONGEST_LIFE: u64 = 366 * 24 * 60 * 60;
/// Bits of the rolling hash.
pub(super) const ROLLING_BITS: u32 = 24;

const MAGIC: &[u8] = b"secretctl-pack 1\n";
/// Created, expires, count.
const HEAD: usize = 8 + 8 + 4;
/// Length, rolling hash, fingerprint, name.
const ENTRY: usize = 1 + 3 + 16 + 8;
const MAC: usize = 32;
/// Most entries of a pack.
const MOST: usize = 1_000_000;
/// The lengths of windows: few, since each is a pass over the data.
const LENGTHS: [usize; 4] = [24, 32, 48, 64];
/// What a key begins with as text.
const KEY_PREFIX: &str = "SECRETCTL-PACK-KEY-1-";

/// The key of one pack. Given to the machines that scan as an encrypted file.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PackKey([u8; 32]);

/// The name of an entry: random, and of meaning to the maker alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub [u8; 8]);

/// A pack with what its maker must keep.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub pack: Vec<u8>,
    /// Which secret each entry is; not for the machines that scan.
    pub legend: Vec<(PackId, Vec<Origin>)>,
    /// What is not covered, and why.
    pub uncovered: Vec<NotSearched>,
}

/// A pack that was read.
#[derive(Debug)]
pub struct Pack {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    entries: Vec<Entry>,
}

/// One secret.
#[derive(Debug, Clone, Copy)]
struct Entry {
    length: usize,
    rolling: u32,
    fingerprint: [u8; 16],
    id: PackId,
}

/// What is wrong with a pack or its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackError {
    /// Something else.
    NoPack,
    /// Of a later version of the format.
    Version,
    /// Damaged, or made with another key.
    Key,
    /// Used up.
    Expired {
        /// In seconds since 1970.
        at: u64,
    },
    /// To be used for longer than [`LONGEST_LIFE`], or ended before it began.
    Life,
    /// More than a million secrets.
    TooMany,
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPack => "this is no fingerprint pack, or a part of one",
            Self::Version => "the pack is of a later version of the format",
            Self::Key => "the pack is damaged, or the key belongs to another pack",
            Self::Expired { .. } => "the pack has expired",
            Self::Life => "a pack lasts a year at most",
            Self::TooMany => "a pack holds a million secrets at most",
        })
    }
}

impl std::error::Error for PackError {}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl PackId {
    /// As `Display` writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl PackKey {
    /// A new one from 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// As a line of text, to be encrypted.
    pub fn to_text(&self) -> Plaintext {
        let mut text = Plaintext::with_capacity(128);
        text.extend(KEY_PREFIX.as_bytes());
        text.extend(&super::escape::hex(&self.0, true, None));
        text.extend(b"\n");
        text
    }

    /// Reads what [`PackKey::to_text`] wrote.
    pub fn from_text(text: &Plaintext) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "read into a key")]
        let text = std::str::from_utf8(text.expose()).ok()?.trim();
        let mut key = Self([0; 32]);
        hex::decode_to_slice(text.strip_prefix(KEY_PREFIX)?, &mut key.0).ok()?;
        Some(key)
    }

    /// A key for one purpose.
    fn derived(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, &self.0))
    }

    fn rolling(&self, length: usize) -> Rolling {
        let key = self.derived("secretctl 2026 pack 1 rolling hash");
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(&(length as u64).to_le_bytes());
        let hash = hasher.finalize();
        Rolling::new(*hash.as_bytes().first_chunk().unwrap_or(&[1; 16]), length)
    }

    fn fingerprints(&self) -> Zeroizing<[u8; 32]> {
        self.derived("secretctl 2026 pack 1 fingerprint")
    }

    /// What a pack of these bytes ends with.
    pub fn seal(&self, bytes: &[u8]) -> [u8; MAC] {
        self.hash(bytes).into()
    }

    fn hash(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.derived("secretctl 2026 pack 1 seal"), bytes)
    }
}

/// Makes a pack. `random` gives bytes for the names of entries.
///
/// # Errors
/// [`PackError::Life`], [`PackError::TooMany`].
pub fn make(
    known: Vec<Known>,
    key: &PackKey,
    created: u64,
    expires: u64,
    random: &mut dyn FnMut() -> [u8; 8],
) -> Result<Made, PackError> {
    if expires <= created || expires.saturating_sub(created) > LONGEST_LIFE {
        return Err(PackError::Life);
    }
    let fingerprints = key.fingerprints();
    let rollings: BTreeMap<usize, Rolling> =
        LENGTHS.iter().map(|length| (*length, key.rolling(*length))).collect();
    let mut entries: BTreeMap<[u8; 16], (Entry, Vec<Origin>)> = BTreeMap::new();
    let mut uncovered = Vec::new();
    for known in known {
        for part in split::parts(&known.key_path, &known.value) {
            let file = known.file.clone();
            let value = match &part.value {
                Ok(value) => value,
                Err(why) => {
                    uncovered.push(NotSearched { file, key_path: part.path, why: *why });
                    continue;
                }
            };
            #[expect(clippy::disallowed_methods, reason = "one window of it is fingerprinted")]
            let window = window(value.expose());
            let Some((window, rolling)) =
                window.and_then(|window| Some((window, rollings.get(&window.len())?)))
            else {
                uncovered.push(NotSearched { file, key_path: part.path, why: Why::TooFewBits });
                continue;
            };
            let fingerprint = fingerprint(&fingerprints, window);
            let origin = Origin { file, key_path: part.path };
            let (_, origins) = entries.entry(fingerprint).or_insert_with(|| {
                let rolling = rolling.of(window, ROLLING_BITS);
                let id = PackId(random());
                (Entry { length: window.len(), rolling, fingerprint, id }, Vec::new())
            });
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
    }
    if entries.len() > MOST {
        return Err(PackError::TooMany);
    }
    uncovered.dedup();
    let (entries, legend): (Vec<Entry>, Vec<_>) =
        entries.into_values().map(|(entry, origins)| (entry, (entry.id, origins))).unzip();
    Ok(Made { pack: print(&entries, created, expires, key), legend, uncovered })
}

fn print(entries: &[Entry], created: u64, expires: u64, key: &PackKey) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(created.to_be_bytes());
    out.extend(expires.to_be_bytes());
    out.extend(u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes());
    for entry in entries {
        out.push(u8::try_from(entry.length).unwrap_or(0));
        out.extend(entry.rolling.to_be_bytes().get(1..).unwrap_or_default());
        out.extend(entry.fingerprint);
        out.extend(entry.id.0);
    }
    let mac = key.seal(&out);
    out.extend(mac);
    out
}

impl Pack {
    /// Reads a pack.
    ///
    /// # Errors
    /// [`PackError`]; nothing of a pack is used that was not made with this key, or at a time
    /// `now` at which it has expired.
    pub fn parse(bytes: &[u8], key: &PackKey, now: u64) -> Result<Self, PackError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            let later = bytes.starts_with(b"secretctl-pack ");
            return Err(if later { PackError::Version } else { PackError::NoPack });
        };
        let body = rest.len().checked_sub(MAC).ok_or(PackError::NoPack)?;
        let (body, mac) = rest.split_at_checked(body).ok_or(PackError::NoPack)?;
        let sealed = bytes.len().saturating_sub(MAC);
        let expected = key.hash(bytes.get(..sealed).unwrap_or_default());
        // in constant time
        if mac.first_chunk().is_none_or(|mac| expected != blake3::Hash::from_bytes(*mac)) {
            return Err(PackError::Key);
        }
        let (head, entries) = body.split_at_checked(HEAD).ok_or(PackError::NoPack)?;
        let number = |from: usize, to: usize| {
            let digits = head.get(from..to).unwrap_or_default();
            digits.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        };
        let (created, expires) = (number(0, 8), number(8, 16));
        if entries.len() as u64 != number(16, 20).saturating_mul(ENTRY as u64) {
            return Err(PackError::NoPack);
        }
        if expires <= created || expires.saturating_sub(created) > LONGEST_LIFE {
            return Err(PackError::Life);
        }
        if now >= expires {
            return Err(PackError::Expired { at: expires });
        }
        let entries = entries.chunks_exact(ENTRY).map(Entry::parse).collect::<Option<Vec<_>>>();
        Ok(Self { created, expires, entries: entries.ok_or(PackError::NoPack)? })
    }

    /// How many secrets it covers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        let length = usize::from(*length);
        let (rolling, rest) = rest.split_first_chunk::<3>()?;
        let (fingerprint, id) = rest.split_first_chunk::<16>()?;
        let [a, b, c] = *rolling;
        LENGTHS.contains(&length).then_some(Self {
            length,
            rolling: u32::from_be_bytes([0, a, b, c]),
            fingerprint: *fingerprint,
            id: PackId(*id.first_chunk()?),
        })
    }
}

/// The hardest window of the shortest length that is hard enough. Digits alone, of base 16 or 10,
/// take 32 of them.
fn window(value: &[u8]) -> Option<&[u8]> {
    LENGTHS.into_iter().find_map(|length| {
        value
            .windows(length)
            .take(4096)
            .map(|window| (entropy::bits(window), window))
            .filter(|(bits, window)| {
                let digits = window.iter().all(u8::is_ascii_hexdigit);
                *bits >= FLOOR_BITS && !(digits && length < 32)
            })
            .max_by_key(|(bits, _)| *bits)
            .map(|(_, window)| window)
    })
}

/// The first half of the keyed hash of a window.
fn fingerprint(key: &[u8; 32], window: &[u8]) -> [u8; 16] {
    *blake3::keyed_hash(key, window).as_bytes().first_chunk().unwrap_or(&[0; 16])
}
