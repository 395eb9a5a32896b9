//! The memory of the simulated machine, where a seed has little of it: what the process may use, that no start serves with
//! more slices than that holds, and what the operator does after a start that was refused for want of it.

use super::count::Count;
use super::dice::Dice;
use super::oracle::Property;
use super::world::World;
use crate::keeper::memory_room::MemoryRoom;
use crate::keeper::notice::Notice;
use crate::sim_trace;

const MIB: u64 = 1 << 20;

/// What process and shards take beside tables and slices.
const OTHERS_BYTES: u64 = 8 * MIB;

/// Memory that holds tables of this size beside what a seal needs, and two slices at most. Where the tables are small or were
/// asked for, a start that finds more is refused; others become smaller.
pub fn room_for_few_slices(dice: &mut Dice, tables_bytes: u64) -> MemoryRoom {
    let slices_bytes = dice.pick(&[0, 60_000, 120_000]);
    MemoryRoom {
        bytes: OTHERS_BYTES + tables_bytes + tables_bytes / 4 + slices_bytes,
        what: "the simulated machine",
        others_bytes: OTHERS_BYTES,
        tables_are_asked_for: dice.chance(2000),
    }
}

/// What tables of all shards take in such a seed: of the larger ones a start can give some to slices.
pub fn tables_bytes(dice: &mut Dice) -> u64 {
    dice.pick(&[MIB, 4 * MIB, 4 * MIB, 4 * MIB])
}

/// The MiB of memory that a refused start asks for.
fn wanted_mib(reason: &str) -> Option<u64> {
    let (_, wanted) = reason.split_once("Allow ")?;
    let (mib, _) = wanted.split_once("MiB of memory")?;
    mib.parse().ok()
}

impl World {
    /// Counts what the keeper says of the memory of slices.
    pub fn note_slice_memory(&mut self, notice: &Notice) {
        match notice {
            Notice::SlicesTooLarge { .. } => self.counts.one(Count::SlicesTooLarge),
            Notice::TablesSmaller { .. } => self.counts.one(Count::TablesSmaller),
            _ => {}
        }
    }

    /// A start serves: the slices that it found fit beside its tables.
    pub fn judge_slice_memory(&mut self) {
        self.truth.memory_allowed_for = None;
        let Some(process) = self.process.as_ref() else {
            return;
        };
        let page = &process.stats().keeper;
        let (taken, allowed) = (
            page.slice_memory_bytes.get(),
            page.slice_memory_bytes_max.get(),
        );
        if self.scenario.memory.is_some() && taken > allowed {
            let how = format!("a start serves with {taken} bytes of slices where {allowed} fit");
            self.fail(Property::Bounded, how);
        }
    }

    /// A start ended itself with 78. `true`: slices took more memory than there was, it changed nothing, and the operator allows
    /// as much as it asked for. For as many shards that is enough until more is sealed.
    pub fn is_refused_for_memory(&mut self, reason: &str) -> bool {
        let unchanged = self.truth.manifests.len() == self.truth.manifests_before_run;
        let allowed_before = self.truth.memory_allowed_for == Some(self.shards_before);
        let (Some(room), Some(mib)) = (self.scenario.memory.as_mut(), wanted_mib(reason)) else {
            return false;
        };
        if !unchanged || allowed_before || mib * MIB <= room.bytes {
            return false;
        }
        room.bytes = mib * MIB;
        self.truth.memory_allowed_for = Some(self.shards_before);
        self.counts.one(Count::RefusedForMemory);
        sim_trace!(self.now_us(), "the operator allows {mib} MiB of memory");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refused_start_asks_for_is_read_from_its_reason() {
        let reason =
            "3 are left for them. Nothing was changed. Allow 12MiB of memory, or lower FLK_CORES";
        assert_eq!(wanted_mib(reason), Some(12));
        assert_eq!(wanted_mib("a setting is wrong"), None);
    }
}
