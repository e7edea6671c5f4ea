//! What can be wrong with rules, where it was said, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::go_regex::NO_ROOM;
use crate::key::RecipientError;
use crate::place::Place;
use crate::process::capture::ProcessError;

/// Why rules cannot be used.
#[derive(Debug)]
pub enum RulesError {
    /// No source of rules from here upwards.
    NoRules {
        /// Where the search began.
        start: PathBuf,
        /// What was found and is none, and why.
        notes: Vec<String>,
    },
    /// There is nothing where the user says that the rules are.
    Nowhere {
        /// Where that is.
        file: PathBuf,
    },
    /// A file or folder cannot be read.
    Read {
        /// It.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A rules file is larger than rules ever are.
    TooLarge {
        /// It.
        file: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// What was given as rules is of no known kind.
    UnknownKind {
        /// It.
        file: PathBuf,
    },
    /// All that is wrong inside one rules file.
    Problems {
        /// The rules file.
        file: PathBuf,
        /// At least one.
        problems: Vec<Problem>,
    },
    /// Nix cannot be run to its end.
    Process {
        /// The rules file that it was to evaluate.
        file: PathBuf,
        /// The reason.
        source: ProcessError,
    },
    /// Nix says that the rules cannot be evaluated.
    Nix {
        /// File and, where known, attribute.
        place: Place,
        /// The readable part of what Nix printed.
        text: String,
    },
    /// Nix gave something that is not JSON of the expected form.
    Answer {
        /// The rules file.
        file: PathBuf,
        /// What is unexpected about it.
        what: String,
    },
    /// The value of `secrets.nix` is not an attribute set.
    NotAttributes {
        /// The rules file.
        file: PathBuf,
        /// What Nix calls its type.
        found: String,
    },
    /// A flake without the output that holds rules.
    NoOutput {
        /// The `flake.nix`.
        file: PathBuf,
    },
    /// Two sources claim one file and disagree.
    Conflict {
        /// The file.
        file: PathBuf,
        /// The two rules.
        places: Box<[Place; 2]>,
        /// What they disagree about.
        what: String,
    },
}

/// One thing that is wrong inside a rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: ProblemKind,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// Not well-formed, or a part of YAML that rules do not use.
    Syntax {
        /// The parser's words.
        what: String,
    },
    /// A field that does not exist.
    UnknownField {
        /// It.
        name: String,
        /// The fields that exist here.
        known: &'static [&'static str],
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// A key that stands twice in one mapping.
    Twice {
        /// It.
        name: String,
        /// Line of the first.
        first: usize,
    },
    /// A name that two readers or groups bear.
    TakenName {
        /// It.
        name: String,
        /// The first of them.
        first: Place,
    },
    /// A name that cannot be one.
    BadName {
        /// It.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// A reader that nobody declared.
    UnknownReader {
        /// The name.
        name: String,
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// Groups that contain each other.
    Cycle {
        /// Their names, the first again at the end.
        chain: Vec<String>,
    },
    /// Groups inside groups, too many deep.
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A value of the wrong kind.
    WrongType {
        /// The field or thing.
        what: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A field that must be there.
    Missing {
        /// It.
        field: &'static str,
    },
    /// A path that leads out of the repository.
    Escapes {
        /// The path.
        path: String,
    },
    /// A path or glob that cannot be one.
    BadPath {
        /// The path.
        path: String,
        /// Why.
        why: String,
    },
    /// A secret that nobody could read.
    NoReaders {
        /// Its path.
        path: String,
    },
    /// A public key that cannot be used.
    Key {
        /// Whose key it is, or which element of which list.
        owner: String,
        /// Why.
        source: RecipientError,
    },
    /// A key of PGP or of a key service that cannot be used.
    OtherKey {
        /// Whose key it is, or which element of which list.
        owner: String,
        /// Why.
        why: &'static str,
    },
    /// A reader of an age file without any key that age knows.
    NotForAge {
        /// The reader.
        reader: String,
        /// The file.
        path: PathBuf,
    },
    /// A regular expression that Go, and so sops, would not take.
    BadRegex {
        /// It.
        text: String,
        /// Why.
        why: &'static str,
    },
    /// Two ways to choose which values are encrypted.
    Selectors {
        /// The field of the one.
        first: &'static str,
        /// The field of the other.
        second: &'static str,
    },
    /// More groups of keys asked for than there are, or fewer than two.
    Threshold {
        /// What was asked for.
        threshold: usize,
        /// How many there are.
        groups: usize,
    },
    /// A group without keys.
    EmptyGroup {
        /// Which, from 1.
        number: usize,
    },
    /// An attribute whose value cannot be evaluated.
    Evaluation {
        /// The readable part of what Nix printed.
        text: String,
    },
    /// An attribute that looks like a rule and is none.
    NotARule {
        /// Why.
        why: String,
    },
    /// Two attributes name one file and disagree.
    Contradiction {
        /// The file.
        path: String,
        /// The other attribute.
        other: Place,
    },
}

impl RulesError {
    /// The same with a more exact place, where it is about an evaluation.
    pub(super) fn about(mut self, exact: &Place) -> Self {
        if let Self::Nix { place, .. } = &mut self {
            place.clone_from(exact);
        }
        self
    }

    /// The file in which all would be well if secrets that nobody could read had a reader.
    pub fn only_lacks_readers(&self) -> Option<&Path> {
        let Self::Problems { file, problems } = self else { return None };
        let lacks = |problem: &Problem| matches!(problem.kind, ProblemKind::NoReaders { .. });
        problems.iter().all(lacks).then_some(file)
    }

    /// A step that the user can take.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRules { .. } => Some(
                "run `secretctl init` to begin a `secretctl.yaml`, or name the rules with \
                 `--rules FILE`"
                    .to_owned(),
            ),
            Self::Process { source: ProcessError::Missing { .. }, .. } => Some(
                "install Nix: `apt-get install nix-bin` on Debian and Ubuntu, or the installer \
                 of nixos.org"
                    .to_owned(),
            ),
            Self::Nix { text, .. } if text.contains("does not exist") && text.contains("store") => {
                Some("a flake in git sees only files that git knows: `git add` new ones".to_owned())
            }
            Self::Nix { text, .. } => without_builds(text),
            Self::UnknownKind { .. } => Some(
                "rules are a `secretctl.yaml`, a `secrets.nix`, a `.sops.yaml`, or a `flake.nix` \
                 with an output `secretctl`"
                    .to_owned(),
            ),
            Self::NotAttributes { found, .. } if found == "lambda" => Some(
                "the rules file of agenix takes no arguments; if this file is a NixOS module, \
                 name the right one with `--rules FILE`"
                    .to_owned(),
            ),
            Self::NoOutput { .. } => {
                Some("add `secretctl = inputs.secretctl.lib.rules self;` to its outputs".to_owned())
            }
            Self::Conflict { .. } => {
                Some("let one of the two say who reads the file, or make them agree".to_owned())
            }
            Self::Problems { problems, .. } => match problems.as_slice() {
                [one] => one.kind.remedy(),
                _ => None,
            },
            Self::Nowhere { .. } => Some(
                "rules come from `--rules`, or from the variable `RULES` if it is set".to_owned(),
            ),
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Process { .. }
            | Self::Answer { .. }
            | Self::NotAttributes { .. } => None,
        }
    }
}

/// What to do where Nix was to build something. Old Nix misses the derivation, which nobody wrote.
fn without_builds(text: &str) -> Option<String> {
    let signs = ["import-from-derivation", ".drv' is not valid"];
    let remedy = "rules are evaluated without builds: put what this one makes into a file of the \
                  repository";
    signs.iter().any(|sign| text.contains(sign)).then(|| remedy.to_owned())
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRules { start, notes } => {
                write!(f, "no rules found from `{}` upwards", start.display())?;
                f.write_str("\n  looked for: secretctl.yaml, secrets.nix, secrets/secrets.nix, ")?;
                f.write_str(".sops.yaml, flake.nix with an output `secretctl`")?;
                notes.iter().try_for_each(|note| write!(f, "\n  {note}"))
            }
            Self::Nowhere { file } => write!(f, "the rules `{}` do not exist", file.display()),
            Self::Read { file, source } => {
                write!(f, "cannot read `{}`: {source}", file.display())
            }
            Self::TooLarge { file, limit } => write!(
                f,
                "the rules file `{}` is larger than {limit} bytes, the most that is read",
                file.display()
            ),
            Self::UnknownKind { file } => {
                write!(f, "`{}` is no rules file of a known kind", file.display())
            }
            Self::Problems { file, problems } => match problems.as_slice() {
                [one] => write!(f, "{}\n  at: {}", one.kind, one.place),
                many => {
                    write!(f, "{} problems in `{}`", many.len(), file.display())?;
                    for problem in many {
                        write!(f, "\n  {problem}")?;
                        if let Some(remedy) = problem.kind.remedy() {
                            write!(f, "\n    {remedy}")?;
                        }
                    }
                    Ok(())
                }
            },
            Self::Process { file, source } => {
                write!(f, "cannot evaluate `{}`: {source}", file.display())
            }
            Self::Nix { place, text } => {
                write!(f, "Nix cannot evaluate `{place}`")?;
                indent(f, text, "  ")
            }
            Self::Answer { file, what } => {
                write!(f, "the rules that Nix made of `{}` cannot be used: {what}", file.display())
            }
            Self::NotAttributes { file, found } => {
                let found = if found == "lambda" { "function" } else { found };
                write!(
                    f,
                    "`{}` must be an attribute set of rules, but its value is a {found}",
                    file.display()
                )
            }
            Self::NoOutput { file } => {
                write!(f, "the flake `{}` has no output `secretctl`", file.display())
            }
            Self::Conflict { file, places, what } => {
                let [first, second] = &**places;
                write!(
                    f,
                    "two sources of rules disagree about `{}`: {what}\n  one: {first}\n  other: {second}",
                    file.display()
                )
            }
        }
    }
}

impl std::error::Error for RulesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Process { source, .. } => Some(source),
            Self::NoRules { .. }
            | Self::Nowhere { .. }
            | Self::TooLarge { .. }
            | Self::UnknownKind { .. }
            | Self::Problems { .. }
            | Self::Nix { .. }
            | Self::Answer { .. }
            | Self::NotAttributes { .. }
            | Self::NoOutput { .. }
            | Self::Conflict { .. } => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.kind)
    }
}

impl ProblemKind {
    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::UnknownField { known, .. } => Some(format!("known here: {}", known.join(", "))),
            Self::UnknownReader { .. } => {
                Some("declare it under `users`, `hosts` or `groups`".to_owned())
            }
            Self::TakenName { .. } => {
                Some("users, hosts and groups share one set of names: rename one".to_owned())
            }
            Self::Escapes { .. } => {
                Some("write the path relative to the folder of the rules file".to_owned())
            }
            Self::NoReaders { .. } => {
                Some("name a reader, or master keys under `defaultEncryptKeys`".to_owned())
            }
            Self::Key { source, .. } => source.remedy(),
            Self::Evaluation { text } => without_builds(text),
            Self::Contradiction { .. } | Self::Selectors { .. } => {
                Some("keep one of the two".to_owned())
            }
            Self::NotForAge { .. } => Some(
                "give the reader an age or SSH key too; keys of PGP and of key services serve \
                 for sops files"
                    .to_owned(),
            ),
            Self::BadRegex { why: NO_ROOM, .. } => {
                Some("write simpler expressions, without large repetitions".to_owned())
            }
            Self::BadRegex { .. } => {
                Some("it must be a regular expression as Go has them (RE2)".to_owned())
            }
            Self::Threshold { .. } => {
                Some("leave it out to ask for a key of every group".to_owned())
            }
            Self::Syntax { .. }
            | Self::Twice { .. }
            | Self::BadName { .. }
            | Self::Cycle { .. }
            | Self::TooDeep { .. }
            | Self::WrongType { .. }
            | Self::Missing { .. }
            | Self::BadPath { .. }
            | Self::OtherKey { .. }
            | Self::EmptyGroup { .. }
            | Self::NotARule { .. } => None,
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did_you_mean = |f: &mut fmt::Formatter<'_>, meant: &Option<String>| match meant {
            Some(meant) => write!(f, "; did you mean `{meant}`?"),
            None => Ok(()),
        };
        match self {
            Self::Syntax { what } => f.write_str(what),
            Self::UnknownField { name, meant, .. } => {
                write!(f, "there is no field `{name}`")?;
                did_you_mean(f, meant)
            }
            Self::Twice { name, first } => {
                write!(f, "`{name}` stands here a second time, first in line {first}")
            }
            Self::TakenName { name, first } => {
                write!(f, "the name `{name}` is taken already at {first}")
            }
            Self::BadName { name, why } => write!(f, "`{name}` cannot be a name: {why}"),
            Self::UnknownReader { name, meant } => {
                write!(f, "nobody is called `{name}`")?;
                did_you_mean(f, meant)
            }
            Self::Cycle { chain } => {
                write!(f, "groups contain each other: {}", chain.join(" > "))
            }
            Self::TooDeep { limit } => {
                write!(f, "groups contain groups more than {limit} deep here")
            }
            Self::WrongType { what, expected } => write!(f, "{what} must be {expected}"),
            Self::Missing { field } => write!(f, "the field `{field}` is missing"),
            Self::Escapes { path } => write!(f, "the path `{path}` leads out of the repository"),
            Self::BadPath { path, why } => write!(f, "`{path}` is no path of a secret: {why}"),
            Self::NoReaders { path } => write!(f, "nobody could read `{path}`: it has no readers"),
            Self::Key { owner, source } => write!(f, "{owner}: {source}"),
            Self::OtherKey { owner, why } => write!(f, "{owner}: {why}"),
            Self::NotForAge { reader, path } => write!(
                f,
                "`{reader}` has no key that could open `{}`, which is encrypted with age",
                path.display()
            ),
            Self::BadRegex { text, why } => write!(f, "`{text}` {why}"),
            Self::Selectors { first, second } => {
                write!(f, "a rule cannot have both `{first}` and `{second}`")
            }
            Self::Threshold { threshold, groups } => write!(
                f,
                "`shamir_threshold` is {threshold}, but must be from 2 to {groups}, the number of \
                 key groups"
            ),
            Self::EmptyGroup { number } => write!(f, "key group {number} has no key"),
            Self::Evaluation { text } => {
                f.write_str("Nix cannot evaluate this attribute")?;
                indent(f, text, "    ")
            }
            Self::NotARule { why } => write!(f, "this is no rule: {why}"),
            Self::Contradiction { path, other } => {
                write!(f, "`{path}` has a different rule at {other} already")
            }
        }
    }
}

fn indent(f: &mut fmt::Formatter<'_>, text: &str, by: &str) -> fmt::Result {
    text.lines().try_for_each(|line| write!(f, "\n{by}{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_nix_the_error_says_what_to_install() {
        let source = ProcessError::Missing { program: "nix-instantiate".into() };
        let error = RulesError::Process { file: "secrets.nix".into(), source };
        assert_eq!(
            error.to_string(),
            "cannot evaluate `secrets.nix`: there is no program `nix-instantiate` on PATH"
        );
        assert!(error.hint().unwrap().contains("apt-get install nix-bin"));
    }

    #[test]
    fn several_problems_are_shown_below_each_other_with_their_remedies() {
        let problem = |line, kind| Problem { place: Place::at("a.yaml".as_ref(), line, 1), kind };
        let error = RulesError::Problems {
            file: "a.yaml".into(),
            problems: vec![
                problem(2, ProblemKind::Escapes { path: "../x".to_owned() }),
                problem(5, ProblemKind::Missing { field: "path" }),
            ],
        };
        assert_eq!(
            error.to_string(),
            "2 problems in `a.yaml`\n  a.yaml:2:1: the path `../x` leads out of the repository\n    \
             write the path relative to the folder of the rules file\n  a.yaml:5:1: the field \
             `path` is missing"
        );
    }
}
