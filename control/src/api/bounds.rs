//! How much connections of the admin API may take.

use std::time::Duration;

/// How much connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time.
    pub connections_max: usize,
    /// How long the head of a request may take, from the beginning of the connection or from the answer before.
    pub head_max: Duration,
    /// How long a client may take nothing of an answer that there is.
    pub take_max: Duration,
    /// How long a client may be behind with what there is for it.
    pub behind_max: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections_max: 64,
            head_max: Duration::from_secs(30),
            take_max: Duration::from_secs(30),
            behind_max: Duration::from_secs(60),
        }
    }
}
