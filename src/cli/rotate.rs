//! `secretctl rotate`

use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, WriterOption, rules_failure};
use super::explain::{Around, Failure, file_error};
use super::rekey::{advise, carry_out};
use super::{Done, Outcome, ui};
use crate::rules::{RulesError, Wanted};
use crate::work::status::inspect_all;
use crate::work::{Expected, FileError, Job, everybody, rekey, rotate};

/// Give secret files new keys and encrypt all of them anew
///
/// The values stay. The readers are those of the rules, as `rekey --force` makes them; a sops file
/// that no rule is about keeps the readers that it names. All files are opened and encrypted before
/// the first is replaced: if that fails for one of them, none is changed.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Secret files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    writer: WriterOption,
}

impl Rotate {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let _locks = context.locks_for(&self.files, "rotate")?;
        let mut jobs: Vec<Job> = Vec::new();
        let mut known: Vec<Expected> = Vec::new();
        let mut failures = Vec::new();
        for file in &self.files {
            match job(context, file) {
                Ok((job, _)) if jobs.iter().any(|known| known.path == job.path) => {}
                Ok((job, names)) => {
                    jobs.push(job);
                    known.extend(names);
                }
                Err(more) => failures.extend(more),
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        let steps = rekey::plan(inspect_all(jobs, &known), true);
        rekey::sweep_folders(&steps);
        let mut obstacles = rekey::obstacles(&steps);
        obstacles.extend(rotate::absent(&steps));
        if !obstacles.is_empty() {
            let around = Around::default();
            return Err(obstacles.iter().map(|error| file_error(error, &around)).collect());
        }
        let written = carry_out(context, &steps, self.writer, "rotated")?;
        ui::say(&format!(
            "rotated {} {}",
            written.len(),
            if written.len() == 1 { "file" } else { "files" }
        ));
        advise(&steps);
        Ok(Done::Clean)
    }
}

/// What the rules say of a file, or else the file itself.
fn job(context: &Context, file: &Path) -> Result<(Job, Vec<Expected>), Vec<Failure>> {
    let path = context.absolute(file);
    let rules = match context.try_rules(Wanted::File(&path)) {
        Ok(rules) => rules,
        Err(RulesError::NoRules { .. }) => return Ok((by_itself(context, file)?, Vec::new())),
        Err(error) => return Err(rules_failure(&error).into()),
    };
    match rules.for_file(&path).map_err(|error| rules_failure(&error))? {
        Some((source, rule)) => Ok((Job::new(path, source, rule), everybody(&rules))),
        None => Ok((by_itself(context, file)?, Vec::new())),
    }
}

fn by_itself(context: &Context, file: &Path) -> Result<Job, Failure> {
    let path = context.absolute(file);
    // An age file does not name its readers, so that a rule has to.
    if crate::work::status::open(&path).is_ok() {
        context.job(file)?;
    }
    let job = rotate::by_itself(path.clone()).map_err(|problem| {
        file_error(&FileError { path: path.clone(), problem }, &Around::default())
    })?;
    // Whoever can write to the file could have put a reader there, who gets the new key.
    let groups = job.sops.iter().flat_map(|readers| readers.groups.iter().flatten());
    let names: Vec<String> = groups.map(|named| named.key.shown()).collect();
    let shown = ui::shown(&path);
    ui::say(&format!("no rule is about `{shown}`: it is for whom it names, {}", names.join(", ")));
    Ok(job)
}
