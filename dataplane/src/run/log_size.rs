//! The size of the log and the length of its segments: the settings, or a share of the file system. It refuses a size that the
//! segments in use would exceed.

use crate::config::Config;
use crate::config::units::{show_bytes, typed_bytes};
use crate::keeper::config::{log_bytes_of, segment_bytes_for, wal_bytes_min};
use rustix::fs::fstatvfs;
use std::os::fd::BorrowedFd;

/// The size of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogSize {
    /// Bytes that WAL_DIR may take.
    pub(super) bytes_max: u64,
    /// Whether that is a setting; otherwise it is a share of the file system.
    pub(super) is_set: bool,
    /// Length of a segment.
    pub(super) segment_bytes: u64,
    /// Below this size, records may be refused although segments could be deleted.
    pub(super) bytes_min: u64,
}

/// The size of the file system of a directory, in bytes.
pub(super) fn volume_bytes(directory: BorrowedFd<'_>) -> std::io::Result<u64> {
    let space = fstatvfs(directory)?;
    Ok(space.f_blocks * space.f_frsize)
}

impl LogSize {
    /// Chooses by the settings, the file system and the number of shards.
    ///
    /// # Errors
    /// The size is too small; the text names the smallest that works.
    pub(super) fn choose(
        wal_bytes_max: Option<u64>,
        segment_bytes: Option<u64>,
        volume_bytes: u64,
        shards: u16,
    ) -> Result<LogSize, String> {
        let bytes_max = wal_bytes_max.unwrap_or_else(|| log_bytes_of(volume_bytes));
        let chosen = segment_bytes.unwrap_or_else(|| segment_bytes_for(bytes_max, shards));
        let bytes_min = wal_bytes_min(shards, chosen);
        if wal_bytes_max.is_some() && bytes_max < bytes_min {
            let lower = match segment_bytes {
                Some(_) => "FLK_CORES or WAL_SEGMENT_BYTES",
                None => "FLK_CORES",
            };
            return Err(format!(
                "WAL_MAX_BYTES={}: {shards} shards with segments of {} need more; allowed: {} and more, or a lower {lower}",
                typed_bytes(bytes_max),
                typed_bytes(chosen),
                typed_bytes(bytes_min.next_multiple_of(1 << 20)),
            ));
        }
        Ok(LogSize {
            bytes_max,
            is_set: wal_bytes_max.is_some(),
            segment_bytes: chosen,
            bytes_min,
        })
    }

    /// Whether records will be refused at times, because segments in use take it all.
    pub(super) fn is_small(&self) -> bool {
        self.bytes_max < self.bytes_min
    }

    /// The length of segments and the size of the log, with a warning if that is little.
    pub(super) fn in_words(&self) -> String {
        let why = match self.is_set {
            true => "WAL_MAX_BYTES",
            false => "80 % of the file system",
        };
        let warning = match self.is_small() {
            true => format!(
                "; WARNING: less than {}, records will be refused at times",
                show_bytes(self.bytes_min)
            ),
            false => String::new(),
        };
        format!(
            "{} each, {} in all ({why}){warning}",
            show_bytes(self.segment_bytes),
            show_bytes(self.bytes_max)
        )
    }
}

/// The length of segments and the size of the log on a file system of so many bytes, in words.
///
/// # Errors
/// Why a start would be refused.
pub fn log_plan(config: &Config, volume_bytes: u64, shards: u16) -> Result<String, String> {
    let (bytes_max, segment_bytes) = (config.wal_bytes_max, config.segment_bytes);
    let size = LogSize::choose(bytes_max, segment_bytes, volume_bytes, shards)?;
    Ok(size.in_words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PROFILES, profile_config};

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_cap_that_segments_in_use_would_take_is_refused_with_the_smallest_that_is_not() {
        let refused = LogSize::choose(Some(64 * MIB), None, 1 << 40, 16);
        assert_eq!(
            refused,
            Err("WAL_MAX_BYTES=64MiB: 16 shards with segments of 4MiB need more; allowed: 264MiB and more, or a lower FLK_CORES".to_owned())
        );
        assert!(LogSize::choose(Some(264 * MIB), None, 1 << 40, 16).is_ok());
        let refused = LogSize::choose(Some(512 * MIB), Some(64 * MIB), 1 << 40, 2);
        let text = refused.unwrap_err();
        assert!(
            text.contains("520MiB and more, or a lower FLK_CORES or WAL_SEGMENT_BYTES"),
            "{text}"
        );
        assert!(LogSize::choose(Some(520 * MIB), Some(64 * MIB), 1 << 40, 2).is_ok());
    }

    #[test]
    fn each_profile_fits_onto_the_disk_of_its_machine_and_into_the_manifest() {
        // From so many on they are deleted before their age: docs/decisions/0013-segments-bound-the-manifest.md.
        const SEGMENTS_COUNT_MAX: u64 = 131_072;
        for profile in PROFILES {
            let config = profile_config(profile);
            let disk_bytes = profile.shape().unwrap().disk_bytes;
            let shards = config.cores.as_deref().unwrap().parse().unwrap();
            let (bytes_max, segment_bytes) = (config.wal_bytes_max, config.segment_bytes);
            let chosen = LogSize::choose(bytes_max, segment_bytes, disk_bytes, shards);
            let size = chosen.unwrap_or_else(|why| panic!("{}: {why}", profile.name));
            assert!(!size.is_small(), "{}: {}", profile.name, size.in_words());
            assert!(size.bytes_max < disk_bytes, "{}", profile.name);
            assert!(size.bytes_max / size.segment_bytes < SEGMENTS_COUNT_MAX);
        }
    }

    #[test]
    fn what_is_set_wins_and_the_rest_follows_the_file_system() {
        let chosen = LogSize::choose(None, Some(32 * MIB), 1 << 30, 2).unwrap();
        assert_eq!(chosen.segment_bytes, 32 * MIB);
        let chosen = LogSize::choose(None, None, 1 << 30, 2).unwrap();
        assert_eq!(chosen.segment_bytes, 24 * MIB);
        assert_eq!(
            chosen.in_words(),
            "24 MiB each, 819 MiB in all (80 % of the file system)"
        );
        let tiny = LogSize::choose(None, None, 30 * MIB, 2).unwrap();
        assert!(tiny.is_small());
        assert!(tiny.in_words().contains("WARNING"), "{}", tiny.in_words());
    }
}
