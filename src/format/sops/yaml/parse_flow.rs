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
            match peek {
                Peek::FlowSequenceEnd => return Ok(self.start().saturating_add(1)),
                Peek::Key => {
                    let at = self.start();
                    self.skip();
                    let map = self.add(What::Map(Vec::new()), at..at, None);
                    let key = match self.peek() {
                        Peek::Value | Peek::FlowEntry | Peek::FlowSequenceEnd => self.empty(),
                        Peek::Key
                        | Peek::Entry
                        | Peek::BlockEnd
                        | Peek::FlowMappingEnd
                        | Peek::SequenceStart
                        | Peek::MappingStart
                        | Peek::Scalar
                        | Peek::Directive
                        | Peek::DocumentStart
                        | Peek::DocumentEnd
                        | Peek::StreamEnd
                        | Peek::Other => self.node(false, false, deeper)?,
                    };
                    let value = self.flow_value(Peek::FlowSequenceEnd, deeper)?;
                    self.move_foot(key, value);
                    self.push_pair(map, key, value);
                    self.push_item(list, map);
                }
                Peek::Value
                | Peek::Entry
                | Peek::FlowEntry
                | Peek::BlockEnd
                | Peek::FlowMappingEnd
                | Peek::SequenceStart
                | Peek::MappingStart
                | Peek::Scalar
                | Peek::Directive
                | Peek::DocumentStart
                | Peek::DocumentEnd
                | Peek::StreamEnd
                | Peek::Other => {
                    let item = self.node(false, false, deeper)?;
                    self.push_item(list, item);
                }
            }
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
            let (key, value) = match peek {
                Peek::FlowMappingEnd => return Ok(self.start().saturating_add(1)),
                Peek::Key => {
                    self.skip();
                    let key = match self.peek() {
                        Peek::Value | Peek::FlowEntry | Peek::FlowMappingEnd => self.empty(),
                        Peek::Key
                        | Peek::Entry
                        | Peek::BlockEnd
                        | Peek::FlowSequenceEnd
                        | Peek::SequenceStart
                        | Peek::MappingStart
                        | Peek::Scalar
                        | Peek::Directive
                        | Peek::DocumentStart
                        | Peek::DocumentEnd
                        | Peek::StreamEnd
                        | Peek::Other => self.node(false, false, deeper)?,
                    };
                    (key, self.flow_value(Peek::FlowMappingEnd, deeper)?)
                }
                Peek::Value
                | Peek::Entry
                | Peek::FlowEntry
                | Peek::BlockEnd
                | Peek::FlowSequenceEnd
                | Peek::SequenceStart
                | Peek::MappingStart
                | Peek::Scalar
                | Peek::Directive
                | Peek::DocumentStart
                | Peek::DocumentEnd
                | Peek::StreamEnd
                | Peek::Other => (self.node(false, false, deeper)?, self.empty()),
            };
            self.move_foot(key, value);
            self.push_pair(map, key, value);
        }
    }

    pub(super) fn flow_value(&mut self, end: Peek, depth: usize) -> Result<Id, ParseError> {
        if self.peek() == Peek::Value {
            self.skip();
            let peek = self.peek();
            if peek != Peek::FlowEntry && peek != end {
                return self.node(false, false, depth);
            }
        }
        Ok(self.empty())
    }
}
