//! The memory of slices: filters and indexes stay in memory for as long as a slice is named, beside the tables. Tables give way
//! to them at a start, or the start is refused; while serving, a new set that is too large is reported.

use crate::keeper::Service;
use crate::keeper::halt::Halt;
use crate::keeper::memory_room::MemoryRoom;
use crate::keeper::notice::Notice;
use crate::keeper::store::ManifestStore;

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
