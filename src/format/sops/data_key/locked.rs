//! Why a data key was not found: for every group and key the reason, for a short message of ours
//! and for the long one of sops. Prints nothing.

use std::fmt::{self, Write as _};

use crate::format::age::AgeError;
use crate::format::sops::metadata::Metadata;
use crate::format::sops::shamir::ShamirError;
use crate::key::keyring::Tried;
use crate::key::pgp::PgpError;
use crate::key::service::{ServiceError, Trouble};
use crate::key::wrapping::WrappingKey;

/// What kept a data key locked.
#[derive(Debug)]
pub struct Locked {
    /// How many groups are needed.
    pub needed: usize,
    /// What the file says of that, as sops repeats it; 0 where it says nothing.
    pub threshold: usize,
    /// In the order of the file.
    pub groups: Vec<LockedGroup>,
    /// Why what the groups gave is no data key, where enough of them gave something.
    pub unusable: Option<Unusable>,
}

/// What became of a group.
#[derive(Debug)]
pub struct LockedGroup {
    /// Whether one of its keys opened it.
    pub opened: bool,
    /// The keys that did not, in the order in which they were tried.
    pub keys: Vec<LockedKey>,
}

/// A key that did not open its group.
#[derive(Debug)]
pub struct LockedKey {
    /// The key.
    pub key: WrappingKey,
    /// Why not.
    pub reason: Reason,
}

/// Why a key did not open its group.
#[derive(Debug)]
pub enum Reason {
    /// No identity fits what it holds.
    NoMatch,
    /// It holds nothing.
    Empty,
    /// What it holds for an age key is not a usable age file; a clause.
    Broken(&'static str),
    /// What it holds for an age key is a damaged age file.
    Age(AgeError),
    /// It does hold something, of so many bytes that it cannot be a key or share.
    Length(usize),
    /// What `gpg` says.
    Pgp(PgpError),
    /// What there is to say of the key service.
    Service(ServiceError),
}

/// Why what the groups gave is no data key.
#[derive(Debug)]
pub enum Unusable {
    /// The shares do not fit together.
    Shares(ShamirError),
    /// It is not 32 bytes.
    Length(usize),
}

impl Locked {
    /// One for a file of which nothing has been tried.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            needed: metadata.needed_groups(),
            threshold: metadata.shamir_threshold.unwrap_or(0),
            groups: Vec::new(),
            unusable: None,
        }
    }

    /// The keys of which any could have helped: those of groups that are still locked.
    pub fn needs(&self) -> impl Iterator<Item = &WrappingKey> {
        let locked = self.groups.iter().filter(|group| !group.opened);
        locked.flat_map(|group| &group.keys).map(|entry| &entry.key)
    }

    /// Reasons that say more than that a key is not there.
    pub fn notable(&self) -> impl Iterator<Item = &LockedKey> {
        let keys = self.groups.iter().flat_map(|group| &group.keys);
        keys.filter(|entry| !matches!(entry.reason, Reason::NoMatch))
    }

    /// Whether one of its keys is that of a service that nobody asked.
    pub fn awaits_service(&self) -> bool {
        let off = |reason: &Reason| {
            matches!(reason, Reason::Service(ServiceError { trouble: Trouble::Off, .. }))
        };
        self.notable().any(|entry| off(&entry.reason))
    }

    /// Whether a part of the file is damaged, so that who should open it may be unable to.
    pub fn is_damaged(&self) -> bool {
        let broken = |reason: &Reason| match reason {
            Reason::Broken(_) | Reason::Age(_) | Reason::Length(_) => true,
            Reason::NoMatch | Reason::Empty | Reason::Pgp(_) | Reason::Service(_) => false,
        };
        let mut keys = self.groups.iter().flat_map(|group| &group.keys);
        self.unusable.is_some() || keys.any(|entry| broken(&entry.reason))
    }

    /// What to do about it, where `gpg` or a service knows something.
    pub fn remedy(&self) -> Option<String> {
        self.notable().find_map(|entry| match &entry.reason {
            Reason::Pgp(error) => error.remedy().map(str::to_owned),
            Reason::Service(error) => error.remedy(),
            Reason::NoMatch
            | Reason::Empty
            | Reason::Broken(_)
            | Reason::Age(_)
            | Reason::Length(_) => None,
        })
    }

    /// The message that sops ends with then (`usererrors.go`), without colours and without a
    /// newline at the end: its frame, with our reasons in it. `tried` is where identities were
    /// looked for.
    pub fn sops_text(&self, tried: &[Tried]) -> String {
        if let Some(unusable) = &self.unusable {
            return format!("could not get data key from shamir parts: {unusable}");
        }
        let mut text =
            "Failed to get the data key required to decrypt the SOPS file.\n\n".to_owned();
        for (index, group) in self.groups.iter().enumerate() {
            let status = if group.opened { "SUCCESS" } else { "FAILED" };
            let _infallible = writeln!(text, "Group {index}: {status}");
            if !group.opened {
                let keys: Vec<String> = group.keys.iter().map(|key| key.sops_text(tried)).collect();
                // The blank line between two keys is indented too.
                text.push_str(&keys.join("  \n"));
            }
            text.push('\n');
        }
        let opened = self.groups.iter().filter(|group| group.opened).count();
        let trailer = match self.threshold {
            0 => {
                "Recovery failed because no master key was able to decrypt the file. In order for \
                  SOPS to recover the file, at least one key has to be successful, but none were."
                    .to_owned()
            }
            needed => format!(
                "Recovery failed because the file was encrypted with a Shamir threshold of \
                 {needed}, but only {opened} part(s) were successfully recovered, one for each \
                 successful key group. In order for SOPS to recover the file, at least {needed} \
                 groups have to be successful. In order for a group to be successful, decryption \
                 has to succeed with any of the keys in that key group."
            ),
        };
        text.push_str(&wrapped(&trailer, 75).join("\n"));
        text
    }
}

impl LockedKey {
    fn sops_text(&self, tried: &[Tried]) -> String {
        let mut reason = self.reason.to_string();
        if matches!(self.reason, Reason::NoMatch) && !tried.is_empty() {
            let each = tried.iter().map(|tried| match &tried.what {
                Ok(keys) => format!("{} ({})", tried.source, keys.join(", ")),
                Err(reason) => format!("{} ({reason})", tried.source),
            });
            reason.push_str("; tried ");
            reason.push_str(&each.collect::<Vec<_>>().join(", "));
        }
        let mut text = format!("  {}: FAILED\n", self.key.shown());
        for (index, line) in wrapped(&reason, 60).iter().enumerate() {
            text.push_str(if index == 0 { "    - | " } else { "      | " });
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Lines of at most so many characters, where words allow it.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0_usize;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if used > 0 && used.saturating_add(width).saturating_add(1) > columns {
            lines.push(String::new());
            used = 0;
        }
        let Some(line) = lines.last_mut() else { break };
        if used > 0 {
            line.push(' ');
            used = used.saturating_add(1);
        }
        line.push_str(word);
        used = used.saturating_add(width);
    }
    lines
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = self.groups.iter().filter(|group| group.opened).count();
        match &self.unusable {
            Some(unusable) => unusable.fmt(f),
            None if self.groups.len() > 1 => write!(
                f,
                "{opened} of its {} key groups could be opened, and {} are needed",
                self.groups.len(),
                self.needed
            ),
            None => f.write_str("none of its keys could be used"),
        }
    }
}

impl std::error::Error for Locked {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatch => f.write_str("no identity fits"),
            Self::Empty => f.write_str("the file holds nothing for this key"),
            Self::Broken(what) => write!(f, "what the file holds for this key is broken: {what}"),
            Self::Age(error) => write!(f, "what the file holds for this key is broken: {error}"),
            Self::Length(bytes) => {
                write!(f, "what the file holds for this key is {bytes} bytes and no key")
            }
            Self::Pgp(error) => error.fmt(f),
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shares(error) => error.fmt(f),
            Self::Length(bytes) => write!(f, "the data key is {bytes} bytes and should be 32"),
        }
    }
}
