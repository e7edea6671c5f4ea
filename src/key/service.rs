//! Key services: AWS and GCP KMS, Azure Key Vault, Vault, Huawei Cloud KMS. The one place where
//! they plug in: whoever wraps and unwraps data keys comes by here with each of their keys.
//!
//! None is built in yet, which is said with its name; what files hold for them is kept.

use std::fmt;

use super::wrapping::{WrappingKey, WrappingKind};
use crate::plaintext::Plaintext;

/// What a service made of a data key or a share of one.
///
/// # Errors
/// [`ServiceError`], always, as none is built in.
pub fn wrap(key: &WrappingKey, _secret: &Plaintext) -> Result<String, ServiceError> {
    Err(ServiceError { kind: key.kind() })
}

/// The data key or share that a service wrapped.
///
/// # Errors
/// As [`wrap`].
pub fn unwrap(key: &WrappingKey, _enc: &str) -> Result<Plaintext, ServiceError> {
    Err(ServiceError { kind: key.kind() })
}

/// Whether the service of a kind could be asked at all; to be known before anything is done.
///
/// # Errors
/// As [`wrap`].
pub fn available(kind: WrappingKind) -> Result<(), ServiceError> {
    if kind.is_local() { Ok(()) } else { Err(ServiceError { kind }) }
}

/// Why a service was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceError {
    /// Which it is.
    pub kind: WrappingKind,
}

impl ServiceError {
    /// The name that its maker gave it.
    pub fn service(&self) -> &'static str {
        match self.kind {
            WrappingKind::Kms => "AWS KMS",
            WrappingKind::GcpKms => "Google Cloud KMS",
            WrappingKind::HcKms => "Huawei Cloud KMS",
            WrappingKind::AzureKv => "Azure Key Vault",
            WrappingKind::HcVault => "the transit engine of Vault",
            WrappingKind::Pgp => "PGP",
            WrappingKind::Age => "age",
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this program cannot use {} yet", self.service())
    }
}

impl std::error::Error for ServiceError {}
