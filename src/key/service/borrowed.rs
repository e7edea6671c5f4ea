//! What the crates that find credentials may use of us: files, variables, programs, and the one
//! client. They ask in the manner of futures; everything is done at once.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqsign_core::{
    CommandExecute, CommandOutput, Context, Env, Error, FileRead, HttpSend, Result,
};

use super::error::Trouble;
use super::http::{Call, Http};
use super::surroundings::Surroundings;
use crate::plaintext::Plaintext;
use crate::process::credential_command;

/// The surroundings as these crates take them.
pub(super) fn context(around: &Arc<Surroundings>, http: &Arc<Http>) -> Context {
    let lent = Lent { around: Arc::clone(around), http: Arc::clone(http) };
    Context::new()
        .with_env(lent.clone())
        .with_file_read(lent.clone())
        .with_http_send(lent.clone())
        .with_command_execute(lent)
}

#[derive(Clone)]
struct Lent {
    around: Arc<Surroundings>,
    http: Arc<Http>,
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
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let content = self.around.read(Path::new(path));
        content
            .map(|content| content.expose().to_vec())
            .map_err(|error| Error::config_invalid(format!("{path}: {error}")))
    }
}

impl HttpSend for Lent {
    #[expect(clippy::disallowed_methods, reason = "an answer, to the crate that asked")]
    async fn http_send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let (head, body) = request.into_parts();
        let method = match head.method.as_str() {
            "GET" => "GET",
            "PUT" => "PUT",
            _ => "POST",
        };
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), Plaintext::copy_of(value.as_bytes())));
        let url = head.uri.to_string();
        // Machines without a service of metadata should not wait long to learn it.
        let patience = if url.starts_with("http://169.254.") { SHORT } else { LONG };
        let body = (!body.is_empty()).then(|| Plaintext::copy_of(&body));
        let headers = headers.collect();
        let call = Call { method, url, headers, body, for_credentials: true };
        let answer = self.http.ask_within(&self.around, call, patience);
        let answer = answer.map_err(|trouble| Error::unexpected(words(&trouble)))?;
        let mut response = http::Response::new(Bytes::copy_from_slice(answer.body.expose()));
        *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

impl CommandExecute for Lent {
    #[expect(clippy::disallowed_methods, reason = "credentials, to the crate that asked for them")]
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> Result<CommandOutput> {
        let output = credential_command(program, args, &self.around.path)
            .map_err(|error| Error::config_invalid(error.to_string()))?;
        Ok(CommandOutput { status: 0, stdout: output.expose().to_vec(), stderr: Vec::new() })
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
const LONG: Duration = Duration::from_secs(15);
