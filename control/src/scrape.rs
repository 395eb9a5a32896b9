//! The data plane's `/metrics`, fetched over HTTP. It returns the text as it is; an answer that is late, long or no page is
//! an error and never a part of one.

use flk_dataplane::driver::listen::reachable;
use flk_dataplane::stats::exposition::Format;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A page of more tenants than there may be.
const PAGE_BYTES_MAX: usize = 32 << 20;
const PAGE_MAX: Duration = Duration::from_secs(5);

/// Where the page is.
#[derive(Clone)]
pub struct Scraper {
    address: SocketAddr,
    /// What `Authorization` says.
    authorization: Option<String>,
}

impl std::fmt::Debug for Scraper {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Scraper({})", self.address)
    }
}

impl Scraper {
    /// Of a data plane that listens there; base64 of `user:password` if its page asks for that.
    pub fn of(listens_on: SocketAddr, credentials: Option<&str>) -> Scraper {
        Scraper {
            address: reachable(listens_on),
            authorization: credentials.map(|it| format!("Basic {it}")),
        }
    }

    /// Where the data plane is reached from here.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page, in this format.
    ///
    /// # Errors
    /// There is none, in words.
    pub async fn page(&self, format: Format) -> Result<String, String> {
        let late = |_| format!("{} did not answer in time", self.address);
        let fetched = timeout(PAGE_MAX, self.fetch(format)).await.map_err(late)?;
        fetched.map_err(|error| format!("{}: {error}", self.address))
    }

    async fn fetch(
        &self,
        format: Format,
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake?;
        let connection = tokio::spawn(connection);
        let mut request = hyper::Request::get("/metrics")
            .header(HOST, self.address.to_string())
            .header(ACCEPT, format.content_type());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), PAGE_BYTES_MAX);
        let body = body.collect().await?.to_bytes();
        connection.abort();
        match status.is_success() {
            true => Ok(String::from_utf8(body.to_vec())?),
            false => Err(format!("it answered {status}").into()),
        }
    }
}
