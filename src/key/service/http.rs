//! The one HTTPS client of the program: blocking, with a limit on time and on every answer, no
//! redirects, and no plain HTTP but to this machine. Only the key services use it, and only when a
//! key asks for it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, HeaderValue, Request, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error, Proxy};

use super::THREADS;
use super::error::Trouble;
use super::surroundings::Surroundings;
use crate::key::fill_random;
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// A client with its connections, which are used again.
pub(super) struct Http {
    tls: Tls,
    agents: OnceLock<Result<Agents, Trouble>>,
    /// Who did not answer, when, and how that showed: many questions to a service that is silent
    /// are not to take many times as long as one.
    silent: Mutex<HashMap<String, (Instant, Trouble)>>,
}

/// Whom a client trusts, and as whom it comes.
#[derive(Clone, Default)]
pub(super) struct Tls {
    /// PEM files of further authorities; with one, no others are trusted.
    pub(super) authorities: Option<PathBuf>,
    /// PEM files of a certificate and its key, to come with.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
}

/// With the proxy of the environment, and for addresses of this machine without.
struct Agents {
    far: Agent,
    near: Agent,
}

/// What a service is asked.
pub(super) struct Call {
    /// `GET` or `POST`.
    pub(super) method: &'static str,
    /// The whole address.
    pub(super) url: String,
    /// Names and values; credentials are among them.
    pub(super) headers: Vec<(String, Plaintext)>,
    /// The body; none for `GET`.
    pub(super) body: Option<Plaintext>,
    /// Whether it is for credentials: those alone may come from the services of metadata.
    pub(super) for_credentials: bool,
}

/// What it answered.
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Plaintext,
}

impl Answer {
    /// Whether the service did what it was asked.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it would rather be asked later.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.status, 429 | 500 | 502 | 503 | 504)
    }
}

impl Http {
    /// A client that has opened nothing yet.
    pub(super) fn new(tls: Tls) -> Self {
        Self { tls, agents: OnceLock::new(), silent: Mutex::default() }
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`Trouble`]; a refusal of the service is none here.
    pub(super) fn ask(&self, around: &Surroundings, call: Call) -> Result<Answer, Trouble> {
        self.ask_within(around, call, around.patience())
    }

    /// As [`Http::ask`], with less time.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub(super) fn ask_within(
        &self,
        around: &Surroundings,
        call: Call,
        patience: Duration,
    ) -> Result<Answer, Trouble> {
        self.ask_noting(around, call, patience, true)
    }

    /// `note` says whether a host that is silent is left alone for a while.
    fn ask_noting(
        &self,
        around: &Surroundings,
        call: Call,
        patience: Duration,
        note: bool,
    ) -> Result<Answer, Trouble> {
        let uri: Uri = call.url.parse().map_err(|_| Trouble::Name("its address is not one"))?;
        let near = uri.host().is_some_and(is_near);
        let metadata = uri.authority().is_some_and(|a| is_metadata(a.as_str()));
        if metadata && !call.for_credentials {
            return Err(Trouble::Forbidden { address: format!("http://{}", address_in(&uri)) });
        }
        check_scheme(&uri, near || metadata, around)?;
        let host = address_in(&uri);
        if let Some(known) = self.silence(&host, around) {
            return Err(known);
        }
        let agents = self.agents.get_or_init(|| Agents::of(&self.tls, around));
        let agents = agents.as_ref().map_err(Clone::clone)?;
        // A proxy has no business between a machine and its metadata.
        let agent = if near || metadata { &agents.near } else { &agents.far };
        let request = request(call, uri)?;
        let request = agent.configure_request(request).timeout_global(Some(patience)).build();
        let answer = Self::answer(agent, request, patience);
        if let Err(trouble @ (Trouble::Slow(_) | Trouble::Unreachable(_))) = &answer
            && note
        {
            let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            silent.insert(host, (Instant::now(), trouble.clone()));
        }
        answer
    }

    /// How a host showed a while ago that it does not answer.
    fn silence(&self, host: &str, around: &Surroundings) -> Option<Trouble> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let (when, trouble) = silent.get(host)?;
        (when.elapsed() < around.patience()).then(|| trouble.clone())
    }

    fn answer(
        agent: &Agent,
        request: Request<impl ureq::AsSendBody>,
        patience: Duration,
    ) -> Result<Answer, Trouble> {
        let mut response = agent.run(request).map_err(|error| trouble(&error, patience))?;
        let status = response.status().as_u16();
        if (300..400).contains(&status) {
            return Err(Trouble::Redirect);
        }
        let body = response.body_mut().with_config().limit(MOST).read_to_vec();
        let body = body.map(Plaintext::new).map_err(|error| trouble(&error, patience))?;
        Ok(Answer { status, headers: response.headers().clone(), body })
    }

    /// Asks, and again after a while where the service is busy, as long as there is time. Each time
    /// `call` makes the request anew, since signatures are of their moment. What is no good answer,
    /// `refusal` explains.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub(super) fn insist(
        &self,
        around: &Surroundings,
        busy: &dyn Fn(&Answer) -> bool,
        call: &dyn Fn() -> Result<Call, Trouble>,
        refusal: &dyn Fn(&Answer) -> Trouble,
    ) -> Result<Answer, Trouble> {
        let answer = self.insist_anyhow(around, busy, call)?;
        if answer.is_good() { Ok(answer) } else { Err(refusal(&answer)) }
    }

    /// As [`Http::insist`], with whatever the answer is.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub(super) fn insist_anyhow(
        &self,
        around: &Surroundings,
        busy: &dyn Fn(&Answer) -> bool,
        call: &dyn Fn() -> Result<Call, Trouble>,
    ) -> Result<Answer, Trouble> {
        self.insist_after(around, Duration::ZERO, busy, call)
    }

    /// As [`Http::insist_anyhow`], where so much of the time is spent.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub(super) fn insist_after(
        &self,
        around: &Surroundings,
        spent: Duration,
        busy: &dyn Fn(&Answer) -> bool,
        call: &dyn Fn() -> Result<Call, Trouble>,
    ) -> Result<Answer, Trouble> {
        let patience = around.patience();
        let begin = Instant::now();
        let elapsed = || begin.elapsed().saturating_add(spent);
        let mut pause = PAUSE;
        let mut last = None;
        loop {
            let left = patience.saturating_sub(elapsed()).max(PAUSE);
            let is_first = last.is_none() && spent.is_zero();
            let answer = self.ask_noting(around, call()?, left, is_first);
            let answer = match (answer, last.take()) {
                (Ok(answer), _) => answer,
                // There was too little time left: what it said before tells more.
                (Err(Trouble::Slow(_)), Some(last)) => return Ok(last),
                (Err(Trouble::Slow(_)), None) => return Err(Trouble::Slow(patience)),
                (Err(other), _) => return Err(other),
            };
            let wait = pause.saturating_add(jitter(pause));
            if !busy(&answer) || elapsed().saturating_add(wait) > patience {
                return Ok(answer);
            }
            last = Some(answer);
            sleep(wait);
            pause = pause.saturating_mul(2);
        }
    }
}

impl Agents {
    fn of(tls: &Tls, around: &Surroundings) -> Result<Self, Trouble> {
        let roots = match &tls.authorities {
            Some(file) => certificates(around, file)?,
            None => system_roots(around)?,
        };
        let mut builder = TlsConfig::builder();
        builder = builder.root_certs(match roots {
            roots if roots.is_empty() => RootCerts::WebPki,
            roots => RootCerts::new_with_certs(&roots),
        });
        if let Some((certificate, key)) = &tls.certificate {
            builder = builder.client_cert(Some(client(around, certificate, key)?));
        }
        let tls = builder.build();
        let agent = |proxy| {
            let config = Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(proxy)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .timeout_connect(Some(CONNECT))
                .max_idle_connections(THREADS)
                .max_idle_connections_per_host(THREADS)
                .user_agent(concat!("secretctl/", env!("CARGO_PKG_VERSION")));
            config.build().new_agent()
        };
        Ok(Self { far: agent(Proxy::try_from_env()), near: agent(None) })
    }
}

/// What the system trusts, or what the environment names instead; none where nothing is found,
/// and then the list of Mozilla that is built in serves.
fn system_roots(around: &Surroundings) -> Result<Vec<Certificate<'static>>, Trouble> {
    // Nix has a name of its own, for where the system has no store.
    if around.variable("SSL_CERT_FILE").is_none()
        && let Some(file) = around.variable("NIX_SSL_CERT_FILE")
    {
        return certificates(around, Path::new(file));
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty()
        && let Some(file) = around.variable("SSL_CERT_FILE")
    {
        return Err(Trouble::Unreachable(format!("there is no certificate in {file}")));
    }
    Ok(found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

#[expect(clippy::disallowed_methods, reason = "certificates are public")]
fn certificates(around: &Surroundings, file: &Path) -> Result<Vec<Certificate<'static>>, Trouble> {
    let unusable = |what: &str| Trouble::Unreachable(format!("{}: {what}", file.display()));
    let text = around.read(file).map_err(|error| unusable(&error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(text.expose()) {
        if let PemItem::Certificate(one) = item.map_err(|_| unusable("it is not PEM"))? {
            found.push(one);
        }
    }
    if found.is_empty() { Err(unusable("there is no certificate in it")) } else { Ok(found) }
}

#[expect(clippy::disallowed_methods, reason = "the key that the client comes with")]
fn client(around: &Surroundings, certificate: &Path, key: &Path) -> Result<ClientCert, Trouble> {
    let chain = certificates(around, certificate)?;
    let unusable = |what: &str| Trouble::Credentials(format!("{}: {what}", key.display()));
    let text = around.read(key).map_err(|error| unusable(&error.to_string()))?;
    let key = PrivateKey::from_pem(text.expose()).map_err(|_| unusable("it is no private key"))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

/// HTTPS everywhere; HTTP to this machine, and where the user names the address as it is.
fn check_scheme(uri: &Uri, allowed: bool, around: &Surroundings) -> Result<(), Trouble> {
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") => {
            let address = format!("http://{}", address_in(uri));
            if allowed || around.allows(&address) {
                Ok(())
            } else {
                Err(Trouble::Plain { address })
            }
        }
        _ => Err(Trouble::Name("its address begins with neither https nor http")),
    }
}

/// Host and port, for messages and for telling hosts apart.
fn address_in(uri: &Uri) -> String {
    let Some(authority) = uri.authority() else { return String::new() };
    let shown = authority.as_str();
    shown.rsplit_once('@').map_or(shown, |(_, host)| host).to_owned()
}

/// The host of an address that has nothing before it.
pub(super) fn host_of(address: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return None;
    }
    Some(authority.host().to_owned())
}

/// Host and port of an address, as the header has them.
pub(super) fn authority_of(address: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    Some(uri.authority()?.as_str().to_owned())
}

/// Whether a host is this machine.
pub(super) fn is_near(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The services by which clouds give credentials to their machines. Only the chains of credentials
/// make such addresses: keys that files name lead nowhere but to key services.
pub(super) fn is_metadata(authority: &str) -> bool {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.to_ascii_lowercase();
    let named = |one: &&str| {
        host.strip_prefix(*one).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.']))
    };
    METADATA.iter().any(named)
}

const METADATA: [&str; 7] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "metadata.google.internal",
    "100.100.100.200",
];

#[expect(clippy::disallowed_methods, reason = "the request goes to the service that it is for")]
fn request(call: Call, uri: Uri) -> Result<Request<Vec<u8>>, Trouble> {
    let mut request = Request::builder().method(call.method).uri(uri);
    for (name, value) in &call.headers {
        let mut value = HeaderValue::from_bytes(value.expose())
            .map_err(|_| Trouble::Credentials("they have characters that no header has".into()))?;
        value.set_sensitive(true);
        request = request.header(name.as_str(), value);
    }
    let body = call.body.map(|body| body.expose().to_vec()).unwrap_or_default();
    request.body(body).map_err(|_| Trouble::Name("it makes no request"))
}

/// Without the words of what was received.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add more, and they are alike")]
fn trouble(error: &Error, patience: Duration) -> Trouble {
    let what = match error {
        Error::Timeout(_) => return Trouble::Slow(patience),
        Error::BodyExceedsLimit(_) => return Trouble::Answer("it is more than 1 MiB"),
        Error::HostNotFound => "there is no such host".to_owned(),
        Error::Io(error) => io_words(error),
        Error::Rustls(error) => error.to_string(),
        Error::Tls(what) => (*what).to_owned(),
        Error::ConnectionFailed => "no connection".to_owned(),
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => "the proxy refuses".to_owned(),
        _ => return Trouble::Answer("it is not HTTP as it should be"),
    };
    Trouble::Unreachable(on_one_line(&what))
}

fn io_words(error: &io::Error) -> String {
    // The TLS library wraps its errors in those of reading.
    error.get_ref().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Up to half of a pause, so that many clients do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    let part = if fill_random(&mut byte).is_ok() { u32::from(byte[0]) } else { 0 };
    pause.saturating_mul(part).checked_div(512).unwrap_or_default()
}

/// Most bytes of an answer.
const MOST: u64 = 1 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
