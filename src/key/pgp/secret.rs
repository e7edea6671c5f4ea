//! Private keys of PGP that decrypt: out of what `gpg --export-secret-keys` gives (RFC 9580,
//! section 5.5, version 4 and unprotected), or made of an SSH key of RSA as `ssh-to-pgp` makes it.

use std::fmt;

use rsa::pkcs1v15::Pkcs1v15Encrypt;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPrivateKey};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::packet::{Malformed, Reader, dearmor};
use super::symmetric::{Cipher, unwrap_key};

/// The fingerprint of a key (version 4); shown as 40 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    fn of(public: &[u8]) -> Option<Self> {
        let length = u16::try_from(public.len()).ok()?;
        let hash = Sha1::new().chain_update([0x99]).chain_update(length.to_be_bytes());
        Some(Self(hash.chain_update(public).finalize().into()))
    }

    /// Of the key that `ssh-to-pgp` and sops-nix make of an SSH key of RSA: its numbers, made at the
    /// beginning of 1970 (`sshkeys/convert.go` of sops-nix). `None` for numbers that are too long.
    pub fn of_ssh_rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let mut public = vec![4, 0, 0, 0, 0, 1];
        for number in [modulus, exponent] {
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            let digits = number.get(zeros..)?;
            let unused = usize::try_from(digits.first()?.leading_zeros()).ok()?;
            let bits = digits.len().checked_mul(8)?.checked_sub(unused)?;
            public.extend(u16::try_from(bits).ok()?.to_be_bytes());
            public.extend(digits);
        }
        Self::of(&public)
    }

    pub(super) fn key_id(&self) -> [u8; 8] {
        self.0.last_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

/// A private key that decrypts.
pub struct SecretKey {
    /// Of this key: that of a subkey is its own.
    pub fingerprint: Fingerprint,
    kind: Kind,
}

enum Kind {
    Rsa(Box<RsaPrivateKey>),
    /// ECDH over Curve25519.
    Ecdh(Box<Ecdh>),
}

struct Ecdh {
    secret: StaticSecret,
    hash: u8,
    cipher: Cipher,
}

/// What a file of private keys holds.
#[derive(Default)]
pub struct Exported {
    /// What can be used.
    pub keys: Vec<SecretKey>,
    /// Whether there are keys behind a passphrase, or whose private half is elsewhere.
    pub any_locked: bool,
}

/// Whether a file is one of private keys of PGP, armored or not.
pub fn is_exported(file: &[u8]) -> bool {
    let armor = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";
    // A packet of tag 5, whose length takes one byte or two.
    matches!(file, [0x94 | 0x95 | 0xC5, ..]) || file.windows(armor.len()).any(|at| at == armor)
}

impl Exported {
    /// Reads a file.
    ///
    /// # Errors
    /// What is no such key.
    pub fn read(file: &[u8]) -> Result<Self, Malformed> {
        let armored;
        let binary = if file.first().is_some_and(|byte| byte & 0x80 == 0) {
            let text = str::from_utf8(file).map_err(|_| Malformed("it is no text"))?;
            armored = dearmor(text, "PRIVATE KEY BLOCK")?;
            &armored
        } else {
            file
        };
        let mut exported = Self::default();
        let mut packets = Reader::new(binary);
        while let Some(packet) = packets.packet()? {
            if matches!(packet.tag, 5 | 7) && exported.keys.len() < MOST_KEYS {
                exported.add(&packet.body)?;
            }
        }
        Ok(exported)
    }

    fn add(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(packet);
        let [version, _, _, _, _, algorithm] = reader.array()?;
        if version != 4 {
            return Ok(());
        }
        let public = match algorithm {
            1 | 2 => Public::Rsa { modulus: reader.number()?, exponent: reader.number()? },
            18 => {
                let length = usize::from(reader.byte()?);
                let curve = reader.take(length)?;
                let point = reader.number()?;
                let length = usize::from(reader.byte()?);
                let derivation = reader.take(length)?;
                if curve != CURVE_25519 {
                    return Ok(());
                }
                Public::Ecdh { point, derivation }
            }
            // Keys that sign, or of kinds that are not known.
            _ => return Ok(()),
        };
        let length = packet.len().saturating_sub(reader.rest().len());
        let Some(fingerprint) = packet.get(..length).and_then(Fingerprint::of) else {
            return Err(BROKEN);
        };
        if reader.byte()? != 0 {
            self.any_locked = true;
            return Ok(());
        }
        let (secret, sum) = reader.rest().split_last_chunk::<2>().ok_or(BROKEN)?;
        if !bool::from(checksum(secret).ct_eq(sum)) {
            return Err(BROKEN);
        }
        let kind = public.with(&mut Reader::new(secret))?;
        self.keys.push(SecretKey { fingerprint, kind });
        Ok(())
    }
}

enum Public<'a> {
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
    Ecdh { point: &'a [u8], derivation: &'a [u8] },
}

impl Public<'_> {
    /// Puts the private half to it; they have to belong together.
    fn with(&self, secret: &mut Reader<'_>) -> Result<Kind, Malformed> {
        match self {
            Self::Rsa { modulus, exponent } => {
                if modulus.len() > LARGEST_RSA || exponent.len() > 8 {
                    return Err(Malformed("an RSA key in it is larger than 8192 bits"));
                }
                let [private, p, q] = [secret.number()?, secret.number()?, secret.number()?];
                let key = rsa_key([modulus, exponent, private, p, q]).ok_or(BROKEN)?;
                Ok(Kind::Rsa(Box::new(key)))
            }
            Self::Ecdh { point, derivation } => {
                let mut scalar = Zeroizing::new([0; 32]);
                let digits = secret.number()?;
                if digits.len() > scalar.len() {
                    return Err(BROKEN);
                }
                // It is written as a number, the highest byte first.
                scalar.iter_mut().zip(digits.iter().rev()).for_each(|(to, from)| *to = *from);
                let secret = StaticSecret::from(*scalar);
                if point_of(point) != Some(PublicKey::from(&secret)) {
                    return Err(BROKEN);
                }
                let &[1, hash @ 8..=10, cipher] = *derivation else { return Err(DERIVATION) };
                let cipher = Cipher::of(cipher).ok_or(DERIVATION)?;
                Ok(Kind::Ecdh(Box::new(Ecdh { secret, hash, cipher })))
            }
        }
    }
}

impl SecretKey {
    /// Of an SSH key, as `ssh-to-pgp` makes it: modulus, exponent, private exponent, and both primes.
    pub(crate) fn of_ssh_rsa(numbers: [&[u8]; 5]) -> Option<Self> {
        let [modulus, exponent, ..] = numbers;
        let fingerprint = Fingerprint::of_ssh_rsa(modulus, exponent)?;
        Some(Self { fingerprint, kind: Kind::Rsa(Box::new(rsa_key(numbers)?)) })
    }

    /// The key of a message out of what a packet of tag 1 holds for this key; `None` where it gives
    /// none, for whatever reason, so that nobody learns anything of a padding.
    pub(super) fn session(&self, algorithm: u8, mut body: Reader<'_>) -> Option<Session> {
        let opened = match (&self.kind, algorithm) {
            (Kind::Rsa(key), 1 | 2) => {
                let number = body.number().ok()?;
                let mut padded = vec![0; key.size().checked_sub(number.len())?];
                padded.extend_from_slice(number);
                Zeroizing::new(key.decrypt_blinded(&mut OsRng, Pkcs1v15Encrypt, &padded).ok()?)
            }
            (Kind::Ecdh(key), 18) => {
                let point = point_of(body.number().ok()?)?;
                let length = usize::from(body.byte().ok()?);
                let wrapped = body.take(length).ok()?;
                let kek = key.kek(&point, &self.fingerprint)?;
                unpad(&unwrap_key(key.cipher, &kek, wrapped)?)?
            }
            (Kind::Rsa(_) | Kind::Ecdh(_), _) => return None,
        };
        let (&cipher, rest) = opened.split_first()?;
        let (key, sum) = rest.split_last_chunk::<2>()?;
        let cipher = Cipher::of(cipher)?;
        let fits = key.len() == cipher.key_length() && bool::from(checksum(key).ct_eq(sum));
        fits.then(|| Session { cipher, key: Zeroizing::new(key.to_vec()) })
    }
}

impl Ecdh {
    /// The key that wraps (RFC 9580, section 11.5).
    fn kek(&self, point: &PublicKey, of: &Fingerprint) -> Option<Zeroizing<Vec<u8>>> {
        let shared = self.secret.diffie_hellman(point);
        if !shared.was_contributory() {
            return None;
        }
        let about = [
            &[0, 0, 0, 1],
            &shared.as_bytes()[..],
            &[10],
            CURVE_25519,
            &[18, 3, 1, self.hash, self.cipher.number()],
            b"Anonymous Sender    ",
            &of.0,
        ];
        let about = Zeroizing::new(about.concat());
        let hash = Zeroizing::new(match self.hash {
            8 => Sha256::digest(&about).to_vec(),
            9 => Sha384::digest(&about).to_vec(),
            _ => Sha512::digest(&about).to_vec(),
        });
        hash.get(..self.cipher.key_length()).map(|kek| Zeroizing::new(kek.to_vec()))
    }
}

/// What a message is encrypted with.
pub(super) struct Session {
    pub(super) cipher: Cipher,
    pub(super) key: Zeroizing<Vec<u8>>,
}

fn rsa_key(numbers: [&[u8]; 5]) -> Option<RsaPrivateKey> {
    let [modulus, exponent, private, p, q] = numbers.map(BigUint::from_bytes_be);
    RsaPrivateKey::from_components(modulus, exponent, private, vec![p, q]).ok()
}

fn point_of(number: &[u8]) -> Option<PublicKey> {
    let (0x40, point) = number.split_first()? else { return None };
    Some(PublicKey::from(<[u8; 32]>::try_from(point).ok()?))
}

/// Takes as many bytes off the end as the last of them says, if all of them say so.
fn unpad(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let count = *bytes.last()?;
    let (rest, padding) = bytes.split_at_checked(bytes.len().checked_sub(count.into())?)?;
    let is_padding = padding.iter().all(|byte| *byte == count) && count > 0;
    is_padding.then(|| Zeroizing::new(rest.to_vec()))
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    bytes.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte))).to_be_bytes()
}

/// The curve by its number (1.3.6.1.4.1.3029.1.5.1).
const CURVE_25519: &[u8] = &[0x2B, 6, 1, 4, 1, 0x97, 0x55, 1, 5, 1];
/// In bytes.
const LARGEST_RSA: usize = 1024;
/// Of a file; people have a handful.
const MOST_KEYS: usize = 64;
const BROKEN: Malformed = Malformed("a private key in it is damaged");
const DERIVATION: Malformed =
    Malformed("a private key in it derives keys in a way that is not known");
