//! The page of metrics of any process of flk, fetched over HTTP and read into samples. It judges no number.

pub(crate) mod samples;

use crate::args::time_text;
use crate::exit::Failure;
use crate::fault;
use crate::keyring::{age_keys, place_of, read_secret};
use crate::submit::target::Target;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_dataplane::config::SecretPath;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

/// A page of a gateway with all rows of all tables is below 1 MiB.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Time for an answer over HTTP.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum NoPage {
    /// The process answered with another status than success.
    Status(StatusCode),
    /// It is the page of flk-control, which asks for a token that it knows.
    NeedsToken,
    /// No answer came whole, in words.
    Broken(String),
}

impl fmt::Display for NoPage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPage::Status(StatusCode::UNAUTHORIZED) => out.write_str(
                "it answers 401: set METRICS_USER and METRICS_PASS (or METRICS_PASS_FILE) as they are for the gateway",
            ),
            NoPage::Status(status) => write!(out, "it answers {}", status.as_u16()),
            NoPage::NeedsToken => {
                out.write_str("it answers 401: flk-control asks for a token that it knows")
            }
            NoPage::Broken(why) => out.write_str(why),
        }
    }
}

/// Where a page is.
pub(crate) struct Page {
    target: Target,
    path: Uri,
    /// What `Authorization` says.
    authorization: Option<Zeroizing<String>>,
    /// The same for a process that asks for a token.
    bearer: Option<Zeroizing<String>>,
    runtime: Runtime,
}

/// The password of the file that `METRICS_PASS_FILE` names. What cannot be read is said, and then there is none.
fn password_of_file() -> Option<Zeroizing<String>> {
    let typed = std::env::var_os("METRICS_PASS_FILE").filter(|it| !it.is_empty())?;
    let SecretPath { path, entry } = place_of(&typed);
    let read = read_secret(&path, entry.as_deref(), &age_keys());
    read.map_err(|why| eprintln!("flk: METRICS_PASS_FILE: {why}"))
        .ok()
}

impl Page {
    /// The page of the process behind an address, with or without the path of the page.
    pub(crate) fn of_url(url: &str) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/');
        let target = Target::parse(base.strip_suffix("/metrics").unwrap_or(base))?;
        let path = target.beside("/metrics")?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::unavailable(fault::why(&error)))?;
        Ok(Self {
            target,
            path,
            authorization: None,
            bearer: None,
            runtime,
        })
    }

    /// Asked for with the base64 of `user:password`.
    pub(crate) fn with_credentials(self, credentials: &str) -> Self {
        let authorization = Some(Zeroizing::new(format!("Basic {credentials}")));
        Self {
            authorization,
            ..self
        }
    }

    /// Asked for with `METRICS_USER` and `METRICS_PASS` (or `METRICS_PASS_FILE`), where they are set as they are for the gateway.
    pub(crate) fn with_credentials_of_environment(self) -> Self {
        let variable = |name: &str| {
            let text = std::env::var(name).ok().filter(|it| !it.is_empty());
            text.map(Zeroizing::new)
        };
        // Without a user there are no credentials, and no file is read for them.
        let Some(user) = variable("METRICS_USER") else {
            return self;
        };
        let Some(pass) = variable("METRICS_PASS").or_else(password_of_file) else {
            return self;
        };
        let plain = Zeroizing::new([user.as_str(), ":", pass.as_str()].concat());
        let credentials = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        self.with_credentials(&credentials)
    }

    /// With a token of flk-control. It is sent to a process that asks for one, and to no other.
    pub(crate) fn with_token(self, token: &str) -> Self {
        let bearer = Some(Zeroizing::new(format!("Bearer {token}")));
        Self { bearer, ..self }
    }

    /// The whole address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.target.authority, self.path)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.target.authority
    }

    /// Fetches it, with the usual words where there is none.
    pub(crate) fn fetch(&self) -> Result<String, Failure> {
        self.fetch_within(ANSWER_WITHIN).map_err(|why| {
            let url = self.url();
            Failure::unavailable(format!(
                "no metrics from {url}: {why}; --url names a gateway"
            ))
        })
    }

    /// Fetches it.
    pub(crate) fn fetch_within(&self, within: Duration) -> Result<String, NoPage> {
        // Made inside: a timer needs the runtime's context.
        let answered = self
            .runtime
            .block_on(async { tokio::time::timeout(within, self.get()).await });
        answered.unwrap_or_else(|_| {
            let within = time_text(within);
            Err(NoPage::Broken(format!("no answer within {within}")))
        })
    }

    async fn get(&self) -> Result<String, NoPage> {
        match (self.ask(self.authorization.as_ref()).await, &self.bearer) {
            (Err(NoPage::NeedsToken), Some(bearer)) => self.ask(Some(bearer)).await,
            (answer, _) => answer,
        }
    }

    async fn ask(&self, authorization: Option<&Zeroizing<String>>) -> Result<String, NoPage> {
        let target = &self.target;
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|error| NoPage::Broken(fault::why(&error)))?;
        let broken = |_| NoPage::Broken("the connection ended before the answer".to_owned());
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::get(self.path.clone()).header(HOST, &target.authority);
        if let Some(authorization) = authorization {
            let value = HeaderValue::from_str(authorization);
            let mut value =
                value.map_err(|_| NoPage::Broken("its credentials are none".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|_| NoPage::Broken("its path is none".to_owned()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        let asks_for_token = challenge.is_some_and(|it| it.as_bytes() == b"Bearer");
        let body = Limited::new(response.into_body(), PAGE_BYTES_MAX).collect();
        let body = body.await;
        connection.abort();
        if status == StatusCode::UNAUTHORIZED && asks_for_token {
            return Err(NoPage::NeedsToken);
        }
        if !status.is_success() {
            return Err(NoPage::Status(status));
        }
        let body = body.map_err(|_| NoPage::Broken("the answer did not come whole".to_owned()))?;
        let not_text = |_| NoPage::Broken("the answer is not text".to_owned());
        String::from_utf8(body.to_bytes().into()).map_err(not_text)
    }
}
