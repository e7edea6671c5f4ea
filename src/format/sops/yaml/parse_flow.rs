//! The lists and maps of brackets and commas.

use super::parse::{Id, Parser, Peek, What};
use crate::format::sops::store::ParseError;

impl Parser<'_> {
    /// Returns the end; its token is left to the caller, who takes the comments.
    pub(super) fn flow_list(&mut self, list: Id, depth: usize) -> Result<usize, ParseError> {
        let deeper = depth.saturating_add(1);
        self.peek();
        self.skip();
        let mut first = true;
        loop {
            let mut peek = self.peek();
            if peek != Peek::FlowSequenceEnd && !first {
                if peek != Peek::FlowEntry {
                    return Err(self.error("`,` or `]` is missing here"));
                }
                self.skip();
                peek = self.peek();
            }
            first = false;
            if peek == Peek::FlowSequenceEnd {
                return Ok(self.start().saturating_add(1));
            }
            if peek != Peek::Key {
                let item = self.node(false, false, deeper)?;
                self.push_item(list, item);
                continue;
            }
            let at = self.start();
            self.skip();
            let map = self.add(What::Map(Vec::new()), at..at, None);
            let ends = [Peek::Value, Peek::FlowEntry, Peek::FlowSequenceEnd];
            let key = self.node_or_empty(&ends, false, false, deeper)?;
            let value = self.flow_value(Peek::FlowSequenceEnd, deeper)?;
            self.move_foot(key, value);
            self.push_pair(map, key, value);
            self.push_item(list, map);
        }
    }

    pub(super) fn flow_map(&mut self, map: Id, depth: usize) -> Result<usize, ParseError> {
        let deeper = depth.saturating_add(1);
        self.peek();
        self.skip();
        let mut first = true;
        loop {
            let mut peek = self.peek();
            if peek != Peek::FlowMappingEnd && !first {
                if peek != Peek::FlowEntry {
                    return Err(self.error("`,` or `}` is missing here"));
                }
                self.skip();
                peek = self.peek();
            }
            first = false;
            if peek == Peek::FlowMappingEnd {
                return Ok(self.start().saturating_add(1));
            }
            let (key, value) = if peek == Peek::Key {
                self.skip();
                let ends = [Peek::Value, Peek::FlowEntry, Peek::FlowMappingEnd];
                let key = self.node_or_empty(&ends, false, false, deeper)?;
                (key, self.flow_value(Peek::FlowMappingEnd, deeper)?)
            } else {
                (self.node(false, false, deeper)?, self.empty())
            };
            self.move_foot(key, value);
            self.push_pair(map, key, value);
        }
    }

    pub(super) fn flow_value(&mut self, end: Peek, depth: usize) -> Result<Id, ParseError> {
        if self.peek() != Peek::Value {
            return Ok(self.empty());
        }
        self.skip();
        self.node_or_empty(&[Peek::FlowEntry, end], false, false, depth)
    }
}
