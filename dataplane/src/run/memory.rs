//! The memory of the dedup tables: the setting, if it fits beside everything else that the process needs, or a share of the
//! limit. A gateway that takes more than the limit is killed by the kernel, and again at every start.

use crate::config::units::{show_bytes, typed_bytes};
use crate::driver::memory::{MemoryLimit, memory_limit};
use crate::keeper::memory_room::MemoryRoom;
use crate::shard::config::ShardLimits;
use crate::snapshot::KEY_TABLES_COUNT_MAX;
use flk_contract::signature::{BASE_TABLE_BYTES, KEY_TABLE_BYTES};

/// Upper bound of the default: about eleven million keys, which fits a laptop. A gateway with more load needs a setting.
const SHARE_BYTES_MAX: u64 = 1 << 30;
/// The minimum of `DEDUP_MEMORY_MAX`.
const BYTES_MIN: u64 = 1 << 20;
/// The program, its stacks, the keeper and the overhead of the allocator.
const PROCESS_BYTES: u64 = 16 << 20;

/// Tables of the Ed25519 keys of two snapshots take half of it, or less.
const _: () = assert!(
    2 * KEY_TABLES_COUNT_MAX * KEY_TABLE_BYTES + BASE_TABLE_BYTES <= PROCESS_BYTES as usize / 2
);

/// The memory of the tables, and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DedupMemory {
    pub(super) bytes: u64,
    pub(super) why: String,
    /// The limit and its use, if one was found.
    pub(super) room: Option<MemoryRoom>,
}

/// Chooses the memory, or refuses with the reason.
///
/// A process needs more than its tables: each shard has buffers, and a seal holds data for a time. Slices have filters, whose
/// size is not known before WAL_DIR is open; the keeper compares them with the rest of the limit then. The default is a
/// quarter of the limit, so that the page cache has memory too.
pub(super) fn dedup_memory(
    asked: Option<u64>,
    limit: Option<MemoryLimit>,
    shards: u16,
    limits: &ShardLimits,
) -> Result<DedupMemory, String> {
    let Some(limit) = limit else {
        let bytes = asked.unwrap_or(SHARE_BYTES_MAX);
        let why = "no memory limit was found".to_owned();
        let room = None;
        return Ok(DedupMemory { bytes, why, room });
    };
    let MemoryLimit { bytes: all, what } = limit;
    let others = PROCESS_BYTES
        + u64::from(shards)
            * limits.memory_at_start_bytes(
                shards,
                crate::driver::DriverLimits::default().receive_bytes(),
            ) as u64;
    let room = MemoryRoom {
        bytes: all,
        what,
        others_bytes: others,
        tables_are_asked_for: asked.is_some(),
    };
    let largest = room.tables_bytes_max(0);
    let room = Some(room);
    let (allowed, needed) = (show_bytes(all), show_bytes(others));
    if largest < BYTES_MIN {
        return Err(format!(
            "{what} allows {allowed} of memory, and a gateway of {shards} shard(s) needs {needed} before the first id is remembered: allow more, or lower FLK_CORES"
        ));
    }
    match asked {
        Some(asked) if asked > largest => Err(format!(
            "DEDUP_MEMORY_MAX={}: {what} allows {allowed} of memory, a gateway of {shards} shard(s) needs {needed} of it beside the tables, and a seal a quarter of what they take; the largest that fits is {}MiB",
            typed_bytes(asked),
            largest >> 20
        )),
        Some(asked) => Ok(DedupMemory {
            bytes: asked,
            why: format!("of {allowed} that {what} allows"),
            room,
        }),
        None => {
            let share = whole_mib(all / 4);
            let bytes = share.clamp(BYTES_MIN, largest.min(SHARE_BYTES_MAX));
            let why = format!("a share of {allowed} that {what} allows");
            Ok(DedupMemory { bytes, why, room })
        }
    }
}

/// The memory that the dedup tables of so many shards would get, and its reason, in words.
///
/// # Errors
/// Why a start would be refused.
pub fn memory_plan(asked: Option<u64>, shards: u16) -> Result<String, String> {
    let plan = dedup_memory(asked, memory_limit(), shards, &ShardLimits::default())?;
    let bytes = show_bytes(plan.bytes);
    Ok(format!("{bytes} for dedup tables: {}", plan.why))
}

fn whole_mib(bytes: u64) -> u64 {
    bytes >> 20 << 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PROFILES, profile_config};

    fn choose(asked: Option<u64>, all: u64, shards: u16) -> Result<u64, String> {
        let limit = MemoryLimit {
            bytes: all,
            what: "its cgroup",
        };
        dedup_memory(asked, Some(limit), shards, &ShardLimits::default()).map(|chosen| chosen.bytes)
    }

    #[test]
    fn the_share_grows_with_the_limit_up_to_a_gibibyte() {
        let mut before = 0;
        for shift in 27..40 {
            let bytes = choose(None, 1 << shift, 2).unwrap();
            assert!(bytes >= before && bytes <= 1 << (shift - 2), "{bytes}");
            before = bytes;
        }
        assert_eq!(before, 1 << 30);
        let unlimited = dedup_memory(None, None, 2, &ShardLimits::default()).unwrap();
        assert_eq!(unlimited.bytes, 1 << 30);
    }

    #[test]
    fn each_profile_fits_into_the_memory_of_its_machine() {
        for profile in PROFILES {
            let config = profile_config(profile);
            let shape = profile.shape().unwrap();
            let shards: u16 = config.cores.as_deref().unwrap().parse().unwrap();
            let asked = config.dedup_memory_bytes_max;
            let chosen = choose(asked, shape.memory_bytes, shards);
            let name = profile.name;
            let refused = |why: String| panic!("{name}: {why}");
            assert_eq!(Some(chosen.unwrap_or_else(refused)), asked, "{name}");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_the_largest_that_does() {
        let refused = choose(Some(1 << 30), 512 << 20, 2).unwrap_err();
        let (_, largest) = refused.split_once("the largest that fits is ").unwrap();
        let largest: u64 = largest.strip_suffix("MiB").unwrap().parse().unwrap();
        assert!(
            refused.starts_with("DEDUP_MEMORY_MAX=1GiB: its cgroup allows 512 MiB"),
            "{refused}"
        );
        assert_eq!(choose(Some(largest << 20), 512 << 20, 2), Ok(largest << 20));
        assert!(choose(Some((largest + 1) << 20), 512 << 20, 2).is_err());
        let refused = choose(None, 32 << 20, 8).unwrap_err();
        assert!(refused.contains("lower FLK_CORES"), "{refused}");
    }
}
