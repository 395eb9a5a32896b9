//! What the console in a browser is shown: numbers of the last hour and the last day, what needs attention, refusals, events and
//! files. It reads and changes nothing, and the data plane does nothing for it.

// From a page of metrics to a history.
pub mod catalog;
pub mod clock;
mod code;
pub mod history;
pub mod page;
pub mod ring;
pub mod source;

// What is made of it.
pub mod attention;

// Files of the log, and what became of them.
mod changes;
pub mod disk;
pub mod journal;
pub mod lookup;
pub mod wal_dir;

// What is shown, and how it is kept up to date.
pub mod chronicle;
pub mod held;
pub mod numbers;
pub mod overview;
pub mod record;
pub mod refusals;
pub mod shown;
pub mod stream;
pub mod threads;

// The page itself, and who has signed in to it.
pub mod files;
pub mod sessions;

use disk::Beginnings;
use flk_dataplane::snapshot::Document;
use journal::Journal;
use sessions::Sessions;
use shown::Shown;
use source::Source;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use threads::Threads;

/// What the API answers the console from.
#[derive(Clone, Debug)]
pub struct Console {
    /// Numbers, and what needs attention.
    pub shown: Arc<Shown>,
    /// The data plane.
    pub source: Source,
    /// What happened.
    pub journal: Arc<Journal>,
    /// Users that have signed in.
    pub sessions: Arc<Sessions>,
    /// What was read of files.
    pub kept: Arc<Kept>,
    /// Where its work may wait.
    pub threads: Threads,
    /// Browsers reach it by TLS, which a proxy ends.
    pub is_tls: bool,
}

/// What several answers use.
#[derive(Debug, Default)]
pub struct Kept {
    /// Of the map of files. It is held while files are read, so that one answer reads them at a time.
    pub map: Arc<tokio::sync::Mutex<KeptMap>>,
    /// The document in force.
    pub document: Mutex<Option<Arc<Document>>>,
}

/// A map of files that may be shown again for some seconds.
#[derive(Debug, Default)]
pub struct KeptMap {
    /// What is known of segments.
    pub known: Beginnings,
    /// The text, and when it was made.
    pub text: Option<(Instant, Arc<str>)>,
}
