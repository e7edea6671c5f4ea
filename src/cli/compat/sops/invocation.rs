//! What the arguments of sops ask for: one type a command, every option resolved, the defaults of
//! the environment among them. Types only; [`super::resolve`] makes them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::grammar::Topic;
use crate::format::sops::select::Rule;
use crate::format::sops::store::Store;
use crate::format::sops::tree::Node;
use crate::key::wrapping::WrappingKind;
use crate::work::way::Way;

/// One run.
#[derive(Debug)]
pub(super) enum Invocation {
    /// Print the version.
    Version,
    /// Print help.
    Help(Topic),
    /// Print completions.
    Completion(Shell),
    /// Print words, one a line.
    Candidates(Vec<String>),
    /// `edit`, and no command at all.
    Edit(Edit),
    /// `encrypt`, `-e`
    Encrypt(Encrypt),
    /// `decrypt`, `-d`
    Decrypt(Decrypt),
    /// `rotate`, `-r`
    Rotate(Rotate),
    /// `set`, `--set`
    Set(Set),
    /// `unset`
    Unset(Unset),
    /// `updatekeys`
    UpdateKeys(UpdateKeys),
    /// `exec-env`
    ExecEnv(ExecEnv),
    /// `exec-file`
    ExecFile(ExecFile),
    /// `filestatus`
    FileStatus(FileStatus),
    /// `groups add`
    GroupsAdd(GroupsAdd),
    /// `groups delete`
    GroupsDelete(GroupsDelete),
}

/// A shell with completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
}

/// What holds for every command.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--indent`; a negative one is a tab in JSON.
    pub(crate) indent: Option<i64>,
    /// `--verbose`
    pub(crate) verbose: bool,
}

/// A file, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The file; `None` is standard input.
    pub(crate) file: Option<PathBuf>,
    /// The name that rules and types go by.
    pub(crate) name: PathBuf,
    /// What it is read as.
    pub(crate) input: Store,
    /// What it is written as.
    pub(crate) output: Store,
}

/// How a file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    /// `--ignore-mac`
    pub(crate) ignore_mac: bool,
    /// Kinds of keys in the order to try them; all others come behind.
    pub(crate) order: Vec<WrappingKind>,
}

/// Where the result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// Back to the file.
    InPlace,
    /// Another file.
    File(PathBuf),
}

/// Keys for a new file, as they were named; empty where the rules decide.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// One group, in the order of sops.
    pub(crate) group: Vec<NamedKey>,
    /// How many groups are needed, where that was said.
    pub(crate) threshold: Option<usize>,
}

/// A key as it was named: a recipient, fingerprint, ARN, id or URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedKey {
    /// Its kind.
    pub(crate) kind: WrappingKind,
    /// Its name.
    pub(crate) name: String,
    /// For AWS KMS: `--aws-profile`, may be empty.
    pub(crate) aws_profile: String,
    /// For AWS KMS: `--encryption-context`.
    pub(crate) context: BTreeMap<String, String>,
}

/// Which values are encrypted, where the command line says so; otherwise the rules decide.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// One of the six selectors.
    pub(crate) rule: Option<Rule>,
    /// `--mac-only-encrypted`
    pub(crate) mac_only_encrypted: bool,
}

/// `edit`
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    /// For a file that is not there yet.
    pub(crate) keys: Keys,
    /// The same.
    pub(crate) selection: Selection,
    /// `--show-master-keys`
    pub(crate) show_metadata: bool,
}

/// `encrypt`
#[derive(Debug)]
pub(crate) struct Encrypt {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) keys: Keys,
    pub(crate) selection: Selection,
    pub(crate) target: Target,
}

/// `decrypt`
#[derive(Debug)]
pub(crate) struct Decrypt {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    /// `--extract`; the whole document where it leads nowhere.
    pub(crate) extract: Way,
    pub(crate) target: Target,
}

/// `rotate`
#[derive(Debug)]
pub(crate) struct Rotate {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    /// `--add-…`, in the order of sops.
    pub(crate) add: Vec<NamedKey>,
    /// `--rm-…`
    pub(crate) remove: Vec<NamedKey>,
    pub(crate) target: Target,
}

/// `set`
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    pub(crate) way: Way,
    pub(crate) value: NewValue,
    /// Leave the file alone where the value is there already.
    pub(crate) idempotent: bool,
}

/// The value of `set`.
#[derive(Debug)]
pub(crate) enum NewValue {
    /// From the command line.
    Given(Node),
    /// JSON in a file; see [`super::resolve::json_value`].
    File(PathBuf),
    /// JSON on standard input.
    Stdin,
}

/// `unset`
#[derive(Debug)]
pub(crate) struct Unset {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    pub(crate) way: Way,
    /// Nothing to remove is no error.
    pub(crate) idempotent: bool,
}

/// `updatekeys`
#[derive(Debug)]
pub(crate) struct UpdateKeys {
    pub(crate) settings: Settings,
    /// At least one.
    pub(crate) files: Vec<Subject>,
    /// `--yes`
    pub(crate) yes: bool,
    pub(crate) threshold: Option<usize>,
}

/// `exec-env`
#[derive(Debug)]
pub(crate) struct ExecEnv {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    /// For `/bin/sh -c`.
    pub(crate) command: OsString,
    pub(crate) user: Option<String>,
    pub(crate) pristine: bool,
    pub(crate) same_process: bool,
}

/// `exec-file`
#[derive(Debug)]
pub(crate) struct ExecFile {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) opening: Opening,
    /// For `/bin/sh -c`, with `{}` for the path.
    pub(crate) command: OsString,
    pub(crate) user: Option<String>,
    /// Whether the path is that of a named pipe: without `--no-fifo`.
    pub(crate) fifo: bool,
    /// `--filename`, a plain name.
    pub(crate) file_name: OsString,
}

/// `filestatus`
#[derive(Debug)]
pub(crate) struct FileStatus {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
}

/// `groups add`
#[derive(Debug)]
pub(crate) struct GroupsAdd {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    pub(crate) group: Vec<NamedKey>,
    pub(crate) threshold: Option<usize>,
    pub(crate) target: Target,
}

/// `groups delete`
#[derive(Debug)]
pub(crate) struct GroupsDelete {
    pub(crate) settings: Settings,
    pub(crate) subject: Subject,
    /// From 0.
    pub(crate) index: usize,
    pub(crate) threshold: Option<usize>,
    pub(crate) target: Target,
}
