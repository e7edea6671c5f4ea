//! Tokens of Azure, from where `DefaultAzureCredential` of its SDK for Go looks, in that order: the
//! variables of a service principal or a user, a workload identity, the identity of the machine, `az`,
//! `azd`, PowerShell. What is set up but does not work ends the search: no other identity steps in.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// The tokens of a run, one for each service that wants one, and each tenant that a vault names.
#[derive(Default)]
pub(in crate::key::service) struct Tokens {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    tokens: HashMap<(String, String), Got>,
    /// How long tenants that vaults name were asked, all together.
    spent: Duration,
}

/// A token, or why there is none.
pub(in crate::key::service) type Got = Result<Arc<Token>, Trouble>;

/// A token.
pub(in crate::key::service) struct Token {
    /// What the header of a request has of it.
    pub(in crate::key::service) bearer: Plaintext,
    /// The tenant that it was asked of; empty where that is not known here.
    pub(in crate::key::service) tenant: String,
}

impl Tokens {
    /// The token for a service; of the tenant that a vault names, or else of that of the credentials.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(in crate::key::service) fn of(
        &self,
        around: &Surroundings,
        http: &Http,
        resource: &str,
        named: Option<&str>,
    ) -> Got {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (resource.to_owned(), named.unwrap_or_default().to_owned());
        if let Some(found) = known.tokens.get(&place) {
            return found.clone();
        }
        // A file may name many vaults, and each of them a tenant of its own.
        if named.is_some() && known.spent >= around.patience() {
            return Err(Trouble::Slow(around.patience()));
        }
        let begin = Instant::now();
        let found = Search { around, http, resource, named }.find().map(Arc::new);
        if named.is_some() {
            known.spent = known.spent.saturating_add(begin.elapsed());
        }
        known.tokens.insert(place, found.clone());
        found
    }
}

struct Search<'a> {
    around: &'a Surroundings,
    http: &'a Http,
    resource: &'a str,
    /// The tenant that a vault names: letters, digits, `.` and `-`.
    named: Option<&'a str>,
}

#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow, alias = "accessToken", alias = "token", alias = "Token")]
    access_token: Text<'a>,
}

impl Search<'_> {
    fn find(&self) -> Result<Token, Trouble> {
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
        let of = self.named.map(|one| format!(" for the tenant {one}, which the vault names"));
        Err(Trouble::Credentials(format!("{what}{}", of.unwrap_or_default())))
    }

    /// The tenant to ask: that of the credentials, if they have one, or else an empty text; or the one that a
    /// vault names, where that may be asked. Which may be is what `resolveTenant` of the SDK for Go says.
    fn tenant<'b>(&'b self, own: &'b str) -> Result<&'b str, Trouble> {
        let Some(named) = self.named.filter(|named| !named.eq_ignore_ascii_case(own)) else {
            return Ok(own);
        };
        let is = |one: &str| one.trim() == "*" || one.trim().eq_ignore_ascii_case(named);
        let allowed = match self.around.variable(ALLOWED) {
            _ if is_adfs(own) => false,
            Some(list) => list.split(';').any(is),
            None => own.is_empty() || own == "organizations",
        };
        if allowed { Ok(named) } else { Err(not_allowed(named)) }
    }

    /// Tenant and client.
    fn principal(&self) -> Option<(&str, &str)> {
        self.around.variable("AZURE_TENANT_ID").zip(self.around.variable("AZURE_CLIENT_ID"))
    }

    /// A service principal with a secret or a certificate, or else a user with a password.
    #[expect(clippy::disallowed_methods, reason = "proof of who asks, for the directory")]
    fn of_variables(&self) -> Result<Option<Token>, Trouble> {
        let variable = |name: &str| self.around.variable(name);
        let Some((tenant, client)) = self.principal() else { return Ok(None) };
        if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
            let proof = [CLIENT, ("client_secret", secret)];
            return self.of_directory(self.tenant(tenant)?, client, &proof, "").map(Some);
        }
        if let Some(file) = variable("AZURE_CLIENT_CERTIFICATE_PATH") {
            let tenant = self.tenant(tenant)?;
            let assertion = certificate::assertion(
                self.around,
                Path::new(file),
                &self.directory(tenant),
                client,
                is_adfs(tenant),
            )?;
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
            return self.of_directory(self.tenant(tenant)?, client, &proof, "").map(Some);
        }
        Ok(None)
    }

    #[expect(clippy::disallowed_methods, reason = "proof of who asks, for the directory")]
    fn of_workload(&self) -> Result<Option<Token>, Trouble> {
        let file = self.around.variable("AZURE_FEDERATED_TOKEN_FILE").map(Path::new);
        let (Some((tenant, client)), Some(file)) = (self.principal(), file) else {
            return Ok(None);
        };
        let unusable = |what: String| Trouble::Credentials(format!("{}: {what}", file.display()));
        let assertion = self.around.read(file).map_err(|error| unusable(error.to_string()))?;
        let assertion = std::str::from_utf8(assertion.expose())
            .map_err(|_| unusable("it is not text".to_owned()))?;
        let proof = [CLIENT, BEARER, asserted(assertion.trim())];
        self.of_directory(self.tenant(tenant)?, client, &proof, "").map(Some)
    }

    /// Where the directory gives tokens.
    fn directory(&self, tenant: &str) -> String {
        let authority = self
            .around
            .variable("AZURE_AUTHORITY_HOST")
            .unwrap_or("https://login.microsoftonline.com");
        let version = if is_adfs(tenant) { "" } else { "/v2.0" };
        let tenant = escaped(tenant);
        format!("{}/{}/oauth2{version}/token", authority.trim_end_matches('/'), tenant.as_str())
    }

    /// A token of the directory of a tenant, for a client that can prove who it is.
    fn of_directory(
        &self,
        tenant: &str,
        client: &str,
        proof: &[(&str, &str)],
        advice: &str,
    ) -> Result<Token, Trouble> {
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
        Ok(Token { bearer: token_in(&answer.body)?, tenant: tenant.to_owned() })
    }

    fn of_az(&self) -> Result<Option<Token>, Trouble> {
        let what = ["account", "get-access-token", "--output", "json", "--resource", self.resource];
        self.of_program("az", &what, Some("--tenant"))
    }

    fn of_azd(&self) -> Result<Option<Token>, Trouble> {
        let scope = format!("{}/.default", self.resource);
        let what = ["auth", "token", "--output", "json", "--scope", &scope];
        self.of_program("azd", &what, Some("--tenant-id"))
    }

    fn of_powershell(&self) -> Result<Option<Token>, Trouble> {
        // In a script, anything else could end the text that it stands in: PowerShell knows many quotes.
        let is_plain = |one: char| one.is_ascii_alphanumeric() || ".-_/:".contains(one);
        if !self.resource.chars().all(is_plain) {
            return Err(Trouble::Credentials(
                "SECRETCTL_AZURE_RESOURCE is not the address of a service, such as https://vault.azure.net"
                    .to_owned(),
            ));
        }
        let tenant = self.named.map(|named| format!("'; TenantId = '{named}"));
        let asked = format!("{}{}", self.resource, tenant.unwrap_or_default());
        let script = SCRIPT.replace("RESOURCE", &asked);
        let script: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let script = BASE64_STANDARD.encode(script);
        let how = ["-NoProfile", "-NonInteractive", "-OutputFormat", "Text", "-EncodedCommand"];
        self.of_program("pwsh", &[&how[..], &[&script]].concat(), None)
    }

    /// What a program prints, with `option` for a tenant; none where it is not there or not logged in.
    fn of_program(
        &self,
        program: &str,
        arguments: &[&str],
        option: Option<&str>,
    ) -> Result<Option<Token>, Trouble> {
        let tenant = self.tenant("")?;
        let mut arguments = arguments.to_vec();
        if let (Some(option), Some(named)) = (option, self.named) {
            arguments.extend([option, named]);
        }
        let patience = self.around.patience();
        // As the SDK has it: `az` is `python -m` of a module, which Python takes from where it starts.
        let folder = Path::new("/");
        match credential_command(program, &arguments, &[], folder, &self.around.path, patience) {
            Ok(printed) => Ok(token_in(&printed)
                .ok()
                .map(|bearer| Token { bearer, tenant: tenant.to_owned() })),
            Err(error @ CommandError::TimedOut { .. }) => {
                Err(Trouble::Credentials(error.to_string()))
            }
            Err(_) => Ok(None),
        }
    }

    /// The identity of App Service, or of a machine; `None` where there is none.
    /// It has one tenant, whatever a vault names.
    fn of_machine(&self) -> Result<Option<Token>, Trouble> {
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

fn machine_token(answer: &Answer) -> Result<Token, Trouble> {
    if answer.is_good() {
        Ok(Token { bearer: token_in(&answer.body)?, tenant: String::new() })
    } else {
        Err(Trouble::Credentials(format!(
            "the identity of the machine is refused (HTTP {})",
            answer.status
        )))
    }
}

/// Why a tenant is not asked, though a vault names it.
pub(super) fn not_allowed(tenant: &str) -> Trouble {
    Trouble::Refused {
        status: 401,
        said: format!(
            "the vault is of the tenant {tenant}, and the credentials are of another one"
        ),
        remedy: Some(
            "if you trust that tenant, name it in AZURE_ADDITIONALLY_ALLOWED_TENANTS, where `;` stands \
             between tenants; an AZURE_TENANT_ID of `adfs` has no others",
        ),
    }
}

/// Whether a tenant is a directory of ADFS, which is one tenant and has another address.
fn is_adfs(tenant: &str) -> bool {
    tenant.eq_ignore_ascii_case("adfs")
}

/// The token of an answer.
pub(in crate::key::service) fn token_in(answer: &Plaintext) -> Result<Plaintext, Trouble> {
    let token: Given<'_> = parsed(answer)?;
    if token.access_token.is_empty() {
        return Err(Trouble::Answer("there is no token in it"));
    }
    Ok(Plaintext::copy_of(token.access_token.as_bytes()))
}

/// The variable that names tenants which may be asked besides that of the credentials.
const ALLOWED: &str = "AZURE_ADDITIONALLY_ALLOWED_TENANTS";
/// A machine without an identity should not wait long to learn it.
const SHORT: Duration = Duration::from_secs(2);

/// Gives a token, or none where nothing is set up for it.
type Source<T> = fn(&T) -> Result<Option<Token>, Trouble>;

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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::key::service::http::Tls;

    /// Each may take its time, but all together no more than one question.
    #[test]
    fn many_tenants_that_vaults_name_are_not_waited_for_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let (az, starts) = (folder.path().join("az"), folder.path().join("starts"));
        let script = format!("#!/bin/sh\necho >>{}\nsleep 0.8\nexit 1\n", starts.display());
        fs::write(&az, script).unwrap();
        fs::set_permissions(&az, Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]);
        let variables = [
            ("AZURE_TOKEN_CREDENTIALS", "AzureCLICredential"),
            ("SECRETCTL_KEY_SERVICES_TIMEOUT", "1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let around = Surroundings { variables, path: path.unwrap(), ..Surroundings::default() };
        let (tokens, http) = (Tokens::default(), Http::new(Tls::default()));
        let results: Vec<Got> = (0..20)
            .map(|number| {
                let tenant = format!("tenant-{number}");
                tokens.of(&around, &http, "https://vault.azure.net", Some(&tenant))
            })
            .collect();
        let starts = fs::read_to_string(starts).unwrap().lines().count();
        assert!((1..=2).contains(&starts), "{starts}");
        assert!(matches!(results.last(), Some(Err(Trouble::Slow(_)))));
        // That of the credentials is none of them.
        let own = tokens.of(&around, &http, "https://vault.azure.net", None);
        assert!(matches!(own, Err(Trouble::Credentials(_))));
    }
}
