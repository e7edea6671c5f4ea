//! Tokens of Azure, from where `DefaultAzureCredential` of its SDK for Go looks, in that order: the
//! variables of a service principal, a workload identity, the identity of the machine, `az`, `azd`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::key::service::error::Trouble;
use crate::key::service::http::{Answer, Call, Http, host_of, is_near};
use crate::key::service::said::oauth_code;
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::{Text, escaped, parsed};
use crate::plaintext::Plaintext;
use crate::process::credential_command;

/// The tokens of a run, one for each service that wants one.
#[derive(Default)]
pub(in crate::key::service) struct Tokens {
    known: Mutex<HashMap<String, Result<Arc<Plaintext>, Trouble>>>,
}

impl Tokens {
    /// The token for a service.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(in crate::key::service) fn of(
        &self,
        around: &Surroundings,
        http: &Http,
        resource: &str,
    ) -> Result<Arc<Plaintext>, Trouble> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(resource) {
            return found.clone();
        }
        let found = Search { around, http, resource }.find().map(Arc::new);
        known.insert(resource.to_owned(), found.clone());
        found
    }
}

struct Search<'a> {
    around: &'a Surroundings,
    http: &'a Http,
    resource: &'a str,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow, alias = "accessToken", alias = "token")]
    access_token: Text<'a>,
}

impl Search<'_> {
    fn find(&self) -> Result<Plaintext, Trouble> {
        let variable = |name: &str| self.around.variable(name);
        if let (Some(tenant), Some(client)) =
            (variable("AZURE_TENANT_ID"), variable("AZURE_CLIENT_ID"))
        {
            if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
                let proof = [("client_secret", secret)];
                return self.of_directory(tenant, client, &proof);
            }
            if variable("AZURE_CLIENT_CERTIFICATE_PATH").is_some() {
                return Err(Trouble::Credentials(
                    "a certificate of a service principal is not used here; set \
                     AZURE_CLIENT_SECRET, or run `az login --service-principal`"
                        .to_owned(),
                ));
            }
            if let Some(file) = variable("AZURE_FEDERATED_TOKEN_FILE") {
                return self.of_workload(tenant, client, Path::new(file));
            }
        }
        if let Some(token) = self.of_machine()? {
            return Ok(token);
        }
        let programs: [(&str, Vec<&str>); 2] = [
            (
                "az",
                vec![
                    "account",
                    "get-access-token",
                    "--output",
                    "json",
                    "--resource",
                    self.resource,
                ],
            ),
            ("azd", vec!["auth", "token", "--output", "json", "--scope", self.resource]),
        ];
        let scope = format!("{}/.default", self.resource);
        for (program, mut args) in programs {
            if program == "azd" {
                args.pop();
                args.push(&scope);
            }
            if let Ok(printed) = credential_command(program, &args, &self.around.path)
                && let Ok(token) = token_in(&printed)
            {
                return Ok(token);
            }
        }
        Err(Trouble::Credentials(
            "neither variables, nor this machine, nor `az` have any".to_owned(),
        ))
    }

    #[expect(clippy::disallowed_methods, reason = "proof of who asks, for the directory")]
    fn of_workload(&self, tenant: &str, client: &str, file: &Path) -> Result<Plaintext, Trouble> {
        let unusable = |what: String| Trouble::Credentials(format!("{}: {what}", file.display()));
        let assertion = self.around.read(file).map_err(|error| unusable(error.to_string()))?;
        let assertion = std::str::from_utf8(assertion.expose())
            .map_err(|_| unusable("it is not text".to_owned()))?;
        let proof = [
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.trim()),
        ];
        self.of_directory(tenant, client, &proof)
    }

    /// A token of the directory, for a client that can prove who it is.
    fn of_directory(
        &self,
        tenant: &str,
        client: &str,
        proof: &[(&str, &str)],
    ) -> Result<Plaintext, Trouble> {
        let authority = self
            .around
            .variable("AZURE_AUTHORITY_HOST")
            .unwrap_or("https://login.microsoftonline.com");
        let url = format!(
            "{}/{}/oauth2/v2.0/token",
            authority.trim_end_matches('/'),
            escaped(tenant).as_str()
        );
        let scope = format!("{}/.default", self.resource);
        let mut form = Plaintext::copy_of(b"grant_type=client_credentials");
        for (name, value) in [("client_id", client), ("scope", &scope)].iter().chain(proof) {
            form.extend(b"&");
            form.extend(name.as_bytes());
            form.extend(b"=");
            form.extend(escaped(value).as_bytes());
        }
        let headers = vec![(
            "content-type".to_owned(),
            Plaintext::copy_of(b"application/x-www-form-urlencoded"),
        )];
        let answer = self.http.ask(
            self.around,
            Call { method: "POST", url, headers, body: Some(form), for_credentials: true },
        )?;
        if !answer.is_good() {
            let secrets = proof.iter().map(|(_, value)| Plaintext::copy_of(value.as_bytes()));
            let secrets: Vec<Plaintext> = secrets.collect();
            let secrets: Vec<&Plaintext> = secrets.iter().collect();
            let code = oauth_code(&answer.body, &secrets);
            return Err(Trouble::Credentials(format!(
                "the directory refuses (HTTP {}) {code}",
                answer.status
            )));
        }
        token_in(&answer.body)
    }

    /// The identity of App Service, or of a machine; `None` where there is none.
    fn of_machine(&self) -> Result<Option<Plaintext>, Trouble> {
        let variable = |name: &str| self.around.variable(name);
        let client =
            variable("AZURE_CLIENT_ID").map(|id| format!("&client_id={}", escaped(id).as_str()));
        let client = client.unwrap_or_default();
        let resource = escaped(self.resource);
        let resource = resource.as_str();
        if let (Some(endpoint), Some(header)) =
            (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER"))
        {
            let near = host_of(endpoint)
                .is_some_and(|host| is_near(&host) || host.starts_with("169.254."));
            if !near {
                return Err(Trouble::Forbidden { address: endpoint.to_owned() });
            }
            let url = format!("{endpoint}?api-version=2019-08-01&resource={resource}{client}");
            let headers =
                vec![("x-identity-header".to_owned(), Plaintext::copy_of(header.as_bytes()))];
            let answer = self.http.ask(
                self.around,
                Call { method: "GET", url, headers, body: None, for_credentials: true },
            )?;
            return machine_token(&answer).map(Some);
        }
        let host =
            variable("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
        let url = format!(
            "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{client}",
            host.trim_end_matches('/')
        );
        let headers = vec![("metadata".to_owned(), Plaintext::copy_of(b"true"))];
        let call = Call { method: "GET", url, headers, body: None, for_credentials: true };
        match self.http.ask_within(self.around, call, SHORT) {
            Ok(answer) if answer.is_good() => machine_token(&answer).map(Some),
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

fn machine_token(answer: &Answer) -> Result<Plaintext, Trouble> {
    if answer.is_good() {
        token_in(&answer.body)
    } else {
        Err(Trouble::Credentials(format!(
            "the identity of the machine is refused (HTTP {})",
            answer.status
        )))
    }
}

/// The token of an answer.
pub(in crate::key::service) fn token_in(answer: &Plaintext) -> Result<Plaintext, Trouble> {
    let token: Token<'_> = parsed(answer)?;
    if token.access_token.is_empty() {
        return Err(Trouble::Answer("there is no token in it"));
    }
    Ok(Plaintext::copy_of(token.access_token.as_bytes()))
}

/// A machine without an identity should not wait long to learn it.
const SHORT: Duration = Duration::from_secs(2);
