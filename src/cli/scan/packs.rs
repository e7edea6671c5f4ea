//! Fingerprint packs: made here of what can be opened, taken to machines that must not hold it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::context::{Context, write};
use super::super::explain::{Around, Failure, problem};
use super::super::ui::{say, shown};
use super::super::{Done, Outcome};
use super::known::Collected;
use super::{NeedleOptions, option_file, words};
use crate::fsx::{read_limited, read_plaintext};
use crate::key::Recipient;
use crate::plaintext::Plaintext;
use crate::scan::needle::Origin;
use crate::scan::pack::{self, Pack, PackId, PackKey};
use crate::work::known;
use crate::work::secret::{To, encrypt_stream};

/// A pack that was read, its key, and what its entries are, where that is known here.
pub(super) struct Loaded {
    pub(super) pack: Pack,
    pub(super) key: PackKey,
    legend: BTreeMap<String, Vec<Origin>>,
}

impl Loaded {
    /// Reads what the options name.
    pub(super) fn read(
        context: &Context,
        options: &NeedleOptions,
    ) -> Result<Option<Self>, Failure> {
        let Some(file) = &options.pack else { return Ok(None) };
        let unusable = |why: String| option_file("--pack", file, &why);
        let Some(key_file) = &options.pack_key else {
            return Err(unusable("its key is missing".to_owned())
                .hint("name the encrypted key with `--pack-key FILE`"));
        };
        let key = read_key(context, key_file)?;
        let bytes = read_limited(file, LONGEST).map_err(|error| unusable(error.to_string()))?;
        let pack = Pack::parse(&bytes, &key, now()).map_err(|error| unusable(error.to_string()))?;
        let legend = options.legend.as_deref().map(read_legend).transpose()?.unwrap_or_default();
        Ok(Some(Self { pack, key, legend }))
    }

    /// Which secrets an entry is of, where the legend is here.
    pub(super) fn origins(&self, id: PackId) -> Vec<Origin> {
        self.legend.get(&id.to_string()).cloned().unwrap_or_default()
    }
}

fn read_key(context: &Context, file: &Path) -> Result<PackKey, Failure> {
    let mut keys = context.keys();
    let values = known::values(file, &mut keys);
    let text = match values {
        Ok(values) => values.into_iter().next().map(|(_, value)| value).unwrap_or_default(),
        Err(error) if matches!(error.problem, crate::work::Problem::NotEncrypted) => {
            read_plaintext(file, LONGEST_KEY)
                .map_err(|error| option_file("--pack-key", file, &error.to_string()))?
        }
        Err(error) => {
            let around = Around { tried: keys.tried(), needs: &[] };
            return Err(problem(&error.problem, &error.path, &around));
        }
    };
    PackKey::from_text(&text)
        .ok_or_else(|| option_file("--pack-key", file, "it is no key of a pack"))
}

fn read_legend(file: &Path) -> Result<BTreeMap<String, Vec<Origin>>, Failure> {
    let unusable = |why: String| option_file("--legend", file, &why);
    let bytes = read_limited(file, LONGEST).map_err(|error| unusable(error.to_string()))?;
    let legend: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    let origin = |(file, key_path)| Origin { file, key_path };
    Ok(legend
        .into_iter()
        .map(|(id, origins)| (id, origins.into_iter().map(origin).collect()))
        .collect())
}

/// Makes a pack of what was opened: the pack, its key for the recipients, and its legend.
pub(super) fn make(
    context: &Context,
    options: &NeedleOptions,
    file: &Path,
    collected: Collected,
) -> Outcome {
    if options.pack_recipients.is_empty() {
        return Err(Failure::new("nobody could use the pack: its key is for no recipient")
            .hint("name the public age key of the machine that scans with `--pack-recipient KEY`")
            .into());
    }
    let mut recipients = Vec::new();
    for text in &options.pack_recipients {
        let recipient = Recipient::parse(text)
            .map_err(|error| Failure::new(format!("cannot use a `--pack-recipient`: {error}")))?;
        recipients.push(recipient);
    }
    let key = PackKey::new(super::told::random_key()?);
    let created = now();
    let expires = created.saturating_add(options.pack_days.saturating_mul(24 * 60 * 60));
    let mut failed = None;
    let mut random = || {
        let mut bytes = [0; 8];
        if let Err(error) = crate::fsx::fill_random(&mut bytes) {
            failed = Some(error);
        }
        bytes
    };
    let made = pack::make(collected.known, &key, created, expires, &mut random)
        .map_err(|error| option_file("--make-pack", file, &error.to_string()))?;
    if let Some(error) = failed {
        return Err(Failure::new(format!("the system gives no random bytes: {error}")).into());
    }
    if made.legend.is_empty() {
        return Err(
            super::known::nothing(&collected.closed, &collected.failed, &made.uncovered).into()
        );
    }
    let sealed = sealed(context, &key.to_text(), &recipients)?;
    let legend: BTreeMap<String, Vec<(&str, &str)>> = made
        .legend
        .iter()
        .map(|(id, origins)| {
            let origins = origins.iter();
            let names = origins.map(|one| (one.file.as_str(), one.key_path.as_str())).collect();
            (id.to_string(), names)
        })
        .collect();
    let legend =
        serde_json::to_vec_pretty(&legend).map_err(|error| Failure::new(error.to_string()))?;
    let (key_file, legend_file) = (beside(file, ".key.age"), beside(file, ".legend.json"));
    for (file, bytes) in
        [(&key_file, &sealed), (&legend_file, &legend), (&file.to_owned(), &made.pack)]
    {
        write(file, None, bytes)?;
    }
    for one in &made.uncovered {
        say(&format!("note: not in the pack: {}", words::not_searched(one)));
    }
    for (_, why) in &collected.closed {
        say(&format!("note: not in the pack: {why}"));
    }
    let (pack, key, legend) = (shown(file), shown(&key_file), shown(&legend_file));
    say(&format!(
        "{} secrets are in `{pack}`, for {} days; its key, encrypted, is `{key}`, and which entry is \
         which secret is in `{legend}`, which stays here",
        made.legend.len(),
        options.pack_days
    ));
    if collected.failed.is_empty() {
        return Ok(Done::Clean);
    }
    let mut failure = Failure::new("the pack is not complete: secret files could not be opened");
    for (file, why) in &collected.failed {
        failure = failure.detail(format!("{}: {why}", shown(file)));
    }
    Err(failure.hint("restore them from git").into())
}

#[expect(clippy::disallowed_methods, reason = "the key is encrypted for the recipients")]
fn sealed(context: &Context, key: &Plaintext, to: &[Recipient]) -> Result<Vec<u8>, Failure> {
    let mut sealed = Vec::new();
    let to = To::Recipients { keys: to, listed: false };
    encrypt_stream(&mut key.expose(), &to, true, &context.plugins(), &mut sealed)
        .map_err(|error| problem(&error, Path::new("the key of the pack"), &Around::default()))?;
    Ok(sealed)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const LONGEST: usize = 256 << 20;
const LONGEST_KEY: usize = 4096;
