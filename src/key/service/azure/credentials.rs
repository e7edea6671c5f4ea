//! Tokens of Azure, from where `DefaultAzureCredential` of its SDK for Go looks, in that order: the
//! variables of a service principal or a user, a workload identity, the identity of the machine, `az`,
//! `azd`, PowerShell. What is set up but does not work ends the search: no other identity steps in.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::certificate;
use crate::key::service::error::Trouble;
use crate::key::service::http::{Answer, Call, Http, host_of, is_near};
use crate::key::service::said::oauth_code;
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::{Text, escaped, parsed};
use crate::plaintext::Plaintext;
use crate::process::{CommandError, credential_command};

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
    #[serde(borrow, alias = "accessToken", alias = "token", alias = "Token")]
    access_token: Text<'a>,
}

impl Search<'_> {
    fn find(&self) -> Result<Plaintext, Trouble> {
        // By what they are for, and by their names in the SDK; it may choose by both.
        let chain: [(&str, &str, Source<Self>); 6] = [
            ("prod", "EnvironmentCredential", Self::of_variables),
            ("prod", "WorkloadIdentityCredential", Self::of_workload),
            ("prod", "ManagedIdentityCredential", Self::of_machine),
            ("dev", "AzureCLICredential", Self::of_az),
            ("dev", "AzureDeveloperCLICredential", Self::of_azd),
            ("dev", "AzurePowerShellCredential", Self::of_powershell),
        ];
        let chosen = self.around.variable("AZURE_TOKEN_CREDENTIALS");
        let mut any = false;
        for (stage, name, source) in chain {
            if chosen.is_some_and(|one| one != stage && !one.eq_ignore_ascii_case(name)) {
                continue;
            }
            any = true;
            if let Some(token) = source(self)? {
                return Ok(token);
            }
        }
        let what = match chosen {
            None => "neither variables, nor this machine, nor `az`, `azd` or `pwsh` have any",
            Some(_) if any => "those that AZURE_TOKEN_CREDENTIALS chooses have none",
            Some(_) => "AZURE_TOKEN_CREDENTIALS chooses none that are known here",
        };
        Err(Trouble::Credentials(what.to_owned()))
    }

    /// Tenant and client.
    fn principal(&self) -> Option<(&str, &str)> {
        self.around.variable("AZURE_TENANT_ID").zip(self.around.variable("AZURE_CLIENT_ID"))
    }

    /// A service principal with a secret or a certificate, or else a user with a password.
    #[expect(clippy::disallowed_methods, reason = "proof of who asks, for the directory")]
    fn of_variables(&self) -> Result<Option<Plaintext>, Trouble> {
        let variable = |name: &str| self.around.variable(name);
        let Some((tenant, client)) = self.principal() else { return Ok(None) };
        if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
            let proof = [CLIENT, ("client_secret", secret)];
            return self.of_directory(tenant, client, &proof, "").map(Some);
        }
        if let Some(file) = variable("AZURE_CLIENT_CERTIFICATE_PATH") {
            let audience = self.directory(tenant);
            let assertion =
                certificate::assertion(self.around, Path::new(file), &audience, client)?;
            let assertion = std::str::from_utf8(assertion.expose()).unwrap_or_default();
            let advice = format!(
                "; look whether the certificate in {file} ran out, whether the application has it, and \
                 at the clock of this machine"
            );
            let proof = [CLIENT, BEARER, asserted(assertion)];
            return self.of_directory(tenant, client, &proof, &advice).map(Some);
        }
        if let (Some(user), Some(password)) =
            (variable("AZURE_USERNAME"), variable("AZURE_PASSWORD"))
        {
            let proof = [("grant_type", "password"), ("username", user), ("password", password)];
            return self.of_directory(tenant, client, &proof, "").map(Some);
        }
        Ok(None)
    }

    #[expect(clippy::disallowed_methods, reason = "proof of who asks, for the directory")]
    fn of_workload(&self) -> Result<Option<Plaintext>, Trouble> {
        let file = self.around.variable("AZURE_FEDERATED_TOKEN_FILE").map(Path::new);
        let (Some((tenant, client)), Some(file)) = (self.principal(), file) else {
            return Ok(None);
        };
        let unusable = |what: String| Trouble::Credentials(format!("{}: {what}", file.display()));
        let assertion = self.around.read(file).map_err(|error| unusable(error.to_string()))?;
        let assertion = std::str::from_utf8(assertion.expose())
            .map_err(|_| unusable("it is not text".to_owned()))?;
        let proof = [CLIENT, BEARER, asserted(assertion.trim())];
        self.of_directory(tenant, client, &proof, "").map(Some)
    }

    /// Where the directory gives tokens.
    fn directory(&self, tenant: &str) -> String {
        let authority = self
            .around
            .variable("AZURE_AUTHORITY_HOST")
            .unwrap_or("https://login.microsoftonline.com");
        let tenant = escaped(tenant);
        format!("{}/{}/oauth2/v2.0/token", authority.trim_end_matches('/'), tenant.as_str())
    }

    /// A token of the directory, for a client that can prove who it is.
    fn of_directory(
        &self,
        tenant: &str,
        client: &str,
        proof: &[(&str, &str)],
        advice: &str,
    ) -> Result<Plaintext, Trouble> {
        let url = self.directory(tenant);
        let scope = format!("{}/.default", self.resource);
        let call = || {
            let mut form = Plaintext::default();
            for (name, value) in proof.iter().chain(&[("client_id", client), ("scope", &scope)]) {
                form.extend(if form.is_empty() { b"" } else { b"&" });
                form.extend(name.as_bytes());
                form.extend(b"=");
                form.extend(escaped(value).as_bytes());
            }
            let headers = vec![(
                "content-type".to_owned(),
                Plaintext::copy_of(b"application/x-www-form-urlencoded"),
            )];
            let url = url.clone();
            Ok(Call { method: "POST", url, headers, body: Some(form), for_credentials: true })
        };
        let answer = self.http.insist_anyhow(self.around, &Answer::is_busy, &call)?;
        if !answer.is_good() {
            let secrets = proof.iter().map(|(_, value)| Plaintext::copy_of(value.as_bytes()));
            let secrets: Vec<Plaintext> = secrets.collect();
            let secrets: Vec<&Plaintext> = secrets.iter().collect();
            let code = oauth_code(&answer.body, &secrets);
            return Err(Trouble::Credentials(format!(
                "the directory refuses (HTTP {}) {code}{advice}",
                answer.status
            )));
        }
        token_in(&answer.body)
    }

    fn of_az(&self) -> Result<Option<Plaintext>, Trouble> {
        let what = ["account", "get-access-token", "--output", "json", "--resource", self.resource];
        self.of_program("az", &what)
    }

    fn of_azd(&self) -> Result<Option<Plaintext>, Trouble> {
        let scope = format!("{}/.default", self.resource);
        self.of_program("azd", &["auth", "token", "--output", "json", "--scope", &scope])
    }

    fn of_powershell(&self) -> Result<Option<Plaintext>, Trouble> {
        // In a script, anything else could end the text that it stands in: PowerShell knows many quotes.
        let is_plain = |one: char| one.is_ascii_alphanumeric() || ".-_/:".contains(one);
        if !self.resource.chars().all(is_plain) {
            return Err(Trouble::Credentials(
                "SECRETCTL_AZURE_RESOURCE is not the address of a service".to_owned(),
            ));
        }
        let script = SCRIPT.replace("RESOURCE", self.resource);
        let script: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let script = BASE64_STANDARD.encode(script);
        let how = ["-NoProfile", "-NonInteractive", "-OutputFormat", "Text", "-EncodedCommand"];
        self.of_program("pwsh", &[&how[..], &[&script]].concat())
    }

    /// What a program prints; none where it is not there or not logged in.
    fn of_program(&self, program: &str, arguments: &[&str]) -> Result<Option<Plaintext>, Trouble> {
        let patience = self.around.patience();
        match credential_command(program, arguments, &[], &self.around.path, patience) {
            Ok(printed) => Ok(token_in(&printed).ok()),
            Err(error @ CommandError::TimedOut { .. }) => {
                Err(Trouble::Credentials(error.to_string()))
            }
            Err(_) => Ok(None),
        }
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

/// Gives a token, or none where nothing is set up for it.
type Source<T> = fn(&T) -> Result<Option<Plaintext>, Trouble>;

/// Prints a token. The first line makes an end of it where the module is not there or nobody is logged in;
/// some versions of the module give a secure text only where it is asked for, and later ones always.
const SCRIPT: &str = "\
$ErrorActionPreference = 'Stop'
$WarningPreference = 'SilentlyContinue'
Import-Module Az.Accounts -MinimumVersion 2.2.0
$asked = @{ ResourceUrl = 'RESOURCE'; WarningAction = 'Ignore' }
if ((Get-Command Get-AzAccessToken).Parameters.ContainsKey('AsSecureString')) {
    $asked.AsSecureString = $true
}
$token = (Get-AzAccessToken @asked).Token
if ($token -is [securestring]) {
    $token = [System.Net.NetworkCredential]::new('', $token).Password
}
@{ Token = [string] $token } | ConvertTo-Json
";

const CLIENT: (&str, &str) = ("grant_type", "client_credentials");
const BEARER: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

fn asserted(assertion: &str) -> (&str, &str) {
    ("client_assertion", assertion)
}
