//! PBES2 (RFC 8018): what keys of other programs are locked with. The library does all of it, but for one
//! look at what a file says.

use pkcs8::AlgorithmIdentifierRef;
use pkcs8::der::Decode;
use pkcs8::der::asn1::AnyRef;
use pkcs8::pkcs5::pbes2::{PBES2_OID, Parameters};

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
