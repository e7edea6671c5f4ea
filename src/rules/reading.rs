//! Takes values out of the YAML of a rules file, and collects what is wrong with them, each with
//! its place. Knows neither our own fields nor those of sops.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use crate::place::Place;

use super::build::Said;
use super::error::{Problem, ProblemKind, RulesError};
use super::yaml::{Kind, Node, SyntaxError};

/// A rules file that is being read.
pub(super) struct Reading<'a> {
    pub(super) file: &'a Path,
    pub(super) problems: Vec<Problem>,
}

/// The error of a text that is no YAML.
pub(super) fn syntax(file: &Path, error: SyntaxError) -> RulesError {
    let place = Place::at(file, error.line, error.column);
    one_problem(file, Problem { place, kind: ProblemKind::Syntax { what: error.what } })
}

/// The error of a file with one problem.
pub(super) fn one_problem(file: &Path, problem: Problem) -> RulesError {
    RulesError::Problems { file: file.to_owned(), problems: vec![problem] }
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a Path) -> Self {
        Self { file, problems: Vec::new() }
    }

    /// The entries of a mapping, each key once.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Node, &'n Node)> {
        let Kind::Map { entries, .. } = &node.kind else {
            self.wrong(node, what, "a mapping (`name: value`)");
            return Vec::new();
        };
        let mut seen = HashMap::new();
        let mut unique = Vec::new();
        for (key, value) in entries {
            match key.text().filter(|_| !key.is_null()) {
                None => self.wrong(key, "a key", "a name"),
                Some(name) => match seen.entry(name) {
                    Entry::Occupied(first) => {
                        let first = *first.get();
                        self.say(key, ProblemKind::Twice { name: name.to_owned(), first });
                    }
                    Entry::Vacant(slot) => {
                        slot.insert(key.line);
                        unique.push((key, value));
                    }
                },
            }
        }
        unique
    }

    /// One string or a list of them.
    pub(super) fn strings(&mut self, node: &Node, what: &str) -> Vec<Said> {
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

    pub(super) fn string(&mut self, node: &Node, what: &str) -> Option<Said> {
        let text = node.text().filter(|_| !node.is_null());
        if text.is_none() {
            self.wrong(node, what, "a string");
        }
        text.map(|text| Said { text: text.to_owned(), place: self.at(node) })
    }

    pub(super) fn boolean(&mut self, node: &Node, name: &str) -> Option<bool> {
        match &node.kind {
            Kind::Scalar { text, plain: true } if text == "true" => Some(true),
            Kind::Scalar { text, plain: true } if text == "false" => Some(false),
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } => {
                self.wrong(node, &format!("`{name}`"), "`true` or `false`");
                None
            }
        }
    }

    pub(super) fn wrong(&mut self, node: &Node, what: &str, expected: &'static str) {
        self.say(node, ProblemKind::WrongType { what: what.to_owned(), expected });
    }

    pub(super) fn say(&mut self, node: &Node, kind: ProblemKind) {
        self.problems.push(Problem { place: self.at(node), kind });
    }

    pub(super) fn at(&self, node: &Node) -> Place {
        Place::at(self.file, node.line, node.column)
    }
}
