//! Filters of placeholders: a value written so that the syntax around it takes it as one value.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::plaintext::Plaintext;

/// One filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// A JSON string, quotes included; good in YAML and TOML too.
    Json,
    /// One word of a shell, quotes included.
    Shell,
    /// The value of a line of an `EnvironmentFile=`, quotes included.
    SystemdEnv,
    /// Percent-encoded.
    Url,
    /// Without white space at its ends.
    Trim,
    /// Base64 with the standard alphabet.
    Base64,
}

/// All names, for messages.
pub(super) const ALL: &str = "`json`, `shell`, `systemd-env`, `url`, `trim`, `base64`";

impl Filter {
    /// By its name.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "json" => Self::Json,
            "shell" => Self::Shell,
            "systemd-env" => Self::SystemdEnv,
            "url" => Self::Url,
            "trim" => Self::Trim,
            "base64" => Self::Base64,
            _ => return None,
        })
    }

    /// The value as it is written.
    ///
    /// # Errors
    /// The name of the filter, where the value is nothing that it can write.
    #[expect(clippy::disallowed_methods, reason = "a secret is written in the syntax around it")]
    pub(super) fn apply(self, value: &Plaintext) -> Result<Plaintext, &'static str> {
        let bytes = value.expose();
        match self {
            Self::Json => json(std::str::from_utf8(bytes).map_err(|_| "json")?),
            Self::Shell => no_nul(bytes, "shell").map(shell),
            Self::SystemdEnv => {
                let text = std::str::from_utf8(no_nul(bytes, "systemd-env")?);
                text.map(systemd_env).map_err(|_| "systemd-env")
            }
            Self::Url => Ok(url(bytes)),
            Self::Trim => Ok(Plaintext::copy_of(bytes.trim_ascii())),
            Self::Base64 => {
                let mut out = vec![0; bytes.len().div_ceil(3).saturating_mul(4)];
                let written = BASE64_STANDARD.encode_slice(bytes, &mut out);
                out.truncate(written.unwrap_or_default());
                Ok(Plaintext::new(out))
            }
        }
    }
}

/// Neither a shell nor the environment has room for a zero byte.
fn no_nul<'b>(bytes: &'b [u8], filter: &'static str) -> Result<&'b [u8], &'static str> {
    if bytes.contains(&0) { Err(filter) } else { Ok(bytes) }
}

fn json(text: &str) -> Result<Plaintext, &'static str> {
    // Room for the worst case, so that nothing is moved and left behind.
    let mut out =
        Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(6).saturating_add(2)));
    serde_json::to_writer(&mut *out, text).map_err(|_| "json")?;
    Ok(Plaintext::copy_of(&out))
}

fn shell(bytes: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len().saturating_mul(4).saturating_add(2));
    out.extend(b"'");
    for byte in bytes {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            other => out.extend(&[*other]),
        }
    }
    out.extend(b"'");
    out
}

/// systemd.exec(5): in double quotes, a backslash makes `"`, `\`, `$` and `` ` `` ordinary; line
/// ends stay as they are.
fn systemd_env(text: &str) -> Plaintext {
    let mut out = Plaintext::with_capacity(text.len().saturating_mul(2).saturating_add(2));
    out.extend(b"\"");
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\' | b'$' | b'`') {
            out.extend(b"\\");
        }
        out.extend(&[byte]);
    }
    out.extend(b"\"");
    out
}

/// RFC 3986: everything but unreserved characters.
fn url(bytes: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len().saturating_mul(3));
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.extend(&[*byte]);
        } else {
            let digit =
                |half: u8| b"0123456789ABCDEF".get(usize::from(half)).copied().unwrap_or(b'0');
            out.extend(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at what it made")]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_the_syntax_around_them() {
        for (word, value, wanted) in [
            ("json", "a\"b\\c\n\u{1}é", "\"a\\\"b\\\\c\\n\\u0001é\""),
            ("shell", "it's $HOME\n", "'it'\\''s $HOME\n'"),
            ("systemd-env", "a\"b$c`d\\e\nf", "\"a\\\"b\\$c\\`d\\\\e\nf\""),
            ("url", "a/b c~é", "a%2Fb%20c~%C3%A9"),
            ("trim", " \n a b\t\n", "a b"),
            ("base64", "\u{ff}ab", "w79hYg=="),
            ("json", "", "\"\""),
            ("shell", "", "''"),
        ] {
            let out = Filter::of(word).unwrap().apply(&Plaintext::copy_of(value.as_bytes()));
            assert_eq!(String::from_utf8(out.unwrap().expose().to_vec()).unwrap(), wanted);
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for (word, value) in [
            ("json", &b"\xff"[..]),
            ("shell", b"a\0b"),
            ("systemd-env", b"a\0b"),
            ("systemd-env", b"\xff"),
        ] {
            let error = Filter::of(word).unwrap().apply(&Plaintext::copy_of(value)).unwrap_err();
            assert_eq!(error, word);
        }
        assert_eq!(Filter::of("yaml"), None);
        assert!(ALL.split(", ").all(|name| Filter::of(name.trim_matches('`')).is_some()));
    }
}
