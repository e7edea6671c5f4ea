//! In which order the kinds of keys are tried (`SOPS_DECRYPTION_ORDER`, `--decryption-order`).

use std::fmt;

use crate::key::wrapping::WrappingKind;

/// The kinds of keys, all of them, the first to be tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptionOrder {
    kinds: Vec<WrappingKind>,
    /// How many of them somebody named.
    named: usize,
}

impl DecryptionOrder {
    /// From names between commas; kinds that are not named come last. Names of no kind do not
    /// count, as with sops; nor do blanks, which it takes for a part of the name.
    ///
    /// # Errors
    /// [`OrderError`] where a name stands twice.
    pub fn parse(names: &str) -> Result<Self, OrderError> {
        if names.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<&str> = names.split(',').map(str::trim).collect();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|before| before == name) {
                return Err(OrderError { name: (*name).to_owned() });
            }
        }
        let named = |kind: &WrappingKind| names.iter().position(|name| *name == kind.name());
        let mut kinds = WrappingKind::ALL.to_vec();
        kinds.sort_by_key(|kind| named(kind).unwrap_or(usize::MAX));
        let named = kinds.iter().filter(|kind| named(kind).is_some()).count();
        Ok(Self { kinds, named })
    }

    /// The kinds.
    pub fn kinds(&self) -> &[WrappingKind] {
        &self.kinds
    }

    /// The kinds that are tried together, the first to be tried first: those that need a network
    /// and come behind each other, unless somebody gave them an order.
    pub fn steps(&self) -> impl Iterator<Item = &[WrappingKind]> {
        let (named, others) = self.kinds.split_at_checked(self.named).unwrap_or_default();
        let together = |a: &WrappingKind, b: &WrappingKind| !a.is_local() && !b.is_local();
        named.chunks(1).chain(others.chunk_by(together))
    }
}

impl Default for DecryptionOrder {
    fn default() -> Self {
        use WrappingKind::{Age, AzureKv, GcpKms, HcKms, HcVault, Kms, Pgp};
        Self { kinds: vec![Age, Pgp, Kms, GcpKms, HcKms, AzureKv, HcVault], named: 0 }
    }
}

/// A kind that stands twice in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderError {
    /// Its name.
    pub name: String,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` stands twice in the order of decryption", self.name)
    }
}

impl std::error::Error for OrderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_kinds_come_first_and_the_others_as_sops_has_them() {
        let names = |text: &str| {
            let order = DecryptionOrder::parse(text).unwrap();
            order.kinds().iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(""), "age pgp kms gcp_kms hckms azure_kv hc_vault");
        assert_eq!(names("age,pgp"), names(""));
        assert_eq!(names("hc_vault, pgp,x"), "hc_vault pgp kms gcp_kms hckms azure_kv age");
        assert_eq!(DecryptionOrder::parse("pgp,age,pgp").unwrap_err().name, "pgp");
    }
}
