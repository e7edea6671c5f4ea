//! One key in the metadata of a sops file, with what it holds: the fields of each kind.
//!
//! Follows the structures `agekey`, `pgpkey`, `kmskey` and so on of `stores/stores.go` of sops.

use super::{Fields, MetadataError, WrappedKey, sorted, text};
use crate::format::sops::tree::{Map, Node};
use crate::key::Recipient;
use crate::key::wrapping::{WrappingKey, WrappingKind};

/// From the fields of an entry of a kind. What is missing is empty: such an entry opens nothing,
/// and the others may.
pub(super) fn read(
    kind: WrappingKind,
    mut fields: Fields<'_>,
) -> Result<WrappedKey, MetadataError> {
    let mut spelling = None;
    let mut one = |name| fields.text(name).map(Option::unwrap_or_default);
    let key = match kind {
        WrappingKind::Age => {
            let text = one("recipient")?;
            match Recipient::parse(&text) {
                Ok(recipient) => {
                    spelling = Some(text).filter(|text| *text != written(&recipient));
                    WrappingKey::Age(recipient)
                }
                Err(_) => WrappingKey::AgeUnknown(text),
            }
        }
        WrappingKind::Pgp => WrappingKey::Pgp(one("fp")?),
        WrappingKind::GcpKms => WrappingKey::GcpKms(one("resource_id")?),
        WrappingKind::HcKms => WrappingKey::HcKms(one("key_id")?),
        WrappingKind::AzureKv => WrappingKey::AzureKv {
            vault_url: one("vault_url")?,
            name: one("name")?,
            version: one("version")?,
        },
        WrappingKind::HcVault => WrappingKey::HcVault {
            vault_address: one("vault_address")?,
            engine_path: one("engine_path")?,
            key_name: one("key_name")?,
        },
        WrappingKind::Kms => {
            let (arn, aws_profile) = (one("arn")?, one("aws_profile")?);
            let role = Some(one("role")?).filter(|role| !role.is_empty());
            WrappingKey::Kms { arn, role, context: fields.texts("context")?, aws_profile }
        }
    };
    let enc = fields.text("enc")?.unwrap_or_default();
    let created_at = if kind == WrappingKind::Age { None } else { fields.text("created_at")? };
    Ok(WrappedKey { key, enc, created_at, spelling, unknown: fields.rest() })
}

/// As the newest sops writes it.
pub(super) fn print(entry: &WrappedKey) -> Map {
    let mut fields: Vec<(String, Node)> = Vec::new();
    let mut put = |name: &str, value: &str| fields.push((name.to_owned(), text(value)));
    put("enc", &entry.enc);
    if let Some(created_at) = &entry.created_at {
        put("created_at", created_at);
    }
    match &entry.key {
        WrappingKey::Age(recipient) => match &entry.spelling {
            Some(spelling) => put("recipient", spelling),
            None => put("recipient", &written(recipient)),
        },
        WrappingKey::AgeUnknown(recipient) => put("recipient", recipient),
        WrappingKey::Pgp(fingerprint) => put("fp", fingerprint),
        WrappingKey::GcpKms(id) => put("resource_id", id),
        WrappingKey::HcKms(id) => put("key_id", id),
        WrappingKey::AzureKv { vault_url, name, version } => {
            put("vault_url", vault_url);
            put("name", name);
            put("version", version);
        }
        WrappingKey::HcVault { vault_address, engine_path, key_name } => {
            put("vault_address", vault_address);
            put("engine_path", engine_path);
            put("key_name", key_name);
        }
        WrappingKey::Kms { arn, role, context, aws_profile } => {
            put("arn", arn);
            put("aws_profile", aws_profile);
            if let Some(role) = role {
                put("role", role);
            }
            if !context.is_empty() {
                let mut map = Map::default();
                for (name, value) in context {
                    map.push(name, text(value));
                }
                fields.push(("context".to_owned(), Node::Map(map)));
            }
        }
    }
    fields.extend(entry.unknown.iter().map(|(name, node)| (name.clone(), super::copy(node))));
    sorted(fields)
}

/// A recipient as it is written for a new entry: with its comment, as sops does.
fn written(recipient: &Recipient) -> String {
    match recipient.comment() {
        Some(comment) => format!("{} {comment}", recipient.canonical()),
        None => recipient.canonical().to_owned(),
    }
}
