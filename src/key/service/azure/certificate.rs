//! The proof of a service principal that has a certificate: a token that it signs itself (RFC 7523), in
//! the form that Microsoft's library for Go gives it (`accesstokens.go`). Nothing of the key is told.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rsa::rand_core::OsRng;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::tls::{PemItem, parse_pem};

use super::pkcs12::{Opener, Refusal};
use crate::key::service::error::Trouble;
use crate::key::service::surroundings::Surroundings;
use crate::key::{fill_random, pbes2};
use crate::plaintext::Plaintext;

/// What a client says of itself to whoever is asked at `audience`, for ten minutes from now; `to_adfs` says that
/// this is ADFS, which knows an older way to sign.
///
/// # Errors
/// [`Trouble::Credentials`], with the file, and how to write it so that it can be read.
pub(super) fn assertion(
    around: &Surroundings,
    file: &Path,
    audience: &str,
    client: &str,
    to_adfs: bool,
) -> Result<Plaintext, Trouble> {
    let unusable = |what: String| Trouble::Credentials(format!("{}: {what}", file.display()));
    let text = around.read(file).map_err(|error| unusable(error.to_string()))?;
    let password = around.variable("AZURE_CLIENT_CERTIFICATE_PASSWORD");
    #[expect(clippy::disallowed_methods, reason = "the key that signs is read from it")]
    let (key, chain) = parts(text.expose(), password, file).map_err(unusable)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let (alg, name, print) = if to_adfs {
        ("RS256", "x5t", Sha1::digest(leaf).to_vec())
    } else {
        ("PS256", "x5t#S256", Sha256::digest(leaf).to_vec())
    };
    let print = BASE64_URL_SAFE_NO_PAD.encode(print);
    let mut header = json!({"alg": alg, "typ": "JWT", name: print});
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
    let signature = if to_adfs {
        key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<Sha256>(), &digest)
    } else {
        key.sign_with_rng(&mut OsRng, Pss::new::<Sha256>(), &digest)
    };
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.map_err(|_| unsigned())?);
    Ok(Plaintext::new(format!("{said}.{signature}").into_bytes()))
}

/// The key of a file, and its certificates, that of the key first.
fn parts(
    text: &[u8],
    password: Option<&str>,
    file: &Path,
) -> Result<(RsaPrivateKey, Vec<Vec<u8>>), String> {
    let name = file.display().to_string();
    let name = shell_words::quote(&name);
    let holds = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let (mut keys, mut chain) = if text.first() == Some(&DER) && !holds(PEM) {
        of_pkcs12(text, password, &name)?
    } else if holds(ENCRYPTED) {
        return Err(format!(
            "its key is encrypted; `openssl pkey -in {name} -out NEW.pem` writes the key in the open, \
             and `openssl x509 -in {name} >>NEW.pem` the certificate behind it"
        ));
    } else {
        of_pem(text)?
    };
    let key = match (keys.pop(), keys.is_empty()) {
        (Some(one), true) => one.ok_or("its key is no RSA key, and only those can sign here")?,
        (None, _) => return Err("there is no private key in it".to_owned()),
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

/// The keys of a file, none in place of one that is not of RSA, and its certificates.
type Found = (Vec<Option<RsaPrivateKey>>, Vec<Vec<u8>>);

fn of_pem(text: &[u8]) -> Result<Found, String> {
    let (mut keys, mut chain) = (Vec::new(), Vec::new());
    for item in parse_pem(text) {
        match item {
            Ok(PemItem::Certificate(one)) => chain.push(one.der().to_vec()),
            Ok(PemItem::PrivateKey(one)) => keys.push(rsa_key(one.der())),
            Ok(_) => {}
            Err(_) => return Err("it is not PEM".to_owned()),
        }
    }
    Ok((keys, chain))
}

fn of_pkcs12(file: &[u8], password: Option<&str>, name: &str) -> Result<Found, String> {
    let opener = Opener::new(password.unwrap_or_default(), pbes2::MOST_ROUNDS);
    let contents = opener.read(file).map_err(|refusal| {
        let what = match (refusal, password) {
            (Refusal::Password, None) => "it has a password",
            (Refusal::Password, Some(_)) => "it was changed, or its password is another one",
            (Refusal::Malformed, _) => {
                return "it is neither PEM nor PKCS#12 in DER, or not whole; give the whole file, in one \
                        of them"
                    .to_owned();
            }
            (Refusal::Protection, _) => "its PKCS#12 is not protected in a way that is known here",
            (Refusal::Rounds, _) => "its PKCS#12 asks for more than 10,000,000 rounds",
        };
        if refusal == Refusal::Password {
            return format!("{what}; set AZURE_CLIENT_CERTIFICATE_PASSWORD to it");
        }
        format!("{what}; `openssl pkcs12 -in {name} -nodes -out NEW.pem` writes it as PEM")
    })?;
    #[expect(clippy::disallowed_methods, reason = "the key that signs is made of it")]
    let keys = contents.keys.iter().map(|key| rsa_key(key.expose())).collect();
    Ok((keys, contents.certificates))
}

/// The key in PKCS#8, or in the older form.
fn rsa_key(der: &[u8]) -> Option<RsaPrivateKey> {
    RsaPrivateKey::from_pkcs8_der(der).or_else(|_| RsaPrivateKey::from_pkcs1_der(der)).ok()
}

/// Seconds.
const LIFE: u64 = 600;
/// What a file in DER begins with: a sequence.
const DER: u8 = 0x30;
/// What is in each file of PEM.
const PEM: &[u8] = b"-----BEGIN ";
/// In the first line of a PKCS#8 key, or the second of an older one, that a passphrase opens.
const ENCRYPTED: &[u8] = b"ENCRYPTED";
