//! All forms of all values, one after the other in memory that is wiped.
//!
//! A value is a unit of at most [`MAX_UNIT`] bytes; longer ones come here in windows. What two
//! writers make alike is kept once.

use super::base64::{self, Piece};
use super::escape;
use super::form::Form;
use super::hex;
use crate::plaintext::Plaintext;

/// Most bytes of a unit.
pub(super) const MAX_UNIT: usize = 256;

/// How a place where the bytes of a pattern stand is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// That is all.
    Exact,
    /// It must be a word of its own.
    Word,
    /// The value of which this is a piece must stand around it.
    Around(Piece),
    /// The same for hexadecimal: the piece begins with this byte of the value.
    AroundHex(u32),
}

/// One form of a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    start: usize,
    length: usize,
    /// Index of the unit.
    pub(super) unit: u32,
    /// What it is called in a report.
    pub(super) form: Form,
    /// How a place where it stands is looked at.
    pub(super) check: Check,
}

/// A value that is looked for in all forms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    start: usize,
    length: usize,
    /// Which needle it is, or is a part of.
    pub(super) needle: u32,
    /// Whether it must be a word of its own.
    pub(super) weak: bool,
}

/// Units and their patterns.
#[derive(Debug, Default)]
pub(super) struct Forms {
    bytes: Plaintext,
    patterns: Vec<Pattern>,
    units: Vec<Unit>,
}

impl Forms {
    /// Adds a value of a needle in all forms.
    pub(super) fn add(&mut self, value: &[u8], needle: u32, weak: bool) {
        let value = value.get(..MAX_UNIT).unwrap_or(value);
        let unit = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
        let start = self.keep(value);
        self.units.push(Unit { start, length: value.len(), needle, weak });
        let mut new = New { forms: self, unit, first: None, exact: Check::Exact };
        if weak {
            new.exact = Check::Word;
        }
        let exact = new.exact;
        new.add(Form::Raw, value, exact);
        if let Ok(text) = std::str::from_utf8(value) {
            for (form, written) in escape::all(text) {
                new.add(form, &written, exact);
            }
            let [low_first, high_first] = escape::utf16(text);
            match high_first.split_first() {
                // the other one is the same but for its zero at the end
                Some((0, same)) if !weak && text.is_ascii() => new.add(Form::Utf16, same, exact),
                _ => [low_first, high_first].iter().for_each(|it| new.add(Form::Utf16, it, exact)),
            }
        } else {
            new.add(Form::Aterm, &escape::aterm_bytes(value), exact);
            for upper in [true, false] {
                new.add(Form::Percent, &escape::percent(value, "-_.~", upper, false), exact);
            }
        }
        for upper in [true, false] {
            for (form, between) in [(Form::Hex, None), (Form::HexColon, Some(b':'))] {
                let pieces = if weak { Vec::new() } else { hex::pieces(value, upper, between) };
                if pieces.is_empty() {
                    new.add(form, &escape::hex(value, upper, between), exact);
                }
                for (first, text) in pieces {
                    new.add(form, &text, Check::AroundHex(first));
                }
            }
        }
        if weak {
            // inside of something longer it would be met by chance
            for url in [true, false] {
                for pad in [true, false] {
                    new.add(Form::Base64, &base64::whole(value, url, pad), Check::Word);
                }
            }
        } else {
            for (piece, text) in base64::pieces(value) {
                new.add(Form::Base64, &text, Check::Around(piece));
            }
        }
    }

    /// All forms of all units.
    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The bytes of a form.
    pub(super) fn bytes(&self, pattern: &Pattern) -> &[u8] {
        self.slice(pattern.start, pattern.length)
    }

    /// A unit by its index.
    pub(super) fn unit(&self, index: u32) -> Option<&Unit> {
        self.units.get(usize::try_from(index).ok()?)
    }

    /// The bytes of a unit as they are.
    pub(super) fn value(&self, unit: &Unit) -> &[u8] {
        self.slice(unit.start, unit.length)
    }

    #[expect(clippy::disallowed_methods, reason = "the matcher compares what it reads with them")]
    fn slice(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.expose().get(start..start.saturating_add(length)).unwrap_or_default()
    }

    fn keep(&mut self, bytes: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        start
    }
}

/// The forms of one unit while they are added.
struct New<'a> {
    forms: &'a mut Forms,
    unit: u32,
    /// The first pattern of the unit.
    first: Option<usize>,
    exact: Check,
}

impl New<'_> {
    fn add(&mut self, form: Form, bytes: &[u8], check: Check) {
        let first = *self.first.get_or_insert(self.forms.patterns.len());
        let own = self.forms.patterns.get(first..).unwrap_or_default();
        let same = |old: &Pattern| {
            self.forms.bytes(old) == bytes && (old.check == check || old.check == self.exact)
        };
        if own.iter().any(same) {
            return;
        }
        let start = self.forms.keep(bytes);
        self.forms.patterns.push(Pattern {
            start,
            length: bytes.len(),
            unit: self.unit,
            form,
            check,
        });
    }
}
