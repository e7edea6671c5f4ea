//! Takes secrets out of the names that a report shows: a file, a member of an archive or a store path
//! may be called by one.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::told::Told;
use crate::scan::cause::Cause;
use crate::scan::eyes::{Eyes, Wanted};
use crate::scan::finding::Step;

/// Hides what is looked for in every name. What may be chance stays, but where the name itself is
/// the finding.
pub(super) fn hide(told: &mut Told, wanted: Wanted<'_>) {
    let mut hider = Hider { eyes: Eyes::new(wanted), weak: false };
    for leak in &mut told.leaks {
        hider.weak = leak.finding.in_name;
        leak.finding.files.iter_mut().for_each(|file| hider.path(file));
        hider.chain(&mut leak.finding.chain);
        leak.store_name.iter_mut().for_each(|name| hider.text(name));
        leak.deriver.iter_mut().for_each(|name| hider.text(name));
        if let Some(chain) = &mut leak.chain {
            hider.path(&mut chain.root);
            chain.paths.iter_mut().for_each(|path| hider.text(path));
        }
        if let Cause::Environment(name) = &mut leak.cause {
            hider.text(name);
        }
    }
    hider.weak = false;
    for (path, gap, _) in &mut told.gaps {
        hider.path(path);
        hider.chain(&mut gap.chain);
    }
    for (path, why) in &mut told.failed {
        hider.path(path);
        hider.text(why);
    }
    told.notes.iter_mut().for_each(|note| hider.text(note));
}

struct Hider<'m> {
    eyes: Eyes<'m>,
    /// Also what is easy to guess.
    weak: bool,
}

impl Hider<'_> {
    fn path(&mut self, path: &mut PathBuf) {
        if let Some(bytes) = self.without(path.as_os_str().as_bytes()) {
            *path = OsString::from_vec(bytes).into();
        }
    }

    fn chain(&mut self, chain: &mut [Step]) {
        for step in chain {
            if let Step::Member(_, name) = step
                && let Some(bytes) = self.without(name)
            {
                *name = bytes;
            }
        }
    }

    fn text(&mut self, text: &mut String) {
        if let Some(bytes) = self.without(text.as_bytes()) {
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }

    /// The name with a word where a secret was; `None` where there was none.
    fn without(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let mut spans = Vec::new();
        let weak = self.weak;
        self.eyes.whole(name, &mut |hit| {
            if weak || !hit.weak {
                let start = usize::try_from(hit.offset).unwrap_or(usize::MAX);
                let length = usize::try_from(hit.length).unwrap_or(usize::MAX);
                spans.push((start, start.saturating_add(length)));
            }
        });
        if spans.is_empty() {
            return None;
        }
        spans.sort_unstable();
        let (mut kept, mut at) = (Vec::new(), 0_usize);
        for (start, end) in spans {
            if start >= at {
                kept.extend_from_slice(name.get(at..start).unwrap_or_default());
                kept.extend_from_slice(HIDDEN);
            }
            at = at.max(end);
        }
        kept.extend_from_slice(name.get(at..).unwrap_or_default());
        Some(kept)
    }
}

const HIDDEN: &[u8] = b"[hidden]";
