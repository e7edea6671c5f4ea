//! The patterns of `.gitattributes` for the sops files that the rules know.
//!
//! A pattern stands for all files of one ending in a folder, where all of them are sops files that
//! a rule is about; elsewhere each file is named. The root gets no patterns: what comes there later
//! may be anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::context::Context;
use super::super::ui;
use crate::fsx::read::read_plaintext;
use crate::rules::Wanted;
use crate::work::sops::{self, MAX_FILE};

/// The patterns, sorted. Rules that cannot be read are told of, and the others count.
pub(super) fn of_sops_files(context: &Context, top: &Path) -> Vec<String> {
    if context.rules_folder(top).is_none() {
        return Vec::new();
    }
    let rules = match context.try_rules(Wanted::All) {
        Ok(rules) => rules,
        Err(error) => {
            ui::say(&format!("warning: no sops files are looked for: {error}"));
            return Vec::new();
        }
    };
    let files = match rules.secret_files() {
        Ok(files) => files,
        Err(error) => {
            ui::say(&format!("warning: the sops files cannot be listed: {error}"));
            return Vec::new();
        }
    };
    let inside = |file: PathBuf| file.strip_prefix(top).map(Path::to_owned).ok();
    let files = files.into_iter().filter(|file| is_sops(file)).filter_map(inside);
    patterns(&files.collect(), &|folder| beside(&top.join(folder)))
}

fn patterns(
    files: &BTreeSet<PathBuf>,
    beside: &dyn Fn(&Path) -> Option<BTreeSet<std::ffi::OsString>>,
) -> Vec<String> {
    let mut folders: BTreeMap<(&Path, Option<&str>), Vec<&PathBuf>> = BTreeMap::new();
    for file in files {
        let folder = file.parent().unwrap_or(Path::new(""));
        let ending = file.extension().and_then(|ending| ending.to_str());
        folders.entry((folder, ending)).or_default().push(file);
    }
    let mut patterns = Vec::new();
    for ((folder, ending), files) in folders {
        let is_one_of =
            |name: &std::ffi::OsString| files.iter().any(|f| f.file_name() == Some(name));
        let of_ending = |name: &&std::ffi::OsString| {
            Path::new(name).extension().and_then(|found| found.to_str()) == ending
        };
        let all =
            |names: BTreeSet<std::ffi::OsString>| names.iter().filter(of_ending).all(is_one_of);
        match ending {
            Some(ending) if folder != Path::new("") && beside(folder).is_some_and(all) => {
                let folder = escaped(&folder.to_string_lossy());
                patterns.push(quoted(format!("/{folder}/*.{}", escaped(ending))));
            }
            Some(_) | None => patterns.extend(
                files.iter().map(|f| quoted(format!("/{}", escaped(&f.to_string_lossy())))),
            ),
        }
    }
    patterns.sort_unstable();
    patterns
}

fn is_sops(file: &Path) -> bool {
    let Ok(text) = read_plaintext(file, MAX_FILE) else { return false };
    let store = sops::store_of(file, &text);
    sops::parse(text, store).is_ok()
}

/// The names in a folder; `None` where it cannot be read.
fn beside(folder: &Path) -> Option<BTreeSet<std::ffi::OsString>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        if !entry.file_type().ok()?.is_dir() {
            names.insert(entry.file_name());
        }
    }
    Some(names)
}

/// So that it stands for itself in a pattern.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// In the quotes of C where git would take it for more than one word.
fn quoted(pattern: String) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || c == '"';
    if !pattern.contains(special) {
        return pattern;
    }
    let mut quoted = String::from("\"");
    for character in pattern.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str], others: &[&str]) -> Vec<String> {
        let set = files.iter().map(PathBuf::from).collect();
        let beside = |folder: &Path| {
            let all = files.iter().chain(others).map(Path::new);
            let here = all.filter(|file| file.parent() == Some(folder));
            Some(here.filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect())
        };
        patterns(&set, &beside)
    }

    #[test]
    fn a_folder_of_one_kind_is_one_pattern_and_the_root_is_none() {
        let files = ["secrets.yaml", "s/a.yaml", "s/b.yaml", "s/c.json", "s/plain"];
        let wanted = ["/s/*.json", "/s/*.yaml", "/s/plain", "/secrets.yaml"];
        assert_eq!(of(&files, &["s/readme.md"]), wanted);
        assert_eq!(of(&["s/a.yaml"], &["s/ci.yaml"]), ["/s/a.yaml"]);
    }

    #[test]
    fn names_stand_for_themselves() {
        assert_eq!(of(&["a b.yaml", "c[1].yaml"], &[]), ["\"/a b.yaml\"", "/c\\[1].yaml"]);
    }
}
