//! Looks through one file: all its bytes, and those of every container in it, as deep as the limits
//! go. What is found and what was not looked at is collected; nothing is told to anybody here.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::Mutex;

use zeroize::Zeroizing;

use super::container::aterm::{self, Role};
use super::container::lzma::Lzma;
use super::container::packed::{self, Guard, Salvage};
use super::container::random::{Held, Random};
use super::container::zip::{self, Packing};
use super::container::{
    FAR, HEAD, Kind, SCRIPT, Trouble, ar, cpio, git_pack, nar, script_before_zip, sealed_format,
    sniff, sqlite, squashfs, tar,
};
use super::eyes::{Eyes, Wanted};
use super::finding::Step;
use super::form::Form;
use super::gap::{Gap, Limit, Limits, MOST_MEMORY, Why};
use super::level::{Kit, Level, Source, Spot, Spots};
use super::matcher::What;
use super::sibling::Siblings;

/// What is the same for all files and threads.
pub(crate) struct Shared<'m> {
    /// What is searched for.
    pub(crate) wanted: Wanted<'m>,
    /// How far containers are taken apart.
    pub(crate) limits: Limits,
    /// Bytes that are read of a file, or made of a member, at once: with more of them, the tables of
    /// what is searched for would be driven out of the cache.
    pub(crate) buffer: usize,
    /// Encrypted files whose plaintext is looked for; `None` without heuristics.
    pub(crate) siblings: Option<&'m Siblings>,
    /// Held by the one thread whose decoder needs much memory.
    lane: Mutex<()>,
}

impl<'m> Shared<'m> {
    /// For one run.
    pub(crate) fn new(wanted: Wanted<'m>, limits: Limits) -> Self {
        Self { wanted, limits, buffer: 128 << 10, siblings: None, lane: Mutex::default() }
    }
}

/// Something found in a file.
#[derive(Debug, Clone)]
pub(crate) struct Dug {
    /// The way to it; empty for the bytes of the file itself.
    pub(crate) chain: Vec<Step>,
    /// What.
    pub(crate) what: What,
    /// In which form.
    pub(crate) form: Form,
    /// Where in the stream that the chain leads to.
    pub(crate) spot: Spot,
}

/// One for each thread.
pub(crate) struct Digger<'m> {
    shared: &'m Shared<'m>,
    kits: Vec<Kit<'m>>,
    chain: Vec<Step>,
    found: Vec<Dug>,
    gaps: Vec<Gap>,
    expanded: Rc<Cell<u64>>,
    /// Bytes that the decoders at work may hold, one in another; with more than [`LIGHT`] of them this thread
    /// has the lane.
    memory: u64,
    /// No more bytes may come out of this file.
    spent: bool,
    /// A NAR was met in this file, and taken apart to its end.
    nar: bool,
}

impl<'m> Digger<'m> {
    /// With nothing read yet.
    pub(crate) fn new(shared: &'m Shared<'m>) -> Self {
        Self {
            shared,
            kits: Vec::new(),
            chain: Vec::new(),
            found: Vec::new(),
            gaps: Vec::new(),
            expanded: Rc::default(),
            memory: 0,
            spent: false,
            nar: false,
        }
    }

    /// Looks through a file to its end. `random` is the same file, where it can be read anywhere.
    ///
    /// # Errors
    /// What reading it said; what was found before is there nevertheless.
    pub(crate) fn file(
        &mut self,
        source: &mut dyn Source,
        random: Option<&dyn Random>,
    ) -> (io::Result<u64>, Vec<Dug>, Vec<Gap>) {
        self.expanded.set(0);
        self.spent = false;
        self.nar = false;
        self.memory = 0;
        self.chain.clear();
        let read = self.content(source, random);
        let found = only_deepest(std::mem::take(&mut self.found));
        (read, found, std::mem::take(&mut self.gaps))
    }

    /// Whether the last file was a NAR, or a compressed one.
    pub(crate) fn met_nar(&self) -> bool {
        self.nar
    }

    /// Searches a text, such as names, that is part of no file.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Vec<Dug> {
        let mut kit = self.kit();
        let spots = kit.whole(bytes);
        self.kits.push(kit);
        self.add(spots);
        std::mem::take(&mut self.found)
    }

    /// All of a stream; how many bytes there were.
    fn content(&mut self, source: &mut dyn Source, random: Option<&dyn Random>) -> io::Result<u64> {
        let kit = self.kit();
        let mut level = Level::new(source, kit);
        let mut read = self.look(&mut level, random);
        if read.is_ok() {
            level.hush(false);
            read = level.drain();
        }
        let length = level.position();
        let (spots, kit) = level.finish();
        self.kits.push(kit);
        self.add(spots);
        read.map(|()| length)
    }

    fn kit(&mut self) -> Kit<'m> {
        let new = || Kit::new(self.shared.buffer, Eyes::new(self.shared.wanted));
        self.kits.pop().unwrap_or_else(new)
    }

    fn add(&mut self, spots: Spots) {
        for ((what, form), spot) in spots {
            self.found.push(Dug { chain: self.chain.clone(), what, form, spot });
        }
    }

    fn gap(&mut self, why: Why) {
        self.gaps.push(Gap { chain: self.chain.clone(), why });
    }

    /// Takes the containers of a stream apart: one, or several that follow each other.
    fn look(&mut self, level: &mut Level<'_, 'm>, random: Option<&dyn Random>) -> io::Result<()> {
        if level.peek(HEAD)?.starts_with(b"#!")
            && let Some(script) = script_before_zip(level.peek(SCRIPT)?)
        {
            level.skip(script as u64)?;
        }
        while let Some(kind) = sniff(level.peek(HEAD)?) {
            if self.chain.len() >= self.shared.limits.depth {
                self.gap(Why::Limit(Limit::Depth));
                return Ok(());
            }
            match self.open(kind, level, random) {
                Ok(()) if kind.is_followed() => {}
                Ok(()) | Err(Trouble::Told | Trouble::NotThis) => return Ok(()),
                Err(Trouble::Read(error)) if level.has_failed() => return Err(error),
                // gaps of what was in it stay
                Err(Trouble::Read(_)) if kind.is_vague() => return Ok(()),
                Err(Trouble::Limit(limit)) => {
                    self.gap(Why::Limit(limit));
                    return Ok(());
                }
                Err(Trouble::Damaged(what)) => {
                    self.gap(Why::Damaged(kind, what));
                    return Ok(());
                }
                Err(Trouble::Read(error)) => {
                    let what = if error.kind() == io::ErrorKind::UnexpectedEof {
                        "it ends too early"
                    } else {
                        "its content cannot be decoded"
                    };
                    self.gap(Why::Damaged(kind, what.to_owned()));
                    return Ok(());
                }
            }
            // What fills up to a block.
            loop {
                let zeros = level.peek(HEAD)?.iter().take_while(|byte| **byte == 0).count();
                if zeros == 0 {
                    break;
                }
                level.skip(zeros as u64)?;
            }
        }
        if let Some(format) = sealed_format(level.peek(FAR)?) {
            self.gap(Why::Format(format));
        }
        Ok(())
    }

    fn open(
        &mut self,
        kind: Kind,
        level: &mut Level<'_, 'm>,
        random: Option<&dyn Random>,
    ) -> Result<(), Trouble> {
        match kind {
            Kind::Gzip
            | Kind::Xz
            | Kind::Lzma
            | Kind::Zstd
            | Kind::Bzip2
            | Kind::Zlib
            | Kind::Deflate => self.packed(kind, level),
            Kind::Tar => tar::each(level, &mut |n, s, l| self.member(kind, n, s, l)),
            Kind::Cpio => cpio::each(level, &mut |n, s, l| self.member(kind, n, s, l)),
            Kind::Ar => ar::each(level, &mut |n, s, l| self.member(kind, n, s, l)),
            Kind::Nar => {
                nar::each(level, &mut |n, s, l| self.member(kind, n, s, l))?;
                self.nar = true;
                Ok(())
            }
            Kind::Zip => zip::each(level, &mut |entry, level| self.zipped(entry, level)),
            Kind::Derivation => self.derivation(level),
            Kind::Sqlite | Kind::Squashfs | Kind::GitPack => match random {
                Some(random) => self.anywhere(kind, random),
                None => self.held(kind, level),
            },
        }
    }

    /// A member that stands in its archive as it is.
    fn member(
        &mut self,
        kind: Kind,
        name: &[u8],
        size: u64,
        level: &mut Level<'_, '_>,
    ) -> Result<(), Trouble> {
        self.chain.push(Step::Member(kind, name.to_vec()));
        let mut member = level.member(size);
        let read = self.content(&mut member, None);
        self.chain.pop();
        read?;
        Ok(member.finish()?)
    }

    fn zipped(&mut self, entry: &zip::Entry, level: &mut Level<'_, '_>) -> Result<(), Trouble> {
        self.chain.push(Step::Member(Kind::Zip, entry.name.clone()));
        let result = match (entry.packing, entry.length) {
            (Packing::Deflate, None) => {
                let taken = level.counter();
                let decoder = flate2::bufread::DeflateDecoder::new(&mut *level);
                self.decoded(None, taken, &mut Salvage::new(decoder))
            }
            (Packing::Deflate, Some(length)) => {
                let taken = level.counter();
                let mut source = BufReader::with_capacity(8192, level.member(length));
                let decoder = flate2::bufread::DeflateDecoder::new(&mut source);
                let result = self.decoded(None, taken, &mut Salvage::new(decoder));
                result.and_then(|()| {
                    if !source.fill_buf()?.is_empty() {
                        let what = "a member is longer than what is packed in it".to_owned();
                        self.gap(Why::Damaged(Kind::Zip, what));
                    }
                    Ok(source.into_inner().finish()?)
                })
            }
            (Packing::Stored | Packing::Other, Some(length)) => {
                let mut member = level.member(length);
                let read = self.content(&mut member, None);
                read.and_then(|_| member.finish()).map_err(Trouble::Read)
            }
            (packing, length) => {
                self.gap(if packing == Packing::Sealed { Why::Sealed } else { unknown(packing) });
                level.skip(length.unwrap_or_default()).map_err(Trouble::Read)
            }
        };
        self.chain.pop();
        result
    }

    /// A compressed stream: what comes out of it is the next level.
    fn packed(&mut self, kind: Kind, level: &mut Level<'_, 'm>) -> Result<(), Trouble> {
        let start = level.peek(packed::START)?;
        if kind == Kind::Zstd && !start.starts_with(b"\x28\xb5") {
            return skip_frame(level);
        }
        let window = packed::window(kind, start);
        let before = self.memory;
        let together = before.saturating_add(window);
        if window > MOST_MEMORY || together > MOST_TOGETHER {
            self.gap(Why::Limit(Limit::Memory));
            return Err(Trouble::Told);
        }
        let shared = self.shared;
        // Whoever died with the lane has left nothing behind.
        let lane = (before <= LIGHT && together > LIGHT)
            .then(|| shared.lane.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        self.memory = together;
        let taken = level.counter();
        let result = match kind {
            Kind::Gzip => {
                self.decoded(Some(kind), taken, &mut flate2::bufread::GzDecoder::new(&mut *level))
            }
            Kind::Zlib => {
                let decoder = flate2::bufread::ZlibDecoder::new(&mut *level);
                self.decoded(Some(kind), taken, &mut Salvage::new(decoder))
            }
            Kind::Bzip2 => {
                let decoder = bzip2::bufread::BzDecoder::new(&mut *level);
                self.decoded(Some(kind), taken, &mut Salvage::new(decoder))
            }
            Kind::Xz => {
                let most = u32::try_from(MOST_MEMORY >> 10).unwrap_or(u32::MAX);
                let most = most.saturating_add(OVERHEAD);
                let mut reader = lzma_rust2::XzReader::new_mem_limit(&mut *level, false, most);
                self.decoded(Some(kind), taken, &mut reader)
            }
            Kind::Lzma => {
                let made = Lzma::new(&mut *level, MOST_MEMORY);
                made.map_err(Trouble::Read)
                    .and_then(|mut decoder| self.decoded(Some(kind), taken, &mut decoder))
            }
            Kind::Zstd => {
                let made = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                    &mut *level,
                    MOST_MEMORY,
                );
                match made {
                    Ok(mut decoder) => self.decoded(Some(kind), taken, &mut decoder),
                    Err(_) => Err(Trouble::damaged("its header is wrong")),
                }
            }
            Kind::Deflate
            | Kind::Cpio
            | Kind::Tar
            | Kind::Zip
            | Kind::Nar
            | Kind::Ar
            | Kind::Squashfs
            | Kind::Sqlite
            | Kind::Derivation
            | Kind::GitPack => Err(Trouble::NotThis),
        };
        self.memory = before;
        drop(lane);
        result
    }

    fn decoded(
        &mut self,
        kind: Option<Kind>,
        taken: Rc<Cell<u64>>,
        decoder: &mut dyn Read,
    ) -> Result<(), Trouble> {
        if self.spent {
            return Err(Trouble::Told);
        }
        let shared = self.shared;
        let mut guard = Guard::new(decoder, taken, Rc::clone(&self.expanded), &shared.limits);
        let length = self.chain.len();
        self.chain.extend(kind.map(Step::Packed));
        let read = self.content(&mut guard, None);
        if let Some(limit) = guard.cut {
            if !self.spent {
                self.gap(Why::Limit(limit));
            }
            self.spent |= limit == Limit::Bytes;
        }
        self.chain.truncate(length);
        match read {
            Ok(_) => Ok(()),
            Err(_) if guard.cut.is_some() => Err(Trouble::Told),
            // of what only begins like this, no more comes out than a few bytes
            Err(_) if kind.is_some_and(Kind::is_vague) && guard.given >= SURE => {
                Err(Trouble::damaged("its content cannot be decoded"))
            }
            Err(error) => Err(Trouble::Read(error)),
        }
    }

    fn derivation(&mut self, level: &mut Level<'_, '_>) -> Result<(), Trouble> {
        level.hush(true);
        let mut text = Zeroizing::new(Vec::new());
        Read::take(&mut *level, LONGEST_DRV).read_to_end(&mut text)?;
        let texts = if level.peek(1)?.is_empty() { aterm::texts(&text) } else { None };
        level.hush(false);
        let mut kit = self.kit();
        if let Some(texts) = texts {
            let mut others = Zeroizing::new(Vec::new());
            for text in texts {
                let name = match text.role {
                    Role::Environment(name) => [b"env ", name.as_slice()].concat(),
                    Role::Argument(index) => format!("argument {index}").into_bytes(),
                    Role::Other => {
                        others.extend_from_slice(&text.bytes);
                        others.push(b'\n');
                        continue;
                    }
                };
                let bytes = Zeroizing::new(text.bytes);
                // A secret may be the name of a variable, too.
                let spots = kit.whole(name.get(4..).unwrap_or_default());
                self.add(spots);
                let spots = kit.whole(&bytes);
                if !spots.is_empty() {
                    self.chain.push(Step::Member(Kind::Derivation, name));
                    self.add(spots);
                    self.chain.pop();
                }
            }
            let spots = kit.whole(&others);
            self.add(spots);
        } else {
            let spots = kit.whole(&text);
            self.add(spots);
        }
        self.kits.push(kit);
        Ok(())
    }

    /// A container that is read here and there, in a stream: it must fit into memory.
    fn held(&mut self, kind: Kind, level: &mut Level<'_, '_>) -> Result<(), Trouble> {
        let shared = self.shared;
        let before = self.memory;
        let lane = (before <= LIGHT)
            .then(|| shared.lane.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let most = MOST_MEMORY.min(MOST_TOGETHER.saturating_sub(before));
        let mut bytes = Zeroizing::new(Vec::new());
        let read = Read::take(&mut *level, most).read_to_end(&mut bytes);
        self.memory = before.saturating_add((bytes.len() as u64).max(LIGHT.saturating_add(1)));
        let more = level.peek(1).map(|next| !next.is_empty());
        let result = match (read, more) {
            (Err(error), _) | (_, Err(error)) => Err(Trouble::Read(error)),
            (Ok(_), Ok(true)) => {
                self.gap(Why::Limit(Limit::Memory));
                Err(Trouble::Told)
            }
            (Ok(_), Ok(false)) => self.anywhere(kind, &Held(&bytes)),
        };
        self.memory = before;
        drop(lane);
        result
    }

    fn anywhere(&mut self, kind: Kind, random: &dyn Random) -> Result<(), Trouble> {
        let mut visit = |name: Vec<u8>, bytes: &mut dyn Read| {
            if self.spent {
                return Err(Trouble::Told);
            }
            let left = self.shared.limits.bytes.saturating_sub(self.expanded.get());
            let mut bytes = bytes.take(left.saturating_add(1));
            self.chain.push(Step::Member(kind, name));
            let read = self.content(&mut bytes, None);
            if let Ok(length) = read {
                self.expanded.set(self.expanded.get().saturating_add(length));
                if self.expanded.get() > self.shared.limits.bytes {
                    self.gap(Why::Limit(Limit::Bytes));
                    self.spent = true;
                }
            }
            self.chain.pop();
            read.map(|_| ()).map_err(Trouble::Read)
        };
        if kind == Kind::Sqlite {
            sqlite::each(random, &mut visit)
        } else if kind == Kind::Squashfs {
            squashfs::each(random, &mut visit)
        } else {
            git_pack::each(random, &mut visit)
        }
    }
}

fn unknown(packing: Packing) -> Why {
    match packing {
        Packing::Unknown(method) => Why::Unknown(method),
        Packing::Stored | Packing::Deflate | Packing::Other | Packing::Sealed => Why::Sealed,
    }
}

/// A frame of zstd that holds nothing to decode; its bytes are searched as they are.
fn skip_frame(level: &mut Level<'_, '_>) -> Result<(), Trouble> {
    let header = level.take_exact(8)?;
    let length = header.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Ok(level.skip(length.into())?)
}

/// What is found in a container and once more in one of its members is told of the member.
fn only_deepest(found: Vec<Dug>) -> Vec<Dug> {
    if found.len() < 2 {
        return found;
    }
    let mut outer = HashSet::new();
    for one in &found {
        let ways = (0..one.chain.len()).filter_map(|length| one.chain.get(..length));
        outer.extend(ways.map(|way| (way, one.what, one.form)));
    }
    let kept = |one: &&Dug| !outer.contains(&(one.chain.as_slice(), one.what, one.form));
    found.iter().filter(kept).cloned().collect()
}

/// Bytes that come out of no file by chance.
const SURE: u64 = 1 << 10;
/// A decoder with a smaller window may run beside any others.
const LIGHT: u64 = 8 << 20;
/// Most bytes that decoders hold which are one in another.
const MOST_TOGETHER: u64 = 2 * MOST_MEMORY;
/// KiB that the decoder of xz counts beside its dictionary.
const OVERHEAD: u32 = 1024;
/// A longer derivation is searched as it stands, escapes and all.
const LONGEST_DRV: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::shape::{Severity, ShapeKind};
    use super::*;

    #[test]
    fn of_very_many_the_deepest_are_told_at_once() {
        let what = What::Shape(ShapeKind::PgpKey, Severity::High);
        let dug = |chain: Vec<Step>| {
            let spot = Spot { offset: 0, count: 1, weak: false };
            Dug { chain, what, form: Form::Shape, spot }
        };
        let step = |number: u32| Step::Member(Kind::Tar, number.to_le_bytes().to_vec());
        let members = (0..200_000).map(|number| dug(vec![Step::Packed(Kind::Gzip), step(number)]));
        let outer = [dug(Vec::new()), dug(vec![Step::Packed(Kind::Gzip)])];
        let other = dug(vec![Step::Packed(Kind::Xz)]);
        let all: Vec<Dug> = outer.into_iter().chain(members).chain([other]).collect();
        let kept = only_deepest(all);
        assert_eq!(kept.len(), 200_001);
        assert!(
            kept.iter().all(|dug| dug.chain.len() == 2 || dug.chain == [Step::Packed(Kind::Xz)])
        );
    }
}
