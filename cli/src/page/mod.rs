//! The page of metrics of any process of flk, fetched over HTTP and read into samples. It judges no number.

pub(crate) mod samples;

use crate::args::time_text;
use crate::exit::Failure;
use crate::fault;
use crate::submit::target::Target;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

/// A page of a gateway with all rows of all tables is below 1 MiB.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Time for an answer over HTTP.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where a page is.
pub(crate) struct Page {
    target: Target,
    path: String,
    /// What `Authorization` says.
    authorization: Option<Zeroizing<String>>,
    runtime: Runtime,
}

impl Page {
    /// The page of the process behind an address, with or without the path of the page.
    pub(crate) fn of_url(url: &str) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/');
        let target = Target::parse(base.strip_suffix("/metrics").unwrap_or(base))?;
        let prefix = target.path.path().strip_suffix(Target::PATH);
        let path = format!("{}/metrics", prefix.unwrap_or_default());
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::unavailable(fault::why(&error)))?;
        Ok(Self {
            target,
            path,
            authorization: None,
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

    /// The whole address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.target.authority, self.path)
    }

    /// Fetches it.
    pub(crate) fn fetch(&self) -> Result<String, Failure> {
        let failed = |why: &str| {
            let url = self.url();
            Failure::unavailable(format!(
                "no metrics from {url}: {why}; --url names a gateway"
            ))
        };
        // Made inside: a timer needs the runtime's context.
        let answered = self
            .runtime
            .block_on(async { tokio::time::timeout(ANSWER_WITHIN, self.get()).await });
        let within = time_text(ANSWER_WITHIN);
        let answered = answered.map_err(|_| failed(&format!("no answer within {within}")))?;
        answered.map_err(|why| failed(&why))
    }

    async fn get(&self) -> Result<String, String> {
        let target = &self.target;
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|error| fault::why(&error))?;
        let broken = |_| "the connection ended before the answer".to_owned();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::get(&self.path).header(HOST, &target.authority);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.as_str());
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|_| "its path is none".to_owned())?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), PAGE_BYTES_MAX).collect();
        let body = body.await;
        connection.abort();
        if !status.is_success() {
            return Err(format!("it answers {}", status.as_u16()));
        }
        let body = body.map_err(|_| "the answer did not come whole".to_owned())?;
        let not_text = |_| "the answer is not text".to_owned();
        String::from_utf8(body.to_bytes().into()).map_err(not_text)
    }
}
