//! PGP keys, through the program `gpg`: the keys, their passphrases and what trust is made of are
//! its own. Follows `pgp/keysource.go` of sops, whose arguments for `gpg` these are. Where nobody is
//! there, keys in files open messages without it ([`message`]).

pub mod message;
mod packet;
pub mod secret;
mod symmetric;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use self::message::{OpenError, Work};
use self::secret::SecretKey;
use super::ask::UNATTENDED;
use crate::plaintext::Plaintext;
use crate::process::gpg::{GpgError, gpg};

/// What it takes to run `gpg`.
#[derive(Debug, Clone)]
pub struct Pgp {
    program: OsString,
    path: OsString,
    way: Way,
}

/// Who is there.
#[derive(Debug, Clone)]
enum Way {
    /// Somebody with a terminal or a card, in their own home of `gpg`.
    Attended,
    /// Nobody; the keys are in this folder.
    Unattended { home: OsString },
    /// `gpg` is not to be run.
    Off,
}

impl Pgp {
    /// With another program than `gpg` (`SOPS_GPG_EXEC`), and the value of `$PATH`.
    pub fn new(program: Option<OsString>, path: &OsStr) -> Self {
        let program = program.unwrap_or_else(|| "gpg".into());
        Self { program, path: path.to_owned(), way: Way::Attended }
    }

    /// With this program and the keys in this folder; nobody is asked for anything, and it has a
    /// minute.
    pub fn unattended(program: &Path, home: &Path) -> Self {
        let way = Way::Unattended { home: home.into() };
        Self { program: program.into(), path: OsString::new(), way }
    }

    /// One that is never run.
    pub fn off() -> Self {
        Self { program: OsString::new(), path: OsString::new(), way: Way::Off }
    }

    /// As the environment has it, of which `variable` gives what is set and not empty.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        Self::new(variable("SOPS_GPG_EXEC"), &variable("PATH").unwrap_or_default())
    }

    /// Encrypts to the key with this fingerprint; gives an armored message, without white space
    /// around it. A `!` at the end means this very subkey.
    ///
    /// # Errors
    /// [`PgpError`].
    pub fn encrypt(&self, fingerprint: &str, secret: &Plaintext) -> Result<String, PgpError> {
        let fingerprint = fingerprint.replace(' ', "");
        if fingerprint.is_empty() || !fingerprint.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(PgpError::Fingerprint);
        }
        let args = [
            "--no-default-recipient",
            "--yes",
            "--encrypt",
            "-a",
            "-r",
            &fingerprint,
            "--trusted-key",
            long_id(&fingerprint),
            "--no-encrypt-to",
        ];
        let message = self.run(&args, secret)?;
        #[expect(clippy::disallowed_methods, reason = "an encrypted message is no secret")]
        let text = std::str::from_utf8(message.expose()).unwrap_or_default().trim();
        if text.is_empty() { Err(PgpError::Nothing) } else { Ok(text.to_owned()) }
    }

    /// Decrypts an armored message with one of these keys, else by `gpg` with whatever key it is for.
    ///
    /// # Errors
    /// [`PgpError`]; also where `gpg` gives nothing, as old ones do with what they do not know.
    pub fn decrypt(
        &self,
        message: &str,
        ours: &[SecretKey],
        work: &mut Work,
    ) -> Result<Plaintext, PgpError> {
        if !ours.is_empty() || matches!(self.way, Way::Off) {
            match message::open(message, ours, work) {
                Ok(secret) => return Ok(secret),
                Err(error) if matches!(self.way, Way::Off) => {
                    return Err(PgpError::Unopened(error));
                }
                // It may know another key.
                Err(_) => {}
            }
        }
        let secret =
            self.run(&["--no-auto-key-retrieve", "-d"], &Plaintext::copy_of(message.as_bytes()))?;
        if secret.is_empty() { Err(PgpError::Nothing) } else { Ok(secret) }
    }

    fn run(&self, args: &[&str], input: &Plaintext) -> Result<Plaintext, PgpError> {
        let (mut all, patience) = match &self.way {
            Way::Attended => (Vec::new(), ATTENDED),
            Way::Unattended { home } => {
                let mut options: Vec<OsString> =
                    ["--batch", "--no-tty", "--pinentry-mode", "error", "--homedir"]
                        .map(OsString::from)
                        .to_vec();
                options.push(home.clone());
                (options, UNATTENDED)
            }
            Way::Off => return Err(PgpError::Off),
        };
        all.extend(args.iter().map(OsString::from));
        gpg(&self.program, &self.path, &all, input, MOST, patience).map_err(PgpError::Gpg)
    }
}

/// The last 16 digits, with the `!` that may stand behind them.
fn long_id(fingerprint: &str) -> &str {
    let digits = if fingerprint.ends_with('!') { 17 } else { 16 };
    let start = fingerprint.len().saturating_sub(digits);
    fingerprint.get(start..).unwrap_or(fingerprint)
}

/// Why PGP was of no use.
#[derive(Debug)]
pub enum PgpError {
    /// The fingerprint is empty, or not visible ASCII.
    Fingerprint,
    /// `gpg` cannot be run, or refused.
    Gpg(GpgError),
    /// `gpg` ended well and printed nothing.
    Nothing,
    /// `gpg` is not to be run here.
    Off,
    /// The keys that are here do not open it.
    Unopened(OpenError),
}

impl PgpError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Gpg(error) => error.remedy(),
            Self::Unopened(error) => error.remedy(),
            Self::Fingerprint | Self::Nothing | Self::Off => None,
        }
    }
}

impl fmt::Display for PgpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint => f.write_str("the fingerprint is not one"),
            Self::Gpg(error) => error.fmt(f),
            Self::Off => f.write_str("gpg is not run here"),
            Self::Unopened(error) => error.fmt(f),
            Self::Nothing => f.write_str(
                "gpg gave nothing, without an error: it may be too old for the way of encryption",
            ),
        }
    }
}

impl std::error::Error for PgpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Gpg(error) => Some(error),
            Self::Fingerprint | Self::Nothing | Self::Off | Self::Unopened(_) => None,
        }
    }
}

/// Somebody may have to find a card.
const ATTENDED: Duration = Duration::from_mins(10);
/// Most bytes of a message or of what was in it.
const MOST: usize = 1 << 20;

#[cfg(test)]
#[path = "pgp/tests.rs"]
mod reader_tests;
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn stand_in(script: &str) -> (tempfile::TempDir, Pgp) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("gpg");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        (folder, Pgp::new(Some(program.into_os_string()), &path))
    }

    #[test]
    fn gpg_is_called_as_sops_calls_it() {
        let (_folder, pgp) = stand_in("echo \"$@\"; cat; echo");
        let secret = Plaintext::copy_of(b"canary");
        let said = pgp.encrypt("AAAA BBBB CCCC DDDD EEEE!", &secret).unwrap();
        assert_eq!(
            said,
            "--no-default-recipient --yes --encrypt -a -r AAAABBBBCCCCDDDDEEEE! --trusted-key \
             BBBBCCCCDDDDEEEE! --no-encrypt-to\ncanary"
        );
        assert!(
            pgp.decrypt("message", &[], &mut Work::default())
                .unwrap()
                .same_as(&Plaintext::copy_of(b"--no-auto-key-retrieve -d\nmessage\n"))
        );
        assert!(matches!(pgp.encrypt(" ", &secret), Err(PgpError::Fingerprint)));
    }

    #[test]
    fn errors_are_the_last_line_and_nothing_is_one() {
        let (_folder, pgp) = stand_in("cat; echo note >&2; echo 'gpg: \x1b[1mno key' >&2; exit 2");
        assert_eq!(
            pgp.decrypt("x", &[], &mut Work::default()).unwrap_err().to_string(),
            "gpg:  [1mno key"
        );
        let (_folder, pgp) = stand_in("exit 0");
        assert!(matches!(pgp.decrypt("x", &[], &mut Work::default()), Err(PgpError::Nothing)));
        let (_folder, pgp) = stand_in("yes");
        let error = pgp.decrypt("x", &[], &mut Work::default()).unwrap_err();
        assert!(matches!(error, PgpError::Gpg(GpgError::Io { .. })), "{error}");
        let missing = Pgp::new(None, OsStr::new("/nonexistent"));
        assert_eq!(
            missing.decrypt("x", &[], &mut Work::default()).unwrap_err().to_string(),
            "there is no program `gpg`"
        );
    }
}
