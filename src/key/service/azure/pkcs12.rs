//! PKCS#12 (RFC 7292) as far as keys and certificates under a password go: what OpenSSL and its like write
//! today, and what they wrote before. Nothing is believed before the MAC is checked, no file makes work
//! without end, and no error repeats anything of one.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecryptMut, KeyInit, KeyIvInit};
use hmac::digest::core_api::BlockSizeUser;
use hmac::{Mac, SimpleHmac};
use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{self, Choice, Decode, DecodeValue, Encode, Reader, SliceReader, Tag, Tagged};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::key::pbes2;
use crate::plaintext::Plaintext;

/// What a file holds.
#[derive(Default)]
pub(in crate::key::service) struct Contents {
    /// In PKCS#8.
    pub(in crate::key::service) keys: Vec<Plaintext>,
    /// In DER.
    pub(in crate::key::service) certificates: Vec<Vec<u8>>,
}

/// Why nothing is read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::key::service) enum Refusal {
    /// It is something else, or not whole.
    Malformed,
    /// The password is another one, or the file was changed.
    Password,
    /// It is protected in a way that is not known here, or not at all.
    Protection,
    /// It asks for more rounds than anybody needs.
    Rounds,
}

/// Reads with a password.
pub(in crate::key::service) struct Opener {
    /// What PBES2 takes.
    password: Zeroizing<Vec<u8>>,
    /// What all else takes: UTF-16, and a zero behind it.
    wide: Zeroizing<Vec<u8>>,
    /// How many more rounds a file may ask for.
    rounds: u32,
}

impl Opener {
    /// One that makes so many rounds at the most.
    pub(in crate::key::service) fn new(password: &str, rounds: u32) -> Self {
        // So long that nothing is left behind where it grows.
        let mut wide =
            Zeroizing::new(Vec::with_capacity(password.len().saturating_add(1).saturating_mul(2)));
        wide.extend(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
        Self { password: Zeroizing::new(password.as_bytes().to_vec()), wide, rounds }
    }

    /// What a file holds.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(in crate::key::service) fn read(mut self, file: &[u8]) -> Result<Contents, Refusal> {
        let file = sequence(whole(file)?)?;
        let [version, safe, mac @ ..] = file.as_slice() else { return Err(Refusal::Malformed) };
        let (kind, content) = typed(*safe)?;
        if as_a::<u8>(*version)? != 3 || kind != DATA {
            return Err(Refusal::Protection);
        }
        let [mac] = mac else { return Err(Refusal::Protection) };
        let content = octets(content)?;
        self.check(*mac, content)?;
        self.safes(content)
    }

    /// Whether a MAC is of this content and this password.
    fn check(&mut self, mac: AnyRef<'_>, content: &[u8]) -> Result<(), Refusal> {
        let mac = sequence(mac)?;
        let [sum, salt, rounds @ ..] = mac.as_slice() else { return Err(Refusal::Malformed) };
        let sum = sequence(*sum)?;
        let [algorithm, sum] = sum.as_slice() else { return Err(Refusal::Malformed) };
        let fits = match as_a::<AlgorithmIdentifierRef<'_>>(*algorithm)?.oid {
            SHA_1 => fits::<Sha1>,
            SHA_256 => fits::<Sha256>,
            SHA_384 => fits::<Sha384>,
            SHA_512 => fits::<Sha512>,
            _ => return Err(Refusal::Protection),
        };
        let (salt, sum) = (octets(*salt)?, octets(*sum)?);
        let rounds = rounds.first().map_or(1, |rounds| count(*rounds));
        let rounds = self.spend(rounds)?;
        if fits(&self.wide, salt, rounds, content, sum) {
            return Ok(());
        }
        // Some take an empty password for no bytes at all.
        if self.password.is_empty() && fits(&[], salt, rounds, content, sum) {
            self.wide.clear();
            return Ok(());
        }
        Err(Refusal::Password)
    }

    /// What lies in the parts that a MAC vouches for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(in crate::key::service) fn safes(mut self, content: &[u8]) -> Result<Contents, Refusal> {
        let mut contents = Contents::default();
        for safe in sequence(whole(content)?)? {
            match typed(safe)? {
                (DATA, bags) => self.bags(octets(bags)?, &mut contents)?,
                (ENCRYPTED_DATA, data) => {
                    let data = sequence(data)?;
                    let [_version, data] = data.as_slice() else { return Err(Refusal::Malformed) };
                    let data = sequence(*data)?;
                    let [_kind, algorithm, sealed] = data.as_slice() else {
                        return Err(Refusal::Malformed);
                    };
                    let bags = self.decrypt(*algorithm, sealed.value())?;
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "keys are copied into their own"
                    )]
                    self.bags(bags.expose(), &mut contents)?;
                }
                _ => return Err(Refusal::Protection),
            }
        }
        Ok(contents)
    }

    fn bags(&mut self, bags: &[u8], contents: &mut Contents) -> Result<(), Refusal> {
        for bag in sequence(whole(bags)?)? {
            match typed(bag)? {
                (KEY, key) => contents.keys.push(Plaintext::new(key.to_der()?)),
                (SHROUDED_KEY, key) => {
                    let key = sequence(key)?;
                    let [algorithm, sealed] = key.as_slice() else {
                        return Err(Refusal::Malformed);
                    };
                    contents.keys.push(self.decrypt(*algorithm, octets(*sealed)?)?);
                }
                (CERTIFICATE, certificate) => {
                    if let (X509, certificate) = typed(certificate)? {
                        contents.certificates.push(octets(certificate)?.to_vec());
                    }
                }
                // Lists of what is revoked, and secrets that are no keys.
                _ => {}
            }
        }
        Ok(())
    }

    fn decrypt(&mut self, algorithm: AnyRef<'_>, sealed: &[u8]) -> Result<Plaintext, Refusal> {
        let algorithm: AlgorithmIdentifierRef<'_> = as_a(algorithm)?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let open = if let Some(scheme) = pbes2::scheme(algorithm) {
            // What rounds do not count, scrypt, takes as much memory as a file says.
            self.spend(scheme.kdf.pbkdf2().ok_or(Refusal::Protection)?.iteration_count)?;
            let opened = scheme.decrypt_in_place(&*self.password, &mut buffer);
            opened.map_err(|error| {
                if pbes2::is_padding(error) { Refusal::Password } else { Refusal::Protection }
            })?
        } else {
            let (open, length): (Legacy, _) = match algorithm.oid {
                TRIPLE_DES => (legacy::<des::TdesEde3>, 24),
                RC2_40 => (legacy::<rc2::Rc2>, 5),
                _ => return Err(Refusal::Protection),
            };
            let parameters = sequence(algorithm.parameters.ok_or(Refusal::Malformed)?)?;
            let [salt, rounds] = parameters.as_slice() else { return Err(Refusal::Malformed) };
            let (salt, rounds) = (octets(*salt)?, self.spend(count(*rounds))?);
            let key = derived::<Sha1>(1, &self.wide, salt, rounds, length);
            let start = derived::<Sha1>(2, &self.wide, salt, rounds, 8);
            open(&key, &start, &mut buffer)?
        };
        Ok(Plaintext::copy_of(open))
    }

    fn spend(&mut self, rounds: u32) -> Result<u32, Refusal> {
        self.rounds = self.rounds.checked_sub(rounds).ok_or(Refusal::Rounds)?;
        Ok(rounds)
    }
}

/// Decrypts as of the schemes of PKCS#12 itself (RFC 7292, appendix C).
type Legacy = for<'a> fn(&[u8], &[u8], &'a mut [u8]) -> Result<&'a [u8], Refusal>;

fn legacy<'a, C: BlockCipher + BlockDecryptMut + KeyInit>(
    key: &[u8],
    start: &[u8],
    buffer: &'a mut [u8],
) -> Result<&'a [u8], Refusal> {
    let cipher = Decryptor::<C>::new_from_slices(key, start);
    let cipher = cipher.map_err(|_| Refusal::Protection)?;
    cipher.decrypt_padded_mut::<Pkcs7>(buffer).map_err(|_| Refusal::Password)
}

/// Whether a sum is the HMAC of a content, in constant time.
fn fits<D: Digest + BlockSizeUser>(
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    content: &[u8],
    sum: &[u8],
) -> bool {
    let key = derived::<D>(3, password, salt, rounds, <D as Digest>::output_size());
    let hmac = <SimpleHmac<D> as Mac>::new_from_slice(&key);
    hmac.is_ok_and(|hmac| hmac.chain_update(content).verify_slice(sum).is_ok())
}

/// Bytes of a password for one purpose (RFC 7292, appendix B): 1 is a key, 2 the start of a chain of
/// blocks, 3 the key of a MAC.
fn derived<D: Digest + BlockSizeUser>(
    purpose: u8,
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = D::block_size();
    let filled = |bytes: &[u8]| bytes.len().div_ceil(block).saturating_mul(block);
    let mut input =
        Zeroizing::new(Vec::with_capacity(filled(salt).saturating_add(filled(password))));
    for bytes in [salt, password] {
        input.extend(bytes.iter().cycle().take(filled(bytes)));
    }
    let mut made = Zeroizing::new(Vec::with_capacity(length.saturating_add(block)));
    while made.len() < length {
        let mut hash = D::new().chain_update(vec![purpose; block]).chain_update(&*input).finalize();
        for _ in 1..rounds {
            hash = D::digest(&hash);
        }
        made.extend_from_slice(&hash);
        // Each block of the input becomes its sum with the hash, repeated, and one.
        for block in input.chunks_mut(block) {
            let mut carry = 1_u16;
            let repeated = hash.iter().cycle().take(block.len());
            let repeated = Zeroizing::new(repeated.copied().collect::<Vec<u8>>());
            for (byte, other) in block.iter_mut().zip(&*repeated).rev() {
                carry = carry.wrapping_add(u16::from(*byte)).wrapping_add(u16::from(*other));
                *byte = carry.to_be_bytes()[1];
                carry >>= 8;
            }
        }
        hash.as_mut_slice().zeroize();
    }
    made.truncate(length);
    made
}

/// The one value in some bytes.
fn whole(bytes: &[u8]) -> Result<AnyRef<'_>, Refusal> {
    Ok(AnyRef::from_der(bytes)?)
}

fn sequence(value: AnyRef<'_>) -> Result<Vec<AnyRef<'_>>, Refusal> {
    if value.tag() != Tag::Sequence {
        return Err(Refusal::Malformed);
    }
    let mut reader = SliceReader::new(value.value())?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(AnyRef::decode(&mut reader)?);
    }
    Ok(parts)
}

/// What begins with its type; the value is in a tag of its own.
fn typed(value: AnyRef<'_>) -> Result<(ObjectIdentifier, AnyRef<'_>), Refusal> {
    match sequence(value)?.as_slice() {
        [kind, value, ..] => Ok((as_a(*kind)?, whole(value.value())?)),
        _ => Err(Refusal::Malformed),
    }
}

/// A number, or more than anything takes.
fn count(value: AnyRef<'_>) -> u32 {
    value.decode_as().unwrap_or(u32::MAX)
}

fn octets(value: AnyRef<'_>) -> Result<&[u8], Refusal> {
    Ok(as_a::<OctetStringRef<'_>>(value)?.as_bytes())
}

fn as_a<'a, T: Choice<'a> + DecodeValue<'a>>(value: AnyRef<'a>) -> Result<T, Refusal> {
    Ok(value.decode_as()?)
}

impl From<der::Error> for Refusal {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
const X509: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");
const TRIPLE_DES: ObjectIdentifier = oid("1.2.840.113549.1.12.1.3");
const RC2_40: ObjectIdentifier = oid("1.2.840.113549.1.12.1.6");
const KEY: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const SHA_1: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const NEW: &[u8] = include_bytes!("../../../../testdata/pkcs12/new.p12");
    const LEGACY: &[u8] = include_bytes!("../../../../testdata/pkcs12/legacy.p12");
    const OPEN: &[u8] = include_bytes!("../../../../testdata/pkcs12/in-the-open.p12");
    const EMPTY: &[u8] = include_bytes!("../../../../testdata/pkcs12/empty-password.p12");
    const FILES: [(&[u8], &str, usize); 4] =
        [(NEW, "test-only", 1), (LEGACY, "test-only", 2), (OPEN, "test-only", 1), (EMPTY, "", 1)];

    /// The keys, and the certificates.
    #[expect(clippy::disallowed_methods, reason = "a test compares what is in them")]
    fn read(file: &[u8], password: &str, rounds: u32) -> Result<[Vec<Vec<u8>>; 2], Refusal> {
        let Contents { keys, certificates } = Opener::new(password, rounds).read(file)?;
        Ok([keys.iter().map(|key| key.expose().to_vec()).collect(), certificates])
    }

    #[test]
    fn a_password_opens_its_file() {
        for (file, password, certificates) in FILES {
            let found = read(file, password, 9).unwrap();
            assert_eq!(found.each_ref().map(Vec::len), [1, certificates]);
            for other in ["test-onlY", "test-only ", " "] {
                assert_eq!(read(file, other, 9), Err(Refusal::Password));
            }
        }
        // What is not encrypted has a MAC nevertheless.
        assert_eq!(read(OPEN, "", 9), Err(Refusal::Password));
    }

    #[test]
    fn rounds_count_for_all_of_a_file() {
        for (file, password, most) in
            [(NEW, "test-only", 9), (LEGACY, "test-only", 9), (OPEN, "test-only", 3)]
        {
            assert!(read(file, password, most).is_ok());
            for fewer in 0..most {
                assert_eq!(read(file, password, fewer), Err(Refusal::Rounds));
            }
        }
        // More than anybody needs is told as that, before any of them is made.
        let many = pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(
            pbes2::MOST_ROUNDS + 1,
            b"salt-of-a-test",
            &[7; 16],
        );
        let many = pkcs5::EncryptionScheme::Pbes2(many.unwrap()).to_der().unwrap();
        let opened =
            Opener::new("test-only", pbes2::MOST_ROUNDS).decrypt(whole(&many).unwrap(), b"a key");
        assert_eq!(opened.err(), Some(Refusal::Rounds));
        // Scrypt has none, and takes memory.
        let params = pkcs5::scrypt::Params::new(1, 1, 1, 32).unwrap();
        let scheme =
            pkcs5::pbes2::Parameters::scrypt_aes256cbc(params, b"salt-of-a-test", &[7; 16]);
        let scheme = scheme.unwrap();
        let sealed = scheme.encrypt(b"test-only", b"a key").unwrap();
        let algorithm = pkcs5::EncryptionScheme::Pbes2(scheme).to_der().unwrap();
        let opened = Opener::new("test-only", 9).decrypt(whole(&algorithm).unwrap(), &sealed);
        assert_eq!(opened.err(), Some(Refusal::Protection));
    }

    proptest! {
        #[test]
        fn what_was_changed_gives_nothing_else(which in 0..FILES.len(), at: prop::sample::Index, bit in 0..8_u8) {
            let (file, password, _) = FILES[which];
            let mut changed = file.to_vec();
            changed[at.index(file.len())] ^= 1_u8 << bit;
            if let Ok(found) = read(&changed, password, 1000) {
                prop_assert_eq!(found, read(file, password, 1000).unwrap());
            }
        }

        #[test]
        fn what_is_cut_off_is_refused(which in 0..FILES.len(), at: prop::sample::Index) {
            let (file, password, _) = FILES[which];
            let (cut, _) = file.split_at(at.index(file.len()));
            prop_assert_eq!(read(cut, password, 1000).unwrap_err(), Refusal::Malformed);
        }

        #[test]
        fn any_inner_part_is_taken_without_harm(
            which in 0..FILES.len(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
        ) {
            let (file, password, _) = FILES[which];
            let file = sequence(whole(file).unwrap()).unwrap();
            let mut inner = octets(typed(file[1]).unwrap().1).unwrap().to_vec();
            for (at, byte) in changes {
                let at = at.index(inner.len());
                inner[at] = byte;
            }
            let _read_or_refused = Opener::new(password, 1000).safes(&inner);
        }
    }
}
