//! The lists and maps of lines: the part of the grammar that goes by indentation.

use super::comments::Lines;
use super::parse::{Id, Parser, Peek, What, column_of};
use crate::format::sops::store::ParseError;

impl Parser<'_> {
    pub(super) fn push_item(&mut self, list: Id, item: Id) {
        if let Some(What::List(items)) = self.nodes.all.get_mut(list).map(|node| &mut node.what) {
            items.push(item);
        }
    }

    pub(super) fn push_pair(&mut self, map: Id, key: Id, value: Id) {
        if let Some(What::Map(pairs)) = self.nodes.all.get_mut(map).map(|node| &mut node.what) {
            pairs.push((key, value));
        }
    }

    pub(super) fn foot_of(&mut self, id: Id) -> Lines {
        self.nodes.all.get_mut(id).map(|node| std::mem::take(&mut node.foot)).unwrap_or_default()
    }

    pub(super) fn set_foot(&mut self, id: Id, foot: Lines) {
        if let Some(node) = self.nodes.all.get_mut(id) {
            node.foot = foot;
        }
    }

    /// Past a `-`: what was a head before it belongs to a block that begins behind it.
    pub(super) fn pass_entry(&mut self) {
        let stem = self.head.len();
        self.skip();
        let peek = self.peek();
        if stem > 0 && matches!(peek, Peek::SequenceStart | Peek::MappingStart) {
            let rest = self.head.split_off(stem);
            self.stem = Some(std::mem::replace(&mut self.head, rest));
        }
    }

    pub(super) fn block_list(&mut self, list: Id, depth: usize) -> Result<(), ParseError> {
        self.indents.push(column_of(self.text, self.start()));
        self.peek();
        self.skip();
        loop {
            let peek = self.peek();
            if peek == Peek::BlockEnd {
                self.skip();
                self.indents.pop();
                return Ok(());
            }
            if peek != Peek::Entry {
                return Err(self.error("an item of a list must begin with `-` here"));
            }
            self.pass_entry();
            let ends = [Peek::Entry, Peek::BlockEnd];
            let item = self.node_or_empty(&ends, true, false, depth.saturating_add(1))?;
            self.push_item(list, item);
        }
    }

    pub(super) fn indentless_list(&mut self, list: Id, depth: usize) -> Result<(), ParseError> {
        while self.peek() == Peek::Entry {
            self.pass_entry();
            let ends = [Peek::Entry, Peek::Key, Peek::Value, Peek::BlockEnd];
            let item = self.node_or_empty(&ends, true, false, depth.saturating_add(1))?;
            self.push_item(list, item);
        }
        Ok(())
    }

    pub(super) fn block_map(&mut self, map: Id, depth: usize) -> Result<(), ParseError> {
        let deeper = depth.saturating_add(1);
        self.indents.push(column_of(self.text, self.start()));
        self.peek();
        self.skip();
        let mut prior: Option<Id> = None;
        loop {
            let peek = self.peek();
            if peek == Peek::BlockEnd {
                let [_, line, foot] = self.comments();
                if let Some(node) = self.nodes.all.get_mut(map) {
                    node.line = line;
                }
                match prior {
                    Some(prior) if !foot.is_empty() => self.set_foot(prior, foot),
                    _ => self.set_foot(map, foot),
                }
                self.skip();
                self.indents.pop();
                return Ok(());
            }
            if peek != Peek::Key {
                return Err(self.error("a key is missing here"));
            }
            self.skip();
            let ends = [Peek::Key, Peek::Value, Peek::BlockEnd];
            let key = self.node_or_empty(&ends, true, true, deeper)?;
            // A foot that comes with a key is that of the entry before.
            let foot = self.foot_of(key);
            match prior {
                Some(prior) if !foot.is_empty() => self.set_foot(prior, foot),
                _ => self.set_foot(key, foot),
            }
            let value = self.block_value(deeper)?;
            self.move_foot(key, value);
            self.push_pair(map, key, value);
            prior = Some(key);
        }
    }

    pub(super) fn block_value(&mut self, depth: usize) -> Result<Id, ParseError> {
        if self.peek() != Peek::Value {
            return Ok(self.empty());
        }
        self.skip();
        self.node_or_empty(&[Peek::Key, Peek::Value, Peek::BlockEnd], true, true, depth)
    }

    /// The foot of a value is that of its key.
    pub(super) fn move_foot(&mut self, key: Id, value: Id) {
        if self.nodes.all.get(key).is_some_and(|node| node.foot.is_empty()) {
            let foot = self.foot_of(value);
            self.set_foot(key, foot);
        }
    }
}
