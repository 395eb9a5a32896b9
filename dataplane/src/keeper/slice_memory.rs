//! The memory of slices: filters and indexes stay in memory for as long as a slice is named, beside the tables. What the
//! process may use is divided here, once, for the settings of a start, for the slices that it finds and for each new set.

use crate::io::ShardId;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::partition;
use crate::keeper::serve::Service;
use crate::keeper::slices::partitions_of;
use crate::keeper::store::ManifestStore;
use std::ops::Range;

/// Memory that the process may use, and what of it is taken whatever tables and slices hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRoom {
    /// Bytes that the process may use.
    pub bytes: u64,
    /// What sets that limit, in words.
    pub what: &'static str,
    /// Bytes that the process and its shards take besides.
    pub others_bytes: u64,
    /// Whether tables of this size were asked for. If not, they give way to slices.
    pub tables_are_asked_for: bool,
}

impl MemoryRoom {
    fn left_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.others_bytes)
    }

    /// The largest tables that fit beside slices that take so much, in whole MiB; 0 if none do.
    ///
    /// A seal holds for every four bytes of tables up to one of decisions that it takes out of the log. So does a start, and
    /// hands them over in another one; nothing else is in the tables then.
    pub fn tables_bytes_max(&self, slices_bytes: u64) -> u64 {
        let left = self.left_bytes().saturating_sub(slices_bytes);
        ((left / 5 * 4) >> 20) << 20
    }

    /// What filters and indexes of slices may take beside tables of this size.
    pub fn slices_bytes_max(&self, tables_bytes: u64) -> u64 {
        let tables = tables_bytes.saturating_add(tables_bytes / 4);
        self.left_bytes().saturating_sub(tables)
    }

    /// What the process needs for slices and tables of these sizes.
    fn needed_bytes(&self, slices_bytes: u64, tables_bytes: u64) -> u64 {
        let parts = [tables_bytes, tables_bytes / 4, slices_bytes];
        parts
            .into_iter()
            .fold(self.others_bytes, u64::saturating_add)
    }
}

/// The partitions of each shard of this run.
pub(crate) fn partitions_of_all(store: &ManifestStore) -> Vec<Range<u16>> {
    let owners = partition::owners(store.config.shards);
    let shards = (0..store.config.shards).map(ShardId);
    shards.map(|shard| partitions_of(&owners, shard)).collect()
}

/// What slices may take in memory; nothing where no limit is known.
pub(crate) fn slices_bytes_max(store: &ManifestStore) -> Option<u64> {
    let room = store.config.memory.as_ref()?;
    Some(room.slices_bytes_max(store.config.dedup_memory_bytes_max))
}

fn show(store: &ManifestStore, bytes: u64) {
    let shown = &store.config.stats.keeper;
    shown.slice_memory_bytes.set(bytes);
    let bytes_max = slices_bytes_max(store).unwrap_or(0);
    shown.slice_memory_bytes_max.set(bytes_max);
}

/// What a start made of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fitted {
    /// Most bytes of each shard's tables, if that is less than in their configuration.
    pub(crate) shard_bytes_max: Option<u64>,
}

/// Fits the tables beside the slices that a start found: where nothing was asked for they become smaller; else, and where none
/// would fit, the start is refused. The kernel would end the process as soon as filters are read, and again after every start.
pub(crate) fn fit_tables(store: &mut ManifestStore, bytes: u64) -> Result<Fitted, Halt> {
    let tables = store.config.dedup_memory_bytes_max;
    let mut shard_bytes_max = None;
    if let Some(room) = store.config.memory
        && bytes > room.slices_bytes_max(tables)
    {
        let smaller = room.tables_bytes_max(bytes);
        if room.tables_are_asked_for || smaller == 0 {
            return Err(Halt::Refused(refusal(store, &room, bytes)));
        }
        store.config.dedup_memory_bytes_max = smaller;
        shard_bytes_max = Some(smaller / u64::from(store.config.shards));
        store.port.notify(Notice::TablesSmaller {
            slices_bytes: bytes,
            bytes: smaller,
            planned_bytes: tables,
        });
    }
    show(store, bytes);
    Ok(Fitted { shard_bytes_max })
}

fn refusal(store: &ManifestStore, room: &MemoryRoom, bytes: u64) -> String {
    let tables = store.config.dedup_memory_bytes_max;
    let shards = store.config.shards;
    let MemoryRoom {
        bytes: all,
        what,
        others_bytes,
        ..
    } = room;
    let needed_mib = room.needed_bytes(bytes, tables).div_ceil(1 << 20);
    let smaller = match room.tables_bytes_max(bytes) >> 20 {
        0 => String::new(),
        mib => format!(", set DEDUP_MEMORY_MAX={mib}MiB or less"),
    };
    let fewer = match shards {
        1 => "",
        _ => ", or lower FLK_CORES",
    };
    format!(
        "filters and indexes of {} slices take {bytes} bytes of memory, and {} are left for them: {what} allows {all}, the process and its {shards} shard(s) take {others_bytes}, tables of DEDUP_MEMORY_MAX and what a seal holds beside them {}. Nothing was changed. Allow {needed_mib}MiB of memory{smaller}{fewer}",
        store.manifest.slices.len(),
        room.slices_bytes_max(tables),
        tables + tables / 4,
    )
}

impl Service {
    /// What filters and indexes of the slices in force take, all shards together.
    pub(crate) fn slices_memory_bytes(&self) -> u64 {
        let slices = self.sealing.slices.iter();
        slices.map(|it| it.slice.memory_bytes).sum()
    }

    /// Shows what the set that was just published takes; logs once, and counts, that it is more than there is memory for.
    /// Nothing else can be done about it here: without its filters a slice cannot answer.
    pub(crate) fn note_slices_memory(&mut self) {
        let bytes = self.slices_memory_bytes();
        show(&self.store, bytes);
        let limit_bytes = slices_bytes_max(&self.store).unwrap_or(u64::MAX);
        let is_short = bytes > limit_bytes;
        if is_short {
            let shown = &self.store.config.stats.keeper;
            shown.slice_memory_exceeded.add(1);
        }
        if is_short && !self.sealing.short_of_memory {
            let memory = self.store.config.memory;
            let notice = Notice::SlicesTooLarge {
                bytes,
                limit_bytes,
                tables_are_asked_for: memory.is_some_and(|room| room.tables_are_asked_for),
            };
            self.store.port.notify(notice);
        }
        self.sealing.short_of_memory = is_short;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(left: u64) -> MemoryRoom {
        MemoryRoom {
            bytes: 40 * MIB + left,
            what: "its cgroup",
            others_bytes: 40 * MIB,
            tables_are_asked_for: true,
        }
    }

    #[test]
    fn tables_that_are_advised_fit_and_a_mebibyte_more_does_not() {
        for left in (0..600).map(|step| step * MIB / 3) {
            for slices in (0..60).map(|step| step * MIB / 2) {
                let room = room(left);
                let tables = room.tables_bytes_max(slices);
                let fits = |tables| {
                    let all = tables + tables / 4;
                    all <= left && slices <= room.slices_bytes_max(tables)
                };
                assert!(tables == 0 || fits(tables), "{left} {slices}");
                // Rounding of the shares takes a few bytes at most.
                let more = tables + MIB + 8;
                assert!(!fits(more), "{left} {slices}: {tables}");
            }
        }
    }

    #[test]
    fn slices_may_take_what_others_tables_and_a_seal_leave() {
        let room = room(100 * MIB);
        assert_eq!(room.slices_bytes_max(0), 100 * MIB);
        assert_eq!(room.slices_bytes_max(64 * MIB), 20 * MIB);
        assert_eq!(room.slices_bytes_max(80 * MIB), 0);
        assert_eq!(room.slices_bytes_max(u64::MAX), 0);
        assert_eq!(room.needed_bytes(20 * MIB, 64 * MIB), room.bytes);
        assert_eq!(room.needed_bytes(u64::MAX, u64::MAX), u64::MAX);
        let nothing = MemoryRoom { bytes: 1, ..room };
        assert_eq!(nothing.slices_bytes_max(1), 0);
        assert_eq!(nothing.tables_bytes_max(0), 0);
    }
}
