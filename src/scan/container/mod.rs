//! Files that hold other files or other bytes: which kind one is, told by its content and never by
//! its name, and the readers that take it apart. A reader hands out members; it searches nothing.

pub(crate) mod ar;
pub(crate) mod aterm;
pub(crate) mod cpio;
pub(crate) mod git_pack;
pub(crate) mod lzma;
pub(crate) mod nar;
pub(crate) mod packed;
pub(crate) mod random;
pub(crate) mod sqlite;
pub(crate) mod squashfs;
pub(crate) mod tar;
pub(crate) mod zip;

use std::fmt;

use super::gap::Limit;

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// LZMA, the format before xz.
    Lzma,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// zlib: objects of git.
    Zlib,
    /// deflate, in zip files.
    Deflate,
    /// cpio.
    Cpio,
    /// tar.
    Tar,
    /// zip.
    Zip,
    /// The archive format of Nix.
    Nar,
    /// `ar`: static libraries, Debian packages.
    Ar,
    /// squashfs.
    Squashfs,
    /// A database of `SQLite`.
    Sqlite,
    /// A derivation of Nix.
    Derivation,
    /// A pack of git.
    GitPack,
}

impl Kind {
    /// One word, for people and machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
            Self::Cpio => "cpio",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Nar => "nar",
            Self::Ar => "ar",
            Self::Squashfs => "squashfs",
            Self::Sqlite => "sqlite",
            Self::Derivation => "derivation",
            Self::GitPack => "git-pack",
        }
    }

    /// Whether another container may follow in the same file, as an initrd has it.
    pub(crate) fn is_followed(self) -> bool {
        match self {
            Self::Gzip
            | Self::Xz
            | Self::Lzma
            | Self::Zstd
            | Self::Bzip2
            | Self::Cpio
            | Self::Tar => true,
            Self::Zlib
            | Self::Deflate
            | Self::Zip
            | Self::Nar
            | Self::Ar
            | Self::Squashfs
            | Self::Sqlite
            | Self::Derivation
            | Self::GitPack => false,
        }
    }

    /// Whether other files begin like this too, so that one that cannot be read is no damage.
    pub(crate) fn is_vague(self) -> bool {
        matches!(self, Self::Zlib | Self::Lzma | Self::Derivation)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a file is, by its first bytes; [`HEAD`] of them where it has so many.
pub(crate) fn sniff(head: &[u8]) -> Option<Kind> {
    // Most files are none of these: one look at the first byte, and one at a tar header.
    let first = *head.first()?;
    let starts = |magic: &[u8]| head.starts_with(magic);
    let found = match first {
        0x1f if starts(b"\x1f\x8b\x08") && head.get(3).is_some_and(|f| f & 0xe0 == 0) => Kind::Gzip,
        0xfd if starts(b"\xfd7zXZ\0") => Kind::Xz,
        0x5d if is_lzma(head) => Kind::Lzma,
        0x28 if starts(b"\x28\xb5\x2f\xfd") => Kind::Zstd,
        0x50..=0x5f if head.get(1..4) == Some(b"\x2a\x4d\x18") => Kind::Zstd,
        b'B' if is_bzip2(head) => Kind::Bzip2,
        b'x' if is_zlib(head) => Kind::Zlib,
        b'0' if starts(b"070701") || starts(b"070702") || starts(b"070707") => Kind::Cpio,
        b'P' if starts(b"PK\x03\x04") => Kind::Zip,
        b'P' if starts(b"PACK\0\0\0\x02") || starts(b"PACK\0\0\0\x03") => Kind::GitPack,
        0x0d if starts(nar::MAGIC) => Kind::Nar,
        b'!' if starts(b"!<arch>\n") => Kind::Ar,
        b'h' if starts(b"hsqs") => Kind::Squashfs,
        b'S' if starts(b"SQLite format 3\0") => Kind::Sqlite,
        b'D' if starts(b"Derive(") || starts(b"DrvWithVersion(") => Kind::Derivation,
        _ => return tar::is_header(head).then_some(Kind::Tar),
    };
    Some(found)
}

/// The bytes of a script that starts the zip file behind it: a line of Python's `zipapp`, some hundred of
/// a self-running jar.
pub(crate) fn script_before_zip(head: &[u8]) -> Option<usize> {
    memchr::memmem::find(head, b"\nPK\x03\x04").map(|at| at.saturating_add(1))
}

fn is_bzip2(head: &[u8]) -> bool {
    head.starts_with(b"BZh")
        && head.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
        && matches!(
            head.get(4..10),
            Some(b"\x31\x41\x59\x26\x53\x59" | b"\x17\x72\x45\x38\x50\x90")
        )
}

/// RFC 1950: a multiple of 31, and no dictionary.
fn is_zlib(head: &[u8]) -> bool {
    let Some([method, flags]) = head.first_chunk::<2>() else { return false };
    u16::from_be_bytes([*method, *flags]).is_multiple_of(31) && flags & 0x20 == 0
}

/// The header of 13 bytes that LZMA files begin with (`lzma-file-format.txt`, 1.1), with what programs
/// write there: the usual properties, a window of one bit or two that stand together, a size that is not
/// known or below 1 TiB, and the first byte of each range coder.
fn is_lzma(head: &[u8]) -> bool {
    let Some(([0x5d, d0, d1, d2, d3, size @ ..], [0, ..])) = head.split_first_chunk::<13>() else {
        return false;
    };
    let window = u32::from_le_bytes([*d0, *d1, *d2, *d3]);
    let highest = 1_u32 << (window | 1).ilog2();
    let size = u64::from_le_bytes(*size);
    (window == highest || window == highest | highest >> 1)
        && window >= 1 << 12
        && (size == u64::MAX || size < 1 << 40)
}

/// What packs files, and is not taken apart here; `None` for anything else. Its bytes are searched as they
/// are, which is not all that is in it.
pub(crate) fn sealed_format(head: &[u8]) -> Option<&'static str> {
    const MARKS: [(&[u8], &str); 12] = [
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\x02\x21\x4c\x18", "lz4"),
        (b"\x89LZO\0\r\n\x1a\n", "lzop"),
        (b"LZIP\x01", "lzip"),
        (b"\x1f\x9d\x90", "compress"),
        (b"Rar!\x1a\x07", "rar"),
        (b"MSCF\0\0\0\0", "cabinet"),
        (b"QFI\xfb\0\0\0", "qcow2"),
        (b"\xed\xab\xee\xdb", "rpm"),
        (b"# v2 git bundle\n", "git bundle"),
        (b"# v3 git bundle\n", "git bundle"),
    ];
    if let Some((_, name)) = MARKS.iter().find(|(mark, _)| head.starts_with(mark)) {
        return Some(name);
    }
    // among the names of its sections
    if head.starts_with(b"MZ") && memchr::memmem::find(head, b".initrd\0").is_some() {
        return Some("unified kernel image");
    }
    // behind what starts a machine (ECMA-119, 8.4)
    if head.get(ISO..FAR) == Some(b"CD001".as_slice()) {
        return Some("ISO 9660");
    }
    // File systems have their mark in the second KiB.
    let super_block = head.get(1024..1024 + 80)?;
    let number =
        |at: usize| super_block.get(at..)?.first_chunk().map(|four| u32::from_le_bytes(*four));
    if number(0) == Some(0xe0f5_e1e2) {
        return Some("erofs");
    }
    // `s_magic`, and next to it a state; `s_log_block_size`; `s_rev_level`
    let is_ext = super_block.get(56..58) == Some(b"\x53\xef".as_slice())
        && number(24).is_some_and(|size| size <= 6)
        && number(76).is_some_and(|revision| revision <= 1);
    is_ext.then_some("ext4")
}

/// Bytes that tell every kind.
pub(crate) const HEAD: usize = 1536;
/// Bytes that tell every sealed format.
pub(crate) const FAR: usize = ISO + 5;
const ISO: usize = (32 << 10) + 1;
/// Bytes of the longest script before a zip file.
pub(crate) const SCRIPT: usize = 64 << 10;

/// Why a container was not looked through to its end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is none of its kind after all; nothing was missed.
    NotThis,
    /// It breaks the rules of its kind; a clause.
    Damaged(String),
    /// It would take more than a limit allows.
    Limit(Limit),
    /// Something in it is not looked into, and said already.
    Told,
    /// Reading failed.
    Read(std::io::Error),
}

impl Trouble {
    /// A rule of the format that is broken.
    pub(crate) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        for (head, kind) in [
            (&b"\x1f\x8b\x08\0rest"[..], Some(Kind::Gzip)),
            (b"\x1f\x8b\x08\xe0rest", None),
            (b"x\x9crest", Some(Kind::Zlib)),
            (b"x marks the spot", None),
            (b"BZh9 is text", None),
            (b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x24", Some(Kind::Lzma)),
            (b"\x5d\0\0\0\x03\x05\0\0\0\0\0\0\0\0\x24", Some(Kind::Lzma)),
            (b"\x5d\0\0\0\x05\x05\0\0\0\0\0\0\0\0\x24", None),
            (b"\x5d\0\x08\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x24", None),
            (b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\x01\x24", None),
            (b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\x01\0\0\0\x24", None),
            (b"]\0text that is no LZMA", None),
            (b"070701", Some(Kind::Cpio)),
            (b"PK\x03\x04", Some(Kind::Zip)),
            (b"PACKAGE", None),
            (b"\x52\x2a\x4d\x18", Some(Kind::Zstd)),
            (b"", None),
            (b"\x1f", None),
        ] {
            assert_eq!(sniff(head), kind, "{head:?}");
        }
    }

    #[test]
    fn what_is_not_taken_apart_is_known_by_content() {
        for (head, name) in [
            (&b"7z\xbc\xaf\x27\x1c\0\x04"[..], Some("7z")),
            (b"7z is a format", None),
            (b"Rar!", None),
            (b"# v2 git bundle\n", Some("git bundle")),
            (b"MZ\0\0.text\0\0\0.initrd\0", Some("unified kernel image")),
            (b"MZ\0\0.text\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(sealed_format(head), name, "{head:?}");
        }
        let mut image = vec![0; HEAD];
        image[1080..1082].copy_from_slice(b"\x53\xef");
        assert_eq!(sealed_format(&image), Some("ext4"));
        image[1100] = 9;
        assert_eq!(sealed_format(&image), None);
        image[1024..1028].copy_from_slice(b"\xe2\xe1\xf5\xe0");
        assert_eq!(sealed_format(&image), Some("erofs"));
        assert_eq!(sealed_format(&image[..1028]), None);
        let mut image = vec![0; FAR];
        image[ISO..].copy_from_slice(b"CD001");
        assert_eq!(sealed_format(&image), Some("ISO 9660"));
        assert_eq!(sealed_format(&image[1..]), None);
    }
}
