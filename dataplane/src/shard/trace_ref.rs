//! How a request and an answer name the trace of their record.

/// The place of a trace that may be complete by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceRef {
    /// Its place among the traces that are not complete.
    pub slot: u16,
    /// Tells it from others that had the place.
    pub generation: u16,
}
