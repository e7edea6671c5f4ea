//! `sops decrypt`

use super::Done;
use super::desk::{Content, Desk};
use super::invocation::Decrypt;
use super::refusals::{self, Doing};
use crate::format::sops::file::Writer;
use crate::format::sops::store::Layout;
use crate::format::sops::tree::Map;
use crate::work::Problem;

pub(super) fn run(decrypt: &Decrypt) -> Done {
    let Decrypt { settings, subject, opening, extract, target } = decrypt;
    let desk = Desk::new(settings, Some(opening))?;
    let _lock = desk.lock(subject, target)?;
    let mut keys = desk.context.keys();
    let opened = desk.open(subject, opening, &mut keys)?.opened;
    let writer = desk.writer(subject)?;
    let content = if extract.is_whole() {
        opened.document(&writer, subject.output)
    } else {
        let layout = match &writer {
            Writer::Canonical(layout) => *layout,
            Writer::Lossless => Layout::default(),
        };
        opened.extract(&extract.steps(&Map::default()), subject.output, &layout)
    };
    let content = content
        .map_err(|error| refusals::of(&Problem::Sops(error), Doing::Opening, &subject.name, &[]))?;
    desk.put(subject, target, &content, Content::Plain)
}
