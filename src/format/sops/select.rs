//! Which values of a document are encrypted: the six selectors of sops (`sops.go`,
//! `shouldBeEncrypted`). Encrypts nothing itself.

use std::fmt;

use crate::go_regex;
use regex::bytes::Regex;

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

/// A rule that is ready to be asked.
#[derive(Debug)]
pub struct Selector(Test);

#[derive(Debug)]
enum Test {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(Regex),
    EncryptedRegex(Regex),
    UnencryptedCommentRegex(Regex),
    EncryptedCommentRegex(Regex),
}

/// What was met on the way to a value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// A key that the rule names.
    key: bool,
    /// A comment that the rule names, before the value or something it stands in.
    comment: bool,
}

impl Selector {
    /// Of a rule; that of sops where there is none, or one without text.
    ///
    /// # Errors
    /// A regular expression that Go would not take.
    pub fn new(rule: Option<&Rule>) -> Result<Self, SelectorError> {
        let usual = Rule::default();
        let rule = rule.filter(|rule| !rule.text().is_empty()).unwrap_or(&usual);
        let regex = || {
            go_regex::compile(rule.text()).map_err(|what| SelectorError { rule: rule.name(), what })
        };
        Ok(Self(match rule {
            Rule::UnencryptedSuffix(suffix) => Test::UnencryptedSuffix(suffix.clone()),
            Rule::EncryptedSuffix(suffix) => Test::EncryptedSuffix(suffix.clone()),
            Rule::UnencryptedRegex(_) => Test::UnencryptedRegex(regex()?),
            Rule::EncryptedRegex(_) => Test::EncryptedRegex(regex()?),
            Rule::UnencryptedCommentRegex(_) => Test::UnencryptedCommentRegex(regex()?),
            Rule::EncryptedCommentRegex(_) => Test::EncryptedCommentRegex(regex()?),
        }))
    }

    /// The scope below a key. Any key of the way decides for all that is below it.
    pub fn below(&self, scope: Scope, key: &str) -> Scope {
        let named = scope.key
            || match &self.0 {
                Test::UnencryptedSuffix(suffix) | Test::EncryptedSuffix(suffix) => {
                    key.ends_with(suffix.as_str())
                }
                Test::UnencryptedRegex(regex) | Test::EncryptedRegex(regex) => {
                    regex.is_match(key.as_bytes())
                }
                Test::UnencryptedCommentRegex(_) | Test::EncryptedCommentRegex(_) => false,
            };
        Scope { key: named, ..scope }
    }

    /// The scope of what follows a comment, up to the next value and all in it.
    pub fn after(&self, scope: Scope, comment: &[u8]) -> Scope {
        Scope { comment: scope.comment || self.names_comment(comment), ..scope }
    }

    /// Whether a value is encrypted.
    pub fn encrypts(&self, scope: Scope) -> bool {
        match &self.0 {
            Test::UnencryptedSuffix(_) | Test::UnencryptedRegex(_) => !scope.key,
            Test::EncryptedSuffix(_) | Test::EncryptedRegex(_) => scope.key,
            Test::UnencryptedCommentRegex(_) => !scope.comment,
            Test::EncryptedCommentRegex(_) => scope.comment,
        }
    }

    /// Whether a comment is encrypted: as the values of what it stands in, but that it can keep
    /// itself plain and cannot encrypt itself.
    pub fn encrypts_comment(&self, scope: Scope, comment: &[u8]) -> bool {
        match &self.0 {
            Test::UnencryptedCommentRegex(regex) => !scope.comment && !regex.is_match(comment),
            Test::EncryptedCommentRegex(_)
            | Test::UnencryptedSuffix(_)
            | Test::EncryptedSuffix(_)
            | Test::UnencryptedRegex(_)
            | Test::EncryptedRegex(_) => self.encrypts(scope),
        }
    }

    /// Whether a comment, once encrypted, would be taken for one that is not.
    pub fn mistakes(&self, ciphertext: &[u8]) -> bool {
        matches!(&self.0, Test::UnencryptedCommentRegex(regex) if regex.is_match(ciphertext))
    }

    /// Whether comments decide, which are encrypted at one time and plain at another.
    pub fn looks_at_comments(&self) -> bool {
        matches!(&self.0, Test::UnencryptedCommentRegex(_) | Test::EncryptedCommentRegex(_))
    }

    fn names_comment(&self, comment: &[u8]) -> bool {
        match &self.0 {
            Test::UnencryptedCommentRegex(regex) | Test::EncryptedCommentRegex(regex) => {
                regex.is_match(comment)
            }
            Test::UnencryptedSuffix(_)
            | Test::EncryptedSuffix(_)
            | Test::UnencryptedRegex(_)
            | Test::EncryptedRegex(_) => false,
        }
    }
}

/// A rule that cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectorError {
    /// The name of the rule.
    pub rule: &'static str,
    /// A clause that says what is wrong.
    pub what: &'static str,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.rule, self.what)
    }
}

impl std::error::Error for SelectorError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(rule: &Rule) -> Selector {
        Selector::new(Some(rule)).unwrap()
    }

    fn encrypts(rule: &Rule, way: &[&str]) -> bool {
        let selector = selector(rule);
        let scope = way.iter().fold(Scope::default(), |scope, key| selector.below(scope, key));
        selector.encrypts(scope)
    }

    #[test]
    fn any_key_of_the_way_decides() {
        assert!(encrypts(&Rule::default(), &["a", "b"]));
        assert!(!encrypts(&Rule::default(), &["a_unencrypted", "b"]));
        assert!(!encrypts(&Rule::UnencryptedSuffix("x".into()), &["a", "bx"]));
        assert!(encrypts(&Rule::EncryptedSuffix("_s".into()), &["a_s", "b"]));
        assert!(!encrypts(&Rule::EncryptedSuffix("_s".into()), &["a", "b_sx"]));
        assert!(encrypts(&Rule::EncryptedRegex("^(data|b)".into()), &["a", "database"]));
        assert!(!encrypts(&Rule::EncryptedRegex("^(data|b)$".into()), &["a", "database"]));
        assert!(!encrypts(&Rule::UnencryptedRegex("(?i)META".into()), &["metadata", "x"]));
        assert!(encrypts(&Rule::UnencryptedRegex("META".into()), &["metadata", "x"]));
    }

    #[test]
    fn a_rule_without_text_is_none() {
        assert!(encrypts(&Rule::EncryptedRegex(String::new()), &["a"]));
        assert!(!encrypts(&Rule::EncryptedRegex(String::new()), &["a_unencrypted"]));
    }

    #[test]
    fn a_comment_does_not_encrypt_itself() {
        let selector = selector(&Rule::EncryptedCommentRegex("sops:enc".into()));
        let before = Scope::default();
        assert!(!selector.encrypts_comment(before, b"sops:enc"));
        let after = selector.after(before, b"sops:enc");
        assert!(selector.encrypts_comment(after, b"more"));
        assert!(selector.encrypts(selector.below(after, "any")));
        assert!(!selector.encrypts(selector.after(before, b"other")));
    }

    #[test]
    fn a_comment_keeps_itself_plain() {
        let selector = selector(&Rule::UnencryptedCommentRegex("public".into()));
        let before = Scope::default();
        assert!(!selector.encrypts_comment(before, b"is public"));
        assert!(selector.encrypts_comment(before, b"is not"));
        assert!(!selector.encrypts(selector.after(before, b"public")));
        assert!(selector.mistakes(b"public") && !selector.mistakes(b"ENC["));
    }

    #[test]
    fn a_bad_expression_names_its_rule() {
        let error = Selector::new(Some(&Rule::EncryptedRegex("a(".into()))).unwrap_err();
        assert_eq!(error.rule, "encrypted_regex");
        assert!(error.to_string().starts_with("`encrypted_regex` "));
    }
}
