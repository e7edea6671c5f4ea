//! The single words of a manifest: paths, names, permissions. Each is checked when it is read, so that
//! nothing behind has to.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::plaintext::Plaintext;

/// The version of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version;
/// The way to one value, at least one step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<String>);

/// Permissions of a file: three octal digits, with a 0 before them or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// By its number.
    Number(u32),
    /// By its name, which is looked up when it is needed.
    Name(String),
}

/// An absolute path without `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbsolutePath(PathBuf);

/// As [`AbsolutePath`], for a private key: not in the Nix store, which everybody can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityPath(pub(super) PathBuf);

/// As [`AbsolutePath`], for what we write: not in the Nix store. In mode `user` it may begin with
/// `%r`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetPath(PathBuf);

/// The name of a systemd unit with its ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit(String);

/// A value that is no secret. Treated as one all the same: nobody copies a real one in here
/// and finds it in a log.
#[derive(Debug)]
pub struct TestValue(pub(crate) Plaintext);

impl Key {
    /// The steps of a way.
    pub fn new(steps: Vec<String>) -> Option<Self> {
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// The steps.
    pub fn steps(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            // A step may hold a slash and whatever else a key may.
            write!(f, "{}", step.replace('/', "\\/").escape_debug())?;
        }
        Ok(())
    }
}

impl FileMode {
    /// From octal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = if text.len() == 4 { text.strip_prefix('0')? } else { text };
        let octal = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten().map(Self)
    }

    pub(super) fn of_folders() -> Self {
        Self(0o751)
    }
}

impl Default for FileMode {
    fn default() -> Self {
        Self(0o400)
    }
}

impl Owner {
    /// A name; one of digits alone is a number.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<u32>()
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return (number != u32::MAX).then_some(Self::Number(number));
        }
        let bad = |c: char| c.is_control() || matches!(c, ':' | '/' | ',');
        let good = !text.is_empty() && text.len() <= 256 && !text.starts_with('-');
        (good && !text.contains(bad)).then(|| Self::Name(text.to_owned()))
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl AbsolutePath {
    /// Checks a path.
    ///
    /// # Errors
    /// A clause.
    pub fn new(path: PathBuf) -> Result<Self, &'static str> {
        plain(&path).map(|()| Self(path))
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl IdentityPath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl TargetPath {
    /// Checks a path that is as it will be.
    ///
    /// # Errors
    /// A clause.
    pub fn new(path: PathBuf) -> Result<Self, &'static str> {
        plain(&path)?;
        if path.starts_with(NIX_STORE) {
            return Err("nothing can be put into the Nix store, which everybody can read");
        }
        Ok(Self(path))
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Puts the folder of the session in the place of `%r`.
    pub(super) fn expand(&mut self, user: bool, runtime: Option<&Path>) -> Result<(), String> {
        let Ok(rest) = self.0.strip_prefix("%r") else { return Ok(()) };
        if !user {
            return Err("`%r` is the folder of a session, which mode `system` has none of".into());
        }
        let Some(runtime) = runtime else {
            return Err("`%r` is the folder of the session, and this one has none: \
                        XDG_RUNTIME_DIR is not set"
                .into());
        };
        *self = Self::new(runtime.join(rest))?;
        Ok(())
    }
}

impl Unit {
    /// Checks a name.
    pub fn new(name: &str) -> Option<Self> {
        let kind = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, kind)| kind);
        let known = kind.is_some_and(|kind| UNIT_KINDS.contains(&kind));
        let character =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
        let good = known && name.len() <= 255 && !name.starts_with('-');
        (good && name.chars().all(character)).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
fn plain(path: &Path) -> Result<(), &'static str> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if !path.is_absolute() {
        return Err("the path has to be absolute");
    }
    if bytes.iter().any(u8::is_ascii_control) {
        return Err("the path holds a control character");
    }
    if bytes.len() > LONGEST_PATH {
        return Err("the path is longer than 4095 bytes");
    }
    let mut parts = path.components().skip(1).peekable();
    if parts.peek().is_none() {
        return Err("`/` itself cannot be meant");
    }
    // Components leave out what stands between slashes.
    let dots = bytes.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..");
    if dots || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err("the path has `.` or `..` in it");
    }
    Ok(())
}
impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format!(
                "version {other} is not known to this program, which reads version 1"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::deserialize(deserializer)?;
        Self::new(steps).ok_or_else(|| de::Error::custom("a way has at least one step"))
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom("permissions are three octal digits, such as `0400`, in quotes")
        })
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OwnerVisitor)
    }
}

struct OwnerVisitor;

impl Visitor<'_> for OwnerVisitor {
    type Value = Owner;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or number of a user or group")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Owner, E> {
        let number = u32::try_from(number).ok().filter(|number| *number != u32::MAX);
        number.map(Owner::Number).ok_or_else(|| E::custom("the number is too large"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Owner, E> {
        Owner::parse(text).ok_or_else(|| E::custom("this cannot be the name of a user or group"))
    }
}

impl<'de> Deserialize<'de> for AbsolutePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::from(String::deserialize(deserializer)?);
        Self::new(path).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for IdentityPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::from(String::deserialize(deserializer)?);
        plain(&path).map_err(de::Error::custom)?;
        if path.starts_with(NIX_STORE) {
            return Err(de::Error::custom(
                "a private key in the Nix store can be read by everybody: take it for known, \
                 and name one that lies elsewhere",
            ));
        }
        Ok(Self(path))
    }
}

impl<'de> Deserialize<'de> for TargetPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::from(String::deserialize(deserializer)?);
        if let Ok(rest) = path.strip_prefix("%r") {
            plain(&Path::new("/").join(rest)).map_err(de::Error::custom)?;
            return Ok(Self(path));
        }
        Self::new(path).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| {
            de::Error::custom("this is no name of a unit, which ends in `.service` or the like")
        })
    }
}

impl<'de> Deserialize<'de> for TestValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(Plaintext::new(text.into_bytes())))
    }
}
/// Where Nix keeps what everybody can read.
pub(super) const NIX_STORE: &str = "/nix/store";
const LONGEST_PATH: usize = 4095;
const UNIT_KINDS: [&str; 11] = [
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "target",
    "timer",
];
