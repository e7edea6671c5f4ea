//! Secrets that are known by their shape: an anchor finds the place, a parser decides.
//!
//! A shape is told only where all of it is right: the structure of a key, the checksum of a token.
//! What merely looks like one (the words `BEGIN PRIVATE KEY` in a program) is nothing. Never told
//! are things that a repository of secrets is full of by right: public keys and recipients,
//! certificates, ciphertext of age and sops, hashes of Nix, placeholders of sops-nix.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, Input};

use super::shape::{Severity, ShapeKind};

mod keys;
mod tokens;

/// How far behind its anchor a shape may reach, and what belongs to it (a key of RSA in lines, with
/// their ends escaped).
const REACH: usize = 24 << 10;
/// How far before its anchor something may stand that belongs to a shape.
const BEFORE: usize = 512;

/// A shape that was found.
pub(super) struct Shape {
    pub(super) kind: ShapeKind,
    pub(super) severity: Severity,
    /// Where it stands.
    pub(super) range: Range<usize>,
}

/// What decides about an anchor: it is given the text and where the anchor stands in it.
type Parser = fn(&[u8], usize) -> Option<Shape>;

/// What shapes begin with. No anchor begins with another one.
const ANCHORS: [(&str, Parser); 37] = [
    ("-----BEGIN ", keys::armored),
    // the same in Base64, as Kubernetes keeps it
    ("LS0tLS1CRUdJTi", keys::armored_twice),
    ("openssh-key-v1\0", keys::openssh),
    ("AGE-SECRET-KEY-", keys::age),
    ("AGE-PLUGIN-", keys::age_plugin),
    ("PuTTY-User-Key-File-", keys::putty),
    ("PrivateKey", keys::wireguard),
    ("PresharedKey", keys::wireguard),
    ("privateKey", keys::wireguard),
    ("presharedKey", keys::wireguard),
    ("private-key", keys::wireguard),
    ("preshared-key", keys::wireguard),
    ("private_key", keys::wireguard),
    ("preshared_key", keys::wireguard),
    ("ghp_", tokens::github),
    ("gho_", tokens::github),
    ("ghu_", tokens::github),
    ("ghs_", tokens::github),
    ("ghr_", tokens::github),
    ("github_pat_", tokens::github_fine),
    ("glpat-", tokens::gitlab),
    ("gldt-", tokens::gitlab),
    ("glrt-", tokens::gitlab),
    ("glptt-", tokens::gitlab),
    ("xoxb-", tokens::slack),
    ("xoxp-", tokens::slack),
    ("xoxa-", tokens::slack),
    ("xoxr-", tokens::slack),
    ("xoxs-", tokens::slack),
    ("xoxe-", tokens::slack),
    ("sk_live_", tokens::stripe),
    ("rk_live_", tokens::stripe),
    ("AKIA", tokens::aws),
    ("ASIA", tokens::aws),
    ("eyJ", tokens::jwt),
    ("$6$", tokens::hash),
    ("$y$", tokens::hash),
];

/// Looks for all shapes.
pub(super) struct Shapes {
    anchors: Anchors,
    longest: usize,
}

/// The packed search where the processor has it.
enum Anchors {
    Packed(Searcher),
    Automaton(AhoCorasick),
    None,
}

impl Shapes {
    pub(super) fn new() -> Self {
        let texts = ANCHORS.map(|(anchor, _)| anchor);
        let packed = Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            .builder()
            .extend(texts)
            .build()
            .map(Anchors::Packed);
        let anchors = packed.unwrap_or_else(|| {
            let automaton = AhoCorasick::builder()
                .match_kind(aho_corasick::MatchKind::LeftmostFirst)
                .build(texts);
            automaton.map_or(Anchors::None, Anchors::Automaton)
        });
        let longest = texts.iter().map(|anchor| anchor.len()).max().unwrap_or(0);
        Self { anchors, longest }
    }

    /// How far from its anchor what belongs to a shape may stand.
    pub(super) fn reach(&self) -> usize {
        REACH.max(BEFORE).saturating_add(self.longest)
    }

    /// Looks at the `places` of `text`.
    pub(super) fn look(&self, text: &[u8], places: Range<usize>, found: &mut dyn FnMut(Shape)) {
        let end = places.end.saturating_add(self.longest).min(text.len());
        let mut at = places.start;
        while let Some((anchor, start)) = self.next(text, at..end)
            && start < places.end
        {
            at = start.saturating_add(1);
            // no more than is there however the text is cut
            let from = start.saturating_sub(BEFORE);
            let to = start.saturating_add(REACH).min(text.len());
            let Some(near) = text.get(from..to) else { continue };
            let Some((_, parser)) = ANCHORS.get(anchor) else { continue };
            if let Some(mut shape) = parser(near, start.saturating_sub(from)) {
                shape.range =
                    shape.range.start.saturating_add(from)..shape.range.end.saturating_add(from);
                found(shape);
            }
        }
    }

    /// The next anchor, by its index, and where it stands.
    fn next(&self, text: &[u8], range: Range<usize>) -> Option<(usize, usize)> {
        if range.start >= range.end {
            return None;
        }
        match &self.anchors {
            Anchors::Packed(searcher) => searcher
                .find_in(text, range.into())
                .map(|met| (met.pattern().as_usize(), met.start())),
            Anchors::Automaton(automaton) => automaton
                .find(Input::new(text).range(range))
                .map(|met| (met.pattern().as_usize(), met.start())),
            Anchors::None => None,
        }
    }
}

/// A shape of high severity.
fn high(kind: ShapeKind, range: Range<usize>) -> Shape {
    Shape { kind, severity: Severity::High, range }
}

/// A shape of low severity.
fn low(kind: ShapeKind, range: Range<usize>) -> Shape {
    Shape { kind, severity: Severity::Low, range }
}

/// The bytes from `at` on for which `fits` holds, at most `limit`.
fn run(text: &[u8], at: usize, limit: usize, fits: impl Fn(u8) -> bool) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    let rest = rest.get(..limit).unwrap_or(rest);
    let length = rest.iter().position(|byte| !fits(*byte)).unwrap_or(rest.len());
    rest.get(..length).unwrap_or_default()
}

/// Whether the anchor at `at` begins a word.
fn begins_word(text: &[u8], at: usize) -> bool {
    let byte = |back: usize| at.checked_sub(back).and_then(|at| text.get(at)).copied();
    match byte(1) {
        // the `n` of `\n` is of no word
        Some(b'n' | b'r' | b't') if byte(2) == Some(b'\\') => true,
        Some(before) => !before.is_ascii_alphanumeric() && before != b'_',
        None => true,
    }
}
