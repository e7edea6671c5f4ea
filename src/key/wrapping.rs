//! The keys that the data key of a sops file is wrapped with (sops calls them master keys): age,
//! PGP, and the key services. What each is called, and when two of them are the same.
//!
//! Follows `keys`, `age/keysource.go`, `pgp`, `kms`, `gcpkms`, `azkv`, `hcvault` and `hckms` of sops.
//! Wraps nothing itself.

use std::collections::BTreeMap;

use super::Recipient;

/// One key that a data key is wrapped with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrappingKey {
    /// An age or SSH recipient.
    Age(Recipient),
    /// An age recipient that we cannot read, kept as it stands.
    AgeUnknown(String),
    /// A PGP key by its fingerprint, as it stands in the file or rule, spaces left out.
    Pgp(String),
    /// AWS KMS.
    Kms {
        /// `arn:aws:kms:REGION:ACCOUNT:key/ID`
        arn: String,
        /// A role to take on first.
        role: Option<String>,
        /// The encryption context.
        context: BTreeMap<String, String>,
        /// The profile of the credentials; may be empty.
        aws_profile: String,
    },
    /// GCP KMS, by resource id.
    GcpKms(String),
    /// Azure Key Vault.
    AzureKv {
        /// `https://VAULT.vault.azure.net`
        vault_url: String,
        /// The key.
        name: String,
        /// Its version; may be empty.
        version: String,
    },
    /// `HashiCorp` Vault or `OpenBao`, transit engine.
    HcVault {
        /// `https://HOST:PORT`
        vault_address: String,
        /// Mount point of the engine.
        engine_path: String,
        /// The key.
        key_name: String,
    },
    /// Huawei Cloud KMS, `REGION:UUID`.
    HcKms(String),
}

/// The kinds of [`WrappingKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WrappingKind {
    /// AWS KMS.
    Kms,
    /// GCP KMS.
    GcpKms,
    /// Huawei Cloud KMS.
    HcKms,
    /// Azure Key Vault.
    AzureKv,
    /// Vault transit.
    HcVault,
    /// PGP.
    Pgp,
    /// age and SSH.
    Age,
}

impl WrappingKind {
    /// In the order in which sops lists the keys of a group.
    pub const ALL: [Self; 7] =
        [Self::Kms, Self::GcpKms, Self::HcKms, Self::AzureKv, Self::HcVault, Self::Pgp, Self::Age];

    /// The name in the metadata and in `SOPS_DECRYPTION_ORDER`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HcKms => "hckms",
            Self::AzureKv => "azure_kv",
            Self::HcVault => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }

    /// Whether wrapping and unwrapping need no network.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Pgp | Self::Age)
    }
}

impl WrappingKey {
    /// Its kind.
    pub fn kind(&self) -> WrappingKind {
        match self {
            Self::Age(_) | Self::AgeUnknown(_) => WrappingKind::Age,
            Self::Pgp(_) => WrappingKind::Pgp,
            Self::Kms { .. } => WrappingKind::Kms,
            Self::GcpKms(_) => WrappingKind::GcpKms,
            Self::AzureKv { .. } => WrappingKind::AzureKv,
            Self::HcVault { .. } => WrappingKind::HcVault,
            Self::HcKms(_) => WrappingKind::HcKms,
        }
    }

    /// Whether both are the same key: of one kind and name, as sops compares them. A key of Azure
    /// without a version is any version of it.
    pub fn same(&self, other: &Self) -> bool {
        if let (
            Self::AzureKv { vault_url, name, version },
            Self::AzureKv { vault_url: other_url, name: other_name, version: other_version },
        ) = (self, other)
        {
            let any = version.is_empty() || other_version.is_empty();
            return vault_url == other_url
                && name == other_name
                && (any || version == other_version);
        }
        self.kind() == other.kind() && self.name() == other.name()
    }

    /// A PGP key by its fingerprint, which may be written in blocks.
    pub fn pgp(fingerprint: &str) -> Self {
        Self::Pgp(fingerprint.replace(' ', ""))
    }

    /// A short form for people.
    pub fn short(&self) -> String {
        match self {
            Self::Age(recipient) => recipient.short(),
            Self::Pgp(_) => format!("PGP {}", self.shown()),
            Self::AgeUnknown(_)
            | Self::Kms { .. }
            | Self::GcpKms(_)
            | Self::AzureKv { .. }
            | Self::HcVault { .. }
            | Self::HcKms(_) => self.shown(),
        }
    }

    /// The recipient, where it is one that we can read.
    pub fn recipient(&self) -> Option<&Recipient> {
        match self {
            Self::Age(recipient) => Some(recipient),
            Self::AgeUnknown(_)
            | Self::Pgp(_)
            | Self::Kms { .. }
            | Self::GcpKms(_)
            | Self::AzureKv { .. }
            | Self::HcVault { .. }
            | Self::HcKms(_) => None,
        }
    }

    /// The name on one line: whoever can write to a file can put a line end into it, and lines
    /// behind that, which would pass for ours.
    pub fn shown(&self) -> String {
        on_one_line(&self.name())
    }

    /// The name by which sops compares and prints it: the recipient (without its comment, which
    /// sops takes for a part of it), fingerprint, ARN (with `+ROLE` where there is one, and `|` and
    /// the context), resource id or URL.
    pub fn name(&self) -> String {
        match self {
            Self::Age(recipient) => recipient.canonical().to_owned(),
            Self::AgeUnknown(text) | Self::Pgp(text) | Self::GcpKms(text) | Self::HcKms(text) => {
                text.clone()
            }
            Self::Kms { arn, role, context, aws_profile } => {
                kms_name(arn, role.as_deref(), context, aws_profile)
            }
            Self::AzureKv { vault_url, name, version } => {
                format!("{vault_url}/keys/{name}/{version}")
            }
            Self::HcVault { vault_address, engine_path, key_name } => {
                format!("{vault_address}/v1/{engine_path}/keys/{key_name}")
            }
        }
    }
}

/// A name with its control characters escaped.
pub fn on_one_line(name: &str) -> String {
    let escaped = |c: char| -> String {
        if c.is_control() { c.escape_default().collect() } else { c.into() }
    };
    name.chars().map(escaped).collect()
}

/// `ARN[+ROLE][|CONTEXT[|PROFILE]]`; with a profile, an empty context keeps its place.
fn kms_name(
    arn: &str,
    role: Option<&str>,
    context: &BTreeMap<String, String>,
    profile: &str,
) -> String {
    let mut name = arn.to_owned();
    if let Some(role) = role {
        name.push('+');
        name.push_str(role);
    }
    let pairs: Vec<String> = context.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    if !pairs.is_empty() || !profile.is_empty() {
        name.push('|');
        name.push_str(&pairs.join(","));
    }
    if !profile.is_empty() {
        name.push('|');
        name.push_str(profile);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_aws_are_named_by_all_that_makes_them() {
        let name = |role: Option<&str>, pairs: &[(&str, &str)], profile: &str| {
            let pairs = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            let key = WrappingKey::Kms {
                arn: "arn:aws:kms:x".to_owned(),
                role: role.map(str::to_owned),
                context: pairs.collect(),
                aws_profile: profile.to_owned(),
            };
            key.name()
        };
        assert_eq!(name(None, &[], ""), "arn:aws:kms:x");
        assert_eq!(name(Some("r"), &[("b", "2"), ("a", "1")], ""), "arn:aws:kms:x+r|a:1,b:2");
        assert_eq!(name(None, &[], "work"), "arn:aws:kms:x||work");
    }

    #[test]
    fn a_comment_makes_no_other_key() {
        let text =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
        let key = |text: &str| WrappingKey::Age(Recipient::parse(text).unwrap());
        assert!(key(text).same(&key(&format!("{text} alice@laptop"))));
        assert!(!WrappingKey::pgp("AB CD").same(&WrappingKey::GcpKms("ABCD".to_owned())));
        assert!(WrappingKey::pgp("AB CD").same(&WrappingKey::Pgp("ABCD".to_owned())));
    }
}
