//! One recipient: a public key that a file can be encrypted to.
//!
//! age strings are parsed by the `age` crate and [`super::hybrid`], SSH lines by `ssh-key`.
//! The canonical text has no comment, so that two spellings of one key compare equal.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use age::Recipient as _;
use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use ssh_key::{Algorithm, PublicKey};

use super::bech32;
use super::ed25519::{self, Ed25519Recipient};
use super::hybrid::{self, HybridRecipient};

/// A public key with the comment that stood beside it.
#[derive(Clone)]
pub struct Recipient {
    canonical: Arc<str>,
    comment: Option<Arc<str>>,
    fingerprint: [u8; 8],
    kind: Arc<Kind>,
}

enum Kind {
    X25519(age::x25519::Recipient),
    Ed25519(Arc<Ed25519Recipient>),
    Rsa { key: Box<age::ssh::Recipient>, tag: [u8; 4] },
    Tag(age::tag::Recipient),
    TagPq(Box<age::tagpq::Recipient>),
    Hybrid(Box<HybridRecipient>),
    Plugin { name: String },
}

/// The stanzas that carry a file key to one recipient, and the labels that all recipients of a
/// file must share (C2SP `age-plugin.md`, "labels").
#[derive(Debug)]
pub struct Wrapped {
    /// Stanzas in the order of the header.
    pub stanzas: Vec<Stanza>,
    /// `postquantum` for the post-quantum kinds, whatever a plugin says for plugins.
    pub labels: BTreeSet<String>,
}

impl Recipient {
    /// Parses one recipient: an age string or an OpenSSH public key line with or without
    /// comment and `authorized_keys` options.
    ///
    /// # Errors
    /// [`RecipientError`] says what kind of thing the text is when it is no recipient.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        let lower = text.get(..15.min(text.len())).unwrap_or_default().to_ascii_lowercase();
        if text.is_empty() {
            Err(RecipientError::Empty)
        } else if lower.starts_with("age-secret-key-")
            || lower.starts_with("age-plugin-")
            || text.contains("PRIVATE KEY")
        {
            Err(RecipientError::PrivateKey)
        } else if text.contains(['\n', '\r']) {
            // Else all but the first line would be taken for its comment.
            Err(RecipientError::Malformed { what: "it has several lines, and a key has one" })
        } else if text.starts_with("age1") {
            Self::parse_age(text)
        } else {
            Self::parse_ssh(text)
        }
    }

    /// From an SSH public key that was parsed already.
    ///
    /// # Errors
    /// [`RecipientError`] for the kinds that age cannot encrypt to.
    pub fn from_ssh(key: &PublicKey) -> Result<Self, RecipientError> {
        let algorithm = key.algorithm();
        if !matches!(algorithm, Algorithm::Ed25519 | Algorithm::Rsa { .. }) {
            return Err(RecipientError::unsupported(algorithm.as_str()));
        }
        let malformed = |what| RecipientError::Malformed { what };
        let blob = key.to_bytes().map_err(|_| malformed("its SSH key data is broken"))?;
        let canonical = format!("{} {}", algorithm.as_str(), BASE64_STANDARD.encode(&blob));
        let kind = if algorithm == Algorithm::Ed25519 {
            let key = Ed25519Recipient::from_blob(&blob);
            Kind::Ed25519(Arc::new(key.ok_or(malformed("its SSH key data is no point"))?))
        } else {
            parse_rsa(&canonical, &blob)?
        };
        let comment = Some(key.comment()).filter(|c| !c.is_empty()).map(Arc::from);
        Ok(Self::new(&canonical, comment, kind))
    }

    fn new(canonical: &str, comment: Option<Arc<str>>, kind: Kind) -> Self {
        let digest = <[u8; 32]>::from(Sha256::digest(canonical));
        let fingerprint = digest.first_chunk().copied().unwrap_or_default();
        Self { canonical: canonical.into(), comment, fingerprint, kind: kind.into() }
    }

    /// The text without comment: `age1…` in lower case, or `ssh-ed25519 AAAA…`.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The comment of an SSH line (`alice@laptop`), if there was one.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// First 8 bytes of SHA-256 over the canonical text, as the readers stanza stores it.
    pub fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// First 4 bytes of SHA-256 over the SSH key data, which ssh stanzas carry in the open.
    pub fn ssh_tag(&self) -> Option<[u8; 4]> {
        match &*self.kind {
            Kind::Ed25519(key) => Some(key.tag()),
            Kind::Rsa { tag, .. } => Some(*tag),
            Kind::X25519(_)
            | Kind::Tag(_)
            | Kind::TagPq(_)
            | Kind::Hybrid(_)
            | Kind::Plugin { .. } => None,
        }
    }

    /// The key of an ssh-ed25519 recipient.
    pub(super) fn ed25519(&self) -> Option<&Arc<Ed25519Recipient>> {
        match &*self.kind {
            Kind::Ed25519(key) => Some(key),
            Kind::X25519(_)
            | Kind::Rsa { .. }
            | Kind::Tag(_)
            | Kind::TagPq(_)
            | Kind::Hybrid(_)
            | Kind::Plugin { .. } => None,
        }
    }

    /// The type word of the stanza that this recipient makes; `None` for plugins, which choose.
    pub fn stanza_type(&self) -> Option<&'static str> {
        match &*self.kind {
            Kind::X25519(_) => Some("X25519"),
            Kind::Rsa { .. } => Some("ssh-rsa"),
            Kind::Ed25519(_) => Some(ed25519::STANZA),
            Kind::Tag(_) => Some("p256tag"),
            Kind::TagPq(_) => Some("mlkem768p256tag"),
            Kind::Hybrid(_) => Some(hybrid::STANZA),
            Kind::Plugin { .. } => None,
        }
    }

    /// The labels that all readers of a file with this one must share; `None` for plugins, which
    /// tell only when they are used.
    pub fn labels(&self) -> Option<BTreeSet<String>> {
        match &*self.kind {
            Kind::Hybrid(_) | Kind::TagPq(_) => Some(BTreeSet::from([POST_QUANTUM.to_owned()])),
            Kind::X25519(_) | Kind::Ed25519(_) | Kind::Rsa { .. } | Kind::Tag(_) => {
                Some(BTreeSet::new())
            }
            Kind::Plugin { .. } => None,
        }
    }

    /// The plugin that this recipient needs, `NAME` of `age-plugin-NAME`.
    pub fn plugin(&self) -> Option<&str> {
        match &*self.kind {
            Kind::Plugin { name } => Some(name),
            Kind::X25519(_)
            | Kind::Ed25519(_)
            | Kind::Rsa { .. }
            | Kind::Tag(_)
            | Kind::TagPq(_)
            | Kind::Hybrid(_) => None,
        }
    }

    /// The fingerprint that `ssh-keygen -l` prints, `SHA256:…`; of an age string, its own.
    pub fn ssh_fingerprint(&self) -> String {
        let data = self.canonical.split_once(' ').map(|(_, data)| data);
        let blob = data.and_then(|data| BASE64_STANDARD.decode(data).ok());
        let blob = blob.unwrap_or_else(|| self.canonical.as_bytes().to_vec());
        format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob)))
    }

    /// A form for people to compare: as `ssh-keygen -l` prints an SSH key, or the whole of an age
    /// string.
    pub fn full(&self) -> String {
        match self.canonical.split_once(' ') {
            Some((algorithm, _)) => format!("{algorithm} {}", self.ssh_fingerprint()),
            None => self.canonical.to_string(),
        }
    }

    /// A short form for people: type and the beginning of the fingerprint that `ssh-keygen -l`
    /// prints, or both ends of an age string.
    pub fn short(&self) -> String {
        if let Some((algorithm, _)) = self.canonical.split_once(' ') {
            let print = self.ssh_fingerprint();
            format!("{algorithm} {}..", print.get(..15).unwrap_or_default())
        } else {
            let length = self.canonical.len();
            let head = self.canonical.get(..12).unwrap_or(&self.canonical);
            let tail = self.canonical.get(length.saturating_sub(6)..).unwrap_or_default();
            format!("{head}..{tail}")
        }
    }

    /// Encrypts a file key to this recipient. Plugins are not for here: `Ok(None)`.
    ///
    /// # Errors
    /// [`RecipientError::Malformed`] when the key turns out to be unusable.
    pub fn wrap(&self, file_key: &FileKey) -> Result<Option<Wrapped>, RecipientError> {
        let own = |stanza: Option<Stanza>, label: Option<&str>| {
            let stanza = stanza
                .ok_or(RecipientError::Malformed { what: "nothing can be encrypted to it" })?;
            let labels = label.map(str::to_owned).into_iter().collect();
            Ok(Some(Wrapped { stanzas: vec![stanza], labels }))
        };
        let wrapped = match &*self.kind {
            Kind::Ed25519(key) => return own(key.wrap(file_key), None),
            Kind::Hybrid(key) => return own(key.wrap(file_key), Some(POST_QUANTUM)),
            Kind::X25519(key) => key.wrap_file_key(file_key),
            Kind::Rsa { key, .. } => key.wrap_file_key(file_key),
            Kind::Tag(key) => key.wrap_file_key(file_key),
            Kind::TagPq(key) => key.wrap_file_key(file_key),
            Kind::Plugin { .. } => return Ok(None),
        };
        let (stanzas, labels) = wrapped
            .map_err(|_| RecipientError::Malformed { what: "nothing can be encrypted to it" })?;
        Ok(Some(Wrapped { stanzas, labels: labels.into_iter().collect() }))
    }

    fn parse_age(text: &str) -> Result<Self, RecipientError> {
        let malformed = |what| RecipientError::Malformed { what };
        let (hrp, data) = bech32::decode(text)
            .ok_or(malformed("its Bech32 checksum does not fit: it is mistyped or cut short"))?;
        let broken = || malformed("its Bech32 text holds no valid key");
        let kind = match hrp.as_str() {
            "age" => Kind::X25519(text.parse().map_err(|_| broken())?),
            "age1tag" => Kind::Tag(text.parse().map_err(|_| broken())?),
            "age1tagpq" => Kind::TagPq(Box::new(text.parse().map_err(|_| broken())?)),
            hybrid::RECIPIENT_HRP => {
                Kind::Hybrid(Box::new(HybridRecipient::from_bytes(&data).ok_or_else(broken)?))
            }
            other => {
                let name = other.strip_prefix("age1").filter(|n| is_plugin_name(n));
                Kind::Plugin { name: name.ok_or(RecipientError::NotARecipient)?.to_owned() }
            }
        };
        Ok(Self::new(&text.to_ascii_lowercase(), None, kind))
    }

    fn parse_ssh(text: &str) -> Result<Self, RecipientError> {
        let first = text.split_ascii_whitespace().next().unwrap_or_default();
        if first.ends_with("-cert-v01@openssh.com") {
            return Err(RecipientError::Certificate);
        }
        // Tabs and runs of blanks between the fields are as good as one blank.
        let mut fields = text.split_ascii_whitespace();
        if let (Some(kind), Some(data)) = (fields.next(), fields.next()) {
            let comment = fields.collect::<Vec<_>>().join(" ");
            if let Ok(key) = PublicKey::from_openssh(format!("{kind} {data} {comment}").trim_end())
            {
                return Self::from_ssh(&key);
            }
            if is_ssh_key_type(kind) {
                return Err(match BASE64_STANDARD.decode(data) {
                    Ok(_) if !matches!(kind, "ssh-ed25519" | "ssh-rsa") => {
                        RecipientError::unsupported(kind)
                    }
                    Ok(_) | Err(_) => RecipientError::Malformed {
                        what: "its SSH key data is broken: it is mistyped or cut short",
                    },
                });
            }
        }
        match after_options(text) {
            Some(key) => Self::parse_ssh(key),
            None => Err(RecipientError::NotARecipient),
        }
    }
}

fn parse_rsa(canonical: &str, blob: &[u8]) -> Result<Kind, RecipientError> {
    let key = canonical.parse().map_err(|error| match error {
        age::ssh::ParseRecipientKeyError::RsaModulusTooLarge => RecipientError::RsaTooLarge,
        age::ssh::ParseRecipientKeyError::RsaModulusTooSmall => RecipientError::RsaTooSmall,
        age::ssh::ParseRecipientKeyError::Unsupported(_)
        | age::ssh::ParseRecipientKeyError::Ignore
        | age::ssh::ParseRecipientKeyError::Invalid(_)
        | _ => RecipientError::Malformed { what: "its SSH key data is broken" },
    })?;
    let digest = <[u8; 32]>::from(Sha256::digest(blob));
    let tag = digest.first_chunk().copied().unwrap_or_default();
    Ok(Kind::Rsa { key: Box::new(key), tag })
}

/// What follows the options of an `authorized_keys` line (sshd(8)): they end at the first blank
/// outside quotes. Only where an SSH key follows. `ssh-key` does not read escaped quotes.
fn after_options(text: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|c: char| {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        c.is_ascii_whitespace() && !quoted
    })?;
    text.get(end..).map(str::trim_start).filter(|rest| is_ssh_key_type(rest))
}

/// Whether a text begins with the name of an SSH key type.
pub(crate) fn is_ssh_key_type(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| text.starts_with(prefix))
}

/// Whether a name is one that a plugin may have: `[A-Za-z0-9+._-]+`, so that it can never name
/// a file in another folder (C2SP `age-plugin.md`; GHSA-32gq-x56h-299c).
pub(crate) fn is_plugin_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_'))
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Recipient {}

impl PartialOrd for Recipient {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Recipient {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.short())
    }
}

/// Why a text is no recipient. The text itself is never repeated: it may be a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientError {
    /// Nothing there.
    Empty,
    /// A private key where a public one belongs.
    PrivateKey,
    /// A kind of SSH key that can only sign (`ecdsa-…`, `ssh-dss`, `sk-…`).
    Unsupported {
        /// The algorithm name.
        algorithm: String,
    },
    /// An SSH certificate; the plain key beside it is wanted.
    Certificate,
    /// The key of a certificate authority, which only signs the keys of hosts and people.
    Authority,
    /// A `known_hosts` line that begins with `@revoked`.
    Revoked,
    /// RSA below 2,048 bits.
    RsaTooSmall,
    /// RSA above 4,096 bits, the most that the `age` crate takes.
    RsaTooLarge,
    /// Looks like a recipient, but does not hold together.
    Malformed {
        /// What is wrong, a clause.
        what: &'static str,
    },
    /// Neither an age string nor an SSH public key.
    NotARecipient,
}

impl RecipientError {
    fn unsupported(algorithm: &str) -> Self {
        Self::Unsupported { algorithm: algorithm.to_owned() }
    }

    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Empty | Self::Malformed { .. } => return None,
            Self::PrivateKey => "put the public key here: the line of the `.pub` file, or what \
                `age-keygen -y` prints; and consider this private key known to whoever sees this \
                file"
                .to_owned(),
            Self::Unsupported { algorithm } if algorithm.starts_with("sk-") => {
                "use age-plugin-fido2-hmac or age-plugin-yubikey with this device, or a second \
                key of type ed25519"
                    .to_owned()
            }
            Self::Unsupported { .. } => "use the ed25519 key of the same host or person \
                (/etc/ssh/ssh_host_ed25519_key.pub, `ssh-keygen -t ed25519`)"
                .to_owned(),
            Self::Certificate => {
                "use the plain key that the certificate was made for (`NAME.pub` beside \
                `NAME-cert.pub`)"
                    .to_owned()
            }
            Self::Authority => "leave the line out, and name the keys of the hosts or people \
                themselves"
                .to_owned(),
            Self::Revoked => "ask the owner of the host for its new key".to_owned(),
            Self::RsaTooSmall | Self::RsaTooLarge => {
                "use an ed25519 key, or RSA of 2048 to 4096 bits".to_owned()
            }
            Self::NotARecipient => {
                "a recipient begins with `age1`, `ssh-ed25519` or `ssh-rsa`".to_owned()
            }
        })
    }
}

impl fmt::Display for RecipientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the recipient is empty"),
            Self::PrivateKey => f.write_str("this is a private key, not a recipient"),
            Self::Unsupported { algorithm } => {
                write!(f, "age cannot encrypt to a key of type `{algorithm}`: it can only sign")
            }
            Self::Certificate => f.write_str("this is an SSH certificate, not a key"),
            Self::Authority => f.write_str("this is the key of a certificate authority"),
            Self::Revoked => f.write_str("this key is marked as revoked"),
            Self::RsaTooSmall => f.write_str("the RSA key has fewer than 2048 bits"),
            Self::RsaTooLarge => f.write_str("the RSA key has more than 4096 bits"),
            Self::Malformed { what } => write!(f, "the recipient cannot be used: {what}"),
            Self::NotARecipient => f.write_str("this is no recipient"),
        }
    }
}

impl std::error::Error for RecipientError {}

/// The label of the post-quantum kinds (C2SP `age.md`).
const POST_QUANTUM: &str = "postquantum";
