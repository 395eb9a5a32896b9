//! What is asked of gateways: rates, sizes and times. It is plain data; the command line checks it.

/// What records come, and what is promised of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Records per second on average, duplicates included.
    pub(super) per_second: f64,
    /// The highest rate, as a multiple of the average.
    pub(super) peak_times: f64,
    /// Share of the records whose id is known.
    pub(super) duplicates: f64,
    /// Share of the records that are signed by Ed25519.
    pub(super) ed25519: f64,
    /// Bytes of a body.
    pub(super) body_bytes: f64,
    /// For how long ids are known, in seconds.
    pub(super) ttl_s: f64,
    /// For how long bodies are kept, in seconds.
    pub(super) keep_s: f64,
    /// What one durable write of the device takes, in seconds.
    pub(super) flush_s: f64,
    /// Share of a shard's CPU that is planned for.
    pub(super) use_share: f64,
    /// Length of a log segment, in bytes.
    pub(super) segment_bytes: f64,
    /// Machines with a gateway each.
    pub(super) replicas: u32,
    /// How many of them may be away while the others take everything.
    pub(super) spare: u32,
}

impl Need {
    /// What one machine has to take: its part where `spare` others are away.
    pub(super) fn of_one(&self) -> Need {
        let serving = self.replicas.saturating_sub(self.spare).max(1);
        Need {
            per_second: self.per_second / f64::from(serving),
            replicas: 1,
            spare: 0,
            ..*self
        }
    }

    /// Records per second at the peak.
    pub(super) fn peak_per_second(&self) -> f64 {
        self.per_second * self.peak_times
    }

    /// New ids per second on average.
    pub(super) fn new_per_second(&self) -> f64 {
        self.per_second * (1.0 - self.duplicates)
    }

    /// Ids that are known at a time.
    pub(super) fn ids(&self) -> f64 {
        self.new_per_second() * self.ttl_s
    }
}
