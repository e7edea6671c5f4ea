//! `sops updatekeys`: what a file holds for a reader who stays is kept, so that only what changes
//! is wrapped, and key services are not asked for it.

use std::io;
use std::process::ExitCode;

use super::desk::{Content, Desk};
use super::invocation::{Subject, Target, UpdateKeys};
use super::recipe::Ruling;
use super::refusals::{self, Doing};
use super::resolve::refusal;
use super::{Code, Done, Refusal, print};
use crate::cli::ui;
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;
use crate::work::sops_metadata::{Groups, regroup};
use crate::work::{Problem, sops};

pub(super) fn run(update: &UpdateKeys) -> Done {
    let desk = Desk::new(&update.settings, None)?;
    if let [subject] = update.files.as_slice() {
        return one(&desk, update, subject);
    }
    let mut failed: usize = 0;
    for subject in &update.files {
        if let Err(refusal) = one(&desk, update, subject) {
            ui::say(&format!("{}: {}", ui::shown(&subject.name), refusal.text));
            failed = failed.saturating_add(1);
        }
    }
    if failed > 0 {
        return Err(refusal(Code::Generic, format!("failed updating {failed} key(s)")));
    }
    Ok(ExitCode::SUCCESS)
}

fn one(desk: &Desk, update: &UpdateKeys, subject: &Subject) -> Done {
    let path = desk.context.absolute(&subject.name);
    if path.is_dir() {
        return Err(refusal(Code::Generic, "can't operate on a directory"));
    }
    let _lock = desk.lock(subject, &Target::InPlace)?;
    ui::say(&format!("Syncing keys for file {}", path.display()));
    let file = desk.file(subject)?;
    if desk.rules_file(&subject.name).is_none() {
        return Err(refusal(Code::Generic, "config file not found"));
    }
    let Some(ruling) = Ruling::find(desk, subject)? else {
        let text = "The config file does not contain any creation rule";
        return Err(refusal(Code::Generic, text));
    };
    let groups = sops::groups(&ruling.readers);
    let old = file.metadata().shamir_threshold.unwrap_or(0);
    let threshold = update.threshold.unwrap_or(old).min(groups.len());
    let change = Change::between(&file.metadata().wrapping_keys(), &groups, (old, threshold));
    if !change.any {
        ui::say(&format!("File {} already up to date", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    print(&change.text)?;
    if !update.yes && !agreed()? {
        ui::say(&format!("File {} left unchanged", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut keys = desk.context.keys();
    let key = sops::key_of(&file, &mut keys)
        .map_err(|error| refusals::of(&error, Doing::Opening, &subject.name, keys.tried()))?;
    let groups = Groups { keys: groups, threshold: Some(threshold).filter(|needed| *needed > 0) };
    let writer = desk.writer(subject)?;
    let bytes = regroup(&file, &key, groups, subject.output, &writer, &keys);
    let bytes = bytes.map_err(|error| match &error {
        Problem::Rewrap(error) => {
            let why = refusals::of_wrapping(error);
            refusal(Code::Generic, format!("error updating one or more master keys: [{why}]"))
        }
        _ => refusals::of(&error, Doing::Sealing, &subject.name, &[]),
    })?;
    let done = desk.put(subject, &Target::InPlace, &Plaintext::new(bytes), Content::Sealed)?;
    ui::say(&format!("File {} synced with new keys", path.display()));
    ruling.tell();
    Ok(done)
}

/// What becomes of the keys of a file.
struct Change {
    any: bool,
    /// As sops shows it.
    text: String,
}

impl Change {
    fn between(
        old: &[Vec<WrappingKey>],
        new: &[Vec<WrappingKey>],
        (before, after): (usize, usize),
    ) -> Self {
        let mut any = before != after;
        let mut text = "The following changes will be made to the file's groups:\n".to_owned();
        if before > 0 && before == after {
            text.push_str(&format!("shamir_threshold: {after}\n"));
        } else {
            for (sign, number) in [("+++", after), ("---", before)] {
                if number > 0 {
                    text.push_str(&format!("{sign} shamir_threshold: {number}\n"));
                }
            }
        }
        for index in 0..old.len().max(new.len()) {
            let keys = |groups: &[Vec<WrappingKey>]| groups.get(index).cloned().unwrap_or_default();
            let (ours, theirs) = (keys(old), keys(new));
            let known = |keys: &[WrappingKey], key: &WrappingKey| keys.iter().any(|k| k.same(key));
            text.push_str(&format!("Group {}\n", index.saturating_add(1)));
            let mut line = |sign: &str, key: &WrappingKey| {
                text.push_str(&format!("{sign} {}\n", ui::clean(&key.shown())));
            };
            theirs.iter().filter(|key| known(&ours, key)).for_each(|key| line("   ", key));
            for (sign, these, others) in [("+++", &theirs, &ours), ("---", &ours, &theirs)] {
                for key in these.iter().filter(|key| !known(others, key)) {
                    any = true;
                    line(sign, key);
                }
            }
        }
        Self { any, text }
    }
}

/// Asks until it is told; where nobody is there to tell, it is an error.
fn agreed() -> Result<bool, Refusal> {
    loop {
        print("Is this okay? (y/n):")?;
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(0) => {
                let text = "nobody answered; `--yes` answers beforehand";
                return Err(refusal(Code::Generic, text));
            }
            Ok(_) => {}
            Err(error) => return Err(refusals::of_reading(&error)),
        }
        match answer.trim() {
            "y" => return Ok(true),
            "n" => return Ok(false),
            _ => {}
        }
    }
}
