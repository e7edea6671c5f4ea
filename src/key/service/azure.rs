//! Azure Key Vault: RSA-OAEP-256 with a key of a vault. Follows `azkv/keysource.go` of sops.
//!
//! Wrapping needs the public half alone, so it is asked for once and used here; unwrapping asks the
//! vault. A key without a version becomes one with the version of that moment, as in sops, but when
//! it is used and not when rules are read.

mod certificate;
mod challenge;
mod credentials;
pub(super) mod pkcs12;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use rsa::{BigUint, Oaep, RsaPublicKey};
use serde::Deserialize;

use super::error::Trouble;
use super::http::{Answer, Call, Http, Tls, host_of};
use super::said::{both, oauth_code};
use super::surroundings::Surroundings;
use super::text::{self, Text, body, parsed, quoted, unwrapped};
use crate::plaintext::Plaintext;
use credentials::{Got, Token};

/// Azure in a run.
#[derive(Default)]
pub(super) struct Azure {
    http: OnceLock<Arc<Http>>,
    tokens: credentials::Tokens,
    publics: Mutex<HashMap<String, Arc<Mutex<Option<Found>>>>>,
    /// The tenants that vaults have named: each vault the first one.
    tenants: Mutex<HashMap<String, String>>,
}

/// What came of asking for the public half of a key.
type Found = Result<Public, Trouble>;

/// One key.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// `https://VAULT.vault.azure.net`
    pub(super) vault: &'a str,
    /// The name.
    pub(super) name: &'a str,
    /// The version; may be empty.
    pub(super) version: &'a str,
}

/// The public half of a version of a key.
#[derive(Clone)]
struct Public {
    version: String,
    key: RsaPublicKey,
}

/// What was wrapped, and the version of the key that can unwrap it.
pub(super) struct Wrapped {
    /// Base64, for addresses and without padding.
    pub(super) enc: String,
    /// The version.
    pub(super) version: String,
}

impl Azure {
    /// Wraps a secret.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn wrap(
        &self,
        around: &Arc<Surroundings>,
        key: &Key<'_>,
        secret: &Plaintext,
    ) -> Result<Wrapped, Trouble> {
        let public = self.public(around, key)?;
        #[expect(clippy::disallowed_methods, reason = "encrypted on the spot")]
        let sealed = public.key.encrypt(
            &mut rsa::rand_core::OsRng,
            Oaep::new::<sha2::Sha256>(),
            secret.expose(),
        );
        let sealed = sealed.map_err(|_| Trouble::Answer("the key is too short for a data key"))?;
        Ok(Wrapped { enc: URL_SAFE.encode(sealed), version: public.version })
    }

    /// Unwraps what a key has wrapped.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn unwrap(
        &self,
        around: &Arc<Surroundings>,
        key: &Key<'_>,
        enc: &str,
    ) -> Result<Plaintext, Trouble> {
        let value = quoted(enc);
        let way = format!("/keys/{}/{}/decrypt", key.name, key.version).replace("//", "/");
        let answer = self.ask(
            around,
            key,
            "POST",
            &way,
            Some(&["{\"alg\":\"RSA-OAEP-256\",\"value\":", &value, "}"]),
        )?;
        unwrapped(&answer, &URL_SAFE)
    }

    fn public(&self, around: &Arc<Surroundings>, key: &Key<'_>) -> Result<Public, Trouble> {
        let name = format!("{}/keys/{}/{}", key.vault.trim_end_matches('/'), key.name, key.version);
        let place = {
            let mut known = self.publics.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(name).or_default())
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = place.as_ref() {
            return found.clone();
        }
        let found = self.fetch(around, key);
        place.insert(found).clone()
    }

    fn fetch(&self, around: &Arc<Surroundings>, key: &Key<'_>) -> Result<Public, Trouble> {
        let way = format!("/keys/{}/{}", key.name, key.version);
        let answer = self.ask(around, key, "GET", way.trim_end_matches('/'), None)?;
        Public::of(&answer, key.version)
    }

    fn ask(
        &self,
        around: &Arc<Surroundings>,
        key: &Key<'_>,
        method: &'static str,
        way: &str,
        parts: Option<&[&str]>,
    ) -> Result<Answer, Trouble> {
        let resource = check(around, key)?;
        let http = self.http.get_or_init(|| Arc::new(Http::new(Tls::default())));
        let vault = key.vault.trim_end_matches('/');
        let get = |tenant: Option<&str>| self.tokens.of(around, http, &resource, tenant);
        let learnt = self.tenants().get(vault).cloned();
        let mut token = get(learnt.as_deref())?;
        let url = format!("{vault}{way}?api-version=7.4");
        #[expect(clippy::disallowed_methods, reason = "a header of the request holds it")]
        let call = |token: &Token| {
            let bearer = [b"Bearer ".as_slice(), token.bearer.expose()].concat();
            let mut headers = vec![("authorization".to_owned(), Plaintext::new(bearer))];
            if parts.is_some() {
                headers.push(("content-type".to_owned(), Plaintext::copy_of(b"application/json")));
            }
            let (url, body) = (url.clone(), parts.map(body));
            Ok(Call { method, url, headers, body, for_credentials: false })
        };
        let ask = |token: &Token, spent| {
            http.insist_after(around, spent, &Answer::is_busy, &|| call(token))
        };
        let begin = Instant::now();
        let mut answer = ask(&token, Duration::ZERO)?;
        // The time of the vault is one for both answers; a token has its own.
        let spent = begin.elapsed();
        if answer.status == 401
            && let Some(other) = self.other(&answer, vault, &token, &get)?
        {
            answer = ask(&other, spent)?;
            token = other;
        }
        if answer.is_good() { Ok(answer) } else { Err(refusal(&answer, &token.bearer)) }
    }

    /// The token for the tenant that a vault names, where `used` is none for it.
    fn other(
        &self,
        answer: &Answer,
        vault: &str,
        used: &Token,
        get: &dyn Fn(Option<&str>) -> Got,
    ) -> Result<Option<Arc<Token>>, Trouble> {
        let Some(tenant) = challenge::tenant(answer, vault, &used.bearer)? else { return Ok(None) };
        if used.tenant.eq_ignore_ascii_case(&tenant) {
            return Ok(None);
        }
        // The first one that it named stays, so that it gets one token more at the most.
        let tenant = self.tenants().entry(vault.to_owned()).or_insert(tenant).clone();
        let token = get(Some(&tenant))?;
        Ok((!token.bearer.same_as(&used.bearer)).then_some(token))
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Public {
    /// The key of an answer; of the version that is wanted, if one is.
    fn of(answer: &Answer, wanted: &str) -> Result<Self, Trouble> {
        let Bundle { key: jwk } = parsed(&answer.body)?;
        if !jwk.kty.starts_with("RSA") {
            return Err(Trouble::Name("it is no RSA key, and only those can wrap"));
        }
        let number = |text: &Option<Text<'_>>| {
            let bytes = URL_SAFE.decode(text.as_deref().unwrap_or_default());
            bytes
                .map(|bytes| BigUint::from_bytes_be(&bytes))
                .map_err(|_| Trouble::Answer("the key is not Base64"))
        };
        let rsa = RsaPublicKey::new(number(&jwk.n)?, number(&jwk.e)?)
            .map_err(|_| Trouble::Answer("the key is no RSA key"))?;
        let version = jwk.kid.rsplit('/').next().unwrap_or_default().to_owned();
        let is_version = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_version || (!wanted.is_empty() && version != wanted) {
            return Err(Trouble::Answer("it is another version of the key"));
        }
        Ok(Self { version, key: rsa })
    }
}

/// All that is read of an answer.
pub(super) fn read(answer: &Answer, secret: &Plaintext) -> Vec<Trouble> {
    let mut troubles = text::read(answer, &URL_SAFE);
    troubles.extend(Public::of(answer, "").err());
    troubles.extend(credentials::token_in(&answer.body).err());
    troubles.push(Trouble::Credentials(oauth_code(&answer.body, &[secret])));
    troubles.push(refusal(answer, secret));
    let named = challenge::tenant(answer, "https://fleet.vault.azure.net", secret);
    troubles.extend(named.map_or_else(Some, |tenant| Some(credentials::not_allowed(&tenant?))));
    troubles
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    key: Jwk<'a>,
}

#[derive(Deserialize)]
struct Jwk<'a> {
    #[serde(borrow)]
    kid: Text<'a>,
    #[serde(borrow)]
    kty: Text<'a>,
    #[serde(borrow, default)]
    n: Option<Text<'a>>,
    #[serde(borrow, default)]
    e: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Status<'a>,
}

#[derive(Deserialize, Default)]
struct Status<'a> {
    #[serde(borrow, default)]
    code: Text<'a>,
    #[serde(borrow, default)]
    message: Text<'a>,
}

/// Whether a token may go to the vault, and for which service it is asked for. A file may name any
/// host, and a token for all vaults of a user must not go to one that is no vault.
fn check(around: &Surroundings, key: &Key<'_>) -> Result<String, Trouble> {
    let fits = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if key.name.is_empty() || !fits(key.name) || !fits(key.version) {
        return Err(Trouble::Name(
            "it is not of the form https://VAULT.vault.azure.net/keys/NAME/VERSION",
        ));
    }
    let host = host_of(key.vault).ok_or(Trouble::Name("the address of its vault is not one"))?;
    let rest = key.vault.split_once("://").map_or("", |(_, rest)| rest);
    if rest.trim_end_matches('/').contains(['/', '?', '#']) {
        return Err(Trouble::Name("the address of its vault has a path"));
    }
    let cloud = CLOUDS.iter().find(|cloud| {
        host.strip_suffix(**cloud).is_some_and(|name| name.ends_with('.') && name.len() > 1)
    });
    let resource = around.variable("SECRETCTL_AZURE_RESOURCE");
    match (cloud, resource) {
        (_, Some(resource)) if cloud.is_some() || around.allows(key.vault) => {
            Ok(resource.to_owned())
        }
        (Some(cloud), _) => Ok(format!("https://{cloud}")),
        (None, _) if around.allows(key.vault) => Ok("https://vault.azure.net".to_owned()),
        (None, _) => Err(Trouble::Forbidden { address: key.vault.to_owned() }),
    }
}

fn refusal(answer: &Answer, token: &Plaintext) -> Trouble {
    let Refusal { error } = parsed(&answer.body).unwrap_or_default();
    let remedy = match answer.status {
        401 => Some("the token is not taken there: run `az login`, and look at the tenant"),
        403 => Some(
            "ask for the role `Key Vault Crypto User`, or for get, encrypt and decrypt of keys in \
             the access policy of the vault; the key may also be disabled",
        ),
        400 => Some("what the file holds may be of another key or version"),
        404 => Some("look at name and version of the key, and whether it was deleted"),
        _ => None,
    };
    let said = both(&error.code, &error.message, &[token]);
    Trouble::Refused { status: answer.status, said, remedy }
}

/// As Azure writes it, without padding, and with or without it to be read.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What the hosts of vaults end in, in the clouds of Azure, and what a token is asked for.
const CLOUDS: [&str; 8] = [
    "vault.azure.net",
    "managedhsm.azure.net",
    "vault.azure.cn",
    "managedhsm.azure.cn",
    "vault.usgovcloudapi.net",
    "managedhsm.usgovcloudapi.net",
    "vault.microsoftazure.de",
    "vault.sovcloud-api.fr",
];
