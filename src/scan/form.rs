//! The names of the forms in which a value can be met. How each is made is in `forms`.

use std::fmt;

/// How a value was written where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As it is.
    Raw,
    /// In the quotes of a derivation file.
    Aterm,
    /// In a JSON string.
    Json,
    /// In a JSON string inside of a derivation file (structured attributes).
    JsonInAterm,
    /// In a Nix string.
    Nix,
    /// In an indented Nix string.
    NixIndented,
    /// In quotes of a shell.
    Shell,
    /// In quotes that are doubled within: YAML, SQL, CSV.
    Doubled,
    /// In a systemd unit or environment file.
    Systemd,
    /// In XML or HTML.
    Xml,
    /// Percent-encoded, as in URLs and forms.
    Percent,
    /// In an INI or properties file.
    Ini,
    /// Hexadecimal.
    Hex,
    /// Hexadecimal with colons.
    HexColon,
    /// UTF-16.
    Utf16,
    /// Base64, any alignment, standard or for URLs, broken into lines or not.
    Base64,
    /// What a shape stands in.
    Shape,
    /// A fingerprint that fits, after the decoding of what surrounds it.
    Fingerprint,
}

impl Form {
    /// In one word or two, for reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Raw => "as it is",
            Self::Aterm => "ATerm",
            Self::Json => "JSON",
            Self::JsonInAterm => "JSON in ATerm",
            Self::Nix => "Nix string",
            Self::NixIndented => "indented Nix string",
            Self::Shell => "shell quotes",
            Self::Doubled => "doubled quotes",
            Self::Systemd => "systemd escapes",
            Self::Xml => "XML",
            Self::Percent => "percent-encoded",
            Self::Ini => "INI",
            Self::Hex => "hexadecimal",
            Self::HexColon => "hexadecimal with colons",
            Self::Utf16 => "UTF-16",
            Self::Base64 => "Base64",
            Self::Shape => "shape",
            Self::Fingerprint => "fingerprint",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
