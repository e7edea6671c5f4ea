//! The only place that starts child processes: clean environment, time limit, no shell.

pub mod account;
#[cfg(target_os = "linux")]
pub mod activation;
pub mod askpass;
pub mod capture;
pub mod edit_room;
pub mod editor;
pub mod exec;
pub mod git;
pub mod gpg;
pub mod identity_command;
pub mod interrupts;
pub mod keyscan;
#[cfg_attr(not(target_os = "linux"), path = "memory_file_none.rs")]
mod memory_file;
pub(crate) mod pipe;
#[cfg(any(target_os = "macos", test))]
pub mod ram_disk;
pub mod secret_file;
mod secret_pipe;
pub mod transform;

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit};

pub use account::{Account, AccountError};
pub use askpass::{AskpassError, askpass};
pub use edit_room::{EditError, EditRequest, EditSession, Place};
pub use editor::{Editor, EditorError};
pub use exec::{ExecError, ExecRequest};
pub use identity_command::{CommandError, credential_command};
pub use interrupts::{Held, Interrupts, obey};
pub use keyscan::{KeyscanError, keyscan};
pub use secret_file::{Kind, SecretFile, SecretFileError};

/// Keeps the memory of this process from core dumps and from debuggers of other processes of
/// the same user. For the beginning of `main`.
///
/// # Errors
/// What the system says; no system is known that refuses.
pub fn harden() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    Ok(())
}

/// Finds a program by its name in the folders of `path` (the form of `$PATH`). Folders that
/// are not absolute do not count, so that nothing is ever run from the current one.
pub fn find_program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if name.is_empty() || Path::new(name).components().count() != 1 || name == ".." || name == "." {
        return None;
    }
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

/// A program by its name in `path` (the form of `$PATH`), or by its own path.
fn locate(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        std::path::absolute(program).ok().filter(|file| is_program(file))
    } else {
        find_program(program, path)
    }
}

/// Whether a file can be run, as far as its mode tells.
fn is_program(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// A command with nothing of our environment but what programs need everywhere, and the
/// variables named in `pass`, of which one that ends in `*` stands for all that begin so.
pub(crate) fn clean_command(program: &Path, pass: &[&str]) -> Command {
    let mut command = command(program);
    command.env_clear();
    for (name, value) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let passed = pass.iter().any(|one| match one.strip_suffix('*') {
            Some(prefix) => text.starts_with(prefix),
            None => text == *one,
        });
        if passed || COMMON.contains(&text) || text.starts_with("LC_") {
            command.env(name, value);
        }
    }
    command
}

/// The one door to [`Command::new`].
#[expect(clippy::disallowed_methods, reason = "this room starts the children of all others")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

/// The variable of sops that holds private keys themselves: no child needs it but one that is told so.
const KEYS: &str = "SOPS_AGE_KEY";
const COMMON: [&str; 20] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GPG_TTY",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "SSH_AUTH_SOCK",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_get_the_variables_that_are_named_and_no_others() {
        let env = find_program(OsStr::new("env"), OsStr::new("/usr/bin:/bin")).unwrap();
        let seen = |pass: &[&str]| {
            let output = clean_command(&env, pass).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        // Cargo sets these for tests.
        assert!(seen(&["CARGO_MANIFEST*"]).contains("CARGO_MANIFEST_DIR="));
        assert!(!seen(&["CARGO_PKG_NAME"]).contains("CARGO_MANIFEST_DIR="));
        assert!(seen(&[]).contains("PATH="));
    }
}
