//! `secretctl rekey`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::context::{Context, Selection, WriterOption, file_failures};
use super::explain::{Around, Failure, file_error};
use super::progress::Progress;
use super::status::{left_over_name, state_json};
use super::{Done, Outcome, ui};
use crate::work::compare::Comparison;
use crate::work::rekey::{self, Action, Step};
use crate::work::status::{State, inspect_all};
use crate::work::{FileError, Problem};

/// Make the readers of secret files those of the rules
///
/// All files are opened and encrypted before the first is replaced: if one of them cannot be
/// opened, none is changed. Files that have the right readers are left alone.
#[derive(Debug, Args)]
pub(crate) struct Rekey {
    /// Files or folders; without any, everything that the rules know
    paths: Vec<PathBuf>,
    /// Change nothing; exit with 1 if a file is stale. Needs no private key
    #[arg(long)]
    check: bool,
    /// Show what would be done and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Encrypt every file anew, whoever reads it now
    #[arg(short, long)]
    force: bool,
    /// Print the plan, and what was written, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    writer: WriterOption,
}

impl Rekey {
    /// Rekeys everything.
    pub(crate) fn all() -> Self {
        Self {
            paths: Vec::new(),
            check: false,
            dry_run: false,
            force: false,
            json: false,
            writer: WriterOption::LOSSLESS,
        }
    }

    /// Shows what a rekey of everything would do, and tells whether there is anything to do.
    pub(crate) fn look() -> Self {
        Self { check: true, dry_run: true, ..Self::all() }
    }

    pub(crate) fn run(self, context: &Context) -> Outcome {
        let looks_only = self.check || self.dry_run;
        let start = match self.paths.as_slice() {
            [file] => file,
            _ => &context.here,
        };
        let _lock = if looks_only { None } else { Some(context.lock_for(start, "rekey")?) };
        // What a rekey passes over stops no rekey, nor the look at what it would do.
        let selection = if self.check && !self.dry_run {
            context.select_with_plain(&self.paths)
        } else {
            context.select(&self.paths)
        };
        let Selection { jobs, known, .. } = selection?;
        let steps = rekey::plan(inspect_all(jobs, &known), self.force);
        let look_around = || {
            if !looks_only {
                rekey::sweep_folders(&steps);
            }
            rekey::obstacles(&steps)
        };
        let plan = || {
            if self.json { Vec::new() } else { plan_lines(&steps, &context.here, looks_only) }
        };
        // Each of them looks at every file.
        let (obstacles, plan) = rayon::join(look_around, plan);
        if !obstacles.is_empty() {
            let around = Around::default();
            return Err(obstacles.iter().map(|error| file_error(error, &around)).collect());
        }
        if !plan.is_empty() {
            ui::say(&plan.join("\n"));
        }
        let stale = steps.iter().any(|step| step.action != Action::Keep);
        let mut written = Vec::new();
        if stale && !looks_only {
            written = carry_out(context, &steps, self.writer, "rekeyed")?;
            if !self.json {
                ui::say(&format!("rekeyed {} of {} files", written.len(), steps.len()));
                advise(&steps);
            }
        }
        if self.json {
            let text = format!("{:#}\n", plan_json(&steps, &written));
            ui::print(&text).map_err(|e| ui::stdout_failure(&e))?;
        }
        // Nobody has to wait until the headers of all files are given back, piece by piece.
        rayon::spawn(move || drop(steps));
        Ok(if self.check && stale { Done::Found } else { Done::Clean })
    }
}

/// Carries out a plan and tells what was lost by it; `done` says what happens to the files.
pub(crate) fn carry_out(
    context: &Context,
    steps: &[Step],
    writer: WriterOption,
    done: &str,
) -> Result<Vec<PathBuf>, Vec<Failure>> {
    let todo = steps.iter().filter(|step| step.action != Action::Keep).count();
    let progress = Progress::new(todo);
    let mut keys = context.keys();
    let jobs: Vec<_> = steps.iter().map(|step| &step.file.job).collect();
    let means = rekey::Means {
        keys: &mut keys,
        canonical: writer.canonical,
        interrupts: &context.interrupts,
        progress: &|| progress.step(),
    };
    let result = rekey::carry_out(steps, means);
    progress.clear();
    result.map_err(|errors| {
        if let Some(signal) = errors.iter().find(|e| interrupted(e)) {
            return file_error(signal, &Around::default()).into();
        }
        let mut failures = file_failures(&errors, &keys, &jobs);
        if failures.len() > 1 || todo > 1 {
            failures.push(nothing_changed(errors.len(), todo, &errors, done));
        }
        failures
    })
}

fn interrupted(error: &FileError) -> bool {
    matches!(error.problem, Problem::Interrupted(_))
}

fn nothing_changed(failed: usize, todo: usize, errors: &[FileError], done: &str) -> Failure {
    let half = errors.iter().any(|e| matches!(e.problem, Problem::HalfDone { .. }));
    if half {
        return Failure::new(format!("not all files were {done}"));
    }
    Failure::new(format!("{failed} of {todo} files cannot be {done}, so none was changed"))
}

fn plan_lines(steps: &[Step], here: &Path, looks_only: bool) -> Vec<String> {
    let mut kept = 0_usize;
    let mut lines = Vec::new();
    for step in steps {
        let what = match (&step.file.state, &step.action) {
            (State::Absent, _) => "does not exist yet, skipped".to_owned(),
            (State::Unknown(c), Action::Keep) => {
                format!("kept, {} (`--force` encrypts it anew)", unknown(c))
            }
            (_, Action::Keep) => {
                kept = kept.saturating_add(1);
                continue;
            }
            (State::Stale(c), _) => changes(c),
            (State::Unknown(c), _) => format!("to be encrypted anew, {}", unknown(c)),
            (_, _) => "to be encrypted anew".to_owned(),
        };
        lines.push(format!("{}: {what}", ui::shown_from(here, &step.file.job.path)));
    }
    if looks_only || kept > 0 {
        let verb = if kept == 1 { "file has" } else { "files have" };
        lines.push(format!("{kept} {verb} the right readers"));
    }
    lines
}

fn changes(comparison: &Comparison) -> String {
    let mut text = String::new();
    for who in &comparison.missing {
        let _infallible = write!(text, "+{} ", who.reader);
    }
    for (kind, count) in &comparison.some_missing {
        let _infallible = write!(text, "+{count} {kind} ");
    }
    for key in &comparison.missing_keys {
        let _infallible = write!(text, "+{} ", key.reader);
    }
    for left in &comparison.left_over {
        let _infallible = write!(text, "-{} ", left_over_name(left));
    }
    if comparison.regrouped {
        text.push_str("other key groups ");
    }
    if comparison.listed {
        text.push_str("readers no longer listed ");
    }
    text.trim_end().to_owned()
}

fn unknown(comparison: &Comparison) -> String {
    let names: Vec<&str> = comparison.unknown.iter().map(|e| e.reader.as_str()).collect();
    format!("the header does not tell whether {} can read it", names.join(", "))
}

/// Somebody who lost access keeps what is in git.
pub(crate) fn advise(steps: &[Step]) {
    let lost = steps.iter().filter(|step| match &step.file.state {
        State::Stale(comparison) => rekey::removes(comparison),
        State::Current
        | State::Unknown(_)
        | State::Absent
        | State::NotEncrypted
        | State::PartlyPlain(_)
        | State::Broken(_)
        | State::BrokenSops(_) => false,
    });
    let files: Vec<String> = lost.map(|step| ui::shown(&step.file.job.path)).collect();
    if !files.is_empty() {
        ui::say(
            "warning: readers were removed, but the old files are still in git: whoever could \
             read them still can. Change the values themselves too:",
        );
        for file in files {
            ui::say(&format!("  {file}"));
        }
    }
}

fn plan_json(steps: &[Step], written: &[PathBuf]) -> Value {
    let files: Vec<Value> = steps
        .iter()
        .map(|step| {
            let mut object = state_json(&step.file);
            let action = match &step.action {
                Action::Keep => "keep",
                Action::Header(_) => "add-readers",
                Action::Reseal => "encrypt-anew",
            };
            object.insert("action".into(), json!(action));
            object.insert("written".into(), json!(written.contains(&step.file.job.path)));
            Value::Object(object)
        })
        .collect();
    json!({ "files": files })
}
