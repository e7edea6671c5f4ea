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

    /// The name by which sops compares and prints it: the recipient, fingerprint, ARN (with
    /// `+ROLE` where there is one, and `|` and the context), resource id or URL.
    pub fn name(&self) -> String {
        match self {
            Self::Age(recipient) => recipient.canonical().to_owned(),
            Self::AgeUnknown(text) | Self::Pgp(text) | Self::GcpKms(text) | Self::HcKms(text) => {
                text.clone()
            }
            Self::Kms { arn, .. } => arn.clone(),
            Self::AzureKv { vault_url, name, version } => {
                format!("{vault_url}/keys/{name}/{version}")
            }
            Self::HcVault { vault_address, engine_path, key_name } => {
                format!("{vault_address}/v1/{engine_path}/keys/{key_name}")
            }
        }
    }
}
