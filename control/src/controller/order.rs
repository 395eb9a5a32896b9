//! What the controller can be asked, and what it answers. It decides nothing.

use crate::audit::AuditError;
use crate::desired::Mistakes;
use crate::link::{LinkError, word};
use crate::tokens::Actor;
use flk_dataplane::driver::agent::protocol::Code;
use flk_dataplane::snapshot::Document;
use serde::Serialize;
use std::fmt;
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes.
pub(super) type ReplyTo<T> = oneshot::Sender<Result<T, Refusal>>;

/// A question or an order.
#[derive(Debug)]
pub enum Order {
    /// Publish the configuration, though a rollback or a refusal holds it back.
    Reload {
        /// Who wants it.
        by: Actor,
        /// Told what came of it.
        done: ReplyTo<OrderResult>,
    },
    /// Publish the content of an earlier snapshot.
    Rollback {
        /// Its number.
        to: u32,
        /// Who wants it.
        by: Actor,
        /// Told what came of it.
        done: ReplyTo<OrderResult>,
    },
    /// The document of a number.
    Document {
        /// The number.
        number: u32,
        /// Told the document.
        done: ReplyTo<Document>,
    },
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderResult {
    /// Whether another snapshot is in force now.
    pub changed: bool,
    /// The number in force.
    pub number: u32,
    /// Its digest.
    pub digest: String,
    /// What changed, in words.
    pub diff: Vec<String>,
    /// Settings that differ and need a restart of the data plane.
    pub restart_needed: Vec<String>,
    /// Settings of control itself that differ and need its restart.
    pub control_restart_needed: Vec<String>,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration is wrong.
    Wrong(Mistakes),
    /// The data plane is away.
    Away(String),
    /// The data plane said no.
    Refused {
        /// For programs.
        code: Code,
        /// A sentence for operators.
        reason: String,
    },
    /// The change could not be recorded, so it was not made.
    Audit(String),
    /// Control stops.
    Stopping,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Wrong(mistakes) => {
                write!(out, "the configuration is wrong: {}", mistakes.0.join("; "))
            }
            Refusal::Away(why) | Refusal::Audit(why) => out.write_str(why),
            Refusal::Refused { code, reason } => {
                write!(out, "the data plane refuses it ({}): {reason}", word(*code))
            }
            Refusal::Stopping => out.write_str("control stops"),
        }
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Refusal {
        match error {
            LinkError::Away(_) => Refusal::Away(error.to_string()),
            LinkError::Refused { code, reason } => Refusal::Refused { code, reason },
        }
    }
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Refusal {
        Refusal::Audit(format!(
            "nothing was changed, for the audit log failed: {error}"
        ))
    }
}

/// Gives orders, and waits for what comes of them.
#[derive(Clone, Debug)]
pub struct Orders(pub mpsc::Sender<Order>);

impl Orders {
    /// Publishes the configuration.
    ///
    /// # Errors
    /// It was not carried out.
    pub async fn reload(&self, by: Actor) -> Result<OrderResult, Refusal> {
        self.give(|done| Order::Reload { by, done }).await
    }

    /// Publishes the content of an earlier snapshot.
    ///
    /// # Errors
    /// It was not carried out.
    pub async fn rollback(&self, to: u32, by: Actor) -> Result<OrderResult, Refusal> {
        self.give(|done| Order::Rollback { to, by, done }).await
    }

    /// The document of a number.
    ///
    /// # Errors
    /// It is not kept, or the data plane is away.
    pub async fn document(&self, number: u32) -> Result<Document, Refusal> {
        self.give(|done| Order::Document { number, done }).await
    }

    async fn give<T>(&self, order: impl FnOnce(ReplyTo<T>) -> Order) -> Result<T, Refusal> {
        let (done, answer) = oneshot::channel();
        let given = self.0.send(order(done)).await;
        given.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }
}
