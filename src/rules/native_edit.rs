//! Edits of `secretctl.yaml` in place: readers and their memberships come and go, while comments and
//! layout stay byte for byte elsewhere.
//!
//! Pure: text in, text out. The new text is parsed again and must say exactly what was meant;
//! otherwise there is an error and no change.

use std::fmt;
use std::path::Path;

use crate::place::Place;

use super::build::{Document, Named, Said, nearest};
use super::native;
use super::splice::{self, Splice};
use super::yaml::{Kind, Node};

pub use super::edit_error::EditError;

/// Whom an edit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `users`.
    Users,
    /// `hosts`.
    Hosts,
}

/// A list of readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List<'a> {
    /// The readers of the rule with exactly this `path`.
    Rule(&'a str),
    /// A group.
    Group(&'a str),
    /// `defaultEncryptKeys`.
    Masters,
}

/// The new text and what is different in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The whole new text.
    pub text: String,
    /// Each thing that was done, a clause, with its place in the old text where it has one.
    pub touched: Vec<(String, Option<Place>)>,
}

/// Declares a user or host with its public keys, and adds it to lists; a group that is not there yet is
/// begun. Only the whole is checked: rules that leave a secret without a reader may be cured by it.
///
/// # Errors
/// [`EditError`]: the name is taken, a key is unusable, there is no such rule, or the text is laid out
/// in a way that cannot be edited.
pub fn add_reader(
    text: &str,
    file: &Path,
    section: Section,
    name: &str,
    keys: &[&str],
    lists: &[List<'_>],
) -> Result<Edited, EditError> {
    let mut edit = Edit::begin(text, file)?;
    edit.declare(section, name, keys)?;
    for list in lists {
        edit.join(*list, name)?;
    }
    edit.finish()
}

/// Takes a user or host out of its section and out of every list.
///
/// # Errors
/// [`EditError`]: nobody is called so, or a list would be left empty.
pub fn remove_reader(
    text: &str,
    file: &Path,
    section: Section,
    name: &str,
) -> Result<Edited, EditError> {
    let mut edit = Edit::begin(text, file)?;
    let place = edit.root.as_ref().and_then(|root| root.value(section.name())?.entry(name));
    let Some(place) = place.map(|(key, _)| edit.at(key)) else {
        let section = section.name();
        return Err(EditError::NotThere { name: name.to_owned(), place: format!("`{section}`") });
    };
    edit.take_from_lists(name)?;
    section.of(&mut edit.meant).retain(|named| named.name.text != name);
    let root = edit.root.as_ref();
    let splices = root.and_then(|root| {
        let (key, map) = root.entry(section.name())?;
        let Kind::Map { entries, .. } = &map.kind else { return None };
        let index = entries.iter().position(|(key, _)| key.text() == Some(name))?;
        splice::remove_entry(&edit.text, key, map, index)
    });
    edit.splice(splices)?;
    edit.touched.insert(0, (format!("`{name}` is gone from `{}`", section.name()), Some(place)));
    edit.finish()
}

/// A file as the `path` of its rule: in quotes where YAML needs them, and never a glob.
pub fn path_text(file: &str) -> String {
    let special = |c| matches!(c, '*' | '?' | '[' | '{' | '}' | '\\');
    let mut path = String::new();
    for c in file.chars() {
        if special(c) {
            path.push('\\');
        }
        path.push(c);
    }
    splice::name(&path)
}

impl Section {
    /// The name of the field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Hosts => "hosts",
        }
    }

    fn of(self, document: &mut Document) -> &mut Vec<Named> {
        match self {
            Self::Users => &mut document.users,
            Self::Hosts => &mut document.hosts,
        }
    }
}

impl List<'_> {
    fn of<'d>(&self, document: &'d mut Document) -> Option<&'d mut Vec<Said>> {
        match self {
            Self::Rule(path) => {
                let rule = document.secrets.iter_mut().find(|rule| rule.path.text == *path);
                rule.map(|rule| &mut rule.readers)
            }
            Self::Group(name) => {
                let group = document.groups.iter_mut().find(|group| group.name.text == *name);
                group.map(|group| &mut group.values)
            }
            Self::Masters => Some(&mut document.masters),
        }
    }

    fn missing(&self) -> String {
        match self {
            Self::Rule(path) => format!("rule for `{path}`"),
            Self::Group(name) => format!("group `{name}`"),
            Self::Masters => "`defaultEncryptKeys`".to_owned(),
        }
    }
}

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(path) => write!(f, "the readers of `{path}`"),
            Self::Group(name) => write!(f, "the group `{name}`"),
            Self::Masters => f.write_str("`defaultEncryptKeys`"),
        }
    }
}

struct Edit<'a> {
    file: &'a Path,
    text: String,
    root: Option<Node>,
    meant: Document,
    touched: Vec<(String, Option<Place>)>,
}

impl<'a> Edit<'a> {
    fn begin(text: &str, file: &'a Path) -> Result<Self, EditError> {
        match native::parse(text, file) {
            // What is missing may be what this edit brings; the result is checked in any case.
            Err(error) if error.only_lacks_readers().is_none() => {
                return Err(EditError::Rules(error));
            }
            Ok(_) | Err(_) => {}
        }
        let meant = native::document(text, file).map_err(EditError::Rules)?;
        let root = native::tree(text, file).map_err(EditError::Rules)?;
        Ok(Self { file, text: text.to_owned(), root, meant, touched: Vec::new() })
    }

    fn declare(&mut self, section: Section, name: &str, keys: &[&str]) -> Result<(), EditError> {
        if let Some(place) = self.declared(name) {
            return Err(EditError::Exists { name: name.to_owned(), place });
        }
        let value = match keys {
            [key] => splice::quoted(key),
            keys => splice::brackets(keys.iter().map(|key| splice::quoted(key))),
        };
        let entry = format!("{}: {value}", splice::name(name));
        let values = keys.iter().map(|key| said(key, self.file)).collect();
        let named = Named { name: said(name, self.file), values };
        section.of(&mut self.meant).push(named);
        self.add_to_section(section.name(), &entry)?;
        self.touched.push((format!("`{name}` is now in `{}`", section.name()), None));
        Ok(())
    }

    fn join(&mut self, list: List<'_>, reader: &str) -> Result<(), EditError> {
        let file = self.file;
        let item = splice::name(reader);
        let mut what = list.to_string();
        if let (List::Rule(name) | List::Group(name), None) = (list, list.of(&mut self.meant)) {
            let meant = self.list_near(name);
            let asks = meant
                .as_ref()
                .map(|meant| format!("; did you mean `{meant}`?"))
                .unwrap_or_default();
            // Groups are often called much the same, and a new one lets nobody read anything.
            let other_group = |meant: String| List::Group(&meant).of(&mut self.meant).is_some();
            if matches!(list, List::Rule(_)) || !meant.is_none_or(other_group) {
                return Err(EditError::NoSuch { what: format!("{}{asks}", list.missing()) });
            }
            what = format!("the new group `{name}`, which no rule names yet{asks}");
        }
        if list.of(&mut self.meant).is_some_and(|names| names.iter().any(|n| is_name(n, reader))) {
            return Err(EditError::AlreadyThere { name: reader.to_owned(), place: what });
        }
        match (list, list.of(&mut self.meant)) {
            (List::Group(group), None) => {
                let named = Named { name: said(group, file), values: vec![said(reader, file)] };
                self.meant.groups.push(named);
                self.add_to_section("groups", &format!("{}: [{item}]", splice::name(group)))?;
            }
            (_, names) => {
                if let Some(names) = names {
                    names.push(said(reader, file));
                }
                self.add_item(list, &item)?;
            }
        }
        self.touched.push((format!("`{reader}` is now in {what}"), None));
        Ok(())
    }

    /// The group or rule that was probably meant.
    fn list_near(&self, name: &str) -> Option<String> {
        let Document { groups, secrets, .. } = &self.meant;
        let groups = groups.iter().map(|group| group.name.text.as_str());
        let rules = secrets.iter().map(|rule| rule.path.text.as_str());
        nearest(name, groups.chain(rules).chain(["defaultEncryptKeys"]))
    }

    fn splice(&mut self, splices: Option<Vec<Splice>>) -> Result<(), EditError> {
        let text = splices.and_then(|splices| splice::apply(&self.text, splices));
        self.text = text.ok_or_else(|| self.layout())?;
        self.root = native::tree(&self.text, self.file).map_err(|_| self.layout())?;
        Ok(())
    }

    fn finish(self) -> Result<Edited, EditError> {
        native::parse(&self.text, self.file).map_err(EditError::Rules)?;
        let said = native::document(&self.text, self.file).map_err(EditError::Rules)?;
        if said != self.meant {
            return Err(self.layout());
        }
        Ok(Edited { text: self.text, touched: self.touched })
    }

    fn layout(&self) -> EditError {
        EditError::Layout { file: Place::file(self.file) }
    }

    fn at(&self, node: &Node) -> Place {
        Place::at(self.file, node.line, node.column)
    }

    fn is_flow(&self) -> bool {
        matches!(self.root, Some(Node { kind: Kind::Map { flow: true, .. }, .. }))
    }

    fn declared(&self, name: &str) -> Option<Place> {
        let Document { users, hosts, groups, .. } = &self.meant;
        let mut all = users.iter().chain(hosts).chain(groups);
        all.find(|named| named.name.text == name).map(|named| named.name.place.clone())
    }

    fn add_to_section(&mut self, section: &str, entry: &str) -> Result<(), EditError> {
        let found = self.root.as_ref().and_then(|root| root.entry(section));
        let splices = if let Some((key, map)) = found {
            splice::add_entry(&self.text, key, map, entry)
        } else {
            let new = if self.is_flow() {
                format!("{section}: {{{entry}}}")
            } else {
                format!("{section}:\n  {entry}")
            };
            splice::add_section(&self.text, self.root.as_ref(), &new)
        };
        self.splice(splices)
    }

    fn add_item(&mut self, list: List<'_>, item: &str) -> Result<(), EditError> {
        let splices = match (self.root.as_ref(), list) {
            (root, List::Masters) => {
                let found = root.and_then(|root| root.entry("defaultEncryptKeys"));
                if let Some((key, names)) = found {
                    splice::add_item(&self.text, key, names, item)
                } else {
                    let section = format!("defaultEncryptKeys: [{item}]");
                    splice::add_section(&self.text, root, &section)
                }
            }
            (Some(root), List::Group(name)) => {
                let group = root.value("groups").and_then(|groups| groups.entry(name));
                group.and_then(|(key, names)| splice::add_item(&self.text, key, names, item))
            }
            (Some(root), List::Rule(path)) => rules_of(root)
                .find(|rule| rule.value("path").and_then(Node::text) == Some(path))
                .and_then(|rule| match rule.entry("readers") {
                    Some((key, names)) => splice::add_item(&self.text, key, names, item),
                    None => {
                        splice::add_entry(&self.text, rule, rule, &format!("readers: [{item}]"))
                    }
                }),
            (None, _) => None,
        };
        self.splice(splices)
    }

    /// Takes a name out of all lists. Several times, since it may stand twice.
    fn take_from_lists(&mut self, name: &str) -> Result<(), EditError> {
        let mut first_round = true;
        loop {
            let mut splices = Vec::new();
            let mut empty = Vec::new();
            let lists = self.root.as_ref().map(lists_of).unwrap_or_default();
            for (list, node) in lists {
                let Some((item, index, others)) = find(node, name) else { continue };
                let place = self.at(item);
                if others == 0 {
                    empty.push((list.to_string(), place));
                    continue;
                }
                splices.push(splice::remove_item(&self.text, node, index));
                if first_round {
                    self.touched.push((format!("`{name}` is gone from {list}"), Some(place)));
                }
            }
            if !empty.is_empty() {
                return Err(EditError::WouldBeEmpty { name: name.to_owned(), lists: empty });
            }
            if splices.is_empty() {
                break;
            }
            let all = splices.into_iter().collect::<Option<Vec<_>>>();
            self.splice(all.map(|all| all.into_iter().flatten().collect()))?;
            first_round = false;
        }
        let Document { groups, masters, secrets, .. } = &mut self.meant;
        let members = groups.iter_mut().map(|group| &mut group.values);
        for list in members.chain(secrets.iter_mut().map(|rule| &mut rule.readers)) {
            list.retain(|n| !is_name(n, name));
        }
        masters.retain(|n| !is_name(n, name));
        Ok(())
    }
}

fn rules_of(root: &Node) -> impl Iterator<Item = &Node> {
    let items = root.value("secrets").and_then(|secrets| match &secrets.kind {
        Kind::List { items, .. } => Some(items),
        Kind::Scalar { .. } | Kind::Map { .. } => None,
    });
    items.into_iter().flatten()
}

/// Every list of readers in the document.
fn lists_of(root: &Node) -> Vec<(List<'_>, &Node)> {
    let mut lists = Vec::new();
    if let Some(Kind::Map { entries, .. }) = root.value("groups").map(|groups| &groups.kind) {
        for (key, value) in entries {
            lists.extend(key.text().map(|name| (List::Group(name), value)));
        }
    }
    lists.extend(root.value("defaultEncryptKeys").map(|masters| (List::Masters, masters)));
    for rule in rules_of(root) {
        let path = rule.value("path").and_then(Node::text).unwrap_or_default();
        lists.extend(rule.value("readers").map(|readers| (List::Rule(path), readers)));
    }
    lists
}

/// A name in a list: the item, its index, and how many items say something else.
fn find<'n>(list: &'n Node, name: &str) -> Option<(&'n Node, usize, usize)> {
    let is_it = |node: &Node| node.text().is_some_and(|text| bare(text) == name);
    match &list.kind {
        Kind::List { items, .. } => {
            let index = items.iter().position(is_it)?;
            let others = items.iter().filter(|item| !is_it(item)).count();
            Some((items.get(index)?, index, others))
        }
        Kind::Scalar { .. } => is_it(list).then_some((list, 0, 0)),
        Kind::Map { .. } => None,
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix('@').unwrap_or(name)
}

fn is_name(said: &Said, name: &str) -> bool {
    bare(&said.text) == bare(name)
}

fn said(text: &str, file: &Path) -> Said {
    Said { text: text.to_owned(), place: Place::file(file) }
}

#[cfg(test)]
#[path = "native_edit_tests.rs"]
mod tests;
