//! Taking on a role of AWS: `AssumeRole` of STS, version 2011-06-15.

use std::sync::Arc;

use reqsign_aws_v4::{Credential, RequestSigner};

use super::profile::Profile;
use super::{Found, THROTTLED, endpoint, signed};
use crate::key::service::error::Trouble;
use crate::key::service::http::{Answer, Call, Http};
use crate::key::service::said::{code, said};
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::escaped;
use crate::plaintext::Plaintext;

/// A role, and how it is taken on.
pub(in crate::key::service) struct Role<'a> {
    /// `arn:aws:iam::ACCOUNT:role/NAME`
    pub(in crate::key::service) arn: &'a str,
    /// The name of the session.
    pub(in crate::key::service) session: &'a str,
    /// What the owner of the role wants to hear.
    pub(in crate::key::service) external_id: Option<&'a str>,
}

/// `sops@HOST`, as sops calls its sessions: policies may name it.
pub(in crate::key::service) fn session_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let fits = |c: &char| c.is_ascii_alphanumeric() || "=,.@-_".contains(*c);
    let host: String = host.chars().filter(fits).collect();
    format!("sops@{host}").chars().take(64).collect()
}

/// The credentials of a role.
pub(in crate::key::service) fn take_on(
    around: &Arc<Surroundings>,
    http: &Arc<Http>,
    profile: &Profile,
    first: &Credential,
    role: &Role<'_>,
    region: &str,
) -> Found {
    let url = address(around, profile, role, region)?;
    let mut form = form("AssumeRole", role);
    if let Some(id) = role.external_id {
        form.push_str("&ExternalId=");
        form.push_str(&escaped(id));
    }
    let signer = RequestSigner::new("sts", region);
    let call = || {
        let body = Plaintext::copy_of(form.as_bytes());
        signed(around, http, &signer, first, &url, &[("content-type", FORM)], body)
    };
    let answer = http.insist_anyhow(around, &is_busy, &call)?;
    let secret = |text: &str| Plaintext::copy_of(text.as_bytes());
    let secrets = [
        secret(&first.secret_access_key),
        secret(first.session_token.as_deref().unwrap_or_default()),
    ];
    credentials_in(&answer, &secrets.each_ref(), role.arn)
}

/// The credentials of a role for whoever another service vouches for with a token.
#[expect(clippy::disallowed_methods, reason = "a token, for the service that it is for")]
pub(in crate::key::service) fn of_web_identity(
    around: &Surroundings,
    http: &Http,
    profile: &Profile,
    role: &Role<'_>,
    token: &Plaintext,
    region: &str,
) -> Found {
    let url = address(around, profile, role, region)?;
    let text = std::str::from_utf8(token.expose()).unwrap_or_default();
    let token_text = escaped(text.trim());
    let call = || {
        let mut body = Plaintext::copy_of(form("AssumeRoleWithWebIdentity", role).as_bytes());
        body.extend(b"&WebIdentityToken=");
        body.extend(token_text.as_bytes());
        let headers = vec![("content-type".to_owned(), Plaintext::copy_of(FORM.as_bytes()))];
        let url = url.clone();
        Ok(Call { method: "POST", url, headers, body: Some(body), for_credentials: true })
    };
    let answer = http.insist_anyhow(around, &is_busy, &call)?;
    credentials_in(&answer, &[token], role.arn)
}

/// Where the role is taken on.
fn address(
    around: &Surroundings,
    profile: &Profile,
    role: &Role<'_>,
    region: &str,
) -> Result<String, Trouble> {
    let partition = role.arn.split(':').nth(1).unwrap_or("aws");
    let is_word = |text: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !role.arn.starts_with("arn:aws") || !is_word(partition) || !is_word(region) {
        return Err(Trouble::Name("its role is not of the form arn:aws:iam::ACCOUNT:role/NAME"));
    }
    Ok(endpoint(around, profile, "sts", partition, region))
}

fn form(action: &str, role: &Role<'_>) -> String {
    format!(
        "Action={action}&Version=2011-06-15&RoleArn={}&RoleSessionName={}",
        escaped(role.arn).as_str(),
        escaped(role.session).as_str()
    )
}

#[expect(clippy::disallowed_methods, reason = "codes and credentials are read from it")]
fn text_of(answer: &Answer) -> &str {
    std::str::from_utf8(answer.body.expose()).unwrap_or_default()
}

fn is_busy(answer: &Answer) -> bool {
    let text = text_of(answer);
    answer.is_busy()
        || !answer.is_good() && element(text, "Code").is_some_and(|code| THROTTLED.contains(&code))
}

/// The credentials that STS gives, or why it does not.
pub(in crate::key::service) fn credentials_in(
    answer: &Answer,
    secrets: &[&Plaintext],
    role: &str,
) -> Found {
    let text = text_of(answer);
    if !answer.is_good() {
        let code = code(element(text, "Code").unwrap_or_default(), secrets);
        let said = format!("role {}: {code}", said(role, &[]));
        return Err(Trouble::Refused {
            status: answer.status,
            said,
            remedy: Some(
                "the role must trust these credentials, and they must be allowed sts:AssumeRole on it",
            ),
        });
    }
    let found = |name: &str| element(text, name).map(str::to_owned);
    let parts = (found("AccessKeyId"), found("SecretAccessKey"), found("SessionToken"));
    let (Some(access_key_id), Some(secret_access_key), session_token @ Some(_)) = parts else {
        return Err(Trouble::Answer("there are no credentials in it"));
    };
    Ok(Credential { access_key_id, secret_access_key, session_token, expires_in: None })
}

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The text of the first element with this name. What AWS puts into these has no escapes.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim()).filter(|inner| !inner.is_empty() && !inner.contains(['<', '&']))
}
