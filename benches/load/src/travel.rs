//! How records travel: how many in a request, and how many requests a connection may have under way.

/// How records travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Travel {
    /// Records of a request, all of one tenant; at least 1. What a request of one is, a submission or a batch, the recipe says.
    pub records: u32,
    /// Most requests under way on a connection, at least 1; above that they are pipelined.
    pub pipeline: u32,
}

impl Travel {
    /// One record in each request, one request at a time on each connection.
    pub const ALONE: Travel = Travel {
        records: 1,
        pipeline: 1,
    };
}
