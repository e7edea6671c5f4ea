//! AWS KMS: `Encrypt` and `Decrypt` of its JSON protocol, signed with the credentials that its own
//! programs would find. Follows `kms/keysource.go` of sops, and the SDK for Go in the order of
//! sources, endpoints and what a profile may say ([`profile`]).

mod credentials;
mod profile;
mod sso;
mod sts;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::prelude::BASE64_STANDARD;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::SignRequest;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::borrowed::Borrowed;
use super::error::Trouble;
use super::http::{Answer, Call, Http, Tls};
use super::said::both;
use super::surroundings::Surroundings;
use super::text::{self, Text, body, encoded, parsed, quoted, unwrapped, wrapped_text};
use crate::plaintext::Plaintext;

/// AWS in a run: each role and profile is asked for its credentials once.
#[derive(Default)]
pub(super) struct Aws {
    http: OnceLock<Arc<Http>>,
    known: Mutex<HashMap<Who, Arc<Mutex<Option<Found>>>>>,
}

type Found = Result<Credential, Trouble>;

/// As whom KMS is asked: profile, role, and the region where the role is taken on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    profile: String,
    role: Option<String>,
    region: String,
}

/// One key.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// `arn:aws:kms:REGION:ACCOUNT:key/ID`
    pub(super) arn: &'a str,
    /// A role to take on first.
    pub(super) role: Option<&'a str>,
    /// The encryption context.
    pub(super) context: &'a BTreeMap<String, String>,
    /// The profile of the credentials; may be empty.
    pub(super) profile: &'a str,
}

impl Aws {
    /// Wraps a secret; Base64 of what KMS makes of it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn wrap(
        &self,
        around: &Arc<Surroundings>,
        key: &Key<'_>,
        secret: &Plaintext,
    ) -> Result<String, Trouble> {
        let text = encoded(secret);
        let answer = self.ask(around, key, "TrentService.Encrypt", "Plaintext", &text)?;
        wrapped_text(&answer)
    }

    /// Unwraps what KMS has wrapped.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn unwrap(
        &self,
        around: &Arc<Surroundings>,
        key: &Key<'_>,
        enc: &str,
    ) -> Result<Plaintext, Trouble> {
        let answer = self.ask(around, key, "TrentService.Decrypt", "CiphertextBlob", enc)?;
        unwrapped(&answer, &BASE64_STANDARD)
    }

    fn ask(
        &self,
        around: &Arc<Surroundings>,
        key: &Key<'_>,
        target: &str,
        name: &str,
        value: &str,
    ) -> Result<Answer, Trouble> {
        let (partition, region) = place(key.arn)?;
        let http = self.http.get_or_init(|| Arc::new(Http::new(tls(around))));
        let credential = self.credential(around, http, key, region)?;
        let profile = profile::Profile::of(around, key.profile);
        let url = endpoint(around, &profile, "kms", partition, region);
        let signer = RequestSigner::new("kms", region);
        let arn = quoted(key.arn);
        let value = zeroize::Zeroizing::new(quoted(value));
        let encryption_context = if key.context.is_empty() {
            String::new()
        } else {
            let pairs = key.context.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v)));
            format!(",\"EncryptionContext\":{{{}}}", pairs.collect::<Vec<_>>().join(","))
        };
        let call = || {
            let head = format!("{{\"KeyId\":{arn},\"{name}\":");
            let body = body(&[&head, &value, &encryption_context, "}"]);
            let headers =
                [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
            signed(around, http, &signer, &credential, &url, &headers, body)
        };
        let busy = |answer: &Answer| answer.is_busy() || is_throttled(answer);
        http.insist(around, &busy, &call, &|answer| refusal(answer, &credential, &value))
    }

    /// The credentials for a key, found once; those who come meanwhile wait.
    fn credential(
        &self,
        around: &Arc<Surroundings>,
        http: &Arc<Http>,
        key: &Key<'_>,
        region: &str,
    ) -> Found {
        let who = Who {
            profile: key.profile.to_owned(),
            role: key.role.map(str::to_owned),
            region: region.to_owned(),
        };
        let place = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(who.clone()).or_default())
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = place.as_ref() {
            return found.clone();
        }
        let found = credentials::find(around, http, &who.profile, region);
        let found = match (found, &who.role) {
            (Ok(first), Some(role)) => {
                let session = sts::session_name();
                let wish = sts::Role { arn: role, session: &session, external_id: None };
                let profile = profile::Profile::of(around, key.profile);
                sts::take_on(around, http, &profile, &first, &wish, region)
            }
            (found, _) => found,
        };
        place.insert(found).clone()
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow, rename = "__type", default)]
    code: Text<'a>,
    #[serde(borrow, default, alias = "Message")]
    message: Text<'a>,
}

/// All that is read of an answer.
#[expect(clippy::disallowed_methods, reason = "a credential, as the crate that signs has it")]
pub(super) fn read(answer: &Answer, secret: &Plaintext) -> Vec<Trouble> {
    let secret_access_key = String::from_utf8_lossy(secret.expose()).into_owned();
    let access_key_id = "AKIAIOSFODNN7EXAMPLE".to_owned();
    let credential =
        Credential { access_key_id, secret_access_key, session_token: None, expires_in: None };
    let mut troubles = text::read(answer, &BASE64_STANDARD);
    troubles.extend(sts::credentials_in(answer, &[secret], "arn:aws:iam::1:role/r").err());
    troubles.push(refusal(answer, &credential, ""));
    troubles
}

/// A request with its signature, which is of this moment.
#[expect(
    clippy::disallowed_methods,
    reason = "the signature is over the body; its headers are credentials"
)]
fn signed(
    around: &Arc<Surroundings>,
    http: &Arc<Http>,
    signer: &RequestSigner,
    credential: &Credential,
    url: &str,
    headers: &[(&str, &str)],
    body: Plaintext,
) -> Result<Call, Trouble> {
    let digest = Sha256::digest(body.expose());
    let mut request = http::Request::post(url).header("x-amz-content-sha256", hex::encode(digest));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).map_err(|_| Trouble::Name("its address is not one"))?;
    let (mut head, ()) = request.into_parts();
    let context = Borrowed::new(around, http).context;
    pollster::block_on(signer.sign_request(&context, &mut head, Some(credential), None))
        .map_err(|_| Trouble::Credentials("they cannot sign, or have run out".to_owned()))?;
    let headers = head.headers.iter();
    let headers = headers
        .filter(|(name, _)| name.as_str() != "host")
        .map(|(name, value)| (name.as_str().to_owned(), Plaintext::copy_of(value.as_bytes())));
    let headers = headers.collect();
    let url = url.to_owned();
    Ok(Call { method: "POST", url, headers, body: Some(body), for_credentials: false })
}

/// Partition and region of a key. They become a part of a host name.
fn place(arn: &str) -> Result<(&str, &str), Trouble> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, "kms", region, account, resource] = parts.as_slice() else {
        return Err(Trouble::Name(FORM));
    };
    let is_word = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let is_resource = ["key/", "alias/"]
        .iter()
        .any(|kind| resource.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
    let is_account = !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit());
    let fits = arn.starts_with("arn:aws") && is_word(partition) && is_word(region);
    if fits && is_account && is_resource {
        Ok((*partition, *region))
    } else {
        Err(Trouble::Name(FORM))
    }
}

/// Where a service of AWS is, unless variables or the profile say otherwise.
fn endpoint(
    around: &Surroundings,
    profile: &profile::Profile,
    service: &str,
    partition: &str,
    region: &str,
) -> String {
    if let Some(named) = named_endpoint(around, profile, service) {
        return format!("{}/", named.trim_end_matches('/'));
    }
    let yes = |variable: &str, name: &str| {
        around.variable(variable).or_else(|| profile.get(name)) == Some("true")
    };
    let fips = if yes("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint") { "-fips" } else { "" };
    let dual = yes("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
    let domain = match (partition, dual) {
        ("aws-cn", false) => "amazonaws.com.cn",
        ("aws-cn", true) => "api.amazonwebservices.com.cn",
        ("aws-iso", _) => "c2s.ic.gov",
        ("aws-iso-b", _) => "sc2s.sgov.gov",
        ("aws-iso-e", _) => "cloud.adc-e.uk",
        ("aws-iso-f", _) => "csp.hci.ic.gov",
        ("aws-eusc", _) => "amazonaws.eu",
        (_, false) => "amazonaws.com",
        (_, true) => "api.aws",
    };
    format!("https://{service}{fips}.{region}.{domain}/")
}

/// What variables or the profile say of where a service is.
fn named_endpoint<'a>(
    around: &'a Surroundings,
    profile: &'a profile::Profile,
    service: &str,
) -> Option<&'a str> {
    if around.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some("true") {
        return None;
    }
    around
        .variable(&format!("AWS_ENDPOINT_URL_{}", service.to_uppercase()))
        .or_else(|| around.variable("AWS_ENDPOINT_URL"))
        .or_else(|| profile.get("endpoint_url"))
}

fn tls(around: &Surroundings) -> Tls {
    Tls { authorities: around.variable("AWS_CA_BUNDLE").map(Into::into), certificate: None }
}

/// The code of a refusal, without what may stand before it.
fn code<'a>(refusal: &'a Refusal<'_>) -> &'a str {
    refusal.code.rsplit('#').next().unwrap_or_default()
}

fn is_throttled(answer: &Answer) -> bool {
    answer.status == 400
        && parsed::<Refusal<'_>>(&answer.body).is_ok_and(|r| THROTTLED.contains(&code(&r)))
}

fn refusal(answer: &Answer, credential: &Credential, sent: &str) -> Trouble {
    let Ok(refusal) = parsed::<Refusal<'_>>(&answer.body) else {
        let remedy = matches!(answer.status, 401 | 403).then_some(
            "these credentials are not taken: look at access key, secret access key and profile, \
             and at the clock of this machine",
        );
        return Trouble::Refused { status: answer.status, said: String::new(), remedy };
    };
    let code = code(&refusal);
    let remedy = match code {
        "AccessDeniedException" => Some(
            "these credentials may not use the key: ask for kms:Encrypt and kms:Decrypt on it, or \
             set AWS_PROFILE to others",
        ),
        "NotFoundException" => {
            Some("look whether the key was deleted, and at region and account in its ARN")
        }
        "DisabledException" => Some("enable the key, or decrypt with another one"),
        "KMSInvalidStateException" => {
            Some("the key is disabled or about to be deleted: cancel that")
        }
        "InvalidCiphertextException" | "IncorrectKeyException" => Some(
            "what the file holds is of another key, or the encryption context of the key in the \
             file was changed",
        ),
        "ExpiredTokenException" | "ExpiredToken" => Some("they have run out: log in again"),
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestExpired"
        | "RequestTimeTooSkewed" => Some(
            "look at the clock of this machine, and whether the secret access key is the right one",
        ),
        "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
            Some("the access key is not known there: look at the profile and the region")
        }
        code if THROTTLED.contains(&code) => {
            Some("it is asked too often: try again later, or have the quota raised")
        }
        _ => None,
    };
    // Words about signatures repeat the request, and with it the token of the session.
    let secret = |text: &str| Plaintext::copy_of(text.as_bytes());
    let secrets = [
        secret(&credential.secret_access_key),
        secret(credential.session_token.as_deref().unwrap_or_default()),
        secret(sent),
    ];
    let words = if code.contains("Signature") { "" } else { &refusal.message };
    let said = both(code, words, &secrets.each_ref());
    Trouble::Refused { status: answer.status, said, remedy }
}

/// Codes that ask to come back later (`retry.DefaultThrottleErrorCodes` of the SDK for Go).
const THROTTLED: [&str; 10] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "TooManyRequestsException",
    "PriorRequestNotComplete",
    "SlowDown",
];
const FORM: &str = "it is not of the form arn:aws:kms:REGION:ACCOUNT:key/ID";
