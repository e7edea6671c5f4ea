//! Where the credentials of AWS come from, in the order of the SDK for Go: a profile that is named;
//! else variables, a web identity, the default profile, and last the services of containers and
//! machines. A profile may take on a role with the credentials of another one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqsign_aws_v4::{
    Credential, ECSCredentialProvider, IMDSv2CredentialProvider, SSOCredentialProvider,
};
use serde::Deserialize;

use super::profile::{Profile, named};
use super::{Found, named_endpoint, sso, sts};
use crate::key::service::borrowed::Borrowed;
use crate::key::service::error::Trouble;
use crate::key::service::http::Http;
use crate::key::service::surroundings::Surroundings;
use crate::key::service::text::{Text, parsed};
use crate::key::wrapping::on_one_line;
use crate::process::credential_command;

/// Credentials for a region, with the profile that a key names, or none.
pub(in crate::key::service) fn find(
    around: &Arc<Surroundings>,
    http: &Arc<Http>,
    profile: &str,
    region: &str,
) -> Found {
    let borrowed = Borrowed::new(around, http);
    let search = Search { around, http, borrowed: &borrowed, region };
    let profile = Some(profile).filter(|name| !name.is_empty()).or_else(|| named(around));
    if let Some(profile) = profile {
        return search.of_profile(profile, 0);
    }
    if let Some(found) = search.of_variables() {
        return Ok(found);
    }
    if let Some(file) = around.variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
        let role = around.variable("AWS_ROLE_ARN").ok_or_else(|| {
            trouble("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not")
        })?;
        let session = around.variable("AWS_ROLE_SESSION_NAME");
        return search.of_web_identity(&Profile::of(around, "default"), file, role, session);
    }
    search.of_profile("default", 0)
}

struct Search<'a> {
    around: &'a Arc<Surroundings>,
    http: &'a Arc<Http>,
    borrowed: &'a Borrowed,
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
            return Ok(credential(id, secret, profile.get("aws_session_token")));
        }
        match profile.get("credential_source") {
            Some("Environment") => {
                return self.of_variables().ok_or_else(|| trouble("the environment has none"));
            }
            Some("EcsContainer") => return self.of_container(),
            Some("Ec2InstanceMetadata") => return self.of_ec2("the machine has none"),
            Some(other) => {
                return Err(trouble(&format!("`credential_source = {other}` is not known")));
            }
            None => {}
        }
        if let Some((file, role)) =
            profile.get("web_identity_token_file").zip(profile.get("role_arn"))
        {
            return self.of_web_identity(profile, file, role, profile.get("role_session_name"));
        }
        if profile.get("sso_session").or_else(|| profile.get("sso_start_url")).is_some() {
            return self.of_sso(name, profile);
        }
        if let Some(line) = profile.get("credential_process") {
            return self.of_program(line);
        }
        self.of_the_machine()
    }

    fn of_variables(&self) -> Option<Credential> {
        let get = |name| self.around.variable(name);
        let (id, secret) = (get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?);
        Some(credential(id, secret, get("AWS_SESSION_TOKEN")))
    }

    fn of_web_identity(
        &self,
        profile: &Profile,
        file: &str,
        role: &str,
        session: Option<&str>,
    ) -> Found {
        let token = self.around.read(Path::new(file));
        let token = token.map_err(|error| trouble(&format!("{file}: {error}")))?;
        let session = session.map_or_else(sts::session_name, str::to_owned);
        let role = sts::Role { arn: role, session: &session, external_id: None };
        sts::of_web_identity(self.around, self.http, profile, &role, &token, self.region)
    }

    /// The token of `aws sso login`, and what the portal gives for it. What belongs to the session
    /// stands in the profile, or in a section that profiles share.
    fn of_sso(&self, name: &str, profile: &Profile) -> Found {
        let session = profile.get("sso_session");
        let shared = session.map(|session| Profile::of_session(self.around, session));
        let get = |property: &str| {
            let own = profile.get(property);
            own.or_else(|| shared.as_ref()?.get(property)).ok_or_else(|| {
                trouble(&format!("profile `{name}` and its session have no `{property}`"))
            })
        };
        let (region, start) = (get("sso_region")?, get("sso_start_url")?);
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !region.bytes().all(is_word) {
            return Err(trouble(&format!("`sso_region = {region}` is no region")));
        }
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        let usual = format!("https://portal.sso.{region}.amazonaws.com{end}");
        let endpoint = named_endpoint(self.around, profile, "sso").unwrap_or(&usual);
        if let Some(session) = session {
            let usual = format!("https://oidc.{region}.amazonaws.com{end}");
            let endpoint = named_endpoint(self.around, profile, "sso_oidc").unwrap_or(&usual);
            sso::renew(self.around, self.http, session, endpoint, name)?;
        }
        let provider = SSOCredentialProvider::new()
            .with_account_id(get("sso_account_id")?)
            .with_role_name(get("sso_role_name")?)
            .with_region(region)
            // Only the name of the file with the token is made of it: that of the session, if it has one.
            .with_start_url(session.unwrap_or(start))
            .with_endpoint(format!("{}/federation/credentials", endpoint.trim_end_matches('/')));
        let none = || {
            trouble(&format!(
                "there is no session of SSO, or it has run out: run `aws sso login --profile {name}`"
            ))
        };
        self.borrowed.find_or(&provider, none)
    }

    /// What the program of a profile prints (`credential_process`, version 1).
    fn of_program(&self, line: &str) -> Found {
        let words = shell_words::split(line).unwrap_or_default();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err(trouble("`credential_process` is no command line"));
        };
        // It may ask for a second factor.
        let patience = self.around.patience().max(PROGRAM);
        let printed = credential_command(
            program,
            arguments,
            &[],
            Path::new("."),
            &self.around.path,
            patience,
        )
        .map_err(|error| trouble(&error.to_string()))?;
        let printed: Printed<'_> = parsed(&printed)
            .map_err(|_| trouble(&format!("{program} prints no credentials of version 1")))?;
        if printed.version != 1 {
            return Err(trouble(&format!(
                "{program} prints credentials of another version than 1"
            )));
        }
        let token = printed.session_token.as_deref();
        Ok(credential(&printed.access_key_id, &printed.secret_access_key, token))
    }

    fn of_the_machine(&self) -> Found {
        let names =
            ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        if self.around.first(&names).is_some() {
            return self.of_container();
        }
        self.of_ec2(NOWHERE)
    }

    /// The relative address and the file go before the others, as in the SDK.
    fn of_container(&self) -> Found {
        let get = |name| self.around.variable(name);
        let mut provider = ECSCredentialProvider::new();
        if let Some(way) = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            provider = provider.with_relative_uri(way);
        }
        if let Some(file) = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            provider = provider.with_auth_token_file(file);
        }
        self.borrowed.find(&provider)?.ok_or_else(|| trouble("the container has none"))
    }

    fn of_ec2(&self, none: &str) -> Found {
        let found = self.borrowed.find(&IMDSv2CredentialProvider::new());
        found.ok().flatten().ok_or_else(|| trouble(none))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed<'a> {
    version: u32,
    #[serde(borrow)]
    access_key_id: Text<'a>,
    #[serde(borrow)]
    secret_access_key: Text<'a>,
    #[serde(borrow, default)]
    session_token: Option<Text<'a>>,
}

fn credential(id: &str, secret: &str, token: Option<&str>) -> Credential {
    Credential {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: token.filter(|token| !token.is_empty()).map(str::to_owned),
        expires_in: None,
    }
}

fn trouble(what: &str) -> Trouble {
    Trouble::Credentials(on_one_line(what))
}

/// What a program of a profile has, as with the SDK.
const PROGRAM: Duration = Duration::from_mins(1);
/// Profiles behind a profile.
const DEEPEST: usize = 8;
const NOWHERE: &str = "neither variables, nor a profile, nor this machine has any";
