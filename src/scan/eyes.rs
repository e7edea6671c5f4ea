//! What looks at a stream: the search for values and shapes, and that for the fingerprints of a pack.

use super::matcher::{Hit, Matcher, Search};
use super::pack::{Pack, PackKey, PackSearch};

/// Everything that is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'m> {
    /// Values and shapes.
    pub(crate) matcher: &'m Matcher,
    /// Fingerprints.
    pub(crate) pack: Option<(&'m Pack, &'m PackKey)>,
}

/// A search through one stream at a time.
pub(crate) struct Eyes<'m> {
    search: Search<'m>,
    pack: Option<PackSearch>,
}

impl<'m> Eyes<'m> {
    /// At the beginning of a stream.
    pub(crate) fn new(wanted: Wanted<'m>) -> Self {
        let pack = wanted.pack.map(|(pack, key)| PackSearch::new(pack, key));
        Self { search: wanted.matcher.searcher(), pack }
    }

    /// The next bytes.
    pub(crate) fn feed(&mut self, chunk: &[u8], found: &mut dyn FnMut(Hit)) {
        self.search.feed(chunk, found);
        if let Some(pack) = &mut self.pack {
            pack.feed(chunk, found);
        }
    }

    /// The stream is over; the next one begins at offset 0.
    pub(crate) fn end(&mut self, found: &mut dyn FnMut(Hit)) {
        self.search.end(found);
        if let Some(pack) = &mut self.pack {
            pack.end(found);
        }
    }

    /// A whole stream.
    pub(crate) fn whole(&mut self, bytes: &[u8], found: &mut dyn FnMut(Hit)) {
        self.search.whole(bytes, found);
        if let Some(pack) = &mut self.pack {
            pack.feed(bytes, found);
            pack.end(found);
        }
    }
}
