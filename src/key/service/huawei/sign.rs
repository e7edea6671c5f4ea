//! SDK-HMAC-SHA256, the signature of Huawei's gateways: as that of AWS, but with the secret access
//! key itself for the key, and without a scope.

use hmac::{Hmac, Mac};
use reqsign_core::time::Timestamp;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;
use crate::key::service::error::Trouble;
use crate::key::service::http::{Call, authority_of};
use crate::plaintext::Plaintext;

/// What is asked, before it is signed.
pub(in crate::key::service) struct Question<'a> {
    pub(in crate::key::service) method: &'static str,
    /// `https://HOST`
    pub(in crate::key::service) address: &'a str,
    /// The path, escaped.
    pub(in crate::key::service) way: &'a str,
    /// The query, escaped, without `?`; may be empty.
    pub(in crate::key::service) query: &'a str,
    pub(in crate::key::service) project: Option<&'a str>,
    pub(in crate::key::service) body: Option<Plaintext>,
}

/// A request with its signature, which is of this moment.
pub(in crate::key::service) fn signed(
    question: Question<'_>,
    credentials: &Credentials,
) -> Result<Call, Trouble> {
    signed_at(question, credentials, &Timestamp::now().format_iso8601())
}

#[expect(clippy::disallowed_methods, reason = "the secret signs, and the body is what is signed")]
fn signed_at(
    question: Question<'_>,
    credentials: &Credentials,
    date: &str,
) -> Result<Call, Trouble> {
    let Question { method, address, way, query, project, body } = question;
    let host = authority_of(address).ok_or(Trouble::Name("its address is not one"))?;
    let text = |text: &str| Plaintext::copy_of(text.as_bytes());
    // In the order of their names.
    let mut headers = vec![("content-type".to_owned(), text("application/json"))];
    headers.push(("host".to_owned(), text(&host)));
    if let Some(project) = project {
        headers.push(("x-project-id".to_owned(), text(project)));
    }
    headers.push(("x-sdk-date".to_owned(), text(date)));
    if let Some(token) = &credentials.token {
        headers.push(("x-security-token".to_owned(), Plaintext::copy_of(token.expose())));
    }
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let mut canonical = Plaintext::copy_of(format!("{method}\n{way}/\n{query}\n").as_bytes());
    for (name, value) in &headers {
        for part in [name.as_bytes(), b":", value.expose(), b"\n"] {
            canonical.extend(part);
        }
    }
    let digest =
        hex::encode(Sha256::digest(body.as_ref().map(Plaintext::expose).unwrap_or_default()));
    canonical.extend(format!("\n{names}\n{digest}").as_bytes());
    let to_sign =
        format!("SDK-HMAC-SHA256\n{date}\n{}", hex::encode(Sha256::digest(canonical.expose())));
    let mut mac = Hmac::<Sha256>::new_from_slice(credentials.secret.expose())
        .map_err(|_| Trouble::Credentials("the secret access key is none".to_owned()))?;
    mac.update(to_sign.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let header = format!(
        "SDK-HMAC-SHA256 Access={}, SignedHeaders={names}, Signature={signature}",
        credentials.id
    );
    headers.retain(|(name, _)| name != "host");
    headers.push(("authorization".to_owned(), text(&header)));
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{}{way}{mark}{query}", address.trim_end_matches('/'));
    Ok(Call { method, url, headers, body, for_credentials: false })
}
