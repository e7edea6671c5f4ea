//! Goes through a tree as encrypting does, with what each of some rules has met, and tells of each
//! value and comment. Changes, encrypts and decides nothing.

use super::select::{Scope, Selector};
use super::store::Step;
use super::tree::{List, ListItem, Map, MapItem, Node, Tree, Value, Write};
use crate::plaintext::Plaintext;

/// What is met on the way through a tree.
pub(super) enum What<'a> {
    Leaf(&'a Value, &'a Write),
    Comment(&'a [u8], &'a Write),
}

/// A rule, and what it has met so far.
#[derive(Clone, Copy)]
pub(super) struct Met<'a> {
    selector: &'a Selector,
    scope: Scope,
}

impl Met<'_> {
    pub(super) fn encrypts(&self) -> bool {
        self.selector.encrypts(self.scope)
    }

    pub(super) fn encrypts_comment(&self, text: &[u8]) -> bool {
        self.selector.encrypts_comment(self.scope, text)
    }
}

pub(super) type Visit<'v, 't> = dyn FnMut(usize, &[Step], &[Met<'_>], What<'t>) + 'v;

/// Goes through a tree as encrypting does.
pub(super) fn walk<'t>(tree: &'t Tree, selectors: &[&Selector], visit: &mut Visit<'_, 't>) {
    let met: Vec<Met<'_>> =
        selectors.iter().map(|selector| Met { selector, scope: Scope::default() }).collect();
    for (document, content) in tree.documents.iter().enumerate() {
        let mut walk = Walk { document, way: Vec::new(), visit };
        walk.map(&content.root, &met);
    }
}

struct Walk<'w, 'v, 't> {
    document: usize,
    way: Vec<Step>,
    visit: &'w mut Visit<'v, 't>,
}

impl<'t> Walk<'_, '_, 't> {
    fn node(&mut self, node: &'t Node, met: &[Met<'_>]) {
        match node {
            Node::Map(map) => self.map(map, met),
            Node::List(list) => self.list(list, met),
            Node::Leaf(leaf) => {
                (self.visit)(self.document, &self.way, met, What::Leaf(&leaf.value, &leaf.write));
            }
        }
    }

    fn map(&mut self, map: &'t Map, met: &[Met<'_>]) {
        let mut run = met.to_vec();
        for item in &map.items {
            match item {
                MapItem::Comment(comment) => self.comment(&comment.text, &comment.write, &mut run),
                MapItem::Entry(entry) => {
                    for met in &mut run {
                        met.scope = met.selector.below(met.scope, &entry.key);
                    }
                    self.way.push(Step::Key(entry.key.clone()));
                    self.node(&entry.value, &run);
                    self.way.pop();
                    run.copy_from_slice(met);
                }
            }
        }
    }

    fn list(&mut self, list: &'t List, met: &[Met<'_>]) {
        let mut run = met.to_vec();
        let mut index = 0_usize;
        for item in &list.items {
            match item {
                ListItem::Comment(comment) => self.comment(&comment.text, &comment.write, &mut run),
                ListItem::Value(node) => {
                    self.way.push(Step::Index(index));
                    self.node(node, &run);
                    self.way.pop();
                    run.copy_from_slice(met);
                    index = index.saturating_add(1);
                }
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "rules look at comments")]
    fn comment(&mut self, text: &'t Plaintext, write: &'t Write, run: &mut [Met<'_>]) {
        let text = text.expose();
        (self.visit)(self.document, &self.way, run, What::Comment(text, write));
        for met in run {
            met.scope = met.selector.after(met.scope, text);
        }
    }
}
