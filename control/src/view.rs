//! What control shows of itself: one value that its tasks write and that status and metrics read. It holds no secret.

use crate::desired::Mistakes;
use crate::export::Exported;
use crate::suspect::Suspicion;
use flk_dataplane::driver::agent::protocol::Status;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::watch;

/// Everything that is shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct View {
    /// Whether the data plane answers.
    pub dataplane: Dataplane,
    /// Its last status, which may be old while it is away.
    pub status: Option<Status>,
    /// Where the configuration stands.
    pub configuration: Configuration,
    /// A rollback that holds against the configuration.
    pub pinned: Option<Pinned>,
    /// Settings that differ from those of the start and need a restart of the data plane.
    pub restart_needed: Vec<String>,
    /// Settings of control itself that differ from those of its start.
    pub control_restart_needed: Vec<String>,
    /// What is wrong with the file of tokens, by line.
    pub tokens_wrong: Vec<String>,
    /// What is suspect of the snapshot in force.
    pub suspect: Vec<Suspicion>,
    /// Counters since the start of control.
    pub counters: Counters,
    /// What became of traces; metrics show it.
    #[serde(skip)]
    pub exported: Arc<Exported>,
    /// What the console costs; metrics show it.
    #[serde(skip)]
    pub console: Arc<ConsoleCosts>,
}

/// What the console costs.
#[derive(Debug, Default)]
pub struct ConsoleCosts {
    /// Streams that are open.
    pub streams: AtomicU64,
    /// Streams whose clients took nothing for too long.
    pub streams_cut: AtomicU64,
    /// Bytes of the history.
    pub history_bytes: AtomicU64,
    /// Series whose history is not kept.
    pub series_left_out: AtomicU64,
}

/// Whether the data plane answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Dataplane {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered the last question.
    Answers,
    /// It did not.
    Away {
        /// Why.
        why: String,
    },
}

/// Where the configuration stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Configuration {
    /// It was not compared yet.
    #[default]
    Unknown,
    /// It is what is in force.
    InForce,
    /// It differs, because of a rollback.
    HeldByRollback,
    /// It differs, and the data plane refuses it, or the change cannot be recorded.
    Refused {
        /// Why.
        reason: String,
    },
    /// It is wrong; what was in force stays so.
    Wrong {
        /// Each with its place.
        mistakes: Mistakes,
    },
}

/// A rollback that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The number that was published.
    pub number: u32,
    /// The number whose content it has.
    pub rollback_of: u32,
    /// Content digest of the configuration that it holds against; none: it was wrong at that time.
    pub against: Option<String>,
}

/// Counters since the start of control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Configurations that were wrong.
    pub reload_failures: u64,
    /// Snapshots that came into force.
    pub published: u64,
    /// Snapshots that the data plane refused.
    pub refused: u64,
    /// Lines of the audit log.
    pub audit_lines: u64,
    /// Requests to the admin API that were refused for want of a token or role.
    pub denied: u64,
}

/// Where the view is written.
pub type Board = Arc<watch::Sender<View>>;

/// A board with nothing on it.
pub fn board() -> Board {
    Arc::new(watch::Sender::new(View::default()))
}
