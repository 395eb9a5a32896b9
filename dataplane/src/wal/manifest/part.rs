//! One closed segment of a log, to be read by itself: the log with nothing else but the segment before, which states where it begins.

use super::LogEntry;

impl LogEntry {
    /// The log with the segment of this index alone. It stands last.
    pub fn alone(&self, index: usize) -> LogEntry {
        LogEntry {
            id: self.id,
            incarnation: self.incarnation,
            ended_at: None,
            resolved_upto: self.resolved_upto,
            segments: self.segments[index.saturating_sub(1)..=index].to_vec(),
        }
    }
}
