//! Packs of git (`gitformat-pack`): every object whole, those that are kept as changes to others too.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::super::gap::Limit;
use super::Trouble;
use super::random::{From, Random};
use super::sqlite::Visit;

type Bytes = Zeroizing<Vec<u8>>;

/// Hands out every object, as `blob ID`. One that cannot be put together does not keep the others
/// from being handed out; it is the trouble in the end.
pub(crate) fn each(file: &dyn Random, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    let header = file.bytes_at(0, 12)?;
    let count = header.last_chunk::<4>().map_or(0, |count| u32::from_be_bytes(*count));
    if count > MOST_OBJECTS {
        return Err(Trouble::Limit(Limit::Memory));
    }
    let mut pack = Pack { file, children: HashMap::new(), trouble: None };
    let mut roots = Vec::new();
    let mut offset = 12;
    for _ in 0..count {
        let entry = pack.entry(offset)?;
        offset = match entry.base {
            Base::None => {
                let (end, content) = pack.inflate(&entry)?;
                if let Some(content) = content {
                    let name = entry.kind.name(&content);
                    visit(label(entry.kind, &name), &mut content.as_slice())?;
                    roots.push((entry.offset, name));
                } else {
                    let name = format!("{} at {}", entry.kind.word(), entry.offset);
                    visit(name.into_bytes(), &mut pack.stream(&entry))?;
                }
                end
            }
            Base::At(base) => {
                let end = pack.inflate(&entry)?.0;
                pack.children.entry(Key::At(base)).or_default().push(entry.offset);
                end
            }
            Base::Named(name) => {
                let end = pack.inflate(&entry)?.0;
                pack.children.entry(Key::Named(name)).or_default().push(entry.offset);
                end
            }
        };
    }
    for (offset, name) in roots {
        pack.grow(offset, name, visit)?;
    }
    if !pack.children.is_empty() && pack.trouble.is_none() {
        pack.trouble = Some(Trouble::damaged("an object builds on one that is not there"));
    }
    pack.trouble.map_or(Ok(()), Err)
}

#[derive(Debug, Clone, Copy)]
enum Object {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Object {
    fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    fn name(self, content: &[u8]) -> [u8; 20] {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", self.word(), content.len()));
        hash.update(content);
        hash.finalize().into()
    }
}

fn label(kind: Object, name: &[u8; 20]) -> Vec<u8> {
    format!("{} {}", kind.word(), hex::encode(name)).into_bytes()
}

#[derive(Debug, Clone, Copy)]
enum Base {
    None,
    At(u64),
    Named([u8; 20]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    At(u64),
    Named([u8; 20]),
}

struct Entry {
    offset: u64,
    kind: Object,
    base: Base,
    size: u64,
    /// Where the compressed content begins.
    data: u64,
}

struct Pack<'a> {
    file: &'a dyn Random,
    /// Which entries build on one.
    children: HashMap<Key, Vec<u64>>,
    trouble: Option<Trouble>,
}

impl Pack<'_> {
    fn entry(&self, offset: u64) -> Result<Entry, Trouble> {
        let left = self.file.length().saturating_sub(offset).min(64);
        let bytes = self.file.bytes_at(offset, usize::try_from(left).unwrap_or_default())?;
        let mut rest = bytes.as_slice();
        let first = next(&mut rest)?;
        let mut size = u64::from(first & 15);
        let mut shift: u32 = 4;
        let mut byte = first;
        while byte & 0x80 != 0 {
            byte = next(&mut rest)?;
            if shift > 56 {
                return Err(Trouble::damaged("a size is wrong"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift = shift.saturating_add(7);
        }
        let mut base = Base::None;
        let kind = match first >> 4 & 7 {
            1 => Object::Commit,
            2 => Object::Tree,
            3 => Object::Blob,
            4 => Object::Tag,
            6 => {
                base = Base::At(distance(&mut rest).and_then(|back| {
                    offset.checked_sub(back).ok_or(Trouble::damaged("a base is wrong"))
                })?);
                Object::Blob
            }
            7 => {
                let (name, more) = rest.split_first_chunk::<20>().ok_or(ended())?;
                base = Base::Named(*name);
                rest = more;
                Object::Blob
            }
            _ => return Err(Trouble::damaged("an object is of no kind")),
        };
        let used = bytes.len().saturating_sub(rest.len()) as u64;
        Ok(Entry { offset, kind, base, size, data: offset.saturating_add(used) })
    }

    fn stream(&self, entry: &Entry) -> impl Read {
        let from = From { bytes: self.file, offset: entry.data, end: u64::MAX };
        flate2::bufread::ZlibDecoder::new(BufReader::with_capacity(4096, from))
    }

    /// The end of an entry, and what is in it where that is not too much.
    fn inflate(&self, entry: &Entry) -> Result<(u64, Option<Bytes>), Trouble> {
        let from = From { bytes: self.file, offset: entry.data, end: u64::MAX };
        let capacity = usize::try_from(entry.size.clamp(512, 65536)).unwrap_or(512);
        let source = BufReader::with_capacity(capacity, from);
        let mut decoder = flate2::bufread::ZlibDecoder::new(source);
        let mut content = Bytes::default();
        let wrong = |_| Trouble::damaged("an object cannot be decoded");
        let kept = entry.size <= LARGEST;
        let length = if kept {
            decoder.by_ref().take(entry.size).read_to_end(&mut content).map_err(wrong)? as u64
        } else {
            let limited = &mut decoder.by_ref().take(entry.size);
            std::io::copy(limited, &mut std::io::sink()).map_err(wrong)?
        };
        // The end of the stream is seen only by reading on.
        let more = decoder.read(&mut [0]).map_err(wrong)?;
        if length != entry.size || more != 0 {
            return Err(Trouble::damaged("an object has another size"));
        }
        let end = entry.data.saturating_add(decoder.total_in());
        Ok((end, kept.then_some(content)))
    }

    /// All objects that build on one, on those, and so on; never more than a few in memory.
    fn grow(&mut self, offset: u64, name: [u8; 20], visit: &mut Visit<'_>) -> Result<(), Trouble> {
        let waiting = self.take(offset, name);
        if waiting.is_empty() {
            return Ok(());
        }
        let root = self.entry(offset)?;
        let (_, Some(content)) = self.inflate(&root)? else { return Ok(()) };
        let mut held = content.len() as u64;
        let mut stack = vec![(content, waiting)];
        while let Some((base, mut waiting)) = stack.pop() {
            let Some(child) = waiting.pop() else {
                held = held.saturating_sub(base.len() as u64);
                continue;
            };
            let made = self.changed(&base, child, held);
            if waiting.is_empty() {
                held = held.saturating_sub(base.len() as u64);
            } else {
                stack.push((base, waiting));
            }
            match made {
                Ok(content) => {
                    let name = root.kind.name(&content);
                    visit(label(root.kind, &name), &mut content.as_slice())?;
                    let waiting = self.take(child, name);
                    if !waiting.is_empty() {
                        held = held.saturating_add(content.len() as u64);
                        stack.push((content, waiting));
                    }
                }
                Err(trouble) => {
                    self.trouble.get_or_insert(trouble);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, offset: u64, name: [u8; 20]) -> Vec<u64> {
        let mut waiting = self.children.remove(&Key::At(offset)).unwrap_or_default();
        waiting.extend(self.children.remove(&Key::Named(name)).unwrap_or_default());
        waiting
    }

    fn changed(&self, base: &[u8], child: u64, held: u64) -> Result<Bytes, Trouble> {
        let entry = self.entry(child)?;
        let (_, Some(delta)) = self.inflate(&entry)? else {
            return Err(Trouble::Limit(Limit::Memory));
        };
        apply(base, &delta, HELD.saturating_sub(held))
    }
}

/// Follows the instructions of a delta.
fn apply(base: &[u8], delta: &[u8], most: u64) -> Result<Bytes, Trouble> {
    let mut rest = delta;
    let (from, to) = (size(&mut rest)?, size(&mut rest)?);
    if from != base.len() as u64 {
        return Err(Trouble::damaged("an object builds on another one than it says"));
    }
    if to > most {
        return Err(Trouble::Limit(Limit::Memory));
    }
    let mut content = Bytes::new(Vec::with_capacity(usize::try_from(to).unwrap_or_default()));
    while !rest.is_empty() {
        let code = next(&mut rest)?;
        let part = if code & 0x80 == 0 {
            let (part, more) = rest.split_at_checked(code.into()).ok_or(ended())?;
            rest = more;
            part
        } else {
            let mut number = |bits: std::ops::Range<u32>| -> Result<usize, Trouble> {
                let mut number = 0;
                for (shift, bit) in [0, 8, 16, 24].into_iter().zip(bits) {
                    if code & 1 << bit != 0 {
                        number |= usize::from(next(&mut rest)?) << shift;
                    }
                }
                Ok(number)
            };
            let (start, length) = (number(0..4)?, number(4..7)?);
            let length = if length == 0 { 0x1_0000 } else { length };
            base.get(start..start.saturating_add(length)).ok_or(ended())?
        };
        if content.len().saturating_add(part.len()) as u64 > to || part.is_empty() {
            return Err(Trouble::damaged("an object has another size"));
        }
        content.extend_from_slice(part);
    }
    if content.len() as u64 == to { Ok(content) } else { Err(ended()) }
}

fn next(rest: &mut &[u8]) -> Result<u8, Trouble> {
    let (byte, more) = rest.split_first().ok_or(ended())?;
    *rest = more;
    Ok(*byte)
}

fn ended() -> Trouble {
    Trouble::damaged("an object ends too early")
}

fn size(rest: &mut &[u8]) -> Result<u64, Trouble> {
    let mut size = 0;
    for shift in (0..63).step_by(7) {
        let byte = next(rest)?;
        size |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
    Err(Trouble::damaged("a size is wrong"))
}

/// How far back the base of an entry stands.
fn distance(rest: &mut &[u8]) -> Result<u64, Trouble> {
    let mut byte = next(rest)?;
    let mut distance = u64::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = next(rest)?;
        let more = distance.checked_add(1).and_then(|d| d.checked_mul(128));
        distance = more.ok_or(ended())? | u64::from(byte & 0x7f);
    }
    if distance == 0 { Err(Trouble::damaged("a base is wrong")) } else { Ok(distance) }
}

const MOST_OBJECTS: u32 = 1_000_000;
/// Most bytes of an object that is held in memory.
const LARGEST: u64 = 32 << 20;
/// Most bytes of objects that are held while others are put together of them.
const HELD: u64 = 64 << 20;
