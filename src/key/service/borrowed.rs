//! What the crates that find credentials may use of us: files, variables, and the one client. They
//! ask in the manner of futures; everything is done at once.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqsign_core::{Context, Env, Error, ErrorKind, FileRead, HttpSend, ProvideCredential};

use super::error::Trouble;
use super::http::{Answer, Call, Http, host_of, is_metadata};
use super::said::oauth_code;
use super::surroundings::Surroundings;
use crate::key::wrapping::on_one_line;
use crate::plaintext::Plaintext;

/// The surroundings as these crates take them.
pub(super) struct Borrowed {
    /// For whoever signs.
    pub(super) context: Context,
    told: Arc<Mutex<String>>,
}

impl Borrowed {
    /// Lends them.
    pub(super) fn new(around: &Arc<Surroundings>, http: &Arc<Http>) -> Self {
        let told = Arc::new(Mutex::default());
        let (around, http) = (Arc::clone(around), Arc::clone(http));
        let lent = Lent { around, http, told: Arc::clone(&told) };
        let context =
            Context::new().with_env(lent.clone()).with_file_read(lent.clone()).with_http_send(lent);
        Self { context, told }
    }

    /// Has one of the crates look for credentials.
    ///
    /// # Errors
    /// As [`Borrowed::trouble`].
    pub(super) fn find<T>(
        &self,
        provider: &impl ProvideCredential<Credential = T>,
    ) -> Result<Option<T>, Trouble> {
        let found = pollster::block_on(provider.provide_credential(&self.context));
        found.map_err(|error| self.trouble(error.kind()))
    }

    /// As [`Borrowed::find`]; `none` says what it means that something is not set up.
    ///
    /// # Errors
    /// As [`Borrowed::trouble`].
    pub(super) fn find_or<T>(
        &self,
        provider: &impl ProvideCredential<Credential = T>,
        none: impl Fn() -> Trouble,
    ) -> Result<T, Trouble> {
        match pollster::block_on(provider.provide_credential(&self.context)) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(none()),
            Err(error) if error.kind() == ErrorKind::ConfigInvalid => Err(none()),
            Err(error) => Err(self.trouble(error.kind())),
        }
    }

    /// Why there are none. The words of these crates may hold what a file or a service said, so
    /// what went wrong last on the way to them is told.
    pub(super) fn trouble(&self, kind: ErrorKind) -> Trouble {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Trouble::Credentials(match (told.as_str(), kind) {
            ("", ErrorKind::CredentialInvalid) => "they have run out, or are none".to_owned(),
            ("", _) => "what is found is not of a form that is known".to_owned(),
            _ => told,
        })
    }
}

#[derive(Clone)]
struct Lent {
    around: Arc<Surroundings>,
    http: Arc<Http>,
    /// What went wrong last.
    told: Arc<Mutex<String>>,
}

impl Lent {
    fn tell(&self, what: &str) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = on_one_line(what);
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent(..)")
    }
}

impl Env for Lent {
    fn var(&self, key: &str) -> Option<String> {
        self.around.variable(key).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        self.around.variables.clone()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.around.home.clone()
    }
}

impl FileRead for Lent {
    #[expect(clippy::disallowed_methods, reason = "credentials, to the crate that asked for them")]
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let content = self.around.read(Path::new(path));
        content.map(|content| content.expose().to_vec()).map_err(|error| {
            self.tell(&format!("{path}: {error}"));
            Error::config_invalid("a file cannot be read")
        })
    }
}

impl HttpSend for Lent {
    #[expect(clippy::disallowed_methods, reason = "an answer, to the crate that asked")]
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign_core::Result<http::Response<Bytes>> {
        let (head, body) = request.into_parts();
        let method = match head.method.as_str() {
            "GET" => "GET",
            "PUT" => "PUT",
            _ => "POST",
        };
        let url = head.uri.to_string();
        let host = host_of(&url).unwrap_or_default();
        let sent = Plaintext::copy_of(&body);
        let headers = || {
            let all = head.headers.iter();
            all.map(|(name, value)| (name.to_string(), Plaintext::copy_of(value.as_bytes())))
        };
        let call = || {
            let (url, headers) = (url.clone(), headers().collect());
            let body = (!body.is_empty()).then(|| Plaintext::copy_of(&body));
            Ok(Call { method, url, headers, body, for_credentials: true })
        };
        let answer = if is_metadata(&host) {
            // Machines without a service of metadata should not wait long to learn it.
            call().and_then(|call| self.http.ask_within(&self.around, call, SHORT))
        } else {
            self.http.insist_anyhow(&self.around, &Answer::is_busy, &call)
        };
        let answer = answer.map_err(|trouble| {
            self.tell(&format!("{host}: {}", words(&trouble)));
            Error::unexpected("no answer")
        })?;
        if !answer.is_good() {
            let secrets: Vec<Plaintext> = headers().map(|(_, value)| value).chain([sent]).collect();
            let secrets: Vec<&Plaintext> = secrets.iter().collect();
            let code = oauth_code(&answer.body, &secrets);
            self.tell(format!("{host} refuses (HTTP {}) {code}", answer.status).trim_end());
        }
        let mut response = http::Response::new(Bytes::copy_from_slice(answer.body.expose()));
        *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// A trouble without the name of a service.
pub(super) fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unreachable(what) | Trouble::Credentials(what) => what.clone(),
        Trouble::Slow(after) => format!("no answer within {} s", after.as_secs()),
        Trouble::Redirect => "it points to another address".to_owned(),
        Trouble::Name(what) | Trouble::Answer(what) => (*what).to_owned(),
        Trouble::Forbidden { address } | Trouble::Plain { address } => {
            format!("{address} is not allowed")
        }
        Trouble::Refused { status, .. } => format!("refused (HTTP {status})"),
        Trouble::Off => "key services are off".to_owned(),
    }
}

const SHORT: Duration = Duration::from_secs(2);
