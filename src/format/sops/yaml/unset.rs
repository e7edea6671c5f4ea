//! Which bytes go when one value of a text is removed. Sets nothing.

use super::cut;
use super::edit::{Editor, Found};
use super::metadata::flow_node;
use super::parse::What;
use super::splice::Change;
use crate::format::sops::store::{Step, StoreError};
use crate::format::sops::tree::{List, Map, Node};
use crate::plaintext::Plaintext;

impl Editor<'_> {
    /// The changes that remove a value which is there.
    pub(super) fn unset(&self, way: &[Step]) -> Result<Vec<Change>, StoreError> {
        let Some((_, above)) = way.split_last() else {
            return Err(StoreError::new("the whole document cannot be removed"));
        };
        let (Found::Value(id, start), Found::Value(parent, parent_start)) =
            (self.find(way)?, self.find(above)?)
        else {
            return Err(StoreError::new("the value is not there"));
        };
        let node = self.node(parent)?;
        let (count, next) = match &node.what {
            What::Map(pairs) => {
                let at = pairs.iter().position(|(_, value)| *value == id).unwrap_or(0);
                let next =
                    pairs.get(at.saturating_add(1)).and_then(|(key, _)| self.nodes.all.get(*key));
                (pairs.len(), next.map(|key| self.explicit(key.span.start)))
            }
            What::List(items) => {
                let at = items.iter().position(|item| *item == id).unwrap_or(0);
                let next = items.get(at.saturating_add(1));
                (items.len(), next.map(|next| self.item_start(*next)))
            }
            What::Scalar(..) | What::Alias(_) => (0, None),
        };
        if count <= 1 {
            let empty = match node.what {
                What::List(_) => Node::List(List::default()),
                What::Scalar(..) | What::Map(_) | What::Alias(_) => Node::Map(Map::default()),
            };
            if above.is_empty() && !node.flow {
                let with = Plaintext::copy_of(b"{}");
                let own = node.span.start..self.line_end(self.end(parent));
                return Ok(vec![Change { span: own, with }]);
            }
            if node.flow {
                let mut with = Plaintext::default();
                flow_node(&mut with, &empty);
                return Ok(vec![Change { span: node.span.clone(), with }]);
            }
            return self.replace(parent, parent_start, &empty);
        }
        let start = if node.flow { start } else { self.explicit(start) };
        let own = start..self.end(id).max(start);
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
        let alone =
            before.get(line..).unwrap_or_default().trim_matches([' ', '\u{feff}']).is_empty();
        if node.flow || alone {
            let span = cut::entry(self.text, own, node.flow);
            return Ok(vec![Change { span, with: Plaintext::default() }]);
        }
        // The first of a block that begins behind a `-`: the next one takes its place.
        let Some(next) = next else { return Err(StoreError::new("the value has no line")) };
        if self.text.get(own.end..next).is_some_and(|between| between.contains('#')) {
            return Err(StoreError {
                way: way.to_vec(),
                what: "the comment behind this value would be lost",
                canonical_can: true,
            });
        }
        Ok(vec![Change { span: own.start..next, with: Plaintext::default() }])
    }
}
