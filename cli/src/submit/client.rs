//! One request and its answer. It never tries again and never decides what an answer means.

use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

/// Longest answer that is read; those of a gateway are far below.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// From here on the gateway is asked first whether it would take such a body.
const EXPECT_BYTES_MIN: usize = 64 << 10;

/// An answer of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The header `Flk-Dedup`.
    pub(crate) dedup: Option<String>,
    /// The header `Retry-After`, where it counts seconds.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// Sends bodies to one address over kept connections.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    tenant: Option<String>,
}

impl Client {
    /// A client that keeps a connection for each of `concurrency` senders.
    pub(crate) fn new(
        url: &str,
        tenant: Option<&str>,
        concurrency: u16,
        timeout: Duration,
    ) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(usize::from(concurrency))
            .max_idle_connections_per_host(usize::from(concurrency))
            .timeout_global(Some(timeout))
            .user_agent(concat!("flk/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            tenant: tenant.map(str::to_owned),
        }
    }

    /// Sends one body. An error means that nothing is known about it.
    pub(crate) fn send(&self, body: &[u8]) -> Result<Reply, ureq::Error> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json");
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Tenant-Id", tenant);
        }
        if body.len() >= EXPECT_BYTES_MIN {
            request = request.header("Expect", "100-continue");
        }
        read(request.send(body)?)
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let body = body.read_to_vec()?;
    let headers = response.headers();
    Ok(Reply {
        status: response.status().as_u16(),
        dedup: text(headers, "Flk-Dedup"),
        retry_after_s: text(headers, "Retry-After").and_then(|it| it.trim().parse().ok()),
        body,
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
