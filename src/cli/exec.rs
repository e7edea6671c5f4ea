//! `secretctl exec`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::Context;
use super::explain::{Around, Failure, file_error};
use super::{Done, Outcome, ui};
use crate::format::sops::file::Writer;
use crate::format::sops::store::{self, Store};
use crate::format::sops::tree::Map;
use crate::format::sops::values;
use crate::plaintext::Plaintext;
use crate::process::{Account, ExecError, ExecRequest, Kind, SecretFile};
use crate::work::way::{self, Way};
use crate::work::{edit, secret};

/// Run a command with secrets in its environment, or as a file
///
/// Each top-level value of a FILE that holds YAML, JSON, dotenv or INI becomes a variable of its
/// name; `NAME=FILE` makes one variable of the whole content, without the line end at its end. With
/// `--file` or `--private-file`, the content is a file in memory, and `{}` in the command, or the
/// variable NAME, is its path.
///
/// No shell is involved. Signals go to the command, and its exit code is returned, or 128 and the
/// number of the signal that ended it.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Secret file
    #[arg(required = true, value_name = "[NAME=]FILE")]
    files: Vec<OsString>,
    /// Give the command this value of the one FILE as the variable NAME, and no others. WAY is
    /// `/db/hosts/0`, or `["db"]["hosts"][0]` as sops has it. May be given several times
    #[arg(long, value_name = "NAME=WAY")]
    env: Vec<String>,
    /// Give the command the content as a file without a name, which nobody can change and which is
    /// gone with it. The path is that of a descriptor, `/proc/self/fd/100`: it is good in the command and
    /// in what inherits from it
    #[arg(long, conflicts_with = "env")]
    file: bool,
    /// Give the command the content as a file with the name of FILE, without `.age`, in a private
    /// folder in memory. Both are removed when the command ends. For commands that close what they
    /// inherit, go by the name, or have another process read the file
    #[arg(long, conflicts_with_all = ["env", "file"])]
    private_file: bool,
    /// Give the command nothing else in its environment, not even PATH
    #[arg(long)]
    pristine: bool,
    /// Run the command as this user; for root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Become the command instead of waiting for it, for services
    #[arg(long, conflicts_with = "private_file")]
    same_process: bool,
    /// Command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Exec {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let sources: Vec<Source> = self.files.iter().map(|file| Source::parse(file)).collect();
        let user = self.user.as_deref().map(Account::find).transpose();
        let user = user.map_err(|error| Failure::new(error.to_string()))?;
        if self.file || self.private_file {
            return self.with_files(context, &sources, user.as_ref());
        }
        let secrets = if self.env.is_empty() {
            let mut secrets = Vec::new();
            for source in &sources {
                secrets.extend(source.values(context)?);
            }
            secrets
        } else {
            self.picked(context, &sources)?
        };
        self.start(context, &self.command, &secrets, &[], user.as_ref())
    }

    /// The values that `--env` names.
    fn picked(
        &self,
        context: &Context,
        sources: &[Source],
    ) -> Result<Vec<(String, Plaintext)>, Vec<Failure>> {
        let [Source { name: None, file }] = sources else {
            let hint = "name one file, and `NAME=FILE` only without `--env`";
            return Err(Failure::new("`--env` is about one file").hint(hint).into());
        };
        let mut wanted = Vec::new();
        for text in &self.env {
            let malformed = |why: &str| {
                Failure::new(format!("cannot use `--env {text}`: {why}"))
                    .hint("it is NAME=WAY, as `--env PASSWORD=/db/password`")
            };
            let (name, way) = text.split_once('=').ok_or_else(|| malformed("it has no `=`"))?;
            let way = Way::parse(way).map_err(|error| malformed(&format!("way, {error}")))?;
            wanted.push((name, way));
        }
        let root = document(file, &content(context, file)?)?;
        let mut values = Vec::new();
        for (name, way) in wanted {
            let steps = way.steps(&root);
            let node = way::find(&root, &steps).ok_or_else(|| {
                let shown = ui::shown(file);
                Failure::new(format!("`{shown}` has no value `{}`", store::Way(&steps)))
            })?;
            let value = values::of_node(node, &steps);
            values.push((name.to_owned(), value.map_err(|e| Failure::new(e.to_string()))?));
        }
        Ok(values)
    }

    fn with_files(&self, context: &Context, sources: &[Source], user: Option<&Account>) -> Outcome {
        let placeholder = self.command.iter().any(|argument| holds_placeholder(argument));
        if placeholder && sources.len() > 1 {
            let hint = "name the others `NAME=FILE`, and use the variables";
            return Err(Failure::new("`{}` can stand for one file only").hint(hint).into());
        }
        if !placeholder && sources.iter().any(|source| source.name.is_none()) {
            let hint = "write `{}` in the command where its path belongs, or `NAME=FILE` for a \
                        variable with the path";
            return Err(Failure::new("the command does not get the path of the file")
                .hint(hint)
                .into());
        }
        let mut files = Vec::new();
        let mut variables = Vec::new();
        for source in sources {
            let content = content(context, &source.file)?;
            let name = edit::inner_name(&source.file);
            let kind = if self.private_file { Kind::Named } else { Kind::Inherited };
            let made = SecretFile::create(kind, &context.folders, &name, content, user);
            let made = made.map_err(|error| Failure::new(error.to_string()))?;
            if self.same_process && !made.is_inherited() {
                let headline = "this system has no files that a command could inherit";
                return Err(Failure::new(headline).hint("leave out `--same-process`").into());
            }
            if let Some(name) = &source.name {
                let path = made.path().into_os_string().into_vec();
                variables.push((name.clone(), Plaintext::new(path)));
            }
            files.push(made);
        }
        let path = files.first().map(SecretFile::path).unwrap_or_default();
        let command: Vec<OsString> =
            self.command.iter().map(|argument| filled(argument, &path)).collect();
        self.start(context, &command, &variables, &files, user)
    }

    fn start(
        &self,
        context: &Context,
        command: &[OsString],
        secrets: &[(String, Plaintext)],
        files: &[SecretFile],
        user: Option<&Account>,
    ) -> Outcome {
        let (program, arguments) =
            command.split_first().unwrap_or((const { &OsString::new() }, &[]));
        let pristine = self.pristine;
        let inherits_keys = false;
        let request =
            ExecRequest { program, arguments, secrets, files, pristine, inherits_keys, user };
        if self.same_process {
            return Err(failure(&request.replace()).into());
        }
        request.run(&context.interrupts).map(Done::Child).map_err(|error| failure(&error).into())
    }
}

/// A file, and the variable for all of it.
struct Source {
    name: Option<String>,
    file: PathBuf,
}

impl Source {
    /// `NAME=FILE` where NAME can be that of a variable, else a file.
    fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let split = bytes.iter().position(|byte| *byte == b'=').map(|at| bytes.split_at(at));
        if let Some((name, file)) = split
            && let Ok(name) = std::str::from_utf8(name)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            let file = OsStr::from_bytes(file.get(1..).unwrap_or_default());
            return Self { name: Some(name.to_owned()), file: file.into() };
        }
        Self { name: None, file: text.into() }
    }

    fn values(&self, context: &Context) -> Result<Vec<(String, Plaintext)>, Vec<Failure>> {
        let content = content(context, &self.file)?;
        if let Some(name) = &self.name {
            return Ok(vec![(name.clone(), values::of_content(&content))]);
        }
        let shown = ui::shown(&self.file);
        let root = document(&self.file, &content)?;
        let values = values::of_map(&root).map_err(|error| {
            Failure::new(format!("`{shown}` does not fit into an environment: {error}"))
                .hint("take single values with `--env NAME=WAY`, or the whole with `--file`")
        })?;
        if let Some((name, _)) = values.iter().find(|(name, _)| takes_over(name)) {
            let headline = format!("`{shown}` would decide what the command runs, with `{name}`");
            return Err(Failure::new(headline)
                .hint(format!("if that is meant: `--env {name}=WAY`"))
                .into());
        }
        Ok(values)
    }
}

/// Whether a variable makes common programs run other code, or trust or ask others: a list, which the
/// page about the environment has too. Whoever can write to a secret file can put one there, and needs
/// no key for it.
fn takes_over(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // `NODE_ENV` is in many files and names no code.
    FAMILIES.split_whitespace().any(|start| name.starts_with(start)) && name != "NODE_ENV"
        || name.ends_with("_PROXY")
        || SINGLE.split_whitespace().any(|single| name == single)
}

/// How names begin: of the loader and its library, of languages and shells, of git, SSH and Nix.
const FAMILIES: &str = "BASH_ CORECLR_ DOTNET_ DYLD_ GIT_ GLIBC_ JAVA_ JDK_ LD_ LESS LUA_ MALLOC_ NIX_ \
    NODE_ NPM_CONFIG_ OPENSSL_ PERL PYTHON RUBY SSH_ SSL_CERT_ XDG_ _JAVA_";
const SINGLE: &str = "AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE BASHOPTS BROWSER CDPATH CLASSPATH \
    CURL_CA_BUNDLE CURL_HOME EDITOR ENV FPATH GCONV_PATH GNUPGHOME GTK_MODULES HOME HOSTALIASES IFS \
    KUBECONFIG LOCPATH MAKEFLAGS MANPAGER NLSPATH PAGER PATH PHPRC PHP_INI_SCAN_DIR PROMPT_COMMAND PS4 \
    QT_PLUGIN_PATH REQUESTS_CA_BUNDLE RES_OPTIONS RUSTC_WRAPPER SHELL SHELLOPTS TERMINFO TMPDIR VISUAL \
    ZDOTDIR";

/// The content of a secret file.
fn content(context: &Context, file: &Path) -> Result<Plaintext, Vec<Failure>> {
    let mut keys = context.keys();
    let opened = secret::open(&context.absolute(file), &mut keys, &Writer::Lossless);
    opened.map(|opened| opened.content).map_err(|error| {
        let needs = context.needs(file);
        file_error(&error, &Around { tried: keys.tried(), needs: &needs }).into()
    })
}

/// The values of a content, by the name of its file.
fn document(file: &Path, content: &Plaintext) -> Result<Map, Failure> {
    let (shown, name) = (ui::shown(file), edit::inner_name(file));
    let kind = Store::of_path(Path::new(&name));
    if kind == Store::Binary {
        let hint =
            format!("name a variable for all of it: `NAME={}`", super::explain::quoted(&shown));
        return Err(Failure::new(format!("`{shown}` has no named values")).hint(hint));
    }
    let tree = kind
        .read_plain(content)
        .map_err(|error| Failure::new(format!("the content of `{shown}` is no {kind}: {error}")))?;
    Ok(tree.documents.into_iter().next().map(|document| document.root).unwrap_or_default())
}

/// Explains why a command did not run.
pub(crate) fn failure(error: &ExecError) -> Failure {
    Failure::new(error.to_string()).maybe_hint(error.remedy().map(str::to_owned))
}

fn holds_placeholder(argument: &OsStr) -> bool {
    argument.as_bytes().windows(2).any(|two| two == b"{}")
}

/// An argument with the path in place of each `{}`.
pub(crate) fn filled(argument: &OsStr, path: &Path) -> OsString {
    let mut filled = Vec::new();
    let mut rest = argument.as_bytes();
    while let Some(at) = rest.windows(2).position(|two| two == b"{}") {
        let (before, behind) = rest.split_at(at);
        filled.extend_from_slice(before);
        filled.extend_from_slice(path.as_os_str().as_bytes());
        rest = behind.get(2..).unwrap_or_default();
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_before_a_file_where_it_can_be_one() {
        for (text, name, file) in [
            ("a.age", None, "a.age"),
            ("A=a.age", Some("A"), "a.age"),
            ("_a1=x=y", Some("_a1"), "x=y"),
            ("./A=a.age", None, "./A=a.age"),
            ("1=a", None, "1=a"),
            ("=a", None, "=a"),
        ] {
            let source = Source::parse(OsStr::new(text));
            assert_eq!((source.name.as_deref(), source.file.as_path()), (name, Path::new(file)));
        }
    }

    #[test]
    fn the_path_takes_every_place() {
        let fill = |text: &str| filled(OsStr::new(text), Path::new("/p{}"));
        assert_eq!(fill("--x={},{}"), "--x=/p{},/p{}");
        assert_eq!(fill("{"), "{");
        assert_eq!(fill("{{}}"), "{/p{}}");
    }
}
