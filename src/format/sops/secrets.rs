//! The values of a file that are kept encrypted in it, each with the way to it. What stands in the
//! open in the file is left out.

use super::file::{Opened, SopsError};
use super::select::Selector;
use super::store::{Step, Store};
use super::tree::{Tree, Value};
use super::walk::{What, walk};
use crate::plaintext::Plaintext;

/// A value and the way to it.
pub type Secret = (Vec<Step>, Plaintext);

/// The values that a selector says are encrypted. Of a binary file, all of it.
#[expect(clippy::disallowed_methods, reason = "copied from one plaintext to another")]
pub(super) fn of(tree: &Tree, selector: &Selector) -> Vec<Secret> {
    let mut found = Vec::new();
    walk(tree, &[selector], &mut |_, way, met, what| {
        let sealed = met.first().is_some_and(super::walk::Met::encrypts);
        match what {
            What::Leaf(Value::Str(text) | Value::Int(text) | Value::Float(text), _) if sealed => {
                found.push((way.to_vec(), Plaintext::copy_of(text.expose())));
            }
            // Comments are talk about secrets, and times and truth values are none.
            What::Leaf(..) | What::Comment(..) => {}
        }
    });
    found
}

impl Opened {
    /// The values that are kept encrypted.
    ///
    /// # Errors
    /// [`SopsError::Selector`].
    pub fn secrets(&self) -> Result<Vec<Secret>, SopsError> {
        let selector = Selector::new(self.metadata().rule.as_ref())?;
        let mut secrets = of(self.tree(), &selector);
        if self.store() == Store::Binary {
            for (way, _) in &mut secrets {
                way.clear();
            }
        }
        Ok(secrets)
    }
}
