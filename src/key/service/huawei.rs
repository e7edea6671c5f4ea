//! Huawei Cloud KMS: `encrypt-data` and `decrypt-data`, signed with SDK-HMAC-SHA256. Follows
//! `hckms/keysource.go` of sops, and Huawei's SDK for Go in where credentials come from: variables,
//! the file `~/.huaweicloud/credentials` (`HUAWEICLOUD_SDK_CREDENTIALS_FILE`), the machine.

mod credentials;
mod sign;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::error::Trouble;
use super::http::{Answer, Http, Tls};
use super::said::both;
use super::surroundings::Surroundings;
use super::text::{self, Text, body, encoded, escaped, parsed, quoted, unwrapped, wrapped};
use crate::plaintext::Plaintext;
use credentials::Credentials;
use sign::{Question, signed};

/// Huawei Cloud in a run.
#[derive(Default)]
pub(super) struct Huawei {
    http: OnceLock<Arc<Http>>,
    credentials: OnceLock<Result<Credentials, Trouble>>,
    /// The projects of regions.
    projects: Mutex<HashMap<String, Result<String, Trouble>>>,
}

impl Huawei {
    /// Wraps a secret with a key, `REGION:UUID`.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn wrap(
        &self,
        around: &Arc<Surroundings>,
        id: &str,
        secret: &Plaintext,
    ) -> Result<String, Trouble> {
        let answer = self.ask(around, id, "encrypt-data", "plain_text", &encoded(secret))?;
        wrapped(&answer)
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
        let answer = self.ask(around, id, "decrypt-data", "cipher_text", enc)?;
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
        let (region, key) = place(id)?;
        let http = self.http.get_or_init(|| Arc::new(Http::new(Tls::default())));
        let credentials = self.credentials.get_or_init(|| credentials::find(around, http));
        let credentials = credentials.as_ref().map_err(Clone::clone)?;
        let project = self.project(around, http, credentials, region)?;
        let way = format!("/v1.0/{}/kms/{verb}", escaped(&project).as_str());
        let address = endpoint(around, region);
        let value = zeroize::Zeroizing::new(quoted(value));
        let call = || {
            let head = format!("{{\"key_id\":{},\"{name}\":", quoted(key));
            let tail = ",\"encryption_algorithm\":\"SYMMETRIC_DEFAULT\"}";
            let question = Question {
                method: "POST",
                address: &address,
                way: &way,
                query: "",
                project: Some(&project),
                body: Some(body(&[&head, &value, tail])),
            };
            signed(question, credentials)
        };
        let refusal = |answer: &Answer| refusal(answer, credentials, &value);
        http.insist(around, &Answer::is_busy, &call, &refusal)
    }

    /// The project of a region, which is asked for unless the credentials name one.
    fn project(
        &self,
        around: &Arc<Surroundings>,
        http: &Http,
        credentials: &Credentials,
        region: &str,
    ) -> Result<String, Trouble> {
        if let Some(project) = &credentials.project {
            return Ok(project.clone());
        }
        let mut known = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(region) {
            return found.clone();
        }
        let found = find_project(around, http, credentials, region);
        known.insert(region.to_owned(), found.clone());
        found
    }
}

fn find_project(
    around: &Surroundings,
    http: &Http,
    credentials: &Credentials,
    region: &str,
) -> Result<String, Trouble> {
    let named = around.variable("HUAWEICLOUD_SDK_IAM_ENDPOINT").or(credentials.iam.as_deref());
    let address = named.map_or_else(
        || format!("https://iam.{region}.myhuaweicloud.com"),
        |named| if named.contains("://") { named.to_owned() } else { format!("https://{named}") },
    );
    let query = format!("name={region}");
    let call = || {
        let (method, way) = ("GET", "/v3/projects");
        let question =
            Question { method, address: &address, way, query: &query, project: None, body: None };
        signed(question, credentials)
    };
    let refusal = |answer: &Answer| refusal(answer, credentials, "");
    let answer = http.insist(around, &Answer::is_busy, &call, &refusal)?;
    let Projects { projects } = parsed(&answer.body)?;
    match projects.as_slice() {
        [one] => Ok(one.id.clone().into_owned()),
        [] => Err(Trouble::Credentials(format!("they have no project in {region}"))),
        _ => Err(Trouble::Credentials(format!(
            "they have several projects in {region}; set HUAWEICLOUD_SDK_PROJECT_ID"
        ))),
    }
}

#[derive(Deserialize)]
struct Projects<'a> {
    #[serde(borrow)]
    projects: Vec<Project<'a>>,
}

#[derive(Deserialize)]
struct Project<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

/// KMS answers in the first form, the gateway before it in the second.
#[derive(Deserialize, Default)]
struct Refusal<'a> {
    #[serde(borrow, default)]
    error: Option<Said<'a>>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_msg: Text<'a>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_msg: Text<'a>,
}

/// All that is read of an answer.
pub(super) fn read(answer: &Answer, secret: &Plaintext) -> Vec<Trouble> {
    let credentials = Credentials::of("AKEXAMPLE", secret);
    let mut troubles = text::read(answer, &BASE64_STANDARD);
    troubles.extend(parsed::<Projects<'_>>(&answer.body).err());
    troubles.extend(credentials::in_answer(answer).err());
    troubles.push(refusal(answer, &credentials, ""));
    troubles
}

/// Region and key. The region becomes a part of a host name.
fn place(id: &str) -> Result<(&str, &str), Trouble> {
    let (region, key) = id.trim().split_once(':').ok_or(Trouble::Name(FORM))?;
    let (region, key) = (region.trim(), key.trim());
    let is_region = !region.is_empty()
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_region && !key.is_empty() { Ok((region, key)) } else { Err(Trouble::Name(FORM)) }
}

fn endpoint(around: &Surroundings, region: &str) -> String {
    let name = format!("HUAWEICLOUD_SDK_REGION_KMS_{}", region.to_uppercase().replace('-', "_"));
    match around.variable(&name) {
        Some(named) => named.trim_end_matches('/').to_owned(),
        None => format!("https://kms.{region}.myhuaweicloud.com"),
    }
}

fn refusal(answer: &Answer, credentials: &Credentials, sent: &str) -> Trouble {
    let refusal: Refusal<'_> = parsed(&answer.body).unwrap_or_default();
    let (code, words) = match refusal.error {
        Some(said) => (said.error_code, said.error_msg),
        None => (refusal.error_code, refusal.error_msg),
    };
    let remedy = match answer.status {
        401 => Some("look at access key and secret, and at the clock of this machine"),
        403 => Some(
            "ask for kms:dek:encrypt and kms:dek:decrypt on the key, and look whether it is enabled",
        ),
        400 => Some("what the file holds may be of another key"),
        404 => Some("look at region and id of the key"),
        _ => None,
    };
    let sent = Plaintext::copy_of(sent.as_bytes());
    let mut secrets = credentials.secrets();
    secrets.push(&sent);
    let said = both(&code, &words, &secrets);
    Trouble::Refused { status: answer.status, said, remedy }
}

const FORM: &str = "it is not of the form REGION:UUID";
