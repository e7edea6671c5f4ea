//! Key services: AWS and GCP KMS, Azure Key Vault, Vault and `OpenBao`, Huawei Cloud KMS. The one
//! place where they plug in: whoever wraps and unwraps data keys comes by here with all of them at once.
//!
//! A service is asked only for a key that is handed in here, and for each ciphertext once a run,
//! however often it occurs. Many questions go out side by side, but not more than a few, and an answer
//! that nobody needs any more is not waited for.

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

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::wrapping::{WrappingKey, WrappingKind};
use crate::plaintext::Plaintext;

pub use error::{ALLOWED, ServiceError, Trouble};
pub use surroundings::Surroundings;

/// The key services of a run.
#[derive(Default)]
pub struct Services(Arc<Run>);

/// What threads share, which may outlive whoever waited for them.
#[derive(Default)]
struct Run {
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
    /// Milliseconds that went into questions without a good answer, by service: a file can name any
    /// number of hosts that are silent, and is not to take as many times as long as one.
    lost: Mutex<BTreeMap<WrappingKind, u64>>,
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

/// A ciphertext, which threads share.
type Enc = Arc<str>;

/// All about a key, and a ciphertext.
type Question = (String, Enc);

/// A key, and what it is to wrap.
pub type ToWrap<'a> = (&'a WrappingKey, &'a Plaintext);
/// A key, and what it has wrapped.
pub type ToUnwrap<'a> = (&'a WrappingKey, &'a str);

/// Takes an answer, by the place of its question, and gives the places of those that need no answer
/// any more.
pub type Taking<'t, Done> = dyn FnMut(usize, Result<Done, ServiceError>) -> Vec<usize> + 't;

impl Services {
    /// Services that may be asked; the first question looks around.
    pub fn new(look: impl Fn() -> Surroundings + Send + Sync + 'static) -> Self {
        Self(Arc::new(Run { look: Some(Box::new(look)), ..Run::default() }))
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
        if kind.is_local() { Ok(()) } else { self.0.look(kind).map(|_| ()) }
    }

    /// Wraps with many keys; the answers are in their order.
    pub fn wrap(&self, jobs: &[ToWrap<'_>]) -> Vec<Result<Wrapped, ServiceError>> {
        let jobs: Vec<_> =
            jobs.iter().map(|(key, secret)| ((*key).clone(), copy(secret))).collect();
        let mut answers = Vec::with_capacity(jobs.len());
        let idle = none_idle(jobs.len());
        let how = How { single: Run::wrap_one, batch: Run::wrap_batch };
        self.all(jobs, idle, how, &mut |index, answer| {
            answers.push((index, answer));
            Vec::new()
        });
        answers.sort_unstable_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Unwraps what many keys have wrapped.
    pub fn unwrap(&self, jobs: &[ToUnwrap<'_>], take: &mut Taking<'_, Plaintext>) {
        // What occurs often is one question, with a number; who waits for it has that.
        let mut numbers: HashMap<Question, usize> = HashMap::with_capacity(jobs.len());
        let mut questions: Vec<(Question, Vec<usize>)> = Vec::new();
        let mut waiting: Vec<Option<usize>> = Vec::with_capacity(jobs.len());
        for (index, (key, enc)) in jobs.iter().enumerate() {
            let question = (format!("{key:?}"), Enc::from(*enc));
            let number = *numbers.entry(question.clone()).or_insert(questions.len());
            match questions.get_mut(number) {
                Some((_, of)) => of.push(index),
                None => questions.push((question, vec![index])),
            }
            waiting.push(Some(number));
        }
        let mut hand_out = |number: usize, answer: &Result<Plaintext, ServiceError>| {
            let mut idle = Vec::new();
            for index in questions.get(number).into_iter().flat_map(|(_, of)| of) {
                if waiting.get_mut(*index).and_then(Option::take).is_none() {
                    continue;
                }
                for dropped in take(*index, answer.as_ref().map(copy).map_err(Clone::clone)) {
                    let number = waiting.get_mut(dropped).and_then(Option::take);
                    let of = number.and_then(|number| questions.get(number));
                    let is_idle = |of: &usize| waiting.get(*of).is_none_or(Option::is_none);
                    if of.is_some_and(|(_, of)| of.iter().all(is_idle)) {
                        idle.extend(number);
                    }
                }
            }
            idle
        };
        let idle = none_idle(questions.len());
        for (number, (question, _)) in questions.iter().enumerate() {
            let known = self.0.opened().get(question).map(copy);
            if let Some(secret) = known {
                for number in hand_out(number, &Ok(secret)).into_iter().chain([number]) {
                    leave(&idle, number);
                }
            }
        }
        let asked = questions.iter().filter_map(|((_, enc), of)| {
            let (key, _) = jobs.get(*of.first()?)?;
            Some(((*key).clone(), Enc::clone(enc)))
        });
        let how = How { single: Run::unwrap_one, batch: Run::unwrap_batch };
        self.all(asked.collect(), idle, how, &mut |number, answer| {
            if let (Ok(secret), Some((question, _))) = (&answer, questions.get(number)) {
                self.0.opened().insert(question.clone(), copy(secret));
            }
            hand_out(number, &answer)
        });
    }

    /// Asks what is not idle side by side: one by one, but what one key of a Vault is about together.
    /// Each service has threads of its own, so that one that is silent holds up no other.
    fn all<What: Send + Sync + 'static, Done: Send + 'static>(
        &self,
        jobs: Vec<(WrappingKey, What)>,
        idle: Vec<AtomicBool>,
        how: How<What, Done>,
        take: &mut Taking<'_, Done>,
    ) {
        let mut queues: BTreeMap<WrappingKind, Vec<Vec<usize>>> = BTreeMap::new();
        let mut vaults: BTreeMap<vault::Key<'_>, Vec<usize>> = BTreeMap::new();
        for (index, (key, _)) in jobs.iter().enumerate().filter(|(at, _)| !is_idle(&idle, *at)) {
            match vault_key(key) {
                Some(key) => vaults.entry(key).or_default().push(index),
                None => queues.entry(key.kind()).or_default().push(vec![index]),
            }
        }
        for all in vaults.into_values() {
            let batches = all.chunks(BATCH).map(<[usize]>::to_vec);
            queues.entry(WrappingKind::HcVault).or_default().extend(batches);
        }
        let mut waiting: BTreeSet<usize> = queues.values().flatten().flatten().copied().collect();
        let work = Arc::new(Work { run: Arc::clone(&self.0), jobs, idle, how });
        let threads = THREADS.div_ceil(queues.len().max(1));
        let (tell, hear) = mpsc::channel();
        for queue in queues.into_values() {
            let threads = threads.min(queue.len());
            let queue = Arc::new(Mutex::new(queue.into_iter()));
            for _ in 0..threads {
                let (work, queue, tell) = (Arc::clone(&work), Arc::clone(&queue), tell.clone());
                let answer = move || {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(task) = next else { return };
                        if work.ask(&task).into_iter().any(|answer| tell.send(answer).is_err()) {
                            return;
                        }
                    }
                };
                let _started = std::thread::Builder::new().spawn(answer);
            }
        }
        drop(tell);
        while !waiting.is_empty()
            && let Ok((index, answer)) = hear.recv()
        {
            waiting.remove(&index);
            for index in take(index, answer) {
                waiting.remove(&index);
                leave(&work.idle, index);
            }
        }
        for index in waiting {
            let kind = work.jobs.get(index).map_or(WrappingKind::Age, |(key, _)| key.kind());
            let trouble = Trouble::Unreachable("there is no thread left to ask it".to_owned());
            take(index, Err(ServiceError { kind, trouble }));
        }
    }
}

/// What is to be asked, and how.
struct Work<What, Done> {
    run: Arc<Run>,
    jobs: Vec<(WrappingKey, What)>,
    /// Which of them need no answer.
    idle: Vec<AtomicBool>,
    how: How<What, Done>,
}

/// How one thing is asked, and many that one key of a Vault is about.
struct How<What, Done> {
    single: fn(&Run, &WrappingKey, &What) -> Result<Done, ServiceError>,
    batch: fn(&Run, &vault::Key<'_>, &[&What], &Surroundings) -> Answers<Done>,
}

/// Those to many questions that went out as one.
type Answers<Done> = Result<Vec<Result<Done, Trouble>>, Trouble>;

fn none_idle(length: usize) -> Vec<AtomicBool> {
    (0..length).map(|_| AtomicBool::new(false)).collect()
}

/// Notes that nobody needs an answer.
fn leave(idle: &[AtomicBool], index: usize) {
    if let Some(idle) = idle.get(index) {
        idle.store(true, Ordering::Relaxed);
    }
}

fn is_idle(idle: &[AtomicBool], index: usize) -> bool {
    idle.get(index).is_some_and(|idle| idle.load(Ordering::Relaxed))
}

impl<What, Done> Work<What, Done> {
    /// The answers to what is still needed of a task.
    fn ask(&self, task: &[usize]) -> Vec<(usize, Result<Done, ServiceError>)> {
        let needed = task.iter().copied().filter(|index| !is_idle(&self.idle, *index));
        let places: Vec<usize> = needed.collect();
        let jobs: Vec<&(WrappingKey, What)> =
            places.iter().filter_map(|index| self.jobs.get(*index)).collect();
        let Some((key, first)) = jobs.first() else { return Vec::new() };
        let kind = key.kind();
        let fail = |trouble: Trouble| -> Vec<_> {
            jobs.iter().map(|_| Err(ServiceError { kind, trouble: trouble.clone() })).collect()
        };
        if let Some(slow) = self.run.is_lost(kind) {
            return places.iter().copied().zip(fail(slow)).collect();
        }
        let begin = Instant::now();
        let done = match vault_key(key) {
            None => vec![(self.how.single)(&self.run, key, first)],
            Some(key) => {
                let whats: Vec<&What> = jobs.iter().map(|(_, what)| what).collect();
                let error = |trouble| ServiceError { kind, trouble };
                let done = self.run.around(kind).and_then(|around| {
                    (self.how.batch)(&self.run, &key, &whats, around).map_err(error)
                });
                match done {
                    Ok(done) => done.into_iter().map(|one| one.map_err(error)).collect(),
                    Err(error) => fail(error.trouble),
                }
            }
        };
        if done.iter().all(Result::is_err) {
            let mut lost = self.run.lost.lock().unwrap_or_else(PoisonError::into_inner);
            let lost = lost.entry(kind).or_default();
            *lost = lost.saturating_add(milliseconds(begin.elapsed()));
        }
        places.into_iter().zip(done).collect()
    }
}

impl Run {
    fn opened(&self) -> MutexGuard<'_, HashMap<Question, Plaintext>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so much time was lost on a service already that it is not asked any more, and why.
    fn is_lost(&self, kind: WrappingKind) -> Option<Trouble> {
        let patience = self.around.get()?.patience();
        let most = milliseconds(patience.saturating_mul(LOST));
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get(&kind).is_some_and(|lost| *lost >= most).then_some(Trouble::Slow(patience))
    }

    fn wrap_batch(
        &self,
        key: &vault::Key<'_>,
        secrets: &[&Plaintext],
        around: &Surroundings,
    ) -> Answers<Wrapped> {
        let wrapped = self.vault.wrap(around, key, secrets)?.into_iter();
        Ok(wrapped.map(|one| one.map(|enc| Wrapped { enc, key: None })).collect())
    }

    fn unwrap_batch(
        &self,
        key: &vault::Key<'_>,
        encs: &[&Enc],
        around: &Surroundings,
    ) -> Answers<Plaintext> {
        let encs: Vec<&str> = encs.iter().map(|enc| &***enc).collect();
        self.vault.unwrap(around, key, &encs)
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

    fn unwrap_one(&self, key: &WrappingKey, enc: &Enc) -> Result<Plaintext, ServiceError> {
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

/// What each service makes of an answer, or its challenge, to whoever came with `secret`; for tests of the parsers.
#[doc(hidden)]
pub fn read_answer(status: u16, bytes: &[u8], secret: &str) -> Vec<ServiceError> {
    let body = Plaintext::copy_of(bytes);
    let mut headers = ureq::http::HeaderMap::new();
    let header = ureq::http::HeaderValue::from_bytes(bytes).ok();
    headers.extend(header.map(|value| (ureq::http::header::WWW_AUTHENTICATE, value)));
    let answer = http::Answer { status, headers, body };
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

/// How many keys and certificates there are in a file of PKCS#12, and in what is the inner part of one; for
/// tests of the parser.
#[doc(hidden)]
pub fn read_pkcs12(bytes: &[u8], password: &str) -> [Option<(usize, usize)>; 2] {
    let opener = || azure::pkcs12::Opener::new(password, 10_000);
    [opener().read(bytes), opener().safes(bytes)]
        .map(|read| read.ok().map(|read| (read.keys.len(), read.certificates.len())))
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

#[cfg(test)]
mod tests;
