//! Why a key service was of no use: what happened, and what to do about it. Holds no answer of a
//! service that could repeat a token or a key.

use std::fmt;
use std::time::Duration;

use crate::key::wrapping::{WrappingKind, on_one_line};

/// Why a service was of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// Which it is.
    pub kind: WrappingKind,
    /// What happened.
    pub trouble: Trouble,
}

/// What kept a service from answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Services are not to be asked here.
    Off,
    /// What the file or the rules say of the key is not the name of one.
    Name(&'static str),
    /// The address is not one that the user allows.
    Forbidden {
        /// The address, without what may stand behind the host.
        address: String,
    },
    /// The address is without encryption.
    Plain {
        /// The address.
        address: String,
    },
    /// There are no credentials, or they cannot be had; a clause.
    Credentials(String),
    /// No connection, or none that can be trusted; a clause.
    Unreachable(String),
    /// No answer in time.
    Slow(Duration),
    /// The service points somewhere else, where nobody goes.
    Redirect,
    /// It refused.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// The code of the service, or its words, cleaned of what is secret; may be empty.
        said: String,
        /// What to do, where the code tells it.
        remedy: Option<&'static str>,
    },
    /// What it answered is not what it should be; a clause.
    Answer(&'static str),
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

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        let text = match &self.trouble {
            Trouble::Off => {
                "give the file a reader whose key is on this machine, or have \
                 `secretctl.keyServices.enable` ask for it when there is a network"
            }
            Trouble::Forbidden { address } => {
                return Some(format!(
                    "if you trust it with your credentials, name it: `{ALLOWED}={address}`"
                ));
            }
            Trouble::Plain { address } => {
                return Some(format!(
                    "use https, or name the address as it is: `{ALLOWED}={address}`"
                ));
            }
            Trouble::Credentials(_) => match self.kind {
                WrappingKind::Kms => {
                    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in \
                     with `aws sso login`"
                }
                WrappingKind::GcpKms => {
                    "run `gcloud auth application-default login`, or set GOOGLE_CREDENTIALS, and \
                     look at the clock of this machine"
                }
                WrappingKind::HcKms => {
                    "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or write \
                     ~/.huaweicloud/credentials"
                }
                WrappingKind::AzureKv => {
                    "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and \
                     AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH"
                }
                WrappingKind::HcVault => "run `vault login`, or set VAULT_TOKEN",
                WrappingKind::Pgp | WrappingKind::Age => return None,
            },
            Trouble::Slow(_) | Trouble::Unreachable(_) => {
                "look at the network and the proxy (HTTPS_PROXY, NO_PROXY), and for a CA of your \
                 own set SSL_CERT_FILE; more time gives SECRETCTL_KEY_SERVICES_TIMEOUT"
            }
            Trouble::Redirect => "name the address that it points to, if you trust that one",
            Trouble::Refused { remedy: Some(remedy), .. } => remedy,
            Trouble::Refused { status: 429 | 500..=599, .. } => {
                "it has too much to do, or has trouble of its own: try again later"
            }
            Trouble::Answer(_) => {
                "look whether the service is at that address, and what a proxy makes of its answers"
            }
            Trouble::Refused { .. } | Trouble::Name(_) => return None,
        };
        Some(text.to_owned())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service();
        match &self.trouble {
            Trouble::Off => write!(f, "{service} is not asked here"),
            Trouble::Name(what) => write!(f, "this is no key of {service}: {what}"),
            Trouble::Forbidden { address } => {
                write!(f, "{service} at {} is not allowed", on_one_line(address))
            }
            Trouble::Plain { address } => {
                write!(f, "{service} at {} is not encrypted", on_one_line(address))
            }
            Trouble::Credentials(what) => write!(f, "no credentials for {service}: {what}"),
            Trouble::Unreachable(what) => write!(f, "{service} cannot be reached: {what}"),
            Trouble::Slow(after) => {
                write!(f, "{service} did not answer within {} s", after.as_secs())
            }
            Trouble::Redirect => {
                write!(f, "{service} points to another address, which is not asked")
            }
            Trouble::Refused { status, said, .. } if said.is_empty() => {
                write!(f, "{service} refused (HTTP {status})")
            }
            Trouble::Refused { status, said, .. } => {
                write!(f, "{service} refused (HTTP {status}): {said}")
            }
            Trouble::Answer(what) => write!(f, "what {service} answered is no answer: {what}"),
        }
    }
}

impl std::error::Error for ServiceError {}

/// The variable that names addresses which may be asked though nothing else vouches for them.
pub const ALLOWED: &str = "SECRETCTL_KEY_SERVICES";
/// The variable that says how many seconds a service has for an answer.
pub(super) const TIME: &str = "SECRETCTL_KEY_SERVICES_TIMEOUT";
