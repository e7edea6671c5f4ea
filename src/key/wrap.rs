//! Encrypts file keys to recipients: many files at once, one process for each plugin and set of
//! its recipients.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use age_core::format::{FileKey, Stanza};
use rayon::prelude::*;

use super::ed25519::Ed25519Recipient;
use super::plugin::{PluginError, Plugins};
use super::recipient::Wrapped;
use super::{Recipient, RecipientError};

/// One file: its key, and who is to get it.
pub struct Request<'a> {
    /// The key of the file.
    pub file_key: &'a FileKey,
    /// The readers that get a stanza.
    pub recipients: &'a [Recipient],
    /// The labels of readers whose stanzas the file has already, where there are any.
    pub labels: Option<BTreeSet<String>>,
}

/// The stanzas for each request, in the order of its recipients, those of plugins last.
pub fn wrap_all(
    requests: &[Request<'_>],
    plugins: &Plugins<'_>,
) -> Vec<Result<Vec<Stanza>, WrapError>> {
    expect(requests);
    let mut from_plugins = wrap_with_plugins(requests, plugins);
    let native = |request: &Request<'_>| {
        let one = |recipient: &Recipient| {
            let wrapped = recipient.wrap(request.file_key);
            wrapped.map_err(|error| WrapError::Recipient { recipient: recipient.clone(), error })
        };
        if requests.len() == 1 && request.recipients.len() > 8 {
            request.recipients.par_iter().map(one).collect::<Vec<_>>()
        } else {
            request.recipients.iter().map(one).collect::<Vec<_>>()
        }
    };
    let natives: Vec<_> = if requests.len() > 1 {
        requests.par_iter().map(native).collect()
    } else {
        requests.iter().map(native).collect()
    };
    natives
        .into_iter()
        .zip(requests)
        .enumerate()
        .map(|(index, (native, request))| {
            join(request, native, from_plugins.remove(&index).unwrap_or_default())
        })
        .collect()
}

/// Tells recipients of many files that they are.
fn expect(requests: &[Request<'_>]) {
    let mut uses: HashMap<*const Ed25519Recipient, (&Ed25519Recipient, u32)> = HashMap::new();
    let recipients = requests.iter().flat_map(|request| request.recipients);
    for key in recipients.filter_map(Recipient::ed25519) {
        let (_, count) = uses.entry(Arc::as_ptr(key)).or_insert((key, 0));
        *count = count.saturating_add(1);
    }
    for (key, count) in uses.into_values() {
        key.expect(count);
    }
}

type PluginResults = Vec<Result<Wrapped, WrapError>>;

/// Asks each plugin once for each set of its recipients; keyed by the index of the request.
fn wrap_with_plugins(
    requests: &[Request<'_>],
    plugins: &Plugins<'_>,
) -> BTreeMap<usize, PluginResults> {
    let mut groups: BTreeMap<(&str, Vec<&str>), Vec<usize>> = BTreeMap::new();
    for (index, request) in requests.iter().enumerate() {
        let mut of_plugin: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for recipient in request.recipients {
            if let Some(name) = recipient.plugin() {
                of_plugin.entry(name).or_default().push(recipient.canonical());
            }
        }
        for (name, recipients) in of_plugin {
            groups.entry((name, recipients)).or_default().push(index);
        }
    }
    let mut results: BTreeMap<usize, PluginResults> = BTreeMap::new();
    for ((name, recipients), indices) in groups {
        let keys: Vec<&FileKey> =
            indices.iter().filter_map(|i| requests.get(*i)).map(|r| r.file_key).collect();
        match plugins.wrap_batch(name, &recipients, &[], &keys) {
            Ok(wrapped) => {
                for (index, wrapped) in indices.into_iter().zip(wrapped) {
                    results.entry(index).or_default().push(Ok(wrapped));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for index in indices {
                    let error = WrapError::Plugin { error: Arc::clone(&error) };
                    results.entry(index).or_default().push(Err(error));
                }
            }
        }
    }
    results
}

/// Puts the stanzas of one file together, if all its recipients have the same labels.
fn join(
    request: &Request<'_>,
    native: Vec<Result<Option<Wrapped>, WrapError>>,
    from_plugins: PluginResults,
) -> Result<Vec<Stanza>, WrapError> {
    if request.recipients.is_empty() {
        return Err(WrapError::NoRecipient);
    }
    let mut stanzas = Vec::with_capacity(request.recipients.len());
    let mut first = request.labels.clone();
    let native = native.into_iter().filter_map(Result::transpose);
    for wrapped in native.chain(from_plugins) {
        let wrapped = wrapped?;
        let labels = first.get_or_insert_with(|| wrapped.labels.clone());
        if *labels != wrapped.labels {
            return Err(WrapError::Mixed);
        }
        stanzas.extend(wrapped.stanzas);
    }
    Ok(stanzas)
}

/// Why a file cannot be encrypted to its readers.
#[derive(Debug, Clone)]
pub enum WrapError {
    /// Nobody could read it.
    NoRecipient,
    /// A passphrase that is not UTF-8.
    PassphraseNotText,
    /// Post-quantum and other recipients in one file: the weaker ones would undo the protection.
    Mixed,
    /// A recipient that nothing can be encrypted to.
    Recipient {
        /// The recipient.
        recipient: Recipient,
        /// The reason.
        error: RecipientError,
    },
    /// A plugin failed.
    Plugin {
        /// The reason, which names it.
        error: Arc<PluginError>,
    },
}

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecipient => f.write_str("it would have no reader"),
            Self::PassphraseNotText => f.write_str("the passphrase is not UTF-8 text"),
            Self::Mixed => f.write_str(
                "its readers mix post-quantum keys (age1pq…, age1tagpq…) with others, which age \
                 does not allow in one file",
            ),
            Self::Recipient { recipient, error } => write!(f, "{}: {error}", recipient.short()),
            Self::Plugin { error } => error.fmt(f),
        }
    }
}

impl std::error::Error for WrapError {}
