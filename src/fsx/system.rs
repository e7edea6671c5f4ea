//! The few calls and numbers in which Linux and macOS differ, for all who handle files.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[cfg(target_os = "linux")]
use rustix::fs::FileType;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid};

/// What a file lies on, as far as secrets care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A ramfs: memory that is never swapped.
    Ramfs,
    /// A tmpfs: memory that may be swapped.
    Tmpfs,
    /// Anything else, most likely a disk.
    Other,
}

/// The permissions of a file.
pub fn permissions(stat: &Stat) -> u32 {
    word(stat.st_mode) & 0o7777
}

/// The kind and the permissions of a file, in the bits of `st_mode`.
pub fn kind_and_permissions(stat: &Stat) -> u32 {
    word(stat.st_mode)
}

/// When a file was changed last: seconds, and billionths of one.
#[cfg(target_os = "linux")]
pub fn changed(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

/// When a file was changed last: seconds, and billionths of one.
#[cfg(not(target_os = "linux"))]
pub fn changed(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec.cast_unsigned())
}

/// What opens a folder for steps alone, which needs no permission to read it.
#[cfg(target_os = "linux")]
pub const STEPS: OFlags = OFlags::PATH;
/// What opens a folder for steps: nothing there does without the permission to read it.
#[cfg(not(target_os = "linux"))]
pub const STEPS: OFlags = OFlags::RDONLY;

/// The number of the file system that a file is on.
#[cfg(target_os = "linux")]
pub fn device(stat: &Stat) -> u64 {
    stat.st_dev
}

/// The number of the file system that a file is on.
#[cfg(not(target_os = "linux"))]
pub fn device(stat: &Stat) -> u64 {
    u64::from(stat.st_dev.cast_unsigned())
}

#[cfg(target_os = "linux")]
fn word(bits: rustix::fs::RawMode) -> u32 {
    bits
}

#[cfg(not(target_os = "linux"))]
fn word(bits: rustix::fs::RawMode) -> u32 {
    u32::from(bits)
}

/// Permissions as the calls of the system want them.
#[cfg(target_os = "linux")]
pub(super) fn mode(permissions: u32) -> Mode {
    Mode::from_raw_mode(permissions & 0o7777)
}

/// Permissions as the calls of the system want them.
#[cfg(not(target_os = "linux"))]
pub(super) fn mode(permissions: u32) -> Mode {
    // twelve bits fit
    Mode::from_raw_mode(u16::try_from(permissions & 0o7777).unwrap_or_default())
}

/// What an open file or folder lies on.
#[cfg(target_os = "linux")]
pub(super) fn kind(file: impl AsFd) -> io::Result<Kind> {
    // `RAMFS_MAGIC` and `TMPFS_MAGIC` of statfs(2)
    Ok(match rustix::fs::fstatfs(file)?.f_type {
        0x8584_58f6 => Kind::Ramfs,
        0x0102_1994 => Kind::Tmpfs,
        _ => Kind::Other,
    })
}

/// What an open file or folder lies on: nothing there tells of memory.
#[cfg(not(target_os = "linux"))]
pub(super) fn kind(_file: impl AsFd) -> io::Result<Kind> {
    Ok(Kind::Other)
}

/// Whether what an open file or folder lies on is made up by a program.
#[cfg(target_os = "linux")]
pub(super) fn is_fuse(file: impl AsFd) -> io::Result<bool> {
    // `FUSE_SUPER_MAGIC` of statfs(2)
    Ok(rustix::fs::fstatfs(file)?.f_type == 0x6573_5546)
}

/// Whether what an open file or folder lies on is made up by a program: nothing there tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_fuse(_file: impl AsFd) -> io::Result<bool> {
    Ok(false)
}

/// The numbers of the file system of a file as mountinfo has them.
#[cfg(target_os = "linux")]
pub(super) fn device_numbers(stat: &Stat) -> String {
    format!("{}:{}", rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev))
}

/// The numbers of the file system of a file; there is no mountinfo there.
#[cfg(not(target_os = "linux"))]
pub(super) fn device_numbers(_stat: &Stat) -> String {
    String::new()
}

/// Gives a link that leads to `target` to a user and group, and nothing else that has got its name
/// meanwhile.
#[cfg(target_os = "linux")]
pub(super) fn own_link(
    folder: impl AsFd,
    name: &OsStr,
    target: &Path,
    (user, group): (Uid, Gid),
) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&link)?;
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    // A second name may be one in a folder of somebody else.
    let alone = is_link && stat.st_nlink == 1;
    if !alone
        || rustix::fs::readlinkat(&link, "", Vec::new())?.as_bytes()
            != target.as_os_str().as_bytes()
    {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not the link any more"));
    }
    Ok(rustix::fs::chownat(&link, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?)
}

/// Gives a link to a user and group. Nothing there holds a link.
#[cfg(not(target_os = "linux"))]
pub(super) fn own_link(
    folder: impl AsFd,
    name: &OsStr,
    _target: &Path,
    (user, group): (Uid, Gid),
) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::chownat(folder, name, Some(user), Some(group), flags)?)
}

/// Fills `bytes` from the random source of the system.
#[cfg(target_os = "linux")]
pub(super) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
        rest = rest.get_mut(n..).unwrap_or_default();
    }
    Ok(())
}

/// Fills `bytes` from the random source of the system.
#[cfg(not(target_os = "linux"))]
pub(super) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}
