//! The proof of a service principal that has a certificate: a token that it signs itself (RFC 7523), in
//! the form that Microsoft's library for Go gives it (`accesstokens.go`). Nothing of the key is told.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rsa::rand_core::OsRng;
use rsa::{Pss, RsaPrivateKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use ureq::tls::{PemItem, PrivateKey, parse_pem};

use crate::key::fill_random;
use crate::key::service::error::Trouble;
use crate::key::service::surroundings::Surroundings;
use crate::plaintext::Plaintext;

/// What a client says of itself to whoever is asked at `audience`, for ten minutes from now.
///
/// # Errors
/// [`Trouble::Credentials`], with the file, and how to write it so that it can be read.
pub(super) fn assertion(
    around: &Surroundings,
    file: &Path,
    audience: &str,
    client: &str,
) -> Result<Plaintext, Trouble> {
    let unusable = |what: String| Trouble::Credentials(format!("{}: {what}", file.display()));
    let text = around.read(file).map_err(|error| unusable(error.to_string()))?;
    #[expect(clippy::disallowed_methods, reason = "the key that signs is read from it")]
    let (key, chain) = parts(text.expose(), file).map_err(unusable)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let mut header = json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(leaf)),
    });
    let chained = around.variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
    if chained.is_some_and(|said| said == "1" || said.eq_ignore_ascii_case("true")) {
        let all = chain.iter().map(|one| BASE64_STANDARD.encode(one)).collect();
        header.as_object_mut().map(|header| header.insert("x5c".to_owned(), all));
    }
    let unsigned = || unusable("its key cannot sign".to_owned());
    let mut id = [0; 16];
    fill_random(&mut id).map_err(|_| unsigned())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({
        "aud": audience,
        "exp": now.saturating_add(LIFE),
        "iss": client,
        "jti": hex::encode(id),
        "nbf": now,
        "sub": client,
    });
    let said = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let said = said.join(".");
    let digest = Sha256::digest(&said);
    let signature = key.sign_with_rng(&mut OsRng, Pss::new::<Sha256>(), &digest);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.map_err(|_| unsigned())?);
    Ok(Plaintext::new(format!("{said}.{signature}").into_bytes()))
}

/// The key of a file, and its certificates, that of the key first.
fn parts(text: &[u8], file: &Path) -> Result<(RsaPrivateKey, Vec<Vec<u8>>), String> {
    let name = file.display().to_string();
    let name = shell_words::quote(&name);
    if text.first() == Some(&DER) {
        return Err(format!(
            "it is PKCS#12; `openssl pkcs12 -in {name} -nodes -out NEW.pem` writes it as PEM"
        ));
    }
    if text.windows(ENCRYPTED.len()).any(|word| word == ENCRYPTED) {
        return Err(format!(
            "its key is encrypted; `openssl pkey -in {name} -out NEW.pem` writes the key in the open, \
             and `openssl x509 -in {name} >>NEW.pem` the certificate behind it"
        ));
    }
    let (mut keys, mut chain) = (Vec::new(), Vec::new());
    for item in parse_pem(text) {
        match item {
            Ok(PemItem::Certificate(one)) => chain.push(one.der().to_vec()),
            Ok(PemItem::PrivateKey(one)) => keys.push(one),
            Ok(_) => {}
            Err(_) => return Err("it is not PEM".to_owned()),
        }
    }
    let key = match keys.as_slice() {
        [one] => rsa_key(one).ok_or("its key is no RSA key, and only those can sign here")?,
        [] => return Err("there is no private key in it".to_owned()),
        _ => return Err("there are several private keys in it".to_owned()),
    };
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    // All of a certificate's public key stands in it as it stands here: DER knows one spelling.
    let public = key.to_public_key().to_public_key_der().map_err(|error| error.to_string())?;
    let public = public.as_bytes();
    let is_own = |one: &Vec<u8>| one.windows(public.len()).any(|part| part == public);
    let own = chain.iter().position(is_own).ok_or("none of its certificates is of its key")?;
    let own = chain.remove(own);
    chain.insert(0, own);
    Ok((key, chain))
}

/// The key in PKCS#8, or in the older form.
fn rsa_key(key: &PrivateKey<'_>) -> Option<RsaPrivateKey> {
    let der = key.der();
    RsaPrivateKey::from_pkcs8_der(der).or_else(|_| RsaPrivateKey::from_pkcs1_der(der)).ok()
}

/// Seconds.
const LIFE: u64 = 600;
/// What a file in DER begins with: a sequence.
const DER: u8 = 0x30;
/// In the first line of a PKCS#8 key, or the second of an older one, that a passphrase opens.
const ENCRYPTED: &[u8] = b"ENCRYPTED";
