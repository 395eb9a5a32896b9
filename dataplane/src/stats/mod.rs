//! Counters and histograms. Each thread writes only its own part, with plain stores; any thread, and any process that maps
//! the page, may read all parts at any time without slowing a shard. No decision about a record uses them; readiness looks at what is observed of shards.

mod by_shard;
pub mod cell;
pub mod exposition;
pub mod family;
mod format;
pub mod holds;
pub mod keeper;
pub mod page;
pub mod reference;
pub mod refusals;
pub mod refused;
mod series;
pub mod shard;
pub mod span_times;
pub mod spans;
pub mod table;
pub mod tenants;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod traces;
mod versioned;

pub(crate) use self::by_shard::render as render_by_shard;
pub use self::cell::Cell;
pub use self::keeper::{KeeperStats, ObservedStats, ProcessStats};
pub(crate) use self::series::WAL_FORMAT;
pub(crate) use self::series::tenants::tenant_name;
pub use self::shard::{STATUSES, ShardStats};
pub use self::trace::Trace;
pub use self::traces::Traces;

use self::page::{Header, Layout, Parts};
use std::ops::Deref;

/// A part of the page: in memory of this process, or in memory that others may map.
#[derive(Debug)]
pub enum Part<T: ?Sized + 'static> {
    /// In memory of this process.
    Owned(Box<T>),
    /// In memory that is mapped for as long as the process lives.
    Shared(&'static T),
}

impl<T: ?Sized> Deref for Part<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Part::Owned(part) => part,
            Part::Shared(part) => part,
        }
    }
}

/// The statistics of a process, for those who write them.
#[derive(Debug)]
pub struct Stats {
    /// One part per shard.
    pub shards: Part<[ShardStats]>,
    /// The keeper's part.
    pub keeper: Part<KeeperStats>,
    /// The process's part.
    pub process: Part<ProcessStats>,
    /// What is observed of each shard.
    pub observed: Part<[ObservedStats]>,
    /// What each shard traced last.
    pub traces: Part<[Traces]>,
    /// The beginning.
    header: Part<Header>,
}

impl Stats {
    /// Zeroed statistics in memory of this process.
    pub fn new(shards: u16) -> Stats {
        let stats = Stats {
            shards: Part::Owned((0..shards).map(|_| ShardStats::default()).collect()),
            keeper: Part::Owned(Box::default()),
            process: Part::Owned(Box::default()),
            observed: Part::Owned((0..shards).map(|_| ObservedStats::default()).collect()),
            traces: Part::Owned((0..shards).map(|_| Traces::default()).collect()),
            header: Part::Owned(Box::default()),
        };
        stats.header.write(&Layout::of(shards));
        stats
    }

    /// Statistics in mapped memory that is all zeros.
    pub fn shared(parts: Parts<'static>) -> Stats {
        let stats = Stats {
            shards: Part::Shared(parts.shards),
            keeper: Part::Shared(parts.keeper),
            process: Part::Shared(parts.process),
            observed: Part::Shared(parts.observed),
            traces: Part::Shared(parts.traces),
            header: Part::Shared(parts.header),
        };
        stats.header.write(&Layout::of(parts.shards.len() as u16));
        stats
    }

    /// The process began to count then, in microseconds since 1970. To be said before anything reads.
    pub fn begin(&self, wall_us: u64) {
        self.header.started_wall_us.set(wall_us);
    }

    /// All parts, for reading.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            header: &self.header,
            process: &self.process,
            observed: &self.observed,
            keeper: &self.keeper,
            shards: &self.shards,
            traces: &self.traces,
        }
    }
}
