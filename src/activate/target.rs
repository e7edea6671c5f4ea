//! What is to be in place: a store and its pieces, opened already. Values only.

use std::path::PathBuf;

use super::Name;
use crate::plaintext::Plaintext;

/// A store on this machine.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it lies and how.
    pub store: StoreSpec,
    /// Whether root does this: owners are set, file systems mounted. Otherwise everything
    /// belongs to the user who runs this, and [`StoreSpec::filesystem`] is a folder.
    pub system: bool,
    /// A folder on a disk for notes about links and copies on disks, so that those that are not
    /// wanted any more after a boot are still known.
    pub lasting: Option<PathBuf>,
}

/// Where the generations of a store lie.
#[derive(Debug, Clone)]
pub struct StoreSpec {
    /// The folder of generations, absolute.
    pub mount_point: PathBuf,
    /// The link to the current generation, absolute.
    pub link: PathBuf,
    /// What is mounted on the folder of generations.
    pub filesystem: Filesystem,
    /// Whether memory that may be swapped will do where the kernel knows no `noswap`.
    pub allow_swap: bool,
    /// Whether [`Filesystem::Directory`] may be on a disk.
    pub allow_disk: bool,
    /// How many generations stay, the current one included; 0 for all.
    pub keep: u32,
    /// Permissions of the folder of generations, of generations and of folders in them.
    pub mode: u32,
    /// Their group.
    pub gid: u32,
}

/// What lies under the generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// Memory that is never swapped.
    Ramfs,
    /// Memory with a limit, mounted so that it is not swapped.
    Tmpfs,
    /// What is there already.
    Directory,
}

/// A secret or a rendered template that is to be in place.
#[derive(Debug)]
pub struct Piece {
    /// Its name in the store.
    pub name: Name,
    /// What is in it.
    pub content: Content,
    /// Its owner, as a number. Without effect where [`Target::system`] is not set.
    pub uid: u32,
    /// Its group, as a number. Without effect where [`Target::system`] is not set.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
    /// Further links to it, absolute.
    pub links: Vec<PathBuf>,
    /// Real files with the same content, owner and permissions, absolute.
    pub copies: Vec<PathBuf>,
    /// Units that are restarted when its content changed.
    pub restart: Vec<String>,
    /// Units that are reloaded when its content changed.
    pub reload: Vec<String>,
}

/// What is in a piece.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Plaintext),
    /// What it was in the previous generation, since it cannot be opened now.
    Keep,
    /// The same, with the owner and the permissions that it had, since those cannot be told
    /// either; those of the piece have no meaning.
    KeepAsIs,
}
