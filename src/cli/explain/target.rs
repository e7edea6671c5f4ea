//! What goes wrong on a target, for people.

use std::path::Path;

use super::{Failure, shown};
use crate::activate::open::OpenProblem;
use crate::key::keyring::Tried;

/// A file that a manifest names was not opened.
pub(crate) fn source_problem(file: &Path, problem: &OpenProblem, tried: &[Tried]) -> Failure {
    let mut failure = Failure::new(format!("cannot decrypt `{}`: {problem}", shown(file)));
    if let OpenProblem::Unopened { readers, .. } = problem {
        for reader in readers {
            failure = failure.detail(format!("sealed for: {reader}"));
        }
    }
    for tried in tried {
        failure = failure.detail(match &tried.what {
            Ok(keys) => format!("tried: {} ({})", tried.source, keys.join(", ")),
            Err(why) => format!("tried: {} (not read: {why})", tried.source),
        });
    }
    failure
}
