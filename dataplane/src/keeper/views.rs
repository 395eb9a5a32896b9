//! What each shard keeps in memory of the slices in force. It is read before a set of slices is sent to shards, naming
//! segments and answering in between.

use crate::dedup::slice::SliceView;
use crate::keeper::halt::Halt;
use crate::keeper::serve::Service;
use crate::keeper::slice_memory::partitions_of_all;
use crate::keeper::slice_write::EndedEarly;
use crate::keeper::slices::{Slice, part, pieces};
use std::ops::Range;
use std::rc::Rc;

/// A slice of the set in force.
pub(crate) struct InUse {
    pub(crate) slice: Rc<Slice>,
    /// What each shard keeps of it, once that was read.
    pub(crate) views: Vec<SliceView>,
}

impl InUse {
    /// A slice of which no view was read.
    pub(crate) fn of(slice: Rc<Slice>) -> InUse {
        InUse {
            slice,
            views: Vec::new(),
        }
    }
}

impl Service {
    /// Reads what each shard keeps of a slice, naming segments and answering in between.
    pub(crate) async fn read_views(
        &mut self,
        slice: &Rc<Slice>,
    ) -> Result<Vec<SliceView>, EndedEarly> {
        let mut views = Vec::new();
        for partitions in partitions_of_all(&self.store) {
            let parts = slice
                .view_parts(partitions.clone())
                .map_err(EndedEarly::Trouble)?;
            let index = self.read_range(slice, parts.index).await?;
            let filters = self.read_range(slice, parts.filters).await?;
            let view = slice.view(partitions, &index, &filters);
            views.push(view.map_err(EndedEarly::Trouble)?);
        }
        slice.assert_counted(&views);
        Ok(views)
    }

    async fn read_range(
        &mut self,
        slice: &Slice,
        range: Range<u64>,
    ) -> Result<Vec<u8>, EndedEarly> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        for piece in pieces(range) {
            let piece = part(&slice.readable, piece).await;
            bytes.extend_from_slice(&piece.map_err(EndedEarly::Trouble)?);
            self.poll_requests_between().await?;
        }
        Ok(bytes)
    }

    /// Reads the views that are missing of the slices in force: after a start, all of them. False if that has to be tried
    /// again.
    pub(crate) async fn views_ready(&mut self) -> Result<bool, Halt> {
        for at in 0..self.sealing.slices.len() {
            let known = &self.sealing.slices[at];
            if known.views.len() == usize::from(self.store.config.shards) {
                continue;
            }
            let slice = known.slice.clone();
            match self.read_views(&slice).await {
                Ok(views) => self.sealing.slices[at].views = views,
                Err(EndedEarly::End(halt)) => return Err(halt),
                Err(EndedEarly::Stopping) => return Ok(false),
                Err(EndedEarly::Trouble(halt)) => {
                    self.trouble("reading", &halt);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
