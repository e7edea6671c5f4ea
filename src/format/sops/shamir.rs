//! Shamir's secret sharing over GF(2^8), as Vault and sops do it, byte for byte. Knows no key.
