//! Divides the limit of open files: the process's own files come first, connections get the rest. It only computes; it opens
//! nothing.

use super::probe::DriverKind;
use super::uring::ACCEPTS_MAX;
use std::fmt;

/// Files of the process besides those open at its start: the directory, its lock, the operators' socket and two of its
/// clients, the keeper's doorbell, three files in use, the statistics, and one for /proc.
const FILES: u64 = 11;
/// What a start has opened when it counts: that signals are read from.
pub const OF_START: u64 = 1;
/// Slices: twenty, and the new ones of a merge.
const SLICES: u64 = 24;
/// Files of a shard: listener, doorbell, two for its ring or epoll, and four segments.
const FILES_PER_SHARD: u64 = 8;
/// Fewest connections of a shard: one that is kept and one place for a new one.
const CONNECTIONS_MIN: u64 = 2;
/// If the limit allows fewer connections than wanted, one in so many files is kept back, for more slices than usual and for
/// files that a library opens.
const KEPT_BACK: u64 = 16;

/// Connections of each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Connections that are kept.
    pub connections_max: u32,
    /// Further places for new ones.
    pub connections_spare: u32,
    /// If fewer fit than are wanted, the limit that would be enough.
    pub limit_wanted: Option<u64>,
}

/// The limit of open files is too low for the process's own files and two connections per shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewFiles {
    /// The limit.
    pub limit: u64,
    /// The lowest limit that is enough.
    pub needed: u64,
    /// Number of shards.
    pub shards: u16,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFewFiles {
            limit,
            needed,
            shards,
        } = self;
        write!(
            out,
            "the limit of open files is {limit}, and {shards} shard(s) need at least {needed}: raise it (LimitNOFILE of the unit, ulimit -n), or set FLK_CORES to fewer shards"
        )
    }
}

impl std::error::Error for TooFewFiles {}

/// Number of files that this process has open.
pub fn open_count() -> u64 {
    // One of them is the directory that is being read.
    std::fs::read_dir("/proc/self/fd").map_or(3, |files| files.count().saturating_sub(1) as u64)
}

/// Checks that the limit allows the process's own files, before any of them is opened.
///
/// # Errors
/// The limit is too low.
pub fn allow_files(limit: Option<u64>, opened: u64, shards: u16) -> Result<(), TooFewFiles> {
    let needed = files(opened, shards);
    match limit {
        Some(limit) if limit < needed => Err(TooFewFiles {
            limit,
            needed: needed + CONNECTIONS_MIN * u64::from(shards),
            shards,
        }),
        _ => Ok(()),
    }
}

fn files(opened: u64, shards: u16) -> u64 {
    opened + FILES + SLICES + FILES_PER_SHARD * u64::from(shards)
}

/// The connections of each of `shards` shards under a limit of open files (`None`: no limit), at most `wanted` kept ones and
/// `wanted_spare` new ones. `opened` files are open already.
///
/// # Errors
/// The limit is too low for any connection.
pub fn places(
    limit: Option<u64>,
    opened: u64,
    driver: DriverKind,
    shards: u16,
    (wanted, wanted_spare): (u32, u32),
) -> Result<Places, TooFewFiles> {
    let all = Places {
        connections_max: wanted,
        connections_spare: wanted_spare,
        limit_wanted: None,
    };
    let Some(limit) = limit else {
        return Ok(all);
    };
    let table_wanted = u64::from(wanted + wanted_spare);
    let count = u64::from(shards);
    let files = files(opened, shards);
    // Under io_uring a socket is not an open file of the process, but the table of a ring must not exceed the limit.
    let accepts = u64::from(ACCEPTS_MAX);
    let (table, limit_wanted) = match driver {
        DriverKind::Uring if limit < files => (0, files),
        DriverKind::Uring => (
            limit.saturating_sub(accepts),
            files.max(table_wanted + accepts),
        ),
        DriverKind::Portable => {
            let least = files + CONNECTIONS_MIN * count;
            let spared = (limit / KEPT_BACK).min(limit.saturating_sub(least));
            let left = limit.saturating_sub(files + spared);
            let all = files + table_wanted * count;
            (left / count, (all * KEPT_BACK).div_ceil(KEPT_BACK - 1))
        }
    };
    if table >= table_wanted {
        return Ok(all);
    }
    if table < CONNECTIONS_MIN {
        let needed = match driver {
            DriverKind::Uring => files.max(accepts + CONNECTIONS_MIN),
            DriverKind::Portable => files + CONNECTIONS_MIN * count,
        };
        return Err(TooFewFiles {
            limit,
            needed,
            shards,
        });
    }
    let table = table as u32;
    let connections_spare = (table / 16).clamp(1, wanted_spare.max(1));
    Ok(Places {
        connections_max: table - connections_spare,
        connections_spare,
        limit_wanted: Some(limit_wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: (u32, u32) = (4096, 64);

    fn at(limit: u64, driver: DriverKind, shards: u16) -> Result<Places, TooFewFiles> {
        places(Some(limit), 4, driver, shards, WANTED)
    }

    proptest! {
        #[test]
        fn the_files_of_the_process_and_all_sockets_fit_the_limit(
            limit in 1u64..40_000, shards in 1u16..64, is_uring in any::<bool>(),
        ) {
            let driver = if is_uring { DriverKind::Uring } else { DriverKind::Portable };
            let files = 4 + FILES + SLICES + FILES_PER_SHARD * u64::from(shards);
            match at(limit, driver, shards) {
                Ok(places) => {
                    let table = u64::from(places.connections_max + places.connections_spare);
                    prop_assert!(places.connections_max >= 1 && places.connections_spare >= 1);
                    prop_assert!(table <= 4160);
                    let sockets = if is_uring { 0 } else { table * u64::from(shards) };
                    prop_assert!(files + sockets <= limit);
                    prop_assert!(!is_uring || table + u64::from(ACCEPTS_MAX) <= limit);
                    prop_assert_eq!(places.limit_wanted.is_none(), table == 4160);
                    if let Some(limit_wanted) = places.limit_wanted {
                        prop_assert!(limit_wanted > limit);
                        prop_assert_eq!(at(limit_wanted, driver, shards).unwrap().limit_wanted, None);
                    }
                }
                Err(TooFewFiles { needed, .. }) => {
                    prop_assert!(needed > limit);
                    prop_assert!(at(needed, driver, shards).is_ok());
                    prop_assert!(at(needed - 1, driver, shards).is_err());
                }
            }
        }
    }

    #[test]
    fn sixty_four_files_are_enough_for_two_shards_and_twenty_for_none() {
        for driver in [DriverKind::Uring, DriverKind::Portable] {
            assert!(
                at(64, driver, 2).unwrap().connections_max >= 1,
                "{driver:?}"
            );
            let refused = at(20, driver, 1).unwrap_err();
            assert!((40..60).contains(&refused.needed), "{refused}");
            let text = refused.to_string();
            assert!(text.contains("open files is 20"), "{text}");
            assert!(text.contains("LimitNOFILE"), "{text}");
        }
        let unlimited = places(None, 4, DriverKind::Portable, 64, WANTED).unwrap();
        assert_eq!(unlimited.connections_max, 4096);
    }

    #[test]
    fn what_is_open_is_counted() {
        let before = open_count();
        let files: Vec<_> = (0..50)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        // Other tests of this process open and close files, too.
        assert!(open_count() + 25 > before + files.len() as u64);
    }
}
