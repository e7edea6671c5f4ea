//! Key services: AWS and GCP KMS, Azure Key Vault, Vault and `OpenBao`, Huawei Cloud KMS. The one
//! place where they plug in: whoever wraps and unwraps data keys comes by here with all of them at once.
//!
//! A service is asked only for a key that is handed in here, and for each ciphertext once a run,
//! however often it occurs. Many questions go out side by side, but not more than a few.

mod aws;
mod azure;
mod borrowed;
mod error;
mod gcp;
mod http;
mod huawei;
mod said;
mod surroundings;
mod text;
mod vault;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::wrapping::{WrappingKey, WrappingKind};
use crate::plaintext::Plaintext;

pub use error::{ALLOWED, ServiceError, Trouble};
pub use surroundings::Surroundings;

/// The key services of a run.
#[derive(Default)]
pub struct Services {
    /// None where no service is to be asked.
    look: Option<Look>,
    /// What was seen, once something was asked.
    around: OnceLock<Arc<Surroundings>>,
    aws: aws::Aws,
    gcp: gcp::Gcp,
    azure: azure::Azure,
    huawei: huawei::Huawei,
    vault: vault::Vault,
    /// What services unwrapped already, by all that is said of the key and by the ciphertext: with
    /// another encryption context or another role, the same ciphertext is another question.
    opened: Mutex<HashMap<Question, Plaintext>>,
    /// Milliseconds that went into questions without a good answer: a file can name any number of
    /// hosts that are silent, and is not to take as many times as long as one.
    lost: AtomicU64,
}

/// What a service made of a data key or a share of one.
#[derive(Debug)]
pub struct Wrapped {
    /// For the metadata.
    pub enc: String,
    /// The key that did it, where that is another than the one that was asked for: a key of Azure
    /// without a version gets one.
    pub key: Option<WrappingKey>,
}

/// What looks around.
type Look = Box<dyn Fn() -> Surroundings + Send + Sync>;

/// All about a key, and a ciphertext.
type Question = (String, String);

/// A key, and what it is to wrap.
pub type ToWrap<'a> = (&'a WrappingKey, &'a Plaintext);
/// A key, and what it has wrapped.
pub type ToUnwrap<'a> = (&'a WrappingKey, &'a str);

impl Services {
    /// Services that may be asked; the first question looks around.
    pub fn new(look: impl Fn() -> Surroundings + Send + Sync + 'static) -> Self {
        Self { look: Some(Box::new(look)), ..Self::default() }
    }

    /// Services that are never asked.
    pub fn off() -> Self {
        Self::default()
    }

    /// Whether the service of a kind could be asked at all; to be known before anything is done.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn available(&self, kind: WrappingKind) -> Result<(), ServiceError> {
        if kind.is_local() { Ok(()) } else { self.look(kind).map(|_| ()) }
    }

    /// Wraps with many keys; the answers are in their order.
    pub fn wrap(&self, jobs: &[ToWrap<'_>]) -> Vec<Result<Wrapped, ServiceError>> {
        let single = |(key, secret): &ToWrap<'_>| self.wrap_one(key, secret);
        let batch = |key: &vault::Key<'_>, jobs: &[&ToWrap<'_>], around: &Surroundings| {
            let secrets: Vec<&Plaintext> = jobs.iter().map(|(_, secret)| *secret).collect();
            let wrapped = self.vault.wrap(around, key, &secrets)?;
            let wrapped = wrapped.into_iter().map(|one| one.map(|enc| Wrapped { enc, key: None }));
            Ok(wrapped.collect())
        };
        self.all(jobs, |job| job.0, &single, &batch)
    }

    /// Unwraps what many keys have wrapped; the answers are in the order of the questions.
    pub fn unwrap(&self, jobs: &[ToUnwrap<'_>]) -> Vec<Result<Plaintext, ServiceError>> {
        let question = |(key, enc): &ToUnwrap<'_>| (format!("{key:?}"), (*enc).to_owned());
        let known = |question: &Question| {
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(question).map(copy)
        };
        let mut seen: HashSet<Question> = HashSet::with_capacity(jobs.len());
        let mut unknown: Vec<ToUnwrap<'_>> = Vec::new();
        for job in jobs {
            if seen.insert(question(job)) && known(&question(job)).is_none() {
                unknown.push(*job);
            }
        }
        let single = |(key, enc): &ToUnwrap<'_>| self.unwrap_one(key, enc);
        let batch = |key: &vault::Key<'_>, jobs: &[&ToUnwrap<'_>], around: &Surroundings| {
            let encs: Vec<&str> = jobs.iter().map(|(_, enc)| *enc).collect();
            self.vault.unwrap(around, key, &encs)
        };
        let answers = self.all(&unknown, |job| job.0, &single, &batch);
        let mut refused: HashMap<Question, ServiceError> = HashMap::new();
        for (job, answer) in unknown.iter().zip(answers) {
            match answer {
                Ok(secret) => {
                    let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                    opened.insert(question(job), secret);
                }
                Err(error) => {
                    refused.insert(question(job), error);
                }
            }
        }
        let answer = |job: &ToUnwrap<'_>| {
            let none = || ServiceError { kind: job.0.kind(), trouble: Trouble::Off };
            {
                let question = question(job);
                known(&question).ok_or_else(|| refused.get(&question).cloned().unwrap_or_else(none))
            }
        };
        jobs.iter().map(answer).collect()
    }

    /// Asks one by one, side by side; those of one key of a Vault together.
    fn all<Job: Sync, Done: Send>(
        &self,
        jobs: &[Job],
        key_of: impl Fn(&Job) -> &WrappingKey + Sync,
        single: &(dyn Fn(&Job) -> Result<Done, ServiceError> + Sync),
        batch: &Batch<'_, Job, Done>,
    ) -> Vec<Result<Done, ServiceError>> {
        let mut groups: BTreeMap<vault::Key<'_>, Vec<usize>> = BTreeMap::new();
        let mut tasks: Vec<(Option<vault::Key<'_>>, Vec<usize>)> = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            match vault_key(key_of(job)) {
                Some(key) => groups.entry(key).or_default().push(index),
                None => tasks.push((None, vec![index])),
            }
        }
        for (key, indexes) in groups {
            tasks.extend(indexes.chunks(BATCH).map(|some| (Some(key), some.to_vec())));
        }
        let run = |(key, indexes): &(Option<vault::Key<'_>>, Vec<usize>)| {
            let of: Vec<&Job> = indexes.iter().filter_map(|index| jobs.get(*index)).collect();
            if let Some(patience) = self.around.get().map(|around| around.patience())
                && self.lost.load(Ordering::Relaxed) >= milliseconds(patience.saturating_mul(LOST))
            {
                let trouble = Trouble::Slow(patience);
                let none = |job: &&Job| {
                    Err(ServiceError { kind: key_of(job).kind(), trouble: trouble.clone() })
                };
                return of.iter().map(none).collect();
            }
            let begin = Instant::now();
            let done = match key {
                None => of.into_iter().map(single).collect(),
                Some(key) => {
                    let kind = WrappingKind::HcVault;
                    let error = |trouble| ServiceError { kind, trouble };
                    let done = self.around(kind).and_then(|it| batch(key, &of, it).map_err(error));
                    match done {
                        Ok(done) => done.into_iter().map(|one| one.map_err(error)).collect(),
                        Err(error) => of.iter().map(|_| Err(error.clone())).collect::<Vec<_>>(),
                    }
                }
            };
            if done.iter().all(Result::is_err) {
                self.lost.fetch_add(milliseconds(begin.elapsed()), Ordering::Relaxed);
            }
            done
        };
        let done = side_by_side(&tasks, &run);
        let mut answers: Vec<(usize, Result<Done, ServiceError>)> = Vec::with_capacity(jobs.len());
        for ((_, indexes), done) in tasks.iter().zip(done) {
            answers.extend(indexes.iter().copied().zip(done));
        }
        answers.sort_unstable_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn look(&self, kind: WrappingKind) -> Result<&Look, ServiceError> {
        self.look.as_ref().ok_or(ServiceError { kind, trouble: Trouble::Off })
    }

    fn around(&self, kind: WrappingKind) -> Result<&Arc<Surroundings>, ServiceError> {
        let look = self.look(kind)?;
        Ok(self.around.get_or_init(|| Arc::new(look())))
    }

    fn wrap_one(&self, key: &WrappingKey, secret: &Plaintext) -> Result<Wrapped, ServiceError> {
        let kind = key.kind();
        let around = self.around(kind)?;
        let plain = |enc| Wrapped { enc, key: None };
        let wrapped = match key {
            WrappingKey::Kms { .. } => aws_key(key)
                .map_or(Err(NO_KEY), |key| self.aws.wrap(around, &key, secret).map(plain)),
            WrappingKey::GcpKms(id) => self.gcp.wrap(around, id, secret).map(plain),
            WrappingKey::AzureKv { vault_url, name, version } => {
                let of = azure::Key { vault: vault_url, name, version };
                self.azure.wrap(around, &of, secret).map(|done| Wrapped {
                    enc: done.enc,
                    key: Some(WrappingKey::AzureKv {
                        vault_url: vault_url.clone(),
                        name: name.clone(),
                        version: done.version,
                    }),
                })
            }
            WrappingKey::HcKms(id) => self.huawei.wrap(around, id, secret).map(plain),
            WrappingKey::HcVault { .. }
            | WrappingKey::Age(_)
            | WrappingKey::AgeUnknown(_)
            | WrappingKey::Pgp(_) => Err(NO_KEY),
        };
        wrapped.map_err(|trouble| ServiceError { kind, trouble })
    }

    fn unwrap_one(&self, key: &WrappingKey, enc: &str) -> Result<Plaintext, ServiceError> {
        let kind = key.kind();
        let around = self.around(kind)?;
        let secret = match key {
            WrappingKey::Kms { .. } => {
                aws_key(key).map_or(Err(NO_KEY), |key| self.aws.unwrap(around, &key, enc))
            }
            WrappingKey::GcpKms(id) => self.gcp.unwrap(around, id, enc),
            WrappingKey::AzureKv { vault_url, name, version } => {
                self.azure.unwrap(around, &azure::Key { vault: vault_url, name, version }, enc)
            }
            WrappingKey::HcKms(id) => self.huawei.unwrap(around, id, enc),
            WrappingKey::HcVault { .. }
            | WrappingKey::Age(_)
            | WrappingKey::AgeUnknown(_)
            | WrappingKey::Pgp(_) => Err(NO_KEY),
        };
        secret.map_err(|trouble| ServiceError { kind, trouble })
    }
}

/// What each service makes of an answer to whoever came with `secret`; for tests of the parsers.
#[doc(hidden)]
pub fn read_answer(status: u16, bytes: &[u8], secret: &str) -> Vec<ServiceError> {
    let body = Plaintext::copy_of(bytes);
    let answer = http::Answer { status, headers: ureq::http::HeaderMap::new(), body };
    let secret = Plaintext::copy_of(secret.as_bytes());
    let read = [
        (WrappingKind::Kms, aws::read(&answer, &secret)),
        (WrappingKind::GcpKms, gcp::read(&answer, &secret)),
        (WrappingKind::AzureKv, azure::read(&answer, &secret)),
        (WrappingKind::HcKms, huawei::read(&answer, &secret)),
        (WrappingKind::HcVault, vault::read(&answer, &secret)),
    ];
    let errors = |(kind, troubles): (WrappingKind, Vec<Trouble>)| {
        troubles.into_iter().map(move |trouble| ServiceError { kind, trouble })
    };
    read.into_iter().flat_map(errors).collect()
}

/// Asks a Vault about many things that one key is about.
type Batch<'b, Job, Done> = dyn Fn(&vault::Key<'_>, &[&Job], &Surroundings) -> Result<Vec<Result<Done, Trouble>>, Trouble>
    + Sync
    + 'b;

/// Runs tasks on a few threads; the answers are in the order of the tasks.
fn side_by_side<Task: Sync, Done: Send>(
    tasks: &[Task],
    run: &(dyn Fn(&Task) -> Done + Sync),
) -> Vec<Done> {
    if tasks.len() < 2 {
        return tasks.iter().map(run).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(tasks.len()));
    std::thread::scope(|scope| {
        for _ in 0..tasks.len().min(THREADS) {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(task) = tasks.get(index)
                {
                    let answer = run(task);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[expect(clippy::disallowed_methods, reason = "a copy that is wiped like the other")]
fn copy(secret: &Plaintext) -> Plaintext {
    Plaintext::copy_of(secret.expose())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn aws_key(key: &WrappingKey) -> Option<aws::Key<'_>> {
    let WrappingKey::Kms { arn, role, context, aws_profile } = key else { return None };
    Some(aws::Key { arn, role: role.as_deref(), context, profile: aws_profile })
}

fn vault_key(key: &WrappingKey) -> Option<vault::Key<'_>> {
    let WrappingKey::HcVault { vault_address, engine_path, key_name } = key else { return None };
    Some(vault::Key { address: vault_address, engine: engine_path, name: key_name })
}

const NO_KEY: Trouble = Trouble::Name("this program does not know the service");
/// Questions that are out at the same time.
const THREADS: usize = 16;
/// As many times the patience for one question is lost at the most: half of what all threads can
/// lose while they wait once.
const LOST: u32 = 8;
/// What one request to a Vault holds at the most.
const BATCH: usize = 200;
