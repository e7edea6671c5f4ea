//! The rules of a flake: its output `secretctl`, made by `lib.rules self` (see
//! `nixos-module/rules.nix`) or written by hand in the same form, evaluated in one process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use crate::place::Place;

use super::build::{self, Document, Named, Said, Secret};
use super::error::RulesError;
use super::{Rules, SelectorKind, Source, cache, clean, nix};

/// The name of the file.
pub const FILE_NAME: &str = "flake.nix";

/// `nix eval` looks for a package of that name before it looks for the output.
const NOT_A_PACKAGE: &str =
    "value: if value.type or \"\" == \"derivation\" then { package = true; } else value";

/// What the output holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Answer {
    version: u32,
    #[serde(default)]
    users: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    hosts: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    groups: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    default_encrypt_keys: Vec<String>,
    #[serde(default)]
    secrets: BTreeMap<String, SecretAnswer>,
    #[serde(default)]
    outside: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SecretAnswer {
    #[serde(default)]
    readers: Vec<String>,
    armor: Option<bool>,
    #[serde(default)]
    anonymous: bool,
    encrypted_regex: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Evaluates the output `secretctl` of the flake in the folder of `file`, an absolute path.
///
/// Hands back the rules and what the user should hear of (Nix's warnings, secrets that lie
/// outside of the flake).
///
/// # Errors
/// [`RulesError`]
pub fn load(file: &Path, nix_options: &[String]) -> Result<(Rules, Vec<String>), RulesError> {
    load_cached(file, nix_options, None, None)
}

/// As [`load`], from the cache where that has the answer, and with a store of our own for users
/// who may not use that of the machine.
pub(super) fn load_cached(
    file: &Path,
    nix_options: &[String],
    key: Option<&cache::Key>,
    own_store: Option<&Path>,
) -> Result<(Rules, Vec<String>), RulesError> {
    let file = clean(file);
    let folder = file.parent().unwrap_or(Path::new("/"));
    let (value, mut notes) = if let Some(known) = key.and_then(cache::Key::read) {
        known
    } else {
        let (value, notes) = output(&file, nix_options, own_store)?;
        key.and_then(|key| key.write(&value, &notes));
        (value, notes)
    };
    let refused = |what: String| RulesError::Answer { file: file.clone(), what };
    let answer: Answer =
        serde_json::from_value(value).map_err(|error| refused(error.to_string()))?;
    if answer.version != 1 {
        let version = answer.version;
        return Err(refused(format!("they are of version {version}, this program knows 1")));
    }
    notes.extend(
        answer.outside.iter().map(|entry| {
            format!("a secret file lies outside of the flake and is left out: {entry}")
        }),
    );
    let rules = build::resolve(&document(answer, &file), Source::Flake, &file, folder)
        .map_err(|problems| RulesError::Problems { file: file.clone(), problems })?;
    Ok((rules, notes))
}

/// The output, and not a package of the same name.
fn output(
    file: &Path,
    options: &[String],
    own_store: Option<&Path>,
) -> Result<(serde_json::Value, Vec<String>), RulesError> {
    let (value, notes) = evaluate(file, ".#secretctl", options, own_store)?;
    if value.get("package").is_none() {
        return Ok((value, notes));
    }
    // Newer Nix takes a leading dot for "exactly this".
    evaluate(file, ".#.secretctl", options, own_store).map_err(|error| {
        if matches!(error, RulesError::NoOutput { .. }) {
            let what = "the flake has a package `secretctl`, which this version of Nix takes for \
                        the output of that name; call the package `secretctl-cli`, or use Nix 2.19 \
                        or newer";
            RulesError::Answer { file: file.to_owned(), what: what.to_owned() }
        } else {
            error
        }
    })
}

fn evaluate(
    file: &Path,
    installable: &str,
    options: &[String],
    own_store: Option<&Path>,
) -> Result<(serde_json::Value, Vec<String>), RulesError> {
    let fixed = [
        "--extra-experimental-features",
        "nix-command flakes",
        "eval",
        "--json",
        "--no-write-lock-file",
        "--option",
        "pure-eval",
        "true",
        // Rules need no builds.
        "--option",
        "allow-import-from-derivation",
        "false",
        "--apply",
        NOT_A_PACKAGE,
    ];
    let mut args: Vec<OsString> = fixed.map(Into::into).into();
    args.extend(options.iter().map(Into::into));
    args.push(installable.into());
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut output = nix::run(folder, "nix", &args, file)?;
    if let Some(store) = own_store.filter(|_| nix::is_about_the_store(&output.stderr)) {
        args.extend(["--store".into(), store.into()]);
        output = nix::run(folder, "nix", &args, file)?;
    }
    let place = Place::attribute(file, "secretctl");
    let value = nix::answer(&output, &place).map_err(|error| {
        let is_absent = matches!(&error, RulesError::Nix { text, .. }
            if text.contains("does not provide attribute"));
        if is_absent { RulesError::NoOutput { file: file.to_owned() } } else { error }
    })?;
    Ok((value, nix::warnings(&output.stderr)))
}

fn document(answer: Answer, file: &Path) -> Document {
    let said = |attribute: String, text: String| Said {
        text,
        place: Place::attribute(file, &format!("secretctl.{attribute}")),
    };
    let named = |section: &str, entries: BTreeMap<String, OneOrMore>| {
        let one = |(name, values): (String, OneOrMore)| {
            let attribute = format!("{section}.{name}");
            let values = match values {
                OneOrMore::One(value) => vec![value],
                OneOrMore::More(values) => values,
            };
            let values = values.into_iter().map(|value| said(attribute.clone(), value)).collect();
            Named { name: said(attribute.clone(), name), values }
        };
        entries.into_iter().map(one).collect::<Vec<_>>()
    };
    let masters = answer.default_encrypt_keys.into_iter();
    let secrets = answer.secrets.into_iter().map(|(path, secret)| {
        let attribute = format!("secrets.\"{path}\"");
        let readers = secret.readers.into_iter().map(|name| said(attribute.clone(), name));
        Secret {
            readers: readers.collect(),
            path: said(attribute.clone(), path),
            selector: secret
                .encrypted_regex
                .map(|regex| (SelectorKind::EncryptedRegex, said(attribute.clone(), regex))),
            mac_only_encrypted: false,
            anonymous: secret.anonymous,
            armor: secret.armor,
        }
    });
    Document {
        secrets: secrets.collect(),
        masters: masters.map(|name| said("defaultEncryptKeys".to_owned(), name)).collect(),
        users: named("users", answer.users),
        hosts: named("hosts", answer.hosts),
        groups: named("groups", answer.groups),
    }
}
