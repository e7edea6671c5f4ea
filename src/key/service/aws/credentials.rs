//! Where the credentials of AWS come from, in the order of the SDK for Go: a profile that is named;
//! else variables, a web identity, the default profile, and last the services of containers and
//! machines. A profile may take on a role with the credentials of another one.

use reqsign_aws_v4::{
    AssumeRoleWithWebIdentityCredentialProvider, Credential, ECSCredentialProvider,
    EnvCredentialProvider, IMDSv2CredentialProvider, ProcessCredentialProvider,
    SSOCredentialProvider,
};
use reqsign_core::{Context, ProvideCredential};

use super::profile::{Profile, named};
use super::{Found, sts};
use crate::key::service::error::Trouble;
use crate::key::service::http::Http;
use crate::key::service::surroundings::Surroundings;
use crate::key::wrapping::on_one_line;

use std::sync::Arc;

/// Credentials for a region, with the profile that a key names, or none.
pub(in crate::key::service) fn find(
    around: &Arc<Surroundings>,
    http: &Arc<Http>,
    context: &Context,
    profile: &str,
    region: &str,
) -> Found {
    let search = Search { around, http, context, region };
    let profile = Some(profile).filter(|name| !name.is_empty()).or_else(|| named(around));
    if let Some(profile) = profile {
        return search.of_profile(profile, 0);
    }
    if let Some(found) = search.ask(&EnvCredentialProvider::new())? {
        return Ok(found);
    }
    if around.variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        && let Some(found) = search.ask(&AssumeRoleWithWebIdentityCredentialProvider::new())?
    {
        return Ok(found);
    }
    search.of_profile("default", 0)
}

struct Search<'a> {
    around: &'a Arc<Surroundings>,
    http: &'a Arc<Http>,
    context: &'a Context,
    region: &'a str,
}

impl Search<'_> {
    fn of_profile(&self, name: &str, depth: usize) -> Found {
        let profile = Profile::of(self.around, name);
        if profile.is_empty() && name != "default" {
            return Err(trouble(&format!("there is no profile `{name}`")));
        }
        if depth > DEEPEST {
            return Err(trouble(&format!("the profiles behind `{name}` go in a circle")));
        }
        let first = self.first_of(name, &profile, depth)?;
        let Some(role) =
            profile.get("role_arn").filter(|_| profile.get("web_identity_token_file").is_none())
        else {
            return Ok(first);
        };
        if profile.get("mfa_serial").is_some() {
            return Err(trouble(&format!(
                "profile `{name}` wants a code of a second factor, which nobody is asked for here; \
                 log in first, and name the profile of that session"
            )));
        }
        let session =
            profile.get("role_session_name").map_or_else(sts::session_name, str::to_owned);
        let role =
            sts::Role { arn: role, session: &session, external_id: profile.get("external_id") };
        let region = profile.get("region").unwrap_or(self.region);
        sts::take_on(self.around, self.http, &profile, &first, &role, region)
    }

    /// What a profile has before a role is taken on.
    fn first_of(&self, name: &str, profile: &Profile, depth: usize) -> Found {
        if let Some(source) = profile.get("source_profile").filter(|source| *source != name) {
            return self.of_profile(source, depth.saturating_add(1));
        }
        if let (Some(id), Some(secret)) =
            (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key"))
        {
            return Ok(Credential {
                access_key_id: id.to_owned(),
                secret_access_key: secret.to_owned(),
                session_token: profile.get("aws_session_token").map(str::to_owned),
                expires_in: None,
            });
        }
        match profile.get("credential_source") {
            Some("Environment") => {
                return self.surely(&EnvCredentialProvider::new(), "the environment has none");
            }
            Some("EcsContainer") => {
                return self.surely(&ECSCredentialProvider::new(), "the container has none");
            }
            Some("Ec2InstanceMetadata") => {
                return self.surely(&IMDSv2CredentialProvider::new(), "the machine has none");
            }
            Some(other) => {
                return Err(trouble(&format!("`credential_source = {other}` is not known")));
            }
            None => {}
        }
        if let Some((file, role)) =
            profile.get("web_identity_token_file").zip(profile.get("role_arn"))
        {
            let provider = AssumeRoleWithWebIdentityCredentialProvider::with_config(
                role.to_owned(),
                file.into(),
            );
            return self.surely(&provider, "the web identity gives none");
        }
        if profile.get("sso_session").or_else(|| profile.get("sso_start_url")).is_some() {
            let provider = SSOCredentialProvider::new().with_profile(name);
            return self.surely(&provider, "the session of SSO has run out");
        }
        if profile.get("credential_process").is_some() {
            let provider = ProcessCredentialProvider::new().with_profile(name);
            return self.surely(&provider, "the program of the profile gives none");
        }
        self.of_the_machine()
    }

    fn of_the_machine(&self) -> Found {
        let names =
            ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        if self.around.first(&names).is_some() {
            return self.surely(&ECSCredentialProvider::new(), "the container has none");
        }
        if self.around.variable("AWS_EC2_METADATA_DISABLED") == Some("true") {
            return Err(trouble(NOWHERE));
        }
        match self.ask(&IMDSv2CredentialProvider::new()) {
            Ok(Some(found)) => Ok(found),
            Ok(None) | Err(_) => Err(trouble(NOWHERE)),
        }
    }

    fn surely(
        &self,
        provider: &impl ProvideCredential<Credential = Credential>,
        none: &str,
    ) -> Found {
        self.ask(provider)?.ok_or_else(|| trouble(none))
    }

    fn ask(
        &self,
        provider: &impl ProvideCredential<Credential = Credential>,
    ) -> Result<Option<Credential>, Trouble> {
        // The words of an error may hold what a program or a service printed.
        pollster::block_on(provider.provide_credential(self.context))
            .map_err(|error| trouble(&format!("{:?}", error.kind())))
    }
}

fn trouble(what: &str) -> Trouble {
    Trouble::Credentials(on_one_line(what))
}

/// Profiles behind a profile.
const DEEPEST: usize = 8;
const NOWHERE: &str = "neither variables, nor a profile, nor this machine has any";
