//! The stanza `ssh-ed25519`, as age and the `age` crate write it: X25519 with the Montgomery form
//! of the key, and a second multiplication by a tweak that binds the SSH key.
//!
//! Ours, because it is most of the time of a rekey. Both multiplications commute, so the one by
//! the tweak is done once a recipient, and for an identity both scalars become one: two instead
//! of three multiplications to wrap, one instead of three to unwrap. For a recipient of many files
//! the second of the two becomes one from a table, as that of the base point is. The `age` crate is
//! the other side of the tests.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsBasepointTable, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::BasepointTable;
use sha2::{Digest, Sha256, Sha512};
use zeroize::{Zeroize, Zeroizing};

use super::identity::Outcome;
use super::stanza::StanzaRef;

/// The type word.
pub(crate) const STANZA: &str = "ssh-ed25519";
const LABEL: &[u8] = b"age-encryption.org/v1/ssh-ed25519";

/// A public key.
pub(crate) struct Ed25519Recipient {
    point: EdwardsPoint,
    blob: Box<[u8]>,
    tag: [u8; 4],
    /// What the comparison of readers does not need.
    agreement: OnceLock<Agreement>,
    wrapped: AtomicU32,
    /// Multiples of the tweaked point, made for a recipient of many files.
    multiples: OnceLock<Box<EdwardsBasepointTable>>,
}

struct Agreement {
    point: MontgomeryPoint,
    tweak: [u8; 32],
    /// `X25519(tweak, point)`, on the Edwards curve. A clamped tweak is a multiple of 8, so that this is
    /// a point of the large subgroup whatever the key is.
    tweaked: OnceLock<EdwardsPoint>,
}

impl Ed25519Recipient {
    /// From SSH key data (RFC 8709, 4) whose last 32 bytes are the key. `None` where these are no
    /// point of the curve, or one of small order.
    pub(crate) fn from_blob(blob: &[u8]) -> Option<Self> {
        let point = CompressedEdwardsY(*blob.last_chunk()?).decompress()?;
        if point.is_small_order() {
            return None;
        }
        let digest = <[u8; 32]>::from(Sha256::digest(blob));
        Some(Self {
            point,
            blob: blob.into(),
            tag: *digest.first_chunk()?,
            agreement: OnceLock::new(),
            wrapped: AtomicU32::new(0),
            multiples: OnceLock::new(),
        })
    }

    /// First 4 bytes of SHA-256 of the key data.
    pub(crate) fn tag(&self) -> [u8; 4] {
        self.tag
    }

    /// Encrypts the file key. `None` where the system has no random bytes.
    pub(crate) fn wrap(&self, file_key: &FileKey) -> Option<Stanza> {
        let mut ephemeral = Zeroizing::new([0_u8; 32]);
        super::fill_random(ephemeral.as_mut_slice()).ok()?;
        let share = MontgomeryPoint::mul_base_clamped(*ephemeral);
        let mut shared = self.multiply(&ephemeral);
        let key = self.key(&share, &shared);
        shared.zeroize();
        let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        Some(Stanza {
            tag: STANZA.to_owned(),
            args: vec![encode(&self.tag), encode(share.as_bytes())],
            body: aead_encrypt(&key, file_key.expose_secret()),
        })
    }

    /// Says how often it is about to be used.
    pub(crate) fn expect(&self, uses: u32) {
        // where the table pays for itself at once
        if uses > 2 * MANY {
            self.wrapped.fetch_max(MANY, Ordering::Relaxed);
        }
    }

    /// A clamped scalar times the tweaked point.
    fn multiply(&self, scalar: &[u8; 32]) -> MontgomeryPoint {
        let agreement = self.agreement();
        let tweaked = agreement.tweaked.get_or_init(|| self.point.mul_clamped(agreement.tweak));
        let before = self.wrapped.fetch_add(1, Ordering::Relaxed);
        let multiples = match self.multiples.get() {
            None if before == MANY => {
                let table = || Box::new(EdwardsBasepointTable::create(tweaked));
                Some(self.multiples.get_or_init(table))
            }
            table => table,
        };
        let mut product = match multiples {
            Some(table) => table.mul_base_clamped(*scalar),
            None => tweaked.mul_clamped(*scalar),
        };
        let shared = product.to_montgomery();
        product.zeroize();
        shared
    }

    fn agreement(&self) -> &Agreement {
        self.agreement.get_or_init(|| Agreement {
            point: self.point.to_montgomery(),
            tweak: hkdf(&self.blob, LABEL, &[]),
            tweaked: OnceLock::new(),
        })
    }

    fn key(&self, share: &MontgomeryPoint, shared: &MontgomeryPoint) -> Zeroizing<[u8; 32]> {
        let mut salt = [0; 64];
        let (first, second) = salt.split_at_mut(32);
        first.copy_from_slice(share.as_bytes());
        second.copy_from_slice(self.agreement().point.as_bytes());
        Zeroizing::new(hkdf(&salt, LABEL, shared.as_bytes()))
    }
}

/// A private key.
pub(crate) struct Ed25519Identity {
    public: Arc<Ed25519Recipient>,
    /// An eighth of the secret scalar times the tweak: clamping wants a multiple of 8.
    eighth: Zeroizing<Scalar>,
}

impl Ed25519Identity {
    /// From the seed and the public half.
    pub(crate) fn new(seed: &[u8; 32], public: Arc<Ed25519Recipient>) -> Option<Self> {
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
        let secret = Zeroizing::new(clamp_integer(*hash.first_chunk()?));
        let tweak = clamp_integer(public.agreement().tweak);
        let secret = Scalar::from_bytes_mod_order(*secret);
        #[expect(clippy::arithmetic_side_effects, reason = "modulo the order of the group")]
        let eighth =
            secret * Scalar::from_bytes_mod_order(tweak) * Scalar::from_bytes_mod_order(ONE_EIGHTH);
        Some(Self { public, eighth: Zeroizing::new(eighth) })
    }

    /// Tries a stanza. Its tag has 4 bytes and can be forged, so one that does not open is
    /// somebody else's.
    pub(crate) fn unwrap(&self, stanza: StanzaRef<'_>) -> Outcome {
        let mut args = stanza.args();
        let (Some(tag), Some(share), None) = (args.next(), args.next(), args.next()) else {
            return Outcome::Other;
        };
        let mut found = [0; 4];
        let ours = BASE64_STANDARD_NO_PAD.decode_slice(tag, &mut found) == Ok(4);
        if stanza.tag() != STANZA || !ours || found != self.public.tag {
            return Outcome::Other;
        }
        let share = BASE64_STANDARD_NO_PAD.decode(share).ok().and_then(|s| s.try_into().ok());
        let Some(share) = share.map(MontgomeryPoint) else { return Outcome::Broken };
        let body = stanza.body();
        if body.len() != FILE_KEY_BYTES.saturating_add(16) {
            return Outcome::Broken;
        }
        let mut shared = self.multiply(&share);
        let key = self.public.key(&share, &shared);
        shared.zeroize();
        let Ok(mut opened) = aead_decrypt(&key, FILE_KEY_BYTES, &body) else {
            return Outcome::Other;
        };
        FileKey::try_init_with_mut(|file_key| {
            let fits = opened.len() == file_key.len();
            if fits {
                file_key.copy_from_slice(&opened);
            }
            opened.zeroize();
            fits.then_some(()).ok_or(())
        })
        .map_or(Outcome::Other, Outcome::Opened)
    }
}

impl Ed25519Identity {
    /// The multiple of a share. On the curve itself, where all shares of age are, it takes two thirds
    /// of the time of the ladder, which knows the twist too.
    fn multiply(&self, share: &MontgomeryPoint) -> MontgomeryPoint {
        let Some(point) = share.to_edwards(0) else { return self.ladder(share) };
        #[expect(clippy::arithmetic_side_effects, reason = "a point times a number")]
        let mut product = point.mul_by_cofactor() * *self.eighth;
        let shared = product.to_montgomery();
        product.zeroize();
        shared
    }

    fn ladder(&self, share: &MontgomeryPoint) -> MontgomeryPoint {
        let scalar = Zeroizing::new(times_eight(self.eighth.as_bytes()));
        let bits =
            scalar.iter().rev().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1 == 1));
        share.mul_bits_be(bits)
    }
}

/// After so many files the table of multiples is worth the time and the 30 KiB that it takes.
const MANY: u32 = 128;

/// The inverse of 8 modulo the order of the group.
const ONE_EIGHTH: [u8; 32] = [
    0x79, 0x2f, 0xdc, 0xe2, 0x29, 0xe5, 0x06, 0x61, 0xd0, 0xda, 0x1c, 0x7d, 0xb3, 0x9d, 0xd3, 0x07,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06,
];

/// A number below 2^253, little endian, times 8.
fn times_eight(number: &[u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    number.map(|byte| {
        let shifted = byte << 3 | carry;
        carry = byte >> 5;
        shifted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::stanza::Stanzas;
    use age::{Identity as _, Recipient as _};
    use ssh_key::LineEnding;
    use ssh_key::private::{Ed25519Keypair, KeypairData};

    /// Both sides of one key, ours and those of the `age` crate.
    fn key(seed: [u8; 32]) -> (Vec<u8>, age::ssh::Identity, age::ssh::Recipient) {
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
        let key = ssh_key::PrivateKey::new(pair, "test-only").unwrap();
        let text = key.to_openssh(LineEnding::LF).unwrap();
        let theirs = age::ssh::Identity::from_buffer(text.as_bytes(), None).unwrap();
        let public = key.public_key();
        (public.to_bytes().unwrap(), theirs, public.to_openssh().unwrap().parse().unwrap())
    }

    #[test]
    fn the_age_crate_opens_ours_and_we_open_its() {
        for round in 0..40_u8 {
            let seed = <[u8; 32]>::from(Sha256::digest([round]));
            let (blob, their_identity, their_recipient) = key(seed);
            let file_key = FileKey::new(Box::new([round; 16]));
            let ours = Ed25519Recipient::from_blob(&blob).unwrap().wrap(&file_key).unwrap();
            let opened = their_identity.unwrap_stanza(&ours).unwrap().unwrap();
            assert_eq!(opened.expose_secret(), &[round; 16]);
            let (theirs, _) = their_recipient.wrap_file_key(&file_key).unwrap();
            let public = Ed25519Recipient::from_blob(&blob).unwrap();
            let identity = Ed25519Identity::new(&seed, public.into()).unwrap();
            for stanza in Stanzas::from_iter([&ours, &theirs[0]]).iter() {
                let Outcome::Opened(opened) = identity.unwrap(stanza) else { panic!("{round}") };
                assert_eq!(opened.expose_secret(), &[round; 16]);
            }
        }
    }

    #[test]
    fn one_eighth_is_what_it_says() {
        let eighth = Scalar::from_bytes_mod_order(ONE_EIGHTH);
        assert_eq!(eighth * Scalar::from(8_u8), Scalar::ONE);
    }

    /// Also for keys with a part outside of the large subgroup, which clamping takes away.
    #[test]
    fn the_table_gives_what_the_ladder_gives() {
        for torsion in curve25519_dalek::constants::EIGHT_TORSION {
            let (mut blob, ..) = key([3; 32]);
            let at = blob.len() - 32;
            let point = CompressedEdwardsY(*blob.last_chunk().unwrap()).decompress().unwrap();
            blob[at..].copy_from_slice((point + torsion).compress().as_bytes());
            let recipient = Ed25519Recipient::from_blob(&blob).unwrap();
            let many = Ed25519Recipient::from_blob(&blob).unwrap();
            many.expect(2 * MANY + 1);
            let slow = (point + torsion).to_montgomery().mul_clamped(hkdf(&blob, LABEL, &[]));
            for round in 0..=MANY {
                let scalar = <[u8; 32]>::from(Sha256::digest(round.to_le_bytes()));
                let found = recipient.multiply(&scalar);
                if round < 3 || round == MANY {
                    assert_eq!(found, slow.mul_clamped(scalar), "{round}");
                    assert_eq!(found, many.multiply(&scalar), "{round}");
                    assert!(many.multiples.get().is_some());
                }
            }
            assert!(recipient.multiples.get().is_some());
        }
    }

    /// On the curve, on the twist, outside of the large subgroup, and where nothing is left.
    #[test]
    fn a_multiple_of_a_share_is_what_the_ladder_gives() {
        let (blob, ..) = key([4; 32]);
        let public = Ed25519Recipient::from_blob(&blob).unwrap();
        let identity = Ed25519Identity::new(&[4; 32], public.into()).unwrap();
        let (mut on_curve, mut on_twist) = (0, 0);
        for round in 0..100_u8 {
            let share = MontgomeryPoint(Sha256::digest([round]).into());
            let counted = if share.to_edwards(0).is_some() { &mut on_curve } else { &mut on_twist };
            *counted += 1;
            assert_eq!(identity.multiply(&share), identity.ladder(&share), "{round}");
        }
        assert!(on_curve > 20 && on_twist > 20);
        for torsion in curve25519_dalek::constants::EIGHT_TORSION {
            for point in [torsion, torsion + EdwardsPoint::mul_base_clamped([7; 32])] {
                let share = point.to_montgomery();
                assert_eq!(identity.multiply(&share), identity.ladder(&share));
            }
        }
        // 0, 1, -1, and numbers that are not reduced
        for (first, rest) in
            [(0, 0), (1, 0), (0xec, 0xff), (0xed, 0xff), (0xee, 0xff), (0xff, 0xff)]
        {
            let mut bytes = [rest; 32];
            bytes[0] = first;
            if rest == 0xff {
                bytes[31] = 0x7f;
            }
            let share = MontgomeryPoint(bytes);
            assert_eq!(identity.multiply(&share), identity.ladder(&share), "{first}");
        }
    }

    #[test]
    fn a_forged_tag_is_somebody_elses() {
        let (blob, ..) = key([1; 32]);
        let (other, ..) = key([2; 32]);
        let file_key = FileKey::new(Box::new([9; 16]));
        let mut forged = Ed25519Recipient::from_blob(&other).unwrap().wrap(&file_key).unwrap();
        let public = Ed25519Recipient::from_blob(&blob).unwrap();
        let identity = Ed25519Identity::new(&[1; 32], public.into()).unwrap();
        forged.args[0] = BASE64_STANDARD_NO_PAD.encode(identity.public.tag);
        let forged = Stanzas::from_iter([&forged]);
        assert!(matches!(identity.unwrap(forged.iter().next().unwrap()), Outcome::Other));
    }
}
