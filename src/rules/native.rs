//! Our own rules file, `secretctl.yaml`: users, hosts, groups, master keys and, for each path,
//! who may read it.
//!
//! All that is wrong in the file is reported at once, each with line and column. What the file
//! says is first read into a document, names and all; `build` then resolves it.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::fsx::read_limited;
use crate::place::Place;

use super::build::{self, Document, Named, Said, Secret, nearest};
use super::error::{Problem, ProblemKind, RulesError};
use super::reading::{Reading, one_problem, syntax};
use super::yaml::{self, Kind, Node};
use super::{Rules, SelectorKind, Source};

/// The name of the file.
pub const FILE_NAME: &str = "secretctl.yaml";

/// More than any fleet says.
pub const SIZE_LIMIT: usize = 4 << 20;

const ROOT_FIELDS: &[&str] = &["users", "hosts", "groups", "defaultEncryptKeys", "secrets"];
const SECRET_FIELDS: &[&str] = &[
    "path",
    "readers",
    "anonymous",
    "armor",
    "encryptedRegex",
    "unencryptedRegex",
    "encryptedSuffix",
    "unencryptedSuffix",
    "encryptedCommentRegex",
    "unencryptedCommentRegex",
    "macOnlyEncrypted",
];

/// Reads a rules file; its patterns are relative to its folder.
///
/// # Errors
/// [`RulesError::Read`], [`RulesError::TooLarge`], or all problems in the text.
pub fn load(file: &Path) -> Result<Rules, RulesError> {
    parse(&read(file)?, file)
}

/// The text of a rules file.
///
/// # Errors
/// [`RulesError::Read`], [`RulesError::TooLarge`], or [`RulesError::Problems`] where it is not
/// UTF-8.
pub fn read(file: &Path) -> Result<String, RulesError> {
    let failed = |source| RulesError::Read { file: file.to_owned(), source };
    // A pipe would keep us waiting.
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let bytes = read_limited(file, SIZE_LIMIT).map_err(|source| {
        if source.kind() == ErrorKind::FileTooLarge {
            RulesError::TooLarge { file: file.to_owned(), limit: SIZE_LIMIT }
        } else {
            failed(source)
        }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.split(|b| *b == b'\n').count();
        let kind = ProblemKind::Syntax { what: "this line is not UTF-8".to_owned() };
        one_problem(file, Problem { place: Place::at(file, line, 0), kind })
    })
}

/// Parses the text of a rules file that lies at `file`, which must be absolute.
///
/// # Errors
/// [`RulesError::Problems`] with everything that is wrong.
pub fn parse(text: &str, file: &Path) -> Result<Rules, RulesError> {
    let document = document(text, file)?;
    let base = file.parent().unwrap_or(Path::new("/"));
    build::resolve(&document, Source::Native, file, base)
        .map_err(|problems| RulesError::Problems { file: file.to_owned(), problems })
}

/// What the text says, names not yet resolved.
pub(super) fn document(text: &str, file: &Path) -> Result<Document, RulesError> {
    let root = tree(text, file)?;
    let mut reader = Reading::new(file);
    let document = root.map(|root| reader.root(&root)).unwrap_or_default();
    if reader.problems.is_empty() {
        Ok(document)
    } else {
        // Names are worth checking even so: all problems at once.
        let base = file.parent().unwrap_or(Path::new("/"));
        if let Err(more) = build::resolve(&document, Source::Native, file, base) {
            reader.problems.extend(more);
        }
        reader.problems.sort_by(|a, b| a.place.cmp(&b.place));
        Err(RulesError::Problems { file: file.to_owned(), problems: reader.problems })
    }
}

/// The tree of the text, for reading and for edits in place.
pub(super) fn tree(text: &str, file: &Path) -> Result<Option<Node>, RulesError> {
    yaml::parse(text).map_err(|error| syntax(file, error))
}

impl Reading<'_> {
    fn root(&mut self, root: &Node) -> Document {
        let mut document = Document::default();
        for (name, value) in self.fields(root, "the rules file", ROOT_FIELDS) {
            if value.is_null() {
                continue;
            }
            match name {
                "users" => document.users = self.named(value, "users"),
                "hosts" => document.hosts = self.named(value, "hosts"),
                "groups" => document.groups = self.named(value, "groups"),
                "defaultEncryptKeys" => {
                    document.masters = self.strings(value, "`defaultEncryptKeys`");
                }
                _ => document.secrets = self.secrets(value),
            }
        }
        document
    }

    fn named(&mut self, node: &Node, section: &str) -> Vec<Named> {
        let entries = self.entries(node, &format!("`{section}`"));
        let mut named = Vec::new();
        for (key, value) in entries {
            let name =
                Said { text: key.text().unwrap_or_default().to_owned(), place: self.at(key) };
            let values = self.strings(value, &format!("`{section}.{}`", name.text));
            named.push(Named { name, values });
        }
        named
    }

    fn secrets(&mut self, node: &Node) -> Vec<Secret> {
        let Kind::List { items, .. } = &node.kind else {
            self.wrong(node, "`secrets`", "a list of rules, each with `path` and `readers`");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.secret(item)).collect()
    }

    fn secret(&mut self, item: &Node) -> Option<Secret> {
        let fields = self.fields(item, "a rule", SECRET_FIELDS);
        if !matches!(item.kind, Kind::Map { .. }) {
            return None;
        }
        let mut secret = Secret::at(self.at(item));
        let mut has_path = false;
        for (name, value) in fields {
            match name {
                "path" => {
                    has_path = true;
                    secret.path = self.string(value, "`path`")?;
                }
                "readers" if value.is_null() => {}
                "readers" => secret.readers = self.strings(value, "`readers`"),
                "anonymous" => secret.anonymous = self.boolean(value, name).unwrap_or_default(),
                "armor" => secret.armor = self.boolean(value, name),
                "macOnlyEncrypted" => {
                    secret.mac_only_encrypted = self.boolean(value, name).unwrap_or_default();
                }
                _ => {
                    let said = self.string(value, &format!("`{name}`"))?;
                    let kinds = SelectorKind::ALL.into_iter();
                    let kind = kinds.into_iter().find(|kind| kind.native_name() == name);
                    if let (Some((first, _)), Some(kind)) = (&secret.selector, kind) {
                        let (first, second) = (first.native_name(), kind.native_name());
                        self.say(value, ProblemKind::Selectors { first, second });
                    }
                    secret.selector = kind.map(|kind| (kind, said));
                }
            }
        }
        if !has_path {
            self.say(item, ProblemKind::Missing { field: "path" });
            return None;
        }
        Some(secret)
    }

    /// The fields of a mapping that are known; the others are problems.
    fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &'static [&'static str],
    ) -> Vec<(&'n str, &'n Node)> {
        let mut fields = Vec::new();
        for (key, value) in self.entries(node, what) {
            match key.text() {
                Some(name) if known.contains(&name) => fields.push((name, value)),
                name => {
                    let name = name.unwrap_or_default().to_owned();
                    let meant = nearest(&name, known.iter().copied());
                    self.say(key, ProblemKind::UnknownField { name, known, meant });
                }
            }
        }
        fields
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
