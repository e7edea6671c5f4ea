//! Finds needles and shapes in bytes that come in chunks of any size.

use super::form::Form;
use super::needle::{NeedleId, Needles};
use super::shape::{Severity, ShapeKind};

/// Everything that is looked for, prepared. Shared among threads; each makes its own [`Search`].
#[derive(Debug)]
pub struct Matcher {}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A known value.
    Needle(NeedleId),
    /// A shape.
    Shape(ShapeKind, Severity),
}

/// One place where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// What.
    pub what: What,
    /// In which form.
    pub form: Form,
    /// Bytes from the start of what was fed.
    pub offset: u64,
    /// How many bytes it takes there.
    pub length: u32,
    /// A value that is easy to guess, met as a whole word: it may be chance.
    pub weak: bool,
}

impl Matcher {
    /// Prepares the search for all needles, and for shapes where asked.
    pub fn new(needles: &Needles, shapes: bool) -> Self {
        let _ = (needles, shapes);
        Self {}
    }

    /// A search of its own state, at offset 0.
    pub fn searcher(&self) -> Search<'_> {
        Search { matcher: self }
    }
}

/// A search through one stream at a time.
#[derive(Debug)]
pub struct Search<'a> {
    matcher: &'a Matcher,
}

impl Search<'_> {
    /// The next bytes. A hit is told as soon as enough of what follows it is known.
    pub fn feed(&mut self, chunk: &[u8], found: &mut dyn FnMut(Hit)) {
        let _ = (self.matcher, chunk, found);
    }

    /// The stream is over: tells what is left and starts again at offset 0.
    pub fn end(&mut self, found: &mut dyn FnMut(Hit)) {
        let _ = found;
    }

    /// `feed` and `end` for what is in memory as a whole.
    pub fn whole(&mut self, bytes: &[u8], found: &mut dyn FnMut(Hit)) {
        self.feed(bytes, found);
        self.end(found);
    }
}
