//! Editing plaintext where nobody else sees it.
//!
//! This process starts itself again as `__editor-room`, which enters a mount namespace with a
//! ramfs of its own ([`crate::fsx::namespace`]), says that it is ready, and, once the file is
//! there, becomes the editor. The parent reaches the ramfs through `/proc/PID/root` and holds
//! the folder open, so that it can read the file after the editor has ended. The editor dies
//! with the parent, and the ramfs with the editor.
//!
//! The parent must start the editor from a thread that lives as long as the process: the
//! kernel counts the end of that thread as the end of the parent.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use super::{Editor, Interrupts, KEYS, command};
use crate::fsx::private_dir::plain_name;
use crate::fsx::{Folder, Folders, PrivateDir, PrivateDirError, namespace};
use crate::plaintext::Plaintext;

/// What to edit, and with what.
#[derive(Debug, Clone, Copy)]
pub struct EditRequest<'a> {
    /// The name that the editor sees; its suffix selects the syntax.
    pub file_name: &'a OsStr,
    /// The editor.
    pub editor: &'a Editor,
    /// Where folders may be made.
    pub folders: &'a Folders,
    /// Whether a disk will do where there is no memory.
    pub insecure_tmp: bool,
    /// Whether to do without a namespace even where there are some.
    pub shared: bool,
    /// The signal handlers of the process.
    pub interrupts: &'a Interrupts,
}

/// Where the file was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a ramfs that only the editor saw.
    Namespace,
    /// In a private folder in memory.
    Memory(PathBuf),
    /// In a private folder on a disk, because the user said so.
    Disk(PathBuf),
}

/// Content that goes through an editor, as often as needed. Between the rounds it is in
/// memory alone.
#[derive(Debug)]
pub struct EditSession<'a> {
    request: EditRequest<'a>,
    draft: Plaintext,
}

impl<'a> EditSession<'a> {
    /// A session that begins with `content`.
    pub fn open(request: EditRequest<'a>, content: &Plaintext) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the editor works on a copy")]
        let draft = Plaintext::copy_of(content.expose());
        Self { request, draft }
    }

    /// Runs the editor once on the content of the last round. What it leaves is kept for the
    /// next round even when it ends with an error.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn run_editor(&mut self) -> Result<Place, EditError> {
        let alone = !self.request.shared && !self.request.editor.hands_over();
        match if alone { Room::enter(&self.request)? } else { None } {
            Some(room) => self.edit_in(room),
            None => self.edit_shared(),
        }
    }

    /// The content after the last round that ended well.
    pub fn content(&self) -> &Plaintext {
        &self.draft
    }

    fn edit_in(&mut self, mut room: Room) -> Result<Place, EditError> {
        let name = plain_name(self.request.file_name);
        let held = self.request.interrupts.hold(None).map_err(EditError::Signals)?;
        room.folder.put(&name, &self.draft).map_err(EditError::Put)?;
        room.top.put(OsStr::new(GO), &Plaintext::default()).map_err(EditError::Put)?;
        let status = room.child.wait().map_err(EditError::Put)?;
        drop(held);
        if let Ok(Some(reason)) = room.top.take(OsStr::new(REASON), 4096) {
            #[expect(clippy::disallowed_methods, reason = "an error message of the system")]
            let reason = String::from_utf8_lossy(reason.expose()).into_owned();
            return Err(EditError::NotStarted { name: self.editor_name(), reason });
        }
        self.finish(&room.folder, &name, status)?;
        Ok(Place::Namespace)
    }

    fn edit_shared(&mut self) -> Result<Place, EditError> {
        let EditRequest { folders, insecure_tmp, interrupts, .. } = self.request;
        let private = PrivateDir::create(folders, insecure_tmp).map_err(EditError::NoPlace)?;
        let held = interrupts.hold(Some(private.path())).map_err(EditError::Signals)?;
        let done = self.edit_in_folder(&private);
        let path = private.path().to_owned();
        let memory = private.folder().is_memory();
        // The folder goes first: until then signals must remove it.
        drop(private);
        drop(held);
        done.map(|()| if memory { Place::Memory(path) } else { Place::Disk(path) })
    }

    fn edit_in_folder(&mut self, private: &PrivateDir) -> Result<(), EditError> {
        let name = plain_name(self.request.file_name);
        private.folder().put(&name, &self.draft).map_err(EditError::Put)?;
        let editor = self.request.editor;
        let status = command(editor.program())
            .args(editor.arguments())
            .arg(private.path().join(&name))
            .env_remove(KEYS)
            .status();
        let status = status.map_err(|e| EditError::NotStarted {
            name: self.editor_name(),
            reason: e.to_string(),
        })?;
        self.finish(private.folder(), &name, status)
    }

    fn finish(
        &mut self,
        folder: &Folder,
        name: &OsStr,
        status: ExitStatus,
    ) -> Result<(), EditError> {
        let left = folder.take(name, LIMIT);
        if let Ok(Some(content)) = left {
            self.draft = content;
        } else if status.success() {
            return Err(match left {
                Ok(_) => EditError::Removed { name: self.editor_name() },
                Err(source) => EditError::Take(source),
            });
        }
        match (status.success(), status.code()) {
            (true, _) => Ok(()),
            (false, Some(code)) => Err(EditError::Status { name: self.editor_name(), code }),
            (false, None) => {
                let signal = status.signal().unwrap_or_default();
                Err(EditError::Killed { name: self.editor_name(), signal })
            }
        }
    }

    fn editor_name(&self) -> String {
        self.request.editor.name().to_owned()
    }
}

/// Why an edit did not come to its end.
#[derive(Debug)]
pub enum EditError {
    /// There is no folder for the plaintext.
    NoPlace(PrivateDirError),
    /// The editor could not be started.
    NotStarted {
        /// The editor.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// The editor said that it failed.
    Status {
        /// The editor.
        name: String,
        /// Its exit code.
        code: i32,
    },
    /// The editor was killed.
    Killed {
        /// The editor.
        name: String,
        /// The number of the signal.
        signal: i32,
    },
    /// The editor ended well, but the file is gone.
    Removed {
        /// The editor.
        name: String,
    },
    /// The file could not be made.
    Put(io::Error),
    /// What the editor left cannot be read: more than 64 MiB, or no regular file.
    Take(io::Error),
    /// Signals cannot be handled.
    Signals(io::Error),
}

impl EditError {
    /// What to do about it, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoPlace(error) => error.remedy(),
            Self::NotStarted { .. } => Some("set EDITOR to an editor that works here"),
            Self::Removed { .. } => Some(
                "if the editor hands the file to another process, set SECRETCTL_EDIT_DIR=shared",
            ),
            Self::Status { .. }
            | Self::Killed { .. }
            | Self::Put(_)
            | Self::Take(_)
            | Self::Signals(_) => None,
        }
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace(error) => error.fmt(f),
            Self::NotStarted { name, reason } => {
                write!(f, "cannot start the editor `{name}`: {reason}")
            }
            Self::Status { name, code } => {
                write!(f, "the editor `{name}` ended with exit code {code}; nothing was changed")
            }
            Self::Killed { name, signal } => {
                write!(f, "the editor `{name}` was ended by signal {signal}; nothing was changed")
            }
            Self::Removed { name } => {
                write!(f, "the editor `{name}` left no file; nothing was changed")
            }
            Self::Put(source) => write!(f, "cannot give the editor its file: {source}"),
            Self::Take(source) => write!(f, "cannot read what the editor left: {source}"),
            Self::Signals(source) => write!(f, "cannot handle signals: {source}"),
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoPlace(error) => Some(error),
            Self::Put(source) | Self::Take(source) | Self::Signals(source) => Some(source),
            Self::NotStarted { .. }
            | Self::Status { .. }
            | Self::Killed { .. }
            | Self::Removed { .. } => None,
        }
    }
}

/// The parent's side of a namespace whose process waits for the file.
struct Room {
    child: Child,
    top: Folder,
    folder: Folder,
    /// Ours to remove again, where the system has no `/dev/shm` to mount over.
    _mount_point: Option<tempfile::TempDir>,
}

impl Room {
    /// `None` where the system does not allow it.
    fn enter(request: &EditRequest<'_>) -> Result<Option<Self>, EditError> {
        let (mount_point, temporary) = match std::fs::canonicalize(&request.folders.memory) {
            Ok(memory) if memory.is_dir() => (memory, None),
            Ok(_) | Err(_) => match tempfile::tempdir_in(&request.folders.temporary) {
                Ok(made) => (made.path().to_owned(), Some(made)),
                Err(_) => return Ok(None),
            },
        };
        let started = command(Path::new("/proc/self/exe"))
            .arg(SUBCOMMAND)
            .arg(std::process::id().to_string())
            .arg(&mount_point)
            .arg(plain_name(request.file_name))
            .arg(request.editor.program())
            .args(request.editor.arguments())
            .env_remove(KEYS)
            .spawn();
        let Ok(mut child) = started else { return Ok(None) };
        let inside = Path::new("/proc").join(child.id().to_string()).join("root");
        let inside = inside.join(mount_point.strip_prefix("/").unwrap_or(&mount_point));
        let deadline = Instant::now().checked_add(PATIENCE);
        loop {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    let Some(signal) = status.signal() else { return Ok(None) };
                    return Err(EditError::Killed {
                        name: request.editor.name().to_owned(),
                        signal,
                    });
                }
                Err(e) => return Err(EditError::Put(e)),
            }
            // Before the child has mounted its ramfs, this path leads to the folder that all
            // users share: nothing there is trusted.
            if let Ok(top) = Folder::open(&inside)
                && top.is_ramfs()
                && top.has(OsStr::new(READY))
                && let Ok(folder) = top.open_inside(OsStr::new(ROOM))
            {
                return Ok(Some(Self { child, top, folder, _mount_point: temporary }));
            }
            if deadline.is_none_or(|deadline| Instant::now() > deadline) {
                let _dead = child.kill();
                let _reaped = child.wait();
                return Ok(None);
            }
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _dead = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// The child's side, if `arguments` (program name first) ask for it: does not come back but
/// with an exit code for a failure. For the first line of `main`, before there are threads.
pub fn serve(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, subcommand, parent, mount_point, file_name, editor, rest @ ..] = arguments else {
        return None;
    };
    if subcommand != SUBCOMMAND {
        return None;
    }
    let mount_point = Path::new(mount_point);
    if prepare(parent, mount_point).is_err() {
        return Some(ExitCode::from(REFUSED));
    }
    let go = mount_point.join(GO);
    let deadline = Instant::now().checked_add(PATIENCE);
    while !go.exists() {
        if deadline.is_none_or(|deadline| Instant::now() > deadline) {
            return Some(ExitCode::from(REFUSED));
        }
        std::thread::sleep(TICK);
    }
    let _tidy = [std::fs::remove_file(go), std::fs::remove_file(mount_point.join(READY))];
    let error = command(Path::new(editor))
        .args(rest)
        .arg(mount_point.join(ROOM).join(file_name))
        .env("TMPDIR", mount_point.join(TEMPORARY))
        .exec();
    let _unreported = std::fs::write(mount_point.join(REASON), error.to_string());
    Some(ExitCode::from(REFUSED))
}

fn prepare(parent: &OsStr, mount_point: &Path) -> io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    namespace::enter(mount_point)?;
    // After the change of namespace, which may take it back; it survives exec.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if now.as_deref().map(OsStr::new) != Some(parent) {
        return Err(io::ErrorKind::NotFound.into());
    }
    for name in [ROOM, TEMPORARY] {
        std::fs::DirBuilder::new().mode(0o700).create(mount_point.join(name))?;
    }
    std::fs::write(mount_point.join(READY), "")
}

const SUBCOMMAND: &str = "__editor-room";
const READY: &str = "ready";
const GO: &str = "go";
const REASON: &str = "reason";
const ROOM: &str = "secretctl";
const TEMPORARY: &str = "tmp";
/// The exit code of a child that could not make its room, or not become the editor.
const REFUSED: u8 = 76;
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(1);
/// The largest file that is taken back from an editor.
const LIMIT: usize = 64 << 20;
