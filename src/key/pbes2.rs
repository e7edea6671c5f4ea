//! PBES2 (RFC 8018): what keys of other programs are locked with. The library does all of it, but for a
//! look at what a file says.

use pkcs8::AlgorithmIdentifierRef;
use pkcs8::der::Decode;
use pkcs8::der::asn1::AnyRef;
use pkcs8::pkcs5;
use pkcs8::pkcs5::pbes2::{Kdf, PBES2_OID, Parameters};

/// What a file says that it is locked with; none where it is something else.
pub(crate) fn scheme(algorithm: AlgorithmIdentifierRef<'_>) -> Option<Parameters<'_>> {
    let parameters = algorithm.parameters.filter(|_| algorithm.oid == PBES2_OID)?;
    let (kdf, cipher) = parameters
        .sequence(|both| {
            Ok((AlgorithmIdentifierRef::decode(both)?, AlgorithmIdentifierRef::decode(both)?))
        })
        .ok()?;
    // For triple DES, the library takes as many bytes of the start as a block has without a look.
    cipher.parameters.filter(|start: &AnyRef<'_>| start.value().len() >= 8)?;
    Some(Parameters { kdf: kdf.try_into().ok()?, encryption: cipher.try_into().ok()? })
}

/// Whether it takes no more work and memory than anybody needs: the file may be of somebody else.
pub(crate) fn is_usual(scheme: &Parameters<'_>) -> bool {
    match &scheme.kdf {
        Kdf::Pbkdf2(of) => of.iteration_count <= MOST_ROUNDS,
        Kdf::Scrypt(of) => {
            let blocks = u64::from(of.block_size).saturating_mul(u64::from(of.parallelization));
            of.cost_parameter.saturating_mul(blocks).saturating_mul(128) <= MOST_MEMORY
        }
        _ => false,
    }
}

/// Whether what was decrypted is padded wrongly, as with another password. The library names it so.
pub(crate) fn is_padding(error: pkcs5::Error) -> bool {
    error == pkcs5::Error::EncryptFailed
}

/// Rounds that a file may ask for. OpenSSL and Windows take some thousands each time; this is some seconds.
pub(crate) const MOST_ROUNDS: u32 = 10_000_000;
/// Bytes that scrypt fills, one time after the other or at once: 1 GiB.
const MOST_MEMORY: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use pkcs8::der::Encode;
    use pkcs8::pkcs5::pbes2::{EncryptionScheme, Pbkdf2Params, Pbkdf2Prf, ScryptParams};

    use super::*;

    fn is_taken(kdf: Kdf<'_>) -> bool {
        let all = Parameters { kdf, encryption: EncryptionScheme::Aes256Cbc { iv: &[0; 16] } };
        let all = all.to_der().unwrap();
        let parameters = Some(AnyRef::from_der(&all).unwrap());
        let algorithm = AlgorithmIdentifierRef { oid: PBES2_OID, parameters };
        is_usual(&scheme(algorithm).unwrap())
    }

    #[test]
    fn no_file_makes_work_or_takes_memory_without_end() {
        let rounds = |iteration_count| {
            let prf = Pbkdf2Prf::HmacWithSha256;
            Kdf::Pbkdf2(Pbkdf2Params { salt: &[0; 8], iteration_count, key_length: None, prf })
        };
        assert!(is_taken(rounds(MOST_ROUNDS)));
        assert!(!is_taken(rounds(MOST_ROUNDS + 1)));
        let scrypt = |cost_parameter, block_size, parallelization| {
            let (salt, key_length) = (&[0; 8], None);
            let all =
                ScryptParams { salt, cost_parameter, block_size, parallelization, key_length };
            Kdf::Scrypt(all)
        };
        // what OpenSSL takes, and the most
        assert!(is_taken(scrypt(1 << 14, 8, 1)));
        assert!(is_taken(scrypt(1 << 20, 8, 1)));
        for (n, r, p) in [(1 << 21, 8, 1), (1 << 20, 16, 1), (1 << 20, 8, 2), (1 << 60, 8, 1)] {
            assert!(!is_taken(scrypt(n, r, p)), "{n} {r} {p}");
        }
    }
}
