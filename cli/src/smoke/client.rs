//! One connection to the gateway, asked from code that waits. It judges no answer.

use crate::exit::Failure;
use crate::fault;
use crate::output::printable;
use crate::submit::client::{Connection, NoReply, Reply, Sending, Template};
use crate::submit::target::Target;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A connection that is opened when it is needed.
pub(super) struct Client {
    runtime: Runtime,
    connection: Connection,
}

impl Client {
    pub(super) fn new(
        target: Target,
        tenant: Option<HeaderValue>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::unavailable(fault::why(&error)))?;
        let template = Rc::new(Template::new(target, tenant, timeout));
        Ok(Self {
            runtime,
            connection: Connection::new(template),
        })
    }

    /// Asks for what is at a path.
    pub(super) fn get(&mut self, path: &Uri) -> Result<Reply, NoReply> {
        self.send(&Sending::Question(path.clone()))
    }

    /// Submits a record.
    pub(super) fn submit(&mut self, body: &[u8]) -> Result<Reply, NoReply> {
        self.send(&Sending::Record(Bytes::copy_from_slice(body)))
    }

    fn send(&mut self, sending: &Sending) -> Result<Reply, NoReply> {
        // Made inside: a timer needs the runtime's context.
        let connection = &mut self.connection;
        self.runtime
            .block_on(async { connection.send(sending).await })
    }
}

/// A status with what a problem document says, as a user reads it.
pub(super) fn in_words(reply: &Reply) -> String {
    let problem: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let text = |name: &str| problem.as_ref().and_then(|it| it[name].as_str());
    match (text("code"), text("detail")) {
        (Some(code), Some(detail)) => {
            let (code, detail) = (printable(code), printable(detail));
            format!("{} {code}: {detail}", reply.status)
        }
        _ => reply.status.to_string(),
    }
}
