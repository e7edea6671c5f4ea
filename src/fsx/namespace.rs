//! A ramfs that only one process and its children see: in a mount namespace of their own, so
//! that the kernel destroys it with them, however they end. It is never swapped.
//!
//! [`enter`] changes the whole calling process, which must have one thread and be about to
//! become another program.

use std::io;
use std::path::Path;

#[cfg(target_os = "linux")]
use rustix::mount::{MountFlags, MountPropagationFlags};
#[cfg(target_os = "linux")]
use rustix::thread::UnshareFlags;

/// Moves the calling process to a mount namespace of its own and mounts a ramfs of mode 0700
/// over the folder `mount_point`. A user namespace goes with it where mounting needs one; user
/// and group stay what they are.
///
/// # Errors
/// What the system says where it does not allow this; the process may be half way in then,
/// and is good for nothing but its end.
#[cfg(target_os = "linux")]
pub fn enter(mount_point: &Path) -> io::Result<()> {
    let user = rustix::process::geteuid();
    let group = rustix::process::getegid();
    if !(user.is_root() && unshare(UnshareFlags::NEWNS).is_ok()) {
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        // Without this the kernel refuses the map of groups.
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{0} {0} 1\n", user.as_raw()))?;
        std::fs::write("/proc/self/gid_map", format!("{0} {0} 1\n", group.as_raw()))?;
    }
    // What is mounted here is not to appear outside.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount("secretctl", mount_point, "ramfs", flags, Some(c"mode=0700"))?;
    Ok(())
}

/// There are no namespaces.
///
/// # Errors
/// `Unsupported`, always.
#[cfg(not(target_os = "linux"))]
pub fn enter(_mount_point: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
#[expect(deprecated, reason = "its successor is unsafe only for the sharing of descriptors")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(flags)?)
}
