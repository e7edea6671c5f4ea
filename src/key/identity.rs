//! Identities: private keys out of files. Parsing needs no passphrase; what is behind one is
//! kept locked until it is needed.

use std::fmt;

use age_core::format::{FileKey, Stanza};
use age_core::secrecy::SecretString;
use std::io::Read as _;
use zeroize::Zeroizing;

use super::hybrid::{self, HybridIdentity};
use super::pgp::secret::{self, Exported, SecretKey};
use super::recipient::is_plugin_name;
use super::ssh::{self, Locked, LockedSsh, SshIdentity};
use super::stanza::StanzaRef;
use super::{Recipient, RecipientError, bech32};
use crate::plaintext::Plaintext;

/// Most bytes that an identity file may have.
pub const MAX_IDENTITY_FILE: usize = 1024 * 1024;

/// What trying one stanza with one identity gave.
pub enum Outcome {
    /// The file key.
    Opened(FileKey),
    /// It is for somebody else.
    Other,
    /// The stanza breaks the rules of its type, so the header is broken.
    Broken,
    /// The passphrase stanza asks for more work than we do.
    TooMuchWork,
}

/// A private key that can be tried at once.
pub enum Identity {
    /// `AGE-SECRET-KEY-1…`
    X25519(Box<age::x25519::Identity>),
    /// `AGE-SECRET-KEY-PQ-1…`
    Hybrid(Box<HybridIdentity>),
    /// An SSH key.
    Ssh(Box<SshIdentity>),
}

/// What an identity file holds.
pub enum Entry {
    /// Ready for use.
    Ready(Identity),
    /// `AGE-PLUGIN-NAME-1…`
    Plugin {
        /// `NAME` of `age-plugin-NAME`, in lower case.
        name: String,
        /// The whole string.
        text: Plaintext,
    },
    /// Keys of PGP, which open what sops wraps for them.
    Pgp(Vec<SecretKey>),
    /// An OpenSSH key behind a passphrase.
    LockedSsh(Box<LockedSsh>),
    /// A file of identities that is itself encrypted, with a passphrase: age or PKCS#8.
    LockedFile(LockedFile),
}

/// An identity file behind a passphrase that does not tell which keys it holds.
pub enum LockedFile {
    /// An age file.
    Age(Vec<u8>),
    /// `-----BEGIN ENCRYPTED PRIVATE KEY-----`
    Pkcs8(Zeroizing<Vec<u8>>),
}

impl Identity {
    /// Tries one stanza.
    pub fn unwrap(&self, stanza: StanzaRef<'_>) -> Outcome {
        match self {
            Self::X25519(key) => unwrap_x25519(key, stanza),
            Self::Ssh(key) => key.unwrap(stanza),
            Self::Hybrid(_) if stanza.tag() != hybrid::STANZA => Outcome::Other,
            Self::Hybrid(key) => match key.unwrap(&stanza.to_stanza()) {
                Ok(Some(file_key)) => Outcome::Opened(file_key),
                Ok(None) => Outcome::Other,
                Err(hybrid::MalformedStanza) => Outcome::Broken,
            },
        }
    }

    /// The public half.
    pub fn recipient(&self) -> Option<Recipient> {
        match self {
            Self::X25519(key) => Recipient::parse(&key.to_public().to_string()).ok(),
            Self::Hybrid(key) => Recipient::parse(&key.recipient()?).ok(),
            Self::Ssh(key) => Some(key.recipient.clone()),
        }
    }

    /// The key of PGP that `ssh-to-pgp` makes of it.
    pub(crate) fn pgp(&self) -> Option<SecretKey> {
        match self {
            Self::Ssh(key) => key.pgp(),
            Self::X25519(_) | Self::Hybrid(_) => None,
        }
    }

    /// The X25519 identity as text, where this is one or can be converted to one.
    pub fn age_text(&self) -> Option<Plaintext> {
        let identity = match self {
            Self::X25519(key) => Some(key.as_ref()),
            Self::Ssh(key) => key.derived(),
            Self::Hybrid(_) => None,
        };
        identity.map(|identity| Plaintext::copy_of(ssh::age_text(identity).as_bytes()))
    }
}

impl LockedFile {
    /// Opens it.
    ///
    /// # Errors
    /// [`IdentityError::WrongPassphrase`], or what [`parse`] says of the content.
    #[expect(clippy::disallowed_methods, reason = "a passphrase is handed to the decryption")]
    pub fn unlock(&self, passphrase: &Plaintext) -> Result<Vec<Entry>, IdentityError> {
        match self {
            Self::Pkcs8(der) => {
                let key = ssh::unlock_pkcs8(der, passphrase.expose())?;
                Ok(vec![Entry::Ready(Identity::Ssh(Box::new(key)))])
            }
            Self::Age(bytes) => {
                let decryptor = age::Decryptor::new(bytes.as_slice())
                    .map_err(|_| IdentityError::Malformed("it is a damaged age file"))?;
                let passphrase = String::from_utf8(passphrase.expose().to_vec())
                    .map_err(|_| IdentityError::WrongPassphrase)?;
                let mut scrypt = age::scrypt::Identity::new(SecretString::from(passphrase));
                scrypt.set_max_work_factor(MAX_WORK_FACTOR);
                let mut reader = decryptor
                    .decrypt(std::iter::once(&scrypt as &dyn age::Identity))
                    .map_err(|_| IdentityError::WrongPassphrase)?;
                let content = Plaintext::read_from(&mut reader, MAX_IDENTITY_FILE)
                    .map_err(|_| IdentityError::Malformed("it is a damaged age file"))?;
                parse(&content)
            }
        }
    }
}

impl LockedSsh {
    /// Opens it.
    ///
    /// # Errors
    /// [`IdentityError::WrongPassphrase`].
    #[expect(clippy::disallowed_methods, reason = "a passphrase is handed to the decryption")]
    pub fn open(&self, passphrase: &Plaintext) -> Result<SshIdentity, IdentityError> {
        self.unlock(passphrase.expose())
    }
}

/// Tries an X25519 identity.
pub(crate) fn unwrap_x25519(key: &age::x25519::Identity, stanza: StanzaRef<'_>) -> Outcome {
    if stanza.tag() == "X25519" {
        outcome(age::Identity::unwrap_stanza(key, &stanza.to_stanza()))
    } else {
        Outcome::Other
    }
}

/// Tries a passphrase on a stanza of type scrypt.
///
/// Work factors above 2^22 are refused: they would take minutes and gigabytes.
#[expect(clippy::disallowed_methods, reason = "a passphrase is handed to the decryption")]
pub fn unwrap_with_passphrase(stanza: &Stanza, passphrase: &Plaintext) -> Outcome {
    let Ok(text) = String::from_utf8(passphrase.expose().to_vec()) else { return Outcome::Other };
    let mut identity = age::scrypt::Identity::new(SecretString::from(text));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    outcome(age::Identity::unwrap_stanza(&identity, stanza))
}

/// Makes the stanza of a passphrase.
///
/// # Errors
/// When the passphrase is not text.
#[expect(clippy::disallowed_methods, reason = "a passphrase is handed to the encryption")]
pub fn wrap_with_passphrase(file_key: &FileKey, passphrase: &Plaintext) -> Option<Vec<Stanza>> {
    let text = String::from_utf8(passphrase.expose().to_vec()).ok()?;
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(text));
    recipient.set_work_factor(WORK_FACTOR);
    age::Recipient::wrap_file_key(&recipient, file_key).ok().map(|(stanzas, _)| stanzas)
}

/// Reads an identity file: age identities a line each, one SSH private key in PEM, or what
/// `gpg --export-secret-keys` gives.
///
/// # Errors
/// [`IdentityError`], which never repeats the text.
#[expect(clippy::disallowed_methods, reason = "an identity file is parsed")]
pub fn parse(content: &Plaintext) -> Result<Vec<Entry>, IdentityError> {
    let bytes = content.expose();
    if crate_armor(bytes) {
        return Ok(vec![Entry::LockedFile(LockedFile::Age(dearmor(bytes)?))]);
    }
    if bytes.starts_with(b"age-encryption.org/") {
        return Ok(vec![Entry::LockedFile(LockedFile::Age(bytes.to_vec()))]);
    }
    if secret::is_exported(bytes) {
        return exported(bytes).map(|keys| vec![Entry::Pgp(keys)]);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| IdentityError::NoIdentity)?;
    if text.contains("-----BEGIN ") {
        let start = text.find("-----BEGIN ").unwrap_or_default();
        let entry = match ssh::parse(text.get(start..).unwrap_or_default())? {
            Ok(key) => Entry::Ready(Identity::Ssh(Box::new(key))),
            Err(Locked::Ssh(key)) => Entry::LockedSsh(key),
            Err(Locked::Pkcs8(der)) => Entry::LockedFile(LockedFile::Pkcs8(der)),
        };
        return Ok(vec![entry]);
    }
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index.saturating_add(1);
        entries.push(parse_line(line).map_err(|error| {
            let IdentityError::Malformed(what) = error else { return error };
            IdentityError::MalformedLine { line: number, what }
        })?);
    }
    if entries.is_empty() { Err(IdentityError::NoIdentity) } else { Ok(entries) }
}

/// Reads identities out of a variable: as [`parse`], but where each stands on a line of its own
/// there, here blanks are enough, as for `SOPS_AGE_KEY`.
///
/// # Errors
/// As [`parse`].
#[expect(clippy::disallowed_methods, reason = "identities are put on lines of their own")]
pub fn parse_words(content: &Plaintext) -> Result<Vec<Entry>, IdentityError> {
    let bytes = content.expose();
    let comment = |line: &[u8]| line.trim_ascii_start().starts_with(b"#");
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN ")
        || bytes.starts_with(b"age-encryption.org/")
    {
        return parse(content);
    }
    let mut lines = Plaintext::with_capacity(bytes.len().saturating_add(1));
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !comment(line)) {
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for word in words {
            lines.extend(word);
            lines.extend(b"\n");
        }
    }
    parse(&lines)
}

/// What the `age` crate said of one stanza.
pub(crate) fn outcome(result: Option<Result<FileKey, age::DecryptError>>) -> Outcome {
    match result {
        Some(Ok(file_key)) => Outcome::Opened(file_key),
        Some(Err(age::DecryptError::InvalidHeader)) => Outcome::Broken,
        Some(Err(age::DecryptError::ExcessiveWork { .. })) => Outcome::TooMuchWork,
        Some(Err(_)) | None => Outcome::Other,
    }
}

fn parse_line(line: &str) -> Result<Entry, IdentityError> {
    const MISTYPED: IdentityError =
        IdentityError::Malformed("the identity is mistyped or cut short");
    if line.starts_with("age1") || line.starts_with("ssh-") {
        return Err(IdentityError::PublicKey);
    }
    let (hrp, data) = bech32::decode(line).ok_or(MISTYPED)?;
    if line != line.to_ascii_uppercase() {
        return Err(IdentityError::Malformed("an identity is written in capitals"));
    }
    if hrp == hybrid::IDENTITY_HRP {
        let key = HybridIdentity::from_seed(&data).ok_or(MISTYPED)?;
        Ok(Entry::Ready(Identity::Hybrid(Box::new(key))))
    } else if hrp == "age-secret-key-" {
        let key = line.parse().map_err(|_| MISTYPED)?;
        Ok(Entry::Ready(Identity::X25519(Box::new(key))))
    } else if let Some(name) = hrp.strip_prefix("age-plugin-").and_then(|n| n.strip_suffix('-')) {
        if !is_plugin_name(name) {
            return Err(IdentityError::Malformed("the plugin that it names has an unsafe name"));
        }
        Ok(Entry::Plugin { name: name.to_owned(), text: Plaintext::copy_of(line.as_bytes()) })
    } else {
        Err(IdentityError::Malformed("it is no identity that age knows"))
    }
}

fn exported(bytes: &[u8]) -> Result<Vec<SecretKey>, IdentityError> {
    let exported = Exported::read(bytes).map_err(|error| IdentityError::Malformed(error.0))?;
    match exported {
        Exported { keys, .. } if !keys.is_empty() => Ok(keys),
        Exported { any_locked: true, .. } => Err(IdentityError::LockedPgp),
        Exported { .. } => {
            Err(IdentityError::Malformed("no PGP key in it is of a kind that decrypts here"))
        }
    }
}

fn crate_armor(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

fn dearmor(bytes: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let mut binary = Vec::new();
    age::armor::ArmoredReader::new(bytes.trim_ascii_start())
        .read_to_end(&mut binary)
        .map_err(|_| IdentityError::Malformed("its armor is damaged"))?;
    Ok(binary)
}

/// Why a file gave no identity. Never holds text of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// No line in it is an identity.
    NoIdentity,
    /// A public key where a private one belongs.
    PublicKey,
    /// It has something wrong; a clause.
    Malformed(&'static str),
    /// A line has something wrong.
    MalformedLine {
        /// From 1.
        line: usize,
        /// A clause.
        what: &'static str,
    },
    /// A key that age cannot use.
    Unsupported(RecipientError),
    /// PEM of another kind.
    UnsupportedPem(String),
    /// PGP keys behind a passphrase, or on a card.
    LockedPgp,
    /// PEM with `DEK-Info`, whose key derivation is one round of MD5.
    EncryptedPem,
    /// The passphrase does not open it.
    WrongPassphrase,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity => f.write_str("it holds no identity"),
            Self::PublicKey => f.write_str("it holds a public key, not an identity"),
            Self::Malformed(what) => f.write_str(what),
            Self::MalformedLine { line, what } => write!(f, "line {line}: {what}"),
            Self::Unsupported(error) => write!(f, "{error}"),
            Self::UnsupportedPem(label) => write!(f, "age has no use for a `{label}`"),
            Self::EncryptedPem => f.write_str(
                "its old PEM encryption is not supported; `ssh-keygen -p -f FILE` converts it",
            ),
            Self::LockedPgp => f.write_str(
                "the PGP keys in it are behind a passphrase or on a card: `gpg --edit-key KEY passwd` \
                 takes the passphrase off before `gpg --export-secret-keys`",
            ),
            Self::WrongPassphrase => f.write_str("the passphrase does not open it"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// Highest scrypt work factor, log2, that is accepted (Go age: 22).
const MAX_WORK_FACTOR: u8 = 22;
/// Work factor of what we write, log2 (Go age: 18, about a second).
const WORK_FACTOR: u8 = 18;
