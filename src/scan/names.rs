//! Values that are kept beside secrets and are none: names, addresses, paths, public keys. They
//! stand in the open by right, so that looking for them would bring false alarms.

use super::entropy;

/// Names of values that are no secrets.
const NAMES: [&str; 22] = [
    "user",
    "username",
    "user_name",
    "login",
    "host",
    "hostname",
    "server",
    "domain",
    "port",
    "email",
    "mail",
    "from",
    "address",
    "endpoint",
    "allowedips",
    "dns",
    "region",
    "database",
    "dbname",
    "publickey",
    "public_key",
    "recipient",
];
/// With so many bits a value is taken for a secret whatever it is called.
const SECRET_ANYWAY: u32 = 64;
/// A part of a name or path with so many bits is no word.
const NO_WORD: u32 = 40;

/// Whether the value at `path` is a name, an address or a path.
pub(super) fn is_name(path: &str, text: &str) -> bool {
    let last = path.rsplit(['/', '.']).next().unwrap_or(path).to_ascii_lowercase();
    let called = NAMES.iter().any(|name| {
        last.strip_suffix(name).is_some_and(|head| head.is_empty() || head.ends_with(['_', '-']))
    });
    if called && entropy::bits(text.as_bytes()) < SECRET_ANYWAY {
        return true;
    }
    if text.contains(char::is_whitespace) {
        return false;
    }
    let mut words = text.split(['.', '/', ':', '@', '-', '_', ',', '?', '=', '&']);
    (is_host(text) || is_mail(text) || is_path(text) || is_url(text) || is_network(text))
        && words.all(|word| entropy::bits(word.as_bytes()) < NO_WORD)
}

/// Whether what others are called by is no secret all the same.
pub(super) fn is_label(text: &str) -> bool {
    entropy::bits(text.as_bytes()) < SECRET_ANYWAY
}

/// A public key of SSH, or what is called one.
pub(super) fn is_public_key(path: &str, text: &str) -> bool {
    let last = path.rsplit(['/', '.']).next().unwrap_or(path).to_ascii_lowercase();
    if last.replace(['_', '-'], "").ends_with("publickey") {
        return true;
    }
    let kinds = ["ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-", "sk-ssh-ed25519@", "ssh-dss "];
    kinds.iter().any(|kind| text.starts_with(kind)) && text.contains("AAAA")
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "1"));
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    host.contains('.')
        && host.split('.').all(label)
        && !port.is_empty()
        && port.chars().all(|c| c.is_ascii_digit())
        && host
            .rsplit('.')
            .next()
            .is_some_and(|top| top.len() >= 2 || host.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_mail(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| {
        is_host(host) && user.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
    })
}

fn is_path(text: &str) -> bool {
    (text.starts_with('/') || text.starts_with("./") || text.starts_with("~/"))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/~@+".contains(c))
}

fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
            && !rest.is_empty()
    })
}

/// Addresses with their masks, one or several.
fn is_network(text: &str) -> bool {
    text.split(',').all(|one| {
        let address = one.split_once('/').map_or(one, |(address, _)| address);
        address.parse::<std::net::IpAddr>().is_ok()
    })
}
