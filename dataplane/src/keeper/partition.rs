//! Which shard owns which partition: contiguous ranges, computed at each start from the number of shards alone.

use crate::dedup::PARTITIONS;
use crate::io::ShardId;

/// Owner of each partition: partition p belongs to shard p·shards/1024.
pub(crate) fn owners(shards: u16) -> [ShardId; PARTITIONS as usize] {
    std::array::from_fn(|partition| {
        let owner = partition * usize::from(shards) / usize::from(PARTITIONS);
        ShardId(owner as u16)
    })
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
