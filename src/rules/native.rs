//! Our own rules file, `secretctl.yaml`: users, hosts, groups, master keys and, for each path,
//! who may read it.
//!
//! All that is wrong in the file is reported at once, each with line and column. What the file
//! says is first read into a document, names and all; `build` then resolves it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::place::Place;

use super::build::{self, Document, Named, Said, Secret, nearest};
use super::error::{Problem, ProblemKind, RulesError};
use super::yaml::{self, Kind, Node};
use super::{Rules, Source};

/// The name of the file.
pub const FILE_NAME: &str = "secretctl.yaml";

/// More than any fleet says.
pub const SIZE_LIMIT: usize = 4 << 20;

const ROOT_FIELDS: &[&str] = &["users", "hosts", "groups", "defaultEncryptKeys", "secrets"];
const SECRET_FIELDS: &[&str] = &["path", "readers", "encryptedRegex", "anonymous", "armor"];

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
    let mut bytes = Vec::new();
    let limit = SIZE_LIMIT.saturating_add(1) as u64;
    File::open(file).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > SIZE_LIMIT {
        return Err(RulesError::TooLarge { file: file.to_owned(), limit: SIZE_LIMIT });
    }
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
    let mut reader = Reading { file, problems: Vec::new() };
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
    yaml::parse(text).map_err(|error| {
        let place = Place::at(file, error.line, error.column);
        one_problem(file, Problem { place, kind: ProblemKind::Syntax { what: error.what } })
    })
}

fn one_problem(file: &Path, problem: Problem) -> RulesError {
    RulesError::Problems { file: file.to_owned(), problems: vec![problem] }
}

struct Reading<'a> {
    file: &'a Path,
    problems: Vec<Problem>,
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
                "encryptedRegex" => {
                    secret.encrypted_regex = Some(self.string(value, "`encryptedRegex`")?.text);
                }
                "anonymous" => secret.anonymous = self.boolean(value, name).unwrap_or_default(),
                _ => secret.armor = self.boolean(value, name),
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

    /// The entries of a mapping, each key once.
    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Node, &'n Node)> {
        let Kind::Map { entries, .. } = &node.kind else {
            self.wrong(node, what, "a mapping (`name: value`)");
            return Vec::new();
        };
        let mut seen = std::collections::HashMap::new();
        let mut unique = Vec::new();
        for (key, value) in entries {
            match key.text().filter(|_| !key.is_null()) {
                None => self.wrong(key, "a key", "a name"),
                Some(name) => match seen.entry(name) {
                    std::collections::hash_map::Entry::Occupied(first) => {
                        let first = *first.get();
                        self.say(key, ProblemKind::Twice { name: name.to_owned(), first });
                    }
                    std::collections::hash_map::Entry::Vacant(slot) => {
                        slot.insert(key.line);
                        unique.push((key, value));
                    }
                },
            }
        }
        unique
    }

    /// One string or a list of them.
    fn strings(&mut self, node: &Node, what: &str) -> Vec<Said> {
        match &node.kind {
            Kind::List { items, .. } => {
                let what = format!("each element of {what}");
                items.iter().filter_map(|item| self.string(item, &what)).collect()
            }
            Kind::Scalar { .. } if !node.is_null() => self.string(node, what).into_iter().collect(),
            Kind::Scalar { .. } | Kind::Map { .. } => {
                self.wrong(node, what, "a string or a list of strings");
                Vec::new()
            }
        }
    }

    fn string(&mut self, node: &Node, what: &str) -> Option<Said> {
        let text = node.text().filter(|_| !node.is_null());
        if text.is_none() {
            self.wrong(node, what, "a string");
        }
        text.map(|text| Said { text: text.to_owned(), place: self.at(node) })
    }

    fn boolean(&mut self, node: &Node, name: &str) -> Option<bool> {
        match &node.kind {
            Kind::Scalar { text, plain: true } if text == "true" => Some(true),
            Kind::Scalar { text, plain: true } if text == "false" => Some(false),
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } => {
                self.wrong(node, &format!("`{name}`"), "`true` or `false`");
                None
            }
        }
    }

    fn wrong(&mut self, node: &Node, what: &str, expected: &'static str) {
        self.say(node, ProblemKind::WrongType { what: what.to_owned(), expected });
    }

    fn say(&mut self, node: &Node, kind: ProblemKind) {
        self.problems.push(Problem { place: self.at(node), kind });
    }

    fn at(&self, node: &Node) -> Place {
        Place::at(self.file, node.line, node.column)
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
