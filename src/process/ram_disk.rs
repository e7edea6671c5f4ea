//! A disk in memory, as macOS has it instead of a ramfs: made and mounted by programs of the
//! system. Nobody is asked, and nothing is put into it but a mark.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::capture::capture;
use crate::fsx::mount::RAM_DISK_MARK;
use crate::fsx::{Attributes, Way, reach};

/// Mounts a disk in memory over a folder, which is made where there is none. Where there is one of
/// ours already, nothing is done.
///
/// # Errors
/// What the system says, or what a program of it said; nothing is mounted then.
pub fn attach(mount_point: &Path, attributes: Attributes) -> io::Result<()> {
    let (Some(parent), Some(name)) = (mount_point.parent(), mount_point.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // A way that nobody else can change.
    let folder = reach(parent, Way { create: true, guarded: true })
        .map_err(|e| io::Error::other(e.to_string()))?;
    if folder.look(name)?.is_none() {
        folder.make(name, attributes)?;
    }
    if mount_point.join(RAM_DISK_MARK).exists() && is_mounted(parent, mount_point)? {
        return Ok(());
    }
    if !folder.enter(name)?.list()?.is_empty() {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    let size = format!("ram://{SECTORS}");
    let printed = run("/usr/bin/hdiutil", &["attach", "-nomount", &size])?;
    let device = device(&printed)
        .ok_or_else(|| io::Error::other("`hdiutil attach` printed the name of no device"))?;
    let put = fill(&device, mount_point, attributes);
    if put.is_err() {
        let _gone = run("/usr/bin/hdiutil", &["detach", &device, "-force"]);
    }
    put
}

/// Makes a file system on the device, mounts it and leaves the mark.
fn fill(device: &str, mount_point: &Path, attributes: Attributes) -> io::Result<()> {
    run("/sbin/newfs_hfs", &["-v", "secretctl", device])?;
    let place = mount_point.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    run("/sbin/mount", &["-t", "hfs", "-o", &options(attributes.mode), device, place])?;
    let mark = mount_point.join(RAM_DISK_MARK);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(mark)?;
    Ok(())
}

/// `nobrowse` keeps it out of the Finder and from being indexed.
fn options(mode: u32) -> String {
    format!("nobrowse,nodev,nosuid,noexec,-m={mode:04o}")
}

/// The device that `hdiutil attach` names: the first word of its first line.
fn device(printed: &str) -> Option<String> {
    let word = printed.split_whitespace().next()?;
    let number = word.strip_prefix("/dev/disk")?;
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| word.to_owned())
}

fn is_mounted(parent: &Path, mount_point: &Path) -> io::Result<bool> {
    Ok(parent.metadata()?.dev() != mount_point.symlink_metadata()?.dev())
}

/// What a program of the system prints; how it failed is its first line.
fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let output = capture(Path::new("/"), program.as_ref(), &arguments, PATIENCE, 64 << 10)
        .map_err(|e| io::Error::other(e.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said.lines().next().unwrap_or("it said nothing");
    Err(io::Error::other(format!("`{program}` failed ({}): {said}", output.status)))
}

/// 64 MiB, in sectors of 512 bytes.
const SECTORS: u32 = 131_072;
const PATIENCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_the_one_that_was_attached() {
        assert_eq!(device("/dev/disk4          \t         \t\n").as_deref(), Some("/dev/disk4"));
        for odd in ["", "hdiutil: attach failed", "/dev/disk", "/dev/disk4s1", "/dev/disk../x"] {
            assert_eq!(device(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_folder_has_the_permissions_that_were_asked_for() {
        assert_eq!(options(0o751), "nobrowse,nodev,nosuid,noexec,-m=0751");
    }

    #[test]
    fn a_folder_with_something_in_it_is_not_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let place = std::fs::canonicalize(folder.path()).unwrap().join("store");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("mine"), "").unwrap();
        let error = attach(&place, Attributes { owner: None, mode: 0o700 }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
    }
}
