//! How records travel: each in a request of its own or many in a batch, and how many requests a connection may have under way.

/// How records travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Travel {
    /// Records of a batch request; none: each record is a request.
    pub batch: Option<u32>,
    /// Most requests under way on a connection; above 1 they are pipelined.
    pub pipeline: u32,
}

impl Travel {
    /// One record in each request, one request at a time on each connection.
    pub const ALONE: Travel = Travel {
        batch: None,
        pipeline: 1,
    };

    /// Whether requests are batches: one of a single record is one too.
    pub fn is_batch(self) -> bool {
        self.batch.is_some()
    }

    /// Records of a request.
    pub fn records_count(self) -> u32 {
        self.batch.unwrap_or(1).max(1)
    }

    pub(crate) fn under_way_max(self) -> usize {
        self.pipeline.max(1) as usize
    }
}
