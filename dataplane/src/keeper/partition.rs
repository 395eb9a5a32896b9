//! Which shard owns which partition: contiguous ranges, computed at each start from the number of shards alone.

use crate::dedup::PARTITIONS;
use crate::io::ShardId;
use std::ops::Range;

/// Owner of each partition: partition p belongs to shard p·shards/1024.
pub(crate) fn owners(shards: u16) -> [ShardId; PARTITIONS as usize] {
    std::array::from_fn(|partition| {
        let owner = partition * usize::from(shards) / usize::from(PARTITIONS);
        ShardId(owner as u16)
    })
}

/// The partitions of each shard.
pub(crate) fn ranges(shards: u16) -> Vec<Range<u16>> {
    let owners = owners(shards);
    let of = |shard: u16| range(&owners, ShardId(shard));
    (0..shards).map(of).collect()
}

/// The partitions of a shard, a contiguous range.
fn range(owners: &[ShardId; PARTITIONS as usize], shard: ShardId) -> Range<u16> {
    let first = owners.iter().take_while(|owner| **owner < shard).count() as u16;
    let count = owners.iter().filter(|owner| **owner == shard).count() as u16;
    first..first + count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_owns_one_contiguous_range_of_nearly_equal_size() {
        for shards in [1, 2, 3, 7, 64, 1000, 1024] {
            let owners = owners(shards);
            assert!(owners.is_sorted());
            let least = usize::from(PARTITIONS / shards);
            for shard in 0..shards {
                let count = owners.iter().filter(|owner| owner.0 == shard).count();
                assert!(count == least || count == least + 1, "{shard} of {shards}");
            }
        }
    }
}
