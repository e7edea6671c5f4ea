//! Where the credentials of Huawei Cloud come from: variables, a file, the machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ini::Ini;
use serde::Deserialize;

use crate::key::service::error::Trouble;
use crate::key::service::http::{Answer, Call, Http};
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::{Text, parsed};
use crate::plaintext::Plaintext;

/// An access key.
#[derive(Clone)]
pub(in crate::key::service) struct Credentials {
    pub(in crate::key::service) id: String,
    pub(in crate::key::service) secret: Arc<Plaintext>,
    pub(in crate::key::service) token: Option<Arc<Plaintext>>,
    pub(in crate::key::service) project: Option<String>,
    /// Where projects are asked for.
    pub(in crate::key::service) iam: Option<String>,
}

impl Credentials {
    fn new(id: &str, secret: &str, token: Option<&str>) -> Self {
        let kept = |text: &str| Arc::new(Plaintext::copy_of(text.as_bytes()));
        let (secret, token) = (kept(secret), token.map(kept));
        Self { id: id.to_owned(), secret, token, project: None, iam: None }
    }

    /// An access key alone.
    pub(in crate::key::service) fn of(id: &str, secret: &Plaintext) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a copy that is wiped like the other")]
        let secret = Arc::new(Plaintext::copy_of(secret.expose()));
        Self { id: id.to_owned(), secret, token: None, project: None, iam: None }
    }

    /// What is not to be repeated.
    pub(in crate::key::service) fn secrets(&self) -> Vec<&Plaintext> {
        std::iter::once(&*self.secret).chain(self.token.as_deref()).collect()
    }
}

/// The first that are found.
pub(in crate::key::service) fn find(
    around: &Surroundings,
    http: &Http,
) -> Result<Credentials, Trouble> {
    of_variables(around)
        .or_else(|| of_file(around))
        .or_else(|| of_machine(around, http))
        .ok_or_else(|| {
            let what =
                "neither variables, nor ~/.huaweicloud/credentials, nor this machine have any";
            Trouble::Credentials(what.to_owned())
        })
}

fn of_variables(around: &Surroundings) -> Option<Credentials> {
    let [id, secret] =
        ["HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"].map(|name| around.variable(name));
    let token = around.variable("HUAWEICLOUD_SDK_SECURITY_TOKEN");
    let project = around.variable("HUAWEICLOUD_SDK_PROJECT_ID").map(str::to_owned);
    Some(Credentials { project, ..Credentials::new(id?, secret?, token) })
}

fn of_file(around: &Surroundings) -> Option<Credentials> {
    let named = around.variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE").map(PathBuf::from);
    let file = named.or_else(|| around.in_home(".huaweicloud/credentials"))?;
    let text = around.read(&file).ok()?;
    #[expect(clippy::disallowed_methods, reason = "credentials are read from it")]
    let file = Ini::load_from_str(std::str::from_utf8(text.expose()).ok()?).ok()?;
    let section = file.section(Some("basic"))?;
    let get = |name: &str| section.get(name).map(str::trim).filter(|value| !value.is_empty());
    let of = Credentials::new(get("ak")?, get("sk")?, get("security_token"));
    let [project, iam] = ["project_id", "iam_endpoint"].map(|name| get(name).map(str::to_owned));
    Some(Credentials { project, iam, ..of })
}

#[derive(Deserialize)]
struct OfMachine<'a> {
    #[serde(borrow)]
    credential: Keys<'a>,
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    access: Text<'a>,
    #[serde(borrow)]
    secret: Text<'a>,
    #[serde(borrow)]
    securitytoken: Text<'a>,
}

fn of_machine(around: &Surroundings, http: &Http) -> Option<Credentials> {
    let ask = |method, way: &str, headers| {
        let url = format!("http://169.254.169.254{way}");
        let call = Call { method, url, headers, body: None, for_credentials: true };
        http.ask_within(around, call, SHORT).ok().filter(Answer::is_good)
    };
    let life = ("x-metadata-token-ttl-seconds".to_owned(), Plaintext::copy_of(b"300"));
    // Machines of an older kind give it without a token.
    let token = ask("PUT", "/meta-data/latest/api/token", vec![life]);
    let headers = token.map(|token| ("x-metadata-token".to_owned(), token.body));
    let answer = ask("GET", "/openstack/latest/securitykey", headers.into_iter().collect())?;
    in_answer(&answer).ok()
}

/// The credentials that the service of metadata gives.
pub(in crate::key::service) fn in_answer(answer: &Answer) -> Result<Credentials, Trouble> {
    let OfMachine { credential: keys } = parsed(&answer.body)?;
    Ok(Credentials::new(&keys.access, &keys.secret, Some(&keys.securitytoken)))
}

/// A machine without an agency should not wait long to learn it.
const SHORT: Duration = Duration::from_secs(2);
