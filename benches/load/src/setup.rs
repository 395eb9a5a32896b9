//! What a sending thread needs to know. It holds it, and does nothing.

use std::iter::Peekable;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::arrivals::Arrivals;
use crate::record::Recipe;
use crate::supply::Supply;
use crate::travel::Travel;

/// When to send.
pub(crate) enum Pace {
    /// At these times since the start.
    Open(Peekable<Arrivals>),
    /// As soon as a connection is free.
    Closed,
}

/// What a thread needs to know.
pub(crate) struct Setup {
    pub(crate) address: SocketAddr,
    pub(crate) connections_count: usize,
    pub(crate) pace: Pace,
    pub(crate) warm_up: Duration,
    /// Warm-up and measurement together.
    pub(crate) duration: Duration,
    /// Longest wait for an answer, and for the last ones after the end.
    pub(crate) timeout: Duration,
    pub(crate) travel: Travel,
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) supply: Supply,
}
