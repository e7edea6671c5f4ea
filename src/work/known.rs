//! What a scan looks for: the values of secret files, opened, each with its way. Knows no forms.

use std::path::Path;

use super::secret::{self, Kind};
use super::{FileError, Problem};
use crate::format::keys::Keys;
use crate::format::sops::file::Writer;
use crate::format::sops::store;
use crate::plaintext::Plaintext;

/// The values of a secret file that are kept encrypted, with the way to each; of an age file the
/// whole content, with an empty way.
///
/// # Errors
/// [`FileError`].
pub fn values(path: &Path, keys: &mut Keys<'_>) -> Result<Vec<(String, Plaintext)>, FileError> {
    let opened = secret::open(path, keys, &Writer::Lossless)?;
    match opened.file {
        Kind::Sops(unlocked) => {
            let secrets = unlocked.opened.secrets();
            let error = |error| FileError { path: path.to_owned(), problem: Problem::Sops(error) };
            let secrets = secrets.map_err(error)?;
            Ok(secrets
                .into_iter()
                .map(|(way, value)| (store::Way(&way).to_string(), value))
                .collect())
        }
        Kind::Age { .. } | Kind::NewSops(_) => Ok(vec![(String::new(), opened.content)]),
    }
}
