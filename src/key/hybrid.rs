//! The post-quantum recipient `mlkem768x25519` of C2SP `age.md`: X-Wing
//! (draft-connolly-cfrg-xwing-kem) over HPKE base mode (RFC 9180) with HKDF-SHA256 and
//! ChaCha20-Poly1305. Recipients `age1pq1…`, identities `AGE-SECRET-KEY-PQ-1…`.
//!
//! The primitives are crates; put together here, because the `hpke` crate that has X-Wing cannot
//! be in one tree with the `age` crate.

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use ml_kem::kem::{Decapsulate, DecapsulationKey, EncapsulationKey};
use ml_kem::{EncapsulateDeterministic, EncodedSizeUser, KemCore, MlKem768, MlKem768Params};
use sha2::Sha256;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use sha3::{Digest, Sha3_256, Shake256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use super::bech32;

/// The type word of the stanza.
pub(crate) const STANZA: &str = "mlkem768x25519";
/// Human-readable part of recipients.
pub(crate) const RECIPIENT_HRP: &str = "age1pq";
/// Human-readable part of identities, in lower case.
pub(crate) const IDENTITY_HRP: &str = "age-secret-key-pq-";

const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// `HPKE`, KEM 0x647a (X-Wing), KDF 0x0001 (HKDF-SHA256), AEAD 0x0003 (ChaCha20-Poly1305).
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
const XWING_LABEL: &[u8] = b"\\.//^\\";
const ML_KEM_PUBLIC: usize = 1184;
const ML_KEM_CIPHERTEXT: usize = 1088;

/// A post-quantum public key.
pub struct HybridRecipient {
    ml_kem: EncapsulationKey<MlKem768Params>,
    x25519: PublicKey,
}

impl HybridRecipient {
    /// From the data of an `age1pq1…` string, 1,216 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (ml_kem, x25519) = bytes.split_at_checked(ML_KEM_PUBLIC)?;
        let ml_kem = EncapsulationKey::from_bytes(ml_kem.try_into().ok()?);
        // FIPS 203, 7.2: a key whose coefficients are not reduced does not encode to itself.
        if ml_kem.as_bytes().as_slice() != bytes.get(..ML_KEM_PUBLIC)? {
            return None;
        }
        Some(Self { ml_kem, x25519: <[u8; 32]>::try_from(x25519).ok()?.into() })
    }

    fn to_bytes(&self) -> Vec<u8> {
        [self.ml_kem.as_bytes().as_slice(), self.x25519.as_bytes()].concat()
    }

    /// Encrypts the file key to this recipient. `None` where the system has no random bytes.
    pub(crate) fn wrap(&self, file_key: &FileKey) -> Option<Stanza> {
        let mut random = Zeroizing::new([0_u8; 64]);
        super::fill_random(random.as_mut_slice()).ok()?;
        let (for_ml_kem, for_x25519) = random.split_first_chunk::<32>()?;
        let (ciphertext, ml_kem_shared) =
            self.ml_kem.encapsulate_deterministic(&(*for_ml_kem).into()).ok()?;
        let ephemeral = StaticSecret::from(<[u8; 32]>::try_from(for_x25519).ok()?);
        let share = PublicKey::from(&ephemeral);
        let x25519_shared = ephemeral.diffie_hellman(&self.x25519);
        if !x25519_shared.was_contributory() {
            return None;
        }
        let shared = combine(&ml_kem_shared, x25519_shared.as_bytes(), &share, &self.x25519);

        let enc = [ciphertext.as_slice(), share.as_bytes()].concat();
        Some(Stanza {
            tag: STANZA.to_owned(),
            args: vec![BASE64_STANDARD_NO_PAD.encode(enc)],
            body: Context::new(&shared)?.seal(file_key.expose_secret())?,
        })
    }
}

/// A post-quantum private key, expanded once.
pub struct HybridIdentity {
    ml_kem: DecapsulationKey<MlKem768Params>,
    x25519: StaticSecret,
    public: HybridRecipient,
}

impl HybridIdentity {
    /// From the data of an `AGE-SECRET-KEY-PQ-1…` string, a seed of 32 bytes.
    pub(crate) fn from_seed(seed: &[u8]) -> Option<Self> {
        let seed = <&[u8; 32]>::try_from(seed).ok()?;
        let mut expanded = Zeroizing::new([0_u8; 96]);
        Shake256::default().chain(seed).finalize_xof().read(expanded.as_mut_slice());
        let (d, rest) = expanded.split_first_chunk::<32>()?;
        let (z, x25519) = rest.split_first_chunk::<32>()?;
        let (ml_kem, public) = MlKem768::generate_deterministic(&(*d).into(), &(*z).into());
        let x25519 = StaticSecret::from(<[u8; 32]>::try_from(x25519).ok()?);
        let public = HybridRecipient { ml_kem: public, x25519: PublicKey::from(&x25519) };
        Some(Self { ml_kem, x25519, public })
    }

    /// The recipient string.
    pub(crate) fn recipient(&self) -> Option<String> {
        bech32::encode(RECIPIENT_HRP, &self.public.to_bytes())
    }

    /// The file key of a stanza; `Ok(None)` when it is addressed to another key.
    ///
    /// # Errors
    /// [`MalformedStanza`] when the stanza breaks the rules of its type, which makes the whole
    /// header invalid.
    pub(crate) fn unwrap(&self, stanza: &Stanza) -> Result<Option<FileKey>, MalformedStanza> {
        let [enc] = stanza.args.as_slice() else { return Err(MalformedStanza) };
        let enc = BASE64_STANDARD_NO_PAD.decode(enc).map_err(|_| MalformedStanza)?;
        let (ciphertext, share) = enc.split_at_checked(ML_KEM_CIPHERTEXT).ok_or(MalformedStanza)?;
        let ciphertext = ciphertext.try_into().map_err(|_| MalformedStanza)?;
        let share = PublicKey::from(<[u8; 32]>::try_from(share).map_err(|_| MalformedStanza)?);
        if stanza.body.len() != FILE_KEY_BYTES.saturating_add(16) {
            return Err(MalformedStanza);
        }
        let Ok(ml_kem_shared) = self.ml_kem.decapsulate(ciphertext) else { return Ok(None) };
        let x25519_shared = self.x25519.diffie_hellman(&share);
        if !x25519_shared.was_contributory() {
            return Err(MalformedStanza);
        }
        let shared = combine(&ml_kem_shared, x25519_shared.as_bytes(), &share, &self.public.x25519);
        let opened = Context::new(&shared).and_then(|context| context.open(&stanza.body));
        let Some(mut opened) = opened else { return Ok(None) };
        let key = <[u8; FILE_KEY_BYTES]>::try_from(opened.as_slice()).map_err(|_| MalformedStanza);
        opened.zeroize();
        key.map(|key| Some(FileKey::new(Box::new(key))))
    }
}

/// A stanza that breaks the rules of its own type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedStanza;

/// The combiner of X-Wing.
fn combine(
    ml_kem_shared: &[u8],
    x25519_shared: &[u8],
    share: &PublicKey,
    recipient: &PublicKey,
) -> Zeroizing<[u8; 32]> {
    let hash = Sha3_256::new()
        .chain_update(ml_kem_shared)
        .chain_update(x25519_shared)
        .chain_update(share.as_bytes())
        .chain_update(recipient.as_bytes())
        .chain_update(XWING_LABEL);
    Zeroizing::new(hash.finalize().into())
}

/// An HPKE context in base mode for exactly one message.
struct Context {
    aead: ChaCha20Poly1305,
    nonce: [u8; 12],
}

impl Context {
    /// `KeySchedule` of RFC 9180, 5.1, with mode 0 and no pre-shared key.
    fn new(shared: &[u8; 32]) -> Option<Self> {
        let (no_psk, _) = extract(&[], b"psk_id_hash", &[]);
        let (info, _) = extract(&[], b"info_hash", INFO);
        let context = [[0].as_slice(), &no_psk, &info].concat();
        let (_, secret) = extract(shared, b"secret", &[]);
        let mut key = Zeroizing::new([0_u8; 32]);
        let mut nonce = [0_u8; 12];
        expand(&secret, b"key", &context, key.as_mut_slice())?;
        expand(&secret, b"base_nonce", &context, &mut nonce)?;
        Some(Self { aead: ChaCha20Poly1305::new(key.as_slice().into()), nonce })
    }

    fn seal(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.aead.encrypt(&self.nonce.into(), message).ok()
    }

    fn open(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        self.aead.decrypt(&self.nonce.into(), ciphertext).ok()
    }
}

/// `LabeledExtract` of RFC 9180, 4.
fn extract(salt: &[u8], label: &[u8], material: &[u8]) -> ([u8; 32], Hkdf<Sha256>) {
    let labelled = Zeroizing::new([b"HPKE-v1", SUITE, label, material].concat());
    let (pseudo_random_key, hkdf) = Hkdf::<Sha256>::extract(Some(salt), &labelled);
    (pseudo_random_key.into(), hkdf)
}

/// `LabeledExpand` of RFC 9180, 4.
fn expand(secret: &Hkdf<Sha256>, label: &[u8], info: &[u8], out: &mut [u8]) -> Option<()> {
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    secret.expand(&[&length, b"HPKE-v1".as_slice(), SUITE, label, info].concat(), out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_of_a_seed_opens_what_is_sealed_to_it() {
        let identity = HybridIdentity::from_seed(&[7; 32]).unwrap();
        let (hrp, data) = bech32::decode(&identity.recipient().unwrap()).unwrap();
        assert_eq!(hrp, RECIPIENT_HRP);
        let recipient = HybridRecipient::from_bytes(&data).unwrap();
        let stanza = recipient.wrap(&FileKey::new(Box::new([3; 16]))).unwrap();
        let opened = identity.unwrap(&stanza).unwrap().unwrap();
        assert_eq!(opened.expose_secret(), &[3; 16]);
        let stranger = HybridIdentity::from_seed(&[8; 32]).unwrap();
        assert!(stranger.unwrap(&stanza).unwrap().is_none());
    }
}
