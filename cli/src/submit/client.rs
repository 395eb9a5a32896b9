//! One keep-alive connection: sends a request, reads the response. It does not interpret responses. It repeats a request
//! only if a kept connection turned out to be closed.

use crate::fault;
use crate::submit::target::Target;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Only so much of a response is read; those of a gateway are below 2 KiB.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// The same for the answer to a batch, which has up to 4,096 lines of at most 512 bytes.
const BATCH_ANSWER_BYTES_MAX: usize = 4 << 20;

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Sending {
    /// One record.
    Record(Bytes),
    /// Many, one a line.
    Batch(Bytes),
    /// Nothing: what is at this path is asked for.
    Question(Uri),
}

/// A response, from a gateway or another server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The header `Content-Type`, without parameters, in lower case.
    pub(crate) content_type: String,
    /// The header `Flk-Dedup`.
    pub(crate) dedup: Option<String>,
    /// The header `Retry-After`, where it counts seconds.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// Why there was no response. The state of the record is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// There was no connection, so nothing was sent.
    Unconnected(String),
    /// The connection ended before the response.
    Lost(String),
    /// No response within `--timeout`.
    Late(Duration),
    /// The response is not HTTP/1.1.
    NotHttp,
    /// The user interrupted the command.
    Interrupted,
}

impl std::fmt::Display for NoReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unconnected(why) => write!(f, "no connection: {why}"),
            Self::Lost(why) => f.write_str(why),
            Self::Late(limit) => {
                let limit = crate::args::time_text(*limit);
                write!(f, "no answer within {limit} (--timeout)")
            }
            Self::NotHttp => f.write_str("not a gateway: what came back is not HTTP/1.1"),
            Self::Interrupted => f.write_str("interrupted before the answer"),
        }
    }
}

/// What all requests have in common.
pub(crate) struct Template {
    target: Target,
    tenant: Option<HeaderValue>,
    timeout: Duration,
}

impl Template {
    /// Requests to `target` with this time-out.
    pub(crate) fn new(target: Target, tenant: Option<HeaderValue>, timeout: Duration) -> Self {
        Self {
            target,
            tenant,
            timeout,
        }
    }

    fn request(&self, sending: &Sending) -> Request<Full<Bytes>> {
        let nothing = Bytes::new();
        let (body, path, content_type) = match sending {
            Sending::Record(body) => (body, &self.target.path, Some("application/json")),
            Sending::Batch(body) => (body, &self.target.batch_path, Some("application/x-ndjson")),
            Sending::Question(path) => (&nothing, path, None),
        };
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = match content_type {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        *request.uri_mut() = path.clone();
        let headers = request.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        // a checked address has only characters that a header may have
        if let Ok(host) = HeaderValue::from_str(&self.target.authority) {
            headers.insert(HOST, host);
        }
        const AGENT: &str = concat!("flk/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(tenant) = &self.tenant {
            headers.insert("x-tenant-id", tenant.clone());
        }
        request
    }
}

/// A connection that is opened when needed and kept until the gateway closes it.
pub(crate) struct Connection {
    template: Rc<Template>,
    open: Option<SendRequest<Full<Bytes>>>,
    /// Whether the last body was given to an open connection.
    was_handed_over: bool,
}

impl Connection {
    /// Not connected yet.
    pub(crate) fn new(template: Rc<Template>) -> Self {
        Self {
            template,
            open: None,
            was_handed_over: false,
        }
    }

    /// Whether any part of the last body may have been sent.
    pub(crate) const fn may_have_sent(&self) -> bool {
        self.was_handed_over
    }

    /// Sends a body and reads the response, within the time-out.
    pub(crate) async fn send(&mut self, sending: &Sending) -> Result<Reply, NoReply> {
        let limit = self.template.timeout;
        self.was_handed_over = false;
        match timeout(limit, self.exchange(sending)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.open = None;
                Err(NoReply::Late(limit))
            }
        }
    }

    async fn exchange(&mut self, sending: &Sending) -> Result<Reply, NoReply> {
        if let Some(mut kept) = self.open.take() {
            match self.exchange_over(&mut kept, sending).await {
                // the gateway may close an idle connection at any time; sending again is safe
                Err(NoReply::Lost(_)) => {}
                answer => {
                    self.keep(kept, &answer);
                    return answer;
                }
            }
        }
        let mut fresh = connect(&self.template.target).await?;
        let answer = self.exchange_over(&mut fresh, sending).await;
        self.keep(fresh, &answer);
        answer
    }

    fn keep(&mut self, connection: SendRequest<Full<Bytes>>, answer: &Result<Reply, NoReply>) {
        self.open = answer.is_ok().then_some(connection);
    }

    async fn exchange_over(
        &mut self,
        connection: &mut SendRequest<Full<Bytes>>,
        sending: &Sending,
    ) -> Result<Reply, NoReply> {
        connection.ready().await.map_err(|error| lost(&error))?;
        let request = self.template.request(sending);
        self.was_handed_over = true;
        let response = connection.send_request(request).await;
        let bytes_max = match sending {
            Sending::Record(_) | Sending::Question(_) => ANSWER_BYTES_MAX,
            Sending::Batch(_) => BATCH_ANSWER_BYTES_MAX,
        };
        read(response.map_err(|error| lost(&error))?, bytes_max).await
    }
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, NoReply> {
    let unconnected = |why: String| NoReply::Unconnected(why);
    let name = (target.host.as_str(), target.port);
    let addresses = tokio::net::lookup_host(name).await;
    let addresses = addresses.map_err(|_| {
        let host = &target.host;
        unconnected(format!("the name {host} is not known here"))
    })?;
    let mut refused = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return greet(stream).await,
            Err(error) => refused = fault::why(&error),
        }
    }
    Err(unconnected(refused))
}

/// Starts the task that moves the bytes of the connection.
async fn greet(stream: TcpStream) -> Result<SendRequest<Full<Bytes>>, NoReply> {
    stream
        .set_nodelay(true)
        .map_err(|error| NoReply::Unconnected(fault::why(&error)))?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(&error))?;
    // an error is seen by the request in flight
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

fn lost(error: &hyper::Error) -> NoReply {
    if error.is_parse() {
        return NoReply::NotHttp;
    }
    let cause = std::error::Error::source(error).and_then(|it| it.downcast_ref());
    NoReply::Lost(match cause {
        Some(error) => fault::why(error),
        None => "the connection was closed before the answer".to_owned(),
    })
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Reply, NoReply> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| lost(&error))?;
        let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
        let room = bytes_max - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            break;
        }
    }
    let content_type = text(&head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    Ok(Reply {
        status: head.status.as_u16(),
        content_type: media_type.trim().to_ascii_lowercase(),
        dedup: text(&head.headers, "flk-dedup"),
        retry_after_s: text(&head.headers, RETRY_AFTER.as_str())
            .and_then(|it| it.trim().parse().ok()),
        body,
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
