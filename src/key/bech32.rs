//! Bech32 as age uses it: any length, one HRP, no separate limit (C2SP `age.md`).

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Checksum, Hrp};
use zeroize::Zeroizing;

/// Bech32 without the length limit of BIP 173; age strings of post-quantum keys need it.
enum AnyLength {}

impl Checksum for AnyLength {
    type MidstateRepr = <Bech32 as Checksum>::MidstateRepr;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = Bech32::TARGET_RESIDUE;
}

/// Splits a Bech32 string into its human-readable part, in lower case, and its data.
///
/// Gives `None` for a bad checksum, mixed case or non-canonical padding.
pub(crate) fn decode(text: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
    // Characters outside ASCII never occur; refusing them here keeps case folding simple.
    if !text.is_ascii() {
        return None;
    }
    let checked = CheckedHrpstring::new::<AnyLength>(text).ok()?;
    checked.validate_segwit_padding().ok()?;
    let hrp = checked.hrp().to_lowercase();
    Some((hrp, Zeroizing::new(checked.byte_iter().collect())))
}

/// Encodes in lower case. `None` only where `hrp` is not a legal human-readable part.
pub(crate) fn encode(hrp: &str, data: &[u8]) -> Option<String> {
    bech32::encode_lower::<AnyLength>(Hrp::parse(hrp).ok()?, data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_round_trip() {
        let text = encode("age1pq", &[9; 1216]).unwrap();
        let (hrp, data) = decode(&text).unwrap();
        assert_eq!((hrp.as_str(), data.as_slice()), ("age1pq", [9; 1216].as_slice()));
    }

    #[test]
    fn kelvin_sign_is_refused_not_folded() {
        assert!(decode("\u{212A}EY1QQQQ").is_none());
    }
}
