//! Rules: who may read which secret file, from one of several sources, each rule with the
//! place where it was said. Reads rules; never opens a secret.

use std::path::{Path, PathBuf};

use crate::key::Recipient;
use crate::place::Place;

/// What a reader is, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderKind {
    /// A person.
    User,
    /// A machine.
    Host,
    /// A bare key that the source gives no name; its name is the comment or the short key.
    Key,
}

/// A named reader of secrets and its public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Name for people.
    pub name: String,
    /// User, host or bare key.
    pub kind: ReaderKind,
    /// Its keys; at least one.
    pub recipients: Vec<Recipient>,
    /// Where the reader was declared.
    pub place: Place,
}

/// Which files a rule is about, relative to [`Rules::base`].
#[derive(Debug, Clone)]
pub enum Pattern {
    /// One file.
    File(PathBuf),
    /// Every file that matches a glob of the native rules (`*` stays inside a folder, `**` does
    /// not).
    Glob(globset::GlobMatcher),
}

/// One rule: the readers of the files that match a pattern.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The files.
    pub pattern: Pattern,
    /// Indices into [`Rules::readers`], master keys included, without duplicates.
    pub readers: Vec<usize>,
    /// `Some` where the rule says whether files are armored.
    pub armor: Option<bool>,
    /// Whether files leave out the list of their readers.
    pub anonymous: bool,
    /// Where the rule was said.
    pub place: Place,
}

/// Where rules come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `secretctl.yaml`.
    Native,
    /// agenix: `secrets.nix`.
    Agenix,
    /// The `secretctl` output of a flake.
    Flake,
}

/// The rules of one source.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What kind of source this is.
    pub source: Source,
    /// The rules file itself (`secretctl.yaml`, `secrets.nix`, `flake.nix`), absolute.
    pub file: PathBuf,
    /// Absolute folder that patterns are relative to.
    pub base: PathBuf,
    /// Everybody who is declared.
    pub readers: Vec<Reader>,
    /// In the order of the source; the first match wins.
    pub rules: Vec<Rule>,
}

impl Rules {
    /// The first rule that matches a file, given by its absolute path.
    pub fn find(&self, file: &Path) -> Option<&Rule> {
        let relative = file.strip_prefix(&self.base).ok()?;
        self.rules.iter().find(|rule| match &rule.pattern {
            Pattern::File(path) => path == relative,
            Pattern::Glob(glob) => glob.is_match(relative),
        })
    }

    /// The readers of a rule.
    pub fn readers_of<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a Reader> {
        rule.readers.iter().filter_map(|index| self.readers.get(*index))
    }
}

/// placeholder until merged
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    pub sources: Vec<Rules>,
}
