//! Accounts elsewhere whose token a program prints (AIP-4117). It runs only where the environment
//! says so, is told what it is for in variables, and no shell reads its command line. What it leaves
//! in a file serves until that runs out.

use std::path::Path;
use std::time::Duration;

use reqsign_core::time::Timestamp;
use reqsign_google::{ExternalAccountConfig, ExternalAccountCredentialProvider};
use serde_json::Value;

use crate::key::service::error::Trouble;
use crate::key::service::said::both;
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::parsed;
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;
use crate::process::credential_command;

/// Who exchanges the token that the program of an account gives; none for any other file.
///
/// # Errors
/// [`Trouble::Credentials`].
pub(super) fn exchange(
    around: &Surroundings,
    json: &str,
) -> Result<Option<ExternalAccountCredentialProvider>, Trouble> {
    let account: Value = serde_json::from_str(json).unwrap_or_default();
    let at = |way: &str| account.pointer(way).and_then(Value::as_str).unwrap_or_default();
    let number = |way: &str| account.pointer(way).and_then(Value::as_u64);
    let mut words = at("/credential_source/executable/command").split_whitespace();
    let (Some(program), "external_account") = (words.next(), at("/type")) else { return Ok(None) };
    let (audience, kind) = (at("/audience"), at("/subject_token_type"));
    let acts_as = at("/service_account_impersonation_url");
    let output = at("/credential_source/executable/output_file");
    let mut config = ExternalAccountConfig::new(audience, kind, at("/token_url"));
    if !acts_as.is_empty() {
        config = config.with_service_account_impersonation_url(acts_as);
    }
    if let Some(life) = number("/service_account_impersonation/token_lifetime_seconds") {
        config = config.with_service_account_impersonation_lifetime(Duration::from_secs(life));
    }
    let trouble = |what: &str| Trouble::Credentials(on_one_line(&format!("`{program}` {what}")));
    let kept = around.read(Path::new(output)).ok().and_then(|text| token_in(&text, true).ok());
    let token = if let Some(token) = kept {
        token
    } else {
        if around.variable(ALLOWED) != Some("1") {
            let what = format!("gives the token: set {ALLOWED}=1, if it may run");
            return Err(trouble(&what));
        }
        let email = acts_as.rsplit('/').next().and_then(|end| end.split(':').next());
        let told = [
            ("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", audience),
            ("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", kind),
            ("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0"),
            ("GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL", email.unwrap_or_default()),
            ("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", output),
        ];
        let told: Vec<_> = told.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let patience = number("/credential_source/executable/timeout_millis");
        let patience = patience.map_or(USUAL, Duration::from_millis).min(LONGEST);
        let words: Vec<&str> = words.collect();
        let printed =
            credential_command(program, &words, &told, Path::new("."), &around.path, patience)
                .map_err(|error| Trouble::Credentials(on_one_line(&error.to_string())))?;
        token_in(&printed, !output.is_empty()).map_err(|why| trouble(&why))?
    };
    let exchange = ExternalAccountCredentialProvider::from_subject_token(config, token);
    Ok(Some(exchange.with_scope(super::SCOPE)))
}

/// The token in an answer of version 1. In a file, it has to say when it runs out.
fn token_in(answer: &Plaintext, in_file: bool) -> Result<String, String> {
    let answer: Value = parsed(answer).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| answer.get(name).and_then(Value::as_i64);
    let success = answer.get("success").and_then(Value::as_bool);
    if success == Some(false) {
        return Err(format!("says why not: {}", both(text("code"), text("message"), &[])));
    }
    let until = number("expiration_time");
    if until.map_or(in_file, |until| until < Timestamp::now().as_second()) {
        return Err("gives a token that has run out".to_owned());
    }
    let token = match text("token_type").strip_prefix("urn:ietf:params:oauth:token-type:") {
        Some("jwt" | "id_token") => text("id_token"),
        Some("saml2") => text("saml_response"),
        _ => "",
    };
    if token.is_empty() || success.is_none() || number("version") != Some(1) {
        return Err("gives no token in an answer of version 1".to_owned());
    }
    Ok(token.to_owned())
}

const ALLOWED: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
/// The time that a program has, as with Google's libraries.
const USUAL: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_mins(2);
