//! The page of statistics as memory that several processes map: what stands at its beginning, where the parts lie, and how a
//! reader recognises it. It maps nothing itself: the driver does. A page of another layout is refused, never guessed at.
//!
//! ```text
//! 0        Header        magic, layout version, bytes, count of shards, offset and size of each part, texts
//! process  ProcessStats  written by the thread that observes the process
//! keeper   KeeperStats   written by the keeper
//! observed ObservedStats one per shard, written by the thread that observes the process
//! shards   ShardStats    one behind the other, each written by its shard's thread
//! traces   Traces        one per shard, written by its shard's thread
//! ```

use super::cell::{Cell, Text};
use super::keeper::{KeeperStats, ObservedStats, ProcessStats};
use super::shard::ShardStats;
use super::traces::Traces;
use std::fmt;

/// What a page begins with: `flkstats`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"flkstats");
/// Raised with every change of a part's layout; a test pins the sizes.
pub const LAYOUT_VERSION: u64 = 1;
/// Name of the memory, as in `/proc/PID/fd`: `/memfd:flk-stats`.
pub const NAME: &str = "flk-stats";

/// The beginning of a page. It is written before anything else can read it, and never again. The magic comes last.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Header {
    /// [`MAGIC`].
    pub magic: Cell,
    /// [`LAYOUT_VERSION`].
    pub layout_version: Cell,
    /// All bytes of the page.
    pub bytes: Cell,
    /// Shards of the process.
    pub shards_count: Cell,
    /// Offset of [`ProcessStats`].
    pub process_at: Cell,
    /// Offset of [`KeeperStats`].
    pub keeper_at: Cell,
    /// Offset of the first [`ObservedStats`].
    pub observed_at: Cell,
    /// Offset of the first [`ShardStats`].
    pub shards_at: Cell,
    /// Bytes of each.
    pub shard_bytes: Cell,
    /// Process id of the writer.
    pub pid: Cell,
    /// When it began, in microseconds since 1970.
    pub started_wall_us: Cell,
    /// Version of the writer.
    pub version: Text<4>,
    /// The region that it runs in; empty where none is named.
    pub region: Text<8>,
    /// The node that it runs on; empty where none is named.
    pub node: Text<8>,
    /// Offset of the first [`Traces`].
    pub traces_at: Cell,
    /// Bytes of each.
    pub traces_bytes: Cell,
    /// What runs the shards: `uring` or `portable`.
    pub driver: Text<1>,
}

impl Header {
    /// Fills the header of a page in memory that is all zeros.
    pub(super) fn write(&self, layout: &Layout) {
        self.layout_version.set(LAYOUT_VERSION);
        self.bytes.set(layout.bytes as u64);
        self.shards_count.set(u64::from(layout.shards_count));
        self.process_at.set(layout.process_at as u64);
        self.keeper_at.set(layout.keeper_at as u64);
        self.observed_at.set(layout.observed_at as u64);
        self.shards_at.set(layout.shards_at as u64);
        self.shard_bytes.set(size_of::<ShardStats>() as u64);
        self.traces_at.set(layout.traces_at as u64);
        self.traces_bytes.set(size_of::<Traces>() as u64);
        self.pid.set(u64::from(std::process::id()));
        self.version.set(env!("CARGO_PKG_VERSION"));
        self.magic.set(MAGIC);
    }

    /// Checks that this is a page of this layout, in a mapping of `mapped_bytes`.
    ///
    /// # Errors
    /// It is none, or one that this build does not read.
    pub fn check(&self, mapped_bytes: usize) -> Result<Layout, PageError> {
        if self.magic.get() != MAGIC {
            return Err(PageError::NoPage);
        }
        let version = self.layout_version.get();
        if version != LAYOUT_VERSION {
            return Err(PageError::OtherVersion {
                version,
                writer: self.version.get(),
            });
        }
        let shards_count = u16::try_from(self.shards_count.get());
        let layout = Layout::of(shards_count.map_err(|_| PageError::Damaged)?);
        let found = [
            (&self.bytes, layout.bytes),
            (&self.process_at, layout.process_at),
            (&self.keeper_at, layout.keeper_at),
            (&self.observed_at, layout.observed_at),
            (&self.shards_at, layout.shards_at),
            (&self.shard_bytes, size_of::<ShardStats>()),
            (&self.traces_at, layout.traces_at),
            (&self.traces_bytes, size_of::<Traces>()),
        ];
        let fits = found.iter().all(|(cell, it)| cell.get() == *it as u64);
        match fits && layout.bytes <= mapped_bytes {
            true => Ok(layout),
            false => Err(PageError::Damaged),
        }
    }
}

/// Where the parts of a page lie, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Shards of the process.
    pub shards_count: u16,
    /// The process's part.
    pub process_at: usize,
    /// The keeper's part.
    pub keeper_at: usize,
    /// What is observed of the first shard; the others follow.
    pub observed_at: usize,
    /// The first shard's part; the others follow.
    pub shards_at: usize,
    /// What the first shard traced; the others follow.
    pub traces_at: usize,
    /// All bytes.
    pub bytes: usize,
}

impl Layout {
    /// That of a process with so many shards.
    pub const fn of(shards_count: u16) -> Layout {
        let process_at = size_of::<Header>();
        let keeper_at = process_at + size_of::<ProcessStats>();
        let observed_at = keeper_at + size_of::<KeeperStats>();
        let shards_at = observed_at + shards_count as usize * size_of::<ObservedStats>();
        let traces_at = shards_at + shards_count as usize * size_of::<ShardStats>();
        Layout {
            shards_count,
            process_at,
            keeper_at,
            observed_at,
            shards_at,
            traces_at,
            bytes: traces_at + shards_count as usize * size_of::<Traces>(),
        }
    }
}

/// The parts of a page, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Its beginning.
    pub header: &'a Header,
    /// The process's part.
    pub process: &'a ProcessStats,
    /// The keeper's part.
    pub keeper: &'a KeeperStats,
    /// What is observed of each shard.
    pub observed: &'a [ObservedStats],
    /// One part per shard.
    pub shards: &'a [ShardStats],
    /// What each shard traced last.
    pub traces: &'a [Traces],
}

/// Why memory is not read as a page of statistics.
#[derive(Debug)]
pub enum PageError {
    /// It does not begin like one.
    NoPage,
    /// Another build wrote it.
    OtherVersion {
        /// Its layout version.
        version: u64,
        /// The version of the program that wrote it.
        writer: String,
    },
    /// It begins like one, and its numbers contradict each other or its length.
    Damaged,
    /// It cannot be opened or mapped.
    Io(std::io::Error),
}

impl fmt::Display for PageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::NoPage => write!(out, "this is no page of statistics of flk"),
            PageError::OtherVersion { version, writer } => write!(
                out,
                "this page of statistics has layout {version}, written by flk {writer}: this is flk {}, which reads layout \
                 {LAYOUT_VERSION}; read it with the version that wrote it",
                env!("CARGO_PKG_VERSION")
            ),
            PageError::Damaged => write!(
                out,
                "this page of statistics is damaged: its parts do not fit into its length"
            ),
            PageError::Io(error) => write!(out, "the page of statistics cannot be read: {error}"),
        }
    }
}

impl std::error::Error for PageError {}

const _: () = assert!(
    align_of::<ShardStats>() >= 64 && align_of::<ProcessStats>() >= 64,
    "parts with different writers share no cache line"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Stats;

    #[test]
    fn the_sizes_of_parts_belong_to_the_layout_version() {
        let sizes = (
            size_of::<Header>(),
            size_of::<ProcessStats>(),
            size_of::<KeeperStats>(),
            size_of::<ObservedStats>(),
            size_of::<ShardStats>(),
            size_of::<Traces>(),
        );
        assert_eq!(
            (LAYOUT_VERSION, sizes),
            (1, (384, 128, 6400, 128, 58368, 54272)),
            "a part has changed: raise LAYOUT_VERSION if a release had the old one, then pin the new sizes here"
        );
    }

    #[test]
    fn a_page_is_recognised_and_everything_else_is_refused_with_a_reason() {
        let stats = Stats::new(3);
        let header = stats.parts().header;
        let layout = Layout::of(3);
        assert_eq!(header.check(layout.bytes).unwrap(), layout);
        let refused = |words: &str| {
            let reason = header.check(layout.bytes).unwrap_err().to_string();
            assert!(reason.contains(words), "{reason}");
        };
        header.shards_count.set(4);
        refused("is damaged");
        header.shards_count.set(1 << 16);
        refused("is damaged");
        header.shards_count.set(3);
        assert!(matches!(
            header.check(layout.bytes - 1),
            Err(PageError::Damaged)
        ));
        header.layout_version.set(LAYOUT_VERSION + 1);
        header.version.set("9.9.9");
        refused("has layout 2, written by flk 9.9.9");
        header.magic.set(0);
        refused("no page of statistics");
    }
}
