//! The transit engine of `HashiCorp` Vault and `OpenBao`. Follows `hcvault/keysource.go` of sops, and the
//! client of Vault in what its variables mean: `VAULT_ADDR`, `VAULT_TOKEN`, `VAULT_NAMESPACE`,
//! `VAULT_CACERT`, `VAULT_CLIENT_CERT`, `VAULT_CLIENT_KEY`, and the file `~/.vault-token`.
//!
//! A token goes to whatever address a key names, so that address must be one that the user knows.

use std::path::PathBuf;
use std::sync::OnceLock;

use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::error::Trouble;
use super::http::{Answer, Call, Http, Tls, host_of};
use super::said::said;
use super::surroundings::Surroundings;
use super::text::{Text, body, decoded, encoded, parsed, quoted};
use crate::plaintext::Plaintext;

/// The Vaults of a run.
#[derive(Default)]
pub(super) struct Vault {
    http: OnceLock<Http>,
}

/// One key of an engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    /// `https://HOST:PORT`
    pub(super) address: &'a str,
    /// Mount point of the engine.
    pub(super) engine: &'a str,
    /// The name.
    pub(super) name: &'a str,
}

impl Vault {
    /// Wraps many secrets with one key, in one request.
    ///
    /// # Errors
    /// [`Trouble`], for all of them.
    pub(super) fn wrap(
        &self,
        around: &Surroundings,
        key: &Key<'_>,
        secrets: &[&Plaintext],
    ) -> Result<Vec<Result<String, Trouble>>, Trouble> {
        let texts: Vec<_> = secrets.iter().map(|secret| encoded(secret)).collect();
        let inputs = texts.iter().map(|text| text.as_str()).collect::<Vec<_>>();
        let (answer, token) = self.ask(around, key, "encrypt", "plaintext", &inputs)?;
        let results = results(&answer, inputs.len())?;
        let text = |(one, sent): (BatchResult<'_>, &str)| match one.ciphertext {
            Some(text) if !text.is_empty() => Ok(text.into_owned()),
            _ => Err(one.refusal(sent, &token)),
        };
        Ok(results.into_iter().zip(inputs).map(text).collect())
    }

    /// Unwraps much that one key has wrapped, in one request.
    ///
    /// # Errors
    /// [`Trouble`], for all of it.
    pub(super) fn unwrap(
        &self,
        around: &Surroundings,
        key: &Key<'_>,
        encs: &[&str],
    ) -> Result<Vec<Result<Plaintext, Trouble>>, Trouble> {
        let (answer, token) = self.ask(around, key, "decrypt", "ciphertext", encs)?;
        let results = results(&answer, encs.len())?;
        let secret = |one: BatchResult<'_>| match &one.plaintext {
            Some(text) if !text.is_empty() => decoded(text, &BASE64_STANDARD),
            _ => Err(one.refusal("", &token)),
        };
        Ok(results.into_iter().map(secret).collect())
    }

    /// `inputs` are Base64 or ciphertexts. The answer, and the token that it was asked with.
    fn ask(
        &self,
        around: &Surroundings,
        key: &Key<'_>,
        verb: &str,
        name: &str,
        inputs: &[&str],
    ) -> Result<(Answer, Plaintext), Trouble> {
        check(around, key)?;
        let token = token(around)?;
        let http = self.http.get_or_init(|| Http::new(tls(around)));
        let engine = key.engine.trim_matches('/');
        let url = format!("{}/v1/{engine}/{verb}/{}", key.address.trim_end_matches('/'), key.name);
        let call = || {
            let mut parts = vec!["{\"batch_input\":["];
            let quotes: Vec<_> =
                inputs.iter().map(|one| zeroize::Zeroizing::new(quoted(one))).collect();
            let head = format!("{{\"{name}\":");
            for (index, text) in quotes.iter().enumerate() {
                parts.extend([if index == 0 { "" } else { "," }, &head, text.as_str(), "}"]);
            }
            parts.push("]}");
            let mut headers = vec![
                ("content-type".to_owned(), Plaintext::copy_of(b"application/json")),
                ("x-vault-request".to_owned(), Plaintext::copy_of(b"true")),
                ("x-vault-token".to_owned(), Plaintext::copy_of(exposed(&token))),
            ];
            if let Some(namespace) = around.variable("VAULT_NAMESPACE") {
                headers.push((
                    "x-vault-namespace".to_owned(),
                    Plaintext::copy_of(namespace.as_bytes()),
                ));
            }
            let (url, body) = (url.clone(), Some(body(&parts)));
            Ok(Call { method: "POST", url, headers, body, for_credentials: false })
        };
        let busy = |answer: &Answer| answer.is_busy() && answer.status != 500;
        let answer = http.insist_anyhow(around, &busy, &call)?;
        // Where a part of a batch fails, the whole is answered with 400, and tells what of it.
        if answer.is_good() || answer.status == 400 && parsed::<Batch<'_>>(&answer.body).is_ok() {
            return Ok((answer, token));
        }
        Err(refusal(&answer, &token, inputs))
    }
}

#[expect(clippy::disallowed_methods, reason = "a header of the request holds it")]
fn exposed(token: &Plaintext) -> &[u8] {
    token.expose()
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    data: BatchData<'a>,
}

#[derive(Deserialize)]
struct BatchData<'a> {
    #[serde(borrow)]
    batch_results: Vec<BatchResult<'a>>,
}

#[derive(Deserialize)]
struct BatchResult<'a> {
    #[serde(borrow, default)]
    ciphertext: Option<Text<'a>>,
    #[serde(borrow, default)]
    plaintext: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
}

impl BatchResult<'_> {
    fn refusal(&self, sent: &str, token: &Plaintext) -> Trouble {
        let sent = Plaintext::copy_of(sent.as_bytes());
        let said = said(self.error.as_deref().unwrap_or_default(), &[&sent, token]);
        let remedy = remedy(400, &said);
        Trouble::Refused { status: 400, said, remedy }
    }
}

fn results(answer: &Answer, count: usize) -> Result<Vec<BatchResult<'_>>, Trouble> {
    let batch: Batch<'_> = parsed(&answer.body)?;
    if batch.data.batch_results.len() == count {
        Ok(batch.data.batch_results)
    } else {
        Err(Trouble::Answer("it holds more or less than was asked for"))
    }
}

/// All that is read of an answer.
pub(super) fn read(answer: &Answer, secret: &Plaintext) -> Vec<Trouble> {
    let mut troubles = vec![refusal(answer, secret, &[])];
    match results(answer, 1) {
        Ok(results) => {
            for one in results {
                let open = one.plaintext.as_deref().map(|text| decoded(text, &BASE64_STANDARD));
                troubles.extend(open.and_then(Result::err));
                troubles.push(one.refusal("", secret));
            }
        }
        Err(trouble) => troubles.push(trouble),
    }
    troubles
}

#[derive(Deserialize)]
struct Errors<'a> {
    #[serde(borrow, default)]
    errors: Vec<Text<'a>>,
}

fn refusal(answer: &Answer, token: &Plaintext, sent: &[&str]) -> Trouble {
    let errors: Vec<Text<'_>> = parsed::<Errors<'_>>(&answer.body).map_or(Vec::new(), |e| e.errors);
    let sent: Vec<Plaintext> =
        sent.iter().map(|text| Plaintext::copy_of(text.as_bytes())).collect();
    let secrets: Vec<&Plaintext> = sent.iter().chain([token]).collect();
    let words = errors.join("; ");
    let remedy = remedy(answer.status, &words);
    Trouble::Refused { status: answer.status, said: said(&words, &secrets), remedy }
}

fn remedy(status: u16, words: &str) -> Option<&'static str> {
    match status {
        403 => Some(
            "the token has run out, or its policy does not allow `update` on the paths of this \
             key; run `vault login`, or ask for it",
        ),
        400 if words.contains("key not found") => {
            Some("look at the name of the key, and whether it was deleted")
        }
        400 => {
            Some("what the file holds may be of another key, or of a version that is disallowed")
        }
        404 => Some("look whether the engine is mounted there, and at VAULT_NAMESPACE"),
        503 => Some("it is sealed or starting; unseal it"),
        _ => None,
    }
}

/// Whether the token may go there, and the name is one.
fn check(around: &Surroundings, key: &Key<'_>) -> Result<(), Trouble> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.split('/').all(|part| !matches!(part, "." | ".."))
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
    };
    if !is_plain(key.engine) || !is_plain(key.name) || key.name.contains('/') {
        return Err(Trouble::Name("it has characters that no path of an engine has"));
    }
    host_of(key.address).ok_or(Trouble::Name("its address is not one"))?;
    let same = |other: &str| other.trim_end_matches('/') == key.address.trim_end_matches('/');
    let allowed = match around.variable("SOPS_HC_VAULT_ALLOWLIST") {
        Some("all") => true,
        Some("none") => false,
        Some(list) => list.split(',').any(|uri| begins_with(key.address, uri.trim())),
        None => {
            around.trusting
                || around.allows(key.address)
                || around.first(&["VAULT_ADDR", "BAO_ADDR"]).is_some_and(same)
        }
    };
    if allowed { Ok(()) } else { Err(Trouble::Forbidden { address: key.address.to_owned() }) }
}

/// Whether an address is below another; whole parts count.
fn begins_with(address: &str, uri: &str) -> bool {
    let whole = |text: &str| format!("{}/", text.trim_end_matches('/'));
    !uri.is_empty() && whole(address).starts_with(&whole(uri))
}

fn token(around: &Surroundings) -> Result<Plaintext, Trouble> {
    if around
        .variable("VAULT_SKIP_VERIFY")
        .is_some_and(|value| !matches!(value, "0" | "f" | "false"))
    {
        return Err(Trouble::Credentials(
            "VAULT_SKIP_VERIFY is set, and a token is not given to whom nobody knows".to_owned(),
        ));
    }
    if let Some(token) = around.first(&["VAULT_TOKEN", "BAO_TOKEN"]) {
        return Ok(Plaintext::copy_of(token.as_bytes()));
    }
    let file = around.in_home(".vault-token");
    let none =
        || Trouble::Credentials("there is neither VAULT_TOKEN nor ~/.vault-token".to_owned());
    let token = around.read(&file.ok_or_else(none)?).map_err(|_| none())?;
    let token = Plaintext::copy_of(exposed(&token).trim_ascii());
    if token.is_empty() { Err(none()) } else { Ok(token) }
}

fn tls(around: &Surroundings) -> Tls {
    let path = |name: &str| around.variable(name).map(PathBuf::from);
    Tls {
        authorities: path("VAULT_CACERT"),
        certificate: path("VAULT_CLIENT_CERT").zip(path("VAULT_CLIENT_KEY")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(variables: &[(&str, &str)]) -> Surroundings {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Surroundings { variables: pairs.collect(), ..Surroundings::default() }
    }

    fn key(address: &str) -> Key<'_> {
        Key { address, engine: "transit", name: "fleet" }
    }

    #[test]
    fn a_token_goes_only_where_the_user_says() {
        let refused = |variables: &[(&str, &str)], address: &str| {
            matches!(check(&around(variables), &key(address)), Err(Trouble::Forbidden { .. }))
        };
        let far = "https://vault.example:8200";
        assert!(refused(&[], far));
        assert!(refused(&[("VAULT_ADDR", "https://vault.example")], far));
        assert!(!refused(&[("VAULT_ADDR", "https://vault.example:8200/")], far));
        assert!(!refused(&[("SECRETCTL_KEY_SERVICES", far)], far));
        assert!(!refused(&[("SOPS_HC_VAULT_ALLOWLIST", "all")], far));
        assert!(refused(&[("SOPS_HC_VAULT_ALLOWLIST", "none"), ("VAULT_ADDR", far)], far));
        assert!(refused(&[("SOPS_HC_VAULT_ALLOWLIST", "https://vault.example:82")], far));
        assert!(!refused(&[("SOPS_HC_VAULT_ALLOWLIST", "x, https://vault.example:8200")], far));
        // Anybody can listen on a port of a machine.
        assert!(refused(&[], "http://127.0.0.1:8200"));
        assert!(!refused(&[("BAO_ADDR", "http://127.0.0.1:8200")], "http://127.0.0.1:8200"));
        assert!(refused(&[], "https://127.0.0.1.example"));
        let behind = key("https://vault.example:8200@evil.example");
        let checked = check(&around(&[("VAULT_ADDR", far)]), &behind);
        assert!(matches!(checked, Err(Trouble::Name(_))));
    }

    #[test]
    fn names_do_not_leave_their_engine() {
        for (engine, name) in
            [("transit", "../../sys/x"), ("a/../b", "x"), ("", "x"), ("t", "a?b"), ("t", "a/b")]
        {
            let key = Key { address: "http://localhost", engine, name };
            assert!(matches!(check(&around(&[]), &key), Err(Trouble::Name(_))), "{engine} {name}");
        }
        let key = Key { address: "http://localhost", engine: "team/transit", name: "fleet-1" };
        assert!(check(&around(&[("VAULT_ADDR", "http://localhost")]), &key).is_ok());
    }
}
