//! What to look for: secret files opened with the identities at hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::super::context::Context;
use super::super::explain::{Around, Failure, file_error};
use super::super::ui::shown;
use super::{NeedleOptions, option_file};
use crate::activate::manifest::{Credential, Manifest, Secret, Source};
use crate::activate::open::{OpenProblem, open_all};
use crate::format::keys::Keys;
use crate::fsx::read_plaintext;
use crate::key::keyring::Unopened;
use crate::key::service::Services;
use crate::plaintext::Plaintext;
use crate::scan::needle::{Known, NotSearched};
use crate::scan::sibling::{LARGEST, Siblings};
use crate::work::secret::MAX_IN_MEMORY;
use crate::work::{FileError, Problem, known};

/// All that was opened, and what was not.
#[derive(Default)]
pub(super) struct Collected {
    /// Values.
    pub(super) known: Vec<Known>,
    /// Secret files that are for others, each with the reason.
    pub(super) closed: Vec<(String, String)>,
    /// Secret files that are damaged or cannot be read, each with the reason.
    pub(super) failed: Vec<(PathBuf, String)>,
    /// Encrypted files whose plaintext is looked for by names and keys.
    pub(super) siblings: Siblings,
}

/// Opens what the options and the rules name.
pub(super) fn collect(
    context: &Context,
    options: &NeedleOptions,
) -> Result<Collected, Vec<Failure>> {
    let mut collected = Collected::default();
    let mut keys = context.keys();
    if !options.secret_files.is_empty() {
        let mut failures = Vec::new();
        for path in &options.secret_files {
            for file in files_of(path)? {
                if let Err(failure) = collected.open_named(&file, &mut keys) {
                    failures.push(failure);
                }
            }
        }
        return if failures.is_empty() { Ok(collected) } else { Err(failures) };
    }
    if let Some(manifest) = &options.manifest {
        collected.open_manifest(manifest)?;
        return Ok(collected);
    }
    if options.pack.is_some() {
        return Ok(collected);
    }
    let selection = match context.select(&[]) {
        Ok(selection) => selection,
        // Shapes need no rules.
        Err(failures) if options.heuristics => {
            for failure in failures {
                super::say(&format!("note: {}", failure.headline));
            }
            return Ok(collected);
        }
        Err(failures) => return Err(failures),
    };
    for job in &selection.jobs {
        collected.open_of_rules(&job.path, &mut keys);
        if options.heuristics {
            let bases = selection.rules.sources.iter().map(|rules| &rules.base);
            let ways = bases.filter_map(|base| job.path.strip_prefix(base).ok());
            let way = ways.max_by_key(|way| way.components().count());
            collected.add_sibling(&job.path, way.unwrap_or(&job.path));
        }
    }
    Ok(collected)
}

impl Collected {
    /// A file that the user names: it must be opened.
    fn open_named(&mut self, file: &Path, keys: &mut Keys<'_>) -> Result<(), Failure> {
        match known::values(file, keys) {
            Ok(values) => {
                self.add(file, values);
                Ok(())
            }
            Err(FileError { problem: Problem::NotEncrypted, .. }) => {
                self.as_it_is(file).map_err(|why| option_file("--secret-file", file, &why))
            }
            Err(error) => Err(file_error(&error, &Around { tried: keys.tried(), needs: &[] })),
        }
    }

    /// Everything that a host installs.
    fn open_manifest(&mut self, file: &Path) -> Result<(), Failure> {
        let runtime = super::super::target::runtime_folder();
        let manifest = Manifest::load(file, runtime.as_deref())
            .map_err(|error| super::super::explain::activate::manifest(&error))?;
        let secrets = manifest.secrets.iter().map(Secret::source);
        let services = manifest.services.values();
        let credentials = services.flat_map(|service| service.credentials.values());
        let sources: BTreeSet<Source> =
            secrets.chain(credentials.map(Credential::source)).collect();
        let opened = open_all(&manifest, &sources, Services::off());
        for source in sources {
            match opened.value(&source) {
                Ok(value) => {
                    let key = source.key.as_ref().map(ToString::to_string).unwrap_or_default();
                    self.add(&source.file, vec![(key, copy(value))]);
                }
                Err(error) => {
                    let why = format!("cannot open `{}`: {error}", shown(&source.file));
                    let others = match error {
                        OpenProblem::Unopened { why: Unopened::NoMatch, .. }
                        | OpenProblem::Missing { .. }
                        | OpenProblem::Null { .. } => true,
                        OpenProblem::Locked(locked) => !locked.is_damaged(),
                        OpenProblem::Unopened { .. }
                        | OpenProblem::Read(_)
                        | OpenProblem::NotEncrypted
                        | OpenProblem::IsAge { .. }
                        | OpenProblem::IsSops
                        | OpenProblem::Age(_)
                        | OpenProblem::Sops(_)
                        | OpenProblem::Content { .. }
                        | OpenProblem::NoParts
                        | OpenProblem::Print(_)
                        | OpenProblem::NotAsked => false,
                    };
                    self.not_opened(&source.file, why, others);
                }
            }
        }
        Ok(())
    }

    /// Takes a file that is not encrypted; else why it cannot.
    fn as_it_is(&mut self, file: &Path) -> Result<(), String> {
        let value = read_plaintext(file, MAX_IN_MEMORY).map_err(|error| error.to_string())?;
        if was_encrypted(&value) {
            return Err(
                "it is encrypted, and so damaged that it does not look like that".to_owned()
            );
        }
        self.add(file, vec![(String::new(), value)]);
        Ok(())
    }

    fn open_of_rules(&mut self, file: &Path, keys: &mut Keys<'_>) {
        match known::values(file, keys) {
            Ok(values) => self.add(file, values),
            Err(FileError { problem: Problem::Absent, .. }) => {}
            // It has the name of a secret, and whoever reads the repository reads it: still it
            // may have got further.
            Err(FileError { problem: Problem::NotEncrypted, .. }) => {
                if let Err(why) = self.as_it_is(file) {
                    self.not_opened(file, why, false);
                }
            }
            Err(error) => {
                let why = file_error(&error, &Around { tried: keys.tried(), needs: &[] }).headline;
                let others = matches!(&error.problem, Problem::Unopened(Unopened::NoMatch))
                    || matches!(&error.problem, Problem::Locked(locked) if !locked.is_damaged());
                self.not_opened(file, why, others);
            }
        }
    }

    /// A file that is for `others`, or one of which nobody knows what it holds.
    fn not_opened(&mut self, file: &Path, why: String, others: bool) {
        if others {
            self.closed.push((shown(file), why));
        } else {
            self.failed.push((file.to_owned(), format!("what it holds was not looked for: {why}")));
        }
    }

    fn add_sibling(&mut self, path: &Path, way: &Path) {
        let Ok(text) = read_plaintext(path, LARGEST) else { return };
        let file = shown(path);
        let opened = self.known.last();
        let opened = opened.filter(|known| known.file == file && known.key_path.is_empty());
        self.siblings.add(path, way, &text, opened.map(|known| &known.value));
    }

    fn add(&mut self, file: &Path, values: Vec<(String, Plaintext)>) {
        let file = shown(file);
        let known = values.into_iter().map(|(key_path, value)| Known {
            file: file.clone(),
            key_path,
            value,
        });
        self.known.extend(known);
    }
}

/// Whether this was a secret file before its head or its metadata were lost.
#[expect(clippy::disallowed_methods, reason = "it is looked through for marks of encryption")]
fn was_encrypted(value: &Plaintext) -> bool {
    let bytes = value.expose();
    let has = |mark: &[u8]| memchr::memmem::find(bytes, mark).is_some();
    (has(b"-> ") && has(b"\n--- ") && std::str::from_utf8(bytes).is_err())
        || has(b"-----END AGE ENCRYPTED FILE-----")
        || has(b"ENC[AES256_GCM,data:")
}

#[expect(clippy::disallowed_methods, reason = "copied from one plaintext to another")]
fn copy(value: &Plaintext) -> Plaintext {
    Plaintext::copy_of(value.expose())
}

/// A name for all that is looked for, which without the key says nothing about it.
#[expect(clippy::disallowed_methods, reason = "a keyed hash tells whether the same was looked for")]
pub(super) fn identity(collected: &Collected, key: &[u8; 32], options: &NeedleOptions) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for known in &collected.known {
        for part in [known.file.as_bytes(), known.key_path.as_bytes(), known.value.expose()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
    }
    if options.heuristics {
        mac.update(b"heuristics and siblings");
        collected.siblings.identity(&mut |part| {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        });
    }
    if let Some(pack) = &options.pack {
        mac.update(&crate::fsx::read_limited(pack, usize::MAX).unwrap_or_default());
    }
    mac.finalize().into_bytes().into()
}

/// The file itself, or the files of a folder; links are followed as the user names them.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unusable = |error: std::io::Error| option_file("--secret-file", path, &error.to_string());
    if !std::fs::metadata(path).map_err(unusable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            let data = std::fs::symlink_metadata(&path).map_err(unusable)?;
            if data.is_dir() {
                folders.push(path);
            } else if std::fs::metadata(&path).is_ok_and(|data| data.is_file()) {
                files.push(path);
            } else {
                let why = "it is neither a file nor a link to one";
                return Err(option_file("--secret-file", &path, why));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// There is nothing to look for.
pub(super) fn nothing(
    closed: &[(String, String)],
    failed: &[(PathBuf, String)],
    not_searched: &[NotSearched],
) -> Failure {
    let mut failure = Failure::new("there is nothing to look for");
    let failed = failed.iter().map(|(file, why)| format!("{}: {why}", shown(file)));
    for why in failed.chain(closed.iter().map(|(_, why)| why.clone())).take(MOST) {
        failure = failure.detail(why);
    }
    for one in not_searched.iter().take(MOST) {
        failure = failure.detail(super::words::not_searched(one));
    }
    failure.hint(
        "name a private key with `--identity FILE`, files with `--secret-file PATH`, or look for \
         shapes with `--heuristics`",
    )
}

const MOST: usize = 10;
