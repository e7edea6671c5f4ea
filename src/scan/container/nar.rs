//! NAR, the archive format of Nix (`nar.cc`): one file, link or folder, as length-prefixed strings
//! padded to eight bytes. Streams.

use super::super::level::Level;
use super::Trouble;
use super::tar::Visit;

/// What every NAR begins with.
pub(crate) const MAGIC: &[u8] = b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0";

/// Most bytes of a word, a name or the target of a link.
const WORD: u64 = 4096;
/// Most folders in folders.
const DEPTH: usize = 1024;

/// Hands out every file, as `tar::each` does; the name of a NAR that is a file is empty.
pub(crate) fn each(level: &mut Level<'_, '_>, visit: &mut Visit<'_>) -> Result<(), Trouble> {
    if word(level)? != b"nix-archive-1" {
        return Err(Trouble::NotThis);
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut ended = node(level, &names, visit)? == Node::Whole;
        loop {
            if ended {
                if names.pop().is_none() {
                    return Ok(());
                }
                expect(level, b")")?;
            }
            if folder_goes_on(level)? {
                if names.len() >= DEPTH {
                    return Err(Trouble::damaged("folders are too deep in folders"));
                }
                names.push(entry(level)?);
                break;
            }
            ended = true;
        }
    }
}

#[derive(PartialEq)]
enum Node {
    /// Read to its end.
    Whole,
    /// A folder, of which entries follow.
    Folder,
}

fn node(
    level: &mut Level<'_, '_>,
    names: &[Vec<u8>],
    visit: &mut Visit<'_>,
) -> Result<Node, Trouble> {
    expect(level, b"(")?;
    expect(level, b"type")?;
    match word(level)?.as_slice() {
        b"regular" => {
            let mut next = word(level)?;
            if next == b"executable" {
                expect(level, b"")?;
                next = word(level)?;
            }
            if next == b"contents" {
                let length = length(level)?;
                visit(&names.join(&b'/'), length, level)?;
                level.skip(padding(length))?;
                next = word(level)?;
            }
            if next == b")" { Ok(Node::Whole) } else { Err(wrong()) }
        }
        b"symlink" => {
            expect(level, b"target")?;
            word(level)?;
            expect(level, b")")?;
            Ok(Node::Whole)
        }
        b"directory" => Ok(Node::Folder),
        _ => Err(wrong()),
    }
}

/// Whether one more entry follows; else the folder has ended.
fn folder_goes_on(level: &mut Level<'_, '_>) -> Result<bool, Trouble> {
    match word(level)?.as_slice() {
        b"entry" => Ok(true),
        b")" => Ok(false),
        _ => Err(wrong()),
    }
}

/// The name of an entry, as far as the node begins.
fn entry(level: &mut Level<'_, '_>) -> Result<Vec<u8>, Trouble> {
    expect(level, b"(")?;
    expect(level, b"name")?;
    let name = word(level)?;
    expect(level, b"node")?;
    Ok(name)
}

fn expect(level: &mut Level<'_, '_>, wanted: &[u8]) -> Result<(), Trouble> {
    if word(level)? == wanted { Ok(()) } else { Err(wrong()) }
}

fn wrong() -> Trouble {
    Trouble::damaged("a word is wrong")
}

fn word(level: &mut Level<'_, '_>) -> Result<Vec<u8>, Trouble> {
    let length = length(level)?;
    if length > WORD {
        return Err(Trouble::damaged("a word is too long"));
    }
    let word = level.take_exact(usize::try_from(length).unwrap_or_default())?;
    level.skip(padding(length))?;
    Ok(word)
}

fn length(level: &mut Level<'_, '_>) -> Result<u64, Trouble> {
    let mut bytes = [0_u8; 8];
    level.fill_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn padding(length: u64) -> u64 {
    length.wrapping_neg() & 7
}
