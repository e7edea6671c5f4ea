//! The public keys that a host shows, through the system's `ssh-keyscan`. What it says is not
//! authenticated: the caller shows fingerprints and asks before trust.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::time::Duration;

use super::{clean_command, find_program, pipe};

/// What `ssh-keyscan` prints for a host name or address, optionally with `:PORT` behind a name
/// or `[ADDRESS]`; `path` has the form of `$PATH`.
///
/// # Errors
/// [`KeyscanError`].
pub fn keyscan(address: &str, path: &OsStr) -> Result<String, KeyscanError> {
    let (host, port) =
        split(address).ok_or_else(|| KeyscanError::Address { address: pipe::clean(address) })?;
    let program = find_program(OsStr::new("ssh-keyscan"), path).ok_or(KeyscanError::Missing)?;
    let mut command = clean_command(&program, &[]);
    command.args(["-T", "10", "-t", "ed25519,rsa"]);
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", host]);
    let (status, answer, said) =
        pipe::ask(command, 1 << 20, Duration::from_secs(40)).map_err(KeyscanError::Io)?;
    #[expect(clippy::disallowed_methods, reason = "public keys, read by the way of secrets")]
    let text = String::from_utf8_lossy(answer.expose()).into_owned();
    let any = text.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'));
    if status.is_some() && any {
        Ok(text)
    } else {
        Err(KeyscanError::NoKey { address: address.to_owned(), said })
    }
}

/// Host and port of an address that cannot be taken for an option or for two words.
fn split(address: &str) -> Option<(&str, Option<u16>)> {
    let plain = |host: &str| {
        !host.is_empty()
            && !host.starts_with('-')
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b))
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match address.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) | None => (address, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    plain(host).then_some((host, port))
}

/// Why there are no keys.
#[derive(Debug)]
pub enum KeyscanError {
    /// The address is none.
    Address {
        /// The address, cleaned.
        address: String,
    },
    /// `ssh-keyscan` is not installed.
    Missing,
    /// The host did not answer with a key of a kind that age can use.
    NoKey {
        /// The address.
        address: String,
        /// What `ssh-keyscan` said on stderr.
        said: String,
    },
    /// `ssh-keyscan` cannot be run.
    Io(io::Error),
}

impl KeyscanError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Address { .. } => {
                Some("write a host name, an IP address, `NAME:PORT` or `[ADDRESS]:PORT`")
            }
            Self::Missing => Some("install the OpenSSH client (`openssh-client`, `pkgs.openssh`)"),
            Self::NoKey { .. } => {
                Some("give the host's public key by `--key FILE` or `--known-hosts FILE`")
            }
            Self::Io(_) => None,
        }
    }
}

impl fmt::Display for KeyscanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address } => write!(f, "`{address}` is no address of a host"),
            Self::Missing => f.write_str("there is no program `ssh-keyscan` in PATH"),
            Self::NoKey { address, said } if said.is_empty() => {
                write!(f, "the host `{address}` shows no ed25519 or RSA key")
            }
            Self::NoKey { address, said } => {
                write!(f, "the host `{address}` shows no ed25519 or RSA key: {said}")
            }
            Self::Io(source) => write!(f, "cannot run `ssh-keyscan`: {source}"),
        }
    }
}

impl std::error::Error for KeyscanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Address { .. } | Self::Missing | Self::NoKey { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_one_word_and_no_option() {
        assert_eq!(split("web1.example.org"), Some(("web1.example.org", None)));
        assert_eq!(split("web1:2222"), Some(("web1", Some(2222))));
        assert_eq!(split("[fe80::1%eth0]:22"), Some(("fe80::1%eth0", Some(22))));
        assert_eq!(split("2001:db8::1"), Some(("2001:db8::1", None)));
        for bad in ["", "-oX", "[-x]", "a b", "a\nb", "a,b", "a:x", "[a]x", "a:99999", "a/b"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_host_that_is_not_there_shows_no_key() {
        let path = std::env::var_os("PATH").unwrap();
        match keyscan("127.0.0.1:1", &path) {
            Err(KeyscanError::NoKey { .. } | KeyscanError::Missing) => {}
            other => panic!("{other:?}"),
        }
    }
}
