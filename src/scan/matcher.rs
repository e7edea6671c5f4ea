//! Finds needles and shapes in bytes that come in chunks of any size.
//!
//! What is found does not depend on how the bytes are cut: a place is looked at once, when all that
//! may belong to it is there. The end of a chunk is kept until then, in memory that is wiped.

use std::collections::VecDeque;
use std::sync::Arc;

use secretctl_needle_filter::{self as filter, Group};
use zeroize::Zeroizing;

use super::form::Form;
use super::forms::Forms;
use super::needle::{NeedleId, Needles};
use super::pack::PackId;
use super::shape::{Severity, ShapeKind};
use super::shapes::Shapes;
use super::verify;

/// Chunks that are smaller are gathered.
const GATHER: usize = 16 << 10;
/// Bytes that all groups look at before they go on, so that the text stays in the cache.
const BLOCK: usize = 64 << 10;
/// Hits that are remembered, so that one place is told once.
const RECENT: usize = 64;

/// Everything that is looked for, prepared. Shared among threads; each makes its own [`Search`].
pub struct Matcher {
    forms: Arc<Forms>,
    groups: Vec<Group>,
    shapes: Option<Shapes>,
    /// How far from a window what belongs to it may reach.
    reach: usize,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A known value.
    Needle(NeedleId),
    /// A shape.
    Shape(ShapeKind, Severity),
    /// A fingerprint of a pack.
    Fingerprint(PackId),
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
        let forms = Arc::clone(&needles.forms);
        let patterns: Vec<&[u8]> = forms.patterns().iter().map(|it| forms.bytes(it)).collect();
        let groups = filter::groups(&patterns);
        let shapes = shapes.then(Shapes::new);
        let reach = forms
            .patterns()
            .iter()
            .map(|pattern| verify::reach(&forms, pattern))
            .chain(shapes.as_ref().map(Shapes::reach))
            .max()
            .unwrap_or(0);
        Self { forms, groups, shapes, reach }
    }

    /// A search of its own state, at offset 0.
    pub fn searcher(&self) -> Search<'_> {
        Search {
            matcher: self,
            kept: Zeroizing::new(Vec::new()),
            base: 0,
            done: 0,
            recent: VecDeque::with_capacity(RECENT),
        }
    }

    /// Looks at the places of `text` from offset `done` up to `until`. `text` begins at offset `base`
    /// and holds what may belong to them.
    fn look(&self, text: &[u8], base: u64, mut done: u64, until: u64, found: &mut dyn FnMut(Hit)) {
        let place = |offset: u64| within(offset, base);
        while done < until {
            let end = done.saturating_add(BLOCK as u64).min(until);
            for group in &self.groups {
                let first = done.next_multiple_of(group.stride() as u64);
                group.look(text, place(first), place(end), &mut |at, window| {
                    self.compare(text, base, at, window, found);
                });
            }
            if let Some(shapes) = &self.shapes {
                shapes.look(text, place(done)..place(end), &mut |shape| {
                    found(Hit {
                        what: What::Shape(shape.kind, shape.severity),
                        form: Form::Shape,
                        offset: base.saturating_add(shape.range.start as u64),
                        length: u32::try_from(shape.range.len()).unwrap_or(u32::MAX),
                        weak: false,
                    });
                });
            }
            done = end;
        }
    }

    fn compare(
        &self,
        text: &[u8],
        base: u64,
        at: usize,
        window: filter::Place,
        found: &mut dyn FnMut(Hit),
    ) {
        let number = |number: u32| usize::try_from(number).ok();
        let Some(pattern) = number(window.pattern).and_then(|at| self.forms.patterns().get(at))
        else {
            return;
        };
        let Some(start) = number(window.at).and_then(|inside| at.checked_sub(inside)) else {
            return;
        };
        // no more than is there however the text is cut
        let reach = verify::reach(&self.forms, pattern);
        let from = start.saturating_sub(reach);
        let to = start.saturating_add(reach).min(text.len());
        let Some(near) = text.get(from..to) else { return };
        let Some(range) = verify::at(&self.forms, pattern, near, start.wrapping_sub(from)) else {
            return;
        };
        let Some(unit) = self.forms.unit(pattern.unit) else { return };
        found(Hit {
            what: What::Needle(NeedleId(unit.needle)),
            form: pattern.form,
            offset: base.saturating_add(from.saturating_add(range.start) as u64),
            length: u32::try_from(range.len()).unwrap_or(u32::MAX),
            weak: unit.weak,
        });
    }
}

/// A search through one stream at a time.
pub struct Search<'a> {
    matcher: &'a Matcher,
    /// What was fed and is still of use; begins at offset `base`.
    kept: Zeroizing<Vec<u8>>,
    base: u64,
    /// All places before this offset were looked at.
    done: u64,
    recent: VecDeque<Hit>,
}

impl Search<'_> {
    /// The next bytes. A hit is told as soon as enough of what follows it is known.
    pub fn feed(&mut self, chunk: &[u8], found: &mut dyn FnMut(Hit)) {
        let reach = self.reach();
        if self.kept.len().saturating_add(chunk.len()) < self.gather() {
            self.keep(chunk);
            return;
        }
        let mut base = self.base;
        if !self.kept.is_empty() {
            // over the seam, as far as the chunk alone does not tell
            base = self.end_of_kept();
            let seam = chunk.get(..reach.saturating_mul(3)).unwrap_or(chunk);
            self.keep(seam);
            let until = self.end_of_kept().saturating_sub(reach as u64);
            let kept = std::mem::take(&mut *self.kept);
            let kept = Zeroizing::new(kept);
            self.look(&kept, self.base, until, found);
            self.kept = kept;
            if seam.len() == chunk.len() {
                self.forget();
                return;
            }
        }
        let until = base.saturating_add(chunk.len() as u64).saturating_sub(reach as u64);
        self.look(chunk, base, until, found);
        self.kept.clear();
        self.base = self.done.saturating_sub(self.behind()).max(base);
        self.keep(chunk.get(within(self.base, base)..).unwrap_or_default());
    }

    /// The stream is over: tells what is left and starts again at offset 0.
    pub fn end(&mut self, found: &mut dyn FnMut(Hit)) {
        let kept = Zeroizing::new(std::mem::take(&mut *self.kept));
        let until = self.base.saturating_add(kept.len() as u64);
        self.look(&kept, self.base, until, found);
        self.kept = kept;
        self.kept.clear();
        self.base = 0;
        self.done = 0;
        self.recent.clear();
    }

    /// `feed` and `end` for what is in memory as a whole.
    pub fn whole(&mut self, bytes: &[u8], found: &mut dyn FnMut(Hit)) {
        self.look(bytes, 0, bytes.len() as u64, found);
        self.done = 0;
        self.recent.clear();
    }

    fn look(&mut self, text: &[u8], base: u64, until: u64, found: &mut dyn FnMut(Hit)) {
        if until <= self.done {
            return;
        }
        let recent = &mut self.recent;
        self.matcher.look(text, base, self.done, until, &mut |hit| {
            let same =
                |old: &Hit| (old.what, old.form, old.offset) == (hit.what, hit.form, hit.offset);
            if !recent.iter().any(same) {
                if recent.len() == RECENT {
                    recent.pop_front();
                }
                recent.push_back(hit);
                found(hit);
            }
        });
        self.done = until;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.gather().saturating_add(self.reach().saturating_mul(4));
        if self.kept.capacity() < room {
            // once, so that growth leaves nothing behind
            let mut kept = Zeroizing::new(Vec::with_capacity(room));
            kept.extend_from_slice(&self.kept);
            self.kept = kept;
        }
        self.kept.extend_from_slice(bytes);
    }

    /// Drops what is of no use any more.
    fn forget(&mut self) {
        let from = within(self.done.saturating_sub(self.behind()), self.base);
        let from = from.min(self.kept.len());
        self.kept.drain(..from);
        self.base = self.base.saturating_add(from as u64);
    }

    fn end_of_kept(&self) -> u64 {
        self.base.saturating_add(self.kept.len() as u64)
    }

    fn reach(&self) -> usize {
        self.matcher.reach.saturating_add(filter::LOAD)
    }

    /// What belongs to a place may begin so far before it: a window, its pattern, what is around.
    fn behind(&self) -> u64 {
        self.reach().saturating_mul(2) as u64
    }

    fn gather(&self) -> usize {
        self.reach().saturating_mul(8).max(GATHER)
    }
}

/// An offset as an index of what begins at `base`.
fn within(offset: u64, base: u64) -> usize {
    usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX)
}
