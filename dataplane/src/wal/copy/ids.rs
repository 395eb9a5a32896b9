//! What a restored directory is: the same node in a new incarnation, which states which one it follows and up to where.

use crate::wal::manifest::{LogUpto, Manifest, RestoredFrom};

/// The manifest of a directory that is restored from a copy. Holds are left out: what their readers were done with may be behind
/// the end of the copy, so they begin anew.
pub fn restored(copy: &Manifest, incarnation: [u8; 16]) -> Manifest {
    let mut manifest = copy.clone();
    let taken = copy.logs.iter().filter_map(|log| {
        Some(LogUpto {
            log: log.id,
            upto: log.ended_at?.sequence,
        })
    });
    manifest.sections.restored_from = Some(RestoredFrom {
        incarnation: copy.incarnation,
        taken: taken.collect(),
    });
    manifest.sections.holds.clear();
    manifest.incarnation = incarnation;
    manifest.generation += 1;
    manifest
}
