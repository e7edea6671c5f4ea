//! Keys of PGP and of key services, as rules write them down. Checks their form; asks nobody.
//!
//! Follows `NewMasterKeyFrom…` of `pgp`, `kms`, `gcpkms`, `hckms`, `azkv` and `hcvault` of sops. What
//! sops would take and then fail with while it encrypts is refused here already.

use std::collections::BTreeMap;

use crate::key::Recipient;
use crate::key::wrapping::{WrappingKey, WrappingKind};

/// A key in a list of `secretctl.yaml`, where its form tells its kind: `pgp:FINGERPRINT`,
/// `hckms:REGION:ID`, `arn:aws:kms:…`, `projects/…/cryptoKeys/…`, or the URL of a key in Azure Key
/// Vault or of the transit engine of Vault. `None` where it is none of these.
pub(super) fn of_any_kind(text: &str) -> Option<Result<WrappingKey, &'static str>> {
    let text = text.trim();
    if let Some(fingerprint) = text.strip_prefix("pgp:") {
        Some(pgp(fingerprint))
    } else if let Some(id) = text.strip_prefix("hckms:") {
        Some(hckms(id))
    } else if text.starts_with("arn:") {
        Some(kms(text, ""))
    } else if text.starts_with("projects/") {
        Some(gcp_kms(text))
    } else if text.starts_with("https://") && !text.contains("/v1/") {
        Some(azure(text))
    } else if text.starts_with("https://") || text.starts_with("http://") {
        Some(vault(text))
    } else {
        None
    }
}

/// A key of a kind that is known; `profile` and `context` are for AWS.
///
/// # Errors
/// A clause that says what is wrong.
pub fn of_kind(
    kind: WrappingKind,
    text: &str,
    aws_profile: &str,
    context: &BTreeMap<String, String>,
) -> Result<WrappingKey, String> {
    let key = match kind {
        WrappingKind::Age => {
            return Recipient::parse(text).map(WrappingKey::Age).map_err(|e| e.to_string());
        }
        WrappingKind::Pgp => pgp(text),
        WrappingKind::Kms => kms(text, aws_profile),
        WrappingKind::GcpKms => gcp_kms(text),
        WrappingKind::HcKms => hckms(text),
        WrappingKind::AzureKv => azure(text),
        WrappingKind::HcVault => vault(text),
    };
    let mut key = key.map_err(str::to_owned)?;
    if let WrappingKey::Kms { context: of_key, .. } = &mut key {
        of_key.clone_from(context);
    }
    Ok(key)
}

/// A PGP key, by its fingerprint or whatever else gpg finds it by.
pub(super) fn pgp(text: &str) -> Result<WrappingKey, &'static str> {
    let text = text.trim().replace(' ', "");
    if text.is_empty() {
        return Err("the fingerprint is empty");
    }
    // It becomes an argument of gpg.
    if text.starts_with('-') || text.chars().any(char::is_control) {
        return Err("it is no fingerprint of a PGP key");
    }
    Ok(WrappingKey::Pgp(text))
}

/// `ARN`, or `ARN+ARN OF A ROLE`.
pub(super) fn kms(text: &str, aws_profile: &str) -> Result<WrappingKey, &'static str> {
    let text = text.trim().replace(' ', "");
    let (arn, role) = match text.find("+arn:").filter(|at| *at > 0).map(|at| text.split_at(at)) {
        Some((arn, role)) => (arn.to_owned(), role.strip_prefix('+').map(str::to_owned)),
        None => (text, None),
    };
    kms_of(arn, role, BTreeMap::new(), aws_profile)
}

/// A key of AWS KMS out of its parts.
pub(super) fn kms_of(
    arn: String,
    role: Option<String>,
    context: BTreeMap<String, String>,
    aws_profile: &str,
) -> Result<WrappingKey, &'static str> {
    if !is_kms_arn(&arn) {
        return Err("it is not of the form `arn:aws:kms:REGION:ACCOUNT:key/ID`");
    }
    Ok(WrappingKey::Kms { arn, role, context, aws_profile: aws_profile.to_owned() })
}

/// `^arn:aws[\w-]*:kms:(.+):[0-9]+:(key|alias)/.+$`
fn is_kms_arn(arn: &str) -> bool {
    let Some((partition, rest)) = arn.strip_prefix("arn:aws").and_then(|r| r.split_once(":kms:"))
    else {
        return false;
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let ends = [":key/", ":alias/"].into_iter().flat_map(|kind| rest.match_indices(kind));
    let mut ends = ends.filter_map(|(at, kind)| {
        let (region, account) = rest.get(..at)?.rsplit_once(':')?;
        Some((region, account, rest.get(at.saturating_add(kind.len())..)?))
    });
    partition.chars().all(is_word)
        && ends.any(|(region, account, id)| {
            let is_number = !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit());
            !region.is_empty() && is_number && !id.is_empty()
        })
}

/// A resource id of GCP KMS.
pub(super) fn gcp_kms(text: &str) -> Result<WrappingKey, &'static str> {
    let text = text.trim().replace(' ', "");
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["projects", p, "locations", l, "keyRings", r, "cryptoKeys", k, ..]
            if ![p, l, r, k].iter().any(|part| part.is_empty()) =>
        {
            Ok(WrappingKey::GcpKms(text))
        }
        _ => Err("it is not of the form `projects/…/locations/…/keyRings/…/cryptoKeys/…`"),
    }
}

/// `REGION:ID` of Huawei Cloud.
pub(super) fn hckms(text: &str) -> Result<WrappingKey, &'static str> {
    let text = text.trim();
    match text.split_once(':') {
        Some((region, id)) if !region.trim().is_empty() && !id.trim().is_empty() => {
            Ok(WrappingKey::HcKms(text.to_owned()))
        }
        Some(_) | None => Err("it is not of the form `REGION:ID`"),
    }
}

/// `https://VAULT/keys/NAME[/VERSION]`. Without a version, whoever encrypts asks for the newest.
pub(super) fn azure(text: &str) -> Result<WrappingKey, &'static str> {
    let wrong = "it is not of the form `https://VAULT.vault.azure.net/keys/NAME/VERSION`";
    let host_and_path = text.trim().strip_prefix("https://").ok_or(wrong)?;
    let parts: Vec<&str> = host_and_path.split('/').collect();
    let (host, name, version) = match parts.as_slice() {
        [host, "keys", name] => (host, name, ""),
        [host, "keys", name, version] => (host, name, *version),
        _ => return Err(wrong),
    };
    if host.is_empty() || name.is_empty() {
        return Err(wrong);
    }
    azure_of(&format!("https://{host}"), name, version)
}

/// A key of Azure Key Vault out of its parts.
pub(super) fn azure_of(
    vault_url: &str,
    name: &str,
    version: &str,
) -> Result<WrappingKey, &'static str> {
    if vault_url.is_empty() || name.is_empty() {
        return Err("a key of Azure Key Vault has `vaultUrl` and `key`");
    }
    let (vault_url, name) = (vault_url.to_owned(), name.to_owned());
    Ok(WrappingKey::AzureKv { vault_url, name, version: version.to_owned() })
}

/// `https://HOST/v1/ENGINE/keys/NAME`; the mount point of the engine may have several parts.
pub(super) fn vault(text: &str) -> Result<WrappingKey, &'static str> {
    let wrong = "it is not of the form `https://vault.example.com:8200/v1/transit/keys/NAME`";
    let (scheme, rest) = text.trim().split_once("://").ok_or(wrong)?;
    let (host, path) = rest.split_once('/').ok_or(wrong)?;
    if scheme.is_empty() || host.is_empty() || path.contains(['?', '#']) {
        return Err(wrong);
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    // As sops finds it: a version with three parts behind it.
    let version = parts.windows(4).rposition(
        |parts| matches!(parts, [version, rest @ ..] if is_version(version) && !rest.contains(&"")),
    );
    match (version, parts.as_slice()) {
        (Some(0), [_, engine @ .., _, name]) => {
            let engine: Vec<&str> =
                engine.iter().copied().filter(|part| !part.is_empty()).collect();
            Ok(WrappingKey::HcVault {
                vault_address: format!("{scheme}://{host}"),
                engine_path: engine.join("/"),
                key_name: (*name).to_owned(),
            })
        }
        (Some(_), _) => Err("a Vault below a path of its own (not at `/v1`) is not supported"),
        (None, _) => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:107501996527:key/612d5f0a-0000";

    fn parts(key: &Result<WrappingKey, &'static str>) -> String {
        match key {
            Ok(WrappingKey::Kms { arn, role, .. }) => {
                format!("kms {arn} {}", role.as_deref().unwrap_or("-"))
            }
            Ok(WrappingKey::AzureKv { vault_url, name, version }) => {
                format!("azure {vault_url} {name} {version}")
            }
            Ok(WrappingKey::HcVault { vault_address, engine_path, key_name }) => {
                format!("vault {vault_address} {engine_path} {key_name}")
            }
            Ok(key) => format!("{} {}", key.kind().name(), key.name()),
            Err(why) => (*why).to_owned(),
        }
    }

    #[test]
    fn each_kind_is_known_by_its_form() {
        let role = format!("{ARN}+arn:aws:iam::1:role/x");
        for (text, meant) in [
            ("pgp:FBC7 B9E2 A4F9", "pgp FBC7B9E2A4F9".to_owned()),
            (ARN, format!("kms {ARN} -")),
            (&role, format!("kms {ARN} arn:aws:iam::1:role/x")),
            (
                "arn:aws-cn:kms:cn-north-1:1:alias/a b",
                "kms arn:aws-cn:kms:cn-north-1:1:alias/ab -".to_owned(),
            ),
            (
                "projects/p/locations/global/keyRings/r/cryptoKeys/k",
                "gcp_kms projects/p/locations/global/keyRings/r/cryptoKeys/k".to_owned(),
            ),
            ("hckms:tr-west-1:abc", "hckms tr-west-1:abc".to_owned()),
            (
                "https://a.vault.azure.net/keys/k/v2",
                "azure https://a.vault.azure.net k v2".to_owned(),
            ),
            ("https://a.vault.azure.net/keys/k/", "azure https://a.vault.azure.net k ".to_owned()),
            ("https://a.vault.azure.net/keys/k", "azure https://a.vault.azure.net k ".to_owned()),
            ("https://v:8200/v1/transit/keys/k", "vault https://v:8200 transit k".to_owned()),
            ("http://v/v1/team/a/transit/keys/k/", "vault http://v team/a/transit k".to_owned()),
        ] {
            assert_eq!(parts(&of_any_kind(text).unwrap()), meant);
        }
        assert!(of_any_kind("age1abc").is_none());
    }

    #[test]
    fn what_could_never_encrypt_is_refused() {
        for key in [
            pgp("  "),
            pgp("--batch"),
            kms("1", ""),
            kms("arn:aws:kms:eu-west-1:x:key/1", ""),
            kms("arn:aws:kms:eu-west-1:1:key/", ""),
            kms("arn:aws:kms::1:key/2", ""),
            kms("arn:aws:iam::1:role/x", ""),
            gcp_kms("projects/p"),
            hckms("abc"),
            hckms("a:"),
            azure("http://v/keys/k"),
            azure("https://v/secrets/k"),
            azure("https://v/keys/k/v/x"),
            azure_of("", "k", ""),
            vault("v:8200/v1/transit/keys/k"),
            vault("https://v/proxy/v1/transit/keys/k"),
            vault("https://v/transit/keys/k"),
            vault("https://v/v1/transit/keys/k?x=1"),
        ] {
            assert!(key.is_err(), "{key:?}");
        }
    }
}
