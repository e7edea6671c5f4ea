//! A session of SSO whose token has run out. As with the SDK for Go (`ssocreds`), a new one is asked
//! for with what the cache has for that, and takes the place of the old one there: whoever comes
//! next, of whatever program, finds it.

use std::sync::{Mutex, PoisonError};

use reqsign_core::time::Timestamp;
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::fsx::{Staged, Staging};
use crate::key::service::error::Trouble;
use crate::key::service::http::{Answer, Call, Http};
use crate::key::service::said::oauth_code;
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::parsed;
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// Renews the token of a session, where it has run out and something is there to renew it with;
/// what is missing, whoever looks for the token will say.
///
/// # Errors
/// [`Trouble`]; the cache is then as it was.
pub(super) fn renew(
    around: &Surroundings,
    http: &Http,
    session: &str,
    endpoint: &str,
    profile: &str,
) -> Result<(), Trouble> {
    // Several profiles may have one session.
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!(".aws/sso/cache/{}.json", hex::encode(Sha1::digest(session)));
    let Some(file) = around.in_home(&name) else { return Ok(()) };
    let Ok(text) = around.read(&file) else { return Ok(()) };
    let Ok(mut token) = parsed::<Map<String, Value>>(&text) else { return Ok(()) };
    let get = |name| token.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let until = get("expiresAt").and_then(|time| time.parse::<Timestamp>().ok());
    let (Some(id), Some(secret), Some(refresh), Some(_)) = (
        get("clientId"),
        get("clientSecret"),
        get("refreshToken"),
        until.filter(|until| *until <= Timestamp::now()),
    ) else {
        return Ok(());
    };
    let question = json!({
        "clientId": id, "clientSecret": secret, "refreshToken": refresh,
        "grantType": "refresh_token",
    });
    let question = Zeroizing::new(question.to_string());
    let call = || {
        let headers = vec![("content-type".to_owned(), Plaintext::copy_of(b"application/json"))];
        let body = Some(Plaintext::copy_of(question.as_bytes()));
        let url = format!("{}/token", endpoint.trim_end_matches('/'));
        Ok(Call { method: "POST", url, headers, body, for_credentials: true })
    };
    let trouble = |what: String| Trouble::Credentials(on_one_line(&what));
    let answer = http.insist_anyhow(around, &Answer::is_busy, &call)?;
    if !answer.is_good() {
        let code = oauth_code(&answer.body, &[&text]);
        return Err(trouble(format!(
            "the session of SSO is not renewed (HTTP {}) {code}: run `aws sso login --profile {profile}`",
            answer.status
        )));
    }
    let mut new: Map<String, Value> = parsed(&answer.body)?;
    if new.get("accessToken").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Trouble::Answer("there is no token in it"));
    }
    let life = new.get("expiresIn").and_then(Value::as_i64).unwrap_or_default();
    let until = Timestamp::from_second(Timestamp::now().as_second().saturating_add(life))
        .map_err(|_| Trouble::Answer("its token runs out at no time"))?;
    token.insert("expiresAt".to_owned(), until.format_rfc3339_zulu().into());
    for name in ["accessToken", "refreshToken"] {
        token.extend(new.remove_entry(name));
    }
    let text = Zeroizing::new(Value::Object(token).to_string());
    let staging = Staging { new_mode: 0o600, ..Staging::default() };
    let kept = Staged::with(&file, staging).and_then(|mut staged| {
        staged.put(text.as_bytes())?;
        staged.commit()
    });
    kept.map_err(|error| trouble(error.to_string()))
}

static ONE: Mutex<()> = Mutex::new(());
