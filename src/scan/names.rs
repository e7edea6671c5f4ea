//! Values that are kept beside secrets and are none: names, addresses, paths, public keys. They
//! stand in the open by right, so that looking for them would bring false alarms.

use super::entropy;
use super::literal::Pattern;

/// Names of values that are no secrets.
static NAMES: Pattern = Pattern::new(concat!(
    "(?i-u)(?:\\A|[_-])(?:user|username|user_name|login|host|hostname|server|domain|port|email|mail|",
    "from|address|endpoint|allowedips|dns|region|database|dbname|publickey|public_key|recipient)\\z",
));
/// Hosts and mail addresses, paths, URLs.
static OPEN: Pattern = Pattern::new(concat!(
    r"\A(?:(?:[A-Za-z0-9._+-]*@)?",
    r"(?:(?:[a-z0-9-]+\.)+[a-z0-9-]{2,}|[0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+)(?::[0-9]+)?|",
    r"(?:/|\./|~/)[A-Za-z0-9._/~@+-]*|[A-Za-z0-9+]+://.+)\z",
));
/// What public keys are called.
static PUBLIC: Pattern = Pattern::new(r"(?i-u)public[_-]*key[_-]*\z");
/// Public keys of SSH.
static SSH: Pattern =
    Pattern::new(r"(?s)\A(?:ssh-ed25519 |ssh-rsa |ecdsa-sha2-|sk-ssh-ed25519@|ssh-dss ).*AAAA");
/// With so many bits a value is taken for a secret whatever it is called.
const SECRET_ANYWAY: u32 = 64;
/// A part of a name or path with so many bits is no word.
const NO_WORD: u32 = 40;

/// Whether the value at `path` is a name, an address or a path.
pub(super) fn is_name(path: &str, text: &str) -> bool {
    if NAMES.fits(last(path)) && is_label(text) {
        return true;
    }
    if text.contains(char::is_whitespace) {
        return false;
    }
    let mut words = text.split(['.', '/', ':', '@', '-', '_', ',', '?', '=', '&']);
    (OPEN.fits(text) || is_network(text))
        && words.all(|word| entropy::bits(word.as_bytes()) < NO_WORD)
}

/// Whether what others are called by is no secret all the same.
pub(super) fn is_label(text: &str) -> bool {
    entropy::bits(text.as_bytes()) < SECRET_ANYWAY
}

/// A public key of SSH, or what is called one.
pub(super) fn is_public_key(path: &str, text: &str) -> bool {
    PUBLIC.fits(last(path)) || SSH.fits(text)
}

/// The last step of a way.
fn last(path: &str) -> &str {
    path.rsplit(['/', '.']).next().unwrap_or(path)
}

/// Addresses with their masks, one or several.
fn is_network(text: &str) -> bool {
    text.split(',').all(|one| {
        let address = one.split_once('/').map_or(one, |(address, _)| address);
        address.parse::<std::net::IpAddr>().is_ok()
    })
}
