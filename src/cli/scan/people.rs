//! The report for people.

use std::fmt::Write as _;

use super::super::explain::Failure;
use super::super::ui::say;
use super::allow::Verdict;
use super::told::{Found, Leak, Told};
use super::words::{self, one_line};

/// Findings, and what to do.
pub(super) fn report(told: &Told) -> String {
    let mut text = String::new();
    for leak in told.counted() {
        one(&mut text, leak);
    }
    if told.has_new() {
        text.push_str("What to do, in this order:\n");
        for (index, step) in words::REMEDIES.iter().enumerate() {
            let number = index.saturating_add(1);
            let _infallible = writeln!(text, "  {number}. {step}");
        }
    }
    text
}

fn one(text: &mut String, leak: &Leak) {
    let finding = &leak.finding;
    let word = if finding.weak || is_low(&leak.found) { "weak" } else { "leak" };
    let _infallible = writeln!(text, "{word}: {}", words::found(leak));
    let mut line = |label: &str, what: &str| {
        let _infallible = writeln!(text, "  {label:<6} {what}");
    };
    line("in", &words::place(finding));
    for other in finding.files.iter().skip(1).take(MOST) {
        line("", &format!("{} (the same file)", one_line(&other.to_string_lossy())));
    }
    let more = finding.files.len().saturating_sub(MOST.saturating_add(1));
    if more > 0 {
        line("", &format!("and {more} more names of the same file"));
    }
    line("at", &words::spot(finding));
    if finding.weak {
        line("", "its value is easy to guess, so this may be chance");
    }
    let all = "by every user of this machine";
    line("read", if finding.readable_by_all { all } else { "not by every user" });
    if let Some(deriver) = &leak.deriver {
        line("made", &format!("by {}", one_line(deriver)));
    }
    match &leak.chain {
        Some(chain) => {
            let mut way = one_line(&chain.root.to_string_lossy());
            for path in &chain.paths {
                let _infallible = write!(way, " -> {}", one_line(path));
            }
            line("kept", &format!("by {way}"));
        }
        None if leak.store_name.is_some() => line("kept", "by no root that is known"),
        None => {}
    }
    line("cause", &words::cause(&leak.cause));
    line("fix", words::fix(&leak.cause));
    if let Verdict::Over(day) = &leak.verdict {
        line("", &format!("it was allowed until {day}"));
    }
    line("id", &leak.id);
    text.push('\n');
}

/// Whether a shape is of use to nobody without more.
fn is_low(found: &Found) -> bool {
    matches!(found, Found::Shape(_, crate::scan::shape::Severity::Low))
}

/// What else is to be said, on stderr.
pub(super) fn summary(told: &Told) {
    for note in &told.notes {
        say(&format!("note: {note}"));
    }
    listed(
        &told.closed.iter().map(|(_, why)| why.clone()).collect::<Vec<_>>(),
        "secret file",
        "not opened, so not looked for",
    );
    let not_searched: Vec<String> = told.not_searched.iter().map(words::not_searched).collect();
    listed(&not_searched, "value", "not looked for");
    let allowed = told.leaks.len().saturating_sub(told.counted().count());
    let gaps = told.gaps.iter().filter(|(_, _, verdict)| !verdict.counts()).count();
    if allowed > 0 || gaps > 0 {
        let allowed = counted(allowed as u64, "finding");
        let gaps = counted(gaps as u64, "gap");
        say(&format!("note: allowed or in the baseline: {allowed} and {gaps}"));
    }
    let mut line = format!(
        "{} looked for in {}, {}",
        counted(told.secrets as u64, "secret"),
        counted(told.files, "file"),
        words::bytes(told.bytes)
    );
    if told.signed.paths > 0 {
        let _infallible = write!(
            line,
            "; {} ({}) left out as signed by a trusted cache",
            counted(told.signed.paths, "path"),
            words::bytes(told.signed.bytes)
        );
    }
    if told.remembered > 0 {
        let before = counted(told.remembered, "path");
        let _infallible = write!(line, "; {before} looked through before");
    }
    say(&line);
    say(&match told.counted().count() {
        0 if !told.closed.is_empty() => "nothing found of the secrets that were opened".to_owned(),
        0 => "nothing found".to_owned(),
        count => counted(count as u64, "finding"),
    });
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn listed(lines: &[String], what: &str, how: &str) {
    if lines.is_empty() {
        return;
    }
    say(&format!("note: {} {how}:", counted(lines.len() as u64, what)));
    for line in lines.iter().take(MOST_LISTED) {
        say(&format!("  {line}"));
    }
    let more = lines.len().saturating_sub(MOST_LISTED);
    if more > 0 {
        say(&format!("  and {more} more (`--json` lists all)"));
    }
}

/// The run was not complete.
pub(super) fn not_complete(told: &Told) -> Failure {
    let count = told.incomplete().count();
    let things = if count == 1 { "1 thing was".to_owned() } else { format!("{count} things were") };
    let mut failure = Failure::new(format!("the scan is not complete: {things} not looked at"));
    for missed in told.incomplete().take(MOST_LISTED) {
        let (place, why) = (missed.place(), missed.why.to_string());
        failure = failure.detail(format!("{}: {}", one_line(&place), one_line(&why)));
    }
    let more = count.saturating_sub(MOST_LISTED);
    if more > 0 {
        failure = failure.detail(format!("and {more} more (`--json` lists all)"));
    }
    failure.hint(
        "run it as who may read all, restore secret files that are damaged, raise the limit, or let a \
         `gap` of the list of `--allow` name it",
    )
}

/// Names of one file that are shown.
const MOST: usize = 5;
const MOST_LISTED: usize = 20;
