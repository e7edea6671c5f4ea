//! What goes wrong on the target, for people: which secrets, which file, who can read it, which keys
//! were tried, and what to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Around, Failure, locked_headline, needs_lines, no_match_headline, tried_lines};
use crate::activate::check::{CheckProblem, User, Wrong};
use crate::activate::manifest::{Format, Manifest, Source};
use crate::activate::open::Opened;
use crate::activate::plan::{Deferred, PlanProblem, Subject, Why};
use crate::activate::values::Values;
use crate::activate::{ManifestError, OpenProblem, Problem, PublishError};
use crate::cli::target::Everything;
use crate::cli::ui::shown;
use crate::format::sops::store::Way;
use crate::key::keyring::{Tried, Unopened};

/// Explains what is wrong with a manifest.
pub(crate) fn manifest(error: &ManifestError) -> Failure {
    Failure::of_text(&error.to_string())
        .hint("the module writes it: look at the options that the fields come from")
}

/// Explains why a store was not filled.
pub(crate) fn publish(store: &str, error: &PublishError) -> Failure {
    let about = if store.is_empty() { String::new() } else { format!("the store `{store}`: ") };
    Failure::new(format!("nothing was changed: {about}{error}")).maybe_hint(error.remedy())
}

/// Explains what went wrong beside.
pub(crate) fn trouble(store: &str, problem: &Problem) -> Failure {
    let headline = match (&problem.name, store) {
        (Some(name), _) => format!("secret `{name}`: {}", problem.trouble),
        (None, "") => problem.trouble.to_string(),
        (None, store) => format!("the store `{store}`: {}", problem.trouble),
    };
    Failure::new(headline).maybe_hint(problem.trouble.remedy())
}

/// A line for each file of private keys that was of use.
pub(crate) fn keys(tried: &[Tried]) -> Vec<String> {
    let keys = |tried: &Tried| Some((tried.source.clone(), tried.what.as_ref().ok()?.join(", ")));
    let used = tried.iter().filter_map(keys);
    used.map(|(source, keys)| format!("using the keys of {source} ({keys})")).collect()
}

/// What is left to root for now.
pub(crate) fn deferred(deferred: &[Deferred<'_>]) -> Vec<Failure> {
    let mut by_owner: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in deferred {
        let what = match &one.what {
            Some(subject) => label(subject),
            None => format!("the folders of the store `{}`", one.store),
        };
        by_owner.entry(one.owner).or_default().push(what);
    }
    let failure = |(owner, what): (&str, Vec<String>)| {
        Failure::new(format!(
            "`{owner}` is not known yet, so this is left to root: {}",
            what.join(", ")
        ))
    };
    by_owner.into_iter().map(failure).collect()
}

/// What is left to the run that asks key services.
pub(crate) fn waiting(waiting: &[Subject<'_>]) -> Option<String> {
    let labels: Vec<String> = waiting.iter().map(label).collect();
    let they = labels.join(", ");
    (!labels.is_empty())
        .then(|| format!("left until key services are asked over the network: {they}"))
}

/// Explains why secrets and templates are not installed anew, one message a file; and whether one of
/// them has to be there.
pub(crate) fn problems(
    problems: &[PlanProblem<'_, '_>],
    values: &Values<'_>,
    left: &Everything<'_, '_>,
) -> Vec<(Failure, bool)> {
    let mut explained = Vec::new();
    let mut by_file: BTreeMap<(PathBuf, Format, String), Vec<Subject<'_>>> = BTreeMap::new();
    for PlanProblem { what, why } in problems {
        let text = match (why, what) {
            (Why::Source, Subject::Secret(secret)) => {
                let source = secret.source();
                let said = match values.opened.value(&source) {
                    Ok(_) => String::new(),
                    Err(problem) => problem.to_string(),
                };
                by_file.entry((source.file, source.format, said)).or_default().push(*what);
                continue;
            }
            (Why::Source, Subject::Template(_)) | (Why::Network, _) => continue,
            (Why::Value(problem), _) => problem.to_string(),
            (Why::Render(error), _) => error.to_string(),
            (Why::NoUser(name), _) => format!("there is no user `{name}`"),
            (Why::NoGroup(name), _) => format!("there is no group `{name}`"),
        };
        let failure = Failure::new(format!("{}: {text}", label(what)))
            .detail(format!("now: {}", left.what_is_left(what)));
        let hint = match why {
            Why::NoUser(_) | Why::NoGroup(_) => {
                Some("name one that this machine has, or a number".to_owned())
            }
            Why::Source | Why::Network | Why::Value(_) | Why::Render(_) => None,
        };
        explained.push((failure.maybe_hint(hint), what.required()));
    }
    for ((file, format, _), subjects) in by_file {
        let source = subjects.iter().find_map(|subject| match subject {
            Subject::Secret(secret) => Some(secret.source()),
            Subject::Template(_) => None,
        });
        let source = source.unwrap_or(Source { file, format, key: None });
        let Err(problem) = values.opened.value(&source) else { continue };
        let mut failure = open_problem(problem, &source.file, &values.opened.tried);
        let states = subjects.iter().map(|one| (one.name(), left.what_is_left(one)));
        let secrets: Vec<String> =
            states.map(|(name, state)| format!("{name} ({state})")).collect();
        failure.details.insert(0, format!("secrets: {}", secrets.join(", ")));
        explained.push((failure, subjects.iter().any(Subject::required)));
    }
    explained
}

/// Explains which credentials services would not get, one message a file.
pub(crate) fn credentials(manifest: &Manifest, opened: &Opened) -> Vec<Failure> {
    let mut by_file: BTreeMap<(PathBuf, String), (Failure, Vec<String>)> = BTreeMap::new();
    for (unit, name, credential) in manifest.credentials() {
        let source = credential.source();
        let Err(problem) = opened.value(&source) else { continue };
        let option = credential.option.as_deref();
        let of = by_file
            .entry((source.file.clone(), problem.to_string()))
            .or_insert_with(|| (open_problem(problem, &source.file, &opened.tried), Vec::new()));
        of.1.push(user(&User::Credential { unit, name, option }));
    }
    let failure = |(failure, users): (Failure, Vec<String>)| {
        failure.detail(format!("for: {}", users.join(", ")))
    };
    by_file.into_values().map(failure).collect()
}

/// Explains why a file was not opened.
pub(crate) fn open_problem(problem: &OpenProblem, file: &Path, tried: &[Tried]) -> Failure {
    let path = shown(file);
    let around = Around { tried, needs: &[] };
    let remedy = || tried.iter().find_map(|tried| tried.remedy.clone());
    match problem {
        OpenProblem::Unopened { why: Unopened::NoMatch, readers } => {
            let failure = tried_lines(Failure::new(no_match_headline(&path, &around)), &around);
            needs_lines(failure, readers.iter().cloned())
                .hint(remedy().unwrap_or_else(|| REKEY.to_owned()))
        }
        OpenProblem::Locked(locked) if locked.unusable.is_none() => {
            let headline = if locked.groups.len() > 1 {
                format!("cannot decrypt `{path}`: {locked}")
            } else {
                locked_headline(locked, &path, &around)
            };
            let mut failure = tried_lines(Failure::new(headline), &around);
            for entry in locked.notable() {
                let what = format!("tried: {} ({})", entry.key.shown(), entry.reason);
                failure = failure.detail(what);
            }
            let hint = remedy().or_else(|| locked.remedy());
            needs_lines(failure, locked.needs().map(crate::key::wrapping::WrappingKey::shown))
                .hint(hint.unwrap_or_else(|| REKEY.to_owned()))
        }
        OpenProblem::NotEncrypted => Failure::new(format!("`{path}` is not encrypted")).hint(
            "if it holds a secret, take it for known, replace the value, and encrypt the new one",
        ),
        OpenProblem::Missing { .. } | OpenProblem::Null { .. } | OpenProblem::NoParts => {
            Failure::new(format!("cannot use `{path}`: {problem}"))
                .hint("correct `key`, or add the value with `secretctl set`")
        }
        OpenProblem::IsAge { .. } | OpenProblem::IsSops => {
            Failure::new(format!("cannot use `{path}`: {problem}")).hint("correct `format`")
        }
        OpenProblem::Read(_) => Failure::new(format!("cannot read `{path}`: {problem}")),
        OpenProblem::Unopened { .. }
        | OpenProblem::Locked(_)
        | OpenProblem::Age(_)
        | OpenProblem::Sops(_)
        | OpenProblem::Content { .. }
        | OpenProblem::Print(_)
        | OpenProblem::NotAsked => Failure::new(format!("cannot decrypt `{path}`: {problem}"))
            .hint("restore it from git, and deploy again"),
    }
}

/// Explains what `--check` found.
pub(crate) fn check_problem(problem: &CheckProblem<'_>) -> Failure {
    let file = problem.file.as_deref().map(shown).unwrap_or_default();
    let users: Vec<String> = problem.users.iter().map(user).collect();
    let failure = match &problem.what {
        Wrong::Source(error) => {
            let path = problem.file.as_deref().unwrap_or(Path::new(""));
            open_problem(error, path, &[])
        }
        Wrong::InTheOpen(way) if way.is_empty() => Failure::new(format!(
            "`{file}` has text in the open that is in none of its values, and that its MAC does not cover"
        ))
        .hint("take that text out; if it is a secret, take it for known"),
        Wrong::InTheOpen(way) => Failure::new(format!(
            "`{file}` has its value `{}` in the open, which it says is encrypted",
            Way(way)
        ))
        .hint("take the value for known, replace it, and encrypt the file again"),
        Wrong::NotAReader(readers) => {
            let failure =
                Failure::new(format!("this machine is not among the readers of `{file}`"));
            needs_lines(failure, readers.iter().cloned()).hint(
                "give the machine access in the rules, run `secretctl rekey`, and build again; or \
                 correct `hostPublicKey`",
            )
        }
        Wrong::Template(error) => {
            return Failure::new(format!("{}: {error}", users.join(", ")));
        }
    };
    failure.detail(format!("for: {}", users.join(", ")))
}

/// What cannot be told without a key.
pub(crate) fn unsure(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| shown(file)).collect();
    format!(
        "whether this machine reads {} is known only to its private key: {}",
        if files.len() == 1 { "this file" } else { "these files" },
        files.join(", ")
    )
}

fn user(user: &User<'_>) -> String {
    match user {
        User::Piece(subject) => label(subject),
        User::Credential { unit, name, option } => {
            format!("credential `{name}` of `{unit}`{}", in_option(*option))
        }
    }
}

fn label(subject: &Subject<'_>) -> String {
    let (kind, name, option) = match subject {
        Subject::Secret(secret) => ("secret", &secret.name, &secret.option),
        Subject::Template(template) => ("template", &template.name, &template.option),
    };
    format!("{kind} `{name}`{}", in_option(option.as_deref()))
}

/// Where a configuration declares it.
fn in_option(option: Option<&str>) -> String {
    option.map(|option| format!(" ({})", shown(Path::new(option)))).unwrap_or_default()
}

const REKEY: &str = "give this machine access in the rules, run `secretctl rekey` where one of the \
                     needed keys is, and deploy again";
