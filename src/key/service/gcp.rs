//! Google Cloud KMS over REST: `encrypt` and `decrypt` of a crypto key. Follows `gcpkms/keysource.go`
//! of sops in where credentials come from (`GOOGLE_CREDENTIALS`, a path or JSON;
//! `GOOGLE_OAUTH_ACCESS_TOKEN`; application default credentials) and in its variables for other
//! endpoints. `SOPS_GCP_KMS_CLIENT_TYPE` has no meaning here: REST is all there is.

mod program;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::prelude::BASE64_STANDARD;
use reqsign_core::SignRequest;
use reqsign_google::{
    Credential, RequestSigner, StaticCredentialProvider, Token, VmMetadataCredentialProvider,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::borrowed::Borrowed;
use super::error::Trouble;
use super::http::{Answer, Call, Http, Tls};
use super::said::both;
use super::surroundings::Surroundings;
use super::text::{self, Text, body, encoded, parsed, quoted, unwrapped, wrapped_text};
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// Google Cloud in a run.
#[derive(Default)]
pub(super) struct Gcp {
    http: OnceLock<Arc<Http>>,
    /// The header that authorizes, once it is known or known not to be had.
    header: Mutex<Option<Result<Arc<Plaintext>, Trouble>>>,
}

impl Gcp {
    /// Wraps a secret with a key, by its resource id; Base64.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn wrap(
        &self,
        around: &Arc<Surroundings>,
        id: &str,
        secret: &Plaintext,
    ) -> Result<String, Trouble> {
        let answer = self.ask(around, id, "encrypt", "plaintext", &encoded(secret))?;
        wrapped_text(&answer)
    }

    /// Unwraps what a key has wrapped.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn unwrap(
        &self,
        around: &Arc<Surroundings>,
        id: &str,
        enc: &str,
    ) -> Result<Plaintext, Trouble> {
        let answer = self.ask(around, id, "decrypt", "ciphertext", enc)?;
        unwrapped(&answer, &BASE64_STANDARD)
    }

    fn ask(
        &self,
        around: &Arc<Surroundings>,
        id: &str,
        verb: &str,
        name: &str,
        value: &str,
    ) -> Result<Answer, Trouble> {
        check(id)?;
        let url = format!("{}/v1/{id}:{verb}", endpoint(around)?);
        let http = self.http.get_or_init(|| Arc::new(Http::new(Tls::default())));
        let header = self.authorization(around, http)?;
        let value = zeroize::Zeroizing::new(quoted(value));
        let head = format!("{{\"{name}\":");
        #[expect(clippy::disallowed_methods, reason = "a header of the request holds it")]
        let call = || {
            let headers = vec![
                ("content-type".to_owned(), Plaintext::copy_of(b"application/json")),
                ("authorization".to_owned(), Plaintext::copy_of(header.expose())),
            ];
            let body = Some(body(&[&head, &value, "}"]));
            Ok(Call { method: "POST", url: url.clone(), headers, body, for_credentials: false })
        };
        let refusal = |answer: &Answer| refusal(answer, &header, &value);
        http.insist(around, &Answer::is_busy, &call, &refusal)
    }

    fn authorization(
        &self,
        around: &Arc<Surroundings>,
        http: &Arc<Http>,
    ) -> Result<Arc<Plaintext>, Trouble> {
        let mut place = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = place.as_ref() {
            return found.clone();
        }
        let borrowed = Borrowed::new(around, http);
        let found = credential(around, &borrowed)
            .and_then(|credential| header(&borrowed, &credential))
            .map(Arc::new);
        place.insert(found).clone()
    }
}

#[derive(Deserialize, Default)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Status<'a>,
}

#[derive(Deserialize, Default)]
struct Status<'a> {
    #[serde(borrow, default)]
    message: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
}

/// All that is read of an answer.
pub(super) fn read(answer: &Answer, secret: &Plaintext) -> Vec<Trouble> {
    let mut troubles = text::read(answer, &BASE64_STANDARD);
    troubles.push(refusal(answer, secret, ""));
    troubles
}

/// `projects/P/locations/L/keyRings/R/cryptoKeys/K`; it becomes a part of an address.
fn check(id: &str) -> Result<(), Trouble> {
    let parts: Vec<&str> = id.split('/').collect();
    let fits = |name: &str| {
        !name.is_empty()
            && !name.chars().all(|c| c == '.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    // Projects of a domain are called `example.com:name`; elsewhere a colon begins a verb.
    let is_key = match parts.as_slice() {
        ["projects", p, "locations", l, "keyRings", r, "cryptoKeys", k] => {
            p.splitn(2, ':').chain([*l, *r, *k]).all(fits)
        }
        _ => false,
    };
    if is_key {
        Ok(())
    } else {
        Err(Trouble::Name("it is not of the form projects/P/locations/L/keyRings/R/cryptoKeys/K"))
    }
}

/// Where the service is; only the environment can say that it is elsewhere.
fn endpoint(around: &Surroundings) -> Result<String, Trouble> {
    let named = around.variable("SOPS_GCP_KMS_ENDPOINT").map(str::to_owned);
    let domain = || around.first(&["SOPS_GCP_KMS_UNIVERSE_DOMAIN", "GOOGLE_CLOUD_UNIVERSE_DOMAIN"]);
    let named = named.or_else(|| domain().map(|domain| format!("cloudkms.{domain}")));
    let named = named.unwrap_or_else(|| "cloudkms.googleapis.com".to_owned());
    let named = named.trim_end_matches('/');
    if named.is_empty() {
        return Err(Trouble::Name("the address of the service is empty"));
    }
    Ok(if named.contains("://") { named.to_owned() } else { format!("https://{named}") })
}

fn credential(around: &Surroundings, borrowed: &Borrowed) -> Result<Credential, Trouble> {
    let none = || Trouble::Credentials("neither variables nor this machine have any".to_owned());
    let in_json = |json: String| {
        let found = match program::exchange(around, &json)? {
            Some(exchange) => borrowed.find(&exchange),
            None => borrowed.find(&StaticCredentialProvider::new(complete(json)).with_scope(SCOPE)),
        };
        found?.ok_or_else(none)
    };
    if let Some(given) = around.variable("GOOGLE_CREDENTIALS") {
        return in_json(if given.trim_start().starts_with('{') {
            given.to_owned()
        } else {
            text_of(around, given, "GOOGLE_CREDENTIALS: ")?
        });
    }
    if let Some(token) = around.variable("GOOGLE_OAUTH_ACCESS_TOKEN") {
        let token = Token { access_token: token.to_owned(), expires_at: None };
        return Ok(Credential::with_token(token));
    }
    if let Some(file) = file_of_gcloud(around) {
        return in_json(text_of(around, &file, "")?);
    }
    // Elsewhere than in Google's cloud there is no such service.
    let machine = VmMetadataCredentialProvider::new().with_scope(SCOPE);
    borrowed.find(&machine).ok().flatten().ok_or_else(none)
}

/// A file of credentials; `from` says who names it.
#[expect(clippy::disallowed_methods, reason = "credentials, for the crate that uses them")]
fn text_of(around: &Surroundings, file: &str, from: &str) -> Result<String, Trouble> {
    let unusable = |what: &str| Trouble::Credentials(on_one_line(&format!("{from}{file}: {what}")));
    let text = around.read(Path::new(file)).map_err(|error| unusable(&error.to_string()))?;
    String::from_utf8(text.expose().to_vec()).map_err(|_| unusable("it is not text"))
}

/// With what the file of an account elsewhere may leave out, and the crate does not: that a token is
/// the whole of what its source gives.
fn complete(json: String) -> String {
    if !json.contains("credential_source") {
        return json;
    }
    let Ok(mut file) = serde_json::from_str::<Value>(&json) else { return json };
    if let Some(Value::Object(source)) = file.get_mut("credential_source")
        && source.get("format").and_then(|format| format.get("type")).is_none()
    {
        source.insert("format".to_owned(), json!({"type": "text"}));
    }
    file.to_string()
}

/// Application default credentials: a file that is named, or the one that `gcloud` writes.
fn file_of_gcloud(around: &Surroundings) -> Option<String> {
    if let Some(named) = around.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(named.to_owned());
    }
    let folder = around.variable("CLOUDSDK_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| around.in_home(".config/gcloud"))?;
    let file = folder.join("application_default_credentials.json");
    if file.exists() { Some(file.into_os_string().into_string().ok()?) } else { None }
}

/// The header that a credential makes; a service account gets a token for it.
fn header(borrowed: &Borrowed, credential: &Credential) -> Result<Plaintext, Trouble> {
    let request = http::Request::post("https://cloudkms.googleapis.com/").body(());
    let Ok((mut head, ())) = request.map(http::Request::into_parts) else {
        return Err(Trouble::Name("its address is not one"));
    };
    let signer = RequestSigner::new("cloudkms").with_scope(SCOPE);
    pollster::block_on(signer.sign_request(&borrowed.context, &mut head, Some(credential), None))
        .map_err(|error| borrowed.trouble(error.kind()))?;
    let header = head.headers.get(http::header::AUTHORIZATION);
    let header = header.map(|value| Plaintext::copy_of(value.as_bytes()));
    header.ok_or_else(|| Trouble::Credentials("they give no token".to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "looked for, so that it is not repeated")]
fn refusal(answer: &Answer, header: &Plaintext, sent: &str) -> Trouble {
    let Refusal { error } = parsed(&answer.body).unwrap_or_default();
    let remedy = match (answer.status, error.status.as_ref()) {
        (401, _) => Some("the token has run out: run `gcloud auth application-default login`"),
        (403, _) => Some(
            "ask for the role roles/cloudkms.cryptoKeyEncrypterDecrypter on the key, and look \
             whether the API is on",
        ),
        (404, _) => Some("look at project, location and names in the resource id"),
        (_, "FAILED_PRECONDITION") => {
            Some("the version of the key is disabled or destroyed: enable it")
        }
        (400, _) => Some("what the file holds may be of another key"),
        _ => None,
    };
    let header = header.expose();
    let token = Plaintext::copy_of(header.strip_prefix(b"Bearer ").unwrap_or(header));
    let secrets = [token, Plaintext::copy_of(sent.as_bytes())];
    let said = both(&error.status, &error.message, &secrets.each_ref());
    Trouble::Refused { status: answer.status, said, remedy }
}

const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";
