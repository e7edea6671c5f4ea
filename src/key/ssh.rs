//! SSH private keys: OpenSSH, PKCS#8 and PKCS#1 to what the `age` crate uses, ssh-ed25519 to
//! X25519 as ssh-to-age has it, and ssh-rsa to PGP as ssh-to-pgp has it.

use age_core::secrecy::ExposeSecret;
use curve25519_dalek::edwards::CompressedEdwardsY;
use pkcs8::der::Decode;
use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfo, SecretDocument};
use rsa::pkcs1::DecodeRsaPrivateKey;
use sha2::{Digest, Sha512};
use ssh_key::private::{Ed25519Keypair, KeypairData, RsaKeypair};
use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::ed25519::{self, Ed25519Identity};
use super::identity::{IdentityError, Outcome};
use super::pgp::secret::{Fingerprint, SecretKey};
use super::stanza::StanzaRef;
use super::{Recipient, bech32, identity, pbes2};

/// An SSH private key ready for use.
pub struct SshIdentity {
    /// Its public half.
    pub recipient: Recipient,
    key: Key,
}

enum Key {
    /// Also as X25519, for files written by way of ssh-to-age.
    Ed25519 { key: Ed25519Identity, derived: Box<age::x25519::Identity> },
    /// Also as a PGP key, for files written by way of ssh-to-pgp.
    Rsa { key: Box<age::ssh::Identity>, pair: Box<RsaKeypair> },
}

impl SshIdentity {
    /// From a key that is not encrypted.
    pub(crate) fn new(key: &PrivateKey) -> Result<Self, IdentityError> {
        let recipient =
            Recipient::from_ssh(key.public_key()).map_err(IdentityError::Unsupported)?;
        let key = if let Some(pair) = key.key_data().ed25519() {
            let public = recipient.ed25519().cloned().ok_or(BROKEN)?;
            let seed = Zeroizing::new(pair.private.to_bytes());
            let derived = age_secret(pair).and_then(|text| text.parse().ok()).ok_or(BROKEN)?;
            let key = Ed25519Identity::new(&seed, public).ok_or(BROKEN)?;
            Key::Ed25519 { key, derived: Box::new(derived) }
        } else {
            let pair = Box::new(key.key_data().rsa().ok_or(BROKEN)?.clone());
            let text = key.to_openssh(LineEnding::LF).map_err(|_| BROKEN)?;
            let key = age::ssh::Identity::from_buffer(text.as_bytes(), None);
            Key::Rsa { key: Box::new(key.map_err(|_| BROKEN)?), pair }
        };
        Ok(Self { recipient, key })
    }

    /// The file key of a stanza. A tag of 4 bytes can be forged, so a stanza that does not open
    /// is somebody else's.
    pub(crate) fn unwrap(&self, stanza: StanzaRef<'_>) -> Outcome {
        match &self.key {
            Key::Ed25519 { key, .. } if stanza.tag() == ed25519::STANZA => key.unwrap(stanza),
            Key::Ed25519 { derived, .. } => identity::unwrap_x25519(derived, stanza),
            Key::Rsa { key, .. } if stanza.tag() == "ssh-rsa" => {
                let unwrapped = age::Identity::unwrap_stanza(key.as_ref(), &stanza.to_stanza());
                identity::outcome(unwrapped)
            }
            Key::Rsa { .. } => Outcome::Other,
        }
    }

    /// The X25519 form of an ed25519 key.
    pub(crate) fn derived(&self) -> Option<&age::x25519::Identity> {
        match &self.key {
            Key::Ed25519 { derived, .. } => Some(derived),
            Key::Rsa { .. } => None,
        }
    }

    /// The PGP key that `ssh-to-pgp` makes of an RSA key.
    pub(crate) fn pgp(&self) -> Option<SecretKey> {
        match &self.key {
            Key::Rsa { pair, .. } => {
                let RsaKeypair { public, private } = pair.as_ref();
                let numbers = [&public.n, &public.e, &private.d, &private.p, &private.q];
                let numbers = numbers.map(|number| number.as_positive_bytes().unwrap_or_default());
                SecretKey::of_ssh_rsa(numbers)
            }
            Key::Ed25519 { .. } => None,
        }
    }
}

/// An OpenSSH key behind a passphrase; its public half is in the open.
pub struct LockedSsh {
    /// The public half.
    pub recipient: Recipient,
    key: PrivateKey,
}

impl LockedSsh {
    pub(crate) fn new(key: PrivateKey) -> Result<Self, IdentityError> {
        let recipient =
            Recipient::from_ssh(key.public_key()).map_err(IdentityError::Unsupported)?;
        Ok(Self { recipient, key })
    }

    /// Opens it.
    pub(crate) fn unlock(&self, passphrase: &[u8]) -> Result<SshIdentity, IdentityError> {
        let key = self.key.decrypt(passphrase).map_err(|_| IdentityError::WrongPassphrase)?;
        SshIdentity::new(&key)
    }
}

/// Reads a PEM text that is some SSH private key. `Ok(Err(_))` is one behind a passphrase.
pub(crate) fn parse(text: &str) -> Result<Result<SshIdentity, Locked>, IdentityError> {
    let text = text.trim();
    let label = text.strip_prefix("-----BEGIN ").and_then(|t| t.split_once("-----")).map(|t| t.0);
    match label {
        Some("OPENSSH PRIVATE KEY") => {
            let key = PrivateKey::from_openssh(text).map_err(|_| BROKEN)?;
            if key.is_encrypted() {
                return LockedSsh::new(key).map(|key| Err(Locked::Ssh(Box::new(key))));
            }
            SshIdentity::new(&key).map(Ok)
        }
        Some("RSA PRIVATE KEY") if text.contains("ENCRYPTED") => Err(IdentityError::EncryptedPem),
        Some("RSA PRIVATE KEY") => {
            let key = rsa::RsaPrivateKey::from_pkcs1_pem(text).map_err(|_| BROKEN)?;
            from_rsa(&key).map(Ok)
        }
        Some("PRIVATE KEY") => {
            let (_, document) = SecretDocument::from_pem(text).map_err(|_| BROKEN)?;
            from_pkcs8(&document).map(Ok)
        }
        Some("ENCRYPTED PRIVATE KEY") => {
            let (_, document) = SecretDocument::from_pem(text).map_err(|_| BROKEN)?;
            Ok(Err(Locked::Pkcs8(Zeroizing::new(document.as_bytes().to_vec()))))
        }
        Some(other) => Err(IdentityError::UnsupportedPem(other.to_owned())),
        None => Err(BROKEN),
    }
}

/// An SSH key that needs a passphrase.
pub(crate) enum Locked {
    Ssh(Box<LockedSsh>),
    /// The bytes of an `EncryptedPrivateKeyInfo`; it does not tell its public half.
    Pkcs8(Zeroizing<Vec<u8>>),
}

const OTHER_ENCRYPTION: IdentityError = IdentityError::Malformed(
    "it is encrypted in a way that is not known here, or with more work than anybody needs; \
     `openssl pkcs8 -topk8` writes it anew",
);

/// Opens an encrypted PKCS#8 key.
pub(crate) fn unlock_pkcs8(der: &[u8], passphrase: &[u8]) -> Result<SshIdentity, IdentityError> {
    let info = AnyRef::from_der(der).and_then(|info| {
        info.sequence(|info| {
            Ok((AlgorithmIdentifierRef::decode(info)?, OctetStringRef::decode(info)?))
        })
    });
    let (algorithm, sealed) = info.map_err(|_| OTHER_ENCRYPTION)?;
    let scheme = pbes2::scheme(algorithm).filter(pbes2::is_usual);
    let scheme = scheme.ok_or(OTHER_ENCRYPTION)?;
    let opened = scheme.decrypt(passphrase, sealed.as_bytes()).map_err(|error| {
        if pbes2::is_padding(error) { IdentityError::WrongPassphrase } else { OTHER_ENCRYPTION }
    })?;
    let document = SecretDocument::try_from(opened).map_err(|_| IdentityError::WrongPassphrase)?;
    from_pkcs8(&document)
}

fn from_pkcs8(document: &SecretDocument) -> Result<SshIdentity, IdentityError> {
    const ED25519: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.3.101.112");
    let info: PrivateKeyInfo<'_> = document.decode_msg().map_err(|_| BROKEN)?;
    if info.algorithm.oid == ED25519 {
        // RFC 8410: an OCTET STRING inside the OCTET STRING.
        let seed = info.private_key.strip_prefix(&[4, 32]).ok_or(BROKEN)?;
        let pair = Ed25519Keypair::from_seed(seed.try_into().map_err(|_| BROKEN)?);
        let key = PrivateKey::new(KeypairData::from(pair), "").map_err(|_| BROKEN)?;
        return SshIdentity::new(&key);
    }
    let key = rsa::RsaPrivateKey::try_from(info)
        .map_err(|_| IdentityError::UnsupportedPem("PKCS#8 key of another algorithm".to_owned()))?;
    from_rsa(&key)
}

fn from_rsa(key: &rsa::RsaPrivateKey) -> Result<SshIdentity, IdentityError> {
    let pair = RsaKeypair::try_from(key).map_err(|_| BROKEN)?;
    let key = PrivateKey::new(KeypairData::from(pair), "").map_err(|_| BROKEN)?;
    SshIdentity::new(&key)
}

/// The X25519 identity of an ed25519 key, as ssh-to-age converts it: the first half of SHA-512
/// of the seed.
pub(crate) fn age_secret(pair: &Ed25519Keypair) -> Option<Zeroizing<String>> {
    let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(pair.private.to_bytes())));
    let scalar = hash.get(..32)?;
    let text = Zeroizing::new(bech32::encode("age-secret-key-", scalar)?);
    Some(Zeroizing::new(text.to_ascii_uppercase()))
}

/// The X25519 recipient of an ssh-ed25519 recipient: `u = (1 + y) / (1 - y)`.
///
/// `None` for other kinds of keys and for points of small order.
pub fn age_recipient(recipient: &Recipient) -> Option<Recipient> {
    use base64::Engine;
    let data = recipient.canonical().strip_prefix("ssh-ed25519 ")?;
    let blob = base64::prelude::BASE64_STANDARD.decode(data).ok()?;
    let point = CompressedEdwardsY(*blob.last_chunk()?).decompress()?;
    if point.is_small_order() {
        return None;
    }
    let text = bech32::encode("age", point.to_montgomery().as_bytes())?;
    Recipient::parse(&text).ok()
}

/// The fingerprint of the PGP key that `ssh-to-pgp` makes of an ssh-rsa recipient; `None` for other
/// kinds of keys.
pub fn pgp_fingerprint(recipient: &Recipient) -> Option<Fingerprint> {
    let key = ssh_key::PublicKey::from_openssh(recipient.canonical()).ok()?;
    let key = key.key_data().rsa()?;
    Fingerprint::of_ssh_rsa(key.n.as_positive_bytes()?, key.e.as_positive_bytes()?)
}

/// The text of an X25519 identity.
pub(crate) fn age_text(identity: &age::x25519::Identity) -> Zeroizing<String> {
    Zeroizing::new(identity.to_string().expose_secret().to_owned())
}

const BROKEN: IdentityError = IdentityError::Malformed("the SSH private key in it is damaged");

#[cfg(test)]
mod tests {
    use super::*;

    /// The library takes eight bytes of the start that triple DES has, here of none.
    #[test]
    fn a_pkcs8_key_with_a_torn_start_is_refused() {
        let der = hex::decode(concat!(
            "3044303806092a864886f70d01050d302b301b06092a864886f70d01050c300e0408000000000000000002020800",
            "300c06082a864886f70d0307040004080000000000000000"
        ));
        let refused = unlock_pkcs8(&der.unwrap(), b"test-only");
        assert!(matches!(refused, Err(error) if error == OTHER_ENCRYPTION));
    }
}
