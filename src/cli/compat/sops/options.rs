//! The options of sops that several commands share: files and types, keys, selectors, and the
//! lookup of a value with its default from the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::grammar::{number, truth};
use super::invocation::{Keys, NamedKey, Opening, Selection, Settings, Subject, Target};
use super::resolve::{Resolver, missing, not_offered, refusal};
use super::{Code, Refusal};
use crate::format::sops::select::Rule;
use crate::format::sops::store::Store;
use crate::key::wrapping::WrappingKind;

impl Resolver<'_> {
    /// Key services of other programs are not asked, and without our own there is nothing.
    pub(super) fn services(&self) -> Result<(), Refusal> {
        if self.words.command.flag("keyservice").is_none() {
            return Ok(());
        }
        // Whoever has to answer for a log would not know that it has holes.
        if (self.around.exists)(Path::new(AUDIT)) {
            return Err(not_offered(&format!("the audit log that `{AUDIT}` asks for")));
        }
        let named = !self.words.values("keyservice").is_empty();
        if named || (self.around.variable)("SOPS_KEYSERVICE").is_some_and(|v| !v.is_empty()) {
            return Err(not_offered("`--keyservice` (or SOPS_KEYSERVICE)"));
        }
        if !self.switch_or("enable-local-keyservice", true)? {
            let text = "Error: without the local key service no key can be used";
            return Err(refusal(Code::NoKey, text));
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> Result<Settings, Refusal> {
        Ok(Settings {
            config: self.path("config"),
            indent: self.number("indent")?,
            verbose: self.switch("verbose")?,
        })
    }

    pub(super) fn opening(&mut self) -> Result<Opening, Refusal> {
        let ignore_mac = self.switch("ignore-mac")?;
        let text = self.text("decryption-order")?.unwrap_or_default();
        let mut order = Vec::new();
        let mut seen = Vec::new();
        for name in text.split(',').filter(|_| !text.is_empty()) {
            if seen.contains(&name) {
                let text = format!("Duplicate decryption key type: {name}");
                return Err(refusal(Code::TwiceInOrder, text));
            }
            seen.push(name);
            match WrappingKind::ALL.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => order.push(kind),
                None => self.notes.push(format!("no kind of keys is called `{name}`")),
            }
        }
        if text.is_empty() {
            order = vec![WrappingKind::Age, WrappingKind::Pgp];
        }
        Ok(Opening { ignore_mac, order })
    }

    pub(super) fn target(&self) -> Result<Target, Refusal> {
        let output = match self.words.command.flag("output") {
            Some(_) => self.path("output"),
            None => None,
        };
        match (self.switch("in-place")?, output) {
            (true, Some(_)) => {
                let text = "Error: cannot operate on both --output and --in-place";
                Err(refusal(Code::Conflict, text))
            }
            (true, None) => Ok(Target::InPlace),
            (false, Some(path)) => Ok(Target::File(path)),
            (false, None) => Ok(Target::Stdout),
        }
    }

    /// The file of a command that does without one.
    pub(super) fn subject_or_stdin(&mut self) -> Result<Subject, Refusal> {
        let stdin = self.words.rest.is_empty();
        let encrypts = self.words.command.words == ["encrypt"];
        if stdin && self.switch("in-place")? {
            let text = "Error: cannot use --in-place when reading from stdin";
            return Err(refusal(Code::Conflict, text));
        }
        if stdin && encrypts && self.path("filename-override").is_none() {
            let text = "Error: must specify --filename-override when reading from stdin";
            return Err(refusal(Code::Conflict, text));
        }
        self.target()?;
        if stdin {
            let name = self.path("filename-override").unwrap_or_default();
            return self.of(None, name);
        }
        let file = self.file();
        if !(self.around.exists)(&file) {
            return Err(missing(&file));
        }
        self.subject()
    }

    pub(super) fn subject(&mut self) -> Result<Subject, Refusal> {
        let several = self.words.rest.len() > 1;
        if several && self.words.command.arguments.trim_matches(['[', ']']) == "FILE" {
            self.notes.push(
                "More than one positional argument provided. Only the first one will be used!"
                    .to_owned(),
            );
        }
        let path = self.first();
        let name = match self.words.command.flag("filename-override") {
            Some(_) => self.path("filename-override"),
            None => None,
        };
        let name = name.unwrap_or_else(|| path.clone());
        self.of(Some(path), name)
    }

    /// The file that `--file` names.
    pub(super) fn subject_of_flag(&mut self) -> Result<Subject, Refusal> {
        let Some(path) = self.path("file") else {
            return Err(refusal(Code::Input, "Error: no file specified with --file"));
        };
        self.of(Some(path.clone()), path)
    }

    pub(super) fn of(&mut self, file: Option<PathBuf>, name: PathBuf) -> Result<Subject, Refusal> {
        let kind = |this: &mut Self, flag: &str| {
            let text = match this.words.command.flag(flag) {
                Some(_) => this.text(flag)?.unwrap_or_default(),
                None => String::new(),
            };
            Ok::<_, Refusal>(this.store(&text, &name))
        };
        let input = kind(self, "input-type")?;
        let output = kind(self, "output-type")?;
        Ok(Subject { file, name, input, output })
    }

    pub(super) fn store(&mut self, text: &str, path: &Path) -> Store {
        let named = Store::of_name(text);
        if named.is_none() && !text.is_empty() {
            self.notes.push(format!(
                "there is no type `{text}`: the name of the file decides (yaml, json, dotenv, ini \
                 and binary are known)"
            ));
        }
        named.unwrap_or_else(|| Store::of_path(path))
    }

    pub(super) fn keys(&self) -> Result<Keys, Refusal> {
        let (aws_profile, context) = self.aws()?;
        let mut group = Vec::new();
        for (flag, kind) in KINDS {
            let text = self.text(flag)?.unwrap_or_default();
            group.extend(split(&text).map(|name| named(kind, name, &aws_profile, &context)));
        }
        Ok(Keys { group, threshold: self.threshold()? })
    }

    pub(super) fn changes(&self, prefix: &str) -> Result<Vec<NamedKey>, Refusal> {
        let (aws_profile, context) = self.aws()?;
        let mut keys = Vec::new();
        for (flag, kind) in CHANGED {
            let text = self.text(&format!("{prefix}{flag}"))?.unwrap_or_default();
            keys.extend(split(&text).map(|name| named(kind, name, &aws_profile, &context)));
        }
        Ok(keys)
    }

    pub(super) fn any_change(&self) -> Result<bool, Refusal> {
        Ok(!self.changes("add-")?.is_empty() || !self.changes("rm-")?.is_empty())
    }

    pub(super) fn aws(&self) -> Result<(String, BTreeMap<String, String>), Refusal> {
        let text = self.text("encryption-context")?.unwrap_or_default();
        let mut context = BTreeMap::new();
        for pair in text.split(',').filter(|_| !text.is_empty()) {
            let (key, value) = pair
                .split_once(':')
                .filter(|(_, value)| !value.contains(':'))
                .ok_or_else(|| refusal(Code::Context, "Invalid KMS encryption context format"))?;
            context.insert(key.to_owned(), value.to_owned());
        }
        Ok((self.text("aws-profile")?.unwrap_or_default(), context))
    }

    pub(super) fn selection(&mut self, input: Store) -> Result<Selection, Refusal> {
        let mut rules = Vec::new();
        for (flag, rule) in SELECTORS {
            let text = self.text(flag)?.filter(|text| !text.is_empty());
            rules.extend(text.map(rule));
        }
        let mac_only_encrypted = self.switch("mac-only-encrypted")?;
        if input == Store::Binary {
            if !rules.is_empty() {
                self.notes.push(
                    "a binary file is encrypted as a whole: selectors are ignored".to_owned(),
                );
            }
            return Ok(Selection::default());
        }
        if rules.len() > 1 {
            let names: Vec<&str> = rules.iter().map(Rule::name).collect();
            let text = format!("Error: cannot use more than one of {}", names.join(", "));
            return Err(refusal(Code::Conflict, text));
        }
        Ok(Selection { rule: rules.pop(), mac_only_encrypted })
    }

    /// 0 is as good as none.
    pub(super) fn threshold(&self) -> Result<Option<usize>, Refusal> {
        let name = "shamir-secret-sharing-threshold";
        let Some(number) = self.number(name)? else { return Ok(None) };
        match usize::try_from(number) {
            Ok(0) => Ok(None),
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.words.usage(format!("--{name} cannot be negative"))),
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.around.here.join(self.first())
    }

    pub(super) fn first(&self) -> PathBuf {
        self.words.rest.first().map(PathBuf::from).unwrap_or_default()
    }

    /// The last value of an option, else its variable.
    pub(super) fn value(&self, name: &str) -> Option<OsString> {
        let given = self.words.values(name).last().cloned();
        given.or_else(|| {
            let variable = self.words.command.flag(name)?.variable?;
            (self.around.variable)(variable).filter(|value| !value.is_empty())
        })
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let text = |value: OsString| {
            value.into_string().map_err(|_| self.words.usage(format!("--{name} is not UTF-8")))
        };
        self.value(name).map(text).transpose()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        Ok(self.text(name)?.as_deref().and_then(number))
    }

    pub(super) fn switch(&self, name: &str) -> Result<bool, Refusal> {
        self.switch_or(name, false)
    }

    pub(super) fn switch_or(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        truth(&text).ok_or_else(|| {
            let text = format!("could not parse {text} as bool value for flag {name}");
            refusal(Code::Generic, text)
        })
    }
}

pub(super) fn named(
    kind: WrappingKind,
    name: String,
    aws_profile: &str,
    context: &BTreeMap<String, String>,
) -> NamedKey {
    let (aws_profile, context) = if kind == WrappingKind::Kms {
        (aws_profile.to_owned(), context.clone())
    } else {
        (String::new(), BTreeMap::new())
    };
    NamedKey { kind, name, aws_profile, context }
}

/// The parts of a list with commas, blanks left out.
pub(super) fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
}

/// Where sops is told to log who uses which file (`audit/audit.go`).
const AUDIT: &str = "/etc/sops/audit.yaml";

/// The order in which sops puts the keys of the command line into a group.
pub(super) const KINDS: [(&str, WrappingKind); 7] = [
    ("kms", WrappingKind::Kms),
    ("gcp-kms", WrappingKind::GcpKms),
    ("hckms", WrappingKind::HcKms),
    ("azure-kv", WrappingKind::AzureKv),
    ("pgp", WrappingKind::Pgp),
    ("hc-vault-transit", WrappingKind::HcVault),
    ("age", WrappingKind::Age),
];

/// The order in which a rotation adds and removes them.
const CHANGED: [(&str, WrappingKind); 7] = [
    ("kms", WrappingKind::Kms),
    ("pgp", WrappingKind::Pgp),
    ("gcp-kms", WrappingKind::GcpKms),
    ("hckms", WrappingKind::HcKms),
    ("azure-kv", WrappingKind::AzureKv),
    ("hc-vault-transit", WrappingKind::HcVault),
    ("age", WrappingKind::Age),
];

type Selector = (&'static str, fn(String) -> Rule);

const SELECTORS: [Selector; 6] = [
    ("unencrypted-suffix", Rule::UnencryptedSuffix),
    ("encrypted-suffix", Rule::EncryptedSuffix),
    ("encrypted-regex", Rule::EncryptedRegex),
    ("unencrypted-regex", Rule::UnencryptedRegex),
    ("encrypted-comment-regex", Rule::EncryptedCommentRegex),
    ("unencrypted-comment-regex", Rule::UnencryptedCommentRegex),
];
