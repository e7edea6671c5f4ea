//! The list of findings that may be there for a while, and whether one is on it. An entry that is
//! over counts no more.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::super::explain::Failure;
use super::option_file;
use super::told::{Found, Leak};
use super::words::shape_word;
use crate::format::sops::time::utc;
use crate::fsx::read_limited;
use crate::scan::finding::Inside;
use crate::scan::gap::Gap;

/// Whether a finding counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does.
    New,
    /// It does: it was allowed until this day.
    Over(String),
    /// It is allowed, for this reason.
    Allowed(String),
    /// The baseline has it.
    Known,
}

impl Verdict {
    /// Whether it is reported and makes the run fail.
    pub(super) fn counts(&self) -> bool {
        matches!(self, Self::New | Self::Over(_))
    }

    /// One word for machines.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Over(_) => "expired",
            Self::Allowed(_) => "allowed",
            Self::Known => "baseline",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    allow: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    /// The name of a finding.
    id: Option<String>,
    /// A pattern for its place.
    path: Option<String>,
    /// The secret file.
    secret: Option<String>,
    /// Instead of findings, what was not looked at for this reason.
    gap: Option<String>,
    reason: String,
    expires: String,
}

/// A list that was read.
pub(super) struct Allow {
    entries: Vec<(Entry, Option<GlobMatcher>)>,
    today: String,
}

impl Allow {
    /// Reads a list.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let unusable = |why: &str| {
            option_file("--allow", file, why).hint(
                "an entry is {\"id\" or \"path\" (with \"secret\" or \"gap\"), \"reason\": \"…\", \
                 \"expires\": \"2030-01-31\"}",
            )
        };
        let bytes = read_limited(file, LONGEST).map_err(|error| unusable(&error.to_string()))?;
        let list: File =
            serde_json::from_slice(&bytes).map_err(|error| unusable(&error.to_string()))?;
        let mut entries = Vec::new();
        for (index, entry) in list.allow.into_iter().enumerate() {
            let number = index.saturating_add(1);
            let wrong = |what: &str| unusable(&format!("entry {number} {what}"));
            if entry.reason.trim().is_empty() {
                return Err(wrong("has no reason"));
            }
            if !is_day(&entry.expires) {
                return Err(wrong("has a last day that is none, such as 2030-01-31"));
            }
            if entry.id.is_none() && entry.path.is_none() {
                return Err(wrong("names neither an `id` nor a `path`"));
            }
            let glob = entry.path.as_deref().map(Glob::new).transpose();
            let glob =
                glob.map_err(|error| wrong(&format!("has a pattern that is none: {error}")))?;
            entries.push((entry, glob.map(|glob| glob.compile_matcher())));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut today = utc(now.as_secs());
        today.truncate(10);
        Ok(Self { entries, today })
    }

    /// Whether a finding counts.
    pub(super) fn of_leak(&self, leak: &Leak) -> Verdict {
        let fits = |entry: &Entry, glob: Option<&GlobMatcher>| {
            let secret = |wanted: &String| match &leak.found {
                Found::Value(origins) => origins.iter().any(|origin| origin.file == *wanted),
                Found::Shape(kind, _) => shape_word(*kind) == *wanted,
                Found::Fingerprint(id) => id.to_string() == *wanted,
                Found::Sibling(file) => file.to_string_lossy() == wanted.as_str(),
            };
            let place = || {
                let inside = Inside(&leak.finding.chain);
                leak.finding.files.iter().map(move |file| format!("{}{inside}", file.display()))
            };
            entry.gap.is_none()
                && entry.id.as_ref().is_none_or(|id| *id == leak.id)
                && entry.secret.as_ref().is_none_or(secret)
                && glob.is_none_or(|glob| place().all(|place| glob.is_match(place)))
        };
        self.verdict(fits)
    }

    /// Whether something that was not looked at counts.
    pub(super) fn of_gap(&self, path: &Path, gap: &Gap) -> Verdict {
        let place = format!("{}{}", path.display(), Inside(&gap.chain));
        let fits = |entry: &Entry, glob: Option<&GlobMatcher>| {
            entry.gap.as_deref() == Some(gap.why.word())
                && glob.is_some_and(|glob| glob.is_match(&place))
        };
        self.verdict(fits)
    }

    fn verdict(&self, fits: impl Fn(&Entry, Option<&GlobMatcher>) -> bool) -> Verdict {
        let mut over = Verdict::New;
        for (entry, glob) in &self.entries {
            if fits(entry, glob.as_ref()) {
                if entry.expires >= self.today {
                    return Verdict::Allowed(entry.reason.clone());
                }
                over = Verdict::Over(entry.expires.clone());
            }
        }
        over
    }
}

fn is_day(text: &str) -> bool {
    crate::format::sops::time::with_fraction(&format!("{text}T00:00:00Z")).is_some()
}

const LONGEST: usize = 16 << 20;
