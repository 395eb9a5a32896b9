//! What each shard keeps in memory of the slices in force: filters and index of its partitions. It is read before a shard gets
//! a set of slices, at a start and while serving, and damage in it is found then.

use crate::dedup::Key;
use crate::dedup::slice::{Found, SliceSet, SliceView};
use crate::io::ShardId;
use crate::keeper::Service;
use crate::keeper::ended_early::EndedEarly;
use crate::keeper::halt::Halt;
use crate::keeper::partition;
use crate::keeper::progress::{Progress, Unit};
use crate::keeper::reading::ReadWhileServing;
use crate::keeper::slices::Slice;
use crate::keeper::store::ManifestStore;
use crate::wal::Epoch;
use std::rc::Rc;
use std::sync::Arc;

/// A slice of the set in force.
pub(crate) struct InUse {
    pub(crate) slice: Rc<Slice>,
    /// What each shard keeps of it.
    pub(crate) views: Vec<SliceView>,
}

impl InUse {
    /// A slice whose views are as large as was counted before they were read.
    fn of(slice: Slice, views: Vec<SliceView>) -> InUse {
        slice.assert_counted(&views);
        InUse {
            slice: Rc::new(slice),
            views,
        }
    }

    /// Looks for a key of a shard in the bytes of a block.
    pub(crate) fn search(
        &self,
        owner: ShardId,
        block: u32,
        bytes: &[u8],
        key: Key,
    ) -> Result<Found, Halt> {
        let view = &self.views[usize::from(owner.0)];
        let found = view.search_block(block, bytes, key);
        found.map_err(|fault| self.slice.damage(&fault))
    }
}

/// The version of the set that shards begin with. Each set after it has the next one.
pub(crate) const FIRST_VERSION: u64 = 0;

/// The set of these slices for a shard.
pub(crate) fn set_of(
    slices: &[InUse],
    shard: ShardId,
    version: u64,
    sealed_epoch: Epoch,
) -> Arc<SliceSet> {
    let views = slices.iter();
    let views = views.map(|it| it.views[usize::from(shard.0)].clone());
    Arc::new(SliceSet {
        version,
        sealed_epoch,
        slices: views.collect(),
    })
}

/// Reads the views of all slices that a start found. There must be memory for them.
pub(crate) async fn read_all(
    store: &ManifestStore,
    slices: Vec<Slice>,
) -> Result<Vec<InUse>, Halt> {
    let bytes = slices.iter().map(|slice| slice.memory_bytes).sum();
    let mut progress = Progress::of(&store.port, "MiB of filters read", bytes, Unit::Mib);
    let mut all = Vec::new();
    for slice in slices {
        let mut views = Vec::new();
        for partitions in partition::ranges(store.config.shards) {
            let view = slice.read_view(&slice.readable, partitions).await?;
            progress.add(view.memory_bytes());
            views.push(view);
        }
        all.push(InUse::of(slice, views));
    }
    Ok(all)
}

impl Service {
    /// Reads the views of a slice that was just made, naming segments and answering in between.
    pub(crate) async fn read_views(&mut self, slice: Slice) -> Result<InUse, EndedEarly> {
        let mut views = Vec::new();
        for partitions in partition::ranges(self.store.config.shards) {
            let file = ReadWhileServing::of(&slice.readable, self);
            let view = slice.read_view(&file, partitions).await;
            let ended = match (file.why_ended(), view) {
                (Some(interrupted), _) => interrupted.into(),
                (None, Err(halt)) => EndedEarly::Trouble(halt),
                (None, Ok(view)) => {
                    views.push(view);
                    continue;
                }
            };
            slice.close(&self.store.files).await;
            return Err(ended);
        }
        Ok(InUse::of(slice, views))
    }
}
