//! What a vault that does not take a token says of the one that it wants: the header
//! `WWW-Authenticate`, in the form that `challenge_policy.go` of the SDK for Go reads. Whoever runs the vault
//! writes it. Of all that it says, the name of a tenant alone is used: neither who gives tokens nor for which
//! service.

use crate::key::service::error::Trouble;
use crate::key::service::http::{Answer, authority_of};
use crate::key::service::said::said;
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// The tenant of which a vault wants a token, in at most 200 letters, digits, `.` and `-`; none where it
/// names none as it should, or repeats the token.
///
/// # Errors
/// [`Trouble::Refused`] where the vault is no part of the service that it wants a token for.
pub(super) fn tenant(
    answer: &Answer,
    vault: &str,
    token: &Plaintext,
) -> Result<Option<String>, Trouble> {
    let challenge = answer.headers.get("www-authenticate").filter(|all| all.len() <= MOST);
    let challenge = challenge.and_then(|all| all.to_str().ok()).unwrap_or_default();
    let value = |name: &str| {
        let mut all = challenge.split([' ', ',']).filter_map(|part| part.split_once('='));
        all.find(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"'))
    };
    let Some(service) = value("scope").or_else(|| value("resource")) else { return Ok(None) };
    let within = authority_of(service).map(|service| format!(".{service}").to_ascii_lowercase());
    let host = authority_of(vault).unwrap_or_default().to_ascii_lowercase();
    if within.is_none_or(|within| !host.ends_with(&within)) {
        return Err(Trouble::Refused {
            status: 401,
            said: format!("{} wants a token for a service of others", on_one_line(vault)),
            remedy: Some("look whether the file names the vault that you mean: this one gets none"),
        });
    }
    let named = value("authorization").and_then(|address| address.split('/').nth(3));
    let fits = |name: &&str| {
        // Nothing that an address or a program takes for something else.
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
            && said(name, &[token]) == *name
    };
    Ok(named.filter(fits).map(str::to_owned))
}

/// Bytes of a challenge at the most.
const MOST: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ureq::http::{HeaderMap, HeaderValue};

    use super::*;

    const VAULT: &str = "https://Fleet.vault.azure.net";
    const TOKEN: &str = "eyJ.canary-of-azure.x";

    fn read(challenge: &[u8]) -> Result<Option<String>, Trouble> {
        let mut headers = HeaderMap::new();
        headers.extend(
            HeaderValue::from_bytes(challenge)
                .ok()
                .map(|value| (ureq::http::header::WWW_AUTHENTICATE, value)),
        );
        let answer = Answer { status: 401, headers, body: Plaintext::default() };
        tenant(&answer, VAULT, &Plaintext::copy_of(TOKEN.as_bytes()))
    }

    fn usual(address: &str, service: &str) -> String {
        format!("Bearer authorization=\"{address}\", resource=\"{service}\"")
    }

    #[test]
    fn challenges_as_vaults_have_them() {
        let login = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47";
        let of = "https://vault.azure.net";
        for challenge in [
            usual(login, of),
            usual(&format!("{login}/oauth2/authorize"), &format!("{of}/.default")),
            format!("Bearer authorization=\"{login}\" resource=\"{of}\""),
            format!("Bearer authorization=\"{login}\", scope=\"{of}\", resource=\"https://x\""),
            format!("Bearer resource={of},authorization={login}"),
        ] {
            let tenant = read(challenge.as_bytes()).unwrap();
            assert_eq!(tenant.as_deref(), login.split('/').next_back(), "{challenge}");
        }
        let at = |tenant: &str| usual(&format!("https://login/{tenant}"), of);
        for challenge in [
            String::new(),
            "Bearer".to_owned(),
            format!("Bearer authorization=\"{login}\""),
            format!("Bearer resource=\"{of}\""),
            usual("common", of),
            at(""),
            at(".."),
            at("--debug"),
            at("a%2Fb"),
            at("a';canary"),
            at("b\u{fc}cher"),
            at(TOKEN),
            at(&"a".repeat(201)),
            format!("{}{}", at("a"), " ".repeat(MOST)),
        ] {
            assert_eq!(read(challenge.as_bytes()), Ok(None), "{challenge}");
        }
        for service in ["https://graph.microsoft.com", "", "https://vault.azure.net.x", "https://t"]
        {
            let told = read(usual(login, service).as_bytes());
            assert!(matches!(told, Err(Trouble::Refused { said, .. }) if said.contains(VAULT)));
        }
    }

    proptest! {
        #[test]
        fn a_challenge_gives_its_tenant_and_nothing_else(
            tenant in "[a-zA-Z0-9][a-zA-Z0-9.-]{0,80}",
            behind in "(/[a-z0-9?&%]{0,9}){0,3}",
            junk in "[ -~]{0,60}",
            cut in 0..200_usize,
        ) {
            let at = format!("https://login.microsoftonline.com/{tenant}{behind}");
            let whole = usual(&at, "https://vault.azure.net");
            prop_assert_eq!(read(whole.as_bytes()), Ok(Some(tenant)));
            let end = &whole[..cut.min(whole.len())];
            for torn in [format!("{end}{junk}"), format!("{junk}{end}"), junk.replace('!', &whole)] {
                if let Ok(Some(tenant)) = read(torn.as_bytes()) {
                    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
                    prop_assert!(tenant.bytes().all(plain) && tenant.len() <= 200, "{torn}");
                    prop_assert!(tenant.as_bytes()[0].is_ascii_alphanumeric(), "{torn}");
                }
            }
        }
    }
}
