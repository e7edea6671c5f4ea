//! The user's editor: which program, and the flags that keep it from writing copies of what is
//! edited (swap, backup, undo and history files) elsewhere.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::{find_program, is_program};

/// An editor with its arguments; the file to edit comes after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    program: PathBuf,
    arguments: Vec<OsString>,
    hands_over: bool,
    shown: String,
}

impl Editor {
    /// From `SECRETCTL_EDITOR`, `VISUAL` or `EDITOR`, the first that is set and not empty, else
    /// `editor` or `vi`; `variable` looks one up. `SECRETCTL_EDIT_DIR=shared` says that the
    /// editor hands the file to another process.
    ///
    /// # Errors
    /// [`EditorError`]; an editor that was set and cannot be found is not replaced by another.
    pub fn from_environment(
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, EditorError> {
        let path = variable("PATH").unwrap_or_default();
        let shared = variable("SECRETCTL_EDIT_DIR").is_some_and(|value| value == "shared");
        let set = VARIABLES
            .iter()
            .filter_map(|name| Some((*name, variable(name)?)))
            .find(|(_, value)| !value.is_empty());
        let found = match set {
            Some((name, value)) => Self::parse(&value, name, &path),
            None => FALLBACKS
                .iter()
                .find_map(|name| Self::parse(OsStr::new(name), name, &path).ok())
                .ok_or(EditorError::None),
        };
        found.map(|editor| Self { hands_over: editor.hands_over || shared, ..editor })
    }

    /// From a text that is split as a shell splits words; `origin` says where it comes from and
    /// `path` is the value of `$PATH`.
    ///
    /// # Errors
    /// [`EditorError`].
    pub fn parse(text: &OsStr, origin: &str, path: &OsStr) -> Result<Self, EditorError> {
        let origin = origin.to_owned();
        let words = text.to_str().and_then(|text| shell_words::split(text).ok());
        let Some(words) = words.filter(|words| !words.is_empty()) else {
            return Err(EditorError::Unreadable { origin });
        };
        let mut words = words.into_iter();
        let name = words.next().unwrap_or_default();
        let given: Vec<OsString> = words.map(OsString::from).collect();
        let found = if name.contains('/') {
            std::path::absolute(&name).ok().filter(|file| is_program(file))
        } else {
            find_program(OsStr::new(&name), path)
        };
        let Some(program) = found else { return Err(EditorError::NotFound { origin, name }) };
        let kind = Kind::of(&program);
        let mut arguments = kind.arguments(&given);
        arguments.extend(given);
        Ok(Self { program, arguments, hands_over: kind.hands_over(), shown: name })
    }

    /// The program, by its absolute path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The arguments that come before the file.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Whether another process opens the file, which must find it under its path.
    pub fn hands_over(&self) -> bool {
        self.hands_over
    }

    /// The name as the user wrote it.
    pub fn name(&self) -> &str {
        &self.shown
    }
}

/// Why there is no editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditorError {
    /// None is set, and no usual one is there.
    None,
    /// The words cannot be told apart: an open quote, or bytes that are not UTF-8.
    Unreadable {
        /// The variable.
        origin: String,
    },
    /// There is no such program.
    NotFound {
        /// The variable.
        origin: String,
        /// What it names.
        name: String,
    },
}

impl EditorError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::None => "set EDITOR to the editor of your choice, for example `EDITOR=nano`",
            Self::Unreadable { .. } => {
                "write it as in a shell, quotes closed: `EDITOR='emacs -nw'`"
            }
            Self::NotFound { .. } => {
                "install the editor, correct the name, or put its folder into PATH by its \
                absolute name"
            }
        }
    }
}

impl fmt::Display for EditorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "there is no editor: none of SECRETCTL_EDITOR, VISUAL, EDITOR is set, and neither \
                `editor` nor `vi` is in PATH",
            ),
            Self::Unreadable { origin } => {
                write!(f, "the value of `{origin}` cannot be split into words")
            }
            Self::NotFound { origin, name } => {
                write!(f, "there is no program `{name}`, which `{origin}` names")
            }
        }
    }
}

impl std::error::Error for EditorError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vim,
    Neovim,
    GraphicalVim,
    Emacs,
    Micro,
    Nano,
    /// Has a flag to wait until the file was closed, without which it returns at once.
    Waiting,
    /// Another process opens the file, and the program waits for it of itself.
    Daemon,
    Other,
}

impl Kind {
    /// By the name of the program, and where that is a general one (`vi`, `editor`), by the
    /// name of the program that it leads to.
    fn of(program: &Path) -> Self {
        let general = |name: &str| matches!(name, "vi" | "view" | "ex" | "editor" | "rvim");
        match name_of(program) {
            Some(name) if !general(&name) => Self::named(&name),
            Some(_) | None => std::fs::canonicalize(program)
                .ok()
                .and_then(|real| name_of(&real))
                .map_or(Self::Other, |name| Self::named(&name)),
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "nvim" => Self::Neovim,
            "gvim" | "gview" => Self::GraphicalVim,
            "vimdiff" | "vimx" => Self::Vim,
            "micro" => Self::Micro,
            "nano" | "rnano" => Self::Nano,
            "code" | "code-insiders" | "codium" | "code-oss" | "vscodium" | "cursor" | "subl"
            | "sublime_text" | "zed" | "zeditor" | "atom" | "gedit" => Self::Waiting,
            "emacsclient" | "kate" | "kwrite" | "nvr" | "gnome-text-editor" | "mousepad"
            | "xed" | "pluma" | "idea" | "xdg-open" => Self::Daemon,
            _ if name == "vim" || name.starts_with("vim.") => Self::Vim,
            _ if name == "emacs" || name.starts_with("emacs-") => Self::Emacs,
            _ if name.starts_with("emacsclient") => Self::Daemon,
            _ => Self::Other,
        }
    }

    fn hands_over(self) -> bool {
        matches!(self, Self::Waiting | Self::Daemon)
    }

    fn arguments(self, given: &[OsString]) -> Vec<OsString> {
        let vim = ["-n", "-i", "NONE", "--cmd", VIM, "-c", VIM];
        let words: &[&str] = match self {
            Self::Vim => &vim,
            Self::Neovim => &["-n", "-i", "NONE", "--cmd", NEOVIM, "-c", NEOVIM],
            Self::GraphicalVim => &["-f", "-n", "-i", "NONE", "--cmd", VIM, "-c", VIM],
            Self::Emacs => &["--eval", EMACS],
            Self::Micro => &["-backup", "false", "-savehistory", "false", "-saveundo", "false"],
            // Its settings file may send backups to a folder on the disk, and no flag of its
            // own takes that back.
            Self::Nano => &["--ignorercfiles"],
            Self::Waiting if given.iter().any(|word| word == "--wait" || word == "-w") => &[],
            Self::Waiting => &["--wait"],
            Self::Daemon | Self::Other => &[],
        };
        words.iter().map(OsString::from).collect()
    }
}

fn name_of(program: &Path) -> Option<String> {
    // Programs of Nix packages are wrapped as `.vim-wrapped`.
    let name = program.file_name()?.to_str()?;
    Some(name.trim_start_matches('.').trim_end_matches("-wrapped").to_owned())
}

const VARIABLES: [&str; 3] = ["SECRETCTL_EDITOR", "VISUAL", "EDITOR"];
const FALLBACKS: [&str; 2] = ["editor", "vi"];
const VIM: &str = "set noswapfile nobackup nowritebackup noundofile viminfo=";
const NEOVIM: &str = "set noswapfile nobackup nowritebackup noundofile shada=";
const EMACS: &str = "(setq-default make-backup-files nil auto-save-default nil \
    create-lockfiles nil auto-save-list-file-prefix nil backup-inhibited t)";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn program(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn variables_have_their_order_and_words_are_split() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let ours = program(folder.path(), "ours");
        program(folder.path(), "theirs");
        let editor = Editor::from_environment(&environment(&[
            ("PATH", path),
            ("EDITOR", "theirs"),
            ("VISUAL", ""),
            ("SECRETCTL_EDITOR", "ours --title 'a b'"),
        ]))
        .unwrap();
        assert_eq!(editor.program(), ours);
        assert_eq!(editor.arguments(), ["--title", "a b"]);
        assert!(!editor.hands_over());
    }

    #[test]
    fn nothing_is_taken_from_the_current_folder() {
        let name = OsStr::new("Cargo.toml");
        for path in ["", ".", ":", "src:."] {
            assert_eq!(find_program(name, OsStr::new(path)), None);
        }
        let error =
            Editor::from_environment(&environment(&[("PATH", "."), ("EDITOR", "x")])).unwrap_err();
        assert_eq!(error.to_string(), "there is no program `x`, which `EDITOR` names");
    }

    #[test]
    fn vi_gets_the_flags_of_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().as_os_str();
        symlink(program(folder.path(), "vim.basic"), folder.path().join("vi")).unwrap();
        let vi = Editor::parse(OsStr::new("vi +1"), "EDITOR", path).unwrap();
        assert_eq!(vi.arguments().first().unwrap(), "-n");
        assert_eq!(vi.arguments().last().unwrap(), "+1");
        std::fs::remove_file(folder.path().join("vi")).unwrap();
        symlink(program(folder.path(), "busybox"), folder.path().join("vi")).unwrap();
        let vi = Editor::parse(OsStr::new("vi"), "EDITOR", path).unwrap();
        assert!(vi.arguments().is_empty());
    }

    #[test]
    fn editors_that_hand_over_are_known_and_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().as_os_str();
        for name in ["code", "emacsclient", "gvim"] {
            program(folder.path(), name);
        }
        let code = Editor::parse(OsStr::new("code"), "EDITOR", path).unwrap();
        assert!(code.hands_over() && code.arguments() == ["--wait"]);
        let emacs = Editor::parse(OsStr::new("emacsclient -t"), "EDITOR", path).unwrap();
        assert!(emacs.hands_over() && emacs.arguments() == ["-t"]);
        let gvim = Editor::parse(OsStr::new("gvim"), "EDITOR", path).unwrap();
        assert!(!gvim.hands_over() && gvim.arguments().first().unwrap() == "-f");
    }

    #[test]
    fn open_quotes_are_an_error() {
        let error = Editor::parse(OsStr::new("vim 'x"), "VISUAL", OsStr::new("/bin")).unwrap_err();
        assert_eq!(error, EditorError::Unreadable { origin: "VISUAL".to_owned() });
    }
}
