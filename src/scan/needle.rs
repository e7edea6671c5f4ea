//! What to look for: known values, taken apart into secrets and written in every form.

use crate::plaintext::Plaintext;

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
    /// It holds the hash or ciphertext of a secret only.
    Sealed,
    /// It opens no key that is known here.
    Unparsed,
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
}

impl Needles {
    /// Takes the values apart and makes their forms.
    pub fn of(known: Vec<Known>) -> (Self, Vec<NotSearched>) {
        drop(known);
        (Self::default(), Vec::new())
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
}
