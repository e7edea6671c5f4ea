//! What to look for: known values, taken apart into secrets and written in every form.
//!
//! What is too short or too easy to guess is not looked for, and said so: it would be met
//! everywhere by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::entropy::{self, Strength};
use super::forms::{Forms, MAX_UNIT};
use super::split::{self, Part};
use crate::plaintext::Plaintext;

/// Most windows of a long value.
const MAX_WINDOWS: usize = 16;

/// A value that was opened, before anything is known about it.
#[derive(Debug)]
pub struct Known {
    /// The secret file.
    pub file: String,
    /// The way to the value inside of the file; empty for a whole file.
    pub key_path: String,
    /// The value.
    pub value: Plaintext,
}

/// A secret, or a part of one, that cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSearched {
    /// The secret file.
    pub file: String,
    /// The way to the value inside of the file, with the part of the value behind it.
    pub key_path: String,
    /// The reason.
    pub why: Why,
}

/// Why a value is not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Nothing is in it.
    Empty,
    /// Too short: it would be found everywhere by chance.
    Short,
    /// Too easy to guess: a word, a number, a repetition.
    Guessable,
    /// Public by its nature: a public key, a certificate.
    Public,
    /// The name of a user or host, an address, a path.
    Name,
    /// A comment.
    Comment,
    /// One of too many in one value.
    TooMany,
    /// Not hard enough to guess for a fingerprint, which can be guessed against.
    TooFewBits,
}

impl Why {
    /// As the end of a sentence that begins with the secret.
    pub fn words(self) -> &'static str {
        match self {
            Self::Empty => "is empty",
            Self::Short => "is too short to be told from chance",
            Self::Guessable => "is too easy to guess to be told from chance",
            Self::Public => "is public",
            Self::Name => "is a name or an address",
            Self::Comment => "is a comment",
            Self::TooMany => "has too many parts: the last ones are left out",
            Self::TooFewBits => "has fewer than 96 bits: its fingerprint could be guessed against",
        }
    }
}

/// Which secret: an index into [`Needles::origins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeedleId(pub u32);

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The secret file.
    pub file: String,
    /// The way to the value inside of the file, with the part of the value behind it.
    pub key_path: String,
}

/// Everything to look for. Values that are the same are one needle with several origins.
#[derive(Debug, Default)]
pub struct Needles {
    origins: Vec<Vec<Origin>>,
    pub(super) forms: Arc<Forms>,
}

impl Needles {
    /// Takes the values apart and makes their forms.
    pub fn of(known: Vec<Known>) -> (Self, Vec<NotSearched>) {
        let mut growing = Growing::default();
        let mut left_out = Vec::new();
        for known in known {
            for part in split::parts(&known.key_path, &known.value) {
                let origin = Origin { file: known.file.clone(), key_path: part.path.clone() };
                if let Err(why) = growing.add(&part, origin) {
                    left_out.push(NotSearched {
                        file: known.file.clone(),
                        key_path: part.path,
                        why,
                    });
                }
            }
        }
        left_out.dedup();
        let Growing { origins, forms, .. } = growing;
        (Self { origins, forms: Arc::new(forms) }, left_out)
    }

    /// Where the secret is kept; several places where they hold the same value.
    pub fn origins(&self, id: NeedleId) -> &[Origin] {
        usize::try_from(id.0).ok().and_then(|at| self.origins.get(at)).map_or(&[], Vec::as_slice)
    }

    /// How many secrets are looked for.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// How many patterns they make, all forms counted.
    pub fn patterns(&self) -> usize {
        self.forms.patterns().len()
    }
}

/// Knows a value again.
#[derive(PartialEq, Eq, PartialOrd, Ord, Zeroize, ZeroizeOnDrop)]
struct Hash([u8; 32]);

/// Needles while they are added.
#[derive(Default)]
struct Growing {
    origins: Vec<Vec<Origin>>,
    forms: Forms,
    seen: BTreeMap<Hash, u32>,
}

impl Growing {
    fn add(&mut self, part: &Part, origin: Origin) -> Result<(), Why> {
        let value = match &part.value {
            Ok(value) => value,
            Err(why) => return Err(*why),
        };
        #[expect(clippy::disallowed_methods, reason = "the forms of a value are made of its bytes")]
        let bytes = value.expose();
        let weak = match entropy::strength(bytes) {
            Strength::Strong => false,
            Strength::Weak => true,
            Strength::None(why) => return Err(why),
        };
        let hash = Hash(Sha256::digest(bytes).into());
        if let Some(old) = self.seen.get(&hash).and_then(|old| usize::try_from(*old).ok()) {
            if let Some(origins) = self.origins.get_mut(old)
                && !origins.contains(&origin)
            {
                origins.push(origin);
            }
            return Ok(());
        }
        let id = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        let mut added = false;
        for window in windows(bytes) {
            if bytes.len() <= MAX_UNIT || entropy::strength(window) == Strength::Strong {
                self.forms.add(window, id, weak);
                added = true;
            }
        }
        if !added {
            return Err(Why::Guessable);
        }
        self.seen.insert(hash, id);
        self.origins.push(vec![origin]);
        Ok(())
    }
}

/// A value in pieces that are not too long, spread over all of it.
fn windows(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = bytes.chunks(if bytes.len() <= MAX_UNIT { MAX_UNIT } else { MAX_UNIT / 2 });
    let step = all.len().div_ceil(MAX_WINDOWS).max(1);
    all.step_by(step)
}
