//! Which values of a document are encrypted: the six selectors of sops (`sops.go`,
//! `shouldBeEncrypted`). Encrypts nothing itself.

/// Which values are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// All but those below a key that ends so. sops' default: `_unencrypted`.
    UnencryptedSuffix(String),
    /// Those below a key that ends so.
    EncryptedSuffix(String),
    /// All but those below a key that matches.
    UnencryptedRegex(String),
    /// Those below a key that matches.
    EncryptedRegex(String),
    /// All but those with a comment that matches before them or what they stand in.
    UnencryptedCommentRegex(String),
    /// Those with a comment that matches before them or what they stand in.
    EncryptedCommentRegex(String),
}

impl Default for Rule {
    fn default() -> Self {
        Self::UnencryptedSuffix("_unencrypted".to_owned())
    }
}

impl Rule {
    /// The name in the metadata and in `.sops.yaml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnencryptedSuffix(_) => "unencrypted_suffix",
            Self::EncryptedSuffix(_) => "encrypted_suffix",
            Self::UnencryptedRegex(_) => "unencrypted_regex",
            Self::EncryptedRegex(_) => "encrypted_regex",
            Self::UnencryptedCommentRegex(_) => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex(_) => "encrypted_comment_regex",
        }
    }

    /// The suffix or regular expression.
    pub fn text(&self) -> &str {
        match self {
            Self::UnencryptedSuffix(text)
            | Self::EncryptedSuffix(text)
            | Self::UnencryptedRegex(text)
            | Self::EncryptedRegex(text)
            | Self::UnencryptedCommentRegex(text)
            | Self::EncryptedCommentRegex(text) => text,
        }
    }
}
