//! Runs Nix for rules: one evaluation, JSON out, the readable part of its errors.
//!
//! Expressions are constants of this program; whatever comes from outside goes in as an argument.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::place::Place;
use crate::process::capture::{Output, ProcessError, capture};

use super::error::RulesError;

/// A whole fleet may take minutes to evaluate.
const TIME_LIMIT: Duration = Duration::from_mins(15);
const OUTPUT_LIMIT: usize = 256 << 20;
/// Longer lines and more of them tell a person nothing.
const TEXT_LINES: usize = 10;
const TEXT_COLUMNS: usize = 240;

/// The JSON that an expression gives, evaluated with `--argstr` arguments; `extra` are further
/// options of Nix.
///
/// # Errors
/// [`RulesError::Process`], [`RulesError::Nix`] (with `place`) or [`RulesError::Answer`].
pub(super) fn evaluate<T: DeserializeOwned>(
    expression: &str,
    arguments: &[(&str, &OsStr)],
    extra: &[String],
    place: &Place,
) -> Result<T, RulesError> {
    let mut args = arguments_for(arguments);
    args.extend(extra.iter().map(Into::into));
    args.extend(["--expr".into(), expression.into()]);
    let folder = place.file.parent().unwrap_or(Path::new("/"));
    let mut output = run(folder, "nix-instantiate", &args, &place.file)?;
    if !output.status.success() && is_about_the_store(&output.stderr) {
        // Somebody who may not use the store of this machine can still evaluate plain files.
        args.extend(["--store", "dummy://"].map(Into::into));
        output = run(folder, "nix-instantiate", &args, &place.file)?;
    }
    answer(&output, place)
}

/// The same, with all that was said on the way, and without a store: what would be put into one
/// (also a path that is made a string) is an error. `None` for each failure: whoever asks has
/// another way.
pub(super) fn trace<T: DeserializeOwned>(
    expression: &str,
    arguments: &[(&str, &OsStr)],
    timeout: Duration,
    place: &Place,
) -> Option<(T, Vec<u8>)> {
    let mut args = arguments_for(arguments);
    let closed = ["--read-write-mode", "--store", "dummy://", "--expr", expression];
    args.extend(closed.map(Into::into));
    let folder = place.file.parent()?;
    let program = OsStr::new("nix-instantiate");
    let output = capture(folder, program, &args, timeout, OUTPUT_LIMIT).ok()?;
    // Of more than the limit the end is not kept.
    if output.stderr.len() >= OUTPUT_LIMIT {
        return None;
    }
    let value = answer(&output, place).ok()?;
    Some((value, output.stderr))
}

/// Rules need no builds.
fn arguments_for(arguments: &[(&str, &OsStr)]) -> Vec<OsString> {
    let fixed =
        ["--eval", "--strict", "--json", "--option", "allow-import-from-derivation", "false"];
    let mut args: Vec<OsString> = fixed.map(Into::into).into();
    for (name, value) in arguments {
        args.extend(["--argstr".into(), (*name).into(), (*value).to_owned()]);
    }
    args
}

/// Runs a program of Nix in a folder.
pub(super) fn run(
    folder: &Path,
    program: &str,
    args: &[OsString],
    file: &Path,
) -> Result<Output, RulesError> {
    capture(folder, OsStr::new(program), args, TIME_LIMIT, OUTPUT_LIMIT)
        .map_err(|source: ProcessError| RulesError::Process { file: file.to_owned(), source })
}

/// The JSON that Nix printed.
pub(super) fn answer<T: DeserializeOwned>(output: &Output, place: &Place) -> Result<T, RulesError> {
    if !output.status.success() {
        let text = readable(&output.stderr);
        return Err(RulesError::Nix { place: place.clone(), text });
    }
    serde_json::from_slice(&output.stdout).map_err(|error| RulesError::Answer {
        file: place.file.clone(),
        what: format!("Nix printed something unexpected: {error}"),
    })
}

/// The warnings among what Nix printed.
pub(super) fn warnings(stderr: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().filter_map(|line| line.strip_prefix("warning: "));
    // That nothing was locked is what was asked for, and whoever edits rules has a dirty tree.
    let is_news = |line: &&str| !line.contains("lock file") && !line.ends_with("is dirty");
    lines.filter(is_news).map(shortened).collect()
}

/// What went wrong, without the trace that leads there.
pub(super) fn readable(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines: Vec<String> = text.lines().map(shortened).collect();
    let is_message = |line: &String| {
        line.trim_start().strip_prefix("error:").is_some_and(|m| !m.trim().is_empty())
    };
    let begin = lines.iter().rposition(is_message).unwrap_or_default();
    lines.drain(..begin);
    lines.retain(|line| !line.trim().is_empty() && !line.contains("--show-trace"));
    let blank = |line: &String| line.len().saturating_sub(line.trim_start().len());
    let margin = lines.iter().map(blank).min().unwrap_or_default();
    let cut = lines.len() > TEXT_LINES;
    lines.truncate(TEXT_LINES);
    if cut {
        lines.push(format!("{:margin$}..", ""));
    }
    if lines.is_empty() {
        return "Nix gave no reason".to_owned();
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.get(margin..).unwrap_or(line)).collect();
    lines.join("\n")
}

fn shortened(line: &str) -> String {
    let clean = line.chars().filter(|c| !c.is_control() || *c == '\t');
    let mut short: String = clean.clone().take(TEXT_COLUMNS).collect();
    if clean.count() > TEXT_COLUMNS {
        short.push_str("..");
    }
    short
}

/// Whether Nix failed for want of a store that this user may use.
pub(super) fn is_about_the_store(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    let signs = [
        "/nix/var/nix",
        "creating directory '/nix",
        "creating directory \"/nix",
        "cannot connect to daemon",
        "cannot connect to socket",
        "Nix daemon may have crashed",
    ];
    signs.iter().any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_shown_without_the_way_there() {
        let new = "error:\n       \u{2026} while evaluating x\n         at /a:1:1:\n       error: \
                   undefined variable 'y'\n       at /a/b.nix:1:2:\n            1| y\n             \
                   | ^\n";
        assert_eq!(
            readable(new.as_bytes()),
            "error: undefined variable 'y'\nat /a/b.nix:1:2:\n     1| y\n      | ^"
        );
        let old = "error: undefined variable 'y'\n\n       at /a/b.nix:1:2:\n(use '--show-trace' \
                   to see)\n";
        assert_eq!(
            readable(old.as_bytes()),
            "error: undefined variable 'y'\n       at /a/b.nix:1:2:"
        );
        assert_eq!(readable(b"\n"), "Nix gave no reason");
        assert!(readable("error: x\n".repeat(3).as_bytes()).len() < 20);
        assert!(readable(&b"x\n".repeat(99)).ends_with("\n.."));
    }

    #[test]
    fn warnings_are_passed_on() {
        let text = b"warning: Git tree '/x' is dirty\nwarning: not writing modified lock file of \
                     flake\nwarning: input 'y' is gone\nerror: x\n";
        assert_eq!(warnings(text), ["input 'y' is gone"]);
    }
}
