//! Secrets that are known by their shape.

use std::ops::Range;

use super::shape::{Severity, ShapeKind};

/// A shape that was found.
pub(super) struct Shape {
    pub(super) kind: ShapeKind,
    pub(super) severity: Severity,
    pub(super) range: Range<usize>,
}

/// Looks for all shapes.
pub(super) struct Shapes {}

impl Shapes {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn reach(&self) -> usize {
        0
    }

    pub(super) fn look(&self, text: &[u8], places: Range<usize>, found: &mut dyn FnMut(Shape)) {
        let _ = (text, places, found);
    }
}
