//! How a secret most likely came to where it was found, told from where that is.

use std::path::Path;

use super::container::Kind;
use super::finding::Step;
use super::store::{human_name, is_derivation};

/// Where a file that was looked at belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A store path.
    Store {
        /// Whether the database knows it.
        registered: bool,
    },
    /// A build log.
    Log,
    /// The cache of evaluations.
    EvaluationCache,
    /// What boots the machine.
    Boot,
    /// A binary cache.
    Cache,
    /// Named by the user.
    Plain,
}

/// A probable cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An attribute of a derivation.
    Environment(String),
    /// Structured attributes of a derivation.
    StructuredAttributes,
    /// The command of a builder.
    Arguments,
    /// Another part of a derivation.
    Derivation,
    /// A folder that became a source, and the file in it.
    Source,
    /// The git history in a folder that became a source.
    SourceHistory,
    /// A file of `/etc`.
    Etc,
    /// A unit of systemd.
    Unit,
    /// `nix.conf`.
    NixConf,
    /// The configuration of `wpa_supplicant` or `NetworkManager`.
    Wireless,
    /// The configuration of `WireGuard`.
    WireGuard,
    /// A build that failed, or a path that was never registered.
    Unregistered,
    /// What a builder printed.
    Log,
    /// What an evaluation came to.
    Evaluation,
    /// An initrd.
    Initrd,
    /// A layer of a container image.
    Image,
    /// A file that a text was written to, or was copied to.
    Text,
    /// Not in a store.
    Open,
}

impl Cause {
    /// One word for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Environment(_) => "derivation-environment",
            Self::StructuredAttributes => "structured-attributes",
            Self::Arguments => "derivation-arguments",
            Self::Derivation => "derivation",
            Self::Source => "source",
            Self::SourceHistory => "source-history",
            Self::Etc => "etc",
            Self::Unit => "unit",
            Self::NixConf => "nix-conf",
            Self::Wireless => "wireless",
            Self::WireGuard => "wireguard",
            Self::Unregistered => "unregistered",
            Self::Log => "log",
            Self::Evaluation => "evaluation",
            Self::Initrd => "initrd",
            Self::Image => "image",
            Self::Text => "text",
            Self::Open => "open",
        }
    }
}

/// The cause, by the store path (its name, where there is one), the file in it, and the way into the
/// file.
pub fn of(scope: Scope, store_name: Option<&str>, inner: &Path, chain: &[Step]) -> Cause {
    let derivation = chain.iter().rev().find_map(|step| match step {
        Step::Member(Kind::Derivation, role) => Some(String::from_utf8_lossy(role).into_owned()),
        Step::Member(..) | Step::Packed(_) => None,
    });
    if let Some(role) = derivation {
        return match role.strip_prefix("env ") {
            Some("__json") => Cause::StructuredAttributes,
            Some(name) => Cause::Environment(name.to_owned()),
            None => Cause::Arguments,
        };
    }
    match scope {
        Scope::Log => return Cause::Log,
        Scope::EvaluationCache => return Cause::Evaluation,
        Scope::Boot => return Cause::Initrd,
        Scope::Store { .. } | Scope::Cache | Scope::Plain => {}
    }
    let Some(name) = store_name.map(human_name) else { return Cause::Open };
    // The file itself, be it in the store or in a container there.
    let member = chain.iter().rev().find_map(|step| match step {
        Step::Member(_, name) => Some(String::from_utf8_lossy(name).into_owned()),
        Step::Packed(_) => None,
    });
    let inner = inner.to_string_lossy();
    let whole = format!("{name}/{inner}/{}", member.unwrap_or_default());
    let has = |part: &str| whole.contains(part);
    if is_derivation(name) {
        Cause::Derivation
    } else if name == "source" || name.ends_with("-source") {
        if has(".git/") { Cause::SourceHistory } else { Cause::Source }
    } else if has("initrd") {
        Cause::Initrd
    } else if has("nix.conf") {
        Cause::NixConf
    } else if has("wpa_supplicant") || has(".nmconnection") || has("NetworkManager/") {
        Cause::Wireless
    } else if has("wireguard") || has("wg-quick") || has("wg0") {
        Cause::WireGuard
    } else if name.starts_with("unit-") || has(".service") || has("/systemd/") {
        Cause::Unit
    } else if name == "etc" || name.starts_with("etc-") || has("/etc/") {
        Cause::Etc
    } else if name.contains("docker") || name.contains("-layer") || name.ends_with("layer.tar") {
        Cause::Image
    } else if scope == (Scope::Store { registered: false }) {
        Cause::Unregistered
    } else {
        Cause::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_tell_causes() {
        let hash = "0123456789abcdfghijklmnpqrsvwxyz";
        let store = Scope::Store { registered: true };
        for (name, inner, cause) in [
            ("source", ".env", Cause::Source),
            ("source", ".git/objects/ab/cd", Cause::SourceHistory),
            ("unit-app.service", "app.service", Cause::Unit),
            ("etc", "etc/app.conf", Cause::Etc),
            ("nix.conf", "", Cause::NixConf),
            ("wpa_supplicant.conf", "", Cause::Wireless),
            ("initrd-linux-6.12", "initrd", Cause::Initrd),
            ("password.txt", "", Cause::Text),
            ("app.drv", "", Cause::Derivation),
        ] {
            let name = format!("{hash}-{name}");
            assert_eq!(of(store, Some(&name), Path::new(inner), &[]), cause, "{name} {inner}");
        }
        let role = |role: &str| [Step::Member(Kind::Derivation, role.as_bytes().to_vec())];
        let attribute = of(store, None, Path::new(""), &role("env TOKEN"));
        assert_eq!(attribute, Cause::Environment("TOKEN".to_owned()));
        assert_eq!(
            of(store, None, Path::new(""), &role("env __json")),
            Cause::StructuredAttributes
        );
        let unregistered = Scope::Store { registered: false };
        let name = format!("{hash}-app");
        assert_eq!(of(unregistered, Some(&name), Path::new("f"), &[]), Cause::Unregistered);
        assert_eq!(of(Scope::Plain, None, Path::new("f"), &[]), Cause::Open);
    }
}
