//! Who is to read a new file and what of it is encrypted: from the command line, the environment
//! and `.sops.yaml`.

use super::desk::Desk;
use super::invocation::{Keys, NamedKey, Selection, Subject};
use super::resolve::refusal;
use super::{Code, Refusal};
use crate::cli::ui;
use crate::format::sops::store::Store;
use crate::key::wrapping::WrappingKey;
use crate::rules::{self, SopsReaders};
use crate::work::sops::{self, Recipe};

/// What the rules say of a file.
pub(super) struct Ruling {
    /// The rule.
    pub(super) readers: SopsReaders,
    notes: Vec<String>,
}

impl Ruling {
    /// The rule for a file; `None` where there are no rules at all.
    pub(super) fn find(desk: &Desk, subject: &Subject) -> Result<Option<Self>, Refusal> {
        let Some(file) = desk.rules_file(&subject.name) else { return Ok(None) };
        let failed = |what: &dyn std::fmt::Display| {
            refusal(Code::Generic, format!("error loading config: {what}"))
        };
        let said = rules::sops_yaml::load(&file).map_err(|error| failed(&error))?;
        let Some(rules) = said.rules else { return Ok(None) };
        let Some(rule) = rules.find(&desk.context.absolute(&subject.name)) else {
            return Err(failed(&"no matching creation rules found"));
        };
        if !rule.problems.is_empty() {
            let file = rules.file.clone();
            return Err(failed(&rules::RulesError::Problems {
                file,
                problems: rule.problems.clone(),
            }));
        }
        Ok(Some(Self { readers: rules.wrapping(rule), notes: said.notes }))
    }

    /// Says what sops would have passed over in the rules without a word.
    pub(super) fn tell(&self) {
        for note in &self.notes {
            ui::say(&format!("warning: {note}"));
        }
    }
}

/// What a new file is made by: keys of the command line and the environment stand for those of the
/// rule, selectors of the command line beside it.
pub(super) fn recipe(
    keys: &Keys,
    selection: &Selection,
    input: Store,
    ruling: Option<&Ruling>,
) -> Result<Recipe, Refusal> {
    let readers = ruling.map(|ruling| &ruling.readers);
    let groups = if keys.group.is_empty() {
        let Some(readers) = readers else {
            return Err(refusal(
                Code::Generic,
                "config file not found, or has no creation rules, and no keys provided through \
                 command line options",
            ));
        };
        sops::groups(readers)
    } else {
        vec![keys.group.iter().map(parsed).collect::<Result<_, _>>()?]
    };
    let ruled = readers.and_then(|readers| sops::rule(readers.selector.as_ref()));
    let rule = match (selection.rule.clone(), ruled) {
        (Some(said), Some(ruled)) if said.name() != ruled.name() && input != Store::Binary => {
            let (said, ruled) = (said.name(), ruled.name());
            let text = format!(
                "Error: cannot use more than one of encrypted_suffix, unencrypted_suffix, \
                 encrypted_regex, unencrypted_regex, encrypted_comment_regex, or \
                 unencrypted_comment_regex in the same file: the rule has {ruled}, and the command \
                 line {said}"
            );
            return Err(refusal(Code::Conflict, text));
        }
        (Some(said), _) => Some(said),
        (None, ruled) => ruled,
    };
    let whole = input == Store::Binary;
    let mac_only_encrypted =
        selection.mac_only_encrypted || readers.is_some_and(|readers| readers.mac_only_encrypted);
    Ok(Recipe {
        groups,
        threshold: keys.threshold.or(readers.and_then(|readers| readers.threshold)),
        rule: rule.filter(|_| !whole),
        mac_only_encrypted: mac_only_encrypted && !whole,
    })
}

/// A key that was named.
pub(super) fn parsed(named: &NamedKey) -> Result<WrappingKey, Refusal> {
    let NamedKey { kind, name, aws_profile, context } = named;
    rules::of_kind(*kind, name, aws_profile, context).map_err(|why| {
        let kind = kind.name();
        refusal(Code::Generic, format!("failed to parse {kind} key `{name}`: {why}"))
    })
}
